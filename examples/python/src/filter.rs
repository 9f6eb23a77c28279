//! Prepared problems of all element types as one.

use std::fmt::Debug;
use std::ops::Range;

use channelwise::ndarray::{Array4, ArrayView2, ArrayView4, Axis};
use channelwise::{Conv2d, Element, ElementType, Engine, Layout, Prepared, Region, Shape};
use numpy::PyArrayDyn;
use pyo3::prelude::*;

use crate::elements::with_type;
use crate::failure::raised;
use crate::memory::{Lent, dims_of};

/// The rows and columns that a region is made from: runs of neighbours.
pub type Runs = (Vec<Range<usize>>, Vec<Range<usize>>);

/// What applies a convolution to arrays of one shape.
pub trait Filter: Debug + Send + Sync {
    /// From arrays of the right shapes, with the interpreter's lock given away.
    fn run(&self, py: Python<'_>, x: &Lent<'_>, y: &mut Lent<'_>) -> PyResult<()>;

    /// With weights of the values, f64, into a new array of four axes.
    fn run_masked<'py>(&self, x: &Lent<'py>, mask: &Lent<'py>) -> PyResult<Bound<'py, PyAny>>;

    fn output_shape(&self) -> Shape;

    /// `cpu` or `gpu`, the algorithm, and how it came to be taken.
    fn plan(&self) -> [String; 3];

    fn region_source(&self, rows: Range<usize>, columns: Range<usize>) -> PyResult<Runs>;

    fn region(
        &self,
        py: Python<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> PyResult<Box<dyn Part>>;
}

/// What makes a part of an output from the rows and columns it needs.
pub trait Part: Debug + Send + Sync {
    fn source(&self) -> Runs;

    fn output_shape(&self) -> Shape;

    /// From the whole input, or from what it needs of it, into a new array of four axes, with weights of the values (f64)
    /// or without.
    fn run<'py>(
        &self,
        x: &Lent<'py>,
        mask: Option<&Lent<'py>>,
        whole: bool,
    ) -> PyResult<Bound<'py, PyAny>>;
}

/// Made ready for these types and this shape of four axes.
pub fn filter(
    py: Python<'_>,
    engine: &Engine,
    conv: &Conv2d,
    shape: Shape,
    (input, output): (ElementType, ElementType),
) -> PyResult<Box<dyn Filter>> {
    with_type!(input, T => with_type!(output, U => {
        let made = py.detach(|| engine.prepare::<T, U>(conv, shape)).map_err(raised)?;
        Ok(Box::new(made) as Box<dyn Filter>)
    }))
}

/// Applies a convolution of its own to each image, into a new array of four axes.
pub fn run_each<'py>(
    engine: &Engine,
    convs: &[Conv2d],
    x: &Lent<'py>,
    output: ElementType,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, shape) = (x.array().py(), x.shape());
    with_type!(x.element, T => with_type!(output, U => {
        let view = x.view::<T>()?;
        let run = || engine.prepare_each::<T, U>(convs, shape)?.run(&view);
        Ok(given::<U>(py, py.detach(run).map_err(raised)?))
    }))
}

impl<T: Element, U: Element + numpy::Element> Filter for Prepared<T, U> {
    fn run(&self, py: Python<'_>, x: &Lent<'_>, y: &mut Lent<'_>) -> PyResult<()> {
        let (x, mut y) = (x.view::<T>()?, y.view_mut::<U>()?);
        py.detach(|| self.run_into(&x, &mut y)).map_err(raised)
    }

    fn run_masked<'py>(&self, x: &Lent<'py>, mask: &Lent<'py>) -> PyResult<Bound<'py, PyAny>> {
        let py = x.array().py();
        let (x, own) = (x.view::<T>()?, mask.view::<f64>()?);
        let made = match shared(&own, self.problem().conv().get_layout(), x.dim()) {
            Some(plane) => py.detach(|| self.run_masked(&x, &plane)),
            None => py.detach(|| self.run_masked(&x, &own)),
        };
        Ok(given(py, made.map_err(raised)?))
    }

    fn output_shape(&self) -> Shape {
        self.problem().output_shape()
    }

    fn plan(&self) -> [String; 3] {
        let plan = self.plan();
        [plan.engine().into(), plan.algorithm().to_string(), plan.explain().to_string()]
    }

    fn region_source(&self, rows: Range<usize>, columns: Range<usize>) -> PyResult<Runs> {
        self.region_source(rows, columns).map_err(raised)
    }

    fn region(
        &self,
        py: Python<'_>,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> PyResult<Box<dyn Part>> {
        let layout = self.problem().conv().get_layout();
        let region = py.detach(|| self.region(rows, columns)).map_err(raised)?;
        Ok(Box::new(Typed { region, layout }))
    }
}

/// A region, and the layout that says what its axes are.
#[derive(Debug)]
struct Typed<T, U> {
    region: Region<T, U>,
    layout: Layout,
}

impl<T: Element, U: Element + numpy::Element> Part for Typed<T, U> {
    fn source(&self) -> Runs {
        self.region.source()
    }

    fn output_shape(&self) -> Shape {
        self.region.output_shape()
    }

    fn run<'py>(
        &self,
        x: &Lent<'py>,
        mask: Option<&Lent<'py>>,
        whole: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, region) = (x.array().py(), &self.region);
        let x = x.view::<T>()?;
        let made = match mask {
            None if whole => py.detach(|| region.run(&x)),
            None => py.detach(|| region.run_source(&x)),
            Some(mask) => {
                let own = mask.view::<f64>()?;
                match shared(&own, self.layout, x.dim()) {
                    Some(plane) if whole => py.detach(|| region.run_masked(&x, &plane)),
                    Some(plane) => py.detach(|| region.run_source_masked(&x, &plane)),
                    None if whole => py.detach(|| region.run_masked(&x, &own)),
                    None => py.detach(|| region.run_source_masked(&x, &own)),
                }
            }
        };
        Ok(given(py, made.map_err(raised)?))
    }
}

/// Weights of rows and columns alone, which all images and channels of `x` share.
fn shared<'a>(
    mask: &'a ArrayView4<'a, f64>,
    layout: Layout,
    x: (usize, usize, usize, usize),
) -> Option<ArrayView2<'a, f64>> {
    let channels = if layout == Layout::Nchw { 1 } else { 3 };
    let alone = mask.len_of(Axis(0)) == 1 && mask.len_of(Axis(channels)) == 1;
    (mask.dim() != x && alone)
        .then(|| mask.view().index_axis_move(Axis(channels), 0).index_axis_move(Axis(0), 0))
}

/// An array of the crate as one of NumPy, where it lies.
fn given<U: numpy::Element>(py: Python<'_>, made: Array4<U>) -> Bound<'_, PyAny> {
    PyArrayDyn::from_owned_array(py, made.into_dyn()).into_any()
}

/// Shapes of Python's side: as many axes as the input had.
pub fn reshaped<'py>(
    array: &Bound<'py, PyAny>,
    shape: Shape,
    axes: usize,
    layout: Layout,
) -> PyResult<Bound<'py, PyAny>> {
    if axes == 4 {
        return Ok(array.clone());
    }
    array.call_method1("reshape", (dims_of(shape, axes, layout),))
}
