//! Choosing between engines, where data lies on the host.

use std::fmt;

use super::explain::Time;
use super::limits::{CpuLimits, GpuLimits, Machine, Residence};
use super::transfer::{self, Load};
use super::{Candidate, Looked, Plan, chain, choose, gradient, problems};
use crate::{Algorithm, Conv2d, ElementType, Error, Problem, Result, Shape};

/// The plan for `problem` on the engine that takes less time by the model, copies to the GPU and back
/// counted, with [`Plan::candidates`] of both; `wanted` forces an algorithm, on whichever engine has it.
/// Among equals the CPU is taken, and where the GPU cannot hold what the problem needs.
///
/// ```
/// use channelwise::plan::{AdapterClass, GpuLimits, choose_engine};
/// use channelwise::{Algorithm, Conv2d, Cpu, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
/// let cpu = Cpu::with_threads(4)?.limits();
/// let gpu = GpuLimits::webgpu_defaults().with_class(AdapterClass::Discrete);
/// let on = |kernel: Kernel| -> channelwise::Result<_> {
///     let f32 = ElementType::F32;
///     let problem = Problem::new(&Conv2d::new(kernel), [1080, 1920, 3], f32, f32)?;
///     choose_engine(&problem, &cpu, Some(&gpu), Algorithm::Auto)
/// };
/// // Copies take longer than the whole work.
/// assert_eq!(on(Kernel::laplacian4())?.engine(), "cpu");
/// // Both engines' candidates in one table.
/// println!("{}", on(Kernel::motion(31.0, 30.0)?)?.explain());
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::NotApplicable`] where `wanted` applies on neither.
pub fn choose_engine(
    problem: &Problem,
    cpu: &CpuLimits,
    gpu: Option<&GpuLimits>,
    wanted: Algorithm,
) -> Result<Plan> {
    let on_cpu = choose_with_candidates(problem, &Machine::Cpu(*cpu), wanted);
    let Some(gpu) = gpu else { return on_cpu.0 };
    let on_gpu = choose_with_candidates(problem, &Machine::Gpu(*gpu, Residence::Host), wanted);
    match (on_cpu, on_gpu) {
        ((Ok(cpu), others), (Ok(gpu), _)) if gpu.predicted() < cpu.predicted() => {
            Ok(gpu.beside(others))
        }
        ((Err(_), others), (Ok(gpu), _)) => Ok(gpu.beside(others)),
        ((Ok(cpu), _), (Ok(_), others)) => Ok(cpu.beside(others)),
        ((Ok(cpu), _), (Err(reason), others)) => Ok(cpu.beside(refused(others, &reason))),
        // It has the most algorithms, so its reason says the most.
        (_, (Err(reason), _)) => Err(reason),
    }
}

/// The plan on one engine, and its candidates in any case.
fn choose_with_candidates(
    problem: &Problem,
    machine: &Machine,
    wanted: Algorithm,
) -> (Result<Plan>, Vec<Candidate>) {
    let looked = Looked::at(problem, machine, wanted);
    let candidates = looked.candidates();
    (looked.take(problem, wanted), candidates)
}

/// Candidates of an engine that cannot take the problem.
fn refused(mut candidates: Vec<Candidate>, reason: &Error) -> Vec<Candidate> {
    for candidate in candidates.iter_mut().filter(|candidate| candidate.verdict.is_ok()) {
        candidate.verdict = Err(reason.to_string());
        candidate.transfers = 0.0;
    }
    candidates
}

impl Plan {
    /// The same plan, chosen with the other engine's candidates in view.
    fn beside(mut self, others: Vec<Candidate>) -> Self {
        self.candidates.extend(others);
        // Stable: among equals the engine taken is first.
        let cost = |c: &Candidate| c.verdict.as_ref().map_or(f64::INFINITY, |us| *us);
        self.candidates.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
        self
    }

    /// The plan on the CPU for a problem whose plan on the GPU, this one, was refused there.
    ///
    /// # Errors
    /// `reason`, where the CPU has not what was wanted.
    pub(crate) fn refused(
        self,
        problem: &Problem,
        cpu: &CpuLimits,
        wanted: Algorithm,
        reason: Error,
    ) -> Result<Self> {
        let Ok(plan) = choose(problem, &Machine::Cpu(*cpu), wanted) else { return Err(reason) };
        let others = self.candidates.into_iter().filter(|c| c.engine != plan.engine()).collect();
        Ok(plan.beside(refused(others, &reason)))
    }
}

/// Predicted microseconds of both engines for what is no single problem.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EngineTimes {
    cpu: Result<f64>,
    /// And those that are not the device's work.
    gpu: Result<(f64, f64)>,
}

impl EngineTimes {
    /// Whether the GPU is taken.
    ///
    /// # Errors
    /// Why neither can be.
    pub(crate) fn gpu_is_taken(&self) -> Result<bool> {
        match (&self.cpu, &self.gpu) {
            (Ok(cpu), Ok((gpu, _))) => Ok(gpu < cpu),
            (Ok(_), Err(_)) => Ok(false),
            (Err(_), Ok(_)) => Ok(true),
            (Err(_), Err(reason)) => Err(reason.clone()),
        }
    }

    /// The same where the GPU turned out to be unable.
    ///
    /// # Errors
    /// `reason`, where the CPU is too.
    pub(crate) fn refused(self, reason: Error) -> Result<Self> {
        self.cpu.as_ref().map_err(|_| reason.clone())?;
        Ok(Self { gpu: Err(reason), ..self })
    }
}

impl fmt::Display for EngineTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |gpu| if self.gpu_is_taken() == Ok(gpu) { "  <- taken" } else { "" };
        match &self.cpu {
            Ok(us) => writeln!(f, "  cpu {} predicted{}", Time(*us), mark(false))?,
            Err(reason) => writeln!(f, "  cpu not taken: {reason}")?,
        }
        match &self.gpu {
            Ok((us, transfers)) => {
                let (us, transfers) = (Time(*us), Time(*transfers));
                writeln!(f, "  gpu {us} predicted, {transfers} of it transfers{}", mark(true))
            }
            Err(reason) => writeln!(f, "  gpu not taken: {reason}"),
        }
    }
}

/// Of convolutions one after the other. The CPU does all of them; a GPU folds neighbours, and copies only
/// the first input and the last output, whole.
///
/// # Errors
/// Those of a chain's problems.
pub(crate) fn chain_times(
    convs: &[Conv2d],
    shape: Shape,
    [from, to]: [ElementType; 2],
    cpu: &CpuLimits,
    gpu: &GpuLimits,
    wanted: Algorithm,
) -> Result<EngineTimes> {
    let problems = problems(convs, shape, from, to)?;
    let one = |problem| Ok(choose(problem, &Machine::Cpu(*cpu), wanted)?.predicted());
    let cpu = problems.iter().map(one).sum();
    let machine = Machine::Gpu(*gpu, Residence::Device);
    let gpu = chain(convs, shape, from, to, &machine, wanted).map(|plan| {
        let passes = plan.predicted();
        let last = &plan.last().problem;
        let load =
            Load { down: Load::of(last, 0.0).down, ..Load::of(&plan.first().problem, passes) };
        let all = transfer::whole(gpu, load);
        (all, all - passes)
    });
    Ok(EngineTimes { cpu, gpu })
}

/// Of all gradients of a problem. A GPU copies the input and the gradient of the output there, and the gradient
/// of the input back; with the others, which are small, in one go.
///
/// Whether a caller wants them all is not known when it is chosen; who wants one alone has more of its time
/// in copies than this says.
///
/// # Errors
/// Those of [`gradient`] on the CPU.
pub(crate) fn gradient_times(
    problem: &Problem,
    cpu: &CpuLimits,
    gpu: &GpuLimits,
    wanted: Algorithm,
) -> Result<EngineTimes> {
    let cpu = gradient(problem, &Machine::Cpu(*cpu), wanted)?.predicted();
    let on_gpu = gradient(problem, &Machine::Gpu(*gpu, Residence::Device), wanted).map(|plan| {
        let passes = plan.predicted();
        let there = Load::of(problem, passes);
        let input = 4.0 * problem.input_len() as f64;
        let load = Load { up: there.up + there.down, down: input, passes };
        let all = transfer::whole(gpu, load);
        (all, all - passes)
    });
    Ok(EngineTimes { cpu: Ok(cpu), gpu: on_gpu })
}
