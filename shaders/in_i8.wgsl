// Source of signed bytes, four to a word (unpack_i8.wgsl).

@group(0) @binding(1) var<storage, read> src: array<u32>;

// Scalar `at`: to the highest bits of a word, and down again with its sign.
fn load1(at: u32) -> f32 {
    return f32(bitcast<i32>(src[at / 4u] << (24u - at % 4u * 8u)) >> 24u);
}

// Scalars `at` to `at + 3`; `at` is a multiple of four.
fn load4(at: u32) -> vec4<f32> {
    return unpacked(src[at / 4u]);
}
