//! Gradients, from tensor to tensor: submitted, not waited for.

use std::sync::{Arc, OnceLock};

use super::bound::{Compiled, Given};
use super::device::Wait;
use super::prepared::aside;
use super::range::BufferRange;
use super::staging::read_back;
use super::{Gpu, GpuTensor};
use crate::plan::job::{self, GradientJob, Job, Resource};
use crate::plan::{self, GradientPlan, Machine, Residence};
use crate::problem::{PointwiseSums, WeightSums};
use crate::{Algorithm, Conv2d, Element, ElementType, Error, Problem, Result};

/// Gradients with respect to all that a convolution takes, in device memory.
///
/// ```
/// use channelwise::{Conv2d, Engine, GpuTensor, Kernel};
/// # fn main() -> channelwise::Result<()> {
///
/// let Ok(engine) = Engine::gpu() else { return Ok(()) }; // there is none
/// let Some(gpu) = engine.as_gpu() else { return Ok(()) };
/// let conv = Conv2d::new(Kernel::box_blur(3, 3)?);
/// let x = GpuTensor::upload(gpu, &[1.0f32; 64], [8, 8, 1])?;
/// let dy = GpuTensor::upload(gpu, &[1.0f32; 64], [8, 8, 1])?;
/// let gradients = gpu.backward(&conv, &x, &dy)?;
/// assert_eq!(gradients.bias.download()?, [64.0]);
/// assert_eq!(gradients.input.map(|dx| dx.shape()), Some(x.shape()));
/// # Ok(()) }
/// ```
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
///
/// ```
/// use channelwise::{Conv2d, Engine, GpuTensor, Kernel, Pointwise};
/// # fn main() -> channelwise::Result<()> {
///
/// let Ok(engine) = Engine::gpu() else { return Ok(()) }; // there is none
/// let Some(gpu) = engine.as_gpu() else { return Ok(()) };
/// let conv = Conv2d::new(Kernel::box_blur(3, 3)?).pointwise(Pointwise::new(1, 1, vec![2.0])?);
/// let x = GpuTensor::upload(gpu, &[1.0f32; 64], [8, 8, 1])?;
/// let dy = GpuTensor::upload(gpu, &[1.0f32; 64], [8, 8, 1])?;
/// let gradients = gpu.backward(&conv, &x, &dy)?;
/// let pointwise = gradients.pointwise.expect("there is such a step");
/// assert_eq!(pointwise.bias.download()?, [64.0]);
/// # Ok(()) }
/// ```
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
/// Made by [`Gpu::prepare_backward`]. Cloning is cheap and shares everything.
///
/// ```
/// use channelwise::{Conv2d, ElementType, Engine, GpuTensor, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let Ok(engine) = Engine::gpu() else { return Ok(()) }; // there is none
/// let Some(gpu) = engine.as_gpu() else { return Ok(()) };
/// let conv = Conv2d::new(Kernel::box_blur(3, 3)?);
/// let x = GpuTensor::upload(gpu, &[1.0f32; 64], [8, 8, 1])?;
/// let dy = GpuTensor::upload(gpu, &[1.0f32; 64], [8, 8, 1])?;
/// let problem = Problem::new(&conv, x.shape(), ElementType::F32, ElementType::F32)?;
/// let backward = gpu.prepare_backward(&problem)?; // once
/// let gradients = backward.apply(&x, &dy)?;
/// assert_eq!(gradients.kernel.download()?[4], 64.0); // the middle tap meets every pixel
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct GpuBackward {
    gpu: Gpu,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    problem: Problem,
    sums: Problem,
    back: Problem,
    plan: GradientPlan,
    compiled: Compiled,
    /// By what is wanted: with the gradients of the weights (1), of the input (2).
    jobs: [OnceLock<Arc<Job>>; 16],
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    weights: bool,
    input: bool,
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
        conv: &Conv2d,
        input: &GpuTensor<T>,
        output_gradient: &GpuTensor<f32>,
    ) -> Result<GpuGradients> {
        let problem = Problem::new(conv, input.shape(), T::TYPE, ElementType::F32)?;
        self.prepare_backward(&problem)?.apply(input, output_gradient)
    }

    /// [`Gpu::backward`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn backward_async<T: Element>(
        &self,
        conv: &Conv2d,
        input: &GpuTensor<T>,
        output_gradient: &GpuTensor<f32>,
    ) -> Result<GpuGradients> {
        let problem = Problem::new(conv, input.shape(), T::TYPE, ElementType::F32)?;
        self.prepare_backward_async(&problem).await?.apply(input, output_gradient)
    }
}

