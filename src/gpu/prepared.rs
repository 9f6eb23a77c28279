//! A problem made ready for a device: plan, weights and pipelines.

use std::sync::Arc;

use wgpu::{Buffer, BufferUsages};

use super::device::checked;
use super::encode::{Kept, Ranges};
use super::pipelines::Ready;
use super::run::Slots;
use super::texel::Texels;
use super::{Gpu, params, shaders, weights};
use crate::plan::{self, GpuLaunch, Launch, Machine, Pass, Plan, Residence};
use crate::{Algorithm, Error, Problem, Result};

/// A problem made ready for a device: its plan, its weights and its compiled shaders.
///
/// Made by [`Gpu::prepare`] for data that lies on the device.
#[derive(Clone, Debug)]
pub struct GpuPrepared {
    gpu: Gpu,
    problem: Problem,
    plan: Plan,
    passes: Vec<Compiled>,
    /// Gathers what a border continued, after the passes.
    edges: Option<Compiled>,
    /// What passes leave for the next.
    between: Vec<Arc<Buffer>>,
    kept: Arc<Kept<Ranges>>,
    slots: Arc<Slots>,
}

/// A compiled pass.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub pass: Pass,
    pub ready: Ready,
    pub weights: Buffer,
}

impl GpuPrepared {
    pub(super) async fn new(
        gpu: &Gpu,
        problem: &Problem,
        algorithm: Algorithm,
        residence: Residence,
    ) -> Result<Self> {
        let plan = plan::choose(problem, &Machine::Gpu(*gpu.limits(), residence), algorithm)?;
        Self::of_choice(gpu, problem, algorithm, residence, plan).await
    }

    /// By the model's plan, or a better one where the device is asked.
    pub(super) async fn of_choice(
        gpu: &Gpu,
        problem: &Problem,
        algorithm: Algorithm,
        residence: Residence,
        mut plan: Plan,
    ) -> Result<Self> {
        let machine = Machine::Gpu(*gpu.limits(), residence);
        if let (Algorithm::Auto, Some(tuner)) = (algorithm, gpu.tuner()) {
            plan = tuner.choose(gpu, problem, &machine, plan).await?;
        }
        Self::of_plan(gpu, problem, plan).await
    }

    pub(super) async fn of_plan(gpu: &Gpu, problem: &Problem, plan: Plan) -> Result<Self> {
        Self::of_plan_with(gpu, problem, plan, None).await
    }

    /// The same, between textures where `texels` says so.
    pub(super) async fn of_plan_with(
        gpu: &Gpu,
        problem: &Problem,
        plan: Plan,
        texels: Option<&Texels>,
    ) -> Result<Self> {
        let Launch::Gpu(launch) = plan.launch() else {
            return Err(missing(plan.algorithm()));
        };
        let made = problem.made_by(launch.scheme.gathers());
        let mut passes = Vec::new();
        for pass in Pass::of(&launch.scheme) {
            passes.push(compile(gpu, made, *pass, launch, texels).await?);
        }
        let mut edges = None;
        if problem.has_edges() && !launch.scheme.gathers() {
            edges = Some(compile(gpu, problem, Pass::Gather, launch, None).await?);
        }

        let sizes = launch.bands.iter().map(|band| launch.scheme.between(made, band));
        let largest = sizes.reduce(|a, b| a.into_iter().zip(b).map(|(a, b)| a.max(b)).collect());
        let mut between = Vec::new();
        for (n, size) in largest.unwrap_or_default().into_iter().enumerate() {
            between.push(gpu.between(n, size).await?);
        }
        Ok(Self {
            gpu: gpu.clone(),
            problem: problem.clone(),
            plan,
            passes,
            edges,
            between,
            kept: Arc::default(),
            slots: Arc::default(),
        })
    }

    /// The problem.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub(super) fn between(&self) -> &[Arc<Buffer>] {
        &self.between
    }

    pub(super) fn kept(&self) -> &Kept<Ranges> {
        &self.kept
    }

    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(super) fn launch(&self) -> Result<&GpuLaunch> {
        match self.plan.launch() {
            Launch::Gpu(launch) => Ok(launch),
            Launch::Cpu(_) => Err(missing(self.plan.algorithm())),
        }
    }

    pub(super) fn edges(&self) -> Option<&Compiled> {
        self.edges.as_ref()
    }

    pub(super) fn passes(&self) -> &[Compiled] {
        &self.passes
    }
}

async fn compile(
    gpu: &Gpu,
    problem: &Problem,
    pass: Pass,
    launch: &GpuLaunch,
    texels: Option<&Texels>,
) -> Result<Compiled> {
    let shader = shaders::of_pass(problem, pass, texels).ok_or_else(|| missing(Algorithm::Auto))?;
    let mut constants = params::constants(problem, pass, launch);
    if let Some(texels) = texels {
        constants.extend(texels.constants(problem, pass.way(&launch.scheme)));
    }
    let contents = weights::of_pass(problem, pass, launch);
    let bytes: &[u8] = bytemuck::cast_slice(&contents);
    if bytes.len() as u64 > gpu.limits().max_range() {
        return Err(Error::TooLarge {
            what: "bytes of the kernel",
            value: bytes.len().to_string(),
            limit: gpu.limits().max_range(),
        });
    }
    let weights = checked(gpu.device(), gpu.loss(), "uploading the kernel", || {
        gpu.constant_buffer("channelwise.weights", bytes, BufferUsages::STORAGE)
    });
    let weights = weights.done().await?;
    Ok(Compiled { pass, ready: gpu.pipeline(shader, &constants).await?, weights })
}

pub(super) fn missing(algorithm: Algorithm) -> Error {
    Error::NotApplicable {
        algorithm,
        engine: "gpu",
        reason: "it has no shader for these element types".into(),
    }
}
