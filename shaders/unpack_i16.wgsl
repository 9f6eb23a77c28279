// Four signed 16-bit integers of two words, the first in the lower half: each to the highest bits, and down again
// with its sign.
fn unpacked(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(bitcast<vec4<i32>>(vec4(words.x << 16u, words.x, words.y << 16u, words.y)) >> vec4(16u));
}
