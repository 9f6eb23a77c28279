// Four signed bytes of a word, the first in the lowest bits: each to the highest, and down again with its sign.
fn unpacked(word: u32) -> vec4<f32> {
    return vec4<f32>(bitcast<vec4<i32>>(vec4(word << 24u, word << 16u, word << 8u, word)) >> vec4(24u));
}
