//! Gradients by the chain rule, as plain loops in f64, and how far a result may be from them; the
//! adjoint of a convolution.

use super::{Expected, activated, eps, mixed, position, rounded, seen, sum, tap, taps};
use crate::{Activation, Element, Problem};

/// The exact gradients of a loss, each element with the error an engine may make.
///
/// With `dy` the gradient for the output, each element is `Σ dy · ∂y/∂(the element)`.
///
/// ```
/// use channelwise::reference;
/// use channelwise::{Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let mean = Conv2d::new(Kernel::box_blur(1, 3)?);
/// let problem = Problem::new(&mean, [1, 4], ElementType::F32, ElementType::F32)?;
/// let all = reference::backward(&problem, &[1.0f32, 2.0, 3.0, 4.0], &[1.0; 4], 4);
/// assert_eq!((all.input.len(), all.kernel.len(), all.bias.len()), (4, 3, 1));
/// assert_eq!(all.bias[0].value, 4.0);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ExpectedGradients {
    /// For the input: its shape, in memory order.
    pub input: Vec<Expected>,
    /// For the kernel as given: `[height, width, filters]`.
    pub kernel: Vec<Expected>,
    /// For the bias: `[filters]`, also where the convolution has none (that of a bias of zeros).
    pub bias: Vec<Expected>,
    /// For the weights of the pointwise step: `[filters, outputs]`; empty without one.
    pub pointwise_weights: Vec<Expected>,
    /// For the bias of the pointwise step: `[outputs]`, also where it has none; empty without one.
    pub pointwise_bias: Vec<Expected>,
}

/// A number on its way through the chain rule.
#[derive(Clone, Copy, Debug, Default)]
struct Term {
    value: f64,
    /// How far from it an engine may be.
    allowance: f64,
    /// Its magnitude, had nothing cancelled: by this the roundings of a sum of such terms count,
    /// as an engine may multiply out and add in another order.
    size: f64,
}

impl Term {
    fn exact(value: impl Into<f64>) -> Self {
        let value = value.into();
        Self { value, allowance: 0.0, size: value.abs() }
    }

    fn of(x: Expected) -> Self {
        Self { value: x.value, allowance: x.allowance, size: x.value.abs() }
    }

    /// The product, not rounded.
    fn times(self, other: Self) -> Self {
        let (a, b) = (self.value.abs(), other.value.abs());
        Self {
            value: self.value * other.value,
            allowance: a * other.allowance + self.allowance * (b + other.allowance),
            size: self.size * other.size,
        }
    }

    /// With `roundings` of its size more, by what sums are made in.
    fn rounded(self, problem: &Problem, roundings: usize) -> Self {
        let more = 2.0 * roundings as f64 * eps(problem) * self.size;
        Self { allowance: self.allowance + more, ..self }
    }
}

/// A sum of terms, and how many they are.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    total: Term,
    terms: usize,
}

impl Sum {
    fn add(&mut self, term: Term) {
        self.total.value += term.value;
        self.total.allowance += term.allowance;
        self.total.size += term.size;
        self.terms += 1;
    }

    /// As it is stored, made by so many additions one after the other.
    fn stored(&self, problem: &Problem, additions: usize) -> Expected {
        let Term { value, allowance, .. } = self.total.rounded(problem, additions);
        rounded(problem, Expected { value, allowance })
    }
}

