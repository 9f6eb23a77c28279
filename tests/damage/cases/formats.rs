//! Damage that keeps enough of a format for the decoder to come to it: sums are right again, fields are those that
//! count.

use serde_json::Value;

use super::chance::Chance;
use super::change;
use super::corpus::Kind;

/// Damages a file of a kind, and tells how; `name` is its name in an array or cube of several.
pub(crate) fn damage(
    chance: &mut Chance,
    kind: Kind,
    name: &str,
    bytes: &mut Vec<u8>,
) -> Vec<String> {
    let count = if chance.one_in(3) { 2 + chance.below(3) } else { 1 };
    (0..count)
        .map(|_| match kind {
            // As if nothing were known of it.
            _ if chance.one_in(3) => change::bytes(chance, bytes),
            Kind::Png => png(chance, bytes),
            Kind::Tiff => tiff(chance, bytes),
            Kind::Jpeg => jpeg(chance, bytes),
            Kind::Webp => riff(chance, bytes),
            Kind::Exr => exr(chance, bytes),
            Kind::Npy => npy(chance, bytes),
            Kind::Envi if name.ends_with(".hdr") => change::text(chance, bytes),
            Kind::Zarr if is_metadata(name) => json(chance, bytes),
            Kind::Zarr => chunk(chance, bytes),
            Kind::Bmp => {
                let at = 14 + 4 * chance.below(12);
                change::field(chance, bytes, at)
            }
            Kind::Envi => change::bytes(chance, bytes),
        })
        .collect()
}

/// Whether a file of an array tells of it.
fn is_metadata(name: &str) -> bool {
    name.ends_with("/zarr.json") || name.contains("/.z")
}

fn number(bytes: &[u8], at: usize, size: usize, little: bool) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    Some(if little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) })
}

/// The sum of PNG's chunks (CRC-32), and of shards (CRC-32C), bit by bit.
pub(crate) fn crc(polynomial: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { sum >> 1 ^ polynomial } else { sum >> 1 }
        })
    })
}

pub(crate) const PNG: u32 = 0xedb8_8320;
pub(crate) const CASTAGNOLI: u32 = 0x82f6_3b78;

/// One of the chunks is others, and its sum is right.
fn png(chance: &mut Chance, bytes: &mut Vec<u8>) -> String {
    let mut chunks = Vec::new();
    let mut at = 8;
    while let Some(length) = number(bytes, at, 4, false) {
        let end = at.saturating_add(12).saturating_add(length as usize);
        if end > bytes.len() {
            break;
        }
        chunks.push(at..end);
        at = end;
    }
    if chunks.is_empty() {
        return change::bytes(chance, bytes);
    }
    // The first says what all are.
    let which = if chance.one_in(2) { 0 } else { chance.below(chunks.len()) };
    let chunk = chunks[which].clone();
    match chance.below(8) {
        0 => {
            bytes.drain(chunk);
            format!("chunk {which} left out")
        }
        1 => {
            let again = bytes[chunk.clone()].to_vec();
            let at = chunks[chance.below(chunks.len())].start;
            bytes.splice(at..at, again);
            format!("chunk {which} once more at {at}")
        }
        _ => {
            let mut data = bytes[chunk.start + 8..chunk.end - 4].to_vec();
            let done = match (which, data.len()) {
                (0, 13..) => {
                    let at = chance.below(13);
                    match at {
                        0..8 => change::put(&mut data, at / 4 * 4, 4, chance.awkward(), false),
                        _ => data[at] = chance.below(18) as u8,
                    }
                    format!("{:?} in the header", &data[..13])
                }
                _ => change::bytes(chance, &mut data),
            };
            let mut new = (data.len() as u32).to_be_bytes().to_vec();
            new.extend(&bytes[chunk.start + 4..chunk.start + 8]);
            new.extend(data);
            let sum = crc(PNG, &new[4..]);
            new.extend(sum.to_be_bytes());
            bytes.splice(chunk, new);
            format!("chunk {which}: {done}")
        }
    }
}

