//! Columns, then rows, of kernels that are sums of a few columns times rows, block of output rows by block.
//!
//! Columns are summed of the image where it lies (or of lines that continue it), each for as many output rows
//! as a block has; rows are then summed of what that gave, which a core's second cache holds. So nothing is
//! summed for two blocks or two tasks, and a stride of rows leaves out what no output needs.
//!
//! ```text
//!  input rows       column sums (a row of each term for every output row)       outputs
//!  0 |.........|
//!  1 |.........|    0 |.........|  every vertical tap times a row of input      0 |.......|
//!  2 |.........| ─▶ 1 |.........|                                            ─▶ 1 |.......|
//!  3 |.........|       every horizontal tap times a shifted row of sums  ───────▲
//! ```
//!
//! A sum is added up in one order: down the rows of the input from 0, for each term; then bias, terms, columns.

use fearless_simd::{Simd, SimdBase};

use super::kernels::{self, Block, Pattern, Segments};
use super::scratch::Scratch;
use super::sink::{Sink, first_bias, scale};
use super::source::{Image, Input, Interior, Lines, list};
use super::task::{Blocks, Rows, Task, tiles};
use crate::memory::{self, NoRoom};
use crate::problem::Geometry;
use crate::{Factors, Problem};

/// Scalars of a tile: the input rows that a block needs of a kernel of 31 rows, say, stay in a core's second
/// cache.
const TILE: usize = 1 << 11;

/// Computes one task. `factors` are those of the kernel with rows and columns exchanged: what its filters share
/// are columns.
#[inline(always)]
pub(super) fn run<S: Simd>(
    simd: S,
    problem: &Problem,
    factors: &Factors,
    src: Input<'_>,
    mut task: Task<'_>,
    scratch: &mut Scratch,
) -> Result<(), NoRoom> {
    let g = problem.geometry();
    let image = Image::new(problem, src, task.image);
    let at_once = kernels::rows_at_once::<S, f32>(g, (g.kernel.0, 1));
    let blocks = Blocks::new(g, task.rows.len(), at_once, (g.kernel.0, 1), 1).overlapping();
    let count = blocks.pattern.needed.len();
    let filters = Filter::all(problem, factors);
    let Scratch { lines, window, sums, staged, constant, .. } = scratch;
    let interior = Interior::of::<S>(problem, image);
    for columns in tiles(g, interior.parts(g), task.tile.unwrap_or(TILE)) {
        let interior = interior.within(&columns);
        let places = columns.len() * g.channels;
        let from = columns.start * g.channels;
        let streamed = task.streamed;
        let mut sink = Sink { problem, planes: &mut task.planes, from, places, streamed };
        sink.reserve(blocks.pattern.rows, staged)?;
        let mut passes = |rows: Rows, block: Block<'_>, across: &Across<'_>, sums: &mut [f32]| {
            let sums = ColumnSums::new(simd, factors, block, rows.count, across.reach, sums);
            sink.fill(simd, rows, staged, |f, out| filters[f].sum(simd, &sums, across, out));
        };
        if let Some(interior) = interior {
            interior.fill(constant)?;
            let (offsets, segments) = (&interior.offsets[..], interior.segments);
            let across = Across { offsets, segments, reach: interior.reach() };
            across.reserve::<S>(factors, blocks.pattern.rows, sums)?;
            let mut there: Vec<&[f32]> = list(count)?;
            blocks.each(
                &task.rows,
                #[inline(always)]
                |rows, pattern, needed| {
                    there.clear();
                    there.extend(needed.iter().map(|row| interior.line(*row, constant)));
                    passes(rows, down(pattern, &there), &across, sums);
                },
            );
            continue;
        }
        let lines = Lines::new(problem, columns, lines, window);
        let reach = lines.pitch();
        let offsets = lines.offsets().to_vec();
        let across = Across { offsets: &offsets, segments: Segments::one(places), reach };
        across.reserve::<S>(factors, blocks.pattern.rows, sums)?;
        let mut lines = lines.with(count, S::f32s::LEN)?;
        let mut at = list(count)?;
        blocks.each(
            &task.rows,
            #[inline(always)]
            |rows, pattern, needed| {
                lines.slide(simd, image, needed, &mut at);
                let there: Vec<&[f32]> = at.iter().map(|line| lines.line(*line)).collect();
                passes(rows, down(pattern, &there), &across, sums);
            },
        );
    }
    Ok(())
}

