//! Derivatives: weights that sum to 0.

use super::smooth::gaussian_line;
use super::{Term, check_finite, check_odd_size, check_positive, finite, impulse, offsets};
#[cfg(doc)]
use crate::Error;
use crate::{Kernel, Result};

impl Kernel {
    /// Sobel's derivative along a row, 3x3, positive where values grow to the right. Rank 1.
    ///
    /// ```text
    /// -1 0 1
    /// -2 0 2
    /// -1 0 1
    /// ```
    ///
    /// The same as `cv2.Sobel(x, ddepth, 1, 0)` and `scipy.ndimage.sobel(x, axis=1)`. Eight times
    /// the slope per pixel.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// // Both directions at once: two outputs for each channel.
    /// let gradient = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()])?;
    /// assert_eq!(gradient.filters(), 2);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn sobel_x() -> Self {
        across([1.0, 2.0, 1.0])
    }

    /// Sobel's derivative down a column, 3x3, positive where values grow downwards. Rank 1.
    ///
    /// The transpose of [`Kernel::sobel_x`]: `cv2.Sobel(x, ddepth, 0, 1)`,
    /// `scipy.ndimage.sobel(x, axis=0)`, and MATLAB's `-fspecial('sobel')`.
    #[must_use]
    pub fn sobel_y() -> Self {
        down([1.0, 2.0, 1.0])
    }

    /// Scharr's derivative along a row, 3x3: [`Kernel::sobel_x`] with 3, 10, 3 for 1, 2, 1, whose
    /// response depends less on the direction of an edge. Rank 1.
    ///
    /// The same as `cv2.Scharr(x, ddepth, 1, 0)`. Thirty-two times the slope per pixel.
    #[must_use]
    pub fn scharr_x() -> Self {
        across([3.0, 10.0, 3.0])
    }

    /// Scharr's derivative down a column, 3x3: the transpose of [`Kernel::scharr_x`]. Rank 1.
    ///
    /// The same as `cv2.Scharr(x, ddepth, 0, 1)`.
    #[must_use]
    pub fn scharr_y() -> Self {
        down([3.0, 10.0, 3.0])
    }

    /// Prewitt's derivative along a row, 3x3: [`Kernel::sobel_x`] with 1, 1, 1 for 1, 2, 1.
    /// Rank 1.
    ///
    /// The same as `scipy.ndimage.prewitt(x, axis=1)`. Six times the slope per pixel.
    #[must_use]
    pub fn prewitt_x() -> Self {
        across([1.0; 3])
    }

    /// Prewitt's derivative down a column, 3x3: the transpose of [`Kernel::prewitt_x`]. Rank 1.
    ///
    /// The same as `scipy.ndimage.prewitt(x, axis=0)`, and MATLAB's `-fspecial('prewitt')`.
    #[must_use]
    pub fn prewitt_y() -> Self {
        down([1.0; 3])
    }

    /// The Laplacian over four neighbours, 3x3. Rank 2.
    ///
    /// ```text
    /// 0  1  0
    /// 1 -4  1
    /// 0  1  0
    /// ```
    ///
    /// The same as `cv2.Laplacian(x, ddepth, ksize=1)`, `scipy.ndimage.laplace(x)` and MATLAB's
    /// `fspecial('laplacian', 0)`.
    #[must_use]
    pub fn laplacian4() -> Self {
        let (second, middle) = ([1.0, -2.0, 1.0], impulse(3));
        Self::of_terms(vec![Term::new(second, middle.as_slice()), Term::new(middle, second)])
    }

    /// The Laplacian over eight neighbours, 3x3: -8 amid ones. Rank 2.
    ///
    /// Three times MATLAB's `fspecial('laplacian', 0.5)`, and three times the Laplacian itself on
    /// a smooth surface.
    #[must_use]
    pub fn laplacian8() -> Self {
        let all = Term::new([1.0; 3], [1.0; 3]);
        Self::of_terms(vec![all, Term::new([0.0, -9.0, 0.0], impulse(3))])
    }

    /// The `size` x `size` Laplacian of a Gaussian, which answers to spots and edges of about
    /// `sigma` pixels.
    ///
    /// With `g` the weights of [`Kernel::gaussian`], the weight at `(y, x)` from the centre is
    /// `g * (y^2 + x^2 - 2 sigma^2) / sigma^4`, less the mean of all, so that they sum to 0. Rank 3 at most:
    /// two second derivatives, each times a Gaussian, and the mean, which is lost beside them where the kernel
    /// is many sigma wide. Equals MATLAB's `fspecial('log', size, sigma)`. SciPy's `gaussian_laplace` does not
    /// subtract the mean.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size of 0 or above 4096, for a sigma that is not finite and above
    /// 0, and for one so small that the weights leave the range of f32.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// let spots = Kernel::log(9, 1.4)?;
    /// assert!(spots.weights().iter().sum::<f32>().abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    pub fn log(size: usize, sigma: f64) -> Result<Self> {
        let bell = gaussian_line(size, sigma)?;
        let line: Vec<(f64, f64)> = offsets(size).zip(bell).collect();
        let weight =
            |y: f64, x: f64| ((y / sigma).powi(2) + (x / sigma).powi(2) - 2.0) / sigma / sigma;
        let mut weights: Vec<f64> = line
            .iter()
            .flat_map(|(y, a)| line.iter().map(move |(x, b)| a * b * weight(*y, *x)))
            .collect();
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        weights.iter_mut().for_each(|w| *w -= mean);
        let bell: Vec<f64> = line.iter().map(|(_, g)| *g).collect();
        let second: Vec<f64> =
            line.iter().map(|(x, g)| g * ((x / sigma).powi(2) - 1.0) / sigma / sigma).collect();
        Ok(finite(size, weights, "sigma", sigma)?.made_from(vec![
            Term::new(second.as_slice(), bell.as_slice()),
            Term::new(bell, second),
            Term::new(vec![-mean; size], vec![1.0; size]),
        ]))
    }

    /// A Gabor kernel: a wave under a Gaussian, for edges and textures of one direction and width.
    ///
    /// With `x' = x cos(theta) + y sin(theta)` and `y' = y cos(theta) - x sin(theta)`, the weight
    /// is `exp(-(x'^2 + gamma^2 y'^2) / (2 sigma^2)) * cos(2 pi x' / lambda + psi)`. Equals
    /// `cv2.getGaborKernel((size, size), sigma, theta, lambda, gamma, psi)`, where `x` counts to
    /// the left and `y` upwards. Not normalised, and its sum is seldom 0. Rank 2 at most where the Gaussian is
    /// round (`gamma` is 1), rank 1 where the wave runs along rows or columns.
    ///
    /// - `sigma`: standard deviation of the Gaussian along the wave, in pixels
    /// - `theta`: direction of the wave in radians; 0 runs along the row
    /// - `lambda`: wavelength in pixels
    /// - `gamma`: aspect ratio; the Gaussian is `sigma / gamma` wide along the stripes
    /// - `psi`: phase at the centre in radians; 0 is even, `-pi / 2` and `pi / 2` are odd
    ///
    /// # Errors
    /// [`Error::Argument`] for a size that is even (OpenCV makes it `size + 1`), 0 or above 4096;
    /// for a `sigma`, `lambda` or `gamma` that is not finite and above 0; for a `theta` or `psi`
    /// that is not finite; and for a `lambda` so small that phases overflow.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// let bank = (0..4)
    ///     .map(|i| f64::from(i) * std::f64::consts::FRAC_PI_4)
    ///     .map(|theta| Kernel::gabor(9, 2.0, theta, 4.0, 0.5, 0.0))
    ///     .collect::<channelwise::Result<Vec<_>>>()?;
    /// assert_eq!(Kernel::stack(&bank)?.filters(), 4);
    /// # Ok(()) }
    /// ```
    pub fn gabor(
        size: usize,
        sigma: f64,
        theta: f64,
        lambda: f64,
        gamma: f64,
        psi: f64,
    ) -> Result<Self> {
        check_odd_size(size)?;
        for (argument, value) in [("sigma", sigma), ("lambda", lambda), ("gamma", gamma)] {
            check_positive(argument, value)?;
        }
        for (argument, value) in [("theta", theta), ("psi", psi)] {
            check_finite(argument, value)?;
        }
        let (sin, cos) = theta.sin_cos();
        let weight = |y: f64, x: f64| {
            let (along, across) = (x * cos + y * sin, y * cos - x * sin);
            let bell = -0.5 * ((along / sigma).powi(2) + (across * gamma / sigma).powi(2));
            bell.exp() * (std::f64::consts::TAU * along / lambda + psi).cos()
        };
        let weights =
            offsets(size).flat_map(|row| offsets(size).map(move |col| weight(-row, -col)));
        let kernel = finite(size, weights, "lambda", lambda)?;
        // The bell is a column times a row where its exponent, `ax^2 + bxy + cy^2`, has no `b` to speak of.
        let mixed = (1.0 - gamma * gamma) * sin * cos * (size as f64 / 2.0 / sigma).powi(2);
        if mixed.is_nan() || mixed.abs() > 1e-9 {
            return Ok(kernel);
        }
        // cos(u + v) = cos(u) cos(v) - sin(u) sin(v), with `u` along the row and `v` down the column.
        let along = |sin: f64, cos: f64, psi: f64, wave: fn(f64) -> f64| -> Vec<f64> {
            let bell =
                |x: f64| -0.5 * ((x * cos / sigma).powi(2) + (x * sin * gamma / sigma).powi(2));
            let phase = |x: f64| std::f64::consts::TAU * x * cos / lambda + psi;
            offsets(size).map(|x| bell(-x).exp() * wave(phase(-x))).collect()
        };
        let minus: Vec<f64> = along(cos, sin, 0.0, f64::sin).iter().map(|w| -w).collect();
        Ok(kernel.made_from(vec![
            Term::new(along(cos, sin, 0.0, f64::cos), along(sin, cos, psi, f64::cos)),
            Term::new(minus, along(sin, cos, psi, f64::sin)),
        ]))
    }
}

