//! From one directory to the next, and which of them are pages.

use std::collections::HashSet;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};

use tiff::Directory;
use tiff::decoder::{Decoder, Limits};
use tiff::tags::{ByteOrder, IfdPointer, Tag};

use super::Result;
use super::page::{Page, compression};
use super::single::{self, Strip};
use super::tags::Tags;
use crate::store::positioned::At;

/// More pages than this are no file that anybody meant.
const MAX_PAGES: usize = 1 << 16;

/// `NewSubfileType`: a smaller version of another page, or a mask of one.
const NO_PAGE: u32 = 1 | 4;

/// The longest value that is read: places of some hundred million tiles.
const MAX_VALUE: u64 = 4 << 30;

/// A file as the decoder reads one.
struct Through<'a> {
    file: &'a dyn At,
    length: u64,
    at: u64,
}

impl Read for Through<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.at);
        let count = to.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if count > 0 {
            self.file.read_at(self.at, &mut to[..count])?;
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Through<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The decoder reads first one file, then another.
trait Bytes: Read + Seek {}

impl<T: Read + Seek> Bytes for T {}

/// The pages that are wanted, all or the first, and how many there are: without smaller versions and masks of others,
/// unless there is nothing else.
pub(super) fn pages(file: &dyn At, all: bool) -> Result<(Vec<Page>, usize)> {
    let length = file.length().map_err(|error| error.to_string())?;
    let mut start = [0; 16];
    let there = start.len().min(usize::try_from(length).unwrap_or(usize::MAX));
    file.read_at(0, &mut start[..there]).map_err(|error| error.to_string())?;
    let start = &start[..there];
    let order = match start {
        [b'I', ..] => ByteOrder::LittleEndian,
        _ => ByteOrder::BigEndian,
    };
    let value = |bytes: &[u8]| {
        let (mut field, n) = ([0; 8], bytes.len());
        match order {
            ByteOrder::LittleEndian => {
                field[..n].copy_from_slice(bytes);
                u64::from_le_bytes(field)
            }
            ByteOrder::BigEndian => {
                field[8 - n..].copy_from_slice(bytes);
                u64::from_be_bytes(field)
            }
        }
    };
    let number = |at: usize, n: usize| {
        let bytes = start.get(at..at + n).ok_or("the file is truncated")?;
        Ok::<_, String>(value(bytes))
    };
    let big = number(2, 2)? == 43;
    if big && (number(4, 2)?, number(6, 2)?) != (8, 0) {
        return Err("its BigTIFF header is damaged".into());
    }
    let mut next = if big { number(8, 8)? } else { number(4, 4)? };

    // The decoder wants a picture that it knows before it reads directories of any.
    let strip = Strip {
        order,
        width: 1,
        rows: 1,
        samples: 1,
        bits: 8,
        format: 1,
        compression: compression::NONE,
        predictor: 1,
        jpeg_tables: None,
        data: &[0],
    };
    let known = single::file(&strip, big);
    let known: Box<dyn Bytes> = Box::new(Cursor::new(known));
    let mut decoder = Decoder::new(known).map_err(|error| error.to_string())?;
    *decoder.inner() = Box::new(BufReader::new(Through { file, length, at: 0 }));
    let mut limits = Limits::default();
    // No value is longer than the file, as `Tags` sees to. The decoder counts numbers larger than they are there.
    limits.ifd_value_size = usize::try_from(length.min(MAX_VALUE)).unwrap_or(usize::MAX);
    limits.decoding_buffer_size = limits.decoding_buffer_size.max(limits.ifd_value_size);
    let mut decoder = decoder.with_limits(limits);

    let (mut directories, mut seen) = (Vec::new(), HashSet::new());
    // Directories that lie over one another could be as many as bytes, of as many entries each.
    let (mut room, counted, entry) = if big { (length, 8, 20) } else { (length, 2, 12) };
    while next != 0 {
        let mut count = [0; 8];
        // Where there is none the decoder says so.
        let there = file.read_at(next, &mut count[..counted]).is_ok();
        let entries = if there { value(&count[..counted]).saturating_mul(entry) } else { 0 };
        let found = if !seen.insert(next) {
            Err("its directories go round in a circle".into())
        } else if seen.len() > MAX_PAGES {
            Err(format!("it has more than {MAX_PAGES} pages"))
        } else if next >= length {
            Err("the file is truncated: a directory lies beyond its end".into())
        } else if entries > room {
            Err("its directories are cut, or lie over one another".into())
        } else {
            room -= entries;
            let read = decoder.read_directory(IfdPointer(next));
            read.map_err(|error| format!("its directory is damaged: {error}"))
        };
        match found {
            Ok(directory) => {
                next = directory.next().map_or(0, |pointer| pointer.0);
                directories.push(directory);
            }
            // What comes after the one that is wanted is no matter.
            Err(_) if !all && !directories.is_empty() => break,
            Err(why) => return Err(why),
        }
    }
    let mut is_page = |directory: &Directory| {
        let mut tags = Tags::new(decoder.read_directory_tags(directory), length);
        let kind = tags.one::<u32>(Tag::NewSubfileType);
        kind.ok().flatten().unwrap_or(0) & NO_PAGE == 0
    };
    let (pages, others): (Vec<_>, Vec<_>) = directories.into_iter().partition(|one| is_page(one));
    let directories = if pages.is_empty() { others } else { pages };
    let count = directories.len();
    let taken = if all { count } else { 1 };
    let pages = directories.iter().take(taken).map(|directory| {
        Page::new(&mut Tags::new(decoder.read_directory_tags(directory), length), order, length)
    });
    Ok((pages.collect::<Result<_>>()?, count))
}
