//! A folder of keys and values: each value comes whole to its place, or not at all.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zarrs::storage::byte_range::{ByteRange, ByteRangeIterator};
use zarrs::storage::{
    Bytes, MaybeBytes, MaybeBytesIterator, OffsetBytesIterator, ReadableStorageTraits,
    StorageError, StoreKey, StorePrefix, WritableStorageTraits,
};

use crate::memory;
use crate::store::positioned;

/// What a value is called until it is whole. Whoever writes it again takes the same name, so that nothing stays behind of
/// a process that was killed.
const UNFINISHED: &str = ".channelwise-unfinished";

#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// Values that are read already, for whoever asks next.
    fetched: Mutex<HashMap<String, MaybeBytes>>,
}

/// A value that is kept as long as this.
#[derive(Debug)]
pub(super) struct Fetched<'a> {
    folder: &'a Folder,
    key: String,
}

impl Fetched<'_> {
    /// What was read, if anything is there.
    pub(super) fn value(&self) -> MaybeBytes {
        self.folder.fetched().get(&self.key).cloned().flatten()
    }
}

impl Drop for Fetched<'_> {
    fn drop(&mut self) {
        self.folder.fetched().remove(&self.key);
    }
}

impl Folder {
    pub(super) fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self { root: path.into(), fetched: Mutex::default() })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    fn fetched(&self) -> MutexGuard<'_, HashMap<String, MaybeBytes>> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a value before it is asked for, so that whoever does need not wait for the disk.
    pub(super) fn fetch(&self, key: &str) -> io::Result<Fetched<'_>> {
        let value = self.bytes(key)?.map(Bytes::from);
        self.fetched().insert(key.into(), value);
        Ok(Fetched { folder: self, key: key.into() })
    }

    pub(super) fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// The bytes of a value, and none where there is no such.
    pub(super) fn bytes(&self, key: &str) -> io::Result<Option<Vec<u8>>> {
        there(fs::read(self.path(key)))
    }

    /// How many bytes it has.
    pub(super) fn len(&self, key: &str) -> io::Result<Option<u64>> {
        Ok(there(fs::metadata(self.path(key)))?.map(|there| there.len()))
    }

    /// Writes a value beside its place and moves it there.
    pub(super) fn put(&self, key: &str, value: &[u8]) -> io::Result<()> {
        let path = self.path(key);
        let mut name = path.as_os_str().to_owned();
        name.push(UNFINISHED);
        let written = fs::write(&name, value).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
                fs::write(&name, value)
            }
            _ => Err(error),
        });
        written.and_then(|()| fs::rename(&name, &path)).inspect_err(|_| {
            // Where the disk is full, this makes room again.
            let _ = fs::remove_file(&name);
        })
    }
}

/// What is not there is no error.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where a part of a value of so many bytes begins, and how many it has. Both may be numbers of a damaged index.
fn within(range: &ByteRange, size: u64) -> Result<(u64, u64), StorageError> {
    let (start, length) = match *range {
        ByteRange::FromStart(start, Some(length)) => (start, length),
        ByteRange::FromStart(start, None) => (start, size.saturating_sub(start)),
        ByteRange::Suffix(length) => (size.saturating_sub(length), length),
    };
    match start.checked_add(length) {
        Some(end) if end <= size => Ok((start, length)),
        _ => Err(StorageError::Other(format!(
            "its {length} bytes from {start} on are beyond its end, {size}: it is not whole"
        ))),
    }
}

impl ReadableStorageTraits for Folder {
    fn get(&self, key: &StoreKey) -> Result<MaybeBytes, StorageError> {
        let fetched = self.fetched().get(key.as_str()).cloned();
        match fetched {
            Some(value) => Ok(value),
            None => Ok(self.bytes(key.as_str())?.map(Bytes::from)),
        }
    }

    fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        ranges: ByteRangeIterator<'a>,
    ) -> Result<MaybeBytesIterator<'a>, StorageError> {
        let fetched = self.fetched().get(key.as_str()).cloned();
        if let Some(value) = fetched {
            let Some(value) = value else { return Ok(None) };
            let part = move |range| {
                let (start, length) = within(&range, value.len() as u64)?;
                // Both are within it.
                Ok(value.slice(start as usize..(start + length) as usize))
            };
            return Ok(Some(Box::new(ranges.map(part))));
        }
        let Some(file) = there(File::open(self.path(key.as_str())))? else { return Ok(None) };
        let size = file.metadata()?.len();
        let part = move |range| {
            let (start, length) = within(&range, size)?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let mut part = memory::zeroed("a part of a chunk", length).map_err(io::Error::from)?;
            positioned::read(&file, start, &mut part)?;
            Ok(Bytes::from(part))
        };
        Ok(Some(Box::new(ranges.map(part))))
    }

    fn size_key(&self, key: &StoreKey) -> Result<Option<u64>, StorageError> {
        Ok(self.len(key.as_str())?)
    }

    fn supports_get_partial(&self) -> bool {
        true
    }
}

