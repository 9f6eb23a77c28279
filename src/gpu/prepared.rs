//! A problem made ready for a device.

use std::sync::Arc;

use wgpu::CommandEncoder;

use super::Gpu;
use super::bound::Bound;
#[cfg(not(target_arch = "wasm32"))]
use super::device::Promise;
use super::device::Wait;
use super::executor::Executor;
use super::measure::measure;
use super::range::{BufferRange, check_ends};
use super::ready::{Ready, bound, copied, ends};
use super::staging::Slots;
use super::tuning::{Decision, Times, fastest};
use crate::plan::{self, Machine, Plan, Residence};
use crate::{Algorithm, Error, Problem, Result};

/// A problem made ready for a device: its plan, its weights and its compiled shaders.
///
/// Made by [`Gpu::prepare`] for data that lies on the device. Cloning is cheap and shares everything.
///
/// ```
/// use channelwise::{Algorithm, Conv2d, ElementType, Engine, GpuTensor, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let Ok(engine) = Engine::gpu() else { return Ok(()) }; // there is none
/// let Some(gpu) = engine.as_gpu() else { return Ok(()) };
/// let same = Conv2d::new(Kernel::identity());
/// let problem = Problem::new(&same, [8, 8, 3], ElementType::U8, ElementType::U8)?;
/// let prepared = gpu.prepare(&problem, Algorithm::Auto)?; // once
/// let x = GpuTensor::upload(gpu, &[7u8; 192], [8, 8, 3])?;
/// let y: GpuTensor<u8> = prepared.apply(&x)?;
/// assert_eq!(y.download()?, [7; 192]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct GpuPrepared {
    gpu: Gpu,
    ready: Arc<Ready>,
    slots: Arc<Slots>,
}

impl Gpu {
    /// Plans `problem` for buffers on the device and compiles what it needs, for
    /// [`GpuPrepared::encode`]. Not in browsers; see [`Gpu::prepare_async`].
    ///
    /// # Errors
    /// [`Error::NotApplicable`] where `algorithm` cannot do it,
    /// [`Error::TooLarge`] where not even one output pixel fits the device's limits,
    /// or what the device says.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn prepare(&self, problem: &Problem, algorithm: Algorithm) -> Result<GpuPrepared> {
        pollster::block_on(GpuPrepared::new(self, problem, algorithm, Residence::Device))
    }

    /// [`Gpu::prepare`] without blocking: on native a thread of its own plans and compiles, which takes up
    /// to seconds.
    ///
    /// # Errors
    /// The same, and [`Error::Threads`].
    pub async fn prepare_async(
        &self,
        problem: &Problem,
        algorithm: Algorithm,
    ) -> Result<GpuPrepared> {
        let (gpu, problem) = (self.clone(), problem.clone());
        aside(async move || GpuPrepared::new(&gpu, &problem, algorithm, Residence::Device).await)
            .await
    }

    /// The same for data in host memory.
    pub(crate) async fn prepare_host(
        &self,
        problem: &Problem,
        algorithm: Algorithm,
        wait: Wait,
    ) -> Result<GpuPrepared> {
        let machine = Machine::Gpu(*self.limits(), Residence::Host);
        let plan = plan::choose(problem, &machine, algorithm)?;
        self.prepare_planned(problem, algorithm, plan, wait).await
    }

    /// The same, by a plan that was made already.
    pub(crate) async fn prepare_planned(
        &self,
        problem: &Problem,
        algorithm: Algorithm,
        plan: Plan,
        wait: Wait,
    ) -> Result<GpuPrepared> {
        let (gpu, problem) = (self.clone(), problem.clone());
        let work = async move || {
            let ready = by_plan(&gpu, &problem, algorithm, Residence::Host, plan).await?;
            Ok(GpuPrepared::of(&gpu, Arc::new(ready)))
        };
        if wait == Wait::HERE { work().await } else { aside(work).await }
    }
}

