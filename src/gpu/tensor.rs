//! Tensors in device memory.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wgpu::{Buffer, BufferUsages};

use super::Gpu;
use super::device::Wait;
use super::range::BufferRange;
use super::staging::{read_back, upload};
use crate::{Element, ElementType, Error, Layout, Result, Shape};

/// A tensor in a buffer of the device, its rows back to back: `[batch, height, width, channels]` or,
/// with [`GpuTensor::with_layout`], `[batch, channels, height, width]`, also with fewer axes.
///
/// Cloning is cheap and shares the buffer.
///
/// ```no_run
/// use channelwise::{Conv2d, Gpu, GpuTensor, Kernel};
/// # fn example(gpu: &Gpu, frame: &[u8]) -> channelwise::Result<()> {
/// let frame = GpuTensor::upload(gpu, frame, [1080, 1920, 3])?;
/// let blurred = gpu.run(&Conv2d::new(Kernel::gaussian(5, 1.2)?), &frame)?;
/// let edges = gpu.run_as::<u8, f32>(&Conv2d::new(Kernel::sobel_x()), &blurred)?;
/// let values: Vec<f32> = edges.download()?; // the first call here that waits
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct GpuTensor<T> {
    gpu: Gpu,
    room: Arc<Room>,
    offset: u64,
    shape: Shape,
    layout: Layout,
    element: PhantomData<fn() -> T>,
}

/// The buffer of one tensor or several.
struct Room {
    buffer: Buffer,
    /// Where it goes back to, if it is of our own.
    home: Option<Gpu>,
    /// Whether somebody else may hold it: then work that is submitted later may use it, and it must not become
    /// another tensor.
    shown: AtomicBool,
}

impl Drop for Room {
    fn drop(&mut self) {
        if let (Some(gpu), false) = (&self.home, *self.shown.get_mut()) {
            gpu.context().give(self.buffer.clone());
        }
    }
}

/// Bytes from which an upload takes a buffer of the pool; wgpu makes one for each it is left to.
const STAGED: usize = 64 << 10;

/// What a tensor of our own can do.
const USAGE: BufferUsages =
    BufferUsages::STORAGE.union(BufferUsages::COPY_SRC).union(BufferUsages::COPY_DST);

impl<T: Element> GpuTensor<T> {
    /// A tensor with the elements of `data`, in memory order. They arrive before anything that is
    /// submitted later; nothing is waited for.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] where `data` holds another number of elements, and those of
    /// [`GpuTensor::zeros`].
    pub fn upload(gpu: &Gpu, data: &[T], shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        check_len("data", data.len(), shape)?;
        // All of it is written.
        let tensor = Self::unwritten(gpu, shape)?;
        tensor.write(data)?;
        Ok(tensor)
    }

    /// A tensor of zeros: room for outputs.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where it is larger than a buffer of the device can be,
    /// [`Error::OutOfMemory`] or what the device says. In browsers errors of the device come later and are
    /// not seen here.
    pub fn zeros(gpu: &Gpu, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        // No buffer is empty, and whole vectors of four f32 serve every shader.
        let size = size_of::<T>(shape)?.next_multiple_of(16).max(16);
        let limit = gpu.limits().max_buffer;
        if size > limit {
            let value = size.to_string();
            return Err(Error::TooLarge { what: "bytes of a tensor", value, limit });
        }
        let what = "making room for a tensor";
        let buffer = gpu.context().create(what, size, USAGE)?;
        Ok(Self::of(gpu, buffer, Some(gpu), 0, shape))
    }

    /// A tensor that is written before it is read, of a buffer that may be there: new ones are cleared by the
    /// device first, which takes as long as a small kernel.
    pub(super) fn unwritten(gpu: &Gpu, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        let size = size_of::<T>(shape)?.next_multiple_of(16).max(16);
        match gpu.context().reuse(size, USAGE) {
            Some(buffer) => Ok(Self::of(gpu, buffer, Some(gpu), 0, shape)),
            None => Self::zeros(gpu, shape),
        }
    }

