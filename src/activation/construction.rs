//! How far off the shaders' activations may be, by what WGSL lets each of their operations be off: sums and
//! products by a neighbour of f32, quotients by 2.5 units in the last place, `exp(x)` by `3 + 2 |x|` ("Accuracy of
//! floating point expressions"); what is below the normal range may be 0. Operations that are fused are off by less.
//!
//! The formulas here are those of `shaders/activation.wgsl` and `shaders/derivative.wgsl`, with numbers that know how
//! far off they may be. The bounds hold where they are looked at, at some ten thousand arguments, between which
//! neither function nor error changes by a part of what is left of the bound.

use super::curves::{DENSITY_AT_0, NORMAL, NORMAL_END, TANH, TANH_END};
use super::*;

/// The distance to the next f32, or to 0 where that is what a device may store instead.
fn ulp(size: f64) -> f64 {
    if size < f64::from(f32::MIN_POSITIVE) {
        return f32::MIN_POSITIVE.into();
    }
    2f64.powi(size.log2().floor() as i32 - 23)
}

/// What a formula gives without roundings, and how far from that a device may be.
#[derive(Clone, Copy)]
struct Off {
    value: f64,
    by: f64,
}

impl Off {
    fn exact(value: f32) -> Self {
        Self { value: value.into(), by: 0.0 }
    }

    /// With so many units in the last place more.
    fn rounded(value: f64, by: f64, ulps: f64) -> Self {
        Self { value, by: by + ulps * ulp(value.abs() + by) }
    }

    fn plus(self, other: Self) -> Self {
        Self::rounded(self.value + other.value, self.by + other.by, 1.0)
    }

    fn times(self, other: Self) -> Self {
        let by = self.value.abs() * other.by + other.value.abs() * self.by + self.by * other.by;
        Self::rounded(self.value * other.value, by, 1.0)
    }

    fn over(self, other: Self) -> Self {
        let value = self.value / other.value;
        let by = (self.by + value.abs() * other.by) / (other.value.abs() - other.by);
        Self::rounded(value, by, 2.5)
    }

    fn exp(self) -> Self {
        let value = self.value.exp();
        Self::rounded(value, value * self.by.exp_m1(), 3.0 + 2.0 * self.value.abs())
    }
}

/// Numerator times `x` over denominator, polynomials of the square of `x`, whose rounding moves both of them
/// together.
fn ratio<const N: usize>(x: f32, [above, below]: [[f32; N]; 2]) -> Off {
    let of = |square: f64| {
        let polynomial = |coefficients: [f32; N]| {
            let horner =
                |sum: Off, c: &f32| Off::exact(*c).plus(sum.times(Off { value: square, by: 0.0 }));
            let (last, rest) = coefficients.split_last().unwrap();
            rest.iter().rev().fold(Off::exact(*last), horner)
        };
        Off::exact(x).times(polynomial(above)).over(polynomial(below))
    };
    let square = f64::from(x) * f64::from(x);
    let there = of(square);
    let moved = [-1.0, 1.0].map(|way| {
        let other = of(square * (1.0 + way * f64::from(f32::EPSILON)));
        (other.value - there.value).abs()
    });
    Off { by: there.by + moved[0].max(moved[1]), ..there }
}

fn hyperbolic_tangent(x: f32) -> Off {
    if x.abs() >= TANH_END { Off::exact(x.signum()) } else { ratio(x, TANH) }
}

fn normal(x: f32) -> Off {
    if x.abs() >= NORMAL_END {
        return Off::exact(if x > 0.0 { 1.0 } else { 0.0 });
    }
    Off::exact(0.5).plus(ratio(x, NORMAL))
}

fn decay(x: f32) -> Off {
    Off::exact(-x.abs()).exp()
}

fn sigmoid_slope(x: f32) -> Off {
    let e = decay(x);
    let below = Off::exact(1.0).plus(e);
    e.over(below.times(below))
}

