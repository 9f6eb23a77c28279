//! From host memory to host memory: bands, three of them in flight.

use std::collections::VecDeque;
use std::time::Duration;

use super::copies::copy_out;
use super::device::{Clock, Stamps, Wait};
use super::prepared::GpuPrepared;
use super::range::BufferRange;
use super::ready::ends;
use super::staging::{Flight, Slot};
use crate::plan::job::{self, Placement};
use crate::plan::{Band, GpuLaunch, smaller};
use crate::{Error, Result};

/// Bands in flight: one is written while another is computed and a third is read. Twin of that in
/// `plan/transfer.rs`.
const IN_FLIGHT: usize = 3;

/// How often the bytes of a band are halved, one try after the other, where memory is short.
const SMALLER: [u32; 3] = [2, 4, 8];

/// The largest sum of a slot's buffers, in bytes, that is kept with the problem.
const KEPT_BYTES: u64 = 4 << 20;
/// A band that was submitted.
struct Pending<'a> {
    band: &'a Band,
    place: Placement,
    flight: Flight,
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
    /// device's own time, where it can tell. Where the device's memory is short, in smaller bands.
    pub(crate) async fn run(
        &self,
        src: &[u8],
        dst: &mut [u8],
        wait: Wait,
        measured: bool,
    ) -> Result<Parts> {
        let planned = self.ready().launch()?;
        let mut short = match self.run_bands(planned, src, dst, wait, measured).await {
            Err(error @ Error::OutOfMemory { place: "device", .. }) => error,
            other => return other,
        };
        for halvings in SMALLER {
            // What is kept for calls to come is worth less than this one.
            self.executor().context.trim();
            let launch = smaller(&self.ready().problem, planned, &self.ready().limits, halvings);
            let Ok(launch) = launch else { break };
            short = match self.run_bands(&launch, src, dst, wait, measured).await {
                Err(error @ Error::OutOfMemory { place: "device", .. }) => error,
                other => return other,
            };
        }
        Err(short)
    }

    async fn run_bands(
        &self,
        launch: &GpuLaunch,
        src: &[u8],
        dst: &mut [u8],
        wait: Wait,
        measured: bool,
    ) -> Result<Parts> {
        let mut parts = Parts::default();
        let mut pending: VecDeque<Pending<'_>> = VecDeque::with_capacity(IN_FLIGHT);
        for band in &launch.bands {
            if pending.len() == IN_FLIGHT
                && let Some(oldest) = pending.pop_front()
            {
                self.finish(launch, oldest, dst, wait, &mut parts).await?;
            }
            pending.push_back(self.start(launch, band, src, &mut parts, measured).await?);
        }
        for oldest in pending {
            self.finish(launch, oldest, dst, wait, &mut parts).await?;
        }
        Ok(parts)
    }

    async fn start<'a>(
        &'a self,
        launch: &GpuLaunch,
        band: &'a Band,
        src: &[u8],
        parts: &mut Parts,
        measured: bool,
    ) -> Result<Pending<'a>> {
        let (ready, executor) = (self.ready(), self.executor());
        let mut clock = Clock::start();
        let place = job::own_placement(&ready.problem, launch, band);
        // Those that are kept are of the one band that was planned.
        let kept = if launch.bands.len() == 1 { self.slots().take() } else { None };
        let slot = match kept {
            Some(slot) => slot,
            None => {
                let (from, to) = job::own_sizes(&ready.problem, band, &place);
                let job = job::band(&ready.problem, launch, &ready.limits, band);
                let bind = |source: &BufferRange<'_>, destination: &BufferRange<'_>| {
                    executor.bind(&job, &ready.compiled, &ends(source, destination), false)
                };
                let shared = self.gpu().shares_memory();
                Slot::new(executor, [from, to], shared, bind).await?
            }
        };
        let pieces = job::source_pieces(&ready.problem, band, &place);
        slot.fill(&executor.context, pieces, src)?;
        let stamps = if measured { Stamps::new(&executor.context).await? } else { None };
        parts.upload += clock.lap();
        // A band is no more than one submission should do.
        let launched = slot.launch(executor, "submitting", stamps, u64::MAX);
        let flight = launched.done().await?;
        parts.compute += clock.lap();
        Ok(Pending { band, place, flight })
    }

    async fn finish(
        &self,
        launch: &GpuLaunch,
        pending: Pending<'_>,
        dst: &mut [u8],
        wait: Wait,
        parts: &mut Parts,
    ) -> Result<()> {
        let mut clock = Clock::start();
        let Pending { band, place, flight } = pending;
        let (ready, context) = (self.ready(), &self.executor().context);
        flight.wait(context, wait).await?;
        parts.compute += clock.lap();
        let pieces = job::destination_pieces(&ready.problem, band, &place);
        let (slot, time) = flight.land(context, |bytes| copy_out(dst, pieces, bytes))?;
        if let Some(time) = time {
            parts.gpu = Some(parts.gpu.unwrap_or_default() + time);
        }
        let small = slot.bytes() <= KEPT_BYTES && launch.bands.len() == 1;
        if let Some(slot) = if small { self.slots().give(slot) } else { Some(slot) } {
            slot.give(context);
        }
        parts.download += clock.lap();
        Ok(())
    }
}
