//! Devices that are lost, hang, or panic: at every wait, blocking or not, an error and nothing worse. Faults
//! are put in on purpose, since no device here fails by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use channelwise::plan::Cuts;
use channelwise::{
    Algorithm, Conv2d, ElementType, Engine, Error, Fault, Gpu, GpuOptions, GpuTensor, Kernel,
    Polling, Problem, Result, Tuning, wgpu,
};
use ndarray::{Array2, Array3, Array4};
use pollster::block_on;

use crate::common::{Rng, gpu, say};

/// The longest that waits may take where the device does not answer.
const TIMEOUT: Duration = Duration::from_millis(40);
/// Nothing here takes so long, unless it hangs.
const HANGS: Duration = Duration::from_secs(60);

/// A device of its own, in the hands of whoever has these options.
fn own(options: &GpuOptions) -> Option<Gpu> {
    gpu()?;
    Some(Gpu::request(options).unwrap())
}

fn conv() -> Conv2d {
    Conv2d::new(Kernel::gaussian(3, 1.0).unwrap())
}

const SHAPE: [usize; 3] = [12, 10, 3];
const LEN: usize = 360;

fn x() -> Array3<f32> {
    Array3::from_shape_fn(SHAPE, |(r, q, c)| (r * 31 + q * 7 + c) as f32 / 400.0)
}

