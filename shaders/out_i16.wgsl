// Destination of signed 16-bit integers: a word is two scalars (pack_i16.wgsl).

@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

const LANES: u32 = 2u;

// One word from scalar `at`, which is even: the first two of `v`.
fn store_word(at: u32, v: vec4<f32>) {
    dst[at / 2u] = packed_pair(v.xy);
}

// Four scalars from `at` on, which is even.
fn store_four(at: u32, v: vec4<f32>) {
    store_word(at, v);
    store_word(at + 2u, v.zwzw);
}
