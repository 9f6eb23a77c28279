//! The checks that need no shape.

use crate::{Conv2d, ElementType, Error, Padding, Result};

/// Refuses options that no shape could make right.
pub(super) fn check_options(conv: &Conv2d, output_type: ElementType) -> Result<()> {
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
    if !conv.border.has_one_constant() {
        let limit = "the constants of its sides must be one number";
        return Err(Error::argument("border", conv.border, limit));
    }
    let filters = conv.kernel.filters();
    check_bias("bias", &conv.bias, filters)?;
    if conv.missing.is_some() && conv.pointwise.is_some() {
        let limit = "a normalised convolution takes none";
        return Err(Error::argument("pointwise step", "given", limit));
    }
    let mut activations = vec![("activation", conv.activation)];
    if let Some(p) = &conv.pointwise {
        if p.filters() != filters {
            return Err(Error::ShapeMismatch {
                what: "pointwise weights",
                expected: vec![filters, p.outputs()],
                found: vec![p.filters(), p.outputs()],
            });
        }
        check_bias("pointwise bias", p.get_bias(), p.outputs())?;
        activations.push(("pointwise activation", p.get_activation()));
    }
    for (name, activation) in &activations {
        if let Some(limit) = activation.invalid() {
            return Err(Error::argument(name, activation, limit));
        }
    }
    // Only the last step's results are stored.
    if let Some((name, last)) = activations.last()
        && last.needs_float()
        && output_type.is_integer()
    {
        return Err(Error::argument(
            name,
            last,
            format!(
                "its results are fractions, so the output type must be a float, not {output_type}"
            ),
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
