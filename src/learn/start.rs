//! Weights to begin with.

use rand_pcg::Pcg32;
use rand_pcg::rand_core::{Rng, SeedableRng};

use crate::{Error, Kernel, Result};

/// Uniform in `±sqrt(6 / (fan_in + fan_out))` (Glorot and Bengio 2010), with TensorFlow's fans for a
/// kernel `[height, width, 1, filters]`: `height * width` in, `height * width * filters` out.
pub(super) fn glorot_uniform(
    height: usize,
    width: usize,
    filters: usize,
    seed: u64,
) -> Result<Kernel> {
    let too_large = || Error::TooLarge {
        what: "kernel weights",
        value: format!("{height} * {width} * {filters}"),
        limit: isize::MAX as u64 / 4,
    };
    let fan_in = height.checked_mul(width).ok_or_else(too_large)?;
    let fan_out = fan_in.checked_mul(filters).ok_or_else(too_large)?;
    let limit = (6.0 / (fan_in as f64 + fan_out as f64)).sqrt();
    let mut weights = Vec::new();
    let bytes = (fan_out as u64).saturating_mul(4);
    let full = |_| Error::out_of_host_memory("kernel weights", bytes);
    weights.try_reserve_exact(fan_out).map_err(full)?;
    // A generator defined to the bit, and from there on sums and products that IEEE 754 defines: every
    // machine draws the same.
    let mut random = Pcg32::seed_from_u64(seed);
    weights.extend((0..fan_out).map(|_| {
        let unit = f64::from(random.next_u32()) / f64::from(u32::MAX);
        ((2.0 * unit - 1.0) * limit) as f32
    }));
    Kernel::with_filters(height, width, filters, weights)
}
