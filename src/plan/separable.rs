//! `separable`: rows, then columns, of kernels that are sums of a few columns times rows.
//!
//! Two passes of the shader of `flat`. The first makes, for every row factor, the rows that the band
//! needs, those beyond the input included; so the second meets no border.

use super::bands::{Band, SLACK};
use super::cost::{self, GpuCost, Traffic};
use super::flat::{self, Block, Work};
use super::limits::{CpuLimits, GpuLimits, Residence};
use super::offer::{Accuracy, Offer};
use crate::kernel::{factors, spread};
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

pub(super) fn gpu(problem: &Problem, limits: &GpuLimits, residence: Residence) -> Offer<Passes> {
    flat::whole_words(problem, residence)?;
    let g = problem.geometry();
    let factors = found(problem)?;
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
    let passes = Passes { across: first, down: second, factors };
    Ok((passes, GpuCost::of(limits).of_passes(&traffic)))
}

/// Terms of the problem's kernel, 0 where two passes do no less than one.
pub(crate) fn terms(problem: &Problem) -> usize {
    found(problem).map_or(0, |factors| factors.terms())
}

/// Factors, and output rows of a task.
pub(super) fn cpu(problem: &Problem, limits: &CpuLimits) -> Offer<(Factors, usize)> {
    let g = problem.geometry();
    let factors = found(problem)?;
    let one_thread = cost::cpu_separable(problem, factors.terms(), limits);
    let (rows_per_task, threads) = cost::tasks(problem, limits, one_thread);
    // Row sums that two tasks need are made by both.
    let again = 1.0 + (g.extent().0 - 1) as f64 / (rows_per_task * g.stride.0) as f64;
    let us = one_thread * again / threads as f64 + cost::sharing(problem, threads);
    Ok(((factors, rows_per_task), us))
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

/// The factors of the problem's kernel, where two passes do less than one.
pub(super) fn found(problem: &Problem) -> Result<Factors, String> {
    let (kh, kw) = problem.geometry().kernel;
    let weights = problem.weights();
    // So many that all terms together still take fewer taps, and that the rounding errors of two
    // sums stay within those allowed to one (the factors themselves take a quarter of it).
    let direct = weights.filters * kh * kw;
    let most = (direct.saturating_sub(1) / (kw + weights.filters * kh)).min(MAX_TERMS);
    let errors = 2 * (kh + kw + 3) <= 3 * kh * kw;
    if most == 0 || !errors {
        return Err(format!("{kh}x{kw} taps are no more than those of two passes"));
    }
    match factors(&weights.taps, &weights.terms, (weights.filters, kh, kw), most) {
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
pub(super) fn again(problem: &Problem, terms: usize) -> Result<Factors, String> {
    let weights = problem.weights();
    let (kh, kw) = problem.geometry().kernel;
    let size = (weights.filters, kh, kw);
    match factors(&weights.taps, &weights.terms, size, terms) {
        Some(found) => Ok(found.padded(size, terms)),
        None => {
            Err(format!("the new kernel is no sum of {terms} separable ones, or is not finite"))
        }
    }
}

/// Why it is not taken unasked, where it keeps less than `direct` does.
pub(super) fn caveat(problem: &Problem, factors: &Factors) -> Option<String> {
    let terms = factors.terms();
    (!problem.reads_finite() && terms > 1).then(|| {
        format!("{terms} terms would turn infinities into NaNs; `assume_finite` allows it")
    })
}

/// How far results may be off.
pub(super) fn accuracy(problem: &Problem, factors: &Factors) -> Accuracy {
    let (kh, kw) = problem.geometry().kernel;
    Accuracy { spread: spread(kh * kw, factors.excess(), factors.missed()), proven: true }
}
