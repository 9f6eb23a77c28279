//! Tiles of a GPU's transforms: how workgroups have their lines, where they lie, and what lies between passes.

use std::fmt;

use super::bands::Band;
use super::cost::Traffic;
use super::flat::Block;
use super::limits::{AdapterClass, GpuLimits};
use crate::{ElementType, Problem};

/// Bytes that a row in a buffer may be longer than what it holds.
const ROW: u64 = 64;
/// Bytes of a complex number.
pub(super) const COMPLEX: u64 = 8;
/// Complex numbers of a cache line of GPUs, the longest of which are 128 bytes.
const RUN: u32 = 16;

/// The tiles of `fft`.
///
/// ```
/// use channelwise::plan::{GpuLimits, Launch, Machine, Residence, Scheme, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::disk(15.0)?);
/// let f32 = ElementType::F32;
/// let problem = Problem::new(&conv, [1080, 1920, 3], f32, f32)?;
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// let plan = choose(&problem, &machine, Algorithm::Fft)?;
/// let Launch::Gpu(launch) = plan.launch() else { panic!("it is for a GPU") };
/// let Scheme::Fft(tile) = &launch.scheme else { panic!("it was asked for") };
/// // A kernel of 31x31 leaves so much of a tile.
/// assert_eq!((tile.size.0 - tile.valid.0, tile.size.1 - tile.valid.1), (30, 30));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tile {
    /// Rows and columns that it reads, powers of two.
    pub size: (u32, u32),
    /// Rows and columns of outputs that it makes, were the strides 1; multiples of the strides.
    pub valid: (u32, u32),
    /// Workgroups of the passes over rows, and of the one over columns.
    pub lines: (Lines, Lines),
    /// Whether a workgroup has a tile whole, all its rows and then all its columns: then there is one pass
    /// from the input to outputs.
    pub whole: bool,
    /// The last pass, where outputs need one of their own.
    pub finish: Option<Block>,
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, valid, lines, whole, finish } = self;
        write!(f, "tiles of {}x{} for {}x{} outputs", size.0, size.1, valid.0, valid.1)?;
        if *whole {
            write!(f, ", in one pass, with {} invocations a workgroup", lines.0.workgroup())?;
        }
        for (what, lines) in [("rows", &lines.0), ("columns", &lines.1)] {
            if !whole {
                let (count, workgroup) = (lines.count, lines.workgroup());
                write!(f, ", {count} {what} and {workgroup} invocations a workgroup")?;
            }
        }
        match finish {
            Some(block) => write!(f, "; outputs: {block}"),
            None => Ok(()),
        }
    }
}

/// How a workgroup transforms the lines of a tile.
///
/// ```
/// use channelwise::plan::{GpuLimits, Launch, Machine, Residence, Scheme, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::disk(15.0)?);
/// let f32 = ElementType::F32;
/// let problem = Problem::new(&conv, [1080, 1920, 3], f32, f32)?;
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// let plan = choose(&problem, &machine, Algorithm::Fft)?;
/// let Launch::Gpu(launch) = plan.launch() else { panic!("it is for a GPU") };
/// let Scheme::Fft(tile) = &launch.scheme else { panic!("it was asked for") };
/// let (rows, columns) = tile.lines;
/// assert_eq!((columns.length, rows.length), tile.size);
/// assert!(rows.workgroup() <= GpuLimits::webgpu_defaults().max_invocations);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lines {
    /// Points of a line.
    pub length: u32,
    /// Lines of a workgroup.
    pub count: u32,
    /// Points of an invocation, 8 or 16. Twin of `POINTS` in `shaders/fft.wgsl`.
    pub points: u32,
}

impl Lines {
    /// Invocations of a workgroup.
    #[must_use]
    pub fn workgroup(&self) -> u32 {
        self.length * self.count / self.points
    }

    /// How often a line goes through workgroup memory, and the points of the last step after that.
    pub(crate) fn steps(&self) -> (u32, u32) {
        let (mut steps, mut left) = (0, self.length);
        while left > self.points {
            left /= self.points;
            steps += 1;
        }
        (steps, left)
    }

