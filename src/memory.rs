//! Memory whose size what a caller hands in decides: asked for, and an error where there is none.
//!
//! A list that grows by itself ends the process where memory is exhausted. So each that may become large is made
//! here, once for a call, a task or a tile, before the loops over it: these find it long enough.

use bytemuck::Zeroable;

/// What there is no memory for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of host memory: {what} needs {bytes} bytes")]
pub(crate) struct NoRoom {
    pub what: &'static str,
    pub bytes: u64,
}

impl NoRoom {
    fn of<T>(what: &'static str, len: usize) -> Self {
        Self { what, bytes: (len as u64).saturating_mul(size_of::<T>() as u64) }
    }
}

/// For what reads and writes, whose errors are the system's.
impl From<NoRoom> for std::io::Error {
    fn from(error: NoRoom) -> Self {
        Self::new(std::io::ErrorKind::OutOfMemory, error)
    }
}

/// `len` zeros, of pages that the system has made so: they are not written before they are used.
pub(crate) fn zeroed<T: Zeroable>(what: &'static str, len: usize) -> Result<Vec<T>, NoRoom> {
    bytemuck::allocation::try_zeroed_vec(len).map_err(|()| NoRoom::of::<T>(what, len))
}

/// An empty list with room for `len`.
pub(crate) fn with_capacity<T>(what: &'static str, len: usize) -> Result<Vec<T>, NoRoom> {
    let mut list = Vec::new();
    list.try_reserve_exact(len).map_err(|_| NoRoom::of::<T>(what, len))?;
    Ok(list)
}

/// A copy.
#[cfg(any(test, all(feature = "store", not(target_arch = "wasm32"))))]
pub(crate) fn copied<T: Copy>(what: &'static str, from: &[T]) -> Result<Vec<T>, NoRoom> {
    let mut list = with_capacity(what, from.len())?;
    list.extend_from_slice(from);
    Ok(list)
}

/// All that an iterator gives, of which there are `len`.
pub(crate) fn collected<T>(
    what: &'static str,
    len: usize,
    all: impl IntoIterator<Item = T>,
) -> Result<Vec<T>, NoRoom> {
    let mut list = with_capacity(what, len)?;
    // No more, whatever the iterator gives: more would be asked for without a word.
    list.extend(all.into_iter().take(len));
    Ok(list)
}

/// Makes a list able to be `len` long.
pub(crate) fn reserve<T>(what: &'static str, list: &mut Vec<T>, len: usize) -> Result<(), NoRoom> {
    let more = len.saturating_sub(list.len());
    list.try_reserve_exact(more).map_err(|_| NoRoom::of::<T>(what, len))
}

/// Makes a list `len` long, as [`Vec::resize`] does.
#[inline]
pub(crate) fn resize<T: Clone>(
    what: &'static str,
    list: &mut Vec<T>,
    len: usize,
    value: T,
) -> Result<(), NoRoom> {
    reserve(what, list, len)?;
    list.resize(len, value);
    Ok(())
}

/// Makes a list at least `len` long: what is longer stays so.
#[inline]
pub(crate) fn at_least<T: Clone>(
    what: &'static str,
    list: &mut Vec<T>,
    len: usize,
    value: T,
) -> Result<(), NoRoom> {
    let len = len.max(list.len());
    resize(what, list, len, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than any machine has is an error that says what and how much, and not the end of the process.
    #[test]
    fn too_much_is_an_error() {
        let len = usize::MAX / 32;
        let all = [
            zeroed::<f32>("rows", len).unwrap_err(),
            with_capacity::<f32>("rows", len).unwrap_err(),
            collected("rows", len, [1.0f32]).unwrap_err(),
            reserve("rows", &mut vec![1.0f32], len).unwrap_err(),
            resize("rows", &mut vec![1.0f32], len, 0.0).unwrap_err(),
            at_least("rows", &mut vec![1.0f32], len, 0.0).unwrap_err(),
        ];
        assert!(all.iter().all(|error| *error == NoRoom { what: "rows", bytes: 4 * len as u64 }));
    }

    #[test]
    fn lists_are_as_long_as_is_asked_for() {
        assert_eq!(zeroed::<u16>("rows", 3), Ok(vec![0; 3]));
        assert_eq!(copied("rows", &[1, 2]), Ok(vec![1, 2]));
        assert_eq!(collected("rows", 2, 5..), Ok(vec![5, 6]));
        let mut list = vec![1, 2, 3];
        at_least("rows", &mut list, 2, 9).unwrap();
        assert_eq!(list, [1, 2, 3]);
        at_least("rows", &mut list, 4, 9).unwrap();
        assert_eq!(list, [1, 2, 3, 9]);
        resize("rows", &mut list, 1, 9).unwrap();
        assert_eq!(list, [1]);
    }
}
