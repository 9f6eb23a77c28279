//! Normalised convolution: what is missing is left out of the sums.

use std::sync::Arc;

use ndarray::{Array, ArrayRef};

use super::Engine;
use super::arrays::{Axes, in_order, mismatch, of_shape, shape_of, zeroed};
use super::prepared::Prepared;
use super::ready::{Masked, Packed, Ready, sums};
use crate::cpu::{Mask, Packing};
use crate::wait::Wait;
#[cfg(not(target_arch = "wasm32"))]
use crate::wait::block_on;
use crate::{Algorithm, Element, Error, Problem, Result};

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

    /// What a normalised problem is made of.
    pub(super) async fn masked(&self, problem: Problem, wait: Wait) -> Result<Ready> {
        let own = self.packed(&problem, true, wait).await?;
        let shared = match Packing::new(&problem, false) {
            packing if packing == own.packing => None,
            _ => Some(Arc::new(self.packed(&problem, false, wait).await?)),
        };
        Ok(Ready::Masked(Box::new(Masked { problem, shared, own: Arc::new(own) })))
    }

    async fn packed(&self, problem: &Problem, own: bool, wait: Wait) -> Result<Packed> {
        let packing = Packing::new(problem, own);
        let inner = sums(problem, &packing)?;
        let ready = self.make_plain(inner.clone(), self.shared.algorithm, wait).await?;
        // Its errors are those of all values of a tile, and weights that sum to nothing have to be told from others.
        if ready.plan().algorithm() != Algorithm::Fft {
            return Ok(Packed { packing, ready });
        }
        if self.shared.algorithm == Algorithm::Fft {
            return Err(Error::NotApplicable {
                algorithm: Algorithm::Fft,
                engine: ready.plan().engine(),
                reason: "sums of weights that are 0 have to be 0".into(),
            });
        }
        let ready = match self.make_plain(inner.clone(), Algorithm::Separable, wait).await {
            Ok(ready) if ready.plan().accuracy().spread == 0.0 => ready,
            _ => self.make_plain(inner, Algorithm::Direct, wait).await?,
        };
        Ok(Packed { packing, ready })
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
        let Ready::Masked(masked) = &*self.ready else {
            let limit = "only a normalized convolution takes one";
            return Err(Error::argument("mask", "of a plain convolution", limit));
        };
        let problem = self.problem();
        let (shape, found) = (problem.input_shape(), shape_of(mask)?);
        if shape_of(input)? != shape {
            return Err(mismatch("input", shape, input.shape()));
        }
        let [_, height, width, _] = shape.to_nhwc(problem.conv().layout);
        let own = found == shape;
        if !own && found.dims() != [height, width] {
            return Err(mismatch("mask", shape, mask.shape()));
        }
        let mut weights = zeroed::<f64>("weights of the input", mask.len())?;
        for (to, m) in weights.iter_mut().zip(mask.iter()) {
            *to = m.to_f64();
            if !to.is_finite() {
                return Err(Error::argument("mask", *to, "weights are finite numbers"));
            }
        }
        let mut copy = None;
        let src = bytemuck::cast_slice(in_order(input, &mut copy)?);
        let mask = if own { Mask::Own(&weights) } else { Mask::Shared(&weights) };
        let mut output = of_shape("the output", problem.output_shape())?;
        let dst = output.as_slice_mut().unwrap_or_default();
        masked.run(src, mask, bytemuck::cast_slice_mut(dst), wait).await?;
        Ok(output)
    }
}
