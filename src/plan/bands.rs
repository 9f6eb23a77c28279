//! Cutting a problem into bands that fit a device.
//!
//! A band is a run of whole images, or a run of output rows of one image, or, where even one row
//! with its halo is too large, a run of columns of some rows. Shaders receive global coordinates,
//! so every output is computed by the same instructions whatever the cut.

use std::ops::Range;

use super::gather::Axis;
use crate::problem::Geometry;
use crate::{Border, Error, Problem, Result, Sides};

/// The input coordinates of one axis that a band's source buffer holds.
///
/// ```
/// use channelwise::plan::{GpuLimits, Launch, Machine, Residence, Scheme, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::box_blur(3, 3)?);
/// let f32 = ElementType::F32;
/// let problem = Problem::new(&conv, [1080, 1920, 3], f32, f32)?;
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Host);
/// let plan = choose(&problem, &machine, Algorithm::Direct)?;
/// let Launch::Gpu(launch) = plan.launch() else { panic!("it is for a GPU") };
/// // Rows that the first band reads: with one above the input, for the kernel.
/// let rows = &launch.bands[0].source_rows;
/// assert!(rows.first <= 0 && rows.len >= launch.bands[0].rows.len());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Span {
    /// The first of them.
    pub first: isize,
    /// How many.
    pub len: usize,
    /// Whether they count along the axis as continued by the border (and were looked up when the
    /// buffer was filled) rather than along the input itself.
    pub continued: bool,
}

/// A part of a problem that is uploaded, computed and downloaded at once.
///
/// ```
/// use channelwise::plan::{GpuLimits, Launch, Machine, Residence, Scheme, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::box_blur(3, 3)?);
/// let f32 = ElementType::F32;
/// // Two gigabytes, of which a device binds 128 MiB at a time.
/// let problem = Problem::new(&conv, [80, 1080, 1920, 3], f32, f32)?;
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// let plan = choose(&problem, &machine, Algorithm::Auto)?;
/// let Launch::Gpu(launch) = plan.launch() else { panic!("it is for a GPU") };
/// assert!(launch.bands.len() >= 16);
/// assert_eq!(launch.bands[0].columns, 0..1920);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Band {
    /// Images (planes of one channel for `Nchw`).
    pub images: Range<usize>,
    /// Output rows.
    pub rows: Range<usize>,
    /// Output columns.
    pub columns: Range<usize>,
    /// Input rows in the source buffer.
    pub source_rows: Span,
    /// Input columns in the source buffer.
    pub source_columns: Span,
}

/// What one band may use.
#[derive(Clone, Copy)]
pub(super) struct Budget<'a> {
    /// Bytes of the source range, of the destination range and of buffers between passes, each.
    pub bytes: u64,
    /// Whether source and destination are textures, which count for nothing and are seen whole.
    pub textures: bool,
    /// Multiply-adds, and how many a place (a scalar of the input's channels) takes.
    pub work: u64,
    pub per_place: u64,
    /// Scalars that rows in device buffers are rounded up to.
    pub pitch: usize,
    /// Rows or images by which a band must start, if it has room for as many.
    pub granule: usize,
    /// Rows and columns of the smallest band, which are cut at multiples of these alone: tiles of transforms.
    pub tile: (usize, usize),
    /// Bytes of the largest buffer between the passes of a band.
    pub between: &'a dyn Fn(&Band) -> u64,
}

/// Bindings start at aligned offsets, and one end word may be added at each side.
pub(super) const SLACK: u64 = 512;
/// Most bands of a plan: a plan lists them, and each costs a submission.
const MAX_BANDS: usize = 1 << 16;

