//! The micro-kernels: sums of taps over lines of scalars, one loop nest a file.
//!
//! A micro-kernel makes a *block* of sums: some output rows by some vectors along them, each sum a vector
//! register of its own (an accumulator). For every input line and tap column it loads the block's vectors,
//! and every output row that the line meets broadcasts its tap and multiplies and adds:
//!
//! ```text
//!                 x ─▶  VECTORS                    for each line, top to bottom
//!  line 0     [ v v v ]──────────┐                   for each tap column, left to right
//!  line 1     [ v v v ]────────┐ │                     load VECTORS vectors
//!  line 2     [ v v v ]──────┐ │ │                     for each row of the block that meets the line
//!  line 3     [ v v v ]      │ │ │                       broadcast a tap
//!                            ▼ ▼ ▼                       VECTORS fused multiply-adds
//!             rows 0..ROWS  of accumulators        store ROWS by VECTORS vectors
//! ```
//!
//! So a vector that is loaded serves up to as many rows as the kernel has, and a tap that is broadcast
//! serves all vectors. What a block holds is bounded by the registers ([`Shape`]); what it takes is bounded
//! by two fused multiply-adds a cycle or by two loads a cycle, broadcasts among them. Of 3x3 taps a block of
//! 3 rows by 4 vectors makes 108 multiply-adds of 87 loads, and 6 by 4 makes 216 of 150.
//!
//! That they are held in registers is seen to by `raw::order`: compilers would order the multiply-adds
//! of a step anew, row by row.
//!
//! Whatever the block, and the place in it, a sum is added up in one order: bias, lines, columns. So
//! results do not depend on how the work is cut.
#![allow(
    clippy::needless_range_loop,
    reason = "accumulators are named by row and vector; iterators over arrays are not always unrolled"
)]
#![allow(
    clippy::absurd_extreme_comparisons,
    reason = "`unroll!` names lines by constants, and the first is 0"
)]

/// `body` for `AT` from 0 to below `end`, which is at most 10, one after the other in the code: what compilers
/// leave a loop keeps no accumulators in registers.
macro_rules! unroll {
    ($at:ident in $end:expr => $body:expr) => {
        unroll!(@ $at $end, $body, 0 1 2 3 4 5 6 7 8 9)
    };
    (@ $at:ident $end:expr, $body:expr, $($n:literal)*) => { $(
        if const { $n < $end } {
            const $at: usize = $n;
            $body
        }
    )* };
}

mod any;
mod column;
mod double;
mod integers;
mod pattern;
mod segments;
#[cfg(test)]
mod tests;
mod unrolled;

pub(super) use double::{DOUBLE_ROWS, double, double_rows, double_step};
use fearless_simd::{Simd, SimdBase, SimdFloat};

pub(super) use pattern::{Pattern, spacing};
use segments::Segment;
pub(super) use segments::Segments;

use super::raw::{self, Reads, Scalar};
use crate::problem::{Geometry, Integers};

/// Rows of accumulators by vectors of each: what the registers hold beside the vectors that are loaded and a
/// tap.
struct Shape {
    rows: usize,
    vectors: usize,
}

/// Of 16 registers (SSE, AVX2, wasm): 12 accumulators, three taps, one vector.
const OF_16: Shape = Shape { rows: 3, vectors: 4 };
/// Of 32 (AVX-512, NEON): 24 accumulators, four vectors, a tap.
const OF_32: Shape = Shape { rows: 6, vectors: 4 };
/// The same of a single tap column of many rows: for each line few vectors and many taps. So a line passes from
/// the second cache half as often, whose bandwidth bounds blocks of three rows.
const TALL_OF_16: Shape = Shape { rows: 6, vectors: 2 };
/// Vectors of a block of one row.
const VECTORS_OF_ONE: usize = 8;

/// Most lines of a square block: of 6 rows of 5x5 taps.
const MOST_LINES: usize = 10;
/// Most output rows of a block.
pub(super) const MAX_ROWS: usize = OF_32.rows;
/// Vectors of a block of several rows.
const MOST_VECTORS: usize = OF_32.vectors;
/// Most lanes: AVX-512's.
pub(super) const MOST_LANES: usize = 16;

