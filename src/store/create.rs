//! Arrays that are to be.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::axes::Axes;
use super::envi;
use super::flat::{Form, NewFlat, beside};
use super::npy;
use super::partial::Writer;
use super::sample::Sample;
use super::stored::{Kind, Stored};
use super::tiff::{Picture, SIDE};
use super::zarr::{Zarr, is_zarr};
use crate::stream::Sink;
use crate::{Element, Error, Layout, Result, Shape, Window};

/// What is beside the chunks of a Zarr array and tells of what job they are.
const JOB: &str = ".channelwise-job";

/// An array that is to be written: a Zarr array where the path ends with `.zarr`, an ENVI cube with `.hdr`, `.img`, `.dat`,
/// `.bsq`, `.bil` or `.bip`, a TIFF file with `.tif` or `.tiff` (BigTIFF from 4 GiB on), or else a `.npy` file.
///
/// ```
/// use channelwise::store::{Create, Stored};
/// use channelwise::{Conv2d, Engine, Kernel, Layout, Window};
/// # fn main() -> channelwise::Result<()> {
/// let folder = tempfile::tempdir().expect("a folder");
/// let path = folder.path().join("blurred.npy");
/// let blur = Engine::cpu().prepare::<u8, u8>(&Conv2d::new(Kernel::binomial(5)?), [60, 80, 3])?;
/// let mut flat = |_: &Window, to: &mut [u8]| Ok(to.fill(7));
/// let mut blurred = Create::new(&path).open::<u8>([60, 80, 3].into())?;
/// blur.stream(16 << 20).run(&mut flat, &mut blurred)?;
/// assert_eq!(Stored::open(&path, Layout::Nhwc)?.shape().dims(), [60, 80, 3]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "`open` makes it"]
pub struct Create<'a> {
    path: PathBuf,
    input: Option<&'a Stored>,
    layout: Layout,
    chunks: Option<(usize, usize)>,
    share: (usize, usize),
    resume: bool,
    /// Whether pixels stand where those of the input did.
    places: bool,
    /// Whether they are as large.
    scale: bool,
    alpha: bool,
    job: String,
}

/// Extensions of cubes.
const CUBES: [&str; 6] = ["hdr", "img", "dat", "bsq", "bil", "bip"];

/// And of pictures.
const PICTURES: [&str; 2] = ["tif", "tiff"];

