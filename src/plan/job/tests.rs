//! Jobs as tables, without a device.

use std::collections::BTreeMap;

use super::*;
use crate::plan::{
    Cuts, GpuLimits, KernelGradient, Launch, Machine, Residence, choose, gradient as plan_gradient,
};
use crate::{
    Activation, Algorithm, Border, Conv2d, ElementType, Kernel, Layout, Pointwise, Problem, Shape,
};

const F32: ElementType = ElementType::F32;
const U8: ElementType = ElementType::U8;

fn limits(band_bytes: Option<u64>) -> GpuLimits {
    GpuLimits { cuts: Cuts { band_bytes, ..Cuts::NONE }, ..GpuLimits::webgpu_defaults() }
}

fn problem(conv: &Conv2d, shape: impl Into<Shape>, from: ElementType, to: ElementType) -> Problem {
    Problem::new(conv, shape, from, to).unwrap()
}

/// From tensor to tensor.
fn job(problem: &Problem, algorithm: Algorithm, limits: &GpuLimits, shared: bool) -> Option<Job> {
    let machine = Machine::Gpu(*limits, Residence::Device);
    let plan = choose(problem, &machine, algorithm).ok()?;
    let Launch::Gpu(launch) = plan.launch() else { panic!("{plan}") };
    // Rows that are no whole words cannot be gathered by copies.
    tensors(problem, launch, limits, Copied { source: shared, destination: false }).ok()
}

fn three_by_three() -> Conv2d {
    Conv2d::new(Kernel::box_blur(3, 3).unwrap())
}

/// What runs, in order: entries, and copies as they go.
fn outline(job: &Job) -> Vec<String> {
    let line = |command: &Command| match command {
        Command::Copies { from, to, .. } => format!("{from} -> {to}"),
        Command::Dispatch(dispatch) => {
            let [reads, writes, _] = dispatch.bindings;
            let entry = job.programs[dispatch.program].shader.entry;
            format!("{entry:?}: {} -> {}", reads.resource, writes.resource)
        }
    };
    job.commands.iter().map(line).collect()
}

#[test]
fn a_job_prints_what_it_does() {
    let problem = problem(&three_by_three(), [1, 4, 6, 3], F32, F32);
    let job = job(&problem, Algorithm::Flat, &limits(None), false).unwrap();
    assert_eq!(
        job.to_string(),
        "channelwise.Flat.in_f32.out_f32 1x1x1: source[0..288] -> destination[0..288], with weights 0; 9.600e2 multiply-adds\n"
    );
    assert_eq!(job, job.clone());
}

#[test]
fn passes_go_through_rooms() {
    let conv = Conv2d::new(Kernel::gaussian(9, 2.0).unwrap());
    let plain = problem(&conv, [1, 20, 30, 3], F32, F32);
    let bytes = problem(&conv, [1, 20, 32, 4], U8, U8);
    let of = |problem, algorithm| job(problem, algorithm, &limits(None), false).unwrap();
    let once = of(&plain, Algorithm::Separable);
    assert_eq!((outline(&once), once.rooms), (vec!["Strip: source -> destination".into()], vec![]));
    let cuts = Cuts { one_pass: Some(false), ..Cuts::NONE };
    let twice = GpuLimits { cuts, ..limits(None) };
    let separable = job(&plain, Algorithm::Separable, &twice, false).unwrap();
    assert_eq!(outline(&separable), ["Flat: source -> room 0", "Flat: room 0 -> destination"]);
    // Every row the outputs need, of f32.
    assert_eq!(separable.rooms, [(20 + 8) * 30 * 3 * 4]);
    let fft = |whole| {
        let cuts = Cuts { whole: Some(whole), ..Cuts::NONE };
        job(&bytes, Algorithm::Fft, &GpuLimits { cuts, ..limits(None) }, false).unwrap()
    };
    assert_eq!(outline(&fft(true)), ["Whole: source -> room 0", "Flat: room 0 -> destination"]);
    // The sums alone.
    assert_eq!(fft(true).rooms, [20 * 32 * 4 * 4]);
    assert_eq!(
        outline(&fft(false)),
        [
            "Forward: source -> room 0",
            "Multiply: room 0 -> room 1",
            "Back: room 1 -> room 0",
            "Flat: room 0 -> destination"
        ]
    );
}

#[test]
fn what_does_not_lie_in_one_piece_is_copied() {
    let conv = three_by_three();
    let wrap = problem(&conv.clone().border(Border::Wrap), [1, 40, 30, 4], F32, F32);
    let of = |problem: &Problem, bytes, shared| {
        job(problem, Algorithm::Flat, &limits(Some(bytes)), shared).unwrap()
    };
    // A band that wraps is gathered, those between are bound where they lie.
    let wrapped = outline(&of(&wrap, 8000, false));
    assert_eq!(wrapped[..2], ["source -> room 0", "Flat: room 0 -> destination"]);
    assert!(wrapped.contains(&"Flat: source -> destination".into()), "{wrapped:?}");
    // No two parts of one buffer can be bound, one to be written.
    let plain = problem(&conv, [1, 40, 30, 4], F32, F32);
    assert_eq!(outline(&of(&plain, 1 << 20, false)), ["Flat: source -> destination"]);
    assert_eq!(
        outline(&of(&plain, 1 << 20, true)),
        ["source -> room 0", "Flat: room 0 -> destination"]
    );
    // Some rows of every plane go back in pieces.
    let two = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()]).unwrap();
    let planes = problem(&Conv2d::new(two).layout(Layout::Nchw), [1, 2, 40, 30], F32, F32);
    let planes = outline(&of(&planes, 4000, false));
    assert_eq!(planes[..2], ["Flat: source -> room 0", "room 0 -> destination"]);
}

