//! The plan of a part of a problem, which gives the bits that the whole has there.

use std::ops::Range;

use super::cuts::Cuts;
use super::{
    CpuLaunch, CpuScheme, GpuLaunch, GpuLimits, Launch, Machine, Plan, Scheme, Tile, choose,
};
use crate::{Algorithm, Problem, Result};

impl Plan {
    /// Rows and columns at multiples of which a part of the output has to begin and to end, or at the output's own
    /// ends, for its bits to be those of the whole: tiles of transforms round what they hold together, which are two
    /// channels, the last of an odd number and the first of the next tile among them.
    pub(crate) fn grain(&self, problem: &Problem) -> (usize, usize) {
        match &self.launch {
            Launch::Cpu(CpuLaunch { scheme: CpuScheme::Fft { outputs, .. }, .. }) => {
                (outputs.0, outputs.1 * (1 + problem.geometry().channels % 2))
            }
            Launch::Gpu(GpuLaunch { scheme: Scheme::Fft(tile), .. }) => tile.grain(problem),
            Launch::Cpu(_) | Launch::Gpu(_) => (1, 1),
        }
    }

    /// The plan of `part`, which is a part of what this is the plan of: by the same algorithm in the same way, in
    /// tasks or bands of its own.
    ///
    /// # Errors
    /// Those of [`choose`].
    pub(crate) fn of_part(&self, part: &Problem) -> Result<Self> {
        if let (Launch::Gpu(launch), Machine::Gpu(limits, residence)) =
            (&self.launch, &self.machine)
        {
            let size = |n: u32| n as usize;
            let cuts = match &launch.scheme {
                Scheme::Fft(Tile { size: (rows, columns), whole, .. }) => Cuts {
                    transform: Some((size(*rows), size(*columns))),
                    whole: Some(*whole),
                    ..limits.cuts
                },
                // One pass and two add up in orders of their own.
                Scheme::Separable { .. } => Cuts { one_pass: Some(false), ..limits.cuts },
                Scheme::Strips { .. } => Cuts { one_pass: Some(true), ..limits.cuts },
                Scheme::Direct { .. } | Scheme::Flat(_) => limits.cuts,
                Scheme::March(_) | Scheme::Phases(_) => limits.cuts,
            };
            let machine = Machine::Gpu(GpuLimits { cuts, ..*limits }, *residence);
            let own = choose(part, &machine, self.algorithm)?;
            return Ok(Self { machine: self.machine, ..own });
        }
        let own = choose(part, &self.machine, Algorithm::Direct)?;
        let launch = match (&own.launch, &self.launch) {
            (Launch::Cpu(own), Launch::Cpu(whole)) => {
                let direct = whole.scheme == CpuScheme::Direct;
                Launch::Cpu(CpuLaunch {
                    scheme: whole.scheme.clone(),
                    columns_per_task: own.columns_per_task.filter(|_| direct),
                    images_per_task: own.images_per_task.filter(|_| direct),
                    ..own.clone()
                })
            }
            (own, _) => own.clone(),
        };
        let accuracy = launch.accuracy(launch.part_of(part));
        let Self { algorithm, candidates, .. } = self.clone();
        Ok(Self { algorithm, candidates, launch, accuracy, ..own })
    }
}

/// From the last multiple of `grain` up to `range` to the next one behind it, or to `end`.
pub(crate) fn widened(range: &Range<usize>, grain: usize, end: usize) -> Range<usize> {
    range.start / grain * grain..range.end.next_multiple_of(grain).min(end)
}
