//! Convolutions one after the other, and which of them are done as one.

use std::fmt;
use std::ops::Range;

use super::explain::Time;
use super::fold::Linear;
use super::{Machine, Plan, choose};
use crate::{Algorithm, Conv2d, ElementType, Error, Problem, Result, Shape};

/// A chain of convolutions, planned: f32 between the stages, whatever goes in and comes out.
///
/// `Display` prints it for people.
///
/// ```
/// use channelwise::plan::{CpuLimits, Machine, chain};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel};
/// # fn main() -> channelwise::Result<()> {
///
/// let convs = [Conv2d::new(Kernel::binomial(3)?), Conv2d::new(Kernel::sobel_x())];
/// let (u8, f32) = (ElementType::U8, ElementType::F32);
/// let machine = Machine::Cpu(CpuLimits::new(2, 8));
/// let plan = chain(&convs, [48, 64, 3], u8, f32, &machine, Algorithm::Auto)?;
/// assert_eq!(plan.output_shape().dims(), [48, 64, 3]);
/// println!("{plan}"); // each stage, and why neighbours stay apart
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ChainPlan {
    /// Every convolution alone.
    problems: Vec<Problem>,
    stages: Vec<ChainStage>,
    /// Neighbours that stay apart, by the first one's number, and why.
    apart: Vec<(usize, String)>,
}

/// What is computed at once: a convolution of the chain, or several folded into one.
///
/// ```
/// use channelwise::plan::{GpuLimits, Machine, Residence, chain};
/// use channelwise::{Algorithm, Border, Conv2d, ElementType, Kernel};
/// # fn main() -> channelwise::Result<()> {
///
/// let twice = vec![Conv2d::new(Kernel::binomial(3)?).border(Border::Wrap); 2];
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// let f32 = ElementType::F32;
/// let plan = chain(&twice, [480, 640, 3], f32, f32, &machine, Algorithm::Auto)?;
/// // Both are done at once, by one kernel.
/// let stage = &plan.stages()[0];
/// assert_eq!(stage.convolutions, 0..2);
/// assert_eq!(stage.problem.conv().kernel().height(), 5);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChainStage {
    /// Which convolutions of the chain it does.
    pub convolutions: Range<usize>,
    /// What is computed.
    pub problem: Problem,
    /// How.
    pub plan: Plan,
}

impl ChainPlan {
    /// The stages, in the order in which they run.
    #[must_use]
    pub fn stages(&self) -> &[ChainStage] {
        &self.stages
    }

    /// Shape of the input.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        self.first().problem.input_shape()
    }

    /// Shape of the output.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.last().problem.output_shape()
    }

    pub(crate) fn first(&self) -> &ChainStage {
        &self.stages[0]
    }

    pub(crate) fn last(&self) -> &ChainStage {
        &self.stages[self.stages.len() - 1]
    }

    /// The same with these plans of its stages.
    pub(crate) fn with_plans<'a>(mut self, plans: impl Iterator<Item = &'a Plan>) -> Self {
        for (stage, plan) in self.stages.iter_mut().zip(plans) {
            stage.plan = plan.clone();
        }
        self
    }

    /// The same stages for `convs`, which are the planned ones with other weights. Nothing is chosen anew.
    ///
    /// # Errors
    /// [`Error::Argument`] where they differ in more; [`Error::NotApplicable`] where what was done to the
    /// weights there were cannot be done to these: several as one, or an algorithm.
    pub(crate) fn reweighed(&self, convs: &[Conv2d]) -> Result<Self> {
        let problems = reweighed(self.problems.iter(), convs)?;
        let stage = |stage: &ChainStage| {
            let problem = folded(&problems[stage.convolutions.clone()]).map_err(|reason| {
                let Range { start, end } = stage.convolutions;
                Error::NotApplicable {
                    algorithm: stage.plan.algorithm(),
                    engine: stage.plan.engine(),
                    reason: format!(
                        "convolutions {start} to {} were made one, and cannot with these weights: {reason}",
                        end - 1
                    ),
                }
            })?;
            let problem = stage.problem.reweighed(problem.conv())?;
            let plan = stage.plan.reweighed(&problem)?;
            Ok(ChainStage { convolutions: stage.convolutions.clone(), problem, plan })
        };
        let stages = self.stages.iter().map(stage).collect::<Result<_>>()?;
        Ok(Self { problems, stages, apart: self.apart.clone() })
    }

    /// Microseconds it takes by the model.
    #[must_use]
    pub fn predicted(&self) -> f64 {
        self.stages.iter().map(|stage| stage.plan.predicted()).sum()
    }
}

