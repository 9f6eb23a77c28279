//! `flat`: several neighbouring scalars of some flat rows per invocation.

use std::ops::Range;

use super::cost::GpuCost;
use super::limits::{AdapterClass, GpuLimits, Residence};
use super::{Band, GpuLaunch, Offer, direct};
use crate::{ElementType, Problem};

/// Invocations of a workgroup of the edges: few vectors along a row, many rows.
pub(super) const EDGE_WORKGROUP: [u32; 2] = [4, 16];

pub(super) const NOT_ON_CPU: &str = "the CPU's `direct` already works on flat rows in vectors";

/// Most filters, and most outputs, that an invocation keeps in registers. Twin of the arrays of
/// four in `shaders/flat.wgsl`.
const MAX_OUTPUTS: usize = 4;

pub(super) fn gpu(problem: &Problem, limits: &GpuLimits, residence: Residence) -> Offer<GpuLaunch> {
    let g = problem.geometry();
    let filters = problem.weights().filters;
    if g.stride.1 != 1 && !g.channels.is_multiple_of(4) {
        return Err(format!(
            "stride {} along the row and {} channels: four neighbouring outputs have no neighbouring inputs",
            g.stride.1, g.channels
        ));
    }
    if filters.max(g.outputs) > MAX_OUTPUTS {
        return Err(format!(
            "{} filters and {} outputs; it keeps at most {MAX_OUTPUTS} of each in registers",
            filters, g.outputs
        ));
    }
    let packed_row = g.out_row().is_multiple_of(4);
    if problem.output_type() == ElementType::U8 && residence == Residence::Device && !packed_row {
        return Err(format!(
            "rows of {} bytes do not fill words, so a word of the caller's buffer holds two rows",
            g.out_row()
        ));
    }
    // Rows share loads only where their taps meet the same input rows.
    let (kh, _) = g.kernel;
    let shares = g.dilation.0 == 1 && g.stride.0 < kh;
    let rows = match filters {
        _ if !shares => 1,
        1 => 4,
        2 => 2,
        _ => 1,
    };
    let source_rows = (rows as usize - 1) * g.stride.0 + kh;
    let inner_loops = source_rows as u64 * (g.kernel.1 as u64 + 1);
    let edge_loops = 4 * g.outputs as u64 * (direct::place_iterations(problem) + 1);
    // What follows the sums loops over a few rows, filters and outputs.
    limits.check_iterations(inner_loops.max(edge_loops) + 256)?;
    let x = if limits.class == AdapterClass::Software { 16 } else { 64 };
    let launch = GpuLaunch {
        workgroup: [x.min(limits.max_invocations), 1],
        rows,
        // Where rows of pixels fill vectors, or loads of single scalars are not cheaper: a software
        // adapter pays for every scalar.
        wide: g.channels.is_multiple_of(4) || limits.class != AdapterClass::Software,
        sliced: false,
        pitch: super::pitch(residence),
        bands: Vec::new(),
    };
    let cost = GpuCost::of(limits);
    let vectors =
        (problem.output_len() / g.outputs).div_ceil(4) as f64 * (g.kernel.0 * g.kernel.1) as f64;
    let shared = source_rows as f64 / (rows as usize * kh) as f64;
    let follow = problem.weights().follow.as_ref().map_or(0, |f| f.weights.len());
    let sums =
        vectors * (0.2 * filters as f64) + problem.output_len() as f64 * follow as f64 * 0.05;
    let inside = (vectors * shared + sums) / cost.vectors;
    // Places near the left and right edge are done as `direct` does them.
    let places = (g.out_width * g.channels).max(1);
    let edges = 1.0 - inner(problem, 0..g.out_width).len() as f64 / places as f64;
    let beside = problem.multiply_adds() as f64 / cost.taps;
    Ok((launch, inside * (1.0 - edges) + beside * edges + cost.pass(problem)))
}

/// The places of flat rows of these output columns, counted from the first of them, that can be made
/// without meeting an edge: whole vectors whose taps all lie inside.
pub(crate) fn inner(problem: &Problem, columns: Range<usize>) -> Range<usize> {
    let g = problem.geometry();
    let inside = |q: usize| {
        let first = g.first_column(q);
        first >= 0 && first + g.extent().1 as isize <= g.width as isize
    };
    // Columns whose taps lie inside are a run.
    let from = columns.start.max(g.left.div_ceil(g.stride.1));
    let fits = (g.width + g.left).checked_sub(g.extent().1).map_or(0, |n| n / g.stride.1 + 1);
    let to = columns.end.min(fits);
    if from >= to {
        return 0..0;
    }
    debug_assert!(inside(from) && inside(to - 1));
    let from = ((from - columns.start) * g.channels).next_multiple_of(4);
    let vectors = ((to - columns.start) * g.channels).saturating_sub(from) / 4;
    if vectors == 0 { 0..0 } else { from..from + vectors * 4 }
}

/// Invocations for the inner places of `band`.
pub(super) fn grid(problem: &Problem, launch: &GpuLaunch, band: &Band) -> [usize; 3] {
    let inner = inner(problem, band.columns.clone()).len();
    let rows = band.rows.len().div_ceil(launch.rows as usize);
    [inner / 4, rows, band.images.len()]
}

/// Invocations for the other places of `band`, four each.
pub(super) fn edge_grid(problem: &Problem, band: &Band) -> [usize; 3] {
    let inner = inner(problem, band.columns.clone());
    let places = band.columns.len() * problem.geometry().channels;
    let vectors = inner.start / 4 + (places - inner.end).div_ceil(4);
    [vectors, band.rows.len(), band.images.len()]
}
