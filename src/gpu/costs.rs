//! What copies cost on a device: written down for its kind, or measured on it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use wgpu::{Buffer, BufferUsages, CommandEncoder, ComputePassTimestampWrites, MapMode};

use super::Gpu;
use super::copies::{copy_in, copy_out};
use super::device::{Clock, Context, Moment, Stamps, Wait, describe};
use super::executor::Executor;
use crate::plan::job::Piece;
use crate::plan::{AdapterClass, DeviceCosts, GpuLimits};
use crate::{Error, Result};

/// After so long nothing more is begun; the rest is taken as written down. What was begun ends within the
/// 20 milliseconds that are promised.
const ENOUGH: Duration = Duration::from_millis(14);
/// Bytes that go there and back: a sixth of a millisecond on the usual bus, and a page is touched first by
/// what is thrown away.
const STAGED: u64 = 2 << 20;
/// The key in a file of [`Tuning::MeasuredIn`](super::Tuning::MeasuredIn).
const KEY: &str = "costs";

/// What was measured, by adapter and driver, and whether all of it was.
static MEASURED: Mutex<Vec<(String, DeviceCosts, bool)>> = Mutex::new(Vec::new());

impl Gpu {
    /// The same device, with other costs to plan by. Where it shares the host's memory nothing is fetched or
    /// handed over, whatever these say.
    ///
    /// ```no_run
    /// use channelwise::Gpu;
    /// use channelwise::plan::DeviceCosts;
    /// # fn example(gpu: &Gpu) {
    /// // Behind a cable with 3 GB/s.
    /// let rate = 3_000_000;
    /// let costs = DeviceCosts::DISCRETE.with_upload(rate).with_download(rate);
    /// let gpu = gpu.with_costs(costs);
    /// # }
    /// ```
    #[must_use]
    pub fn with_costs(&self, costs: DeviceCosts) -> Self {
        let costs = if self.shares_memory() { costs.without_copies() } else { costs };
        self.with_limits(GpuLimits { costs: Some(costs), ..*self.limits() })
    }

    /// The same device, planned for as one of another class: for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_class(&self, class: AdapterClass) -> Self {
        self.with_limits(GpuLimits { class, ..*self.limits() })
    }

    /// The same device, planned for by what copies take on it: measured once a process for each adapter
    /// and driver, in at most 20 milliseconds, and kept in the file of
    /// [`Tuning::MeasuredIn`](super::Tuning::MeasuredIn). In browsers, which have no clock here, the device as it is.
    ///
    /// ```no_run
    /// use channelwise::{Cpu, Engine, Gpu};
    /// # fn example(gpu: &Gpu) -> channelwise::Result<()> {
    /// // An engine that chooses between the CPU and a device of the app's.
    /// let engine = Engine::choosing(Cpu::new(), gpu.with_measured_costs()?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::DeviceLost`] and what else the device says; [`Error::TuningFile`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn with_measured_costs(&self) -> Result<Self> {
        pollster::block_on(self.with_measured_costs_async())
    }

    /// [`Gpu::with_measured_costs`] for those who await; it blocks while it measures.
    ///
    /// # Errors
    /// The same.
    pub async fn with_measured_costs_async(&self) -> Result<Self> {
        if !Clock::TELLS {
            return Ok(self.clone());
        }
        let kept = match &self.tuner {
            Some(tuner) => tuner.line(KEY)?.as_deref().and_then(parsed),
            None => None,
        };
        if let Some(costs) = kept {
            return Ok(self.with_costs(costs));
        }
        let name = describe(self.adapter_info());
        let lock = || MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            lock().iter().find(|(of, ..)| *of == name).map(|(_, costs, all)| (*costs, *all));
        let (costs, all) = match known {
            Some(known) => known,
            None => {
                let meter = match Meter::new(&self.executor, self.limits()).await {
                    Ok(meter) => meter,
                    // No room for a few buffers: not a matter of whether the device can be used.
                    Err(Error::OutOfMemory { .. }) => return Ok(self.clone()),
                    Err(error) => return Err(error),
                };
                let (costs, all) = meter.measure().await?;
                lock().push((name, costs, all));
                (costs, all)
            }
        };
        // A process that has more time may do better.
        if let (Some(tuner), true) = (&self.tuner, all) {
            tuner.add_line(KEY, &text(&costs))?;
        }
        Ok(self.with_costs(costs))
    }
}

