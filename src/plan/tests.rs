//! Plans as tables: what is taken where.

pub(crate) mod bands;
mod cpu;
mod engines;
mod gradient;
mod phases;
mod separable;
mod strip;

use super::pass::fold;
use super::*;
use crate::{Activation, Border, Conv2d, ElementType, Kernel, Layout, Padding, Pointwise, Shape};

const F32: ElementType = ElementType::F32;
const U8: ElementType = ElementType::U8;

/// Devices as their drivers report them.
fn devices() -> Vec<(&'static str, GpuLimits)> {
    let base = GpuLimits::webgpu_defaults();
    vec![
        ("WebGPU defaults", base),
        (
            "llvmpipe",
            GpuLimits {
                class: AdapterClass::Software,
                max_buffer: 1 << 31,
                max_invocations: 1024,
                offset_alignment: 16,
                max_iterations: 65_535,
                max_workgroup_memory: 32 << 10,
                ..base
            },
        ),
        (
            "Intel integrated",
            GpuLimits {
                class: AdapterClass::Integrated,
                max_binding: (1 << 30) - 4,
                max_buffer: 1 << 31,
                max_invocations: 1024,
                offset_alignment: 64,
                max_workgroup_memory: 32 << 10,
                ..base
            },
        ),
        (
            "Apple M",
            GpuLimits {
                class: AdapterClass::Integrated,
                max_binding: (4 << 30) - 4,
                max_buffer: 9 << 30,
                max_workgroups: 65_535,
                max_invocations: 1024,
                offset_alignment: 32,
                max_workgroup_memory: 32 << 10,
                ..base
            },
        ),
        (
            "RTX 40",
            GpuLimits {
                class: AdapterClass::Discrete,
                max_binding: (2 << 30) - 4,
                max_buffer: 1 << 40,
                max_invocations: 1024,
                offset_alignment: 32,
                max_workgroup_memory: 48 << 10,
                ..base
            },
        ),
        (
            "phone",
            GpuLimits {
                class: AdapterClass::Integrated,
                max_binding: 1 << 27,
                max_invocations: 128,
                max_workgroup_memory: 16 << 10,
                ..base
            },
        ),
    ]
}

fn kernel(h: usize, w: usize, f: usize) -> Kernel {
    // Without order, so that it is no sum of few separable ones.
    let weights = (0..h * w * f).map(|i| ((i * i * 7919 + i * 104_729) % 10_007) as f32).collect();
    Kernel::with_filters(h, w, f, weights).unwrap()
}

fn problem(conv: &Conv2d, shape: impl Into<Shape>, from: ElementType, to: ElementType) -> Problem {
    Problem::new(conv, shape, from, to).unwrap()
}

#[test]
fn march_is_taken_wherever_it_applies_and_flat_elsewhere() {
    let same = Conv2d::new(kernel(3, 3, 1));
    let rows = [
        (same.clone(), Shape::from([1, 1080, 1920, 3]), F32, F32, Algorithm::March),
        (same.clone(), [1, 1080, 1920, 4].into(), F32, F32, Algorithm::March),
        (same.clone(), [1, 512, 512, 224].into(), F32, F32, Algorithm::March),
        (same.clone().stride(2, 2), [8, 224, 224, 64].into(), F32, F32, Algorithm::March),
        (same.clone(), [1, 1080, 1920, 3].into(), U8, U8, Algorithm::March),
        (same.clone(), [1, 1080, 1919, 3].into(), U8, U8, Algorithm::March),
        (Conv2d::new(kernel(31, 31, 1)), [1, 1080, 1920, 3].into(), F32, F32, Algorithm::Flat),
        (Conv2d::new(kernel(3, 3, 4)), [1, 1080, 1920, 3].into(), F32, F32, Algorithm::March),
        (same.clone().stride(2, 2), [1, 1080, 1920, 3].into(), F32, F32, Algorithm::March),
        (Conv2d::new(kernel(3, 3, 5)), [1, 1080, 1920, 3].into(), F32, F32, Algorithm::March),
        // Too many filters.
        (Conv2d::new(kernel(3, 3, 25)), [1, 1080, 1920, 3].into(), F32, F32, Algorithm::Direct),
    ];
    for (name, limits) in devices() {
        for (conv, shape, from, to, wanted) in &rows {
            let machine = Machine::Gpu(limits, Residence::Host);
            let plan =
                choose(&problem(conv, *shape, *from, *to), &machine, Algorithm::Auto).unwrap();
            assert_eq!(plan.algorithm(), *wanted, "{name}, {shape}\n{plan}");
            let Launch::Gpu(launch) = plan.launch() else { panic!("{plan}") };
            for pass in Pass::of(&launch.scheme) {
                let [x, y] = pass.workgroup(launch);
                assert!(x * y <= limits.max_invocations, "{name}\n{plan}");
            }
        }
    }
}

