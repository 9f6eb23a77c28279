//! The GPU engine: device, shaders and the order of events.
//!
//! ```text
//! per band, two in flight:   pool -> upload -> encode -> submit -> map -> copy out
//! ```

mod apply;
mod buffers;
mod chain;
mod costs;
mod device;
mod encode;
mod frames;
mod gradient;
mod known;
mod module;
mod params;
mod pipelines;
mod planned;
mod prepared;
mod recording;
mod requirements;
mod run;
mod shaders;
mod stamps;
mod tensor;
mod texel;
mod texture;
mod transfer;
mod tuning;
mod wait;
mod weights;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wgpu::{AdapterInfo, Buffer, BufferUsages, Device, Queue};

use crate::plan::{AdapterClass, Cuts, GpuLimits, Plan, Residence};
use crate::{Algorithm, Error, Problem, Result};
use apply::Remembered;
use buffers::Pool;
pub use buffers::PoolStats;
pub use chain::GpuChain;
use device::{Loss, checked};
use pipelines::{Pipelines, Ready};
use shaders::Shader;
use tuning::Tuner;

pub(crate) use device::describe;
pub use device::{GpuOptions, adapters};
pub use encode::BufferRange;
pub use frames::FrameStream;
pub use gradient::{GpuBackward, GpuGradients, GpuPointwiseGradients};
pub use planned::PlannedShader;
pub use prepared::GpuPrepared;
pub use requirements::{recommended_features, recommended_limits, required_features};
pub use tensor::GpuTensor;
pub use texture::{GpuTexturePrepared, TextureOptions};
pub use tuning::Tuning;
pub(crate) use wait::{Clock, Wait};

/// A GPU device and what is kept on it: pipelines and free buffers. Cloning is cheap and shares
/// them.
///
/// ```no_run
/// use channelwise::{Gpu, GpuOptions};
/// # async fn example() -> channelwise::Result<()> {
/// let gpu = Gpu::request(&GpuOptions::new()).await?;
/// println!("{gpu}");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Gpu {
    shared: Arc<Shared>,
    limits: Arc<GpuLimits>,
    remembered: Arc<Remembered>,
}

#[derive(Debug)]
struct Shared {
    device: Device,
    queue: Queue,
    info: AdapterInfo,
    loss: Loss,
    pipelines: Pipelines,
    pool: Pool,
    /// The largest buffers that problems have between their passes. Submissions of one queue run in
    /// order, so all problems can share them.
    between: Mutex<Vec<Weak<Buffer>>>,
    tuner: Option<Tuner>,
}

impl Gpu {
    /// Makes a device of its own on the adapter that `options` and the environment ask for, with
    /// all limits the adapter has.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] where none answers, [`Error::Device`] where it gives no device,
    /// [`Error::TuningFile`] where the file of [`Tuning::MeasuredIn`] cannot be read, [`Error::Argument`]
    /// for a [`GpuOptions::pipeline_cache`].
    pub async fn request(options: &GpuOptions) -> Result<Self> {
        Self::on_adapter(device::adapter(options).await?, options).await
    }

    /// The same for an engine that chooses: which adapter there is is looked up once a process, and what
    /// copies cost is measured once, unless `options` say no.
    pub(crate) async fn request_to_choose(options: &GpuOptions) -> Result<Self> {
        let made = Self::on_adapter(known::adapter(options).await?, options).await;
        let gpu = made.inspect_err(|_| known::forget(options))?;
        if options.unmeasured { Ok(gpu) } else { gpu.with_measured_costs().await }
    }

