//! Columns that are read where they lie: f32 input, all taps inside, and vectors of neighbours.

use std::ops::Range;

use fearless_simd::{Simd, SimdBase};

use crate::cpu::kernels::Segments;
use crate::problem::Geometry;
use crate::{ElementType, Problem};

/// The output columns of an image that can be.
#[derive(Clone, Debug)]
pub(in crate::cpu) struct Interior<'a> {
    problem: &'a Problem,
    image: &'a [f32],
    columns: Range<usize>,
}

impl<'a> Interior<'a> {
    pub fn of<S: Simd>(problem: &'a Problem, image: &'a [u8]) -> Self {
        let g = problem.geometry();
        // A pixel of a strided row is a segment of its own.
        let vectors = g.stride.1 == 1 || g.channels >= S::f32s::LEN;
        let image = match problem.input_type() {
            ElementType::F32 if vectors => bytemuck::try_cast_slice::<u8, f32>(image).ok(),
            _ => None,
        };
        let columns = if image.is_some() { inside(g, S::f32s::LEN) } else { 0..0 };
        Self { problem, image: image.unwrap_or_default(), columns }
    }

    /// These columns, and those to both sides.
    pub fn parts(&self, g: &Geometry) -> [Range<usize>; 3] {
        let Range { start, end } = self.columns;
        [0..start, start..end, end..g.out_width]
    }

    /// Some of the columns, if all of them are among these.
    pub fn within(&self, columns: &Range<usize>) -> Option<InteriorTile<'a>> {
        let inside = self.columns.start <= columns.start && columns.end <= self.columns.end;
        let g = self.problem.geometry();
        inside.then(|| InteriorTile {
            problem: self.problem,
            image: self.image,
            from: (columns.start * g.stride.1 - g.left) * g.channels,
            reach: ((columns.len() - 1) * g.stride.1 + g.extent().1) * g.channels,
            offsets: (0..g.kernel.1).map(|j| j * g.dilation.1 * g.channels).collect(),
            segments: Segments::of(g, columns.len()),
        })
    }
}

/// A tile of such columns.
#[derive(Debug)]
pub(in crate::cpu) struct InteriorTile<'a> {
    problem: &'a Problem,
    image: &'a [f32],
    /// Where its lines start in a row, and how many scalars of it they need.
    from: usize,
    reach: usize,
    /// Where each tap column starts in a line.
    pub offsets: Vec<usize>,
    pub segments: Segments,
}

impl<'a> InteriorTile<'a> {
    /// Makes the line of rows that the border's constant stands for.
    pub fn fill(&self, constant: &mut Vec<f32>) {
        constant.clear();
        constant.resize(self.reach, self.problem.border().constant().unwrap_or(0.0));
    }

    /// The line of row `row` of the continued input.
    #[inline(always)]
    pub fn line<'b>(&self, row: isize, constant: &'b [f32]) -> &'b [f32]
    where
        'a: 'b,
    {
        let g = self.problem.geometry();
        match self.problem.border().index(row, g.height) {
            Some(row) => &self.image[row * g.row()..(row + 1) * g.row()][self.from..],
            None => constant,
        }
    }
}

/// Output columns whose taps all lie inside the input, but for those that make edges a vector wide.
fn inside(g: &Geometry, lanes: usize) -> Range<usize> {
    let (stride, extent) = (g.stride.1, g.extent().1);
    let first = g.left.div_ceil(stride);
    let end = match (g.width + g.left).checked_sub(extent) {
        Some(room) => (room / stride + 1).min(g.out_width),
        None => 0,
    };
    let vector = lanes.div_ceil(g.channels);
    let first = if first == 0 { 0 } else { first.max(vector) };
    let end = if end < g.out_width { end.min(g.out_width.saturating_sub(vector)) } else { end };
    if first < end { first..end } else { 0..0 }
}
