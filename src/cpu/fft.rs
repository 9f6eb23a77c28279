//! Transforms of tiles times the kernel's spectrum (overlap-save), two planes of real numbers in one
//! complex tile.
//!
//! The kernel is real, so of planes `a` and `b` the product of the transform of `a + ib` with its
//! spectrum, transformed back, is `a * k + i (b * k)`. Planes are channels and tiles of a task's rows.

use fearless_simd::Simd;
use rustfft::num_complex::Complex;

use super::Task;
use super::kernels::MAX_ROWS;
use super::rows::Scratch;
use super::store::{self, Rows, Store};
use super::tiles::{Plane, Transform};
use crate::Problem;
use crate::kernel::spectrum;
use crate::problem::Geometry;

/// What a plan's tiles are transformed by, and multiplied with.
#[derive(Clone, Debug)]
pub(crate) struct Transforms {
    transform: Transform,
    /// `[filters, columns, rows]`.
    spectra: Vec<Complex<f32>>,
}

impl Transforms {
    pub fn new(problem: &Problem, tile: (usize, usize)) -> Self {
        let (rows, columns) = tile;
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
        Self { transform: Transform::new(tile), spectra }
    }
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
    let Transforms { transform, spectra } = transforms;
    let tile_columns = transform.tile.1;
    let rows = task.rows.clone();
    let planes = transform.planes(g);

    let Scratch { tiles: [tile, turned, product, _], staged, sums, .. } = scratch;
    for room in [&mut *tile, &mut *turned, &mut *product] {
        room.resize(transform.points(), Complex::default());
    }
    let mut room = transform.room();
    // Sums [filters, rows, flat row], unless they are made where outputs lie.
    let flat = g.out_width * g.channels;
    let in_place = store::in_place(problem);
    sums.resize(if in_place { 0 } else { weights.filters * rows.len() * flat }, 0.0);

    for pair in planes.chunks(2) {
        let read = transform.load(problem, image, &rows, pair, tile);
        transform.there(tile, read, turned, &mut room);
        for (f, spectrum) in spectra.chunks(transform.points()).enumerate() {
            multiply(simd, turned, spectrum, product);
            let kept = (rows.len() - 1) * g.stride.0 + 1;
            transform.back(product, tile, kept, &mut room);
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

    let mut store =
        Store { problem, planes: &mut task.planes, from: 0, places: flat, streamed: false };
    for first in (0..rows.len()).step_by(MAX_ROWS) {
        let count = MAX_ROWS.min(rows.len() - first);
        store.fill(simd, Rows { first, spacing: 1, count }, staged, |f, out| {
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
