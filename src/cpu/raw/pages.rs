//! Large pages under large outputs.

/// Large pages of Linux on x86-64 and most of aarch64.
#[cfg(all(target_os = "linux", not(miri)))]
const LARGE_PAGE: usize = 2 << 20;

/// Asks for large pages under memory that has not been touched yet: a page fault for 2 MiB, and not for
/// 4 KiB, of which an output of 200 MB has fifty thousand. A system that has none goes on as before.
pub(crate) fn large_pages(memory: &mut [u8]) {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        let lead = memory.as_ptr().align_offset(LARGE_PAGE);
        let len = memory.len().saturating_sub(lead) / LARGE_PAGE * LARGE_PAGE;
        if len > 0 {
            // SAFETY: `lead + len` bytes lie inside of `memory`, which is ours alone, and advice changes
            // nothing but how it is backed. What it answers is advice, too.
            let _ = unsafe {
                libc::madvise(memory.as_mut_ptr().add(lead).cast(), len, libc::MADV_HUGEPAGE)
            };
        }
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    let _ = memory;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the system answers, memory is what it was.
    #[test]
    fn large_pages_change_no_byte() {
        let large = if cfg!(miri) { 1 << 13 } else { 5 << 20 };
        for len in [0, 1, 4096, large] {
            let mut memory = vec![7u8; len];
            large_pages(&mut memory);
            assert!(memory.iter().all(|x| *x == 7));
        }
    }
}
