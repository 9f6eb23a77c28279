//! Box filters by running sums on the CPU: a way of `separable` where sums are exact in any order.

use crate::Problem;

/// Up to which whole numbers f32 holds all.
const EXACT: u64 = 1 << 24;

/// Why running sums would not be those of the kernel, if they would not.
///
/// A running sum keeps what ever entered it: of floats each rounding, and an infinity for good. Of whole numbers
/// nothing is lost, and a sum that f32 holds times the tap is rounded once.
pub(super) fn applies(problem: &Problem) -> Result<(), String> {
    let g = problem.geometry();
    let weights = problem.weights();
    let Some(most) = problem.input_type().max_integer() else {
        return Err("running sums of floats would be rounded".into());
    };
    let tap = weights.taps[0];
    let same = weights.taps.iter().all(|other| other.to_bits() == tap.to_bits());
    if weights.filters != 1 || !same || !tap.is_finite() || tap == 0.0 {
        return Err("the taps are not one number".into());
    }
    if g.dilation != (1, 1) {
        return Err("the taps are no neighbours".into());
    }
    let whole = |c: f32| (0.0..=most as f32).contains(&c) && c.fract() == 0.0;
    if !problem.border().constant().is_none_or(whole) {
        return Err("the border's constant is no number of the input".into());
    }
    let taps = (g.kernel.0 as u64).saturating_mul(g.kernel.1 as u64);
    if taps.saturating_mul(u64::from(most)) > EXACT {
        return Err(format!("sums of {taps} such numbers may pass {EXACT}"));
    }
    Ok(())
}
