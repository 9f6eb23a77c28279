//! Element types: how one scalar becomes a number that is summed, and how a sum becomes one scalar.

mod convert;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::{Range, RangeInclusive};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for half::f16 {}
    impl Sealed for u8 {}
    impl Sealed for i8 {}
    impl Sealed for u16 {}
    impl Sealed for i16 {}
    impl Sealed for u32 {}
    impl Sealed for i32 {}
}

/// Names an [`Element`] at run time.
///
/// ```
/// use channelwise::{Element, ElementType};
///
/// assert_eq!(<u16 as Element>::TYPE, ElementType::U16);
/// assert_eq!(ElementType::U16.to_string(), "u16");
/// ```
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
    /// Signed byte, -128 to 127.
    I8,
    /// Signed 16-bit integer, -32768 to 32767.
    I16,
    /// Unsigned 32-bit integer.
    U32,
    /// Signed 32-bit integer.
    I32,
    /// 64-bit IEEE float.
    F64,
}

/// Calls `$body` with `$T` the type of `$element`.
macro_rules! with_type {
    ($element:expr, $T:ident => $body:expr) => {
        $crate::element::with_type!(@ $element, $T, $body,
            F32 f32, U8 u8, U16 u16, F16 half::f16, I8 i8, I16 i16, U32 u32, I32 i32, F64 f64)
    };
    (@ $element:expr, $T:ident, $body:expr, $($name:ident $type:ty),*) => {
        match $element {
            $($crate::ElementType::$name => {
                type $T = $type;
                $body
            })*
        }
    };
}
pub(crate) use with_type;

/// The same of a type whose sums are made in f32. To the others, which are planned to go elsewhere, it is as if
/// they were f32, so that no code is made for them.
macro_rules! with_f32_type {
    ($element:expr, $T:ident => $body:expr) => {
        $crate::element::with_type!(@ $element, $T, $body,
            F32 f32, U8 u8, U16 u16, F16 half::f16, I8 i8, I16 i16, U32 f32, I32 f32, F64 f32)
    };
}
pub(crate) use with_f32_type;

impl ElementType {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::F32,
        Self::U8,
        Self::U16,
        Self::F16,
        Self::I8,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F64,
    ];

    /// Size of one element in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::F32 | Self::U32 | Self::I32 => 4,
            Self::F64 => 8,
        }
    }

    /// The nearest values to `from` into the scalars `part` of `bytes`, of a type whose sums are made in f32.
    #[inline(always)]
    pub(crate) fn narrow(self, from: &[f32], bytes: &mut [u8], part: Range<usize>) {
        with_f32_type!(self, T => T::narrow(from, &mut bytemuck::cast_slice_mut(bytes)[part]));
    }

    /// How many lie in a 32-bit word of a GPU; one of those that it does not know.
    pub(crate) const fn per_word(self) -> usize {
        match self.bytes() {
            8 => 1,
            bytes => 4 / bytes,
        }
    }

    /// The whole numbers that an integer type holds; `None` for floats.
    ///
    /// ```
    /// use channelwise::ElementType;
    /// assert_eq!(ElementType::I8.integers(), Some(-128..=127));
    /// assert_eq!(ElementType::F32.integers(), None);
    /// ```
    #[must_use]
    pub const fn integers(self) -> Option<RangeInclusive<i64>> {
        Some(match self {
            Self::F32 | Self::F16 | Self::F64 => return None,
            Self::U8 => 0..=u8::MAX as i64,
            Self::I8 => i8::MIN as i64..=i8::MAX as i64,
            Self::U16 => 0..=u16::MAX as i64,
            Self::I16 => i16::MIN as i64..=i16::MAX as i64,
            Self::U32 => 0..=u32::MAX as i64,
            Self::I32 => i32::MIN as i64..=i32::MAX as i64,
        })
    }

    /// Whether it is an integer type.
    #[must_use]
    pub const fn is_integer(self) -> bool {
        self.integers().is_some()
    }

    /// Whether sums of it, and those that become it, are made in f64, by the CPU: u32, i32 and f64. Those of
    /// the others are made in f32, on every engine.
    #[must_use]
    pub const fn sums_in_f64(self) -> bool {
        matches!(self, Self::U32 | Self::I32 | Self::F64)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::F16 => "f16",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F64 => "f64",
        })
    }
}

/// A scalar that tensors can hold: `f32`, `f64`, [`f16`](crate::f16), `u8`, `i8`, `u16`, `i16`, `u32` or `i32`.
///
/// Sums are made in f32, unless input or output are 32-bit integers or f64: then in f64, on the CPU. An integer
/// result is rounded half to even and saturated to what its type holds (OpenCV's `saturate_cast`); NaN becomes
/// 0. An `f16` result is rounded half to even, and infinite from 65520 on (IEEE 754).
///
/// Truth values are no element type; as 0 and 1 they are bytes:
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel};
/// use ndarray::array;
/// # fn main() -> channelwise::Result<()> {
/// let set = array![[true, false, true], [false, true, false]];
/// let neighbours = Conv2d::new(Kernel::new(3, 3, vec![1.0; 9])?);
/// let counts = Engine::cpu().run(&neighbours, &set.mapv(u8::from))?;
/// assert_eq!(counts, array![[2, 3, 2], [2, 3, 2]]);
/// # Ok(()) }
/// ```
pub trait Element:
    sealed::Sealed + bytemuck::Pod + Default + PartialEq + PartialOrd + fmt::Debug + Send + Sync
{
    /// The run-time name of this type.
    const TYPE: ElementType;

    /// This value as f32: exact, but for 32-bit integers and f64, which are rounded.
    fn to_f32(self) -> f32;

    /// The nearest value to `sum`.
    fn from_f32(sum: f32) -> Self;

    /// This value as f64; exact.
    fn to_f64(self) -> f64;

    /// The nearest value to `sum`, in one rounding.
    fn from_f64(sum: f64) -> Self;

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
