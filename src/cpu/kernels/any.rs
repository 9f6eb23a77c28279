//! The micro-kernel of any kernel: lines that meet the same rows of a block are gone through together.
//!
//! Which rows a line meets is a constant of the innermost loop, which goes along the tap columns: for each it
//! loads `V` vectors and broadcasts up to `R` taps, for `R * V` multiply-adds, which bound it from some
//! five columns on. Of a single column the innermost loop goes along the lines, whose taps are neighbours.

use fearless_simd::{Simd, SimdBase, SimdFloat};

use super::pattern::Run;
use super::segments::{Segment, steps};
use super::{Block, add};
use crate::cpu::raw::{At, Reads, Scalar, Writes};

type Lines<'a, T> = Reads<T, &'a [&'a [T]], &'a [usize]>;

impl<T: Scalar> Block<'_, T> {
    /// The sums of a segment: at least `V` vectors, in at most `R` rows.
    #[inline(always)]
    pub(super) fn any<S: Simd, const R: usize, const V: usize, U: Scalar>(
        self,
        simd: S,
        Segment { from, to, len }: Segment,
        out: &mut [&mut [U]],
    ) {
        let reads = Reads::new(self.lines, self.offsets, from + len);
        let mut writes = Writes::<U, R>::new(out, to, len);
        steps(
            len,
            V * S::f32s::LEN,
            #[inline(always)]
            |x| {
                self.ask_ahead::<S, R, V>(from + x);
                let to = writes.at::<S, V>(x);
                let at = reads.at::<S, V>(from + x);
                let mut sums = [[S::f32s::splat(simd, self.bias); V]; R];
                for run in &self.pattern.runs {
                    self.join::<S, R, V>(simd, run, &at, &mut sums);
                }
                to.store(simd, sums);
            },
        );
    }

    /// Adds a run to the sums of its rows.
    #[inline(always)]
    fn join<S: Simd, const R: usize, const V: usize>(
        self,
        simd: S,
        run: &Run,
        at: &At<'_, Lines<'_, T>, S, V>,
        sums: &mut [[S::f32s; V]; R],
    ) {
        macro_rules! rows {
            ($($lo:literal $hi:literal)*) => {
                match run.rows {
                    // The first rows of a block, or the last ones: what kernels with as many rows meet.
                    $(($lo, $hi) if const { $hi <= R && ($lo == 0 || $hi == R) } => {
                        self.rows::<S, $lo, $hi, R, V>(simd, run, at, sums);
                    })*
                    _ => self.some_rows::<S, R, V>(simd, run, at, sums),
                }
            };
        }
        rows!(
            0 1  0 2  0 3  0 4  0 5  0 6
            1 3  2 3  1 6  2 6  3 6  4 6  5 6
        );
    }

    /// The same where they are rows `LO` to `HI`.
    #[inline(always)]
    fn rows<S: Simd, const LO: usize, const HI: usize, const R: usize, const V: usize>(
        self,
        simd: S,
        run: &Run,
        at: &At<'_, Lines<'_, T>, S, V>,
        sums: &mut [[S::f32s; V]; R],
    ) {
        let (columns, phases) = (self.offsets.len(), self.pattern.phases);
        if columns == 1 && phases == 1 {
            // Of row HI - 1, whose tap is the lowest.
            let first = run.tap + 1 - (HI - LO);
            let taps = self.taps[first..].windows(HI - LO);
            for (line, taps) in run.lines.clone().zip(taps) {
                add::<S, R, V>(
                    simd,
                    #[inline(always)]
                    |v| at.load(simd, line, 0, v),
                    #[inline(always)]
                    |r| (LO..HI).contains(&r).then(|| taps[HI - 1 - r]),
                    sums,
                );
            }
            return;
        }
        for (n, line) in run.lines.clone().enumerate() {
            // Not by `array::from_fn`, which is a call here, for which all accumulators are stored.
            let mut taps: [&[f32]; R] = [&[]; R];
            for r in LO..HI {
                taps[r] = &self.taps[(run.tap + n - (r - LO) * phases) * columns..][..columns];
            }
            for j in 0..columns {
                add::<S, R, V>(
                    simd,
                    #[inline(always)]
                    |v| at.load(simd, line, j, v),
                    #[inline(always)]
                    |r| (LO..HI).contains(&r).then(|| taps[r][j]),
                    sums,
                );
            }
        }
    }

    /// The same of any rows, which each line and column asks for anew.
    #[inline(always)]
    fn some_rows<S: Simd, const R: usize, const V: usize>(
        self,
        simd: S,
        run: &Run,
        at: &At<'_, Lines<'_, T>, S, V>,
        sums: &mut [[S::f32s; V]; R],
    ) {
        let (columns, phases) = (self.offsets.len(), self.pattern.phases);
        let (lo, hi) = run.rows;
        for (n, line) in run.lines.clone().enumerate() {
            for j in 0..columns {
                for r in 0..R {
                    if (lo..hi).contains(&r) {
                        let tap = self.taps[(run.tap + n - (r - lo) * phases) * columns + j];
                        let tap = S::f32s::splat(simd, tap);
                        for v in 0..V {
                            sums[r][v] = at.load(simd, line, j, v).mul_add(tap, sums[r][v]);
                        }
                    }
                }
            }
        }
    }
}
