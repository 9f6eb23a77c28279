//! Arrays of NumPy as views of ndarray: the only place where memory of others is touched.
//!
//! Whoever holds a [`Lent`] holds a reference to its array, so the memory stays. What Python may do all the same, on
//! another thread while the interpreter's lock is given away, is to write what is being read, or to read what is being
//! written: then values are old or new ones, as with every function of NumPy that gives the lock away.

use channelwise::ndarray::{ArrayView4, ArrayViewMut4, Axis, IxDyn, RawArrayView, RawArrayViewMut};
use channelwise::ndarray::{Ix4, ShapeBuilder};
use channelwise::{Element, ElementType, Layout, Shape};
use numpy::npyffi::{NPY_ARRAY_ALIGNED, NPY_ARRAY_WRITEABLE};
use numpy::{
    PyArrayDescrMethods, PyArrayDyn, PyUntypedArray, PyUntypedArrayMethods, get_array_module,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::elements::{dtype_of, element_of, with_type};
use crate::failure::refused;

/// An array of two to four axes as one of four: `[batch, height, width, channels]` or
/// `[batch, channels, height, width]`, as its layout is.
#[derive(Debug)]
pub struct Lent<'py> {
    array: Bound<'py, PyUntypedArray>,
    pub element: ElementType,
    shape: [usize; 4],
    /// In elements.
    strides: [isize; 4],
}

impl<'py> Lent<'py> {
    /// An array that may lie anyhow; it is copied only where its elements are not whole numbers of elements apart, or
    /// their bytes in another order.
    pub fn of(
        argument: &str,
        array: &Bound<'py, PyUntypedArray>,
        layout: Layout,
    ) -> PyResult<Self> {
        four_axes(argument, array.shape(), layout)?;
        let element = element_of(argument, &array.dtype())?;
        match Self::where_it_lies(array, element, layout)? {
            Some(there) => Ok(there),
            None => {
                let py = array.py();
                let native = PyDict::new(py);
                native.set_item("dtype", array.dtype().call_method1("newbyteorder", ("=",))?)?;
                native.set_item("order", "C")?;
                let copy = get_array_module(py)?.call_method("array", (array,), Some(&native))?;
                let copy = copy.cast_into::<PyUntypedArray>()?;
                let there = Self::where_it_lies(&copy, element, layout)?;
                there.ok_or_else(|| refused(argument, "the array", "its elements must be aligned"))
            }
        }
    }

    /// A new array of zeros.
    pub fn new(
        py: Python<'py>,
        element: ElementType,
        dims: &[usize],
        layout: Layout,
    ) -> PyResult<Self> {
        /// From here on NumPy is asked in a way that can fail.
        const LARGE: usize = 1 << 20;
        let bytes = dims.iter().try_fold(element.bytes(), |all, n| all.checked_mul(*n));
        let array = if bytes.is_some_and(|bytes| bytes < LARGE) {
            with_type!(element, T => {
                Ok(PyArrayDyn::<T>::zeros(py, IxDyn(dims), false).into_any())
            })?
        } else {
            let dtype = dtype_of(py, element)?;
            get_array_module(py)?.call_method1("zeros", (dims.to_vec(), dtype))?
        };
        let array = array.cast_into::<PyUntypedArray>()?;
        let there = Self::where_it_lies(&array, element, layout)?;
        there.ok_or_else(|| refused("shape", format!("{dims:?}"), "two to four axes are needed"))
    }

    /// The array, if a view of ndarray can be made of it.
    pub fn where_it_lies(
        array: &Bound<'py, PyUntypedArray>,
        element: ElementType,
        layout: Layout,
    ) -> PyResult<Option<Self>> {
        let bytes = element.bytes() as isize;
        let whole = array.strides().iter().all(|stride| stride % bytes == 0);
        let swapped = array.dtype().is_native_byteorder() == Some(false);
        if !whole || swapped || !has(array, NPY_ARRAY_ALIGNED) {
            return Ok(None);
        }
        let (dims, steps) = (array.shape(), array.strides());
        let mut shape = [1; 4];
        // An axis that is not there has one place, and so no stride.
        let mut strides = [0; 4];
        for (axis, (n, step)) in places(dims.len(), layout).zip(dims.iter().zip(steps)) {
            (shape[axis], strides[axis]) = (*n, step / bytes);
        }
        Ok(Some(Self { array: array.clone(), element, shape, strides }))
    }

    /// The shape with all four axes.
    pub fn shape(&self) -> Shape {
        self.shape.into()
    }

