//! What the header of a `.npy` file says, whoever wrote it.

use super::is_npy;

/// Longest header that is read. NumPy itself stops at 10 000 characters.
const MAX_HEADER: usize = 1 << 16;

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
pub(super) fn type_code(header: &str) -> Option<String> {
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

pub(super) fn fortran(header: &str) -> Option<bool> {
    let value = entry(header, "fortran_order")?;
    let is = |word: &str| {
        value.strip_prefix(word).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    };
    if is("True") { Some(true) } else { is("False").then_some(false) }
}

/// Python 2 wrote `2L` for some numbers.
pub(super) fn shape(header: &str) -> Option<Vec<usize>> {
    let (inside, _) = entry(header, "shape")?.strip_prefix('(')?.split_once(')')?;
    let axes = inside.split(',').map(str::trim).filter(|n| !n.is_empty());
    axes.map(|n| n.strip_suffix('L').unwrap_or(n).parse().ok()).collect()
}

/// Where the data begins.
pub(super) fn data_start(bytes: &[u8]) -> Result<usize, &'static str> {
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
pub(super) fn type_name(code: &str) -> String {
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
