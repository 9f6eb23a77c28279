// Source of bytes in vectors of 16; what four of them are unpack_u8.wgsl and unpack_i8.wgsl say.

@group(0) @binding(1) var<storage, read> src: array<vec4<u32>>;

// Scalars of a vector.
const VECTOR: u32 = 16u;

// Scalars `at` to `at + 3`; `at` is a multiple of four.
fn load4(at: u32) -> vec4<f32> {
    return unpacked(src[at / 16u][at / 4u % 4u]);
}
