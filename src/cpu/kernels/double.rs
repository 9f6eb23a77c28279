//! The micro-kernels of sums in f64, of any kernel: one output row, or some at once.
//!
//! Of one row a block is eight vectors. For every line and tap column it broadcasts a tap and adds the tap times
//! eight vectors of the line, which are read where they lie: so what bounds it are the loads, half of which reach into
//! a second cache line. Of three rows a block is four vectors of each, and what is loaded of a line serves all rows
//! that meet it:
//!
//! ```text
//! lines                 rows of a block, 3x3        taps that a line meets
//! 0 |.............|     0                           row 0 by tap row 0
//! 1 |.............|     0 1                         row 0 by tap row 1, row 1 by tap row 0
//! 2 |.............|     0 1 2                       2, 1, 0
//! 3 |.............|       1 2                       ..
//! 4 |.............|         2
//! ```
//!
//! Either way a sum is the bias, then the taps in their order, so that it has the same bits.

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

/// Output rows of a block of several.
pub(in crate::cpu) const DOUBLE_ROWS: usize = 3;

/// Vectors of each row of it: with as many taps as rows, and one that is loaded, all registers of AVX2.
const ACROSS: usize = 4;

/// The same of three output rows that follow each other, of a kernel of two rows and more that do: of `lines` there are
/// two more than tap rows. The rows lie `spacing` apart in `sums`: so many places of each, whole blocks.
#[inline(always)]
pub(in crate::cpu) fn double_rows<S: Simd>(
    simd: S,
    (taps, bias): (&[f64], f64),
    lines: &[&[f64]],
    offsets: &[usize],
    (places, spacing): (usize, usize),
    sums: &mut [f64],
) {
    let (lanes, width) = (S::f64s::LEN, offsets.len());
    let [first, second, inner @ .., last_but_one, last] = lines else { return };
    let row = |i: usize| &taps[i * width..(i + 1) * width];
    let high = inner.len() + 2;
    for from in (0..places).step_by(ACROSS * lanes) {
        let mut block = [[S::f64s::splat(simd, bias); ACROSS]; DOUBLE_ROWS];
        // No loop is around these, so that sums stay in registers from line to line.
        add::<S, true, false, false>(simd, [row(0), &[], &[]], &first[from..], offsets, &mut block);
        add::<S, true, true, false>(
            simd,
            [row(1), row(0), &[]],
            &second[from..],
            offsets,
            &mut block,
        );
        for (i, line) in (2..).zip(inner) {
            let taps = [row(i), row(i - 1), row(i - 2)];
            add::<S, true, true, true>(simd, taps, &line[from..], offsets, &mut block);
        }
        let taps = [&[], row(high - 1), row(high - 2)];
        add::<S, false, true, true>(simd, taps, &last_but_one[from..], offsets, &mut block);
        add::<S, false, false, true>(
            simd,
            [&[], &[], row(high - 1)],
            &last[from..],
            offsets,
            &mut block,
        );
        for (row, block) in block.iter().enumerate() {
            let out = &mut sums[row * spacing + from..][..ACROSS * lanes];
            for (out, sum) in out.chunks_exact_mut(lanes).zip(block) {
                sum.store_slice(out);
            }
        }
    }
}

/// A line times a row of taps for each row of a block that meets it.
#[inline(always)]
fn add<S: Simd, const A: bool, const B: bool, const C: bool>(
    simd: S,
    taps: [&[f64]; DOUBLE_ROWS],
    line: &[f64],
    offsets: &[usize],
    block: &mut [[S::f64s; ACROSS]; DOUBLE_ROWS],
) {
    let lanes = S::f64s::LEN;
    for (j, offset) in offsets.iter().enumerate() {
        let piece = &line[*offset..][..ACROSS * lanes];
        let tap =
            |meets: bool, row: usize| S::f64s::splat(simd, if meets { taps[row][j] } else { 0.0 });
        let (a, b, c) = (tap(A, 0), tap(B, 1), tap(C, 2));
        for v in 0..ACROSS {
            let value = S::f64s::from_slice(simd, &piece[v * lanes..(v + 1) * lanes]);
            if A {
                block[0][v] = value.mul_add(a, block[0][v]);
            }
            if B {
                block[1][v] = value.mul_add(b, block[1][v]);
            }
            if C {
                block[2][v] = value.mul_add(c, block[2][v]);
            }
        }
    }
}
