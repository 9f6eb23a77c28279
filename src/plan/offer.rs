//! What the file of an algorithm answers when it is asked for a problem.

/// What it would do, and in how many microseconds; or why it does not apply.
pub(super) type Offer<T> = Result<(T, f64), String>;

/// How far a result may be from the exact value: with `n` taps (and the bias), `u` = 2^-24 the unit
/// round-off of f32, and `X` the largest magnitude of the input and the border's constant,
///
/// `2 n u Σ|k x| + spread u X`.
///
/// The first part is twice the bound of a sum in any order. The second is 0 except for algorithms
/// whose intermediate values may be larger than the result.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Accuracy {
    /// The factor of the second part.
    pub spread: f64,
}
