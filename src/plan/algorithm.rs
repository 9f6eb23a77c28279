//! The algorithms there are.

use std::fmt;

/// How outputs are computed. Results never differ by more than the stated bound.
///
/// `Direct` and `Flat` give the formula's IEEE results for non-finite input too (a tap of 0 on an
/// infinity is a NaN), as far as the device's arithmetic does; so does `Fft` on the CPU, and `Separable`
/// with one term, where no sum along a row (on the CPU: a column) overflows.
///
/// ```
/// use channelwise::{Algorithm, Conv2d, Engine, Kernel};
/// use ndarray::Array2;
/// # fn main() -> channelwise::Result<()> {
///
/// let blur = Conv2d::new(Kernel::gaussian(21, 3.0)?);
/// let x = Array2::from_shape_fn((60, 80), |(r, q)| ((r * q) % 7) as f32);
/// let by = |algorithm| Engine::cpu().with_algorithm(algorithm).run(&blur, &x);
/// let (direct, separable) = (by(Algorithm::Direct)?, by(Algorithm::Separable)?);
/// assert!((direct - separable).iter().all(|off| off.abs() < 1e-4));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// The cheapest that applies, by the plan's cost model; on the CPU by that for four threads, so that
    /// their number changes no bit.
    #[default]
    Auto,
    /// Tap by tap. On the CPU over flat rows in vectors; on the GPU one 2-D grid of workgroups per
    /// channel slice. Takes every option.
    Direct,
    /// GPU: each invocation makes a block of outputs of some flat rows; of adjoints with a stride or several
    /// filters, phase by phase.
    Flat,
    /// GPU: each invocation owns a vector of 16 bytes of the flat row and goes down some rows, in a shader
    /// that is written for the problem's shape. For kernels of up to some 13x13 taps whose rows are
    /// whole vectors; those of our own buffers always are.
    March,
    /// Sums along rows, then along columns (on the CPU columns first, block by block; on a GPU in one pass through
    /// workgroup memory where that fits, and else in two), for kernels that are a sum of few columns times rows
    /// (their rank: 1 for Gaussian, box and Sobel kernels). Taken unasked where there is one term, or where the
    /// input is known to be finite: it holds bytes, or
    /// [`Conv2d::assume_finite`](crate::Conv2d::assume_finite) says so. Several terms may make NaNs
    /// of infinities, and their rounding errors are relative to the largest input
    /// ([`Plan::accuracy`](super::Plan::accuracy)).
    ///
    /// On the CPU box filters of integers of 8 and 16 bits are made by running sums, exact and in a time that does not
    /// grow with the kernel, where their sums stay up to 2^24.
    Separable,
    /// Transforms of tiles times the kernel's spectrum, for large kernels. Rounding errors are relative to
    /// the largest input, and their bound is statistical ([`Plan::accuracy`](super::Plan::accuracy)).
    ///
    /// On the CPU tiles are searched for values that are not finite, or so large that sums overflow, and
    /// what they touch is computed by `Direct`: results are those of IEEE arithmetic. It is taken
    /// unasked for floats, and for integers that become integers, where the bound is below half a
    /// step. Where integers become floats `Direct` may be exact, as of counts under a mask, so
    /// [`Conv2d::assume_finite`](crate::Conv2d::assume_finite) has to allow it.
    ///
    /// A GPU does not search: a value that is not finite may spread over its tile. There it is taken
    /// unasked where the input is known to be finite, as with several terms of `Separable`.
    Fft,
}

impl Algorithm {
    /// All that can be taken, `Auto` left out.
    pub const ALL: &'static [Self] =
        &[Self::March, Self::Flat, Self::Separable, Self::Fft, Self::Direct];
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Direct => "direct",
            Self::Flat => "flat",
            Self::March => "march",
            Self::Separable => "separable",
            Self::Fft => "fft",
        })
    }
}
