//! Adapters: which there are, and which one is taken.

use wgpu::{Adapter, AdapterInfo, Backends, DeviceType, PowerPreference};

use super::options::GpuOptions;
use crate::plan::AdapterClass;
use crate::{Error, Result};

/// Every adapter that can run our shaders, with the options of the environment. Not in browsers; see
/// [`adapters_async`].
///
/// ```
/// for adapter in channelwise::adapters() {
///     println!("{} ({:?}, {:?})", adapter.name, adapter.device_type, adapter.backend);
/// }
/// ```
#[cfg(not(target_arch = "wasm32"))]
#[must_use]
pub fn adapters() -> Vec<AdapterInfo> {
    pollster::block_on(adapters_async())
}

/// [`adapters`] without blocking.
///
/// ```
/// # pollster::block_on(async {
/// let names: Vec<_> = channelwise::adapters_async().await.into_iter().map(|a| a.name).collect();
/// println!("{names:?}");
/// # });
/// ```
pub async fn adapters_async() -> Vec<AdapterInfo> {
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
pub(in crate::gpu) async fn adapter(options: &GpuOptions) -> Result<Adapter> {
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
