//! One row: an answer that is checked, then timed.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use channelwise::wgpu::{BufferDescriptor, BufferUsages, PollType};
use channelwise::{BufferRange, Element, Engine, Gpu, GpuPrepared, Problem, reference};
use ndarray::Array4;
use serde::{Deserialize, Serialize};

use crate::cases::{Case, Noise};
use crate::{Failure, copy};

/// What a row computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum What {
    #[default]
    #[serde(rename = "forward")]
    Forward,
    #[serde(rename = "input gradient")]
    InputGradient,
    #[serde(rename = "kernel gradient")]
    KernelGradient,
}

impl What {
    /// `row` for the forward problem, as it is called for this.
    pub(crate) fn named(self, row: &str) -> String {
        match self {
            Self::Forward => row.into(),
            Self::InputGradient => format!("{row} input gradient"),
            Self::KernelGradient => format!("{row} kernel gradient"),
        }
    }
}

/// A row of the table; peers print the same.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    row: String,
    pub(crate) what: What,
    engine: &'static str,
    pub(crate) algorithm: String,
    threads: usize,
    pub(crate) median_ms: f64,
    pub(crate) min_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) gb_per_s: f64,
    pub(crate) gflop_per_s: f64,
    /// A copy of as many bytes, by the same device or as many threads.
    pub(crate) copy_ms: f64,
    /// A gradient's median over that of the forward row of the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) of_forward: Option<f64>,
}

impl Row {
    /// What ran, with the number of threads.
    pub(crate) fn name(&self) -> String {
        match self.threads {
            0 => self.row.clone(),
            1 => format!("{} 1 thread", self.row),
            n => format!("{} {n} threads", self.row),
        }
    }
}

/// The width is that of the name.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, algorithm, median_ms, min_ms, p90_ms, .. } = self;
        let row = self.name();
        let width = f.width().unwrap_or(26);
        write!(f, "{case:<8} {row:<width$} {algorithm:<10} {median_ms:>10.4} ms")?;
        write!(f, " ({min_ms:.4} to {p90_ms:.4})")?;
        write!(f, " {:>8.2} GB/s {:>8.2} GFLOP/s", self.gb_per_s, self.gflop_per_s)?;
        write!(f, " {:>6.2} of copy", median_ms / self.copy_ms)
    }
}

/// How rows are timed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// Threads of the engine, 0 for a GPU.
    pub(crate) threads: usize,
    /// Data lies in the GPU's buffers.
    pub(crate) resident: bool,
    pub(crate) seconds: f64,
    /// Whether the plan goes to stderr.
    pub(crate) explain: bool,
}

pub(crate) fn row(case: &Case, engine: &Engine, how: How) -> Result<Row, Failure> {
    if case.bytes() { typed::<u8>(case, engine, how) } else { typed::<f32>(case, engine, how) }
}

fn typed<T: Element>(case: &Case, engine: &Engine, how: How) -> Result<Row, Failure> {
    let conv = case.conv()?;
    let mut noise = Noise(11);
    let scale = if case.bytes() { 255.0 } else { 1.0 };
    let x = Array4::from_shape_simple_fn(case.shape, || T::from_f32(noise.next() * scale));
    let prepared = engine.prepare::<T, T>(&conv, case.shape)?;
    let mut y = prepared.run(&x)?;
    verify(prepared.problem(), prepared.plan().accuracy().spread, &x, &y)?;

    let plan;
    let times = match engine.as_gpu() {
        Some(gpu) if how.resident => {
            let algorithm = prepared.plan().algorithm();
            let prepared = gpu.prepare(prepared.problem(), algorithm)?;
            let buffer = |elements: usize| {
                gpu.device().create_buffer(&BufferDescriptor {
                    label: Some("bench"),
                    size: ((elements * T::TYPE.bytes()) as u64).next_multiple_of(4),
                    usage: BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC,
                    mapped_at_creation: false,
                })
            };
            let (from, to) = (buffer(x.len()), buffer(y.len()));
            gpu.queue().write_buffer(&from, 0, bytemuck::cast_slice(x.as_slice().unwrap_or(&[])));
            plan = prepared.plan().clone();
            let (from, to) = (BufferRange::whole(&from), BufferRange::whole(&to));
            repeat(how.seconds, || encoded(gpu, &prepared, &from, &to))?
        }
        _ => {
            plan = prepared.plan().clone();
            repeat(how.seconds, || Ok(prepared.run_into(black_box(&x), &mut y)?))?
        }
    };
    if how.explain {
        eprint!("{}", plan.explain());
    }
    let algorithm = plan.algorithm().to_string();
    measured(case, engine, how, What::Forward, algorithm, &times)
}

