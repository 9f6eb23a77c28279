//! The inner loops: sums of products of rows of gradient with lines of input, kept in registers for blocks
//! of taps.

use fearless_simd::{Simd, SimdBase, SimdFloat};

use super::ROWS;
use crate::cpu::kernels::{MOST_LANES, Segments};
use crate::plan::DEPTH;

/// Most lines of `taps`.
const LINES: usize = ROWS + 2;

/// What rows of gradient meet.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub lines: &'a [&'a [f32]],
    /// Where each tap column starts in a line.
    pub offsets: &'a [usize],
    /// How places lie in lines.
    pub segments: Segments,
}

/// Adds to `I` by `J` taps what `R` rows of gradient make with the lines they meet.
///
/// Places are gone through vector by vector; those of a segment that fill none are copied, with zeros behind
/// them, so that there is one loop for all. It is made for each size of block and every SIMD level, so its
/// code decides how long the crate takes to compile.
#[inline(always)]
pub(super) fn taps<S: Simd, const R: usize, const I: usize, const J: usize>(
    simd: S,
    delta: [&[f32]; R],
    inputs: Inputs<'_>,
    kernel: &mut [f64],
    columns: usize,
) {
    let Inputs { lines, offsets, segments } = inputs;
    let Segments { len, step, count, .. } = segments;
    let lanes = S::f32s::LEN;
    // A vector of each row is an addition.
    let most = DEPTH / R * lanes;
    let mut copied = ([[0.0; MOST_LANES]; R], [[[0.0; MOST_LANES]; J]; LINES]);
    // The segment, and how many of its places are done.
    let (mut n, mut done) = (0, 0);
    while n < count {
        let mut sums = [[S::f32s::splat(simd, 0.0); J]; I];
        let mut room = most;
        while n < count && room > 0 {
            let (start, from, left) = (n * len + done, n * step + done, len - done);
            let whole = left >= lanes;
            let piece = if whole { room.min(left / lanes * lanes) } else { lanes };
            if !whole {
                for (copy, delta) in copied.0.iter_mut().zip(&delta) {
                    copy[..left].copy_from_slice(&delta[start..start + left]);
                }
                for (copies, line) in copied.1.iter_mut().zip(lines) {
                    for (copy, offset) in copies.iter_mut().zip(offsets) {
                        copy[..left].copy_from_slice(&line[from + offset..][..left]);
                    }
                }
            }
            let delta: [&[f32]; R] = std::array::from_fn(
                #[inline(always)]
                |r| match whole {
                    true => &delta[r][start..start + piece],
                    false => &copied.0[r][..piece],
                },
            );
            let lines: [[&[f32]; J]; LINES] = std::array::from_fn(
                #[inline(always)]
                |l| {
                    std::array::from_fn(
                        #[inline(always)]
                        |j| match whole {
                            _ if l >= I + R - 1 => Default::default(),
                            true => &lines[l][offsets[j] + from..][..piece],
                            false => &copied.1[l][j][..piece],
                        },
                    )
                },
            );
            let mut x = 0;
            while x + lanes <= piece {
                let d: [S::f32s; R] = std::array::from_fn(
                    #[inline(always)]
                    |r| S::f32s::from_slice(simd, &delta[r][x..x + lanes]),
                );
                join::<S, R, I, J>(
                    d,
                    #[inline(always)]
                    |l, j| S::f32s::from_slice(simd, &lines[l][j][x..x + lanes]),
                    &mut sums,
                );
                x += lanes;
            }
            room -= piece;
            done += piece.min(left);
            if done == len {
                (n, done) = (n + 1, 0);
            }
        }
        let mut all = [[[0.0; MOST_LANES]; J]; I];
        for (all, sums) in all.iter_mut().zip(sums) {
            for (all, sum) in all.iter_mut().zip(sums) {
                sum.store_slice(&mut all[..lanes]);
            }
        }
        for (all, kernel) in all.iter_mut().zip(kernel.chunks_mut(columns)) {
            collect(all, lanes, kernel);
        }
    }
}

/// Adds the lanes of each vector to a number.
#[inline(never)]
fn collect(vectors: &mut [[f32; MOST_LANES]], lanes: usize, to: &mut [f64]) {
    for (vector, to) in vectors.iter_mut().zip(to) {
        *to += spread(vector, lanes);
    }
}

/// Adds the products of a vector of each row of gradient with those of the lines it meets, `values` of
/// a line and tap column.
#[inline(always)]
fn join<S: Simd, const R: usize, const I: usize, const J: usize>(
    d: [S::f32s; R],
    values: impl Fn(usize, usize) -> S::f32s,
    sums: &mut [[S::f32s; J]; I],
) {
    macro_rules! lines {
        ($($l:literal)*) => { $(
            if $l < I + R - 1 {
                for j in 0..J {
                    let values = values($l, j);
                    for r in 0..R {
                        if $l >= r && $l - r < I {
                            sums[$l - r][j] = values.mul_add(d[r], sums[$l - r][j]);
                        }
                    }
                }
            }
        )* };
    }
    lines!(0 1 2 3 4 5);
}

/// The sum of rows of one length.
#[inline(always)]
pub(super) fn total<S: Simd, const R: usize>(simd: S, rows: [&[f32]; R]) -> f64 {
    let lanes = S::f32s::LEN;
    let places = rows[0].len();
    let whole = places / lanes * lanes;
    let mut total = 0.0;
    for start in (0..whole).step_by(DEPTH * lanes) {
        let len = (DEPTH * lanes).min(whole - start);
        let rows: [&[f32]; R] = std::array::from_fn(
            #[inline(always)]
            |r| &rows[r][start..start + len],
        );
        // A chain of additions for each row, which do not wait for one another.
        let mut sums = [S::f32s::splat(simd, 0.0); R];
        let mut x = 0;
        while x + lanes <= len {
            for r in 0..R {
                sums[r] += S::f32s::from_slice(simd, &rows[r][x..x + lanes]);
            }
            x += lanes;
        }
        for sum in sums {
            let mut all = [0.0; MOST_LANES];
            sum.store_slice(&mut all[..lanes]);
            total += spread(&mut all, lanes);
        }
    }
    let rest = rows.iter().flat_map(|row| &row[whole..]);
    total + rest.map(|x| f64::from(*x)).sum::<f64>()
}

/// The sum of a vector's lanes, of which it makes a tree.
fn spread(vector: &mut [f32; MOST_LANES], lanes: usize) -> f64 {
    let mut half = lanes / 2;
    while half > 0 {
        for i in 0..half {
            vector[i] += vector[i + half];
        }
        half /= 2;
    }
    f64::from(vector[0])
}
