//! The front door: an engine, problems prepared for it, and ndarray on both sides.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ndarray::{Array, ArrayD, ArrayRef, Dimension, Ix2, Ix3, Ix4, IxDyn};

use crate::gpu::{Clock, Wait};
use crate::plan::{self, Launch, Machine, Plan};
use crate::{
    Algorithm, Conv2d, Cpu, Element, Error, Gpu, GpuOptions, GpuPrepared, Problem, Result, Shape,
};

/// Problems an engine remembers, so that repeated calls plan and compile once.
const REMEMBERED: usize = 16;

mod sealed {
    pub trait Sealed {}
    impl Sealed for ndarray::Ix2 {}
    impl Sealed for ndarray::Ix3 {}
    impl Sealed for ndarray::Ix4 {}
}

/// The number of axes of a tensor: two (`[height, width]`), three (with channels) or four (with
/// batch and channels).
pub trait Axes: Dimension + sealed::Sealed {}
impl Axes for Ix2 {}
impl Axes for Ix3 {}
impl Axes for Ix4 {}

/// What runs plans: the CPU or a GPU. Cloning is cheap and shares everything.
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel};
/// use ndarray::Array4;
///
/// # fn main() -> channelwise::Result<()> {
/// let engine = Engine::auto();
/// println!("{engine}");
/// let x = Array4::<f32>::ones((1, 10, 10, 3));
/// let y = engine.run(&Conv2d::like_tensorflow(Kernel::box_blur(3, 3)?), &x)?;
/// assert_eq!(y.dim(), (1, 8, 8, 3));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    backend: Backend,
    /// How it came to be taken, for people.
    why: String,
    algorithm: Algorithm,
    /// The most recently used last.
    ready: Mutex<VecDeque<Arc<Ready>>>,
}

#[derive(Clone, Debug)]
enum Backend {
    Cpu(Cpu),
    Gpu(Gpu),
}

/// A problem and how an engine will do it.
#[derive(Debug)]
enum Ready {
    Cpu { problem: Problem, plan: Plan },
    Gpu(GpuPrepared),
}

impl Ready {
    fn problem(&self) -> &Problem {
        match self {
            Self::Cpu { problem, .. } => problem,
            Self::Gpu(prepared) => prepared.problem(),
        }
    }

    fn plan(&self) -> &Plan {
        match self {
            Self::Cpu { plan, .. } => plan,
            Self::Gpu(prepared) => prepared.plan(),
        }
    }
}

/// Time on the host that the parts of a call took.
///
/// On a GPU bands overlap, so the parts are what the host waited for each. In browsers, which
/// have no clock here, all are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// Copying the input to the device.
    pub upload: Duration,
    /// Computing.
    pub compute: Duration,
    /// Copying the output back.
    pub download: Duration,
    /// Everything.
    pub total: Duration,
}

impl Engine {
    /// The CPU.
    #[must_use]
    pub fn cpu() -> Self {
        Cpu::new().into()
    }

    /// A hardware GPU if there is one, and the CPU otherwise. `to_string()` says what was taken
    /// and why.
    ///
    /// Software adapters (llvmpipe, SwiftShader, WARP) are slower than our own CPU code, so they
    /// are taken only when asked for: by name in `WGPU_ADAPTER_NAME`, or with [`Engine::gpu`].
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn auto() -> Self {
        pollster::block_on(Self::auto_async())
    }

    /// [`Engine::auto`] without blocking.
    pub async fn auto_async() -> Self {
        match Gpu::request(&GpuOptions::new().hardware_only()).await {
            Ok(gpu) => {
                let why = if gpu.is_software() {
                    "auto: asked for by name"
                } else {
                    "auto: a hardware GPU"
                };
                Self::new(Backend::Gpu(gpu), why.into())
            }
            Err(reason) => Self::new(Backend::Cpu(Cpu::new()), format!("auto: {reason}")),
        }
    }

