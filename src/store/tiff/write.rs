//! Files whose samples have their places before the first of them is known: uncompressed strips or tiles of interleaved
//! channels, a page for each image, BigTIFF where 4 GiB are too little.
//!
//! ```text
//! header | directory, places of strips | directory, ... | page | page ...
//! ```

use std::fs::File;
use std::io::{self, Cursor};

use tiff::encoder::{Rational, TiffEncoder, TiffKind};
use tiff::tags::{PhotometricInterpretation as Photometric, SampleFormat, Tag, Type};
use tiff::{Directory, TiffResult};

use super::page::ALPHA;
use super::{Resolution, Result};
use crate::memory;
use crate::store::positioned;
use crate::{ElementType, Window};

/// Bytes of a strip, about.
const STRIP: u64 = 1 << 20;

/// What a file without large offsets must not reach.
const CLASSIC: u64 = u32::MAX as u64;

/// Most bytes of directories, which are made as one before the first sample: some hundred thousand pages.
const DIRECTORIES: u64 = 1 << 28;

/// Bytes of a directory without what grows: at most two dozen tags.
const DIRECTORY: u64 = 640;

/// Sides of tiles are multiples of this.
pub(in crate::store) const SIDE: usize = 16;

/// What samples are aligned to.
const ALIGNMENT: u64 = 16;

const UNSPECIFIED: u16 = 0;

/// What is written.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// How many of one size.
    pub pages: usize,
    /// Height, width and channels.
    pub size: [usize; 3],
    /// Of channels.
    pub element: ElementType,
    /// Whether the first three channels are red, green and blue.
    pub rgb: bool,
    /// Whether the last channel is alpha, by which colours are not multiplied.
    pub alpha: bool,
    /// A profile of its colours.
    pub icc: Option<Vec<u8>>,
    /// Pixels per unit of length.
    pub resolution: Option<Resolution>,
    /// Rows and columns of tiles, multiples of 16; strips without.
    pub tiles: Option<(usize, usize)>,
}

/// Where its samples lie.
#[doc(hidden)]
#[derive(Debug)]
pub struct Places {
    /// What the file begins with.
    pub head: Vec<u8>,
    /// Bytes of all.
    pub length: u64,
    picture: Picture,
}

/// What is one after the other in a file: tiles, or all strips of a page.
#[derive(Clone, Copy, Debug)]
struct Piece {
    rows: usize,
    columns: usize,
    /// How many of them are side by side, and in a page.
    across: usize,
    number: usize,
    /// Bytes of a row.
    row: usize,
}

impl Picture {
    /// # Errors
    /// What is too large for such a file, for people.
    pub fn places(self) -> Result<Places> {
        let counted = self.counted().ok_or("its size is more than can be counted")?;
        let directories = self.directories();
        if directories > DIRECTORIES {
            return Err(format!(
                "{} pages of {} strips or tiles need about {directories} bytes of directories, which is above the limit of {DIRECTORIES}",
                self.pages,
                self.chunk_count(),
            ));
        }
        let classic = self.head_of(|to| TiffEncoder::new(to), counted);
        let fits = |head: &Vec<u8>| head.len() as u64 + counted < CLASSIC;
        let head = match classic.ok().filter(fits) {
            Some(head) => head,
            None => self
                .head_of(|to| TiffEncoder::new_big(to), counted)
                .map_err(|error| error.to_string())?,
        };
        Ok(Places { length: head.len() as u64 + counted, head, picture: self })
    }

    /// Bytes of all samples.
    fn counted(&self) -> Option<u64> {
        let piece = self.piece();
        let all = [piece.rows, piece.row, piece.number, self.pages];
        all.iter().try_fold(1u64, |bytes, n| bytes.checked_mul(*n as u64))
    }

    fn piece(&self) -> Piece {
        let [height, width, channels] = self.size;
        let pixel = channels * self.element.bytes();
        match self.tiles {
            None => {
                let row = width * pixel;
                Piece { rows: height, columns: width, across: 1, number: 1, row }
            }
            Some((rows, columns)) => {
                let across = width.div_ceil(columns);
                let number = across * height.div_ceil(rows);
                Piece { rows, columns, across, number, row: columns * pixel }
            }
        }
    }

