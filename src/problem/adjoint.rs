//! The adjoint of a convolution.

use super::{
    DoubleWeights, Geometry, MAX_AXIS, MAX_COORDINATE, Problem, Way, Weights, checked, sums_in_f64,
};
use crate::{Activation, Border, Borders, Conv2d, ElementType, Error, Padding, Result, Shape};

/// The problem of the adjoint that takes a tensor of this shape.
///
/// With stride 1 and one filter it is a convolution again, with the kernel turned and what padding was not,
/// but for the pixels that a border continued: those gather. Otherwise all do.
pub(super) fn problem(
    conv: &Conv2d,
    shape: Shape,
    input_type: ElementType,
    output_type: ElementType,
) -> Result<Problem> {
    let element = match sums_in_f64(input_type, output_type) {
        true => ElementType::F64,
        false => ElementType::F32,
    };
    let forward = forward(conv, shape, element)?;
    let weights = Weights::linear(conv);
    let double = (element == ElementType::F64).then(|| DoubleWeights::linear(conv));
    let problem = |geometry: Geometry,
                   (weights, double): (Weights, Option<DoubleWeights>),
                   border: Borders,
                   way: Way| Problem {
        conv: conv.clone(),
        input_shape: shape,
        output_shape: forward.input_shape,
        input_type,
        output_type,
        geometry,
        weights,
        double,
        border,
        way,
        box_tap: None,
        texels: false,
    };
    let back = match convolution(&forward, weights.filters) {
        Some((geometry, folds)) => {
            countable(&geometry)?;
            let turned = (weights.clone().turned(), double.clone().map(DoubleWeights::turned));
            Some((problem(geometry, turned, Border::ZERO.into(), Way::Taps), folds))
        }
        None => None,
    };
    let way = match back {
        Some((back, false)) => return Ok(back),
        Some((back, true)) => Way::GatherEdges(Box::new(back)),
        None => Way::Gather,
    };
    let there = forward.geometry;
    let geometry = Geometry {
        height: there.out_height,
        width: there.out_width,
        inputs: weights.filters,
        out_height: there.height,
        out_width: there.width,
        outputs: 1,
        ..there
    };
    Ok(problem(geometry, (weights, double), conv.border, way))
}

impl Problem {
    /// The convolution whose adjoint it is.
    pub(crate) fn forward(&self) -> Result<Self> {
        let element = if self.double.is_some() { ElementType::F64 } else { ElementType::F32 };
        forward(&self.conv, self.input_shape, element)
    }
}

/// Refuses a convolution whose padded coordinates cannot be counted.
fn countable(g: &Geometry) -> Result<()> {
    let (rows, columns) = g.extent();
    let (height, width) = (g.out_height + rows - 1, g.out_width + columns - 1);
    checked("padded height", &[height], MAX_AXIS)?;
    checked("padded width", &[width], MAX_AXIS)?;
    checked("input row", &[width, g.channels], MAX_COORDINATE).map(drop)
}

/// The convolution whose adjoint it is.
fn forward(conv: &Conv2d, shape: Shape, element: ElementType) -> Result<Problem> {
    if conv.missing.is_some() {
        let limit = "a normalised convolution has none";
        return Err(Error::argument("adjoint", "of a normalised one", limit));
    }
    let pointwise = conv.pointwise.as_ref();
    for (name, activation) in [
        ("activation", conv.activation),
        ("pointwise activation", pointwise.map_or(Activation::None, |p| p.get_activation())),
    ] {
        if activation != Activation::None {
            return Err(Error::argument(
                name,
                activation,
                "only what is linear has an adjoint; `Engine::backward` goes through activations",
            ));
        }
    }
    let [batch, height, width, channels] = shape.to_nhwc(conv.layout);
    let outputs = pointwise.map_or(conv.kernel.filters(), |p| p.outputs());
    if !channels.is_multiple_of(outputs) {
        return Err(Error::argument(
            "channels of the adjoint's input",
            channels,
            format!("a multiple of the {outputs} outputs per channel is needed"),
        ));
    }
    let size = match conv.adjoint_size {
        Some(size) => size,
        None => (least(conv, Side::Rows, height)?, least(conv, Side::Columns, width)?),
    };
    // The number of axes stays, so there always is such a shape.
    let input =
        shape.with_nhwc(conv.layout, [batch, size.0, size.1, channels / outputs]).ok_or_else(
            || Error::argument("channels of the adjoint's input", channels, "no such axis"),
        )?;
    let conv = Conv2d { adjoint: false, adjoint_size: None, ..conv.clone() };
    let forward = Problem::new(&conv, input, element, element)?;
    if forward.output_shape != shape {
        return Err(Error::ShapeMismatch {
            what: "input of the adjoint",
            expected: forward.output_shape.dims().to_vec(),
            found: shape.dims().to_vec(),
        });
    }
    Ok(forward)
}

#[derive(Clone, Copy)]
enum Side {
    Rows,
    Columns,
}

/// The size along an axis, where none is said, of what has `out` rows or columns of output.
fn least(conv: &Conv2d, side: Side, out: usize) -> Result<usize> {
    let pick = |(rows, columns): (usize, usize)| match side {
        Side::Rows => rows,
        Side::Columns => columns,
    };
    let stride = pick(conv.stride);
    let kernel = pick((conv.kernel.height(), conv.kernel.width()));
    let extent = (kernel - 1).saturating_mul(pick(conv.dilation)).saturating_add(1);
    let padding = match conv.padding {
        Padding::Same => return Ok(out.saturating_mul(stride)),
        Padding::Valid => 0,
        Padding::Full => 2 * (extent - 1).min(MAX_AXIS as usize),
        Padding::Explicit { top, bottom, left, right } => {
            pick((top.saturating_add(bottom), left.saturating_add(right)))
        }
    };
    let padded = out.saturating_sub(1).saturating_mul(stride).saturating_add(extent);
    padded.checked_sub(padding).filter(|n| *n > 0 && out > 0).ok_or_else(|| {
        Error::argument(
            match side {
                Side::Rows => "rows of the adjoint's input",
                Side::Columns => "columns of the adjoint's input",
            },
            out,
            format!(
                "they need {padded} with the padding, which is {padding}; `adjoint_size` says more"
            ),
        )
    })
}

/// The convolution back, if there is one, and whether that leaves out what a border continued.
fn convolution(forward: &Problem, filters: usize) -> Option<(Geometry, bool)> {
    let g = forward.geometry;
    let extent = g.extent();
    let after = (
        (g.out_height - 1 + extent.0).checked_sub(g.top + g.height),
        (g.out_width - 1 + extent.1).checked_sub(g.left + g.width),
    );
    // With stride 1 padding ends where the last tap lies.
    let (Some(bottom), Some(right)) = after else { return None };
    let padded = g.top + g.left + bottom + right > 0;
    let turned = |padding: usize, extent: usize| (extent - 1).checked_sub(padding);
    let (top, left) = (turned(g.top, extent.0)?, turned(g.left, extent.1)?);
    turned(bottom, extent.0)?;
    turned(right, extent.1)?;
    let folds = padded && !forward.border.is_constant();
    if g.stride != (1, 1) || filters != 1 {
        return None;
    }
    let geometry = Geometry {
        height: g.out_height,
        width: g.out_width,
        out_height: g.height,
        out_width: g.width,
        outputs: 1,
        top,
        left,
        ..g
    };
    Some((geometry, folds))
}
