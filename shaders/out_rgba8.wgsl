// Texels of rgba8unorm, with out_texture.wgsl.

@group(0) @binding(2) var dst: texture_storage_2d<rgba8unorm, write>;

// Saturated; a NaN compares false and becomes 0. The device rounds.
fn stored(texel: vec4<f32>) -> vec4<f32> {
    return select(vec4(0.0), min(texel, vec4(1.0)), texel > vec4(0.0));
}
