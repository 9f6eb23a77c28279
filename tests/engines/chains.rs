//! Chains of convolutions, folded or not, against the definition applied stage by stage.

use crate::common::{BORDERS, F32, Rng, U8, compare, dims, gpu};
use channelwise::plan::{ChainPlan, GpuLimits, Machine, Residence, chain};
use channelwise::reference::{self, Expected};
use channelwise::{
    Activation, Algorithm, Border, BufferRange, Conv2d, Element, Engine, Error, Gpu, GpuTensor,
    Kernel, Layout, Padding, Problem, Shape, wgpu,
};
use ndarray::{ArrayView, Axis, Ix3, Ix4};
use pollster::block_on;

/// A stage, and the same with the magnitudes of all its numbers.
#[derive(Clone)]
struct Stage {
    conv: Conv2d,
    size: Conv2d,
    taps: usize,
}

fn stage(kernel: Kernel, bias: f32, with: impl Fn(Conv2d) -> Conv2d) -> Stage {
    let (h, w, f) = (kernel.height(), kernel.width(), kernel.filters());
    let sizes = kernel.weights().iter().map(|w| w.abs()).collect();
    let sizes = Kernel::with_filters(h, w, f, sizes).unwrap();
    Stage {
        conv: with(Conv2d::new(kernel)).bias(vec![bias; f]),
        size: with(Conv2d::new(sizes)).bias(vec![bias.abs(); f]),
        taps: h * w,
    }
}

/// The exact values of a chain, and how far one that is computed in f32 may be off: at most as many
/// roundings as there are taps in all stages, or in one kernel of them, each relative to the sum of all
/// magnitudes that make an output. `spread` is that of the plans, all relative to `X`.
fn expected<T: Element>(
    stages: &[Stage],
    shape: Shape,
    x: &[T],
    folded_taps: usize,
    spread: f64,
) -> (Vec<Expected>, Shape) {
    let mut values: Vec<f32> = x.iter().map(|x| x.to_f32()).collect();
    let mut sizes: Vec<f32> = values.iter().map(|x| x.abs()).collect();
    let largest = sizes.iter().fold(1.0, |a: f32, b| a.max(*b));
    let mut shape = shape;
    let mut last = Vec::new();
    for stage in stages {
        let problem = Problem::new(&stage.conv, shape, F32, F32).unwrap();
        let size = Problem::new(&stage.size, shape, F32, F32).unwrap();
        let exact = reference::run(&problem, &values);
        values = exact.iter().map(|e| e.value as f32).collect();
        sizes = reference::run(&size, &sizes).iter().map(|e| e.value as f32).collect();
        last = exact;
        shape = problem.output_shape();
    }
    let unit = f64::from(f32::EPSILON) / 2.0;
    let taps: usize = stages.iter().map(|stage| stage.taps + 3).sum();
    let roundings = 2.0 * taps.max(folded_taps + 3) as f64;
    let gain: f64 =
        stages.iter().map(|s| f64::from(s.size.kernel().weights().iter().sum::<f32>())).product();
    let spread = spread * unit * f64::from(largest) * gain.max(1.0);
    let all = last.iter().zip(&sizes).map(|(e, size)| Expected {
        value: e.value,
        allowance: roundings * unit * f64::from(*size) + spread + f64::from(f32::MIN_POSITIVE),
    });
    (all.collect(), shape)
}

fn run_on<T: Element, U: Element>(
    engine: &Engine,
    convs: &[Conv2d],
    shape: Shape,
    x: &[T],
) -> Vec<U> {
    let chain = engine.chain::<T, U>(convs, shape).unwrap();
    assert_eq!(chain.input_shape(), shape);
    match *shape.dims() {
        [a, b, c] => {
            let x: ArrayView<'_, T, Ix3> = ArrayView::from_shape((a, b, c), x).unwrap();
            chain.run(&x).unwrap().into_raw_vec_and_offset().0
        }
        [a, b, c, d] => {
            let x: ArrayView<'_, T, Ix4> = ArrayView::from_shape((a, b, c, d), x).unwrap();
            block_on(chain.run_async(&x)).unwrap().into_raw_vec_and_offset().0
        }
        ref other => panic!("{other:?}"),
    }
}

