//! Gradients of a convolution.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use ndarray::{Array, ArrayRef};

use super::arrays::{Axes, in_order, mismatch, of_shape, shape_of, standard};
use super::cpu_backward::{OnCpu, Wanted};
use super::gradients::{Gradients, WeightGradients, weights_of};
use super::{Backend, Engine, auto};
use crate::gpu::GpuBackward;
use crate::plan::{self, EngineTimes, GradientPlan};
use crate::problem::WeightSums;
use crate::wait::Wait;
#[cfg(not(target_arch = "wasm32"))]
use crate::wait::block_on;
use crate::{Conv2d, Element, ElementType, Problem, Result, Shape};

/// A convolution whose gradients were checked, planned and compiled for an engine and inputs `T` of one
/// shape.
///
/// All gradients are f32. An input of bytes is taken as the numbers 0 to 255, and the output whose
/// gradient is given as the f32 one, neither rounded nor saturated.
///
/// The gradient of the input is that of a continued input: what a border brought to several places goes
/// back to its pixel from all of them. At the kinks of activations the slopes are those of TensorFlow
/// and PyTorch ([`Activation::exact_derivative`](crate::Activation::exact_derivative)).
///
/// Sums over a whole tensor are made in parts, in an order that depends on shape and device alone: the
/// same input gives the same bits, and the error does not grow with the tensor ([`GradientPlan::depth`], and
/// [`GradientPlan::spread`] where `assume_finite` allows transforms).
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel};
/// use ndarray::array;
/// # fn main() -> channelwise::Result<()> {
/// // The mean squared error of a kernel that should leave the input as it is.
/// let conv = Conv2d::new(Kernel::new(1, 1, vec![0.5])?);
/// let x = array![[1.0f32, 2.0], [3.0, 4.0]];
/// let engine = Engine::cpu();
/// let backward = engine.prepare_backward::<f32>(&conv, [2, 2])?;
/// let off = engine.run(&conv, &x)? - &x;
/// let gradients = backward.run(&x, &(off * 0.5))?;
/// // d/dk of the mean of (k x - x)², and of each pixel.
/// assert_eq!(gradients.weights.kernel[[0, 0, 0]], (0.5 - 1.0) * 0.5 * 30.0);
/// assert_eq!(gradients.input[[1, 1]], (0.5 - 1.0) * 0.5 * 4.0 * 0.5);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Backward<T> {
    ready: Arc<Ready>,
    /// Where there was a choice.
    times: Option<Arc<EngineTimes>>,
    types: PhantomData<fn(T)>,
}

#[derive(Clone, Debug)]
enum Ready {
    Cpu(Box<OnCpu>),
    Gpu(Box<GpuBackward>),
}

impl Engine {
    /// The gradients of a loss with respect to input and weights of `conv`, from `output_gradient`, that
    /// with respect to its output. For many calls of one shape see [`Engine::prepare_backward`].
    ///
    /// # Errors
    /// Those of [`Engine::prepare_backward`] and [`Backward::run`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn backward<T: Element, D: Axes>(
        &self,
        conv: &Conv2d,
        input: &ArrayRef<T, D>,
        output_gradient: &ArrayRef<f32, D>,
    ) -> Result<Gradients<D>> {
        self.prepare_backward(conv, shape_of(input)?)?.run(input, output_gradient)
    }

    /// [`Engine::backward`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn backward_async<T: Element, D: Axes>(
        &self,
        conv: &Conv2d,
        input: &ArrayRef<T, D>,
        output_gradient: &ArrayRef<f32, D>,
    ) -> Result<Gradients<D>> {
        let prepared = self.prepare_backward_async(conv, shape_of(input)?).await?;
        prepared.run_async(input, output_gradient).await
    }

    /// Checks, plans and (on a GPU) compiles the gradients of `conv` for inputs of one shape. An algorithm
    /// that the engine has forced is taken where it applies, for the sums and the gradient of the input; else
    /// the plan chooses. An engine that chooses takes the one on which all gradients together take less time
    /// by the model, copies counted.
    ///
    /// # Errors
    /// Those of [`Problem::new`] for an output of f32; [`Error::Argument`](crate::Error::Argument) where
    /// `conv` is an adjoint itself; what the device says.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn prepare_backward<T: Element>(
        &self,
        conv: &Conv2d,
        shape: impl Into<Shape>,
    ) -> Result<Backward<T>> {
        block_on(self.backward_for(conv, shape.into(), Wait::HERE))
    }

    /// [`Engine::prepare_backward`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn prepare_backward_async<T: Element>(
        &self,
        conv: &Conv2d,
        shape: impl Into<Shape>,
    ) -> Result<Backward<T>> {
        self.backward_for(conv, shape.into(), Wait::Elsewhere).await
    }

    async fn backward_for<T: Element>(
        &self,
        conv: &Conv2d,
        shape: Shape,
        wait: Wait,
    ) -> Result<Backward<T>> {
        let problem = Problem::new(conv, shape, T::TYPE, ElementType::F32)?;
        let wanted = self.shared.algorithm;
        let on_cpu = |all| Ready::Cpu(Box::new(all));
        let on_gpu = |all| Ready::Gpu(Box::new(all));
        let mut times = None;
        let ready = match &self.shared.backend {
            Backend::Cpu(cpu) => on_cpu(OnCpu::new(cpu, problem, wanted)?),
            Backend::Gpu(gpu) => on_gpu(gpu.backward_for(&problem, wanted, wait).await?),
            Backend::Both { cpu, gpu } => {
                let told = plan::gradient_times(&problem, &cpu.limits(), gpu.limits(), wanted)?;
                let there = async { gpu.backward_for(&problem, wanted, wait).await.map(on_gpu) };
                let here = || OnCpu::new(cpu, problem.clone(), wanted).map(on_cpu);
                let (ready, told) = auto::faster(told, there, here).await?;
                times = Some(Arc::new(told));
                ready
            }
        };
        Ok(Backward { ready: Arc::new(ready), times, types: PhantomData })
    }
}

