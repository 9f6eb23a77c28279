//! Frame after frame: one is uploaded while another is computed and a third is read back.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;

use super::Gpu;
use super::chain::GpuChain;
use super::copies::copy_out;
use super::device::Wait;
use super::range::BufferRange;
use super::staging::{Flight, Slot};
use super::tensor::{check_len, room};
use crate::plan::ChainPlan;
use crate::plan::job::{Copied, Piece};
use crate::{Algorithm, Conv2d, Element, Error, Result, Shape};

/// Frames under way unless [`FrameStream::in_flight`] says otherwise: one for each of upload, computing
/// and readback.
const IN_FLIGHT: usize = 3;
/// Beyond it frames only wait longer and take more memory.
const MOST_IN_FLIGHT: usize = 16;

/// Frames of one shape through a convolution, or a chain of them, on the GPU; results come in the order
/// of the frames.
///
/// While one frame is computed the next is uploaded and the one before is read back. Every frame under way
/// has buffers of its own, which are used again for later ones and go back to the device's pool with
/// the stream; so memory does not grow with the number of frames. A stream that is dropped lets go of
/// the frames that are under way.
///
/// ```no_run
/// use channelwise::{Conv2d, Gpu, Kernel};
/// # fn example(gpu: &Gpu, camera: &[Vec<u8>]) -> channelwise::Result<()> {
/// let blur = Conv2d::new(Kernel::gaussian(5, 1.2)?);
/// let mut stream = gpu.frames::<u8, u8>(&[blur], [720, 1280, 4])?;
/// for frame in camera {
///     if let Some(blurred) = stream.push(frame)? {
///         println!("{} bytes", blurred.len()); // of the frame pushed three pushes ago
///     }
/// }
/// while let Some(blurred) = stream.pop()? {
///     println!("{} bytes", blurred.len());
/// }
/// # Ok(()) }
/// ```
pub struct FrameStream<T, U> {
    chain: GpuChain,
    /// Room for a result.
    shape: Shape,
    most: usize,
    free: Vec<Slot>,
    /// The oldest first.
    under_way: VecDeque<Flight>,
    types: PhantomData<fn(T) -> U>,
}

impl Gpu {
    /// A stream of frames of this shape, from host memory and back: each goes through all of `convs`, one
    /// after the other ([`Gpu::chain`]). Not in browsers; see [`Gpu::frames_async`].
    ///
    /// # Errors
    /// Those of [`Gpu::chain`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn frames<T: Element, U: Element>(
        &self,
        convs: &[Conv2d],
        shape: impl Into<Shape>,
    ) -> Result<FrameStream<T, U>> {
        pollster::block_on(self.stream(convs, shape.into(), Wait::HERE))
    }

    /// [`Gpu::frames`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn frames_async<T: Element, U: Element>(
        &self,
        convs: &[Conv2d],
        shape: impl Into<Shape>,
    ) -> Result<FrameStream<T, U>> {
        self.stream(convs, shape.into(), Wait::Elsewhere).await
    }

    async fn stream<T: Element, U: Element>(
        &self,
        convs: &[Conv2d],
        shape: Shape,
        wait: Wait,
    ) -> Result<FrameStream<T, U>> {
        let types = [T::TYPE, U::TYPE];
        let chain = GpuChain::new(self, convs, shape, types, Algorithm::Auto, wait).await?;
        Ok(FrameStream::of(chain))
    }
}

impl GpuChain {
    /// From host memory to host memory.
    pub(crate) async fn run<T: Element, U: Element>(
        &self,
        src: &[T],
        dst: &mut [U],
        wait: Wait,
    ) -> Result<()> {
        let mut stream = FrameStream::of(self.clone());
        stream.start(src).await?;
        stream.pop_slice(dst, wait).await.map(drop)
    }
}

impl<T: Element, U: Element> FrameStream<T, U> {
    /// The same stream with at most so many frames under way, 1 to 16, instead of 3. With 1 a frame is
    /// done before the next begins.
    ///
    /// # Errors
    /// [`Error::Argument`] for another number, and where frames are under way already.
    pub fn in_flight(mut self, frames: usize) -> Result<Self> {
        if !(1..=MOST_IN_FLIGHT).contains(&frames) {
            let limit = format!("1 to {MOST_IN_FLIGHT} can be");
            return Err(Error::argument("frames in flight", frames, limit));
        }
        if !self.under_way.is_empty() {
            let limit = format!("{} are under way: it has to be said before", self.under_way.len());
            return Err(Error::argument("frames in flight", frames, limit));
        }
        self.most = frames;
        Ok(self)
    }

