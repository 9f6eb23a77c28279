//! Transforms of tiles times the kernel's spectrum (overlap-save), two planes of real numbers in one
//! complex tile.
//!
//! The kernel is real, so of planes `a` and `b` the product of the transform of `a + ib` with its
//! spectrum, transformed back, is `a * k + i (b * k)`. Planes are channels and tiles of a task's rows.
//! Columns are transformed as rows of the transposed tile, where the spectrum lies transposed too.

use std::fmt;
use std::sync::Arc;

use fearless_simd::Simd;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

use super::Task;
use super::rows::Scratch;
use super::store::{self, Rows, Store};
use super::sums::MAX_ROWS;
use crate::element::with_type;
use crate::kernel::spectrum;
use crate::plan::tile_outputs;
use crate::problem::Geometry;
use crate::{Element, Problem};

/// What a plan's tiles are transformed by.
#[derive(Clone)]
pub(crate) struct Transforms {
    /// Rows and columns of a tile.
    tile: (usize, usize),
    /// Along rows and along columns, there and back.
    along_rows: [Arc<dyn Fft<f32>>; 2],
    along_columns: [Arc<dyn Fft<f32>>; 2],
    /// `[filters, columns, rows]`.
    spectra: Vec<Complex<f32>>,
    scratch: usize,
}

impl fmt::Debug for Transforms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transforms").field("tile", &self.tile).finish_non_exhaustive()
    }
}

impl Transforms {
    pub fn new(problem: &Problem, tile: (usize, usize)) -> Self {
        let (rows, columns) = tile;
        let mut planner = FftPlanner::new();
        let mut both = |n| [planner.plan_fft_forward(n), planner.plan_fft_inverse(n)];
        let (along_rows, along_columns) = (both(columns), both(rows));
        let g = problem.geometry();
        let (kh, kw) = g.kernel;
        let mut spectra = Vec::new();
        for taps in problem.weights().taps.chunks(kh * kw) {
            let all = spectrum(taps, kw, g.dilation, [rows, columns]);
            for j in 0..columns {
                spectra.extend((0..rows).map(|i| {
                    let [re, im] = all[i * columns + j];
                    Complex { re, im }
                }));
            }
        }
        let needs = along_rows.iter().chain(&along_columns);
        let scratch = needs.map(|fft| fft.get_inplace_scratch_len()).max().unwrap_or(0);
        Self { tile, along_rows, along_columns, spectra, scratch }
    }
}

/// A plane of a task: a channel of some output columns.
#[derive(Clone, Copy)]
struct Plane {
    /// First output column, and how many.
    first: usize,
    columns: usize,
    channel: usize,
}

