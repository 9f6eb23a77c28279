//! Kernels of bytes whose taps are multiples of some 2^-k: their sums as 16-bit integers.

use super::{Problem, Weights};
use crate::{Activation, ElementType};

/// Most binary places of taps.
const MOST_PLACES: u32 = 8;

/// Taps and bias of a kernel as integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Integers {
    /// Times 2^`places`, negative ones modulo 2^16.
    pub taps: Vec<u16>,
    /// The same, with `above` added.
    pub bias: u16,
    pub places: u32,
    /// So many levels are added, that no sum is negative. Even, so that what is even stays it.
    pub above: u16,
}

impl Integers {
    /// Those of a kernel whose sums fit 16 bits, whatever bytes it meets.
    pub fn of(taps: &[f32], bias: f32) -> Option<Self> {
        let most = f32::from(u16::MAX);
        let all = || taps.iter().chain([&bias]);
        let places = (0..=MOST_PLACES).find(|places| {
            let mut wholes = all().map(|number| number * (1u32 << places) as f32);
            wholes.all(|whole| whole.fract() == 0.0 && whole.abs() <= most)
        })?;
        let whole = |number: &f32| (number * (1u32 << places) as f32) as i64;
        // What sums are at most and at least: of the taps of one sign, times the largest byte.
        let sum = |sign: i64| -> i64 {
            let taps = taps.iter().map(whole).filter(|tap| tap * sign > 0);
            whole(&bias) + taps.sum::<i64>() * i64::from(u8::MAX)
        };
        let level = 1i64 << places;
        let below = (-sum(-1)).max(0);
        let above = (below + 2 * level - 1) / (2 * level) * 2;
        // Rounding adds up to half a level.
        let fits = sum(1) + above * level + level / 2 <= i64::from(u16::MAX);
        fits.then(|| Self {
            taps: taps.iter().map(|tap| whole(tap) as u16).collect(),
            bias: (whole(&bias) + above * level) as u16,
            places,
            above: above as u16,
        })
    }
}

impl Problem {
    /// Whether there is nothing between sums and outputs but their type.
    pub(crate) fn sums_are_outputs(&self) -> bool {
        let Weights { filters, follow, activation, .. } = &self.weights;
        let alone = *filters == 1 && follow.is_none() && *activation == Activation::None;
        alone && self.mean().is_none()
    }

    /// The kernel as integers, where it is square, of 3 or 5 rows, and all that is between bytes and bytes. Sums in
    /// f32 are exact then as well, and round to the same bytes.
    pub(crate) fn integers(&self) -> Option<Integers> {
        let Weights { taps, bias, .. } = &self.weights;
        let bytes = self.input_type() == ElementType::U8 && self.output_type() == ElementType::U8;
        let square = matches!(self.geometry().kernel, (3, 3) | (5, 5));
        if !(bytes && square && self.sums_are_outputs()) || self.gathers() {
            return None;
        }
        Integers::of(taps, *bias.first()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Taps, bias, binary places and levels above; and what does not fit.
    #[test]
    fn integers_are_taps_and_bias() {
        let of = |taps: &[f32], bias| {
            let made = Integers::of(taps, bias)?;
            let signed: Vec<i16> = made.taps.iter().map(|tap| tap.cast_signed()).collect();
            Some((signed, made.bias, made.places, made.above))
        };
        assert_eq!(of(&[0.25, 0.5, 0.25], 0.5), Some((vec![1, 2, 1], 2, 2, 0)));
        assert_eq!(of(&[1.0, 2.0], 3.0), Some((vec![1, 2], 3, 0, 0)));
        // 510 below, so 512 levels of a half; an even number of them.
        assert_eq!(of(&[-1.0, 0.5], 0.0), Some((vec![-2, 1], 2 * 256, 1, 256)));
        assert_eq!(of(&[-1.0, 4.0], 1.0), Some((vec![-1, 4], 1 + 254, 0, 254)));
        // All of 16 bits, and one more.
        assert!(of(&[255.0, 2.0], 0.0).is_some());
        assert!(of(&[255.0, 2.0], 1.0).is_none());
        assert!(of(&[128.0, -128.0], 0.0).is_some());
        assert!(of(&[128.0, -130.0], 0.0).is_none());
        for odd in [0.1, 1.0 / 512.0, 70_000.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE] {
            assert_eq!(of(&[odd, 1.0], 0.0), None, "{odd}");
            assert_eq!(of(&[1.0], odd), None, "{odd}");
        }
    }
}
