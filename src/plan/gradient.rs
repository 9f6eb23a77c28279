//! How gradients are made: of the sums, of the kernel, of the input.

use std::fmt;

use super::bands::Band;
use super::cost::{self, GpuCost, Traffic};
use super::launch::{GpuLaunch, Launch, Scheme};
use super::limits::{AdapterClass, CpuLimits, GpuLimits, Machine, Residence};
use super::products::{self, Products, RUN};
use super::{Algorithm, Plan, choose, fft};
use crate::{ElementType, Error, Problem, Result};

/// Additions one after the other in f32 of the CPU's gradient of a kernel; it goes on in f64.
pub(crate) const DEPTH: usize = 512;

/// Output scalars of a part of the CPU's, and most parts.
const PART: usize = 1 << 17;
const MAX_PARTS: usize = 1 << 10;

/// How the gradients of a problem are made.
///
/// `Display` prints it for people.
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::gaussian(5, 1.0)?);
/// let backward = Engine::cpu().prepare_backward::<f32>(&conv, [64, 64, 3])?;
/// let plan = backward.plan();
/// assert!(plan.depth() < 10_000); // additions one after the other, whatever the size
/// println!("{plan}");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GradientPlan {
    sums: Option<Plan>,
    kernel: KernelGradient,
    /// Microseconds of it, by the model.
    kernel_us: f64,
    spread: f64,
    input: Plan,
}

/// How the gradient of the kernel is made: for each tap the sum over images, positions and channels.
///
/// ```
/// use channelwise::plan::{CpuLimits, KernelGradient, Machine, gradient};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::gaussian(3, 1.0)?);
/// let problem = Problem::new(&conv, [64, 64, 3], ElementType::F32, ElementType::F32)?;
/// let plan = gradient(&problem, &Machine::Cpu(CpuLimits::new(2, 8)), Algorithm::Auto)?;
/// assert!(matches!(plan.kernel(), KernelGradient::Cpu { .. }));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum KernelGradient {
    /// On the CPU: parts of so many output rows, added in order.
    #[non_exhaustive]
    Cpu {
        /// Output rows of a part.
        rows: usize,
    },
    /// On the CPU by transforms: products of the spectra of input and gradient are added up tile by tile, and
    /// what they are transformed back to holds the sum of each tap.
    #[non_exhaustive]
    CpuFft {
        /// Output rows of a part.
        rows: usize,
        /// Rows and columns of a tile.
        tile: (usize, usize),
    },
    /// On the GPU, in two stages: sums of parts, then their sums.
    Gpu(Correlation),
    /// On the GPU by transforms, as on the CPU.
    GpuFft(Products),
}

/// Launch numbers of the GPU's gradient of a kernel.
///
/// ```
/// use channelwise::plan::{GpuLimits, KernelGradient, Machine, Residence, gradient};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::gaussian(3, 1.0)?);
/// let f32 = ElementType::F32;
/// let problem = Problem::new(&conv, [1080, 1920, 3], f32, f32)?;
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// let plan = gradient(&problem, &machine, Algorithm::Auto)?;
/// let KernelGradient::Gpu(correlation) = plan.kernel() else { panic!("small ones by sums") };
/// assert!(correlation.taps.0 <= 3 && correlation.parts > 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Correlation {
    /// Invocations of a workgroup, which lie along flat rows.
    pub workgroup: u32,
    /// Rows and columns of the taps that an invocation sums for.
    pub taps: (u32, u32),
    /// Whether it goes down the rows with a window, reading each row once for all its rows of taps.
    pub march: bool,
    /// Output rows an invocation adds up one after the other, and how many such runs.
    pub run: u32,
    /// Runs.
    pub runs: u32,
    /// Flat positions of an invocation, a workgroup apart.
    pub across: u32,
    /// Parts of the tensor that are bound at once, as those of `direct`.
    pub launch: GpuLaunch,
    /// Sums of each value that the second stage adds up.
    pub parts: usize,
}

/// Values that a workgroup adds up together: of half of the most taps.
const AT_ONCE: u32 = 13;
/// Sums of an invocation at most, which it has twice, and with a window gradients of as many rows as taps.
const SUMS: usize = 25;
const HELD: usize = 60;
/// Positions of an invocation, so that the depth does not grow with the tensor.
const POSITIONS: usize = 1 << 13;
/// Most values between the stages, where there can be so few.
const BETWEEN: usize = 1 << 23;

impl Correlation {
    /// Parts along the flat rows and down the rows of `band`.
    pub(crate) fn grid(&self, problem: &Problem, band: &Band) -> [usize; 2] {
        let g = problem.geometry();
        let across = self.workgroup as usize * self.across as usize;
        let down = self.run as usize * self.runs as usize;
        [
            (band.columns.len() * g.channels).div_ceil(across),
            (band.images.len() * band.rows.len()).div_ceil(down),
        ]
    }

