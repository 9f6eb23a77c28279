//! Other weights for what is prepared: as if it had been prepared with them, and without planning.

use channelwise::{
    Activation, Algorithm, Border, Conv2d, Error, Gpu, GpuPrepared, GpuTensor, Kernel, Layout,
    Pointwise, Problem, reference,
};
use ndarray::{Array3, Array4};

use crate::common::{F32, Rng, U8, compare, engines, gpu, same_bits};

const SHAPE: [usize; 4] = [2, 23, 20, 4];

fn x() -> Array4<f32> {
    Array4::from_shape_vec(SHAPE, Rng::new(3).f32s(2 * 23 * 20 * 4, -1.0, 1.0)).unwrap()
}

/// Convolutions that differ in nothing but weights, by kernels that are sums of few terms, or of many.
fn variants(seed: u64, simple: bool) -> Vec<Conv2d> {
    let mut rng = Rng::new(seed);
    let kernels: Vec<Kernel> = (0..3)
        .map(|n| match simple {
            true => Kernel::gaussian(7, 0.7 + n as f64).unwrap(),
            false => rng.kernel(7, 7, 1),
        })
        .collect();
    let rich = |n: usize, kernel: &Kernel| {
        let mut rng = Rng::new(n as u64);
        let mix = Pointwise::new(1, 2, rng.f32s(2, -1.0, 1.0)).unwrap();
        Conv2d::new(kernel.clone())
            .bias(rng.f32s(1, -1.0, 1.0))
            .activation(Activation::Relu)
            .pointwise(mix.bias(rng.f32s(2, -1.0, 1.0)).activation(Activation::Tanh))
            .border(Border::Reflect101)
    };
    if simple {
        return kernels
            .into_iter()
            .map(|kernel| Conv2d::new(kernel).border(Border::Wrap))
            .collect();
    }
    kernels.iter().enumerate().map(|(n, kernel)| rich(n, kernel)).collect()
}

#[test]
fn weights_are_taken_by_every_engine() {
    let x = x();
    for backend in engines() {
        let what = &backend.name;
        for (simple, layout) in [(true, Layout::Nhwc), (false, Layout::Nhwc), (false, Layout::Nchw)]
        {
            let convs: Vec<Conv2d> = variants(5, simple)
                .into_iter()
                .map(|conv| conv.layout(layout).assume_finite())
                .collect();
            let Ok(mut prepared) = backend.engine.prepare::<f32, f32>(&convs[0], SHAPE) else {
                assert!(backend.kind.may_refuse(), "{what}");
                continue;
            };
            let first = prepared.run(&x).unwrap();
            let clone = prepared.clone();
            for conv in convs.iter().chain([&convs[0]]) {
                prepared.set_weights(conv).unwrap_or_else(|e| panic!("{what}: {e}"));
                let fresh = backend.engine.prepare::<f32, f32>(conv, SHAPE).unwrap();
                let (got, want) = (prepared.run(&x).unwrap(), fresh.run(&x).unwrap());
                same_bits(got.as_slice().unwrap(), want.as_slice().unwrap())
                    .unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_eq!(prepared.problem(), fresh.problem(), "{what}");
                assert_eq!(prepared.plan(), fresh.plan(), "{what}");
            }
            // Neither a clone nor what the engine remembers sees it.
            prepared.set_weights(&convs[2]).unwrap();
            assert_eq!(clone.run(&x).unwrap(), first, "{what}");
            assert_eq!(backend.engine.run(&convs[0], &x).unwrap(), first, "{what}");
        }
    }
}

#[test]
fn what_is_no_matter_of_weights_is_refused() {
    let x = x();
    let conv = &variants(7, true)[0];
    for backend in engines() {
        let Ok(mut prepared) = backend.engine.prepare::<f32, f32>(conv, SHAPE) else { continue };
        let before = prepared.run(&x).unwrap();
        for (other, word) in [
            (conv.clone().stride(2, 1), "stride"),
            (conv.clone().border(Border::Replicate), "border"),
            (conv.clone().activation(Activation::Relu), "activation"),
            (Conv2d::new(Kernel::gaussian(5, 1.0).unwrap()).border(Border::Wrap), "kernel"),
            (conv.clone().assume_finite(), "assume_finite"),
        ] {
            let error = prepared.set_weights(&other).unwrap_err();
            assert!(matches!(error, Error::Argument { argument: "convolution", .. }), "{error}");
            assert!(error.to_string().contains(word), "{error}");
        }
        // A kernel of many terms is not what `separable` was taken for.
        let many = Conv2d::new(Rng::new(1).kernel(7, 7, 1)).border(Border::Wrap);
        match (prepared.plan().algorithm(), prepared.set_weights(&many)) {
            (Algorithm::Separable, Err(error)) => {
                assert!(matches!(error, Error::NotApplicable { .. }), "{error}");
                assert_eq!(prepared.run(&x).unwrap(), before, "{}", backend.name);
            }
            (Algorithm::Separable, Ok(())) => panic!("{}", prepared.plan()),
            (_, taken) => taken.unwrap(),
        }
        // Zeros are of any rank.
        let zeros = Conv2d::new(Kernel::new(7, 7, vec![0.0; 49]).unwrap()).border(Border::Wrap);
        prepared.set_weights(&zeros).unwrap();
        assert!(prepared.run(&x).unwrap().iter().all(|y| *y == 0.0), "{}", backend.name);
    }
}

