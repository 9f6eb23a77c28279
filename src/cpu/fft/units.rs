//! What threads share out: outputs of a tile, or of two side by side, of all channels.

use std::ops::Range;

use crate::Problem;

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
) -> Vec<Unit<'a>> {
    let g = problem.geometry();
    let scalar = problem.output_type().bytes();
    // Two planes share a tile: with an odd number of channels those of two columns of tiles come out even.
    let wide = wide * (1 + g.channels % 2);
    let across = g.out_width.div_ceil(wide);
    let row = g.out_row() * scalar;
    let piece = wide * (row / g.out_width);
    let mut units: Vec<Unit<'a>> = Vec::new();
    for (image, out) in dst.chunks_mut(g.out_image() * scalar).enumerate() {
        let planes = out.chunks_mut(g.out_height * row);
        let mut planes: Vec<_> = planes.map(|plane| plane.chunks_mut(row)).collect();
        for row in 0..g.out_height {
            if row % high == 0 {
                let rows = row..(row + high).min(g.out_height);
                units.extend((0..g.out_width).step_by(wide).map(|first| Unit {
                    image,
                    rows: rows.clone(),
                    columns: first..(first + wide).min(g.out_width),
                    lines: Vec::with_capacity(rows.len() * g.out_planes()),
                }));
            }
            let first = units.len() - across;
            for row in planes.iter_mut().filter_map(Iterator::next) {
                for (unit, part) in units[first..].iter_mut().zip(row.chunks_mut(piece)) {
                    unit.lines.push(part);
                }
            }
        }
    }
    units
}
