//! The one room with `unsafe`: vectors at places that were proven to lie inside, stores past the caches.
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

mod order;
mod pages;
mod prefetch;
mod scalar;
mod stream;

use std::marker::PhantomData;

use fearless_simd::{Simd, SimdBase};

pub(crate) use pages::large_pages;
pub(super) use prefetch::{prefetch, prefetch_at};
pub(super) use scalar::Scalar;
#[cfg(test)]
pub(super) use scalar::store;
pub(super) use stream::{STREAMS, fence, lead, stream};

/// Lines, of which `len` places behind each offset lie inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reads<T, L, O> {
    /// Arrays where there are few: then compilers know all of them by name. Otherwise slices; both show the
    /// same each time they are asked.
    lines: L,
    offsets: O,
    len: usize,
    scalars: PhantomData<T>,
}

impl<'a, T: Scalar + 'a, L: AsRef<[&'a [T]]>, O: AsRef<[usize]>> Reads<T, L, O> {
    /// # Panics
    /// Where a line is too short.
    #[inline(always)]
    pub fn new(lines: L, offsets: O, len: usize) -> Self {
        let far = offsets.as_ref().iter().copied().max().unwrap_or(0).checked_add(len);
        let inside = |line: &&[T]| far.is_some_and(|far| far <= line.len());
        assert!(lines.as_ref().iter().all(inside), "a line ends before {far:?}");
        Self { lines, offsets, len, scalars: PhantomData }
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

impl<'a, T: Scalar + 'a, L: AsRef<[&'a [T]]>, O: AsRef<[usize]>, S: Simd, const V: usize>
    At<'_, Reads<T, L, O>, S, V>
{
    /// Vector `v` of what tap column `column` meets of line `line`.
    ///
    /// # Panics
    /// Where there is no such vector, column or line.
    #[inline(always)]
    pub fn load(&self, simd: S, line: usize, column: usize, v: usize) -> S::f32s {
        assert!(v < V);
        let Reads { lines, offsets, .. } = self.reads;
        let at = offsets.as_ref()[column] + self.x + v * S::f32s::LEN;
        // SAFETY: `Reads::new` saw that `offset + len` scalars of every line are there, and `Reads::at` that
        // `x + V * LEN <= len`, with v < V.
        unsafe { T::load(simd, lines.as_ref()[line].as_ptr().add(at)) }
    }
}

impl<'a, T: Scalar + 'a, L: AsRef<[&'a [T]]>, O: AsRef<[usize]>, S: Simd, const V: usize>
    At<'_, Reads<T, L, O>, S, V>
{
    /// All that tap column `column` meets of line `line`, of bytes: as many as a vector of them has.
    ///
    /// # Panics
    /// Where there is no such column or line, or scalars are no bytes, or places are others.
    #[inline(always)]
    pub fn bytes(&self, simd: S, line: usize, column: usize) -> S::u8s {
        assert!(size_of::<T>() == 1 && V * S::f32s::LEN == S::u8s::LEN);
        let Reads { lines, offsets, .. } = self.reads;
        let at = offsets.as_ref()[column] + self.x;
        const { scalar::array_is_vector::<S, S::u8s>() };
        // SAFETY: as in `load`: `V * f32s::LEN` bytes, which are a vector.
        S::u8s::load_array_ref(simd, unsafe { &*lines.as_ref()[line].as_ptr().add(at).cast() })
    }
}

impl<R, S: Simd, const V: usize> At<'_, R, S, V> {
    /// What is loaded and summed behind it stays behind what was summed before it (`order`).
    #[inline(always)]
    pub fn behind<B: SimdBase<S>, T, const EACH: usize, const ROWS: usize>(
        &mut self,
        sums: &mut [[B; EACH]; ROWS],
        taps: &mut &[T],
    ) {
        order::in_order(sums, &mut self.x, taps);
    }
}

/// Rows of one length that are written.
#[derive(Debug)]
pub(super) struct Writes<'a, U, const R: usize> {
    rows: [*mut U; R],
    len: usize,
    life: PhantomData<&'a mut [U]>,
}

impl<'a, U: Scalar, const R: usize> Writes<'a, U, R> {
    /// `len` scalars of each row from scalar `from` on. Rows that are fewer than `R` are the first ones of a
    /// block.
    ///
    /// # Panics
    /// Where there is no row or one is too short.
    #[inline(always)]
    pub fn new(rows: &'a mut [&mut [U]], from: usize, len: usize) -> Self {
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

    /// The `V` vectors of each row from place `x` on. Asked for before what is stored is summed: what comes
    /// before a check that might fail, compilers put off until it has not, and keep all that was loaded for
    /// it until then.
    ///
    /// # Panics
    /// Where they do not lie inside.
    #[inline(always)]
    pub fn at<S: Simd, const V: usize>(&mut self, x: usize) -> To<'_, U, S, R, V> {
        assert!(x <= self.len && V * S::f32s::LEN <= self.len - x);
        To { rows: &self.rows, x, life: PhantomData }
    }
}

/// A step of a walk over [`Writes`]: `V` vectors of each row that lie inside.
#[derive(Debug)]
pub(super) struct To<'w, U, S, const R: usize, const V: usize> {
    rows: &'w [*mut U; R],
    x: usize,
    life: PhantomData<(&'w mut [U], S)>,
}

impl<U: Scalar, S: Simd, const R: usize, const V: usize> To<'_, U, S, R, V> {
    /// Stores the vectors of each row. All of them always: what is summed for a store that might not be,
    /// compilers put off until it is known to be, and then sum row by row and load anew.
    #[inline(always)]
    pub fn store(self, simd: S, sums: [[S::f32s; V]; R]) {
        for r in (0..R).rev() {
            // SAFETY: `Writes::new` saw that rows have `len` scalars, and `Writes::at` that
            // `x + V * LEN <= len`. They are borrowed for as long as `self` is.
            unsafe { U::store(simd, self.rows[r].add(self.x), sums[r]) };
        }
    }

    /// Stores a vector of bytes in each row, as many as there are places.
    ///
    /// # Panics
    /// Where scalars are no bytes, or places are others.
    #[inline(always)]
    pub fn store_bytes(self, bytes: [S::u8s; R]) {
        assert!(size_of::<U>() == 1 && V * S::f32s::LEN == S::u8s::LEN);
        const { scalar::array_is_vector::<S, S::u8s>() };
        for r in (0..R).rev() {
            // SAFETY: as in `store`: `V * f32s::LEN` bytes, which are a vector.
            bytes[r].store_array(unsafe { &mut *self.rows[r].add(self.x).cast() });
        }
    }
}
