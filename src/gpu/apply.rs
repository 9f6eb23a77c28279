//! From tensor to tensor: submitted, not waited for.

use std::sync::Arc;

use super::bound::Bound;
use super::device::Wait;
use super::prepared::{GpuPrepared, aside, prepare};
use super::range::check_ends;
use super::ready::{Ready, bound, copied, ends as ends_of};
use super::{Gpu, GpuTensor};
use crate::plan::Residence;
use crate::plan::job::Job;
use crate::{Algorithm, Conv2d, Element, ElementType, Problem, Result, Shape};

impl Gpu {
    /// Applies `conv` to a tensor; the output has the same element type and number of axes. The work is
    /// submitted and not waited for: submissions of one queue run in order, so the output can be used at
    /// once by whatever is submitted later, and [`GpuTensor::download`] waits. Repeated calls with equal
    /// options and shape plan and compile only once. Not in browsers; see [`Gpu::run_async`].
    ///
    /// ```no_run
    /// use channelwise::{Conv2d, Gpu, GpuTensor, Kernel};
    /// # fn example(gpu: &Gpu) -> channelwise::Result<()> {
    /// let x = GpuTensor::upload(gpu, &[1.0f32; 300], [1, 10, 10, 3])?;
    /// let y = gpu.run(&Conv2d::like_tensorflow(Kernel::sobel_x()), &x)?;
    /// assert_eq!(y.shape().dims(), [1, 8, 8, 3]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Problem::new`], [`Gpu::prepare`] and [`GpuPrepared::apply`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run<T: Element>(&self, conv: &Conv2d, input: &GpuTensor<T>) -> Result<GpuTensor<T>> {
        self.run_as(conv, input)
    }

    /// [`Gpu::run`] with another element type of the output: u8 in and f32 out, say.
    ///
    /// # Errors
    /// The same.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_as<T: Element, U: Element>(
        &self,
        conv: &Conv2d,
        input: &GpuTensor<T>,
    ) -> Result<GpuTensor<U>> {
        pollster::block_on(self.filtered(conv, input, Wait::HERE))
    }

    /// [`Gpu::run_as`] without blocking, which is where shaders have to be compiled.
    ///
    /// # Errors
    /// The same.
    pub async fn run_async<T: Element, U: Element>(
        &self,
        conv: &Conv2d,
        input: &GpuTensor<T>,
    ) -> Result<GpuTensor<U>> {
        self.filtered(conv, input, Wait::Elsewhere).await
    }

    async fn filtered<T: Element, U: Element>(
        &self,
        conv: &Conv2d,
        input: &GpuTensor<T>,
        wait: Wait,
    ) -> Result<GpuTensor<U>> {
        let ready = match self.remembered(conv, input.shape(), [T::TYPE, U::TYPE]) {
            Some(ready) => ready,
            None => {
                let problem = Problem::new(conv, input.shape(), T::TYPE, U::TYPE)?;
                self.known(&problem, wait).await?
            }
        };
        let ends = Ends { gpu: self, first: &ready.problem, last: &ready.problem };
        ends.check_input(input)?;
        let output = ends.output::<U>()?;
        // What is bound is not kept: it would keep the tensors' buffers too, in a place nobody sees.
        let (source, destination) = (input.own_range(), output.own_range());
        let job = ready.job(copied((&ready, &source), (&ready, &destination)))?;
        let table = ends_of(&source, &destination);
        let most = self.limits().max_work();
        self.executor.run("filtering a tensor", &job, &ready.compiled, &table, most)?;
        Ok(output)
    }

    /// Plans and compiles ahead what [`Gpu::run`] needs for `problem`, on another thread for example. The
    /// 16 problems last used are remembered, and pipelines for as long as the device. For the calls of an
    /// engine [`Engine::prepare`](crate::Engine::prepare) does it. Not in browsers; see
    /// [`Gpu::warm_up_async`].
    ///
    /// ```no_run
    /// use channelwise::{Conv2d, ElementType, Gpu, Kernel, Problem};
    /// # fn example(gpu: &Gpu) -> channelwise::Result<()> {
    /// let blur = Conv2d::new(Kernel::gaussian(9, 2.0)?);
    /// gpu.warm_up(&Problem::new(&blur, [1080, 1920, 4], ElementType::U8, ElementType::U8)?)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Gpu::prepare`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn warm_up(&self, problem: &Problem) -> Result<()> {
        pollster::block_on(self.known(problem, Wait::HERE)).map(drop)
    }

    /// [`Gpu::warm_up`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn warm_up_async(&self, problem: &Problem) -> Result<()> {
        self.known(problem, Wait::Elsewhere).await.map(drop)
    }

    /// What is remembered of this problem, by its bits.
    fn remembered(
        &self,
        conv: &Conv2d,
        shape: Shape,
        types: [ElementType; 2],
    ) -> Option<Arc<Ready>> {
        self.remembered.get(|(), ready| {
            let problem = &ready.problem;
            (problem.input_shape(), [problem.input_type(), problem.output_type()]) == (shape, types)
                && problem.conv().same_bits(conv)
        })
    }

    /// The problem made ready, or as it is remembered.
    async fn known(&self, problem: &Problem, wait: Wait) -> Result<Arc<Ready>> {
        let types = [problem.input_type(), problem.output_type()];
        if let Some(ready) = self.remembered(problem.conv(), problem.input_shape(), types) {
            return Ok(ready);
        }
        let made = match wait {
            Wait::Here => prepare(self, problem, Algorithm::Auto, Residence::Device).await?,
            Wait::Elsewhere => {
                let (gpu, problem) = (self.clone(), problem.clone());
                aside(async move || {
                    prepare(&gpu, &problem, Algorithm::Auto, Residence::Device).await
                })
                .await?
            }
        };
        let ready = Arc::new(made);
        self.remembered.put((), ready.clone());
        Ok(ready)
    }
}

