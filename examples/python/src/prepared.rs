//! Problems made ready for many calls, and regions of them.

use std::ops::Range;

use numpy::PyUntypedArrayMethods;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::call::{self, Ends, Spec};
use crate::elements::dtype_of;
use crate::engine::PyEngine;
use crate::failure::refused;
use crate::filter::{Filter, Part, reshaped};
use crate::fork::Once;
use crate::given::{Given, pair, shown, tuple};
use crate::memory::{Lent, dims_of};

/// A problem made ready for arrays of one shape and dtype: `Engine.prepare`. It is called with them, from any thread.
///
/// >>> import channelwise, numpy
/// >>> edges = channelwise.Engine("cpu").prepare((4, 5), channelwise.sobel_x())
/// >>> ramp = numpy.tile(numpy.arange(5, dtype="float32"), (4, 1))
/// >>> out = numpy.empty_like(ramp)
/// >>> edges(ramp, out=out)[1]
/// array([0., 8., 8., 8., 0.], dtype=float32)
#[pyclass(frozen, module = "channelwise")]
#[derive(Debug)]
pub struct Prepared {
    engine: Py<PyEngine>,
    spec: Spec,
    filter: Once<Box<dyn Filter>>,
}

impl Prepared {
    pub fn new(engine: Bound<'_, PyEngine>, spec: Spec) -> PyResult<Self> {
        let filter = engine.get().filter(engine.py(), &spec)?;
        Ok(Self { engine: engine.unbind(), spec, filter: Once::new(filter) })
    }

    fn filter(&self, py: Python<'_>) -> PyResult<std::sync::Arc<Box<dyn Filter>>> {
        self.filter.get_or(|| self.engine.get().filter(py, &self.spec))
    }
}

#[pymethods]
impl Prepared {
    /// Applies it to an array of the shape and dtype it was prepared for.
    #[pyo3(signature = (x, *, out = None, mask = None))]
    fn __call__<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        out: Option<&Bound<'py, PyAny>>,
        mask: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let filter = self.filter(x.py())?;
        let given = Given::new("x", x)?;
        let x = Lent::of("x", &given.array, self.spec.conv.get_layout())?;
        self.spec.check(&x)?;
        call::run(&**filter, &self.spec, given, x, Ends { mask, out })
    }

    /// Shape of the arrays it takes.
    #[getter]
    fn input_shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.spec.dims)
    }

    /// Shape of its results.
    #[getter]
    fn output_shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.spec.dims_of(self.filter(py)?.output_shape()))
    }

    /// dtype of the arrays it takes.
    #[getter]
    fn input_dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(dtype_of(py, self.spec.input)?.into_any())
    }

    /// dtype of its results.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(dtype_of(py, self.spec.output)?.into_any())
    }

    /// "cpu" or "gpu": which was taken.
    #[getter]
    fn engine(&self, py: Python<'_>) -> PyResult<String> {
        let [engine, ..] = self.filter(py)?.plan();
        Ok(engine)
    }

    /// The algorithm that was taken.
    #[getter]
    fn algorithm(&self, py: Python<'_>) -> PyResult<String> {
        let [_, algorithm, _] = self.filter(py)?.plan();
        Ok(algorithm)
    }

    /// How it is computed and why so: every candidate with its predicted time, or the reason against it.
    fn explain(&self, py: Python<'_>) -> PyResult<String> {
        let [_, _, told] = self.filter(py)?.plan();
        Ok(told)
    }

    /// Which rows and columns of the input some rows and columns of the output are made from: two lists of
    /// (first, end), in the order in which `Region.run_source` takes them.
    ///
    /// >>> import channelwise
    /// >>> blur = channelwise.Engine("cpu").prepare((40, 60), channelwise.box_blur(3, 5), border=("nearest", "wrap"))
    /// >>> blur.region_source((0, 40), (0, 20))
    /// ([(0, 40)], [(58, 60), (0, 22)])
    fn region_source(
        &self,
        py: Python<'_>,
        rows: &Bound<'_, PyAny>,
        columns: &Bound<'_, PyAny>,
    ) -> PyResult<Pairs> {
        let (rows, columns) =
            self.filter(py)?.region_source(range("rows", rows)?, range("columns", columns)?)?;
        Ok((pairs(rows), pairs(columns)))
    }

    /// Makes a part of the output ready, some rows (first, end) and columns of all images and channels. It is computed
    /// from the whole input, or from those of its rows and columns that `Region.source` names, and has the bits of that
    /// part of the whole.
    ///
    /// >>> import channelwise, numpy
    /// >>> x = numpy.arange(48.0, dtype="float32").reshape(6, 8)
    /// >>> blur = channelwise.Engine("cpu").prepare(x, channelwise.box_blur(3, 3))
    /// >>> part = blur.region((2, 4), (0, 3))
    /// >>> part.source
    /// ([(1, 5)], [(0, 4)])
    /// >>> bool((part(x) == blur(x)[2:4, 0:3]).all()), bool((part.run_source(x[1:5, 0:4]) == part(x)).all())
    /// (True, True)
    fn region(
        slf: Bound<'_, Self>,
        rows: &Bound<'_, PyAny>,
        columns: &Bound<'_, PyAny>,
    ) -> PyResult<Region> {
        let (rows, columns) = (range("rows", rows)?, range("columns", columns)?);
        let part = slf.get().filter(slf.py())?.region(slf.py(), rows.clone(), columns.clone())?;
        Ok(Region { whole: slf.unbind(), rows, columns, part: Once::new(part) })
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let [engine, algorithm, _] = self.filter(py)?.plan();
        let (dims, input, output) = (&self.spec.dims, self.spec.input, self.spec.output);
        Ok(format!("<channelwise.Prepared {dims:?} {input} to {output}, {algorithm} on {engine}>"))
    }
}

