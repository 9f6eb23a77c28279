//! Every engine's gradients against the reference's.

use std::cell::Cell;

use crate::common::{BORDERS, Backend, F32, Kind, Rng, dims, full, gpu, say, times};
use channelwise::ndarray::{Array2, Array4, ArrayView2, Ix2, Ix3, Ix4, s};
use channelwise::plan::{AdapterClass, Cuts, KernelGradient};
use channelwise::reference::{self, Expected};
use channelwise::{
    Activation, Border, Conv2d, Cpu, Element, Engine, Error, GpuTensor, Kernel, Layout, Padding,
    Pointwise, Problem, f16,
};
use proptest::prelude::*;

use super::*;

#[test]
fn every_option_on_every_engine() {
    let backends: Vec<&Backend> = gradient_engines().collect();
    let ran = Cell::new((0, 0));
    let most = Cell::new([0.0; 5]);
    let number = Cell::new(0usize);
    law(&PADS, |setup| {
        let model = setup.model();
        number.set(number.get() + 1);
        for (i, backend) in backends.iter().enumerate() {
            // A GPU that is played takes its time for each.
            if backend.kind.is_gpu() && !full() && !(number.get() + i).is_multiple_of(36) {
                continue;
            }
            let mut used = most.get();
            let done = judge(&model, backend, &mut used).map_err(TestCaseError::fail)?;
            most.set(used);
            let (yes, no) = ran.get();
            ran.set((yes + usize::from(done), no + usize::from(!done)));
        }
        Ok(())
    });
    let (yes, no) = ran.get();
    let names: Vec<&str> = backends.iter().map(|b| b.name.as_str()).collect();
    say(&format!("gradients: {yes} on {names:?}, {no} refused, used {:.2?}", most.get()));
    assert!(no * 20 <= yes, "{no} refused");
}

/// Sizes that fill vectors, blocks, parts and workgroups, and leave some over.
#[test]
fn larger_tensors_on_every_engine() {
    let mut rng = Rng::new(81);
    let mut used = [0.0; 5];
    for number in 0..60u64 {
        let model = larger(&mut rng, number, false);
        let setup = model.setup;
        for (i, backend) in (0u64..).zip(gradient_engines()) {
            if backend.kind.is_gpu() && !(number + i).is_multiple_of(6) {
                continue;
            }
            if let Err(text) = judge(&model, backend, &mut used) {
                panic!("{number}: {text} for {setup:?}");
            }
        }
    }
    say(&format!("larger gradients: used {used:.2?}"));
}

/// Kernels that the CPU's plans leave to transforms, sooner where vectors are short.
#[test]
fn large_kernels() {
    let mut rng = Rng::new(85);
    let mut used = [0.0; 5];
    let mut transformed = 0;
    let options = [
        (Layout::Nhwc, 1, (1, 1), (1, 1)),
        (Layout::Nchw, 2, (1, 1), (1, 1)),
        (Layout::Nhwc, 3, (1, 1), (1, 2)),
        (Layout::Nhwc, 1, (2, 3), (1, 1)),
    ];
    for (number, (layout, filters, stride, dilation)) in
        options.into_iter().cycle().take(12).enumerate()
    {
        let setup = Setup {
            input: [1 + rng.below(2), 70 + rng.below(30), 80 + rng.below(20), 1 + rng.below(3)],
            kernel: [(21, 21), (19, 33), (40, 11)][number % 3],
            filters,
            border: BORDERS[number % BORDERS.len()].into(),
            pad: *rng.pick(&[Pad::Same, Pad::Full, Pad::Valid]),
            stride,
            dilation,
            flip: rng.chance(2),
            layout,
            bias: true,
            activation: Activation::None,
            follow: None,
            finite: true,
            seed: rng.below(1 << 30) as u64,
        };
        let model = setup.model();
        let (conv, shape) = (model.conv(), dims(setup.input, layout));
        let cpus = gradient_engines().filter(|b| b.kind == Kind::Cpu && b.name.ends_with("x2"));
        for backend in cpus {
            let prepared = backend.engine.prepare_backward::<f32>(&conv, shape).unwrap();
            transformed += usize::from(prepared.plan().spread() > 0.0);
            judge(&model, backend, &mut used).unwrap_or_else(|text| panic!("{text}, {setup:?}"));
        }
    }
    say(&format!("gradients of large kernels: {transformed} by transforms, used {used:.2?}"));
    assert!(transformed >= 12, "{transformed}");
}

