//! What the device itself says of a submission: how long it took, and that it got to its end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wgpu::{Buffer, BufferUsages, CommandEncoder, Features, QuerySet, QueryType};

use super::{Context, Moment, whole};
use crate::Result;

/// Start and end of a submission's passes.
#[derive(Debug)]
pub(in crate::gpu) struct Stamps {
    queries: QuerySet,
    resolved: Buffer,
    buffer: Buffer,
}

/// Two timestamps of 64 bits.
const BYTES: u64 = 16;

impl Stamps {
    /// None where the device has no such queries.
    pub async fn new(context: &Context) -> Result<Option<Self>> {
        let device = &context.device;
        if !device.features().contains(Features::TIMESTAMP_QUERY) {
            return Ok(None);
        }
        let made = context.checked("making timestamp queries", || {
            let buffer = |usage| {
                device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("channelwise.stamps"),
                    size: BYTES,
                    usage,
                    mapped_at_creation: false,
                })
            };
            Self {
                queries: device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("channelwise.stamps"),
                    ty: QueryType::Timestamp,
                    count: 2,
                }),
                resolved: buffer(BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC),
                buffer: buffer(BufferUsages::COPY_DST | BufferUsages::MAP_READ),
            }
        });
        made.done().await.map(Some)
    }

    pub fn queries(&self) -> &QuerySet {
        &self.queries
    }

    /// What is to be mapped.
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    pub fn resolve(&self, encoder: &mut CommandEncoder) {
        encoder.resolve_query_set(&self.queries, 0..2, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.buffer, 0, BYTES);
    }

    /// The time between, once the buffer is mapped.
    pub fn read(&self, context: &Context) -> std::result::Result<Duration, String> {
        context.meet(Moment::Access);
        let view = self.buffer.get_mapped_range(..).map_err(|error| error.to_string())?;
        let at = |i: usize| {
            let bytes = view.get(i * 8..i * 8 + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        let ticks = at(1).saturating_sub(at(0)) as f64;
        let seconds = ticks * f64::from(context.queue.get_timestamp_period()) * 1e-9;
        Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
    }
}

/// A mark that the submission which brings a result to the host copies behind it as its last command. Some
/// drivers say that a submission is done when in truth they gave it up: Metal at a time limit, DX12 at a removed
/// device. Then the mark is missing, and what lies before it is not handed out.
///
/// Only that one submission is looked at, the last of a call. What an earlier one left half done without a
/// word is not seen, where the driver goes on with later ones: parts of a call that was cut into several, and
/// work on tensors that are downloaded afterwards.
#[derive(Debug)]
pub(in crate::gpu) struct EndStamps {
    marks: Buffer,
    next: AtomicU32,
    /// The longest buffer of the device.
    longest: u64,
}

/// Marks there are. The download of a submission holds the mark of an earlier one, or none, until its own
/// is there.
const MARKS: u32 = 1 << 12;

impl EndStamps {
    /// Bytes behind a result.
    pub const BYTES: u64 = 4;

    pub fn new(context: &Context) -> Self {
        let marks: Vec<u32> = (0..MARKS).map(mark).collect();
        let marks = bytemuck::cast_slice(&marks);
        let marks = context.constant("channelwise.marks", marks, BufferUsages::COPY_SRC);
        let longest = context.device.limits().max_buffer_size;
        Self { marks, next: AtomicU32::new(0), longest }
    }

    /// Whether a buffer can hold a result of so many bytes and the mark behind it.
    pub fn fits(&self, size: u64) -> bool {
        size.checked_add(Self::BYTES).is_some_and(|size| whole(size) <= self.longest)
    }

    /// Records a mark behind the first `at` bytes of `download`, and gives the number it must have.
    pub fn record(
        &self,
        context: &Context,
        encoder: &mut CommandEncoder,
        download: &Buffer,
        at: u64,
    ) -> u32 {
        let n = self.next.fetch_add(1, Ordering::Relaxed) % MARKS;
        if !context.is_stale() {
            let from = u64::from(n) * Self::BYTES;
            encoder.copy_buffer_to_buffer(&self.marks, from, download, at, Self::BYTES);
        }
        mark(n)
    }
}

/// Never 0, which new buffers hold, and unlike numbers that results hold.
fn mark(n: u32) -> u32 {
    (n + 1).wrapping_mul(0x9e37_79b1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_differ() {
        let all: std::collections::BTreeSet<u32> = (0..MARKS).map(mark).collect();
        assert_eq!((all.len(), all.contains(&0)), (MARKS as usize, false));
    }
}
