//! What is written for people: the README is short and begins with a picture, links lead somewhere, each
//! chapter of the guide is a page of the documentation, and each public type's page has an example.

mod items;
mod markdown;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use items::Crate;
use markdown::{anchors, images, links, undefined};

const README_LINES: usize = 250;
const CHAPTER_LINES: usize = 500;
/// The commands that the README begins with, in this order.
const COMMANDS: [&str; 2] = ["cargo run --release --example same_filter", "sh tests/run.sh"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All files whose name ends so, by their path from the root; none of what was built or downloaded.
fn files(ending: &str) -> BTreeMap<String, String> {
    let (root, mut out) = (root(), BTreeMap::new());
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                let ours = !name.starts_with('.') && !name.starts_with("target");
                if ours && !["node_modules", "pkg"].contains(&&*name) {
                    folders.push(path);
                }
            } else if name.ends_with(ending) {
                let short = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                out.insert(short, fs::read_to_string(path).unwrap());
            }
        }
    }
    out
}

/// What is wrong with the README.
fn readme_faults(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let lines = text.lines().count();
    if lines > README_LINES {
        out.push(format!("{lines} lines, at most {README_LINES} are read"));
    }
    let block = |command: &str| text.find(&format!("```sh\n{command}\n```"));
    let places = [text.find("!["), block(COMMANDS[0]), block(COMMANDS[1]), text.find("```rust")];
    if places.contains(&None) || !places.is_sorted() {
        out.push(format!(
            "a picture, the two commands and Rust do not come in this order: {places:?}"
        ));
    }
    if images(text).len() != 1 {
        out.push("one picture is wanted, others are links".into());
    }
    out
}

/// The links of a Markdown file that lead nowhere. `exists` says whether there is such a path from the
/// root, and gives the text of a file.
fn dead_links(file: &str, text: &str, exists: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut out = Vec::new();
    for link in links(text) {
        if ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
            continue;
        }
        // Pages of the documentation, which rustdoc checks where the file is a part of it.
        if file.starts_with("src/") && link.starts_with("crate::") {
            continue;
        }
        let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
        let mut parts: Vec<&str> = file.split('/').collect();
        if !path.is_empty() {
            parts.pop();
        }
        for part in path.split('/').filter(|part| !["", "."].contains(part)) {
            match part {
                ".." => drop(parts.pop()),
                name => parts.push(name),
            }
        }
        match exists(&parts.join("/")) {
            None => out.push(format!("{file}: `{link}` leads nowhere")),
            Some(there) if !anchor.is_empty() && !anchors(&there).iter().any(|a| a == anchor) => {
                out.push(format!("{file}: `{link}` has no such heading"));
            }
            Some(_) => {}
        }
    }
    out
}

/// The text at this path from the root, empty for a folder or what is no text.
fn at(path: &str) -> Option<String> {
    let path = root().join(path);
    path.exists().then(|| fs::read_to_string(path).unwrap_or_default())
}

#[test]
fn the_readme_is_short_and_begins_with_a_picture() {
    let readme = at("README.md").unwrap();
    assert_eq!(readme_faults(&readme), [""; 0]);

    let long = readme.clone() + &"\n".repeat(README_LINES);
    let late =
        readme.replacen("```sh\nsh tests/run.sh\n```", "", 1) + "\n```sh\nsh tests/run.sh\n```\n";
    let bare = readme.replacen("![", "[", 1);
    for (broken, told) in [(long, "lines"), (late, "order"), (bare, "picture")] {
        assert!(readme_faults(&broken).iter().any(|fault| fault.contains(told)), "{told}");
    }
}

#[test]
fn links_lead_somewhere() {
    let all = files(".md");
    assert!(all.contains_key("README.md") && all.contains_key("examples/python/README.md"));
    let dead: Vec<_> = all.iter().flat_map(|(file, text)| dead_links(file, text, at)).collect();
    assert_eq!(dead, [""; 0]);

    let exists = |path: &str| match path {
        "a/b.md" => Some("# One: `two`, three\n\n## One\n\n## One\n".into()),
        "a" | "x.png" => Some(String::new()),
        _ => None,
    };
    let good = "[a](b.md) [b](../x.png) [c](b.md#one-two-three) [d](b.md#one-1) [e](https://x.y/z) [f]\n\n[f]: ../a/\n`[no](link)`\n```\n[no](link)\n```\n";
    assert_eq!(dead_links("a/b.md", good, exists), [""; 0]);
    for bad in [
        "[a](crate::Kernel)",
        "[a](c.md)",
        "![a](x.png)",
        "[a](b.md#two)",
        "[a](#four)",
        "[a]\n\n[a]: ../b.md",
        "<a href=\"y.md\">a</a>",
    ] {
        assert_eq!(dead_links("a/b.md", bad, exists).len(), 1, "{bad}");
    }
}

