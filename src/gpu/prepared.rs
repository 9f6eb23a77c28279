//! A problem made ready for a device: plan, weights and pipelines.

use std::collections::VecDeque;
use std::time::Duration;

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};
use wgpu::{Buffer, BufferAsyncError, BufferUsages, ComputePipeline, PollType, SubmissionIndex};

use super::device::checked;
use super::{Gpu, params, shaders, transfer, weights};
use crate::plan::{self, Band, GpuLaunch, Launch, Machine, Pass, Plan, Residence};
use crate::{Algorithm, Error, Problem, Result};

/// Bands in flight: one is uploaded while the one before it computes.
const IN_FLIGHT: usize = 2;

/// How to wait for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// On this thread.
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "browsers cannot block"))]
    Here,
    /// Without blocking: native devices answer only when polled, which a thread does; browsers
    /// answer by themselves.
    Elsewhere,
}

/// Time on the host, where there is a clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(#[cfg(not(target_arch = "wasm32"))] std::time::Instant);

impl Clock {
    pub fn start() -> Self {
        Self(
            #[cfg(not(target_arch = "wasm32"))]
            std::time::Instant::now(),
        )
    }

    /// Time since the start or the last lap; zero in browsers.
    pub fn lap(&mut self) -> Duration {
        #[cfg(not(target_arch = "wasm32"))]
        {
            let elapsed = self.0.elapsed();
            self.0 += elapsed;
            elapsed
        }
        #[cfg(target_arch = "wasm32")]
        Duration::ZERO
    }
}

/// A problem made ready for a device: its plan, its weights and its compiled shaders.
///
/// Made by [`Gpu::prepare`] for data that lies on the device.
#[derive(Clone, Debug)]
pub struct GpuPrepared {
    gpu: Gpu,
    problem: Problem,
    plan: Plan,
    passes: Vec<Compiled>,
    /// What passes leave for the next. Submissions of one queue run in order, so all share it.
    between: Vec<Buffer>,
}

/// A compiled pass.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub pass: Pass,
    pub pipeline: ComputePipeline,
    pub weights: Buffer,
}

/// A band that was submitted.
struct Pending<'a> {
    band: &'a Band,
    place: params::Placement,
    buffers: [Buffer; 2],
    staging: Buffer,
    size: u64,
    submission: SubmissionIndex,
    mapped: OneshotReceiver<Result<(), BufferAsyncError>>,
}

/// Host time of the parts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub upload: Duration,
    pub compute: Duration,
    pub download: Duration,
}

