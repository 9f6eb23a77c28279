//! A photograph that is not sharp: the kernel of a hand that shook, and the noise of a sensor.

use std::f64::consts::TAU;

use channelwise::{Kernel, Result};
use ndarray::Array3;
use rand_pcg::Pcg32;
use rand_pcg::rand_core::{Rng, SeedableRng};

/// The way of a point of light while the shutter was open: `size` rows and columns, odd, sum 1.
pub fn shake(size: usize) -> Result<Kernel> {
    let (half, reach) = ((size / 2) as f64, size as f64 / 2.0);
    // A hook, slower where it turns, drawn with a soft pen.
    let way = |t: f64| (reach * (0.62 - 1.25 * t), reach * (0.66 * (3.4 * t).sin() - 0.22));
    let mut weights = vec![0.0; size * size];
    for step in 0..200 {
        let (y, x) = way(f64::from(step) / 199.0);
        for (i, weight) in weights.iter_mut().enumerate() {
            let (dy, dx) = ((i / size) as f64 - half - y, (i % size) as f64 - half - x);
            *weight += (-(dy * dy + dx * dx) / (2.0 * 0.55 * 0.55)).exp();
        }
    }
    Kernel::new(size, size, weights.iter().map(|w| *w as f32).collect())?.normalized()
}

/// Adds noise of a normal distribution, the same for the same seed.
pub fn add_noise(picture: &mut Array3<f32>, deviation: f64, seed: u64) {
    let mut random = Pcg32::seed_from_u64(seed);
    // Above 0, so that it has a logarithm.
    let mut unit = || (f64::from(random.next_u32()) + 0.5) / (f64::from(u32::MAX) + 1.0);
    for value in picture {
        // Box and Muller.
        let normal = (-2.0 * unit().ln()).sqrt() * (TAU * unit()).cos();
        *value += (deviation * normal) as f32;
    }
}
