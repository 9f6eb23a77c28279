//! Layouts and shapes.

use std::fmt;

/// In which order the axes of a tensor lie in memory, outermost first.
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel, Layout};
/// use ndarray::{Array3, Axis};
/// # fn main() -> channelwise::Result<()> {
///
/// let blur = Conv2d::new(Kernel::box_blur(3, 3)?);
/// let x = Array3::<f32>::from_shape_fn((6, 7, 2), |(h, w, c)| (h + 2 * w + c) as f32);
/// let y = Engine::cpu().run(&blur, &x)?;
/// // The same picture with channels first.
/// let planes = x.permuted_axes([2, 0, 1]);
/// let blur = blur.layout(Layout::Nchw);
/// assert_eq!(Engine::cpu().run(&blur, &planes)?.index_axis(Axis(0), 1), y.index_axis(Axis(2), 1));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// `[batch, height, width, channels]`: TensorFlow, images. With three axes `[height, width,
    /// channels]`, with two `[height, width]`.
    #[default]
    Nhwc,
    /// `[batch, channels, height, width]`: PyTorch. With three axes `[channels, height, width]`,
    /// with two `[height, width]`.
    Nchw,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nhwc => "nhwc",
            Self::Nchw => "nchw",
        })
    }
}

/// The shape of a tensor of two to four axes; which axis is which, the [`Layout`] says.
///
/// ```
/// use channelwise::Shape;
/// let shape = Shape::from([1, 1080, 1920, 3]);
/// assert_eq!(shape.dims(), [1, 1080, 1920, 3]);
/// assert_eq!(shape.to_string(), "1x1080x1920x3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    rank: usize,
    dims: [usize; 4],
}

impl Shape {
    /// The sizes of the axes, outermost first.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    /// The shape with these sizes; `None` unless there are two to four of them.
    #[must_use]
    pub fn from_dims(dims: &[usize]) -> Option<Self> {
        match *dims {
            [h, w] => Some([h, w].into()),
            [a, b, c] => Some([a, b, c].into()),
            [a, b, c, d] => Some([a, b, c, d].into()),
            _ => None,
        }
    }

    /// As `[batch, height, width, channels]`, whatever the layout and the number of axes.
    #[must_use]
    pub fn to_nhwc(&self, layout: Layout) -> [usize; 4] {
        match (layout, self.dims()) {
            (_, &[h, w]) => [1, h, w, 1],
            (Layout::Nhwc, &[h, w, c]) | (Layout::Nchw, &[c, h, w]) => [1, h, w, c],
            (Layout::Nhwc, &[n, h, w, c]) | (Layout::Nchw, &[n, c, h, w]) => [n, h, w, c],
            // `rank` is 2, 3 or 4 by construction.
            _ => [0; 4],
        }
    }

    /// The shape of this number of axes for `[batch, height, width, channels]`; `None` if an axis
    /// it lacks would have to hold more than one element.
    #[must_use]
    pub fn with_nhwc(&self, layout: Layout, [n, h, w, c]: [usize; 4]) -> Option<Self> {
        match (self.rank, layout) {
            (2, _) if n == 1 && c == 1 => Some([h, w].into()),
            (3, Layout::Nhwc) if n == 1 => Some([h, w, c].into()),
            (3, Layout::Nchw) if n == 1 => Some([c, h, w].into()),
            (4, Layout::Nhwc) => Some([n, h, w, c].into()),
            (4, Layout::Nchw) => Some([n, c, h, w].into()),
            _ => None,
        }
    }

    /// The number of elements, if it can be counted.
    #[must_use]
    pub fn elements(&self) -> Option<usize> {
        // An axis of size 0 makes the product 0 even where the others overflow.
        if self.dims().contains(&0) {
            return Some(0);
        }
        self.dims().iter().try_fold(1usize, |product, n| product.checked_mul(*n))
    }
}

impl From<[usize; 2]> for Shape {
    fn from([h, w]: [usize; 2]) -> Self {
        Self { rank: 2, dims: [h, w, 0, 0] }
    }
}

impl From<[usize; 3]> for Shape {
    fn from([a, b, c]: [usize; 3]) -> Self {
        Self { rank: 3, dims: [a, b, c, 0] }
    }
}

impl From<[usize; 4]> for Shape {
    fn from(dims: [usize; 4]) -> Self {
        Self { rank: 4, dims }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, n) in self.dims().iter().enumerate() {
            if i > 0 {
                f.write_str("x")?;
            }
            write!(f, "{n}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for layout in [Layout::Nhwc, Layout::Nchw] {
            for dims in [&[4, 5][..], &[4, 5, 6], &[3, 4, 5, 6]] {
                let shape = Shape::from_dims(dims).unwrap();
                assert_eq!(shape.with_nhwc(layout, shape.to_nhwc(layout)), Some(shape));
            }
        }
        assert_eq!(Shape::from_dims(&[1]), None);
        assert_eq!(Shape::from([4, 5]).with_nhwc(Layout::Nhwc, [1, 4, 5, 2]), None);
        assert_eq!(Shape::from([2, usize::MAX, 0, 9]).elements(), Some(0));
        assert_eq!(Shape::from([2, usize::MAX, 1, 9]).elements(), None);
    }
}
