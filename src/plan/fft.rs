//! `fft`: products of spectra, tile by tile (overlap-save).
//!
//! Three passes: transforms of the rows of tiles, transforms of their columns times the kernel's
//! spectrum and back, and rows back. Or one, where workgroup memory holds a tile, and what all that writes and
//! reads of memory takes longer than the smaller tiles' larger halos. The kernel is real and the same for all channels, so two planes
//! (tiles of any channels that lie beside each other) make one complex tile and come out apart. Tiles and
//! pairs have their places in the output, whatever bands and parts it is made in, and so have their errors.
//!
//! Bytes, and what is made of several filters, are left to a last pass, which is `flat` of one tap.

use super::bands::SLACK;
use super::cost::{self, GpuCost, Traffic};
use super::cuts::Cuts;
use super::flat::{self, Block, Work};
use super::limits::{CpuLimits, GpuLimits, Residence};
use super::offer::{Accuracy, Offer};
use super::tile::{COMPLEX, Lines, Tile, Tiles};
use crate::problem::Store;
use crate::{ElementType, Problem};

/// Pairs of planes whose products the CPU's gradient of a kernel adds up in f32; it goes on in f64.
pub(crate) const PAIRS: usize = 64;

/// Sizes of tiles, as powers of two: what the steps of `shaders/fft.wgsl` reach.
pub(super) const SIZES: std::ops::RangeInclusive<u32> = 5..=12;

pub(super) fn gpu(problem: &Problem, limits: &GpuLimits, residence: Residence) -> Offer<Tile> {
    let g = problem.geometry();
    let weights = problem.weights();
    let size = [g.out_height, g.out_width, g.images];
    let apart = problem.store() != Store::Scalar || weights.follow.is_some();
    let finish = if apart {
        flat::whole_words(problem, residence)?;
        let specialised = flat::specialised(problem, limits);
        Some(finishing(Work::of(problem)).block(size, specialised, limits)?)
    } else {
        None
    };
    finite(problem)?;

    let cost = GpuCost::of(limits);
    let most = limits.band_bytes(residence).saturating_sub(SLACK);
    let mut best: Option<(Tile, f64)> = None;
    for tile in tiles(problem, limits, finish) {
        if tile.least(problem).into_iter().any(|bytes| bytes > most) {
            continue;
        }
        let us = cost.of_passes(&traffic(problem, &tile));
        if best.as_ref().is_none_or(|(_, least)| us < *least) {
            best = Some((tile, us));
        }
    }
    let Some((tile, us)) = best else {
        let (rows, columns) = g.extent();
        let memory = limits.max_workgroup_memory;
        return Err(format!(
            "no tile of a power of two fits taps that reach over {rows}x{columns}, strides {:?}, \
             {memory} bytes of workgroup memory and {most} bytes of a buffer",
            g.stride
        ));
    };
    Ok((tile, us))
}

/// Refuses what would fill tiles with NaNs.
pub(super) fn finite(problem: &Problem) -> Result<(), String> {
    if !problem.weights().taps.iter().all(|k| k.is_finite()) {
        return Err("the kernel is not finite".into());
    }
    if !problem.border().fill().is_finite() {
        return Err("the border's constant is not finite".into());
    }
    Ok(())
}

/// Outputs of so many points along an axis of a tile.
pub(crate) fn outputs(points: usize, extent: usize, stride: usize) -> usize {
    (points + 1).saturating_sub(extent) / stride
}

/// Rows and columns of the CPU's tiles: lengths that transform fast, two tiles of which stay in a second
/// or third cache.
const CPU_SIZES: [usize; 17] =
    [32, 48, 64, 80, 96, 128, 144, 160, 192, 216, 256, 288, 320, 384, 432, 512, 1024];
/// Points of the largest of them.
const CPU_POINTS: usize = 1 << 18;

/// Tiles of the CPU.
struct CpuTile {
    size: (usize, usize),
    /// How many an image takes from top to bottom, and of how many output rows.
    down: usize,
    rows: usize,
    /// Output columns of a tile.
    columns: usize,
    /// Pairs of planes of such a row of tiles.
    pairs: usize,
    /// Pairs that one thread takes at once: those of a tile, or of two side by side where channels are odd.
    together: usize,
}

impl CpuTile {
    /// Microseconds of a pair of planes.
    fn microseconds(&self, problem: &Problem) -> f64 {
        let filters = problem.weights().filters as f64;
        let there = cost::cpu_transform(self.size, self.read(problem));
        there + filters * cost::cpu_transform(self.size, self.rows)
    }

    /// Input rows that a tile's outputs meet.
    fn read(&self, problem: &Problem) -> usize {
        let g = problem.geometry();
        (self.rows - 1) * g.stride.0 + g.extent().0
    }
}

