//! The gradient of a large kernel on a GPU: products of spectra, added up over tiles.
//!
//! ```text
//!   x  ─ rows of tiles there ──┐
//!   dy ─ rows of tiles there ──┴─ columns there, conj(D) X, parts added up, columns back ─ rows of taps back
//! ```
//!
//! Bytes and sums do not grow with the taps, as those of `gradient`'s correlation do.

use std::fmt;

use super::bands::{Band, SLACK};
use super::cost::{GpuCost, Traffic};
use super::cuts::Cuts;
use super::fft::{self, PAIRS};
use super::launch::{GpuLaunch, Scheme};
use super::limits::{AdapterClass, GpuLimits, Residence};
use super::split;
use super::tile::{COMPLEX, Lines, Tile, Tiles};
use crate::{ElementType, Problem};

/// Launch numbers of the GPU's gradient of a large kernel, by transforms.
///
/// ```
/// use channelwise::plan::{GpuLimits, KernelGradient, Machine, Residence, gradient};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::disk(15.0)?).assume_finite();
/// let f32 = ElementType::F32;
/// let problem = Problem::new(&conv, [1080, 1920, 3], f32, f32)?;
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// let plan = gradient(&problem, &machine, Algorithm::Auto)?;
/// let KernelGradient::GpuFft(products) = plan.kernel() else { panic!("large kernels by transforms") };
/// assert!(products.parts > 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Products {
    /// Tiles, and the parts of the tensor whose rows lie between passes at once.
    pub launch: GpuLaunch,
    /// Pairs of planes whose products are added up one after the other.
    pub run: u32,
    /// Runs, of one filter.
    pub parts: usize,
    /// Workgroups of the last pass.
    pub last: Lines,
    /// Invocations of a workgroup of what else is summed.
    pub workgroup: u32,
}

/// Terms that an invocation adds up one after the other before it adds them to the others.
pub(crate) const RUN: u32 = 32;
/// Parts that fill a GPU: each takes as many workgroups as a tile's columns.
const PARTS: usize = 32;
/// Most bytes of all parts, where there can be so few.
const BETWEEN: u64 = 1 << 25;
/// Loop iterations of an invocation for each pair, and for each part in the end, at most.
const ITERATIONS: u64 = 1 << 9;

impl Products {
    pub(crate) fn tile(&self) -> Option<&Tile> {
        match &self.launch.scheme {
            Scheme::Fft(tile) => Some(tile),
            Scheme::Direct { .. } | Scheme::Flat(_) | Scheme::March(_) => None,
            Scheme::Phases(_) | Scheme::Separable { .. } | Scheme::Strips { .. } => None,
        }
    }

    /// Pairs of planes of a band.
    pub(crate) fn pairs(&self, problem: &Problem, band: &Band) -> usize {
        self.tile().map_or(0, |tile| Tiles::of(problem, tile, band).pairs())
    }

    /// Bytes of the rows of so many pairs there, of the input and of one filter's gradient.
    pub(crate) fn rows(&self, problem: &Problem, pairs: usize) -> [u64; 2] {
        let Some(tile) = self.tile() else { return [0; 2] };
        let row = (pairs as u64).saturating_mul(u64::from(tile.size.1)).saturating_mul(COMPLEX);
        [u64::from(tile.size.0), tile.kept_rows(problem) as u64].map(|n| row.saturating_mul(n))
    }

    /// Bytes of all parts: of each the rows of taps, and the sum of the gradient.
    pub(crate) fn between(&self, problem: &Problem) -> u64 {
        let columns = self.tile().map_or(0, |tile| tile.size.1 as usize);
        let each = problem.geometry().kernel.0.saturating_mul(columns).saturating_add(1);
        let parts = (self.parts as u64).saturating_mul(problem.weights().filters as u64);
        parts.saturating_mul(each as u64).saturating_mul(COMPLEX)
    }

    /// Additions in f32 one after the other of a product, and of the sums of the gradient after those of a tile.
    fn added(&self) -> usize {
        self.run as usize + RUN as usize + self.parts.div_ceil(RUN as usize)
    }

    /// The same of the gradient of the bias, which is what transforms make of frequency 0: sums in a tree.
    pub(super) fn depth(&self) -> usize {
        let levels = |tile: &Tile| tile.size.0.ilog2() + tile.size.1.ilog2() + 1;
        self.added() + self.tile().map_or(0, levels) as usize
    }

