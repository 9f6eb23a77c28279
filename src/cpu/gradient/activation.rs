//! From the gradient of outputs to that of the sums before activation and pointwise step.

use fearless_simd::Simd;

use crate::cpu::Cpu;
use crate::cpu::sink;
use crate::memory::{self, NoRoom};
use crate::problem::{Geometry, PointwiseSums};
use crate::{Activation, Pointwise};

/// What these are called where there is no memory for them.
const PARTS: &str = "the list of parts";
const SUMS: &str = "sums of a pointwise step's gradient";

/// Places of a part.
const PART: usize = 1 << 14;

/// What the pointwise step's own gradients sum up to: `[filters, outputs]`, and `[outputs]`.
pub(in crate::cpu) struct Sums {
    weights: Vec<f64>,
    bias: Vec<f64>,
}

/// A run of places: their sums, which become gradients, and the gradients of their outputs; one slice,
/// or one for each plane.
pub(in crate::cpu) struct PointwisePart<'a> {
    sums: Vec<&'a mut [f32]>,
    outputs: Vec<&'a [f32]>,
}

impl Cpu {
    /// Makes of `sums`, whose `geometry` it is, the gradient with respect to them.
    pub(crate) fn activation_gradient(
        &self,
        g: &Geometry,
        activation: Activation,
        pointwise: Option<&Pointwise>,
        sums: &mut [f32],
        outputs: &[f32],
    ) -> Result<Option<PointwiseSums>, NoRoom> {
        match pointwise {
            None => {
                let count = sums.len().div_ceil(PART);
                let parts = sums.chunks_mut(PART).zip(outputs.chunks(PART));
                let parts = memory::collected(PARTS, count, parts)?;
                self.threads.each(parts, |(sums, outputs)| {
                    self.simd.activation_gradient(activation, sums, outputs);
                    Ok(())
                })?;
                Ok(None)
            }
            Some(pointwise) => {
                let parts = parts(g, pointwise, sums, outputs)?;
                let one =
                    |part| self.simd.pointwise_gradient(g.planar, activation, pointwise, part);
                let made: Vec<Sums> = self.threads.map(parts, one)?;
                let (filters, outputs) = (pointwise.filters(), pointwise.outputs());
                let mut all = empty(filters, outputs)?;
                for part in made {
                    let weights = all.weights.iter_mut().zip(part.weights);
                    let bias = all.bias.iter_mut().zip(part.bias);
                    weights.chain(bias).for_each(|(all, part)| *all += part);
                }
                let narrow = |sums: Vec<f64>| {
                    memory::collected(SUMS, sums.len(), sums.into_iter().map(|sum| sum as f32))
                };
                Ok(Some(PointwiseSums { weights: narrow(all.weights)?, bias: narrow(all.bias)? }))
            }
        }
    }
}

fn empty(filters: usize, outputs: usize) -> Result<Sums, NoRoom> {
    let weights = memory::zeroed(SUMS, filters * outputs)?;
    Ok(Sums { weights, bias: memory::zeroed(SUMS, outputs)? })
}

/// Parts by the shape alone, so that threads do not change sums.
fn parts<'a>(
    g: &Geometry,
    pointwise: &Pointwise,
    sums: &'a mut [f32],
    outputs: &'a [f32],
) -> Result<Vec<PointwisePart<'a>>, NoRoom> {
    let (many, few) = (pointwise.filters(), pointwise.outputs());
    if !g.planar {
        let count = sums.len().div_ceil(PART * many);
        let chunks = sums.chunks_mut(PART * many).zip(outputs.chunks(PART * few));
        let parts = chunks
            .map(|(sums, outputs)| PointwisePart { sums: vec![sums], outputs: vec![outputs] });
        return memory::collected(PARTS, count, parts);
    }
    let plane = g.out_height * g.out_width;
    let count = sums.len() / (plane * many) * plane.div_ceil(PART);
    let images = sums.chunks_mut(plane * many).zip(outputs.chunks(plane * few));
    let mut parts = memory::with_capacity(PARTS, count)?;
    for (sums, outputs) in images {
        let first = parts.len();
        for _ in 0..plane.div_ceil(PART) {
            let sums = memory::with_capacity(PARTS, many)?;
            parts.push(PointwisePart { sums, outputs: memory::with_capacity(PARTS, few)? });
        }
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
    Ok(parts)
}

