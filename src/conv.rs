//! What the user asks for: a kernel and how to apply it.

mod missing;
mod padding;
mod pointwise;

use crate::{Activation, Border, Borders, Kernel, Layout};
pub use missing::Missing;
pub use padding::Padding;
pub use pointwise::Pointwise;

/// One kernel applied to every channel, with everything that can be said about how.
///
/// For input `x`, kernel `k`, stride `(sh, sw)`, dilation `(dh, dw)` and filters `f`:
///
/// ```text
/// y[n, r, q, c*F+f] = act( bias[f] + Σ_i Σ_j k[i, j, f] · x̂[n, r*sh + i*dh - top, q*sw + j*dw - left, c] )
/// ```
///
/// where `x̂` is `x` continued by the border. Channels never mix. A new `Conv2d` has stride 1,
/// dilation 1, [`Padding::Same`], a border of zeros, no bias and no activation. Options are
/// checked when it meets a shape, by [`Problem::new`](crate::Problem::new).
///
/// ```
/// use channelwise::{Border, Conv2d, Engine, Kernel};
/// use ndarray::Array4;
///
/// # fn main() -> channelwise::Result<()> {
/// let frame = Array4::<u8>::from_elem((1, 48, 64, 3), 200);
/// let blur = Conv2d::new(Kernel::gaussian(5, 1.2)?).border(Border::Reflect101);
/// let blurred = Engine::cpu().run(&blur, &frame)?;
/// assert_eq!(blurred, frame);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    pub(crate) kernel: Kernel,
    pub(crate) stride: (usize, usize),
    pub(crate) dilation: (usize, usize),
    pub(crate) padding: Padding,
    pub(crate) anchor: Option<(usize, usize)>,
    pub(crate) border: Borders,
    pub(crate) flip: bool,
    pub(crate) layout: Layout,
    pub(crate) bias: Vec<f32>,
    /// The same in f64, where it was given so.
    pub(crate) bias_digits: Option<Vec<f64>>,
    pub(crate) activation: Activation,
    pub(crate) pointwise: Option<Pointwise>,
    pub(crate) finite: bool,
    pub(crate) adjoint: bool,
    /// Rows and columns of what the adjoint gives.
    pub(crate) adjoint_size: Option<(usize, usize)>,
    /// Whether it is normalised, and how.
    pub(crate) missing: Option<Missing>,
}

impl Conv2d {
    /// What of `other` is another than of this one, weights aside: their numbers may differ, and not their
    /// shapes.
    pub(crate) fn differs_beyond_weights(&self, other: &Self) -> Option<&'static str> {
        let kernel = |conv: &Self| {
            let kernel = &conv.kernel;
            [kernel.height(), kernel.width(), kernel.filters()]
        };
        let pointwise = match (&self.pointwise, &other.pointwise) {
            (Some(one), Some(two)) => {
                (one.filters(), one.outputs()) == (two.filters(), two.outputs())
                    && one.get_activation().same_bits(two.get_activation())
            }
            (one, two) => one.is_none() && two.is_none(),
        };
        let adjoint = |conv: &Self| (conv.adjoint, conv.adjoint_size);
        [
            ("shape of the kernel", kernel(self) == kernel(other)),
            ("stride", self.stride == other.stride),
            ("dilation", self.dilation == other.dilation),
            ("padding", self.padding == other.padding),
            ("anchor", self.anchor == other.anchor),
            ("border", self.border.same_bits(other.border)),
            ("flip", self.flip == other.flip),
            ("layout", self.layout == other.layout),
            ("activation", self.activation.same_bits(other.activation)),
            ("pointwise step", pointwise),
            ("assume_finite", self.finite == other.finite),
            ("adjoint", adjoint(self) == adjoint(other)),
            ("normalisation", self.same_missing(other)),
        ]
        .into_iter()
        .find_map(|(name, same)| (!same).then_some(name))
    }
}

