//! What numbers in a file are, and how they become elements.

use std::fmt;

use crate::ElementType;

/// A number of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Sample {
    /// An element.
    Plain(ElementType),
    /// A byte, which is taken as 0 or 1.
    Bool,
    /// Taken as f64.
    I64,
    /// Taken as f64.
    U64,
}

impl Sample {
    /// Of one.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Plain(element) => element.bytes(),
            Self::Bool => 1,
            Self::I64 | Self::U64 => 8,
        }
    }

    /// What it becomes.
    pub(super) fn element(self) -> ElementType {
        match self {
            Self::Plain(element) => element,
            Self::Bool => ElementType::U8,
            Self::I64 | Self::U64 => ElementType::F64,
        }
    }

    /// Turns numbers into elements where they lie: all have the bytes that these have.
    pub(super) fn decode(self, foreign: bool, bytes: &mut [u8]) {
        swap(foreign, self.bytes(), bytes);
        match self {
            Self::Plain(_) => {}
            Self::Bool => bytes.iter_mut().for_each(|b| *b = u8::from(*b != 0)),
            Self::I64 => floats(bytes, |n| i64::from_ne_bytes(n) as f64),
            Self::U64 => floats(bytes, |n| u64::from_ne_bytes(n) as f64),
        }
    }
}

fn floats(bytes: &mut [u8], value: impl Fn([u8; 8]) -> f64) {
    for number in bytes.as_chunks_mut::<8>().0 {
        *number = value(*number).to_ne_bytes();
    }
}

/// Turns the bytes of each number around, where they are in another machine's order.
pub(super) fn swap(foreign: bool, size: usize, bytes: &mut [u8]) {
    if foreign && size > 1 {
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(element) => element.fmt(f),
            Self::Bool => f.write_str("bool"),
            Self::I64 => f.write_str("int64"),
            Self::U64 => f.write_str("uint64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_elements() {
        let mut bytes = [0, 1, 7, 255];
        Sample::Bool.decode(false, &mut bytes);
        assert_eq!(bytes, [0, 1, 1, 1]);
        let mut wide = (-3i64).to_ne_bytes();
        wide.reverse();
        Sample::I64.decode(true, &mut wide);
        assert_eq!(f64::from_ne_bytes(wide), -3.0);
        let mut wide = u64::MAX.to_ne_bytes();
        Sample::U64.decode(false, &mut wide);
        assert_eq!(f64::from_ne_bytes(wide), u64::MAX as f64);
        let mut pairs = [1, 2, 3, 4];
        Sample::Plain(ElementType::I16).decode(true, &mut pairs);
        assert_eq!(pairs, [2, 1, 4, 3]);
    }
}
