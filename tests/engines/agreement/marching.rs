//! `march`, whose shader is written for a shape: shapes of every kind, each inside and at its edges.

use channelwise::{Activation, Conv2d, Layout, Padding, Pointwise};

use super::*;
use crate::common::{Case, Kind, Rng, Tally, dims, times};

/// Channels: vectors of one pixel, parts of it, several, and what shares no factor with them.
const CHANNELS: [usize; 11] = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 32];
/// Rows and columns of taps, along one axis alone too.
const KERNELS: [(usize, usize); 9] =
    [(3, 3), (5, 5), (1, 7), (7, 1), (2, 4), (1, 1), (3, 5), (4, 3), (7, 7)];

/// Options by chance, and rows that are whole vectors and no whole vectors.
fn any(seed: u64) -> Case {
    let mut rng = Rng::new(9000 + seed);
    let layout = *rng.pick(&[Layout::Nhwc, Layout::Nhwc, Layout::Nchw]);
    let filters = *rng.pick(&[1, 1, 1, 2, 3, 4]);
    let &(kh, kw) = rng.pick(&KERNELS);
    let mut conv = Conv2d::new(rng.kernel(kh, kw, filters))
        .layout(layout)
        .border(rng.borders())
        .stride(*rng.pick(&[1, 1, 2, 3]), *rng.pick(&[1, 1, 1, 2, 3]))
        .dilation(*rng.pick(&[1, 1, 2, 3]), *rng.pick(&[1, 1, 2, 4]));
    match rng.below(4) {
        0 => conv = conv.padding(Padding::Valid),
        1 => conv = conv.padding(Padding::Full),
        2 => {
            let [top, bottom, left, right] = [0; 4].map(|_| rng.below(9));
            conv = conv.padding(Padding::Explicit { top, bottom, left, right });
        }
        _ => {}
    }
    if rng.below(3) == 0 {
        conv = conv.bias(rng.f32s(filters, -1.0, 1.0));
    }
    match rng.below(5) {
        0 => conv = conv.activation(Activation::Leaky(0.25)),
        1 => {
            let outputs = 1 + rng.below(4);
            let weights = rng.f32s(filters * outputs, -1.0, 1.0);
            let mix = Pointwise::new(filters, outputs, weights).unwrap();
            conv = conv.activation(Activation::Relu).pointwise(mix.activation(Activation::Abs));
        }
        _ => {}
    }
    let channels = *rng.pick(&CHANNELS);
    let shape = [1 + rng.below(2), 12 + rng.below(30), 10 + rng.below(70), channels];
    Case::new(conv, dims(shape, layout)).types(*rng.pick(&TYPES)).seed(seed)
}

/// Within what the reference does in a moment, and what compiles in one.
fn cases(first: u64) -> impl Iterator<Item = Case> {
    (first..).map(any).filter(|case| case.problem().is_ok_and(|p| p.multiply_adds() < 4_000_000))
}

/// One of them that the reference does in less.
pub(crate) fn drawn(seed: u64) -> Case {
    cases(seed).find(|case| case.problem().is_ok_and(|p| p.multiply_adds() < 300_000)).unwrap()
}

#[test]
fn marching_rows() {
    let mut tally = Tally::new("marching rows").only(Kind::GpuMarch);
    let all = times(60);
    cases(0).take(all).for_each(|case| tally.case(&case));
    let taken = tally.covered_by(Kind::GpuMarch);
    tally.finish(0);
    assert!(taken.is_none_or(|n| 4 * n > 3 * all), "`march` took only {taken:?} of {all}");
}
