//! A convolution for each image of a batch.

use std::marker::PhantomData;
use std::sync::Arc;

use ndarray::{Array, ArrayRef};

use super::Engine;
use super::arrays::{Axes, in_order, mismatch, of_shape, shape_of, standard};
use super::ready::{OnCpu, Ready};
use crate::cpu::Input;
use crate::plan::Plan;
use crate::wait::Wait;
#[cfg(not(target_arch = "wasm32"))]
use crate::wait::block_on;
use crate::{Conv2d, Element, Error, Layout, Result, Shape};

/// A convolution for each image of a batch, made ready: [`Engine::prepare_each`].
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel};
/// use ndarray::Array4;
/// # fn main() -> channelwise::Result<()> {
///
/// let convs = [Kernel::binomial(3)?, Kernel::binomial(5)?].map(Conv2d::new);
/// let each = Engine::cpu().prepare_each::<u8, u8>(&convs, [2, 16, 16, 3])?;
/// assert_eq!(each.run(&Array4::from_elem((2, 16, 16, 3), 0))?, Array4::<u8>::zeros((2, 16, 16, 3)));
/// assert_eq!(each.plans().len(), 2);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Each<T, U> {
    /// Of one image each, in order.
    images: Arc<Vec<Arc<Ready>>>,
    input: Shape,
    output: Shape,
    types: PhantomData<fn(T) -> U>,
}

impl Engine {
    /// Applies to every image of a batch a convolution of its own: `convs[n]` to image `n`. DALI and Kornia filter
    /// so, with kernels that are drawn anew for each image.
    ///
    /// All have one layout and give outputs of one size; kernels, even of several sizes, biases, borders and all
    /// else may differ. [`Kernel::each`](crate::Kernel::each) makes kernels of an array.
    ///
    /// ```
    /// use channelwise::{Conv2d, Engine, Kernel};
    /// use ndarray::Array4;
    /// # fn main() -> channelwise::Result<()> {
    /// let photos = Array4::from_elem((2, 8, 8, 3), 100u8);
    /// let convs = [Kernel::identity(), Kernel::laplacian4()].map(Conv2d::like_opencv);
    /// let y = Engine::cpu().run_each(&convs, &photos)?;
    /// assert_eq!((y[[0, 4, 4, 0]], y[[1, 4, 4, 0]]), (100, 0));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] where there are not as many convolutions as images, or layouts differ;
    /// [`Error::ShapeMismatch`] where their outputs do; those of [`Engine::run`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_each<T: Element, D: Axes>(
        &self,
        convs: &[Conv2d],
        input: &ArrayRef<T, D>,
    ) -> Result<Array<T, D>> {
        self.prepare_each::<T, T>(convs, shape_of(input)?)?.run(input)
    }

    /// [`Engine::run_each`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_each_async<T: Element, D: Axes>(
        &self,
        convs: &[Conv2d],
        input: &ArrayRef<T, D>,
    ) -> Result<Array<T, D>> {
        self.prepare_each_async::<T, T>(convs, shape_of(input)?).await?.run_async(input).await
    }

    /// Checks, plans and (on a GPU) compiles a convolution for each image of inputs of one shape, as
    /// [`Engine::run_each`].
    ///
    /// # Errors
    /// The same.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn prepare_each<T: Element, U: Element>(
        &self,
        convs: &[Conv2d],
        shape: impl Into<Shape>,
    ) -> Result<Each<T, U>> {
        block_on(self.each(convs, shape.into(), Wait::HERE))
    }

    /// [`Engine::prepare_each`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn prepare_each_async<T: Element, U: Element>(
        &self,
        convs: &[Conv2d],
        shape: impl Into<Shape>,
    ) -> Result<Each<T, U>> {
        self.each(convs, shape.into(), Wait::Elsewhere).await
    }

    async fn each<T: Element, U: Element>(
        &self,
        convs: &[Conv2d],
        shape: Shape,
        wait: Wait,
    ) -> Result<Each<T, U>> {
        let layout = convs.first().map_or(Layout::default(), |first| first.layout);
        let [count, h, w, c] = shape.to_nhwc(layout);
        if convs.len() != count {
            let limit = format!("one for each of the {count} images is needed");
            return Err(Error::argument("convolutions", convs.len(), limit));
        }
        let nhwc = |n: usize, of: Shape, [_, h, w, c]: [usize; 4]| {
            of.with_nhwc(layout, [n, h, w, c]).unwrap_or(of)
        };
        let one = nhwc(1, shape, [1, h, w, c]);
        let mut images: Vec<Arc<Ready>> = Vec::with_capacity(count);
        for conv in convs {
            if conv.layout != layout {
                let limit = format!("that of the first image is {layout}");
                return Err(Error::argument("layout", conv.layout, limit));
            }
            let ready = self.prepared::<T, U>(conv, one, wait).await?.ready;
            let found = ready.problem().output_shape();
            if let Some(first) = images.first().map(|first| first.problem().output_shape())
                && first != found
            {
                return Err(mismatch("output of an image", first, found.dims()));
            }
            images.push(ready);
        }
        let output = images.first().map_or(shape, |first| first.problem().output_shape());
        let output = nhwc(count, output, output.to_nhwc(layout));
        Ok(Each { images: Arc::new(images), input: shape, output, types: PhantomData })
    }
}

