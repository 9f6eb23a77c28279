//! Numbers that stand for borders and activations in shaders.

use crate::problem::{Geometry, Problem};
use crate::{Activation, Border, Borders};

/// Numbers of the borders of each side, by their names in shaders.
pub(super) fn border_codes(borders: Borders) -> [(&'static str, u32); 4] {
    let (rows, columns) = (borders.rows(), borders.columns());
    [
        ("BORDER_TOP", border_code(rows.before)),
        ("BORDER_BOTTOM", border_code(rows.after)),
        ("BORDER_LEFT", border_code(columns.before)),
        ("BORDER_RIGHT", border_code(columns.after)),
    ]
}

/// Number of `border` in shaders.
fn border_code(border: Border) -> u32 {
    match border {
        Border::Constant(_) => 1,
        Border::Replicate => 2,
        Border::Reflect => 3,
        Border::Reflect101 => 4,
        Border::Wrap => 5,
    }
}

/// Number and parameters of `activation` in shaders.
pub(super) fn activation_code(activation: Activation) -> (u32, f32, f32) {
    match activation {
        Activation::None => (0, 0.0, 0.0),
        Activation::Relu => (1, 0.0, 0.0),
        Activation::Leaky(a) => (2, a, 0.0),
        Activation::Sigmoid => (3, 0.0, 0.0),
        Activation::Tanh => (4, 0.0, 0.0),
        Activation::Gelu => (5, 0.0, 0.0),
        Activation::Relu6 => (6, 0.0, 6.0),
        Activation::Clamp(lo, hi) => (6, lo, hi),
        Activation::Abs => (8, 0.0, 0.0),
    }
}

/// The activation behind a pointwise step.
pub(super) fn follow_activation(problem: &Problem) -> Activation {
    let follow = problem.weights().follow.as_ref();
    follow.map_or(Activation::None, |f| f.activation)
}

/// Whether the padding reaches further than a border can go with one bounce.
pub(super) fn reaches_far(problem: &Problem) -> bool {
    let g = problem.geometry();
    let g = match problem.gathers() {
        // The other way round: what it gives is what is continued.
        true => &Geometry {
            height: g.out_height,
            width: g.out_width,
            out_height: g.height,
            out_width: g.width,
            ..*g
        },
        false => g,
    };
    let extent = g.extent();
    let axis = |before: usize, out: usize, stride: usize, extent: usize, n: usize| {
        let after = ((out - 1) * stride + extent).saturating_sub(before + n);
        before.max(after) >= n
    };
    axis(g.top, g.out_height, g.stride.0, extent.0, g.height)
        || axis(g.left, g.out_width, g.stride.1, extent.1, g.width)
}
