//! The weights: one 2-D kernel, or several, shared by all channels.

mod cross;
mod digits;
mod factors;
mod fit;
mod presets;
mod rank;
mod separable;
mod spectrum;
mod terms;

pub use factors::Factors;
pub(crate) use factors::{factors, spread};
pub(crate) use fit::Digits;
pub(crate) use spectrum::{spectrum, turns};
pub(crate) use terms::{Term, Terms, sum as sum_of_terms};

use std::fmt;

use fit::agree;
use ndarray::{ArrayRef, Ix2, Ix3, Ix4};

use crate::{Error, Result};

/// Weights `[height, width, filters]`, shared by every channel.
///
/// A tap `[i, j]` meets the input `i` rows below and `j` columns right of the kernel's first
/// element (correlation, as in TensorFlow, PyTorch and OpenCV). With `F` filters each channel
/// gets `F` outputs.
///
/// A kernel that was made from columns times rows ([`Kernel::separable`], most presets, and what is made of
/// such ones) keeps these beside its weights, and [`Algorithm::Separable`](crate::Algorithm::Separable) takes
/// them; of others it looks for some. The weights alone say what a kernel is: kernels of equal weights are
/// equal, however they were made. Plans and the last bits of results may differ, within the stated bound; and sums
/// in f64 take all the digits that a kernel was made from ([`Kernel::from_f64`]).
///
/// ```
/// use channelwise::Kernel;
/// use ndarray::array;
///
/// # fn main() -> channelwise::Result<()> {
/// let edge = Kernel::from_array2(&array![[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])?;
/// assert_eq!(edge, Kernel::sobel_x());
/// let gradient = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()])?;
/// assert_eq!((gradient.height(), gradient.width(), gradient.filters()), (3, 3, 2));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Kernel {
    height: usize,
    width: usize,
    filters: usize,
    /// `[height, width, filters]`, row-major.
    weights: Vec<f32>,
    /// The same in f64, where that is more than `weights` and `terms` say.
    digits: Option<Vec<f64>>,
    /// What it was made from.
    terms: Terms,
}

impl Kernel {
    /// A single filter from its weights, row by row.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size of 0, [`Error::ShapeMismatch`] where `weights` is not
    /// `height * width` long.
    pub fn new(height: usize, width: usize, weights: Vec<f32>) -> Result<Self> {
        Self::with_filters(height, width, 1, weights)
    }

    /// Several filters from weights `[height, width, filters]`, row-major.
    ///
    /// # Errors
    /// As [`Kernel::new`].
    pub fn with_filters(
        height: usize,
        width: usize,
        filters: usize,
        weights: Vec<f32>,
    ) -> Result<Self> {
        for (axis, n) in
            [("kernel height", height), ("kernel width", width), ("kernel filters", filters)]
        {
            if n == 0 {
                return Err(Error::argument(axis, n, "at least 1 is needed"));
            }
        }
        let expected = height.checked_mul(width).and_then(|n| n.checked_mul(filters));
        if expected != Some(weights.len()) {
            return Err(Error::ShapeMismatch {
                what: "kernel weights",
                expected: vec![height, width, filters],
                found: vec![weights.len()],
            });
        }
        Ok(Self { height, width, filters, weights, digits: None, terms: Terms::default() })
    }

    /// Whether both are the same to the bit, as NaNs then are and zeros of different sign are not; and were
    /// made from the same, as plans depend on that.
    pub(crate) fn same_bits(&self, other: &Self) -> bool {
        let Self { height, width, filters, weights, digits, terms } = self;
        let bits = bytemuck::cast_slice::<f32, u32>;
        let more = |digits: &Option<Vec<f64>>| {
            digits.as_deref().map(|all| bytemuck::cast_slice::<f64, u64>(all).to_vec())
        };
        (height, width, filters) == (&other.height, &other.width, &other.filters)
            && bits(weights) == bits(&other.weights)
            && more(digits) == more(&other.digits)
            && terms.same_bits(&other.terms)
    }

    /// From `[height, width]`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size of 0.
    pub fn from_array2(weights: &ArrayRef<f32, Ix2>) -> Result<Self> {
        let (h, w) = weights.dim();
        Self::new(h, w, weights.iter().copied().collect())
    }

    /// From `[height, width, filters]`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size of 0.
    pub fn from_array3(weights: &ArrayRef<f32, Ix3>) -> Result<Self> {
        let (h, w, f) = weights.dim();
        Self::with_filters(h, w, f, weights.iter().copied().collect())
    }

    /// From TensorFlow's `[height, width, 1, filters]`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a size of 0 or a third axis that is not 1.
    pub fn from_array4(weights: &ArrayRef<f32, Ix4>) -> Result<Self> {
        let (h, w, one, f) = weights.dim();
        if one != 1 {
            return Err(Error::argument(
                "kernel input channels",
                one,
                "[height, width, 1, filters] is needed: one kernel is shared by all channels",
            ));
        }
        Self::with_filters(h, w, f, weights.iter().copied().collect())
    }

