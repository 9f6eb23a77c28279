//! Gradients, from tensor to tensor: submitted, not waited for.

mod compile;
mod pixels;
mod steps;

use wgpu::Buffer;

use super::pipelines::Ready;
use super::recording::{Recording, Step as Recorded};
use super::wait::Wait;
use super::{Gpu, GpuPrepared, GpuTensor};
use crate::plan::{GradientPlan, Step};
use crate::problem::{PointwiseSums, WeightSums};
use crate::{Element, ElementType, Problem, Result};

pub(super) use compile::constants;

/// Gradients with respect to all that a convolution takes, in device memory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GpuGradients {
    /// Of the input, in its shape; `None` where it was not asked for.
    pub input: Option<GpuTensor<f32>>,
    /// `[height, width, filters]`, of the kernel as given: summed over images, positions and channels.
    pub kernel: GpuTensor<f32>,
    /// `[1, filters]`.
    pub bias: GpuTensor<f32>,
    /// Of the pointwise step, where there is one.
    pub pointwise: Option<GpuPointwiseGradients>,
}

/// Gradients with respect to the weights of a [`Pointwise`](crate::Pointwise) step, in device memory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GpuPointwiseGradients {
    /// `[filters, outputs]`.
    pub weights: GpuTensor<f32>,
    /// `[1, outputs]`.
    pub bias: GpuTensor<f32>,
}

/// The gradients of a problem, planned and compiled for tensors in device memory; see
/// [`Backward`](crate::Backward) for what they are.
///
/// Made by [`Gpu::prepare_backward`].
#[derive(Clone, Debug)]
pub struct GpuBackward {
    gpu: Gpu,
    problem: Problem,
    sums: Problem,
    plan: GradientPlan,
    /// Makes the sums before the activation.
    forward: Option<GpuPrepared>,
    /// Makes the gradient of the input.
    back: GpuPrepared,
    correlate: Ready,
    reduce: Ready,
    slope: Option<Ready>,
    through: Option<Through>,
}

/// What a pointwise step needs.
#[derive(Clone, Debug)]
struct Through {
    weights: Buffer,
    mix: Ready,
    /// Where an activation follows it.
    follow: Option<Ready>,
}

impl Gpu {
    /// The gradients of a loss with respect to input and weights of `conv`, from that with respect to its
    /// output. The work is submitted and not waited for. For many calls of one shape see
    /// [`Gpu::prepare_backward`]. Not in browsers.
    ///
    /// ```no_run
    /// use channelwise::{Conv2d, Gpu, GpuTensor, Kernel};
    /// # fn example(gpu: &Gpu, x: &GpuTensor<f32>, loss: fn(&GpuTensor<f32>) -> GpuTensor<f32>)
    /// # -> channelwise::Result<()> {
    /// let conv = Conv2d::new(Kernel::gaussian(5, 1.2)?);
    /// let y = gpu.run(&conv, x)?;
    /// let gradients = gpu.backward(&conv, x, &loss(&y))?;
    /// let kernel: Vec<f32> = gradients.kernel.download()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Gpu::prepare_backward`] and [`GpuBackward::apply`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn backward<T: Element>(
        &self,
        conv: &crate::Conv2d,
        input: &GpuTensor<T>,
        output_gradient: &GpuTensor<f32>,
    ) -> Result<GpuGradients> {
        let problem = Problem::new(conv, input.shape(), T::TYPE, ElementType::F32)?;
        pollster::block_on(self.prepare_backward(&problem))?.apply(input, output_gradient)
    }
}

impl GpuBackward {
    /// The convolution, of f32 outputs.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// How they are computed.
    #[must_use]
    pub fn plan(&self) -> &GradientPlan {
        &self.plan
    }

    /// All gradients, of a loss whose gradient with respect to the output is `output_gradient`.
    /// Submitted and not waited for; works in browsers too.
    ///
    /// # Errors
    /// [`ShapeMismatch`](crate::Error::ShapeMismatch) where a tensor has another shape than was prepared
    /// for, [`Argument`](crate::Error::Argument) for another element type or layout,
    /// [`TooLarge`](crate::Error::TooLarge) where what lies between is larger than a buffer of the
    /// device, and those of [`GpuPrepared::apply`](crate::GpuPrepared::apply).
    pub fn apply<T: Element>(
        &self,
        input: &GpuTensor<T>,
        output_gradient: &GpuTensor<f32>,
    ) -> Result<GpuGradients> {
        self.made(input, output_gradient, true)
    }

    /// The gradients of the weights alone: all that a first layer needs.
    ///
    /// # Errors
    /// Those of [`GpuBackward::apply`].
    pub fn apply_weights<T: Element>(
        &self,
        input: &GpuTensor<T>,
        output_gradient: &GpuTensor<f32>,
    ) -> Result<GpuGradients> {
        self.made(input, output_gradient, false)
    }

