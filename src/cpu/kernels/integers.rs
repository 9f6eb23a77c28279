//! The micro-kernel of bytes that stay bytes, by a square kernel whose taps are multiples of some 2^-k: sums of
//! 16-bit integers, twice as many to a vector as of f32, and nothing to convert.
//!
//! ```text
//!  bytes      [ 32 of a line at a tap column ]
//!                widen │
//!  16 bits    [ 16 ]   [ 16 ]      times a tap 2^k, which is whole, and added: R rows of two accumulators each
//!                  ╲   ╱
//!  bytes      [ 32 ]  sums / 2^k, rounded half to even, saturated
//! ```
//!
//! The same sums in f32 are exact, too, so that it makes no difference which of the two made a place. A block
//! loads a vector for every line and tap column and widens it in two to four instructions; it takes about half of
//! the instructions that f32 does.

use fearless_simd::{Simd, SimdBase, SimdNarrow, SimdWiden};

use super::Block;
use super::segments::{Segment, steps};
use crate::cpu::raw::{Scalar, Writes};
use crate::problem::Integers;

/// Places of a step, in vectors of f32: those of a vector of bytes.
const VECTORS: usize = 4;

/// Sums over 2^`places`, half to even, from 0 to 255.
#[inline(always)]
fn round<S: Simd>(integers: &Integers, sums: S::u16s) -> S::u16s {
    let Integers { places, above, .. } = *integers;
    // Just below a half, and one more where the quotient is odd.
    let half = ((1u32 << places) / 2).saturating_sub(1) as u16;
    let odd = u16::from(places > 0);
    let rounded = (sums + half + ((sums >> places) & odd)) >> places;
    (rounded.max(above) - above).min(u16::from(u8::MAX))
}

impl<T: Scalar> Block<'_, T> {
    /// The sums of a segment of bytes, of a pattern that [`is_square`](super::Pattern::is_square).
    #[inline(always)]
    pub(super) fn integers<S: Simd, const SIDE: usize, const R: usize, U: Scalar>(
        self,
        simd: S,
        integers: &Integers,
        segment: Segment,
        out: &mut [&mut [U]],
    ) {
        let Segment { from, to, len } = segment;
        let taps = &integers.taps[..SIDE * SIDE];
        let reads = self.square::<SIDE, R>(segment);
        let mut writes = Writes::<U, R>::new(out, to, len);
        let bias = S::u16s::splat(simd, integers.bias);
        steps(
            len,
            VECTORS * S::f32s::LEN,
            #[inline(always)]
            |x| {
                self.ask_ahead::<S, R, VECTORS>(from + x);
                let to = writes.at::<S, VECTORS>(x);
                let mut at = reads.at::<S, VECTORS>(x);
                let mut taps = taps;
                let mut sums = [[bias; 2]; R];
                unroll!(I in R - 1 + SIDE => {
                    unroll!(J in SIDE => {
                        let (low, high) = at.bytes(simd, I, J).widen();
                        for r in 0..R {
                            if I >= r && I - r < SIDE {
                                let tap = S::u16s::splat(simd, taps[(I - r) * SIDE + J]);
                                sums[r][0] += low * tap;
                                sums[r][1] += high * tap;
                            }
                        }
                        at.behind(&mut sums, &mut taps);
                    });
                });
                let mut bytes = [S::u8s::splat(simd, 0); R];
                for r in 0..R {
                    let [low, high] = sums[r];
                    let (low, high) = (round::<S>(integers, low), round::<S>(integers, high));
                    bytes[r] = low.relaxed_narrow(high);
                }
                to.store_bytes(bytes);
            },
        );
    }
}
