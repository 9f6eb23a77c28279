// Twin of `Activation::derivative` in src/activation.rs.

fn derivative(kind: u32, x: f32, a: f32, b: f32) -> f32 {
    switch kind {
        case 1u: { // relu
            return select(0.0, 1.0, x > 0.0);
        }
        case 2u: { // leaky, slope a
            return select(a, 1.0, x > 0.0);
        }
        case 3u: { // sigmoid
            let y = activate(3u, x, a, b);
            return y * (1.0 - y);
        }
        case 4u: { // tanh
            let y = activate(4u, x, a, b);
            return 1.0 - y * y;
        }
        case 5u: { // gelu: the normal distribution, and x times its density
            return keep_nan(x, 0.5 * (1.0 + erf(x * 0.70710678)) + x * 0.39894228 * exp(-0.5 * x * x));
        }
        case 6u: { // clamp to a..b: its ends have slope 1
            return select(0.0, 1.0, x >= a && x <= b);
        }
        case 7u: { // relu6: its ends have slope 0
            return select(0.0, 1.0, x > 0.0 && x < b);
        }
        case 8u: { // abs: its kink has slope 0
            return select(0.0, 1.0, x > 0.0) - select(0.0, 1.0, x < 0.0);
        }
        default: {
            return 1.0;
        }
    }
}
