//! Gradients of every option on every engine.

mod common;

use channelwise::ndarray::{Array1, Array4, ArrayD, Ix4};
use channelwise::{Activation, Border, Conv2d, Kernel, Layout, Padding, Pointwise, Problem, Shape};
use common::{F32, Rng, main_engines, say, small_devices};

#[test]
fn quick() {
    let read = |name: &str, file: &str| -> ArrayD<f32> {
        let path = format!("tests/golden/{name}/{file}.npy");
        let wide: Result<ArrayD<f64>, _> = ndarray_npy::read_npy(&path);
        match wide {
            Ok(wide) => wide.mapv(|x| x as f32),
            Err(_) => ndarray_npy::read_npy(&path).unwrap(),
        }
    };
    for (name, conv) in [
        (
            "grad_torch_valid",
            Conv2d::new(Kernel::new(1, 1, vec![1.0]).unwrap()).padding(Padding::Valid),
        ),
        ("grad_tf_same_s2_f2", Conv2d::new(Kernel::new(1, 1, vec![1.0]).unwrap()).stride(2, 2)),
    ] {
        let kernel =
            Kernel::from_array4(&read(name, "kernel").into_dimensionality::<Ix4>().unwrap())
                .unwrap();
        let conv = match name {
            "grad_torch_valid" => Conv2d::new(kernel).padding(Padding::Valid),
            _ => {
                let b = read(name, "bias").into_raw_vec_and_offset().0;
                Conv2d::new(kernel).stride(2, 2).bias(b)
            }
        };
        let x = read(name, "input").into_dimensionality::<Ix4>().unwrap();
        let dy = read(name, "grad_output").into_dimensionality::<Ix4>().unwrap();
        let dx = read(name, "grad_input").into_dimensionality::<Ix4>().unwrap();
        let dk = read(name, "grad_kernel").into_dimensionality::<Ix4>().unwrap();
        for backend in main_engines().chain(small_devices()) {
            if !backend.name.ends_with("direct") && !backend.name.ends_with("x2") {
                continue;
            }
            let got = backend.engine.backward(&conv, &x, &dy).unwrap();
            let off = (&got.input - &dx).mapv(f32::abs).fold(0.0f32, |a, b| a.max(*b));
            let k = got.weights.kernel.clone().into_shape_with_order(dk.raw_dim()).unwrap();
            let koff = (&k - &dk).mapv(f32::abs).fold(0.0f32, |a, b| a.max(*b));
            say(&format!(
                "{name} {}: dx {off:e} dk {koff:e} bias {:?}",
                backend.name, got.weights.bias
            ));
        }
    }
    let mut rng = Rng::new(5);
    for n in 0..150 {
        let filters = *rng.pick(&[1, 1, 2, 3]);
        let (kh, kw) = (1 + rng.below(8), 1 + rng.below(8));
        let mut conv = Conv2d::new(rng.kernel(kh, kw, filters))
            .border(*rng.pick(&[
                Border::ZERO,
                Border::Constant(2.5),
                Border::Replicate,
                Border::Reflect,
                Border::Reflect101,
                Border::Wrap,
            ]))
            .padding(*rng.pick(&[Padding::Valid, Padding::Same, Padding::Full, Padding::all(9)]))
            .stride(1 + rng.below(3), 1 + rng.below(3))
            .dilation(1 + rng.below(3), 1 + rng.below(3))
            .activation(*rng.pick(&[
                Activation::None,
                Activation::None,
                Activation::Sigmoid,
                Activation::Tanh,
                Activation::Gelu,
            ]));
        let layout = if rng.chance(2) { Layout::Nchw } else { Layout::Nhwc };
        conv = conv.layout(layout);
        if rng.chance(2) {
            conv = conv.flip();
        }
        if rng.chance(3) {
            let g = 1 + rng.below(3);
            let act = *rng.pick(&[Activation::None, Activation::Tanh]);
            conv = conv.pointwise(
                Pointwise::new(filters, g, rng.f32s(filters * g, -1.0, 1.0))
                    .unwrap()
                    .activation(act),
            );
        }
        let sizes = [1 + rng.below(3), 1 + rng.below(40), 1 + rng.below(60), 1 + rng.below(5)];
        let shape = Shape::from([1, 1, 1, 1]).with_nhwc(layout, sizes).unwrap();
        let Ok(problem) = Problem::new(&conv, shape, F32, F32) else { continue };
        let dim = |s: Shape| -> [usize; 4] { s.dims().try_into().unwrap() };
        let x =
            Array4::from_shape_vec(dim(shape), rng.f32s(problem.input_len(), -1.0, 1.0)).unwrap();
        let dy = Array4::from_shape_vec(
            dim(problem.output_shape()),
            rng.f32s(problem.output_len(), -1.0, 1.0),
        )
        .unwrap();
        let mut first: Option<channelwise::Gradients<Ix4>> = None;
        for backend in main_engines().chain(small_devices()) {
            if !backend.name.ends_with("direct") && !backend.name.ends_with("x2") {
                continue;
            }
            let got = match backend.engine.backward(&conv, &x, &dy) {
                Err(channelwise::Error::NotApplicable { .. }) => continue,
                got => got.unwrap_or_else(|e| panic!("{e} {}", problem)),
            };
            let Some(want) = &first else {
                first = Some(got);
                continue;
            };
            let near = |a: f32, b: f32, what: &str| {
                assert!(
                    (a - b).abs() < 2e-3 * (1.0 + a.abs().max(b.abs())),
                    "{n} {} {what}: {a} {b} {problem} {conv:?}",
                    backend.name
                );
            };
            want.input.iter().zip(&got.input).for_each(|(a, b)| near(*a, *b, "input"));
            want.weights
                .kernel
                .iter()
                .zip(&got.weights.kernel)
                .for_each(|(a, b)| near(*a, *b, "kernel"));
            want.weights.bias.iter().zip(&got.weights.bias).for_each(|(a, b)| near(*a, *b, "bias"));
            if let (Some(a), Some(b)) = (&want.weights.pointwise, &got.weights.pointwise) {
                a.weights.iter().zip(&b.weights).for_each(|(a, b)| near(*a, *b, "mix"));
                a.bias.iter().zip(&b.bias).for_each(|(a, b)| near(*a, *b, "mix bias"));
            }
        }
    }
    let _ = Array1::<f32>::zeros(1);
}
