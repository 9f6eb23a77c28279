//! A plan with what was compiled for it: all that its jobs need but the tensors.

use std::sync::{Arc, OnceLock};

use wgpu::Buffer;

use super::bound::{Bound, Compiled, Given};
use super::executor::Executor;
use super::range::BufferRange;
use crate::lru::Lru;
use crate::plan::job::{self, Copied, Job, Resource};
use crate::plan::{GpuLaunch, GpuLimits, Launch, Plan};
use crate::{Algorithm, Error, Problem, Result};

/// Pairs of ranges whose bindings are kept.
const KEPT: usize = 4;

/// A source and a destination: buffer, offset and size. What is kept for them knows whether it may run in
/// several submissions.
pub(super) type Ranges = ([(Buffer, u64, u64); 2], bool);

/// What was bound for the pairs of ranges used last.
pub(super) type Kept = Lru<Ranges, Arc<Bound>>;

/// A problem, its plan, its weights and its compiled shaders.
#[derive(Debug)]
pub(super) struct Ready {
    pub problem: Problem,
    pub plan: Plan,
    pub limits: GpuLimits,
    pub compiled: Compiled,
    /// From a tensor to another, by what is copied.
    pub jobs: [OnceLock<Arc<Job>>; Copied::WAYS],
    pub kept: Kept,
}

impl Ready {
    pub async fn new(
        executor: &Executor,
        limits: &GpuLimits,
        problem: &Problem,
        plan: Plan,
    ) -> Result<Self> {
        let Launch::Gpu(launch) = plan.launch() else { return Err(elsewhere(plan.algorithm())) };
        let (programs, weights) =
            (job::programs(problem, launch, None), job::weights(problem, launch)?);
        let compiled = executor.compile(&programs, &weights, limits.max_range()).await?;
        let (problem, limits) = (problem.clone(), *limits);
        let jobs = [const { OnceLock::new() }; Copied::WAYS];
        Ok(Self { problem, plan, limits, compiled, jobs, kept: Lru::new(KEPT) })
    }

    /// The same with weights of its own.
    pub fn again(&self, executor: &Executor, weights: &[Vec<f32>]) -> Result<Self> {
        Ok(Self {
            problem: self.problem.clone(),
            plan: self.plan.clone(),
            limits: self.limits,
            compiled: self.compiled.with_weights(&executor.context, weights)?,
            jobs: self.jobs.clone(),
            kept: Lru::new(KEPT),
        })
    }

    pub fn launch(&self) -> Result<&GpuLaunch> {
        match self.plan.launch() {
            Launch::Gpu(launch) => Ok(launch),
            Launch::Cpu(_) => Err(elsewhere(self.plan.algorithm())),
        }
    }

    /// Whether a tensor begins where the shader's vectors do.
    pub fn aligned(&self, range: &BufferRange<'_>) -> bool {
        self.launch().is_ok_and(|l| range.offset.is_multiple_of(l.scheme.alignment() as u64))
    }

    /// The job from tensor to tensor.
    pub fn job(&self, copied: Copied) -> Result<Arc<Job>> {
        let known = &self.jobs[copied.way()];
        if let Some(job) = known.get() {
            return Ok(job.clone());
        }
        let job = Arc::new(job::tensors(&self.problem, self.launch()?, &self.limits, copied)?);
        Ok(known.get_or_init(|| job).clone())
    }
}

/// What goes through rooms of our own between `first` that reads the one and `last` that writes the other.
pub(super) fn copied(
    (first, source): (&Ready, &BufferRange<'_>),
    (last, destination): (&Ready, &BufferRange<'_>),
) -> Copied {
    let shared = source.buffer == destination.buffer;
    Copied { source: shared || !first.aligned(source), destination: !last.aligned(destination) }
}

/// What is bound for these ranges: kept from before, or made by `bind`. `submitted` by us, it may be in
/// several parts where it is too much for one.
pub(super) fn bound(
    kept: &Kept,
    source: &BufferRange<'_>,
    destination: &BufferRange<'_>,
    submitted: bool,
    bind: impl FnOnce() -> Result<Bound>,
) -> Result<Arc<Bound>> {
    let same = |(buffer, offset, size): &(Buffer, u64, u64), range: &BufferRange<'_>| {
        buffer == range.buffer && (*offset, *size) == (range.offset, range.size)
    };
    let known = kept
        .get(|([from, to], by), _| *by == submitted && same(from, source) && same(to, destination));
    if let Some(bound) = known {
        return Ok(bound);
    }
    let made = Arc::new(bind()?);
    let owned = |range: &BufferRange<'_>| (range.buffer.clone(), range.offset, range.size);
    kept.put(([source, destination].map(owned), submitted), made.clone());
    Ok(made)
}

/// The two as resources of a job.
pub(super) fn ends<'a>(
    source: &BufferRange<'a>,
    destination: &BufferRange<'a>,
) -> [(Resource, Given<'a>); 2] {
    [(Resource::Source, Given::Range(*source)), (Resource::Destination, Given::Range(*destination))]
}

pub(super) fn elsewhere(algorithm: Algorithm) -> Error {
    Error::NotApplicable { algorithm, engine: "gpu", reason: "its plan is one of the CPU".into() }
}