#[test]
fn separable_is_taken_where_it_keeps_the_promises() {
    let taken = |conv: Conv2d, from| {
        let wanted = problem(&conv, [1, 1080, 1920, 3], from, F32);
        let on = |limits| Machine::Gpu(limits, Residence::Host);
        let plan = |limits| choose(&wanted, &on(limits), Algorithm::Auto).unwrap();
        devices().into_iter().map(|(_, limits)| plan(limits).algorithm()).collect::<Vec<_>>()
    };
    let gaussian = Conv2d::new(Kernel::gaussian(31, 5.0).unwrap());
    let two = Conv2d::new(Kernel::unsharp(31, 5.0, 1.0).unwrap());
    assert_eq!(taken(gaussian.clone(), F32), [Algorithm::Separable; 6]);
    assert_eq!(taken(Conv2d::new(kernel(31, 31, 1)), F32), [Algorithm::Flat; 6]);
    // Terms that cancel are left to those who allow it.
    assert_eq!(taken(two.clone(), F32), [Algorithm::Flat; 6]);
    let infinite = two.clone().border(Border::Constant(f64::INFINITY));
    assert_eq!(taken(infinite.clone(), U8), [Algorithm::Flat; 6]);
    assert_eq!(taken(infinite.assume_finite(), F32), [Algorithm::Flat; 6]);
    for allowed in [taken(two.clone().assume_finite(), F32), taken(two, U8)] {
        assert!(!allowed.contains(&Algorithm::Flat), "{allowed:?}");
        assert!(allowed.contains(&Algorithm::Separable), "{allowed:?}");
    }
    // Not worth a second pass.
    assert_eq!(taken(Conv2d::new(Kernel::box_blur(3, 3).unwrap()), F32)[4], Algorithm::March);
}

/// Where it is allowed, for kernels so large that tiles pay, in tiles that fit each device.
#[test]
fn fft_is_taken_for_large_kernels() {
    let taken = |conv: &Conv2d, from| {
        let wanted = problem(conv, [1, 1080, 1920, 3], from, F32);
        let plan =
            |limits| choose(&wanted, &Machine::Gpu(limits, Residence::Host), Algorithm::Auto);
        let plans = devices().into_iter().map(|(_, limits)| (limits, plan(limits).unwrap()));
        plans.collect::<Vec<_>>()
    };
    let all = |conv: &Conv2d, from, algorithm| {
        for (limits, plan) in taken(conv, from) {
            assert_eq!(plan.algorithm(), algorithm, "{limits:?}\n{plan}");
            let Launch::Gpu(launch) = plan.launch() else { panic!("{plan}") };
            let Scheme::Fft(tile) = &launch.scheme else { continue };
            for lines in [tile.lines.0, tile.lines.1] {
                assert!(lines.workgroup() <= limits.max_invocations, "{limits:?}\n{plan}");
                let bytes = 8 * lines.length * lines.count;
                assert!(bytes <= limits.max_workgroup_memory, "{limits:?}\n{plan}");
                // With more, GPUs spill.
                let points = if limits.class == AdapterClass::Software { 16 } else { 8 };
                assert!(lines.points <= points, "{limits:?}\n{plan}");
            }
        }
    };
    let [small, large] = [5, 63].map(|side| Conv2d::new(kernel(side, side, 1)));
    all(&large.clone().assume_finite(), F32, Algorithm::Fft);
    all(&large, U8, Algorithm::Fft);
    // What is not finite would spread.
    all(&large, F32, Algorithm::Flat);
    all(&large.border(Border::Constant(f64::INFINITY)), U8, Algorithm::Flat);
    all(&small.assume_finite(), F32, Algorithm::March);
}

