// Four half floats of two words, the first in the lower half, by 32-bit arithmetic: no device lacks that, and
// `unpack2x16float` may take subnormal numbers for 0 (unpack_f16_exact.wgsl).

// The float that the lower 16 bits stand for.
fn from_half(bits: u32) -> f32 {
    let magnitude = bits & 0x7fffu;
    // Exponents of f32 start 112 lower; the last one, of infinities and NaNs, is the last one there too.
    let rebased = (magnitude << 13u) + select(112u << 23u, 224u << 23u, magnitude >= 0x7c00u);
    let subnormal = f32(magnitude) * 5.9604645e-8; // 2^-24
    return bitcast<f32>(
        select(rebased, bitcast<u32>(subnormal), magnitude < 0x400u) | ((bits & 0x8000u) << 16u)
    );
}

fn unpacked(words: vec2<u32>) -> vec4<f32> {
    return vec4(
        from_half(words.x), from_half(words.x >> 16u), from_half(words.y), from_half(words.y >> 16u)
    );
}
