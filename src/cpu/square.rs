//! Blocks of 3x3 taps in one piece: every line, tap and sum of a step has a name of its own, so that
//! there is no loop but the one along the row. (The same for 5x5 was slower than `sums.rs`: compilers
//! kept the bounds of every row, and moved sums across them.)

use fearless_simd::{Simd, SimdBase, SimdFloat};

use super::sums::Block;

/// Vectors of a step.
const VECTORS: usize = 2;
/// Rows of a block, and the lines it reads.
pub(super) const ROWS: usize = 4;
const LINES: usize = ROWS + 2;

/// Whether blocks of `kernel` over so many places are made here.
pub(super) fn takes<S: Simd>(kernel: (usize, usize), places: usize) -> bool {
    kernel == (3, 3) && places >= VECTORS * S::f32s::LEN
}

impl Block<'_> {
    /// The sums of `len` places from place `from` of the lines on, for what [`takes`] said yes to.
    #[inline(always)]
    pub(super) fn square<S: Simd>(
        self,
        simd: S,
        [from, to, len]: [usize; 3],
        out: [&mut [f32]; ROWS],
    ) {
        let [a, b, c, d] = out;
        let lanes = S::f32s::LEN;
        let bias = S::f32s::splat(simd, self.bias);
        let taps: [[S::f32s; 3]; 3] = std::array::from_fn(
            #[inline(always)]
            |i| {
                std::array::from_fn(
                    #[inline(always)]
                    |j| S::f32s::splat(simd, self.taps[i * 3 + j]),
                )
            },
        );
        let step = VECTORS * lanes;
        // Whole steps, and one that ends where the places do.
        let whole = len / step * step;
        for part in [0..whole, len - step..len].into_iter().take(1 + usize::from(whole < len)) {
            let (start, len) = (part.start, part.len());
            // Cut to one length, so that one comparison a step serves all of them: with more, compilers
            // move the sums of a row to where it is stored, and read the lines again for each.
            let lines: [[&[f32]; 3]; LINES] = std::array::from_fn(
                #[inline(always)]
                |i| {
                    std::array::from_fn(
                        #[inline(always)]
                        |j| &self.lines[i][from + start + self.offsets[j]..][..len],
                    )
                },
            );
            let a = &mut a[to + start..][..len];
            let b = &mut b[to + start..][..len];
            let c = &mut c[to + start..][..len];
            let d = &mut d[to + start..][..len];
            let mut x = 0;
            while x + step <= len {
                let mut sums = [[bias; VECTORS]; ROWS];
                // Line by line: a loop over them would be left a loop.
                macro_rules! lines {
                    ($($i:literal)*) => { $(
                        for j in 0..3 {
                            let values: [S::f32s; VECTORS] = std::array::from_fn(
                                #[inline(always)]
                                |v| {
                                    let at = x + v * lanes;
                                    S::f32s::from_slice(simd, &lines[$i][j][at..at + lanes])
                                },
                            );
                            for r in 0..ROWS {
                                if $i >= r && $i - r < 3 {
                                    for v in 0..VECTORS {
                                        sums[r][v] = values[v].mul_add(taps[$i - r][j], sums[r][v]);
                                    }
                                }
                            }
                        }
                    )* };
                }
                lines!(0 1 2 3 4 5);
                let [of_a, of_b, of_c, of_d] = sums;
                for v in 0..VECTORS {
                    let at = x + v * lanes..x + (v + 1) * lanes;
                    of_a[v].store_slice(&mut a[at.clone()]);
                    of_b[v].store_slice(&mut b[at.clone()]);
                    of_c[v].store_slice(&mut c[at.clone()]);
                    of_d[v].store_slice(&mut d[at]);
                }
                x += step;
            }
        }
    }
}