impl<'a> Create<'a> {
    /// Of this path.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().into(),
            input: None,
            layout: Layout::Nhwc,
            chunks: None,
            share: (1, 1),
            resume: false,
            places: true,
            scale: true,
            alpha: false,
            job: String::new(),
        }
    }

    /// Whether a path is of a kind that can be made.
    #[must_use]
    pub fn is_known(path: impl AsRef<Path>) -> bool {
        let extension = path.as_ref().extension().map(|e| e.to_ascii_lowercase());
        let known = |e: &std::ffi::OsStr| {
            CUBES.iter().chain(&PICTURES).chain(&["npy", "zarr"]).any(|known| e == *known)
        };
        extension.is_some_and(|e| known(&e))
    }

    /// With the layout of `input`, and its chunks where both have such; where both are Zarr arrays with its version, codecs,
    /// attributes, names and fill value too, and where both are TIFF files with the meaning of its channels, its profile
    /// and its resolution as far as they stay true.
    pub fn like(self, input: &'a Stored) -> Self {
        Self { input: Some(input), layout: input.layout, ..self }
    }

    /// With axes in the order of this layout.
    pub fn layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// In chunks of so many rows and columns, of all channels of one image, or of one plane. Those of TIFF files are tiles,
    /// whose sides are multiples of 16.
    pub fn chunks(self, rows: usize, columns: usize) -> Self {
        Self { chunks: Some((rows, columns)), ..self }
    }

    /// Part `number` of `of` of it, counted from 1: [`Stream::share`](crate::stream::Stream::share). Whoever comes first
    /// makes it.
    pub fn share(self, number: usize, of: usize) -> Self {
        Self { share: (number, of), ..self }
    }

    /// Goes on with what is there, where there is such.
    pub fn resume(self) -> Self {
        Self { resume: true, ..self }
    }

    /// Whether each pixel stands where that of the input with its row and column did, so that what a cube's header
    /// says of places stays true, where the sizes are the same. Unless said, it does.
    pub fn same_places(self, places: bool) -> Self {
        Self { places, ..self }
    }

    /// Whether a pixel covers as much as one of the input, as it does unless a stride leaves some out, so that the
    /// resolution of a TIFF file stays true. Unless said, it does.
    pub fn same_scale(self, scale: bool) -> Self {
        Self { scale, ..self }
    }

    /// Whether the last channel of a TIFF file is alpha, where its input is none that says so. Unless said, it is not.
    pub fn alpha(self, alpha: bool) -> Self {
        Self { alpha, ..self }
    }

    /// A line that tells what is computed, so that nothing goes on with what another job left:
    /// [`Stored::fingerprint`] and the convolution, say.
    pub fn job(self, job: impl Into<String>) -> Self {
        let job: String = job.into();
        Self { job: job.split_whitespace().collect::<Vec<_>>().join(" "), ..self }
    }

    /// Makes it, for a tensor of this shape, or opens what others made of it.
    ///
    /// Without [`Create::resume`] and [`Create::share`] a Zarr array that is there is removed, and a file replaced once
    /// the new one is whole.
    ///
    /// # Errors
    /// [`Error::Argument`] for chunks without rows or columns; [`Error::File`] where it cannot be made, something else is
    /// there, or it is of another job.
    pub fn open<T: Element>(&self, shape: Shape) -> Result<Created<T>> {
        let failed = |why: String| Error::file(&self.path, why);
        let system = |error: io::Error| Error::file(&self.path, error);
        if let Some((rows, columns)) =
            self.chunks.filter(|(rows, columns)| *rows == 0 || *columns == 0)
        {
            let limit = "chunks have one row and one column at least";
            return Err(Error::argument("chunks", format!("{rows},{columns}"), limit));
        }
        let axes = match self.input {
            Some(input) => input.axes().of_output(shape),
            None => Axes::new(shape.dims(), self.layout)
                .ok_or_else(|| failed(format!("{shape} has too few axes")))?,
        };
        let extension = self.path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        let extension = extension.unwrap_or_default();
        let to = if extension == "zarr" {
            To::Zarr(Box::new(self.zarr::<T>(&axes).map_err(failed)?))
        } else if PICTURES.contains(&&extension[..]) {
            To::Flat(Box::new(self.picture::<T>(axes)?))
        } else {
            if let Some((rows, columns)) = self.chunks {
                let limit = "only Zarr arrays and TIFF files have chunks";
                return Err(Error::argument("chunks", format!("{rows},{columns}"), limit));
            }
            let cube = CUBES.contains(&&extension[..]);
            let new =
                if cube { self.cube::<T>(&axes)? } else { self.npy::<T>(axes).map_err(system)? };
            To::Flat(Box::new(new))
        };
        Ok(Created { to, element: PhantomData })
    }

    fn npy<T: Element>(&self, axes: Axes) -> io::Result<NewFlat> {
        let place = match self.path.is_symlink() {
            // What it points to is replaced.
            true => fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone()),
            false => self.path.clone(),
        };
        if place.is_dir() {
            return Err(io::Error::other("it is a directory"));
        }
        // Renaming would pass over this.
        if fs::metadata(&place).is_ok_and(|there| there.permissions().readonly()) {
            return Err(io::Error::other("the file there is read-only"));
        }
        let head = npy::header(T::TYPE, axes.dims());
        let bytes = |n: u64, m: &usize| n.checked_mul(*m as u64);
        let length = axes.dims().iter().try_fold(T::TYPE.bytes() as u64, bytes);
        let length = length.and_then(|bytes| bytes.checked_add(head.len() as u64));
        let length = length.ok_or_else(|| io::Error::other("its size cannot be counted"))?;
        let (number, of) = self.share;
        let writer = Writer { number, of, resume: self.resume, job: self.job.clone() };
        let sample = Sample::Plain(T::TYPE);
        let (form, header) = (Form::Numbers, None);
        let (open, whole) = (None, false);
        Ok(NewFlat { place, head, length, writer, sample, axes, form, header, open, whole })
    }

    fn picture<T: Element>(&self, axes: Axes) -> Result<NewFlat> {
        let failed = |why: String| Error::file(&self.path, why);
        if self.layout != Layout::Nhwc {
            let limit = "images are always [height, width, channels]";
            return Err(Error::argument("layout", format!("{:?}", self.layout), limit));
        }
        let (pages, size) = (axes.images(), [axes.rows(), axes.columns(), axes.channels()]);
        let sides = u32::try_from(size[0]).is_ok() && u32::try_from(size[1]).is_ok();
        if pages == 0 || size.contains(&0) || u16::try_from(size[2]).is_err() || !sides {
            let limit =
                "TIFF files hold one image at least, of 1 to 65535 channels and sides below 2^32";
            return Err(Error::argument("output", axes.shape(), limit));
        }
        let fits = |side: usize| side.is_multiple_of(SIDE) && u32::try_from(side).is_ok();
        if let Some((rows, columns)) = self.chunks.filter(|(r, c)| !fits(*r) || !fits(*c)) {
            let limit = "the sides of tiles in a TIFF file are multiples of 16";
            return Err(Error::argument("chunks", format!("{rows},{columns}"), limit));
        }
        let of_input =
            self.input.and_then(Stored::chunks).map(|[_, rows, columns]| (rows, columns));
        let tiles = self.chunks.or(of_input.filter(|(r, c)| fits(*r) && fits(*c)));
        let input = self.input.and_then(Stored::pages).map(|pages| &pages.tiff);
        // What several outputs of a channel mean is something else.
        let same = input.filter(|tiff| tiff.size()[2] == size[2]);
        let picture = Picture {
            pages,
            size,
            element: T::TYPE,
            // Three or four of unsaid meaning are seen as colours everywhere.
            rgb: same.map_or(matches!(size[2], 3 | 4), |tiff| tiff.is_rgb()),
            alpha: same.map_or(input.is_none() && self.alpha, |tiff| tiff.has_alpha()),
            icc: same.and_then(|tiff| tiff.icc()).map(<[u8]>::to_vec),
            resolution: input.and_then(|tiff| tiff.resolution()).filter(|_| self.scale),
            tiles,
        };
        let places = picture.places().map_err(failed)?;
        let new = self.npy::<T>(axes).map_err(|error| Error::file(&self.path, error))?;
        let (head, length) = (places.head.clone(), places.length);
        Ok(NewFlat { head, length, form: Form::Picture(Arc::new(places)), ..new })
    }

    fn cube<T: Element>(&self, axes: &Axes) -> Result<NewFlat> {
        let Some(sizes) = envi::sizes(axes, self.layout) else {
            let limit = "ENVI files hold one image, of one channel at least";
            return Err(Error::argument("output", axes.shape(), limit));
        };
        let Some(code) = envi::code(T::TYPE) else {
            let limit = "ENVI has no number for this type";
            return Err(Error::argument("element type of the output", T::TYPE, limit));
        };
        let system = |error: io::Error| Error::file(&self.path, error);
        let of_input = match self.input.map(|input| &input.kind) {
            Some(Kind::Flat(flat)) => flat.keys.as_ref(),
            Some(Kind::Tiff(_) | Kind::Zarr(_)) | None => None,
        };
        // In the order that the name says, or else `bip`.
        let pair = envi::Output::new(&self.path, None)
            .map_err(|refused| Error::file(&refused.path, refused.why))?;
        let keys = of_input.map(|keys| {
            let before = self.input.and_then(|input| envi::sizes(input.axes(), self.layout));
            let before = before.unwrap_or_default();
            let places = self.places && before[..2] == sizes[..2];
            keys.still_true(before[2] == sizes[2], places, T::TYPE)
        });
        let text = envi::text(sizes, code, pair.interleave, &keys.unwrap_or_default());
        let axes = Axes::new(&envi::dims(sizes, self.layout), self.layout);
        let axes = axes.ok_or_else(|| system(io::Error::other("it has too few axes")))?;
        let place = Self { path: pair.data, ..self.clone() };
        let new = place.npy::<T>(axes).map_err(system)?;
        let length = new.length - new.head.len() as u64;
        let form = Form::Cube(sizes, (self.layout, pair.interleave));
        let header = Some((pair.header, text));
        Ok(NewFlat { head: Vec::new(), length, form, header, ..new })
    }

    fn zarr<T: Element>(&self, axes: &Axes) -> std::result::Result<NewZarr, String> {
        let system = |error: io::Error| error.to_string();
        let replaced = self.share.1 == 1 && !self.resume && is_zarr(&self.path);
        let is_input = self.input.is_some_and(|input| {
            let same = |path: &Path| fs::canonicalize(path).ok();
            same(&input.path).is_some() && same(&input.path) == same(&self.path)
        });
        if is_input {
            return Err("it is the input: write to another place".into());
        }
        if replaced {
            // What is an array, and nothing else that a folder may hold.
            let there = Zarr::open(&self.path, self.layout);
            there.map_err(|why| format!("it is not replaced: {why}"))?;
        } else if self.path.is_file()
            || self.path.is_dir()
                && !is_zarr(&self.path)
                && fs::read_dir(&self.path).map_err(system)?.next().is_some()
        {
            return Err("something else is there".into());
        }
        let input = match self.input.map(|input| &input.kind) {
            Some(Kind::Zarr(zarr)) => Some(&**zarr),
            Some(Kind::Flat(_) | Kind::Tiff(_)) | None => None,
        };
        let of_tiles = self.input.and_then(Stored::pages).and_then(|pages| pages.tiff.tiles());
        let chunks = self.chunks.or(of_tiles).map(|(rows, columns)| {
            let mut chunks = vec![1; axes.dims().len()];
            chunks[axes.rows_axis()] = rows.min(axes.rows().max(1));
            chunks[axes.rows_axis() + 1] = columns.min(axes.columns().max(1));
            if let Some(channels) = chunks.get_mut(axes.rows_axis() + 2) {
                *channels = axes.channels().max(1);
            }
            chunks
        });
        let chunks = chunks.as_deref();
        let zarr = Zarr::like(&self.path, input, (axes, self.layout), T::TYPE, chunks)?;
        if !replaced {
            zarr.check()?;
        }
        let (place, job) = (self.path.clone(), self.job.clone());
        let fresh = self.share.1 == 1 && (replaced || !is_zarr(&self.path));
        let new = NewZarr { place, zarr, fresh, wrote: false, replaced, job };
        if !replaced {
            new.check().map_err(system)?;
        }
        Ok(new)
    }
}

