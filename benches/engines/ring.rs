//! Pairs of inputs and outputs on a GPU that take turns, so that no cache holds the next one.

use std::fs;

use channelwise::{Element, Gpu, GpuTensor, Layout, Shape};

use crate::Failure;

/// Pairs at most.
const MOST: u64 = 64;

#[derive(Debug)]
pub(crate) struct Ring<T: Element> {
    pub(crate) from: Vec<GpuTensor<T>>,
    pub(crate) to: Vec<GpuTensor<T>>,
}

impl<T: Element> Ring<T> {
    /// So many pairs that they exceed the last cache twice; of a pair that does so alone, one. Every `from`
    /// is `data`, every `to` is what no answer is.
    pub(crate) fn new(gpu: &Gpu, data: &[T], from: Shape, to: Shape) -> Result<Self, Failure> {
        let out = to.elements().unwrap_or(0);
        let mut wrong = vec![T::default(); out];
        // NaN of floats.
        bytemuck::cast_slice_mut::<T, u8>(&mut wrong).fill(0xFF);
        let count = pairs(gpu, size_of_val(data) + size_of_val(&*wrong));
        let fill = |data: &[T], shape: Shape| {
            (0..count).map(|_| GpuTensor::upload(gpu, data, shape)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { from: fill(data, from)?, to: fill(&wrong, to)? })
    }

    pub(crate) fn with_layout(self, layout: Layout) -> Self {
        let set = |all: Vec<GpuTensor<T>>| all.into_iter().map(|t| t.with_layout(layout)).collect();
        Self { from: set(self.from), to: set(self.to) }
    }

    pub(crate) fn len(&self) -> usize {
        self.from.len()
    }
}

/// Of so many bytes each.
pub(crate) fn pairs(gpu: &Gpu, bytes: usize) -> usize {
    let wanted = (2 * last_cache(gpu)).div_ceil(bytes.max(1) as u64);
    wanted.clamp(1, MOST) as usize
}

/// Bytes. wgpu does not tell those of a GPU: no less than any of today has (H100 50 MiB, RTX 4090 72, RX
/// 7900 XTX 96, RTX 5090 96, M2 Ultra 96). A GPU that is played has the CPU's.
fn last_cache(gpu: &Gpu) -> u64 {
    if gpu.is_software() { of_cpu().unwrap_or(32 << 20) } else { 128 << 20 }
}

/// As Linux tells; None elsewhere.
fn of_cpu() -> Option<u64> {
    let folder = "/sys/devices/system/cpu/cpu0/cache";
    let sizes = fs::read_dir(folder).ok()?.flatten().filter_map(|index| {
        let text = fs::read_to_string(index.path().join("size")).ok()?;
        Some(text.trim().strip_suffix('K')?.parse::<u64>().ok()? << 10)
    });
    sizes.max()
}