impl<T: Element> Backward<T> {
    /// All gradients, of a loss whose gradient with respect to the output is `output_gradient`.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) where an array has another shape than was
    /// prepared for; [`Error::OutOfMemory`](crate::Error::OutOfMemory);
    /// [`Error::TooLarge`](crate::Error::TooLarge) where a tensor is larger than a buffer of the GPU;
    /// what the device runs into.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output_gradient: &ArrayRef<f32, D>,
    ) -> Result<Gradients<D>> {
        block_on(self.both(input, output_gradient, Wait::Here))
    }

    /// [`Backward::run`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_async<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output_gradient: &ArrayRef<f32, D>,
    ) -> Result<Gradients<D>> {
        self.both(input, output_gradient, Wait::Elsewhere).await
    }

    /// The gradients of the weights alone: all that a first layer needs.
    ///
    /// # Errors
    /// Those of [`Backward::run`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn weights<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output_gradient: &ArrayRef<f32, D>,
    ) -> Result<WeightGradients> {
        block_on(self.of_weights(input, output_gradient, Wait::Here))
    }

    /// [`Backward::weights`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn weights_async<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output_gradient: &ArrayRef<f32, D>,
    ) -> Result<WeightGradients> {
        self.of_weights(input, output_gradient, Wait::Elsewhere).await
    }

    /// The gradient of the input alone.
    ///
    /// # Errors
    /// Those of [`Backward::run`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn input<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output_gradient: &ArrayRef<f32, D>,
    ) -> Result<Array<f32, D>> {
        block_on(self.of_input(input, output_gradient, Wait::Here))
    }

    /// [`Backward::input`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn input_async<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output_gradient: &ArrayRef<f32, D>,
    ) -> Result<Array<f32, D>> {
        self.of_input(input, output_gradient, Wait::Elsewhere).await
    }

    /// [`Backward::run`] with the gradient of the input written into an array that is there.
    ///
    /// # Errors
    /// Those of [`Backward::run`], also for the shape of `input_gradient`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_into<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output_gradient: &ArrayRef<f32, D>,
        input_gradient: &mut ArrayRef<f32, D>,
    ) -> Result<WeightGradients> {
        let wanted = Wanted { input: true, weights: true };
        let made = self.into(input, output_gradient, wanted, input_gradient, Wait::Here);
        weights_of(self.problem(), block_on(made)?)
    }

    /// [`Backward::run_into`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_into_async<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output_gradient: &ArrayRef<f32, D>,
        input_gradient: &mut ArrayRef<f32, D>,
    ) -> Result<WeightGradients> {
        let wanted = Wanted { input: true, weights: true };
        let made = self.into(input, output_gradient, wanted, input_gradient, Wait::Elsewhere);
        weights_of(self.problem(), made.await?)
    }

    /// [`Backward::input`], written into an array that is there.
    ///
    /// # Errors
    /// Those of [`Backward::run_into`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn input_into<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output_gradient: &ArrayRef<f32, D>,
        input_gradient: &mut ArrayRef<f32, D>,
    ) -> Result<()> {
        let wanted = Wanted { input: true, weights: false };
        let made = self.into(input, output_gradient, wanted, input_gradient, Wait::Here);
        block_on(made).map(drop)
    }

    /// Takes the weights of `conv`, as [`Prepared::set_weights`](crate::Prepared::set_weights) does: a step of
    /// training plans nothing.
    ///
    /// # Errors
    /// The same.
    pub fn set_weights(&mut self, conv: &Conv2d) -> Result<()> {
        match Arc::make_mut(&mut self.ready) {
            Ready::Gpu(gpu) => gpu.set_weights(conv),
            Ready::Cpu(cpu) => cpu.set_weights(conv),
        }
    }

    /// [`Backward::input_into`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn input_into_async<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output_gradient: &ArrayRef<f32, D>,
        input_gradient: &mut ArrayRef<f32, D>,
    ) -> Result<()> {
        let wanted = Wanted { input: true, weights: false };
        let made = self.into(input, output_gradient, wanted, input_gradient, Wait::Elsewhere);
        made.await.map(drop)
    }

    /// The convolution, of f32 outputs.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        match &*self.ready {
            Ready::Cpu(cpu) => &cpu.problem,
            Ready::Gpu(gpu) => gpu.problem(),
        }
    }

    /// How they will be computed.
    #[must_use]
    pub fn plan(&self) -> &GradientPlan {
        match &*self.ready {
            Ready::Cpu(cpu) => &cpu.plan,
            Ready::Gpu(gpu) => gpu.plan(),
        }
    }

    async fn both<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        gradient: &ArrayRef<f32, D>,
        wait: Wait,
    ) -> Result<Gradients<D>> {
        let mut to = of_shape("the gradient of the input", self.problem().input_shape())?;
        let wanted = Wanted { input: true, weights: true };
        let weights = self.into(input, gradient, wanted, &mut to, wait).await?;
        Ok(Gradients { input: to, weights: weights_of(self.problem(), weights)? })
    }

    async fn of_weights<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        gradient: &ArrayRef<f32, D>,
        wait: Wait,
    ) -> Result<WeightGradients> {
        let wanted = Wanted { input: false, weights: true };
        let weights = self.compute(input, gradient, wanted, &mut [], wait).await?;
        weights_of(self.problem(), weights)
    }

    async fn of_input<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        gradient: &ArrayRef<f32, D>,
        wait: Wait,
    ) -> Result<Array<f32, D>> {
        let mut to = of_shape("the gradient of the input", self.problem().input_shape())?;
        let wanted = Wanted { input: true, weights: false };
        self.into(input, gradient, wanted, &mut to, wait).await?;
        Ok(to)
    }

    async fn into<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        gradient: &ArrayRef<f32, D>,
        wanted: Wanted,
        to: &mut ArrayRef<f32, D>,
        wait: Wait,
    ) -> Result<WeightSums> {
        let expected = self.problem().input_shape();
        if shape_of(to)? != expected {
            return Err(mismatch("gradient of the input", expected, to.shape()));
        }
        if let Some(to) = to.as_slice_mut() {
            return self.compute(input, gradient, wanted, to, wait).await;
        }
        let mut whole = standard("a copy of the gradient", to)?;
        let slice = whole.as_slice_mut().unwrap_or_default();
        let weights = self.compute(input, gradient, wanted, slice, wait).await?;
        to.assign(&whole);
        Ok(weights)
    }

    async fn compute<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        gradient: &ArrayRef<f32, D>,
        wanted: Wanted,
        to: &mut [f32],
        wait: Wait,
    ) -> Result<WeightSums> {
        let problem = self.problem();
        for (what, found, expected) in [
            ("input", shape_of(input)?, problem.input_shape()),
            ("gradient of the output", shape_of(gradient)?, problem.output_shape()),
        ] {
            if found != expected {
                return Err(mismatch(what, expected, found.dims()));
            }
        }
        let (mut input_copy, mut gradient_copy) = (None, None);
        let src = in_order(input, &mut input_copy)?;
        let gradient = in_order(gradient, &mut gradient_copy)?;
        match &*self.ready {
            Ready::Cpu(cpu) => cpu.compute(bytemuck::cast_slice(src), gradient, wanted, to),
            Ready::Gpu(gpu) => {
                let to = wanted.input.then_some(to);
                gpu.run_host(src, gradient, to, wanted.weights, wait).await
            }
        }
    }
}

impl<T> fmt::Display for Backward<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.ready {
            Ready::Cpu(cpu) => cpu.plan.fmt(f)?,
            Ready::Gpu(gpu) => gpu.plan().fmt(f)?,
        }
        match &self.times {
            Some(times) => write!(f, "all gradients, from host to host:\n{times}"),
            None => Ok(()),
        }
    }
}
