//! `--verify`: a sample of the outputs against the definition.

use channelwise::reference::Expected;
use channelwise::{Element, Layout, Problem};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::expected;
use crate::files::{Tensor, with_array};
use crate::more::More;

/// Outputs spread evenly, at least.
const SPREAD: usize = 4096;

/// Places along each edge, and corners, that are added.
const ALONG: usize = 256;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) passed: bool,
    /// Outputs that were computed again.
    pub(crate) checked: usize,
    /// Outputs there are.
    pub(crate) outputs: usize,
    /// Outputs beyond their allowance.
    pub(crate) failed: usize,
    /// The output that used most of its allowance.
    pub(crate) worst: Option<Worst>,
}

/// One output and what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Worst {
    /// In memory order.
    pub(crate) index: usize,
    pub(crate) found: f64,
    pub(crate) expected: f64,
    /// Distance from what is expected; beyond rounding for types other than f32.
    pub(crate) error: f64,
    pub(crate) allowance: f64,
    /// `error / allowance`.
    pub(crate) ratio: f64,
    #[serde(skip)]
    accepted: bool,
}

impl Worst {
    fn new<U: Element>(index: usize, got: U, expected: &Expected) -> Self {
        let found = got.to_f64();
        let accepted = expected.accepts(got);
        let error = expected.beyond(got);
        let ratio = match (accepted, error / expected.allowance) {
            (true, _) => expected.usage(got),
            (false, ratio) if ratio.is_nan() => f64::INFINITY,
            (false, ratio) => ratio,
        };
        let Expected { value, allowance } = *expected;
        Self { index, found, expected: value, error, allowance, ratio, accepted }
    }

    fn is_worse_than(&self, other: &Self) -> bool {
        (!self.accepted, self.ratio) > (!other.accepted, other.ratio)
    }
}

/// Holds the outputs at `places` against the definition; `spread` says what the plan may be further off.
pub(crate) fn check(
    (problem, more): (&Problem, &More),
    input: &Tensor,
    output: &Tensor,
    places: &[usize],
    spread: f64,
    bar: &ProgressBar,
) -> Verdict {
    let expected = expected::at((problem, more), input, places, spread, bar);
    let judged: Vec<Worst> = with_array!(output, y => {
        let y = y.as_slice().unwrap_or_default();
        places.iter().zip(&expected).map(|(at, want)| Worst::new(*at, y[*at], want)).collect()
    });
    let failed = judged.iter().filter(|one| !one.accepted).count();
    let worst = judged.into_iter().reduce(|a, b| if b.is_worse_than(&a) { b } else { a });
    Verdict {
        passed: failed == 0,
        checked: places.len(),
        outputs: more.output_shape(problem).iter().product(),
        failed,
        worst,
    }
}

/// Which outputs to check, where not all: all of few; of many, some from everywhere, and from every edge and
/// corner, where borders and the seams of algorithms are. `reach` is how many rows and columns from
/// an edge the kernel still meets it.
pub(crate) fn places(shape: [usize; 4], layout: Layout, reach: (usize, usize)) -> Vec<usize> {
    let [images, h, w, channels] = shape;
    let outputs = images * h * w * channels;
    if outputs <= 2 * SPREAD {
        return (0..outputs).collect();
    }
    let at = |n: usize, r: usize, q: usize, c: usize| match layout {
        Layout::Nchw => ((n * channels + c) * h + r) * w + q,
        _ => ((n * h + r) * w + q) * channels + c,
    };
    let depth = |salt: usize, reach: usize, side: usize| {
        (scrambled(salt as u64) % (reach.min(side - 1) as u64 + 1)) as usize
    };
    let mut places: Vec<usize> = spread(outputs, SPREAD).collect();
    for k in spread(images * w * channels, ALONG) {
        let (n, q, c) = (k / channels / w, k / channels % w, k % channels);
        let d = depth(k, reach.0, h);
        places.extend([0, h - 1, d, h - 1 - d].map(|r| at(n, r, q, c)));
    }
    for k in spread(images * h * channels, ALONG) {
        let (n, r, c) = (k / channels / h, k / channels % h, k % channels);
        let d = depth(k, reach.1, w);
        places.extend([0, w - 1, d, w - 1 - d].map(|q| at(n, r, q, c)));
    }
    for k in spread(images * channels, ALONG) {
        let corners = [(0, 0), (0, w - 1), (h - 1, 0), (h - 1, w - 1)];
        places.extend(corners.map(|(r, q)| at(k / channels, r, q, k % channels)));
    }
    places.sort_unstable();
    places.dedup();
    places
}

