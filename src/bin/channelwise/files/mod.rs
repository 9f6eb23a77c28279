//! Tensors from and into files: `.npy`, ENVI cubes, TIFF and other images.
//!
//! ```text
//! read ── npy, envi, tiff, picture ── jpeg
//! target ── npy, envi, tiff, picture
//! tensor: elements of any type
//! ```

mod envi;
mod jpeg;
mod npy;
mod picture;
mod resolution;
mod target;
pub(crate) mod tensor;
mod tiff;

use std::io::Read;
use std::path::Path;

use channelwise::Layout;
use channelwise::store::guarded;
use channelwise::store::pictures::is_tiff;

use crate::failure::{Failure, Result, say};
pub(crate) use channelwise::store::pictures::Resolution;
pub(crate) use npy::Numbers;
pub(crate) use target::{Kind, Target};
pub(crate) use tensor::{Sample, Tensor, Type, mapped, with_array, with_type};
pub(crate) use tiff::left_out;

/// What the first channels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colours {
    Rgb,
    /// Grey, or bands of any other meaning.
    Grey,
    Unsaid,
}

/// What the last channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpha {
    /// Alpha, by which the colours are not multiplied.
    Last,
    None,
    Unsaid,
}

/// What channels mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    pub(crate) colours: Colours,
    pub(crate) alpha: Alpha,
}

impl Channels {
    pub(crate) const UNSAID: Self = Self { colours: Colours::Unsaid, alpha: Alpha::Unsaid };
}

/// What a file says beside its pixels, where both formats have a place for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Meta {
    /// A profile (ICC) of the colours that the pixels have now.
    pub(crate) icc: Option<Vec<u8>>,
    /// Exif, whose orientation is upright, as the pixels are.
    pub(crate) exif: Option<Vec<u8>>,
    pub(crate) resolution: Option<Resolution>,
    /// What the header of a cube says of its bands and places.
    pub(crate) envi: envi::Keys,
}

/// Which pages of a file are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Pages {
    /// The first
    #[default]
    First,
    /// All, as a batch
    All,
}

/// What kind of data a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Numbers, whose axes mean what `--layout` says.
    Array,
    /// Pixels.
    Image,
    /// Numbers, whose axes the file names.
    Cube,
}

/// What a file held.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) tensor: Tensor,
    pub(crate) source: Source,
    pub(crate) channels: Channels,
    pub(crate) meta: Meta,
    /// What is to be said of how it was read.
    pub(crate) notes: Vec<String>,
}

impl Input {
    pub(crate) fn is_image(&self) -> bool {
        self.source == Source::Image
    }

    /// Pixels of 16 bits as bytes, 65535 as 255.
    pub(crate) fn in_bytes(self) -> Result<Self> {
        Ok(match self.tensor {
            Tensor::U16(pixels) if self.source == Source::Image => {
                let byte = |v: &u16| ((u32::from(*v) + 128) / 257) as u8;
                let bytes = mapped("pixels in 8 bits", &pixels, byte)?;
                Self { tensor: Tensor::U8(bytes), ..self }
            }
            _ => self,
        })
    }
}

/// Standard input and output where a file is asked for.
pub(crate) const STANDARD: &str = "-";

