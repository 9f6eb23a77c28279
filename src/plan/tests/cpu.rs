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
    // Weights that add up to `sum`.
    let scaled = |side, sum: f32| {
        let weights = kernel(side, side, 1).weights().to_vec();
        let scale = sum / weights.iter().sum::<f32>();
        let weights = weights.iter().map(|w| w * scale).collect();
        Conv2d::new(Kernel::new(side, side, weights).unwrap())
    };
    let noise = |side| scaled(side, 1.0);
    let blur = Conv2d::new(Kernel::gaussian(31, 5.0).unwrap());
    let rgb = Shape::from([1, 1080, 1920, 3]);
    let (floats, bytes) = ((F32, F32), (U8, U8));
    let rows = [
        (noise(3), rgb, floats, Algorithm::Direct),
        (noise(7), rgb, floats, Algorithm::Direct),
        (noise(15), rgb, floats, Algorithm::Fft),
        (noise(31), rgb, floats, Algorithm::Fft),
        (noise(31).assume_finite(), rgb, floats, Algorithm::Fft),
        (noise(31).border(Border::Constant(f64::INFINITY)), rgb, floats, Algorithm::Direct),
        // Errors of sums that are rounded to bytes are below half a step, unless weights are large.
        (noise(31), rgb, bytes, Algorithm::Fft),
        (scaled(31, 1000.0), rgb, bytes, Algorithm::Direct),
        (scaled(31, 1000.0).assume_finite(), rgb, bytes, Algorithm::Fft),
        (noise(31).border(Border::Constant(1e6)), rgb, bytes, Algorithm::Direct),
        (noise(31), rgb, (ElementType::U16, ElementType::U16), Algorithm::Fft),
        // Those of integers may be exact.
        (noise(31), rgb, (U8, F32), Algorithm::Direct),
        (noise(31), rgb, (ElementType::U16, ElementType::F16), Algorithm::Direct),
        (noise(31).assume_finite(), rgb, (U8, F32), Algorithm::Fft),
        (noise(31), rgb, (F32, U8), Algorithm::Fft),
        // Their spectrum would be subnormal.
        (scaled(31, 1e-33), rgb, floats, Algorithm::Direct),
        (blur, rgb, floats, Algorithm::Separable),
        (Conv2d::new(Kernel::gaussian(3, 1.0).unwrap()), rgb, floats, Algorithm::Direct),
        // A tile would be larger than the image.
        (noise(9), Shape::from([1, 10, 10, 3]), floats, Algorithm::Direct),
    ];
    for (conv, shape, (from, to), want) in rows {
        let problem = problem(&conv, shape, from, to);
        for threads in [1, 2, 16] {
            let plan = choose(&problem, &machine(threads), Algorithm::Auto).unwrap();
            assert_eq!(plan.algorithm(), want, "{plan}");
            let fft = want == Algorithm::Fft;
            assert_eq!((plan.accuracy().proven, plan.accuracy().spread > 0.0), (!fft, fft));
            let said = if fft { " u X, a statistical bound\n" } else { "sum|k x|, proven\n" };
            assert!(plan.explain().contains(said), "{plan}");
        }
    }
}

/// Which algorithm is taken decides about bits, so it must not hang on threads, though their predicted
/// times do: small images have fewer units of transforms than tasks of rows.
#[test]
fn threads_do_not_choose() {
    let of = |side, height, width, channels, threads| {
        let conv = Conv2d::new(kernel(side, side, 1));
        let problem = problem(&conv, [1, height, width, channels], F32, F32);
        let machine = Machine::Cpu(CpuLimits::new(threads, 8));
        let plan = choose(&problem, &machine, Algorithm::Auto).unwrap();
        let times = plan.candidates().iter().filter_map(|c| c.verdict.as_ref().ok());
        (plan.algorithm(), plan.predicted() > times.fold(f64::INFINITY, |a, b| a.min(*b)))
    };
    let mut slower = 0;
    for side in [9, 11, 13, 15, 21, 31] {
        for (height, width, channels) in
            [(64, 64, 1), (100, 300, 3), (256, 256, 1), (500, 40, 2), (540, 960, 3), (1, 2000, 1)]
        {
            let (taken, _) = of(side, height, width, channels, 4);
            for threads in [1, 2, 16, 64] {
                let (other, dear) = of(side, height, width, channels, threads);
                assert_eq!(other, taken, "{side}, {height}x{width}x{channels}, {threads}");
                slower += usize::from(dear);
            }
        }
    }
    // That it costs time now and then shows that the table has such cases.
    assert!(slower > 0);
}

