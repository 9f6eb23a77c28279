//! Effects: the blurs of a camera, sharpening and relief. Weights sum to 1.

use super::smooth::gaussian_line;
use super::{
    MAX_SIDE, Term, check_finite, check_odd_size, finite, impulse, normalised, offsets, rounded,
};
use crate::{Error, Kernel, Result};

impl Kernel {
    /// Motion blur along a line of `length` pixels, `angle_degrees` counter-clockwise from
    /// horizontal.
    ///
    /// Equals MATLAB's `fspecial('motion', length, angle)`. A line of `length - 1` runs through
    /// the middle of the kernel; a tap weighs `max(0, 1 - d)`, where `d` is its distance from
    /// that line, and all are divided by their sum. As in MATLAB, and unlike its description, a
    /// tap at least as far from the centre as the line's ends takes its distance from the end,
    /// even where it lies beside the line. Angles of 180 degrees apart are the same.
    ///
    /// Both sides are odd and reach less than a tap beyond the line: `1 x length` for an angle of
    /// 0 and an odd whole length.
    ///
    /// # Errors
    /// [`Error::Argument`] for a length outside 1 to 4096 and an angle that is not finite.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// assert_eq!(Kernel::motion(5.0, 90.0)?, Kernel::box_blur(5, 1)?);
    /// # Ok(()) }
    /// ```
    pub fn motion(length: f64, angle_degrees: f64) -> Result<Self> {
        if !(1.0..=MAX_SIDE as f64).contains(&length) {
            let limit = format!("it must be 1 to {MAX_SIDE}");
            return Err(Error::argument("length", length, limit));
        }
        check_finite("angle_degrees", angle_degrees)?;
        let degrees = angle_degrees.rem_euclid(180.0);
        // cos(pi / 2) is not 0 in floating point, and an upright line needs no second column.
        let (sin, cos) = if degrees == 90.0 { (1.0, 0.0) } else { degrees.to_radians().sin_cos() };
        let half = (length - 1.0) / 2.0;
        // Taps less than 1 beyond the end; a tap at exactly 1 would weigh 0.
        let side = |along: f64| {
            let reach = (half * along.abs() + 1.0 - length * f64::EPSILON).trunc();
            2 * reach as usize + 1
        };
        let (height, width) = (side(sin), side(cos));
        let weight = |y: f64, x: f64| {
            let (along, across) = (x * cos + y * sin, y * cos - x * sin);
            let distance = if (x * x + y * y).sqrt() >= half {
                across.hypot(half - along.abs())
            } else {
                across.abs()
            };
            (1.0 - distance).max(0.0)
        };
        // Angles are counter-clockwise as seen, but rows run downwards.
        let weights: Vec<f64> =
            offsets(height).flat_map(|row| offsets(width).map(move |x| weight(-row, x))).collect();
        Ok(normalised(height, width, &weights))
    }

    /// A disc of `radius` pixels, the blur of a lens out of focus (pillbox).
    ///
    /// Each weight is the area that the disc shares with the unit square of its tap, as an exact
    /// integral, divided by the disc's area. The side is `2 * ceil(radius - 0.5) + 1`; a radius up
    /// to 0.5 gives the identity. Equals MATLAB's `fspecial('disk', radius)` for radii above 0.71;
    /// below, MATLAB overrates the middle tap.
    ///
    /// # Errors
    /// [`Error::Argument`] for a radius that is not above 0, or above 2047.5.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// let lens = Kernel::disk(5.0)?;
    /// assert_eq!((lens.height(), lens.width()), (11, 11));
    /// // The middle tap lies wholly inside.
    /// let inside = 1.0 / (std::f64::consts::PI * 25.0);
    /// assert_eq!(lens.get(5, 5, 0), Some(inside as f32));
    /// # Ok(()) }
    /// ```
    pub fn disk(radius: f64) -> Result<Self> {
        let largest = (MAX_SIDE as f64 - 1.0) / 2.0;
        if !(radius > 0.0 && radius <= largest) {
            let limit = format!("it must be above 0 and at most {largest}");
            return Err(Error::argument("radius", radius, limit));
        }
        if radius <= 0.5 {
            return Ok(Self::identity());
        }
        let size = 2 * (radius - 0.5).ceil() as usize + 1;
        let weights: Vec<f64> = offsets(size)
            .flat_map(|y| offsets(size).map(move |x| shared_area(y.abs(), x.abs(), radius)))
            .collect();
        Ok(normalised(size, size, &weights))
    }

