//! Engines that choose for each problem. That they choose well is for the tests of `src/plan`; here, that they
//! do as they plan, on a GPU of any kind told to be a fast one.

use std::process::Command;
use std::time::{Duration, Instant};

use channelwise::plan::{AdapterClass, Cuts, DeviceCosts};
use channelwise::{
    Algorithm, Border, Conv2d, Cpu, Engine, Error, Gpu, GpuOptions, Kernel, Tuning, wgpu,
};
use ndarray::Array4;

use crate::common::{Rng, engines, say};

const SHAPE: [usize; 4] = [1, 60, 50, 3];

fn noise(seed: u64) -> Array4<f32> {
    let data = Rng::new(seed).f32s(SHAPE.iter().product(), -1.0, 1.0);
    Array4::from_shape_vec(SHAPE, data).unwrap()
}

fn kernel(side: usize, filters: usize) -> Kernel {
    let weights = Rng::new(7).f32s(side * side * filters, -1.0, 1.0);
    Kernel::with_filters(side, side, filters, weights).unwrap()
}

/// Whether there is an adapter; `common` says so, and refuses where one is required.
fn gpu(options: &GpuOptions) -> Option<Gpu> {
    let any = engines().iter().any(|backend| backend.kind.is_gpu());
    any.then(|| Gpu::request(options).unwrap())
}

/// As if a device of its class did everything at once.
fn fast(gpu: &Gpu) -> Gpu {
    let most = u64::MAX / 2;
    let costs = DeviceCosts::DISCRETE.with_write(most).with_upload(most).with_download(most);
    let costs = costs.with_read(most).with_memory(most).with_latency(0);
    gpu.with_class(AdapterClass::Discrete).with_costs(costs)
}

/// As if every copy took an age.
fn slow(gpu: &Gpu) -> Gpu {
    let costs = DeviceCosts::DISCRETE.with_upload(1).with_download(1);
    gpu.with_class(AdapterClass::Discrete).with_costs(costs)
}

fn cpu() -> Cpu {
    Cpu::with_threads(1).unwrap()
}

#[test]
fn auto_holds_no_software_adapter_unasked() {
    let engine = Engine::auto_with(&GpuOptions::new().measure_costs(false));
    let asked = std::env::var("WGPU_ADAPTER_NAME").is_ok_and(|name| !name.is_empty());
    if let Some(gpu) = engine.as_gpu() {
        assert!(asked || !gpu.is_software(), "{engine}");
        assert!(engine.to_string().starts_with("cpu: "), "{engine}");
        assert!(engine.to_string().contains("; gpu: "), "{engine}");
    }
    assert!(engine.to_string().contains("[auto: "), "{engine}");
}

/// That there is none is found out once, and told each time.
#[test]
fn a_missing_adapter_is_remembered() {
    let options = GpuOptions::new().name("no such adapter");
    let mut times = Vec::new();
    for _ in 0..10 {
        let start = Instant::now();
        let none = Engine::auto_with(&options);
        times.push(start.elapsed());
        assert!(none.as_gpu().is_none());
        assert!(none.to_string().contains("[auto: no GPU adapter for"), "{none}");
        assert!(none.to_string().contains("`no such adapter`"), "{none}");
    }
    let first = times.remove(0);
    times.sort();
    say(&format!("an adapter that is missing: first {first:?}, then {:?}", times[4]));
    assert!(times[4] < Duration::from_millis(1), "{times:?}");
}