impl GpuPrepared {
    /// Applies the problem to a tensor, as [`Gpu::run`] does, and gives a new one. Works in browsers too:
    /// nothing is waited for.
    ///
    /// ```no_run
    /// use channelwise::{Algorithm, Conv2d, ElementType, Gpu, GpuTensor, Kernel, Problem};
    /// # fn example(gpu: &Gpu, frames: &[GpuTensor<u8>]) -> channelwise::Result<()> {
    /// let sobel = Conv2d::new(Kernel::sobel_x());
    /// let problem = Problem::new(&sobel, [720, 1280, 4], ElementType::U8, ElementType::F32)?;
    /// let prepared = gpu.prepare(&problem, Algorithm::Auto)?;
    /// let edges = GpuTensor::<f32>::zeros(gpu, problem.output_shape())?;
    /// for frame in frames {
    ///     prepared.apply_into(frame, &edges)?;
    /// }
    /// let last: GpuTensor<f32> = prepared.apply(&frames[0])?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) where the tensor has another shape than was prepared for,
    /// [`Error::Argument`](crate::Error::Argument) for another element type or layout, and those of [`GpuTensor::zeros`] and
    /// [`GpuPrepared::encode`].
    pub fn apply<T: Element, U: Element>(&self, input: &GpuTensor<T>) -> Result<GpuTensor<U>> {
        self.ends().apply(input, |output| self.apply_into(input, output))
    }

    /// Applies the problem to a tensor and overwrites another. What is made for a pair of tensors is kept
    /// for the four pairs last used, as with [`GpuPrepared::encode`].
    ///
    /// # Errors
    /// Those of [`GpuPrepared::apply`], also for the output.
    pub fn apply_into<T: Element, U: Element>(
        &self,
        input: &GpuTensor<T>,
        output: &GpuTensor<U>,
    ) -> Result<()> {
        let ready = self.ready();
        let (source, destination) = (input.own_range(), output.own_range());
        let copied = copied((ready, &source), (ready, &destination));
        let bind = |job: &Job, alone: bool| -> Result<Arc<Bound>> {
            bound(&ready.kept, &source, &destination, true, || {
                let table = ends_of(&source, &destination);
                self.executor().bind(job, &ready.compiled, &table, alone)
            })
        };
        self.ends().apply_into(input, output, || ready.job(copied), bind)
    }

    fn ends(&self) -> Ends<'_> {
        Ends { gpu: self.gpu(), first: self.problem(), last: self.problem() }
    }
}

/// Where tensors go into one problem or several, and where they come out.
#[derive(Clone, Copy)]
pub(super) struct Ends<'a> {
    pub gpu: &'a Gpu,
    pub first: &'a Problem,
    pub last: &'a Problem,
}

impl Ends<'_> {
    pub fn check_input<T: Element>(self, input: &GpuTensor<T>) -> Result<()> {
        let Self { gpu, first, .. } = self;
        input.check("input", first.input_shape(), first.conv().layout, first.input_type())?;
        gpu.same_device("source", input)
    }

    /// Room for what comes out.
    fn output<U: Element>(self) -> Result<GpuTensor<U>> {
        let Self { gpu, last, .. } = self;
        let made = GpuTensor::unwritten(gpu, last.output_shape())?;
        let made = made.with_layout(last.conv().layout);
        made.check("output", last.output_shape(), made.layout(), last.output_type())?;
        Ok(made)
    }

    /// Into a new tensor.
    pub fn apply<T: Element, U: Element>(
        self,
        input: &GpuTensor<T>,
        into: impl FnOnce(&GpuTensor<U>) -> Result<()>,
    ) -> Result<GpuTensor<U>> {
        self.check_input(input)?;
        let output = self.output()?;
        into(&output)?;
        Ok(output)
    }

    /// Runs the job that `bind` binds to the two, alone where it is too much for one submission.
    pub fn apply_into<T: Element, U: Element>(
        self,
        input: &GpuTensor<T>,
        output: &GpuTensor<U>,
        job: impl FnOnce() -> Result<Arc<Job>>,
        bind: impl FnOnce(&Job, bool) -> Result<Arc<Bound>>,
    ) -> Result<()> {
        self.check_input(input)?;
        let Self { gpu, first, last } = self;
        output.check("output", last.output_shape(), last.conv().layout, last.output_type())?;
        gpu.same_device("destination", output)?;
        check_ends(&input.own_range(), &output.own_range(), first, last)?;
        let most = gpu.limits().max_work();
        let job = job()?;
        let bound = bind(&job, job.work() > most)?;
        gpu.executor.run_bound("filtering a tensor", &bound, most)
    }
}
