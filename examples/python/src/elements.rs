//! Element types as NumPy knows them.

use channelwise::ElementType;
use numpy::{PyArrayDescr, PyArrayDescrMethods};
use pyo3::prelude::*;

use crate::failure::refused;

/// Calls `$body` with `$T` the Rust type of an [`ElementType`].
macro_rules! with_type {
    ($element:expr, $T:ident => $body:expr) => {
        $crate::elements::with_type!(@ $element, $T, $body,
            F32 f32, U8 u8, U16 u16, F16 channelwise::f16, I8 i8, I16 i16, U32 u32, I32 i32, F64 f64)
    };
    (@ $element:expr, $T:ident, $body:expr, $($name:ident $type:ty),*) => {
        match $element {
            $(channelwise::ElementType::$name => {
                type $T = $type;
                $body
            })*
            other => Err($crate::failure::refused("dtype", other, "it is not known here")),
        }
    };
}
pub(crate) use with_type;

const KNOWN: &str =
    "float16, float32, float64, int8, int16, int32, uint8, uint16, uint32 or bool is needed";

/// The element type of arrays of this dtype. Truth values are bytes, 0 and 1.
pub fn element_of(argument: &str, dtype: &Bound<'_, PyArrayDescr>) -> PyResult<ElementType> {
    Ok(match (dtype.kind(), dtype.itemsize()) {
        (b'f', 2) => ElementType::F16,
        (b'f', 4) => ElementType::F32,
        (b'f', 8) => ElementType::F64,
        (b'i', 1) => ElementType::I8,
        (b'i', 2) => ElementType::I16,
        (b'i', 4) => ElementType::I32,
        (b'u' | b'b', 1) => ElementType::U8,
        (b'u', 2) => ElementType::U16,
        (b'u', 4) => ElementType::U32,
        _ => return Err(refused(argument, dtype, KNOWN)),
    })
}

/// The element type that a caller names: anything of which NumPy makes a dtype.
pub fn element_named(argument: &str, named: &Bound<'_, PyAny>) -> PyResult<ElementType> {
    let dtype = PyArrayDescr::new(named.py(), named.clone())
        .map_err(|_| refused(argument, named, KNOWN))?;
    if dtype.kind() == b'b' {
        return Err(refused(argument, "bool", "truth values are uint8 where they come out"));
    }
    element_of(argument, &dtype)
}

/// The dtype of an element type.
pub fn dtype_of(py: Python<'_>, element: ElementType) -> PyResult<Bound<'_, PyArrayDescr>> {
    with_type!(element, T => Ok(PyArrayDescr::of::<T>(py)))
}