#[test]
fn gradients_take_weights() {
    let x = x();
    let convs = variants(11, false);
    for backend in engines() {
        let what = &backend.name;
        let mut backward = backend.engine.prepare_backward::<f32>(&convs[0], SHAPE).unwrap();
        let shape = backward.problem().output_shape();
        let dims: [usize; 4] = shape.dims().try_into().unwrap();
        let len = dims.iter().product();
        let dy = Array4::from_shape_vec(dims, Rng::new(8).f32s(len, -1.0, 1.0)).unwrap();
        let clone = backward.clone();
        let first = backward.run(&x, &dy).unwrap();
        for conv in &convs {
            backward.set_weights(conv).unwrap();
            let want = backend.engine.backward(conv, &x, &dy).unwrap();
            assert_eq!(backward.run(&x, &dy).unwrap(), want, "{what}");
        }
        assert_eq!(clone.run(&x, &dy).unwrap(), first, "{what}");
    }
}

/// Tensors, encoders and kept bindings see new weights, and nothing is bound anew.
#[test]
fn what_is_bound_sees_new_weights() {
    let Some(gpu) = gpu() else { return };
    let convs = variants(13, true);
    let problem = Problem::new(&convs[0], SHAPE, F32, F32).unwrap();
    let mut prepared = gpu.prepare(&problem, Algorithm::Auto).unwrap();
    let from = GpuTensor::from_array(&gpu, &x()).unwrap();
    let to = GpuTensor::<f32>::zeros(&gpu, SHAPE).unwrap();
    prepared.apply_into(&from, &to).unwrap();
    let bound = gpu.pool_stats().bound;
    for conv in convs.iter().rev() {
        prepared.set_weights(conv).unwrap();
        prepared.apply_into(&from, &to).unwrap();
        let problem = Problem::new(conv, SHAPE, F32, F32).unwrap();
        let fresh = gpu.prepare(&problem, Algorithm::Auto).unwrap();
        let want = fresh.apply::<f32, f32>(&from).unwrap().download().unwrap();
        same_bits(&to.download().unwrap(), &want).unwrap();
    }
    // Those of the three fresh ones.
    assert_eq!(gpu.pool_stats().bound, bound + 3);
}

/// A kernel that lies on the device, flipped or not, of several filters.
#[test]
fn kernels_come_from_the_device() {
    let Some(gpu) = gpu() else { return };
    let from = GpuTensor::from_array(&gpu, &x()).unwrap();
    for filters in [1, 3] {
        for flip in [false, true] {
            for algorithm in [Algorithm::Direct, Algorithm::Flat, Algorithm::March] {
                let mut rng = Rng::new(17);
                let [old, new] = [(); 2].map(|()| rng.kernel(4, 5, filters));
                let conv = |kernel: &Kernel| {
                    let conv = Conv2d::new(kernel.clone()).bias(vec![0.5; filters]);
                    if flip { conv.flip() } else { conv }
                };
                let ready = |kernel: &Kernel| {
                    let problem = Problem::new(&conv(kernel), SHAPE, F32, F32).unwrap();
                    gpu.prepare(&problem, algorithm).unwrap()
                };
                let mut prepared = ready(&old);
                let clone = prepared.clone();
                let before = clone.apply::<f32, f32>(&from).unwrap().download().unwrap();
                let values = Array3::from_shape_fn((4, 5, filters), |(i, j, f)| {
                    new.weights()[(i * 5 + j) * filters + f]
                });
                let kernel = GpuTensor::from_array(&gpu, &values).unwrap();
                prepared.set_kernel_from(&kernel).unwrap();
                let got = prepared.apply::<f32, f32>(&from).unwrap().download().unwrap();
                let want = ready(&new).apply::<f32, f32>(&from).unwrap().download().unwrap();
                same_bits(&got, &want)
                    .unwrap_or_else(|e| panic!("{filters} filters, {flip}, {algorithm}: {e}"));
                assert_ne!(before, want);
                let after = clone.apply::<f32, f32>(&from).unwrap().download().unwrap();
                same_bits(&before, &after).unwrap();
                let error = prepared.set_kernel_from(&from).unwrap_err();
                assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
            }
        }
    }
    let problem = Problem::new(&variants(1, true)[0], SHAPE, F32, F32).unwrap();
    let mut separable = gpu.prepare(&problem, Algorithm::Separable).unwrap();
    let kernel = GpuTensor::<f32>::zeros(&gpu, [7, 7, 1]).unwrap();
    let error = separable.set_kernel_from(&kernel).unwrap_err();
    assert!(matches!(error, Error::NotApplicable { .. }), "{error}");
    let other: Gpu = Gpu::request(&channelwise::GpuOptions::new()).unwrap();
    let mut flat = gpu.prepare(&problem, Algorithm::Flat).unwrap();
    let foreign = GpuTensor::<f32>::zeros(&other, [7, 7, 1]).unwrap();
    assert!(matches!(flat.set_kernel_from(&foreign), Err(Error::Buffer { .. })));
}

