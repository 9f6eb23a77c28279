//! The command line as clap reads it.

use std::path::PathBuf;

use channelwise::{Activation, Algorithm, Border, ElementType, Kernel, Layout, Padding};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::files::{Kind, Pages};
use crate::{presets, values};

const EXAMPLES: &str = "\
Examples:
  Blur a photo
    channelwise run photo.jpg -o blurred.png --kernel gaussian:9,2

  A kernel of your own over a batch from NumPy, as tf.nn.depthwise_conv2d would with it repeated
    channelwise run x.npy -o y.npy --kernel-file k.npy --padding valid --stride 2

  Every photo of a folder; and in a pipe
    channelwise run in/*.jpg -o 'out/{stem}-soft.png' --kernel gaussian:9,2
    curl URL | channelwise run - -o - --format png --kernel sharpen >sharp.png

  On the GPU, held against the definition, as one line of JSON
    channelwise run x.npy --kernel sobel-x --engine gpu --verify --json";

const AFTER_RUN: &str = "\
Files:
  .npy files hold the axes [N,H,W,C], [H,W,C] or [H,W] (--layout nchw: [N,C,H,W], [C,H,W] or [H,W])
  in any byte order, C or Fortran order. float32, float16, uint8 and uint16 are filtered as they
  are; float64, other integers and bool as float32.
  Images are taken as [H,W,C], upright as their Exif data says: png, jpeg, webp (written lossless)
  and bmp in grey or RGB, with or without alpha; tiff with any number of bands of every type, of
  several pages the first unless --pages all; colours of palettes and CMYK become RGB; exr in RGB of
  floats, whose premultiplied alpha is undone and made again.
  tiff and npy hold floats and every number of channels too. 16 bits stay 16
  bits in png, tiff and npy; for 8 bits they are taken as round(v / 257), with a note. Profiles
  (ICC), resolution and Exif are kept where both formats have a place for them; tiff has none here
  for Exif, nor webp for resolution.
  Images but tiff and exr get the results rounded to
  integers, so floats that go to 1 come out black. The output is written whole or not at all.

Channels:
  Channel c and filter f give output channel c*F + f. With --pointwise the F outputs of a channel
  become G.

Exit status:
  0 done; 1 the work failed (files, memory, device, or --verify found an error above its
  allowance); 2 the request is at fault.";

/// One 2-D kernel applied to every channel of an image or tensor, channels never mixed: on any GPU
/// through wgpu, and on the CPU.
#[derive(Debug, Parser)]
#[command(name = "channelwise", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Filter a file
    #[command(
        override_usage = "channelwise run INPUT... [-o OUTPUT] (--kernel NAME[:ARGS] | \
                          --kernel-file K.npy) [OPTIONS]",
        help_template = "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}",
        before_help = EXAMPLES,
        after_long_help = AFTER_RUN,
        group(ArgGroup::new("weights").required(true).args(["kernel", "kernel_file"])),
    )]
    Run(Box<RunArgs>),
    /// Show adapters, limits, features and SIMD level, and what `auto` chooses between
    Info,
    /// Show the kernels known by name, with their arguments and a small picture of each
    Kernels,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Images (png, jpeg, tiff, webp, bmp, exr) or .npy files; `-` is standard input
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,

    /// Where results go: an image or .npy file by its extension, a folder for files of the same
    /// names, a name with {stem} and perhaps {ext} for those of each input, or `-` for standard
    /// output; without it, nothing is written
    #[arg(short, long, value_name = "OUTPUT")]
    pub(crate) output: Option<PathBuf>,

    /// Kind of file, whatever the output's extension: `npy`, `png`, `jpeg`, `tiff`, `webp`, `bmp`
    /// or `exr`
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<Kind>,

    /// Which pages of a TIFF file: `first`, or `all` as a batch
    #[arg(
        long,
        value_enum,
        value_name = "PAGES",
        default_value = "first",
        ignore_case = true,
        hide_possible_values = true
    )]
    pub(crate) pages: Pages,

    /// A kernel by name, as in `gaussian:5,1.2` or `gaussian:sigma=1.2`; `channelwise kernels`
    /// shows all
    #[arg(short, long, value_name = "NAME[:ARGS]", value_parser = presets::parse, help_heading = "Kernel")]
    pub(crate) kernel: Option<Kernel>,

    /// Weights from a file: [kh,kw], [kh,kw,F] or [kh,kw,1,F], taken as float32
    #[arg(long, value_name = "K.npy", help_heading = "Kernel")]
    pub(crate) kernel_file: Option<PathBuf>,

    /// Divide each filter by its sum, so that flat areas keep their value
    #[arg(long, help_heading = "Kernel")]
    pub(crate) normalize: bool,

    /// Turn the kernel by 180 degrees: convolution in place of correlation
    #[arg(long, help_heading = "Kernel")]
    pub(crate) flip: bool,

    /// Take every SH-th row and SW-th column; one number means both
    #[arg(long, value_name = "SH,SW", default_value = "1", value_parser = values::pair, allow_negative_numbers = true, help_heading = "Geometry")]
    pub(crate) stride: (usize, usize),

    /// Space the taps DH rows and DW columns apart; one number means both
    #[arg(long, value_name = "DH,DW", default_value = "1", value_parser = values::pair, allow_negative_numbers = true, help_heading = "Geometry")]
    pub(crate) dilation: (usize, usize),

    /// `same` (as TensorFlow), `valid`, `full`, one number for all sides, or
    /// top,bottom,left,right
    #[arg(long, value_name = "PADDING", default_value = "same", value_parser = values::padding, allow_negative_numbers = true, help_heading = "Geometry")]
    pub(crate) padding: Padding,

    /// The tap (row,column) that lies on the output's own place, with padding `same`
    #[arg(long, value_name = "R,C", value_parser = values::pair, allow_negative_numbers = true, help_heading = "Geometry")]
    pub(crate) anchor: Option<(usize, usize)>,

    /// What lies beyond the edges: `zero`, `constant:V`, `replicate` (aaa|abcd|ddd), `reflect`
    /// (cba|abcd|dcb), `reflect101` (dcb|abcd|cba) or `wrap` (bcd|abcd|abc). Unless given
    /// `reflect101` for images and `zero` for .npy
    #[arg(long, value_name = "BORDER", value_parser = values::border, help_heading = "Geometry")]
    pub(crate) border: Option<Border>,

    /// Order of the axes in .npy files: `nhwc` or `nchw`; images are always HWC
    #[arg(long, value_name = "LAYOUT", default_value = "nhwc", value_parser = values::layout, help_heading = "Geometry")]
    pub(crate) layout: Layout,

    /// What becomes of alpha: filtered like a colour (`filter`), as it was (`keep`), or colours weigh
    /// as much as they cover (`premultiply`). Unless given `premultiply` for images, and `keep` where
    /// the kernel's sum is 0. In .npy the last of 2 or 4 channels is alpha only if this is given
    #[arg(long, value_enum, value_name = "HOW", ignore_case = true, help_heading = "Pixels")]
    pub(crate) alpha: Option<AlphaName>,

    /// Filter sRGB colours as light, in place of the values that are stored; a constant border and a
    /// bias are light then
    #[arg(long, help_heading = "Pixels")]
    pub(crate) linear_light: bool,

    /// Added to the outputs of each filter: [F]
    #[arg(long, value_name = "B.npy", help_heading = "After the kernel")]
    pub(crate) bias: Option<PathBuf>,

    /// Applied after the bias: `none`, `relu`, `relu6`, `leaky[:A]` (slope A, 0.01 unless given),
    /// `sigmoid`, `tanh`, `gelu` or `clamp:LO,HI`
    #[arg(long, value_name = "NAME[:ARGS]", default_value = "none", value_parser = values::activation, help_heading = "After the kernel")]
    pub(crate) activation: Activation,

    /// A 1x1 step after bias and activation, shared by all channels: [F,G] or [1,1,F,G]
    #[arg(long, value_name = "P.npy", help_heading = "After the kernel")]
    pub(crate) pointwise: Option<PathBuf>,

    /// Type of the results. Unless given that of the input, but an integer into images and a float
    /// after sigmoid, tanh and gelu. Integers are rounded half to even and saturated
    #[arg(long, value_name = "TYPE", ignore_case = true, help_heading = "After the kernel")]
    pub(crate) out_type: Option<OutType>,

    /// Who computes: `auto` is the CPU or a hardware GPU, whichever takes less time for this work, copies
    /// counted; `gpu` takes software adapters too; `reference` is the definition as plain loops in f64
    #[arg(
        long,
        value_enum,
        value_name = "ENGINE",
        default_value = "auto",
        ignore_case = true,
        help_heading = "Engine"
    )]
    pub(crate) engine: EngineName,

    #[arg(long, value_name = "ALGORITHM", default_value = "auto", value_parser = values::algorithm, help = algorithm_help(), help_heading = "Engine")]
    pub(crate) algorithm: Algorithm,

    /// Print how it is computed and why so
    #[arg(long, help_heading = "Report")]
    pub(crate) explain: bool,

    /// Hold a sample of at least 4096 outputs, or all, against the definition
    #[arg(long, help_heading = "Report")]
    pub(crate) verify: bool,

    /// Print one line of JSON in place of the summary; --explain goes to stderr
    #[arg(long, help_heading = "Report")]
    pub(crate) json: bool,
}

fn algorithm_help() -> String {
    format!("How: {}; not every one can do every problem", values::algorithm_names())
}

/// `--engine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineName {
    Auto,
    Cpu,
    Gpu,
    Reference,
}

/// `--alpha`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AlphaName {
    Filter,
    Keep,
    Premultiply,
}

/// `--out-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutType {
    F32,
    F16,
    U8,
    U16,
}

impl From<OutType> for ElementType {
    fn from(kind: OutType) -> Self {
        match kind {
            OutType::F32 => Self::F32,
            OutType::F16 => Self::F16,
            OutType::U8 => Self::U8,
            OutType::U16 => Self::U16,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