#[test]
fn edges_are_gathered_behind_the_passes() {
    let conv = three_by_three().border(Border::Replicate).adjoint();
    let back = problem(&conv, [1, 20, 30, 4], F32, F32);
    let of = |algorithm| outline(&job(&back, algorithm, &limits(None), false).unwrap());
    let edges = "Edges: source -> destination";
    // Rows above and below, and columns between them, at once.
    assert_eq!(of(Algorithm::Flat), ["Flat: source -> destination", edges]);
    assert_eq!(of(Algorithm::Direct), ["Gather: source -> destination"]);
    let strided = three_by_three().stride(2, 2).border(Border::Wrap).adjoint();
    let back = problem(&strided, [1, 20, 30, 4], F32, F32);
    let of = |algorithm| outline(&job(&back, algorithm, &limits(None), false).unwrap());
    assert_eq!(of(Algorithm::Flat), ["Phases: source -> destination", edges]);
}

#[test]
fn a_chain_is_one_job() {
    let blur = Conv2d::new(Kernel::gaussian(9, 2.0).unwrap());
    let first = problem(&blur, [1, 20, 30, 3], F32, F32);
    let cuts = Cuts { one_pass: Some(false), ..Cuts::NONE };
    let twice = GpuLimits { cuts, ..limits(None) };
    let of = |algorithm| job(&first, algorithm, &twice, false).unwrap();
    let stages = vec![of(Algorithm::Flat), of(Algorithm::Separable), of(Algorithm::Flat)];
    let whole = chain(stages, &[7200, 3600]);
    assert_eq!(
        outline(&whole),
        [
            "Flat: source -> room 0",
            "Flat: room 0 -> room 2",
            "Flat: room 2 -> room 1",
            "Flat: room 1 -> destination"
        ]
    );
    assert_eq!(whole.rooms, [7200, 3600, (20 + 8) * 30 * 3 * 4]);
    let weights: Vec<_> = whole.dispatches().map(|d| d.bindings[2].resource).collect();
    assert_eq!(weights, [0, 1, 2, 3].map(Resource::Weights));
    assert_eq!(whole.dispatches().map(|d| d.program).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let alone = chain(vec![of(Algorithm::Flat)], &[]);
    assert_eq!(alone, of(Algorithm::Flat));
}

#[test]
fn gradients_are_one_job() {
    let mix = Pointwise::new(2, 3, vec![1.0; 6]).unwrap().activation(Activation::Tanh);
    let two = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()]).unwrap();
    let rich = Conv2d::new(two).activation(Activation::Relu).pointwise(mix);
    let limits = limits(None);
    let of = |conv: &Conv2d, weights, input| {
        let problem = problem(conv, [1, 20, 30, 4], F32, F32);
        let machine = Machine::Gpu(limits, Residence::Device);
        let plan = plan_gradient(&problem, &machine, crate::Algorithm::Auto).unwrap();
        let sums = problem.sums().unwrap();
        let back = sums.back().unwrap();
        let of = GradientJob {
            problem: &problem,
            sums: &sums,
            back: &back,
            plan: &plan,
            weights,
            input,
        };
        let job = gradient(of, &limits).unwrap();
        assert_eq!(job.programs.len(), gradient_weights(of).unwrap().len());
        (outline(&job), job.programs)
    };
    let (plain, _) = of(&three_by_three(), true, true);
    assert_eq!(
        plain,
        [
            "Correlate: source -> room 0",
            "Reduce: room 0 -> gradient of the kernel",
            "Flat: gradient of the output -> destination"
        ]
    );
    let (all, programs) = of(&rich, true, true);
    assert_eq!(
        all,
        [
            "Flat: source -> room 0",
            "gradient of the output -> room 1",
            "Follow: room 0 -> room 1",
            "Mix: room 0 -> room 2",
            "Reduce: room 2 -> gradient of the pointwise step",
            "Slope: room 1 -> room 0",
            "Correlate: source -> room 3",
            "Reduce: room 3 -> gradient of the kernel",
            "Phases: room 0 -> destination"
        ]
    );
    // Whatever is wanted, the same is compiled.
    let (input, same) = of(&rich, false, true);
    assert_eq!(same, programs);
    assert_eq!(
        input,
        [
            "Flat: source -> room 0",
            "gradient of the output -> room 1",
            "Follow: room 0 -> room 1",
            "Slope: room 1 -> room 0",
            "Phases: room 0 -> destination"
        ]
    );
}

