//! How separable a filter is: its singular values, by one-sided Jacobi rotations in f64.
//!
//! Rotating two rows of a matrix against each other keeps its singular values. Once all rows are
//! orthogonal, their lengths are the singular values.

use super::Kernel;

/// Sweeps over all pairs of rows. Some ten are needed; this is only a stop.
const MAX_SWEEPS: usize = 60;

impl Kernel {
    /// The numeric rank: how many separable kernels (a column times a row) it takes to add up to
    /// this one. With several filters, that of the filter that needs most.
    ///
    /// Counts the singular values above `max(height, width) * f32::EPSILON * s_max`, the usual
    /// bound (NumPy's `matrix_rank`, MATLAB's `rank`) at the precision of the weights, so that
    /// rounding them to f32 does not count. 0 where all weights are 0, and `min(height, width)`
    /// where one is not finite.
    ///
    /// Computed anew at each call. The time grows with the cube of the side: tens of milliseconds
    /// at 127x127, seconds at 512x512, and a fifth of that for kernels of low rank.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// assert_eq!(Kernel::gaussian(31, 5.0)?.rank(), 1);
    /// assert_eq!(Kernel::laplacian4().rank(), 2);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn rank(&self) -> usize {
        (0..self.filters).map(|f| rank(self.height, self.width, self.filter(f))).max().unwrap_or(0)
    }
}

fn rank(height: usize, width: usize, weights: impl Iterator<Item = f32>) -> usize {
    let taps: Vec<f64> = weights.map(f64::from).collect();
    if taps.iter().any(|w| !w.is_finite()) {
        return height.min(width);
    }
    // The fewer and longer lines: transposing keeps the singular values.
    let lines = if height <= width {
        taps.chunks_exact(width).map(<[f64]>::to_vec).collect()
    } else {
        (0..width).map(|j| taps.iter().skip(j).step_by(width).copied().collect()).collect()
    };
    let values = singular_values(lines);
    let largest = values.iter().copied().fold(0.0, f64::max);
    let least = height.max(width) as f64 * f64::from(f32::EPSILON) * largest;
    values.into_iter().filter(|s| *s > least).count()
}

/// Singular values of the matrix with these rows, in no order. Those far below the threshold of
/// [`rank`] are only known to lie there.
fn singular_values(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let length = rows.first().map_or(0, Vec::len);
    let total: f64 = rows.iter().map(|row| dot(row, row)).sum();
    // Two rows are orthogonal once their product is rounding noise beside their lengths, or too
    // small to matter. With n rows, products of at most p move a squared singular value by less
    // than n*p. The rank's threshold, squared, is at least n * f32::EPSILON^2 * total, since
    // s_max^2 >= total / n, so p = 0.001 * f32::EPSILON^2 * total moves none across it by more
    // than 0.1%. This spares all work among rows that hold only the rounding of the weights.
    let noise = length as f64 * f64::EPSILON;
    let negligible = 1e-3 * f64::from(f32::EPSILON).powi(2) * total;
    for _ in 0..MAX_SWEEPS {
        let mut rotated = false;
        for q in 1..rows.len() {
            let (above, below) = rows.split_at_mut(q);
            let row_q = &mut below[0];
            for row_p in above {
                let (pp, qq, pq) = (dot(row_p, row_p), dot(row_q, row_q), dot(row_p, row_q));
                if pq.abs() > (noise * (pp * qq).sqrt()).max(negligible) {
                    rotate(row_p, row_q, (qq - pp) / (2.0 * pq));
                    rotated = true;
                }
            }
        }
        if !rotated {
            break;
        }
    }
    rows.iter().map(|row| dot(row, row).sqrt()).collect()
}

