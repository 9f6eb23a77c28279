//! From sums in f64 to outputs: activation, the pointwise step, element type, and the place in memory.

use fearless_simd::Simd;

use crate::cpu::raw;
use crate::element::with_type;
use crate::problem::{DoubleFollow, DoubleWeights};
use crate::{Activation, Element, ElementType, Problem};

/// The places of a row whose sums are made.
pub(super) struct Finish<'a> {
    pub problem: &'a Problem,
    pub weights: &'a DoubleWeights,
    /// The first of them in the flat row, and how many.
    pub from: usize,
    pub places: usize,
    /// From the sums of a filter to those of the next.
    pub pitch: usize,
    /// Whether outputs that are sums as they are go past the caches.
    pub streamed: bool,
}

impl Finish<'_> {
    /// Stores a task's row number `row`, of which `sums` has every filter.
    #[inline(always)]
    pub fn row<S: Simd>(
        &self,
        simd: S,
        row: usize,
        sums: &mut [f64],
        mixed: &mut [f64],
        planes: &mut [&mut [u8]],
    ) {
        let Self { problem, weights, from, places, pitch, streamed } = *self;
        for sums in sums.chunks_mut(pitch).take(weights.filters) {
            activate(weights.activation, &mut sums[..places]);
        }
        let values: &[f64] = match &weights.follow {
            None => sums,
            Some(follow) => {
                let mixed = &mut mixed[..follow.bias.len() * pitch];
                self.follow(follow, sums, mixed);
                mixed
            }
        };
        let g = problem.geometry();
        let apart = if g.planar { 1 } else { g.outputs };
        let at = row * g.out_row() + from * apart;
        for (output, values) in values.chunks(pitch).take(g.outputs).enumerate() {
            let (plane, first) = if g.planar { (output, 0) } else { (0, output) };
            if streamed && apart == 1 && problem.output_type() == ElementType::F64 {
                let plane = bytemuck::cast_slice_mut::<u8, f32>(planes[plane]);
                let to = &mut plane[2 * (at + first)..][..2 * places];
                // A copy: what the halves say is no matter.
                raw::stream(simd, bytemuck::cast_slice(&values[..places]), to);
                continue;
            }
            with_type!(problem.output_type(), U => {
                let plane = bytemuck::cast_slice_mut::<u8, U>(planes[plane]);
                let (to, values) = (&mut plane[at + first..], &values[..places]);
                // Of neighbours compilers make vectors.
                match apart {
                    1 => narrow(values, to),
                    _ => to.iter_mut().step_by(apart).zip(values).for_each(|(to, y)| {
                        *to = Element::from_f64(*y);
                    }),
                }
            });
        }
    }

    /// The pointwise step.
    fn follow(&self, follow: &DoubleFollow, filtered: &[f64], mixed: &mut [f64]) {
        let count = follow.bias.len();
        for (g, mixed) in mixed.chunks_mut(self.pitch).enumerate() {
            let mixed = &mut mixed[..self.places];
            mixed.fill(follow.bias[g]);
            for (f, filtered) in filtered.chunks(self.pitch).take(self.weights.filters).enumerate()
            {
                let weight = follow.weights[f * count + g];
                mixed.iter_mut().zip(filtered).for_each(|(sum, y)| *sum += weight * y);
            }
            activate(follow.activation, mixed);
        }
    }
}

/// The nearest elements, side by side.
pub(super) fn narrow<U: Element>(values: &[f64], to: &mut [U]) {
    to.iter_mut().zip(values).for_each(|(to, y)| *to = U::from_f64(*y));
}

/// By the definition itself, value by value.
fn activate(activation: Activation, values: &mut [f64]) {
    if activation != Activation::None {
        values.iter_mut().for_each(|y| *y = activation.exact(*y));
    }
}
