// Destination of half floats: a word is two scalars, the first in the lower half.
//
// Needs nothing but 32-bit arithmetic, so it runs on devices without f16, and rounds where `pack2x16float`
// may do as it likes.

@group(0) @binding(2) var<storage, read_write> dst: array<u32>;

const LANES: u32 = 2u;

// The nearest half float, half to even; infinite from 65520 on. Twin of `Element for f16`.
fn to_half(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let magnitude = bits & 0x7fffffffu;
    // The 13 last bits of the mantissa go; half of them more, or just less where the bit before is even.
    let normal = (magnitude - (112u << 23u) + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u;
    let subnormal = u32(round(bitcast<f32>(min(magnitude, 0x38800000u)) * 16777216.0)); // 2^24
    var half = select(normal, subnormal, magnitude < 0x38800000u);
    half = select(half, 0x7c00u, magnitude >= 0x477ff000u);
    half = select(half, 0x7e00u, magnitude > 0x7f800000u);
    return half | ((bits >> 16u) & 0x8000u);
}

// One word from scalar `at`, which is even: the first two of `v`.
fn store_word(at: u32, v: vec4<f32>) {
    dst[at / 2u] = to_half(v.x) | (to_half(v.y) << 16u);
}

// Four scalars from `at` on, which is even.
fn store_four(at: u32, v: vec4<f32>) {
    store_word(at, v);
    store_word(at + 2u, v.zwzw);
}
