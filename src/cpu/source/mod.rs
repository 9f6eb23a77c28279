//! Where rows of input come from: read where they lie ([`Interior`]), or converted and continued by the
//! border to both sides ([`Lines`]), of which a [`Window`] of rows slides over the image.

mod input;
mod interior;
mod lines;
mod window;

use crate::memory::{self, NoRoom};
pub(super) use input::Image;
pub(crate) use input::Input;
pub(super) use interior::Interior;
pub(super) use lines::Lines;
pub(crate) use lines::Scalars;
pub(super) use window::Window;

/// A list for something of each of so many lines.
pub(super) fn list<T>(lines: usize) -> Result<Vec<T>, NoRoom> {
    memory::with_capacity("a list of lines", lines)
}

/// A list emptied, for other lines: its memory stays.
pub(super) fn recycled<'b, T>(mut lines: Vec<&[T]>) -> Vec<&'b [T]> {
    lines.clear();
    lines.into_iter().map(|_| Default::default()).collect()
}
