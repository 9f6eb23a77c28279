//! What the header of an ENVI file says: lines of `key = value`, where a value in braces may go over several.

use std::fmt::Write;

use super::interleave::Interleave;
use super::keys::Keys;
use crate::ElementType;
use crate::store::sample::Sample;

type Result<T> = std::result::Result<T, String>;

/// ENVI's numbers of the types that are read.
const KINDS: [(u64, Sample); 9] = [
    (1, Sample::Plain(ElementType::U8)),
    (2, Sample::Plain(ElementType::I16)),
    (3, Sample::Plain(ElementType::I32)),
    (4, Sample::Plain(ElementType::F32)),
    (5, Sample::Plain(ElementType::F64)),
    (12, Sample::Plain(ElementType::U16)),
    (13, Sample::Plain(ElementType::U32)),
    (14, Sample::I64),
    (15, Sample::U64),
];

/// ENVI's number of a type, if it has one.
#[must_use]
pub fn code(element: ElementType) -> Option<u64> {
    KINDS.iter().find(|(_, known)| *known == Sample::Plain(element)).map(|(code, _)| *code)
}

/// What a header says.
#[derive(Debug, PartialEq)]
pub struct Header {
    /// Rows.
    pub lines: usize,
    /// Columns.
    pub samples: usize,
    /// Channels.
    pub bands: usize,
    /// Where the samples begin.
    pub offset: u64,
    /// What they are.
    pub kind: Sample,
    /// In what order.
    pub interleave: Interleave,
    /// And their bytes.
    pub big_endian: bool,
    /// What else it says.
    pub keys: Keys,
}

impl Header {
    /// That of a file.
    ///
    /// # Errors
    /// Why it is none, for people.
    pub fn parse(text: &str) -> Result<Self> {
        let entries = Entries::of(text)?;
        if let Some(packed) = entries.number("file compression")?.filter(|packed| *packed != 0) {
            return Err(format!(
                "its data are packed (file compression {packed}), which is not supported"
            ));
        }
        for key in ["major frame offsets", "minor frame offsets"] {
            let zeros = |c: char| "{}, 0\n\t".contains(c);
            if entries.value(key)?.is_some_and(|offsets| !offsets.chars().all(zeros)) {
                return Err(format!("it has {key}, which are not supported"));
            }
        }
        let code = entries.needed("data type")?;
        let kind = match KINDS.iter().find(|(known, _)| *known == code) {
            Some((_, kind)) => *kind,
            None => {
                let name = match code {
                    6 => "complex64",
                    9 => "complex128",
                    _ => "of no known type",
                };
                return Err(format!(
                    "its samples are {name} (data type {code}), which is not supported"
                ));
            }
        };
        let interleave = entries.value("interleave")?.ok_or_else(|| missing("interleave"))?;
        let interleave = Interleave::named(interleave).ok_or_else(|| {
            format!("its interleave is `{interleave}`; there are bsq, bil and bip")
        })?;
        let big_endian = match entries.number("byte order")? {
            Some(0) => false,
            Some(1) => true,
            Some(other) => return Err(format!("its byte order is {other}; there are 0 and 1")),
            // A byte has none.
            None if kind.bytes() == 1 => false,
            None => return Err(missing("byte order")),
        };
        Ok(Self {
            lines: entries.size("lines")?,
            samples: entries.size("samples")?,
            bands: entries.size("bands")?,
            offset: entries.number("header offset")?.unwrap_or(0),
            kind,
            interleave,
            big_endian,
            keys: Keys::of(&entries.0),
        })
    }

    /// Holds the header against a file of `there` bytes: where its samples lie.
    ///
    /// # Errors
    /// Where the file has another length, for people.
    pub fn range(&self, there: u64) -> Result<std::ops::Range<usize>> {
        let Self { lines, samples, bands, offset, kind, .. } = *self;
        let size = format!("{lines} lines of {samples} samples in {bands} bands of {kind}");
        let count = [samples, bands, kind.bytes()].iter().try_fold(lines, |n, m| n.checked_mul(*m));
        let count = count.filter(|n| isize::try_from(*n).is_ok());
        let all = count.and_then(|n| offset.checked_add(n as u64));
        let (Some(count), Some(all)) = (count, all) else {
            return Err(format!("its header asks for {size}, which cannot be counted"));
        };
        if all != there {
            let what =
                if there < all { "the file is truncated" } else { "bytes follow the samples" };
            let offset = if offset > 0 { format!("{offset} bytes and ") } else { String::new() };
            return Err(format!(
                "{what}: its header asks for {offset}{size}, {all} bytes, and {there} are there"
            ));
        }
        // It is no longer than a file that is there.
        let start = usize::try_from(offset).map_err(|_| "it begins too far behind".to_string())?;
        Ok(start..start + count)
    }
}

/// The text of a header of little-endian samples that begin the file.
#[must_use]
pub fn text(
    [lines, samples, bands]: [usize; 3],
    code: u64,
    interleave: Interleave,
    keys: &Keys,
) -> String {
    let mut text = String::from("ENVI\n");
    // Writing to a string does not fail.
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key} = {value}");
    };
    line("samples", &samples.to_string());
    line("lines", &lines.to_string());
    line("bands", &bands.to_string());
    line("header offset", "0");
    line("file type", "ENVI Standard");
    line("data type", &code.to_string());
    line("interleave", interleave.name());
    line("byte order", "0");
    for (key, value) in keys.entries() {
        line(key, value);
    }
    text
}

fn missing(key: &str) -> String {
    format!("it says no `{key}`")
}

/// Keys in lower case, and their values.
struct Entries(Vec<(String, String)>);

impl Entries {
    fn of(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|line| !line.trim_start().starts_with(';'));
        if lines.next().map(str::trim) != Some("ENVI") {
            return Err("its first line is not `ENVI`".into());
        }
        let mut entries = Vec::new();
        while let Some(line) = lines.next() {
            // What is no entry is passed over, as other readers do it.
            let Some((key, value)) = line.split_once('=') else { continue };
            let key = key.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
            let mut value = value.trim().to_string();
            if value.starts_with('{') {
                let mut closed = value.contains('}');
                while !closed {
                    let more = lines
                        .next()
                        .ok_or_else(|| format!("the braces of its `{key}` are not closed"))?;
                    closed = more.contains('}');
                    value.push('\n');
                    value += more.trim_end();
                }
                value.truncate(value.find('}').map_or(value.len(), |end| end + 1));
            }
            entries.push((key, value));
        }
        Ok(Self(entries))
    }

    /// One that is there twice is an error: readers would take different ones.
    fn value(&self, key: &str) -> Result<Option<&str>> {
        let mut found =
            self.0.iter().filter(|(known, _)| known == key).map(|(_, value)| &value[..]);
        match (found.next(), found.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(format!("it says `{key}` twice")),
        }
    }

    fn number(&self, key: &str) -> Result<Option<u64>> {
        let Some(value) = self.value(key)? else { return Ok(None) };
        let number = value
            .parse()
            .map_err(|_| format!("its `{key}` is `{value}`, which is no whole number from 0"));
        number.map(Some)
    }

    fn needed(&self, key: &str) -> Result<u64> {
        self.number(key)?.ok_or_else(|| missing(key))
    }

    fn size(&self, key: &str) -> Result<usize> {
        match self.needed(key)? {
            0 => Err(format!("its `{key}` is 0, and 1 is needed at least")),
            size => usize::try_from(size)
                .map_err(|_| format!("its `{key}` is {size}, which is too large")),
        }
    }
}
