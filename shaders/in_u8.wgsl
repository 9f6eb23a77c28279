// Source of bytes, four to a word (unpack_u8.wgsl).

@group(0) @binding(1) var<storage, read> src: array<u32>;

// Scalar `at`.
fn load1(at: u32) -> f32 {
    return f32((src[at / 4u] >> (at % 4u * 8u)) & 255u);
}

// Scalars `at` to `at + 3`; `at` is a multiple of four.
fn load4(at: u32) -> vec4<f32> {
    return unpacked(src[at / 4u]);
}