/// Turns two rows in their plane until they are orthogonal; `zeta` is the cotangent of twice the
/// angle. The smaller of the two possible angles makes the sweeps converge (Golub and Van Loan,
/// Matrix Computations, 8.6.3).
fn rotate(p: &mut [f64], q: &mut [f64], zeta: f64) {
    let tan = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
    let cos = 1.0 / tan.hypot(1.0);
    let sin = cos * tan;
    for (p, q) in p.iter_mut().zip(q) {
        (*p, *q) = (cos * *p - sin * *q, sin * *p + cos * *q);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Result;

    /// Weights without order or symmetry.
    fn noise(count: usize) -> Vec<f32> {
        let mut state = 0x2545_f491_u32;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        })
        .take(count)
        .collect()
    }

    fn sorted(rows: Vec<Vec<f64>>) -> Vec<f64> {
        let mut values = singular_values(rows);
        values.sort_by(|a, b| b.total_cmp(a));
        values
    }

    #[test]
    fn presets_have_the_rank_they_say() -> Result<()> {
        let cases = [
            (Kernel::identity(), 1),
            (Kernel::gaussian(31, 5.0)?, 1),
            (Kernel::gaussian(4, 0.7)?, 1),
            (Kernel::gaussian_sized(21)?, 1),
            (Kernel::gaussian_sigma(3.3)?, 1),
            (Kernel::box_blur(5, 9)?, 1),
            (Kernel::binomial(33)?, 1),
            (Kernel::motion(9.0, 0.0)?, 1),
            (Kernel::motion(7.0, 30.0)?, 5),
            (Kernel::disk(2.0)?, 3),
            (Kernel::disk(5.0)?, 5),
            (Kernel::sobel_x(), 1),
            (Kernel::sobel_y(), 1),
            (Kernel::scharr_x(), 1),
            (Kernel::scharr_y(), 1),
            (Kernel::prewitt_x(), 1),
            (Kernel::prewitt_y(), 1),
            (Kernel::laplacian4(), 2),
            (Kernel::laplacian8(), 2),
            (Kernel::log(5, 0.5)?, 3),
            (Kernel::log(9, 1.4)?, 3),
            (Kernel::gabor(5, 1.5, 0.0, 4.0, 0.5, 0.3)?, 1),
            (Kernel::gabor(5, 1.5, 0.6, 4.0, 0.5, 0.3)?, 5),
            (Kernel::sharpen(), 2),
            (Kernel::unsharp(9, 2.0, 1.0)?, 2),
            (Kernel::emboss(), 3),
        ];
        for (kernel, rank) in cases {
            assert_eq!(kernel.rank(), rank, "{kernel:?}");
        }
        Ok(())
    }

    #[test]
    fn values_are_numpys() {
        // numpy.linalg.svd of the emboss kernel, and of one with known values 5 and 3.
        let emboss = vec![vec![-2.0, -1.0, 0.0], vec![-1.0, 1.0, 1.0], vec![0.0, 1.0, 2.0]];
        let wide = vec![vec![3.0, 2.0, 2.0], vec![2.0, 3.0, -2.0]];
        let cases = [
            (emboss, vec![2.681_330_643_604_977, 2.323_404_276_086_478, 0.642_073_632_481_500]),
            (wide, vec![5.0, 3.0]),
        ];
        for (rows, want) in cases {
            for (got, want) in sorted(rows).iter().zip(&want) {
                assert!((got - want).abs() < 1e-12, "{got} for {want}");
            }
        }
    }

    #[test]
    fn values_keep_the_norm() {
        let n = 24;
        let weights = noise(n * n);
        let rows: Vec<Vec<f64>> =
            weights.chunks(n).map(|row| row.iter().map(|w| f64::from(*w)).collect()).collect();
        let norm: f64 = rows.iter().map(|row| dot(row, row)).sum();
        let squares: f64 = sorted(rows).iter().map(|s| s * s).sum();
        assert!((squares / norm - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_sum_of_r_products_has_rank_r() -> Result<()> {
        let (h, w) = (17, 12);
        for r in 0..=12 {
            let (columns, rows) = (noise(r * h), noise(2 * r * w).split_off(r * w));
            let weights: Vec<f32> = (0..h * w)
                .map(|i| {
                    let terms = (0..r).map(|k| {
                        f64::from(columns[k * h + i / w]) * f64::from(rows[k * w + i % w])
                    });
                    terms.sum::<f64>() as f32
                })
                .collect();
            let tall = Kernel::new(h, w, weights.clone())?;
            assert_eq!(tall.rank(), r);
            let turned = (0..h * w).map(|i| weights[i % h * w + i / h]).collect();
            assert_eq!(Kernel::new(w, h, turned)?.rank(), r);
        }
        Ok(())
    }

    #[test]
    fn the_hardest_filter_counts() -> Result<()> {
        let stack = Kernel::stack(&[Kernel::sobel_x(), Kernel::emboss(), Kernel::sharpen()])?;
        assert_eq!(stack.rank(), 3);
        Ok(())
    }

    #[test]
    fn zero_and_non_finite_weights() -> Result<()> {
        assert_eq!(Kernel::new(3, 5, vec![0.0; 15])?.rank(), 0);
        for odd in [f32::NAN, f32::INFINITY] {
            let mut weights = vec![1.0; 15];
            weights[7] = odd;
            assert_eq!(Kernel::new(3, 5, weights)?.rank(), 3);
        }
        for scale in [f32::MAX, f32::MIN_POSITIVE, 1e-45] {
            assert_eq!(Kernel::new(3, 5, vec![scale; 15])?.rank(), 1, "{scale}");
        }
        Ok(())
    }

    #[test]
    fn rank_scales_to_large_kernels() -> Result<()> {
        assert_eq!(Kernel::new(127, 127, noise(127 * 127))?.rank(), 127);
        assert_eq!(Kernel::gaussian(255, 40.0)?.rank(), 1);
        Ok(())
    }
}
