//! Normalised convolution: what is missing is left out of the sums.

use ndarray::{Array, ArrayRef};

use super::Engine;
use super::arrays::{Axes, in_order, mismatch, of_shape, shape_of};
use super::prepared::Prepared;
use super::ready::{Masked, Ready, shared_sums, sums};
use crate::cpu::{Elements, Mask, Rows, not_finite};
use crate::wait::Wait;
#[cfg(not(target_arch = "wasm32"))]
use crate::wait::block_on;
use crate::{Algorithm, Element, Error, Layout, Problem, Result, Shape};

impl Engine {
    /// Applies `conv`, which is [`normalized`](crate::Conv2d::normalized), to the values of `input` by their weights: 0
    /// leaves a value out, NaN too, and 1 takes it whole. `mask` has the shape of the input, or is `[height, width]`
    /// for all images and channels.
    ///
    /// ```
    /// use channelwise::{Border, Conv2d, Engine, Kernel};
    /// use ndarray::array;
    /// # fn main() -> channelwise::Result<()> {
    /// let mean = Conv2d::new(Kernel::box_blur(1, 3)?).border(Border::ZERO).normalized();
    /// let heights = array![[1.0f32, 3.0, f32::NAN, 7.0, 9.0]];
    /// let known = array![[1u8, 1, 0, 1, 1]];
    /// let y = Engine::cpu().run_masked(&mean, &heights, &known)?;
    /// assert_eq!(y, array![[2.0, 2.0, 5.0, 8.0, 8.0]]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Prepared::run_masked`] and of [`Engine::run`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_masked<T: Element, M: Element, D: Axes, E: Axes>(
        &self,
        conv: &crate::Conv2d,
        input: &ArrayRef<T, D>,
        mask: &ArrayRef<M, E>,
    ) -> Result<Array<T, D>> {
        self.prepare::<T, T>(conv, shape_of(input)?)?.run_masked(input, mask)
    }

    /// [`Engine::run_masked`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_masked_async<T: Element, M: Element, D: Axes, E: Axes>(
        &self,
        conv: &crate::Conv2d,
        input: &ArrayRef<T, D>,
        mask: &ArrayRef<M, E>,
    ) -> Result<Array<T, D>> {
        let prepared = self.prepare_async::<T, T>(conv, shape_of(input)?).await?;
        prepared.run_masked_async(input, mask).await
    }

    /// What a normalised problem is made of.
    pub(super) async fn masked(&self, problem: Problem, wait: Wait) -> Result<Ready> {
        let own = self.sums(sums(&problem)?, wait).await?;
        let shared = match Rows::of(&problem).own(Mask::Ones) {
            true => None,
            false => Some(self.sums(shared_sums(&problem)?, wait).await?),
        };
        Ok(Ready::Masked(Box::new(Masked::new(problem, own, shared))))
    }

    async fn sums(&self, inner: Problem, wait: Wait) -> Result<Ready> {
        let ready = self.make_plain(inner.clone(), self.shared.algorithm, wait).await?;
        // Its errors are those of all values of a tile, and weights that sum to nothing have to be told from others.
        if ready.plan().algorithm() != Algorithm::Fft {
            return Ok(ready);
        }
        if self.shared.algorithm == Algorithm::Fft {
            return Err(Error::NotApplicable {
                algorithm: Algorithm::Fft,
                engine: ready.plan().engine(),
                reason: "sums of weights that are 0 have to be 0".into(),
            });
        }
        match self.make_plain(inner.clone(), Algorithm::Separable, wait).await {
            Ok(ready) if ready.plan().accuracy().spread == 0.0 => Ok(ready),
            _ => self.make_plain(inner, Algorithm::Direct, wait).await,
        }
    }
}

impl<T: Element, U: Element> Prepared<T, U> {
    /// Computes a [`normalized`](crate::Conv2d::normalized) convolution of values by their weights, as
    /// [`Engine::run_masked`].
    ///
    /// # Errors
    /// [`Error::Argument`] where the convolution is not normalised, and for a weight that is not finite;
    /// [`Error::ShapeMismatch`] where the mask has neither the input's shape nor `[height, width]`; those of
    /// [`Prepared::run`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_masked<M: Element, D: Axes, E: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        mask: &ArrayRef<M, E>,
    ) -> Result<Array<U, D>> {
        block_on(self.new_masked(input, mask, Wait::Here))
    }

    /// [`Prepared::run_masked`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_masked_async<M: Element, D: Axes, E: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        mask: &ArrayRef<M, E>,
    ) -> Result<Array<U, D>> {
        self.new_masked(input, mask, Wait::Elsewhere).await
    }

    async fn new_masked<M: Element, D: Axes, E: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        mask: &ArrayRef<M, E>,
        wait: Wait,
    ) -> Result<Array<U, D>> {
        let (masked, problem) = (self.ready.masked()?, self.problem());
        let shape = problem.input_shape();
        if shape_of(input)? != shape {
            return Err(mismatch("input", shape, input.shape()));
        }
        let own = is_own(mask, shape, problem.conv().layout)?;
        let (mut copy, mut weights) = (None, None);
        let src = bytemuck::cast_slice(in_order(input, &mut copy)?);
        let weights = in_order(mask, &mut weights)?;
        finite(weights)?;
        let weights = Elements::of(weights);
        let mask = if own { Mask::Own(weights) } else { Mask::Shared(weights) };
        let mut output = of_shape("the output", problem.output_shape())?;
        let dst = output.as_slice_mut().unwrap_or_default();
        masked.run(src, mask, bytemuck::cast_slice_mut(dst), wait).await?;
        Ok(output)
    }
}

impl Ready {
    /// What takes weights of the input's values.
    ///
    /// # Errors
    /// [`Error::Argument`] where the convolution is not normalised.
    pub(super) fn masked(&self) -> Result<&Masked> {
        match self {
            Self::Masked(masked) => Ok(masked),
            Self::Cpu(_) | Self::Gpu(_) => {
                let limit = "only a normalized convolution takes one";
                Err(Error::argument("mask", "of a plain convolution", limit))
            }
        }
    }
}

/// Whether a mask has a weight for each value of an input of this shape, or else one for each place.
pub(super) fn is_own<M: Element, E: Axes>(
    mask: &ArrayRef<M, E>,
    shape: Shape,
    layout: Layout,
) -> Result<bool> {
    let [_, height, width, _] = shape.to_nhwc(layout);
    let found = shape_of(mask)?;
    let own = found == shape;
    match own || found.dims() == [height, width] {
        true => Ok(own),
        false => Err(mismatch("mask", shape, mask.shape())),
    }
}

/// Refuses weights that are not finite.
pub(super) fn finite<M: Element>(weights: &[M]) -> Result<()> {
    match not_finite(weights) {
        Some(weight) => Err(Error::argument("mask", weight, "weights are finite numbers")),
        None => Ok(()),
    }
}
