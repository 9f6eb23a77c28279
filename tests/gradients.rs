//! Gradients. The reference's against finite differences of its own forward values, its adjoint against
//! `<A x, y> = <x, A* y>`, and its allowances against plain loops in f32; then every engine's against the
//! reference.

mod common;

use std::cell::Cell;
use std::ops::Range;

use channelwise::ndarray::{Array2, Array4, ArrayView2, ArrayView4, Ix2, Ix3, Ix4, s};
use channelwise::reference::{self, Expected, ExpectedGradients};
use channelwise::{
    Activation, Border, Conv2d, Cpu, Element, Engine, Error, GpuTensor, GradientPlan, Kernel,
    Layout, Padding, Pointwise, Problem, f16,
};
use common::{BORDERS, Backend, F32, Kind, Rng, dims, engines, say, small_devices};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Of each border with each padding.
const CASES: u32 = 24;
/// How far each number is moved. Numbers are odd multiples of 2^-11, so that f32 holds the moved
/// ones exactly and none is 0; and what third derivatives add to a difference, by the square of
/// this, is less than f64 loses in it.
const STEP: f32 = 1.0 / (1 << 18) as f32;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Pad {
    Valid,
    Same,
    Anchored,
    Full,
    /// A different number of rows or columns on each side.
    Uneven,
    /// More than the input has.
    Beyond,
}

const PADS: [Pad; 6] = [Pad::Valid, Pad::Same, Pad::Anchored, Pad::Full, Pad::Uneven, Pad::Beyond];

/// What a law is tried on.
#[derive(Clone, Copy, Debug)]
struct Setup {
    /// Batch, height, width, channels.
    input: [usize; 4],
    kernel: (usize, usize),
    filters: usize,
    border: Border,
    pad: Pad,
    stride: (usize, usize),
    dilation: (usize, usize),
    flip: bool,
    layout: Layout,
    bias: bool,
    activation: Activation,
    /// Outputs, activation and whether there is a bias.
    follow: Option<(usize, Activation, bool)>,
    /// Whether transforms are allowed.
    finite: bool,
    seed: u64,
}

fn activations() -> impl Strategy<Value = Activation> {
    select(vec![
        Activation::None,
        Activation::Relu,
        Activation::Relu6,
        Activation::Leaky(0.25),
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Gelu,
        Activation::Clamp(-0.7, 0.9),
    ])
}

fn setups(border: Border, pad: Pad) -> impl Strategy<Value = Setup> {
    let often = || prop::bool::weighted(0.9);
    let sizes = (
        (1..3usize, 1..5usize, 1..5usize, 1..3usize),
        select(vec![(1, 1), (2, 3), (3, 2), (3, 3), (1, 4)]),
        1..4usize,
        select(vec![(1, 1), (2, 1), (1, 2), (2, 3)]),
        select(vec![(1, 1), (2, 1), (1, 2)]),
    );
    let rest = (
        any::<bool>(),
        select(vec![Layout::Nhwc, Layout::Nchw]),
        often(),
        activations(),
        prop::option::of((1..4usize, activations(), often())),
        0..u64::MAX / 2,
    );
    (sizes, rest).prop_map(move |(sizes, rest)| {
        let ((n, h, w, c), kernel, filters, stride, dilation) = sizes;
        let (flip, layout, bias, activation, follow, seed) = rest;
        // The kernel has to fit where nothing is put around the input.
        let room = |k: usize, d: usize| if pad == Pad::Valid { (k - 1) * d } else { 0 };
        let input = [n, h + room(kernel.0, dilation.0), w + room(kernel.1, dilation.1), c];
        Setup {
            input,
            kernel,
            filters,
            border,
            pad,
            stride,
            dilation,
            flip,
            layout,
            bias,
            activation,
            follow,
            finite: false,
            seed,
        }
    })
}

/// Runs `holds` on some setups of each border with each padding; proptest shrinks what breaks it.
fn law(pads: &[Pad], holds: impl Fn(Setup) -> Result<(), TestCaseError>) {
    for (i, border) in BORDERS.into_iter().enumerate() {
        for (j, pad) in pads.iter().enumerate() {
            let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
            // Other setups for each.
            let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[(i * PADS.len() + j) as u8; 32]);
            let done = TestRunner::new_with_rng(config, rng).run(&setups(border, *pad), &holds);
            if let Err(error) = done {
                panic!("{border}, {pad:?}: {error}");
            }
        }
    }
}

/// The numbers of a convolution that gradients are for, in the order of [`parts`].
#[derive(Clone, Debug)]
struct Model {
    setup: Setup,
    parts: [Vec<f32>; 5],
    /// For the output.
    dy: Vec<f32>,
}

const PARTS: [&str; 5] = ["input", "kernel", "bias", "pointwise weights", "pointwise bias"];

fn parts(all: ExpectedGradients) -> [Vec<Expected>; 5] {
    [all.input, all.kernel, all.bias, all.pointwise_weights, all.pointwise_bias]
}

