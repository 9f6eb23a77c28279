//! `separable` in one pass: a workgroup has some columns, and goes down them through workgroup memory.
//!
//! Row sums go through workgroup memory once, from the invocations that make them for neighbouring columns to
//! those that have a column each and keep the sums of all outputs there that are under way. Another way
//! would be to keep blocks of row sums in workgroup memory and to read each for every tap: of a 31x31 kernel
//! 62 rows for 32 outputs, so that an output takes 91 multiply-adds and 33 reads where this takes 62 to 77 and two,
//! and as nothing is kept there, strips may be wide, with little that two neighbours both read.

use std::fmt;

use super::cost::{GpuCost, Traffic};
use super::flat::{self, Size, Work};
use super::limits::{AdapterClass, GpuLimits, Residence};
use super::offer::Offer;
use crate::{ElementType, Factors, Problem};

/// Most vectors of sums across, or down in a column; and most outputs of a place. Twin of `join` in
/// `shaders/strip.wgsl`.
const MAX_SUMS: usize = 16;
/// Most vectors of sums that a GPU keeps down a column: with as many taps beside them some have no registers left.
const SUMS: usize = 10;
/// Most vectors of sums down four columns. Twin of `Sums`.
const MAX_FOUR: usize = 32;

/// Invocations that run in step, on most GPUs.
const STEP: f64 = 32.0;

/// What a workgroup has of the output, and how it goes down there.
///
/// ```
/// use channelwise::plan::{GpuLimits, Launch, Machine, Residence, Scheme, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::gaussian(31, 5.0)?);
/// let f32 = ElementType::F32;
/// let problem = Problem::new(&conv, [1080, 1920, 3], f32, f32)?;
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// let plan = choose(&problem, &machine, Algorithm::Separable)?;
/// let Launch::Gpu(launch) = plan.launch() else { panic!("it is for a GPU") };
/// let Scheme::Strips { strip, factors, .. } = &launch.scheme else { panic!("in one pass") };
/// assert_eq!(factors.terms(), 1);
/// assert!(strip.memory() <= GpuLimits::webgpu_defaults().max_workgroup_memory);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Strip {
    /// Neighbouring channels.
    pub channels: u32,
    /// Columns.
    pub columns: u32,
    /// Most output rows of a workgroup: its march.
    pub rows: u32,
    /// Source rows whose sums go through workgroup memory at once.
    pub batch: u32,
    /// Vectors of four columns whose row sums an invocation makes at once, of every term.
    pub vectors: u32,
    /// Vectors of sums under way, of every filter: of one column, or of four whose sums make up vectors.
    pub parts: u32,
    /// Whether an invocation goes down four columns of a channel, and not one.
    pub four: bool,
    /// Distance of the rows of a march, and of the columns of a block.
    pub spacing: (u32, u32),
    /// Taps between two that read the same for neighbouring rows and columns.
    pub phases: (u32, u32),
    /// Vectors of workgroup memory from one staged row to the next, and from one row of sums to the next.
    pub pitches: (u32, u32),
    /// Vectors of these from one channel of a chain to the next.
    pub chain: u32,
    /// Scalars of workgroup memory that a row of outputs takes on its way to words; 0 where it takes none.
    pub leaving: u32,
    /// Whether neighbouring channels are read as one word.
    pub words: bool,
    /// Whether sizes are constants of the shader.
    pub specialised: bool,
}

impl fmt::Display for Strip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channels, columns, rows, batch, specialised, .. } = self;
        write!(
            f,
            "one pass in strips of {columns} columns and {channels} channels, {rows} rows each, \
             {batch} source rows at once in {} bytes",
            self.memory()
        )?;
        if *specialised { Ok(()) } else { write!(f, ", sizes read at run time") }
    }
}

impl Strip {
    /// Invocations of a workgroup.
    #[must_use]
    pub fn workgroup(&self) -> u32 {
        self.channels * self.columns / if self.four { 4 } else { 1 }
    }

    /// Bytes of workgroup memory.
    #[must_use]
    pub fn memory(&self) -> u32 {
        let scalars = 4 * (self.pitches.0 + self.pitches.1) + self.leaving;
        self.batch * scalars * ElementType::F32.bytes() as u32
    }

