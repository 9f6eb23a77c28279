//! Memory of a long stream, alone in its process: other tests would be counted too.

mod common;

use channelwise::{Border, Conv2d, Gpu, GpuOptions, Kernel};
use common::Rng;
use pollster::block_on;

/// Bytes of this process in memory.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[cfg(not(target_os = "linux"))]
fn resident() -> u64 {
    0
}

/// Ten thousand frames take no more memory than a thousand: by the pool's own count, by wgpu's, and by
/// what the system gives the process.
#[test]
fn memory_is_flat_over_ten_thousand_frames() {
    if !common::engines().iter().any(|backend| backend.kind.is_gpu()) {
        return;
    }
    let gpu = block_on(Gpu::request(&GpuOptions::new())).unwrap();
    let shape = [24, 40, 4];
    let convs = [
        Conv2d::new(Kernel::gaussian(5, 1.2).unwrap()),
        Conv2d::new(Kernel::sharpen()).border(Border::Replicate),
    ];
    let mut stream = gpu.frames::<u8, u8>(&convs, shape).unwrap();
    assert_eq!(stream.plan().stages().len(), 2);
    let len = shape.iter().product();
    let all: Vec<Vec<u8>> = (0..16).map(|n| Rng::new(n).elements(len, 0.0, 255.0)).collect();
    let mut want = Vec::new();
    for frame in &all {
        want.extend(stream.push(frame).unwrap());
    }
    while let Some(result) = stream.pop().unwrap() {
        want.push(result);
    }
    let hal = || {
        let counters = gpu.device().get_internal_counters().hal;
        [counters.buffers.read(), counters.bind_groups.read(), counters.command_encoders.read()]
    };
    let mut result = vec![0u8; want[0].len()];
    let mut after = None;
    for n in 0..10_000usize {
        if stream.push_into(&all[n % 16], &mut result).unwrap() {
            assert!(result == want[(n - 3) % 16], "frame {}", n - 3);
        }
        if n == 1_000 {
            after = Some((gpu.pool_stats(), hal(), resident()));
        }
    }
    let (pool, objects, memory) = after.unwrap();
    assert_eq!(gpu.pool_stats(), pool);
    // Three of upload, input, output and download, and one between the stages.
    assert_eq!(pool.made, 13);
    let (now, grown) = (hal(), resident().saturating_sub(memory));
    assert!(now.iter().zip(objects).all(|(now, then)| *now <= then + 4), "{now:?} {objects:?}");
    common::say(&format!("9000 frames: {grown} bytes more in memory, {pool:?}"));
    // A byte a pixel that is not given back would be 8 MB.
    assert!(grown < 4 << 20, "{grown} bytes more");
    // All go back with the stream but those of the three frames under way.
    drop(stream);
    let pool = gpu.pool_stats();
    assert_eq!((pool.made, pool.free), (13, 1));
}
