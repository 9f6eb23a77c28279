//! What is to be computed, from the keywords of a call.

use channelwise::{Activation, Border, Borders, Conv2d, Kernel, Layout, Padding, Pointwise};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::failure::{raised, refused};
use crate::given::{count, number, numbers, pair, several, shown, truth, word};

/// The keywords that say what is computed; those that say how, and on what, are told apart before.
pub const NAMES: [&str; 18] = [
    "like",
    "border",
    "constant",
    "padding",
    "stride",
    "dilation",
    "anchor",
    "flip",
    "bias",
    "activation",
    "pointwise",
    "layout",
    "skip_nan",
    "no_data",
    "normalized",
    "adjoint",
    "adjoint_size",
    "assume_finite",
];

/// Whose defaults hold where a call says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Like {
    Ours,
    TensorFlow,
    PyTorch,
    OpenCv,
    SciPy,
}

/// The keywords of a call: those that are `None` are as if they were not there.
#[derive(Debug)]
pub struct Options<'a, 'py>(Option<&'a Bound<'py, PyDict>>);

impl<'a, 'py> Options<'a, 'py> {
    /// Keywords that are all known.
    pub fn new(keywords: Option<&'a Bound<'py, PyDict>>) -> PyResult<Self> {
        for key in keywords.into_iter().flat_map(|keywords| keywords.keys()) {
            let key = key.extract::<String>()?;
            if !NAMES.contains(&key.as_str()) {
                return Err(PyTypeError::new_err(format!("unexpected keyword argument '{key}'")));
            }
        }
        Ok(Self(keywords))
    }

    fn get<R>(
        &self,
        name: &'static str,
        read: impl FnOnce(&'static str, &Bound<'py, PyAny>) -> PyResult<R>,
    ) -> PyResult<Option<R>> {
        let Some(value) = self.0.map(|all| all.get_item(name)).transpose()?.flatten() else {
            return Ok(None);
        };
        if value.is_none() { Ok(None) } else { read(name, &value).map(Some) }
    }

    fn is_set(&self, name: &'static str) -> PyResult<bool> {
        Ok(self.get(name, truth)?.unwrap_or(false))
    }

    pub fn like(&self) -> PyResult<Like> {
        let like = self.get("like", |name, value| match word(name, value)?.as_str() {
            "tensorflow" => Ok(Like::TensorFlow),
            "pytorch" => Ok(Like::PyTorch),
            "opencv" => Ok(Like::OpenCv),
            "scipy" => Ok(Like::SciPy),
            other => {
                Err(refused(name, other, "'tensorflow', 'pytorch', 'opencv' or 'scipy' is needed"))
            }
        })?;
        Ok(like.unwrap_or(Like::Ours))
    }

    pub fn layout(&self) -> PyResult<Layout> {
        let layout = self.get("layout", |name, value| match word(name, value)?.as_str() {
            "nhwc" => Ok(Layout::Nhwc),
            "nchw" => Ok(Layout::Nchw),
            other => Err(refused(name, other, "'nhwc' or 'nchw' is needed")),
        })?;
        let usual = if self.like()? == Like::PyTorch { Layout::Nchw } else { Layout::Nhwc };
        Ok(layout.unwrap_or(usual))
    }

    /// `kernel` applied as they say.
    pub fn conv(&self, kernel: Kernel) -> PyResult<Conv2d> {
        let like = self.like()?;
        let (rows, columns) = (kernel.height(), kernel.width());
        let mut conv = Conv2d::new(kernel).layout(self.layout()?);
        let flip = self.is_set("flip")?;
        if flip {
            conv = conv.flip();
        }
        let usual = if matches!(like, Like::TensorFlow | Like::PyTorch) {
            Padding::Valid
        } else {
            Padding::Same
        };
        let padding = self.get("padding", padding)?.unwrap_or(usual);
        conv = conv.padding(padding);
        let middle = match (like, flip) {
            // Its convolution turns the kernel and with it what lies on an output's own place.
            (Like::SciPy, true) => Some(((rows - 1) / 2, (columns - 1) / 2)),
            (Like::SciPy | Like::OpenCv, _) => Some((rows / 2, columns / 2)),
            (Like::Ours | Like::TensorFlow | Like::PyTorch, _) => None,
        };
        let anchor = self.get("anchor", pair)?;
        if let Some((row, column)) = anchor.or(middle.filter(|_| padding == Padding::Same)) {
            conv = conv.anchor(row, column);
        }
        let constant = self.get("constant", number)?.unwrap_or(0.0);
        let usual = match like {
            Like::Ours | Like::OpenCv => Border::Reflect101,
            Like::SciPy => Border::Reflect,
            Like::TensorFlow | Like::PyTorch => Border::Constant(constant),
        };
        let given = self.get("border", |name, value| borders(name, value, constant))?;
        conv = conv.border(given.unwrap_or(usual.into()));
        if let Some((rows, columns)) = self.get("stride", pair)? {
            conv = conv.stride(rows, columns);
        }
        if let Some((rows, columns)) = self.get("dilation", pair)? {
            conv = conv.dilation(rows, columns);
        }
        if let Some(bias) = self.get("bias", line)? {
            conv = conv.bias_f64(bias);
        }
        if let Some(activation) = self.get("activation", activation)? {
            conv = conv.activation(activation);
        }
        if let Some(pointwise) = self.get("pointwise", pointwise)? {
            conv = conv.pointwise(pointwise);
        }
        if self.is_set("normalized")? {
            conv = conv.normalized();
        }
        if self.is_set("skip_nan")? {
            conv = conv.skip_nan();
        }
        if let Some(value) = self.get("no_data", number)? {
            conv = conv.no_data(value);
        }
        if self.is_set("adjoint")? {
            conv = conv.adjoint();
        }
        if let Some((rows, columns)) = self.get("adjoint_size", pair)? {
            conv = conv.adjoint_size(rows, columns);
        }
        Ok(if self.is_set("assume_finite")? { conv.assume_finite() } else { conv })
    }
}