    /// Strips of a row, marches of a strip, and images.
    pub(super) fn grid(&self, channels: usize, [rows, columns, images]: Size) -> [usize; 3] {
        let across = columns.div_ceil(self.columns as usize);
        let spans = channels.div_ceil(self.channels as usize);
        [across * spans, self.marches(rows), images]
    }

    /// Marches of so many output rows.
    fn marches(&self, rows: usize) -> usize {
        let (spacing, each) = (self.spacing.0 as usize, self.rows as usize);
        // As blocks of rows of `flat`.
        let whole = (rows - 1) / (spacing * each);
        whole * spacing + spacing.min(rows - whole * spacing * each)
    }
}

/// The best strip for `work` of so many terms, where there is one.
pub(super) fn strip(
    problem: &Problem,
    terms: usize,
    specialised: bool,
    limits: &GpuLimits,
    residence: Residence,
) -> Offer<Strip> {
    let g = problem.geometry();
    let work = Work { terms, ..Work::of(problem) };
    let size = [g.out_height, g.out_width, g.images];
    // Channels of f32 are read one by one, as neighbouring invocations have neighbours.
    let words = g.channels.is_multiple_of(4)
        && (problem.input_type() != ElementType::F32 || residence == Residence::Texture);
    let (row_spacing, row_phases) = flat::spacing(work.stride.0, work.dilation.0);
    let under_way = (work.kernel.0 - 1) / row_phases + 1;
    // A software adapter has memory for registers, and pays for each time it reads workgroup memory.
    let four = limits.class == AdapterClass::Software
        && under_way.saturating_mul(work.filters) <= MAX_FOUR;
    let parts = if four { under_way } else { under_way.div_ceil(4) };
    let under_way = if four { 1 } else { parts.saturating_mul(work.filters) };
    let most = match limits.class {
        AdapterClass::Software => MAX_SUMS,
        AdapterClass::Discrete | AdapterClass::Integrated | AdapterClass::Unknown => SUMS,
    };
    if under_way > most || work.outputs.max(terms) > MAX_SUMS {
        return Err(format!(
            "{under_way} vectors of sums under way of {most}, {} outputs and {terms} terms of {MAX_SUMS}",
            work.outputs
        ));
    }
    let offers = shapes(&work, terms, words, four, limits).into_iter().filter_map(|strip| {
        let strip = Strip { parts: parts as u32, specialised, ..strip };
        let rows = march(&strip, &work, row_spacing, size, limits);
        let strip = Strip { rows, ..strip };
        limits.check_iterations(iterations(&strip, &work)).ok()?;
        Some((strip, cost(&traffic(&strip, problem, terms), limits)))
    });
    // So little memory that eight times 32 invocations go on beside one another on GPUs that have 64 KiB for 1024.
    // A batch waits for all invocations twice, so that small ones take longer.
    let software = limits.class == AdapterClass::Software;
    let offers = offers.map(|(strip, us)| {
        let much = !software && strip.memory() > 64 * strip.workgroup();
        (much, strip, if strip.batch < 8 { 1.1 * us } else { us })
    });
    let best = offers.min_by(|a, b| a.0.cmp(&b.0).then(a.2.total_cmp(&b.2)));
    best.map(|(_, strip, us)| (strip, us)).ok_or_else(|| {
        format!(
            "no strip's rows with what taps reach beyond them fit {} bytes of workgroup memory",
            limits.max_workgroup_memory
        )
    })
}

/// Microseconds.
///
/// A software adapter makes these sums, whose weights and addresses wait in registers, in half the time of those of
/// `flat`, and pays more for workgroup memory: Mesa 22.3 on two cores with AVX-512, kernels of 3x3 to 63x63, one
/// channel to 64, strides and dilations, all by the time of two passes.
fn cost(traffic: &Traffic, limits: &GpuLimits) -> f64 {
    let [sums, exchanges] = match limits.class {
        AdapterClass::Software => [0.5, 1.6],
        AdapterClass::Discrete | AdapterClass::Integrated | AdapterClass::Unknown => [1.0, 1.0],
    };
    let weighed =
        Traffic { sums: sums * traffic.sums, exchanges: exchanges * traffic.exchanges, ..*traffic };
    GpuCost::of(limits).of_passes(&[weighed])
}

