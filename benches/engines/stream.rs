//! A copy whose stores go past the caches: a plain one reads every line that it overwrites first, so
//! three bytes move for two.

/// Copies, or says that this processor has no such stores.
pub(crate) fn copy(from: &[u8], to: &mut [u8]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx") {
        avx::copy(from, to);
        return true;
    }
    let _ = (from, to);
    false
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "streamed stores have no safe form")]
mod avx {
    use std::arch::x86_64::{
        __m256i, _mm_sfence, _mm256_loadu_si256, _mm256_stream_si256, _mm256_zeroupper,
    };

    /// A vector's bytes, and what streamed stores have to be aligned to.
    const LANES: usize = 32;

    pub(super) fn copy(from: &[u8], to: &mut [u8]) {
        assert_eq!(from.len(), to.len());
        let head = to.as_ptr().align_offset(LANES).min(to.len());
        let (to_head, to) = to.split_at_mut(head);
        let (from_head, from) = from.split_at(head);
        let (to, to_tail) = to.split_at_mut(to.len() / LANES * LANES);
        let (from, from_tail) = from.split_at(to.len());
        to_head.copy_from_slice(from_head);
        // SAFETY: the caller has seen that there is AVX; `to` begins at a multiple of LANES, and both have
        // the same length, a multiple of LANES.
        unsafe { stream(from, to) };
        to_tail.copy_from_slice(from_tail);
    }

    /// # Safety
    /// `to` is aligned to LANES, and both have the same length, a multiple of LANES.
    #[target_feature(enable = "avx")]
    unsafe fn stream(from: &[u8], to: &mut [u8]) {
        for (from, to) in from.chunks_exact(LANES).zip(to.chunks_exact_mut(LANES)) {
            // SAFETY: both have LANES bytes; `to` is a whole number of vectors from an aligned start.
            unsafe {
                let vector = _mm256_loadu_si256(from.as_ptr().cast::<__m256i>());
                _mm256_stream_si256(to.as_mut_ptr().cast::<__m256i>(), vector);
            }
        }
        // Streamed stores are in no order with others: they are out before the caller goes on.
        _mm_sfence();
        _mm256_zeroupper();
    }
}
