//! What a directory says of its page.

use std::fmt;

use tiff::decoder::ifd::Value;
use tiff::tags::{ByteOrder, Tag};

use super::tags::Tags;
use super::{Resolution, Result};

/// What the numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Uint,
    Int,
    Float,
}

/// What colours they make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Photometric {
    WhiteIsZero,
    BlackIsZero,
    Rgb,
    Palette,
    Cmyk,
    YCbCr,
}

impl Photometric {
    /// Samples of a pixel that make its colour.
    pub(super) fn samples(self) -> usize {
        match self {
            Self::WhiteIsZero | Self::BlackIsZero | Self::Palette => 1,
            Self::Rgb | Self::YCbCr => 3,
            Self::Cmyk => 4,
        }
    }

    /// Channels that become of them; of grey bands there may be any number.
    pub(super) fn channels(self) -> usize {
        match self {
            Self::WhiteIsZero | Self::BlackIsZero => 1,
            Self::Rgb | Self::Palette | Self::YCbCr | Self::Cmyk => 3,
        }
    }
}

/// Compressions that the decoder knows.
pub(super) mod compression {
    pub(crate) const NONE: u16 = 1;
    pub(crate) const FAX4: u16 = 4;
    pub(crate) const LZW: u16 = 5;
    pub(crate) const JPEG: u16 = 7;
    pub(crate) const DEFLATE: u16 = 8;
    pub(crate) const OLD_DEFLATE: u16 = 32_946;
    pub(crate) const PACK_BITS: u16 = 32_773;

    pub(crate) const ALL: [u16; 7] = [NONE, FAX4, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACK_BITS];

    /// What people call the others.
    pub(crate) fn name(code: u16) -> String {
        let name = match code {
            2 => "CCITT RLE",
            3 => "CCITT Group 3",
            6 => "old-style JPEG",
            32_766 => "NeXT",
            32_809 => "ThunderScan",
            33_003 | 33_005 | 34_712 => "JPEG 2000",
            34_676 | 34_677 => "LogLuv",
            34_887 => "LERC",
            34_925 => "LZMA",
            50_000 | 34_926 => "Zstandard",
            50_001 | 34_927 => "WebP",
            50_002 | 52_546 => "JPEG XL",
            _ => return format!("{code}"),
        };
        format!("{name} ({code})")
    }
}

/// `ExtraSamples`.
const PREMULTIPLIED: u16 = 1;
pub(super) const ALPHA: u16 = 2;

#[derive(Debug)]
pub(super) struct Page {
    pub(super) order: ByteOrder,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Of a pixel.
    pub(super) samples: usize,
    pub(super) bits: u16,
    pub(super) format: Format,
    pub(super) photometric: Photometric,
    /// What samples beyond the colour are.
    pub(super) extra: Vec<u16>,
    pub(super) compression: u16,
    pub(super) predictor: u16,
    /// Each sample in chunks of its own.
    pub(super) planar: bool,
    /// Width and height of a strip or tile.
    pub(super) chunk: (usize, usize),
    pub(super) tiled: bool,
    /// Where chunks lie in the file, and how long they are.
    pub(super) chunks: Vec<(u64, u64)>,
    pub(super) jpeg_tables: Option<Vec<u8>>,
    /// Red, then green, then blue of each number.
    pub(super) palette: Vec<u16>,
    /// Weights of red, green and blue in luma.
    pub(super) luma: [f32; 3],
    /// As Exif counts: 1 is upright.
    pub(super) orientation: u8,
    /// A profile of colours; empty where there is none.
    pub(super) icc: Vec<u8>,
    pub(super) resolution: Option<Resolution>,
}

