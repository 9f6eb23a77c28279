//! Input rows as f32 (f64 where sums are made in it), continued by the border to both sides, so that inner loops know no edges.
//!
//! A line holds what the output columns of a tile need of one input row. With a stride of `s`
//! along the row, column `x` lies in phase `x % s`, and the phases lie one after the other: then
//! neighbouring outputs read neighbouring scalars whatever stride, dilation and channels are, and
//! a tap is a fixed offset. Columns between far taps that no output needs are left out, so a line
//! is never longer than the tile times the taps.
//!
//! ```text
//! stride 1, 3 channels, left 1:   [ border rgb | rgb rgb rgb ... rgb | border rgb | slack ]
//! stride 2:                       [ columns 0 2 4 ... | columns 1 3 5 ... | slack ]
//! ```

use std::ops::Range;

use fearless_simd::Simd;

use super::Image;
use super::window::Window;
use crate::cpu::raw;
use crate::element::{with_f32_type, with_type};
use crate::memory::{self, NoRoom};
use crate::problem::Geometry;
use crate::{Borders, Element, ElementType, Problem};

/// Columns of a line that follow each other at the distance of the stride.
#[derive(Debug)]
struct Segment {
    /// The first of them, counted from where tap column 0 of the tile's first output lies.
    first: usize,
    /// How many.
    len: usize,
    /// Where they start in a line, in scalars.
    start: usize,
    /// Those of them, by number, that lie inside the input.
    inside: Range<usize>,
}

impl Segment {
    /// How many columns of this segment's phase lie before column `at`, if it is of that phase.
    fn behind(&self, at: usize, stride: usize) -> Option<usize> {
        let distance = at.checked_sub(self.first)?;
        distance.is_multiple_of(stride).then_some(distance / stride)
    }
}

/// What lines are made of: f32, or f64 where sums are made in it.
pub(crate) trait Scalars: Copy + Default {
    const DOUBLE: bool;

    /// `from[i]` into `to[i]`, for the shorter of the two.
    fn widen<T: Element>(from: &[T], to: &mut [Self]);

    /// A single one.
    fn of<T: Element>(scalar: T) -> Self;

    /// The border's constant; 0 where it is none.
    fn fill(border: Borders) -> Self;
}

impl Scalars for f32 {
    const DOUBLE: bool = false;

    #[inline(always)]
    fn widen<T: Element>(from: &[T], to: &mut [Self]) {
        T::widen(from, to);
    }

    #[inline(always)]
    fn of<T: Element>(scalar: T) -> Self {
        scalar.to_f32()
    }

    fn fill(border: Borders) -> Self {
        border.fill()
    }
}

impl Scalars for f64 {
    const DOUBLE: bool = true;

    #[inline(always)]
    fn widen<T: Element>(from: &[T], to: &mut [Self]) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_f64());
    }

    #[inline(always)]
    fn of<T: Element>(scalar: T) -> Self {
        scalar.to_f64()
    }

    fn fill(border: Borders) -> Self {
        border.constant().unwrap_or(0.0)
    }
}

/// The lines of one tile.
pub(in crate::cpu) struct Lines<'a, L = f32> {
    element: ElementType,
    g: &'a Geometry,
    border: Borders,
    /// Output columns.
    columns: Range<usize>,
    /// Where each tap column starts in a line.
    offsets: Vec<usize>,
    segments: Vec<Segment>,
    pitch: usize,
    /// How many rows behind the one that fills a line the next is asked for; 0: none is.
    ahead: usize,
    lines: &'a mut Vec<L>,
    window: &'a mut Window,
}

impl<'a, L: Scalars> Lines<'a, L> {
    /// No lines yet, for some output columns of images.
    pub fn new(
        problem: &'a Problem,
        columns: Range<usize>,
        lines: &'a mut Vec<L>,
        window: &'a mut Window,
    ) -> Self {
        let g = problem.geometry();
        let (stride, dilation) = (g.stride.1, g.dilation.1);
        let mut segments: Vec<Segment> = Vec::new();
        // For each tap column, its segment and how far into it.
        let mut taps = Vec::with_capacity(g.kernel.1);
        for tap in (0..g.kernel.1).map(|j| j * dilation) {
            // Taps come in order, so one whose columns meet a segment only makes it longer.
            let meets = |s: &Segment| s.behind(tap, stride).filter(|behind| *behind <= s.len);
            let met = segments.iter().enumerate().find_map(|(at, s)| Some((at, meets(s)?)));
            let (at, behind) = met.unwrap_or((segments.len(), 0));
            if at == segments.len() {
                segments.push(Segment { first: tap, len: 0, start: 0, inside: 0..0 });
            }
            segments[at].len = behind + columns.len();
            taps.push((at, behind));
        }
        let mut end = 0;
        for segment in &mut segments {
            segment.start = end;
            end += segment.len * g.channels;
            // Columns `first + k * stride` from 0 to the width.
            let first = g.first_column(columns.start) + segment.first as isize;
            let before = |column: isize| {
                usize::try_from(column - first)
                    .map_or(0, |far| far.div_ceil(stride))
                    .min(segment.len)
            };
            segment.inside = before(0)..before(g.width as isize);
        }
        let offsets =
            taps.into_iter().map(|(at, behind)| segments[at].start + behind * g.channels).collect();
        let (element, border) = (problem.input_type(), problem.border());
        let (pitch, ahead) = (end, 0);
        Self { element, g, border, columns, offsets, segments, pitch, ahead, lines, window }
    }

