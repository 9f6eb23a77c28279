//! Convolutions one after the other in one submission.

use std::sync::Arc;

use wgpu::{Buffer, BufferUsages, CommandEncoder};

use super::apply::Ends;
use super::recording::Recording;
use super::{BufferRange, Gpu, GpuPrepared, GpuTensor};
use crate::plan::{self, ChainPlan, Machine, Residence};
use crate::{Algorithm, Conv2d, Element, ElementType, Error, Result, Shape};

/// Chains of convolutions made ready for a device: what is between stays there, as f32, in buffers of
/// the device's pool, and neighbours are folded into one kernel where that is exact and cheaper
/// ([`plan::chain`](crate::plan::chain())). Made by [`Gpu::chain`].
///
/// Cloning is cheap and shares everything.
#[derive(Clone, Debug)]
pub struct GpuChain {
    gpu: Gpu,
    plan: Arc<ChainPlan>,
    stages: Vec<GpuPrepared>,
    between: Arc<Between>,
}

/// What stages leave for the next: the first, third .. in one buffer, the others in another.
///
/// They go back to the pool with the chain, where recordings may still hold them: whoever takes one writes
/// it before reading it, within one submission, and submissions of a queue run in order.
#[derive(Debug)]
struct Between {
    gpu: Gpu,
    buffers: Vec<Buffer>,
    bytes: [u64; 2],
}

impl Drop for Between {
    fn drop(&mut self) {
        for buffer in self.buffers.drain(..) {
            self.gpu.pool().give(buffer);
        }
    }
}

impl Gpu {
    /// Plans and compiles convolutions that are applied one after the other to inputs of one shape, `from`
    /// the type of the input, `to` that of the output; between them everything is f32. Not in browsers; see
    /// [`Gpu::chain_async`].
    ///
    /// ```no_run
    /// use channelwise::{Border, Conv2d, ElementType, Gpu, GpuTensor, Kernel};
    /// # fn example(gpu: &Gpu, frame: &GpuTensor<u8>) -> channelwise::Result<()> {
    /// let blur = Conv2d::new(Kernel::gaussian(5, 1.2)?).border(Border::Reflect101);
    /// let edges = Conv2d::new(Kernel::laplacian4()).border(Border::Reflect101);
    /// let both = [blur, edges];
    /// let chain = gpu.chain(&both, frame.shape(), ElementType::U8, ElementType::F32)?;
    /// println!("{}", chain.plan()); // which of them are one kernel, and why the others are not
    /// let edges: GpuTensor<f32> = chain.apply(frame)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`plan::chain`](crate::plan::chain()), and what the device says.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn chain(
        &self,
        convs: &[Conv2d],
        shape: impl Into<Shape>,
        from: ElementType,
        to: ElementType,
    ) -> Result<GpuChain> {
        pollster::block_on(self.chain_async(convs, shape, from, to))
    }

    /// [`Gpu::chain`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn chain_async(
        &self,
        convs: &[Conv2d],
        shape: impl Into<Shape>,
        from: ElementType,
        to: ElementType,
    ) -> Result<GpuChain> {
        GpuChain::new(self, convs, shape.into(), [from, to], Algorithm::Auto).await
    }
}

impl GpuChain {
    pub(crate) async fn new(
        gpu: &Gpu,
        convs: &[Conv2d],
        shape: Shape,
        [from, to]: [ElementType; 2],
        algorithm: Algorithm,
    ) -> Result<Self> {
        let machine = Machine::Gpu(*gpu.limits(), Residence::Device);
        let plan = plan::chain(convs, shape, from, to, &machine, algorithm)?;
        let mut stages = Vec::with_capacity(plan.stages().len());
        for stage in plan.stages() {
            stages.push(gpu.prepare_async(&stage.problem, algorithm).await?);
        }
        let mut bytes = [0; 2];
        for (i, stage) in stages.iter().enumerate().take(stages.len() - 1) {
            let problem = stage.problem();
            let size = problem.output_len() as u64 * problem.output_type().bytes() as u64;
            bytes[i % 2] = size.max(bytes[i % 2]).max(4);
        }
        let mut buffers = Vec::new();
        for size in bytes.into_iter().filter(|size| *size > 0) {
            let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
            let what = "making room between the stages of a chain";
            let limit = gpu.limits().max_buffer;
            if size > limit {
                let (what, value) = ("bytes between the stages of a chain", size.to_string());
                return Err(Error::TooLarge { what, value, limit });
            }
            buffers.push(gpu.pool().take(gpu.device(), gpu.loss(), what, size, usage).await?);
        }
        let between = Between { gpu: gpu.clone(), buffers, bytes };
        Ok(Self { gpu: gpu.clone(), plan: plan.into(), stages, between: Arc::new(between) })
    }