impl Setup {
    fn model(self) -> Model {
        let mut rng = Rng::new(self.seed);
        let mut odd = |n: usize, most: usize| -> Vec<f32> {
            (0..n)
                .map(|_| (2 * rng.below((2 * most) << 10) + 1) as f32 / 2048.0 - most as f32)
                .collect()
        };
        let (kh, kw) = self.kernel;
        let outputs = self.follow.map_or(0, |(outputs, ..)| outputs);
        let mut parts = [
            odd(self.input.iter().product(), 2),
            odd(kh * kw * self.filters, 1),
            odd(if self.bias { self.filters } else { 0 }, 1),
            odd(self.filters * outputs, 1),
            odd(if self.follow.is_some_and(|(.., bias)| bias) { outputs } else { 0 }, 1),
        ];
        // What is not said is 0, and has a gradient all the same.
        parts[2].resize(self.filters, 0.0);
        parts[4].resize(outputs, 0.0);
        let mut model = Model { setup: self, parts, dy: Vec::new() };
        model.dy = odd(model.problem(&model.conv()).output_len(), 1);
        model
    }
}

impl Model {
    /// Filters and their biases alone.
    fn filters(&self) -> Conv2d {
        let setup = &self.setup;
        let (kh, kw) = setup.kernel;
        let [h, w] = [setup.input[1], setup.input[2]];
        let kernel = Kernel::with_filters(kh, kw, setup.filters, self.parts[1].clone()).unwrap();
        let padding = match setup.pad {
            Pad::Valid => Padding::Valid,
            Pad::Same | Pad::Anchored => Padding::Same,
            Pad::Full => Padding::Full,
            Pad::Uneven => Padding::Explicit { top: 1, bottom: 4, left: 4, right: 2 },
            Pad::Beyond => {
                Padding::Explicit { top: h + 4, bottom: h + 1, left: w + 3, right: w + 2 }
            }
        };
        let conv = Conv2d::new(kernel)
            .stride(setup.stride.0, setup.stride.1)
            .dilation(setup.dilation.0, setup.dilation.1)
            .padding(padding)
            .border(setup.border)
            .layout(setup.layout);
        let conv = if setup.pad == Pad::Anchored { conv.anchor(kh - 1, 0) } else { conv };
        let conv = if setup.flip { conv.flip() } else { conv };
        let conv = if setup.finite { conv.assume_finite() } else { conv };
        // None and zeros are the same; of the former the gradients shall be taken too.
        let none = self.parts[2].iter().all(|b| *b == 0.0);
        conv.bias(if none { vec![] } else { self.parts[2].clone() })
    }

    fn with_follow(&self, conv: Conv2d, activation: impl Fn(Activation) -> Activation) -> Conv2d {
        let conv = conv.activation(activation(self.setup.activation));
        let Some((outputs, last, _)) = self.setup.follow else { return conv };
        let step = Pointwise::new(self.setup.filters, outputs, self.parts[3].clone()).unwrap();
        let none = self.parts[4].iter().all(|b| *b == 0.0);
        let step = step.bias(if none { vec![] } else { self.parts[4].clone() });
        conv.pointwise(step.activation(activation(last)))
    }

    fn conv(&self) -> Conv2d {
        self.with_follow(self.filters(), |activation| activation)
    }

    fn problem(&self, conv: &Conv2d) -> Problem {
        Problem::new(conv, dims(self.setup.input, self.setup.layout), F32, F32).unwrap()
    }

    fn values(&self, conv: &Conv2d) -> Vec<f64> {
        reference::run(&self.problem(conv), &self.parts[0]).iter().map(|e| e.value).collect()
    }

    fn loss(&self) -> f64 {
        self.values(&self.conv()).iter().zip(&self.dy).map(|(y, dy)| y * f64::from(*dy)).sum()
    }

    /// How the loss changes by number `i` of a part.
    fn difference(&self, part: usize, i: usize) -> f64 {
        let moved = |by: f32| {
            let mut model = self.clone();
            model.parts[part][i] += by;
            assert_eq!(model.parts[part][i] - by, self.parts[part][i], "moved exactly");
            model.loss()
        };
        (moved(STEP) - moved(-STEP)) / (2.0 * f64::from(STEP))
    }

    /// Whether moving one number by a step could bring a sum to a kink of its activation.
    fn kink_in_reach(&self) -> bool {
        let near = |sums: &[f64], activation: Activation, reach: f64| {
            let kinks = match activation {
                Activation::Relu | Activation::Leaky(_) => vec![0.0],
                Activation::Relu6 => vec![0.0, 6.0],
                Activation::Clamp(lo, hi) => vec![f64::from(lo), f64::from(hi)],
                _ => vec![],
            };
            let reach = 1.001 * f64::from(STEP) * reach;
            sums.iter().any(|s| kinks.iter().any(|k| (s - k).abs() <= reach))
        };
        let size = |all: &[f32]| all.iter().map(|v| f64::from(v.abs())).sum::<f64>();
        let setup = &self.setup;
        // By a tap at most 2, the largest input; by an input at most the sum of all taps.
        let reach = size(&self.parts[1]).max(2.0);
        if near(&self.values(&self.filters()), setup.activation, reach) {
            return true;
        }
        let Some((outputs, last, _)) = setup.follow else { return false };
        let filters = self.filters().activation(setup.activation);
        let filtered = self.values(&filters);
        let largest = filtered.iter().fold(1.0, |m: f64, a| m.max(a.abs()));
        let reach = (size(&self.parts[3]) * setup.activation.slope() * reach).max(largest);
        let step = Pointwise::new(setup.filters, outputs, self.parts[3].clone()).unwrap();
        let sums = filters.pointwise(step.bias(self.parts[4].clone()));
        near(&self.values(&sums), last, reach)
    }

