//! Transforms of tiles times the kernel's spectrum (overlap-save), two planes of real numbers in one
//! complex tile.
//!
//! The kernel is real, so of planes `a` and `b` the product of the transform of `a + ib` with its
//! spectrum, transformed back, is `a * k + i (b * k)`. Planes are channels and tiles of a unit.
//!
//! Tiles begin at multiples of the plan's rows and columns of outputs, and which two planes share one is a
//! matter of these alone: threads only decide who computes which, so they change no bit.
//!
//! A number that is not finite, or so large that sums of a tile may overflow, would spread over all of
//! it. Tiles are searched for such numbers while their rows lie in the first cache, and those that hold
//! one are left to `direct`.

mod planes;
mod transform;
mod units;

use fearless_simd::Simd;
use rustfft::num_complex::Complex;

use super::Cpu;
use super::scratch::Scratch;
use super::sink::{self, Sink};
use super::source::{Image, Input};
use super::task::Rows;
use crate::Problem;
use crate::element::with_f32_type;
use crate::kernel::spectrum;
use crate::memory::{self, NoRoom};
use crate::plan::Rectangle;
pub(super) use planes::{Parts, Plane, each, list_of_planes, load};
use planes::{unload, within};
use transform::Room;
pub(super) use transform::{Transform, Way, blocks};
pub(super) use units::Unit;

/// What tiles are called where there is no memory for them.
pub(super) const TILES: &str = "tiles of transforms";

/// Bytes of the tiles that are worked on together: a second cache, or a part of the third.
const BATCH: usize = 1 << 20;

/// What a plan's tiles are transformed by, and multiplied with.
#[derive(Clone, Debug)]
pub(crate) struct Transforms {
    transform: Transform,
    /// Output rows and columns of a tile.
    outputs: (usize, usize),
    /// `[filters, columns, rows]`.
    spectra: Vec<Complex<f32>>,
    /// The largest magnitude of which no sum of a tile overflows.
    limit: f32,
}

/// Outputs that a transform cannot make, since an input of their tile is not finite or too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub image: usize,
    pub rectangle: Rectangle,
}

impl Transforms {
    pub fn new(
        problem: &Problem,
        tile: (usize, usize),
        outputs: (usize, usize),
    ) -> Result<Self, NoRoom> {
        let (rows, columns) = tile;
        let g = problem.geometry();
        let (kh, kw) = g.kernel;
        let count = problem.weights().filters * rows * columns;
        let mut spectra = memory::with_capacity("the spectra of a kernel", count)?;
        let mut gain = 1.0f64;
        for taps in problem.weights().taps.chunks(kh * kw) {
            let all = spectrum(taps, kw, g.dilation, [rows, columns])?;
            for j in 0..columns {
                spectra.extend((0..rows).map(|i| {
                    let [re, im] = all[i * columns + j];
                    Complex { re, im }
                }));
            }
            gain = gain.max(taps.iter().map(|k| f64::from(k.abs())).sum());
        }
        // Of two planes no sum on the way there is larger than twice the points times the largest number,
        // and none on the way back than that times the sum of the taps' magnitudes. Twice that, for
        // steps within a transform that add up more before they turn it.
        let points = (rows * columns) as f64;
        let limit = (f64::from(f32::MAX) / (4.0 * points * gain)) as f32;
        Ok(Self { transform: Transform::new(tile), outputs, spectra, limit })
    }
}

impl Cpu {
    /// Computes `problem` by transforms, and tells what outputs are left to another algorithm.
    pub(super) fn transform(
        &self,
        problem: &Problem,
        transforms: &Transforms,
        src: Input<'_>,
        dst: &mut [u8],
    ) -> Result<Vec<Left>, NoRoom> {
        let units = units::units(problem, transforms.outputs, dst)?;
        let all = self.map(units, |scratch, mut unit| {
            self.simd.transform(problem, transforms, src, &mut unit, scratch)
        })?;
        Ok(all.into_iter().flatten().collect())
    }
}

