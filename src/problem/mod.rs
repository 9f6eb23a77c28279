//! A [`Conv2d`] that met a shape: every check a caller can fail, and all arithmetic of shapes.

mod adjoint;
mod as_row;
mod axis;
mod double;
mod geometry;
mod gradient;
mod integers;
mod mean;
mod options;
mod region;
mod weights;

use std::fmt;

use axis::Axis;
pub(crate) use double::{DoubleFollow, DoubleWeights};
pub(crate) use geometry::Geometry;
pub(crate) use gradient::{PointwiseSums, WeightSums};
pub(crate) use integers::Integers;
pub(crate) use region::{Region, Source};
pub(crate) use weights::{Follow, Weights};

use crate::{Borders, Conv2d, ElementType, Error, Layout, Padding, Result, Shape};

/// The largest coordinate in a flat row: shaders count in 32-bit integers.
const MAX_COORDINATE: u64 = i32::MAX as u64;
/// The longest padded axis and kernel: reflections double a length, and so shaders step.
const MAX_AXIS: u64 = (1 << 30) - 1;

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
    /// The same for sums in f64, where these are.
    double: Option<DoubleWeights>,
    /// What the engines meet beyond the edges.
    border: Borders,
    way: Way,
    /// The tap of a box filter whose sums are exact.
    box_tap: Option<f32>,
    /// Whether input and output are textures.
    texels: bool,
}

/// Which way a problem's outputs are made.
#[derive(Clone, Debug, PartialEq)]
enum Way {
    /// Taps read the input: a convolution.
    Taps,
    /// Outputs gather what they were read for: geometry, weights and border are those of a
    /// convolution from output to input.
    Gather,
    /// The same, and all but the pixels that the border continues is this convolution as well.
    GatherEdges(Box<Problem>),
}

/// What an output is stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// A scalar fills a word of 32 bits.
    Scalar,
    /// So many scalars share a word.
    Word(usize),
    /// A texel, which is four scalars, or one of four that are stored at once.
    Texel,
}

