//! Sums in f64: of f64 and of 32-bit integers, which f32 does not hold.
//!
//! Whatever the options, rows go through lines of f64 (`source/lines.rs`), and one output row after the other is
//! summed and finished. There are no other algorithms: a pixel of f64 is as much to move as two of f32, and
//! what asks for such sums is seldom a stream of frames.

mod adjoint;
mod finish;

use std::iter::once;

use fearless_simd::Simd;

use super::kernels;
use super::scratch::{DoubleScratch, Scratch};
use super::source::{Image, Input, Lines, recycled};
use super::task::{Task, tiles};
use crate::Problem;
use crate::problem::DoubleWeights;
use finish::Finish;

/// Scalars of a tile: lines of five rows of it stay in the first cache.
const TILE: usize = 1 << 9;

/// Computes one task.
#[inline(always)]
pub(super) fn run<S: Simd>(
    simd: S,
    problem: &Problem,
    weights: &DoubleWeights,
    src: Input<'_>,
    mut task: Task<'_>,
    scratch: &mut Scratch,
) {
    let g = problem.geometry();
    let image = Image::new(problem, src, task.image);
    if problem.gathers() {
        return adjoint::run(simd, problem, weights, image, task, &mut scratch.double);
    }
    let DoubleScratch { lines, window, sums, mixed } = &mut scratch.double;
    let step = kernels::double_step::<S>();
    let each = weights.taps.len() / weights.filters;
    let (mut needed, mut at) = (Vec::with_capacity(g.kernel.0), Vec::with_capacity(g.kernel.0));
    let mut there: Vec<&[f64]> = Vec::with_capacity(g.kernel.0);
    for columns in tiles(g, once(task.columns.clone()), task.tile.unwrap_or(TILE)) {
        let places = columns.len() * g.channels;
        let pitch = places.next_multiple_of(step);
        let from = columns.start * g.channels;
        let mut lines = Lines::<f64>::new(problem, columns, lines, window).with(g.kernel.0, step);
        sums.resize(sums.len().max(weights.filters * pitch), 0.0);
        for row in task.rows.clone() {
            needed.clear();
            needed.extend((0..g.kernel.0).map(|i| g.first_row(row) + (i * g.dilation.0) as isize));
            lines.slide(simd, image, &needed, &mut at);
            let mut each_line = recycled(std::mem::take(&mut there));
            each_line.extend(at.iter().map(|at| lines.line(*at)));
            for (f, taps) in weights.taps.chunks_exact(each).enumerate() {
                let out = &mut sums[f * pitch..(f + 1) * pitch];
                simd.vectorize(
                    #[inline(always)]
                    || {
                        let bias = weights.bias[f];
                        kernels::double(simd, (taps, bias), &each_line, lines.offsets(), out);
                    },
                );
            }
            there = recycled(each_line);
            let finish = Finish { problem, weights, from, places, pitch };
            finish.row(row - task.rows.start, sums, mixed, &mut task.planes);
        }
    }
}
