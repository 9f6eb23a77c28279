//! Markdown as pages show it.

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd};

fn events(text: &str) -> impl Iterator<Item = Event<'_>> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

/// Where links, pictures and definitions lead, and attributes of HTML.
pub fn links(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for event in events(text) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                out.push(dest_url.into_string());
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                let attributes = html.split(['<', ' ', '\n']).filter_map(|word| {
                    let value = word.strip_prefix("href=").or_else(|| word.strip_prefix("src="))?;
                    value.split('"').nth(1)
                });
                out.extend(attributes.map(String::from));
            }
            _ => {}
        }
    }
    out
}

/// The pictures that are shown.
pub fn images(text: &str) -> Vec<String> {
    let image = |event| match event {
        Event::Start(Tag::Image { dest_url, .. }) => Some(dest_url.into_string()),
        _ => None,
    };
    events(text).filter_map(image).collect()
}

/// The anchors of headings, as GitHub makes them: lower case, spaces to hyphens, no other signs, and a
/// number behind what was there before.
pub fn anchors(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let (mut heading, mut seen) = (None::<String>, Vec::<String>::new());
    for event in events(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(words) | Event::Code(words) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&words);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let words = heading.take().unwrap_or_default().to_lowercase();
                let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
                let before = seen.iter().filter(|s| **s == slug).count();
                out.push(if before == 0 { slug.clone() } else { format!("{slug}-{before}") });
                seen.push(slug);
            }
            _ => {}
        }
    }
    out
}

/// References in code type that the text does not define, so that they are shown with their brackets.
pub fn undefined(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let note = |link: pulldown_cmark::BrokenLink<'_>| -> Option<(CowStr<'_>, CowStr<'_>)> {
        if link.link_type == LinkType::Shortcut && link.reference.starts_with('`') {
            out.push(link.reference.to_string());
        }
        None
    };
    Parser::new_with_broken_link_callback(text, Options::ENABLE_TABLES, Some(note)).for_each(drop);
    out
}