/// A part of an output, made ready: `Prepared.region`. It is called with the whole input; `run_source` takes the rows
/// and columns that it needs of it, brought together.
///
/// >>> import channelwise, numpy
/// >>> x = numpy.arange(48.0, dtype="float32").reshape(6, 8)
/// >>> ring = channelwise.Engine("cpu").prepare(x, channelwise.box_blur(3, 3), border="wrap")
/// >>> corner = ring.region((0, 1), (0, 1))
/// >>> corner.source, corner.output_shape
/// (([(5, 6), (0, 2)], [(7, 8), (0, 2)]), (1, 1))
/// >>> bool(corner.run_source(x[[5, 0, 1]][:, [7, 0, 1]])[0, 0] == ring(x)[0, 0])
/// True
#[pyclass(frozen, module = "channelwise")]
#[derive(Debug)]
pub struct Region {
    whole: Py<Prepared>,
    rows: Range<usize>,
    columns: Range<usize>,
    part: Once<Box<dyn Part>>,
}

impl Region {
    fn part(&self, py: Python<'_>) -> PyResult<std::sync::Arc<Box<dyn Part>>> {
        let make = || {
            let whole = self.whole.get().filter(py)?;
            whole.region(py, self.rows.clone(), self.columns.clone())
        };
        self.part.get_or(make)
    }
}

impl Region {
    fn run<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        mask: Option<&Bound<'py, PyAny>>,
        whole: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = x.py();
        let (part, spec) = (self.part(py)?, &self.whole.get().spec);
        let layout = spec.conv.get_layout();
        let given = Given::new("x", x)?;
        let x = Lent::of("x", &given.array, layout)?;
        // Of a source the crate knows the shape.
        let there = Spec { dims: x.array().shape().to_vec(), shape: x.shape(), ..spec.clone() };
        let spec = if whole { spec } else { &there };
        spec.check(&x)?;
        let mask = mask.map(|mask| call::weights(mask, spec)).transpose()?;
        let made = part.run(&x, mask.as_ref(), whole)?;
        given.give(reshaped(&made, part.output_shape(), spec.dims.len(), layout)?)
    }
}

#[pymethods]
impl Region {
    /// Computes it from the whole input. mask: weights of its values.
    #[pyo3(signature = (x, *, mask = None))]
    fn __call__<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        mask: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(x, mask, true)
    }

    /// Computes it from the rows and columns of `source` alone, brought together. mask: weights of their values.
    #[pyo3(signature = (x, *, mask = None))]
    fn run_source<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        mask: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(x, mask, false)
    }

    /// The rows and the columns that it needs: two lists of (first, end).
    #[getter]
    fn source(&self, py: Python<'_>) -> PyResult<Pairs> {
        let (rows, columns) = self.part(py)?.source();
        Ok((pairs(rows), pairs(columns)))
    }

    /// Shape of its results.
    #[getter]
    fn output_shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let spec = &self.whole.get().spec;
        let shape = self.part(py)?.output_shape();
        tuple(py, &dims_of(shape, spec.dims.len(), spec.conv.get_layout()))
    }
}

fn range(argument: &str, given: &Bound<'_, PyAny>) -> PyResult<Range<usize>> {
    let (first, end) = pair(argument, given)
        .map_err(|_| refused(argument, shown(given), "(first, end) is needed"))?;
    Ok(first..end)
}

/// Rows and columns, as (first, end) of runs of neighbours.
type Pairs = (Vec<(usize, usize)>, Vec<(usize, usize)>);

fn pairs(runs: Vec<Range<usize>>) -> Vec<(usize, usize)> {
    runs.into_iter().map(|run| (run.start, run.end)).collect()
}
