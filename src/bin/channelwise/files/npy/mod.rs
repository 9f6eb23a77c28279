//! `.npy` files: floats, integers and bool of NumPy, either byte order, C and Fortran order.
//!
//! The header is held against the length of the file before anything is allocated from it, and
//! `ndarray-npy` is handed one in its own words: it knows fewer than NumPy writes and reads. Ours is written
//! by the library, as that crate has none for half floats.

#[cfg(test)]
mod tests;

use std::io::{Cursor, Read, Write};
use std::path::Path;

use channelwise::f16;
use channelwise::ndarray::ArrayD;
pub(crate) use channelwise::store::is_npy;
use channelwise::store::{
    NPY_MAGIC as MAGIC, NpyHeader as Header, npy_header, npy_type_name as type_name,
};
use ndarray_npy::{ReadNpyExt, ReadableElement};

use super::Tensor;
use crate::failure::{Failure, Result};
use channelwise::store::Wide;

/// A tensor to filter, and what is to be said of it.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<(Tensor, Option<String>)> {
    let file = File::open(path, bytes)?;
    let tensor = match file.code() {
        "f2" => Tensor::F16(file.halves()?),
        "f4" => Tensor::F32(file.array()?),
        "f8" => Tensor::F64(file.array()?),
        "u1" => Tensor::U8(file.array()?),
        "i1" => Tensor::I8(file.array()?),
        "u2" => Tensor::U16(file.array()?),
        "i2" => Tensor::I16(file.array()?),
        "u4" => Tensor::U32(file.array()?),
        "i4" => Tensor::I32(file.array()?),
        "b1" => {
            let bytes = file.array::<bool>()?.mapv(u8::from);
            let note =
                format!("its {} elements are taken as bytes 0 and 1", type_name(&file.header.code));
            return Ok((Tensor::U8(bytes), Some(note)));
        }
        _ => {
            let (numbers, wide) = file.numbers()?;
            let note = wide.note(&format!("{} elements", type_name(&file.header.code)));
            return Ok((Tensor::F64(numbers), Some(note)));
        }
    };
    Ok((tensor, None))
}

/// Weights of whatever type.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub(crate) values: ArrayD<f64>,
    /// What is to be said where f64 does not hold them.
    pub(crate) note: Option<String>,
    /// NumPy's name for what they were.
    kind: String,
}

impl Numbers {
    /// What is to be said where they are taken as f32, and that does not hold them.
    pub(crate) fn as_f32(&self) -> Option<String> {
        let is_other = |v: &f64| !v.is_nan() && f64::from(*v as f32) != *v;
        let rounded = self.values.iter().any(is_other);
        rounded.then(|| format!("its {} elements are rounded to float32", self.kind))
    }
}

pub(crate) fn read_numbers(path: &Path, bytes: &[u8]) -> Result<Numbers> {
    let file = File::open(path, bytes)?;
    let (values, wide) = file.numbers()?;
    let kind = type_name(&file.header.code);
    let note = wide.any_rounded().then(|| wide.note(&format!("{kind} elements")));
    Ok(Numbers { values, note, kind })
}

/// A file whose header is read.
struct File<'a> {
    path: &'a Path,
    /// The elements.
    data: &'a [u8],
    header: Header,
}

impl<'a> File<'a> {
    fn open(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let header = Header::parse(bytes).map_err(|why| Failure::reading(path, why))?;
        let data = &bytes[header.data..];
        Ok(Self { path, data, header })
    }

    /// Kind and bytes of an element.
    fn code(&self) -> &str {
        self.header.code.trim_start_matches(['<', '>', '|'])
    }

    /// Half floats, which the parser does not know, read as integers with their bits.
    fn halves(&self) -> Result<ArrayD<f16>> {
        let bits = self.header.code.replace("f2", "u2");
        Ok(self.array_of::<u16>(&bits)?.mapv(f16::from_bits))
    }

    /// Elements of any type as f64, and whether that holds them.
    fn numbers(&self) -> Result<(ArrayD<f64>, Wide)> {
        let wide = Wide::default();
        let numbers = match self.code() {
            "b1" => self.array::<bool>()?.mapv(|v| f64::from(u8::from(v))),
            "f2" => self.halves()?.mapv(f64::from),
            "f4" => self.array::<f32>()?.mapv(f64::from),
            "f8" => self.array()?,
            "u1" => self.array::<u8>()?.mapv(f64::from),
            "i1" => self.array::<i8>()?.mapv(f64::from),
            "u2" => self.array::<u16>()?.mapv(f64::from),
            "i2" => self.array::<i16>()?.mapv(f64::from),
            "u4" => self.array::<u32>()?.mapv(f64::from),
            "i4" => self.array::<i32>()?.mapv(f64::from),
            "u8" => self.array()?.mapv(|v| wide.unsigned(v)),
            "i8" => self.array()?.mapv(|v| wide.signed(v)),
            _ => {
                let found = type_name(&self.header.code);
                return Err(Failure::reading(
                    self.path,
                    format!(
                        "its elements are {found}; floats of 16 to 64 bits, integers and bool \
                         are supported"
                    ),
                ));
            }
        };
        Ok((numbers, wide))
    }

    fn array<T: ReadableElement>(&self) -> Result<ArrayD<T>> {
        self.array_of(&self.header.code)
    }

    fn array_of<T: ReadableElement>(&self, kind: &str) -> Result<ArrayD<T>> {
        let Self { path, data, ref header } = *self;
        let (shape, fortran) = (&header.shape, header.fortran);
        let Some(needed) = header.len(size_of::<T>()) else {
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

/// In this machine's order of bytes, as NumPy does it too.
pub(crate) fn write(tensor: &Tensor, mut to: impl Write) -> std::io::Result<()> {
    to.write_all(&npy_header(tensor.kind().into(), tensor.shape()))?;
    to.write_all(&tensor.bytes())
}
