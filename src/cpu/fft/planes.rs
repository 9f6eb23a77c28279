//! Planes of a tile: what two channels, or two parts of one, hold, as the real and the imaginary parts of
//! complex numbers; in and out, row by row.

use std::ops::Range;

use rustfft::num_complex::Complex;

use crate::cpu::source::Image;
use crate::memory::{self, NoRoom};
use crate::problem::Geometry;
use crate::{Element, Problem};

/// A channel of some output columns.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Plane {
    /// First output column, and how many.
    pub first: usize,
    pub columns: usize,
    pub channel: usize,
}

/// The planes of some output columns, in tiles of at most `wide`: a tile's channels lie together.
pub(in crate::cpu) fn list_of_planes(
    columns: Range<usize>,
    wide: usize,
    channels: usize,
) -> Result<Vec<Plane>, NoRoom> {
    let (wide, end) = (wide.max(1), columns.end);
    let count = columns.len().div_ceil(wide) * channels;
    let planes = columns.step_by(wide).flat_map(move |first| {
        let columns = wide.min(end - first);
        (0..channels).map(move |channel| Plane { first, columns, channel })
    });
    memory::collected("the list of a tile's planes", count, planes)
}

/// What is set, or taken, of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu) enum Parts {
    /// The real one; the other becomes 0.
    Real,
    /// The imaginary one, after the real one was.
    Imaginary,
    /// Of the plane's channel and the one behind it, so that pixels are gone through once.
    Both,
}

impl Parts {
    /// Channels from what becomes the first part to what becomes the second.
    pub fn apart(self) -> usize {
        usize::from(self == Self::Both)
    }

    #[inline(always)]
    pub fn set(self, at: &mut Complex<f32>, first: f32, second: f32) {
        match self {
            Self::Real => *at = Complex { re: first, im: 0.0 },
            Self::Imaginary => at.im = first,
            Self::Both => *at = Complex { re: first, im: second },
        }
    }
}

/// Calls `work` for the planes of a tile, once for two that are neighbours; the second after the first.
#[inline(always)]
pub(in crate::cpu) fn each(pair: &[Plane], mut work: impl FnMut(&Plane, Parts)) {
    // Not by an adapter of iterators, whose body would be compiled without the caller's instructions.
    match pair {
        [a, b] if a.first == b.first && a.channel + 1 == b.channel => work(a, Parts::Both),
        [a, b] => {
            work(a, Parts::Real);
            work(b, Parts::Imaginary);
        }
        [a] => work(a, Parts::Real),
        _ => {}
    }
}

/// The loop over pixels, unrolled for few channels: `$n` is a constant where there are up to four.
macro_rules! with_channels {
    ($channels:expr, $n:ident => $few:expr, $many:expr) => {
        match $channels {
            1 => {
                const $n: usize = 1;
                $few
            }
            2 => {
                const $n: usize = 2;
                $few
            }
            3 => {
                const $n: usize = 3;
                $few
            }
            4 => {
                const $n: usize = 4;
                $few
            }
            _ => $many,
        }
    };
}

/// Puts what tap row 0 meets of a plane at row `row` of the continued input into a line of a tile, zeros
/// behind it.
#[inline(always)]
pub(in crate::cpu) fn load<T: Element>(
    problem: &Problem,
    image: Image<'_>,
    row: isize,
    plane: &Plane,
    parts: Parts,
    line: &mut [Complex<f32>],
) {
    let g = problem.geometry();
    let border = problem.border();
    let left = g.first_column(plane.first);
    let needed = (plane.columns - 1) * g.stride.1 + g.extent().1;
    let (line, margin) = line.split_at_mut(needed);
    for at in margin {
        parts.set(at, 0.0, 0.0);
    }
    let fill = border.fill();
    let Some(row) = border.rows().index(row, g.height) else {
        for at in line {
            parts.set(at, fill, fill);
        }
        return;
    };
    let row = image.row::<T>(row);
    // Columns inside the input, and the others.
    let from = left.min(0).unsigned_abs().min(needed);
    let to = usize::try_from(g.width as isize - left).unwrap_or(0).clamp(from, needed);
    if from < to {
        let start = (left + from as isize) as usize * g.channels;
        inside(&row[start..], g.channels, plane.channel, parts, &mut line[from..to]);
    }
    for j in (0..from).chain(to..needed) {
        match border.columns().index(left + j as isize, g.width) {
            Some(column) => {
                let pixel = &row[column * g.channels..];
                inside(pixel, g.channels, plane.channel, parts, &mut line[j..j + 1]);
            }
            None => parts.set(&mut line[j], fill, fill),
        }
    }
}

/// Channel `c` of pixels, and what else `parts` says.
#[inline(always)]
fn inside<T: Element>(
    pixels: &[T],
    channels: usize,
    c: usize,
    parts: Parts,
    line: &mut [Complex<f32>],
) {
    let next = c + parts.apart();
    // Of both, so that no loop over pixels looks.
    if c >= channels || next >= channels {
        return;
    }
    with_channels!(
        channels,
        N => for (at, pixel) in line.iter_mut().zip(pixels.as_chunks::<N>().0) {
            parts.set(at, pixel[c].to_f32(), pixel[next].to_f32());
        },
        for (at, pixel) in line.iter_mut().zip(pixels.chunks_exact(channels)) {
            parts.set(at, pixel[c].to_f32(), pixel[next].to_f32());
        }
    );
}

/// Puts a line of a tile, of which every `g.stride` counts, where its planes' outputs lie in a flat row that
/// begins at output column `first`, and adds the bias.
#[inline(always)]
pub(in crate::cpu) fn unload(
    g: &Geometry,
    line: &[Complex<f32>],
    pair: &[Plane],
    bias: f32,
    first: usize,
    row: &mut [f32],
) {
    each(
        pair,
        #[inline(always)]
        |plane, parts| {
            let from = plane.first - first;
            let row = &mut row[from * g.channels..(from + plane.columns) * g.channels];
            let (c, next) = (plane.channel, plane.channel + parts.apart());
            if c >= g.channels || next >= g.channels {
                return;
            }
            match g.stride.1 {
                1 => with_channels!(
                    g.channels,
                    N => for (pixel, at) in row.as_chunks_mut::<N>().0.iter_mut().zip(line) {
                        take(parts, *at, bias, pixel, c, next);
                    },
                    for (pixel, at) in row.chunks_exact_mut(g.channels).zip(line) {
                        take(parts, *at, bias, pixel, c, next);
                    }
                ),
                step => {
                    let line = line.iter().step_by(step);
                    for (pixel, at) in row.chunks_exact_mut(g.channels).zip(line) {
                        take(parts, *at, bias, pixel, c, next);
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn take(parts: Parts, at: Complex<f32>, bias: f32, pixel: &mut [f32], c: usize, next: usize) {
    match parts {
        Parts::Real => pixel[c] = at.re + bias,
        Parts::Imaginary => pixel[c] = at.im + bias,
        Parts::Both => {
            pixel[c] = at.re + bias;
            pixel[next] = at.im + bias;
        }
    }
}

/// Whether real and imaginary parts are all of at most that size: no NaN, no infinity.
#[inline(always)]
pub(in crate::cpu) fn within(lines: &[Complex<f32>], limit: f32) -> [bool; 2] {
    // Without their signs, the bits of floats are in the order of the numbers, NaNs behind the infinities.
    let bits = |x: f32| x.to_bits() & (u32::MAX >> 1);
    let mut most = [0, 0];
    for at in lines {
        most = [most[0].max(bits(at.re)), most[1].max(bits(at.im))];
    }
    most.map(|bits| bits <= limit.to_bits())
}
