//! Bounds, slopes and special values of activations.

use super::*;

pub(super) const ALL: [Activation; 9] = [
    Activation::None,
    Activation::Relu,
    Activation::Relu6,
    Activation::Leaky(0.1),
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::Gelu,
    Activation::Clamp(-1.5, 2.0),
    Activation::Abs,
];

#[test]
fn f32_follows_f64() {
    for act in ALL {
        for i in -400..=400 {
            let x = i as f32 / 20.0;
            let (got, want) = (f64::from(act.apply(x)), act.exact(f64::from(x)));
            let allowed = act.own_error(f64::from(x)) + f64::from(f32::EPSILON) * want.abs();
            assert!((got - want).abs() <= allowed, "{act} at {x}: {got} for {want}");
        }
    }
}

#[test]
fn slope_is_a_bound() {
    for act in ALL {
        for i in -500..500 {
            let (a, b) = (f64::from(i) / 50.0, f64::from(i + 1) / 50.0);
            let slope = (act.exact(b) - act.exact(a)).abs() / (b - a);
            assert!(slope <= act.slope() + 1e-9, "{act} at {a}: {slope}");
        }
    }
}

#[test]
fn nan_stays() {
    for act in ALL {
        assert!(act.apply(f32::NAN).is_nan() && act.exact(f64::NAN).is_nan(), "{act}");
    }
}

#[test]
fn known_values() {
    assert!((Activation::Gelu.exact(1.0) - 0.841_344_746_068_543).abs() < 1e-12);
    assert_eq!(Activation::Leaky(0.25).exact(-2.0), -0.5);
    assert_eq!(Activation::Relu6.apply(9.0), 6.0);
}

/// Where the slope jumps.
fn kinks(act: Activation) -> Vec<f64> {
    match act {
        Activation::Relu | Activation::Leaky(_) | Activation::Abs => vec![0.0],
        Activation::Relu6 => vec![0.0, 6.0],
        Activation::Clamp(lo, hi) => vec![lo.into(), hi.into()],
        _ => vec![],
    }
}

#[test]
fn f32_derivative_follows_f64() {
    for act in ALL {
        for i in -2000..=2000 {
            let x = i as f32 / 100.0;
            let (got, want) = (f64::from(act.derivative(x)), act.exact_derivative(f64::from(x)));
            let allowed = act.derivative_error(f64::from(x), 0.0);
            assert!((got - want).abs() <= allowed, "{act} at {x}: {got} for {want}");
        }
    }
}

#[test]
fn derivative_is_the_limit_of_differences() {
    let h = 1e-5;
    for act in ALL {
        let mut tried = 0;
        for i in -4000..=4000 {
            let x = f64::from(i) / 300.0 + 0.000_1;
            if kinks(act).iter().any(|k| (x - k).abs() <= h) {
                continue;
            }
            tried += 1;
            let want = (act.exact(x + h) - act.exact(x - h)) / (2.0 * h);
            let got = act.exact_derivative(x);
            assert!((got - want).abs() <= 1e-9, "{act} at {x}: {got} for {want}");
        }
        assert!(tried > 7990, "{act}");
    }
}

#[test]
fn kinks_are_as_in_tensorflow_and_pytorch() {
    for (act, at) in [
        (Activation::Relu, &[(0.0, 0.0), (-0.0, 0.0), (1e-30, 1.0)][..]),
        (Activation::Relu6, &[(0.0, 0.0), (6.0, 0.0), (5.999_999_5, 1.0), (7.0, 0.0)]),
        (Activation::Leaky(0.25), &[(0.0, 0.25), (1e-30, 1.0), (-1.0, 0.25)]),
        (Activation::Clamp(-1.5, 2.0), &[(-1.5, 1.0), (2.0, 1.0), (-1.500_1, 0.0)]),
        (Activation::Clamp(-1.5, 2.0), &[(2.000_1, 0.0), (f32::NAN, 0.0)]),
        (Activation::Relu, &[(f32::NAN, 0.0), (f32::INFINITY, 1.0)]),
        (Activation::Leaky(0.25), &[(f32::NAN, 0.25), (f32::NEG_INFINITY, 0.25)]),
        (Activation::Sigmoid, &[(f32::INFINITY, 0.0), (f32::NEG_INFINITY, 0.0)]),
        (Activation::Tanh, &[(f32::INFINITY, 0.0), (f32::NEG_INFINITY, 0.0)]),
    ] {
        for &(x, want) in at {
            assert_eq!(act.derivative(x), want, "{act} at {x}");
            assert_eq!(act.exact_derivative(x.into()), f64::from(want), "{act} at {x}");
        }
    }
    for act in [Activation::Sigmoid, Activation::Tanh, Activation::Gelu] {
        assert!(act.derivative(f32::NAN).is_nan() && act.exact_derivative(f64::NAN).is_nan());
    }
}

#[test]
fn derivative_error_is_a_bound() {
    for act in ALL {
        // The largest part of its bound that a change took.
        let mut used: f64 = 0.0;
        for i in -800..=800 {
            // Multiples of powers of two, whose sums are exact.
            let x = f64::from(i) / 128.0;
            for off in [2f64.powi(-20), 2f64.powi(-10), 0.125, 1.0, 32.0] {
                let most = act.derivative_error(x, off) - act.derivative_error(x, 0.0);
                for j in -16..=16 {
                    let at = x + off * f64::from(j) / 16.0;
                    let change = (act.exact_derivative(at) - act.exact_derivative(x)).abs();
                    assert!(change <= most + 1e-12, "{act} from {x} to {at}: {change}");
                    if off > 1e-5 {
                        used = used.max(change / most.max(f64::MIN_POSITIVE));
                    }
                }
            }
        }
        assert!(used > 0.999 || act == Activation::None, "{act}: {used} of the bound");
    }
    // A kink counts where it is in reach, and not for an argument that is exact.
    assert_eq!(Activation::Relu.derivative_error(0.5, 0.4), 0.0);
    assert_eq!(Activation::Relu.derivative_error(-0.5, 0.5), 1.0);
    assert_eq!(Activation::Relu.derivative_error(0.0, 0.0), 0.0);
    assert_eq!(Activation::Relu6.derivative_error(5.5, 0.5), 1.0);
    assert_eq!(Activation::Leaky(0.25).derivative_error(0.5, 1.0), 0.75);
}
