//! What the integration tests share: every engine, cases as data, data that is never all zeros,
//! and a comparison that judges each element on its own.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fmt::{self, Debug, Write as _};
use std::io::Write as _;
use std::sync::OnceLock;
use std::time::Instant;

use channelwise::ndarray::{Array, ArrayView};
use channelwise::reference::{self, Expected};
use channelwise::{
    Algorithm, Border, Conv2d, Cpu, Element, ElementType, Engine, Error, Gpu, GpuOptions, Kernel,
    Layout, Problem, Shape, f16, wgpu,
};

pub(crate) use ElementType::{F16, F32, U8, U16};

/// Every border, and both kinds of constant.
pub(crate) const BORDERS: [Border; 6] = [
    Border::ZERO,
    Border::Constant(0.7),
    Border::Replicate,
    Border::Reflect,
    Border::Reflect101,
    Border::Wrap,
];

/// Which code does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its `direct`.
    Cpu,
    CpuSeparable,
    CpuFft,
    GpuDirect,
    GpuFlat,
    GpuSeparable,
    GpuFft,
}

/// Every algorithm of a GPU.
const GPU: [(&str, Kind, Algorithm); 4] = [
    ("gpu direct", Kind::GpuDirect, Algorithm::Direct),
    ("gpu flat", Kind::GpuFlat, Algorithm::Flat),
    ("gpu separable", Kind::GpuSeparable, Algorithm::Separable),
    ("gpu fft", Kind::GpuFft, Algorithm::Fft),
];

/// An engine with its algorithm forced.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) engine: Engine,
}

/// Every engine of this machine with every algorithm: the CPU at each SIMD level, on one thread
/// and on two, and the GPU that the environment selects. Made once, so the device is too.
///
/// A machine without a GPU is told of on stderr, and refused where `CHANNELWISE_REQUIRE_GPU=1`.
pub(crate) fn engines() -> &'static [Backend] {
    static ENGINES: OnceLock<Vec<Backend>> = OnceLock::new();
    ENGINES.get_or_init(|| {
        let mut all = Vec::new();
        for level in Cpu::simd_levels() {
            for threads in [1, 2] {
                let cpu = Cpu::with_threads(threads).unwrap().with_simd(level).unwrap();
                assert_eq!((cpu.simd(), cpu.limits().threads), (level, threads));
                let cpu = Engine::from(cpu);
                let mut push = |name: &str, kind, algorithm| {
                    let name = format!("cpu {level} x{threads}{name}");
                    all.push(Backend { name, kind, engine: cpu.with_algorithm(algorithm) });
                };
                push("", Kind::Cpu, Algorithm::Direct);
                if threads == 2 {
                    push(" separable", Kind::CpuSeparable, Algorithm::Separable);
                }
                // Its transforms choose a level by themselves.
                if threads == 2 && level == Cpu::simd_levels()[0] {
                    push(" fft", Kind::CpuFft, Algorithm::Fft);
                }
            }
        }
        match Engine::gpu() {
            Ok(gpu) => {
                say(&format!("GPU covered: {gpu}"));
                for (name, kind, algorithm) in GPU {
                    let engine = gpu.with_algorithm(algorithm);
                    all.push(Backend { name: name.into(), kind, engine });
                }
            }
            Err(error) => {
                say(&format!("GPU not covered: {error}"));
                let required = std::env::var("CHANNELWISE_REQUIRE_GPU").is_ok_and(|v| v == "1");
                assert!(!required, "CHANNELWISE_REQUIRE_GPU=1, and there is no GPU: {error}");
            }
        }
        all
    })
}

impl Kind {
    pub(crate) fn is_gpu(self) -> bool {
        !matches!(self, Self::Cpu | Self::CpuSeparable | Self::CpuFft)
    }

    /// Whether it cannot do everything.
    pub(crate) fn may_refuse(self) -> bool {
        !matches!(self, Self::Cpu | Self::GpuDirect)
    }

    /// Whether sums that are exact in f32 come out exact, for any kernel.
    pub(crate) fn is_exact(self) -> bool {
        matches!(self, Self::Cpu | Self::GpuDirect | Self::GpuFlat)
    }
}