    /// A GPU: the best adapter there is, a software one if there is no other, or the one that
    /// `WGPU_ADAPTER_NAME`, `WGPU_BACKEND` and `WGPU_POWER_PREF` name. For more say see
    /// [`Gpu::request`] and [`Gpu::from_device`].
    ///
    /// # Errors
    /// [`Error::NoAdapter`] where there is none, [`Error::Device`] where it gives no device.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn gpu() -> Result<Self> {
        pollster::block_on(Gpu::request(&GpuOptions::new())).map(Self::from)
    }

    /// The same engine with `algorithm` forced. Results stay within the stated bound; what the
    /// algorithm cannot do becomes [`Error::NotApplicable`].
    #[must_use]
    pub fn with_algorithm(&self, algorithm: Algorithm) -> Self {
        Self {
            shared: Arc::new(Shared {
                backend: self.shared.backend.clone(),
                why: self.shared.why.clone(),
                algorithm,
                ready: Mutex::default(),
            }),
        }
    }

    /// The GPU, if it is one.
    #[must_use]
    pub fn as_gpu(&self) -> Option<&Gpu> {
        match &self.shared.backend {
            Backend::Gpu(gpu) => Some(gpu),
            Backend::Cpu(_) => None,
        }
    }

    fn new(backend: Backend, why: String) -> Self {
        Self {
            shared: Arc::new(Shared {
                backend,
                why,
                algorithm: Algorithm::Auto,
                ready: Mutex::default(),
            }),
        }
    }

    /// Applies `conv` to `input`; the output has the same element type and number of axes.
    ///
    /// `input` is any ndarray array or view; one that is not contiguous in standard order is
    /// copied first. Repeated calls with equal options and shape plan only once.
    ///
    /// # Errors
    /// Those of [`Problem::new`], and what the engine runs into.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run<T: Element, D: Axes>(
        &self,
        conv: &Conv2d,
        input: &ArrayRef<T, D>,
    ) -> Result<Array<T, D>> {
        self.run_as(conv, input)
    }

    /// [`Engine::run`] with another element type of the output: u8 in and f32 out, say.
    ///
    /// ```
    /// use channelwise::{Conv2d, Engine, Kernel};
    /// use ndarray::{Array2, array};
    /// # fn main() -> channelwise::Result<()> {
    /// let edges: Array2<f32> = Engine::cpu().run_as(
    ///     &Conv2d::like_opencv(Kernel::sobel_x()),
    ///     &array![[0u8, 10, 10], [0, 10, 10], [0, 10, 10]],
    /// )?;
    /// assert_eq!(edges[[1, 1]], 40.0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Engine::run`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_as<T: Element, U: Element, D: Axes>(
        &self,
        conv: &Conv2d,
        input: &ArrayRef<T, D>,
    ) -> Result<Array<U, D>> {
        self.prepare(conv, shape_of(input)?)?.run(input)
    }

    /// Applies `conv` to `input` and writes into `output`.
    ///
    /// # Errors
    /// Those of [`Engine::run`], and [`Error::ShapeMismatch`] where `output` has another shape.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_into<T: Element, U: Element, D: Axes>(
        &self,
        conv: &Conv2d,
        input: &ArrayRef<T, D>,
        output: &mut ArrayRef<U, D>,
    ) -> Result<()> {
        self.prepare(conv, shape_of(input)?)?.run_into(input, output)
    }

    /// [`Engine::run_as`] without blocking.
    ///
    /// # Errors
    /// Those of [`Engine::run`].
    pub async fn run_async<T: Element, U: Element, D: Axes>(
        &self,
        conv: &Conv2d,
        input: &ArrayRef<T, D>,
    ) -> Result<Array<U, D>> {
        self.prepare_async(conv, shape_of(input)?).await?.run_async(input).await
    }

    /// [`Engine::run_into`] without blocking.
    ///
    /// # Errors
    /// Those of [`Engine::run_into`].
    pub async fn run_into_async<T: Element, U: Element, D: Axes>(
        &self,
        conv: &Conv2d,
        input: &ArrayRef<T, D>,
        output: &mut ArrayRef<U, D>,
    ) -> Result<()> {
        let prepared = self.prepare_async(conv, shape_of(input)?).await?;
        prepared.run_into_async(input, output).await.map(drop)
    }

    /// Checks, plans and (on a GPU) compiles for inputs of one shape.
    ///
    /// # Errors
    /// Those of [`Problem::new`]; [`Error::NotApplicable`] for an algorithm that was forced; what
    /// the device says.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn prepare<T: Element, U: Element>(
        &self,
        conv: &Conv2d,
        shape: impl Into<Shape>,
    ) -> Result<Prepared<T, U>> {
        pollster::block_on(self.prepare_async(conv, shape))
    }

    /// [`Engine::prepare`] without blocking.
    ///
    /// # Errors
    /// Those of [`Engine::prepare`].
    pub async fn prepare_async<T: Element, U: Element>(
        &self,
        conv: &Conv2d,
        shape: impl Into<Shape>,
    ) -> Result<Prepared<T, U>> {
        let shape = shape.into();
        let known = |ready: &Arc<Ready>| {
            let problem = ready.problem();
            (problem.input_shape(), problem.input_type(), problem.output_type())
                == (shape, T::TYPE, U::TYPE)
                && problem.conv() == conv
        };
        let remembered = self.remembered(known);
        let ready = match remembered {
            Some(ready) => ready,
            None => {
                let problem = Problem::new(conv, shape, T::TYPE, U::TYPE)?;
                let ready = Arc::new(self.make_ready(problem).await?);
                self.remember(ready.clone());
                ready
            }
        };
        Ok(Prepared { engine: self.clone(), ready, types: PhantomData })
    }

    async fn make_ready(&self, problem: Problem) -> Result<Ready> {
        let algorithm = self.shared.algorithm;
        Ok(match &self.shared.backend {
            Backend::Cpu(cpu) => {
                let plan = plan::choose(&problem, &Machine::Cpu(cpu.limits()), algorithm)?;
                Ready::Cpu { problem, plan }
            }
            Backend::Gpu(gpu) => Ready::Gpu(gpu.prepare_host(&problem, algorithm).await?),
        })
    }

    fn remembered(&self, known: impl Fn(&Arc<Ready>) -> bool) -> Option<Arc<Ready>> {
        let mut all = self.shared.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().rposition(known)?;
        let ready = all.remove(at)?;
        all.push_back(ready.clone());
        Some(ready)
    }

    fn remember(&self, ready: Arc<Ready>) {
        let mut all = self.shared.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == REMEMBERED {
            all.pop_front();
        }
        all.push_back(ready);
    }
}

