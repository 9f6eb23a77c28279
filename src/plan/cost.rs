//! The few constants behind predicted times.
//!
//! Those of llvmpipe and of the CPU were measured (2 cores, AVX2; `cargo bench --bench engines`
//! shows them again); those of hardware GPUs are estimates from the makers' figures, and only their
//! ratios matter: they choose between algorithms on one device.

use super::limits::{AdapterClass, CpuLimits, GpuLimits};
use crate::Problem;

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
pub(super) const WAKE: f64 = 10.0;

/// Microseconds of the CPU's `direct` on one thread: about one multiply-add a lane and cycle at
/// 3 GHz (half of what two units could do, the rest is lost to loads), and memory at 8 GB/s.
pub(super) fn cpu_direct(problem: &Problem, limits: &CpuLimits) -> f64 {
    let compute = problem.multiply_adds() as f64 / (limits.lanes as f64 * 3000.0);
    let memory = problem.bytes() as f64 / 8000.0;
    compute.max(memory) + 0.5
}
