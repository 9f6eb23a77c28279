//! Tensors from and into files: `.npy`, TIFF and other images.
//!
//! ```text
//! read ── npy, tiff, picture ── guard (decoders' panics), memory
//! target ── npy, tiff, picture
//! ```

mod guard;
mod memory;
mod npy;
mod picture;
mod resolution;
mod target;
mod tiff;

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use bytemuck::Pod;
use channelwise::ndarray::{Array4, ArrayD, Axis};
use channelwise::{Element, ElementType, Layout, f16};

use crate::failure::{Failure, Result, say};
pub(crate) use guard::is_guarded;
pub(crate) use resolution::Resolution;
pub(crate) use target::{Kind, Target};

/// Elements of any type; any number of axes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tensor {
    F32(ArrayD<f32>),
    U8(ArrayD<u8>),
    U16(ArrayD<u16>),
    F16(ArrayD<f16>),
}

impl Tensor {
    pub(crate) fn kind(&self) -> ElementType {
        match self {
            Self::F32(_) => ElementType::F32,
            Self::U8(_) => ElementType::U8,
            Self::U16(_) => ElementType::U16,
            Self::F16(_) => ElementType::F16,
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::F32(x) => x.shape(),
            Self::U8(x) => x.shape(),
            Self::U16(x) => x.shape(),
            Self::F16(x) => x.shape(),
        }
    }

    /// The elements, the last axis first, in this machine's order of bytes.
    fn bytes(&self) -> Cow<'_, [u8]> {
        fn of<T: Pod>(x: &ArrayD<T>) -> Cow<'_, [u8]> {
            match x.as_slice() {
                Some(x) => Cow::Borrowed(bytemuck::cast_slice(x)),
                None => {
                    let x: Vec<T> = x.iter().copied().collect();
                    Cow::Owned(bytemuck::cast_slice(&x).to_vec())
                }
            }
        }
        match self {
            Self::F32(x) => of(x),
            Self::U8(x) => of(x),
            Self::U16(x) => of(x),
            Self::F16(x) => of(x),
        }
    }

    /// The same elements with those axes.
    pub(crate) fn with_axes(self, axes: &[usize]) -> Result<Self> {
        fn of<T: Sample>(x: ArrayD<T>, axes: &[usize]) -> Result<Tensor> {
            let x = x.into_shape_with_order(axes);
            x.map(T::tensor).map_err(|error| Failure::work(error.to_string()))
        }
        match self {
            Self::F32(x) => of(x, axes),
            Self::U8(x) => of(x, axes),
            Self::U16(x) => of(x, axes),
            Self::F16(x) => of(x, axes),
        }
    }

    /// As the only one of a batch.
    fn in_batch(self) -> Self {
        match self {
            Self::F32(x) => Self::F32(x.insert_axis(Axis(0))),
            Self::U8(x) => Self::U8(x.insert_axis(Axis(0))),
            Self::U16(x) => Self::U16(x.insert_axis(Axis(0))),
            Self::F16(x) => Self::F16(x.insert_axis(Axis(0))),
        }
    }
}

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

/// An element type as part of a [`Tensor`].
pub(crate) trait Sample: Element {
    fn tensor(array: ArrayD<Self>) -> Tensor;
}

impl Sample for f32 {
    fn tensor(array: ArrayD<Self>) -> Tensor {
        Tensor::F32(array)
    }
}

impl Sample for u8 {
    fn tensor(array: ArrayD<Self>) -> Tensor {
        Tensor::U8(array)
    }
}

impl Sample for u16 {
    fn tensor(array: ArrayD<Self>) -> Tensor {
        Tensor::U16(array)
    }
}

impl Sample for f16 {
    fn tensor(array: ArrayD<Self>) -> Tensor {
        Tensor::F16(array)
    }
}

/// What a file held.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) tensor: Tensor,
    pub(crate) is_image: bool,
    pub(crate) channels: Channels,
    pub(crate) meta: Meta,
    /// What is to be said of how it was read.
    pub(crate) notes: Vec<String>,
}

