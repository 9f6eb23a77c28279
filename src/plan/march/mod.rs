//! `march`: vectors of flat rows, down the image.
//!
//! An invocation owns some neighbouring scalars of the flat row, 16 bytes of the narrower end or a few of those,
//! and makes them for some rows, from the first to the last:
//!
//! ```text
//!   lane       0   1   2   3 ..          a lane reads, of each source row once, the vectors its taps
//!   row 0     [ ] [*] [ ] [ ]            touch; every tap is a swizzle of them that the shader's text
//!   row 1     [ ] [*] [ ] [ ]            names, so nothing is shifted at run time; and each row that
//!   row 2     [ ] [*] [ ] [ ]            needs them adds them to its sums, of which as many live as
//!   ..             v                     the kernel has rows
//! ```
//!
//! Neighbouring lanes have neighbouring vectors, so loads and stores are whole cache lines whatever the channels.
//! Blocks whose taps all lie in the image are made without a test; what is left, some columns at both sides
//! and some rows above and below, goes to workgroups apart ([`Inside`]).

mod inside;
mod shape;

use std::fmt;

pub(crate) use inside::Inside;
pub(crate) use shape::{Along, Halves, MarchShape};

use super::bands::{Band, gcd};
use super::cost::{GpuCost, Traffic};
use super::flat;
use super::limits::{AdapterClass, GpuLimits, Residence};
use super::offer::Offer;
use crate::Problem;
use crate::problem::Store;

/// Bytes of a vector, which every address is a multiple of.
pub(crate) const VECTOR: usize = 16;

/// Most taps, all filters counted: a quarter of the uniform buffer that every device binds, with room for rows that
/// are no whole vectors.
const MAX_TAPS: usize = 1024;

/// Most multiply-adds of vectors of four that the shader's text unrolls: compilers take longer than they
/// save beyond.
const UNROLLED: usize = 640;

/// Most vectors of four that sums of an invocation fill: 96 registers, which leaves eight waves.
const SUMS: usize = 24;

/// Most vectors of four that an invocation holds of a source row.
const WINDOW: usize = 40;

/// Rows of a block, where there are enough.
const ROWS: usize = 8;

/// Invocations below which a block has fewer rows: large GPUs hold as many at once.
const BUSY: usize = 1 << 15;

/// Invocations of a workgroup, which lie along the flat row as far as it goes.
const WORKGROUP: u32 = 64;

/// What an invocation of `march` makes.
///
/// ```
/// use channelwise::plan::{GpuLimits, Launch, Machine, Residence, Scheme, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::laplacian4());
/// let f32 = ElementType::F32;
/// let problem = Problem::new(&conv, [1080, 1920, 4], f32, f32)?;
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// let plan = choose(&problem, &machine, Algorithm::March)?;
/// let Launch::Gpu(launch) = plan.launch() else { panic!("it is for a GPU") };
/// let Scheme::March(march) = &launch.scheme else { panic!("it was asked for") };
/// // Vectors of 16 bytes.
/// assert!(march.scalars % 4 == 0 && march.rows > 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct March {
    /// Invocations of a workgroup: along flat rows, and blocks.
    pub workgroup: [u32; 2],
    /// Neighbouring scalars of a flat row, of every filter.
    pub scalars: u32,
    /// Output rows.
    pub rows: u32,
    /// Distance of these rows.
    pub spacing: u32,
    /// Rows of taps between two that read the same source row for neighbouring output rows.
    pub phases: u32,
    /// Whether the work makes up for compiling a shader for this shape alone.
    pub(super) worth: bool,
    /// Whether anything is done to sums before the activation: a bias, or the factor of a mean.
    pub(super) affine: bool,
    /// Whether a grid may be too long for an axis.
    pub(crate) folds: bool,
}

impl fmt::Display for March {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workgroup: [x, y], scalars, rows, .. } = self;
        write!(f, "workgroups of {x}x{y}, {rows} rows of {scalars} scalars an invocation")
    }
}

/// Scalars that rows are multiples of, so that vectors of both ends begin with them.
pub(super) fn pitch(problem: &Problem) -> usize {
    VECTOR / problem.input_type().bytes().min(problem.output_type().bytes())
}

impl March {
    /// What of a band is made without a test.
    pub(crate) fn inside(&self, problem: &Problem, band: &Band) -> Inside {
        Inside::of(problem, &MarchShape::of(problem, self), band)
    }
}

pub(super) fn gpu(problem: &Problem, limits: &GpuLimits, residence: Residence) -> Offer<March> {
    let g = problem.geometry();
    if residence == Residence::Texture || problem.store() == Store::Texel {
        return Err("its vectors are those of buffers".into());
    }
    // At an edge; inside there is no loop.
    limits.check_iterations(g.kernel.0 as u64 + 1)?;
    if residence == Residence::Device {
        let pitch = pitch(problem);
        for (what, row) in [("input", g.row()), ("output", g.out_row())] {
            if !row.is_multiple_of(pitch) {
                return Err(format!(
                    "rows of the {what} are {row} scalars in the caller's buffer, no whole vectors of {pitch}"
                ));
            }
        }
    }
    let taps = problem.weights().taps.len();
    if taps > MAX_TAPS {
        return Err(format!("{taps} taps, and {MAX_TAPS} fit the uniform buffer it reads"));
    }
    let march = march(problem, limits)?;
    let traffic = traffic(problem, &march);
    let cost = GpuCost::of(limits).of_passes(&[traffic]);
    Ok((march, cost))
}

