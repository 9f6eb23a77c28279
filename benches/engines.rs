//! Every engine on the same cases: the CPU on one and on all threads, and the GPU that the
//! environment selects, with upload and download.
//!
//! ```text
//! cargo bench --bench engines              everything
//! cargo bench --bench engines -- rgb3      one case
//! ```
//!
//! Inputs and kernels are random, never zeros, and a sample of each answer is checked against the
//! reference before anything is timed. Ratios within one run are what counts.

use std::hint::black_box;
use std::time::Duration;

use channelwise::{Border, Conv2d, Cpu, Element, Engine, Kernel, Padding, Prepared, reference};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array4;

/// Random numbers that are the same everywhere.
struct Noise(u32);

impl Noise {
    /// In 0..1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }

    fn kernel(&mut self, side: usize) -> Conv2d {
        let weights = (0..side * side).map(|_| self.next()).collect();
        // A square of the right length is always a kernel.
        Conv2d::new(Kernel::new(side, side, weights).unwrap_or_else(|_| Kernel::identity()))
    }
}

/// Name, shape, options, whether bytes.
fn cases() -> Vec<(&'static str, [usize; 4], Conv2d, bool)> {
    let mut noise = Noise(3);
    let mut k = |side| noise.kernel(side);
    vec![
        ("seed", [1, 10, 10, 3], k(3).padding(Padding::Valid), false),
        ("rgb3", [1, 1080, 1920, 3], k(3), false),
        ("rgba5", [1, 1080, 1920, 4], k(5), false),
        ("feat3", [8, 224, 224, 64], k(3), false),
        ("feat3s2", [8, 224, 224, 64], k(3).stride(2, 2), false),
        ("hyper5", [1, 512, 512, 224], k(5), false),
        ("psf31", [1, 1080, 1920, 3], k(31), false),
        ("rgb3u8", [1, 1080, 1920, 3], k(3).border(Border::Reflect101), true),
    ]
}

fn engines() -> Vec<(String, Engine)> {
    let mut all = vec![("cpu".to_string(), Engine::cpu())];
    if let Ok(one) = Cpu::with_threads(1) {
        all.insert(0, ("cpu-1".to_string(), one.into()));
    }
    match Engine::gpu() {
        Ok(gpu) => all.push(("gpu".to_string(), gpu)),
        Err(reason) => eprintln!("no GPU here: {reason}"),
    }
    for (name, engine) in &all {
        eprintln!("{name}: {engine}");
    }
    all
}

fn verify<T: Element>(prepared: &Prepared<T, T>, x: &Array4<T>, y: &Array4<T>) {
    let (x, y) = (x.as_slice().unwrap_or_default(), y.as_slice().unwrap_or_default());
    for index in (0..y.len()).step_by(y.len() / 1000 + 1) {
        let want = reference::at(prepared.problem(), x, index);
        assert!(want.accepts(y[index]), "wrong answer: {:?} for {want:?}", y[index]);
    }
}

fn case<T: Element>(
    c: &mut Criterion,
    name: &str,
    shape: [usize; 4],
    conv: &Conv2d,
    engines: &[(String, Engine)],
) {
    let mut noise = Noise(11);
    let scale = if T::TYPE.bytes() == 1 { 255.0 } else { 1.0 };
    let x = Array4::from_shape_simple_fn(shape, || T::from_f32(noise.next() * scale));
    let mut group = c.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    for (label, engine) in engines {
        // Dense large kernels take software adapters minutes.
        if name == "psf31" && engine.as_gpu().is_some_and(channelwise::Gpu::is_software) {
            eprintln!("{name} {label}: left out on a software adapter");
            continue;
        }
        let prepared = match engine.prepare::<T, T>(conv, shape) {
            Ok(prepared) => prepared,
            Err(reason) => {
                eprintln!("{name} {label}: {reason}");
                continue;
            }
        };
        let mut y = match prepared.run(&x) {
            Ok(y) => y,
            Err(reason) => {
                eprintln!("{name} {label}: {reason}");
                continue;
            }
        };
        verify(&prepared, &x, &y);
        group.throughput(Throughput::Bytes(prepared.problem().bytes()));
        group.bench_with_input(BenchmarkId::from_parameter(label), &x, |b, x| {
            b.iter(|| prepared.run_into(black_box(x), &mut y));
        });
    }
    group.finish();
}

fn bench(c: &mut Criterion) {
    let engines = engines();
    for (name, shape, conv, bytes) in cases() {
        if bytes {
            case::<u8>(c, name, shape, &conv, &engines);
        } else {
            case::<f32>(c, name, shape, &conv, &engines);
        }
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
