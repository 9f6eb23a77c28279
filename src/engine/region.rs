//! A part of the output alone.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array, ArrayRef};

use super::arrays::{
    Axes, LONG_ROW, in_order, mismatch, of_shape, room_for_rows, shape_of, zeroed,
};
use super::masked::{finite, is_own};
use super::prepared::Prepared;
use super::ready::Ready;
use super::slices::{Grid, Pitched};
use crate::cpu::{Elements, Input, Mask};
use crate::plan::{Plan, widened};
use crate::problem::{self, Source};
use crate::wait::Wait;
#[cfg(not(target_arch = "wasm32"))]
use crate::wait::block_on;
use crate::{Element, Result, Shape, Window};

/// Some rows and columns of the output of a prepared problem, of all images and channels, made ready:
/// [`Prepared::region`].
///
/// It reads the part of the input that it needs and nothing else; beyond that part's edges are the true neighbours,
/// and beyond those of the input the border.
#[derive(Clone, Debug)]
pub struct Region<T, U> {
    /// The input of the whole.
    input: Shape,
    region: Arc<problem::Region>,
    part: Prepared<T, U>,
    output: Shape,
}

impl<T: Element, U: Element> Prepared<T, U> {
    /// Makes a part of the output ready: some of its rows and columns, counted from 0, of all images and channels.
    ///
    /// What it gives is equal to that part of the whole output, to the bit on the CPU. A GPU gives the same where it
    /// takes no `fft`, whose parts are within its bound. Of an adjoint there are no regions.
    ///
    /// ```
    /// use channelwise::{Border, Conv2d, Engine, Kernel};
    /// use ndarray::{Array3, s};
    /// # fn main() -> channelwise::Result<()> {
    /// let map = Array3::from_shape_fn((40, 60, 2), |(h, w, c)| (h * w + c) as f32);
    /// let blur = Conv2d::new(Kernel::gaussian(7, 1.5)?).border((Border::Replicate, Border::Wrap));
    /// let blur = Engine::cpu().prepare::<f32, f32>(&blur, [40, 60, 2])?;
    /// let corner = blur.region(30..40, 0..20)?.run(&map)?;
    /// assert_eq!(corner, blur.run(&map)?.slice(s![30.., ..20, ..]));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) where it is empty, or not within the output, or of an adjoint;
    /// those of [`Engine::prepare`](crate::Engine::prepare).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn region(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Region<T, U>> {
        block_on(self.part(rows, columns, Wait::HERE))
    }

    /// [`Prepared::region`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn region_async(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<Region<T, U>> {
        self.part(rows, columns, Wait::Elsewhere).await
    }

    /// Computes a part of the output: [`Prepared::region`] and [`Region::run`] at once.
    ///
    /// # Errors
    /// Those of both.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_region<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<Array<U, D>> {
        self.region(rows, columns)?.run(input)
    }

    async fn part(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        wait: Wait,
    ) -> Result<Region<T, U>> {
        let images = self.problem().everything().images;
        self.window(&Window::new(images, rows, columns), wait).await
    }

    /// Makes some images of a part of the output ready.
    async fn window(&self, window: &Window, wait: Wait) -> Result<Region<T, U>> {
        let region = self.widened(window)?;
        let ready = self.ready.part(region.problem.clone(), wait).await?;
        Ok(self.of_part(window, region, Arc::new(ready)))
    }

    /// What a part of the output is made from, such that its bits are those of the whole.
    ///
    /// # Errors
    /// As [`Prepared::region`].
    pub(crate) fn widened(&self, window: &Window) -> Result<problem::Region> {
        let whole = self.problem();
        // What is wrong with it is told of what was asked for.
        whole.region(window, (1, 1))?;
        let g = whole.geometry();
        let (down, across) = self.plan().grain(whole);
        let wide = Window {
            images: window.images.clone(),
            rows: widened(&window.rows, down, g.out_height),
            columns: widened(&window.columns, across, g.out_width),
        };
        let mut region = whole.region(&wide, (down, across))?;
        let inside = |taken: &mut Range<usize>, wide: &Range<usize>, wanted: &Range<usize>| {
            let start = taken.start + (wanted.start - wide.start);
            *taken = start..start + wanted.len();
        };
        inside(&mut region.taken.0, &wide.rows, &window.rows);
        inside(&mut region.taken.1, &wide.columns, &window.columns);
        Ok(region)
    }

    /// Of what was made ready for it.
    pub(super) fn of_part(
        &self,
        window: &Window,
        region: problem::Region,
        ready: Arc<Ready>,
    ) -> Region<T, U> {
        let part = Prepared { ready, types: PhantomData };
        let output = self.problem().window_shape(window);
        Region { input: self.problem().input_shape(), region: Arc::new(region), part, output }
    }
}

