//! A part of the output alone.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array, ArrayRef};

use super::arrays::{Axes, Room, in_order, mismatch, of_shape, shape_of};
use super::masked::{finite, is_own};
use super::part::{Part, joined};
use super::prepared::Prepared;
use super::slices::{Grid, Pitched};
use crate::cpu::{Elements, Input, Mask};
use crate::memory;
use crate::plan::Plan;
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
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel};
/// use ndarray::Array2;
/// # fn main() -> channelwise::Result<()> {
///
/// let blur = Conv2d::new(Kernel::box_blur(5, 5)?);
/// let blur = Engine::cpu().prepare::<u8, u8>(&blur, [1000, 1000])?;
/// let corner = blur.region(0..10, 0..20)?; // for many images
/// assert_eq!(corner.run(&Array2::ones((1000, 1000)))?.dim(), (10, 20));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Region<T, U> {
    /// The input of the whole.
    input: Shape,
    part: Part,
    types: PhantomData<fn(T) -> U>,
}

impl<T: Element, U: Element> Prepared<T, U> {
    /// Makes a part of the output ready: some of its rows and columns, counted from 0, of all images and channels.
    ///
    /// What it gives is equal to that part of the whole output, to the bit. Of an adjoint there are no regions.
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

    /// [`Prepared::run_region`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_region_async<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<Array<U, D>> {
        self.region_async(rows, columns).await?.run_async(input).await
    }

    /// What [`Region::source`] says of such a region, without making it ready: to see which pieces of a scattered
    /// input it needs.
    ///
    /// # Errors
    /// Those of [`Prepared::region`].
    pub fn region_source(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Runs> {
        let window = Window::new(self.problem().everything().images, rows, columns);
        self.ready.widened(&window).map(|region| runs(&region))
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
        let region = self.ready.widened(window)?;
        let ready = self.ready.part(region.problem.clone(), wait).await?;
        let whole = self.problem();
        let part = Part::new(whole, window, region, Arc::new(ready));
        Ok(Region { input: whole.input_shape(), part, types: PhantomData })
    }
}

/// Rows, and columns, as runs of neighbours.
type Runs = (Vec<Range<usize>>, Vec<Range<usize>>);

/// The rows, and the columns, that a region is made from.
fn runs(region: &problem::Region) -> Runs {
    (region.rows.runs(), region.columns.runs())
}

