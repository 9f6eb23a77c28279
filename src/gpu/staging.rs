//! Between host memory and the device: buffers that are written, computed on and read back.
//!
//! ```text
//!   host ─> upload ─> input ─ job ─> output ─> download ─> host      a device with memory of its own
//!   host ─────────────> input ─ job ─> output ──────────────> host   one that shares the host's
//!   a Slot while nothing runs, a Flight from its submission until it is read
//! ```

use std::sync::{Mutex, PoisonError};

use wgpu::{Buffer, BufferUsages as Usage, MapMode};

use super::bound::Bound;
use super::copies::copy_in;
use super::device::{Checked, Context, EndStamps, Moment, Stamps, Ticket, Wait};
use super::executor::Executor;
use super::range::BufferRange;
use crate::Result;
use crate::plan::job::Piece;

/// Buffers for something from host memory and back, and the job that is bound to them.
#[derive(Debug)]
pub(super) struct Slot {
    input: Buffer,
    output: Buffer,
    /// Where the host writes and reads, if not there.
    staged: Option<Staged>,
    bound: Bound,
    /// Bytes of input and output, in whole words.
    sizes: [u64; 2],
}

/// Buffers in the host's memory.
#[derive(Debug)]
struct Staged {
    upload: Buffer,
    download: Buffer,
}

/// A slot that was submitted.
#[derive(Debug)]
pub(super) struct Flight {
    slot: Slot,
    ticket: Ticket,
    mark: u32,
    stamps: Option<Stamps>,
}

impl Slot {
    /// For so many bytes of input and output, and the job that `bind` gives for their buffers. Mapped by the
    /// host themselves if `shared`.
    pub async fn new(
        executor: &Executor,
        sizes: [u64; 2],
        shared: bool,
        bind: impl FnOnce(&BufferRange<'_>, &BufferRange<'_>) -> Result<Bound>,
    ) -> Result<Self> {
        let [from, to] = sizes.map(|size| size.next_multiple_of(4).max(4));
        let context = &executor.context;
        // What does not lie in one piece is gathered by copies.
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        let [write, read] = match shared {
            true => [Usage::MAP_WRITE, Usage::MAP_READ],
            false => [Usage::empty(); 2],
        };
        let input = context.take("making room for the input", from, usage | write).await?;
        // A mark lies behind what is read.
        let behind = to + EndStamps::BYTES;
        let output = context.take("making room for the output", behind, usage | read).await?;
        let mut staged = None;
        if !shared {
            let usage = Usage::MAP_WRITE | Usage::COPY_SRC;
            let upload = context.take("making room for the upload", from, usage).await?;
            let usage = Usage::MAP_READ | Usage::COPY_DST;
            let download = context.take("making room for the download", behind, usage).await?;
            staged = Some(Staged { upload, download });
        }
        let source = BufferRange { buffer: &input, offset: 0, size: from };
        let destination = BufferRange { buffer: &output, offset: 0, size: to };
        let bound = bind(&source, &destination)?;
        Ok(Self { input, output, staged, bound, sizes: [from, to] })
    }

