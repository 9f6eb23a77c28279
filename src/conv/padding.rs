//! Places where the kernel reaches beyond the input.

/// How far the output reaches beyond the places where the kernel lies wholly inside the input.
///
/// ```
/// use channelwise::{Conv2d, ElementType, Kernel, Padding, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::box_blur(3, 5)?);
/// let size = |padding| -> channelwise::Result<Vec<usize>> {
///     let conv = conv.clone().padding(padding);
///     let problem = Problem::new(&conv, [10, 20], ElementType::F32, ElementType::F32)?;
///     Ok(problem.output_shape().dims().to_vec())
/// };
/// assert_eq!(size(Padding::Valid)?, [8, 16]);
/// assert_eq!(size(Padding::Same)?, [10, 20]);
/// assert_eq!(size(Padding::Full)?, [12, 24]);
/// assert_eq!(size(Padding::Explicit { top: 1, bottom: 0, left: 0, right: 0 })?, [9, 16]);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Padding {
    /// None: `out = (n - extent) / stride + 1`, with `extent = (k - 1) * dilation + 1`.
    Valid,
    /// TensorFlow's: `out = ceil(n / stride)`; of the padding that needs,
    /// `max((out - 1) * stride + extent - n, 0)`, the smaller half goes before. With
    /// [`Conv2d::anchor`](crate::Conv2d::anchor), the anchor says how much goes before.
    #[default]
    Same,
    /// Every place where kernel and input touch: `extent - 1` on all sides.
    Full,
    /// As many rows and columns as given.
    Explicit {
        /// Rows above.
        top: usize,
        /// Rows below.
        bottom: usize,
        /// Columns to the left.
        left: usize,
        /// Columns to the right.
        right: usize,
    },
}

impl Padding {
    /// The same number of rows and columns on all sides, PyTorch's `padding=n`.
    #[must_use]
    pub fn all(n: usize) -> Self {
        Self::Explicit { top: n, bottom: n, left: n, right: n }
    }
}
