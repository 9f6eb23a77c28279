//! A [`Conv2d`] that met a shape: every check a caller can fail, and all arithmetic of shapes.

use std::fmt;

use crate::{Activation, Border, Conv2d, ElementType, Error, Layout, Padding, Result, Shape};

/// The largest coordinate on any axis: shaders count in 32-bit integers.
const MAX_COORDINATE: u64 = i32::MAX as u64;

/// What is to be computed, checked.
///
/// ```
/// use channelwise::{Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
/// let conv = Conv2d::new(Kernel::sobel_x()).stride(2, 2);
/// let problem = Problem::new(&conv, [8, 224, 224, 64], ElementType::U8, ElementType::F32)?;
/// assert_eq!(problem.output_shape().dims(), [8, 112, 112, 64]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    conv: Conv2d,
    input_shape: Shape,
    output_shape: Shape,
    input_type: ElementType,
    output_type: ElementType,
    geometry: Geometry,
    weights: Weights,
}

/// The sizes every engine works with.
///
/// `Nchw` is the same operation on `batch * channels` images of one channel, whose outputs lie in
/// planes of their own; so the engines know images of interleaved channels and [`Geometry::planar`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Geometry {
    pub images: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub out_height: usize,
    pub out_width: usize,
    /// Outputs per channel, after the pointwise step.
    pub outputs: usize,
    /// Outputs of one image lie one plane after the other instead of interleaved.
    pub planar: bool,
    pub kernel: (usize, usize),
    pub stride: (usize, usize),
    pub dilation: (usize, usize),
    pub top: usize,
    pub left: usize,
}

impl Geometry {
    /// Scalars in an input row.
    pub fn row(&self) -> usize {
        self.width * self.channels
    }

    /// Scalars in an input image.
    pub fn image(&self) -> usize {
        self.height * self.row()
    }

    /// Scalars of one image's output row that lie together: all outputs, or one plane's.
    pub fn out_row(&self) -> usize {
        let together = if self.planar { 1 } else { self.outputs };
        self.out_width * self.channels * together
    }

    /// Separate output planes of one image.
    pub fn out_planes(&self) -> usize {
        if self.planar { self.outputs } else { 1 }
    }

    /// Scalars in an image's output.
    pub fn out_image(&self) -> usize {
        self.out_height * self.out_row() * self.out_planes()
    }

    /// Rows and columns a dilated kernel spans.
    pub fn extent(&self) -> (usize, usize) {
        ((self.kernel.0 - 1) * self.dilation.0 + 1, (self.kernel.1 - 1) * self.dilation.1 + 1)
    }

    /// The input row (continued by the border) that tap row 0 of output row `r` meets.
    pub fn first_row(&self, r: usize) -> isize {
        (r * self.stride.0) as isize - self.top as isize
    }

    /// The input column (continued by the border) that tap column 0 of output column `q` meets.
    pub fn first_column(&self, q: usize) -> isize {
        (q * self.stride.1) as isize - self.left as isize
    }
}

/// The numbers of the kernel as the engines use them: flipped, and with a linear pointwise step
/// folded in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weights {
    pub filters: usize,
    /// `[filters, kernel height, kernel width]`.
    pub taps: Vec<f32>,
    /// `[filters]`.
    pub bias: Vec<f32>,
    pub activation: Activation,
    pub follow: Option<Follow>,
}

/// A pointwise step that could not be folded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Follow {
    /// `[filters, outputs]`.
    pub weights: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
    pub activation: Activation,
}

