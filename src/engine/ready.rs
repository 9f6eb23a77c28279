//! A problem and what does it: on the CPU, on a GPU, or as two sums by one of these.

use std::time::Duration;

use super::arrays::zeroed;
use crate::cpu::{CpuReady, Elements, Float, Input, Mask, Rows};
use crate::gpu::GpuPrepared;
use crate::memory::NoRoom;
use crate::plan::{Launch, Plan};
use crate::wait::{Clock, Wait};
use crate::{Conv2d, Cpu, Element, ElementType, Error, Problem, Result, Shape};

/// A problem and what will do it. Clones share nothing that is changed.
#[derive(Clone, Debug)]
pub(super) enum Ready {
    Cpu(Box<OnCpu>),
    Gpu(GpuPrepared),
    /// Normalised: sums of one of these.
    Masked(Box<Masked>),
}

/// A problem made ready for the CPU.
#[derive(Clone, Debug)]
pub(super) struct OnCpu {
    cpu: Cpu,
    problem: Problem,
    plan: Plan,
    made: CpuReady,
}

impl OnCpu {
    pub(super) fn new(cpu: &Cpu, problem: Problem, plan: Plan) -> Result<Self> {
        let made = match plan.launch() {
            Launch::Cpu(launch) => CpuReady::new(&problem, launch)?,
            Launch::Gpu(_) => CpuReady::Direct,
        };
        Ok(Self { cpu: cpu.clone(), problem, plan, made })
    }

    /// The same for `problem`, which is this one with other weights.
    pub(super) fn reweighed(&self, problem: Problem) -> Result<Self> {
        let plan = self.plan.reweighed(&problem)?;
        Self::new(&self.cpu, problem, plan)
    }

    pub(super) fn problem(&self) -> &Problem {
        &self.problem
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn threads(&self) -> u64 {
        self.cpu.limits().threads as u64
    }

    /// `src` and `dst` hold whole tensors.
    pub(super) fn run<T: Element, U: Element>(
        &self,
        src: &[T],
        dst: &mut [U],
    ) -> Result<(), NoRoom> {
        self.run_from(Input::Whole(bytemuck::cast_slice(src)), bytemuck::cast_slice_mut(dst))
    }

    /// Several at once, on the threads of the first.
    pub(super) fn run_all<T: Element, U: Element>(
        all: Vec<(&Self, &[T], &mut [U])>,
    ) -> Result<(), NoRoom> {
        let Some(cpu) = all.first().map(|(first, ..)| first.cpu.clone()) else { return Ok(()) };
        cpu.together(all, |(made, src, dst)| made.run(src, dst))
    }

    fn run_from(&self, src: Input<'_>, dst: &mut [u8]) -> Result<(), NoRoom> {
        match self.plan.launch() {
            Launch::Cpu(launch) => self.cpu.run(&self.problem, launch, &self.made, src, dst),
            Launch::Gpu(_) => Ok(()),
        }
    }
}

impl Ready {
    pub(super) fn on_cpu(cpu: &Cpu, problem: Problem, plan: Plan) -> Result<Self> {
        Ok(Self::Cpu(Box::new(OnCpu::new(cpu, problem, plan)?)))
    }

    pub(super) fn set_weights(&mut self, conv: &Conv2d) -> Result<()> {
        match self {
            Self::Gpu(prepared) => prepared.set_weights(conv),
            Self::Masked(masked) => masked.set_weights(conv),
            Self::Cpu(on_cpu) => {
                **on_cpu = on_cpu.reweighed(on_cpu.problem.reweighed(conv)?)?;
                Ok(())
            }
        }
    }

    pub(super) fn problem(&self) -> &Problem {
        match self {
            Self::Cpu(on_cpu) => &on_cpu.problem,
            Self::Gpu(prepared) => prepared.problem(),
            Self::Masked(masked) => masked.problem(),
        }
    }

    pub(super) fn plan(&self) -> &Plan {
        match self {
            Self::Cpu(on_cpu) => &on_cpu.plan,
            Self::Gpu(prepared) => prepared.plan(),
            Self::Masked(masked) => masked.plan(),
        }
    }

    /// Whether [`Ready::run`] takes the rows of an input that lie apart.
    pub(super) fn reads_rows(&self) -> bool {
        match self {
            Self::Cpu(on_cpu) => match on_cpu.plan.launch() {
                Launch::Cpu(launch) => on_cpu.made.reads_rows(launch),
                Launch::Gpu(_) => false,
            },
            Self::Gpu(_) | Self::Masked(_) => false,
        }
    }

