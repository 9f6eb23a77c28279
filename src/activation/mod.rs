//! Functions applied to each sum after the bias.
//!
//! `shaders/activation.wgsl` is the twin of [`Activation::apply`].

mod curves;

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::fmt;

use curves::DENSITY_AT_0;

/// What is applied to each output after the bias.
///
/// A NaN stays NaN through every one of them on the CPU.
///
/// ```
/// use channelwise::{Activation, Conv2d, Engine, Kernel};
/// use ndarray::array;
/// # fn main() -> channelwise::Result<()> {
///
/// let slope = Conv2d::new(Kernel::new(1, 2, vec![-1.0, 1.0])?);
/// let run = |act| Engine::cpu().run(&slope.clone().activation(act), &array![[1.0f32, 5.0, 3.0, 0.0]]);
/// assert_eq!(run(Activation::Relu)?, array![[4.0, 0.0, 0.0, 0.0]]);
/// assert_eq!(run(Activation::Abs)?, array![[4.0, 2.0, 3.0, 0.0]]);
/// assert_eq!(run(Activation::Clamp(-1.0, 1.0))?, array![[1.0, -1.0, -1.0, 0.0]]);
/// # Ok(()) }
/// ```
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
    /// `|x|`: the size of a derivative, say.
    Abs,
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

    /// The function in f32, as the CPU engine computes it without fused multiply-adds. With them
    /// sigmoid, tanh and gelu may differ in their last bits.
    #[must_use]
    #[inline(always)]
    pub fn apply(self, x: f32) -> f32 {
        let mut one = [x];
        self.apply_to::<false>(&mut one);
        one[0]
    }

    /// The function of each value, in place; `FUSED` where the instructions that this is compiled
    /// for have fused multiply-adds.
    ///
    /// Which function it is is asked outside of the loops, which are without branches or calls, so
    /// that compilers make vectors of them. A value becomes the same bits wherever it lies.
    #[inline(always)]
    pub(crate) fn apply_to<const FUSED: bool>(self, values: &mut [f32]) {
        match self {
            Self::None => {}
            // One loop for the three, whose bounds compilers do not see: of relu's the infinite one would fall
            // away, and of what is left LLVM makes a masked store, which takes Zen 3 as long as gelu.
            Self::Relu | Self::Relu6 | Self::Clamp(..) => {
                let (lo, hi) = match self {
                    Self::Relu6 => (0.0, 6.0),
                    Self::Clamp(lo, hi) => (lo, hi),
                    _ => (0.0, f32::INFINITY),
                };
                each(
                    values,
                    #[inline(always)]
                    |x| clip(x, lo, hi),
                );
            }
            // A product for all, for the same reason.
            Self::Leaky(a) => each(
                values,
                #[inline(always)]
                |x| x * if x < 0.0 { a } else { 1.0 },
            ),
            Self::Abs => each(values, f32::abs),
            Self::Sigmoid => each(values, curves::sigmoid::<FUSED>),
            Self::Tanh => each(values, curves::tanh::<FUSED>),
            Self::Gelu => each(values, curves::gelu::<FUSED>),
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
            Self::Abs => x.abs(),
        }
    }

    /// Largest slope: how much an error of the sum can grow.
    #[must_use]
    pub fn slope(self) -> f64 {
        match self {
            Self::None | Self::Relu | Self::Relu6 | Self::Tanh | Self::Clamp(..) | Self::Abs => 1.0,
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
    /// On GPUs sigmoid, tanh and gelu are made of sums, products, quotients and `exp`, and the bound follows from
    /// what WGSL lets each of them be off, however it rounds: sigmoid 4e-7 + |x| 2^-23 (4e-7 + 2^-23 at most),
    /// tanh 1.7e-6, gelu 1.2e-6 |x|. What is usual, rounding to nearest, is off by less than half of it.
    ///
    /// The CPU's functions are within less, which tests find going through the f32, with and without fused
    /// multiply-adds: sigmoid within `(4 + 1.25 |x|) 2^-24` of its value, tanh within `9 * 2^-24` of its value,
    /// gelu within `5.5 |x| 2^-24`, and the least f32 more.
    #[must_use]
    pub fn own_error(self, x: f64) -> f64 {
        let eps = f64::from(f32::EPSILON);
        match self {
            Self::None | Self::Relu | Self::Relu6 | Self::Clamp(..) | Self::Abs => 0.0,
            Self::Leaky(a) => eps * (f64::from(a) * x).abs(),
            Self::Sigmoid => 4e-7 + eps * x.abs().min(1.0),
            Self::Tanh => 1.7e-6,
            Self::Gelu => 1.2e-6 * x.abs(),
        }
    }

    /// The derivative in f32, as the CPU engine computes it without fused multiply-adds. At kinks and
    /// at NaN as [`exact_derivative`](Self::exact_derivative).
    #[must_use]
    #[inline(always)]
    pub fn derivative(self, x: f32) -> f32 {
        let mut one = [x];
        self.times_derivative::<false>(&mut one, &[1.0]);
        one[0]
    }

    /// Makes of each value the derivative there times its factor; as [`apply_to`](Self::apply_to).
    #[inline(always)]
    pub(crate) fn times_derivative<const FUSED: bool>(self, values: &mut [f32], factors: &[f32]) {
        match self {
            Self::None => scale(
                values,
                factors,
                #[inline(always)]
                |_| 1.0,
            ),
            Self::Relu => scale(
                values,
                factors,
                #[inline(always)]
                |x| within(x > 0.0),
            ),
            Self::Relu6 => scale(
                values,
                factors,
                #[inline(always)]
                |x| within(x > 0.0 && x < 6.0),
            ),
            Self::Leaky(a) => scale(
                values,
                factors,
                #[inline(always)]
                |x| if x > 0.0 { 1.0 } else { a },
            ),
            Self::Abs => scale(
                values,
                factors,
                #[inline(always)]
                |x| within(x > 0.0) - within(x < 0.0),
            ),
            Self::Sigmoid => scale(values, factors, curves::sigmoid_slope::<FUSED>),
            Self::Tanh => scale(values, factors, curves::tanh_slope::<FUSED>),
            Self::Gelu => scale(values, factors, curves::gelu_slope::<FUSED>),
            Self::Clamp(lo, hi) => scale(
                values,
                factors,
                #[inline(always)]
                |x| within(lo <= x && x <= hi),
            ),
        }
    }

    /// The derivative in f64: the definition.
    ///
    /// At its kinks it is what TensorFlow and PyTorch take: relu and relu6 have slope 0 there,
    /// leaky `a`, clamp 1 and abs 0. A NaN compares false, so relu, relu6, clamp and abs have slope 0 there
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
            Self::Abs => within(x > 0.0) - within(x < 0.0),
        }
    }

    /// How far from the derivative at `x` an engine may be whose argument is off by up to `off`:
    /// what the derivative changes by in `x - off ..= x + off`, and the error of its evaluation.
    ///
    /// A kink in reach counts with its whole jump. The others change by at most `off` times the
    /// largest second derivative, and by no more than the difference between their largest and
    /// smallest slope.
    ///
    /// The evaluation's error follows from what WGSL lets each operation be off, as that of
    /// [`own_error`](Self::own_error): sigmoid 8e-7, tanh 2.5e-6, gelu 2e-6.
    #[must_use]
    pub fn derivative_error(self, x: f64, off: f64) -> f64 {
        // An exact argument jumps nowhere, also on a kink.
        let jump = |kink: f64| off > 0.0 && (x - kink).abs() <= off;
        let either = |lo: f64, hi: f64| if jump(lo) || jump(hi) { 1.0 } else { 0.0 };
        match self {
            Self::None => 0.0,
            Self::Relu => either(0.0, 0.0),
            Self::Abs => 2.0 * either(0.0, 0.0),
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
            Self::None
            | Self::Relu
            | Self::Relu6
            | Self::Leaky(_)
            | Self::Clamp(..)
            | Self::Abs => false,
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
            | Self::Gelu
            | Self::Abs => None,
        }
    }
}

/// What `function` makes of each value.
#[inline(always)]
fn each(values: &mut [f32], function: impl Fn(f32) -> f32) {
    for x in values {
        *x = function(*x);
    }
}

/// What `function` makes of each value, times its factor.
#[inline(always)]
fn scale(values: &mut [f32], factors: &[f32], function: impl Fn(f32) -> f32) {
    for (x, factor) in values.iter_mut().zip(factors) {
        *x = factor * function(*x);
    }
}

/// The slope of a function that is constant outside of where it is the identity.
#[inline(always)]
fn within(inside: bool) -> f32 {
    if inside { 1.0 } else { 0.0 }
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
            Self::Abs => f.write_str("abs"),
        }
    }
}

#[cfg(test)]
mod construction;
#[cfg(test)]
mod tests;
