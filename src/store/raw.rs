//! Numbers that lie in a file without packing, in any order of axes.

use std::fs::File;
use std::io;

use super::axes::Axes;
use super::positioned;
use super::sample::{Sample, swap};
use crate::memory;
use crate::{ElementType, Window};

/// What neighbours in a file are called where there is no memory for them.
const RUN: &str = "numbers that lie together in a file";

/// Where they lie. Distances are in numbers.
#[derive(Debug)]
pub(super) struct Raw {
    file: File,
    /// The first.
    offset: u64,
    sample: Sample,
    /// Whether their bytes are in another machine's order.
    foreign: bool,
    axes: Axes,
    /// Along each axis of the array.
    strides: Vec<u64>,
}

/// A window of one image, from the first number of the file on.
struct Part {
    start: u64,
    /// Rows, columns, channels: how many, how far apart in the file, how far apart in the window.
    size: [usize; 3],
    there: [u64; 3],
    here: [usize; 3],
}

impl Raw {
    /// In C order, the last axis first in memory.
    pub(super) fn new(
        file: File,
        offset: u64,
        (sample, foreign): (Sample, bool),
        axes: Axes,
    ) -> Self {
        let order: Vec<usize> = (0..axes.dims().len()).rev().collect();
        Self::ordered(file, offset, (sample, foreign), axes, &order)
    }

