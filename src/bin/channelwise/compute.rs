//! Who computes, and the outputs with the time they took.

use std::time::{Duration, Instant};

use channelwise::ndarray::Array4;
use channelwise::{Algorithm, Element, Engine, Error, Prepared, Problem, Timings, reference};
use rayon::prelude::*;

use crate::args::EngineName;
use crate::failure::{Failure, Result};
use crate::progress::Progress;

/// Outputs of the reference that a thread makes before it looks for more.
const REFERENCE_CHUNK: usize = 256;

/// An engine, or the definition in its place.
#[derive(Debug)]
pub(crate) enum Computer {
    Engine(Engine),
    Reference,
}

/// Outputs and what they took.
#[derive(Debug)]
pub(crate) struct Made<U> {
    pub(crate) output: Array4<U>,
    pub(crate) timings: Timings,
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

/// Runs what was planned.
pub(crate) fn run<T: Element, U: Element>(
    prepared: &Prepared<T, U>,
    input: &Array4<T>,
) -> Result<Made<U>> {
    let mut output = empty(prepared.problem())?;
    let timings = prepared.run_into_timed(input, &mut output)?;
    Ok(Made { output, timings })
}

/// Every output by the definition, rounded once.
pub(crate) fn run_reference<T: Element, U: Element>(
    problem: &Problem,
    input: &Array4<T>,
    progress: Progress,
) -> Result<(Array4<U>, Duration)> {
    let mut output = empty(problem)?;
    let bar = progress.bar(problem.output_len(), "computing");
    let start = Instant::now();
    let input = input.as_slice().unwrap_or_default();
    let places = output.as_slice_mut().unwrap_or_default();
    places.par_chunks_mut(REFERENCE_CHUNK).enumerate().for_each(|(k, chunk)| {
        for (i, place) in chunk.iter_mut().enumerate() {
            *place = reference::at(problem, input, k * REFERENCE_CHUNK + i).nearest();
        }
        bar.inc(chunk.len() as u64);
    });
    Ok((output, start.elapsed()))
}

/// Room for the outputs, or an error where there is none.
fn empty<U: Element>(problem: &Problem) -> Result<Array4<U>> {
    let bytes = (problem.output_len() as u64).saturating_mul(U::TYPE.bytes() as u64);
    let full = || Error::out_of_host_memory("the output", bytes);
    let room = bytemuck::allocation::try_zeroed_vec(problem.output_len()).map_err(|()| full())?;
    Array4::from_shape_vec(four(problem.output_shape().dims()), room)
        .map_err(|error| Failure::work(error.to_string()))
}

/// A shape known to have four axes.
pub(crate) fn four(dims: &[usize]) -> [usize; 4] {
    match *dims {
        [a, b, c, d] => [a, b, c, d],
        _ => [0; 4],
    }
}
