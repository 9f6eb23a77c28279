//! The one file with `unsafe`: vectors at places that were proven to lie inside, stores past the caches.
//!
//! A micro-kernel reads the same few tap columns of the same few lines at one place after the other. That
//! all of them lie inside is seen once for the whole walk ([`Reads::new`], [`Writes::new`]) and, in one
//! comparison, for each step of it ([`Reads::at`]); compilers that are left to find this out compare for
//! every vector and keep bounds where sums should be.
//!
//! ```text
//!              offsets[0]   offsets[1]                      proven once: offset + len <= line.len()
//!  line 0   |......[=========len=========]......|
//!  line 1   |..........[=========len=========]..|
//!                   x ^^^^^^^^                              and for a step: x + width <= len
//! ```
#![allow(unsafe_code, reason = "what is proven once is not checked again in inner loops")]

use std::marker::PhantomData;

use fearless_simd::{Simd, SimdBase};

/// Bytes of a cache line, the same on all processors that [`stream`] knows.
const LINE: usize = 64;

/// Lines, of which `len` places behind each offset lie inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reads<L, O> {
    /// Arrays where there are few: then compilers know all of them by name. Otherwise slices; both show the
    /// same each time they are asked.
    lines: L,
    offsets: O,
    len: usize,
}

impl<'a, L: AsRef<[&'a [f32]]>, O: AsRef<[usize]>> Reads<L, O> {
    /// # Panics
    /// Where a line is too short.
    #[inline(always)]
    pub fn new(lines: L, offsets: O, len: usize) -> Self {
        let far = offsets.as_ref().iter().copied().max().unwrap_or(0).checked_add(len);
        let inside = |line: &&[f32]| far.is_some_and(|far| far <= line.len());
        assert!(lines.as_ref().iter().all(inside), "a line ends before {far:?}");
        Self { lines, offsets, len }
    }

    /// The `V` vectors from place `x` on.
    ///
    /// # Panics
    /// Where they do not lie inside.
    #[inline(always)]
    pub fn at<S: Simd, const V: usize>(&self, x: usize) -> At<'_, Self, S, V> {
        assert!(x <= self.len && V * S::f32s::LEN <= self.len - x);
        At { reads: self, x, simd: PhantomData }
    }
}

/// A step of a walk over [`Reads`]: `V` vectors that lie inside.
#[derive(Debug)]
pub(super) struct At<'r, R, S, const V: usize> {
    reads: &'r R,
    x: usize,
    simd: PhantomData<S>,
}

impl<'a, L: AsRef<[&'a [f32]]>, O: AsRef<[usize]>, S: Simd, const V: usize>
    At<'_, Reads<L, O>, S, V>
{
    /// Vector `v` of what tap column `column` meets of line `line`.
    ///
    /// # Panics
    /// Where there is no such vector, column or line.
    #[inline(always)]
    pub fn load(&self, simd: S, line: usize, column: usize, v: usize) -> S::f32s {
        const {
            assert!(size_of::<<S::f32s as SimdBase<S>>::Array>() == S::f32s::LEN * size_of::<f32>())
        };
        assert!(v < V);
        let Reads { lines, offsets, .. } = self.reads;
        let at = offsets.as_ref()[column] + self.x + v * S::f32s::LEN;
        // SAFETY: `Reads::new` saw that `offset + len` scalars of every line are there, and `Reads::at` that
        // `x + V * LEN <= len`, with v < V. An array of a vector's lanes is as large as that. (A slice would
        // be one whose pointer compilers compare with null.)
        let vector = unsafe { &*lines.as_ref()[line].as_ptr().add(at).cast() };
        S::f32s::load_array_ref(simd, vector)
    }
}

/// Rows of one length that are written.
#[derive(Debug)]
pub(super) struct Writes<'a, const R: usize> {
    rows: [*mut f32; R],
    len: usize,
    life: PhantomData<&'a mut [f32]>,
}