/// The block of the first pass, but for its taps.
fn down<'a>(pattern: &'a Pattern, lines: &'a [&'a [f32]]) -> Block<'a> {
    Block::new(pattern, lines, &[0], &[])
}

/// How rows are summed: where each tap column starts in a row of column sums, where outputs lie, and how many
/// scalars of such a row are needed.
struct Across<'a> {
    offsets: &'a [usize],
    segments: Segments,
    reach: usize,
}

impl Across<'_> {
    /// Makes `sums` long enough for the column sums of so many rows at once at most.
    fn reserve<S: Simd>(
        &self,
        factors: &Factors,
        rows: usize,
        sums: &mut Vec<f32>,
    ) -> Result<(), NoRoom> {
        let len = factors.terms() * rows * (self.reach + S::f32s::LEN);
        memory::at_least("sums of columns", sums, len, 0.0)
    }
}

/// Column sums `[terms, rows, places]` of a block of output rows, with room for whole vectors.
struct ColumnSums<'a> {
    all: &'a [f32],
    rows: usize,
    pitch: usize,
}

impl<'a> ColumnSums<'a> {
    fn new<S: Simd>(
        simd: S,
        factors: &Factors,
        block: Block<'_>,
        rows: usize,
        reach: usize,
        all: &'a mut [f32],
    ) -> Self {
        let pitch = reach + S::f32s::LEN;
        let all = &mut all[..factors.terms() * rows * pitch];
        let columns = factors.rows().chunks(factors.rows().len() / factors.terms());
        for (taps, sums) in columns.zip(all.chunks_mut(rows * pitch)) {
            let sums = &mut kernels::rows(sums, pitch)[..rows];
            Block { taps, ..block }.sum(simd, Segments::one(reach), sums);
        }
        Self { all, rows, pitch }
    }

    /// An output row of a term.
    fn row(&self, term: usize, row: usize) -> &[f32] {
        &self.all[(term * self.rows + row) * self.pitch..][..self.pitch]
    }
}

/// What a filter sums along rows.
struct Filter {
    /// Which terms are its own.
    terms: Vec<usize>,
    /// A row of each.
    taps: Vec<f32>,
    mean: Option<f32>,
    bias: f32,
    pattern: Pattern,
}

impl Filter {
    fn all(problem: &Problem, factors: &Factors) -> Vec<Self> {
        let g = problem.geometry();
        // Rows one by one: a stride along them only picks which column sums are made.
        let along = Geometry { stride: (1, g.stride.1), dilation: (1, g.dilation.1), ..*g };
        let (width, filters, bias) =
            (g.kernel.1, problem.weights().filters, &problem.weights().bias);
        let of = |(f, bias): (usize, &f32)| {
            let (terms, taps) = factors.of_filter(f, filters);
            let pattern = Pattern::new(&along, 1, (1, width), terms.len());
            Self { terms, taps, mean: problem.mean(), bias: *bias, pattern }
        };
        bias.iter().enumerate().map(of).collect()
    }

    /// Its sums into each output row of a block.
    fn sum<S: Simd>(
        &self,
        simd: S,
        sums: &ColumnSums<'_>,
        across: &Across<'_>,
        out: &mut [&mut [f32]],
    ) {
        let Across { offsets, segments, .. } = *across;
        let mut lines = Vec::with_capacity(self.terms.len());
        for (row, out) in out.iter_mut().enumerate() {
            lines.clear();
            lines.extend(self.terms.iter().map(|term| sums.row(*term, row)));
            let block = Block::new(&self.pattern, &lines, offsets, &self.taps);
            let block = Block { bias: first_bias(self.mean, self.bias), ..block };
            block.sum(simd, segments, &mut [&mut **out]);
        }
        scale(simd, self.mean, self.bias, out);
    }
}
