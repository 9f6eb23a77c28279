//! Small images: whole ones, continued by the border, side by side, so that vectors run across their rows and
//! from one image to the next.
//!
//! ```text
//!  line 0  [ b b b b b ][ b b b b b ][ b b b b b ]    rows above the images
//!  line 1  [ b row 0 b ][ b row 0 b ][ b row 0 b ]
//!  line 2  [ b row 1 b ][ b row 1 b ][ b row 1 b ]
//!   ...     ◀── pitch ──▶ the next     and so on
//! ```
//!
//! What is summed at the ends of rows, where taps reach into the next image, belongs to no output and is left
//! out. The planes of NCHW tensors are such images: of 7x7 pixels a row fills no vector, and two thousand rows
//! begin and end where otherwise one does.

use fearless_simd::{Simd, SimdBase};

use crate::cpu::kernels::{self, Block, Segments};
use crate::cpu::raw;
use crate::cpu::scratch::Scratch;
use crate::cpu::sink::{Sink, Values, activate, sum_filter};
use crate::cpu::source::{list, recycled};
use crate::cpu::task::{Blocks, Rows};
use crate::element::with_f32_type;
use crate::memory::{self, NoRoom};
use crate::{Element, Problem};

/// Scalars of all lines: they and the sums of a block stay in a core's first two caches.
const LINES: usize = 1 << 13;

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
) -> Result<(), NoRoom> {
    let g = problem.geometry();
    let weights = problem.weights();
    let taps = problem.summed_taps();
    let row = g.out_width * g.channels;
    let image = g.out_image() * problem.output_type().bytes();
    let Scratch { lines, staged, .. } = scratch;
    let mut padded = Padded::new::<S>(problem, lines)?;
    let (pitch, at_once) = (padded.pitch, padded.at_once);
    let rows_at_once = kernels::rows_at_once::<S, f32>(g, g.kernel);
    let blocks = Blocks::new(g, g.out_height, rows_at_once, g.kernel, 1).overlapping();
    let offsets: Vec<usize> = (0..g.kernel.1).map(|j| j * g.dilation.1 * g.channels).collect();
    let mixed = weights.follow.as_ref().map_or(0, |follow| follow.bias.len() * row);
    let scalars = g.image() * problem.input_type().bytes();
    let src = &src[images.first * scalars..][..images.outputs.len() / image * scalars];
    // What comes next is asked for block by block: copies of short rows would wait for memory, and sums would
    // not be made meanwhile.
    let parts = g.out_height.div_ceil(blocks.pattern.rows);
    let (part_in, part_out) =
        [scalars, image].map(|bytes| (at_once * bytes).div_ceil(parts)).into();
    let mut there = list(blocks.pattern.needed.len())?;
    let most = at_once.min(images.outputs.len() / image);
    let places = (most.max(1) - 1) * pitch + row;
    let len = weights.filters * blocks.pattern.rows * places + mixed;
    memory::at_least("sums of small images", staged, len, 0.0)?;
    let (mut src, mut outputs) = (src, images.outputs);
    while !outputs.is_empty() {
        let count = at_once.min(outputs.len() / image);
        let (now, next) = src.split_at(count * scalars);
        let (made, later) = outputs.split_at_mut(count * image);
        padded.fill(simd, now);
        let (mut coming, mut stored) = (next.chunks(part_in), later.chunks(part_out));
        let places = (count - 1) * pitch + row;
        // Sums [filters, rows, places], and outputs [outputs, row] where they are others.
        let filter = blocks.pattern.rows * places;
        let staged = &mut staged[..weights.filters * filter + mixed];
        let (sums, mixed) = staged.split_at_mut(weights.filters * filter);
        blocks.each(
            &(0..g.out_height),
            #[inline(always)]
            |rows, pattern, needed| {
                raw::prefetch(coming.next().unwrap_or_default());
                raw::prefetch(stored.next().unwrap_or_default());
                let mut lines: Vec<&[f32]> = recycled(std::mem::take(&mut there));
                lines.extend(needed.iter().map(|row| padded.line(*row)));
                for (f, sums) in sums.chunks_mut(filter).enumerate() {
                    let block = Block::new(pattern, &lines, &offsets, &taps);
                    let out = &mut kernels::rows(sums, places)[..rows.count];
                    sum_filter(simd, problem, f, block, Segments::one(places), out);
                    activate(simd, weights.activation, &mut sums[..rows.count * places]);
                }
                there = recycled(lines);
                Made { sums, filter, places, pitch }.store(simd, problem, rows, made, mixed);
            },
        );
        (src, outputs) = (next, later);
    }
    Ok(())
}

/// Images side by side, continued by the border.
struct Padded<'a> {
    problem: &'a Problem,
    /// Of an image, border and all.
    rows: usize,
    /// From image to image, of which so many are side by side, and from line to line.
    pitch: usize,
    at_once: usize,
    width: usize,
    lines: &'a mut Vec<f32>,
}

impl<'a> Padded<'a> {
    /// No images yet.
    fn new<S: Simd>(problem: &'a Problem, lines: &'a mut Vec<f32>) -> Result<Self, NoRoom> {
        let g = problem.geometry();
        let rows = g.out_height - 1 + g.extent().0;
        let pitch = (g.out_width - 1 + g.extent().1) * g.channels;
        let at_once = (LINES / (rows * pitch)).clamp(1, g.images);
        // Vectors of sums may end behind the last output.
        let width = at_once * pitch + S::f32s::LEN;
        // A constant border stays where it is.
        lines.clear();
        memory::resize("lines of small images", lines, rows * width, problem.border().fill())?;
        Ok(Self { problem, rows, pitch, at_once, width, lines })
    }

