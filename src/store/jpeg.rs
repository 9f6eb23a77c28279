//! Segments of JPEG data: what decoders pass over in silence.

/// What a file or strip is made of.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jpeg {
    /// Samples of a pixel.
    pub components: u8,
    /// Where the end marker stands.
    pub end: usize,
    /// Whether all pixels are coded one after the other: one scan, not progressive, without restarts.
    pub is_plain: bool,
}

impl Jpeg {
    /// `None` where the end marker is not there: decoders fill what is missing with grey instead of failing.
    #[must_use]
    pub fn find(bytes: &[u8]) -> Option<Self> {
        let (mut at, mut scans) = (2, 0);
        let mut found = Self { components: 0, end: 0, is_plain: true };
        loop {
            // Between segments, and in the coded pixels, everything that is not a marker is skipped.
            // Markers are 0xff and a code; 0xff 0x00 is a coded 0xff.
            at += bytes.get(at..)?.iter().position(|byte| *byte == 0xff)? + 1;
            match *bytes.get(at)? {
                0xd9 => return Some(Self { end: at - 1, ..found }),
                // No length follows: a coded 0xff, fill bytes, TEM, restarts, SOI.
                0x00 | 0x01 | 0xd0..=0xd8 => at += 1,
                0xff => {}
                code => {
                    let &[high, low] = bytes.get(at + 1..at + 3)? else { return None };
                    // A frame: precision, height, width, samples. Not tables (C4, CC) nor a reserved one (C8).
                    if matches!(code, 0xc0..=0xcf) && !matches!(code, 0xc4 | 0xc8 | 0xcc) {
                        found.components = *bytes.get(at + 8)?;
                        found.is_plain &= matches!(code, 0xc0 | 0xc1);
                    }
                    scans += usize::from(code == 0xda);
                    found.is_plain &= scans < 2 && code != 0xdd;
                    at += 1 + usize::from(u16::from_be_bytes([high, low])).max(2);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found() {
        let frame = [0xff, 0xc0, 0, 11, 8, 0, 1, 0, 1, 3, 0, 0, 0];
        let scan = [0xff, 0xda, 0, 2, 7, 0xff, 0, 7];
        let end = [0xff, 0xd9];
        let plain = [&[0xff, 0xd8][..], &frame, &scan, &end].concat();
        let len = plain.len();
        let found = Jpeg { components: 3, end: len - 2, is_plain: true };
        assert_eq!(Jpeg::find(&plain), Some(found));
        assert_eq!(Jpeg::find(&[&plain[..], b"more"].concat()), Some(found));
        assert!((0..len).all(|n| Jpeg::find(&plain[..n]).is_none()));
        let twice = [&plain[..len - 2], &scan, &end].concat();
        let restarts = [&plain[..2], &[0xff, 0xdd, 0, 4, 0, 1], &plain[2..]].concat();
        let mut progressive = plain.clone();
        progressive[3] = 0xc2;
        for other in [twice, restarts, progressive] {
            assert!(!Jpeg::find(&other).unwrap().is_plain);
        }
    }
}