/// Where a box filter of bytes was prepared, a mean, a kernel from the device is no mean, whether a clone
/// shares what was prepared or none does; and weights from the host may be one again.
#[test]
fn kernels_from_the_device_are_no_means() {
    let Some(gpu) = gpu() else { return };
    let bytes =
        Array4::from_shape_fn(SHAPE, |(n, r, q, c)| (n * 91 + r * 37 + q * 11 + c * 5) as u8);
    let from = GpuTensor::from_array(&gpu, &bytes).unwrap();
    let mut rng = Rng::new(19);
    let mean = Conv2d::new(Kernel::box_blur(3, 3).unwrap());
    let new = rng.kernel(3, 3, 1);
    let values = Array3::from_shape_vec((3, 3, 1), new.weights().to_vec()).unwrap();
    let kernel = GpuTensor::from_array(&gpu, &values).unwrap();
    for algorithm in [Algorithm::Direct, Algorithm::Flat, Algorithm::March] {
        let ready = |conv: &Conv2d| {
            let problem = Problem::new(conv, SHAPE, U8, F32).unwrap();
            gpu.prepare(&problem, algorithm).unwrap()
        };
        let run =
            |prepared: &GpuPrepared| prepared.apply::<u8, f32>(&from).unwrap().download().unwrap();
        let want = run(&ready(&Conv2d::new(new.clone())));
        for shared in [false, true] {
            let mut prepared = ready(&mean);
            let before = run(&prepared);
            let clone = shared.then(|| prepared.clone());
            prepared.set_kernel_from(&kernel).unwrap();
            same_bits(&run(&prepared), &want)
                .unwrap_or_else(|e| panic!("{algorithm}, {shared}: {e}"));
            if let Some(clone) = clone {
                same_bits(&run(&clone), &before).unwrap();
            }
            prepared.set_weights(&mean).unwrap();
            same_bits(&run(&prepared), &before).unwrap();
        }
    }
}

/// Chains whose neighbours become one kernel and chains whose neighbours do not, on every engine, clones
/// apart.
#[test]
fn chains_take_weights() {
    let x = x();
    let one = |sigma: f64, border| {
        Conv2d::new(Kernel::gaussian(5, sigma).unwrap()).border(border).bias([sigma as f32])
    };
    let convs = |sigma: f64, apart: bool| {
        let last = one(2.0 * sigma, Border::Reflect).activation(Activation::Relu);
        let middle = if apart { Border::Replicate } else { Border::Reflect };
        [one(sigma, Border::Reflect), one(3.0 * sigma, middle), last]
    };
    for backend in engines() {
        let what = &backend.name;
        for apart in [false, true] {
            let Ok(mut chain) = backend.engine.chain::<f32, f32>(&convs(0.5, apart), SHAPE) else {
                assert!(backend.kind.may_refuse(), "{what}");
                continue;
            };
            let first = chain.run(&x).unwrap();
            let clone = chain.clone();
            for sigma in [0.7, 1.1, 0.5] {
                let convs = convs(sigma, apart);
                chain.set_weights(&convs).unwrap_or_else(|e| panic!("{what}: {e}"));
                let fresh = backend.engine.chain::<f32, f32>(&convs, SHAPE).unwrap();
                let (got, want) = (chain.run(&x).unwrap(), fresh.run(&x).unwrap());
                same_bits(got.as_slice().unwrap(), want.as_slice().unwrap())
                    .unwrap_or_else(|e| panic!("{what}: {e}"));
                assert_eq!(chain.explain(), fresh.explain(), "{what}");
            }
            chain.set_weights(&convs(2.0, apart)).unwrap();
            assert_ne!(chain.run(&x).unwrap(), first, "{what}");
            assert_eq!(clone.run(&x).unwrap(), first, "{what}");

            let [a, b, c] = convs(1.0, apart);
            let too_few = chain.set_weights(&[a.clone(), b.clone()]).unwrap_err();
            assert!(too_few.to_string().contains("made of 3"), "{too_few}");
            let other = [a, b.border(Border::Wrap), c];
            let error = chain.set_weights(&other).unwrap_err();
            assert!(matches!(error, Error::Argument { argument: "convolution", .. }), "{error}");
        }
    }
}

