//! A rectangle of the output, and the part of the input it is made from.
//!
//! Along each axis the region's taps meet a run of the continued input. Where that lies inside, the same convolution
//! of this run without any padding gives the region; where it reaches beyond one edge or both, the padding that lies
//! there stays, and the border continues the part as it would the whole:
//!
//! ```text
//! input            |-----------------------------|
//! a region's run         [=========]               cut out, no padding
//! at an edge     [pp=====]                         cut out from the edge on, with the padding pp
//! beyond it         what a wrap or a long reflection finds elsewhere: row by row, as the border says
//! ```

use std::ops::Range;

use super::Problem;
use crate::{Border, Conv2d, Error, Layout, Padding, Result, Shape, Sides, Window};

/// Rows, or columns, of an input that are to be brought together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// These.
    Run(Range<usize>),
    /// Those that the border says, one after the other.
    Picked(Vec<usize>),
}

/// An axis of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Axis {
    source: Source,
    before: usize,
    after: usize,
    /// Which of the outputs that the part gives are the region's.
    taken: Range<usize>,
}

/// A region of a problem, as a problem of its own.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    /// Of the input's part.
    pub problem: Problem,
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "streams have threads"))]
    pub images: Range<usize>,
    pub rows: Source,
    pub columns: Source,
    /// Which rows and columns of its output are the region.
    pub taken: (Range<usize>, Range<usize>),
}

impl Source {
    pub fn len(&self) -> usize {
        match self {
            Self::Run(run) => run.len(),
            Self::Picked(all) => all.len(),
        }
    }

    /// As runs of neighbours, one after the other.
    pub fn runs(&self) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        match self {
            Self::Run(run) => runs.push(run.clone()),
            Self::Picked(all) => {
                for at in all {
                    match runs.last_mut() {
                        Some(run) if run.end == *at => run.end += 1,
                        _ => runs.push(*at..at + 1),
                    }
                }
            }
        }
        runs
    }

    pub fn each(&self) -> impl Iterator<Item = usize> + '_ {
        let (run, picked) = match self {
            Self::Run(run) => (run.clone(), &[][..]),
            Self::Picked(all) => (0..0, &all[..]),
        };
        run.chain(picked.iter().copied())
    }
}

/// What an axis is, as far as regions are concerned.
struct Along {
    input: usize,
    output: usize,
    stride: usize,
    extent: usize,
    before: usize,
    border: Sides,
    /// Outputs at multiples of which a part begins, so that they are made as those of the whole are.
    grain: usize,
}

impl Along {
    fn region(&self, wanted: &Range<usize>) -> Axis {
        let first = (wanted.start * self.stride) as isize - self.before as isize;
        let len = (wanted.len() - 1) * self.stride + self.extent;
        let (end, last) = (self.input as isize - 1, first + len as isize - 1);
        let all = 0..wanted.len();
        let run = |from: isize, to: isize| Source::Run(from as usize..to as usize + 1);
        match (first < 0, last > end) {
            (false, false) => Axis { source: run(first, last), before: 0, after: 0, taken: all },
            // It lies whole between its edges, and any border goes.
            (true, true) => Axis {
                source: run(0, end),
                before: first.unsigned_abs(),
                after: (last - end) as usize,
                taken: all,
            },
            (true, false) => match self.border.before {
                Border::Constant(_) if last < 0 => self.whole(wanted),
                Border::Constant(_) | Border::Replicate if last >= 0 => Axis {
                    source: run(0, last),
                    before: first.unsigned_abs(),
                    after: 0,
                    taken: all,
                },
                Border::Reflect | Border::Reflect101 if last >= 0 && first > -(end + 1) => {
                    // As far as the mirror goes; what more that gives is left.
                    let mirror =
                        self.border.index(first, self.input).map_or(last, |at| at as isize);
                    Axis {
                        source: run(0, last.max(mirror)),
                        before: first.unsigned_abs(),
                        after: 0,
                        taken: all,
                    }
                }
                _ => self.picked(first, len, all),
            },
            (false, true) => {
                let needed = match self.border.after {
                    Border::Constant(_) if first > end => return self.whole(wanted),
                    Border::Constant(_) | Border::Replicate if first <= end => Some(first),
                    Border::Reflect | Border::Reflect101 if first <= end && last <= 2 * end => {
                        self.border.index(last, self.input).map(|at| first.min(at as isize))
                    }
                    _ => None,
                };
                // Some outputs earlier, where the mirror reaches beyond the first one's taps.
                let early = needed.map(|from| {
                    let early = ((first - from) as usize).div_ceil(self.stride);
                    early.next_multiple_of(self.grain)
                });
                match early.map(|early| (early, first - (early * self.stride) as isize)) {
                    Some((early, from)) if from >= 0 => Axis {
                        source: run(from, end),
                        before: 0,
                        after: (last - end) as usize,
                        taken: early..early + wanted.len(),
                    },
                    _ => self.picked(first, len, all),
                }
            }
        }
    }

