//! Every engine and algorithm gives what `reference` says, element by element, within the bound it
//! states: over borders, element types, layouts, awkward sizes and every option, by tables and by
//! seeded chance.

mod common;

use std::collections::BTreeSet;

use channelwise::ndarray::{Array, Array2, Array3, Array4, ArrayView4, s};
use channelwise::plan::{CpuLaunch, CpuScheme, GpuLaunch, Launch, Scheme};
use channelwise::reference::{self, Expected};
use channelwise::{
    Activation, Border, Conv2d, Element, ElementType, Engine, Kernel, Layout, Padding, Pointwise,
    Problem, Shape, f16,
};
use common::{
    BORDERS, Case, F16, F32, Kind, Outcome, Rng, Tally, U8, U16, compare, dims, engines, run_dirty,
    small_devices,
};

const TYPES: [(ElementType, ElementType); 16] = [
    (F32, F32),
    (U8, U8),
    (U8, F32),
    (F32, U8),
    (U16, U16),
    (F16, F16),
    (F32, F16),
    (U16, F32),
    (F16, F32),
    (F32, U16),
    (U8, U16),
    (U8, F16),
    (U16, U8),
    (U16, F16),
    (F16, U8),
    (F16, U16),
];
const LAYOUTS: [Layout; 2] = [Layout::Nhwc, Layout::Nchw];
/// Around the widths of vectors, workgroups and tiles.
const SIZES: [usize; 14] = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65];
const KERNELS: [(usize, usize); 8] =
    [(1, 1), (2, 2), (3, 3), (4, 2), (1, 7), (7, 1), (5, 3), (11, 11)];
const STRIDES: [(usize, usize); 5] = [(1, 1), (2, 2), (1, 3), (3, 1), (5, 2)];
const DILATIONS: [(usize, usize); 4] = [(1, 1), (2, 1), (1, 3), (3, 2)];
const FLOAT_ACTIVATIONS: [Activation; 3] =
    [Activation::Sigmoid, Activation::Tanh, Activation::Gelu];
const ACTIVATIONS: [Activation; 5] = [
    Activation::None,
    Activation::Relu,
    Activation::Relu6,
    Activation::Leaky(0.1),
    Activation::Clamp(-0.25, 0.5),
];

#[test]
fn borders_and_element_types() {
    let mut tally = Tally::new("borders and element types");
    let mut rng = Rng::new(1);
    for border in BORDERS {
        for types in TYPES {
            for layout in LAYOUTS {
                let conv = Conv2d::new(rng.kernel(5, 3, 1)).border(border).layout(layout);
                tally.case(&Case::new(conv, dims([2, 7, 9, 3], layout)).types(types));
            }
        }
    }
    tally.finish(48);
}

#[test]
fn heights_and_widths() {
    let mut tally = Tally::new("heights and widths");
    let kernel = Rng::new(2).kernel(3, 3, 1);
    for (i, n) in SIZES.into_iter().enumerate() {
        for types in [(F32, F32), (U8, U8), (U16, U16), (F32, F16)] {
            let conv = Conv2d::new(kernel.clone()).border(Border::Reflect101);
            for shape in [[1, n, 5, 3], [1, 5, n, 3], [1, 3, n, 4], [1, n, n, 1]] {
                tally.case(&Case::new(conv.clone(), shape).types(types));
            }
            // The other numbers of axes, in both orders.
            let conv = conv.layout(LAYOUTS[i % 2]);
            let three = if i % 2 == 0 { [4, n, 2] } else { [2, 4, n] };
            tally.case(&Case::new(conv.clone(), three).types(types));
            tally.case(&Case::new(conv, [6, n]).types(types));
        }
    }
    tally.finish(150);
}

#[test]
fn channels_and_batches() {
    let mut tally = Tally::new("channels and batches");
    let kernel = Rng::new(3).kernel(3, 3, 1);
    let mut others = TYPES[1..].iter().cycle();
    for layout in LAYOUTS {
        for channels in [0, 1, 2, 3, 4, 5, 8, 17, 64, 300] {
            for batch in [0, 1, 3] {
                let conv = Conv2d::new(kernel.clone()).layout(layout);
                let shape = dims([batch, 5, 7, channels], layout);
                tally.case(&Case::new(conv.clone(), shape));
                if batch == 3 {
                    tally.case(&Case::new(conv, shape).types(*others.next().unwrap()));
                }
            }
        }
    }
    for channels in [7, 9, 16, 33] {
        for types in [(U8, U8), (U16, U16), (U8, F16)] {
            tally.case(&Case::new(Conv2d::new(kernel.clone()), [2, 4, channels]).types(types));
        }
    }
    tally.finish(80);
}

#[test]
fn kernels_up_to_larger_than_the_input() {
    let mut tally = Tally::new("kernels");
    let mut rng = Rng::new(4);
    let mut borders = BORDERS.into_iter().cycle();
    for (kh, kw) in KERNELS.into_iter().chain([(12, 2), (2, 12), (21, 23)]) {
        for padding in [Padding::Same, Padding::Full, Padding::Valid] {
            // At least as large as the kernel where nothing is added.
            let (h, w) = if padding == Padding::Valid { (kh + 2, kw + 4) } else { (6, 9) };
            for border in borders.by_ref().take(2) {
                let conv = Conv2d::new(rng.kernel(kh, kw, 1)).padding(padding).border(border);
                tally.case(&Case::new(conv, [1, h, w, 3]));
            }
        }
    }
    tally.finish(66);
}

