//! Kernels from columns and rows, and sums of kernels.

use super::fit::agree;
use super::terms::{self, Term, Terms};
use super::{Kernel, same};
use crate::{Error, Result};

/// Most taps of a kernel that is made from a column and a row: 64 MiB of weights, so that a slip in an argument is an
/// error.
const MAX_TAPS: usize = 1 << 24;

impl Kernel {
    /// The kernel whose weight of row `i` and column `j` is `column[i] * row[j]`, rounded once: of
    /// `column.len()` x `row.len()` taps, and rank 1.
    ///
    /// It keeps the column and the row, so that `separable` takes them as they are, up to a power of two. The
    /// same as `cv2.sepFilter2D(x, ddepth, kernelX=row, kernelY=column)` and SciPy's `correlate1d` with
    /// `column` along axis 0, then with `row` along axis 1. For a sum of several such kernels see
    /// [`Kernel::weighted_sum`]. Factors of f64 keep their digits where sums are made in f64.
    ///
    /// # Errors
    /// [`Error::Argument`] for an empty column or row, for more than 2^24 taps, for a factor that is not finite
    /// and where a product is beyond f32.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// let sobel = Kernel::separable(&[1.0, 2.0, 1.0], &[-1.0, 0.0, 1.0])?;
    /// assert_eq!(sobel, Kernel::sobel_x());
    /// let lines = Kernel::separable(&[0.5, 1.0, 0.5], &[1.0; 9])?.normalized()?;
    /// assert_eq!((lines.height(), lines.width(), lines.rank()), (3, 9, 1));
    /// # Ok(()) }
    /// ```
    pub fn separable<T: Into<f64> + Copy>(column: &[T], row: &[T]) -> Result<Self> {
        let [column, row]: [Vec<f64>; 2] =
            [column, row].map(|line| line.iter().map(|w| (*w).into()).collect());
        for (name, line) in [("column", &column), ("row", &row)] {
            if line.is_empty() {
                return Err(Error::argument(name, "[]", "at least 1 weight is needed"));
            }
            if let Some(weight) = line.iter().find(|w| !w.is_finite()) {
                return Err(Error::argument(name, weight, "weights must be finite"));
            }
        }
        let (height, width) = (column.len(), row.len());
        check_taps("column * row", height, width)?;
        let kernel = Self::of_terms(vec![Term { column, row }]);
        match kernel.weights.iter().find(|w| !w.is_finite()) {
            None => Ok(kernel),
            Some(weight) => {
                let limit = "every product must be finite in f32";
                Err(Error::argument("column * row", weight, limit))
            }
        }
    }

    /// The sum of `kernels`, each times a number, filter by filter, in f64 and rounded once.
    ///
    /// Where all were made from columns times rows, so is the sum: a difference of Gaussians takes two terms.
    /// Its weights are then those of the columns and rows, so that what cancels leaves no roundings behind.
    ///
    /// # Errors
    /// [`Error::Argument`] for an empty list and for a number that is not finite, [`Error::ShapeMismatch`]
    /// where sizes or numbers of filters differ.
    ///
    /// ```
    /// use channelwise::Kernel;
    ///
    /// # fn main() -> channelwise::Result<()> {
    /// // Two Gaussians that differ: blobs of some 2 pixels.
    /// let [narrow, wide] = [1.4, 2.2].map(|sigma| Kernel::gaussian(15, sigma));
    /// let blobs = Kernel::weighted_sum(&[(1.0, narrow?), (-1.0, wide?)])?;
    /// assert_eq!(blobs.rank(), 2);
    /// # Ok(()) }
    /// ```
    pub fn weighted_sum(kernels: &[(f64, Self)]) -> Result<Self> {
        let (_, first) = kernels
            .first()
            .ok_or_else(|| Error::argument("kernels", "[]", "at least 1 is needed"))?;
        let shape = |kernel: &Self| vec![kernel.height, kernel.width, kernel.filters];
        for (by, kernel) in kernels {
            if !by.is_finite() {
                return Err(Error::argument("factor of a kernel", by, "it must be finite"));
            }
            same("kernel of a sum", shape(first), shape(kernel))?;
        }
        let filters = first.filters;
        let parts = |f: usize| kernels.iter().map(move |(by, kernel)| (*by, kernel.terms.of(f)));
        let terms: Vec<_> = (0..filters).map(|f| terms::sum(parts(f))).collect();
        let all: Vec<(f64, Vec<f64>)> =
            kernels.iter().map(|(by, kernel)| (*by, kernel.weights_f64())).collect();
        let weight = |at: usize| match terms[at % filters].as_slice() {
            [] => all.iter().map(|(by, weights)| by * weights[at]).sum(),
            terms => terms::weight(terms, at / filters / first.width, at / filters % first.width),
        };
        let weights = (0..first.weights.len()).map(weight).collect();
        let sides = [first.height, first.width, filters];
        Ok(Self::of_digits(sides, weights, Terms::new(terms)))
    }

    /// A single filter, the sum of `terms`, of which there is one at least, of the same sizes.
    pub(super) fn of_terms(terms: Vec<Term>) -> Self {
        let (height, width) = (terms[0].column.len(), terms[0].row.len());
        let weight = |at: usize| terms::weight(&terms, at / width, at % width);
        let weights = (0..height * width).map(weight).collect();
        Self::of_digits([height, width, 1], weights, Terms::new(vec![terms]))
    }

    /// The same single filter, made from `terms`: dropped where the weights are not their roundings.
    pub(super) fn made_from(self, terms: Vec<Term>) -> Self {
        let terms = if agree(&terms, self.filter(0), self.width) { terms } else { Vec::new() };
        let weights = self.weights_f64();
        Self { terms: Terms::new(vec![terms]), ..self }.with_digits(weights)
    }
}

/// Refuses more than [`MAX_TAPS`].
pub(super) fn check_taps(argument: &'static str, height: usize, width: usize) -> Result<()> {
    match height.checked_mul(width) {
        Some(taps) if taps <= MAX_TAPS => Ok(()),
        Some(_) | None => Err(Error::argument(
            argument,
            format!("{height} * {width}"),
            format!("at most {MAX_TAPS} taps are possible"),
        )),
    }
}

#[cfg(test)]
mod tests;
