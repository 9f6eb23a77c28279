// Source of half floats, two to a word (unpack_f16.wgsl).

@group(0) @binding(1) var<storage, read> src: array<u32>;

// Scalar `at`.
fn load1(at: u32) -> f32 {
    return from_half(src[at / 2u] >> (at % 2u * 16u));
}

// Scalars `at` to `at + 3`; `at` is even.
fn load4(at: u32) -> vec4<f32> {
    return unpacked(vec2(src[at / 2u], src[at / 2u + 1u]));
}