#[test]
fn paddings_longer_than_the_input() {
    let mut tally = Tally::new("long paddings");
    let mut rng = Rng::new(5);
    let kernel = rng.kernel(3, 2, 1);
    let paddings = [(0, 0, 0, 0), (1, 2, 0, 3), (7, 0, 0, 9), (13, 16, 11, 17)];
    for border in BORDERS {
        for (i, (h, w)) in [(1, 1), (1, 4), (3, 2), (5, 7)].into_iter().enumerate() {
            for (top, bottom, left, right) in paddings {
                if h + top + bottom < 3 || w + left + right < 2 {
                    continue;
                }
                let padding = Padding::Explicit { top, bottom, left, right };
                let conv = Conv2d::new(kernel.clone()).padding(padding).border(border);
                tally.case(&Case::new(conv, [1, h, w, 2]).types(TYPES[i]));
            }
        }
    }
    tally.finish(70);
}

#[test]
fn strides_and_dilations() {
    let mut tally = Tally::new("strides and dilations");
    let mut rng = Rng::new(6);
    let kernel = rng.kernel(3, 4, 1);
    let paddings = [
        Padding::Same,
        Padding::Valid,
        Padding::Full,
        Padding::Explicit { top: 0, bottom: 2, left: 3, right: 1 },
    ];
    let mut at = 0;
    for stride in STRIDES {
        for dilation in DILATIONS {
            for channels in [3, 4] {
                at += 1;
                let conv = Conv2d::new(kernel.clone())
                    .stride(stride.0, stride.1)
                    .dilation(dilation.0, dilation.1)
                    .border(BORDERS[at % 6])
                    .padding(paddings[at / 2 % 4]);
                tally.case(&Case::new(conv, [1, 11, 17, channels]).types(TYPES[at / 4 % 4]));
            }
        }
    }
    tally.finish(20);
}

#[test]
fn anchors_and_flips() {
    let mut tally = Tally::new("anchors and flips");
    let mut rng = Rng::new(7);
    for (kh, kw, border) in
        [(3, 3, Border::Reflect101), (4, 2, Border::Wrap), (2, 5, Border::Constant(0.7))]
    {
        let kernel = rng.kernel(kh, kw, 1);
        for (row, column) in [(0, 0), (kh - 1, kw - 1), (kh / 2, kw / 2), (0, kw - 1)] {
            for (stride, dilation) in [(1, 1), (2, 1), (1, 2)] {
                let conv = Conv2d::new(kernel.clone())
                    .anchor(row, column)
                    .stride(stride, stride)
                    .dilation(dilation, dilation)
                    .border(border);
                let conv = if rng.chance(2) { conv.flip() } else { conv };
                tally.case(&Case::new(conv, [1, 7, 8, 4]));
            }
        }
        let flipped = Conv2d::new(kernel).flip();
        tally.case(&Case::new(flipped.clone(), [1, 7, 8, 3]));
        tally.case(&Case::new(flipped.padding(Padding::Full), [1, 7, 8, 3]));
    }
    tally.finish(40);
}

#[test]
fn filters_and_bias() {
    let mut tally = Tally::new("filters and bias");
    let mut rng = Rng::new(8);
    for filters in [1, 2, 3, 4, 5, 8] {
        for (i, layout) in [Layout::Nhwc, Layout::Nhwc, Layout::Nchw].into_iter().enumerate() {
            for channels in [3, 4] {
                let kernel = rng.kernel(3, 3, filters);
                let bias = if rng.chance(3) { vec![] } else { rng.f32s(filters, -0.5, 0.5) };
                let conv = Conv2d::new(kernel).bias(bias).layout(layout);
                let types = TYPES[(filters + i) % 4];
                tally.case(&Case::new(conv, dims([2, 6, 7, channels], layout)).types(types));
            }
        }
    }
    tally.finish(24);
}

#[test]
fn activations() {
    let mut tally = Tally::new("activations");
    let mut rng = Rng::new(9);
    for (i, activation) in ACTIVATIONS.into_iter().chain(FLOAT_ACTIVATIONS).enumerate() {
        // Sums from far below to far above where the functions bend.
        let weights = rng.f32s(9 * 2, -6.0, 6.0);
        let kernel = Kernel::with_filters(3, 3, 2, weights).unwrap();
        let layout = LAYOUTS[i % 2];
        let conv = Conv2d::new(kernel).bias([0.5, -2.0]).activation(activation).layout(layout);
        let case = Case::new(conv, dims([1, 8, 9, 4], layout));
        tally.case(&case);
        tally.case(&case.clone().types((U8, F32)));
        if !activation.needs_float() {
            let conv = Conv2d::new(rng.kernel(3, 3, 1)).activation(match activation {
                Activation::Clamp(..) => Activation::Clamp(20.0, 180.5),
                other => other,
            });
            tally.case(&Case::new(conv.clone(), [1, 8, 9, 3]).types((U8, U8)));
            tally.case(&Case::new(conv, [1, 8, 9, 4]).types((F32, U8)));
        }
    }
    tally.finish(26);
}

