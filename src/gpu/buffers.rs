//! A pool of buffers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use wgpu::{Buffer, BufferUsages, Device};

use super::device::{Loss, checked};
use crate::{Error, Result};

/// Bytes the pool keeps at most when nothing is running.
const KEPT: u64 = 512 << 20;

/// Buffers that are free for the next call, by usage and size. Those with `MAP_WRITE` are mapped.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Mutex<Vec<Buffer>>,
    made: AtomicU64,
    reused: AtomicU64,
}

/// What the pool of a device has done and holds: buffers for uploads, downloads and what lies between
/// the stages of chains. Tensors, weights and parameters are not of it.
///
/// ```no_run
/// # fn example(gpu: &channelwise::Gpu) {
/// let pool = gpu.pool_stats();
/// println!("{} buffers made, {} bytes kept", pool.made, pool.free_bytes);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Buffers that were made since the device was taken.
    pub made: u64,
    /// How often one that was there was taken instead.
    pub reused: u64,
    /// Buffers that are free for the next call.
    pub free: usize,
    /// Their bytes; half a gibibyte at most.
    pub free_bytes: u64,
}

impl Pool {
    /// A buffer of at least `size` bytes, from the pool if one is there that is not more than
    /// twice as large.
    pub async fn take(
        &self,
        device: &Device,
        loss: &Loss,
        what: &'static str,
        size: u64,
        usage: BufferUsages,
    ) -> Result<Buffer> {
        // Whole vectors of four f32.
        let size = size.next_multiple_of(16).max(16);
        if let Some(buffer) = self.reuse(size, usage) {
            self.reused.fetch_add(1, Ordering::Relaxed);
            return Ok(buffer);
        }
        let made = create(device, loss, what, size, usage).done().await;
        let made = made.map_err(|error| with_size(error, size))?;
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(made)
    }

    pub fn stats(&self) -> PoolStats {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        PoolStats {
            made: self.made.load(Ordering::Relaxed),
            reused: self.reused.load(Ordering::Relaxed),
            free: free.len(),
            free_bytes: free.iter().map(Buffer::size).sum(),
        }
    }

    fn reuse(&self, size: u64, usage: BufferUsages) -> Option<Buffer> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |b: &Buffer| b.usage() == usage && (size..=2 * size).contains(&b.size());
        let best = (0..free.len()).filter(|i| fits(&free[*i])).min_by_key(|i| free[*i].size())?;
        Some(free.swap_remove(best))
    }

    /// Gives a buffer back; some go where too much is kept.
    pub fn give(&self, buffer: Buffer) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(buffer);
        let mut kept: u64 = free.iter().map(Buffer::size).sum();
        while kept > KEPT && !free.is_empty() {
            kept -= free.remove(0).size();
        }
    }
}

/// A new buffer.
pub(super) fn create(
    device: &Device,
    loss: &Loss,
    what: &'static str,
    size: u64,
    usage: BufferUsages,
) -> super::device::Checked<Buffer> {
    checked(device, loss, what, || {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("channelwise.buffer"),
            size,
            usage,
            // Those that are written by the host are mapped whenever they are free.
            mapped_at_creation: usage.contains(BufferUsages::MAP_WRITE),
        })
    })
}

/// Puts the size into an out-of-memory error.
pub(super) fn with_size(error: Error, size: u64) -> Error {
    match error {
        Error::OutOfMemory { place, what, .. } => Error::OutOfMemory { place, what, bytes: size },
        other => other,
    }
}