/// Everything that `output_gradient` says about the inputs of `problem`, the forward convolution.
///
/// `input` holds `problem.input_len()` elements and `output_gradient`, which is for the outputs as
/// f32 (before any are rounded to integers), `problem.output_len()`, both in the layout of the
/// problem. `depth` is how many additions an engine's sums over places do one after the other.
///
/// With `s` the sums and biases of the filters and `t` those of the pointwise step, at each place:
///
/// ```text
/// dt_g = dy_g act'(t_g)                   dW[f, g] = Σ dt_g act(s_f)     dpb_g = Σ dt_g
/// ds_f = (Σ_g W[f, g] dt_g) act'(s_f)     dk[i, j, f] = Σ ds_f x̂         db_f = Σ ds_f
/// dx[p] = Σ k[i, j, f] ds_f over the taps that meet p, through the border where it repeats the input
/// ```
///
/// A constant outside counts for the kernel and has no gradient itself. At its kinks a derivative
/// is what [`Activation::exact_derivative`] says.
///
/// The allowances are those of the forward sums, as in [`at`](super::at), carried through the
/// derivatives ([`Activation::derivative_error`]) and products, and twice the bound of sums in any
/// order: `2 n u Σ|terms|`, where `n` is `depth`, or for the input the number of terms that meet a
/// place and 2. Input and gradients must be finite.
///
/// ```
/// use channelwise::reference;
/// use channelwise::{Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let mean = Conv2d::new(Kernel::box_blur(1, 3)?);
/// let problem = Problem::new(&mean, [1, 4], ElementType::F32, ElementType::F32)?;
/// let all = reference::backward(&problem, &[1.0f32, 2.0, 3.0, 4.0], &[1.0; 4], 4);
/// // The middle tap meets every value once.
/// assert_eq!(all.kernel[1].value, 10.0);
/// # Ok(()) }
/// ```
///
/// # Panics
/// If `input` or `output_gradient` does not hold that many elements.
#[must_use]
pub fn backward<T: Element>(
    problem: &Problem,
    input: &[T],
    output_gradient: &[f32],
    depth: usize,
) -> ExpectedGradients {
    assert_eq!(input.len(), problem.input_len(), "elements of the input");
    let conv = problem.conv();
    let weights = conv.kernel.weights().len();
    let (filters, outputs) = (conv.kernel.filters(), problem.geometry().outputs);
    let pointwise = conv.pointwise.as_ref().map_or(0, |_| outputs);
    let zeros = |n: usize| vec![Sum::default(); n];
    let (mut dx, mut dk, mut db) = (zeros(problem.input_len()), zeros(weights), zeros(filters));
    let (mut dw, mut dpb) = (zeros(filters * pointwise), zeros(pointwise));
    for (place, mut dt) in places(problem, output_gradient) {
        let s: Vec<_> = (0..filters).map(|f| sum(problem, input, place, f, 0.0)).collect();
        if let Some(p) = &conv.pointwise {
            let a: Vec<_> = s.iter().map(|s| activated(problem, conv.activation, *s)).collect();
            for (g, dt) in dt.iter_mut().enumerate() {
                *dt = through(problem, p.get_activation(), (mixed(problem, &a, g, 0.0), *dt));
                dpb[g].add(*dt);
                for (f, a) in a.iter().enumerate() {
                    dw[f * outputs + g].add(dt.times(Term::of(*a)));
                }
            }
        }
        for (f, da) in unmixed(problem, dt).into_iter().enumerate() {
            let ds = through(problem, conv.activation, (s[f], da));
            db[f].add(ds);
            for (weight, at) in taps(problem, place) {
                dk[weight + f].add(ds.times(Term::exact(seen(problem, input, at))));
                if let Some(at) = at {
                    dx[at].add(ds.times(Term::exact(tap(problem, weight + f))));
                }
            }
        }
    }
    let over_places = |sums: Vec<Sum>| sums.iter().map(|sum| sum.stored(problem, depth)).collect();
    ExpectedGradients {
        input: at_inputs(problem, &dx),
        kernel: over_places(dk),
        bias: over_places(db),
        pointwise_weights: over_places(dw),
        pointwise_bias: over_places(dpb),
    }
}

