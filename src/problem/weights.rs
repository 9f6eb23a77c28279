//! The weights as the engines use them.

use crate::kernel::{Terms, sum_of_terms};
use crate::{Activation, Conv2d, Pointwise};

/// The numbers of the kernel as the engines use them: flipped, and with a linear pointwise step
/// folded in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weights {
    pub filters: usize,
    /// `[filters, kernel height, kernel width]`.
    pub taps: Vec<f32>,
    /// What the filters were made from, as far as it is known.
    pub terms: Terms,
    /// `[filters]`.
    pub bias: Vec<f32>,
    pub activation: Activation,
    pub follow: Option<Follow>,
}

/// A pointwise step that could not be folded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Follow {
    /// `[filters, outputs]`.
    pub weights: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
    pub activation: Activation,
}

impl Weights {
    pub(super) fn new(conv: &Conv2d) -> Self {
        let kernel = if conv.flip { conv.kernel.flipped() } else { conv.kernel.clone() };
        let filters = kernel.filters();
        let own_bias = |f: usize| conv.bias.get(f).copied().unwrap_or(0.0);
        let plain = Self {
            filters,
            taps: (0..filters).flat_map(|f| kernel.filter(f)).collect(),
            terms: kernel.terms().clone(),
            bias: (0..filters).map(own_bias).collect(),
            activation: conv.activation,
            follow: None,
        };
        let Some(p) = &conv.pointwise else {
            return plain;
        };
        let outputs = p.outputs();
        let follow_bias = |g: usize| p.get_bias().get(g).copied().unwrap_or(0.0);
        let taps = kernel.height() * kernel.width();
        // Folding does `outputs` kernels in place of `filters` and a small product.
        let folds = conv.activation == Activation::None
            && outputs * taps <= filters * taps + filters * outputs;
        if !folds {
            return Self {
                follow: Some(Follow {
                    weights: p.weights().to_vec(),
                    bias: (0..outputs).map(follow_bias).collect(),
                    activation: p.get_activation(),
                }),
                ..plain
            };
        }
        plain.folded(p, taps)
    }

    /// The linear part alone, pointwise step and all.
    pub(super) fn linear(conv: &Conv2d) -> Self {
        let bare = Conv2d { bias: Vec::new(), pointwise: None, ..conv.clone() };
        let plain = Self::new(&bare);
        let linear = match &conv.pointwise {
            Some(p) => plain.folded(p, conv.kernel.height() * conv.kernel.width()),
            None => plain,
        };
        Self { bias: vec![0.0; linear.filters], ..linear }
    }

    /// Each filter turned by 180 degrees.
    pub(super) fn turned(mut self) -> Self {
        let each = self.taps.len() / self.filters;
        self.taps.chunks_mut(each).for_each(<[f32]>::reverse);
        Self { terms: self.terms.turned(), ..self }
    }

    /// With a pointwise step after it, in one.
    fn folded(&self, p: &Pointwise, taps: usize) -> Self {
        let (plain, filters, outputs) = (self, self.filters, p.outputs());
        let follow_bias = |g: usize| p.get_bias().get(g).copied().unwrap_or(0.0);
        let mixed = |g: usize, value: &dyn Fn(usize) -> f32| {
            let sum: f64 = (0..filters)
                .map(|f| f64::from(p.weights()[f * outputs + g]) * f64::from(value(f)))
                .sum();
            sum
        };
        let parts = |g: usize| {
            let weight = move |f: usize| f64::from(p.weights()[f * outputs + g]);
            (0..filters).map(move |f| (weight(f), plain.terms.of(f)))
        };
        let mut folded = Self {
            filters: outputs,
            taps: Vec::with_capacity(outputs * taps),
            terms: Terms::new((0..outputs).map(|g| sum_of_terms(parts(g))).collect()),
            bias: Vec::with_capacity(outputs),
            activation: p.get_activation(),
            follow: None,
        };
        for g in 0..outputs {
            for tap in 0..taps {
                folded.taps.push(mixed(g, &|f| plain.taps[f * taps + tap]) as f32);
            }
            folded.bias.push((mixed(g, &|f| plain.bias[f]) + f64::from(follow_bias(g))) as f32);
        }
        folded
    }
}
