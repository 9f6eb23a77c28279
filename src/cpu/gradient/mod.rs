//! The gradient of the kernel: for each tap the sum over all places of the output's gradient times the
//! input that the tap meets there, and for each filter the sum of the gradient.
//!
//! Blocks of tap rows by tap columns keep a vector of sums each in registers, over some output rows at
//! once, so that each vector that is loaded serves every tap and row of the block that meets it. After
//! [`DEPTH`] additions the vectors go on in f64, so that the error does not grow with the tensor. Parts
//! of the tensor are cut by its shape alone and added in order: the same bits on any number of threads.

mod activation;
pub(super) mod fft;
mod taps;

use std::ops::Range;

use fearless_simd::{Simd, SimdBase};

use super::Cpu;
use super::fft::Transform;
use super::kernels::Segments;
use super::scratch::Scratch;
use super::source::{Image, Input, Interior, Lines, list};
use super::task::{Blocks, tiles};
use crate::Problem;
use crate::memory::{self, NoRoom};
use crate::plan::{DEPTH, KernelGradient};
use crate::problem::Geometry;
pub(super) use activation::{PointwisePart, Sums, through};
use taps::{Inputs, taps, total};

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
    /// Scalars of a tile of columns, where that is not [`TILE`].
    pub tile: Option<usize>,
}

impl Part<'_> {
    /// Gradients of a channel's filters that lie together.
    pub fn together(&self) -> usize {
        if self.problem.geometry().planar { 1 } else { self.problem.weights().filters }
    }

    /// Where an output row starts in the gradient: that of filter `f`, or of all that lie together.
    pub fn row(&self, f: usize, row: usize) -> usize {
        let (g, filters) = (self.problem.geometry(), self.problem.weights().filters);
        let plane = if g.planar { self.image * filters + f } else { self.image };
        (plane * g.out_height + row) * g.out_width * g.channels * self.together()
    }
}

/// How the gradient of a kernel is made, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct CpuKernelGradient {
    /// Output rows of a part.
    rows: usize,
    transform: Option<Transform>,
}

impl CpuKernelGradient {
    /// `None` of a GPU's plan.
    pub fn new(plan: &KernelGradient) -> Option<Self> {
        match *plan {
            KernelGradient::Cpu { rows } => Some(Self { rows, transform: None }),
            KernelGradient::CpuFft { rows, tile } => {
                Some(Self { rows, transform: Some(Transform::new(tile)) })
            }
            KernelGradient::Gpu(_) | KernelGradient::GpuFft(_) => None,
        }
    }
}

