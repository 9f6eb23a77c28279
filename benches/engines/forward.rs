//! Forward rows: an answer that is checked, then timed.

use std::hint::black_box;

use channelwise::wgpu::PollType;
use channelwise::{Element, ElementType, Gpu, f16};

use crate::Failure;
use crate::ring::Ring;
use crate::row::{How, Printer, Row, What};
use crate::times::repeat;
use crate::trial::{Trial, input, verify};
use crate::watch::{Watch, Work};

pub(crate) fn rows(trial: &Trial<'_>, printer: &mut Printer) -> Result<(), Failure> {
    match trial.case.element()? {
        ElementType::F32 => typed::<f32>(trial, printer),
        ElementType::U8 => typed::<u8>(trial, printer),
        ElementType::U16 => typed::<u16>(trial, printer),
        ElementType::F16 => typed::<f16>(trial, printer),
        other => Err(format!("no rows of {other}").into()),
    }
}

fn typed<T: Element>(trial: &Trial<'_>, printer: &mut Printer) -> Result<(), Failure> {
    match (trial.engine.as_gpu(), trial.watch) {
        (Some(gpu), Some(watch)) => on_device::<T>(trial, gpu, watch, printer),
        _ => from_host::<T>(trial, printer),
    }
}

fn from_host<T: Element>(trial: &Trial<'_>, printer: &mut Printer) -> Result<(), Failure> {
    let x = input::<T>(trial.case)?;
    let engine = trial.engine.with_algorithm(trial.algorithm);
    let prepared = engine.prepare::<T, T>(&trial.case.conv()?, trial.case.shape)?;
    if trial.explain {
        eprint!("{}", prepared.plan().explain());
    }
    let mut y = prepared.run(&x)?;
    // Of arrays that are in order.
    let (from, to) = (x.as_slice().unwrap_or_default(), y.as_slice().unwrap_or_default());
    verify(prepared.problem(), prepared.plan().accuracy().spread, from, to)?;
    let algorithm = prepared.plan().algorithm().to_string();
    for how in trial.hows {
        let times = match how {
            How::Run => repeat(trial.seconds, 5, || {
                black_box(prepared.run(black_box(&x))?);
                Ok(())
            })?,
            _ => repeat(trial.seconds, 5, || Ok(prepared.run_into(black_box(&x), &mut y)?))?,
        };
        let row = trial.row(What::Forward, *how, Some(algorithm.clone()));
        trial.say(printer, row, &times, None)?;
    }
    Ok(())
}

fn on_device<T: Element>(
    trial: &Trial<'_>,
    gpu: &Gpu,
    watch: &Watch,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let problem = trial.case.problem()?;
    let prepared = gpu.prepare(&problem, trial.algorithm)?;
    if trial.explain {
        eprint!("{}", prepared.plan().explain());
    }
    let x = input::<T>(trial.case)?;
    let x = x.as_slice().unwrap_or_default();
    let ring = Ring::<T>::new(gpu, x, problem.input_shape(), problem.output_shape())?;
    let work = |encoder: &mut _, pair: usize| {
        Ok(prepared.encode(encoder, &ring.from[pair].range(), &ring.to[pair].range())?)
    };
    call(gpu, &Work::Recorded(&work))?;
    verify(&problem, prepared.plan().accuracy().spread, x, &ring.to[0].download()?)?;
    let algorithm = prepared.plan().algorithm();
    for how in trial.hows {
        let row = trial.row(What::Forward, *how, Some(algorithm.to_string()));
        device_row(trial, watch, row, &Work::Recorded(&work), ring.len(), printer)?;
    }
    Ok(())
}

/// Times work in the way of the row.
pub(crate) fn device_row(
    trial: &Trial<'_>,
    watch: &Watch,
    row: Row,
    work: &Work<'_>,
    pairs: usize,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let pairs = if row.how == How::Resident { pairs } else { 1 };
    let times = match row.how {
        How::Call => repeat(trial.seconds, watch.least(), || call(watch.gpu(), work))?,
        _ => watch.times(work, pairs, trial.seconds)?,
    };
    trial.say(printer, row, &times, Some(pairs))
}

/// Once, on the first pair, until it is done.
pub(crate) fn call(gpu: &Gpu, work: &Work<'_>) -> Result<(), Failure> {
    match work {
        Work::Recorded(record) => {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            record(&mut encoder, 0)?;
            gpu.queue().submit([encoder.finish()]);
        }
        Work::Submitted(submit) => submit(0)?,
    }
    gpu.device().poll(PollType::wait_indefinitely())?;
    Ok(())
}
