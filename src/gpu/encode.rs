//! Recording passes: for the caller's buffers into the caller's encoder, and for our own.

use wgpu::{Buffer, BufferUsages, CommandEncoder};

use super::device::checked;
use super::params::{self, Placement};
use super::transfer::{self, Piece};
use super::{GpuPrepared, buffers};
use crate::plan::{Band, GpuLaunch, Place};
use crate::{ElementType, Error, Result};

/// A part of a buffer that holds a tensor, its rows back to back.
///
/// `offset` and `size` are bytes, multiples of four; bytes of u8 tensors beyond the last element,
/// up to the next multiple of four, belong to the range.
#[derive(Clone, Copy, Debug)]
pub struct BufferRange<'a> {
    /// The buffer, with usage `STORAGE`.
    pub buffer: &'a Buffer,
    /// First byte of the tensor.
    pub offset: u64,
    /// Bytes that may be used from there.
    pub size: u64,
}

impl<'a> BufferRange<'a> {
    /// The whole buffer.
    #[must_use]
    pub fn whole(buffer: &'a Buffer) -> Self {
        Self { buffer, offset: 0, size: buffer.size() }
    }

    fn check(&self, which: &'static str, elements: usize, element: ElementType) -> Result<()> {
        let refuse = |reason| Err(Error::Buffer { which, reason });
        let needed = (elements as u64 * element.bytes() as u64).next_multiple_of(4);
        let Self { buffer, offset, size } = *self;
        if !buffer.usage().contains(BufferUsages::STORAGE) {
            return refuse(format!("usage {:?} lacks STORAGE", buffer.usage()));
        }
        if !offset.is_multiple_of(4) {
            return refuse(format!("offset {offset} is not a multiple of 4"));
        }
        if offset.checked_add(size).is_none_or(|end| end > buffer.size()) {
            let end = buffer.size();
            return refuse(format!(
                "offset {offset} and size {size} reach beyond the buffer's {end} bytes"
            ));
        }
        if size < needed {
            return refuse(format!(
                "size {size} is below the {needed} bytes of {elements} {element} elements"
            ));
        }
        Ok(())
    }
}

/// A range as it is bound: its start aligned, and the scalars before the tensor's first.
#[derive(Clone, Copy)]
struct Bound<'a> {
    buffer: &'a Buffer,
    offset: u64,
    size: u64,
    base: usize,
}

impl<'a> Bound<'a> {
    fn entry(&self, binding: u32) -> wgpu::BindGroupEntry<'a> {
        wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: self.buffer,
                offset: self.offset,
                size: wgpu::BufferSize::new(self.size),
            }),
        }
    }
}

impl GpuPrepared {
    /// Records the work into `encoder`, reading `source` and writing `destination`. Nothing is
    /// submitted or waited for. All bands land in the one submission the caller makes of it; where
    /// a watchdog resets GPUs that are silent for long (Windows: two seconds), split very large
    /// work into several problems.
    ///
    /// Bands that do not lie in one piece in the caller's buffers (a border that wraps, planes,
    /// columns of a row too large to bind) and a source that shares its buffer with the
    /// destination go through buffers of our own, and need usage `COPY_SRC` of the source and
    /// `COPY_DST` of the destination.
    ///
    /// # Errors
    /// [`Error::Buffer`] where a range cannot serve; [`Error::Gpu`], [`Error::OutOfMemory`] or
    /// [`Error::DeviceLost`] where the device refuses. In browsers errors of the device come later
    /// and are not seen here.
    pub fn encode(
        &self,
        encoder: &mut CommandEncoder,
        source: &BufferRange<'_>,
        destination: &BufferRange<'_>,
    ) -> Result<()> {
        let problem = self.problem();
        source.check("source", problem.input_len(), problem.input_type())?;
        destination.check("destination", problem.output_len(), problem.output_type())?;
        let shared = source.buffer == destination.buffer;
        let overlap = source.offset < destination.offset + destination.size
            && destination.offset < source.offset + source.size;
        if shared && overlap {
            return Err(Error::Buffer {
                which: "destination",
                reason: format!(
                    "bytes {}..{} overlap the source's {}..{}; a pass cannot work in place",
                    destination.offset,
                    destination.offset + destination.size,
                    source.offset,
                    source.offset + source.size
                ),
            });
        }
        let launch = self.launch()?;
        for band in &launch.bands {
            self.encode_band(encoder, launch, band, source, destination, shared)?;
        }
        Ok(())
    }

    fn encode_band(
        &self,
        encoder: &mut CommandEncoder,
        launch: &GpuLaunch,
        band: &Band,
        source: &BufferRange<'_>,
        destination: &BufferRange<'_>,
        shared: bool,
    ) -> Result<()> {
        let problem = self.problem();
        let own = transfer::own_placement(problem, launch, band);
        let (own_src, own_dst) = transfer::own_sizes(problem, band, &own);
        let mut place = own;

        let from = transfer::source_pieces(problem, band, &own);
        let src_scratch;
        // A band with whole rows lies in one piece, or image by image at the distance of images.
        let whole_rows = !band.source_rows.continued
            && !band.source_columns.continued
            && band.source_columns.len == problem.geometry().width;
        let src = if whole_rows && !shared {
            let bytes = problem.input_type().bytes();
            let g = problem.geometry();
            let first = band.images.start * g.image() + band.source_rows.first as usize * g.row();
            let len = (band.images.len() - 1) * g.image() + band.source_rows.len * g.row();
            let bound = self.bind(source, first * bytes, len * bytes, bytes);
            place.src_base = bound.base;
            place.src_image = g.image();
            bound
        } else {
            src_scratch =
                self.scratch("making room for a gathered band", own_src, BufferUsages::COPY_DST)?;
            let to = BufferRange::whole(&src_scratch);
            copy(encoder, "source", &from, source, &to, BufferUsages::COPY_SRC)?;
            own_bound(&src_scratch)
        };

        let to = transfer::destination_pieces(problem, band, &own);
        let bytes = problem.output_type().bytes();
        let dst_scratch;
        let (dst, back) = if let [piece] = to[..]
            && piece.to.is_multiple_of(4)
        {
            let bound = self.bind(destination, piece.to, piece.len, bytes);
            place.dst_base = bound.base;
            (bound, None)
        } else {
            dst_scratch =
                self.scratch("making room for a band's output", own_dst, BufferUsages::COPY_SRC)?;
            (own_bound(&dst_scratch), Some(&dst_scratch))
        };
        self.record(encoder, band, &src, &dst, place)?;
        if let Some(scratch) = back {
            let from = BufferRange::whole(scratch);
            copy(encoder, "destination", &to, &from, destination, BufferUsages::COPY_DST)?;
        }
        Ok(())
    }