    /// `src` and `dst` are whole tensors, as bytes; rows that lie apart are only for one that
    /// [`reads_rows`](Self::reads_rows).
    pub(super) async fn run(
        &self,
        src: Input<'_>,
        dst: &mut [u8],
        wait: Wait,
        measured: bool,
    ) -> Result<Timings> {
        let mut clock = Clock::start();
        match self {
            Self::Cpu(on_cpu) => {
                on_cpu.run_from(src, dst)?;
                Ok(Timings { compute: clock.lap(), ..Timings::default() })
            }
            Self::Masked(masked) => masked.run_plain(src, dst, wait).await,
            Self::Gpu(prepared) => {
                let Input::Whole(src) = src else {
                    return Err(Error::argument("rows of the input", "apart", "a GPU copies them"));
                };
                let parts = prepared.run(src, dst, wait, measured).await?;
                Ok(Timings {
                    upload: parts.upload,
                    compute: parts.compute,
                    download: parts.download,
                    gpu: parts.gpu,
                    ..Timings::default()
                })
            }
        }
    }
}

/// Time on the host that the parts of a call took.
///
/// On a GPU bands overlap, so the parts are what the host waited for each. In browsers, which
/// have no clock here, all are zero.
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel};
/// use ndarray::Array3;
/// # fn main() -> channelwise::Result<()> {
///
/// let blur = Engine::cpu().prepare::<u8, u8>(&Conv2d::new(Kernel::binomial(5)?), [90, 160, 3])?;
/// let (x, mut y) = (Array3::ones((90, 160, 3)), Array3::zeros((90, 160, 3)));
/// let timings = blur.run_into_timed(&x, &mut y)?;
/// assert!(timings.upload.is_zero() && timings.compute <= timings.total); // a CPU copies nothing
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// Copying the input to the device.
    pub upload: Duration,
    /// Computing.
    pub compute: Duration,
    /// Copying the output back.
    pub download: Duration,
    /// Everything.
    pub total: Duration,
    /// The passes on the GPU, by its own clock: where the device has `TIMESTAMP_QUERY` (those we make
    /// ask for it), and only of calls that give timings.
    pub gpu: Option<Duration>,
}

impl Timings {
    /// Those of a call that is made of two, but for the whole.
    fn and(self, other: Self) -> Self {
        Self {
            upload: self.upload + other.upload,
            compute: self.compute + other.compute,
            download: self.download + other.download,
            total: self.total,
            gpu: self.gpu.zip(other.gpu).map(|(one, other)| one + other),
        }
    }
}

impl Ready {
    /// The same for a part of the output, which is `problem`.
    pub(super) async fn part(&self, problem: Problem, wait: Wait) -> Result<Self> {
        match self {
            Self::Cpu(on_cpu) => Ok(Self::Cpu(Box::new(on_cpu.part(problem)?))),
            Self::Gpu(prepared) => Ok(Self::Gpu(prepared.part(&problem, wait).await?)),
            Self::Masked(masked) => {
                let masked = Box::pin(masked.part(problem, wait)).await?;
                Ok(Self::Masked(Box::new(masked)))
            }
        }
    }
}

impl OnCpu {
    fn part(&self, problem: Problem) -> Result<Self> {
        let plan = self.plan().of_part(&problem)?;
        Self::new(&self.cpu, problem, plan)
    }
}

/// What a normalised convolution is made of.
#[derive(Clone, Debug)]
pub(super) struct Masked {
    problem: Problem,
    rows: Rows,
    /// Of values, and of weights that are as many.
    sums: Ready,
    /// Of weights that all images and channels share; none where NaNs make them each value's own.
    shared: Option<Ready>,
}

/// The convolution of values, and of as many weights.
pub(super) fn sums(problem: &Problem) -> Result<Problem> {
    Problem::new(
        &problem.conv().sums_alone(),
        problem.input_shape(),
        float(problem),
        float(problem),
    )
}

/// That of weights that all share.
pub(super) fn shared_sums(problem: &Problem) -> Result<Problem> {
    let conv = problem.conv().sums_alone();
    let [_, height, width, _] = problem.input_shape().to_nhwc(conv.layout);
    // Four axes have room for any.
    let shape = Shape::from([1; 4]).with_nhwc(conv.layout, [1, height, width, 1]);
    let shape = shape.unwrap_or(problem.input_shape());
    Problem::new(&conv, shape, float(problem), float(problem))
}