/// The derivative along a row, smoothed down the column by `smooth`.
fn across(smooth: [f64; 3]) -> Kernel {
    Kernel::of_terms(vec![Term::new(smooth, [-1.0, 0.0, 1.0])])
}

/// The derivative down a column, smoothed along the row by `smooth`.
fn down(smooth: [f64; 3]) -> Kernel {
    Kernel::of_terms(vec![Term::new([-1.0, 0.0, 1.0], smooth)])
}

#[cfg(test)]
mod tests {
    use super::super::rounded;
    use super::super::testing::{ODDITIES, assert_weights, refused, sum};
    use super::*;

    fn transposed(kernel: &Kernel) -> Kernel {
        let weights = (0..9).map(|i| f64::from(kernel.weights()[i % 3 * 3 + i / 3]));
        rounded(3, 3, weights)
    }

    #[test]
    fn gradients_point_right_and_down() {
        let pairs = [
            (Kernel::sobel_x(), Kernel::sobel_y(), [1.0, 2.0, 1.0]),
            (Kernel::scharr_x(), Kernel::scharr_y(), [3.0, 10.0, 3.0]),
            (Kernel::prewitt_x(), Kernel::prewitt_y(), [1.0, 1.0, 1.0]),
        ];
        for (x, y, [a, b, c]) in pairs {
            assert_eq!(x.weights(), [-a, 0.0, a, -b, 0.0, b, -c, 0.0, c]);
            assert_eq!(y, transposed(&x));
        }
    }