impl GpuPrepared {
    pub(crate) async fn new(
        gpu: &Gpu,
        problem: &Problem,
        algorithm: Algorithm,
        residence: Residence,
    ) -> Result<Self> {
        let ready = prepare(gpu, problem, algorithm, residence).await?;
        Ok(Self::of(gpu, Arc::new(ready)))
    }

    pub(super) fn of(gpu: &Gpu, ready: Arc<Ready>) -> Self {
        Self { gpu: gpu.clone(), ready, slots: Arc::default() }
    }

    /// The problem.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.ready.problem
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.ready.plan
    }

    /// A part of the same problem, by the same algorithm, for data in host memory.
    pub(crate) async fn part(&self, problem: &Problem, wait: Wait) -> Result<Self> {
        let (plan, algorithm) = (self.plan().of_part(problem)?, self.plan().algorithm());
        self.gpu.prepare_planned(problem, algorithm, plan, wait).await
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub(super) fn executor(&self) -> &Executor {
        &self.gpu.executor
    }

    pub(super) fn ready(&self) -> &Arc<Ready> {
        &self.ready
    }

    pub(super) fn ready_mut(&mut self) -> &mut Arc<Ready> {
        &mut self.ready
    }

    pub(super) fn forget_slots(&mut self) {
        self.slots = Arc::default();
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Records the work into `encoder`, reading `source` and writing `destination`. Nothing is
    /// submitted or waited for. All bands land in the one submission the caller makes of it; where
    /// a watchdog resets GPUs that are silent for long (Windows: two seconds), split very large
    /// work into several problems.
    ///
    /// Bands that do not lie in one piece in the caller's buffers (a border that wraps, planes,
    /// columns of a row too large to bind) and a source that shares its buffer with the
    /// destination go through buffers of our own, and need usage `COPY_SRC` of the source and
    /// `COPY_DST` of the destination.
    ///
    /// The first call for a pair of ranges makes bind groups and the small buffers that passes need; they
    /// are kept for the four pairs last used, so that later calls make nothing. Kept bind groups keep the
    /// caller's buffers from being freed: [`GpuPrepared::forget_buffers`] lets go of them.
    ///
    /// # Errors
    /// [`Error::Buffer`] where a range cannot serve; [`Error::Gpu`], [`Error::OutOfMemory`] or
    /// [`Error::DeviceLost`] where the device refuses. In browsers errors of the device come later
    /// and are not seen here.
    pub fn encode(
        &self,
        encoder: &mut CommandEncoder,
        source: &BufferRange<'_>,
        destination: &BufferRange<'_>,
    ) -> Result<()> {
        self.recorded(source, destination)?.replay(encoder);
        Ok(())
    }

    /// What is to be recorded for these ranges.
    fn recorded(
        &self,
        source: &BufferRange<'_>,
        destination: &BufferRange<'_>,
    ) -> Result<Arc<Bound>> {
        let ready = &self.ready;
        check_ends(source, destination, &ready.problem, &ready.problem)?;
        bound(&ready.kept, source, destination, false, || {
            let job = ready.job(copied((ready, source), (ready, destination)))?;
            self.executor().bind(&job, &ready.compiled, &ends(source, destination), false)
        })
    }

    /// [`GpuPrepared::encode`] into a compute pass that is open, beside dispatches of the app's own; it leaves
    /// another pipeline and bind group 0 behind.
    ///
    /// ```no_run
    /// use channelwise::{GpuPrepared, GpuTensor, wgpu};
    /// # fn example(
    /// #     prepared: &GpuPrepared, pass: &mut wgpu::ComputePass<'_>, x: &GpuTensor<f32>, y: &GpuTensor<f32>,
    /// # ) -> channelwise::Result<()> {
    /// prepared.encode_into(pass, &x.range(), &y.range())?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`GpuPrepared::encode`]; [`Error::Buffer`] also where that would copy.
    pub fn encode_into(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        source: &BufferRange<'_>,
        destination: &BufferRange<'_>,
    ) -> Result<()> {
        self.recorded(source, destination)?.dispatch(pass)
    }

    /// Lets go of the buffers that were given to [`GpuPrepared::encode`]. Work that was recorded or
    /// submitted keeps those it needs until it is done.
    pub fn forget_buffers(&self) {
        self.ready.kept.clear();
    }
}

/// Plans, and compiles.
pub(super) async fn prepare(
    gpu: &Gpu,
    problem: &Problem,
    algorithm: Algorithm,
    residence: Residence,
) -> Result<Ready> {
    let plan = plan::choose(problem, &Machine::Gpu(*gpu.limits(), residence), algorithm)?;
    by_plan(gpu, problem, algorithm, residence, plan).await
}

/// Compiles by the model's plan, or a better one where the device is asked.
async fn by_plan(
    gpu: &Gpu,
    problem: &Problem,
    algorithm: Algorithm,
    residence: Residence,
    mut plan: Plan,
) -> Result<Ready> {
    let machine = Machine::Gpu(*gpu.limits(), residence);
    if let (Algorithm::Auto, Some(tuner)) = (algorithm, &gpu.tuner) {
        let times = match tuner.ask(problem, &machine, &plan) {
            Decision::Model => Times::new(),
            Decision::Times(times) => times,
            Decision::Measure(key, tried) => {
                let times = measured(gpu, problem, &tried).await?;
                // Where all but one could not be tried, there is nothing to choose.
                if times.len() > 1 {
                    tuner.learn(key, &times)?;
                }
                times
            }
        };
        if times.len() > 1 {
            plan = fastest(problem, &machine, plan, &times)?;
        }
    }
    Ready::new(&gpu.executor, gpu.limits(), problem, plan).await
}

/// Microseconds of each of these algorithms, on data of our own.
async fn measured(gpu: &Gpu, problem: &Problem, tried: &[Algorithm]) -> Result<Times> {
    let (executor, limits) = (&*gpu.executor, gpu.limits());
    let machine = Machine::Gpu(*limits, Residence::Host);
    let mut times = Times::new();
    for algorithm in tried {
        let plan = plan::choose(problem, &machine, *algorithm);
        let time = match plan {
            Ok(plan) => match Ready::new(executor, limits, problem, plan).await {
                Ok(ready) => measure(executor, &ready).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match time {
            Ok(us) => times.push((*algorithm, us)),
            // It may fit the caller's buffers, and not ours beside them.
            Err(Error::NotApplicable { .. } | Error::TooLarge { .. }) => {}
            Err(Error::OutOfMemory { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(times)
}

/// Does work that may take long on a thread of its own; in browsers here, between which and their compilers
/// calls do not block.
pub(super) async fn aside<T: wgpu::WasmNotSend + 'static>(
    work: impl AsyncFnOnce() -> Result<T> + wgpu::WasmNotSend + 'static,
) -> Result<T> {
    #[cfg(target_arch = "wasm32")]
    return work().await;
    #[cfg(not(target_arch = "wasm32"))]
    {
        use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
        let done = Arc::new(Promise::new());
        let promise = done.clone();
        let named = std::thread::Builder::new().name("channelwise-prepare".into());
        let spawned = named.spawn(move || {
            promise.keep(catch_unwind(AssertUnwindSafe(|| pollster::block_on(work()))));
        });
        let failed = |reason: String| Error::Threads { threads: 1, reason };
        spawned.map_err(|error| failed(error.to_string()))?;
        match done.taken().await {
            Some(Ok(made)) => made,
            // A callback of the app's, say, that ran while the thread waited: it is theirs.
            Some(Err(panic)) => resume_unwind(panic),
            None => Err(failed("what was prepared was taken before".into())),
        }
    }
}
