//! Tiles of two planes: what two channels, or two parts of one, hold, as the real and the imaginary part of
//! complex numbers, and their transforms.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use crate::element::with_type;
use crate::plan::tile_outputs;
use crate::problem::Geometry;
use crate::{Element, Problem};

/// What tiles of one size are transformed by. Columns are transformed as rows of the transposed tile.
#[derive(Clone)]
pub(super) struct Transform {
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

    /// Room that transforms need.
    pub fn room(&self) -> Vec<Complex<f32>> {
        vec![Complex::default(); self.scratch]
    }

    /// Puts into `tile` what some output rows meet of two planes, or of one, and tells how many rows of it
    /// that takes.
    pub fn load(
        &self,
        problem: &Problem,
        image: &[u8],
        rows: &Range<usize>,
        pair: &[Plane],
        tile: &mut [Complex<f32>],
    ) -> usize {
        let g = problem.geometry();
        let read = (rows.len() - 1) * g.stride.0 + g.extent().0;
        tile.fill(Complex::default());
        fill(
            pair,
            #[inline(always)]
            |plane, parts| {
                let lines = tile.chunks_exact_mut(self.tile.1).take(read);
                with_type!(problem.input_type(), T => {
                    load::<T>(problem, image, rows.start, plane, lines, parts);
                });
            },
        );
        read
    }

    /// Transforms `tile` `[rows, columns]`, which holds zeros behind the first `rows`, into `turned`
    /// `[columns, rows]`.
    pub fn there(
        &self,
        tile: &mut [Complex<f32>],
        rows: usize,
        turned: &mut [Complex<f32>],
        room: &mut [Complex<f32>],
    ) {
        self.along_rows[0].process_with_scratch(&mut tile[..rows * self.tile.1], room);
        transpose::transpose(tile, turned, self.tile.1, self.tile.0);
        self.along_columns[0].process_with_scratch(turned, room);
    }

    /// The way back, for the first `rows`, times the number of places.
    pub fn back(
        &self,
        turned: &mut [Complex<f32>],
        tile: &mut [Complex<f32>],
        rows: usize,
        room: &mut [Complex<f32>],
    ) {
        self.along_columns[1].process_with_scratch(turned, room);
        transpose::transpose(turned, tile, self.tile.0, self.tile.1);
        self.along_rows[1].process_with_scratch(&mut tile[..rows * self.tile.1], room);
    }

    /// The planes of some rows of an image.
    pub fn planes(&self, g: &Geometry) -> Vec<Plane> {
        let valid = tile_outputs(self.tile.1, g.extent().1, g.stride.1).max(1);
        let starts = (0..g.out_width).step_by(valid);
        let planes = starts.flat_map(|first| {
            let columns = valid.min(g.out_width - first);
            (0..g.channels).map(move |channel| Plane { first, columns, channel })
        });
        planes.collect()
    }
}

/// A channel of some output columns.
#[derive(Clone, Copy)]
pub(super) struct Plane {
    /// First output column, and how many.
    pub first: usize,
    pub columns: usize,
    pub channel: usize,
}

/// What is set of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    Real,
    Imaginary,
    /// Of the plane's channel and the one behind it, so that pixels are gone through once.
    Both,
}

impl Parts {
    /// Channels from what becomes the first part to what becomes the second.
    pub fn apart(self) -> usize {
        usize::from(self == Self::Both)
    }

    #[inline(always)]
    pub fn set(self, at: &mut Complex<f32>, first: f32, second: f32) {
        match self {
            Self::Real => at.re = first,
            Self::Imaginary => at.im = first,
            Self::Both => *at = Complex { re: first, im: second },
        }
    }
}

/// Calls `load` for the planes of a tile, once for two that are neighbours.
#[inline(always)]
pub(super) fn fill(pair: &[Plane], mut load: impl FnMut(&Plane, Parts)) {
    match pair {
        [a, b] if a.first == b.first && a.channel + 1 == b.channel => load(a, Parts::Both),
        _ => pair.iter().zip([Parts::Real, Parts::Imaginary]).for_each(|(p, part)| load(p, part)),
    }
}

/// What output rows from `first_row` on meet of a plane, into the lines of a tile.
fn load<'a, T: Element>(
    problem: &Problem,
    image: &[u8],
    first_row: usize,
    plane: &Plane,
    lines: impl Iterator<Item = &'a mut [Complex<f32>]>,
    parts: Parts,
) {
    let g = problem.geometry();
    let image = bytemuck::cast_slice::<u8, T>(image);
    let border = problem.border();
    let fill = border.constant().unwrap_or(0.0);
    let left = g.first_column(plane.first);
    let needed = (plane.columns - 1) * g.stride.1 + g.extent().1;
    // Columns inside the input, and the others.
    let from = left.min(0).unsigned_abs().min(needed);
    let to = usize::try_from(g.width as isize - left).unwrap_or(0).clamp(from, needed);
    let (c, next) = (plane.channel, plane.channel + parts.apart());
    let set = |at: &mut Complex<f32>, pixel: &[T]| {
        parts.set(at, Element::to_f32(pixel[c]), Element::to_f32(pixel[next]));
    };
    for (i, line) in lines.enumerate() {
        let row = border.index(g.first_row(first_row) + i as isize, g.height);
        let Some(row) = row else {
            line[..needed].iter_mut().for_each(|at| parts.set(at, fill, fill));
            continue;
        };
        let row = &image[row * g.row()..(row + 1) * g.row()];
        if from < to {
            let start = (left + from as isize) as usize * g.channels;
            let pixels = row[start..].chunks_exact(g.channels);
            line[from..to].iter_mut().zip(pixels).for_each(|(at, pixel)| set(at, pixel));
        }
        for j in (0..from).chain(to..needed) {
            match border.index(left + j as isize, g.width) {
                Some(column) => set(&mut line[j], &row[column * g.channels..]),
                None => parts.set(&mut line[j], fill, fill),
            }
        }
    }
}