    fn gradients(&self, depth: usize) -> [Vec<Expected>; 5] {
        parts(reference::backward(&self.problem(&self.conv()), &self.parts[0], &self.dy, depth))
    }

    /// `Σ|dy|`, by which everything grows, and 1.
    fn size(&self) -> f64 {
        1.0 + self.dy.iter().map(|dy| f64::from(dy.abs())).sum::<f64>()
    }
}

#[test]
fn gradients_are_what_differences_tend_to() {
    let (tried, skipped, numbers) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let worst = Cell::new(0.0);
    law(&PADS, |setup| {
        let model = setup.model();
        if model.kink_in_reach() {
            skipped.set(skipped.get() + 1);
            return Ok(());
        }
        tried.set(tried.get() + 1);
        for (part, got) in model.gradients(8).iter().enumerate() {
            prop_assert_eq!(got.len(), model.parts[part].len(), "{}", PARTS[part]);
            for (i, got) in got.iter().enumerate() {
                let want = model.difference(part, i);
                let off = (got.value - want).abs() / model.size();
                worst.set(off.max(worst.get()));
                let what = PARTS[part];
                prop_assert!(off <= 1e-9, "{} {}: {} for {}", what, i, got.value, want);
                numbers.set(numbers.get() + 1);
            }
        }
        Ok(())
    });
    let (tried, skipped) = (tried.get(), skipped.get());
    let (numbers, worst) = (numbers.get(), worst.get());
    say(&format!(
        "gradients: {tried} cases, {skipped} skipped, {numbers} numbers, worst off by {worst:e}"
    ));
    assert!(tried + skipped == CASES * 36 && skipped * 20 <= tried, "{skipped} of {tried} skipped");
}

#[test]
fn inputs_of_every_type_are_numbers_alike() {
    fn check<T: Element>(model: &Model) {
        let mut model = model.clone();
        let x: Vec<T> = Rng::new(model.setup.seed).elements(model.parts[0].len(), -2.0, 2.0);
        model.parts[0] = x.iter().map(|x| x.to_f32()).collect();
        let shape = dims(model.setup.input, model.setup.layout);
        let problem = Problem::new(&model.conv(), shape, T::TYPE, F32).unwrap();
        let got = parts(reference::backward(&problem, &x, &model.dy, 8));
        assert_eq!(got, model.gradients(8), "{}", T::TYPE);
    }
    law(&[Pad::Same], |setup| {
        let model = setup.model();
        check::<u8>(&model);
        check::<u16>(&model);
        check::<f16>(&model);
        Ok(())
    });
}

#[test]
fn adjoint_is_the_other_side_of_the_product() {
    law(&PADS, |setup| {
        let model = setup.model();
        let border = match setup.border {
            Border::Constant(_) => Border::ZERO,
            other => other,
        };
        let mut bare = model.clone();
        bare.parts[2].fill(0.0);
        bare.parts[4].fill(0.0);
        let linear = bare.with_follow(bare.filters().border(border), |_| Activation::None);
        // Biases, activations and the constant outside are no part of it.
        let got = reference::adjoint(&model.problem(&model.conv()), &model.dy);
        let same = reference::adjoint(&model.problem(&linear), &model.dy);
        prop_assert_eq!(&got, &same);
        prop_assert_eq!(got.len(), model.parts[0].len());
        let dot = |a: &[f32], b: &mut dyn Iterator<Item = f64>| {
            let all: Vec<f64> = a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).collect();
            (all.iter().sum::<f64>(), all.iter().map(|p| p.abs()).sum::<f64>())
        };
        let (left, size) = dot(&model.dy, &mut bare.values(&linear).into_iter());
        let (right, other) = dot(&model.parts[0], &mut got.iter().map(|e| e.value));
        let off = (left - right).abs();
        prop_assert!(off <= 1e-13 * (1.0 + size + other), "{left} is not {right}");
        // Of a linear convolution it is the gradient for the input.
        let problem = model.problem(&linear);
        let gradient = reference::backward(&problem, &model.parts[0], &model.dy, 8).input;
        for (got, want) in got.iter().zip(&gradient) {
            prop_assert_eq!(got.value, want.value);
            prop_assert!(got.allowance <= want.allowance);
        }
        Ok(())
    });
}