    /// Groups of taps.
    pub(crate) fn tap_groups(&self, problem: &Problem) -> [usize; 2] {
        let (kh, kw) = problem.geometry().kernel;
        [kh.div_ceil(self.taps.0 as usize), kw.div_ceil(self.taps.1 as usize)]
    }

    /// Values that a workgroup adds up together, in its memory.
    pub(crate) fn at_once(&self) -> u32 {
        (self.taps.0 * self.taps.1 + 1).min(AT_ONCE)
    }

    /// Microseconds of both stages. An invocation reads the input once for each of its taps, or with a window once
    /// for each column of them, and the gradient once, as many times as there are groups of taps; what lies between is written once and read once.
    fn predicted(&self, problem: &Problem, limits: &GpuLimits) -> f64 {
        let g = problem.geometry();
        let places = (g.images * g.out_height * g.out_width * g.channels) as f64;
        let filters = problem.weights().filters as f64;
        let groups = self.tap_groups(problem).iter().product::<usize>() as f64 * filters;
        let taps = (self.taps.0 * self.taps.1) as f64;
        let read = if self.march { f64::from(self.taps.1) } else { taps };
        let values = filters * (g.kernel.0 * g.kernel.1 + 1) as f64;
        let between = self.parts as f64 * values;
        let first = Traffic {
            accesses: places * groups * (read + 1.0) + between,
            exchanges: 0.0,
            sums: places * groups * taps,
            bytes: problem.bytes() as f64 + 4.0 * between,
        };
        let second = Traffic { accesses: between, sums: between, bytes: 4.0 * between, ..first };
        GpuCost::of(limits).of_passes(&[first, second])
    }

    fn depth(&self) -> usize {
        let levels = self.workgroup.ilog2() as usize;
        // Of rows of taps that a window has, the last ones fall behind by as many rows.
        let behind = if self.march { self.taps.0 + self.across } else { 0 };
        let first = (self.run + self.runs * self.across + behind) as usize + levels;
        let runs = self.parts.div_ceil((self.workgroup * RUN) as usize);
        first + RUN as usize + runs + levels
    }
}

impl GradientPlan {
    /// The same for other weights: of the sums, and of the way back from them.
    ///
    /// # Errors
    /// [`Error::NotApplicable`](crate::Error::NotApplicable) where an algorithm takes advantage of what the
    /// weights were.
    pub(crate) fn reweighed(&self, sums: &Problem, back: &Problem) -> Result<Self> {
        let plan = self.sums.as_ref().map(|plan| plan.reweighed(sums)).transpose()?;
        Ok(Self { sums: plan, input: self.input.reweighed(back)?, ..self.clone() })
    }

    /// Of the sums before an activation or pointwise step, which the gradient goes through.
    #[must_use]
    pub fn sums(&self) -> Option<&Plan> {
        self.sums.as_ref()
    }

    /// Bytes that tensors on the device begin at multiples of.
    #[cfg(feature = "gpu")]
    pub(crate) fn alignment(&self) -> usize {
        let plans = self.sums.iter().chain([&self.input]);
        let of = |plan: &Plan| match plan.launch() {
            Launch::Gpu(launch) => launch.scheme.alignment(),
            Launch::Cpu(_) => 4,
        };
        plans.map(of).max().unwrap_or(4)
    }

    /// Of the gradient of the kernel.
    #[must_use]
    pub fn kernel(&self) -> &KernelGradient {
        &self.kernel
    }

    /// Of the gradient of the input: the plan of the adjoint.
    #[must_use]
    pub fn input(&self) -> &Plan {
        &self.input
    }

    /// Microseconds of all of them by the model, without copies between host and device. What goes through
    /// an activation and a pointwise step is not in it: a pass over the sums, which are made in a larger one.
    #[must_use]
    pub fn predicted(&self) -> f64 {
        self.sums().map_or(0.0, Plan::predicted) + self.kernel_us + self.input.predicted()
    }

    /// The most additions one after the other in f32 of the gradients of kernel and bias: with `t` the
    /// terms of a sum and `u` = 2^-24, its error is at most `2 depth u Σ|t|`, whatever their number, and
    /// what [`GradientPlan::spread`] adds to that of the kernel.
    #[must_use]
    pub fn depth(&self) -> usize {
        match &self.kernel {
            // And up to sixteen lanes in a tree.
            KernelGradient::Cpu { .. } => DEPTH + 4,
            // In f64.
            KernelGradient::CpuFft { .. } => 1,
            KernelGradient::Gpu(correlation) => correlation.depth(),
            KernelGradient::GpuFft(products) => products.depth(),
        }
    }

