//! Outputs that gather what they were read for: how far that goes along an axis, and where alone it is needed.
//!
//! The adjoint of a convolution with stride 1 and one filter is a convolution but for the pixels that its
//! border continued, a frame along its sides; only those gather. With a stride or several filters a GPU makes all
//! else phase by phase.

use std::ops::Range;

use super::cost::{GpuCost, Traffic};
use super::limits::{CpuLimits, GpuLimits, Machine};
use crate::problem::Geometry;
use crate::{Border, Problem, Sides};

/// Some rows and columns of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rectangle {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

/// An axis of a problem that gathers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    input: usize,
    output: usize,
    stride: usize,
    extent: usize,
    before: usize,
}

/// Turns of the loops of an axis in `shaders/place_adjoint.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loops {
    pub places: u64,
    pub taps: u64,
}

impl Axis {
    pub fn rows(g: &Geometry) -> Self {
        let extent = g.extent().0;
        let (input, output) = (g.height, g.out_height);
        Self { input, output, stride: g.stride.0, extent, before: g.top }
    }

    pub fn columns(g: &Geometry) -> Self {
        let extent = g.extent().1;
        let (input, output) = (g.width, g.out_width);
        Self { input, output, stride: g.stride.1, extent, before: g.left }
    }

    /// Padded places: where the last tap of the last input ends, counted from the first of the first.
    fn end(&self) -> usize {
        (self.input - 1) * self.stride + self.extent
    }

    fn after(&self) -> usize {
        self.end().saturating_sub(self.before + self.output)
    }

    /// The inputs whose taps meet padded places `first` to `last`.
    fn met(&self, first: usize, last: usize) -> Range<usize> {
        let from = (first + 1).saturating_sub(self.extent).div_ceil(self.stride);
        from..(last / self.stride + 1).min(self.input)
    }

    /// The most that an output of the shader goes through: continued places, and taps in all of them.
    pub fn loops(&self, taps: usize, dilation: usize, border: Sides) -> Loops {
        match border.single() {
            Some(border) => self.loops_of(taps, dilation, border),
            // Each side's, which the shader goes through one after the other.
            None => {
                let [one, other] = [border.before, border.after]
                    .map(|border| self.loops_of(taps, dilation, border));
                Loops {
                    places: one.places + other.places,
                    taps: one.taps.saturating_add(other.taps),
                }
            }
        }
    }

    fn loops_of(&self, taps: usize, dilation: usize, border: Border) -> Loops {
        let Self { input, output, stride, before, .. } = *self;
        let (last, end) = ((input - 1) * stride, self.end());
        // Twin of `taps` in `shaders/place_adjoint.wgsl`.
        let met = |place: usize| {
            let first = place.saturating_sub(last).div_ceil(dilation);
            (taps.min(place / dilation + 1)).saturating_sub(first) as u64
        };
        let all = |places: usize| {
            let places = places as u64;
            Loops { places, taps: places.saturating_mul(taps as u64) }
        };
        let beyond = before + self.after();
        match border {
            Border::Constant(_) => all(1),
            // Long padding is not counted place by place.
            Border::Replicate if output == 1 || beyond > 1 << 12 => all(1 + beyond),
            Border::Replicate => {
                let high = (before + output - 1).min(end);
                let sides = [0..before + 1, high..end]
                    .map(|side| Loops { places: side.len() as u64, taps: side.map(met).sum() });
                let [low, high] = sides;
                Loops {
                    places: low.places.max(high.places),
                    taps: low.taps.max(high.taps).max(taps as u64),
                }
            }
            Border::Reflect | Border::Reflect101 | Border::Wrap => {
                all(1 + 2 * beyond.div_ceil(output))
            }
        }
    }

    /// The outputs that the places before the first one, and after the last, continue.
    fn continued(&self, border: Sides) -> [Range<usize>; 2] {
        let Self { output, before, .. } = *self;
        let after = self.after();
        let low = match border.before {
            Border::Constant(_) => 0..0,
            _ if before == 0 => 0..0,
            // Further than once round, they may be any.
            _ if before >= output => 0..output,
            Border::Replicate => 0..1,
            Border::Reflect | Border::Reflect101 => 0..(before + 1).min(output),
            Border::Wrap => output - before..output,
        };
        let high = match border.after {
            Border::Constant(_) => 0..0,
            _ if after == 0 => 0..0,
            _ if after >= output => 0..output,
            Border::Replicate => output - 1..output,
            Border::Reflect | Border::Reflect101 => output.saturating_sub(after + 1)..output,
            Border::Wrap => 0..after,
        };
        [low, high]
    }

