//! The command line as clap reads it.

use std::path::PathBuf;

use channelwise::{Activation, Algorithm, Borders, Kernel, Layout, Padding};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::files::{Kind, Pages, Type};
use crate::values::{Bias, Region};
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
  in any byte order, C or Fortran order. Floats of 16, 32 and 64 bits and integers of 8, 16 and 32,
  signed or not, are filtered as they are; integers of 64 bits as float64, bool as bytes 0 and 1.
  ENVI cubes are a header, x.hdr, and samples beside it, in x, x.img, x.dat, x.bsq, x.bil, x.bip
  or x.raw; either may be named. They are taken as [H,W,C], lines, samples and bands (--layout
  nchw: [C,H,W]), whatever their interleave and byte order; complex and packed ones are refused.
  Both files are written, little-endian: y.img with y.hdr, or y.dat, y.bsq, y.bil or y.bip with
  it, in the order that the extension names or else bip, of u8, i16, u16, i32, u32, f32 or f64. Of
  the input's header wavelength, fwhm, band names and bbl are kept while the number of bands is,
  map info and coordinate system string while no pixel moves, data ignore value while the type
  holds it, description and sensor type always. A file that belongs to another cube is not
  replaced.
  Images are taken as [H,W,C], upright as their Exif data says: png, jpeg, webp (written lossless)
  and bmp in grey or RGB, with or without alpha; tiff with any number of bands of every type, of
  several pages the first unless --pages all; colours of palettes and CMYK become RGB; exr in RGB
  of floats, whose premultiplied alpha is undone and made again.
  Tiff and npy hold every type and number of channels too. 16 bits stay 16 bits in png, tiff and
  npy; for 8 bits they are taken as round(v / 257), with a note. Profiles (ICC), resolution and
  Exif are kept where both formats have a place for them; tiff has none here for Exif, nor webp
  for resolution.
  Zarr arrays are folders, of version 2 or 3, sharded or not, packed by zstd, blosc, gzip or not
  at all; y.zarr is made like the input if that is one: version, chunks, codecs, attributes, names
  and fill value. They and .npy files may have any size, and any number of axes in front.
  Images but tiff and exr get the results rounded to integers, so floats that go to 1 come out
  black. Alpha and --linear-light are for u8, u16, f16 and f32. The output is written whole or not
  at all.

Types:
  Sums of u32, i32 and f64, and those that become these, are made in f64, on the CPU; all others in
  f32, on the CPU and the GPU. Weights and biases keep their digits in f64, those of --pointwise and
  of activations are f32.

