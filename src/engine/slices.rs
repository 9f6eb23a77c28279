//! Tensors in plain slices: without gaps, or with rows and planes that lie apart.

use super::arrays::{LONG_ROW, room_for_rows, zeroed};
use super::prepared::Prepared;
use super::ready::Timings;
use crate::cpu::Input;
#[cfg(not(target_arch = "wasm32"))]
use crate::wait::block_on;
use crate::wait::{Clock, Wait};
use crate::{Element, ElementType, Error, Layout, Result, Shape};

/// A tensor in a slice whose rows need not follow one another: a part of a larger image, or rows that are
/// padded to an alignment. All distances are in elements.
///
/// A row is what lies together along the width: `width * channels` elements of
/// [`Layout::Nhwc`](crate::Layout::Nhwc), `width` of [`Layout::Nchw`](crate::Layout::Nchw). Rows make planes:
/// those of an image, or of a channel of it. The slice begins with the first element of the tensor.
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel, Pitched};
/// # fn main() -> channelwise::Result<()> {
/// // 30 x 20 pixels of a photo, from row 10 and column 40, into the same place of another.
/// let (height, width, channels) = (60, 80, 3);
/// let photo = vec![100u8; height * width * channels];
/// let mut sharp = vec![0u8; photo.len()];
/// let pitch = width * channels;
/// let start = 10 * pitch + 40 * channels;
/// let sharpen = Engine::cpu().prepare::<u8, u8>(&Conv2d::new(Kernel::sharpen()), [30, 20, channels])?;
/// sharpen.run_pitched(
///     Pitched::new(&photo[start..], pitch),
///     Pitched::new(&mut sharp[start..], pitch),
/// )?;
/// assert_eq!(sharp[start + 5 * pitch + 5 * channels], 100);
/// assert_eq!(sharp[start - 1], 0);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pitched<S> {
    data: S,
    row: usize,
    plane: Option<usize>,
}

impl<S> Pitched<S> {
    /// Rows that begin `row_pitch` elements apart. Planes follow one another as if they were rows.
    #[must_use]
    pub fn new(data: S, row_pitch: usize) -> Self {
        Self { data, row: row_pitch, plane: None }
    }

    /// The same with planes that begin `plane_pitch` elements apart, each behind all rows of the one before: the
    /// same part of several images.
    #[must_use]
    pub fn plane_pitch(self, plane_pitch: usize) -> Self {
        Self { plane: Some(plane_pitch), ..self }
    }

    pub(super) fn into_data(self) -> S {
        self.data
    }

    /// Elements from one plane to the next.
    fn plane(&self, grid: &Grid) -> usize {
        self.plane.unwrap_or_else(|| self.row.saturating_mul(grid.rows))
    }

    pub(super) fn is_whole(&self, grid: &Grid) -> bool {
        let apart = grid.planes > 1 && self.plane(grid) != grid.rows * grid.row;
        (self.row == grid.row || grid.planes * grid.rows <= 1) && !apart
    }

    /// Where its rows begin, in order.
    pub(super) fn rows(&self, grid: &Grid) -> impl Iterator<Item = usize> + use<S> {
        let (row, plane, rows) = (self.row, self.plane(grid), grid.rows);
        (0..grid.planes).flat_map(move |p| (0..rows).map(move |r| p * plane + r * row))
    }

    /// Refuses rows or planes that overlap, and a slice of `len` elements that ends before the tensor does.
    fn check(&self, end: &End, len: usize, grid: &Grid) -> Result<()> {
        if grid.len() == 0 {
            return Ok(());
        }
        if self.row < grid.row {
            let limit = format!("a row has {} elements", grid.row);
            return Err(Error::argument(end.row_pitch, self.row, limit));
        }
        let reach = (grid.rows - 1).saturating_mul(self.row).saturating_add(grid.row);
        let plane = self.plane(grid);
        if grid.planes > 1 && plane < reach {
            let limit = format!("the rows of a plane take {reach} elements");
            return Err(Error::argument(end.plane_pitch, plane, limit));
        }
        let needed = (grid.planes - 1).saturating_mul(plane).saturating_add(reach);
        if len < needed {
            let (expected, found) = (vec![needed], vec![len]);
            return Err(Error::ShapeMismatch { what: end.what, expected, found });
        }
        Ok(())
    }
}

