//! Small problems cut into small pieces: tasks, tiles of columns, parts of sums, tiles of transforms and
//! bands have sizes drawn at random, so that every seam between them is met; forward, adjoint and
//! gradients, on 1 to 64 threads.
//!
//! Who makes an output must not change its bits: on the CPU each result is also held to that of the same
//! algorithm in one piece on one thread.

use std::sync::OnceLock;

use channelwise::plan::{self, CpuScheme, Cuts, Launch, Machine, Residence, Scheme};
use channelwise::{Algorithm, Border, Conv2d, Cpu, Engine, Gpu, Kernel, Layout, Padding, Problem};

use crate::common::{
    BORDERS, Backend, Case, F16, F32, F64, I8, I16, I32, Judge, Kind, Outcome, Rng, U8, U16, dims,
    gpu, judge, refuse, say, times,
};
use crate::{adjoint, agreement, gradients};

const THREADS: [usize; 7] = [1, 2, 3, 5, 8, 16, 64];

/// Engines of every number of threads, at the best SIMD level.
pub(crate) fn cpus() -> &'static [Cpu] {
    static CPUS: OnceLock<Vec<Cpu>> = OnceLock::new();
    CPUS.get_or_init(|| THREADS.map(|n| Cpu::with_threads(n).unwrap()).into())
}

/// Sizes that small problems have several of. Each is left to the plan now and then.
pub(crate) fn cuts(rng: &mut Rng, gpu: bool) -> Cuts {
    fn some<T: Copy>(rng: &mut Rng, from: &[T]) -> Option<T> {
        let taken = *rng.pick(from);
        (!rng.chance(5)).then_some(taken)
    }
    let lengths: &[usize] = if gpu { &[32, 64] } else { &[12, 16, 20, 24, 32, 36, 48, 60] };
    let transform = (*rng.pick(lengths), *rng.pick(lengths));
    let cuts = Cuts {
        task_rows: some(rng, &[1, 1, 2, 3, 4, 5, 7, 9]),
        task_columns: rng.chance(2).then(|| *rng.pick(&[1, 2, 3, 5, 8, 13, 20])),
        images: rng.chance(3).then(|| *rng.pick(&[1, 2, 3, 5])),
        cache: (!rng.chance(5)).then_some(0),
        tile: some(rng, &[1, 2, 3, 5, 8, 11, 16, 17, 24, 33, 48, 100]),
        part_rows: some(rng, &[1, 2, 3, 5, 8]),
        transform: some(rng, &[transform]),
        band_bytes: some(rng, &[1 << 10, 1552, 1 << 11, 3088, 1 << 12, 1 << 13, 1 << 14]),
        band_work: some(rng, &[500, 2000, 7000, 20_000]),
        sums: some(rng, &[1, 2, 4, 8]),
        positions: some(rng, &[1, 3, 16, 50, 200]),
        staged: rng.chance(2),
        ..Cuts::NONE
    };
    if !gpu {
        return cuts;
    }
    Cuts {
        one_pass: some(rng, &[true, true, false]),
        march: some(rng, &[1, 2, 3, 5, 8, 13]),
        whole: some(rng, &[false, true]),
        products: some(rng, &[true]),
        ..cuts
    }
}

/// How many problems had more than one of each.
#[derive(Debug, Default)]
struct Seams {
    tasks: usize,
    pieces: usize,
    small: usize,
    streamed: usize,
    tiles: usize,
    bands: usize,
    transforms: usize,
    factors: usize,
    strips: usize,
    running: usize,
}

