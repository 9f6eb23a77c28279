//! Gradients on the CPU.

use super::arrays::zeroed;
use crate::cpu::{CpuKernelGradient, CpuReady, Input};
use crate::memory;
use crate::plan::{self, GradientPlan, Launch, Machine, Plan};
use crate::problem::WeightSums;
use crate::{Algorithm, Conv2d, Cpu, Problem, Result};

/// A convolution whose gradients are made ready for the CPU.
#[derive(Clone, Debug)]
pub(super) struct OnCpu {
    cpu: Cpu,
    pub problem: Problem,
    sums: Problem,
    back: Problem,
    pub plan: GradientPlan,
    /// Of the sums, where they are needed, and of the gradient of the input.
    ready: (Option<CpuReady>, CpuReady),
    correlation: Option<CpuKernelGradient>,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub input: bool,
    pub weights: bool,
}

impl OnCpu {
    pub fn new(cpu: &Cpu, problem: Problem, algorithm: Algorithm) -> Result<Self> {
        let plan = plan::gradient(&problem, &Machine::Cpu(cpu.limits()), algorithm)?;
        let sums = problem.sums()?;
        let back = sums.back()?;
        Self::planned(cpu, problem, sums, back, plan)
    }

    pub fn set_weights(&mut self, conv: &Conv2d) -> Result<()> {
        let problem = self.problem.reweighed(conv)?;
        let sums = problem.sums()?;
        let back = sums.back()?;
        let plan = self.plan.reweighed(&sums, &back)?;
        *self = Self::planned(&self.cpu, problem, sums, back, plan)?;
        Ok(())
    }

    fn planned(
        cpu: &Cpu,
        problem: Problem,
        sums: Problem,
        back: Problem,
        plan: GradientPlan,
    ) -> Result<Self> {
        let ready = |problem: &Problem, plan: &Plan| match plan.launch() {
            Launch::Cpu(launch) => CpuReady::new(problem, launch),
            Launch::Gpu(_) => Ok(CpuReady::Direct),
        };
        let made = plan.sums().map(|plan| ready(&sums, plan)).transpose()?;
        let ready = (made, ready(&back, plan.input())?);
        let correlation = CpuKernelGradient::new(plan.kernel());
        Ok(Self { cpu: cpu.clone(), problem, sums, back, plan, ready, correlation })
    }

    pub fn compute(
        &self,
        src: &[u8],
        outputs: &[f32],
        wanted: Wanted,
        to: &mut [f32],
    ) -> Result<WeightSums> {
        let Self { cpu, problem, sums, back, plan, ready, correlation } = self;
        let conv = problem.conv();
        let mut made = WeightSums::default();
        let mut held = Vec::new();
        let delta = match (plan.sums().map(Plan::launch), &ready.0) {
            (Some(Launch::Cpu(launch)), Some(ready)) => {
                held = zeroed("the sums before the activation", sums.output_len())?;
                cpu.run(
                    sums,
                    launch,
                    ready,
                    Input::Whole(src),
                    bytemuck::cast_slice_mut(&mut held),
                )?;
                let pointwise = conv.pointwise.as_ref();
                let g = sums.geometry();
                made.pointwise =
                    cpu.activation_gradient(g, conv.activation, pointwise, &mut held, outputs)?;
                &held[..]
            }
            _ => outputs,
        };
        if let (true, Some(correlation)) = (wanted.weights, correlation) {
            let all = cpu.kernel_gradient(sums, correlation, src, delta)?;
            let filters = sums.weights().filters;
            let taps = sums.weights().taps.len() / filters;
            let given = |tap: usize| if conv.flip { taps - 1 - tap } else { tap };
            let places = (0..taps).flat_map(|tap| (0..filters).map(move |f| (tap, f)));
            let kernel = places.map(|(tap, f)| all[f * taps + given(tap)] as f32);
            made.kernel = memory::collected("the gradient of the kernel", taps * filters, kernel)?;
            made.bias = all[filters * taps..].iter().map(|sum| *sum as f32).collect();
        }
        if let (true, Launch::Cpu(launch)) = (wanted.input, plan.input().launch()) {
            let to = bytemuck::cast_slice_mut(to);
            cpu.run(back, launch, &ready.1, Input::Whole(bytemuck::cast_slice(delta)), to)?;
        }
        drop(held);
        Ok(made)
    }
}