#[test]
fn pointwise_steps() {
    let mut tally = Tally::new("pointwise");
    let mut rng = Rng::new(10);
    // With 9 taps [2, 8] does not fold, nor does anything with an activation between.
    for (i, (filters, outputs)) in
        [(1, 1), (2, 1), (3, 2), (2, 3), (4, 4), (1, 4), (2, 8), (5, 2)].into_iter().enumerate()
    {
        let between = [Activation::Relu, Activation::Gelu, Activation::Leaky(0.1)][i % 3];
        for between in [Activation::None, between] {
            let weights = rng.f32s(filters * outputs, -1.0, 1.0);
            let mut pointwise = Pointwise::new(filters, outputs, weights).unwrap();
            if i % 2 == 0 {
                pointwise = pointwise.bias(rng.f32s(outputs, -0.5, 0.5));
            }
            if i % 3 == 2 {
                pointwise = pointwise.activation(Activation::Clamp(-0.25, 0.5));
            }
            let layout = LAYOUTS[i % 2];
            let bias = if rng.chance(2) { rng.f32s(filters, -1.0, 1.0) } else { vec![] };
            let conv = Conv2d::new(rng.kernel(3, 3, filters))
                .bias(bias)
                .activation(between)
                .layout(layout)
                .pointwise(pointwise);
            let case = Case::new(conv, dims([1, 6, 7, 4], layout));
            tally.case(&case);
            if i < 4 {
                tally.case(&case.types((U8, U8)));
            }
        }
    }
    tally.finish(18);
}

/// Sums of few columns times rows, on every device there is: whole, in bands, and with constant sizes.
#[test]
fn separable_kernels() {
    let kernels = || {
        // The last filter takes the first one's row, and one of its own.
        let stack = Kernel::stack(&[
            Kernel::gaussian(7, 1.0).unwrap(),
            Kernel::box_blur(7, 7).unwrap(),
            Kernel::unsharp(7, 1.0, 0.5).unwrap(),
        ])
        .unwrap();
        [
            Kernel::gaussian(7, 1.5).unwrap(),
            Kernel::box_blur(3, 8).unwrap(),
            Kernel::log(9, 1.4).unwrap(),
            Kernel::disk(8.0).unwrap(),
            Kernel::unsharp(9, 2.0, 1.0).unwrap(),
            stack,
        ]
    };
    for (mut tally, borders) in [
        (Tally::new("separable kernels on the CPU").only(Kind::CpuSeparable), &BORDERS[..]),
        (Tally::new("separable kernels").only(Kind::GpuSeparable), &BORDERS[..]),
        (
            Tally::small("separable kernels on small devices").only(Kind::GpuSeparable),
            &BORDERS[3..4],
        ),
        (
            Tally::specialised("separable kernels as constants").only(Kind::GpuSeparable),
            &BORDERS[1..2],
        ),
    ] {
        let mut rng = Rng::new(31);
        let mut types = TYPES.iter().cycle();
        for border in borders {
            for kernel in kernels() {
                let conv = Conv2d::new(kernel).border(*border);
                let layout = *rng.pick(&LAYOUTS);
                let step = *rng.pick(&[(1, 1), (2, 1), (1, 2), (3, 2)]);
                let apart = *rng.pick(&[(1, 1), (1, 3), (2, 1)]);
                let shape = dims([2, 21, 27, 1 + rng.below(5)], layout);
                for conv in [conv.clone(), conv.stride(step.0, step.1).dilation(apart.0, apart.1)] {
                    let case = Case::new(conv.layout(layout), shape).seed(rng.below(99) as u64);
                    tally.case(&case.types(*types.next().unwrap()));
                }
            }
        }
        // One term keeps infinities and NaNs where the formula has them.
        for (kernel, border) in kernels().into_iter().take(2).zip(borders) {
            let conv = Conv2d::new(kernel).border(*border);
            tally.case(&Case::new(conv, [1, 40, 40, 3]).non_finite());
        }
        let taken =
            tally.covered_by(tally.engines().first().map_or(Kind::GpuSeparable, |b| b.kind));
        let cases = 12 * borders.len() + borders.len().min(2);
        tally.finish(cases);
        assert!(taken.is_none_or(|n| n == cases), "`separable` took only {taken:?} cases");
    }
}

/// Transforms of every length, and every option that meets tiles: several of them, cut off at the last
/// row and column, with an odd number of planes, strides, dilations and filters; whole and in bands.
#[test]
fn fourier_tiles() {
    fourier(Tally::new("fourier tiles on the CPU").only(Kind::CpuFft), false);
    fourier(Tally::new("fourier tiles").only(Kind::GpuFft), true);
}

/// With fewer points an invocation, as for GPUs, and what fits WebGPU's default limits.
#[test]
fn fourier_tiles_of_gpus() {
    fourier(Tally::pretended("fourier tiles of GPUs").only(Kind::GpuFft), true);
}