impl Seams {
    fn count(&mut self, problem: &Problem, machine: &Machine, cuts: &Cuts, algorithm: Algorithm) {
        let Ok(plan) = plan::choose(problem, machine, algorithm) else { return };
        let &[.., a, b, c] = problem.output_shape().dims() else { return };
        // Whatever the layout, rows and columns are among these.
        let (rows, places) = (a.max(b), a.max(b).max(c));
        match plan.launch() {
            Launch::Cpu(launch) => {
                self.factors += usize::from(matches!(launch.scheme, CpuScheme::Separable(_)));
                self.running += usize::from(matches!(launch.scheme, CpuScheme::BoxFilter));
                self.tasks += usize::from(launch.rows_per_task < rows);
                let pieces =
                    launch.columns_per_task.is_some() && plan.algorithm() == Algorithm::Direct;
                self.pieces += usize::from(pieces && launch.images_per_task.is_none());
                self.small += usize::from(launch.images_per_task.is_some());
                self.streamed += usize::from(launch.streamed);
                self.tiles += usize::from(cuts.tile.is_some_and(|tile| tile < places));
                let size = cuts.transform.unwrap_or((1 << 20, 1 << 20));
                let fft = plan.algorithm() == Algorithm::Fft;
                self.transforms += usize::from(fft && (size.0 < rows || size.1 < places));
            }
            Launch::Gpu(launch) => {
                self.bands += usize::from(launch.bands.len() > 1);
                self.strips += usize::from(matches!(launch.scheme, Scheme::Strips { .. }));
                let fft = plan.algorithm() == Algorithm::Fft;
                self.transforms += usize::from(fft && launch.bands.len() > 1);
            }
            _ => {}
        }
    }
}

/// A case on two engines that cut it otherwise: each within the bound, with the same bits. `false` where their
/// algorithm does not apply.
pub(crate) fn same(judge: &Judge, [cut, whole]: &[Engine; 2]) -> Result<bool, String> {
    match (judge(cut, &mut 0), judge(whole, &mut 0)) {
        (Outcome::Done(got), Outcome::Done(want)) if got == want => Ok(true),
        (Outcome::NotApplicable(_), _) => Ok(false),
        (Outcome::Done(got), Outcome::Done(want)) => {
            let mut pairs = got.iter().zip(&want).enumerate();
            let first = pairs.find(|(_, (got, want))| got != want);
            let first = first.map(|(at, bits)| (at, bits.0, bits.1));
            Err(format!("other bits than in one piece, first {first:x?}"))
        }
        (Outcome::Failed(text), _) => Err(text),
        (_, Outcome::Failed(text) | Outcome::NotApplicable(text)) => Err(format!("whole: {text}")),
    }
}

/// What has the bits of these cuts on the CPU without being cut.
pub(crate) fn whole(algorithm: Algorithm, cuts: &Cuts) -> Cuts {
    match algorithm {
        // Other tiles of transforms have other rounding errors.
        Algorithm::Fft => Cuts { transform: cuts.transform, ..Cuts::NONE },
        _ => Cuts::NONE,
    }
}

/// A case on the CPU in one piece, then in pieces, by every algorithm that applies.
fn on_cpu(case: &Case, rng: &mut Rng, seams: &mut Seams, failures: &mut Vec<String>) {
    let cuts = cuts(rng, false);
    let levels = Cpu::simd_levels();
    let level = rng.pick(&levels);
    let judge = judge(case);
    let problem = case.problem().unwrap();
    for algorithm in [Algorithm::Direct, Algorithm::Separable, Algorithm::Fft] {
        let of = |cpu: &Cpu, cuts: Cuts| cpu.clone().with_simd(level).unwrap().with_cuts(cuts);
        let (cpu, other) = (rng.pick(cpus()), rng.pick(cpus()));
        let cut = of(cpu, cuts);
        seams.count(&problem, &Machine::Cpu(cut.limits()), &cuts, algorithm);
        let other = if algorithm == Algorithm::Fft { other } else { &cpus()[0] };
        let threads = cut.limits().threads;
        let engines = [cut, of(other, whole(algorithm, &cuts))];
        let wrong = match same(&judge, &engines.map(|e| Engine::from(e).with_algorithm(algorithm)))
        {
            Ok(applies) if applies || algorithm != Algorithm::Direct => continue,
            Ok(_) => "it does not apply".into(),
            Err(text) => text,
        };
        failures
            .push(format!("{algorithm}, {level}, {threads} threads, {cuts:?}, {case}: {wrong}"));
    }
}

