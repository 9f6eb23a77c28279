//! Copies between the host's tensors and buffers that are mapped: by several threads where they are large,
//! since one does not fill the memory's bandwidth.

use wgpu::{Buffer, MapRangeError};

use crate::plan::job::Piece;

/// Bytes that are not worth another thread.
const ALONE: usize = 256 << 10;

/// `pieces` of `from` into the first `size` bytes of a buffer that is mapped; they lie one behind the other
/// there.
pub(super) fn copy_in(
    to: &Buffer,
    size: u64,
    pieces: Vec<Piece>,
    from: &[u8],
) -> Result<(), MapRangeError> {
    inward(to, &windows(size as usize, pieces), from)
}

/// `pieces` of a buffer into `to`, where they lie one behind the other.
pub(super) fn copy_out(to: &mut [u8], pieces: Vec<Piece>, from: &[u8]) {
    outward(to, 0, &short(pieces), from);
}

/// The same, none longer than one thread should copy.
fn short(pieces: Vec<Piece>) -> Vec<Piece> {
    if pieces.iter().all(|piece| piece.len <= ALONE) {
        return pieces;
    }
    let cut = |piece: Piece| {
        (0..piece.len).step_by(ALONE).map(move |at| Piece {
            from: piece.from + at,
            to: piece.to + at,
            len: ALONE.min(piece.len - at),
        })
    };
    pieces.into_iter().flat_map(cut).collect()
}

/// Where to part pieces for two threads, if that is worth it.
fn middle(pieces: &[Piece]) -> Option<usize> {
    let bytes: usize = pieces.iter().map(|piece| piece.len).sum();
    (bytes > ALONE && pieces.len() > 1).then_some(pieces.len() / 2)
}

/// A part of a buffer, and the pieces that go there.
type Window = (std::ops::Range<usize>, Vec<Piece>);

/// A buffer in parts that one thread copies; wgpu maps those that begin at whole eights.
fn windows(size: usize, pieces: Vec<Piece>) -> Vec<Window> {
    let starts = (0..size).step_by(ALONE);
    let mut all: Vec<Window> = starts.map(|at| (at..(at + ALONE).min(size), Vec::new())).collect();
    for mut piece in pieces {
        while piece.len > 0 {
            let Some((window, held)) = all.get_mut(piece.to / ALONE) else { break };
            let len = piece.len.min(window.end - piece.to);
            held.push(Piece { len, ..piece });
            piece = Piece { from: piece.from + len, to: piece.to + len, len: piece.len - len };
        }
    }
    all.retain(|(_, held)| !held.is_empty());
    all
}

fn inward(to: &Buffer, windows: &[Window], from: &[u8]) -> Result<(), MapRangeError> {
    match windows {
        [] => Ok(()),
        [(window, pieces)] => {
            let mut view = to.get_mapped_range_mut(window.start as u64..window.end as u64)?;
            for Piece { from: start, to: at, len } in pieces {
                let at = at - window.start;
                view.slice(at..at + len).copy_from_slice(&from[*start..start + len]);
            }
            Ok(())
        }
        several => {
            let (one, other) = several.split_at(several.len() / 2);
            let (one, other) = both(|| inward(to, one, from), || inward(to, other, from));
            one.and(other)
        }
    }
}

/// Pieces into the part of a tensor that begins at byte `first`.
fn outward(to: &mut [u8], first: usize, pieces: &[Piece], from: &[u8]) {
    match middle(pieces) {
        None => {
            for Piece { from: start, to: at, len } in pieces {
                let at = at - first;
                to[at..at + len].copy_from_slice(&from[*start..start + len]);
            }
        }
        Some(half) => {
            let (one, other) = pieces.split_at(half);
            let at = other[0].to;
            let (low, high) = to.split_at_mut(at - first);
            both(|| outward(low, first, one, from), || outward(high, at, other, from));
        }
    }
}

/// Both, at once where there are threads.
#[cfg(not(target_arch = "wasm32"))]
fn both<R: Send>(one: impl FnOnce() -> R + Send, other: impl FnOnce() -> R + Send) -> (R, R) {
    rayon::join(one, other)
}

#[cfg(target_arch = "wasm32")]
fn both<R>(one: impl FnOnce() -> R, other: impl FnOnce() -> R) -> (R, R) {
    (one(), other())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_arrives_and_nothing_else() {
        // Rows of a picture into padded rows, long enough for several threads.
        for (rows, row, pitch) in [(1, 10, 10), (700, 3001, 3008), (3, 1 << 20, (1 << 20) + 4)] {
            let from: Vec<u8> = (0..rows * row).map(|n| (n * 7 % 251) as u8).collect();
            let piece = |r| Piece { from: r * row, to: 5 + r * pitch, len: row };
            let pieces: Vec<Piece> = (0..rows).map(piece).collect();
            let mut want = vec![255u8; 5 + rows * pitch + 3];
            for Piece { from: start, to, len } in &pieces {
                want[*to..to + len].copy_from_slice(&from[*start..start + len]);
            }
            let mut got = vec![255u8; want.len()];
            copy_out(&mut got, pieces.clone(), &from);
            assert!(got == want, "{rows} rows of {row}");
            let size = want.len().next_multiple_of(4);
            let mut got = vec![255u8; size];
            let windows = windows(size, pieces);
            for (window, held) in &windows {
                assert_eq!(window.start % 8, 0);
                for Piece { from: start, to, len } in held {
                    assert!(window.start <= *to && to + len <= window.end);
                    got[*to..to + len].copy_from_slice(&from[*start..start + len]);
                }
            }
            assert!(got[..want.len()] == want, "{rows} rows of {row}");
            assert!(windows.iter().zip(&windows[1..]).all(|(a, b)| a.0.end <= b.0.start));
        }
    }
}
