//! From host memory to host memory: bands, two of them in flight.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use wgpu::{Buffer, BufferUsages, MapMode, SubmissionIndex};

use super::device::checked;
use super::recording::Recording;
use super::stamps::Stamps;
use super::wait::{Clock, Mapped, Wait, map};
use super::{GpuPrepared, params, transfer};
use crate::Result;
use crate::plan::Band;

/// Bands in flight: one is uploaded while the one before it computes.
const IN_FLIGHT: usize = 2;

/// The largest sum of a slot's buffers, in bytes, that is kept with the problem.
const KEPT_BYTES: u64 = 4 << 20;
/// How long a measurement goes on.
const ENOUGH: Duration = Duration::from_millis(30);
/// Slots that are kept: as many threads run a small problem at once without making buffers.
const KEPT: usize = 4;

/// The buffers of a band in flight, and what is recorded on them.
#[derive(Debug)]
struct Slot {
    /// Mapped while nothing runs.
    upload: Buffer,
    input: Buffer,
    output: Buffer,
    download: Buffer,
    recording: Recording,
}

/// Slots of a small problem that are free for the next call: its buffers come and go with it, and
/// nothing is bound anew. Large ones share the buffers of the device's pool.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<Vec<Slot>>);

impl Slots {
    fn take(&self) -> Option<Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give(&self, slot: Slot) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(slot);
        }
    }
}

/// A band that was submitted.
struct Pending<'a> {
    band: &'a Band,
    place: params::Placement,
    slot: Slot,
    size: u64,
    submission: SubmissionIndex,
    /// Of the download, and of the upload for the next call.
    mapped: [Mapped; 2],
    stamps: Option<(Stamps, Mapped)>,
}

/// Time of the parts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub upload: Duration,
    pub compute: Duration,
    pub download: Duration,
    /// On the device, where it was measured.
    pub gpu: Option<Duration>,
}

impl GpuPrepared {
    /// Computes from host memory into host memory; both hold whole tensors. `measured`: with the
    /// device's own time, where it can tell.
    pub(crate) async fn run(
        &self,
        src: &[u8],
        dst: &mut [u8],
        wait: Wait,
        measured: bool,
    ) -> Result<Parts> {
        let mut parts = Parts::default();
        let mut pending: VecDeque<Pending<'_>> = VecDeque::with_capacity(IN_FLIGHT);
        for band in &self.launch()?.bands {
            if pending.len() == IN_FLIGHT
                && let Some(oldest) = pending.pop_front()
            {
                self.finish(oldest, dst, wait, &mut parts).await?;
            }
            pending.push_back(self.start(band, src, &mut parts, measured).await?);
        }
        for oldest in pending {
            self.finish(oldest, dst, wait, &mut parts).await?;
        }
        Ok(parts)
    }

