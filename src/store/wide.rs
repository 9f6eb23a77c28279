//! 64-bit integers as f64, which holds more of them than any other type here.

use std::sync::atomic::{AtomicBool, Ordering};

/// Makes them floats, and knows whether one was rounded.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Wide {
    rounded: AtomicBool,
}

impl Wide {
    /// Of a signed one.
    pub fn signed(&self, v: i64) -> f64 {
        self.checked(v as f64, v as f64 as i128 == i128::from(v))
    }

    /// Of one without sign.
    pub fn unsigned(&self, v: u64) -> f64 {
        self.checked(v as f64, v as f64 as i128 == i128::from(v))
    }

    fn checked(&self, float: f64, exact: bool) -> f64 {
        if !exact {
            self.rounded.store(true, Ordering::Relaxed);
        }
        float
    }

    /// Whether one was rounded.
    #[must_use]
    pub fn any_rounded(&self) -> bool {
        self.rounded.load(Ordering::Relaxed)
    }

    /// What is to be said of `what`, as in `int64 samples`.
    #[must_use]
    pub fn note(&self, what: &str) -> String {
        let how = if self.any_rounded() { "rounded to" } else { "taken as" };
        format!("its {what} are {how} float64")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roundings_are_seen() {
        let largest = 1i64 << 53;
        for (v, rounded) in [
            (largest, false),
            (largest + 1, true),
            (-largest - 2, false),
            (i64::MAX, true),
            (i64::MIN, false),
        ] {
            let wide = Wide::default();
            assert_eq!((wide.signed(v), wide.any_rounded()), (v as f64, rounded), "{v}");
        }
        for (v, rounded) in [(1u64 << 63, false), ((1 << 63) + 1, true), (u64::MAX, true)] {
            let wide = Wide::default();
            assert_eq!((wide.unsigned(v), wide.any_rounded()), (v as f64, rounded), "{v}");
        }
    }
}
