//! The few constants behind predicted times.
//!
//! Those of llvmpipe and of the CPU were measured (2 cores, AVX2; `cargo bench --bench engines`
//! shows them again); those of hardware GPUs are estimates from the makers' figures, and only their
//! ratios matter: they choose between algorithms on one device.

use super::limits::{AdapterClass, CpuLimits, GpuLimits};
use crate::Problem;

/// What a kind of GPU does in a microsecond.
pub(super) struct GpuCost {
    /// Taps of `direct`: loads of one scalar, neighbouring invocations `channels` apart.
    pub taps: f64,
    /// Loads of four neighbouring scalars in `flat`.
    pub vectors: f64,
    /// Bytes of memory.
    pub bytes: f64,
    /// Microseconds to launch a pass.
    pub launch: f64,
}

impl GpuCost {
    pub(super) fn of(limits: &GpuLimits) -> Self {
        let [taps, vectors, bytes, launch] = match limits.class {
            AdapterClass::Discrete => [400_000.0, 400_000.0, 300_000.0, 10.0],
            AdapterClass::Integrated | AdapterClass::Unknown => {
                [40_000.0, 40_000.0, 30_000.0, 20.0]
            }
            // Between Mesa 22.3 (90 taps, 55 vectors) and Mesa 26 (260 and 350).
            AdapterClass::Software => [150.0, 130.0, 8_000.0, 30.0],
        };
        Self { taps, vectors, bytes, launch }
    }

    /// What any pass costs: its launch, and its bytes once.
    pub(super) fn pass(&self, problem: &Problem) -> f64 {
        self.launch + problem.bytes() as f64 / self.bytes
    }
}

/// Microseconds to wake a thread.
pub(super) const WAKE: f64 = 10.0;

/// Microseconds of the CPU's `direct` on one thread: about one multiply-add a lane and cycle at
/// 3 GHz (half of what two units could do, the rest is lost to loads), and memory at 8 GB/s.
pub(super) fn cpu_direct(problem: &Problem, limits: &CpuLimits) -> f64 {
    let compute = problem.multiply_adds() as f64 / (limits.lanes as f64 * 3000.0);
    let memory = problem.bytes() as f64 / 8000.0;
    compute.max(memory) + 0.5
}
