//! The micro-kernel of square kernels of a known size: every line, tap column and accumulator of a step has
//! a name of its own, so that there is no loop but the one along the row.
//!
//! A block loads `(R - 1) * phases + SIDE` lines by `SIDE` columns by `V` vectors, and broadcasts
//! `R * SIDE * SIDE` taps from the first cache. What bounds it where the lines lie in the caches are the
//! fused multiply-adds from 5x5 on, and with 3x3 loads that cross cache lines as well; where they do not,
//! the memory.

use fearless_simd::{Simd, SimdBase};

use super::segments::{Segment, steps};
use super::{Block, add};
use crate::cpu::raw::{Reads, Scalar, Writes};

/// Most lines of a block: of 6 rows of 5x5 taps.
const MOST_LINES: usize = 10;

impl<T: Scalar> Block<'_, T> {
    /// The sums of a segment, of a pattern that [`is_square`](super::Pattern::is_square).
    #[inline(always)]
    pub(super) fn unrolled<
        S: Simd,
        const SIDE: usize,
        const PHASES: usize,
        const R: usize,
        const V: usize,
        U: Scalar,
    >(
        self,
        simd: S,
        Segment { from, to, len }: Segment,
        out: &mut [&mut [U]],
    ) {
        let count = (R - 1) * PHASES + SIDE;
        // Lines that are not there are the first one, and nothing is loaded of them.
        let lines: [&[T]; MOST_LINES] = std::array::from_fn(
            #[inline(always)]
            |i| &self.lines[if i < count { i } else { 0 }][from..],
        );
        let offsets: [usize; SIDE] = std::array::from_fn(
            #[inline(always)]
            |j| self.offsets[j],
        );
        let taps = &self.taps[..SIDE * SIDE];
        let reads = Reads::new(lines, offsets, len);
        let mut writes = Writes::<U, R>::new(out, to, len);
        let bias = S::f32s::splat(simd, self.bias);
        steps(
            len,
            V * S::f32s::LEN,
            #[inline(always)]
            |x| {
                self.ask_ahead::<S, R, V>(from + x);
                let to = writes.at::<S, V>(x);
                let mut at = reads.at::<S, V>(x);
                let mut sums = [[bias; V]; R];
                let mut taps = taps;
                // Column by column and line by line: a loop over them would be left a loop.
                macro_rules! columns {
                    ($i:literal; $($j:literal)*) => { $(
                        if const { $j < SIDE } {
                            add::<S, R, V>(
                                simd,
                                #[inline(always)]
                                |v| at.load(simd, $i, $j, v),
                                #[inline(always)]
                                |r| {
                                    let met = $i >= r * PHASES && $i - r * PHASES < SIDE;
                                    met.then(|| taps[($i - r * PHASES) * SIDE + $j])
                                },
                                &mut sums,
                            );
                            at.behind(&mut sums, &mut taps);
                        }
                    )* };
                }
                macro_rules! lines {
                    ($($i:literal)*) => { $(
                        if const { $i < (R - 1) * PHASES + SIDE } {
                            columns!($i; 0 1 2 3 4);
                        }
                    )* };
                }
                lines!(0 1 2 3 4 5 6 7 8 9);
                to.store(simd, sums);
            },
        );
    }
}