/// Every way to run a chain gives what the stages give.
fn agrees<T: Element, U: Element>(
    gpu: &Gpu,
    stages: &[Stage],
    shape: Shape,
    seed: u64,
) -> ChainPlan {
    let convs: Vec<Conv2d> = stages.iter().map(|stage| stage.conv.clone()).collect();
    let x: Vec<T> = Rng::new(seed).elements(shape.elements().unwrap(), -40.0, 300.0);
    let ready = gpu.chain(&convs, shape, T::TYPE, U::TYPE).unwrap();
    let plan = ready.plan();
    let kernels = plan.stages().iter().map(|s| s.problem.conv().kernel());
    let folded = kernels.map(|k| k.height() * k.width()).sum();
    let spread = plan.stages().iter().map(|s| s.plan.accuracy().spread).sum();
    let (want, out) = expected(stages, shape, &x, folded, spread);
    let check = |got: &[U], how: &str| {
        if let Err(text) = compare(got, &want, out) {
            panic!("{how}, seed {seed}: {text}\n{plan}");
        }
    };
    check(&run_on(&Engine::cpu(), &convs, shape, &x), "cpu");
    check(&run_on(&Engine::from(gpu.clone()), &convs, shape, &x), "gpu");

    let layout = ready.plan().stages()[0].problem.clone();
    let layout =
        if format!("{:?}", layout.conv()).contains("Nchw") { Layout::Nchw } else { Layout::Nhwc };
    let tensor = GpuTensor::upload(gpu, &x, shape).unwrap().with_layout(layout);
    let made: GpuTensor<U> = ready.apply(&tensor).unwrap();
    assert_eq!((made.shape(), made.layout()), (out, layout));
    check(&made.download().unwrap(), "tensor");

    // In the caller's encoder, both in one buffer, twice in one submission.
    let (from, to) = (tensor.range().size, made.range().size);
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: from + to + 40,
        usage: wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_DST
            | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    });
    let input = GpuTensor::<T>::from_buffer(gpu, buffer.clone(), 12, shape).unwrap();
    input.write(&x).unwrap();
    let at = 12 + from + 20;
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    for _ in 0..2 {
        let destination = BufferRange { buffer: &buffer, offset: at, size: to };
        ready.encode(&mut encoder, &input.range(), &destination).unwrap();
    }
    gpu.queue().submit([encoder.finish()]);
    let output = GpuTensor::<U>::from_buffer(gpu, buffer, at, out).unwrap();
    check(&output.download().unwrap(), "encode");
    plan.clone()
}

/// Up to four stages that chance puts together.
fn random(rng: &mut Rng) -> (Vec<Stage>, Shape) {
    let layout = *rng.pick(&[Layout::Nhwc, Layout::Nchw]);
    let sizes = [1 + rng.below(2), 1 + rng.below(30), 1 + rng.below(40), 1 + rng.below(5)];
    let first = Shape::from(dims(sizes, layout));
    loop {
        let (mut shape, mut stages) = (first, Vec::new());
        for _ in 0..1 + rng.below(4) {
            let (kh, kw) = (1 + rng.below(5), 1 + rng.below(5));
            let kernel = match rng.below(4) {
                0 => Kernel::gaussian(2 * rng.below(3) + 1, 0.9).unwrap(),
                1 => rng.kernel(kh, kw, 2),
                _ => rng.kernel(kh, kw, 1),
            };
            let border = *rng.pick(&BORDERS);
            let padding = *rng.pick(&[Padding::Same, Padding::Same, Padding::Valid, Padding::Full]);
            let step = *rng.pick(&[(1, 1), (1, 1), (1, 1), (2, 1), (1, 2)]);
            let activation = *rng.pick(&[Activation::None, Activation::None, Activation::Relu]);
            let bias = *rng.pick(&[0.0, 0.0, 1.5, -2.0]);
            let flip = rng.chance(4);
            let next = stage(kernel, bias, |conv| {
                let conv = conv.layout(layout).border(border).padding(padding);
                let conv = conv.stride(step.0, step.1).activation(activation);
                if flip { conv.flip() } else { conv }
            });
            let Ok(problem) = Problem::new(&next.conv, shape, F32, F32) else { continue };
            if problem.multiply_adds() > 200_000 {
                continue;
            }
            shape = problem.output_shape();
            stages.push(next);
        }
        if !stages.is_empty() {
            return (stages, first);
        }
    }
}

