// Twin of `Activation::derivative` in src/activation.

// exp(-|x|) / (1 + exp(-|x|))^2, where nothing cancels.
fn sigmoid_slope(x: f32) -> f32 {
    let e = decay(x);
    return e / ((1.0 + e) * (1.0 + e));
}

fn derivative(kind: u32, x: f32, a: f32, b: f32) -> f32 {
    switch kind {
        case 1u: { // relu
            return select(0.0, 1.0, x > 0.0);
        }
        case 2u: { // leaky, slope a
            return select(a, 1.0, x > 0.0);
        }
        case 3u: { // sigmoid
            return keep_nan(x, sigmoid_slope(x));
        }
        case 4u: { // tanh
            return keep_nan(x, 4.0 * sigmoid_slope(2.0 * x));
        }
        case 5u: { // gelu: the normal distribution, and x times its density
            return keep_nan(x, normal(x) + x * (0.3989423 * exp(-0.5 * (x * x))));
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