impl fmt::Display for ChainPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = Time(self.predicted());
        writeln!(f, "{} stages, {total} predicted", self.stages.len())?;
        for stage in &self.stages {
            match stage.convolutions.len() {
                1 => write!(f, "convolution {}: ", stage.convolutions.start)?,
                _ => {
                    let Range { start, end } = stage.convolutions;
                    write!(f, "convolutions {start} to {} as one: ", end - 1)?;
                }
            }
            write!(f, "{}", stage.plan)?;
        }
        for (first, reason) in &self.apart {
            writeln!(f, "{first} and {} stay apart: {reason}", first + 1)?;
        }
        Ok(())
    }
}

/// The convolutions `convs`, each on the output of the one before it. Between them lie f32 values (f64 where the
/// first or the last sums in f64), which are neither rounded nor saturated; `from` and `to` are the types of the first input and the last output.
/// Neighbours are folded into one kernel where that is the same in real arithmetic and cheaper by the
/// model: both linear (only the last may have an activation), and
///
/// - the second reads nothing beyond the edges of what the first made ([`Padding::Valid`](crate::Padding::Valid)), or
/// - both wrap, and the first keeps the size (its stride counted in), or
/// - both reflect in the same way, and the first has stride 1, keeps the size, and a symmetric kernel
///   centred on its place, or
/// - the first is a kernel of 1x1 in its place, and the border of the second is not a constant.
///
/// A folded stage is held to the bound of one kernel ([`Accuracy`](super::Accuracy)) whose taps have the
/// sums of the magnitudes of the products that make them, and one tap more for rounding them to f32. As
/// with a pointwise step that is folded, it may give an infinity where two steps would give NaN, and a
/// value where a step between overflows.
///
/// ```
/// use channelwise::plan::{GpuLimits, Machine, Residence, chain};
/// use channelwise::{Algorithm, Border, Conv2d, ElementType, Kernel};
/// # fn main() -> channelwise::Result<()> {
/// let blur = Conv2d::new(Kernel::binomial(3)?).border(Border::Reflect101);
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// let f32 = ElementType::F32;
/// let twice = [blur.clone(), blur];
/// let plan = chain(&twice, [1080, 1920, 3], f32, f32, &machine, Algorithm::Auto)?;
/// // Two binomials of 3x3 are one of 5x5.
/// assert_eq!(plan.stages().len(), 1);
/// assert_eq!(plan.stages()[0].problem.conv().kernel(), &Kernel::binomial(5)?);
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::Argument`] where `convs` is empty or their layouts differ; those of [`Problem::new`] and
/// [`choose`] for each of them.
pub fn chain(
    convs: &[Conv2d],
    shape: impl Into<Shape>,
    from: ElementType,
    to: ElementType,
    machine: &Machine,
    algorithm: Algorithm,
) -> Result<ChainPlan> {
    let problems = problems(convs, shape.into(), from, to)?;
    let linear: Vec<Linear> = problems.iter().map(Linear::of).collect();
    let mut reasons = Vec::new();
    // The cheapest stages that do the first n convolutions, for every n.
    let mut best: Vec<Option<(f64, ChainStage)>> = vec![None; problems.len() + 1];
    for start in 0..problems.len() {
        let before = best[start].as_ref().map_or(0.0, |(us, _)| *us);
        let mut folded: Option<Linear> = None;
        for end in start + 1..=problems.len() {
            let problem = match folded {
                None => {
                    folded = Some(linear[start].clone());
                    problems[start].clone()
                }
                Some(before) => match before.then(&linear[end - 1]) {
                    Ok(both) => {
                        let problem = both.problem();
                        // Weights that cannot be rounded may go with those of the next.
                        folded = Some(both);
                        match problem {
                            Ok(problem) => problem,
                            Err(reason) => {
                                reasons.push((end - 2, reason));
                                continue;
                            }
                        }
                    }
                    Err(reason) => {
                        reasons.push((end - 2, reason));
                        break;
                    }
                },
            };
            let plan = match choose(&problem, machine, algorithm) {
                Ok(plan) => plan,
                Err(error) if end == start + 1 => return Err(error),
                Err(error) => {
                    reasons.push((end - 2, error.to_string()));
                    continue;
                }
            };
            let us = before + plan.predicted();
            if best[end].as_ref().is_none_or(|(least, _)| us < *least) {
                best[end] = Some((us, ChainStage { convolutions: start..end, problem, plan }));
            }
        }
    }
    let mut stages = Vec::new();
    let mut end = problems.len();
    while end > 0 {
        // There is one for every end: the convolution before it alone.
        let Some((_, stage)) = best[end].take() else { break };
        end = stage.convolutions.start;
        stages.push(stage);
    }
    stages.reverse();
    // Why two are not one is told of them alone, which came last.
    let apart = stages.iter().skip(1).map(|stage| {
        let first = stage.convolutions.start - 1;
        let reason = reasons.iter().rev().find(|(of, _)| *of == first);
        let reason = reason.map_or("that is cheaper by the model", |(_, reason)| reason);
        (first, reason.to_string())
    });
    let apart = apart.collect();
    if let Machine::Gpu(limits, _) = machine {
        for (n, ChainStage { problem, .. }) in stages.iter().enumerate() {
            let first = if n == 0 { "bytes of a chain's input" } else { BETWEEN };
            let last = if n + 1 == stages.len() { "bytes of a chain's output" } else { BETWEEN };
            limits.holds(first, problem.input_len(), problem.input_type())?;
            limits.holds(last, problem.output_len(), problem.output_type())?;
        }
    }
    Ok(ChainPlan { problems, stages, apart })
}

const BETWEEN: &str = "bytes between the stages of a chain";

/// Every convolution on the output of the one before.
pub(crate) fn problems(
    convs: &[Conv2d],
    shape: Shape,
    from: ElementType,
    to: ElementType,
) -> Result<Vec<Problem>> {
    let Some(first) = convs.first() else {
        return Err(Error::argument("convolutions of a chain", 0, "at least 1 is needed"));
    };
    let double = from.sums_in_f64() || to.sums_in_f64();
    let between = if double { ElementType::F64 } else { ElementType::F32 };
    let mut problems: Vec<Problem> = Vec::with_capacity(convs.len());
    for (i, conv) in convs.iter().enumerate() {
        if conv.layout != first.layout {
            let limit = format!("the first of the chain has {}", first.layout);
            return Err(Error::argument("layout", conv.layout, limit));
        }
        let shape = problems.last().map_or(shape, Problem::output_shape);
        let from = if i == 0 { from } else { between };
        let to = if i + 1 == convs.len() { to } else { between };
        problems.push(Problem::new(conv, shape, from, to)?);
    }
    Ok(problems)
}

/// Problems with the weights of `convs`, one each.
pub(crate) fn reweighed<'a>(
    problems: impl ExactSizeIterator<Item = &'a Problem>,
    convs: &[Conv2d],
) -> Result<Vec<Problem>> {
    let expected = problems.len();
    if convs.len() != expected {
        let limit = format!("the chain was made of {expected}");
        return Err(Error::argument("convolutions of a chain", convs.len(), limit));
    }
    problems.zip(convs).map(|(problem, conv)| problem.reweighed(conv)).collect()
}

/// Neighbours as one, or why they are not.
fn folded(problems: &[Problem]) -> Result<Problem, String> {
    match problems {
        [only] => Ok(only.clone()),
        [first, rest @ ..] => {
            let both = |all: Linear, next| all.then(&Linear::of(next));
            rest.iter().try_fold(Linear::of(first), both)?.problem()
        }
        [] => Err("there are none".into()),
    }
}
