//! Tap by tap over flat rows, block of rows by block of rows.
//!
//! Interior columns are read where they lie (`source/interior.rs`); others (halves, columns near the border, short
//! rows, strides over few channels) go through lines of a tile (`source/lines.rs`).

mod small;
mod strips;

use std::ops::Range;

use fearless_simd::{Simd, SimdBase};

use super::kernels::{self, Block, Segments};
use super::raw::{self, Scalar};
use super::scratch::{Edge, Scratch};
use super::sink::{self, Sink};
use super::source::{Image, Input, Interior, Lines, list, recycled};
use super::task::{Blocks, Task};
use crate::memory::NoRoom;
use crate::{ElementType, Problem};
pub(super) use small::{Images, small};
use strips::{Strip, strips};

/// Scalars of a tile that is computed where it lies: the lines of a block of rows, those of a 5x5 kernel
/// say, stay in a core's second cache from block to block.
const TILE: usize = 1 << 13;
/// Of one that goes through lines or sums of its own, which stay in the first cache.
const STAGED_TILE: usize = 1 << 10;
/// Scalars of a row that is copied whole: its edges would be as much work as the copy. So short a row ends before
/// processors see that it is gone through, so what the next block reads and stores is asked for.
const SHORT_ROW: usize = 1 << 9;

/// Computes one task.
#[inline(always)]
pub(super) fn run<S: Simd>(
    simd: S,
    problem: &Problem,
    src: Input<'_>,
    task: Task<'_>,
    scratch: &mut Scratch,
) -> Result<(), NoRoom> {
    match problem.input_type() {
        ElementType::U8 => run_of::<S, u8>(simd, problem, src, task, scratch),
        ElementType::U16 => run_of::<S, u16>(simd, problem, src, task, scratch),
        // Halves and signed integers go through lines, all of them: micro-kernels of their own would be compiled for
        // each. The last three are left to `double` by every plan.
        ElementType::F32
        | ElementType::F16
        | ElementType::I8
        | ElementType::I16
        | ElementType::U32
        | ElementType::I32
        | ElementType::F64 => run_of::<S, f32>(simd, problem, src, task, scratch),
    }
}

/// The same, whose interior is read as scalars of this type.
#[inline(always)]
fn run_of<S: Simd, T: Scalar>(
    simd: S,
    problem: &Problem,
    src: Input<'_>,
    mut task: Task<'_>,
    scratch: &mut Scratch,
) -> Result<(), NoRoom> {
    let g = problem.geometry();
    let taps = &problem.summed_taps()[..];
    let image = Image::new(problem, src, task.image);
    let interior = Interior::<T>::of::<S>(problem, image);
    let staged = !sink::in_place(problem) && !sink::rounds::<T>(problem);
    let tile = task.tile.unwrap_or(if staged { STAGED_TILE } else { TILE });
    let edge_tile = task.tile.unwrap_or(STAGED_TILE);
    let parts = interior.parts(g);
    let edges = parts[0].len() + parts[2].len();
    let short = edges > 0 && g.out_width * g.channels <= SHORT_ROW;
    let parts = if short { [0..g.out_width, 0..0, 0..0] } else { parts };
    let (wanted, task_rows) = (task.columns.clone(), task.rows.clone());
    let parts = parts.map(|part: Range<usize>| {
        part.start.max(wanted.start)..part.end.min(wanted.end).max(part.start.max(wanted.start))
    });
    let integers = problem.integers();
    let integers = integers.as_ref();
    let at_once = kernels::rows_at_once::<S, T>(g, g.kernel);
    let blocks = Blocks::new(g, task.rows.len(), at_once, g.kernel, 1).overlapping();
    let count = blocks.pattern.needed.len();
    let Scratch { edges: [first, second], staged: room, .. } = scratch;
    let mut constant = Vec::new();
    let row = g.out_row() * problem.output_type().bytes();
    let (mut at, mut there) = (list(count)?, list(count)?);
    let mut beside = list(count)?;
    let mut ahead: Vec<&[T]> = Vec::new();
    for Strip { before, inside, behind } in strips(g, parts, (edge_tile, tile)) {
        let inside = inside.and_then(|columns| Some((interior.within(&columns)?, columns)));
        if let Some((inside, _)) = &inside {
            inside.fill(&mut constant)?;
        }
        if let Some((_, columns)) = &inside {
            Sink::of(problem, &mut task, columns).reserve_sums::<T>(blocks.pattern.rows, room)?;
        }
        let mut edges = [None, None];
        for (made, (columns, edge)) in
            edges.iter_mut().zip([(before, &mut *first), (behind, &mut *second)])
        {
            let (Some(columns), Edge { lines, window, staged }) = (columns, edge) else { continue };
            let sink = Sink::of(problem, &mut task, &columns);
            sink.reserve_sums::<f32>(blocks.pattern.rows, staged)?;
            let lines = Lines::new(problem, columns.clone(), lines, window);
            let ahead = if short { at_once * g.stride.0 } else { 0 };
            *made = Some((lines.with(count, S::f32s::LEN)?.ahead(ahead), staged, columns));
        }
        blocks.each(
            &task_rows,
            #[inline(always)]
            |rows, pattern, needed| {
                if short && !task.streamed {
                    let next = (rows.first + at_once) * row..(rows.first + 2 * at_once) * row;
                    for plane in &task.planes {
                        raw::prefetch(plane.get(next.clone()).unwrap_or_default());
                    }
                }
                if let Some((inside, columns)) = &inside {
                    let mut lines: Vec<&[T]> = recycled(std::mem::take(&mut there));
                    lines.extend(needed.iter().map(|row| inside.line(*row, &constant)));
                    // Rows that come in by the next block. (With strides it took longer.)
                    let below = needed.last().map_or(0, |row| row + 1);
                    let below = below..below + at_once as isize;
                    ahead = recycled(std::mem::take(&mut ahead));
                    if g.stride == (1, 1) {
                        ahead.extend(below.filter_map(|row| inside.row(row)));
                    }
                    let (lines_of, offsets) = (&lines[..], &inside.offsets[..]);
                    let block = Block::new(pattern, lines_of, offsets, taps);
                    let block = Block { integers, ahead: &ahead, ..block };
                    let mut sink = Sink::of(problem, &mut task, columns);
                    sink.sums(simd, rows, room, block, inside.segments);
                    there = recycled(lines);
                }
                for (edge, room, columns) in edges.iter_mut().flatten() {
                    edge.slide(simd, image, needed, &mut at);
                    let mut lines: Vec<&[f32]> = recycled(std::mem::take(&mut beside));
                    lines.extend(at.iter().map(|line| edge.line(*line)));
                    let (lines_of, offsets) = (&lines[..], edge.offsets());
                    let block = Block::new(pattern, lines_of, offsets, taps);
                    let segments = Segments::one(columns.len() * g.channels);
                    let mut sink = Sink::of(problem, &mut task, columns);
                    sink.sums(simd, rows, room, block, segments);
                    beside = recycled(lines);
                }
            },
        );
    }
    Ok(())
}