fn made(activation: Activation, x: f32) -> Off {
    match activation {
        Activation::Sigmoid => {
            let e = decay(x);
            let above = if x < 0.0 { e } else { Off::exact(1.0) };
            above.over(Off::exact(1.0).plus(e))
        }
        Activation::Tanh => hyperbolic_tangent(x),
        Activation::Gelu => Off::exact(x).times(normal(x)),
        Activation::Leaky(a) if x < 0.0 => Off::exact(a).times(Off::exact(x)),
        // Comparisons and signs, which are exact.
        other => Off { value: other.exact(x.into()), by: 0.0 },
    }
}

fn slope(activation: Activation, x: f32) -> Off {
    match activation {
        Activation::Sigmoid => sigmoid_slope(x),
        Activation::Tanh => Off::exact(4.0).times(sigmoid_slope(2.0 * x)),
        Activation::Gelu => {
            let half = Off::exact(-0.5).times(Off::exact(x).times(Off::exact(x)));
            let density = Off::exact(DENSITY_AT_0 as f32).times(half.exp());
            normal(x).plus(Off::exact(x).times(density))
        }
        other => Off { value: other.exact_derivative(x.into()), by: 0.0 },
    }
}

/// Close to each other where functions bend, and far out.
fn arguments() -> impl Iterator<Item = f32> {
    let near = (-14_000..=14_000).map(|i| i as f32 / 1000.0);
    let small = (1..200).flat_map(|i| [1.0, -1.0].map(|sign| sign * 0.9f32.powi(i)));
    let far = (15..120).flat_map(|i| [i as f32, -i as f32]);
    near.chain(small).chain(far)
}

#[test]
fn what_wgsl_allows_is_within_the_bound() {
    for activation in super::tests::ALL {
        let mut used = [0.0f64; 2];
        for x in arguments() {
            let at = f64::from(x);
            let exact = [activation.exact(at), activation.exact_derivative(at)];
            let most = [activation.own_error(at), activation.derivative_error(at, 0.0)];
            let there = [made(activation, x), slope(activation, x)];
            for i in 0..2 {
                let far = (there[i].value - exact[i]).abs() + there[i].by;
                let most = most[i] + f64::from(f32::MIN_POSITIVE);
                assert!(far <= most, "{activation} at {x}: {far:e} of {most:e}");
                used[i] = used[i].max(far / most);
            }
        }
        println!("{activation}: {used:?} of the bounds");
        // Not much wider than it has to be.
        assert!(activation.own_error(1.0) == 0.0 || used[0] > 0.7, "{activation}: {used:?}");
    }
}

/// The numbers in the shaders are those of the formulas here.
#[test]
fn shaders_have_these_numbers() {
    let text = include_str!("../../shaders/activation.wgsl");
    let body = |name: &str| {
        let from = text.find(&format!("fn {name}(")).unwrap_or_else(|| panic!("no {name}"));
        let all = &text[from..];
        &all[..all.find("\n}").unwrap()]
    };
    // Those of a line in order, but for the 1 that numbers what is outside of the brackets.
    let numbers = |line: &str| -> Vec<f32> {
        let words = line.split(|c: char| !(c.is_ascii_digit() || "e.-".contains(c)));
        words.filter(|w| w.contains('.')).map(|w| w.parse().unwrap()).collect()
    };
    let polynomials = |name: &str| -> Vec<Vec<f32>> {
        let lines = body(name).lines();
        lines.filter(|line| line.contains("s * (")).map(numbers).collect()
    };
    assert_eq!(polynomials("hyperbolic_tangent"), TANH.map(Vec::from));
    assert_eq!(polynomials("normal"), NORMAL.map(Vec::from));
    for (name, value) in [("TANH_END", TANH_END), ("NORMAL_END", NORMAL_END)] {
        let line = text.lines().find(|line| line.starts_with(&format!("const {name}"))).unwrap();
        assert_eq!(numbers(line.split('=').nth(1).unwrap()), [value]);
    }
    let derivative = include_str!("../../shaders/derivative.wgsl");
    assert!(derivative.contains(&format!("x * ({} * exp", DENSITY_AT_0 as f32)));
}