    /// Takes the weights of `convs` for frames that are pushed from now on, as [`GpuChain::set_weights`] does;
    /// those under way keep the ones they have.
    ///
    /// # Errors
    /// The same.
    pub fn set_weights(&mut self, convs: &[Conv2d]) -> Result<()> {
        // Nobody else has this chain, so that what is bound sees them too.
        self.chain.set_weights(convs)
    }

    /// Starts with `frame`, in memory order. Once as many frames are under way as may be, it first waits
    /// for the oldest and gives its result. Not in browsers; see [`FrameStream::push_async`].
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] where `frame` has another length; [`Error::OutOfMemory`];
    /// [`Error::DeviceLost`] and what else the device says. Where starting fails, a result that was waited
    /// for is lost with it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn push(&mut self, frame: &[T]) -> Result<Option<Vec<U>>> {
        pollster::block_on(self.push_new(frame, Wait::Here))
    }

    /// [`FrameStream::push`] without blocking. Where its future is dropped before it is done, the frame
    /// was not taken, and nothing is lost.
    ///
    /// # Errors
    /// The same.
    pub async fn push_async(&mut self, frame: &[T]) -> Result<Option<Vec<U>>> {
        self.push_new(frame, Wait::Elsewhere).await
    }

    /// [`FrameStream::push`] with the result, where there is one, written into `result`; says whether
    /// there was.
    ///
    /// # Errors
    /// The same, also for the length of `result`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn push_into(&mut self, frame: &[T], result: &mut [U]) -> Result<bool> {
        pollster::block_on(self.push_slices(frame, result, Wait::Here))
    }

    /// [`FrameStream::push_into`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn push_into_async(&mut self, frame: &[T], result: &mut [U]) -> Result<bool> {
        self.push_slices(frame, result, Wait::Elsewhere).await
    }

    /// Waits for the oldest frame under way and gives its result; `None` where none is. Not in browsers;
    /// see [`FrameStream::pop_async`].
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`] and what else the device says.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn pop(&mut self) -> Result<Option<Vec<U>>> {
        pollster::block_on(self.pop_new(Wait::Here))
    }

    /// [`FrameStream::pop`] without blocking. Where its future is dropped before it is done, the frame is
    /// still under way.
    ///
    /// # Errors
    /// The same.
    pub async fn pop_async(&mut self) -> Result<Option<Vec<U>>> {
        self.pop_new(Wait::Elsewhere).await
    }

    /// [`FrameStream::pop`] with the result written into `result`; says whether there was one.
    ///
    /// # Errors
    /// The same, and [`Error::ShapeMismatch`] for the length of `result`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn pop_into(&mut self, result: &mut [U]) -> Result<bool> {
        pollster::block_on(self.pop_slice(result, Wait::Here))
    }

    /// [`FrameStream::pop_into`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn pop_into_async(&mut self, result: &mut [U]) -> Result<bool> {
        self.pop_slice(result, Wait::Elsewhere).await
    }

    /// Frames that were pushed and whose results were not given yet.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Shape of a result.
    #[must_use]
    pub fn output_shape(&self) -> Shape {
        self.shape
    }

    /// How a frame is computed, and why so.
    #[must_use]
    pub fn plan(&self) -> &ChainPlan {
        self.chain.plan()
    }

    async fn push_new(&mut self, frame: &[T], wait: Wait) -> Result<Option<Vec<U>>> {
        self.check_frame(frame)?;
        let result = if self.is_full() { self.pop_new(wait).await? } else { None };
        self.start(frame).await?;
        Ok(result)
    }

    async fn push_slices(&mut self, frame: &[T], result: &mut [U], wait: Wait) -> Result<bool> {
        self.check_frame(frame)?;
        check_len("result", result.len(), self.shape)?;
        let full = self.is_full();
        if full {
            self.pop_slice(result, wait).await?;
        }
        self.start(frame).await?;
        Ok(full)
    }

    async fn pop_new(&mut self, wait: Wait) -> Result<Option<Vec<U>>> {
        if self.under_way.is_empty() {
            return Ok(None);
        }
        let mut result = room("a result", self.shape)?;
        self.pop_slice(&mut result, wait).await?;
        Ok(Some(result))
    }

    async fn pop_slice(&mut self, result: &mut [U], wait: Wait) -> Result<bool> {
        check_len("result", result.len(), self.shape)?;
        let executor = self.chain.gpu().executor.clone();
        let Some(oldest) = self.under_way.front() else { return Ok(false) };
        let done = oldest.wait(&executor.context, wait).await;
        // Nothing is awaited from here on. One that failed is not tried again.
        let Some(flight) = self.under_way.pop_front() else { return Ok(false) };
        done?;
        let result: &mut [u8] = bytemuck::cast_slice_mut(result);
        let all = Piece { from: 0, to: 0, len: result.len() };
        let (slot, _) =
            flight.land(&executor.context, |bytes| copy_out(result, vec![all], bytes))?;
        self.free.push(slot);
        Ok(true)
    }

    fn check_frame(&self, frame: &[T]) -> Result<()> {
        check_len("frame", frame.len(), self.chain.plan().input_shape())
    }

    fn is_full(&self) -> bool {
        self.under_way.len() >= self.most
    }

    async fn start(&mut self, frame: &[T]) -> Result<()> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => self.slot().await?,
        };
        let gpu = self.chain.gpu();
        let bytes: &[u8] = bytemuck::cast_slice(frame);
        let all = Piece { from: 0, to: 0, len: bytes.len() };
        slot.fill(&gpu.executor.context, vec![all], bytes)?;
        let most = gpu.limits().max_work();
        let flight = slot.launch(&gpu.executor, "submitting a frame", None, most).now()?;
        self.under_way.push_back(flight);
        Ok(())
    }

    /// Bytes of a frame and of a result, up to whole words.
    fn sizes(&self) -> [u64; 2] {
        let bytes = |shape: Shape, element: usize| {
            let bytes = shape.elements().unwrap_or(0) as u64 * element as u64;
            bytes.next_multiple_of(4).max(4)
        };
        [
            bytes(self.chain.plan().input_shape(), T::TYPE.bytes()),
            bytes(self.shape, U::TYPE.bytes()),
        ]
    }
}

impl<T: Element, U: Element> FrameStream<T, U> {
    fn of(chain: GpuChain) -> Self {
        Self {
            shape: chain.plan().output_shape(),
            chain,
            most: IN_FLIGHT,
            free: Vec::new(),
            under_way: VecDeque::with_capacity(IN_FLIGHT),
            types: PhantomData,
        }
    }

    /// Buffers for a frame.
    async fn slot(&self) -> Result<Slot> {
        let gpu = self.chain.gpu();
        let [_, to] = self.sizes();
        if !gpu.executor.end.fits(to) {
            // Nearly: the plan saw that it is no longer than a buffer.
            let (what, value) = ("bytes of a result with its mark", to.to_string());
            return Err(Error::TooLarge { what, value, limit: gpu.limits().max_buffer });
        }
        let job = self.chain.job(Copied::default())?;
        let alone = job.work() > gpu.limits().max_work();
        let bind = |source: &BufferRange<'_>, destination: &BufferRange<'_>| {
            self.chain.bind(&job, source, destination, alone)
        };
        Slot::new(&gpu.executor, self.sizes(), gpu.shares_memory(), bind).await
    }
}

impl<T, U> Drop for FrameStream<T, U> {
    /// Free buffers go back. Those of frames under way are being mapped or written; wgpu keeps them until
    /// the device is done with them.
    fn drop(&mut self) {
        for slot in self.free.drain(..) {
            slot.give(&self.chain.gpu().executor.context);
        }
    }
}

impl<T: Element, U: Element> fmt::Debug for FrameStream<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.chain.plan().input_shape(), self.shape);
        let under_way = self.under_way.len();
        write!(f, "FrameStream({from} {} -> {to} {}, {under_way} under way)", T::TYPE, U::TYPE)
    }
}