impl Input {
    /// Pixels of 16 bits as bytes, 65535 as 255.
    pub(crate) fn in_bytes(self) -> Self {
        match self.tensor {
            Tensor::U16(pixels) if self.is_image => {
                let byte = |v| ((u32::from(v) + 128) / 257) as u8;
                Self { tensor: Tensor::U8(pixels.mapv(byte)), ..self }
            }
            _ => self,
        }
    }
}

/// What is said of pictures in inks.
const CMYK: &str = "its CMYK colours are turned to RGB, without a profile";

/// Standard input and output where a file is asked for.
pub(crate) const STANDARD: &str = "-";

/// Reads an image or `.npy` file, or standard input; what it is its first bytes tell, not its name.
pub(crate) fn read(path: &Path, pages: Pages) -> Result<Input> {
    let (path, bytes) = if path.as_os_str() == STANDARD {
        let (path, mut bytes) = (Path::new("standard input"), Vec::new());
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|error| Failure::reading(path, error))?;
        (path, bytes)
    } else {
        (path, bytes(path)?)
    };
    if npy::is_npy(&bytes) || extension(path) == "npy" {
        if pages != Pages::First {
            let path = path.display();
            return Err(Failure::usage(format!("--pages is for images, and {path} is .npy")));
        }
        let (tensor, note) = npy::read(path, &bytes)?;
        let notes = note.into_iter().collect();
        let (channels, meta) = (Channels::UNSAID, Meta::default());
        return Ok(Input { tensor, is_image: false, channels, meta, notes });
    }
    if tiff::is_tiff(&bytes) {
        return tiff::read(&bytes, pages).map_err(|why| Failure::reading(path, why));
    }
    let (tensor, meta, notes) = guard::guarded(|| picture::read(path, &bytes))
        .unwrap_or_else(|defect| Err(Failure::reading(path, defect)))?;
    let channels = match tensor.shape() {
        [.., 2] => Channels { colours: Colours::Grey, alpha: Alpha::Last },
        [.., 3] => Channels { colours: Colours::Rgb, alpha: Alpha::None },
        [.., 4] => Channels { colours: Colours::Rgb, alpha: Alpha::Last },
        _ => Channels { colours: Colours::Grey, alpha: Alpha::None },
    };
    let tensor = if pages == Pages::All { tensor.in_batch() } else { tensor };
    Ok(Input { tensor, is_image: true, channels, meta, notes })
}

/// Reads weights from a `.npy` file; a note says where f32 does not hold them.
pub(crate) fn read_numbers(path: &Path) -> Result<ArrayD<f32>> {
    let (weights, note) = npy::read_weights(path, &bytes(path)?)?;
    if let Some(note) = note {
        say(&format!("note: {}: {note}", path.display()));
    }
    Ok(weights)
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| Failure::reading(path, error))
}

/// Lower-case, without the dot; empty if there is none.
fn extension(path: &Path) -> String {
    path.extension().map_or(String::new(), |e| e.to_string_lossy().to_ascii_lowercase())
}

/// With the axes of batch and channels that it may lack, in the layout's order.
pub(crate) fn four_axes<T: Clone>(x: ArrayD<T>, layout: Layout) -> Result<Array4<T>> {
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
    let x = if x.is_standard_layout() { x } else { x.as_standard_layout().into_owned() };
    x.into_shape_with_order(full).map_err(|error| Failure::work(error.to_string()))
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

    #[test]
    fn sixteen_bits_round() {
        let pixels = ArrayD::from_shape_vec(vec![7], vec![0, 128, 129, 257, 385, 386, 65_535]);
        let deep = Input {
            tensor: Tensor::U16(pixels.unwrap()),
            is_image: true,
            channels: Channels::UNSAID,
            meta: Meta::default(),
            notes: Vec::new(),
        };
        let bytes = ArrayD::from_shape_vec(vec![7], vec![0, 0, 1, 1, 1, 2, 255]).unwrap();
        assert_eq!(deep.in_bytes().tensor, Tensor::U8(bytes));
    }
}
