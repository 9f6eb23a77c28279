//! `separable`: rows and columns, of kernels that are sums of a few columns times rows.
//!
//! On a GPU rows, then columns: in one pass through workgroup memory (`strip`) where that fits and takes less time,
//! and otherwise in two passes of the shader of `flat`. The first of these makes, for every row factor, the
//! rows that the band needs, those beyond the input included; so the second meets no border.
//!
//! On the CPU columns, then rows, block by block. Either way the filters share what the first pass makes, which
//! is as large as weights make it: so there factors are found of the kernel with rows and columns exchanged.

use super::bands::{Band, SLACK};
use super::box_filter;
use super::cost::{self, GpuCost, Traffic};
use super::flat::{self, Block, Work};
use super::limits::{CpuLimits, GpuLimits, Residence};
use super::offer::{Accuracy, Offer};
use super::strip::{self, Strip};
use crate::kernel::{Digits, Terms, factors, spread};
use crate::problem::DoubleWeights;
use crate::{ElementType, Factors, Problem};

/// Most row factors: the sums an invocation of the first pass keeps.
const MAX_TERMS: usize = 16;

/// The two passes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Passes {
    /// Along rows, every row factor a filter.
    pub across: Block,
    /// Along columns, adding up the terms.
    pub down: Block,
    pub factors: Factors,
}

/// How a GPU sums rows and columns.
pub(super) enum OnGpu {
    One(Strip, Factors),
    Two(Passes),
}

/// One pass or two, whichever takes less time.
pub(super) fn gpu(problem: &Problem, limits: &GpuLimits, residence: Residence) -> Offer<OnGpu> {
    flat::whole_words(problem, residence)?;
    let factors = found(problem, First::Rows)?;
    let specialised = flat::specialised(problem, limits);
    let one = match limits.cuts.one_pass {
        Some(false) => Err("two passes are asked for".into()),
        _ => strip::strip(problem, factors.terms(), specialised, limits, residence),
    };
    let two = match (limits.cuts.one_pass, &one) {
        (Some(true), Err(reason)) => Err(reason.clone()),
        (Some(true), Ok(_)) => Err("one pass is asked for".into()),
        _ => two(problem, limits, residence, &factors),
    };
    match (one, two) {
        (Ok((strip, us)), Ok((_, other))) if us <= other => Ok((OnGpu::One(strip, factors), us)),
        (Ok((strip, us)), Err(_)) => Ok((OnGpu::One(strip, factors), us)),
        (_, two) => two.map(|(passes, us)| (OnGpu::Two(passes), us)),
    }
}

/// In two passes.
fn two(
    problem: &Problem,
    limits: &GpuLimits,
    residence: Residence,
    factors: &Factors,
) -> Offer<Passes> {
    let g = problem.geometry();
    let terms = factors.terms();
    // A band is one output pixel at least.
    let pixel = scalars(problem, 1, 1, 1, terms).saturating_mul(ElementType::F32.bytes() as u64);
    let most = limits.band_bytes(residence);
    if pixel.saturating_add(SLACK) > most {
        return Err(format!(
            "between the passes lie {pixel} bytes for one output pixel, and the limit is {most}"
        ));
    }
    let work = Work::of(problem);
    let specialised = flat::specialised(problem, limits);
    let rows = rows(problem, g.out_height);
    let first = across(work, terms).block([rows, g.out_width, g.images], specialised, limits)?;
    let size = [g.out_height, g.out_width, g.images];
    let second = down(work, terms).block(size, specialised, limits)?;
    let traffic = traffic(problem, terms, [&first, &second]);
    let passes = Passes { across: first, down: second, factors: factors.clone() };
    Ok((passes, GpuCost::of(limits).of_passes(&traffic)))
}

/// Terms of the problem's kernel, 0 where two passes do no less than one.
pub(crate) fn terms(problem: &Problem) -> usize {
    found(problem, First::Rows).map_or(0, |factors| factors.terms())
}

/// How the CPU sums columns and rows.
pub(super) enum OnCpu {
    /// By factors of the kernel with rows and columns exchanged.
    Factors(Factors),
    /// By running sums.
    BoxFilter,
}

