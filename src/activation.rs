//! Functions applied to each sum after the bias.
//!
//! `shaders/activation.wgsl` is the twin of [`Activation::apply`].

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::fmt;

/// The density φ of the normal distribution at 0: `1 / sqrt(2 π)`.
const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;

/// What is applied to each output after the bias.
///
/// A NaN stays NaN through every one of them on the CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// The sum itself.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x` where positive, `a * x` elsewhere (leaky ReLU with slope `a`).
    Leaky(f32),
    /// `1 / (1 + exp(-x))`; its results need a float output.
    Sigmoid,
    /// Hyperbolic tangent; its results need a float output.
    Tanh,
    /// `x * Φ(x)` with the exact normal distribution (PyTorch's and Keras' default), not the
    /// tanh approximation; its results need a float output.
    Gelu,
    /// `min(max(x, lo), hi)`.
    Clamp(f32, f32),
}

impl Activation {
    /// Whether both are the same to the bit.
    pub(crate) fn same_bits(self, other: Self) -> bool {
        match (self, other) {
            (Self::Leaky(a), Self::Leaky(b)) => a.to_bits() == b.to_bits(),
            (Self::Clamp(a, b), Self::Clamp(c, d)) => {
                [a, b].map(f32::to_bits) == [c, d].map(f32::to_bits)
            }
            _ => self == other,
        }
    }

