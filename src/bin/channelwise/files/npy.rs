//! `.npy` files: floats, integers and bool of NumPy, either byte order, C and Fortran order.
//!
//! The header is held against the length of the file before anything is allocated from it, and
//! `ndarray-npy` is handed one in its own words: it knows fewer than NumPy writes and reads.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use channelwise::f16;
use channelwise::ndarray::ArrayD;
use ndarray_npy::{ReadNpyExt, ReadableElement, WriteNpyError, WriteNpyExt};

use super::Tensor;
use crate::failure::{Failure, Result};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Longest header that is read. NumPy itself stops at 10 000 characters.
const MAX_HEADER: usize = 1 << 16;

pub(crate) fn is_npy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// A tensor to filter, and what is to be said of it.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<(Tensor, Option<String>)> {
    let file = File::open(path, bytes)?;
    let tensor = match file.code() {
        "f4" => Tensor::F32(file.array()?),
        "u1" => Tensor::U8(file.array()?),
        "u2" => Tensor::U16(file.array()?),
        "f2" => Tensor::F16(file.halves()?),
        _ => {
            let (floats, note) = file.floats()?;
            return Ok((Tensor::F32(floats), Some(note)));
        }
    };
    Ok((tensor, None))
}

/// Weights, of whatever type; and what is to be said where f32 does not hold them.
pub(crate) fn read_weights(path: &Path, bytes: &[u8]) -> Result<(ArrayD<f32>, Option<String>)> {
    let (floats, note) = File::open(path, bytes)?.floats()?;
    Ok((floats, Some(note).filter(|note| note.contains("rounded"))))
}

/// A file whose header is read.
struct File<'a> {
    path: &'a Path,
    /// The elements.
    data: &'a [u8],
    /// The type's code, with its order of bytes: `<f4`.
    kind: String,
    fortran: bool,
    shape: Vec<usize>,
}

impl<'a> File<'a> {
    fn open(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let data = data_start(bytes).map_err(|why| Failure::reading(path, why))?;
        let header = String::from_utf8_lossy(&bytes[..data]);
        let (Some(kind), Some(fortran), Some(shape)) =
            (type_code(&header), fortran(&header), shape(&header))
        else {
            return Err(Failure::reading(path, "its header tells no type, order and shape"));
        };
        Ok(Self { path, data: &bytes[data..], kind, fortran, shape })
    }

    /// Kind and bytes of an element.
    fn code(&self) -> &str {
        self.kind.trim_start_matches(['<', '>', '|'])
    }

    /// Half floats, which the parser does not know, read as integers with their bits.
    fn halves(&self) -> Result<ArrayD<f16>> {
        let bits = self.kind.replace("f2", "u2");
        Ok(self.array_of::<u16>(&bits)?.mapv(f16::from_bits))
    }

    /// Elements of any type as f32, and how they became it.
    fn floats(&self) -> Result<(ArrayD<f32>, String)> {
        let mut rounded = false;
        let floats = match self.code() {
            "b1" => self.array::<bool>()?.mapv(|v| f32::from(u8::from(v))),
            "f4" => self.array()?,
            "f2" => self.halves()?.mapv(f32::from),
            "u1" => self.array::<u8>()?.mapv(f32::from),
            "i1" => self.array::<i8>()?.mapv(f32::from),
            "u2" => self.array::<u16>()?.mapv(f32::from),
            "i2" => self.array::<i16>()?.mapv(f32::from),
            "u4" => self.array::<u32>()?.mapv(|v| {
                rounded |= v as f32 as u64 != u64::from(v);
                v as f32
            }),
            "i4" => self.array::<i32>()?.mapv(|v| {
                rounded |= i64::from(v) != v as f32 as i64;
                v as f32
            }),
            "u8" => self.array::<u64>()?.mapv(|v| {
                rounded |= u128::from(v) != v as f32 as u128;
                v as f32
            }),
            "i8" => self.array::<i64>()?.mapv(|v| {
                rounded |= i128::from(v) != v as f32 as i128;
                v as f32
            }),
            "f8" => self.array::<f64>()?.mapv(|v| {
                rounded |= !v.is_nan() && f64::from(v as f32) != v;
                v as f32
            }),
            _ => {
                let found = type_name(&self.kind);
                return Err(Failure::reading(
                    self.path,
                    format!(
                        "its elements are {found}; floats of 16 to 64 bits, integers and bool \
                             are supported"
                    ),
                ));
            }
        };
        let how = if rounded { "rounded to" } else { "taken as" };
        Ok((floats, format!("its {} elements are {how} float32", type_name(&self.kind))))
    }

