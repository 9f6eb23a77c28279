//! What of a band is made without a test, and what at edges.

use super::{MarchShape, VECTOR};
use crate::Problem;
use crate::plan::bands::Band;

/// The part of a band's output whose taps all lie in the image:
///
/// ```text
///            first       end      lanes
///       +------+----------+---+
///       |        edges        |
///   top +------+----------+---+
///       |      |  blocks  |   |    `blocks` of `rows` each, `spacing` apart
///       +------+----------+---+
///       |        edges        |
///       +---------------------+
/// ```
///
/// At edges an invocation makes one row of a lane: whole rows first, then what is left and right of the blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inside {
    /// Lanes of a row, and those of them inside.
    pub lanes: usize,
    pub first: usize,
    pub end: usize,
    /// Rows above, and blocks, those between which the rows of others lie counted one by one.
    pub top: usize,
    pub blocks: usize,
    /// Rows of a block.
    rows: usize,
    /// All rows.
    all: usize,
}

impl Inside {
    pub fn of(problem: &Problem, shape: &MarchShape, band: &Band) -> Self {
        let g = problem.geometry();
        let columns = band.columns.len() * g.channels;
        let lanes = columns.div_ceil(shape.scalars as usize);
        let rows = shape.rows as usize;
        let none = Self { lanes, rows, all: band.rows.len(), ..Self::default() };
        let held = (&band.source_rows, &band.source_columns);
        // Columns that were cut, or looked up, lie elsewhere than the text has them.
        let cut = band.columns.len() != g.out_width || held.1.first != 0 || held.1.len != g.width;
        if cut || held.1.continued || held.0.continued {
            return none;
        }
        let vector = (VECTOR / problem.input_type().bytes()) as i64;
        let vectors = shape.vectors(vector as usize);
        let [Some(lowest), Some(highest)] = [vectors.first(), vectors.last()] else { return none };
        let (near, far) = shape.reach();
        let reads_ahead = |x: usize| {
            let at = shape.begins(x, 0) as i64;
            at + near >= 0 && at / vector + lowest >= 0
        };
        let reads_behind = |x: usize| {
            let at = shape.begins(x, 0) as i64;
            let last = (at / vector + highest + 1) * vector;
            let row = (g.width * g.channels) as i64;
            at + far >= row
                || last > (row + vector - 1) / vector * vector
                || (x + 1) * shape.scalars as usize > columns
        };
        let first = partition(lanes, |x| !reads_ahead(x));
        let end = partition(lanes, |x| !reads_behind(x)).max(first);
        // Rows from which all taps lie in what is held, to those from which the last does not.
        let (low, high) = (held.0.first, held.0.first + held.0.len as isize);
        let inside = |row: usize| {
            let from = g.first_row(band.rows.start + row);
            (from >= low, from + g.extent().0 as isize <= high)
        };
        let all = band.rows.len();
        let top = partition(all, |row| !inside(row).0);
        let bottom = partition(all, |row| inside(row).1).max(top);
        let spacing = shape.spacing as usize;
        let blocks = (bottom - top) / (spacing * rows) * spacing;
        if first == end || blocks == 0 {
            return none;
        }
        Self { lanes, first, end, top, blocks, rows, all }
    }

    /// Invocations at edges.
    fn at_edges(&self) -> usize {
        let covered = self.blocks * self.rows;
        (self.all - covered) * self.lanes + covered * (self.lanes - (self.end - self.first))
    }

    /// Workgroups of so many invocations along x and y: those of blocks, then those of edges.
    pub fn grid(&self, workgroup: [u32; 2]) -> [u64; 2] {
        let [wide, high] = workgroup.map(u64::from);
        let across = (self.lanes as u64).div_ceil(wide).max(1);
        let edges = (self.at_edges() as u64).div_ceil(wide * high);
        [across, (self.blocks as u64).div_ceil(high) + edges.div_ceil(across)]
    }
}

/// The first of `0..n` that `before` does not hold for, if it holds for those before.
fn partition(n: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}
