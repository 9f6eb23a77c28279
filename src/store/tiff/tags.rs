//! The values of a directory, or why there are none.

use tiff::decoder::IfdDecoder;
use tiff::tags::Tag;

use super::Result;

/// The values of a directory.
pub(super) struct Tags<'a>(pub(super) IfdDecoder<'a>);

impl Tags<'_> {
    pub(super) fn one<T: TryFrom<u64>>(&mut self, tag: Tag) -> Result<Option<T>> {
        self.0.find_tag_unsigned(tag).map_err(|error| wrong(tag, &error))
    }

    pub(super) fn needed<T: TryFrom<u64>>(&mut self, tag: Tag) -> Result<T> {
        self.one(tag)?.ok_or_else(|| format!("its directory lacks {tag:?}"))
    }

    pub(super) fn list<T: TryFrom<u64>>(&mut self, tag: Tag) -> Result<Vec<T>> {
        let found = self.0.find_tag_unsigned_vec(tag).map_err(|error| wrong(tag, &error))?;
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