/// GPU engines whose shaders have every size as a constant. None where [`engines`] has no GPU.
pub(crate) fn specialised_devices() -> &'static [Backend] {
    static ENGINES: OnceLock<Vec<Backend>> = OnceLock::new();
    ENGINES.get_or_init(|| gpus(&GpuOptions::new().specialise_from(0), "specialised "))
}

/// GPU engines that are planned for as a discrete GPU with WebGPU's default limits, whatever they are.
/// None where [`engines`] has no GPU.
pub(crate) fn pretended_devices() -> &'static [Backend] {
    static ENGINES: OnceLock<Vec<Backend>> = OnceLock::new();
    ENGINES.get_or_init(|| {
        let options = GpuOptions::new().limits(wgpu::Limits::default());
        all_of(
            "pretended ",
            gpu_of(&options).map(|own| {
                let mut info = own.adapter_info().clone();
                (info.name, info.device_type) = ("another".into(), wgpu::DeviceType::DiscreteGpu);
                Gpu::from_device(info, own.device().clone(), own.queue().clone()).unwrap()
            }),
        )
    })
}

/// The algorithms of a GPU made with `options`. None where [`engines`] has no GPU.
fn gpus(options: &GpuOptions, name: &str) -> Vec<Backend> {
    all_of(name, gpu_of(options))
}

fn all_of(name: &str, gpu: Option<Gpu>) -> Vec<Backend> {
    let Some(gpu) = gpu.map(Engine::from) else { return Vec::new() };
    let backend = |(algorithm_name, kind, algorithm)| Backend {
        name: format!("{name}{algorithm_name}"),
        kind,
        engine: gpu.with_algorithm(algorithm),
    };
    GPU.map(backend).into()
}

/// GPU engines whose device binds no more than 64 KiB at once, so that nearly everything is cut
/// into bands. None where [`engines`] has no GPU.
pub(crate) fn small_devices() -> &'static [Backend] {
    static ENGINES: OnceLock<Vec<Backend>> = OnceLock::new();
    ENGINES.get_or_init(|| gpus(&small_options(), "small "))
}

fn small_options() -> GpuOptions {
    GpuOptions::new().limits(wgpu::Limits {
        max_storage_buffer_binding_size: 1 << 16,
        ..wgpu::Limits::downlevel_defaults()
    })
}

/// A device of its own, where [`engines`] has a GPU.
pub(crate) fn gpu() -> Option<Gpu> {
    gpu_of(&GpuOptions::new())
}

/// The same with the limits of [`small_devices`].
pub(crate) fn small_gpu() -> Option<Gpu> {
    gpu_of(&small_options())
}

fn gpu_of(options: &GpuOptions) -> Option<Gpu> {
    let there = engines().iter().any(|backend| backend.kind.is_gpu());
    there.then(|| pollster::block_on(Gpu::request(options)).unwrap())
}

/// The engines whose code differs: the best CPU level on two threads, and the GPU's.
pub(crate) fn main_engines() -> impl Iterator<Item = &'static Backend> {
    let best = format!("cpu {} x2", Cpu::simd_levels()[0]);
    engines().iter().filter(move |b| b.kind.is_gpu() || b.name.starts_with(&best))
}

/// Prints past the capture of test output, so that what is not covered is always seen.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Random numbers that are the same everywhere: xorshift64*.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        // Any seed but 0 does; neighbouring seeds shall not look alike.
        let mut rng = Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        rng.next();
        rng
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// In `0..n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// In `lo..hi`.
    pub(crate) fn uniform(&mut self, lo: f32, hi: f32) -> f32 {
        let unit = (self.next() & 0xff_ffff) as f32 / (1 << 24) as f32;
        lo + (hi - lo) * unit
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub(crate) fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    pub(crate) fn f32s(&mut self, n: usize, lo: f32, hi: f32) -> Vec<f32> {
        (0..n).map(|_| self.uniform(lo, hi)).collect()
    }

    /// `n` elements: integers of every value, or floats in `lo..hi`.
    pub(crate) fn elements<T: Element>(&mut self, n: usize, lo: f32, hi: f32) -> Vec<T> {
        let mut one = || match T::TYPE {
            U8 => T::from_f32(self.below(256) as f32),
            U16 => T::from_f32(self.below(65_536) as f32),
            _ => T::from_f32(self.uniform(lo, hi)),
        };
        (0..n).map(|_| one()).collect()
    }

    /// A kernel whose filters sum to 1 or so, with negative weights among them: on bytes most
    /// results lie in 0..=255, and some saturate.
    pub(crate) fn kernel(&mut self, height: usize, width: usize, filters: usize) -> Kernel {
        let scale = 4.0 / (height * width) as f32;
        let weights = self.f32s(height * width * filters, -0.5 * scale, scale);
        Kernel::with_filters(height, width, filters, weights).unwrap()
    }
}