    /// Nothing but the border's constant: what is known to be right is all of it.
    fn whole(&self, wanted: &Range<usize>) -> Axis {
        let last = ((self.output - 1) * self.stride + self.extent).saturating_sub(self.before + 1);
        Axis {
            source: Source::Run(0..(last + 1).clamp(1, self.input)),
            before: self.before,
            after: (last + 1).saturating_sub(self.input),
            taken: wanted.clone(),
        }
    }

    /// Place by place, where no constant is among them.
    fn picked(&self, first: isize, len: usize, taken: Range<usize>) -> Axis {
        let places = (0..len as isize).map(|n| self.border.index(first + n, self.input));
        Axis {
            source: Source::Picked(places.map(|at| at.unwrap_or(0)).collect()),
            before: 0,
            after: 0,
            taken,
        }
    }
}

impl Problem {
    /// A part of the output, of all channels. Where it is computed with rows or columns before it, these are as many
    /// as a multiple of `grain`.
    ///
    /// # Errors
    /// [`Error::Argument`] for a region that is empty or not within the output, and of an adjoint.
    pub(crate) fn region(&self, window: &Window, grain: (usize, usize)) -> Result<Region> {
        let g = self.geometry();
        let Window { images, rows, columns } = window;
        for (name, range, there) in [
            ("images of the region", images, g.images),
            ("rows of the region", rows, g.out_height),
            ("columns of the region", columns, g.out_width),
        ] {
            // Of an empty batch all images are none.
            let none = there == 0 && *range == (0..0);
            if range.end > there || range.is_empty() && !none {
                let limit = format!("the output has {there}, and a region one of them at least");
                return Err(Error::argument(
                    name,
                    format!("{}..{}", range.start, range.end),
                    limit,
                ));
            }
        }
        if self.conv().adjoint {
            return Err(Error::argument("region", "of an adjoint", "it is computed as a whole"));
        }
        let border = self.border();
        let down = Along {
            input: g.height,
            output: g.out_height,
            stride: g.stride.0,
            extent: g.extent().0,
            before: g.top,
            border: border.rows(),
            grain: grain.0,
        };
        let across = Along {
            input: g.width,
            output: g.out_width,
            stride: g.stride.1,
            extent: g.extent().1,
            before: g.left,
            border: border.columns(),
            grain: grain.1,
        };
        let (down, across) = (down.region(rows), across.region(columns));
        let (n, c) = self.counts(images);
        let size = [n, down.source.len(), across.source.len(), c];
        // It has as many axes, so there always is such a shape.
        let shape = self.input_shape().with_nhwc(self.conv().layout, size);
        let padding = Padding::Explicit {
            top: down.before,
            bottom: down.after,
            left: across.before,
            right: across.after,
        };
        let conv = Conv2d { padding, anchor: None, ..self.conv().clone() };
        let shape = shape.unwrap_or(self.input_shape());
        let problem = Self::new(&conv, shape, self.input_type(), self.output_type())?;
        Ok(Region {
            problem,
            images: images.clone(),
            rows: down.source,
            columns: across.source,
            taken: (down.taken, across.taken),
        })
    }

    /// All of the output.
    pub(crate) fn everything(&self) -> Window {
        let g = self.geometry();
        Window::new(0..g.images, 0..g.out_height, 0..g.out_width)
    }

    /// The batch and the channels of some images: planes are channels of one.
    fn counts(&self, images: &Range<usize>) -> (usize, usize) {
        let layout = self.conv().layout;
        let [n, _, _, c] = self.input_shape().to_nhwc(layout);
        match layout {
            _ if images.len() == self.geometry().images => (n, c),
            Layout::Nhwc => (images.len(), c),
            Layout::Nchw => (1, images.len()),
        }
    }

