//! The front door: an engine, problems prepared for it, and ndarray on both sides.

mod arrays;
mod auto;
mod backward;
mod chain;
mod cpu_backward;
mod each;
#[cfg(feature = "gpu")]
mod gpu;
mod gradients;
mod masked;
mod part;
#[cfg(not(target_arch = "wasm32"))]
mod parts;
mod prepared;
mod ready;
mod region;
mod slices;
#[cfg(feature = "gpu")]
mod tensors;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use ndarray::{Array, ArrayRef};

pub use arrays::Axes;
pub use backward::Backward;
pub use chain::Chain;
pub use each::Each;
pub use gradients::{Gradients, PointwiseGradients, WeightGradients};
pub use prepared::Prepared;
pub use ready::Timings;
pub use region::Region;
pub use slices::Pitched;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use {
    arrays::Room,
    part::{Part, PartRows},
    parts::Parts,
};

use crate::gpu::Gpu;
use crate::lru::Lru;
use crate::plan::{self, Machine};
use crate::wait::Wait;
#[cfg(not(target_arch = "wasm32"))]
use crate::wait::block_on;
use crate::{Algorithm, Conv2d, Cpu, Element, Problem, Result, Shape};
use arrays::shape_of;
use ready::Ready;

/// Problems an engine remembers, so that repeated calls plan and compile once.
const REMEMBERED: usize = 16;

/// What runs plans: the CPU, a GPU, or whichever of both is faster for a problem. Cloning is cheap and
/// shares everything.
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
    /// Problems that were made ready.
    ready: Lru<(), Arc<Ready>>,
}

#[derive(Clone, Debug)]
enum Backend {
    Cpu(Cpu),
    #[cfg_attr(not(feature = "gpu"), expect(dead_code, reason = "there is no GPU"))]
    Gpu(Gpu),
    /// Chosen for each problem.
    #[cfg_attr(not(feature = "gpu"), expect(dead_code, reason = "there is no choice"))]
    Both {
        cpu: Cpu,
        gpu: Gpu,
    },
}

impl Engine {
    /// The CPU.
    #[must_use]
    pub fn cpu() -> Self {
        Cpu::new().into()
    }

    /// The same engine with `algorithm` forced. Results stay within the stated bound; what the
    /// algorithm cannot do becomes [`Error::NotApplicable`](crate::Error::NotApplicable). An engine that
    /// chooses looks at it on both, and takes the one that has it where the other has not.
    #[must_use]
    pub fn with_algorithm(&self, algorithm: Algorithm) -> Self {
        Self {
            shared: Arc::new(Shared {
                backend: self.shared.backend.clone(),
                why: self.shared.why.clone(),
                algorithm,
                ready: Lru::new(REMEMBERED),
            }),
        }
    }

