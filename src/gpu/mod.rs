//! The GPU engine: from jobs, which `plan` makes, to what a device does.
//!
//! ```text
//!   host   tensor   chain   frames   texture   gradient      who asks: each makes a job and a table
//!     └───────┴────────┴───┬────┴────────┴────────┘
//!                     prepared      a plan and what was compiled for it
//!                        │          staging: host memory and back
//!                    executor       binds jobs, records and submits them
//!                     ╱     ╲
//!                program    device  shaders and pipelines; loss, waiting, memory
//! ```

mod apply;
mod bound;
mod chain;
mod copies;
mod costs;
mod device;
mod executor;
mod frames;
mod gradient;
mod halves;
mod host;
mod measure;
mod prepared;
mod program;
mod range;
mod ready;
mod reweigh;
mod staging;
mod subresource;
mod tensor;
mod texture;
mod ticket;
mod tuning;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wgpu::{AdapterInfo, Device, Queue};

use crate::lru::Lru;
use crate::plan::{AdapterClass, Cuts, DeviceCosts, GpuLimits};
use crate::{Error, ErrorSource, Result};
pub use chain::GpuChain;
#[cfg(not(target_arch = "wasm32"))]
pub use device::adapters;
use device::{Context, Loss, describe};
pub use device::{
    Fault, GpuOptions, Moment, Polling, PoolStats, Tuning, adapters_async, recommended_features,
    recommended_limits, required_features,
};
use executor::Executor;
pub use frames::FrameStream;
pub use gradient::{GpuBackward, GpuGradients, GpuPointwiseGradients};
pub use prepared::GpuPrepared;
use program::Caches;
pub use program::PlannedShader;
pub use range::BufferRange;
use ready::Ready;
pub use subresource::{TextureOrView, TextureSubresource};
pub use tensor::GpuTensor;
pub use texture::{GpuTexturePrepared, TextureOptions};
pub use ticket::Ticket;
use tuning::Tuner;

/// Problems a device remembers, so that repeated calls plan and compile once.
const REMEMBERED: usize = 16;

/// A GPU device and what is kept on it: pipelines and free buffers. Cloning is cheap and shares
/// them.
///
/// ```no_run
/// use channelwise::{Gpu, GpuOptions};
/// # fn example() -> channelwise::Result<()> {
/// let gpu = Gpu::request(&GpuOptions::new())?;
/// println!("{gpu}");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Gpu {
    executor: Arc<Executor>,
    tuner: Option<Arc<Tuner>>,
    limits: Arc<GpuLimits>,
    /// Problems that were prepared for tensors.
    remembered: Arc<Lru<(), Arc<Ready>>>,
}

