//! Planning and compiling gradients.

use wgpu::BufferUsages;

use super::{GpuBackward, Through};
use crate::gpu::device::checked;
use crate::gpu::{Gpu, GpuPrepared, params, prepared, shaders};
use crate::plan::{self, Correlation, GradientPlan, KernelGradient, Machine, RUN, Residence, Step};
use crate::{Activation, Algorithm, ElementType, Error, Pointwise, Problem, Result};

/// Runs of a workgroup of `Mix`.
pub(super) const MIX_RUNS: u32 = 4;

impl Gpu {
    /// Plans and compiles the gradients of `problem`, whose output must be f32.
    ///
    /// # Errors
    /// [`Error::Argument`] for another output type or the adjoint of a convolution; those of
    /// [`Gpu::prepare`].
    pub async fn prepare_backward(&self, problem: &Problem) -> Result<GpuBackward> {
        if problem.output_type() != ElementType::F32 {
            return Err(Error::argument(
                "output type",
                problem.output_type(),
                "gradients are those of f32 outputs",
            ));
        }
        let machine = Machine::Gpu(*self.limits(), Residence::Device);
        let plan = plan::gradient(problem, &machine)?;
        let sums = problem.sums()?;
        let back = sums.back()?;
        let forward = match plan.sums() {
            Some(plan) => Some(GpuPrepared::of_plan(self, &sums, plan.clone()).await?),
            None => None,
        };
        let back = GpuPrepared::of_plan(self, &back, plan.input().clone()).await?;
        let correlation = correlation(&plan)?;
        let compile = async |step: Step| {
            let shader = shaders::of_step(step, problem.input_type())
                .ok_or_else(|| prepared::missing(Algorithm::Direct))?;
            self.pipeline(shader, &constants(problem, &sums, correlation, step)).await
        };
        let correlate = compile(Step::Correlate).await?;
        let reduce = compile(Step::Reduce).await?;
        let slope = if forward.is_some() { Some(compile(Step::Slope).await?) } else { None };
        let mut through = None;
        if let Some(pointwise) = &problem.conv().pointwise {
            let mix = compile(Step::Mix).await?;
            let follow = match pointwise.activation_kind() {
                Activation::None => None,
                _ => Some(compile(Step::Follow).await?),
            };
            let weights =
                checked(self.device(), self.loss(), "uploading the pointwise step", || {
                    let contents = mixing(pointwise);
                    let bytes = bytemuck::cast_slice(&contents);
                    self.constant_buffer("channelwise.mixing", bytes, BufferUsages::STORAGE)
                });
            through = Some(Through { weights: weights.done().await?, mix, follow });
        }
        Ok(GpuBackward {
            gpu: self.clone(),
            problem: problem.clone(),
            sums,
            plan,
            forward,
            back,
            correlate,
            reduce,
            slope,
            through,
        })
    }
}

/// The override constants of a step; `sums` are those of `problem`.
pub(in crate::gpu) fn constants(
    problem: &Problem,
    sums: &Problem,
    correlation: &Correlation,
    step: Step,
) -> Vec<(&'static str, u32)> {
    let Correlation { workgroup, taps: (rows, columns), run, runs, across, .. } = *correlation;
    let conv = problem.conv();
    let follow = conv.pointwise.as_ref().map_or(Activation::None, |p| p.activation_kind());
    let plain = params::activation_code(conv.activation).0;
    // What a step does not read is the same for all problems, so that they share its pipeline.
    let mut border = (0, 0);
    let mut activation = 0;
    let (mut follows, mut follow_activation) = (0, 0);
    let mut own = Vec::new();
    match step {
        Step::Correlate => {
            border = (params::border_code(sums.border()), params::reaches_far(sums).into());
            own.extend([
                ("TAP_ROWS", rows),
                ("TAP_COLUMNS", columns),
                ("RUN", run),
                ("RUNS", runs),
                ("ACROSS", across),
                ("FLIP", conv.flip.into()),
                ("EXCHANGED", (rows * columns + 1) * workgroup),
            ]);
        }
        Step::Reduce => own.extend([("RUN", RUN), ("EXCHANGED", workgroup)]),
        Step::Mix => {
            activation = plain;
            own.extend([("RUN", RUN), ("RUNS", MIX_RUNS), ("EXCHANGED", workgroup)]);
        }
        Step::Slope => {
            (activation, follows) = (slope_code(conv.activation), conv.pointwise.is_some().into());
        }
        Step::Follow => (activation, follow_activation) = (plain, slope_code(follow)),
    }
    own.extend([
        ("WORKGROUP_X", workgroup),
        ("WORKGROUP_Y", 1),
        ("BORDER", border.0),
        ("FAR", border.1),
        ("ACTIVATION", activation),
        ("FOLLOW", follows),
        ("FOLLOW_ACTIVATION", follow_activation),
    ]);
    own
}

/// Weights `[filters, outputs]` and bias `[outputs]`.
fn mixing(pointwise: &Pointwise) -> Vec<f32> {
    let bias = |g| pointwise.bias_values().get(g).copied().unwrap_or(0.0);
    let bias = (0..pointwise.outputs()).map(bias);
    pointwise.weights().iter().copied().chain(bias).collect()
}

/// Number of an activation in `shaders/derivative.wgsl`: two that are one function have other slopes at
/// their ends.
fn slope_code(activation: Activation) -> u32 {
    match activation {
        Activation::Relu6 => 7,
        other => params::activation_code(other).0,
    }
}

pub(super) fn correlation(plan: &GradientPlan) -> Result<&Correlation> {
    match plan.kernel() {
        KernelGradient::Gpu(correlation) => Ok(correlation),
        KernelGradient::Cpu { .. } | KernelGradient::CpuFft { .. } => {
            Err(prepared::missing(Algorithm::Direct))
        }
    }
}
