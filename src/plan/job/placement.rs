//! Where a band's scalars lie: in the caller's tensors, in buffers of our own, and what is copied between.

use crate::Problem;
use crate::plan::bands::Band;
use crate::plan::launch::GpuLaunch;

/// Where a band's scalars lie in the buffers bound for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Scalars of the source binding before the band's first one, from row to row, from image to
    /// image.
    pub src_base: usize,
    pub src_pitch: usize,
    pub src_image: usize,
    /// Scalars of the destination binding before the first one, from row to row, from plane to
    /// plane.
    pub dst_base: usize,
    pub dst_pitch: usize,
    pub dst_plane: usize,
}

/// Where a band's scalars lie in buffers of our own: rows rounded up to the plan's pitch.
pub(crate) fn own_placement(problem: &Problem, launch: &GpuLaunch, band: &Band) -> Placement {
    let g = problem.geometry();
    let src_pitch = (band.source_columns.len * g.pixel()).next_multiple_of(launch.pitch);
    let together = g.out_row() / g.out_width;
    let dst_pitch = (band.columns.len() * together).next_multiple_of(launch.pitch);
    Placement {
        src_base: 0,
        src_pitch,
        src_image: src_pitch * band.source_rows.len * g.planes(),
        dst_base: 0,
        dst_pitch,
        dst_plane: dst_pitch * band.rows.len(),
    }
}

/// Bytes of a band's own source and destination buffers.
pub(crate) fn own_sizes(problem: &Problem, band: &Band, place: &Placement) -> (u64, u64) {
    let planes = band.images.len() * problem.geometry().out_planes();
    (
        (band.images.len() * place.src_image * problem.input_type().bytes()) as u64,
        (planes * place.dst_plane * problem.output_type().bytes()) as u64,
    )
}

/// A run of bytes to copy: from where, to where, how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub from: usize,
    pub to: usize,
    pub len: usize,
}

/// Collects pieces, joining those that go on where the last one ended.
#[derive(Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    fn push(&mut self, piece: Piece) {
        if let Some(last) = self.0.last_mut()
            && (last.from + last.len, last.to + last.len) == (piece.from, piece.to)
        {
            last.len += piece.len;
            return;
        }
        self.0.push(piece);
    }
}

/// What to copy from the whole input (rows back to back) into a band's own source buffer, in
/// bytes. What a constant border stands for is left out; shaders do not read it.
pub(crate) fn source_pieces(problem: &Problem, band: &Band, place: &Placement) -> Vec<Piece> {
    let g = problem.geometry();
    let border = problem.border();
    let bytes = problem.input_type().bytes();
    let (rows, columns) = (&band.source_rows, &band.source_columns);
    let mut pieces = Pieces::default();
    let planes = g.planes();
    let (plane, own_plane) = (g.image() / planes, place.src_image / planes);
    for (slot, from) in (band.images.start * planes..band.images.end * planes).enumerate() {
        for i in 0..rows.len {
            let at = rows.first + i as isize;
            let row =
                if rows.continued { border.rows().index(at, g.height) } else { Some(at as usize) };
            let Some(row) = row else { continue };
            let from = from * plane + row * g.row();
            let to = slot * own_plane + i * place.src_pitch;
            if !columns.continued {
                pieces.push(Piece {
                    from: (from + columns.first as usize * g.pixel()) * bytes,
                    to: to * bytes,
                    len: columns.len * g.pixel() * bytes,
                });
                continue;
            }
            for k in 0..columns.len {
                if let Some(column) = border.columns().index(columns.first + k as isize, g.width) {
                    pieces.push(Piece {
                        from: (from + column * g.pixel()) * bytes,
                        to: (to + k * g.pixel()) * bytes,
                        len: g.pixel() * bytes,
                    });
                }
            }
        }
    }
    pieces.0
}

/// What to copy from a band's own destination buffer into the whole output, in bytes.
pub(crate) fn destination_pieces(problem: &Problem, band: &Band, place: &Placement) -> Vec<Piece> {
    let g = problem.geometry();
    let bytes = problem.output_type().bytes();
    let planes = g.out_planes();
    let together = g.out_row() / g.out_width;
    let mut pieces = Pieces::default();
    for (slot, plane) in (band.images.start * planes..band.images.end * planes).enumerate() {
        for (i, row) in band.rows.clone().enumerate() {
            let to = (plane * g.out_height + row) * g.out_row() + band.columns.start * together;
            pieces.push(Piece {
                from: (slot * place.dst_plane + i * place.dst_pitch) * bytes,
                to: to * bytes,
                len: band.columns.len() * together * bytes,
            });
        }
    }
    pieces.0
}
