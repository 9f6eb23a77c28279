//! The table of shaders: which files make which pass.
//!
//! A shader is a list of files from `shaders/`, joined when it is compiled, so that each lies in the program
//! once. Numbers go in as `override` constants.

use super::texel::{Texel, Texels};
use crate::plan::{Pass, Step};
use crate::{ElementType, Problem};

/// What a pass reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Data {
    F32,
    U8,
    U16,
    F16,
    /// Pairs of f32, between passes.
    Complex,
    /// A texture that is read, of any format.
    Texture,
    /// A texture that is written.
    Stored(Texel),
}

impl From<ElementType> for Data {
    fn from(element: ElementType) -> Self {
        match element {
            ElementType::F32 => Self::F32,
            ElementType::U8 => Self::U8,
            ElementType::U16 => Self::U16,
            ElementType::F16 => Self::F16,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shader {
    pub pass: Pass,
    pub source: Data,
    pub output: Data,
    pub label: &'static str,
    files: &'static [&'static str],
}

impl Shader {
    /// The source.
    pub fn wgsl(&self) -> String {
        self.files.concat()
    }
}

/// The name of every shader's entry point.
pub(crate) const ENTRY: &str = "main";

macro_rules! files {
    ($($file:literal),* $(,)?) => {
        &[$(include_str!(concat!("../../shaders/", $file, ".wgsl")), "\n"),*]
    };
}

/// `Pass`: files; for each pair of source and output.
macro_rules! row {
    ($pass:ident: $($file:literal)*; $source:ident $in:literal -> $output:ident $out:literal) => {
        Shader {
            pass: Pass::$pass,
            source: Data::$source,
            output: Data::$output,
            label: concat!("channelwise.", stringify!($pass), ".", $in, ".", $out),
            files: files!("common", "border", $in, $out, $($file),*),
        }
    };
}

/// The same for gradients.
macro_rules! step {
    ($step:ident: $($file:literal)*; $source:ident $in:literal) => {
        Shader {
            pass: Pass::Gradient(Step::$step),
            source: Data::$source,
            output: Data::F32,
            label: concat!("channelwise.", stringify!($step), ".", $in),
            files: files!("common", "border", $in, "out_f32", $($file),*),
        }
    };
}

/// The same with textures at one end or both.
macro_rules! texels {
    ($pass:ident: $($file:literal)*; $source:ident $in:literal -> $output:expr, $out:literal) => {
        Shader {
            pass: Pass::$pass,
            source: Data::$source,
            output: $output,
            label: concat!("channelwise.", stringify!($pass), ".", $in, ".", $out),
            files: files!("common", "border", "texel", $in, $out, $($file),*),
        }
    };
}

/// From a texture to one of this format, in one pass.
macro_rules! direct_texels {
    ($texel:ident $out:literal) => {
        texels!(Direct: "out_texture" "weights" "activation" "place" "direct";
            Texture "in_texture" -> Data::Stored(Texel::$texel), $out)
    };
}

/// From a texture, or what lies between passes.
macro_rules! flat_texels {
    ($source:ident $in:literal -> $texel:ident $out:literal) => {
        texels!(Flat: "out_texture" "weights" "activation" "store_packed" "flat";
            $source $in -> Data::Stored(Texel::$texel), $out)
    };
}

/// Every shader there is.
pub(crate) const TABLE: &[Shader] = &[
    row!(Direct: "weights" "activation" "place" "direct"; F32 "in_f32" -> F32 "out_f32"),
    row!(Direct: "weights" "activation" "place" "direct"; F32 "in_f32" -> U8 "out_u8"),
    row!(Direct: "weights" "activation" "place" "direct"; F32 "in_f32" -> U16 "out_u16"),
    row!(Direct: "weights" "activation" "place" "direct"; F32 "in_f32" -> F16 "out_f16"),
    row!(Direct: "weights" "activation" "place" "direct"; U8 "in_u8" -> F32 "out_f32"),
    row!(Direct: "weights" "activation" "place" "direct"; U8 "in_u8" -> U8 "out_u8"),
    row!(Direct: "weights" "activation" "place" "direct"; U8 "in_u8" -> U16 "out_u16"),
    row!(Direct: "weights" "activation" "place" "direct"; U8 "in_u8" -> F16 "out_f16"),
    row!(Direct: "weights" "activation" "place" "direct"; U16 "in_u16" -> F32 "out_f32"),
    row!(Direct: "weights" "activation" "place" "direct"; U16 "in_u16" -> U8 "out_u8"),
    row!(Direct: "weights" "activation" "place" "direct"; U16 "in_u16" -> U16 "out_u16"),
    row!(Direct: "weights" "activation" "place" "direct"; U16 "in_u16" -> F16 "out_f16"),
    row!(Direct: "weights" "activation" "place" "direct"; F16 "in_f16" -> F32 "out_f32"),
    row!(Direct: "weights" "activation" "place" "direct"; F16 "in_f16" -> U8 "out_u8"),
    row!(Direct: "weights" "activation" "place" "direct"; F16 "in_f16" -> U16 "out_u16"),
    row!(Direct: "weights" "activation" "place" "direct"; F16 "in_f16" -> F16 "out_f16"),
    row!(Gather: "weights" "place_adjoint" "direct"; F32 "in_f32" -> F32 "out_f32"),
    row!(Gather: "weights" "place_adjoint" "direct"; F32 "in_f32" -> U8 "out_u8"),
    row!(Gather: "weights" "place_adjoint" "direct"; F32 "in_f32" -> U16 "out_u16"),
    row!(Gather: "weights" "place_adjoint" "direct"; F32 "in_f32" -> F16 "out_f16"),
    row!(Gather: "weights" "place_adjoint" "direct"; U8 "in_u8" -> F32 "out_f32"),
    row!(Gather: "weights" "place_adjoint" "direct"; U8 "in_u8" -> U8 "out_u8"),
    row!(Gather: "weights" "place_adjoint" "direct"; U8 "in_u8" -> U16 "out_u16"),
    row!(Gather: "weights" "place_adjoint" "direct"; U8 "in_u8" -> F16 "out_f16"),
    row!(Gather: "weights" "place_adjoint" "direct"; U16 "in_u16" -> F32 "out_f32"),
    row!(Gather: "weights" "place_adjoint" "direct"; U16 "in_u16" -> U8 "out_u8"),
    row!(Gather: "weights" "place_adjoint" "direct"; U16 "in_u16" -> U16 "out_u16"),
    row!(Gather: "weights" "place_adjoint" "direct"; U16 "in_u16" -> F16 "out_f16"),
    row!(Gather: "weights" "place_adjoint" "direct"; F16 "in_f16" -> F32 "out_f32"),
    row!(Gather: "weights" "place_adjoint" "direct"; F16 "in_f16" -> U8 "out_u8"),
    row!(Gather: "weights" "place_adjoint" "direct"; F16 "in_f16" -> U16 "out_u16"),
    row!(Gather: "weights" "place_adjoint" "direct"; F16 "in_f16" -> F16 "out_f16"),
    row!(Flat: "weights" "activation" "store_f32" "flat"; F32 "in_f32" -> F32 "out_f32"),
    row!(Flat: "weights" "activation" "store_packed" "flat"; F32 "in_f32" -> U8 "out_u8"),
    row!(Flat: "weights" "activation" "store_packed" "flat"; F32 "in_f32" -> U16 "out_u16"),
    row!(Flat: "weights" "activation" "store_packed" "flat"; F32 "in_f32" -> F16 "out_f16"),
    row!(Flat: "weights" "activation" "store_f32" "flat"; U8 "in_u8" -> F32 "out_f32"),
    row!(Flat: "weights" "activation" "store_packed" "flat"; U8 "in_u8" -> U8 "out_u8"),
    row!(Flat: "weights" "activation" "store_packed" "flat"; U8 "in_u8" -> U16 "out_u16"),
    row!(Flat: "weights" "activation" "store_packed" "flat"; U8 "in_u8" -> F16 "out_f16"),
    row!(Flat: "weights" "activation" "store_f32" "flat"; U16 "in_u16" -> F32 "out_f32"),
    row!(Flat: "weights" "activation" "store_packed" "flat"; U16 "in_u16" -> U8 "out_u8"),
    row!(Flat: "weights" "activation" "store_packed" "flat"; U16 "in_u16" -> U16 "out_u16"),
    row!(Flat: "weights" "activation" "store_packed" "flat"; U16 "in_u16" -> F16 "out_f16"),
    row!(Flat: "weights" "activation" "store_f32" "flat"; F16 "in_f16" -> F32 "out_f32"),
    row!(Flat: "weights" "activation" "store_packed" "flat"; F16 "in_f16" -> U8 "out_u8"),
    row!(Flat: "weights" "activation" "store_packed" "flat"; F16 "in_f16" -> U16 "out_u16"),
    row!(Flat: "weights" "activation" "store_packed" "flat"; F16 "in_f16" -> F16 "out_f16"),
    row!(Forward: "fft" "fft_forward"; F32 "in_f32" -> Complex "out_complex"),
    row!(Forward: "fft" "fft_forward"; U8 "in_u8" -> Complex "out_complex"),
    row!(Forward: "fft" "fft_forward"; U16 "in_u16" -> Complex "out_complex"),
    row!(Forward: "fft" "fft_forward"; F16 "in_f16" -> Complex "out_complex"),
    row!(Multiply: "fft" "fft_multiply"; Complex "in_complex" -> Complex "out_complex"),
    row!(Back: "activation" "fft" "fft_back"; Complex "in_complex" -> F32 "out_f32"),
    step!(Correlate: "correlate"; F32 "in_f32"),
    step!(Correlate: "correlate"; U8 "in_u8"),
    step!(Correlate: "correlate"; U16 "in_u16"),
    step!(Correlate: "correlate"; F16 "in_f16"),
    step!(Mix: "activation" "pixels" "together" "mix"; F32 "in_f32"),
    step!(Reduce: "together" "reduce"; F32 "in_f32"),
    step!(Follow: "weights" "activation" "derivative" "pixels" "mixing" "follow"; F32 "in_f32"),
    step!(Slope: "weights" "activation" "derivative" "pixels" "mixing" "slope"; F32 "in_f32"),
    direct_texels!(Rgba8 "out_rgba8"),
    direct_texels!(Bgra8 "out_bgra8"),
    direct_texels!(Rgba16 "out_rgba16"),
    direct_texels!(Rgba32 "out_rgba32"),
    direct_texels!(R32 "out_r32"),
    flat_texels!(Texture "in_texture" -> Rgba8 "out_rgba8"),
    flat_texels!(Texture "in_texture" -> Bgra8 "out_bgra8"),
    flat_texels!(Texture "in_texture" -> Rgba16 "out_rgba16"),
    flat_texels!(Texture "in_texture" -> Rgba32 "out_rgba32"),
    flat_texels!(Texture "in_texture" -> R32 "out_r32"),
    flat_texels!(F32 "in_f32" -> Rgba8 "out_rgba8"),
    flat_texels!(F32 "in_f32" -> Bgra8 "out_bgra8"),
    flat_texels!(F32 "in_f32" -> Rgba16 "out_rgba16"),
    flat_texels!(F32 "in_f32" -> Rgba32 "out_rgba32"),
    flat_texels!(F32 "in_f32" -> R32 "out_r32"),
    texels!(Flat: "weights" "activation" "store_f32" "flat";
        Texture "in_texture" -> Data::F32, "out_f32"),
    texels!(Forward: "fft" "fft_forward"; Texture "in_texture" -> Data::Complex, "out_complex"),
];

/// The shader of a pass, if there is one; between textures where `texels` says so.
pub(crate) fn of_pass(
    problem: &Problem,
    pass: Pass,
    texels: Option<&Texels>,
) -> Option<&'static Shader> {
    let (input, output) = match texels {
        Some(texels) => (Data::Texture, Data::Stored(texels.destination)),
        None => (problem.input_type().into(), problem.output_type().into()),
    };
    // Two passes, and the last of four, are made by the shader of one.
    let (shader, source, output) = match pass {
        Pass::Direct if problem.gathers() => (Pass::Gather, input, output),
        Pass::Direct | Pass::Gather | Pass::Flat => (pass, input, output),
        Pass::Across => (Pass::Flat, input, Data::F32),
        Pass::Down | Pass::Finish => (Pass::Flat, Data::F32, output),
        Pass::Forward => (pass, input, Data::Complex),
        Pass::Multiply => (pass, Data::Complex, Data::Complex),
        Pass::Back => (pass, Data::Complex, Data::F32),
        Pass::Gradient(step) => return of_step(step, problem.input_type()),
    };
    TABLE.iter().find(|s| (s.pass, s.source, s.output) == (shader, source, output))
}

/// The shader of a step of gradients, of an input of this type where it reads that.
pub(crate) fn of_step(step: Step, input: ElementType) -> Option<&'static Shader> {
    let source = if step == Step::Correlate { input.into() } else { Data::F32 };
    TABLE.iter().find(|s| (s.pass, s.source) == (Pass::Gradient(step), source))
}
