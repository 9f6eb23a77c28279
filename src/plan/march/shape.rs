//! What the text of a `march` shader depends on.

use super::{March, VECTOR};
use crate::Problem;

/// Everything about a problem that the text of its shader is written for; the rest is parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MarchShape {
    /// Neighbouring scalars of a lane.
    pub scalars: u32,
    /// Output rows of a block, their distance, and rows of taps between two that read the same.
    pub rows: u32,
    pub spacing: u32,
    pub phases: u32,
    pub channels: u32,
    /// Rows and columns of taps.
    pub kernel: (u32, u32),
    /// Of columns.
    pub stride: u32,
    pub dilation: u32,
    pub left: u32,
    pub filters: u32,
    /// Outputs of a channel: of the pointwise step, where one follows.
    pub outputs: u32,
    pub follows: bool,
    /// Whether sums are multiplied and biased.
    pub affine: bool,
    /// Whether every output of a channel is a plane.
    pub planar: bool,
    /// What the device does with half floats.
    pub halves: Halves,
}

/// Which conversions between half floats and f32 a device makes as the host does: subnormal numbers kept, and
/// rounded half to even. WGSL promises neither, so what a device does is seen before it is asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Halves {
    /// `unpack2x16float`.
    pub unpacks: bool,
    /// `pack2x16float`.
    pub packs: bool,
}

/// Where in the source a lane begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Along {
    /// Where it begins in the output: without a stride.
    Row,
    /// At a part of a pixel, of so many lanes.
    Part(u32),
    /// At whole pixels.
    Pixels,
}

impl MarchShape {
    pub fn of(problem: &Problem, march: &March) -> Self {
        let g = problem.geometry();
        Self {
            scalars: march.scalars,
            rows: march.rows,
            spacing: march.spacing,
            phases: march.phases,
            // Nothing is made of none, by whatever text.
            channels: g.channels.max(1) as u32,
            kernel: (g.kernel.0 as u32, g.kernel.1 as u32),
            stride: g.stride.1 as u32,
            dilation: g.dilation.1 as u32,
            left: g.left as u32,
            filters: problem.weights().filters as u32,
            outputs: g.outputs as u32,
            follows: problem.weights().follow.is_some(),
            affine: march.affine,
            planar: g.planar,
            halves: Halves::default(),
        }
    }

    pub fn along(&self) -> Along {
        if self.stride == 1 {
            Along::Row
        } else if self.channels > self.scalars {
            Along::Part(self.channels / self.scalars)
        } else if self.channels == self.scalars {
            Along::Part(1)
        } else {
            Along::Pixels
        }
    }

    /// Scalars of the source before the one that lane `x` begins at, of column `column` of the output where its
    /// row begins.
    pub fn begins(&self, x: usize, column: usize) -> usize {
        let [scalars, channels, stride] =
            [self.scalars, self.channels, self.stride].map(|n| n as usize);
        match self.along() {
            Along::Row => column * channels + x * scalars,
            Along::Part(lanes) => {
                let lanes = lanes as usize;
                (column + x / lanes) * stride * channels + x % lanes * scalars
            }
            Along::Pixels => (column + x * (scalars / channels)) * stride * channels,
        }
    }

    /// Scalars from where a lane begins to what tap column `tap` of its scalar `scalar` reads.
    pub fn offset(&self, scalar: u32, tap: u32) -> i64 {
        let [channels, stride] = [self.channels, self.stride].map(i64::from);
        let scalar = i64::from(scalar);
        let at = match self.along() {
            Along::Row | Along::Part(_) => scalar,
            Along::Pixels => scalar / channels * stride * channels + scalar % channels,
        };
        at + (i64::from(tap) * i64::from(self.dilation) - i64::from(self.left)) * channels
    }

    /// The first and the last of them.
    pub fn reach(&self) -> (i64, i64) {
        (self.offset(0, 0), self.offset(self.scalars - 1, self.kernel.1 - 1))
    }

    /// Groups of four scalars, counted from where a lane begins, that any tap touches; in order.
    pub fn quads(&self) -> Vec<i64> {
        self.touched(4)
    }

    /// The same of vectors of so many scalars.
    pub fn vectors(&self, scalars: usize) -> Vec<i64> {
        self.touched(scalars as i64)
    }

    fn touched(&self, scalars: i64) -> Vec<i64> {
        let taps = (0..self.kernel.1).flat_map(|tap| (0..self.scalars).map(move |s| (s, tap)));
        let mut all: Vec<i64> =
            taps.map(|(scalar, tap)| self.offset(scalar, tap).div_euclid(scalars)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Source rows of a block.
    pub fn source_rows(&self) -> usize {
        (self.kernel.0 + self.phases.min(self.kernel.0) * (self.rows - 1)) as usize
    }

    /// Vectors of four sums a filter and row.
    pub fn quads_of_sums(&self) -> u32 {
        self.scalars / 4
    }

    /// Vectors of four that a row of taps fills in the uniform buffer.
    pub fn tap_row(&self) -> u32 {
        self.kernel.1.div_ceil(4)
    }

    /// Where in it a tap stands, in scalars.
    pub fn tap(&self, filter: u32, row: u32, column: u32) -> u32 {
        (filter * self.kernel.0 + row) * 4 * self.tap_row() + column
    }

    /// Where behind the taps stand: the biases; what sums are multiplied with before; and of a pointwise step
    /// weights `[filters, outputs]` and biases.
    pub fn bias(&self) -> u32 {
        self.tap(self.filters, 0, 0)
    }

    pub fn scale(&self) -> u32 {
        self.bias() + self.filters
    }

    pub fn matrix(&self) -> u32 {
        self.scale() + 1
    }

    /// Vectors of four in all.
    pub fn weights(&self) -> u32 {
        let follow = if self.follows { self.filters * self.outputs + self.outputs } else { 0 };
        (self.matrix() + follow).div_ceil(4)
    }

    /// Vectors of output that a lane stores for a row, in one plane; of scalars of so many bytes.
    pub fn stores(&self, bytes: usize) -> u32 {
        let together = if self.planar { 1 } else { self.outputs };
        self.scalars * together * bytes as u32 / VECTOR as u32
    }
}