/// The gradients as plain loops in f32, each sum in the order of its terms; and how many places
/// there are. NHWC, with padding that is said.
fn in_f32(model: &Model) -> Option<([Vec<f32>; 5], usize)> {
    let setup = &model.setup;
    let [_, h, w, channels] = setup.input;
    let (kh, kw) = setup.kernel;
    let (top, left) = match setup.pad {
        Pad::Valid => (0, 0),
        Pad::Full => ((kh - 1) * setup.dilation.0, (kw - 1) * setup.dilation.1),
        Pad::Uneven => (1, 4),
        Pad::Beyond => (h + 4, w + 3),
        Pad::Same | Pad::Anchored => return None,
    };
    let [x, k, b, weights, pb] = &model.parts;
    let mut out = model.parts.clone().map(|part| vec![0.0f32; part.len()]);
    let filters = setup.filters;
    let outputs = setup.follow.map_or(filters, |(outputs, ..)| outputs);
    let shape = model.problem(&model.conv()).output_shape();
    let (oh, ow) = (shape.dims()[1], shape.dims()[2]);
    let places: Range<usize> = 0..model.dy.len() / outputs;
    for place in places.clone() {
        let (c, q) = (place % channels, place / channels % ow);
        let (r, n) = (place / channels / ow % oh, place / channels / ow / oh);
        let taps: Vec<(usize, Option<usize>)> = (0..kh * kw)
            .map(|tap| {
                let at = |out: usize, stride: usize, i: usize, dilation: usize, before: usize| {
                    (out * stride + i * dilation) as isize - before as isize
                };
                let row = at(r, setup.stride.0, tap / kw, setup.dilation.0, top);
                let column = at(q, setup.stride.1, tap % kw, setup.dilation.1, left);
                let met = setup.border.index(row, h).zip(setup.border.index(column, w));
                let from = if setup.flip { kh * kw - 1 - tap } else { tap };
                (from, met.map(|(row, column)| ((n * h + row) * w + column) * channels + c))
            })
            .collect();
        let seen = |at: Option<usize>| at.map_or(setup.border.constant().unwrap_or(0.0), |i| x[i]);
        let s: Vec<f32> = (0..filters)
            .map(|f| taps.iter().fold(b[f], |s, (tap, at)| s + k[tap * filters + f] * seen(*at)))
            .collect();
        let mut da = model.dy[place * outputs..][..outputs].to_vec();
        if let Some((_, last, _)) = setup.follow {
            let a: Vec<f32> = s.iter().map(|s| setup.activation.apply(*s)).collect();
            for g in 0..outputs {
                let t = (0..filters).fold(pb[g], |t, f| t + weights[f * outputs + g] * a[f]);
                da[g] *= last.derivative(t);
                out[4][g] += da[g];
                for f in 0..filters {
                    out[3][f * outputs + g] += da[g] * a[f];
                }
            }
            let row = |f: usize| (0..outputs).map(|g| weights[f * outputs + g] * da[g]).sum();
            da = (0..filters).map(row).collect();
        }
        for f in 0..filters {
            let ds = da[f] * setup.activation.derivative(s[f]);
            out[2][f] += ds;
            for (tap, at) in &taps {
                out[1][tap * filters + f] += ds * seen(*at);
                if let Some(at) = at {
                    out[0][*at] += ds * k[tap * filters + f];
                }
            }
        }
    }
    Some((out, places.len()))
}

/// What f32 loops give is accepted, and a part of each kind of allowance is needed: they are for
/// roundings that all go one way, and most cancel.
#[test]
fn allowances_hold_for_f32() {
    let most = Cell::new([0.0f64; 5]);
    law(&[Pad::Valid, Pad::Full, Pad::Uneven, Pad::Beyond], |setup| {
        let mut model = Setup { layout: Layout::Nhwc, ..setup }.model();
        // With all bits of an f32 in use, so that sums are rounded.
        let mut rng = Rng::new(setup.seed + 1);
        for part in &mut model.parts {
            part.iter_mut().for_each(|v| *v *= rng.uniform(0.5, 1.0));
        }
        let (got, depth) = in_f32(&model).unwrap();
        for (part, (got, want)) in got.iter().zip(model.gradients(depth)).enumerate() {
            for (i, (got, want)) in got.iter().zip(want).enumerate() {
                let what = PARTS[part];
                prop_assert!(want.accepts(*got), "{} {}: {} for {:?}", what, i, got, want);
                let mut all = most.get();
                all[part] = all[part].max(want.usage(*got));
                most.set(all);
            }
        }
        Ok(())
    });
    say(&format!("allowances used by f32 loops: {:.2?} of {PARTS:?}", most.get()));
    assert!(most.get().iter().all(|used| *used > 0.005), "{:?}", most.get());
}

/// Elements of a wrong number are told, not read past.
#[test]
fn lengths_are_checked() {
    let conv = Conv2d::new(Kernel::sobel_x());
    let problem = Problem::new(&conv, [4, 5], F32, F32).unwrap();
    let (x, long) = ([1.0f32; 20], [1.0f32; 21]);
    let panics = |f: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
    assert!(!panics(&|| drop(reference::backward(&problem, &x, &x, 20))));
    assert!(panics(&|| drop(reference::backward(&problem, &long, &x, 20))));
    assert!(panics(&|| drop(reference::backward(&problem, &x, &long, 20))));
    assert!(panics(&|| drop(reference::adjoint(&problem, &long))));
}

