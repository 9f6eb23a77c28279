// Twin of `Activation` in src/activation. How far each result may be off follows from what WGSL lets each
// operation be off: src/activation/construction.rs.

// exp(-|x|): it cannot overflow.
fn decay(x: f32) -> f32 {
    return exp(-abs(x));
}

// Comparisons rather than min and max, which may drop a NaN.
fn clip(x: f32, lo: f32, hi: f32) -> f32 {
    let above = select(x, lo, x < lo);
    return select(above, hi, above > hi);
}

// `y`, or `x` where that is a NaN: some drivers' exp and divisions lose it.
fn keep_nan(x: f32, y: f32) -> f32 {
    return select(y, x, x != x);
}

// From here on the results are 1 and -1, as f32.
const TANH_END: f32 = 8.848329;

// Numerator and denominator by x^2 are those of `TANH` in curves.rs. A driver's own tanh may be off by 1e-5.
fn hyperbolic_tangent(x: f32) -> f32 {
    let c = clip(x, -TANH_END, TANH_END);
    let s = c * c;
    let above = c * (1.0 + s * (0.13382687 + s * (0.0034974578 + s * (2.0635829e-5 + s * 1.33843e-8))));
    let below = 1.0 + s * (0.46716008 + s * (0.025884364 + s * (0.00032885183 + s * 7.790254e-7)));
    return select(above / below, select(-1.0, 1.0, x > 0.0), abs(x) >= TANH_END);
}

// From here on the normal distribution is 1 or 0, as f32.
const NORMAL_END: f32 = 5.325657;

// The normal distribution. Numerator and denominator by x^2 are those of `NORMAL` in curves.rs.
fn normal(x: f32) -> f32 {
    let c = clip(x, -NORMAL_END, NORMAL_END);
    let s = c * c;
    let above = c * (0.3989422 + s * (0.033372287 + s * (0.004650855 + s * (0.00016432237 + s * (6.3600287e-6 + s * 2.3386717e-8)))));
    let below = 1.0 + s * (0.25031802 + s * (0.028378725 + s * (0.0018589854 + s * (7.240043e-5 + s * 1.2165912e-6))));
    return select(0.5 + above / below, select(0.0, 1.0, x > 0.0), abs(x) >= NORMAL_END);
}

fn activate(kind: u32, x: f32, a: f32, b: f32) -> f32 {
    switch kind {
        case 1u: { // relu
            return select(x, 0.0, x < 0.0);
        }
        case 2u: { // leaky, slope a
            return select(x, a * x, x < 0.0);
        }
        case 3u: { // sigmoid
            let e = decay(x);
            return keep_nan(x, select(1.0, e, x < 0.0) / (1.0 + e));
        }
        case 4u: {
            return keep_nan(x, hyperbolic_tangent(x));
        }
        case 5u: { // gelu
            return keep_nan(x, x * normal(x));
        }
        case 6u: { // clamp to a..b (relu6 too)
            return clip(x, a, b);
        }
        case 8u: { // abs
            return abs(x);
        }
        default: {
            return x;
        }
    }
}

fn activate4(kind: u32, x: vec4<f32>, a: f32, b: f32) -> vec4<f32> {
    if kind == 0u {
        return x;
    }
    return vec4(
        activate(kind, x.x, a, b),
        activate(kind, x.y, a, b),
        activate(kind, x.z, a, b),
        activate(kind, x.w, a, b),
    );
}