impl Gpu {
    /// Plans and compiles the gradients of `problem`, whose output must be f32. Not in browsers; see
    /// [`Gpu::prepare_backward_async`].
    ///
    /// # Errors
    /// [`Error::Argument`] for another output type or the adjoint of a convolution; those of
    /// [`Gpu::prepare`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn prepare_backward(&self, problem: &Problem) -> Result<GpuBackward> {
        pollster::block_on(self.backward_for(problem, Algorithm::Auto, Wait::HERE))
    }

    /// [`Gpu::prepare_backward`] by `algorithm` where that applies.
    pub(crate) async fn backward_for(
        &self,
        problem: &Problem,
        algorithm: Algorithm,
        wait: Wait,
    ) -> Result<GpuBackward> {
        if wait == Wait::HERE {
            return self.backward_of(problem, algorithm).await;
        }
        let (gpu, problem) = (self.clone(), problem.clone());
        aside(async move || gpu.backward_of(&problem, algorithm).await).await
    }

    /// [`Gpu::prepare_backward`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn prepare_backward_async(&self, problem: &Problem) -> Result<GpuBackward> {
        self.backward_for(problem, Algorithm::Auto, Wait::Elsewhere).await
    }

    async fn backward_of(&self, problem: &Problem, algorithm: Algorithm) -> Result<GpuBackward> {
        if problem.output_type() != ElementType::F32 {
            return Err(Error::argument(
                "output type",
                problem.output_type(),
                "gradients are those of f32 outputs",
            ));
        }
        let machine = Machine::Gpu(*self.limits(), Residence::Device);
        let plan = plan::gradient(problem, &machine, algorithm)?;
        let sums = problem.sums()?;
        let back = sums.back()?;
        let of = GradientJob {
            problem,
            sums: &sums,
            back: &back,
            plan: &plan,
            weights: true,
            input: true,
        };
        let (job, weights) = (job::gradient(of, self.limits())?, job::gradient_weights(of)?);
        let limit = self.limits().max_range();
        let compiled = self.executor.compile(&job.programs, &weights, limit).await?;
        let problem = problem.clone();
        let jobs = [const { OnceLock::new() }; 16];
        let inner = Inner { problem, sums, back, plan, compiled, jobs };
        Ok(GpuBackward { gpu: self.clone(), inner: Arc::new(inner) })
    }
}

impl Inner {
    /// Rows and columns of the kernel, and filters.
    fn kernel(&self) -> [usize; 3] {
        let (height, width) = self.sums.geometry().kernel;
        [height, width, self.sums.weights().filters]
    }

    /// Filters and outputs of the pointwise step.
    fn pointwise(&self) -> Option<[usize; 2]> {
        let step = self.problem.conv().pointwise.as_ref();
        step.map(|step| [step.filters(), step.outputs()])
    }
}