/// One number from each of `count` even parts of `0..len`, where in its part scrambled, so that no
/// step meets the same channel or column again and again.
fn spread(len: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(len);
    (0..count).map(move |i| {
        let start = |i: usize| (i as u128 * len as u128 / count as u128) as u64;
        let (from, to) = (start(i), start(i + 1));
        (from + scrambled(i as u64) % (to - from)) as usize
    })
}

/// The mixing step of SplitMix64.
fn scrambled(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Sample;
    use channelwise::ndarray::ArrayD;
    use channelwise::{Conv2d, ElementType, Kernel, reference};

    fn flat<T: Sample>(elements: Vec<T>) -> Tensor {
        T::tensor(ArrayD::from_shape_vec(vec![elements.len()], elements).unwrap())
    }

    #[test]
    fn one_wrong_output_is_seen() {
        let conv = Conv2d::new(Kernel::gaussian(5, 1.2).unwrap());
        let shape = [2, 9, 11, 3];
        let problem = |out| Problem::new(&conv, shape, ElementType::U8, out).unwrap();
        let input: Vec<u8> = (0..2 * 9 * 11 * 3).map(|i| (i * 37 % 251) as u8).collect();
        let bar = ProgressBar::hidden();
        let all = places(shape, Layout::Nhwc, (2, 2));
        assert_eq!(all.len(), input.len());

        let floats = problem(ElementType::F32);
        let exact = reference::run(&floats, &input);
        let x = flat(input.clone());
        let mut y: Vec<f32> = exact.iter().map(Expected::nearest).collect();
        let verdict = check((&floats, &More::default()), &x, &flat(y.clone()), &all, 0.0, &bar);
        assert!(verdict.passed && verdict.worst.is_some_and(|w| w.ratio <= 1.0), "{verdict:?}");
        for wrong in [y[100] + 2.0 * exact[100].allowance as f32, f32::NAN, f32::INFINITY] {
            let right = std::mem::replace(&mut y[100], wrong);
            let verdict = check((&floats, &More::default()), &x, &flat(y.clone()), &all, 0.0, &bar);
            y[100] = right;
            let worst = verdict.worst.unwrap();
            assert!(!verdict.passed && verdict.failed == 1, "{wrong}");
            assert!(worst.index == 100 && worst.ratio > 1.0, "{worst:?}");
        }

        let bytes = problem(ElementType::U8);
        let mut y: Vec<u8> = exact.iter().map(Expected::nearest).collect();
        assert!(check((&bytes, &More::default()), &x, &flat(y.clone()), &all, 0.0, &bar).passed);
        y[7] ^= 1;
        let verdict = check((&bytes, &More::default()), &x, &flat(y), &all, 0.0, &bar);
        assert_eq!((verdict.passed, verdict.failed, verdict.worst.unwrap().index), (false, 1, 7));
    }

    #[test]
    fn few_are_all_checked_and_of_many_every_edge() {
        assert!(places([0, 4, 4, 1], Layout::Nhwc, (1, 1)).is_empty());
        let (h, w, c) = (80, 120, 3);
        for layout in [Layout::Nhwc, Layout::Nchw] {
            let places = places([2, h, w, c], layout, (2, 200));
            assert!(places.len() >= SPREAD && places.iter().all(|p| *p < 2 * h * w * c));
            let of = |p: &usize| match layout {
                Layout::Nchw => (p / w / h / c, p / w % h, p % w, p / w / h % c),
                _ => (p / c / w / h, p / c / w % h, p / c % w, p % c),
            };
            let seen: Vec<_> = places.iter().map(of).collect();
            for (n, ch) in [(0, 0), (0, 1), (1, 2)] {
                for (r, q) in [(0, 0), (0, w - 1), (h - 1, 0), (h - 1, w - 1)] {
                    assert!(seen.contains(&(n, r, q, ch)), "{layout} {n} {r} {q} {ch}");
                }
            }
            for edge in [|r, _| r == 0, |r, _| r == 79, |_, q| q == 0, |_, q| q == 119]
                as [fn(usize, usize) -> bool; 4]
            {
                assert!(seen.iter().filter(|(_, r, q, _)| edge(*r, *q)).count() >= 200);
            }
            // Spread over the middle, over all channels alike.
            for ch in 0..c {
                let middle = seen.iter().filter(|(_, r, q, x)| *r > 9 && *q > 9 && *x == ch);
                assert!(middle.count() > SPREAD / 5, "{layout} {ch}");
            }
        }
    }
}