    #[test]
    fn log_is_matlabs() {
        // fspecial('log'), whose defaults are 5 and 0.5.
        let (a, b, c) = (0.044_792_400_3, 0.046_806_427_5, 0.056_406_764_1);
        let (d, e) = (0.316_746_449_8, 0.714_632_533_2);
        let want = [
            [a, b, c, b, a],
            [b, d, e, d, b],
            [c, e, -4.904_764_009_3, e, c],
            [b, d, e, d, b],
            [a, b, c, b, a],
        ];
        assert_weights(&Kernel::log(5, 0.5).unwrap(), (5, 5), &want.concat());

        let (a, b, c) = (0.072_268_394_5, 0.119_926_920_5, -0.312_122_235_4);
        let want = [[a, b, b, a], [b, c, c, b], [b, c, c, b], [a, b, b, a]];
        assert_weights(&Kernel::log(4, 0.8).unwrap(), (4, 4), &want.concat());
    }

    #[test]
    fn gabor_is_opencvs() {
        let want = [
            -0.008_069_205_7,
            -0.390_267_852_6,
            -0.312_135_341,
            0.531_604_125_8,
            0.532_087_695_7,
            -0.268_497_531_1,
            -0.513_004_326_7,
            0.335_929_295,
            0.879_462_269_6,
            0.102_130_015_8,
            -0.492_826_711_7,
            -0.021_647_152,
            0.955_336_489_1,
            0.458_782_031_8,
            -0.336_071_210_5,
            -0.262_313_556_6,
            0.671_259_554_1,
            0.746_883_474_9,
            -0.199_416_010_9,
            -0.334_056_910_4,
            0.267_532_870_1,
            0.734_179_636_9,
            0.062_648_948_7,
            -0.373_400_343_6,
            -0.106_411_112_8,
        ];
        let kernel = Kernel::gabor(5, 1.5, 0.6, 4.0, 0.5, 0.3).unwrap();
        assert_weights(&kernel, (5, 5), &want);
    }

