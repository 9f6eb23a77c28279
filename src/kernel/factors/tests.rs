use super::*;
use crate::{Kernel, Result};

/// Without what it was made from.
fn dense(kernel: &Kernel) -> Kernel {
    let Kernel { height, width, filters, weights, .. } = kernel.clone();
    Kernel::with_filters(height, width, filters, weights).unwrap()
}

fn of(kernel: &Kernel, most: usize) -> Option<Factors> {
    let taps: Vec<f32> = (0..kernel.filters()).flat_map(|f| kernel.filter(f)).collect();
    factors(&taps, kernel.terms(), (kernel.filters(), kernel.height(), kernel.width()), most)
}

/// The largest error of a weight, in units of round-off of the magnitudes of its terms.
fn error(kernel: &Kernel, factors: &Factors) -> f64 {
    let (h, w, filters) = (kernel.height(), kernel.width(), kernel.filters());
    let mut worst = 0.0f64;
    for f in 0..filters {
        for (at, weight) in kernel.filter(f).enumerate() {
            let products = (0..factors.terms).map(|t| {
                f64::from(factors.columns[(t * filters + f) * h + at / w])
                    * f64::from(factors.rows[t * w + at % w])
            });
            let (sum, size) = products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()));
            let off = (sum - f64::from(weight)).abs();
            if off > f32::LEAST {
                worst = worst.max(off / (f32::UNIT * size));
            }
        }
    }
    worst
}

#[test]
fn presets_take_as_many_terms_as_their_rank() -> Result<()> {
    for kernel in [
        Kernel::gaussian(31, 2.0)?,
        Kernel::gaussian(31, 5.0)?,
        Kernel::box_blur(5, 9)?,
        Kernel::sobel_x(),
        Kernel::scharr_y(),
        Kernel::laplacian4(),
        Kernel::log(9, 1.4)?,
        Kernel::sharpen(),
        Kernel::unsharp(9, 2.0, 1.0)?,
        Kernel::emboss(),
        Kernel::disk(5.0)?,
    ] {
        for kernel in [dense(&kernel), kernel] {
            let found = of(&kernel, 64).expect("finite");
            assert_eq!(found.terms(), kernel.rank(), "{kernel:?}");
            let allowed = (kernel.height() * kernel.width()) as f64 / 2.0;
            assert!(error(&kernel, &found) <= allowed, "{kernel:?}");
            assert!(found.excess == 0.0 || found.terms > 1, "{kernel:?} {found:?}");
        }
    }
    Ok(())
}

/// Also in f64, where weights have more digits: of what a kernel was made from and of its weights alone.
#[test]
fn sums_in_f64_take_as_many_terms() -> Result<()> {
    for kernel in [
        Kernel::gaussian(31, 2.0)?,
        Kernel::gaussian(31, 5.0)?,
        Kernel::gaussian_sigmas(1.0, 4.0)?,
        Kernel::box_blur(5, 9)?,
        Kernel::sobel_x(),
        Kernel::log(9, 1.4)?,
        Kernel::unsharp(9, 2.0, 1.0)?,
        Kernel::disk(5.0)?,
    ] {
        let (size, taps) = ((1, kernel.height(), kernel.width()), kernel.weights_f64());
        for terms in [kernel.terms(), &Terms::default()] {
            let found = factors(&taps, terms, size, 64).expect("finite");
            assert_eq!(found.terms(), kernel.rank(), "{kernel:?}");
            let allowed = taps.len() as f64 / 2.0;
            for (at, weight) in taps.iter().enumerate() {
                let products = (0..found.terms).map(|t| {
                    (found.columns[t * size.1 + at / size.2], found.rows[t * size.2 + at % size.2])
                });
                let (off, sum) = f64::misses(*weight, products);
                let most = allowed * f64::UNIT * sum + found.missed;
                assert!(off <= most, "{kernel:?} at {at}: {off} of {most}");
            }
            assert!(found.missed <= taps.len() as f64 * f64::UNIT * found.excess, "{found:?}");
            assert!(found.excess == 0.0 || found.terms > 1, "{kernel:?} {found:?}");
        }
    }
    // Weights that were rounded to f32 are no product of such in f64.
    let rounded: Vec<f64> =
        Kernel::gaussian(9, 2.0)?.weights().iter().map(|w| f64::from(*w)).collect();
    assert_eq!(factors(&rounded, &Terms::default(), (1, 9, 9), 4), None);
    Ok(())
}

/// Up to a power of two, which costs no digit; those of the Laplacian do not cancel.
#[test]
fn what_a_kernel_was_made_from_is_taken_as_it_is() -> Result<()> {
    let binomial = of(&Kernel::binomial(5)?, 2).expect("separable");
    assert_eq!(binomial.columns(), [1.0, 4.0, 6.0, 4.0, 1.0].map(|w| w / 4.0));
    assert_eq!(binomial.rows(), [1.0, 4.0, 6.0, 4.0, 1.0].map(|w| w / 64.0));
    let laplacian = of(&Kernel::laplacian4(), 2).expect("two terms");
    assert_eq!((laplacian.terms(), laplacian.excess()), (2, 0.0));
    let searched = of(&dense(&Kernel::laplacian4()), 2).expect("two terms");
    assert!(searched.excess() > 0.0, "{searched:?}");
    Ok(())
}