/// Reads an image, an ENVI cube or a `.npy` file, or standard input; what it is its first bytes tell, not its
/// name, but for samples that have a header beside them. Only cubes have axes that `layout` turns.
pub(crate) fn read(path: &Path, pages: Pages, layout: Layout) -> Result<Input> {
    let no_pages = |path: &Path, kind: &str| match pages {
        Pages::First => Ok(()),
        Pages::All => {
            let path = path.display();
            Err(Failure::usage(format!("--pages is for images, and {path} is {kind}")))
        }
    };
    let (path, bytes) = if path.as_os_str() == STANDARD {
        let (path, mut bytes) = (Path::new("standard input"), Vec::new());
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|error| Failure::reading(path, error))?;
        if envi::is_header(&bytes) {
            return Err(Failure::reading(path, "it is an ENVI header, whose data are elsewhere"));
        }
        (path, bytes)
    } else {
        let may_be_cube = Kind::of(&extension(path)).is_none_or(Kind::is_cube);
        if let Some(header) = envi::header_of(path).filter(|_| may_be_cube) {
            no_pages(path, "an ENVI cube")?;
            return envi::read(path, &header, layout);
        }
        (path, bytes(path)?)
    };
    if npy::is_npy(&bytes) || extension(path) == "npy" {
        no_pages(path, ".npy")?;
        let (tensor, note) = npy::read(path, &bytes)?;
        let notes = note.into_iter().collect();
        let (channels, meta) = (Channels::UNSAID, Meta::default());
        return Ok(Input { tensor, source: Source::Array, channels, meta, notes });
    }
    if is_tiff(&bytes) {
        return tiff::read(&bytes, pages).map_err(|why| Failure::reading(path, why));
    }
    let (tensor, meta, notes) = guarded(|| picture::read(path, &bytes))
        .unwrap_or_else(|defect| Err(Failure::reading(path, defect)))?;
    let channels = match tensor.shape() {
        [.., 2] => Channels { colours: Colours::Grey, alpha: Alpha::Last },
        [.., 3] => Channels { colours: Colours::Rgb, alpha: Alpha::None },
        [.., 4] => Channels { colours: Colours::Rgb, alpha: Alpha::Last },
        _ => Channels { colours: Colours::Grey, alpha: Alpha::None },
    };
    let tensor = if pages == Pages::All { tensor.in_batch() } else { tensor };
    Ok(Input { tensor, source: Source::Image, channels, meta, notes })
}

/// Reads weights from a `.npy` file.
pub(crate) fn read_numbers(path: &Path) -> Result<Numbers> {
    let numbers = npy::read_numbers(path, &bytes(path)?)?;
    if let Some(note) = &numbers.note {
        say(&format!("note: {}: {note}", path.display()));
    }
    Ok(numbers)
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Failure::reading(path, error))
}

/// Whether a path is that of a Zarr array, which is a folder.
pub(crate) fn is_zarr(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zarr"))
}

/// Lower-case, without the dot; empty if there is none.
fn extension(path: &Path) -> String {
    path.extension().map_or(String::new(), |e| e.to_string_lossy().to_ascii_lowercase())
}

/// A shape known to have four axes.
pub(crate) fn four(dims: &[usize]) -> [usize; 4] {
    match *dims {
        [a, b, c, d] => [a, b, c, d],
        _ => [0; 4],
    }
}

/// With the axes of batch and channels that it may lack, in the layout's order.
pub(crate) fn four_axes(x: Tensor, layout: Layout) -> Result<Tensor> {
    let full = match (x.shape(), layout) {
        (&[h, w], Layout::Nchw) => [1, 1, h, w],
        (&[h, w], _) => [1, h, w, 1],
        (&[a, b, c], _) => [1, a, b, c],
        (&[a, b, c, d], _) => [a, b, c, d],
        (other, _) => {
            return Err(Failure::usage(format!(
                "the input has {} axes {other:?}; two to four are needed: [H,W], [H,W,C] or \
                 [N,H,W,C]",
                other.len()
            )));
        }
    };
    x.in_order().with_axes(&full)
}

/// With as many axes as the input had, or one more where its channels became several.
pub(crate) fn axes_like(input: &[usize], output: [usize; 4], layout: Layout) -> Vec<usize> {
    let [n, a, b, c] = output;
    match (input.len(), layout) {
        (2, Layout::Nchw) if a == 1 => vec![b, c],
        (2, Layout::Nhwc) if c == 1 => vec![a, b],
        (2 | 3, _) => vec![a, b, c],
        _ => vec![n, a, b, c],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use channelwise::ndarray::ArrayD;

    #[test]
    fn sixteen_bits_round() {
        let pixels = ArrayD::from_shape_vec(vec![7], vec![0, 128, 129, 257, 385, 386, 65_535]);
        let deep = Input {
            tensor: Tensor::U16(pixels.unwrap()),
            source: Source::Image,
            channels: Channels::UNSAID,
            meta: Meta::default(),
            notes: Vec::new(),
        };
        let bytes = ArrayD::from_shape_vec(vec![7], vec![0, 0, 1, 1, 1, 2, 255]).unwrap();
        assert_eq!(deep.in_bytes().unwrap().tensor, Tensor::U8(bytes));
    }
}
