//! What an algorithm may refuse, by tables of its own: terms, tiles, bands, far taps and large kernels.

use std::collections::BTreeSet;

use channelwise::plan::{CpuLaunch, CpuScheme, GpuLaunch, Launch, Scheme};
use channelwise::reference::{self};
use channelwise::{Activation, Border, Conv2d, Kernel, Layout, Padding, Pointwise, Problem, Shape};

use super::*;
use crate::common::{
    BORDERS, Case, F32, Kind, Outcome, Rng, Tally, U8, compare, dims, full, pairwise, run_dirty,
    small_devices,
};

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
        let (mut rng, mut cases) = (Rng::new(31), 0);
        let mut types = TYPES.iter().cycle();
        for border in borders {
            for kernel in kernels() {
                let conv = Conv2d::new(kernel).border(*border);
                let layout = *rng.pick(&LAYOUTS);
                let step = *rng.pick(&[(1, 1), (2, 1), (1, 2), (3, 2)]);
                let apart = *rng.pick(&[(1, 1), (1, 3), (2, 1)]);
                let shape = dims([2, 21, 27, 1 + rng.below(5)], layout);
                // Each with every border; one way or the other, as chance has it.
                let strided = conv.clone().stride(step.0, step.1).dilation(apart.0, apart.1);
                let both = match full() {
                    true => vec![conv, strided],
                    false => vec![if rng.chance(2) { conv } else { strided }],
                };
                for conv in both {
                    let case = Case::new(conv.layout(layout), shape).seed(rng.below(99) as u64);
                    tally.case(&case.types(*types.next().unwrap()));
                    cases += 1;
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
        cases += borders.len().min(2);
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

/// With fewer points an invocation, as for GPUs, and what fits WebGPU's default limits; in three passes all.
#[test]
fn fourier_tiles_of_gpus() {
    fourier(Tally::pretended("fourier tiles of GPUs").only(Kind::GpuFft), true);
}

fn fourier(mut tally: Tally, gpu: bool) {
    let (mut rng, mut cases) = (Rng::new(33), 0);
    let mut lengths = [BTreeSet::new(), BTreeSet::new()];
    let mut tiles = |tally: &Tally, case: &Case| {
        for backend in tally.engines() {
            let prepared = backend.engine.prepare::<f32, f32>(&case.conv, case.shape).unwrap();
            let size = match prepared.plan().launch() {
                Launch::Gpu(GpuLaunch { scheme: Scheme::Fft(tile), .. }) => tile.size,
                Launch::Cpu(CpuLaunch { scheme: CpuScheme::Fft { tile, .. }, .. }) => {
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
        (66, 60),
        (90, 160),
        (180, 330),
        (360, 510),
        (700, 1100),
        (1300, 1450),
    ];
    // The CPU takes no longer tiles.
    let sizes = if gpu { &sizes[..] } else { &sizes[..8] };
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
    let steps = [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((3, 1), (2, 4))];
    for (i, border) in BORDERS.into_iter().enumerate() {
        for (stride, dilation) in steps {
            // On a GPU each border with one of them.
            if gpu && !full() && (stride, dilation) != steps[i % 3] {
                continue;
            }
            cases += 1;
            let filters = 1 + i / 2 % 3;
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
    cases += 3 + 2 * sizes.len();
    tally.finish(cases);
    assert!(taken.is_none_or(|n| n == cases), "`fft` took only {taken:?} cases");
    if gpu && taken.is_some() {
        let all: BTreeSet<u32> = (5..=11).map(|n| 1 << n).collect();
        assert!(lengths.iter().all(|some| some.is_superset(&all)), "{lengths:?}");
    }
}

/// Values that transforms, which meet a whole tile at once, could lose or spread: each stays within what the
/// plan states.
#[test]
fn transforms_of_hard_values() {
    hard_values(Tally::new("hard values on the CPU").only(Kind::CpuFft));
    hard_values(Tally::new("hard values on a GPU").only(Kind::GpuFft));
}

fn hard_values(mut tally: Tally) {
    let shape = Shape::from([1, 45, 70, 3]);
    let len = 45 * 70 * 3;
    let one = |value: f32| {
        let mut x = vec![0.0; len];
        x[(20 * 70 + 33) * 3 + 1] = value;
        x
    };
    let each = |value: fn(usize) -> f32| (0..len).map(value).collect::<Vec<f32>>();
    let inputs = [
        ("an impulse", one(1.0)),
        ("1e30 beside ones", each(|i| if i == 4000 { 1e30 } else { 1.0 })),
        ("a checkerboard", each(|i| if (i / 3 + i / 210).is_multiple_of(2) { 1.0 } else { -1.0 })),
        ("stripes of 1e-30 and 1e30", each(|i| if i / 210 % 2 == 0 { 1e-30 } else { 1e30 })),
        ("a constant", each(|_| 0.1)),
        ("a constant of 1e30", each(|_| 1e30)),
        // They share tiles.
        ("a bright channel beside dark ones", each(|i| if i % 3 == 0 { 1e6 } else { 1e-3 })),
        ("a dark channel between bright ones", each(|i| if i % 3 == 1 { 1e-3 } else { 1e6 })),
        ("subnormal numbers", each(|i| (i % 97) as f32 * 1e-41)),
    ];
    for (name, x) in inputs {
        for border in [Border::ZERO, Border::Reflect101] {
            let conv = Conv2d::new(Rng::new(41).kernel(31, 31, 1)).border(border).assume_finite();
            let problem = Problem::new(&conv, shape, F32, F32).unwrap();
            tally.each(&format!("{name}, {border}"), |engine| {
                let spread = match engine.prepare::<f32, f32>(&conv, shape) {
                    Ok(prepared) => prepared.plan().accuracy().spread,
                    Err(error) => return Outcome::NotApplicable(error.to_string()),
                };
                let mut want = reference::run_within(&problem, &x, spread);
                // Below the smallest normal number a device may take anything for 0.
                let lost = 2.0 * f64::from(f32::MIN_POSITIVE) * (4.0 + spread);
                want.iter_mut().for_each(|want| want.allowance += lost);
                match run_dirty::<f32, f32>(engine, &conv, shape, &x) {
                    Outcome::Done(got) => match compare(&got, &want, shape) {
                        Ok(()) => Outcome::Done(got),
                        Err(text) => Outcome::Failed(text),
                    },
                    other => other,
                }
            });
        }
    }
    let kinds = [Kind::CpuFft, Kind::GpuFft];
    let taken = kinds.iter().find_map(|kind| tally.covered_by(*kind));
    tally.finish(18);
    assert!(taken.is_none_or(|n| n == 18), "`fft` took only {taken:?} cases");
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
    let strides = [(1, 1), (1, 2), (2, 3)];
    for [border, dilation, stride] in pairwise([BORDERS.len(), 8, strides.len()]) {
        let (dilation, shape) = match dilation {
            0..4 => (far[dilation], [1, 8, 64, 4]),
            _ => (apart[dilation - 4], [1, 5, 90, 4]),
        };
        let stride = strides[stride];
        let conv = Conv2d::new(rng.kernel(3, 4, 1)).border(BORDERS[border]);
        let conv = conv.dilation(dilation.0, dilation.1).stride(stride.0, stride.1);
        tally.case(&Case::new(conv, shape));
    }
    // Where a block would reach beyond what can be counted, `flat` leaves it to `direct`.
    tally.finish(40);
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
    // Rows of 64 KiB and more, even as bytes, and images of several times that. Bands of small problems are
    // met in `seams.rs`.
    let shapes =
        [[1, 61, 300, 3], [1, 5, 23_000, 3], [2, 140, 120, 4], [1, 3, 70_000, 1], [1, 7, 800, 3]];
    for (number, [border, i]) in pairwise([BORDERS.len(), 6]).into_iter().enumerate() {
        // A third of the pairs, each border and each shape with two of the others.
        if !full() && !(border + 2 * i).is_multiple_of(3) {
            continue;
        }
        let border = BORDERS[border];
        if i == 5 {
            let conv = Conv2d::new(rng.kernel(5, 3, 2)).border(border).layout(Layout::Nchw);
            tally.case(&Case::new(conv, [2, 3, 120, 90]).types((U8, U8)));
            continue;
        }
        let conv = Conv2d::new(rng.kernel(3, 2, 1 + i % 2)).border(border);
        let conv = match i {
            0 => conv.padding(Padding::Explicit { top: 130, bottom: 3, left: 0, right: 2 }),
            1 => conv.dilation(2, 3),
            2 => conv.stride(2, 1).padding(Padding::Full),
            // Bands that lie between the second bounce and the third.
            4 => conv.padding(Padding::Explicit { top: 40, bottom: 30, left: 0, right: 1 }),
            _ => conv.padding(Padding::Explicit { top: 1, bottom: 1, left: 0, right: 900 }),
        };
        let types = if i == 2 { TYPES[number % TYPES.len()] } else { (F32, F32) };
        tally.case(&Case::new(conv, shapes[i]).types(types));
    }
    for backend in small_devices().iter().filter(|b| b.kind.is_exact()) {
        let conv = Conv2d::new(rng.kernel(3, 3, 1));
        let prepared = backend.engine.prepare::<f32, f32>(&conv, [1, 5, 23_000, 3]).unwrap();
        let Launch::Gpu(launch) = prepared.plan().launch() else { panic!("not a GPU") };
        assert!(launch.bands.iter().any(|band| band.columns.len() < 23_000), "{}", backend.name);
        assert!(launch.bands.len() >= 15, "{}: {} bands", backend.name, launch.bands.len());
    }
    tally.finish(12);
}
