//! Pages as pixels, window by window.

use std::ops::Range;

use super::chunk::{self, row_bytes};
use super::colours::Colours;
use super::page::{Page, compression, name};
use super::pages::pages;
use super::samples::Samples;
use super::{Resolution, Result};
use crate::ElementType;
use crate::store::positioned::At;
use crate::store::sample::swap;
use crate::store::wide::Wide;
use crate::store::{room, unpack};

/// Pages of a TIFF file, all of one size and kind, as pixels `[height, width, channels]`.
#[doc(hidden)]
#[derive(Debug)]
pub struct Tiff<B> {
    file: B,
    pages: Vec<Page>,
    /// How many there are, taken or not.
    count: usize,
    samples: Samples,
    colours: Vec<Colours>,
    wide: Wide,
}

/// Number of the chunk of a plane that lies so many below the first and right of it.
fn number(page: &Page, plane: usize, (below, right): (usize, usize)) -> usize {
    let (across, down) = page.grid();
    (plane * down + below) * across + right
}

/// Refuses strips that are not packed and end before their last row.
fn are_whole(page: &Page) -> Result<()> {
    let row = row_bytes(page.width, page.samples, page.bits).map(|row| row as u64);
    let (high, height) = (page.chunk.1, page.height);
    let short = page.chunks.iter().enumerate().position(|(number, (_, length))| {
        let rows = high.min(height - number * high) as u64;
        row.and_then(|row| row.checked_mul(rows)).is_none_or(|needed| needed > *length)
    });
    short.map_or(Ok(()), |number| Err(chunk::short(page, number)))
}

/// How many bytes of samples a byte of a chunk is at most, by its packing; of FAX a row of any width is one bit.
fn most_unpacked(compression: u16) -> Option<u64> {
    match compression {
        compression::NONE => Some(1),
        compression::PACK_BITS => Some(64),
        // Strings of all 4096 codes, and of 12 bits each.
        compression::LZW => Some(4096 * 2 / 3),
        // Two bits a block of 64 samples, and where some colours have fewer, up to five times as many.
        compression::JPEG => Some(2048),
        compression::FAX4 => None,
        // Deflate.
        _ => Some(1032),
    }
}

/// Refuses chunks that hold more than their bytes explain, before there is memory for them.
fn are_explained(page: &Page) -> Result<()> {
    let samples = page.samples / page.planes();
    let row = row_bytes(page.chunk.0, samples, page.bits).map(|row| row as u64);
    let (across, down) = page.grid();
    let asks_for_more = |(number, (_, length)): (usize, &(u64, u64))| {
        // The last ones may end with the picture.
        let below = page.height - number / across % down * page.chunk.1;
        let rows = page.chunk.1.min(below) as u64;
        match (most_unpacked(page.compression), row) {
            (Some(times), Some(row)) => row.saturating_mul(rows) / times > *length,
            (None, Some(_)) => rows / 8 > *length,
            (_, None) => true,
        }
    };
    let found = page.chunks.iter().enumerate().find(|chunk| asks_for_more(*chunk));
    found.map_or(Ok(()), |(number, _)| Err(chunk::unexplained(page, number)))
}

/// Rows and columns of a page.
type Place = (Range<usize>, Range<usize>);

impl<B: At> Tiff<B> {
    /// Opens the first page or all.
    ///
    /// # Errors
    /// What is damaged, not supported, or differs between pages, for people.
    pub fn open(file: B, all: bool) -> Result<Self> {
        let (pages, count) = pages(&file, all)?;
        let first = pages.first().ok_or("it holds no picture")?;
        if let Some((number, other)) =
            pages.iter().enumerate().find(|(_, page)| page.kind() != first.kind())
        {
            return Err(format!(
                "its pages differ: the first is {first}, and page {} is {other}",
                number + 1
            ));
        }
        let samples = Samples::of(first);
        let colours = pages.iter().map(|page| Colours::of(page, samples.element())).collect();
        let tiff = Self { file, pages, count, samples, colours, wide: Wide::default() };
        let check = |page| if tiff.lies_open(page) { are_whole(page) } else { are_explained(page) };
        tiff.pages.iter().try_for_each(check)?;
        Ok(tiff)
    }

    pub(in crate::store) fn file(&self) -> &B {
        &self.file
    }

    fn first(&self) -> &Page {
        &self.pages[0]
    }

    /// Height, width and channels of each page, as it is stored.
    #[must_use]
    pub fn size(&self) -> [usize; 3] {
        let first = self.first();
        [first.height, first.width, first.channels()]
    }

    /// How many pages were taken.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// How many there are, taken or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Of channels.
    #[must_use]
    pub fn element(&self) -> ElementType {
        self.colours[0].to
    }

