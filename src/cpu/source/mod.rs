//! Where rows of input come from: read where they lie ([`Interior`]), or converted and continued by the
//! border to both sides ([`Lines`]), of which a [`Window`] of rows slides over the image.

mod interior;
mod lines;
mod window;

pub(super) use interior::Interior;
pub(super) use lines::Lines;
pub(super) use window::Window;

use crate::Problem;

/// One image of an input tensor.
pub(super) fn image<'a>(problem: &Problem, src: &'a [u8], image: usize) -> &'a [u8] {
    let bytes = problem.geometry().image() * problem.input_type().bytes();
    &src[image * bytes..(image + 1) * bytes]
}

/// A list emptied, for other lines: its memory stays.
pub(super) fn recycled<'b, T>(mut lines: Vec<&[T]>) -> Vec<&'b [T]> {
    lines.clear();
    lines.into_iter().map(|_| Default::default()).collect()
}