/// Whichever takes less time on one thread, as threads must not change bits; and output rows of a task.
pub(super) fn cpu(problem: &Problem, limits: &CpuLimits) -> Offer<(OnCpu, usize)> {
    let running = box_filter::applies(problem).then(|| cost::cpu_box_filter(problem, limits));
    let factors = found(problem, First::Columns)
        .map(|factors| (cost::cpu_separable(problem, &factors, limits), factors));
    let (way, one_thread) = match (running, factors) {
        (Some(us), Ok((other, _))) if us <= other => (OnCpu::BoxFilter, us),
        (Some(us), Err(_)) => (OnCpu::BoxFilter, us),
        (_, Ok((us, factors))) => (OnCpu::Factors(factors), us),
        (None, Err(reason)) => return Err(reason),
    };
    let (rows_per_task, threads) = cost::tasks(problem, limits, one_thread);
    let us = one_thread / threads as f64 + cost::sharing(problem, threads);
    Ok(((way, rows_per_task), us))
}

/// Factors for sums in f64, of the kernel with rows and columns exchanged; and output rows of a task.
pub(super) fn cpu_double(
    problem: &Problem,
    double: &DoubleWeights,
    limits: &CpuLimits,
) -> Offer<(Factors<f64>, usize)> {
    let factors = of_double(problem, double)?;
    let one_thread = cost::cpu_double_separable(problem, &factors, limits);
    let (rows_per_task, threads) = cost::tasks(problem, limits, one_thread);
    let us = one_thread / threads as f64 + cost::sharing(problem, threads);
    Ok(((factors, rows_per_task), us))
}

/// The factors of the problem's kernel with rows and columns exchanged, for sums in f64.
fn of_double(problem: &Problem, double: &DoubleWeights) -> Result<Factors<f64>, String> {
    let most = most(problem, First::Columns)?;
    taken(First::Columns.factors(problem, &double.taps, most), most)
}

/// What the passes do; what lies between is written once and read once.
pub(super) fn traffic(problem: &Problem, terms: usize, blocks: [&Block; 2]) -> [Traffic; 2] {
    let g = problem.geometry();
    let work = Work::of(problem);
    let between = scalars(problem, g.out_height, g.out_width, g.images, terms) as f64
        * ElementType::F32.bytes() as f64;
    let read = (problem.input_len() * problem.input_type().bytes()) as f64;
    let written = (problem.output_len() * problem.output_type().bytes()) as f64;
    let size = [rows(problem, g.out_height), g.out_width, g.images];
    [
        across(work, terms).traffic(blocks[0], size, read + between),
        down(work, terms).traffic(
            blocks[1],
            [g.out_height, g.out_width, g.images],
            between + written,
        ),
    ]
}

/// The pass that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Along rows, as on a GPU.
    Rows,
    /// Down columns, as on the CPU: factors are those of the kernel with rows and columns exchanged.
    Columns,
}

impl First {
    /// The factors of what inputs are multiplied with, of at most so many terms.
    fn factors<T: Digits>(self, problem: &Problem, taps: &[T], most: usize) -> Option<Factors<T>> {
        let (weights, (kh, kw)) = (problem.weights(), problem.geometry().kernel);
        // Those of sums in f64 have a pointwise step folded in where that of others is a step of its own.
        let filters = taps.len() / (kh * kw);
        // Ones are found to be ones.
        let unknown = Terms::default();
        let known = problem.mean().is_none() && filters == weights.filters;
        let terms = if known { &weights.terms } else { &unknown };
        match self {
            Self::Rows => factors(taps, terms, (filters, kh, kw), most),
            Self::Columns => {
                let each = taps.chunks(kh * kw);
                let exchanged: Vec<T> = each
                    .flat_map(|taps| (0..kh * kw).map(|at| taps[at % kh * kw + at / kh]))
                    .collect();
                let size = (filters, kw, kh);
                factors(&exchanged, &terms.transposed(), size, most)
            }
        }
    }
}

/// The factors of the problem's kernel, where two passes do less than one.
pub(super) fn found(problem: &Problem, first: First) -> Result<Factors, String> {
    let most = most(problem, first)?;
    taken(first.factors(problem, &problem.summed_taps(), most), most)
}