/// Twin of the steps in `shaders/fft.wgsl`: up to three through workgroup memory, and one of 2, 4, 8 or 16.
#[test]
fn lines_take_no_more_steps_than_the_shader_has() {
    for class in [AdapterClass::Software, AdapterClass::Discrete] {
        let limits = GpuLimits {
            class,
            max_workgroup_memory: 32 << 10,
            max_invocations: 1024,
            ..GpuLimits::webgpu_defaults()
        };
        for log in fft::SIZES {
            for lines in [Lines::rows, Lines::columns].map(|of| of(1 << log, 32, &limits).unwrap())
            {
                let (steps, last) = lines.steps();
                assert!((1..=3).contains(&steps) && [2, 4, 8, 16].contains(&last), "{lines:?}");
                assert_eq!(lines.points.pow(steps) * last, lines.length, "{lines:?}");
                assert!(last <= lines.points && lines.count <= 32, "{lines:?}");
            }
        }
    }
}

/// Columns make whole cache lines where a device has room for them.
#[test]
fn columns_make_long_runs() {
    let counts = |(_, limits): (_, GpuLimits)| {
        [128, 256, 512].map(|length| Lines::columns(length, 256, &limits).unwrap().count)
    };
    let [defaults, llvmpipe, integrated, apple, discrete, phone] =
        <[_; 6]>::try_from(devices()).unwrap().map(counts);
    assert_eq!(defaults, [16, 8, 4]);
    assert_eq!([integrated, apple, discrete], [[16, 16, 8]; 3]);
    assert_eq!(phone, [8, 4, 2]);
    // As before.
    assert_eq!(llvmpipe, [8, 4, 1]);
}

/// What lies between two passes is counted as f32 and with its halo, also where it is far too much.
#[test]
fn separable_leaves_alone_what_does_not_fit_between_its_passes() {
    let limits = GpuLimits { max_binding: 1 << 20, ..GpuLimits::webgpu_defaults() };
    let machine = Machine::Gpu(limits, Residence::Host);
    // 127 rows of 3000 scalars, of an input with 4.
    let tall = Conv2d::new(Kernel::gaussian(127, 20.0).unwrap());
    let wanted = problem(&tall, [1, 4, 2, 3000], F32, F32);
    let refused = choose(&wanted, &machine, Algorithm::Separable).unwrap_err();
    assert!(refused.to_string().contains("1524000 bytes for one output pixel"), "{refused}");
    assert_eq!(choose(&wanted, &machine, Algorithm::Auto).unwrap().algorithm(), Algorithm::Flat);
    // Rows so far apart that their bytes pass 64 bits.
    let far = Conv2d::new(Kernel::gaussian(7, 1.0).unwrap()).dilation(1 << 26, 1);
    let far =
        far.padding(Padding::Explicit { top: 3 << 26, bottom: 3 << 26, left: 0, right: 1 << 28 });
    let wanted = problem(&far, [256, 1, 1, 1], U8, U8);
    assert_eq!(wanted.output_shape().dims(), [256, 1, (1 << 28) - 5, 1]);
    let refused = choose(&wanted, &machine, Algorithm::Separable).unwrap_err();
    assert!(refused.to_string().contains("bytes for one output pixel"), "{refused}");
    let huge = GpuLimits { max_binding: u64::MAX, max_buffer: u64::MAX, ..limits };
    let on_huge = Machine::Gpu(huge, Residence::Device);
    let plan = choose(&wanted, &on_huge, Algorithm::Auto).unwrap();
    assert_ne!(plan.algorithm(), Algorithm::Separable, "{plan}");
}

#[test]
fn bytes_whose_rows_share_words_are_left_to_direct_in_the_callers_buffers() {
    let conv = Conv2d::new(kernel(3, 3, 1));
    let odd = problem(&conv, [1, 50, 33, 3], U8, U8);
    let machine = |residence| Machine::Gpu(GpuLimits::webgpu_defaults(), residence);
    let on_device = choose(&odd, &machine(Residence::Device), Algorithm::Auto).unwrap();
    assert_eq!(on_device.algorithm(), Algorithm::Direct);
    let forced = choose(&odd, &machine(Residence::Device), Algorithm::Flat).unwrap_err();
    assert!(forced.to_string().contains("99 u8 scalars"), "{forced}");
    let on_host = choose(&odd, &machine(Residence::Host), Algorithm::Auto).unwrap();
    assert_eq!(on_host.algorithm(), Algorithm::Flat);
}

