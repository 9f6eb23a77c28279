//! Each element type's conversions.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::{Element, ElementType};

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

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.into()
    }

    #[inline(always)]
    fn from_f64(sum: f64) -> Self {
        sum as f32
    }
}

impl Element for f64 {
    const TYPE: ElementType = ElementType::F64;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self as f32
    }

    #[inline(always)]
    fn from_f32(sum: f32) -> Self {
        sum.into()
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn from_f64(sum: f64) -> Self {
        sum
    }
}

/// An integer of so few bits that f32 holds each, and how a sum becomes one.
macro_rules! short {
    ($type:ty, $name:ident, $whole:expr) => {
        impl Element for $type {
            const TYPE: ElementType = ElementType::$name;

            #[inline(always)]
            fn to_f32(self) -> f32 {
                self.into()
            }

            #[inline(always)]
            fn from_f32(sum: f32) -> Self {
                $whole(sum, <$type>::MIN.into(), <$type>::MAX.into()) as $type
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }

            #[inline(always)]
            fn from_f64(sum: f64) -> Self {
                whole(sum, <$type>::MIN.into(), <$type>::MAX.into()) as $type
            }
        }
    };
}

short!(u8, U8, unsigned);
short!(u16, U16, unsigned);
short!(i8, I8, signed);
short!(i16, I16, signed);

/// An integer that f64 holds.
macro_rules! long {
    ($type:ty, $name:ident) => {
        impl Element for $type {
            const TYPE: ElementType = ElementType::$name;

            #[inline(always)]
            fn to_f32(self) -> f32 {
                self as f32
            }

            #[inline(always)]
            fn from_f32(sum: f32) -> Self {
                Self::from_f64(sum.into())
            }

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }

            #[inline(always)]
            fn from_f64(sum: f64) -> Self {
                whole(sum, <$type>::MIN.into(), <$type>::MAX.into()) as $type
            }
        }
    };
}

long!(u32, U32);
long!(i32, I32);

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

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.to_f64()
    }

    // That of `half` goes by way of f32, and is rounded twice.
    #[inline(always)]
    fn from_f64(sum: f64) -> Self {
        Self::from_f32(to_odd(sum))
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

/// `sum` as f32, cut off, with the last bit set where it is not exact: further rounding to fewer digits is then that
/// of `sum` itself (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved algorithms
/// using rounding to odd").
#[inline(always)]
fn to_odd(sum: f64) -> f32 {
    let near = sum as f32;
    if f64::from(near) == sum || !near.is_finite() {
        return near;
    }
    // Bits of floats of one sign rise with their magnitude.
    let away = f64::from(near).abs() > sum.abs();
    f32::from_bits((near.to_bits() - u32::from(away)) | 1)
}

/// The nearest whole number from 0 to `most`, half to even, in the lowest bits; 0 for NaN.
#[inline(always)]
fn unsigned(sum: f32, least: f32, most: f32) -> u32 {
    // A comparison with NaN is false. From 2^23 on floats are whole numbers, so adding it rounds, half to
    // even, and leaves the number in the lowest bits; unlike a cast, compilers do that in vectors.
    let above = if sum > least { sum } else { least };
    let within = if above < most { above } else { most };
    (within + 8_388_608.0).to_bits()
}

/// The same from `least`, which is negative: the lowest bits are its two's complement.
#[inline(always)]
fn signed(sum: f32, least: f32, most: f32) -> u32 {
    let number = if sum.is_nan() { 0.0 } else { sum };
    // 2^23 and a half of it more, so that what is added stays between 2^23 and 2^24.
    (number.max(least).min(most) + 12_582_912.0).to_bits()
}

/// The same of a sum in f64, of any integer of up to 32 bits.
#[inline(always)]
fn whole(sum: f64, least: f64, most: f64) -> u64 {
    let number = if sum.is_nan() { 0.0 } else { sum };
    let above = if number > least { number } else { least };
    let within = if above < most { above } else { most };
    // As in `signed`: 2^52 and a half of it more.
    (within + 6_755_399_441_055_744.0).to_bits()
}