    /// The shape of this part of the output.
    pub(crate) fn window_shape(&self, window: &Window) -> Shape {
        let layout = self.conv().layout;
        let (n, c) = self.counts(&window.images);
        let size = [n, window.rows.len(), window.columns.len(), c * self.geometry().outputs];
        let output = self.output_shape();
        output.with_nhwc(layout, size).unwrap_or(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Borders, ElementType, Kernel};

    const BORDERS: [Border; 5] =
        [Border::ZERO, Border::Replicate, Border::Reflect, Border::Reflect101, Border::Wrap];

    /// Every run of outputs of small axes meets, tap by tap, what it meets in the whole.
    #[test]
    fn parts_meet_what_the_whole_meets() {
        let mut picked = 0;
        for (before, after) in BORDERS.iter().flat_map(|a| BORDERS.map(|b| (*a, b))) {
            let border = Borders::sides(before, after, Border::ZERO, Border::ZERO);
            for (n, k, stride, dilation, top, bottom) in [
                (9, 3, 1, 1, 1, 1),
                (9, 4, 2, 1, 1, 2),
                (5, 3, 1, 2, 2, 2),
                (4, 3, 1, 1, 7, 9),
                (7, 5, 3, 1, 2, 2),
                (1, 2, 2, 1, 3, 3),
                (3, 1, 1, 1, 4, 4),
            ] {
                let padding = Padding::Explicit { top, bottom, left: 0, right: 0 };
                let conv = Conv2d::new(Kernel::new(k, 1, vec![1.0; k]).unwrap());
                let conv = conv.stride(stride, 1).dilation(dilation, 1).padding(padding);
                let conv = conv.border(border);
                let f32 = ElementType::F32;
                let problem = Problem::new(&conv, [n, 1], f32, f32).unwrap();
                let met = |problem: &Problem, r: usize| -> Vec<Option<usize>> {
                    let g = problem.geometry();
                    let rows = problem.border().rows();
                    let at = |i: usize| g.first_row(r) + (i * dilation) as isize;
                    (0..k).map(|i| rows.index(at(i), g.height)).collect()
                };
                let out = problem.geometry().out_height;
                let ranges = (0..out).flat_map(|from| (from + 1..=out).map(move |to| (from, to)));
                for (from, to) in ranges {
                    for grain in [(1, 1), (3, 1)] {
                        let region =
                            problem.region(&Window::new(0..1, from..to, 0..1), grain).unwrap();
                        let rows: Vec<usize> = region.rows.each().collect();
                        assert_eq!(region.taken.0.len(), to - from);
                        // From the first row, or by whole grains before the first that is wanted.
                        assert!(
                            region.taken.0.start == from
                                || region.taken.0.start.is_multiple_of(grain.0)
                        );
                        picked += usize::from(matches!(region.rows, Source::Picked(_)));
                        for (wanted, part) in (from..to).zip(region.taken.0.clone()) {
                            let part = met(&region.problem, part).into_iter();
                            let part: Vec<_> = part.map(|at| at.map(|at| rows[at])).collect();
                            assert_eq!(
                                part,
                                met(&problem, wanted),
                                "{border}: {wanted} of {from}..{to}, {problem}: {region:?}"
                            );
                        }
                    }
                }
            }
        }
        assert!(picked > 100, "{picked}");
    }

    #[test]
    fn what_is_no_region_is_refused() {
        let conv = Conv2d::new(Kernel::sobel_x());
        let problem = Problem::new(&conv, [5, 4], ElementType::F32, ElementType::F32).unwrap();
        for (rows, columns) in
            [(0..6, 0..4), (2..2, 0..4), (0..1, 3..5), (Range { start: 4, end: 3 }, 0..1)]
        {
            let error =
                problem.region(&Window::new(0..1, rows, columns), (1, 1)).unwrap_err().to_string();
            assert!(error.contains("of the region"), "{error}");
        }
        for images in [0..2, 0..0, 1..2] {
            let error =
                problem.region(&Window::new(images, 0..1, 0..1), (1, 1)).unwrap_err().to_string();
            assert!(error.contains("images of the region"), "{error}");
        }
        let adjoint =
            Problem::new(&conv.adjoint(), [5, 4], ElementType::F32, ElementType::F32).unwrap();
        assert!(adjoint.region(&Window::new(0..1, 0..1, 0..1), (1, 1)).is_err());
    }
}
