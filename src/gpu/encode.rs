//! Into the caller's encoder, on the caller's buffers.

use std::sync::{Arc, Mutex, PoisonError};

use wgpu::{Buffer, BufferUsages, CommandEncoder};

use super::GpuPrepared;
use super::recording::Recording;
use crate::{ElementType, Error, Problem, Result};

/// Pairs of ranges, or of textures, whose recordings are kept.
const KEPT: usize = 4;

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

    pub(super) fn check(
        &self,
        which: &'static str,
        elements: usize,
        element: ElementType,
    ) -> Result<()> {
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
    /// The first call for a pair of ranges makes bind groups and the small buffers that passes need; they
    /// are kept for the four pairs last used, so that later calls make nothing. Kept bind groups keep the
    /// caller's buffers from being freed: [`GpuPrepared::forget_buffers`] lets go of them.
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
        check(source, destination, self.problem(), self.problem())?;
        let shared = source.buffer == destination.buffer;
        let same = |(buffer, offset, size): &(Buffer, u64, u64), range: &BufferRange<'_>| {
            buffer == range.buffer && (*offset, *size) == (range.offset, range.size)
        };
        let known = self.kept().get(|[from, to]| same(from, source) && same(to, destination));
        let recording = match known {
            Some(recording) => recording,
            None => {
                let made = Arc::new(self.record_for(source, destination, shared)?);
                let owned = |r: &BufferRange<'_>| (r.buffer.clone(), r.offset, r.size);
                self.kept().put([source, destination].map(owned), made.clone());
                made
            }
        };
        recording.replay(encoder, None);
        Ok(())
    }

    /// Lets go of the buffers that were given to [`GpuPrepared::encode`]. Work that was recorded or
    /// submitted keeps those it needs until it is done.
    pub fn forget_buffers(&self) {
        self.kept().clear();
    }
}

/// Refuses ranges that cannot be the input of `first` and the output of `last`.
pub(super) fn check(
    source: &BufferRange<'_>,
    destination: &BufferRange<'_>,
    first: &Problem,
    last: &Problem,
) -> Result<()> {
    source.check("source", first.input_len(), first.input_type())?;
    destination.check("destination", last.output_len(), last.output_type())?;
    let overlap = source.offset < destination.offset + destination.size
        && destination.offset < source.offset + source.size;
    if source.buffer == destination.buffer && overlap {
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
    Ok(())
}

/// A source and a destination: buffer, offset and size.
pub(super) type Ranges = [(Buffer, u64, u64); 2];

/// Recordings by what they are for, the last used last.
#[derive(Debug)]
pub(super) struct Kept<K>(Mutex<Vec<(K, Arc<Recording>)>>);

impl<K> Default for Kept<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K> Kept<K> {
    pub fn get(&self, fits: impl Fn(&K) -> bool) -> Option<Arc<Recording>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|(key, _)| fits(key))?;
        all[at..].rotate_left(1);
        all.last().map(|(_, recording)| recording.clone())
    }

    pub fn put(&self, key: K, made: Arc<Recording>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == KEPT {
            all.remove(0);
        }
        all.push((key, made));
    }

    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