impl GpuPrepared {
    pub(super) async fn new(
        gpu: &Gpu,
        problem: &Problem,
        algorithm: Algorithm,
        residence: Residence,
    ) -> Result<Self> {
        let machine = Machine::Gpu(*gpu.limits(), residence);
        let plan = plan::choose(problem, &machine, algorithm)?;
        let Launch::Gpu(launch) = plan.launch() else {
            return Err(missing(plan.algorithm()));
        };
        let mut passes = Vec::new();
        for pass in Pass::of(&launch.scheme) {
            passes.push(compile(gpu, problem, *pass, launch).await?);
        }

        let sizes = launch.bands.iter().map(|band| launch.scheme.between(problem, band));
        let largest = sizes.reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a.max(b)).collect());
        let mut between = Vec::new();
        for size in largest.unwrap_or_default() {
            let what = "making room between passes";
            let usage = BufferUsages::STORAGE;
            between.push(gpu.pool().take(gpu.device(), gpu.loss(), what, size, usage).await?);
        }
        Ok(Self { gpu: gpu.clone(), problem: problem.clone(), plan, passes, between })
    }

    /// The problem.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub(super) fn between(&self) -> &[Buffer] {
        &self.between
    }

    pub(super) fn launch(&self) -> Result<&GpuLaunch> {
        match self.plan.launch() {
            Launch::Gpu(launch) => Ok(launch),
            Launch::Cpu(_) => Err(missing(self.plan.algorithm())),
        }
    }

    pub(super) fn passes(&self) -> &[Compiled] {
        &self.passes
    }

    /// Computes from host memory into host memory; both hold whole tensors.
    pub(crate) async fn run(&self, src: &[u8], dst: &mut [u8], wait: Wait) -> Result<Parts> {
        let launch = self.launch()?;
        let mut parts = Parts::default();
        let mut pending: VecDeque<Pending<'_>> = VecDeque::with_capacity(IN_FLIGHT);
        for band in &launch.bands {
            if pending.len() == IN_FLIGHT
                && let Some(oldest) = pending.pop_front()
            {
                self.finish(oldest, dst, wait, &mut parts).await?;
            }
            pending.push_back(self.start(launch, band, src, &mut parts).await?);
        }
        for oldest in pending {
            self.finish(oldest, dst, wait, &mut parts).await?;
        }
        Ok(parts)
    }

    async fn start<'a>(
        &'a self,
        launch: &GpuLaunch,
        band: &'a Band,
        src: &[u8],
        parts: &mut Parts,
    ) -> Result<Pending<'a>> {
        let gpu = &self.gpu;
        let mut clock = Clock::start();
        let place = transfer::own_placement(&self.problem, launch, band);
        let (src_size, size) = transfer::own_sizes(&self.problem, band, &place);
        let take = |what, size, usage| gpu.pool().take(gpu.device(), gpu.loss(), what, size, usage);
        let input = take(
            "making room for the input",
            src_size,
            BufferUsages::STORAGE | BufferUsages::COPY_DST,
        )
        .await?;
        let output = take(
            "making room for the output",
            size,
            BufferUsages::STORAGE | BufferUsages::COPY_SRC,
        )
        .await?;
        let staging = take(
            "making room for the download",
            size,
            BufferUsages::MAP_READ | BufferUsages::COPY_DST,
        )
        .await?;
        let pieces = transfer::source_pieces(&self.problem, band, &place);
        let written = checked(gpu.device(), gpu.loss(), "uploading the input", || {
            transfer::upload(gpu.queue(), &input, src_size, &pieces, src)
        });
        // Other reasons show in the scopes.
        if !written.done().await? {
            return Err(self.lost("the device takes no more writes"));
        }
        parts.upload += clock.lap();

        let copied = size.next_multiple_of(4);
        let (sender, mapped) = oneshot_channel();
        let submitted = checked(gpu.device(), gpu.loss(), "submitting", || {
            let mut encoder =
                gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor {
                    label: Some("channelwise.run"),
                });
            self.record_own(&mut encoder, band, &input, &output, place)?;
            encoder.copy_buffer_to_buffer(&output, 0, &staging, 0, copied);
            let submission = gpu.queue().submit([encoder.finish()]);
            staging.map_async(wgpu::MapMode::Read, ..copied, move |result| {
                // The receiver is gone where the run was given up.
                let _ = sender.send(result);
            });
            Ok::<_, Error>(submission)
        });
        let submission = submitted.done().await??;
        parts.compute += clock.lap();
        Ok(Pending {
            band,
            place,
            buffers: [input, output],
            staging,
            size: copied,
            submission,
            mapped,
        })
    }

    async fn finish(
        &self,
        pending: Pending<'_>,
        dst: &mut [u8],
        wait: Wait,
        parts: &mut Parts,
    ) -> Result<()> {
        let mut clock = Clock::start();
        self.poll(pending.submission, wait)?;
        match pending.mapped.receive().await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(self.lost(&error.to_string())),
            None => return Err(self.lost("the download was dropped")),
        }
        parts.compute += clock.lap();
        {
            let view = pending
                .staging
                .get_mapped_range(..pending.size)
                .map_err(|error| self.lost(&error.to_string()))?;
            for piece in transfer::destination_pieces(&self.problem, pending.band, &pending.place) {
                dst[piece.to..piece.to + piece.len]
                    .copy_from_slice(&view[piece.from..piece.from + piece.len]);
            }
        }
        pending.staging.unmap();
        for buffer in pending.buffers {
            self.gpu.pool().give(buffer);
        }
        self.gpu.pool().give(pending.staging);
        parts.download += clock.lap();
        Ok(())
    }

    /// Sees to it that the device's answers arrive.
    fn poll(&self, submission: SubmissionIndex, wait: Wait) -> Result<()> {
        let poll = PollType::Wait { submission_index: Some(submission), timeout: None };
        match wait {
            Wait::Here => {
                self.gpu.device().poll(poll).map_err(|error| self.lost(&error.to_string()))?;
            }
            Wait::Elsewhere => {
                #[cfg(not(target_arch = "wasm32"))]
                {
                    let device = self.gpu.device().clone();
                    // Failure shows in the map's own answer.
                    let spawned = std::thread::Builder::new()
                        .name("channelwise-poll".into())
                        .spawn(move || device.poll(poll).map(drop));
                    spawned.map_err(|error| Error::Threads {
                        threads: 1,
                        reason: error.to_string(),
                    })?;
                }
                #[cfg(target_arch = "wasm32")]
                let _ = poll;
            }
        }
        Ok(())
    }

    /// The error for a device that no longer answers.
    fn lost(&self, message: &str) -> Error {
        Error::DeviceLost {
            doing: "waiting for the result",
            reason: self.gpu.loss().reason().unwrap_or_else(|| message.to_string()),
        }
    }
}

async fn compile(gpu: &Gpu, problem: &Problem, pass: Pass, launch: &GpuLaunch) -> Result<Compiled> {
    let shader = shaders::of_pass(problem, pass).ok_or_else(|| missing(Algorithm::Auto))?;
    let constants = params::constants(problem, pass, launch);
    let contents = weights::of_pass(problem, pass, launch);
    let bytes: &[u8] = bytemuck::cast_slice(&contents);
    if bytes.len() as u64 > gpu.limits().max_range() {
        return Err(Error::TooLarge {
            what: "bytes of the kernel",
            value: bytes.len().to_string(),
            limit: gpu.limits().max_range(),
        });
    }
    let weights = checked(gpu.device(), gpu.loss(), "uploading the kernel", || {
        gpu.constant_buffer("channelwise.weights", bytes, BufferUsages::STORAGE)
    });
    let weights = weights.done().await?;
    Ok(Compiled { pass, pipeline: gpu.pipeline(shader, &constants).await?, weights })
}

fn missing(algorithm: Algorithm) -> Error {
    Error::NotApplicable {
        algorithm,
        engine: "gpu",
        reason: "it has no shader for these element types".into(),
    }
}
