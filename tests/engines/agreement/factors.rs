//! Kernels that keep the columns and rows they were made from: engines take these, the reference the weights.

use channelwise::{Algorithm, Conv2d, Engine, Kernel, Padding, Pointwise, Problem, reference};

use crate::common::{F32, Kind, Rng, compare, engines};

/// Weights that range over 120 powers of two, subnormal ones and 0 among them, under inputs as large as they
/// allow: what a plan states holds for each weight, and would not without what it says is missed.
///
/// On the CPU, as devices may take subnormal numbers for 0.
#[test]
fn separable_kernels_of_wild_ranges() {
    let (mut rng, mut taken, mut short) = (Rng::new(12), 0, 0);
    let backend = engines().iter().find(|backend| backend.kind == Kind::CpuSeparable).unwrap();
    for round in 0..200 {
        let around = [0.0f32, -40.0, -70.0, -74.0, 50.0][round % 5];
        let range = [1.0, 10.0, 30.0, 60.0][round / 5 % 4];
        let (h, w) = (4 + rng.below(6), 4 + rng.below(6));
        let mut product = || {
            let mut line = |n: usize| -> Vec<f32> {
                let weight = |rng: &mut Rng| (around + rng.uniform(-range, range)).min(55.0).exp2();
                (0..n).map(|_| rng.uniform(-1.0, 1.0) * weight(&mut rng)).collect()
            };
            Kernel::separable(&line(h), &line(w)).unwrap()
        };
        let kernel = match round % 3 {
            0 => product(),
            1 => Kernel::new(h, w, product().weights().to_vec()).unwrap(),
            _ => Kernel::weighted_sum(&[(1.0, product()), (-0.7, product())]).unwrap(),
        };
        let largest = kernel.weights().iter().fold(f32::MIN_POSITIVE, |most, w| most.max(w.abs()));
        let bright = (1e35 / largest).min(1e35);
        let conv = Conv2d::new(kernel).padding(Padding::Full).assume_finite();
        let shape = [1, 12, 15, 1];
        let problem = Problem::new(&conv, shape, F32, F32).unwrap();
        let Ok(prepared) = backend.engine.prepare::<f32, f32>(&conv, shape) else { continue };
        taken += 1;
        let spread = prepared.plan().accuracy().spread;
        let mut impulse = vec![0.0; 180];
        impulse[82] = bright;
        for x in [impulse, rng.f32s(180, -bright, bright), rng.f32s(180, -1.0, 1.0)] {
            let mut got = vec![f32::NAN; problem.output_len()];
            prepared.run_slices(&x, &mut got).unwrap();
            let check = |spread| {
                let want = reference::run_within(&problem, &x, spread);
                compare(&got, &want, problem.output_shape())
            };
            check(spread).unwrap_or_else(|text| panic!("{conv:?}: {text}"));
            short += usize::from(check(0.0).is_err());
        }
    }
    assert!(taken > 150 && short > 20, "{taken} {short}");
}

/// What is made of such kernels keeps to the reference on every engine: stacked, flipped, normalised, summed,
/// with a pointwise step that folds, and as an adjoint.
#[test]
fn separable_kernels_made_of_others() {
    let gaussian = |sigma| Kernel::gaussian(9, sigma).unwrap();
    let slanted = Kernel::separable(
        &[1.0, 2.0, 4.0, 8.0, 9.0, 7.0, 3.0, 2.0, 1.0],
        &[9.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 0.0, -1.0],
    );
    let slanted = slanted.unwrap();
    let difference = Kernel::weighted_sum(&[(1.0, gaussian(1.0)), (-1.0, gaussian(1.5))]).unwrap();
    let all = [gaussian(1.0), slanted.clone(), difference.clone()];
    let stack = Kernel::stack(&all).unwrap();
    let mix = Pointwise::new(3, 2, vec![1.0, 0.5, -0.25, 2.0, 0.0, 1.5]).unwrap();
    let convs = [
        Conv2d::new(slanted.clone()),
        Conv2d::new(slanted.clone()).flip(),
        Conv2d::new(slanted.normalized().unwrap().flipped()),
        Conv2d::new(slanted).adjoint(),
        Conv2d::new(difference).flip(),
        Conv2d::new(stack.clone()),
        Conv2d::new(stack).pointwise(mix),
    ];
    let shape = [1, 23, 21, 3];
    let x = Rng::new(3).f32s(23 * 21 * 3, -1.0, 1.0);
    let mut taken = 0;
    for conv in convs.map(Conv2d::assume_finite) {
        let problem = Problem::new(&conv, shape, F32, F32).unwrap();
        let kinds = [Kind::CpuSeparable, Kind::GpuSeparable];
        for backend in engines().iter().filter(|backend| kinds.contains(&backend.kind)) {
            let prepared = backend.engine.prepare::<f32, f32>(&conv, shape).unwrap();
            let spread = prepared.plan().accuracy().spread;
            let mut got = vec![f32::NAN; problem.output_len()];
            prepared.run_slices(&x, &mut got).unwrap();
            let want = reference::run_within(&problem, &x, spread);
            compare(&got, &want, problem.output_shape())
                .unwrap_or_else(|text| panic!("{}, {conv:?}: {text}", backend.name));
            taken += 1;
        }
    }
    assert!(taken >= 7, "{taken}");
}

/// Sums of bytes by the factors of fractions of two have no rounding: as exact as tap by tap.
#[test]
fn separable_kernels_of_exact_fractions_are_exact() {
    let x = Rng::new(8).elements::<u8>(40 * 33 * 3, 0.0, 255.0);
    for kernel in [Kernel::binomial(5), Kernel::gaussian_sized(9), Ok(Kernel::sobel_x())] {
        let conv = Conv2d::new(kernel.unwrap());
        let problem =
            Problem::new(&conv, [1, 40, 33, 3], channelwise::ElementType::U8, F32).unwrap();
        let engine = Engine::cpu().with_algorithm(Algorithm::Separable);
        let prepared = engine.prepare::<u8, f32>(&conv, [1, 40, 33, 3]).unwrap();
        let mut got = vec![f32::NAN; problem.output_len()];
        prepared.run_slices(&x, &mut got).unwrap();
        for (at, got) in got.iter().enumerate() {
            let want = reference::at(&problem, &x, at).value;
            assert_eq!(f64::from(*got), want, "{conv:?} at {at}");
        }
    }
}
