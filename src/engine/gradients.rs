//! Gradients as arrays.

use ndarray::{Array, Array1, Array2, Array3};

use super::arrays::Axes;
use crate::problem::WeightSums;
use crate::{Problem, Result};

/// Gradients of a scalar, a loss, with respect to all that a convolution takes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Gradients<D: Axes> {
    /// Of the input, in its shape.
    pub input: Array<f32, D>,
    /// Of the weights.
    pub weights: WeightGradients,
}

/// Gradients with respect to the weights of a convolution.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WeightGradients {
    /// `[height, width, filters]`, of the kernel as given: summed over images, positions and channels.
    pub kernel: Array3<f32>,
    /// `[filters]`, also where the convolution has no bias.
    pub bias: Array1<f32>,
    /// Of the pointwise step, where there is one.
    pub pointwise: Option<PointwiseGradients>,
}

/// Gradients with respect to the weights of a [`Pointwise`](crate::Pointwise) step.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PointwiseGradients {
    /// `[filters, outputs]`.
    pub weights: Array2<f32>,
    /// `[outputs]`, also where it has no bias.
    pub bias: Array1<f32>,
}

/// As arrays.
pub(super) fn weights_of(problem: &Problem, sums: WeightSums) -> Result<WeightGradients> {
    let kernel = &problem.conv().kernel;
    let (kh, kw, filters) = (kernel.height(), kernel.width(), kernel.filters());
    let pointwise = match sums.pointwise {
        Some(sums) => Some(PointwiseGradients {
            weights: shaped("gradient", (filters, sums.bias.len()), sums.weights)?,
            bias: sums.bias.into(),
        }),
        None => None,
    };
    let kernel = shaped("gradient", (kh, kw, filters), sums.kernel)?;
    Ok(WeightGradients { kernel, bias: sums.bias.into(), pointwise })
}

/// These values in this shape, of which there are as many.
fn shaped<D: ndarray::Dimension>(
    what: &'static str,
    shape: impl ndarray::IntoDimension<Dim = D>,
    values: Vec<f32>,
) -> Result<Array<f32, D>> {
    let shape = shape.into_dimension();
    let (expected, found) = (shape.slice().to_vec(), vec![values.len()]);
    let array = Array::from_shape_vec(shape, values);
    array.map_err(|_| crate::Error::ShapeMismatch { what, expected, found })
}