#[test]
fn every_chapter_is_a_page() {
    let front = at("src/guide/mod.rs").unwrap();
    let pages = at("src/guide/links.md").unwrap();
    let mut chapters = files(".md");
    chapters.retain(|file, _| file.starts_with("src/guide/") && !file.ends_with("/links.md"));
    assert!(chapters.len() > 10);
    let told = links(&at("README.md").unwrap());
    for (file, text) in &chapters {
        let name = file.trim_start_matches("src/guide/").trim_end_matches(".md");
        assert!(text.lines().count() <= CHAPTER_LINES, "{file} is long");
        assert!(told.contains(file), "{file} is not in the README");
        assert!(front.contains(&format!("//! | [`{name}`] |")), "{file} has no row in the guide");
        let page = format!("#[doc = include_str!(\"{name}.md\")]\npub mod {name} {{}}");
        assert!(front.contains(&page), "{file} is no page");
        assert!(pages.contains(&format!("[`{name}`]: crate::guide::{name}\n")), "{file}: links.md");
        // What links.md defines must be defined in the chapter too, or it is no link in the repository.
        assert_eq!(undefined(text), [""; 0], "{file}");
    }
    assert_eq!(undefined("[`a`] and [`b`] of [F, G]\n\n[`a`]: a.md\n"), ["`b`"]);
}

#[test]
fn every_public_type_has_an_example() {
    let sources = files(".rs");
    let sources = sources
        .iter()
        .filter(|(file, _)| file.starts_with("src/") && !file.starts_with("src/bin/"));
    let krate = Crate::new(sources.map(|(file, text)| (&**file, &**text)));
    let public = krate.public();
    let names: Vec<&str> = public.iter().map(|item| &*item.path).collect();
    for known in [
        "Kernel",
        "Engine",
        "Prepared",
        "GpuTensor",
        "plan::Plan",
        "store::Stored",
        "stream::Sink",
        "learn::Adam",
        "color::decode",
        "reference::run",
    ] {
        assert!(names.contains(&known), "{known} is not found among {names:?}");
    }
    let bare: Vec<_> = public.iter().filter(|item| !item.example).map(|item| &*item.path).collect();
    assert_eq!(bare, [""; 0], "no example");
}

#[test]
fn an_example_is_code_that_runs_on_the_page_itself() {
    let lib = "mod a; pub mod b; #[doc(hidden)] pub use a::Hidden; pub use a::{A, C as D, In, Z, deep::E}; pub use other::F; pub(crate) use a::G; ";
    let a = "
        mod deep;
        /// ```text\n/// no code\n/// ```\npub struct A;
        /// ```\n/// ```\npub struct C;
        pub struct In; impl In { /// ```no_run\n/// ```\npub fn f() {} fn g() {} }
        pub struct Hidden; pub struct G; #[doc(hidden)] pub struct Z;
    ";
    let deep = "pub enum E { /// ```\n/// ```\nX }";
    let b = "/// Words.\npub fn f() {}\n/// ```ignore\n/// ```\npub trait T { /// ```rust\n/// ```\nfn t(); }\npub struct S; impl S { /// ```\n/// ```\nfn own() {} } mod x { pub struct Y; }";
    let files =
        [("src/lib.rs", lib), ("src/a/mod.rs", a), ("src/a/deep.rs", deep), ("src/b.rs", b)];
    let public = Crate::new(files).public();
    let found: Vec<_> = public.iter().map(|item| (&*item.path, item.example)).collect();
    let wanted = [
        ("A", false),
        ("D", true),
        ("E", true),
        ("In", true),
        ("b::S", false),
        ("b::T", true),
        ("b::f", false),
    ];
    assert_eq!(found, wanted);
}
