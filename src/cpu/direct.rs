//! Tap by tap over flat rows, block of rows by block of rows.
//!
//! Inner columns of f32 input are read where they lie. Others (bytes, columns near the border, strides
//! over few channels) go through lines of a tile: see `rows.rs`.

use std::ops::Range;

use fearless_simd::{Simd, SimdBase};

use super::Task;
use super::blocks::{Blocks, tiles};
use super::rows::{Lines, Scratch};
use super::store::{self, Rows, Store};
use super::sums::{self, Block, Pattern, Segments};
use crate::problem::Geometry;
use crate::{Element, ElementType, Problem};

/// Scalars of a tile that is computed where it lies: the lines of a block of rows, those of a 5x5 kernel
/// say, stay in a core's second cache from block to block.
const TILE: usize = 1 << 14;
/// Of one that goes through lines or sums of its own: they stay in the first cache.
const STAGED_TILE: usize = 1 << 10;

/// Computes one task.
#[inline(always)]
pub(super) fn run<S: Simd, T: Element, U: Element>(
    simd: S,
    problem: &Problem,
    src: &[T],
    mut task: Task<'_, U>,
    scratch: &mut Scratch,
) {
    let g = problem.geometry();
    let image = &src[task.image * g.image()..(task.image + 1) * g.image()];
    // A pixel of a strided row is a segment of its own.
    let vectors = g.stride.1 == 1 || g.channels >= S::f32s::LEN;
    let scalars = match T::TYPE {
        ElementType::F32 if vectors => bytemuck::try_cast_slice::<T, f32>(image).ok(),
        ElementType::F32 | ElementType::U8 => None,
    };
    let inside = if scalars.is_some() { inside(g) } else { 0..0 };
    let staged = scalars.is_none() || !store::in_place::<U>(problem);
    let most = if staged { STAGED_TILE } else { TILE };
    let parts = [0..inside.start, inside.clone(), inside.end..g.out_width];
    for columns in tiles(g, parts, most) {
        let inner = inside.start <= columns.start && columns.end <= inside.end;
        // Of a strided row in place, a pixel.
        let segment = if inner && g.stride.1 > 1 { 1 } else { columns.len() } * g.channels;
        let at_once = sums::rows_at_once::<S>(g, g.kernel, segment);
        let blocks = Blocks::new(g, task.rows.len(), at_once, g.kernel, 1);
        let tile = Tile { problem, blocks, rows: task.rows.clone() };
        let store = Store {
            problem,
            planes: &mut task.planes,
            from: columns.start * g.channels,
            places: columns.len() * g.channels,
        };
        if let Some(scalars) = scalars
            && inner
        {
            tile.in_place(simd, scalars, columns, store, scratch);
        } else {
            tile.in_lines(simd, image, columns, store, scratch);
        }
    }
}

/// Output columns whose taps all lie inside the input.
fn inside(g: &Geometry) -> Range<usize> {
    let (stride, extent) = (g.stride.1, g.extent().1);
    let first = g.left.div_ceil(stride);
    let end = match (g.width + g.left).checked_sub(extent) {
        Some(room) => (room / stride + 1).min(g.out_width),
        None => 0,
    };
    if first < end { first..end } else { 0..0 }
}

/// A tile of a task.
struct Tile<'a> {
    problem: &'a Problem,
    blocks: Blocks<'a>,
    rows: Range<usize>,
}

impl Tile<'_> {
    /// Columns whose taps lie inside the input.
    #[inline(always)]
    fn in_place<S: Simd, U: Element>(
        &self,
        simd: S,
        image: &[f32],
        columns: Range<usize>,
        mut store: Store<'_, '_, U>,
        scratch: &mut Scratch,
    ) {
        let g = self.problem.geometry();
        let border = self.problem.border();
        let offsets: Vec<usize> = (0..g.kernel.1).map(|j| j * g.dilation.1 * g.channels).collect();
        let from = (columns.start * g.stride.1 - g.left) * g.channels;
        let Scratch { constant, staged, .. } = scratch;
        let reach = (columns.len() - 1) * g.stride.1 + g.extent().1;
        constant.clear();
        constant.resize(reach * g.channels, border.constant().unwrap_or(0.0));
        let mut lines: Vec<&[f32]> = Vec::with_capacity(self.blocks.pattern.needed.len());
        self.blocks.each(
            &self.rows,
            #[inline(always)]
            |block, pattern| {
                let top = g.first_row(self.rows.start + block.first);
                lines.clear();
                lines.extend(pattern.needed.iter().map(
                    |row| match border.index(top + row, g.height) {
                        Some(row) => &image[row * g.row()..(row + 1) * g.row()][from..],
                        None => &constant[..],
                    },
                ));
                let segments = Segments::of(g, columns.len());
                self.sum(simd, pattern, &lines, &offsets, segments, block, &mut store, staged);
            },
        );
    }

    /// Any columns.
    #[inline(always)]
    fn in_lines<S: Simd, T: Element, U: Element>(
        &self,
        simd: S,
        image: &[T],
        columns: Range<usize>,
        mut store: Store<'_, '_, U>,
        scratch: &mut Scratch,
    ) {
        let g = self.problem.geometry();
        let Scratch { lines, ring, staged, .. } = scratch;
        let count = self.blocks.pattern.needed.len();
        let places = columns.len() * g.channels;
        let mut lines = Lines::new(self.problem, image, columns, count, S::f32s::LEN, lines, ring);
        let (mut needed, mut at) = (Vec::with_capacity(count), Vec::with_capacity(count));
        self.blocks.each(
            &self.rows,
            #[inline(always)]
            |block, pattern| {
                let top = g.first_row(self.rows.start + block.first);
                needed.clear();
                needed.extend(pattern.needed.iter().map(|row| top + row));
                lines.hold(&needed, &mut at);
                let held: Vec<&[f32]> = at.iter().map(|line| lines.line(*line)).collect();
                let segments = Segments { len: places, step: 0, count: 1 };
                self.sum(
                    simd,
                    pattern,
                    &held,
                    lines.offsets(),
                    segments,
                    block,
                    &mut store,
                    staged,
                );
            },
        );
    }

    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "the two ways to it share nothing else")]
    fn sum<S: Simd, U: Element>(
        &self,
        simd: S,
        pattern: &Pattern,
        lines: &[&[f32]],
        offsets: &[usize],
        segments: Segments,
        rows: Rows,
        store: &mut Store<'_, '_, U>,
        staged: &mut Vec<f32>,
    ) {
        let weights = self.problem.weights();
        let (kh, kw) = self.problem.geometry().kernel;
        store.fill(
            rows,
            staged,
            #[inline(always)]
            |f, out| {
                let taps = &weights.taps[f * kh * kw..(f + 1) * kh * kw];
                let block = Block { pattern, lines, offsets, taps, bias: weights.bias[f] };
                block.sum(simd, segments, out);
            },
        );
    }
}