/// A problem and its data, to be computed by every engine.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) conv: Conv2d,
    pub(crate) shape: Shape,
    pub(crate) from: ElementType,
    pub(crate) to: ElementType,
    pub(crate) seed: u64,
    /// Infinities and NaNs stand among the input.
    pub(crate) non_finite: bool,
}

impl Case {
    pub(crate) fn new(conv: Conv2d, shape: impl Into<Shape>) -> Self {
        Self { conv, shape: shape.into(), from: F32, to: F32, seed: 1, non_finite: false }
    }

    pub(crate) fn types(self, (from, to): (ElementType, ElementType)) -> Self {
        Self { from, to, ..self }
    }

    pub(crate) fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    pub(crate) fn non_finite(self) -> Self {
        Self { non_finite: true, ..self }
    }

    pub(crate) fn problem(&self) -> Result<Problem, Error> {
        Problem::new(&self.conv, self.shape, self.from, self.to)
    }

    /// The input, the same at every call.
    pub(crate) fn input<T: Element>(&self, problem: &Problem) -> Vec<T> {
        let mut rng = Rng::new(self.seed);
        let (lo, hi) = match self.to {
            U8 => (-40.0, 300.0),
            U16 => (-8e3, 65e3),
            _ => (-1.0, 1.0),
        };
        let mut input: Vec<T> = rng.elements(problem.input_len(), lo, hi);
        if self.non_finite {
            for (i, value) in
                [f32::INFINITY, f32::NAN, f32::NEG_INFINITY, f32::MAX].into_iter().enumerate()
            {
                let at = (2 * i + 1) * input.len() / 9;
                input[at] = T::from_f32(value);
            }
        }
        input
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem() {
            Ok(problem) => write!(f, "{problem}")?,
            Err(error) => write!(f, "{} ({error})", self.shape)?,
        }
        // `Conv2d` prints all its weights, which a reader has no use for.
        let all = format!("{:?}", self.conv);
        let rest = all.find("padding:").map_or("", |at| &all[at..]);
        write!(f, ", seed {}, {rest}", self.seed)
    }
}

/// Checks every element of `got`: all failures are counted, the first three told in full.
pub(crate) fn compare<U: Element>(
    got: &[U],
    want: &[Expected],
    shape: Shape,
) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} elements where {} are wanted", got.len(), want.len()));
    }
    let wrong: Vec<usize> = (0..got.len()).filter(|i| !want[*i].accepts(got[*i])).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let mut text = format!("{} of {} elements are wrong", wrong.len(), got.len());
    for at in wrong.iter().take(3) {
        let Expected { value, allowance } = want[*at];
        let _ = write!(
            text,
            "\n    at {:?}: got {:?}, want {value:e}, off by {:e}, allowed {allowance:e}",
            coordinates(*at, shape),
            got[*at],
            (f64::from(got[*at].to_f32()) - value).abs(),
        );
    }
    if wrong.len() > 3 {
        let _ = write!(text, "\n    and {} more", wrong.len() - 3);
    }
    Err(text)
}

fn coordinates(mut index: usize, shape: Shape) -> Vec<usize> {
    let mut at: Vec<usize> = shape
        .dims()
        .iter()
        .rev()
        .map(|n| {
            let i = index % n;
            index /= n;
            i
        })
        .collect();
    at.reverse();
    at
}

/// What an engine made of a problem.
#[derive(Debug)]
pub(crate) enum Outcome<U> {
    Done(Vec<U>),
    NotApplicable(String),
    Failed(String),
}