/// A field of a directory, or where the next one is.
fn tiff(chance: &mut Chance, bytes: &mut Vec<u8>) -> String {
    let little = bytes.first() == Some(&b'I');
    let big = number(bytes, 2, 2, little) == Some(43);
    let (wide, counted, start) = if big { (8, 8, 8) } else { (4, 2, 4) };
    let entry = 4 + 2 * wide;
    // Directories that are there.
    let mut found = Vec::new();
    let mut next = number(bytes, start, wide, little);
    while let Some(at) = next.filter(|at| *at > 0 && found.len() < 20) {
        let Some(entries) = number(bytes, at as usize, counted, little) else { break };
        let (at, entries) = (at as usize, (entries as usize).min(100));
        found.push((at, entries));
        next = number(bytes, at + counted + entries * entry, wide, little);
    }
    let Some(&(at, entries)) = found.get(chance.below(found.len())) else {
        return change::bytes(chance, bytes);
    };
    let first = at + counted;
    match chance.below(12) {
        0 => {
            let to = match chance.below(3) {
                0 => at as u64,
                1 => found[0].0 as u64,
                _ => chance.awkward(),
            };
            change::put(bytes, first + entries * entry, wide, to, little);
            format!("the directory behind {at} at {to}")
        }
        1 => {
            let count = chance.awkward();
            change::put(bytes, at, counted, count, little);
            format!("{count} entries at {at}")
        }
        kind => {
            let one = chance.below(entries);
            let place = first + one * entry;
            let what = match kind {
                2 => {
                    let tags = [254, 256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 320];
                    let more = [322, 323, 324, 325, 338, 339, 347, 530, 34_675, 274, 282, 296];
                    let all = [&tags[..], &more].concat();
                    let tag = all[chance.below(all.len())];
                    change::put(bytes, place, 2, tag, little);
                    format!("tag {tag}")
                }
                3 => {
                    let kind = chance.below(20) as u64;
                    change::put(bytes, place + 2, 2, kind, little);
                    format!("type {kind}")
                }
                4 | 5 => {
                    let count = chance.awkward();
                    change::put(bytes, place + 4, wide, count, little);
                    format!("count {count}")
                }
                _ => {
                    // Short ones stand in front of their field.
                    let size = if chance.one_in(2) { 2 } else { wide };
                    let value = match chance.below(3) {
                        0 => chance.awkward(),
                        1 => chance.below(20) as u64,
                        _ => chance.below(bytes.len()) as u64,
                    };
                    change::put(bytes, place + 4 + wide, size, value, little);
                    format!("value {value}")
                }
            };
            format!("{what} in entry {one} of the directory at {at}")
        }
    }
}

/// A segment that is others, or fewer of the coded pixels, with the end marker behind.
fn jpeg(chance: &mut Chance, bytes: &mut Vec<u8>) -> String {
    let mut segments = Vec::new();
    let mut at = 2;
    while let (Some(0xff), Some(code)) = (bytes.get(at), bytes.get(at + 1).copied()) {
        let length = number(bytes, at + 2, 2, false).unwrap_or(0) as usize;
        segments.push((at, code, length));
        at += 2 + length;
        // What follows is coded.
        if code == 0xda || length < 2 {
            break;
        }
    }
    let Some(&(start, code, length)) = segments.get(chance.below(segments.len())) else {
        return change::bytes(chance, bytes);
    };
    let coded = at.min(bytes.len());
    match chance.below(5) {
        0 if bytes.len() > coded + 2 => {
            let end = bytes.len() - 2;
            let from = coded + chance.below(end - coded);
            let to = if chance.one_in(2) { end } else { from + chance.below(end - from) };
            bytes.drain(from..to);
            format!("{from}..{to} of the pixels left out")
        }
        1 => {
            bytes.drain(start..(start + 2 + length).min(bytes.len()));
            format!("segment {code:#x} left out")
        }
        2 => {
            let frame = segments.iter().find(|(_, code, _)| matches!(code, 0xc0..=0xc2));
            let frame = frame.map_or(start, |(at, ..)| *at);
            let (offset, size) = [(5, 2), (7, 2), (9, 1), (11, 1), (4, 1)][chance.below(5)];
            let value = chance.awkward();
            change::put(bytes, frame + offset, size, value, false);
            format!("{value:#x} in the frame at {offset}")
        }
        _ => {
            let within = start + 4 + chance.below(length.max(3) - 2);
            if let Some(byte) = bytes.get_mut(within) {
                *byte = chance.byte();
            }
            format!("a byte of segment {code:#x}")
        }
    }
}

/// Sizes of WebP's chunks, and of the picture in its first.
fn riff(chance: &mut Chance, bytes: &mut Vec<u8>) -> String {
    let done = match chance.below(4) {
        0 => change::field(chance, bytes, 4),
        1 => change::field(chance, bytes, 16),
        2 => {
            let at = 20 + chance.below(12);
            change::field(chance, bytes, at)
        }
        _ => change::bytes(chance, bytes),
    };
    // What it says of its length is right.
    if chance.one_in(2) && bytes.len() > 8 {
        let length = (bytes.len() - 8) as u64;
        change::put(bytes, 4, 4, length, true);
    }
    done
}

/// One of the attributes: OpenEXR names them, and their values follow.
fn exr(chance: &mut Chance, bytes: &mut [u8]) -> String {
    const NAMES: [&str; 8] = [
        "dataWindow",
        "displayWindow",
        "channels",
        "compression",
        "lineOrder",
        "tiles",
        "chunkCount",
        "name",
    ];
    let name = chance.pick(&NAMES);
    let key = format!("{name}\0");
    let at = bytes.windows(key.len()).position(|part| part == key.as_bytes());
    let Some(at) = at.filter(|_| !chance.one_in(4)) else {
        // Where its chunks lie follows on the header.
        let ends = bytes.windows(2).position(|two| two == b"\0\0").unwrap_or(0);
        let at = ends + chance.below(200);
        return change::field(chance, bytes, at);
    };
    let kind = at + key.len();
    let value = bytes[kind..].iter().position(|b| *b == 0).map_or(kind, |end| kind + end + 5);
    let place = value + chance.below(20);
    let done = if chance.one_in(3) && place < bytes.len() {
        bytes[place] = chance.byte();
        format!("a byte at {place}")
    } else {
        let at = value + 4 * chance.below(4);
        change::field(chance, bytes, at)
    };
    format!("{name}: {done}")
}