/// Strips that fit the device, but for the rows of a march.
fn shapes(work: &Work, terms: usize, words: bool, four: bool, limits: &GpuLimits) -> Vec<Strip> {
    let (row_spacing, row_phases) = flat::spacing(work.stride.0, work.dilation.0);
    let (spacing, phases) = flat::spacing(work.stride.1, work.dilation.1);
    let furthest = [spacing, phases, row_spacing, row_phases].into_iter().max().unwrap_or(0);
    if furthest > 1 << 20 || work.channels == 0 {
        return Vec::new();
    }
    let own = if four { 4 } else { 1 };
    let mut all = Vec::new();
    // All channels, so that places of the flat row go on from column to column; of many, those that
    // make up a cache line or half of one, which a CPU's caches do not have.
    for span in [work.channels, 16, if four { 16 } else { 8 }] {
        let part = span < work.channels;
        let cut_words = (work.packed || words) && !work.channels.is_multiple_of(4);
        if span > work.channels || part && (cut_words || work.channels <= 8) {
            continue;
        }
        for places in [64, 96, 128, 160, 192, 256, 384, 512, 768, 1024] {
            // With more a GPU has no registers left.
            for vectors in if four { [1, 2, 4] } else { [1, 2, 2] } {
                // Whole blocks, whose outputs make up whole words.
                let block = spacing * 4 * vectors;
                let columns = (places / span).min(1 << 16) / block * block;
                if columns == 0
                    || columns * span / own > limits.max_invocations.min(256) as usize
                    || terms * vectors > MAX_SUMS
                {
                    continue;
                }
                let links = columns / spacing;
                // Twin of `met` in the shader.
                let met = links / 4 + ((work.kernel.1 - 1) / phases + 4) / 4;
                let staged =
                    met.saturating_mul(span * spacing).saturating_mul(phases.min(work.kernel.1));
                if staged > limits.max_workgroup_memory as usize {
                    continue;
                }
                // More channels than a few would meet the same banks.
                let chain = links / 4 + usize::from(span * spacing > 4);
                for batch in [4, 8, 16] {
                    let strip = Strip {
                        channels: span as u32,
                        columns: columns as u32,
                        rows: 1,
                        batch,
                        vectors: vectors as u32,
                        parts: 1,
                        four,
                        spacing: (row_spacing as u32, spacing as u32),
                        phases: (row_phases as u32, phases as u32),
                        // Odd, so that neighbouring invocations, which have a row of a batch each, meet
                        // different banks.
                        pitches: (staged as u32 | 1, (terms * spacing * span * chain) as u32 | 1),
                        chain: chain as u32,
                        leaving: if work.packed {
                            (columns * span * work.outputs) as u32
                        } else {
                            0
                        },
                        words,
                        specialised: false,
                    };
                    if strip.memory() <= limits.max_workgroup_memory {
                        all.push(strip);
                    }
                }
            }
        }
    }
    all
}

/// Output rows of a march: all, where workgroups are enough without cutting columns, for the rows above the
/// first output are summed once more for each.
fn march(
    strip: &Strip,
    work: &Work,
    spacing: usize,
    [rows, columns, images]: Size,
    limits: &GpuLimits,
) -> u32 {
    if let Some(rows) = limits.cuts.march {
        return rows.max(1) as u32;
    }
    // Invocations that keep a device busy: a large GPU has over a hundred units that each take some hundreds of
    // these, one in a phone or beside a CPU a dozen or two. A software adapter has threads.
    let invocations = match limits.class {
        AdapterClass::Discrete => 48 << 10,
        AdapterClass::Integrated | AdapterClass::Unknown => 12 << 10,
        AdapterClass::Software => 16 * strip.workgroup() as usize,
    };
    let wanted = invocations.div_ceil(strip.workgroup() as usize);
    let [strips, _, _] = strip.grid(work.channels, [1, columns, 1]);
    let among = strips.saturating_mul(images).saturating_mul(spacing.min(rows));
    let each = rows.div_ceil(spacing);
    let cut = each.div_ceil(wanted.div_ceil(among.max(1)).max(1));
    // No shorter than what lies above it.
    let least = (work.kernel.0 / strip.phases.0 as usize).max(strip.batch as usize);
    cut.max(least).min(each).min(1 << 20) as u32
}