impl<U> Outcome<U> {
    pub(crate) fn unwrap(self) -> Vec<U> {
        match self {
            Self::Done(out) => out,
            Self::NotApplicable(reason) | Self::Failed(reason) => panic!("{reason}"),
        }
    }
}

/// Two values that outputs are filled with beforehand. Wherever the results of the two runs
/// differ, an element was left as it was.
fn dirt<U: Element>() -> [U; 2] {
    match U::TYPE {
        U8 | U16 => [U::from_f32(170.0), U::from_f32(85.0)],
        _ => [U::from_f32(f32::NAN), U::from_f32(-1234.567)],
    }
}

/// Runs `input`, a whole tensor in memory order, twice into dirty outputs.
pub(crate) fn run_dirty<T: Element, U: Element>(
    engine: &Engine,
    conv: &Conv2d,
    shape: Shape,
    input: &[T],
) -> Outcome<U> {
    let [first, second] = dirt::<U>().map(|fill| run_filled(engine, conv, shape, input, fill));
    let (first, second) = match (first, second) {
        (Ok(first), Ok(second)) => (first, second),
        (Err(Error::NotApplicable { reason, .. }), _) => return Outcome::NotApplicable(reason),
        (Err(error), _) | (_, Err(error)) => return Outcome::Failed(error.to_string()),
    };
    match (0..first.len()).find(|i| bits(first[*i]) != bits(second[*i])) {
        Some(at) => Outcome::Failed(format!(
            "element {at} is {:?} and, in a second run, {:?}: not written, or not repeatable",
            first[at], second[at]
        )),
        None => Outcome::Done(first),
    }
}

/// Runs into an output of `fill`.
pub(crate) fn run_filled<T: Element, U: Element>(
    engine: &Engine,
    conv: &Conv2d,
    shape: Shape,
    input: &[T],
    fill: U,
) -> Result<Vec<U>, Error> {
    let prepared = engine.prepare::<T, U>(conv, shape)?;
    let out = prepared.problem().output_shape();
    macro_rules! run {
        ($input:expr, $out:expr) => {{
            let mut out = Array::from_elem($out, fill);
            prepared.run_into(&ArrayView::from_shape($input, input).unwrap(), &mut out)?;
            Ok(out.into_raw_vec_and_offset().0)
        }};
    }
    match (shape.dims(), out.dims()) {
        (&[a, b], &[c, d]) => run!((a, b), (c, d)),
        (&[a, b, c], &[d, e, f]) => run!((a, b, c), (d, e, f)),
        (&[a, b, c, d], &[e, f, g, h]) => run!((a, b, c, d), (e, f, g, h)),
        _ => unreachable!("the output has as many axes as the input"),
    }
}

/// The bits of an element; all NaNs count as one.
pub(crate) fn bits<U: Element>(value: U) -> u32 {
    let value = value.to_f32();
    if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }
}

/// The first element in which two results differ in any bit.
pub(crate) fn same_bits<U: Element>(got: &[U], want: &[U]) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} elements where {} are wanted", got.len(), want.len()));
    }
    let wrong: Vec<usize> = (0..got.len()).filter(|i| bits(got[*i]) != bits(want[*i])).collect();
    match wrong.first() {
        None => Ok(()),
        Some(at) => Err(format!(
            "{} of {} elements differ, first at {at}: {:?} for {:?}",
            wrong.len(),
            got.len(),
            got[*at],
            want[*at]
        )),
    }
}

/// Counts what each engine was asked and collects every failure of a test.
#[derive(Debug)]
pub(crate) struct Tally {
    test: &'static str,
    engines: Vec<&'static Backend>,
    started: Instant,
    cases: usize,
    covered: Vec<usize>,
    not_applicable: Vec<usize>,
    left_out: Vec<usize>,
    /// Outputs that should not be finite, on GPUs that promise nothing about those.
    excused: usize,
    failures: Vec<String>,
}

impl Tally {
    pub(crate) fn new(test: &'static str) -> Self {
        Self::of(test, engines().iter().collect())
    }

    /// For what is too much for a GPU that is played by the CPU.
    pub(crate) fn cpu_only(test: &'static str) -> Self {
        Self::of(test, engines().iter().filter(|b| !b.kind.is_gpu()).collect())
    }

