// Twin of `Activation` in src/activation.rs.

// The error function, Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7.
fn erf(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.3275911 * abs(x));
    let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(x) * (1.0 - poly * exp(-x * x));
}

// Comparisons rather than min and max, which may drop a NaN.
fn clip(x: f32, lo: f32, hi: f32) -> f32 {
    let above = select(x, lo, x < lo);
    return select(above, hi, above > hi);
}

// `y`, or `x` where that is a NaN: some drivers' exp and tanh lose it.
fn keep_nan(x: f32, y: f32) -> f32 {
    return select(y, x, x != x);
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
            return keep_nan(x, 1.0 / (1.0 + exp(-x)));
        }
        case 4u: { // tanh, constant in f32 well before it could overflow
            return keep_nan(x, tanh(clip(x, -15.0, 15.0)));
        }
        case 5u: { // gelu
            return keep_nan(x, 0.5 * x * (1.0 + erf(x * 0.70710678)));
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
