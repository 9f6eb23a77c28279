//! The options as the library's request: kernel, geometry, what follows.

use std::path::Path;

use channelwise::ndarray::{Ix1, Ix2, Ix3, Ix4};
use channelwise::{Conv2d, Kernel, Pointwise};

use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::files;

/// All but the border, which depends on what the input is.
pub(crate) fn conv(args: &RunArgs) -> Result<Conv2d> {
    let kernel = match (&args.kernel, &args.kernel_file) {
        (Some(kernel), _) => kernel.clone(),
        (None, Some(path)) => kernel_from(path)?,
        // Clap asks for one of the two.
        (None, None) => return Err(Failure::usage("--kernel or --kernel-file is needed")),
    };
    let kernel = if args.normalize { kernel.normalized()? } else { kernel };
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
    if let Some(path) = &args.bias {
        let bias = files::read_numbers(path)?;
        let shape = bias.shape().to_vec();
        let bias = bias
            .into_dimensionality::<Ix1>()
            .map_err(|_| wrong_shape("--bias", path, &shape, "[F]"))?;
        if bias.is_empty() {
            return Err(wrong_shape("--bias", path, &shape, "[F]"));
        }
        conv = conv.bias(bias.to_vec());
    }
    if let Some(path) = &args.pointwise {
        conv = conv.pointwise(pointwise_from(path)?);
    }
    Ok(conv)
}

fn wrong_shape(option: &str, path: &Path, found: &[usize], needed: &str) -> Failure {
    Failure::usage(format!(
        "{option} {}: its shape is {found:?}, and {needed} is needed",
        path.display()
    ))
}

fn kernel_from(path: &Path) -> Result<Kernel> {
    const NEEDED: &str = "[kh,kw], [kh,kw,F] or [kh,kw,1,F]";
    let weights = files::read_numbers(path)?;
    let shape = weights.shape().to_vec();
    let wrong = |_| wrong_shape("--kernel-file", path, &shape, NEEDED);
    Ok(match shape[..] {
        [_, _] => Kernel::from_array2(&weights.into_dimensionality::<Ix2>().map_err(wrong)?)?,
        [_, _, _] => Kernel::from_array3(&weights.into_dimensionality::<Ix3>().map_err(wrong)?)?,
        [_, _, 1, _] => Kernel::from_array4(&weights.into_dimensionality::<Ix4>().map_err(wrong)?)?,
        _ => return Err(wrong_shape("--kernel-file", path, &shape, NEEDED)),
    })
}

fn pointwise_from(path: &Path) -> Result<Pointwise> {
    let weights = files::read_numbers(path)?;
    match *weights.shape() {
        [filters, outputs] | [1, 1, filters, outputs] => {
            // Logical order, whatever the file's.
            Ok(Pointwise::new(filters, outputs, weights.iter().copied().collect())?)
        }
        _ => Err(wrong_shape("--pointwise", path, weights.shape(), "[F,G] or [1,1,F,G]")),
    }
}
