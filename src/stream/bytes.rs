//! Sources and sinks of any type, as bytes: the threads of a stream are compiled once.

use std::io;
use std::marker::PhantomData;

use super::{Sink, Source};
use crate::{Element, Window};

/// What a [`Source`] is to the threads.
pub(super) trait Reads: Send {
    fn read(&mut self, window: &Window, to: &mut [u8]) -> io::Result<()>;
}

/// What a [`Sink`] is to them.
pub(super) trait Writes: Send {
    fn write(&mut self, window: &Window, from: &[u8]) -> io::Result<()>;
}

/// A source or sink of elements.
pub(super) struct Of<'a, T, E>(&'a mut E, PhantomData<fn(T)>);

impl<'a, T, E> Of<'a, T, E> {
    pub(super) fn new(end: &'a mut E) -> Self {
        Self(end, PhantomData)
    }
}

impl<T: Element, S: Source<T>> Reads for Of<'_, T, S> {
    fn read(&mut self, window: &Window, to: &mut [u8]) -> io::Result<()> {
        self.0.read(window, bytemuck::cast_slice_mut(to))
    }
}

impl<T: Element, S: Sink<T>> Writes for Of<'_, T, S> {
    fn write(&mut self, window: &Window, from: &[u8]) -> io::Result<()> {
        self.0.write(window, bytemuck::cast_slice(from))
    }
}
