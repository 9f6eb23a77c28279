//! From sums to outputs: activation, the pointwise step, element type, and the place in memory.

mod activation;

use std::ops::Range;

use fearless_simd::Simd;

use super::kernels::{self, Block, MAX_ROWS, MOST_LANES, Segments};
use super::raw::{self, Scalar};
use super::task::{Rows, Task};
use crate::element::with_f32_type;
use crate::memory::{self, NoRoom};
use crate::problem::Follow;
use crate::{Activation, Element, ElementType, Problem};
pub(super) use activation::{activate, activation_gradient};

/// Where the outputs of some columns of a task go.
#[derive(Debug)]
pub(super) struct Sink<'a, 'b> {
    pub problem: &'a Problem,
    /// The task's rows: one slice, or one for each output plane; or as many for each as there are rows, pieces of
    /// them, one after the other.
    pub planes: &'a mut [&'b mut [u8]],
    /// First scalar of the flat row, or of its piece, and how many, before outputs multiply them.
    pub from: usize,
    pub places: usize,
    /// Whether outputs are stored past the caches.
    pub streamed: bool,
}

/// What sums that do not lie in place are called where there is no memory for them.
const SUMS: &str = "sums of a block of rows";

/// Scalars of a row that go from sums to outputs together: those of a block's rows stay in the first cache beside
/// what it reads, and fill enough cache lines of each row one after the other.
const PIECE: usize = 1 << 9;

/// Whether sums can be made where outputs lie: f32 and one output per channel.
pub(super) fn in_place(problem: &Problem) -> bool {
    let weights = problem.weights();
    problem.output_type() == ElementType::F32 && weights.filters == 1 && weights.follow.is_none()
}

/// Whether sums are rounded in registers: scalars of the type that is read, and nothing between them and the
/// sums.
pub(super) fn rounds<T: Scalar>(problem: &Problem) -> bool {
    T::TYPE != ElementType::F32 && problem.output_type() == T::TYPE && problem.sums_are_outputs()
}

/// What a sum begins with: its bias, unless it is to become a mean first.
pub(super) fn first_bias(mean: Option<f32>, bias: f32) -> f32 {
    if mean.is_some() { 0.0 } else { bias }
}

/// Makes means of exact sums, where they are to be.
pub(super) fn scale<S: Simd>(simd: S, mean: Option<f32>, bias: f32, sums: &mut [&mut [f32]]) {
    let Some(mean) = mean else { return };
    simd.vectorize(
        #[inline(always)]
        || {
            for row in sums {
                row.iter_mut().for_each(|sum| *sum = *sum * mean + bias);
            }
        },
    );
}

/// The sums of filter `f`, bias included, or its means. `block` has the taps of all filters.
pub(super) fn sum_filter<S: Simd, T: Scalar>(
    simd: S,
    problem: &Problem,
    f: usize,
    block: Block<'_, T>,
    segments: Segments,
    out: &mut [&mut [f32]],
) {
    let (bias, mean) = (&problem.weights().bias, problem.mean());
    let each = block.taps.len() / bias.len();
    let taps = &block.taps[f * each..(f + 1) * each];
    Block { taps, bias: first_bias(mean, bias[f]), ..block }.sum(simd, segments, out);
    scale(simd, mean, bias[f], out);
}

/// Activates sums and copies them past the caches, row by row. A task ends with a [`raw::fence`].
fn stream<S: Simd>(
    simd: S,
    activation: Activation,
    sums: &mut [&mut [f32]],
    out: &mut [&mut [f32]],
) {
    simd.vectorize(
        #[inline(always)]
        || {
            for (sums, row) in sums.iter_mut().zip(out) {
                activate(simd, activation, sums);
                raw::stream(simd, sums, row);
            }
        },
    );
}

