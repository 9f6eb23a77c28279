//! Smoothing: weights that are at least 0 and sum to 1.

use super::{MAX_SIDE, Term, check_positive, check_size, check_taps, offsets, outer};
use crate::{Error, Kernel, Result};

impl Kernel {
    /// A `size` x `size` Gaussian with standard deviation `sigma` in pixels.
    ///
    /// The weight at `(y, x)` from the centre is `exp(-(y^2 + x^2) / (2 sigma^2))`, divided by
    /// the sum of all. An even size has its centre between the taps. Rank 1.
    ///
    /// The same as:
    /// - OpenCV: `k = cv2.getGaussianKernel(size, sigma); k @ k.T` for odd sizes. For even ones
    ///   OpenCV (seen in 4.10 to 5.0) gives the middle pair the weight of distance 0 instead of
    ///   1/2, and this function does not.
    /// - MATLAB: `fspecial('gaussian', size, sigma)`, which also sets weights below 2.2e-16 of
    ///   the largest to 0.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size of 0 or above 4096, and for a sigma that is not finite and
    /// above 0.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// let blur = Kernel::gaussian(5, 1.0)?;
    /// assert_eq!((blur.height(), blur.width(), blur.rank()), (5, 5, 1));
    /// assert!((blur.weights().iter().sum::<f32>() - 1.0).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    pub fn gaussian(size: usize, sigma: f64) -> Result<Self> {
        Ok(outer(&gaussian_line(size, sigma)?))
    }

    /// The `size` x `size` Gaussian that OpenCV takes when no sigma is given.
    ///
    /// Exactly `k = cv2.getGaussianKernel(size, 0); k @ k.T`, and so the kernel of
    /// `cv2.GaussianBlur(image, (size, size), 0)`: fixed tables for the sizes 1, 3, 5, 7 and 9
    /// (older versions had none for 9), and otherwise
    /// `sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8`. For even sizes it follows OpenCV (seen in
    /// 4.10 to 5.0), whose middle pair has the weight of distance 0; [`Kernel::gaussian`] with
    /// that sigma is the Gaussian proper. Rank 1.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size of 0 or above 4096.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// assert_eq!(Kernel::gaussian_sized(3)?, Kernel::binomial(3)?);
    /// assert_ne!(Kernel::gaussian_sized(7)?, Kernel::binomial(7)?);
    /// # Ok(()) }
    /// ```
    pub fn gaussian_sized(size: usize) -> Result<Self> {
        check_size(size)?;
        let table: &[f64] = match size {
            1 => &[1.0],
            3 => &[4.0, 8.0, 4.0],
            5 => &[1.0, 4.0, 6.0, 4.0, 1.0],
            7 => &[4.0, 14.0, 28.0, 36.0, 28.0, 14.0, 4.0],
            9 => &[4.0, 13.0, 30.0, 51.0, 60.0, 51.0, 30.0, 13.0, 4.0],
            _ => &[],
        };
        if !table.is_empty() {
            return Ok(outer(&divided_by_sum(table.to_vec())));
        }
        let sigma = 0.3 * ((size as f64 - 1.0) * 0.5 - 1.0) + 0.8;
        let bell = |x: f64| {
            // The middle pair of an even size, see above.
            let x = if x.abs() < 1.0 { 0.0 } else { x };
            (-0.5 * (x / sigma) * (x / sigma)).exp()
        };
        Ok(outer(&divided_by_sum(offsets(size).map(bell).collect())))
    }

    /// The Gaussian of `scipy.ndimage.gaussian_filter(x, sigma)` over two axes.
    ///
    /// [`Kernel::gaussian`] cut off at four sigma as SciPy does by default: the side is
    /// `2 * int(4 * sigma + 0.5) + 1`, always odd. Rank 1.
    ///
    /// # Errors
    /// [`Error::Argument`] for a sigma that is not finite and above 0, or of 511.875 and more,
    /// where the side would pass 4096.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// assert_eq!(Kernel::gaussian_sigma(1.0)?, Kernel::gaussian(9, 1.0)?);
    /// # Ok(()) }
    /// ```
    pub fn gaussian_sigma(sigma: f64) -> Result<Self> {
        Self::gaussian(side_of_sigma(sigma)?, sigma)
    }

    /// A Gaussian of `height` x `width` taps with a standard deviation for rows and one for columns, in pixels: what
    /// blurs a picture whose pixels are not square.
    ///
    /// [`Kernel::gaussian`] of each axis. The same as OpenCV's
    /// `cv2.getGaussianKernel(height, rows) @ cv2.getGaussianKernel(width, columns).T` for odd sizes. Rank 1.
    ///
    /// # Errors
    /// Those of [`Kernel::gaussian`], for either axis.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// assert_eq!(Kernel::gaussian_axes((5, 5), (1.2, 1.2))?, Kernel::gaussian(5, 1.2)?);
    /// let along = Kernel::gaussian_axes((1, 9), (1.0, 2.0))?;
    /// assert_eq!((along.height(), along.width()), (1, 9));
    /// # Ok(()) }
    /// ```
    pub fn gaussian_axes(
        (height, width): (usize, usize),
        (rows, columns): (f64, f64),
    ) -> Result<Self> {
        let [column, row] = [gaussian_line(height, rows)?, gaussian_line(width, columns)?];
        check_taps("height * width", height, width)?;
        Ok(Self::of_terms(vec![Term::new(column, row)]))
    }

    /// The Gaussian of `scipy.ndimage.gaussian_filter(x, sigma=(rows, columns))` over two axes, each cut off as
    /// [`Kernel::gaussian_sigma`] is. Rank 1.
    ///
    /// # Errors
    /// Those of [`Kernel::gaussian_sigma`], for either axis.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// let blur = Kernel::gaussian_sigmas(1.0, 2.0)?;
    /// assert_eq!((blur.height(), blur.width()), (9, 17));
    /// # Ok(()) }
    /// ```
    pub fn gaussian_sigmas(rows: f64, columns: f64) -> Result<Self> {
        Self::gaussian_axes((side_of_sigma(rows)?, side_of_sigma(columns)?), (rows, columns))
    }

    /// The mean over `height` x `width` pixels: every weight is `1 / (height * width)`. Rank 1.
    ///
    /// The same as `cv2.blur(image, (width, height))`, SciPy's
    /// `uniform_filter(x, (height, width))` and MATLAB's `fspecial('average', [height width])`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a side of 0, and for more than 2^24 taps.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// assert_eq!(Kernel::box_blur(1, 4)?.weights(), [0.25; 4]);
    /// # Ok(()) }
    /// ```
    pub fn box_blur(height: usize, width: usize) -> Result<Self> {
        for (side, n) in [("height", height), ("width", width)] {
            if n == 0 {
                return Err(Error::argument(side, n, "at least 1 is needed"));
            }
        }
        check_taps("height * width", height, width)?;
        let weight = 1.0 / (height * width) as f64;
        Ok(Self::of_terms(vec![Term::new(vec![1.0; height], vec![weight; width])]))
    }

    /// The `size` x `size` binomial kernel: Pascal's row `size - 1` down times across, divided by
    /// `4^(size - 1)`. Rank 1.
    ///
    /// It is `size - 1` means of two neighbours in each direction, and near a Gaussian of
    /// `sigma = sqrt(size - 1) / 2`. Size 5 is the kernel of `cv2.pyrDown`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size of 0 or above 4096.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// let sixteenths: Vec<f32> = [1, 2, 1, 2, 4, 2, 1, 2, 1].map(|n| n as f32 / 16.0).to_vec();
    /// assert_eq!(Kernel::binomial(3)?, Kernel::new(3, 3, sixteenths)?);
    /// # Ok(()) }
    /// ```
    pub fn binomial(size: usize) -> Result<Self> {
        check_size(size)?;
        // Halving at each step keeps Pascal's numbers exact up to row 53 and never overflows.
        let mut line = vec![0.0; size];
        line[0] = 1.0;
        for n in 1..size {
            for k in (1..=n).rev() {
                line[k] = 0.5 * (line[k] + line[k - 1]);
            }
            line[0] *= 0.5;
        }
        Ok(outer(&line))
    }
}

