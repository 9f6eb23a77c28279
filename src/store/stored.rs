//! Arrays that are there.

use std::fs::{File, Metadata};
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::axes::Axes;
use super::npy;
use super::raw::Raw;
use super::sample::Sample;
use super::zarr::{Zarr, is_zarr};
use crate::stream::Source;
use crate::{Element, ElementType, Error, Layout, Result, Shape, Window};

/// An array in a file or a folder, open for reading.
///
/// - `.npy` files of floats of 16 to 64 bits, integers and bool, in either order of bytes, of any size. Those in
///   Fortran order are read in small pieces, slowly.
/// - Zarr arrays of version 2 and 3 in folders, sharded or not, packed by zstd, blosc, gzip or not at all.
///
/// Integers of 64 bits become f64, bool becomes bytes 0 and 1.
#[derive(Debug)]
pub struct Stored {
    pub(super) path: PathBuf,
    pub(super) layout: Layout,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Npy(Box<Npy>),
    Zarr(Box<Zarr>),
}

/// A `.npy` file, and what it was when it was opened.
#[derive(Debug)]
pub(super) struct Npy {
    raw: Raw,
    sample: Sample,
    opened: Metadata,
}

impl Stored {
    /// Opens a `.npy` file or a folder with a Zarr array. `layout` tells what its axes are:
    /// `[..., height, width, channels]`, which are `[height, width]` where there are two, or
    /// `[..., channels, height, width]`. There may be any number of them in front.
    ///
    /// # Errors
    /// [`Error::File`] where it is not there, not of these kinds, or not whole.
    pub fn open(path: impl AsRef<Path>, layout: Layout) -> Result<Self> {
        let path = path.as_ref();
        let failed = |why: String| Error::file(path, why);
        let kind = if path.is_dir() {
            if !is_zarr(path) {
                return Err(failed("it is a folder without a Zarr array".into()));
            }
            Kind::Zarr(Box::new(Zarr::open(path, layout).map_err(failed)?))
        } else {
            Kind::Npy(Box::new(open_npy(path, layout)?))
        };
        Ok(Self { path: path.into(), layout, kind })
    }

    /// Whether `path` is of a kind that [`Stored::open`] knows: by the first bytes of a file, and by what is in a folder.
    #[must_use]
    pub fn is_known(path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        if path.is_dir() {
            return is_zarr(path);
        }
        let mut start = Vec::new();
        let read = path.is_file().then(|| File::open(path));
        let read = read.and_then(|file| {
            let file = file.ok()?;
            io::Read::read_to_end(&mut io::Read::take(file, 6), &mut start).ok()
        });
        read.is_some() && npy::is_npy(&start)
    }

    pub(super) fn axes(&self) -> &Axes {
        match &self.kind {
            Kind::Npy(npy) => npy.raw.axes(),
            Kind::Zarr(zarr) => zarr.axes(),
        }
    }