    /// The function in f32, as the CPU engine computes it.
    #[must_use]
    #[inline(always)]
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::None => x,
            Self::Relu => clip(x, 0.0, f32::INFINITY),
            Self::Relu6 => clip(x, 0.0, 6.0),
            Self::Leaky(a) => {
                if x < 0.0 {
                    a * x
                } else {
                    x
                }
            }
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
            Self::Gelu => 0.5 * x * libm::erfcf(-x * std::f32::consts::FRAC_1_SQRT_2),
            Self::Clamp(lo, hi) => clip(x, lo, hi),
        }
    }

    /// The function in f64: the definition.
    #[must_use]
    pub fn exact(self, x: f64) -> f64 {
        let clip = |lo: f64, hi: f64| {
            if x < lo {
                lo
            } else if x > hi {
                hi
            } else {
                x
            }
        };
        match self {
            Self::None => x,
            Self::Relu => clip(0.0, f64::INFINITY),
            Self::Relu6 => clip(0.0, 6.0),
            Self::Leaky(a) if x < 0.0 => f64::from(a) * x,
            Self::Leaky(_) => x,
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
            Self::Gelu => 0.5 * x * libm::erfc(-x * FRAC_1_SQRT_2),
            Self::Clamp(lo, hi) => clip(f64::from(lo), f64::from(hi)),
        }
    }

    /// Largest slope: how much an error of the sum can grow.
    #[must_use]
    pub fn slope(self) -> f64 {
        match self {
            Self::None | Self::Relu | Self::Relu6 | Self::Tanh | Self::Clamp(..) => 1.0,
            Self::Sigmoid => 0.25,
            Self::Leaky(a) => f64::from(a).abs().max(1.0),
            // At x = sqrt(2): Φ(x) + x φ(x).
            Self::Gelu => {
                0.5 * libm::erfc(-1.0) + (2.0_f64).sqrt() * (-1.0_f64).exp() / (2.0 * PI).sqrt()
            }
        }
    }

    /// Error the function itself may add at result `y`, beyond that of its argument.
    ///
    /// WGSL lets `exp` and `tanh` be off by several ulp (and GPUs use approximations whose error
    /// is absolute near 0); the WGSL `erf` is a rational approximation with absolute error 1.5e-7
    /// (Abramowitz and Stegun 7.1.26), which gelu multiplies by `x`.
    #[must_use]
    pub fn own_error(self, x: f64) -> f64 {
        let eps = f64::from(f32::EPSILON);
        match self {
            Self::None | Self::Relu | Self::Relu6 | Self::Clamp(..) => 0.0,
            Self::Leaky(a) => eps * (f64::from(a) * x).abs(),
            Self::Sigmoid => 4e-7 + eps * x.abs().min(1.0),
            Self::Tanh => 1e-6,
            Self::Gelu => (4e-7 + 2.0 * eps) * x.abs(),
        }
    }

    /// The derivative in f32, as the CPU engine computes it. At kinks and at NaN as
    /// [`exact_derivative`](Self::exact_derivative).
    #[must_use]
    #[inline(always)]
    pub fn derivative(self, x: f32) -> f32 {
        let within = |inside: bool| if inside { 1.0 } else { 0.0 };
        match self {
            Self::None => 1.0,
            Self::Relu => within(x > 0.0),
            Self::Relu6 => within(x > 0.0 && x < 6.0),
            Self::Leaky(a) => {
                if x > 0.0 {
                    1.0
                } else {
                    a
                }
            }
            Self::Sigmoid => {
                let y = self.apply(x);
                y * (1.0 - y)
            }
            Self::Tanh => {
                let y = self.apply(x);
                1.0 - y * y
            }
            Self::Gelu => {
                let below = 0.5 * libm::erfcf(-x * std::f32::consts::FRAC_1_SQRT_2);
                below + x * ((-0.5 * x * x).exp() * (DENSITY_AT_0 as f32))
            }
            Self::Clamp(lo, hi) => within(lo <= x && x <= hi),
        }
    }

    /// The derivative in f64: the definition.
    ///
    /// At its kinks it is what TensorFlow and PyTorch take: relu and relu6 have slope 0 there,
    /// leaky `a`, and clamp 1. A NaN compares false, so relu, relu6 and clamp have slope 0 there
    /// and leaky `a`; the others are NaN, and gelu is NaN at infinities too, as in PyTorch.
    #[must_use]
    pub fn exact_derivative(self, x: f64) -> f64 {
        let within = |inside: bool| if inside { 1.0 } else { 0.0 };
        match self {
            Self::None => 1.0,
            Self::Relu => within(x > 0.0),
            Self::Relu6 => within(x > 0.0 && x < 6.0),
            Self::Leaky(_) if x > 0.0 => 1.0,
            Self::Leaky(a) => f64::from(a),
            // s (1 - s), where nothing cancels; even.
            Self::Sigmoid => {
                let e = (-x.abs()).exp();
                e / ((1.0 + e) * (1.0 + e))
            }
            // tanh(x) = 2 sigmoid(2 x) - 1.
            Self::Tanh => 4.0 * Self::Sigmoid.exact_derivative(2.0 * x),
            // Φ(x) + x φ(x)
            Self::Gelu => {
                0.5 * libm::erfc(-x * FRAC_1_SQRT_2) + x * (-0.5 * x * x).exp() * DENSITY_AT_0
            }
            Self::Clamp(lo, hi) => within(f64::from(lo) <= x && x <= f64::from(hi)),
        }
    }

    /// How far from the derivative at `x` an engine may be whose argument is off by up to `off`:
    /// what the derivative changes by in `x - off ..= x + off`, and the error of its evaluation.
    ///
    /// A kink in reach counts with its whole jump. The others change by at most `off` times the
    /// largest second derivative, and by no more than the difference between their largest and
    /// smallest slope.
    ///
    /// The evaluation's error follows from [`own_error`](Self::own_error). Sigmoid: that of `s`,
    /// 5.2e-7 at most, once more for two roundings. Tanh: twice that of `t`, 2e-6, and two roundings.
    /// Gelu: that of `Φ`, 6.4e-7; of `x φ(x)`, where WGSL lets `exp(y)` be off by `3 + 2 |y|` ulp
    /// and `y` is rounded twice, 2.8e-7; and a rounding.
    #[must_use]
    pub fn derivative_error(self, x: f64, off: f64) -> f64 {
        // An exact argument jumps nowhere, also on a kink.
        let jump = |kink: f64| off > 0.0 && (x - kink).abs() <= off;
        let either = |lo: f64, hi: f64| if jump(lo) || jump(hi) { 1.0 } else { 0.0 };
        match self {
            Self::None => 0.0,
            Self::Relu => either(0.0, 0.0),
            Self::Relu6 => either(0.0, 6.0),
            Self::Leaky(a) => (1.0 - f64::from(a)).abs() * either(0.0, 0.0),
            Self::Clamp(lo, hi) => either(f64::from(lo), f64::from(hi)),
            Self::Sigmoid => (0.0963 * off).min(0.25) + 8e-7,
            Self::Tanh => (0.7699 * off).min(1.0) + 2.5e-6,
            // Its second derivative φ(x) (2 - x²) is largest at 0, its slope largest and smallest
            // at sqrt(2) and -sqrt(2).
            Self::Gelu => (2.0 * DENSITY_AT_0 * off).min(2.0 * self.slope() - 1.0) + 2e-6,
        }
    }

    /// Whether the results only make sense in a float output.
    #[must_use]
    pub fn needs_float(self) -> bool {
        match self {
            Self::Sigmoid | Self::Tanh | Self::Gelu => true,
            Self::None | Self::Relu | Self::Relu6 | Self::Leaky(_) | Self::Clamp(..) => false,
        }
    }

    /// The value of a parameter that is not a number, if there is one.
    pub(crate) fn invalid(self) -> Option<String> {
        match self {
            Self::Leaky(a) if !a.is_finite() => Some(format!("slope {a} must be finite")),
            Self::Clamp(lo, hi) if lo.is_nan() || hi.is_nan() || lo > hi => {
                Some(format!("bounds {lo}, {hi} must be in order"))
            }
            Self::Leaky(_)
            | Self::Clamp(..)
            | Self::None
            | Self::Relu
            | Self::Relu6
            | Self::Sigmoid
            | Self::Tanh
            | Self::Gelu => None,
        }
    }
}

