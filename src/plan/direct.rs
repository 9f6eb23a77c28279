//! `direct`: tap by tap; takes every option on every engine.

use super::limits::{AdapterClass, CpuLimits, GpuLimits, Residence};
use super::{Band, CpuLaunch, GpuLaunch, Offer};
use crate::{ElementType, Problem};

/// Output rows made at once on the CPU: each loaded vector then serves up to this many rows.
pub(crate) const CPU_ROWS: usize = 4;

pub(super) fn cpu(problem: &Problem, limits: &CpuLimits) -> Offer<CpuLaunch> {
    let g = problem.geometry();
    // One fused multiply-add per lane and half a cycle or so, at some 3 GHz, and half of it lost
    // to loads; memory at 8 GB/s a thread.
    let per_us = limits.lanes as f64 * 3000.0;
    let compute = problem.multiply_adds() as f64 / per_us;
    let memory = problem.bytes() as f64 / 8000.0;
    let one_thread = compute.max(memory) + 0.5;
    let rows = g.images * g.out_height;
    // Waking a thread costs some 10 us; below twice that it never pays.
    let threads = if one_thread < 40.0 { 1 } else { limits.threads.max(1) };
    // Several tasks a thread even out cores of different speed; a task re-reads its halo.
    let halo = g.extent().0;
    let tasks = if threads == 1 { 1 } else { threads * 4 };
    let rows_per_task = rows.div_ceil(tasks).max(halo.min(32)).max(1);
    Ok((
        CpuLaunch { rows_per_task: rows_per_task.min(g.out_height.max(1)), rows_at_once: CPU_ROWS },
        one_thread / threads as f64 + if threads > 1 { 10.0 } else { 0.0 },
    ))
}

pub(super) fn gpu(problem: &Problem, limits: &GpuLimits, residence: Residence) -> Offer<GpuLaunch> {
    let g = problem.geometry();
    // Where words hold several scalars, a slice is that many neighbouring channels.
    let sliced = match problem.output_type() {
        ElementType::F32 => true,
        ElementType::U8 => !g.planar && (g.channels * g.outputs).is_multiple_of(4),
    };
    let side = if limits.max_invocations >= 256 { 16 } else { 8 };
    let workgroup = match (sliced, limits.class) {
        (false, _) => [64, 1],
        // A software adapter runs a workgroup on one core, vectors along x.
        (true, AdapterClass::Software) => [64.min(limits.max_invocations), 1],
        (true, _) => [side, side],
    };
    let launch = GpuLaunch {
        workgroup,
        rows: 1,
        wide: false,
        sliced,
        pitch: super::pitch(residence),
        bands: Vec::new(),
    };
    // Loads of one scalar a tap, neighbouring invocations `channels` apart: `loads_per_us` is
    // measured on llvmpipe (2 cores) and an estimate from the makers' figures elsewhere.
    let loads_per_us = match limits.class {
        AdapterClass::Discrete => 400_000.0,
        AdapterClass::Integrated | AdapterClass::Unknown => 40_000.0,
        AdapterClass::Software => 700.0,
    };
    let us = problem.multiply_adds() as f64 / loads_per_us;
    Ok((launch, us + super::flat::overhead(problem, limits)))
}

/// Invocations for `band`: one for each word of output.
pub(super) fn grid(problem: &Problem, launch: &GpuLaunch, band: &Band) -> [usize; 3] {
    let g = problem.geometry();
    let lanes = 4 / problem.output_type().bytes();
    let (rows, columns, images) = (band.rows.len(), band.columns.len(), band.images.len());
    if launch.sliced {
        return [columns, rows, images * (g.channels * g.outputs / lanes)];
    }
    let together = g.out_row() / g.out_width;
    let plane = rows * (columns * together).next_multiple_of(launch.pitch);
    [(images * g.out_planes() * plane).div_ceil(lanes), 1, 1]
}