impl Problem {
    /// Checks `conv` against an input of this shape and these element types.
    ///
    /// # Errors
    /// Every error a caller can cause: options out of range ([`Error::Argument`]), lengths that
    /// do not fit together ([`Error::ShapeMismatch`]), an output without elements
    /// ([`Error::EmptyOutput`]), sizes that cannot be counted ([`Error::TooLarge`]).
    pub fn new(
        conv: &Conv2d,
        input_shape: impl Into<Shape>,
        input_type: ElementType,
        output_type: ElementType,
    ) -> Result<Self> {
        let input_shape = input_shape.into();
        check_options(conv, output_type)?;
        let [batch, height, width, channels] = input_shape.to_nhwc(conv.layout);
        let kernel = (conv.kernel.height(), conv.kernel.width());
        let anchor = conv.anchor.map_or((None, None), |(r, c)| (Some(r), Some(c)));
        let explicit = match conv.padding {
            Padding::Explicit { top, bottom, left, right } => ((top, bottom), (left, right)),
            Padding::Valid | Padding::Same | Padding::Full => ((0, 0), (0, 0)),
        };
        let rows = Axis {
            name: "height",
            input: height,
            kernel: kernel.0,
            stride: conv.stride.0,
            dilation: conv.dilation.0,
            anchor: anchor.0,
            explicit: explicit.0,
        }
        .solve(conv.padding)?;
        let columns = Axis {
            name: "width",
            input: width,
            kernel: kernel.1,
            stride: conv.stride.1,
            dilation: conv.dilation.1,
            anchor: anchor.1,
            explicit: explicit.1,
        }
        .solve(conv.padding)?;

        let weights = Weights::new(conv);
        let outputs = conv.pointwise.as_ref().map_or(conv.kernel.filters(), |p| p.outputs());
        let out_channels = checked("output channels", &[channels, outputs], MAX_COORDINATE)?;
        let filtered =
            checked("filters times channels", &[channels, weights.filters], MAX_COORDINATE)?;
        checked("input row", &[columns.padded, channels], MAX_COORDINATE)?;
        checked("output row", &[columns.out, out_channels.max(filtered)], MAX_COORDINATE)?;
        let output_shape = input_shape
            .with_nhwc(conv.layout, [batch, rows.out, columns.out, out_channels])
            .ok_or_else(|| {
                Error::argument(
                    "filters",
                    outputs,
                    format!(
                        "input {input_shape} has no channel axis, so only 1 output per channel fits"
                    ),
                )
            })?;
        for (what, shape, kind) in
            [("input", input_shape, input_type), ("output", output_shape, output_type)]
        {
            let mut bytes = shape.dims().to_vec();
            bytes.push(kind.bytes());
            if shape.elements() != Some(0) {
                checked(what, &bytes, isize::MAX as u64)?;
            }
        }

        let planar = conv.layout == Layout::Nchw;
        let geometry = Geometry {
            images: if planar { batch * channels } else { batch },
            height,
            width,
            channels: if planar { 1 } else { channels },
            out_height: rows.out,
            out_width: columns.out,
            outputs,
            planar,
            kernel,
            stride: conv.stride,
            dilation: conv.dilation,
            top: rows.before,
            left: columns.before,
        };
        Ok(Self {
            conv: conv.clone(),
            input_shape,
            output_shape,
            input_type,
            output_type,
            geometry,
            weights,
        })
    }

    /// What was asked for.
    #[must_use]
    pub fn conv(&self) -> &Conv2d {
        &self.conv
    }

    /// Shape of the input.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        self.input_shape
    }

    /// Shape of the output: the same axes; channel `c` and filter `f` at `c * F + f`.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.output_shape
    }

    /// Element type of the input.
    #[must_use]
    pub fn input_type(&self) -> ElementType {
        self.input_type
    }

    /// Element type of the output.
    #[must_use]
    pub fn output_type(&self) -> ElementType {
        self.output_type
    }

    /// Number of input elements.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.geometry.images * self.geometry.image()
    }

    /// Number of output elements.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.geometry.images * self.geometry.out_image()
    }

    /// Multiply-adds of the direct method, the pointwise step included.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        let g = &self.geometry;
        let places = (g.images * g.out_height * g.out_width * g.channels) as u64;
        let taps = self.weights.taps.len();
        let follow = self.weights.follow.as_ref().map_or(0, |f| f.weights.len());
        places.saturating_mul((taps + follow) as u64)
    }

    /// Bytes any method has to move: the input once and the output once.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.input_len() * self.input_type.bytes()) as u64
            + (self.output_len() * self.output_type.bytes()) as u64
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(crate) fn weights(&self) -> &Weights {
        &self.weights
    }

    pub(crate) fn border(&self) -> Border {
        self.conv.border
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} -> {} {}, kernel {}",
            self.input_shape,
            self.input_type,
            self.output_shape,
            self.output_type,
            self.conv.kernel
        )?;
        let Conv2d { stride, dilation, border, .. } = &self.conv;
        if *stride != (1, 1) {
            write!(f, ", stride {},{}", stride.0, stride.1)?;
        }
        if *dilation != (1, 1) {
            write!(f, ", dilation {},{}", dilation.0, dilation.1)?;
        }
        write!(f, ", border {border}")
    }
}