/// `x` between the bounds; NaN stays NaN, which `f32::max` would not do.
#[inline(always)]
fn clip(x: f32, lo: f32, hi: f32) -> f32 {
    let x = if x < lo { lo } else { x };
    if x > hi { hi } else { x }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Relu => f.write_str("relu"),
            Self::Relu6 => f.write_str("relu6"),
            Self::Leaky(a) => write!(f, "leaky:{a}"),
            Self::Sigmoid => f.write_str("sigmoid"),
            Self::Tanh => f.write_str("tanh"),
            Self::Gelu => f.write_str("gelu"),
            Self::Clamp(lo, hi) => write!(f, "clamp:{lo},{hi}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 8] = [
        Activation::None,
        Activation::Relu,
        Activation::Relu6,
        Activation::Leaky(0.1),
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Gelu,
        Activation::Clamp(-1.5, 2.0),
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
            Activation::Relu | Activation::Leaky(_) => vec![0.0],
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
                let (got, want) =
                    (f64::from(act.derivative(x)), act.exact_derivative(f64::from(x)));
                let allowed = act.derivative_error(f64::from(x), 0.0);
                assert!((got - want).abs() <= allowed, "{act} at {x}: {got} for {want}");
            }
        }
    }

    /// What the shader's formulas give in f32, with its `erf`, lies within the bound too.
    #[test]
    fn shader_formulas_are_within_the_error() {
        for i in -2000..=2000 {
            let x = i as f32 / 100.0;
            let t = 1.0 / (1.0 + 0.327_591_1 * (x * std::f32::consts::FRAC_1_SQRT_2).abs());
            let poly = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6]
                .iter()
                .fold(0.0, |sum: f32, c| t * (c + sum));
            let erf = x.signum() * (1.0 - poly * (-0.5 * x * x).exp());
            let got = 0.5 * (1.0 + erf) + x * (-0.5 * x * x).exp() * 0.398_942_3;
            let gelu = Activation::Gelu;
            let off = (f64::from(got) - gelu.exact_derivative(x.into())).abs();
            assert!(off <= gelu.derivative_error(x.into(), 0.0), "at {x}: {off:e}");
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
}
