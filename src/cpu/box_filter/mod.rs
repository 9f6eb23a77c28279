//! Box filters of whole numbers by running sums, in a time that does not grow with the kernel.
//!
//! A sum of bytes is exact in whatever order it is made, so it may be made of the one before it. Going down, the
//! sum of a column gains the row that enters and loses the one that leaves. Along a row the sum of a window gains
//! and loses columns in the same way, but a step of one pixel would wait for the one before it. So each is made
//! of the one a *hop* of pixels before, a whole run of vectors at once:
//!
//! ```text
//!  columns   [ leave | . . . . . . | enter ]        hops[x] = sum of the columns from x on, a hop of them
//!  sum at x  [=====================]
//!  sum at x + hop    [=====================]        = sum at x + hops[x + width] - hops[x]
//! ```
//!
//! One sum becomes one output: times the tap, rounded once, and the bias is added.

use std::marker::PhantomData;
use std::ops::Range;

use fearless_simd::Simd;

use crate::cpu::scratch::Scratch;
use crate::cpu::sink::Sink;
use crate::cpu::source::{Image, Input};
use crate::cpu::task::{Rows, Task, tiles};
use crate::memory::{self, NoRoom};
use crate::problem::Geometry;
use crate::{Element, ElementType, Problem};

/// Scalars of a tile: column sums, hops and window sums of it stay near the first cache.
const TILE: usize = 1 << 11;
/// Scalars of a hop at least: some vectors, so that a loop over them pays.
const HOP: usize = 32;

/// Computes one task of a problem that the plan found fit for it.
#[inline(always)]
pub(super) fn run<S: Simd>(
    simd: S,
    problem: &Problem,
    src: Input<'_>,
    task: Task<'_>,
    scratch: &mut Scratch,
) -> Result<(), NoRoom> {
    match problem.input_type() {
        ElementType::U8 | ElementType::I8 => run_on::<S, u8>(simd, problem, src, task, scratch),
        ElementType::U16 | ElementType::I16 => run_on::<S, u16>(simd, problem, src, task, scratch),
        // Whose sums f32 does not hold: the plan does not choose it.
        ElementType::F32
        | ElementType::F16
        | ElementType::U32
        | ElementType::I32
        | ElementType::F64 => Ok(()),
    }
}

/// What numbers are lifted by, so that they are summed as unsigned ones of `T`: none, or half of all that signed ones
/// are, which turns their sign bit.
fn lift<T: Element>(problem: &Problem) -> u32 {
    match problem.input_type().integers() {
        Some(all) if *all.start() < 0 => 1 << (8 * size_of::<T>() - 1),
        _ => 0,
    }
}

fn run_on<S: Simd, T: Element + Into<u32>>(
    simd: S,
    problem: &Problem,
    src: Input<'_>,
    mut task: Task<'_>,
    scratch: &mut Scratch,
) -> Result<(), NoRoom> {
    let g = problem.geometry();
    let (tap, bias) = (problem.weights().taps[0], problem.weights().bias[0]);
    let lifted = lift::<T>(problem).wrapping_mul((g.kernel.0 * g.kernel.1) as u32);
    let image = Image::new(problem, src, task.image);
    let Scratch { whole: [sums, hops, more, windows], staged, .. } = scratch;
    let whole_rows = std::iter::once(0..g.out_width);
    for columns in tiles(g, whole_rows, task.tile.unwrap_or(TILE)) {
        let places = columns.len() * g.channels;
        let from = columns.start * g.channels;
        let streamed = task.streamed;
        let mut sink = Sink { problem, planes: &mut task.planes, from, places, streamed };
        sink.reserve(1, staged)?;
        let mut down = ColumnSums::<T>::new(problem, image, &columns, sums)?;
        let pixels = (columns.len() - 1) * g.stride.1 + 1;
        memory::resize("sums of windows", windows, pixels * g.channels, 0)?;
        // What hops are made of is never more than the columns.
        for hops in [&mut *hops, &mut *more] {
            memory::reserve("sums of hops", hops, down.sums.len())?;
        }
        for row in task.rows.clone() {
            down.slide(simd, g.first_row(row));
            simd.vectorize(
                #[inline(always)]
                || sum_windows(down.sums, g.kernel.1, g.channels, [hops, more], windows),
            );
            let rows = Rows { first: row - task.rows.start, spacing: 1, count: 1 };
            sink.fill(simd, rows, staged, |_, out| {
                simd.vectorize(
                    #[inline(always)]
                    || finish(windows, g, lifted, (tap, bias), out[0]),
                );
            });
        }
    }
    Ok(())
}

