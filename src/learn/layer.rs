//! A convolution whose weights are trained.

use ndarray::{Array, ArrayRef};

use super::{Optimizer, start};
use crate::{
    Axes, Conv2d, Element, Engine, Error, Gradients, Kernel, Pointwise, Result, Shape,
    WeightGradients,
};

/// One kernel shared by all channels, whose weights are trained: a [`Conv2d`] with any of its options.
///
/// This is a Keras `Conv2D` that is reused for every channel of `tf.split`, or a depthwise layer whose
/// kernels are tied. Trained are the kernel, the bias of each filter, and weights and bias of the pointwise
/// step, where there is one. [`learn`](super) shows a whole training.
///
/// ```
/// use channelwise::learn::SharedLayer;
/// use channelwise::{Activation, Engine};
/// use ndarray::Array4;
///
/// # fn main() -> channelwise::Result<()> {
/// // Two filters of 3x3 for each channel.
/// let layer = SharedLayer::glorot_uniform(3, 3, 2, 42)?
///     .with(|conv| conv.stride(2, 2).activation(Activation::Relu))?;
/// let frames = Array4::<u8>::zeros((4, 31, 31, 5));
/// let y = layer.forward(&Engine::cpu(), &frames)?;
/// assert_eq!(y.dim(), (4, 15, 15, 10));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SharedLayer {
    conv: Conv2d,
    use_bias: bool,
}

/// What is trained. The number is the optimiser's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Kernel = 0,
    Bias = 1,
    PointwiseKernel = 2,
    PointwiseBias = 3,
}

impl Part {
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) const ALL: [Self; 4] =
        [Self::Kernel, Self::Bias, Self::PointwiseKernel, Self::PointwiseBias];

    /// Its name in files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Bias => "bias",
            Self::PointwiseKernel => "pointwise.kernel",
            Self::PointwiseBias => "pointwise.bias",
        }
    }

    /// The name of its gradient in errors.
    fn gradient(self) -> &'static str {
        match self {
            Self::Kernel => "gradient of the kernel",
            Self::Bias => "gradient of the bias",
            Self::PointwiseKernel => "gradient of the pointwise weights",
            Self::PointwiseBias => "gradient of the pointwise bias",
        }
    }
}

/// The values of a part, with the shape that files give it.
pub(super) struct Tensor<'a> {
    pub(super) part: Part,
    pub(super) shape: Vec<usize>,
    pub(super) values: &'a [f32],
}

impl SharedLayer {
    /// With the weights of `conv`; biases that it lacks begin as zeros.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] where the bias has not a value per filter, or the pointwise step another
    /// number of filters or another bias than one value per output. All other options are checked when the
    /// layer meets a shape.
    pub fn new(conv: Conv2d) -> Result<Self> {
        Self::settled(conv, true)
    }

    /// TensorFlow's default for a `Conv2D` of one input channel: weights uniform in
    /// `±sqrt(6 / (fan_in + fan_out))`, with `height * width` as fan-in and `height * width * filters` as
    /// fan-out (Glorot and Bengio 2010), a bias of zeros, padding valid, no activation.
    ///
    /// A seed gives the same weights on every machine (TensorFlow's generator is another one).
    ///
    /// # Errors
    /// [`Error::Argument`] for a size of 0, [`Error::TooLarge`] and [`Error::OutOfMemory`] for very large
    /// ones.
    pub fn glorot_uniform(height: usize, width: usize, filters: usize, seed: u64) -> Result<Self> {
        Self::new(Conv2d::like_tensorflow(start::glorot_uniform(height, width, filters, seed)?))
    }

    /// The same with other options: `layer.with(|conv| conv.stride(2, 2))`.
    ///
    /// # Errors
    /// Those of [`SharedLayer::new`].
    pub fn with(self, options: impl FnOnce(Conv2d) -> Conv2d) -> Result<Self> {
        Self::settled(options(self.conv), self.use_bias)
    }