Larger than memory:
  With --memory, --shard, --resume or --chunks, where the input or the output is a Zarr array, and
  where a .npy, ENVI or TIFF file would take more than half of the free memory, reading, computing
  and writing overlap, and what is held stays within --memory. The results are the same, bit by bit.
  A process that is killed leaves each chunk of a Zarr array whole or absent; a .npy file is
  y.npy.partial, with a journal beside it, until all of it is there, and ENVI cubes and TIFF files
  likewise. The same command with --resume does the rest. Images of other kinds are read whole; so
  is TIFF where it is stored turned, where alpha is kept and where 16 bits become 8.

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
        group(ArgGroup::new("weights").required(true).args(["kernel", "kernel_file", "kernels"])),
    )]
    Run(Box<RunArgs>),
    /// Show adapters, limits, features and SIMD level, and what `auto` chooses between
    Info,
    /// Show the kernels known by name, with their arguments and a small picture of each
    Kernels,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Images (png, jpeg, tiff, webp, bmp, exr), ENVI cubes or .npy files; `-` is standard input
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,

    /// Where results go: an image, ENVI or .npy file by its extension, a folder for files of the same
    /// names, a name with {stem} and perhaps {ext} for those of each input, or `-` for standard
    /// output; without it, nothing is written
    #[arg(short, long, value_name = "OUTPUT")]
    pub(crate) output: Option<PathBuf>,

    /// Kind of file, whatever the output's extension: `npy`, `png`, `jpeg`, `tiff`, `webp`, `bmp`,
    /// `exr` or `envi`, which is `bip` unless `bsq` or `bil` is named
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

    /// Weights from a file of any type: [kh,kw], [kh,kw,F] or [kh,kw,1,F]
    #[arg(long, value_name = "K.npy", help_heading = "Kernel")]
    pub(crate) kernel_file: Option<PathBuf>,

    /// A kernel for each image of the batch, from a file of any type: [N,kh,kw] or [N,kh,kw,F]
    #[arg(long, value_name = "K.npy", help_heading = "Kernel")]
    pub(crate) kernels: Option<PathBuf>,

    /// Divide each filter by its sum, so that flat areas keep their value
    #[arg(long, help_heading = "Kernel")]
    pub(crate) normalize: bool,

    /// Multiply all weights by V, after --normalize
    #[arg(long, value_name = "V", allow_hyphen_values = true, help_heading = "Kernel")]
    pub(crate) scale: Option<f64>,

    /// Turn the kernel by 180 degrees: convolution in place of correlation
    #[arg(long, help_heading = "Kernel")]
    pub(crate) flip: bool,

    /// Apply the adjoint (transposed convolution) of what is asked for in its place. It gives H rows and
    /// W columns; unless given the input's times the stride, or for other paddings than `same` the
    /// fewest there can be. It has no bias
    #[arg(long, value_name = "H,W", value_parser = values::pair, num_args = 0..=1, require_equals = true, conflicts_with = "bias", help_heading = "Kernel")]
    pub(crate) adjoint: Option<Option<(usize, usize)>>,

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
    /// (cba|abcd|dcb), `reflect101` (dcb|abcd|cba) or `wrap` (bcd|abcd|abc); one, or one for rows and
    /// one for columns. Unless given `reflect101` for images and `zero` for .npy and ENVI
    #[arg(long, value_name = "BORDER[,BORDER]", value_parser = values::borders, help_heading = "Geometry")]
    pub(crate) border: Option<Borders>,

    /// Compute these rows and columns of the output alone, counted from 0 and the last not among them:
    /// what cutting the whole gives
    #[arg(long, value_name = "R0:R1,C0:C1", value_parser = values::region, conflicts_with_all = ["adjoint", "kernels"], help_heading = "Geometry")]
    pub(crate) region: Option<Region>,

    /// Weights of the values, of which the result is the mean under the kernel: a .npy file or a grey
    /// image of the input's height and width, or a .npy file of its shape. 0 leaves a value out
    #[arg(long, value_name = "M.npy", conflicts_with_all = ["adjoint", "kernels", "pointwise"], help_heading = "Missing values")]
    pub(crate) mask: Option<PathBuf>,

    /// Leave NaNs out, as if they weighed nothing
    #[arg(long, conflicts_with_all = ["adjoint", "pointwise"], help_heading = "Missing values")]
    pub(crate) skip_nan: bool,

    /// What is written where nothing is known. Unless given NaN in floats and 0 in integers
    #[arg(long, value_name = "V", allow_negative_numbers = true, help_heading = "Missing values")]
    pub(crate) no_data: Option<f64>,

    /// Order of the axes of .npy and ENVI files: `nhwc` or `nchw`; images are always HWC
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

    /// Added to the outputs of each filter: a number for all, one for each, or a file of them, [F]
    #[arg(long, value_name = "V[,V...]|B.npy", value_parser = values::bias, allow_hyphen_values = true, help_heading = "After the kernel")]
    pub(crate) bias: Option<Bias>,

    /// Applied after the bias: `none`, `relu`, `relu6`, `abs`, `leaky[:A]` (slope A, 0.01 unless given),
    /// `sigmoid`, `tanh`, `gelu` or `clamp:LO,HI`
    #[arg(long, value_name = "NAME[:ARGS]", default_value = "none", value_parser = values::activation, help_heading = "After the kernel")]
    pub(crate) activation: Activation,

    /// A 1x1 step after bias and activation, shared by all channels: [F,G] or [1,1,F,G]
    #[arg(long, value_name = "P.npy", help_heading = "After the kernel")]
    pub(crate) pointwise: Option<PathBuf>,

    /// Type of the results. Unless given that of the input, but a float after sigmoid, tanh and gelu,
    /// and integers that they hold into png, jpeg, webp and bmp. Integers are rounded half to even and
    /// saturated
    #[arg(long, value_name = "TYPE", ignore_case = true, help_heading = "After the kernel")]
    pub(crate) out_type: Option<Type>,

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

    /// Bytes of memory that may be taken, as in 512M or 4G: .npy and TIFF files, ENVI cubes and Zarr arrays of any
    /// size then go through part by part. Unless given half of what is free, where the whole needs more than that
    #[arg(long, value_name = "BYTES", value_parser = values::memory, help_heading = "Larger than memory")]
    pub(crate) memory: Option<u64>,

    /// Do part I of N and nothing else. Any number of processes, on any machines that share a file system, write
    /// one output so, without knowing of each other
    #[arg(long, value_name = "I/N", value_parser = values::shard, help_heading = "Larger than memory")]
    pub(crate) shard: Option<(usize, usize)>,

    /// Go on with what a process that was stopped left: what is written whole is not made again
    #[arg(long, requires = "output", help_heading = "Larger than memory")]
    pub(crate) resume: bool,

    /// Rows and columns of the output's chunks, with all channels: of .zarr, or tiles of .tif, whose sides are
    /// multiples of 16. Unless given those of the input, or some megabytes
    #[arg(long, value_name = "ROWS,COLUMNS", value_parser = values::pair, requires = "output", help_heading = "Larger than memory")]
    pub(crate) chunks: Option<(usize, usize)>,

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

impl RunArgs {
    /// Whether it is asked for that tensors go through part by part.
    pub(crate) fn streams(&self) -> bool {
        self.memory.is_some() || self.shard.is_some() || self.resume || self.chunks.is_some()
    }

    /// Whether something is asked that needs a whole tensor in memory.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_partial()
            || self.adjoint.is_some()
            || self.alpha == Some(AlphaName::Keep)
            || self.verify
            || self.engine == EngineName::Reference
    }

    /// Outputs of each channel, as far as the options tell.
    pub(crate) fn kernels_outputs(&self) -> usize {
        self.kernel.as_ref().map_or(1, Kernel::filters)
    }

    /// Whether more is asked than one kernel on all of a tensor.
    pub(crate) fn is_partial(&self) -> bool {
        self.region.is_some() || self.mask.is_some() || self.kernels.is_some()
    }
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
