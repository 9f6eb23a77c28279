//! Convolutions one after the other on an engine.

use std::fmt::Write as _;
use std::marker::PhantomData;
use std::sync::Arc;

use ndarray::{Array, ArrayRef};

use super::arrays::{Axes, in_order, mismatch, of_shape, shape_of, zeroed};
use super::ready::OnCpu;
use super::{Backend, Engine, auto};
use crate::gpu::GpuChain;
use crate::plan::{self, EngineTimes, Machine, problems, reweighed};
use crate::wait::Wait;
#[cfg(not(target_arch = "wasm32"))]
use crate::wait::block_on;
use crate::{Algorithm, Conv2d, Cpu, Element, ElementType, Result, Shape};

/// Convolutions that are applied one after the other, made ready for an engine: `T` in, `U` out, f32
/// between, which is neither rounded nor saturated. Made by [`Engine::chain`].
///
/// A GPU does it in one submission, keeps what is between to itself, and folds neighbours into one kernel
/// where that is exact and cheaper ([`plan::chain`](crate::plan::chain())). The CPU runs all, one after
/// the other, so that one can be held against the other. An engine that chooses takes the one whose whole chain
/// takes less time by the model, the copies to a GPU and back counted once.
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel};
/// use ndarray::Array3;
/// # fn main() -> channelwise::Result<()> {
///
/// let stages = [Conv2d::new(Kernel::binomial(3)?), Conv2d::new(Kernel::sobel_x())];
/// let chain = Engine::cpu().chain::<u8, f32>(&stages, [48, 64, 3])?;
/// assert_eq!(chain.run(&Array3::zeros((48, 64, 3)))?, Array3::<f32>::zeros((48, 64, 3)));
/// println!("{}", chain.explain());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Chain<T, U> {
    made: Arc<Made>,
    /// Where there was a choice.
    times: Option<Arc<EngineTimes>>,
    types: PhantomData<fn(T) -> U>,
}

#[derive(Clone, Debug)]
enum Made {
    /// At least one.
    Cpu(Vec<OnCpu>),
    Gpu(GpuChain),
}

impl Engine {
    /// Checks, plans and (on a GPU) compiles convolutions that are applied one after the other to inputs
    /// of one shape.
    ///
    /// ```
    /// use channelwise::{Border, Conv2d, Engine, Kernel};
    /// use ndarray::Array3;
    /// # fn main() -> channelwise::Result<()> {
    /// let blur = Conv2d::new(Kernel::gaussian(5, 1.2)?).border(Border::Reflect101);
    /// let edges = Conv2d::new(Kernel::laplacian4()).border(Border::Reflect101);
    /// let chain = Engine::auto().chain::<u8, f32>(&[blur, edges], [48, 64, 3])?;
    /// let flat = chain.run(&Array3::from_elem((48, 64, 3), 100))?;
    /// assert!(flat.iter().all(|edge| edge.abs() < 1e-3));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`plan::chain`](crate::plan::chain()), and what the device says.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn chain<T: Element, U: Element>(
        &self,
        convs: &[Conv2d],
        shape: impl Into<Shape>,
    ) -> Result<Chain<T, U>> {
        block_on(self.chained(convs, shape.into(), Wait::HERE))
    }

    /// [`Engine::chain`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn chain_async<T: Element, U: Element>(
        &self,
        convs: &[Conv2d],
        shape: impl Into<Shape>,
    ) -> Result<Chain<T, U>> {
        self.chained(convs, shape.into(), Wait::Elsewhere).await
    }

    async fn chained<T: Element, U: Element>(
        &self,
        convs: &[Conv2d],
        shape: Shape,
        wait: Wait,
    ) -> Result<Chain<T, U>> {
        let (types, algorithm) = ([T::TYPE, U::TYPE], self.shared.algorithm);
        let mut times = None;
        let made = match &self.shared.backend {
            Backend::Cpu(cpu) => Made::on_cpu(cpu, convs, shape, types, algorithm)?,
            Backend::Gpu(gpu) => {
                Made::Gpu(GpuChain::new(gpu, convs, shape, types, algorithm, wait).await?)
            }
            Backend::Both { cpu, gpu } => {
                let limits = (cpu.limits(), gpu.limits());
                let told = plan::chain_times(convs, shape, types, &limits.0, limits.1, algorithm)?;
                let on_gpu = async {
                    let chain = GpuChain::new(gpu, convs, shape, types, algorithm, wait).await;
                    chain.map(Made::Gpu)
                };
                let on_cpu = || Made::on_cpu(cpu, convs, shape, types, algorithm);
                let (made, told) = auto::faster(told, on_gpu, on_cpu).await?;
                times = Some(Arc::new(told));
                made
            }
        };
        Ok(Chain { made: Arc::new(made), times, types: PhantomData })
    }
}

