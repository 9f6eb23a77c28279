//! A tensor as a part of a buffer.

use wgpu::{Buffer, BufferUsages};

use crate::{ElementType, Error, Problem, Result};

/// A part of a buffer that holds a tensor, its rows back to back.
///
/// `offset` and `size` are bytes, multiples of four; bytes of u8 tensors beyond the last element,
/// up to the next multiple of four, belong to the range.
///
/// ```
/// use channelwise::{BufferRange, Engine, GpuTensor};
/// # fn main() -> channelwise::Result<()> {
///
/// let Ok(engine) = Engine::gpu() else { return Ok(()) }; // there is none
/// let Some(gpu) = engine.as_gpu() else { return Ok(()) };
/// let tensor = GpuTensor::upload(gpu, &[1.0f32; 12], [2, 2, 3])?;
/// // Its second row.
/// let row = BufferRange { offset: tensor.offset() + 24, size: 24, ..tensor.range() };
/// assert_eq!(row.buffer, tensor.buffer());
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BufferRange<'a> {
    /// The buffer, with usage `STORAGE`.
    pub buffer: &'a Buffer,
    /// First byte of the tensor.
    pub offset: u64,
    /// Bytes that may be used from there.
    pub size: u64,
}

impl<'a> From<&'a Buffer> for BufferRange<'a> {
    fn from(buffer: &'a Buffer) -> Self {
        Self::whole(buffer)
    }
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

/// Refuses ranges that cannot be the input of `first` and the output of `last`.
pub(super) fn check_ends(
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
