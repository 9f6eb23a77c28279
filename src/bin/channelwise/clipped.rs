//! How many results an integer type could not hold.

use std::ops::RangeInclusive;

use channelwise::ndarray::ArrayD;
use channelwise::{Element, ElementType, Problem};
use indicatif::ProgressBar;
use rayon::prelude::*;
use serde::Serialize;

use crate::expected;
use crate::files::{Tensor, with_array};
use crate::more::More;

/// Outputs at an end of the type that are computed again, and their taps, at most.
const SAMPLE: usize = 1 << 14;
const TAPS: usize = 1 << 26;

/// Outputs that were below the least or above the most of their type, and are these now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Clipped {
    pub(crate) below: usize,
    pub(crate) above: usize,
    /// Of all those.
    pub(crate) outputs: usize,
    /// Whether every one was looked at, or a sample.
    pub(crate) exact: bool,
    /// The ends.
    pub(crate) least: i64,
    pub(crate) most: i64,
}

impl Clipped {
    /// Of what an engine stored, by the definition of those that lie at an end. `None` where there are none.
    pub(crate) fn sampled(problem: &Problem, input: &Tensor, output: &Tensor) -> Option<Self> {
        let whole = ElementType::from(output.kind()).integers()?;
        let taps = (problem.multiply_adds() as usize / problem.output_len().max(1)).max(1);
        let most = (TAPS / taps).clamp(64, SAMPLE);
        let (at_end, places) =
            with_array!(output, y => at_ends(y.as_slice().unwrap_or_default(), most));
        let exact =
            expected::at((problem, &More::default()), input, &places, 0.0, &ProgressBar::hidden());
        let mut found = Self::counted(exact.iter().map(|exact| exact.value), &whole)?;
        found.outputs = problem.output_len();
        if places.len() < at_end {
            let times =
                |n: usize| (n as f64 * at_end as f64 / places.len() as f64).round() as usize;
            (found.below, found.above) = (times(found.below), times(found.above));
            found.exact = false;
        }
        Some(found)
    }

    /// Of values before they are rounded to these integers. `None` where there are none.
    pub(crate) fn counted(
        values: impl ExactSizeIterator<Item = f64>,
        whole: &RangeInclusive<i64>,
    ) -> Option<Self> {
        let outputs = values.len();
        let (least, most) = (*whole.start(), *whole.end());
        // What rounds to an end was not beyond it.
        let (low, high) = (least as f64 - 0.5, most as f64 + 0.5);
        let (below, above) = values.fold((0, 0), |(below, above), v| {
            (below + usize::from(v < low), above + usize::from(v > high))
        });
        (below + above > 0).then_some(Self { below, above, outputs, exact: true, least, most })
    }
}

impl std::fmt::Display for Clipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { below, above, outputs, exact, least, most } = *self;
        let about = if exact { "" } else { "about " };
        // As exact as the sums were.
        let float = if most > u16::MAX.into() { "f64" } else { "f32" };
        let part = 100.0 * (below + above) as f64 / outputs as f64;
        write!(
            f,
            "{about}{part:.1} % of the outputs ({about}{below} below {least}, {above} above \
             {most}); --out-type {float} into .npy or .tiff keeps them"
        )
    }
}

/// How many outputs are the least or the most of their type, and where at most so many of them are.
fn at_ends<U: Element>(output: &[U], most: usize) -> (usize, Vec<usize>) {
    let Some(whole) = U::TYPE.integers() else { return (0, Vec::new()) };
    let ends = [*whole.start() as f64, *whole.end() as f64].map(U::from_f64);
    let count = output.par_iter().filter(|y| ends.contains(y)).count();
    let step = count.div_ceil(most).max(1);
    let places = (0..output.len()).filter(|place| ends.contains(&output[*place])).step_by(step);
    (count, places.collect())
}

/// Whether floats of 0 to 1 became integers, which are 0 and 1 then.
pub(crate) fn are_fractions(input: &Tensor, output: &Tensor) -> bool {
    fn within<T: Element>(values: &ArrayD<T>) -> bool {
        let values = values.as_slice().unwrap_or_default();
        values.par_iter().all(|v| (0.0..=1.0).contains(&v.to_f64()))
    }
    fn some<T: Element>(values: &ArrayD<T>) -> bool {
        values.iter().any(|v| v.to_f64() > 0.0)
    }
    fn low<T: Element>(values: &ArrayD<T>) -> bool {
        values.as_slice().unwrap_or_default().par_iter().all(|v| v.to_f64() <= 1.0)
    }
    input.kind().is_float()
        && !output.kind().is_float()
        && with_array!(input, x => some(x))
        && with_array!(output, y => low(y))
        && with_array!(input, x => within(x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Sample;
    use channelwise::{Conv2d, Kernel, reference};

    #[test]
    fn what_is_beyond_is_counted() {
        let found = Clipped::counted(
            [-0.5, -0.6, 0.0, 255.5, 255.6, 256.0, f64::NAN].into_iter(),
            &(0..=255),
        );
        let want = Clipped { below: 1, above: 2, outputs: 7, exact: true, least: 0, most: 255 };
        assert_eq!(found, Some(want));
        assert_eq!(Clipped::counted([0.0, 255.0].into_iter(), &(0..=255)), None);
        let signed = ElementType::I16.integers().unwrap();
        let found =
            Clipped::counted([-32_768.5, -32_769.0, 32_768.0].into_iter(), &signed).unwrap();
        assert_eq!((found.below, found.above, found.least, found.most), (1, 1, -32_768, 32_767));
        let text = found.to_string();
        assert!(text.contains("1 below -32768, 1 above 32767); --out-type f32"), "{text}");
        let wide = ElementType::U32.integers().unwrap();
        let found = Clipped::counted([-1.0, 4_294_967_295.5].into_iter(), &wide).unwrap();
        assert_eq!((found.below, found.above), (1, 0));
        assert!(found.to_string().contains("above 4294967295); --out-type f64"), "{found}");
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
            let flat = |bytes: Vec<u8>| {
                u8::tensor(ArrayD::from_shape_vec(vec![bytes.len()], bytes).unwrap())
            };
            let found = Clipped::sampled(&problem, &flat(x), &flat(y)).unwrap();
            assert_eq!((found.exact, found.above, found.outputs), (side == 20, 0, side * side));
            let off = found.below.abs_diff(truth) as f64;
            assert!(
                off <= if found.exact { 0.0 } else { 0.03 * truth as f64 },
                "{found:?} {truth}"
            );
        }
    }
}