fn fourier(mut tally: Tally, gpu: bool) {
    let mut rng = Rng::new(33);
    let mut lengths = [BTreeSet::new(), BTreeSet::new()];
    let mut tiles = |tally: &Tally, case: &Case| {
        for backend in tally.engines() {
            let prepared = backend.engine.prepare::<f32, f32>(&case.conv, case.shape).unwrap();
            let size = match prepared.plan().launch() {
                Launch::Gpu(GpuLaunch { scheme: Scheme::Fft(tile), .. }) => tile.size,
                Launch::Cpu(CpuLaunch { scheme: CpuScheme::Fft { tile }, .. }) => {
                    (tile.0 as u32, tile.1 as u32)
                }
                _ => panic!("{}", prepared.plan()),
            };
            lengths[0].insert(size.0);
            lengths[1].insert(size.1);
        }
    };
    let sizes = [
        (5, 155),
        (21, 50),
        (40, 85),
        (90, 160),
        (180, 330),
        (360, 510),
        (700, 1100),
        (1300, 1450),
    ];
    // The CPU takes no longer tiles.
    let sizes = if gpu { &sizes[..] } else { &sizes[..7] };
    for (i, (long, n)) in sizes.iter().copied().enumerate() {
        for turned in [false, true] {
            let (kernel, shape) = match turned {
                false => (rng.kernel(2, long, 1), [1, 3, n, 3]),
                true => (rng.kernel(long, 3, 1), [3, n, 3, 1]),
            };
            let case = Case::new(Conv2d::new(kernel).border(BORDERS[i % 6]), shape);
            tiles(&tally, &case);
            tally.case(&case);
        }
    }
    for (i, border) in BORDERS.into_iter().enumerate() {
        for (stride, dilation) in [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((3, 1), (2, 4))] {
            let filters = 1 + i % 3;
            let conv = Conv2d::new(rng.kernel(7, 6, filters))
                .border(border)
                .stride(stride.0, stride.1)
                .dilation(dilation.0, dilation.1)
                .bias(rng.f32s(filters, -1.0, 1.0))
                .activation(Activation::Leaky(0.1));
            let layout = LAYOUTS[i % 2];
            let case = Case::new(conv.layout(layout), dims([3, 61, 90, 3], layout));
            tally.case(&case.types(TYPES[(i + stride.0) % 4]));
        }
    }
    // Sums of several filters go through one more pass.
    for outputs in 1..=3 {
        let conv = Conv2d::new(rng.kernel(9, 9, 3)).activation(Activation::Relu);
        let weights = rng.f32s(3 * outputs, -1.0, 1.0);
        let conv = conv.pointwise(Pointwise::new(3, outputs, weights).unwrap());
        tally.case(&Case::new(conv, [2, 40, 50, 3]));
    }
    let taken = tally.covered_by(if gpu { Kind::GpuFft } else { Kind::CpuFft });
    let cases = 21 + 2 * sizes.len();
    tally.finish(cases);
    assert!(taken.is_none_or(|n| n == cases), "`fft` took only {taken:?} cases");
    if gpu && taken.is_some() {
        let all: BTreeSet<u32> = (5..=11).map(|n| 1 << n).collect();
        assert!(lengths.iter().all(|some| some.is_superset(&all)), "{lengths:?}");
    }
}

/// Strides, dilations, channels, filters and element types with every size a constant of the shader.
#[test]
fn constant_sizes() {
    let mut tally = Tally::specialised("constant sizes").only(Kind::GpuFlat);
    let mut rng = Rng::new(32);
    for i in 0..24 {
        let filters = *rng.pick(&[1, 1, 2, 3, 5]);
        let (height, width) = (1 + rng.below(5), 1 + rng.below(6));
        let conv = Conv2d::new(rng.kernel(height, width, filters))
            .border(BORDERS[i % BORDERS.len()])
            .stride(1 + rng.below(3), 1 + rng.below(3))
            .dilation(1 + rng.below(3), 1 + rng.below(3))
            .padding(Padding::all(rng.below(9)));
        let shape = [1 + rng.below(2), 20 + rng.below(20), 20 + rng.below(20), 1 + rng.below(9)];
        tally.case(&Case::new(conv, shape).types(TYPES[i / 2 % TYPES.len()]).seed(i as u64));
    }
    tally.finish(20);
}

/// Taps much farther apart than the input is long, and columns between them that no output needs:
/// neither memory nor time may grow with the distance.
#[test]
fn far_taps() {
    let mut tally = Tally::new("far taps");
    let mut rng = Rng::new(21);
    let far = [(1_000_000, 1), (1, 20_000_000), (1 << 27, 1 << 27), (70_000, 2)];
    let apart = [(1, 9), (1, 21), (2, 40), (3, 64)];
    for border in BORDERS {
        for (dilation, shape) in
            far.iter().map(|d| (d, [1, 8, 64, 4])).chain(apart.iter().map(|d| (d, [1, 5, 90, 4])))
        {
            for stride in [(1, 1), (1, 2), (2, 3)] {
                let conv = Conv2d::new(rng.kernel(3, 4, 1)).border(border);
                let conv = conv.dilation(dilation.0, dilation.1).stride(stride.0, stride.1);
                tally.case(&Case::new(conv, shape));
            }
        }
    }
    // Where a block would reach beyond what can be counted, `flat` leaves it to `direct`.
    tally.finish(126);
}

/// Old llvmpipe ends an invocation after 65 535 loop iterations, which kernels like these passed.
#[test]
fn large_kernels() {
    let mut tally = Tally::new("large kernels");
    let mut rng = Rng::new(22);
    for (kernel, types) in [
        ((129, 129, 1), (U8, U8)),
        ((257, 255, 1), (F32, F32)),
        ((127, 127, 4), (F32, F32)),
        ((1, 4097, 2), (F32, U8)),
        ((3001, 3, 1), (F32, F32)),
    ] {
        let conv = Conv2d::new(rng.kernel(kernel.0, kernel.1, kernel.2)).border(Border::Wrap);
        tally.case(&Case::new(conv, [1, 3, 10, 4]).types(types));
    }
    tally.finish(2);
}

