// Destination of f32 scalars: a word is one scalar.

@group(0) @binding(2) var<storage, read_write> dst: array<f32>;

const LANES: u32 = 1u;

// One word from scalar `at`: the first of `v`.
fn store_word(at: u32, v: vec4<f32>) {
    dst[at] = v.x;
}