/// These cuts, as far as `algorithm` takes them on a GPU.
pub(crate) fn of_algorithm(rng: &mut Rng, algorithm: Algorithm, cuts: Cuts) -> Cuts {
    match algorithm {
        // Tiles of transforms lie in bands of their own, and others round otherwise.
        Algorithm::Fft => Cuts {
            transform: Some(cuts.transform.unwrap_or((64, 32))),
            band_bytes: Some(*rng.pick(&[1 << 14, 1 << 15, 1 << 16, 1 << 17])),
            ..cuts
        },
        // Where it is not said, their cost decides which it is, one pass or two.
        _ => Cuts { march: cuts.march.filter(|_| cuts.one_pass.is_some()), ..cuts },
    }
}

/// A case on a GPU in pieces, by every algorithm that applies: with the bits of one piece.
fn on_gpu(gpu: &Gpu, case: &Case, rng: &mut Rng, seams: &mut Seams, failures: &mut Vec<String>) {
    let all = cuts(rng, true);
    for &algorithm in Algorithm::ALL {
        let cuts = of_algorithm(rng, algorithm, all);
        counted(gpu, case, algorithm, cuts, seams, failures);
    }
}

/// By one algorithm, in pieces of these sizes.
fn counted(
    gpu: &Gpu,
    case: &Case,
    algorithm: Algorithm,
    cuts: Cuts,
    seams: &mut Seams,
    failures: &mut Vec<String>,
) {
    let machine = Machine::Gpu(*gpu.with_cuts(cuts).limits(), Residence::Host);
    seams.count(&case.problem().unwrap(), &machine, &cuts, algorithm);
    if let Err(wrong) = in_pieces(gpu, case, algorithm, cuts) {
        failures.push(format!("{algorithm}, {cuts:?}, {case}: {wrong}"));
    }
}

/// In pieces of these sizes and in one: with the same bits. `false` where it does not apply, or does not fit.
pub(crate) fn in_pieces(
    gpu: &Gpu,
    case: &Case,
    algorithm: Algorithm,
    cuts: Cuts,
) -> Result<bool, String> {
    let whole = Cuts { band_bytes: None, band_work: None, march: None, ..cuts };
    let [bands, whole] = [cuts, whole].map(|cuts| gpu.with_cuts(cuts));
    // One pixel with what it needs may not fit so small a band.
    let machine = Machine::Gpu(*bands.limits(), Residence::Host);
    let plan = plan::choose(&case.problem().unwrap(), &machine, algorithm);
    if matches!(plan, Err(channelwise::Error::TooLarge { .. })) {
        return Ok(false);
    }
    same(&judge(case), &[bands, whole].map(|gpu| Engine::from(gpu).with_algorithm(algorithm)))
}

#[test]
fn forward_on_the_cpu() {
    let (mut seams, mut failures) = (Seams::default(), Vec::new());
    let mut rng = Rng::new(301);
    let cases = times(700);
    for seed in 0..cases {
        on_cpu(&agreement::random(10_000 + seed as u64), &mut rng, &mut seams, &mut failures);
    }
    say(&format!("seams of the CPU: {cases} cases, {seams:?}"));
    refuse("seams of the CPU", &failures);
    let Seams { tasks, pieces, tiles, transforms, small, streamed, .. } = seams;
    assert!(pieces > cases / 20, "{seams:?}");
    assert!(tasks > cases / 2 && tiles > cases / 2 && transforms > cases / 20, "{seams:?}");
    assert!(small > cases / 50 && streamed > cases / 50, "{seams:?}");
}