    /// With `X` and `D` the largest magnitudes of the input (and a constant border) and of the gradient of
    /// the sums, the kernel's gradient may be off by `spread u X D` more. 0 where it is summed tap by tap;
    /// else statistical, as [`Accuracy`](super::Accuracy) of transforms is.
    #[must_use]
    pub fn spread(&self) -> f64 {
        self.spread
    }
}

impl fmt::Display for GradientPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sums) = &self.sums {
            write!(f, "sums before the activation: {sums}")?;
        }
        match &self.kernel {
            KernelGradient::Cpu { rows } => {
                writeln!(
                    f,
                    "kernel: sums over parts of {rows} output rows, then of parts in order"
                )?;
            }
            KernelGradient::CpuFft { rows, tile: (high, wide) } => {
                writeln!(
                    f,
                    "kernel: transforms of tiles of {high}x{wide} for parts of {rows} output rows, then of parts in order"
                )?;
            }
            KernelGradient::GpuFft(products) => writeln!(f, "kernel: {products}")?,
            KernelGradient::Gpu(c) => {
                writeln!(
                    f,
                    "kernel: {} parts, each of {} rows of {} positions for {}x{} taps{}; then their sums",
                    c.parts,
                    c.run * c.runs,
                    c.workgroup * c.across,
                    c.taps.0,
                    c.taps.1,
                    if c.march { " in a window that goes down the rows" } else { "" }
                )?;
            }
        }
        write!(f, "input: {}", self.input)
    }
}

/// The plan for the gradients of `problem` on `machine`. Tensors of a GPU lie there. `algorithm` is taken for the
/// sums and for the gradient of the input where it applies to them; that of the kernel has its own ways.
///
/// ```
/// use channelwise::plan::{CpuLimits, Machine, gradient};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::gaussian(5, 1.0)?);
/// let problem = Problem::new(&conv, [64, 64, 3], ElementType::F32, ElementType::F32)?;
/// let plan = gradient(&problem, &Machine::Cpu(CpuLimits::new(2, 8)), Algorithm::Auto)?;
/// assert_eq!(plan.spread(), 0.0); // no transforms
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) where the problem is an adjoint itself; those of [`choose`].
pub fn gradient(
    problem: &Problem,
    machine: &Machine,
    algorithm: Algorithm,
) -> Result<GradientPlan> {
    let sums = problem.sums()?;
    let (kernel, kernel_us, spread) = match machine {
        Machine::Cpu(limits) => on_cpu(&sums, limits),
        Machine::Gpu(limits, _) => {
            limits.holds("bytes of the input", sums.input_len(), sums.input_type())?;
            limits.holds("bytes of the input's gradient", sums.input_len(), ElementType::F32)?;
            limits.holds(
                "bytes of the output's gradient",
                problem.output_len(),
                ElementType::F32,
            )?;
            limits.holds("bytes of the sums", sums.output_len(), ElementType::F32)?;
            on_gpu(&sums, limits)?
        }
    };
    let wanted = |problem: &Problem| match choose(problem, machine, algorithm) {
        Err(Error::NotApplicable { .. }) => choose(problem, machine, Algorithm::Auto),
        made => made,
    };
    let input = wanted(&sums.back()?)?;
    let sums = if problem.is_linear() { None } else { Some(wanted(&sums)?) };
    Ok(GradientPlan { sums, kernel, kernel_us, spread, input })
}

/// By transforms where that is allowed and faster, with its microseconds; and what it spreads. Which of
/// them is not asked of threads, so that these do not change sums.
fn on_cpu(problem: &Problem, limits: &CpuLimits) -> (KernelGradient, f64, f64) {
    let plain = cost::cpu_correlation(problem, limits);
    let fft = fft::correlation(problem, &limits.cuts)
        .filter(|(.., us)| problem.conv().finite && *us < plain);
    let threads = limits.threads.max(1);
    let shared = |one_thread: f64| one_thread / threads as f64 + cost::sharing(problem, threads);
    match fft {
        Some((rows, tile, us)) => {
            let spread = fft::correlation_spread(problem, rows, tile);
            (KernelGradient::CpuFft { rows, tile }, shared(us), spread)
        }
        None => (KernelGradient::Cpu { rows: rows(problem, limits) }, shared(plain), 0.0),
    }
}

/// Output rows of a part on the CPU: by the shape alone, so that threads do not change sums.
fn rows(problem: &Problem, limits: &CpuLimits) -> usize {
    let g = problem.geometry();
    let row = g.out_width * g.channels;
    let few = PART.div_ceil(row.max(1)).max(2 * g.extent().0);
    let least = (g.images * g.out_height).div_ceil(MAX_PARTS);
    limits.cuts.part_rows.unwrap_or(few.max(least)).clamp(1, g.out_height.max(1))
}