    /// Multiply-adds of each point's transform along a line: two and a half for each halving, of real and imaginary
    /// parts together.
    pub(super) fn halvings(&self) -> f64 {
        2.5 * f64::from(self.length.ilog2())
    }

    /// What a pass does that transforms so many points, with so many accesses and bytes.
    pub(super) fn traffic(&self, transformed: f64, accesses: f64, bytes: f64) -> Traffic {
        let exchanges = 4.0 * f64::from(self.steps().0) * transformed;
        Traffic { accesses, exchanges, sums: self.halvings() * transformed, bytes }
    }

    /// Rows of `length` points, `among` of which are to be had.
    pub(super) fn rows(length: u32, among: u32, limits: &GpuLimits) -> Option<Self> {
        Self::new(length, among, 1, limits)
    }

    /// The same of columns: neighbouring ones lie together, and a workgroup that has [`RUN`] of them reads and
    /// writes whole cache lines.
    pub(super) fn columns(length: u32, among: u32, limits: &GpuLimits) -> Option<Self> {
        let run = match limits.class {
            // Lines of its cache are shorter, and its workgroups take turns on a core.
            AdapterClass::Software => 1,
            AdapterClass::Discrete | AdapterClass::Integrated | AdapterClass::Unknown => RUN,
        };
        Self::new(length, among, run, limits)
    }

    /// All rows of a tile of so many rows and columns, and all its columns, where a workgroup has room for them at once.
    pub(super) fn whole(size: (u32, u32), limits: &GpuLimits) -> Option<(Self, Self)> {
        let points = match limits.class {
            AdapterClass::Software => points(size.0).min(points(size.1)),
            AdapterClass::Discrete | AdapterClass::Integrated | AdapterClass::Unknown => 8,
        };
        let of = |length, count| Self { length, count, points };
        let lines = (of(size.1, size.0), of(size.0, size.1));
        lines.0.fits(limits).then_some(lines)
    }

    fn fits(&self, limits: &GpuLimits) -> bool {
        let bytes = u64::from(self.length) * u64::from(self.count) * COMPLEX;
        self.workgroup() <= limits.max_invocations
            && bytes <= u64::from(limits.max_workgroup_memory)
    }

    /// Lines of `length` points, `among` of which are to be had, and at least `least` of them where these fit.
    fn new(length: u32, among: u32, least: u32, limits: &GpuLimits) -> Option<Self> {
        // Points take registers, and 8 leave room for enough invocations in flight on any GPU (with 16
        // some spill): more lines take more invocations. A software adapter has memory for registers: there
        // fewer steps count. Workgroups fill the 16 KiB that every device has.
        let (points, usual) = match limits.class {
            AdapterClass::Software => (points(length), 64),
            AdapterClass::Discrete | AdapterClass::Integrated | AdapterClass::Unknown => (8, 256),
        };
        let count = (usual * points / length).max(least).clamp(1, among);
        let mut lines = Self { length, count, points };
        while lines.count > 1 && !lines.fits(limits) {
            lines.count /= 2;
        }
        lines.fits(limits).then_some(lines)
    }
}

/// Points of an invocation with which a line of so many takes the fewest steps.
fn points(length: u32) -> u32 {
    let steps = |points| Lines { length, count: 1, points }.steps().0;
    if steps(16) < steps(8) { 16 } else { 8 }
}

/// How many tiles a band takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tiles {
    pub down: usize,
    pub across: usize,
    /// Pairs of planes, which are tiles of every channel, in a row of tiles.
    pub pairs_across: usize,
    images: usize,
}

impl Tiles {
    pub(super) fn new(problem: &Problem, tile: &Tile, [rows, columns, images]: [usize; 3]) -> Self {
        let g = problem.geometry();
        let down = rows.div_ceil(tile.valid.0 as usize / g.stride.0);
        let across = columns.div_ceil(tile.valid.1 as usize / g.stride.1);
        let pairs_across = across.saturating_mul(g.channels).div_ceil(2);
        Self { down, across, pairs_across, images }
    }

