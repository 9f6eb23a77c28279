//! Rows of the gradients of input and kernel, for a random gradient of the output.

use std::hint::black_box;

use channelwise::plan::{GradientPlan, KernelGradient};
use channelwise::wgpu::PollType;
use channelwise::{Algorithm, Engine, Gpu, GpuTensor, Problem};
use ndarray::Array4;

use crate::Failure;
use crate::cases::{Case, Noise};
use crate::run::{How, Row, What, encoded, measured, repeat};

/// Unit round-off of f32.
const EPS: f64 = f32::EPSILON as f64 / 2.0;

/// Most taps of a kernel whose gradients are checked.
const TAPS: usize = 9;

/// Both rows of a case, with their ratios to `forward`, the row of the same engine.
pub(crate) fn rows(
    case: &Case,
    engine: &Engine,
    how: How,
    forward: &Row,
) -> Result<Vec<Row>, Failure> {
    let problem = case.problem()?;
    let output: [usize; 4] = problem.output_shape().dims().try_into()?;
    let (mut of_x, mut of_dy) = (Noise(11), Noise(7));
    let x = Array4::from_shape_simple_fn(case.shape, || of_x.next());
    let dy = Array4::from_shape_simple_fn(output, || of_dy.next());
    let plain = Plain::new(case, &problem, &x, &dy)?;
    let (algorithm, sums, input, kernel);
    match engine.as_gpu() {
        Some(gpu) if how.resident => {
            let backward = pollster::block_on(gpu.prepare_backward(&problem))?;
            if how.explain {
                eprint!("{}", backward.plan());
            }
            // The gradient of the input alone is the adjoint, planned in the same way.
            let [_, height, width, _] = case.shape;
            let adjoint = case.conv()?.adjoint().adjoint_size(height, width);
            let adjoint =
                Problem::new(&adjoint, output, problem.output_type(), problem.input_type())?;
            let back = gpu.prepare(&adjoint, Algorithm::Auto)?;
            algorithm = back.plan().algorithm();
            let x = GpuTensor::upload(gpu, plain.x, problem.input_shape())?;
            let dy = GpuTensor::upload(gpu, plain.dy, problem.output_shape())?;
            let dx = GpuTensor::<f32>::zeros(gpu, problem.input_shape())?;
            encoded(gpu, &back, &dy.range(), &dx.range())?;
            plain.check_input(&dx.download()?, back.plan().accuracy().spread)?;
            let dk = backward.apply_weights(&x, &dy)?.kernel.download()?;
            plain.check_kernel(&dk, backward.plan())?;
            sums = algorithm_of(backward.plan());
            input = repeat(how.seconds, || encoded(gpu, &back, &dy.range(), &dx.range()))?;
            // Each makes its buffers anew: a few sums for every tap.
            kernel = repeat(how.seconds, || {
                black_box(backward.apply_weights(&x, &dy)?);
                wait(gpu)
            })?;
        }
        _ => {
            let backward = engine.prepare_backward::<f32>(&case.conv()?, case.shape)?;
            if how.explain {
                eprint!("{backward}");
            }
            let plan = backward.plan().input();
            algorithm = plan.algorithm();
            let mut dx = backward.input(&x, &dy)?;
            plain.check_input(dx.as_slice().unwrap_or_default(), plan.accuracy().spread)?;
            let dk = backward.weights(&x, &dy)?.kernel;
            plain.check_kernel(dk.as_slice().unwrap_or_default(), backward.plan())?;
            sums = algorithm_of(backward.plan());
            // Written over again, as the forward row's answer is.
            input = repeat(how.seconds, || {
                Ok(backward.input_into(black_box(&x), black_box(&dy), black_box(&mut dx))?)
            })?;
            kernel = repeat(how.seconds, || {
                black_box(backward.weights(black_box(&x), black_box(&dy))?);
                Ok(())
            })?;
        }
    }
    let of = |what, algorithm, times: &[_]| -> Result<Row, Failure> {
        let mut row = measured(case, engine, how, what, algorithm, times)?;
        row.of_forward = Some(row.median_ms / forward.median_ms);
        Ok(row)
    };
    Ok(vec![
        of(What::InputGradient, algorithm.to_string(), &input)?,
        of(What::KernelGradient, sums.into(), &kernel)?,
    ])
}

/// How the gradient of the kernel is made.
fn algorithm_of(plan: &GradientPlan) -> &'static str {
    match plan.kernel() {
        KernelGradient::CpuFft { .. } => "fft",
        _ => "sums",
    }
}

fn wait(gpu: &Gpu) -> Result<(), Failure> {
    gpu.device().poll(PollType::wait_indefinitely())?;
    Ok(())
}

/// The gradients as plain sums in f64.
struct Plain<'a> {
    x: &'a [f32],
    dy: &'a [f32],
    /// Images, rows, columns, channels.
    shape: [usize; 4],
    /// Rows and columns of the output.
    output: [usize; 2],
    kernel: [usize; 2],
    taps: Vec<f64>,
    stride: usize,
    /// Rows and columns of the border before the first.
    before: [usize; 2],
}

