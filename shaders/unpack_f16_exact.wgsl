// Four half floats of two words, the first in the lower half: for devices that were seen to lose none
// (halves.wgsl).
fn unpacked(words: vec2<u32>) -> vec4<f32> {
    return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}