    /// The same without any bias, neither the filters' nor the pointwise step's: Keras'
    /// `use_bias=False`.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.use_bias = false;
        self.conv = self.conv.bias([]);
        self.conv.pointwise = self.conv.pointwise.map(|step| step.bias([]));
        self
    }

    fn settled(mut conv: Conv2d, use_bias: bool) -> Result<Self> {
        let filters = conv.kernel.filters();
        // Layers learn in f32.
        conv.bias_digits = None;
        if conv.bias.is_empty() {
            conv.bias = vec![0.0; filters];
        }
        check_shape("bias", &[filters], &[conv.bias.len()])?;
        if let Some(step) = conv.pointwise.take() {
            check_shape("filters of the pointwise step", &[filters], &[step.filters()])?;
            let outputs = step.outputs();
            let bias = step.get_bias();
            let step = if bias.is_empty() { step.bias(vec![0.0; outputs]) } else { step };
            check_shape("pointwise bias", &[outputs], &[step.get_bias().len()])?;
            conv.pointwise = Some(step);
        }
        let layer = Self { conv, use_bias };
        Ok(if use_bias { layer } else { layer.without_bias() })
    }

    /// The convolution with the weights of now.
    #[must_use]
    pub fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// The kernel of now.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.conv.kernel
    }

    /// The bias of now, a value per filter; empty without bias.
    #[must_use]
    pub fn bias(&self) -> &[f32] {
        &self.conv.bias
    }

    /// The pointwise step of now, where there is one.
    #[must_use]
    pub fn pointwise(&self) -> Option<&Pointwise> {
        self.conv.pointwise.as_ref()
    }

    /// Applies the layer: [`Engine::run_as`] with an output of f32.
    ///
    /// # Errors
    /// Those of [`Engine::run`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn forward<T: Element, D: Axes>(
        &self,
        engine: &Engine,
        x: &ArrayRef<T, D>,
    ) -> Result<Array<f32, D>> {
        engine.run_as(&self.conv, x)
    }

    /// [`SharedLayer::forward`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn forward_async<T: Element, D: Axes>(
        &self,
        engine: &Engine,
        x: &ArrayRef<T, D>,
    ) -> Result<Array<f32, D>> {
        engine.run_async(&self.conv, x).await
    }

    /// The gradients of a loss with respect to the input `x` and to the weights, from `dy`, that with
    /// respect to the output.
    ///
    /// # Errors
    /// Those of [`Engine::backward`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn backward<T: Element, D: Axes>(
        &self,
        engine: &Engine,
        x: &ArrayRef<T, D>,
        dy: &ArrayRef<f32, D>,
    ) -> Result<Gradients<D>> {
        engine.backward(&self.conv, x, dy)
    }

    /// [`SharedLayer::backward`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn backward_async<T: Element, D: Axes>(
        &self,
        engine: &Engine,
        x: &ArrayRef<T, D>,
        dy: &ArrayRef<f32, D>,
    ) -> Result<Gradients<D>> {
        engine.backward_async(&self.conv, x, dy).await
    }

    /// The weights' gradients alone, which is less work: for a first layer, whose input nobody changes.
    ///
    /// # Errors
    /// Those of [`Engine::backward`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn weight_gradients<T: Element, D: Axes>(
        &self,
        engine: &Engine,
        x: &ArrayRef<T, D>,
        dy: &ArrayRef<f32, D>,
    ) -> Result<WeightGradients> {
        let shape = shape_of(x)?;
        engine.prepare_backward::<T>(&self.conv, shape)?.weights(x, dy)
    }

    /// [`SharedLayer::weight_gradients`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn weight_gradients_async<T: Element, D: Axes>(
        &self,
        engine: &Engine,
        x: &ArrayRef<T, D>,
        dy: &ArrayRef<f32, D>,
    ) -> Result<WeightGradients> {
        let backward = engine.prepare_backward_async::<T>(&self.conv, shape_of(x)?).await?;
        backward.weights_async(x, dy).await
    }

    /// Lets `optimizer` move the weights against their gradients.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for gradients of another layer; [`Error::Argument`] where one is NaN or
    /// infinite, or where a weight would become so; and those of the optimiser. The layer is then
    /// unchanged, and so is the optimiser, unless a weight would not have stayed finite.
    pub fn step(
        &mut self,
        optimizer: &mut dyn Optimizer,
        gradients: &WeightGradients,
    ) -> Result<()> {
        // All are looked at before any is taken.
        let gradients = self.flat(gradients)?;
        let gradient = |part| {
            let found = gradients.iter().find(|(of, _)| *of == part);
            found.map(|(_, values)| values.as_slice()).unwrap_or_default()
        };
        let stepped = self.replaced(|tensor| {
            let mut values = tensor.values.to_vec();
            optimizer.step(tensor.part as usize, &mut values, gradient(tensor.part))?;
            let limit = "the step leaves the range of f32; the learning rate may be too large";
            check_finite(tensor.part.name(), &values, limit)?;
            Ok(values)
        })?;
        *self = stepped;
        Ok(())
    }

    /// The gradients of all parts in order, checked.
    fn flat(&self, gradients: &WeightGradients) -> Result<Vec<(Part, Vec<f32>)>> {
        let (kernel, bias) = (&gradients.kernel, &gradients.bias);
        let (h, w, f) = (self.kernel().height(), self.kernel().width(), self.kernel().filters());
        check_shape(Part::Kernel.gradient(), &[h, w, f], kernel.shape())?;
        check_shape(Part::Bias.gradient(), &[f], bias.shape())?;
        let mut all = vec![
            (Part::Kernel, kernel.iter().copied().collect::<Vec<f32>>()),
            (Part::Bias, bias.to_vec()),
        ];
        let shape = |step: &Pointwise| vec![step.filters(), step.outputs()];
        let expected = self.pointwise().map(shape).unwrap_or_default();
        let pointwise = gradients.pointwise.as_ref();
        let found = pointwise.map(|step| step.weights.shape()).unwrap_or_default();
        check_shape(Part::PointwiseKernel.gradient(), &expected, found)?;
        if let Some(step) = pointwise {
            check_shape(Part::PointwiseBias.gradient(), &expected[1..], step.bias.shape())?;
            all.push((Part::PointwiseKernel, step.weights.iter().copied().collect()));
            all.push((Part::PointwiseBias, step.bias.to_vec()));
        }
        for (part, values) in &all {
            check_finite(part.gradient(), values, "all gradients must be finite")?;
        }
        Ok(all)
    }

    /// What is trained, in the order of the slots.
    pub(super) fn tensors(&self) -> Vec<Tensor<'_>> {
        let Conv2d { kernel, bias, pointwise, .. } = &self.conv;
        let of = |part, shape: &[usize], values| Tensor { part, shape: shape.to_vec(), values };
        let (h, w, f) = (kernel.height(), kernel.width(), kernel.filters());
        // As TensorFlow lays them out: the third axis is that of the input's channels.
        let mut all = vec![of(Part::Kernel, &[h, w, 1, f], kernel.weights())];
        if self.use_bias {
            all.push(of(Part::Bias, &[f], bias));
        }
        if let Some(step) = pointwise {
            let shape = [1, 1, f, step.outputs()];
            all.push(of(Part::PointwiseKernel, &shape, step.weights()));
            if self.use_bias {
                all.push(of(Part::PointwiseBias, &[step.outputs()], step.get_bias()));
            }
        }
        all
    }

    /// The layer with the values that `of` gives for each tensor, as many as there were.
    pub(super) fn replaced(
        &self,
        mut of: impl FnMut(&Tensor<'_>) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let Self { mut conv, use_bias } = self.clone();
        let kernel = self.kernel();
        for tensor in self.tensors() {
            let values = of(&tensor)?;
            match tensor.part {
                Part::Kernel => {
                    let (h, w, f) = (kernel.height(), kernel.width(), kernel.filters());
                    conv.kernel = Kernel::with_filters(h, w, f, values)?;
                }
                Part::Bias => conv.bias = values,
                Part::PointwiseKernel => {
                    conv.pointwise =
                        self.pointwise().map(|step| step.reweighted(values)).transpose()?;
                }
                Part::PointwiseBias => {
                    conv.pointwise = conv.pointwise.map(|step| step.bias(values));
                }
            }
        }
        Ok(Self { conv, use_bias })
    }
}

fn check_shape(what: &'static str, expected: &[usize], found: &[usize]) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::ShapeMismatch { what, expected: expected.to_vec(), found: found.to_vec() })
}

fn check_finite(what: &'static str, values: &[f32], limit: &str) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(Error::argument(what, format!("{} at {at}", values[at]), limit)),
        None => Ok(()),
    }
}

fn shape_of<T, D: Axes>(array: &ArrayRef<T, D>) -> Result<Shape> {
    Shape::from_dims(array.shape())
        .ok_or_else(|| Error::argument("number of axes", array.ndim(), "a tensor has two to four"))
}
