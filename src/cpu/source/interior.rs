//! Columns that are read where they lie: of a type that micro-kernels read, all taps inside, and vectors of
//! neighbours.

use std::marker::PhantomData;
use std::ops::Range;

use fearless_simd::{Simd, SimdBase};

use super::Image;
use crate::Problem;
use crate::cpu::kernels::{self, Segments};
use crate::cpu::raw::Scalar;
use crate::memory::{self, NoRoom};
use crate::problem::Geometry;

/// The output columns of an image that can be.
#[derive(Clone, Debug)]
pub(in crate::cpu) struct Interior<'a, T = f32> {
    problem: &'a Problem,
    image: Image<'a>,
    columns: Range<usize>,
    scalars: PhantomData<T>,
}

impl<'a, T: Scalar> Interior<'a, T> {
    pub fn of<S: Simd>(problem: &'a Problem, image: Image<'a>) -> Self {
        let g = problem.geometry();
        // A pixel of a strided row is a segment of its own.
        let least = if T::IS_F32 { S::f32s::LEN } else { kernels::places_at_once::<S>() };
        let vectors = g.stride.1 == 1 || g.channels >= least;
        let constant = problem.border().constant().map(|constant| constant as f32);
        // Rows of the border's constant are scalars like others.
        let whole = constant.is_none_or(|constant| T::from_f32(constant).to_f32() == constant);
        let readable = problem.input_type() == T::TYPE && vectors && whole;
        // What fills no block would be copied for each.
        let fills = |columns: &Range<usize>| T::IS_F32 || columns.len() * g.channels >= least;
        let columns = if readable { inside(g, S::f32s::LEN) } else { 0..0 };
        let columns = if fills(&columns) { columns } else { 0..0 };
        Self { problem, image, columns, scalars: PhantomData }
    }

    /// These columns, and those to both sides.
    pub fn parts(&self, g: &Geometry) -> [Range<usize>; 3] {
        let Range { start, end } = self.columns;
        [0..start, start..end, end..g.out_width]
    }

    /// Some of the columns, if all of them are among these.
    pub fn within(&self, columns: &Range<usize>) -> Option<InteriorTile<'a, T>> {
        let inside = self.columns.start <= columns.start && columns.end <= self.columns.end;
        let g = self.problem.geometry();
        inside.then(|| InteriorTile {
            problem: self.problem,
            image: self.image,
            from: (columns.start * g.stride.1 - g.left) * g.channels,
            reach: ((columns.len() - 1) * g.stride.1 + g.extent().1) * g.channels,
            offsets: (0..g.kernel.1).map(|j| j * g.dilation.1 * g.channels).collect(),
            segments: Segments::of(g, columns.len()),
            scalars: PhantomData,
        })
    }
}

/// A tile of such columns.
#[derive(Debug)]
pub(in crate::cpu) struct InteriorTile<'a, T = f32> {
    problem: &'a Problem,
    image: Image<'a>,
    /// Where its lines start in a row, and how many scalars of it they need.
    from: usize,
    reach: usize,
    /// Where each tap column starts in a line.
    pub offsets: Vec<usize>,
    pub segments: Segments,
    scalars: PhantomData<T>,
}

impl<'a, T: Scalar> InteriorTile<'a, T> {
    /// Makes the line of rows that the border's constant stands for.
    pub fn fill(&self, constant: &mut Vec<T>) -> Result<(), NoRoom> {
        constant.clear();
        let value = T::from_f32(self.problem.border().fill());
        memory::resize("a row of the border's constant", constant, self.reach, value)
    }

    /// Scalars of a line that are needed.
    pub fn reach(&self) -> usize {
        self.reach
    }

    /// The line of row `row`, where it lies inside.
    #[inline(always)]
    pub fn row(&self, row: isize) -> Option<&'a [T]> {
        let g = self.problem.geometry();
        let row = usize::try_from(row).ok().filter(|row| *row < g.height)?;
        Some(&self.image.row(row)[self.from..])
    }

    /// The line of row `row` of the continued input.
    #[inline(always)]
    pub fn line<'b>(&self, row: isize, constant: &'b [T]) -> &'b [T]
    where
        'a: 'b,
    {
        let g = self.problem.geometry();
        match self.problem.border().rows().index(row, g.height) {
            Some(row) => &self.image.row(row)[self.from..],
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
