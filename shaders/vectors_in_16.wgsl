// Source of 16-bit scalars in vectors of eight; what four of them are unpack_u16.wgsl and its neighbours say.

@group(0) @binding(1) var<storage, read> src: array<vec4<u32>>;

// Scalars of a vector.
const VECTOR: u32 = 8u;

// Scalars `at` to `at + 3`; `at` is a multiple of four.
fn load4(at: u32) -> vec4<f32> {
    let words = src[at / 8u];
    return unpacked(select(words.xy, words.zw, at % 8u >= 4u));
}
