//! Tap by tap over flat rows: blocks of output rows by vectors stay in registers, and each vector
//! that is loaded serves every output row of the block that needs it.

use fearless_simd::{Simd, SimdBase, SimdFloat};

use super::Task;
use super::rows::{Lines, Scratch};
use crate::plan::CpuLaunch;
use crate::problem::{Follow, Geometry};
use crate::{Activation, Element, ElementType, Problem};

/// Most output rows of a block.
const ROWS: usize = crate::plan::CPU_ROWS;
/// Vectors of a block: with [`ROWS`] rows, half of the 16 registers of AVX2 and SSE hold sums.
const VECTORS: usize = 2;
/// Scalars of a tile: its lines, those of a 5x5 kernel say, should stay in a core's cache.
const TILE: usize = 1 << 13;

/// Computes one task.
#[inline(always)]
pub(super) fn run<S: Simd, T: Element, U: Element>(
    simd: S,
    problem: &Problem,
    launch: &CpuLaunch,
    src: &[T],
    mut task: Task<'_, U>,
    scratch: &mut Scratch,
) {
    let g = problem.geometry();
    let src = &src[task.image * g.image()..(task.image + 1) * g.image()];
    let at_once = launch.rows_at_once.clamp(1, ROWS);
    let tile = (TILE / g.channels).max(1);
    for first in (0..g.out_width).step_by(tile) {
        let columns = first..(first + tile).min(g.out_width);
        let places = columns.len() * g.channels;
        let count = (at_once * g.kernel.0).min((at_once - 1) * g.stride.0 + g.extent().0);
        let slack = VECTORS * S::f32s::LEN;
        let Scratch { lines, held, sums, outputs } = &mut *scratch;
        let mut lines = Lines::new(problem, src, columns.clone(), count, slack, lines, held);
        let mut block = Block::new(problem);
        for row in task.rows.clone().step_by(at_once) {
            let rows = row..(row + at_once).min(task.rows.end);
            block.aim(g, rows.clone(), &mut lines);
            let from = first * g.channels;
            let mut store = Store {
                problem,
                planes: &mut task.planes,
                first_row: rows.start - task.rows.start,
                rows: rows.len(),
                from,
                places,
            };
            if let Some(mut out) = store.in_place() {
                block.filter(simd, &lines, 0, places, &mut out);
                for row in out {
                    activate(problem.weights().activation, row);
                }
            } else {
                let filters = problem.weights().filters;
                sums.resize(filters * ROWS * places, 0.0);
                for f in 0..filters {
                    let rows_of = &mut sums[f * ROWS * places..(f + 1) * ROWS * places];
                    let mut out: Vec<&mut [f32]> =
                        rows_of.chunks_mut(places).take(rows.len()).collect();
                    block.filter(simd, &lines, f, places, &mut out);
                    for row in out {
                        activate(problem.weights().activation, row);
                    }
                }
                store.store(sums, outputs);
            }
        }
    }
}

/// A block of output rows: which lines hold the input rows they need.
struct Block<'a> {
    problem: &'a Problem,
    /// The different input rows the block needs, in order.
    needed: Vec<isize>,
    /// The line that holds each.
    lines: Vec<usize>,
    /// For each needed row and each output row of the block: the kernel row that joins them.
    joins: Vec<[Option<usize>; ROWS]>,
}

impl<'a> Block<'a> {
    fn new(problem: &'a Problem) -> Self {
        Self { problem, needed: Vec::new(), lines: Vec::new(), joins: Vec::new() }
    }

    /// Points the block at output rows.
    #[inline(always)]
    fn aim<T: Element>(
        &mut self,
        g: &Geometry,
        rows: std::ops::Range<usize>,
        lines: &mut Lines<'_, T>,
    ) {
        let tap_row = |r: usize, i: usize| g.first_row(r) + (i * g.dilation.0) as isize;
        self.needed.clear();
        for r in rows.clone() {
            self.needed.extend((0..g.kernel.0).map(|i| tap_row(r, i)));
        }
        self.needed.sort_unstable();
        self.needed.dedup();
        lines.hold(&self.needed, &mut self.lines);
        self.joins.clear();
        self.joins.resize(self.needed.len(), [None; ROWS]);
        for (slot, r) in rows.enumerate() {
            for i in 0..g.kernel.0 {
                if let Ok(at) = self.needed.binary_search(&tap_row(r, i)) {
                    self.joins[at][slot] = Some(i);
                }
            }
        }
    }

