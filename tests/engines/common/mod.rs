//! What the tests share: every engine, cases as data, data that is never all zeros, and a comparison
//! that judges each element on its own.

mod backend;
mod case;
mod compare;
mod judge;
mod pairwise;
mod tally;

use channelwise::ElementType;

pub(crate) use ElementType::{F16, F32, F64, I8, I16, I32, U8, U16, U32};
pub(crate) use backend::{
    Backend, Kind, devices, engines, gpu, main_engines, say, small_devices, small_gpu,
};
pub(crate) use case::{BORDERS, Case, Rng, dims, to_nchw};
pub(crate) use compare::{
    Outcome, agree, compare, of_types, refuse, run_dirty, run_filled, same_bits,
};
pub(crate) use judge::{Judge, judge};
pub(crate) use pairwise::pairwise;
pub(crate) use tally::Tally;

/// Whether every combination is to be tried, which takes an hour: `sh tests/run.sh --full`.
pub(crate) fn full() -> bool {
    std::env::var("CHANNELWISE_FULL").is_ok_and(|v| v == "1")
}

/// Cases drawn at random: so many, or ten times that.
pub(crate) fn times(cases: usize) -> usize {
    if full() { 10 * cases } else { cases }
}