impl Conv2d {
    /// The kernel at every place of the input, zeros outside: output as large as the input.
    #[must_use]
    pub fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            stride: (1, 1),
            dilation: (1, 1),
            padding: Padding::Same,
            anchor: None,
            border: Borders::default(),
            flip: false,
            layout: Layout::Nhwc,
            bias: Vec::new(),
            bias_digits: None,
            activation: Activation::None,
            pointwise: None,
            finite: false,
            adjoint: false,
            adjoint_size: None,
            missing: None,
        }
    }

    /// What `tf.nn.conv2d` per channel and `tf.concat`, a Keras `Conv2D` reused over `tf.split`,
    /// or `tf.nn.depthwise_conv2d` with the kernel repeated compute, with Keras' default
    /// `padding="valid"`. [`Padding::Same`] after it is TensorFlow's `"same"`.
    #[must_use]
    pub fn like_tensorflow(kernel: Kernel) -> Self {
        Self::new(kernel).padding(Padding::Valid)
    }

    /// What `torch.nn.functional.conv2d` with `groups=C` and the kernel repeated computes on
    /// `[batch, channels, height, width]`, with its default `padding=0`. [`Padding::all`] after it
    /// is `padding=n`.
    #[must_use]
    pub fn like_pytorch(kernel: Kernel) -> Self {
        Self::new(kernel).padding(Padding::Valid).layout(Layout::Nchw)
    }

    /// What `cv2.filter2D(src, -1, kernel)` computes: same size, anchor `k / 2` (rounded down),
    /// border reflect-101.
    #[must_use]
    pub fn like_opencv(kernel: Kernel) -> Self {
        let anchor = (kernel.height() / 2, kernel.width() / 2);
        Self::new(kernel).anchor(anchor.0, anchor.1).border(Border::Reflect101)
    }

    /// What `scipy.ndimage.correlate(x, kernel)` computes on each channel: same size, origin 0
    /// (anchor `k / 2` rounded down), mode `reflect` (edge repeated).
    #[must_use]
    pub fn like_scipy_correlate(kernel: Kernel) -> Self {
        let anchor = (kernel.height() / 2, kernel.width() / 2);
        Self::new(kernel).anchor(anchor.0, anchor.1).border(Border::Reflect)
    }

    /// What `scipy.ndimage.convolve(x, kernel)` computes on each channel: the kernel flipped,
    /// same size, mode `reflect`. For even sizes the origin moves with the flip.
    #[must_use]
    pub fn like_scipy_convolve(kernel: Kernel) -> Self {
        // The anchor counts in the kernel as applied, so k/2 becomes k-1-k/2.
        let anchor = ((kernel.height() - 1) / 2, (kernel.width() - 1) / 2);
        Self::new(kernel).flip().anchor(anchor.0, anchor.1).border(Border::Reflect)
    }

    /// Takes every `rows`-th output row and `columns`-th output column. Both at least 1; they may
    /// differ, and go with any dilation.
    #[must_use]
    pub fn stride(mut self, rows: usize, columns: usize) -> Self {
        self.stride = (rows, columns);
        self
    }

    /// Spaces the taps `rows` and `columns` apart. Both at least 1.
    #[must_use]
    pub fn dilation(mut self, rows: usize, columns: usize) -> Self {
        self.dilation = (rows, columns);
        self
    }

    /// How far the output reaches.
    #[must_use]
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// Which tap (row, column of the kernel as applied, after any flip) lies on the output's own
    /// place, as OpenCV's `anchor`. It goes with [`Padding::Same`] only.
    #[must_use]
    pub fn anchor(mut self, row: usize, column: usize) -> Self {
        self.anchor = Some((row, column));
        self
    }

    /// What lies beyond the edges: a [`Border`], or a pair of them for rows and columns (SciPy's
    /// `mode=(rows, columns)`), or [`Borders`] for each side.
    #[must_use]
    pub fn border(mut self, border: impl Into<Borders>) -> Self {
        self.border = border.into();
        self
    }

    /// Turns the kernel by 180 degrees: true convolution instead of correlation. Padding and
    /// anchor stay as they are. Twice is not at all.
    #[must_use]
    pub fn flip(mut self) -> Self {
        self.flip = !self.flip;
        self
    }

    /// Promises that the input holds no infinities and no NaNs, nor numbers so large (above 1e30, say)
    /// that sums of all places of a tile overflow, and that errors may be relative to the
    /// largest input instead of the inputs under the kernel
    /// ([`Plan::accuracy`](crate::Plan::accuracy)). Algorithms that need this, and are faster for
    /// large kernels, may then be taken.
    ///
    /// The CPU takes [`Algorithm::Fft`](crate::Algorithm::Fft) without that for floats, whose tiles it searches
    /// for what is not finite, and for integers that become integers again. Of integers whose sums come out as
    /// floats, and may be exact, it asks for this word.
    ///
    /// For [`Engine::backward`](crate::Engine::backward) it promises the same of the gradient of the output.
    ///
    /// A promise that is not kept costs wrong results, never more.
    #[must_use]
    pub fn assume_finite(mut self) -> Self {
        self.finite = true;
        self
    }

    /// The adjoint (transposed convolution) in place of the convolution: with all other options it
    /// describes the linear operator `A`, and what is applied is `A*`, for which `<A x, y> = <x, A* y>`.
    /// It takes what `A` gives, channel `c` and filter `f` at `c * F + f`, and sums over the filters;
    /// what a border continued goes back to the pixels it was read from. It is the gradient of `A` with
    /// respect to its input, PyTorch's `conv_transpose2d` and TensorFlow's `conv2d_transpose` with one
    /// kernel for every channel, and the `A*` of Richardson and Lucy's deconvolution.
    ///
    /// A bias and the value of a constant border are no part of `A` and are left out; a linear
    /// [`Pointwise`] is part of it. An activation is refused: see `Engine::backward`. Weights must be
    /// finite. Twice is not at all.
    ///
    /// ```
    /// use channelwise::{Border, Conv2d, Engine, Kernel};
    /// use ndarray::{Array2, array};
    /// # fn main() -> channelwise::Result<()> {
    /// let engine = Engine::cpu();
    /// let a = Conv2d::new(Kernel::box_blur(3, 3)?).border(Border::Reflect101);
    /// let (x, y) = (array![[1.0f32, 2.0], [3.0, 5.0]], array![[7.0f32, 11.0], [13.0, 17.0]]);
    /// let dot = |a: &Array2<f32>, b: &Array2<f32>| (a * b).sum();
    /// let there = dot(&engine.run(&a, &x)?, &y);
    /// let back = dot(&x, &engine.run(&a.adjoint(), &y)?);
    /// assert!((there - back).abs() < 1e-4);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn adjoint(mut self) -> Self {
        self.adjoint = !self.adjoint;
        self
    }

    /// Rows and columns of what the adjoint gives, TensorFlow's `output_shape`: with a stride,
    /// inputs of several sizes have outputs of one. Without it they are `output * stride` for
    /// [`Padding::Same`] (Keras' `Conv2DTranspose`), and else the fewest there can be,
    /// `(output - 1) * stride + extent - padding` (PyTorch's, with `output_padding=0`).
    #[must_use]
    pub fn adjoint_size(mut self, rows: usize, columns: usize) -> Self {
        self.adjoint_size = Some((rows, columns));
        self
    }

    /// The order of the axes of input and output.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Adds `bias[f]` to the outputs of filter `f`; as many values as filters, or none.
    #[must_use]
    pub fn bias(mut self, bias: impl Into<Vec<f32>>) -> Self {
        self.bias = bias.into();
        self.bias_digits = None;
        self
    }

    /// The same from f64, whose digits count where sums are made in f64
    /// ([`ElementType::sums_in_f64`](crate::ElementType::sums_in_f64)). The numbers of activations and of
    /// pointwise steps are f32 everywhere.
    ///
    /// ```
    /// use channelwise::{Conv2d, Engine, Kernel};
    /// use ndarray::array;
    /// # fn main() -> channelwise::Result<()> {
    /// let lifted = Conv2d::new(Kernel::identity()).bias_f64([0.1]);
    /// assert_eq!(Engine::cpu().run(&lifted, &array![[1.0f64]])?, array![[1.1]]);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn bias_f64(mut self, bias: impl Into<Vec<f64>>) -> Self {
        let bias = bias.into();
        self.bias = bias.iter().map(|b| *b as f32).collect();
        self.bias_digits = Some(bias);
        self
    }

    /// The bias of filter `f` with all its digits.
    pub(crate) fn exact_bias(&self, f: usize) -> f64 {
        let rounded = self.bias.get(f).copied().map_or(0.0, f64::from);
        self.bias_digits.as_ref().and_then(|all| all.get(f)).copied().unwrap_or(rounded)
    }

    /// Applies `activation` after the bias.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Maps the outputs of each channel by a shared 1x1 step. Where no activation stands between,
    /// it is folded into the kernel and costs nothing.
    #[must_use]
    pub fn pointwise(mut self, pointwise: Pointwise) -> Self {
        self.pointwise = Some(pointwise);
        self
    }

    /// Whether both are the same to the bit: what was made for one then serves the other, also where a
    /// weight is NaN, which equals nothing; and zeros of different sign are told apart.
    pub(crate) fn same_bits(&self, other: &Self) -> bool {
        // Every field by its name, so that none is forgotten.
        let Self { kernel, bias, bias_digits, pointwise, border, activation, .. } = self;
        let plain = |conv: &Self| {
            let Self {
                kernel: _,
                stride,
                dilation,
                padding,
                anchor,
                border: _,
                flip,
                layout,
                bias: _,
                bias_digits: _,
                activation: _,
                pointwise: _,
                finite,
                adjoint,
                adjoint_size,
                missing: _,
            } = *conv;
            (stride, dilation, padding, anchor, flip, layout, finite, adjoint, adjoint_size)
        };
        let bits = bytemuck::cast_slice::<f32, u32>;
        let digits = |digits: &Option<Vec<f64>>| {
            digits.as_deref().map(|all| bytemuck::cast_slice::<f64, u64>(all).to_vec())
        };
        let steps = match (pointwise, &other.pointwise) {
            (Some(one), Some(other)) => one.same_bits(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        plain(self) == plain(other)
            && steps
            && kernel.same_bits(&other.kernel)
            && bits(bias) == bits(&other.bias)
            && digits(bias_digits) == digits(&other.bias_digits)
            && border.same_bits(other.border)
            && self.same_missing(other)
            && activation.same_bits(other.activation)
    }

    /// The kernel, as given.
    #[must_use]
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Rows and columns from one output to the next: [`Conv2d::stride`].
    ///
    /// Options are read by `get_` and what sets them, as those of [`std::process::Command`] are.
    ///
    /// ```
    /// use channelwise::{Activation, Border, Conv2d, Kernel, Layout, Padding, Pointwise};
    /// # fn main() -> channelwise::Result<()> {
    /// let conv = Conv2d::new(Kernel::sobel_x()).stride(2, 1).dilation(1, 3).anchor(1, 2);
    /// assert_eq!((conv.get_stride(), conv.get_dilation()), ((2, 1), (1, 3)));
    /// assert_eq!((conv.get_padding(), conv.get_anchor()), (Padding::Same, Some((1, 2))));
    /// let conv = conv.padding(Padding::Full).border(Border::Wrap).layout(Layout::Nchw).flip();
    /// assert_eq!((conv.get_padding(), conv.get_border()), (Padding::Full, Border::Wrap.into()));
    /// assert_eq!((conv.get_layout(), conv.is_flipped()), (Layout::Nchw, true));
    /// let step = Pointwise::new(1, 1, vec![2.0])?;
    /// let conv = conv.bias([0.5]).activation(Activation::Relu).pointwise(step.clone());
    /// assert_eq!((conv.get_bias(), conv.get_activation()), (&[0.5][..], Activation::Relu));
    /// assert_eq!((conv.get_pointwise(), conv.assumes_finite()), (Some(&step), false));
    /// let conv = conv.assume_finite().adjoint().adjoint_size(9, 8);
    /// assert!(conv.assumes_finite() && conv.is_adjoint());
    /// assert_eq!(conv.get_adjoint_size(), Some((9, 8)));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn get_stride(&self) -> (usize, usize) {
        self.stride
    }

    /// Rows and columns from one tap to the next: [`Conv2d::dilation`].
    #[must_use]
    pub fn get_dilation(&self) -> (usize, usize) {
        self.dilation
    }

    /// How far the output reaches: [`Conv2d::padding`].
    #[must_use]
    pub fn get_padding(&self) -> Padding {
        self.padding
    }

    /// The tap on the output's own place, where it was given: [`Conv2d::anchor`].
    #[must_use]
    pub fn get_anchor(&self) -> Option<(usize, usize)> {
        self.anchor
    }

    /// What lies beyond the edges: [`Conv2d::border`].
    #[must_use]
    pub fn get_border(&self) -> Borders {
        self.border
    }

    /// Whether the kernel is turned by 180 degrees: [`Conv2d::flip`].
    #[must_use]
    pub fn is_flipped(&self) -> bool {
        self.flip
    }

    /// The order of the axes: [`Conv2d::layout`].
    #[must_use]
    pub fn get_layout(&self) -> Layout {
        self.layout
    }

    /// What is added to the outputs of each filter; empty without: [`Conv2d::bias`].
    #[must_use]
    pub fn get_bias(&self) -> &[f32] {
        &self.bias
    }

    /// What is applied after the bias: [`Conv2d::activation`].
    #[must_use]
    pub fn get_activation(&self) -> Activation {
        self.activation
    }

    /// The 1x1 step, where there is one: [`Conv2d::pointwise`].
    #[must_use]
    pub fn get_pointwise(&self) -> Option<&Pointwise> {
        self.pointwise.as_ref()
    }

    /// Whether finite input was promised: [`Conv2d::assume_finite`].
    #[must_use]
    pub fn assumes_finite(&self) -> bool {
        self.finite
    }

    /// Whether the adjoint is applied: [`Conv2d::adjoint`].
    #[must_use]
    pub fn is_adjoint(&self) -> bool {
        self.adjoint
    }

    /// Rows and columns of what the adjoint gives, where they were given: [`Conv2d::adjoint_size`].
    #[must_use]
    pub fn get_adjoint_size(&self) -> Option<(usize, usize)> {
        self.adjoint_size
    }
}