/// Infinities and NaNs: `0 * inf` is a NaN on every engine, for no tap is skipped.
#[test]
fn non_finite_input() {
    let mut tally = Tally::new("non-finite input");
    let mut rng = Rng::new(11);
    let zeros_among =
        Kernel::new(3, 3, vec![0.0, 1.0, 0.0, -0.5, 0.0, 2.0, 0.0, 0.25, 0.0]).unwrap();
    for (i, border) in BORDERS.into_iter().enumerate() {
        for kernel in [zeros_among.clone(), rng.kernel(3, 3, 1)] {
            let conv = Conv2d::new(kernel).border(border);
            tally.case(&Case::new(conv.clone(), [1, 9, 13, 4]).non_finite());
            let layout = LAYOUTS[i % 2];
            let case = Case::new(conv.layout(layout), dims([2, 5, 7, 3], layout)).non_finite();
            tally.case(&case.clone());
            tally.case(&case.clone().types((F32, U8)));
            tally.case(&case.clone().types((F16, F16)));
            tally.case(&case.types((F32, U16)));
        }
    }
    let infinite = Kernel::new(1, 3, vec![f32::INFINITY, 1.0, f32::NAN]).unwrap();
    tally.case(&Case::new(Conv2d::new(infinite), [1, 5, 6, 4]));
    for border in [f32::INFINITY, f32::NAN] {
        let conv = Conv2d::new(zeros_among.clone()).border(Border::Constant(border));
        tally.case(&Case::new(conv.clone(), [1, 5, 6, 4]));
        tally.case(&Case::new(conv, [1, 5, 6, 3]).types((U8, U8)));
    }
    for activation in ACTIVATIONS.into_iter().chain(FLOAT_ACTIVATIONS) {
        let conv = Conv2d::new(zeros_among.clone()).activation(activation);
        tally.case(&Case::new(conv, [1, 9, 13, 4]).non_finite());
    }
    tally.finish(40);
}

/// Large enough to be cut into tasks for several threads, and to leave a tile's width.
#[test]
fn large_enough_for_threads_and_tiles() {
    let mut tally = Tally::new("threads and tiles");
    let mut rng = Rng::new(12);
    for (shape, kernel, types) in [
        ([1, 65, 127, 5], (5, 5, 1), (F32, F32)),
        ([2, 33, 65, 17], (5, 5, 1), (U8, U8)),
        ([1, 9, 2800, 3], (5, 3, 2), (F32, F32)),
        ([3, 31, 40, 64], (3, 3, 1), (F32, U8)),
        // Rows of several tiles where the CPU reads them where they lie.
        ([1, 14, 3000, 3], (3, 3, 1), (F32, F32)),
        ([1, 11, 2100, 5], (5, 5, 1), (F32, F32)),
    ] {
        let conv = Conv2d::new(rng.kernel(kernel.0, kernel.1, kernel.2)).border(Border::Reflect);
        let case = Case::new(conv, shape).types(types);
        assert!(case.problem().unwrap().multiply_adds() > 1_000_000, "{case}");
        tally.case(&case);
    }
    for (step, types) in [(1, (F32, F32)), (2, (F32, U8)), (1, (U8, F32))] {
        let conv = Conv2d::new(Kernel::gaussian(9, 2.0).unwrap()).border(Border::Reflect101);
        let conv = conv.stride(step, step);
        tally.case(&Case::new(conv, [2, 31, 1100, 9]).types(types));
    }
    let separable = tally.covered_by(Kind::CpuSeparable);
    tally.finish(9);
    assert_eq!(separable, Some(3));
}

/// Cut into bands of rows, and of columns where a row is too long, by every border: what a band
/// needs from beyond its edges, from the other end of the input too, it has to be given.
#[test]
fn bands_on_small_devices() {
    let mut tally = Tally::small("bands on small devices");
    let mut rng = Rng::new(17);
    let mut types = TYPES.into_iter().cycle();
    // Rows of 64 KiB and more, even as bytes, and images of several times that.
    let shapes =
        [[1, 61, 300, 3], [1, 5, 23_000, 3], [2, 140, 120, 4], [1, 3, 70_000, 1], [1, 7, 800, 3]];
    for border in BORDERS {
        for (i, shape) in shapes.into_iter().enumerate() {
            let conv = Conv2d::new(rng.kernel(3, 2, 1 + i % 2)).border(border);
            let conv = match i {
                0 => conv.padding(Padding::Explicit { top: 130, bottom: 3, left: 0, right: 2 }),
                1 => conv.dilation(2, 3),
                2 => conv.stride(2, 1).padding(Padding::Full),
                // Bands that lie between the second bounce and the third.
                4 => conv.padding(Padding::Explicit { top: 40, bottom: 30, left: 0, right: 1 }),
                _ => conv.padding(Padding::Explicit { top: 1, bottom: 1, left: 0, right: 900 }),
            };
            let types = if i == 2 { types.next().unwrap() } else { (F32, F32) };
            tally.case(&Case::new(conv, shape).types(types));
        }
        let layout = Layout::Nchw;
        let conv = Conv2d::new(rng.kernel(5, 3, 2)).border(border).layout(layout);
        tally.case(&Case::new(conv, [2, 3, 120, 90]).types((U8, U8)));
    }
    for backend in small_devices().iter().filter(|b| b.kind.is_exact()) {
        let conv = Conv2d::new(rng.kernel(3, 3, 1));
        let prepared = backend.engine.prepare::<f32, f32>(&conv, [1, 5, 23_000, 3]).unwrap();
        let Launch::Gpu(launch) = prepared.plan().launch() else { panic!("not a GPU") };
        assert!(launch.bands.iter().any(|band| band.columns.len() < 23_000), "{}", backend.name);
        assert!(launch.bands.len() >= 15, "{}: {} bands", backend.name, launch.bands.len());
    }
    tally.finish(36);
}

/// Ties: with weights of a half every sum is exact, so there is one right answer.
#[test]
fn ties_round_to_even() {
    ties::<u8>();
    ties::<u16>();
    ties::<f16>();
}

