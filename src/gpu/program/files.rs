//! Which files of `shaders/` make which shader.
//!
//! A shader is a list of files, joined when it is compiled, so that each lies in the program once. Numbers go
//! in as `override` constants.

use crate::plan::job::{Data, Entry, Shader};

/// The name of every shader's entry point.
pub(crate) const ENTRY: &str = "main";

macro_rules! files {
    ($($file:literal),* $(,)?) => {
        [$(($file, include_str!(concat!("../../../shaders/", $file, ".wgsl")))),*]
    };
}

/// Every file.
const FILES: [(&str, &str); 56] = files!(
    "activation",
    "border",
    "common",
    "correlate",
    "derivative",
    "direct",
    "fft",
    "fft_back",
    "fft_delta",
    "fft_forward",
    "fft_multiply",
    "fft_parts",
    "fft_planes",
    "fft_products",
    "fft_read",
    "fft_store",
    "fft_taps",
    "fft_tile",
    "fft_whole",
    "flat",
    "follow",
    "in_complex",
    "in_f16",
    "in_f32",
    "in_i16",
    "in_i8",
    "in_texture",
    "in_u16",
    "in_u8",
    "mix",
    "mixing",
    "out_bgra8",
    "out_complex",
    "out_f16",
    "out_f32",
    "out_i16",
    "out_i8",
    "out_r32",
    "out_rgba16",
    "out_rgba32",
    "out_rgba8",
    "out_texture",
    "out_u16",
    "out_u8",
    "pixels",
    "place",
    "place_adjoint",
    "plain",
    "reduce",
    "slope",
    "store_f32",
    "store_packed",
    "sums",
    "texel",
    "together",
    "weights",
);

/// Names of the files that make a shader, in order.
pub(super) fn names(shader: Shader) -> Vec<String> {
    let Shader { entry, source, output } = shader;
    let mut names: Vec<String> = Vec::new();
    let mut add = |all: &[&str]| names.extend(all.iter().map(|name| (*name).to_string()));
    add(&["common", "border"]);
    if shader.has_textures() {
        add(&["texel"]);
    }
    add(&[&format!("in_{}", source.name()), &format!("out_{}", output.name())]);
    if matches!(output, Data::Stored(_)) {
        add(&["out_texture"]);
    }
    let store = if output == Data::F32 { "store_f32" } else { "store_packed" };
    add(match entry {
        Entry::Direct => &["plain", "weights", "activation", "place", "direct"],
        Entry::Gather => &["plain", "weights", "place_adjoint", "direct"],
        Entry::Flat => &["weights", "activation"],
        Entry::Forward => &["fft_planes", "fft", "fft_read", "fft_forward"],
        Entry::Multiply => &["fft_planes", "fft", "fft_multiply"],
        Entry::Back => &["activation", "fft_planes", "fft", "fft_store", "fft_back"],
        Entry::Whole => {
            &["activation", "fft_planes", "fft", "fft_tile", "fft_read", "fft_store", "fft_whole"]
        }
        Entry::Delta => &["fft_planes", "fft", "fft_delta"],
        Entry::Products => &["fft_parts", "fft", "fft_products"],
        Entry::Taps => &["fft_parts", "fft", "fft_taps"],
        Entry::Correlate => &["sums", "correlate"],
        Entry::Mix => &["sums", "activation", "pixels", "together", "mix"],
        Entry::Reduce => &["sums", "together", "reduce"],
        Entry::Follow => {
            &["plain", "weights", "activation", "derivative", "pixels", "mixing", "follow"]
        }
        Entry::Slope => {
            &["plain", "weights", "activation", "derivative", "pixels", "mixing", "slope"]
        }
    });
    if entry == Entry::Flat {
        add(&[store, "flat"]);
    }
    names
}

/// The source of a shader.
pub(crate) fn wgsl(shader: Shader) -> String {
    let text = |name: &String| FILES.iter().find(|(known, _)| known == name).map(|(_, text)| *text);
    names(shader).iter().filter_map(text).flat_map(|text| [text, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A misspelt name would leave its file out.
    #[test]
    fn every_name_is_a_file_and_every_file_is_named() {
        let named: BTreeSet<String> = Shader::all().into_iter().flat_map(names).collect();
        let files: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_string()).collect();
        assert_eq!(named, files);
    }
}
