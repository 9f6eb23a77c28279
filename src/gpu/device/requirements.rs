//! What apps that make their own device should ask for.

use wgpu::{Adapter, AdapterInfo, Features, Limits};

use super::adapter::class;
use crate::plan::AdapterClass;

/// Buffers that shaders use and the host maps: where the memory is one, nothing is copied on the device.
pub(in crate::gpu) const SHARED_MEMORY: Features = Features::MAPPABLE_PRIMARY_BUFFERS;

/// That, where it is of use: behind a bus shaders would go through it.
pub(in crate::gpu) fn shared_memory(info: &AdapterInfo) -> Features {
    if class(info) == AdapterClass::Discrete { Features::empty() } else { SHARED_MEMORY }
}

/// The features a device must have for [`Gpu::from_device`](crate::Gpu::from_device): none.
///
/// ```
/// assert!(channelwise::required_features().is_empty());
/// ```
#[must_use]
pub fn required_features() -> Features {
    Features::empty()
}

/// The features of `adapter` that are made use of where a device has them: `TIMESTAMP_QUERY` for
/// [`Timings::gpu`](crate::Timings::gpu), `PIPELINE_CACHE` for
/// [`GpuOptions::pipeline_cache`](crate::GpuOptions::pipeline_cache), `BGRA8UNORM_STORAGE` for filters
/// into textures of that format, and on GPUs that share the host's memory `MAPPABLE_PRIMARY_BUFFERS`, with
/// which arrays of the host are copied once each way and not twice. Without them these go without, and all else is the same. f16 tensors need
/// no feature.
///
/// ```no_run
/// # async fn example(adapter: channelwise::wgpu::Adapter) -> Result<(), Box<dyn std::error::Error>> {
/// use channelwise::{Gpu, wgpu};
/// let descriptor = wgpu::DeviceDescriptor {
///     required_features: channelwise::recommended_features(&adapter), // and those of the app
///     required_limits: channelwise::recommended_limits(&adapter),
///     ..Default::default()
/// };
/// let (device, queue) = adapter.request_device(&descriptor).await?;
/// let gpu = Gpu::from_device(device, queue)?;
/// # Ok(()) }
/// ```
#[must_use]
pub fn recommended_features(adapter: &Adapter) -> Features {
    let used = Features::TIMESTAMP_QUERY | Features::PIPELINE_CACHE | Features::BGRA8UNORM_STORAGE;
    adapter.features() & (used | shared_memory(&adapter.get_info()))
}

/// WebGPU's default limits, or what `adapter` has where that is less, with those that
/// [`Gpu`](crate::Gpu) can use raised to all that the adapter has: how much can be bound and allocated, and
/// the sizes of workgroups and grids. For what an app needs beyond,
/// [`Limits::or_better_values_from`] takes the better of two.
///
/// A device with less works too, in more bands or with smaller workgroups;
/// [`Gpu::from_device`](crate::Gpu::from_device) says so where it is too little.
///
/// ```
/// use channelwise::{recommended_limits, wgpu};
///
/// /// An app that binds more textures than we do.
/// fn limits(adapter: &wgpu::Adapter) -> wgpu::Limits {
///     let own = wgpu::Limits { max_sampled_textures_per_shader_stage: 32, ..Default::default() };
///     recommended_limits(adapter).or_better_values_from(&own)
/// }
/// # let _ = limits;
/// ```
#[must_use]
pub fn recommended_limits(adapter: &Adapter) -> Limits {
    let has = adapter.limits();
    Limits {
        max_buffer_size: has.max_buffer_size,
        max_storage_buffer_binding_size: has.max_storage_buffer_binding_size,
        min_storage_buffer_offset_alignment: has.min_storage_buffer_offset_alignment,
        max_compute_workgroup_storage_size: has.max_compute_workgroup_storage_size,
        max_compute_invocations_per_workgroup: has.max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x: has.max_compute_workgroup_size_x,
        max_compute_workgroup_size_y: has.max_compute_workgroup_size_y,
        max_compute_workgroup_size_z: has.max_compute_workgroup_size_z,
        max_compute_workgroups_per_dimension: has.max_compute_workgroups_per_dimension,
        ..Limits::defaults().or_worse_values_from(&has)
    }
}
