//! A device that is lost, does not answer or has no memory, at every moment of every call: the error says which of
//! them it was, what is written is whole or absent, the next call works or says so, and nothing is kept.
//!
//! ```text
//!   an act, done well   ── counts its moments ──> for each moment and fault: the same act
//!     └── its results                              └── an error of that kind, or the same results
//! ```
//!
//! Faults of waits that last are in `losses.rs`.

mod host;
mod tensors;
mod training;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use channelwise::plan::Cuts;
use channelwise::{Conv2d, Engine, Error, Fault, Gpu, GpuOptions, Kernel, Moment, Result, wgpu};
use ndarray::{Array3, ArrayRef, Dimension};

use crate::common::{Rng, full, gpu, say};

/// Does something with a device, again and again, and gives all results as numbers. It is told the right ones where
/// they are known, to look at what it wrote where it failed.
type Act = Box<dyn FnMut(Option<&[f32]>) -> Result<Vec<f32>>>;

/// Something that is done with a device.
struct Scenario {
    name: &'static str,
    /// What is made before anything fails.
    make: fn(&Gpu) -> Result<Act>,
    options: fn() -> GpuOptions,
    /// Whether the device does it for the first time: nothing is compiled yet.
    cold: bool,
    /// Whether one moment comes after the other: not where several threads use the device.
    ordered: bool,
    /// The faults are at each moment that is a multiple of this, unless all is tried (`common::full`).
    every: usize,
    /// How far results may be off, where smaller bands are taken when memory is short.
    within: f32,
}

/// One that a device has done before.
const fn again(name: &'static str, make: fn(&Gpu) -> Result<Act>) -> Scenario {
    Scenario {
        name,
        make,
        options: GpuOptions::new,
        cold: false,
        ordered: true,
        every: 1,
        within: 0.0,
    }
}

/// One that it does for the first time.
const fn cold(name: &'static str, make: fn(&Gpu) -> Result<Act>) -> Scenario {
    Scenario { cold: true, ..again(name, make) }
}

/// Nothing here takes so long, unless it hangs.
const HANGS: Duration = Duration::from_secs(300);

const SHAPE: [usize; 3] = [12, 10, 3];
const LEN: usize = 360;

fn conv() -> Conv2d {
    Conv2d::new(Kernel::gaussian(3, 1.0).unwrap())
}

/// The same with another kernel.
fn other() -> Conv2d {
    Conv2d::new(Kernel::gaussian(3, 2.0).unwrap())
}

fn x() -> Array3<f32> {
    Array3::from_shape_vec(SHAPE, Rng::new(5).f32s(LEN, -1.0, 1.0)).unwrap()
}

fn bytes() -> Array3<u8> {
    Array3::from_shape_fn(SHAPE, |(r, q, c)| (r * 91 + q * 37 + c * 11) as u8)
}

/// An engine on this device that remembers nothing.
fn engine(gpu: &Gpu) -> Engine {
    gpu.with_cuts(Cuts::NONE).into()
}

fn numbers<D: Dimension>(array: &ArrayRef<f32, D>) -> Vec<f32> {
    array.iter().copied().collect()
}

/// What a failed call wrote: all of it, or nothing of what was there.
fn whole_or_absent(written: &[f32], before: f32, right: Option<&[f32]>) {
    let Some(right) = right else { return };
    let absent = written.iter().all(|value| value.to_bits() == before.to_bits());
    assert!(absent || same(written, right, 0.0), "a part is written");
}

fn same(got: &[f32], right: &[f32], within: f32) -> bool {
    let near = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a - b).abs() <= within;
    got.len() == right.len() && got.iter().zip(right).all(near)
}

/// A problem with these weights and with others, again and again. Where it does not take them it has those of before.
fn reweighed<P: 'static>(
    mut made: P,
    set: impl Fn(&mut P, usize) -> Result<()> + 'static,
    run: impl Fn(&P) -> Result<Vec<f32>> + 'static,
) -> Act {
    const ORDER: [usize; 2] = [1, 0];
    let mut now = 0;
    Box::new(move |right| {
        let mut all = Vec::new();
        for which in ORDER {
            if let Err(error) = set(&mut made, which) {
                if let (Some(right), false) = (right, error.is_lost()) {
                    let parts = [&right[..right.len() / 2], &right[right.len() / 2..]];
                    let before = parts[ORDER[now]];
                    let got = run(&made).expect("nothing else fails");
                    assert!(same(&got, before, 0.0), "weights are a mix: {error}");
                }
                return Err(error);
            }
            now = which;
            all.extend(run(&made)?);
        }
        Ok(all)
    })
}