impl<T: Element, U: Element> Each<T, U> {
    /// Shape of the input.
    #[must_use]
    pub fn input_shape(&self) -> Shape {
        self.input
    }

    /// Shape of the output.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.output
    }

    /// How each image is computed.
    pub fn plans(&self) -> impl ExactSizeIterator<Item = &Plan> {
        self.images.iter().map(|ready| ready.plan())
    }

    /// Computes into a new array.
    ///
    /// # Errors
    /// Those of [`Prepared::run`](crate::Prepared::run).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run<D: Axes>(&self, input: &ArrayRef<T, D>) -> Result<Array<U, D>> {
        block_on(self.run_new(input, Wait::Here))
    }

    /// Computes into `output`.
    ///
    /// # Errors
    /// Those of [`Each::run`], also for the shape of `output`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_into<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output: &mut ArrayRef<U, D>,
    ) -> Result<()> {
        block_on(self.run_arrays(input, output, Wait::Here))
    }

    /// [`Each::run`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_async<D: Axes>(&self, input: &ArrayRef<T, D>) -> Result<Array<U, D>> {
        self.run_new(input, Wait::Elsewhere).await
    }

    /// [`Each::run_into`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_into_async<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output: &mut ArrayRef<U, D>,
    ) -> Result<()> {
        self.run_arrays(input, output, Wait::Elsewhere).await
    }

    async fn run_new<D: Axes>(&self, input: &ArrayRef<T, D>, wait: Wait) -> Result<Array<U, D>> {
        if shape_of(input)? != self.input {
            return Err(mismatch("input", self.input, input.shape()));
        }
        let mut output = of_shape("the output", self.output)?;
        self.run_arrays(input, &mut output, wait).await?;
        Ok(output)
    }

    async fn run_arrays<D: Axes>(
        &self,
        input: &ArrayRef<T, D>,
        output: &mut ArrayRef<U, D>,
        wait: Wait,
    ) -> Result<()> {
        for (what, expected, found) in
            [("input", self.input, shape_of(input)?), ("output", self.output, shape_of(output)?)]
        {
            if expected != found {
                return Err(mismatch(what, expected, found.dims()));
            }
        }
        let mut copy = None;
        let src = in_order(input, &mut copy)?;
        if let Some(dst) = output.as_slice_mut() {
            return self.compute(src, dst, wait).await;
        }
        let mut whole = standard("a copy of the output", output)?;
        self.compute(src, whole.as_slice_mut().unwrap_or_default(), wait).await?;
        output.assign(&whole);
        Ok(())
    }

    /// Whole tensors of the right lengths.
    async fn compute(&self, src: &[T], dst: &mut [U], wait: Wait) -> Result<()> {
        let Some(first) = self.images.first().map(|first| first.problem()) else { return Ok(()) };
        let (from, to) = (first.input_len(), first.output_len());
        if to == 0 {
            return Ok(());
        }
        let images = self.images.iter().zip(dst.chunks_exact_mut(to)).enumerate();
        let images = images.map(|(n, (ready, dst))| (ready, &src[n * from..(n + 1) * from], dst));
        let mut on_cpu: Vec<(&OnCpu, &[T], &mut [U])> = Vec::new();
        for (ready, src, dst) in images {
            match &**ready {
                Ready::Cpu(made) => on_cpu.push((made, src, dst)),
                Ready::Gpu(_) | Ready::Masked(_) => {
                    let src = Input::Whole(bytemuck::cast_slice(src));
                    ready.run(src, bytemuck::cast_slice_mut(dst), wait, false).await?;
                }
            }
        }
        OnCpu::run_all(on_cpu)?;
        Ok(())
    }
}
