//! `flat`: a block of rows and columns of flat rows per invocation.

use std::fmt;

use super::bands::gcd;
use super::cost::{GpuCost, Traffic};
use super::limits::{AdapterClass, GpuLimits, Residence};
use super::offer::Offer;
use crate::Problem;
use crate::problem::Store;

pub(super) const NOT_ON_CPU: &str = "the CPU's `direct` already works on flat rows in vectors";

/// Lanes of the shader's vectors: columns.
const LANES: usize = 4;

/// Most vectors of sums of a block. Twin of `Sums` in `shaders/flat.wgsl`.
const MAX_SUMS: usize = 16;

/// Vectors of sums of a block that shares what it reads: 32 registers of some 64 that leave enough
/// invocations in flight. On a software adapter 4, 8 and 16 were equally fast.
const SUMS: usize = 8;

/// Most taps whose loops are unrolled: FXC, which compiles for Windows, takes a minute and more for 11x11 in
/// constants, and two seconds where it is not told how many there are.
const UNROLLED: usize = 25;

/// The same of one row or one column.
const UNROLLED_LINE: usize = 63;

/// The block of outputs that one invocation of `flat` makes, with every filter.
///
/// Along an axis of stride `s` and dilation `d`, rows or columns of a block lie `d / gcd(s, d)`
/// apart: the least distance at which one output's tap meets what its neighbour's next tap met.
///
/// ```
/// use channelwise::plan::{GpuLimits, Launch, Machine, Residence, Scheme, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::motion(5.0, 30.0)?);
/// let f32 = ElementType::F32;
/// let problem = Problem::new(&conv, [1080, 1920, 3], f32, f32)?;
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// let plan = choose(&problem, &machine, Algorithm::Flat)?;
/// let Launch::Gpu(launch) = plan.launch() else { panic!("it is for a GPU") };
/// let Scheme::Flat(block) = &launch.scheme else { panic!("it was asked for") };
/// // An invocation makes several rows, which share what it reads.
/// assert!(block.rows > 1 && block.spacing == (1, 1));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Block {
    /// Invocations of a workgroup along x and y.
    pub workgroup: [u32; 2],
    /// Vectors of four columns.
    pub vectors: u32,
    /// Whether the vectors go on from one another; otherwise they belong to neighbouring scalars of
    /// the flat row.
    pub chained: bool,
    /// Whether neighbouring scalars are read as one word.
    pub words: bool,
    /// Output rows.
    pub rows: u32,
    /// Distance of the block's rows and columns.
    pub spacing: (u32, u32),
    /// Taps between two that read the same for neighbouring rows and columns.
    pub phases: (u32, u32),
    /// Whether sizes are constants of the shader.
    pub specialised: bool,
    /// Whether those of the kernel are, so that compilers unroll the loops over taps.
    pub unrolled: bool,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workgroup: [x, y], rows, specialised, .. } = self;
        let (columns, units) = (self.columns(), self.units());
        write!(f, "workgroups of {x}x{y}, {rows}x{columns}x{units} outputs an invocation")?;
        if *specialised { Ok(()) } else { write!(f, ", sizes read at run time") }
    }
}

impl Block {
    /// Columns of the block.
    fn columns(&self) -> usize {
        if self.chained { LANES * self.vectors as usize } else { LANES }
    }

    /// Neighbouring scalars of the flat row.
    fn units(&self) -> usize {
        if self.chained { 1 } else { self.vectors as usize }
    }

    /// Places it makes the outputs of.
    pub(crate) fn places(&self) -> usize {
        self.rows as usize * self.columns() * self.units()
    }

    /// Source rows an invocation goes through, phase by phase.
    fn source_rows(&self, kernel_height: usize) -> usize {
        kernel_height + (self.phases.0 as usize).min(kernel_height) * (self.rows as usize - 1)
    }

    /// Places of a source row it reads.
    fn source_columns(&self, kernel_width: usize) -> usize {
        kernel_width + (self.phases.1 as usize).min(kernel_width) * (self.columns() - 1)
    }
}

/// What one pass of the shader computes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub kernel: (usize, usize),
    pub stride: (usize, usize),
    pub dilation: (usize, usize),
    pub channels: usize,
    pub filters: usize,
    pub outputs: usize,
    /// Planes of the source, each with taps of its own.
    pub terms: usize,
    /// Whether words of several scalars are stored.
    pub packed: bool,
}

/// Output rows and columns, and images.
pub(crate) type Size = [usize; 3];

impl Work {
    /// All of `problem` in one pass.
    pub fn of(problem: &Problem) -> Self {
        let g = problem.geometry();
        Self {
            kernel: g.kernel,
            stride: g.stride,
            dilation: g.dilation,
            channels: g.channels,
            filters: problem.weights().filters,
            outputs: g.outputs,
            terms: 1,
            packed: problem.store() != Store::Scalar,
        }
    }

