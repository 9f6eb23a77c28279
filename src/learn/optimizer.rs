//! How weights follow their gradients.
//!
//! What is kept between steps, and the arithmetic, are f64: kernels are small, and so nothing but the
//! weights themselves is rounded to f32, once a step.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// Moves parameters against their gradients, and keeps what it remembers of them by slot.
///
/// A [`SharedLayer`](super::SharedLayer) hands over its kernel as slot 0, its bias as 1, and the weights
/// and bias of its pointwise step as 2 and 3. So each layer has an optimiser of its own.
///
/// ```
/// use channelwise::Result;
/// use channelwise::learn::Optimizer;
///
/// /// A step of one size, whatever the size of the gradient.
/// struct Sign(f32);
///
/// impl Optimizer for Sign {
///     fn step(&mut self, _: usize, parameters: &mut [f32], gradients: &[f32]) -> Result<()> {
///         for (parameter, gradient) in parameters.iter_mut().zip(gradients) {
///             *parameter -= self.0 * gradient.signum();
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Optimizer {
    /// Replaces the parameters of one slot. `gradients` are as many, and finite where a layer calls.
    ///
    /// # Errors
    /// Whatever is wrong with its own options, or with the lengths; then `parameters` are unchanged.
    fn step(&mut self, slot: usize, parameters: &mut [f32], gradients: &[f32]) -> Result<()>;
}

/// Gradient descent with momentum, in Keras' convention:
///
/// ```text
/// velocity = momentum * velocity - learning_rate * gradient
/// weight   = weight + velocity
/// ```
///
/// PyTorch keeps `velocity / -learning_rate` instead, which gives the same weights as long as the
/// learning rate stays the same.
///
/// ```
/// use channelwise::learn::{Optimizer, Sgd};
/// # fn main() -> channelwise::Result<()> {
/// let mut sgd = Sgd::new(0.5, 0.5);
/// let mut weight = [1.0];
/// sgd.step(0, &mut weight, &[1.0])?; // velocity -0.5
/// sgd.step(0, &mut weight, &[1.0])?; // velocity -0.75
/// assert_eq!(weight, [-0.25]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sgd {
    /// At least 0; may be changed between steps.
    pub learning_rate: f64,
    /// From 0, which is none, to below 1.
    pub momentum: f64,
    velocities: BTreeMap<usize, Vec<f64>>,
}

impl Sgd {
    /// At rest. The values are checked by each step.
    #[must_use]
    pub fn new(learning_rate: f64, momentum: f64) -> Self {
        Self { learning_rate, momentum, velocities: BTreeMap::new() }
    }
}

impl Optimizer for Sgd {
    /// # Errors
    /// [`Error::Argument`] for options out of range, [`Error::ShapeMismatch`] where lengths differ from
    /// each other or from those of the steps before.
    fn step(&mut self, slot: usize, parameters: &mut [f32], gradients: &[f32]) -> Result<()> {
        check_rate(self.learning_rate)?;
        check_share("momentum", self.momentum)?;
        let velocities = self.velocities.entry(slot).or_insert(vec![0.0; parameters.len()]);
        check_lengths(velocities.len(), parameters, gradients)?;
        for ((parameter, gradient), velocity) in
            parameters.iter_mut().zip(gradients).zip(velocities)
        {
            *velocity = self.momentum * *velocity - self.learning_rate * f64::from(*gradient);
            *parameter = (f64::from(*parameter) + *velocity) as f32;
        }
        Ok(())
    }
}

