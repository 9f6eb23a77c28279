//! The gradients as plain sums in f64, to hold answers against.

use channelwise::plan::GradientPlan;
use channelwise::{Layout, Problem};
use ndarray::Array4;

use crate::Failure;
use crate::cases::Case;
use crate::row::{Absent, Wrong};

/// Unit round-off of f32.
const EPS: f64 = f32::EPSILON as f64 / 2.0;

/// Most taps of a kernel whose gradients are checked.
const TAPS: usize = 9;

/// The gradients as plain sums in f64.
pub(crate) struct Plain<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) dy: &'a [f32],
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
    pub(crate) fn new(
        case: &Case,
        problem: &Problem,
        x: &'a Array4<f32>,
        dy: &'a Array4<f32>,
    ) -> Result<Self, Failure> {
        if !case.has_plain_gradients() {
            let why = "this bench's sums know gradients of one filter of floats, nothing after it";
            return Err(Absent(why.into()).into());
        }
        let kernel = problem.conv().kernel();
        let layout = case.layout()?;
        let mut shape = problem.input_shape().to_nhwc(layout);
        let [_, rows, columns, _] = problem.output_shape().to_nhwc(layout);
        if layout == Layout::Nchw {
            // Planes are images of one channel.
            shape = [shape[0] * shape[3], shape[1], shape[2], 1];
        }
        Ok(Self {
            x: x.as_slice().ok_or("an input that is not in order")?,
            dy: dy.as_slice().ok_or("an output that is not in order")?,
            shape,
            output: [rows, columns],
            kernel: [kernel.height(), kernel.width()],
            taps: kernel.weights().iter().map(|tap| f64::from(*tap)).collect(),
            stride: case.stride,
            before: case.before([shape[1], shape[2]], [rows, columns]),
        })
    }

    /// A sample from everywhere; corners and edges are among it. A sum of `n` terms `t` may be off by
    /// `2 n u Σ|t| + spread u max|dy|`, as the forward one.
    pub(crate) fn check_input(&self, got: &[f32], spread: f64) -> Result<(), Failure> {
        let [images, height, width, channels] = self.shape;
        let len = images * height * width * channels;
        if got.len() != len {
            return Err(Wrong(format!("{} gradients of {len} inputs", got.len())).into());
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
    pub(crate) fn check_kernel(&self, got: &[f32], plan: &GradientPlan) -> Result<(), Failure> {
        let taps = self.taps.len();
        if got.len() != taps {
            return Err(Wrong(format!("{} gradients of {taps} taps", got.len())).into());
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
    Err(Wrong(format!("{what}: {got} for {want} (off {off:.1e}, allowed {allowed:.1e})")).into())
}
