//! The shaders of a plan, for those who want to look at them or compile them elsewhere.

use super::params;
use super::shaders::{self, ENTRY};
use crate::Problem;
use crate::plan::{Launch, Pass, Plan, Traffic};

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
        let planned = |(pass, traffic): (&Pass, Traffic)| {
            let shader = shaders::of_pass(made, *pass, None)?;
            Some(Self {
                label: shader.label,
                wgsl: shader.wgsl(),
                entry: ENTRY,
                constants: params::constants(made, *pass, launch),
                workgroup: pass.workgroup(launch),
                outputs: pass.outputs(made, launch),
                traffic,
            })
        };
        let traffic = launch.scheme.traffic(made);
        Pass::of(&launch.scheme).iter().zip(traffic).filter_map(planned).collect()
    }
}