    /// Makes room for `count` lines that hold nothing. Behind each are `slack` scalars that may be read.
    pub fn with(mut self, count: usize, slack: usize) -> Result<Self, NoRoom> {
        self.pitch += slack;
        self.lines.clear();
        let len = self.pitch.saturating_mul(count);
        memory::resize("lines of a tile", self.lines, len, L::default())?;
        self.window.clear(count);
        Ok(self)
    }

    /// Scalars from line to line.
    pub fn pitch(&self) -> usize {
        self.pitch
    }

    /// The same that asks for rows, of blocks that go on by so many.
    pub fn ahead(self, ahead: usize) -> Self {
        Self { ahead, ..self }
    }

    /// Where each tap column starts in a line.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Sees to it that lines hold these rows, which rise, and tells which.
    pub fn slide<S: Simd>(
        &mut self,
        simd: S,
        src: Image<'_>,
        rows: &[isize],
        lines: &mut Vec<usize>,
    ) {
        let Self { window, .. } = self;
        let mut window = std::mem::take(*window);
        window.slide(rows, lines, |line, row| self.fill(simd, src, line, row));
        *self.window = window;
    }

    /// One line, slack included.
    #[inline(always)]
    pub fn line(&self, line: usize) -> &[L] {
        &self.lines[line * self.pitch..(line + 1) * self.pitch]
    }

    /// Fills a line with a row of the image `src`.
    pub fn fill<S: Simd>(&mut self, simd: S, src: Image<'_>, line: usize, row: isize) {
        if L::DOUBLE {
            return self.fill_of_any(src, line, row);
        }
        simd.vectorize(
            #[inline(always)]
            || {
                with_f32_type!(self.element, T => {
                    self.fill_from::<T>(src, line, row);
                });
            },
        );
    }

    /// The same from any type: once for all levels, which would be compiled for each.
    #[inline(never)]
    fn fill_of_any(&mut self, src: Image<'_>, line: usize, row: isize) {
        with_type!(self.element, T => {
            self.fill_from::<T>(src, line, row);
        });
    }

    #[inline(always)]
    fn fill_from<T: Element>(&mut self, src: Image<'_>, line: usize, row: isize) {
        let g = self.g;
        let out = &mut self.lines[line * self.pitch..(line + 1) * self.pitch];
        let fill = L::fill(self.border);
        let Some(row) = self.border.rows().index(row, g.height) else {
            out.fill(fill);
            return;
        };
        let source = src.on_from_row::<T>(row);
        if self.ahead > 0 && row + self.ahead < g.height {
            raw::prefetch(src.row::<T>(row + self.ahead));
        }
        let first = g.first_column(self.columns.start);
        for Segment { first: tap, len, start, inside } in &self.segments {
            let out = &mut out[*start..*start + *len * g.channels];
            let first = first + *tap as isize;
            let column = |k: usize| first + (k * g.stride.1) as isize;
            if inside.is_empty() {
            } else if g.stride.1 == 1 {
                let from = column(inside.start) as usize * g.channels;
                let len = inside.len() * g.channels;
                widen(&source[from..], &mut out[inside.start * g.channels..], len);
            } else {
                for k in inside.clone() {
                    let from = column(k) as usize * g.channels;
                    L::widen(
                        &source[from..from + g.channels],
                        &mut out[k * g.channels..(k + 1) * g.channels],
                    );
                }
            }
            for k in (0..inside.start).chain(inside.end..*len) {
                let out = &mut out[k * g.channels..(k + 1) * g.channels];
                match self.border.columns().index(column(k), g.width) {
                    Some(at) => L::widen(&source[at * g.channels..(at + 1) * g.channels], out),
                    None => out.fill(fill),
                }
            }
        }
    }
}

/// Scalars that are copied as one vector.
const PIECE: usize = 8;
/// Scalars that are copied in such pieces: of more, a call costs nothing.
const SHORT: usize = 64;

/// The first `len` scalars of `from` into `to`. What follows them in `to` may be written, too.
#[inline(always)]
fn widen<T: Element, L: Scalars>(from: &[T], to: &mut [L], len: usize) {
    if len > SHORT {
        return L::widen(&from[..len], &mut to[..len]);
    }
    let mut at = 0;
    while at + PIECE <= from.len().min(to.len()) && at < len {
        L::widen(&from[at..at + PIECE], &mut to[at..at + PIECE]);
        at += PIECE;
    }
    for (to, from) in to[..len].iter_mut().zip(&from[..len]).skip(at) {
        *to = L::of(*from);
    }
}