    /// The block of an invocation.
    pub(super) fn block(
        &self,
        size: Size,
        specialised: bool,
        limits: &GpuLimits,
    ) -> Result<Block, String> {
        let [out_rows, out_columns, _] = size;
        let (row_spacing, row_phases) = spacing(self.stride.0, self.dilation.0);
        let (mut column_spacing, mut column_phases) = spacing(self.stride.1, self.dilation.1);
        // Several scalars are stored in a word, and no word may belong to two invocations: four neighbouring
        // columns of few channels fill words, and otherwise four neighbouring scalars do.
        let units = match self.channels {
            _ if !self.packed => 1,
            few @ 1..4 if column_spacing == 1 => few,
            channels => {
                let times = 4 / gcd(column_spacing.saturating_mul(channels), 4);
                column_spacing = column_spacing.saturating_mul(times);
                column_phases = column_phases.saturating_mul(times);
                4
            }
        };
        let (kh, kw) = self.kernel;
        let spread = self.filters.max(self.outputs);
        if spread * units > MAX_SUMS {
            return Err(format!(
                "{} filters and {} outputs of {units} neighbouring scalars; it keeps at most {MAX_SUMS} sums in registers",
                self.filters, self.outputs
            ));
        }
        // What a block reaches beyond the output is counted before it is left out.
        let reach = |spacing: usize, stride: usize, out: usize, kernel: usize, dilation: usize| {
            let block = spacing.saturating_mul(LANES * 4);
            block.saturating_add(out).saturating_mul(stride).saturating_add(kernel * dilation)
        };
        let furthest = reach(row_spacing, self.stride.0, out_rows, kh, self.dilation.0)
            .max(reach(column_spacing, self.stride.1, out_columns, kw, self.dilation.1))
            .max(column_spacing.saturating_mul(self.channels));
        if furthest > 1 << 30 {
            return Err(format!("a block of it would reach {furthest} places along an axis"));
        }

        // Further columns, and further rows, share what is read where one's taps meet another's
        // source; columns first where there is one row of taps.
        let room = limits.cuts.sums.unwrap_or(SUMS).min(SUMS) / (units * spread);
        let across = out_columns.div_ceil(LANES * column_spacing);
        let chain = match room {
            _ if self.packed || kw <= column_phases => 1,
            4.. if kh <= row_phases => 4,
            2.. => 2,
            _ => 1,
        };
        let chain = chain.min(1 << across.max(1).ilog2());
        let rows = if kh > row_phases { (room / chain).clamp(1, 8) } else { 1 };
        let rows = 1 << rows.min(out_rows.div_ceil(row_spacing).next_power_of_two()).ilog2();
        let block = Block {
            workgroup: [64.min(limits.max_invocations), 1],
            vectors: (units * chain) as u32,
            chained: !self.packed,
            words: units == 4 && self.channels.is_multiple_of(4),
            rows,
            spacing: (row_spacing as u32, column_spacing as u32),
            phases: (row_phases as u32, column_phases as u32),
            specialised,
            // Mesa's software driver compiles quickly, and its loops are dear.
            unrolled: specialised
                && (limits.class == AdapterClass::Software
                    || kh * kw <= UNROLLED
                    || kh.min(kw) == 1 && kh.max(kw) <= UNROLLED_LINE),
        };

        // Twin of the shader's loops.
        let steps = block.source_rows(kh) * (block.columns() * (column_phases.min(kw) + 1) + kw)
            + row_phases.min(kh);
        let row_end =
            (self.filters + 1) * (self.outputs + 1) * (block.vectors as usize) * (LANES + 2);
        limits.check_iterations((self.terms * steps + rows as usize * row_end) as u64)?;

        Ok(block)
    }

    /// What it does with such blocks; `bytes` go through memory.
    pub(super) fn traffic(&self, block: &Block, size: Size, bytes: f64) -> Traffic {
        let (kh, kw) = self.kernel;
        let [x, y, z] = self.invocations(block, size).map(|n| n as f64);
        let read = if block.words { 1 } else { block.units() };
        let loads = self.terms * block.source_rows(kh) * block.source_columns(kw) * read;
        let lanes = block.rows as usize * block.vectors as usize * LANES;
        let taps = self.filters * (self.terms * kh * kw + self.outputs);
        Traffic {
            accesses: x * y * z * (loads + lanes * self.outputs) as f64,
            exchanges: 0.0,
            sums: x * y * z * (lanes * taps) as f64,
            bytes,
        }
    }

    /// Invocations along x, y and z.
    pub(super) fn invocations(&self, block: &Block, [rows, columns, images]: Size) -> [usize; 3] {
        let across = along(columns, block.spacing.1 as usize, block.columns());
        let down = along(rows, block.spacing.0 as usize, block.rows as usize);
        [(across * self.channels).div_ceil(block.units()), down, images]
    }
}

/// Blocks of so many rows or columns, a spacing apart, that hold `n`: whole ones, and what of the last one's first
/// rows or columns there is.
pub(super) fn along(n: usize, spacing: usize, each: usize) -> usize {
    let whole = (n - 1) / (spacing * each);
    whole * spacing + spacing.min(n - whole * spacing * each)
}

pub(super) fn gpu(problem: &Problem, limits: &GpuLimits, residence: Residence) -> Offer<Block> {
    whole_words(problem, residence)?;
    let g = problem.geometry();
    let size = [g.out_height, g.out_width, g.images];
    let work = Work::of(problem);
    let block = work.block(size, specialised(problem, limits), limits)?;
    let traffic = work.traffic(&block, size, problem.bytes() as f64);
    Ok((block, GpuCost::of(limits).of_passes(&[traffic])))
}

/// Whether the problem's sizes become constants of its shaders.
pub(super) fn specialised(problem: &Problem, limits: &GpuLimits) -> bool {
    problem.multiply_adds() >= limits.specialise_from
}

/// Refuses outputs in the caller's buffers whose rows share words, or the two words of four 16-bit scalars.
pub(super) fn whole_words(problem: &Problem, residence: Residence) -> Result<(), String> {
    let g = problem.geometry();
    if problem.store() == Store::Scalar
        || residence != Residence::Device
        || g.out_row().is_multiple_of(4)
    {
        return Ok(());
    }
    Err(format!(
        "rows of {} {} scalars are not whole fours, so a word of the caller's buffer may hold two rows",
        g.out_row(),
        problem.output_type()
    ))
}

/// Spacing and phases of an axis.
pub(super) fn spacing(stride: usize, dilation: usize) -> (usize, usize) {
    let g = gcd(stride, dilation);
    (dilation / g, stride / g)
}
