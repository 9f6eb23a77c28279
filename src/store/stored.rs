//! Arrays that are there.

use std::fs::{File, Metadata};
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::axes::Axes;
use super::envi::{self, Keys};
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
/// - ENVI cubes, by their header or their data, in any order of samples and bytes. Those in another order than the
///   layout's are read in runs of lines or bands.
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
    Flat(Box<Flat>),
    Zarr(Box<Zarr>),
}

/// A file of numbers that are not packed, and what it was when it was opened.
#[derive(Debug)]
pub(super) struct Flat {
    raw: Raw,
    sample: Sample,
    opened: Metadata,
    format: &'static str,
    /// What the header of a cube says beside.
    pub(super) keys: Option<Keys>,
}

impl Stored {
    /// Opens a `.npy` file, an ENVI cube or a folder with a Zarr array. `layout` tells what its axes are:
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
            Kind::Flat(Box::new(match cube_header(path) {
                Some(header) => open_envi(path, &header, layout)?,
                None => open_npy(path, layout)?,
            }))
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
        if cube_header(path).is_some() {
            return true;
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
            Kind::Flat(flat) => flat.raw.axes(),
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
            Kind::Flat(flat) => flat.raw.element(),
            Kind::Zarr(zarr) => zarr.element(),
        }
    }

    /// What is to be said where elements are read as another type than they are: `int64`, say.
    #[must_use]
    pub fn converted(&self) -> Option<String> {
        let sample = match &self.kind {
            Kind::Flat(flat) => flat.sample,
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
            Kind::Flat(flat) => flat.format,
            Kind::Zarr(zarr) => zarr.kind(),
        }
    }

    /// Images (or planes), rows and columns of its chunks, if it has such.
    #[must_use]
    pub fn chunks(&self) -> Option<[usize; 3]> {
        match &self.kind {
            Kind::Flat(_) => None,
            Kind::Zarr(zarr) => zarr.chunks(),
        }
    }

    /// A line that tells it from another array, or from itself at another time: shape, type and packing, and of a file
    /// its length and when it was changed.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        match &self.kind {
            Kind::Flat(flat) => {
                let opened = &flat.opened;
                let changed = opened.modified().ok();
                let since = changed.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
                format!("{} {} {:?}", flat.format, opened.len(), since.unwrap_or_default())
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

/// The header of a cube that `path` names, itself or its data. What is called otherwise than these are is none.
fn cube_header(path: &Path) -> Option<PathBuf> {
    const CUBES: [&str; 7] = ["hdr", "img", "dat", "bsq", "bil", "bip", "raw"];
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let may_be = extension.is_none_or(|extension| CUBES.contains(&&extension[..]));
    if may_be { envi::header_of(path) } else { None }
}

fn open_envi(path: &Path, header: &Path, layout: Layout) -> Result<Flat> {
    let (data, said) = match envi::find(path, header) {
        Ok(found) => (found.data, found.header),
        Err((path, why)) => return Err(Error::file(&path, why)),
    };
    let failed = |why: String| Error::file(&data, why);
    let system = |error: io::Error| Error::file(&data, error);
    let file = File::open(&data).map_err(system)?;
    let opened = file.metadata().map_err(system)?;
    let range = said.range(opened.len()).map_err(failed)?;
    let foreign = said.big_endian == cfg!(target_endian = "little");
    let kind = (said.kind, foreign && said.kind.bytes() > 1);
    let sizes = [said.lines, said.samples, said.bands];
    let raw = envi::raw(file, range.start as u64, kind, sizes, (layout, said.interleave));
    let raw = raw.ok_or_else(|| failed("it has too few axes".into()))?;
    let keys = Some(said.keys);
    Ok(Flat { raw, sample: said.kind, opened, format: "ENVI", keys })
}

fn open_npy(path: &Path, layout: Layout) -> Result<Flat> {
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
    Ok(Flat { raw, sample, opened, format: "npy", keys: None })
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
            Kind::Flat(flat) => flat.raw.read(window, to),
            Kind::Zarr(zarr) => zarr.read(window, to),
        }
    }

    fn chunk(&self) -> (usize, usize) {
        match &self.stored.kind {
            Kind::Flat(_) => (1, 1),
            Kind::Zarr(zarr) => zarr.unpacked(),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match &self.stored.kind {
            Kind::Flat(flat) => {
                let Flat { raw, opened, .. } = &**flat;
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
            Kind::Flat(_) => 0,
            Kind::Zarr(zarr) => zarr.held(),
        }
    }
}
