//! Inputs that are chosen against a bound: what rounding errors of transforms would need to add up instead of
//! cancelling, what a search finds, and what random problems once found.

use channelwise::{Activation, Border, Conv2d, Engine, Kernel, Pointwise, Problem, reference};

use crate::common::{Backend, Case, F32, Kind, Rng, engines, judge, main_engines, say};

/// How much of the allowance the worst of some outputs uses.
fn used(conv: &Conv2d, [h, w, c]: [usize; 3], engine: &Engine, x: &[f32]) -> Option<f64> {
    let prepared = engine.prepare::<f32, f32>(conv, [1, h, w, c]).ok()?;
    let problem = prepared.problem();
    let extra = reference::extra(problem, x, prepared.plan().accuracy().spread);
    let mut y = vec![9.0; problem.output_len()];
    prepared.run_slices(x, &mut y).unwrap();
    // Some of each row and column of a tile.
    let some = (0..y.len()).step_by(61);
    Some(some.map(|i| reference::at_within(problem, x, i, extra).usage(y[i])).fold(0.0, f64::max))
}

fn transforming() -> impl Iterator<Item = &'static Backend> {
    main_engines().filter(|b| matches!(b.kind, Kind::CpuFft | Kind::GpuFft))
}

const SIZE: [usize; 3] = [70, 61, 1];

/// A tile of one number at each place.
fn image(at: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let [h, w, _] = SIZE;
    (0..h * w).map(|i| at(i / w, i % w)).collect()
}

/// Inputs whose spectrum is one point or a few, so that roundings of a level meet the same numbers again and
/// again; whose sums nearly cancel; that are as large as they may be at some places, and nothing elsewhere.
fn inputs() -> Vec<(String, Vec<f32>)> {
    let mut all = vec![
        ("one".into(), image(|_, _| 1.0)),
        ("just below one".into(), image(|_, _| 1.0f32.next_down())),
        ("signs in turn".into(), image(|r, q| if (r + q) % 2 == 0 { 1.0 } else { -1.0 })),
        ("rows in turn".into(), image(|r, _| if r % 2 == 0 { 1.0 } else { -1.0 })),
        ("half and half".into(), image(|r, _| if r < 35 { 1.0 } else { -1.0 })),
        ("a third".into(), image(|_, _| 1.0 / 3.0)),
        ("one bright pixel".into(), image(|r, q| if (r, q) == (33, 30) { 1.0 } else { 0.0 })),
        ("bright on the edge".into(), image(|r, q| if r == 0 || q == 0 { 1.0 } else { 1e-7 })),
        ("ramp".into(), image(|r, q| (r * 61 + q) as f32 / 4270.0)),
    ];
    for (u, v) in [(1, 0), (0, 1), (1, 1), (3, 5), (7, 2), (16, 16), (31, 17), (32, 0), (21, 21)] {
        let wave = |r: usize, q: usize| {
            let turn = (u * r) as f64 / 64.0 + (v * q) as f64 / 64.0;
            turn * std::f64::consts::TAU
        };
        all.push((format!("wave {u}, {v}"), image(|r, q| wave(r, q).cos() as f32)));
        let sign = image(|r, q| if (wave(r, q) + 0.3).sin() < 0.0 { -1.0 } else { 1.0 });
        all.push((format!("signs of wave {u}, {v}"), sign));
    }
    all
}

