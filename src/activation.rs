//! Functions applied to each sum after the bias.
//!
//! `shaders/activation.wgsl` is the twin of [`Activation::apply`].

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::fmt;

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
}
