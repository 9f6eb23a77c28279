//! A part of a tensor.

use std::fmt;
use std::ops::Range;

/// Some images of a tensor, and of each some rows and columns, of all channels. All are counted from 0, and the end of
/// a range is not in it.
///
/// Images are those of the batch in [`Layout::Nhwc`](crate::Layout::Nhwc). In [`Layout::Nchw`](crate::Layout::Nchw)
/// each plane is one: channel `c` of the `n`-th of the batch is number `n * C + c`.
///
/// ```
/// use channelwise::Window;
/// let window = Window::new(0..1, 20..30, 0..640);
/// assert_eq!(window.size(), [1, 10, 640]);
/// assert_eq!(window.to_string(), "image 0, rows 20 to 29, columns 0 to 639");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Of the batch, or planes.
    pub images: Range<usize>,
    /// Of each.
    pub rows: Range<usize>,
    /// Of each.
    pub columns: Range<usize>,
}

impl Window {
    /// These images, rows and columns.
    #[must_use]
    pub fn new(images: Range<usize>, rows: Range<usize>, columns: Range<usize>) -> Self {
        Self { images, rows, columns }
    }

    /// The numbers of images, rows and columns.
    #[must_use]
    pub fn size(&self) -> [usize; 3] {
        [self.images.len(), self.rows.len(), self.columns.len()]
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let within = |a: &Range<usize>, b: &Range<usize>| a.start <= b.start && b.end <= a.end;
        within(&self.images, &other.images)
            && within(&self.rows, &other.rows)
            && within(&self.columns, &other.columns)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("image", &self.images), ("row", &self.rows), ("column", &self.columns)];
        for (number, (name, range)) in parts.into_iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            match range.len() {
                0 => write!(f, "{comma}no {name}s")?,
                1 => write!(f, "{comma}{name} {}", range.start)?,
                _ => write!(f, "{comma}{name}s {} to {}", range.start, range.end - 1)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_it() {
        let all = Window::new(0..2, 3..9, 1..5);
        assert!(all.contains(&all) && all.contains(&Window::new(1..2, 3..4, 4..5)));
        for other in [
            Window::new(0..3, 3..9, 1..5),
            Window::new(0..2, 2..9, 1..5),
            Window::new(0..2, 3..9, 1..6),
        ] {
            assert!(!all.contains(&other), "{other}");
        }
        assert_eq!(Window::new(0..2, 3..3, 4..5).to_string(), "images 0 to 1, no rows, column 4");
    }
}
