//! How many results an integer type could not hold.

use channelwise::{Element, Problem, reference};
use rayon::prelude::*;
use serde::Serialize;

/// Outputs at an end of the type that are computed again, and their taps, at most.
const SAMPLE: usize = 1 << 14;
const TAPS: usize = 1 << 26;

/// Outputs that were below 0 or above the type's end, and lie there now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Clipped {
    pub(crate) below: usize,
    pub(crate) above: usize,
    /// Of all those.
    pub(crate) outputs: usize,
    /// Whether every one was looked at, or a sample.
    pub(crate) exact: bool,
    /// The end.
    pub(crate) most: u32,
}

impl Clipped {
    /// Of what an engine stored as `U`, by the definition of those that lie at an end. `None` where there
    /// are none.
    pub(crate) fn sampled<T: Element, U: Element>(
        problem: &Problem,
        input: &[T],
        output: &[U],
    ) -> Option<Self> {
        let most = U::TYPE.max_integer()?;
        let end = |y: &U| y.to_f32() == 0.0 || y.to_f32() == most as f32;
        let at_end = output.par_iter().filter(|y| end(y)).count();
        let taps = (problem.multiply_adds() as usize / output.len().max(1)).max(1);
        let step = at_end.div_ceil((TAPS / taps).clamp(64, SAMPLE)).max(1);
        let places: Vec<usize> =
            (0..output.len()).filter(|place| end(&output[*place])).step_by(step).collect();
        let values = places.par_iter().map(|place| reference::at(problem, input, *place).value);
        let values: Vec<f64> = values.collect();
        let mut found = Self::counted(values.into_iter(), most)?;
        found.outputs = output.len();
        if step > 1 {
            let times =
                |n: usize| (n as f64 * at_end as f64 / places.len() as f64).round() as usize;
            (found.below, found.above) = (times(found.below), times(found.above));
            found.exact = false;
        }
        Some(found)
    }

    /// Of values before they are rounded to integers up to `most`. `None` where there are none.
    pub(crate) fn counted(values: impl ExactSizeIterator<Item = f64>, most: u32) -> Option<Self> {
        let outputs = values.len();
        // What rounds to an end was not beyond it.
        let (low, high) = (-0.5, f64::from(most) + 0.5);
        let (below, above) = values.fold((0, 0), |(below, above), v| {
            (below + usize::from(v < low), above + usize::from(v > high))
        });
        (below + above > 0).then_some(Self { below, above, outputs, exact: true, most })
    }
}

impl std::fmt::Display for Clipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { below, above, outputs, exact, most } = *self;
        let about = if exact { "" } else { "about " };
        let part = 100.0 * (below + above) as f64 / outputs as f64;
        write!(
            f,
            "{about}{part:.1} % of the outputs ({about}{below} below 0, {above} above {most}); \
             --out-type f32 into .npy or .tiff keeps them"
        )
    }
}

/// Whether floats of 0 to 1 became integers, which are 0 and 1 then.
pub(crate) fn are_fractions<T: Element, U: Element>(input: &[T], output: &[U]) -> bool {
    let float = T::TYPE.max_integer().is_none() && U::TYPE.max_integer().is_some();
    float
        && input.iter().any(|x| x.to_f32() > 0.0)
        && output.par_iter().all(|y| y.to_f32() <= 1.0)
        && input.par_iter().all(|x| (0.0..=1.0).contains(&x.to_f32()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use channelwise::{Conv2d, ElementType, Kernel};

    #[test]
    fn what_is_beyond_is_counted() {
        let found =
            Clipped::counted([-0.5, -0.6, 0.0, 255.5, 255.6, 256.0, f64::NAN].into_iter(), 255);
        let want = Clipped { below: 1, above: 2, outputs: 7, exact: true, most: 255 };
        assert_eq!(found, Some(want));
        assert_eq!(Clipped::counted([0.0, 255.0].into_iter(), 255), None);
    }

    /// A difference of neighbours is negative for half of random bytes.
    #[test]
    fn a_sample_tells_how_many() {
        let step = Kernel::new(1, 2, vec![-1.0, 1.0]).unwrap();
        let conv = Conv2d::new(step);
        for side in [20, 400] {
            let shape = [1, side, side, 1];
            let mut seed = 1u32;
            let x: Vec<u8> = (0..side * side)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            let problem = Problem::new(&conv, shape, ElementType::U8, ElementType::U8).unwrap();
            let whole: Vec<f32> =
                reference::run(&problem, &x).iter().map(|e| e.value as f32).collect();
            let y: Vec<u8> = whole.iter().map(|v| u8::from_f32(*v)).collect();
            let truth = whole.iter().filter(|v| **v < 0.0).count();
            let found = Clipped::sampled(&problem, &x, &y).unwrap();
            assert_eq!((found.exact, found.above, found.outputs), (side == 20, 0, side * side));
            let off = found.below.abs_diff(truth) as f64;
            assert!(
                off <= if found.exact { 0.0 } else { 0.03 * truth as f64 },
                "{found:?} {truth}"
            );
        }
    }
}