    /// The tensor that lies in `buffer`, a buffer of this device, from byte `offset` on. A tensor of bytes
    /// takes up whole words: what follows its last element, up to the next multiple of four, belongs
    /// to it and may be overwritten.
    ///
    /// # Errors
    /// [`Error::Buffer`] where the buffer lacks usage `STORAGE`, the offset is not a multiple of four, or
    /// the tensor reaches beyond the buffer's end. [`GpuTensor::download`] needs `COPY_SRC` too, and
    /// [`GpuTensor::write`] needs `COPY_DST`; see [`GpuPrepared::encode`](crate::GpuPrepared::encode) for
    /// when filtering does.
    pub fn from_buffer(
        gpu: &Gpu,
        buffer: Buffer,
        offset: u64,
        shape: impl Into<Shape>,
    ) -> Result<Self> {
        let shape = shape.into();
        let size = size_of::<T>(shape)?;
        let range = BufferRange { buffer: &buffer, offset, size };
        range.check("tensor", shape.elements().unwrap_or(usize::MAX), T::TYPE)?;
        Ok(Self::of(gpu, buffer, None, offset, shape))
    }

    fn of(gpu: &Gpu, buffer: Buffer, home: Option<&Gpu>, offset: u64, shape: Shape) -> Self {
        let (layout, element) = (Layout::default(), PhantomData);
        let (home, shown) = (home.cloned(), AtomicBool::new(false));
        let room = Arc::new(Room { buffer, home, shown });
        Self { gpu: gpu.clone(), room, offset, shape, layout, element }
    }

    /// The tensor that lies in the same buffer, from scalar `first` of this one on.
    pub(super) fn part(&self, first: usize, shape: impl Into<Shape>) -> Self {
        let offset = self.offset + (first * T::TYPE.bytes()) as u64;
        Self { offset, shape: shape.into(), layout: Layout::default(), ..self.clone() }
    }

    /// The same tensor with its axes read in this order; it must be that of the convolutions applied to
    /// it. A new tensor is [`Layout::Nhwc`], outputs have the layout of their convolution.
    #[must_use]
    pub fn with_layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Overwrites the tensor with `data`, in memory order, before anything that is submitted later.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] where `data` holds another number of elements; [`Error::Buffer`] where a
    /// buffer of the caller's lacks usage `COPY_DST`; what the device says.
    pub fn write(&self, data: &[T]) -> Result<()> {
        check_len("data", data.len(), self.shape)?;
        self.needs(BufferUsages::COPY_DST)?;
        let bytes: &[u8] = bytemuck::cast_slice(data);
        // wgpu copies whole words.
        let (words, rest) = bytes.split_at(bytes.len() / 4 * 4);
        let large = words.len() >= STAGED;
        if large {
            upload(&self.gpu.executor, &self.own_range(), words)?;
        }
        let context = self.gpu.context();
        let written = context.checked("uploading a tensor", || {
            if !large && !words.is_empty() {
                context.write(self.own_buffer(), self.offset, words);
            }
            if !rest.is_empty() {
                let mut last = [0; 4];
                last[..rest.len()].copy_from_slice(rest);
                let offset = self.offset + words.len() as u64;
                context.write(self.own_buffer(), offset, &last);
            }
        });
        written.now()
    }

    /// The elements, in memory order, once everything submitted before is done. Not in browsers; see
    /// [`GpuTensor::download_async`].
    ///
    /// # Errors
    /// [`Error::Buffer`] where a buffer of the caller's lacks usage `COPY_SRC`; [`Error::OutOfMemory`];
    /// [`Error::DeviceLost`] and what else the device says.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn download(&self) -> Result<Vec<T>> {
        pollster::block_on(self.fetch(Wait::Here))
    }

    /// [`GpuTensor::download`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn download_async(&self) -> Result<Vec<T>> {
        self.fetch(Wait::Elsewhere).await
    }

    pub(super) async fn fetch(&self, wait: Wait) -> Result<Vec<T>> {
        let mut data: Vec<T> = room("a downloaded tensor", self.shape)?;
        self.fetch_into(&mut data, wait).await?;
        Ok(data)
    }

    /// Into `data`, which holds as many elements.
    pub(super) async fn fetch_into(&self, data: &mut [T], wait: Wait) -> Result<()> {
        let gpu = &self.gpu;
        self.needs(BufferUsages::COPY_SRC)?;
        if data.is_empty() {
            return Ok(());
        }
        let copy = |_: usize, bytes: &[u8]| {
            let data: &mut [u8] = bytemuck::cast_slice_mut(data);
            data.copy_from_slice(&bytes[..data.len()]);
        };
        read_back(&gpu.executor, &[self.own_range()], wait, copy).await
    }

    pub(super) fn needs(&self, usage: BufferUsages) -> Result<()> {
        let has = self.own_buffer().usage();
        if has.contains(usage) {
            return Ok(());
        }
        Err(Error::Buffer { which: "tensor", reason: format!("usage {has:?} lacks {usage:?}") })
    }
}