    fn array<T: ReadableElement>(&self) -> Result<ArrayD<T>> {
        self.array_of(&self.kind)
    }

    fn array_of<T: ReadableElement>(&self, kind: &str) -> Result<ArrayD<T>> {
        let Self { path, data, ref shape, fortran, .. } = *self;
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
        let there = data.len();
        if there != needed {
            let what =
                if there < needed { "the file is truncated" } else { "bytes follow the data" };
            return Err(Failure::reading(
                path,
                format!("{what}: shape {shape:?} needs {needed} bytes of data, {there} are there"),
            ));
        }
        let axes: String = shape.iter().map(|n| format!("{n}, ")).collect();
        let order = if fortran { "True" } else { "False" };
        let header =
            format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({axes}), }}\n");
        let start = [MAGIC, &[2, 0], &(header.len() as u32).to_le_bytes(), header.as_bytes()];
        let whole = Cursor::new(start.concat()).chain(data);
        ArrayD::read_npy(whole).map_err(|error| Failure::reading(path, error))
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

/// With an order of bytes: NumPy takes `=` and none for this machine's.
fn type_code(header: &str) -> Option<String> {
    let value = entry(header, "descr")?;
    let quote = value.chars().next()?;
    let code = match quote {
        '\'' | '"' => value[1..].split(quote).next()?,
        // A list: a record.
        _ => return Some("record".into()),
    };
    let native = if cfg!(target_endian = "little") { '<' } else { '>' };
    let order = code.chars().next().filter(|order| "<>".contains(*order)).unwrap_or(native);
    Some(match code.trim_start_matches(['<', '>', '|', '=']) {
        "?" | "b1" => "|b1".into(),
        "B" | "u1" => "|u1".into(),
        "b" | "i1" => "|i1".into(),
        code => format!("{order}{code}"),
    })
}

