//! Gradients: the reference's against finite differences, its adjoint and its allowances; then every
//! engine's against the reference.

mod by_engines;
mod by_reference;

use crate::common::{BORDERS, Backend, F32, Kind, Rng, dims, engines, small_devices};
use channelwise::ndarray::{Array4, ArrayView4};
use channelwise::reference::{self, Expected, ExpectedGradients};
use channelwise::{
    Activation, Border, Borders, Conv2d, Engine, Error, GradientPlan, Kernel, Layout, Padding,
    Pointwise, Problem,
};
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Setup {
    /// Batch, height, width, channels.
    input: [usize; 4],
    kernel: (usize, usize),
    filters: usize,
    border: Borders,
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
        Activation::Abs,
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
            border: border.into(),
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
pub(crate) struct Model {
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
    /// Whether the input is larger than the kernel reaches.
    fn fits(&self) -> bool {
        let (kh, kw) = self.kernel;
        let reach = ((kh - 1) * self.dilation.0, (kw - 1) * self.dilation.1);
        self.input[1] > reach.0 && self.input[2] > reach.1
    }

    fn multiply_adds(&self) -> usize {
        let outputs = self.input.iter().product::<usize>() / (self.stride.0 * self.stride.1);
        outputs * self.kernel.0 * self.kernel.1 * self.filters
    }

    /// With one thing less each, the largest first.
    pub(crate) fn simpler(&self) -> Vec<Self> {
        let mut all = vec![
            Self { follow: None, ..*self },
            Self { activation: Activation::None, ..*self },
            Self { bias: false, ..*self },
            Self { flip: false, ..*self },
            Self { stride: (1, 1), ..*self },
            Self { dilation: (1, 1), ..*self },
            Self { border: Border::ZERO.into(), ..*self },
            Self { pad: Pad::Valid, ..*self },
            Self { filters: 1, ..*self },
            Self { kernel: (1, self.kernel.1), ..*self },
            Self { kernel: (self.kernel.0, 1), ..*self },
        ];
        for axis in 0..4 {
            for less in [1, self.input[axis] / 2, self.input[axis] - 1] {
                let mut input = self.input;
                input[axis] = less.max(1);
                all.push(Self { input, ..*self });
            }
        }
        all.retain(|setup| setup != self && setup.fits());
        all
    }

    pub(crate) fn model(self) -> Model {
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
    pub(crate) fn setup(&self) -> Setup {
        self.setup
    }

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
                Activation::Relu | Activation::Leaky(_) | Activation::Abs => vec![0.0],
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

/// What an engine gives, in the order of [`PARTS`], and how.
pub(crate) fn by_engine(
    model: &Model,
    engine: &Engine,
) -> Result<([Vec<f32>; 5], GradientPlan), Error> {
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

/// Whether the engine's bands hold what an output needs, and a buffer what they make.
pub(crate) fn fits(model: &Model, engine: &Engine) -> bool {
    let from = dims(model.setup.input, model.setup.layout);
    let made = engine.prepare_backward::<f32>(&model.conv(), from);
    !matches!(made, Err(Error::TooLarge { .. }))
}

/// Engines whose code for gradients differs: those with other algorithms make them alike. A GPU gathers that of the
/// input, or goes phase by phase.
fn gradient_engines() -> impl Iterator<Item = &'static Backend> {
    let all = engines().iter().chain(small_devices());
    all.filter(|backend| matches!(backend.kind, Kind::Cpu | Kind::GpuDirect | Kind::GpuFlat))
}

/// Each element within its allowance; how much of it was used at most.
pub(crate) fn judge(model: &Model, backend: &Backend, used: &mut [f64; 5]) -> Result<bool, String> {
    let (got, plan) = match by_engine(model, &backend.engine) {
        // Of a driver that counts the turns of loops.
        Err(Error::NotApplicable { .. }) if backend.kind.is_gpu() => return Ok(false),
        got => got.map_err(|error| format!("{}: {error}", backend.name))?,
    };
    let mut wanted = model.gradients(plan.depth());
    // What transforms spread; of linear convolutions, whose `dy` is the gradient of the sums.
    let largest = |all: &[f32]| all.iter().fold(0.0, |m: f64, v| m.max(f64::from(v.abs())));
    let dy = f64::from(f32::EPSILON) / 2.0 * largest(&model.dy);
    let outside = model.setup.border.constant().map_or(0.0, f64::abs);
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

/// Of a size that fills vectors, blocks, parts and workgroups, and leaves some over. `finite` allows
/// transforms, of linear convolutions.
pub(crate) fn larger(rng: &mut Rng, seed: u64, finite: bool) -> Model {
    drawn(rng, seed, finite, usize::MAX).model()
}

/// The same with at most so many multiply-adds.
pub(crate) fn drawn(rng: &mut Rng, seed: u64, finite: bool, most: usize) -> Setup {
    loop {
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
            border: rng.borders(),
            // Twice beyond a large input is too much for the reference.
            pad: if pad == Pad::Beyond { Pad::Same } else { pad },
            stride: *rng.pick(&[(1, 1), (1, 1), (2, 2), (1, 3), (2, 2)]),
            dilation: *rng.pick(&[(1, 1), (1, 1), (2, 1), (1, 2)]),
            flip: rng.chance(2),
            layout: *rng.pick(&[Layout::Nhwc, Layout::Nhwc, Layout::Nchw]),
            bias: rng.chance(2),
            activation: match finite {
                true => Activation::None,
                false => *rng.pick(&[Activation::None, Activation::None, Activation::Tanh]),
            },
            follow: (!finite && rng.chance(4)).then_some((2, Activation::Sigmoid, true)),
            finite,
            seed,
        };
        if setup.fits() && setup.multiply_adds() <= most {
            return setup;
        }
    }
}
