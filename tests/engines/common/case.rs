//! Problems as data, with data that is never all zeros.

use std::fmt::{self, Debug};

use channelwise::{
    Border, Borders, Conv2d, Element, ElementType, Error, Kernel, Layout, Problem, Shape,
};

use super::{F16, F32};

/// Every border, and both kinds of constant.
pub(crate) const BORDERS: [Border; 6] = [
    Border::ZERO,
    Border::Constant(0.7),
    Border::Replicate,
    Border::Reflect,
    Border::Reflect101,
    Border::Wrap,
];

/// Random numbers that are the same everywhere: xorshift64*.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        // Any seed but 0 does; neighbouring seeds shall not look alike.
        let mut rng = Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        rng.next();
        rng
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// In `0..n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// In `lo..hi`.
    pub(crate) fn uniform(&mut self, lo: f32, hi: f32) -> f32 {
        let unit = (self.next() & 0xff_ffff) as f32 / (1 << 24) as f32;
        lo + (hi - lo) * unit
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Mostly one border for all sides; now and then one for each axis or side.
    pub(crate) fn borders(&mut self) -> Borders {
        let first = *self.pick(&BORDERS);
        // Constants are one number.
        let mut other = || match self.below(5) {
            0 => first,
            n => BORDERS[n + 1],
        };
        let [a, b, c] = [other(), other(), other()];
        match self.below(5) {
            0 => (first, a).into(),
            1 => Borders::sides(first, a, b, c),
            _ => first.into(),
        }
    }

    pub(crate) fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    pub(crate) fn f32s(&mut self, n: usize, lo: f32, hi: f32) -> Vec<f32> {
        (0..n).map(|_| self.uniform(lo, hi)).collect()
    }

    /// `n` elements: integers of every value, or floats in `lo..hi`.
    pub(crate) fn elements<T: Element>(&mut self, n: usize, lo: f32, hi: f32) -> Vec<T> {
        let mut one = || match T::TYPE.integers() {
            Some(all) => {
                let count = (all.end() - all.start() + 1) as usize;
                T::from_f64((all.start() + self.below(count) as i64) as f64)
            }
            // Of f64 with more digits than f32 has.
            None if T::TYPE.sums_in_f64() => {
                let more = f64::from(self.uniform(lo, hi)) * f64::from(f32::EPSILON);
                T::from_f64(f64::from(self.uniform(lo, hi)) + more)
            }
            None => T::from_f32(self.uniform(lo, hi)),
        };
        (0..n).map(|_| one()).collect()
    }

    /// A kernel whose filters sum to 1 or so, with negative weights among them: on bytes most
    /// results lie in 0..=255, and some saturate.
    pub(crate) fn kernel(&mut self, height: usize, width: usize, filters: usize) -> Kernel {
        let scale = 4.0 / (height * width) as f32;
        let weights = self.f32s(height * width * filters, -0.5 * scale, scale);
        Kernel::with_filters(height, width, filters, weights).unwrap()
    }
}

/// A problem and its data, to be computed by every engine.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) conv: Conv2d,
    pub(crate) shape: Shape,
    pub(crate) from: ElementType,
    pub(crate) to: ElementType,
    pub(crate) seed: u64,
    /// Infinities and NaNs stand among the input.
    pub(crate) non_finite: bool,
}

impl Case {
    pub(crate) fn new(conv: Conv2d, shape: impl Into<Shape>) -> Self {
        Self { conv, shape: shape.into(), from: F32, to: F32, seed: 1, non_finite: false }
    }

    pub(crate) fn types(self, (from, to): (ElementType, ElementType)) -> Self {
        Self { from, to, ..self }
    }

    pub(crate) fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    pub(crate) fn non_finite(self) -> Self {
        Self { non_finite: true, ..self }
    }

    pub(crate) fn problem(&self) -> Result<Problem, Error> {
        Problem::new(&self.conv, self.shape, self.from, self.to)
    }

    /// The input, the same at every call.
    pub(crate) fn input<T: Element>(&self, problem: &Problem) -> Vec<T> {
        let mut rng = Rng::new(self.seed);
        // Beyond both ends of integers.
        let (lo, hi) = match self.to.integers() {
            Some(all) => {
                let (start, end) = (*all.start() as f32, *all.end() as f32);
                (start - 0.15 * (end - start), end + 0.15 * (end - start))
            }
            None => (-1.0, 1.0),
        };
        // Halves end at 65504.
        let (lo, hi) = match self.from {
            F16 => (lo.max(-6.5e4), hi.min(6.5e4)),
            _ => (lo, hi),
        };
        let mut input: Vec<T> = rng.elements(problem.input_len(), lo, hi);
        if self.non_finite {
            // Where a border repeats it, several taps meet the largest: their sums may not overflow on their way.
            let largest = match self.conv.get_border().constant() {
                Some(_) => f32::MAX,
                None => {
                    let sum = self.conv.kernel().weights().iter().map(|k| k.abs()).sum::<f32>();
                    f32::MAX / sum.max(1.0) / 2.0
                }
            };
            let spoilt = [f32::INFINITY, f32::NAN, f32::NEG_INFINITY, largest];
            for (i, value) in spoilt.into_iter().enumerate() {
                let at = (2 * i + 1) * input.len() / 9;
                input[at] = T::from_f32(value);
            }
        }
        input
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem() {
            Ok(problem) => write!(f, "{problem}")?,
            Err(error) => write!(f, "{} ({error})", self.shape)?,
        }
        // `Conv2d` prints all its weights, which a reader has no use for.
        let all = format!("{:?}", self.conv);
        let rest = all.find("padding:").map_or("", |at| &all[at..]);
        write!(f, ", seed {}, {rest}", self.seed)
    }
}

/// `data` of shape `[n, h, w, c]` as `[n, c, h, w]`.
pub(crate) fn to_nchw<T: Copy>(data: &[T], [n, h, w, c]: [usize; 4]) -> Vec<T> {
    let mut out = Vec::with_capacity(data.len());
    for n in 0..n {
        for c_at in 0..c {
            for h_at in 0..h {
                for w_at in 0..w {
                    out.push(data[((n * h + h_at) * w + w_at) * c + c_at]);
                }
            }
        }
    }
    out
}

/// The axes `[n, h, w, c]` in the order of `layout`.
pub(crate) fn dims([n, h, w, c]: [usize; 4], layout: Layout) -> [usize; 4] {
    match layout {
        Layout::Nchw => [n, c, h, w],
        _ => [n, h, w, c],
    }
}
