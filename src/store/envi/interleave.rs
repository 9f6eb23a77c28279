//! ENVI's three orders of samples.

/// What comes after a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interleave {
    /// The next of its line; bands after each other.
    Bsq,
    /// The next of its line; the bands of a line after each other.
    Bil,
    /// That of the next band.
    Bip,
}

impl Interleave {
    /// In small letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bsq => "bsq",
            Self::Bil => "bil",
            Self::Bip => "bip",
        }
    }

    /// Of this name, in letters of any size.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Bsq, Self::Bil, Self::Bip]
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(name))
    }
}