    /// On [`small_devices`].
    pub(crate) fn small(test: &'static str) -> Self {
        Self::of(test, small_devices().iter().collect())
    }

    /// On [`specialised_devices`].
    pub(crate) fn specialised(test: &'static str) -> Self {
        Self::of(test, specialised_devices().iter().collect())
    }

    /// On [`pretended_devices`].
    pub(crate) fn pretended(test: &'static str) -> Self {
        Self::of(test, pretended_devices().iter().collect())
    }

    /// The same without engines of another kind.
    pub(crate) fn only(self, kind: Kind) -> Self {
        Self::of(self.test, self.engines.into_iter().filter(|b| b.kind == kind).collect())
    }

    /// The same without engines whose sums are never exact.
    pub(crate) fn exact(self) -> Self {
        Self::of(self.test, self.engines.into_iter().filter(|b| b.kind.is_exact()).collect())
    }

    fn of(test: &'static str, engines: Vec<&'static Backend>) -> Self {
        let n = engines.len();
        Self {
            test,
            engines,
            started: Instant::now(),
            cases: 0,
            covered: vec![0; n],
            not_applicable: vec![0; n],
            left_out: vec![0; n],
            excused: 0,
            failures: Vec::new(),
        }
    }

    /// One case on every engine, each element against the reference.
    pub(crate) fn case(&mut self, case: &Case) {
        match case.from {
            F32 => self.from::<f32>(case),
            U8 => self.from::<u8>(case),
            U16 => self.from::<u16>(case),
            F16 => self.from::<f16>(case),
            other => panic!("{other} is not covered: add it"),
        }
    }

    fn from<T: Element>(&mut self, case: &Case) {
        match case.to {
            F32 => self.typed::<T, f32>(case),
            U8 => self.typed::<T, u8>(case),
            U16 => self.typed::<T, u16>(case),
            F16 => self.typed::<T, f16>(case),
            other => panic!("{other} is not covered: add it"),
        }
    }

    fn typed<T: Element, U: Element>(&mut self, case: &Case) {
        let problem = match case.problem() {
            Ok(problem) => problem,
            Err(error) => panic!("{case}: {error}"),
        };
        let input: Vec<T> = case.input(&problem);
        assert!(
            input.len() < 2 || input.iter().any(|x| *x != T::default()),
            "{case}: zeros show nothing"
        );
        let want = reference::run(&problem, &input);
        let mut excused = 0;
        self.each(case, |engine| {
            let spread = match engine.prepare::<T, U>(&case.conv, case.shape) {
                Ok(prepared) => prepared.plan().accuracy().spread,
                Err(Error::NotApplicable { reason, .. }) => return Outcome::NotApplicable(reason),
                Err(error) => return Outcome::Failed(error.to_string()),
            };
            if spread > 0.0 && case.non_finite {
                return Outcome::NotApplicable("it promises nothing of what is not finite".into());
            }
            let within = (spread > 0.0).then(|| reference::run_within(&problem, &input, spread));
            let want = within.as_ref().unwrap_or(&want);
            match run_dirty::<T, U>(engine, &case.conv, case.shape, &input) {
                Outcome::Done(mut got) => {
                    if !keeps_non_finite(engine) {
                        for (got, want) in got.iter_mut().zip(want) {
                            if !want.value.is_finite() && !want.accepts(*got) {
                                *got = want.nearest();
                                excused += 1;
                            }
                        }
                    }
                    match compare(&got, want, problem.output_shape()) {
                        Ok(()) => Outcome::Done(got),
                        Err(text) => Outcome::Failed(text),
                    }
                }
                other => other,
            }
        });
        self.excused += excused;
    }

    /// One case, as `run` judges it, on every engine.
    pub(crate) fn each<U>(
        &mut self,
        case: &dyn fmt::Display,
        mut run: impl FnMut(&Engine) -> Outcome<U>,
    ) {
        self.cases += 1;
        for (i, backend) in self.engines.iter().enumerate() {
            // Its shaders take the longest to compile. `fourier_tiles` is about nothing else.
            if backend.kind == Kind::GpuFft && self.engines.len() > 1 && self.cases % 3 != 1 {
                self.left_out[i] += 1;
                continue;
            }
            match run(&backend.engine) {
                Outcome::Done(_) => self.covered[i] += 1,
                Outcome::NotApplicable(_) if backend.kind.may_refuse() => {
                    self.not_applicable[i] += 1;
                }
                // `direct` takes everything.
                Outcome::NotApplicable(text) | Outcome::Failed(text) => {
                    self.failures.push(format!("{} on {case}\n    {text}", backend.name));
                }
            }
        }
    }