    /// What transforms and sums spread, as [`fft::correlation_spread`] says.
    pub(super) fn spread(&self, problem: &Problem) -> f64 {
        let Some(tile) = self.tile() else { return 0.0 };
        let size = (tile.size.0 as usize, tile.size.1 as usize);
        let pairs: usize = self.launch.bands.iter().map(|band| self.pairs(problem, band)).sum();
        fft::spread_of_products(problem, size, pairs, self.added())
    }

    fn traffic(problem: &Problem, tile: &Tile) -> Vec<Traffic> {
        let g = problem.geometry();
        let filters = problem.weights().filters as f64;
        let tiles = Tiles::new(problem, tile, [g.out_height, g.out_width, g.images]);
        let columns = f64::from(tile.size.1);
        let points = tiles.pairs() as f64 * f64::from(tile.size.0) * columns;
        let kept = points * tile.kept_rows(problem) as f64 / f64::from(tile.size.0);
        let taps = (PARTS * g.kernel.0) as f64 * columns;
        let bytes = |element: ElementType, len: usize| (len * element.bytes()) as f64;
        let complex = COMPLEX as f64;
        let (along_rows, along_columns) = tile.lines;
        let read = bytes(problem.input_type(), problem.input_len());
        let gradient = bytes(ElementType::F32, problem.output_len()) / filters;
        let mut passes = vec![along_rows.traffic(points, 4.0 * points, read + complex * points)];
        for _ in 0..problem.weights().filters {
            passes.push(along_rows.traffic(kept, 4.0 * kept, gradient + complex * kept));
            let read = points + kept;
            let mut product =
                along_columns.traffic(2.0 * points, 2.0 * (read + taps), complex * (read + taps));
            product.sums += 2.0 * points;
            passes.push(product);
        }
        let lines = filters * g.kernel.0 as f64 * columns;
        passes.push(along_rows.traffic(lines, 2.0 * filters * taps, complex * filters * taps));
        passes
    }
}

impl fmt::Display for Products {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tile) = self.tile() {
            write!(f, "transforms of {tile}; ")?;
        }
        write!(f, "{} parts of {} pairs; then their sums", self.parts, self.run)
    }
}

/// Those of the sums of `problem`, and microseconds; none where its transforms would spread what is not finite, or no
/// tile fits.
pub(super) fn gpu(
    problem: &Problem,
    limits: &GpuLimits,
    workgroup: u32,
) -> Option<(Products, f64)> {
    let unknown = !problem.conv().finite || !problem.border().fill().is_finite();
    if unknown || problem.output_len() == 0 || problem.input_len() == 0 {
        return None;
    }
    // Rows of the input and of the gradient lie between passes in one buffer.
    let most = limits.band_bytes(Residence::Device) / 2;
    let cuts = Cuts { whole: Some(false), band_bytes: Some(most), ..limits.cuts };
    let halved = GpuLimits { cuts, ..*limits };
    let cost = GpuCost::of(limits);
    let timed = fft::tiles(problem, &halved, None).filter_map(|tile| {
        let fits = tile.least(problem).into_iter().all(|bytes| bytes <= most.saturating_sub(SLACK));
        fits.then(|| (cost.of_passes(&Products::traffic(problem, &tile)), tile))
    });
    let (us, tile) = timed.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
    let scheme = Scheme::Fft(tile);
    let mut launch = GpuLaunch { scheme, pitch: 1, bands: Vec::new() };
    launch.bands = split::bands_of(problem, &halved, Residence::Device, &launch).ok()?;
    let last = Lines { count: 1, ..tile.lines.0 };
    let mut made = Products { launch, run: 1, parts: 0, last, workgroup };
    let pairs: Vec<usize> =
        made.launch.bands.iter().map(|band| made.pairs(problem, band)).collect();
    let all = pairs.iter().sum::<usize>();
    let fewest = match limits.class {
        // A core each.
        AdapterClass::Software => 4,
        AdapterClass::Discrete | AdapterClass::Integrated | AdapterClass::Unknown => PARTS,
    };
    let mut run = limits.cuts.positions.unwrap_or(all.div_ceil(fewest)).clamp(1, PAIRS);
    let room = limits.max_range().min(BETWEEN);
    loop {
        made.run = run as u32;
        made.parts = pairs.iter().map(|pairs| pairs.div_ceil(run)).sum();
        if made.between(problem) <= room || run >= all {
            break;
        }
        run *= 2;
    }
    let iterations = ITERATIONS.saturating_mul(run as u64);
    let summed = u64::from(last.points).saturating_mul(made.parts as u64);
    let fits = made.between(problem) <= limits.max_range()
        && limits.check_iterations(iterations.max(2 * summed)).is_ok();
    fits.then_some((made, us))
}