    #[test]
    fn derivatives_sum_to_zero() {
        let exact = [
            Kernel::sobel_x(),
            Kernel::sobel_y(),
            Kernel::scharr_x(),
            Kernel::scharr_y(),
            Kernel::prewitt_x(),
            Kernel::prewitt_y(),
            Kernel::laplacian4(),
            Kernel::laplacian8(),
        ];
        for kernel in exact {
            assert_eq!(sum(&kernel), 0.0, "{kernel:?}");
        }
        for (size, sigma) in [(1, 1.0), (5, 0.5), (9, 1.4), (31, 5.0), (12, 2.0)] {
            let kernel = Kernel::log(size, sigma).unwrap();
            let scale: f64 = kernel.weights().iter().map(|w| f64::from(w.abs())).sum();
            assert!(sum(&kernel).abs() <= 1e-7 * scale, "{size}, {sigma}");
        }
    }

    #[test]
    fn bad_arguments_are_named() {
        let gabor = |sigma, lambda, gamma| Kernel::gabor(3, sigma, 0.0, lambda, gamma, 0.0);
        for value in ODDITIES {
            let found = value.to_string();
            assert_eq!(refused(Kernel::log(3, value)), ("sigma", found.clone()));
            assert_eq!(refused(gabor(value, 2.0, 1.0)), ("sigma", found.clone()));
            assert_eq!(refused(gabor(1.0, value, 1.0)), ("lambda", found.clone()));
            assert_eq!(refused(gabor(1.0, 2.0, value)), ("gamma", found));
        }
        for value in [f64::NAN, f64::NEG_INFINITY] {
            let theta = Kernel::gabor(3, 1.0, value, 2.0, 1.0, 0.0);
            assert_eq!(refused(theta).0, "theta");
            let psi = Kernel::gabor(3, 1.0, 0.0, 2.0, 1.0, value);
            assert_eq!(refused(psi).0, "psi");
        }
        let even = Kernel::gabor(4, 1.0, 0.0, 2.0, 1.0, 0.0);
        assert_eq!(refused(even), ("size", "4".into()));
    }

    #[test]
    fn extreme_arguments_do_not_reach_the_weights() {
        for sigma in [1e-20, 1e-160, 5e-324] {
            assert_eq!(refused(Kernel::log(3, sigma)).0, "sigma");
            assert_eq!(refused(Kernel::log(4, sigma)).0, "sigma");
        }
        let flat = Kernel::log(3, f64::MAX).unwrap();
        assert_eq!(sum(&flat), 0.0);
        let lambda = Kernel::gabor(3, 1.0, 0.0, 5e-324, 1.0, 0.0);
        assert_eq!(refused(lambda).0, "lambda");
        for extreme in [5e-324, f64::MAX] {
            assert!(Kernel::gabor(3, extreme, 0.5, 2.0, 1.0, 0.0).is_ok());
            assert!(Kernel::gabor(3, 1.0, 0.5, 2.0, extreme, 0.0).is_ok());
            assert!(Kernel::gabor(3, 1.0, extreme, 2.0, 1.0, extreme).is_ok());
        }
    }
}