/// The gradient of a kernel is made by transforms where that is allowed and faster; threads have no part
/// in it, as sums are cut by it.
#[test]
fn how_the_gradient_of_a_kernel_is_made() {
    let noise = |side| Conv2d::new(kernel(side, side, 1));
    let rgb = Shape::from([1, 1080, 1920, 3]);
    let rows = [
        (noise(5).assume_finite(), rgb, false),
        (noise(11).assume_finite(), rgb, true),
        (noise(31).assume_finite(), rgb, true),
        (noise(31).assume_finite().dilation(2, 1).stride(1, 2), rgb, true),
        (noise(31), rgb, false),
        (noise(31).assume_finite().border(Border::Constant(f64::INFINITY)), rgb, false),
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

/// Tiles hold what their outputs reach, and threads have no part in them: they would change bits.
#[test]
fn tiles_of_the_cpu() {
    for (side, stride, dilation) in [(1, 1, 1), (31, 1, 1), (31, 3, 1), (9, 2, 7), (300, 1, 1)] {
        let conv = Conv2d::new(kernel(side, side, 1)).stride(stride, 1).dilation(dilation, 1);
        let problem = problem(&conv, [2, 1000, 700, 3], F32, F32);
        let of = |threads| {
            let machine = Machine::Cpu(CpuLimits::new(threads, 8));
            let plan = choose(&problem, &machine, Algorithm::Fft).unwrap();
            let Launch::Cpu(CpuLaunch { scheme, .. }) = plan.launch() else { panic!("{plan}") };
            let CpuScheme::Fft { tile, outputs } = *scheme else { panic!("{plan}") };
            assert!(plan.explain().contains(&format!(
                "tiles of {}x{} for {}x{} outputs",
                tile.0, tile.1, outputs.0, outputs.1
            )));
            (tile, outputs)
        };
        let (tile, outputs) = of(4);
        let reach = (outputs.0 - 1) * stride + (side - 1) * dilation + 1;
        assert!(reach <= tile.0 && outputs.1 + side - 1 <= tile.1, "{tile:?}, {outputs:?}");
        assert!([1, 3, 16, 64].iter().all(|threads| of(*threads) == (tile, outputs)));
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
    let wide = |height: usize, width: usize, kind, lanes, cache: u64| {
        let conv = Conv2d::new(Kernel::laplacian8());
        let problem = Problem::new(&conv, [height, width, 4], ElementType::F32, kind).unwrap();
        let machine = Machine::Cpu(CpuLimits::new(8, lanes).with_cache(cache));
        match choose(&problem, &machine, Algorithm::Direct).unwrap().launch() {
            Launch::Cpu(launch) => launch.streamed,
            Launch::Gpu(_) => panic!("planned for a GPU"),
        }
    };
    let streamed = |height, kind, lanes, cache| wide(height, 1024, kind, lanes, cache);
    let usual = CpuLimits::CACHE;
    // Rows that end within a cache line.
    assert!(!wide(1100, 1025, ElementType::F32, 16, usual));
    assert!(streamed(1100, ElementType::F32, 16, usual));
    assert!(!streamed(900, ElementType::F32, 16, usual));
    assert!(streamed(900, ElementType::F32, 16, usual / 2));
    assert!(streamed(1100, ElementType::F32, 8, usual));
    // Vectors of a quarter of a line, and outputs that are narrowed.
    assert!(!streamed(1100, ElementType::F32, 4, usual));
    assert!(!streamed(2000, ElementType::U8, 16, usual));
}

/// What has fewer rows than threads is cut into pieces of rows: several for each thread, none of them more than a
/// thread's share, with halos that are small beside what they make. A column is cut as the row it is.
#[test]
fn few_rows_are_cut_into_pieces() {
    let wide = |high, wide| Conv2d::new(kernel(high, wide, 1));
    let rows: [(Conv2d, [usize; 4], (usize, usize)); 6] = [
        (wide(1, 9), [1, 1, 4_000_000, 1], (1, 4_000_000)),
        (wide(9, 1), [1, 4_000_000, 1, 1], (1, 4_000_000)),
        (wide(3, 3), [1, 8, 100_000, 3], (8, 100_000)),
        (wide(5, 5), [1, 2, 300_000, 4], (2, 300_000)),
        (wide(3, 3), [2, 3, 200_000, 3], (3, 200_000)),
        (wide(3, 3), [1, 20, 100_000, 3], (20, 100_000)),
    ];
    let launch = |conv: &Conv2d, shape: [usize; 4], threads| {
        let problem = problem(conv, shape, F32, F32);
        let machine = Machine::Cpu(CpuLimits::new(threads, 8));
        match choose(&problem, &machine, Algorithm::Direct).unwrap().launch() {
            Launch::Cpu(launch) => (launch.rows_per_task, launch.columns_per_task),
            Launch::Gpu(_) => panic!("planned for a GPU"),
        }
    };
    for (conv, shape, (height, width)) in rows {
        for threads in [16, 64] {
            let (rows, columns) = launch(&conv, shape, threads);
            let columns = columns.unwrap();
            let tasks = shape[0] * height.div_ceil(rows) * width.div_ceil(columns);
            let told = format!("{shape:?}, {threads} threads: {tasks} of {rows}x{columns}");
            assert!((2 * threads..=8 * threads).contains(&tasks), "{told}");
            assert!(rows * columns * threads <= shape[0] * height * width, "{told}");
            // Rows beyond the image cost nothing.
            let (kh, kw) = (conv.kernel().height(), conv.kernel().width());
            let high = (rows + kh - 1).min(height);
            assert!(high * (columns + kw - 1) <= rows * columns * 8 / 5, "{told}");
        }
        // One thread has no need of it.
        assert_eq!(launch(&conv, shape, 1).1, None);
    }
    // Enough rows, or too little work.
    assert_eq!(launch(&wide(3, 3), [1, 1080, 1920, 3], 16).1, None);
    assert_eq!(launch(&wide(3, 3), [1, 1080, 1920, 3], 64).1, None);
    assert_eq!(launch(&wide(3, 3), [1, 8, 300, 3], 16).1, None);
}

/// Of 32-bit integers and f64 there are two ways, on the CPU; signed integers of 8 and 16 bits go the ways of others.
#[test]
fn types_have_their_ways() {
    use crate::ElementType::{F16, F32, F64, I8, I16, I32, U8, U32};
    let conv = Conv2d::new(kernel(5, 5, 1));
    let cpu = Machine::Cpu(CpuLimits::new(16, 8));
    let gpu = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Host);
    for (from, to) in [(F64, F64), (I32, U8), (U8, F64), (U32, F32), (F16, I32)] {
        let problem = problem(&conv, [2, 300, 300, 3], from, to);
        let plan = choose(&problem, &cpu, Algorithm::Auto).unwrap();
        let Launch::Cpu(launch) = plan.launch() else { panic!("{plan}") };
        assert_eq!((plan.algorithm(), &launch.scheme), (Algorithm::Direct, &CpuScheme::Double));
        assert!(launch.columns_per_task.is_none() && !launch.streamed, "{plan}");
        assert!(plan.explain().contains("sums in f64"), "{plan}");
        for &algorithm in Algorithm::ALL {
            let refused = choose(&problem, &gpu, algorithm).unwrap_err().to_string();
            assert!(refused.contains("sums are made in f64"), "{refused}");
        }
        let both = choose_engine(
            &problem,
            &CpuLimits::new(16, 8),
            Some(&GpuLimits::webgpu_defaults()),
            Algorithm::Auto,
        );
        assert_eq!(both.unwrap().engine(), "cpu");
    }
    for (from, to) in [(F64, F64), (I32, U8)] {
        let blur = Conv2d::new(Kernel::gaussian(9, 2.0).unwrap());
        let plan = choose(&problem(&blur, [2, 300, 300, 3], from, to), &cpu, Algorithm::Auto);
        let plan = plan.unwrap();
        let Launch::Cpu(launch) = plan.launch() else { panic!("{plan}") };
        let CpuScheme::DoubleSeparable(factors) = &launch.scheme else { panic!("{plan}") };
        assert_eq!((plan.algorithm(), factors.terms()), (Algorithm::Separable, 1));
        assert!(plan.explain().contains("1 term, sums in f64"), "{plan}");
    }
    for (from, to) in [(I8, I8), (I16, I16), (I16, F32), (F32, I8)] {
        let problem = problem(&conv, [2, 300, 300, 4], from, to);
        assert_eq!(choose(&problem, &gpu, Algorithm::Auto).unwrap().algorithm(), Algorithm::March);
        let plan = choose(&problem, &cpu, Algorithm::Auto).unwrap();
        let Launch::Cpu(launch) = plan.launch() else { panic!("{plan}") };
        assert_eq!(launch.scheme, CpuScheme::Direct);
    }
}
