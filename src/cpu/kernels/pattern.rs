//! Which input lines a block of output rows needs, and which taps join them.

use crate::problem::Geometry;

/// Input lines that meet the same output rows of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The output rows.
    pub rows: (usize, usize),
    /// The input lines, by number.
    pub lines: std::ops::Range<usize>,
    /// The tap row that joins the first of both.
    pub tap: usize,
}

/// Which input rows a block of output rows needs, and which taps join them.
///
/// Along rows of stride `s` and dilation `d`, with `g = gcd(s, d)`, the rows of a block lie `d / g`
/// apart: there tap `i` of a row meets what tap `i - s / g` of the next row meets, so that an input
/// row joins neighbouring output rows.
#[derive(Clone, Debug)]
pub(in crate::cpu) struct Pattern {
    /// Output rows of the block.
    pub rows: usize,
    /// Each input row of a term, counted from the one that tap row 0 of the first output row meets.
    pub needed: Vec<isize>,
    pub(super) runs: Vec<Run>,
    /// Rows of a term and columns of the kernel, and the terms.
    kernel: (usize, usize),
    terms: usize,
    /// From an output row's tap for an input row to that of the row before.
    pub(super) phases: usize,
}

/// Distance of a block's rows, and tap rows between two that meet the same input row.
pub(in crate::cpu) fn spacing(g: &Geometry) -> (usize, usize) {
    let (mut a, mut b) = (g.stride.0, g.dilation.0);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    (g.dilation.0 / a, g.stride.0 / a)
}

impl Pattern {
    /// Of `rows` output rows, for the sum over `terms` of kernels with `kernel` rows and columns: the
    /// lines of a term lie together.
    pub fn new(g: &Geometry, rows: usize, kernel: (usize, usize), terms: usize) -> Self {
        let kh = kernel.0;
        let phases = spacing(g).1;
        let mut needed = Vec::new();
        let mut runs: Vec<Run> = Vec::new();
        for term in 0..terms {
            // Input row `at` meets tap `at - r * phases` of output row r.
            let mut line = term * needed.len();
            for at in 0..(rows - 1) * phases + kh {
                let lo = (at + 1).saturating_sub(kh).div_ceil(phases);
                let hi = rows.min(at / phases + 1);
                if lo >= hi {
                    continue;
                }
                if term == 0 {
                    needed.push((at * g.dilation.0) as isize);
                }
                let tap = term * kh + at - lo * phases;
                match runs.last_mut() {
                    Some(run)
                        if run.rows == (lo, hi)
                            && run.lines.end == line
                            && run.tap + run.lines.len() == tap =>
                    {
                        run.lines.end += 1;
                    }
                    _ => runs.push(Run { rows: (lo, hi), lines: line..line + 1, tap }),
                }
                line += 1;
            }
        }
        Self { rows, needed, runs, kernel, terms, phases }
    }

    /// Whether it is `R` rows of one kernel with `side` rows and columns, where neighbours' tap rows are neighbours.
    #[inline(always)]
    pub(super) fn is_square<const R: usize>(&self, side: usize) -> bool {
        (self.rows, self.kernel, self.terms, self.phases) == (R, (side, side), 1, 1)
    }

    /// Whether it is `R` rows of one kernel with a single column, of which some line meets all of them.
    #[inline(always)]
    pub(super) fn is_column<const R: usize>(&self) -> bool {
        let (height, width) = self.kernel;
        (self.rows, width, self.terms, self.phases) == (R, 1, 1, 1) && height >= R
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Conv2d, ElementType, Kernel, Problem};

    /// Every tap of every row, once, and the line that it meets.
    #[test]
    fn runs_join_each_row_with_each_of_its_taps() {
        for (stride, dilation) in [(1, 1), (2, 1), (3, 1), (1, 3), (2, 4), (4, 2), (6, 4)] {
            for (kh, rows, terms) in
                [(1, 1, 1), (3, 4, 1), (3, 6, 2), (5, 3, 1), (2, 4, 3), (9, 6, 1)]
            {
                let conv = Conv2d::new(Kernel::box_blur(1, 1).unwrap());
                let conv = conv.stride(stride, 1).dilation(dilation, 1);
                let problem =
                    Problem::new(&conv, [9, 9, 1], ElementType::F32, ElementType::F32).unwrap();
                let g = problem.geometry();
                let pattern = Pattern::new(g, rows, (kh, 1), terms);
                let (apart, phases) = spacing(g);
                let mut met = vec![0; rows * kh * terms];
                for run in &pattern.runs {
                    for (n, line) in run.lines.clone().enumerate() {
                        for r in run.rows.0..run.rows.1 {
                            let tap = run.tap + n - (r - run.rows.0) * phases;
                            met[r * kh * terms + tap] += 1;
                            let (term, i) = (tap / kh, tap % kh);
                            assert_eq!(line / pattern.needed.len(), term);
                            let row = pattern.needed[line % pattern.needed.len()];
                            assert_eq!(row as usize, r * apart * stride + i * dilation);
                        }
                    }
                }
                assert!(
                    met.iter().all(|n| *n == 1),
                    "{stride} {dilation} {kh} {rows} {terms}: {met:?}"
                );
            }
        }
    }
}