impl<'a, T: Element> Pitched<&'a [T]> {
    /// The same as bytes.
    pub(super) fn bytes(self) -> Pitched<&'a [u8]> {
        let size = T::TYPE.bytes();
        let plane = self.plane.map(|plane| plane.saturating_mul(size));
        let data = bytemuck::cast_slice(self.data);
        Pitched { data, row: self.row.saturating_mul(size), plane }
    }
}

impl<'a, T: Element> Pitched<&'a mut [T]> {
    /// The same as bytes.
    pub(super) fn bytes_mut(self) -> Pitched<&'a mut [u8]> {
        let size = T::TYPE.bytes();
        let plane = self.plane.map(|plane| plane.saturating_mul(size));
        let data = bytemuck::cast_slice_mut(self.data);
        Pitched { data, row: self.row.saturating_mul(size), plane }
    }
}

impl<'a, T> Pitched<&'a [T]> {
    pub(super) fn data(&self) -> &'a [T] {
        self.data
    }

    pub(super) fn check_input(&self, grid: &Grid) -> Result<()> {
        self.check(&INPUT, self.data.len(), grid)
    }
}

impl<T> Pitched<&mut [T]> {
    pub(super) fn check_output(&self, grid: &Grid) -> Result<()> {
        self.check(&OUTPUT, self.data.len(), grid)
    }
}

/// What errors call the ends of a call.
struct End {
    what: &'static str,
    row_pitch: &'static str,
    plane_pitch: &'static str,
}

const INPUT: End = End {
    what: "input",
    row_pitch: "row pitch of the input",
    plane_pitch: "plane pitch of the input",
};
const OUTPUT: End = End {
    what: "output",
    row_pitch: "row pitch of the output",
    plane_pitch: "plane pitch of the output",
};

/// A tensor as planes of rows.
pub(super) struct Grid {
    pub planes: usize,
    pub rows: usize,
    /// Elements of a row.
    pub row: usize,
}

impl Grid {
    pub fn of(shape: Shape, layout: Layout) -> Self {
        let [n, h, w, c] = shape.to_nhwc(layout);
        match layout {
            Layout::Nhwc => Self { planes: n, rows: h, row: w * c },
            Layout::Nchw => Self { planes: n * c, rows: h, row: w },
        }
    }

    pub fn len(&self) -> usize {
        self.planes * self.rows * self.row
    }

    /// The same with rows in bytes.
    pub fn in_bytes(self, element: ElementType) -> Self {
        Self { row: self.row * element.bytes(), ..self }
    }
}

fn check_len(end: &End, shape: Shape, len: usize) -> Result<()> {
    if shape.elements() == Some(len) {
        return Ok(());
    }
    let (expected, found) = (shape.dims().to_vec(), vec![len]);
    Err(Error::ShapeMismatch { what: end.what, expected, found })
}

