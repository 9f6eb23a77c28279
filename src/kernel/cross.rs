//! Filters as sums of separable ones: a column times a row each.
//!
//! By cross approximation with complete pivoting (Gaussian elimination that stops early: Townsend
//! and Trefethen, SIAM J. Sci. Comput. 35, 2013, C495) and not by the SVD. A term is a column and a
//! row of the filter itself, so that each weight of a separable filter comes out with a small
//! *relative* error, also those far out in the tail of a Gaussian, which singular vectors lose beside
//! the largest weight. The bound of a result is stated per weight.

/// Unit round-off of f32.
const UNIT: f64 = f32::EPSILON as f64 / 2.0;
/// What a weight may be off besides, four times the least subnormal number: those have fewer digits, so the
/// far tail of a Gaussian is a column times a row only to within their steps.
const LEAST: f64 = 4.0 * 1.401_298_464_324_817e-45;

/// Filters as sums of terms, each a column times a row:
/// `k[f][i][j] = Σ_t columns[t][f][i] * rows[t][j]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    rows: Vec<f32>,
    columns: Vec<f32>,
    terms: usize,
    excess: f64,
    missed: f64,
}

impl Factors {
    /// Number of terms, which all filters share.
    #[must_use]
    pub fn terms(&self) -> usize {
        self.terms
    }

    /// The same with terms of zeros up to so many.
    pub(crate) fn padded(mut self, terms: usize) -> Self {
        if self.terms == 0 || self.terms >= terms {
            return self;
        }
        let [row, column] = [&self.rows, &self.columns].map(|all| all.len() / self.terms);
        self.rows.resize(terms * row, 0.0);
        self.columns.resize(terms * column, 0.0);
        Self { terms, ..self }
    }

    /// All of it zeros: what a kernel of zeros is a sum of.
    pub(crate) fn zeros((filters, height, width): (usize, usize, usize), terms: usize) -> Self {
        let (rows, columns) = (vec![0.0; terms * width], vec![0.0; terms * filters * height]);
        Self { rows, columns, terms, excess: 0.0, missed: 0.0 }
    }

    /// Rows, `[terms, kernel width]`.
    #[must_use]
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// Columns, `[terms, filters, kernel height]`; zeros where a filter does not use a term.
    #[must_use]
    pub fn columns(&self) -> &[f32] {
        &self.columns
    }

    /// By how much `Σ_t |columns * rows|`, summed over a filter's weights, passes `Σ|k|`, the most
    /// of any filter: the size of terms that cancel. 0 for filters of one term each.
    #[must_use]
    pub fn excess(&self) -> f64 {
        self.excess
    }

    /// By how much all weights of a filter together, the most of any filter, are off beyond round-off of
    /// their terms: a few steps of subnormal numbers for each weight that is near one or is one. 0 where
    /// there are none.
    #[must_use]
    pub fn missed(&self) -> f64 {
        self.missed
    }
}