/// Places of a block of several rows, which those of scalars that are not f32 should fill.
pub(super) fn places_at_once<S: Simd>() -> usize {
    let shape = if wide::<S>() { OF_32 } else { OF_16 };
    shape.vectors * S::f32s::LEN
}

/// Whether a level has 32 vector registers.
#[inline(always)]
const fn wide<S: Simd>() -> bool {
    S::f32s::LEN == 16 || cfg!(target_arch = "aarch64")
}

/// Whether it is bytes that become bytes.
const fn is_bytes<T: Scalar, U: Scalar>() -> bool {
    size_of::<T>() == 1 && size_of::<U>() == 1
}

/// Output rows of a block of lines of `T`, and a kernel with so many rows and columns.
pub(super) fn rows_at_once<S: Simd, T: Scalar>(g: &Geometry, kernel: (usize, usize)) -> usize {
    match (spacing(g).1, kernel) {
        // No two rows of a block would meet the same line.
        (phases, (rows, _)) if rows <= phases => 1,
        _ if wide::<S>() => OF_32.rows,
        // Some line meets all rows.
        (phases, (rows, 1)) if T::IS_F32 && rows > (TALL_OF_16.rows - 1) * phases => {
            TALL_OF_16.rows
        }
        _ => OF_16.rows,
    }
}

/// Adds to the accumulators what a line and a tap column bring: each row's tap, where it meets the line, times
/// each vector. Of what is the fewer, taps or vectors, all are held, and the others one after the other: so a
/// block has `ROWS * VECTORS`, the smaller of both and one more registers.
#[inline(always)]
fn add<S: Simd, const R: usize, const V: usize>(
    simd: S,
    vector: impl Fn(usize) -> S::f32s,
    tap: impl Fn(usize) -> Option<f32>,
    sums: &mut [[S::f32s; V]; R],
) {
    if const { R < V } {
        let mut taps: [Option<S::f32s>; R] = [None; R];
        for r in 0..R {
            if let Some(tap) = tap(r) {
                taps[r] = Some(S::f32s::splat(simd, tap));
            }
        }
        for v in 0..V {
            let value = vector(v);
            for r in 0..R {
                if let Some(tap) = taps[r] {
                    sums[r][v] = value.mul_add(tap, sums[r][v]);
                }
            }
        }
    } else {
        let mut values = [S::f32s::splat(simd, 0.0); V];
        for v in 0..V {
            values[v] = vector(v);
        }
        for r in 0..R {
            if let Some(tap) = tap(r) {
                let tap = S::f32s::splat(simd, tap);
                for v in 0..V {
                    sums[r][v] = values[v].mul_add(tap, sums[r][v]);
                }
            }
        }
    }
}

/// What is summed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a, T = f32> {
    pub pattern: &'a Pattern,
    /// The input rows that the pattern needs.
    pub lines: &'a [&'a [T]],
    /// Where each tap column starts in a line.
    pub offsets: &'a [usize],
    /// `[terms, kernel height, kernel width]`.
    pub taps: &'a [f32],
    pub bias: f32,
    /// The same as integers, where it is bytes that become bytes.
    pub integers: Option<&'a Integers>,
    /// Lines that the next block needs beside these, which are asked for step by step: so memory is read while
    /// sums are made, and not before or after.
    pub ahead: &'a [&'a [T]],
}

/// Rows of so many sums each, one behind the other.
pub(super) fn rows(sums: &mut [f32], places: usize) -> [&mut [f32]; MAX_ROWS] {
    let mut rows = sums.chunks_mut(places);
    std::array::from_fn(|_| rows.next().unwrap_or_default())
}