/// Outputs of short rows that lie one behind the other: they are stored past the caches as one.
fn stream_short_rows<S: Simd, T: Scalar>(
    simd: S,
    problem: &Problem,
    (block, segments): (Block<'_, T>, Segments),
    staged: &mut [f32],
    out: &mut [f32],
) {
    let sums = &mut staged[..out.len()];
    let places = problem.geometry().out_row();
    let count = sums.len() / places;
    sum_filter(simd, problem, 0, block, segments, &mut kernels::rows(sums, places)[..count]);
    stream(simd, problem.weights().activation, &mut [sums], &mut [out]);
}

impl<'a, 'b> Sink<'a, 'b> {
    /// Of some of a task's columns.
    pub fn of(problem: &'a Problem, task: &'a mut Task<'b>, columns: &Range<usize>) -> Self {
        let channels = problem.geometry().channels;
        Self {
            problem,
            from: (columns.start - task.origin) * channels,
            places: columns.len() * channels,
            streamed: task.streamed,
            planes: &mut task.planes,
        }
    }

    /// Makes `staged` long enough for [`sums`](Self::sums) of lines of `T`, and of so many rows at once at most.
    pub fn reserve_sums<T: Scalar>(
        &self,
        rows: usize,
        staged: &mut Vec<f32>,
    ) -> Result<(), NoRoom> {
        if rounds::<T>(self.problem) {
            return Ok(());
        }
        if in_place(self.problem) && self.is_streamed() {
            // As long as a piece may be: see `Segments::pieces`.
            let piece = 2 * PIECE.max(self.problem.geometry().channels) + MOST_LANES;
            return memory::at_least(SUMS, staged, rows * self.places.min(piece), 0.0);
        }
        self.reserve(rows, staged)
    }

    /// The same for [`fill`](Self::fill).
    pub fn reserve(&self, rows: usize, staged: &mut Vec<f32>) -> Result<(), NoRoom> {
        let weights = self.problem.weights();
        let outputs = weights.follow.as_ref().map_or(0, |follow| follow.bias.len());
        let len = match in_place(self.problem) {
            true if self.is_streamed() => rows * self.places,
            true => 0,
            false => (weights.filters * rows + outputs) * self.places + INTERLEAVED,
        };
        memory::at_least(SUMS, staged, len, 0.0)
    }

    /// Outputs of some rows: of `block` with the taps and the bias of each filter.
    pub fn sums<S: Simd, T: Scalar>(
        &mut self,
        simd: S,
        rows: Rows,
        staged: &mut [f32],
        block: Block<'_, T>,
        segments: Segments,
    ) {
        let problem = self.problem;
        if rounds::<T>(problem) {
            let bias = problem.weights().bias[0];
            let mut out = self.places::<T>(rows);
            return Block { bias, ..block }.sum(simd, segments, &mut out[..rows.count]);
        }
        if in_place(problem) && (self.is_streamed() || self.has_activation()) {
            return match self.short_rows(rows) {
                Some(out) => stream_short_rows(simd, problem, (block, segments), staged, out),
                None => self.by_pieces(simd, rows, staged, block, segments),
            };
        }
        self.fill(simd, rows, staged, |f, out| {
            sum_filter(simd, problem, f, block, segments, out);
        });
    }

    /// Outputs of some rows where they lie, piece by piece: what is left to do with sums is done, and they are
    /// stored past the caches, while the first cache holds them.
    fn by_pieces<S: Simd, T: Scalar>(
        &mut self,
        simd: S,
        rows: Rows,
        staged: &mut [f32],
        block: Block<'_, T>,
        segments: Segments,
    ) {
        let problem = self.problem;
        let activation = problem.weights().activation;
        let streamed = self.is_streamed();
        let mut out = self.places::<f32>(rows);
        // Pieces begin with cache lines, so that none is stored half here and half there.
        let lead = if streamed { raw::lead(out[0]) } else { 0 };
        for (to, piece) in segments.pieces(lead, PIECE) {
            let places = piece.span();
            let mut out =
                out.each_mut().map(|row| row.get_mut(to..to + places).unwrap_or_default());
            let out = &mut out[..rows.count];
            if streamed {
                let sums = &mut kernels::rows(staged, places)[..rows.count];
                sum_filter(simd, problem, 0, block, piece, sums);
                stream(simd, activation, sums, out);
            } else {
                sum_filter(simd, problem, 0, block, piece, out);
                out.iter_mut().for_each(|row| activate(simd, activation, row));
            }
        }
    }

    /// The rows themselves, where they are whole, few places each, one behind the other, and streamed.
    fn short_rows(&mut self, rows: Rows) -> Option<&mut [f32]> {
        let row = self.problem.geometry().out_row();
        let short = self.places == row && row <= PIECE && rows.spacing == 1 && self.is_streamed();
        match &mut self.planes {
            [all] if short => {
                let all = bytemuck::cast_slice_mut::<u8, f32>(all);
                all.get_mut(rows.first * row..(rows.first + rows.count) * row)
            }
            _ => None,
        }
    }

    fn is_streamed(&self) -> bool {
        self.streamed && raw::STREAMS
    }

    fn has_activation(&self) -> bool {
        self.problem.weights().activation != Activation::None
    }

    /// Outputs of some rows. `sum` makes the sums of a filter, bias included, for all places of each
    /// row; `staged` holds them where they cannot lie in place.
    pub fn fill<S: Simd>(
        &mut self,
        simd: S,
        rows: Rows,
        staged: &mut [f32],
        mut sum: impl FnMut(usize, &mut [&mut [f32]]),
    ) {
        let weights = self.problem.weights();
        let places = self.places;
        if in_place(self.problem) {
            let streamed = self.is_streamed();
            let mut out = self.places::<f32>(rows);
            if streamed {
                let sums = &mut kernels::rows(staged, places)[..rows.count];
                sum(0, sums);
                return stream(simd, weights.activation, sums, &mut out);
            }
            sum(0, &mut out[..rows.count]);
            for row in out {
                activate(simd, weights.activation, row);
            }
            return;
        }
        // Sums [filters, rows, places], and outputs [outputs, places] of a row where they are others.
        let outputs = weights.follow.as_ref().map_or(0, |follow| follow.bias.len());
        let filter = rows.count * places;
        let staged = &mut staged[..weights.filters * filter + outputs * places + INTERLEAVED];
        let (sums, outputs) = staged.split_at_mut(weights.filters * filter);
        for (f, sums) in sums.chunks_mut(filter).enumerate() {
            sum(f, &mut kernels::rows(sums, places)[..rows.count]);
            activate(simd, weights.activation, sums);
        }
        for row in 0..rows.count {
            let filtered = Values { all: &sums[row * places..], pitch: filter, places };
            self.finish(simd, rows.first + row * rows.spacing, filtered, outputs);
        }
    }

    /// Outputs of a row from what its filters gave: mixed, in their type and in their places. `outputs` has room
    /// for `[outputs, places]` where filters are mixed, and behind them for a piece that is streamed.
    pub fn finish<S: Simd>(
        &mut self,
        simd: S,
        row: usize,
        filtered: Values<'_>,
        outputs: &mut [f32],
    ) {
        let Values { places, .. } = filtered;
        let weights = self.problem.weights();
        let mixed = weights.follow.as_ref().map_or(0, |follow| follow.bias.len() * places);
        let (outputs, room) = outputs.split_at_mut(mixed);
        let values = match &weights.follow {
            Some(follow) => {
                apply(simd, follow, filtered, weights.filters, outputs);
                Values { all: outputs, pitch: places, places }
            }
            None => filtered,
        };
        simd.vectorize(
            #[inline(always)]
            || self.narrow(simd, row, values, room),
        );
    }

    /// The places themselves in each row of the only output, scalars of `U`.
    fn places<U: Element>(&mut self, rows: Rows) -> [&mut [U]; MAX_ROWS] {
        let part = self.from..self.from + self.places;
        let row = self.problem.geometry().out_row();
        match &mut self.planes {
            [all] => {
                let all =
                    bytemuck::cast_slice_mut::<u8, U>(all)[rows.first * row..].chunks_mut(row);
                let mut all = all.step_by(rows.spacing).take(rows.count);
                std::array::from_fn(|_| match all.next() {
                    Some(row) => &mut row[part.clone()],
                    None => Default::default(),
                })
            }
            pieces => {
                let pieces = pieces[rows.first..].iter_mut();
                let mut pieces = pieces.step_by(rows.spacing).take(rows.count);
                std::array::from_fn(|_| match pieces.next() {
                    Some(piece) => &mut bytemuck::cast_slice_mut(piece)[part.clone()],
                    None => Default::default(),
                })
            }
        }
    }

    /// One row: the values of each output.
    #[inline(always)]
    fn narrow<S: Simd>(&mut self, simd: S, row: usize, values: Values<'_>, room: &mut [f32]) {
        let g = self.problem.geometry();
        let streamed = self.is_streamed() && self.problem.output_type() == ElementType::F32;
        // Slices of each plane: whole, or one for each row.
        let (at, first, each) = match self.planes.len() / g.out_planes() {
            0 | 1 => (row * g.out_row(), 0, 1),
            rows => (0, row, rows),
        };
        let planes = &mut self.planes[first..];
        if g.planar || g.outputs == 1 {
            for (output, plane) in planes.iter_mut().step_by(each).enumerate() {
                let part = at + self.from..at + self.from + self.places;
                if streamed {
                    let plane = bytemuck::cast_slice_mut::<u8, f32>(plane);
                    raw::stream(simd, values.of(output), &mut plane[part]);
                } else {
                    self.problem.output_type().narrow(values.of(output), plane, part);
                }
            }
            return;
        }
        let from = at + self.from * g.outputs;
        let to = from..from + self.places * g.outputs;
        if streamed && (2..=4).contains(&g.outputs) {
            let to = &mut bytemuck::cast_slice_mut::<u8, f32>(planes[0])[to];
            return match g.outputs {
                2 => stream_interleaved::<S, 2>(simd, values, to, room),
                3 => stream_interleaved::<S, 3>(simd, values, to, room),
                _ => stream_interleaved::<S, 4>(simd, values, to, room),
            };
        }
        with_f32_type!(self.problem.output_type(), U => {
            let to = &mut bytemuck::cast_slice_mut::<u8, U>(planes[0])[to];
            match g.outputs {
                2 => interleave::<U, 2>(values, to),
                3 => interleave::<U, 3>(values, to),
                4 => interleave::<U, 4>(values, to),
                outputs => {
                    for output in 0..outputs {
                        let values = values.of(output);
                        let places = to[output..].iter_mut().step_by(outputs);
                        places.zip(values).for_each(|(to, value)| *to = Element::from_f32(*value));
                    }
                }
            }
        });
    }
}

/// The values of a few outputs, one after the other at each place: compilers make shuffles of it, where they see
/// that no place is beyond an end.
#[inline(always)]
fn interleave<U: Element, const N: usize>(values: Values<'_>, to: &mut [U]) {
    let (to, _) = to.as_chunks_mut::<N>();
    let to = &mut to[..values.places];
    let mut rows: [&[f32]; N] = [&[]; N];
    for (output, row) in rows.iter_mut().enumerate() {
        *row = &values.of(output)[..to.len()];
    }
    for n in 0..to.len() {
        for output in 0..N {
            to[n][output] = Element::from_f32(rows[output][n]);
        }
    }
}

/// Outputs that are interleaved before they are streamed: whole cache lines of two, three and four, which the first
/// cache holds.
const INTERLEAVED: usize = 960;

/// The same past the caches, piece by piece in `room`.
#[inline(always)]
fn stream_interleaved<S: Simd, const N: usize>(
    simd: S,
    values: Values<'_>,
    to: &mut [f32],
    room: &mut [f32],
) {
    for (n, to) in to.chunks_mut(INTERLEAVED).enumerate() {
        let room = &mut room[..to.len()];
        let from = n * INTERLEAVED / N;
        let piece = Values { all: &values.all[from..], places: to.len() / N, ..values };
        interleave::<f32, N>(piece, room);
        raw::stream(simd, room, to);
    }
}

/// A row of each filter, or of each output.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    /// From the first one's first place on.
    pub all: &'a [f32],
    /// From one to the next.
    pub pitch: usize,
    pub places: usize,
}

impl<'a> Values<'a> {
    #[inline(always)]
    fn of(self, number: usize) -> &'a [f32] {
        &self.all[number * self.pitch..][..self.places]
    }
}

/// The pointwise step on one row.
fn apply<S: Simd>(
    simd: S,
    follow: &Follow,
    filtered: Values<'_>,
    filters: usize,
    outputs: &mut [f32],
) {
    let count = follow.bias.len();
    for (g, out) in outputs.chunks_mut(filtered.places).enumerate() {
        simd.vectorize(
            #[inline(always)]
            || {
                out.fill(follow.bias[g]);
                for f in 0..filters {
                    let weight = follow.weights[f * count + g];
                    for (out, y) in out.iter_mut().zip(filtered.of(f)) {
                        *out += weight * y;
                    }
                }
            },
        );
        activate(simd, follow.activation, out);
    }
}
