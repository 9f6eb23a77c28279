//! The few constants behind predicted times.
//!
//! Those of llvmpipe and of the CPU were measured (2 cores, AVX2; `cargo bench --bench engines`
//! shows them again); those of hardware GPUs are estimates from the makers' figures. Between algorithms
//! on one device only their ratios matter; between engines their size does too, so what is measured
//! on a device ([`DeviceCosts`]) takes the place of what is written down for its class.

use super::limits::{AdapterClass, CpuLimits, DeviceCosts, GpuLimits};
use crate::kernel::Digits;
use crate::{ElementType, Factors, Problem};

/// What a pass does in all, by the model behind predicted times.
///
/// ```
/// use channelwise::plan::Traffic;
///
/// // A copy of a million f32: each is read once and written once.
/// let mut copy = Traffic::default();
/// copy.accesses = 2e6;
/// copy.bytes = 8e6;
/// assert_eq!(copy.sums, 0.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Traffic {
    /// Scalars that invocations read from buffers or write to them. Caches serve most of those that
    /// are read several times.
    pub accesses: f64,
    /// Scalars written to workgroup memory or read from there.
    pub exchanges: f64,
    /// Multiply-adds, and additions that stand alone.
    pub sums: f64,
    /// Bytes through memory: what is read, once, and what is written. Caches are taken to hold the rows
    /// of the input that neighbouring invocations read again.
    pub bytes: f64,
}

/// What a kind of GPU does in a microsecond.
pub(super) struct GpuCost {
    /// Taps of `direct`: a load of one scalar behind a border, and of a weight.
    pub taps: f64,
    /// Scalars that `flat` reads or writes: neighbouring invocations have neighbours.
    pub loads: f64,
    /// Scalars written to workgroup memory, or read from there.
    pub exchanges: f64,
    /// Multiply-adds of `flat`, in registers.
    pub sums: f64,
    /// Bytes of memory.
    pub bytes: f64,
    /// Microseconds to launch a pass.
    pub launch: f64,
}

impl DeviceCosts {
    /// A GPU with memory of its own, behind PCIe 4 with eight lanes or PCIe 3 with sixteen, as the mid-range
    /// has it: 16 GB/s, of which headers and requests leave three quarters. A thread copies some 8 GB/s
    /// into memory that is written past the cache, and as much out of memory that is not in it. Estimates,
    /// as is the submission: lavapipe, which has neither bus nor interrupt, takes 20 to 30 microseconds.
    pub const DISCRETE: Self = Self {
        write: 8_000_000,
        upload: 12_000_000,
        download: 12_000_000,
        read: 8_000_000,
        memory: 300_000_000,
        latency: 60_000,
    };
    /// A GPU that shares the host's memory, two channels of DDR4 with 40 GB/s of which it gets 30: our
    /// copies on the device read that and write it. Estimates.
    pub const INTEGRATED: Self = Self {
        write: 8_000_000,
        upload: 15_000_000,
        download: 15_000_000,
        read: 8_000_000,
        memory: 30_000_000,
        latency: 60_000,
    };
    /// An Apple M: 100 GB/s in its smallest form, of which copies see 80; one core alone moves 20 GB/s
    /// each way. Metal takes longer to hand a command buffer over and back. Estimates.
    pub const UNIFIED: Self = Self {
        write: 20_000_000,
        upload: 40_000_000,
        download: 40_000_000,
        read: 20_000_000,
        memory: 80_000_000,
        latency: 150_000,
    };
    /// A GPU that the CPU plays: all of these are copies by a core. Measured on two cores with llvmpipe of
    /// Mesa 22.3, by what [`Engine::auto`](crate::Engine::auto) measures; `memory` by kernels of 3x3 on
    /// images larger than a cache.
    pub const SOFTWARE: Self = Self {
        write: 11_000_000,
        upload: 9_000_000,
        download: 9_000_000,
        read: 11_000_000,
        memory: 8_000_000,
        latency: 30_000,
    };
    /// A GPU that does not tell what it is: as integrated, but in browsers, which pass data from process to
    /// process, copies take twice as long and a submission half a millisecond.
    pub const UNKNOWN: Self = Self {
        write: 4_000_000,
        upload: 8_000_000,
        download: 8_000_000,
        read: 4_000_000,
        memory: 30_000_000,
        latency: 500_000,
    };

