//! Where ndarray stops: arrays as shapes and slices.

use std::ops::{Deref, DerefMut};

use ndarray::{Array, ArrayD, ArrayRef, ArrayViewD, Axis, Dimension, Ix2, Ix3, Ix4, IxDyn};

use crate::cpu;
use crate::{Element, Error, Layout, Result, Shape};

mod sealed {
    pub trait Sealed {}
    impl Sealed for ndarray::Ix2 {}
    impl Sealed for ndarray::Ix3 {}
    impl Sealed for ndarray::Ix4 {}
}

/// The number of axes of a tensor: two (`[height, width]`), three (with channels) or four (with
/// batch and channels).
///
/// ```
/// use channelwise::{Axes, Conv2d, Engine};
/// use ndarray::{Array, Array2, Array4};
/// # fn main() -> channelwise::Result<()> {
///
/// // Of two, three or four axes.
/// fn twice<D: Axes>(conv: &Conv2d, x: &Array<f32, D>) -> channelwise::Result<Array<f32, D>> {
///     Engine::cpu().run(conv, &Engine::cpu().run(conv, x)?)
/// }
///
/// let same = Conv2d::new(channelwise::Kernel::identity());
/// assert_eq!(twice(&same, &Array2::ones((4, 5)))?, Array2::<f32>::ones((4, 5)));
/// assert_eq!(twice(&same, &Array4::ones((1, 4, 5, 2)))?, Array4::<f32>::ones((1, 4, 5, 2)));
/// # Ok(()) }
/// ```
pub trait Axes: Dimension + sealed::Sealed {}
impl Axes for Ix2 {}
impl Axes for Ix3 {}
impl Axes for Ix4 {}

/// `len` elements, where there is memory for them.
pub(super) fn zeroed<T: Element>(what: &'static str, len: usize) -> Result<Vec<T>> {
    let bytes = (len as u64).saturating_mul(T::TYPE.bytes() as u64);
    let mut made = bytemuck::allocation::try_zeroed_vec(len)
        .map_err(|()| Error::out_of_host_memory(what, bytes))?;
    cpu::large_pages(bytemuck::cast_slice_mut(&mut made));
    Ok(made)
}

/// Room for elements of any type, as bytes.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// So that they begin where elements may.
    words: Vec<u64>,
    bytes: usize,
}

impl Room {
    /// So many bytes, where there is memory for them.
    pub(crate) fn new(what: &'static str, bytes: usize) -> Result<Self> {
        let words = bytemuck::allocation::try_zeroed_vec(bytes.div_ceil(8))
            .map_err(|()| Error::out_of_host_memory(what, bytes as u64))?;
        let mut room = Self { words, bytes };
        cpu::large_pages(&mut room);
        Ok(room)
    }

    /// The same memory for another number of bytes, if it has as many.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn of(self, bytes: usize) -> std::result::Result<Self, Self> {
        if bytes <= 8 * self.words.len() { Ok(Self { bytes, ..self }) } else { Err(self) }
    }

    /// What it can hold.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn capacity(&self) -> usize {
        8 * self.words.len()
    }
}

impl Deref for Room {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.bytes]
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.bytes]
    }
}

/// An array of the shape of `like` in standard layout.
pub(super) fn standard<T: Element, D: Axes>(
    what: &'static str,
    like: &ArrayRef<T, D>,
) -> Result<Array<T, D>> {
    let shape = shape_of(like)?;
    Array::from_shape_vec(like.raw_dim(), zeroed(what, like.len())?)
        .map_err(|_| mismatch(what, shape, like.shape()))
}

/// The elements of `array` in standard order, copied into `room` where they do not lie so.
pub(super) fn in_order<'a, T: Element, D: Axes>(
    array: &'a ArrayRef<T, D>,
    room: &'a mut Option<Array<T, D>>,
) -> Result<&'a [T]> {
    if let Some(all) = array.as_slice() {
        return Ok(all);
    }
    let whole = room.insert(standard("a copy of the input", array)?);
    whole.assign(array);
    // A standard layout is always a slice.
    Ok(whole.as_slice().unwrap_or_default())
}

