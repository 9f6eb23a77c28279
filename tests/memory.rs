//! Memory of long runs, alone in its process and one after the other: other tests would be counted too.

use std::sync::Mutex;

use channelwise::plan::Cuts;
use channelwise::{
    Algorithm, Border, Conv2d, Cpu, Element as _, Engine, Gpu, GpuOptions, GpuTensor, Kernel,
    Problem,
};
use ndarray::Array4;
use rand_pcg::Pcg32;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// Held by the one test that is running.
static ALONE: Mutex<()> = Mutex::new(());

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

/// A device, where there is one.
fn gpu() -> Option<Gpu> {
    match Gpu::request(&GpuOptions::new()) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            let required = std::env::var("CHANNELWISE_REQUIRE_GPU").is_ok_and(|v| v == "1");
            assert!(!required, "CHANNELWISE_REQUIRE_GPU=1, and there is no GPU: {error}");
            eprintln!("GPU not covered: {error}");
            None
        }
    }
}

/// Buffers, bind groups and encoders of a device, by wgpu's own count.
fn objects(gpu: &Gpu) -> [isize; 3] {
    let counters = gpu.device().get_internal_counters().hal;
    [counters.buffers.read(), counters.bind_groups.read(), counters.command_encoders.read()]
}

/// A hundred thousand calls on the CPU, on one thread and on two, prepared and not, take no more memory than
/// the first ten thousand; not even where every call has another shape.
#[test]
fn memory_is_flat_over_a_hundred_thousand_calls() {
    let _alone = ALONE.lock();
    let conv = Conv2d::new(Kernel::gaussian(5, 1.2).unwrap()).border(Border::Reflect101);
    // Enough work for two threads, at a cost of some microseconds.
    let x = Array4::<f32>::from_elem((1, 40, 60, 3), 0.5);
    for threads in [1, 2] {
        let engine = Engine::from(Cpu::with_threads(threads).unwrap());
        let prepared = engine.prepare::<f32, f32>(&conv, [1, 40, 60, 3]).unwrap();
        let mut y = prepared.run(&x).unwrap();
        let mut after = 0;
        for n in 0..100_000usize {
            match n % 4 {
                0 => y = prepared.run(&x).unwrap(),
                1 => prepared.run_into(&x, &mut y).unwrap(),
                2 => y = engine.run(&conv, &x).unwrap(),
                _ => {
                    let x = Array4::<f32>::from_elem((1, 3 + n % 41, 3 + n % 37, 1), 0.5);
                    let y = engine.run::<f32, _>(&conv, &x).unwrap();
                    assert!((y[[0, 1, 1, 0]] - 0.5).abs() < 1e-6, "call {n}");
                }
            }
            if n == 10_000 {
                after = resident();
            }
        }
        assert!((y[[0, 20, 30, 1]] - 0.5).abs() < 1e-6);
        let grown = resident().saturating_sub(after);
        eprintln!("90000 calls on {threads} threads: {grown} bytes more in memory");
        // Forty bytes a call that are not given back would be 3.6 MB.
        assert!(grown < 2 << 20, "{grown} bytes more");
    }
}

