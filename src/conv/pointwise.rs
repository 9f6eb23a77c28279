//! What may follow the kernel: a 1x1 step from the filters of a channel to its outputs.

use crate::{Activation, Error, Result};

/// A shared 1x1 step after the kernel: maps the `F` outputs of each channel to `G`.
///
/// The weights `[filters, outputs]` are the same for all channels:
/// `z[c, g] = act(bias[g] + Σ_f weights[f, g] * y[c, f])`. This is the step with which the
/// answers to the TensorFlow question get back to one output per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Pointwise {
    filters: usize,
    outputs: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
}

impl Pointwise {
    /// From weights `[filters, outputs]`, row-major.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size of 0, [`Error::ShapeMismatch`] where `weights` is not
    /// `filters * outputs` long.
    ///
    /// ```
    /// // The mean of two filters.
    /// let mean = channelwise::Pointwise::new(2, 1, vec![0.5, 0.5]).unwrap();
    /// assert_eq!((mean.filters(), mean.outputs()), (2, 1));
    /// ```
    pub fn new(filters: usize, outputs: usize, weights: Vec<f32>) -> Result<Self> {
        for (axis, n) in [("pointwise filters", filters), ("pointwise outputs", outputs)] {
            if n == 0 {
                return Err(Error::argument(axis, n, "at least 1 is needed"));
            }
        }
        if filters.checked_mul(outputs) != Some(weights.len()) {
            return Err(Error::ShapeMismatch {
                what: "pointwise weights",
                expected: vec![filters, outputs],
                found: vec![weights.len()],
            });
        }
        Ok(Self { filters, outputs, weights, bias: Vec::new(), activation: Activation::None })
    }

    /// Adds `bias[g]` to output `g`; as many values as outputs, or none.
    #[must_use]
    pub fn bias(mut self, bias: impl Into<Vec<f32>>) -> Self {
        self.bias = bias.into();
        self
    }

    /// Applies `activation` to the outputs.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Whether both are the same to the bit.
    pub(super) fn same_bits(&self, other: &Self) -> bool {
        let Self { filters, outputs, weights, bias, activation } = self;
        let bits = bytemuck::cast_slice::<f32, u32>;
        (filters, outputs) == (&other.filters, &other.outputs)
            && bits(weights) == bits(&other.weights)
            && bits(bias) == bits(&other.bias)
            && activation.same_bits(other.activation)
    }

    /// How many outputs of the kernel it takes per channel.
    #[must_use]
    pub fn filters(&self) -> usize {
        self.filters
    }

    /// How many outputs per channel it gives.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// `[filters, outputs]`, row-major.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// What is added to each output; empty without: [`Pointwise::bias`].
    #[must_use]
    pub fn get_bias(&self) -> &[f32] {
        &self.bias
    }

    /// What is applied to the outputs: [`Pointwise::activation`].
    ///
    /// ```
    /// use channelwise::{Activation, Pointwise};
    /// # fn main() -> channelwise::Result<()> {
    /// let mean = Pointwise::new(2, 1, vec![0.5, 0.5])?.activation(Activation::Relu);
    /// assert_eq!((mean.weights(), mean.get_bias()), (&[0.5, 0.5][..], &[][..]));
    /// assert_eq!(mean.get_activation(), Activation::Relu);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn get_activation(&self) -> Activation {
        self.activation
    }

    /// The same step with other weights, as many as there were.
    #[cfg(feature = "learn")]
    pub(crate) fn reweighted(&self, weights: Vec<f32>) -> Result<Self> {
        let new = Self::new(self.filters, self.outputs, weights)?;
        Ok(new.bias(self.bias.clone()).activation(self.activation))
    }
}
