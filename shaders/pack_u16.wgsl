// Half to even, saturated; a NaN compares false and becomes 0. Twin of `Element for u16`.
fn to_u16(x: f32) -> u32 {
    return u32(select(0.0, min(round(x), 65535.0), x > 0.0));
}

// A word of two scalars, the first in the lower half.
fn packed_pair(v: vec2<f32>) -> u32 {
    return to_u16(v.x) | (to_u16(v.y) << 16u);
}
