//! The inner loops: sums of products of rows of gradient with lines of input, kept in registers for blocks
//! of taps.

use fearless_simd::{Select, Simd, SimdBase, SimdFloat};

use super::ROWS;
use crate::cpu::sums::{MOST_LANES, Segments};
use crate::plan::DEPTH;

/// Most lines of `taps`.
const LINES: usize = ROWS + 2;

/// What rows of gradient meet.
#[derive(Clone, Copy)]
pub(super) struct Met<'a> {
    pub lines: &'a [&'a [f32]],
    /// Where each tap column starts in a line.
    pub offsets: &'a [usize],
    /// How places lie in lines.
    pub segments: Segments,
}

/// Adds to `I` by `J` taps what `R` rows of gradient make with the lines they meet. `PIXELS`: in segments
/// of whole vectors, as pixels of a strided row are.
#[inline(always)]
pub(super) fn taps<S: Simd, const R: usize, const I: usize, const J: usize, const PIXELS: bool>(
    simd: S,
    delta: [&[f32]; R],
    met: Met<'_>,
    kernel: &mut [f64],
    columns: usize,
) {
    let Met { lines, offsets, segments } = met;
    let lanes = S::f32s::LEN;
    let places = delta[0].len();
    // A vector of each row is an addition.
    let most = DEPTH / R * lanes;
    // Adds up whole vectors of `len` places, from `start` of the rows of gradient and `from` of lines on. (A
    // function that takes and returns sums kept them in memory.)
    macro_rules! vectors {
        ($start:expr, $from:expr, $len:expr, $sums:ident) => {
            let (start, from, len) = ($start, $from, $len);
            let delta: [&[f32]; R] = std::array::from_fn(
                #[inline(always)]
                |r| &delta[r][start..start + len],
            );
            let lines: [[&[f32]; J]; LINES] = std::array::from_fn(
                #[inline(always)]
                |l| {
                    std::array::from_fn(
                        #[inline(always)]
                        |j| {
                            if l < I + R - 1 {
                                &lines[l][offsets[j] + from..][..len]
                            } else {
                                Default::default()
                            }
                        },
                    )
                },
            );
            let mut x = 0;
            while x + lanes <= len {
                let d: [S::f32s; R] = std::array::from_fn(
                    #[inline(always)]
                    |r| S::f32s::from_slice(simd, &delta[r][x..x + lanes]),
                );
                join::<S, R, I, J>(
                    d,
                    #[inline(always)]
                    |l, j| S::f32s::from_slice(simd, &lines[l][j][x..x + lanes]),
                    &mut $sums,
                );
                x += lanes;
            }
        };
    }
    if PIXELS {
        let Segments { len, step, count, .. } = segments;
        let together = (most / len).max(1);
        for first in (0..count).step_by(together) {
            let mut sums = [[S::f32s::splat(simd, 0.0); J]; I];
            for n in first..(first + together).min(count) {
                vectors!(n * len, n * step, len, sums);
            }
            collect::<S, I, J>(sums, kernel, columns);
        }
        return;
    }
    let whole = places / lanes * lanes;
    for start in (0..whole).step_by(most) {
        let mut sums = [[S::f32s::splat(simd, 0.0); J]; I];
        vectors!(start, start, most.min(whole - start), sums);
        collect::<S, I, J>(sums, kernel, columns);
    }
    if whole == places {
        return;
    }
    if let Some(x) = places.checked_sub(lanes) {
        // A vector that ends where the places do, without what was added already.
        let number: [f32; MOST_LANES] = std::array::from_fn(|n| n as f32);
        let first = S::f32s::splat(simd, (whole - x) as f32);
        let new = S::f32s::from_slice(simd, &number[..lanes]).simd_ge(first);
        let d = std::array::from_fn(
            #[inline(always)]
            |r| only::<S>(simd, new, &delta[r][x..]),
        );
        let mut sums = [[S::f32s::splat(simd, 0.0); J]; I];
        join::<S, R, I, J>(
            d,
            #[inline(always)]
            |l, j| only::<S>(simd, new, &lines[l][offsets[j] + x..]),
            &mut sums,
        );
        return collect::<S, I, J>(sums, kernel, columns);
    }
    // Fewer places than lanes; their products are exact in f64.
    for x in 0..places {
        for i in 0..I {
            for (j, offset) in offsets.iter().enumerate() {
                let products = delta
                    .iter()
                    .enumerate()
                    .map(|(r, delta)| f64::from(delta[x]) * f64::from(lines[i + r][offset + x]));
                kernel[i * columns + j] += products.sum::<f64>();
            }
        }
    }
}

/// The first values where the mask says so, else 0.
#[inline(always)]
fn only<S: Simd>(simd: S, mask: S::mask32s, values: &[f32]) -> S::f32s {
    let values = S::f32s::from_slice(simd, &values[..S::f32s::LEN]);
    mask.select(values, S::f32s::splat(simd, 0.0))
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

#[inline(always)]
fn collect<S: Simd, const I: usize, const J: usize>(
    sums: [[S::f32s; J]; I],
    kernel: &mut [f64],
    columns: usize,
) {
    for (i, sums) in sums.iter().enumerate() {
        for (j, sum) in sums.iter().enumerate() {
            kernel[i * columns + j] += spread::<S>(*sum);
        }
    }
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
        total += sums.into_iter().map(spread::<S>).sum::<f64>();
    }
    let rest = rows.iter().flat_map(|row| &row[whole..]);
    total + rest.map(|x| f64::from(*x)).sum::<f64>()
}

/// The sum of a vector's lanes.
#[inline(always)]
fn spread<S: Simd>(vector: S::f32s) -> f64 {
    let mut lanes = [0.0f32; MOST_LANES];
    vector.store_slice(&mut lanes[..S::f32s::LEN]);
    let mut half = S::f32s::LEN / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    f64::from(lanes[0])
}