fn cpu_tiles(problem: &Problem, cuts: &Cuts) -> impl Iterator<Item = CpuTile> {
    let g = *problem.geometry();
    let extent = g.extent();
    let sizes = CPU_SIZES.into_iter().flat_map(|rows| CPU_SIZES.map(|columns| (rows, columns)));
    let usual = cuts.transform.is_none();
    sizes.filter(move |_| usual).chain(cuts.transform).filter_map(move |size| {
        let (rows, columns) = size;
        let valid = (outputs(rows, extent.0, g.stride.0), outputs(columns, extent.1, g.stride.1));
        if rows * columns > CPU_POINTS || valid.0 == 0 || valid.1 == 0 {
            return None;
        }
        let down = g.out_height.div_ceil(valid.0).max(1);
        let across = g.out_width.div_ceil(valid.1).max(1);
        Some(CpuTile {
            size,
            down,
            rows: g.out_height.div_ceil(down).max(1),
            columns: g.out_width.div_ceil(across).max(1),
            pairs: (across * g.channels).div_ceil(2),
            together: ((1 + g.channels % 2).min(across) * g.channels).div_ceil(2),
        })
    })
}

/// Rows and columns of tiles, and of the outputs of one.
pub(super) fn cpu(
    problem: &Problem,
    limits: &CpuLimits,
) -> Offer<((usize, usize), (usize, usize))> {
    finite(problem)?;
    let g = problem.geometry();
    // With work that takes `w` on one thread and no piece of it longer than `p`, whoever hands pieces to idle
    // threads is done after `w / threads + p` at most (Graham 1969, "Bounds on multiprocessing timing
    // anomalies"). Not of the threads that there are: equal problems have equal tiles.
    let timed = cpu_tiles(problem, &limits.cuts).map(|tile| {
        let pairs = (g.images * tile.down * tile.pairs) as f64;
        let one = tile.microseconds(problem);
        let work = pairs + (cost::USUAL_THREADS * tile.together) as f64;
        (work * one, tile)
    });
    let Some((_, tile)) = timed.min_by(|(a, _), (b, _)| a.total_cmp(b)) else {
        let extent = g.extent();
        return Err(format!(
            "no tile of at most {CPU_POINTS} points fits taps that reach over {extent:?}"
        ));
    };
    let threads = limits.threads.max(1);
    let units = g.images * tile.down * tile.pairs.div_ceil(tile.together.max(1));
    let turns = (units.div_ceil(threads) * tile.together) as f64;
    let us = turns * tile.microseconds(problem) + cost::sharing(problem, threads);
    Ok(((tile.size, (tile.rows, tile.columns)), us))
}

/// Output rows of a part and tiles of the CPU's gradient of the kernel, and its microseconds on one thread.
pub(super) fn correlation(problem: &Problem, cuts: &Cuts) -> Option<(usize, (usize, usize), f64)> {
    // Of the kernel only the size counts.
    if !problem.border().fill().is_finite() {
        return None;
    }
    let filters = problem.weights().filters;
    let timed = cpu_tiles(problem, cuts).map(|tile| {
        let parts = (problem.geometry().images * tile.down) as f64;
        // Tiles there, of the input and of each filter's gradient; and those of a part back.
        let rows = problem.geometry().stride.0 * (tile.rows - 1) + 1;
        let way = |rows| cost::cpu_transform(tile.size, rows);
        let there = way(tile.read(problem)) + filters as f64 * way(rows);
        let back = (filters * tile.pairs.div_ceil(PAIRS)) as f64;
        let us = tile.pairs as f64 * there + back * way(problem.geometry().kernel.0);
        (parts * us, tile)
    });
    let (us, tile) = timed.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
    let rows = cuts.part_rows.map_or(tile.rows, |rows| rows.clamp(1, tile.rows));
    Some((rows, tile.size, us))
}

/// What its transforms spread: as in [`accuracy`], on three ways through a tile, and by the additions of
/// products. The root mean square of what a pair of planes gives is at most `|x| |d|`, the lengths of what
/// two planes hold of the input and of the gradient.
pub(super) fn correlation_spread(problem: &Problem, rows: usize, size: (usize, usize)) -> f64 {
    let g = problem.geometry();
    let cuts = Cuts { transform: Some(size), ..Cuts::NONE };
    let Some(tile) = cpu_tiles(problem, &cuts).next() else { return 0.0 };
    let down = g.out_height.div_ceil(rows.max(1));
    spread_of_products(problem, size, g.images * down * tile.pairs, PAIRS)
}