/// The bands of `problem` within `budget`, in the order of the output.
pub(super) fn cut(problem: &Problem, budget: Budget<'_>) -> Result<Vec<Band>> {
    let g = problem.geometry();
    let cutter = Cutter { problem, g, budget };
    let mut bands = Vec::new();
    if problem.output_len() == 0 {
        return Ok(bands);
    }
    let whole = cutter.band(0..1, 0..g.out_height, 0..g.out_width);
    if cutter.fits(&whole) {
        // Between images lie rows that no output needs, where a stride leaves some out.
        let several = match whole.source_rows.continued {
            true => whole.clone(),
            false => Band {
                source_rows: Span { first: 0, len: g.height, continued: false },
                ..whole.clone()
            },
        };
        let together = cutter.step(g.images, 1, |n| {
            n == 1 || cutter.fits(&Band { images: 0..n, ..several.clone() })
        });
        let count = g.images.div_ceil(together);
        if count > MAX_BANDS {
            return Err(too_many(count as u64));
        }
        let band = if together == 1 { whole } else { several };
        for first in (0..g.images).step_by(together) {
            let images = first..(first + together).min(g.images);
            bands.push(Band { images, ..band.clone() });
        }
        return Ok(bands);
    }
    // What lies ahead is counted before it is listed.
    let count = cutter.at_least();
    if count > MAX_BANDS as u64 {
        return Err(too_many(count));
    }
    for image in 0..g.images {
        let mut row = 0;
        while row < g.out_height {
            let take = cutter.step(g.out_height - row, budget.tile.0, |n| {
                cutter.fits(&cutter.band(image..image + 1, row..row + n, 0..g.out_width))
            });
            let rows = row..row + take;
            if cutter.fits(&cutter.band(image..image + 1, rows.clone(), 0..g.out_width)) {
                bands.push(cutter.band(image..image + 1, rows.clone(), 0..g.out_width));
            } else {
                cutter.columns(image, rows.clone(), &mut bands)?;
            }
            row = rows.end;
            if bands.len() > MAX_BANDS {
                return Err(too_many(bands.len() as u64));
            }
        }
    }
    Ok(bands)
}

fn too_many(count: u64) -> Error {
    Error::TooLarge {
        what: "number of bands that fit the device",
        value: format!("{count} or more"),
        limit: MAX_BANDS as u64,
    }
}

/// The largest `n` in `1..=most` that fits, taking `fits` to be monotone; 1 if none does.
pub(super) fn largest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// The largest number that both are multiples of.
pub(crate) fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

struct Cutter<'a> {
    problem: &'a Problem,
    g: &'a Geometry,
    budget: Budget<'a>,
}

