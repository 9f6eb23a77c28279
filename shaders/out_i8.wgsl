// Destination of signed bytes: a word is four scalars (pack_i8.wgsl).

@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

const LANES: u32 = 4u;

// One word from scalar `at`, a multiple of four.
fn store_word(at: u32, v: vec4<f32>) {
    dst[at / 4u] = packed(v);
}

// Four scalars from `at` on.
fn store_four(at: u32, v: vec4<f32>) {
    store_word(at, v);
}
