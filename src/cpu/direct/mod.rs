//! Tap by tap over flat rows, block of rows by block of rows.
//!
//! Interior columns of f32 input are read where they lie (`source/interior.rs`); others (bytes, columns near the
//! border, short rows, strides over few channels) go through lines of a tile (`source/lines.rs`).

mod small;
mod strips;

use std::ops::Range;

use fearless_simd::{Simd, SimdBase};

use super::kernels::{self, Block, Segments};
use super::raw;
use super::scratch::{Edge, Scratch};
use super::sink::{self, Sink};
use super::source::{self, Interior, Lines, recycled};
use super::task::{Blocks, Task};
use crate::{ElementType, Problem};
pub(super) use small::{Images, small};
use strips::{Strip, strips};

/// Scalars of a tile that is computed where it lies: the lines of a block of rows, those of a 5x5 kernel
/// say, stay in a core's second cache from block to block.
const TILE: usize = 1 << 13;
/// Of one that goes through lines or sums of its own: they stay in the first cache.
const STAGED_TILE: usize = 1 << 10;
/// Scalars of a row that is copied whole: its edges would be as much work as the copy. So short a row ends before
/// processors see that it is gone through, so what the next block reads and stores is asked for.
const SHORT_ROW: usize = 1 << 9;

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
    let image = source::image(problem, src, task.image);
    let interior = Interior::of::<S>(problem, image);
    let staged = problem.input_type() != ElementType::F32 || !sink::in_place(problem);
    let tile = task.tile.unwrap_or(if staged { STAGED_TILE } else { TILE });
    let edge_tile = task.tile.unwrap_or(STAGED_TILE);
    let parts = interior.parts(g);
    let edges = parts[0].len() + parts[2].len();
    let short = edges > 0 && g.out_width * g.channels <= SHORT_ROW;
    let parts = if short { [0..g.out_width, 0..0, 0..0] } else { parts };
    let wanted = &task.columns;
    let parts = parts.map(|part: Range<usize>| {
        part.start.max(wanted.start)..part.end.min(wanted.end).max(part.start.max(wanted.start))
    });
    let at_once = kernels::rows_at_once::<S>(g, g.kernel.0);
    let blocks = Blocks::new(g, task.rows.len(), at_once, g.kernel, 1).overlapping();
    let count = blocks.pattern.needed.len();
    let Scratch { edges: [first, second], constant, staged: room, .. } = scratch;
    let row = g.out_row() * problem.output_type().bytes();
    let (mut at, mut there) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for Strip { before, inside, behind } in strips(g, parts, (edge_tile, tile)) {
        let inside = inside.and_then(|columns| Some((interior.within(&columns)?, columns)));
        if let Some((inside, _)) = &inside {
            inside.fill(constant);
        }
        let mut edges = [(before, &mut *first), (behind, &mut *second)].map(|(columns, edge)| {
            let (columns, Edge { lines, window, staged }) = (columns?, edge);
            let lines = Lines::new(problem, columns.clone(), lines, window);
            let ahead = if short { at_once * g.stride.0 } else { 0 };
            Some((lines.with(count, S::f32s::LEN).ahead(ahead), staged, columns))
        });
        blocks.each(
            &task.rows,
            #[inline(always)]
            |rows, pattern, needed| {
                if short {
                    let next = (rows.first + at_once) * row..(rows.first + 2 * at_once) * row;
                    for plane in &task.planes {
                        raw::prefetch(plane.get(next.clone()).unwrap_or_default());
                    }
                }
                for part in 0..3 {
                    let mut lines: Vec<&[f32]> = recycled(std::mem::take(&mut there));
                    let (columns, offsets, segments, room) = match (part, &mut edges, &inside) {
                        (1, _, Some((inside, columns))) => {
                            lines.extend(needed.iter().map(|row| inside.line(*row, constant)));
                            (columns, &inside.offsets[..], inside.segments, &mut *room)
                        }
                        (0, [Some((edge, room, columns)), _], _)
                        | (2, [_, Some((edge, room, columns))], _) => {
                            edge.slide(simd, image, needed, &mut at);
                            lines.extend(at.iter().map(|line| edge.line(*line)));
                            let segments = Segments::one(columns.len() * g.channels);
                            (&*columns, edge.offsets(), segments, &mut **room)
                        }
                        _ => continue,
                    };
                    let block = Block { pattern, lines: &lines, offsets, taps, bias: 0.0 };
                    let mut sink = Sink {
                        problem,
                        planes: &mut task.planes,
                        from: (columns.start - task.origin) * g.channels,
                        places: columns.len() * g.channels,
                        streamed: task.streamed,
                    };
                    sink.sums(simd, rows, room, block, segments);
                    there = recycled(lines);
                }
            },
        );
    }
}
