//! Rows of the gradients of input and kernel, for a random gradient of the output.

use std::hint::black_box;

use channelwise::plan::{GradientPlan, KernelGradient};
use channelwise::{Algorithm, Gpu, Problem};
use ndarray::Array4;

use crate::Failure;
use crate::cases::Noise;
use crate::forward::{call, device_row};
use crate::plain::Plain;
use crate::ring::Ring;
use crate::row::{Absent, How, Printer, What};
use crate::times::repeat;
use crate::trial::Trial;
use crate::watch::{Watch, Work};

/// Both rows of a case, with their ratios to the forward rows that were said before.
pub(crate) fn rows(trial: &Trial<'_>, printer: &mut Printer) -> Result<(), Failure> {
    let problem = trial.case.problem()?;
    let output: [usize; 4] = problem.output_shape().dims().try_into()?;
    let (mut of_x, mut of_dy) = (Noise(11), Noise(7));
    let x = Array4::from_shape_simple_fn(trial.case.shape, || of_x.next());
    let dy = Array4::from_shape_simple_fn(output, || of_dy.next());
    let plain = Plain::new(trial.case, &problem, &x, &dy)?;
    match (trial.engine.as_gpu(), trial.watch) {
        (Some(gpu), Some(watch)) => on_device(trial, gpu, watch, &problem, &plain, printer),
        _ => from_host(trial, [&x, &dy], &plain, printer),
    }
}

fn from_host(
    trial: &Trial<'_>,
    [x, dy]: [&Array4<f32>; 2],
    plain: &Plain<'_>,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let backward = trial.engine.prepare_backward::<f32>(&trial.case.conv()?, trial.case.shape)?;
    if trial.explain {
        eprint!("{backward}");
    }
    let plan = backward.plan().input();
    let mut dx = backward.input(x, dy)?;
    plain.check_input(dx.as_slice().unwrap_or_default(), plan.accuracy().spread)?;
    let dk = backward.weights(x, dy)?.kernel;
    plain.check_kernel(dk.as_slice().unwrap_or_default(), backward.plan())?;
    for how in trial.hows {
        let input = match how {
            How::Run => repeat(trial.seconds, 5, || {
                black_box(backward.input(black_box(x), black_box(dy))?);
                Ok(())
            })?,
            _ => repeat(trial.seconds, 5, || {
                Ok(backward.input_into(black_box(x), black_box(dy), black_box(&mut dx))?)
            })?,
        };
        let algorithm = Some(plan.algorithm().to_string());
        trial.say(printer, trial.row(What::InputGradient, *how, algorithm), &input, None)?;
        let row = trial.row(What::KernelGradient, *how, Some(sums(backward.plan()).into()));
        if *how == How::RunInto {
            let why = "its answer is a few sums, which are allocated by every call: see run";
            printer.told(row, &Absent(why.into()).into())?;
            continue;
        }
        let kernel = repeat(trial.seconds, 5, || {
            black_box(backward.weights(black_box(x), black_box(dy))?);
            Ok(())
        })?;
        trial.say(printer, row, &kernel, None)?;
    }
    Ok(())
}

fn on_device(
    trial: &Trial<'_>,
    gpu: &Gpu,
    watch: &Watch,
    problem: &Problem,
    plain: &Plain<'_>,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let backward = gpu.prepare_backward(problem)?;
    if trial.explain {
        eprint!("{}", backward.plan());
    }
    // The gradient of the input alone is the adjoint, planned in the same way.
    let layout = trial.case.layout()?;
    let [_, height, width, _] = problem.input_shape().to_nhwc(layout);
    let adjoint = trial.case.conv()?.adjoint().adjoint_size(height, width);
    let (element, output) = (problem.input_type(), problem.output_shape());
    let adjoint = Problem::new(&adjoint, output, element, element)?;
    let back = gpu.prepare(&adjoint, Algorithm::Auto)?;
    {
        let ring = Ring::new(gpu, plain.dy, problem.output_shape(), problem.input_shape())?;
        let work = |encoder: &mut _, pair: usize| {
            Ok(back.encode(encoder, &ring.from[pair].range(), &ring.to[pair].range())?)
        };
        call(gpu, &Work::Recorded(&work))?;
        plain.check_input(&ring.to[0].download()?, back.plan().accuracy().spread)?;
        for how in trial.hows {
            let algorithm = Some(back.plan().algorithm().to_string());
            let row = trial.row(What::InputGradient, *how, algorithm);
            device_row(trial, watch, row, &Work::Recorded(&work), ring.len(), printer)?;
        }
        back.forget_buffers();
    }
    let ring = Ring::new(gpu, plain.x, problem.input_shape(), problem.output_shape())?;
    let ring = ring.with_layout(layout);
    for dy in &ring.to {
        dy.write(plain.dy)?;
    }
    let dk = backward.apply_weights(&ring.from[0], &ring.to[0])?.kernel.download()?;
    plain.check_kernel(&dk, backward.plan())?;
    // Each call makes its buffers anew (a few sums for every tap) and submits by itself.
    let work = |pair: usize| {
        black_box(backward.apply_weights(&ring.from[pair], &ring.to[pair])?);
        Ok(())
    };
    for how in trial.hows {
        let row = trial.row(What::KernelGradient, *how, Some(sums(backward.plan()).into()));
        device_row(trial, watch, row, &Work::Submitted(&work), ring.len(), printer)?;
    }
    Ok(())
}

/// How the gradient of the kernel is made.
fn sums(plan: &GradientPlan) -> &'static str {
    match plan.kernel() {
        KernelGradient::CpuFft { .. } | KernelGradient::GpuFft(_) => "fft",
        _ => "sums",
    }
}
