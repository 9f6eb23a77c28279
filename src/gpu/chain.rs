//! Convolutions one after the other in one submission.

use std::sync::{Arc, OnceLock};

use wgpu::CommandEncoder;

use super::apply::Ends;
use super::bound::{Bound, Compiled};
use super::device::Wait;
use super::prepared::{GpuPrepared, aside};
use super::range::{BufferRange, check_ends};
use super::ready::{Kept, Ready, bound, copied, ends as ends_of};
use super::reweigh::weights_of;
use super::{Gpu, GpuTensor};
use crate::lru::Lru;
use crate::plan::job::{self, Copied, Job};
use crate::plan::{self, ChainPlan, ChainStage, Machine, Residence};
use crate::{Algorithm, Conv2d, Element, ElementType, Result, Shape};

/// Pairs of ranges whose bindings are kept.
const KEPT: usize = 4;

/// Chains of convolutions made ready for a device: what is between stays there, as f32, and neighbours are
/// folded into one kernel where that is exact and cheaper ([`plan::chain`](crate::plan::chain())). Made by
/// [`Gpu::chain`].
///
/// Cloning is cheap and shares everything.
///
/// ```
/// use channelwise::{Conv2d, ElementType, Engine, GpuTensor, Kernel};
/// # fn main() -> channelwise::Result<()> {
///
/// let Ok(engine) = Engine::gpu() else { return Ok(()) }; // there is none
/// let Some(gpu) = engine.as_gpu() else { return Ok(()) };
/// let stages = [Conv2d::new(Kernel::binomial(3)?), Conv2d::new(Kernel::laplacian4())];
/// let chain = gpu.chain(&stages, [16, 16, 3], ElementType::F32, ElementType::F32)?;
/// let x = GpuTensor::<f32>::zeros(gpu, [16, 16, 3])?;
/// let edges: GpuTensor<f32> = chain.apply(&x)?;
/// assert_eq!(edges.download()?, [0.0; 16 * 16 * 3]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct GpuChain {
    gpu: Gpu,
    plan: Arc<ChainPlan>,
    stages: Arc<Vec<GpuPrepared>>,
    compiled: Arc<Compiled>,
    /// Between two buffers, and within one.
    jobs: Arc<[OnceLock<Arc<Job>>; Copied::WAYS]>,
    kept: Arc<Kept>,
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
        let types = [from, to];
        let made = GpuChain::new(self, convs, shape.into(), types, Algorithm::Auto, Wait::HERE);
        pollster::block_on(made)
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
        let (types, wait) = ([from, to], Wait::Elsewhere);
        GpuChain::new(self, convs, shape.into(), types, Algorithm::Auto, wait).await
    }
}

impl GpuChain {
    pub(crate) async fn new(
        gpu: &Gpu,
        convs: &[Conv2d],
        shape: Shape,
        types: [ElementType; 2],
        algorithm: Algorithm,
        wait: Wait,
    ) -> Result<Self> {
        if wait == Wait::HERE {
            return Self::made(gpu, convs, shape, types, algorithm).await;
        }
        let (gpu, convs) = (gpu.clone(), convs.to_vec());
        aside(async move || Self::made(&gpu, &convs, shape, types, algorithm).await).await
    }

