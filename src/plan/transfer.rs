//! What it takes to bring tensors from the host to a GPU and back.
//!
//! ```text
//! host     copy in 0 | copy in 1 | copy in 2 | wait | copy out 0, copy in 3 | wait | copy out 1 ..
//! device               fetch, passes, hand over 0 | fetch, passes, hand over 1 | ..
//! ```

use super::bands::Band;
use super::limits::{DeviceCosts, GpuLimits};
use crate::Problem;

/// Bands in flight: twin of that in `gpu/host.rs`.
const IN_FLIGHT: usize = 3;

/// What is copied and computed at once: bytes there and back, and microseconds of the passes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub up: f64,
    pub down: f64,
    pub passes: f64,
}

impl Load {
    /// All of a problem.
    pub fn of(problem: &Problem, passes: f64) -> Self {
        let bytes = |len: usize, each: usize| len as f64 * each as f64;
        Self {
            up: bytes(problem.input_len(), problem.input_type().bytes()),
            down: bytes(problem.output_len(), problem.output_type().bytes()),
            passes,
        }
    }
}

/// Microseconds that the parts of a load take.
struct Steps {
    copy_in: f64,
    device: f64,
    copy_out: f64,
    latency: f64,
}

impl Steps {
    fn of(costs: &DeviceCosts, load: Load) -> Self {
        let us = |bytes: f64, rate: u64| 1000.0 * bytes / rate.max(1) as f64;
        Self {
            copy_in: us(load.up, costs.write),
            device: us(load.up, costs.upload) + load.passes + us(load.down, costs.download),
            copy_out: us(load.down, costs.read),
            latency: costs.latency as f64 / 1000.0,
        }
    }
}

/// Microseconds of `loads` one after the other, as the host sees it: one thread copies, and the device works
/// on one load while the next is copied. A submission and the wait for it keep the host busy.
fn overlapped(costs: &DeviceCosts, loads: impl Iterator<Item = Load>) -> f64 {
    let (mut host, mut device) = (0.0_f64, 0.0_f64);
    // When the device is done with those in flight, and what is left to copy then.
    let mut flying = std::collections::VecDeque::with_capacity(IN_FLIGHT);
    let finish = |host: f64, (done, copy_out): (f64, f64)| host.max(done) + copy_out;
    for load in loads {
        if flying.len() == IN_FLIGHT
            && let Some(oldest) = flying.pop_front()
        {
            host = finish(host, oldest);
        }
        let steps = Steps::of(costs, load);
        host += steps.copy_in + steps.latency;
        device = device.max(host) + steps.device;
        flying.push_back((device, steps.copy_out));
    }
    flying.into_iter().fold(host, finish)
}

/// Microseconds of a problem whose passes take `passes` in all, from host memory to host memory.
pub(super) fn bands(problem: &Problem, limits: &GpuLimits, bands: &[Band], passes: f64) -> f64 {
    let g = problem.geometry();
    let [from, to] = [problem.input_type(), problem.output_type()].map(|t| t.bytes() as f64);
    let places = (g.images * g.out_height * g.out_width).max(1) as f64;
    let row = g.out_row() / g.out_width.max(1) * g.out_planes();
    let loads = bands.iter().map(|band| {
        let source = band.source_columns.len * g.pixel() * band.source_rows.len * g.planes();
        let made = band.images.len() * band.rows.len() * band.columns.len();
        Load {
            up: (band.images.len() * source) as f64 * from,
            down: (made * row) as f64 * to,
            passes: passes * made as f64 / places,
        }
    });
    // With no band nothing is submitted.
    overlapped(&DeviceCosts::of(limits), loads).max(passes)
}

/// Microseconds of one load that is copied whole.
pub(super) fn whole(limits: &GpuLimits, load: Load) -> f64 {
    let steps = Steps::of(&DeviceCosts::of(limits), load);
    steps.copy_in + steps.device + steps.copy_out + steps.latency
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A byte a microsecond each way of a copy.
    const COSTS: DeviceCosts = DeviceCosts {
        write: 1000,
        upload: 1000,
        download: 1000,
        read: 1000,
        memory: 1000,
        latency: 1000,
    };

    fn of(load: Load, times: usize) -> f64 {
        overlapped(&COSTS, std::iter::repeat_n(load, times))
    }

    #[test]
    fn one_load_is_the_sum_of_its_steps() {
        let load = Load { up: 10.0, down: 20.0, passes: 40.0 };
        // Two copies each way, the passes, and a submission.
        assert_eq!(of(load, 1), 20.0 + 40.0 + 40.0 + 1.0);
        assert_eq!(of(load, 0), 0.0);
    }

    #[test]
    fn the_longer_side_hides_the_other() {
        // The device works for 10 + 100 + 20, the host for 10 + 1 + 20.
        let passes = Load { up: 10.0, down: 20.0, passes: 100.0 };
        assert_eq!(of(passes, 5), 11.0 + 5.0 * 130.0 + 20.0);
        // The host copies for 61, the device for 60: it is never waited for, but for the last.
        let copies = Load { up: 30.0, down: 30.0, passes: 0.0 };
        let all = of(copies, 50);
        assert!((50.0 * 61.0..50.0 * 61.0 + 65.0).contains(&all), "{all}");
        // Far less than one after the other.
        assert!(all < 0.6 * 50.0 * of(copies, 1));
    }
}
