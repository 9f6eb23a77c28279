//! `flat` of adjoints with a stride or several filters: phase by phase, all of them in one pass.
//!
//! Along an axis with stride `s` and dilation `d`, output place `P` (counted from the padding's start) sums
//! tap `i` times input `(P - i d) / s`, where that is whole. A cell is `s` outputs in a row, the first of them
//! at a multiple of `s`; its places differ in their taps, and those at one place of all cells, a phase, have the
//! same: each phase is a convolution of stride 1. Filters are terms whose sums are added.
//!
//! An invocation makes a block of cells. Where taps lie side by side (`d` = 1) all phases of a cell meet the
//! same inputs, which are read once for all of them; otherwise it makes one phase, whose inputs lie
//! `d / gcd(s, d)` apart.

use std::fmt;

use super::bands::{SLACK, gcd};
use super::cost::{GpuCost, Traffic};
use super::flat::{self, Size, along};
use super::gather;
use super::limits::{GpuLimits, Machine, Residence};
use super::offer::Offer;
use crate::Problem;
use crate::problem::{Geometry, Store};

/// Cells across of a block: lanes of the shader's vectors.
const LANES: usize = 4;
/// Most vectors of sums. Twin of `Sums` in `shaders/block.wgsl`.
const MAX_SUMS: usize = 16;
/// Vectors of sums of a block that has several rows of cells.
const SUMS: usize = 8;
/// Longest stride: with a longer one nearly all outputs are zeros, and cells so large that bands, which hold
/// whole ones, may be none.
const MAX_STRIDE: usize = 256;

/// The outputs that one invocation makes of an adjoint with a stride or several filters.
///
/// ```
/// use channelwise::plan::{GpuLimits, Launch, Machine, Residence, Scheme, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// // What an upsampling by two does: the adjoint of a stride of two.
/// let conv = Conv2d::new(Kernel::binomial(4)?).stride(2, 2).adjoint();
/// let f32 = ElementType::F32;
/// let problem = Problem::new(&conv, [1080, 1920, 3], f32, f32)?;
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// let plan = choose(&problem, &machine, Algorithm::Flat)?;
/// let Launch::Gpu(launch) = plan.launch() else { panic!("it is for a GPU") };
/// let Scheme::Phases(phases) = &launch.scheme else { panic!("phase by phase") };
/// assert!(phases.cell.0 <= 2 && phases.cell.1 <= 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Phases {
    /// Invocations of a workgroup along x and y.
    pub workgroup: [u32; 2],
    /// Rows and columns of a cell that it makes: all of them, or as many as its registers hold.
    pub cell: (u32, u32),
    /// Cells down, of four across each.
    pub rows: u32,
    /// Neighbouring scalars of the flat row: as many as fill words of a packed destination.
    pub units: u32,
    /// Whether these are read as one word.
    pub words: bool,
    /// Distance of its cells down and across.
    pub spacing: (u32, u32),
    /// Taps from one of a phase to the next.
    pub apart: (u32, u32),
    /// Whether sizes are constants of the shader.
    pub specialised: bool,
}

impl fmt::Display for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workgroup: [x, y], cell: (high, wide), rows, units, specialised, .. } = self;
        write!(
            f,
            "workgroups of {x}x{y}, {high}x{wide} phases of {rows}x{LANES}x{units} outputs an invocation"
        )?;
        if *specialised { Ok(()) } else { write!(f, ", sizes read at run time") }
    }
}

/// An axis of a problem that gathers, as its phases see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub taps: usize,
    pub stride: usize,
    pub dilation: usize,
}

impl Axis {
    /// Rows and columns.
    pub fn of(g: &Geometry) -> [Self; 2] {
        [
            Self { taps: g.kernel.0, stride: g.stride.0, dilation: g.dilation.0 },
            Self { taps: g.kernel.1, stride: g.stride.1, dilation: g.dilation.1 },
        ]
    }

    pub fn spacing(self) -> usize {
        self.dilation / gcd(self.stride, self.dilation)
    }

    pub fn apart(self) -> usize {
        self.stride / gcd(self.stride, self.dilation)
    }

    /// What the first tap of a phase is found by: the inverse of the spacing modulo the taps apart.
    pub fn turn(self) -> usize {
        let (spacing, apart) = (self.spacing(), self.apart());
        (0..apart).find(|n| n * (spacing % apart) % apart == 1 % apart).unwrap_or(0)
    }

    /// Phases of an invocation that has registers for so many.
    pub fn phases(self, most: usize) -> usize {
        if self.dilation > 1 {
            return 1;
        }
        self.stride.div_ceil(self.stride.div_ceil(most.max(1)))
    }

    /// Inputs that so many neighbouring phases of a cell meet, at most.
    pub fn steps(self, phases: usize) -> usize {
        match self.dilation {
            1 => (self.taps + phases - 2) / self.stride + 1,
            _ => self.taps.div_ceil(self.apart()),
        }
    }
}

