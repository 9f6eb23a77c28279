//! The CPU engine: output rows cut into tasks, tasks over threads, vectors along flat rows.

mod adjoint;
mod box_filter;
mod direct;
mod double;
mod fft;
mod gradient;
mod kernels;
mod masked;
mod raw;
mod scratch;
mod separable;
mod simd;
mod sink;
mod source;
mod task;
mod threads;

use crate::memory::NoRoom;
use crate::plan::{self, CpuLaunch, CpuLimits, CpuScheme, Cuts};
use crate::problem::DoubleWeights;
use crate::{Factors, Problem};
pub(crate) use gradient::CpuKernelGradient;
pub(crate) use masked::{Elements, Float, Mask, Rows, not_finite};
pub(crate) use raw::large_pages;
use scratch::{Scratch, Scratches};
use simd::Simd;
pub(crate) use source::Input;
use task::Task;
use threads::Threads;

/// The CPU engine: SIMD chosen at run time, threads by rayon.
///
/// ```
/// let cpu = channelwise::Cpu::new();
/// println!("{cpu}");
/// ```
#[derive(Clone, Debug)]
pub struct Cpu {
    simd: Simd,
    threads: Threads,
    cuts: Cuts,
}

impl Cpu {
    /// On rayon's global pool (sized by `RAYON_NUM_THREADS`, else by the machine), or the pool
    /// from inside which it is called.
    #[must_use]
    pub fn new() -> Self {
        Self { simd: Simd::detect(), threads: Threads::Current, cuts: Cuts::NONE }
    }

    /// On a pool of its own with this many threads; with 1, on the thread that calls, so that threads which share
    /// such an engine compute side by side.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for 0, [`Error::Threads`](crate::Error::Threads) where the system
    /// refuses.
    pub fn with_threads(threads: usize) -> crate::Result<Self> {
        Ok(Self { threads: Threads::new(threads)?, ..Self::new() })
    }

    /// Name of the SIMD level in use.
    #[must_use]
    pub fn simd(&self) -> &'static str {
        self.simd.name()
    }

    /// The same engine on another SIMD level that this machine has; see [`Cpu::simd_levels`].
    #[doc(hidden)]
    #[must_use]
    pub fn with_simd(mut self, name: &str) -> Option<Self> {
        self.simd = Simd::all().into_iter().find(|s| s.name() == name)?;
        Some(self)
    }

    /// The same engine, which cuts its work into pieces of these sizes.
    #[doc(hidden)]
    #[must_use]
    pub fn with_cuts(mut self, cuts: Cuts) -> Self {
        self.cuts = cuts;
        self
    }

    /// Names of all SIMD levels this machine has, the best first.
    #[must_use]
    pub fn simd_levels() -> Vec<&'static str> {
        Simd::all().into_iter().map(|s| s.name()).collect()
    }

    /// What the planner needs to know.
    #[must_use]
    pub fn limits(&self) -> CpuLimits {
        CpuLimits {
            lanes: self.simd.lanes(),
            cuts: self.cuts,
            ..CpuLimits::new(self.threads.count(), 0)
        }
    }

    /// Computes `problem` from `src` into `dst`, tensors in its layout and of its lengths and types.
    /// `ready` was made of the same problem and launch. Both are taken as bytes, so that what depends on
    /// their types is only how a row is read and written.
    ///
    /// # Errors
    /// Where there is no memory for what a task needs beside both. What of `dst` is written is any part of it.
    pub(crate) fn run(
        &self,
        problem: &Problem,
        launch: &CpuLaunch,
        ready: &CpuReady,
        src: Input<'_>,
        dst: &mut [u8],
    ) -> Result<(), NoRoom> {
        if dst.is_empty() {
            return Ok(());
        }
        let problem = match (ready, src) {
            (CpuReady::AsRow(as_row), Input::Whole(_)) => as_row,
            _ => problem,
        };
        if let (CpuReady::Direct | CpuReady::AsRow(_), Some(images), Input::Whole(src)) =
            (ready, launch.images_per_task, src)
        {
            return self.small(problem, images, src, dst);
        }
        let made = launch.scheme.part_of(problem);
        let left = match ready {
            CpuReady::Fft(transforms) => Some(self.transform(made, transforms, src, dst)?),
            CpuReady::Direct
            | CpuReady::AsRow(_)
            | CpuReady::Separable(_)
            | CpuReady::BoxFilter
            | CpuReady::Double(..) => None,
        };
        let edges = match launch.scheme.leaves_edges(problem) {
            true => plan::edges(problem),
            false => Vec::new(),
        };
        if edges.is_empty() && left.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        let tasks = task::tasks(problem, launch, self.cuts.tile, dst)?;
        let run = |scratch: &mut Scratch, mut task: Task<'_>| {
            match &left {
                None => self.simd.run(made, ready, src, task.again()?, scratch)?,
                Some(left) => {
                    let image = task.image;
                    for left in left.iter().filter(|left| left.image == image) {
                        if let Some(task) = task.part(problem, &left.rectangle)? {
                            self.simd.direct(made, src, task, scratch)?;
                        }
                    }
                }
            }
            if !edges.is_empty() {
                self.simd.edges(problem, &edges, src, task, scratch)?;
            }
            if launch.streamed {
                raw::fence();
            }
            Ok(())
        };
        self.each(tasks, run)
    }

    /// Calls `run` with each of several pieces of work, which may share out tasks of their own.
    pub(crate) fn together<T: Send>(
        &self,
        all: Vec<T>,
        run: impl Fn(T) -> Result<(), NoRoom> + Sync + Send,
    ) -> Result<(), NoRoom> {
        self.threads.each(all, run)
    }

    /// Small images, so many in a task.
    fn small(
        &self,
        problem: &Problem,
        images: usize,
        src: &[u8],
        dst: &mut [u8],
    ) -> Result<(), NoRoom> {
        let image = dst.len() / problem.geometry().images;
        let tasks = dst.chunks_mut(images * image).enumerate();
        let tasks = tasks.map(|(n, outputs)| direct::Images { first: n * images, outputs });
        self.each(tasks.collect(), |scratch, images| self.simd.small(problem, src, images, scratch))
    }

    /// Calls `run` with each task, on all threads where there are several.
    fn each<T: Send>(
        &self,
        tasks: Vec<T>,
        run: impl Fn(&mut Scratch, T) -> Result<(), NoRoom> + Sync + Send,
    ) -> Result<(), NoRoom> {
        let scratches = Scratches::default();
        self.threads.each(tasks, |task| scratches.with(|scratch| run(scratch, task)))
    }

    /// What `run` makes of each task, in their order. There are no more scratches than threads.
    fn map<T: Send, R: Send>(
        &self,
        tasks: Vec<T>,
        run: impl Fn(&mut Scratch, T) -> Result<R, NoRoom> + Sync + Send,
    ) -> Result<Vec<R>, NoRoom> {
        let scratches = Scratches::default();
        self.threads.map(tasks, |task| scratches.with(|scratch| run(scratch, task)))
    }
}

