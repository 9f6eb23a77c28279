//! Zarr arrays, versions 2 and 3, in folders: chunks are packed and unpacked by the crate `zarrs`; what is read of
//! metadata, and how values come to their places, is here.
//!
//! ```text
//! array: windows of chunks ── metadata: what an array is, and one like it
//!   │
//! folder: keys and values
//! ```

mod blosc;
mod folder;
mod metadata;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use serde_json::Value;
use zarrs::array::{Array, ArrayBytes, ArrayMetadata, ArraySubset, CodecOptions};

use super::axes::Axes;
use super::sample::Sample;
use super::unpack;
use crate::memory::{self, NoRoom};
use crate::{ElementType, Layout, Window};
use folder::{Fetched, Folder};
use metadata::{Metadata, Said, Version};

/// Whether a folder is an array, or a group of such.
pub(super) fn is_zarr(path: &Path) -> bool {
    ["zarr.json", ".zarray", ".zgroup"].iter().any(|key| path.join(key).is_file())
}

/// An array that is there.
#[derive(Debug)]
pub(super) struct Zarr {
    folder: Arc<Folder>,
    metadata: Metadata,
    array: Array<Folder>,
    axes: Axes,
    sample: Sample,
    /// Along each axis, those that are files, if they are a regular grid, and those that are unpacked at once.
    chunks: Option<Vec<usize>>,
    unpacked: Vec<usize>,
}

/// What went wrong, for people.
type Result<T> = std::result::Result<T, String>;

/// The chunks that a box meets: how many, and which each is. A list of them could be longer than what is in them.
fn chunks_of(
    ranges: &[Range<usize>],
    size: &[usize],
) -> (usize, impl Fn(usize) -> Vec<u64> + Sync + use<>) {
    let along = |(range, size): (&Range<usize>, &usize)| {
        range.start / size..if range.is_empty() {
            range.start / size
        } else {
            range.end.div_ceil(*size)
        }
    };
    let along: Vec<_> = ranges.iter().zip(size).map(along).collect();
    // No more than elements of the box.
    let count = along.iter().map(ExactSizeIterator::len).product();
    let chunk = move |number: usize| {
        let mut rest = number;
        let mut chunk = vec![0; along.len()];
        for (place, along) in chunk.iter_mut().zip(&along).rev() {
            *place = (along.start + rest % along.len()) as u64;
            rest /= along.len();
        }
        chunk
    };
    (count, chunk)
}

/// What a chunk and a box have in common.
fn within(chunk: &[u64], size: &[usize], ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    let along = chunk.iter().zip(size).zip(ranges);
    along
        .map(|((n, size), range)| {
            let first = *n as usize * size;
            first.max(range.start)..(first + size).min(range.end)
        })
        .collect()
}

/// The elements of a box that follow one another in two others that hold it.
struct Runs<'a> {
    inner: &'a [Range<usize>],
    outer: (&'a [Range<usize>], &'a [Range<usize>]),
    size: usize,
    /// Bytes of a run.
    len: usize,
}

impl<'a> Runs<'a> {
    fn new(
        inner: &'a [Range<usize>],
        outer: (&'a [Range<usize>], &'a [Range<usize>]),
        size: usize,
    ) -> Self {
        // Along the last axis.
        let len = inner.last().map_or(0, ExactSizeIterator::len) * size;
        Self { inner, outer, size, len }
    }

    /// Where each begins in both, in bytes.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let axes = self.inner.len();
        let runs: usize = self.inner[..axes - 1].iter().map(ExactSizeIterator::len).product();
        (0..runs).map(move |number| {
            let (mut rest, mut places, mut steps) = (number, [0; 2], [1; 2]);
            for axis in (0..axes).rev() {
                let inner = &self.inner[axis];
                let mut at = inner.start;
                if axis + 1 < axes {
                    at += rest % inner.len();
                    rest /= inner.len();
                }
                let outer = [&self.outer.0[axis], &self.outer.1[axis]];
                for ((place, step), outer) in places.iter_mut().zip(&mut steps).zip(outer) {
                    *place += (at - outer.start) * *step;
                    *step *= outer.len();
                }
            }
            (places[0] * self.size, places[1] * self.size)
        })
    }
}

