//! Stores past the caches.

use fearless_simd::{Simd, SimdBase};

use crate::plan::CACHE_LINE;

/// Scalars before the first whole cache line of a row.
pub(in crate::cpu) fn lead(row: &[f32]) -> usize {
    row.as_ptr().align_offset(CACHE_LINE).min(row.len())
}

/// Copies a row past the caches, where the processor can: a cache line that is stored whole, from its begin
/// on and with nothing between, is not read before. (Of several rows by turns, as a block makes them, Zen 3
/// took up to three times as long where their distance was a multiple of half a page.)
///
/// Other threads see it behind a [`fence`].
///
/// # Panics
/// Where lengths differ.
#[inline(always)]
pub(in crate::cpu) fn stream<S: Simd>(simd: S, from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    const SCALARS: usize = CACHE_LINE / size_of::<f32>();
    let lead = lead(to);
    let (head, to) = to.split_at_mut(lead);
    let (head_from, from) = from.split_at(lead);
    head.copy_from_slice(head_from);
    let mut lines = to.chunks_exact_mut(SCALARS);
    for (to, from) in (&mut lines).zip(from.chunks_exact(SCALARS)) {
        for (to, from) in to.chunks_exact_mut(S::f32s::LEN).zip(from.chunks_exact(S::f32s::LEN)) {
            // SAFETY: a chunk is a place for a vector, and lies whole vectors behind a place that is aligned
            // for a cache line, which is no shorter than a vector.
            unsafe { stream_vector::<S>(to.as_mut_ptr(), S::f32s::from_slice(simd, from)) };
        }
    }
    let rest = lines.into_remainder();
    rest.copy_from_slice(&from[from.len() - rest.len()..]);
}

/// Stores a vector past the caches.
///
/// # Safety
/// `to` is a place for a vector, and aligned for it.
#[inline(always)]
unsafe fn stream_vector<S: Simd>(to: *mut f32, vector: S::f32s) {
    // SAFETY: as the caller says. A vector of such a size is the contents of a register and nothing else, and
    // a level with such vectors has what stores them.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        use std::arch::x86_64::{_mm_stream_ps, _mm256_stream_ps, _mm512_stream_ps};
        use std::mem::transmute_copy;
        match size_of::<S::f32s>() {
            16 => _mm_stream_ps(to, transmute_copy(&vector)),
            32 => _mm256_stream_ps(to, transmute_copy(&vector)),
            64 => _mm512_stream_ps(to, transmute_copy(&vector)),
            _ => unreachable!("vectors of {} bytes", size_of::<S::f32s>()),
        }
    }
    // SAFETY: as the caller says. Miri, which has no such stores, sees by it whether the place is one.
    #[cfg(miri)]
    unsafe {
        to.cast::<S::f32s>().write(vector);
    }
    // SAFETY: as the caller says.
    #[cfg(not(any(target_arch = "x86_64", miri)))]
    vector.store_array(unsafe { &mut *to.cast() });
}

/// Whether [`stream`] does more than copy.
pub(in crate::cpu) const STREAMS: bool = cfg!(target_arch = "x86_64");

/// After it other threads see what this one streamed.
#[inline(always)]
pub(in crate::cpu) fn fence() {
    // SAFETY: every x86-64 has it.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn streams_copy_all_of_a_row_and_nothing_else() {
        let from: Vec<f32> = (1..=400).map(|x| x as f32).collect();
        for level in crate::cpu::simd::Simd::all() {
            for start in (0..20).step_by(if cfg!(miri) { 7 } else { 1 }) {
                for len in (0..100).step_by(if cfg!(miri) { 9 } else { 1 }).chain([130, 257, 300]) {
                    let mut to = vec![0.0; 400];
                    level.stream(&from[7..7 + len], &mut to[start..start + len]);
                    let (before, rest) = to.split_at(start);
                    let (copied, behind) = rest.split_at(len);
                    assert_eq!(copied, &from[7..7 + len], "{start} {len}");
                    assert!(before.iter().chain(behind).all(|x| *x == 0.0), "{start} {len}");
                }
            }
        }
    }
}