    /// The inputs that outputs `out` gather.
    pub fn gathered(&self, out: &Range<usize>, border: Sides) -> Range<usize> {
        let reaches =
            |at: &Range<usize>| !at.is_empty() && at.start < out.end && out.start < at.end;
        let [low, high] = self.continued(border);
        let mut spans = vec![self.met(self.before + out.start, self.before + out.end - 1)];
        if reaches(&low) {
            spans.push(self.met(0, self.before - 1));
        }
        if reaches(&high) {
            spans.push(self.met(self.before + self.output, self.end() - 1));
        }
        let spans = spans.into_iter().filter(|span| !span.is_empty());
        spans.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..1)
    }

    /// The outputs that no place of the padding continues: what it does continue begins or ends the axis.
    fn kept(&self, border: Sides) -> Range<usize> {
        let continued = self.continued(border).into_iter().filter(|range| !range.is_empty());
        let kept = continued.fold(0..self.output, |kept, range| match range.start {
            0 => kept.start.max(range.end)..kept.end,
            start => kept.start..kept.end.min(start),
        });
        if kept.is_empty() { self.output..self.output } else { kept }
    }
}

/// Loop iterations of `place` in `shaders/place_adjoint.wgsl`.
pub(super) fn iterations(problem: &Problem) -> u64 {
    let g = problem.geometry();
    let rows = Axis::rows(g).loops(g.kernel.0, g.dilation.0, problem.border().rows());
    let columns = Axis::columns(g).loops(g.kernel.1, g.dilation.1, problem.border().columns());
    let each = columns.taps.saturating_mul(problem.weights().filters as u64 + 1);
    let row = each.saturating_add(columns.places + 3);
    rows.taps.saturating_mul(row).saturating_add(rows.places + 3)
}

/// The pixels that padding continues, in rectangles that do not overlap.
pub(crate) fn edges(problem: &Problem) -> Vec<Rectangle> {
    let g = problem.geometry();
    let Rectangle { rows, columns } = kept(problem);
    let (height, width) = (g.out_height, g.out_width);
    let all = [
        (0..rows.start, 0..width),
        (rows.end..height, 0..width),
        (rows.clone(), 0..columns.start),
        (rows, columns.end..width),
    ];
    let all = all.into_iter().map(|(rows, columns)| Rectangle { rows, columns });
    all.filter(|at| !at.rows.is_empty() && !at.columns.is_empty()).collect()
}

/// The pixels that padding continues nowhere.
pub(super) fn kept(problem: &Problem) -> Rectangle {
    let g = problem.geometry();
    Rectangle {
        rows: Axis::rows(g).kept(problem.border().rows()),
        columns: Axis::columns(g).kept(problem.border().columns()),
    }
}

/// Taps that `direct` makes on a GPU in the time in which so many outputs gather so many: each looks for its
/// places first, and goes from tap to tap by divisions. With llvmpipe gathering took 10 to 70 times as long as
/// going phase by phase, whose time is predicted well; estimates for hardware.
pub(super) fn as_taps(outputs: f64, taps: f64) -> f64 {
    30.0 * outputs + 3.0 * taps
}

/// Outputs at the edges and multiply-adds of gathering them, or why that is not done.
fn sums(problem: &Problem) -> Result<(f64, f64), String> {
    let g = problem.geometry();
    let pixels: usize = edges(problem).iter().map(|at| at.rows.len() * at.columns.len()).sum();
    if 2 * pixels > g.out_height * g.out_width {
        return Err("what the border continues is half of the output or more".into());
    }
    let taps = problem.weights().taps.len();
    // More than 32 bits can hold, where that is what a number has.
    let outputs: f64 = [pixels, g.images, g.channels].iter().map(|n| *n as f64).product();
    Ok((outputs, outputs * taps as f64))
}

/// Microseconds to gather what an algorithm leaves that makes the rest, or why none does.
pub(super) fn beside(problem: &Problem, machine: &Machine) -> Result<f64, String> {
    match machine {
        _ if !problem.has_edges() => Err(
            "the adjoint of a stride or of several filters is made by direct, and on a GPU by flat"
                .into(),
        ),
        Machine::Cpu(_) if problem.double().is_some() => {
            Err("sums in f64 of what a border continues are made by direct".into())
        }
        Machine::Cpu(limits) => cpu(problem, limits),
        Machine::Gpu(limits, _) => gpu(problem, limits),
    }
}

/// Microseconds to gather the edges on the CPU, or why that is not done.
fn cpu(problem: &Problem, limits: &CpuLimits) -> Result<f64, String> {
    let (_, taps) = sums(problem)?;
    Ok(taps / (5100.0 * limits.lanes as f64) / limits.threads.max(1) as f64)
}

/// The same on a GPU.
pub(super) fn gpu(problem: &Problem, limits: &GpuLimits) -> Result<f64, String> {
    let g = problem.geometry();
    let word = problem.store().lanes();
    if word > 1 && (g.planar || !g.channels.is_multiple_of(word)) {
        return Err("edges share words of the output with what is not gathered".into());
    }
    let turns = iterations(problem) + 1;
    limits.check_iterations(turns.saturating_mul(word as u64))?;
    let cost = GpuCost::of(limits);
    let (outputs, taps) = sums(problem)?;
    Ok(as_taps(outputs, taps) / cost.taps + cost.of_passes(&[Traffic::default()]))
}