impl From<Cpu> for Engine {
    fn from(cpu: Cpu) -> Self {
        Self::new(Backend::Cpu(cpu), "asked for".into())
    }
}

impl From<Gpu> for Engine {
    fn from(gpu: Gpu) -> Self {
        Self::new(Backend::Gpu(gpu), "asked for".into())
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shared.backend {
            Backend::Cpu(cpu) => write!(f, "{cpu}")?,
            Backend::Gpu(gpu) => write!(f, "{gpu}")?,
        }
        write!(f, " [{}]", self.shared.why)
    }
}

/// A problem that was checked, planned and compiled for an engine: `T` in, `U` out.
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel};
/// use ndarray::Array3;
/// # fn main() -> channelwise::Result<()> {
/// let blur = Engine::cpu().prepare::<u8, u8>(&Conv2d::new(Kernel::gaussian(5, 1.0)?), [48, 64, 3])?;
/// let mut out = Array3::zeros((48, 64, 3));
/// for value in [10, 20, 30] {
///     blur.run_into(&Array3::from_elem((48, 64, 3), value), &mut out)?;
///     assert_eq!(out[[20, 30, 1]], value);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Prepared<T, U> {
    engine: Engine,
    ready: Arc<Ready>,
    types: PhantomData<fn(T) -> U>,
}