/// Runs a random chain by an engine whose algorithms spread nothing.
pub(crate) fn random_on(engine: &Engine, seed: u64) -> Result<(), String> {
    let (stages, shape) = random(&mut Rng::new(seed));
    let convs: Vec<Conv2d> = stages.iter().map(|stage| stage.conv.clone()).collect();
    // Of all stages as one, and dilated by their strides.
    let side = |of: fn(&Kernel) -> usize| {
        1 + convs.iter().map(|conv| 8 * (of(conv.kernel()) - 1)).sum::<usize>()
    };
    let folded = side(Kernel::height) * side(Kernel::width);
    fn checked<T: Element, U: Element>(
        engine: &Engine,
        (stages, convs): (&[Stage], &[Conv2d]),
        shape: Shape,
        seed: u64,
        folded: usize,
    ) -> Result<(), String> {
        let x: Vec<T> = Rng::new(seed).elements(shape.elements().unwrap(), -40.0, 300.0);
        let (want, out) = expected(stages, shape, &x, folded, 0.0);
        compare(&run_on::<T, U>(engine, convs, shape, &x), &want, out)
            .map_err(|wrong| format!("{shape}, {convs:?}: {wrong}"))
    }
    match seed % 3 {
        0 => checked::<f32, f32>(engine, (&stages, &convs), shape, seed, folded),
        1 => checked::<u8, u8>(engine, (&stages, &convs), shape, seed, folded),
        _ => checked::<u8, f32>(engine, (&stages, &convs), shape, seed, folded),
    }
}

/// A random chain in all ways; panics where one is wrong.
pub(crate) fn random_agrees(gpu: &Gpu, seed: u64) {
    let (stages, shape) = random(&mut Rng::new(seed));
    match seed % 3 {
        0 => agrees::<f32, f32>(gpu, &stages, shape, seed),
        1 => agrees::<u8, u8>(gpu, &stages, shape, seed),
        _ => agrees::<u8, f32>(gpu, &stages, shape, seed),
    };
}

#[test]
fn chains_agree_for_every_border_type_and_layout() {
    let Some(gpu) = gpu() else { return };
    let mut seed = 0;
    for border in BORDERS {
        for layout in [Layout::Nhwc, Layout::Nchw] {
            for shape in [[11, 7, 3], [5, 13, 9]] {
                seed += 1;
                let mut rng = Rng::new(seed);
                let on = |conv: Conv2d| conv.border(border).layout(layout);
                let three = [
                    stage(rng.kernel(3, 3, 1), 0.0, on),
                    stage(rng.kernel(3, 2, 1), 1.5, on),
                    stage(rng.kernel(1, 3, 1), -3.0, |conv| on(conv).activation(Activation::Relu)),
                ];
                let shape = Shape::from(shape);
                agrees::<f32, f32>(&gpu, &three, shape, seed);
                agrees::<u8, u8>(&gpu, &three, shape, seed);
                agrees::<u8, f32>(&gpu, &three[1..], shape, seed);
                agrees::<f32, u8>(&gpu, &three[..1], shape, seed);
            }
        }
        // Several images, filters, strides.
        let on = |conv: Conv2d| conv.border(border);
        let two = [
            stage(Rng::new(seed).kernel(3, 3, 2), 0.5, |conv| on(conv).stride(2, 1)),
            stage(Rng::new(seed).kernel(2, 2, 1), 0.0, |conv| on(conv).padding(Padding::Valid)),
        ];
        agrees::<f32, f32>(&gpu, &two, [2, 17, 12, 3].into(), seed);
    }
}

