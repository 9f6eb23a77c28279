//! Where a stream comes from and where it goes.

use std::io;

use crate::Window;

/// A tensor of any size that can be read part by part.
///
/// Elements come as they lie in a tensor of the window's size without gaps: those of a row with all channels in
/// [`Layout::Nhwc`](crate::Layout::Nhwc), rows one after the other, then images; of
/// [`Layout::Nchw`](crate::Layout::Nchw) planes in place of images, as [`Window`] says.
///
/// A closure is one, too.
///
/// ```
/// use channelwise::Window;
/// use channelwise::stream::Source;
/// use std::io;
///
/// /// Columns that rise, without end.
/// struct Ramp;
///
/// impl Source<f32> for Ramp {
///     fn read(&mut self, window: &Window, to: &mut [f32]) -> io::Result<()> {
///         let columns = window.columns.clone().cycle();
///         to.iter_mut().zip(columns).for_each(|(to, column)| *to = column as f32);
///         Ok(())
///     }
/// }
///
/// let mut read = [0.0; 4];
/// Ramp.read(&Window::new(0..1, 0..2, 5..7), &mut read).expect("it cannot fail");
/// assert_eq!(read, [5.0, 6.0, 5.0, 6.0]);
/// ```
pub trait Source<T>: Send {
    /// Reads the elements of `window`, which is within the tensor, into all of `to`.
    ///
    /// # Errors
    /// What the system says, or `io::Error::other`.
    fn read(&mut self, window: &Window, to: &mut [T]) -> io::Result<()>;

    /// Rows and columns that are read at once, whether all are needed or not: those of a chunk.
    fn chunk(&self) -> (usize, usize) {
        (1, 1)
    }

    /// Called once after the last read, before [`Sink::finish`]: whether all that was read is what it should be.
    ///
    /// # Errors
    /// What the system says, or `io::Error::other`.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Bytes that it holds itself while it reads, which count against the budget: chunks and what they are packed
    /// in, say.
    fn held(&self) -> u64 {
        0
    }
}

/// Where a tensor of any size goes part by part, in any order.
///
/// Elements come as [`Source`] gives them. Of `F` outputs for each channel, images of
/// [`Layout::Nchw`](crate::Layout::Nchw) are those of the output, `F` for each of the input.
///
/// A closure is one, too.
///
/// ```
/// use channelwise::stream::Sink;
/// use channelwise::{Conv2d, Engine, Kernel, Window};
/// use std::io;
/// # fn main() -> channelwise::Result<()> {
///
/// /// Keeps the largest.
/// struct Largest(u8);
///
/// impl Sink<u8> for Largest {
///     fn write(&mut self, _: &Window, from: &[u8]) -> io::Result<()> {
///         self.0 = from.iter().copied().fold(self.0, u8::max);
///         Ok(())
///     }
/// }
///
/// let (mut flat, mut largest) = (|_: &Window, to: &mut [u8]| Ok(to.fill(7)), Largest(0));
/// let blur = Conv2d::new(Kernel::binomial(3)?);
/// Engine::cpu().stream::<u8, u8>(&blur, [500, 600], &mut flat, &mut largest, 16 << 20)?;
/// assert_eq!(largest.0, 7);
/// # Ok(()) }
/// ```
pub trait Sink<T>: Send {
    /// Called once before all else but [`Sink::chunks`] and [`Sink::held`], when it is known that the work can be done.
    ///
    /// # Errors
    /// What the system says, or `io::Error::other`.
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Writes the elements of `window`, which is within the tensor.
    ///
    /// # Errors
    /// What the system says, or `io::Error::other`.
    fn write(&mut self, window: &Window, from: &[T]) -> io::Result<()>;

    /// Images, rows and columns of a chunk: what is written is whole ones. Without, bands of some megabytes are.
    fn chunks(&self) -> Option<[usize; 3]> {
        None
    }

    /// Whether `window`, which is a chunk or such a band, is written already, as [`Stream::resume`](super::Stream::resume)
    /// asks.
    ///
    /// # Errors
    /// What the system says, or `io::Error::other`.
    fn has(&mut self, window: &Window) -> io::Result<bool> {
        let _ = window;
        Ok(false)
    }

    /// Called once after the last write, where none failed.
    ///
    /// # Errors
    /// What the system says, or `io::Error::other`.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// As [`Source::held`], while it writes.
    fn held(&self) -> u64 {
        0
    }
}

impl<T, F: FnMut(&Window, &mut [T]) -> io::Result<()> + Send> Source<T> for F {
    fn read(&mut self, window: &Window, to: &mut [T]) -> io::Result<()> {
        self(window, to)
    }
}

impl<T, F: FnMut(&Window, &[T]) -> io::Result<()> + Send> Sink<T> for F {
    fn write(&mut self, window: &Window, from: &[T]) -> io::Result<()> {
        self(window, from)
    }
}