impl<'a, const R: usize> Writes<'a, R> {
    /// `len` scalars of each row from scalar `from` on. Rows that are fewer than `R` are the first ones of a
    /// block.
    ///
    /// # Panics
    /// Where there is no row or one is too short.
    #[inline(always)]
    pub fn new(rows: &'a mut [&mut [f32]], from: usize, len: usize) -> Self {
        let count = rows.len().min(R);
        let mut all = [std::ptr::null_mut(); R];
        for (all, row) in all.iter_mut().zip(rows) {
            *all = row[from..from + len].as_mut_ptr();
        }
        // For rows that are not there the first one stands in, which is stored last.
        let (first, rest) = (all[..count][0], &mut all[count..]);
        rest.fill(first);
        Self { rows: all, len, life: PhantomData }
    }

    /// Stores `V` vectors of each row at place `x`. All of them always: what is summed for a store that might
    /// not be, compilers put off until it is known to be, and then sum row by row and load anew.
    ///
    /// # Panics
    /// Where they do not lie inside.
    #[allow(clippy::needless_range_loop, reason = "iterators over arrays are not unrolled here")]
    #[inline(always)]
    pub fn store<S: Simd, const V: usize>(&mut self, x: usize, sums: [[S::f32s; V]; R]) {
        assert!(x <= self.len && V * S::f32s::LEN <= self.len - x);
        for r in (0..R).rev() {
            for v in 0..V {
                // SAFETY: `Writes::new` saw that rows have `len` scalars, and above that
                // `x + V * LEN <= len`, with v < V. They are borrowed for as long as `self` is. An array
                // of a vector's lanes is as large as those.
                let to = unsafe { &mut *self.rows[r].add(x + v * S::f32s::LEN).cast() };
                sums[r][v].store_array(to);
            }
        }
    }
}

/// The same numbers, without that compilers know it: what was broadcast of them before is broadcast anew, by
/// one load each, where otherwise dozens of vectors would be kept for later and, as registers are few,
/// stored and loaded. (5x5 taps on AVX2, in the caches: 0.137 ms without, 0.119 with it.)
#[allow(clippy::pointers_in_nomem_asm_block, reason = "there is no instruction in it")]
#[inline(always)]
pub(super) fn anew(taps: &[f32]) -> &[f32] {
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    {
        let mut start = taps.as_ptr();
        // SAFETY: no instruction. The pointer is the one that went in, so what it points to is there.
        unsafe {
            std::arch::asm!("/* {0} */", inout(reg) start, options(pure, nomem, nostack, preserves_flags));
            std::slice::from_raw_parts(start, taps.len())
        }
    }
    #[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
    taps
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
pub(super) fn stream<S: Simd>(simd: S, from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    const SCALARS: usize = LINE / size_of::<f32>();
    let lead = to.as_ptr().align_offset(LINE).min(to.len());
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
    #[cfg(target_arch = "x86_64")]
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
    // SAFETY: as the caller says.
    #[cfg(not(target_arch = "x86_64"))]
    vector.store_array(unsafe { &mut *to.cast() });
}

/// Whether [`stream`] does more than copy.
pub(super) const STREAMS: bool = cfg!(target_arch = "x86_64");

/// After it other threads see what this one streamed.
#[inline(always)]
pub(super) fn fence() {
    // SAFETY: every x86-64 has it.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// Asks for memory that will soon be read or written. Processors see by themselves what is gone through row by
/// row, but not from block to block where rows are short: each begins with a wait.
#[inline(always)]
pub(super) fn prefetch<T>(memory: &[T]) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = memory.as_ptr().cast::<i8>();
        for at in (0..size_of_val(memory)).step_by(LINE) {
            // SAFETY: the place lies inside, and every x86-64 has the instruction, which changes no memory.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(at)) };
        }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = memory;
}

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

    #[test]
    fn streams_copy_all_of_a_row_and_nothing_else() {
        let from: Vec<f32> = (1..=400).map(|x| x as f32).collect();
        for level in crate::cpu::simd::Simd::all() {
            for start in 0..20 {
                for len in (0..100).chain([130, 257, 300]) {
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

    /// Whatever the system answers, memory is what it was.
    #[test]
    fn large_pages_change_no_byte() {
        for len in [0, 1, 4096, 5 << 20] {
            let mut memory = vec![7u8; len];
            large_pages(&mut memory);
            assert!(memory.iter().all(|x| *x == 7));
        }
    }
}
