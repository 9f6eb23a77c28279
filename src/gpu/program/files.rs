//! Which files of `shaders/` make which shader.
//!
//! A shader is a list of files, joined when it is compiled, so that each lies in the program once. Numbers go
//! in as `override` constants; of `march` a part is written (`march.rs`).

use super::march;
use crate::plan::Halves;
use crate::plan::job::{Data, Entry, Shader};

/// The name of every shader's entry point.
pub(crate) const ENTRY: &str = "main";

macro_rules! files {
    ($($file:literal),* $(,)?) => {
        [$(($file, include_str!(concat!("../../../shaders/", $file, ".wgsl")))),*]
    };
}

/// Every file.
const FILES: &[(&str, &str)] = &files!(
    "activation",
    "block",
    "border",
    "common",
    "correlate",
    "derivative",
    "direct",
    "edges",
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
    "halves",
    "in_complex",
    "in_f16",
    "in_f32",
    "in_i16",
    "in_i8",
    "in_texture",
    "in_u16",
    "in_u8",
    "march",
    "mix",
    "mixing",
    "out_bgra8",
    "out_buffer",
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
    "out_words",
    "pack_f16",
    "pack_f16_exact",
    "pack_i16",
    "pack_i8",
    "pack_u16",
    "pack_u8",
    "phases",
    "phases_f32",
    "phases_packed",
    "pixels",
    "place",
    "place_adjoint",
    "plain",
    "reduce",
    "slope",
    "store_f32",
    "store_packed",
    "strip",
    "strip_f32",
    "strip_packed",
    "sums",
    "texel",
    "together",
    "unpack_f16",
    "unpack_f16_exact",
    "unpack_i16",
    "unpack_i8",
    "unpack_u16",
    "unpack_u8",
    "vectors_in_16",
    "vectors_in_8",
    "vectors_in_f32",
    "vectors_out_16",
    "vectors_out_8",
    "vectors_out_f32",
    "weights",
    "window",
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
    let halves = match entry {
        Entry::March(shape) => shape.halves,
        _ => Halves::default(),
    };
    let exact = |data: Data, seen: bool| if seen && data == Data::F16 { "_exact" } else { "" };
    if source.packed().is_some() {
        add(&[&format!("unpack_{}{}", source.name(), exact(source, halves.unpacks))]);
    }
    if output.packed().is_some() {
        add(&[&format!("pack_{}{}", output.name(), exact(output, halves.packs))]);
    }
    if matches!(entry, Entry::March(_)) {
        let width = |data: Data| data.packed().map_or("f32".into(), |bits| bits.to_string());
        add(&[&format!("vectors_in_{}", width(source)), &format!("vectors_out_{}", width(output))]);
    } else {
        add(&[&format!("in_{}", source.name()), &format!("out_{}", output.name())]);
    }
    if matches!(output, Data::Stored(_)) {
        add(&["out_texture"]);
    }
    let store = if output == Data::F32 { "store_f32" } else { "store_packed" };
    if !output.is_texture() && matches!(entry, Entry::Direct | Entry::Gather) {
        add(&["out_buffer"]);
    }
    if !output.is_texture() && entry == Entry::Flat && output != Data::F32 {
        add(&["out_words"]);
    }
    if entry == Entry::Strip && output == Data::F32 {
        add(&["strip_f32"]);
    } else if entry == Entry::Strip {
        let place: &[&str] = if output.is_texture() { &[] } else { &["out_buffer"] };
        add(place);
        add(&["strip_packed"]);
    }
    add(match entry {
        Entry::Direct => &["plain", "weights", "activation", "place", "direct"],
        Entry::Gather => &["plain", "weights", "place_adjoint", "direct"],
        Entry::Edges => &["weights", "place_adjoint", "edges"],
        Entry::Flat => &["weights", "activation", "window", "block"],
        Entry::March(_) => &["activation", "march"],
        Entry::Phases if output == Data::F32 => {
            &["weights", "window", "block", "phases_f32", "phases"]
        }
        Entry::Phases => &["weights", "window", "block", "phases_packed", "phases"],
        Entry::Strip => &["weights", "activation", "window", "strip"],
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

/// Files of the shader that looks at a device's half floats.
const HALVES: [&str; 3] = ["unpack_f16", "pack_f16", "halves"];

/// Its source.
pub(crate) fn halves() -> String {
    joined(&HALVES.map(str::to_string))
}

/// The source of a shader: its files, and what is written for a shape.
pub(crate) fn wgsl(shader: Shader) -> String {
    let files = joined(&names(shader));
    match shader.entry {
        Entry::March(shape) => files + &march::text(&shape, shader.source, shader.output),
        _ => files,
    }
}

fn joined(names: &[String]) -> String {
    let text = |name: &String| FILES.iter().find(|(known, _)| known == name).map(|(_, text)| *text);
    names.iter().filter_map(text).flat_map(|text| [text, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::every;
    use super::*;

    /// A misspelt name would leave its file out.
    #[test]
    fn every_name_is_a_file_and_every_file_is_named() {
        let named: BTreeSet<String> =
            every().into_iter().flat_map(names).chain(HALVES.map(str::to_string)).collect();
        let files: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_string()).collect();
        assert_eq!(named, files);
    }
}
