//! What is asked for when a device is requested.

use std::path::PathBuf;
use std::time::Duration;

use wgpu::{Backends, PowerPreference};

use crate::plan::GpuLimits;

/// Which adapter [`Gpu::request`](crate::Gpu::request) takes.
///
/// What is not set comes from the environment: `WGPU_BACKEND` (`vulkan`, `metal`, `dx12`, `gl`, or
/// several with commas), `WGPU_ADAPTER_NAME` (a part of the name, in any case) and
/// `WGPU_POWER_PREF` (`high` or `low`).
///
/// ```
/// use channelwise::{Engine, Gpu, GpuOptions};
/// use std::time::Duration;
///
/// // A GPU, not one that the CPU plays; waits end after ten seconds.
/// let options = GpuOptions::new().hardware_only().timeout(Duration::from_secs(10));
/// let engine = Gpu::request(&options).map_or_else(|_| Engine::cpu(), Engine::from);
/// println!("{engine}");
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GpuOptions {
    pub(super) backends: Option<Backends>,
    pub(super) name: Option<String>,
    pub(super) power: Option<PowerPreference>,
    pub(super) hardware_only: bool,
    limits: Option<wgpu::Limits>,
    specialise_from: Option<u64>,
    tuning: Tuning,
    cache: Option<wgpu::PipelineCache>,
    folder: Option<PathBuf>,
    timeout: Option<Duration>,
    polling: Polling,
    /// Whether the costs written down for a class do.
    unmeasured: bool,
}

/// How a GPU's algorithm is chosen where none is asked for.
///
/// ```
/// use channelwise::{GpuOptions, Tuning};
///
/// // Measured once by the first start of a program, and kept in a file.
/// let options = GpuOptions::new().tuning(Tuning::MeasuredIn("tuning.json".into()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tuning {
    /// By the model's costs.
    #[default]
    Model,
    /// The cheapest by the model, up to three, run on the device when a problem is first prepared, for
    /// some milliseconds each; the fastest is taken. Remembered as long as the device.
    ///
    /// In browsers, where there is neither a clock nor a file here, the model decides all the same.
    Measured,
    /// The same, and remembered in this file, by adapter, driver and version of this crate; several
    /// programs may share it. What copies cost lies there too, where that is measured
    /// ([`Gpu::with_measured_costs`](crate::Gpu::with_measured_costs)). Where it cannot be written, preparing
    /// fails ([`Error::TuningFile`](crate::Error::TuningFile)).
    MeasuredIn(PathBuf),
}

/// Who sees to it that a device answers calls that do not block. Native devices answer only while somebody
/// polls them ([`wgpu::Device::poll`]); browsers poll theirs by themselves.
///
/// Whoever polls runs every callback of the device that has become due, those of the app too. With
/// [`Polling::OfOurOwn`] that is a thread of ours named `channelwise-poll`, and an async call, which looks once
/// at what is done already on the thread that polls its future; and with both it is a call that blocks, on its
/// own thread, and what measures, also in async calls: on a thread named `channelwise-prepare` where that is
/// done by preparing ([`Tuning::Measured`]), or else on the thread that polls the future
/// ([`Gpu::with_measured_costs_async`](crate::Gpu::with_measured_costs_async)).
///
/// Where a callback of the app panics, the panic comes out of the call that polled; where `channelwise-poll`
/// did, all that wait for it end in [`Error::Gpu`](crate::Error::Gpu), with the panic's text.
///
/// ```
/// use channelwise::{GpuOptions, Polling};
///
/// // For an app that polls its device in every frame: `Gpu::from_device_with(device, queue, &options)`.
/// let options = GpuOptions::new().polling(Polling::ByTheApp);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Polling {
    /// A thread of ours, which polls while an async call waits. There is one for each
    /// [`Gpu`](crate::Gpu) and its clones, from the first call that has to wait on; while none does it sleeps,
    /// and it ends with the last handle. It looks at the device and does not wait in it, so that wgpu's locks are
    /// free for an app that presents meanwhile.
    #[default]
    OfOurOwn,
    /// The app, which polls the device once a frame or more often. Async calls then only wait, and the thread
    /// looks at nothing but the time ([`GpuOptions::timeout`]). Calls that block and what measures poll all
    /// the same.
    ByTheApp,
}

