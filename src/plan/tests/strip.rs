//! Strips of `separable` in one pass.

use super::*;

/// The plan of `separable`, in one pass where it is.
fn planned(conv: &Conv2d, channels: usize, types: [ElementType; 2], limits: GpuLimits) -> Plan {
    let wanted = problem(conv, [1, 1080, 1920, channels], types[0], types[1]);
    let machine = Machine::Gpu(limits, Residence::Device);
    choose(&wanted, &machine, Algorithm::Separable).unwrap()
}

fn scheme(plan: &Plan) -> &Scheme {
    let Launch::Gpu(launch) = plan.launch() else { panic!("{plan}") };
    &launch.scheme
}

fn bytes(plan: &Plan, problem: &Problem) -> f64 {
    scheme(plan).traffic(problem).iter().map(|pass| pass.bytes).sum()
}

/// Kernels up to 31x31 go through the memory of a workgroup on every device, whatever is read and written, and
/// through that of the device once.
#[test]
fn kernels_up_to_31_take_one_pass() {
    let types = [[F32, F32], [U8, U8], [ElementType::U16; 2], [ElementType::F16; 2], [U8, F32]];
    for (name, limits) in devices() {
        // A software adapter takes less time for two passes of small kernels.
        let told = limits.class == AdapterClass::Software;
        let cuts = Cuts { one_pass: told.then_some(true), ..Cuts::NONE };
        let limits = GpuLimits { cuts, ..limits };
        for side in [3, 5, 9, 15, 31] {
            let conv = Conv2d::new(Kernel::gaussian(side, side as f64 / 6.0).unwrap());
            for channels in [1, 3, 4, 64, 224] {
                for types in types {
                    let plan = planned(&conv, channels, types, limits);
                    let wanted = problem(&conv, [1, 1080, 1920, channels], types[0], types[1]);
                    let case = format!("{name}, {side}, {channels} channels\n{plan}");
                    let Scheme::Strips { strip, .. } = scheme(&plan) else { panic!("{case}") };
                    assert!(strip.memory() <= limits.max_workgroup_memory, "{case}");
                    assert!(strip.workgroup() <= limits.max_invocations.min(256), "{case}");
                    let once = (wanted.input_len() * types[0].bytes()
                        + wanted.output_len() * types[1].bytes())
                        as f64;
                    assert!(bytes(&plan, &wanted) <= 1.3 * once, "{case}");
                    assert!(plan.explain().contains("one pass in strips of"), "{case}");
                }
            }
        }
    }
}

/// What a strip takes for granted of itself, whatever the steps: whole blocks, whole words, and no more sums than
/// the shader has.
#[test]
fn strips_are_whole() {
    let mut looked = 0;
    for (name, limits) in devices() {
        for (stride, dilation) in [(1, 1), (3, 2), (1, 3), (4, 6)] {
            for channels in [1, 3, 4, 64, 65] {
                for (filters, to) in [(1, F32), (1, U8), (3, F32), (3, U8)] {
                    let filters: Vec<_> =
                        (1..=filters).map(|n| Kernel::gaussian(9, f64::from(n)).unwrap()).collect();
                    let conv = Conv2d::new(Kernel::stack(&filters).unwrap())
                        .stride(stride, stride)
                        .dilation(dilation, dilation)
                        .assume_finite();
                    let wanted = problem(&conv, [1, 1080, 1920, channels], F32, to);
                    let machine = Machine::Gpu(limits, Residence::Host);
                    let plan = choose(&wanted, &machine, Algorithm::Separable).unwrap();
                    let Scheme::Strips { strip, factors } = scheme(&plan) else { continue };
                    let case = format!("{name}, {stride} {dilation}, {wanted}\n{plan}");
                    let n = |n: u32| n as usize;
                    let links = n(strip.columns) / n(strip.spacing.1);
                    assert_eq!(links * n(strip.spacing.1), n(strip.columns), "{case}");
                    assert_eq!(links % (4 * n(strip.vectors)), 0, "{case}");
                    assert!(factors.terms() * n(strip.vectors) <= 16, "{case}");
                    let most = if strip.four { 32 } else { 16 };
                    assert!(filters.len() * n(strip.parts) <= most, "{case}");
                    assert!(!strip.four || limits.class == AdapterClass::Software, "{case}");
                    // A tap of one column is a later tap of its neighbour.
                    assert_eq!(n(strip.spacing.1) * stride, n(strip.phases.1) * dilation, "{case}");
                    if to == U8 && strip.channels < channels as u32 {
                        assert_eq!((strip.channels % 4, channels % 4), (0, 0), "{case}");
                    }
                    looked += 1;
                }
            }
        }
    }
    assert!(looked > 200, "{looked}");
}

/// What does not fit takes two passes, and so does what is told to.
#[test]
fn two_passes_are_left() {
    let limits = GpuLimits::webgpu_defaults();
    let of = |conv: &Conv2d, limits| {
        matches!(scheme(&planned(conv, 3, [F32; 2], limits)), Scheme::Strips { .. })
    };
    let gaussian = |side| Conv2d::new(Kernel::gaussian(side, side as f64 / 6.0).unwrap());
    assert!(of(&gaussian(31), limits));
    assert!(!of(&gaussian(31).dilation(1, 60), limits), "rows reach too far");
    assert!(!of(&gaussian(201), limits), "too many sums under way");
    let little = GpuLimits { max_workgroup_memory: 2 << 10, ..limits };
    assert!(!of(&gaussian(31), little), "too little memory");
    let told = |one_pass| GpuLimits { cuts: Cuts { one_pass, ..Cuts::NONE }, ..limits };
    assert!(!of(&gaussian(31), told(Some(false))));
    let far = problem(&gaussian(201), [1, 1080, 1920, 3], F32, F32);
    let machine = Machine::Gpu(told(Some(true)), Residence::Device);
    let refused = choose(&far, &machine, Algorithm::Separable).unwrap_err();
    assert!(refused.to_string().contains("51 vectors of sums under way of 10"), "{refused}");
}

/// A part of an output is made in as many passes as the whole, whose sums are added in the same order.
#[test]
fn parts_take_as_many_passes_as_the_whole() {
    let conv = Conv2d::new(Kernel::gaussian(9, 2.0).unwrap());
    let [whole, part] = [[1, 300, 300, 3], [1, 2, 20, 3]].map(|s| problem(&conv, s, F32, F32));
    for one_pass in [true, false] {
        let cuts = Cuts { one_pass: Some(one_pass), ..Cuts::NONE };
        let limits = GpuLimits { cuts, ..GpuLimits::webgpu_defaults() };
        let machine = Machine::Gpu(limits, Residence::Host);
        let mut plan = choose(&whole, &machine, Algorithm::Separable).unwrap();
        plan.machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Host);
        let part = plan.of_part(&part).unwrap();
        assert_eq!(matches!(scheme(&part), Scheme::Strips { .. }), one_pass, "{part}");
    }
}
