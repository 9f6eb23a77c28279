//! One strip or tile, decompressed: rows of samples in this machine's order of bytes.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};

use tiff::decoder::{Decoder, Limits};
use tiff::{TiffError, TiffUnsupportedError};

use super::Result;
use super::page::{Page, compression};
use super::single::{self, Strip};
use crate::memory;
use crate::store::jpeg::Jpeg;
use crate::store::sample::swap;
use crate::store::{guard, room};

/// Bytes of a row of `width` pixels with `samples` each. Bits are packed, and rows begin with a byte.
pub(super) fn row_bytes(width: usize, samples: usize, bits: u16) -> Option<usize> {
    Some(width.checked_mul(samples)?.checked_mul(usize::from(bits))?.div_ceil(8))
}

/// The rows of chunk `number`, of `samples` a pixel, whose bytes in the file are `data`. The last strip has fewer rows
/// than others; tiles have all, those beyond the edge too.
pub(super) fn rows<'a>(
    data: &'a [u8],
    page: &Page,
    number: usize,
    samples: usize,
) -> Result<Cow<'a, [u8]>> {
    let (width, rows) = page.chunk;
    let below = page.height - (number % (page.chunks.len() / page.planes())) / page.grid().0 * rows;
    let there = below.min(rows);
    let rows = if page.tiled { rows } else { there };
    let large = || format!("its {} are too large", what(page));
    let row = row_bytes(width, samples, page.bits).ok_or_else(large)?;
    let size = row.checked_mul(rows).ok_or_else(large)?;

    if page.compression == compression::NONE && page.predictor == 1 {
        // Some writers leave out what lies below the last row.
        let size = if data.len() < size { row * there } else { size };
        let Some(data) = data.get(..size) else {
            return Err(short(page, number));
        };
        return native(page, data);
    }
    if page.compression == compression::JPEG && Jpeg::find(data).is_none() {
        return Err(short(page, number));
    }
    // What is packed bit by bit the decoder takes as bytes, unless it has to know of bits.
    let bytes = !page.bits.is_multiple_of(8) && page.compression != compression::FAX4;
    let (width, samples, bits) = if bytes { (row, 1, 8) } else { (width, samples, page.bits) };
    if page.predictor != 1 && bytes {
        let bits = page.bits;
        return Err(format!("its samples of {bits} bits have a predictor, which is not supported"));
    }
    let strip = Strip {
        order: page.order,
        width,
        rows,
        samples,
        bits,
        format: page.format as u16 + 1,
        compression: page.compression,
        predictor: page.predictor,
        jpeg_tables: page.jpeg_tables.as_deref(),
        data,
    };
    let mut to = room::zeroed(size)?;
    let decoded = decode(&strip, &mut to).or_else(|error| match error {
        // Tiles whose rows below the edge are left out.
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof && there < rows => {
            to.truncate(row * there);
            decode(&Strip { rows: there, ..strip }, &mut to)
        }
        error => Err(error),
    });
    decoded.map(|()| Cow::Owned(to)).map_err(|error| match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            short(page, number)
        }
        error => format!("number {} of its {}: {}", number + 1, what(page), describe(&error)),
    })
}

fn decode(strip: &Strip<'_>, rows: &mut [u8]) -> std::result::Result<(), TiffError> {
    let work = || {
        let decoder = Decoder::new(Cursor::new(single::file(strip, true)))?;
        decoder.with_limits(Limits::unlimited()).read_chunk_bytes(0, rows)
    };
    guard::guarded(work).unwrap_or_else(|defect| {
        Err(TiffError::FormatError(tiff::TiffFormatError::CompressedDataCorrupt(defect)))
    })
}

fn what(page: &Page) -> &'static str {
    if page.tiled { "tiles" } else { "strips" }
}

pub(super) fn short(page: &Page, number: usize) -> String {
    format!("number {} of its {} ends before its last row", number + 1, what(page))
}

/// What is said of one that claims more than its bytes can hold.
pub(super) fn unexplained(page: &Page, number: usize) -> String {
    let ((columns, rows), length) = (page.chunk, page.chunks[number].1);
    format!(
        "number {} of its {} is of {columns}x{rows} pixels, which its {length} bytes do not explain",
        number + 1,
        what(page)
    )
}

fn describe(error: &TiffError) -> String {
    match error {
        TiffError::FormatError(error) => format!("its data are damaged: {error}"),
        TiffError::UnsupportedError(TiffUnsupportedError::HorizontalPredictor(_))
        | TiffError::UnsupportedError(TiffUnsupportedError::FloatingPointPredictor(_)) => {
            "such a predictor is not supported".into()
        }
        other => other.to_string(),
    }
}

/// In this machine's order of bytes.
fn native<'a>(page: &Page, data: &'a [u8]) -> Result<Cow<'a, [u8]>> {
    let size = usize::from(page.bits / 8);
    if size < 2 || !page.bits.is_multiple_of(8) || !page.is_foreign() {
        return Ok(Cow::Borrowed(data));
    }
    let copied = memory::copied("numbers of a strip or tile", data);
    let mut data = copied.map_err(|error| error.to_string())?;
    swap(true, size, &mut data);
    Ok(Cow::Owned(data))
}
