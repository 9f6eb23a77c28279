// Texels of r32float, with out_texture.wgsl.

@group(0) @binding(2) var dst: texture_storage_2d<r32float, write>;

fn stored(texel: vec4<f32>) -> vec4<f32> {
    return texel;
}