/// One number or several.
fn line(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    let (shape, numbers) = numbers(name, value)?;
    if shape.len() > 1 {
        return Err(refused(name, shown(value), "a number for each filter is needed"));
    }
    Ok(numbers)
}

fn padding(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Padding> {
    let limit = "'same', 'valid', 'full', a number, (rows, columns) or (top, bottom, left, right) is needed";
    if let Ok(word) = value.extract::<String>() {
        return match word.as_str() {
            "same" => Ok(Padding::Same),
            "valid" => Ok(Padding::Valid),
            "full" => Ok(Padding::Full),
            other => Err(refused(name, other, limit)),
        };
    }
    let sides = match several(value) {
        Some(sides) => sides.iter().map(|side| count(name, side)).collect::<PyResult<Vec<_>>>()?,
        None => vec![count(name, value).map_err(|_| refused(name, shown(value), limit))?],
    };
    match sides[..] {
        [all] => Ok(Padding::all(all)),
        [rows, columns] => {
            Ok(Padding::Explicit { top: rows, bottom: rows, left: columns, right: columns })
        }
        [top, bottom, left, right] => Ok(Padding::Explicit { top, bottom, left, right }),
        _ => Err(refused(name, shown(value), limit)),
    }
}

/// Borders by the names of this crate, and by those of SciPy and NumPy that mean one thing only.
fn border(name: &str, value: &Bound<'_, PyAny>, constant: f64) -> PyResult<Border> {
    let limit = "'constant', 'replicate', 'reflect' (dcba|abcd), 'reflect101' (dcb|abcd) or 'wrap' is needed";
    let word: String = value.extract().map_err(|_| refused(name, shown(value), limit))?;
    Ok(match word.as_str() {
        "constant" | "grid-constant" => Border::Constant(constant),
        "zero" => Border::ZERO,
        "replicate" | "nearest" | "edge" => Border::Replicate,
        "reflect" | "grid-mirror" | "symmetric" => Border::Reflect,
        "reflect101" | "mirror" => Border::Reflect101,
        "wrap" | "grid-wrap" | "circular" => Border::Wrap,
        other => return Err(refused(name, other, limit)),
    })
}

fn borders(name: &str, value: &Bound<'_, PyAny>, constant: f64) -> PyResult<Borders> {
    let one = |value: &Bound<'_, PyAny>| border(name, value, constant);
    match several(value).as_deref() {
        None => one(value).map(Borders::from),
        Some([rows, columns]) => Ok((one(rows)?, one(columns)?).into()),
        Some([top, bottom, left, right]) => {
            Ok(Borders::sides(one(top)?, one(bottom)?, one(left)?, one(right)?))
        }
        Some(_) => {
            let limit = "a name, (rows, columns) or (top, bottom, left, right) is needed";
            Err(refused(name, shown(value), limit))
        }
    }
}

fn activation(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Activation> {
    let limit = "'relu', 'relu6', 'abs', 'sigmoid', 'tanh', 'gelu', ('leaky', slope) or ('clamp', low, high) is needed";
    let f32_of = |value: &Bound<'_, PyAny>| number(name, value).map(|x| x as f32);
    let Some(parts) = several(value) else {
        return Ok(match word(name, value)?.as_str() {
            "none" => Activation::None,
            "relu" => Activation::Relu,
            "relu6" => Activation::Relu6,
            "abs" => Activation::Abs,
            "sigmoid" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            "gelu" => Activation::Gelu,
            other => return Err(refused(name, other, limit)),
        });
    };
    let kind = parts.first().map(|kind| word(name, kind)).transpose()?;
    match (kind.as_deref(), &parts[..]) {
        (Some("leaky"), [_, slope]) => Ok(Activation::Leaky(f32_of(slope)?)),
        (Some("clamp"), [_, low, high]) => Ok(Activation::Clamp(f32_of(low)?, f32_of(high)?)),
        _ => Err(refused(name, shown(value), limit)),
    }
}

/// Weights `[filters, outputs]`, or a tuple of them, a bias and an activation.
fn pointwise(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Pointwise> {
    let limit =
        "weights [filters, outputs], or (weights, bias) or (weights, bias, activation), are needed";
    let narrow = |all: Vec<f64>| all.into_iter().map(|x| x as f32).collect::<Vec<_>>();
    let parts = match value.cast::<PyTuple>() {
        Ok(parts) => parts.iter().collect(),
        Err(_) => vec![value.clone()],
    };
    let (weights, bias, follow) = match &parts[..] {
        [weights] => (weights, None, None),
        [weights, bias] => (weights, Some(bias), None),
        [weights, bias, follow] => (weights, Some(bias), Some(follow)),
        _ => return Err(refused(name, shown(value), limit)),
    };
    let (shape, weights) = numbers(name, weights)?;
    let &[filters, outputs] = &shape[..] else {
        return Err(refused(name, format!("weights of shape {shape:?}"), limit));
    };
    let mut step = Pointwise::new(filters, outputs, narrow(weights)).map_err(raised)?;
    if let Some(bias) = bias.filter(|bias| !bias.is_none()) {
        step = step.bias(narrow(line(name, bias)?));
    }
    if let Some(follow) = follow.filter(|follow| !follow.is_none()) {
        step = step.activation(activation(name, follow)?);
    }
    Ok(step)
}
