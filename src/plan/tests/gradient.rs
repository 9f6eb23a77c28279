//! How sums over a tensor are cut on GPUs.

use super::*;

/// The sums of parts fit a binding, workgroups what devices allow, and the stated depth does not grow with
/// the tensor.
#[test]
fn parts_fit_every_device() {
    let tiny = GpuLimits {
        class: AdapterClass::Software,
        max_binding: 1 << 16,
        max_buffer: 1 << 16,
        ..GpuLimits::webgpu_defaults()
    };
    let devices = devices().into_iter().chain([("tiny", tiny)]);
    for (name, limits) in devices {
        // Bindings are what cuts; tensors that no buffer holds are refused before.
        let limits = limits.with_max_buffer(1 << 40);
        let machine = Machine::Gpu(limits, Residence::Device);
        for (side, filters) in [(1, 1), (3, 1), (5, 3), (8, 1), (31, 1)] {
            let large = [20, 10_000, 10_000, 3];
            for shape in [[1, 10, 10, 3], [2, 42, 52, 32], [1, 1080, 1920, 3], large] {
                // Many values of many parts are too much for some devices, which is an error then.
                let many = name == "tiny" && (shape[1] > 100 || side > 8);
                if many || side > 8 && shape == large {
                    continue;
                }
                let conv = Conv2d::new(kernel(side, side, filters)).stride(1 + filters % 2, 1);
                let problem = problem(&conv, shape, F32, F32);
                let plan = gradient(&problem, &machine, crate::Algorithm::Auto)
                    .unwrap_or_else(|e| panic!("{name}: {e}"));
                let KernelGradient::Gpu(c) = plan.kernel() else { panic!("{plan}") };
                let bytes = 4 * (c.parts * filters * (side * side + 1)) as u64;
                assert!(bytes <= limits.max_range(), "{name}: {bytes} for {problem}, {plan}");
                assert!(c.workgroup <= limits.max_invocations);
                // A tree needs a power of two, and an invocation for every value of its group.
                assert!(c.workgroup.is_power_of_two() && c.taps.0 * c.taps.1 < c.workgroup);
                assert!(c.taps.0 * c.taps.1 <= if c.march { 25 } else { 12 }, "{plan}");
                assert_eq!(c.march, conv.get_stride().0 == 1, "{plan}");
                assert!(plan.depth() < 500, "{name}: {} for {problem}", plan.depth());
                // Every position is in a part.
                let g = problem.geometry();
                let each = c.workgroup as usize * (c.across * c.run * c.runs) as usize;
                let places = g.images * g.out_height * g.out_width * g.channels;
                assert!(c.parts * each >= places, "{name}: {plan}");
            }
        }
    }
}

/// Where that is allowed, for kernels so large that transforms pay; with parts that fit a binding.
#[test]
fn large_kernels_go_by_transforms() {
    for (name, limits) in devices() {
        let machine = Machine::Gpu(limits.with_max_buffer(1 << 31), Residence::Device);
        let made = |conv: &Conv2d, shape: [usize; 4]| {
            let problem = problem(conv, shape, F32, F32);
            let plan = gradient(&problem, &machine, crate::Algorithm::Auto)
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            (problem, plan)
        };
        let [small, large] = [3, 31].map(|side| Conv2d::new(kernel(side, side, 1)));
        for (conv, transforms) in [
            (small.clone().assume_finite(), false),
            (large.clone(), false),
            (large.clone().border(Border::Constant(f64::INFINITY)).assume_finite(), false),
            (large.clone().assume_finite(), true),
        ] {
            for shape in [[1, 1080, 1920, 3], [8, 224, 224, 64]] {
                let (problem, plan) = made(&conv, shape);
                let KernelGradient::GpuFft(products) = plan.kernel() else {
                    assert!(!transforms, "{name}: {plan}");
                    continue;
                };
                assert!(transforms && plan.spread() > 0.0, "{name}: {plan}");
                assert!(products.between(&problem) <= limits.max_range(), "{name}: {plan}");
                assert!(plan.depth() < 500, "{name}: {} for {problem}", plan.depth());
                let pairs = products.launch.bands.iter().map(|b| products.pairs(&problem, b));
                assert!(products.parts * products.run as usize >= pairs.sum(), "{name}: {plan}");
                let largest = products.launch.bands.iter().map(|b| products.pairs(&problem, b));
                let rows: u64 = products.rows(&problem, largest.max().unwrap()).iter().sum();
                assert!(rows <= limits.max_range(), "{name}: {rows}, {plan}");
            }
        }
    }
}

/// Gradients lie on the device whole.
#[test]
fn tensors_longer_than_a_buffer_are_refused() {
    let limits = GpuLimits::webgpu_defaults();
    let conv = Conv2d::new(kernel(3, 3, 2));
    let refused = |shape: [usize; 4], from| {
        let problem = problem(&conv, shape, from, F32);
        let machine = Machine::Gpu(limits, Residence::Device);
        gradient(&problem, &machine, crate::Algorithm::Auto).err().map(|e| e.to_string())
    };
    assert_eq!(refused([1, 4096, 8192, 1], U8), None);
    let told = refused([1, 8192, 8193, 1], U8).unwrap_or_default();
    assert!(told.starts_with("bytes of the input's gradient: "), "{told}");
    let told = refused([1, 8192, 8192, 1], U8).unwrap_or_default();
    assert!(told.starts_with("bytes of the output's gradient: "), "{told}");
}
