//! Who computes, and the outputs with the time they took.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use channelwise::ndarray::{Array4, ArrayD, Ix4, ShapeError};
use channelwise::{Algorithm, Element, Engine, Error, Problem, Timings};
use indicatif::ProgressBar;

use crate::args::{EngineName, RunArgs};
use crate::expected;
use crate::failure::{Failure, Result};
use crate::files::{Sample, Tensor, Type, four, with_array, with_type};
use crate::more::More;
use crate::progress::Progress;

/// Outputs that are made by the definition before they are stored.
const PART: usize = 1 << 20;

/// An engine, or the definition in its place.
#[derive(Debug)]
pub(crate) enum Computer {
    Engine(Engine),
    Reference,
}

/// Outputs, and how they were made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) output: Tensor,
    /// What made them: `cpu`, `gpu` or `reference`.
    pub(crate) engine: &'static str,
    pub(crate) algorithm: String,
    pub(crate) explained: String,
    /// How far errors may reach beyond an output's own taps.
    pub(crate) spread: f64,
    pub(crate) plan: Duration,
    pub(crate) timings: Timings,
}

/// The engine, made when it is first needed.
pub(crate) struct Computers<'a> {
    args: &'a RunArgs,
    made: OnceCell<Computer>,
}

impl<'a> Computers<'a> {
    pub(crate) fn new(args: &'a RunArgs) -> Self {
        Self { args, made: OnceCell::new() }
    }

    pub(crate) fn get(&self) -> Result<&Computer> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let made = Computer::new(self.args.engine, self.args.algorithm)?;
        Ok(self.made.get_or_init(|| made))
    }
}

impl Computer {
    pub(crate) fn new(name: EngineName, algorithm: Algorithm) -> Result<Self> {
        let engine = match name {
            EngineName::Auto => Engine::auto(),
            EngineName::Cpu => Engine::cpu(),
            EngineName::Gpu => Engine::gpu()?,
            EngineName::Reference if algorithm == Algorithm::Auto => return Ok(Self::Reference),
            EngineName::Reference => {
                return Err(Failure::usage(format!(
                    "--algorithm {algorithm} is for engines; the reference has none to choose from"
                )));
            }
        };
        Ok(Self::Engine(engine.with_algorithm(algorithm)))
    }

    /// Name of the GPU it is or holds.
    pub(crate) fn adapter(&self) -> Option<String> {
        match self {
            Self::Engine(engine) => Some(engine.as_gpu()?.adapter_info().name.clone()),
            Self::Reference => None,
        }
    }

    /// What it is, or holds, and why.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Engine(engine) => engine.to_string(),
            Self::Reference => "reference: plain loops in f64".into(),
        }
    }
}

impl Computer {
    /// What becomes of `x`, which has four axes, as elements of type `kind`.
    pub(crate) fn run(
        &self,
        (problem, more): (&Problem, &More),
        x: &Tensor,
        kind: Type,
        progress: Progress,
    ) -> Result<Made> {
        match self {
            Self::Engine(engine) => {
                let working = progress.spinner("preparing");
                if !more.is_none() {
                    working.set_message("computing");
                    // Of sums alone, so that few pairs are compiled.
                    return match kind {
                        Type::F64 => {
                            with_array!(x, x => partly::<_, f64>(engine, (problem, more), x))
                        }
                        _ => with_array!(x, x => partly::<_, f32>(engine, (problem, more), x)),
                    };
                }
                with_array!(x, x => with_type!(kind, U => filtered::<_, U>(engine, problem, x, &working)))
            }
            Self::Reference => {
                let start = Instant::now();
                let output = with_type!(kind, U => defined::<U>((problem, more), x, progress))?;
                let compute = start.elapsed();
                let mut timings = Timings::default();
                (timings.compute, timings.total) = (compute, compute);
                Ok(Made {
                    output,
                    engine: "reference",
                    algorithm: "reference".into(),
                    explained: format!("reference: {problem}\n  plain loops in f64, no plan\n"),
                    spread: 0.0,
                    plan: Duration::ZERO,
                    timings,
                })
            }
        }
    }
}

/// By an engine. This is compiled for each pair of types, so nothing else is done here.
fn filtered<T: Sample, U: Sample>(
    engine: &Engine,
    problem: &Problem,
    x: &ArrayD<T>,
    working: &ProgressBar,
) -> Result<Made> {
    let shape = |error: ShapeError| Failure::work(error.to_string());
    let x = x.view().into_dimensionality::<Ix4>().map_err(shape)?;
    let start = Instant::now();
    let prepared = engine.prepare::<T, U>(problem.conv(), four(x.shape()))?;
    let plan = start.elapsed();
    working.set_message("computing");
    let mut output = empty::<U>(four(problem.output_shape().dims()))?;
    let timings = prepared.run_into_timed(&x, &mut output)?;
    let taken = prepared.plan();
    Ok(Made {
        output: U::tensor(output.into_dyn()),
        engine: taken.engine(),
        algorithm: taken.algorithm().to_string(),
        explained: taken.explain(),
        spread: taken.accuracy().spread,
        plan,
        timings,
    })
}

/// The same of what is asked beyond one kernel on all of a tensor.
fn partly<T: Sample, U: Sample>(
    engine: &Engine,
    (problem, more): (&Problem, &More),
    x: &ArrayD<T>,
) -> Result<Made> {
    let shape = |error: ShapeError| Failure::work(error.to_string());
    let x = x.view().into_dimensionality::<Ix4>().map_err(shape)?;
    let start = Instant::now();
    let (output, plan) = more.run::<T, U>(engine, problem, &x)?;
    let mut timings = Timings::default();
    timings.total = start.elapsed();
    timings.compute = timings.total;
    Ok(Made {
        output: U::tensor(output.into_dyn()),
        engine: plan.as_ref().map_or("cpu", |plan| plan.engine()),
        algorithm: plan.as_ref().map_or(String::new(), |plan| plan.algorithm().to_string()),
        explained: plan.as_ref().map_or(String::new(), |plan| plan.explain()),
        spread: plan.as_ref().map_or(0.0, |plan| plan.accuracy().spread),
        plan: Duration::ZERO,
        timings,
    })
}

/// Every output by the definition, rounded once.
fn defined<U: Sample>(
    (problem, more): (&Problem, &More),
    x: &Tensor,
    progress: Progress,
) -> Result<Tensor> {
    let mut output = empty::<U>(more.output_shape(problem))?;
    let places = output.as_slice_mut().unwrap_or_default();
    let bar = progress.bar(places.len(), "computing");
    // Of an adjoint all are made at once.
    let part = if problem.conv().is_adjoint() { places.len().max(1) } else { PART };
    for (number, places) in places.chunks_mut(part).enumerate() {
        let first = number * part;
        let wanted: Vec<usize> = (first..first + places.len()).collect();
        for (place, exact) in
            places.iter_mut().zip(expected::at((problem, more), x, &wanted, 0.0, &bar))
        {
            *place = exact.nearest();
        }
    }
    Ok(U::tensor(output.into_dyn()))
}

/// Room for the outputs, or an error where there is none.
fn empty<U: Element>(shape: [usize; 4]) -> Result<Array4<U>> {
    let len: usize = shape.iter().product();
    let bytes = (len as u64).saturating_mul(U::TYPE.bytes() as u64);
    let full = || Error::out_of_host_memory("the output", bytes);
    let room = bytemuck::allocation::try_zeroed_vec(len).map_err(|()| full())?;
    Array4::from_shape_vec(shape, room).map_err(|error| Failure::work(error.to_string()))
}
