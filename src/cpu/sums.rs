//! The inner loops: sums of taps over lines of scalars, kept in registers for blocks of rows by
//! vectors, so that each vector that is loaded serves every output row of the block that needs it.
//!
//! What bounds them, on a Zen 3 core with AVX2 (multiply-adds are counted; the most that was seen were
//! 41 thousand million a second, near two vectors a cycle): 3x3 reaches 0.76 of that, 5x5 0.67, 11x11
//! 0.86 and 31x31 all of it, whether lines lie in the first cache or in the second; loads that cross
//! cache lines take the rest. Of images that lie in memory 3x3 is bound by that: it takes as long as a copy.

use fearless_simd::{Simd, SimdBase, SimdFloat};

use super::square;
use crate::problem::Geometry;

/// Most output rows of a block.
pub(super) const MAX_ROWS: usize = square::ROWS;
/// Rows and vectors of a block in general: of the 16 registers of AVX2 and SSE nine hold sums, three
/// what was loaded and one a tap.
pub(super) const ROWS: usize = 3;
const VECTORS: usize = 3;
/// What is left of a block of `square.rs` is made here.
const _: () = assert!(square::ROWS <= ROWS + 1);
/// Vectors of a block of one row.
const VECTORS_OF_ONE: usize = 8;
/// Most lanes: AVX-512's.
pub(super) const MOST_LANES: usize = 16;

/// Input rows that meet the same output rows of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    /// The output rows.
    rows: (usize, usize),
    /// The input rows, by number.
    lines: std::ops::Range<usize>,
    /// The first tap that joins the first of both.
    tap: usize,
}

/// Which input rows a block of output rows needs, and which taps join them.
///
/// Along rows of stride `s` and dilation `d`, with `g = gcd(s, d)`, the rows of a block lie `d / g`
/// apart: there tap `i` of a row meets what tap `i - s / g` of the next row meets, so that an input
/// row joins neighbouring output rows.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    /// Output rows of the block.
    pub rows: usize,
    /// Each input row of a term, counted from the one that tap row 0 of the first output row meets.
    pub needed: Vec<isize>,
    runs: Vec<Run>,
    /// Taps of a row, and from an output row's taps for an input row to those of the row before.
    columns: usize,
    step: usize,
    /// Whether `square.rs` makes it.
    square: bool,
}

/// Distance of a block's rows, and taps between two that meet the same input row.
pub(super) fn spacing(g: &Geometry) -> (usize, usize) {
    let (mut a, mut b) = (g.stride.0, g.dilation.0);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    (g.dilation.0 / a, g.stride.0 / a)
}

/// Output rows of a block of `kernel` over segments of so many places.
pub(super) fn rows_at_once<S: Simd>(g: &Geometry, kernel: (usize, usize), places: usize) -> usize {
    let phases = spacing(g).1;
    if phases == 1 && square::takes::<S>(kernel, places) {
        square::ROWS
    } else if kernel.0 <= phases {
        1
    } else {
        ROWS
    }
}

impl Pattern {
    /// Of `rows` output rows, for the sum over `terms` of kernels with `kernel` rows and columns: the
    /// lines of a term lie together.
    pub fn new(g: &Geometry, rows: usize, kernel: (usize, usize), terms: usize) -> Self {
        let (kh, kw) = kernel;
        let phases = spacing(g).1;
        let mut needed = Vec::new();
        let mut runs: Vec<Run> = Vec::new();
        for term in 0..terms {
            // Input row `at` meets tap `at - r * phases` of output row r.
            let mut line = term * needed.len();
            for at in 0..(rows - 1) * phases + kh {
                let lo = (at + 1).saturating_sub(kh).div_ceil(phases);
                let hi = rows.min(at / phases + 1);
                if lo >= hi {
                    continue;
                }
                if term == 0 {
                    needed.push((at * g.dilation.0) as isize);
                }
                let tap = (term * kh + at - lo * phases) * kw;
                match runs.last_mut() {
                    Some(run)
                        if run.rows == (lo, hi)
                            && run.lines.end == line
                            && run.tap + run.lines.len() * kw == tap =>
                    {
                        run.lines.end += 1;
                    }
                    _ => runs.push(Run { rows: (lo, hi), lines: line..line + 1, tap }),
                }
                line += 1;
            }
        }
        let square = rows == square::ROWS;
        Self { rows, needed, runs, columns: kw, step: phases * kw, square }
    }
}

/// Some places of a flat row that follow one another, in lines and in output rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    from: usize,
    to: usize,
    len: usize,
}

