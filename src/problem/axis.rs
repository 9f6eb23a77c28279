//! The shape arithmetic of one axis.

use super::MAX_AXIS;
use crate::{Error, Padding, Result};

/// One axis of the shape arithmetic.
pub(super) struct Axis {
    pub(super) name: &'static str,
    pub(super) input: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    pub(super) anchor: Option<usize>,
    /// Before and after, for [`Padding::Explicit`].
    pub(super) explicit: (usize, usize),
}

pub(super) struct Solved {
    pub(super) out: usize,
    pub(super) before: usize,
    /// Input and padding together.
    pub(super) padded: usize,
}

impl Axis {
    pub(super) fn solve(&self, padding: Padding) -> Result<Solved> {
        let (name, n) = (self.name, self.input);
        if n == 0 {
            return Err(Error::argument(
                if name == "height" { "input height" } else { "input width" },
                n,
                "at least 1 is needed",
            ));
        }
        let too_large = |value: String| Error::TooLarge {
            what: if name == "height" { "padded height" } else { "padded width" },
            value,
            limit: MAX_AXIS,
        };
        let extent = (self.kernel - 1)
            .checked_mul(self.dilation)
            .and_then(|n| n.checked_add(1))
            .filter(|n| *n as u64 <= MAX_AXIS)
            .ok_or_else(|| {
                too_large(format!("kernel {} with dilation {}", self.kernel, self.dilation))
            })?;
        if n as u64 > MAX_AXIS || self.stride as u64 > MAX_AXIS {
            return Err(too_large(format!("size {n} with stride {}", self.stride)));
        }
        // Everything below is small enough for 64-bit sums: each term is at most 2^30, or checked.
        let same_total = || {
            let out = n.div_ceil(self.stride);
            ((out - 1) as u64 * self.stride as u64 + extent as u64).saturating_sub(n as u64)
                as usize
        };
        let (before, after) = match (padding, self.anchor) {
            (Padding::Valid, _) => (0, 0),
            (Padding::Full, _) => (extent - 1, extent - 1),
            (Padding::Explicit { .. }, _) => self.explicit,
            (Padding::Same, None) => (same_total() / 2, same_total() - same_total() / 2),
            (Padding::Same, Some(anchor)) => {
                let before = anchor * self.dilation;
                (before, same_total().saturating_sub(before))
            }
        };
        let total = before.checked_add(after);
        let padded = total
            .and_then(|t| t.checked_add(n))
            .filter(|p| *p as u64 <= MAX_AXIS)
            .ok_or_else(|| too_large(format!("{before} + {n} + {after}")))?;
        if padded < extent {
            return Err(Error::EmptyOutput { axis: name, input: n, padding: padded - n, extent });
        }
        let out = match padding {
            Padding::Same => n.div_ceil(self.stride),
            Padding::Valid | Padding::Full | Padding::Explicit { .. } => {
                (padded - extent) / self.stride + 1
            }
        };
        Ok(Solved { out, before, padded })
    }
}
