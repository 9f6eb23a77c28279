//! What the CPU is planned to do.

use super::*;

#[test]
fn small_work_wakes_no_thread() {
    let machine = Machine::Cpu(CpuLimits::new(8, 8));
    let conv = Conv2d::new(kernel(3, 3, 1));
    let rows_per_task = |shape: [usize; 4]| {
        let plan = choose(&problem(&conv, shape, F32, F32), &machine, Algorithm::Auto).unwrap();
        match plan.launch() {
            Launch::Cpu(launch) => launch.rows_per_task,
            Launch::Gpu(_) => panic!("{plan}"),
        }
    };
    assert_eq!(rows_per_task([1, 10, 10, 3]), 10);
    assert!(rows_per_task([1, 1080, 1920, 3]) <= 1080 / 8);
}

#[test]
fn what_the_cpu_takes() {
    let machine = |threads| Machine::Cpu(CpuLimits::new(threads, 8));
    let noise = |side| Conv2d::new(kernel(side, side, 1)).assume_finite();
    let blur = Conv2d::new(Kernel::gaussian(31, 5.0).unwrap());
    let rgb = Shape::from([1, 1080, 1920, 3]);
    let rows = [
        (noise(3), rgb, F32, Algorithm::Direct),
        (noise(7), rgb, F32, Algorithm::Direct),
        (noise(15), rgb, F32, Algorithm::Fft),
        (noise(31), rgb, F32, Algorithm::Fft),
        // Unless told otherwise, input may hold infinities; bytes cannot.
        (Conv2d::new(kernel(31, 31, 1)), rgb, F32, Algorithm::Direct),
        (Conv2d::new(kernel(31, 31, 1)), rgb, U8, Algorithm::Fft),
        (blur, rgb, F32, Algorithm::Separable),
        (Conv2d::new(Kernel::gaussian(3, 1.0).unwrap()), rgb, F32, Algorithm::Direct),
        // A tile would be larger than the image.
        (noise(9), Shape::from([1, 10, 10, 3]), F32, Algorithm::Direct),
    ];
    for (conv, shape, element, want) in rows {
        let problem = problem(&conv, shape, element, element);
        for threads in [1, 2, 16] {
            let plan = choose(&problem, &machine(threads), Algorithm::Auto).unwrap();
            assert_eq!(plan.algorithm(), want, "{plan}");
        }
    }
}

/// The gradient of a kernel is made by transforms where that is allowed and faster; threads have no part
/// in it, as sums are cut by it.
#[test]
fn how_the_gradient_of_a_kernel_is_made() {
    let noise = |side| Conv2d::new(kernel(side, side, 1));
    let rgb = Shape::from([1, 1080, 1920, 3]);
    let rows = [
        (noise(5).assume_finite(), rgb, false),
        (noise(11).assume_finite(), rgb, false),
        (noise(31).assume_finite(), rgb, true),
        (noise(31).assume_finite().dilation(2, 1).stride(1, 2), rgb, true),
        (noise(31), rgb, false),
        (noise(31).assume_finite().border(Border::Constant(f32::INFINITY)), rgb, false),
        (noise(9).assume_finite(), Shape::from([1, 10, 10, 3]), false),
        // No tile is so large.
        (noise(1100).assume_finite(), Shape::from([1, 10, 10, 3]), false),
    ];
    for (conv, shape, fft) in rows {
        let problem = problem(&conv, shape, F32, F32);
        let of = |threads| {
            let machine = Machine::Cpu(CpuLimits::new(threads, 8));
            let plan = gradient(&problem, &machine, crate::Algorithm::Auto).unwrap();
            (plan.kernel().clone(), plan.spread())
        };
        let (made, spread) = of(1);
        assert_eq!(matches!(made, KernelGradient::CpuFft { .. }), fft, "{problem}: {made:?}");
        assert_eq!(spread > 0.0, fft, "{problem}");
        if let KernelGradient::CpuFft { rows, tile } = made {
            let g = problem.geometry();
            assert!((rows - 1) * g.stride.0 + g.extent().0 <= tile.0, "{made:?}");
            assert!(g.extent().1 <= tile.1, "{made:?}");
        }
        assert_eq!(of(2), (made.clone(), spread));
        assert_eq!(of(16), (made, spread));
    }
}