/// A Zarr array that is to be, or is being written.
#[derive(Debug)]
struct NewZarr {
    place: PathBuf,
    zarr: Zarr,
    /// Whether it was made by this process, for itself.
    fresh: bool,
    wrote: bool,
    /// Whether one that is there goes first.
    replaced: bool,
    job: String,
}

impl NewZarr {
    /// Refuses chunks of another job.
    fn check(&self) -> io::Result<()> {
        let there = self.place.join(JOB);
        match fs::read_to_string(&there) {
            Ok(job) if job != self.job => Err(io::Error::other(format!(
                "its chunks are of another job than this: remove it, or write to another place \
                 (what it was is in {})",
                there.display()
            ))),
            _ => Ok(()),
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.replaced) {
            fs::remove_dir_all(&self.place)?;
        }
        self.check()?;
        self.zarr.begin()?;
        beside(&self.place.join(JOB), self.job.as_bytes())
    }

    /// Takes back what was begun, where nothing is in it. Whether nothing is left.
    fn discard(&self) -> bool {
        // Nothing is begun, and what is there is the array that was to go.
        if self.replaced {
            return true;
        }
        if !self.fresh || self.wrote {
            return false;
        }
        for name in self.zarr.keys().into_iter().chain([JOB]) {
            let _ = fs::remove_file(self.place.join(name));
        }
        // Not with what somebody else put there.
        let _ = fs::remove_dir(&self.place);
        !self.place.exists()
    }
}

