// Destination of 16-bit integers: a word is two scalars, the first in the lower half.

@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

const LANES: u32 = 2u;

// Half to even, saturated; a NaN compares false and becomes 0. Twin of `Element for u16`.
fn to_u16(x: f32) -> u32 {
    return u32(select(0.0, min(round(x), 65535.0), x > 0.0));
}

// One word from scalar `at`, which is even: the first two of `v`.
fn store_word(at: u32, v: vec4<f32>) {
    dst[at / 2u] = to_u16(v.x) | (to_u16(v.y) << 16u);
}

// Four scalars from `at` on, which is even.
fn store_four(at: u32, v: vec4<f32>) {
    store_word(at, v);
    store_word(at + 2u, v.zwzw);
}
