//! What threads share out: outputs of a tile, or of two side by side, of all channels.

use std::ops::Range;

use crate::Problem;
use crate::memory::{self, NoRoom};

/// Output rows of one tile, and columns of one or two.
#[derive(Debug)]
pub(in crate::cpu) struct Unit<'a> {
    pub image: usize,
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// The memory of its rows, one after the other: a piece, or one for each output plane.
    pub lines: Vec<&'a mut [u8]>,
}

/// Cuts the output into units, with so many output rows and columns in a tile.
pub(in crate::cpu) fn units<'a>(
    problem: &Problem,
    (high, wide): (usize, usize),
    dst: &'a mut [u8],
) -> Result<Vec<Unit<'a>>, NoRoom> {
    let g = problem.geometry();
    let scalar = problem.output_type().bytes();
    // Two planes share a tile: with an odd number of channels those of two columns of tiles come out even.
    let wide = wide * (1 + g.channels % 2);
    let across = g.out_width.div_ceil(wide);
    let row = g.out_row() * scalar;
    let piece = wide * (row / g.out_width);
    let count = g.images * g.out_height.div_ceil(high) * across;
    let mut units: Vec<Unit<'a>> = memory::with_capacity("the list of tiles", count)?;
    for (image, out) in dst.chunks_mut(g.out_image() * scalar).enumerate() {
        let planes = out.chunks_mut(g.out_height * row);
        let planes = planes.map(|plane| plane.chunks_mut(row));
        let mut planes = memory::collected("the list of planes", g.out_planes(), planes)?;
        for row in 0..g.out_height {
            if row % high == 0 {
                let rows = row..(row + high).min(g.out_height);
                for first in (0..g.out_width).step_by(wide) {
                    let count = rows.len() * g.out_planes();
                    units.push(Unit {
                        image,
                        rows: rows.clone(),
                        columns: first..(first + wide).min(g.out_width),
                        lines: memory::with_capacity("the list of a tile's rows", count)?,
                    });
                }
            }
            let first = units.len() - across;
            for row in planes.iter_mut().filter_map(Iterator::next) {
                for (unit, part) in units[first..].iter_mut().zip(row.chunks_mut(piece)) {
                    unit.lines.push(part);
                }
            }
        }
    }
    Ok(units)
}