    /// Header and directories; how long they are is known when they are written once.
    fn head_of<K: TiffKind>(
        &self,
        new: impl for<'a> Fn(
            &'a mut Cursor<Vec<u8>>,
        ) -> TiffResult<TiffEncoder<&'a mut Cursor<Vec<u8>>, K>>,
        counted: u64,
    ) -> TiffResult<Vec<u8>> {
        let write = |data: u64| -> TiffResult<Vec<u8>> {
            let room = memory::with_capacity("directories of a TIFF", self.directories() as usize);
            let mut head = Cursor::new(room.map_err(io::Error::from)?);
            // What a page has of them on its way, in four lists.
            memory::with_capacity::<[u64; 8]>("places of strips or tiles", self.chunk_count())
                .map_err(io::Error::from)?;
            let mut file = new(&mut head)?;
            let page = counted / self.pages.max(1) as u64;
            for number in 0..self.pages {
                self.directory(&mut file, number, data + number as u64 * page)?;
            }
            Ok(head.into_inner())
        };
        let data = (write(0)?.len() as u64).next_multiple_of(ALIGNMENT);
        let mut head = write(data)?;
        head.resize(data as usize, 0);
        Ok(head)
    }

    /// Bytes of all directories, and a little more.
    fn directories(&self) -> u64 {
        let profile = self.icc.as_ref().map_or(0, Vec::len);
        let grows =
            [self.size[2].saturating_mul(6), self.chunk_count().saturating_mul(16), profile];
        let each = grows.iter().fold(DIRECTORY, |bytes, n| bytes.saturating_add(*n as u64));
        each.saturating_mul(self.pages as u64)
    }

    /// Rows of a strip.
    fn strip_rows(&self) -> usize {
        let row = self.piece().row as u64;
        ((STRIP / row.max(1)) as usize).clamp(1, self.size[0].max(1))
    }

    /// Strips or tiles of a page.
    fn chunk_count(&self) -> usize {
        match self.tiles {
            Some(_) => self.piece().number,
            None => self.size[0].div_ceil(self.strip_rows()),
        }
    }

    /// Where its strips or tiles begin, counted from the first, and how long they are; and the rows of a strip.
    fn chunks(&self) -> (Vec<(u64, u64)>, usize) {
        let (piece, height) = (self.piece(), self.size[0]);
        let row = piece.row as u64;
        if self.tiles.is_some() {
            let long = piece.rows as u64 * row;
            return ((0..piece.number as u64).map(|n| (n * long, long)).collect(), piece.rows);
        }
        let rows = self.strip_rows();
        let strip = |first: usize| (first as u64 * row, rows.min(height - first) as u64 * row);
        ((0..height).step_by(rows).map(strip).collect(), rows)
    }

    fn directory<K: TiffKind>(
        &self,
        file: &mut TiffEncoder<&mut Cursor<Vec<u8>>, K>,
        number: usize,
        data: u64,
    ) -> TiffResult<()> {
        let [height, width, channels] = self.size;
        let count = u16::try_from(channels)?;
        let format = match self.element.integers() {
            None => SampleFormat::IEEEFP,
            Some(whole) if *whole.start() < 0 => SampleFormat::Int,
            Some(_) => SampleFormat::Uint,
        };
        let rgb = self.rgb && channels >= 3;
        let photometric = if rgb { Photometric::RGB } else { Photometric::BlackIsZero };
        let mut extra = vec![UNSPECIFIED; channels.saturating_sub(if rgb { 3 } else { 1 })];
        if let (true, Some(last)) = (self.alpha, extra.last_mut()) {
            *last = ALPHA;
        }
        let (chunks, rows) = self.chunks();
        let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
        for (offset, length) in chunks {
            offsets.push(K::convert_offset(data + offset)?);
            lengths.push(K::convert_offset(length)?);
        }
        let mut directory = file.image_directory()?;
        directory.write_tag(Tag::ImageWidth, u32::try_from(width)?)?;
        directory.write_tag(Tag::ImageLength, u32::try_from(height)?)?;
        let bits = 8 * self.element.bytes() as u16;
        directory.write_tag(Tag::BitsPerSample, &vec![bits; channels][..])?;
        directory.write_tag(Tag::Compression, 1u16)?;
        directory.write_tag(Tag::PhotometricInterpretation, photometric)?;
        directory.write_tag(Tag::SamplesPerPixel, count)?;
        directory.write_tag(Tag::SampleFormat, &vec![format; channels][..])?;
        let (of_offsets, of_lengths) = match self.tiles {
            Some((rows, columns)) => {
                directory.write_tag(Tag::TileWidth, u32::try_from(columns)?)?;
                directory.write_tag(Tag::TileLength, u32::try_from(rows)?)?;
                (Tag::TileOffsets, Tag::TileByteCounts)
            }
            None => {
                directory.write_tag(Tag::RowsPerStrip, u32::try_from(rows)?)?;
                (Tag::StripOffsets, Tag::StripByteCounts)
            }
        };
        directory.write_tag(of_offsets, K::convert_slice(&offsets))?;
        directory.write_tag(of_lengths, K::convert_slice(&lengths))?;
        if !extra.is_empty() {
            directory.write_tag(Tag::ExtraSamples, &extra[..])?;
        }
        if let Some(Resolution { unit, across, down }) = self.resolution {
            directory.write_tag(Tag::ResolutionUnit, unit)?;
            directory.write_tag(Tag::XResolution, Rational { n: across.0, d: across.1 })?;
            directory.write_tag(Tag::YResolution, Rational { n: down.0, d: down.1 })?;
        }
        if let Some(icc) = &self.icc {
            let entry = directory.write_entry_bytes(Type::UNDEFINED, icc)?;
            let mut profile = Directory::empty();
            profile.extend([(Tag::IccProfile, entry)]);
            directory.extend_from(&profile);
        }
        let pages = (self.pages, u16::try_from(number), u16::try_from(self.pages));
        if let (2.., Ok(number), Ok(pages)) = pages {
            directory.write_tag(Tag::NewSubfileType, 2u32)?;
            directory.write_tag(Tag::Unknown(297), &[number, pages][..])?;
        }
        directory.finish()
    }
}