/// The answer is the taken engine's to the bit, whichever that is.
#[test]
fn a_problem_goes_to_the_faster_engine() {
    let Some(gpu) = gpu(&GpuOptions::new()) else { return };
    let conv = Conv2d::new(kernel(21, 1));
    let x = noise(5);
    let mut y = Array4::from_elem(SHAPE, f32::NAN);
    for (gpu, name, other) in [(fast(&gpu), "gpu", "cpu"), (slow(&gpu), "cpu", "gpu")] {
        let engine = Engine::choosing(cpu(), gpu.clone());
        assert!(engine.as_gpu().is_some());
        let prepared = engine.prepare::<f32, f32>(&conv, SHAPE).unwrap();
        let plan = prepared.plan();
        assert_eq!(plan.engine(), name, "{plan}");
        let told = |of| plan.candidates().iter().any(|c| c.engine == of && c.verdict.is_ok());
        assert!(told(name) && told(other), "{plan}");
        let alone = if name == "gpu" { Engine::from(gpu) } else { Engine::from(cpu()) };
        let want = alone.run(&conv, &x).unwrap();
        assert_eq!(prepared.run(&x).unwrap(), want, "{plan}");
        assert_eq!(engine.run(&conv, &x).unwrap(), want);
        engine.run_into(&conv, &x, &mut y).unwrap();
        assert_eq!(y, want);
        // An empty one is nothing to be sent anywhere.
        let none = Array4::<f32>::zeros((0, 60, 50, 3));
        assert_eq!(engine.run(&conv, &none).unwrap().len(), 0);
    }
}

#[test]
fn an_algorithm_that_is_forced_goes_where_it_is() {
    let Some(gpu) = gpu(&GpuOptions::new()) else { return };
    let conv = Conv2d::new(kernel(5, 1));
    let engine = Engine::choosing(cpu(), slow(&gpu));
    let forced = |algorithm| {
        let prepared = engine.with_algorithm(algorithm).prepare::<f32, f32>(&conv, SHAPE).unwrap();
        (prepared.plan().engine(), prepared.plan().algorithm())
    };
    assert_eq!(forced(Algorithm::Direct), ("cpu", Algorithm::Direct));
    assert_eq!(forced(Algorithm::Flat), ("gpu", Algorithm::Flat));
    let many = Conv2d::new(kernel(3, 17));
    let refused = engine.with_algorithm(Algorithm::Flat).prepare::<f32, f32>(&many, SHAPE);
    let error = refused.unwrap_err();
    assert!(matches!(error, Error::NotApplicable { engine: "gpu", .. }), "{error}");
}

/// 150x150 weights are 90 KB, and 64 can be bound.
#[test]
fn what_a_device_cannot_hold_the_cpu_does() {
    let limits = wgpu::Limits {
        max_storage_buffer_binding_size: 1 << 16,
        ..wgpu::Limits::downlevel_defaults()
    };
    let Some(gpu) = gpu(&GpuOptions::new().limits(limits)) else { return };
    let conv = Conv2d::new(kernel(150, 1));
    let shape = [1, 20, 20, 1];
    let gpu = fast(&gpu);
    let alone = Engine::from(gpu.clone()).prepare::<f32, f32>(&conv, shape).unwrap_err();
    assert!(matches!(alone, Error::TooLarge { .. }), "{alone}");
    let engine = Engine::choosing(cpu(), gpu);
    let prepared = engine.prepare::<f32, f32>(&conv, shape).unwrap();
    let text = prepared.plan().explain();
    assert_eq!(prepared.plan().engine(), "cpu", "{text}");
    assert!(text.contains(&format!("gpu not taken: {alone}")), "{text}");
    let x = Array4::from_elem(shape, 0.5);
    assert_eq!(prepared.run(&x).unwrap(), Engine::from(cpu()).run(&conv, &x).unwrap());
    // Where the CPU has not what is forced, that is the answer.
    let flat = engine.with_algorithm(Algorithm::Flat).prepare::<f32, f32>(&conv, shape);
    assert_eq!(flat.unwrap_err(), alone);

    let chain = engine.chain::<f32, f32>(&[conv.clone(), conv.clone()], shape).unwrap();
    assert!(chain.explain().contains("  gpu not taken: "), "{}", chain.explain());
    let want = Engine::from(cpu()).chain::<f32, f32>(&[conv.clone(), conv.clone()], shape);
    assert_eq!(chain.run(&x).unwrap(), want.unwrap().run(&x).unwrap());
    let backward = engine.prepare_backward::<f32>(&conv, shape).unwrap();
    assert!(backward.to_string().contains("  gpu not taken: "), "{backward}");
    let want = Engine::from(cpu()).backward(&conv, &x, &x).unwrap();
    assert_eq!(backward.run(&x, &x).unwrap(), want);
}