/// The outputs of a row.
#[inline(always)]
fn finish(windows: &[u32], g: &Geometry, lifted: u32, (tap, bias): (f32, f32), out: &mut [f32]) {
    // Below 2^24, so exact; of signed numbers, as processors convert those.
    let output = |sum: u32| sum.wrapping_sub(lifted).cast_signed() as f32 * tap + bias;
    if g.stride.1 == 1 {
        for (out, sum) in out.iter_mut().zip(windows) {
            *out = output(*sum);
        }
        return;
    }
    let picked = windows.chunks(g.channels).step_by(g.stride.1);
    for (out, pixel) in out.chunks_mut(g.channels).zip(picked) {
        for (out, sum) in out.iter_mut().zip(pixel) {
            *out = output(*sum);
        }
    }
}

/// Sums of the rows that an output row meets, for the columns that a tile needs, the border's among them.
struct ColumnSums<'a, T> {
    image: Image<'a>,
    scalars: PhantomData<T>,
    /// See [`lift`]: the bit that is turned in each.
    flip: u32,
    problem: &'a Problem,
    /// The rows that they are of.
    held: Range<isize>,
    sums: &'a mut [u32],
    /// Where the columns inside the input lie among them, and in a row.
    inside: Range<usize>,
    from: usize,
    /// Columns beyond it: where they lie among them, and where they are read in a row.
    outside: Vec<(usize, Option<usize>)>,
}

impl<'a, T: Element + Into<u32>> ColumnSums<'a, T> {
    /// Of no rows yet.
    fn new(
        problem: &'a Problem,
        image: Image<'a>,
        columns: &Range<usize>,
        sums: &'a mut Vec<u32>,
    ) -> Result<Self, NoRoom> {
        let g = problem.geometry();
        let count = (columns.len() - 1) * g.stride.1 + g.kernel.1;
        let first = g.first_column(columns.start);
        let before = |end: usize| usize::try_from(end as isize - first).unwrap_or(0).min(count);
        let inside = before(0)..before(g.width);
        let continued = |k: usize| {
            let at = problem.border().columns().index(first + k as isize, g.width);
            (k * g.channels, at.map(|at| at * g.channels))
        };
        let outside = (0..inside.start).chain(inside.end..count).map(continued);
        let outside =
            memory::collected("the list of columns beyond an edge", count - inside.len(), outside)?;
        // A tile may lie beyond the input as a whole.
        let from = match inside.is_empty() {
            true => 0,
            false => (first + inside.start as isize) as usize * g.channels,
        };
        sums.clear();
        memory::resize("sums of columns", sums, count * g.channels, 0)?;
        let inside = inside.start * g.channels..inside.end * g.channels;
        let flip = lift::<T>(problem);
        let (scalars, held) = (PhantomData, 0..0);
        Ok(Self { image, scalars, flip, problem, held, sums, inside, from, outside })
    }

    /// Makes them those of the rows from `first` on.
    fn slide<S: Simd>(&mut self, simd: S, first: isize) {
        let rows = self.problem.geometry().kernel.0 as isize;
        let (wanted, held) = (first..first + rows, self.held.clone());
        let moved = wanted.start - held.start;
        simd.vectorize(
            #[inline(always)]
            || {
                if held.is_empty() || 2 * moved >= rows {
                    self.sums.fill(0);
                    wanted.clone().for_each(|row| self.change(row, u32::wrapping_add));
                } else {
                    let pairs = (held.end..wanted.end).zip(held.start..wanted.start);
                    pairs.for_each(|(enter, leave)| self.replace(enter, leave));
                }
            },
        );
        self.held = wanted;
    }

