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
use super::tiff::{Tiff, is_tiff};
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
/// - TIFF and BigTIFF files of any number of channels, in strips and tiles, as `[height, width, channels]`. Colours of
///   palettes, CMYK and YCbCr become RGB; those that were multiplied with alpha are divided by it. Strips and tiles that
///   are packed are unpacked whole, so that one strip of a whole picture takes the memory of that.
///
/// Integers of 64 bits become f64, bool becomes bytes 0 and 1.
///
/// ```
/// use channelwise::store::{Create, Stored};
/// use channelwise::stream::Sink;
/// use channelwise::{ElementType, Layout, Window};
/// # fn main() -> channelwise::Result<()> {
///
/// let folder = tempfile::tempdir().expect("a folder");
/// let path = folder.path().join("x.npy");
/// let mut created = Create::new(&path).open::<u8>([2, 3].into())?;
/// created.begin().and_then(|()| created.write(&Window::new(0..1, 0..2, 0..3), &[1, 2, 3, 4, 5, 6])).expect("room");
/// created.finish().expect("room");
///
/// let stored = Stored::open(&path, Layout::Nhwc)?;
/// assert_eq!((stored.shape().dims(), stored.element_type()), (&[2, 3][..], ElementType::U8));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Stored {
    pub(super) path: PathBuf,
    pub(super) layout: Layout,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Flat(Box<Flat>),
    Tiff(Box<Pages>),
    Zarr(Box<Zarr>),
}

/// Pages of a file, and what it was when it was opened.
#[derive(Debug)]
pub(super) struct Pages {
    pub(super) tiff: Tiff<File>,
    axes: Axes,
    opened: Metadata,
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
    /// Opens a `.npy` file, an ENVI cube, the first page of a TIFF file or a folder with a Zarr array. `layout` tells
    /// what its axes are: `[..., height, width, channels]`, which are `[height, width]` where there are two, or
    /// `[..., channels, height, width]`. There may be any number of them in front.
    ///
    /// # Errors
    /// [`Error::File`] where it is not there, not of these kinds, or not whole.
    pub fn open(path: impl AsRef<Path>, layout: Layout) -> Result<Self> {
        Self::open_pages(path.as_ref(), layout, false)
    }

    /// [`Stored::open`], with all pages of a TIFF file as a batch, `[pages, height, width, channels]`.
    ///
    /// # Errors
    /// As there; and where pages differ.
    pub fn open_all(path: impl AsRef<Path>, layout: Layout) -> Result<Self> {
        Self::open_pages(path.as_ref(), layout, true)
    }

