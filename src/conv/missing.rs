//! Convolution over what is known: missing values.

use super::Conv2d;
use crate::{Activation, Border, Borders};

/// How values that are missing are left out: [`Conv2d::normalized`].
///
/// ```
/// use channelwise::{Conv2d, Kernel};
/// # fn main() -> channelwise::Result<()> {
///
/// let mean = Conv2d::new(Kernel::box_blur(3, 3)?).skip_nan().no_data(-1.0);
/// let missing = mean.get_missing().expect("it was asked for");
/// assert_eq!((missing.skips_nan(), missing.no_data()), (true, Some(-1.0)));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Missing {
    pub(crate) nan: bool,
    pub(crate) no_data: Option<f64>,
}

impl Missing {
    /// NaNs of the input count as missing.
    #[must_use]
    pub fn skips_nan(self) -> bool {
        self.nan
    }

    /// What is stored where nothing is known: as set, or NaN in floats and 0 in integers.
    #[must_use]
    pub fn no_data(self) -> Option<f64> {
        self.no_data
    }

    pub(crate) fn same_bits(self, other: Self) -> bool {
        (self.nan, self.no_data.map(f64::to_bits)) == (other.nan, other.no_data.map(f64::to_bits))
    }
}

impl Conv2d {
    /// Normalised convolution, over what is known: with weights `m` of the values,
    ///
    /// ```text
    /// y = act( bias + Σ k·m·x / Σ k·m )
    /// ```
    ///
    /// Weights come with the call ([`Engine::run_masked`](crate::Engine::run_masked)); without any all are 1. Beyond the
    /// edges a repeated pixel brings its own, and a constant border weighs nothing, whatever its value: so means near
    /// an edge are those of what lies inside. Where `|Σ k·m| < 1e-6 Σ|k|` nothing is known, and the result is
    /// [`Conv2d::no_data`]. It goes with kernels whose weights sum to something; a derivative's do not.
    ///
    /// The same as astropy's `convolve(x, k, nan_treatment="interpolate", boundary="fill", fill_value=nan)` with
    /// [`Conv2d::skip_nan`] and kernels of positive weights, and as `Σ k·m·x / Σ k·m` of two calls of
    /// `cv2.filter2D` or `scipy.ndimage.convolve`. (Knutsson and Westin 1993, "Normalized and differential
    /// convolution".)
    ///
    /// Both sums are convolutions in floats, on any engine; of weights that all channels share the second is one of a
    /// single plane. Whole tensors lie between: a float for each value and for each output, twice where weights are
    /// each value's own. It takes no [`Pointwise`](super::Pointwise) step, has no
    /// adjoint and no gradients, and is for [`Engine`](crate::Engine)s: not for chains, textures and buffers.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        self.missing.get_or_insert_default();
        self
    }

    /// The same, with NaNs of the input for values that are missing: they spread nowhere.
    ///
    /// ```
    /// use channelwise::{Conv2d, Engine, Kernel};
    /// use ndarray::array;
    /// # fn main() -> channelwise::Result<()> {
    /// let mean = Conv2d::new(Kernel::box_blur(1, 3)?).skip_nan().no_data(-9999.0);
    /// let nan = f32::NAN;
    /// let y = Engine::cpu().run(&mean, &array![[1.0, nan, 3.0, nan, nan, nan]])?;
    /// assert_eq!(y, array![[1.0, 2.0, 3.0, 3.0, -9999.0, -9999.0]]);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn skip_nan(mut self) -> Self {
        self.missing.get_or_insert_default().nan = true;
        self
    }

    /// What a [`Conv2d::normalized`] convolution, which this makes it, stores where nothing is known. Unless it is
    /// said, NaN in floats and 0 in integers.
    #[must_use]
    pub fn no_data(mut self, value: f64) -> Self {
        self.missing.get_or_insert_default().no_data = Some(value);
        self
    }

    /// Whether it is normalised, and how: [`Conv2d::normalized`].
    #[must_use]
    pub fn get_missing(&self) -> Option<Missing> {
        self.missing
    }

    pub(super) fn same_missing(&self, other: &Self) -> bool {
        match (self.missing, other.missing) {
            (Some(one), Some(two)) => one.same_bits(two),
            (one, two) => one.is_none() && two.is_none(),
        }
    }

    /// The sums of a normalised convolution, without what follows: beyond the edges a constant weighs nothing.
    pub(crate) fn sums_alone(&self) -> Self {
        let zero = |border: Border| match border {
            Border::Constant(_) => Border::ZERO,
            other => other,
        };
        let (rows, columns) = (self.border.rows(), self.border.columns());
        let border = Borders::sides(
            zero(rows.before),
            zero(rows.after),
            zero(columns.before),
            zero(columns.after),
        );
        let bare = self.clone().bias([]).activation(Activation::None).border(border);
        Self { missing: None, ..bare }
    }
}