#[test]
fn a_driver_that_counts_iterations_gets_no_more() {
    let limits = GpuLimits { max_iterations: 65_535, ..GpuLimits::webgpu_defaults() };
    let machine = Machine::Gpu(limits, Residence::Host);
    let taken = |side, filters, to| {
        let conv = Conv2d::new(kernel(side, side, filters));
        choose(&problem(&conv, [1, 600, 600, 3], F32, to), &machine, Algorithm::Auto)
    };
    assert_eq!(taken(127, 1, F32).unwrap().algorithm(), Algorithm::Flat);
    assert_eq!(taken(127, 4, F32).unwrap().algorithm(), Algorithm::Flat);
    assert_eq!(taken(300, 1, F32).unwrap().algorithm(), Algorithm::Direct);
    let refused = taken(521, 1, F32).unwrap_err();
    // The last resort's reason.
    assert!(
        matches!(refused, Error::NotApplicable { algorithm: Algorithm::Direct, .. }),
        "{refused}"
    );
    assert!(taken(300, 1, U8).is_err());
}

/// Twin of the sums in `shaders/flat.wgsl`, and of what its files for stores take for granted.
#[test]
fn flat_keeps_no_more_than_the_shader_has_room_for() {
    let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Host);
    for filters in 1..=18 {
        for channels in 1..=9 {
            for (to, dilation, stride) in
                [(F32, 1, 1), (U8, 1, 1), (U8, 2, 1), (U8, 3, 2), (U8, 2, 2)]
            {
                let conv =
                    Conv2d::new(kernel(3, 3, filters)).dilation(1, dilation).stride(1, stride);
                let wanted = problem(&conv, [1, 30, 30, channels], F32, to);
                let plan = match choose(&wanted, &machine, Algorithm::Flat) {
                    Ok(plan) => plan,
                    Err(error) => {
                        assert!(filters > 16 || to == U8 && filters > 4, "{error}");
                        continue;
                    }
                };
                let Launch::Gpu(launch) = plan.launch() else { panic!("{plan}") };
                let Scheme::Flat(block) = launch.scheme else { panic!("{plan}") };
                assert!(filters as u32 * block.vectors * block.rows <= 16, "{plan}");
                let run = block.spacing.1 * channels as u32;
                let units = if block.chained { 1 } else { block.vectors };
                assert_eq!(run % units, 0, "{plan}");
                // A tap of one column is a later tap of its neighbour.
                assert_eq!(block.spacing.1 as usize * stride, block.phases.1 as usize * dilation);
                if to == U8 {
                    let words = units == 4 && run.is_multiple_of(4);
                    let pixels = units as usize == channels && block.spacing.1 == 1;
                    assert!(words || pixels, "{block:?}, {channels} channels");
                }
            }
        }
    }
}

#[test]
fn a_plan_explains_every_candidate() {
    let conv = Conv2d::new(kernel(3, 3, 17));
    let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Host);
    let plan =
        choose(&problem(&conv, [1, 20, 20, 3], F32, F32), &machine, Algorithm::Auto).unwrap();
    let text = plan.explain();
    assert!(text.contains("direct") && text.contains("<- taken"), "{text}");
    assert!(text.contains("flat      not taken: 17 filters"), "{text}");
    assert_eq!(plan.candidates().len(), Algorithm::ALL.len());
}

#[test]
fn grids_fold_without_losing_a_workgroup() {
    assert_eq!(fold([7, 8, 9], 65_535), ([7, 8, 9], false));
    assert_eq!(fold([70_000, 0, 9], 65_535), ([0; 3], false));
    for grid in [[70_000, 1, 1], [1, 70_000, 3], [2, 3, 200_000], [65_536, 70_000, 1]] {
        let (folded, is) = fold(grid, 65_535);
        let count = |g: &[u64]| g.iter().product::<u64>();
        let launched = count(&folded.map(u64::from));
        assert!(is && folded.iter().all(|n| (1..=65_535).contains(n)), "{folded:?}");
        // At most one row of the folded grid too many.
        assert!(
            launched >= count(&grid) && launched < count(&grid) + 65_535 * 2,
            "{grid:?} {folded:?}"
        );
    }
}