/// The text of the header, whose length is right again but for one in four.
fn npy(chance: &mut Chance, bytes: &mut Vec<u8>) -> String {
    let (start, size) = if bytes.get(6) == Some(&1) { (10, 2) } else { (12, 4) };
    let Some(length) = number(bytes, 8, size, true) else { return change::bytes(chance, bytes) };
    let end = start + length as usize;
    let Some(header) = bytes.get(start..end) else { return change::bytes(chance, bytes) };
    let mut header = header.to_vec();
    let done = match chance.below(3) {
        0 => change::bytes(chance, &mut header),
        _ => change::text(chance, &mut header),
    };
    if !chance.one_in(4) {
        change::put(bytes, 8, size, header.len() as u64, true);
    }
    bytes.splice(start..end, header);
    format!("header: {done}")
}

/// Bytes of a chunk, or where the chunks of a shard lie, whose index ends it with its sum.
fn chunk(chance: &mut Chance, bytes: &mut Vec<u8>) -> String {
    if chance.one_in(2) || bytes.len() < 20 {
        return change::bytes(chance, bytes);
    }
    let summed = bytes.len() - 4;
    let from = summed.saturating_sub(16 * 16) / 8 * 8;
    let places = (summed - from) / 8;
    let at = summed - 8 * (1 + chance.below(places));
    let value = match chance.below(3) {
        0 => chance.below(2 * bytes.len()) as u64,
        _ => chance.awkward(),
    };
    change::put(bytes, at, 8, value, true);
    // The sum is that of the index alone, however many chunks that is of.
    let inner = [1, 2, 4, 6, 8, 9, 16][chance.below(7)] * 16;
    let index = summed.saturating_sub(inner)..summed;
    let sum = crc(CASTAGNOLI, &bytes[index]);
    change::put(bytes, summed, 4, u64::from(sum), true);
    format!("{value:#x} at {at} of an index")
}

/// One value of metadata, anywhere in them.
fn json(chance: &mut Chance, bytes: &mut Vec<u8>) -> String {
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else {
        return change::text(chance, bytes);
    };
    if chance.one_in(3) {
        return change::text(chance, bytes);
    }
    let done = within(chance, &mut value);
    *bytes = value.to_string().into_bytes();
    done
}

fn within(chance: &mut Chance, value: &mut Value) -> String {
    let deeper = !chance.one_in(4);
    match value {
        Value::Object(all) if !all.is_empty() => {
            let number = chance.below(all.len());
            let key = all.keys().nth(number).cloned().unwrap_or_default();
            if !deeper && chance.one_in(2) {
                all.remove(&key);
                return format!("no {key}");
            }
            format!("{key}: {}", within(chance, &mut all[&key]))
        }
        Value::Array(all) if !all.is_empty() && deeper => {
            let at = chance.below(all.len());
            match chance.below(6) {
                0 => {
                    all.remove(at);
                    format!("no number {at}")
                }
                1 => {
                    all.insert(at, all[at].clone());
                    format!("number {at} twice")
                }
                _ => format!("number {at}: {}", within(chance, &mut all[at])),
            }
        }
        other => {
            *other = new(chance, other);
            format!("now {other}")
        }
    }
}

fn new(chance: &mut Chance, old: &Value) -> Value {
    const WORDS: [&str; 24] = [
        "",
        "<f8",
        ">i2",
        "|b1",
        "<c8",
        "F",
        "C",
        "uint8",
        "float16",
        "int64",
        "bool",
        "r16",
        "bytes",
        "zstd",
        "gzip",
        "blosc",
        "transpose",
        "crc32c",
        "sharding_indexed",
        "big",
        "little",
        "NaN",
        "v2",
        "/",
    ];
    match (old, chance.below(4)) {
        (Value::String(_), 0..3) => WORDS[chance.below(WORDS.len())].into(),
        (Value::Number(_), 0..3) => {
            serde_json::from_str(&change::number(chance)).unwrap_or(Value::Null)
        }
        _ => match chance.below(6) {
            0 => Value::Null,
            1 => Value::Array(vec![chance.awkward().into(); chance.below(4)]),
            2 => Value::Object(serde_json::Map::new()),
            3 => chance.one_in(2).into(),
            4 => WORDS[chance.below(WORDS.len())].into(),
            _ => chance.awkward().into(),
        },
    }
}
