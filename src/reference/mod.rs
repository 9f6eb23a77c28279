//! The definition as plain loops in f64, and how far a result may be from it.
//!
//! Nothing here is ever made fast. It reads the [`Conv2d`](crate::Conv2d) as given and shares with
//! the engines only the shape arithmetic, so it checks flipping and folding too.

mod gradient;
mod masked;

pub use gradient::{ExpectedGradients, adjoint, backward};
pub use masked::{at_masked, run_masked};

use half::f16;

use std::ops::RangeInclusive;

use crate::{Activation, Element, ElementType, Layout, Problem};

/// Unit round-off of f32: half the spacing at 1.
const EPS: f64 = f32::EPSILON as f64 / 2.0;
/// That of f64.
const EPS_OF_F64: f64 = f64::EPSILON / 2.0;

/// Unit round-off of what sums are made in.
fn eps(problem: &Problem) -> f64 {
    if in_f64(problem) { EPS_OF_F64 } else { EPS }
}

/// Whether they are made in f64.
fn in_f64(problem: &Problem) -> bool {
    problem.input_type().sums_in_f64() || problem.output_type().sums_in_f64()
}

/// The exact value of one output, before it is stored, and the error an engine may make.
///
/// ```
/// use channelwise::reference::Expected;
///
/// let y = Expected { value: 1.0, allowance: 1e-6 };
/// assert!(y.accepts(1.000_000_5f32) && !y.accepts(1.001f32));
/// assert!(y.accepts(1u8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// The formula in f64.
    pub value: f64,
    /// `2 * n * u * Σ|k·x|` carried through the activation, with `n` the number of taps (and the
    /// bias) and `u` the unit round-off of f32, 2^-24: twice the bound of a sum in any order. Of sums in
    /// f64 `u` is 2^-53, and half of it is the formula's own error. A sum that overflows on its way, where
    /// `Σ|k·x|` is beyond the largest float, is no part of it.
    pub allowance: f64,
}

impl Expected {
    /// Whether `got`, stored as element type `T`, is within the allowance.
    ///
    /// Integers must be what some value within the allowance rounds to (half to even, saturated).
    /// Where the formula gives a NaN, NaN is expected, 0 in integers; infinities must agree.
    #[must_use]
    pub fn accepts<T: Element>(&self, got: T) -> bool {
        let got = got.to_f64();
        let store = |v: f64| stored(T::TYPE, v);
        if !self.value.is_finite() {
            let want = store(self.value);
            return got == want || got.is_nan() && want.is_nan();
        }
        let (lo, hi) = (self.value - self.allowance, self.value + self.allowance);
        match T::TYPE {
            // Overflow to infinity is what f32 arithmetic gives at its end.
            ElementType::F32 if got.is_infinite() => {
                let most = f64::from(f32::MAX);
                if got > 0.0 { hi >= most } else { lo <= -most }
            }
            ElementType::F32 | ElementType::F64 => (lo..=hi).contains(&got),
            ElementType::U8
            | ElementType::I8
            | ElementType::U16
            | ElementType::I16
            | ElementType::U32
            | ElementType::I32
            | ElementType::F16 => (store(lo)..=store(hi)).contains(&got),
        }
    }

    /// The exact value, rounded once to `T`.
    #[must_use]
    pub fn nearest<T: Element>(&self) -> T {
        T::from_f64(stored(T::TYPE, self.value))
    }

    /// How far `got` is from the value, beyond what rounding to `T` explains.
    #[must_use]
    pub fn beyond<T: Element>(&self, got: T) -> f64 {
        let got = got.to_f64();
        let off = match T::TYPE.integers() {
            Some(whole) => (got - clamped(self.value, &whole)).abs() - 0.5,
            None if T::TYPE == ElementType::F16 && got == stored_half(self.value) => 0.0,
            None => (got - self.value).abs() - half_step(T::TYPE, got, self.value),
        };
        // NaN stays one.
        if off < 0.0 { 0.0 } else { off }
    }

    /// How much of the allowance `got` uses: 1 is the limit. Of types other than f32 the distance beyond
    /// rounding counts.
    #[must_use]
    pub fn usage<T: Element>(&self, got: T) -> f64 {
        if !self.accepts(got) {
            return f64::INFINITY;
        }
        let beyond = self.beyond(got);
        if beyond == 0.0 || !beyond.is_finite() { 0.0 } else { beyond / self.allowance }
    }
}