    /// Bytes of all its buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers().map(Buffer::size).sum()
    }

    fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        let staged = self.staged.iter().flat_map(|staged| [&staged.upload, &staged.download]);
        [&self.input, &self.output].into_iter().chain(staged)
    }

    /// What the host writes. Mapped while nothing runs.
    fn upload(&self) -> &Buffer {
        self.staged.as_ref().map_or(&self.input, |staged| &staged.upload)
    }

    /// What the host reads.
    fn download(&self) -> &Buffer {
        self.staged.as_ref().map_or(&self.output, |staged| &staged.download)
    }

    /// Writes these pieces of `from` into the input.
    pub fn fill(&self, context: &Context, pieces: Vec<Piece>, from: &[u8]) -> Result<()> {
        context.meet(Moment::Access);
        let written = copy_in(self.upload(), self.sizes[0], pieces, from);
        written.map_err(|error| context.lost(&error.to_string()))?;
        context.unmap(self.upload())
    }

    /// Submits upload, job and download; the job in several submissions where it is more than `most` work.
    pub fn launch(
        self,
        executor: &Executor,
        doing: &'static str,
        stamps: Option<Stamps>,
        most: u64,
    ) -> Checked<Flight> {
        let [from, to] = self.sizes;
        executor.context.checked(doing, || {
            let mut encoder = executor.encoder("channelwise.staged");
            if let Some(Staged { upload, .. }) = &self.staged {
                encoder.copy_buffer_to_buffer(upload, 0, &self.input, 0, from);
            }
            executor.replay(&self.bound, &mut encoder, stamps.as_ref().map(Stamps::queries), most);
            if let Some(Staged { download, .. }) = &self.staged {
                encoder.copy_buffer_to_buffer(&self.output, 0, download, 0, to);
            }
            if let Some(stamps) = &stamps {
                stamps.resolve(&mut encoder);
            }
            let mark = executor.end.record(&executor.context, &mut encoder, self.download(), to);
            executor.submit(encoder);
            let mut maps = vec![
                (self.download(), MapMode::Read, to + EndStamps::BYTES),
                (self.upload(), MapMode::Write, self.upload().size()),
            ];
            maps.extend(stamps.iter().map(|s| (s.buffer(), MapMode::Read, s.buffer().size())));
            let ticket = executor.context.maps(&maps);
            Flight { slot: self, ticket, mark, stamps }
        })
    }

    /// Copies the input to the device, where that is a copy.
    pub fn upload_alone(&self, encoder: &mut wgpu::CommandEncoder) {
        if let Some(Staged { upload, .. }) = &self.staged {
            encoder.copy_buffer_to_buffer(upload, 0, &self.input, 0, self.sizes[0]);
        }
    }

    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Gives the buffers back to the pool.
    pub fn give(self, context: &Context) {
        let Self { input, output, staged, bound, .. } = self;
        drop(bound);
        let staged = staged.map(|Staged { upload, download }| [upload, download]);
        for buffer in [input, output].into_iter().chain(staged.into_iter().flatten()) {
            context.give(buffer);
        }
    }
}

/// Slots that are kept: as many threads run a small problem at once without making buffers.
const KEPT: usize = 4;

/// Slots of a small problem that are free for the next call: its buffers come and go with it, and
/// nothing is bound anew. Large ones share the buffers of the device's pool.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<Vec<Slot>>);

impl Slots {
    pub fn take(&self) -> Option<Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Keeps a slot, unless there are enough.
    pub fn give(&self, slot: Slot) -> Option<Slot> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() >= KEPT {
            return Some(slot);
        }
        free.push(slot);
        None
    }
}

impl Flight {
    /// Waits until it is done. Where this is given up, it is still under way.
    pub async fn wait(&self, context: &Context, wait: Wait) -> Result<()> {
        context.wait(&self.ticket, wait).await
    }

    /// Has `read` take the output, once it is done; then the slot is free again. Also the time on the device,
    /// where it was asked for.
    pub fn land(
        self,
        context: &Context,
        read: impl FnOnce(&[u8]),
    ) -> Result<(Slot, Option<std::time::Duration>)> {
        let Self { slot, mark, stamps, .. } = self;
        read_marked(context, slot.download(), slot.sizes[1], Some(mark), read)?;
        let time = match stamps {
            Some(stamps) => Some(stamps.read(context).map_err(|error| context.lost(&error))?),
            None => None,
        };
        Ok((slot, time))
    }
}

/// Copies `bytes`, whole words, into a tensor, before anything that is submitted later.
pub(super) fn upload(executor: &Executor, to: &BufferRange<'_>, bytes: &[u8]) -> Result<()> {
    let (context, size) = (&executor.context, bytes.len() as u64);
    let upload = context.mapped("making room for the upload", size)?;
    let all = Piece { from: 0, to: 0, len: bytes.len() };
    context.meet(Moment::Access);
    let written = copy_in(&upload, size, vec![all], bytes);
    written.map_err(|error| context.lost(&error.to_string()))?;
    context.unmap(&upload)?;
    let submitted = context.checked("uploading a tensor", || {
        let mut encoder = executor.encoder("channelwise.upload");
        encoder.copy_buffer_to_buffer(&upload, 0, to.buffer, to.offset, size);
        executor.submit(encoder);
        context.give_when_done(upload.clone());
    });
    submitted.now()
}

