//! Every engine of this machine, with every algorithm forced.

use std::io::Write as _;
use std::sync::{Mutex, OnceLock};

use channelwise::plan::{AdapterClass, Cuts};
use channelwise::{Algorithm, Cpu, Engine, Gpu, GpuOptions, wgpu};

/// Which code does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its `direct`.
    Cpu,
    CpuSeparable,
    CpuFft,
    GpuDirect,
    GpuFlat,
    GpuMarch,
    GpuSeparable,
    GpuFft,
}

/// Every algorithm of a GPU.
const GPU: [(&str, Kind, Algorithm, Option<bool>); 6] = [
    ("gpu direct", Kind::GpuDirect, Algorithm::Direct, None),
    ("gpu flat", Kind::GpuFlat, Algorithm::Flat, None),
    ("gpu march", Kind::GpuMarch, Algorithm::March, None),
    // In one pass wherever it can.
    ("gpu separable", Kind::GpuSeparable, Algorithm::Separable, None),
    ("gpu separable twice", Kind::GpuSeparable, Algorithm::Separable, Some(false)),
    ("gpu fft", Kind::GpuFft, Algorithm::Fft, None),
];

/// An engine with its algorithm forced.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) engine: Engine,
}

/// Tests that run at once share none of the first so many devices: a GPU that is played compiles the
/// shaders of a device one after the other.
const AT_ONCE: usize = 4;

/// Engines that each test thread has to itself while it runs, made once for the next to find.
struct Own([OnceLock<Vec<Backend>>; AT_ONCE]);

impl Own {
    const fn new() -> Self {
        Self([const { OnceLock::new() }; AT_ONCE])
    }

    fn get(&'static self, make: impl FnOnce() -> Vec<Backend>) -> &'static [Backend] {
        self.0[Place::of_this_thread()].get_or_init(make)
    }
}

/// Which engines a thread has, until it ends.
struct Place(usize);

/// Threads at each place.
static TAKEN: Mutex<[usize; AT_ONCE]> = Mutex::new([0; AT_ONCE]);

impl Place {
    fn of_this_thread() -> usize {
        thread_local!(static PLACE: Place = Place::take());
        PLACE.with(|place| place.0)
    }

    /// The first of those that fewest have.
    fn take() -> Self {
        let mut taken = TAKEN.lock().unwrap();
        let place = (0..AT_ONCE).min_by_key(|place| taken[*place]).unwrap_or(0);
        taken[place] += 1;
        Self(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.lock().unwrap()[self.0] -= 1;
    }
}

/// Every engine of this machine with every algorithm: the CPU at each SIMD level, on one thread
/// and on two, and the GPU that the environment selects.
///
/// A machine without a GPU is told of on stderr, and refused where `CHANNELWISE_REQUIRE_GPU=1`.
pub(crate) fn engines() -> &'static [Backend] {
    static ENGINES: Own = Own::new();
    ENGINES.get(|| {
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
                for (name, kind, algorithm, one_pass) in GPU {
                    // As of a GPU with memory of its own, and as of one that shares the host's.
                    let staged = matches!(algorithm, Algorithm::Direct | Algorithm::Separable);
                    let cuts = Cuts { staged, one_pass, ..Cuts::NONE };
                    let cut = gpu.as_gpu().map(|gpu| Engine::from(gpu.with_cuts(cuts)));
                    let engine = cut.as_ref().unwrap_or(&gpu).with_algorithm(algorithm);
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
        matches!(self, Self::Cpu | Self::GpuDirect | Self::GpuFlat | Self::GpuMarch)
    }
}

/// GPU engines whose shaders have every size as a constant. None where [`engines`] has no GPU.
pub(crate) fn specialised_devices() -> &'static [Backend] {
    static ENGINES: Own = Own::new();
    ENGINES.get(|| all_of("specialised ", specialised_gpu()))
}

fn specialised_gpu() -> Option<Gpu> {
    gpu_of(&GpuOptions::new().specialise_from(0))
}

/// GPU engines that are planned for as a discrete GPU with WebGPU's default limits, whatever they are, and that
/// leave no tile of `fft` whole. None where [`engines`] has no GPU.
pub(crate) fn pretended_devices() -> &'static [Backend] {
    static ENGINES: Own = Own::new();
    ENGINES.get(|| all_of("pretended ", pretended_gpu()))
}

fn pretended_gpu() -> Option<Gpu> {
    let apart = Cuts { whole: Some(false), ..Cuts::NONE };
    let own = gpu_of(&GpuOptions::new().limits(wgpu::Limits::default()))?;
    Some(own.with_class(AdapterClass::Discrete).with_cuts(apart))
}

/// A device of each kind, made anew, with its name. None where [`engines`] has no GPU.
pub(crate) fn devices() -> Vec<(&'static str, Gpu)> {
    let all = [
        ("gpu", gpu()),
        ("specialised gpu", specialised_gpu()),
        ("small gpu", small_gpu()),
        ("pretended gpu", pretended_gpu()),
    ];
    all.into_iter().filter_map(|(name, gpu)| Some((name, gpu?))).collect()
}

/// The algorithms of a GPU.
fn all_of(name: &str, gpu: Option<Gpu>) -> Vec<Backend> {
    let Some(gpu) = gpu else { return Vec::new() };
    let backend = |(algorithm_name, kind, algorithm, one_pass)| Backend {
        name: format!("{name}{algorithm_name}"),
        kind,
        engine: Engine::from(gpu.with_cuts(Cuts { one_pass, ..Cuts::NONE }))
            .with_algorithm(algorithm),
    };
    GPU.map(backend).into()
}

/// GPU engines whose device binds no more than 64 KiB at once, so that nearly everything is cut
/// into bands. None where [`engines`] has no GPU.
pub(crate) fn small_devices() -> &'static [Backend] {
    static ENGINES: Own = Own::new();
    ENGINES.get(|| all_of("small ", small_gpu()))
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
    there.then(|| Gpu::request(options).unwrap())
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