impl<T: Element, U: Element> Prepared<T, U> {
    /// Computes from a slice into another: whole tensors without gaps, in the shapes of
    /// [`Prepared::problem`].
    ///
    /// ```
    /// use channelwise::{Conv2d, Engine, Kernel};
    /// # fn main() -> channelwise::Result<()> {
    /// let edges = Engine::cpu().prepare::<u8, f32>(&Conv2d::new(Kernel::laplacian4()), [4, 5, 3])?;
    /// let (frame, mut found) = ([7; 4 * 5 * 3], [f32::NAN; 4 * 5 * 3]);
    /// edges.run_slices(&frame, &mut found)?;
    /// // A pixel in the middle.
    /// assert_eq!(found[(5 + 1) * 3], 0.0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] where a slice has not as many elements as its shape;
    /// [`Error::OutOfMemory`]; what the device runs into.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_slices(&self, src: &[T], dst: &mut [U]) -> Result<()> {
        block_on(self.whole(src, dst, Wait::Here, false)).map(drop)
    }

    /// [`Prepared::run_slices`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_slices_async(&self, src: &[T], dst: &mut [U]) -> Result<()> {
        self.whole(src, dst, Wait::Elsewhere, false).await.map(drop)
    }

    /// Computes from slices whose rows may lie apart into others. What lies between the rows of `dst` is left
    /// as it is; slices may be longer than the tensors.
    ///
    /// A CPU reads rows of 256 bytes and more where they lie. An output that has gaps, and on a GPU an input as
    /// well, is copied row by row, at the speed of memory and with room for one tensor more; so are inputs of
    /// shorter rows and of many small images.
    ///
    /// # Errors
    /// [`Error::Argument`] where rows would overlap, or a plane begin before the one before it ends;
    /// [`Error::ShapeMismatch`] where a slice ends before its tensor does; those of [`Prepared::run_slices`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_pitched(&self, src: Pitched<&[T]>, dst: Pitched<&mut [U]>) -> Result<()> {
        block_on(self.pitched(src, dst, Wait::Here))
    }

    /// [`Prepared::run_pitched`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_pitched_async(
        &self,
        src: Pitched<&[T]>,
        dst: Pitched<&mut [U]>,
    ) -> Result<()> {
        self.pitched(src, dst, Wait::Elsewhere).await
    }

    async fn whole(&self, src: &[T], dst: &mut [U], wait: Wait, measured: bool) -> Result<Timings> {
        check_len(&INPUT, self.problem().input_shape(), src.len())?;
        self.slices(Input::Whole(bytemuck::cast_slice(src)), dst, wait, measured).await
    }

    /// Every call ends here. `src` is an input that was checked.
    pub(super) async fn slices(
        &self,
        src: Input<'_>,
        dst: &mut [U],
        wait: Wait,
        measured: bool,
    ) -> Result<Timings> {
        let mut clock = Clock::start();
        check_len(&OUTPUT, self.problem().output_shape(), dst.len())?;
        let mut timings =
            self.ready.run(src, bytemuck::cast_slice_mut(dst), wait, measured).await?;
        timings.total = clock.lap();
        Ok(timings)
    }

    /// The rows of an input that is read where it lies.
    fn rows_of<'a>(&self, src: &Pitched<&'a [T]>, grid: &Grid) -> Option<Vec<&'a [u8]>> {
        if grid.row * T::TYPE.bytes() < LONG_ROW || !self.ready.reads_rows() {
            return None;
        }
        let mut rows = room_for_rows(grid.planes * grid.rows)?;
        let row = |at: usize| bytemuck::cast_slice(&src.data[at..at + grid.row]);
        rows.extend(src.rows(grid).map(row));
        Some(rows)
    }

    async fn pitched(&self, src: Pitched<&[T]>, dst: Pitched<&mut [U]>, wait: Wait) -> Result<()> {
        let problem = self.problem();
        let layout = problem.conv().layout;
        let from = Grid::of(problem.input_shape(), layout);
        let to = Grid::of(problem.output_shape(), layout);
        src.check_input(&from)?;
        dst.check_output(&to)?;
        let (copy, rows);
        let src = if from.len() == 0 {
            Input::Whole(&[])
        } else if src.is_whole(&from) {
            Input::Whole(bytemuck::cast_slice(&src.data[..from.len()]))
        } else if let Some(found) = self.rows_of(&src, &from) {
            rows = found;
            Input::Rows(&rows)
        } else {
            let mut made = zeroed("a copy of the input", from.len())?;
            for (row, at) in made.chunks_exact_mut(from.row).zip(src.rows(&from)) {
                row.copy_from_slice(&src.data[at..at + from.row]);
            }
            copy = made;
            Input::Whole(bytemuck::cast_slice(&copy))
        };
        match to.len() {
            0 => self.slices(src, &mut [], wait, false).await?,
            len if dst.is_whole(&to) => self.slices(src, &mut dst.data[..len], wait, false).await?,
            len => {
                let mut made = zeroed("a copy of the output", len)?;
                let timings = self.slices(src, &mut made, wait, false).await?;
                for (row, at) in made.chunks_exact(to.row).zip(dst.rows(&to)) {
                    dst.data[at..at + to.row].copy_from_slice(row);
                }
                timings
            }
        };
        Ok(())
    }
}