fn read_metadata(folder: &Folder) -> Result<Metadata> {
    let json = |key: &str| -> Result<Option<Value>> {
        let Some(bytes) = folder.bytes(key).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Some).map_err(|error| format!("its {key} is no JSON: {error}"))
    };
    if let Some(json) = json(Version::V3.key())? {
        return Ok(Metadata { version: Version::V3, json, attributes: None });
    }
    let Some(old) = json(Version::V2.key())? else {
        return Err("it is a group, or no Zarr array: name an array".into());
    };
    Ok(Metadata { version: Version::V2, json: old, attributes: json(".zattrs")? })
}

impl Zarr {
    pub(super) fn open(path: &Path, layout: Layout) -> Result<Self> {
        let folder = Folder::new(path);
        let metadata = read_metadata(&folder)?;
        Self::of(folder, metadata, layout)
    }

    fn of(folder: Arc<Folder>, metadata: Metadata, layout: Layout) -> Result<Self> {
        let Said { shape, sample, chunks, inner } = metadata.parse()?;
        let axes = Axes::new(&shape, layout)
            .ok_or_else(|| format!("its shape is {shape:?}, and two axes are needed at least"))?;
        let json = match (&metadata.json, &metadata.attributes) {
            (Value::Object(json), Some(attributes)) => {
                let attributes = [("attributes".to_string(), attributes.clone())];
                Value::Object(json.clone().into_iter().chain(attributes).collect())
            }
            (json, _) => json.clone(),
        };
        let parsed = match metadata.version {
            Version::V2 => serde_json::from_value(json).map(ArrayMetadata::V2),
            Version::V3 => serde_json::from_value(json).map(ArrayMetadata::V3),
        };
        let parsed = parsed.map_err(|error| format!("its metadata: {error}"))?;
        let array = Array::new_with_metadata(folder.clone(), "/", parsed);
        let array = array.map_err(|error| error.to_string())?;
        let unpacked = inner.or_else(|| chunks.clone()).unwrap_or_else(|| shape.clone());
        Ok(Self { folder, metadata, array, axes, sample, chunks, unpacked })
    }

    /// An array that is to be, like `input` where that is one. Nothing is written yet.
    pub(super) fn like(
        path: &Path,
        input: Option<&Self>,
        (axes, layout): (&Axes, Layout),
        element: ElementType,
        chunks: Option<&[usize]>,
    ) -> Result<Self> {
        let folder = Folder::new(path);
        let dims = axes.dims();
        let metadata = match input {
            Some(input) => input.metadata.of_output(dims, element, chunks)?,
            None => Metadata::new(dims, element, axes.rows_axis(), chunks),
        };
        Self::of(folder, metadata, layout)
    }

    /// Refuses another array than this in its place.
    pub(super) fn check(&self) -> Result<()> {
        match is_zarr(self.folder.root()) && read_metadata(&self.folder)?.json != self.metadata.json
        {
            true => Err("an array of another shape, type or packing is there".into()),
            false => Ok(()),
        }
    }

    /// Makes it, unless it is there.
    pub(super) fn begin(&self) -> io::Result<()> {
        if is_zarr(self.folder.root()) {
            return self.check().map_err(io::Error::other);
        }
        let put = |key: &str, json: &Value| self.folder.put(key, &serde_json::to_vec_pretty(json)?);
        if let Some(attributes) = &self.metadata.attributes {
            put(".zattrs", attributes)?;
        }
        // Whoever finds this finds all.
        put(self.metadata.version.key(), &self.metadata.json)
    }

    /// What `begin` writes.
    pub(super) fn keys(&self) -> [&'static str; 2] {
        [self.metadata.version.key(), ".zattrs"]
    }

    pub(super) fn axes(&self) -> &Axes {
        &self.axes
    }

    pub(super) fn element(&self) -> ElementType {
        self.sample.element()
    }

    pub(super) fn sample(&self) -> Sample {
        self.sample
    }

