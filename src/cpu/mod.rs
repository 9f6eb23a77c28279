//! The CPU engine: output rows cut into tasks, tasks over threads, vectors along flat rows.

mod activate;
mod adjoint;
mod blocks;
mod correlate;
mod direct;
mod fft;
mod inner;
mod kernels;
mod phases;
mod raw;
mod ring;
mod rows;
mod separable;
mod simd;
mod slope;
mod small;
mod store;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::plan::{self, CpuLaunch, CpuLimits, CpuScheme, Cuts, Rectangle};
use crate::{Error, Factors, Problem, Result};
pub(crate) use correlate::CpuCorrelation;
pub(crate) use raw::large_pages;
use rows::Scratch;
use simd::Simd;

/// The CPU engine: SIMD chosen at run time, threads by rayon.
///
/// ```
/// let cpu = channelwise::Cpu::new();
/// println!("{cpu}");
/// ```
#[derive(Clone, Debug)]
pub struct Cpu {
    simd: Simd,
    /// `None`: the pool that is current where it runs, usually rayon's global one.
    pool: Option<Arc<rayon::ThreadPool>>,
    cuts: Cuts,
}

impl Cpu {
    /// On rayon's global pool (sized by `RAYON_NUM_THREADS`, else by the machine), or the pool
    /// from inside which it is called.
    #[must_use]
    pub fn new() -> Self {
        Self { simd: Simd::detect(), pool: None, cuts: Cuts::NONE }
    }

    /// On a pool of its own with this many threads.
    ///
    /// # Errors
    /// [`Error::Argument`] for 0, [`Error::Threads`] where the system refuses.
    pub fn with_threads(threads: usize) -> Result<Self> {
        if threads == 0 {
            return Err(Error::argument("threads", threads, "at least 1 is needed"));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("channelwise-{i}"))
            .build()
            .map_err(|e| Error::Threads { threads, reason: e.to_string() })?;
        Ok(Self { pool: Some(Arc::new(pool)), ..Self::new() })
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
        let threads = self
            .pool
            .as_ref()
            .map_or_else(rayon::current_num_threads, |pool| pool.current_num_threads());
        CpuLimits { lanes: self.simd.lanes(), cuts: self.cuts, ..CpuLimits::new(threads, 0) }
    }

    /// Computes `problem` from `src` into `dst`, tensors in its layout and of its lengths and types.
    /// `ready` was made of the same problem and launch. Both are taken as bytes, so that what depends on
    /// their types is only how a row is read and written.
    pub(crate) fn run(
        &self,
        problem: &Problem,
        launch: &CpuLaunch,
        ready: &CpuReady,
        src: &[u8],
        dst: &mut [u8],
    ) {
        if dst.is_empty() {
            return;
        }
        if let (CpuReady::Direct, Some(images)) = (ready, launch.images_per_task) {
            return self.small(problem, images, src, dst);
        }
        let made = launch.scheme.part_of(problem);
        let left = match ready {
            CpuReady::Fft(transforms) => Some(self.transform(made, transforms, src, dst)),
            CpuReady::Direct | CpuReady::Separable(_) => None,
        };
        let edges = match launch.scheme.leaves_edges(problem) {
            true => plan::edges(problem),
            false => Vec::new(),
        };
        if edges.is_empty() && left.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        let tasks = tasks(problem, launch, self.cuts.tile, dst);
        let run = |scratch: &mut Scratch, mut task: Task<'_>| {
            match &left {
                None => self.simd.run(made, ready, src, task.again(), scratch),
                Some(left) => {
                    let image = task.image;
                    for left in left.iter().filter(|left| left.image == image) {
                        if let Some(task) = task.part(problem, &left.rectangle) {
                            self.simd.direct(made, src, task, scratch);
                        }
                    }
                }
            }
            if !edges.is_empty() {
                self.simd.edges(problem, &edges, src, task, scratch);
            }
        };
        self.each(tasks, run);
    }

    /// Small images, so many in a task.
    fn small(&self, problem: &Problem, images: usize, src: &[u8], dst: &mut [u8]) {
        let image = dst.len() / problem.geometry().images;
        let tasks = dst.chunks_mut(images * image).enumerate();
        let tasks = tasks.map(|(n, outputs)| small::Images { first: n * images, outputs });
        self.each(tasks.collect(), |scratch, images| {
            self.simd.small(problem, src, images, scratch);
        });
    }

    /// Calls `run` with each task, on all threads where there are several.
    fn each<T: Send>(&self, tasks: Vec<T>, run: impl Fn(&mut Scratch, T) + Sync + Send) {
        if tasks.len() == 1 {
            let mut scratch = Scratch::default();
            tasks.into_iter().for_each(|task| run(&mut scratch, task));
            return;
        }
        let all = || tasks.into_par_iter().for_each_init(Scratch::default, run);
        match &self.pool {
            Some(pool) => pool.install(all),
            None => all(),
        }
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

/// What a plan makes once for all its runs.
#[derive(Clone, Debug)]
pub(crate) enum CpuReady {
    Direct,
    Separable(Factors),
    Fft(fft::Transforms),
}

impl CpuReady {
    pub fn new(problem: &Problem, launch: &CpuLaunch) -> Self {
        match &launch.scheme {
            CpuScheme::Direct => Self::Direct,
            CpuScheme::Separable(factors) => Self::Separable(factors.clone()),
            CpuScheme::Fft { tile, outputs } => {
                Self::Fft(fft::Transforms::new(problem.but_for_edges(), *tile, *outputs))
            }
        }
    }
}

/// Some output rows of one image.
struct Task<'a> {
    image: usize,
    rows: Range<usize>,
    /// Of which `direct` makes these columns: all, but where others were made by other means.
    columns: Range<usize>,
    /// The rows' memory: one slice, or one for each output plane.
    planes: Vec<&'a mut [u8]>,
    /// Scalars of a tile of columns, where that is not the algorithm's own choice.
    tile: Option<usize>,
    /// Whether outputs are stored past the caches.
    streamed: bool,
}

