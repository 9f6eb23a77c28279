//! A file of numbers on its way: of full length from the start, until all of them are there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::axes::Axes;
use super::envi::{self, Interleave};
use super::partial::{Partial, Writer};
use super::raw::Raw;
use super::sample::Sample;
use super::tiff::Places;
use crate::{Layout, Window};

/// A file of numbers that is to be, or is being written.
#[derive(Debug)]
pub(super) struct NewFlat {
    pub(super) place: PathBuf,
    pub(super) head: Vec<u8>,
    pub(super) length: u64,
    pub(super) writer: Writer,
    pub(super) sample: Sample,
    pub(super) axes: Axes,
    pub(super) form: Form,
    /// What is written beside it: where, and what.
    pub(super) header: Option<(PathBuf, String)>,
    pub(super) open: Option<(Partial, Open)>,
    /// Whether it has come to its place.
    pub(super) whole: bool,
}

/// How its numbers lie.
#[derive(Debug)]
pub(super) enum Form {
    /// One after the other.
    Numbers,
    /// The sizes and orders of the samples of a cube.
    Cube([usize; 3], (Layout, Interleave)),
    Picture(Arc<Places>),
}

/// A file that numbers go into.
#[derive(Debug)]
pub(super) enum Open {
    Raw(Raw),
    Picture(File, Arc<Places>),
}

impl Open {
    fn file(&self) -> &File {
        match self {
            Self::Raw(raw) => raw.file(),
            Self::Picture(file, _) => file,
        }
    }
}

impl NewFlat {
    pub(super) fn begin(&mut self) -> io::Result<()> {
        let Self { place, head, length, writer, sample, axes, .. } = self;
        // Of pixels without channels nothing is written, and all is there.
        let images = if axes.channels() == 0 { 0 } else { axes.images() };
        let whole = Window::new(0..images, 0..axes.rows(), 0..axes.columns());
        let (partial, file) = Partial::open(place, (head, *length), &whole, writer.clone())?;
        let (start, axes) = (head.len() as u64, axes.clone());
        let open = match &self.form {
            // Little-endian, as its header says.
            Form::Cube(sizes, orders) => {
                let foreign = cfg!(target_endian = "big") && sample.bytes() > 1;
                let raw = envi::raw(file, start, (*sample, foreign), *sizes, *orders);
                Open::Raw(raw.ok_or_else(|| io::Error::other("it has too few axes"))?)
            }
            Form::Numbers => Open::Raw(Raw::new(file, start, (*sample, false), axes)),
            Form::Picture(places) => Open::Picture(file, places.clone()),
        };
        self.open = Some((partial, open));
        Ok(())
    }

    fn opened(&mut self) -> io::Result<&mut (Partial, Open)> {
        self.open.as_mut().ok_or_else(|| io::Error::other("it is not begun"))
    }

    pub(super) fn write(&mut self, window: &Window, from: &[u8]) -> io::Result<()> {
        let (partial, open) = self.opened()?;
        match open {
            Open::Raw(raw) => raw.write(window, from)?,
            Open::Picture(file, places) => places.write(file, window, from)?,
        }
        partial.wrote(open.file(), window)
    }

    pub(super) fn has(&mut self, window: &Window) -> io::Result<bool> {
        Ok(self.opened()?.0.has(window))
    }

    /// Images, rows and columns that are best written together: a tile, if it has such.
    pub(super) fn chunks(&self) -> Option<[usize; 3]> {
        match &self.form {
            Form::Picture(places) => places.tiles().map(|(rows, columns)| [1, rows, columns]),
            Form::Numbers | Form::Cube(..) => None,
        }
    }

    /// Where what is written lies until all of it is there.
    pub(super) fn partial(&self) -> Option<&Path> {
        self.open.as_ref().filter(|_| !self.whole).map(|(partial, _)| partial.path())
    }

    /// Whether nothing is left of it, as nothing was written.
    pub(super) fn discard(&self) -> bool {
        self.open.as_ref().is_none_or(|(partial, _)| partial.discard())
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        let header = &self.header;
        let open = self.open.as_mut().ok_or_else(|| io::Error::other("it is not begun"))?;
        let (partial, open) = open;
        self.whole = partial.finish(open.file(), || match header {
            Some((path, text)) => beside(path, text.as_bytes()),
            None => Ok(()),
        })?;
        Ok(())
    }
}

/// Writes a small file whole to its place.
pub(super) fn beside(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}.new", std::process::id()));
    fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, path)).inspect_err(|_| {
        // Nobody else looks for it.
        let _ = fs::remove_file(&fresh);
    })
}
