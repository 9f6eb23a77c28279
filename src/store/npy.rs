//! `.npy` files: a header of text, and numbers.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::sample::Sample;
use crate::ElementType;

/// What a file begins with.
#[doc(hidden)]
pub const MAGIC: &[u8] = b"\x93NUMPY";

/// What NumPy aligns data to.
const ALIGNMENT: usize = 64;

/// Longest header that is read. NumPy itself stops at 10 000 characters.
const MAX_HEADER: usize = 1 << 16;

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub struct Header {
    /// NumPy's code of the type, with its order of bytes: `<f4`.
    pub code: String,
    /// Whether the first axis is the one whose numbers are neighbours.
    pub fortran: bool,
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Where the numbers begin.
    pub data: usize,
}

impl Header {
    /// That of a file's first bytes.
    ///
    /// # Errors
    /// Why it is none, for people.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let data = data_start(bytes)?;
        let header = String::from_utf8_lossy(&bytes[..data]);
        let (Some(code), Some(fortran), Some(shape)) =
            (type_code(&header), fortran(&header), shape(&header))
        else {
            return Err("its header tells no type, order and shape".into());
        };
        Ok(Self { code, fortran, shape, data })
    }

    /// How many bytes the numbers of a file of these have, if they can be counted.
    #[must_use]
    pub fn len(&self, size: usize) -> Option<usize> {
        // The product without the zeros too: arrays of no elements must be countable as well.
        let counted = |zeros: bool| {
            let axes = self.shape.iter().filter(|n| zeros || **n != 0);
            axes.copied().try_fold(size, usize::checked_mul)
        };
        counted(false).filter(|n| isize::try_from(*n).is_ok()).and(counted(true))
    }

    /// What numbers it has, and whether their bytes are in another machine's order.
    pub(super) fn sample(&self) -> Result<(Sample, bool), String> {
        let sample = sample(&self.code)?;
        let native = if cfg!(target_endian = "little") { '<' } else { '>' };
        let order = self.code.chars().next();
        Ok((sample, order != Some('|') && order != Some(native)))
    }
}

/// What NumPy calls so.
pub(super) fn sample(code: &str) -> Result<Sample, String> {
    Ok(match code.trim_start_matches(['<', '>', '|']) {
        "f2" => Sample::Plain(ElementType::F16),
        "f4" => Sample::Plain(ElementType::F32),
        "f8" => Sample::Plain(ElementType::F64),
        "u1" => Sample::Plain(ElementType::U8),
        "i1" => Sample::Plain(ElementType::I8),
        "u2" => Sample::Plain(ElementType::U16),
        "i2" => Sample::Plain(ElementType::I16),
        "u4" => Sample::Plain(ElementType::U32),
        "i4" => Sample::Plain(ElementType::I32),
        "b1" => Sample::Bool,
        "i8" => Sample::I64,
        "u8" => Sample::U64,
        _ => {
            let found = type_name(code);
            return Err(format!(
                "its elements are {found}; floats of 16 to 64 bits, integers and bool are supported"
            ));
        }
    })
}

/// NumPy's code of a type, in this order of bytes where it has one: `<f4`.
pub(super) fn code(element: ElementType, order: char) -> String {
    let letter = match element.integers() {
        None => 'f',
        Some(whole) if *whole.start() < 0 => 'i',
        Some(_) => 'u',
    };
    let size = element.bytes();
    let order = if size == 1 { '|' } else { order };
    format!("{order}{letter}{size}")
}

/// The header of a file that is read from its start.
pub(super) fn read(mut file: &File) -> io::Result<Result<Header, String>> {
    let mut start = [0; 12];
    file.seek(SeekFrom::Start(0))?;
    let mut whole = Vec::new();
    file.take(12).read_to_end(&mut whole)?;
    start[..whole.len()].copy_from_slice(&whole);
    let length = match start[6] {
        1 => usize::from(u16::from_le_bytes([start[8], start[9]])),
        _ => u32::from_le_bytes([start[8], start[9], start[10], start[11]]) as usize,
    };
    file.take(length.min(MAX_HEADER) as u64).read_to_end(&mut whole)?;
    Ok(Header::parse(&whole))
}

/// The first bytes of a file in this machine's order of bytes, as NumPy writes it.
#[doc(hidden)]
#[must_use]
pub fn header(element: ElementType, shape: &[usize]) -> Vec<u8> {
    let code = code(element, if cfg!(target_endian = "little") { '<' } else { '>' });
    let axes: Vec<_> = shape.iter().map(ToString::to_string).collect();
    // A tuple of one has a comma.
    let comma = if axes.len() == 1 { "," } else { "" };
    let axes = axes.join(", ");
    let mut header =
        format!("{{'descr': '{code}', 'fortran_order': False, 'shape': ({axes}{comma}), }}");
    // Data begin at a multiple of 64 bytes.
    let start = MAGIC.len() + 4;
    let whole = (start + header.len() + 1).next_multiple_of(ALIGNMENT);
    header += &" ".repeat(whole - start - header.len() - 1);
    header.push('\n');
    // A few numbers are no 64 KiB.
    let length = (header.len() as u16).to_le_bytes();
    [MAGIC, &[1, 0], &length, header.as_bytes()].concat()
}

/// Whether a file begins so.
#[doc(hidden)]
#[must_use]
pub fn is_npy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// What follows a key of the header. A key that is there twice is none: we and another parser
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
#[doc(hidden)]
#[must_use]
pub fn type_name(code: &str) -> String {
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
