//! The adjoint in f64, where it is no convolution: each input place is added where the convolution read.
//!
//! An input row meets, with each tap row, one output row or none, and there the tap columns: a tap adds the row,
//! in runs of neighbours, to the pixels that it was read from, those that the border continued among them.

use fearless_simd::Simd;

use super::finish::narrow;
use crate::Problem;
use crate::cpu::scratch::DoubleScratch;
use crate::cpu::source::Image;
use crate::cpu::task::Task;
use crate::element::with_type;
use crate::memory::{self, NoRoom};
use crate::problem::{DoubleWeights, Geometry};
use crate::{Element, Sides};

/// Neighbouring columns of input that go to neighbouring columns of output.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    from: usize,
    to: usize,
    len: usize,
}

/// Computes one task.
pub(super) fn run<S: Simd>(
    simd: S,
    problem: &Problem,
    weights: &DoubleWeights,
    image: Image<'_>,
    task: Task<'_>,
    scratch: &mut DoubleScratch,
) -> Result<(), NoRoom> {
    let g = problem.geometry();
    let (kh, kw) = g.kernel;
    let DoubleScratch { lines, sums, .. } = scratch;
    let row = g.out_row();
    sums.clear();
    memory::resize("sums of a task", sums, task.rows.len() * row, 0.0)?;
    let runs: Vec<Vec<Run>> = (0..kw).map(|j| runs(g, problem.border().columns(), j)).collect();
    let pitch = g.width * g.channels;
    memory::at_least("a row of each filter", lines, g.inputs * pitch, 0.0)?;
    for from in 0..g.height {
        let first = g.first_row(from);
        let targets = (0..kh).filter_map(|i| {
            let at = first + (i * g.dilation.0) as isize;
            let to = problem.border().rows().index(at, g.out_height)?;
            task.rows.contains(&to).then(|| (i, to - task.rows.start))
        });
        let mut read = false;
        for (i, to) in targets {
            if !std::mem::replace(&mut read, true) {
                widen(problem, image, from, lines);
            }
            let out = &mut sums[to * row..(to + 1) * row];
            for (f, line) in lines.chunks(pitch).take(g.inputs).enumerate() {
                let taps = &weights.taps[(f * kh + i) * kw..][..kw];
                simd.vectorize(
                    #[inline(always)]
                    || {
                        for (tap, runs) in taps.iter().zip(&runs) {
                            runs.iter().for_each(|run| add(*tap, line, out, *run, g.channels));
                        }
                    },
                );
            }
        }
    }
    let Some(plane) = task.planes.into_iter().next() else { return Ok(()) };
    with_type!(problem.output_type(), U => {
        narrow(sums, bytemuck::cast_slice_mut::<u8, U>(plane));
    });
    Ok(())
}

#[inline(always)]
fn add(tap: f64, line: &[f64], out: &mut [f64], run: Run, channels: usize) {
    let from = &line[run.from * channels..][..run.len * channels];
    let to = &mut out[run.to * channels..][..run.len * channels];
    to.iter_mut().zip(from).for_each(|(to, x)| *to += tap * x);
}

/// Where tap column `j` adds the columns of input.
fn runs(g: &Geometry, border: Sides, j: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for from in 0..g.width {
        let at = g.first_column(from) + (j * g.dilation.1) as isize;
        let Some(to) = border.index(at, g.out_width) else { continue };
        match runs.last_mut() {
            Some(run) if run.from + run.len == from && run.to + run.len == to => run.len += 1,
            _ => runs.push(Run { from, to, len: 1 }),
        }
    }
    runs
}

/// An input row as f64, filter by filter.
fn widen(problem: &Problem, image: Image<'_>, row: usize, lines: &mut [f64]) {
    let g = problem.geometry();
    let pitch = g.width * g.channels;
    with_type!(problem.input_type(), T => {
        for (f, line) in lines.chunks_mut(pitch).take(g.inputs).enumerate() {
            let (row, first, step) = match g.planar {
                true => (f * g.height + row, 0, 1),
                false => (row, f, g.inputs),
            };
            let from = image.row::<T>(row)[first..].iter().step_by(step);
            line.iter_mut().zip(from).for_each(|(to, x)| *to = Element::to_f64(*x));
        }
    });
}