    /// Sums of filter `f`, bias included, for the first `places` scalars of each row of `out`.
    #[inline(always)]
    fn filter<S: Simd, T: Element>(
        &self,
        simd: S,
        lines: &Lines<'_, T>,
        f: usize,
        places: usize,
        out: &mut [&mut [f32]],
    ) {
        let weights = self.problem.weights();
        let (kh, kw) = self.problem.geometry().kernel;
        let taps = &weights.taps[f * kh * kw..(f + 1) * kh * kw];
        let sources: Vec<Source<'_>> = self
            .lines
            .iter()
            .zip(&self.joins)
            .map(|(line, joins)| Source {
                line: lines.line(*line),
                taps: joins.map(|i| i.map(|i| &taps[i * kw..(i + 1) * kw])),
            })
            .collect();
        let sum = Sum { sources: &sources, offsets: lines.offsets(), bias: weights.bias[f] };
        let lanes = S::f32s::LEN;
        let mut x = 0;
        while x + VECTORS * lanes <= places {
            let sums = sum.at::<S, VECTORS>(simd, x);
            for (row, sums) in out.iter_mut().zip(sums) {
                for (v, sum) in sums.into_iter().enumerate() {
                    sum.store_slice(&mut row[x + v * lanes..x + (v + 1) * lanes]);
                }
            }
            x += VECTORS * lanes;
        }
        while x < places {
            let sums = sum.at::<S, 1>(simd, x);
            let rest = lanes.min(places - x);
            for (row, [sum]) in out.iter_mut().zip(sums) {
                if rest == lanes {
                    sum.store_slice(&mut row[x..x + lanes]);
                } else {
                    // At most 16 lanes, AVX-512's.
                    let mut tail = [0.0; 16];
                    sum.store_slice(&mut tail[..lanes]);
                    row[x..x + rest].copy_from_slice(&tail[..rest]);
                }
            }
            x += lanes;
        }
    }
}

/// One input row, and for each output row of the block the taps that meet it there.
struct Source<'a> {
    line: &'a [f32],
    taps: [Option<&'a [f32]>; ROWS],
}

/// The sums of a block at some place of the flat row.
struct Sum<'a> {
    sources: &'a [Source<'a>],
    /// Where each tap column starts in a line.
    offsets: &'a [usize],
    bias: f32,
}

impl Sum<'_> {
    /// `[rows, V]` vectors of sums from place `x` on. The order of summation is the same for every
    /// place, row of the block and `V`.
    #[inline(always)]
    fn at<S: Simd, const V: usize>(&self, simd: S, x: usize) -> [[S::f32s; V]; ROWS] {
        let lanes = S::f32s::LEN;
        let mut sums = [[S::f32s::splat(simd, self.bias); V]; ROWS];
        for source in self.sources {
            if let [Some(a), Some(b), Some(c), Some(d)] = source.taps {
                let taps = a.iter().zip(b).zip(c).zip(d);
                for ((((a, b), c), d), offset) in taps.zip(self.offsets) {
                    let values = load::<S, V>(simd, source.line, x + offset, lanes);
                    for (sums, k) in sums.iter_mut().zip([a, b, c, d]) {
                        let k = S::f32s::splat(simd, *k);
                        for v in 0..V {
                            sums[v] = values[v].mul_add(k, sums[v]);
                        }
                    }
                }
                continue;
            }
            for (j, offset) in self.offsets.iter().enumerate() {
                let values = load::<S, V>(simd, source.line, x + offset, lanes);
                for (sums, taps) in sums.iter_mut().zip(&source.taps) {
                    if let Some(taps) = taps {
                        let k = S::f32s::splat(simd, taps[j]);
                        for v in 0..V {
                            sums[v] = values[v].mul_add(k, sums[v]);
                        }
                    }
                }
            }
        }
        sums
    }
}