/// The adjoint `A*` of the linear part `A` of `forward`, applied to `output`.
///
/// `A` is what the kernel and the weights of the pointwise step do, with zeros where the border is
/// a constant; biases and activations are left out. `output` has the shape of the output of
/// `forward`, and the result that of its input, both in memory order. For every `x` and `y`,
/// `<A x, y> = <x, A* y>`.
///
/// The allowance is that of [`backward`] for the input.
///
/// ```
/// use channelwise::reference;
/// use channelwise::{Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let slope = Conv2d::new(Kernel::new(1, 3, vec![-1.0, 0.0, 1.0])?);
/// let problem = Problem::new(&slope, [1, 3], ElementType::F32, ElementType::F32)?;
/// let back = reference::adjoint(&problem, &[1.0f32, 0.0, 0.0]);
/// // The first output was that of its right neighbour alone, beyond the left edge being zeros.
/// assert_eq!(back.iter().map(|x| x.value).collect::<Vec<_>>(), [0.0, 1.0, 0.0]);
/// # Ok(()) }
/// ```
///
/// # Panics
/// If `output` does not hold `forward.output_len()` elements.
#[must_use]
pub fn adjoint<T: Element>(forward: &Problem, output: &[T]) -> Vec<Expected> {
    let mut sums = vec![Sum::default(); forward.input_len()];
    for (place, y) in places(forward, output) {
        for (f, y) in unmixed(forward, y).into_iter().enumerate() {
            for (weight, at) in taps(forward, place) {
                if let Some(at) = at {
                    sums[at].add(y.times(Term::exact(tap(forward, weight + f))));
                }
            }
        }
    }
    at_inputs(forward, &sums)
}

/// Every place `[image, row, column, channel]` of the output, `channel` being one of the input's,
/// and what `values`, of the output's shape, hold there.
fn places<'a, T: Element>(
    problem: &'a Problem,
    values: &'a [T],
) -> impl Iterator<Item = ([usize; 4], Vec<Term>)> + 'a {
    assert_eq!(values.len(), problem.output_len(), "elements of the output's shape");
    let (layout, outputs) = (problem.conv().layout, problem.geometry().outputs);
    let nhwc = problem.output_shape().to_nhwc(layout);
    let [images, h, w, all] = nhwc;
    let channels = all / outputs;
    (0..images * h * w * channels).map(move |i| {
        let (n, r, q) = (i / channels / w / h, i / channels / w % h, i / channels % w);
        let c = i % channels;
        let at = |g: usize| position(layout, nhwc, [n, r, q, c * outputs + g]);
        let here = (0..outputs).map(|g| Term::exact(values[at(g)].to_f64())).collect();
        ([n, r, q, c], here)
    })
}

/// The gradient for the argument of `activation`, of that for its result.
fn through(
    problem: &Problem,
    activation: Activation,
    (argument, result): (Expected, Term),
) -> Term {
    let value = activation.exact_derivative(argument.value);
    let allowance = activation.derivative_error(argument.value, argument.allowance);
    let derivative = Term { value, allowance, size: value.abs() + allowance };
    result.times(derivative).rounded(problem, 1)
}

/// The gradients for what the filters gave, of those for the sums of the pointwise step; without
/// such a step the same.
fn unmixed(problem: &Problem, dt: Vec<Term>) -> Vec<Term> {
    let Some(p) = &problem.conv().pointwise else {
        return dt;
    };
    let row = |f: usize| {
        let mut sum = Sum::default();
        for (g, dt) in dt.iter().enumerate() {
            sum.add(dt.times(Term::exact(p.weights()[f * p.outputs() + g])));
        }
        sum.total.rounded(problem, sum.terms + 1)
    };
    (0..p.filters()).map(row).collect()
}