impl Page {
    pub(super) fn new(tags: &mut Tags<'_>, order: ByteOrder, file: u64) -> Result<Self> {
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let (width, height) =
            (size(tags.needed(Tag::ImageWidth)?), size(tags.needed(Tag::ImageLength)?));
        let samples = usize::from(tags.one::<u16>(Tag::SamplesPerPixel)?.unwrap_or(1));
        if width == 0 || height == 0 || samples == 0 {
            return Err(format!("its size is {width}x{height}, with {samples} channels"));
        }
        if tags.one::<u16>(Tag::FillOrder)?.unwrap_or(1) != 1 {
            return Err(
                "its bits are in reverse order (FillOrder 2), which is not supported".into()
            );
        }
        let bits = tags.common(Tag::BitsPerSample, 1)?;
        let format = match tags.common(Tag::SampleFormat, 1)? {
            // 4 is "undefined", and then there are only bits.
            1 | 4 => Format::Uint,
            2 => Format::Int,
            3 => Format::Float,
            _ => return Err("its samples are complex numbers, which are not supported".into()),
        };
        let known = match format {
            Format::Uint => matches!(bits, 1..=16 | 32 | 64),
            Format::Int => matches!(bits, 8 | 16 | 32 | 64),
            Format::Float => matches!(bits, 16 | 32 | 64),
        };
        if !known {
            return Err(format!("its samples are {}, which are not supported", name(format, bits)));
        }
        let photometric = photometric(tags, format, bits)?;
        let colours = photometric.samples();
        if samples < colours {
            return Err(format!("its colours need {colours} samples, and {samples} are there"));
        }
        let mut extra = tags.list::<u16>(Tag::ExtraSamples)?;
        if extra.is_empty() && photometric == Photometric::Rgb && samples == 4 {
            // Not said by some writers; Pillow takes it as this too.
            extra = vec![ALPHA];
        }
        extra.resize(samples - colours, 0);

        let compression = tags.one(Tag::Compression)?.unwrap_or(compression::NONE);
        if !compression::ALL.contains(&compression) {
            let name = compression::name(compression);
            return Err(format!("its compression, {name}, is not supported"));
        }
        let planar = tags.one::<u16>(Tag::PlanarConfiguration)?.unwrap_or(1) == 2;
        let tiled = tags.one::<u32>(Tag::TileWidth)?.is_some();
        let chunk = if tiled {
            (size(tags.needed(Tag::TileWidth)?), size(tags.needed(Tag::TileLength)?))
        } else {
            (width, size(tags.one(Tag::RowsPerStrip)?.unwrap_or(u32::MAX)).min(height))
        };
        if chunk.0 == 0 || chunk.1 == 0 {
            return Err("its tiles or strips have no size".into());
        }
        let mut page = Self {
            order,
            width,
            height,
            samples,
            bits,
            format,
            photometric,
            extra,
            compression,
            predictor: tags.one(Tag::Predictor)?.unwrap_or(1),
            planar,
            chunk,
            tiled,
            chunks: Vec::new(),
            // Shorter ones hold no tables.
            jpeg_tables: Some(tags.list(Tag::JPEGTables)?)
                .filter(|tables: &Vec<u8>| tables.len() > 8),
            palette: tags.list(Tag::ColorMap)?,
            luma: [0.299, 0.587, 0.114],
            orientation: tags.one(Tag::Orientation)?.unwrap_or(1),
            // What is damaged of these is left out. A profile of inks says nothing of what becomes of them.
            icc: match photometric {
                Photometric::Cmyk => Vec::new(),
                _ => tags.list(Tag::IccProfile).unwrap_or_default(),
            },
            resolution: resolution(tags),
        };
        page.check_colours(tags)?;
        page.chunks = page.find_chunks(tags, file)?;
        Ok(page)
    }

