//! The limits of a device, and what drivers have beyond them.

use wgpu::AdapterInfo;

use super::adapter::class;
use crate::plan::{AdapterClass, Cuts, DeviceCosts, GpuLimits};

/// The limits of `device` that plans need.
pub(in crate::gpu) fn limits(info: &AdapterInfo, device: &wgpu::Device) -> GpuLimits {
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
        costs: written_down(info),
        cuts: Cuts::NONE,
    }
}

/// What moving data costs where the kind is no class of its own.
fn written_down(info: &AdapterInfo) -> Option<DeviceCosts> {
    // Metal tells of Apple's own GPUs that they are integrated, as of Intel's in older Macs.
    let apple = info.name.to_lowercase().contains("apple");
    (apple && class(info) == AdapterClass::Integrated).then_some(DeviceCosts::UNIFIED)
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
    fn apples_own_gpus_share_their_memory() {
        let (device, _) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let of = |name: &str, kind| {
            let mut info = device.adapter_info();
            (info.name, info.device_type) = (name.into(), kind);
            written_down(&info)
        };
        use wgpu::DeviceType::{DiscreteGpu, IntegratedGpu};
        assert_eq!(of("Apple M2 Pro", IntegratedGpu), Some(DeviceCosts::UNIFIED));
        assert_eq!(of("Intel(R) UHD Graphics 630", IntegratedGpu), None);
        assert_eq!(of("NVIDIA GeForce RTX 4060", DiscreteGpu), None);
    }
}
