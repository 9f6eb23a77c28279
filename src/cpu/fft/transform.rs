//! Transforms of tiles by rustfft: along rows where these lie, along columns in a turned copy whose columns
//! lie one after the other.
//!
//! ```text
//! 8 rows, loaded and transformed in L1  --turned-->  |  each column in L1: transformed, times the
//! 8 rows, transformed in L1 and stored  <--turned--  |  spectrum, transformed back
//! ```
//!
//! So a turned tile goes through the second cache three times: as rows come in, as columns are worked on, as
//! rows go out.

use std::fmt;
use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use crate::memory::{self, NoRoom};

/// Rows that are transformed and turned at once: eight complex numbers fill a cache line of 64 bytes, and
/// the rows stay in the first cache.
pub(in crate::cpu) const LINES: usize = 8;
/// Points between one column's end and the next: without them the columns of a tile of 2^n rows would
/// all fall into the same few sets of a cache.
const APART: usize = LINES;

/// What tiles of one size are transformed by.
#[derive(Clone)]
pub(in crate::cpu) struct Transform {
    /// Rows and columns of a tile.
    pub tile: (usize, usize),
    /// There and back.
    along_rows: [Arc<dyn Fft<f32>>; 2],
    along_columns: [Arc<dyn Fft<f32>>; 2],
    scratch: usize,
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transform").field("tile", &self.tile).finish_non_exhaustive()
    }
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu) enum Way {
    There,
    Back,
}

/// Buffers of a worker, kept from tile to tile.
#[derive(Debug)]
pub(in crate::cpu) struct Room<'a> {
    /// [`LINES`] rows.
    lines: &'a mut [Complex<f32>],
    /// What rustfft asks for.
    scratch: &'a mut [Complex<f32>],
}

impl Transform {
    pub fn new(tile: (usize, usize)) -> Self {
        let (rows, columns) = tile;
        let mut planner = FftPlanner::new();
        let mut both = |n| [planner.plan_fft_forward(n), planner.plan_fft_inverse(n)];
        let (along_rows, along_columns) = (both(columns), both(rows));
        let needs = along_rows.iter().chain(&along_columns);
        let scratch = needs.map(|fft| fft.get_inplace_scratch_len()).max().unwrap_or(0);
        Self { tile, along_rows, along_columns, scratch }
    }

    /// Places of a tile.
    pub fn points(&self) -> usize {
        self.tile.0 * self.tile.1
    }

    /// Points from column to column of a turned tile.
    pub fn pitch(&self) -> usize {
        self.tile.0 + APART
    }

    /// Points of a turned tile.
    pub fn turned(&self) -> usize {
        self.tile.1 * self.pitch()
    }

    /// Column `j` of a turned tile.
    pub fn column<'a>(&self, j: usize, turned: &'a mut [Complex<f32>]) -> &'a mut [Complex<f32>] {
        &mut turned[j * self.pitch()..][..self.tile.0]
    }

    /// Transforms a column in place.
    pub fn along_column(&self, way: Way, column: &mut [Complex<f32>], room: &mut Room<'_>) {
        self.along_columns[way as usize].process_with_scratch(column, room.scratch);
    }

    /// Room in these buffers.
    pub fn room<'a>(
        &self,
        lines: &'a mut Vec<Complex<f32>>,
        scratch: &'a mut Vec<Complex<f32>>,
    ) -> Result<Room<'a>, NoRoom> {
        let rows = LINES * self.tile.1;
        memory::resize("rows of a transform", lines, rows, Complex::default())?;
        memory::resize("room of a transform", scratch, self.scratch, Complex::default())?;
        Ok(Room { lines, scratch })
    }

    /// `some` of the lines in `room`, to be filled with all their columns.
    pub fn lines<'a>(&self, some: usize, room: &'a mut Room<'_>) -> &'a mut [Complex<f32>] {
        &mut room.lines[..some * self.tile.1]
    }

    /// Transforms so many lines, and turns them into a tile as its rows from `first` on.
    pub fn turn_in(
        &self,
        (first, some): (usize, usize),
        turned: &mut [Complex<f32>],
        room: &mut Room<'_>,
    ) {
        let lines = &mut room.lines[..some * self.tile.1];
        self.along_rows[Way::There as usize].process_with_scratch(lines, room.scratch);
        let mut lines = lines.chunks_exact(self.tile.1);
        let lines: [&[_]; LINES] = std::array::from_fn(|_| lines.next().unwrap_or_default());
        for (j, column) in turned.chunks_exact_mut(self.pitch()).enumerate() {
            let to = &mut column[first..first + some];
            match <&mut [_; LINES]>::try_from(&mut *to) {
                Ok(to) => *to = std::array::from_fn(|i| lines[i][j]),
                Err(_) => to.iter_mut().zip(lines).for_each(|(to, line)| *to = line[j]),
            }
        }
    }

    /// Turns so many rows of a tile, `step` apart from `first` on, out into lines, and transforms these
    /// back.
    pub fn turn_out<'a>(
        &self,
        (first, some, step): (usize, usize, usize),
        turned: &[Complex<f32>],
        room: &'a mut Room<'_>,
    ) -> impl Iterator<Item = &'a [Complex<f32>]> {
        let columns = self.tile.1;
        let lines = &mut room.lines[..some * columns];
        let mut each = lines.chunks_exact_mut(columns);
        let mut each: [&mut [_]; LINES] = std::array::from_fn(|_| each.next().unwrap_or_default());
        for (j, column) in turned.chunks_exact(self.pitch()).enumerate() {
            let from = &column[first..];
            match from.first_chunk::<LINES>() {
                Some(from) if step == 1 && some == LINES => {
                    for (line, value) in each.iter_mut().zip(from) {
                        line[j] = *value;
                    }
                }
                _ => {
                    let from = from.iter().step_by(step).take(some);
                    each.iter_mut().zip(from).for_each(|(line, value)| line[j] = *value);
                }
            }
        }
        self.along_rows[Way::Back as usize].process_with_scratch(lines, room.scratch);
        lines.chunks_exact(columns)
    }
}

/// Numbers below `count` in runs of [`LINES`] at most: the first of each run, and how many.
pub(in crate::cpu) fn blocks(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).step_by(LINES).map(move |first| (first, LINES.min(count - first)))
}
