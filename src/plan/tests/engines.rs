//! Which engine takes what.

use super::*;

/// Gigabytes in a second as bytes in a millisecond.
const fn gb(n: u64) -> u64 {
    n * 1_000_000
}

/// Typical ones, with the CPU beside the GPU: sixteen lanes of either PCIe, of which three quarters are seen.
fn machines() -> Vec<(&'static str, CpuLimits, GpuLimits)> {
    let cpu = |threads, lanes| CpuLimits::new(threads, lanes);
    let [_, (_, llvmpipe), (_, intel), (_, apple), (_, rtx), _] = devices().try_into().unwrap();
    let with = |limits, costs| GpuLimits { costs: Some(costs), ..limits };
    let behind = |rate| DeviceCosts { upload: rate, download: rate, ..DeviceCosts::DISCRETE };
    vec![
        ("lavapipe", cpu(2, 8), llvmpipe),
        ("integrated", cpu(8, 8), intel),
        ("PCIe 3", cpu(16, 8), with(rtx, behind(gb(12)))),
        ("PCIe 4", cpu(16, 8), with(rtx, behind(gb(24)))),
        ("Apple M", cpu(8, 4), with(apple, DeviceCosts::UNIFIED)),
    ]
}

/// The benchmark's.
fn cases() -> Vec<(&'static str, Problem)> {
    let gauss = Kernel::gaussian(31, 5.0).unwrap();
    let gauss = Kernel::new(31, 31, gauss.weights().to_vec()).unwrap();
    let rgb = [1, 1080, 1920, 3];
    let feat = [8, 224, 224, 64];
    let f32 = |conv: Conv2d, shape: [usize; 4]| problem(&conv, shape, F32, F32);
    let small = || Conv2d::new(kernel(3, 3, 1));
    vec![
        ("seed", f32(small().padding(Padding::Valid), [1, 10, 10, 3])),
        ("rgb3", f32(small(), rgb)),
        ("rgba5", f32(Conv2d::new(kernel(5, 5, 1)), [1, 1080, 1920, 4])),
        ("feat3", f32(small(), feat)),
        ("feat3s2", f32(small().stride(2, 2), feat)),
        ("hyper5", f32(Conv2d::new(kernel(5, 5, 1)), [1, 512, 512, 224])),
        ("psf31", f32(Conv2d::new(kernel(31, 31, 1)), rgb)),
        ("gauss31", f32(Conv2d::new(gauss), rgb)),
        ("rgb3u8", problem(&small().border(Border::Reflect101), rgb, U8, U8)),
    ]
}

/// The nine cases by name, then what is taken of them: `C` the CPU, `G` the GPU.
///
/// From the host's arrays a GPU copies every byte four times: into staging memory, over the bus, back, and out
/// of staging memory. One thread of the host does that at 8 GB/s, which is no faster than the CPU engine
/// computes small kernels at, so these stay on the CPU whatever the GPU; so do a Gaussian, whose two passes
/// are short, and 961 taps of any weights, which the CPU makes by transforms without a promise.
///
/// Where the data lies ready for each (`resident`), only the work counts. A discrete GPU takes all but
/// the seed, which is over before a launch is. An integrated one has the same memory as the CPU, and less of it;
/// it gains with bytes, of which the CPU's vectors are few to be widened.
#[test]
fn which_engine_takes_what() {
    const NAMES: &str = "seed rgb3 rgba5 feat3 feat3s2 hyper5 psf31 gauss31 rgb3u8";
    let table = [
        // A GPU that the CPU plays does the same work on the same cores, and more copies.
        ("lavapipe", "C C C C C C C C C", "C C C C C C C C C"),
        ("integrated", "C C C C C C C C C", "C C C C C C C C G"),
        ("PCIe 3", "C C C C C C C C C", "C G G G G G G G G"),
        ("PCIe 4", "C C C C C C C C C", "C G G G G G G G G"),
        // Copies are cheap there, and the model, fitted to AVX2, has NEON's four lanes at half its speed: the
        // last two are close.
        ("Apple M", "C C C C C C C G G", "C G G G G G G G G"),
    ];
    let (machines, cases) = (machines(), cases());
    assert_eq!(machines.iter().map(|m| m.0).collect::<Vec<_>>(), table.map(|row| row.0));
    assert_eq!(cases.iter().map(|c| c.0).collect::<Vec<_>>().join(" "), NAMES);
    let mark = |gpu| if gpu { "G" } else { "C" };
    let mut found = Vec::new();
    for (name, cpu, gpu) in &machines {
        let on = |problem, machine| choose(problem, &machine, Algorithm::Auto).unwrap().predicted();
        let host = cases.iter().map(|(case, problem)| {
            let plan = choose_engine(problem, cpu, Some(gpu), Algorithm::Auto).unwrap();
            let us = [Machine::Cpu(*cpu), Machine::Gpu(*gpu, Residence::Host)];
            let us = us.map(|machine| on(problem, machine));
            // The less, and of the engine that it says.
            assert_eq!(plan.predicted(), us[0].min(us[1]), "{name} {case}\n{plan}");
            mark(plan.engine() == "gpu")
        });
        let host = host.collect::<Vec<_>>().join(" ");
        let resident = cases.iter().map(|(_, problem)| {
            let there = on(problem, Machine::Gpu(*gpu, Residence::Device));
            mark(there < on(problem, Machine::Cpu(*cpu)))
        });
        found.push((*name, host, resident.collect::<Vec<_>>().join(" ")));
    }
    let table = table.map(|(name, host, resident)| (name, host.to_string(), resident.to_string()));
    assert_eq!(found, table, "{NAMES}");
}

