//! Memory that is asked for before it is needed.

/// Asks for memory that will soon be read or written. Processors see by themselves what is gone through row by
/// row, but not from block to block where rows are short: each begins with a wait.
#[inline(always)]
pub(in crate::cpu) fn prefetch<T>(memory: &[T]) {
    ask::<T, FIRST>(memory.as_ptr(), memory.len());
}

/// The same of so many scalars from a place on, which need not lie inside, into the second cache: until they are
/// read, more is than the first one holds.
#[inline(always)]
pub(in crate::cpu) fn prefetch_at<T>(memory: &[T], place: usize, count: usize) {
    ask::<T, SECOND>(memory.as_ptr().wrapping_add(place), count);
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
mod hint {
    use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1};
    pub const FIRST: i32 = _MM_HINT_T0;
    pub const SECOND: i32 = _MM_HINT_T1;
}
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
mod hint {
    pub const FIRST: i32 = 0;
    pub const SECOND: i32 = 1;
}
use hint::{FIRST, SECOND};

/// Asks for so many scalars, wherever they lie.
#[inline(always)]
fn ask<T, const HINT: i32>(start: *const T, count: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::_mm_prefetch;
        let start = start.cast::<i8>();
        for at in (0..count * size_of::<T>()).step_by(crate::plan::CACHE_LINE) {
            // SAFETY: every x86-64 has the instruction, which changes no memory and accepts any address.
            unsafe { _mm_prefetch::<HINT>(start.wrapping_add(at)) };
        }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = (start, count);
}
