//! Normalised convolution, by masks and by NaN, and a convolution for each image of a batch.

use channelwise::ndarray::{Array2, Array4, ArrayView4, Axis, array, concatenate, s};
use channelwise::{
    Activation, Algorithm, Border, Conv2d, Element, Engine, Error, Kernel, Layout, Padding,
    Pointwise, Problem, f16, reference,
};

use crate::agreement::{random, random_separable};
use crate::common::{
    Case, F32, F64, Kind, Outcome, Rng, Tally, U8, compare, dims, main_engines, times,
};
use crate::regions::gathered;

/// A case with positive weights, some values missing, and how.
fn check<T: Element, U: Element>(engine: &Engine, case: &Case, seed: u64) -> Outcome<()> {
    let run = || -> Result<Result<(), String>, Error> {
        let problem = case.problem()?;
        let layout = case.conv.get_layout();
        let shape = problem.input_shape().to_nhwc(layout);
        let mut rng = Rng::new(seed);
        let mut x: Vec<T> = case.input(&problem);
        let skips = case.conv.get_missing().is_some_and(|missing| missing.skips_nan());
        let nan = T::from_f64(f64::NAN);
        // What is missing may be anything.
        let mut mask = vec![1.0; x.len()];
        let plane = shape[1] * shape[2];
        let shared = rng.chance(2);
        let of_place: Vec<f64> =
            (0..plane).map(|_| f64::from(*rng.pick(&[0.0f32, 0.25, 1.0]))).collect();
        for (at, (x, m)) in x.iter_mut().zip(&mut mask).enumerate() {
            let place = match layout {
                Layout::Nchw => at % plane,
                _ => at / shape[3] % plane,
            };
            *m = if shared { of_place[place] } else { f64::from(*rng.pick(&[0.0f32, 0.5, 1.0])) };
            if *m == 0.0 || skips && rng.chance(3) {
                *x = nan;
            }
        }
        let view = ArrayView4::from_shape(dims(shape, layout), &x).unwrap();
        let prepared = engine.prepare::<T, U>(&case.conv, dims(shape, layout))?;
        let got = match shared {
            true => prepared.run_masked(
                &view,
                &Array2::from_shape_vec((shape[1], shape[2]), of_place).unwrap(),
            ),
            false => {
                let mask = ArrayView4::from_shape(dims(shape, layout), &mask).unwrap();
                prepared.run_masked(&view, &mask.mapv(|m| m as f32))
            }
        }?;
        let want = reference::run_masked(&problem, &x, &mask);
        let verdict = compare(got.as_slice().unwrap(), &want, problem.output_shape());
        if verdict.is_err() || !skips {
            return Ok(verdict);
        }
        // By its NaNs alone.
        let (got, want) = (prepared.run(&view)?, reference::run(&problem, &x));
        Ok(compare(got.as_slice().unwrap(), &want, problem.output_shape()))
    };
    match run() {
        Ok(Ok(())) => Outcome::Done(Vec::new()),
        Ok(Err(text)) => Outcome::Failed(text),
        Err(Error::NotApplicable { reason, .. }) => Outcome::NotApplicable(reason),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// With positive weights, of which no sum cancels.
pub(crate) fn case(seed: u64) -> Case {
    let mut rng = Rng::new(seed);
    let case = random(seed);
    let conv = case.conv.clone();
    let kernel = conv.kernel();
    let (h, w, filters) = (kernel.height(), kernel.width(), kernel.filters());
    let weights = rng.f32s(h * w * filters, 0.05, 1.0);
    let layout = conv.get_layout();
    let mut bare = Conv2d::new(Kernel::with_filters(h, w, filters, weights).unwrap())
        .layout(layout)
        .border(conv.get_border())
        .stride(conv.get_stride().0, conv.get_stride().1)
        .dilation(conv.get_dilation().0, conv.get_dilation().1)
        .padding(conv.get_padding())
        .normalized();
    if let Some((row, column)) = conv.get_anchor() {
        bare = bare.anchor(row, column);
    }
    if !conv.get_bias().is_empty() {
        bare = bare.bias(conv.get_bias());
    }
    if case.to == F32 || !conv.get_activation().needs_float() {
        bare = bare.activation(conv.get_activation());
    }
    if rng.chance(2) {
        bare = bare.skip_nan();
    }
    if rng.chance(2) {
        bare = bare.no_data(7.0);
    }
    let shape = dims(case.shape.to_nhwc(layout), layout);
    let types = if conv.get_activation().needs_float() { (F32, F32) } else { (case.from, case.to) };
    Case::new(bare, shape).types(types).seed(seed)
}

/// With floats on one side at least.
pub(crate) fn typed(engine: &Engine, case: &Case, seed: u64) -> Outcome<()> {
    match (case.from, case.to) {
        (U8, _) => check::<u8, f32>(engine, &case.clone().types((U8, F32)), seed),
        (_, U8) => check::<f32, u8>(engine, &case.clone().types((F32, U8)), seed),
        _ => check::<f32, f32>(engine, &case.clone().types((F32, F32)), seed),
    }
}

#[test]
fn quotients_of_two_sums() {
    let mut tally = Tally::new("normalised");
    for seed in 0..times(40) as u64 {
        let case = case(seed);
        tally.each(&case, |engine| typed(engine, &case, seed));
    }
    tally.finish(0);
    for (kind, name, cases) in [
        (Kind::CpuSeparable, "normalised separable kernels on the CPU", 100),
        (Kind::GpuSeparable, "normalised separable kernels", 12),
    ] {
        let mut tally = Tally::new(name).only(kind);
        for seed in 0..times(cases) as u64 {
            let mut case = random_separable(seed);
            case.conv = if seed % 2 == 0 { case.conv.skip_nan() } else { case.conv.normalized() };
            tally.each(&case, |engine| check::<f32, f32>(engine, &case, seed));
        }
        tally.finish(0);
    }
    let mut tally = Tally::cpu_only("normalised, in f64").only(Kind::Cpu);
    for seed in 0..times(60) as u64 {
        let case = case(seed).types((F64, F64));
        tally.each(&case, |engine| check::<f64, f64>(engine, &case, seed));
    }
    tally.finish(0);
}

/// By hand: weights, borders, bias and activation, and what is stored where nothing is known.
#[test]
fn one_row_by_hand() -> Result<(), Error> {
    let engine = Engine::cpu();
    let nan = f32::NAN;
    let tent = || Kernel::new(1, 3, vec![1.0, 2.0, 1.0]);
    let x = array![[4.0, nan, 8.0, nan, nan, nan]];
    let skip = Conv2d::new(tent()?).skip_nan();
    let y = engine.run(&skip, &x)?;
    assert_eq!(y.iter().take(4).copied().collect::<Vec<_>>(), [4.0, 6.0, 8.0, 8.0]);
    assert!(y[[0, 4]].is_nan() && y[[0, 5]].is_nan());
    // Going round, the last sees the first.
    let y = engine.run(&skip.clone().border(Border::Wrap), &x)?;
    assert_eq!(y[[0, 5]], 4.0);
    let lifted = skip.clone().bias([-7.0]).activation(Activation::Relu).no_data(-1.0);
    assert_eq!(engine.run(&lifted, &x)?, array![[0.0, 0.0, 1.0, 1.0, -1.0, -1.0]]);
    // Of bytes 0 unless said; weights count.
    let bytes = array![[10u8, 20, 30, 40]];
    let mask = array![[1.0f32, 0.0, 0.5, 0.0]];
    let mean = Conv2d::new(Kernel::new(1, 3, vec![1.0; 3])?).normalized();
    assert_eq!(engine.run_masked(&mean, &bytes, &mask)?, array![[10, 17, 30, 30]]);
    assert_eq!(engine.run_masked(&mean, &bytes, &Array2::<u8>::zeros((1, 4)))?, array![[0u8; 4]]);
    // Without any mask the edges alone are normalised.
    assert_eq!(engine.run(&mean, &array![[1.0f32, 3.0, 5.0]])?, array![[2.0, 3.0, 4.0]]);
    let half = engine.run(&skip, &x.mapv(f16::from_f32))?;
    assert_eq!(half[[0, 1]].to_f32(), 6.0);
    Ok(())
}

/// Regions of it are parts of it.
#[test]
fn parts_of_it() -> Result<(), Error> {
    let mut rng = Rng::new(7);
    let x = Array2::from_shape_fn((40, 50), |_| {
        if rng.chance(4) { f32::NAN } else { rng.uniform(0.0, 1.0) }
    });
    let conv = Conv2d::new(Kernel::gaussian(7, 1.5)?).skip_nan().border(Border::Reflect);
    let prepared = Engine::cpu().prepare::<f32, f32>(&conv, [40, 50])?;
    let part = prepared.run_region(&x, 35..40, 0..9)?;
    assert_eq!(part, prepared.run(&x)?.slice(channelwise::ndarray::s![35.., ..9]));
    Ok(())
}

/// With weights, too: to the bit, whatever the region, the weights' shape, the border and the layout.
#[test]
fn parts_of_it_with_weights() -> Result<(), Error> {
    let mut compared = 0;
    for backend in main_engines() {
        let mut rng = Rng::new(31);
        for seed in 0..times(30) as u64 {
            // Fewer where pipelines are compiled.
            if backend.kind.is_gpu() && seed % 5 != 0 {
                continue;
            }
            let case = if seed % 3 == 0 { random_separable(seed) } else { case(seed) };
            let layout = case.conv.get_layout();
            let conv = case.conv.activation(Activation::None).bias([]).normalized().no_data(-5.0);
            let shape = dims(case.shape.to_nhwc(layout), layout);
            let prepared = match backend.engine.prepare::<f32, f32>(&conv, shape) {
                Err(Error::NotApplicable { .. }) => continue,
                made => made?,
            };
            let [_, h, w, _] = prepared.problem().input_shape().to_nhwc(layout);
            let [_, rows, columns, _] = prepared.problem().output_shape().to_nhwc(layout);
            let mut range = |len: usize| {
                let first = rng.below(len);
                first..first + 1 + rng.below(len - first)
            };
            let (down, across) = (range(rows), range(columns));
            let x = Array4::from_shape_fn(shape, |_| rng.uniform(-1.0, 1.0));
            let shared = Array2::from_shape_fn((h, w), |_| *rng.pick(&[0u8, 1, 3]));
            let own = Array4::from_shape_fn(shape, |_| *rng.pick(&[0.0f32, 0.25, 1.0]));
            let region = prepared.region(down.clone(), across.clone())?;
            let source = gathered(&x.view(), layout, region.source());
            let own_there = gathered(&own.view(), layout, region.source());
            let plane = shared.view().insert_axis(Axis(0)).insert_axis(Axis(3));
            let there = gathered(&plane, Layout::Nhwc, region.source());
            let there = there.slice(s![0, .., .., 0]);
            for (part, mut whole) in [
                (region.run_masked(&x, &shared)?, prepared.run_masked(&x, &shared)?),
                (region.run_masked(&x, &own)?, prepared.run_masked(&x, &own)?),
                (region.run_source_masked(&source, &there)?, prepared.run_masked(&x, &shared)?),
                (region.run_source_masked(&source, &own_there)?, prepared.run_masked(&x, &own)?),
            ] {
                let (high, wide) = if layout == Layout::Nchw { (2, 3) } else { (1, 2) };
                whole.slice_axis_inplace(Axis(high), down.clone().into());
                whole.slice_axis_inplace(Axis(wide), across.clone().into());
                assert_eq!(part, whole, "{} {conv:?} {shape:?} {down:?} {across:?}", backend.name);
                compared += 1;
            }
        }
    }
    assert!(compared > 60, "{compared}");
    let plain = Engine::cpu().prepare::<f32, f32>(&Conv2d::new(Kernel::sobel_x()), [9, 9])?;
    let (x, mask) = (Array2::<f32>::ones((9, 9)), Array2::<u8>::ones((9, 9)));
    let error = plain.region(0..3, 0..3)?.run_masked(&x, &mask).unwrap_err().to_string();
    assert!(error.contains("mask") && error.contains("normalized"), "{error}");
    let mean = Conv2d::new(Kernel::box_blur(3, 3)?).normalized();
    let part = Engine::cpu().prepare::<f32, f32>(&mean, [9, 9])?.region(0..3, 0..3)?;
    let error = part.run_masked(&x, &Array2::<u8>::ones((3, 3))).unwrap_err().to_string();
    assert!(error.contains("mask"), "{error}");
    Ok(())
}

/// Other weights of the kernel and another bias are those of what is prepared with them.
#[test]
fn it_takes_other_weights() -> Result<(), Error> {
    let x = Array4::from_shape_fn((2, 9, 11, 3), |(n, h, w, c)| match (h + w) % 5 {
        0 => f32::NAN,
        _ => (n + 2 * h + 3 * w + c) as f32,
    });
    let mask = Array2::from_shape_fn((9, 11), |(h, w)| (h * w % 3) as u8);
    for engine in [Engine::cpu(), Engine::auto()] {
        let of = |sigma: f64, bias: f32| -> Result<Conv2d, Error> {
            Ok(Conv2d::new(Kernel::gaussian(3, sigma)?).skip_nan().bias([bias]))
        };
        let mut prepared = engine.prepare::<f32, f32>(&of(1.0, 0.0)?, [2, 9, 11, 3])?;
        prepared.set_weights(&of(2.0, 0.5)?)?;
        let other = engine.prepare::<f32, f32>(&of(2.0, 0.5)?, [2, 9, 11, 3])?;
        assert_eq!(prepared.run_masked(&x, &mask)?, other.run_masked(&x, &mask)?);
        assert_eq!(prepared.run(&x)?, other.run(&x)?);
        let error = prepared.set_weights(&of(2.0, 0.5)?.no_data(1.0)).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{error}");
    }
    Ok(())
}

#[test]
fn what_is_not_for_it() -> Result<(), Error> {
    let conv = Conv2d::new(Kernel::box_blur(3, 3)?);
    let x = Array4::<f32>::zeros((1, 4, 5, 2));
    let engine = Engine::cpu();
    let told = |error: Error, part: &str| {
        let text = error.to_string();
        assert!(text.contains(part), "{text}");
    };
    told(engine.run_masked(&conv, &x, &Array2::<u8>::ones((4, 5))).unwrap_err(), "mask");
    let normal = conv.clone().normalized();
    told(engine.run_masked(&normal, &x, &Array2::<u8>::ones((5, 4))).unwrap_err(), "mask");
    let weights = Array2::from_elem((4, 5), f32::INFINITY);
    told(engine.run_masked(&normal, &x, &weights).unwrap_err(), "finite");
    told(engine.run(&normal.clone().adjoint(), &x).unwrap_err(), "adjoint");
    told(
        engine.run(&normal.clone().pointwise(Pointwise::new(1, 1, vec![1.0])?), &x).unwrap_err(),
        "pointwise",
    );
    told(engine.backward(&normal, &x, &x).unwrap_err(), "gradients");
    told(engine.chain::<f32, f32>(&[normal.clone(), conv], [4, 5]).unwrap_err(), "normalised");
    let fft = engine.with_algorithm(Algorithm::Fft);
    told(fft.run(&normal, &x).unwrap_err(), "fft");
    // A derivative's weights sum to nothing.
    let edges = Conv2d::new(Kernel::sobel_x()).normalized().padding(Padding::Valid);
    assert!(engine.run(&edges, &x)?.iter().all(|y| y.is_nan()));
    Ok(())
}

/// Each image by its own, on every engine, in both layouts.
#[test]
fn an_own_convolution_for_each_image() -> Result<(), Error> {
    for backend in main_engines() {
        for layout in [Layout::Nhwc, Layout::Nchw] {
            let mut rng = Rng::new(99);
            let convs: Vec<Conv2d> = [(3, 3), (5, 5), (31, 1), (3, 3)]
                .into_iter()
                .enumerate()
                .map(|(n, (h, w))| {
                    Conv2d::new(rng.kernel(h, w, 2)).layout(layout).bias([n as f32, 0.5])
                })
                .collect();
            let shape = dims([4, 20, 30, 3], layout);
            let x = Array4::from_shape_fn(shape, |_| rng.uniform(-1.0, 1.0));
            let each = match backend.engine.prepare_each::<f32, f32>(&convs, shape) {
                // Not every algorithm is for every kernel.
                Err(Error::NotApplicable { .. }) => continue,
                made => made?,
            };
            let y = each.run(&x)?;
            let alone: Vec<_> = convs
                .iter()
                .zip(x.axis_iter(Axis(0)))
                .map(|(conv, image)| backend.engine.run(conv, &image.insert_axis(Axis(0))))
                .collect::<Result<_, _>>()?;
            let views: Vec<_> = alone.iter().map(|y| y.view()).collect();
            assert_eq!(y, concatenate(Axis(0), &views).unwrap(), "{}", backend.name);
            assert_eq!(each.output_shape().dims(), y.shape());
        }
    }
    let engine = Engine::cpu();
    let x = Array4::<u8>::zeros((2, 6, 6, 1));
    let small = || Conv2d::new(Kernel::sobel_x());
    let told = |convs: &[Conv2d], part: &str| {
        let text = engine.run_each(convs, &x).unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    };
    told(&[small()], "one for each of the 2 images");
    told(&[], "one for each");
    told(&[small(), small().padding(Padding::Valid)], "output of an image");
    told(&[small(), small().layout(Layout::Nchw)], "layout");
    Ok(())
}

/// Kernels of other sizes, weights and filters' biases for each image, as chance puts them together: what each gives
/// alone, to the bit. `false` where the engine's algorithm does not apply.
pub(crate) fn each_alone(engine: &Engine, seed: u64) -> Result<bool, Error> {
    let mut rng = Rng::new(500 + seed);
    let layout = *rng.pick(&[Layout::Nhwc, Layout::Nchw]);
    let (filters, border) = (1 + rng.below(3), rng.borders());
    let (stride, count) = ((1 + rng.below(2), 1 + rng.below(3)), 1 + rng.below(4));
    let convs: Vec<Conv2d> = (0..count)
        .map(|_| {
            let (high, wide) = (1 + rng.below(7), 1 + rng.below(9));
            let kernel = rng.kernel(high, wide, filters);
            Conv2d::new(kernel)
                .layout(layout)
                .border(border)
                .stride(stride.0, stride.1)
                .bias(rng.f32s(filters, -1.0, 1.0))
                .activation(*rng.pick(&[Activation::None, Activation::Abs]))
        })
        .collect();
    let sizes = [count, 1 + rng.below(30), 1 + rng.below(40), 1 + rng.below(5)];
    let shape = dims(sizes, layout);
    let x = Array4::from_shape_fn(shape, |_| rng.uniform(-1.0, 1.0));
    let each = match engine.prepare_each::<f32, f32>(&convs, shape) {
        Err(Error::NotApplicable { .. }) => return Ok(false),
        made => made?,
    };
    let y = each.run(&x)?;
    for (n, conv) in convs.iter().enumerate() {
        let image = x.index_axis(Axis(0), n).insert_axis(Axis(0));
        let alone = engine.run(conv, &image)?;
        let (got, want) = (y.index_axis(Axis(0), n), alone.index_axis(Axis(0), 0));
        assert_eq!(got, want, "seed {seed}, image {n}, {engine}");
    }
    Ok(true)
}

#[test]
fn random_convolutions_for_each_image() -> Result<(), Error> {
    let mut compared = 0;
    for backend in main_engines() {
        for seed in 0..times(25) as u64 {
            if !backend.kind.is_gpu() || seed % 6 == 0 {
                compared += usize::from(each_alone(&backend.engine, seed)?);
            }
        }
    }
    assert!(compared > 30, "{compared}");
    Ok(())
}

#[test]
fn problems_are_checked() {
    let conv =
        Conv2d::new(Kernel::sobel_x()).border((Border::Constant(1.0), Border::Constant(2.0)));
    let error = Problem::new(&conv, [5, 5], F32, F32).unwrap_err().to_string();
    assert!(error.contains("border") && error.contains("one number"), "{error}");
}
