//! TIFF files: any number of bands of every sample type, in strips and tiles, one page or all.
//!
//! The crate `tiff` reads directories and decompresses. What the samples mean, which of them there are and
//! where chunks lie is read here: it would drop bands, and refuse or misplace planes and palettes.
//!
//! ```text
//! pages ── which directories are pages
//!   │
//! page ── what one says ── tags: its values
//!   │
//! chunk ── one strip or tile, decompressed ── single: as a file of its own
//!   │
//! samples ── chunks in their places, as elements
//!   │
//! colours ── palettes, CMYK, YCbCr, inverted greys, premultiplied alpha
//! ```

mod chunk;
mod colours;
mod page;
mod pages;
mod samples;
mod single;
mod tags;
mod write;

use super::{Input, Pages, Resolution, Source, Tensor, memory};
use page::Page;
use pages::pages;
pub(super) use write::write;

/// What went wrong, for people.
type Result<T> = std::result::Result<T, String>;

pub(super) fn is_tiff(bytes: &[u8]) -> bool {
    matches!(bytes, [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..])
}

pub(super) fn read(bytes: &[u8], wanted: Pages) -> Result<Input> {
    let (taken, count) = pages(bytes, wanted)?;
    let first = taken.first().ok_or("it holds no picture")?;
    let mut notes = Vec::new();
    if taken.len() < count {
        notes.push(format!("the first of {count} pages is taken; --pages all takes all"));
    }
    if let Some((number, other)) =
        taken.iter().enumerate().find(|(_, page)| page.kind() != first.kind())
    {
        return Err(format!(
            "its pages differ: the first is {first}, and page {} is {other}",
            number + 1
        ));
    }
    memory::check(taken.iter().map(Page::needs).sum())?;
    let mut tensors = Vec::new();
    for page in &taken {
        let (samples, note) = samples::read(bytes, page)?;
        notes.extend(note.filter(|text| !notes.contains(text)));
        tensors.push(colours::apply(page, samples, &mut notes)?);
    }
    let tensor = match (wanted, tensors.pop()) {
        (Pages::First, Some(tensor)) => tensor,
        (_, last) => Tensor::stacked(tensors.into_iter().chain(last).collect())
            .ok_or("its pages are no batch of one type and size")?,
    };
    let (channels, mut meta) = (first.meaning(), first.meta.clone());
    if first.orientation > 4 {
        meta.resolution = meta.resolution.map(Resolution::turned);
    }
    Ok(Input { tensor, source: Source::Image, channels, meta, notes })
}
