//! What callers give for arrays, numbers and words, and what they get back for it.

use numpy::{
    PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods, get_array_module,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PySequence, PyString, PyTuple, PyType};

use crate::failure::refused;

/// An array, and how results for it are made: as arrays of NumPy, or by the library whose array it is.
#[derive(Debug)]
pub struct Given<'py> {
    pub array: Bound<'py, PyUntypedArray>,
    library: Option<Bound<'py, PyAny>>,
}

impl<'py> Given<'py> {
    /// NumPy's own arrays, those of other libraries that lie on the CPU (`__dlpack__`), which are taken where they
    /// lie, and whatever NumPy makes an array of.
    pub fn new(argument: &str, given: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(array) = given.cast::<PyUntypedArray>() {
            if !given.is_exact_instance_of::<PyUntypedArray>() && is_masked(given)? {
                let limit =
                    "take `x.data` with `mask=~numpy.ma.getmaskarray(x)`, or `x.filled(value)`";
                return Err(refused(argument, "a masked array", limit));
            }
            return Ok(Self { array: array.clone(), library: None });
        }
        let numpy = get_array_module(given.py())?;
        if given.hasattr("__dlpack__")? {
            let device = given.call_method0("__dlpack_device__")?.get_item(0)?.extract::<i64>()?;
            // kDLCPU, and memory of the host that CUDA and ROCm pinned.
            if ![1, 3, 11].contains(&device) {
                let limit = "one on the CPU is needed: DLPack's device 1";
                return Err(refused(argument, format!("an array on device {device}"), limit));
            }
            let array = numpy.call_method1("from_dlpack", (given,)).map_err(|error| {
                refused(argument, given.get_type(), &format!("NumPy cannot take it: {error}"))
            })?;
            let library = library_of(given)?;
            return Ok(Self { array: array.cast_into()?, library });
        }
        let array = numpy.call_method1("asarray", (given,)).map_err(|error| {
            refused(argument, given.get_type(), &format!("NumPy cannot take it: {error}"))
        })?;
        Ok(Self { array: array.cast_into()?, library: None })
    }

    /// A result in the library whose array was given.
    pub fn give(&self, result: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match &self.library {
            Some(library) => library.call_method1("from_dlpack", (result,)),
            None => Ok(result),
        }
    }
}

/// What makes arrays of the kind of `given` from others.
fn library_of<'py>(given: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let namespace = match given.getattr_opt("__array_namespace__")? {
        Some(namespace) => Some(namespace.call0()?),
        None => {
            let module = given.get_type().getattr("__module__")?.extract::<String>()?;
            let root = module.split('.').next().unwrap_or_default();
            let modules = given.py().import("sys")?.getattr("modules")?;
            modules.cast_into::<PyDict>()?.get_item(root)?
        }
    };
    match namespace {
        Some(library) if library.hasattr("from_dlpack")? => Ok(Some(library)),
        _ => Ok(None),
    }
}

fn is_masked(given: &Bound<'_, PyAny>) -> PyResult<bool> {
    static MASKED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    given.is_instance(MASKED.import(given.py(), "numpy.ma", "MaskedArray")?)
}

/// Numbers as f64, and the shape that they have.
pub fn numbers(argument: &str, given: &Bound<'_, PyAny>) -> PyResult<(Vec<usize>, Vec<f64>)> {
    let py = given.py();
    let array = Given::new(argument, given)?.array;
    if matches!(array.dtype().kind(), b'c' | b'O' | b'S' | b'U' | b'M' | b'm') {
        return Err(refused(argument, array.dtype(), "real numbers are needed"));
    }
    let double = PyArrayDescr::of::<f64>(py);
    let array = get_array_module(py)?
        .call_method1("asarray", (array, double))
        .map_err(|error| refused(argument, given.get_type(), &error.to_string()))?;
    let shape = array.getattr("shape")?.extract()?;
    let flat = array.call_method0("ravel")?;
    let values = flat.extract::<numpy::PyReadonlyArray1<'_, f64>>()?;
    Ok((shape, values.as_array().to_vec()))
}

/// A whole number of at least 0.
pub fn count(argument: &str, given: &Bound<'_, PyAny>) -> PyResult<usize> {
    let limit = "a whole number of at least 0 is needed";
    // True is 1 to Python, and hardly meant.
    if given.is_instance_of::<pyo3::types::PyBool>() {
        return Err(refused(argument, given, limit));
    }
    given.extract().map_err(|_| refused(argument, shown(given), limit))
}

/// A number.
pub fn number(argument: &str, given: &Bound<'_, PyAny>) -> PyResult<f64> {
    given.extract().map_err(|_| refused(argument, shown(given), "a number is needed"))
}

/// A truth value.
pub fn truth(argument: &str, given: &Bound<'_, PyAny>) -> PyResult<bool> {
    given.extract().map_err(|_| refused(argument, shown(given), "True or False is needed"))
}

/// A word.
pub fn word(argument: &str, given: &Bound<'_, PyAny>) -> PyResult<String> {
    given.extract().map_err(|_| refused(argument, shown(given), "a word is needed"))
}

/// What is in a sequence that is no word.
pub fn several<'py>(given: &Bound<'py, PyAny>) -> Option<Vec<Bound<'py, PyAny>>> {
    if given.is_instance_of::<PyString>() {
        return None;
    }
    let sequence = given.cast::<PySequence>().ok()?;
    sequence.try_iter().ok()?.collect::<PyResult<_>>().ok()
}

/// One whole number for both axes, or one for rows and one for columns.
pub fn pair(argument: &str, given: &Bound<'_, PyAny>) -> PyResult<(usize, usize)> {
    match several(given).as_deref() {
        Some([rows, columns]) => Ok((count(argument, rows)?, count(argument, columns)?)),
        Some(_) => Err(refused(argument, shown(given), "one number or (rows, columns) is needed")),
        None => count(argument, given).map(|n| (n, n)),
    }
}

/// How Python writes it, as far as that is for people.
pub fn shown(given: &Bound<'_, PyAny>) -> String {
    const ENOUGH: usize = 80;
    let text = given.repr().map_or_else(|_| "it".into(), |text| text.to_string());
    match text.char_indices().nth(ENOUGH) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// A shape as a tuple.
pub fn tuple<'py>(py: Python<'py>, dims: &[usize]) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, dims)
}