/// 961 taps that no transform takes, for what lies outside is not finite.
fn by_taps_alone() -> Problem {
    let conv = Conv2d::new(kernel(31, 31, 1)).border(Border::Constant(f64::INFINITY));
    problem(&conv, [1, 1080, 1920, 3], F32, F32)
}

fn discrete() -> (CpuLimits, GpuLimits) {
    let (_, cpu, gpu) = machines().swap_remove(3);
    (cpu, gpu)
}

#[test]
fn an_algorithm_of_one_engine_goes_there() {
    let (cpu, gpu) = discrete();
    let rgb3 = &cases()[1].1;
    let taken = |problem, gpu, wanted| choose_engine(problem, &cpu, gpu, wanted);
    // Of both the faster.
    assert_eq!(taken(rgb3, Some(&gpu), Algorithm::Direct).unwrap().engine(), "cpu");
    let flat = taken(rgb3, Some(&gpu), Algorithm::Flat).unwrap();
    assert_eq!((flat.engine(), flat.algorithm()), ("gpu", Algorithm::Flat), "{flat}");
    let neither = problem(&Conv2d::new(kernel(3, 3, 17)), [20, 20, 3], F32, F32);
    for (gpu, reason) in [(None, "vector"), (Some(&gpu), "17 filters")] {
        let engine = if gpu.is_some() { "gpu" } else { "cpu" };
        let error = taken(&neither, gpu, Algorithm::Flat).unwrap_err();
        let Error::NotApplicable { engine: told, .. } = &error else { panic!("{error}") };
        assert_eq!(*told, engine, "{error}");
        assert!(gpu.is_none() || error.to_string().contains(reason), "{error}");
    }
    // With no GPU it is the CPU's own plan.
    let alone = choose(rgb3, &Machine::Cpu(cpu), Algorithm::Auto);
    assert_eq!(taken(rgb3, None, Algorithm::Auto), alone);
}

#[test]
fn both_engines_explain_themselves_in_one_table() {
    let (cpu, gpu) = discrete();
    let psf31 = &by_taps_alone();
    let plan = choose_engine(psf31, &cpu, Some(&gpu), Algorithm::Auto).unwrap();
    let text = plan.explain();
    assert_eq!(plan.candidates().len(), 2 * Algorithm::ALL.len(), "{text}");
    assert!(text.starts_with("flat on the gpu (discrete): "), "{text}");
    let table: Vec<&str> = text.lines().skip(3).collect();
    assert_eq!(table.len(), 10, "{text}");
    // The cheapest first; what a GPU copies is told.
    assert!(table[0].starts_with("  flat      gpu ") && table[0].ends_with("  <- taken"), "{text}");
    assert!(table[0].contains(" of it transfers"), "{text}");
    assert!(table[1].starts_with("  direct    cpu ") && !table[1].contains("transfers"), "{text}");
    assert!(text.contains("flat      cpu not taken: "), "{text}");
    assert_eq!(text.matches("<- taken").count(), 1, "{text}");
    // The plan of an engine that was asked for names none in its rows.
    let asked = choose(psf31, &Machine::Cpu(cpu), Algorithm::Auto).unwrap().explain();
    assert!(asked.contains("  direct    ") && !asked.contains("direct    cpu"), "{asked}");
}

/// Refused by the plan, or by a device that was to take it.
#[test]
fn what_a_gpu_cannot_hold_is_left_to_the_cpu() {
    let (cpu, gpu) = discrete();
    let tiny = GpuLimits { max_binding: 1 << 20, ..gpu };
    let large = problem(&Conv2d::new(kernel(101, 101, 1)), [1, 200, 200, 300], F32, F32);
    let plan = choose_engine(&large, &cpu, Some(&tiny), Algorithm::Auto).unwrap();
    assert_eq!(plan.engine(), "cpu");
    let text = plan.explain();
    assert!(text.contains("gpu not taken: bytes of one output pixel"), "{text}");

    let psf31 = &by_taps_alone();
    let on_gpu = choose_engine(psf31, &cpu, Some(&gpu), Algorithm::Auto).unwrap();
    let reason = Error::TooLarge { what: "bytes of the kernel", value: "9".into(), limit: 8 };
    let plan = on_gpu.clone().refused(psf31, &cpu, Algorithm::Auto, reason.clone()).unwrap();
    assert_eq!((plan.engine(), plan.candidates().len()), ("cpu", 10), "{plan}");
    let text = plan.explain();
    assert!(text.contains("flat      gpu not taken: bytes of the kernel: 9"), "{text}");
    assert_eq!(text.matches("<- taken").count(), 1, "{text}");
    let told = on_gpu.refused(psf31, &cpu, Algorithm::Flat, reason.clone());
    assert_eq!(told.unwrap_err(), reason, "the CPU has no flat");
}

