//! Adapters and devices: which one is taken, what it can do, and how its failures become errors.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use wgpu::{Adapter, AdapterInfo, Backends, DeviceType, ErrorFilter, PowerPreference};

use super::tuning::Tuning;
use crate::plan::{AdapterClass, Cuts, GpuLimits};
use crate::{Error, Result};

/// Which adapter [`Gpu::request`](super::Gpu::request) takes.
///
/// What is not set comes from the environment: `WGPU_BACKEND` (`vulkan`, `metal`, `dx12`, `gl`, or
/// several with commas), `WGPU_ADAPTER_NAME` (a part of the name, in any case) and
/// `WGPU_POWER_PREF` (`high` or `low`).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GpuOptions {
    backends: Option<Backends>,
    name: Option<String>,
    power: Option<PowerPreference>,
    hardware_only: bool,
    limits: Option<wgpu::Limits>,
    specialise_from: Option<u64>,
    tuning: Tuning,
    cache: Option<wgpu::PipelineCache>,
    /// Whether the costs written down for a class do.
    pub(super) unmeasured: bool,
}

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
    /// # async fn example() -> channelwise::Result<()> {
    /// let options = GpuOptions::new().tuning(Tuning::MeasuredIn("channelwise.tuning".into()));
    /// let gpu = Gpu::request(&options).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    /// Compiles by way of this cache, where the device has the feature `PIPELINE_CACHE`; without it this is
    /// ignored. A cache belongs to a device, so it goes with [`Gpu::from_device_with`](super::Gpu::from_device_with) only.
    ///
    /// ```no_run
    /// use channelwise::{Gpu, GpuOptions, wgpu};
    /// # fn example(
    /// #     info: wgpu::AdapterInfo, device: wgpu::Device, queue: wgpu::Queue, cache: wgpu::PipelineCache,
    /// # ) -> channelwise::Result<()> {
    /// let options = GpuOptions::new().pipeline_cache(Some(cache.clone()));
    /// let gpu = Gpu::from_device_with(info, device, queue, &options)?;
    /// // ... and when the app ends, `cache.get_data()` is what to keep.
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn pipeline_cache(mut self, cache: Option<wgpu::PipelineCache>) -> Self {
        self.cache = cache;
        self
    }

    pub(super) fn wanted_cache(&self) -> Option<wgpu::PipelineCache> {
        self.cache.clone()
    }

    pub(super) fn wanted_tuning(&self) -> &Tuning {
        &self.tuning
    }

    pub(super) fn specialised(&self, limits: GpuLimits) -> GpuLimits {
        let specialise_from = self.specialise_from.unwrap_or(limits.specialise_from);
        GpuLimits { specialise_from, ..limits }
    }

    pub(super) fn wanted_limits(&self) -> Option<wgpu::Limits> {
        self.limits.clone()
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

    fn or_env(&self) -> Self {
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

/// Every adapter that can run our shaders, with the options of the environment.
pub async fn adapters() -> Vec<AdapterInfo> {
    let options = GpuOptions::new().or_env();
    let all = list(&options).await;
    all.iter().map(Adapter::get_info).collect()
}

async fn list(options: &GpuOptions) -> Vec<Adapter> {
    let backends = options.backends.unwrap_or(Backends::all());
    // GL is looked at where nothing else answers: it shows the same GPUs once more, and starting
    // it without a display prints errors.
    let first = list_on(backends - Backends::GL, options).await;
    if first.is_empty() && backends.contains(Backends::GL) {
        return list_on(Backends::GL, options).await;
    }
    first
}

async fn list_on(backends: Backends, options: &GpuOptions) -> Vec<Adapter> {
    // With no back end compiled in, making an instance would panic.
    if (wgpu::Instance::enabled_backend_features() & backends).is_empty() {
        return Vec::new();
    }
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.backends = backends;
    let instance = wgpu::util::new_instance_with_webgpu_detection(descriptor).await;
    let mut all = instance.enumerate_adapters(backends).await;
    if all.is_empty() {
        // Browsers do not list adapters.
        let wanted = wgpu::RequestAdapterOptions {
            power_preference: options.power.unwrap_or_default(),
            ..Default::default()
        };
        all.extend(instance.request_adapter(&wanted).await);
    }
    all.retain(|adapter| {
        let computes = wgpu::DownlevelFlags::COMPUTE_SHADERS;
        adapter.get_downlevel_capabilities().flags.contains(computes)
            && adapter.limits().max_storage_buffers_per_shader_stage >= 3
    });
    all
}

/// The adapter that `options` and the environment ask for.
pub(super) async fn adapter(options: &GpuOptions) -> Result<Adapter> {
    let options = options.or_env();
    let mut all = list(&options).await;
    let found =
        all.iter().map(|adapter| describe(&adapter.get_info())).collect::<Vec<_>>().join("; ");
    match &options.name {
        Some(part) => {
            let part = part.to_lowercase();
            all.retain(|adapter| adapter.get_info().name.to_lowercase().contains(&part));
        }
        None if options.hardware_only => all.retain(|adapter| !is_software(&adapter.get_info())),
        None => {}
    }
    // Stable: among equals wgpu's own order holds.
    all.sort_by_key(|adapter| rank(&adapter.get_info(), options.power));
    all.into_iter().next().ok_or_else(|| Error::NoAdapter {
        wanted: options.describe(),
        found: if found.is_empty() { "none".into() } else { found },
    })
}

/// Name, kind, back end and driver in one line.
pub(crate) fn describe(info: &AdapterInfo) -> String {
    // Browsers often give no name.
    let name = if info.name.is_empty() { "unnamed" } else { &info.name };
    let mut text = format!("{name} ({}, {})", class(info), info.backend);
    let driver = format!("{} {}", info.driver, info.driver_info);
    if !driver.trim().is_empty() {
        text += &format!(", {}", driver.trim());
    }
    text
}

/// Whether the adapter is a GPU played by the CPU.
pub(crate) fn is_software(info: &AdapterInfo) -> bool {
    let name = info.name.to_lowercase();
    info.device_type == DeviceType::Cpu
        || ["llvmpipe", "softpipe", "swiftshader", "basic render"]
            .iter()
            .any(|known| name.contains(known))
}

pub(crate) fn class(info: &AdapterInfo) -> AdapterClass {
    if is_software(info) {
        return AdapterClass::Software;
    }
    match info.device_type {
        DeviceType::DiscreteGpu => AdapterClass::Discrete,
        DeviceType::IntegratedGpu => AdapterClass::Integrated,
        DeviceType::VirtualGpu | DeviceType::Other | DeviceType::Cpu => AdapterClass::Unknown,
    }
}

/// Smaller is better.
fn rank(info: &AdapterInfo, power: Option<PowerPreference>) -> (u8, u8) {
    let saving = power == Some(PowerPreference::LowPower);
    let kind = match class(info) {
        AdapterClass::Discrete => u8::from(saving),
        AdapterClass::Integrated => u8::from(!saving),
        AdapterClass::Unknown => 2,
        AdapterClass::Software => 3,
    };
    // The same GPU often answers through GL too.
    (kind, u8::from(info.backend == wgpu::Backend::Gl))
}

/// The limits of `device` that plans need.
pub(super) fn limits(info: &AdapterInfo, device: &wgpu::Device) -> GpuLimits {
    let limits = device.limits();
    GpuLimits {
        class: class(info),
        max_binding: limits.max_storage_buffer_binding_size,
        max_buffer: limits.max_buffer_size,
        max_workgroups: limits.max_compute_workgroups_per_dimension,
        max_invocations: limits
            .max_compute_invocations_per_workgroup
            .min(limits.max_compute_workgroup_size_x),
        max_workgroup_memory: limits.max_compute_workgroup_storage_size,
        offset_alignment: limits.min_storage_buffer_offset_alignment,
        specialise_from: GpuLimits::SPECIALISE_FROM,
        max_iterations: max_iterations(info),
        costs: None,
        cuts: Cuts::NONE,
    }
}

/// Mesa's llvmpipe ended an invocation after 65 535 loop iterations in all, whatever was left to do
/// (`LP_MAX_TGSI_LOOP_ITERATIONS` in gallivm/lp_bld_limits.h,
/// <https://gitlab.freedesktop.org/mesa/mesa>). Seen with 22.3, and no longer with 26.1; the
/// versions between were not tried and are taken to do it.
fn max_iterations(info: &AdapterInfo) -> u64 {
    let driver = format!("{} {}", info.driver, info.driver_info);
    let version = driver.split_once("Mesa ").and_then(|(_, after)| {
        let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<u32>().ok()
    });
    match version {
        Some(version) if version < 26 && info.name.contains("llvmpipe") => 65_535,
        _ => u64::MAX,
    }
}

/// Why a device was lost, where we have been told.
#[derive(Clone, Debug, Default)]
pub(super) struct Loss(Arc<Mutex<Option<String>>>);

impl Loss {
    /// Listens on a device of our own. Apps have one slot for these callbacks, so a borrowed
    /// device's are left alone, and its loss is seen from failing calls.
    pub fn listen(device: &wgpu::Device) -> Self {
        let loss = Self::default();
        let told = loss.clone();
        device.set_device_lost_callback(move |reason, message| {
            let text = if message.is_empty() { format!("{reason:?}") } else { message };
            *told.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        });
        // Errors outside of our scopes come from a lost device; the default handler panics.
        let told = loss.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let mut told = told.0.lock().unwrap_or_else(PoisonError::into_inner);
            told.get_or_insert_with(|| error.to_string());
        }));
        loss
    }

    pub fn reason(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The outcome of wgpu calls made inside error scopes. The scopes are closed already; on native
/// their answers are there at once, in browsers they come later.
pub(super) struct Checked<R> {
    value: R,
    doing: &'static str,
    device: wgpu::Device,
    loss: Loss,
    errors: Vec<std::pin::Pin<Box<dyn ErrorFuture>>>,
}

/// What closing a scope gives: `Send` except on wasm, like wgpu's own.
pub(super) trait ErrorFuture:
    Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend
{
}
impl<F: Future<Output = Option<wgpu::Error>> + wgpu::WasmNotSend> ErrorFuture for F {}

/// Calls `work` so that its validation, memory and internal errors are caught.
pub(super) fn checked<R>(
    device: &wgpu::Device,
    loss: &Loss,
    doing: &'static str,
    work: impl FnOnce() -> R,
) -> Checked<R> {
    let memory = device.push_error_scope(ErrorFilter::OutOfMemory);
    let internal = device.push_error_scope(ErrorFilter::Internal);
    let validation = device.push_error_scope(ErrorFilter::Validation);
    let value = work();
    // Scopes are a stack.
    let validation = validation.pop();
    let internal = internal.pop();
    let memory = memory.pop();
    Checked {
        value,
        doing,
        device: device.clone(),
        loss: loss.clone(),
        errors: vec![Box::pin(memory), Box::pin(internal), Box::pin(validation)],
    }
}

impl<R> Checked<R> {
    /// The value, or the first error.
    pub async fn done(self) -> Result<R> {
        for error in self.errors {
            if let Some(error) = error.await {
                return Err(convert(error, self.doing, &self.device, &self.loss));
            }
        }
        Ok(self.value)
    }

    /// The same where nothing can be awaited: in browsers, where the answer comes later, it counts
    /// as success.
    pub fn now(self) -> Result<R> {
        let mut context = Context::from_waker(Waker::noop());
        for mut error in self.errors {
            if let Poll::Ready(Some(error)) = error.as_mut().poll(&mut context) {
                return Err(convert(error, self.doing, &self.device, &self.loss));
            }
        }
        Ok(self.value)
    }
}

fn convert(error: wgpu::Error, doing: &'static str, device: &wgpu::Device, loss: &Loss) -> Error {
    let reason = loss.reason();
    if reason.is_some() || !answers(device) {
        return Error::DeviceLost { doing, reason: reason.unwrap_or_else(|| error.to_string()) };
    }
    match error {
        wgpu::Error::OutOfMemory { .. } => {
            Error::OutOfMemory { place: "device", what: doing, bytes: 0 }
        }
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            Error::Gpu { doing, message: description }
        }
    }
}