impl<'a> Plain<'a> {
    fn new(
        case: &Case,
        problem: &Problem,
        x: &'a Array4<f32>,
        dy: &'a Array4<f32>,
    ) -> Result<Self, Failure> {
        let kernel = problem.conv().kernel();
        let (_, rows, columns, _) = dy.dim();
        Ok(Self {
            x: x.as_slice().ok_or("an input that is not in order")?,
            dy: dy.as_slice().ok_or("an output that is not in order")?,
            shape: case.shape,
            output: [rows, columns],
            kernel: [kernel.height(), kernel.width()],
            taps: kernel.weights().iter().map(|tap| f64::from(*tap)).collect(),
            stride: case.stride,
            before: case.before([rows, columns]),
        })
    }

    /// A sample from everywhere; corners and edges are among it. A sum of `n` terms `t` may be off by
    /// `2 n u Σ|t| + spread u max|dy|`, as the forward one.
    fn check_input(&self, got: &[f32], spread: f64) -> Result<(), Failure> {
        let [images, height, width, channels] = self.shape;
        let len = images * height * width * channels;
        if got.len() != len {
            return Err(format!("{} gradients of {len} inputs", got.len()).into());
        }
        let most = EPS * spread * largest(self.dy);
        for index in (0..len).step_by(len / 500 + 1).chain([len - 1]) {
            let pixel = index / channels;
            let (image, row, column) =
                (pixel / width / height, pixel / width % height, pixel % width);
            let (mut sum, mut size) = (0.0, 0.0);
            for (tap, weight) in self.taps.iter().enumerate() {
                let from = self.reader(0, row, tap / self.kernel[1]);
                let across = self.reader(1, column, tap % self.kernel[1]);
                let (Some(from), Some(across)) = (from, across) else { continue };
                let at = ((image * self.output[0] + from) * self.output[1] + across) * channels;
                let term = weight * f64::from(self.dy[at + index % channels]);
                sum += term;
                size += term.abs();
            }
            let allowed = 2.0 * self.taps.len() as f64 * EPS * size + most;
            near(&format!("input gradient at {index}"), got[index], sum, allowed)?;
        }
        Ok(())
    }

    /// The output row or column that reads this one of the input through a tap.
    fn reader(&self, axis: usize, place: usize, tap: usize) -> Option<usize> {
        let from = (place + self.before[axis]).checked_sub(tap)?;
        let reader = from / self.stride;
        (from % self.stride == 0 && reader < self.output[axis]).then_some(reader)
    }

    /// Every tap, or some from everywhere where there are many. A sum of terms `t` may be off by
    /// `2 depth u Σ|t| + spread u max|x| max|dy|`, and is rounded.
    fn check_kernel(&self, got: &[f32], plan: &GradientPlan) -> Result<(), Failure> {
        let taps = self.taps.len();
        if got.len() != taps {
            return Err(format!("{} gradients of {taps} taps", got.len()).into());
        }
        let spread = largest(self.x) * largest(self.dy);
        for tap in (0..taps).step_by(taps.div_ceil(TAPS).max(1)) {
            let (sum, size) = self.of_tap(tap / self.kernel[1], tap % self.kernel[1]);
            let depth = 2.0 * plan.depth() as f64;
            let allowed = EPS * (depth * size + plan.spread() * spread + sum.abs());
            near(&format!("kernel gradient of tap {tap}"), got[tap], sum, allowed)?;
        }
        Ok(())
    }

    /// The sum of a tap's terms and that of their magnitudes.
    fn of_tap(&self, tap_row: usize, tap_column: usize) -> (f64, f64) {
        let [images, height, width, channels] = self.shape;
        let [rows, columns] = self.output;
        let source = |axis: usize, place: usize, tap: usize, length: usize| {
            let at = (place * self.stride + tap).checked_sub(self.before[axis])?;
            (at < length).then_some(at)
        };
        let (mut sum, mut size) = (0.0, 0.0);
        for image in 0..images {
            for row in 0..rows {
                let Some(from) = source(0, row, tap_row, height) else { continue };
                for column in 0..columns {
                    let Some(across) = source(1, column, tap_column, width) else { continue };
                    let x = &self.x[((image * height + from) * width + across) * channels..];
                    let dy = &self.dy[((image * rows + row) * columns + column) * channels..];
                    for (x, dy) in x[..channels].iter().zip(&dy[..channels]) {
                        let term = f64::from(*x) * f64::from(*dy);
                        sum += term;
                        size += term.abs();
                    }
                }
            }
        }
        (sum, size)
    }
}

fn largest(values: &[f32]) -> f64 {
    values.iter().fold(0.0, |most, value| most.max(f64::from(value.abs())))
}

fn near(what: &str, got: f32, want: f64, allowed: f64) -> Result<(), Failure> {
    let off = (f64::from(got) - want).abs();
    // Neither is a NaN.
    if off <= allowed {
        return Ok(());
    }
    Err(format!("wrong {what}: {got} for {want} (off {off:.1e}, allowed {allowed:.1e})").into())
}
