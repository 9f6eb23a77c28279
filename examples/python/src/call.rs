//! One call: arrays in and out.

use channelwise::{Conv2d, ElementType, Problem, Shape};
use numpy::{PyUntypedArray, PyUntypedArrayMethods, get_array_module};
use pyo3::prelude::*;

use crate::elements::element_named;
use crate::failure::{raised, refused};
use crate::filter::{Filter, reshaped};
use crate::given::Given;
use crate::memory::{Lent, dims_of, four_axes};

/// What is computed, of arrays of which shape and types.
#[derive(Clone, Debug)]
pub struct Spec {
    pub conv: Conv2d,
    /// As the caller has it.
    pub dims: Vec<usize>,
    /// With four axes.
    pub shape: Shape,
    pub input: ElementType,
    pub output: ElementType,
}

impl Spec {
    pub fn new(
        conv: Conv2d,
        dims: &[usize],
        (input, output): (ElementType, ElementType),
    ) -> PyResult<Self> {
        let shape = four_axes("x", dims, conv.get_layout())?;
        // Two axes have no room for channels, and only a problem of two axes says so.
        if let [height, width] = *dims {
            Problem::new(&conv, [height, width], input, output).map_err(raised)?;
        }
        Ok(Self { conv, dims: dims.to_vec(), shape, input, output })
    }

    /// The shape of results for people, from that of four axes.
    pub fn dims_of(&self, shape: Shape) -> Vec<usize> {
        dims_of(shape, self.dims.len(), self.conv.get_layout())
    }

    /// Refuses an array that is not of this kind.
    pub fn check(&self, x: &Lent<'_>) -> PyResult<()> {
        let dims = x.array().shape();
        if dims != self.dims {
            let limit = format!("{:?} was prepared for", self.dims);
            return Err(refused("x", format!("an array of shape {dims:?}"), &limit));
        }
        if x.element != self.input {
            let limit = format!("{} was prepared for", self.input);
            return Err(refused("x", format!("an array of {}", x.element), &limit));
        }
        Ok(())
    }
}

/// Of a call, what may be left away.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'a, 'py> {
    pub mask: Option<&'a Bound<'py, PyAny>>,
    pub out: Option<&'a Bound<'py, PyAny>>,
}

/// Applies a filter to an array of its kind.
pub fn run<'py>(
    filter: &dyn Filter,
    spec: &Spec,
    given: Given<'py>,
    x: Lent<'py>,
    Ends { mask, out }: Ends<'_, 'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = x.array().py();
    let layout = spec.conv.get_layout();
    let (shape, axes) = (filter.output_shape(), spec.dims.len());
    if let Some(mask) = mask {
        let mask = weights(mask, spec)?;
        let made = filter.run_masked(&x, &mask)?;
        return finish(given, reshaped(&made, shape, axes, layout)?, out);
    }
    let dims = spec.dims_of(shape);
    let Some(out) = out else {
        let mut y = Lent::new(py, spec.output, &dims, layout)?;
        filter.run(py, &x, &mut y)?;
        return given.give(y.array().clone().into_any());
    };
    let place = checked(out, &dims, spec.output)?;
    match Lent::where_it_lies(&place, spec.output, layout)? {
        Some(mut y) if y.is_apart() => {
            if y.meets(&x) {
                let x = Lent::of("x", &copied(x.array())?, layout)?;
                filter.run(py, &x, &mut y)?;
            } else {
                filter.run(py, &x, &mut y)?;
            }
        }
        _ => {
            let mut y = Lent::new(py, spec.output, &dims, layout)?;
            filter.run(py, &x, &mut y)?;
            get_array_module(py)?.call_method1("copyto", (&place, y.array()))?;
        }
    }
    Ok(out.clone())
}

/// A result that was made, in the array that is to have it or as it is.
pub fn finish<'py>(
    given: Given<'py>,
    made: Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(out) = out else { return given.give(made) };
    let array = made.cast::<PyUntypedArray>()?;
    let element = element_named("dtype", &array.dtype())?;
    let place = checked(out, array.shape(), element)?;
    get_array_module(made.py())?.call_method1("copyto", (&place, array))?;
    Ok(out.clone())
}

/// Weights of values as f64, which all others become without a loss.
pub fn weights<'py>(mask: &Bound<'py, PyAny>, spec: &Spec) -> PyResult<Lent<'py>> {
    let array = Given::new("mask", mask)?.array;
    let double = numpy::PyArrayDescr::of::<f64>(mask.py());
    let array = get_array_module(mask.py())?
        .call_method1("asarray", (array, double))
        .map_err(|error| refused("mask", mask.get_type(), &error.to_string()))?;
    let mask = Lent::of("mask", &array.cast_into()?, spec.conv.get_layout())?;
    let dims = mask.array().shape();
    let plane = dims_of(spec.shape, 2, spec.conv.get_layout());
    if dims != spec.dims && dims != plane {
        let limit = format!("the input's shape {:?} or {plane:?} is needed", spec.dims);
        return Err(refused("mask", format!("an array of shape {dims:?}"), &limit));
    }
    Ok(mask)
}

/// The array that is to be written.
fn checked<'py>(
    out: &Bound<'py, PyAny>,
    dims: &[usize],
    element: ElementType,
) -> PyResult<Bound<'py, PyUntypedArray>> {
    let array = Given::new("out", out)?.array;
    if array.shape() != dims {
        let limit = format!("the output has the shape {dims:?}");
        return Err(refused("out", format!("an array of shape {:?}", array.shape()), &limit));
    }
    if element_named("out", &array.dtype())? != element {
        return Err(refused("out", array.dtype(), &format!("the output is {element}")));
    }
    if !crate::memory::is_writeable(&array) {
        return Err(refused("out", "a read-only array", "it has to be written"));
    }
    Ok(array)
}

fn copied<'py>(array: &Bound<'py, PyUntypedArray>) -> PyResult<Bound<'py, PyUntypedArray>> {
    Ok(array.call_method0("copy")?.cast_into()?)
}