/// Computes one task, whose rows one tile gives.
#[inline(always)]
pub(super) fn run<S: Simd>(
    simd: S,
    problem: &Problem,
    transforms: &Transforms,
    src: &[u8],
    mut task: Task<'_>,
    scratch: &mut Scratch,
) {
    let g = problem.geometry();
    let weights = problem.weights();
    let image = super::image(problem, src, task.image);
    let (tile_rows, tile_columns) = transforms.tile;
    let rows = task.rows.clone();
    let valid = tile_outputs(tile_columns, g.extent().1, g.stride.1);
    let planes: Vec<Plane> = (0..g.out_width)
        .step_by(valid.max(1))
        .flat_map(|first| {
            let columns = valid.min(g.out_width - first);
            (0..g.channels).map(move |channel| Plane { first, columns, channel })
        })
        .collect();

    let Scratch { tiles: [tile, turned, product], staged, sums, .. } = scratch;
    let points = tile_rows * tile_columns;
    for room in [&mut *tile, &mut *turned, &mut *product] {
        room.resize(points, Complex::default());
    }
    let mut room = vec![Complex::default(); transforms.scratch];
    // Sums [filters, rows, flat row], unless they are made where outputs lie.
    let flat = g.out_width * g.channels;
    let in_place = store::in_place(problem);
    sums.resize(if in_place { 0 } else { weights.filters * rows.len() * flat }, 0.0);

    for pair in planes.chunks(2) {
        let read = (rows.len() - 1) * g.stride.0 + g.extent().0;
        tile.fill(Complex::default());
        for (part, plane) in pair.iter().enumerate() {
            let lines = tile.chunks_exact_mut(tile_columns).take(read);
            with_type!(problem.input_type(), T => match part {
                0 => load::<T>(problem, image, rows.start, plane, lines, |at, x| at.re = x),
                _ => load::<T>(problem, image, rows.start, plane, lines, |at, x| at.im = x),
            });
        }
        let [there, back] = &transforms.along_rows;
        there.process_with_scratch(&mut tile[..read * tile_columns], &mut room);
        transpose::transpose(tile, turned, tile_columns, tile_rows);
        let [down, up] = &transforms.along_columns;
        down.process_with_scratch(turned, &mut room);
        for (f, spectrum) in transforms.spectra.chunks(points).enumerate() {
            multiply(simd, turned, spectrum, product);
            up.process_with_scratch(product, &mut room);
            transpose::transpose(product, tile, tile_rows, tile_columns);
            let kept = (rows.len() - 1) * g.stride.0 + 1;
            back.process_with_scratch(&mut tile[..kept * tile_columns], &mut room);
            let out = if in_place {
                task.planes
                    .first_mut()
                    .and_then(|plane| bytemuck::try_cast_slice_mut::<u8, f32>(plane).ok())
            } else {
                Some(&mut sums[f * rows.len() * flat..(f + 1) * rows.len() * flat])
            };
            if let Some(out) = out {
                for (part, plane) in pair.iter().enumerate() {
                    let lines = tile.chunks_exact(tile_columns).step_by(g.stride.0);
                    let bias = weights.bias[f];
                    match part {
                        0 => unload(g, lines, plane, out, |at| at.re + bias),
                        _ => unload(g, lines, plane, out, |at| at.im + bias),
                    }
                }
            }
        }
    }

    let mut store = Store { problem, planes: &mut task.planes, from: 0, places: flat };
    for first in (0..rows.len()).step_by(MAX_ROWS) {
        let count = MAX_ROWS.min(rows.len() - first);
        store.fill(Rows { first, spacing: 1, count }, staged, |f, out| {
            if in_place {
                return;
            }
            let from = (f * rows.len() + first) * flat;
            for (out, sums) in out.iter_mut().zip(sums[from..].chunks(flat)) {
                out.copy_from_slice(sums);
            }
        });
    }
}

/// Point by point.
fn multiply<S: Simd>(
    simd: S,
    values: &[Complex<f32>],
    spectrum: &[Complex<f32>],
    products: &mut [Complex<f32>],
) {
    simd.vectorize(
        #[inline(always)]
        || {
            for ((product, a), b) in products.iter_mut().zip(values).zip(spectrum) {
                *product = Complex { re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re };
            }
        },
    );
}

/// One plane into one part (`set`) of the lines of a tile.
fn load<'a, T: Element>(
    problem: &Problem,
    image: &[u8],
    first_row: usize,
    plane: &Plane,
    lines: impl Iterator<Item = &'a mut [Complex<f32>]>,
    set: impl Fn(&mut Complex<f32>, f32),
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
    for (i, line) in lines.enumerate() {
        let row = border.index(g.first_row(first_row) + i as isize, g.height);
        let Some(row) = row else {
            line[..needed].iter_mut().for_each(|at| set(at, fill));
            continue;
        };
        let row = &image[row * g.row()..(row + 1) * g.row()];
        if from < to {
            let start = (left + from as isize) as usize * g.channels;
            let pixels = row[start..].chunks_exact(g.channels);
            for (at, pixel) in line[from..to].iter_mut().zip(pixels) {
                set(at, Element::to_f32(pixel[plane.channel]));
            }
        }
        for j in (0..from).chain(to..needed) {
            let column = border.index(left + j as isize, g.width);
            let value =
                column.map_or(fill, |c| Element::to_f32(row[c * g.channels + plane.channel]));
            set(&mut line[j], value);
        }
    }
}

/// One part (`get`) of the lines of a tile into a plane of `out`, `[rows, flat row]`.
fn unload<'a>(
    g: &Geometry,
    lines: impl Iterator<Item = &'a [Complex<f32>]>,
    plane: &Plane,
    out: &mut [f32],
    get: impl Fn(&Complex<f32>) -> f32,
) {
    let columns = plane.first * g.channels..(plane.first + plane.columns) * g.channels;
    for (row, line) in out.chunks_exact_mut(g.out_width * g.channels).zip(lines) {
        let pixels = row[columns.clone()].chunks_exact_mut(g.channels);
        for (pixel, value) in pixels.zip(line.iter().step_by(g.stride.1)) {
            pixel[plane.channel] = get(value);
        }
    }
}