    fn check_colours(&mut self, tags: &mut Tags<'_>) -> Result<()> {
        let whole = self.format == Format::Uint;
        match self.photometric {
            Photometric::Palette => {
                let needed = 3 << self.bits.min(16);
                if !whole || self.bits > 16 || self.palette.len() != needed {
                    let there = self.palette.len();
                    return Err(format!(
                        "its palette has {there} numbers, and {needed} are needed"
                    ));
                }
            }
            Photometric::YCbCr => {
                if !whole || self.bits != 8 {
                    let name = name(self.format, self.bits);
                    return Err(format!("its YCbCr colours are {name}, which are not supported"));
                }
                // Unless said, each other row and column. The decoder of JPEG has whole ones.
                let every = tags.list::<u16>(Tag::ChromaSubsampling)?;
                if self.compression != compression::JPEG && every != [1, 1] {
                    return Err("its colours are YCbCr of fewer places than pixels, and no JPEG, \
                                which is not supported"
                        .into());
                }
                if let Some(found) = tags.value(Tag::Unknown(529)) {
                    let parts = found.into_u32_vec().unwrap_or_default();
                    if let [a, b, c, d, e, f] = parts[..]
                        && b.min(d).min(f) > 0
                    {
                        self.luma = [(a, b), (c, d), (e, f)].map(|(n, d)| n as f32 / d as f32);
                    }
                }
            }
            Photometric::Cmyk | Photometric::WhiteIsZero if !whole || self.bits > 16 => {
                let name = name(self.format, self.bits);
                return Err(format!(
                    "its {:?} colours are {name}, which are not supported",
                    self.photometric
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// Where chunks are; as many as the size asks for, and all within the file.
    fn find_chunks(&self, tags: &mut Tags<'_>, file: u64) -> Result<Vec<(u64, u64)>> {
        let (what, offsets, lengths) = if self.tiled {
            ("tiles", Tag::TileOffsets, Tag::TileByteCounts)
        } else {
            ("strips", Tag::StripOffsets, Tag::StripByteCounts)
        };
        let offsets = tags.list::<u64>(offsets)?;
        let mut lengths = tags.list::<u64>(lengths)?;
        if let ([offset], [], compression::NONE) = (&offsets[..], &lengths[..], self.compression) {
            // Left out by some old writers.
            lengths = vec![file.saturating_sub(*offset)];
        }
        let (across, down) = self.grid();
        let needed = across.saturating_mul(down).saturating_mul(self.planes());
        if offsets.len() != needed || lengths.len() != needed {
            let (there, lengths) = (offsets.len(), lengths.len());
            return Err(format!(
                "its size needs {needed} {what}, and it has {there} with {lengths} lengths"
            ));
        }
        let chunks: Vec<_> = offsets.into_iter().zip(lengths).collect();
        let beyond = |(offset, length): &(u64, u64)| offset.saturating_add(*length) > file;
        match chunks.iter().position(beyond) {
            None => Ok(chunks),
            Some(number) => {
                let (offset, length) = chunks[number];
                Err(format!(
                    "the file is truncated: number {} of its {what} has {length} bytes from \
                     {offset}, and {file} bytes are there",
                    number + 1
                ))
            }
        }
    }

    /// Whether its bytes are in another machine's order.
    pub(super) fn is_foreign(&self) -> bool {
        (self.order == ByteOrder::LittleEndian) != cfg!(target_endian = "little")
    }

    /// Chunks across and down.
    pub(super) fn grid(&self) -> (usize, usize) {
        (self.width.div_ceil(self.chunk.0), self.height.div_ceil(self.chunk.1))
    }

    pub(super) fn planes(&self) -> usize {
        if self.planar { self.samples } else { 1 }
    }

    /// Channels that it becomes.
    pub(super) fn channels(&self) -> usize {
        self.photometric.channels() + self.extra.len()
    }

    /// Whether its palette has colours that 8 bits do not hold.
    pub(super) fn has_deep_palette(&self) -> bool {
        // 8 bits come as multiples of 257, or of 256 from writers who forgot.
        let times = |n| self.palette.iter().all(|v| v % n == 0);
        !times(257) && !times(256)
    }

    /// Where a sample of those that the colours are multiplied with lies.
    pub(super) fn premultiplied(&self) -> Option<usize> {
        let at = self.extra.iter().position(|extra| *extra == PREMULTIPLIED)?;
        Some(self.photometric.channels() + at)
    }

    /// Whether the last channel is alpha.
    pub(super) fn has_alpha(&self) -> bool {
        matches!(self.extra[..], [PREMULTIPLIED | ALPHA])
    }

    /// Bytes that it takes in memory, one more copy at work included.
    pub(super) fn needs(&self) -> u64 {
        let sample = u64::from(self.bits.next_multiple_of(8)).max(8) / 8;
        let elements = [self.width, self.height, self.samples.max(self.channels())];
        elements.iter().fold(2 * sample, |bytes, n| bytes.saturating_mul(*n as u64))
    }

    /// What must be the same for pages to be one batch.
    pub(super) fn kind(&self) -> impl PartialEq + use<> {
        let turned = self.orientation > 4;
        let (width, height) =
            if turned { (self.height, self.width) } else { (self.width, self.height) };
        let deep = self.photometric == Photometric::Palette && self.has_deep_palette();
        let colours = (self.photometric.channels(), self.has_alpha());
        (width, height, self.channels(), self.format, self.bits, colours, deep)
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, .. } = self;
        write!(f, "{width}x{height}x{} {}", self.channels(), name(self.format, self.bits))
    }
}

fn photometric(tags: &mut Tags<'_>, format: Format, bits: u16) -> Result<Photometric> {
    let code = tags.one::<u16>(Tag::PhotometricInterpretation)?;
    Ok(match code {
        // Bilevel pictures may mean either; everything else without colours is a number.
        Some(0) => Photometric::WhiteIsZero,
        None if format == Format::Uint && bits == 1 => Photometric::WhiteIsZero,
        Some(1 | 4) | None => Photometric::BlackIsZero,
        Some(2) => Photometric::Rgb,
        Some(3) => Photometric::Palette,
        Some(5) => Photometric::Cmyk,
        Some(6) => Photometric::YCbCr,
        Some(code) => {
            let name = match code {
                8 => "CIE Lab",
                9 => "ICC Lab",
                10 => "ITU Lab",
                32_803 => "a mosaic of a camera's sensor",
                32_844 | 32_845 => "LogLuv",
                34_892 => "a camera's linear sensor values",
                _ => "not known",
            };
            return Err(format!("its colours are {name} ({code}), which are not supported"));
        }
    })
}

fn resolution(tags: &mut Tags<'_>) -> Option<Resolution> {
    let mut number = |tag| match tags.value(tag) {
        Some(Value::Rational(n, d)) => Some((n, d)),
        _ => None,
    };
    let (across, down) = number(Tag::XResolution).zip(number(Tag::YResolution))?;
    // Inches unless said.
    let unit = tags.one(Tag::ResolutionUnit).unwrap_or(None).unwrap_or(2);
    Resolution { unit, across, down }.known()
}

/// As people write it.
pub(super) fn name(format: Format, bits: u16) -> String {
    let kind = match format {
        Format::Uint => "uint",
        Format::Int => "int",
        Format::Float => "float",
    };
    format!("{kind}{bits}")
}