    /// Sharpening, 3x3: the image less its Laplacian over four neighbours. Rank 2.
    ///
    /// ```text
    ///  0 -1  0
    /// -1  5 -1
    ///  0 -1  0
    /// ```
    ///
    /// The same as MATLAB's `fspecial('unsharp', 0)`.
    #[must_use]
    pub fn sharpen() -> Self {
        let (detail, middle) = ([-1.0, 2.5, -1.0], impulse(3));
        Self::of_terms(vec![Term::new(detail, middle.as_slice()), Term::new(middle, detail)])
    }

    /// Unsharp masking, `size` x `size`: `amount` times the difference between the image and its
    /// Gaussian blur is added to the image.
    ///
    /// The weights are `(1 + amount) * identity - amount * gaussian(size, sigma)` and sum to 1.
    /// An amount of 0 changes nothing, -1 is the blur itself. The same as
    /// `cv2.addWeighted(x, 1 + amount, cv2.GaussianBlur(x, (size, size), sigma), -amount, 0)`,
    /// in one pass and with one rounding.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size that is even, 0 or above 4096, for a sigma that is not
    /// finite and above 0, and for an amount that is not finite or makes weights beyond f32.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// let crisp = Kernel::unsharp(5, 1.0, 0.8)?;
    /// assert!((crisp.weights().iter().sum::<f32>() - 1.0).abs() < 1e-6);
    /// assert_eq!(Kernel::unsharp(5, 1.0, -1.0)?, Kernel::gaussian(5, 1.0)?);
    /// # Ok(()) }
    /// ```
    pub fn unsharp(size: usize, sigma: f64, amount: f64) -> Result<Self> {
        check_odd_size(size)?;
        check_finite("amount", amount)?;
        let line = gaussian_line(size, sigma)?;
        let middle = impulse(size);
        let weight = |i: usize, j: usize| {
            (1.0 + amount) * middle[i] * middle[j] - amount * line[i] * line[j]
        };
        let weights = (0..size).flat_map(|i| (0..size).map(move |j| (i, j)));
        let kernel = finite(size, weights.map(|(i, j)| weight(i, j)), "amount", amount)?;
        let scaled = |line: &[f64], by: f64| line.iter().map(|w| by * w).collect::<Vec<_>>();
        Ok(kernel.made_from(vec![
            Term::new(scaled(&middle, 1.0 + amount), middle),
            Term::new(scaled(&line, -amount), line),
        ]))
    }

    /// Relief, 3x3: brighter where values grow towards the lower right.
    ///
    /// ```text
    /// -2 -1 0
    /// -1  1 1
    ///  0  1 2
    /// ```
    ///
    /// A derivative along the diagonal plus the image itself, as it stands in many textbooks. The
    /// weights sum to 1.
    #[must_use]
    pub fn emboss() -> Self {
        rounded(3, 3, [-2.0, -1.0, 0.0, -1.0, 1.0, 1.0, 0.0, 1.0, 2.0])
    }
}