fn kernels() -> [(&'static str, Kernel); 3] {
    let signs = (0..289).map(|i| if i * i % 7 < 3 { 1.0 } else { -1.0 });
    [
        ("disk", Kernel::disk(8.0).unwrap()),
        ("signs", Kernel::new(17, 17, signs.collect::<Vec<f32>>()).unwrap()),
        ("difference", Kernel::log(17, 2.5).unwrap()),
    ]
}

#[test]
fn transforms_of_chosen_inputs() {
    let mut worst = Vec::new();
    for Backend { name, engine, .. } in transforming() {
        for (kernel, weights) in kernels() {
            let conv = Conv2d::new(weights).border(Border::Wrap).assume_finite();
            for (input, x) in inputs() {
                let usage = used(&conv, SIZE, engine, &x).unwrap();
                assert!(usage <= 1.0, "{name}: {input} by {kernel} uses {usage} of the bound");
                worst.push((usage, format!("{name}: {input} by {kernel}")));
            }
        }
    }
    let Some((usage, what)) = worst.iter().max_by(|a, b| a.0.total_cmp(&b.0)) else {
        panic!("no engine transforms");
    };
    say(&format!("chosen inputs use at most {usage:.3} of fft's bound: {what}"));
    assert!(*usage > 0.001, "{usage}: nothing was measured");
}

/// Climbs to inputs whose error at one output is larger and larger: one value after the other is set to what
/// makes it worst. A statistical bound has to stand also what somebody looks for.
#[test]
fn transforms_of_inputs_that_were_searched_for() {
    let [h, w, c] = SIZE;
    let mut rng = Rng::new(77);
    for Backend { name, kind, engine } in transforming() {
        let conv = Conv2d::new(kernels()[1].1.clone()).border(Border::Wrap).assume_finite();
        let prepared = engine.prepare::<f32, f32>(&conv, [1, h, w, c]).unwrap();
        let problem: &Problem = prepared.problem();
        let spread = prepared.plan().accuracy().spread;
        let at = (h / 2) * w + w / 2;
        let error = |x: &[f32]| {
            let mut y = vec![9.0; problem.output_len()];
            prepared.run_slices(x, &mut y).unwrap();
            (f64::from(y[at]) - reference::at(problem, x, at).value).abs()
        };
        let mut x = rng.f32s(h * w, -1.0, 1.0);
        let (first, mut most) = (error(&x), error(&x));
        // A GPU that is played takes a hundred times as long.
        let steps = if *kind == Kind::CpuFft { 3000 } else { 60 };
        for _ in 0..steps {
            let before = x.clone();
            for _ in 0..1 + rng.below(8) {
                let place = rng.below(x.len());
                let some = [1.0, -1.0, -x[place], rng.uniform(-1.0, 1.0)];
                x[place] = *rng.pick(&some);
            }
            let now = error(&x);
            if now > most { most = now } else { x = before }
        }
        let extra = reference::extra(problem, &x, spread);
        let allowed = reference::at_within(problem, &x, at, extra).allowance;
        say(&format!("{name}: {steps} steps from {first:.2e} to {most:.2e} of {allowed:.2e}"));
        assert!(most <= allowed && most > first, "{name}: {first:e}, {most:e} of {allowed:e}");
    }
}

/// A bias that is large beside all else, of a pointwise step that is made one with the kernel: every rounding is
/// relative to it. One random problem of 270 684 was off by more than the pointwise step's own sum may be.
#[test]
fn a_folded_bias_beside_small_weights() {
    let mut compared = 0;
    for seed in 0..12 {
        let mut rng = Rng::new(900 + seed);
        let (h, w) = (2 + rng.below(9), 2 + rng.below(9));
        let weight = rng.uniform(-0.01, 0.01);
        let bias = rng.uniform(0.1, 1.0);
        for activation in [Activation::None, Activation::Relu] {
            let step = Pointwise::new(1, 1, vec![weight]).unwrap().bias([bias]);
            let conv = Conv2d::new(rng.kernel(h, w, 1)).activation(activation).pointwise(step);
            let case = Case::new(conv, [1, 24, 23, 2]).types((F32, F32)).seed(seed);
            let judge = judge(&case);
            for Backend { name, engine, .. } in engines() {
                match judge(engine, &mut 0) {
                    crate::common::Outcome::Failed(text) => panic!("{name}: {case}: {text}"),
                    crate::common::Outcome::Done(_) => compared += 1,
                    crate::common::Outcome::NotApplicable(_) => {}
                }
            }
        }
    }
    assert!(compared >= 48, "{compared}");
}