    /// Whether the first three channels are red, green and blue.
    #[must_use]
    pub fn is_rgb(&self) -> bool {
        self.first().photometric.channels() == 3
    }

    /// Whether the last channel is alpha.
    #[must_use]
    pub fn has_alpha(&self) -> bool {
        self.first().has_alpha()
    }

    /// How each page is turned, as Exif counts: 1 is upright.
    #[must_use]
    pub fn orientations(&self) -> Vec<u8> {
        self.pages.iter().map(|page| page.orientation).collect()
    }

    /// A profile of its colours.
    #[must_use]
    pub fn icc(&self) -> Option<&[u8]> {
        Some(&self.first().icc[..]).filter(|icc| !icc.is_empty())
    }

    /// Pixels per unit of length.
    #[must_use]
    pub fn resolution(&self) -> Option<Resolution> {
        self.first().resolution
    }

    /// Bytes that pages take in memory, one more copy at work included.
    #[must_use]
    pub fn needs(&self) -> u64 {
        self.pages.iter().map(Page::needs).fold(0, u64::saturating_add)
    }

    /// What is to be said of how it is read; of whether 64 bits were rounded as far as it was.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let first = self.first();
        let mut notes = Vec::new();
        let kind = name(first.format, first.bits);
        match self.samples {
            Samples::Words(..) => notes.push(format!("its {kind} samples are spread over 16 bits")),
            Samples::Signed | Samples::Unsigned => {
                notes.push(self.wide.note(&format!("{kind} samples")));
            }
            Samples::Elements(_) | Samples::Bytes(..) => {}
        }
        if self.colours.iter().any(Colours::are_inks) {
            notes.push(super::INKS.into());
        }
        if self.colours.iter().any(Colours::are_divided) {
            notes.push("its colours are divided by alpha, which they were multiplied with".into());
        }
        notes
    }

    /// Rows and columns that are read at once.
    pub(in crate::store) fn unpacked(&self) -> (usize, usize) {
        let size = |page: &Page| {
            let (columns, rows) = page.chunk;
            if self.lies_open(page) { (1, 1) } else { (rows, columns) }
        };
        let sizes = self.pages.iter().map(size);
        sizes.fold((1, 1), |(rows, columns), (r, c)| (rows.max(r), columns.max(c)))
    }

    /// Rows and columns of its tiles.
    pub(in crate::store) fn tiles(&self) -> Option<(usize, usize)> {
        let first = self.first();
        first.tiled.then_some((first.chunk.1, first.chunk.0))
    }

    /// Bytes that reading takes beside what is read.
    pub(in crate::store) fn held(&self) -> u64 {
        let of = |page: &Page| {
            // Where it lies, and how long it is.
            let list = 16 * page.chunks.len() as u64;
            if self.lies_open(page) {
                return (list, 0, 0);
            }
            let samples = page.samples as u64 * self.samples.element().bytes() as u64;
            let unpacked = (page.chunk.0 as u64).saturating_mul(page.chunk.1 as u64);
            let unpacked = unpacked.saturating_mul(samples);
            let packed = page.chunks.iter().map(|(_, length)| *length).max().unwrap_or(0);
            // As samples and as pixels; and packed, once more as a file of its own.
            let work = unpacked.saturating_mul(3).saturating_add(packed.saturating_mul(2));
            (list, work, unpacked.saturating_add(packed))
        };
        let threads = rayon::current_num_threads() as u64;
        let lists = self.pages.iter().map(|page| of(page).0).fold(0, u64::saturating_add);
        let at_work = |page| {
            let (_, work, waiting) = of(page);
            work.saturating_add(waiting.saturating_mul(unpack::WAITING as u64))
        };
        let most = self.pages.iter().map(at_work).max().unwrap_or(0);
        lists.saturating_add(threads.saturating_mul(most))
    }

    /// Whether elements lie in strips as they are wanted, but for the order of their bytes.
    fn lies_open(&self, page: &Page) -> bool {
        !page.tiled
            && page.compression == compression::NONE
            && page.predictor == 1
            && page.planes() == 1
            && matches!(self.samples, Samples::Elements(_))
            && self.colours.iter().all(Colours::are_samples)
    }

    /// Reads rows and columns of one of the pages into `to`, in this machine's order of bytes.
    ///
    /// # Errors
    /// What is damaged, or what the system says, for people.
    pub fn read(
        &self,
        page: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        to: &mut [u8],
    ) -> Result<()> {
        let of = &self.pages[page];
        if self.lies_open(of) {
            return self.copy(of, (rows, columns), to);
        }
        let [_, _, channels] = self.size();
        let pixel = channels * self.element().bytes();
        let pitch = columns.len() * pixel;
        let (wide, high) = of.chunk;
        let across = columns.start / wide..columns.end.div_ceil(wide);
        let down = rows.start / high..rows.end.div_ceil(high);
        let chunks: Vec<_> =
            down.flat_map(|below| across.clone().map(move |right| (below, right))).collect();
        let place = |(below, right): (usize, usize)| {
            let within = |n: usize, size: usize, range: &Range<usize>| {
                (n * size).max(range.start)..((n + 1) * size).min(range.end)
            };
            (within(below, high, &rows), within(right, wide, &columns))
        };
        let fetch = |at: &(usize, usize)| self.packed(of, *at);
        let unpack =
            |at: &(usize, usize), data: Vec<Vec<u8>>| self.pixels(page, *at, &place(*at), &data);
        unpack::each(chunks, fetch, unpack, |at, pixels| {
            let (r, c) = place(*at);
            let lines = to[(r.start - rows.start) * pitch..].chunks_mut(pitch.max(1));
            let (at, width) = ((c.start - columns.start) * pixel, c.len() * pixel);
            for (line, from) in lines.zip(pixels.chunks_exact(width.max(1))) {
                line[at..at + width].copy_from_slice(from);
            }
        })
    }

    /// The pixels of a place within one chunk, or within one of each plane.
    fn pixels(
        &self,
        page: usize,
        (below, right): (usize, usize),
        place: &Place,
        packed: &[Vec<u8>],
    ) -> Result<Vec<u8>> {
        let (of, colours) = (&self.pages[page], &self.colours[page]);
        let (planes, all) = (of.planes(), of.samples);
        let (rows, columns) = place;
        // In a chunk.
        let samples = all / planes;
        let size = self.samples.element().bytes();
        let sample_row = columns.len() * all * size;
        let mut lines = room::zeroed(rows.len() * sample_row)?;
        let mut apart = room::zeroed(if planes > 1 { columns.len() * size } else { 0 })?;
        for (plane, data) in packed.iter().enumerate() {
            let number = number(of, plane, (below, right));
            let chunk = chunk::rows(data, of, number, samples)?;
            // `rows` has counted them.
            let pitch = row_bytes(of.chunk.0, samples, of.bits).unwrap_or(1);
            let first = (columns.start - right * of.chunk.0) * samples;
            let above = rows.start - below * of.chunk.1;
            let there = chunk.chunks(pitch).skip(above);
            for (row, line) in there.zip(lines.chunks_exact_mut(sample_row.max(1))) {
                if planes == 1 {
                    self.samples.row(row, first, line, &self.wide);
                    continue;
                }
                self.samples.row(row, first, &mut apart, &self.wide);
                let places = line.chunks_exact_mut(size).skip(plane).step_by(all);
                for (place, value) in places.zip(apart.chunks_exact(size)) {
                    place.copy_from_slice(value);
                }
            }
        }
        if colours.are_samples() {
            return Ok(lines);
        }
        let pixel = of.channels() * colours.to.bytes();
        let mut pixels = room::zeroed(rows.len() * columns.len() * pixel)?;
        colours.pixels(&lines, &mut pixels);
        Ok(pixels)
    }

    /// The bytes in the file of a chunk, or of one of each plane.
    fn packed(&self, page: &Page, at: (usize, usize)) -> Result<Vec<Vec<u8>>> {
        let chunk = |plane: usize| {
            let (offset, length) = page.chunks[number(page, plane, at)];
            // `Page` has held them against the file's length.
            let mut data = room::zeroed(usize::try_from(length).unwrap_or(usize::MAX))?;
            self.file.read_at(offset, &mut data).map_err(|error| error.to_string())?;
            Ok(data)
        };
        (0..page.planes()).map(chunk).collect()
    }

    /// The same where elements lie in rows, of which those of a strip follow one another.
    fn copy(&self, page: &Page, (rows, columns): Place, to: &mut [u8]) -> Result<()> {
        let size = self.element().bytes();
        let pixel = page.samples * size;
        let (row, width) = ((page.width * pixel) as u64, columns.len() * pixel);
        let high = page.chunk.1;
        // As many rows at a time as lie together.
        let together = if columns.len() == page.width { high } else { 1 };
        let mut at = rows.start;
        let mut to = &mut to[..rows.len() * width];
        while at < rows.end {
            let (number, within) = (at / high, at % high);
            let count = together.min(high - within).min(rows.end - at);
            // As long as `are_whole` has seen.
            let from = page.chunks[number].0 + row * within as u64 + (columns.start * pixel) as u64;
            let (part, rest) = to.split_at_mut(count * width);
            self.file.read_at(from, part).map_err(|error| error.to_string())?;
            swap(page.is_foreign(), size, part);
            (at, to) = (at + count, rest);
        }
        Ok(())
    }
}
