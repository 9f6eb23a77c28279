//! The weights of sums that are made in f64.

use crate::{Activation, Conv2d, Pointwise};

/// The same as [`Weights`](super::Weights), in f64 and with all digits that a kernel was made from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DoubleWeights {
    pub filters: usize,
    /// `[filters, kernel height, kernel width]`.
    pub taps: Vec<f64>,
    /// `[filters]`.
    pub bias: Vec<f64>,
    pub activation: Activation,
    pub follow: Option<DoubleFollow>,
}

/// A pointwise step behind an activation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DoubleFollow {
    /// `[filters, outputs]`.
    pub weights: Vec<f64>,
    /// `[outputs]`.
    pub bias: Vec<f64>,
    pub activation: Activation,
}

impl DoubleWeights {
    pub(super) fn new(conv: &Conv2d) -> Self {
        let kernel = if conv.flip { conv.kernel.flipped() } else { conv.kernel.clone() };
        let (filters, all) = (kernel.filters(), kernel.weights_f64());
        let plain = Self {
            filters,
            taps: (0..filters).flat_map(|f| all.iter().skip(f).step_by(filters)).copied().collect(),
            bias: (0..filters).map(|f| conv.exact_bias(f)).collect(),
            activation: conv.activation,
            follow: None,
        };
        let Some(p) = &conv.pointwise else { return plain };
        let follow = DoubleFollow {
            weights: p.weights().iter().copied().map(f64::from).collect(),
            bias: bias_of(p),
            activation: p.get_activation(),
        };
        match conv.activation {
            Activation::None => plain.folded(&follow),
            _ => Self { follow: Some(follow), ..plain },
        }
    }

    /// The linear part alone, pointwise step and all.
    pub(super) fn linear(conv: &Conv2d) -> Self {
        let linear = Self::new(conv);
        Self { bias: vec![0.0; linear.filters], activation: Activation::None, ..linear }
    }

    /// Each filter turned by 180 degrees.
    pub(super) fn turned(mut self) -> Self {
        let each = self.taps.len() / self.filters;
        self.taps.chunks_mut(each).for_each(<[f64]>::reverse);
        self
    }

    /// With a pointwise step after it, in one.
    fn folded(&self, p: &DoubleFollow) -> Self {
        let (filters, outputs) = (self.filters, p.bias.len());
        let each = self.taps.len() / filters;
        let mixed = |g: usize, value: &dyn Fn(usize) -> f64| -> f64 {
            (0..filters).map(|f| p.weights[f * outputs + g] * value(f)).sum()
        };
        let taps = (0..outputs).flat_map(|g| (0..each).map(move |tap| (g, tap)));
        Self {
            filters: outputs,
            taps: taps.map(|(g, tap)| mixed(g, &|f| self.taps[f * each + tap])).collect(),
            bias: (0..outputs).map(|g| mixed(g, &|f| self.bias[f]) + p.bias[g]).collect(),
            activation: p.activation,
            follow: None,
        }
    }
}

fn bias_of(p: &Pointwise) -> Vec<f64> {
    let bias = |g: usize| p.get_bias().get(g).copied().unwrap_or(0.0);
    (0..p.outputs()).map(|g| f64::from(bias(g))).collect()
}
