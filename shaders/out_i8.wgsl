// Destination of signed bytes: a word is four scalars, the first in the lowest bits.

@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

const LANES: u32 = 4u;

// Half to even, saturated; a NaN compares false and becomes 0. Twin of `Element for i8`.
fn to_byte(x: f32) -> u32 {
    return bitcast<u32>(i32(select(0.0, clamp(round(x), -128.0, 127.0), abs(x) > 0.0))) & 0xffu;
}

// One word from scalar `at`, a multiple of four.
fn store_word(at: u32, v: vec4<f32>) {
    dst[at / 4u] = to_byte(v.x) | (to_byte(v.y) << 8u) | (to_byte(v.z) << 16u) | (to_byte(v.w) << 24u);
}

// Four scalars from `at` on.
fn store_four(at: u32, v: vec4<f32>) {
    store_word(at, v);
}
