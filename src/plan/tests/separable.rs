//! Terms that kernels are planned with.

use super::*;
use crate::plan::separable::{self, First, terms};

const SIZES: [usize; 13] = [3, 4, 5, 6, 7, 8, 9, 12, 15, 21, 31, 40, 63];
const SIGMAS: [f64; 15] =
    [0.05, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.4, 2.0, 3.3, 5.0, 8.0, 20.0, 100.0, 500.0];

/// Every preset that is a sum of a few terms, whatever its size and sigma, and how many these are.
fn presets() -> Vec<(String, Kernel, usize)> {
    let mut all = Vec::new();
    let mut add = |name: String, kernel: crate::Result<Kernel>, terms: usize| {
        all.push((name.clone(), kernel.unwrap_or_else(|e| panic!("{name}: {e}")), terms));
    };
    for n in SIZES {
        add(format!("box {n}"), Kernel::box_blur(n, n), 1);
        add(format!("box {n}x7"), Kernel::box_blur(n, 7), 1);
        add(format!("gaussian sized {n}"), Kernel::gaussian_sized(n), 1);
        add(format!("binomial {n}"), Kernel::binomial(n), 1);
        for sigma in SIGMAS {
            add(format!("gaussian {n},{sigma}"), Kernel::gaussian(n, sigma), 1);
            add(format!("log {n},{sigma}"), Kernel::log(n, sigma), 3);
            let gaussian = |sigma| Kernel::gaussian(n, sigma).unwrap();
            let dog = [(1.0, gaussian(sigma)), (-1.0, gaussian(1.6 * sigma))];
            add(format!("dog {n},{sigma}"), Kernel::weighted_sum(&dog), 2);
            if n % 2 == 1 {
                add(format!("unsharp {n},{sigma}"), Kernel::unsharp(n, sigma, 0.8), 2);
                for theta in [0.0, 0.5, std::f64::consts::FRAC_PI_2] {
                    let gabor = |gamma| Kernel::gabor(n, sigma, theta, 3.0, gamma, 0.4);
                    add(format!("round gabor {n},{sigma},{theta}"), gabor(1.0), 2);
                    if theta != 0.5 {
                        add(format!("gabor {n},{sigma},{theta}"), gabor(0.5), 1);
                    }
                }
            }
        }
    }
    for sigma in SIGMAS.into_iter().filter(|sigma| *sigma < 8.0) {
        add(format!("gaussian sigma {sigma}"), Kernel::gaussian_sigma(sigma), 1);
    }
    for (name, kernel, terms) in [
        ("sobel x", Kernel::sobel_x(), 1),
        ("sobel y", Kernel::sobel_y(), 1),
        ("scharr x", Kernel::scharr_x(), 1),
        ("scharr y", Kernel::scharr_y(), 1),
        ("prewitt x", Kernel::prewitt_x(), 1),
        ("prewitt y", Kernel::prewitt_y(), 1),
        ("laplacian4", Kernel::laplacian4(), 2),
        ("laplacian8", Kernel::laplacian8(), 2),
        ("sharpen", Kernel::sharpen(), 2),
    ] {
        add(name.into(), Ok(kernel), terms);
    }
    all
}

/// As many terms as the rank, wherever that many are less work than taps; the same of kernels that are given by
/// their weights alone.
///
/// Fewer are taken only where the next is lost among the roundings of those that cancel, and that is stated. More,
/// which is two, only where the second is lost beside a single large weight, but is all that most others have:
/// a Gaussian of 0.2 pixels in the corners.
#[test]
fn presets_are_planned_with_as_many_terms_as_their_rank() {
    let (mut planned, mut fewer) = (0, 0);
    for (name, kernel, most) in presets() {
        let rank = kernel.rank();
        assert!(rank <= most, "{name}: {rank}");
        let dense = Kernel::new(kernel.height(), kernel.width(), kernel.weights().to_vec());
        for (kernel, how) in [(kernel, "made"), (dense.unwrap(), "given")] {
            let [h, w] = [kernel.height(), kernel.width()];
            let wanted = problem(&Conv2d::new(kernel), [1, 64, 64, 3], F32, F32);
            for first in [First::Rows, First::Columns] {
                let found = match separable::found(&wanted, first) {
                    Ok(found) => found,
                    Err(reason) => {
                        let limit = (h * w - 1) / (h + w);
                        let lost = rank == 1 && most == 2 && limit == 1;
                        assert!(
                            rank > limit || rank == 0 || h * w < 9 || lost,
                            "{name}, {how}: {reason}"
                        );
                        continue;
                    }
                };
                planned += 1;
                let terms = found.terms();
                let lost = rank == 1 && terms == 2 && name.contains(",0.2");
                assert!(terms <= rank || lost, "{name}, {how}: {terms} terms, rank {rank}");
                assert!(terms == rank || lost || found.missed() > 0.0, "{name}, {how}: {terms}");
                fewer += usize::from(terms < rank);
            }
        }
    }
    assert!(planned > 3000 && fewer * 100 < planned, "{planned} {fewer}");
}

/// Of what pointwise steps, flips and adjoints make of them, too.
#[test]
fn terms_go_on_with_what_is_made_of_kernels() {
    let gaussian = |sigma| Kernel::gaussian(31, sigma).unwrap();
    let terms = |conv: &Conv2d, channels| terms(&problem(conv, [1, 64, 64, channels], F32, F32));
    let pair = Kernel::stack(&[gaussian(3.0), gaussian(3.2)]).unwrap();
    let difference = Pointwise::new(2, 1, vec![1.0, -1.0]).unwrap();
    assert_eq!(terms(&Conv2d::new(pair).pointwise(difference), 3), 2);
    // The mean of the first is not lost, that of the second is.
    for (sigma, rank) in [(4.0, 3), (2.0, 2)] {
        let log = Conv2d::new(Kernel::log(31, sigma).unwrap());
        let made = [log.clone(), log.clone().flip(), log.adjoint()].map(|conv| terms(&conv, 3));
        assert_eq!(made, [rank; 3], "{sigma}");
    }
    // A bank of derivatives has three rows: of the Gaussian, of its first and of its second.
    let bell = |x: i32| (-0.5 * f64::from(x * x) / 4.0).exp();
    let lines: [fn(f64) -> f64; 3] = [|_| 1.0, |x| -x / 4.0, |x| x * x / 16.0 - 0.25];
    let lines =
        lines.map(|of| (-7..=7).map(|x| (of(x.into()) * bell(x)) as f32).collect::<Vec<_>>());
    let bank = [(0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]
        .map(|(down, along)| Kernel::separable(&lines[down], &lines[along]).unwrap());
    assert_eq!(terms(&Conv2d::new(Kernel::stack(&bank).unwrap()), 3), 3);
}