/// By transforms of a GPU, whatever a plan would take: of small kernels too, in one band and in several, in one part
/// and in many.
#[test]
fn transforms_of_a_gpu() {
    let Some(plain) = gpu() else { return };
    let mut rng = Rng::new(87);
    let mut used = [0.0; 5];
    let (mut bands, mut parts) = (0, 0);
    for number in 0..times(20) as u64 {
        let model = larger(&mut rng, number, true);
        let cuts = Cuts {
            products: Some(true),
            band_bytes: rng.chance(2).then_some(1 << 17),
            positions: rng.chance(2).then(|| 1 + rng.below(5)),
            transform: rng.chance(2).then(|| (*rng.pick(&[32, 64, 128]), *rng.pick(&[32, 64]))),
            ..Cuts::NONE
        };
        let mut gpu = plain.with_cuts(cuts);
        if rng.chance(2) {
            gpu = gpu.with_class(AdapterClass::Discrete);
        }
        let engine = Engine::from(gpu);
        let shape = dims(model.setup.input, model.setup.layout);
        let prepared = engine.prepare_backward::<f32>(&model.conv(), shape).unwrap();
        // Tiles may be too small for the taps, and bands for tiles.
        let KernelGradient::GpuFft(products) = prepared.plan().kernel() else { continue };
        bands += usize::from(products.launch.bands.len() > 1);
        parts += usize::from(products.parts > products.launch.bands.len());
        let name = format!("gpu, {cuts:?}");
        let backend = Backend { name, kind: Kind::GpuDirect, engine };
        judge(&model, &backend, &mut used)
            .unwrap_or_else(|text| panic!("{number}: {text}, {:?}", model.setup));
        // The bound is wide: what sums make is far nearer.
        let sums = plain.with_cuts(Cuts { products: Some(false), ..Cuts::NONE }).into();
        let made = |engine| by_engine(&model, engine).unwrap().0;
        let ([_, got, ..], [_, want, ..]) = (made(&backend.engine), made(&sums));
        let allowed = 1e-6 * (model.dy.len() as f32 + 10.0) * 2.0;
        for (tap, (got, want)) in got.iter().zip(&want).enumerate() {
            let off = (got - want).abs();
            assert!(off <= allowed, "{number}: {got} for {want} of tap {tap}, {:?}", model.setup);
        }
    }
    say(&format!("transforms of a GPU: {bands} in bands, {parts} in parts, used {used:.2?}"));
    assert!(bands > 1 && parts > 3, "{bands}, {parts}");
}

/// Terms of one sign: added one after the other in f32, the sum would stop growing.
#[test]
fn millions_of_terms() {
    let (h, w) = (2048, 2048);
    let x = Array4::from_elem((1, h, w, 1), 0.1f32);
    let dy = Array4::from_elem((1, h, w, 1), 0.3f32);
    let conv = Conv2d::new(Kernel::box_blur(3, 3).unwrap()).border(Border::Wrap);
    let want = f64::from(0.1f32) * f64::from(0.3f32) * (h * w) as f64;
    let naive = (0..h * w).fold(0.0f32, |sum, _| sum + 0.1 * 0.3);
    for backend in gradient_engines() {
        let backward = match backend.engine.prepare_backward::<f32>(&conv, [1, h, w, 1]) {
            Err(Error::NotApplicable { .. } | Error::TooLarge { .. }) => continue,
            backward => backward.unwrap(),
        };
        let got = match backward.weights(&x, &dy) {
            Err(Error::TooLarge { .. }) if backend.name.starts_with("small") => continue,
            got => got.unwrap(),
        };
        let bound = 2.0 * backward.plan().depth() as f64 * f64::from(f32::EPSILON) / 2.0 * want;
        for tap in &got.kernel {
            let off = (f64::from(*tap) - want).abs();
            assert!(off <= bound, "{}: {tap} for {want}, off by {off}", backend.name);
            assert!(off < 0.01 * (f64::from(naive) - want).abs(), "{}: {tap}", backend.name);
        }
        let bias = f64::from(0.3f32) * (h * w) as f64;
        assert!((f64::from(got.bias[0]) - bias).abs() <= 10.0 * bound, "{}", backend.name);
    }
}

