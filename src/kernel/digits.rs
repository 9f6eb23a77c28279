//! The digits of weights beyond f32, for sums that are made in f64.

use super::{Kernel, Terms, terms};
use crate::Result;

impl Kernel {
    /// Several filters from f64 weights `[height, width, filters]`, row-major.
    ///
    /// Where sums are made in f64 ([`ElementType::sums_in_f64`](crate::ElementType::sums_in_f64)) they are the
    /// weights, digit for digit; elsewhere, and in [`Kernel::weights`], they are rounded to f32. Presets and what
    /// is made from columns and rows keep their digits in the same way.
    ///
    /// # Errors
    /// As [`Kernel::new`].
    ///
    /// ```
    /// use channelwise::{Conv2d, Engine, Kernel};
    /// use ndarray::array;
    /// # fn main() -> channelwise::Result<()> {
    /// let tenth = Kernel::from_f64(1, 1, 1, vec![0.1])?;
    /// let y = Engine::cpu().run(&Conv2d::new(tenth), &array![[1.0f64, 3.0]])?;
    /// assert_eq!(y, array![[0.1, 0.1 * 3.0]]);
    /// # Ok(()) }
    /// ```
    pub fn from_f64(
        height: usize,
        width: usize,
        filters: usize,
        weights: Vec<f64>,
    ) -> Result<Self> {
        let rounded = weights.iter().map(|w| *w as f32).collect();
        Ok(Self::with_filters(height, width, filters, rounded)?.with_digits(weights))
    }

    /// All weights in f64, `[height, width, filters]` row-major: what the kernel was made from, where that is known.
    #[must_use]
    pub fn weights_f64(&self) -> Vec<f64> {
        (0..self.weights.len()).map(|at| self.weight_f64(at)).collect()
    }

    /// The one at this place of them.
    pub(crate) fn weight_f64(&self, at: usize) -> f64 {
        match (&self.digits, self.terms.of(at % self.filters)) {
            (Some(digits), _) => digits[at],
            (None, []) => self.weights[at].into(),
            (None, known) => {
                let tap = at / self.filters;
                terms::weight(known, tap / self.width, tap % self.width)
            }
        }
    }

    /// What the weights of values under each filter have to sum to at least for anything to be known: of a
    /// normalised convolution.
    pub(crate) fn nothing(&self) -> Vec<f64> {
        let all = self.weights_f64();
        let size =
            |f: usize| all.iter().skip(f).step_by(self.filters).map(|w| w.abs()).sum::<f64>();
        (0..self.filters).map(|f| 1e-6 * size(f)).collect()
    }

    /// The same kernel, whose weights are the roundings of these; none are kept where those say it all.
    pub(super) fn with_digits(mut self, weights: Vec<f64>) -> Self {
        let same = |(one, other): (&f64, &f64)| one.to_bits() == other.to_bits();
        self.digits = None;
        let known = self.weights_f64();
        let plain = known.iter().zip(&weights).all(same);
        self.digits = (!plain).then_some(weights);
        self
    }

    /// The kernel of these weights, which are rounded, and of what they were made from.
    pub(super) fn of_digits(
        [height, width, filters]: [usize; 3],
        weights: Vec<f64>,
        terms: Terms,
    ) -> Self {
        let rounded = weights.iter().map(|w| *w as f32).collect();
        Self { height, width, filters, weights: rounded, digits: None, terms }.with_digits(weights)
    }
}

#[cfg(test)]
mod tests {
    use crate::Kernel;

    fn third() -> Kernel {
        Kernel::from_f64(1, 2, 1, vec![1.0 / 3.0, -2.0 / 3.0]).unwrap()
    }

    #[test]
    fn digits_go_from_kernel_to_kernel() {
        let (a, b) = (1.0 / 3.0, -2.0 / 3.0);
        assert_eq!(third().weights_f64(), [a, b]);
        assert_eq!(third().weights(), [a as f32, b as f32]);
        assert_eq!(third().flipped().weights_f64(), [b, a]);
        let two = Kernel::stack(&[third(), third().flipped()]).unwrap();
        assert_eq!(two.weights_f64(), [a, b, b, a]);
        assert_eq!(two.flipped().weights_f64(), [b, a, a, b]);
        assert_eq!(third().normalized().unwrap().weights_f64(), [a / (a + b), b / (a + b)]);
        let sum = Kernel::weighted_sum(&[(2.0, third()), (1.0, third().flipped())]).unwrap();
        assert_eq!(sum.weights_f64(), [2.0 * a + b, 2.0 * b + a]);
        // Presets have those of their formula.
        let box_blur = Kernel::box_blur(3, 1).unwrap();
        assert_eq!(box_blur.weights_f64(), [a; 3]);
        let sum: f64 = Kernel::gaussian(31, 5.0).unwrap().weights_f64().iter().sum();
        assert!((sum - 1.0).abs() < 1e-14, "{sum}");
        // Nothing is kept where f32 says it all.
        assert_eq!(Kernel::from_f64(1, 1, 1, vec![0.5]).unwrap().digits, None);
        assert_ne!(third().digits, None);
    }

    #[test]
    fn digits_are_told_apart() {
        let rounded = Kernel::new(1, 2, third().weights().to_vec()).unwrap();
        assert_eq!(rounded, third());
        assert!(!rounded.same_bits(&third()) && third().same_bits(&third()));
    }
}
