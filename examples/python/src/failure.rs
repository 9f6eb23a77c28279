//! Errors of the crate, and ours, as exceptions.

use pyo3::PyErr;
use pyo3::exceptions::{PyRuntimeError, PyValueError};

/// `ValueError` where the call is at fault, `RuntimeError` where the machine is.
pub fn raised(error: channelwise::Error) -> PyErr {
    if error.is_usage() {
        PyValueError::new_err(error.to_string())
    } else {
        PyRuntimeError::new_err(error.to_string())
    }
}

/// A `ValueError` as the crate words them.
pub fn refused(argument: &str, value: impl std::fmt::Display, limit: &str) -> PyErr {
    PyValueError::new_err(format!("{argument}: {value} is not allowed, {limit}"))
}
