//! The micro-kernel of a single tap column with at least as many rows as a block: the lines that all rows of the
//! block meet are a loop, and those before and behind it, which only some do, have names of their own.
//!
//! ```text
//!  line     0 . . R-1 . . . . . kh-1 . . kh+R-2
//!  row 0    [ taps . . . . . . . . ]
//!  row 1      [ taps . . . . . . . . ]
//!  row R-1          [ taps . . . . . . . . ]
//!           head     |    loop     |    foot
//! ```

use fearless_simd::{Simd, SimdBase};

use super::segments::{Segment, steps};
use super::{Block, add};
use crate::cpu::raw::{Reads, Scalar, Writes};

impl<T: Scalar> Block<'_, T> {
    /// The sums of a segment, of at least `V` vectors, and of a pattern that
    /// [`is_column`](super::Pattern::is_column).
    #[inline(always)]
    pub(super) fn column<S: Simd, const R: usize, const V: usize, U: Scalar>(
        self,
        simd: S,
        Segment { from, to, len }: Segment,
        out: &mut [&mut [U]],
    ) {
        let (taps, count) = (self.taps, self.taps.len());
        let lines = &self.lines[..count + R - 1];
        // Of known lengths, so that no place in them is compared.
        let (head, foot) = (&taps[..R - 1], &taps[count + 1 - R..][..R - 1]);
        let reads = Reads::new(lines, [self.offsets[0] + from], len);
        let mut writes = Writes::<U, R>::new(out, to, len);
        steps(
            len,
            V * S::f32s::LEN,
            #[inline(always)]
            |x| {
                self.ask_ahead::<S, R, V>(from + x);
                let to = writes.at::<S, V>(x);
                let at = reads.at::<S, V>(x);
                let mut sums = [[S::f32s::splat(simd, self.bias); V]; R];
                unroll!(I in R - 1 => add::<S, R, V>(
                    simd,
                    #[inline(always)]
                    |v| at.load(simd, I, 0, v),
                    #[inline(always)]
                    |r| (r <= I).then(|| head[I - r]),
                    &mut sums,
                ));
                for (line, taps) in (R - 1..count).zip(taps.windows(R)) {
                    add::<S, R, V>(
                        simd,
                        #[inline(always)]
                        |v| at.load(simd, line, 0, v),
                        #[inline(always)]
                        |r| Some(taps[R - 1 - r]),
                        &mut sums,
                    );
                }
                unroll!(I in R - 1 => add::<S, R, V>(
                    simd,
                    #[inline(always)]
                    |v| at.load(simd, count + I, 0, v),
                    #[inline(always)]
                    |r| (r > I).then(|| foot[R - 1 + I - r]),
                    &mut sums,
                ));
                to.store(simd, sums);
            },
        );
    }
}