impl<T> GpuTensor<T> {
    /// The shape; which axis is which, [`GpuTensor::layout`] says.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The order of the axes.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        // It was counted when the tensor was made.
        self.shape.elements().unwrap_or(0)
    }

    /// Whether it has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The buffer it lies in, which may be larger.
    #[must_use]
    pub fn buffer(&self) -> &Buffer {
        self.room.shown.store(true, Ordering::Relaxed);
        self.own_buffer()
    }

    /// The same, for work that is submitted at once.
    pub(super) fn own_buffer(&self) -> &Buffer {
        &self.room.buffer
    }

    /// Its first byte in the buffer.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The device it lies on.
    #[must_use]
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }
}

impl<T: Element> GpuTensor<T> {
    /// Bytes, up to whole words.
    fn size(&self) -> u64 {
        (self.len() as u64 * T::TYPE.bytes() as u64).next_multiple_of(4)
    }

    /// Its bytes, for [`GpuPrepared::encode`](crate::GpuPrepared::encode) and
    /// [`GpuChain::encode`](crate::GpuChain::encode).
    #[must_use]
    pub fn range(&self) -> BufferRange<'_> {
        BufferRange { buffer: self.buffer(), ..self.own_range() }
    }

    /// The same, for work that is submitted at once.
    pub(super) fn own_range(&self) -> BufferRange<'_> {
        BufferRange { buffer: self.own_buffer(), offset: self.offset, size: self.size() }
    }

    /// Refuses to be `which` of a problem for tensors of this kind.
    pub(super) fn check(
        &self,
        which: &'static str,
        shape: Shape,
        layout: Layout,
        element: ElementType,
    ) -> Result<()> {
        if T::TYPE != element {
            let limit = format!("the {which} was prepared for {element}");
            return Err(Error::argument("element type of a tensor", T::TYPE, limit));
        }
        if self.shape != shape {
            let (expected, found) = (shape.dims().to_vec(), self.shape.dims().to_vec());
            return Err(Error::ShapeMismatch { what: which, expected, found });
        }
        // Two axes are read the same in every layout.
        if self.layout != layout && shape.dims().len() > 2 {
            let limit = format!("the convolution's is {layout}");
            return Err(Error::argument("layout of a tensor", self.layout, limit));
        }
        Ok(())
    }
}

impl<T: Element> fmt::Debug for GpuTensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, shape, layout, .. } = self;
        write!(f, "GpuTensor<{}>({shape} {layout} at byte {offset})", T::TYPE)
    }
}

/// Bytes of a tensor, up to whole words.
fn size_of<T: Element>(shape: Shape) -> Result<u64> {
    let bytes = shape.elements().and_then(|n| n.checked_mul(T::TYPE.bytes()));
    let bytes = bytes.filter(|bytes| *bytes <= isize::MAX as usize - 3);
    bytes.map(|bytes| (bytes as u64).next_multiple_of(4)).ok_or_else(|| Error::TooLarge {
        what: "bytes of a tensor",
        value: format!("{shape} {}", T::TYPE),
        limit: isize::MAX as u64,
    })
}

/// Refuses a slice that does not hold a tensor of this shape.
pub(super) fn check_len(what: &'static str, len: usize, shape: Shape) -> Result<()> {
    if shape.elements() == Some(len) {
        return Ok(());
    }
    Err(Error::ShapeMismatch { what, expected: shape.dims().to_vec(), found: vec![len] })
}

/// Zeros for a tensor of this shape in host memory.
pub(super) fn room<T: Element>(what: &'static str, shape: Shape) -> Result<Vec<T>> {
    let len = shape.elements().unwrap_or(usize::MAX);
    let bytes = (len as u64).saturating_mul(T::TYPE.bytes() as u64);
    bytemuck::allocation::try_zeroed_vec(len).map_err(|()| Error::out_of_host_memory(what, bytes))
}