/// Ten thousand frames take no more memory than a thousand: by the pool's own count, by wgpu's, and by
/// what the system gives the process.
#[test]
fn memory_is_flat_over_ten_thousand_frames() {
    let _alone = ALONE.lock();
    let Some(gpu) = gpu() else { return };
    // As of a GPU with memory of its own.
    let gpu = gpu.with_cuts(Cuts { staged: true, ..Cuts::NONE });
    let shape = [24, 40, 4];
    let convs = [
        Conv2d::new(Kernel::gaussian(5, 1.2).unwrap()),
        Conv2d::new(Kernel::sharpen()).border(Border::Replicate),
    ];
    let mut stream = gpu.frames::<u8, u8>(&convs, shape).unwrap();
    assert_eq!(stream.plan().stages().len(), 2);
    let len = shape.iter().product();
    let mut random = Pcg32::seed_from_u64(1);
    let all: Vec<Vec<u8>> =
        (0..16).map(|_| (0..len).map(|_| (random.next_u32() >> 24) as u8).collect()).collect();
    let mut want = Vec::new();
    for frame in &all {
        want.extend(stream.push(frame).unwrap());
    }
    while let Some(result) = stream.pop().unwrap() {
        want.push(result);
    }
    let mut result = vec![0u8; want[0].len()];
    let mut after = None;
    for n in 0..10_000usize {
        if stream.push_into(&all[n % 16], &mut result).unwrap() {
            assert!(result == want[(n - 3) % 16], "frame {}", n - 3);
        }
        if n == 1_000 {
            after = Some((gpu.pool_stats(), objects(&gpu), resident()));
        }
    }
    let (pool, then, memory) = after.unwrap();
    assert_eq!(gpu.pool_stats(), pool);
    // Three of upload, input, output and download, and one between the stages.
    assert_eq!(pool.made, 13);
    let (now, grown) = (objects(&gpu), resident().saturating_sub(memory));
    assert!(now.iter().zip(then).all(|(now, then)| *now <= then + 4), "{now:?} {then:?}");
    eprintln!("9000 frames: {grown} bytes more in memory, {pool:?}");
    // A byte a pixel that is not given back would be 8 MB.
    assert!(grown < 4 << 20, "{grown} bytes more");
    // All go back with the stream but those of the three frames under way.
    drop(stream);
    let pool = gpu.pool_stats();
    assert_eq!((pool.made, pool.free), (13, 1));
}

/// Nor do ten thousand calls of a GPU: prepared and not, from host memory and on tensors, of more problems than an
/// engine and a device remember, each of another size.
#[test]
fn memory_is_flat_over_ten_thousand_gpu_calls() {
    let _alone = ALONE.lock();
    let Some(gpu) = gpu() else { return };
    let conv = Conv2d::new(Kernel::gaussian(5, 1.2).unwrap()).border(Border::Reflect101);
    let engine = Engine::from(gpu.clone());
    let shape = [1, 24, 20, 3];
    let x = Array4::<f32>::from_elem(shape, 0.5);
    let prepared = engine.prepare::<f32, f32>(&conv, shape).unwrap();
    let problem = Problem::new(&conv, shape, f32::TYPE, f32::TYPE).unwrap();
    let on_device = gpu.prepare(&problem, Algorithm::Auto).unwrap();
    let mut after = None;
    for n in 0..10_000usize {
        // A hundred sizes, each as often as every other.
        let [height, width] = [5 + n % 10, 5 + n / 10 % 10];
        let other = || Array4::<f32>::from_elem((1, height, width, 1), 0.5);
        let y = match n % 5 {
            0 => prepared.run(&x).unwrap(),
            1 => engine.run(&conv, &other()).unwrap(),
            2 => {
                let x = GpuTensor::from_array(&gpu, &other()).unwrap();
                gpu.run(&conv, &x).unwrap().to_array().unwrap()
            }
            3 => {
                let x = GpuTensor::from_array(&gpu, &x).unwrap();
                on_device.apply::<f32, f32>(&x).unwrap().to_array().unwrap()
            }
            _ => {
                let gradients = engine.backward(&conv, &other(), &other()).unwrap();
                // Each input goes into outputs with all of the kernel, whose sum is 1.
                let all = (height * width) as f32 * 0.5;
                assert!((gradients.input.sum() - all).abs() < 1e-3, "call {n}");
                gradients.input.map(|_| 0.5)
            }
        };
        assert!(y.iter().all(|y| (y - 0.5).abs() < 1e-6), "call {n}");
        if n == 2_000 {
            after = Some((objects(&gpu), resident()));
        }
    }
    let (then, memory) = after.unwrap();
    let (now, grown) = (objects(&gpu), resident().saturating_sub(memory));
    let pool = gpu.pool_stats();
    eprintln!("8000 calls of a GPU: {grown} bytes more in memory, {pool:?}, {now:?} of {then:?}");
    assert!(now.iter().zip(then).all(|(now, then)| *now <= then + 64), "{now:?} {then:?}");
    // A buffer, a bind group or a plan a call that is not given back would be ten times that.
    assert!(grown < 4 << 20, "{grown} bytes more");
}
