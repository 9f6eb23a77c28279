// Source of texels. Addresses are those of the whole texture, whose rows are `src_pitch` scalars apart,
// a power of two: nothing lies there, and rows and columns come apart without a division.

@group(0) @binding(1) var src: texture_2d<f32>;

// Scalars `at` to `at + 3`, a texel; `at` is a multiple of four. Of a texel of one channel, that first.
fn load4(at: u32) -> vec4<f32> {
    let scalar = at & (p.src_pitch - 1u);
    let place = vec2(select(scalar / 4u, scalar, SINGLE), at >> firstTrailingBit(p.src_pitch));
    return decoded(textureLoad(src, place, 0));
}

// Scalar `at`.
fn load1(at: u32) -> f32 {
    let texel = load4(at);
    if SINGLE {
        return texel.x;
    }
    return texel[at % 4u];
}
