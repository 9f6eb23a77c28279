//! The micro-kernel of sums in f64: one output row of any kernel.
//!
//! A block is a row of eight vectors. For every line and tap column it broadcasts a tap and adds the tap times
//! eight vectors of the line, which are read where they lie: so what bounds it are two loads a cycle.

use fearless_simd::{Simd, SimdBase, SimdFloat};

/// Vectors of a block.
const VECTORS: usize = 8;

/// Places of a block: sums and what is read of lines behind their end are multiples of it.
pub(in crate::cpu) const fn double_step<S: Simd>() -> usize {
    VECTORS * S::f64s::LEN
}

/// The sums of `taps` and a bias: those of line `i` and tap column `j` meet `lines[i]` from `offsets[j]` on. As
/// many as `sums` holds, whole blocks.
#[inline(always)]
pub(in crate::cpu) fn double<S: Simd>(
    simd: S,
    (taps, bias): (&[f64], f64),
    lines: &[&[f64]],
    offsets: &[usize],
    sums: &mut [f64],
) {
    let (lanes, step) = (S::f64s::LEN, double_step::<S>());
    for (block, out) in sums.chunks_exact_mut(step).enumerate() {
        let from = block * step;
        let mut sums = [S::f64s::splat(simd, bias); VECTORS];
        for (line, taps) in lines.iter().zip(taps.chunks_exact(offsets.len())) {
            for (offset, tap) in offsets.iter().zip(taps) {
                let piece = &line[offset + from..][..step];
                let tap = S::f64s::splat(simd, *tap);
                for v in 0..VECTORS {
                    let value = S::f64s::from_slice(simd, &piece[v * lanes..(v + 1) * lanes]);
                    sums[v] = value.mul_add(tap, sums[v]);
                }
            }
        }
        for v in 0..VECTORS {
            sums[v].store_slice(&mut out[v * lanes..(v + 1) * lanes]);
        }
    }
}