/// What an engine gives, in the order of [`PARTS`], and how.
fn by_engine(model: &Model, engine: &Engine) -> Result<([Vec<f32>; 5], GradientPlan), Error> {
    let shape = |[a, b, c, d]: [usize; 4]| (a, b, c, d);
    let problem = model.problem(&model.conv());
    let from = dims(model.setup.input, model.setup.layout);
    let to: [usize; 4] = problem.output_shape().dims().try_into().unwrap();
    let x = ArrayView4::from_shape(shape(from), &model.parts[0]).unwrap();
    let dy = ArrayView4::from_shape(shape(to), &model.dy).unwrap();
    let backward = engine.prepare_backward::<f32>(&model.conv(), from)?;
    let got = backward.run(&x, &dy)?;
    assert_eq!(got.input.dim(), shape(from));
    assert_eq!(backward.weights(&x, &dy)?, got.weights, "not repeatable, or not the same alone");
    let mut input = Array4::from_elem(shape(from), f32::NAN);
    backward.input_into(&x, &dy, &mut input)?;
    let bits = |a: &Array4<f32>| a.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&input), bits(&got.input), "not repeatable, or not the same alone");
    let (weights, bias) = match got.weights.pointwise {
        Some(pointwise) => (pointwise.weights.into_iter().collect(), pointwise.bias.to_vec()),
        None => (Vec::new(), Vec::new()),
    };
    let kernel = got.weights.kernel.into_iter().collect();
    let all = [input.into_raw_vec_and_offset().0, kernel, got.weights.bias.to_vec(), weights, bias];
    Ok((all, backward.plan().clone()))
}

/// Engines whose code for gradients differs: those with other algorithms make them alike.
fn gradient_engines() -> impl Iterator<Item = &'static Backend> {
    let all = engines().iter().chain(small_devices());
    all.filter(|backend| matches!(backend.kind, Kind::Cpu | Kind::GpuDirect))
}

/// Each element within its allowance; how much of it was used at most.
fn judge(model: &Model, backend: &Backend, used: &mut [f64; 5]) -> Result<bool, String> {
    let (got, plan) = match by_engine(model, &backend.engine) {
        // Of a driver that counts the turns of loops.
        Err(Error::NotApplicable { .. }) if backend.kind.is_gpu() => return Ok(false),
        got => got.map_err(|error| format!("{}: {error}", backend.name))?,
    };
    let mut wanted = model.gradients(plan.depth());
    // What transforms spread; of linear convolutions, whose `dy` is the gradient of the sums.
    let largest = |all: &[f32]| all.iter().fold(0.0, |m: f64, v| m.max(f64::from(v.abs())));
    let dy = f64::from(f32::EPSILON) / 2.0 * largest(&model.dy);
    let outside = model.setup.border.constant().map_or(0.0, |v| f64::from(v.abs()));
    let x = largest(&model.parts[0]).max(outside);
    wanted[0].iter_mut().for_each(|e| e.allowance += plan.input().accuracy().spread * dy);
    wanted[1].iter_mut().for_each(|e| e.allowance += plan.spread() * x * dy);
    for (part, (got, want)) in got.iter().zip(wanted).enumerate() {
        let what = PARTS[part];
        let name = &backend.name;
        if got.len() != want.len() {
            return Err(format!("{name}: {} of {what}, not {}", got.len(), want.len()));
        }
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            if !want.accepts(*got) {
                return Err(format!("{name}: {what} {i} is {got}, wanted {want:?}"));
            }
            used[part] = used[part].max(want.usage(*got));
        }
    }
    Ok(true)
}

#[test]
fn every_option_on_every_engine() {
    let backends: Vec<&Backend> = gradient_engines().collect();
    let ran = Cell::new((0, 0));
    let most = Cell::new([0.0; 5]);
    let number = Cell::new(0usize);
    law(&PADS, |setup| {
        let model = setup.model();
        number.set(number.get() + 1);
        for (i, backend) in backends.iter().enumerate() {
            // A GPU that is played takes its time for each.
            if backend.kind.is_gpu() && !(number.get() + i).is_multiple_of(4) {
                continue;
            }
            let mut used = most.get();
            let done = judge(&model, backend, &mut used).map_err(TestCaseError::fail)?;
            most.set(used);
            let (yes, no) = ran.get();
            ran.set((yes + usize::from(done), no + usize::from(!done)));
        }
        Ok(())
    });
    let (yes, no) = ran.get();
    let names: Vec<&str> = backends.iter().map(|b| b.name.as_str()).collect();
    say(&format!("gradients: {yes} on {names:?}, {no} refused, used {:.2?}", most.get()));
    assert!(no * 20 <= yes, "{no} refused");
}

