// Half to even, saturated; a NaN compares false and becomes 0. Twin of `Element for u8`.
fn to_byte(x: f32) -> u32 {
    return u32(select(0.0, min(round(x), 255.0), x > 0.0));
}

// A word of four scalars, the first in the lowest bits.
fn packed(v: vec4<f32>) -> u32 {
    return to_byte(v.x) | (to_byte(v.y) << 8u) | (to_byte(v.z) << 16u) | (to_byte(v.w) << 24u);
}
