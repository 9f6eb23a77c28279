//! The gradient of the kernel: for each tap the sum over all places of the output's gradient times the
//! input that the tap meets there, and for each filter the sum of the gradient.
//!
//! Blocks of tap rows by tap columns keep a vector of sums each in registers, over some output rows at
//! once, so that each vector that is loaded serves every tap and row of the block that meets it. After
//! [`DEPTH`] additions the vectors go on in f64, so that the error does not grow with the tensor. Parts
//! of the tensor are cut by its shape alone and added in order: the same bits on any number of threads.

use std::ops::Range;

use fearless_simd::{Simd, SimdBase, SimdFloat};
use rayon::prelude::*;

use super::Cpu;
use super::blocks::{Blocks, tiles};
use super::inner::Inner;
use super::rows::{Lines, Scratch};
use crate::Problem;
use crate::plan::DEPTH;
use crate::problem::Geometry;

/// Output rows of a block, where a tap row of one is the next tap row of the row before.
const ROWS: usize = 4;
/// Scalars of a tile: the lines of a block stay in the first two caches.
const TILE: usize = 1 << 12;

/// Some output rows of one image.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    pub problem: &'a Problem,
    pub src: &'a [u8],
    pub delta: &'a [f32],
    pub image: usize,
    pub rows: Range<usize>,
}

impl Cpu {
    /// `[filters, kernel height, kernel width]` of taps as applied, then `[filters]`: sums over all
    /// places of `delta`, the gradient of the sums of `problem` in its output's layout, times the input.
    pub(crate) fn correlate(
        &self,
        problem: &Problem,
        rows: usize,
        src: &[u8],
        delta: &[f32],
    ) -> Vec<f64> {
        let g = problem.geometry();
        let starts = (0..g.images)
            .flat_map(|image| (0..g.out_height).step_by(rows).map(move |first| (image, first)));
        let parts: Vec<Part<'_>> = starts
            .map(|(image, first)| {
                let rows = first..(first + rows).min(g.out_height);
                Part { problem, src, delta, image, rows }
            })
            .collect();
        let one = |scratch: &mut Scratch, part: Part<'_>| self.simd.correlate(&part, scratch);
        let all =
            || -> Vec<Vec<f64>> { parts.into_par_iter().map_init(Scratch::default, one).collect() };
        let parts = match &self.pool {
            Some(pool) => pool.install(all),
            None => all(),
        };
        let mut sums = vec![0.0; len(problem)];
        for part in parts {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        sums
    }
}

/// Sums of a problem.
fn len(problem: &Problem) -> usize {
    let g = problem.geometry();
    problem.weights().filters * (g.kernel.0 * g.kernel.1 + 1)
}

/// The sums of a part.
#[inline(always)]
pub(super) fn run<S: Simd>(simd: S, part: &Part<'_>, scratch: &mut Scratch) -> Vec<f64> {
    let Part { problem, src, image, rows, .. } = part;
    let g = problem.geometry();
    let filters = problem.weights().filters;
    let mut sums = vec![0.0; len(problem)];
    let image = super::image(problem, src, *image);
    let Scratch { lines, ring, constant, staged, .. } = scratch;
    // Segments of a strided row would be single pixels; lines hold them together.
    let inner = Inner::of::<S>(problem, image);
    let joined = super::sums::spacing(g).1 == 1;
    let at_once = if joined { ROWS } else { 1 };
    for columns in tiles(g, inner.parts(g), TILE) {
        let inner = inner.within(&columns).filter(|_| g.stride.1 == 1);
        let places = columns.len() * g.channels;
        let from = columns.start * g.channels;
        let blocks = Blocks::new(g, rows.len(), at_once, g.kernel, 1);
        let count = blocks.pattern.needed.len();
        staged.resize(if interleaved(problem) { filters * ROWS * places } else { 0 }, 0.0);
        let mut held: Vec<&[f32]> = Vec::with_capacity(count);
        if let Some(inner) = inner {
            inner.fill(constant);
            blocks.each(
                rows,
                #[inline(always)]
                |block, _, needed| {
                    held.clear();
                    held.extend(needed.iter().map(|row| inner.line(*row, constant)));
                    let block = Block {
                        part,
                        lines: &held,
                        offsets: &inner.offsets,
                        first: block.first,
                        spacing: block.spacing,
                        count: block.count,
                        from,
                        places,
                    };
                    block.add(simd, staged, &mut sums);
                },
            );
            continue;
        }
        let mut lines = Lines::new(problem, image, columns, count, S::f32s::LEN, lines, ring);
        let mut at = Vec::with_capacity(count);
        blocks.each(
            rows,
            #[inline(always)]
            |block, _, needed| {
                lines.hold(needed, &mut at);
                let held: Vec<&[f32]> = at.iter().map(|line| lines.line(*line)).collect();
                let block = Block {
                    part,
                    lines: &held,
                    offsets: lines.offsets(),
                    first: block.first,
                    spacing: block.spacing,
                    count: block.count,
                    from,
                    places,
                };
                block.add(simd, staged, &mut sums);
            },
        );
    }
    sums
}

/// Whether a channel's filters lie together.
fn interleaved(problem: &Problem) -> bool {
    !problem.geometry().planar && problem.weights().filters > 1
}

/// Some output rows of a tile, and the input lines they meet.
#[derive(Clone, Copy)]
struct Block<'a> {
    part: &'a Part<'a>,
    lines: &'a [&'a [f32]],
    /// Where each tap column starts in a line.
    offsets: &'a [usize],
    /// Rows of the part.
    first: usize,
    spacing: usize,
    count: usize,
    /// Places of the flat row.
    from: usize,
    places: usize,
}

