//! Tensors from and into files: `.npy` and images.

mod npy;
mod picture;
mod target;

use std::path::Path;

use channelwise::ndarray::{Array4, ArrayD, IxDyn};
use channelwise::{Element, ElementType, Layout, f16};

use crate::failure::{Failure, Result};
pub(crate) use target::Target;

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

/// Reads an image or `.npy` file; what it is its first bytes tell, not its name.
pub(crate) fn read(path: &Path) -> Result<Input> {
    let bytes = bytes(path)?;
    if npy::is_npy(&bytes) || extension(path) == "npy" {
        return Ok(Input { tensor: npy::read(path, &bytes)?, is_image: false });
    }
    Ok(Input { tensor: picture::read(path, &bytes)?, is_image: true })
}

/// Reads weights from a `.npy` file.
pub(crate) fn read_numbers(path: &Path) -> Result<ArrayD<f32>> {
    npy::read_weights(path, &bytes(path)?)
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

/// The same elements with those axes.
pub(crate) fn reshaped<T>(y: Array4<T>, axes: &[usize]) -> Result<ArrayD<T>> {
    y.into_shape_with_order(IxDyn(axes)).map_err(|error| Failure::work(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_round() {
        let pixels = ArrayD::from_shape_vec(vec![7], vec![0, 128, 129, 257, 385, 386, 65_535]);
        let deep = Input { tensor: Tensor::U16(pixels.unwrap()), is_image: true };
        let bytes = ArrayD::from_shape_vec(vec![7], vec![0, 0, 1, 1, 1, 2, 255]).unwrap();
        assert_eq!(deep.in_bytes().tensor, Tensor::U8(bytes));
    }
}
