//! Compiled pipelines in a folder, from one run of a program to the next.

#![expect(unsafe_code, reason = "wgpu offers this only as an unsafe function")]

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use wgpu::{AdapterInfo, PipelineCache};

use crate::{Error, Result};

/// What a file begins with: its format, and then a checksum of what follows.
const MAGIC: &[u8; 8] = b"cwpipe01";

/// A cache of one adapter and driver, and the file it lies in.
#[derive(Debug)]
pub(in crate::gpu) struct Folder {
    cache: PipelineCache,
    path: PathBuf,
    /// What the file holds.
    saved: Mutex<Vec<u8>>,
}

impl Folder {
    /// None where the device has no such caches, or its back end keeps them by itself. A file that is not
    /// whole, or of another driver, is left aside and written anew.
    pub fn open(folder: &Path, info: &AdapterInfo, device: &wgpu::Device) -> Result<Option<Self>> {
        let can = device.features().contains(wgpu::Features::PIPELINE_CACHE);
        let key = wgpu::util::pipeline_cache_key(info).filter(|_| can);
        let Some(key) = key else { return Ok(None) };
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
        let driver: String = format!("{} {}", info.driver, info.driver_info);
        let name = format!("{key}_{:016x}", checksum(driver.as_bytes()));
        let path = folder.join(name);
        let data = match fs::read(&path) {
            Ok(bytes) => whole(&bytes).map(<[u8]>::to_vec),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&path, &error)),
        };
        let descriptor = wgpu::PipelineCacheDescriptor {
            label: Some("channelwise.pipelines"),
            data: data.as_deref(),
            fallback: true,
        };
        // SAFETY: the data is what `get_data` gave on a device of this adapter with this driver, which the
        // file's name says and wgpu looks at once more, and all of it, which the checksum says. The
        // documentation tells that who can write the folder is trusted.
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        Ok(Some(Self { cache, path, saved: Mutex::new(data.unwrap_or_default()) }))
    }

    pub fn cache(&self) -> &PipelineCache {
        &self.cache
    }

    /// Writes what was compiled since, if anything was: all of the file, or none of it.
    pub fn save(&self) -> Result<()> {
        let Some(data) = self.cache.get_data() else { return Ok(()) };
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        if *saved == data {
            return Ok(());
        }
        // Programs that share the folder write files of their own, and the last one stays.
        let written = self.path.with_extension(format!("{}.new", std::process::id()));
        let write = || {
            let mut file = fs::File::create(&written)?;
            file.write_all(MAGIC)?;
            file.write_all(&checksum(&data).to_le_bytes())?;
            file.write_all(&data)?;
            file.sync_all()?;
            fs::rename(&written, &self.path)
        };
        if let Err(error) = write() {
            let _ = fs::remove_file(&written);
            return Err(failed(&self.path, &error));
        }
        *saved = data;
        Ok(())
    }
}

impl Drop for Folder {
    /// A cache that cannot be written is one that does not help.
    fn drop(&mut self) {
        let _ = self.save();
    }
}

/// What follows the checksum, if that is right.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, data) = rest.split_first_chunk::<8>()?;
    (u64::from_le_bytes(*sum) == checksum(data)).then_some(data)
}

/// FNV-1a with 64 bits: against files that are cut or flipped, not against malice.
fn checksum(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::File { path: path.display().to_string(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_whole_is_seen() {
        let data = b"something compiled";
        let file = [&MAGIC[..], &checksum(data).to_le_bytes(), data].concat();
        assert_eq!(whole(&file), Some(&data[..]));
        for cut in 0..file.len() {
            assert_eq!(whole(&file[..cut]), None, "{cut}");
        }
        for at in 0..file.len() {
            let mut flipped = file.clone();
            flipped[at] ^= 1;
            assert_eq!(whole(&flipped), None, "{at}");
        }
        assert_eq!(checksum(b""), 0xcbf2_9ce4_8422_2325);
        // The published value of the algorithm's authors.
        assert_eq!(checksum(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
