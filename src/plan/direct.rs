//! `direct`: tap by tap; takes every option on every engine.

use super::cost::{self, GpuCost, Traffic};
use super::limits::{AdapterClass, CpuLimits, GpuLimits, Residence};
use super::{Band, CpuLaunch, CpuScheme, GpuLaunch, Offer, Scheme};
use crate::{Border, Problem};

pub(super) fn cpu(problem: &Problem, limits: &CpuLimits) -> Offer<CpuLaunch> {
    let one_thread = cost::cpu_direct(problem, limits);
    let (rows_per_task, threads) = cost::tasks(problem, limits, one_thread);
    let us = one_thread / threads as f64 + cost::wake(threads);
    Ok((CpuLaunch { scheme: CpuScheme::Direct, rows_per_task }, us))
}

pub(super) fn gpu(problem: &Problem, limits: &GpuLimits, residence: Residence) -> Offer<GpuLaunch> {
    let g = problem.geometry();
    // Where words hold several scalars, a slice is that many neighbouring channels.
    let lanes = problem.output_type().per_word();
    let sliced = lanes == 1 || !g.planar && (g.channels * g.outputs).is_multiple_of(lanes);
    limits.check_iterations((place_iterations(problem) + 1).saturating_mul(lanes as u64))?;
    let side = if limits.max_invocations >= 256 { 16 } else { 8 };
    let workgroup = match (sliced, limits.class) {
        (false, _) => [64, 1],
        // A software adapter runs a workgroup on one core, vectors along x.
        (true, AdapterClass::Software) => [64.min(limits.max_invocations), 1],
        (true, _) => [side, side],
    };
    let launch = GpuLaunch {
        scheme: Scheme::Direct { workgroup, sliced },
        pitch: super::pitch(residence),
        bands: Vec::new(),
    };
    let cost = GpuCost::of(limits);
    let taps = problem.multiply_adds() as f64;
    // Its accesses are slower than those of the others.
    let rest = Traffic { accesses: 0.0, sums: 0.0, ..traffic(problem) };
    Ok((launch, taps / cost.taps + cost.of_passes(&[rest])))
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
        // Continued places that are read at one, and in all of them its taps: each tap is met by as many
        // of these places as there are between the first input and the last.
        let most = |taps: usize, extent: usize, [input, stride, before, output]: [usize; 4]| {
            let end = (input - 1) * stride + extent;
            let beyond = before + end.saturating_sub(before + output);
            let places = match problem.border() {
                Border::Constant(_) => 1,
                Border::Replicate => 1 + beyond,
                Border::Reflect | Border::Reflect101 | Border::Wrap => {
                    1 + 2 * beyond.div_ceil(output)
                }
            };
            let met = taps.saturating_mul(places.min((input - 1) * stride + 1));
            (places as u64, met as u64)
        };
        let extent = g.extent();
        let (places, rows) = most(kh, extent.0, [g.height, g.stride.0, g.top, g.out_height]);
        let (across, met) = most(kw, extent.1, [g.width, g.stride.1, g.left, g.out_width]);
        let row = met.saturating_mul(weights.filters as u64 + 1).saturating_add(across + 3);
        return rows.saturating_mul(row + 1).saturating_add(places + 3);
    }
    let filters = if weights.follow.is_some() { weights.filters as u64 } else { 1 };
    filters * (kh as u64 * (kw.div_ceil(4) as u64 + 1) + 1)
}

/// Invocations for `band`: one for each word of output.
pub(super) fn grid(problem: &Problem, pitch: usize, sliced: bool, band: &Band) -> [usize; 3] {
    let g = problem.geometry();
    let lanes = problem.output_type().per_word();
    let (rows, columns, images) = (band.rows.len(), band.columns.len(), band.images.len());
    if sliced {
        return [columns, rows, images * (g.channels * g.outputs / lanes)];
    }
    let together = g.out_row() / g.out_width;
    let plane = rows * (columns * together).next_multiple_of(pitch);
    [(images * g.out_planes() * plane).div_ceil(lanes), 1, 1]
}
