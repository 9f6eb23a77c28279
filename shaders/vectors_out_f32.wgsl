// Destination of f32 scalars in vectors of 16 bytes.

@group(0) @binding(2) var<storage, read_write> dst: array<vec4<f32>>;

// Scalars of a vector.
const STORED: u32 = 4u;

fn vector_of(v: vec4<f32>) -> vec4<f32> {
    return v;
}
