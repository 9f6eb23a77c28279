// Source of f32 scalars in vectors of 16 bytes.

@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>;

// Scalars of a vector.
const VECTOR: u32 = 4u;

// Scalars `at` to `at + 3`; `at` is a multiple of four.
fn load4(at: u32) -> vec4<f32> {
    return src[at / 4u];
}