/// Whether a device is still there. A lost one reports no errors and makes invalid objects, and
/// only a borrowed one's owner is told; so a small buffer is made and looked at.
fn answers(device: &wgpu::Device) -> bool {
    let scopes =
        [ErrorFilter::OutOfMemory, ErrorFilter::Validation].map(|f| device.push_error_scope(f));
    let buffer = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("channelwise.probe"),
        size: 4,
        usage: wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: true,
    });
    let answers = buffer.get_mapped_range_mut(..).is_ok();
    for scope in scopes.into_iter().rev() {
        drop(scope.pop());
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_llvmpipe_counts_iterations() {
        let (device, _) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let limit = |name: &str, driver: &str, driver_info: &str| {
            let mut info = device.adapter_info();
            info.name = name.into();
            (info.driver, info.driver_info) = (driver.into(), driver_info.into());
            max_iterations(&info)
        };
        let name = "llvmpipe (LLVM 15.0.6, 256 bits)";
        assert_eq!(limit(name, "llvmpipe", "Mesa 22.3.6 (LLVM 15.0.6)"), 65_535);
        assert_eq!(limit(name, "", "4.5 (Core Profile) Mesa 22.3.6"), 65_535);
        assert_eq!(limit(name, "llvmpipe", "Mesa 26.1.6-1 (LLVM 19.1.7)"), u64::MAX);
        assert_eq!(limit("AMD Radeon RX 6800 (RADV NAVI21)", "radv", "Mesa 22.3.6"), u64::MAX);
    }

    #[test]
    fn errors_of_the_device_keep_their_kind() {
        let (device, _) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let source = || "told so".into();
        let memory = wgpu::Error::OutOfMemory { source: source() };
        let error = convert(memory, "making room", &device, &Loss::default());
        assert_eq!(error, Error::OutOfMemory { place: "device", what: "making room", bytes: 0 });
        let invalid = || wgpu::Error::Validation { source: source(), description: "bad".into() };
        let error = convert(invalid(), "binding", &device, &Loss::default());
        assert_eq!(error, Error::Gpu { doing: "binding", message: "bad".into() });

        let loss = Loss::default();
        *loss.0.lock().unwrap() = Some("driver reset".into());
        let error = convert(invalid(), "binding", &device, &loss);
        assert_eq!(error, Error::DeviceLost { doing: "binding", reason: "driver reset".into() });
        device.destroy();
        let error = convert(invalid(), "binding", &device, &Loss::default());
        assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
    }
}
