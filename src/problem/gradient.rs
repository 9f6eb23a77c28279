//! The parts of which the gradients of a problem are made.

use super::Problem;
use crate::{Activation, Conv2d, ElementType, Error, Result, Shape};

/// What the gradients of weights sum up to, in the order of the weights as given.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WeightSums {
    /// `[kernel height, kernel width, filters]`.
    pub kernel: Vec<f32>,
    /// `[filters]`.
    pub bias: Vec<f32>,
    pub pointwise: Option<PointwiseSums>,
}

/// The same of a pointwise step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PointwiseSums {
    /// `[filters, outputs]`.
    pub weights: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

impl Problem {
    /// The sums of every filter, bias and all, before any activation or pointwise step: f32, with a
    /// channel axis whatever the input has.
    pub(crate) fn sums(&self) -> Result<Self> {
        if self.conv.adjoint {
            return Err(Error::argument(
                "adjoint",
                true,
                "gradients are those of a convolution; the adjoint's own is the convolution",
            ));
        }
        if self.conv.missing.is_some() {
            let limit = "a normalised convolution has none";
            return Err(Error::argument("gradients", "of a normalised one", limit));
        }
        if self.double.is_some() {
            let limit = "gradients are made in f32, of inputs that f32 holds";
            return Err(Error::argument("element type", self.input_type, limit));
        }
        let conv = Conv2d { activation: Activation::None, pointwise: None, ..self.conv.clone() };
        let layout = conv.layout;
        let shape = self.input_shape;
        let whole = Shape::from([1; 4]).with_nhwc(layout, shape.to_nhwc(layout)).unwrap_or(shape);
        Self::new(&conv, whole, self.input_type, ElementType::F32)
    }

    /// From the gradient of [`Problem::sums`] to that of the input; `self` is the former.
    pub(crate) fn back(&self) -> Result<Self> {
        let [_, height, width, _] = self.input_shape.to_nhwc(self.conv.layout);
        let conv = self.conv.clone().adjoint().adjoint_size(height, width);
        Self::new(&conv, self.output_shape, ElementType::F32, ElementType::F32)
    }

    /// Whether the gradient of the sums is that of the outputs.
    pub(crate) fn is_linear(&self) -> bool {
        self.conv.activation == Activation::None && self.conv.pointwise.is_none()
    }
}
