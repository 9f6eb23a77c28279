//! The values of a directory, or why there are none.

use tiff::decoder::IfdDecoder;
use tiff::decoder::ifd::Value;
use tiff::tags::Tag;

use super::Result;

/// The values of a directory.
pub(super) struct Tags<'a> {
    directory: IfdDecoder<'a>,
    /// Bytes of the file.
    file: u64,
}

impl<'a> Tags<'a> {
    pub(super) fn new(directory: IfdDecoder<'a>, file: u64) -> Self {
        Self { directory, file }
    }

    /// Refuses more values than the file has room for: the decoder would ask for memory first, and print a line of
    /// its own about text that is too long.
    fn check(&self, tag: Tag) -> Result<()> {
        let Some(entry) = self.directory.find_entry(tag) else { return Ok(()) };
        // A value has a byte at least.
        let (count, file) = (entry.count(), self.file);
        if count <= file {
            return Ok(());
        }
        Err(format!(
            "its directory is damaged: {tag:?} has {count} values, and the file {file} bytes"
        ))
    }

    /// Of whatever type; none too where it is damaged.
    pub(super) fn value(&mut self, tag: Tag) -> Option<Value> {
        self.check(tag).ok()?;
        self.directory.find_tag(tag).ok()?
    }

    pub(super) fn one<T: TryFrom<u64>>(&mut self, tag: Tag) -> Result<Option<T>> {
        self.check(tag)?;
        self.directory.find_tag_unsigned(tag).map_err(|error| wrong(tag, &error))
    }

    pub(super) fn needed<T: TryFrom<u64>>(&mut self, tag: Tag) -> Result<T> {
        self.one(tag)?.ok_or_else(|| format!("its directory lacks {tag:?}"))
    }

    pub(super) fn list<T: TryFrom<u64>>(&mut self, tag: Tag) -> Result<Vec<T>> {
        self.check(tag)?;
        let found = self.directory.find_tag_unsigned_vec(tag);
        let found = found.map_err(|error| wrong(tag, &error))?;
        Ok(found.unwrap_or_default())
    }

    /// What all samples have in common.
    pub(super) fn common(&mut self, tag: Tag, default: u16) -> Result<u16> {
        let all = self.list::<u16>(tag)?;
        match all.first() {
            None => Ok(default),
            Some(first) if all.iter().all(|one| one == first) => Ok(*first),
            Some(_) => {
                Err(format!("its channels differ in {tag:?} ({all:?}), which is not supported"))
            }
        }
    }
}

fn wrong(tag: Tag, error: &tiff::TiffError) -> String {
    match error {
        tiff::TiffError::IoError(_) => format!("the file is truncated: {tag:?} is beyond its end"),
        _ => format!("its directory is damaged: {tag:?}: {error}"),
    }
}
