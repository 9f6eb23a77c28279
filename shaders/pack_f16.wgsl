// Half floats, two to a word, the first in the lower half, by 32-bit arithmetic: no device lacks that, and
// `pack2x16float` may round as it likes (pack_f16_exact.wgsl).

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

fn packed_pair(v: vec2<f32>) -> u32 {
    return to_half(v.x) | (to_half(v.y) << 16u);
}
