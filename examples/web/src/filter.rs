//! Kernels by name or from text, and what is done with them.

use channelwise::{Border, Conv2d, Kernel};
use wasm_bindgen::prelude::*;

/// The longest side of a kernel that is typed.
const MAX_SIDE: usize = 127;

/// A kernel.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Weights(Kernel);

#[wasm_bindgen]
impl Weights {
    /// A kernel with a name; `size` is the side of those that have one.
    ///
    /// # Errors
    /// For another name, or a size the kernel cannot have.
    pub fn preset(name: &str, size: usize) -> Result<Self, JsError> {
        // Three sigmas fit in half a side.
        let sigma = (size as f64 / 6.0).max(0.5);
        let kernel = match name {
            "gaussian" => Kernel::gaussian_sized(size)?,
            "box" => Kernel::box_blur(size, size)?,
            "binomial" => Kernel::binomial(size)?,
            "disk" => Kernel::disk(size as f64 / 2.0)?,
            "motion" => Kernel::motion(size as f64, 30.0)?,
            "sharpen" => Kernel::sharpen(),
            "unsharp" => Kernel::unsharp(size, sigma, 1.5)?,
            "emboss" => Kernel::emboss(),
            "sobel-x" => Kernel::sobel_x(),
            "sobel-y" => Kernel::sobel_y(),
            "scharr-x" => Kernel::scharr_x(),
            "scharr-y" => Kernel::scharr_y(),
            "laplacian4" => Kernel::laplacian4(),
            "laplacian8" => Kernel::laplacian8(),
            "log" => Kernel::log(size, sigma)?,
            "gabor" => Kernel::gabor(size, sigma, 0.6, 2.0 * sigma, 0.5, 0.0)?,
            "identity" => Kernel::identity(),
            _ => return Err(JsError::new(&format!("there is no kernel named `{name}`"))),
        };
        Ok(Self(kernel))
    }

    /// Rows of numbers: a line is a row; blanks, commas or semicolons stand between the numbers, and
    /// `1/9` is one.
    ///
    /// # Errors
    /// That name the line.
    pub fn parse(text: &str) -> Result<Self, JsError> {
        parse(text).map(Self).map_err(|reason| JsError::new(&reason))
    }

    /// The same divided by its sum.
    ///
    /// # Errors
    /// Where the sum is 0.
    pub fn normalised(&self) -> Result<Self, JsError> {
        Ok(Self(self.0.normalized()?))
    }

    /// Number of rows.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn height(&self) -> usize {
        self.0.height()
    }

    /// Number of columns.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn width(&self) -> usize {
        self.0.width()
    }

    /// All weights, row by row.
    #[wasm_bindgen(getter)]
    #[must_use]
    pub fn values(&self) -> Vec<f32> {
        self.0.weights().to_vec()
    }
}

fn parse(text: &str) -> Result<Kernel, String> {
    let mut weights = Vec::new();
    let (mut height, mut width) = (0, 0);
    for (line, row) in (1..).zip(text.lines()) {
        let numbers = row.split(|c: char| c.is_whitespace() || ",;".contains(c));
        let before = weights.len();
        for word in numbers.filter(|word| !word.is_empty()) {
            let weight = number(word);
            weights.push(weight.ok_or_else(|| format!("line {line}: `{word}` is no number"))?);
        }
        match weights.len() - before {
            0 => continue,
            n if height == 0 => width = n,
            n if n != width => {
                return Err(format!("line {line} has {n} numbers, those above have {width}"));
            }
            _ => {}
        }
        height += 1;
        if height.max(width) > MAX_SIDE {
            return Err(format!("line {line}: a side may have {MAX_SIDE} numbers at most"));
        }
    }
    if height == 0 {
        return Err("type at least one number".into());
    }
    Kernel::new(height, width, weights).map_err(|error| error.to_string())
}

/// A finite number, or two with a slash between.
fn number(word: &str) -> Option<f32> {
    let of = |word: &str| word.parse::<f64>().ok();
    let value = match word.split_once('/') {
        Some((above, below)) => of(above)? / of(below)?,
        None => of(word)?,
    };
    Some(value as f32).filter(|value| value.is_finite())
}

/// What is to be computed.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Filter(Conv2d);

#[wasm_bindgen]
impl Filter {
    /// `weights` at every pixel, as OpenCV's `filter2D` does. `value` is that of the constant border;
    /// `lifted` adds 128, so that what is below 0 can be seen.
    ///
    /// # Errors
    /// For a border of another name.
    #[wasm_bindgen(constructor)]
    pub fn new(weights: &Weights, border: &str, value: f32, lifted: bool) -> Result<Self, JsError> {
        let border = match border {
            "constant" => Border::Constant(value.into()),
            "replicate" => Border::Replicate,
            "reflect" => Border::Reflect,
            "reflect101" => Border::Reflect101,
            "wrap" => Border::Wrap,
            _ => return Err(JsError::new(&format!("there is no border named `{border}`"))),
        };
        let conv = Conv2d::like_opencv(weights.0.clone()).border(border);
        Ok(Self(if lifted { conv.bias([128.0]) } else { conv }))
    }
}

impl Filter {
    pub(crate) fn conv(&self) -> &Conv2d {
        &self.0
    }
}
