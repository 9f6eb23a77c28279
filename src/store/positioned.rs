//! Reading and writing at a place of a file, whatever others do with it meanwhile.

use std::fs::File;
use std::io;

/// What can be read anywhere: a file, or what was read of one.
#[doc(hidden)]
pub trait At: Sync {
    /// How many bytes there are.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> io::Result<u64>;

    /// Fills `to` from `at` on.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::UnexpectedEof`] where it ends before.
    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<()>;
}

impl At for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<()> {
        read(self, at, to)
    }
}

impl At for &[u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(at).ok().and_then(|at| self.get(at..));
        let from = from.and_then(|from| from.get(..to.len()));
        to.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Fills `to` from `at` on.
pub(super) fn read(file: &File, at: u64, to: &mut [u8]) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, to, at);
    #[cfg(not(unix))]
    {
        let (mut at, mut to) = (at, to);
        while !to.is_empty() {
            match some(file, at, to) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    at += n as u64;
                    to = &mut to[n..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Writes all of `from` from `at` on.
pub(super) fn write(file: &File, at: u64, from: &[u8]) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, from, at);
    #[cfg(not(unix))]
    {
        let (mut at, mut from) = (at, from);
        while !from.is_empty() {
            match part(file, at, from) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    at += n as u64;
                    from = &from[n..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(windows)]
fn some(file: &File, at: u64, to: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, to, at)
}

#[cfg(windows)]
fn part(file: &File, at: u64, from: &[u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, from, at)
}

#[cfg(not(any(unix, windows)))]
fn some(mut file: &File, at: u64, to: &mut [u8]) -> io::Result<usize> {
    use std::io::{Read, Seek};
    file.seek(io::SeekFrom::Start(at))?;
    file.read(to)
}

#[cfg(not(any(unix, windows)))]
fn part(mut file: &File, at: u64, from: &[u8]) -> io::Result<usize> {
    use std::io::{Seek, Write};
    file.seek(io::SeekFrom::Start(at))?;
    file.write(from)
}