impl Places {
    /// Writes a window of pixels.
    pub(in crate::store) fn write(
        &self,
        file: &File,
        window: &Window,
        from: &[u8],
    ) -> io::Result<()> {
        let piece = self.picture.piece();
        let pixel = self.picture.size[2] * self.picture.element.bytes();
        let (rows, columns) = (&window.rows, &window.columns);
        let width = columns.len() * pixel;
        let mut tile = Vec::new();
        for (image, from) in
            window.images.clone().zip(from.chunks_exact((rows.len() * width).max(1)))
        {
            for below in rows.start / piece.rows..rows.end.div_ceil(piece.rows) {
                for right in columns.start / piece.columns..columns.end.div_ceil(piece.columns) {
                    let (top, left) = (below * piece.rows, right * piece.columns);
                    let r = rows.start.max(top)..rows.end.min(top + piece.rows);
                    let c = columns.start.max(left)..columns.end.min(left + piece.columns);
                    let number = image * piece.number + below * piece.across + right;
                    let at = self.head.len() as u64
                        + (number * piece.rows + r.start - top) as u64 * piece.row as u64;
                    let line = |row: usize| {
                        let first = (row - rows.start) * width + (c.start - columns.start) * pixel;
                        &from[first..first + c.len() * pixel]
                    };
                    // Up to the edge, beyond which a tile has zeros.
                    let whole =
                        c.start == left && c.end == self.picture.size[1].min(left + piece.columns);
                    if whole && c.len() * pixel == width && width == piece.row {
                        let first = (r.start - rows.start) * width;
                        positioned::write(file, at, &from[first..first + r.len() * width])?;
                    } else if whole {
                        tile.clear();
                        memory::reserve("a strip or tile", &mut tile, r.len() * piece.row)?;
                        for row in r.clone() {
                            tile.extend_from_slice(line(row));
                            tile.resize((row + 1 - r.start) * piece.row, 0);
                        }
                        positioned::write(file, at, &tile)?;
                    } else {
                        for row in r.clone() {
                            let at = at
                                + (row - r.start) as u64 * piece.row as u64
                                + ((c.start - left) * pixel) as u64;
                            positioned::write(file, at, line(row))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Rows and columns that are best written together: a tile, if it has such.
    pub(in crate::store) fn tiles(&self) -> Option<(usize, usize)> {
        self.picture.tiles
    }
}