/// A kernel that `separable` takes, which those of chance seldom are, with options that meet it.
pub(crate) fn separable(rng: &mut Rng, seed: u64) -> Case {
    let mut side = |most: usize| 1 + rng.below(most);
    let (h, w) = (side(17), side(17));
    let boxes = Kernel::box_blur(h, w).unwrap();
    let (kernel, single) = match rng.below(8) {
        0..4 => (boxes, true),
        4 => {
            let (column, row) = (rng.f32s(h.max(3), -1.0, 1.0), rng.f32s(w.max(3), -0.2, 0.4));
            (Kernel::separable(&column, &row).unwrap(), true)
        }
        5 => (Kernel::gaussian(7, 1.5).unwrap(), true),
        6 => (Kernel::log(9, 1.4).unwrap(), false),
        // Two that share a row, two that share a column, and one of two terms.
        _ => {
            let line = |rng: &mut Rng| rng.f32s(7, -0.3, 0.5);
            let [a, b, c, d] = [0; 4].map(|_| line(rng));
            let filters = [(&a, &b), (&c, &b), (&a, &d)]
                .map(|(column, row)| Kernel::separable(column, row).unwrap());
            let [first, second, third] = filters;
            let sharp = Kernel::unsharp(7, 1.0, 0.5).unwrap();
            (Kernel::stack(&[first, second, third, sharp]).unwrap(), false)
        }
    };
    let borders = [&BORDERS[..], &[Border::Constant(3.0)]].concat();
    let (layout, filters) = (*rng.pick(&[Layout::Nhwc, Layout::Nchw]), kernel.filters());
    let stride = *rng.pick(&[(1, 1), (1, 1), (2, 1), (1, 2), (3, 2), (7, 1)]);
    let dilation = *rng.pick(&[(1, 1), (1, 1), (1, 1), (1, 3), (2, 1)]);
    let mut conv = Conv2d::new(kernel)
        .layout(layout)
        .border(if rng.chance(4) { rng.borders() } else { (*rng.pick(&borders)).into() })
        .stride(stride.0, stride.1)
        .dilation(dilation.0, dilation.1)
        .padding(*rng.pick(&[Padding::Same, Padding::Same, Padding::Full]));
    if rng.chance(2) {
        conv = conv.bias(rng.f32s(filters, -0.5, 0.5));
    }
    let [height, width] = [0; 2].map(|_| *rng.pick(&[1, 3, 7, 17, 29, 41]));
    let shape = dims([1 + rng.below(2), height, width, *rng.pick(&[1, 2, 3, 4, 9, 35])], layout);
    let types = [0; 2].map(|_| *rng.pick(&[F32, F32, U8, U8, U8, U16, F16, I8, I16]));
    let case = Case::new(conv, shape).types((types[0], types[1])).seed(seed);
    match single && types == [F32; 2] && rng.chance(2) {
        true => case.non_finite(),
        false => case,
    }
}

#[test]
fn separable_on_the_cpu() {
    let (mut seams, mut failures) = (Seams::default(), Vec::new());
    let mut rng = Rng::new(305);
    let cases = times(400);
    for seed in 0..cases {
        let case = separable(&mut rng, seed as u64);
        on_cpu(&case, &mut rng, &mut seams, &mut failures);
    }
    say(&format!("seams of separable: {cases} cases, {seams:?}"));
    refuse("seams of separable", &failures);
    let Seams { tasks, tiles, factors, running, .. } = seams;
    assert!(tasks > cases / 2 && tiles > cases / 2, "{seams:?}");
    assert!(factors > cases / 3 && running > cases / 40, "{seams:?}");
}

#[test]
fn adjoint_on_the_cpu() {
    let (mut seams, mut failures) = (Seams::default(), Vec::new());
    let mut rng = Rng::new(302);
    let cases = times(400);
    for seed in 0..cases {
        let case = adjoint::case(&mut rng, (F32, F32), seed as u64);
        on_cpu(&case, &mut rng, &mut seams, &mut failures);
    }
    say(&format!("seams of adjoints: {cases} cases, {seams:?}"));
    refuse("seams of adjoints", &failures);
    assert!(seams.tasks > cases / 2 && seams.tiles > cases / 2, "{seams:?}");
}

