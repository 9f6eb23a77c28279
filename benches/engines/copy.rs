//! A copy of as many bytes as a row moves: half of them read, half written.

use std::hint::black_box;

use channelwise::Gpu;
use channelwise::wgpu::{BufferDescriptor, BufferUsages, PollType};

use crate::Failure;
use crate::run::{median, repeat};

/// Seconds a copy is repeated for.
const SECONDS: f64 = 0.3;

/// Milliseconds on so many threads.
pub(crate) fn on_host(bytes: usize, threads: usize) -> Result<f64, Failure> {
    let from = vec![1u8; (bytes / 2).max(1)];
    let mut to = vec![2u8; from.len()];
    let part = from.len().div_ceil(threads.max(1));
    let times = repeat(SECONDS, || {
        if threads < 2 {
            to.copy_from_slice(black_box(&from));
        } else {
            std::thread::scope(|scope| {
                for (to, from) in to.chunks_mut(part).zip(from.chunks(part)) {
                    scope.spawn(move || to.copy_from_slice(black_box(from)));
                }
            });
        }
        black_box(&to);
        Ok(())
    })?;
    Ok(median(&times) * 1e3)
}

/// Milliseconds on the device, by its own copy.
pub(crate) fn on_device(gpu: &Gpu, bytes: usize) -> Result<f64, Failure> {
    let size = (bytes as u64 / 2).next_multiple_of(4);
    let [from, to] = [BufferUsages::COPY_SRC, BufferUsages::COPY_DST].map(|usage| {
        gpu.device().create_buffer(&BufferDescriptor {
            label: Some("bench"),
            size,
            usage,
            mapped_at_creation: false,
        })
    });
    let times = repeat(SECONDS, || {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&from, 0, &to, 0, size);
        gpu.queue().submit([encoder.finish()]);
        gpu.device().poll(PollType::wait_indefinitely())?;
        Ok(())
    })?;
    Ok(median(&times) * 1e3)
}