#[inline(always)]
fn load<S: Simd, const V: usize>(simd: S, line: &[f32], at: usize, lanes: usize) -> [S::f32s; V] {
    let values = &line[at..at + V * lanes];
    std::array::from_fn(|v| S::f32s::from_slice(simd, &values[v * lanes..(v + 1) * lanes]))
}

#[inline(always)]
fn activate(activation: Activation, row: &mut [f32]) {
    if activation != Activation::None {
        for x in row {
            *x = activation.apply(*x);
        }
    }
}

/// Where the outputs of a block go.
struct Store<'a, 'b, U> {
    problem: &'a Problem,
    planes: &'a mut [&'b mut [U]],
    /// First row of the block within the planes' slices.
    first_row: usize,
    rows: usize,
    /// First scalar of the flat row, and how many, before outputs multiply them.
    from: usize,
    places: usize,
}

impl<U: Element> Store<'_, '_, U> {
    /// The rows themselves where sums can be made in them: f32 and one output per channel.
    #[inline(always)]
    fn in_place(&mut self) -> Option<Vec<&mut [f32]>> {
        let weights = self.problem.weights();
        if U::TYPE != ElementType::F32 || weights.filters != 1 || weights.follow.is_some() {
            return None;
        }
        let row = self.problem.geometry().out_row();
        let rows = bytemuck::try_cast_slice_mut::<U, f32>(self.planes.first_mut()?).ok()?;
        let rows = &mut rows[self.first_row * row..(self.first_row + self.rows) * row];
        Some(rows.chunks_mut(row).map(|row| &mut row[self.from..self.from + self.places]).collect())
    }

    /// Stores sums `[filters, ROWS, places]`, through the pointwise step if there is one.
    #[inline(always)]
    fn store(&mut self, sums: &[f32], outputs: &mut Vec<f32>) {
        let g = self.problem.geometry();
        let weights = self.problem.weights();
        outputs.resize(g.outputs * self.places, 0.0);
        for row in 0..self.rows {
            let filtered = |f: usize| {
                let start = (f * ROWS + row) * self.places;
                &sums[start..start + self.places]
            };
            // Outputs [outputs, places] of this row.
            match &weights.follow {
                Some(follow) => apply(follow, filtered, weights.filters, self.places, outputs),
                None => {
                    for (f, out) in outputs.chunks_mut(self.places).enumerate() {
                        out.copy_from_slice(filtered(f));
                    }
                }
            }
            let at = (self.first_row + row) * g.out_row();
            if g.planar || g.outputs == 1 {
                for (plane, out) in self.planes.iter_mut().zip(outputs.chunks(self.places)) {
                    let from = at + self.from;
                    U::narrow(out, &mut plane[from..from + self.places]);
                }
                continue;
            }
            let from = at + self.from * g.outputs;
            let to = &mut self.planes[0][from..from + self.places * g.outputs];
            for (output, values) in outputs.chunks(self.places).enumerate() {
                for (to, value) in to[output..].iter_mut().step_by(g.outputs).zip(values) {
                    *to = U::from_f32(*value);
                }
            }
        }
    }
}

/// The pointwise step on one row.
#[inline(always)]
fn apply<'a>(
    follow: &Follow,
    filtered: impl Fn(usize) -> &'a [f32],
    filters: usize,
    places: usize,
    outputs: &mut [f32],
) {
    let count = follow.bias.len();
    for (g, out) in outputs.chunks_mut(places).enumerate() {
        out.fill(follow.bias[g]);
        for f in 0..filters {
            let weight = follow.weights[f * count + g];
            for (out, y) in out.iter_mut().zip(filtered(f)) {
                *out += weight * y;
            }
        }
        activate(follow.activation, out);
    }
}