/// Something that waits for the device, all of it: its name, whether it reads results back, and how.
type Waits = (&'static str, bool, fn(&Gpu) -> Result<()>);

/// A call of an engine that is on this device.
fn engine(gpu: &Gpu) -> Engine {
    gpu.clone().into()
}

fn bands(gpu: &Gpu) -> Engine {
    gpu.with_cuts(Cuts { band_bytes: Some(1200), ..Cuts::NONE }).into()
}

/// Every public call that waits.
const WAITS: &[Waits] = &[
    ("run", true, |gpu| engine(gpu).run(&conv(), &x()).map(drop)),
    ("run in bands", true, |gpu| {
        let engine = bands(gpu);
        let prepared = engine.prepare::<f32, f32>(&conv(), SHAPE)?;
        let channelwise::plan::Launch::Gpu(launch) = prepared.plan().launch() else { panic!() };
        assert!(launch.bands.len() > 3, "{}", prepared.plan());
        prepared.run(&x()).map(drop)
    }),
    ("run_into", true, |gpu| engine(gpu).run_into(&conv(), &x(), &mut x())),
    ("run_into_timed", true, |gpu| {
        engine(gpu).prepare::<f32, f32>(&conv(), SHAPE)?.run_into_timed(&x(), &mut x()).map(drop)
    }),
    ("run_async", true, |gpu| {
        block_on(engine(gpu).run_async::<f32, f32, _>(&conv(), &x())).map(drop)
    }),
    ("run_into_async", true, |gpu| block_on(engine(gpu).run_into_async(&conv(), &x(), &mut x()))),
    ("run_into_timed_async", true, |gpu| {
        let prepared = block_on(engine(gpu).prepare_async::<f32, f32>(&conv(), SHAPE))?;
        block_on(prepared.run_into_timed_async(&x(), &mut x())).map(drop)
    }),
    ("run_each", true, |gpu| engine(gpu).run_each(&[conv()], &x()).map(drop)),
    ("run_each_async", true, |gpu| {
        let y = block_on(engine(gpu).run_each_async(&[conv()], &x()))?;
        assert_eq!(y, engine(gpu).run(&conv(), &x())?);
        Ok(())
    }),
    ("each: run_into_async", true, |gpu| {
        let (mut y, each) = (x(), block_on(engine(gpu).prepare_each_async(&[conv()], SHAPE))?);
        block_on(each.run_into_async(&x(), &mut y))?;
        assert_eq!(y, engine(gpu).run(&conv(), &x())?);
        Ok(())
    }),
    ("run_region_async", true, |gpu| {
        let prepared = engine(gpu).prepare::<f32, f32>(&conv(), SHAPE)?;
        let part = block_on(prepared.run_region_async(&x(), 2..7, 1..9))?;
        assert_eq!(part, prepared.run(&x())?.slice(ndarray::s![2..7, 1..9, ..]));
        Ok(())
    }),
    ("run_masked_async", true, |gpu| {
        let (conv, mask) =
            (conv().normalized(), Array2::from_shape_fn((12, 10), |(r, _)| r as u8 % 3));
        let y = block_on(engine(gpu).run_masked_async(&conv, &x(), &mask))?;
        assert_eq!(y, engine(gpu).run_masked(&conv, &x(), &mask)?);
        Ok(())
    }),
    ("download", true, |gpu| GpuTensor::from_array(gpu, &x())?.download().map(drop)),
    ("download_async", true, |gpu| {
        block_on(GpuTensor::from_array(gpu, &x())?.download_async()).map(drop)
    }),
    ("to_array", true, |gpu| {
        GpuTensor::from_array(gpu, &x())?.to_array::<ndarray::Ix3>().map(drop)
    }),
    ("to_array_async", true, |gpu| {
        block_on(GpuTensor::from_array(gpu, &x())?.to_array_async::<ndarray::Ix3>()).map(drop)
    }),
    ("push", true, |gpu| stream(gpu)?.push(&[0.5; LEN]).map(drop)),
    ("push_async", true, |gpu| block_on(stream(gpu)?.push_async(&[0.5; LEN])).map(drop)),
    ("push_into", true, |gpu| {
        stream(gpu)?.push_into(&[0.5; LEN], &mut [0.0; LEN]).map(|there| assert!(there))
    }),
    ("push_into_async", true, |gpu| {
        block_on(stream(gpu)?.push_into_async(&[0.5; LEN], &mut [0.0; LEN])).map(drop)
    }),
    ("pop", true, |gpu| stream(gpu)?.pop().map(|result| assert!(result.is_some()))),
    ("pop_async", true, |gpu| block_on(stream(gpu)?.pop_async()).map(drop)),
    ("pop_into", true, |gpu| stream(gpu)?.pop_into(&mut [0.0; LEN]).map(drop)),
    ("pop_into_async", true, |gpu| {
        block_on(stream(gpu)?.pop_into_async(&mut [0.0; LEN])).map(drop)
    }),
    ("chain", true, |gpu| {
        engine(gpu).chain::<f32, f32>(&[conv(), conv()], SHAPE)?.run(&x()).map(drop)
    }),
    ("chain, async", true, |gpu| {
        let chain = block_on(engine(gpu).chain_async::<f32, f32>(&[conv(), conv()], SHAPE))?;
        block_on(chain.run_async(&x())).map(drop)
    }),
    ("backward", true, |gpu| engine(gpu).backward(&conv(), &x(), &x()).map(drop)),
    ("backward_async", true, |gpu| {
        block_on(engine(gpu).backward_async(&conv(), &x(), &x())).map(drop)
    }),
    ("backward: weights", true, |gpu| backward(gpu)?.weights(&x(), &x()).map(drop)),
    ("backward: weights_async", true, |gpu| {
        block_on(backward(gpu)?.weights_async(&x(), &x())).map(drop)
    }),
    ("backward: input", true, |gpu| backward(gpu)?.input(&x(), &x()).map(drop)),
    ("backward: input_async", true, |gpu| {
        block_on(backward(gpu)?.input_async(&x(), &x())).map(drop)
    }),
    ("backward: run_into", true, |gpu| backward(gpu)?.run_into(&x(), &x(), &mut x()).map(drop)),
    ("backward: run_into_async", true, |gpu| {
        block_on(backward(gpu)?.run_into_async(&x(), &x(), &mut x())).map(drop)
    }),
    ("backward: input_into_async", true, |gpu| {
        block_on(backward(gpu)?.input_into_async(&x(), &x(), &mut x()))
    }),
    ("backward: input_into", true, |gpu| backward(gpu)?.input_into(&x(), &x(), &mut x())),
    ("ticket", false, |gpu| gpu.ticket()?.wait()),
    ("ticket, awaited", false, |gpu| block_on(std::future::IntoFuture::into_future(gpu.ticket()?))),
    ("prepare, measuring", false, |gpu| {
        let conv = Conv2d::new(Kernel::gaussian(7, 2.0).unwrap());
        let problem = Problem::new(&conv, SHAPE, ElementType::F32, ElementType::F32)?;
        gpu.prepare(&problem, Algorithm::Auto).map(drop)
    }),
    ("prepare_async, measuring", false, |gpu| {
        let conv = Conv2d::new(Kernel::gaussian(9, 2.0).unwrap());
        let problem = Problem::new(&conv, SHAPE, ElementType::F32, ElementType::F32)?;
        block_on(gpu.prepare_async(&problem, Algorithm::Auto)).map(drop)
    }),
];

/// One frame is under way, and no more may be.
fn stream(gpu: &Gpu) -> Result<channelwise::FrameStream<f32, f32>> {
    let mut stream = gpu.frames::<f32, f32>(&[conv()], SHAPE)?.in_flight(1)?;
    assert!(stream.push(&[0.25; LEN])?.is_none());
    Ok(stream)
}

fn backward(gpu: &Gpu) -> Result<channelwise::Backward<f32>> {
    engine(gpu).prepare_backward(&conv(), SHAPE)
}

/// Calls it on another thread, which may hang.
fn call(waits: fn(&Gpu) -> Result<()>, gpu: &Gpu) -> Option<thread::Result<Result<()>>> {
    let (sender, answer) = mpsc::channel();
    let gpu = gpu.clone();
    thread::spawn(move || {
        let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waits(&gpu)));
        let _ = sender.send(called);
    });
    answer.recv_timeout(HANGS).ok()
}