/// The lanes and blocks for a problem.
fn march(problem: &Problem, limits: &GpuLimits) -> Result<March, String> {
    let g = problem.geometry();
    let vector = pitch(problem);
    // With a stride the columns of a lane lie apart in the source: the same for every lane where it has whole
    // pixels, or is a part of one.
    let scalars = match g.stride.1 {
        1 => vector,
        _ if g.channels.is_multiple_of(vector) => vector,
        _ => g.channels / gcd(g.channels, vector) * vector,
    };
    let divisor = gcd(g.stride.0, g.dilation.0);
    let (spacing, phases) = (g.dilation.0 / divisor, g.stride.0 / divisor);
    let work = problem.weights();
    let filters = work.filters;
    let spread = filters.max(g.outputs);
    let (kh, kw) = g.kernel;
    let quads = scalars.div_ceil(4);
    let furthest = [
        g.width.saturating_add(g.left).saturating_mul(g.channels),
        g.out_width
            .saturating_mul(g.stride.1)
            .saturating_add(g.extent().1)
            .saturating_mul(g.channels),
        spacing.saturating_mul(g.out_height),
    ];
    if furthest.iter().any(|n| *n > 1 << 30) {
        return Err("a row of it is longer than its vectors count".into());
    }
    let lanes = (g.out_width * g.channels).div_ceil(scalars);
    let blocks = |rows: usize| lanes * g.out_height.div_ceil(rows) * g.images;
    let fits = |rows: usize| {
        let live = rows.min(kh.div_ceil(phases));
        quads * spread * live <= SUMS && rows * kh * kw * quads * filters <= UNROLLED
    };
    // A software adapter has few cores.
    let few =
        |rows: usize| rows > 2 && limits.class != AdapterClass::Software && blocks(rows) < BUSY;
    let mut rows = limits.cuts.sums.map_or(ROWS, |sums| sums.clamp(1, ROWS));
    while rows > 1 && (!fits(rows) || few(rows) || rows / 2 >= g.out_height) {
        rows /= 2;
    }
    if quads * spread > SUMS {
        return Err(format!(
            "{spread} filters or outputs of {scalars} neighbouring scalars; it keeps at most {SUMS} vectors of sums in registers"
        ));
    }
    if !fits(rows) {
        let unrolled = kh * kw * quads * filters;
        return Err(format!(
            "its text would have {unrolled} multiply-adds a row, and compilers are given at most {UNROLLED}"
        ));
    }
    let wide = (lanes as u32).next_power_of_two().clamp(8, WORKGROUP);
    let march = March {
        workgroup: [wide, WORKGROUP / wide],
        scalars: scalars as u32,
        rows: rows as u32,
        spacing: spacing as u32,
        phases: phases as u32,
        // A software adapter goes through what is there for edges too, and so with every block.
        worth: flat::specialised(problem, limits)
            && (rows >= 4 || limits.class != AdapterClass::Software),
        affine: !problem.conv().bias.is_empty() || problem.mean().is_some() || has_bias(problem),
        folds: [lanes.div_ceil(wide as usize), g.out_height + 2, g.images]
            .iter()
            .any(|n| *n > limits.max_workgroups as usize),
    };
    let window = MarchShape::of(problem, &march).quads().len();
    if window > WINDOW {
        return Err(format!(
            "its taps touch {window} vectors of a row, and it holds at most {WINDOW}"
        ));
    }
    Ok(march)
}

/// Whether any filter has a bias.
fn has_bias(problem: &Problem) -> bool {
    problem.weights().bias.iter().any(|bias| *bias != 0.0)
}

/// Why other weights cannot take the place of those it was planned with.
pub(super) fn again(march: &March, problem: &Problem) -> Result<(), String> {
    match has_bias(problem) && !march.affine {
        true => Err("it was prepared for a kernel without a bias".into()),
        false => Ok(()),
    }
}

/// Why it is not taken unasked.
pub(super) fn caveat(march: &March) -> Option<String> {
    (!march.worth).then(|| {
        "its shader is compiled for this shape alone, which so little work does not make up for"
            .into()
    })
}

/// What it does in all. An access is a load or a store, of a vector as of a scalar: they cost instructions,
/// and caches hand out lines.
pub(super) fn traffic(problem: &Problem, march: &March) -> Traffic {
    let g = problem.geometry();
    let shape = MarchShape::of(problem, march);
    let [input, output] = [problem.input_type(), problem.output_type()].map(|t| t.bytes());
    let (kh, kw) = g.kernel;
    let rows = march.rows as usize;
    let loads = shape.source_rows() * shape.vectors(VECTOR / input).len();
    let stores = rows * (march.scalars as usize * g.outputs * output).div_ceil(VECTOR);
    let places = rows * march.scalars as usize;
    let invocations = (g.images * g.out_height * g.out_width * g.channels) as f64 / places as f64;
    let filters = problem.weights().filters;
    Traffic {
        accesses: invocations * (loads + stores) as f64,
        exchanges: 0.0,
        sums: invocations * (places * filters * (kh * kw + g.outputs)) as f64,
        bytes: problem.bytes() as f64,
    }
}

#[cfg(test)]
mod tests;