/// Computes a unit, and tells which of its tiles it did not.
#[inline(always)]
pub(super) fn run<S: Simd>(
    simd: S,
    problem: &Problem,
    transforms: &Transforms,
    src: Input<'_>,
    unit: &mut Unit<'_>,
    scratch: &mut Scratch,
) -> Result<Vec<Left>, NoRoom> {
    let g = problem.geometry();
    let weights = problem.weights();
    let Transforms { transform, outputs: (_, wide), .. } = transforms;
    let Scratch { tiles: [input, product, _, lines, room], staged, sums, .. } = scratch;
    let room = &mut transform.room(lines, room)?;
    let flat = unit.columns.len() * g.channels;
    // Sums [filters, rows, flat row], unless they are made where outputs lie.
    let in_place = sink::in_place(problem);
    let len = if in_place { 0 } else { weights.filters * unit.rows.len() * flat };
    memory::resize("sums of tiles", sums, len, 0.0)?;
    let tile = Tile { problem, transforms, image: Image::new(problem, src, unit.image) };

    // First columns of tiles that hold what would spread.
    let mut left: Vec<usize> = Vec::new();
    let mut planes = list_of_planes(unit.columns.clone(), *wide, g.channels)?;
    let batch = 2 * (BATCH / (transform.turned() * size_of::<Complex<f32>>())).max(1);
    let most = batch.min(planes.len()).div_ceil(2) * transform.turned();
    memory::resize(TILES, input, most, Complex::default())?;
    let products = if weights.filters == 1 { 0 } else { most };
    memory::resize(TILES, product, products, Complex::default())?;
    while !planes.is_empty() {
        let some = &planes[..batch.min(planes.len())];
        if let Err(first) = tile.there(simd, unit, some, input, room) {
            left.push(first);
            planes.retain(|plane| plane.first != first);
            continue;
        }
        for f in 0..weights.filters {
            let out = if in_place {
                Out::Lines(&mut unit.lines)
            } else {
                let filter = unit.rows.len() * flat;
                Out::Sums(&mut sums[f * filter..(f + 1) * filter], flat)
            };
            let outputs = (unit.rows.len(), unit.columns.start);
            tile.back(simd, outputs, some, f, [&mut *input, &mut *product], room, out);
        }
        planes.drain(..some.len());
    }

    let rows = Rows { first: 0, spacing: 1, count: 1 };
    for (row, lines) in unit.lines.chunks_mut(g.out_planes()).enumerate() {
        let mut sink = Sink { problem, planes: lines, from: 0, places: flat, streamed: false };
        sink.reserve(1, staged)?;
        sink.fill(simd, rows, staged, |f, out| {
            if !in_place {
                let from = (f * unit.rows.len() + row) * flat;
                out.iter_mut().for_each(|out| out.copy_from_slice(&sums[from..][..flat]));
            }
        });
    }
    let rectangle = |first: usize| Rectangle {
        rows: unit.rows.clone(),
        columns: first..(first + wide).min(unit.columns.end),
    };
    let left = left.into_iter();
    Ok(left.map(|first| Left { image: unit.image, rectangle: rectangle(first) }).collect())
}

/// Where the rows of a tile go.
enum Out<'a, 'b> {
    /// Where outputs lie.
    Lines(&'a mut [&'b mut [u8]]),
    /// Flat rows, one after the other, of that length.
    Sums(&'a mut [f32], usize),
}

impl Out<'_, '_> {
    #[inline(always)]
    fn row(&mut self, row: usize) -> &mut [f32] {
        match self {
            Self::Lines(lines) => bytemuck::cast_slice_mut(&mut *lines[row]),
            Self::Sums(sums, flat) => &mut sums[row * *flat..(row + 1) * *flat],
        }
    }
}

/// What the tiles of an image are made of.
#[derive(Clone, Copy)]
struct Tile<'a> {
    problem: &'a Problem,
    transforms: &'a Transforms,
    image: Image<'a>,
}

