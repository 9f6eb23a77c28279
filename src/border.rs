//! What lies beyond the edge of the input.
//!
//! [`Border::index`] is the definition; `shaders/border.wgsl` is its twin.

mod sides;

use std::fmt;

pub use sides::{Borders, Sides};

/// How an input is continued beyond its edges: on all sides, or on some ([`Borders`]).
///
/// Every border is defined for every padding, also one longer than the input: reflections bounce
/// and wraps go round as often as needed. The pattern shows a row `abcd` and what is seen left and
/// right of it.
///
/// | here | pattern | OpenCV | SciPy | NumPy `pad` | TensorFlow `tf.pad` | PyTorch `F.pad` |
/// | --- | --- | --- | --- | --- | --- | --- |
/// | `Constant(v)` | `vvvv\|abcd\|vvvv` | `BORDER_CONSTANT` | `constant` | `constant` | `CONSTANT` | `constant` |
/// | `Replicate` | `aaaa\|abcd\|dddd` | `BORDER_REPLICATE` | `nearest` | `edge` | – | `replicate` |
/// | `Reflect` | `dcba\|abcd\|dcba` | `BORDER_REFLECT` | `reflect` | `symmetric` | `SYMMETRIC` | – |
/// | `Reflect101` | `.dcb\|abcd\|cba.` | `BORDER_REFLECT_101` | `mirror` | `reflect` | `REFLECT` | `reflect` |
/// | `Wrap` | `abcd\|abcd\|abcd` | `BORDER_WRAP` | `wrap` | `wrap` | – | `circular` |
///
/// Note that PyTorch, TensorFlow and NumPy say `reflect` where OpenCV says `REFLECT_101`.
///
/// ```
/// use channelwise::{Border, Conv2d, Engine, Kernel};
/// use ndarray::array;
/// # fn main() -> channelwise::Result<()> {
///
/// // Two places to the left of each: what lies beyond the edge is seen.
/// let left = Kernel::new(1, 5, vec![1.0, 0.0, 0.0, 0.0, 0.0])?;
/// let seen = |border| Engine::cpu().run(&Conv2d::new(left.clone()).border(border), &array![[1u8, 2, 3, 4]]);
/// assert_eq!(seen(Border::Constant(9.0))?, array![[9, 9, 1, 2]]);
/// assert_eq!(seen(Border::Replicate)?, array![[1, 1, 1, 2]]);
/// assert_eq!(seen(Border::Reflect)?, array![[2, 1, 1, 2]]);
/// assert_eq!(seen(Border::Reflect101)?, array![[3, 2, 1, 2]]);
/// assert_eq!(seen(Border::Wrap)?, array![[3, 4, 1, 2]]);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Border {
    /// Everything outside has this value (`BORDER_CONSTANT`; SciPy's `cval`). It is rounded to f32 where sums are
    /// made in f32.
    Constant(f64),
    /// The edge element goes on (`BORDER_REPLICATE`, SciPy `nearest`, NumPy `edge`).
    Replicate,
    /// Mirrored with the edge element repeated (`BORDER_REFLECT`, SciPy `reflect`, NumPy `symmetric`).
    Reflect,
    /// Mirrored about the edge element (`BORDER_REFLECT_101`, SciPy `mirror`, PyTorch `reflect`).
    /// On an axis of length 1 it is that element.
    Reflect101,
    /// Periodic (`BORDER_WRAP`, SciPy `wrap`, PyTorch `circular`).
    Wrap,
}

impl Border {
    /// Whether both are the same to the bit.
    pub(crate) fn same_bits(self, other: Self) -> bool {
        match (self, other) {
            (Self::Constant(a), Self::Constant(b)) => a.to_bits() == b.to_bits(),
            _ => self == other,
        }
    }

    /// Outside is 0: what TensorFlow and PyTorch convolutions do.
    pub const ZERO: Self = Self::Constant(0.0);

    /// Where in `0..len` position `at` of the continued axis is read; `None` for the constant.
    ///
    /// `len` must be at least 1.
    ///
    /// ```
    /// use channelwise::Border;
    /// let row: Vec<_> = (-3..7).map(|i| Border::Reflect101.index(i, 4).unwrap()).collect();
    /// assert_eq!(row, [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]);
    /// assert_eq!(Border::ZERO.index(-1, 4), None);
    /// ```
    #[must_use]
    #[inline]
    pub fn index(self, at: isize, len: usize) -> Option<usize> {
        let n = len as isize;
        if (0..n).contains(&at) {
            return Some(at as usize);
        }
        let inside = match self {
            Self::Constant(_) => return None,
            Self::Replicate => at.clamp(0, n - 1),
            Self::Reflect => {
                let m = at.rem_euclid(2 * n);
                m.min(2 * n - 1 - m)
            }
            Self::Reflect101 => {
                let period = (2 * n - 2).max(1);
                let m = at.rem_euclid(period);
                m.min(period - m)
            }
            Self::Wrap => at.rem_euclid(n),
        };
        Some(inside as usize)
    }

    /// The value outside, where the border is a constant.
    #[must_use]
    pub fn constant(self) -> Option<f64> {
        match self {
            Self::Constant(v) => Some(v),
            Self::Replicate | Self::Reflect | Self::Reflect101 | Self::Wrap => None,
        }
    }
}

impl Default for Border {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Display for Border {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(v) if *v == 0.0 => f.write_str("zero"),
            Self::Constant(v) => write!(f, "constant {v}"),
            Self::Replicate => f.write_str("replicate"),
            Self::Reflect => f.write_str("reflect"),
            Self::Reflect101 => f.write_str("reflect101"),
            Self::Wrap => f.write_str("wrap"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(border: Border, len: usize, reach: isize) -> String {
        (-reach..len as isize + reach)
            .map(|i| border.index(i, len).map_or('.', |at| char::from(b'a' + at as u8)))
            .collect()
    }

    #[test]
    fn patterns() {
        assert_eq!(seen(Border::ZERO, 4, 2), "..abcd..");
        assert_eq!(seen(Border::Replicate, 4, 3), "aaaabcdddd");
        assert_eq!(seen(Border::Reflect, 4, 9), "aabcddcbaabcddcbaabcdd");
        assert_eq!(seen(Border::Reflect101, 4, 7), "babcdcbabcdcbabcdc");
        assert_eq!(seen(Border::Wrap, 3, 4), "cabcabcabca");
    }

    #[test]
    fn length_one() {
        for border in [Border::Replicate, Border::Reflect, Border::Reflect101, Border::Wrap] {
            assert_eq!(seen(border, 1, 3), "aaaaaaa", "{border}");
        }
    }
}