#[test]
fn every_wait_ends_in_an_error_and_the_next_one_works() {
    let options = GpuOptions::new().timeout(TIMEOUT).tuning(Tuning::Measured);
    let Some(gpu) = own(&options) else { return };
    // Where nothing fails a wait may take longer.
    let Some(patient) = own(&GpuOptions::new().tuning(Tuning::Measured)) else { return };
    for (name, reads, waits) in WAITS {
        let ended = call(*waits, &patient).unwrap_or_else(|| panic!("{name} hangs"));
        assert!(matches!(ended, Ok(Ok(()))), "{name}: {ended:?}");
        for fault in [Fault::Lost, Fault::Panicked, Fault::TimedOut, Fault::Stale] {
            // What reads nothing back cannot be told lies.
            if fault == Fault::Stale && !reads {
                continue;
            }
            let gpu = if fault == Fault::TimedOut { &gpu } else { &patient };
            // A problem that was measured before is not measured again.
            let gpu = if *reads { gpu.clone() } else { own(&options).unwrap() };
            gpu.fail_waits(Some(fault));
            let ended = call(*waits, &gpu).unwrap_or_else(|| panic!("{name}, {fault:?}: hangs"));
            gpu.fail_waits(None);
            let error = match ended {
                Ok(Err(error)) => error,
                other => panic!("{name}, {fault:?}: {other:?}"),
            };
            assert!(!error.is_usage());
            match fault {
                Fault::TimedOut => {
                    assert!(
                        matches!(error, Error::Timeout { after: TIMEOUT, .. }),
                        "{name}: {error}"
                    );
                }
                _ => {
                    assert!(error.is_lost(), "{name}, {fault:?}: {error:?}");
                    let text = error.to_string();
                    let said = if fault == Fault::Stale { "gave up" } else { "on purpose" };
                    assert!(text.contains(said), "{name}, {fault:?}: {text}");
                }
            }
        }
        let after = call(*waits, &patient).unwrap_or_else(|| panic!("{name} hangs afterwards"));
        assert!(matches!(after, Ok(Ok(()))), "{name}, afterwards: {after:?}");
    }
}