    async fn on_adapter(adapter: wgpu::Adapter, options: &GpuOptions) -> Result<Self> {
        if options.wanted_cache().is_some() {
            let limit = "it belongs to a device that is there already; see Gpu::from_device_with";
            return Err(Error::argument("pipeline cache", "given", limit));
        }
        let info = adapter.get_info();
        let refused = |reason: String| Error::Device { adapter: info.name.clone(), reason };
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("channelwise.device"),
            // For `Prepared::run_into_timed`, and textures to write.
            required_features: adapter.features()
                & (wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::BGRA8UNORM_STORAGE),
            required_limits: options.wanted_limits().unwrap_or_else(|| adapter.limits()),
            ..Default::default()
        };
        let (device, queue) =
            adapter.request_device(&descriptor).await.map_err(|e| refused(e.to_string()))?;
        let loss = Loss::listen(&device);
        Self::new(info, device, queue, loss, options)
    }

    /// Works on a device of the caller's. No callbacks are installed on it.
    ///
    /// # Errors
    /// [`Error::Device`] where the device's limits are below what any pass needs.
    pub fn from_device(info: AdapterInfo, device: Device, queue: Queue) -> Result<Self> {
        Self::from_device_with(info, device, queue, &GpuOptions::new())
    }

    /// The same, with those of the options that are about planning and compiling:
    /// [`GpuOptions::specialise_from`], [`GpuOptions::tuning`] and [`GpuOptions::pipeline_cache`].
    ///
    /// # Errors
    /// The same, and [`Error::TuningFile`].
    pub fn from_device_with(
        info: AdapterInfo,
        device: Device,
        queue: Queue,
        options: &GpuOptions,
    ) -> Result<Self> {
        Self::new(info, device, queue, Loss::default(), options)
    }

    fn new(
        info: AdapterInfo,
        device: Device,
        queue: Queue,
        loss: Loss,
        options: &GpuOptions,
    ) -> Result<Self> {
        let limits = options.specialised(device::limits(&info, &device));
        let limits = GpuLimits { costs: costs::written_down(&info), ..limits };
        let tuner = Tuner::new(options.wanted_tuning(), describe(&info))?;
        let all = device.limits();
        for (name, has, needs) in [
            (
                "max_storage_buffers_per_shader_stage",
                u64::from(all.max_storage_buffers_per_shader_stage),
                3,
            ),
            ("max_compute_invocations_per_workgroup", u64::from(limits.max_invocations), 64),
            ("max_compute_workgroups_per_dimension", u64::from(limits.max_workgroups), 1024),
            ("max_storage_buffer_binding_size", limits.max_binding, 1 << 16),
        ] {
            if has < needs {
                return Err(Error::Device {
                    adapter: info.name,
                    reason: format!("{name} is {has}, at least {needs} is needed"),
                });
            }
        }
        // Where a device does without, it has made none either.
        let caches = device.features().contains(wgpu::Features::PIPELINE_CACHE);
        let cache = options.wanted_cache().filter(|_| caches);
        let made = checked(&device, &loss, "making layouts", || Pipelines::new(&device, cache));
        let pipelines = made.now()?;
        Ok(Self {
            shared: Arc::new(Shared {
                device,
                queue,
                info,
                loss,
                pipelines,
                pool: Pool::default(),
                between: Mutex::default(),
                tuner,
            }),
            limits: Arc::new(limits),
            remembered: Arc::default(),
        })
    }

    /// The same device, without the problems it remembers.
    fn forgetful(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            limits: self.limits.clone(),
            remembered: Arc::default(),
        }
    }

    /// The same device, whose work is cut into pieces of these sizes.
    #[doc(hidden)]
    #[must_use]
    pub fn with_cuts(&self, cuts: Cuts) -> Self {
        Self { limits: Arc::new(GpuLimits { cuts, ..*self.limits }), ..self.forgetful() }
    }

    fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    /// Plans `problem` for buffers on the device and compiles what it needs, for
    /// [`GpuPrepared::encode`]. Not in browsers; see [`Gpu::prepare_async`].
    ///
    /// # Errors
    /// [`Error::NotApplicable`] where `algorithm` cannot do it, [`Error::TooLarge`] where not even
    /// one output pixel fits the device's limits, or what the device says.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn prepare(&self, problem: &Problem, algorithm: Algorithm) -> Result<GpuPrepared> {
        pollster::block_on(self.prepare_async(problem, algorithm))
    }

    /// [`Gpu::prepare`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn prepare_async(
        &self,
        problem: &Problem,
        algorithm: Algorithm,
    ) -> Result<GpuPrepared> {
        GpuPrepared::new(self, problem, algorithm, Residence::Device).await
    }

    /// The same for data in host memory.
    pub(crate) async fn prepare_host(
        &self,
        problem: &Problem,
        algorithm: Algorithm,
    ) -> Result<GpuPrepared> {
        GpuPrepared::new(self, problem, algorithm, Residence::Host).await
    }

    /// The same, by a plan that was made already.
    pub(crate) async fn prepare_planned(
        &self,
        problem: &Problem,
        algorithm: Algorithm,
        plan: Plan,
    ) -> Result<GpuPrepared> {
        GpuPrepared::of_choice(self, problem, algorithm, Residence::Host, plan).await
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.shared.device
    }

    /// Its queue.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.shared.queue
    }

    /// The adapter it is on.
    #[must_use]
    pub fn adapter_info(&self) -> &AdapterInfo {
        &self.shared.info
    }

    /// The limits plans are made for.
    #[must_use]
    pub fn limits(&self) -> &GpuLimits {
        &self.limits
    }

    /// Whether it is a GPU played by the CPU.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.limits.class == AdapterClass::Software
    }

    /// What the pool of this device has done and holds.
    #[must_use]
    pub fn pool_stats(&self) -> PoolStats {
        self.pool().stats()
    }

    fn loss(&self) -> &Loss {
        &self.shared.loss
    }

    async fn pipeline(
        &self,
        shader: &'static Shader,
        constants: &[(&'static str, u32)],
    ) -> Result<Ready> {
        let Shared { device, loss, pipelines, .. } = &*self.shared;
        pipelines.get(device, loss, shader, constants).await
    }

    fn tuner(&self) -> Option<&Tuner> {
        self.shared.tuner.as_ref()
    }

    /// Buffer `n` between passes, of `size` bytes at least.
    async fn between(&self, n: usize, size: u64) -> Result<Arc<Buffer>> {
        let lock = || self.shared.between.lock().unwrap_or_else(PoisonError::into_inner);
        let there = lock().get(n).and_then(Weak::upgrade);
        if let Some(buffer) = there.filter(|buffer| buffer.size() >= size) {
            return Ok(buffer);
        }
        let what = "making room between passes";
        let usage = BufferUsages::STORAGE;
        let made = self.pool().take(self.device(), self.loss(), what, size, usage).await?;
        let made = Arc::new(made);
        let mut all = lock();
        if all.len() <= n {
            all.resize(n + 1, Weak::new());
        }
        all[n] = Arc::downgrade(&made);
        Ok(made)
    }

    fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    /// A small buffer that is written once, before the next submission.
    fn constant_buffer(&self, label: &str, contents: &[u8], usage: BufferUsages) -> Buffer {
        // Not mapped at creation: wgpu's helper for that panics on a lost device.
        let buffer = self.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: contents.len() as u64,
            usage: usage | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.queue().write_buffer(&buffer, 0, contents);
        buffer
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gpu: {}", describe(self.adapter_info()))
    }
}
