//! Which adapter an engine that chooses gets: looked up once a process, since listing adapters loads every
//! driver there is.

use wgpu::Adapter;

use super::adapter::adapter as found;
use super::options::GpuOptions;
use crate::Result;

/// `adapter` of `adapter.rs`, remembered by all that decides it.
#[cfg(not(target_arch = "wasm32"))]
pub(in crate::gpu) async fn adapter(options: &GpuOptions) -> Result<Adapter> {
    let key = native::key(options);
    if let Some(answer) = native::lock().iter().find(|(of, _)| *of == key) {
        return answer.1.clone();
    }
    let answer = match native::refusal(options) {
        Some(error) => Err(error),
        None => found(options).await,
    };
    let mut all = native::lock();
    if all.len() == native::MOST {
        drop(all.remove(0));
    }
    all.push((key, answer.clone()));
    answer
}

/// In browsers an adapter gives one device.
#[cfg(target_arch = "wasm32")]
pub(in crate::gpu) async fn adapter(options: &GpuOptions) -> Result<Adapter> {
    found(options).await
}

/// Looks anew at the next call: what was remembered gave no device.
pub(in crate::gpu) fn forget(options: &GpuOptions) {
    #[cfg(not(target_arch = "wasm32"))]
    {
        let key = native::key(options);
        native::lock().retain(|(of, _)| *of != key);
    }
    #[cfg(target_arch = "wasm32")]
    let _ = options;
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use wgpu::Adapter;

    use super::super::options::GpuOptions;
    use crate::{Error, Result};

    /// Answers that are remembered: there are few ways to ask.
    pub const MOST: usize = 16;

    type Answers = Vec<(String, Result<Adapter>)>;

    static ANSWERS: Mutex<Answers> = Mutex::new(Vec::new());

    pub fn lock() -> MutexGuard<'static, Answers> {
        ANSWERS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The options, and the environment of wgpu, the Vulkan loader and Mesa.
    pub fn key(options: &GpuOptions) -> String {
        let ours = |name: &str| {
            ["WGPU_", "VK_", "MESA_", "LIBGL_", "DRI_PRIME", "DISPLAY", "WAYLAND_DISPLAY"]
                .iter()
                .any(|start| name.starts_with(start))
        };
        let mut all: Vec<_> = std::env::vars_os()
            .filter(|(name, _)| name.to_str().is_some_and(ours))
            .map(|(name, value)| format!("{name:?}={value:?}"))
            .collect();
        all.sort();
        format!("{} {}", options.key(), all.join(" "))
    }

    /// The error where it is plain that there is no hardware, without loading a driver. That takes a tenth
    /// of a second and may print what is not ours: without `XDG_RUNTIME_DIR` Mesa's layer that picks a
    /// device has libwayland complain.
    pub fn refusal(options: &GpuOptions) -> Option<Error> {
        (options.wants_hardware() && cfg!(target_os = "linux") && has_no_device("/dev")).then(
            || Error::NoAdapter {
                wanted: options.describe(),
                found: "no adapters were listed, since /dev holds nothing that could be a GPU"
                    .into(),
            },
        )
    }

    /// Whether a folder of devices holds those alone that are no GPU, as in a container without one. A
    /// driver of hardware opens a device, under a name of its maker's; so what is not known here may be one.
    pub fn has_no_device(folder: &str) -> bool {
        let Ok(all) = std::fs::read_dir(folder) else { return false };
        all.into_iter().all(|entry| {
            let name = entry.map(|entry| entry.file_name());
            name.is_ok_and(|name| name.to_str().is_some_and(is_no_gpu))
        })
    }

    fn is_no_gpu(name: &str) -> bool {
        let digit = |c: char| c.is_ascii_digit();
        let stem = name.trim_end_matches(digit);
        // Disks and their parts: `sda1`, `vdb`, `nvme0n1p2`.
        let lettered = ["sd", "vd", "xvd"].iter().any(|start| {
            let letters = stem.strip_prefix(start).unwrap_or_default();
            matches!(letters.len(), 1 | 2) && letters.bytes().all(|c| c.is_ascii_lowercase())
        });
        let numbered = ["nvme", "vport"].iter();
        let numbered = numbered.filter_map(|start| name.strip_prefix(start));
        let known = |known| known == name || known == stem;
        lettered
            || numbered.into_iter().any(|rest| rest.starts_with(digit))
            || NAMES.split(' ').any(known)
    }

    /// Devices of Linux itself (admin-guide/devices.txt in its sources) and of virtual machines, without
    /// the numbers behind them.
    const NAMES: &str = "autofs block bsg btrfs-control bus char console core cpu cpu_dma_latency cuse disk \
        dm- fd full fuse hpet hugepages hvc hwrng initctl input kmsg kvm log loop loop-control lp mapper \
        mcelog md mem mqueue nbd net null nvram port ppp psaux ptmx ptp pts ram random raw rfkill rtc sg shm \
        snapshot snd sr stderr stdin stdout tpm tpmrm tty ttyACM ttyAMA ttyS ttyUSB uhid uinput urandom \
        userfaultfd vcs vcsa vcsu vga_arbiter vhost-net vhost-vsock vsock watchdog zero zram";

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_could_be_a_gpu_is_looked_at() {
            for name in [
                "null",
                "tty63",
                "ttyS0",
                "loop7",
                "vda",
                "sda1",
                "nvme0n1p2",
                "zram0",
                "dm-0",
                "vport1p2",
            ] {
                assert!(is_no_gpu(name), "{name}");
            }
            for name in [
                "dri",
                "nvidia0",
                "nvidiactl",
                "dxg",
                "kfd",
                "mali0",
                "kgsl-3d0",
                "nvmap",
                "nvhost-gpu",
                "pvr_sync",
                "galcore",
                "goldfish_pipe",
                "mtgpu.0",
                "accel",
                "sdgpu0",
                "nvme-gpu",
                "something new",
            ] {
                assert!(!is_no_gpu(name), "{name}");
            }
            assert!(!has_no_device("/no such folder"));
        }
    }
}
