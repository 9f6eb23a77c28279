//! Normalised convolution, by its formula.

use super::{Expected, activated, eps, place, rounded, tap, taps};
use crate::{Element, Problem};

/// Output `index` of a [`normalized`](crate::Conv2d::normalized) problem, with weights of the input's values: as many,
/// in the same order.
///
/// Its allowance is that of the two sums, carried through their quotient. Where what is known sums to nothing it is
/// what the problem stores there.
///
/// ```
/// use channelwise::reference;
/// use channelwise::{Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let mean = Conv2d::new(Kernel::box_blur(1, 3)?).normalized();
/// let problem = Problem::new(&mean, [1, 4], ElementType::F32, ElementType::F32)?;
/// // The second value is not known: what stands there does not count.
/// let y = reference::at_masked(&problem, &[3.0f32, 99.0, 5.0, 5.0], &[1.0, 0.0, 1.0, 1.0], 1);
/// assert!((y.value - 4.0).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// # Panics
/// Those of [`at`](super::at); if there are fewer weights than values.
#[must_use]
pub fn at_masked<T: Element>(
    problem: &Problem,
    input: &[T],
    mask: &[f64],
    index: usize,
) -> Expected {
    with_weights(problem, input, &|at| mask[at], index)
}

/// All outputs, in memory order.
///
/// ```
/// use channelwise::reference;
/// use channelwise::{Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let mean = Conv2d::new(Kernel::box_blur(1, 3)?).normalized();
/// let problem = Problem::new(&mean, [1, 4], ElementType::F32, ElementType::F32)?;
/// let all = reference::run_masked(&problem, &[3.0f32, 99.0, 5.0, 5.0], &[1.0, 0.0, 1.0, 1.0]);
/// assert!((all[0].value - 3.0).abs() < 1e-6 && (all[3].value - 5.0).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// # Panics
/// Those of [`at_masked`].
#[must_use]
pub fn run_masked<T: Element>(problem: &Problem, input: &[T], mask: &[f64]) -> Vec<Expected> {
    (0..problem.output_len()).map(|index| at_masked(problem, input, mask, index)).collect()
}

pub(super) fn with_weights<T: Element>(
    problem: &Problem,
    input: &[T],
    mask: &dyn Fn(usize) -> f64,
    index: usize,
) -> Expected {
    let conv = problem.conv();
    let missing = conv.missing.unwrap_or_default();
    let (place, f) = place(problem, index);
    let (mut sum, mut size) = (0.0, 0.0);
    let (mut known, mut weighed, mut all) = (0.0, 0.0, 0.0);
    let mut count = 0;
    for (weight, at) in taps(problem, place) {
        let k = tap(problem, weight + f);
        (all, count) = (all + k.abs(), count + 1);
        // A constant outside is missing.
        let Some(at) = at else { continue };
        let (x, m) = (input[at].to_f64(), mask(at));
        if m == 0.0 || missing.skips_nan() && x.is_nan() {
            continue;
        }
        sum += k * m * x;
        size += (k * m * x).abs();
        known += k * m;
        weighed += (k * m).abs();
    }
    if known.abs() < 1e-6 * all {
        return Expected { value: missing.no_data().unwrap_or(f64::NAN), allowance: 0.0 };
    }
    // Values times weights are rounded once more.
    let each = 2.0 * f64::from(count + 2) * eps(problem);
    let (quotient, off) = (sum / known, each * weighed);
    let allowance = (each * size + quotient.abs() * off) / (known.abs() - off).max(0.0);
    let bias = conv.exact_bias(f);
    let value = Expected { value: quotient + bias, allowance };
    rounded(problem, activated(problem, conv.activation, value))
}
