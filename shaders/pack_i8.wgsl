// Half to even, saturated; a NaN compares false and becomes 0. Twin of `Element for i8`.
fn to_byte(x: f32) -> u32 {
    return bitcast<u32>(i32(select(0.0, clamp(round(x), -128.0, 127.0), abs(x) > 0.0))) & 0xffu;
}

// A word of four scalars, the first in the lowest bits.
fn packed(v: vec4<f32>) -> u32 {
    return to_byte(v.x) | (to_byte(v.y) << 8u) | (to_byte(v.z) << 16u) | (to_byte(v.w) << 24u);
}