    /// Those of `band`.
    pub fn of(problem: &Problem, tile: &Tile, band: &Band) -> Self {
        Self::new(problem, tile, [band.rows.len(), band.columns.len(), band.images.len()])
    }

    pub fn pairs(&self) -> usize {
        self.images.saturating_mul(self.down).saturating_mul(self.pairs_across)
    }
}

impl Tile {
    /// Rows and columns at multiples of which bands and parts begin: tiles round what they hold together, which are
    /// two channels, the last of an odd number and the first of the next tile among them.
    pub(super) fn grain(&self, problem: &Problem) -> (usize, usize) {
        let g = problem.geometry();
        let columns = self.valid.1 as usize / g.stride.1;
        (self.kept_rows(problem), columns * (1 + g.channels % 2))
    }

    /// Rows of outputs that are kept of a tile.
    pub(crate) fn kept_rows(&self, problem: &Problem) -> usize {
        self.valid.0 as usize / problem.geometry().stride.0
    }

    /// Bytes of the two buffers between the passes (of the second there is none where tiles are whole) of so many rows, columns and images.
    fn bytes(&self, problem: &Problem, size: [usize; 3]) -> [u64; 2] {
        let pairs = Tiles::new(problem, self, size).pairs() as u64;
        let filters = problem.weights().filters as u64;
        let row = match self.whole {
            true => 0,
            false => pairs.saturating_mul(u64::from(self.size.1)).saturating_mul(COMPLEX),
        };
        let transformed = row.saturating_mul(u64::from(self.size.0));
        let kept = row.saturating_mul(self.kept_rows(problem) as u64).saturating_mul(filters);
        let g = problem.geometry();
        let sums = match self.finish {
            None => 0,
            Some(_) => [g.channels as u64, filters, ElementType::F32.bytes() as u64]
                .iter()
                .chain(&size.map(|n| n as u64))
                .fold(1, |all: u64, n| all.saturating_mul(*n)),
        };
        [transformed.max(sums), kept]
    }

    /// The same for `band`.
    pub(super) fn between(&self, problem: &Problem, band: &Band) -> Vec<u64> {
        let size = [band.rows.len(), band.columns.len(), band.images.len()];
        let bytes = self.bytes(problem, size);
        match (self.whole, self.finish) {
            (false, _) => bytes.into(),
            (true, Some(_)) => vec![bytes[0]],
            (true, None) => Vec::new(),
        }
    }
}

impl Tile {
    /// Bytes of each buffer of the smallest band, which is a tile, or two beside each other.
    pub(super) fn least(&self, problem: &Problem) -> [u64; 5] {
        let g = problem.geometry();
        let (rows, columns) = self.grain(problem);
        let size = [rows.min(g.out_height).max(1), columns.min(g.out_width).max(1), 1];
        let read = |outputs: usize, stride: usize, extent: usize| {
            ((outputs - 1) as u64).saturating_mul(stride as u64).saturating_add(extent as u64)
        };
        let source = [
            read(size[0], g.stride.0, g.extent().0),
            read(size[1], g.stride.1, g.extent().1),
            (g.pixel() * g.planes() * problem.input_type().bytes()) as u64,
        ];
        let together = (g.out_row() / g.out_width.max(1)) * g.out_planes();
        let bytes = together * problem.output_type().bytes();
        let out = [size[0] as u64, size[1] as u64, bytes as u64];
        // Rows begin at whole vectors.
        let all = |[rows, columns, bytes]: [u64; 3]| {
            columns.saturating_mul(bytes).saturating_add(ROW).saturating_mul(rows)
        };
        let [transformed, kept] = self.bytes(problem, size);
        [transformed, kept, self.table(problem), all(source), all(out)]
    }

    /// Bytes of the table of the pass over columns.
    fn table(&self, problem: &Problem) -> u64 {
        let points = u64::from(self.size.0) * u64::from(self.size.1);
        COMPLEX * points.saturating_mul(problem.weights().filters as u64 + 1)
    }
}