/// What sums are made in.
fn float(problem: &Problem) -> ElementType {
    match problem.double() {
        Some(_) => ElementType::F64,
        None => ElementType::F32,
    }
}

impl Masked {
    /// Of what was made ready for [`sums`] and [`shared_sums`].
    pub(super) fn new(problem: Problem, sums: Ready, shared: Option<Ready>) -> Self {
        Self { rows: Rows::of(&problem), problem, sums, shared }
    }

    pub(super) fn problem(&self) -> &Problem {
        &self.problem
    }

    pub(super) fn plan(&self) -> &Plan {
        self.sums.plan()
    }

    /// Those of the CPU, if that makes the sums.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn threads(&self) -> Option<u64> {
        match &self.sums {
            Ready::Cpu(on_cpu) => Some(on_cpu.threads()),
            Ready::Gpu(_) | Ready::Masked(_) => None,
        }
    }

    fn set_weights(&mut self, conv: &Conv2d) -> Result<()> {
        let problem = self.problem.reweighed(conv)?;
        let alone = conv.sums_alone();
        let (mut sums, mut shared) = (self.sums.clone(), self.shared.clone());
        sums.set_weights(&alone)?;
        if let Some(shared) = &mut shared {
            shared.set_weights(&alone)?;
        }
        *self = Self::new(problem, sums, shared);
        Ok(())
    }

    /// The same for a part of the output, which is `problem`.
    async fn part(&self, problem: Problem, wait: Wait) -> Result<Self> {
        let made = self.sums.part(sums(&problem)?, wait).await?;
        let shared = match &self.shared {
            Some(shared) => Some(shared.part(shared_sums(&problem)?, wait).await?),
            None => None,
        };
        Ok(Self::new(problem, made, shared))
    }

    /// Whole tensors, and the weights of the values.
    pub(super) async fn run(
        &self,
        src: &[u8],
        mask: Mask<'_>,
        dst: &mut [u8],
        wait: Wait,
    ) -> Result<Timings> {
        match float(&self.problem) {
            ElementType::F64 => self.both::<f64>(src, mask, dst, wait).await,
            _ => self.both::<f32>(src, mask, dst, wait).await,
        }
    }

    async fn both<S: Float>(
        &self,
        src: &[u8],
        mask: Mask<'_>,
        dst: &mut [u8],
        wait: Wait,
    ) -> Result<Timings> {
        let Self { problem, rows, sums, shared } = self;
        let cpu = match sums {
            Ready::Cpu(on_cpu) => Some(&on_cpu.cpu),
            Ready::Gpu(_) | Ready::Masked(_) => None,
        };
        let x = Elements { element: problem.input_type(), bytes: src };
        let mut values = zeroed::<S>("values times their weights", problem.input_len())?;
        let as_they_are = rows.are_values(mask) && problem.input_type() == S::TYPE;
        let (made, one) = if as_they_are {
            filtered(sums, bytemuck::cast_slice(src), wait).await?
        } else {
            rows.values(cpu, x, mask, &mut values)?;
            filtered(sums, &values, wait).await?
        };
        let (known, own, other) = match shared {
            Some(shared) if !rows.own(mask) => {
                let weights = &mut values[..shared.problem().input_len()];
                Rows::shared(mask, weights);
                let (known, other) = filtered(shared, weights, wait).await?;
                (known, false, other)
            }
            _ => {
                rows.weights(cpu, x, mask, &mut values)?;
                let (known, other) = filtered(sums, &values, wait).await?;
                (known, true, other)
            }
        };
        rows.quotients(cpu, problem, (&made, &known, own), dst)?;
        Ok(one.and(other))
    }

    /// Without weights: all are 1.
    async fn run_plain(&self, src: Input<'_>, dst: &mut [u8], wait: Wait) -> Result<Timings> {
        let Input::Whole(src) = src else {
            return Err(Error::argument("rows of the input", "apart", "they are brought together"));
        };
        self.run(src, Mask::Ones, dst, wait).await
    }
}

/// A convolution from `S` to `S`, and what it took.
async fn filtered<S: Float>(ready: &Ready, src: &[S], wait: Wait) -> Result<(Vec<S>, Timings)> {
    let mut made = zeroed::<S>("sums of values and weights", ready.problem().output_len())?;
    let (src, dst) = (Input::Whole(bytemuck::cast_slice(src)), bytemuck::cast_slice_mut(&mut made));
    let timings = Box::pin(ready.run(src, dst, wait, false)).await?;
    Ok((made, timings))
}