/// One axis of [`Kernel::gaussian`]: `size` weights that sum to 1.
pub(super) fn gaussian_line(size: usize, sigma: f64) -> Result<Vec<f64>> {
    check_size(size)?;
    check_positive("sigma", sigma)?;
    // Measured from the innermost tap, and never with sigma^2 by itself: neither a tiny nor a
    // huge sigma can make the sum 0 or a weight NaN.
    let inner = if size.is_multiple_of(2) { 0.25 } else { 0.0 };
    let bell = |x: f64| (-0.5 * (x * x - inner) / sigma / sigma).exp();
    Ok(divided_by_sum(offsets(size).map(bell).collect()))
}

/// Where SciPy cuts a Gaussian off.
fn side_of_sigma(sigma: f64) -> Result<usize> {
    check_positive("sigma", sigma)?;
    let side = 2.0 * (4.0 * sigma + 0.5).floor() + 1.0;
    if side > MAX_SIDE as f64 {
        let limit = format!("its side of {side} is above {MAX_SIDE}");
        return Err(Error::argument("sigma", sigma, limit));
    }
    Ok(side as usize)
}

fn divided_by_sum(mut line: Vec<f64>) -> Vec<f64> {
    let sum: f64 = line.iter().sum();
    line.iter_mut().for_each(|w| *w /= sum);
    line
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ODDITIES, assert_weights, refused, square, sum};
    use super::*;

    #[test]
    fn gaussian_is_opencvs() {
        let line =
            [0.098_774_988_2, 0.239_947_075_6, 0.322_555_872_4, 0.239_947_075_6, 0.098_774_988_2];
        assert_weights(&Kernel::gaussian(5, 1.3).unwrap(), (5, 5), &square(&line));
    }

    #[test]
    fn even_gaussian_lies_between_taps() {
        let line = [0.124_118_867_5, 0.375_881_132_5, 0.375_881_132_5, 0.124_118_867_5];
        assert_weights(&Kernel::gaussian(4, 0.95).unwrap(), (4, 4), &square(&line));
    }

    #[test]
    fn sized_gaussian_is_opencvs() {
        let lines: [&[f64]; 9] = [
            &[1.0],
            &[0.5; 2],
            &[0.25, 0.5, 0.25],
            &[0.111_650_053_8, 0.388_349_946_2, 0.388_349_946_2, 0.111_650_053_8],
            &[0.0625, 0.25, 0.375, 0.25, 0.0625],
            &[0.03125, 0.109_375, 0.21875, 0.28125, 0.21875, 0.109_375, 0.03125],
            &[
                0.019_763_326_1,
                0.068_891_119_1,
                0.158_379_405_6,
                0.252_966_149_2,
                0.252_966_149_2,
                0.158_379_405_6,
                0.068_891_119_1,
                0.019_763_326_1,
            ],
            &[
                0.015_625,
                0.050_781_25,
                0.117_187_5,
                0.199_218_75,
                0.234_375,
                0.199_218_75,
                0.117_187_5,
                0.050_781_25,
                0.015_625,
            ],
            &[
                0.008_812_229_3,
                0.027_143_577_1,
                0.065_114_056_6,
                0.121_649_073,
                0.176_998_356_8,
                0.200_565_414_2,
                0.176_998_356_8,
                0.121_649_073,
                0.065_114_056_6,
                0.027_143_577_1,
                0.008_812_229_3,
            ],
        ];
        for line in lines {
            let n = line.len();
            assert_weights(&Kernel::gaussian_sized(n).unwrap(), (n, n), &square(line));
        }
    }

    #[test]
    fn gaussian_of_a_sigma_is_scipys() {
        let line = [
            1.882_503_835e-4,
            0.002_698_617_3,
            0.021_407_587_9,
            0.093_975_619,
            0.228_288_308_5,
            0.306_883_233_8,
            0.228_288_308_5,
            0.093_975_619,
            0.021_407_587_9,
            0.002_698_617_3,
            1.882_503_835e-4,
        ];
        let kernel = Kernel::gaussian_sigma(1.3).unwrap();
        assert_weights(&kernel, (11, 11), &square(&line));
        // int(4 * sigma + 0.5) taps to each side.
        for (sigma, side) in [(1e-300, 1), (0.124, 1), (0.125, 3), (0.6, 5), (5.0, 41)] {
            let kernel = Kernel::gaussian_sigma(sigma).unwrap();
            assert_eq!((kernel.height(), kernel.width()), (side, side), "{sigma}");
        }
    }

    #[test]
    fn gaussian_takes_any_positive_sigma() {
        for sigma in [f64::MIN_POSITIVE, 5e-324, 1e-160, 1e160, f64::MAX] {
            let odd = Kernel::gaussian(3, sigma).unwrap();
            let even = Kernel::gaussian(4, sigma).unwrap();
            if sigma < 1.0 {
                let mut middle = [0.0; 9];
                middle[4] = 1.0;
                assert_weights(&odd, (3, 3), &middle);
                assert_weights(&even, (4, 4), &square(&[0.0, 0.5, 0.5, 0.0]));
            } else {
                assert_eq!(odd, Kernel::box_blur(3, 3).unwrap());
                assert_eq!(even, Kernel::box_blur(4, 4).unwrap());
            }
        }
    }

    #[test]
    fn binomial_is_pascals_row() {
        assert_eq!(Kernel::binomial(1), Ok(Kernel::identity()));
        let line = [1.0, 5.0, 10.0, 10.0, 5.0, 1.0].map(|n: f64| n / 32.0);
        assert_weights(&Kernel::binomial(6).unwrap(), (6, 6), &square(&line));
        // 2^-1100 is below any f64, and the middle is still right: sqrt(2 / (pi n)).
        let centre = Kernel::binomial(1101).unwrap().get(550, 550, 0).unwrap();
        let want = 2.0 / (std::f64::consts::PI * 1100.0);
        assert!((f64::from(centre) / want - 1.0).abs() < 1e-3, "{centre}");
    }

    #[test]
    fn smoothing_sums_to_one_and_is_symmetric() {
        let kernels = [
            Kernel::gaussian(31, 5.0),
            Kernel::gaussian(8, 1.7),
            Kernel::gaussian_sized(21),
            Kernel::gaussian_sized(6),
            Kernel::gaussian_sigma(2.5),
            Kernel::box_blur(7, 10),
            Kernel::binomial(64),
        ];
        for kernel in kernels {
            let kernel = kernel.unwrap();
            assert!((sum(&kernel) - 1.0).abs() < 1e-6, "{kernel}");
            assert!(kernel.weights().iter().all(|w| *w >= 0.0), "{kernel}");
            assert_eq!(kernel.flipped(), kernel);
        }
    }

    #[test]
    fn bad_arguments_are_named() {
        for value in ODDITIES {
            let found = value.to_string();
            assert_eq!(refused(Kernel::gaussian(3, value)), ("sigma", found.clone()));
            assert_eq!(refused(Kernel::gaussian_sigma(value)), ("sigma", found));
        }
        for value in [511.875, 1e9, f64::MAX] {
            assert_eq!(refused(Kernel::gaussian_sigma(value)).0, "sigma");
        }
        assert_eq!(refused(Kernel::box_blur(0, 3)), ("height", "0".into()));
        assert_eq!(refused(Kernel::box_blur(3, 0)), ("width", "0".into()));
        for (h, w) in [(usize::MAX, 2), (1, (1 << 24) + 1)] {
            assert_eq!(refused(Kernel::box_blur(h, w)).0, "height * width");
        }
    }

    #[test]
    fn limits_of_the_sides_are_allowed() {
        assert_eq!(Kernel::gaussian_sigma(511.874).unwrap().height(), 4095);
        assert_eq!(Kernel::box_blur(1, 100_000).unwrap().width(), 100_000);
    }
}