impl<'a, T: Scalar> Block<'a, T> {
    /// Without bias, of taps that are no integers, and that asks for nothing.
    pub fn new(
        pattern: &'a Pattern,
        lines: &'a [&'a [T]],
        offsets: &'a [usize],
        taps: &'a [f32],
    ) -> Self {
        Self { pattern, lines, offsets, taps, bias: 0.0, integers: None, ahead: &[] }
    }

    /// What a pattern that [`is_square`](Pattern::is_square) reads of a segment.
    #[inline(always)]
    fn square<const SIDE: usize, const R: usize>(
        &self,
        Segment { from, len, .. }: Segment,
    ) -> Reads<T, [&'a [T]; MOST_LINES], [usize; SIDE]> {
        // Lines that are not there are the first one, and nothing is loaded of them.
        let lines = std::array::from_fn(
            #[inline(always)]
            |i| &self.lines[if i < R - 1 + SIDE { i } else { 0 }][from..],
        );
        let offsets = std::array::from_fn(
            #[inline(always)]
            |j| self.offsets[j],
        );
        Reads::new(lines, offsets, len)
    }

    /// Asks for what the next block reads at a place: of as many lines as this one has rows at most.
    #[inline(always)]
    fn ask_ahead<S: Simd, const R: usize, const V: usize>(&self, place: usize) {
        if let [first, rest @ ..] = self.ahead {
            raw::prefetch_at(first, place, V * S::f32s::LEN);
            // No loop, so that the one along the row is the innermost.
            for r in 1..R {
                let line = rest.get(r - 1).unwrap_or(first);
                raw::prefetch_at(line, place, V * S::f32s::LEN);
            }
        }
    }

    /// The sums of some segments into each row of `out`.
    // Once for each level: it is large.
    #[inline(never)]
    pub fn sum<S: Simd, U: Scalar>(self, simd: S, segments: Segments, out: &mut [&mut [U]]) {
        simd.vectorize(
            #[inline(always)]
            || {
                for segment in segments.each() {
                    if const { wide::<S>() } {
                        self.segment::<S, { OF_32.rows }, { OF_32.vectors }, U>(simd, segment, out);
                    } else if const { T::IS_F32 } && self.pattern.rows > OF_16.rows {
                        self.tall(simd, segment, out);
                    } else {
                        self.segment::<S, { OF_16.rows }, { OF_16.vectors }, U>(simd, segment, out);
                    }
                }
            },
        );
    }

    #[inline(always)]
    fn segment<S: Simd, const R: usize, const V: usize, U: Scalar>(
        self,
        simd: S,
        segment: Segment,
        out: &mut [&mut [U]],
    ) {
        let Segment { len, .. } = segment;
        let lanes = S::f32s::LEN;
        if const { is_bytes::<T, U>() }
            && let Some(integers) = self.integers
            && len >= V * lanes
        {
            if self.pattern.is_square::<R>(3) {
                return self.integers::<S, 3, R, U>(simd, integers, segment, out);
            }
            if self.pattern.is_square::<R>(5) {
                return self.integers::<S, 5, R, U>(simd, integers, segment, out);
            }
        }
        if len >= V * lanes && self.pattern.is_square::<R>(3) {
            self.unrolled::<S, 3, R, V, U>(simd, segment, out);
        } else if len >= V * lanes && self.pattern.is_square::<R>(5) {
            self.unrolled::<S, 5, R, V, U>(simd, segment, out);
        } else if const { !T::IS_F32 } {
            // The others are made for f32 alone: they decide how long the crate takes to compile.
            if len >= V * lanes {
                self.any::<S, R, V, U>(simd, segment, out);
            } else {
                self.padded::<S, R, V, U>(simd, segment, out);
            }
        } else if len >= V * lanes && self.pattern.is_column::<R>() {
            self.column::<S, R, V, U>(simd, segment, out);
        } else if out.len() == 1 && len >= VECTORS_OF_ONE * lanes {
            self.any::<S, 1, VECTORS_OF_ONE, U>(simd, segment, out);
        } else if len >= V * lanes {
            self.any::<S, R, V, U>(simd, segment, out);
        } else if len >= lanes {
            self.any::<S, R, 1, U>(simd, segment, out);
        } else {
            self.tail::<S, R, U>(simd, segment, out);
        }
    }

    /// Fewer places than a block has, of scalars that are not f32: copies of these, summed into a block of
    /// which the first places are stored.
    #[inline(always)]
    fn padded<S: Simd, const R: usize, const V: usize, U: Scalar>(
        self,
        simd: S,
        Segment { from, to, len }: Segment,
        out: &mut [&mut [U]],
    ) {
        let width = V * S::f32s::LEN;
        let offsets: Vec<usize> = (0..self.offsets.len()).map(|j| j * width).collect();
        let mut copied = vec![T::default(); self.lines.len() * self.offsets.len() * width];
        let copies = copied.chunks_exact_mut(width);
        let starts = self.lines.iter().flat_map(|line| self.offsets.iter().map(move |o| (line, o)));
        for (copy, (line, offset)) in copies.zip(starts) {
            copy[..len].copy_from_slice(&line[from + offset..][..len]);
        }
        let lines: Vec<&[T]> = copied.chunks_exact(self.offsets.len() * width).collect();
        let mut whole = [[U::default(); MOST_VECTORS * MOST_LANES]; MAX_ROWS];
        let mut rows = whole.each_mut().map(|row| &mut row[..width]);
        let block = Block { lines: &lines, offsets: &offsets, ..self };
        let all = Segment { from: 0, to: 0, len: width };
        block.any::<S, R, V, U>(simd, all, &mut rows[..out.len()]);
        for (row, whole) in out.iter_mut().zip(whole) {
            row[to..to + len].copy_from_slice(&whole[..len]);
        }
    }

    /// A segment of more rows than a block of 16 registers has otherwise.
    #[inline(always)]
    fn tall<S: Simd, U: Scalar>(self, simd: S, segment: Segment, out: &mut [&mut [U]]) {
        const R: usize = TALL_OF_16.rows;
        const V: usize = TALL_OF_16.vectors;
        let block = segment.len >= V * S::f32s::LEN;
        if block && self.pattern.is_column::<R>() {
            self.column::<S, R, V, U>(simd, segment, out);
        } else if block {
            self.any::<S, R, V, U>(simd, segment, out);
        } else if segment.len >= S::f32s::LEN {
            self.any::<S, R, 1, U>(simd, segment, out);
        } else {
            self.tail::<S, R, U>(simd, segment, out);
        }
    }

    /// Fewer places than lanes; where the lines do not go on for whole vectors, from copies that do.
    #[inline(always)]
    fn tail<S: Simd, const R: usize, U: Scalar>(
        self,
        simd: S,
        segment: Segment,
        out: &mut [&mut [U]],
    ) {
        let Segment { from, to, len } = segment;
        let lanes = S::f32s::LEN;
        let mut whole = [[U::default(); MOST_LANES]; MAX_ROWS];
        let mut rows = whole.each_mut().map(|row| &mut row[..lanes]);
        let there = &mut rows[..out.len()];
        let places = Segment { from, to: 0, len: lanes };
        let end = self.offsets.iter().max().map_or(0, |offset| from + offset + lanes);
        if self.lines.iter().all(|line| line.len() >= end) {
            self.any::<S, R, 1, U>(simd, places, there);
        } else {
            let offsets: Vec<usize> = (0..self.offsets.len()).map(|j| j * lanes).collect();
            let pitch = offsets.len() * lanes;
            let mut copied = vec![T::default(); self.lines.len() * pitch];
            for (copy, line) in copied.chunks_exact_mut(pitch).zip(self.lines) {
                for (copy, offset) in copy.chunks_exact_mut(lanes).zip(self.offsets) {
                    copy[..len].copy_from_slice(&line[from + offset..][..len]);
                }
            }
            let lines: Vec<&[T]> = copied.chunks_exact(pitch).collect();
            let block = Block { lines: &lines, offsets: &offsets, ..self };
            block.any::<S, R, 1, U>(simd, Segment { from: 0, ..places }, there);
        }
        for (row, whole) in out.iter_mut().zip(whole) {
            row[to..to + len].copy_from_slice(&whole[..len]);
        }
    }
}