    /// The array itself.
    pub fn array(&self) -> &Bound<'py, PyUntypedArray> {
        &self.array
    }

    /// Whether no two of its elements lie in one place, so that all may be written.
    pub fn is_apart(&self) -> bool {
        if self.shape.contains(&0) {
            return true;
        }
        let mut axes: Vec<(usize, usize)> =
            self.strides.iter().zip(self.shape).map(|(s, n)| (s.unsigned_abs(), n)).collect();
        axes.sort_unstable();
        let mut reach = 1;
        for (stride, n) in axes.into_iter().filter(|(_, n)| *n > 1) {
            if stride < reach {
                return false;
            }
            reach = stride.saturating_mul(n);
        }
        true
    }

    /// Whether both may share memory.
    pub fn meets(&self, other: &Self) -> bool {
        let (one, two) = (self.bounds(), other.bounds());
        one.0 < two.1 && two.0 < one.1
    }

    /// The first of its bytes and the end of them.
    fn bounds(&self) -> (usize, usize) {
        if self.shape.contains(&0) {
            return (0, 0);
        }
        let bytes = self.element.bytes();
        let (mut first, mut end) = (self.data() as usize, self.data() as usize + bytes);
        for (n, stride) in self.shape.iter().zip(self.strides) {
            let reach = (n - 1) * stride.unsigned_abs() * bytes;
            if stride < 0 { first -= reach } else { end += reach }
        }
        (first, end)
    }

    fn data(&self) -> *mut u8 {
        #[expect(unsafe_code, reason = "NumPy says where its memory is")]
        // SAFETY: the pointer is that of an array which `self.array` holds a reference to.
        unsafe {
            (*self.array.as_array_ptr()).fields.data.cast()
        }
    }

    /// Its elements, to be read.
    pub fn view<T: Element>(&self) -> PyResult<ArrayView4<'_, T>> {
        let (start, strides, backwards) = self.forwards::<T>()?;
        #[expect(unsafe_code, reason = "the memory is NumPy's")]
        // SAFETY: NumPy's pointer, shape and strides describe elements of one allocation that lives as long as
        // `self.array`, which outlives the view. They are aligned and of this type: `forwards` compares the type, and
        // `where_it_lies` took no other. All bit patterns are values of it. `start` is the lowest of them.
        let mut view = unsafe {
            RawArrayView::<T, Ix4>::from_shape_ptr(self.shape.strides(strides), start)
                .deref_into_view()
        };
        backwards.for_each(|axis| view.invert_axis(Axis(axis)));
        Ok(view)
    }

    /// Its elements, to be written.
    pub fn view_mut<T: Element>(&mut self) -> PyResult<ArrayViewMut4<'_, T>> {
        if !is_writeable(&self.array) || !self.is_apart() {
            return Err(refused("out", "this array", "one that can be written is needed"));
        }
        let (start, strides, backwards) = self.forwards::<T>()?;
        #[expect(unsafe_code, reason = "the memory is NumPy's")]
        // SAFETY: as in `view`, and no two elements share a place; callers read no array that meets this one.
        let mut view = unsafe {
            RawArrayViewMut::<T, Ix4>::from_shape_ptr(self.shape.strides(strides), start.cast_mut())
                .deref_into_view_mut()
        };
        backwards.for_each(|axis| view.invert_axis(Axis(axis)));
        Ok(view)
    }

    /// Where the lowest of its elements lies, strides all of which go upwards, and the axes that run the other way.
    fn forwards<T: Element>(
        &self,
    ) -> PyResult<(*const T, [usize; 4], impl Iterator<Item = usize> + use<T>)> {
        if T::TYPE != self.element {
            return Err(refused("dtype", self.element, "another was prepared for"));
        }
        let strides = self.strides;
        let back: isize = self
            .shape
            .iter()
            .zip(strides)
            .map(|(n, stride)| (n.saturating_sub(1)) as isize * stride.min(0))
            .sum();
        let start = self.data().cast::<T>().wrapping_offset(back).cast_const();
        let backwards = (0..4).filter(move |axis| strides[*axis] < 0);
        Ok((start, strides.map(isize::unsigned_abs), backwards))
    }
}

/// Which of four axes those of an array are.
fn places(axes: usize, layout: Layout) -> impl Iterator<Item = usize> {
    let places: &[usize] = match (axes, layout) {
        (2, Layout::Nchw) => &[2, 3],
        (2, _) => &[1, 2],
        (3, _) => &[1, 2, 3],
        _ => &[0, 1, 2, 3],
    };
    places.iter().copied()
}

/// A shape with all four axes as one of so many.
pub fn dims_of(shape: Shape, axes: usize, layout: Layout) -> Vec<usize> {
    places(axes, layout).filter_map(|axis| shape.dims().get(axis).copied()).collect()
}

/// A shape of two to four axes with all four.
pub fn four_axes(argument: &str, dims: &[usize], layout: Layout) -> PyResult<Shape> {
    if !(2..=4).contains(&dims.len()) {
        let limit = "an array of two to four axes is needed";
        return Err(refused(argument, format!("{} axes", dims.len()), limit));
    }
    let mut shape = [1; 4];
    places(dims.len(), layout).zip(dims).for_each(|(axis, n)| shape[axis] = *n);
    Ok(shape.into())
}

/// Whether it may be written.
pub fn is_writeable(array: &Bound<'_, PyUntypedArray>) -> bool {
    has(array, NPY_ARRAY_WRITEABLE)
}

fn has(array: &Bound<'_, PyUntypedArray>, flag: std::ffi::c_int) -> bool {
    #[expect(unsafe_code, reason = "NumPy says what its array is")]
    // SAFETY: the pointer is that of an array which `array` holds a reference to.
    let flags = unsafe { (*array.as_array_ptr()).fields.flags };
    flags & flag != 0
}
