// Destination of bytes in vectors of 16; what a word is pack_u8.wgsl and pack_i8.wgsl say.

@group(0) @binding(2) var<storage, read_write> dst: array<vec4<u32>>;

// Scalars of a vector.
const STORED: u32 = 16u;

fn vector_of(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> vec4<u32> {
    return vec4(packed(a), packed(b), packed(c), packed(d));
}