/// Segments at equal distances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segments {
    pub len: usize,
    /// From one to the next in lines.
    pub step: usize,
    /// The same in outputs.
    pub apart: usize,
    pub count: usize,
}

impl Segments {
    /// One.
    pub fn one(len: usize) -> Self {
        Self { len, step: 0, apart: 0, count: 1 }
    }

    /// Of output columns in the flat row of the input: all in one, or with a stride one by one.
    pub fn of(g: &Geometry, columns: usize) -> Self {
        match g.stride.1 {
            1 => Self::one(columns * g.channels),
            stride => {
                let step = stride * g.channels;
                Self { len: g.channels, step, apart: g.channels, count: columns }
            }
        }
    }

    /// Scalars from the first output to the last.
    pub fn span(self) -> usize {
        (self.count - 1) * self.apart + self.len
    }

    #[inline(always)]
    fn each(self) -> impl Iterator<Item = Segment> {
        let Self { len, step, apart, count } = self;
        (0..count).map(move |n| Segment { from: n * step, to: n * apart, len })
    }
}

/// What is summed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub pattern: &'a Pattern,
    /// The input rows that the pattern needs.
    pub lines: &'a [&'a [f32]],
    /// Where each tap column starts in a line.
    pub offsets: &'a [usize],
    /// `[terms, kernel height, kernel width]`.
    pub taps: &'a [f32],
    pub bias: f32,
}

impl Block<'_> {
    /// The sums of some segments into each row of `out`. Whatever the block and the place in it, the
    /// order of summation is the same.
    // Once for each level: it is large.
    #[inline(never)]
    pub fn sum<S: Simd>(self, simd: S, segments: Segments, out: &mut [&mut [f32]]) {
        simd.vectorize(
            #[inline(always)]
            || {
                for segment in segments.each() {
                    self.segment(simd, segment, out);
                }
            },
        );
    }

    #[inline(always)]
    fn segment<S: Simd>(self, simd: S, segment: Segment, out: &mut [&mut [f32]]) {
        let Segment { len, .. } = segment;
        let lanes = S::f32s::LEN;
        let rows = out.len();
        if let [a, b, c, d] = out
            && self.pattern.square
        {
            self.square(simd, [segment.from, segment.to, len], [a, b, c, d]);
        } else if rows == 1 && len >= VECTORS_OF_ONE * lanes {
            self.stepped::<S, 1, VECTORS_OF_ONE>(simd, segment, out);
        } else if len >= VECTORS * lanes {
            self.stepped::<S, ROWS, VECTORS>(simd, segment, out);
        } else if len >= lanes {
            self.stepped::<S, ROWS, 1>(simd, segment, out);
        } else {
            self.few(simd, segment, out);
        }
    }

    /// Steps of `V` vectors; the last one overlaps the one before it.
    #[inline(always)]
    fn stepped<S: Simd, const R: usize, const V: usize>(
        self,
        simd: S,
        segment: Segment,
        out: &mut [&mut [f32]],
    ) {
        let step = V * S::f32s::LEN;
        let last = segment.len - step;
        let mut x = 0;
        loop {
            let sums = self.at::<S, R, V>(simd, segment.from + x);
            for (row, sums) in out.iter_mut().zip(sums) {
                let to = segment.to + x;
                for (row, sum) in row[to..to + step].chunks_exact_mut(S::f32s::LEN).zip(sums) {
                    sum.store_slice(row);
                }
            }
            if x == last {
                break;
            }
            x = (x + step).min(last);
        }
    }

    /// Fewer places than lanes; where the lines do not go on for whole vectors, from copies that do.
    #[inline(always)]
    fn few<S: Simd>(self, simd: S, segment: Segment, out: &mut [&mut [f32]]) {
        let Segment { from, len, .. } = segment;
        let (lanes, columns) = (S::f32s::LEN, self.offsets.len());
        let end = self.offsets.iter().max().map_or(0, |offset| from + offset + lanes);
        if self.lines.iter().all(|line| line.len() >= end) {
            return store_few::<S>(self.at::<S, ROWS, 1>(simd, from), segment, out);
        }
        let offsets: Vec<usize> = (0..columns).map(|j| j * lanes).collect();
        let pitch = columns * lanes;
        let mut copied = vec![0.0; self.lines.len() * pitch];
        for (copy, line) in copied.chunks_exact_mut(pitch).zip(self.lines) {
            for (copy, offset) in copy.chunks_exact_mut(lanes).zip(self.offsets) {
                copy[..len].copy_from_slice(&line[from + offset..from + offset + len]);
            }
        }
        let lines: Vec<&[f32]> = copied.chunks_exact(pitch).collect();
        let block = Block { lines: &lines, offsets: &offsets, ..self };
        store_few::<S>(block.at::<S, ROWS, 1>(simd, 0), segment, out);
    }

    /// `[R, V]` vectors of sums from place `x` of the lines on.
    #[inline(always)]
    fn at<S: Simd, const R: usize, const V: usize>(self, simd: S, x: usize) -> [[S::f32s; V]; R] {
        let Self { lines, offsets, taps, bias, pattern } = self;
        let mut sums = [[S::f32s::splat(simd, bias); V]; R];
        for run in &pattern.runs {
            let lines = &lines[run.lines.clone()];
            let run = Joined { lines, taps, tap: run.tap, pattern, offsets, x, rows: run.rows };
            run.join::<S, R, V>(simd, &mut sums);
        }
        sums
    }
}

