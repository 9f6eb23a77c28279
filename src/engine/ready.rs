//! A problem and what does it: on the CPU, on a GPU, or as two sums by one of these.

use std::sync::Arc;
use std::time::Duration;

use super::arrays::zeroed;
use crate::cpu::{CpuReady, Input, Mask, Packing};
use crate::gpu::GpuPrepared;
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
    pub(super) fn new(cpu: &Cpu, problem: Problem, plan: Plan) -> Self {
        let made = match plan.launch() {
            Launch::Cpu(launch) => CpuReady::new(&problem, launch),
            Launch::Gpu(_) => CpuReady::Direct,
        };
        Self { cpu: cpu.clone(), problem, plan, made }
    }

    /// The same for `problem`, which is this one with other weights.
    pub(super) fn reweighed(&self, problem: Problem) -> Result<Self> {
        let plan = self.plan.reweighed(&problem)?;
        Ok(Self::new(&self.cpu, problem, plan))
    }

    pub(super) fn problem(&self) -> &Problem {
        &self.problem
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// `src` and `dst` hold whole tensors.
    pub(super) fn run<T: Element, U: Element>(&self, src: &[T], dst: &mut [U]) {
        self.run_from(Input::Whole(bytemuck::cast_slice(src)), bytemuck::cast_slice_mut(dst));
    }

    /// Several at once, on the threads of the first.
    pub(super) fn run_all<T: Element, U: Element>(all: Vec<(&Self, &[T], &mut [U])>) {
        let Some(cpu) = all.first().map(|(first, ..)| first.cpu.clone()) else { return };
        cpu.together(all, |(made, src, dst)| made.run(src, dst));
    }

    fn run_from(&self, src: Input<'_>, dst: &mut [u8]) {
        if let Launch::Cpu(launch) = self.plan.launch() {
            self.cpu.run(&self.problem, launch, &self.made, src, dst);
        }
    }
}

impl Ready {
    pub(super) fn on_cpu(cpu: &Cpu, problem: Problem, plan: Plan) -> Self {
        Self::Cpu(Box::new(OnCpu::new(cpu, problem, plan)))
    }

    pub(super) fn set_weights(&mut self, conv: &Conv2d) -> Result<()> {
        match self {
            Self::Gpu(prepared) => prepared.set_weights(conv),
            Self::Masked(_) => {
                let limit = "those of a normalised convolution are prepared anew";
                Err(Error::argument("weights", "others", limit))
            }
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
                on_cpu.run_from(src, dst);
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
        Ok(Self::new(&self.cpu, problem, plan))
    }
}

/// What a normalised convolution is made of.
#[derive(Clone, Debug)]
pub(super) struct Masked {
    pub problem: Problem,
    /// For weights that channels share, and for such that each value has.
    pub shared: Option<Arc<Packed>>,
    pub own: Arc<Packed>,
}

/// The convolution of values and weights.
#[derive(Debug)]
pub(super) struct Packed {
    pub packing: Packing,
    pub ready: Ready,
}

impl Packed {
    async fn part(&self, problem: &Problem, own: bool, wait: Wait) -> Result<Self> {
        let packing = Packing::new(problem, own);
        let ready = self.ready.part(sums(problem, &packing)?, wait).await?;
        Ok(Self { packing, ready })
    }
}

/// The convolution of values and weights.
pub(super) fn sums(problem: &Problem, packing: &Packing) -> Result<Problem> {
    let conv = problem.conv().sums_alone();
    let shape = Shape::from([1; 4]).with_nhwc(conv.layout, packing.nhwc());
    let element = match problem.double() {
        Some(_) => ElementType::F64,
        None => ElementType::F32,
    };
    // Four axes have room for any.
    Problem::new(&conv, shape.unwrap_or(problem.input_shape()), element, element)
}

impl Masked {
    pub(super) fn problem(&self) -> &Problem {
        &self.problem
    }

    pub(super) fn plan(&self) -> &Plan {
        self.shared.as_ref().unwrap_or(&self.own).ready.plan()
    }

    /// The same for a part of the output, which is `problem`.
    pub(super) async fn part(&self, problem: Problem, wait: Wait) -> Result<Self> {
        let own = self.own.part(&problem, true, wait).await?;
        let shared = match &self.shared {
            Some(shared) => Some(Arc::new(shared.part(&problem, false, wait).await?)),
            None => None,
        };
        Ok(Self { problem, shared, own: Arc::new(own) })
    }

    /// Whole tensors, and the weights of the values.
    pub(super) async fn run(
        &self,
        src: &[u8],
        mask: Mask<'_>,
        dst: &mut [u8],
        wait: Wait,
    ) -> Result<Timings> {
        let packed = match (mask, &self.shared) {
            (Mask::Ones | Mask::Shared(_), Some(shared)) => shared,
            _ => &self.own,
        };
        match packed.ready.problem().input_type() {
            ElementType::F64 => self.sums::<f64>(packed, src, mask, dst, wait).await,
            _ => self.sums::<f32>(packed, src, mask, dst, wait).await,
        }
    }

    async fn sums<S: Element>(
        &self,
        packed: &Packed,
        src: &[u8],
        mask: Mask<'_>,
        dst: &mut [u8],
        wait: Wait,
    ) -> Result<Timings> {
        let Packed { packing, ready } = packed;
        let inner = ready.problem();
        let mut values = zeroed::<S>("values and their weights", inner.input_len())?;
        let mut sums = zeroed::<S>("sums of values and weights", inner.output_len())?;
        packing.pack(self.problem.input_type(), src, mask, &mut values);
        let src = Input::Whole(bytemuck::cast_slice(&values));
        let made = bytemuck::cast_slice_mut(&mut sums);
        let timings = Box::pin(ready.run(src, made, wait, false)).await?;
        packing.finish(&self.problem, &sums, dst);
        Ok(timings)
    }

    /// Without weights: all are 1.
    pub(super) async fn run_plain(
        &self,
        src: Input<'_>,
        dst: &mut [u8],
        wait: Wait,
    ) -> Result<Timings> {
        let Input::Whole(src) = src else {
            return Err(Error::argument("rows of the input", "apart", "they are brought together"));
        };
        self.run(src, Mask::Ones, dst, wait).await
    }
}
