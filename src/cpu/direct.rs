//! Tap by tap over flat rows, block of rows by block of rows.
//!
//! Inner columns of f32 input are read where they lie (`inner.rs`); others (bytes, columns near the
//! border, strides over few channels) go through lines of a tile (`rows.rs`).

use std::ops::Range;

use fearless_simd::{Simd, SimdBase};

use super::Task;
use super::blocks::{Blocks, tiles};
use super::inner::Inner;
use super::kernels::{self, Block, Segments};
use super::rows::{Lines, Scratch};
use super::store::{self, Store};
use crate::{ElementType, Problem};

/// Scalars of a tile that is computed where it lies: the lines of a block of rows, those of a 5x5 kernel
/// say, stay in a core's second cache from block to block.
const TILE: usize = 1 << 13;
/// Of one that goes through lines or sums of its own: they stay in the first cache.
const STAGED_TILE: usize = 1 << 10;

/// Computes one task.
#[inline(always)]
pub(super) fn run<S: Simd>(
    simd: S,
    problem: &Problem,
    src: &[u8],
    mut task: Task<'_>,
    scratch: &mut Scratch,
) {
    let g = problem.geometry();
    let taps = &problem.weights().taps[..];
    let image = super::image(problem, src, task.image);
    let inner = Inner::of::<S>(problem, image);
    let staged = problem.input_type() != ElementType::F32 || !store::in_place(problem);
    let Scratch { lines, ring, constant, staged: room, .. } = scratch;
    let tile = task.tile.unwrap_or(if staged { STAGED_TILE } else { TILE });
    let wanted = &task.columns;
    let within = |part: Range<usize>| {
        part.start.max(wanted.start)..part.end.min(wanted.end).max(part.start.max(wanted.start))
    };
    for columns in tiles(g, inner.parts(g).map(within), tile) {
        let inner = inner.within(&columns);
        let places = columns.len() * g.channels;
        let segments = inner.as_ref().map_or(Segments::one(places), |inner| inner.segments);
        let at_once = kernels::rows_at_once::<S>(g, g.kernel.0);
        let blocks = Blocks::new(g, task.rows.len(), at_once, g.kernel, 1).overlapping();
        let count = blocks.pattern.needed.len();
        let from = columns.start * g.channels;
        let streamed = task.streamed;
        let mut store = Store { problem, planes: &mut task.planes, from, places, streamed };
        if let Some(inner) = inner {
            inner.fill(constant);
            let mut held: Vec<&[f32]> = Vec::with_capacity(count);
            blocks.each(
                &task.rows,
                #[inline(always)]
                |rows, pattern, needed| {
                    held.clear();
                    held.extend(needed.iter().map(|row| inner.line(*row, constant)));
                    let block =
                        Block { pattern, lines: &held, offsets: &inner.offsets, taps, bias: 0.0 };
                    store.sums(simd, rows, room, block, segments);
                },
            );
            continue;
        }
        let mut lines = Lines::new(problem, columns, lines, ring).with(count, S::f32s::LEN);
        let mut at = Vec::with_capacity(count);
        blocks.each(
            &task.rows,
            #[inline(always)]
            |rows, pattern, needed| {
                lines.hold(simd, image, needed, &mut at);
                let held: Vec<&[f32]> = at.iter().map(|line| lines.line(*line)).collect();
                let offsets = lines.offsets();
                let block = Block { pattern, lines: &held, offsets, taps, bias: 0.0 };
                store.sums(simd, rows, room, block, segments);
            },
        );
    }
}
