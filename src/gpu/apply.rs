//! From tensor to tensor: submitted, not waited for.

use std::sync::{Arc, Mutex, PoisonError};

use wgpu::CommandEncoder;

use super::device::checked;
use super::{Gpu, GpuPrepared, GpuTensor};
use crate::{Algorithm, Conv2d, Element, Error, Problem, Result};

/// Problems a device remembers, so that repeated calls plan and compile once.
const REMEMBERED: usize = 16;

/// Problems that were prepared for tensors, the last used last.
///
/// A [`GpuPrepared`] holds a [`Gpu`]; those in here hold one that remembers nothing
/// ([`Gpu::forgetful`]), or neither would ever go.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<Vec<Arc<GpuPrepared>>>);

impl Remembered {
    fn get(&self, known: impl Fn(&Problem) -> bool) -> Option<Arc<GpuPrepared>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|prepared| known(prepared.problem()))?;
        all[at..].rotate_left(1);
        all.last().cloned()
    }

    fn put(&self, prepared: Arc<GpuPrepared>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == REMEMBERED {
            all.remove(0);
        }
        all.push(prepared);
    }
}

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
        pollster::block_on(self.run_async(conv, input))
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
        let known = |problem: &Problem| {
            (problem.input_shape(), problem.input_type(), problem.output_type())
                == (input.shape(), T::TYPE, U::TYPE)
                && problem.conv() == conv
        };
        let prepared = match self.remembered().get(known) {
            Some(prepared) => prepared,
            None => {
                let problem = Problem::new(conv, input.shape(), T::TYPE, U::TYPE)?;
                self.remember(&problem).await?
            }
        };
        // The problem was prepared on a handle that remembers nothing; tensors belong to this one.
        let ends = Ends { gpu: self, ..prepared.ends() };
        ends.check_input(input)?;
        let output = ends.output::<U>()?;
        // A recording that is kept would keep the tensors' buffers too, in a place nobody sees.
        let shared = input.buffer() == output.buffer();
        let recording = prepared.record_for(&input.range(), &output.range(), shared)?;
        self.submit("filtering a tensor", |encoder| {
            recording.replay(encoder, None);
            Ok(())
        })?;
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
        pollster::block_on(self.warm_up_async(problem))
    }

    /// [`Gpu::warm_up`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn warm_up_async(&self, problem: &Problem) -> Result<()> {
        if self.remembered().get(|known| known == problem).is_none() {
            self.remember(problem).await?;
        }
        Ok(())
    }

    async fn remember(&self, problem: &Problem) -> Result<Arc<GpuPrepared>> {
        let prepared = self.forgetful().prepare_async(problem, Algorithm::Auto).await?;
        let prepared = Arc::new(prepared);
        self.remembered().put(prepared.clone());
        Ok(prepared)
    }

    /// Submits what `work` records.
    pub(super) fn submit(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut CommandEncoder) -> Result<()>,
    ) -> Result<()> {
        let submitted = checked(self.device(), self.loss(), doing, || {
            let descriptor = wgpu::CommandEncoderDescriptor { label: Some("channelwise.run") };
            let mut encoder = self.device().create_command_encoder(&descriptor);
            work(&mut encoder)?;
            self.queue().submit([encoder.finish()]);
            Ok(())
        });
        submitted.now()?
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
    /// [`Error::ShapeMismatch`] where the tensor has another shape than was prepared for,
    /// [`Error::Argument`] for another element type or layout, and those of [`GpuTensor::zeros`] and
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
        self.ends().apply_into(input, output, |encoder| {
            self.encode(encoder, &input.range(), &output.range())
        })
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
        let made = GpuTensor::zeros(gpu, last.output_shape())?;
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

    /// Submits what `encode` records for the two.
    pub fn apply_into<T: Element, U: Element>(
        self,
        input: &GpuTensor<T>,
        output: &GpuTensor<U>,
        encode: impl FnOnce(&mut CommandEncoder) -> Result<()>,
    ) -> Result<()> {
        self.check_input(input)?;
        let Self { gpu, last, .. } = self;
        output.check("output", last.output_shape(), last.conv().layout, last.output_type())?;
        gpu.same_device("destination", output)?;
        gpu.submit("filtering a tensor", encode)
    }
}

impl Gpu {
    /// Refuses a tensor that lies elsewhere. Devices themselves cannot be told apart: those of two
    /// instances may have equal handles, and wgpu panics where they are mixed.
    pub(super) fn same_device<T>(&self, which: &'static str, tensor: &GpuTensor<T>) -> Result<()> {
        if Arc::ptr_eq(&self.shared, &tensor.gpu().shared) {
            return Ok(());
        }
        let reason = "it was made with another `Gpu`, and this is no clone of that";
        Err(Error::Buffer { which, reason: reason.into() })
    }
}