    /// A kernel for each image of a batch, from `[images, height, width, filters]`: for
    /// [`Engine::run_each`](crate::Engine::run_each).
    ///
    /// # Errors
    /// [`Error::Argument`] for a size of 0.
    ///
    /// ```
    /// use channelwise::Kernel;
    /// use ndarray::Array4;
    /// # fn main() -> channelwise::Result<()> {
    /// let kernels = Kernel::each(&Array4::from_elem((8, 5, 5, 1), 0.04))?;
    /// assert_eq!((kernels.len(), kernels[0].height()), (8, 5));
    /// # Ok(()) }
    /// ```
    pub fn each(weights: &ArrayRef<f32, Ix4>) -> Result<Vec<Self>> {
        weights.outer_iter().map(|image| Self::from_array3(&image)).collect()
    }

    /// The filters of all `kernels`, in order, as one kernel.
    ///
    /// # Errors
    /// [`Error::Argument`] for an empty list, [`Error::ShapeMismatch`] where sizes differ.
    pub fn stack(kernels: &[Self]) -> Result<Self> {
        let first = kernels
            .first()
            .ok_or_else(|| Error::argument("kernels", "[]", "at least 1 is needed"))?;
        for kernel in kernels {
            let sides = |kernel: &Self| vec![kernel.height, kernel.width];
            same("stacked kernel", sides(first), sides(kernel))?;
        }
        let all: Vec<(usize, Vec<f64>)> =
            kernels.iter().map(|k| (k.filters, k.weights_f64())).collect();
        let weights = (0..first.height * first.width)
            .flat_map(|tap| all.iter().flat_map(move |(n, k)| &k[tap * n..(tap + 1) * n]))
            .copied()
            .collect();
        let filters = kernels.iter().map(|k| k.filters).sum();
        let terms = kernels.iter().flat_map(|k| (0..k.filters).map(|f| k.terms.of(f).to_vec()));
        let sides = [first.height, first.width, filters];
        Ok(Self::of_digits(sides, weights, Terms::new(terms.collect())))
    }

    /// Number of rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Number of columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of filters, the outputs each channel gets.
    #[must_use]
    pub fn filters(&self) -> usize {
        self.filters
    }

    /// All weights, `[height, width, filters]` row-major.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The weight of row `i`, column `j`, filter `f`; `None` outside.
    #[must_use]
    pub fn get(&self, i: usize, j: usize, f: usize) -> Option<f32> {
        let inside = i < self.height && j < self.width && f < self.filters;
        inside.then(|| self.weights[(i * self.width + j) * self.filters + f])
    }

    /// Filter `f` alone, `[height, width]` row-major.
    pub(crate) fn filter(&self, f: usize) -> impl Iterator<Item = f32> + '_ {
        self.weights.iter().skip(f).step_by(self.filters).copied()
    }

    /// What it was made from.
    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The kernel turned by 180 degrees, which makes a correlation a convolution.
    #[must_use]
    pub fn flipped(&self) -> Self {
        fn turned<T: Copy>(weights: &[T], filters: usize) -> Vec<T> {
            weights.chunks_exact(filters).rev().flatten().copied().collect()
        }
        Self {
            weights: turned(&self.weights, self.filters),
            digits: self.digits.as_ref().map(|digits| turned(digits, self.filters)),
            terms: self.terms.turned(),
            ..*self
        }
    }

    /// Each filter divided by the sum of its weights, so that flat areas keep their value.
    ///
    /// # Errors
    /// [`Error::Argument`] where a filter sums to 0 (derivatives do) or to a non-finite value.
    pub fn normalized(&self) -> Result<Self> {
        let mut weights = self.weights_f64();
        let mut terms = Vec::with_capacity(self.filters);
        for f in 0..self.filters {
            let filter = || weights.iter().skip(f).step_by(self.filters);
            let sum: f64 = filter().sum();
            let size: f64 = filter().map(|w| w.abs()).sum();
            // A sum that is rounding noise beside the weights is a zero sum.
            if !sum.is_finite() || sum.abs() <= 1e-6 * size {
                return Err(Error::argument(
                    "kernel sum",
                    sum,
                    format!("normalising filter {f} needs a finite sum other than 0"),
                ));
            }
            weights.iter_mut().skip(f).step_by(self.filters).for_each(|w| *w /= sum);
            let scaled = sum_of_terms([(1.0 / sum, self.terms.of(f))]);
            let rounded = weights.iter().skip(f).step_by(self.filters).map(|w| *w as f32);
            terms.push(if agree(&scaled, rounded, self.width) { scaled } else { Vec::new() });
        }
        let sides = [self.height, self.width, self.filters];
        Ok(Self::of_digits(sides, weights, Terms::new(terms)))
    }
}

/// By their weights as f32.
impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        let Self { height, width, filters, weights, digits: _, terms: _ } = self;
        (height, width, filters) == (&other.height, &other.width, &other.filters)
            && *weights == other.weights
    }
}

/// An error where a kernel does not have the sides of the others.
fn same(what: &'static str, expected: Vec<usize>, found: Vec<usize>) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::ShapeMismatch { what, expected, found })
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({self}, {:?}", self.weights)?;
        if let Some(digits) = &self.digits {
            write!(f, ", in f64 {digits:?}")?;
        }
        match self.terms.counts().as_slice() {
            [] => f.write_str(")"),
            counts => write!(f, ", terms {counts:?})"),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)?;
        if self.filters > 1 {
            write!(f, " ({} filters)", self.filters)?;
        }
        Ok(())
    }
}