impl Store {
    /// Scalars that are stored at once.
    pub fn lanes(self) -> usize {
        match self {
            Self::Scalar => 1,
            Self::Word(scalars) => scalars,
            Self::Texel => 4,
        }
    }
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
        if conv.adjoint {
            return adjoint::problem(conv, input_shape, input_type, output_type);
        }
        options::check_options(conv, output_type)?;
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
        let double = sums_in_f64(input_type, output_type).then(|| DoubleWeights::new(conv));
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
            // As ndarray counts: an axis of size 0 does not excuse the others.
            let mut bytes: Vec<usize> = shape.dims().iter().map(|n| (*n).max(1)).collect();
            bytes.push(kind.bytes());
            checked(what, &bytes, isize::MAX as u64)?;
        }

        let planar = conv.layout == Layout::Nchw;
        let geometry = Geometry {
            images: if planar { batch * channels } else { batch },
            height,
            width,
            channels: if planar { 1 } else { channels },
            inputs: 1,
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
        let box_tap = match double {
            Some(_) => None,
            None => mean::box_tap(&weights, kernel, input_type, conv.border),
        };
        Ok(Self {
            conv: conv.clone(),
            input_shape,
            output_shape,
            input_type,
            output_type,
            geometry,
            weights,
            double,
            border: conv.border,
            way: Way::Taps,
            box_tap,
            texels: false,
        })
    }

    /// The same for a texture `[height, width, channels]`, whatever the layout, whose texels are f32 to
    /// those who filter them. `finite`: its format knows no infinities.
    #[cfg(feature = "gpu")]
    pub(crate) fn of_texels(conv: &Conv2d, shape: [usize; 3], finite: bool) -> Result<Self> {
        if conv.adjoint {
            return Err(Error::argument("adjoint", true, "textures know no adjoint"));
        }
        let mut conv = conv.clone().layout(Layout::Nhwc);
        conv.finite |= finite;
        // Any activation goes: texels are fractions.
        let problem = Self::new(&conv, shape, ElementType::F32, ElementType::F32)?;
        if problem.geometry.outputs != 1 {
            return Err(Error::argument(
                "filters",
                problem.geometry.outputs,
                "textures hold one output per channel, so one filter or a pointwise step to one is needed",
            ));
        }
        Ok(Self { texels: true, ..problem })
    }

    /// The same with the weights of `conv`, which is as what was asked for in all else.
    ///
    /// # Errors
    /// [`Error::Argument`] where it is not; those of [`Problem::new`].
    pub(crate) fn reweighed(&self, conv: &Conv2d) -> Result<Self> {
        // Of textures neither layout nor promise is asked.
        let conv = match self.texels {
            true => &Conv2d { finite: self.conv.finite, ..conv.clone().layout(self.conv.layout) },
            false => conv,
        };
        if let Some(name) = self.conv.differs_beyond_weights(conv) {
            let limit = "only the numbers of weights may be others than was prepared for";
            return Err(Error::argument("convolution", format!("another {name}"), limit));
        }
        let new = Self::new(conv, self.input_shape, self.input_type, self.output_type)?;
        Ok(Self { texels: self.texels, ..new })
    }

    /// A line that tells it from another problem, weights and all.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let Self { conv, input_shape, input_type, output_type, .. } = self;
        format!("{input_shape} {input_type} to {output_type} by {conv:?}")
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
        let (rows, columns) = match self.gathers() {
            true => (g.height, g.width),
            false => (g.out_height, g.out_width),
        };
        let places = (g.images * rows * columns * g.channels) as u64;
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

    /// The weights of sums in f64, where input or output are of a type that asks for them.
    pub(crate) fn double(&self) -> Option<&DoubleWeights> {
        self.double.as_ref()
    }

    pub(crate) fn border(&self) -> Borders {
        self.border
    }

    /// Whether outputs gather what they were read for by the convolution that geometry, weights and
    /// border describe, from output to input.
    pub(crate) fn gathers(&self) -> bool {
        match self.way {
            Way::Taps => false,
            Way::Gather | Way::GatherEdges(_) => true,
        }
    }

    /// The convolution that it is but for the edges, where it gathers and all else is one; else itself.
    pub(crate) fn but_for_edges(&self) -> &Self {
        match &self.way {
            Way::GatherEdges(convolution) => convolution,
            Way::Taps | Way::Gather => self,
        }
    }

    /// Whether it gathers, and all but the edges is a convolution.
    pub(crate) fn has_edges(&self) -> bool {
        matches!(self.way, Way::GatherEdges(_))
    }

    /// What outputs are stored as.
    pub(crate) fn store(&self) -> Store {
        match self.output_type.per_word() {
            _ if self.texels => Store::Texel,
            1 => Store::Scalar,
            scalars => Store::Word(scalars),
        }
    }

    /// Row and column of the input on which the kernel stands for the output at `(row, column)`: with its
    /// anchor, or else with the middle of what it spans. Before the first or beyond the last the border
    /// continues the input ([`Border::index`](crate::Border::index)).
    ///
    /// ```
    /// # fn main() -> channelwise::Result<()> {
    /// use channelwise::{Conv2d, ElementType, Kernel, Padding, Problem};
    /// let every_other = Conv2d::new(Kernel::box_blur(3, 3)?).stride(2, 2).padding(Padding::Valid);
    /// let problem = Problem::new(&every_other, [9, 9, 3], ElementType::U8, ElementType::U8)?;
    /// assert_eq!(problem.anchor_at(0, 3), (1, 7));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn anchor_at(&self, row: usize, column: usize) -> (isize, isize) {
        let (down, across) = self.middle();
        (
            self.geometry.first_row(row).saturating_add_unsigned(down),
            self.geometry.first_column(column).saturating_add_unsigned(across),
        )
    }

    /// Rows and columns from where tap 0 lies to the place the kernel stands for: its anchor, or else the
    /// middle of what it spans.
    pub(crate) fn middle(&self) -> (usize, usize) {
        let (extent, dilation) = (self.geometry.extent(), self.geometry.dilation);
        match self.conv.anchor {
            Some((row, column)) => (row * dilation.0, column * dilation.1),
            None => ((extent.0 - 1) / 2, (extent.1 - 1) / 2),
        }
    }

    /// Whether infinities and NaNs are known to be none of what taps meet. That errors may be relative to
    /// the largest input is another question: `conv.finite` alone answers it.
    pub(crate) fn reads_finite(&self) -> bool {
        let input = self.input_type.is_integer() || self.conv.finite;
        input && self.border().fill().is_finite()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.texels {
            write!(f, "texture {} -> {}", self.input_shape, self.output_shape)?;
        } else {
            let (input, output) = (self.input_type, self.output_type);
            write!(f, "{} {input} -> {} {output}", self.input_shape, self.output_shape)?;
        }
        write!(f, ", kernel {}", self.conv.kernel)?;
        let Conv2d { stride, dilation, border, .. } = &self.conv;
        if *stride != (1, 1) {
            write!(f, ", stride {},{}", stride.0, stride.1)?;
        }
        if *dilation != (1, 1) {
            write!(f, ", dilation {},{}", dilation.0, dilation.1)?;
        }
        write!(f, ", border {border}")?;
        if self.conv.adjoint { f.write_str(", adjoint") } else { Ok(()) }
    }
}

/// Whether sums between these types are made in f64.
fn sums_in_f64(input: ElementType, output: ElementType) -> bool {
    input.sums_in_f64() || output.sums_in_f64()
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
