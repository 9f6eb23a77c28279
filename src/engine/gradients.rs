//! Gradients as arrays.

use ndarray::{Array, Array1, Array2, Array3};

use super::arrays::Axes;
use crate::problem::WeightSums;
use crate::{Problem, Result};

/// Gradients of a scalar, a loss, with respect to all that a convolution takes.
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel};
/// use ndarray::Array3;
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::box_blur(3, 3)?);
/// let (x, dy) = (Array3::<f32>::ones((8, 8, 2)), Array3::ones((8, 8, 2)));
/// let gradients = Engine::cpu().backward(&conv, &x, &dy)?;
/// assert_eq!(gradients.input.dim(), x.dim());
/// // Each bias is added to every output.
/// assert_eq!(gradients.weights.bias[0], 128.0);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Gradients<D: Axes> {
    /// Of the input, in its shape.
    pub input: Array<f32, D>,
    /// Of the weights.
    pub weights: WeightGradients,
}

/// Gradients with respect to the weights of a convolution.
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel};
/// use ndarray::Array3;
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()])?);
/// let backward = Engine::cpu().prepare_backward::<f32>(&conv, [8, 8, 2])?;
/// let weights = backward.weights(&Array3::ones((8, 8, 2)), &Array3::ones((8, 8, 4)))?;
/// assert_eq!((weights.kernel.dim(), weights.bias.len()), ((3, 3, 2), 2));
/// assert!(weights.pointwise.is_none());
/// # Ok(()) }
/// ```
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
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel, Pointwise};
/// use ndarray::Array3;
/// # fn main() -> channelwise::Result<()> {
///
/// let mean = Pointwise::new(2, 1, vec![0.5, 0.5])?;
/// let conv = Conv2d::new(Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()])?).pointwise(mean);
/// let (x, dy) = (Array3::<f32>::ones((8, 8, 3)), Array3::ones((8, 8, 3)));
/// let weights = Engine::cpu().backward(&conv, &x, &dy)?.weights;
/// let pointwise = weights.pointwise.expect("there is such a step");
/// assert_eq!((pointwise.weights.dim(), pointwise.bias.len()), ((2, 1), 1));
/// # Ok(()) }
/// ```
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
