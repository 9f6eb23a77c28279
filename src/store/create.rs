//! Arrays that are to be.

use std::fs::{self, File};
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
            let (partial, raw) = self.npy::<T>(axes).map_err(system)?;
            To::Npy { raw: Box::new(raw), partial: Box::new(partial), whole: false }
        };
        Ok(Created { to, element: PhantomData })
    }

    fn npy<T: Element>(&self, axes: Axes) -> io::Result<(Partial, Raw)> {
        let path = match self.path.is_symlink() {
            // What it points to is replaced.
            true => fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone()),
            false => self.path.clone(),
        };
        if path.is_dir() {
            return Err(io::Error::other("it is a directory"));
        }
        let head = npy::header(T::TYPE, axes.dims());
        let length =
            axes.dims().iter().try_fold(T::TYPE.bytes() as u64, |n, m| n.checked_mul(*m as u64));
        let length = length.and_then(|bytes| bytes.checked_add(head.len() as u64));
        let length = length.ok_or_else(|| io::Error::other("its size cannot be counted"))?;
        let whole = Window::new(0..axes.images(), 0..axes.rows(), 0..axes.columns());
        let (number, of) = self.share;
        let writer = Writer { number, of, resume: self.resume, job: self.job.clone() };
        let (partial, file) = Partial::open(&path, (&head, length), &whole, writer)?;
        let raw = Raw::new(file, head.len() as u64, (Sample::Plain(T::TYPE), false), axes);
        Ok((partial, raw))
    }

    fn zarr<T: Element>(&self, axes: &Axes) -> std::result::Result<Zarr, String> {
        let system = |error: io::Error| error.to_string();
        let alone = self.share.1 == 1 && !self.resume;
        if is_zarr(&self.path) && alone {
            let is_input = self.input.is_some_and(|input| {
                let same = |path: &Path| fs::canonicalize(path).ok();
                same(&input.path).is_some() && same(&input.path) == same(&self.path)
            });
            if is_input {
                return Err("it is the input: write to another place".into());
            }
            // What is an array, and nothing else that a folder may hold.
            Zarr::open(&self.path, self.layout)
                .map_err(|why| format!("it is not replaced: {why}"))?;
            fs::remove_dir_all(&self.path).map_err(system)?;
        } else if self.path.is_file()
            || self.path.is_dir()
                && !is_zarr(&self.path)
                && fs::read_dir(&self.path).map_err(system)?.next().is_some()
        {
            return Err("something else is there".into());
        }
        let element = T::TYPE;
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
        let there = self.path.join(JOB);
        match fs::read_to_string(&there) {
            Ok(job) if job != self.job => {
                return Err(format!(
                    "its chunks are of another job than this: remove it, or write to another place \
                     (what it was is in {})",
                    there.display()
                ));
            }
            _ => {}
        }
        let made =
            Zarr::create(&self.path, input, (axes, self.layout), element, chunks.as_deref())?;
        let mut beside = there.clone().into_os_string();
        beside.push(format!(".{}", std::process::id()));
        fs::write(&beside, &self.job).and_then(|()| fs::rename(&beside, &there)).map_err(system)?;
        Ok(made)
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
    Npy { raw: Box<Raw>, partial: Box<Partial>, whole: bool },
    Zarr(Box<Zarr>),
}

impl<T> Created<T> {
    /// Where what is written lies until all of it is there; `None` where it lies in its place.
    #[must_use]
    pub fn partial(&self) -> Option<&Path> {
        match &self.to {
            To::Npy { partial, whole: false, .. } => Some(partial.path()),
            To::Npy { whole: true, .. } | To::Zarr(_) => None,
        }
    }
}

fn file(raw: &Raw) -> &File {
    raw.file()
}

impl<T: Element> Sink<T> for Created<T> {
    fn write(&mut self, window: &Window, from: &[T]) -> io::Result<()> {
        let from = bytemuck::cast_slice(from);
        match &mut self.to {
            To::Zarr(zarr) => zarr.write(window, from),
            To::Npy { raw, partial, .. } => {
                raw.write(window, from)?;
                partial.wrote(file(raw), window)
            }
        }
    }

    fn chunks(&self) -> Option<[usize; 3]> {
        match &self.to {
            To::Npy { .. } => None,
            To::Zarr(zarr) => zarr.chunks(),
        }
    }

    fn has(&mut self, window: &Window) -> io::Result<bool> {
        match &self.to {
            To::Npy { partial, .. } => Ok(partial.has(window)),
            To::Zarr(zarr) => zarr.has(window),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Npy { raw, partial, whole } => {
                *whole = partial.finish(file(raw))?;
                Ok(())
            }
            To::Zarr(_) => Ok(()),
        }
    }

    fn held(&self) -> u64 {
        match &self.to {
            To::Npy { .. } => 0,
            To::Zarr(zarr) => zarr.held(),
        }
    }
}
