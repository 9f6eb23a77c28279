//! Where ndarray stops: arrays as shapes and slices.

use ndarray::{Array, ArrayD, ArrayRef, Dimension, Ix2, Ix3, Ix4, IxDyn};

use crate::cpu;
use crate::{Element, Error, Result, Shape};

mod sealed {
    pub trait Sealed {}
    impl Sealed for ndarray::Ix2 {}
    impl Sealed for ndarray::Ix3 {}
    impl Sealed for ndarray::Ix4 {}
}

/// The number of axes of a tensor: two (`[height, width]`), three (with channels) or four (with
/// batch and channels).
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