/// Results that are wrong or old are never handed out: what a submission leaves undone shows.
#[test]
fn a_result_of_before_is_not_taken_for_this_one() {
    let Some(gpu) = own(&GpuOptions::new()) else { return };
    let engine = engine(&gpu);
    let mut y = Array3::from_elem(SHAPE, f32::NAN);
    for _ in 0..3 {
        engine.run_into(&conv(), &x(), &mut y).unwrap();
        let right = y.clone();
        gpu.fail_waits(Some(Fault::Stale));
        y.fill(7.0);
        assert!(engine.run_into(&conv(), &x(), &mut y).unwrap_err().is_lost());
        assert!(y.iter().all(|y| *y == 7.0), "nothing is written");
        gpu.fail_waits(None);
        engine.run_into(&conv(), &x(), &mut y).unwrap();
        assert_eq!(y, right);
    }
}

/// What an app does between frames needs a lock of wgpu's that a poll holds: no wait of ours holds it for
/// long, though the work takes hundreds of milliseconds.
///
/// Waiting alone is looked at: Mesa's software driver runs much of the work before a submission returns, and
/// wgpu holds the lock then.
#[test]
fn an_app_can_present_while_we_wait() {
    let Some(gpu) = own(&GpuOptions::new()) else { return };
    let conv = Conv2d::new(Rng::new(4).kernel(21, 21, 1));
    let shape = [1, 600, 600, 3];
    let frame = vec![0.5f32; 600 * 600 * 3];
    let mut frames = gpu.frames::<f32, f32>(&[conv], shape).unwrap();
    for blocking in [true, false] {
        assert!(frames.push(&frame).unwrap().is_none());
        let done = Arc::new(AtomicBool::new(false));
        let (device, until) = (gpu.device().clone(), done.clone());
        // Destroying takes the lock that presenting takes.
        let app = thread::spawn(move || {
            let mut held: Vec<Duration> = Vec::new();
            while !until.load(Ordering::SeqCst) {
                let texture = device.create_texture(&wgpu::TextureDescriptor {
                    label: None,
                    size: wgpu::Extent3d { width: 4, height: 4, depth_or_array_layers: 1 },
                    mip_level_count: 1,
                    sample_count: 1,
                    dimension: wgpu::TextureDimension::D2,
                    format: wgpu::TextureFormat::Rgba8Unorm,
                    usage: wgpu::TextureUsages::COPY_DST,
                    view_formats: &[],
                });
                let start = Instant::now();
                texture.destroy();
                held.push(start.elapsed());
                thread::sleep(Duration::from_millis(2));
            }
            held
        });
        let start = Instant::now();
        let result = if blocking { frames.pop() } else { block_on(frames.pop_async()) };
        let waited = start.elapsed();
        done.store(true, Ordering::SeqCst);
        assert!(result.unwrap().is_some());
        let mut held = app.join().unwrap();
        held.sort();
        // Most get through at once; some wait for a core that other tests have. A poll of the whole wait would hold all of them to its end.
        let (most, longest) = (held[held.len() * 9 / 10], held[held.len() - 1]);
        let told = format!("blocking {blocking}: {most:?} and {longest:?} of {waited:?}");
        say(&format!("an app held up by a wait: {told}"));
        assert!(waited > Duration::from_millis(100), "{told}");
        assert!(held.len() > 10 && most < waited / 10 && longest < waited / 2, "{told}");
    }
}

