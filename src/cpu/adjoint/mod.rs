//! The adjoint where it is no convolution: what gathers.
//!
//! Along an axis with stride `s` and dilation `d`, place `P` of the output (continued by the padding)
//! meets tap `i` of input `(P - i d) / s`, where that is whole. Places `P` of one remainder by `s` meet
//! the same taps, and each of them is a convolution of stride 1 with these taps in reverse order: a
//! phase. The filters are its terms. What the padding's places sum up to is added to the pixels that
//! they continue.

mod phases;

use std::ops::Range;

use fearless_simd::{Simd, SimdBase};

use super::kernels::{self, Block, MAX_ROWS, Pattern, Segments};
use super::scratch::Scratch;
use super::source::{Image, Input, Window, list};
use super::task::Task;
use crate::element::with_f32_type;
use crate::memory::{self, NoRoom};
use crate::plan::Rectangle;
use crate::problem::Geometry;
use crate::{Element, ElementType, Problem, Sides};
use phases::{Phase, phases};

/// Scalars of a tile that is computed where it lies, and of one that goes through lines or sums of its
/// own.
const TILE: usize = 1 << 13;
const STAGED_TILE: usize = 1 << 11;

/// A phase along columns, with its pattern for blocks of one row and more.
struct Columns {
    phase: Phase,
    patterns: Vec<Pattern>,
    /// `[filters, rows, columns]` of the phase.
    taps: Vec<f32>,
}

/// Which row blocks, where their sums go.
#[derive(Clone)]
struct Rows<'a> {
    phase: &'a Phase,
    columns: &'a [Columns],
    /// Places of the phase, by number.
    places: Range<usize>,
    /// The task's row of the first of them, and how many rows on the next is.
    row: usize,
    step: usize,
}

/// Columns of the padded output, and whether sums are added to what is there, at the pixels they
/// continue.
#[derive(Clone)]
struct Tile {
    places: Range<usize>,
    folded: bool,
}

struct Gather<'a> {
    problem: &'a Problem,
    g: &'a Geometry,
    image: Image<'a>,
    /// Output rows, and columns: all, or all that any padding continues.
    rows: Range<usize>,
    columns: &'a [Range<usize>],
    /// Scalars of a tile, where that is not the usual number.
    tile: Option<usize>,
}

/// All of a task.
pub(super) fn whole(problem: &Problem, task: &Task<'_>) -> [Rectangle; 1] {
    [Rectangle { rows: task.rows.clone(), columns: 0..problem.geometry().out_width }]
}

/// Computes some rectangles of a task: all of it, or those where a border continued anything.
pub(super) fn run<S: Simd>(
    simd: S,
    problem: &Problem,
    rectangles: &[Rectangle],
    src: Input<'_>,
    mut task: Task<'_>,
    scratch: &mut Scratch,
) -> Result<(), NoRoom> {
    let g = problem.geometry();
    let Some(out) = task.planes.first_mut() else { return Ok(()) };
    let image = Image::new(problem, src, task.image);
    let row = g.out_row();
    let mut sums = std::mem::take(&mut scratch.sums);
    let mut at = 0;
    // Rectangles of the same rows are made together.
    while let Some(Rectangle { rows, .. }) = rectangles.get(at) {
        let same = rectangles[at..].iter().take_while(|next| next.rows == *rows);
        let columns: Vec<Range<usize>> = same.map(|next| next.columns.clone()).collect();
        at += columns.len();
        let rows = rows.start.max(task.rows.start)..rows.end.min(task.rows.end);
        if rows.is_empty() {
            continue;
        }
        let first = (rows.start - task.rows.start) * row;
        let len = rows.len() * row;
        let gather = Gather { problem, g, image, rows, columns: &columns, tile: task.tile };
        match bytemuck::try_cast_slice_mut::<u8, f32>(out) {
            Ok(out) if problem.output_type() == ElementType::F32 => {
                gather.all(simd, &mut out[first..first + len], scratch)?;
            }
            _ => {
                memory::at_least("sums of a task", &mut sums, len, 0.0)?;
                gather.all(simd, &mut sums[..len], scratch)?;
                for (n, sums) in sums[..len].chunks(row).enumerate() {
                    for columns in &columns {
                        let part = columns.start * g.channels..columns.end * g.channels;
                        let to = first + n * row;
                        let place = to + part.start..to + part.end;
                        problem.output_type().narrow(&sums[part], out, place);
                    }
                }
            }
        }
    }
    scratch.sums = sums;
    Ok(())
}

