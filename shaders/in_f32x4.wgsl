// Source of f32 scalars, read in vectors of four.

@group(0) @binding(1) var<storage, read> src: array<vec4<f32>>;

// Whether addresses may lie within a vector.
override SHIFTED: bool = true;

// Scalar `at`.
fn load1(at: u32) -> f32 {
    return src[at / 4u][at % 4u];
}

// Scalars `at` to `at + 3`, which lie in one vector or in two neighbours.
fn load4(at: u32) -> vec4<f32> {
    let low = src[at / 4u];
    if !SHIFTED {
        return low;
    }
    let shift = at % 4u;
    let high = src[at / 4u + 1u];
    let by2 = select(low, vec4(low.zw, high.xy), shift >= 2u);
    let next = select(high.x, high.z, shift >= 2u);
    return select(by2, vec4(by2.yzw, next), (shift & 1u) == 1u);
}