/// Bytes from which on a row is read where it lies: to find a shorter one takes as long as to copy it, and a list of
/// all of them as much room.
pub(super) const LONG_ROW: usize = 256;

/// A list for so many rows, where there is memory for it.
pub(super) fn room_for_rows<'a>(count: usize) -> Option<Vec<&'a [u8]>> {
    let mut rows = Vec::new();
    rows.try_reserve_exact(count).ok()?;
    Some(rows)
}

/// The rows of `array` in order, where these do not follow one another and each lies in one piece: what is along
/// the width, with the channels of NHWC.
pub(super) fn rows<T: Element, D: Axes>(
    array: &ArrayRef<T, D>,
    layout: Layout,
) -> Option<Vec<&[u8]>> {
    fn add<'a, T: Element>(
        part: ArrayViewD<'a, T>,
        axes: usize,
        rows: &mut Vec<&'a [u8]>,
    ) -> Option<()> {
        if part.ndim() == axes {
            let row = bytemuck::cast_slice::<T, u8>(part.to_slice()?);
            rows.push(row);
            return Some(());
        }
        (0..part.len_of(Axis(0)))
            .try_for_each(|at| add(part.clone().index_axis_move(Axis(0), at), axes, rows))
    }
    let axes = if layout == Layout::Nhwc && array.ndim() > 2 { 2 } else { 1 };
    let (outer, inner) = array.shape().split_at(array.ndim() - axes);
    let bytes = inner.iter().product::<usize>() * T::TYPE.bytes();
    if array.as_slice().is_some() || bytes < LONG_ROW {
        return None;
    }
    let mut rows = room_for_rows(outer.iter().product())?;
    add(array.view().into_dyn(), axes, &mut rows)?;
    Some(rows)
}

/// A new array of this shape.
pub(super) fn of_shape<T: Element, D: Axes>(
    what: &'static str,
    shape: Shape,
) -> Result<Array<T, D>> {
    let len = shape.elements().unwrap_or(usize::MAX);
    ArrayD::from_shape_vec(IxDyn(shape.dims()), zeroed(what, len)?)
        .and_then(ArrayD::into_dimensionality::<D>)
        // Outputs have as many axes as inputs.
        .map_err(|_| mismatch(what, shape, &[]))
}

pub(super) fn shape_of<T, D: Axes>(array: &ArrayRef<T, D>) -> Result<Shape> {
    Shape::from_dims(array.shape())
        .ok_or_else(|| Error::argument("number of axes", array.ndim(), "a tensor has two to four"))
}

pub(super) fn mismatch(what: &'static str, expected: Shape, found: &[usize]) -> Error {
    Error::ShapeMismatch { what, expected: expected.dims().to_vec(), found: found.to_vec() }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array4, s};

    use super::*;

    /// Rows that lie apart are where they are in what a view is of, in its order; others are not found, for
    /// they have to be copied.
    #[test]
    fn rows_are_those_of_a_view() {
        let all = Array4::from_shape_fn((2, 5, 40, 3), |(n, h, w, c)| (n + 2 * h + w + c) as f32);
        let crop = all.slice(s![.., 1..;-2, 3..33, ..]);
        let found = rows(&crop, Layout::Nhwc).unwrap();
        assert_eq!(found.len(), 4);
        for (n, row) in found.into_iter().enumerate() {
            let (image, row_of) = (n / 2, 4 - 2 * (n % 2));
            let there = all.slice(s![image, row_of, 3..33, ..]);
            assert_eq!(row.as_ptr(), there.as_ptr().cast(), "{n}");
            assert_eq!(row.len(), 30 * 3 * 4);
        }
        // The same as planes of rows of three, which are short, and along an axis that has gaps.
        assert!(rows(&crop, Layout::Nchw).is_none());
        assert!(rows(&all.slice(s![.., .., ..;2, ..]), Layout::Nhwc).is_none());
        assert!(rows(&all, Layout::Nhwc).is_none());
        let grey = Array2::<u8>::zeros((300, 400));
        assert_eq!(rows(&grey.slice(s![..7, 1..]), Layout::Nhwc).unwrap().len(), 7);
        assert!(rows(&grey.t(), Layout::Nhwc).is_none());
    }
}