impl Tile<'_> {
    /// Transforms what a unit's rows meet of some planes, two in a tile, along both axes; times the
    /// spectrum and back along columns, where there is but one. Of a plane that holds too large a number it
    /// tells the first column.
    #[inline(always)]
    fn there<S: Simd>(
        self,
        simd: S,
        unit: &Unit<'_>,
        planes: &[Plane],
        tiles: &mut [Complex<f32>],
        room: &mut Room<'_>,
    ) -> Result<(), usize> {
        let Self { problem, transforms: Transforms { transform, spectra, limit, .. }, .. } = self;
        let g = problem.geometry();
        let read = (unit.rows.len() - 1) * g.stride.0 + g.extent().0;
        let first_row = g.first_row(unit.rows.start);
        let each = transform.turned();
        let tiles = &mut tiles[..planes.len().div_ceil(2) * each];
        // All planes of some rows, so that pixels are read once from where they lie.
        for (first, some) in blocks(read) {
            for (pair, turned) in planes.chunks(2).zip(tiles.chunks_exact_mut(each)) {
                let lines = transform.lines(some, room);
                let within = simd.vectorize(
                    #[inline(always)]
                    || {
                        self.lines(first_row + first as isize, pair, lines);
                        within(lines, *limit)
                    },
                );
                if let Some((plane, _)) = pair.iter().zip(within).find(|(_, within)| !within) {
                    return Err(plane.first);
                }
                transform.turn_in((first, some), turned, room);
            }
        }
        // All planes of a column, so that its spectrum stays in the first cache.
        let alone = problem.weights().filters == 1;
        for (j, spectrum) in
            (0..).zip(spectra.chunks_exact(transform.tile.0)).take(transform.tile.1)
        {
            for turned in tiles.chunks_exact_mut(each) {
                let column = transform.column(j, turned);
                column[read..].fill(Complex::default());
                transform.along_column(Way::There, column, room);
                if alone {
                    multiply(simd, column, spectrum);
                    transform.along_column(Way::Back, column, room);
                }
            }
        }
        Ok(())
    }

    /// Some lines of a tile from the input's row `row` on.
    #[inline(always)]
    fn lines(self, row: isize, pair: &[Plane], lines: &mut [Complex<f32>]) {
        let Self { problem, transforms: Transforms { transform, .. }, image } = self;
        with_f32_type!(problem.input_type(), T => {
            for (i, line) in lines.chunks_exact_mut(transform.tile.1).enumerate() {
                each(
                    pair,
                    #[inline(always)]
                    |plane, parts| {
                        load::<T>(problem, image, row + i as isize, plane, parts, line);
                    },
                );
            }
        });
    }

    /// The outputs of filter `f`: so many rows, into flat rows that begin at that column.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "buffers that are borrowed apart")]
    fn back<S: Simd>(
        self,
        simd: S,
        (rows, column): (usize, usize),
        planes: &[Plane],
        f: usize,
        [tiles, products]: [&mut [Complex<f32>]; 2],
        room: &mut Room<'_>,
        mut out: Out<'_, '_>,
    ) {
        let Self { problem, transforms: Transforms { transform, spectra, .. }, .. } = self;
        let g = problem.geometry();
        let bias = problem.weights().bias[f];
        let each = transform.turned();
        let len = planes.len().div_ceil(2) * each;
        let tiles = &mut tiles[..len];
        let made = if problem.weights().filters == 1 {
            &*tiles
        } else {
            let products = &mut products[..len];
            let spectra = spectra[f * transform.points()..].chunks_exact(transform.tile.0);
            for (j, spectrum) in (0..transform.tile.1).zip(spectra) {
                let all = products.chunks_exact_mut(each).zip(tiles.chunks_exact_mut(each));
                for (product, tile) in all {
                    let column = transform.column(j, product);
                    column.copy_from_slice(transform.column(j, tile));
                    multiply(simd, column, spectrum);
                    transform.along_column(Way::Back, column, room);
                }
            }
            &*products
        };
        for (first, some) in blocks(rows) {
            for (pair, turned) in planes.chunks(2).zip(made.chunks_exact(each)) {
                let from = (first * g.stride.0, some, g.stride.0);
                let lines = transform.turn_out(from, turned, room);
                simd.vectorize(
                    #[inline(always)]
                    || {
                        for (i, line) in lines.enumerate() {
                            unload(g, line, pair, bias, column, out.row(first + i));
                        }
                    },
                );
            }
        }
    }
}

/// Point by point.
#[inline(always)]
fn multiply<S: Simd>(simd: S, values: &mut [Complex<f32>], spectrum: &[Complex<f32>]) {
    simd.vectorize(
        #[inline(always)]
        || {
            for (a, b) in values.iter_mut().zip(spectrum) {
                *a = Complex { re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re };
            }
        },
    );
}

#[cfg(test)]
mod tests;
