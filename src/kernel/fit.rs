//! How well columns times rows give the weights of a filter: what is counted as met, and the bound of a result
//! that is made from them.
//!
//! With `n` taps, `u` the unit round-off and `s` the magnitudes of a weight's terms, two passes are within
//! `γ Σ s|x| + Σ e|x|` of the exact sum, where `e` is what the terms are off a weight and `γ` at most
//! `2(n + 1)u - n u/2`: sums along a row and down a column are short. Allowed are `β Σ|k x|` with `β = 2(n + 1)u`,
//! and what is stated besides: `β X` times the excess of `s` over `|k|`, and `X` times what was missed. So a
//! weight misses
//!
//! - of several terms `e - n u/2 s`, since `s <= |k| + excess`,
//! - of a single one, whose excess is not stated but is at most `e`: `(1 + β) e - n u/2 |k|`.

use std::marker::PhantomData;

use super::terms::Term;

/// The float that weights are rounded to, and sums made in.
pub(crate) trait Digits: Copy + Default + PartialOrd + Into<f64> {
    /// Unit round-off.
    const UNIT: f64;
    /// What a weight may be off besides, four times the least subnormal number: those have fewer digits, so the
    /// far tail of a Gaussian is a column times a row only to within their steps.
    const LEAST: f64;

    /// The nearest.
    fn nearest(value: f64) -> Self;

    /// By how much a sum of products differs from `weight` at most, and the magnitudes of all products.
    fn misses(weight: Self, products: impl Iterator<Item = (Self, Self)>) -> (f64, f64);
}

impl Digits for f32 {
    const UNIT: f64 = f32::EPSILON as f64 / 2.0;
    const LEAST: f64 = 4.0 * 1.401_298_464_324_817e-45;

    fn nearest(value: f64) -> Self {
        value as Self
    }

    fn misses(weight: Self, products: impl Iterator<Item = (Self, Self)>) -> (f64, f64) {
        let (sum, size) = products.fold((0.0, 0.0f64), |(sum, size), (a, b)| {
            // Exact: each has 24 bits.
            let product = f64::from(a) * f64::from(b);
            (sum + product, size + product.abs())
        });
        ((sum - f64::from(weight)).abs(), size)
    }
}

impl Digits for f64 {
    const UNIT: f64 = f64::EPSILON / 2.0;
    const LEAST: f64 = 4.0 * 5e-324;

    fn nearest(value: f64) -> Self {
        value
    }

    fn misses(weight: Self, products: impl Iterator<Item = (Self, Self)>) -> (f64, f64) {
        let (mut rest, mut size, mut roundings) = (-weight, 0.0, 0.0);
        for (a, b) in products {
            // Rounded once, so that what is left of a single product is exact, or as good as that.
            rest = a.mul_add(b, rest);
            size += (a * b).abs();
            roundings += Self::UNIT * rest.abs();
        }
        (rest.abs() + roundings, size)
    }
}

/// Whether `terms` are what the weights of a filter are roundings of: whatever is made of it may then be made of
/// them.
pub(super) fn agree(terms: &[Term], weights: impl Iterator<Item = f32>, width: usize) -> bool {
    weights.enumerate().all(|(at, weight)| {
        let products = terms.iter().map(|term| term.column[at / width] * term.row[at % width]);
        let (sum, size) = products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()));
        (sum - f64::from(weight)).abs() <= 4.0 * f32::UNIT * size + f32::LEAST
    })
}

/// A column times a row, as engines take them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair<T> {
    pub column: Vec<T>,
    pub row: Vec<T>,
}

