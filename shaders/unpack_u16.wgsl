// Four 16-bit integers of two words, the first in the lower half.
fn unpacked(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(vec4(words.x & 0xffffu, words.x >> 16u, words.y & 0xffffu, words.y >> 16u));
}