/// Most terms of two passes that do less than one.
fn most(problem: &Problem, first: First) -> Result<usize, String> {
    let (kh, kw) = problem.geometry().kernel;
    let weights = problem.weights();
    let (shared, each) = match first {
        First::Rows => (kw, kh),
        First::Columns => (kh, kw),
    };
    // So many that all terms together still take fewer taps, and that the rounding errors of two
    // sums stay within those allowed to one (the factors themselves take a quarter of it).
    let direct = weights.filters * kh * kw;
    let most = (direct.saturating_sub(1) / (shared + weights.filters * each)).min(MAX_TERMS);
    let errors = 2 * (kh + kw + 3) <= 3 * kh * kw;
    if most == 0 || !errors {
        return Err(format!("{kh}x{kw} taps are no more than those of two passes"));
    }
    Ok(most)
}

/// What was found, where that is something.
fn taken<T>(found: Option<Factors<T>>, most: usize) -> Result<Factors<T>, String> {
    match found {
        Some(found) if found.terms() > 0 => Ok(found),
        Some(_) => Err("all weights are 0".into()),
        None => Err(format!("the kernel is no sum of {most} separable ones, or is not finite")),
    }
}

/// The first pass of the whole `work`.
pub(super) fn across(work: Work, terms: usize) -> Work {
    Work {
        kernel: (1, work.kernel.1),
        stride: (1, work.stride.1),
        dilation: (1, work.dilation.1),
        filters: terms,
        outputs: terms,
        packed: false,
        ..work
    }
}

/// The second pass.
pub(super) fn down(work: Work, terms: usize) -> Work {
    Work {
        kernel: (work.kernel.0, 1),
        stride: (work.stride.0, 1),
        dilation: (work.dilation.0, 1),
        terms,
        ..work
    }
}

/// Rows that lie between the passes for so many output rows.
pub(super) fn rows(problem: &Problem, out_rows: usize) -> usize {
    let g = problem.geometry();
    (out_rows - 1) * g.stride.0 + g.extent().0
}

/// Scalars that lie between the passes.
fn scalars(
    problem: &Problem,
    out_rows: usize,
    out_columns: usize,
    images: usize,
    terms: usize,
) -> u64 {
    [rows(problem, out_rows), out_columns, problem.geometry().channels, images, terms]
        .iter()
        .fold(1, |all, n| all.saturating_mul(*n as u64))
}

/// Bytes that lie between the passes of `band`.
pub(super) fn between(problem: &Problem, band: &Band, terms: usize) -> u64 {
    let scalars = scalars(problem, band.rows.len(), band.columns.len(), band.images.len(), terms);
    scalars.saturating_mul(ElementType::F32.bytes() as u64)
}

/// The factors of other weights, of as many terms; or why there are none.
pub(super) fn again(problem: &Problem, terms: usize, first: First) -> Result<Factors, String> {
    padded(problem, &problem.summed_taps(), terms, first)
}

/// The same for sums in f64.
pub(super) fn again_double(problem: &Problem, terms: usize) -> Result<Factors<f64>, String> {
    let taps = problem.double().map_or(&[][..], |double| &double.taps);
    padded(problem, taps, terms, First::Columns)
}

/// The factors of `taps`, of as many terms.
fn padded<T: Digits>(
    problem: &Problem,
    taps: &[T],
    terms: usize,
    first: First,
) -> Result<Factors<T>, String> {
    let (kh, kw) = problem.geometry().kernel;
    let filters = taps.len() / (kh * kw);
    let size = match first {
        First::Rows => (filters, kh, kw),
        First::Columns => (filters, kw, kh),
    };
    match first.factors(problem, taps, terms) {
        Some(found) => Ok(found.padded(size, terms)),
        None => {
            Err(format!("the new kernel is no sum of {terms} separable ones, or is not finite"))
        }
    }
}

/// Why it is not taken unasked, where it keeps less than `direct` does.
pub(super) fn caveat(problem: &Problem, terms: usize) -> Option<String> {
    (!problem.reads_finite() && terms > 1).then(|| {
        format!("{terms} terms would turn infinities into NaNs; `assume_finite` allows it")
    })
}

/// How far results may be off.
pub(super) fn accuracy<T: Digits>(problem: &Problem, factors: &Factors<T>) -> Accuracy {
    let (kh, kw) = problem.geometry().kernel;
    Accuracy { spread: spread(factors, kh * kw), proven: true }
}
