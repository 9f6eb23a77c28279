//! Pixels on both sides of a filter that takes them part by part: made ready where they are read, and made pixels again
//! before they are written.

use std::io;

use channelwise::store::{Created, StoredSource};
use channelwise::stream::{Sink, Source};
use channelwise::{Element, Window};

use crate::pixels::Pixels;

/// Values that are made pixels at once.
const PIECE: usize = 1 << 16;

/// Pixels as a filter gets them. `T` is no wider than f32.
pub(crate) struct Decoded<'a, T> {
    pub(crate) from: StoredSource<'a, T>,
    pub(crate) pixels: Pixels,
    pub(crate) channels: usize,
}

impl<T: Element> Source<f32> for Decoded<'_, T> {
    fn read(&mut self, window: &Window, to: &mut [f32]) -> io::Result<()> {
        let size = size_of::<T>();
        // Where the values will be there is room for what they come from.
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(to);
        let count = bytes.len() / size_of::<f32>();
        self.from.read(window, bytemuck::cast_slice_mut(&mut bytes[..count * size]))?;
        // From the last on, so that none is written over before it is read.
        for n in (0..count).rev() {
            let value: T = bytemuck::pod_read_unaligned(&bytes[n * size..][..size]);
            bytes[n * size_of::<f32>()..][..size_of::<f32>()]
                .copy_from_slice(&value.to_f32().to_ne_bytes());
        }
        self.pixels.decode(to, self.channels);
        Ok(())
    }

    fn chunk(&self) -> (usize, usize) {
        self.from.chunk()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.from.finish()
    }

    fn held(&self) -> u64 {
        self.from.held()
    }
}

/// What a filter gave, as pixels.
pub(crate) struct Encoded<U> {
    pub(crate) to: Created<U>,
    pub(crate) pixels: Pixels,
    pub(crate) channels: usize,
}

impl<U: Element> Sink<f32> for Encoded<U> {
    fn begin(&mut self) -> io::Result<()> {
        self.to.begin()
    }

    fn write(&mut self, window: &Window, from: &[f32]) -> io::Result<()> {
        let mut pixels = Vec::new();
        pixels.try_reserve_exact(from.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let whole = (PIECE / self.channels.max(1)).max(1) * self.channels.max(1);
        let mut piece = Vec::with_capacity(whole.min(from.len()));
        for values in from.chunks(whole) {
            piece.clear();
            piece.extend_from_slice(values);
            self.pixels.encode(&mut piece, self.channels);
            pixels.extend(piece.iter().map(|v| U::from_f64(f64::from(*v))));
        }
        self.to.write(window, &pixels)
    }

    fn chunks(&self) -> Option<[usize; 3]> {
        self.to.chunks()
    }

    fn has(&mut self, window: &Window) -> io::Result<bool> {
        self.to.has(window)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.to.finish()
    }

    fn held(&self) -> u64 {
        self.to.held()
    }
}
