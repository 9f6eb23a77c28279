//! `separable`: rows, then columns, of kernels that are sums of a few columns times rows.
//!
//! Two passes of the shader of `flat`. The first makes, for every row factor, the rows that the band
//! needs, those beyond the input included; so the second meets no border.

use super::cost::GpuCost;
use super::flat::{self, Work};
use super::limits::{GpuLimits, Residence};
use super::{Accuracy, Band, GpuLaunch, Offer, Scheme};
use crate::kernel::{Factors, factors};
use crate::{ElementType, Problem};

pub(super) const NOT_ON_CPU: &str = "the CPU has no two-pass form yet";

/// Most row factors: the sums an invocation of the first pass keeps.
const MAX_TERMS: usize = 16;

/// The factors of the problem's kernel, where two passes do less than one.
pub(crate) fn found(problem: &Problem) -> Result<Factors, String> {
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
    match factors(&weights.taps, (weights.filters, kh, kw), most) {
        Some(found) if found.terms > 0 => Ok(found),
        Some(_) => Err("all weights are 0".into()),
        None => Err(format!("the kernel is no sum of {most} separable ones, or is not finite")),
    }
}

pub(super) fn gpu(problem: &Problem, limits: &GpuLimits, residence: Residence) -> Offer<GpuLaunch> {
    flat::whole_words(problem, residence)?;
    let found = found(problem)?;
    let all = Band::whole(problem);
    let across = across(problem, &all, found.terms);
    let down = down(problem, found.terms);
    let (first, first_us) = across.block(limits)?;
    let (second, second_us) = down.block(limits)?;
    let launch = GpuLaunch {
        scheme: Scheme::Separable { across: first, down: second, terms: found.terms },
        pitch: super::pitch(residence),
        bands: Vec::new(),
    };
    let cost = GpuCost::of(limits);
    let between =
        2 * 4 * (across.out.0 * across.out.1 * across.channels * across.images) * found.terms;
    let us = first_us + second_us + cost.pass(problem) + cost.launch + between as f64 / cost.bytes;
    Ok((launch, us))
}

/// The first pass for `band`.
pub(super) fn across(problem: &Problem, band: &Band, terms: usize) -> Work {
    let whole = Work::of(problem);
    Work {
        kernel: (1, whole.kernel.1),
        stride: (1, whole.stride.1),
        dilation: (1, whole.dilation.1),
        out: (rows(problem, band), band.columns.len()),
        images: band.images.len(),
        filters: terms,
        outputs: terms,
        bytes: false,
        ..whole
    }
}

/// The second pass.
pub(super) fn down(problem: &Problem, terms: usize) -> Work {
    let whole = Work::of(problem);
    Work {
        kernel: (whole.kernel.0, 1),
        stride: (whole.stride.0, 1),
        dilation: (whole.dilation.0, 1),
        terms,
        ..whole
    }
}

/// Rows that lie between the passes, of one image and row factor.
pub(crate) fn rows(problem: &Problem, band: &Band) -> usize {
    let g = problem.geometry();
    (band.rows.len() - 1) * g.stride.0 + g.extent().0
}

/// Bytes that lie between the passes.
pub(crate) fn between(problem: &Problem, band: &Band, terms: usize) -> u64 {
    let scalars = band.columns.len() * problem.geometry().channels;
    let each = (rows(problem, band) * scalars * ElementType::F32.bytes()) as u64;
    each * (band.images.len() * terms) as u64
}

/// Why it is not taken unasked, where it keeps less than `direct` does.
pub(super) fn caveat(problem: &Problem, terms: usize) -> Option<String> {
    let whole = problem.input_type() == ElementType::F32 && !problem.conv().finite;
    (whole && terms > 1).then(|| {
        format!("{terms} terms would turn infinities into NaNs; `assume_finite` allows it")
    })
}

/// Terms that cancel err by their own size, in both sums, and not by that of the weight they leave.
pub(super) fn accuracy(problem: &Problem) -> Accuracy {
    let (kh, kw) = problem.geometry().kernel;
    let excess = found(problem).map_or(0.0, |found| found.excess);
    Accuracy { spread: 2.0 * (kh * kw + 1) as f64 * excess }
}
