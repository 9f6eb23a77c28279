// Four bytes of a word, the first in the lowest bits.
fn unpacked(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4(word & 255u, (word >> 8u) & 255u, (word >> 16u) & 255u, word >> 24u));
}