impl Cpu {
    /// `[filters, kernel height, kernel width]` of taps as applied, then `[filters]`: sums over all
    /// places of `delta`, the gradient of the sums of `problem` in its output's layout, times the input.
    pub(crate) fn kernel_gradient(
        &self,
        problem: &Problem,
        CpuKernelGradient { rows, transform }: &CpuKernelGradient,
        src: &[u8],
        delta: &[f32],
    ) -> Result<Vec<f64>, NoRoom> {
        let (g, rows) = (problem.geometry(), *rows);
        let mut sums = empty(problem)?;
        if delta.is_empty() {
            return Ok(sums);
        }
        let starts = (0..g.images)
            .flat_map(|image| (0..g.out_height).step_by(rows).map(move |first| (image, first)));
        let parts = starts.map(|(image, first)| {
            let rows = first..(first + rows).min(g.out_height);
            Part { problem, src, delta, image, rows, tile: self.cuts.tile }
        });
        let count = g.images * g.out_height.div_ceil(rows);
        let parts = memory::collected("the list of parts", count, parts)?;
        let parts = self.map(parts, |scratch, part| {
            self.simd.kernel_gradient(&part, transform.as_ref(), scratch)
        })?;
        for part in parts {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        Ok(sums)
    }
}

/// Sums of a problem.
pub(super) fn len(problem: &Problem) -> usize {
    let g = problem.geometry();
    problem.weights().filters * (g.kernel.0 * g.kernel.1 + 1)
}

/// Sums of nothing.
pub(super) fn empty(problem: &Problem) -> Result<Vec<f64>, NoRoom> {
    memory::zeroed("sums of a kernel's gradient", len(problem))
}

/// The sums of a part.
#[inline(always)]
pub(super) fn run<S: Simd>(
    simd: S,
    part: &Part<'_>,
    scratch: &mut Scratch,
) -> Result<Vec<f64>, NoRoom> {
    let Part { problem, src, image, rows, .. } = part;
    let g = problem.geometry();
    let filters = problem.weights().filters;
    let mut sums = empty(problem)?;
    let image = Image::new(problem, Input::Whole(src), *image);
    let Scratch { lines, window, constant, staged, .. } = scratch;
    let interior = Interior::of::<S>(problem, image);
    let joined = super::kernels::spacing(g).1 == 1;
    let at_once = if joined { ROWS } else { 1 };
    // Segments of a strided row are single pixels: where these do not fill vectors, lines hold them together.
    let apart = match g.stride.1 {
        1 => !copied::<S>(g, &interior.parts(g)),
        _ => {
            let lanes = S::f32s::LEN;
            g.channels.is_multiple_of(lanes) && g.channels <= DEPTH / ROWS * lanes
        }
    };
    let whole = [0..0, 0..g.out_width, 0..0];
    let parts = if apart { interior.parts(g) } else { whole };
    for columns in tiles(g, parts, part.tile.unwrap_or(TILE)) {
        let interior = interior.within(&columns).filter(|_| apart);
        let places = columns.len() * g.channels;
        let from = columns.start * g.channels;
        let blocks = Blocks::new(g, rows.len(), at_once, g.kernel, 1);
        let count = blocks.pattern.needed.len();
        let len = if interleaved(problem) { filters * ROWS * places } else { 0 };
        memory::resize("rows of each filter", staged, len, 0.0)?;
        let mut there: Vec<&[f32]> = list(count)?;
        if let Some(interior) = interior {
            interior.fill(constant)?;
            blocks.each(
                rows,
                #[inline(always)]
                |block, _, needed| {
                    there.clear();
                    there.extend(needed.iter().map(|row| interior.line(*row, constant)));
                    let block = Block {
                        part,
                        lines: &there,
                        offsets: &interior.offsets,
                        first: block.first,
                        spacing: block.spacing,
                        count: block.count,
                        from,
                        places,
                        segments: interior.segments,
                    };
                    block.add(simd, staged, &mut sums);
                },
            );
            continue;
        }
        let mut lines = Lines::new(problem, columns, lines, window).with(count, S::f32s::LEN)?;
        let mut at = list(count)?;
        blocks.each(
            rows,
            #[inline(always)]
            |block, _, needed| {
                lines.slide(simd, image, needed, &mut at);
                let there: Vec<&[f32]> = at.iter().map(|line| lines.line(*line)).collect();
                let block = Block {
                    part,
                    lines: &there,
                    offsets: lines.offsets(),
                    first: block.first,
                    spacing: block.spacing,
                    count: block.count,
                    from,
                    places,
                    segments: Segments::one(places),
                };
                block.add(simd, staged, &mut sums);
            },
        );
    }
    Ok(sums)
}

/// Vectors that a copied one counts as, in vectors of one tap.
const COPIED: usize = 3;

/// Whether a row is copied into a line, border and all, since its parts leave so many places over that fill
/// no vector.
fn copied<S: Simd>(g: &Geometry, parts: &[Range<usize>]) -> bool {
    let over = |columns: usize| columns * g.channels % S::f32s::LEN;
    let of_parts: usize = parts.iter().map(|part| over(part.len())).sum();
    let more = of_parts.saturating_sub(over(g.out_width));
    more * g.kernel.0 * g.kernel.1 > COPIED * g.out_width * g.channels / S::f32s::LEN
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
    /// Places of the flat row, and how they lie in lines.
    from: usize,
    places: usize,
    segments: Segments,
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
                let row = &part.delta[self.row(0, r)..][..places * filters];
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
                        &part.delta[self.row(f, r)..][..places]
                    }
                },
            );
            let (kernel, bias) = sums.split_at_mut(filters * taps);
            let kernel = &mut kernel[f * taps..(f + 1) * taps];
            // A function of its own: in one with the rest, compilers keep less in registers.
            simd.vectorize(
                #[inline(always)]
                || self.filter(simd, delta, &mut bias[f], kernel),
            );
        }
    }

    /// Adds what the rows of a filter's gradient make.
    #[inline(always)]
    fn filter<S: Simd>(self, simd: S, delta: [&[f32]; ROWS], bias: &mut f64, kernel: &mut [f64]) {
        if self.count == ROWS {
            *bias += total::<S, ROWS>(simd, delta);
            return self.rows::<S, ROWS>(simd, 0, delta, kernel);
        }
        for (r, row) in delta[..self.count].iter().enumerate() {
            *bias += total::<S, 1>(simd, [row]);
            self.rows::<S, 1>(simd, r, [row], kernel);
        }
    }

    /// Where row `r` of filter `f`, or of all that lie together, starts in the gradient.
    #[inline(always)]
    fn row(self, f: usize, r: usize) -> usize {
        let row = self.part.rows.start + self.first + r * self.spacing;
        self.part.row(f, row) + self.from * self.part.together()
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
        // Of the 16 registers of AVX2 and SSE ten at most hold sums. (Up to 5x5 taps in the 32 of AVX-512
        // took as long.)
        for columns in cut(kw, 5) {
            let most = if columns.len() > 3 { 2 } else { 3 };
            for rows in cut(kh, most) {
                let inputs = Inputs {
                    lines: &lines[rows.start..rows.end + R - 1],
                    offsets: &self.offsets[columns.clone()],
                    segments: self.segments,
                };
                macro_rules! taps {
                    ($($i:literal $j:literal)*) => {
                        match (rows.len(), columns.len()) {
                            $(($i, $j) => {
                                let at = rows.start * kw + columns.start;
                                let kernel = &mut kernel[at..];
                                taps::<S, R, $i, $j>(simd, delta, inputs, kernel, kw);
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