/// Where the app polls, nothing of ours does; and the time is up all the same.
#[test]
fn the_app_may_poll() {
    let Some(own) = own(&GpuOptions::new()) else { return };
    let borrow = |options: &GpuOptions| {
        Gpu::from_device_with(own.device().clone(), own.queue().clone(), options).unwrap()
    };
    let options = GpuOptions::new().polling(Polling::ByTheApp);
    let gpu = borrow(&options);
    let tensor = GpuTensor::from_array(&gpu, &x()).unwrap();
    let polled = Arc::new(AtomicBool::new(false));
    let app = {
        let (device, polled) = (gpu.device().clone(), polled.clone());
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(150));
            polled.store(true, Ordering::SeqCst);
            device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        })
    };
    let array = block_on(tensor.to_array_async::<ndarray::Ix3>()).unwrap();
    assert!(polled.load(Ordering::SeqCst), "nobody else polled");
    assert_eq!(array, x());
    app.join().unwrap();
    // Blocking calls poll by themselves.
    assert_eq!(tensor.to_array::<ndarray::Ix3>().unwrap(), x());

    let hasty = borrow(&options.timeout(TIMEOUT));
    let tensor = GpuTensor::from_array(&hasty, &x()).unwrap();
    let error = block_on(tensor.download_async()).unwrap_err();
    assert!(matches!(error, Error::Timeout { after: TIMEOUT, .. }), "{error}");
}

/// A mistake that the app makes with a device of ours is its own: no loss, and no panic.
#[test]
fn a_mistake_of_the_app_is_no_loss() {
    let Some(gpu) = own(&GpuOptions::new()) else { return };
    let engine = engine(&gpu);
    let before = engine.run(&conv(), &x()).unwrap();
    drop(gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("twice mapped"),
        size: 4,
        usage: wgpu::BufferUsages::MAP_READ
            | wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::MAP_WRITE,
        mapped_at_creation: false,
    }));
    assert_eq!(engine.run(&conv(), &x()).unwrap(), before);
    // A mistake of ours is told as what it is.
    let huge = GpuTensor::<f32>::zeros(&gpu, [1 << 20, 1 << 20]).unwrap_err();
    assert!(matches!(huge, Error::TooLarge { .. }), "{huge:?}");
}

/// Whoever polls runs the app's callbacks. One that panics does so out of the call, and nothing is lost.
#[test]
fn a_panic_of_the_apps_is_its_own() {
    let Some(gpu) = own(&GpuOptions::new()) else { return };
    let ticket = gpu.ticket().unwrap();
    // Without the hook that prints: it is no accident.
    gpu.queue().on_submitted_work_done(|| std::panic::resume_unwind(Box::new("the app's own")));
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ticket.wait()));
    assert_eq!(waited.unwrap_err().downcast_ref(), Some(&"the app's own"));
    let engine = engine(&gpu);
    let y = engine.run(&conv(), &x()).unwrap();
    assert_eq!(block_on(engine.run_async::<f32, f32, _>(&conv(), &x())).unwrap(), y);
}