    /// For people.
    pub(super) fn kind(&self) -> &'static str {
        match self.metadata.version {
            Version::V2 => "Zarr 2",
            Version::V3 => "Zarr 3",
        }
    }

    /// What tells it from another array.
    pub(super) fn print(&self) -> String {
        self.metadata.json.to_string()
    }

    /// Images, rows and columns of a chunk that is a file.
    pub(super) fn chunks(&self) -> Option<[usize; 3]> {
        Some(self.sides(self.chunks.as_ref()?))
    }

    /// Rows and columns of those that are unpacked at once.
    pub(super) fn unpacked(&self) -> (usize, usize) {
        let [_, rows, columns] = self.sides(&self.unpacked);
        (rows, columns)
    }

    fn sides(&self, chunks: &[usize]) -> [usize; 3] {
        let rows = self.axes.rows_axis();
        let dims = self.axes.dims();
        // Images follow one another along the last of their axes; where its chunks end early, or there are chunks along
        // an outer one, whole runs of them are taken.
        let mut images = 1;
        for axis in (0..rows).rev() {
            let whole: usize = dims[axis + 1..rows].iter().product();
            if chunks[axis] == 1 {
                continue;
            }
            let fits = dims[axis].is_multiple_of(chunks[axis]) || chunks[axis] >= dims[axis];
            images = whole * if fits { chunks[axis].min(dims[axis]) } else { dims[axis] };
        }
        [images.max(1), chunks[rows], chunks[rows + 1]]
    }

    /// Bytes of a chunk that is unpacked at once, and of one that is a file.
    fn bytes(&self) -> (u64, u64) {
        let of = |chunk: &[usize]| {
            chunk.iter().fold(self.sample.bytes() as u64, |n, m| n.saturating_mul(*m as u64))
        };
        (of(&self.unpacked), of(self.chunks.as_ref().unwrap_or(&self.unpacked)))
    }

    /// Bytes that writing takes beside what is written: chunks unpacked and packed, for each thread, and what rows of
    /// chunks are gathered in.
    pub(super) fn held(&self) -> u64 {
        let (chunk, whole) = self.bytes();
        let threads = rayon::current_num_threads() as u64;
        threads.saturating_mul(chunk.saturating_mul(2).saturating_add(whole))
    }

    /// And that reading takes: those too that are fetched or wait for their places.
    pub(super) fn held_to_read(&self) -> u64 {
        let waiting = unpack::WAITING * rayon::current_num_threads();
        self.held().saturating_add((waiting as u64).saturating_mul(2 * self.bytes().1))
    }

    /// Reads a window as elements in this machine's order of bytes.
    pub(super) fn read(&self, window: &Window, to: &mut [u8]) -> io::Result<()> {
        let mut to = to;
        for ranges in self.axes.boxes(window) {
            let bytes = ranges.iter().fold(self.sample.bytes(), |n, range| n * range.len());
            let (part, rest) = to.split_at_mut(bytes.min(to.len()));
            to = rest;
            self.read_box(&ranges, part).map_err(io::Error::other)?;
            self.sample.decode(false, part);
        }
        Ok(())
    }

    /// A box, chunk by chunk.
    fn read_box(&self, ranges: &[Range<usize>], to: &mut [u8]) -> Result<()> {
        let size = self.chunks.as_ref().unwrap_or(&self.unpacked);
        let part = |chunk: &[u64]| within(chunk, size, ranges);
        // Of shards only parts may be needed.
        let whole = self.chunks.as_ref() == Some(&self.unpacked);
        let blosc = self.metadata.packed_by_blosc();
        let fetch = |chunk: &Vec<u64>| {
            let key = self.array.chunk_key(chunk);
            let wrong = |error: &dyn std::fmt::Display| format!("its chunk {key}: {error}");
            let fetched = whole.then(|| self.folder.fetch(key.as_str())).transpose();
            let fetched = fetched.map_err(|error| wrong(&error))?;
            // Those within a shard come to the codec alone.
            if let Some(value) = fetched.as_ref().filter(|_| blosc).and_then(Fetched::value) {
                blosc::check(&value, self.bytes().0).map_err(|error| wrong(&error))?;
            }
            Ok(fetched)
        };
        let unpack =
            |chunk: &Vec<u64>, _kept: Option<Fetched<'_>>| self.unpack(chunk, &part(chunk));
        let (count, chunk) = chunks_of(ranges, size);
        unpack::each((0..count).map(chunk), fetch, unpack, |chunk, data| {
            let within = part(chunk);
            let runs = Runs::new(&within, (&within, ranges), self.sample.bytes());
            for (from, at) in runs.places() {
                to[at..at + runs.len].copy_from_slice(&data[from..from + runs.len]);
            }
        })
    }

    /// A box within a chunk.
    fn unpack(&self, chunk: &[u64], within: &[Range<usize>]) -> Result<Vec<u8>> {
        let failed = |error: &dyn std::fmt::Display| {
            let key = self.array.chunk_key(chunk);
            format!("its chunk {key}: {error}")
        };
        let ranges: Vec<_> =
            within.iter().map(|range| range.start as u64..range.end as u64).collect();
        let subset = ArraySubset::new_with_ranges(&ranges);
        let bytes: ArrayBytes<'_> =
            self.array.retrieve_array_subset(&subset).map_err(|error| failed(&error))?;
        let bytes = bytes.into_fixed().map_err(|error| failed(&error))?;
        let needed = within.iter().fold(self.sample.bytes(), |n, range| n * range.len());
        if bytes.len() != needed {
            return Err(failed(&"its elements are not as large as its metadata say"));
        }
        Ok(bytes.into_owned())
    }

    /// Writes a window, which is of whole chunks.
    pub(super) fn write(&self, window: &Window, from: &[u8]) -> io::Result<()> {
        let Some(size) = &self.chunks else {
            return Err(io::Error::other("its chunks are no regular grid"));
        };
        let bytes = self.sample.bytes();
        let mut from = from;
        for ranges in self.axes.boxes(window) {
            let len = ranges.iter().fold(bytes, |n, range| n * range.len());
            let (part, rest) = from.split_at(len.min(from.len()));
            from = rest;
            let (count, chunk) = chunks_of(&ranges, size);
            (0..count).into_par_iter().map(chunk).try_for_each(|chunk| {
                let data = self.chunk(&chunk, size, (&ranges, part))?;
                let data = ArrayBytes::new_flen(data);
                // One of the filling value alone is a file too: what is there is known by that.
                let options = CodecOptions::default().with_store_empty_chunks(true);
                self.array.store_chunk_opt(&chunk, data, &options).map_err(|error| {
                    let key = self.array.chunk_key(&chunk);
                    io::Error::other(format!("its chunk {key}: {error}"))
                })
            })?;
        }
        Ok(())
    }

    /// A whole chunk, cut out of a box; what lies beyond the array's edge is the value that fills it.
    fn chunk(
        &self,
        chunk: &[u64],
        size: &[usize],
        (ranges, from): (&[Range<usize>], &[u8]),
    ) -> std::result::Result<Vec<u8>, NoRoom> {
        let (fill, count) = (self.array.fill_value().as_ne_bytes(), size.iter().product());
        let filled = std::iter::repeat_n(fill, count).flatten().copied();
        let mut data = memory::collected("a chunk", fill.len() * count, filled)?;
        let whole: Vec<_> = chunk
            .iter()
            .zip(size)
            .map(|(n, size)| *n as usize * size..(*n as usize + 1) * size)
            .collect();
        let within = within(chunk, size, ranges);
        let runs = Runs::new(&within, (&whole, ranges), self.sample.bytes());
        for (to, at) in runs.places() {
            data[to..to + runs.len].copy_from_slice(&from[at..at + runs.len]);
        }
        Ok(data)
    }

    /// Whether all chunks of a window are there.
    pub(super) fn has(&self, window: &Window) -> io::Result<bool> {
        let Some(size) = &self.chunks else { return Ok(false) };
        for ranges in self.axes.boxes(window) {
            let (count, chunk) = chunks_of(&ranges, size);
            for chunk in (0..count).map(chunk) {
                let key = self.array.chunk_key(&chunk);
                // A file without bytes is what a machine that lost its power may leave.
                if self.folder.len(key.as_str())?.is_none_or(|len| len == 0) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Refuses an array whose metadata are others than they were.
    pub(super) fn unchanged(&self) -> io::Result<()> {
        let now = read_metadata(&self.folder).map_err(io::Error::other)?;
        if now.json == self.metadata.json {
            return Ok(());
        }
        Err(io::Error::other("its metadata changed while it was read"))
    }
}