impl Made {
    fn on_cpu(
        cpu: &Cpu,
        convs: &[Conv2d],
        shape: Shape,
        [from, to]: [ElementType; 2],
        algorithm: Algorithm,
    ) -> Result<Self> {
        let machine = Machine::Cpu(cpu.limits());
        let ready = |problem| {
            let plan = plan::choose(&problem, &machine, algorithm)?;
            OnCpu::new(cpu, problem, plan)
        };
        let all = problems(convs, shape, from, to)?.into_iter().map(ready);
        Ok(Self::Cpu(all.collect::<Result<_>>()?))
    }

    fn set_weights(&mut self, convs: &[Conv2d]) -> Result<()> {
        match self {
            Self::Gpu(chain) => chain.set_weights(convs),
            Self::Cpu(all) => {
                let problems = reweighed(all.iter().map(OnCpu::problem), convs)?;
                let again = all.iter().zip(problems).map(|(one, problem)| one.reweighed(problem));
                *all = again.collect::<Result<_>>()?;
                Ok(())
            }
        }
    }
}

impl<T: Element, U: Element> Chain<T, U> {
    /// Takes the weights of `convs`, which are those that the chain was made of in all else, as
    /// [`Prepared::set_weights`](crate::Prepared::set_weights) does for one.
    ///
    /// # Errors
    /// The same; [`Error::Argument`](crate::Error::Argument) for another number of convolutions;
    /// [`Error::NotApplicable`](crate::Error::NotApplicable) too where a GPU made several one because of what
    /// their weights were (a symmetric kernel between borders that reflect), and these are not so.
    pub fn set_weights(&mut self, convs: &[Conv2d]) -> Result<()> {
        Arc::make_mut(&mut self.made).set_weights(convs)
    }

    /// Computes into a new array. Not in browsers; see [`Chain::run_async`].
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) where `input` has another shape than was
    /// prepared for; [`Error::OutOfMemory`](crate::Error::OutOfMemory); what the device runs into.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run<D: Axes>(&self, input: &ArrayRef<T, D>) -> Result<Array<U, D>> {
        block_on(self.run_arrays(input, Wait::Here))
    }

    /// [`Chain::run`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_async<D: Axes>(&self, input: &ArrayRef<T, D>) -> Result<Array<U, D>> {
        self.run_arrays(input, Wait::Elsewhere).await
    }

    /// Shape of the input.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        match &*self.made {
            Made::Cpu(all) => all[0].problem().input_shape(),
            Made::Gpu(chain) => chain.plan().input_shape(),
        }
    }

    /// Shape of the output.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        match &*self.made {
            Made::Cpu(all) => all[all.len() - 1].problem().output_shape(),
            Made::Gpu(chain) => chain.plan().output_shape(),
        }
    }

    /// How it is computed, and why so.
    #[must_use]
    pub fn explain(&self) -> String {
        let mut text = match &*self.made {
            Made::Gpu(chain) => chain.plan().to_string(),
            Made::Cpu(all) => {
                let mut text = format!("{} stages, one after the other\n", all.len());
                for (i, stage) in all.iter().enumerate() {
                    let _ = write!(text, "convolution {i}: {}", stage.plan());
                }
                text
            }
        };
        if let Some(times) = &self.times {
            let _ = write!(text, "the whole chain, from host to host:\n{times}");
        }
        text
    }

    async fn run_arrays<D: Axes>(&self, input: &ArrayRef<T, D>, wait: Wait) -> Result<Array<U, D>> {
        let expected = self.input_shape();
        if shape_of(input)? != expected {
            return Err(mismatch("input", expected, input.shape()));
        }
        let mut copy = None;
        let src = in_order(input, &mut copy)?;
        let mut output = of_shape("the output", self.output_shape())?;
        // A new array is in standard layout.
        let dst = output.as_slice_mut().unwrap_or_default();
        match &*self.made {
            Made::Cpu(all) => on_cpu(all, src, dst)?,
            Made::Gpu(chain) => chain.run(src, dst, wait).await?,
        }
        Ok(output)
    }
}

/// Every stage on what the one before it made.
fn on_cpu<T: Element, U: Element>(stages: &[OnCpu], src: &[T], dst: &mut [U]) -> Result<()> {
    match T::TYPE.sums_in_f64() || U::TYPE.sums_in_f64() {
        true => by_way_of::<f64, T, U>(stages, src, dst),
        false => by_way_of::<f32, T, U>(stages, src, dst),
    }
}

/// The same with elements of `B` between the stages.
fn by_way_of<B: Element, T: Element, U: Element>(
    stages: &[OnCpu],
    src: &[T],
    dst: &mut [U],
) -> Result<()> {
    let room = |stage: &OnCpu| zeroed::<B>("a stage's output", stage.problem().output_len());
    match stages {
        [] => {}
        [only] => only.run(src, dst)?,
        [first, middle @ .., last] => {
            let mut from = room(first)?;
            first.run(src, &mut from)?;
            for stage in middle {
                let mut to = room(stage)?;
                stage.run(&from, &mut to)?;
                from = to;
            }
            last.run(&from, dst)?;
        }
    }
    Ok(())
}
