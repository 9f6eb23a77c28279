//! Element types: how one scalar becomes an f32 and how an f32 sum becomes one scalar.

use std::fmt;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u8 {}
}

/// Names an [`Element`] at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElementType {
    /// 32-bit IEEE float.
    F32,
    /// Unsigned byte, 0 to 255.
    U8,
}

impl ElementType {
    /// Size of one element in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::U8 => 1,
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::U8 => "u8",
        })
    }
}

/// A scalar that tensors can hold: `f32` or `u8`.
///
/// Sums are made in f32. A `u8` result is rounded half to even and saturated to 0..=255
/// (OpenCV's `saturate_cast`); NaN becomes 0.
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
        // A comparison with NaN is false. From 2^23 on floats are whole numbers, so adding it rounds, half to
        // even, and leaves the byte in the lowest bits; unlike a cast, compilers do that in vectors.
        let least = if sum > 0.0 { sum } else { 0.0 };
        let byte = if least < 255.0 { least } else { 255.0 };
        (byte + 8_388_608.0).to_bits() as u8
    }
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
