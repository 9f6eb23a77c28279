//! Sums in f64: of f64 and of 32-bit integers, which f32 does not hold.
//!
//! Whatever the options, rows go through lines of f64 (`source/lines.rs`), and output rows are summed and finished,
//! three at once where they can be: tap by tap, or by two passes (`separable`). There is no `fft`: a pixel of f64 is as
//! much to move as two of f32, and what asks for such sums is seldom a stream of frames.

mod adjoint;
mod finish;
mod separable;

use std::iter::once;

use fearless_simd::Simd;

use super::kernels::{self, DOUBLE_ROWS, double_step};
use super::scratch::{DoubleScratch, Scratch};
use super::source::{Image, Input, Lines};
use super::task::{Task, tiles};
use crate::memory::{self, NoRoom};
use crate::problem::{DoubleWeights, Geometry};
use crate::{Factors, Problem};
use finish::Finish;
use separable::Passes;

/// Scalars of a tile: lines of five rows of it stay in the first cache.
const TILE: usize = 1 << 9;

/// Computes one task.
#[inline(always)]
pub(super) fn run<S: Simd>(
    simd: S,
    problem: &Problem,
    (weights, factors): (&DoubleWeights, Option<&Factors<f64>>),
    src: Input<'_>,
    mut task: Task<'_>,
    scratch: &mut Scratch,
) -> Result<(), NoRoom> {
    let g = problem.geometry();
    let image = Image::new(problem, src, task.image);
    if problem.gathers() {
        return adjoint::run(simd, problem, weights, image, task, &mut scratch.double);
    }
    let DoubleScratch { lines, window, columns: column_sums, sums, mixed } = &mut scratch.double;
    let step = double_step::<S>();
    let together = if at_once(g, task.rows.len()) { DOUBLE_ROWS } else { 1 };
    let mut at = Vec::new();
    let passes = factors.map(|factors| Passes::new(weights, factors));
    let tile = if passes.is_some() { separable::TILE } else { TILE };
    for columns in tiles(g, once(task.columns.clone()), task.tile.unwrap_or(tile)) {
        let places = columns.len() * g.channels;
        let pitch = places.next_multiple_of(step);
        let spacing = weights.filters * pitch;
        let from = columns.start * g.channels;
        let count = g.kernel.0 + together - 1;
        let mut lines = Lines::<f64>::new(problem, columns, lines, window).with(count, step)?;
        memory::at_least("sums of a block of rows", sums, together * spacing, 0.0)?;
        let mixes = weights.follow.as_ref().map_or(0, |follow| follow.bias.len());
        memory::at_least("outputs of a row", mixed, mixes * pitch, 0.0)?;
        if let Some(passes) = &passes {
            let len = passes.column_sums::<S>(lines.pitch(), together);
            memory::at_least("sums of columns", column_sums, len, 0.0)?;
        }
        for first in task.rows.clone().step_by(together) {
            // The last block begins early, and makes some rows once more.
            let first = first.min(task.rows.end - together);
            let top = g.first_row(first);
            let needed: Vec<isize> =
                (0..count).map(|i| top + (i * g.dilation.0) as isize).collect();
            lines.slide(simd, image, &needed, &mut at);
            let met: Vec<&[f64]> = at.iter().map(|at| lines.line(*at)).collect();
            let sum = Sum { lines: &met, offsets: lines.offsets(), rows: together, spacing };
            match &passes {
                None => {
                    let each = weights.taps.len() / weights.filters;
                    for (f, taps) in weights.taps.chunks_exact(each).enumerate() {
                        let sums = &mut sums[f * pitch..];
                        sum.of(simd, (taps, weights.bias[f]), pitch, sums);
                    }
                }
                Some(passes) => passes.rows(simd, &sum, column_sums, pitch, sums),
            }
            for (row, sums) in (first..first + together).zip(sums.chunks_exact_mut(spacing)) {
                let streamed = task.streamed;
                let finish = Finish { problem, weights, from, places, pitch, streamed };
                finish.row(simd, row - task.rows.start, sums, mixed, &mut task.planes);
            }
        }
    }
    Ok(())
}

/// Whether so many output rows are made three at once: they, and the kernel's, have to follow each other.
fn at_once(g: &Geometry, rows: usize) -> bool {
    rows >= DOUBLE_ROWS && g.kernel.0 > 1 && (g.stride.0, g.dilation.0) == (1, 1)
}

/// What sums are made of: lines from tap row to tap row, for one output row or for [`DOUBLE_ROWS`].
#[derive(Clone, Copy)]
struct Sum<'a> {
    lines: &'a [&'a [f64]],
    /// Where each tap column starts in a line.
    offsets: &'a [usize],
    rows: usize,
    /// From the sums of an output row to those of the next.
    spacing: usize,
}

impl Sum<'_> {
    /// So many sums of each row by these taps and a bias, whole blocks.
    #[inline(always)]
    fn of<S: Simd>(&self, simd: S, taps: (&[f64], f64), places: usize, sums: &mut [f64]) {
        let Self { lines, offsets, rows, spacing } = *self;
        simd.vectorize(
            #[inline(always)]
            || match rows {
                1 => kernels::double(simd, taps, lines, offsets, &mut sums[..places]),
                _ => kernels::double_rows(simd, taps, lines, offsets, (places, spacing), sums),
            },
        );
    }
}