impl<T: Element, U: Element> Prepared<T, U> {
    /// How it will be computed, and why so.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.ready.plan()
    }

    /// What will be computed.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        self.ready.problem()
    }

    /// Computes into a new array.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] where `input` has another shape than was prepared for;
    /// [`Error::OutOfMemory`]; what the device runs into.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run<D: Axes>(&self, input: &ArrayRef<T, D>) -> Result<Array<U, D>> {
        pollster::block_on(self.run_new(input, Wait::Here))
    }

    /// Computes into `output`.
    ///
    /// # Errors
    /// Those of [`Prepared::run`], also for the shape of `output`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_into<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output: &mut ArrayRef<U, D>,
    ) -> Result<()> {
        self.run_into_timed(input, output).map(drop)
    }

    /// [`Prepared::run_into`], telling where the time went.
    ///
    /// # Errors
    /// Those of [`Prepared::run_into`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_into_timed<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output: &mut ArrayRef<U, D>,
    ) -> Result<Timings> {
        pollster::block_on(self.run_arrays(input, output, Wait::Here))
    }

    /// [`Prepared::run`] without blocking.
    ///
    /// # Errors
    /// Those of [`Prepared::run`].
    pub async fn run_async<D: Axes>(&self, input: &ArrayRef<T, D>) -> Result<Array<U, D>> {
        self.run_new(input, Wait::Elsewhere).await
    }

    /// [`Prepared::run_into`] without blocking.
    ///
    /// # Errors
    /// Those of [`Prepared::run_into`].
    pub async fn run_into_async<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output: &mut ArrayRef<U, D>,
    ) -> Result<Timings> {
        self.run_arrays(input, output, Wait::Elsewhere).await
    }

    async fn run_new<D: Axes>(&self, input: &ArrayRef<T, D>, wait: Wait) -> Result<Array<U, D>> {
        let shape = self.problem().output_shape();
        let len = self.problem().output_len();
        let out = bytemuck::allocation::try_zeroed_vec(len).map_err(|()| Error::OutOfMemory {
            place: "host",
            what: "the output",
            bytes: (len * U::TYPE.bytes()) as u64,
        })?;
        let out = ArrayD::from_shape_vec(IxDyn(shape.dims()), out);
        let out = out.and_then(ArrayD::into_dimensionality::<D>);
        let mut out = out.map_err(|_| mismatch("output", shape, input.shape()))?;
        self.run_arrays(input, &mut out, wait).await?;
        Ok(out)
    }

    async fn run_arrays<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output: &mut ArrayRef<U, D>,
        wait: Wait,
    ) -> Result<Timings> {
        let mut clock = Clock::start();
        let problem = self.problem();
        if shape_of(input)? != problem.input_shape() {
            return Err(mismatch("input", problem.input_shape(), input.shape()));
        }
        if shape_of(output)? != problem.output_shape() {
            return Err(mismatch("output", problem.output_shape(), output.shape()));
        }
        let input = input.as_standard_layout();
        // A standard layout is always a slice.
        let src = input.as_slice().unwrap_or_default();
        let mut timings = match output.as_slice_mut() {
            Some(dst) => self.run_slices(src, dst, wait).await?,
            None => {
                let mut whole = Array::from_elem(output.raw_dim(), U::default());
                let timings =
                    self.run_slices(src, whole.as_slice_mut().unwrap_or_default(), wait).await?;
                output.assign(&whole);
                timings
            }
        };
        timings.total = clock.lap();
        Ok(timings)
    }

    /// `src` and `dst` hold whole tensors.
    async fn run_slices(&self, src: &[T], dst: &mut [U], wait: Wait) -> Result<Timings> {
        let mut clock = Clock::start();
        match (&*self.ready, &self.engine.shared.backend) {
            (Ready::Cpu { problem, plan }, Backend::Cpu(cpu)) => {
                if let Launch::Cpu(launch) = plan.launch() {
                    cpu.run(problem, launch, src, dst);
                }
                Ok(Timings { compute: clock.lap(), ..Timings::default() })
            }
            (Ready::Gpu(prepared), _) => {
                let src = bytemuck::cast_slice(src);
                let parts = prepared.run(src, bytemuck::cast_slice_mut(dst), wait).await?;
                Ok(Timings {
                    upload: parts.upload,
                    compute: parts.compute,
                    download: parts.download,
                    ..Timings::default()
                })
            }
            // An engine makes only its own kind ready.
            (Ready::Cpu { plan, .. }, Backend::Gpu(_)) => Err(Error::NotApplicable {
                algorithm: plan.algorithm(),
                engine: "gpu",
                reason: "it was planned for the CPU".into(),
            }),
        }
    }
}

fn shape_of<T, D: Axes>(array: &ArrayRef<T, D>) -> Result<Shape> {
    Shape::from_dims(array.shape())
        .ok_or_else(|| Error::argument("number of axes", array.ndim(), "a tensor has two to four"))
}

fn mismatch(what: &'static str, expected: Shape, found: &[usize]) -> Error {
    Error::ShapeMismatch { what, expected: expected.dims().to_vec(), found: found.to_vec() }
}

/// Compile-time check: on native, handles may be shared between threads and the futures sent.
#[cfg(not(target_arch = "wasm32"))]
const _: () = {
    const fn shareable<T: Send + Sync>() {}
    shareable::<Engine>();
    shareable::<Prepared<f32, u8>>();
    shareable::<GpuPrepared>();
    const fn sendable<F: std::future::Future + Send>(_: &F) {}
    #[expect(dead_code, reason = "only its types are checked")]
    fn futures(engine: &Engine, conv: &Conv2d, input: &Array<f32, Ix4>) {
        sendable(&engine.run_async::<f32, u8, _>(conv, input));
        sendable(&Engine::auto_async());
    }
};
