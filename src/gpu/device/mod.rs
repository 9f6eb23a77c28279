//! A device of wgpu's, and what watches over it: which adapter it is on, what it can do, how its failures
//! become errors, who waits for it, and its memory.
//!
//! ```text
//!   options ─> adapter ─> limits          loss   wait ─> poller   memory   stamps
//!                  └──────── Context: one device with all of them ────────┘
//! ```

mod adapter;
mod faults;
mod known;
mod limits;
mod loss;
mod memory;
mod options;
#[cfg(not(target_arch = "wasm32"))]
mod poller;
#[cfg(not(target_arch = "wasm32"))]
mod polling;
mod promise;
mod requirements;
mod stamps;
mod wait;

use std::sync::Arc;

use wgpu::{AdapterInfo, Buffer, BufferUsages, CommandBuffer, Device, MapMode, Queue};

pub(super) use crate::wait::{Clock, Wait};
use crate::{Error, Result};
pub(super) use adapter::adapter;
#[cfg(not(target_arch = "wasm32"))]
pub use adapter::adapters;
pub use adapter::adapters_async;
pub(crate) use adapter::describe;
use faults::Faults;
pub use faults::{Fault, Moment};
pub(super) use known::{adapter as known_adapter, forget as forget_adapter};
pub(super) use limits::limits;
pub(super) use loss::{Checked, Loss};
pub use memory::PoolStats;
pub(super) use memory::Room;
use memory::{Pool, Rooms};
pub use options::{GpuOptions, Polling, Tuning};
#[cfg(not(target_arch = "wasm32"))]
use poller::Poller;
#[cfg(not(target_arch = "wasm32"))]
pub(super) use promise::Promise;
pub(super) use requirements::{SHARED_MEMORY, shared_memory};
pub use requirements::{recommended_features, recommended_limits, required_features};
pub(super) use stamps::{EndStamps, Stamps};
use wait::Broken;
pub(super) use wait::Ticket;

/// A device and its queue, with what is kept for it.
#[derive(Debug)]
pub(super) struct Context {
    pub device: Device,
    pub queue: Queue,
    pub info: AdapterInfo,
    loss: Loss,
    pool: Arc<Pool>,
    rooms: Rooms,
    pub faults: Faults,
    #[cfg(not(target_arch = "wasm32"))]
    poller: Poller,
}

impl Context {
    pub fn new(
        info: AdapterInfo,
        device: Device,
        queue: Queue,
        loss: Loss,
        options: &GpuOptions,
    ) -> Self {
        let pool = Arc::new(Pool::new(device.limits().max_buffer_size));
        let faults = Faults::default();
        #[cfg(not(target_arch = "wasm32"))]
        let poller = Poller::new(options.wanted_polling(), options.wanted_timeout(), &faults);
        #[cfg(target_arch = "wasm32")]
        let _ = options;
        Self {
            device,
            queue,
            info,
            loss,
            pool,
            rooms: Rooms::default(),
            faults,
            #[cfg(not(target_arch = "wasm32"))]
            poller,
        }
    }

    /// Calls `work` so that errors of wgpu's are caught.
    pub fn checked<R>(&self, doing: &'static str, work: impl FnOnce() -> R) -> Checked<R> {
        let short = || Checked::short(&self.device, &self.loss, doing);
        if !self.meet(Moment::Check) {
            self.faults.was_short();
            return short();
        }
        let checked = loss::checked(&self.device, &self.loss, doing, work);
        if self.faults.was_short() { short() } else { checked }
    }

    /// Comes to a moment at which a device can fail: for tests. Whether what was to be done goes on.
    pub fn meet(&self, moment: Moment) -> bool {
        match self.faults.meet(moment) {
            None => true,
            // It takes all that comes without a word.
            Some(Fault::Lost) => {
                self.device.destroy();
                true
            }
            Some(_) => false,
        }
    }

    /// Submits commands.
    pub fn submit(&self, commands: impl IntoIterator<Item = CommandBuffer>) {
        if self.meet(Moment::Submit) {
            self.queue.submit(commands);
        }
    }

    /// Writes whole words into a buffer, before anything that is submitted later.
    pub fn write(&self, buffer: &Buffer, offset: u64, words: &[u8]) {
        if self.meet(Moment::Write) {
            self.queue.write_buffer(buffer, offset, words);
        }
    }

