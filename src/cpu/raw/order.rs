//! Instructions in the order in which they are written.
//!
//! Compilers see all multiply-adds of a step at once and order them anew, by a model of some processor that is
//! none of today's: they finish one row of a block before they begin with the next, and store and load the
//! vectors that both need. An empty instruction that all accumulators, the place and the taps go through parts
//! the columns of a step: what is written before it stays before it. Processors do not see it.
//!
//! ```text
//!   column 0:  load, broadcast, multiply-add  ┃  column 1:  load, broadcast, multiply-add  ┃  ...
//!                              accumulators ──╂──▶                          accumulators ──╂──▶
//!                                    places ──╂──▶                                places ──╂──▶
//! ```
//!
//! In the caches, one thread, AVX2, blocks of 3x4 vectors: 3x3 taps 25 G multiply-adds a second without and
//! 33 with it, 5x5 31 and 42, of 46 that the processor has.

use fearless_simd::{Simd, SimdBase};

/// Makes what was summed before the call before what is read and summed behind it. The numbers stay as they are.
#[inline(always)]
pub(super) fn in_order<S: Simd, B: SimdBase<S>, T, const R: usize, const V: usize>(
    sums: &mut [[B; V]; R],
    place: &mut usize,
    taps: &mut &[T],
) {
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    {
        // A level's own vectors, for which it has registers.
        const { assert!(size_of::<B>() == size_of::<S::f32s>()) };
        let mut start = taps.as_ptr();
        let all = std::ptr::from_mut(sums);
        // SAFETY: no instruction, so that `start` is the pointer that went in, what it points to is there, and the
        // place is the one that was proven.
        // The sums are as many vectors of as many bytes as each arm says, and a level with such vectors has
        // the registers for them.
        unsafe {
            match (size_of::<B>(), R * V) {
                #[cfg(target_arch = "x86_64")]
                (16, 12) => through::xmm(&mut *all.cast(), place, &mut start),
                #[cfg(target_arch = "x86_64")]
                (32, 12) => through::ymm(&mut *all.cast(), place, &mut start),
                #[cfg(target_arch = "x86_64")]
                (64, 24) => through::zmm(&mut *all.cast(), place, &mut start),
                #[cfg(target_arch = "x86_64")]
                (16, 6) => through::few_xmm(&mut *all.cast(), place, &mut start),
                #[cfg(target_arch = "x86_64")]
                (32, 6) => through::few_ymm(&mut *all.cast(), place, &mut start),
                #[cfg(target_arch = "x86_64")]
                (64, 12) => through::few_zmm(&mut *all.cast(), place, &mut start),
                #[cfg(target_arch = "aarch64")]
                (16, 12) => through::few_neon(&mut *all.cast(), place, &mut start),
                #[cfg(target_arch = "aarch64")]
                (16, 24) => through::neon(&mut *all.cast(), place, &mut start),
                // Blocks that registers have room beside.
                _ => through::none(place, &mut start),
            }
            *taps = std::slice::from_raw_parts(start, taps.len());
        }
    }
    #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
    let _ = (sums, place, taps);
}

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
#[allow(clippy::pointers_in_nomem_asm_block, reason = "there is no instruction in it")]
mod through {
    #[cfg(target_arch = "aarch64")]
    use std::arch::aarch64::float32x4_t;
    use std::arch::asm;
    #[cfg(target_arch = "x86_64")]
    use std::arch::x86_64::{__m128, __m256, __m512};

    macro_rules! through {
        ($name:ident, $class:ident, $vector:ty, $features:literal, $count:literal: $($sum:ident)*) => {
            #[inline]
            #[target_feature(enable = $features)]
            pub fn $name<T>(
                sums: &mut [$vector; $count],
                place: &mut usize,
                taps: &mut *const T,
            ) {
                let [$($sum),*] = sums;
                // SAFETY: a comment.
                unsafe {
                    asm!(
                        concat!("/* {place} {taps}", $(" {", stringify!($sum), "}",)* " */"),
                        place = inout(reg) *place,
                        taps = inout(reg) *taps,
                        $($sum = inout($class) *$sum,)*
                        options(pure, nomem, nostack, preserves_flags),
                    );
                }
            }
        };
    }

    #[cfg(target_arch = "x86_64")]
    through!(xmm, xmm_reg, __m128, "sse2", 12: a b c d e f g h i j k l);
    #[cfg(target_arch = "x86_64")]
    through!(ymm, ymm_reg, __m256, "avx2", 12: a b c d e f g h i j k l);
    #[cfg(target_arch = "x86_64")]
    through!(zmm, zmm_reg, __m512, "avx512f", 24: a b c d e f g h i j k l m n o p q r s t u v w x);
    #[cfg(target_arch = "x86_64")]
    through!(few_xmm, xmm_reg, __m128, "sse2", 6: a b c d e f);
    #[cfg(target_arch = "x86_64")]
    through!(few_ymm, ymm_reg, __m256, "avx2", 6: a b c d e f);
    #[cfg(target_arch = "x86_64")]
    through!(few_zmm, zmm_reg, __m512, "avx512f", 12: a b c d e f g h i j k l);
    #[cfg(target_arch = "aarch64")]
    through!(few_neon, vreg, float32x4_t, "neon", 12: a b c d e f g h i j k l);
    #[cfg(target_arch = "aarch64")]
    through!(neon, vreg, float32x4_t, "neon", 24: a b c d e f g h i j k l m n o p q r s t u v w x);

    #[inline(always)]
    pub fn none<T>(place: &mut usize, taps: &mut *const T) {
        // SAFETY: a comment.
        unsafe {
            asm!(
                "/* {place} {taps} */",
                place = inout(reg) * place,
                taps = inout(reg) * taps,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
    }
}
