//! The cases, as data that peers read too.

use channelwise::{Border, Conv2d, ElementType, Kernel, Padding, Problem};
use serde::Deserialize;

use crate::Failure;

#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) shape: [usize; 4],
    #[serde(rename = "type")]
    kind: String,
    kernel: Weights,
    padding: String,
    pub(crate) stride: usize,
    border: String,
}

#[derive(Debug, Deserialize)]
struct Weights {
    height: usize,
    width: usize,
    weights: String,
    sigma: Option<f64>,
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

pub(crate) fn all() -> Result<Vec<Case>, Failure> {
    Ok(serde_json::from_str(include_str!("../cases.json"))?)
}

impl Case {
    pub(crate) fn bytes(&self) -> bool {
        self.kind == "u8"
    }

    pub(crate) fn conv(&self) -> Result<Conv2d, Failure> {
        let Weights { height, width, weights, sigma } = &self.kernel;
        let mut noise = Noise(3);
        let kernel = match (weights.as_str(), sigma) {
            ("random", _) => {
                // Bytes stay bytes: the sum of the weights is 1.
                let scale = if self.bytes() { 2.0 / (height * width) as f32 } else { 1.0 };
                let taps = (0..height * width).map(|_| noise.next() * scale).collect();
                Kernel::new(*height, *width, taps)?
            }
            ("gaussian", Some(sigma)) => Kernel::gaussian(*height, *sigma)?,
            _ => return Err(format!("{}: unknown weights {weights}", self.name).into()),
        };
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
        // The inputs are in 0..1.
        let conv = Conv2d::new(kernel).padding(padding).border(border).assume_finite();
        Ok(conv.stride(self.stride, self.stride))
    }

    /// Rows and columns of padding before the first, for so many of the output.
    pub(crate) fn before(&self, output: [usize; 2]) -> [usize; 2] {
        if self.padding == "valid" {
            return [0, 0];
        }
        let [_, height, width, _] = self.shape;
        let of = |output: usize, kernel: usize, input: usize| {
            ((output - 1) * self.stride + kernel).saturating_sub(input) / 2
        };
        [of(output[0], self.kernel.height, height), of(output[1], self.kernel.width, width)]
    }

    pub(crate) fn problem(&self) -> Result<Problem, Failure> {
        let kind = if self.bytes() { ElementType::U8 } else { ElementType::F32 };
        Ok(Problem::new(&self.conv()?, self.shape, kind, kind)?)
    }
}
