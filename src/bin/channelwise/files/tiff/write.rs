//! Pictures into TIFF: uncompressed strips of interleaved bands, a page for each picture of a batch, BigTIFF
//! where 4 GiB are too little.

use std::io::{Seek, Write};

use channelwise::ElementType;
use tiff::encoder::{Rational, TiffEncoder, TiffKind};
use tiff::tags::{PhotometricInterpretation as Photometric, SampleFormat, Tag, Type};
use tiff::{Directory, TiffResult};

use crate::files::{Alpha, Channels, Colours, Meta, Resolution, Tensor};

/// Bytes of a strip, about.
const STRIP: usize = 1 << 20;

/// What a file without large offsets must not reach; the rest is for directories.
const CLASSIC: usize = (u32::MAX - (1 << 24)) as usize;

const UNSPECIFIED: u16 = 0;
const STRAIGHT_ALPHA: u16 = 2;

/// Pixels `[height, width, channels]` or `[batch, height, width, channels]`.
pub(crate) fn write<W: Write + Seek>(
    y: &Tensor,
    channels: Channels,
    meta: &Meta,
    to: W,
) -> TiffResult<()> {
    let shape = y.shape();
    let (batch, size) = shape.split_at(shape.len().saturating_sub(3));
    let &[height, width, count] = size else { return Err(tiff::TiffError::LimitsExceeded) };
    let data = y.bytes();
    let element = ElementType::from(y.kind());
    let format = match element.integers() {
        None => SampleFormat::IEEEFP,
        Some(whole) if *whole.start() < 0 => SampleFormat::Int,
        Some(_) => SampleFormat::Uint,
    };
    // Three or four of unsaid meaning are seen as colours everywhere.
    let colours = match channels.colours {
        Colours::Rgb if count >= 3 => 3,
        Colours::Unsaid if matches!(count, 3 | 4) => 3,
        _ => 1,
    };
    let alpha = channels.alpha == Alpha::Last;
    let mut extra = vec![UNSPECIFIED; count - colours];
    if let (true, Some(last)) = (alpha, extra.last_mut()) {
        *last = STRAIGHT_ALPHA;
    }
    let picture = Picture {
        width: u32::try_from(width)?,
        height: u32::try_from(height)?,
        count: u16::try_from(count)?,
        bits: 8 * element.bytes() as u16,
        format,
        photometric: if colours == 3 { Photometric::RGB } else { Photometric::BlackIsZero },
        extra,
        meta,
    };
    let pages = batch.iter().product();
    if data.len() < CLASSIC {
        picture.pages(TiffEncoder::new(to)?, &data, pages)
    } else {
        picture.pages(TiffEncoder::new_big(to)?, &data, pages)
    }
}

struct Picture<'a> {
    width: u32,
    height: u32,
    count: u16,
    bits: u16,
    format: SampleFormat,
    photometric: Photometric,
    extra: Vec<u16>,
    meta: &'a Meta,
}

impl Picture<'_> {
    fn pages<W: Write + Seek, K: TiffKind>(
        &self,
        mut file: TiffEncoder<W, K>,
        data: &[u8],
        pages: usize,
    ) -> TiffResult<()> {
        for number in 0..pages {
            let size = data.len() / pages;
            self.page(&mut file, &data[number * size..][..size], (number, pages))?;
        }
        Ok(())
    }

    fn page<W: Write + Seek, K: TiffKind>(
        &self,
        file: &mut TiffEncoder<W, K>,
        data: &[u8],
        (number, pages): (usize, usize),
    ) -> TiffResult<()> {
        let mut directory = file.image_directory()?;
        let row = data.len() / self.height as usize;
        let rows = (STRIP / row).clamp(1, self.height as usize);
        let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
        for strip in data.chunks(rows * row) {
            offsets.push(K::convert_offset(directory.write_data(strip)?)?);
            lengths.push(K::convert_offset(strip.len() as u64)?);
        }
        let all = usize::from(self.count);
        directory.write_tag(Tag::ImageWidth, self.width)?;
        directory.write_tag(Tag::ImageLength, self.height)?;
        directory.write_tag(Tag::BitsPerSample, &vec![self.bits; all][..])?;
        directory.write_tag(Tag::Compression, 1u16)?;
        directory.write_tag(Tag::PhotometricInterpretation, self.photometric)?;
        directory.write_tag(Tag::StripOffsets, K::convert_slice(&offsets))?;
        directory.write_tag(Tag::SamplesPerPixel, self.count)?;
        directory.write_tag(Tag::RowsPerStrip, u32::try_from(rows)?)?;
        directory.write_tag(Tag::StripByteCounts, K::convert_slice(&lengths))?;
        directory.write_tag(Tag::SampleFormat, &vec![self.format; all][..])?;
        if !self.extra.is_empty() {
            directory.write_tag(Tag::ExtraSamples, &self.extra[..])?;
        }
        if let Some(Resolution { unit, across, down }) = self.meta.resolution {
            directory.write_tag(Tag::ResolutionUnit, unit)?;
            directory.write_tag(Tag::XResolution, Rational { n: across.0, d: across.1 })?;
            directory.write_tag(Tag::YResolution, Rational { n: down.0, d: down.1 })?;
        }
        if let Some(icc) = &self.meta.icc {
            let entry = directory.write_entry_bytes(Type::UNDEFINED, icc)?;
            let mut profile = Directory::empty();
            profile.extend([(Tag::IccProfile, entry)]);
            directory.extend_from(&profile);
        }
        if let (2.., Ok(number), Ok(pages)) = (pages, u16::try_from(number), u16::try_from(pages)) {
            directory.write_tag(Tag::NewSubfileType, 2u32)?;
            directory.write_tag(Tag::Unknown(297), &[number, pages][..])?;
        }
        directory.finish()
    }
}