    /// The same where the device computes on what the host writes and reads: nothing is fetched or handed over.
    ///
    /// ```
    /// use channelwise::plan::DeviceCosts;
    /// assert!(DeviceCosts::INTEGRATED.without_copies().upload > DeviceCosts::INTEGRATED.upload);
    /// ```
    #[must_use]
    pub const fn without_copies(self) -> Self {
        Self { upload: u64::MAX, download: u64::MAX, ..self }
    }

    /// What is written down for a class.
    #[must_use]
    pub const fn of_class(class: AdapterClass) -> Self {
        match class {
            AdapterClass::Discrete => Self::DISCRETE,
            AdapterClass::Integrated => Self::INTEGRATED,
            AdapterClass::Unknown => Self::UNKNOWN,
            AdapterClass::Software => Self::SOFTWARE,
        }
    }

    /// The same with another rate at which a thread of the host copies into memory that the device fetches from: [`DeviceCosts::write`].
    #[must_use]
    pub const fn with_write(self, rate: u64) -> Self {
        Self { write: rate, ..self }
    }

    /// The same with another rate at which the device fetches: [`DeviceCosts::upload`].
    #[must_use]
    pub const fn with_upload(self, rate: u64) -> Self {
        Self { upload: rate, ..self }
    }

    /// The same with another rate at which the device hands results over: [`DeviceCosts::download`].
    #[must_use]
    pub const fn with_download(self, rate: u64) -> Self {
        Self { download: rate, ..self }
    }

    /// The same with another rate at which a thread of the host copies results: [`DeviceCosts::read`].
    #[must_use]
    pub const fn with_read(self, rate: u64) -> Self {
        Self { read: rate, ..self }
    }

    /// The same with another rate of the device's own memory: [`DeviceCosts::memory`].
    #[must_use]
    pub const fn with_memory(self, rate: u64) -> Self {
        Self { memory: rate, ..self }
    }

    /// The same with another time of a submission, in nanoseconds: [`DeviceCosts::latency`].
    #[must_use]
    pub const fn with_latency(self, nanoseconds: u64) -> Self {
        Self { latency: nanoseconds, ..self }
    }

    /// Those of a device.
    pub(crate) fn of(limits: &GpuLimits) -> Self {
        limits.costs.unwrap_or(Self::of_class(limits.class))
    }
}

impl GpuCost {
    pub(super) fn of(limits: &GpuLimits) -> Self {
        let [taps, loads, exchanges, sums, launch] = match limits.class {
            AdapterClass::Discrete => [400_000.0, 1_500_000.0, 4_000_000.0, 8_000_000.0, 10.0],
            AdapterClass::Integrated | AdapterClass::Unknown => {
                [40_000.0, 150_000.0, 400_000.0, 800_000.0, 20.0]
            }
            // Mesa 26 on two cores with AVX2, from kernels of 3x3 to 31x31; Mesa 22.3 takes two to
            // four times as long.
            AdapterClass::Software => [360.0, 2_000.0, 1_600.0, 7_300.0, 30.0],
        };
        let usual = DeviceCosts::of_class(limits.class).memory as f64;
        let memory = match limits.class {
            // Its rates were measured together, and a copy that is short stays in the cores' caches.
            AdapterClass::Software => usual,
            AdapterClass::Discrete | AdapterClass::Integrated | AdapterClass::Unknown => {
                DeviceCosts::of(limits).memory.max(1) as f64
            }
        };
        // Makers give a GPU as much memory bandwidth as its units are many, within a factor of two or
        // three; so one that was measured says how large a device of its class this is.
        let [taps, loads, exchanges, sums] =
            [taps, loads, exchanges, sums].map(|rate| rate * memory / usual);
        Self { taps, loads, exchanges, sums, bytes: memory / 1000.0, launch }
    }