/// What a device holds, by wgpu's own count: without encoders, of which it keeps as many as were under way at once.
fn held(device: &wgpu::Device) -> [isize; 5] {
    // What is let go of goes with the next submission's end.
    let _ = device.poll(wgpu::PollType::wait_indefinitely());
    let hal = device.get_internal_counters().hal;
    [
        hal.buffers.read(),
        hal.bind_groups.read(),
        hal.textures.read(),
        hal.texture_views.read(),
        hal.query_sets.read(),
    ]
}

/// The same of one that did this once, and of which all has gone that it did not come with.
fn held_after(gpu: &Gpu, act: Act) -> [isize; 5] {
    drop(act);
    gpu.trim();
    gpu.ticket().unwrap().wait().unwrap();
    held(gpu.device())
}

/// The same of one that is lost, once all handles of ours have gone: what wgpu keeps of its own until the last goes.
fn held_lost(gpu: Gpu, act: Act) -> [isize; 5] {
    drop(act);
    let device = gpu.device().clone();
    drop(gpu);
    held(&device)
}

/// How often a fault came, and how often nothing came of it.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    errors: usize,
    harmless: usize,
}

const FAULTS: [Fault; 3] = [Fault::Lost, Fault::TimedOut, Fault::NoRoom(0)];

/// Whether this is the error of this fault.
fn is_of(fault: Fault, error: &Error) -> bool {
    match fault {
        Fault::TimedOut => matches!(error, Error::Timeout { .. }),
        Fault::NoRoom(_) => matches!(error, Error::OutOfMemory { place: "device", .. }),
        _ => error.is_lost(),
    }
}

impl Scenario {
    /// Does it with each fault at each moment. `at` tells how far it is.
    fn run(&self, at: &Mutex<String>) -> [Met; 3] {
        let tell = |what: String| *at.lock().unwrap() = what;
        tell("well".into());
        let fresh = || Gpu::request(&(self.options)()).unwrap();
        let gpu = fresh();
        let first = self.done(&gpu, None).1;
        // Of the act that is not the first of its device, or is.
        let counted = if self.cold { fresh() } else { gpu.clone() };
        let mut act = (self.make)(&counted).unwrap();
        if !self.cold {
            assert!(same(&act(None).unwrap(), &first, 0.0), "it is not the same twice");
        }
        counted.fail_at(usize::MAX, Fault::Lost);
        let right = act(Some(&first)).unwrap();
        let moments = counted.met();
        assert!(same(&right, &first, 0.0) && !right.is_empty() && moments.len() > 2, "{moments:?}");
        let level = held_after(&counted, act);
        drop(counted);
        let doomed = fresh();
        let act = self.done(&doomed, Some(&right)).0;
        doomed.device().destroy();
        let lost = held_lost(doomed, act);

        let mut all = [Met::default(); 3];
        for (met, fault) in all.iter_mut().zip(FAULTS) {
            // A device that is lost stays so, and what is compiled stays.
            let anew = self.cold || fault == Fault::Lost;
            let mut kept = (!anew).then(|| (gpu.clone(), self.done(&gpu, Some(&right)).0));
            for (n, moment) in moments.iter().enumerate() {
                let left_out = !full() && n % self.every > 0;
                if left_out || !moment.may_meet(fault) {
                    continue;
                }
                tell(format!("{fault:?} at {n}, {moment:?}"));
                let (gpu, mut act) = match kept.take() {
                    Some(kept) => kept,
                    None => {
                        let own = fresh();
                        // Every second is an app's, on which nothing of ours listens.
                        let gpu = match n % 2 {
                            0 => own,
                            _ => {
                                let (device, queue) = (own.device().clone(), own.queue().clone());
                                Gpu::from_device_with(device, queue, &(self.options)()).unwrap()
                            }
                        };
                        let made = match self.cold {
                            true => (self.make)(&gpu).unwrap(),
                            false => self.done(&gpu, Some(&right)).0,
                        };
                        (gpu, made)
                    }
                };
                gpu.fail_at(n, fault);
                let outcome = act(Some(&right));
                let came = gpu.met();
                let met_it = came.get(n).is_some_and(|moment| moment.may_meet(fault));
                assert!(met_it || !self.ordered, "{came:?}, not {moments:?}");
                match outcome {
                    Ok(got) => {
                        assert!(same(&got, &right, self.within), "wrong results");
                        // Where it did not answer, it had done so before.
                        met.harmless += 1;
                    }
                    Err(error) => {
                        assert!(is_of(fault, &error), "{error:?}");
                        met.errors += 1;
                    }
                }
                tell(format!("after {fault:?} at {n}, {moment:?}"));
                let after = act(Some(&right));
                if fault == Fault::Lost && met_it {
                    let error = after.expect_err("the device is gone");
                    assert!(error.is_lost(), "{error:?}");
                    let left = held_lost(gpu, act);
                    assert!(no_more(left, lost), "{left:?} are kept of {lost:?}");
                    continue;
                }
                assert!(same(&after.unwrap(), &right, 0.0), "wrong results");
                if !anew {
                    kept = Some((gpu, act));
                } else {
                    let left = held_after(&gpu, act);
                    assert!(no_more(left, level), "{left:?} are kept of {level:?}");
                }
            }
            if let Some((gpu, act)) = kept {
                let left = held_after(&gpu, act);
                assert!(no_more(left, level), "{fault:?}: {left:?} are kept of {level:?}");
            }
        }
        all
    }