/// How long a wait may take unless [`GpuOptions::timeout`] says otherwise.
#[cfg(not(target_arch = "wasm32"))]
const TIMEOUT: Duration = Duration::from_secs(120);

impl GpuOptions {
    /// The adapter the environment names, or else the best one; hardware before software.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks on these back ends only.
    #[must_use]
    pub fn backends(mut self, backends: Backends) -> Self {
        self.backends = Some(backends);
        self
    }

    /// Takes the first adapter whose name contains `part`, in any case.
    #[must_use]
    pub fn name(mut self, part: impl Into<String>) -> Self {
        self.name = Some(part.into());
        self
    }

    /// Prefers the fastest GPU or the one that saves power.
    #[must_use]
    pub fn power(mut self, power: PowerPreference) -> Self {
        self.power = Some(power);
        self
    }

    /// Leaves software adapters (llvmpipe, SwiftShader, WARP) out, unless one is asked for by name.
    #[must_use]
    pub fn hardware_only(mut self) -> Self {
        self.hardware_only = true;
        self
    }

    /// Asks for a device with these limits instead of all that the adapter has.
    #[must_use]
    pub fn limits(mut self, limits: wgpu::Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Makes sizes constants of shaders for problems of so many multiply-adds and more
    /// ([`GpuLimits::specialise_from`](crate::plan::GpuLimits::specialise_from)): 0 for the fastest
    /// calls, `u64::MAX` for the fastest first call of each shape.
    #[must_use]
    pub fn specialise_from(mut self, multiply_adds: u64) -> Self {
        self.specialise_from = Some(multiply_adds);
        self
    }

    /// Chooses algorithms by running them instead of by the model.
    ///
    /// ```no_run
    /// use channelwise::{Gpu, GpuOptions, Tuning};
    /// # fn example() -> channelwise::Result<()> {
    /// let options = GpuOptions::new().tuning(Tuning::MeasuredIn("channelwise.tuning".into()));
    /// let gpu = Gpu::request(&options)?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    /// Compiles by way of this cache, where the device has the feature `PIPELINE_CACHE`; without it this is
    /// ignored. A cache belongs to a device, so it goes with [`Gpu::from_device_with`](crate::Gpu::from_device_with) only.
    ///
    /// ```no_run
    /// use channelwise::{Gpu, GpuOptions, wgpu};
    /// # fn example(
    /// #     device: wgpu::Device, queue: wgpu::Queue, cache: wgpu::PipelineCache,
    /// # ) -> channelwise::Result<()> {
    /// let options = GpuOptions::new().pipeline_cache(Some(cache.clone()));
    /// let gpu = Gpu::from_device_with(device, queue, &options)?;
    /// // ... and when the app ends, `cache.get_data()` is what to keep.
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn pipeline_cache(mut self, cache: Option<wgpu::PipelineCache>) -> Self {
        self.cache = cache;
        self
    }

    /// Keeps compiled pipelines in this folder, a file for each adapter and driver, so that the first call of
    /// the next run compiles less: where the back end lets us (Vulkan; the others keep such caches by
    /// themselves) and the device has the feature `PIPELINE_CACHE`, which one of our own asks for then. It is
    /// written by [`Gpu::save_pipelines`](crate::Gpu::save_pipelines) and when the last handle goes; a file
    /// that is not whole is written anew. Drivers trust what they read there: it should be a folder that
    /// others cannot write. Without effect in browsers and beside [`GpuOptions::pipeline_cache`].
    ///
    /// ```no_run
    /// use channelwise::{Gpu, GpuOptions};
    /// # fn example(home: std::path::PathBuf) -> channelwise::Result<()> {
    /// let gpu = Gpu::request(&GpuOptions::new().cache_dir(home.join(".cache/my-app")))?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn cache_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Gives up waiting for the device after this long, with [`Error::Timeout`](crate::Error::Timeout); two
    /// minutes if not set. Work of the app that was submitted before ours counts. In browsers nothing is
    /// given up.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use channelwise::{Gpu, GpuOptions};
    /// # fn example() -> channelwise::Result<()> {
    /// let gpu = Gpu::request(&GpuOptions::new().timeout(Duration::from_secs(5)))?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn timeout(mut self, longest: Duration) -> Self {
        self.timeout = Some(longest);
        self
    }