/// Has `read` take the first `size` bytes of a mapped buffer, behind which lies this mark, if there is one and
/// the submission that wrote it got to its end; then unmaps it.
fn read_marked(
    context: &Context,
    download: &Buffer,
    size: u64,
    mark: Option<u32>,
    read: impl FnOnce(&[u8]),
) -> Result<()> {
    context.meet(Moment::Access);
    let behind = if mark.is_some() { EndStamps::BYTES } else { 0 };
    let view = download.get_mapped_range(..size + behind);
    let view = view.map_err(|error| context.lost(&error.to_string()))?;
    let (bytes, found) = view.split_at(size as usize);
    if mark.is_some_and(|mark| found != mark.to_le_bytes()) {
        return Err(context.lost("the device gave up before the end of its work"));
    }
    read(bytes);
    drop(view);
    context.unmap(download)
}

/// Copies these ranges, of whole words, from the device once everything submitted before is done, and has
/// `read` take them one by one.
pub(super) async fn read_back(
    executor: &Executor,
    ranges: &[BufferRange<'_>],
    wait: Wait,
    mut read: impl FnMut(usize, &[u8]),
) -> Result<()> {
    let sizes = ranges.iter().map(|range| range.size);
    let all = sizes.fold(0u64, u64::saturating_add);
    if ranges.len() > 1 && !executor.end.fits(all) {
        for (n, range) in ranges.iter().enumerate() {
            read_together(executor, &[*range], wait, |_, bytes| read(n, bytes)).await?;
        }
        return Ok(());
    }
    read_together(executor, ranges, wait, read).await
}

/// The same in one download, behind which the mark lies, or where no buffer is so long beside it.
async fn read_together(
    executor: &Executor,
    ranges: &[BufferRange<'_>],
    wait: Wait,
    mut read: impl FnMut(usize, &[u8]),
) -> Result<()> {
    let context = &executor.context;
    let size: u64 = ranges.iter().map(|range| range.size).sum();
    let usage = Usage::MAP_READ | Usage::COPY_DST;
    let what = "making room for the download";
    let behind = if executor.end.fits(size) { EndStamps::BYTES } else { 0 };
    let download = context.take(what, size + behind, usage).await?;
    let apart = match behind {
        0 => Some(context.take(what, EndStamps::BYTES, usage).await?),
        _ => None,
    };
    let submitted = context.checked("downloading", || {
        let mut encoder = executor.encoder("channelwise.download");
        let mut to = 0;
        for range in ranges.iter().filter(|range| range.size > 0) {
            let BufferRange { buffer, offset, size } = *range;
            encoder.copy_buffer_to_buffer(buffer, offset, &download, to, size);
            to += size;
        }
        let (marked, at) = apart.as_ref().map_or((&download, size), |apart| (apart, 0));
        let mark = executor.end.record(context, &mut encoder, marked, at);
        executor.submit(encoder);
        let mut maps = vec![(&download, MapMode::Read, size + behind)];
        maps.extend(apart.as_ref().map(|apart| (apart, MapMode::Read, EndStamps::BYTES)));
        (executor.context.maps(&maps), mark)
    });
    let (ticket, mark) = submitted.done().await?;
    context.wait(&ticket, wait).await?;
    if let Some(apart) = &apart {
        read_marked(context, apart, 0, Some(mark), |_| {})?;
    }
    let mark = apart.is_none().then_some(mark);
    read_marked(context, &download, size, mark, |bytes| {
        let mut from = 0;
        for (n, range) in ranges.iter().enumerate() {
            let end = from + range.size as usize;
            read(n, &bytes[from..end]);
            from = end;
        }
    })?;
    [Some(download), apart].into_iter().flatten().for_each(|buffer| context.give(buffer));
    Ok(())
}