/// More work than one submission should do goes into several, and comes out the same.
#[test]
fn work_is_cut_into_submissions() {
    let Some(gpu) = own(&GpuOptions::new()) else { return };
    let convs = [
        conv(),
        Conv2d::new(Kernel::gaussian(5, 1.0).unwrap()).activation(channelwise::Activation::Relu),
        conv().border(channelwise::Border::Wrap),
    ];
    let shape = [2, 40, 30, 3];
    let x = Array4::from_shape_fn(shape, |(n, r, q, c)| ((n * 7 + r * 3 + q * 5 + c) % 17) as f32);
    for algorithm in [Algorithm::Auto, Algorithm::Direct, Algorithm::Fft] {
        let run = |gpu: &Gpu| {
            let tensor = GpuTensor::from_array(gpu, &x).unwrap();
            let problem =
                Problem::new(&convs[1], shape, ElementType::F32, ElementType::F32).unwrap();
            let prepared = gpu.prepare(&problem, algorithm).unwrap();
            let one = prepared.apply::<f32, f32>(&tensor).unwrap().download().unwrap();
            let chain = gpu.chain(&convs, shape, ElementType::F32, ElementType::F32).unwrap();
            let all = chain.apply::<f32, f32>(&tensor).unwrap().download().unwrap();
            let mut frames = gpu.frames::<f32, f32>(&convs, shape).unwrap();
            frames.push(x.as_slice().unwrap()).unwrap();
            let frame = frames.pop().unwrap().unwrap();
            let back = gpu.backward(&convs[1], &tensor, &tensor).unwrap();
            let dx = back.input.unwrap().download().unwrap();
            (one, all, frame, dx, back.kernel.download().unwrap())
        };
        let before = gpu.submissions();
        let whole = run(&gpu);
        let few = gpu.submissions() - before;
        // Bands of at most so much work, and no more of them in a submission.
        let cut = gpu.with_cuts(Cuts { band_work: Some(5000), ..Cuts::NONE });
        let before = gpu.submissions();
        let parts = run(&cut);
        let many = gpu.submissions() - before;
        // A call each, and downloads.
        assert!(few < 12 && many > 100, "{algorithm}: {few} and {many}");
        if algorithm == Algorithm::Fft {
            // Tiles begin where bands do.
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-3;
            assert!(whole.0.iter().zip(&parts.0).all(near));
        } else {
            assert_eq!(whole.0, parts.0, "{algorithm}");
        }
        assert_eq!(whole.1, parts.1, "{algorithm}: a chain");
        assert_eq!(whole.2, parts.2, "{algorithm}: a frame");
        assert_eq!(whole.3, parts.3, "{algorithm}: a gradient");
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4 * a.abs().max(1.0);
        assert!(whole.4.iter().zip(&parts.4).all(near), "{algorithm}: a kernel's gradient");
    }
}

/// Where a device has no room for the bands that were planned, smaller ones do; and where it has none at all,
/// that is an error that says so.
#[test]
fn short_memory_makes_smaller_bands() {
    let Some(gpu) = own(&GpuOptions::new()) else { return };
    let shape = [1, 300, 400, 3];
    let x = Array4::from_shape_fn(shape, |(_, r, q, c)| ((r * 7 + q * 3 + c) % 23) as f32);
    let conv = Conv2d::new(Kernel::gaussian(9, 2.0).unwrap()).border(channelwise::Border::Reflect);
    for algorithm in [Algorithm::Flat, Algorithm::Direct, Algorithm::Separable, Algorithm::Fft] {
        for staged in [false, true] {
            let gpu = gpu.with_cuts(Cuts { staged, ..Cuts::NONE });
            // Each remembers its problems, with the buffers of small ones.
            let fresh = || engine(&gpu).with_algorithm(algorithm);
            let want = fresh().run(&conv, &x).unwrap();
            let before = gpu.submissions();
            gpu.trim();
            gpu.fail_waits(Some(Fault::NoRoom(400_000)));
            let engine = fresh();
            let got = engine.run(&conv, &x);
            gpu.fail_waits(None);
            let got = got.unwrap_or_else(|error| panic!("{algorithm}, {staged}: {error}"));
            assert!(gpu.submissions() > before + 4, "{algorithm}");
            let near = |(a, b): (&f32, &f32)| match algorithm {
                // Tiles begin where bands do.
                Algorithm::Fft => (a - b).abs() < 1e-4,
                _ => a == b,
            };
            assert!(got.iter().zip(&want).all(near), "{algorithm}, {staged}");

            gpu.trim();
            gpu.fail_waits(Some(Fault::NoRoom(100)));
            let error = engine.run(&conv, &x).unwrap_err();
            gpu.fail_waits(None);
            assert!(matches!(error, Error::OutOfMemory { place: "device", .. }), "{error}");
            assert_eq!(engine.run(&conv, &x).unwrap(), want, "{algorithm}: afterwards");
        }
    }
}
