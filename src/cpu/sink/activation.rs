//! Activations of rows, and the way back through them, with the instructions of a level.

use fearless_simd::Simd;

use crate::Activation;

/// Whether a level has fused multiply-adds; known when it is compiled.
#[inline(always)]
fn fuses<S: Simd>(simd: S) -> bool {
    #[cfg(target_arch = "x86_64")]
    return simd.level().as_avx2().is_some();
    #[cfg(target_arch = "aarch64")]
    return simd.level().as_neon().is_some();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let _ = simd;
        false
    }
}

/// Applies an activation to each value of a row.
pub(in crate::cpu) fn activate<S: Simd>(simd: S, activation: Activation, row: &mut [f32]) {
    if activation != Activation::None {
        simd.vectorize(
            #[inline(always)]
            || match fuses(simd) {
                true => activation.apply_to::<true>(row),
                false => activation.apply_to::<false>(row),
            },
        );
    }
}

/// Makes of each sum the gradient with respect to it, of that of its output.
pub(in crate::cpu) fn activation_gradient<S: Simd>(
    simd: S,
    activation: Activation,
    sums: &mut [f32],
    outputs: &[f32],
) {
    simd.vectorize(
        #[inline(always)]
        || match fuses(simd) {
            true => activation.times_derivative::<true>(sums, outputs),
            false => activation.times_derivative::<false>(sums, outputs),
        },
    );
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use crate::Activation;
    use crate::cpu::simd::Simd;

    /// Half of an ulp of 1.
    const HALF: f64 = 1.0 / (1 << 24) as f64;
    /// The least f32 above 0: what is below the normal range is rounded to its multiples.
    const LEAST: f64 = 1.401_298_464_324_817e-45;
    const CURVES: [Activation; 3] = [Activation::Sigmoid, Activation::Tanh, Activation::Gelu];

    /// How far the CPU's value and slope at `x` may be off, whether fused or not, where they are `y` and
    /// `slope`. Exponentials are off by half an ulp of their argument, so that their relative error
    /// grows with it; gelu's error is that of Φ, which is absolute, times `x`.
    fn bounds(activation: Activation, x: f64, y: f64, slope: f64) -> (f64, f64) {
        // Of an exponential of that argument, beside what the rest adds.
        let exponential = |argument: f64, rest: f64| (rest + 1.25 * argument.abs()) * HALF;
        match activation {
            Activation::Sigmoid => {
                (exponential(x, 4.0) * y + LEAST, exponential(x, 5.5) * slope + LEAST)
            }
            Activation::Tanh => {
                (9.0 * HALF * y.abs() + LEAST, exponential(2.0 * x, 5.5) * slope + 4.0 * LEAST)
            }
            _ => (5.5 * HALF * x.abs() + LEAST, 6.0 * HALF),
        }
    }

    /// Every 257th f32, or all of those where the curves are neither straight lines nor constant, and a little
    /// beyond, in pieces of a length that leaves tails: values and slopes are within the bounds at every
    /// level, and within those that all engines are held to.
    #[test]
    fn curves_are_within_their_bounds() {
        let full = std::env::var("CHANNELWISE_FULL").is_ok_and(|v| v == "1");
        let (least, step) = if full { (2f32.powi(-32).to_bits(), 1) } else { (0, 257) };
        let most = 128f32.to_bits();
        for activation in CURVES {
            let worst = (0..2 * ((most - least) / 4099 / step + 1)).into_par_iter().map(|piece| {
                let (piece, sign) = (piece / 2, (piece % 2) << 31);
                let bits =
                    (0..4099).map(|i| least + (piece * 4099 + i) * step).filter(|b| *b <= most);
                let x: Vec<f32> = bits.map(|bits| f32::from_bits(bits | sign)).collect();
                let exact = |x: &f32| {
                    let x = f64::from(*x);
                    [activation.exact(x), activation.exact_derivative(x)]
                };
                let wanted: Vec<[f64; 2]> = x.iter().map(exact).collect();
                let mut worst = [0.0f64; 2];
                for level in Simd::all() {
                    let (mut y, mut slope) = (x.clone(), x.clone());
                    level.activate(activation, &mut y);
                    level.activation_gradient(activation, &mut slope, &vec![1.0; x.len()]);
                    for ((x, wanted), (y, slope)) in x.iter().zip(&wanted).zip(y.iter().zip(slope))
                    {
                        let (x, y) = (f64::from(*x), f64::from(*y));
                        let (of_y, of_slope) = bounds(activation, x, wanted[0], wanted[1]);
                        let of_engines =
                            [activation.own_error(x), activation.derivative_error(x, 0.0)];
                        let got = [y, f64::from(slope)];
                        for (i, bound) in [of_y, of_slope].into_iter().enumerate() {
                            let off = (got[i] - wanted[i]).abs();
                            worst[i] = worst[i].max(off / bound);
                            let name = level.name();
                            assert!(off <= bound, "{activation} {i} at {x} on {name}: off {off:e}");
                            assert!(
                                off <= of_engines[i] + LEAST,
                                "{activation} {i} at {x}: {off:e}"
                            );
                        }
                        assert!(activation == Activation::Gelu || y.abs() <= 1.0, "{x}: {y}");
                        assert!(activation != Activation::Gelu || x > 0.0 || y <= 0.0, "{x}: {y}");
                    }
                }
                worst
            });
            let worst = worst.reduce(|| [0.0; 2], |a, b| [a[0].max(b[0]), a[1].max(b[1])]);
            // Bounds that are far from what happens would hide a fault.
            assert!(worst.iter().all(|w| *w > 0.5), "{activation}: {worst:?} of the bounds");
        }
    }

    /// The definition's values at the ends, at every level and in vectors and tails alike.
    #[test]
    fn ends_zeros_and_nan() {
        const INF: f32 = f32::INFINITY;
        let nan = f32::NAN;
        for (activation, wanted) in [
            (Activation::Sigmoid, [[0.0, 0.0], [1.0, 0.0], [0.5, 0.25], [0.5, 0.25], [nan, nan]]),
            (Activation::Tanh, [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-0.0, 1.0], [nan, nan]]),
            (Activation::Gelu, [[nan, nan], [INF, nan], [0.0, 0.5], [-0.0, 0.5], [nan, nan]]),
        ] {
            for (x, [y, slope]) in [-INF, INF, 0.0, -0.0, nan].into_iter().zip(wanted) {
                for level in Simd::all() {
                    let (mut got, mut back) = ([x; 37], [x; 37]);
                    level.activate(activation, &mut got);
                    level.activation_gradient(activation, &mut back, &[1.0; 37]);
                    for (got, wanted) in
                        got.iter().map(|v| (v, y)).chain(back.iter().map(|v| (v, slope)))
                    {
                        let same =
                            got.to_bits() == wanted.to_bits() || got.is_nan() && wanted.is_nan();
                        assert!(same, "{activation} at {x} on {}: {got}", level.name());
                    }
                }
                let exact = [activation.exact(x.into()), activation.exact_derivative(x.into())];
                assert_eq!(
                    exact.map(f64::is_nan),
                    [y, slope].map(f32::is_nan),
                    "{activation} at {x}"
                );
            }
        }
        for level in Simd::all() {
            for x in [1e10, 1e30, f32::MAX] {
                let mut got = [-x, x];
                level.activate(Activation::Gelu, &mut got);
                assert_eq!(got, [0.0, x], "{}", level.name());
                level.activation_gradient(Activation::Gelu, &mut got, &[1.0; 2]);
                assert_eq!(got, [0.5, 1.0], "{}", level.name());
            }
        }
    }

    /// A value's bits depend neither on its place in a row nor on the row's length.
    #[test]
    fn bits_are_the_same_wherever_a_row_is_cut() {
        let all: Vec<f32> = (0..200).map(|i| (i as f32 - 100.0) * 0.123).collect();
        let others = [Activation::Relu, Activation::Leaky(0.1), Activation::Clamp(-1.5, 2.0)];
        for activation in CURVES.into_iter().chain(others) {
            for level in Simd::all() {
                let (mut whole, mut back) = (all.clone(), all.clone());
                level.activate(activation, &mut whole);
                level.activation_gradient(activation, &mut back, &all);
                for piece in [1, 3, 19, 67] {
                    let (mut cut, mut cut_back) = (all.clone(), all.clone());
                    for (i, row) in cut.chunks_mut(piece).enumerate() {
                        level.activate(activation, row);
                        let part = i * piece..i * piece + row.len();
                        level.activation_gradient(
                            activation,
                            &mut cut_back[part.clone()],
                            &all[part],
                        );
                    }
                    let bits = |row: &[f32]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&cut), bits(&whole), "{activation} on {}", level.name());
                    assert_eq!(bits(&cut_back), bits(&back), "{activation} on {}", level.name());
                }
                if level.name() == "sse2" {
                    assert!(all.iter().zip(&whole).all(|(x, y)| activation.apply(*x) == *y));
                }
            }
        }
    }
}
