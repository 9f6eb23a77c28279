//! Samples of a page as elements, row by row.

use super::page::{Format, Page, Photometric};
use crate::ElementType;
use crate::store::wide::Wide;

/// What becomes of a sample. What has fewer bits than bytes have takes the whole range of what holds it, as 255 is white
/// whatever the file; numbers of a palette stay. Of 64-bit integers f64 holds the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Samples {
    /// It is an element.
    Elements(ElementType),
    /// So many bits, the largest of which are this number, become 8.
    Bytes(u16, u32),
    /// The same for 16.
    Words(u16, u32),
    Signed,
    Unsigned,
}

impl Samples {
    pub(super) fn of(page: &Page) -> Self {
        let same = page.photometric == Photometric::Palette;
        let largest = |bits: u16, all: u32| if same { all } else { (1 << bits) - 1 };
        Self::Elements(match (page.format, page.bits) {
            (Format::Uint, 8) => ElementType::U8,
            (Format::Uint, 16) => ElementType::U16,
            (Format::Uint, 32) => ElementType::U32,
            (Format::Uint, 64) => return Self::Unsigned,
            (Format::Uint, bits @ 0..8) => return Self::Bytes(bits, largest(bits, BYTE)),
            (Format::Uint, bits) => return Self::Words(bits, largest(bits, WORD)),
            (Format::Int, 8) => ElementType::I8,
            (Format::Int, 16) => ElementType::I16,
            (Format::Int, 32) => ElementType::I32,
            (Format::Int, _) => return Self::Signed,
            (Format::Float, 16) => ElementType::F16,
            (Format::Float, 32) => ElementType::F32,
            (Format::Float, _) => ElementType::F64,
        })
    }

    pub(super) fn element(self) -> ElementType {
        match self {
            Self::Elements(element) => element,
            Self::Bytes(..) => ElementType::U8,
            Self::Words(..) => ElementType::U16,
            Self::Signed | Self::Unsigned => ElementType::F64,
        }
    }

    /// The samples of a row from number `first` on, as many as `to` has room for.
    pub(super) fn row(self, row: &[u8], first: usize, to: &mut [u8], wide: &Wide) {
        let size = self.element().bytes();
        match self {
            Self::Elements(_) => to.copy_from_slice(&row[first * size..][..to.len()]),
            Self::Bytes(bits, largest) => {
                for (n, place) in to.iter_mut().enumerate() {
                    *place = spread(packed(row, bits, first + n), largest, BYTE) as u8;
                }
            }
            Self::Words(bits, largest) => {
                for (n, place) in to.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                    let word = spread(packed(row, bits, first + n), largest, WORD) as u16;
                    *place = word.to_ne_bytes();
                }
            }
            Self::Signed => {
                floats(&row[first * size..], to, |v| wide.signed(i64::from_ne_bytes(v)))
            }
            Self::Unsigned => {
                floats(&row[first * size..], to, |v| wide.unsigned(u64::from_ne_bytes(v)));
            }
        }
    }
}

const BYTE: u32 = u8::MAX as u32;
const WORD: u32 = u16::MAX as u32;

fn spread(value: u32, largest: u32, to: u32) -> u32 {
    (value * to + largest / 2) / largest
}

/// Sample `number` of so many bits each, the highest bit first.
fn packed(row: &[u8], bits: u16, number: usize) -> u32 {
    let first = number * usize::from(bits);
    // Nine bits and more can lie in three bytes.
    let three = (0..3)
        .fold(0, |sum, byte| sum << 8 | u32::from(row.get(first / 8 + byte).copied().unwrap_or(0)));
    let below = 24 - first % 8 - usize::from(bits);
    three >> below & ((1 << bits) - 1)
}

fn floats(from: &[u8], to: &mut [u8], value: impl Fn([u8; 8]) -> f64) {
    for (place, sample) in to.as_chunks_mut::<8>().0.iter_mut().zip(from.as_chunks::<8>().0) {
        *place = value(*sample).to_ne_bytes();
    }
}