impl<T: Digits> Pair<T> {
    /// A term rounded, with the largest of its column from 1 up to 2: powers of two go to the row, which
    /// costs no digit. So what lies between the passes is as large as weights make it, and neither overflows
    /// nor gets lost where results do not. `None` where nothing is left of it.
    pub fn of(term: &Term) -> Option<Self> {
        let largest = term.column.iter().fold(0.0f64, |most, c| most.max(c.abs()));
        if !(largest.is_normal() && term.row.iter().any(|r| *r != 0.0)) {
            return None;
        }
        let exponent = ((largest.to_bits() >> 52) & 0x7ff) as i32 - 1023;
        let [down, up] = [2f64.powi(-exponent), 2f64.powi(exponent)];
        let scaled =
            |line: &[f64], by: f64| line.iter().map(|w| T::nearest(w * by)).collect::<Vec<_>>();
        let pair = Self { column: scaled(&term.column, down), row: scaled(&term.row, up) };
        pair.row.iter().any(|r| *r != T::default()).then_some(pair)
    }
}

/// Pairs whose sum is a filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fit<T> {
    pub pairs: Vec<Pair<T>>,
    pub excess: f64,
    pub missed: f64,
}

impl<T: Digits> Fit<T> {
    /// `pairs` where they fit `weights`, `[height, width]`.
    pub fn of(pairs: &[Pair<T>], weights: &[T]) -> Option<Self> {
        let mut measure = Measure::<T>::new(pairs.len(), weights.len());
        let width = pairs.first().map_or(weights.len(), |pair| pair.row.len());
        for (i, line) in weights.chunks_exact(width).enumerate() {
            for (j, weight) in line.iter().enumerate() {
                let products = pairs.iter().map(|Pair { column, row }| (column[i], row[j]));
                let (off, size) = T::misses(*weight, products);
                measure.add((*weight).into(), off, size);
            }
        }
        let (excess, missed) = measure.result()?;
        Some(Self { pairs: pairs.to_vec(), excess, missed })
    }

    /// [`spread`] of the filter.
    pub fn spread(&self) -> f64 {
        let taps = self.pairs.first().map_or(0, |pair| pair.column.len() * pair.row.len());
        spread::<T>(taps, self.excess, self.missed)
    }
}

/// By how many units of round-off of the largest input a result of a filter of so many taps may be off beyond
/// twice the bound of one sum: terms that cancel err by their own size and not by that of the weight they leave, in
/// both sums; what a weight is off itself counts as often as the input.
pub(super) fn spread<T: Digits>(taps: usize, excess: f64, missed: f64) -> f64 {
    2.0 * (taps + 1) as f64 * excess + missed / T::UNIT
}

/// What the weights of a filter say, one after another.
pub(super) struct Measure<T> {
    digits: PhantomData<T>,
    terms: usize,
    taps: usize,
    excess: f64,
    missed: f64,
    /// The most that one weight misses; NaN once one is.
    worst: f64,
}

impl<T: Digits> Measure<T> {
    pub fn new(terms: usize, taps: usize) -> Self {
        Self { digits: PhantomData, terms, taps, excess: 0.0, missed: 0.0, worst: 0.0 }
    }

    /// A weight, what its terms are off, and their magnitudes.
    pub fn add(&mut self, weight: f64, off: f64, size: f64) {
        let taps = self.taps as f64;
        let allowed = taps / 2.0 * T::UNIT;
        let missed = if self.terms == 1 {
            off * (1.0 + 2.0 * (taps + 1.0) * T::UNIT) - allowed * weight.abs()
        } else {
            self.excess += (size - weight.abs()).max(0.0);
            off - allowed * size
        };
        self.missed += missed.max(0.0);
        if missed.is_nan() || missed > self.worst {
            self.worst = missed;
        }
    }

    /// Excess and what was missed, where that is nothing to speak of: each weight is met to within a few
    /// steps of subnormal numbers, or all of them together are off by at most half of what terms that cancel
    /// are stated to be off. The latter is so where a further term is lost among the roundings of the others.
    pub fn result(&self) -> Option<(f64, f64)> {
        let lost = (self.taps + 1) as f64 * T::UNIT * self.excess;
        (self.worst <= T::LEAST || self.missed <= lost && self.terms > 1 && self.worst.is_finite())
            .then_some((self.excess, self.missed))
    }
}
