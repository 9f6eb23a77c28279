//! Pixels per unit of length, in the words of each format: TIFF's fractions, JFIF's whole numbers, PNG's metres.

use channelwise::store::pictures::Resolution;
use image::codecs::jpeg::{PixelDensity, PixelDensityUnit};

/// TIFF's units.
const INCH: u16 = 2;
const CENTIMETRE: u16 = 3;

/// Inches of a metre.
const INCHES: f64 = 1.0 / 0.0254;

/// That of a JPEG file with a header of JFIF.
pub(super) fn of_jpeg(bytes: &[u8]) -> Option<Resolution> {
    let (unit, across, down) = match *bytes {
        [0xff, 0xd8, 0xff, 0xe0, _, _, b'J', b'F', b'I', b'F', 0, _, _, unit, a, b, c, d, ..] => {
            (unit, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
        }
        _ => return None,
    };
    // 0 is no unit, but the form of pixels.
    let unit = [INCH, CENTIMETRE].get(usize::from(unit).checked_sub(1)?)?;
    Resolution { unit: *unit, across: (across.into(), 1), down: (down.into(), 1) }.known()
}

/// That of a PNG file.
pub(super) fn of_png(bytes: &[u8]) -> Option<Resolution> {
    let mut rest = bytes.get(8..)?;
    loop {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let (name, data) = after.split_first_chunk::<4>()?;
        match (name, data) {
            (b"pHYs", &[a, b, c, d, e, f, g, h, 1, ..]) if length == 9 => {
                let [across, down] = [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes);
                let found =
                    Resolution { unit: CENTIMETRE, across: (across, 100), down: (down, 100) };
                return found.known();
            }
            // It stands before pixels.
            (b"IDAT" | b"pHYs", _) => return None,
            // A checksum follows.
            _ => rest = data.get(length..)?.get(4..)?,
        }
    }
}

/// Pixels across and down a unit.
fn sizes(of: Resolution) -> [f64; 2] {
    [of.across, of.down].map(|(n, d)| f64::from(n) / f64::from(d))
}

/// As JFIF has it, if that can hold it.
pub(super) fn density(of: Resolution) -> Option<PixelDensity> {
    let unit = match of.unit {
        INCH => PixelDensityUnit::Inches,
        CENTIMETRE => PixelDensityUnit::Centimeters,
        _ => return None,
    };
    let [across, down] = sizes(of).map(f64::round);
    let fits = |n: f64| (1.0..=f64::from(u16::MAX)).contains(&n);
    (fits(across) && fits(down))
        .then_some(PixelDensity { density: (across as u16, down as u16), unit })
}

/// As PNG has it, if that can hold it.
pub(super) fn per_metre(of: Resolution) -> Option<[u32; 2]> {
    let times = match of.unit {
        INCH => INCHES,
        CENTIMETRE => 100.0,
        _ => return None,
    };
    let sizes = sizes(of).map(|n| (n * times).round());
    let fit = sizes.iter().all(|n| (1.0..=f64::from(u32::MAX)).contains(n));
    fit.then_some(sizes.map(|n| n as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let inch = Resolution { unit: INCH, across: (300, 1), down: (145, 2) };
        let of_inch = density(inch).unwrap();
        assert_eq!((of_inch.density, of_inch.unit), ((300, 73), PixelDensityUnit::Inches));
        assert_eq!(per_metre(inch), Some([11_811, 2854]));
        let centimetre = Resolution { unit: CENTIMETRE, ..inch };
        assert_eq!(per_metre(centimetre), Some([30_000, 7250]));
        assert_eq!(centimetre.turned().across, (145, 2));
        let none = Resolution { unit: 1, ..inch };
        assert!(density(none).is_none() && per_metre(none).is_none());
        assert!(density(Resolution { across: (70_000, 1), ..inch }).is_none());
        assert!(Resolution { across: (0, 1), ..inch }.known().is_none());
    }

    #[test]
    fn damage_says_nothing() {
        let png =
            [&[0; 8], &9u32.to_be_bytes()[..], b"pHYs", &[0, 0, 0, 5, 0, 0, 0, 6, 1], &[0; 4]];
        let png = png.concat();
        let found = of_png(&png).unwrap();
        assert_eq!((found.across, found.down, found.unit), ((5, 100), (6, 100), CENTIMETRE));
        for length in 0..png.len() - 4 {
            assert!(of_png(&png[..length]).is_none(), "{length}");
        }
        let jpeg = *b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\x02\0\x08\0\x09";
        assert_eq!(of_jpeg(&jpeg).unwrap().down, (9, 1));
        for length in 0..jpeg.len() {
            assert!(of_jpeg(&jpeg[..length]).is_none(), "{length}");
        }
    }
}