/// Values of so many places are held at once, for the loops over them to be of vectors.
const PIECE: usize = 256;

/// Values of up to [`PIECE`] places: a row for each filter, or for each output.
struct Rows(Vec<[f32; PIECE]>);

impl Rows {
    fn new(count: usize) -> Result<Self, NoRoom> {
        Ok(Self(memory::zeroed("values of each filter", count)?))
    }

    /// The rows' first values.
    fn each(&mut self, places: usize) -> impl Iterator<Item = &mut [f32]> {
        self.0.iter_mut().map(move |row| &mut row[..places])
    }
}

/// A value of each place from one on, of one of `of` filters or outputs: in its plane, or between the others.
fn values(planar: bool, number: usize, of: usize, from: usize) -> (usize, usize, usize) {
    if planar { (number, from, 1) } else { (0, from * of + number, of) }
}

/// Makes of the sums of a part the gradients with respect to them, and sums up those of the pointwise step.
pub(in crate::cpu) fn through<S: Simd>(
    simd: S,
    planar: bool,
    activation: Activation,
    pointwise: &Pointwise,
    mut part: PointwisePart<'_>,
) -> Result<Sums, NoRoom> {
    let (filters, outputs) = (pointwise.filters(), pointwise.outputs());
    let (weights, bias) = (pointwise.weights(), pointwise.get_bias());
    let follow = pointwise.get_activation();
    let mut all = empty(filters, outputs)?;
    let (mut sums, mut filtered) = (Rows::new(filters)?, Rows::new(filters)?);
    // Of outputs, and with respect to what the pointwise step and the filters gave.
    let (mut given, mut mixed, mut back) = (Rows::new(outputs)?, Rows::new(outputs)?, [0.0; PIECE]);
    let places = if planar { part.outputs[0].len() } else { part.outputs[0].len() / outputs };
    for from in (0..places).step_by(PIECE) {
        let count = PIECE.min(places - from);
        for (f, (row, y)) in sums.each(count).zip(filtered.each(count)).enumerate() {
            let (plane, first, step) = values(planar, f, filters, from);
            let of = part.sums[plane][first..].iter().step_by(step);
            row.iter_mut().zip(of).for_each(|(to, sum)| *to = *sum);
            y.copy_from_slice(row);
            sink::activate(simd, activation, y);
        }
        for (g, (dy, t)) in given.each(count).zip(mixed.each(count)).enumerate() {
            let (plane, first, step) = values(planar, g, outputs, from);
            let of = part.outputs[plane][first..].iter().step_by(step);
            dy.iter_mut().zip(of).for_each(|(to, output)| *to = *output);
            t.fill(bias.get(g).copied().unwrap_or(0.0));
            if follow != Activation::None {
                for (f, y) in filtered.each(count).enumerate() {
                    let weight = weights[f * outputs + g];
                    t.iter_mut().zip(y).for_each(|(t, y)| *t += weight * *y);
                }
            }
            // `t` becomes the gradient.
            sink::activation_gradient(simd, follow, t, dy);
            all.bias[g] = t.iter().fold(all.bias[g], |sum, t| sum + f64::from(*t));
            for (f, y) in filtered.each(count).enumerate() {
                let sum = &mut all.weights[f * outputs + g];
                let products = t.iter().zip(y).map(|(t, y)| f64::from(*y) * f64::from(*t));
                *sum = products.fold(*sum, |sum, product| sum + product);
            }
        }
        for (f, row) in sums.each(count).enumerate() {
            let back = &mut back[..count];
            back.fill(0.0);
            for (g, t) in mixed.each(count).enumerate() {
                let weight = weights[f * outputs + g];
                back.iter_mut().zip(t).for_each(|(back, t)| *back += weight * *t);
            }
            sink::activation_gradient(simd, activation, row, back);
            let (plane, first, step) = values(planar, f, filters, from);
            let of = part.sums[plane][first..].iter_mut().step_by(step);
            of.zip(row).for_each(|(to, sum)| *to = *sum);
        }
    }
    Ok(all)
}
