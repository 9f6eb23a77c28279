// Half floats, two to a word, the first in the lower half: for devices that were seen to round half to even
// (halves.wgsl).
fn packed_pair(v: vec2<f32>) -> u32 {
    return pack2x16float(v);
}
