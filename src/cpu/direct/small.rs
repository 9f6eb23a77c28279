//! Small images: whole ones, continued by the border, back to back in one line, so that vectors run across
//! their rows and from one image to the next.
//!
//! ```text
//!  line  [ border row | b row 0 b | b row 1 b | ... | border row ][ the next image ... ]
//!                     ◀── pitch ──▶
//!  tap (i, j) of every output lies i * dilation * pitch + j * dilation * channels behind it
//! ```
//!
//! What is summed at the ends of rows, where taps reach into the next one, belongs to no output and is left
//! out. The planes of NCHW tensors are such images: of 7x7 pixels a row fills no vector, and two thousand rows
//! begin and end where otherwise one does.

use fearless_simd::{Simd, SimdBase};

use crate::cpu::kernels::{Block, Pattern, Segments};
use crate::cpu::scratch::Scratch;
use crate::cpu::sink::{Sink, Values, activate};
use crate::cpu::source::{self, Lines};
use crate::element::with_type;
use crate::problem::Geometry;
use crate::{Element, Problem};

/// Scalars of a line: it and its sums stay in a core's first two caches.
const LINE: usize = 1 << 13;

/// Images of one task, and their outputs back to back.
#[derive(Debug)]
pub(in crate::cpu) struct Images<'a> {
    pub first: usize,
    pub outputs: &'a mut [u8],
}

/// Computes some images.
pub(in crate::cpu) fn small<S: Simd>(
    simd: S,
    problem: &Problem,
    src: &[u8],
    images: Images<'_>,
    scratch: &mut Scratch,
) {
    let g = problem.geometry();
    let weights = problem.weights();
    let plane = g.out_height * g.out_row() * problem.output_type().bytes();
    let rows = g.out_height - 1 + g.extent().0;
    let Scratch { lines, window, staged, .. } = scratch;
    let mut lines = Lines::new(problem, 0..g.out_width, lines, window);
    let pitch = lines.pitch();
    let at_once = (LINE / (rows * pitch)).max(1);
    // One row of all taps, in the order in which those of rows are added up.
    let pattern = Pattern::new(
        &Geometry { stride: (1, 1), ..*g },
        1,
        (1, weights.taps.len() / weights.filters),
        1,
    );
    let offsets: Vec<usize> = (0..g.kernel.0)
        .flat_map(|i| lines.offsets().iter().map(move |j| i * g.dilation.0 * pitch + j))
        .collect();

    let all = images.outputs.chunks_mut(at_once * plane * g.out_planes()).enumerate();
    for (n, outputs) in all {
        let count = outputs.len() / (plane * g.out_planes());
        let first = images.first + n * at_once;
        // Vectors of sums may end behind the last output.
        lines.back_to_back(count * rows, S::f32s::LEN);
        for image in 0..count {
            let from = source::image(problem, src, first + image);
            let top = g.first_row(0);
            lines.fill_rows(simd, from, image * rows, top..top + rows as isize);
        }
        let line = lines.all();
        let places = ((count - 1) * rows + g.out_height - 1) * pitch + g.out_width * g.channels;
        let row = g.out_width * g.channels;
        let mixed = weights.follow.as_ref().map_or(0, |follow| follow.bias.len() * row);
        staged.resize(weights.filters * places + mixed, 0.0);
        let (sums, mixed) = staged.split_at_mut(weights.filters * places);
        for (f, sums) in sums.chunks_mut(places).enumerate() {
            let taps = &weights.taps[f * offsets.len()..(f + 1) * offsets.len()];
            let (lines, offsets, bias) = (&[line], &offsets[..], weights.bias[f]);
            Block { pattern: &pattern, lines, offsets, taps, bias }.sum(
                simd,
                Segments::one(places),
                &mut [&mut *sums],
            );
            activate(simd, weights.activation, sums);
        }
        if weights.follow.is_none() && (g.planar || g.outputs == 1) {
            let first = |image: usize| image * rows * pitch;
            simd.vectorize(
                #[inline(always)]
                || {
                    with_type!(problem.output_type(), U => {
                        let planes = bytemuck::cast_slice_mut::<u8, U>(outputs);
                        let planes = planes.chunks_exact_mut(g.out_height * row).enumerate();
                        for (n, to) in planes {
                            let (image, filter) = (n / g.out_planes(), n % g.out_planes());
                            narrow(&sums[filter * places + first(image)..], pitch, to, row);
                        }
                    });
                },
            );
            continue;
        }
        for (image, outputs) in outputs.chunks_mut(plane * g.out_planes()).enumerate() {
            let mut planes: Vec<&mut [u8]> = outputs.chunks_mut(plane).collect();
            let mut sink =
                Sink { problem, planes: &mut planes, from: 0, places: row, streamed: false };
            for at in 0..g.out_height {
                let all = &sums[(image * rows + at) * pitch..];
                sink.finish(simd, at, Values { all, pitch: places, places: row }, mixed);
            }
        }
    }
}

/// Scalars that are stored as one vector.
const PIECE: usize = 8;

/// Rows of `len` sums, `pitch` apart, into rows that follow one another: in whole pieces, whose ends the next row
/// then stores over.
#[inline(always)]
fn narrow<U: Element>(sums: &[f32], pitch: usize, to: &mut [U], len: usize) {
    for row in 0..to.len() / len {
        let from = &sums[row * pitch..];
        let to = &mut to[row * len..];
        let mut at = 0;
        while at + PIECE <= from.len().min(to.len()) && at < len {
            U::narrow(&from[at..at + PIECE], &mut to[at..at + PIECE]);
            at += PIECE;
        }
        for (to, from) in to[..len].iter_mut().zip(&from[..len]).skip(at) {
            *to = Element::from_f32(*from);
        }
    }
}
