//! What lies before and behind a normalised convolution: its two sums are one convolution of twice the channels,
//! values times their weights and the weights, and a result is the quotient.
//!
//! ```text
//! x [.., C], m ─ pack ─▶ [.., x_0 m, x_1 m, .., m]  ─ convolution ─▶ [.., Σk x m, .., Σk m] ─ finish ─▶ quotients
//! ```
//!
//! Weights that all channels share are one channel more; others are as many as there are.

use rayon::prelude::*;

use crate::element::with_type;
use crate::{Element, ElementType, Layout, Problem};

/// The weights of an input's values.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mask<'a> {
    /// All are 1, but for what is beyond the edges or NaN.
    Ones,
    /// `[height, width]`, for all images and channels.
    Shared(&'a [f64]),
    /// One for each value.
    Own(&'a [f64]),
}

/// How the channels of a normalised convolution are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    layout: Layout,
    images: usize,
    height: usize,
    width: usize,
    channels: usize,
    /// Channels of weights: 1, or as many as channels.
    weights: usize,
    nan: bool,
}

impl Packing {
    /// Of inputs of `problem`, whose channels have weights of their own or share them.
    pub fn new(problem: &Problem, own: bool) -> Self {
        let conv = problem.conv();
        let [images, height, width, channels] = problem.input_shape().to_nhwc(conv.layout);
        let nan = conv.missing.is_some_and(|missing| missing.nan);
        let weights = if own || nan { channels } else { 1 };
        Self { layout: conv.layout, images, height, width, channels, weights, nan }
    }

    /// Shape of what is packed, `[batch, height, width, channels]`.
    pub fn nhwc(&self) -> [usize; 4] {
        [self.images, self.height, self.width, self.channels + self.weights]
    }

    /// Values times their weights, and the weights, into `out`. What weighs nothing may be anything, NaN too. `src` are
    /// elements of this type.
    pub fn pack<S: Element>(
        &self,
        element: ElementType,
        src: &[u8],
        mask: Mask<'_>,
        out: &mut [S],
    ) {
        let Self { height, width, channels, weights, nan, .. } = *self;
        let (all, plane) = (channels + weights, height * width);
        if plane * channels == 0 {
            return;
        }
        // The weight of element `at` of the input, whose value is `x`, at `place` of its image.
        let weight = |at: usize, place: usize, x: f64| match mask {
            _ if nan && x.is_nan() => 0.0,
            Mask::Ones => 1.0,
            Mask::Shared(mask) => mask[place],
            Mask::Own(mask) => mask[at],
        };
        let times = |x: f64, m: f64| S::from_f64(if m == 0.0 { 0.0 } else { x * m });
        if self.layout == Layout::Nchw {
            // Rows of the planes of an image, and of those of its weights.
            out.par_chunks_mut(width).enumerate().for_each_init(Vec::new, |values, (n, out)| {
                let (row, plane_of) = (n % height, n / height);
                let (image, kept) = (plane_of / all, plane_of % all >= channels);
                let channel = plane_of % all - if kept { channels } else { 0 };
                let first = ((image * channels + channel) * height + row) * width;
                values.resize(width, 0.0);
                widen(element, src, first, values);
                for (column, (out, x)) in out.iter_mut().zip(values.iter()).enumerate() {
                    let m = weight(first + column, row * width + column, *x);
                    *out = if kept { S::from_f64(m) } else { times(*x, m) };
                }
            });
            return;
        }
        out.par_chunks_mut(all * width).enumerate().for_each_init(
            Vec::new,
            |values, (row, out)| {
                let first = row * width * channels;
                values.resize(width * channels, 0.0);
                widen(element, src, first, values);
                let pixels = values.chunks_exact(channels).zip(out.chunks_exact_mut(all));
                for (column, (values, out)) in pixels.enumerate() {
                    let place = row % height * width + column;
                    for (c, x) in values.iter().enumerate() {
                        let m = weight(first + column * channels + c, place, *x);
                        out[c] = times(*x, m);
                        if c < weights {
                            out[channels + c] = S::from_f64(m);
                        }
                    }
                }
            },
        );
    }

    /// The outputs of `problem`, of the sums that `sums` holds; what nothing is known of, where the weights sum to
    /// nothing.
    pub fn finish<S: Element>(&self, problem: &Problem, sums: &[S], out: &mut [u8]) {
        let conv = problem.conv();
        let filters = conv.kernel.filters();
        let least = conv.kernel.nothing();
        let bias: Vec<f64> = (0..filters).map(|f| conv.exact_bias(f)).collect();
        let no_data = conv.missing.and_then(|missing| missing.no_data).unwrap_or(f64::NAN);
        let [_, height, width, _] = problem.output_shape().to_nhwc(conv.layout);
        let (all, outputs) = (self.channels + self.weights, self.channels * filters);
        let element = problem.output_type();
        let bytes = element.bytes();
        let one = |sum: S, known: S, f: usize| {
            let (sum, known) = (sum.to_f64(), known.to_f64());
            match known.abs() < least[f] {
                true => no_data,
                false => conv.activation.exact(sum / known + bias[f]),
            }
        };
        // Where the weights of channel c lie, among those of all filters.
        let kept = |c: usize| self.channels + if self.weights == 1 { 0 } else { c };
        let plane = height * width;
        if plane * outputs == 0 {
            return;
        }
        if self.layout == Layout::Nchw {
            let rows = out.par_chunks_mut(width * bytes).enumerate();
            rows.for_each_init(Vec::new, |made, (n, out)| {
                let (row, n) = (n % height, n / height);
                let (image, c, f) = (n / outputs, n % outputs / filters, n % filters);
                let from =
                    |channel: usize| ((image * all + channel) * filters + f) * plane + row * width;
                let (sums, known) = (&sums[from(c)..], &sums[from(kept(c))..]);
                made.clear();
                made.extend(sums.iter().zip(known).take(width).map(|(s, k)| one(*s, *k, f)));
                narrow(element, made, out);
            });
            return;
        }
        let rows = out.par_chunks_mut(outputs * width * bytes);
        let rows = rows.zip(sums.par_chunks(all * filters * width));
        rows.for_each_init(Vec::new, |made, (out, sums)| {
            made.clear();
            for sums in sums.chunks_exact(all * filters) {
                for c in 0..self.channels {
                    let each =
                        |f: usize| one(sums[c * filters + f], sums[kept(c) * filters + f], f);
                    made.extend((0..filters).map(each));
                }
            }
            narrow(element, made, out);
        });
    }
}

/// Elements from the one numbered `first` on.
fn widen(element: ElementType, src: &[u8], first: usize, to: &mut [f64]) {
    with_type!(element, T => {
        let from = bytemuck::cast_slice::<u8, T>(src)[first..].iter();
        to.iter_mut().zip(from).for_each(|(to, x)| *to = Element::to_f64(*x));
    });
}

/// The nearest elements.
fn narrow(element: ElementType, from: &[f64], to: &mut [u8]) {
    with_type!(element, U => {
        let to = bytemuck::cast_slice_mut::<u8, U>(to).iter_mut();
        to.zip(from).for_each(|(to, y)| *to = Element::from_f64(*y));
    });
}
