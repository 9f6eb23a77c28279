//! The shaders of a plan, for those who want to look at them or compile them elsewhere.

use super::shaders::{self, ENTRY};
use super::{gradient, params};
use crate::plan::{GradientPlan, KernelGradient, Launch, Pass, Plan, Step, Traffic};
use crate::{Activation, Problem, Result};

/// A shader as a plan specialises it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedShader {
    /// Its label.
    pub label: &'static str,
    /// The source.
    pub wgsl: String,
    /// The entry point.
    pub entry: &'static str,
    /// Values of its `override` constants.
    pub constants: Vec<(&'static str, u32)>,
    /// Invocations of a workgroup along x and y.
    pub workgroup: [u32; 2],
    /// Outputs of one invocation.
    pub outputs: usize,
    /// What it does for all of the problem.
    pub traffic: Traffic,
}

impl PlannedShader {
    /// Those of `plan`, in the order in which they run; none for a plan of the CPU.
    ///
    /// ```
    /// use channelwise::plan::{GpuLimits, Machine, Residence, choose};
    /// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, PlannedShader, Problem};
    /// # fn main() -> channelwise::Result<()> {
    /// let conv = Conv2d::new(Kernel::gaussian(31, 5.0)?);
    /// let problem = Problem::new(&conv, [1080, 1920, 3], ElementType::F32, ElementType::F32)?;
    /// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
    /// let plan = choose(&problem, &machine, Algorithm::Auto)?;
    /// assert_eq!(PlannedShader::of(&problem, &plan).len(), 2);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn of(problem: &Problem, plan: &Plan) -> Vec<Self> {
        let Launch::Gpu(launch) = plan.launch() else { return Vec::new() };
        let made = problem.made_by(launch.scheme.gathers());
        let planned = |problem: &Problem, pass: Pass, traffic: Traffic| {
            let shader = shaders::of_pass(problem, pass, None)?;
            Some(Self {
                label: shader.label,
                wgsl: shader.wgsl(),
                entry: ENTRY,
                constants: params::constants(problem, pass, launch),
                workgroup: pass.workgroup(launch),
                outputs: pass.outputs(problem, launch),
                traffic,
            })
        };
        let passes = Pass::of(&launch.scheme).iter().zip(launch.scheme.traffic(made));
        let passes = passes.filter_map(|(pass, traffic)| planned(made, *pass, traffic));
        // What a border continued is little.
        let edges = problem.has_edges() && !launch.scheme.gathers();
        let edges = edges.then(|| planned(problem, Pass::Gather, Traffic::default()));
        passes.chain(edges.flatten()).collect()
    }

    /// Those of a plan for the gradients of `problem`, with those of the plans it holds, in the order in
    /// which they run; what sums over the tensor do is not counted. None for a plan of the CPU.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) where `problem` is an adjoint.
    pub fn of_gradient(problem: &Problem, plan: &GradientPlan) -> Result<Vec<Self>> {
        let KernelGradient::Gpu(correlation) = plan.kernel() else { return Ok(Vec::new()) };
        let sums = problem.sums()?;
        let mut all = plan.sums().map(|plan| Self::of(&sums, plan)).unwrap_or_default();
        let pointwise = problem.conv().pointwise.as_ref();
        let follows = pointwise.is_some_and(|p| p.activation_kind() != Activation::None);
        let steps = [
            (Step::Follow, follows),
            (Step::Mix, pointwise.is_some()),
            (Step::Slope, plan.sums().is_some()),
            (Step::Correlate, true),
            (Step::Reduce, true),
        ];
        for (step, _) in steps.into_iter().filter(|(_, runs)| *runs) {
            let Some(shader) = shaders::of_step(step, problem.input_type()) else { continue };
            all.push(Self {
                label: shader.label,
                wgsl: shader.wgsl(),
                entry: ENTRY,
                constants: gradient::constants(problem, &sums, correlation, step),
                workgroup: [correlation.workgroup, 1],
                outputs: 1,
                traffic: Traffic::default(),
            });
        }
        all.extend(Self::of(&sums.back()?, plan.input()));
        Ok(all)
    }
}