    /// Who polls the device while an async call waits.
    ///
    /// ```no_run
    /// use channelwise::{Gpu, GpuOptions, Polling, wgpu};
    /// # fn example(device: wgpu::Device, queue: wgpu::Queue) -> channelwise::Result<()> {
    /// // The app polls its device in every frame.
    /// let options = GpuOptions::new().polling(Polling::ByTheApp);
    /// let gpu = Gpu::from_device_with(device, queue, &options)?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn polling(mut self, polling: Polling) -> Self {
        self.polling = polling;
        self
    }

    /// Whether [`Engine::auto_with`](crate::Engine::auto_with) measures what copies cost on the device, once a
    /// process, for at most 20 milliseconds; without it, the costs of its class do. It does unless told
    /// otherwise. [`Gpu::request`](crate::Gpu::request) never does.
    ///
    /// ```
    /// use channelwise::{Engine, GpuOptions};
    /// let engine = Engine::auto_with(&GpuOptions::new().measure_costs(false));
    /// println!("{engine}");
    /// ```
    #[must_use]
    pub fn measure_costs(mut self, measure: bool) -> Self {
        self.unmeasured = !measure;
        self
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(in crate::gpu) fn wanted_timeout(&self) -> Duration {
        self.timeout.unwrap_or(TIMEOUT)
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(in crate::gpu) fn wanted_polling(&self) -> Polling {
        self.polling
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(in crate::gpu) fn wanted_folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }

    /// What a device needs to have for it.
    pub(in crate::gpu) fn wanted_folder_feature(&self) -> wgpu::Features {
        match self.folder {
            Some(_) => wgpu::Features::PIPELINE_CACHE,
            None => wgpu::Features::empty(),
        }
    }

    pub(in crate::gpu) fn wanted_cache(&self) -> Option<wgpu::PipelineCache> {
        self.cache.clone()
    }

    pub(in crate::gpu) fn wanted_tuning(&self) -> &Tuning {
        &self.tuning
    }

    pub(in crate::gpu) fn specialised(&self, limits: GpuLimits) -> GpuLimits {
        let specialise_from = self.specialise_from.unwrap_or(limits.specialise_from);
        GpuLimits { specialise_from, ..limits }
    }

    pub(in crate::gpu) fn wanted_limits(&self) -> Option<wgpu::Limits> {
        self.limits.clone()
    }

    /// Whether what copies cost is to be measured.
    pub(in crate::gpu) fn measures_costs(&self) -> bool {
        !self.unmeasured
    }

    /// What decides which adapter is taken.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn key(&self) -> String {
        let options = self.or_env();
        let Self { backends, name, power, hardware_only, .. } = options;
        format!("{backends:?} {name:?} {power:?} {hardware_only}")
    }

    /// Whether any hardware will do, and nothing else.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn wants_hardware(&self) -> bool {
        self.hardware_only && self.or_env().name.is_none()
    }

    pub(super) fn or_env(&self) -> Self {
        let var = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
        Self {
            backends: self.backends.or_else(Backends::from_env),
            name: self.name.clone().or_else(|| var("WGPU_ADAPTER_NAME")),
            power: self.power.or_else(PowerPreference::from_env),
            ..self.clone()
        }
    }

    pub(super) fn describe(&self) -> String {
        let mut text = match self.backends {
            Some(backends) => format!("back ends {backends:?}"),
            None => "any back end".into(),
        };
        if let Some(name) = &self.name {
            text += &format!(", name containing `{name}`");
        } else if self.hardware_only {
            text += ", software adapters left out";
        }
        text
    }
}