/// Sizes that fill vectors, blocks, parts and workgroups, and leave some over.
#[test]
fn larger_tensors_on_every_engine() {
    let mut rng = Rng::new(81);
    let mut used = [0.0; 5];
    for number in 0..60u64 {
        let pad = *rng.pick(&PADS);
        let setup = Setup {
            input: [
                1 + rng.below(3),
                9 + rng.below(40),
                9 + rng.below(60),
                // Strided pixels of whole vectors are read where they lie.
                *rng.pick(&[1, 2, 3, 4, 5, 7, 8, 9, 16, 32]),
            ],
            kernel: (1 + rng.below(9), 1 + rng.below(9)),
            filters: *rng.pick(&[1, 1, 2, 3]),
            border: *rng.pick(&BORDERS),
            // Twice beyond a large input is too much for the reference.
            pad: if pad == Pad::Beyond { Pad::Same } else { pad },
            stride: *rng.pick(&[(1, 1), (1, 1), (2, 2), (1, 3), (2, 2)]),
            dilation: *rng.pick(&[(1, 1), (1, 1), (2, 1), (1, 2)]),
            flip: rng.chance(2),
            layout: *rng.pick(&[Layout::Nhwc, Layout::Nhwc, Layout::Nchw]),
            bias: rng.chance(2),
            activation: *rng.pick(&[Activation::None, Activation::None, Activation::Tanh]),
            follow: rng.chance(4).then_some((2, Activation::Sigmoid, true)),
            finite: false,
            seed: number,
        };
        let (kh, kw) = setup.kernel;
        let reach = ((kh - 1) * setup.dilation.0, (kw - 1) * setup.dilation.1);
        if setup.input[1] <= reach.0 || setup.input[2] <= reach.1 {
            continue;
        }
        let model = setup.model();
        for backend in gradient_engines() {
            if backend.kind.is_gpu() && !number.is_multiple_of(3) {
                continue;
            }
            if let Err(text) = judge(&model, backend, &mut used) {
                panic!("{number}: {text} for {setup:?}");
            }
        }
    }
    say(&format!("larger gradients: used {used:.2?}"));
}

/// Kernels that the CPU's plans leave to transforms, sooner where vectors are short.
#[test]
fn large_kernels() {
    let mut rng = Rng::new(85);
    let mut used = [0.0; 5];
    let mut transformed = 0;
    let options = [
        (Layout::Nhwc, 1, (1, 1), (1, 1)),
        (Layout::Nchw, 2, (1, 1), (1, 1)),
        (Layout::Nhwc, 3, (1, 1), (1, 2)),
        (Layout::Nhwc, 1, (2, 3), (1, 1)),
    ];
    for (number, (layout, filters, stride, dilation)) in
        options.into_iter().cycle().take(12).enumerate()
    {
        let setup = Setup {
            input: [1 + rng.below(2), 70 + rng.below(30), 80 + rng.below(20), 1 + rng.below(3)],
            kernel: [(21, 21), (19, 33), (40, 11)][number % 3],
            filters,
            border: BORDERS[number % BORDERS.len()],
            pad: *rng.pick(&[Pad::Same, Pad::Full, Pad::Valid]),
            stride,
            dilation,
            flip: rng.chance(2),
            layout,
            bias: true,
            activation: Activation::None,
            follow: None,
            finite: true,
            seed: rng.below(1 << 30) as u64,
        };
        let model = setup.model();
        let (conv, shape) = (model.conv(), dims(setup.input, layout));
        let cpus = gradient_engines().filter(|b| b.kind == Kind::Cpu && b.name.ends_with("x2"));
        for backend in cpus {
            let prepared = backend.engine.prepare_backward::<f32>(&conv, shape).unwrap();
            transformed += usize::from(prepared.plan().spread() > 0.0);
            judge(&model, backend, &mut used).unwrap_or_else(|text| panic!("{text}, {setup:?}"));
        }
    }
    say(&format!("gradients of large kernels: {transformed} by transforms, used {used:.2?}"));
    assert!(transformed >= 12, "{transformed}");
}

/// Terms of one sign: added one after the other in f32, the sum would stop growing.
#[test]
fn millions_of_terms() {
    let (h, w) = (2048, 2048);
    let x = Array4::from_elem((1, h, w, 1), 0.1f32);
    let dy = Array4::from_elem((1, h, w, 1), 0.3f32);
    let conv = Conv2d::new(Kernel::box_blur(3, 3).unwrap()).border(Border::Wrap);
    let want = f64::from(0.1f32) * f64::from(0.3f32) * (h * w) as f64;
    let naive = (0..h * w).fold(0.0f32, |sum, _| sum + 0.1 * 0.3);
    for backend in gradient_engines() {
        let backward = match backend.engine.prepare_backward::<f32>(&conv, [1, h, w, 1]) {
            Err(Error::NotApplicable { .. } | Error::TooLarge { .. }) => continue,
            backward => backward.unwrap(),
        };
        let got = match backward.weights(&x, &dy) {
            Err(Error::TooLarge { .. }) if backend.name.starts_with("small") => continue,
            got => got.unwrap(),
        };
        let bound = 2.0 * backward.plan().depth() as f64 * f64::from(f32::EPSILON) / 2.0 * want;
        for tap in &got.kernel {
            let off = (f64::from(*tap) - want).abs();
            assert!(off <= bound, "{}: {tap} for {want}, off by {off}", backend.name);
            assert!(off < 0.01 * (f64::from(naive) - want).abs(), "{}: {tap}", backend.name);
        }
        let bias = f64::from(0.3f32) * (h * w) as f64;
        assert!((f64::from(got.bias[0]) - bias).abs() <= 10.0 * bound, "{}", backend.name);
    }
}

