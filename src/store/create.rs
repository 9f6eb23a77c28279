//! Arrays that are to be.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use super::axes::Axes;
use super::npy;
use super::partial::{Partial, Writer};
use super::raw::Raw;
use super::sample::Sample;
use super::stored::{Kind, Stored};
use super::zarr::{Zarr, is_zarr};
use crate::stream::Sink;
use crate::{Element, Error, Layout, Result, Shape, Window};

/// What is beside the chunks of a Zarr array and tells of what job they are.
const JOB: &str = ".channelwise-job";

/// An array that is to be written: a `.npy` file, or a Zarr array where the path ends with `.zarr`.
#[derive(Clone, Debug)]
#[must_use = "`open` makes it"]
pub struct Create<'a> {
    path: PathBuf,
    input: Option<&'a Stored>,
    layout: Layout,
    chunks: Option<(usize, usize)>,
    share: (usize, usize),
    resume: bool,
    job: String,
}

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
            job: String::new(),
        }
    }

    /// Whether a path is of a kind that can be made.
    #[must_use]
    pub fn is_known(path: impl AsRef<Path>) -> bool {
        let extension = path.as_ref().extension().map(|e| e.to_ascii_lowercase());
        extension.is_some_and(|e| e == "npy" || e == "zarr")
    }

    /// With the layout of `input`; and where both are Zarr arrays with its version, chunks, codecs, attributes, names and
    /// fill value too.
    pub fn like(self, input: &'a Stored) -> Self {
        Self { input: Some(input), layout: input.layout, ..self }
    }

    /// With axes in the order of this layout.
    pub fn layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// In chunks of so many rows and columns, of all channels of one image, or of one plane.
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
        let is_zarr_name =
            self.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("zarr"));
        let to = if is_zarr_name {
            To::Zarr(Box::new(self.zarr::<T>(&axes).map_err(failed)?))
        } else {
            if let Some((rows, columns)) = self.chunks {
                let limit = "only Zarr arrays have chunks";
                return Err(Error::argument("chunks", format!("{rows},{columns}"), limit));
            }
            To::Npy(Box::new(self.npy::<T>(axes).map_err(system)?))
        };
        Ok(Created { to, element: PhantomData })
    }

    fn npy<T: Element>(&self, axes: Axes) -> io::Result<NewNpy> {
        let place = match self.path.is_symlink() {
            // What it points to is replaced.
            true => fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone()),
            false => self.path.clone(),
        };
        if place.is_dir() {
            return Err(io::Error::other("it is a directory"));
        }
        let head = npy::header(T::TYPE, axes.dims());
        let bytes = |n: u64, m: &usize| n.checked_mul(*m as u64);
        let length = axes.dims().iter().try_fold(T::TYPE.bytes() as u64, bytes);
        let length = length.and_then(|bytes| bytes.checked_add(head.len() as u64));
        let length = length.ok_or_else(|| io::Error::other("its size cannot be counted"))?;
        let (number, of) = self.share;
        let writer = Writer { number, of, resume: self.resume, job: self.job.clone() };
        let sample = Sample::Plain(T::TYPE);
        Ok(NewNpy { place, head, length, writer, sample, axes, open: None, whole: false })
    }

    fn zarr<T: Element>(&self, axes: &Axes) -> std::result::Result<NewZarr, String> {
        let system = |error: io::Error| error.to_string();
        let replaced = self.share.1 == 1 && !self.resume && is_zarr(&self.path);
        if replaced {
            let is_input = self.input.is_some_and(|input| {
                let same = |path: &Path| fs::canonicalize(path).ok();
                same(&input.path).is_some() && same(&input.path) == same(&self.path)
            });
            if is_input {
                return Err("it is the input: write to another place".into());
            }
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
        let chunks = self.chunks.map(|(rows, columns)| {
            let mut chunks = vec![1; axes.dims().len()];
            chunks[axes.rows_axis()] = rows.min(axes.rows().max(1));
            chunks[axes.rows_axis() + 1] = columns.min(axes.columns().max(1));
            if let Some(channels) = chunks.get_mut(axes.rows_axis() + 2) {
                *channels = axes.channels().max(1);
            }
            chunks
        });
        let input = match self.input.map(|input| &input.kind) {
            Some(Kind::Zarr(zarr)) => Some(&**zarr),
            Some(Kind::Npy(_)) | None => None,
        };
        let chunks = chunks.as_deref();
        let zarr = Zarr::like(&self.path, input, (axes, self.layout), T::TYPE, chunks)?;
        if !replaced {
            zarr.check()?;
        }
        let new = NewZarr { place: self.path.clone(), zarr, replaced, job: self.job.clone() };
        if !replaced {
            new.check().map_err(system)?;
        }
        Ok(new)
    }
}

