//! Time on the device, by timestamp queries.

use std::time::Duration;

use wgpu::{Buffer, BufferUsages, CommandEncoder, Features, QuerySet, QueryType, Queue};

use super::Gpu;
use super::device::checked;
use crate::Result;

/// Start and end of a submission's passes.
#[derive(Debug)]
pub(super) struct Stamps {
    queries: QuerySet,
    resolved: Buffer,
    buffer: Buffer,
}

/// Two timestamps of 64 bits.
const BYTES: u64 = 16;

impl Stamps {
    /// None where the device has no such queries.
    pub async fn new(gpu: &Gpu) -> Result<Option<Self>> {
        if !gpu.device().features().contains(Features::TIMESTAMP_QUERY) {
            return Ok(None);
        }
        let made = checked(gpu.device(), gpu.loss(), "making timestamp queries", || {
            let buffer = |usage| {
                gpu.device().create_buffer(&wgpu::BufferDescriptor {
                    label: Some("channelwise.stamps"),
                    size: BYTES,
                    usage,
                    mapped_at_creation: false,
                })
            };
            Self {
                queries: gpu.device().create_query_set(&wgpu::QuerySetDescriptor {
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
    pub fn read(&self, queue: &Queue) -> std::result::Result<Duration, String> {
        let view = self.buffer.get_mapped_range(..).map_err(|error| error.to_string())?;
        let at = |i: usize| {
            let bytes = view.get(i * 8..i * 8 + 8).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u64::from_le_bytes)
        };
        let ticks = at(1).saturating_sub(at(0)) as f64;
        let seconds = ticks * f64::from(queue.get_timestamp_period()) * 1e-9;
        Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
    }
}