/// The order of sums depends on shape and device alone.
#[test]
fn threads_do_not_change_bits() {
    let mut rng = Rng::new(82);
    let conv = Conv2d::new(rng.kernel(5, 5, 2)).activation(Activation::Tanh);
    let step = Pointwise::new(2, 1, vec![0.5, -0.25]).unwrap().activation(Activation::Sigmoid);
    let sums = conv.pointwise(step);
    let transforms = Conv2d::new(rng.kernel(31, 31, 1)).assume_finite();
    let x = Array4::from_shape_vec((3, 60, 70, 5), rng.f32s(3 * 60 * 70 * 5, -1.0, 1.0)).unwrap();
    let dy = x.mapv(|v| 1.0 - v * v);
    for conv in [sums, transforms] {
        let made: Vec<_> = [1, 2, 3]
            .map(|threads| {
                let engine = Engine::from(Cpu::with_threads(threads).unwrap());
                let backward = engine.prepare_backward::<f32>(&conv, [3, 60, 70, 5])?;
                assert_eq!(backward.plan().spread() > 0.0, conv.kernel().height() == 31);
                backward.weights(&x, &dy)
            })
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert!(made.windows(2).all(|two| two[0] == two[1]));
    }
}

/// Inputs of other types, with other axes, and arrays that do not lie in order.
#[test]
fn arrays_of_every_kind() {
    fn check<T: Element>(backend: &Backend, rng: &mut Rng) {
        let conv = Conv2d::new(rng.kernel(3, 5, 1)).stride(2, 1).border(Border::Reflect101);
        let x: Vec<T> = rng.elements(24 * 17, -1.0, 1.0);
        let wide = Array2::from_shape_vec((24, 17), x.clone()).unwrap();
        // The same numbers, every second row and column of a larger array, the other way round.
        let mut spread = Array2::from_elem((34, 48), T::default());
        spread.slice_mut(s![..;2, ..;2]).assign(&wide.t());
        let view = spread.slice(s![..;2, ..;2]);
        let dy = Array2::from_shape_vec((12, 17), rng.f32s(12 * 17, -1.0, 1.0)).unwrap();
        let problem = Problem::new(&conv, [24, 17], T::TYPE, F32).unwrap();
        let backward = backend.engine.prepare_backward::<T>(&conv, [24, 17]).unwrap();
        let got = backward.run(&view.t(), &dy).unwrap();
        let dy = dy.as_slice().unwrap();
        let want = reference::backward(&problem, &x, dy, backward.plan().depth());
        let near = |got: &[f32], want: &[Expected]| {
            assert_eq!(got.len(), want.len());
            assert!(got.iter().zip(want).all(|(got, want)| want.accepts(*got)), "{}", backend.name);
        };
        near(got.input.as_slice().unwrap(), &want.input);
        near(got.weights.kernel.as_slice().unwrap(), &want.kernel);
        near(got.weights.bias.as_slice().unwrap(), &want.bias);
        let mut back = Array2::zeros((17, 24));
        backward
            .input_into(
                &view.t(),
                &ArrayView2::from_shape((12, 17), dy).unwrap(),
                &mut back.view_mut().reversed_axes(),
            )
            .unwrap();
        assert_eq!(back.t(), got.input);
    }
    let mut rng = Rng::new(83);
    for backend in gradient_engines() {
        check::<f32>(backend, &mut rng);
        check::<u8>(backend, &mut rng);
        check::<u16>(backend, &mut rng);
        check::<f16>(backend, &mut rng);
    }
}

