//! The table of shaders: which files make which pass.
//!
//! A shader is a list of files from `shaders/`, joined. Numbers go in as `override` constants.

use crate::plan::Pass;
use crate::{ElementType, Problem};

/// How a pass reads its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// f32 at any address.
    F32,
    /// Bytes.
    U8,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shader {
    pub pass: Pass,
    pub source: Source,
    pub output: ElementType,
    pub label: &'static str,
    pub wgsl: &'static str,
}

/// The name of every shader's entry point.
pub(crate) const ENTRY: &str = "main";

macro_rules! files {
    ($($file:literal),* $(,)?) => {
        concat!($(include_str!(concat!("../../shaders/", $file, ".wgsl")), "\n"),*)
    };
}

/// `Pass`: files; for each pair of source and output.
macro_rules! row {
    ($pass:ident: $($file:literal)*; $source:ident $in:literal -> $output:ident $out:literal) => {
        Shader {
            pass: Pass::$pass,
            source: Source::$source,
            output: ElementType::$output,
            label: concat!("channelwise.", stringify!($pass), ".", $in, ".", $out),
            wgsl: files!("common", "border", $in, $out, $($file),*),
        }
    };
}

/// Every shader there is.
pub(crate) const TABLE: &[Shader] = &[
    row!(Direct: "activation" "place" "direct"; F32 "in_f32" -> F32 "out_f32"),
    row!(Direct: "activation" "place" "direct"; F32 "in_f32" -> U8 "out_u8"),
    row!(Direct: "activation" "place" "direct"; U8 "in_u8" -> F32 "out_f32"),
    row!(Direct: "activation" "place" "direct"; U8 "in_u8" -> U8 "out_u8"),
    row!(Flat: "activation" "store_f32" "flat"; F32 "in_f32" -> F32 "out_f32"),
    row!(Flat: "activation" "store_u8" "flat"; F32 "in_f32" -> U8 "out_u8"),
    row!(Flat: "activation" "store_f32" "flat"; U8 "in_u8" -> F32 "out_f32"),
    row!(Flat: "activation" "store_u8" "flat"; U8 "in_u8" -> U8 "out_u8"),
];

/// The shader of a pass, if there is one.
pub(crate) fn of_pass(problem: &Problem, pass: Pass) -> Option<&'static Shader> {
    // Between two passes lie f32. Both are made by the shader of one.
    let (shader, from, to) = match pass {
        Pass::Direct | Pass::Flat => (pass, problem.input_type(), problem.output_type()),
        Pass::Across => (Pass::Flat, problem.input_type(), ElementType::F32),
        Pass::Down => (Pass::Flat, ElementType::F32, problem.output_type()),
    };
    let source = match from {
        ElementType::F32 => Source::F32,
        ElementType::U8 => Source::U8,
    };
    TABLE.iter().find(|s| (s.pass, s.source, s.output) == (shader, source, to))
}
