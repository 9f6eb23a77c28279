//! The GPU's own time of many dispatches in one submission.
//!
//! ```text
//! submission:   stamp 0 │ work on pair 0 │ work on pair 1 │ … │ stamp 1        of 2 ms at least
//! ```
//!
//! `encode` makes its own passes, so stamps cannot be those of its passes: they are written into the
//! encoder where the device can do that, else by an empty pass before and one after. Dispatches on
//! different pairs depend on nothing and may overlap; on one pair they follow each other.

use std::time::Instant;

use channelwise::Gpu;
use channelwise::wgpu::{
    Buffer, BufferDescriptor, BufferUsages, CommandEncoder, ComputePassDescriptor,
    ComputePassTimestampWrites, Features, MapMode, PollType, QuerySet, QuerySetDescriptor,
    QueryType,
};

use crate::Failure;
use crate::times::{Times, samples};

/// A sample is as long at least.
const SAMPLE_MS: f64 = 2.0;

/// Calls in a sample at most.
const MOST: usize = 2000;

/// What is timed, on the pair of buffers of that number.
pub(crate) enum Work<'a> {
    Recorded(&'a dyn Fn(&mut CommandEncoder, usize) -> Result<(), Failure>),
    /// It submits by itself: where the host is slower than the GPU, its time counts.
    Submitted(&'a dyn Fn(usize) -> Result<(), Failure>),
}

/// Times work on one GPU.
#[derive(Debug)]
pub(crate) struct Watch {
    gpu: Gpu,
    stamps: Option<Stamps>,
}

#[derive(Debug)]
struct Stamps {
    in_encoders: bool,
    queries: QuerySet,
    resolved: Buffer,
    mapped: Buffer,
}

/// Two timestamps of 64 bits.
const BYTES: u64 = 16;

impl Watch {
    pub(crate) fn new(gpu: &Gpu) -> Self {
        let device = gpu.device();
        let stamps = device.features().contains(Features::TIMESTAMP_QUERY).then(|| {
            let label = Some("bench");
            let buffer = |usage| {
                let mapped_at_creation = false;
                device.create_buffer(&BufferDescriptor {
                    label,
                    size: BYTES,
                    usage,
                    mapped_at_creation,
                })
            };
            Stamps {
                in_encoders: device.features().contains(Features::TIMESTAMP_QUERY_INSIDE_ENCODERS),
                queries: device.create_query_set(&QuerySetDescriptor {
                    label,
                    ty: QueryType::Timestamp,
                    count: 2,
                }),
                resolved: buffer(BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC),
                mapped: buffer(BufferUsages::COPY_DST | BufferUsages::MAP_READ),
            }
        });
        Self { gpu: gpu.clone(), stamps }
    }

    pub(crate) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// By which clock times are.
    pub(crate) fn clock(&self) -> &'static str {
        match &self.stamps {
            Some(Stamps { in_encoders: true, .. }) => "timestamps between passes",
            Some(_) => "timestamps of empty passes",
            None => "host, less an empty submission",
        }
    }

    /// Samples of a row at least: 20, but 3 where a CPU plays the GPU.
    pub(crate) fn least(&self) -> usize {
        if self.gpu.is_software() { 3 } else { 20 }
    }

    /// Of one call, over so many pairs that take turns.
    pub(crate) fn times(
        &self,
        work: &Work<'_>,
        pairs: usize,
        seconds: f64,
    ) -> Result<Times, Failure> {
        let empty = if self.stamps.is_some() { 0.0 } else { self.empty()? };
        let mut next = 0;
        let mut once = |count: usize| -> Result<f64, Failure> {
            let whole = self.sample(work, next, count, pairs)?;
            next = (next + count) % pairs;
            // A clock of the host's may see less than nothing of little work.
            Ok((whole - empty).max(1e-6) / count as f64)
        };
        // All are used once before; of what is slow that is enough to know how many a sample has.
        let mut count = 1;
        let mut first = once(pairs)?;
        // Again, since many in a row are faster than the one that was timed first.
        for _ in 0..3 {
            let wanted = ((1.2 * SAMPLE_MS / first).ceil() as usize).clamp(1, MOST);
            if wanted <= count {
                break;
            }
            count = wanted;
            first = once(count)?;
        }
        samples(seconds, self.least(), || once(count))
    }

    /// Milliseconds of so many calls.
    fn sample(
        &self,
        work: &Work<'_>,
        first: usize,
        count: usize,
        pairs: usize,
    ) -> Result<f64, Failure> {
        let (device, queue) = (self.gpu.device(), self.gpu.queue());
        let calls = (first..first + count).map(|call| call % pairs);
        let mut encoder = device.create_command_encoder(&Default::default());
        self.stamp(&mut encoder, 0);
        let start;
        match work {
            Work::Recorded(record) => {
                for pair in calls {
                    record(&mut encoder, pair)?;
                }
                start = Instant::now();
            }
            Work::Submitted(submit) => {
                start = Instant::now();
                queue.submit([encoder.finish()]);
                for pair in calls {
                    submit(pair)?;
                }
                encoder = device.create_command_encoder(&Default::default());
            }
        }
        self.stamp(&mut encoder, 1);
        if let Some(Stamps { queries, resolved, mapped, .. }) = &self.stamps {
            encoder.resolve_query_set(queries, 0..2, resolved, 0);
            encoder.copy_buffer_to_buffer(resolved, 0, mapped, 0, BYTES);
        }
        queue.submit([encoder.finish()]);
        device.poll(PollType::wait_indefinitely())?;
        let by_host = start.elapsed().as_secs_f64() * 1e3;
        self.stamps.as_ref().map_or(Ok(by_host), |stamps| self.between(stamps))
    }

    fn stamp(&self, encoder: &mut CommandEncoder, which: u32) {
        let Some(stamps) = &self.stamps else { return };
        if stamps.in_encoders {
            encoder.write_timestamp(&stamps.queries, which);
            return;
        }
        let timestamp_writes = Some(ComputePassTimestampWrites {
            query_set: &stamps.queries,
            beginning_of_pass_write_index: (which == 0).then_some(0),
            end_of_pass_write_index: (which == 1).then_some(1),
        });
        let label = Some("bench.stamp");
        drop(encoder.begin_compute_pass(&ComputePassDescriptor { label, timestamp_writes }));
    }

    /// Milliseconds between the stamps of what is done.
    fn between(&self, stamps: &Stamps) -> Result<f64, Failure> {
        stamps.mapped.map_async(MapMode::Read, .., |_| ());
        self.gpu.device().poll(PollType::wait_indefinitely())?;
        let ticks = {
            let view = stamps.mapped.get_mapped_range(..)?;
            let at = |i: usize| Ok::<_, Failure>(u64::from_le_bytes(view[i..i + 8].try_into()?));
            at(8)?.wrapping_sub(at(0)?)
        };
        stamps.mapped.unmap();
        Ok(ticks as f64 * f64::from(self.gpu.queue().get_timestamp_period()) * 1e-6)
    }

    /// Milliseconds by the host's clock of a submission of nothing.
    fn empty(&self) -> Result<f64, Failure> {
        let nothing = Work::Recorded(&|_, _| Ok(()));
        Ok(samples(0.0, 50, || self.sample(&nothing, 0, 0, 1))?.median())
    }
}
