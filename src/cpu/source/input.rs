//! Input tensors by their rows, which follow one another or lie apart.

use crate::Element;
use crate::Problem;

/// An input tensor, as bytes of whole elements.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input<'a> {
    /// All of it without gaps.
    Whole(&'a [u8]),
    /// Its rows in order, wherever they lie: those of a part of a larger image, say.
    Rows(&'a [&'a [u8]]),
}

/// One image of it.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Image<'a> {
    input: Input<'a>,
    /// Elements of a row.
    row: usize,
}

impl<'a> Image<'a> {
    /// Image number `image`.
    pub fn new(problem: &Problem, input: Input<'a>, image: usize) -> Self {
        let g = problem.geometry();
        let input = match input {
            Input::Whole(all) => {
                let bytes = g.image() * problem.input_type().bytes();
                Input::Whole(&all[image * bytes..(image + 1) * bytes])
            }
            Input::Rows(all) => {
                let rows = g.height * g.planes();
                Input::Rows(&all[image * rows..(image + 1) * rows])
            }
        };
        Self { input, row: g.row() }
    }

    /// A row, of `T`, which is the type of its elements. Planes follow one another.
    #[inline(always)]
    pub fn row<T: Element>(&self, row: usize) -> &'a [T] {
        match self.input {
            Input::Whole(all) => {
                &bytemuck::cast_slice::<u8, T>(all)[row * self.row..(row + 1) * self.row]
            }
            Input::Rows(rows) => bytemuck::cast_slice(rows[row]),
        }
    }

    /// The same, and what lies behind it in one piece: what is copied in vectors may go on.
    #[inline(always)]
    pub fn on_from_row<T: Element>(&self, row: usize) -> &'a [T] {
        match self.input {
            Input::Whole(all) => &bytemuck::cast_slice::<u8, T>(all)[row * self.row..],
            Input::Rows(rows) => bytemuck::cast_slice(rows[row]),
        }
    }
}
