//! Gradients.

use channelwise::ndarray::Array3;
use channelwise::{Conv2d, ElementType, Engine};
use numpy::{PyArray, PyUntypedArrayMethods, ToPyArray};
use pyo3::prelude::*;

use crate::elements::with_type;
use crate::failure::{raised, refused};
use crate::filter::reshaped;
use crate::given::Given;
use crate::memory::Lent;
use crate::options::Like;

/// Of the input in its shape, of the kernel in its, of the bias, and of a pointwise step's weights and bias.
pub type Gradients = (Py<PyAny>, Py<PyAny>, Py<PyAny>, Option<(Py<PyAny>, Py<PyAny>)>);

/// `kernel`: the axes that it was given with, and how these are read.
pub fn backward<'py>(
    engine: &Engine,
    conv: &Conv2d,
    x: &Bound<'py, PyAny>,
    grad: &Bound<'py, PyAny>,
    kernel: (usize, Like),
) -> PyResult<Gradients> {
    let (py, layout) = (x.py(), conv.get_layout());
    let given = Given::new("x", x)?;
    let x = Lent::of("x", &given.array, layout)?;
    let grad = Given::new("grad", grad)?;
    let axes = given.array.ndim();
    if grad.array.ndim() != axes {
        let found = format!("an array of {} axes", grad.array.ndim());
        return Err(refused("grad", found, "as many axes as those of x are needed"));
    }
    let grad = Lent::of("grad", &grad.array, layout)?;
    if grad.element != ElementType::F32 {
        return Err(refused("grad", grad.element, "float32 is needed: gradients are"));
    }
    let made = with_type!(x.element, T => {
        let (view, dy) = (x.view::<T>()?, grad.view::<f32>()?);
        py.detach(|| engine.backward(conv, &view, &dy)).map_err(raised)
    })?;
    let input = PyArray::from_owned_array(py, made.input).into_any();
    let input = given.give(reshaped(&input, x.shape(), axes, layout)?)?;
    let weights = made.weights;
    let pointwise = weights.pointwise.map(|step| {
        let [weights, bias] =
            [step.weights.to_pyarray(py).into_any(), step.bias.to_pyarray(py).into_any()];
        (weights.unbind(), bias.unbind())
    });
    let kernel = in_shape(py, weights.kernel, kernel)?;
    Ok((
        input.unbind(),
        kernel.unbind(),
        weights.bias.to_pyarray(py).into_any().unbind(),
        pointwise,
    ))
}

/// The gradient of a kernel in the shape that the kernel had.
fn in_shape(
    py: Python<'_>,
    made: Array3<f32>,
    (axes, like): (usize, Like),
) -> PyResult<Bound<'_, PyAny>> {
    let (h, w, f) = made.dim();
    let made = made.to_pyarray(py).into_any();
    match (axes, like) {
        (2, _) => made.call_method1("reshape", ((h, w),)),
        (4, Like::PyTorch) => {
            made.call_method1("transpose", (2, 0, 1))?.call_method1("reshape", ((f, 1, h, w),))
        }
        (4, _) => made.call_method1("reshape", ((h, w, 1, f),)),
        _ => Ok(made),
    }
}