    /// Axes as they follow one another in memory, from the one whose numbers are neighbours.
    pub(super) fn ordered(
        file: File,
        offset: u64,
        (sample, foreign): (Sample, bool),
        axes: Axes,
        order: &[usize],
    ) -> Self {
        let mut strides = vec![0; axes.dims().len()];
        let mut next = 1;
        for axis in order {
            strides[*axis] = next;
            next *= axes.dims()[*axis] as u64;
        }
        Self { file, offset, sample, foreign, axes, strides }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn axes(&self) -> &Axes {
        &self.axes
    }

    pub(super) fn element(&self) -> ElementType {
        self.sample.element()
    }

    fn parts<'a>(&'a self, window: &'a Window) -> impl Iterator<Item = Part> + 'a {
        let rows = self.axes.rows_axis();
        let channels = self.axes.channels();
        // There may be no axis of channels.
        let stride = |n: usize| self.strides.get(rows + n).copied().unwrap_or(1);
        let there = [stride(0), stride(1), stride(2)];
        let size = [window.rows.len(), window.columns.len(), channels];
        let here = [size[1] * size[2], size[2], 1];
        let first = window.rows.start as u64 * there[0] + window.columns.start as u64 * there[1];
        window.images.clone().map(move |image| {
            let place = self.axes.place(image);
            let leading: u64 = place.iter().zip(&self.strides).map(|(n, s)| *n as u64 * s).sum();
            Part { start: leading + first, size, there, here }
        })
    }

    /// Calls `work` with where each run of neighbours begins in the file, and in the window's numbers, how many it
    /// has and how far apart they are there.
    fn runs(
        part: &Part,
        mut work: impl FnMut(u64, usize, usize, usize) -> io::Result<()>,
    ) -> io::Result<()> {
        let Part { start, size, there, here } = part;
        // Whole pixels follow one another, and perhaps whole rows.
        if there[2] == 1 && there[1] == size[2] as u64 {
            let row = size[1] * size[2];
            if there[0] == row as u64 || size[0] == 1 {
                return work(*start, 0, size[0] * row, 1);
            }
            return (0..size[0])
                .try_for_each(|r| work(start + r as u64 * there[0], r * row, row, 1));
        }
        let fast = (0..3).rev().find(|axis| there[*axis] == 1 && size[*axis] > 1).unwrap_or(2);
        let (a, b) = [(1, 2), (0, 2), (0, 1)][fast];
        for i in 0..size[a] {
            for j in 0..size[b] {
                let from = start + i as u64 * there[a] + j as u64 * there[b];
                let to = i * here[a] + j * here[b];
                if there[fast] == 1 {
                    work(from, to, size[fast], here[fast])?;
                } else {
                    // Nothing has a neighbour.
                    for k in 0..size[fast] {
                        work(from + k as u64 * there[fast], to + k * here[fast], 1, 1)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads a window as elements in this machine's order of bytes.
    pub(super) fn read(&self, window: &Window, to: &mut [u8]) -> io::Result<()> {
        let bytes = self.sample.bytes();
        let image = to.len() / window.images.len().max(1);
        let mut run = Vec::new();
        for (part, to) in self.parts(window).zip(to.chunks_exact_mut(image.max(1))) {
            Self::runs(&part, |at, place, count, step| {
                let at = self.offset + at * bytes as u64;
                if step == 1 {
                    return positioned::read(
                        &self.file,
                        at,
                        &mut to[place * bytes..][..count * bytes],
                    );
                }
                memory::resize(RUN, &mut run, count * bytes, 0)?;
                positioned::read(&self.file, at, &mut run)?;
                for (k, from) in run.chunks_exact(bytes).enumerate() {
                    to[(place + k * step) * bytes..][..bytes].copy_from_slice(from);
                }
                Ok(())
            })?;
        }
        self.sample.decode(self.foreign, to);
        Ok(())
    }

    /// Writes a window of elements.
    pub(super) fn write(&self, window: &Window, from: &[u8]) -> io::Result<()> {
        let bytes = self.sample.bytes();
        let image = from.len() / window.images.len().max(1);
        let mut run = Vec::new();
        for (part, from) in self.parts(window).zip(from.chunks_exact(image.max(1))) {
            Self::runs(&part, |at, place, count, step| {
                let at = self.offset + at * bytes as u64;
                if step == 1 && !self.foreign {
                    return positioned::write(
                        &self.file,
                        at,
                        &from[place * bytes..][..count * bytes],
                    );
                }
                run.clear();
                memory::reserve(RUN, &mut run, count * bytes)?;
                for k in 0..count {
                    run.extend_from_slice(&from[(place + k * step) * bytes..][..bytes]);
                }
                swap(self.foreign, bytes, &mut run);
                positioned::write(&self.file, at, &run)
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Layout;

    /// Every order of three and four axes, either order of bytes, windows of any size: what was written is read, where
    /// it belongs.
    #[test]
    fn windows_in_any_order_of_axes() {
        let orders3 = [[2, 1, 0], [1, 0, 2], [1, 2, 0], [0, 1, 2]].map(|o| o.to_vec());
        let orders4 = [[3, 2, 1, 0], [0, 1, 2, 3], [2, 1, 3, 0], [2, 3, 1, 0]].map(|o| o.to_vec());
        for (dims, orders) in [(vec![6, 7, 3], orders3), (vec![2, 6, 7, 3], orders4)] {
            for (order, foreign) in orders.iter().flat_map(|o| [false, true].map(|f| (o, f))) {
                for layout in [Layout::Nhwc, Layout::Nchw] {
                    let axes = Axes::new(&dims, layout).unwrap();
                    let element = ElementType::U16;
                    let kind = (Sample::Plain(element), foreign);
                    let file = tempfile::tempfile().unwrap();
                    let raw = Raw::ordered(file, 10, kind, axes.clone(), order);
                    let whole = Window::new(0..axes.images(), 0..axes.rows(), 0..axes.columns());
                    let len: usize = dims.iter().product();
                    let all: Vec<u16> = (0..len as u16).map(|n| n * 257 + 3).collect();
                    raw.write(&whole, bytemuck::cast_slice(&all)).unwrap();
                    assert_eq!(raw.file.metadata().unwrap().len(), 10 + 2 * len as u64);
                    // The first neighbour along the innermost axis.
                    let mut second = [0; 2];
                    positioned::read(&raw.file, 12, &mut second).unwrap();
                    let stride: usize = dims[order[0] + 1..].iter().product();
                    let want = all[stride].to_ne_bytes();
                    assert_eq!(second, if foreign { [want[1], want[0]] } else { want });

                    let channels = axes.channels();
                    for window in [
                        whole.clone(),
                        Window::new(0..1, 1..4, 0..axes.columns()),
                        Window::new(axes.images() - 1..axes.images(), 2..3, 1..3),
                        Window::new(0..axes.images(), 0..2, 2..3),
                    ] {
                        let places = window.images.clone().flat_map(|n| {
                            let columns = window.columns.clone();
                            window
                                .rows
                                .clone()
                                .flat_map(move |r| columns.clone().map(move |c| (n, r, c)))
                        });
                        let want: Vec<u16> = places
                            .flat_map(|(n, r, c)| {
                                let pixel = (n * axes.rows() + r) * axes.columns() + c;
                                &all[pixel * channels..(pixel + 1) * channels]
                            })
                            .copied()
                            .collect();
                        let mut got = vec![0u16; want.len()];
                        raw.read(&window, bytemuck::cast_slice_mut(&mut got)).unwrap();
                        assert_eq!(got, want, "{window} of {dims:?} in {order:?}, {foreign}");
                    }
                }
            }
        }
    }
}