/// Tiles hold the taps' reach, and tasks are as high as a tile's outputs.
#[test]
fn tiles_of_the_cpu() {
    for (side, stride, dilation) in [(1, 1, 1), (31, 1, 1), (31, 3, 1), (9, 2, 7), (300, 1, 1)] {
        let conv = Conv2d::new(kernel(side, side, 1)).stride(stride, 1).dilation(dilation, 1);
        let problem = problem(&conv, [2, 1000, 700, 3], F32, F32);
        let machine = Machine::Cpu(CpuLimits::new(4, 8));
        let plan = choose(&problem, &machine, Algorithm::Fft).unwrap();
        let Launch::Cpu(CpuLaunch { scheme: CpuScheme::Fft { tile }, rows_per_task, .. }) =
            plan.launch()
        else {
            panic!("{plan}")
        };
        let reach = (rows_per_task - 1) * stride + (side - 1) * dilation + 1;
        assert!(reach <= tile.0 && side <= tile.1, "{plan}");
    }
    // Longer than any tile.
    let conv = Conv2d::new(kernel(2, 2, 1)).dilation(2000, 1);
    let problem = problem(&conv, [4000, 10], F32, F32);
    let machine = Machine::Cpu(CpuLimits::new(4, 8));
    let told = choose(&problem, &machine, Algorithm::Fft).unwrap_err().to_string();
    assert!(told.contains("2001"), "{told}");
}

/// Small images are made together, in as many tasks as keep the threads busy; what has long rows, strides, or is
/// alone is cut into rows.
#[test]
fn small_images_share_tasks() {
    let images = |shape: [usize; 4], conv: Conv2d, threads| {
        let problem = Problem::new(&conv, shape, ElementType::F32, ElementType::F32).unwrap();
        let machine = Machine::Cpu(CpuLimits::new(threads, 8));
        match choose(&problem, &machine, Algorithm::Direct).unwrap().launch() {
            Launch::Cpu(launch) => launch.images_per_task,
            Launch::Gpu(_) => panic!("planned for a GPU"),
        }
    };
    let conv = || Conv2d::like_pytorch(Kernel::laplacian8());
    for threads in [1, 2, 16, 64] {
        let planes = 32 * 1024;
        let count = planes / images([32, 1024, 7, 7], conv(), threads).unwrap();
        let wanted = if threads == 1 { 1 } else { threads * 4 };
        assert!((wanted..=wanted + wanted / 8).contains(&count), "{threads}: {count} tasks");
    }
    assert_eq!(images([32, 1024, 7, 200], conv(), 2), None);
    assert_eq!(images([1, 1, 7, 7], conv(), 2), None);
    assert_eq!(images([32, 1024, 7, 7], conv().stride(2, 2), 2), None);
}

/// Outputs go past the caches only where these do not hold the tensors.
#[test]
fn large_outputs_are_streamed() {
    let streamed = |height: usize, kind, lanes, cache: u64| {
        let conv = Conv2d::new(Kernel::laplacian8());
        let problem = Problem::new(&conv, [height, 1024, 4], ElementType::F32, kind).unwrap();
        let machine = Machine::Cpu(CpuLimits::new(8, lanes).with_cache(cache));
        match choose(&problem, &machine, Algorithm::Direct).unwrap().launch() {
            Launch::Cpu(launch) => launch.streamed,
            Launch::Gpu(_) => panic!("planned for a GPU"),
        }
    };
    let usual = CpuLimits::CACHE;
    assert!(streamed(1100, ElementType::F32, 16, usual));
    assert!(!streamed(900, ElementType::F32, 16, usual));
    assert!(streamed(900, ElementType::F32, 16, usual / 2));
    // Vectors of half a line, and outputs that are narrowed.
    assert!(!streamed(1100, ElementType::F32, 8, usual));
    assert!(!streamed(1100, ElementType::U8, 16, usual));
}