/// Area that a disc around the origin shares with the unit square around `(y, x)`, whole
/// numbers of at least 0.
fn shared_area(y: f64, x: f64, radius: f64) -> f64 {
    // In order, so that the kernel comes out exactly symmetric about its diagonal.
    let (x, y) = (x.max(y), x.min(y));
    // An axis through the square cuts it into equal halves; the rest is one quadrant.
    let halves = [x, y].map(|v| if v == 0.0 { 2.0 } else { 1.0 });
    let (x0, x1) = ((x - 0.5).max(0.0), x + 0.5);
    let (y0, y1) = ((y - 0.5).max(0.0), y + 0.5);
    if x1.hypot(y1) <= radius {
        return 1.0;
    }
    if x0.hypot(y0) >= radius {
        return 0.0;
    }
    // From x0 to a the arc runs above the square, from a to b through it, beyond b below it.
    let chord = |v: f64| ((radius - v) * (radius + v)).max(0.0).sqrt();
    let a = chord(y1).clamp(x0, x1);
    let b = chord(y0).clamp(x0, x1);
    let under_arc = |v: f64| {
        let angle = (v / radius).min(1.0).asin();
        0.5 * (v * chord(v) + radius * radius * angle)
    };
    let area = (a - x0) * (y1 - y0) + under_arc(b) - under_arc(a) - (b - a) * y0;
    // Rounding could take a sliver below 0.
    halves[0] * halves[1] * area.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ODDITIES, assert_weights, refused, sum};
    use super::*;

    #[test]
    fn motion_is_matlabs() {
        // fspecial('motion', 3, 45) as printed by MATLAB; the others from its steps, run elsewhere.
        let (end, side) = (0.188_349_383_4, 0.075_442_180_8);
        let want = [0.0, side, end, side, 0.321_532_509_7, side, end, side, 0.0];
        assert_weights(&Kernel::motion(3.0, 45.0).unwrap(), (3, 3), &want);

        let want = [0.125, 0.25, 0.25, 0.25, 0.125];
        assert_weights(&Kernel::motion(4.0, 0.0).unwrap(), (1, 5), &want);
        assert_weights(&Kernel::motion(4.0, -90.0).unwrap(), (5, 1), &want);

        let upper: [f64; 18] = [
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.037_020_889_6,
            0.049_529_531_4,
            0.0,
            0.0,
            0.0,
            0.018_510_444_8,
            0.087_592_365_4,
            0.119_653_396_3,
            0.049_529_531_4,
            0.0,
            0.0,
            0.069_081_920_5,
            0.138_163_841_1,
        ];
        let lower = upper.iter().rev().skip(1);
        let want: Vec<f64> = upper.iter().chain(lower).copied().collect();
        assert_weights(&Kernel::motion(7.0, 30.0).unwrap(), (5, 7), &want);

        let want = [
            0.007_943_987_5,
            0.023_418_387_8,
            0.0,
            0.220_141_512_1,
            0.496_992_225_2,
            0.220_141_512_1,
            0.0,
            0.023_418_387_8,
            0.007_943_987_5,
        ];
        assert_weights(&Kernel::motion(2.0, 160.0).unwrap(), (3, 3), &want);
        assert_weights(&Kernel::motion(2.0, -20.0).unwrap(), (3, 3), &want);
    }

    #[test]
    fn motion_sides_are_matlabs() {
        let cases = [
            (9.3, 7.0, (3, 11)),
            (20.0, 45.0, (15, 15)),
            (15.0, 60.0, (15, 9)),
            (64.5, 101.0, (65, 15)),
            (4096.0, 0.0, (1, 4097)),
        ];
        for (length, angle, sides) in cases {
            let kernel = Kernel::motion(length, angle).unwrap();
            assert_eq!((kernel.height(), kernel.width()), sides, "{length}, {angle}");
        }
    }

    #[test]
    fn a_short_motion_is_the_identity() {
        for angle in [0.0, 30.0, 90.0, 135.0, -1e-20] {
            assert_eq!(Kernel::motion(1.0, angle), Ok(Kernel::identity()), "{angle}");
        }
    }

    #[test]
    fn disk_is_the_shared_area() {
        // By adaptive quadrature of the overlap, radius 1, 2.3 and the first rows of 5.
        let (corner, edge) = (0.025_078_581, 0.145_343_947_4);
        let middle = std::f64::consts::FRAC_1_PI;
        let want = [corner, edge, corner, edge, middle, edge, corner, edge, corner];
        assert_weights(&Kernel::disk(1.0).unwrap(), (3, 3), &want);

        let (a, b, c) = (0.001_873_983_5, 0.032_849_673_1, 0.047_039_667_6);
        let full = 0.060_172_001_2;
        let (outer, next) = ([a, b, c, b, a], [b, full, full, full, b]);
        let want = [outer, next, [c, full, full, full, c], next, outer].concat();
        assert_weights(&Kernel::disk(2.3).unwrap(), (5, 5), &want);

        let kernel = Kernel::disk(5.0).unwrap();
        let (s, full) = (3.204_641_715e-5, 0.012_732_395_4);
        let want = [
            [0.0, 0.0, 0.0, 0.001_249_603_8, 0.004_966_947_2, 0.006_259_934_7],
            [0.0, s, 0.006_157_069_6, 0.012_395_873_6, full, full],
        ];
        for (i, row) in want.iter().enumerate() {
            for (j, want) in row.iter().enumerate() {
                for (i, j) in [(i, j), (j, i), (10 - i, j), (i, 10 - j)] {
                    let got = f64::from(kernel.get(i, j, 0).unwrap());
                    assert!((got - want).abs() < 1e-9, "[{i}, {j}]: {got} for {want}");
                }
            }
        }
    }

    #[test]
    fn disk_side_follows_the_radius() {
        for (radius, side) in [(5e-324, 1), (0.5, 1), (0.51, 3), (1.5, 3), (1.51, 5), (20.5, 41)] {
            let kernel = Kernel::disk(radius).unwrap();
            assert_eq!((kernel.height(), kernel.width()), (side, side), "{radius}");
            assert!((sum(&kernel) - 1.0).abs() < 1e-6, "{radius}");
        }
    }

    #[test]
    fn unsharp_is_the_image_plus_its_detail() {
        let (a, b) = (-0.021_935_407_1, -0.060_855_990_1);
        let want = [a, b, a, b, 1.331_165_588_8, b, a, b, a];
        assert_weights(&Kernel::unsharp(3, 0.7, 0.5).unwrap(), (3, 3), &want);
        let mut identity = [0.0; 9];
        identity[4] = 1.0;
        assert_weights(&Kernel::unsharp(3, 0.7, 0.0).unwrap(), (3, 3), &identity);
    }

    #[test]
    fn effects_sum_to_one() {
        for kernel in [Kernel::sharpen(), Kernel::emboss()] {
            assert_eq!(sum(&kernel), 1.0);
        }
        let blurs = [
            Kernel::motion(20.0, 33.0),
            Kernel::motion(64.5, 101.0),
            Kernel::disk(3.7),
            Kernel::disk(0.6),
            Kernel::unsharp(15, 2.0, 3.0),
        ];
        for kernel in blurs {
            let kernel = kernel.unwrap();
            assert!((sum(&kernel) - 1.0).abs() < 1e-6, "{kernel}");
            assert_eq!(kernel.flipped(), kernel);
        }
    }

    #[test]
    fn bad_arguments_are_named() {
        for value in ODDITIES {
            let found = value.to_string();
            assert_eq!(refused(Kernel::disk(value)), ("radius", found.clone()));
            assert_eq!(refused(Kernel::motion(value, 0.0)), ("length", found.clone()));
            assert_eq!(refused(Kernel::unsharp(3, value, 1.0)), ("sigma", found));
        }
        for value in [f64::NAN, f64::INFINITY, 1e39, f64::MAX, f64::MIN] {
            let found = value.to_string();
            assert_eq!(refused(Kernel::unsharp(3, 1.0, value)), ("amount", found));
        }
        for radius in [2048.0, f64::MAX] {
            assert_eq!(refused(Kernel::disk(radius)).0, "radius");
        }
        for length in [0.9, 4097.0, f64::MAX] {
            assert_eq!(refused(Kernel::motion(length, 0.0)).0, "length");
        }
        for angle in [f64::NAN, f64::INFINITY] {
            assert_eq!(refused(Kernel::motion(3.0, angle)).0, "angle_degrees");
        }
        assert!(Kernel::motion(3.0, f64::MAX).is_ok());
        assert_eq!(refused(Kernel::unsharp(4, 1.0, 1.0)), ("size", "4".into()));
    }
}
