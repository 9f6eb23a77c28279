// Destination of signed 16-bit integers: a word is two scalars, the first in the lower half.

@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

const LANES: u32 = 2u;

// Half to even, saturated; a NaN compares false and becomes 0. Twin of `Element for i16`.
fn to_i16(x: f32) -> u32 {
    return bitcast<u32>(i32(select(0.0, clamp(round(x), -32768.0, 32767.0), abs(x) > 0.0))) & 0xffffu;
}

// One word from scalar `at`, which is even: the first two of `v`.
fn store_word(at: u32, v: vec4<f32>) {
    dst[at / 2u] = to_i16(v.x) | (to_i16(v.y) << 16u);
}

// Four scalars from `at` on, which is even.
fn store_four(at: u32, v: vec4<f32>) {
    store_word(at, v);
    store_word(at + 2u, v.zwzw);
}