fn fortran(header: &str) -> Option<bool> {
    let value = entry(header, "fortran_order")?;
    let is = |word: &str| {
        value.strip_prefix(word).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    if is("True") { Some(true) } else { is("False").then_some(false) }
}

/// Python 2 wrote `2L` for some numbers.
fn shape(header: &str) -> Option<Vec<usize>> {
    let (inside, _) = entry(header, "shape")?.strip_prefix('(')?.split_once(')')?;
    let axes = inside.split(',').map(str::trim).filter(|n| !n.is_empty());
    axes.map(|n| n.strip_suffix('L').unwrap_or(n).parse().ok()).collect()
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
    if bytes.len() < start + length {
        return Err(TRUNCATED);
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
                let Ok((Tensor::F32(x), None)) = read(Path::new("x.npy"), &bytes) else {
                    panic!("{descr} {order}");
                };
                assert_eq!(x.shape(), [2, 3]);
                assert_eq!(x[&at[..]], 2.0, "{descr} {order}");
            }
        }
    }

    /// As NumPy reads them, whoever wrote them.
    #[test]
    fn headers_of_other_writers() {
        let data = [1.0f32, -2.0].map(f32::to_ne_bytes).concat();
        for (descr, shape) in [("=f4", "(2,)"), ("f4", "(2L,)"), ("=f4", "( 1L , 2 )")] {
            let bytes = file(descr, "False", shape, &data);
            let Ok((Tensor::F32(x), None)) = read(Path::new("x.npy"), &bytes) else {
                panic!("{descr} {shape}");
            };
            assert_eq!(x.as_slice(), Some(&[1.0, -2.0][..]));
        }
        // No newline at the end, and no padding.
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}";
        let bytes =
            [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), &data];
        assert!(matches!(read(Path::new("x.npy"), &bytes.concat()), Ok((Tensor::F32(_), None))));
    }

    #[test]
    fn other_types_become_floats() {
        let path = Path::new("k.npy");
        let cases = [
            ("<f8", [0.1f64, -2.0].map(f64::to_le_bytes).concat(), [0.1f32, -2.0], true),
            ("<f8", [0.5f64, -2.0].map(f64::to_le_bytes).concat(), [0.5, -2.0], false),
            (">f8", [f64::NAN, 2.0].map(f64::to_be_bytes).concat(), [f32::NAN, 2.0], false),
            (">i8", [7i64, -2].map(i64::to_be_bytes).concat(), [7.0, -2.0], false),
            ("<i8", [i64::MAX, 1].map(i64::to_le_bytes).concat(), [i64::MAX as f32, 1.0], true),
            ("<u8", [u64::MAX, 1].map(u64::to_le_bytes).concat(), [u64::MAX as f32, 1.0], true),
            ("<i4", [16_777_217i32, 1].map(i32::to_le_bytes).concat(), [16_777_216.0, 1.0], true),
            ("<i4", [i32::MIN, 1].map(i32::to_le_bytes).concat(), [i32::MIN as f32, 1.0], false),
            ("<u4", [1u32 << 31, 1].map(u32::to_le_bytes).concat(), [2_147_483_648.0, 1.0], false),
            ("<u4", [u32::MAX, 1].map(u32::to_le_bytes).concat(), [u32::MAX as f32, 1.0], true),
            (">i2", [-7i16, 9].map(i16::to_be_bytes).concat(), [-7.0, 9.0], false),
            ("|i1", vec![0xff, 3], [-1.0, 3.0], false),
            ("|b1", vec![0, 1], [0.0, 1.0], false),
            ("?", vec![1, 0], [1.0, 0.0], false),
        ];
        for (descr, data, want, rounded) in cases {
            let bytes = file(descr, "False", "(2,)", &data);
            let bits = |x: &[f32]| x.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            let (weights, note) = read_weights(path, &bytes).unwrap();
            assert_eq!(bits(weights.as_slice().unwrap()), bits(&want), "{descr}");
            assert_eq!(note.is_some(), rounded, "{descr}: {note:?}");
            let Ok((Tensor::F32(x), Some(note))) = read(path, &bytes) else { panic!("{descr}") };
            assert_eq!(bits(x.as_slice().unwrap()), bits(&want), "{descr}");
            assert_eq!(note.contains("rounded"), rounded, "{descr}: {note}");
        }
        let words = file("<u2", "False", "(1,)", &[1, 2]);
        assert_eq!(read_weights(path, &words).unwrap().0.as_slice(), Some(&[513.0][..]));
        let halves = file("<f2", "False", "(1,)", &[0, 0x3c]);
        assert_eq!(read_weights(path, &halves).unwrap().0.as_slice(), Some(&[1.0][..]));
        let broken = file("|b1", "False", "(1,)", &[2]);
        assert!(matches!(read(path, &broken), Err(Failure::Work(_))));
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
            (file("<c8", "False", "(1, 1)", &[0; 8]), "complex64 (<c8)"),
            (file("<f16", "False", "(1, 1)", &[0; 16]), "longdouble (<f16)"),
            (file("<U3", "False", "(1, 1)", &[0; 12]), "of type <U3"),
            (file("<f4", "False", "(4294967296, 4294967296, 4)", &[]), "cannot be counted"),
            (file("<f4", "False", "(0, 4294967296, 4294967296)", &[]), "cannot be counted"),
            (file("<f4", "False", "(99999999999999999999, 4)", &[]), "no type, order and shape"),
            (file("<f4", "False", "(1, 1), 'shape': (9, 9)", &[0; 4]), "no type, order and shape"),
            (file("<f4", "False", "(1000000000, 4)", &[]), "truncated"),
            (file("<f4", "False", &"(".repeat(9000), &[]), "no type, order and shape"),
            (file("<f4", "Perhaps", "(1, 1)", &[0; 4]), "no type, order and shape"),
            (file("<f4", "False", "(1, 1LL)", &[0; 4]), "no type, order and shape"),
        ] {
            let text = message(&bytes);
            assert!(text.contains(part), "{text}");
        }
    }
}