    /// Microseconds of the passes.
    pub(super) fn of_passes(&self, passes: &[Traffic]) -> f64 {
        let one = |pass: &Traffic| {
            self.launch
                + pass.accesses / self.loads
                + pass.exchanges / self.exchanges
                + pass.sums / self.sums
                + pass.bytes / self.bytes
        };
        passes.iter().map(one).sum()
    }
}

/// Threads that algorithms of the CPU, and tiles of transforms, are chosen for, whatever there are: both
/// change bits, which equal problems have alike.
pub(super) const USUAL_THREADS: usize = 4;

/// Microseconds to wake a thread.
const WAKE: f64 = 10.0;

/// Microseconds that threads lose where they share a problem: those to wake them, and what they wait for
/// the memory, which does not grow with their number as the work they do does.
pub(super) fn sharing(problem: &Problem, threads: usize) -> f64 {
    let alone = problem.bytes() as f64 / CPU_BYTES;
    let wake = if threads > 1 { WAKE } else { 0.0 };
    wake + alone / memory_threads(threads) - alone / threads.max(1) as f64
}

/// Threads that together fill the memory: four on a desktop, whose two channels give 40 to 80 GB/s. Who has
/// many more has more channels too, about one for eight to sixteen threads.
fn memory_threads(threads: usize) -> f64 {
    threads.clamp(1, (threads / 8).max(4)) as f64
}

/// Images of a task of the CPU, of so many that take so many microseconds on one thread.
pub(super) fn images(images: usize, limits: &CpuLimits, one_thread: f64) -> usize {
    images.div_ceil(count(limits, one_thread).0).max(1)
}

/// Tasks that work which takes so many microseconds on one thread is cut into, and the threads that are
/// worth waking for it.
fn count(limits: &CpuLimits, one_thread: f64) -> (usize, usize) {
    // Not worth it where waking the threads takes as long as the work.
    let threads = if one_thread < 4.0 * WAKE { 1 } else { limits.threads.max(1) };
    // Several tasks a thread even out cores of different speed; a task goes through its halo anew.
    (if threads == 1 { 1 } else { threads * 4 }, threads)
}

/// Rows that blocks of three and of six fit into.
const BLOCK: usize = 6;

/// Output rows of a task of the CPU, and the threads that are worth waking, for work that takes so many
/// microseconds on one.
pub(super) fn tasks(problem: &Problem, limits: &CpuLimits, one_thread: f64) -> (usize, usize) {
    let g = problem.geometry();
    let rows = g.images * g.out_height;
    let (tasks, threads) = count(limits, one_thread);
    let least = (2 * g.extent().0).min(rows.div_ceil(threads));
    let rows_per_task = rows.div_ceil(tasks).max(least).max(1);
    // Whole blocks of rows, of which the last one would make some once more.
    let rows_per_task = match rows_per_task {
        few @ 0..=BLOCK => few,
        many => many.next_multiple_of(BLOCK),
    };
    let rows_per_task = limits.cuts.task_rows.unwrap_or(rows_per_task);
    (rows_per_task.clamp(1, g.out_height.max(1)), threads)
}

/// Least scalars of a row of a task that has not all columns: a tile or so.
const PIECE: usize = 1 << 11;