/// The product, unless it passes `limit`.
fn checked(what: &'static str, factors: &[usize], limit: u64) -> Result<usize> {
    factors
        .iter()
        .try_fold(1usize, |product, n| product.checked_mul(*n))
        .filter(|n| *n as u64 <= limit)
        .ok_or_else(|| Error::TooLarge {
            what,
            value: factors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" * "),
            limit,
        })
}

/// The checks that need no shape.
fn check_options(conv: &Conv2d, output_type: ElementType) -> Result<()> {
    for (name, value) in [
        ("stride of rows", conv.stride.0),
        ("stride of columns", conv.stride.1),
        ("dilation of rows", conv.dilation.0),
        ("dilation of columns", conv.dilation.1),
    ] {
        if value == 0 {
            return Err(Error::argument(name, value, "at least 1 is needed"));
        }
    }
    if let Some((r, c)) = conv.anchor {
        for (name, at, size) in
            [("anchor row", r, conv.kernel.height()), ("anchor column", c, conv.kernel.width())]
        {
            if at >= size {
                return Err(Error::argument(name, at, format!("the kernel has {size} of them")));
            }
        }
        if conv.padding != Padding::Same {
            return Err(Error::argument(
                "anchor",
                format!("{r},{c}"),
                "it needs padding Same; other paddings place the kernel themselves",
            ));
        }
    }
    let filters = conv.kernel.filters();
    check_bias("bias", &conv.bias, filters)?;
    let mut activations = vec![("activation", conv.activation)];
    if let Some(p) = &conv.pointwise {
        if p.filters() != filters {
            return Err(Error::ShapeMismatch {
                what: "pointwise weights",
                expected: vec![filters, p.outputs()],
                found: vec![p.filters(), p.outputs()],
            });
        }
        check_bias("pointwise bias", p.bias_values(), p.outputs())?;
        activations.push(("pointwise activation", p.activation_kind()));
    }
    for (name, activation) in &activations {
        if let Some(limit) = activation.invalid() {
            return Err(Error::argument(name, activation, limit));
        }
    }
    // Only the last step's results are stored.
    if let Some((name, last)) = activations.last()
        && last.needs_float()
        && output_type != ElementType::F32
    {
        return Err(Error::argument(
            name,
            last,
            format!("its results are fractions, so the output type must be f32, not {output_type}"),
        ));
    }
    Ok(())
}

fn check_bias(what: &'static str, bias: &[f32], expected: usize) -> Result<()> {
    if bias.is_empty() || bias.len() == expected {
        return Ok(());
    }
    Err(Error::ShapeMismatch { what, expected: vec![expected], found: vec![bias.len()] })
}

/// One axis of the shape arithmetic.
struct Axis {
    name: &'static str,
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    anchor: Option<usize>,
    /// Before and after, for [`Padding::Explicit`].
    explicit: (usize, usize),
}

struct Solved {
    out: usize,
    before: usize,
    /// Input and padding together.
    padded: usize,
}