/// Where the rows of a whole input lie.
enum Rows<'a, T> {
    Pitched(Pitched<&'a [T]>),
    /// One after the other.
    Listed(Vec<&'a [T]>),
}

impl<'a, T> Rows<'a, T> {
    /// Those of a whole tensor.
    fn whole(all: &'a [T], grid: &Grid) -> Self {
        Self::Pitched(Pitched::new(all, grid.row))
    }
}

/// Rows one behind the other.
fn joined<X: Element>(rows: &[Cow<'_, [X]>]) -> Result<Vec<X>> {
    let len = rows.iter().map(|row| row.len()).sum();
    let mut all = zeroed("a copy of the input", len)?;
    let mut at = 0;
    for row in rows {
        all[at..at + row.len()].copy_from_slice(row);
        at += row.len();
    }
    Ok(all)
}

impl<T: Element, U: Element> Region<T, U> {
    /// Shape of what it gives.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.output
    }

    /// How it is computed.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.part.plan()
    }

    /// The first and the end of the rows of the input that it reads, and of the columns.
    #[must_use]
    pub fn source(&self) -> (Range<usize>, Range<usize>) {
        let hull = |source: &Source| {
            let (mut first, mut end) = (usize::MAX, 0);
            for at in source.each() {
                (first, end) = (first.min(at), end.max(at + 1));
            }
            first.min(end)..end
        };
        (hull(&self.region.rows), hull(&self.region.columns))
    }

    /// Computes it from the whole input into a new array.
    ///
    /// # Errors
    /// Those of [`Prepared::run`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run<D: Axes>(&self, input: &ArrayRef<T, D>) -> Result<Array<U, D>> {
        block_on(self.run_new(input, Wait::Here))
    }

    /// [`Region::run`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_async<D: Axes>(&self, input: &ArrayRef<T, D>) -> Result<Array<U, D>> {
        self.run_new(input, Wait::Elsewhere).await
    }

    /// Computes it of a [`normalized`](crate::Conv2d::normalized) convolution from the whole input and its weights,
    /// which are those of [`Prepared::run_masked`].
    ///
    /// ```
    /// use channelwise::{Border, Conv2d, Engine, Kernel};
    /// use ndarray::{Array2, s};
    /// # fn main() -> channelwise::Result<()> {
    /// let heights = Array2::from_shape_fn((40, 60), |(h, w)| (h * w) as f32);
    /// let known = heights.mapv(|z| u8::from(z as u32 % 7 != 0));
    /// let mean = Conv2d::new(Kernel::gaussian(7, 1.5)?).border(Border::Replicate).normalized();
    /// let mean = Engine::cpu().prepare::<f32, f32>(&mean, [40, 60])?;
    /// let corner = mean.region(30..40, 0..20)?.run_masked(&heights, &known)?;
    /// assert_eq!(corner, mean.run_masked(&heights, &known)?.slice(s![30.., ..20]));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Prepared::run_masked`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_masked<M: Element, D: Axes, E: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        mask: &ArrayRef<M, E>,
    ) -> Result<Array<U, D>> {
        block_on(self.new_masked(input, mask, Wait::Here))
    }

    /// [`Region::run_masked`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_masked_async<M: Element, D: Axes, E: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        mask: &ArrayRef<M, E>,
    ) -> Result<Array<U, D>> {
        self.new_masked(input, mask, Wait::Elsewhere).await
    }

    /// Computes it from the whole input, in a slice whose rows may lie apart, into such a slice of the region's shape:
    /// the same place of a larger output, say.
    ///
    /// # Errors
    /// Those of [`Prepared::run_pitched`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_pitched(&self, src: Pitched<&[T]>, dst: Pitched<&mut [U]>) -> Result<()> {
        block_on(self.pitched(src, dst, Wait::Here))
    }

    /// [`Region::run_pitched`] without blocking.
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

    async fn new_masked<M: Element, D: Axes, E: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        mask: &ArrayRef<M, E>,
        wait: Wait,
    ) -> Result<Array<U, D>> {
        let masked = self.part.ready.masked()?;
        if shape_of(input)? != self.input {
            return Err(mismatch("input", self.input, input.shape()));
        }
        let own = is_own(mask, self.input, self.layout())?;
        let mut output = of_shape("the output", self.output)?;
        let (mut copy, mut weights) = (None, None);
        let (values, grid) = (in_order(input, &mut copy)?, self.grid(self.input));
        let values = joined(&self.cut(&Rows::whole(values, &grid), &grid)?)?;
        let weights = in_order(mask, &mut weights)?;
        finite(weights)?;
        let grid = self.grid(shape_of(mask)?);
        let weights = joined(&self.cut(&Rows::whole(weights, &grid), &grid)?)?;
        let weights = Elements::of(&weights);
        let mask = if own { Mask::Own(weights) } else { Mask::Shared(weights) };
        let made = self.part.problem().output_len();
        let mut room = zeroed::<U>("the outputs beside a region", made)?;
        let (src, dst) = (bytemuck::cast_slice(&values), bytemuck::cast_slice_mut(&mut room));
        masked.run(src, mask, dst, wait).await?;
        let pitch = self.grid(self.output).row;
        self.take(&room, Pitched::new(output.as_slice_mut().unwrap_or_default(), pitch));
        Ok(output)
    }

    async fn run_new<D: Axes>(&self, input: &ArrayRef<T, D>, wait: Wait) -> Result<Array<U, D>> {
        if shape_of(input)? != self.input {
            return Err(mismatch("input", self.input, input.shape()));
        }
        let mut output = of_shape("the output", self.output)?;
        let grid = self.grid(self.input);
        let mut copy = None;
        let (found, rows);
        match (input.as_slice(), super::arrays::rows(input, self.layout())) {
            (None, Some(list)) => {
                found = list;
                let all = found.iter().map(|row| bytemuck::cast_slice(row)).collect();
                rows = Rows::Listed(all);
            }
            _ => rows = Rows::whole(in_order(input, &mut copy)?, &grid),
        }
        // A new array is in standard layout.
        let dst = output.as_slice_mut().unwrap_or_default();
        let pitch = self.grid(self.output).row;
        self.compute(&rows, Pitched::new(dst, pitch), wait).await?;
        Ok(output)
    }

    async fn pitched(&self, src: Pitched<&[T]>, dst: Pitched<&mut [U]>, wait: Wait) -> Result<()> {
        src.check_input(&self.grid(self.input))?;
        dst.check_output(&self.grid(self.output))?;
        self.compute(&Rows::Pitched(src), dst, wait).await
    }

    /// From ends that were checked.
    async fn compute(&self, rows: &Rows<'_, T>, dst: Pitched<&mut [U]>, wait: Wait) -> Result<()> {
        if self.grid(self.output).len() == 0 {
            return Ok(());
        }
        let from = self.cut(rows, &self.grid(self.input))?;
        self.of_rows(&from, dst, wait).await
    }

    /// From the rows of its own part of the input, and into a slice that was checked.
    pub(super) async fn of_rows(
        &self,
        from: &[Cow<'_, [T]>],
        dst: Pitched<&mut [U]>,
        wait: Wait,
    ) -> Result<()> {
        let bytes = |row: &Cow<'_, [T]>| row.len() * T::TYPE.bytes();
        let apart =
            self.part.ready.reads_rows() && from.first().is_some_and(|row| bytes(row) >= LONG_ROW);
        let (whole, list);
        let src = if let Some(mut rows) = apart.then(|| room_for_rows(from.len())).flatten() {
            rows.extend(from.iter().map(|row| bytemuck::cast_slice::<T, u8>(row)));
            list = rows;
            Input::Rows(&list)
        } else {
            whole = joined(from)?;
            Input::Whole(bytemuck::cast_slice(&whole))
        };
        self.of_input(src, dst, wait).await
    }

    pub(super) async fn of_input(
        &self,
        src: Input<'_>,
        dst: Pitched<&mut [U]>,
        wait: Wait,
    ) -> Result<()> {
        let (to, made) = (self.grid(self.output), self.part.problem().output_shape());
        if made == self.output && dst.is_whole(&to) {
            let len = to.len();
            return self.part.slices(src, &mut dst.into_data()[..len], wait, false).await.map(drop);
        }
        let all = self.grid(made);
        let mut room = zeroed("the outputs beside a region", all.len())?;
        self.part.slices(src, &mut room, wait, false).await?;
        self.take(&room, dst);
        Ok(())
    }

    /// The region out of what the part gives.
    fn take(&self, room: &[U], dst: Pitched<&mut [U]>) {
        let (to, all) = (self.grid(self.output), self.grid(self.part.problem().output_shape()));
        let pixel = to.row / self.region.taken.1.len();
        let (down, across) = &self.region.taken;
        let places: Vec<usize> = dst.rows(&to).collect();
        let data = dst.into_data();
        for (n, at) in places.into_iter().enumerate() {
            let (plane, row) = (n / to.rows, n % to.rows);
            let from = ((plane * all.rows) + down.start + row) * all.row + across.start * pixel;
            data[at..at + to.row].copy_from_slice(&room[from..from + to.row]);
        }
    }

    /// The rows of the part, cut out of those of the whole, or put together: of an input, or of its weights, whose rows
    /// lie like this.
    fn cut<'a, X: Element>(&self, rows: &Rows<'a, X>, grid: &Grid) -> Result<Vec<Cow<'a, [X]>>> {
        let [_, _, width, _] = self.input.to_nhwc(self.layout());
        let pixel = grid.row.checked_div(width).unwrap_or(0);
        let begins: Vec<usize> = match rows {
            Rows::Pitched(pitched) => pitched.rows(grid).collect(),
            Rows::Listed(_) => Vec::new(),
        };
        let whole = |n: usize| -> &'a [X] {
            match rows {
                Rows::Pitched(pitched) => &pitched.data()[begins[n]..begins[n] + grid.row],
                Rows::Listed(all) => all[n],
            }
        };
        let mut all = Vec::with_capacity(grid.planes * self.region.rows.len());
        for plane in 0..grid.planes {
            for row in self.region.rows.each() {
                let row = whole(plane * grid.rows + row);
                all.push(match &self.region.columns {
                    Source::Run(run) => Cow::Borrowed(&row[run.start * pixel..run.end * pixel]),
                    Source::Picked(columns) => {
                        let mut made = zeroed("a copy of the input", columns.len() * pixel)?;
                        for (n, column) in columns.iter().enumerate() {
                            let from = &row[column * pixel..(column + 1) * pixel];
                            made[n * pixel..(n + 1) * pixel].copy_from_slice(from);
                        }
                        Cow::Owned(made)
                    }
                });
            }
        }
        Ok(all)
    }

    /// Which rows and columns of the input it reads, and what of its part's output it is.
    pub(super) fn parts(&self) -> &problem::Region {
        &self.region
    }

    /// Elements of a row of it.
    pub(super) fn row_len(&self) -> usize {
        self.grid(self.output).row
    }

    fn grid(&self, shape: Shape) -> Grid {
        Grid::of(shape, self.layout())
    }

    fn layout(&self) -> crate::Layout {
        self.part.problem().conv().layout
    }
}
