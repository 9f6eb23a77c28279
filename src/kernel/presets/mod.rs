//! Kernels by name: smoothing, derivatives and effects.
//!
//! Weights are computed in f64 and rounded once to f32; sums in f64 take them as they were. They are laid out for correlation, so a
//! preset equals the array of the named call in OpenCV, SciPy or MATLAB as it stands; where that
//! tool convolves instead, use [`Kernel::flipped`]. Preset sides are limited, so that a slip in an
//! argument is an error and not an attempt to fill the memory.

mod derivative;
mod effects;
mod smooth;

use super::separable::check_taps;
use super::{Kernel, Term, Terms};
use crate::{Error, Result};

/// Longest side of a square preset: 64 MiB of weights.
const MAX_SIDE: usize = 4096;

impl Kernel {
    /// The kernel that changes nothing: 1x1, weight 1.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// assert_eq!(Kernel::identity().weights(), [1.0]);
    /// ```
    #[must_use]
    pub fn identity() -> Self {
        rounded(1, 1, [1.0])
    }
}

/// A single filter from f64 weights, `height * width` of them, row by row.
fn rounded(height: usize, width: usize, weights: impl IntoIterator<Item = f64>) -> Kernel {
    let weights: Vec<f64> = weights.into_iter().collect();
    debug_assert_eq!(weights.len(), height * width);
    Kernel::of_digits([height, width, 1], weights, Terms::default())
}

/// As [`rounded`], divided by their sum, which must not be 0.
fn normalised(height: usize, width: usize, weights: &[f64]) -> Kernel {
    let sum: f64 = weights.iter().sum();
    rounded(height, width, weights.iter().map(|w| w / sum))
}

/// As [`rounded`], or the error that names `argument` where a weight is not finite in f32.
fn finite(
    size: usize,
    weights: impl IntoIterator<Item = f64>,
    argument: &'static str,
    value: f64,
) -> Result<Kernel> {
    let kernel = rounded(size, size, weights);
    if kernel.weights.iter().all(|w| w.is_finite()) {
        Ok(kernel)
    } else {
        Err(Error::argument(argument, value, "its weights are not finite in f32"))
    }
}

/// The square kernel `line[i] * line[j]`.
fn outer(line: &[f64]) -> Kernel {
    Kernel::of_terms(vec![Term::new(line, line)])
}

/// 1 in the middle of `size` weights, an odd number, and 0 elsewhere.
fn impulse(size: usize) -> Vec<f64> {
    (0..size).map(|i| f64::from(u8::from(i == size / 2))).collect()
}

/// Distances of `size` taps from their common centre, which lies between two taps if it is even.
fn offsets(size: usize) -> impl Iterator<Item = f64> + Clone {
    let centre = (size as f64 - 1.0) / 2.0;
    (0..size).map(move |i| i as f64 - centre)
}

fn check_size(size: usize) -> Result<()> {
    if (1..=MAX_SIDE).contains(&size) {
        Ok(())
    } else {
        let limit = format!("it must be 1 to {MAX_SIDE}");
        Err(Error::argument("size", size, limit))
    }
}

fn check_odd_size(size: usize) -> Result<()> {
    check_size(size)?;
    if size % 2 == 1 {
        Ok(())
    } else {
        let limit = "it must be odd, so that a tap is the centre";
        Err(Error::argument("size", size, limit))
    }
}

fn check_finite(argument: &'static str, value: f64) -> Result<()> {
    if value.is_finite() {
        Ok(())
    } else {
        Err(Error::argument(argument, value, "it must be finite"))
    }
}

fn check_positive(argument: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        let limit = "it must be finite and above 0";
        Err(Error::argument(argument, value, limit))
    }
}

#[cfg(test)]
mod testing {
    use super::Kernel;
    use crate::{Error, Result};

    /// What an argument that must be positive may not be.
    pub(super) const ODDITIES: [f64; 5] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0];

    /// Holds the weights against `want`, which was computed elsewhere to about 10 digits.
    pub(super) fn assert_weights(kernel: &Kernel, shape: (usize, usize), want: &[f64]) {
        assert_eq!((kernel.height(), kernel.width()), shape);
        assert_eq!(kernel.weights().len(), want.len());
        let largest = want.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
        for (i, (got, want)) in kernel.weights().iter().zip(want).enumerate() {
            // Half an ulp of the one rounding, and the digits the literal lacks.
            let allowed = 0.5 * f64::from(f32::EPSILON) * want.abs() + 2e-10 * largest;
            let (row, col) = (i / shape.1, i % shape.1);
            assert!((f64::from(*got) - want).abs() <= allowed, "[{row}, {col}]: {got} for {want}");
        }
    }

    /// `line[i] * line[j]`.
    pub(super) fn square(line: &[f64]) -> Vec<f64> {
        line.iter().flat_map(|a| line.iter().map(move |b| a * b)).collect()
    }

    pub(super) fn sum(kernel: &Kernel) -> f64 {
        kernel.weights().iter().map(|w| f64::from(*w)).sum()
    }

    /// Name and value of the argument that was refused.
    pub(super) fn refused(result: Result<Kernel>) -> (&'static str, String) {
        match result {
            Err(Error::Argument { argument, value, .. }) => (argument, value),
            other => panic!("an argument error was expected, found {other:?}"),
        }
    }

    #[test]
    #[should_panic(expected = "[1, 1]: -4 for -4.000001")]
    fn one_wrong_weight_is_seen() {
        let mut want = [0.0, 1.0, 0.0, 1.0, -4.0, 1.0, 0.0, 1.0, 0.0];
        want[4] -= 1e-6;
        assert_weights(&Kernel::laplacian4(), (3, 3), &want);
    }
}

#[cfg(test)]
mod tests {
    use super::testing::refused;
    use super::*;

    #[test]
    fn square_presets_refuse_the_same_sizes() {
        let presets: [fn(usize) -> Result<Kernel>; 6] = [
            |n| Kernel::gaussian(n, 1.0),
            Kernel::gaussian_sized,
            Kernel::binomial,
            |n| Kernel::log(n, 1.0),
            |n| Kernel::unsharp(n, 1.0, 1.0),
            |n| Kernel::gabor(n, 1.0, 0.0, 2.0, 1.0, 0.0),
        ];
        for preset in presets {
            for size in [0, MAX_SIDE + 1, usize::MAX] {
                assert_eq!(refused(preset(size)).1, size.to_string());
            }
            assert_eq!(preset(1).map(|k| k.weights().len()), Ok(1));
        }
    }

    #[test]
    fn errors_name_the_limit() {
        let error = Kernel::gaussian(0, 1.0).unwrap_err();
        assert_eq!(error.to_string(), "size: 0 is not allowed, it must be 1 to 4096");
        let error = Kernel::gaussian(3, f64::NAN).unwrap_err();
        assert_eq!(error.to_string(), "sigma: NaN is not allowed, it must be finite and above 0");
    }

    #[test]
    fn offsets_are_centred() {
        assert_eq!(offsets(1).collect::<Vec<_>>(), [0.0]);
        assert_eq!(offsets(3).collect::<Vec<_>>(), [-1.0, 0.0, 1.0]);
        assert_eq!(offsets(4).collect::<Vec<_>>(), [-1.5, -0.5, 0.5, 1.5]);
    }
}
