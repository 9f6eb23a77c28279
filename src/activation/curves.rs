//! Sigmoid, tanh and gelu in f32, and their slopes: plain arithmetic, comparisons and bits, without
//! branches, tables or calls, so that compilers make vectors of loops over them.
//!
//! `FUSED` says whether `a * b + c` is rounded once; where the instructions cannot, fused would be a call.
//! Unfused, bits are the same on every machine.
//!
//! The polynomials are minimax fits for the *relative* error (Lawson's weights on Chebyshev nodes, in f64),
//! with a first coefficient of 1 where small arguments are to be exact; that of [`NORMAL`] is for the
//! absolute error. Bounds of what the functions give are in `cpu/sink/activation.rs`, whose tests go through all f32
//! from 2^-32 to 128 and a part of the others.

/// The density φ of the normal distribution at 0: `1 / sqrt(2 π)`.
pub(super) const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;

/// `a * b + c`.
#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// The polynomial of these coefficients, the constant one first, by Horner's rule.
#[inline(always)]
fn polynomial<const FUSED: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut sum = 0.0;
    for (i, c) in coefficients.into_iter().rev().enumerate() {
        sum = if i == 0 { c } else { multiply_add::<FUSED>(sum, x, c) };
    }
    sum
}

/// 2^f for |f| <= 1/2, off by 9.3e-8 of it.
#[expect(clippy::approx_constant, reason = "fitted: near ln(2), and better here")]
const EXP2: [f32; 6] = [1.0, 0.693_147, 0.240_222_41, 0.055_507_35, 0.009_671_619, 0.001_326_459_1];

/// Added to a number and taken away again it rounds to integers: beside 1.5 * 2^23 an ulp is 1. Its last
/// bits then hold the integer plus 191: the exponent of f32, whose bias is 127, of 64 more.
const TO_INTEGER: f32 = 12_582_912.0 + 191.0;

/// 2^-64: takes back what [`raised_exp2`] is raised by.
const LOWER: f32 = 5.421_011e-20;

/// `2^64 * 2^(rate * x)` for `-190 <= rate * x <= 63`, where its exponent is one of normal numbers.
///
/// `rate * x = n + f` with an integer `n`. Raised by 2^64 it is normal where 2^n is not, so that
/// lowering it again rounds once, to 0 in the end.
#[inline(always)]
fn raised_exp2<const FUSED: bool>(x: f32, rate: f32) -> f32 {
    let shifted = multiply_add::<FUSED>(x, rate, TO_INTEGER);
    let n = shifted - TO_INTEGER;
    let f = multiply_add::<FUSED>(x, rate, -n);
    let power = f32::from_bits(shifted.to_bits() << 23);
    polynomial::<FUSED, 6>(f, EXP2) * power
}

/// `exp(-|x|)`.
#[inline(always)]
fn decay<const FUSED: bool>(x: f32) -> f32 {
    // exp(-104) is less than half of the least f32. NaN is not above it and stays.
    let x = if x.abs() > 104.0 { 104.0 } else { x.abs() };
    raised_exp2::<FUSED>(x, -std::f32::consts::LOG2_E) * LOWER
}

/// `1 / (1 + exp(-x))`, of an exponential that does not overflow: for negative `x` it is
/// `exp(x) / (1 + exp(x))`.
#[inline(always)]
pub(super) fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    let e = decay::<FUSED>(x);
    (if x.is_sign_negative() { e } else { 1.0 }) / (1.0 + e)
}

/// `exp(-|x|) / (1 + exp(-|x|))^2`, where nothing cancels.
#[inline(always)]
pub(super) fn sigmoid_slope<const FUSED: bool>(x: f32) -> f32 {
    let e = decay::<FUSED>(x);
    e / ((1.0 + e) * (1.0 + e))
}

/// Numerator and denominator of `tanh(x) / x` by `x^2` for |x| <= 9.02, off by 2.2e-8 of it. All but the first
/// of the numerator were made smaller by 2^-23 of themselves, so that rounding brings nothing above 1.
pub(super) const TANH: [[f32; 5]; 2] = [
    [1.0, 0.133_826_87, 0.003_497_457_8, 2.063_582_9e-5, 1.338_43e-8],
    [1.0, 0.467_160_08, 0.025_884_364, 0.000_328_851_83, 7.790_254e-7],
];

/// From here on the result is 1: one of the numbers for which [`TANH`] gives just that, fused or not. In
/// truth it is 4.1e-8 less.
pub(super) const TANH_END: f32 = 8.848_329;

/// The hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh<const FUSED: bool>(x: f32) -> f32 {
    // NaN is neither below nor above and stays.
    let x = if x < -TANH_END { -TANH_END } else { x };
    let x = if x > TANH_END { TANH_END } else { x };
    let square = x * x;
    x * polynomial::<FUSED, 5>(square, TANH[0]) / polynomial::<FUSED, 5>(square, TANH[1])
}

/// `tanh(x) = 2 sigmoid(2 x) - 1`.
#[inline(always)]
pub(super) fn tanh_slope<const FUSED: bool>(x: f32) -> f32 {
    4.0 * sigmoid_slope::<FUSED>(2.0 * x)
}

/// Numerator and denominator of `(Φ(x) - 1/2) / x` by `x^2` for |x| <= 5.4: off by less than 5.5e-9 in Φ. The
/// numerator was made smaller by 2^-24 of itself, so that rounding brings no Φ below 0 or above 1.
pub(super) const NORMAL: [[f32; 6]; 2] = [
    [0.398_942_2, 0.033_372_287, 0.004_650_855, 0.000_164_322_37, 6.360_028_7e-6, 2.338_671_7e-8],
    [1.0, 0.250_318_02, 0.028_378_725, 0.001_858_985_4, 7.240_043e-5, 1.216_591_2e-6],
];

/// From here on Φ is 1 in f32, or 0: one of the numbers for which [`NORMAL`] gives just that, fused or
/// not. In truth it is 5.0e-8 away.
pub(super) const NORMAL_END: f32 = 5.325_657;

/// The normal distribution `Φ(x)`.
#[inline(always)]
fn normal<const FUSED: bool>(x: f32) -> f32 {
    // NaN is neither below nor above and stays.
    let x = if x < -NORMAL_END { -NORMAL_END } else { x };
    let x = if x > NORMAL_END { NORMAL_END } else { x };
    let square = x * x;
    let numerator = x * polynomial::<FUSED, 6>(square, NORMAL[0]);
    0.5 + numerator / polynomial::<FUSED, 6>(square, NORMAL[1])
}

/// `x * Φ(x)`. Infinity times 0 is NaN at negative infinity, as in the definition.
#[inline(always)]
pub(super) fn gelu<const FUSED: bool>(x: f32) -> f32 {
    x * normal::<FUSED>(x)
}

/// `Φ(x) + x φ(x)`.
#[inline(always)]
pub(super) fn gelu_slope<const FUSED: bool>(x: f32) -> f32 {
    // The density φ is 0 in f32 beyond. NaN is not above it and stays.
    let a = if x.abs() > 14.5 { 14.5 } else { x.abs() };
    let raised = raised_exp2::<FUSED>(a * a, -0.5 * std::f32::consts::LOG2_E);
    let density = raised * (DENSITY_AT_0 as f32 * LOWER);
    multiply_add::<FUSED>(x, density, normal::<FUSED>(x))
}
