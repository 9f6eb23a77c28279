//! Holds the CPU's cost model (`src/plan/cost.rs`) against this machine: every algorithm that applies,
//! predicted and measured, and what the planner's choice loses to the fastest.
//!
//! ```text
//! cargo bench --bench calibrate                      one thread and all of them
//! cargo bench --bench calibrate -- --threads 4 --seconds 1
//! ```
//!
//! The constants are right where `measured / predicted` is about the same in all rows: only ratios
//! choose. A machine whose rows of one algorithm stand apart wants other constants of that algorithm.

use std::time::Instant;

use channelwise::ndarray::Array4;
use channelwise::{Algorithm, Conv2d, Cpu, Element, Engine, Error, Kernel};
use clap::Parser;

type Failure = Box<dyn std::error::Error>;

/// Predicted and measured times of the CPU's algorithms.
#[derive(Debug, Parser)]
struct Args {
    /// Threads [default: 1 and all].
    #[arg(long)]
    threads: Vec<usize>,
    /// Seconds a row is repeated for.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Height of the images; they are 16 to 9.
    #[arg(long, default_value_t = 1080)]
    height: usize,
    /// What cargo hands to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Direct, Algorithm::Separable, Algorithm::Fft];

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let most = Cpu::new().limits().threads;
    let counts = if args.threads.is_empty() { vec![1, most] } else { args.threads.clone() };
    for threads in counts {
        let engine = Engine::from(Cpu::with_threads(threads)?);
        println!("{engine}");
        let mut worst: f64 = 1.0;
        for side in [3, 5, 7, 11, 15, 23, 31, 63] {
            let weights = (0..side * side).map(|i| ((i * 37 % 101) as f32 + 1.0) / 5000.0);
            let noise = Kernel::new(side, side, weights.collect())?;
            let bell = Kernel::gaussian(side, side as f64 / 6.0)?;
            for (name, kernel) in [("noise", noise), ("bell", bell)] {
                let conv = Conv2d::new(kernel).assume_finite();
                for channels in [1, 3, 16] {
                    let name = format!("{name} {side}x{side}, {channels} channels");
                    let lost =
                        row::<f32>(&engine, &args, &conv, channels, &format!("{name}, f32"))?;
                    worst = worst.max(lost);
                }
                let name = format!("{name} {side}x{side}, 3 channels, u8");
                worst = worst.max(row::<u8>(&engine, &args, &conv, 3, &name)?);
            }
        }
        println!("the planner's choice took at most {worst:.2} times as long as the fastest");
    }
    Ok(())
}

/// Prints a case; by how much the planner's choice is slower than the fastest.
fn row<T: Element>(
    engine: &Engine,
    args: &Args,
    conv: &Conv2d,
    channels: usize,
    name: &str,
) -> Result<f64, Failure> {
    let width = args.height * 16 / 9;
    // As many scalars whatever the channels.
    let shape = [1, args.height, (width * 3 / channels).max(1), channels];
    let mut state = 7u32;
    let x = Array4::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        T::from_f32((state >> 24) as f32)
    });
    let taken = engine.prepare::<T, T>(conv, shape)?.plan().algorithm();
    let (mut fastest, mut chosen) = (f64::INFINITY, f64::INFINITY);
    print!("{name:<34}");
    for algorithm in ALGORITHMS {
        let prepared = match engine.with_algorithm(algorithm).prepare::<T, T>(conv, shape) {
            Ok(prepared) => prepared,
            Err(Error::NotApplicable { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        let candidate = prepared.plan().candidates().iter().find(|c| c.algorithm == algorithm);
        let predicted = candidate.and_then(|c| c.verdict.clone().ok()).unwrap_or(f64::NAN) / 1e3;
        let mut y = prepared.run(&x)?;
        let started = Instant::now();
        let mut best = f64::INFINITY;
        let mut runs = 0;
        while runs < 3 || started.elapsed().as_secs_f64() < args.seconds {
            let start = Instant::now();
            prepared.run_into(&x, &mut y)?;
            best = best.min(start.elapsed().as_secs_f64() * 1e3);
            runs += 1;
        }
        fastest = fastest.min(best);
        if algorithm == taken {
            chosen = best;
        }
        let mark = if algorithm == taken { "*" } else { " " };
        print!("  {algorithm}{mark} {best:8.2} ms, {:.2} of predicted", best / predicted);
    }
    println!();
    Ok(chosen / fastest)
}
