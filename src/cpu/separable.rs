//! Rows, then columns, of kernels that are sums of a few columns times rows: both passes at once, over
//! lines that hold the row sums of the input rows a block of output rows needs.

use fearless_simd::{Simd, SimdBase};

use super::kernels::{self, Block, Pattern, Segments};
use super::scratch::Scratch;
use super::sink::Sink;
use super::source::{self, Interior, InteriorTile, Lines};
use super::task::{Blocks, Task, tiles};
use crate::problem::Geometry;
use crate::{Factors, Problem};

/// Scalars of a tile: the row sums of a kernel of 31 rows, say, stay in a core's second cache.
const TILE: usize = 1 << 11;

/// Computes one task.
#[inline(always)]
pub(super) fn run<S: Simd>(
    simd: S,
    problem: &Problem,
    factors: &Factors,
    src: &[u8],
    mut task: Task<'_>,
    scratch: &mut Scratch,
) {
    let g = problem.geometry();
    let weights = problem.weights();
    let (kh, kw) = g.kernel;
    let terms = factors.terms();
    let image = source::image(problem, src, task.image);
    // Rows one by one: they have a stride only where a block of output rows picks them.
    let across = Pattern::new(&Geometry { stride: (1, 1), ..*g }, 1, (1, kw), 1);
    let at_once = kernels::rows_at_once::<S>(g, kh);
    let blocks = Blocks::new(g, task.rows.len(), at_once, (kh, 1), terms).overlapping();
    let count = blocks.pattern.needed.len();
    // Columns [filters, terms, kernel height].
    let taps: Vec<f32> = (0..weights.filters)
        .flat_map(|f| (0..terms).map(move |term| (term * weights.filters + f) * kh))
        .flat_map(|first| &factors.columns()[first..first + kh])
        .copied()
        .collect();
    let mut at = Vec::with_capacity(count);
    let Scratch { lines, window, sums, summed, staged, constant, .. } = scratch;
    let interior = Interior::of::<S>(problem, image);
    for columns in tiles(g, interior.parts(g), task.tile.unwrap_or(TILE)) {
        let interior = interior.within(&columns);
        let places = columns.len() * g.channels;
        let segments = Segments::one(places);
        let mut sink = Sink {
            problem,
            planes: &mut task.planes,
            from: columns.start * g.channels,
            places,
            streamed: task.streamed,
        };
        // What a row is summed from.
        let mut rows_of = match interior {
            Some(interior) => {
                interior.fill(constant);
                RowsOf::Image(interior)
            }
            None => RowsOf::Line(Lines::new(problem, columns, lines, window).with(1, S::f32s::LEN)),
        };
        // Row sums [lines, terms, places], with room for whole vectors.
        let pitch = places + S::f32s::LEN;
        sums.clear();
        sums.resize(count * terms * pitch, 0.0);
        summed.clear(count);
        blocks.each(
            &task.rows,
            #[inline(always)]
            |rows, pattern, needed| {
                summed.slide(needed, &mut at, |slot, row| {
                    let (from, offsets, segments) = match &mut rows_of {
                        RowsOf::Image(interior) => {
                            (interior.line(row, constant), &interior.offsets[..], interior.segments)
                        }
                        RowsOf::Line(line) => {
                            line.fill(simd, image, 0, row);
                            (line.line(0), line.offsets(), segments)
                        }
                    };
                    let to = &mut sums[slot * terms * pitch..][..terms * pitch];
                    for (taps, to) in factors.rows().chunks(kw).zip(to.chunks_mut(pitch)) {
                        let lines = &[from];
                        let block = Block { pattern: &across, lines, offsets, taps, bias: 0.0 };
                        block.sum(simd, segments, &mut [to]);
                    }
                });
                let lines: Vec<&[f32]> = (0..terms)
                    .flat_map(|term| at.iter().map(move |slot| (slot * terms + term) * pitch))
                    .map(|start| &sums[start..start + pitch])
                    .collect();
                let block = Block { pattern, lines: &lines, offsets: &[0], taps: &taps, bias: 0.0 };
                sink.sums(simd, rows, staged, block, segments);
            },
        );
    }
}

/// Where the rows of a tile are read.
enum RowsOf<'a, 'b> {
    Image(InteriorTile<'a>),
    Line(Lines<'b>),
}