/// Where the rows of a whole input lie, as bytes.
enum Rows<'a> {
    Pitched(Pitched<&'a [u8]>),
    /// One after the other.
    Listed(Vec<&'a [u8]>),
}

impl<'a> Rows<'a> {
    /// Those of a whole tensor.
    fn whole<X: Element>(all: &'a [X], grid: &Grid) -> Self {
        Self::Pitched(Pitched::new(bytemuck::cast_slice(all), grid.row))
    }
}

impl<T: Element, U: Element> Region<T, U> {
    /// Shape of what it gives.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.part.output_shape()
    }

    /// How it is computed.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.part.plan()
    }

    /// The rows of the input that it reads, and the columns: runs of neighbours, in the order in which
    /// [`Region::run_source`] takes them. Where a border brings in rows from elsewhere, a wrap those of the other
    /// edge, there are several.
    #[must_use]
    pub fn source(&self) -> Runs {
        runs(self.part.region())
    }

    /// Computes it from those rows and columns alone, of all images and channels: for an input that is in pieces, of
    /// which nobody holds the whole.
    ///
    /// ```
    /// use channelwise::{Border, Conv2d, Engine, Kernel};
    /// use ndarray::{Array2, Axis, concatenate, s};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // A map of the world whose columns go round: the left edge needs some of the right one.
    /// let map = Array2::from_shape_fn((40, 60), |(h, w)| (h * w) as f32);
    /// let blur = Conv2d::new(Kernel::gaussian(5, 1.0)?).border((Border::Replicate, Border::Wrap));
    /// let blur = Engine::cpu().prepare::<f32, f32>(&blur, [40, 60])?;
    /// let left = blur.region(0..40, 0..20)?;
    /// let (rows, columns) = left.source();
    /// assert_eq!((rows, &columns[..]), (vec![0..40], &[58..60, 0..22][..]));
    /// let pieces = columns.into_iter().map(|run| map.slice(s![.., run])).collect::<Vec<_>>();
    /// let y = left.run_source(&concatenate(Axis(1), &pieces)?)?;
    /// assert_eq!(y, blur.run(&map)?.slice(s![.., ..20]));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`](crate::Error::ShapeMismatch) where it has other rows or columns than [`Region::source`] says; those of
    /// [`Region::run`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_source<D: Axes>(&self, source: &ArrayRef<T, D>) -> Result<Array<U, D>> {
        block_on(self.new_of_source(source, Wait::Here))
    }

    /// [`Region::run_source`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_source_async<D: Axes>(&self, source: &ArrayRef<T, D>) -> Result<Array<U, D>> {
        self.new_of_source(source, Wait::Elsewhere).await
    }

    /// [`Region::run_source`] of a [`normalized`](crate::Conv2d::normalized) convolution, with the weights of those
    /// values, or of their rows and columns.
    ///
    /// # Errors
    /// The same, and those of [`Region::run_masked`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_source_masked<M: Element, D: Axes, E: Axes>(
        &self,
        source: &ArrayRef<T, D>,
        mask: &ArrayRef<M, E>,
    ) -> Result<Array<U, D>> {
        block_on(self.new_of_source_masked(source, mask, Wait::Here))
    }

    /// [`Region::run_source_masked`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_source_masked_async<M: Element, D: Axes, E: Axes>(
        &self,
        source: &ArrayRef<T, D>,
        mask: &ArrayRef<M, E>,
    ) -> Result<Array<U, D>> {
        self.new_of_source_masked(source, mask, Wait::Elsewhere).await
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
        if shape_of(input)? != self.input {
            return Err(mismatch("input", self.input, input.shape()));
        }
        let own = is_own(mask, self.input, self.layout())?;
        let (mut copy, mut weights) = (None, None);
        let (values, grid) = (in_order(input, &mut copy)?, self.grid::<T>(self.input));
        let values = joined(&self.cut(&Rows::whole(values, &grid), &grid)?)?;
        let weights = in_order(mask, &mut weights)?;
        finite(weights)?;
        let grid = self.grid::<M>(shape_of(mask)?);
        let weights = joined(&self.cut(&Rows::whole(weights, &grid), &grid)?)?;
        self.masked(&values, (Elements { element: M::TYPE, bytes: &weights }, own), wait).await
    }

    /// Of the values of its source and their weights, which are as many or shared by all.
    async fn masked<D: Axes>(
        &self,
        values: &[u8],
        (weights, own): (Elements<'_>, bool),
        wait: Wait,
    ) -> Result<Array<U, D>> {
        let masked = self.part.ready().masked()?;
        let mut output = of_shape("the output", self.output_shape())?;
        let mask = if own { Mask::Own(weights) } else { Mask::Shared(weights) };
        let made = self.part.problem().output_len() * U::TYPE.bytes();
        let mut room = Room::new("the outputs beside a region", made)?;
        masked.run(values, mask, &mut room, wait).await?;
        self.part.take(&room, self.whole(output.as_slice_mut().unwrap_or_default()))?;
        Ok(output)
    }

    fn check_source<D: Axes>(&self, source: &ArrayRef<T, D>) -> Result<Shape> {
        let expected = self.part.problem().input_shape();
        if shape_of(source)? == expected {
            return Ok(expected);
        }
        Err(mismatch("source of the region", expected, source.shape()))
    }

    async fn new_of_source<D: Axes>(
        &self,
        source: &ArrayRef<T, D>,
        wait: Wait,
    ) -> Result<Array<U, D>> {
        self.check_source(source)?;
        let mut output = of_shape("the output", self.output_shape())?;
        if self.output_shape().elements() == Some(0) {
            return Ok(output);
        }
        let dst = self.whole(output.as_slice_mut().unwrap_or_default());
        if let Some(rows) = super::arrays::rows(source, self.layout()) {
            let count = rows.len();
            let rows = rows.into_iter().map(Cow::Borrowed);
            let rows = memory::collected("the list of rows", count, rows)?;
            self.part.of_rows(&rows, dst, wait).await?;
        } else {
            let mut copy = None;
            let whole = bytemuck::cast_slice(in_order(source, &mut copy)?);
            self.part.of_input(Input::Whole(whole), dst, wait).await?;
        }
        Ok(output)
    }

    async fn new_of_source_masked<M: Element, D: Axes, E: Axes>(
        &self,
        source: &ArrayRef<T, D>,
        mask: &ArrayRef<M, E>,
        wait: Wait,
    ) -> Result<Array<U, D>> {
        let own = is_own(mask, self.check_source(source)?, self.layout())?;
        let (mut copy, mut weights) = (None, None);
        let values = bytemuck::cast_slice(in_order(source, &mut copy)?);
        let weights = in_order(mask, &mut weights)?;
        finite(weights)?;
        self.masked(values, (Elements::of(weights), own), wait).await
    }

    async fn run_new<D: Axes>(&self, input: &ArrayRef<T, D>, wait: Wait) -> Result<Array<U, D>> {
        if shape_of(input)? != self.input {
            return Err(mismatch("input", self.input, input.shape()));
        }
        let mut output = of_shape("the output", self.output_shape())?;
        let grid = self.grid::<T>(self.input);
        let mut copy = None;
        let rows = match (input.as_slice(), super::arrays::rows(input, self.layout())) {
            (None, Some(list)) => Rows::Listed(list),
            _ => Rows::whole(in_order(input, &mut copy)?, &grid),
        };
        // A new array is in standard layout.
        let dst = self.whole(output.as_slice_mut().unwrap_or_default());
        self.compute(&rows, dst, wait).await?;
        Ok(output)
    }

    async fn pitched(&self, src: Pitched<&[T]>, dst: Pitched<&mut [U]>, wait: Wait) -> Result<()> {
        src.check_input(&Grid::of(self.input, self.layout()))?;
        dst.check_output(&Grid::of(self.output_shape(), self.layout()))?;
        self.compute(&Rows::Pitched(src.bytes()), dst.bytes_mut(), wait).await
    }

    /// From ends that were checked.
    async fn compute(&self, rows: &Rows<'_>, dst: Pitched<&mut [u8]>, wait: Wait) -> Result<()> {
        if self.output_shape().elements() == Some(0) {
            return Ok(());
        }
        let from = self.cut(rows, &self.grid::<T>(self.input))?;
        self.part.of_rows(&from, dst, wait).await
    }

    /// The rows of the part, cut out of those of the whole, or put together: of an input, or of its weights, whose rows
    /// lie like this.
    fn cut<'a>(&self, rows: &Rows<'a>, grid: &Grid) -> Result<Vec<Cow<'a, [u8]>>> {
        let [_, _, width, _] = self.input.to_nhwc(self.layout());
        let pixel = grid.row.checked_div(width).unwrap_or(0);
        let begins: Vec<usize> = match rows {
            Rows::Pitched(pitched) => {
                let rows = pitched.rows(grid);
                memory::collected("the list of rows", grid.planes * grid.rows, rows)?
            }
            Rows::Listed(_) => Vec::new(),
        };
        let whole = |n: usize| -> &'a [u8] {
            match rows {
                Rows::Pitched(pitched) => &pitched.data()[begins[n]..begins[n] + grid.row],
                Rows::Listed(all) => all[n],
            }
        };
        let region = self.part.region();
        let count = grid.planes * region.rows.len();
        let mut all = memory::with_capacity("the list of rows", count)?;
        for plane in 0..grid.planes {
            for row in region.rows.each() {
                let row = whole(plane * grid.rows + row);
                all.push(match &region.columns {
                    Source::Run(run) => Cow::Borrowed(&row[run.start * pixel..run.end * pixel]),
                    Source::Picked(columns) => {
                        let bytes = columns.len() * pixel;
                        let mut made = memory::with_capacity("a copy of the input", bytes)?;
                        for column in columns {
                            made.extend_from_slice(&row[column * pixel..(column + 1) * pixel]);
                        }
                        Cow::Owned(made)
                    }
                });
            }
        }
        Ok(all)
    }

    /// A tensor as planes of rows of bytes.
    fn grid<X: Element>(&self, shape: Shape) -> Grid {
        Grid::of(shape, self.layout()).in_bytes(X::TYPE)
    }

    /// All of an output without gaps.
    fn whole<'a>(&self, all: &'a mut [U]) -> Pitched<&'a mut [u8]> {
        let row = self.grid::<U>(self.output_shape()).row;
        Pitched::new(bytemuck::cast_slice_mut(all), row)
    }

    fn layout(&self) -> crate::Layout {
        self.part.problem().conv().layout
    }
}
