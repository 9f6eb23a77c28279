//! Element types: how one scalar becomes an f32 and how an f32 sum becomes one scalar.

use std::fmt;
use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::f16 {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
}

/// Names an [`Element`] at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElementType {
    /// 32-bit IEEE float.
    F32,
    /// Unsigned byte, 0 to 255.
    U8,
    /// Unsigned 16-bit integer, 0 to 65535.
    U16,
    /// 16-bit IEEE float (binary16).
    F16,
}

/// Calls `$body` with `$T` the type of `$element`.
macro_rules! with_type {
    ($element:expr, $T:ident => $body:expr) => {
        match $element {
            $crate::ElementType::F32 => {
                type $T = f32;
                $body
            }
            $crate::ElementType::U8 => {
                type $T = u8;
                $body
            }
            $crate::ElementType::U16 => {
                type $T = u16;
                $body
            }
            $crate::ElementType::F16 => {
                type $T = half::f16;
                $body
            }
        }
    };
}
pub(crate) use with_type;

impl ElementType {
    /// Size of one element in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::U8 => 1,
            Self::U16 | Self::F16 => 2,
        }
    }

    /// The nearest values to `from` into the scalars `part` of `bytes`.
    #[inline(always)]
    pub(crate) fn narrow(self, from: &[f32], bytes: &mut [u8], part: Range<usize>) {
        with_type!(self, T => T::narrow(from, &mut bytemuck::cast_slice_mut(bytes)[part]));
    }

    /// How many lie in a 32-bit word.
    pub(crate) const fn per_word(self) -> usize {
        4 / self.bytes()
    }

    /// The largest whole number that an integer type holds; `None` for floats.
    #[must_use]
    pub const fn max_integer(self) -> Option<u32> {
        match self {
            Self::F32 | Self::F16 => None,
            Self::U8 => Some(u8::MAX as u32),
            Self::U16 => Some(u16::MAX as u32),
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::F16 => "f16",
        })
    }
}

/// A scalar that tensors can hold: `f32`, [`f16`](crate::f16), `u8` or `u16`.
///
/// Sums are made in f32. An integer result is rounded half to even and saturated to what its type holds
/// (OpenCV's `saturate_cast`); NaN becomes 0. An `f16` result is rounded half to even, and infinite from
/// 65520 on (IEEE 754).
pub trait Element:
    sealed::Sealed + bytemuck::Pod + Default + PartialEq + fmt::Debug + Send + Sync
{
    /// The run-time name of this type.
    const TYPE: ElementType;

    /// This value as f32; exact.
    fn to_f32(self) -> f32;

    /// The nearest value to `sum`.
    fn from_f32(sum: f32) -> Self;

    /// `from[i]` as f32 into `to[i]`, for the shorter of the two.
    #[doc(hidden)]
    #[inline(always)]
    fn widen(from: &[Self], to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.to_f32();
        }
    }

    /// The nearest value to `from[i]` into `to[i]`, for the shorter of the two.
    #[doc(hidden)]
    #[inline(always)]
    fn narrow(from: &[f32], to: &mut [Self]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = Self::from_f32(*from);
        }
    }
}

impl Element for f32 {
    const TYPE: ElementType = ElementType::F32;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn from_f32(sum: f32) -> Self {
        sum
    }
}

impl Element for u8 {
    const TYPE: ElementType = ElementType::U8;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn from_f32(sum: f32) -> Self {
        whole(sum, 255.0) as u8
    }
}

impl Element for u16 {
    const TYPE: ElementType = ElementType::U16;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn from_f32(sum: f32) -> Self {
        whole(sum, 65_535.0) as u16
    }
}

impl Element for f16 {
    const TYPE: ElementType = ElementType::F16;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self.to_f32()
    }

    #[inline(always)]
    fn from_f32(sum: f32) -> Self {
        Self::from_f32(sum)
    }

    // Processors that convert whole vectors of them are found when it runs.
    fn widen(from: &[Self], to: &mut [f32]) {
        let len = from.len().min(to.len());
        from[..len].convert_to_f32_slice(&mut to[..len]);
    }

    fn narrow(from: &[f32], to: &mut [Self]) {
        let len = from.len().min(to.len());
        to[..len].convert_from_f32_slice(&from[..len]);
    }
}

/// The nearest whole number from 0 to `most`, half to even, in the lowest bits.
#[inline(always)]
fn whole(sum: f32, most: f32) -> u32 {
    // A comparison with NaN is false. From 2^23 on floats are whole numbers, so adding it rounds, half to
    // even, and leaves the number in the lowest bits; unlike a cast, compilers do that in vectors.
    let least = if sum > 0.0 { sum } else { 0.0 };
    let within = if least < most { least } else { most };
    (within + 8_388_608.0).to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u8_rounds_half_to_even_and_saturates() {
        let cases = [
            (0.5, 0),
            (1.5, 2),
            (2.5, 2),
            (254.5, 254),
            (255.5, 255),
            (-0.5, 0),
            (-7.0, 0),
            (300.0, 255),
            (f32::NAN, 0),
            (f32::INFINITY, 255),
            (f32::NEG_INFINITY, 0),
        ];
        for (sum, want) in cases {
            assert_eq!(u8::from_f32(sum), want, "{sum}");
        }
    }

    #[test]
    fn u16_rounds_half_to_even_and_saturates() {
        let cases = [
            (0.5, 0),
            (40_001.5, 40_002),
            (65_534.5, 65_534),
            (65_535.5, 65_535),
            (-0.5, 0),
            (70_000.0, 65_535),
            (f32::NAN, 0),
            (f32::INFINITY, 65_535),
        ];
        for (sum, want) in cases {
            assert_eq!(u16::from_f32(sum), want, "{sum}");
        }
        assert!((0..=u16::MAX).all(|x| u16::from_f32(x.to_f32()) == x));
    }

    #[test]
    fn f16_rounds_half_to_even_and_overflows() {
        let cases = [
            (2049.0, 2048.0),
            (2051.0, 2052.0),
            (65_519.0, 65_504.0),
            (65_520.0, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
            // The smallest number, and half of it.
            (2f32.powi(-24), 2f32.powi(-24)),
            (2f32.powi(-25), 0.0),
        ];
        let mut rows = vec![f16::ZERO; cases.len()];
        f16::narrow(&cases.map(|(sum, _)| sum), &mut rows);
        for ((sum, want), row) in cases.into_iter().zip(rows) {
            assert_eq!(<f16 as Element>::from_f32(sum).to_f32(), want, "{sum}");
            assert_eq!(row.to_f32(), want, "{sum} in a row");
        }
        assert!(<f16 as Element>::from_f32(f32::NAN).is_nan());
        let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let mut wide = vec![0.0; all.len()];
        f16::widen(&all, &mut wide);
        assert!(
            all.iter()
                .zip(wide)
                .all(|(x, wide)| x.to_f32().to_bits() == wide.to_bits()
                    || x.is_nan() && wide.is_nan())
        );
    }

    #[test]
    fn rows_convert_like_scalars() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut wide = vec![f32::NAN; 256];
        u8::widen(&bytes, &mut wide);
        assert!(wide.iter().enumerate().all(|(i, v)| *v == i as f32));
        let mut back = vec![7u8; 256];
        u8::narrow(&wide, &mut back);
        assert_eq!(back, bytes);
    }
}