    /// The same engine with these threads and SIMD level for what it computes on the CPU; one that is a GPU alone stays
    /// as it is.
    ///
    /// ```
    /// use channelwise::{Cpu, Engine};
    /// # fn main() -> channelwise::Result<()> {
    /// let engine = Engine::auto().with_cpu(Cpu::with_threads(2)?);
    /// assert!(engine.to_string().starts_with("cpu: 2 threads"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_cpu(&self, cpu: Cpu) -> Self {
        let mut backend = self.shared.backend.clone();
        match &mut backend {
            Backend::Cpu(held) | Backend::Both { cpu: held, .. } => *held = cpu,
            Backend::Gpu(_) => {}
        }
        let (why, algorithm) = (self.shared.why.clone(), self.shared.algorithm);
        Self { shared: Arc::new(Shared { backend, why, algorithm, ready: Lru::new(REMEMBERED) }) }
    }

    fn new(backend: Backend, why: String) -> Self {
        Self {
            shared: Arc::new(Shared {
                backend,
                why,
                algorithm: Algorithm::Auto,
                ready: Lru::new(REMEMBERED),
            }),
        }
    }

    /// Applies `conv` to `input`; the output has the same element type and number of axes.
    ///
    /// `input` is any ndarray array or view. A CPU reads crops and other views whose rows lie in one piece
    /// each, of 256 bytes and more, where they are; what else is not contiguous in standard order is copied first. Repeated calls with equal options and shape plan only once.
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

    /// Applies `conv` to `input` and writes into `output`, of which any part may be written after an error of memory or
    /// of a device.
    ///
    /// # Errors
    /// Those of [`Engine::run`], and [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) where `output` has another shape.
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
        prepared.run_into_async(input, output).await
    }

    /// Checks, plans and (on a GPU) compiles for inputs of one shape.
    ///
    /// # Errors
    /// Those of [`Problem::new`]; [`Error::NotApplicable`](crate::Error::NotApplicable) for an algorithm that was forced; what
    /// the device says.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn prepare<T: Element, U: Element>(
        &self,
        conv: &Conv2d,
        shape: impl Into<Shape>,
    ) -> Result<Prepared<T, U>> {
        block_on(self.prepared(conv, shape.into(), Wait::HERE))
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
        self.prepared(conv, shape.into(), Wait::Elsewhere).await
    }

    async fn prepared<T: Element, U: Element>(
        &self,
        conv: &Conv2d,
        shape: Shape,
        wait: Wait,
    ) -> Result<Prepared<T, U>> {
        let known = |ready: &Arc<Ready>| {
            let problem = ready.problem();
            (problem.input_shape(), problem.input_type(), problem.output_type())
                == (shape, T::TYPE, U::TYPE)
                && problem.conv().same_bits(conv)
        };
        let remembered = self.shared.ready.get(|(), ready| known(ready));
        let ready = match remembered {
            Some(ready) => ready,
            None => {
                let problem = Problem::new(conv, shape, T::TYPE, U::TYPE)?;
                let ready = Arc::new(self.make_ready(problem, wait).await?);
                self.shared.ready.put((), ready.clone());
                ready
            }
        };
        Ok(Prepared { ready, types: PhantomData })
    }

    async fn make_ready(&self, problem: Problem, wait: Wait) -> Result<Ready> {
        match problem.conv().missing {
            Some(_) => self.masked(problem, wait).await,
            None => self.make_plain(problem, self.shared.algorithm, wait).await,
        }
    }

    async fn make_plain(
        &self,
        problem: Problem,
        algorithm: Algorithm,
        wait: Wait,
    ) -> Result<Ready> {
        Ok(match &self.shared.backend {
            Backend::Cpu(cpu) => {
                let plan = plan::choose(&problem, &Machine::Cpu(cpu.limits()), algorithm)?;
                Ready::on_cpu(cpu, problem, plan)?
            }
            Backend::Gpu(gpu) => Ready::Gpu(gpu.prepare_host(&problem, algorithm, wait).await?),
            Backend::Both { cpu, gpu } => {
                auto::make_ready(cpu, gpu, problem, algorithm, wait).await?
            }
        })
    }
}

impl From<Cpu> for Engine {
    fn from(cpu: Cpu) -> Self {
        Self::new(Backend::Cpu(cpu), "asked for".into())
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = &self.shared.why;
        match &self.shared.backend {
            Backend::Cpu(cpu) => write!(f, "{cpu} [{why}]"),
            Backend::Gpu(gpu) => write!(f, "{gpu} [{why}]"),
            Backend::Both { cpu, gpu } => write!(f, "{cpu}; {gpu} [{why}]"),
        }
    }
}

