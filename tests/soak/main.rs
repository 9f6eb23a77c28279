//! Many threads on one engine and one device for as long as there is time: each result is the one of the same call
//! alone, nothing fails, and memory does not grow.
//!
//! ```text
//! sh tests/long.sh --minutes 60 soak
//! cargo test --release --all-features -p channelwise-tests --test soak -- --minutes 60 [--threads 8] [--seed 1]
//! ```
//!
//! Runs on the GPU that `WGPU_ADAPTER_NAME` and `WGPU_BACKEND` choose. Without one the CPU's engine is alone, unless
//! `CHANNELWISE_REQUIRE_GPU=1`.

mod held;
mod work;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use channelwise::{Cpu, Engine, Gpu, GpuOptions};
use rand_pcg::Pcg32;
use rand_pcg::rand_core::{Rng, SeedableRng};

use work::Work;

/// Between two lines of how far it is.
const TOLD: Duration = Duration::from_secs(30);
/// Failures that are told in full; the rest is counted.
const MOST: usize = 20;
/// Bytes by which memory may grow after the first quarter of the time: what the allocator leaves between.
const GROWTH: u64 = 48 << 20;
/// Bytes by which what Rust's code holds may grow with a call, on the average. wgpu keeps some hundred for each thread that
/// ever opened an error scope on a device, and a stream on a GPU, of which there is one among 31 calls, starts three.
const KEPT: i64 = 64;
/// And without any: results under way.
const SOME: i64 = 1 << 20;

struct Arguments {
    minutes: f64,
    threads: u64,
    seed: u64,
}

impl Arguments {
    fn parse(mut all: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self { minutes: 5.0, threads: 8, seed: 1 };
        while let Some(name) = all.next() {
            let text = all.next().ok_or(format!("{name} needs a number"))?;
            let wrong = |error: &dyn std::fmt::Display| format!("{name} {text}: {error}");
            match name.as_str() {
                "--minutes" => parsed.minutes = text.parse().map_err(|e| wrong(&e))?,
                "--threads" => parsed.threads = text.parse().map_err(|e| wrong(&e))?,
                "--seed" => parsed.seed = text.parse().map_err(|e| wrong(&e))?,
                _ => return Err(format!("{name} is none of --minutes, --threads and --seed")),
            }
        }
        Ok(parsed)
    }
}

/// What came of all calls so far.
#[derive(Default)]
struct Told {
    rounds: AtomicU64,
    calls: AtomicU64,
    failed: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Told {
    fn fail(&self, text: String) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < MOST {
            eprintln!("{text}");
            failures.push(text);
        }
    }
}

/// Bytes of this process in memory, where the system tells.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// Rounds of all calls, each in another order, until the time is up.
fn rounds(work: &Work, seed: u64, stop: &AtomicBool, told: &Told) {
    let mut random = Pcg32::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..work.len()).collect();
    loop {
        for at in (1..order.len()).rev() {
            order.swap(at, random.next_u32() as usize % (at + 1));
        }
        for n in &order {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work.call(*n)));
            match called {
                Ok(Ok(())) => {}
                Ok(Err(text)) => told.fail(text),
                Err(_) => told.fail(format!("call {n} panicked")),
            }
            told.calls.fetch_add(1, Ordering::Relaxed);
        }
        told.rounds.fetch_add(1, Ordering::Relaxed);
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    let gpu = Gpu::request(&GpuOptions::new());
    let required = std::env::var("CHANNELWISE_REQUIRE_GPU").is_ok_and(|v| v == "1");
    let (engine, gpu) = match gpu {
        Ok(gpu) => (Engine::choosing(Cpu::new(), gpu.clone()), Some(gpu)),
        Err(error) if required => {
            eprintln!("CHANNELWISE_REQUIRE_GPU=1, and there is no GPU: {error}");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("GPU not covered: {error}");
            (Engine::cpu(), None)
        }
    };
    let work = match Work::new(&engine, gpu.as_ref()) {
        Ok(work) => work,
        Err(error) => {
            eprintln!("alone: {error}");
            return ExitCode::FAILURE;
        }
    };
    let Arguments { minutes, threads, seed } = arguments;
    eprintln!("{} calls on {threads} threads for {minutes} minutes; {engine}", work.len());
    let (told, stop) = (Told::default(), AtomicBool::new(false));
    let whole = Duration::from_secs_f64(minutes * 60.0);
    let started = Instant::now();
    let mut level = None;
    let mut first = None;
    thread::scope(|scope| {
        for thread in 0..threads {
            let (work, told, stop) = (&work, &told, &stop);
            scope.spawn(move || rounds(work, seed * 1000 + thread, stop, told));
        }
        while started.elapsed() < whole {
            thread::sleep(TOLD.min(whole / 8).min(whole.saturating_sub(started.elapsed())));
            let now = resident();
            if started.elapsed() >= whole / 4 {
                level.get_or_insert(now);
                first.get_or_insert((held::bytes(), told.calls.load(Ordering::Relaxed)));
            }
            let Told { rounds, calls, failed, .. } = &told;
            eprintln!(
                "{:.0} s: {} rounds, {} calls, {} failures, {} KiB held by Rust, {} MiB in memory, {:+} KiB since the first quarter",
                started.elapsed().as_secs_f64(),
                rounds.load(Ordering::Relaxed),
                calls.load(Ordering::Relaxed),
                failed.load(Ordering::Relaxed),
                held::bytes() >> 10,
                now >> 20,
                (now as i64 - level.unwrap_or(now) as i64) / 1024,
            );
        }
        stop.store(true, Ordering::Relaxed);
    });
    if let Some(gpu) = &gpu {
        let hal = gpu.device().get_internal_counters().hal;
        let [buffers, groups] = [hal.buffers.read(), hal.bind_groups.read()];
        eprintln!("{buffers} buffers, {groups} bind groups, {:?}", gpu.pool_stats());
    }
    let grown = resident().saturating_sub(level.unwrap_or(0));
    let (held, calls) = first.unwrap_or_default();
    let held = held::bytes() - held;
    let calls = told.calls.into_inner() - calls;
    let failed = told.failed.into_inner();
    eprintln!("{held} bytes more held by Rust since the first quarter, by {calls} calls");
    if failed > 0 || grown > GROWTH || held > SOME + KEPT * calls as i64 {
        eprintln!("{failed} failures, memory grew by {grown} bytes, and what is held by {held}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