/// Turns of the loops of an invocation. Twin of the shader's loops.
fn iterations(strip: &Strip, work: &Work) -> u64 {
    let n = |n: u32| u64::from(n);
    let steps = n(strip.rows - 1) * n(strip.phases.0) + work.kernel.0 as u64;
    let turns = |all: u64| all.div_ceil(n(strip.workgroup()));
    let staged = turns(n(strip.batch) * n(strip.pitches.0));
    let phases = n(strip.phases.1).min(work.kernel.1 as u64);
    let taps = phases * (work.kernel.1 as u64 / (4 * phases) + 2);
    let places = n(strip.channels) * n(strip.columns);
    let across = turns((n(strip.batch) * places).div_ceil(4 * n(strip.vectors)));
    let made = (work.filters + 1) as u64 * (work.outputs + 1) as u64;
    let stored = turns(n(strip.batch) * places * work.outputs as u64) * 5;
    let made = if strip.four { 4 * made } else { made };
    let batch =
        staged + across * (taps + 17) + n(strip.batch) * (work.terms as u64 + made) + stored + 1;
    steps.div_ceil(n(strip.batch)) * batch
}

/// What it does.
///
/// Memory is counted as for the other passes: what is read, once, and what is written, for a cache holds what
/// neighbours read again. Workgroups read `(rows - 1) phases + kernel height` source rows for the outputs of a march, and
/// the columns of a strip with the reach of the taps: of RGB by 31x31 on WebGPU's default limits 94 columns for 64,
/// and 93 rows for 63, so that the cache is asked 2.2 times for a scalar (`accesses`), neighbours at about the same
/// time. Between the passes of two lie as many f32 as outputs, written and read: with f32 twice the bytes.
pub(super) fn traffic(strip: &Strip, problem: &Problem, terms: usize) -> Traffic {
    let g = problem.geometry();
    let work = Work { terms, ..Work::of(problem) };
    let n = |n: u32| n as f64;
    let size = [g.out_height, g.out_width, g.images];
    let [strips, marches, images] = strip.grid(work.channels, size).map(|n| n as f64);
    // Of all marches of a strip.
    let outputs = g.out_height as f64;
    let rows = (outputs - marches) * n(strip.phases.0) + marches * work.kernel.0 as f64;
    let places = n(strip.channels) * n(strip.columns);
    let staged = 4.0 * n(strip.pitches.0);
    let (block, kw) = (4.0 * n(strip.vectors), work.kernel.1 as f64);
    // Those that run in step take as long where some of them have nothing to do.
    let whole = |n: f64| (n / STEP).ceil() * STEP / n;
    let busy = whole(n(strip.batch) * places / block);
    let full = whole(n(strip.workgroup()));
    let windows = places / block * (kw + n(strip.phases.1).min(kw) * (block + 3.0));
    let made = work.outputs as f64 * places;
    let through = if work.packed { 2.0 * made } else { 0.0 };
    let kept = n(strip.parts) * if strip.four { 1.0 } else { 4.0 };
    let (sums, terms) = (kept * work.filters as f64, terms as f64);
    let each = strips * images;
    Traffic {
        accesses: each * (rows * staged / if strip.words { 4.0 } else { 1.0 } + outputs * made),
        exchanges: each
            * (rows * (staged + busy * windows + 2.0 * terms * places) + outputs * through),
        sums: each
            * (rows * terms * places * (busy * kw + full * sums)
                + outputs * places * (work.filters * work.outputs) as f64),
        bytes: problem.bytes() as f64,
    }
}

/// Vectors of taps of the columns, as the shader reads them: by phase, term and filter, those that meet the
/// oldest sum first.
pub(super) fn columns(strip: &Strip, factors: &Factors, kernel_height: usize) -> Vec<f32> {
    let phases = strip.phases.0 as usize;
    let under_way = (kernel_height - 1) / phases + 1;
    let lanes = strip.parts as usize * if strip.four { 1 } else { 4 };
    let filters = factors.columns().len() / (factors.terms() * kernel_height).max(1);
    let mut all = Vec::new();
    for phase in 0..phases {
        for columns in factors.columns().chunks(kernel_height * filters.max(1)) {
            for taps in columns.chunks(kernel_height) {
                let ahead = lanes - under_way;
                all.extend(std::iter::repeat_n(0.0, ahead));
                let row = |k| phase + (under_way - 1 - k) * phases;
                all.extend((0..under_way).map(|k| taps.get(row(k)).copied().unwrap_or(0.0)));
            }
        }
    }
    all
}
