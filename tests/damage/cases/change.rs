//! Damage that knows nothing of formats: bytes that are lost, repeated, or others than they were.

use super::chance::Chance;

/// Changes something at least, and tells what.
pub(crate) fn bytes(chance: &mut Chance, bytes: &mut Vec<u8>) -> String {
    if bytes.is_empty() {
        bytes.extend((0..chance.below(40)).map(|_| chance.byte()));
        return "an empty file filled".into();
    }
    let len = bytes.len();
    match chance.below(12) {
        0 | 1 => {
            // Often within what a file begins with.
            let to = if chance.one_in(3) { chance.below(len.min(200)) } else { chance.below(len) };
            bytes.truncate(to);
            format!("cut to {to}")
        }
        2 => {
            let count = 1 + chance.below(8);
            for _ in 0..count {
                let at = chance.below(len);
                bytes[at] ^= 1 << chance.below(8);
            }
            format!("{count} bits flipped")
        }
        3 => {
            let count = 1 + chance.below(4);
            for _ in 0..count {
                let at = chance.below(len);
                bytes[at] = chance.byte();
            }
            format!("{count} bytes changed")
        }
        4..=6 => {
            let places = if chance.one_in(2) { len.min(256) } else { len };
            let at = chance.below(places);
            field(chance, bytes, at)
        }
        7 => {
            let run = chance.run(len);
            bytes.drain(run.clone());
            format!("{run:?} left out")
        }
        8 => {
            let run = chance.run(len);
            let again = bytes[run.clone()].to_vec();
            let at = chance.below(len);
            bytes.splice(at..at, again);
            format!("{run:?} once more at {at}")
        }
        9 => {
            let run = chance.run(len);
            let at = chance.below(len);
            let count = run.len().min(len - at);
            bytes.copy_within(run.start..run.start + count, at);
            format!("{run:?} over {at}")
        }
        10 => {
            let run = chance.run(len);
            let of = chance.byte();
            let noise = chance.one_in(2);
            bytes[run.clone()].fill_with(|| if noise { chance.bits() as u8 } else { of });
            format!("{run:?} filled with {}", if noise { "noise".into() } else { of.to_string() })
        }
        _ => {
            let at = if chance.one_in(2) { len } else { chance.below(len) };
            let more: Vec<u8> = (0..1 + chance.below(60)).map(|_| chance.byte()).collect();
            let count = more.len();
            bytes.splice(at..at, more);
            format!("{count} bytes put in at {at}")
        }
    }
}

/// A number of 2, 4 or 8 bytes at a place, in either order.
pub(crate) fn field(chance: &mut Chance, bytes: &mut [u8], at: usize) -> String {
    let size = [2, 4, 4, 8][chance.below(4)];
    let number = chance.awkward();
    let little = chance.one_in(2);
    put(bytes, at, size, number, little);
    format!("{number:#x} at {at}, of {size} bytes, {}", if little { "little" } else { "big" })
}

/// As much of a number as there is room for.
pub(crate) fn put(bytes: &mut [u8], at: usize, size: usize, number: u64, little: bool) {
    let mut all = number.to_le_bytes()[..size].to_vec();
    if !little {
        all.reverse();
    }
    for (place, byte) in bytes.iter_mut().skip(at).zip(all) {
        *place = byte;
    }
}

/// Text with one of its numbers, words or lines another.
pub(crate) fn text(chance: &mut Chance, bytes: &mut Vec<u8>) -> String {
    let is_number = |b: u8| b.is_ascii_digit();
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|at| is_number(bytes[*at]) && (*at == 0 || !is_number(bytes[at - 1])))
        .collect();
    if starts.is_empty() || chance.one_in(4) {
        let lines: Vec<Vec<u8>> = bytes.split_inclusive(|b| *b == b'\n').map(Vec::from).collect();
        let number = chance.below(lines.len());
        let twice = chance.one_in(2);
        let kept = lines.iter().enumerate().flat_map(|(at, line)| match (at == number, twice) {
            (true, true) => vec![line; 2],
            (true, false) => Vec::new(),
            (false, _) => vec![line],
        });
        *bytes = kept.flatten().copied().collect();
        return format!("line {number} {}", if twice { "twice" } else { "left out" });
    }
    let from = starts[chance.below(starts.len())];
    let to = (from..bytes.len()).find(|at| !is_number(bytes[*at])).unwrap_or(bytes.len());
    let new = number(chance);
    bytes.splice(from..to, new.bytes());
    format!("{new} for the number at {from}")
}

/// A number as text, if it is one.
pub(crate) fn number(chance: &mut Chance) -> String {
    match chance.below(8) {
        0 => format!("-{}", chance.awkward()),
        1 => format!("{}.5", chance.awkward()),
        2 => chance.pick(&["NaN", "Infinity", "-1", "1e400", "1e18", "", "0x10", "٣"]).into(),
        3 => format!("{}{}", u64::MAX, chance.below(100)),
        _ => chance.awkward().to_string(),
    }
}
