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

use channelwise::ndarray::{ArrayD, Axis, concatenate};

use super::{Input, Pages, Resolution, Tensor, memory};
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
        tensors.push(colours::apply(page, samples::read(bytes, page)?, &mut notes)?);
    }
    let tensor = match (wanted, tensors.pop()) {
        (Pages::First, Some(tensor)) => tensor,
        (_, last) => stack(tensors.into_iter().chain(last).collect())?,
    };
    let (channels, mut meta) = (first.meaning(), first.meta.clone());
    if first.orientation > 4 {
        meta.resolution = meta.resolution.map(Resolution::turned);
    }
    Ok(Input { tensor, is_image: true, channels, meta, notes })
}

/// Pages of one kind as a batch.
fn stack(pages: Vec<Tensor>) -> Result<Tensor> {
    fn of<T: Clone>(pages: Vec<ArrayD<T>>) -> Result<ArrayD<T>> {
        let pages: Vec<_> = pages.into_iter().map(|page| page.insert_axis(Axis(0))).collect();
        let views: Vec<_> = pages.iter().map(|page| page.view()).collect();
        concatenate(Axis(0), &views).map_err(|error| error.to_string())
    }
    /// Those of one type; pages of one kind have one.
    macro_rules! of {
        ($($kind:ident),+) => {
            match pages.first() {
                $(Some(Tensor::$kind(_)) => of(pages
                    .into_iter()
                    .filter_map(|page| if let Tensor::$kind(x) = page { Some(x) } else { None })
                    .collect())
                .map(Tensor::$kind),)+
                None => Err("it holds no picture".into()),
            }
        };
    }
    of!(F32, U8, U16, F16)
}
