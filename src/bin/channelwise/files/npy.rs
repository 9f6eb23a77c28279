//! `.npy` files: float32, float16, uint8 and uint16, either byte order, C and Fortran order.
//!
//! The header is held against the length of the file before anything is allocated from it, which
//! `ndarray-npy`, whose parser then reads it, does not do.

use std::io::Write;
use std::path::Path;

use channelwise::f16;
use channelwise::ndarray::ArrayD;
use ndarray_npy::{ReadNpyExt, ReadableElement, WriteNpyError, WriteNpyExt};

use super::Tensor;
use crate::failure::{Failure, Result};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Longest header that is read. NumPy itself stops at 10 000 characters.
const MAX_HEADER: usize = 1 << 16;

/// Brackets in brackets that a header may have; more would only try the parser's stack.
const MAX_DEPTH: usize = 16;

pub(crate) fn is_npy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// A tensor to filter.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<Tensor> {
    let file = File::open(path, bytes)?;
    match file.kind.as_str() {
        "<f4" | ">f4" => file.array::<f32>().map(Tensor::F32),
        "|u1" | "u1" | "B" => file.array::<u8>().map(Tensor::U8),
        "<u2" | ">u2" => file.array::<u16>().map(Tensor::U16),
        "<f2" | ">f2" => file.halves().map(Tensor::F16),
        _ => Err(file.unsupported("float32, float16, uint8 and uint16")),
    }
}

/// Weights: also NumPy's default types, rounded to f32.
pub(crate) fn read_weights(path: &Path, bytes: &[u8]) -> Result<ArrayD<f32>> {
    let file = File::open(path, bytes)?;
    match file.kind.as_str() {
        "<f4" | ">f4" => file.array(),
        "<f8" | ">f8" => Ok(file.array::<f64>()?.mapv(|v| v as f32)),
        "<i8" | ">i8" => Ok(file.array::<i64>()?.mapv(|v| v as f32)),
        "<i4" | ">i4" => Ok(file.array::<i32>()?.mapv(|v| v as f32)),
        "|u1" | "u1" | "B" => Ok(file.array::<u8>()?.mapv(f32::from)),
        _ => Err(file.unsupported("float32, float64, int32, int64 and uint8")),
    }
}

/// A file whose header is read.
struct File<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    /// Where the data begins.
    data: usize,
    /// The type's code.
    kind: String,
    shape: Vec<usize>,
}

impl<'a> File<'a> {
    fn open(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let data = data_start(bytes).map_err(|why| Failure::reading(path, why))?;
        let header = String::from_utf8_lossy(&bytes[..data]);
        let (Some(kind), Some(shape)) = (type_code(&header), shape(&header)) else {
            return Err(Failure::reading(path, "its header tells no type and shape"));
        };
        Ok(Self { path, bytes, data, kind: kind.to_string(), shape })
    }

    fn unsupported(&self, supported: &str) -> Failure {
        let found = type_name(&self.kind);
        Failure::reading(self.path, format!("its elements are {found}; {supported} are supported"))
    }

    /// Half floats, which the parser does not know, read as integers with their bits.
    fn halves(&self) -> Result<ArrayD<f16>> {
        let mut bytes = self.bytes.to_vec();
        let Some(at) = bytes[..self.data].windows(3).position(|code| &code[1..] == b"f2") else {
            return Err(Failure::reading(self.path, "its header tells no type"));
        };
        bytes[at + 1] = b'u';
        Ok(self.array_in::<u16>(&bytes)?.mapv(f16::from_bits))
    }

    fn array<T: ReadableElement>(&self) -> Result<ArrayD<T>> {
        self.array_in(self.bytes)
    }

    fn array_in<T: ReadableElement>(&self, bytes: &[u8]) -> Result<ArrayD<T>> {
        let Self { path, data, ref shape, .. } = *self;
        // The product without the zeros too: arrays of no elements must be countable as well.
        let counted = |zeros: bool| {
            let axes = shape.iter().filter(|n| zeros || **n != 0);
            axes.copied().try_fold(size_of::<T>(), usize::checked_mul)
        };
        let (Some(needed), Some(true)) =
            (counted(true), counted(false).map(|n| n <= isize::MAX as usize))
        else {
            return Err(Failure::reading(path, format!("its shape {shape:?} cannot be counted")));
        };
        let there = bytes.len() - data;
        if there != needed {
            let what =
                if there < needed { "the file is truncated" } else { "bytes follow the data" };
            return Err(Failure::reading(
                path,
                format!("{what}: shape {shape:?} needs {needed} bytes of data, {there} are there"),
            ));
        }
        ArrayD::read_npy(bytes).map_err(|error| Failure::reading(path, error))
    }
}

/// What follows a key of the header. A key that is there twice is none: we and the parser proper
/// might take different ones.
fn entry<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (before, after) = header.split_once(key)?;
    if after.contains(key) {
        return None;
    }
    let after = after.strip_prefix(before.chars().next_back()?)?;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

fn type_code(header: &str) -> Option<&str> {
    let value = entry(header, "descr")?;
    let quote = value.chars().next()?;
    match quote {
        '\'' | '"' => value[1..].split(quote).next(),
        // A list: a record.
        _ => Some("record"),
    }
}

fn shape(header: &str) -> Option<Vec<usize>> {
    let (inside, _) = entry(header, "shape")?.strip_prefix('(')?.split_once(')')?;
    inside.split(',').map(str::trim).filter(|n| !n.is_empty()).map(|n| n.parse().ok()).collect()
}

