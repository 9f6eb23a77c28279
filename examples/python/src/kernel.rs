//! Kernels: weights, and what they were made from, which plans take and which pickles keep.

use channelwise::Kernel;
use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::failure::{raised, refused};
use crate::given::{numbers, shown, tuple};
use crate::options::Like;

/// One 2-D kernel, or several filters, for every channel.
///
/// weights: [height, width], [height, width, filters] or TensorFlow's [height, width, 1, filters]. Their digits are
/// kept: sums of float64 and of 32-bit integers take all of them.
///
/// Functions that take a kernel take arrays as well. What this class is for is kernels that are made by `gaussian` and
/// its like: they keep the column and the row that they were made from, so that two passes are taken without a search,
/// also through `flipped`, `normalized`, `stack` and `weighted_sum`, through pickles and in Dask's graphs.
///
/// >>> import channelwise, numpy
/// >>> k = channelwise.Kernel([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
/// >>> k.shape, k == channelwise.laplacian4()
/// ((3, 3), True)
/// >>> numpy.asarray(channelwise.gaussian(3, 1.0)).round(3)
/// array([[0.075, 0.124, 0.075],
///        [0.124, 0.204, 0.124],
///        [0.075, 0.124, 0.075]])
#[pyclass(frozen, name = "Kernel", module = "channelwise")]
#[derive(Debug)]
pub struct PyKernel {
    kernel: Kernel,
    /// The function of the module that made it, and what it was given.
    maker: &'static str,
    given: Py<PyTuple>,
}

impl PyKernel {
    /// What `maker` of the module gives for `given`.
    pub fn made<'py>(
        maker: &'static str,
        given: Bound<'py, PyTuple>,
        kernel: channelwise::Result<Kernel>,
    ) -> PyResult<Self> {
        Ok(Self { kernel: kernel.map_err(raised)?, maker, given: given.unbind() })
    }

    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    fn dims(&self) -> Vec<usize> {
        let k = &self.kernel;
        let mut dims = vec![k.height(), k.width()];
        dims.extend((k.filters() > 1).then_some(k.filters()));
        dims
    }
}

#[pymethods]
impl PyKernel {
    #[new]
    fn new(weights: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(kernel) = weights.cast::<Self>() {
            let Self { kernel, maker, given } = kernel.get();
            return Ok(Self {
                kernel: kernel.clone(),
                maker,
                given: given.clone_ref(weights.py()),
            });
        }
        let (kernel, _) = from_array(weights, Like::Ours)?;
        // A copy of its own, which nobody changes.
        let py = weights.py();
        let shape = numbers("kernel", weights)?.0;
        let weights =
            PyArray1::from_vec(py, kernel.weights_f64()).call_method1("reshape", (shape,))?;
        weights.getattr("flags")?.setattr("writeable", false)?;
        Self::made("Kernel", PyTuple::new(py, [weights])?, Ok(kernel))
    }

    /// (height, width), or (height, width, filters) where there are several.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.dims())
    }

    /// Outputs that each channel gets.
    #[getter]
    fn filters(&self) -> usize {
        self.kernel.filters()
    }

    /// The most columns times rows that one of its filters is a sum of: 1 for a separable kernel.
    #[getter]
    fn rank(&self) -> usize {
        self.kernel.rank()
    }

    /// Turned by 180 degrees, which makes a correlation a convolution.
    fn flipped(slf: Bound<'_, Self>) -> PyResult<Self> {
        flipped(&slf)
    }

    /// Each filter divided by its sum.
    fn normalized(slf: Bound<'_, Self>) -> PyResult<Self> {
        normalized(&slf)
    }

    /// The weights in float64.
    #[pyo3(signature = (dtype = None, copy = None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if copy == Some(false) {
            return Err(refused("copy", "False", "the weights of a kernel are always a copy"));
        }
        let weights = PyArray1::from_vec(py, self.kernel.weights_f64()).reshape(self.dims())?;
        match dtype {
            Some(dtype) => weights.call_method1("astype", (dtype,)),
            None => Ok(weights.into_any()),
        }
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| {
            let (one, two) = (&self.kernel, &other.get().kernel);
            (one.height(), one.width(), one.weights_f64())
                == (two.height(), two.width(), two.weights_f64())
        })
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.dims().hash(&mut hasher);
        // Zeros of either sign are equal.
        self.kernel.weights_f64().iter().for_each(|w| (w + 0.0).to_bits().hash(&mut hasher));
        hasher.finish()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let given = self.given.bind(py);
        let parts: PyResult<Vec<String>> =
            given.iter().map(|part| Ok(part.repr()?.to_string())).collect();
        Ok(format!("channelwise.{}({})", self.maker, parts?.join(", ")))
    }

    /// What tells it from others in Dask's graphs.
    fn __dask_tokenize__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        (self.maker, self.given.clone_ref(py)).into_pyobject(py)
    }

    /// How it was made, so that a copy has the bits and the plans of this one.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Py<PyTuple>)> {
        Ok((py.import("channelwise")?.getattr(self.maker)?, self.given.clone_ref(py)))
    }
}

