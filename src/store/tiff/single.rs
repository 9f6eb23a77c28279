//! A TIFF file of one strip, made for the decoder: its directory says only what decompressing needs.

use tiff::tags::ByteOrder;

/// BigTIFF's type of one number of 64 bits, and TIFF's of 32 bits and of bytes.
const LONG8: u64 = 16;
const LONG: u64 = 4;
const UNDEFINED: u64 = 7;

const JPEG_TABLES: u64 = 347;

/// What the strip is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strip<'a> {
    pub(super) order: ByteOrder,
    pub(super) width: usize,
    pub(super) rows: usize,
    pub(super) samples: usize,
    pub(super) bits: u16,
    /// 1 to 3, as in `SampleFormat`.
    pub(super) format: u16,
    pub(super) compression: u16,
    pub(super) predictor: u16,
    pub(super) jpeg_tables: Option<&'a [u8]>,
    pub(super) data: &'a [u8],
}

/// The file. One that is not `big` has room for 4 GiB, and numbers of 32 bits.
///
/// ```text
/// header | count | entries | 0 | JPEG tables | data
/// ```
pub(super) fn file(strip: &Strip<'_>, big: bool) -> Vec<u8> {
    let mut to = Bytes { order: strip.order, out: Vec::new() };
    // How wide are offsets, and the number of entries.
    let (wide, counted) = if big { (8, 8) } else { (4, 2) };
    let header = if big { 16 } else { 8 };
    let tables = strip.jpeg_tables.unwrap_or_default();
    let entries = 11 + usize::from(!tables.is_empty());
    let after = header + counted + entries * (4 + 2 * wide) + wide;

    to.out.extend(if strip.order == ByteOrder::LittleEndian { b"II" } else { b"MM" });
    to.put(if big { 43 } else { 42 }, 2);
    if big {
        to.put(8, 2);
        to.put(0, 2);
    }
    to.put(header as u64, wide);
    to.put(entries as u64, counted);
    let mut entry = |tag: u64, kind: u64, count: usize, value: u64| {
        to.put(tag, 2);
        to.put(kind, 2);
        to.put(count as u64, wide);
        to.put(value, wide);
    };
    let number = if big { LONG8 } else { LONG };
    // In the order of their tags, as they must be.
    for (tag, value) in [
        (256, strip.width as u64),
        (257, strip.rows as u64),
        (258, strip.bits.into()),
        (259, strip.compression.into()),
        // Black is zero: what a number means is not its matter.
        (262, 1),
        (273, (after + tables.len()) as u64),
        (277, strip.samples as u64),
        (278, strip.rows as u64),
        (279, strip.data.len() as u64),
        (317, strip.predictor.into()),
    ] {
        entry(tag, number, 1, value);
    }
    entry(339, number, 1, strip.format.into());
    if !tables.is_empty() {
        entry(JPEG_TABLES, UNDEFINED, tables.len(), after as u64);
    }
    to.put(0, wide);
    to.out.extend(tables);
    to.out.extend(strip.data);
    to.out
}

struct Bytes {
    order: ByteOrder,
    out: Vec<u8>,
}

impl Bytes {
    fn put(&mut self, value: u64, bytes: usize) {
        match self.order {
            ByteOrder::LittleEndian => self.out.extend(&value.to_le_bytes()[..bytes]),
            ByteOrder::BigEndian => self.out.extend(&value.to_be_bytes()[8 - bytes..]),
        }
    }
}
