//! Tap by tap over flat rows, block of rows by block of rows.
//!
//! Interior columns of f32 input are read where they lie (`source/interior.rs`); others (bytes, columns near the
//! border, strides over few channels) go through lines of a tile (`source/lines.rs`).

mod small;

use std::ops::Range;

use fearless_simd::{Simd, SimdBase};

use super::kernels::{self, Block, Segments};
use super::raw::Scalar;
use super::scratch::Scratch;
use super::sink::{self, Sink};
use super::source::{self, Interior, Lines};
use super::task::{Blocks, Task, tiles};
use crate::{ElementType, Problem};
pub(super) use small::{Images, small};

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
    task: Task<'_>,
    scratch: &mut Scratch,
) {
    match problem.input_type() {
        ElementType::U8 => run_of::<S, u8>(simd, problem, src, task, scratch),
        ElementType::U16 => run_of::<S, u16>(simd, problem, src, task, scratch),
        // Halves go through lines, all of them.
        ElementType::F32 | ElementType::F16 => run_of::<S, f32>(simd, problem, src, task, scratch),
    }
}

/// The same, whose interior is read as scalars of this type.
#[inline(always)]
fn run_of<S: Simd, T: Scalar>(
    simd: S,
    problem: &Problem,
    src: &[u8],
    mut task: Task<'_>,
    scratch: &mut Scratch,
) {
    let g = problem.geometry();
    let taps = &problem.weights().taps[..];
    let image = source::image(problem, src, task.image);
    let interior = Interior::<T>::of::<S>(problem, image);
    let staged = problem.input_type() != ElementType::F32 || !sink::in_place(problem);
    let Scratch { lines, window, staged: room, .. } = scratch;
    let tile = task.tile.unwrap_or(if staged { STAGED_TILE } else { TILE });
    let wanted = &task.columns;
    let within = |part: Range<usize>| {
        part.start.max(wanted.start)..part.end.min(wanted.end).max(part.start.max(wanted.start))
    };
    for columns in tiles(g, interior.parts(g).map(within), tile) {
        let interior = interior.within(&columns);
        let places = columns.len() * g.channels;
        let segments =
            interior.as_ref().map_or(Segments::one(places), |interior| interior.segments);
        let at_once = kernels::rows_at_once::<S, T>(g, g.kernel);
        let blocks = Blocks::new(g, task.rows.len(), at_once, g.kernel, 1).overlapping();
        let count = blocks.pattern.needed.len();
        let from = columns.start * g.channels;
        let streamed = task.streamed;
        let mut sink = Sink { problem, planes: &mut task.planes, from, places, streamed };
        if let Some(interior) = interior {
            let mut constant = Vec::new();
            interior.fill(&mut constant);
            let mut there: Vec<&[T]> = Vec::with_capacity(count);
            blocks.each(
                &task.rows,
                #[inline(always)]
                |rows, pattern, needed| {
                    there.clear();
                    there.extend(needed.iter().map(|row| interior.line(*row, &constant)));
                    let block = Block {
                        pattern,
                        lines: &there,
                        offsets: &interior.offsets,
                        taps,
                        bias: 0.0,
                    };
                    sink.sums(simd, rows, room, block, segments);
                },
            );
            continue;
        }
        let mut lines = Lines::new(problem, columns, lines, window).with(count, S::f32s::LEN);
        let mut at = Vec::with_capacity(count);
        blocks.each(
            &task.rows,
            #[inline(always)]
            |rows, pattern, needed| {
                lines.slide(simd, image, needed, &mut at);
                let there: Vec<&[f32]> = at.iter().map(|line| lines.line(*line)).collect();
                let offsets = lines.offsets();
                let block = Block { pattern, lines: &there, offsets, taps, bias: 0.0 };
                sink.sums(simd, rows, room, block, segments);
            },
        );
    }
}