impl Gather<'_> {
    /// All sums of the task's rows.
    fn all<S: Simd>(&self, simd: S, out: &mut [f32], scratch: &mut Scratch) -> Result<(), NoRoom> {
        let Self { g, .. } = *self;
        let extent = g.extent();
        let downs: Vec<(Phase, Vec<Columns>)> = phases(g.kernel.0, g.stride.0, g.dilation.0)
            .into_iter()
            .map(|down| {
                let columns = self.columns::<S>(&down);
                (down, columns)
            })
            .collect();
        let across = downs.first().map_or(0, |(_, columns)| columns.len());
        if (downs.len(), across) != g.stride {
            // Between the taps lie places that meet none.
            out.fill(0.0);
        }
        let (main, beyond) = self.tiles::<S>();
        for (down, columns) in &downs {
            let number = |row: usize| (row + g.top).saturating_sub(down.first).div_ceil(g.stride.0);
            let places = number(self.rows.start)..number(self.rows.end);
            if places.is_empty() {
                continue;
            }
            let row = down.first + places.start * g.stride.0 - g.top - self.rows.start;
            let rows = Rows { phase: down, columns, places, row, step: g.stride.0 };
            for tile in &main {
                self.tile(simd, &rows, tile, out, scratch)?;
            }
            self.fold(simd, &rows, &beyond, out, scratch)?;
        }
        if self.problem.border().is_constant() {
            return Ok(());
        }
        // Rows of the padding.
        let end = (g.height - 1) * g.stride.0 + extent.0;
        let padding = (0..g.top.min(end)).chain(g.top + g.out_height..end);
        for place in padding {
            let at = place as isize - g.top as isize;
            let row = self.problem.border().rows().index(at, g.out_height);
            let row = row.filter(|row| self.rows.contains(row));
            let down = downs.iter().find(|(down, _)| place % g.stride.0 == down.first);
            let (Some(row), Some((down, columns))) = (row, down) else { continue };
            let number = (place - down.first) / g.stride.0;
            let rows = Rows {
                phase: down,
                columns,
                places: number..number + 1,
                row: row - self.rows.start,
                step: 1,
            };
            for tile in &main {
                self.tile(simd, &rows, &Tile { folded: true, ..tile.clone() }, out, scratch)?;
            }
            self.fold(simd, &rows, &beyond, out, scratch)?;
        }
        Ok(())
    }

    /// Adds what the padding's columns sum up to. One pixel may stand for several of them: phase by phase,
    /// so that they are added in an order that does not depend on how columns are cut into tiles.
    fn fold<S: Simd>(
        &self,
        simd: S,
        rows: &Rows<'_>,
        beyond: &[Tile],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), NoRoom> {
        for phase in rows.columns {
            let rows = Rows { columns: std::slice::from_ref(phase), ..rows.clone() };
            for tile in beyond {
                self.tile(simd, &rows, tile, out, scratch)?;
            }
        }
        Ok(())
    }

    /// The phases along columns, for a phase along rows.
    fn columns<S: Simd>(&self, down: &Phase) -> Vec<Columns> {
        let Self { g, problem, .. } = *self;
        let filters = g.inputs;
        let across = phases(g.kernel.1, g.stride.1, g.dilation.1);
        let with = |phase: Phase| {
            let kernel = (down.taps.len(), phase.taps.len());
            let place = Geometry { stride: (1, 1), dilation: (down.apart, 1), ..*g };
            let most = self.at_once::<S>(down);
            let pattern = |rows| Pattern::new(&place, rows, kernel, filters);
            let rows = (0..filters).flat_map(|f| down.taps.iter().map(move |i| f * g.kernel.0 + i));
            let taps = rows.flat_map(|row| {
                phase.taps.iter().map(move |j| problem.weights().taps[row * g.kernel.1 + j])
            });
            let taps = taps.collect();
            Columns { patterns: (1..=most).map(pattern).collect(), taps, phase }
        };
        across.into_iter().map(with).collect()
    }

    /// Rows of a block.
    fn at_once<S: Simd>(&self, down: &Phase) -> usize {
        let place = Geometry { stride: (1, 1), dilation: (down.apart, 1), ..*self.g };
        kernels::rows_at_once::<S, f32>(&place, (down.taps.len(), self.g.kernel.1))
    }

    /// Tiles of the columns, and of those of the padding that continue some.
    fn tiles<S: Simd>(&self) -> (Vec<Tile>, Vec<Tile>) {
        let Self { g, problem, columns, .. } = *self;
        let (left, end) = (g.left, g.left + g.out_width);
        // Those between meet taps only where input lies.
        let interior =
            ((g.extent().1 - 1).clamp(left, end), (g.width * g.stride.1).clamp(left, end));
        let interior = (interior.0, interior.1.max(interior.0));
        let in_place = problem.output_type() == ElementType::F32
            && (g.stride.1 == 1 || g.channels >= S::f32s::LEN);
        let usual = if in_place && self.lies() { TILE } else { STAGED_TILE };
        let tile = self.tile.unwrap_or(usual);
        let cut = |range: Range<usize>| {
            let most = (tile / g.channels).max(1);
            let count = range.len().div_ceil(most);
            (0..count).map(move |n| {
                range.start + range.len() * n / count..range.start + range.len() * (n + 1) / count
            })
        };
        let of = |ranges: &[Range<usize>], folded| {
            let cut = ranges.iter().flat_map(|range| cut(range.clone()));
            cut.map(|places| Tile { places, folded }).collect()
        };
        let Sides { before, after } = problem.border().columns();
        let reach = (g.width - 1) * g.stride.1 + g.extent().1;
        let padding = [(before, 0..left.min(reach)), (after, end..reach.max(end))];
        let padding = padding.map(|(border, side)| match border.constant() {
            Some(_) => 0..0,
            None => side,
        });
        let main: Vec<Range<usize>> = columns
            .iter()
            .map(|columns| left + columns.start..left + columns.end)
            .flat_map(|Range { start, end }| {
                let (a, b) = (interior.0.clamp(start, end), interior.1.clamp(start, end));
                [start..a, a..b, b..end]
            })
            .collect();
        (of(&main, false), of(&padding, true))
    }

    /// Whether lines can be read where the input lies.
    fn lies(&self) -> bool {
        self.problem.input_type() == ElementType::F32 && self.g.inputs == 1
    }

    /// The sums of some rows and columns.
    fn tile<S: Simd>(
        &self,
        simd: S,
        rows: &Rows<'_>,
        tile: &Tile,
        out: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), NoRoom> {
        let Self { g, .. } = *self;
        let Scratch { lines, window, staged, constant, .. } = scratch;
        let (stride, reach) = (g.stride.1 as isize, g.extent().1 as isize - 1);
        // Input columns that the tile's places meet.
        let first = (tile.places.start as isize - reach).div_euclid(stride);
        let last = (tile.places.end as isize - 1).div_euclid(stride);
        let inputs = first..last + 1;
        let len = inputs.len() * g.channels;
        let inside = inputs.start >= 0 && inputs.end <= g.width as isize;
        let lies = self.problem.input_type() == ElementType::F32 && self.lies() && inside;

        if rows.columns.iter().all(|columns| self.within(tile, &columns.phase).1 == 0) {
            return Ok(());
        }
        let most = self.at_once::<S>(rows.phase);
        let spacing = rows.phase.apart;
        let count = rows.places.len();
        let at_once = most.min(count.div_ceil(spacing));
        let slots = rows.columns[0].patterns[at_once - 1].needed.len();
        let pitch = len + S::f32s::LEN;
        constant.clear();
        memory::resize("a row of zeros", constant, pitch, 0.0)?;
        if !lies {
            lines.clear();
            memory::resize("lines of a tile", lines, slots * g.inputs * pitch, 0.0)?;
        }
        // Those that are not made where outputs lie.
        let apart = |columns: &Columns| {
            let count = self.within(tile, &columns.phase).1;
            if self.straight::<S>(tile, count).is_some() { 0 } else { count }
        };
        let apart = rows.columns.iter().map(apart).max().unwrap_or(0);
        memory::at_least("sums of a tile", staged, at_once * apart * g.channels, 0.0)?;
        window.clear(slots);
        let (mut needed, mut at) = (Vec::new(), Vec::new());
        let most = rows.columns[0].patterns[at_once - 1].needed.len() * g.inputs;
        for start in (0..count).step_by(spacing * at_once) {
            for from in (start..count).take(spacing) {
                let together = (count - from).div_ceil(spacing).min(at_once);
                let top = (rows.places.start + from) as isize + rows.phase.input;
                needed.clear();
                let pattern = &rows.columns[0].patterns[together - 1];
                needed.extend(pattern.needed.iter().map(|row| top + row));
                if !lies {
                    self.slide(simd, &needed, &inputs, pitch, lines, window, &mut at);
                }
                let mut block: Vec<&[f32]> = list(most)?;
                for f in 0..g.inputs {
                    for (n, row) in needed.iter().enumerate() {
                        let there = usize::try_from(*row).ok().filter(|row| *row < g.height);
                        block.push(match (lies, there) {
                            (_, None) => constant,
                            (true, Some(row)) => {
                                &self.image.row(row)[inputs.start as usize * g.channels..]
                            }
                            (false, Some(_)) => &lines[(at[n] * g.inputs + f) * pitch..][..pitch],
                        });
                    }
                }
                for columns in rows.columns {
                    let to = BlockRows {
                        row: rows.row + from * rows.step,
                        step: spacing * rows.step,
                        count: together,
                    };
                    self.sum(simd, columns, tile, inputs.start, &block, to, out, staged);
                }
            }
        }
        Ok(())
    }

    /// The sums of so many places of a phase, where they are made where outputs lie: with a stride, pixels
    /// that fill vectors.
    fn straight<S: Simd>(&self, tile: &Tile, count: usize) -> Option<Segments> {
        let (channels, stride) = (self.g.channels, self.g.stride.1);
        match stride {
            _ if tile.folded => None,
            1 => Some(Segments::one(count * channels)),
            _ if channels < S::f32s::LEN => None,
            _ => Some(Segments {
                from: 0,
                len: channels,
                step: channels,
                apart: stride * channels,
                count,
            }),
        }
    }

    /// The first of a phase's places in a tile, and how many there are.
    fn within(&self, tile: &Tile, phase: &Phase) -> (usize, usize) {
        let (stride, Range { start, end }) = (self.g.stride.1, tile.places.clone());
        let first = start + (phase.first + stride - start % stride) % stride;
        (first, end.saturating_sub(first).div_ceil(stride))
    }

    /// Sees to it that lines hold these input rows, all filters of each.
    #[expect(clippy::too_many_arguments, reason = "one step of `tile`")]
    fn slide<S: Simd>(
        &self,
        simd: S,
        needed: &[isize],
        columns: &Range<isize>,
        pitch: usize,
        lines: &mut [f32],
        window: &mut Window,
        at: &mut Vec<usize>,
    ) {
        let Self { g, .. } = *self;
        window.slide(
            needed,
            at,
            |slot, row| {
                let Some(row) = usize::try_from(row).ok().filter(|row| *row < g.height) else {
                    return;
                };
                let to = &mut lines[slot * g.inputs * pitch..][..g.inputs * pitch];
                to.fill(0.0);
                // Input columns inside.
                let inside = columns.start.clamp(0, g.width as isize) as usize
                    ..columns.end.clamp(0, g.width as isize) as usize;
                let skip = (inside.start as isize - columns.start) as usize * g.channels;
                simd.vectorize(
                    #[inline(always)]
                    || with_f32_type!(self.problem.input_type(), T => {
                    for (f, to) in to.chunks_exact_mut(pitch).enumerate() {
                        let to = &mut to[skip..];
                        if g.pixel() == g.channels {
                            let from = self.image.row::<T>(f * g.height + row);
                            let part = inside.start * g.channels..inside.end * g.channels;
                            <T as Element>::widen(&from[part], to);
                        } else {
                            let part = inside.start * g.pixel()..inside.end * g.pixel();
                            let values = self.image.row::<T>(row)[part].iter().skip(f).step_by(g.inputs);
                            for (to, value) in to.iter_mut().zip(values) {
                                *to = Element::to_f32(*value);
                            }
                        }
                    }
}),
                );
            },
        );
    }

    /// The sums of one phase along columns, stored or added.
    #[expect(clippy::too_many_arguments, reason = "one step of `tile`")]
    fn sum<S: Simd>(
        &self,
        simd: S,
        columns: &Columns,
        tile: &Tile,
        inputs: isize,
        lines: &[&[f32]],
        to: BlockRows,
        out: &mut [f32],
        staged: &mut [f32],
    ) {
        let Self { g, .. } = *self;
        let Columns { phase, patterns, taps } = columns;
        let stride = g.stride.1;
        let (first, count) = self.within(tile, phase);
        if count == 0 {
            return;
        }
        let input = ((first - phase.first) / stride) as isize + phase.input - inputs;
        let offsets: Vec<usize> = (0..phase.taps.len())
            .map(|n| (input as usize + n * phase.apart) * g.channels)
            .collect();
        let pattern = &patterns[to.count - 1];
        let block = Block::new(pattern, lines, &offsets, taps);
        let places = count * g.channels;
        let row = g.out_row();
        if let Some(segments) = self.straight::<S>(tile, count) {
            let from = (first - g.left) * g.channels;
            let mut rows = out[to.row * row..].chunks_mut(row).step_by(to.step).take(to.count);
            let mut rows = std::array::from_fn::<_, MAX_ROWS, _>(|_| match rows.next() {
                Some(row) => &mut row[from..from + segments.span()],
                None => Default::default(),
            });
            return block.sum(simd, segments, &mut rows[..to.count]);
        }
        let mut rows = kernels::rows(staged, places);
        block.sum(simd, Segments::one(places), &mut rows[..to.count]);
        for (n, sums) in rows[..to.count].iter().enumerate() {
            let out = &mut out[(to.row + n * to.step) * row..][..row];
            for (n, sums) in sums.chunks_exact(g.channels).enumerate() {
                let at = (first + n * stride) as isize - g.left as isize;
                let Some(column) = self.problem.border().columns().index(at, g.out_width) else {
                    continue;
                };
                let pixel = &mut out[column * g.channels..][..g.channels];
                if tile.folded {
                    pixel.iter_mut().zip(sums).for_each(|(to, sum)| *to += sum);
                } else {
                    pixel.copy_from_slice(sums);
                }
            }
        }
    }
}

/// Rows of the task that a block makes.
#[derive(Clone, Copy)]
struct BlockRows {
    row: usize,
    step: usize,
    count: usize,
}
