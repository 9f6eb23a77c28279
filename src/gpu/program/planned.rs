//! The shaders of a plan, for those who want to look at them or compile them elsewhere.

use super::files::{ENTRY, wgsl};
use crate::plan::job::{self, Program, Shader};
use crate::plan::{GradientPlan, Halves, KernelGradient, Launch, Pass, Plan, Traffic};
use crate::{Problem, Result};

/// A shader as a plan specialises it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlannedShader {
    /// Its label.
    pub label: String,
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
    shader: Shader,
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
    /// // Rows and columns in one pass.
    /// assert_eq!(PlannedShader::of(&problem, &plan).len(), 1);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn of(problem: &Problem, plan: &Plan) -> Vec<Self> {
        let Launch::Gpu(launch) = plan.launch() else { return Vec::new() };
        let made = launch.scheme.part_of(problem);
        let traffic = launch.scheme.traffic(made);
        let passes = Pass::of(&launch.scheme).iter().map(|pass| (made, *pass));
        // What a border continued is little.
        let passes = passes.chain([(problem, Pass::Edges)]);
        let programs = job::programs(problem, launch, None).into_iter().zip(passes).enumerate();
        let planned = programs.map(|(n, (program, (problem, pass)))| Self {
            outputs: pass.outputs(problem, launch),
            traffic: traffic.get(n).copied().unwrap_or_default(),
            ..Self::new(program)
        });
        planned.collect()
    }

    fn new(program: Program) -> Self {
        Self {
            label: program.shader.label(),
            wgsl: wgsl(program.shader),
            entry: ENTRY,
            workgroup: program.workgroup(),
            constants: program.constants,
            outputs: 1,
            traffic: Traffic::default(),
            shader: program.shader,
        }
    }

    /// The same as devices have it whose own conversions of half floats are exact, as those of most are: that is
    /// looked at when it is compiled.
    #[must_use]
    pub fn with_exact_halves(self) -> Self {
        let shader = self.shader.with_halves(Halves { unpacks: true, packs: true });
        Self { wgsl: wgsl(shader), shader, ..self }
    }

    /// Those of a plan for the gradients of `problem`, with those of the plans it holds, in the order in
    /// which they run; what sums over the tensor do is not counted. None for a plan of the CPU.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) where `problem` is an adjoint.
    pub fn of_gradient(problem: &Problem, plan: &GradientPlan) -> Result<Vec<Self>> {
        if let KernelGradient::Cpu { .. } | KernelGradient::CpuFft { .. } = plan.kernel() {
            return Ok(Vec::new());
        }
        let sums = problem.sums()?;
        let mut all = plan.sums().map(|plan| Self::of(&sums, plan)).unwrap_or_default();
        all.extend(job::gradient_steps(problem, &sums, plan).into_iter().map(Self::new));
        all.extend(Self::of(&sums.back()?, plan.input()));
        Ok(all)
    }
}