    /// As a tensor: of more than four axes the leading ones are one.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.axes().shape()
    }

    /// Sizes of all axes, as they are stored.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        self.axes().dims()
    }

    /// What its elements are read as.
    #[must_use]
    pub fn element_type(&self) -> ElementType {
        match &self.kind {
            Kind::Npy(npy) => npy.raw.element(),
            Kind::Zarr(zarr) => zarr.element(),
        }
    }

    /// What is to be said where elements are read as another type than they are: `int64`, say.
    #[must_use]
    pub fn converted(&self) -> Option<String> {
        let sample = match &self.kind {
            Kind::Npy(npy) => npy.sample,
            Kind::Zarr(zarr) => zarr.sample(),
        };
        match sample {
            Sample::Plain(_) => None,
            Sample::Bool | Sample::I64 | Sample::U64 => Some(sample.to_string()),
        }
    }

    /// What kind of file it is, for people.
    #[must_use]
    pub fn format(&self) -> &'static str {
        match &self.kind {
            Kind::Npy(_) => "npy",
            Kind::Zarr(zarr) => zarr.kind(),
        }
    }

    /// Images (or planes), rows and columns of its chunks, if it has such.
    #[must_use]
    pub fn chunks(&self) -> Option<[usize; 3]> {
        match &self.kind {
            Kind::Npy(_) => None,
            Kind::Zarr(zarr) => zarr.chunks(),
        }
    }

    /// A line that tells it from another array, or from itself at another time: shape, type and packing, and of a file
    /// its length and when it was changed.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        match &self.kind {
            Kind::Npy(npy) => {
                let opened = &npy.opened;
                let changed = opened.modified().ok();
                let since = changed.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
                format!("npy {} {:?}", opened.len(), since.unwrap_or_default())
            }
            Kind::Zarr(zarr) => zarr.print(),
        }
    }

    /// The array as one end of a [stream](mod@crate::stream).
    ///
    /// # Errors
    /// [`Error::Argument`] where `T` is not its [`Stored::element_type`].
    pub fn source<T: Element>(&self) -> Result<StoredSource<'_, T>> {
        let element = self.element_type();
        if T::TYPE != element {
            let limit = format!("{} holds {element}", self.path.display());
            return Err(Error::argument("element type of the input", T::TYPE, limit));
        }
        Ok(StoredSource { stored: self, element: PhantomData })
    }
}

fn open_npy(path: &Path, layout: Layout) -> Result<Npy> {
    let failed = |why: String| Error::file(path, why);
    let system = |error: io::Error| Error::file(path, error);
    let file = File::open(path).map_err(system)?;
    let opened = file.metadata().map_err(system)?;
    let header = npy::read(&file).map_err(system)?.map_err(failed)?;
    let (sample, foreign) = header.sample().map_err(failed)?;
    let shape = &header.shape;
    let needed = header.len(sample.bytes());
    let needed = needed.ok_or_else(|| failed(format!("its shape {shape:?} cannot be counted")))?;
    let there = opened.len().saturating_sub(header.data as u64);
    if there != needed as u64 {
        let what =
            if there < needed as u64 { "the file is truncated" } else { "bytes follow the data" };
        return Err(failed(format!(
            "{what}: shape {shape:?} needs {needed} bytes of data, {there} are there"
        )));
    }
    let axes = Axes::new(shape, layout).ok_or_else(|| {
        failed(format!("its shape is {shape:?}, and two axes are needed at least"))
    })?;
    let kind = (sample, foreign);
    let offset = header.data as u64;
    let raw = if header.fortran {
        let order: Vec<usize> = (0..shape.len()).collect();
        Raw::ordered(file, offset, kind, axes, &order)
    } else {
        Raw::new(file, offset, kind, axes)
    };
    Ok(Npy { raw, sample, opened })
}

/// What [`Stored::source`] gives.
#[derive(Debug)]
pub struct StoredSource<'a, T> {
    stored: &'a Stored,
    element: PhantomData<fn() -> T>,
}

impl<T: Element> Source<T> for StoredSource<'_, T> {
    fn read(&mut self, window: &Window, to: &mut [T]) -> io::Result<()> {
        let to = bytemuck::cast_slice_mut(to);
        match &self.stored.kind {
            Kind::Npy(npy) => npy.raw.read(window, to),
            Kind::Zarr(zarr) => zarr.read(window, to),
        }
    }

    fn chunk(&self) -> (usize, usize) {
        match &self.stored.kind {
            Kind::Npy(_) => (1, 1),
            Kind::Zarr(zarr) => zarr.unpacked(),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match &self.stored.kind {
            Kind::Npy(npy) => {
                let Npy { raw, opened, .. } = &**npy;
                let now = raw.file().metadata()?;
                if now.len() == opened.len() && now.modified().ok() == opened.modified().ok() {
                    return Ok(());
                }
                Err(io::Error::other("the file changed while it was read"))
            }
            Kind::Zarr(zarr) => zarr.unchanged(),
        }
    }

    fn held(&self) -> u64 {
        match &self.stored.kind {
            Kind::Npy(_) => 0,
            Kind::Zarr(zarr) => zarr.held(),
        }
    }
}
