//! A problem made ready for an engine.

use std::marker::PhantomData;
use std::sync::Arc;

use ndarray::{Array, ArrayRef};

use super::arrays::{Axes, in_order, mismatch, of_shape, rows, shape_of, standard};
use super::ready::{Ready, Timings};
use crate::cpu::Input;
use crate::plan::Plan;
#[cfg(not(target_arch = "wasm32"))]
use crate::wait::block_on;
use crate::wait::{Clock, Wait};
use crate::{Conv2d, Element, Problem, Result};

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
    pub(super) ready: Arc<Ready>,
    pub(super) types: PhantomData<fn(T) -> U>,
}

impl<T: Element, U: Element> Prepared<T, U> {
    /// Takes the weights of `conv` (kernel, bias and pointwise step), which is what was prepared in all else:
    /// a slider, or a step of training. Nothing is planned or compiled. Clones keep the weights they have, and
    /// so does what the engine remembers.
    ///
    /// ```
    /// use channelwise::{Conv2d, Engine, Kernel};
    /// use ndarray::Array2;
    /// # fn main() -> channelwise::Result<()> {
    /// let x = Array2::<f32>::ones((9, 9));
    /// let mut scaled = Engine::auto().prepare::<f32, f32>(&Conv2d::new(Kernel::identity()), [9, 9])?;
    /// for factor in [2.0, 3.0] {
    ///     scaled.set_weights(&Conv2d::new(Kernel::new(1, 1, vec![factor])?))?;
    ///     assert_eq!(scaled.run(&x)?[[4, 4]], factor);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) where `conv` differs in more than weights;
    /// [`Error::NotApplicable`](crate::Error::NotApplicable) where the algorithm was chosen for what the weights
    /// were, and these are not: `separable` for a kernel that is a sum of few separable ones, `fft` for a
    /// finite one. An engine with `direct` forced takes any. What the device says.
    pub fn set_weights(&mut self, conv: &Conv2d) -> Result<()> {
        Arc::make_mut(&mut self.ready).set_weights(conv)
    }

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
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) where `input` has another shape than was prepared for;
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory); what the device runs into.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run<D: Axes>(&self, input: &ArrayRef<T, D>) -> Result<Array<U, D>> {
        block_on(self.run_new(input, Wait::Here))
    }

    /// Computes into `output`. After an error of memory or of a device any part of it may be written.
    ///
    /// # Errors
    /// Those of [`Prepared::run`], also for the shape of `output`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_into<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output: &mut ArrayRef<U, D>,
    ) -> Result<()> {
        block_on(self.run_arrays(input, output, Wait::Here, false)).map(drop)
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
        block_on(self.run_arrays(input, output, Wait::Here, true))
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
    ) -> Result<()> {
        self.run_arrays(input, output, Wait::Elsewhere, false).await.map(drop)
    }

    /// [`Prepared::run_into_timed`] without blocking.
    ///
    /// # Errors
    /// Those of [`Prepared::run_into`].
    pub async fn run_into_timed_async<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output: &mut ArrayRef<U, D>,
    ) -> Result<Timings> {
        self.run_arrays(input, output, Wait::Elsewhere, true).await
    }

    async fn run_new<D: Axes>(&self, input: &ArrayRef<T, D>, wait: Wait) -> Result<Array<U, D>> {
        self.check_input(input)?;
        let mut out = of_shape("the output", self.problem().output_shape())?;
        self.run_arrays(input, &mut out, wait, false).await?;
        Ok(out)
    }

    fn check_input<D: Axes>(&self, input: &ArrayRef<T, D>) -> Result<()> {
        let expected = self.problem().input_shape();
        if shape_of(input)? == expected {
            return Ok(());
        }
        Err(mismatch("input", expected, input.shape()))
    }

    async fn run_arrays<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output: &mut ArrayRef<U, D>,
        wait: Wait,
        measured: bool,
    ) -> Result<Timings> {
        let mut clock = Clock::start();
        let problem = self.problem();
        self.check_input(input)?;
        if shape_of(output)? != problem.output_shape() {
            return Err(mismatch("output", problem.output_shape(), output.shape()));
        }
        let (mut copy, apart);
        let src = match self.ready.reads_rows().then(|| rows(input, problem.conv().layout)) {
            Some(Some(rows)) => {
                apart = rows;
                Input::Rows(&apart)
            }
            _ => {
                copy = None;
                Input::Whole(bytemuck::cast_slice(in_order(input, &mut copy)?))
            }
        };
        let mut timings = match output.as_slice_mut() {
            Some(dst) => self.slices(src, dst, wait, measured).await?,
            None => {
                let mut whole = standard("a copy of the output", output)?;
                let dst = whole.as_slice_mut().unwrap_or_default();
                let timings = self.slices(src, dst, wait, measured).await?;
                output.assign(&whole);
                timings
            }
        };
        timings.total = clock.lap();
        Ok(timings)
    }
}