impl Axis {
    fn solve(&self, padding: Padding) -> Result<Solved> {
        let (name, n) = (self.name, self.input);
        if n == 0 {
            return Err(Error::argument(
                if name == "height" { "input height" } else { "input width" },
                n,
                "at least 1 is needed",
            ));
        }
        let too_large = |value: String| Error::TooLarge {
            what: if name == "height" { "padded height" } else { "padded width" },
            value,
            limit: MAX_COORDINATE,
        };
        let extent = (self.kernel - 1)
            .checked_mul(self.dilation)
            .and_then(|n| n.checked_add(1))
            .filter(|n| *n as u64 <= MAX_COORDINATE)
            .ok_or_else(|| {
                too_large(format!("kernel {} with dilation {}", self.kernel, self.dilation))
            })?;
        if n as u64 > MAX_COORDINATE || self.stride as u64 > MAX_COORDINATE {
            return Err(too_large(format!("size {n} with stride {}", self.stride)));
        }
        // Everything below is small enough for 64-bit sums: each term is below 2^31, or checked.
        let same_total = || {
            let out = n.div_ceil(self.stride);
            ((out - 1) as u64 * self.stride as u64 + extent as u64).saturating_sub(n as u64)
                as usize
        };
        let (before, after) = match (padding, self.anchor) {
            (Padding::Valid, _) => (0, 0),
            (Padding::Full, _) => (extent - 1, extent - 1),
            (Padding::Explicit { .. }, _) => self.explicit,
            (Padding::Same, None) => (same_total() / 2, same_total() - same_total() / 2),
            (Padding::Same, Some(anchor)) => {
                let before = anchor * self.dilation;
                (before, same_total().saturating_sub(before))
            }
        };
        let total = before.checked_add(after);
        let padded = total
            .and_then(|t| t.checked_add(n))
            .filter(|p| *p as u64 <= MAX_COORDINATE)
            .ok_or_else(|| too_large(format!("{before} + {n} + {after}")))?;
        if padded < extent {
            return Err(Error::EmptyOutput { axis: name, input: n, padding: padded - n, extent });
        }
        let out = match padding {
            Padding::Same => n.div_ceil(self.stride),
            Padding::Valid | Padding::Full | Padding::Explicit { .. } => {
                (padded - extent) / self.stride + 1
            }
        };
        Ok(Solved { out, before, padded })
    }
}

impl Weights {
    fn new(conv: &Conv2d) -> Self {
        let kernel = if conv.flip { conv.kernel.flipped() } else { conv.kernel.clone() };
        let filters = kernel.filters();
        let own_bias = |f: usize| conv.bias.get(f).copied().unwrap_or(0.0);
        let plain = Self {
            filters,
            taps: (0..filters).flat_map(|f| kernel.filter(f)).collect(),
            bias: (0..filters).map(own_bias).collect(),
            activation: conv.activation,
            follow: None,
        };
        let Some(p) = &conv.pointwise else {
            return plain;
        };
        let outputs = p.outputs();
        let follow_bias = |g: usize| p.bias_values().get(g).copied().unwrap_or(0.0);
        let taps = kernel.height() * kernel.width();
        // Folding does `outputs` kernels in place of `filters` and a small product.
        let folds = conv.activation == Activation::None
            && outputs * taps <= filters * taps + filters * outputs;
        if !folds {
            return Self {
                follow: Some(Follow {
                    weights: p.weights().to_vec(),
                    bias: (0..outputs).map(follow_bias).collect(),
                    activation: p.activation_kind(),
                }),
                ..plain
            };
        }
        let mixed = |g: usize, value: &dyn Fn(usize) -> f32| {
            let sum: f64 = (0..filters)
                .map(|f| f64::from(p.weights()[f * outputs + g]) * f64::from(value(f)))
                .sum();
            sum
        };
        let mut folded = Self {
            filters: outputs,
            taps: Vec::with_capacity(outputs * taps),
            bias: Vec::with_capacity(outputs),
            activation: p.activation_kind(),
            follow: None,
        };
        for g in 0..outputs {
            for tap in 0..taps {
                folded.taps.push(mixed(g, &|f| plain.taps[f * taps + tap]) as f32);
            }
            folded.bias.push((mixed(g, &|f| plain.bias[f]) + f64::from(follow_bias(g))) as f32);
        }
        folded
    }
}