#[test]
fn double_on_the_cpu() {
    let (mut seams, mut failures) = (Seams::default(), Vec::new());
    let mut rng = Rng::new(306);
    let cases = times(200);
    for seed in 0..cases {
        let case = agreement::double(&mut rng, seed as u64);
        on_cpu(&case, &mut rng, &mut seams, &mut failures);
        let case = adjoint::case(&mut rng, (F64, I32), seed as u64);
        on_cpu(&case, &mut rng, &mut seams, &mut failures);
    }
    say(&format!("seams of sums in f64: {cases} cases, {seams:?}"));
    refuse("seams of sums in f64", &failures);
    assert!(seams.tasks > cases / 2 && seams.tiles > cases / 2, "{seams:?}");
}

/// Parts are added in order, so threads and tiles do not change their sum.
#[test]
fn gradients_on_the_cpu() {
    let mut failures = Vec::new();
    let mut rng = Rng::new(303);
    let mut used = [0.0; 5];
    for number in 0..times(120) {
        let model = gradients::larger(&mut rng, number as u64, number % 3 == 0);
        let cuts = cuts(&mut rng, false);
        let levels = Cpu::simd_levels();
        let level = rng.pick(&levels);
        let of = |cpu: &Cpu, cuts: Cuts| {
            let cpu = cpu.clone().with_simd(level).unwrap().with_cuts(cuts);
            let name = format!("cpu {level}, {} threads, {cuts:?}", cpu.limits().threads);
            Backend { name, kind: Kind::Cpu, engine: cpu.into() }
        };
        // In another tile of columns the same vectors are added in another order.
        for backend in [of(rng.pick(cpus()), cuts), of(&cpus()[0], cuts)] {
            if let Err(text) = gradients::judge(&model, &backend, &mut used) {
                failures.push(format!("{text}, {:?}", model.setup()));
            }
        }
        let made = |cpu| gradients::by_engine(&model, &of(cpu, cuts).engine).unwrap().0;
        if made(rng.pick(cpus())) != made(&cpus()[0]) {
            failures.push(format!("threads change bits: {cuts:?}, {:?}", model.setup()));
        }
    }
    say(&format!("seams of gradients: used {used:.2?}"));
    refuse("seams of gradients", &failures);
}

/// In one pass and in two, with marches of a few rows.
#[test]
fn separable_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let (mut seams, mut failures) = (Seams::default(), Vec::new());
    let mut rng = Rng::new(307);
    let cases = times(60);
    for seed in 0..cases {
        let case = separable(&mut rng, seed as u64);
        let cuts = cuts(&mut rng, true);
        let cuts = of_algorithm(&mut rng, Algorithm::Separable, cuts);
        counted(&gpu, &case, Algorithm::Separable, cuts, &mut seams, &mut failures);
    }
    say(&format!("seams of separable on a GPU: {cases} cases, {seams:?}"));
    refuse("seams of separable on a GPU", &failures);
    assert!(seams.strips > cases / 4 && seams.bands > cases / 4, "{seams:?}");
}

#[test]
fn everything_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let (mut seams, mut failures) = (Seams::default(), Vec::new());
    let mut rng = Rng::new(311);
    let mut used = [0.0; 5];
    let cases = times(24);
    for seed in 0..cases {
        let case = match seed % 4 {
            0 => adjoint::case(&mut rng, (F32, F32), seed as u64),
            _ => agreement::random(20_000 + seed as u64),
        };
        on_gpu(&gpu, &case, &mut rng, &mut seams, &mut failures);
        if seed % 4 == 1 {
            let model = gradients::larger(&mut rng, seed as u64, seed % 8 == 1);
            // Rows of many channels need more than the smallest bands.
            let cuts = Cuts { band_bytes: Some(1 << 16), ..cuts(&mut rng, true) };
            let gpu = gpu.with_cuts(cuts);
            let name = format!("gpu, {:?}", gpu.limits().cuts);
            let backend = Backend { name, kind: Kind::GpuDirect, engine: gpu.into() };
            if let Err(text) = gradients::judge(&model, &backend, &mut used) {
                failures.push(format!("{text}, {:?}", model.setup()));
            }
        }
    }
    say(&format!("seams of a GPU: {cases} cases, {seams:?}"));
    refuse("seams of a GPU", &failures);
    assert!(seams.bands > cases / 2 && seams.transforms > 1, "{seams:?}");
}
