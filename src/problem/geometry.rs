//! The sizes every engine works with.

/// The sizes every engine works with.
///
/// `Nchw` is the same operation on `batch * channels` images of one channel, whose outputs lie in
/// planes of their own; so the engines know images of interleaved channels and [`Geometry::planar`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Geometry {
    pub images: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// Scalars of input for each channel, which the adjoint sums over; 1 otherwise.
    pub inputs: usize,
    pub out_height: usize,
    pub out_width: usize,
    /// Outputs per channel, after the pointwise step.
    pub outputs: usize,
    /// Outputs (and inputs) of one image lie one plane after the other instead of interleaved.
    pub planar: bool,
    pub kernel: (usize, usize),
    pub stride: (usize, usize),
    pub dilation: (usize, usize),
    pub top: usize,
    pub left: usize,
}

impl Geometry {
    /// Scalars of an input pixel that lie together.
    pub fn pixel(&self) -> usize {
        self.channels * if self.planar { 1 } else { self.inputs }
    }

    /// Scalars in an input row.
    pub fn row(&self) -> usize {
        self.width * self.pixel()
    }

    /// Separate input planes of one image.
    pub fn planes(&self) -> usize {
        if self.planar { self.inputs } else { 1 }
    }

    /// Scalars in an input image.
    pub fn image(&self) -> usize {
        self.height * self.row() * self.planes()
    }

    /// Scalars of one image's output row that lie together: all outputs, or one plane's.
    pub fn out_row(&self) -> usize {
        let together = if self.planar { 1 } else { self.outputs };
        self.out_width * self.channels * together
    }

    /// Separate output planes of one image.
    pub fn out_planes(&self) -> usize {
        if self.planar { self.outputs } else { 1 }
    }

    /// Scalars in an image's output.
    pub fn out_image(&self) -> usize {
        self.out_height * self.out_row() * self.out_planes()
    }

    /// Rows and columns a dilated kernel spans.
    pub fn extent(&self) -> (usize, usize) {
        ((self.kernel.0 - 1) * self.dilation.0 + 1, (self.kernel.1 - 1) * self.dilation.1 + 1)
    }

    /// The input row (continued by the border) that tap row 0 of output row `r` meets.
    pub fn first_row(&self, r: usize) -> isize {
        (r * self.stride.0) as isize - self.top as isize
    }

    /// The input column (continued by the border) that tap column 0 of output column `q` meets.
    pub fn first_column(&self, q: usize) -> isize {
        (q * self.stride.1) as isize - self.left as isize
    }
}