#[test]
fn chains_and_gradients_are_chosen_as_a_whole() {
    let Some(gpu) = gpu(&GpuOptions::new()) else { return };
    let convs = [Conv2d::new(kernel(11, 1)), Conv2d::new(kernel(7, 1))];
    let x = noise(5);
    for (gpu, name) in [(fast(&gpu), "gpu"), (slow(&gpu), "cpu")] {
        let engine = Engine::choosing(cpu(), gpu.clone());
        let alone = if name == "gpu" { Engine::from(gpu) } else { Engine::from(cpu()) };
        let taken = |text: &str| {
            let line = text.lines().find(|l| l.starts_with(&format!("  {name} "))).unwrap();
            assert!(line.ends_with("  <- taken"), "{text}");
        };
        let chain = engine.chain::<f32, f32>(&convs, SHAPE).unwrap();
        taken(&chain.explain());
        let want = alone.chain::<f32, f32>(&convs, SHAPE).unwrap();
        assert!(!want.explain().contains("from host to host"), "{}", want.explain());
        assert_eq!(chain.run(&x).unwrap(), want.run(&x).unwrap());

        let backward = engine.prepare_backward::<f32>(&convs[0], SHAPE).unwrap();
        taken(&backward.to_string());
        let want = alone.backward(&convs[0], &x, &x).unwrap();
        assert_eq!(backward.run(&x, &x).unwrap(), want);
        assert_eq!(engine.backward(&convs[0], &x, &x).unwrap(), want);
    }
}

/// Once for an adapter and its driver, in the time that is promised, and in the file of measurements.
#[test]
fn copies_are_measured_once() {
    let Some(gpu) = gpu(&GpuOptions::new()) else { return };
    let timed = |gpu: &Gpu| {
        let start = Instant::now();
        let costs = gpu.with_measured_costs().unwrap().limits().costs.unwrap();
        (costs, start.elapsed())
    };
    let (costs, first) = timed(&gpu);
    say(&format!("copies measured in {first:?}: {costs:?}"));
    // Other tests run at the same time; alone it takes 20 milliseconds at most.
    assert!(first < Duration::from_millis(500), "{first:?}");
    let DeviceCosts { write, upload, download, read, memory, latency, .. } = costs;
    // Where the memory is one, nothing is fetched.
    let shared = costs == costs.without_copies();
    for (rate, fetched) in
        [(write, false), (upload, true), (download, true), (read, false), (memory, false)]
    {
        // From 10 MB/s to 100 TB/s: anything else was no measurement.
        let measured = (10_000..100_000_000_000).contains(&rate);
        assert!(measured || shared && fetched, "{costs:?}");
    }
    assert!((100..1_000_000_000).contains(&latency), "{costs:?}");
    let again = Gpu::request(&GpuOptions::new()).unwrap();
    assert_eq!(again.limits().costs, gpu.limits().costs, "a request measures nothing");
    let (same, second) = timed(&again);
    assert_eq!(same, costs);
    assert!(second < Duration::from_millis(5), "{second:?}");

    // What comes last.
    if memory == DeviceCosts::of_class(gpu.limits().class).memory {
        say("the file of costs is not covered: there was no time to measure all");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning");
    let options = GpuOptions::new().tuning(Tuning::MeasuredIn(path.clone()));
    let tuned = || Gpu::request(&options).unwrap();
    assert_eq!(timed(&tuned()).0, costs);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().count() == 1 && text.contains("\tcosts\twrite="), "{text}");
    // It is believed, whatever it says, and is no time of an algorithm.
    std::fs::write(&path, text.replace(&format!("read={read}"), "read=77")).unwrap();
    assert_eq!(timed(&tuned()).0, costs.with_read(77));
    // A line that cannot be read is written anew.
    std::fs::write(&path, text.replace("write=", "wrote=")).unwrap();
    assert_eq!(timed(&tuned()).0, costs);
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
}

/// Set for the program that a test below starts: itself, with [`what_a_program_does`] alone.
const CHILD: &str = "CHANNELWISE_AUTO_CHILD";