/// From one range of the GPU's memory to another, and waits.
pub(crate) fn encoded(
    gpu: &Gpu,
    prepared: &GpuPrepared,
    from: &BufferRange<'_>,
    to: &BufferRange<'_>,
) -> Result<(), Failure> {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    prepared.encode(&mut encoder, from, to)?;
    gpu.queue().submit([encoder.finish()]);
    gpu.device().poll(PollType::wait_indefinitely())?;
    Ok(())
}

/// The row of sorted times. A gradient moves as many bytes as the forward problem, and multiplies as
/// often: that of the input reads an output and writes an input, that of the kernel reads both.
pub(crate) fn measured(
    case: &Case,
    engine: &Engine,
    how: How,
    what: What,
    algorithm: String,
    times: &[Duration],
) -> Result<Row, Failure> {
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64();
    let problem = case.problem()?;
    let bytes = problem.bytes() as usize;
    let copy_ms = match engine.as_gpu() {
        Some(gpu) if how.resident => copy::on_device(gpu, bytes)?,
        _ => copy::on_host(bytes, how.threads.max(1))?,
    };
    let kind = match engine.as_gpu() {
        Some(_) if how.resident => "gpu r",
        Some(_) => "gpu e",
        None => "cpu",
    };
    Ok(Row {
        case: case.name.clone(),
        row: what.named(&format!("channelwise {kind}")),
        what,
        engine: if engine.as_gpu().is_some() { "gpu" } else { "cpu" },
        algorithm,
        threads: how.threads,
        median_ms: at(0.5) * 1e3,
        min_ms: at(0.0) * 1e3,
        p90_ms: at(0.9) * 1e3,
        gb_per_s: problem.bytes() as f64 / at(0.5) / 1e9,
        gflop_per_s: 2.0 * problem.multiply_adds() as f64 / at(0.5) / 1e9,
        copy_ms,
        of_forward: None,
    })
}

pub(crate) fn median(times: &[Duration]) -> f64 {
    times[(times.len() - 1) / 2].as_secs_f64()
}

/// Sorted times of `work`, after one that does not count: at least five, for so many seconds.
pub(crate) fn repeat(
    seconds: f64,
    mut work: impl FnMut() -> Result<(), Failure>,
) -> Result<Vec<Duration>, Failure> {
    work()?;
    let started = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || started.elapsed().as_secs_f64() < seconds {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times)
}

/// A sample from everywhere; corners and edges are among it.
fn verify<T: Element>(
    problem: &Problem,
    spread: f64,
    x: &Array4<T>,
    y: &Array4<T>,
) -> Result<(), Failure> {
    let (x, y) = (x.as_slice().unwrap_or_default(), y.as_slice().unwrap_or_default());
    let extra = reference::extra(problem, x, spread);
    let last = y.len() - 1;
    for index in (0..y.len()).step_by(y.len() / 500 + 1).chain([last]) {
        let want = reference::at_within(problem, x, index, extra);
        if !want.accepts(y[index]) {
            return Err(format!("wrong answer at {index}: {:?} for {want:?}", y[index]).into());
        }
    }
    Ok(())
}
