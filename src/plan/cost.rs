//! The few constants behind predicted times.
//!
//! Those of llvmpipe and of the CPU were measured (2 cores, AVX2; `cargo bench --bench engines`
//! shows them again); those of hardware GPUs are estimates from the makers' figures, and only their
//! ratios matter: they choose between algorithms on one device.

use super::limits::{AdapterClass, CpuLimits, GpuLimits};
use crate::{ElementType, Problem};

/// What a pass does in all, by the model behind predicted times.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Scalars that invocations read from buffers or write to them. Caches serve most of those that
    /// are read several times.
    pub accesses: f64,
    /// Scalars written to workgroup memory or read from there.
    pub exchanges: f64,
    /// Multiply-adds, and additions that stand alone.
    pub sums: f64,
    /// Bytes through memory: what is read, once, and what is written. Caches are taken to hold the rows
    /// of the input that neighbouring invocations read again.
    pub bytes: f64,
}

/// What a kind of GPU does in a microsecond.
pub(super) struct GpuCost {
    /// Taps of `direct`: loads of one scalar, neighbouring invocations `channels` apart.
    pub taps: f64,
    /// Scalars that `flat` reads or writes: neighbouring invocations have neighbours.
    pub loads: f64,
    /// Scalars written to workgroup memory, or read from there.
    pub exchanges: f64,
    /// Multiply-adds of `flat`, in registers.
    pub sums: f64,
    /// Bytes of memory.
    pub bytes: f64,
    /// Microseconds to launch a pass.
    pub launch: f64,
}

impl GpuCost {
    pub(super) fn of(limits: &GpuLimits) -> Self {
        let [taps, loads, exchanges, sums, bytes, launch] = match limits.class {
            AdapterClass::Discrete => {
                [400_000.0, 1_500_000.0, 4_000_000.0, 8_000_000.0, 300_000.0, 10.0]
            }
            AdapterClass::Integrated | AdapterClass::Unknown => {
                [40_000.0, 150_000.0, 400_000.0, 800_000.0, 30_000.0, 20.0]
            }
            // Mesa 26 on two cores with AVX2, from kernels of 3x3 to 31x31; Mesa 22.3 takes two to
            // four times as long.
            AdapterClass::Software => [360.0, 2_000.0, 1_600.0, 7_300.0, 8_000.0, 30.0],
        };
        Self { taps, loads, exchanges, sums, bytes, launch }
    }

    /// Microseconds of the passes.
    pub(super) fn of_passes(&self, passes: &[Traffic]) -> f64 {
        let one = |pass: &Traffic| {
            self.launch
                + pass.accesses / self.loads
                + pass.exchanges / self.exchanges
                + pass.sums / self.sums
                + pass.bytes / self.bytes
        };
        passes.iter().map(one).sum()
    }
}

/// Microseconds to wake a thread.
const WAKE: f64 = 10.0;

/// Microseconds to wake threads for a task of several.
pub(super) fn wake(threads: usize) -> f64 {
    if threads > 1 { WAKE } else { 0.0 }
}

/// Output rows of a task of the CPU, and the threads that are worth waking, for work that takes so many
/// microseconds on one.
pub(super) fn tasks(problem: &Problem, limits: &CpuLimits, one_thread: f64) -> (usize, usize) {
    let g = problem.geometry();
    let rows = g.images * g.out_height;
    // Not worth it where waking the threads takes as long as the work.
    let threads = if one_thread < 4.0 * WAKE { 1 } else { limits.threads.max(1) };
    // Several tasks a thread even out cores of different speed; a task goes through its halo anew.
    let tasks = if threads == 1 { 1 } else { threads * 4 };
    let least = (2 * g.extent().0).min(rows.div_ceil(threads));
    let rows_per_task = rows.div_ceil(tasks).max(least).max(1);
    let rows_per_task = limits.cuts.task_rows.unwrap_or(rows_per_task);
    (rows_per_task.clamp(1, g.out_height.max(1)), threads)
}

/// What passes through memory at the same time as the sums are made takes that much longer.
const BESIDE: f64 = 0.6;
/// Bytes a core moves in a microsecond.
const CPU_BYTES: f64 = 13_000.0;

fn beside_memory(problem: &Problem, compute: f64) -> f64 {
    let memory = problem.bytes() as f64 / CPU_BYTES;
    compute.max(memory) + BESIDE * compute.min(memory)
}

/// Places whose sums are made, in vectors.
fn vectors(problem: &Problem, limits: &CpuLimits) -> f64 {
    let g = problem.geometry();
    (g.images * g.out_height * g.out_width * g.channels) as f64 / limits.lanes as f64
}

/// Microseconds to bring an input vector into a line as f32, where it is not read where it lies, and an
/// output vector to its type.
fn converting(problem: &Problem, limits: &CpuLimits, lines: bool) -> f64 {
    let lanes = limits.lanes as f64;
    let widened = lines || problem.input_type() != ElementType::F32;
    let inputs = if widened { problem.input_len() as f64 / lanes } else { 0.0 };
    let narrowed = problem.output_type() != ElementType::F32;
    let outputs = if narrowed { problem.output_len() as f64 / lanes } else { 0.0 };
    0.0012 * inputs + 0.003 * outputs
}

/// Microseconds of the CPU's `direct` on one thread.
pub(super) fn cpu_direct(problem: &Problem, limits: &CpuLimits) -> f64 {
    let (kh, _) = problem.geometry().kernel;
    let filters = problem.weights().filters as f64;
    let taps = problem.weights().taps.len() as f64;
    let each = taps / 5100.0 + filters * (0.0004 * kh as f64 + 0.0005);
    let compute = vectors(problem, limits) * each + converting(problem, limits, false);
    beside_memory(problem, compute) + 0.5
}

/// The same of `separable` with so many terms.
pub(super) fn cpu_separable(problem: &Problem, terms: usize, limits: &CpuLimits) -> f64 {
    let (kh, kw) = problem.geometry().kernel;
    let filters = problem.weights().filters as f64;
    let terms = terms as f64;
    // A row is summed for each input row.
    let rows = problem.geometry().stride.0 as f64;
    let each = terms * rows * (kw as f64 / 3000.0 + 0.001)
        + filters * (terms * kh as f64 / 3300.0 + 0.001);
    let compute = vectors(problem, limits) * each + converting(problem, limits, true);
    beside_memory(problem, compute) + 2.0
}

/// The same of the gradient of a kernel, tap by tap.
pub(super) fn cpu_correlation(problem: &Problem, limits: &CpuLimits) -> f64 {
    let g = problem.geometry();
    let taps = problem.weights().taps.len() as f64;
    let row = (g.out_width * g.channels).div_ceil(limits.lanes.max(1));
    let vectors = (g.images * g.out_height * row) as f64;
    beside_memory(problem, vectors * taps / 3000.0)
}

/// The same of a tile of two planes, transformed, multiplied and transformed back.
pub(super) fn cpu_transform((rows, columns): (usize, usize), filters: usize) -> f64 {
    let points = (rows * columns) as f64;
    let one = points * (0.00027 * points.log2() + 0.0007);
    one * (1.0 + filters as f64)
}