#[test]
fn what_a_program_does() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let first = Instant::now();
    let engine = Engine::auto();
    let first = first.elapsed();
    let mut others: Vec<_> = (0..9)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(Engine::auto().to_string(), engine.to_string());
            start.elapsed()
        })
        .collect();
    others.sort();
    let y = engine.run(&Conv2d::new(kernel(3, 1)), &noise(5)).unwrap();
    assert_eq!(y.dim(), noise(5).dim());
    let gpu = engine.as_gpu().is_some();
    println!("first {} us, then {} us, gpu {gpu}", first.as_micros(), others[4].as_micros());
}

/// A program that asks for an engine again and again: it costs next to nothing where no GPU is held, and
/// prints nothing that the program did not.
#[test]
fn auto_is_quick_and_silent() {
    let room = tempfile::tempdir().unwrap();
    // Mesa's layer complains where there is no such folder, unless no driver is loaded: on this Linux
    // there is nothing that could be a GPU.
    let bare = cfg!(target_os = "linux") && !std::path::Path::new("/dev/dri").exists();
    for folder in [Some(room.path()), None] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["auto::what_a_program_does", "--exact", "--nocapture", "--test-threads=1"]);
        child.env(CHILD, "1").env_remove("XDG_RUNTIME_DIR").env_remove("DISPLAY");
        for name in ["WGPU_ADAPTER_NAME", "WGPU_BACKEND", "WGPU_POWER_PREF", "WAYLAND_DISPLAY"] {
            child.env_remove(name);
        }
        child.envs(folder.map(|path| ("XDG_RUNTIME_DIR", path)));
        let ran = child.output().unwrap();
        let (out, err) =
            (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{out}{err}");
        let line = out.lines().find_map(|line| line.split_once("first ")).unwrap().1;
        say(&format!("Engine::auto: first {line}"));
        if line.ends_with("gpu false") {
            let then = line.split("then ").nth(1).and_then(|text| text.split(' ').next()).unwrap();
            assert!(then.parse::<u64>().unwrap() < 1000, "{line}");
        }
        if folder.is_some() || bare {
            assert_eq!(err, "", "{out}");
        } else {
            say("not covered without XDG_RUNTIME_DIR: this machine may have a GPU");
        }
    }
}

/// Chains and gradients lie on the device whole, and bands of theirs that are gathered go by whole words.
#[test]
fn what_a_device_cannot_chain_the_cpu_does() {
    let limits = wgpu::Limits { max_buffer_size: 1 << 20, ..wgpu::Limits::downlevel_defaults() };
    let Some(small) = gpu(&GpuOptions::new().limits(limits)) else { return };
    let engine = Engine::choosing(cpu(), fast(&small));
    let (conv, shape) = (Conv2d::new(kernel(3, 1)), [1, 300, 1000, 1]);
    let chain = engine.chain::<f32, f32>(std::slice::from_ref(&conv), shape).unwrap();
    assert!(
        chain.explain().contains("  gpu not taken: bytes of a chain's input"),
        "{}",
        chain.explain()
    );
    let backward = engine.prepare_backward::<f32>(&conv, shape).unwrap();
    assert!(backward.to_string().contains("  gpu not taken: bytes of the input"), "{backward}");
    let x = Array4::from_elem(shape, 0.5);
    let want = Engine::from(cpu()).run(&conv, &x).unwrap();
    assert_eq!(chain.run(&x).unwrap(), want);

    let Some(any) = gpu(&GpuOptions::new()) else { return };
    let cut = Cuts { band_bytes: Some(1 << 14), ..Cuts::NONE };
    let any = fast(&any).with_cuts(cut);
    let (conv, shape) = (conv.border(Border::Wrap), [1, 99, 101, 3]);
    let alone = Engine::from(any.clone()).chain::<u8, u8>(std::slice::from_ref(&conv), shape);
    assert!(matches!(alone, Err(Error::Buffer { .. })), "{alone:?}");
    let engine = Engine::choosing(cpu(), any);
    let chain = engine.chain::<u8, u8>(std::slice::from_ref(&conv), shape).unwrap();
    assert!(chain.explain().contains("  gpu not taken: "), "{}", chain.explain());
    let x = Array4::from_shape_fn(shape, |(_, y, x, c)| (7 * y + 5 * x + c) as u8);
    let want = Engine::from(cpu()).run(&conv, &x).unwrap();
    assert_eq!(chain.run(&x).unwrap(), want);
}