/// Sums of one term for each filter and each tap that meets a place of the input. With a pointwise
/// step folded in, an engine adds one for each output instead.
fn at_inputs(problem: &Problem, sums: &[Sum]) -> Vec<Expected> {
    let (filters, outputs) = (problem.conv().kernel.filters(), problem.geometry().outputs);
    let additions = |sum: &Sum| sum.terms / filters * filters.max(outputs) + 2;
    sums.iter().map(|sum| sum.stored(problem, additions(sum))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Border, Conv2d, ElementType, Kernel, Pointwise};

    fn values(all: &[Expected]) -> Vec<f64> {
        all.iter().map(|e| e.value).collect()
    }

    fn problem(conv: &Conv2d) -> Problem {
        Problem::new(conv, [1, 3], ElementType::F32, ElementType::F32).unwrap()
    }

    #[test]
    fn one_row_by_hand() {
        let conv = Conv2d::new(Kernel::new(1, 3, vec![1.0, 10.0, 100.0]).unwrap())
            .border(Border::Constant(7.0));
        let dy = [1.0, 2.0, 4.0];
        let got = backward(&problem(&conv), &[1.0f32, 2.0, 3.0], &dy, 3);
        // dx[1] meets outputs 0, 1 and 2 by taps 2, 1 and 0.
        assert_eq!(values(&got.input), [10.0 + 2.0, 100.0 + 20.0 + 4.0, 200.0 + 40.0]);
        assert_eq!(values(&got.kernel), [7.0 + 2.0 + 8.0, 1.0 + 4.0 + 12.0, 2.0 + 6.0 + 28.0]);
        assert_eq!(values(&got.bias), [7.0]);
        assert!(got.pointwise_weights.is_empty() && got.pointwise_bias.is_empty());
        assert_eq!(values(&adjoint(&problem(&conv), &dy)), values(&got.input));
        // What lies left of the input is its first element, and right of it its last.
        let got = backward(&problem(&conv.border(Border::Replicate)), &[1.0f32, 2.0, 3.0], &dy, 3);
        assert_eq!(values(&got.input), [10.0 + 2.0 + 1.0, 124.0, 200.0 + 40.0 + 400.0]);
        assert_eq!(values(&got.kernel), [1.0 + 2.0 + 8.0, 17.0, 2.0 + 6.0 + 12.0]);
    }

    /// The allowance, term by term: exact derivatives leave only the roundings of sums.
    #[test]
    fn allowances_by_hand() {
        let relu = Conv2d::new(Kernel::new(1, 1, vec![-2.0]).unwrap()).activation(Activation::Relu);
        let got = backward(&problem(&relu), &[-1.0f32, -2.0, 3.0], &[1.0, 8.0, 16.0], 3);
        let tiny = f64::from(f32::MIN_POSITIVE);
        let near = |got: Expected, value: f64, roundings: f64| {
            assert_eq!(got.value, value);
            let want = super::super::EPS * roundings + tiny;
            assert!((got.allowance - want).abs() <= 1e-9 * want, "{} for {want}", got.allowance);
        };
        // Of ds 1 and 8: 2 each by the derivative; 2 * 3 by the sum; 1 by storing.
        near(got.bias[0], 9.0, 9.0 * (2.0 + 6.0 + 1.0));
        near(got.kernel[0], -17.0, 17.0 * 9.0);
        // One term and two more.
        near(got.input[1], -16.0, 16.0 * (2.0 + 6.0 + 1.0));
        // Where the sum may lie on the other side of the kink, the whole slope may be missing.
        let biased = relu.bias([2.0f32.next_up()]);
        let at_kink = backward(&problem(&biased), &[1.0f32, 5.0, 5.0], &[1.0, 0.0, 0.0], 1);
        assert_eq!(at_kink.bias[0].value, 1.0);
        assert!(at_kink.bias[0].accepts(0.0f32) && !at_kink.bias[0].accepts(2.01f32));
    }

    #[test]
    fn a_pointwise_step_by_hand() {
        let kernel = Kernel::with_filters(1, 1, 2, vec![1.0, 2.0]).unwrap();
        let step = Pointwise::new(2, 1, vec![3.0, 5.0]).unwrap();
        let conv = Conv2d::new(kernel).activation(Activation::Relu).pointwise(step);
        let got = backward(&problem(&conv), &[1.0f32, -2.0, 3.0], &[1.0, 10.0, 100.0], 3);
        assert_eq!(values(&got.input), [13.0, 0.0, 1300.0]);
        assert_eq!(values(&got.kernel), [3.0 + 900.0, 5.0 + 1500.0]);
        assert_eq!(values(&got.bias), [303.0, 505.0]);
        assert_eq!(values(&got.pointwise_weights), [1.0 + 300.0, 2.0 + 600.0]);
        assert_eq!(values(&got.pointwise_bias), [111.0]);
    }
}
