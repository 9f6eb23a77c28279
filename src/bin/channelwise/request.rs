//! The options as the library's request: kernel, geometry, what follows.

use std::cell::RefCell;
use std::path::Path;

use channelwise::ndarray::ArrayD;
use channelwise::{Conv2d, Kernel, Pointwise};

use crate::args::RunArgs;
use crate::failure::{Failure, Result, say};
use crate::files;
use crate::values::Bias;

/// What was asked of every file.
#[derive(Debug)]
pub(crate) struct Request {
    /// All but the border, which depends on what the input is.
    pub(crate) conv: Conv2d,
    /// The same of each image, where they have kernels of their own; empty without.
    pub(crate) images: Vec<Conv2d>,
    /// What is to be said, once, where sums are made in f32.
    of_f32: RefCell<Vec<String>>,
}

impl Request {
    pub(crate) fn new(args: &RunArgs) -> Result<Self> {
        let mut of_f32 = Vec::new();
        let kernels = match (&args.kernel, &args.kernel_file, &args.kernels) {
            (Some(kernel), ..) => vec![kernel.clone()],
            (None, Some(path), _) => vec![kernel_from(path, &mut of_f32)?],
            (None, None, Some(path)) => kernels_from(path, &mut of_f32)?,
            // Clap asks for one of them.
            (None, None, None) => {
                return Err(Failure::usage("--kernel or --kernel-file is needed"));
            }
        };
        let bias = match &args.bias {
            Some(Bias::Numbers(numbers)) => Some(numbers.clone()),
            Some(Bias::File(path)) => Some(bias_from(path, &mut of_f32)?),
            None => None,
        };
        let pointwise = args.pointwise.as_deref().map(pointwise_from).transpose()?;
        let conv =
            |kernel: &Kernel| conv(args, kernel.clone(), bias.as_deref(), pointwise.as_ref());
        let mut all = kernels.iter().map(conv).collect::<Result<Vec<_>>>()?;
        let Some(conv) = all.first().cloned() else {
            return Err(Failure::usage("--kernels: there are none"));
        };
        if args.kernels.is_none() {
            all.clear();
        }
        Ok(Self { conv, images: all, of_f32: RefCell::new(of_f32) })
    }

    /// Says which numbers f32 does not hold, the first time.
    pub(crate) fn tell_of_f32(&self) {
        for note in self.of_f32.take() {
            say(&note);
        }
    }
}

/// What is asked for, with this kernel.
fn conv(
    args: &RunArgs,
    kernel: Kernel,
    bias: Option<&[f64]>,
    pointwise: Option<&Pointwise>,
) -> Result<Conv2d> {
    let kernel = if args.normalize { kernel.normalized()? } else { kernel };
    let kernel = match args.scale {
        // Columns and rows that are known stay so.
        Some(scale) => Kernel::weighted_sum(&[(scale, kernel)])?,
        None => kernel,
    };
    let filters = kernel.filters();
    let mut conv = Conv2d::new(kernel)
        .stride(args.stride.0, args.stride.1)
        .dilation(args.dilation.0, args.dilation.1)
        .padding(args.padding)
        .layout(args.layout)
        .activation(args.activation);
    if let Some((row, column)) = args.anchor {
        conv = conv.anchor(row, column);
    }
    if args.flip {
        conv = conv.flip();
    }
    match bias {
        // A number on the command line is for all.
        Some([one]) if matches!(args.bias, Some(Bias::Numbers(_))) => {
            conv = conv.bias_f64(vec![*one; filters])
        }
        Some(all) => conv = conv.bias_f64(all),
        None => {}
    }
    if let Some(pointwise) = pointwise {
        conv = conv.pointwise(pointwise.clone());
    }
    if let Some(size) = args.adjoint {
        conv = conv.adjoint();
        if let Some((rows, columns)) = size {
            conv = conv.adjoint_size(rows, columns);
        }
    }
    if args.mask.is_some() {
        conv = conv.normalized();
    }
    if args.skip_nan {
        conv = conv.skip_nan();
    }
    match args.no_data {
        Some(value) if args.mask.is_some() || args.skip_nan => Ok(conv.no_data(value)),
        Some(_) => Err(Failure::usage("--no-data goes with --mask or --skip-nan")),
        None => Ok(conv),
    }
}

fn wrong_shape(option: &str, path: &Path, found: &[usize], needed: &str) -> Failure {
    Failure::usage(format!(
        "{option} {}: its shape is {found:?}, and {needed} is needed",
        path.display()
    ))
}

/// The numbers of a file; where f32 does not hold them, what is to be said of that goes to `of_f32`.
fn numbers(path: &Path, of_f32: &mut Vec<String>) -> Result<ArrayD<f64>> {
    let numbers = files::read_numbers(path)?;
    of_f32.extend(numbers.as_f32().map(|note| format!("note: {}: {note}", path.display())));
    Ok(numbers.values)
}

fn kernel_from(path: &Path, of_f32: &mut Vec<String>) -> Result<Kernel> {
    let weights = numbers(path, of_f32)?;
    let (height, width, filters) = match *weights.shape() {
        [height, width] => (height, width, 1),
        [height, width, filters] | [height, width, 1, filters] => (height, width, filters),
        _ => {
            let needed = "[kh,kw], [kh,kw,F] or [kh,kw,1,F]";
            return Err(wrong_shape("--kernel-file", path, weights.shape(), needed));
        }
    };
    Ok(Kernel::from_f64(height, width, filters, in_order(&weights))?)
}

/// One for each image.
fn kernels_from(path: &Path, of_f32: &mut Vec<String>) -> Result<Vec<Kernel>> {
    let weights = numbers(path, of_f32)?;
    let (height, width, filters) = match *weights.shape() {
        [_, height, width] => (height, width, 1),
        [_, height, width, filters] => (height, width, filters),
        _ => {
            let needed = "[N,kh,kw] or [N,kh,kw,F]";
            return Err(wrong_shape("--kernels", path, weights.shape(), needed));
        }
    };
    let of = |image: ArrayD<f64>| Ok(Kernel::from_f64(height, width, filters, in_order(&image))?);
    weights.outer_iter().map(|image| of(image.to_owned())).collect()
}

fn bias_from(path: &Path, of_f32: &mut Vec<String>) -> Result<Vec<f64>> {
    let bias = numbers(path, of_f32)?;
    match *bias.shape() {
        [filters] if filters > 0 => Ok(in_order(&bias)),
        _ => Err(wrong_shape("--bias", path, bias.shape(), "[F]")),
    }
}

/// Its numbers are f32 everywhere.
fn pointwise_from(path: &Path) -> Result<Pointwise> {
    let mut notes = Vec::new();
    let weights = numbers(path, &mut notes)?;
    match *weights.shape() {
        [filters, outputs] | [1, 1, filters, outputs] => {
            notes.iter().for_each(|note| say(note));
            let weights = weights.iter().map(|w| *w as f32).collect();
            Ok(Pointwise::new(filters, outputs, weights)?)
        }
        _ => Err(wrong_shape("--pointwise", path, weights.shape(), "[F,G] or [1,1,F,G]")),
    }
}

/// In logical order, whatever the file's.
fn in_order(numbers: &ArrayD<f64>) -> Vec<f64> {
    numbers.iter().copied().collect()
}
