// Source of 16-bit integers, two to a word, the first in the lower half.

@group(0) @binding(1) var<storage, read> src: array<u32>;

// Scalar `at`.
fn load1(at: u32) -> f32 {
    return f32((src[at / 2u] >> (at % 2u * 16u)) & 0xffffu);
}

// Scalars `at` to `at + 3`; `at` is even.
fn load4(at: u32) -> vec4<f32> {
    let first = src[at / 2u];
    let second = src[at / 2u + 1u];
    return vec4<f32>(vec4(first & 0xffffu, first >> 16u, second & 0xffffu, second >> 16u));
}