    fn made<T: Element>(
        &self,
        input: &GpuTensor<T>,
        gradient: &GpuTensor<f32>,
        with_input: bool,
    ) -> Result<GpuGradients> {
        let (mut recording, delta, pointwise) = self.delta(input, gradient, true)?;
        let (kernel, bias) = self.kernel(&mut recording, input, &delta)?;
        let input = if with_input { Some(self.input(&mut recording, &delta)?) } else { None };
        self.submit(recording)?;
        Ok(GpuGradients { input, kernel, bias, pointwise })
    }

    /// From host memory to host memory, all that is asked for: the gradient of the input into `to`.
    pub(crate) async fn run_host<T: Element>(
        &self,
        input: &[T],
        gradient: &[f32],
        to: Option<&mut [f32]>,
        weights: bool,
        wait: Wait,
    ) -> Result<WeightSums> {
        let layout = self.problem.conv().layout;
        let input = GpuTensor::upload(&self.gpu, input, self.problem.input_shape())?;
        let gradient = GpuTensor::upload(&self.gpu, gradient, self.problem.output_shape())?;
        let (input, gradient) = (input.with_layout(layout), gradient.with_layout(layout));
        let (mut recording, delta, pointwise) = self.delta(&input, &gradient, weights)?;
        let of_weights = match weights {
            true => Some(self.kernel(&mut recording, &input, &delta)?),
            false => None,
        };
        let of_input = match to {
            Some(to) => Some((self.input(&mut recording, &delta)?, to)),
            None => None,
        };
        self.submit(recording)?;
        drop((input, gradient, delta));
        let mut sums = WeightSums::default();
        if let Some((kernel, bias)) = of_weights {
            sums.kernel = kernel.fetch(wait).await?;
            sums.bias = bias.fetch(wait).await?;
        }
        if let Some(pointwise) = pointwise {
            let weights = pointwise.weights.fetch(wait).await?;
            sums.pointwise =
                Some(PointwiseSums { weights, bias: pointwise.bias.fetch(wait).await? });
        }
        if let Some((tensor, to)) = of_input {
            tensor.fetch_into(to, wait).await?;
        }
        Ok(sums)
    }

    fn submit(&self, recording: Recording) -> Result<()> {
        self.gpu.submit("making gradients", |encoder| {
            recording.replay(encoder, None);
            Ok(())
        })
    }

    /// The gradient of the sums before activation and pointwise step, and those of the latter's weights.
    fn delta<T: Element>(
        &self,
        input: &GpuTensor<T>,
        gradient: &GpuTensor<f32>,
        weights: bool,
    ) -> Result<(Recording, GpuTensor<f32>, Option<GpuPointwiseGradients>)> {
        let Self { gpu, problem, .. } = self;
        let layout = problem.conv().layout;
        input.check("input", problem.input_shape(), layout, problem.input_type())?;
        gpu.same_device("source", input)?;
        let what = "gradient of the output";
        gradient.check(what, problem.output_shape(), layout, ElementType::F32)?;
        gpu.same_device(what, gradient)?;
        let mut recording = Recording::default();
        let (Some(forward), Some(slope)) = (&self.forward, &self.slope) else {
            return Ok((recording, gradient.clone(), None));
        };
        let sums = GpuTensor::zeros(gpu, self.sums.output_shape())?.with_layout(layout);
        recording.extend(forward.record_for(&input.range(), &sums.range(), false)?);
        let mut outputs = gradient.clone();
        let mut pointwise = None;
        if let Some(through) = &self.through {
            if let Some(follow) = &through.follow {
                outputs = GpuTensor::zeros(gpu, problem.output_shape())?.with_layout(layout);
                recording.push(Recorded::copy(&gradient.range(), &outputs.range())?);
                self.each(&mut recording, Step::Follow, follow, &sums, &outputs)?;
            }
            if weights {
                pointwise = Some(self.mix(&mut recording, &through.mix, &sums, &outputs)?);
            }
        }
        self.each(&mut recording, Step::Slope, slope, &outputs, &sums)?;
        Ok((recording, sums, pointwise))
    }

    /// The gradient of the input, from that of the sums.
    fn input(&self, recording: &mut Recording, delta: &GpuTensor<f32>) -> Result<GpuTensor<f32>> {
        let made = GpuTensor::zeros(&self.gpu, self.problem.input_shape())?;
        let made = made.with_layout(self.problem.conv().layout);
        recording.extend(self.back.record_for(&delta.range(), &made.range(), false)?);
        Ok(made)
    }
}
