//! What a border continued of a band of an adjoint: a frame, which a GPU gathers in one pass.

use std::ops::Range;

use super::bands::Band;
use super::gather::{Rectangle, kept};
use crate::Problem;

/// The frame, its rows and columns counted from the band's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edges {
    /// All rows before the first of these, and from the second on.
    pub rows: (usize, usize),
    /// Of the rows between, all columns before the first of these, and from the second on.
    pub columns: (usize, usize),
    /// Pixels of an image in it.
    pixels: usize,
}

impl Edges {
    pub fn of(problem: &Problem, band: &Band) -> Self {
        let within = |kept: Range<usize>, band: &Range<usize>| {
            let at = |n: usize| n.clamp(band.start, band.end) - band.start;
            (at(kept.start), at(kept.end))
        };
        let Rectangle { rows, columns } = kept(problem);
        let (rows, columns) = (within(rows, &band.rows), within(columns, &band.columns));
        let between = (rows.1 - rows.0) * (columns.1 - columns.0);
        Self { rows, columns, pixels: band.rows.len() * band.columns.len() - between }
    }

    /// Scalars in it.
    pub fn scalars(&self, problem: &Problem, band: &Band) -> usize {
        band.images.len() * self.pixels * problem.geometry().channels
    }

    /// Words in it: those of packed outputs hold channels of one pixel.
    pub fn words(&self, problem: &Problem, band: &Band) -> usize {
        self.scalars(problem, band) / problem.store().lanes()
    }
}