/// Stores the first places of a vector.
#[inline(always)]
fn store_few<S: Simd>(sums: [[S::f32s; 1]; ROWS], segment: Segment, out: &mut [&mut [f32]]) {
    let Segment { to, len, .. } = segment;
    for (row, [sum]) in out.iter_mut().zip(sums) {
        let mut whole = [0.0; MOST_LANES];
        sum.store_slice(&mut whole[..S::f32s::LEN]);
        row[to..to + len].copy_from_slice(&whole[..len]);
    }
}

/// A run at some place.
#[derive(Clone, Copy)]
struct Joined<'a> {
    lines: &'a [&'a [f32]],
    taps: &'a [f32],
    tap: usize,
    pattern: &'a Pattern,
    offsets: &'a [usize],
    x: usize,
    rows: (usize, usize),
}

impl Joined<'_> {
    /// Adds the run to the sums of its rows. Which rows is a constant of the loops, so that sums stay in
    /// registers.
    #[inline(always)]
    fn join<S: Simd, const R: usize, const V: usize>(self, simd: S, sums: &mut [[S::f32s; V]; R]) {
        macro_rules! rows {
            ($($lo:literal $hi:literal)*) => {
                match self.rows {
                    $(($lo, $hi) if $hi <= R => self.join_rows::<S, $lo, $hi, R, V>(simd, sums),)*
                    _ => {}
                }
            };
        }
        rows!(0 1  0 2  0 3  1 2  1 3  2 3);
    }

    #[inline(always)]
    fn join_rows<S: Simd, const LO: usize, const HI: usize, const R: usize, const V: usize>(
        self,
        simd: S,
        sums: &mut [[S::f32s; V]; R],
    ) {
        let Self { lines, taps, tap, offsets, x, .. } = self;
        let Pattern { columns, step, .. } = *self.pattern;
        if columns == 1 && step == 1 {
            // Neighbouring lines have neighbouring taps.
            let first = tap + 1 - (HI - LO);
            let at = x + offsets[0];
            for (line, taps) in lines.iter().zip(taps[first..].windows(HI - LO)) {
                let values = load::<S, V>(simd, line, at);
                for r in LO..HI {
                    let k = S::f32s::splat(simd, taps[HI - 1 - r]);
                    for v in 0..V {
                        sums[r][v] = values[v].mul_add(k, sums[r][v]);
                    }
                }
            }
            return;
        }
        let offsets = &offsets[..columns];
        for (n, line) in lines.iter().enumerate() {
            let rows: [&[f32]; R] = std::array::from_fn(
                #[inline(always)]
                |r| {
                    if (LO..HI).contains(&r) {
                        &taps[tap + n * columns - (r - LO) * step..][..columns]
                    } else {
                        Default::default()
                    }
                },
            );
            for (j, offset) in offsets.iter().enumerate() {
                let values = load::<S, V>(simd, line, x + offset);
                for r in LO..HI {
                    let k = S::f32s::splat(simd, rows[r][j]);
                    for v in 0..V {
                        sums[r][v] = values[v].mul_add(k, sums[r][v]);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn load<S: Simd, const V: usize>(simd: S, line: &[f32], at: usize) -> [S::f32s; V] {
    let lanes = S::f32s::LEN;
    let values = &line[at..at + V * lanes];
    std::array::from_fn(
        #[inline(always)]
        |v| S::f32s::from_slice(simd, &values[v * lanes..(v + 1) * lanes]),
    )
}