impl Phases {
    fn new(problem: &Problem, limits: &GpuLimits) -> Result<Self, String> {
        let g = problem.geometry();
        let [down, across] = Axis::of(g);
        if down.stride.max(across.stride) > MAX_STRIDE {
            return Err(format!("a stride of more than {MAX_STRIDE} leaves nearly all outputs 0"));
        }
        // No word may belong to two invocations: four neighbouring channels fill words, and so do the pixels of four
        // neighbouring cells.
        let (units, pixels) = match g.channels {
            _ if problem.store() == Store::Scalar => (1, false),
            fours if fours.is_multiple_of(4) => (4, false),
            few @ 1..4 if across.dilation == 1 => (few, true),
            channels => {
                return Err(format!(
                    "words of the output would belong to several invocations, with {channels} channels and dilation {}",
                    across.dilation
                ));
            }
        };
        if pixels && across.stride * units > MAX_SUMS {
            return Err(format!(
                "{} columns of {units} channels share words; it keeps at most {MAX_SUMS} sums in registers",
                across.stride
            ));
        }
        let columns = across.phases(MAX_SUMS / units);
        let phases = (down.phases(MAX_SUMS / (units * columns)), columns);
        let each = units * phases.0 * phases.1;
        // Cells further down share what is read where a tap of one meets what a tap of its neighbour does.
        let room = limits.cuts.sums.unwrap_or(SUMS).min(SUMS) / each;
        let cells = g.out_height.div_ceil(down.stride).div_ceil(down.spacing());
        let rows = if down.steps(phases.0) > 1 { room.clamp(1, 8) } else { 1 };
        let rows = 1 << rows.min(cells.next_power_of_two()).ilog2();
        let reach = |axis: Axis, out: usize| {
            let block = axis.spacing().saturating_mul(8 * axis.stride);
            block.saturating_add(out).saturating_add(axis.taps * axis.dilation)
        };
        let furthest = reach(down, g.out_height)
            .max(reach(across, g.out_width))
            .max(across.spacing().saturating_mul(g.channels));
        if furthest > 1 << 30 {
            return Err(format!("a block of it would reach {furthest} places along an axis"));
        }
        let made = Self {
            workgroup: [64.min(limits.max_invocations), 1],
            cell: (phases.0 as u32, phases.1 as u32),
            rows,
            units: units as u32,
            words: units == 4 && g.inputs == 1,
            spacing: (down.spacing() as u32, across.spacing() as u32),
            apart: (down.apart() as u32, across.apart() as u32),
            specialised: flat::specialised(problem, limits),
        };
        // Twin of the shader's loops.
        let steps = made.source_rows(g) * (made.source_columns(g) + 2) + 1;
        let ends = phases.0 * rows as usize * (units * phases.1 + 2 * LANES * phases.1 + 2);
        limits.check_iterations((g.inputs * steps + ends) as u64)?;
        Ok(made)
    }

    /// Rows of the source that an invocation goes through, and columns of each that it reads.
    fn source_rows(&self, g: &Geometry) -> usize {
        Axis::of(g)[0].steps(self.cell.0 as usize) + self.rows as usize - 1
    }

    fn source_columns(&self, g: &Geometry) -> usize {
        Axis::of(g)[1].steps(self.cell.1 as usize) + LANES - 1
    }

    /// Outputs of an invocation.
    pub(crate) fn places(&self) -> usize {
        LANES * (self.cell.0 * self.cell.1 * self.rows * self.units) as usize
    }

    /// Groups of phases that invocations make, down and across.
    fn groups(&self, g: &Geometry) -> [usize; 2] {
        [
            g.stride.0.div_ceil(self.cell.0.max(1) as usize),
            g.stride.1.div_ceil(self.cell.1.max(1) as usize),
        ]
    }

    /// Blocks of cells down so many rows of output.
    pub(crate) fn blocks(&self, g: &Geometry, rows: usize) -> usize {
        along(rows.div_ceil(g.stride.0), self.spacing.0 as usize, self.rows as usize)
    }

    /// Invocations along x, y and z.
    pub(super) fn invocations(&self, g: &Geometry, [rows, columns, images]: Size) -> [usize; 3] {
        let across = along(columns.div_ceil(g.stride.1), self.spacing.1 as usize, LANES);
        let groups: usize = self.groups(g).iter().product();
        [(across * g.channels).div_ceil(self.units as usize), self.blocks(g, rows) * groups, images]
    }

    /// What it does in all.
    pub(super) fn traffic(&self, problem: &Problem) -> Traffic {
        let g = problem.geometry();
        let size = [g.out_height, g.out_width, g.images];
        let invocations: f64 = self.invocations(g, size).iter().map(|n| *n as f64).product();
        let read = if self.words { 1 } else { self.units as usize };
        let loads = g.inputs * self.source_rows(g) * self.source_columns(g) * read;
        Traffic {
            accesses: invocations * loads as f64 + problem.output_len() as f64,
            exchanges: 0.0,
            sums: problem.multiply_adds() as f64,
            bytes: problem.bytes() as f64,
        }
    }
}

/// Whether they make what gathers.
pub(super) fn make(problem: &Problem, machine: &Machine) -> bool {
    problem.gathers() && !problem.has_edges() && matches!(machine, Machine::Gpu(..))
}

pub(super) fn gpu(problem: &Problem, limits: &GpuLimits, residence: Residence) -> Offer<Phases> {
    flat::whole_words(problem, residence)?;
    let g = problem.geometry();
    let phases = Phases::new(problem, limits)?;
    // A band is a cell at least, and what that meets.
    let [down, across] = Axis::of(g);
    let met = |axis: Axis| (axis.taps - 1) * axis.dilation / axis.stride + 2;
    let sizes = [
        [g.stride.0, g.stride.1, g.channels, problem.output_type().bytes()],
        [met(down), met(across), g.channels * g.inputs, problem.input_type().bytes()],
    ];
    let most = limits.band_bytes(residence);
    let bytes = |size: [usize; 4]| size.iter().fold(1, |all: u64, n| all.saturating_mul(*n as u64));
    let [made, read] = sizes.map(bytes);
    if made.max(read).saturating_add(SLACK) > most {
        return Err(format!(
            "a cell of it is {made} bytes, which meets {read}, and the limit is {most}"
        ));
    }
    let edges = if gather::edges(problem).is_empty() { 0.0 } else { gather::gpu(problem, limits)? };
    let us = GpuCost::of(limits).of_passes(&[phases.traffic(problem)]);
    Ok((phases, us + edges))
}