impl Task<'_> {
    /// The same rows.
    fn again(&mut self) -> Task<'_> {
        let planes = self.planes.iter_mut().map(|plane| &mut **plane).collect();
        let (rows, columns) = (self.rows.clone(), self.columns.clone());
        Task { image: self.image, rows, columns, planes, tile: self.tile, streamed: self.streamed }
    }

    /// Those of its rows that a rectangle has, and the rectangle's columns.
    fn part(&mut self, problem: &Problem, rectangle: &Rectangle) -> Option<Task<'_>> {
        let row = problem.geometry().out_row() * problem.output_type().bytes();
        let Rectangle { rows, columns } = rectangle;
        let rows = rows.start.max(self.rows.start)..rows.end.min(self.rows.end);
        let from = rows.start.checked_sub(self.rows.start)? * row;
        let planes: Option<Vec<&mut [u8]>> = (self.planes.iter_mut())
            .map(|plane| plane.get_mut(from..from + rows.len() * row))
            .collect();
        let planes = planes.filter(|_| !rows.is_empty())?;
        Some(Task {
            image: self.image,
            rows,
            columns: columns.clone(),
            planes,
            tile: self.tile,
            streamed: self.streamed,
        })
    }
}

/// Cuts the output into tasks that own their rows.
fn tasks<'a>(
    problem: &Problem,
    launch: &CpuLaunch,
    tile: Option<usize>,
    dst: &'a mut [u8],
) -> Vec<Task<'a>> {
    let g = problem.geometry();
    let row = g.out_row() * problem.output_type().bytes();
    let mut tasks = Vec::new();
    for (image, out) in dst.chunks_mut(g.out_planes() * g.out_height * row).enumerate() {
        let first = tasks.len();
        for plane in out.chunks_mut(g.out_height * row) {
            for (i, rows) in plane.chunks_mut(launch.rows_per_task * row).enumerate() {
                if tasks.len() == first + i {
                    let start = i * launch.rows_per_task;
                    tasks.push(Task {
                        image,
                        rows: start..start + rows.len() / row,
                        columns: 0..g.out_width,
                        planes: Vec::with_capacity(g.out_planes()),
                        tile,
                        streamed: launch.streamed,
                    });
                }
                tasks[first + i].planes.push(rows);
            }
        }
    }
    tasks
}

/// One image of an input tensor.
fn image<'a>(problem: &Problem, src: &'a [u8], image: usize) -> &'a [u8] {
    let bytes = problem.geometry().image() * problem.input_type().bytes();
    &src[image * bytes..(image + 1) * bytes]
}