/// Images large enough for the model to fold, which these are.
#[test]
fn folded_chains_agree() {
    let Some(gpu) = gpu() else { return };
    let mut rng = Rng::new(5);
    let shape = Shape::from([181, 243, 3]);
    let mut smooth = |n: usize| {
        let half: Vec<f32> = (0..n).map(|_| rng.uniform(0.1, 1.0)).collect();
        let at = |i: usize| half[i.min(n - 1 - i)];
        let weights = (0..n * n).map(|i| at(i / n) * at(i % n)).collect();
        Kernel::new(n, n, weights).unwrap().normalized().unwrap()
    };
    let mut folded = 0;
    for border in [Border::Reflect, Border::Reflect101, Border::Wrap] {
        let three: Vec<_> = [3, 3, 5]
            .into_iter()
            .map(|n| stage(smooth(n), 0.25, |conv| conv.border(border)))
            .collect();
        for plan in
            [agrees::<f32, f32>(&gpu, &three, shape, 1), agrees::<u8, u8>(&gpu, &three, shape, 2)]
        {
            folded += usize::from(plan.stages().len() < 3);
        }
    }
    for border in BORDERS {
        let two = [
            stage(smooth(3), 2.0, |conv| conv.border(border)),
            stage(smooth(3), -1.0, |conv| conv.padding(Padding::Valid)),
        ];
        let plan = agrees::<f32, f32>(&gpu, &two, shape, 3);
        folded += usize::from(plan.stages().len() == 1);
        // Zeros on zeros are two.
        let two = [0, 1].map(|_| stage(smooth(3), 0.0, |conv| conv.border(Border::ZERO)));
        let plan = agrees::<f32, f32>(&gpu, &two, shape, 4);
        assert_eq!(plan.stages().len(), 2);
        assert!(
            plan.to_string().contains("0 and 1 stay apart: beyond the edges of rows"),
            "{plan}"
        );
    }
    assert!(folded >= 9, "{folded}");
}

fn planned(convs: &[Conv2d], shape: impl Into<Shape>) -> ChainPlan {
    let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
    chain(convs, shape, F32, F32, &machine, Algorithm::Auto).unwrap()
}

/// Folded where that is cheaper, and only there; the reasons are told.
#[test]
fn cost_decides_what_is_folded() {
    let dense =
        |n: usize, seed| Conv2d::new(Rng::new(seed).kernel(n, n, 1)).padding(Padding::Valid);
    let shape = [1080, 1920, 3];
    let small = planned(&[dense(3, 1), dense(3, 2)], shape);
    assert_eq!(small.stages().len(), 1, "{small}");
    assert_eq!(small.stages()[0].convolutions, 0..2);
    let apart: f64 =
        [dense(3, 1), dense(3, 2)].map(|c| planned(&[c], shape).predicted()).iter().sum();
    assert!(small.predicted() < apart);
    assert!(small.to_string().contains("convolutions 0 to 1 as one"), "{small}");
    // 15x15 twice is 29x29: 841 taps for 450.
    let large = planned(&[dense(15, 1), dense(15, 2)], shape);
    assert_eq!(large.stages().len(), 2, "{large}");
    assert!(large.to_string().contains("stay apart: that is cheaper by the model"), "{large}");
    // Of three the neighbours that gain by it.
    let mixed = planned(&[dense(25, 1), dense(25, 2), dense(3, 3)], shape);
    let parts: Vec<_> = mixed.stages().iter().map(|s| s.convolutions.clone()).collect();
    assert_eq!(parts, [0..1, 1..3], "{mixed}");
    // All plans do all convolutions, in order.
    let relu = dense(3, 2).activation(Activation::Relu);
    let all = planned(&[dense(3, 1), relu, dense(3, 3), dense(3, 4)], shape);
    let ends: Vec<_> = all.stages().iter().map(|s| s.convolutions.clone()).collect();
    assert_eq!(ends, [0..2, 2..4], "{all}");
    assert!(all.to_string().contains("1 and 2 stay apart: the first has an activation"), "{all}");
    assert_eq!(all.output_shape().dims(), [1072, 1912, 3]);
}

#[test]
fn what_cannot_be_a_chain_is_refused() {
    let conv = Conv2d::new(Kernel::box_blur(3, 3).unwrap());
    let engine = Engine::cpu();
    let refuse = |convs: &[Conv2d], shape: [usize; 3]| {
        let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
        let one = chain(convs, shape, U8, U8, &machine, Algorithm::Auto).unwrap_err();
        let two = engine.chain::<u8, u8>(convs, shape).unwrap_err();
        assert_eq!(one, two);
        one
    };
    let error = refuse(&[], [4, 4, 3]);
    assert!(
        matches!(error, Error::Argument { argument: "convolutions of a chain", .. }),
        "{error}"
    );
    let error = refuse(&[conv.clone(), conv.clone().layout(Layout::Nchw)], [4, 4, 3]);
    assert!(matches!(error, Error::Argument { argument: "layout", .. }), "{error}");
    let valid = conv.clone().padding(Padding::Valid);
    let error = refuse(&[valid.clone(), valid.clone()], [4, 4, 3]);
    assert!(matches!(error, Error::EmptyOutput { axis: "height", input: 2, .. }), "{error}");

    let Some(gpu) = gpu() else { return };
    let ready = gpu.chain(&[valid, conv], [4, 4, 3], F32, F32).unwrap();
    let tensor = GpuTensor::<f32>::zeros(&gpu, [4, 4, 3]).unwrap();
    let error = ready.apply_into(&tensor, &tensor).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { what: "output", .. }), "{error}");
    let error = ready.apply::<f32, u8>(&tensor).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let error = ready.encode(&mut encoder, &tensor.range(), &tensor.range()).unwrap_err();
    assert!(matches!(error, Error::Buffer { which: "destination", .. }), "{error}");
}