fn ties<T: Element>() {
    let mut tally = Tally::new("ties").exact();
    let mut seen = false;
    for weights in [vec![0.5], vec![0.5, 0.5], vec![1.5, -0.5]] {
        for channels in [1, 3, 4] {
            let conv = Conv2d::new(Kernel::new(1, weights.len(), weights.clone()).unwrap());
            let case = Case::new(conv.clone(), [1, 9, 11, channels]).types((T::TYPE, T::TYPE));
            let problem = case.problem().unwrap();
            let mut input: Vec<T> = case.input(&problem);
            if T::TYPE == F16 {
                // Of one exponent, so that sums need one bit more.
                input.iter_mut().for_each(|x| *x = T::from_f32(1.0 + 0.999 * x.to_f32().abs()));
            }
            let want = reference::run(&problem, &input);
            seen |= want.iter().any(|e| {
                let near = |part: f64| Expected { value: e.value * part, ..*e }.nearest::<T>();
                near(1.0 - 1e-9) != near(1.0 + 1e-9)
            });
            tally.each(&case, |engine| {
                match run_dirty::<T, T>(engine, &conv, case.shape, &input) {
                    Outcome::Done(got) => {
                        let exact: Vec<T> = want.iter().map(Expected::nearest).collect();
                        match common::same_bits(&got, &exact) {
                            Ok(()) => Outcome::Done(got),
                            Err(text) => Outcome::Failed(text),
                        }
                    }
                    other => other,
                }
            });
        }
    }
    assert!(seen, "no tie to be seen");
    tally.finish(9);
}

/// Every half float through a kernel that changes nothing, subnormal and infinite ones too; and what lies
/// in the middle between two, or just beside it, out of f32.
#[test]
fn every_half_float() {
    let mut tally = Tally::new("half floats").exact();
    let same = Conv2d::new(Kernel::identity());
    let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|x| !x.is_nan()).collect();
    let wide: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
    let between: Vec<f32> = halves
        .windows(2)
        .filter(|pair| pair[1].is_finite())
        .flat_map(|pair| {
            let middle = (pair[0].to_f32() + pair[1].to_f32()) / 2.0;
            [middle.next_down(), middle, middle.next_up()]
        })
        .chain([65_519.996, 65_520.0, -65_520.0, f32::MAX, f32::MIN])
        .collect();
    let narrow: Vec<f16> = between.iter().map(|x| f16::from_f32(*x)).collect();
    let shape = |n: usize| Shape::from([1, 1, n, 1]);
    let case = Case::new(same.clone(), [1, 1, halves.len(), 1]).types((F16, F16));
    tally.each(&case, |engine| {
        let there = run_dirty::<f16, f32>(engine, &same, shape(halves.len()), &halves);
        let back = run_dirty::<f32, f16>(engine, &same, shape(between.len()), &between);
        match (there, back) {
            (Outcome::Done(there), _) if there != wide => {
                Outcome::Failed("f16 became other numbers in f32".into())
            }
            (Outcome::Done(_), Outcome::Done(back)) => {
                match back.iter().zip(&narrow).position(|(got, want)| got != want) {
                    None => Outcome::Done(back),
                    Some(at) => Outcome::Failed(format!(
                        "{} became {} for {}",
                        between[at], back[at], narrow[at]
                    )),
                }
            }
            (Outcome::Done(_), other) => other,
            (Outcome::Failed(why) | Outcome::NotApplicable(why), _) => Outcome::Failed(why),
        }
    });
    tally.finish(1);
}

