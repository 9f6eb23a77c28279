//! One engine, and one prepared problem, called from many threads at once.

#[path = "../soak/work.rs"]
mod work;

use std::sync::Mutex;

use channelwise::{Border, Conv2d, Cpu, Engine, GpuTensor, Kernel, wgpu};
use ndarray::Array4;
use pollster::block_on;

use crate::common::{Backend, Rng, engines, gpu, main_engines, refuse, same_bits};

const SHAPE: [usize; 4] = [1, 64, 61, 3];

/// Different numbers for each `seed`.
fn noise(seed: u64) -> Array4<f32> {
    let data = Rng::new(seed).f32s(SHAPE.iter().product(), -1.0, 1.0);
    Array4::from_shape_vec(SHAPE, data).unwrap()
}

/// Calls `filter` from `threads` threads, `calls` times each, with an input of each thread's own. All begin
/// at once, and each must get what it gets alone.
fn at_once(
    backend: &Backend,
    threads: u64,
    calls: usize,
    filter: impl Fn(&Array4<f32>, &mut Array4<f32>) + Sync,
) {
    let want: Vec<_> = (0..threads)
        .map(|seed| {
            let mut y = Array4::from_elem(SHAPE, f32::NAN);
            filter(&noise(seed), &mut y);
            y
        })
        .collect();
    assert_ne!(want[0], want[1], "{}", backend.name);
    let start = std::sync::Barrier::new(want.len());
    std::thread::scope(|scope| {
        for (seed, want) in want.iter().enumerate() {
            let (start, filter) = (&start, &filter);
            scope.spawn(move || {
                let x = noise(seed as u64);
                let mut y = Array4::from_elem(SHAPE, f32::NAN);
                start.wait();
                for call in 0..calls {
                    filter(&x, &mut y);
                    if let Err(text) = same_bits(y.as_slice().unwrap(), want.as_slice().unwrap()) {
                        panic!("{}, thread {seed}, call {call}: {text}", backend.name);
                    }
                    y.fill(f32::NAN);
                }
            });
        }
    });
}

/// By an algorithm that keeps rows or spectra between its steps too.
#[test]
fn share_a_prepared_problem() {
    let conv = Conv2d::new(Kernel::gaussian(5, 1.2).unwrap()).border(Border::Reflect101);
    let conv = conv.assume_finite();
    for backend in engines() {
        let prepared = backend.engine.prepare::<f32, f32>(&conv, SHAPE).unwrap();
        let (threads, calls) = if backend.kind.is_gpu() { (4, 5) } else { (16, 50) };
        at_once(backend, threads, calls, |x, y| prepared.run_into(x, y).unwrap());
    }
}

#[test]
fn share_an_engine() {
    let conv = Conv2d::new(Kernel::gaussian(5, 1.2).unwrap()).border(Border::Reflect101);
    for backend in main_engines() {
        let (threads, calls) = if backend.kind.is_gpu() { (4, 5) } else { (16, 50) };
        at_once(backend, threads, calls, |x, y| backend.engine.run_into(&conv, x, y).unwrap());
        let (x, mut y) = (noise(0), Array4::<f32>::zeros(SHAPE));
        backend.engine.run_into(&conv, &x, &mut y).unwrap();
        let later: Array4<f32> = block_on(backend.engine.run_async(&conv, &x)).unwrap();
        assert_eq!(later, y, "{}: async", backend.name);
    }
}

/// Waits of many threads, and an app that polls the same device meanwhile: none of them takes from another
/// what it waits for.
#[test]
fn many_wait_for_one_device() {
    let Some(gpu) = gpu() else { return };
    let conv = Conv2d::new(Kernel::gaussian(3, 1.0).unwrap());
    let shape = [9, 8, 1];
    let x = GpuTensor::upload(&gpu, &Rng::new(6).f32s(72, -1.0, 1.0), shape).unwrap();
    let want = gpu.run(&conv, &x).unwrap().download().unwrap();
    let left = std::sync::atomic::AtomicUsize::new(6);
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (gpu, conv, x, want, left) = (&gpu, &conv, &x, &want, &left);
            scope.spawn(move || {
                for _ in 0..100 {
                    let y = gpu.run(conv, x).unwrap();
                    let got = if n % 2 == 0 { y.download() } else { block_on(y.download_async()) };
                    same_bits(&got.unwrap(), want).unwrap();
                }
                left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            });
        }
        while left.load(std::sync::atomic::Ordering::SeqCst) > 0 {
            gpu.device().poll(wgpu::PollType::Poll).unwrap();
            std::thread::yield_now();
        }
    });
}

/// All kinds of calls on one engine and one device, each thread in another order: a slice of `tests/soak`, which
/// goes on for as long as there is time.
#[test]
fn do_different_things_at_once() {
    let gpu = gpu();
    let engine = match &gpu {
        Some(gpu) => Engine::choosing(Cpu::with_threads(2).unwrap(), gpu.clone()),
        None => Engine::from(Cpu::with_threads(2).unwrap()),
    };
    let work = work::Work::new(&engine, gpu.as_ref()).unwrap();
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (work, failures) = (&work, &failures);
            scope.spawn(move || {
                let mut rng = Rng::new(thread);
                for _ in 0..work.len() {
                    if let Err(text) = work.call(rng.below(work.len())) {
                        failures.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    refuse("different things at once", &failures.into_inner().unwrap());
}