impl Default for Cpu {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Display for Cpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let threads = self.limits().threads;
        let plural = if threads == 1 { "" } else { "s" };
        write!(f, "cpu: {threads} thread{plural}, {}", self.simd.name())
    }
}

impl CpuReady {
    /// Whether rows of input are read where they lie. Those of small images, or of a column that is made as a row,
    /// have to follow one another.
    pub fn reads_rows(&self, launch: &CpuLaunch) -> bool {
        !matches!(self, Self::AsRow(_)) && launch.images_per_task.is_none()
    }
}

/// What a plan makes once for all its runs.
#[derive(Clone, Debug)]
pub(crate) enum CpuReady {
    Direct,
    /// The same of a column of pixels, as the row that it is as well.
    AsRow(Box<Problem>),
    Separable(Factors),
    BoxFilter,
    Fft(fft::Transforms),
    /// With the factors of two passes, where there are such.
    Double(DoubleWeights, Option<Factors<f64>>),
}

impl CpuReady {
    /// # Errors
    /// Where there is no memory for it.
    pub fn new(problem: &Problem, launch: &CpuLaunch) -> Result<Self, NoRoom> {
        Ok(match &launch.scheme {
            CpuScheme::Direct => {
                problem.as_row().map_or(Self::Direct, |as_row| Self::AsRow(Box::new(as_row)))
            }
            CpuScheme::Separable(factors) => Self::Separable(factors.clone()),
            CpuScheme::BoxFilter => Self::BoxFilter,
            CpuScheme::Double => Self::double(problem, None),
            CpuScheme::DoubleSeparable(factors) => Self::double(problem, Some(factors)),
            CpuScheme::Fft { tile, outputs } => {
                Self::Fft(fft::Transforms::new(problem.but_for_edges(), *tile, *outputs)?)
            }
        })
    }

    fn double(problem: &Problem, factors: Option<&Factors<f64>>) -> Self {
        match problem.double() {
            Some(weights) => Self::Double(weights.clone(), factors.cloned()),
            // Only problems that ask for it are planned so.
            None => Self::Direct,
        }
    }
}
