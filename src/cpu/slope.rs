//! From the gradient of outputs to that of the sums before activation and pointwise step.

use rayon::prelude::*;

use super::Cpu;
use crate::problem::{Geometry, PointwiseSums};
use crate::{Activation, Pointwise};

/// Places of a part.
const PART: usize = 1 << 14;

/// What the pointwise step's own gradients sum up to: `[filters, outputs]`, and `[outputs]`.
struct Sums {
    weights: Vec<f64>,
    bias: Vec<f64>,
}

/// A run of places: their sums, which become gradients, and the gradients of their outputs; one slice,
/// or one for each plane.
struct Part<'a> {
    sums: Vec<&'a mut [f32]>,
    outputs: Vec<&'a [f32]>,
}

impl Cpu {
    /// Makes of `sums`, whose `geometry` it is, the gradient with respect to them.
    pub(crate) fn slope(
        &self,
        g: &Geometry,
        activation: Activation,
        pointwise: Option<&Pointwise>,
        sums: &mut [f32],
        outputs: &[f32],
    ) -> Option<PointwiseSums> {
        let mut all = || match pointwise {
            None => {
                let parts = sums.par_chunks_mut(PART).zip(outputs.par_chunks(PART));
                parts.for_each(|(sums, outputs)| {
                    for (sum, output) in sums.iter_mut().zip(outputs) {
                        *sum = output * activation.derivative(*sum);
                    }
                });
                None
            }
            Some(pointwise) => {
                let parts = parts(g, pointwise, sums, outputs);
                let one = |part| through(g.planar, activation, pointwise, part);
                let made: Vec<Sums> = parts.into_par_iter().map(one).collect();
                let (filters, outputs) = (pointwise.filters(), pointwise.outputs());
                let mut all = empty(filters, outputs);
                for part in made {
                    let weights = all.weights.iter_mut().zip(part.weights);
                    let bias = all.bias.iter_mut().zip(part.bias);
                    weights.chain(bias).for_each(|(all, part)| *all += part);
                }
                let narrow = |sums: Vec<f64>| sums.into_iter().map(|sum| sum as f32).collect();
                Some(PointwiseSums { weights: narrow(all.weights), bias: narrow(all.bias) })
            }
        };
        match &self.pool {
            Some(pool) => pool.install(all),
            None => all(),
        }
    }
}

fn empty(filters: usize, outputs: usize) -> Sums {
    Sums { weights: vec![0.0; filters * outputs], bias: vec![0.0; outputs] }
}

/// Parts by the shape alone, so that threads do not change sums.
fn parts<'a>(
    g: &Geometry,
    pointwise: &Pointwise,
    sums: &'a mut [f32],
    outputs: &'a [f32],
) -> Vec<Part<'a>> {
    let (many, few) = (pointwise.filters(), pointwise.outputs());
    if !g.planar {
        let chunks = sums.chunks_mut(PART * many).zip(outputs.chunks(PART * few));
        return chunks
            .map(|(sums, outputs)| Part { sums: vec![sums], outputs: vec![outputs] })
            .collect();
    }
    let plane = g.out_height * g.out_width;
    let images = sums.chunks_mut(plane * many).zip(outputs.chunks(plane * few));
    let mut parts = Vec::new();
    for (sums, outputs) in images {
        let first = parts.len();
        parts.extend(
            (0..plane.div_ceil(PART)).map(|_| Part { sums: Vec::new(), outputs: Vec::new() }),
        );
        for plane in sums.chunks_mut(plane) {
            for (n, sums) in plane.chunks_mut(PART).enumerate() {
                parts[first + n].sums.push(sums);
            }
        }
        for plane in outputs.chunks(plane) {
            for (n, outputs) in plane.chunks(PART).enumerate() {
                parts[first + n].outputs.push(outputs);
            }
        }
    }
    parts
}

fn through(
    planar: bool,
    activation: Activation,
    pointwise: &Pointwise,
    mut part: Part<'_>,
) -> Sums {
    let (filters, outputs) = (pointwise.filters(), pointwise.outputs());
    let (weights, bias) = (pointwise.weights(), pointwise.get_bias());
    let follow = pointwise.get_activation();
    let mut all = empty(filters, outputs);
    let (mut filtered, mut gradient) = (vec![0.0f32; filters], vec![0.0f32; outputs]);
    let places = if planar { part.outputs[0].len() } else { part.outputs[0].len() / outputs };
    for at in 0..places {
        let place = |n: usize, of: usize| if planar { (n, at) } else { (0, at * of + n) };
        for (f, to) in filtered.iter_mut().enumerate() {
            let (plane, at) = place(f, filters);
            *to = activation.apply(part.sums[plane][at]);
        }
        for (g, to) in gradient.iter_mut().enumerate() {
            let (plane, at) = place(g, outputs);
            let dy = part.outputs[plane][at];
            *to = if follow == Activation::None {
                dy
            } else {
                let start = bias.get(g).copied().unwrap_or(0.0);
                let sum = filtered
                    .iter()
                    .enumerate()
                    .fold(start, |sum, (f, y)| sum + weights[f * outputs + g] * y);
                dy * follow.derivative(sum)
            };
            all.bias[g] += f64::from(*to);
        }
        for f in 0..filters {
            let (plane, at) = place(f, filters);
            let row = &weights[f * outputs..(f + 1) * outputs];
            let products = row.iter().zip(&gradient).map(|(weight, gradient)| weight * gradient);
            let sum = &mut part.sums[plane][at];
            for (g, gradient) in gradient.iter().enumerate() {
                all.weights[f * outputs + g] += f64::from(filtered[f]) * f64::from(*gradient);
            }
            *sum = products.sum::<f32>() * activation.derivative(*sum);
        }
    }
    all
}
