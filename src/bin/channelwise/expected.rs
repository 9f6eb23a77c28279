//! Outputs by the definition. Here alone it meets the type of the input, so that what asks for them does not
//! have to be compiled for each pair of types.

use channelwise::reference::{self, Expected};
use channelwise::{Element, Problem};
use indicatif::ProgressBar;
use rayon::prelude::*;

use crate::files::{Tensor, with_array};
use crate::more::More;

/// Outputs that a thread makes before it looks for more.
const CHUNK: usize = 256;

/// Those at `places`; a plan of this `spread` may be so much further off.
pub(crate) fn at(
    (problem, more): (&Problem, &More),
    input: &Tensor,
    places: &[usize],
    spread: f64,
    bar: &ProgressBar,
) -> Vec<Expected> {
    with_array!(input, x => of((problem, more), x.as_slice().unwrap_or_default(), places, spread, bar))
}

fn of<T: Element>(
    (problem, more): (&Problem, &More),
    input: &[T],
    places: &[usize],
    spread: f64,
    bar: &ProgressBar,
) -> Vec<Expected> {
    if problem.conv().is_adjoint() {
        // One alone takes as long as all.
        let all = reference::run_within(problem, input, spread);
        return places.iter().map(|place| all[*place]).collect();
    }
    let extra = if spread > 0.0 { reference::extra(problem, input, spread) } else { 0.0 };
    let mut found = vec![Expected { value: 0.0, allowance: 0.0 }; places.len()];
    found.par_chunks_mut(CHUNK).zip(places.par_chunks(CHUNK)).for_each(|(found, places)| {
        for (found, place) in found.iter_mut().zip(places) {
            *found = more.expected(problem, input, *place, extra);
        }
        bar.inc(places.len() as u64);
    });
    found
}