/// The order of sums depends on shape and device alone.
#[test]
fn threads_do_not_change_bits() {
    let mut rng = Rng::new(82);
    let conv = Conv2d::new(rng.kernel(5, 5, 2)).activation(Activation::Tanh);
    let step = Pointwise::new(2, 1, vec![0.5, -0.25]).unwrap().activation(Activation::Sigmoid);
    let sums = conv.pointwise(step);
    let transforms = Conv2d::new(rng.kernel(31, 31, 1)).assume_finite();
    let x = Array4::from_shape_vec((3, 60, 70, 5), rng.f32s(3 * 60 * 70 * 5, -1.0, 1.0)).unwrap();
    let dy = x.mapv(|v| 1.0 - v * v);
    for conv in [sums, transforms] {
        let made: Vec<_> = [1, 2, 3]
            .map(|threads| {
                let engine = Engine::from(Cpu::with_threads(threads).unwrap());
                let backward = engine.prepare_backward::<f32>(&conv, [3, 60, 70, 5])?;
                assert_eq!(backward.plan().spread() > 0.0, conv.kernel().height() == 31);
                backward.weights(&x, &dy)
            })
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert!(made.windows(2).all(|two| two[0] == two[1]));
    }
}

/// Inputs of other types, with other axes, and arrays that do not lie in order.
#[test]
fn arrays_of_every_kind() {
    fn check<T: Element>(backend: &Backend, rng: &mut Rng) {
        let conv = Conv2d::new(rng.kernel(3, 5, 1)).stride(2, 1).border(Border::Reflect101);
        let x: Vec<T> = rng.elements(24 * 17, -1.0, 1.0);
        let wide = Array2::from_shape_vec((24, 17), x.clone()).unwrap();
        // The same numbers, every second row and column of a larger array, the other way round.
        let mut spread = Array2::from_elem((34, 48), T::default());
        spread.slice_mut(s![..;2, ..;2]).assign(&wide.t());
        let view = spread.slice(s![..;2, ..;2]);
        let dy = Array2::from_shape_vec((12, 17), rng.f32s(12 * 17, -1.0, 1.0)).unwrap();
        let problem = Problem::new(&conv, [24, 17], T::TYPE, F32).unwrap();
        let backward = backend.engine.prepare_backward::<T>(&conv, [24, 17]).unwrap();
        let got = backward.run(&view.t(), &dy).unwrap();
        let dy = dy.as_slice().unwrap();
        let want = reference::backward(&problem, &x, dy, backward.plan().depth());
        let near = |got: &[f32], want: &[Expected]| {
            assert_eq!(got.len(), want.len());
            assert!(got.iter().zip(want).all(|(got, want)| want.accepts(*got)), "{}", backend.name);
        };
        near(got.input.as_slice().unwrap(), &want.input);
        near(got.weights.kernel.as_slice().unwrap(), &want.kernel);
        near(got.weights.bias.as_slice().unwrap(), &want.bias);
        let mut back = Array2::zeros((17, 24));
        backward
            .input_into(
                &view.t(),
                &ArrayView2::from_shape((12, 17), dy).unwrap(),
                &mut back.view_mut().reversed_axes(),
            )
            .unwrap();
        assert_eq!(back.t(), got.input);
    }
    let mut rng = Rng::new(83);
    for backend in gradient_engines() {
        check::<f32>(backend, &mut rng);
        check::<u8>(backend, &mut rng);
        check::<u16>(backend, &mut rng);
        check::<f16>(backend, &mut rng);
    }
}

#[test]
fn tensors_on_the_device() {
    let Some(gpu) = crate::common::gpu() else { return };
    let mut rng = Rng::new(84);
    let step = Pointwise::new(2, 3, rng.f32s(6, -1.0, 1.0)).unwrap().activation(Activation::Tanh);
    let conv = Conv2d::new(rng.kernel(3, 3, 2)).activation(Activation::Gelu).pointwise(step);
    let x = Array4::from_shape_vec((2, 20, 30, 3), rng.f32s(3600, -1.0, 1.0)).unwrap();
    let dy = Array4::from_shape_vec((2, 20, 30, 9), rng.f32s(10_800, -1.0, 1.0)).unwrap();
    let want = Engine::from(gpu.clone()).backward(&conv, &x, &dy).unwrap();
    let [tx, tdy] = [&x, &dy].map(|array| GpuTensor::from_array(&gpu, array).unwrap());
    let got = gpu.backward(&conv, &tx, &tdy).unwrap();
    assert_eq!(got.input.unwrap().to_array::<Ix4>().unwrap(), want.input);
    assert_eq!(got.kernel.to_array::<Ix3>().unwrap(), want.weights.kernel);
    assert_eq!(got.bias.download().unwrap(), want.weights.bias.to_vec());
    let (got, want) = (got.pointwise.unwrap(), want.weights.pointwise.unwrap());
    assert_eq!(got.weights.to_array::<Ix2>().unwrap(), want.weights);
    assert_eq!(got.bias.download().unwrap(), want.bias.to_vec());

    // What a tensor is not is told.
    let problem = Problem::new(&conv, [2, 20, 30, 3], F32, F32).unwrap();
    let prepared = gpu.prepare_backward(&problem).unwrap();
    let only = prepared.apply_weights(&tx, &tdy).unwrap();
    assert!(only.input.is_none());
    let error = prepared.apply(&tx, &tx).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    let bytes = GpuTensor::upload(&gpu, &[1u8; 3600], [2, 20, 30, 3]).unwrap();
    let error = prepared.apply(&bytes, &tdy).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
    let other = crate::common::small_gpu().unwrap();
    let error = prepared.apply(&GpuTensor::from_array(&other, &x).unwrap(), &tdy).unwrap_err();
    assert!(matches!(error, Error::Buffer { .. }), "{error}");
    let narrow =
        Problem::new(&Conv2d::new(Kernel::sobel_x()), [4, 5], F32, channelwise::ElementType::U8)
            .unwrap();
    let error = gpu.prepare_backward(&narrow).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
}