/// Turned by 180 degrees: `Kernel.flipped`.
///
/// >>> import channelwise, numpy
/// >>> numpy.asarray(channelwise.flipped(channelwise.Kernel([[1, 2, 3]])))
/// array([[3., 2., 1.]])
#[pyfunction]
pub fn flipped(kernel: &Bound<'_, PyKernel>) -> PyResult<PyKernel> {
    let given = PyTuple::new(kernel.py(), [kernel])?;
    PyKernel::made("flipped", given, Ok(kernel.get().kernel.flipped()))
}

/// Each filter divided by its sum: `Kernel.normalized`.
///
/// >>> import channelwise, numpy
/// >>> numpy.asarray(channelwise.normalized(channelwise.Kernel([[1, 2, 1]])))
/// array([[0.25, 0.5 , 0.25]])
#[pyfunction]
pub fn normalized(kernel: &Bound<'_, PyKernel>) -> PyResult<PyKernel> {
    let given = PyTuple::new(kernel.py(), [kernel])?;
    PyKernel::made("normalized", given, kernel.get().kernel.normalized())
}

/// A kernel, and the number of axes that its gradient has.
pub fn kernel_of(given: &Bound<'_, PyAny>, like: Like) -> PyResult<(Kernel, usize)> {
    match given.cast::<PyKernel>() {
        Ok(kernel) => {
            let kernel = kernel.get();
            Ok((kernel.kernel.clone(), kernel.dims().len()))
        }
        Err(_) => from_array(given, like),
    }
}

/// From weights; like PyTorch four axes are [filters, 1, height, width].
fn from_array(given: &Bound<'_, PyAny>, like: Like) -> PyResult<(Kernel, usize)> {
    let (shape, weights) = numbers("kernel", given)?;
    let kernel = match (&shape[..], like) {
        (&[h, w], _) => Kernel::from_f64(h, w, 1, weights),
        (&[h, w, f], _) => Kernel::from_f64(h, w, f, weights),
        (&[f, 1, h, w], Like::PyTorch) => {
            let size = h * w;
            let weights =
                (0..size * f).map(|at| weights[at % f * size + at / f]).collect::<Vec<_>>();
            Kernel::from_f64(h, w, f, weights)
        }
        (&[h, w, 1, f], like) if like != Like::PyTorch => Kernel::from_f64(h, w, f, weights),
        _ => {
            let limit = match like {
                Like::PyTorch => {
                    "[height, width], [height, width, filters] or [filters, 1, height, width] is needed"
                }
                _ => {
                    "[height, width], [height, width, filters] or [height, width, 1, filters] is needed"
                }
            };
            return Err(refused("kernel", format!("an array of shape {shape:?}"), limit));
        }
    };
    Ok((kernel.map_err(raised)?, shape.len()))
}

/// Kernels and the tuple or list that they came in.
pub fn kernels_of<'py>(given: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyKernel>>> {
    let wrong = || refused("kernels", shown(given), "a list of kernels is needed");
    let all = crate::given::several(given).ok_or_else(wrong)?;
    let class = given.py().get_type::<PyKernel>();
    all.into_iter()
        .map(|kernel| match kernel.cast_into::<PyKernel>() {
            Ok(kernel) => Ok(kernel),
            Err(other) => Ok(class.call1((other.into_inner(),))?.cast_into::<PyKernel>()?),
        })
        .collect()
}
