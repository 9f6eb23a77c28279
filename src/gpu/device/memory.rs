//! A pool of buffers, and room that all problems of a device share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use wgpu::{Buffer, BufferUsages};

/// Bytes the pool keeps at most when nothing is running: of a device with small buffers less, since it has
/// little memory.
const KEPT: u64 = 512 << 20;
const LEAST_KEPT: u64 = 64 << 20;
/// And buffers: small ones of many sizes come to few bytes, though each takes its part of the driver's memory and of
/// the time to look for another.
const MOST_BUFFERS: usize = 256;

/// Buffers that are free for the next call, by usage and size. Those with `MAP_WRITE` are mapped.
#[derive(Debug)]
pub(super) struct Pool {
    free: Mutex<Vec<Buffer>>,
    most: u64,
    made: AtomicU64,
    reused: AtomicU64,
    bound: AtomicU64,
}

/// What the pool of a device has done and holds: buffers for uploads, downloads and what lies between passes,
/// and those of tensors that are gone. A buffer that was made for a tensor goes there with the tensor's last
/// clone, unless it was shown ([`GpuTensor::buffer`](crate::GpuTensor::buffer)), and becomes a result of a call
/// again. Tensors that are there, weights and parameters are not of it.
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
    /// Buffers that were made since the device was taken, but for tensors.
    pub made: u64,
    /// How often one that was there was taken instead.
    pub reused: u64,
    /// Buffers that are free for the next call; 256 at most.
    pub free: usize,
    /// Their bytes; half a gibibyte at most.
    pub free_bytes: u64,
    /// How often work was bound to buffers: no more where it is done again on the same ones.
    pub bound: u64,
}

impl Pool {
    /// For a device whose largest buffer has so many bytes.
    pub fn new(max_buffer: u64) -> Self {
        Self {
            free: Mutex::default(),
            most: (max_buffer / 16).clamp(LEAST_KEPT, KEPT),
            made: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            bound: AtomicU64::new(0),
        }
    }

    /// One of at least `size` bytes that is not more than twice as large, if there is one.
    pub fn take(&self, size: u64, usage: BufferUsages) -> Option<Buffer> {
        let mut free = self.free();
        let fits = |b: &Buffer| b.usage() == usage && (size..=2 * size).contains(&b.size());
        let best = (0..free.len()).filter(|i| fits(&free[*i])).min_by_key(|i| free[*i].size())?;
        self.reused.fetch_add(1, Ordering::Relaxed);
        Some(free.swap_remove(best))
    }

    /// Counts a buffer that had to be made.
    pub fn count_made(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts work that was bound to buffers.
    pub fn count_bound(&self) {
        self.bound.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives a buffer back; some go where too much is kept.
    pub fn give(&self, buffer: Buffer) {
        let mut free = self.free();
        free.push(buffer);
        let mut kept: u64 = free.iter().map(Buffer::size).sum();
        while !free.is_empty() && (kept > self.most || free.len() > MOST_BUFFERS) {
            kept -= free.remove(0).size();
        }
    }

    /// Lets go of all that is free.
    pub fn trim(&self) {
        self.free().clear();
    }

    pub fn stats(&self) -> PoolStats {
        let free = self.free();
        PoolStats {
            made: self.made.load(Ordering::Relaxed),
            reused: self.reused.load(Ordering::Relaxed),
            free: free.len(),
            free_bytes: free.iter().map(Buffer::size).sum(),
            bound: self.bound.load(Ordering::Relaxed),
        }
    }

    fn free(&self) -> MutexGuard<'_, Vec<Buffer>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room between the commands of jobs, which goes back to the pool with the last job that needs it.
#[derive(Debug)]
pub(in crate::gpu) struct Room {
    buffer: Buffer,
    pool: Arc<Pool>,
    recorded: AtomicBool,
}

impl Room {
    pub(super) fn new(buffer: Buffer, pool: &Arc<Pool>) -> Self {
        Self { buffer, pool: pool.clone(), recorded: AtomicBool::new(false) }
    }

    /// Commands that write it were recorded into an encoder of the app's, which submits them whenever it likes.
    pub fn recorded(&self) {
        self.recorded.store(true, Ordering::Relaxed);
    }

    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    fn size(&self) -> u64 {
        self.buffer.size()
    }
}

impl Drop for Room {
    /// What we submitted ourselves is before all that whoever takes it submits. What an app recorded may come
    /// after, when it is an output of something else: such a buffer goes with the app's commands.
    fn drop(&mut self) {
        if !*self.recorded.get_mut() {
            self.pool.give(self.buffer.clone());
        }
    }
}

/// The rooms of all jobs, by number. Submissions of a queue run in order, and a job writes its room before
/// it reads it, within one submission; so all jobs can share it.
#[derive(Debug, Default)]
pub(super) struct Rooms(Mutex<Vec<Weak<Room>>>);

impl Rooms {
    /// Room `n`, if it is there and has at least `size` bytes.
    pub fn get(&self, n: usize, size: u64) -> Option<Arc<Room>> {
        let there = self.all().get(n).and_then(Weak::upgrade);
        there.filter(|room| room.size() >= size)
    }

    /// Makes this room `n` from now on.
    pub fn put(&self, n: usize, room: &Arc<Room>) {
        let mut all = self.all();
        if all.len() <= n {
            all.resize(n + 1, Weak::new());
        }
        all[n] = Arc::downgrade(room);
    }

    fn all(&self) -> MutexGuard<'_, Vec<Weak<Room>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(device: &wgpu::Device, size: u64) -> Buffer {
        let (label, usage, mapped_at_creation) = (None, BufferUsages::STORAGE, false);
        device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation })
    }

    /// By bytes and by number: the oldest go.
    #[test]
    fn a_pool_keeps_no_more_than_it_may() {
        let (device, _) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let pool = Pool::new(0);
        for size in 1..1000 {
            pool.give(buffer(&device, 16 * size));
        }
        let stats = pool.stats();
        assert_eq!((stats.free, stats.free_bytes), (256, 16 * (744..1000).sum::<u64>()));
        for _ in 0..3 {
            pool.give(buffer(&device, LEAST_KEPT / 2));
        }
        assert_eq!((pool.stats().free, pool.stats().free_bytes), (2, LEAST_KEPT));
        assert!(pool.take(LEAST_KEPT / 4, BufferUsages::STORAGE).is_some());
        assert_eq!((pool.stats().free, pool.stats().reused), (1, 1));
    }
}
