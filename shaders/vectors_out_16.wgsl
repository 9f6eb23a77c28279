// Destination of 16-bit scalars in vectors of eight; what a word is pack_u16.wgsl and its neighbours say.

@group(0) @binding(2) var<storage, read_write> dst: array<vec4<u32>>;

// Scalars of a vector.
const STORED: u32 = 8u;

fn vector_of(a: vec4<f32>, b: vec4<f32>) -> vec4<u32> {
    return vec4(packed_pair(a.xy), packed_pair(a.zw), packed_pair(b.xy), packed_pair(b.zw));
}
