// Half to even, saturated; a NaN compares false and becomes 0. Twin of `Element for i16`.
fn to_i16(x: f32) -> u32 {
    return bitcast<u32>(i32(select(0.0, clamp(round(x), -32768.0, 32767.0), abs(x) > 0.0))) & 0xffffu;
}

// A word of two scalars, the first in the lower half.
fn packed_pair(v: vec2<f32>) -> u32 {
    return to_i16(v.x) | (to_i16(v.y) << 16u);
}
