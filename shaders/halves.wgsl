// Whether the device's own conversions of half floats are those of 32-bit arithmetic (unpack_f16.wgsl,
// pack_f16.wgsl): tried with every half, and of rounding with what lies between it and the next one.
//
// One invocation per half. dst[0] counts the halves that `unpack2x16float` gets wrong, dst[1] those around which
// `pack2x16float` does.

@group(0) @binding(0) var<storage, read_write> dst: array<atomic<u32>>;

fn is_nan(bits: u32) -> bool { return (bits & 0x7fffffffu) > 0x7f800000u; }

// Whether `x` is packed as it should be, in either half of a word.
fn packs(x: f32) -> bool {
    let wanted = to_half(x);
    let got = pack2x16float(vec2(x, x));
    let nan = (wanted & 0x7fffu) > 0x7c00u;
    let low = got & 0xffffu;
    let high = got >> 16u;
    let both_nan = (low & 0x7fffu) > 0x7c00u && (high & 0x7fffu) > 0x7c00u;
    return select(low == wanted && high == wanted, both_nan, nan);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let half = id.x;
    if half > 0xffffu {
        return;
    }
    let wanted = from_half(half);
    let got = unpack2x16float(half | (half << 16u));
    let bits = bitcast<vec2<u32>>(got);
    let same = all(bits == vec2(bitcast<u32>(wanted)));
    let nan = is_nan(bitcast<u32>(wanted));
    if !select(same, is_nan(bits.x) && is_nan(bits.y), nan) {
        atomicAdd(&dst[0], 1u);
    }
    // In f32 the next half of a normal one is 2^13 away; between are the middle and its neighbours. Of those below
    // the least normal one these are some numbers of that region.
    let base = bitcast<u32>(wanted);
    let exact = packs(wanted) && packs(bitcast<f32>(base + 0xfffu)) && packs(bitcast<f32>(base + 0x1000u))
        && packs(bitcast<f32>(base + 0x1001u)) && packs(bitcast<f32>(base + 1u));
    // Half-way between two subnormal halves, and beside it.
    let middle = bitcast<u32>((f32(half & 0x3ffu) + 0.5) * 5.9604645e-8);
    let subnormal = packs(bitcast<f32>(middle - 1u)) && packs(bitcast<f32>(middle)) && packs(bitcast<f32>(middle + 1u));
    // Far above the largest half, and far below the least.
    let beyond = packs(wanted * 65536.0) && packs(wanted * 1.1641532e-10); // 2^16, 2^-33
    if !(exact && subnormal && beyond) {
        atomicAdd(&dst[1], 1u);
    }
}