/// Also where columns are huge and rows tiny: no row sum is then beyond what weights make of it.
#[test]
fn rows_are_as_large_as_weights() -> Result<()> {
    for by in [1e-30f32, 1.0, 1e30] {
        let [column, row] = [[1.0, 3.0, 2.0].map(|w| w * by), [5.0, -1.0, 7.0].map(|w| w / by)];
        let found = of(&Kernel::separable(&column, &row)?, 1).expect("separable");
        let largest = |line: &[f32]| line.iter().fold(0.0f32, |most, w| most.max(w.abs()));
        assert!((1.0..2.0).contains(&largest(found.columns())), "{found:?}");
        assert!((10.0..22.0).contains(&largest(found.rows())), "{found:?}");
    }
    Ok(())
}

/// Second derivatives of a Gaussian that is flat, or of one that is a single weight, are fewer.
#[test]
fn terms_that_are_not_needed_are_left_out() -> Result<()> {
    for (kernel, terms) in [
        (Kernel::log(9, 500.0)?, 2),
        (Kernel::log(31, 0.05)?, 2),
        (Kernel::log(31, 2.0)?, 2),
        (Kernel::unsharp(9, 0.05, 0.7)?, 1),
        (Kernel::unsharp(9, 1.0, -1.0)?, 1),
        (Kernel::unsharp(9, 1.0, 0.0)?, 1),
        (Kernel::gabor(15, 3.0, 0.0, 4.0, 0.5, 0.3)?, 1),
        (Kernel::log(9, f64::MAX)?, 0),
    ] {
        assert_eq!(of(&kernel, 4).map(|found| found.terms()), Some(terms), "{kernel:?}");
    }
    Ok(())
}

/// The weights say what a kernel is: terms that are not its own are not taken.
#[test]
fn wrong_terms_are_seen() -> Result<()> {
    let sharp = Kernel::gaussian(9, 1.0)?;
    for wrong in [Kernel::gaussian(9, 1.1)?, Kernel::log(9, 1.0)?] {
        let wrong = wrong.terms().clone();
        assert_eq!(sharp.clone().made_from(wrong.of(0).to_vec()).terms(), &Terms::default());
        let kernel = Kernel { terms: wrong, ..sharp.clone() };
        let found = of(&kernel, 4).expect("separable");
        assert_eq!((found.terms(), found.excess()), (1, 0.0));
        assert!(error(&kernel, &found) <= 8.0);
    }
    // Subnormal weights have few digits, and what they were made from has all once they are large.
    let tiny = Kernel::separable(&[1e-40, 7e-44, 3e-42], &[0.2, 0.9, 0.4, 0.3])?;
    assert_eq!(of(&tiny.normalized()?, 1).map(|found| found.terms()), Some(1));
    let given = Kernel::new(3, 4, tiny.weights().to_vec())?.normalized()?;
    assert_eq!((given.terms(), of(&given, 1)), (&Terms::default(), None));
    Ok(())
}

/// Whatever the size and the sigma: tails of subnormal weights, or of zeros, need no more terms.
#[test]
fn gaussians_of_any_sigma_are_one_term() -> Result<()> {
    for size in [3, 5, 8, 9, 11, 21, 31, 63, 101] {
        for sigma in [0.2, 0.3, 0.4, 0.5, 0.8, 1.0, 1.5, 1.6, 2.0, 3.0, 5.0, 8.0, 20.0, 500.0] {
            let kernel = Kernel::gaussian(size, sigma)?;
            let found = of(&kernel, 1).unwrap_or_else(|| panic!("{size} of sigma {sigma}"));
            assert_eq!((found.terms(), found.excess()), (1, 0.0), "{size} of sigma {sigma}");
            assert!(error(&kernel, &found) <= 8.0, "{size} of sigma {sigma}");
            let taps = (size * size) as f64;
            assert!(found.missed() <= taps * f32::LEAST, "{size} of sigma {sigma}");
            let subnormal = kernel.weights().iter().any(|w| w.is_subnormal());
            assert!(found.missed() == 0.0 || subnormal, "{size} of sigma {sigma}");
        }
    }
    Ok(())
}

/// A tail of 1e-24 of the largest weight keeps its relative error.
#[test]
fn small_weights_keep_their_digits() -> Result<()> {
    let kernel = Kernel::gaussian(31, 2.0)?;
    let found = of(&kernel, 1).expect("separable");
    assert!(error(&kernel, &found) < 8.0, "{}", error(&kernel, &found));
    Ok(())
}

