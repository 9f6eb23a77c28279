// Source of f32 scalars, at any address.

@group(0) @binding(1) var<storage, read> src: array<f32>;

// Scalar `at`.
fn load1(at: u32) -> f32 {
    return src[at];
}

// Scalars `at` to `at + 3`.
fn load4(at: u32) -> vec4<f32> {
    return vec4(src[at], src[at + 1u], src[at + 2u], src[at + 3u]);
}