impl GpuBackward {
    /// The convolution, of f32 outputs.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.inner.problem
    }

    /// How they are computed.
    #[must_use]
    pub fn plan(&self) -> &GradientPlan {
        &self.inner.plan
    }

    /// Takes the weights of `conv`, as [`GpuPrepared::set_weights`](crate::GpuPrepared::set_weights) does.
    ///
    /// # Errors
    /// The same.
    pub fn set_weights(&mut self, conv: &Conv2d) -> Result<()> {
        let Inner { problem, plan, .. } = &*self.inner;
        let problem = problem.reweighed(conv)?;
        let sums = problem.sums()?;
        let back = sums.back()?;
        let plan = plan.reweighed(&sums, &back)?;
        let of = GradientJob {
            problem: &problem,
            sums: &sums,
            back: &back,
            plan: &plan,
            weights: true,
            input: true,
        };
        let weights = job::gradient_weights(of)?;
        let context = self.gpu.context();
        match Arc::get_mut(&mut self.inner) {
            Some(own) => {
                own.compiled.rewrite(context, &weights)?;
                (own.problem, own.sums, own.back, own.plan) = (problem, sums, back, plan);
            }
            None => {
                let compiled = self.inner.compiled.with_weights(context, &weights)?;
                let jobs = self.inner.jobs.clone();
                let inner = Inner { problem, sums, back, plan, compiled, jobs };
                self.inner = Arc::new(inner);
            }
        }
        Ok(())
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
        self.gradients(self.run(input, output_gradient, Wanted { weights: true, input: true })?)
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
        self.gradients(self.run(input, output_gradient, Wanted { weights: true, input: false })?)
    }

    /// What is asked for, of an input and a gradient of which some are `copied` first.
    fn job(&self, wanted: Wanted, copied: [bool; 2]) -> Result<Arc<Job>> {
        let Inner { problem, sums, back, plan, jobs, .. } = &*self.inner;
        let Wanted { weights, input } = wanted;
        let flags = [weights, input, copied[0], copied[1]];
        let known = &jobs[flags.iter().fold(0, |all, flag| 2 * all + usize::from(*flag))];
        if let Some(job) = known.get() {
            return Ok(job.clone());
        }
        let of = GradientJob { problem, sums, back, plan, weights, input };
        let mut job = job::gradient(of, self.gpu.limits())?;
        let bytes = [
            (Resource::Source, problem.input_len() * problem.input_type().bytes()),
            (Resource::OutputGradient, problem.output_len() * ElementType::F32.bytes()),
        ];
        for ((resource, bytes), copied) in bytes.into_iter().zip(copied) {
            if copied {
                job.through_room(resource, bytes as u64);
            }
        }
        Ok(known.get_or_init(|| Arc::new(job)).clone())
    }

    /// Submits the job, whose gradients go into new tensors.
    fn run<T: Element>(
        &self,
        input: &GpuTensor<T>,
        gradient: &GpuTensor<f32>,
        wanted: Wanted,
    ) -> Result<Made> {
        let (gpu, problem) = (&self.gpu, &self.inner.problem);
        let layout = problem.conv().layout;
        input.check("input", problem.input_shape(), layout, problem.input_type())?;
        gpu.same_device("source", input)?;
        let what = "gradient of the output";
        gradient.check(what, problem.output_shape(), layout, ElementType::F32)?;
        gpu.same_device(what, gradient)?;
        // Those that begin where no vector of a shader's does go through a room.
        let alignment = self.inner.plan.alignment() as u64;
        let copied = [input.own_range(), gradient.own_range()]
            .map(|range| !range.offset.is_multiple_of(alignment));
        let job = self.job(wanted, copied)?;
        let mut made = Made::default();
        if wanted.input {
            made.input =
                Some(GpuTensor::unwritten(gpu, problem.input_shape())?.with_layout(layout));
        }
        if wanted.weights {
            let [height, width, filters] = self.inner.kernel();
            made.kernel = Some(GpuTensor::unwritten(gpu, [1, (height * width + 1) * filters])?);
            if let Some([filters, outputs]) = self.inner.pointwise() {
                made.pointwise = Some(GpuTensor::unwritten(gpu, [1, (filters + 1) * outputs])?);
            }
        }
        let mut table = vec![
            (Resource::Source, Given::Range(input.own_range())),
            (Resource::OutputGradient, Given::Range(gradient.own_range())),
        ];
        for (resource, tensor) in [
            (Resource::Destination, &made.input),
            (Resource::KernelGradient, &made.kernel),
            (Resource::PointwiseGradient, &made.pointwise),
        ] {
            table.extend(tensor.iter().map(|tensor| (resource, Given::Range(tensor.own_range()))));
        }
        let most = gpu.limits().max_work();
        gpu.executor.run("making gradients", &job, &self.inner.compiled, &table, most)?;
        Ok(made)
    }

    /// The tensors as what they are parts of.
    fn gradients(&self, made: Made) -> Result<GpuGradients> {
        let [height, width, filters] = self.inner.kernel();
        let all = match made.kernel {
            Some(all) => all,
            None => GpuTensor::zeros(&self.gpu, [1, (height * width + 1) * filters])?,
        };
        let kernel = all.part(0, [height, width, filters]);
        let bias = all.part(height * width * filters, [1, filters]);
        let pointwise = match (made.pointwise, self.inner.pointwise()) {
            (Some(all), Some([filters, outputs])) => Some(GpuPointwiseGradients {
                weights: all.part(0, [filters, outputs]),
                bias: all.part(filters * outputs, [1, outputs]),
            }),
            _ => None,
        };
        Ok(GpuGradients { input: made.input, kernel, bias, pointwise })
    }

    /// From host memory to host memory, all that is asked for: the gradient of the input into `to`.
    pub(crate) async fn run_host<T: Element>(
        &self,
        input: &[T],
        gradient: &[f32],
        mut to: Option<&mut [f32]>,
        weights: bool,
        wait: Wait,
    ) -> Result<WeightSums> {
        let problem = &self.inner.problem;
        let layout = problem.conv().layout;
        let input = GpuTensor::upload(&self.gpu, input, problem.input_shape())?;
        let gradient = GpuTensor::upload(&self.gpu, gradient, problem.output_shape())?;
        let (input, gradient) = (input.with_layout(layout), gradient.with_layout(layout));
        let made = self.run(&input, &gradient, Wanted { weights, input: to.is_some() })?;
        drop((input, gradient));
        // One readback for all.
        let all = [&made.kernel, &made.pointwise, &made.input];
        let ranges = all.map(|tensor| tensor.as_ref().map(GpuTensor::own_range));
        let which: Vec<usize> = (0..all.len()).filter(|n| ranges[*n].is_some()).collect();
        let ranges: Vec<BufferRange<'_>> = ranges.into_iter().flatten().collect();
        let mut sums = WeightSums::default();
        let mut of_pointwise = Vec::new();
        read_back(&self.gpu.executor, &ranges, wait, |n, bytes| match (which[n], &mut to) {
            (0, _) => sums.kernel = bytemuck::pod_collect_to_vec(bytes),
            (1, _) => of_pointwise = bytemuck::pod_collect_to_vec(bytes),
            (_, Some(to)) => {
                let to: &mut [u8] = bytemuck::cast_slice_mut(to);
                to.copy_from_slice(&bytes[..to.len()]);
            }
            (_, None) => {}
        })
        .await?;
        if weights {
            let [height, width, filters] = self.inner.kernel();
            sums.bias = sums.kernel.split_off(height * width * filters);
            if let Some([filters, outputs]) = self.inner.pointwise() {
                let bias = of_pointwise.split_off(filters * outputs);
                sums.pointwise = Some(PointwiseSums { weights: of_pointwise, bias });
            }
        }
        Ok(sums)
    }
}

/// Tensors that gradients go into: those of kernel and bias in one, and those of a pointwise step.
#[derive(Debug, Default)]
struct Made {
    input: Option<GpuTensor<f32>>,
    kernel: Option<GpuTensor<f32>>,
    pointwise: Option<GpuTensor<f32>>,
}