#[test]
fn filters_share_rows() -> Result<()> {
    let smooth = Kernel::new(3, 3, vec![1.0, 2.0, 1.0, 3.0, 6.0, 3.0, 1.0, 2.0, 1.0])?;
    let both = Kernel::stack(&[Kernel::sobel_y(), smooth, Kernel::sobel_x()])?;
    let found = of(&both, 8).expect("finite");
    assert_eq!(found.terms(), 2);
    assert_eq!(error(&both, &found), 0.0);
    assert_eq!(found.excess, 0.0);
    Ok(())
}

/// However small beside the other weights, and 0 only where each filter has one term.
#[test]
fn cancellation_is_stated() -> Result<()> {
    // A Laplacian of 1e-6 in one corner, and a 1 in the other.
    let mut weights = vec![0.0; 49];
    for (at, w) in [(1, 1.0), (7, 1.0), (8, -4.0), (9, 1.0), (15, 1.0)] {
        weights[at] = w * 1e-6;
    }
    weights[48] = 1.0;
    let found = of(&Kernel::new(7, 7, weights)?, 7).expect("finite");
    assert_eq!(found.terms(), 3);
    // Two terms of a quarter cancel in each of four weights.
    assert!((found.excess() / 2e-6 - 1.0).abs() < 1e-3, "{found:?}");
    let apart = of(&Kernel::new(2, 2, vec![1.0, 1.0, 1.0, 0.0])?, 2).expect("finite");
    assert_eq!((apart.terms(), apart.excess()), (2, 0.0));
    Ok(())
}

#[test]
fn what_takes_too_many_terms_or_is_not_finite_is_left_alone() -> Result<()> {
    assert_eq!(of(&Kernel::disk(5.0)?, 4), None);
    let mut weights = vec![1.0; 9];
    weights[3] = f32::NAN;
    assert_eq!(of(&Kernel::new(3, 3, weights)?, 9), None);
    assert_eq!(of(&Kernel::new(2, 2, vec![0.0; 4])?, 2).map(|f| f.terms), Some(0));
    Ok(())
}

/// Numbers from an order without order.
struct Noise(u64);

impl Noise {
    /// In `-1..1`.
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// A line whose weights range over so many powers of two around one of them.
    fn line(&mut self, length: usize, around: f64, range: f64) -> Vec<f32> {
        let weight = |noise: &mut Self| {
            (noise.next() * (around + noise.next() * range).min(62.0).exp2()) as f32
        };
        (0..length).map(|_| weight(self)).collect()
    }
}

/// What a plan states holds for each weight and for all together, in the worst case of all roundings of two
/// sums, whatever the range of weights; and without what is said to be missed it would not.
#[test]
fn the_stated_bound_holds_over_wild_ranges() -> Result<()> {
    let mut noise = Noise(5);
    let (mut taken, mut several, mut short) = (0, 0, 0);
    for round in 0..2000 {
        let side = |noise: &mut Noise| 4 + ((noise.next() + 1.0) * 6.0) as usize;
        let (h, w) = (side(&mut noise), side(&mut noise));
        let around = [0.0, -40.0, -70.0, -74.0, 60.0][round % 5];
        let range = [1.0, 10.0, 30.0, 60.0, 110.0][round / 5 % 5];
        let product = |noise: &mut Noise| {
            Kernel::separable(&noise.line(h, around, range), &noise.line(w, around, range))
        };
        let kernel = match round % 3 {
            0 => product(&mut noise),
            1 => product(&mut noise).map(|kernel| dense(&kernel)),
            _ => Kernel::weighted_sum(&[(1.0, product(&mut noise)?), (-0.7, product(&mut noise)?)]),
        }?;
        let Some(found) = of(&kernel, 6) else { continue };
        taken += 1;
        several += usize::from(found.terms() > 1);
        let unit = 2f64.powi(-24);
        let taps = (h * w + 1) as f64;
        let (mut off, mut allowed) = (0.0, 0.0);
        let stated = 2.0 * taps * unit * found.excess() + found.missed();
        let mut beyond = false;
        for (at, weight) in kernel.weights().iter().enumerate() {
            let weight = f64::from(*weight);
            let products = (0..found.terms()).map(|t| {
                f64::from(found.columns()[t * h + at / w]) * f64::from(found.rows()[t * w + at % w])
            });
            let (sum, size) = products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()));
            let roundings = (w + found.terms() * h + 2) as f64 * unit;
            let here = (sum - weight).abs() + roundings * size;
            let plain = 2.0 * taps * unit * weight.abs();
            assert!(here <= plain + stated, "{kernel:?} {found:?} at {at}: {here:e}");
            beyond |= here > plain + (stated - found.missed());
            off += here;
            allowed += plain;
        }
        assert!(off <= allowed + stated, "{kernel:?} {found:?}: {off:e}");
        short += usize::from(beyond);
    }
    assert!(taken > 1000 && several > 200 && short > 100, "{taken} {several} {short}");
    Ok(())
}