/// Tensors of every size share what is compiled for gradients.
#[test]
fn sizes_compile_nothing_for_gradients() {
    let of = |h, w| {
        let problem = problem(&three_by_three(), [2, h, w, 3], F32, F32);
        let machine = Machine::Gpu(limits(None), Residence::Device);
        let plan = plan_gradient(&problem, &machine, crate::Algorithm::Auto).unwrap();
        let KernelGradient::Gpu(correlation) = plan.kernel() else { panic!("{plan}") };
        let sizes = (correlation.run, correlation.runs, correlation.across);
        (gradient_steps(&problem, &problem.sums().unwrap(), &plan), sizes)
    };
    let (small, large) = (of(10, 9), of(900, 700));
    assert_ne!(small.1, large.1);
    assert_eq!(small.0, large.0);
}

/// Every job of every awkward problem reads of a room only what was written, stays within what it binds,
/// and within what the device dispatches.
#[test]
fn jobs_stay_within_what_they_bind() {
    let mut looked = 0;
    for problem in crate::plan::tests::bands::awkward() {
        for &algorithm in Algorithm::ALL {
            for bytes in [None, Some(1500), Some(4000), Some(20_000)] {
                for shared in [false, true] {
                    let limits = limits(bytes);
                    let Some(job) = job(&problem, algorithm, &limits, shared) else { continue };
                    check(&problem, &job, &limits);
                    looked += 1;
                }
            }
        }
    }
    assert!(looked > 150, "{looked}");
}

fn check(problem: &Problem, job: &Job, limits: &GpuLimits) {
    let bytes = |len: usize, element: ElementType| (len * element.bytes()) as u64;
    let source = bytes(problem.input_len(), problem.input_type());
    let destination = bytes(problem.output_len(), problem.output_type());
    let size = |resource| match resource {
        Resource::Source => source.next_multiple_of(4),
        Resource::Destination => destination.next_multiple_of(4),
        Resource::Room(n) => job.rooms[n],
        other => panic!("{other}"),
    };
    // Bytes of a room that hold something.
    let mut written: BTreeMap<usize, u64> = BTreeMap::new();
    let mut made = 0;
    for command in &job.commands {
        match command {
            Command::Copies { from, to, pieces } => {
                for Piece { from: first, to: at, len } in pieces {
                    let (first, at, len) = (*first as u64, *at as u64, *len as u64);
                    assert!(first + len <= size(*from).next_multiple_of(16), "{problem}\n{job}");
                    assert!(at + len <= size(*to).next_multiple_of(16), "{problem}\n{job}");
                    assert!([first, at, len].iter().all(|n| n % 4 == 0), "{problem}\n{job}");
                    if let Resource::Room(n) = to {
                        let end = written.entry(*n).or_default();
                        *end = (at + len).max(*end);
                    }
                    if *to == Resource::Destination {
                        made += len;
                    }
                }
                assert!(!matches!(from, Resource::Room(n) if !written.contains_key(n)), "{job}");
            }
            Command::Dispatch(dispatch) => {
                let Dispatch { params, grid, bindings: [reads, writes, beside], .. } = &**dispatch;
                assert!(grid.iter().all(|n| (1..=limits.max_workgroups).contains(n)), "{job}");
                assert_eq!(beside.resource, Resource::Weights(dispatch.program), "{job}");
                for binding in [reads, writes] {
                    if let Some(Part { first, len, scalar }) = binding.part {
                        assert!(first + len <= size(binding.resource), "{problem}\n{job}");
                        assert_eq!((first % scalar, len % scalar), (0, 0), "{job}");
                        assert!(len <= limits.max_range(), "{job}");
                    }
                }
                if let Resource::Room(n) = reads.resource {
                    assert!(written.contains_key(&n), "{problem}\n{job}");
                }
                if let Resource::Room(n) = writes.resource {
                    written.insert(n, job.rooms[n]);
                }
                // The last row of the band's last plane ends where its binding does, or before.
                let entry = job.programs[dispatch.program].shader.entry;
                let ends = writes.resource == Resource::Destination;
                if ends && !matches!(entry, Entry::Gather | Entry::Edges) {
                    let Some(Part { len, scalar, .. }) = writes.part else { panic!("{job}") };
                    let planes =
                        params.images * if params.planar == 1 { params.outputs } else { 1 };
                    let each = if params.planar == 1 { 1 } else { params.outputs };
                    let row = params.columns * params.channels * each;
                    let end = u64::from(params.dst_base)
                        + u64::from((planes - 1) * params.dst_plane)
                        + u64::from((params.rows - 1) * params.dst_pitch + row);
                    assert_eq!(end, len / scalar, "{problem}\n{job}");
                    made += len;
                }
            }
        }
    }
    // All of it is made, and no more: adjoints aside, whose edges are made twice.
    if !problem.gathers() {
        assert!(
            (destination..=destination.next_multiple_of(4)).contains(&made),
            "{problem}\n{job}"
        );
    }
}
