//! The axes of a stored array, as images of rows and columns.

use std::ops::Range;

use crate::{Layout, Shape, Window};

/// Any number of leading axes, which are those of images; then `[height, width]`, and the channels of a layout in
/// which they come last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axes {
    dims: Vec<usize>,
    /// How many lead.
    leading: usize,
    layout: Layout,
}

impl Axes {
    /// `None` where there are less than two.
    pub(super) fn new(dims: &[usize], layout: Layout) -> Option<Self> {
        let own = match (layout, dims.len()) {
            (_, ..2) => return None,
            (Layout::Nchw, _) | (_, 2) => 2,
            (Layout::Nhwc, _) => 3,
        };
        Some(Self { dims: dims.to_vec(), leading: dims.len() - own, layout })
    }

    pub(super) fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The axis of rows; that of columns follows, and that of channels may.
    pub(super) fn rows_axis(&self) -> usize {
        self.leading
    }

    pub(super) fn rows(&self) -> usize {
        self.dims[self.leading]
    }

    pub(super) fn columns(&self) -> usize {
        self.dims[self.leading + 1]
    }

    pub(super) fn channels(&self) -> usize {
        self.dims.get(self.leading + 2).copied().unwrap_or(1)
    }

    pub(super) fn images(&self) -> usize {
        self.dims[..self.leading].iter().product()
    }

    /// As a tensor of at most four axes: those that are more are one.
    pub(super) fn shape(&self) -> Shape {
        let of_four = match self.layout {
            Layout::Nhwc => [self.images(), self.rows(), self.columns(), self.channels()],
            Layout::Nchw => [self.images(), 1, self.rows(), self.columns()],
        };
        Shape::from_dims(&self.dims).unwrap_or(of_four.into())
    }

    /// Those of an output of this shape, which was made of an array with these.
    pub(super) fn of_output(&self, shape: Shape) -> Self {
        let [_, rows, columns, channels] = shape.to_nhwc(self.layout);
        if self.dims.len() <= 4 {
            let dims = shape.dims().to_vec();
            return Self { leading: self.leading + dims.len() - self.dims.len(), dims, ..*self };
        }
        let mut dims = self.dims.clone();
        (dims[self.leading], dims[self.leading + 1]) = (rows, columns);
        match self.layout {
            Layout::Nhwc => dims[self.leading + 2] = channels,
            // Each plane gave so many.
            Layout::Nchw => dims[self.leading - 1] *= channels,
        }
        Self { dims, ..*self }
    }

    /// Where an image lies along the leading axes.
    pub(super) fn place(&self, image: usize) -> Vec<usize> {
        let mut place = vec![0; self.leading];
        let mut rest = image;
        for (at, size) in place.iter_mut().zip(&self.dims).rev() {
            (*at, rest) = (rest % size.max(&1), rest / size.max(&1));
        }
        place
    }

    /// The ranges along all axes that a window is, one after the other: images that follow one another along the last
    /// leading axis are in one.
    pub(super) fn boxes(&self, window: &Window) -> Vec<Vec<Range<usize>>> {
        let mut boxes: Vec<Vec<Range<usize>>> = Vec::new();
        for image in window.images.clone() {
            let place = self.place(image);
            if let Some((last, outer)) = place.split_last()
                && let Some(open) = boxes.last_mut()
                && open[self.leading - 1].end == *last
                && open.iter().zip(outer).all(|(range, at)| range.start == *at)
            {
                open[self.leading - 1].end += 1;
                continue;
            }
            let mut ranges: Vec<_> = place.into_iter().map(|at| at..at + 1).collect();
            ranges.extend([window.rows.clone(), window.columns.clone()]);
            ranges.extend(self.dims.get(self.leading + 2).map(|channels| 0..*channels));
            boxes.push(ranges);
        }
        boxes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_images_of_rows() {
        let axes = |dims: &[usize], layout| Axes::new(dims, layout).unwrap();
        let cube = axes(&[2, 3, 40, 50], Layout::Nchw);
        assert_eq!((cube.images(), cube.rows(), cube.columns(), cube.channels()), (6, 40, 50, 1));
        let window = Window::new(1..5, 10..20, 0..50);
        let at = |planes: Range<usize>, n: usize| vec![n..n + 1, planes, 10..20, 0..50];
        assert_eq!(cube.boxes(&window), [at(1..3, 0), at(0..2, 1)]);
        let batch = axes(&[5, 40, 50, 3], Layout::Nhwc);
        let boxes = batch.boxes(&Window::new(2..4, 0..1, 7..9));
        assert_eq!(boxes, [vec![2..4, 0..1, 7..9, 0..3]]);
        let map = axes(&[40, 50], Layout::Nhwc);
        assert_eq!(map.boxes(&Window::new(0..1, 0..9, 0..50)), [vec![0..9, 0..50]]);
        // More than four.
        let ome = axes(&[2, 3, 4, 40, 50], Layout::Nchw);
        assert_eq!(ome.shape(), Shape::from([24, 1, 40, 50]));
        assert_eq!(ome.of_output([24, 2, 38, 48].into()).dims(), [2, 3, 8, 38, 48]);
        assert_eq!(map.of_output([38, 48].into()).dims(), [38, 48]);
        assert_eq!(batch.of_output([5, 38, 48, 6].into()).dims(), [5, 38, 48, 6]);
        assert!(Axes::new(&[4], Layout::Nhwc).is_none());
    }
}