    /// Which convolutions are done at once, how each is computed, and why so. Where the device chooses
    /// algorithms by measuring ([`Tuning`](crate::Tuning)), [`GpuChain::stages`] tells what it took.
    #[must_use]
    pub fn plan(&self) -> &ChainPlan {
        &self.plan
    }

    /// What runs, in order.
    #[must_use]
    pub fn stages(&self) -> &[GpuPrepared] {
        &self.stages
    }

    /// Records all stages into `encoder`, reading `source` and writing `destination`; as
    /// [`GpuPrepared::encode`] does for one.
    ///
    /// # Errors
    /// Those of [`GpuPrepared::encode`].
    pub fn encode(
        &self,
        encoder: &mut CommandEncoder,
        source: &BufferRange<'_>,
        destination: &BufferRange<'_>,
    ) -> Result<()> {
        self.check(source, destination)?;
        self.each(source, destination, |stage, source, destination| {
            stage.encode(encoder, source, destination)
        })
    }

    /// What `encode` records, for buffers of our own.
    pub(super) fn record(
        &self,
        source: &BufferRange<'_>,
        destination: &BufferRange<'_>,
    ) -> Result<Vec<Recording>> {
        self.check(source, destination)?;
        let mut all = Vec::with_capacity(self.stages.len());
        self.each(source, destination, |stage, source, destination| {
            all.push(stage.record_for(source, destination, source.buffer == destination.buffer)?);
            Ok(())
        })?;
        Ok(all)
    }

    fn check(&self, source: &BufferRange<'_>, destination: &BufferRange<'_>) -> Result<()> {
        let Ends { first, last, .. } = self.ends();
        super::encode::check(source, destination, first, last)
    }

    /// Calls `work` for every stage with where it reads and where it writes.
    fn each(
        &self,
        source: &BufferRange<'_>,
        destination: &BufferRange<'_>,
        mut work: impl FnMut(&GpuPrepared, &BufferRange<'_>, &BufferRange<'_>) -> Result<()>,
    ) -> Result<()> {
        let range = |i: usize| {
            let buffer = self.between.buffers.get(i % 2)?;
            Some(BufferRange { buffer, offset: 0, size: self.between.bytes[i % 2] })
        };
        let last = self.stages.len() - 1;
        for (i, stage) in self.stages.iter().enumerate() {
            let from = if i == 0 { Some(*source) } else { range(i - 1) };
            let to = if i == last { Some(*destination) } else { range(i) };
            if let (Some(from), Some(to)) = (from, to) {
                work(stage, &from, &to)?;
            }
        }
        Ok(())
    }

    /// Applies the chain to a tensor and gives a new one. The work is submitted and not waited for.
    ///
    /// # Errors
    /// Those of [`GpuPrepared::apply`].
    pub fn apply<T: Element, U: Element>(&self, input: &GpuTensor<T>) -> Result<GpuTensor<U>> {
        self.ends().apply(input, |output| self.apply_into(input, output))
    }

    /// Applies the chain to a tensor and overwrites another.
    ///
    /// # Errors
    /// Those of [`GpuPrepared::apply_into`].
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
        let (first, last) = (&self.plan.first().problem, &self.plan.last().problem);
        Ends { gpu: &self.gpu, first, last }
    }

    /// Lets go of the buffers that were given to [`GpuChain::encode`].
    pub fn forget_buffers(&self) {
        for stage in &self.stages {
            stage.forget_buffers();
        }
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }
}
