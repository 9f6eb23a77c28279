//! The adjoint of every option on every engine.

mod common;

use channelwise::ndarray::Array4;
use std::collections::BTreeMap;

use channelwise::{
    Border, Conv2d, Error, Kernel, Layout, Padding, Pointwise, Problem, Shape, reference,
};
use common::{F32, Rng, main_engines, say, small_devices};

/// A random linear convolution and the shape of an input that it takes.
fn convolution(rng: &mut Rng) -> (Conv2d, Shape) {
    loop {
        let filters = *rng.pick(&[1, 1, 1, 2, 3]);
        let (kh, kw) = (1 + rng.below(6), 1 + rng.below(6));
        let mut conv = Conv2d::new(rng.kernel(kh, kw, filters))
            .border(*rng.pick(&[
                Border::ZERO,
                Border::Constant(2.5),
                Border::Replicate,
                Border::Reflect,
                Border::Reflect101,
                Border::Wrap,
            ]))
            .padding(*rng.pick(&[
                Padding::Valid,
                Padding::Same,
                Padding::Same,
                Padding::Full,
                Padding::Explicit { top: 2, bottom: 0, left: 1, right: 5 },
                Padding::all(9),
            ]));
        if rng.chance(2) {
            conv = conv.stride(1 + rng.below(4), 1 + rng.below(4));
        }
        if rng.chance(3) {
            conv = conv.dilation(1 + rng.below(3), 1 + rng.below(3));
        }
        if rng.chance(3) {
            conv = conv.flip();
        }
        if rng.chance(3) {
            conv = conv.padding(Padding::Same).anchor(rng.below(kh), rng.below(kw));
        }
        let layout = if rng.chance(3) { Layout::Nchw } else { Layout::Nhwc };
        conv = conv.layout(layout);
        if rng.chance(3) {
            let outputs = 1 + rng.below(3);
            let weights = rng.f32s(filters * outputs, -1.0, 1.0);
            conv = conv.pointwise(Pointwise::new(filters, outputs, weights).unwrap());
        }
        let (h, w) = (1 + rng.below(20), 1 + rng.below(40));
        let sizes = [1 + rng.below(2), h, w, *rng.pick(&[1, 2, 3, 4, 9])];
        let Some(shape) = Shape::from([1, 1, 1, 1]).with_nhwc(layout, sizes) else { continue };
        if Problem::new(&conv, shape, F32, F32).is_ok() {
            return (conv.clone().adjoint_size(h, w), shape);
        }
    }
}

#[test]
fn dot_products_agree() {
    let mut rng = Rng::new(61);
    let mut ran = BTreeMap::<&str, usize>::new();
    for number in 0..400 {
        let (conv, shape) = convolution(&mut rng);
        // The linear part.
        let linear = match format!("{conv:?}").contains("Constant") {
            true => conv.clone().border(Border::ZERO),
            false => conv.clone(),
        };
        let problem = Problem::new(&linear, shape, F32, F32).unwrap();
        let x = rng.f32s(problem.input_len(), -1.0, 1.0);
        let y = rng.f32s(problem.output_len(), -1.0, 1.0);
        let there = reference::run(&problem, &x);
        let dot: f64 = there.iter().zip(&y).map(|(a, y)| a.value * f64::from(*y)).sum();
        let allowed: f64 =
            there.iter().zip(&y).map(|(a, y)| a.allowance * f64::from(y.abs())).sum::<f64>() + 1e-4;
        let back = conv.clone().adjoint();
        let out: [usize; 4] = problem.output_shape().dims().try_into().unwrap();
        let y = Array4::from_shape_vec(out, y).unwrap();
        let backs = if number % 4 == 0 { small_devices() } else { &[] };
        for backend in main_engines().chain(backs) {
            let got = match backend.engine.run(&back, &y) {
                Err(Error::NotApplicable { .. }) if backend.kind.may_refuse() => continue,
                got => got.unwrap_or_else(|e| panic!("{number} {}: {e} {back:?}", backend.name)),
            };
            *ran.entry(&backend.name).or_default() += 1;
            assert_eq!(got.shape(), shape.dims(), "{number} {}", backend.name);
            let other: f64 = got.iter().zip(&x).map(|(a, x)| f64::from(*a) * f64::from(*x)).sum();
            assert!(
                (dot - other).abs() <= allowed,
                "{number} {}: {dot} and {other} for {shape:?} {conv:?}",
                backend.name
            );
        }
    }
    say(&format!("adjoints: {ran:?}"));
}