/// Adam (Kingma and Ba 2015, algorithm 1): steps of about `learning_rate` for every weight, whatever the
/// scale of its gradients.
///
/// ```text
/// m = beta_1 * m + (1 - beta_1) * gradient
/// v = beta_2 * v + (1 - beta_2) * gradient²
/// weight = weight - learning_rate * m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon)
/// ```
///
/// `t` counts the steps from 1, for each slot. So does PyTorch. The default values are those of Keras,
/// which adds `epsilon` to `sqrt(v)` before that is corrected: this matters only where gradients are
/// hardly larger than `epsilon`.
///
/// ```
/// use channelwise::learn::{Adam, Optimizer};
/// # fn main() -> channelwise::Result<()> {
/// let mut adam = Adam::default(); // 0.001, 0.9, 0.999, 1e-7
/// adam.learning_rate = 0.25;
/// let mut weights = [1.0, 1.0];
/// adam.step(0, &mut weights, &[3.0, -0.004])?;
/// assert!((weights[0] - 0.75).abs() < 1e-4 && (weights[1] - 1.25).abs() < 1e-4);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// At least 0; may be changed between steps.
    pub learning_rate: f64,
    /// How much of the mean of gradients is kept: from 0 to below 1.
    pub beta_1: f64,
    /// How much of the mean of their squares is kept: from 0 to below 1.
    pub beta_2: f64,
    /// Above 0; keeps steps small where gradients vanish.
    pub epsilon: f64,
    means: BTreeMap<usize, Means>,
}

/// What Adam remembers of a slot.
#[derive(Clone, Debug, PartialEq)]
struct Means {
    /// `beta_1^t` and `beta_2^t`.
    powers: (f64, f64),
    /// `m` and `v` of each parameter.
    moments: Vec<(f64, f64)>,
}

impl Adam {
    /// With `beta_1` 0.9, `beta_2` 0.999 and `epsilon` 1e-7. The values are checked by each step.
    #[must_use]
    pub fn new(learning_rate: f64) -> Self {
        let means = BTreeMap::new();
        Self { learning_rate, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, means }
    }
}

impl Default for Adam {
    fn default() -> Self {
        Self::new(0.001)
    }
}

impl Optimizer for Adam {
    /// # Errors
    /// Those of [`Sgd`]'s.
    fn step(&mut self, slot: usize, parameters: &mut [f32], gradients: &[f32]) -> Result<()> {
        let Self { learning_rate, beta_1, beta_2, epsilon, .. } = *self;
        check_rate(learning_rate)?;
        check_share("beta_1", beta_1)?;
        check_share("beta_2", beta_2)?;
        if !(epsilon.is_finite() && epsilon > 0.0) {
            return Err(Error::argument("epsilon", epsilon, "it must be finite and above 0"));
        }
        let fresh = || Means { powers: (1.0, 1.0), moments: vec![(0.0, 0.0); parameters.len()] };
        let means = self.means.entry(slot).or_insert_with(fresh);
        check_lengths(means.moments.len(), parameters, gradients)?;
        means.powers = (means.powers.0 * beta_1, means.powers.1 * beta_2);
        let corrections = (1.0 - means.powers.0, 1.0 - means.powers.1);
        let moments = means.moments.iter_mut();
        for ((parameter, gradient), (m, v)) in parameters.iter_mut().zip(gradients).zip(moments) {
            let gradient = f64::from(*gradient);
            *m = beta_1 * *m + (1.0 - beta_1) * gradient;
            *v = beta_2 * *v + (1.0 - beta_2) * gradient * gradient;
            let step = *m / corrections.0 / ((*v / corrections.1).sqrt() + epsilon);
            *parameter = (f64::from(*parameter) - learning_rate * step) as f32;
        }
        Ok(())
    }
}

fn check_rate(rate: f64) -> Result<()> {
    if rate.is_finite() && rate >= 0.0 {
        return Ok(());
    }
    Err(Error::argument("learning_rate", rate, "it must be finite and at least 0"))
}

fn check_share(name: &'static str, share: f64) -> Result<()> {
    if (0.0..1.0).contains(&share) {
        return Ok(());
    }
    Err(Error::argument(name, share, "it must be from 0 to below 1"))
}

/// `known`: how many parameters the slot had before.
fn check_lengths(known: usize, parameters: &[f32], gradients: &[f32]) -> Result<()> {
    for (what, found) in
        [("parameters of a slot", parameters.len()), ("gradients", gradients.len())]
    {
        if found != known {
            return Err(Error::ShapeMismatch { what, expected: vec![known], found: vec![found] });
        }
    }
    Ok(())
}