    /// The end of all that was submitted so far.
    pub fn work(&self) -> Ticket {
        self.meet(Moment::Map);
        Ticket::of_work(&self.queue)
    }

    /// The first bytes of buffers, which are mapped once the submissions so far that use them are done.
    pub fn maps(&self, maps: &[(&Buffer, MapMode, u64)]) -> Ticket {
        self.meet(Moment::Map);
        Ticket::of_maps(maps)
    }

    /// Waits for a submission and what is mapped with it. Where this is given up, it can be waited for
    /// again.
    pub async fn wait(&self, ticket: &Ticket, wait: Wait) -> Result<()> {
        let goes_on = self.meet(Moment::Wait);
        #[cfg(not(target_arch = "wasm32"))]
        if !goes_on {
            self.poller.give_up(ticket);
        }
        #[cfg(not(target_arch = "wasm32"))]
        match wait {
            Wait::Here => self.poller.drive(&self.device, ticket),
            Wait::Elsewhere => {
                // What is done already needs no thread.
                if self.polls()
                    && let Err(failed) = polling::poll_now(&self.device, &self.faults)
                {
                    ticket.answer.settle(Err(failed.of_a_call()));
                }
                if let Some(outcome) = ticket.if_there() {
                    return outcome.map_err(|broken| self.broken(broken));
                }
                let _watch = self.poller.watch(&self.device, ticket)?;
                return ticket.outcome().await.map_err(|broken| self.broken(broken));
            }
        }
        #[cfg(target_arch = "wasm32")]
        let _ = (wait, goes_on);
        ticket.outcome().await.map_err(|broken| self.broken(broken))
    }

    /// Whether we poll where nobody blocks.
    #[cfg(not(target_arch = "wasm32"))]
    fn polls(&self) -> bool {
        self.poller.polls()
    }

    fn broken(&self, broken: Broken) -> Error {
        match broken {
            Broken::Lost(message) => self.lost(&message),
            #[cfg(not(target_arch = "wasm32"))]
            Broken::TimedOut(after) => Error::Timeout { doing: WAITING, after },
            #[cfg(not(target_arch = "wasm32"))]
            Broken::Failed(message) => Error::Gpu { doing: WAITING, message, source: None },
        }
    }

    /// The error for a device that no longer answers.
    pub fn lost(&self, message: &str) -> Error {
        let reason = self.loss.reason().unwrap_or_else(|| message.to_string());
        Error::DeviceLost { doing: WAITING, reason, source: None }
    }

    /// Whether the next submission is to leave its work undone: for tests.
    pub fn is_stale(&self) -> bool {
        self.faults.get() == Some(Fault::Stale)
    }

    /// A buffer of at least `size` bytes, of the pool if one is there.
    pub async fn take(&self, what: &'static str, size: u64, usage: BufferUsages) -> Result<Buffer> {
        let size = whole(size);
        if let Some(buffer) = self.pool.take(size, usage) {
            return Ok(buffer);
        }
        self.has_room(what, size)?;
        let made = self.buffer(what, size, usage).done().await;
        let made = made.map_err(|error| with_size(error, size))?;
        self.pool.count_made();
        Ok(made)
    }

    /// A buffer that the host writes, mapped.
    pub fn mapped(&self, what: &'static str, size: u64) -> Result<Buffer> {
        let usage = BufferUsages::MAP_WRITE | BufferUsages::COPY_SRC;
        if let Some(buffer) = self.pool.take(whole(size), usage) {
            return Ok(buffer);
        }
        let made = self.create(what, size, usage)?;
        self.pool.count_made();
        Ok(made)
    }

    /// Unmaps a buffer. wgpu refuses that where the device was destroyed meanwhile.
    pub fn unmap(&self, buffer: &Buffer) -> Result<()> {
        self.checked("unmapping", || buffer.unmap()).now()
    }

    /// Gives such a buffer back once what was submitted is done, whoever polls.
    pub fn give_when_done(&self, buffer: Buffer) {
        let (pool, home) = (self.pool.clone(), buffer.clone());
        buffer.map_async(wgpu::MapMode::Write, .., move |mapped| {
            if mapped.is_ok() {
                pool.give(home);
            }
        });
    }

    /// A buffer of the pool, if one is there.
    pub fn reuse(&self, size: u64, usage: BufferUsages) -> Option<Buffer> {
        self.pool.take(size, usage)
    }

