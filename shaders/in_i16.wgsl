// Source of signed 16-bit integers, two to a word, the first in the lower half.

@group(0) @binding(1) var<storage, read> src: array<u32>;

// Scalar `at`: to the highest bits of a word, and down again with its sign.
fn load1(at: u32) -> f32 {
    return f32(bitcast<i32>(src[at / 2u] << (16u - at % 2u * 16u)) >> 16u);
}

// Scalars `at` to `at + 3`; `at` is even.
fn load4(at: u32) -> vec4<f32> {
    let first = src[at / 2u];
    let second = src[at / 2u + 1u];
    return vec4<f32>(bitcast<vec4<i32>>(vec4(first << 16u, first, second << 16u, second)) >> vec4(16u));
}