/// The same of so many pairs of planes, so many products of which are added up one after the other.
pub(super) fn spread_of_products(
    problem: &Problem,
    size: (usize, usize),
    pairs: usize,
    added: usize,
) -> f64 {
    let g = problem.geometry();
    let points = (size.0 * size.1) as f64;
    let outputs = (outputs(size.0, g.extent().0, g.stride.0)
        * outputs(size.1, g.extent().1, g.stride.1)) as f64;
    let rounded = 2.0 * 3.0 * points.log2() + added as f64;
    rounded * pairs as f64 * 2.0 * (points * outputs).sqrt()
}

/// The tiles that make any output, and for whose lines the device has room.
pub(super) fn tiles(
    problem: &Problem,
    limits: &GpuLimits,
    finish: Option<Block>,
) -> impl Iterator<Item = Tile> {
    let g = *problem.geometry();
    let (limits, cuts) = (*limits, limits.cuts);
    let sizes = SIZES.flat_map(|rows| SIZES.map(move |columns| (1 << rows, 1 << columns)));
    let ways = sizes.flat_map(|size| [(size, false), (size, true)]);
    let wanted = ways.filter(move |((rows, columns), whole)| {
        let size = (*rows as usize, *columns as usize);
        cuts.transform.is_none_or(|cut| cut == size) && cuts.whole.is_none_or(|cut| cut == *whole)
    });
    let valid = |points: u32, extent: usize, stride: usize| {
        let all = outputs(points as usize, extent, stride) * stride;
        (all > 0).then_some(all as u32)
    };
    wanted.filter_map(move |(size, whole)| {
        let valid =
            (valid(size.0, g.extent().0, g.stride.0)?, valid(size.1, g.extent().1, g.stride.1)?);
        let lines = match whole {
            true => Lines::whole(size, &limits)?,
            false => {
                (Lines::rows(size.1, size.0, &limits)?, Lines::columns(size.0, size.1, &limits)?)
            }
        };
        Some(Tile { size, valid, lines, whole, finish })
    })
}

/// What the passes do.
pub(super) fn traffic(problem: &Problem, tile: &Tile) -> Vec<Traffic> {
    let g = problem.geometry();
    let size = [g.out_height, g.out_width, g.images];
    let written = (problem.output_len() * problem.output_type().bytes()) as f64;
    let mut passes = match tile.whole {
        true => vec![traffic_whole(problem, tile)],
        false => traffic_apart(problem, tile).into(),
    };
    if let (Some(block), Some(last)) = (&tile.finish, passes.last_mut()) {
        // Sums of every filter, once more there and back.
        let planes = g.out_height * g.out_width * g.images * g.channels;
        let filters = problem.weights().filters as f64;
        let sums = filters * (planes * ElementType::F32.bytes()) as f64;
        last.bytes += sums - written;
        passes.push(finishing(Work::of(problem)).traffic(block, size, sums + written));
    }
    passes
}

/// Of the three passes over rows, columns and rows.
fn traffic_apart(problem: &Problem, tile: &Tile) -> [Traffic; 3] {
    let g = problem.geometry();
    let size = [g.out_height, g.out_width, g.images];
    let filters = problem.weights().filters as f64;
    let (rows, columns) = (f64::from(tile.size.0), f64::from(tile.size.1));
    let points = Tiles::new(problem, tile, size).pairs() as f64 * rows * columns;
    // Points that are kept of all filters.
    let kept = points * filters * tile.kept_rows(problem) as f64 / rows;
    let read = (problem.input_len() * problem.input_type().bytes()) as f64;
    let written = (problem.output_len() * problem.output_type().bytes()) as f64;
    let complex = COMPLEX as f64;
    let spectra = complex * filters * rows * columns;
    let (along_rows, along_columns) = tile.lines;
    [
        along_rows.traffic(points, 4.0 * points, read + complex * points),
        along_columns.traffic(
            points * (1.0 + filters),
            2.0 * points * (1.0 + filters) + 2.0 * kept,
            complex * (points + kept) + spectra,
        ),
        along_rows.traffic(kept, 4.0 * kept, complex * kept + written),
    ]
}