impl Block<'_> {
    /// Adds what it makes to `sums`.
    #[inline(always)]
    fn add<S: Simd>(self, simd: S, staged: &mut [f32], sums: &mut [f64]) {
        let Self { part, count, places, .. } = self;
        let g = part.problem.geometry();
        let filters = part.problem.weights().filters;
        if interleaved(part.problem) {
            for r in 0..count {
                let row = &part.delta[self.row(g, 0, r) * filters..][..places * filters];
                for f in 0..filters {
                    let to = &mut staged[(f * ROWS + r) * places..][..places];
                    for (to, value) in to.iter_mut().zip(row.iter().skip(f).step_by(filters)) {
                        *to = *value;
                    }
                }
            }
        }
        let taps = g.kernel.0 * g.kernel.1;
        for f in 0..filters {
            let delta: [&[f32]; ROWS] = std::array::from_fn(
                #[inline(always)]
                |r| {
                    if r >= count {
                        Default::default()
                    } else if interleaved(part.problem) {
                        &staged[(f * ROWS + r) * places..][..places]
                    } else {
                        &part.delta[self.row(g, f, r)..][..places]
                    }
                },
            );
            let (kernel, bias) = sums.split_at_mut(filters * taps);
            let kernel = &mut kernel[f * taps..(f + 1) * taps];
            simd.vectorize(
                #[inline(always)]
                || {
                    if count == ROWS {
                        bias[f] += total::<S, ROWS>(simd, delta);
                        self.rows::<S, ROWS>(simd, 0, delta, kernel);
                    } else {
                        for (r, row) in delta[..count].iter().enumerate() {
                            bias[f] += total::<S, 1>(simd, [row]);
                            self.rows::<S, 1>(simd, r, [row], kernel);
                        }
                    }
                },
            );
        }
    }

    /// Where row `r` of filter `f` starts in the gradient, in places.
    #[inline(always)]
    fn row(self, g: &Geometry, f: usize, r: usize) -> usize {
        let row = self.part.rows.start + self.first + r * self.spacing;
        let (filters, image) = (self.part.problem.weights().filters, self.part.image);
        let plane = if g.planar { image * filters + f } else { image };
        (plane * g.out_height + row) * g.out_width * g.channels + self.from
    }

    /// Rows `r` to `r + R` of the block against all taps.
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(
        self,
        simd: S,
        r: usize,
        delta: [&[f32]; R],
        kernel: &mut [f64],
    ) {
        let (kh, kw) = self.part.problem.geometry().kernel;
        let lines = &self.lines[if R == 1 { r } else { 0 }..];
        for columns in cut(kw, 5) {
            let most = if columns.len() > 3 { 2 } else { 3 };
            for rows in cut(kh, most) {
                let lines = &lines[rows.start..rows.end + R - 1];
                let offsets = &self.offsets[columns.clone()];
                macro_rules! taps {
                    ($($i:literal $j:literal)*) => {
                        match (rows.len(), columns.len()) {
                            $(($i, $j) => {
                                let at = rows.start * kw + columns.start;
                                taps::<S, R, $i, $j>(simd, delta, lines, offsets, &mut kernel[at..], kw);
                            })*
                            _ => {}
                        }
                    };
                }
                taps!(1 1  1 2  1 3  1 4  1 5  2 1  2 2  2 3  2 4  2 5  3 1  3 2  3 3);
            }
        }
    }
}