/// `value` as an element type holds it.
fn stored(element: ElementType, value: f64) -> f64 {
    match (element, element.integers()) {
        (_, Some(_)) if value.is_nan() => 0.0,
        (_, Some(whole)) => clamped(value.round_ties_even(), &whole),
        (ElementType::F16, None) => stored_half(value),
        (ElementType::F64, None) => value,
        (_, None) => f64::from(value as f32),
    }
}

/// The number from the first to the last of these that is nearest to `value`.
fn clamped(value: f64, whole: &RangeInclusive<i64>) -> f64 {
    value.clamp(*whole.start() as f64, *whole.end() as f64)
}

/// In one rounding; by way of f32, as processors do it, it would be two.
fn stored_half(value: f64) -> f64 {
    if !value.is_finite() {
        return value;
    }
    let exponent = ((value.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let step = 2f64.powi(exponent.max(-14) - 10);
    let rounded = (value / step).round_ties_even() * step;
    if rounded.abs() > 65_504.0 { value.signum() * f64::INFINITY } else { rounded }
}

/// Half the distance from `got` to its neighbour on the side of `value`: what lies within is rounded to
/// `got`. Of f32 nothing is taken off.
fn half_step(element: ElementType, got: f64, value: f64) -> f64 {
    let here = f16::from_f64(got);
    if element != ElementType::F16 || !here.is_finite() {
        return 0.0;
    }
    // Bits of floats of one sign rise with their magnitude.
    let away = got == 0.0 || (value > got) == (got > 0.0);
    let next = if away { here.to_bits() + 1 } else { here.to_bits() - 1 };
    match f16::from_bits(next).to_f64() {
        next if next.is_finite() => (next.abs() - got.abs()).abs() / 2.0,
        _ => 16.0,
    }
}

/// Output element `index` (counted in memory order) of `problem` on `input`.
///
/// `input` holds `problem.input_len()` elements in the layout of the problem.
///
/// ```
/// use channelwise::reference;
/// use channelwise::{Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let mean = Conv2d::new(Kernel::box_blur(1, 3)?);
/// let problem = Problem::new(&mean, [1, 4], ElementType::F32, ElementType::F32)?;
/// let y = reference::at(&problem, &[1.0f32, 2.0, 3.0, 4.0], 1);
/// assert!((y.value - 2.0).abs() < 1e-6 && y.accepts(2.0f32));
/// # Ok(()) }
/// ```
///
/// # Panics
/// If `input` is shorter than that or `index` is not below `problem.output_len()`.
#[must_use]
pub fn at<T: Element>(problem: &Problem, input: &[T], index: usize) -> Expected {
    at_within(problem, input, index, 0.0)
}

/// [`run`] for a plan whose [`Accuracy`](crate::Accuracy) has this `spread`.
///
/// ```
/// use channelwise::reference;
/// use channelwise::{Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let mean = Conv2d::new(Kernel::box_blur(1, 3)?);
/// let problem = Problem::new(&mean, [1, 4], ElementType::F32, ElementType::F32)?;
/// let x = [1.0f32, 2.0, 3.0, 4.0];
/// let (exact, wide) = (reference::run(&problem, &x), reference::run_within(&problem, &x, 10.0));
/// assert!(wide[0].value == exact[0].value && wide[0].allowance > exact[0].allowance);
/// # Ok(()) }
/// ```
///
/// # Panics
/// If `input` does not hold `problem.input_len()` elements.
#[must_use]
pub fn run_within<T: Element>(problem: &Problem, input: &[T], spread: f64) -> Vec<Expected> {
    all_within(problem, input, extra(problem, input, spread))
}

/// All outputs, each [`at_within`] `extra`.
fn all_within<T: Element>(problem: &Problem, input: &[T], extra: f64) -> Vec<Expected> {
    if !problem.conv().adjoint {
        return (0..problem.output_len())
            .map(|index| at_within(problem, input, index, extra))
            .collect();
    }
    // A problem was checked when it was made.
    let Ok(forward) = problem.forward() else { return Vec::new() };
    let all = gradient::adjoint(&forward, input);
    let with = |e: Expected| Expected { allowance: e.allowance + extra, ..e };
    all.into_iter().map(|e| rounded(problem, with(e))).collect()
}

/// By how much a plan whose [`Accuracy`](crate::Accuracy) has this `spread` may be further off on
/// `input`.
///
/// ```
/// use channelwise::reference;
/// use channelwise::{Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let mean = Conv2d::new(Kernel::box_blur(1, 3)?);
/// let problem = Problem::new(&mean, [1, 4], ElementType::F32, ElementType::F32)?;
/// // Of the largest magnitude, in units of round-off.
/// assert_eq!(reference::extra(&problem, &[1.0f32, -4.0, 3.0, 2.0], 2.0), 8.0 * 2f64.powi(-24));
/// # Ok(()) }
/// ```
#[must_use]
pub fn extra<T: Element>(problem: &Problem, input: &[T], spread: f64) -> f64 {
    let finite = input.iter().map(|x| x.to_f64().abs()).filter(|x| x.is_finite());
    let fill = outside(problem).abs();
    spread * EPS * finite.fold(fill, f64::max)
}

/// [`at`] where each filter, and what is made of several, may be off by `extra` more.
///
/// ```
/// use channelwise::reference;
/// use channelwise::{Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let mean = Conv2d::new(Kernel::box_blur(1, 3)?);
/// let problem = Problem::new(&mean, [1, 4], ElementType::F32, ElementType::F32)?;
/// let x = [1.0f32, 2.0, 3.0, 4.0];
/// assert!(reference::at_within(&problem, &x, 1, 0.5).accepts(2.4f32));
/// assert!(!reference::at(&problem, &x, 1).accepts(2.4f32));
/// # Ok(()) }
/// ```
///
/// # Panics
/// As [`at`].
#[must_use]
pub fn at_within<T: Element>(problem: &Problem, input: &[T], index: usize, extra: f64) -> Expected {
    let conv = problem.conv();
    if conv.adjoint {
        return all_within(problem, input, extra)[index];
    }
    if conv.missing.is_some() {
        return masked::with_weights(problem, input, &|_| 1.0, index);
    }
    let ([n, r, q, c], g) = place(problem, index);
    let filtered =
        |f: usize| activated(problem, conv.activation, sum(problem, input, [n, r, q, c], f, extra));
    let Some(p) = &conv.pointwise else {
        return rounded(problem, filtered(g));
    };
    let all: Vec<_> = (0..conv.kernel.filters()).map(filtered).collect();
    rounded(problem, activated(problem, p.get_activation(), mixed(problem, &all, g, extra)))
}

/// Where output `index` lies, `[image, row, column, channel]` with a channel of the input, and which of that channel's
/// outputs it is.
fn place(problem: &Problem, index: usize) -> ([usize; 4], usize) {
    let layout = problem.conv().layout;
    let [_, oh, ow, oc] = problem.output_shape().to_nhwc(layout);
    let (n, r, q, channel) = match layout {
        Layout::Nhwc => (index / oc / ow / oh, index / oc / ow % oh, index / oc % ow, index % oc),
        Layout::Nchw => (index / ow / oh / oc, index / ow % oh, index % ow, index / ow / oh % oc),
    };
    let outputs = problem.geometry().outputs;
    ([n, r, q, channel / outputs], channel % outputs)
}

/// All outputs, in memory order.
///
/// ```
/// use channelwise::reference;
/// use channelwise::{Conv2d, ElementType, Kernel, Problem};
///
/// use channelwise::Engine;
/// use ndarray::Array2;
/// # fn main() -> channelwise::Result<()> {
///
/// let blur = Conv2d::new(Kernel::gaussian(5, 1.0)?);
/// let x = Array2::from_shape_fn((8, 9), |(r, q)| (r * q) as f32);
/// let problem = Problem::new(&blur, [8, 9], ElementType::F32, ElementType::F32)?;
/// let exact = reference::run(&problem, x.as_slice().unwrap_or_default());
/// let y = Engine::cpu().run(&blur, &x)?;
/// assert!(y.iter().zip(&exact).all(|(y, exact)| exact.accepts(*y)));
/// # Ok(()) }
/// ```
///
/// # Panics
/// If `input` does not hold `problem.input_len()` elements.
#[must_use]
pub fn run<T: Element>(problem: &Problem, input: &[T]) -> Vec<Expected> {
    all_within(problem, input, 0.0)
}

/// Where `[image, row, column, channel]` lies in a tensor of `[images, height, width, channels]`.
fn position(layout: Layout, [_, h, w, channels]: [usize; 4], [n, r, q, c]: [usize; 4]) -> usize {
    match layout {
        Layout::Nhwc => ((n * h + r) * w + q) * channels + c,
        Layout::Nchw => ((n * channels + c) * h + r) * w + q,
    }
}

/// What each tap is at output place `[image, row, column, channel]`: where its weight for filter 0
/// stands in the kernel as given (those of the others follow it), and where the input it meets
/// lies, unless that is the constant of the border.
fn taps(
    problem: &Problem,
    [n, r, q, c]: [usize; 4],
) -> impl Iterator<Item = (usize, Option<usize>)> {
    let conv = problem.conv();
    let g = problem.geometry();
    let kernel = &conv.kernel;
    let (kh, kw) = (kernel.height(), kernel.width());
    let nhwc = problem.input_shape().to_nhwc(conv.layout);
    let [_, h, w, _] = nhwc;
    (0..kh * kw).map(move |tap| {
        let (i, j) = (tap / kw, tap % kw);
        let (ki, kj) = if conv.flip { (kh - 1 - i, kw - 1 - j) } else { (i, j) };
        let row = (r * conv.stride.0 + i * conv.dilation.0) as isize - g.top as isize;
        let column = (q * conv.stride.1 + j * conv.dilation.1) as isize - g.left as isize;
        let at = match (conv.border.rows().index(row, h), conv.border.columns().index(column, w)) {
            (Some(row), Some(column)) => Some(position(conv.layout, nhwc, [n, row, column, c])),
            _ => None,
        };
        ((ki * kw + kj) * kernel.filters(), at)
    })
}

/// The weight that stands there in the kernel as given, as sums meet it.
fn tap(problem: &Problem, at: usize) -> f64 {
    let kernel = &problem.conv().kernel;
    if in_f64(problem) { kernel.weight_f64(at) } else { f64::from(kernel.weights()[at]) }
}

/// The input there, or the constant of the border.
fn seen<T: Element>(problem: &Problem, input: &[T], at: Option<usize>) -> f64 {
    at.map_or_else(|| outside(problem), |at| input[at].to_f64())
}

/// The constant of the border, as sums meet it; 0 where it is none.
fn outside(problem: &Problem) -> f64 {
    let constant = problem.conv().border.constant().unwrap_or(0.0);
    if in_f64(problem) { constant } else { f64::from(constant as f32) }
}

/// Filter `f` at output place `[image, row, column, channel]`: its sum and its bias.
fn sum<T: Element>(
    problem: &Problem,
    input: &[T],
    place: [usize; 4],
    f: usize,
    extra: f64,
) -> Expected {
    let conv = problem.conv();
    let bias = match in_f64(problem) {
        true => conv.exact_bias(f),
        false => f64::from(conv.bias.get(f).copied().unwrap_or(0.0)),
    };
    let (mut value, mut size) = (bias, bias.abs());
    for (weight, at) in taps(problem, place) {
        let k = tap(problem, weight + f);
        let x = seen(problem, input, at);
        value += k * x;
        size += (k * x).abs();
    }
    let terms = (conv.kernel.height() * conv.kernel.width() + 1) as f64;
    Expected { value, allowance: 2.0 * terms * eps(problem) * size + extra }
}

/// Output `g` of the pointwise step, its sum and its bias, of what all filters gave; without such
/// a step, filter `g`.
///
/// Where nothing stands between, an engine may make one kernel of both. Then the bias is a term of that
/// kernel's sum, and each of its roundings may be relative to it: `2 (n + 1) u |bias|`, as if the convolution
/// had that bias itself.
fn mixed(problem: &Problem, filtered: &[Expected], g: usize, extra: f64) -> Expected {
    let Some(p) = &problem.conv().pointwise else {
        return filtered[g];
    };
    let bias = f64::from(p.get_bias().get(g).copied().unwrap_or(0.0));
    let mut sum = Expected { value: bias, allowance: 0.0 };
    let terms = (filtered.len() + 1) as f64;
    let kernel = &problem.conv().kernel;
    let one_sum = match problem.conv().activation {
        Activation::None => (kernel.height() * kernel.width() + 1) as f64,
        _ => 0.0,
    };
    let mut size = bias.abs() * (one_sum / terms).max(1.0);
    for (f, y) in filtered.iter().enumerate() {
        let weight = f64::from(p.weights()[f * p.outputs() + g]);
        sum.value += weight * y.value;
        sum.allowance += weight.abs() * y.allowance;
        size += (weight * y.value).abs();
    }
    sum.allowance += 2.0 * terms * eps(problem) * size + extra;
    sum
}

fn activated(problem: &Problem, activation: Activation, x: Expected) -> Expected {
    let value = activation.exact(x.value);
    // In f64 it is computed as here, and is off by some units of round-off, twice.
    let own = match (in_f64(problem), activation.own_error(x.value)) {
        (true, own) if own > 0.0 => 16.0 * EPS_OF_F64 * value.abs(),
        (_, own) => own,
    };
    Expected { value, allowance: x.allowance * activation.slope() + own }
}

/// Storing a float rounds once more, and results below the normal range may be flushed to 0.
fn rounded(problem: &Problem, x: Expected) -> Expected {
    let as_f32 = !in_f64(problem) || problem.output_type() == ElementType::F32;
    let (eps, least) = match as_f32 {
        true => (EPS, f64::from(f32::MIN_POSITIVE)),
        false => (EPS_OF_F64, f64::MIN_POSITIVE),
    };
    Expected { allowance: x.allowance + eps * x.value.abs() + least, ..x }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats_are_rounded_once() {
        // Just above the middle of 1 and its neighbour, by less than f32 tells.
        let above = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
        assert_eq!(stored_half(above), 1.0 + 2f64.powi(-10));
        assert_eq!(stored_half(1.0 + 2f64.powi(-11)), 1.0);
        assert_eq!(stored_half(65_519.9), 65_504.0);
        assert_eq!(stored_half(-65_520.0), f64::NEG_INFINITY);
        assert_eq!(stored_half(2f64.powi(-25)), 0.0);
        for x in (0..=u16::MAX).map(f16::from_bits).filter(|x| x.is_finite()) {
            assert_eq!(stored_half(x.to_f64()), x.to_f64());
        }
    }
    use crate::{Border, Conv2d, Kernel};

    #[test]
    fn one_place_by_hand() {
        let conv = Conv2d::new(Kernel::new(1, 3, vec![1.0, 10.0, 100.0]).unwrap())
            .border(Border::Constant(7.0))
            .bias([1000.0]);
        let problem = Problem::new(&conv, [1, 3], ElementType::F32, ElementType::F32).unwrap();
        let out = run(&problem, &[1.0f32, 2.0, 3.0]);
        let values: Vec<_> = out.iter().map(|e| e.value).collect();
        assert_eq!(values, [1000.0 + 7.0 + 10.0 + 200.0, 1321.0, 1000.0 + 2.0 + 30.0 + 700.0]);
    }

    #[test]
    fn acceptance_is_narrow() {
        let e = Expected { value: 1.5, allowance: 1e-6 };
        assert!(e.accepts(1.5f32) && e.accepts(1.500_000_5f32));
        assert!(!e.accepts(1.500_002f32) && !e.accepts(f32::NAN) && !e.accepts(f32::INFINITY));
        assert!(e.accepts(1u8) && e.accepts(2u8) && !e.accepts(3u8));
        let e = Expected { value: 1.4, allowance: 1e-6 };
        assert!(e.accepts(1u8) && !e.accepts(2u8));
        let nan = Expected { value: f64::NAN, allowance: f64::NAN };
        assert!(nan.accepts(f32::NAN) && !nan.accepts(0.0f32) && nan.accepts(0u8));
        let e = Expected { value: 1.499_999_999_9, allowance: 1e-6 };
        assert_eq!((e.nearest::<u8>(), e.nearest::<f32>()), (1, 1.5));
        let inf = Expected { value: f64::INFINITY, allowance: f64::INFINITY };
        assert!(
            inf.accepts(f32::INFINITY) && !inf.accepts(f32::MAX) && !inf.accepts(f32::NEG_INFINITY)
        );
        assert!(inf.accepts(255u8) && !inf.accepts(254u8));
    }
}