fn text(costs: &DeviceCosts) -> String {
    let DeviceCosts { write, upload, download, read, memory, latency } = costs;
    format!(
        "write={write} upload={upload} download={download} read={read} memory={memory} latency={latency}"
    )
}

/// None where anything is missing, or is nothing.
fn parsed(text: &str) -> Option<DeviceCosts> {
    let value = |name: &str| {
        let (_, value) =
            text.split(' ').filter_map(|f| f.split_once('=')).find(|(n, _)| *n == name)?;
        value.parse().ok().filter(|value| *value > 0)
    };
    Some(DeviceCosts {
        write: value("write")?,
        upload: value("upload")?,
        download: value("download")?,
        read: value("read")?,
        memory: value("memory")?,
        latency: value("latency")?,
    })
}

/// Buffers and clocks of a measurement.
struct Meter<'a> {
    executor: &'a Executor,
    /// Mapped by the host, in its memory or seen from there.
    upload: Buffer,
    download: Buffer,
    /// On the device.
    near: Buffer,
    far: Buffer,
    stamps: Option<Stamps>,
    clock: Clock,
    spent: Duration,
    costs: DeviceCosts,
}

impl<'a> Meter<'a> {
    async fn new(executor: &'a Executor, limits: &GpuLimits) -> Result<Self> {
        use BufferUsages as Usage;
        let clock = Clock::start();
        let context = &executor.context;
        let class = limits.class;
        // More than what caches of the last level hold, as far as the time allows.
        let size = match class {
            AdapterClass::Discrete => 64 << 20,
            AdapterClass::Integrated | AdapterClass::Unknown => 16 << 20,
            AdapterClass::Software => STAGED,
        };
        let size = size.min(limits.max_buffer / 4 * 4);
        let make = |size, usage| {
            let what = "making room to measure";
            context.create(what, size, usage)
        };
        let staged = STAGED.min(size);
        Ok(Self {
            upload: make(staged, Usage::MAP_WRITE | Usage::COPY_SRC)?,
            download: make(staged, Usage::MAP_READ | Usage::COPY_DST)?,
            near: make(size, Usage::COPY_SRC | Usage::COPY_DST)?,
            far: make(size, Usage::COPY_SRC | Usage::COPY_DST)?,
            stamps: Stamps::new(context).await?,
            executor,
            clock,
            spent: Duration::ZERO,
            costs: limits.costs.unwrap_or(DeviceCosts::of_class(class)),
        })
    }

    /// Whether there is time for more.
    fn goes_on(&mut self) -> bool {
        self.spent += self.clock.lap();
        self.spent < ENOUGH
    }

    /// The costs, and whether there was time for all.
    async fn measure(mut self) -> Result<(DeviceCosts, bool)> {
        let staged = self.upload.size();
        let mut host = vec![1_u8; staged as usize];
        // The first submission of a device takes long.
        let mut waits = Vec::new();
        for _ in 0..6 {
            waits.push(self.submit(|_| {}).await?);
        }
        waits.remove(0);
        waits.sort();
        self.costs.latency = waits[waits.len() / 2].as_nanos() as u64;

        let mut best = Duration::MAX;
        // The first touches pages.
        for run in 0..2 {
            let mut clock = Clock::start();
            let all = Piece { from: 0, to: 0, len: host.len() };
            let written = copy_in(&self.upload, staged, vec![all], &host);
            written.map_err(|error| self.context().lost(&error.to_string()))?;
            if run > 0 {
                best = best.min(clock.lap());
            }
        }
        self.context().unmap(&self.upload)?;
        self.costs.write = rate(staged, best);

        let Self { upload, download, near, far, .. } = &self;
        let (upload, download, near, far) =
            (upload.clone(), download.clone(), near.clone(), far.clone());
        if let Some(best) = self.copy(&upload, &near, staged).await? {
            self.costs.upload = rate(staged, best);
        }
        if let Some(best) = self.copy(&near, &download, staged).await? {
            self.costs.download = rate(staged, best);
            let mut best = Duration::MAX;
            for run in 0..2 {
                self.map(&download).await?;
                self.context().meet(Moment::Access);
                let mut clock = Clock::start();
                let view = download.get_mapped_range(..);
                let view = view.map_err(|error| self.context().lost(&error.to_string()))?;
                copy_out(&mut host, vec![Piece { from: 0, to: 0, len: view.len() }], &view);
                if run > 0 {
                    best = best.min(clock.lap());
                }
                drop(view);
                self.context().unmap(&download)?;
            }
            self.costs.read = rate(staged, best);
        }
        let memory = self.copy(&near, &far, near.size()).await?;
        if let Some(best) = memory {
            // Read and written.
            self.costs.memory = rate(2 * near.size(), best);
        }
        // It comes last.
        Ok((self.costs, memory.is_some()))
    }

