//! Two passes in f64, of kernels that are sums of a few columns times rows: down the lines that an output row meets,
//! then along what that gave. A sum is added up in one order: down the rows of the input from 0, for each term; then
//! bias, terms, columns.

use fearless_simd::Simd;

use super::Sum;
use crate::Factors;
use crate::cpu::kernels::double_step;
use crate::problem::DoubleWeights;

/// Scalars of a tile: lines of 31 rows of it stay in a core's second cache.
pub(super) const TILE: usize = 1 << 10;

/// What both passes multiply with.
pub(super) struct Passes<'a> {
    /// Taps down the lines, term by term.
    columns: Vec<&'a [f64]>,
    filters: Vec<Filter>,
}

/// What a filter sums along rows.
struct Filter {
    /// Which terms are its own.
    terms: Vec<usize>,
    /// A row of each.
    taps: Vec<f64>,
    bias: f64,
}

/// Sums of columns in a row, of lines that are so long; and with what may be read behind them, as behind lines.
fn across<S: Simd>(line: usize) -> (usize, usize) {
    let step = double_step::<S>();
    let places = (line - step).next_multiple_of(step);
    (places, places + step)
}

impl<'a> Passes<'a> {
    /// Of factors of the kernel with rows and columns exchanged.
    pub fn new(weights: &DoubleWeights, factors: &'a Factors<f64>) -> Self {
        let of = |(f, bias): (usize, &f64)| {
            let (terms, taps) = factors.of_filter(f, weights.filters);
            Filter { terms, taps, bias: *bias }
        };
        Self {
            columns: factors.rows().chunks(factors.rows().len() / factors.terms()).collect(),
            filters: weights.bias.iter().enumerate().map(of).collect(),
        }
    }

    /// Sums of columns, for so many output rows of lines that are so long.
    pub fn column_sums<S: Simd>(&self, line: usize, rows: usize) -> usize {
        self.columns.len() * rows * across::<S>(line).1
    }

    /// The sums of some output rows, `pitch` places of each filter.
    #[inline(always)]
    pub fn rows<S: Simd>(
        &self,
        simd: S,
        down: &Sum<'_>,
        column_sums: &mut [f64],
        pitch: usize,
        sums: &mut [f64],
    ) {
        let Some(line) = down.lines.first() else { return };
        let (places, reach) = across::<S>(line.len());
        let term = down.rows * reach;
        let columns = Sum { offsets: &[0], spacing: reach, ..*down };
        for (taps, sums) in self.columns.iter().zip(column_sums.chunks_exact_mut(term)) {
            columns.of(simd, (taps, 0.0), places, sums);
        }
        let mut lines: Vec<&[f64]> = Vec::with_capacity(self.columns.len());
        for (row, sums) in sums.chunks_exact_mut(down.spacing).take(down.rows).enumerate() {
            for (filter, sums) in self.filters.iter().zip(sums.chunks_exact_mut(pitch)) {
                lines.clear();
                let of = |own: &usize| &column_sums[own * term + row * reach..][..reach];
                lines.extend(filter.terms.iter().map(of));
                let along = Sum { lines: &lines, rows: 1, ..*down };
                along.of(simd, (&filter.taps, filter.bias), pitch, sums);
            }
        }
    }
}