/// An array that is being written: the other end of a [stream](mod@crate::stream).
///
/// ```
/// use channelwise::store::Create;
/// # fn main() -> channelwise::Result<()> {
/// let folder = tempfile::tempdir().expect("a folder");
/// let created = Create::new(folder.path().join("y.npy")).open::<f32>([100, 200, 3].into())?;
/// assert_eq!(created.dims(), [100, 200, 3]);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Created<T> {
    to: To,
    element: PhantomData<fn(T)>,
}

#[derive(Debug)]
enum To {
    Flat(Box<NewFlat>),
    Zarr(Box<NewZarr>),
}

impl<T> Created<T> {
    /// Sizes of its axes.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        match &self.to {
            To::Flat(flat) => flat.axes.dims(),
            To::Zarr(new) => new.zarr.axes().dims(),
        }
    }

    /// Takes back what [`Sink::begin`] made, where it is of this process alone and nothing is written yet: after a stream
    /// that failed at once, say. Whether nothing of it is left.
    ///
    /// ```
    /// use channelwise::Shape;
    /// use channelwise::store::Create;
    /// use channelwise::stream::Sink;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("y.npy");
    /// let mut created = Create::new(&path).open::<f32>(Shape::from([40, 30, 3]))?;
    /// created.begin()?;
    /// let partial = created.partial().unwrap().to_path_buf();
    /// assert!(partial.exists() && created.discard() && !partial.exists());
    /// # Ok(()) }
    /// ```
    pub fn discard(&mut self) -> bool {
        match &self.to {
            To::Flat(flat) => flat.discard(),
            To::Zarr(new) => new.discard(),
        }
    }

    /// Where what is written lies until all of it is there; `None` where it lies in its place.
    #[must_use]
    pub fn partial(&self) -> Option<&Path> {
        match &self.to {
            To::Flat(flat) => flat.partial(),
            To::Zarr(_) => None,
        }
    }
}

impl<T: Element> Sink<T> for Created<T> {
    fn begin(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Flat(flat) => flat.begin(),
            To::Zarr(new) => new.begin(),
        }
    }

    fn write(&mut self, window: &Window, from: &[T]) -> io::Result<()> {
        let from = bytemuck::cast_slice(from);
        match &mut self.to {
            To::Zarr(new) => {
                new.wrote = true;
                new.zarr.write(window, from)
            }
            To::Flat(flat) => flat.write(window, from),
        }
    }

    fn chunks(&self) -> Option<[usize; 3]> {
        match &self.to {
            To::Flat(flat) => flat.chunks(),
            To::Zarr(new) => new.zarr.chunks(),
        }
    }

    fn has(&mut self, window: &Window) -> io::Result<bool> {
        match &mut self.to {
            To::Flat(flat) => flat.has(window),
            To::Zarr(new) => new.zarr.has(window),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Flat(flat) => flat.finish(),
            To::Zarr(_) => Ok(()),
        }
    }

    fn held(&self) -> u64 {
        match &self.to {
            To::Flat(_) => 0,
            To::Zarr(new) => new.zarr.held(),
        }
    }
}