    /// The line of a row of the continued input.
    #[inline(always)]
    fn line(&self, row: isize) -> &[f32] {
        let row = row.saturating_add_unsigned(self.problem.geometry().top) as usize;
        &self.lines[row * self.width..(row + 1) * self.width]
    }

    /// Fills lines with images, `src`.
    fn fill<S: Simd>(&mut self, simd: S, src: &[u8]) {
        let Self { problem, pitch, width, .. } = *self;
        let g = problem.geometry();
        let skip = g.top * width + g.left * g.channels;
        simd.vectorize(
            #[inline(always)]
            || {
                with_f32_type!(problem.input_type(), T => {
                    let src = bytemuck::cast_slice::<u8, T>(src);
                    for (n, image) in src.chunks_exact(g.image()).enumerate() {
                        let lines = self.lines[skip + n * pitch..].chunks_mut(width);
                        for (from, to) in image.chunks_exact(g.row()).zip(lines) {
                            pieces(from, &mut to[..from.len()], Element::widen);
                        }
                    }
                });
            },
        );
        if !problem.border().is_constant() {
            self.go_on(src.len() / (g.image() * problem.input_type().bytes()));
        }
    }

    /// Continues so many images by the border: columns of their rows, then rows of lines.
    fn go_on(&mut self, images: usize) {
        let Self { problem, rows, pitch, width, ref mut lines, .. } = *self;
        let (g, border) = (problem.geometry(), problem.border());
        let inside = g.top..g.top + g.height;
        for column in (0..g.left).chain(g.left + g.width..pitch / g.channels) {
            let at = border.columns().index(column as isize - g.left as isize, g.width);
            let Some(from) = at.map(|at| (at + g.left) * g.channels) else { continue };
            for line in lines[inside.start * width..inside.end * width].chunks_exact_mut(width) {
                for image in line.chunks_exact_mut(pitch).take(images) {
                    image.copy_within(from..from + g.channels, column * g.channels);
                }
            }
        }
        for row in (0..inside.start).chain(inside.end..rows) {
            let at = border.rows().index(row as isize - g.top as isize, g.height);
            let Some(from) = at.map(|at| (at + g.top) * width) else { continue };
            lines.copy_within(from..from + images * pitch, row * width);
        }
    }
}

/// Sums `[filters, rows, places]` of images `pitch` places apart.
struct Made<'a> {
    sums: &'a [f32],
    /// From one filter to the next.
    filter: usize,
    /// From one row to the next.
    places: usize,
    pitch: usize,
}

impl Made<'_> {
    /// Stores rows of each image. `mixed` has room for `[outputs, row]` where filters are mixed.
    #[inline(always)]
    fn store<S: Simd>(
        &self,
        simd: S,
        problem: &Problem,
        rows: Rows,
        outputs: &mut [u8],
        mixed: &mut [f32],
    ) {
        let Self { sums, filter, places, pitch } = *self;
        let g = problem.geometry();
        let row = g.out_width * g.channels;
        if problem.weights().follow.is_none() && (g.planar || g.outputs == 1) {
            simd.vectorize(
                #[inline(always)]
                || {
                    with_f32_type!(problem.output_type(), U => {
                        let outputs = bytemuck::cast_slice_mut::<u8, U>(outputs);
                        let planes = outputs.chunks_exact_mut(g.out_height * row).enumerate();
                        for (n, plane) in planes {
                            let (image, f) = (n / g.out_planes(), n % g.out_planes());
                            let sums = sums[f * filter..].chunks(places).take(rows.count);
                            let to = plane[rows.first * row..].chunks_exact_mut(row);
                            for (sums, to) in sums.zip(to.step_by(rows.spacing)) {
                                pieces(&sums[image * pitch..][..row], to, U::narrow);
                            }
                        }
                    });
                },
            );
            return;
        }
        let plane = g.out_height * g.out_row() * problem.output_type().bytes();
        for (n, outputs) in outputs.chunks_mut(plane * g.out_planes()).enumerate() {
            let mut planes: Vec<&mut [u8]> = outputs.chunks_mut(plane).collect();
            let mut sink =
                Sink { problem, planes: &mut planes, from: 0, places: row, streamed: false };
            for r in 0..rows.count {
                let all = &sums[r * places + n * pitch..];
                let values = Values { all, pitch: filter, places: row };
                sink.finish(simd, rows.first + r * rows.spacing, values, mixed);
            }
        }
    }
}

/// Scalars of a row that becomes another by `convert`, in pieces of a length that compilers know, of which the
/// last one may begin early: a call for each of many short rows costs more than what it does.
#[inline(always)]
fn pieces<A, B>(from: &[A], to: &mut [B], convert: impl Fn(&[A], &mut [B])) {
    /// In pieces of `N`, where there are so many.
    #[inline(always)]
    fn of<const N: usize, A, B>(
        from: &[A],
        to: &mut [B],
        convert: impl Fn(&[A], &mut [B]),
    ) -> bool {
        let len = from.len().min(to.len());
        let Some(last) = len.checked_sub(N) else { return false };
        let mut at = 0;
        while at < last {
            convert(&from[at..at + N], &mut to[at..at + N]);
            at += N;
        }
        convert(&from[last..last + N], &mut to[last..last + N]);
        true
    }
    if !of::<8, _, _>(from, to, &convert) && !of::<4, _, _>(from, to, &convert) {
        for (from, to) in from.chunks(1).zip(to.chunks_mut(1)) {
            convert(from, to);
        }
    }
}