    /// Those that take part.
    pub(crate) fn engines(&self) -> &[&'static Backend] {
        &self.engines
    }

    /// Cases that the engine of this kind did; `None` where there is no such engine.
    pub(crate) fn covered_by(&self, kind: Kind) -> Option<usize> {
        let at = self.engines.iter().position(|b| b.kind == kind)?;
        Some(self.covered[at])
    }

    /// Tells the counts; fails if anything failed, an engine was left out, or `flat` applied to
    /// less than `flat` cases.
    pub(crate) fn finish(self, flat: usize) {
        let mut text = format!(
            "{}: {} cases in {:.1} s:",
            self.test,
            self.cases,
            self.started.elapsed().as_secs_f64()
        );
        for (i, backend) in self.engines.iter().enumerate() {
            let _ = write!(text, " {} {}", backend.name, self.covered[i]);
            if self.not_applicable[i] > 0 {
                let _ = write!(text, " (not applicable {})", self.not_applicable[i]);
            }
            if self.left_out[i] > 0 {
                let _ = write!(text, " (left out {})", self.left_out[i]);
            }
            text.push(',');
        }
        if self.excused > 0 {
            let _ = write!(text, " {} outputs that should not be finite differ,", self.excused);
        }
        say(text.trim_end_matches(','));
        refuse(self.test, &self.failures);
        for (i, backend) in self.engines.iter().enumerate() {
            let least = match backend.kind {
                Kind::GpuFlat => flat,
                // Few kernels are separable: `separable_kernels` sees to those.
                Kind::CpuSeparable | Kind::GpuSeparable => 0,
                // It refuses what is not finite.
                Kind::CpuFft | Kind::GpuFft => 0,
                Kind::Cpu | Kind::GpuDirect => self.cases,
            };
            assert!(
                self.covered[i] >= least,
                "{} was covered by {} cases, at least {least} are wanted",
                backend.name,
                self.covered[i]
            );
        }
    }
}

/// Whether results that are not finite can be relied on: on the CPU, and on the one GPU driver that
/// is known to keep to IEEE. WGSL lets the others assume that there are none.
fn keeps_non_finite(engine: &Engine) -> bool {
    engine.as_gpu().is_none_or(|gpu| {
        let info = gpu.adapter_info();
        info.name.contains("llvmpipe") && info.backend == channelwise::wgpu::Backend::Vulkan
    })
}

/// Panics if there are failures, with the first three in full and the count of the rest.
pub(crate) fn refuse(test: &str, failures: &[String]) {
    if failures.is_empty() {
        return;
    }
    let mut text = format!("{test}: {} failures", failures.len());
    for failure in failures.iter().take(3) {
        let _ = write!(text, "\n  {failure}");
    }
    if failures.len() > 3 {
        let _ = write!(text, "\n  and {} more:", failures.len() - 3);
        for failure in &failures[3..] {
            let _ = write!(text, "\n  {}", failure.lines().next().unwrap_or_default());
        }
    }
    panic!("{text}");
}

/// `data` of shape `[n, h, w, c]` as `[n, c, h, w]`.
pub(crate) fn to_nchw<T: Copy>(data: &[T], [n, h, w, c]: [usize; 4]) -> Vec<T> {
    let mut out = Vec::with_capacity(data.len());
    for n in 0..n {
        for c_at in 0..c {
            for h_at in 0..h {
                for w_at in 0..w {
                    out.push(data[((n * h + h_at) * w + w_at) * c + c_at]);
                }
            }
        }
    }
    out
}

/// The axes `[n, h, w, c]` in the order of `layout`.
pub(crate) fn dims([n, h, w, c]: [usize; 4], layout: Layout) -> [usize; 4] {
    match layout {
        Layout::Nchw => [n, c, h, w],
        _ => [n, h, w, c],
    }
}