/// A `.npy` file that is to be, or is being written.
#[derive(Debug)]
struct NewNpy {
    place: PathBuf,
    head: Vec<u8>,
    length: u64,
    writer: Writer,
    sample: Sample,
    axes: Axes,
    open: Option<(Partial, Raw)>,
    /// Whether it has come to its place.
    whole: bool,
}

impl NewNpy {
    fn begin(&mut self) -> io::Result<()> {
        let Self { place, head, length, writer, sample, axes, .. } = self;
        let whole = Window::new(0..axes.images(), 0..axes.rows(), 0..axes.columns());
        let (partial, file) = Partial::open(place, (head, *length), &whole, writer.clone())?;
        let raw = Raw::new(file, head.len() as u64, (*sample, false), axes.clone());
        self.open = Some((partial, raw));
        Ok(())
    }

    fn opened(&mut self) -> io::Result<&mut (Partial, Raw)> {
        self.open.as_mut().ok_or_else(|| io::Error::other("it is not begun"))
    }
}

/// A Zarr array that is to be, or is being written.
#[derive(Debug)]
struct NewZarr {
    place: PathBuf,
    zarr: Zarr,
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
        let there = self.place.join(JOB);
        let fresh = self.place.join(format!("{JOB}.{}", std::process::id()));
        fs::write(&fresh, &self.job).and_then(|()| fs::rename(&fresh, &there))
    }
}

/// An array that is being written: the other end of a [stream](mod@crate::stream).
#[derive(Debug)]
pub struct Created<T> {
    to: To,
    element: PhantomData<fn(T)>,
}

#[derive(Debug)]
enum To {
    Npy(Box<NewNpy>),
    Zarr(Box<NewZarr>),
}

impl<T> Created<T> {
    /// Sizes of its axes.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        match &self.to {
            To::Npy(npy) => npy.axes.dims(),
            To::Zarr(new) => new.zarr.axes().dims(),
        }
    }

    /// Where what is written lies until all of it is there; `None` where it lies in its place.
    #[must_use]
    pub fn partial(&self) -> Option<&Path> {
        match &self.to {
            To::Npy(npy) if !npy.whole => npy.open.as_ref().map(|(partial, _)| partial.path()),
            To::Npy(_) | To::Zarr(_) => None,
        }
    }
}

impl<T: Element> Sink<T> for Created<T> {
    fn begin(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Npy(npy) => npy.begin(),
            To::Zarr(new) => new.begin(),
        }
    }

    fn write(&mut self, window: &Window, from: &[T]) -> io::Result<()> {
        let from = bytemuck::cast_slice(from);
        match &mut self.to {
            To::Zarr(new) => new.zarr.write(window, from),
            To::Npy(npy) => {
                let (partial, raw) = npy.opened()?;
                raw.write(window, from)?;
                partial.wrote(raw.file(), window)
            }
        }
    }

    fn chunks(&self) -> Option<[usize; 3]> {
        match &self.to {
            To::Npy(_) => None,
            To::Zarr(new) => new.zarr.chunks(),
        }
    }

    fn has(&mut self, window: &Window) -> io::Result<bool> {
        match &mut self.to {
            To::Npy(npy) => Ok(npy.opened()?.0.has(window)),
            To::Zarr(new) => new.zarr.has(window),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Npy(npy) => {
                let (partial, raw) = npy.opened()?;
                npy.whole = partial.finish(raw.file())?;
                Ok(())
            }
            To::Zarr(_) => Ok(()),
        }
    }

    fn held(&self) -> u64 {
        match &self.to {
            To::Npy(_) => 0,
            To::Zarr(new) => new.zarr.held(),
        }
    }
}