    /// The best time of copies on the device; none where the time is up.
    async fn copy(&mut self, from: &Buffer, to: &Buffer, size: u64) -> Result<Option<Duration>> {
        let mut best = None::<Duration>;
        // The first clears what was never written.
        for run in 0..3 {
            if !self.goes_on() {
                break;
            }
            let time =
                self.on_device(|encoder| encoder.copy_buffer_to_buffer(from, 0, to, 0, size));
            let time = time.await?;
            if run > 0 {
                best = Some(best.map_or(time, |best| best.min(time)));
            }
        }
        Ok(best)
    }

    /// Time of commands by the device's own clock, or else of a submission less that of an empty one.
    async fn on_device(&self, commands: impl Fn(&mut CommandEncoder)) -> Result<Duration> {
        let latency = Duration::from_nanos(self.costs.latency);
        let Some(stamps) = &self.stamps else {
            let whole = self.submit(commands).await?;
            return Ok(whole.saturating_sub(latency).max(whole / 8));
        };
        // Copies have no stamps of their own: the end of an empty pass before them and the beginning of
        // one behind them have.
        let stamp = |encoder: &mut CommandEncoder, start, end| {
            let writes = ComputePassTimestampWrites {
                query_set: stamps.queries(),
                beginning_of_pass_write_index: start,
                end_of_pass_write_index: end,
            };
            drop(encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("channelwise.stamp"),
                timestamp_writes: Some(writes),
            }));
        };
        let whole = self.submit(|encoder| {
            stamp(encoder, None, Some(0));
            commands(encoder);
            stamp(encoder, Some(1), None);
            stamps.resolve(encoder);
        });
        let whole = whole.await?;
        self.map(stamps.buffer()).await?;
        let told = stamps.read(self.context());
        self.context().unmap(stamps.buffer())?;
        let by_host = whole.saturating_sub(latency).max(whole / 8);
        // Some drivers put both stamps at one place.
        Ok(told.ok().filter(|told| (by_host / 8..=whole).contains(told)).unwrap_or(by_host))
    }

    /// Time on the host until commands are done.
    async fn submit(&self, commands: impl Fn(&mut CommandEncoder)) -> Result<Duration> {
        let (executor, context) = (self.executor, self.context());
        let mut clock = Clock::start();
        let submitted = context.checked("measuring copies", || {
            let mut encoder = executor.encoder("channelwise.costs");
            commands(&mut encoder);
            executor.submit(encoder);
            context.work()
        });
        context.wait(&submitted.done().await?, Wait::HERE).await?;
        Ok(clock.lap())
    }

    /// Maps all of a buffer to be read.
    async fn map(&self, buffer: &Buffer) -> Result<()> {
        let (executor, context) = (self.executor, self.context());
        let submitted = context.checked("measuring copies", || {
            executor.submit(executor.encoder("channelwise.costs"));
            context.maps(&[(buffer, MapMode::Read, buffer.size())])
        });
        context.wait(&submitted.done().await?, Wait::HERE).await
    }

    fn context(&self) -> &Context {
        &self.executor.context
    }
}

/// Bytes in a millisecond.
fn rate(bytes: u64, time: Duration) -> u64 {
    let nanoseconds = time.as_nanos().max(1);
    u64::try_from(u128::from(bytes) * 1_000_000 / nanoseconds).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_read_as_they_are_written() {
        let costs = DeviceCosts { latency: 1, ..DeviceCosts::DISCRETE };
        assert_eq!(parsed(&text(&costs)), Some(costs));
        for broken in ["", "write=1", &text(&DeviceCosts { read: 0, ..costs }), "flat=1.5 fft=2.0"]
        {
            assert_eq!(parsed(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_rate_is_bytes_in_a_millisecond() {
        assert_eq!(rate(4 << 20, Duration::from_millis(2)), 2 << 20);
        assert_eq!(rate(1, Duration::ZERO), 1_000_000);
    }
}