    async fn start<'a>(
        &'a self,
        band: &'a Band,
        src: &[u8],
        parts: &mut Parts,
        measured: bool,
    ) -> Result<Pending<'a>> {
        let gpu = self.gpu();
        let mut clock = Clock::start();
        let place = transfer::own_placement(self.problem(), self.launch()?, band);
        let (src_size, size) = transfer::own_sizes(self.problem(), band, &place);
        // wgpu copies whole words.
        let (from, to) = (src_size.next_multiple_of(4), size.next_multiple_of(4));
        let slot = match self.slots().take() {
            Some(slot) => slot,
            None => self.slot(band, place, [from, to]).await?,
        };
        let pieces = transfer::source_pieces(self.problem(), band, &place);
        {
            let view = slot.upload.get_mapped_range_mut(..from);
            let mut view = view.map_err(|error| self.gpu().lost(&error.to_string()))?;
            for piece in &pieces {
                view.slice(piece.to..piece.to + piece.len)
                    .copy_from_slice(&src[piece.from..piece.from + piece.len]);
            }
        }
        slot.upload.unmap();
        let stamps = if measured { Stamps::new(gpu).await? } else { None };
        parts.upload += clock.lap();

        let submitted = checked(gpu.device(), gpu.loss(), "submitting", || {
            let label = Some("channelwise.run");
            let descriptor = wgpu::CommandEncoderDescriptor { label };
            let mut encoder = gpu.device().create_command_encoder(&descriptor);
            encoder.copy_buffer_to_buffer(&slot.upload, 0, &slot.input, 0, from);
            slot.recording.replay(&mut encoder, stamps.as_ref().map(Stamps::queries));
            encoder.copy_buffer_to_buffer(&slot.output, 0, &slot.download, 0, to);
            if let Some(stamps) = &stamps {
                stamps.resolve(&mut encoder);
            }
            let submission = gpu.queue().submit([encoder.finish()]);
            let mapped = [
                map(&slot.download, MapMode::Read, to),
                map(&slot.upload, MapMode::Write, slot.upload.size()),
            ];
            let stamps = stamps.map(|stamps| {
                let mapped = map(stamps.buffer(), MapMode::Read, stamps.buffer().size());
                (stamps, mapped)
            });
            (submission, mapped, stamps)
        });
        let (submission, mapped, stamps) = submitted.done().await?;
        parts.compute += clock.lap();
        Ok(Pending { band, place, slot, size: to, submission, mapped, stamps })
    }

    /// Buffers for a band.
    async fn slot(
        &self,
        band: &Band,
        place: params::Placement,
        [from, to]: [u64; 2],
    ) -> Result<Slot> {
        use BufferUsages as Usage;
        let gpu = self.gpu();
        let take = |what, size, usage| gpu.pool().take(gpu.device(), gpu.loss(), what, size, usage);
        let upload = take("making room for the upload", from, Usage::MAP_WRITE | Usage::COPY_SRC);
        let upload = upload.await?;
        let input = take("making room for the input", from, Usage::STORAGE | Usage::COPY_DST);
        let input = input.await?;
        let output = take("making room for the output", to, Usage::STORAGE | Usage::COPY_SRC);
        let output = output.await?;
        let download = take("making room for the download", to, Usage::MAP_READ | Usage::COPY_DST);
        let download = download.await?;
        let recording = self.record_own(band, &input, &output, place)?;
        Ok(Slot { upload, input, output, download, recording })
    }

    async fn finish(
        &self,
        pending: Pending<'_>,
        dst: &mut [u8],
        wait: Wait,
        parts: &mut Parts,
    ) -> Result<()> {
        let mut clock = Clock::start();
        let Pending { band, place, slot, size, submission, mapped, stamps } = pending;
        self.gpu().poll(submission, wait)?;
        for mapped in &mapped {
            self.gpu().answer(mapped).await?;
        }
        parts.compute += clock.lap();
        {
            let view = slot.download.get_mapped_range(..size);
            let view = view.map_err(|error| self.gpu().lost(&error.to_string()))?;
            for piece in transfer::destination_pieces(self.problem(), band, &place) {
                dst[piece.to..piece.to + piece.len]
                    .copy_from_slice(&view[piece.from..piece.from + piece.len]);
            }
        }
        slot.download.unmap();
        if let Some((stamps, mapped)) = stamps {
            self.gpu().answer(&mapped).await?;
            let time = stamps.read(self.gpu().queue()).map_err(|error| self.gpu().lost(&error))?;
            parts.gpu = Some(parts.gpu.unwrap_or_default() + time);
        }
        let Slot { upload, input, output, download, .. } = &slot;
        let bytes = [upload, input, output, download].iter().map(|b| b.size()).sum::<u64>();
        if bytes <= KEPT_BYTES && self.launch()?.bands.len() == 1 {
            self.slots().give(slot);
        } else {
            for buffer in [slot.upload, slot.input, slot.output, slot.download] {
                self.gpu().pool().give(buffer);
            }
        }
        parts.download += clock.lap();
        Ok(())
    }

    /// Microseconds of the whole problem on the device, from its first band: the best of some runs.
    pub(super) async fn measure(&self) -> Result<f64> {
        let Some(band) = self.launch()?.bands.first() else { return Ok(0.0) };
        let gpu = self.gpu();
        let place = transfer::own_placement(self.problem(), self.launch()?, band);
        let (from, to) = transfer::own_sizes(self.problem(), band, &place);
        let sizes = [from.next_multiple_of(4), to.next_multiple_of(4)];
        let slot = self.slot(band, place, sizes).await?;
        {
            let view = slot.upload.get_mapped_range_mut(..);
            let mut view = view.map_err(|error| self.gpu().lost(&error.to_string()))?;
            // Numbers of some size: as f32 all are 1.5.
            let pattern = 1.5_f32.to_le_bytes().repeat(1024);
            let len = view.len();
            for start in (0..len).step_by(pattern.len()) {
                let part = (len - start).min(pattern.len());
                view.slice(start..start + part).copy_from_slice(&pattern[..part]);
            }
        }
        slot.upload.unmap();
        let mut best = Duration::MAX;
        let mut spent = Duration::ZERO;
        // The first run warms up, and counts where it takes long.
        for run in 0..8 {
            if run > 1 && spent > ENOUGH {
                break;
            }
            let mut clock = Clock::start();
            let submitted = checked(gpu.device(), gpu.loss(), "measuring", || {
                let mut encoder = gpu.device().create_command_encoder(&Default::default());
                if run == 0 {
                    encoder.copy_buffer_to_buffer(&slot.upload, 0, &slot.input, 0, sizes[0]);
                } else {
                    slot.recording.replay(&mut encoder, None);
                }
                gpu.queue().submit([encoder.finish()])
            });
            let submission = submitted.done().await?;
            gpu.poll(submission, Wait::HERE)?;
            let time = clock.lap();
            spent += time;
            if run > 0 {
                best = best.min(time);
            }
        }
        let Slot { upload, input, output, download, .. } = slot;
        drop(upload);
        for buffer in [input, output, download] {
            gpu.pool().give(buffer);
        }
        let g = self.problem().geometry();
        let all = (g.images * g.out_height * g.out_width) as f64;
        let made = (band.images.len() * band.rows.len() * band.columns.len()) as f64;
        Ok(best.as_secs_f64() * 1e6 * all / made)
    }
}
