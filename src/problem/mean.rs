//! Means of whole numbers: sums that are exact, so that all algorithms on all engines give the same.

use std::borrow::Cow;

use super::{Problem, Weights};
use crate::{Borders, ElementType};

/// Up to here every whole number is an f32.
const EXACT: u64 = 1 << f32::MANTISSA_DIGITS;

/// [`Problem::box_tap`] of a kernel with so many rows and columns.
pub(super) fn box_tap(
    weights: &Weights,
    (rows, columns): (usize, usize),
    input: ElementType,
    border: Borders,
) -> Option<f32> {
    let whole = input.integers()?;
    let most = whole.start().unsigned_abs().max(whole.end().unsigned_abs());
    let sum = most.checked_mul((rows as u64).checked_mul(columns as u64)?)?;
    let (first, others) = weights.taps.split_first()?;
    let alike = first.is_normal() && others.iter().all(|tap| tap == first);
    // What lies outside is a number like others.
    let whole = whole.contains(&(border.fill() as i64)) && border.fill().fract() == 0.0;
    (alike && whole && sum <= EXACT).then_some(*first)
}

impl Problem {
    /// The number that all taps are, those of a box filter, where inputs are whole numbers and so few that
    /// their sum is exact in f32, in whatever order. `None` for adjoints.
    pub(crate) fn box_tap(&self) -> Option<f32> {
        self.box_tap
    }

    /// The same where engines add up inputs as they are and multiply once: a result is the mean, rounded once,
    /// and a half is a half on each of them. `None` also for powers of two, whose products and sums are exact
    /// anyway.
    pub(crate) fn mean(&self) -> Option<f32> {
        let power = |tap: &f32| tap.to_bits().trailing_zeros() >= f32::MANTISSA_DIGITS - 1;
        self.box_tap.filter(|tap| !power(tap))
    }

    /// The same of which no mean is made: its taps are about to be others.
    #[cfg(feature = "gpu")]
    pub(crate) fn without_mean(self) -> Self {
        Self { box_tap: None, ..self }
    }

    /// What inputs are multiplied with before they are summed: ones where the sum becomes a mean.
    pub(crate) fn summed_taps(&self) -> Cow<'_, [f32]> {
        match self.mean() {
            Some(_) => Cow::Owned(vec![1.0; self.weights.taps.len()]),
            None => Cow::Borrowed(&self.weights.taps),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Border, Conv2d, ElementType, Kernel, Problem};

    #[test]
    fn boxes_of_whole_numbers_are_means() {
        let mean = |kernel: Kernel, from: ElementType, border: Border| {
            let conv = Conv2d::new(kernel).border(border);
            Problem::new(&conv, [9, 9, 3], from, ElementType::F32).unwrap().mean()
        };
        let (u8, u16) = (ElementType::U8, ElementType::U16);
        let of = |height, width| Kernel::box_blur(height, width).unwrap();
        assert_eq!(mean(of(2, 3), u8, Border::Reflect), Some(1.0 / 6.0));
        assert_eq!(mean(of(2, 3), u8, Border::Constant(7.0)), Some(1.0 / 6.0));
        assert_eq!(mean(of(2, 3), u8, Border::Constant(0.5)), None);
        assert_eq!(mean(of(2, 3), u8, Border::Constant(256.0)), None);
        assert_eq!(mean(of(2, 3), ElementType::F32, Border::Reflect), None);
        // Halves and quarters are exact as they are.
        assert_eq!(mean(of(2, 2), u8, Border::Reflect), None);
        // 257 numbers up to 65535 pass 2^24.
        assert_eq!(mean(of(15, 17), u16, Border::Reflect), Some(1.0 / 255.0));
        assert_eq!(mean(of(1, 257), u16, Border::Reflect), None);
        assert_eq!(mean(of(257, 255), u8, Border::Reflect), Some(1.0 / 65_535.0));
        assert_eq!(mean(Kernel::sobel_x(), u8, Border::Reflect), None);
    }
}
