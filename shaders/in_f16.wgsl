// Source of half floats, two to a word, the first in the lower half.
//
// Needs nothing but 32-bit arithmetic, so it runs on devices without f16; and unlike `unpack2x16float`,
// which may take subnormal numbers for 0, it is exact.

@group(0) @binding(1) var<storage, read> src: array<u32>;

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

// Scalar `at`.
fn load1(at: u32) -> f32 {
    return from_half(src[at / 2u] >> (at % 2u * 16u));
}

// Scalars `at` to `at + 3`; `at` is even.
fn load4(at: u32) -> vec4<f32> {
    let first = src[at / 2u];
    let second = src[at / 2u + 1u];
    return vec4(from_half(first), from_half(first >> 16u), from_half(second), from_half(second >> 16u));
}