    /// Gives a buffer back to the pool. One that the host maps must have nothing under way, and be mapped if
    /// it is for writing, else not. On others work may still be under way: submissions run in order, and
    /// whoever takes one writes it before reading it, by a submission that comes later.
    pub fn give(&self, buffer: Buffer) {
        self.pool.give(buffer);
    }

    /// A new buffer, where nothing can be awaited.
    pub fn create(&self, what: &'static str, size: u64, usage: BufferUsages) -> Result<Buffer> {
        let size = whole(size);
        self.has_room(what, size)?;
        self.buffer(what, size, usage).now().map_err(|error| with_size(error, size))
    }

    /// Refuses what a fault on purpose says there is no room for.
    fn has_room(&self, what: &'static str, bytes: u64) -> Result<()> {
        match self.faults.get() {
            Some(Fault::NoRoom(most)) if bytes > most => {
                Err(Error::OutOfMemory { place: "device", what, bytes, source: None })
            }
            _ => Ok(()),
        }
    }

    fn buffer(&self, what: &'static str, size: u64, usage: BufferUsages) -> Checked<Buffer> {
        self.checked(what, || {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("channelwise.buffer"),
                size,
                usage,
                // Those that are written by the host are mapped whenever they are free.
                mapped_at_creation: usage.contains(BufferUsages::MAP_WRITE),
            })
        })
    }

    /// Room `n` between commands, of at least `size` bytes, which all jobs share.
    pub fn room(&self, n: usize, size: u64) -> Result<Arc<Room>> {
        if let Some(room) = self.rooms.get(n, size) {
            return Ok(room);
        }
        let room = self.own_room(size)?;
        self.rooms.put(n, &room);
        Ok(room)
    }

    /// Room that no other job shares.
    pub fn own_room(&self, size: u64) -> Result<Arc<Room>> {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let buffer = match self.pool.take(whole(size), usage) {
            Some(buffer) => buffer,
            None => {
                let made = self.create("making room between passes", size, usage)?;
                self.pool.count_made();
                made
            }
        };
        Ok(Arc::new(Room::new(buffer, &self.pool)))
    }

    /// Counts work that was bound to buffers.
    pub fn count_bound(&self) {
        self.pool.count_bound();
    }

    /// Refuses a device that is gone. One that is lost takes submissions without a word.
    pub fn alive(&self, doing: &'static str) -> Result<()> {
        self.loss.alive(doing, &self.device)
    }

    /// A small buffer that is written once, before the next submission.
    pub fn constant(&self, label: &str, contents: &[u8], usage: BufferUsages) -> Buffer {
        // What has no usage is no buffer, as one is not that memory was short for.
        let usage = match self.meet(Moment::Create) {
            true => usage | BufferUsages::COPY_DST,
            false => BufferUsages::empty(),
        };
        // Not mapped at creation: wgpu's helper for that panics on a lost device.
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: contents.len() as u64,
            usage,
            mapped_at_creation: false,
        });
        self.write(&buffer, 0, contents);
        buffer
    }

    pub fn trim(&self) {
        self.pool.trim();
    }

    pub fn pool_stats(&self) -> PoolStats {
        self.pool.stats()
    }
}

const WAITING: &str = "waiting for the result";

/// Whole vectors of four f32; no buffer is empty.
fn whole(size: u64) -> u64 {
    size.next_multiple_of(16).max(16)
}

/// Puts the size into an out-of-memory error.
fn with_size(error: Error, size: u64) -> Error {
    match error {
        Error::OutOfMemory { place, what, source, .. } => {
            Error::OutOfMemory { place, what, bytes: size, source }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that is borrowed, whose errors panic where nothing catches them.
    #[test]
    fn a_device_may_be_destroyed_before_unmapping() {
        let (device, queue) = Device::noop(&wgpu::DeviceDescriptor::default());
        let (info, options) = (device.adapter_info(), GpuOptions::new());
        let context = Context::new(info, device.clone(), queue, Loss::default(), &options);
        let made = || context.mapped("making room", 16).unwrap();
        let (before, after) = (made(), made());
        assert_eq!(context.unmap(&before), Ok(()));
        device.destroy();
        // What it held goes when it is polled.
        device.poll(wgpu::PollType::Poll).unwrap();
        let error = context.unmap(&after).unwrap_err();
        assert!(error.is_lost(), "{error}");
    }
}
