//! The micro-kernel of square kernels of a known size: every line, tap column and accumulator of a step has
//! a name of its own, so that there is no loop but the one along the row.
//!
//! A block loads `R - 1 + SIDE` lines by `SIDE` columns by `V` vectors, and broadcasts
//! `R * SIDE * SIDE` taps from the first cache. What bounds it where the lines lie in the caches are the
//! fused multiply-adds from 5x5 on, and with 3x3 loads that cross cache lines as well; where they do not,
//! the memory.

use fearless_simd::{Simd, SimdBase};

use super::segments::{Segment, steps};
use super::{Block, add};
use crate::cpu::raw::{Scalar, Writes};

impl<T: Scalar> Block<'_, T> {
    /// The sums of a segment, of a pattern that [`is_square`](super::Pattern::is_square).
    #[inline(always)]
    pub(super) fn unrolled<
        S: Simd,
        const SIDE: usize,
        const R: usize,
        const V: usize,
        U: Scalar,
    >(
        self,
        simd: S,
        segment: Segment,
        out: &mut [&mut [U]],
    ) {
        let Segment { from, to, len } = segment;
        let taps = &self.taps[..SIDE * SIDE];
        let reads = self.square::<SIDE, R>(segment);
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
                unroll!(I in R - 1 + SIDE => {
                    unroll!(J in SIDE => {
                        add::<S, R, V>(
                            simd,
                            #[inline(always)]
                            |v| at.load(simd, I, J, v),
                            #[inline(always)]
                            |r| {
                                let met = I >= r && I - r < SIDE;
                                met.then(|| taps[(I - r) * SIDE + J])
                            },
                            &mut sums,
                        );
                        at.behind(&mut sums, &mut taps);
                    });
                });
                to.store(simd, sums);
            },
        );
    }
}