/// More threads sum faster, and wait for the same memory.
#[test]
fn memory_does_not_grow_with_threads() {
    let us = |case: usize, threads| {
        let machine = Machine::Cpu(CpuLimits::new(threads, 8));
        choose(&cases()[case].1, &machine, Algorithm::Direct).unwrap().predicted()
    };
    let bytes = cases()[1].1.bytes() as f64;
    for (threads, most) in [(2, 26_000.0), (4, 52_000.0), (16, 52_000.0), (64, 104_000.0)] {
        assert!(us(1, threads) > bytes / most, "{threads} threads: {} us", us(1, threads));
    }
    assert!(us(1, 16) > 0.7 * us(1, 4));
    // 961 taps.
    assert!(us(6, 16) < 0.15 * us(6, 2));
}

/// A measured memory says how large a device of its class is, but for one the CPU plays.
#[test]
fn measured_costs_take_the_place_of_written_ones() {
    let (_, gpu) = discrete();
    let us = |limits: GpuLimits, residence| {
        let machine = Machine::Gpu(limits, residence);
        choose(&cases()[6].1, &machine, Algorithm::Auto).unwrap().predicted()
    };
    let with = |limits: GpuLimits, memory| {
        let costs = DeviceCosts { memory, ..DeviceCosts::of_class(limits.class) };
        GpuLimits { costs: Some(costs), ..limits }
    };
    for residence in [Residence::Device, Residence::Host] {
        let unsaid = GpuLimits { costs: None, ..gpu };
        assert_eq!(us(unsaid, residence), us(with(gpu, gb(300)), residence));
    }
    let (one, twice) = (us(gpu, Residence::Device), us(with(gpu, gb(600)), Residence::Device));
    assert!((one / twice - 2.0).abs() < 0.05, "{one} {twice}");
    let llvmpipe = machines()[0].2;
    let us = |memory| us(with(llvmpipe, memory), Residence::Device);
    assert_eq!(us(gb(8)), us(gb(16)));
}

/// A chain copies once what its convolutions alone would copy each.
#[test]
fn a_chain_is_copied_once() {
    let (cpu, gpu) = discrete();
    let one = Conv2d::new(kernel(21, 21, 1)).border(Border::Reflect101);
    let rgb = Shape::from([1, 1080, 1920, 3]);
    let taken = |convs: &[Conv2d], wanted| {
        let times = chain_times(convs, rgb, [F32, F32], &cpu, &gpu, wanted).unwrap();
        (times.gpu_is_taken(), times.to_string())
    };
    let (gpu_is_taken, text) = taken(std::slice::from_ref(&one), Algorithm::Auto);
    assert_eq!(gpu_is_taken, Ok(false), "{text}");
    let (gpu_is_taken, text) = taken(&vec![one.clone(); 8], Algorithm::Auto);
    assert_eq!(gpu_is_taken, Ok(true), "{text}");
    assert!(text.contains("gpu ") && text.ends_with("of it transfers  <- taken\n"), "{text}");
    // By what one engine has alone, and by what neither has.
    assert_eq!(taken(std::slice::from_ref(&one), Algorithm::Flat).0, Ok(true));
    let many = Conv2d::new(kernel(3, 3, 17));
    let told = taken(&[many], Algorithm::Flat).0.unwrap_err();
    assert!(told.to_string().contains("17 filters"), "{told}");
    let none = chain_times(&[], rgb, [F32, F32], &cpu, &gpu, Algorithm::Auto);
    assert!(matches!(none, Err(Error::Argument { .. })), "{none:?}");
}

/// Large kernels' gradients are worth the copies; small ones' are not.
#[test]
fn gradients_are_chosen_by_all_of_them() {
    let (cpu, gpu) = discrete();
    for (side, on_gpu) in [(3, false), (31, true)] {
        let conv = Conv2d::new(kernel(side, side, 1)).activation(Activation::Relu);
        let problem = problem(&conv, [1, 1080, 1920, 3], F32, F32);
        let times = gradient_times(&problem, &cpu, &gpu, crate::Algorithm::Auto).unwrap();
        assert_eq!(times.gpu_is_taken(), Ok(on_gpu), "{side}: {times}");
        let reason = Error::TooLarge { what: "kernel", value: "9".into(), limit: 8 };
        let left = times.refused(reason).unwrap();
        assert_eq!(left.gpu_is_taken(), Ok(false));
        assert!(left.to_string().contains("gpu not taken: kernel: 9"), "{left}");
    }
}