/// What lies between comes from the pool and goes back; chains that share it do not disturb each other.
#[test]
fn what_lies_between_is_pooled() {
    let Some(gpu) = gpu() else { return };
    let shape = [40, 50, 3];
    let relu = |seed| Conv2d::new(Rng::new(seed).kernel(3, 3, 1)).activation(Activation::Relu);
    let x: Vec<f32> = Rng::new(1).f32s(6000, -1.0, 1.0);
    let tensor = GpuTensor::upload(&gpu, &x, shape).unwrap();
    let chains = [[1, 2, 3, 4], [5, 6, 7, 8]].map(|seeds| seeds.map(relu));
    let want: Vec<Vec<f32>> =
        chains.iter().map(|convs| run_on(&Engine::cpu(), convs, shape.into(), &x)).collect();
    let mut outputs = Vec::new();
    for (convs, n) in chains.iter().cycle().zip(0..6) {
        let ready = gpu.chain(convs, shape, F32, F32).unwrap();
        outputs.push(ready.apply::<f32, f32>(&tensor).unwrap());
        // Two, and what outputs took that were there before.
        let pool = gpu.pool_stats();
        assert!(pool.made <= 2 + n && pool.free <= 1, "{n}: {pool:?}");
    }
    for (n, output) in outputs.iter().enumerate() {
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5;
        assert!(output.download().unwrap().iter().zip(&want[n % 2]).all(near), "{n}");
    }
    // And what downloads took.
    let pool = gpu.pool_stats();
    assert!(pool.made <= 2 + 5 + 1 && pool.reused >= 15, "{pool:?}");
    drop(outputs);
    let pool = gpu.pool_stats();
    assert!(pool.free >= 6 && pool.free_bytes >= 6 * 24_000, "{pool:?}");
    gpu.trim();
    assert_eq!((gpu.pool_stats().free, gpu.pool_stats().free_bytes), (0, 0));
}

/// Rows beyond what can be bound, so that stages read and write in bands.
#[test]
fn bands_do_not_show_in_a_chain() {
    let Some(small) = crate::common::small_gpu() else { return };
    for border in [Border::Constant(0.7), Border::Reflect101, Border::Wrap] {
        let two = [1, 2]
            .map(|seed| stage(Rng::new(seed).kernel(3, 3, 1), 0.0, |conv| conv.border(border)));
        agrees::<f32, f32>(&small, &two, [90, 100, 4].into(), 7);
    }
}

#[test]
fn arrays_of_any_order_go_through() {
    let conv = Conv2d::new(Rng::new(1).kernel(3, 3, 1));
    let x = ndarray::Array3::from_shape_vec((6, 8, 3), Rng::new(2).f32s(144, -1.0, 1.0)).unwrap();
    let mut flipped = x.clone();
    flipped.invert_axis(Axis(1));
    for engine in crate::common::main_engines() {
        let Ok(chain) = engine.engine.chain::<f32, f32>(&[conv.clone(), conv.clone()], [6, 8, 3])
        else {
            // An algorithm that does not apply.
            continue;
        };
        let straight = chain.run(&flipped.as_standard_layout().to_owned()).unwrap();
        assert_eq!(chain.run(&flipped).unwrap(), straight, "{}", engine.name);
        assert_eq!(chain.output_shape().dims(), [6, 8, 3]);
        assert!(chain.explain().contains("stages"));
        let error = chain.run(&ndarray::Array3::<f32>::zeros((6, 7, 3))).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { what: "input", .. }), "{error}");
    }
}
