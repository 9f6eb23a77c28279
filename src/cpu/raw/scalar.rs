//! The types that micro-kernels read and write: how neighbouring scalars become a vector of f32, and how
//! vectors become scalars again, rounded and saturated in registers.

use fearless_simd::{Bytes, Simd, SimdBase, SimdNarrow};

use crate::{Element, ElementType};

/// What a micro-kernel can read where it lies, and write.
pub(in crate::cpu) trait Scalar: Element {
    /// Whether vectors lie in memory as they are summed.
    const IS_F32: bool = matches!(Self::TYPE, ElementType::F32);

    /// The vector of so many scalars as it has lanes.
    ///
    /// # Safety
    /// They lie at `from`.
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::f32s;

    /// The scalars nearest to `V` vectors of sums, as [`Element::from_f32`] makes them.
    ///
    /// # Safety
    /// There is room for them at `to`.
    unsafe fn store<S: Simd, const V: usize>(simd: S, to: *mut Self, sums: [S::f32s; V]);
}

/// A vector's lanes as an array, which is as large as it: arrays are read and written by reference, for a
/// slice would be one whose pointer compilers compare with null.
pub(super) const fn array_is_vector<S: Simd, B: SimdBase<S>>() {
    assert!(size_of::<B::Array>() == B::LEN * size_of::<B::Element>());
}

impl Scalar for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::f32s {
        const { array_is_vector::<S, S::f32s>() };
        // SAFETY: as the caller says, and an array of a vector's lanes is as large as those.
        S::f32s::load_array_ref(simd, unsafe { &*from.cast() })
    }

    #[allow(clippy::needless_range_loop, reason = "iterators over arrays are not always unrolled")]
    #[inline(always)]
    unsafe fn store<S: Simd, const V: usize>(_: S, to: *mut Self, sums: [S::f32s; V]) {
        const { array_is_vector::<S, S::f32s>() };
        for v in 0..V {
            // SAFETY: as the caller says, with v < V; as above.
            sums[v].store_array(unsafe { &mut *to.add(v * S::f32s::LEN).cast() });
        }
    }
}

impl Scalar for u8 {
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::f32s {
        // SAFETY: as the caller says. A vector of such a size is the contents of a register and nothing else,
        // and a level with such vectors has what is called.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            use std::arch::x86_64::*;
            use std::mem::transmute_copy;
            let _ = simd;
            match size_of::<S::f32s>() {
                16 => {
                    let zero = _mm_setzero_si128();
                    let bytes = _mm_cvtsi32_si128(from.cast::<i32>().read_unaligned());
                    let words = _mm_unpacklo_epi8(bytes, zero);
                    transmute_copy(&_mm_cvtepi32_ps(_mm_unpacklo_epi16(words, zero)))
                }
                32 => {
                    let bytes = _mm_loadl_epi64(from.cast());
                    transmute_copy(&_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)))
                }
                64 => {
                    let bytes = _mm_loadu_si128(from.cast());
                    transmute_copy(&_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)))
                }
                bytes => unreachable!("vectors of {bytes} bytes"),
            }
        }
        // SAFETY: as the caller says.
        #[cfg(not(target_arch = "x86_64"))]
        unsafe {
            from_lanes(simd, from)
        }
    }

    #[inline(always)]
    unsafe fn store<S: Simd, const V: usize>(simd: S, to: *mut Self, sums: [S::f32s; V]) {
        const { array_is_vector::<S, S::u8s>() };
        let whole = |v: usize| whole::<S>(simd, sums[v], 255.0);
        for v in (0..V / 4 * 4).step_by(4) {
            let low = whole(v).relaxed_narrow(whole(v + 1));
            let high = whole(v + 2).relaxed_narrow(whole(v + 3));
            // SAFETY: as the caller says, with v + 3 < V: four vectors of f32 have as many lanes as one of
            // bytes.
            let to = unsafe { &mut *to.add(v * S::f32s::LEN).cast() };
            low.relaxed_narrow(high).store_array(to);
        }
        for v in V / 4 * 4..V {
            let one = whole(v);
            let words = one.relaxed_narrow(one);
            let bytes = words.relaxed_narrow(words);
            // SAFETY: as the caller says, with v < V; the vector's first quarter are its scalars.
            unsafe {
                let from = bytes.as_slice().as_ptr();
                std::ptr::copy_nonoverlapping(from, to.add(v * S::f32s::LEN), S::f32s::LEN);
            }
        }
    }
}

