//! Memory that is asked for before it is needed.

/// Bytes of a cache line.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const LINE: usize = 64;

/// Asks for memory that will soon be read or written. Processors see by themselves what is gone through row by
/// row, but not from block to block where rows are short: each begins with a wait.
#[inline(always)]
pub(in crate::cpu) fn prefetch<T>(memory: &[T]) {
    prefetch_at(memory, 0, memory.len());
}

/// The same of so many scalars from a place on, which need not lie inside.
#[inline(always)]
pub(in crate::cpu) fn prefetch_at<T>(memory: &[T], place: usize, count: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = memory.as_ptr().wrapping_add(place).cast::<i8>();
        for at in (0..count * size_of::<T>()).step_by(LINE) {
            // SAFETY: every x86-64 has the instruction, which changes no memory and accepts any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(at)) };
        }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = (memory, place, count);
}