/// The same on a GPU.
fn on_gpu(problem: &Problem, limits: &GpuLimits) -> Result<(KernelGradient, f64, f64)> {
    let plain = correlation(problem, limits)?;
    let us = plain.predicted(problem, limits);
    let products = products::gpu(problem, limits, plain.workgroup)
        .filter(|(_, by_transforms)| limits.cuts.products.unwrap_or(*by_transforms < us));
    Ok(match products {
        Some((products, us)) => {
            let spread = products.spread(problem);
            (KernelGradient::GpuFft(products), us, spread)
        }
        None => (KernelGradient::Gpu(plain), us, 0.0),
    })
}

/// Taps of an invocation that reads the input for each: twelve sums at most, in registers twice.
fn block((kh, kw): (usize, usize)) -> (usize, usize) {
    let columns = kw.div_ceil(kw.div_ceil(4));
    (kh.div_ceil(kh.div_ceil(12 / columns)), columns)
}

/// Those of one that goes down with a window: those with which it reads least, which is a value for each column of taps
/// and one of the gradient for each group.
fn window((kh, kw): (usize, usize)) -> (usize, usize) {
    let of = |columns: usize| {
        let most = (SUMS / columns).min(HELD / (2 * columns + 1));
        let (down, across) = (kh.div_ceil(most), kw.div_ceil(columns));
        (down * across * (columns + 1), (kh.div_ceil(down), kw.div_ceil(across)))
    };
    let all = (1..=kw.min(8)).map(of);
    // Among equals the fewest columns.
    all.min_by_key(|(read, _)| *read).map_or((1, 1), |(_, taps)| taps)
}

fn correlation(problem: &Problem, limits: &GpuLimits) -> Result<Correlation> {
    let g = problem.geometry();
    // Cut as `direct` cuts what lies on the device.
    let machine = Machine::Gpu(*limits, Residence::Device);
    let plan = choose(problem, &machine, Algorithm::Direct)?;
    let launch = match plan.launch {
        Launch::Gpu(launch) => launch,
        Launch::Cpu(_) => GpuLaunch {
            scheme: Scheme::Direct { workgroup: [1, 1], sliced: true },
            pitch: 1,
            bands: Vec::new(),
        },
    };
    let (kh, kw) = g.kernel;
    let (workgroup, groups) = match limits.class {
        // A core each, and vectors along the row.
        AdapterClass::Software => (64, 64),
        AdapterClass::Integrated | AdapterClass::Unknown => (128, 1 << 10),
        AdapterClass::Discrete => (256, 1 << 12),
    };
    let workgroup = 1 << limits.max_invocations.min(workgroup).ilog2();
    // Rows of taps that lie beside each other meet rows of the input that do.
    let march = g.stride.0 == 1 && g.dilation.0 == 1;
    let (rows, columns) = if march { window(g.kernel) } else { block(g.kernel) };
    let taps = (rows as u32, columns as u32);
    // What lies between the stages stays small.
    let values = problem.weights().filters * (kh * kw + 1);
    let groups = groups.min(BETWEEN / values).max(1);
    let flat = (g.out_width * g.channels).div_ceil(workgroup as usize).max(1);
    let down = (g.images * g.out_height).max(1);
    // Positions of an invocation, and how many a driver lets it have.
    let turns = 2 * (2 + rows * (columns + 2)) as u64;
    // A window goes on for as many rows as it has, where those of a band end.
    let high = launch.bands.iter().map(|band| band.rows.len()).min().unwrap_or(1) as u64;
    let behind = if march { rows as u64 - 1 } else { 0 };
    let most = (limits.max_iterations / turns).saturating_mul(high) / (high + behind);
    let most = usize::try_from(most).unwrap_or(usize::MAX).clamp(1, 1 << 20);
    let usual = (flat.saturating_mul(down) / groups).clamp(16, POSITIONS);
    let mut together = limits.cuts.positions.unwrap_or(usual).clamp(1, most);
    // What lies between fits a binding, whatever the depth, though a band makes a part at least.
    let room = usize::try_from(limits.max_range() / 4).unwrap_or(usize::MAX) / values;
    let mut correlation =
        Correlation { workgroup, taps, march, run: 1, runs: 1, across: 1, launch, parts: 0 };
    loop {
        let each = together.min(down);
        correlation.run = each.min(RUN as usize) as u32;
        correlation.runs = each.div_ceil(RUN as usize) as u32;
        correlation.across = (together / each).clamp(1, flat) as u32;
        let parts = correlation.launch.bands.iter().map(|band| {
            let [across, down] = correlation.grid(problem, band);
            across * down
        });
        correlation.parts = parts.sum();
        let largest = together >= most || together >= flat.saturating_mul(down);
        if correlation.parts <= room || largest {
            return Ok(correlation);
        }
        together = together.saturating_mul(2).min(most);
    }
}