impl Scalar for u16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::f32s {
        // SAFETY: as in `u8`.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            use std::arch::x86_64::*;
            use std::mem::transmute_copy;
            let _ = simd;
            match size_of::<S::f32s>() {
                16 => {
                    let words = _mm_loadl_epi64(from.cast());
                    let words = _mm_unpacklo_epi16(words, _mm_setzero_si128());
                    transmute_copy(&_mm_cvtepi32_ps(words))
                }
                32 => {
                    let words = _mm_loadu_si128(from.cast());
                    transmute_copy(&_mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(words)))
                }
                64 => {
                    let words = _mm256_loadu_si256(from.cast());
                    transmute_copy(&_mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(words)))
                }
                bytes => unreachable!("vectors of {bytes} bytes"),
            }
        }
        // SAFETY: as the caller says.
        #[cfg(not(target_arch = "x86_64"))]
        unsafe {
            from_lanes(simd, from)
        }
    }

    #[inline(always)]
    unsafe fn store<S: Simd, const V: usize>(simd: S, to: *mut Self, sums: [S::f32s; V]) {
        const { array_is_vector::<S, S::u16s>() };
        let whole = |v: usize| whole::<S>(simd, sums[v], 65_535.0);
        for v in (0..V / 2 * 2).step_by(2) {
            // SAFETY: as the caller says, with v + 1 < V: two vectors of f32 have as many lanes as one of u16.
            let to = unsafe { &mut *to.add(v * S::f32s::LEN).cast() };
            whole(v).relaxed_narrow(whole(v + 1)).store_array(to);
        }
        for v in V / 2 * 2..V {
            let one = whole(v);
            let words = one.relaxed_narrow(one);
            // SAFETY: as the caller says, with v < V; the vector's first half are its scalars.
            unsafe {
                let from = words.as_slice().as_ptr();
                std::ptr::copy_nonoverlapping(from, to.add(v * S::f32s::LEN), S::f32s::LEN);
            }
        }
    }
}

/// A vector of scalars, lane by lane: compilers know what converts all of them.
///
/// # Safety
/// So many scalars as it has lanes lie at `from`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
unsafe fn from_lanes<S: Simd, T: Element>(simd: S, from: *const T) -> S::f32s {
    S::f32s::from_fn(
        simd,
        #[inline(always)]
        // SAFETY: as the caller says.
        |lane| unsafe { from.add(lane).read() }.to_f32(),
    )
}

/// The nearest whole numbers from 0 to `most`, half to even, and 0 for NaN.
#[inline(always)]
fn whole<S: Simd>(simd: S, sum: S::f32s, most: f32) -> S::u32s {
    let zero = S::f32s::splat(simd, 0.0);
    // x86's maximum is the second operand where one is NaN.
    let least = if cfg!(target_arch = "x86_64") { sum.max(zero) } else { sum.max_precise(zero) };
    // From 2^23 on floats are whole numbers, so adding it rounds, half to even, and leaves the number in
    // the lowest bits.
    let within = least.min(most) + 8_388_608.0;
    within.bitcast::<S::u32s>() - 8_388_608f32.to_bits()
}

/// Stores four vectors of sums, together or one by one.
#[cfg(test)]
#[inline(always)]
pub(in crate::cpu) fn store<S: Simd, T: Scalar>(
    simd: S,
    sums: &[f32],
    together: bool,
    to: &mut [T],
) {
    use super::Writes;
    let lanes = S::f32s::LEN;
    let vector = |v: usize| S::f32s::from_slice(simd, &sums[v * lanes..(v + 1) * lanes]);
    let mut rows = [&mut *to];
    let mut writes = Writes::<T, 1>::new(&mut rows, 0, 4 * lanes);
    if together {
        writes.at::<S, 4>(0).store(simd, [std::array::from_fn(vector)]);
    } else {
        (0..4).for_each(|v| writes.at::<S, 1>(v * lanes).store(simd, [[vector(v)]]));
    }
}

#[cfg(test)]
mod tests {
    use crate::Element;
    use crate::cpu::simd::Simd;

    /// Sums around every half, beyond both ends, and what is no number: stored as single ones are, in whole
    /// vectors and in one, and nothing beside them.
    #[test]
    fn sums_are_stored_as_elements() {
        let odd = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e30, -1e30];
        // All that bytes are and the ends of u16; by Miri, which is slow, the ends of bytes.
        let most = if cfg!(miri) { 530 } else { 140_000 };
        let near = (-4..=most).flat_map(|n| {
            let half = n as f32 * 0.5;
            [half, half.next_up(), half.next_down()]
        });
        let sums: Vec<f32> = odd.into_iter().chain(near).collect();
        for level in Simd::all() {
            let count = 4 * level.lanes();
            for (n, sums) in sums.chunks_exact(count).enumerate() {
                let (mut bytes, mut words, mut floats) = ([7u8; 65], [7u16; 65], [7.0; 65]);
                level.store(sums, n % 2 == 0, &mut bytes);
                level.store(sums, n % 2 == 0, &mut words);
                level.store(sums, n % 2 == 0, &mut floats);
                for (i, sum) in sums.iter().enumerate() {
                    assert_eq!(bytes[i], u8::from_f32(*sum), "{sum} on {}", level.name());
                    assert_eq!(words[i], u16::from_f32(*sum), "{sum} on {}", level.name());
                    assert_eq!(floats[i].to_bits(), sum.to_bits());
                }
                assert_eq!((bytes[count], words[count], floats[count]), (7, 7, 7.0));
            }
        }
    }
}