impl WritableStorageTraits for Folder {
    fn set(&self, key: &StoreKey, value: Bytes) -> Result<(), StorageError> {
        Ok(self.put(key.as_str(), &value)?)
    }

    fn set_partial_many(
        &self,
        _: &StoreKey,
        _: OffsetBytesIterator<'_>,
    ) -> Result<(), StorageError> {
        Err(StorageError::Unsupported("values are written whole".into()))
    }

    fn erase(&self, key: &StoreKey) -> Result<(), StorageError> {
        there(fs::remove_file(self.path(key.as_str())))?;
        Ok(())
    }

    fn erase_prefix(&self, _: &StorePrefix) -> Result<(), StorageError> {
        Err(StorageError::Unsupported("nothing is erased but single values".into()))
    }

    fn supports_set_partial(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_fetched_before_they_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::new(folder.path());
        store.put("c/0", b"0123456789").unwrap();
        let key = StoreKey::new("c/0").unwrap();
        let part = |range| {
            let parts = store.get_partial_many(&key, Box::new([range].into_iter())).unwrap();
            parts.map(|parts| parts.map(|part| part.unwrap().to_vec()).collect::<Vec<_>>())
        };
        let middle = || ByteRange::FromStart(3, Some(4));
        assert_eq!(part(middle()).unwrap(), [b"3456".to_vec()]);
        let fetched = store.fetch("c/0").unwrap();
        fs::remove_file(store.path("c/0")).unwrap();
        assert_eq!(store.get(&key).unwrap().unwrap().to_vec(), b"0123456789");
        assert_eq!(part(middle()).unwrap(), [b"3456".to_vec()]);
        assert_eq!(part(ByteRange::Suffix(2)).unwrap(), [b"89".to_vec()]);
        drop(fetched);
        assert!(store.get(&key).unwrap().is_none() && part(middle()).is_none());
        // That nothing is there is known then, too.
        let _fetched = store.fetch("c/0").unwrap();
        store.put("c/0", b"new").unwrap();
        assert!(store.get(&key).unwrap().is_none() && part(middle()).is_none());
    }

    #[test]
    fn parts_that_cannot_be_counted_are_beyond_the_end() {
        assert_eq!(within(&ByteRange::FromStart(4, Some(6)), 10).unwrap(), (4, 6));
        assert_eq!(within(&ByteRange::FromStart(4, None), 10).unwrap(), (4, 6));
        assert_eq!(within(&ByteRange::Suffix(3), 10).unwrap(), (7, 3));
        for range in [
            ByteRange::FromStart(4, Some(7)),
            ByteRange::FromStart(u64::MAX, Some(2)),
            ByteRange::FromStart(2, Some(u64::MAX)),
            ByteRange::FromStart(11, None),
            ByteRange::Suffix(11),
        ] {
            assert!(within(&range, 10).is_err(), "{range:?}");
        }
    }

    #[test]
    fn values_are_whole_or_absent() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::new(folder.path());
        assert_eq!(store.bytes("c/0/0").unwrap(), None);
        store.put("c/0/0", b"first").unwrap();
        // As a kill leaves it.
        fs::write(store.path("c/0/1.channelwise-unfinished"), b"ha").unwrap();
        assert_eq!(store.len("c/0/1").unwrap(), None);
        store.put("c/0/1", b"half").unwrap();
        assert_eq!(store.bytes("c/0/1").unwrap().unwrap(), b"half");
        assert_eq!(fs::read_dir(store.path("c/0")).unwrap().count(), 2);
        // Nothing stays of what fails: a folder is where the value belongs.
        fs::create_dir(store.path("c/0/2")).unwrap();
        assert!(store.put("c/0/2", b"x").is_err());
        assert_eq!(fs::read_dir(store.path("c/0")).unwrap().count(), 3);
    }
}