    async fn made(
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
            let made = GpuPrepared::new(gpu, &stage.problem, algorithm, Residence::Device);
            stages.push(made.await?);
        }
        let plan = plan.with_plans(stages.iter().map(GpuPrepared::plan));
        let made = Self {
            gpu: gpu.clone(),
            plan: plan.into(),
            compiled: Arc::new(joined(&stages)),
            stages: Arc::new(stages),
            jobs: Arc::default(),
            kept: Arc::new(Lru::new(KEPT)),
        };
        // What no job can do is told here, where an engine may still take another.
        made.job(Copied::default())?;
        Ok(made)
    }

    /// Takes the weights of `convs`, which are those that the chain was made of in all else, as
    /// [`GpuPrepared::set_weights`] does for one. What is done as one kernel stays one.
    ///
    /// # Errors
    /// Those of [`GpuPrepared::set_weights`]; [`Error::Argument`](crate::Error::Argument) for another number of
    /// convolutions; [`Error::NotApplicable`](crate::Error::NotApplicable) too where several were made one
    /// because of what their weights were: a symmetric kernel between borders that reflect, or products of
    /// weights that were no smaller than f32 can tell.
    ///
    /// Any weights are taken by the chains of an engine with `direct` forced
    /// ([`Engine::with_algorithm`](crate::Engine::with_algorithm)), as long as nothing is folded.
    pub fn set_weights(&mut self, convs: &[Conv2d]) -> Result<()> {
        let plan = self.plan.reweighed(convs)?;
        let context = self.gpu.context();
        let weights = plan.stages().iter().map(|stage| weights_of(&stage.problem, &stage.plan));
        let weights = weights.collect::<Result<Vec<_>>>()?;
        let compiled = Arc::get_mut(&mut self.compiled);
        let stages = Arc::get_mut(&mut self.stages).and_then(|stages| own(stages));
        if let (Some(compiled), Some(stages)) = (compiled, stages) {
            // Its buffers are those of the stages.
            compiled.rewrite(context, &weights.concat())?;
            for (ready, stage) in stages.into_iter().zip(plan.stages()) {
                (ready.problem, ready.plan) = (stage.problem.clone(), stage.plan.clone());
            }
        } else {
            let again = self.stages.iter().zip(plan.stages()).zip(&weights);
            let again = again.map(|((stage, ChainStage { problem, plan, .. }), weights)| {
                let ready = stage.ready().again(&self.gpu.executor, weights)?;
                let ready = Ready { problem: problem.clone(), plan: plan.clone(), ..ready };
                Ok(GpuPrepared::of(&self.gpu, Arc::new(ready)))
            });
            let stages = again.collect::<Result<Vec<_>>>()?;
            self.compiled = Arc::new(joined(&stages));
            self.stages = Arc::new(stages);
            self.kept = Arc::new(Lru::new(KEPT));
        }
        self.plan = Arc::new(plan);
        Ok(())
    }

    /// Which convolutions are done at once, how each is computed, and why so.
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
        self.recorded(source, destination)?.replay(encoder);
        Ok(())
    }

    /// What is to be recorded for these ranges.
    fn recorded(
        &self,
        source: &BufferRange<'_>,
        destination: &BufferRange<'_>,
    ) -> Result<Arc<Bound>> {
        let Ends { first, last, .. } = self.ends();
        check_ends(source, destination, first, last)?;
        bound(&self.kept, source, destination, false, || {
            let job = self.job(self.copied(source, destination))?;
            self.bind(&job, source, destination, false)
        })
    }

    /// [`GpuChain::encode`] into a compute pass that is open, as [`GpuPrepared::encode_into`] does for one.
    ///
    /// # Errors
    /// Those of [`GpuPrepared::encode_into`].
    pub fn encode_into(
        &self,
        pass: &mut wgpu::ComputePass<'_>,
        source: &BufferRange<'_>,
        destination: &BufferRange<'_>,
    ) -> Result<()> {
        self.recorded(source, destination)?.dispatch(pass)
    }

    /// What goes through rooms of our own. Between stages lie other buffers.
    fn copied(&self, source: &BufferRange<'_>, destination: &BufferRange<'_>) -> Copied {
        let (first, last) = (self.stages[0].ready(), self.stages[self.stages.len() - 1].ready());
        let copied = copied((first, source), (last, destination));
        let alone = self.stages.len() == 1;
        Copied { source: if alone { copied.source } else { !first.aligned(source) }, ..copied }
    }

    /// The job of all stages.
    pub(super) fn job(&self, copied: Copied) -> Result<Arc<Job>> {
        let known = &self.jobs[copied.way()];
        if let Some(job) = known.get() {
            return Ok(job.clone());
        }
        let last = self.stages.len().saturating_sub(1);
        let jobs = self.stages.iter().enumerate().map(|(n, stage)| {
            let copied = Copied {
                source: copied.source && n == 0,
                destination: copied.destination && n == last,
            };
            Ok((*stage.ready().job(copied)?).clone())
        });
        let job = job::chain(jobs.collect::<Result<_>>()?, &between(&self.stages));
        Ok(known.get_or_init(|| Arc::new(job)).clone())
    }

    pub(super) fn bind(
        &self,
        job: &Job,
        source: &BufferRange<'_>,
        destination: &BufferRange<'_>,
        alone: bool,
    ) -> Result<Bound> {
        let table = ends_of(source, destination);
        self.gpu.executor.bind(job, &self.compiled, &table, alone)
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
        let (source, destination) = (input.own_range(), output.own_range());
        let copied = self.copied(&source, &destination);
        let bind = |job: &Job, alone: bool| {
            bound(&self.kept, &source, &destination, true, || {
                self.bind(job, &source, &destination, alone)
            })
        };
        self.ends().apply_into(input, output, || self.job(copied), bind)
    }

    fn ends(&self) -> Ends<'_> {
        let (first, last) = (&self.plan.first().problem, &self.plan.last().problem);
        Ends { gpu: &self.gpu, first, last }
    }

    /// Lets go of the buffers that were given to [`GpuChain::encode`].
    pub fn forget_buffers(&self) {
        self.kept.clear();
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }
}

/// What all stages run, with their weights.
fn joined(stages: &[GpuPrepared]) -> Compiled {
    Compiled::joined(stages.iter().map(|stage| &stage.ready().compiled))
}

/// The stages, where nobody else has one of them.
fn own(stages: &mut [GpuPrepared]) -> Option<Vec<&mut Ready>> {
    stages.iter_mut().map(|stage| Arc::get_mut(stage.ready_mut())).collect()
}

/// Bytes after each stage but the last.
fn between(stages: &[GpuPrepared]) -> Vec<u64> {
    let bytes = |ready: &Ready| {
        let problem = &ready.problem;
        problem.output_len() as u64 * problem.output_type().bytes() as u64
    };
    let all_but_last = stages.len().saturating_sub(1);
    stages.iter().take(all_but_last).map(|stage| bytes(stage.ready())).collect()
}