/// Views that are not in standard order, as input and as output; what surrounds an output view
/// stays as it was.
#[test]
fn views_that_are_not_contiguous() {
    let mut tally = Tally::new("views");
    let mut rng = Rng::new(13);
    let big = Array4::from_shape_vec((3, 12, 20, 6), rng.f32s(3 * 12 * 20 * 6, -1.0, 1.0)).unwrap();
    let views: [(&str, ArrayView4<'_, f32>); 6] = [
        ("reversed rows", big.slice(s![.., ..;-1, .., ..])),
        ("reversed everywhere", big.slice(s![..;-1, ..;-1, ..;-1, ..;-1])),
        ("every other", big.slice(s![..;2, 1..;2, ..;3, 1..6;2])),
        ("a part", big.slice(s![1..2, 2..10, 3..19, 2..5])),
        ("transposed", big.view().permuted_axes([0, 2, 1, 3])),
        ("channels first", big.view().permuted_axes([0, 3, 1, 2])),
    ];
    let conv = Conv2d::new(rng.kernel(3, 3, 2)).border(Border::Wrap).bias([0.1, 0.2]);
    for (name, view) in views {
        let shape = Shape::from_dims(view.shape()).unwrap();
        let problem = Problem::new(&conv, shape, F32, F32).unwrap();
        let standard: Vec<f32> = view.iter().copied().collect();
        let want = reference::run(&problem, &standard);
        let out = problem.output_shape();
        let &[n, h, w, c] = out.dims() else { panic!("{out}") };
        tally.each(&name, |engine| {
            // Into every other row and column, backwards, of something larger.
            let mut whole = Array4::from_elem((n, 2 * h, w + 3, c + 1), 77.0f32);
            let mut into = whole.slice_mut(s![..;-1, 1..;2, 1..w + 1;-1, ..c]);
            into.fill(f32::NAN);
            match engine.run_into(&conv, &view, &mut into) {
                Ok(()) => {}
                Err(channelwise::Error::NotApplicable { reason, .. }) => {
                    return Outcome::NotApplicable(reason);
                }
                Err(error) => return Outcome::Failed(error.to_string()),
            }
            let got: Vec<f32> = into.iter().copied().collect();
            into.fill(77.0);
            if whole.iter().any(|x| *x != 77.0) {
                return Outcome::Failed("something beside the view was written".into());
            }
            // And into a new array.
            let new = engine.run(&conv, &view).unwrap();
            let same = common::same_bits(&new.into_raw_vec_and_offset().0, &got);
            match same.and(compare(&got, &want, out)) {
                Ok(()) => Outcome::Done(got),
                Err(text) => Outcome::Failed(text),
            }
        });
    }
    // A view whose axes have stride 0, and the shorter kinds.
    let column = Array3::from_shape_vec((5, 1, 3), rng.elements(15, 0.0, 1.0)).unwrap();
    let wide = column.broadcast((5, 8, 3)).unwrap();
    let conv = Conv2d::like_opencv(rng.kernel(3, 3, 1));
    let plane: Array2<u8> = Array::from_shape_vec((9, 7), rng.elements(63, 0.0, 1.0)).unwrap();
    let turned = plane.t();
    let judged = |engine: &Engine| -> Outcome<u8> {
        let got = match engine.run::<u8, _>(&conv, &wide) {
            Err(channelwise::Error::NotApplicable { reason, .. }) => {
                return Outcome::NotApplicable(reason);
            }
            got => got.unwrap(),
        };
        let problem = Problem::new(&conv, [5, 8, 3], U8, U8).unwrap();
        let standard: Vec<u8> = wide.iter().copied().collect();
        let first = compare(
            got.as_slice().unwrap(),
            &reference::run(&problem, &standard),
            problem.output_shape(),
        );
        let got = engine.run(&conv, &turned).unwrap();
        let problem = Problem::new(&conv, [7, 9], U8, U8).unwrap();
        let standard: Vec<u8> = turned.iter().copied().collect();
        let second = compare(
            got.as_slice().unwrap(),
            &reference::run(&problem, &standard),
            problem.output_shape(),
        );
        match first.and(second) {
            Ok(()) => Outcome::Done(Vec::new()),
            Err(text) => Outcome::Failed(text),
        }
    };
    tally.each(&"broadcast and turned", judged);
    tally.finish(7);
}

/// Whatever chance puts together; the seed makes it the same every time.
#[test]
fn random_combinations() {
    let mut tally = Tally::new("random combinations");
    for seed in 0..120 {
        tally.case(&random_applicable(seed));
    }
    tally.finish(110);
}

/// Many more where no pipeline has to be compiled.
#[test]
fn random_combinations_on_the_cpu() {
    let mut tally = Tally::cpu_only("random combinations on the CPU");
    for seed in 120..2000 {
        tally.case(&random_applicable(seed));
    }
    tally.finish(0);
}

/// Options that leave no output, or a case too slow for the plain loops, are drawn again.
fn random_applicable(seed: u64) -> Case {
    let mut rng = Rng::new(1000 + seed);
    (0..100)
        .map(|_| random_case(&mut rng).seed(seed))
        .find(|case| case.problem().is_ok_and(|p| p.multiply_adds() < 60_000))
        .unwrap()
}

fn random_case(rng: &mut Rng) -> Case {
    let types = *rng.pick(&TYPES);
    let layout = *rng.pick(&LAYOUTS);
    let filters = *rng.pick(&[1, 1, 1, 2, 3, 4, 5]);
    let &(kh, kw) = rng.pick(&KERNELS);
    let &(sh, sw) = rng.pick(&STRIDES);
    let &(dh, dw) = rng.pick(&DILATIONS);
    let mut conv = Conv2d::new(rng.kernel(kh, kw, filters))
        .layout(layout)
        .border(*rng.pick(&BORDERS))
        .stride(sh, sw)
        .dilation(dh, dw);
    match rng.below(5) {
        0 => conv = conv.padding(Padding::Valid),
        1 => conv = conv.padding(Padding::Full),
        2 => {
            let [top, bottom, left, right] = [0; 4].map(|_| rng.below(12));
            conv = conv.padding(Padding::Explicit { top, bottom, left, right });
        }
        3 => conv = conv.anchor(rng.below(kh), rng.below(kw)),
        _ => {}
    }
    if rng.chance(3) {
        conv = conv.flip();
    }
    if rng.chance(2) {
        conv = conv.bias(rng.f32s(filters, -0.5, 0.5));
    }
    let last = |rng: &mut Rng| {
        if types.1 == F32 && rng.chance(3) {
            *rng.pick(&FLOAT_ACTIVATIONS)
        } else {
            *rng.pick(&ACTIVATIONS)
        }
    };
    if rng.chance(2) {
        conv = conv.activation(last(rng));
    }
    let mut outputs = filters;
    if rng.chance(4) {
        outputs = *rng.pick(&[1, 2, 4]);
        let weights = rng.f32s(filters * outputs, -1.0, 1.0);
        let mut pointwise = Pointwise::new(filters, outputs, weights).unwrap();
        if rng.chance(2) {
            pointwise = pointwise.bias(rng.f32s(outputs, -0.5, 0.5));
        }
        if rng.chance(2) {
            pointwise = pointwise.activation(last(rng));
        }
        conv = conv.pointwise(pointwise);
    }
    let (h, w) = (*rng.pick(&SIZES), *rng.pick(&SIZES));
    let c = *rng.pick(&[1, 2, 3, 4, 5, 8, 17]);
    let shape: Shape = match rng.below(4) {
        0 if outputs == 1 => [h, w].into(),
        1 if layout == Layout::Nhwc => [h, w, c].into(),
        1 => [c, h, w].into(),
        _ => dims([1 + rng.below(2), h, w, c], layout).into(),
    };
    Case::new(conv, shape).types(types)
}

/// The comparison that all of this rests on sees one wrong element.
mod the_comparison {
    use super::*;

    fn answer<U: Element>(to: ElementType) -> (Vec<U>, Vec<Expected>, Shape) {
        let case =
            Case::new(Conv2d::new(Rng::new(15).kernel(3, 3, 1)), [1, 6, 7, 3]).types((F32, to));
        let problem = case.problem().unwrap();
        let input: Vec<f32> = case.input(&problem);
        let want = reference::run(&problem, &input);
        let got = want.iter().map(Expected::nearest).collect();
        (got, want, problem.output_shape())
    }

    #[test]
    fn takes_the_right_answer() {
        let (got, want, shape) = answer::<f32>(F32);
        assert_eq!(compare(&got, &want, shape), Ok(()));
        let (got, want, shape) = answer::<u8>(U8);
        assert_eq!(compare(&got, &want, shape), Ok(()));
    }

    #[test]
    fn refuses_one_wrong_float() {
        let (got, want, shape) = answer::<f32>(F32);
        // Twice the allowance, a NaN, an infinity, and what outputs are filled with.
        let at = got.len() - 5;
        let off = got[at] + 2.0 * want[at].allowance as f32;
        assert!((off - got[at]).abs() < 1e-5, "the bound is wide: {off} for {}", got[at]);
        for wrong in [off, f32::NAN, f32::NEG_INFINITY, 1.234_567e30, -got[at]] {
            let mut got = got.clone();
            got[at] = wrong;
            let text = compare(&got, &want, shape).unwrap_err();
            assert!(text.starts_with("1 of 126 elements are wrong"), "{text}");
            assert!(text.contains("at [0, 5, 5, 1]"), "{text}");
        }
    }

    #[test]
    fn refuses_one_wrong_byte() {
        let (got, want, shape) = answer::<u8>(U8);
        for at in [0, 60, got.len() - 1] {
            let mut got = got.clone();
            // A byte that is wrong by one, away from ties.
            got[at] = if got[at] == 255 { 254 } else { got[at] + 1 };
            assert!(compare(&got, &want, shape).is_err(), "element {at}");
        }
    }

    #[test]
    fn tells_three_and_counts_the_rest() {
        let (got, want, shape) = answer::<f32>(F32);
        let wrong: Vec<f32> = got.iter().map(|x| x + 1.0).collect();
        let text = compare(&wrong, &want, shape).unwrap_err();
        assert_eq!(text.lines().count(), 1 + 3 + 1, "{text}");
        assert!(text.ends_with("and 123 more"), "{text}");
        assert!(compare(&got[1..], &want, shape).is_err());
    }

    #[test]
    #[should_panic(expected = "1 failures")]
    fn fails_its_test() {
        common::refuse("a test", &["cpu: 1 of 9 elements are wrong".into()]);
    }

    /// An engine that leaves elements as they were would be seen, bytes too.
    #[test]
    fn dirt_is_never_right() {
        let case = Case::new(Conv2d::new(Rng::new(15).kernel(3, 3, 1)), [1, 6, 7, 3]);
        let problem = case.problem().unwrap();
        let input: Vec<f32> = case.input(&problem);
        let want = reference::run(&problem, &input);
        assert!(!want.iter().any(|e| e.accepts(f32::NAN) || e.accepts(1.234_567e30f32)));
        assert!(common::same_bits(&[170u8], &[85u8]).is_err());
    }

    /// Every engine there is takes part: none drops out in silence.
    #[test]
    fn all_engines_take_part() {
        let names: Vec<&str> = engines().iter().map(|b| b.name.as_str()).collect();
        for level in channelwise::Cpu::simd_levels() {
            assert!(names.contains(&format!("cpu {level} x1").as_str()), "{names:?}");
            assert!(names.contains(&format!("cpu {level} x2").as_str()), "{names:?}");
        }
        assert_eq!(names.contains(&"gpu direct"), Engine::gpu().is_ok(), "{names:?}");
    }
}

/// The axes of a view count, not its memory: a turned copy of the input gives the turned output.
#[test]
fn a_turned_kernel_on_a_turned_input() {
    let mut tally = Tally::new("turned");
    let mut rng = Rng::new(16);
    let x = Array2::from_shape_vec((7, 10), rng.f32s(70, -1.0, 1.0)).unwrap();
    let k = Array2::from_shape_vec((3, 5), rng.f32s(15, -1.0, 1.0)).unwrap();
    let conv = Conv2d::new(Kernel::from_array2(&k).unwrap());
    let turned = Conv2d::new(Kernel::from_array2(&k.t()).unwrap());
    let problem = Problem::new(&turned, [10, 7], F32, F32).unwrap();
    let standard: Vec<f32> = x.t().iter().copied().collect();
    let want = reference::run(&problem, &standard);
    tally.each(&"5x3 on 10x7", |engine| {
        let mut out = Array2::from_elem((7, 10), f32::NAN);
        match engine.run_into(&conv, &x, &mut out) {
            Err(channelwise::Error::NotApplicable { reason, .. }) => {
                return Outcome::NotApplicable(reason);
            }
            done => done.unwrap(),
        }
        let got: Vec<f32> = out.t().iter().copied().collect();
        match compare(&got, &want, problem.output_shape()) {
            Ok(()) => Outcome::Done(got),
            Err(text) => Outcome::Failed(text),
        }
    });
    tally.finish(1);
}