/// On tensors, buffers and frames that are bound already; what is under way keeps its weights, and so does a
/// stage that was taken out of the chain.
#[test]
fn bound_chains_see_new_weights() {
    let Some(gpu) = gpu() else { return };
    let kernel = |seed| Rng::new(seed).kernel(3, 3, 1);
    let convs = |seed| {
        [Conv2d::new(kernel(seed)).activation(Activation::Relu), Conv2d::new(kernel(seed + 1))]
    };
    let x = x();
    let from = GpuTensor::from_array(&gpu, &x).unwrap();
    let to = GpuTensor::<f32>::zeros(&gpu, SHAPE).unwrap();
    let want = |seed| {
        let fresh = gpu.chain(&convs(seed), SHAPE, F32, F32).unwrap();
        fresh.apply::<f32, f32>(&from).unwrap().download().unwrap()
    };
    let wanted: Vec<Vec<f32>> = (0..4).map(want).collect();
    let mut chain = gpu.chain(&convs(0), SHAPE, F32, F32).unwrap();
    chain.apply_into(&from, &to).unwrap();
    let bound = gpu.pool_stats().bound;
    for seed in [1, 2, 0] {
        chain.set_weights(&convs(seed)).unwrap();
        chain.apply_into(&from, &to).unwrap();
        same_bits(&to.download().unwrap(), &wanted[seed as usize]).unwrap();
    }
    assert_eq!(gpu.pool_stats().bound, bound);

    let stage = chain.stages()[0].clone();
    let before = stage.apply::<f32, f32>(&from).unwrap().download().unwrap();
    chain.set_weights(&convs(3)).unwrap();
    chain.apply_into(&from, &to).unwrap();
    same_bits(&to.download().unwrap(), &wanted[3]).unwrap();
    let after = stage.apply::<f32, f32>(&from).unwrap().download().unwrap();
    same_bits(&after, &before).unwrap();

    let mut stream = gpu.frames::<f32, f32>(&convs(0), SHAPE).unwrap();
    let frame = x.as_slice().unwrap();
    let mut results = Vec::new();
    for seed in [0, 1, 2, 3, 0, 1] {
        stream.set_weights(&convs(seed)).unwrap();
        results.extend(stream.push(frame).unwrap());
    }
    while let Some(result) = stream.pop().unwrap() {
        results.push(result);
    }
    for (seed, result) in [0, 1, 2, 3, 0, 1].into_iter().zip(&results) {
        same_bits(result, &wanted[seed]).unwrap_or_else(|e| panic!("frame by {seed}: {e}"));
    }
    assert_eq!(results.len(), 6);
}

/// Two mirrored borders are one kernel only where the first is symmetric.
#[test]
fn what_was_folded_for_its_weights_is_refused_for_others() {
    let Some(gpu) = gpu() else { return };
    let one = |kernel: Kernel| Conv2d::new(kernel).border(Border::Reflect);
    let blur = || one(Kernel::binomial(3).unwrap());
    let mut chain = gpu.chain(&[blur(), blur()], SHAPE, F32, F32).unwrap();
    assert_eq!(chain.stages().len(), 1, "{}", chain.plan());
    let skewed = one(Rng::new(1).kernel(3, 3, 1));
    let error = chain.set_weights(&[skewed.clone(), blur()]).unwrap_err();
    assert!(matches!(error, Error::NotApplicable { .. }), "{error}");
    assert!(error.to_string().contains("convolutions 0 to 1"), "{error}");
    // The second may be any. This one is a product of a row and a column, as the first was.
    let [row, column] = [[1.0, 2.0, 0.5], [0.25, 1.0, -1.0]];
    let product = column.iter().flat_map(|c| row.iter().map(move |r| r * c)).collect();
    let second = one(Kernel::new(3, 3, product).unwrap());
    chain.set_weights(&[blur(), second]).unwrap_or_else(|e| panic!("{e}\n{}", chain.plan()));
}