#[test]
fn shapes_are_checked() {
    let conv = Conv2d::new(Kernel::sobel_x());
    let (x, small) = (Array2::<f32>::zeros((5, 6)), Array2::<f32>::zeros((5, 5)));
    for backend in gradient_engines() {
        let backward = backend.engine.prepare_backward::<f32>(&conv, [5, 6]).unwrap();
        for error in [
            backward.run(&small, &x).unwrap_err(),
            backward.weights(&x, &small).unwrap_err(),
            backward.input_into(&x, &x, &mut small.clone()).unwrap_err(),
        ] {
            assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
        }
        // An empty batch and no channels have an empty gradient, and weights none of it pulls at.
        for shape in [(0, 35, 36, 3), (2, 35, 36, 0)] {
            let none = Array4::<f32>::zeros(shape);
            let large = Conv2d::new(Kernel::box_blur(31, 31).unwrap()).assume_finite();
            let step = Pointwise::new(1, 1, vec![2.0]).unwrap().activation(Activation::Tanh);
            let layer = conv.clone().activation(Activation::Gelu).pointwise(step);
            for conv in [conv.clone(), conv.clone().stride(2, 2), layer, large] {
                let dy = backend.engine.run(&conv, &none).unwrap();
                let got = backend.engine.backward(&conv, &none, &dy).unwrap();
                assert_eq!(got.input.dim(), shape);
                assert!(got.weights.kernel.iter().all(|v| *v == 0.0) && got.weights.bias[0] == 0.0);
                let back = Conv2d::new(conv.kernel().clone()).adjoint();
                assert_eq!(backend.engine.run(&back, &none).unwrap().dim(), shape);
            }
        }
    }
}

/// One infinity or NaN in the input goes to the taps that meet it and to no other, wherever it lies in
/// vectors and what is left of them.
#[test]
fn what_is_not_finite_stays_with_its_taps() {
    let mut rng = Rng::new(86);
    for number in 0..60 {
        let (h, w, c) = (6 + rng.below(12), 6 + rng.below(60), *rng.pick(&[1, 3, 4, 8, 16]));
        let (kh, kw) = (1 + rng.below(5), 1 + rng.below(5));
        let stride = *rng.pick(&[1, 1, 2]);
        let conv = Conv2d::new(rng.kernel(kh, kw, 1)).padding(Padding::Valid).stride(1, stride);
        let mut x = Array4::from_shape_vec((1, h, w, c), rng.f32s(h * w * c, 0.5, 1.0)).unwrap();
        let at = [0, rng.below(h), rng.below(w), rng.below(c)];
        let bad = *rng.pick(&[f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
        x[at] = bad;
        let (rows, columns) = (h - kh + 1, (w - kw) / stride + 1);
        let dy = rng.f32s(rows * columns * c, 0.5, 1.0);
        let dy = Array4::from_shape_vec((1, rows, columns, c), dy).unwrap();
        for backend in gradient_engines().filter(|backend| backend.kind == Kind::Cpu) {
            let got = backend.engine.backward(&conv, &x, &dy).unwrap().weights;
            assert!(got.bias[0].is_finite());
            for ((i, j, _), tap) in got.kernel.indexed_iter() {
                let meets = |place: usize, tap: usize, stride: usize, count: usize| {
                    place
                        .checked_sub(tap)
                        .is_some_and(|from| from.is_multiple_of(stride) && from / stride < count)
                };
                let met = meets(at[1], i, 1, rows) && meets(at[2], j, stride, columns);
                let right = match met {
                    true => *tap == bad || tap.is_nan() && bad.is_nan(),
                    false => tap.is_finite(),
                };
                assert!(
                    right,
                    "{number} {}: tap {i},{j} is {tap} for {bad} at {at:?}",
                    backend.name
                );
            }
        }
    }
}