    /// One dispatch on buffers of our own.
    pub(super) fn record_own(
        &self,
        encoder: &mut CommandEncoder,
        band: &Band,
        src: &Buffer,
        dst: &Buffer,
        place: Placement,
    ) -> Result<()> {
        self.record(encoder, band, &own_bound(src), &own_bound(dst), place)
    }

    fn record(
        &self,
        encoder: &mut CommandEncoder,
        band: &Band,
        src: &Bound<'_>,
        dst: &Bound<'_>,
        place: Placement,
    ) -> Result<()> {
        let gpu = self.gpu();
        let launch = self.launch()?;
        checked(gpu.device(), gpu.loss(), "recording a pass", || {
            let mut recording = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("channelwise.pass"),
                timestamp_writes: None,
            });
            for compiled in self.passes() {
                let most = gpu.limits().max_workgroups;
                let (params, grid) =
                    params::params(self.problem(), compiled.pass, launch, band, place, most);
                if grid.contains(&0) {
                    continue;
                }
                let bound = |place| match place {
                    Place::Source => Some(*src),
                    Place::Destination => Some(*dst),
                    Place::Between(n) => self.between().get(n).map(own_bound),
                };
                let [from, to] = compiled.pass.way(&launch.scheme);
                let (Some(reads), Some(writes)) = (bound(from), bound(to)) else { continue };
                let params = bytemuck::bytes_of(&params);
                let params =
                    gpu.constant_buffer("channelwise.params", params, BufferUsages::UNIFORM);
                let group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some("channelwise.bindings"),
                    layout: gpu.pipelines().bind_group_layout(),
                    entries: &[
                        wgpu::BindGroupEntry { binding: 0, resource: params.as_entire_binding() },
                        reads.entry(1),
                        writes.entry(2),
                        wgpu::BindGroupEntry {
                            binding: 3,
                            resource: compiled.weights.as_entire_binding(),
                        },
                    ],
                });
                recording.set_pipeline(&compiled.pipeline);
                recording.set_bind_group(0, &group, &[]);
                recording.dispatch_workgroups(grid[0], grid[1], grid[2]);
            }
        })
        .now()
    }

    /// `len` bytes of `range` from byte `first` of the tensor, bound at an aligned offset.
    fn bind<'a>(
        &self,
        range: &BufferRange<'a>,
        first: usize,
        len: usize,
        element: usize,
    ) -> Bound<'a> {
        let alignment = u64::from(self.gpu().limits().offset_alignment);
        let start = range.offset + first as u64;
        let offset = start / alignment * alignment;
        let size = (start - offset + len as u64).next_multiple_of(4);
        Bound { buffer: range.buffer, offset, size, base: (start - offset) as usize / element }
    }

    fn scratch(&self, what: &'static str, size: u64, usage: BufferUsages) -> Result<Buffer> {
        let gpu = self.gpu();
        let size = size.next_multiple_of(16).max(16);
        buffers::create(gpu.device(), gpu.loss(), what, size, usage | BufferUsages::STORAGE)
            .now()
            .map_err(|error| buffers::with_size(error, size))
    }
}

/// A buffer of our own, bound whole.
fn own_bound(buffer: &Buffer) -> Bound<'_> {
    Bound { buffer, offset: 0, size: buffer.size(), base: 0 }
}

/// Records copies between a caller's range and a buffer of our own.
fn copy(
    encoder: &mut CommandEncoder,
    which: &'static str,
    pieces: &[Piece],
    from: &BufferRange<'_>,
    to: &BufferRange<'_>,
    needed: BufferUsages,
) -> Result<()> {
    let theirs = if needed == BufferUsages::COPY_SRC { from } else { to };
    if !theirs.buffer.usage().contains(needed) {
        return Err(Error::Buffer {
            which,
            reason: format!(
                "usage {:?} lacks {needed:?}, which is needed where a band does not lie in one piece",
                theirs.buffer.usage()
            ),
        });
    }
    for piece in pieces {
        let (start, end) = (from.offset + piece.from as u64, to.offset + piece.to as u64);
        // The tail of a byte tensor may use up its last word.
        let len = (piece.len as u64).next_multiple_of(4);
        let last = piece.from as u64 + len > from.size || piece.to as u64 + len > to.size;
        let tail = !piece.len.is_multiple_of(4) && pieces.len() > 1;
        if !start.is_multiple_of(4) || !end.is_multiple_of(4) || last || tail {
            return Err(Error::Buffer {
                which,
                reason: format!(
                    "a band of it is gathered by copies, which move whole words, but a row of it is {} bytes at byte {}",
                    piece.len,
                    piece.from.max(piece.to)
                ),
            });
        }
        encoder.copy_buffer_to_buffer(from.buffer, start, to.buffer, end, len);
    }
    Ok(())
}