impl Gpu {
    /// Makes a device of its own on the adapter that `options` and the environment ask for, with
    /// all limits the adapter has. Not in browsers; see [`Gpu::request_async`].
    ///
    /// # Errors
    /// [`Error::NoAdapter`] where none answers, [`Error::Device`] where it gives no device,
    /// [`Error::TuningFile`] where the file of [`Tuning::MeasuredIn`] cannot be read, [`Error::Argument`]
    /// for a [`GpuOptions::pipeline_cache`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn request(options: &GpuOptions) -> Result<Self> {
        pollster::block_on(Self::request_async(options))
    }

    /// [`Gpu::request`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn request_async(options: &GpuOptions) -> Result<Self> {
        Self::on_adapter(device::adapter(options).await?, options).await
    }

    /// The same for an engine that chooses: which adapter there is is looked up once a process, and what
    /// copies cost is measured once, unless `options` say no.
    pub(crate) async fn request_to_choose(options: &GpuOptions) -> Result<Self> {
        let made = Self::on_adapter(device::known_adapter(options).await?, options).await;
        let gpu = made.inspect_err(|_| device::forget_adapter(options))?;
        if !options.measures_costs() {
            return Ok(gpu);
        }
        match gpu.with_measured_costs_async().await {
            // What prepares tells of a file that cannot serve; here it is no reason to do without the device.
            Err(Error::TuningFile { .. }) => Ok(gpu),
            measured => measured,
        }
    }

    async fn on_adapter(adapter: wgpu::Adapter, options: &GpuOptions) -> Result<Self> {
        if options.wanted_cache().is_some() {
            let limit = "it belongs to a device that is there already; see Gpu::from_device_with";
            return Err(Error::argument("pipeline cache", "given", limit));
        }
        let info = adapter.get_info();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("channelwise.device"),
            // For `Prepared::run_into_timed`, textures to write, and arrays of the host without copies.
            required_features: adapter.features()
                & (wgpu::Features::TIMESTAMP_QUERY
                    | wgpu::Features::BGRA8UNORM_STORAGE
                    | device::shared_memory(&info)
                    | options.wanted_folder_feature()),
            required_limits: options.wanted_limits().unwrap_or_else(|| adapter.limits()),
            ..Default::default()
        };
        let (device, queue) =
            adapter.request_device(&descriptor).await.map_err(|error| Error::Device {
                adapter: info.name,
                reason: error.to_string(),
                source: ErrorSource::of(error),
            })?;
        let loss = Loss::listen(&device);
        Self::new(device, queue, loss, options)
    }

    /// Works on a device of the caller's. No callbacks are installed on it.
    ///
    /// # Errors
    /// [`Error::Device`] where the device's limits are below what any pass needs.
    pub fn from_device(device: Device, queue: Queue) -> Result<Self> {
        Self::from_device_with(device, queue, &GpuOptions::new())
    }

    /// The same, with those of the options that are about planning, compiling and waiting:
    /// [`GpuOptions::specialise_from`], [`GpuOptions::tuning`], [`GpuOptions::pipeline_cache`],
    /// [`GpuOptions::timeout`] and [`GpuOptions::polling`].
    ///
    /// # Errors
    /// The same, and [`Error::TuningFile`].
    pub fn from_device_with(device: Device, queue: Queue, options: &GpuOptions) -> Result<Self> {
        Self::new(device, queue, Loss::default(), options)
    }

    fn new(device: Device, queue: Queue, loss: Loss, options: &GpuOptions) -> Result<Self> {
        let info = device.adapter_info();
        let limits = options.specialised(device::limits(&info, &device));
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
                    source: None,
                });
            }
        }
        // Where a device does without, it has made none either.
        let caches = device.features().contains(wgpu::Features::PIPELINE_CACHE);
        let caches = Caches {
            given: options.wanted_cache().filter(|_| caches),
            #[cfg(not(target_arch = "wasm32"))]
            folder: match options.wanted_folder() {
                Some(folder) => program::Folder::open(folder, &info, &device)?,
                None => None,
            },
        };
        let context = Context::new(info, device, queue, loss, options);
        let gpu = Self {
            executor: Arc::new(Executor::new(context, caches)?),
            tuner: tuner.map(Arc::new),
            limits: Arc::new(limits),
            remembered: Arc::new(Lru::new(REMEMBERED)),
        };
        Ok(if gpu.shares_memory() { gpu.with_costs(DeviceCosts::of(gpu.limits())) } else { gpu })
    }

    /// The same device, whose work is cut into pieces of these sizes.
    #[doc(hidden)]
    #[must_use]
    pub fn with_cuts(&self, cuts: Cuts) -> Self {
        self.with_limits(GpuLimits { cuts, ..*self.limits })
    }

    /// The same device, planned for by these limits, and without the problems it remembers.
    fn with_limits(&self, limits: GpuLimits) -> Self {
        let remembered = Arc::new(Lru::new(REMEMBERED));
        Self { limits: Arc::new(limits), remembered, ..self.clone() }
    }

    /// Makes this happen at every wait from now on, or nothing any more: for tests.
    #[doc(hidden)]
    pub fn fail_waits(&self, fault: Option<Fault>) {
        self.context().faults.set(fault);
    }

    /// Makes this happen once, at the moment with this number of those to come: for tests.
    #[doc(hidden)]
    pub fn fail_at(&self, moment: usize, fault: Fault) {
        self.context().faults.fail_at(moment, fault);
    }

    /// The moments since then, at which the device could have failed: for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn met(&self) -> Vec<Moment> {
        self.context().faults.met()
    }

    /// Submissions that were made: for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn submissions(&self) -> u64 {
        self.executor.submissions.load(Ordering::Relaxed)
    }

    /// Writes what was compiled so far to the folder of [`GpuOptions::cache_dir`], if there is one; so does the
    /// last handle when it goes, which then tells nobody of a failure. Not in browsers.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be written.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save_pipelines(&self) -> Result<()> {
        self.executor.save()
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.context().device
    }

    /// Its queue.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.context().queue
    }

    /// The adapter it is on.
    #[must_use]
    pub fn adapter_info(&self) -> &AdapterInfo {
        &self.context().info
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
        self.context().pool_stats()
    }

    /// Lets go of the buffers that are kept for calls to come.
    ///
    /// ```no_run
    /// # fn example(gpu: &channelwise::Gpu) {
    /// gpu.trim();
    /// assert_eq!(gpu.pool_stats().free_bytes, 0);
    /// # }
    /// ```
    pub fn trim(&self) {
        self.context().trim();
    }

    /// Whether the host maps what the device computes on.
    fn shares_memory(&self) -> bool {
        let can = device::SHARED_MEMORY;
        let apart = self.limits.class == AdapterClass::Discrete || self.limits.cuts.staged;
        !apart && self.device().features().contains(can)
    }

    fn context(&self) -> &Context {
        &self.executor.context
    }

    /// Refuses a tensor that lies elsewhere. Devices themselves cannot be told apart: those of two
    /// instances may have equal handles, and wgpu panics where they are mixed.
    fn same_device<T>(&self, which: &'static str, tensor: &GpuTensor<T>) -> Result<()> {
        if self == tensor.gpu() {
            return Ok(());
        }
        let reason = "it was made with another `Gpu`, and this is no clone of that";
        Err(Error::Buffer { which, reason: reason.into() })
    }
}

/// Whether both are handles of one device, whatever they plan by.
impl PartialEq for Gpu {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.executor, &other.executor)
    }
}

impl Eq for Gpu {}

impl AsRef<Device> for Gpu {
    fn as_ref(&self) -> &Device {
        self.device()
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gpu: {}", describe(self.adapter_info()))
    }
}
