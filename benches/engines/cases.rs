//! The cases, as data that peers read too.

use std::path::Path;

use channelwise::{Activation, Border, Conv2d, ElementType, Kernel, Layout, Padding, Problem};
use serde::Deserialize;

use crate::Failure;

/// The first so many of the file are those of the design: what a run does that names no others.
const STANDARD: usize = 9;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// In the order of `layout`.
    pub(crate) shape: [usize; 4],
    #[serde(default = "nhwc")]
    layout: String,
    #[serde(rename = "type")]
    kind: String,
    kernel: Weights,
    padding: String,
    pub(crate) stride: usize,
    border: String,
    #[serde(default = "none")]
    activation: String,
    #[expect(dead_code, reason = "for readers of the file")]
    about: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    height: usize,
    width: usize,
    weights: String,
    sigma: Option<f64>,
}

fn nhwc() -> String {
    "nhwc".into()
}

fn none() -> String {
    "none".into()
}

/// Random numbers in 0..1 that are the same everywhere.
#[derive(Debug)]
pub(crate) struct Noise(pub(crate) u32);

impl Noise {
    pub(crate) fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }
}

/// Those of `file`, or of `benches/cases.json` as it was when this was built: the ones of these names, else
/// all, else the standard ones.
pub(crate) fn chosen(
    file: Option<&Path>,
    names: &[String],
    all: bool,
) -> Result<Vec<Case>, Failure> {
    let mut cases: Vec<Case> = match file {
        Some(file) => serde_json::from_str(&std::fs::read_to_string(file)?)?,
        None => serde_json::from_str(include_str!("../cases.json"))?,
    };
    if let Some(unknown) = names.iter().find(|name| cases.iter().all(|c| c.name != **name)) {
        return Err(format!("no case {unknown}").into());
    }
    match (names.is_empty(), all) {
        (false, _) => cases.retain(|case| names.contains(&case.name)),
        (true, false) => cases.truncate(STANDARD),
        (true, true) => {}
    }
    Ok(cases)
}

impl Case {
    /// Of inputs and outputs.
    pub(crate) fn element(&self) -> Result<ElementType, Failure> {
        Ok(match self.kind.as_str() {
            "f32" => ElementType::F32,
            "u8" => ElementType::U8,
            "u16" => ElementType::U16,
            "f16" => ElementType::F16,
            other => return Err(format!("{}: unknown type {other}", self.name).into()),
        })
    }

    pub(crate) fn layout(&self) -> Result<Layout, Failure> {
        Ok(match self.layout.as_str() {
            "nhwc" => Layout::Nhwc,
            "nchw" => Layout::Nchw,
            other => return Err(format!("{}: unknown layout {other}", self.name).into()),
        })
    }

    /// The input, of numbers in 0..1 or of all that an integer type holds.
    pub(crate) fn scale(&self) -> Result<f32, Failure> {
        Ok(self.element()?.integers().map_or(1.0, |whole| *whole.end() as f32))
    }

    pub(crate) fn conv(&self) -> Result<Conv2d, Failure> {
        let Weights { height, width, weights, sigma } = &self.kernel;
        let mut noise = Noise(3);
        let kernel = match (weights.as_str(), sigma) {
            ("random", _) => {
                // Integers stay in their range: the sum of the weights is about 1.
                let integers = self.element()?.is_integer();
                let scale = if integers { 2.0 / (height * width) as f32 } else { 1.0 };
                let taps = (0..height * width).map(|_| noise.next() * scale).collect();
                Kernel::new(*height, *width, taps)?
            }
            ("gaussian", Some(sigma)) => Kernel::gaussian(*height, *sigma)?,
            ("sobel_pair", _) => Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()])?,
            _ => return Err(format!("{}: unknown weights {weights}", self.name).into()),
        };
        if [kernel.height(), kernel.width()] != [*height, *width] {
            return Err(format!("{}: {weights} is not {height}x{width}", self.name).into());
        }
        let padding = match self.padding.as_str() {
            "same" => Padding::Same,
            "valid" => Padding::Valid,
            other => return Err(format!("{}: unknown padding {other}", self.name).into()),
        };
        let border = match self.border.as_str() {
            "constant" => Border::ZERO,
            "reflect101" => Border::Reflect101,
            other => return Err(format!("{}: unknown border {other}", self.name).into()),
        };
        let activation = match self.activation.as_str() {
            "none" => Activation::None,
            "gelu" => Activation::Gelu,
            other => return Err(format!("{}: unknown activation {other}", self.name).into()),
        };
        // The inputs are in 0..1.
        let conv = Conv2d::new(kernel).padding(padding).border(border).assume_finite();
        let conv = conv.activation(activation).layout(self.layout()?);
        Ok(conv.stride(self.stride, self.stride))
    }

    /// Whether the gradients are those of one filter of floats, with nothing after it.
    pub(crate) fn has_plain_gradients(&self) -> bool {
        self.kind == "f32" && self.activation == "none" && self.kernel.weights != "sobel_pair"
    }

    /// Rows and columns of padding before the first, for so many of input and output.
    pub(crate) fn before(&self, input: [usize; 2], output: [usize; 2]) -> [usize; 2] {
        if self.padding == "valid" {
            return [0, 0];
        }
        let of = |output: usize, kernel: usize, input: usize| {
            ((output - 1) * self.stride + kernel).saturating_sub(input) / 2
        };
        let Weights { height, width, .. } = self.kernel;
        [of(output[0], height, input[0]), of(output[1], width, input[1])]
    }

    pub(crate) fn problem(&self) -> Result<Problem, Failure> {
        let element = self.element()?;
        Ok(Problem::new(&self.conv()?, self.shape, element, element)?)
    }
}