/// Output rows and columns of a task of `direct`, which would have so many whole rows: pieces of rows, where there
/// are too few of these for all threads.
pub(super) fn pieces(
    problem: &Problem,
    limits: &CpuLimits,
    rows_per_task: usize,
    one_thread: f64,
) -> (usize, Option<usize>) {
    let g = problem.geometry();
    if problem.gathers() {
        return (rows_per_task, None);
    }
    let (tasks, threads) = count(limits, one_thread);
    let down = |rows: usize| g.images * g.out_height.div_ceil(rows);
    let least = (PIECE / g.channels.max(1)).max(8 * (g.extent().1 - 1)).max(1);
    let most = (g.out_width / least).max(1);
    // As high as two blocks, for the halo; where pieces cannot be many, down to half a one.
    let parts = g.out_height.div_ceil(2 * BLOCK).max(tasks.div_ceil(most * g.images.max(1)));
    let high = g.out_height.div_ceil(parts.max(1)).max(BLOCK / 2).min(g.out_height.max(1));
    let across = tasks.div_ceil(down(high).max(1)).min(most);
    let by_rows = down(rows_per_task);
    let few = threads > 1 && by_rows < 2 * threads && down(high) * across >= 2 * by_rows;
    match (limits.cuts.task_columns, limits.cuts.task_rows) {
        (Some(columns), _) => (rows_per_task, Some(columns.max(1)).filter(|n| *n < g.out_width)),
        (None, None) if few => (high, Some(g.out_width.div_ceil(across))),
        (None, _) => (rows_per_task, None),
    }
}

/// Bytes of a cache line, on the processors that ask for memory or store past the caches.
pub(crate) const CACHE_LINE: usize = 64;

/// Whether outputs of f32 and f64 are stored past the caches: where these do not hold the tensors, vectors are at least half
/// a cache line, rows are whole lines apart, and of interleaved outputs there are not many. Of pieces of half a
/// thousand sums, staged in the first cache, on Zen 3 with AVX2: 3x3 on 8x224x224x64 in 0.7 of the time, on 8x56x56x256
/// in 0.75, 5x5 on 512x512x224 in 0.85; with rows that end within a line 0.95 to 1.25. (From registers, rows by turns,
/// some tensors took twice as long and others less, by the distance of their rows. With AVX-512 only such stores were
/// measured, which gained a third on Zen 4.)
pub(super) fn streamed(problem: &Problem, limits: &CpuLimits) -> bool {
    let g = problem.geometry();
    let floats = match problem.output_type() {
        ElementType::F32 => g.planar || g.outputs <= 4,
        ElementType::F64 => g.planar || g.outputs == 1,
        _ => false,
    };
    let bytes = g.out_row() * problem.output_type().bytes();
    let lines =
        limits.lanes >= 8 && bytes.is_multiple_of(CACHE_LINE) || limits.cuts.cache.is_some();
    floats && lines && problem.bytes() > limits.cuts.cache.unwrap_or(limits.cache)
}

/// What passes through memory at the same time as the sums are made takes that much longer.
const BESIDE: f64 = 0.6;
/// Bytes a core moves in a microsecond.
const CPU_BYTES: f64 = 13_000.0;

fn beside_memory(problem: &Problem, compute: f64) -> f64 {
    let memory = problem.bytes() as f64 / CPU_BYTES;
    compute.max(memory) + BESIDE * compute.min(memory)
}

/// Places whose sums are made, in vectors.
fn vectors(problem: &Problem, limits: &CpuLimits) -> f64 {
    let g = problem.geometry();
    (g.images * g.out_height * g.out_width * g.channels) as f64 / limits.lanes as f64
}

/// Microseconds to bring an input vector into a line as f32, where it is not read where it lies, and an
/// output vector to its type.
fn converting(problem: &Problem, limits: &CpuLimits, lines: bool) -> f64 {
    let lanes = limits.lanes as f64;
    let widened = lines || problem.input_type() != ElementType::F32;
    let inputs = if widened { problem.input_len() as f64 / lanes } else { 0.0 };
    let narrowed = problem.output_type() != ElementType::F32;
    let outputs = if narrowed { problem.output_len() as f64 / lanes } else { 0.0 };
    0.0012 * inputs + 0.003 * outputs
}

/// How much longer sums in f64 take than those in f32: vectors hold half as many, and all rows go through lines.
pub(super) const DOUBLE: f64 = 2.5;
/// The same of two passes, of which the one along rows loads a vector for each tap.
const DOUBLE_PASSES: f64 = 4.0;