/// Of the one pass. What tiles read is counted with their halos, which are as large as what they make: a cache
/// holds some of that, but rows of tiles lie far apart.
fn traffic_whole(problem: &Problem, tile: &Tile) -> Traffic {
    let g = problem.geometry();
    let filters = problem.weights().filters as f64;
    let tiles = Tiles::new(problem, tile, [g.out_height, g.out_width, g.images]);
    let points = tiles.pairs() as f64 * f64::from(tile.size.0) * f64::from(tile.size.1);
    let halo = |valid: u32, stride: usize, extent: usize, tiles: usize| match tiles {
        0 | 1 => 1.0,
        _ => (valid as usize - stride + extent) as f64 / f64::from(valid),
    };
    let read = (problem.input_len() * problem.input_type().bytes()) as f64
        * halo(tile.valid.0, g.stride.0, g.extent().0, tiles.down)
        * halo(tile.valid.1, g.stride.1, g.extent().1, tiles.across);
    let written = (problem.output_len() * problem.output_type().bytes()) as f64;
    let [rows, columns] =
        [tile.lines.0, tile.lines.1].map(|lines| f64::from(lines.steps().0) + 0.5);
    let halvings = tile.lines.0.halvings() + tile.lines.1.halvings();
    let sums = filters * (g.images * g.out_height * g.out_width * g.channels) as f64;
    Traffic {
        // Points, the spectrum, and what is made.
        accesses: 2.0 * points * (1.0 + filters) + sums,
        // Each way along rows, across and along columns.
        exchanges: 4.0 * (rows + columns) * points * (1.0 + filters),
        sums: halvings * points * (1.0 + filters),
        bytes: read + written,
    }
}

/// What the last pass computes: the sum of each filter, whose plane it reads.
pub(super) fn finishing(work: Work) -> Work {
    Work { kernel: (1, 1), stride: (1, 1), dilation: (1, 1), terms: work.filters, ..work }
}

/// Why a GPU does not take it unasked: it does not look at what it transforms.
pub(super) fn caveat(problem: &Problem) -> Option<String> {
    let open = !problem.reads_finite();
    open.then(|| "an infinity or NaN would spread over its tile; `assume_finite` allows it".into())
}

/// Why the CPU does not take it unasked. What is not finite it leaves to `direct`, so what is left is
/// accuracy: errors relative to the largest input.
///
/// - Floats carry rounding errors of their own, mostly relative to a full scale: taken.
/// - Sums of integers as floats are often exact by `direct` (counts under a mask, sums of pixels), and
///   whoever compares them would see that they are not: left to those who allow it.
/// - Sums of integers that are rounded to integers again hide an error below half a step but for ties:
///   taken where the bound is below that.
pub(super) fn cpu_caveat(problem: &Problem, tile: (usize, usize)) -> Option<String> {
    if problem.conv().finite {
        return None;
    }
    let points = (tile.0 * tile.1) as f64;
    let sum = largest_sum(problem);
    // Below, what the spectrum loses for being subnormal is no longer small beside the bound.
    if sum > 0.0 && sum / points < 2f64.powi(-116) {
        return Some(
            "of so small weights the spectrum loses digits; `assume_finite` allows it".into(),
        );
    }
    let whole = problem.input_type().integers()?;
    let most = whole.start().unsigned_abs().max(whole.end().unsigned_abs()) as f64;
    let constant = problem.border().fill().abs();
    let off = accuracy(problem, (tile.0 as u32, tile.1 as u32)).spread * 2f64.powi(-24);
    if !problem.output_type().is_integer() {
        return Some(
            "sums of integers may be exact, its sums are not; `assume_finite` allows it".into(),
        );
    }
    (off * most.max(constant.into()) >= 0.5).then(|| {
        "it may be off by more than half a step of the output; `assume_finite` allows it".into()
    })
}

/// Errors of transforms are relative to a tile's largest values, not to those a place meets. A point
/// goes through `levels` sums and turns, there and back; each rounds to about `u` of the root mean
/// square (Schatzman 1996, "Accuracy of the discrete Fourier transform and the fast Fourier
/// transform"), which is at most `Σ|k| X`. Errors add up like a random walk, to `sqrt(levels) u`; twice
/// `levels` leaves room for the largest of many millions. So this is statistical. What is proven bounds
/// the length of the vector of a tile's errors; that they all fall on one place is not ruled out, which takes
/// the square root of the tile's points as a further factor.
///
/// It is relative to the largest value of a tile's two planes: a bright channel beside a dark one lifts the
/// dark one's error, which is within the bound since `X` is that of the whole input.
pub(super) fn accuracy(problem: &Problem, tile: (u32, u32)) -> Accuracy {
    let levels = 2.0 * (f64::from(tile.0).log2() + f64::from(tile.1).log2());
    Accuracy { spread: 2.0 * levels * largest_sum(problem), proven: false }
}

/// `Σ|k|` of the filter that has the largest.
fn largest_sum(problem: &Problem) -> f64 {
    let weights = problem.weights();
    let each = weights.taps.len() / weights.filters;
    let sums = weights.taps.chunks(each).map(|k| k.iter().map(|w| f64::from(w.abs())).sum());
    sums.fold(0.0, f64::max)
}
