//! `direct`: tap by tap; takes every option on every engine.

use super::bands::Band;
use super::cost::{self, GpuCost, Traffic};
use super::gather;
use super::limits::{AdapterClass, CpuLimits, GpuLimits};
use super::offer::Offer;
use crate::Problem;

/// Output rows and columns of a task.
pub(super) fn cpu(problem: &Problem, limits: &CpuLimits) -> Offer<(usize, Option<usize>)> {
    let one_thread = cost::cpu_direct(problem, limits);
    let (rows, threads) = cost::tasks(problem, limits, one_thread);
    let us = one_thread / threads as f64 + cost::sharing(problem, threads);
    Ok((cost::pieces(problem, limits, rows, one_thread), us))
}

/// The same with sums in f64, and what that takes: output rows of a task.
pub(super) fn cpu_double(problem: &Problem, limits: &CpuLimits) -> (usize, f64) {
    let one_thread = cost::DOUBLE * cost::cpu_direct(problem, limits);
    let (rows, threads) = cost::tasks(problem, limits, one_thread);
    (rows, one_thread / threads as f64 + cost::sharing(problem, threads))
}

/// Longest flat row of an image that is small, in scalars: eight vectors of AVX-512, sixteen of AVX2.
const SMALL_ROW: usize = 128;
/// Scalars of one that is not too large to be made whole, continued by the border.
const SMALL_IMAGE: usize = 1 << 13;

/// Images of a task, where they are small: those of a stride keep their rows.
pub(super) fn images(problem: &Problem, limits: &CpuLimits, us: f64) -> Option<usize> {
    let g = problem.geometry();
    let (rows, columns) = (g.out_height - 1 + g.extent().0, g.out_width - 1 + g.extent().1);
    let row = columns * g.channels;
    let small = !problem.gathers()
        && g.stride == (1, 1)
        && g.images > 1
        && row <= SMALL_ROW
        && rows.checked_mul(row).is_some_and(|scalars| scalars <= SMALL_IMAGE);
    let cuts = &limits.cuts;
    match cuts.images {
        _ if !small => None,
        Some(images) => Some(images.max(1)),
        None if cuts.task_rows.is_some() || cuts.tile.is_some() => None,
        None => Some(cost::images(g.images, limits, us)),
    }
}

/// Most words of a slice, where channels lie together: a cache line of most GPUs.
pub(super) const SLICE: usize = 32;

/// Invocations of a workgroup along x and y, and whether one grid works on one channel slice.
pub(super) fn gpu(problem: &Problem, limits: &GpuLimits) -> Offer<([u32; 2], bool)> {
    let g = problem.geometry();
    // Where words hold several scalars, a slice is that many neighbouring channels.
    let lanes = problem.store().lanes();
    let sliced = lanes == 1 || !g.planar && (g.channels * g.outputs).is_multiple_of(lanes);
    limits.check_iterations((place_iterations(problem) + 1).saturating_mul(lanes as u64))?;
    let rows = if limits.max_invocations >= 256 { 8 } else { 2 };
    let workgroup = match (sliced, limits.class) {
        (false, _) => [64, 1],
        // A software adapter runs a workgroup on one core, vectors along x.
        (true, AdapterClass::Software) => [64.min(limits.max_invocations), 1],
        (true, _) => [32, rows],
    };
    let cost = GpuCost::of(limits);
    let taps = match problem.multiply_adds() as f64 {
        taps if problem.gathers() => gather::as_taps(problem.output_len() as f64, taps),
        taps => taps,
    };
    // Its accesses are slower than those of the others.
    let rest = Traffic { accesses: 0.0, sums: 0.0, ..traffic(problem) };
    Ok(((workgroup, sliced), taps / cost.taps + cost.of_passes(&[rest])))
}

pub(super) fn traffic(problem: &Problem) -> Traffic {
    let taps = problem.multiply_adds() as f64;
    Traffic {
        accesses: taps + problem.output_len() as f64,
        exchanges: 0.0,
        sums: taps,
        bytes: problem.bytes() as f64,
    }
}

/// Loop iterations of `place` in `shaders/place.wgsl`.
fn place_iterations(problem: &Problem) -> u64 {
    let g = problem.geometry();
    let (kh, kw) = g.kernel;
    let weights = problem.weights();
    if problem.gathers() {
        return gather::iterations(problem);
    }
    let filters = if weights.follow.is_some() { weights.filters as u64 } else { 1 };
    filters * (kh as u64 * (kw.div_ceil(4) as u64 + 1) + 1)
}

/// Invocations for `band`: one for each word of output.
pub(super) fn grid(problem: &Problem, pitch: usize, sliced: bool, band: &Band) -> [usize; 3] {
    let g = problem.geometry();
    let lanes = problem.store().lanes();
    let (rows, columns, images) = (band.rows.len(), band.columns.len(), band.images.len());
    if sliced {
        let words = g.channels * g.outputs / lanes;
        let slices = if g.planar { words } else { words.div_ceil(SLICE) };
        return [columns * words.div_ceil(slices), rows, images * slices];
    }
    let together = g.out_row() / g.out_width;
    let plane = rows * (columns * together).next_multiple_of(pitch);
    [(images * g.out_planes() * plane).div_ceil(lanes), 1, 1]
}