#[test]
fn tensors_on_the_device() {
    let Some(gpu) = common::gpu() else { return };
    let mut rng = Rng::new(84);
    let step = Pointwise::new(2, 3, rng.f32s(6, -1.0, 1.0)).unwrap().activation(Activation::Tanh);
    let conv = Conv2d::new(rng.kernel(3, 3, 2)).activation(Activation::Gelu).pointwise(step);
    let x = Array4::from_shape_vec((2, 20, 30, 3), rng.f32s(3600, -1.0, 1.0)).unwrap();
    let dy = Array4::from_shape_vec((2, 20, 30, 9), rng.f32s(10_800, -1.0, 1.0)).unwrap();
    let want = Engine::from(gpu.clone()).backward(&conv, &x, &dy).unwrap();
    let [tx, tdy] = [&x, &dy].map(|array| GpuTensor::from_array(&gpu, array).unwrap());
    let got = gpu.backward(&conv, &tx, &tdy).unwrap();
    assert_eq!(got.input.unwrap().to_array::<Ix4>().unwrap(), want.input);
    assert_eq!(got.kernel.to_array::<Ix3>().unwrap(), want.weights.kernel);
    assert_eq!(got.bias.download().unwrap(), want.weights.bias.to_vec());
    let (got, want) = (got.pointwise.unwrap(), want.weights.pointwise.unwrap());
    assert_eq!(got.weights.to_array::<Ix2>().unwrap(), want.weights);
    assert_eq!(got.bias.download().unwrap(), want.bias.to_vec());

    // What a tensor is not is told.
    let problem = Problem::new(&conv, [2, 20, 30, 3], F32, F32).unwrap();
    let prepared = pollster::block_on(gpu.prepare_backward(&problem)).unwrap();
    let only = prepared.apply_weights(&tx, &tdy).unwrap();
    assert!(only.input.is_none());
    let error = prepared.apply(&tx, &tx).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
    let bytes = GpuTensor::upload(&gpu, &[1u8; 3600], [2, 20, 30, 3]).unwrap();
    let error = prepared.apply(&bytes, &tdy).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
    let other = common::small_gpu().unwrap();
    let error = prepared.apply(&GpuTensor::from_array(&other, &x).unwrap(), &tdy).unwrap_err();
    assert!(matches!(error, Error::Buffer { .. }), "{error}");
    let narrow =
        Problem::new(&Conv2d::new(Kernel::sobel_x()), [4, 5], F32, channelwise::ElementType::U8)
            .unwrap();
    let error = pollster::block_on(gpu.prepare_backward(&narrow)).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
}

#[test]
fn shapes_are_checked() {
    let conv = Conv2d::new(Kernel::sobel_x());
    let (x, small) = (Array2::<f32>::zeros((5, 6)), Array2::<f32>::zeros((5, 5)));
    for backend in gradient_engines() {
        let backward = backend.engine.prepare_backward::<f32>(&conv, [5, 6]).unwrap();
        for error in [
            backward.run(&small, &x).unwrap_err(),
            backward.weights(&x, &small).unwrap_err(),
            backward.input_into(&x, &x, &mut small.clone()).unwrap_err(),
        ] {
            assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
        }
        // An empty batch and no channels have an empty gradient, and weights none of it pulls at.
        for shape in [(0, 35, 36, 3), (2, 35, 36, 0)] {
            let none = Array4::<f32>::zeros(shape);
            let large = Conv2d::new(Kernel::box_blur(31, 31).unwrap()).assume_finite();
            let step = Pointwise::new(1, 1, vec![2.0]).unwrap().activation(Activation::Tanh);
            let layer = conv.clone().activation(Activation::Gelu).pointwise(step);
            for conv in [conv.clone(), conv.clone().stride(2, 2), layer, large] {
                let dy = backend.engine.run(&conv, &none).unwrap();
                let got = backend.engine.backward(&conv, &none, &dy).unwrap();
                assert_eq!(got.input.dim(), shape);
                assert!(got.weights.kernel.iter().all(|v| *v == 0.0) && got.weights.bias[0] == 0.0);
                let back = Conv2d::new(conv.kernel().clone()).adjoint();
                assert_eq!(backend.engine.run(&back, &none).unwrap().dim(), shape);
            }
        }
    }
}

/// One infinity or NaN in the input goes to the taps that meet it and to no other, wherever it lies in
/// vectors and what is left of them.
#[test]
fn what_is_not_finite_stays_with_its_taps() {
    let mut rng = Rng::new(86);
    for number in 0..60 {
        let (h, w, c) = (6 + rng.below(12), 6 + rng.below(60), *rng.pick(&[1, 3, 4, 8, 16]));
        let (kh, kw) = (1 + rng.below(5), 1 + rng.below(5));
        let stride = *rng.pick(&[1, 1, 2]);
        let conv = Conv2d::new(rng.kernel(kh, kw, 1)).padding(Padding::Valid).stride(1, stride);
        let mut x = Array4::from_shape_vec((1, h, w, c), rng.f32s(h * w * c, 0.5, 1.0)).unwrap();
        let at = [0, rng.below(h), rng.below(w), rng.below(c)];
        let bad = *rng.pick(&[f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
        x[at] = bad;
        let (rows, columns) = (h - kh + 1, (w - kw) / stride + 1);
        let dy = rng.f32s(rows * columns * c, 0.5, 1.0);
        let dy = Array4::from_shape_vec((1, rows, columns, c), dy).unwrap();
        for backend in gradient_engines().filter(|backend| backend.kind == Kind::Cpu) {
            let got = backend.engine.backward(&conv, &x, &dy).unwrap().weights;
            assert!(got.bias[0].is_finite());
            for ((i, j, _), tap) in got.kernel.indexed_iter() {
                let meets = |place: usize, tap: usize, stride: usize, count: usize| {
                    place
                        .checked_sub(tap)
                        .is_some_and(|from| from.is_multiple_of(stride) && from / stride < count)
                };
                let met = meets(at[1], i, 1, rows) && meets(at[2], j, stride, columns);
                let right = match met {
                    true => *tap == bad || tap.is_nan() && bad.is_nan(),
                    false => tap.is_finite(),
                };
                assert!(
                    right,
                    "{number} {}: tap {i},{j} is {tap} for {bad} at {at:?}",
                    backend.name
                );
            }
        }
    }
}