/// `n` in groups of nearly the same size and at most so many.
fn cut(n: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = n.div_ceil(most);
    (0..count).map(move |at| n * at / count..n * (at + 1) / count)
}

/// Most lines of `taps`.
const LINES: usize = ROWS + 2;

/// Adds to `I` by `J` taps what `R` rows of gradient make with the lines they meet.
#[inline(always)]
fn taps<S: Simd, const R: usize, const I: usize, const J: usize>(
    simd: S,
    delta: [&[f32]; R],
    lines: &[&[f32]],
    offsets: &[usize],
    kernel: &mut [f64],
    columns: usize,
) {
    let lanes = S::f32s::LEN;
    let places = delta[0].len();
    let whole = places / lanes * lanes;
    // A vector of each row is an addition.
    let step = DEPTH / R * lanes;
    for start in (0..whole).step_by(step) {
        let len = step.min(whole - start);
        let delta: [&[f32]; R] = std::array::from_fn(
            #[inline(always)]
            |r| &delta[r][start..start + len],
        );
        let lines: [[&[f32]; J]; LINES] = std::array::from_fn(
            #[inline(always)]
            |l| {
                std::array::from_fn(
                    #[inline(always)]
                    |j| {
                        if l < I + R - 1 {
                            &lines[l][offsets[j] + start..][..len]
                        } else {
                            Default::default()
                        }
                    },
                )
            },
        );
        let mut sums = [[S::f32s::splat(simd, 0.0); J]; I];
        let mut x = 0;
        while x + lanes <= len {
            let d: [S::f32s; R] = std::array::from_fn(
                #[inline(always)]
                |r| S::f32s::from_slice(simd, &delta[r][x..x + lanes]),
            );
            macro_rules! lines {
                ($($l:literal)*) => { $(
                    if $l < I + R - 1 {
                        for j in 0..J {
                            let values = S::f32s::from_slice(simd, &lines[$l][j][x..x + lanes]);
                            for r in 0..R {
                                if $l >= r && $l - r < I {
                                    sums[$l - r][j] = values.mul_add(d[r], sums[$l - r][j]);
                                }
                            }
                        }
                    }
                )* };
            }
            lines!(0 1 2 3 4 5);
            x += lanes;
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, sum) in sums.iter().enumerate() {
                kernel[i * columns + j] += spread::<S>(*sum);
            }
        }
    }
    // Fewer places than lanes; their products are exact in f64.
    for x in whole..places {
        for i in 0..I {
            for (j, offset) in offsets.iter().enumerate() {
                let products = delta
                    .iter()
                    .enumerate()
                    .map(|(r, delta)| f64::from(delta[x]) * f64::from(lines[i + r][offset + x]));
                kernel[i * columns + j] += products.sum::<f64>();
            }
        }
    }
}

/// The sum of rows of one length.
#[inline(always)]
fn total<S: Simd, const R: usize>(simd: S, rows: [&[f32]; R]) -> f64 {
    let lanes = S::f32s::LEN;
    let places = rows[0].len();
    let whole = places / lanes * lanes;
    let mut total = 0.0;
    for start in (0..whole).step_by(DEPTH * lanes) {
        let len = (DEPTH * lanes).min(whole - start);
        let rows: [&[f32]; R] = std::array::from_fn(
            #[inline(always)]
            |r| &rows[r][start..start + len],
        );
        // A chain of additions for each row, which do not wait for one another.
        let mut sums = [S::f32s::splat(simd, 0.0); R];
        let mut x = 0;
        while x + lanes <= len {
            for r in 0..R {
                sums[r] += S::f32s::from_slice(simd, &rows[r][x..x + lanes]);
            }
            x += lanes;
        }
        total += sums.into_iter().map(spread::<S>).sum::<f64>();
    }
    let rest = rows.iter().flat_map(|row| &row[whole..]);
    total + rest.map(|x| f64::from(*x)).sum::<f64>()
}

/// The sum of a vector's lanes.
#[inline(always)]
fn spread<S: Simd>(vector: S::f32s) -> f64 {
    let mut lanes = [0.0f32; 16];
    vector.store_slice(&mut lanes[..S::f32s::LEN]);
    let mut half = S::f32s::LEN / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    f64::from(lanes[0])
}