    /// What is made for it, once it was done well.
    fn done(&self, gpu: &Gpu, right: Option<&[f32]>) -> (Act, Vec<f32>) {
        let mut act = (self.make)(gpu).unwrap();
        let got = act(right).unwrap();
        assert!(right.is_none_or(|right| same(&got, right, 0.0)), "another device differs");
        (act, got)
    }
}

fn no_more(left: [isize; 5], level: [isize; 5]) -> bool {
    left.iter().zip(level).all(|(left, level)| *left <= level)
}

/// Does all of them, each on a thread that may hang, and tells how often what came.
fn all(theme: &str, scenarios: &'static [Scenario]) {
    if gpu().is_none() {
        return;
    }
    let mut sums = [Met::default(); 3];
    for scenario in scenarios {
        let at = Arc::new(Mutex::new(String::new()));
        let (told, answer) = mpsc::channel();
        let telling = at.clone();
        let started = std::time::Instant::now();
        let running = thread::spawn(move || told.send(scenario.run(&telling)));
        let met = answer.recv_timeout(HANGS);
        let at = at.lock().unwrap().clone();
        let met = match met {
            Ok(met) => met,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{}: {at}: hangs", scenario.name),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let panic = running.join().err();
                let text = panic.as_ref().and_then(|p| p.downcast_ref::<String>());
                panic!("{}: {at}: {text:?}", scenario.name);
            }
        };
        assert!(met[0].errors > 2, "{}: {met:?}", scenario.name);
        say(&format!("{}: {met:?} in {:.1} s", scenario.name, started.elapsed().as_secs_f64()));
        for (sum, met) in sums.iter_mut().zip(met) {
            sum.errors += met.errors;
            sum.harmless += met.harmless;
        }
    }
    let text = FAULTS.iter().zip(&sums).map(|(fault, met)| {
        format!("{fault:?} {} times, {} of them harmless", met.errors + met.harmless, met.harmless)
    });
    say(&format!("{theme}: {} acts: {}", scenarios.len(), text.collect::<Vec<_>>().join("; ")));
    assert!(sums.iter().all(|met| met.errors > 0), "{theme}: {sums:?}");
}

#[test]
fn of_calls_from_host_memory() {
    all("calls from host memory", host::SCENARIOS);
}

#[test]
fn of_calls_on_tensors_and_textures() {
    all("calls on tensors and textures", tensors::SCENARIOS);
}

#[test]
fn of_training_and_new_weights() {
    all("training and new weights", training::SCENARIOS);
}

/// What costs nothing where nobody tests counts nothing.
#[test]
fn nothing_is_counted_unless_a_test_asks() {
    let Some(gpu) = gpu() else { return };
    engine(&gpu).run(&conv(), &x()).unwrap();
    assert_eq!(gpu.met(), []);
    gpu.fail_at(0, Fault::TimedOut);
    engine(&gpu).run(&conv(), &x()).unwrap();
    let met = gpu.met();
    for moment in [Moment::Check, Moment::Create, Moment::Write, Moment::Submit, Moment::Map] {
        assert!(met.contains(&moment), "{moment:?} in {met:?}");
    }
    assert_eq!(met.iter().filter(|moment| **moment == Moment::Wait).count(), 1);
    engine(&gpu).run(&conv(), &x()).unwrap();
    assert_eq!(gpu.met(), []);
}