/// Compile-time check: on native, handles may be shared between threads and the futures sent.
#[cfg(not(target_arch = "wasm32"))]
const _: () = {
    const fn shareable<T: Send + Sync>() {}
    shareable::<Engine>();
    shareable::<Prepared<f32, u8>>();
    shareable::<Chain<f32, u8>>();
    const fn sendable<F: Future + Send>(_: &F) {}
    #[expect(dead_code, reason = "only its types are checked")]
    fn futures(engine: &Engine, conv: &Conv2d, input: &ndarray::Array4<f32>) {
        let chain = |chain: &Chain<f32, u8>| sendable(&chain.run_async(input));
        let _ = chain;
        sendable(&engine.run_async::<f32, u8, _>(conv, input));
        sendable(&Engine::auto_async());
    }
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Border, Kernel, Pointwise};

    /// All that a call may differ in, and only that, makes an engine plan again: NaNs are what they are.
    #[test]
    fn equal_bits_are_planned_once() -> Result<()> {
        let nan = f32::NAN;
        let conv = || -> Result<Conv2d> {
            let step = Pointwise::new(1, 1, vec![nan])?.bias([nan]).activation(Activation::Relu);
            Ok(Conv2d::new(Kernel::new(1, 2, vec![nan, 0.0])?)
                .border(Border::Constant(f64::NAN))
                .bias([nan])
                .activation(Activation::Leaky(0.0))
                .pointwise(step))
        };
        let engine = Engine::cpu();
        let ready =
            |conv: Conv2d| -> Result<_> { Ok(engine.prepare::<f32, f32>(&conv, [4, 4])?.ready) };
        let first = ready(conv()?)?;
        assert!(Arc::ptr_eq(&first, &ready(conv()?)?));
        let step = |weight: f32, bias: f32, activation| -> Result<Pointwise> {
            Ok(Pointwise::new(1, 1, vec![weight])?.bias([bias]).activation(activation))
        };
        let kernel = |weights: [f32; 2]| -> Result<Conv2d> {
            let conv = conv()?;
            Ok(Conv2d { kernel: Kernel::new(1, 2, weights.into())?, ..conv })
        };
        let others = [
            kernel([nan, -0.0])?,
            kernel([-nan, 0.0])?,
            Conv2d { kernel: Kernel::new(2, 1, vec![nan, 0.0])?, ..conv()? },
            conv()?.border(Border::Constant(-f64::NAN)),
            conv()?.border(Border::Wrap),
            conv()?.bias([-nan]),
            conv()?.bias([]),
            conv()?.activation(Activation::Clamp(0.0, 2.0)),
            conv()?.activation(Activation::Clamp(-0.0, 2.0)),
            conv()?.activation(Activation::Leaky(-0.0)),
            conv()?.pointwise(step(-nan, nan, Activation::Relu)?),
            conv()?.pointwise(step(nan, -nan, Activation::Relu)?),
            conv()?.pointwise(step(nan, nan, Activation::Tanh)?),
            Conv2d { pointwise: None, ..conv()? },
            conv()?.flip(),
            conv()?.assume_finite(),
        ];
        let mut seen = vec![first];
        for conv in others {
            let made = ready(conv.clone())?;
            assert!(!seen.iter().any(|known| Arc::ptr_eq(known, &made)), "{conv:?}");
            assert!(Arc::ptr_eq(&made, &ready(conv)?));
            seen.push(made);
        }
        Ok(())
    }

    /// A kernel that keeps its factors equals the one given by its weights, and yet each has its own plan, and so
    /// the same bits whatever was planned before.
    #[test]
    fn kernels_of_factors_have_plans_of_their_own() -> Result<()> {
        let engine = Engine::cpu();
        let kernel = Kernel::binomial(5)?;
        let dense = Kernel::new(5, 5, kernel.weights().to_vec())?;
        assert_eq!(kernel, dense);
        let ready = |kernel: &Kernel| -> Result<_> {
            let conv = Conv2d::new(kernel.clone());
            Ok(engine.prepare::<f32, f32>(&conv, [40, 40])?.ready)
        };
        let [first, other] = [ready(&kernel)?, ready(&dense)?];
        assert!(!Arc::ptr_eq(&first, &other));
        assert!(Arc::ptr_eq(&first, &ready(&kernel)?) && Arc::ptr_eq(&other, &ready(&dense)?));
        Ok(())
    }
}
