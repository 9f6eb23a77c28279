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

pub(in crate::gpu) fn texel(of: TextureFormat) -> Option<Texel> {
    Texel::ALL.into_iter().find(|texel| format(*texel) == of)
}