    fn open_pages(path: &Path, layout: Layout, all: bool) -> Result<Self> {
        let failed = |why: String| Error::file(path, why);
        let kind = if path.is_dir() {
            if !is_zarr(path) {
                return Err(failed("it is a folder without a Zarr array".into()));
            }
            Kind::Zarr(Box::new(Zarr::open(path, layout).map_err(failed)?))
        } else if let Some(header) = cube_header(path) {
            Kind::Flat(Box::new(open_envi(path, &header, layout)?))
        } else if is_tiff(&start(path)) {
            Kind::Tiff(Box::new(open_tiff(path, layout, all)?))
        } else {
            Kind::Flat(Box::new(open_npy(path, layout)?))
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
        let start = start(path);
        npy::is_npy(&start) || is_tiff(&start)
    }

    /// Whether it holds pixels, as a TIFF file does, rather than numbers of any meaning.
    #[must_use]
    pub fn is_image(&self) -> bool {
        matches!(self.kind, Kind::Tiff(_))
    }

    /// How many pages a TIFF file has, taken or not; one of other kinds.
    #[must_use]
    pub fn page_count(&self) -> usize {
        self.pages().map_or(1, |pages| pages.tiff.count())
    }

    /// Whether the last channel is alpha, as far as the file says so. It is filtered like a colour.
    #[must_use]
    pub fn has_alpha(&self) -> bool {
        self.pages().is_some_and(|pages| pages.tiff.has_alpha())
    }

    pub(super) fn pages(&self) -> Option<&Pages> {
        match &self.kind {
            Kind::Tiff(pages) => Some(pages),
            Kind::Flat(_) | Kind::Zarr(_) => None,
        }
    }

    pub(super) fn axes(&self) -> &Axes {
        match &self.kind {
            Kind::Flat(flat) => flat.raw.axes(),
            Kind::Tiff(pages) => &pages.axes,
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
            Kind::Tiff(pages) => pages.tiff.element(),
            Kind::Zarr(zarr) => zarr.element(),
        }
    }

    /// What is to be said of how elements are read where they are not taken as they are: as another type, say.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let sample = match &self.kind {
            Kind::Flat(flat) => flat.sample,
            Kind::Tiff(pages) => return pages.tiff.notes(),
            Kind::Zarr(zarr) => zarr.sample(),
        };
        match sample {
            Sample::Plain(_) => Vec::new(),
            Sample::Bool | Sample::I64 | Sample::U64 => {
                vec![format!("its {sample} elements are taken as {}", self.element_type())]
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What kind of file it is, for people.
    #[must_use]
    pub fn format(&self) -> &'static str {
        match &self.kind {
            Kind::Flat(flat) => flat.format,
            Kind::Tiff(_) => "TIFF",
            Kind::Zarr(zarr) => zarr.kind(),
        }
    }

    /// Images (or planes), rows and columns of its chunks, if it has such.
    #[must_use]
    pub fn chunks(&self) -> Option<[usize; 3]> {
        match &self.kind {
            Kind::Flat(_) => None,
            Kind::Tiff(pages) => pages.tiff.tiles().map(|(rows, columns)| [1, rows, columns]),
            Kind::Zarr(zarr) => zarr.chunks(),
        }
    }

    /// A line that tells it from another array, or from itself at another time: shape, type and packing, and of a file
    /// its length and when it was changed.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        match &self.kind {
            Kind::Flat(flat) => told(flat.format, &flat.opened),
            Kind::Tiff(pages) => told("TIFF", &pages.opened),
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

/// The first bytes of a file, as far as they tell what it is.
fn start(path: &Path) -> Vec<u8> {
    let mut start = Vec::new();
    // Nothing is taken out of pipes.
    if path.is_file()
        && let Ok(file) = File::open(path)
        // What cannot be read is of no kind.
        && io::Read::read_to_end(&mut io::Read::take(file, 8), &mut start).is_err()
    {
        start.clear();
    }
    start
}

/// What a file of this format was when it was opened.
fn told(format: &str, opened: &Metadata) -> String {
    let changed = opened.modified().ok();
    // A clock that is wrong may have been before 1970.
    let since = changed.map(|at| match at.duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => format!("{after:?}"),
        Err(before) => format!("-{:?}", before.duration()),
    });
    format!("{format} {} {}", opened.len(), since.unwrap_or_default())
}

/// Whether a file is still what it was.
fn unchanged(file: &File, opened: &Metadata) -> io::Result<()> {
    let now = file.metadata()?;
    if now.len() == opened.len() && now.modified().ok() == opened.modified().ok() {
        return Ok(());
    }
    Err(io::Error::other("the file changed while it was read"))
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

fn open_tiff(path: &Path, layout: Layout, all: bool) -> Result<Pages> {
    let failed = |why: String| Error::file(path, why);
    let system = |error: io::Error| Error::file(path, error);
    if layout != Layout::Nhwc {
        return Err(failed("images are always [height, width, channels]".into()));
    }
    let file = File::open(path).map_err(system)?;
    let opened = file.metadata().map_err(system)?;
    let tiff = Tiff::open(file, all).map_err(failed)?;
    if tiff.orientations().iter().any(|orientation| *orientation > 1) {
        return Err(failed(
            "it is stored turned (Orientation), which its parts are not read through: turn it first"
                .into(),
        ));
    }
    let mut dims = tiff.size().to_vec();
    if all {
        dims.insert(0, tiff.pages());
    }
    let axes = Axes::new(&dims, layout).ok_or_else(|| failed("it has too few axes".into()))?;
    Ok(Pages { tiff, axes, opened })
}

impl Pages {
    fn read(&self, window: &Window, to: &mut [u8]) -> io::Result<()> {
        let image = to.len() / window.images.len().max(1);
        for (page, to) in window.images.clone().zip(to.chunks_exact_mut(image.max(1))) {
            let read = self.tiff.read(page, window.rows.clone(), window.columns.clone(), to);
            read.map_err(io::Error::other)?;
        }
        Ok(())
    }
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
///
/// ```
/// use channelwise::store::{Create, Stored};
/// use channelwise::stream::{Sink, Source};
/// use channelwise::{Layout, Window};
/// # fn main() -> channelwise::Result<()> {
///
/// let folder = tempfile::tempdir().expect("a folder");
/// let path = folder.path().join("x.npy");
/// let mut created = Create::new(&path).open::<u8>([2, 3].into())?;
/// let (whole, column) = (Window::new(0..1, 0..2, 0..3), Window::new(0..1, 0..2, 1..2));
/// created.begin().and_then(|()| created.write(&whole, &[1, 2, 3, 4, 5, 6])).expect("room");
/// created.finish().expect("room");
///
/// let stored = Stored::open(&path, Layout::Nhwc)?;
/// let mut middle = [0; 2];
/// stored.source::<u8>()?.read(&column, &mut middle).expect("it is there");
/// assert_eq!(middle, [2, 5]);
/// # Ok(()) }
/// ```
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
            Kind::Tiff(pages) => pages.read(window, to),
            Kind::Zarr(zarr) => zarr.read(window, to),
        }
    }

    fn chunk(&self) -> (usize, usize) {
        match &self.stored.kind {
            Kind::Flat(_) => (1, 1),
            Kind::Tiff(pages) => pages.tiff.unpacked(),
            Kind::Zarr(zarr) => zarr.unpacked(),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match &self.stored.kind {
            Kind::Flat(flat) => unchanged(flat.raw.file(), &flat.opened),
            Kind::Tiff(pages) => unchanged(pages.tiff.file(), &pages.opened),
            Kind::Zarr(zarr) => zarr.unchanged(),
        }
    }

    fn held(&self) -> u64 {
        match &self.stored.kind {
            Kind::Flat(_) => 0,
            Kind::Tiff(pages) => pages.tiff.held(),
            Kind::Zarr(zarr) => zarr.held_to_read(),
        }
    }
}
