//! Smaller problems that fail as well.

use std::time::{Duration, Instant};

use channelwise::{Activation, Border, Borders, Conv2d, Kernel, Padding, Pointwise, Shape};

use crate::common::Case;

/// For one failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// What has neighbours that are simpler.
pub(super) trait Shrink: Sized {
    /// The largest steps first.
    fn simpler(&self) -> Vec<Self>;
}

/// The simplest that steps of [`Shrink::simpler`] lead to, each of which fails, and how it does.
pub(super) fn shrink<T: Shrink>(
    mut at: T,
    mut wrong: String,
    mut fails: impl FnMut(&T) -> Option<String>,
) -> (T, String) {
    let started = Instant::now();
    'next: loop {
        for simpler in at.simpler() {
            if started.elapsed() > PATIENCE {
                break 'next;
            }
            if let Some(text) = fails(&simpler) {
                (at, wrong) = (simpler, text);
                continue 'next;
            }
        }
        break;
    }
    (at, wrong)
}

impl Shrink for Case {
    fn simpler(&self) -> Vec<Self> {
        let conv = &self.conv;
        let mut all: Vec<Self> = Vec::new();
        let mut with = |conv: Conv2d| all.push(Self { conv, ..self.clone() });
        // What follows, and what it is made of.
        if conv.get_pointwise().is_some() {
            with(rebuilt(conv, conv.kernel().clone(), None));
        }
        if conv.get_activation() != Activation::None {
            with(conv.clone().activation(Activation::None));
        }
        if !conv.get_bias().is_empty() {
            with(conv.clone().bias(Vec::new()));
        }
        if conv.get_stride() != (1, 1) {
            with(conv.clone().stride(1, 1));
        }
        if conv.get_dilation() != (1, 1) {
            with(conv.clone().dilation(1, 1));
        }
        if conv.get_border() != Borders::from(Border::ZERO) {
            with(conv.clone().border(Border::ZERO));
        }
        if conv.get_padding() != Padding::Valid && conv.get_anchor().is_none() {
            with(conv.clone().padding(Padding::Valid));
        }
        for kernel in simpler_kernels(conv.kernel()) {
            with(rebuilt(conv, kernel, conv.get_pointwise()));
        }
        for (axis, n) in self.shape.dims().iter().copied().enumerate() {
            for less in [1, n / 2, n - 1] {
                let mut dims = self.shape.dims().to_vec();
                dims[axis] = less;
                if (1..n).contains(&less) {
                    all.push(Self { shape: shape(&dims), ..self.clone() });
                }
            }
        }
        all.retain(|case| case.problem().is_ok());
        all
    }
}

fn shape(dims: &[usize]) -> Shape {
    match *dims {
        [a, b] => [a, b].into(),
        [a, b, c] => [a, b, c].into(),
        [a, b, c, d] => [a, b, c, d].into(),
        _ => panic!("{dims:?}"),
    }
}

/// With fewer rows, columns or filters.
fn simpler_kernels(kernel: &Kernel) -> Vec<Kernel> {
    let (h, w, filters) = (kernel.height(), kernel.width(), kernel.filters());
    let weights = kernel.weights();
    [(h, w, 1), (1, w, filters), (h, 1, filters), (h - 1, w, filters), (h, w - 1, filters)]
        .into_iter()
        .filter(|new| *new != (h, w, filters))
        .filter_map(|(rows, columns, some)| {
            let taps = (0..rows).flat_map(|r| (0..columns).map(move |q| r * w + q));
            let kept = taps.flat_map(|tap| weights[tap * filters..tap * filters + some].to_vec());
            Kernel::with_filters(rows, columns, some, kept.collect()).ok()
        })
        .collect()
}

/// The same options on another kernel.
fn rebuilt(conv: &Conv2d, kernel: Kernel, pointwise: Option<&Pointwise>) -> Conv2d {
    let filters = kernel.filters();
    let mut new = Conv2d::new(kernel)
        .layout(conv.get_layout())
        .border(conv.get_border())
        .stride(conv.get_stride().0, conv.get_stride().1)
        .dilation(conv.get_dilation().0, conv.get_dilation().1)
        .padding(conv.get_padding())
        .bias(conv.get_bias().iter().copied().take(filters).collect::<Vec<_>>())
        .activation(conv.get_activation());
    if let Some((row, column)) = conv.get_anchor() {
        new = new.anchor(row, column);
    }
    if let Some(missing) = conv.get_missing() {
        new = if missing.skips_nan() { new.skip_nan() } else { new.normalized() };
        new = missing.no_data().map_or(new.clone(), |value| new.no_data(value));
    }
    new = if conv.is_flipped() { new.flip() } else { new };
    new = if conv.assumes_finite() { new.assume_finite() } else { new };
    new = pointwise.map_or(new.clone(), |step| new.pointwise(step.clone()));
    if !conv.is_adjoint() {
        return new;
    }
    let new = new.adjoint();
    conv.get_adjoint_size().map_or(new.clone(), |(h, w)| new.adjoint_size(h, w))
}

/// What fails by a number of columns alone becomes that, and what never fails stays.
#[test]
fn what_fails_is_made_small() {
    let mut rng = crate::common::Rng::new(1);
    let conv = Conv2d::new(rng.kernel(5, 3, 2))
        .bias([1.0, 2.0])
        .stride(2, 1)
        .activation(Activation::Relu)
        .border(Border::Wrap);
    let case = Case::new(conv, [2, 19, 23, 3]);
    let wide = |case: &Case| {
        let [_, _, w, _] = case.problem().unwrap().input_shape().to_nhwc(case.conv.get_layout());
        (w > 6).then(|| format!("{w} columns"))
    };
    let (small, wrong) = shrink(case.clone(), "first".into(), wide);
    assert_eq!((small.shape.dims(), wrong.as_str()), (&[1, 1, 7, 1][..], "7 columns"));
    let conv = &small.conv;
    assert_eq!((conv.kernel().weights().len(), conv.get_stride()), (1, (1, 1)));
    assert_eq!((conv.get_activation(), conv.get_bias().len()), (Activation::None, 0));
    let (same, wrong) = shrink(case.clone(), "first".into(), |_| None);
    assert_eq!((same.shape, wrong.as_str()), (case.shape, "first"));
}