/// A training that starts from a kernel of rank 1, on an engine whose algorithm takes any.
#[test]
fn forced_algorithms_are_those_of_gradients_too() {
    let start = Conv2d::new(Kernel::gaussian(9, 2.0).unwrap()).activation(Activation::Tanh);
    let trained = Conv2d::new(Rng::new(4).kernel(9, 9, 1)).activation(Activation::Tanh);
    let shape = [1, 40, 40, 2];
    let x = Array4::from_shape_vec(shape, Rng::new(9).f32s(3200, -1.0, 1.0)).unwrap();
    for backend in engines() {
        let engine = backend.engine.with_algorithm(Algorithm::Direct);
        let mut backward = engine.prepare_backward::<f32>(&start, shape).unwrap();
        backward.set_weights(&trained).unwrap();
        let want = engine.backward(&trained, &x, &x).unwrap();
        assert_eq!(backward.run(&x, &x).unwrap(), want, "{}", backend.name);
        // What does not apply is chosen.
        let flat = backend.engine.with_algorithm(Algorithm::Flat);
        assert!(flat.prepare_backward::<f32>(&start, shape).is_ok(), "{}", backend.name);
    }
}

/// A slider down to sigmas whose tails f32 has no numbers for.
#[test]
fn gaussians_slide_through_all_sigmas() {
    let of = |sigma| Conv2d::new(Kernel::gaussian(31, sigma).unwrap());
    let x = Array4::from_shape_vec(SHAPE, Rng::new(2).f32s(SHAPE.iter().product(), -1.0, 1.0));
    let x = x.unwrap();
    for backend in engines() {
        let engine = backend.engine.with_algorithm(Algorithm::Separable);
        let mut prepared = engine.prepare::<f32, f32>(&of(5.0), SHAPE).unwrap();
        for sigma in [3.0, 1.5, 1.0, 0.5, 0.2, 40.0] {
            prepared.set_weights(&of(sigma)).unwrap();
            let problem = Problem::new(&of(sigma), SHAPE, F32, F32).unwrap();
            let spread = prepared.plan().accuracy().spread;
            let want = reference::run_within(&problem, x.as_slice().unwrap(), spread);
            let got = prepared.run(&x).unwrap();
            compare(got.as_slice().unwrap(), &want, problem.output_shape())
                .unwrap_or_else(|text| panic!("{} at {sigma}: {text}", backend.name));
        }
    }
}

/// A shader of `march` without a bias has no place for one, which is told; and one that was prepared for a kernel that
/// is no mean takes one that is.
#[test]
fn marching_rows_take_what_they_have_room_for() {
    let Some(gpu) = gpu() else { return };
    let shape = [1, 20, 32, 4];
    let conv = |kernel: Kernel| Conv2d::new(kernel);
    let blur = conv(Kernel::gaussian(3, 0.8).unwrap());
    let mean = conv(Kernel::box_blur(3, 3).unwrap());
    let ready = |conv: &Conv2d, algorithm| {
        let problem = Problem::new(conv, shape, U8, F32).unwrap();
        gpu.prepare(&problem, algorithm).unwrap()
    };
    let mut prepared = ready(&blur, Algorithm::March);
    let error = prepared.set_weights(&blur.clone().bias([0.5])).unwrap_err();
    assert!(matches!(error, Error::NotApplicable { .. }), "{error}");
    assert!(error.to_string().contains("without a bias"), "{error}");
    let bytes = Array4::from_shape_fn(shape, |(_, r, q, c)| (r * 37 + q * 11 + c * 5) as u8);
    let from = GpuTensor::from_array(&gpu, &bytes).unwrap();
    prepared.set_weights(&mean).unwrap();
    let got = prepared.apply::<u8, f32>(&from).unwrap().download().unwrap();
    let want = ready(&mean, Algorithm::Direct).apply::<u8, f32>(&from).unwrap().download().unwrap();
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-4;
    assert!(got.iter().zip(&want).all(near));
    // A bias that is there may be any other.
    let mut biased = ready(&blur.clone().bias([0.0]), Algorithm::March);
    biased.set_weights(&mean.bias([2.0])).unwrap();
    let got = biased.apply::<u8, f32>(&from).unwrap().download().unwrap();
    assert!(got.iter().map(|v| v - 2.0).zip(&want).all(|(a, b)| near((&a, b))));
}