impl Cutter<'_> {
    /// [`largest`], rounded down to whole granules where that leaves any, and to whole tiles: to one at least,
    /// whether that fits or not.
    fn step(&self, most: usize, tile: usize, fits: impl Fn(usize) -> bool) -> usize {
        let n = largest(most, fits);
        let both = tile / gcd(tile, self.budget.granule) * self.budget.granule;
        match () {
            () if n == most => n,
            () if n >= both => n / both * both,
            () if n >= tile => n / tile * tile,
            () => tile.min(most),
        }
    }

    /// One output row, or a row of tiles, cut along the columns.
    fn columns(&self, image: usize, rows: Range<usize>, bands: &mut Vec<Band>) -> Result<()> {
        let mut column = 0;
        while column < self.g.out_width {
            let (tile, left) = (self.budget.tile.1, self.g.out_width - column);
            let most = largest(left, |n| {
                self.fits(&self.band(image..image + 1, rows.clone(), column..column + n))
            });
            let take = if most == left { most } else { (most / tile * tile).max(tile).min(left) };
            let band = self.band(image..image + 1, rows.clone(), column..column + take);
            if !self.fits(&band) {
                let (source, out) = self.bytes(&band);
                return Err(Error::TooLarge {
                    what: "bytes of one output pixel or of the input it needs",
                    value: source.max(out).to_string(),
                    limit: self.budget.bytes,
                });
            }
            bands.push(band);
            column += take;
            if bands.len() > MAX_BANDS {
                return Err(too_many(bands.len() as u64));
            }
        }
        Ok(())
    }

    /// Fewer bands than this cannot hold the outputs.
    fn at_least(&self) -> u64 {
        let bytes = self.problem.output_len() as u64 * self.problem.output_type().bytes() as u64;
        (bytes / self.budget.bytes.max(1)).max(self.g.images as u64)
    }

    fn band(&self, images: Range<usize>, rows: Range<usize>, columns: Range<usize>) -> Band {
        let g = self.g;
        let (extent_rows, extent_columns) = g.extent();
        let border = self.problem.border();
        let whole = |len| Span { first: 0, len, continued: false };
        if self.budget.textures {
            let (source_rows, source_columns) = (whole(g.height), whole(g.width));
            return Band { images, rows, columns, source_rows, source_columns };
        }
        if self.problem.gathers() {
            let held = |inputs: Range<usize>| Span {
                first: inputs.start as isize,
                len: inputs.len(),
                continued: false,
            };
            let source_rows = held(Axis::rows(g).gathered(&rows, border.rows()));
            let source_columns = match columns == (0..g.out_width) {
                true => whole(g.width),
                false => held(Axis::columns(g).gathered(&columns, border.columns())),
            };
            return Band { images, rows, columns, source_rows, source_columns };
        }
        let source_rows = span(
            g.first_row(rows.start),
            (rows.len() - 1) * g.stride.0 + extent_rows,
            g.height,
            border.rows(),
        );
        let source_columns = if columns == (0..g.out_width) {
            whole(g.width)
        } else {
            span(
                g.first_column(columns.start),
                (columns.len() - 1) * g.stride.1 + extent_columns,
                g.width,
                border.columns(),
            )
        };
        Band { images, rows, columns, source_rows, source_columns }
    }

    /// Bytes of the source and destination ranges.
    fn bytes(&self, band: &Band) -> (u64, u64) {
        if self.budget.textures {
            return (0, 0);
        }
        let pitch = |scalars: usize| scalars.next_multiple_of(self.budget.pitch) as u64;
        let images = band.images.len() as u64;
        let together = self.g.out_row() / self.g.out_width;
        let source = pitch(band.source_columns.len * self.g.pixel())
            * band.source_rows.len as u64
            * self.g.planes() as u64;
        let out = pitch(band.columns.len() * together)
            * band.rows.len() as u64
            * self.g.out_planes() as u64;
        (
            images * source * self.problem.input_type().bytes() as u64,
            images * out * self.problem.output_type().bytes() as u64,
        )
    }

    fn fits(&self, band: &Band) -> bool {
        let (source, out) = self.bytes(band);
        let places =
            (band.images.len() * band.rows.len() * band.columns.len() * self.g.channels) as u64;
        let (rows, columns) = self.budget.tile;
        let one_place = places <= (rows * columns * self.g.channels) as u64;
        // A single pixel, or a tile, is never cut for its work.
        let work = one_place || places.saturating_mul(self.budget.per_place) <= self.budget.work;
        let between = (self.budget.between)(band);
        source.max(out).max(between).saturating_add(SLACK) <= self.budget.bytes && work
    }
}

/// Which input coordinates are needed for `len` continued ones from `first`.
fn span(first: isize, len: usize, n: usize, border: Sides) -> Span {
    let last = first + len as isize - 1;
    let end = n as isize - 1;
    // At least one row is kept, so that the buffer is not empty.
    let (mut a, mut b) = (first.clamp(0, end), last.clamp(0, end));
    let mut beyond = false;
    for (border, at, reached) in
        [(border.before, first, first < 0), (border.after, last, last > end)]
    {
        if !reached || border.constant().is_some() {
            continue;
        }
        beyond = true;
        let near = match border {
            Border::Constant(_) | Border::Replicate => continue,
            // A reflection stays near the edge while it bounces only once.
            Border::Reflect | Border::Reflect101 if first > -(n as isize) && last <= 2 * end => {
                border.index(at, n)
            }
            Border::Reflect | Border::Reflect101 | Border::Wrap => None,
        };
        (a, b) = match near {
            Some(at) => (a.min(at as isize), b.max(at as isize)),
            None => (0, end),
        };
    }
    let near = Span { first: a, len: (b - a) as usize + 1, continued: false };
    // Where a run of the input itself would be longer, the needed rows are gathered.
    if beyond && near.len > len.max(1) {
        if n <= len {
            return Span { first: 0, len: n, continued: false };
        }
        return Span { first, len, continued: true };
    }
    near
}