/// The factors of `taps` `[filters, height, width]`, or `None` where more than `most` terms are
/// needed or a weight is not finite.
///
/// They give every weight to within `height * width / 2` units of round-off of its terms' magnitudes,
/// a quarter of what a sum of so many taps may be off; and, where that is less than a few steps of subnormal
/// numbers, to within these ([`Factors::missed`]).
pub(crate) fn factors(
    taps: &[f32],
    (filters, height, width): (usize, usize, usize),
    most: usize,
) -> Option<Factors> {
    if taps.iter().any(|w| !w.is_finite()) {
        return None;
    }
    let allowed = (height * width) as f64 / 2.0 * UNIT;
    // Per term: its row, and its column for each filter.
    let mut rows: Vec<Vec<f32>> = Vec::new();
    let mut columns: Vec<Vec<Vec<f32>>> = Vec::new();
    let (mut excess, mut missed) = (0.0f64, 0.0f64);
    for (f, filter) in taps.chunks_exact(height * width).enumerate() {
        let mut rest: Vec<f64> = filter.iter().map(|w| f64::from(*w)).collect();
        let mut size = vec![0.0f64; rest.len()];
        loop {
            let good = rest.iter().zip(&size).all(|(r, s)| r.abs() <= allowed * s + LEAST);
            if good {
                break;
            }
            let at = (0..rest.len()).max_by(|a, b| rest[*a].abs().total_cmp(&rest[*b].abs()))?;
            let (i, j) = (at / width, at % width);
            let pivot = rest[at];
            let row: Vec<f32> = rest[i * width..][..width].iter().map(|w| *w as f32).collect();
            let mut column: Vec<f32> =
                (0..height).map(|i| (rest[i * width + j] / pivot) as f32).collect();
            // A row that another filter has already, up to its scale, serves both.
            let known = rows.iter().position(|known| scale(known, &row, j).is_some());
            let term = match known.and_then(|t| Some((t, scale(&rows[t], &row, j)?))) {
                Some((t, by)) if columns[t][f].iter().all(|c| *c == 0.0) => {
                    column.iter_mut().for_each(|c| *c = (f64::from(*c) * by) as f32);
                    t
                }
                _ => {
                    rows.push(row);
                    columns.push(vec![vec![0.0; height]; filters]);
                    rows.len() - 1
                }
            };
            if rows.len() > most {
                return None;
            }
            for i in 0..height {
                for j in 0..width {
                    let product = f64::from(column[i]) * f64::from(rows[term][j]);
                    rest[i * width + j] -= product;
                    size[i * width + j] += product.abs();
                }
            }
            columns[term][f] = column;
        }
        let beyond = rest.iter().zip(&size).map(|(r, s)| (r.abs() - allowed * s).max(0.0));
        missed = missed.max(beyond.sum());
        // A single term cancels nothing: it differs from the weight by what is allowed.
        if columns.iter().filter(|term| term[f].iter().any(|c| *c != 0.0)).count() > 1 {
            let beyond = size.iter().zip(filter).map(|(s, w)| (s - f64::from(w.abs())).max(0.0));
            excess = excess.max(beyond.sum());
        }
    }
    Some(Factors {
        terms: rows.len(),
        rows: rows.concat(),
        columns: columns.into_iter().flatten().flatten().collect(),
        excess,
        missed,
    })
}

/// `s` with `row = s * known` to within a few units of round-off, by their weights at `pivot`.
fn scale(known: &[f32], row: &[f32], pivot: usize) -> Option<f64> {
    let by = f64::from(row[pivot]) / f64::from(known[pivot]);
    let same = known.iter().zip(row).all(|(k, r)| {
        let wanted = f64::from(*k) * by;
        (wanted - f64::from(*r)).abs() <= 4.0 * UNIT * f64::from(r.abs())
    });
    (by.is_finite() && by != 0.0 && same).then_some(by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, Result};

    fn of(kernel: &Kernel, most: usize) -> Option<Factors> {
        let taps: Vec<f32> = (0..kernel.filters()).flat_map(|f| kernel.filter(f)).collect();
        factors(&taps, (kernel.filters(), kernel.height(), kernel.width()), most)
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
                let (sum, size) =
                    products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()));
                let off = (sum - f64::from(weight)).abs();
                if off > LEAST {
                    worst = worst.max(off / (UNIT * size));
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
            let found = of(&kernel, 64).expect("finite");
            assert_eq!(found.terms(), kernel.rank(), "{kernel:?}");
            let allowed = (kernel.height() * kernel.width()) as f64 / 2.0;
            assert!(error(&kernel, &found) <= allowed, "{kernel:?}");
            assert_eq!(found.excess > 0.0, found.terms > 1, "{kernel:?} {found:?}");
        }
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
                assert!(found.missed() <= taps * LEAST, "{size} of sigma {sigma}");
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
}