/// Microseconds of the CPU's `direct` on one thread.
pub(super) fn cpu_direct(problem: &Problem, limits: &CpuLimits) -> f64 {
    let (kh, _) = problem.geometry().kernel;
    let filters = problem.weights().filters as f64;
    let taps = problem.weights().taps.len() as f64;
    // Bytes as integers: nothing is converted, and vectors hold twice as many.
    let compute = if problem.integers().is_some() {
        vectors(problem, limits) * (taps / 8000.0 + 0.0012)
    } else {
        let each = taps / 5100.0 + filters * (0.0004 * kh as f64 + 0.0005);
        vectors(problem, limits) * each + converting(problem, limits, false)
    };
    beside_memory(problem, compute) + 0.5
}

/// The same of `separable`, columns first.
pub(super) fn cpu_separable(problem: &Problem, factors: &Factors, limits: &CpuLimits) -> f64 {
    beside_memory(problem, two_passes(problem, factors, limits)) + 2.0
}

/// The same with sums in f64.
pub(super) fn cpu_double_separable(
    problem: &Problem,
    factors: &Factors<f64>,
    limits: &CpuLimits,
) -> f64 {
    beside_memory(problem, DOUBLE_PASSES * two_passes(problem, factors, limits)) + 2.0
}

fn two_passes<T: Digits>(problem: &Problem, factors: &Factors<T>, limits: &CpuLimits) -> f64 {
    let g = problem.geometry();
    let (kh, kw) = g.kernel;
    let filters = problem.weights().filters as f64;
    let terms = factors.terms() as f64;
    // Of a filter only the rows that are its own are summed.
    let rows =
        factors.columns().chunks(kw).filter(|row| row.iter().any(|tap| *tap != T::default()));
    let rows = rows.count() as f64;
    // A column is summed for each input column, a row for each output.
    let columns = terms * (g.stride.1 as f64) * (kh as f64 / 3800.0 + 0.001);
    let each = columns + rows * kw as f64 / 3300.0 + filters * 0.001;
    vectors(problem, limits) * each + converting(problem, limits, false)
}

/// The same of box filters by running sums.
pub(super) fn cpu_box_filter(problem: &Problem, limits: &CpuLimits) -> f64 {
    let g = problem.geometry();
    let (stride, places) = (g.stride, vectors(problem, limits));
    // A row enters and one leaves, for columns that no output needs, too. Tasks begin by adding up a window.
    let rows = 2.0 * stride.0.min(g.kernel.0) as f64;
    let each = stride.1 as f64 * (0.0005 * rows + 0.004) + 0.002;
    let compute = places * each + converting(problem, limits, false);
    beside_memory(problem, compute) + 2.0
}

/// The same of the gradient of a kernel, tap by tap.
pub(super) fn cpu_correlation(problem: &Problem, limits: &CpuLimits) -> f64 {
    let g = problem.geometry();
    let taps = problem.weights().taps.len() as f64;
    let row = (g.out_width * g.channels).div_ceil(limits.lanes.max(1));
    let vectors = (g.images * g.out_height * row) as f64;
    beside_memory(problem, vectors * taps / 3000.0)
}

/// The same of a tile of two planes on its way there or back, so many rows of which are not zero, or are
/// wanted: transforms along these and along all columns, and what moves and multiplies points.
pub(super) fn cpu_transform((rows, columns): (usize, usize), some: usize) -> f64 {
    let lines = some as f64 * cpu_line(columns) + columns as f64 * cpu_line(rows);
    let points = (rows * columns) as f64;
    // Of tiles that pass a second cache, columns and the spectrum come out of the third.
    let moves = if points > MOST_POINTS { 0.0025 } else { 0.0016 };
    lines + moves * points
}

/// Points of a tile that stays in a second cache, near enough.
const MOST_POINTS: f64 = 65_536.0;

/// The same of one line, by rustfft with AVX: 0.28 for 256 points. It has loops of their own for powers of
/// two up to 512.
fn cpu_line(points: usize) -> f64 {
    let each = match points {
        ..=256 if points.is_power_of_two() => 0.000_14,
        _ => 0.000_17,
    };
    let points = points as f64;
    each * points * points.log2()
}