    /// A row of the continued input, or `None` where the border's constant stands for it.
    #[inline(always)]
    fn row(&self, row: isize) -> Option<&'a [T]> {
        let g = self.problem.geometry();
        let row = self.problem.border().rows().index(row, g.height)?;
        Some(self.image.row(row))
    }

    /// Adds a row, or takes it off.
    #[inline(always)]
    fn change(&mut self, row: isize, change: impl Fn(u32, u32) -> u32 + Copy) {
        match self.row(row) {
            Some(row) => {
                let flip = self.flip;
                for (sum, x) in self.sums[self.inside.clone()].iter_mut().zip(&row[self.from..]) {
                    *sum = change(*sum, (*x).into() ^ flip);
                }
                self.beyond(row, change);
            }
            None => self.constant(change),
        }
    }

    /// Adds a row and takes off another.
    #[inline(always)]
    fn replace(&mut self, enter: isize, leave: isize) {
        let (Some(enter), Some(leave)) = (self.row(enter), self.row(leave)) else {
            self.change(enter, u32::wrapping_add);
            return self.change(leave, u32::wrapping_sub);
        };
        let flip = self.flip;
        let rows = enter[self.from..].iter().zip(&leave[self.from..]);
        for (sum, (enter, leave)) in self.sums[self.inside.clone()].iter_mut().zip(rows) {
            *sum = sum.wrapping_add((*enter).into() ^ flip).wrapping_sub((*leave).into() ^ flip);
        }
        self.beyond(enter, u32::wrapping_add);
        self.beyond(leave, u32::wrapping_sub);
    }

    /// What a row is to the columns beyond the input.
    #[inline(always)]
    fn beyond(&mut self, row: &[T], change: impl Fn(u32, u32) -> u32) {
        let (channels, flip) = (self.problem.geometry().channels, self.flip);
        let constant = constant(self.problem).wrapping_add(self.flip);
        for (to, from) in &self.outside {
            let sums = &mut self.sums[*to..*to + channels];
            match from {
                Some(from) => {
                    for (sum, x) in sums.iter_mut().zip(&row[*from..*from + channels]) {
                        *sum = change(*sum, (*x).into() ^ flip);
                    }
                }
                None => sums.iter_mut().for_each(|sum| *sum = change(*sum, constant)),
            }
        }
    }

    /// What a row of the border's constant is to all columns.
    #[inline(always)]
    fn constant(&mut self, change: impl Fn(u32, u32) -> u32) {
        let constant = constant(self.problem).wrapping_add(self.flip);
        self.sums.iter_mut().for_each(|sum| *sum = change(*sum, constant));
    }
}

/// The border's constant, which the plan saw to be a whole number.
#[inline(always)]
fn constant(problem: &Problem) -> u32 {
    (problem.border().fill() as i32).cast_unsigned()
}

/// Sums of `width` columns from each pixel on.
#[inline(always)]
fn sum_windows(
    columns: &[u32],
    width: usize,
    channels: usize,
    [hops, more]: [&mut Vec<u32>; 2],
    windows: &mut [u32],
) {
    let width = width * channels;
    let mut pixels = 1;
    while pixels * channels < HOP {
        pixels *= 4;
    }
    let hop = (pixels * channels).min(windows.len());
    // The first ones one by one.
    let (first, rest) = windows[..hop].split_at_mut(channels);
    first.copy_from_slice(&columns[..channels]);
    for column in columns[channels..width].chunks(channels) {
        for (sum, column) in first.iter_mut().zip(column) {
            *sum = sum.wrapping_add(*column);
        }
    }
    let mut last: &[u32] = first;
    let pairs = columns[width..].chunks(channels).zip(columns.chunks(channels));
    for (sums, (enter, leave)) in rest.chunks_mut(channels).zip(pairs) {
        for (n, sum) in sums.iter_mut().enumerate() {
            *sum = last[n].wrapping_add(enter[n]).wrapping_sub(leave[n]);
        }
        last = sums;
    }
    if hop == windows.len() {
        return;
    }
    // Sums of four, of sixteen, and so on.
    let mut summed = 1;
    while summed < pixels {
        let from = if summed == 1 { columns } else { &more[..] };
        fours(from, summed * channels, hops);
        std::mem::swap(hops, more);
        summed *= 4;
    }
    let hops = if pixels == 1 { columns } else { &more[..] };
    for start in (hop..windows.len()).step_by(hop) {
        let (made, rest) = windows.split_at_mut(start);
        let made = &made[start - hop..];
        let (leave, enter) = (&hops[start - hop..], &hops[start - hop + width..]);
        let changes = enter.iter().zip(leave);
        for (sum, (last, (enter, leave))) in rest.iter_mut().zip(made.iter().zip(changes)) {
            *sum = last.wrapping_add(*enter).wrapping_sub(*leave);
        }
    }
}

/// Sums of four scalars, each `apart` from the next.
#[inline(always)]
fn fours(from: &[u32], apart: usize, to: &mut Vec<u32>) {
    let len = from.len().saturating_sub(3 * apart);
    to.resize(len, 0);
    let [a, b, c, d] = [0, 1, 2, 3].map(|n| &from[n * apart..][..len]);
    for (n, to) in to.iter_mut().enumerate() {
        *to = a[n].wrapping_add(b[n]).wrapping_add(c[n].wrapping_add(d[n]));
    }
}

#[cfg(test)]
mod tests;