/// Where the data begins.
fn data_start(bytes: &[u8]) -> Result<usize, &'static str> {
    const TRUNCATED: &str = "the file ends within its header";
    if !is_npy(bytes) {
        return Err("it is not a .npy file");
    }
    let (start, length) = match *bytes {
        [_, _, _, _, _, _, 1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([a, b]))),
        [_, _, _, _, _, _, 2 | 3, _, a, b, c, d, ..] => {
            (12, u32::from_le_bytes([a, b, c, d]) as usize)
        }
        [_, _, _, _, _, _, 1..=3, ..] => return Err(TRUNCATED),
        _ => return Err("its .npy version is not 1, 2 or 3"),
    };
    if length > MAX_HEADER {
        return Err("its header is too long");
    }
    let header = bytes.get(start..start + length).ok_or(TRUNCATED)?;
    let mut depth = 0usize;
    for byte in header {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err("its header is too deeply nested");
        }
    }
    Ok(start + length)
}

/// NumPy's name for a type, beside its code.
fn type_name(code: &str) -> String {
    let name = match code.trim_start_matches(['<', '>', '|', '=']) {
        "f2" => "float16",
        "f4" => "float32",
        "f8" => "float64",
        "f16" => "longdouble",
        "i1" => "int8",
        "i2" => "int16",
        "i4" => "int32",
        "i8" => "int64",
        "u2" => "uint16",
        "u4" => "uint32",
        "u8" => "uint64",
        "b1" => "bool",
        "c8" => "complex64",
        "c16" => "complex128",
        "O" => "Python objects",
        "record" => return "records".into(),
        _ => return format!("of type {code}"),
    };
    format!("{name} ({code})")
}

pub(crate) fn write(tensor: &Tensor, mut to: impl Write) -> std::io::Result<()> {
    let written = match tensor {
        Tensor::F32(y) => y.write_npy(to),
        Tensor::U8(y) => y.write_npy(to),
        Tensor::U16(y) => y.write_npy(to),
        Tensor::F16(y) => {
            // As integers with their bits; only the header tells them apart.
            let mut file = Vec::new();
            y.mapv(f16::to_bits).write_npy(&mut file).and_then(|()| {
                if let Some(at) = file.windows(3).position(|code| &code[1..] == b"u2") {
                    file[at + 1] = b'f';
                }
                Ok(to.write_all(&file)?)
            })
        }
    };
    written.map_err(|error| match error {
        WriteNpyError::Io(error) => error,
        WriteNpyError::FormatHeader(_) | WriteNpyError::FormatData(_) => {
            std::io::Error::other(error.to_string())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version 1 file.
    fn file(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn message(bytes: &[u8]) -> String {
        match read(Path::new("x.npy"), bytes) {
            Err(Failure::Work(text)) => text,
            other => panic!("a failure of the work was expected, found {other:?}"),
        }
    }

    #[test]
    fn orders_of_bytes_and_axes() {
        let values = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let little: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let big: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
        for (descr, data) in [("<f4", &little), (">f4", &big)] {
            for (order, at) in [("False", [0, 1]), ("True", [1, 0])] {
                let bytes = file(descr, order, "(2, 3)", data);
                let Ok(Tensor::F32(x)) = read(Path::new("x.npy"), &bytes) else {
                    panic!("{descr} {order}");
                };
                assert_eq!(x.shape(), [2, 3]);
                assert_eq!(x[&at[..]], 2.0, "{descr} {order}");
            }
        }
    }

    #[test]
    fn weights_come_in_numpys_default_types() {
        let path = Path::new("k.npy");
        let floats = file("<f8", "False", "(2,)", &[0.1f64, -2.0].map(f64::to_le_bytes).concat());
        assert_eq!(read_weights(path, &floats).unwrap().as_slice(), Some(&[0.1f32, -2.0][..]));
        let whole = file(">i8", "False", "(2,)", &[7i64, -2].map(i64::to_be_bytes).concat());
        assert_eq!(read_weights(path, &whole).unwrap().as_slice(), Some(&[7.0f32, -2.0][..]));
        let odd = file("<u2", "False", "(1,)", &[0, 0]);
        assert!(
            matches!(read_weights(path, &odd), Err(Failure::Work(text)) if text.contains("uint16"))
        );
    }

    #[test]
    fn damaged_files_are_refused() {
        let whole = file("<f4", "False", "(2, 3)", &[0; 24]);
        for length in 0..whole.len() {
            message(&whole[..length]);
        }
        assert!(
            message(&whole[..whole.len() - 1]).contains("needs 24 bytes of data, 23 are there")
        );
        let long = [&whole[..], &[0]].concat();
        assert!(message(&long).contains("bytes follow the data"));
        for (bytes, part) in [
            (file("<f8", "False", "(1, 1)", &[0; 8]), "float64 (<f8)"),
            (file("|b1", "False", "(1, 1)", &[0]), "bool (|b1)"),
            (file("<U3", "False", "(1, 1)", &[0; 12]), "of type <U3"),
            (file("<f4", "False", "(4294967296, 4294967296, 4)", &[]), "cannot be counted"),
            (file("<f4", "False", "(0, 4294967296, 4294967296)", &[]), "cannot be counted"),
            (file("<f4", "False", "(99999999999999999999, 4)", &[]), "no type and shape"),
            (file("<f4", "False", "(1, 1), 'shape': (9, 9)", &[0; 4]), "no type and shape"),
            (file("<f4", "False", "(1000000000, 4)", &[]), "truncated"),
            (file("<f4", "False", &"(".repeat(9000), &[]), "too deeply nested"),
            (file("<f4", "Perhaps", "(1, 1)", &[0; 4]), "header"),
        ] {
            let text = message(&bytes);
            assert!(text.contains(part), "{text}");
        }
    }
}
