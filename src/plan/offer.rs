//! What the file of an algorithm answers when it is asked for a problem.

use std::fmt;

/// What it would do, and in how many microseconds; or why it does not apply.
pub(super) type Offer<T> = Result<(T, f64), String>;

/// How far a result may be from the exact value: with `n` taps (and the bias), `u` = 2^-24 the unit
/// round-off of f32 (2^-53 where sums are made in f64), and `X` the largest magnitude of the input and the border's constant,
///
/// `2 n u Σ|k x| + spread u X`.
///
/// The first part is twice the bound of a sum in any order. The second is 0 except for algorithms
/// whose intermediate values may be larger than the result.
///
/// ```
/// use channelwise::{Algorithm, Conv2d, Engine, Kernel};
/// # fn main() -> channelwise::Result<()> {
/// let disk = Conv2d::new(Kernel::disk(15.0)?);
/// let of = |algorithm| -> channelwise::Result<_> {
///     let engine = Engine::cpu().with_algorithm(algorithm);
///     Ok(engine.prepare::<f32, f32>(&disk, [1, 300, 300, 3])?.plan().accuracy())
/// };
/// let (direct, fft) = (of(Algorithm::Direct)?, of(Algorithm::Fft)?);
/// assert!(direct.proven && direct.spread == 0.0);
/// assert!(!fft.proven && fft.spread > 0.0);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Accuracy {
    /// The factor of the second part.
    pub spread: f64,
    /// Whether no input whatever passes it. Else (`fft`) it is statistical: what rounding errors that are
    /// as good as independent stay below with room to spare, but not the bound of a proof, which would
    /// be hundreds of times larger.
    pub proven: bool,
}

/// That of a plain sum.
impl Default for Accuracy {
    fn default() -> Self {
        Self { spread: 0.0, proven: true }
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spread, proven } = self;
        f.write_str("within 2 n u sum|k x|")?;
        if *spread > 0.0 {
            write!(f, " + {spread:.3} u X")?;
        }
        f.write_str(if *proven { ", proven" } else { ", a statistical bound" })
    }
}
