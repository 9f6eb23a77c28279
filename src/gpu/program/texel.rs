//! Formats of textures, as wgpu calls them.

use wgpu::TextureFormat;

use crate::plan::job::Texel;

pub(in crate::gpu) fn format(texel: Texel) -> TextureFormat {
    match texel {
        Texel::Rgba8 => TextureFormat::Rgba8Unorm,
        Texel::Bgra8 => TextureFormat::Bgra8Unorm,
        Texel::Rgba16 => TextureFormat::Rgba16Float,
        Texel::Rgba32 => TextureFormat::Rgba32Float,
        Texel::R32 => TextureFormat::R32Float,
    }
}

/// What shaders write to a texture of this format: none to those of sRGB, which WebGPU does not let be
/// storage textures.
pub(in crate::gpu) fn written(of: TextureFormat) -> Option<Texel> {
    Texel::ALL.into_iter().find(|texel| format(*texel) == of)
}

/// What shaders read from a texture of this format. The texture unit decodes those of sRGB, and the
/// rest is as without.
pub(in crate::gpu) fn read(of: TextureFormat) -> Option<Texel> {
    written(of.remove_srgb_suffix())
}

/// The formats that shaders write.
pub(in crate::gpu) fn writable() -> Vec<TextureFormat> {
    Texel::ALL.map(format).into()
}

/// The formats that shaders read.
pub(in crate::gpu) fn readable() -> Vec<TextureFormat> {
    let plain = writable();
    let srgb = plain.iter().map(TextureFormat::add_srgb_suffix).filter(TextureFormat::is_srgb);
    plain.iter().copied().chain(srgb).collect()
}
