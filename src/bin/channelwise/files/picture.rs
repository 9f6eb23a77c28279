//! Images but TIFF: pixels in and out. And of all formats which channels each can hold.

use std::borrow::Cow;
use std::io::{Cursor, Seek, Write};
use std::path::Path;

use bytemuck::Pod;
use channelwise::color;
use channelwise::ndarray::{Array3, ArrayD};
use channelwise::store::memory;
use channelwise::store::pictures::{INKS, Jpeg};
use exr::meta::header::Header;
use image::codecs::{bmp, jpeg, openexr, webp};
use image::error::ImageFormatHint;
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageFormat,
    ImageReader, ImageResult, Limits,
};

use super::resolution::{density, of_jpeg, of_png, per_metre};
use super::{Meta, Resolution, Tensor};
use crate::failure::{Failure, Result};

const NO_KIND: &str =
    "it is neither a .npy file nor a known kind of image, nor is an ENVI header beside it";

/// What a decoder may ask for beside pixels.
const SMALL: u64 = 64 << 20;

/// How many bytes of pixels a byte of a file is at most: deflate has 1032, and bits may become four bytes each.
const MOST_UNPACKED: u64 = 1032 * 32;

/// The same of OpenEXR's samples as they are stored: of some packings deflate has three bytes of four.
const MOST_OF_LAYERS: u64 = 1032 * 4 / 3;

/// jpeg's default of 75 would add more error than most filters.
const JPEG_QUALITY: u8 = 95;

/// A format for output.
#[derive(Debug, PartialEq)]
pub(crate) struct Format {
    format: ImageFormat,
    pub(crate) name: &'static str,
    pub(crate) extensions: &'static [&'static str],
    /// How many channels it can hold; TIFF any number.
    pub(crate) channels: Option<&'static [usize]>,
    /// The most bits of its integers; none where it holds no integers.
    pub(crate) integers: Option<u8>,
    pub(crate) floats: bool,
}

impl Format {
    /// Whether it has a room of its own, and holds batches.
    pub(crate) fn is_tiff(&self) -> bool {
        self.format == ImageFormat::Tiff
    }
}

/// Every format; TIFF has a room of its own. What the encoders cannot hold they would drop (alpha) or refuse.
pub(crate) const FORMATS: &[Format] = &[
    Format {
        format: ImageFormat::Png,
        name: "png",
        extensions: &["png"],
        channels: Some(&[1, 2, 3, 4]),
        integers: Some(16),
        floats: false,
    },
    Format {
        format: ImageFormat::Jpeg,
        name: "jpeg",
        extensions: &["jpg", "jpeg"],
        channels: Some(&[1, 3]),
        integers: Some(8),
        floats: false,
    },
    Format {
        format: ImageFormat::Tiff,
        name: "tiff",
        extensions: &["tif", "tiff"],
        channels: None,
        integers: Some(16),
        floats: true,
    },
    Format {
        format: ImageFormat::WebP,
        name: "webp",
        extensions: &["webp"],
        channels: Some(&[1, 2, 3, 4]),
        integers: Some(8),
        floats: false,
    },
    Format {
        format: ImageFormat::Bmp,
        name: "bmp",
        extensions: &["bmp"],
        channels: Some(&[1, 3, 4]),
        integers: Some(8),
        floats: false,
    },
    Format {
        format: ImageFormat::OpenExr,
        name: "exr",
        extensions: &["exr"],
        channels: Some(&[3, 4]),
        integers: None,
        floats: true,
    },
];

/// The pixels `[height, width, channels]`, upright; what the file says beside them, and what is to be said of it.
pub(crate) fn read(path: &Path, bytes: &[u8]) -> Result<(Tensor, Meta, Vec<String>)> {
    let failed = |error: ImageError| Failure::reading(path, describe(&error));
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| Failure::reading(path, error))?;
    let Some(format) = reader.format() else {
        return Err(Failure::reading(path, NO_KIND));
    };
    let mut notes = Vec::new();
    let mut jpeg = None;
    if format == ImageFormat::Jpeg {
        jpeg = Jpeg::find(bytes);
        if jpeg.is_none() {
            return Err(Failure::reading(path, "the file is truncated"));
        }
    }
    let in_ink = jpeg.is_some_and(|jpeg| jpeg.components == 4);
    if in_ink {
        notes.push(INKS.into());
    }
    if format == ImageFormat::OpenExr {
        let layers = layers(bytes);
        // The decoder asks for memory of one before it tells its size.
        let largest = layers.iter().map(layer_bytes).max().unwrap_or(0);
        explained(largest, Some(MOST_OF_LAYERS), bytes)
            .map_err(|why| Failure::reading(path, why))?;
        notes.extend(left_out(&layers));
    }
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let mut limits = Limits::no_limits();
    // The pixels, and a row or block at work.
    let needed = decoder.total_bytes();
    // Of WebP there is no most: a picture of one colour has no bits.
    let times = (format != ImageFormat::WebP).then_some(MOST_UNPACKED);
    explained(needed, times, bytes).map_err(|why| Failure::reading(path, why))?;
    memory::check(needed.saturating_mul(2)).map_err(|why| {
        let other = "as a .npy or TIFF file, an ENVI cube or a Zarr array it goes part by part";
        Failure::reading(path, format!("{why}; {other}"))
    })?;
    limits.max_alloc = Some(needed.saturating_mul(2).max(SMALL));
    decoder.set_limits(limits).map_err(failed)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    // That of inks says nothing of what becomes of them. One that cannot be read is none.
    let icc = decoder.icc_profile().unwrap_or(None).filter(|_| !in_ink);
    let mut exif = decoder.exif_metadata().unwrap_or(None);
    if let Some(exif) = &mut exif {
        let _ = Orientation::remove_from_exif_chunk(exif);
    }
    let resolution = match format {
        ImageFormat::Jpeg => of_jpeg(bytes),
        ImageFormat::Png => of_png(bytes),
        _ => None,
    };
    let turned = orientation.to_exif() > 4;
    let resolution = if turned { resolution.map(Resolution::turned) } else { resolution };
    let meta = Meta { icc, exif, resolution, ..Meta::default() };
    let strict = jpeg.map(|jpeg| super::jpeg::pixels(bytes, jpeg)).transpose();
    let mut image = match strict.map_err(|why| Failure::reading(path, why))?.flatten() {
        Some(image) => image,
        None => DynamicImage::from_decoder(decoder).map_err(failed)?,
    };
    image.apply_orientation(orientation);

    let channels = usize::from(image.color().channel_count());
    let shape = (image.height() as usize, image.width() as usize, channels);
    let of = |pixels: Vec<u8>| array(path, shape, pixels).map(Tensor::U8);
    let deep = |pixels: Vec<u16>| array(path, shape, pixels).map(Tensor::U16);
    let float = |pixels: Vec<f32>| array(path, shape, pixels).map(Tensor::F32);
    let tensor = match image {
        DynamicImage::ImageLuma8(x) => of(x.into_raw()),
        DynamicImage::ImageLumaA8(x) => of(x.into_raw()),
        DynamicImage::ImageRgb8(x) => of(x.into_raw()),
        DynamicImage::ImageRgba8(x) => of(x.into_raw()),
        DynamicImage::ImageLuma16(x) => deep(x.into_raw()),
        DynamicImage::ImageLumaA16(x) => deep(x.into_raw()),
        DynamicImage::ImageRgb16(x) => deep(x.into_raw()),
        DynamicImage::ImageRgba16(x) => deep(x.into_raw()),
        DynamicImage::ImageRgb32F(x) => float(x.into_raw()),
        DynamicImage::ImageRgba32F(x) => {
            let mut pixels = x.into_raw();
            // As OpenEXR has it.
            if format == ImageFormat::OpenExr {
                color::unpremultiply(&mut pixels, 4);
            }
            float(pixels)
        }
        other => {
            let kind = other.color();
            Err(Failure::reading(path, format!("its pixels are {kind:?}, which is not supported")))
        }
    };
    Ok((tensor?, meta, notes))
}

/// Refuses pixels that a file of so few bytes does not hold, each of which is at most so many, before there is memory
/// for them.
fn explained(needed: u64, times: Option<u64>, bytes: &[u8]) -> Result<(), String> {
    let there = bytes.len() as u64;
    if times.is_none_or(|times| needed / times <= there) {
        return Ok(());
    }
    Err(format!(
        "its size asks for {needed} bytes of pixels, which its {there} bytes do not explain"
    ))
}

/// The layers of an OpenEXR file; none where it is damaged, as its decoder will tell.
fn layers(bytes: &[u8]) -> Vec<Header> {
    exr::meta::MetaData::read_from_buffered(bytes, false)
        .map_or_else(|_| Vec::new(), |meta| meta.headers.into_vec())
}

/// What the pixels of one take.
fn layer_bytes(layer: &Header) -> u64 {
    let pixel = layer.channels.bytes_per_pixel as u64;
    (layer.layer_size.0 as u64).saturating_mul(layer.layer_size.1 as u64).saturating_mul(pixel)
}

/// What an OpenEXR file has beside the colours and alpha of the layer that is read, the first that has them.
fn left_out(layers: &[Header]) -> Option<String> {
    let names = |layer: &Header| -> Vec<String> {
        layer.channels.list.iter().map(|channel| channel.name.to_string()).collect()
    };
    let has_colours =
        |layer: &[String]| ["R", "G", "B"].iter().all(|c| layer.iter().any(|n| n == c));
    let layers: Vec<_> = layers.iter().map(names).collect();
    let read = layers.iter().position(|layer| has_colours(layer))?;
    let left: Vec<_> = layers
        .iter()
        .enumerate()
        .flat_map(|(at, layer)| layer.iter().map(move |name| (at, name.as_str())))
        .filter(|(at, name)| *at != read || !matches!(*name, "R" | "G" | "B" | "A"))
        .map(|(_, name)| name)
        .collect();
    (!left.is_empty()).then(|| format!("its channels {} are left out", left.join(", ")))
}

fn array<T>(
    path: &Path,
    (height, width, channels): (usize, usize, usize),
    pixels: Vec<T>,
) -> Result<ArrayD<T>> {
    ArrayD::from_shape_vec(vec![height, width, channels], pixels)
        .map_err(|error| Failure::reading(path, error))
}

/// Writes pixels `[height, width, channels]` of a type and number of channels that the format holds.
pub(crate) fn write<T: Pod, W: Write + Seek>(
    format: &Format,
    y: &Array3<T>,
    meta: &Meta,
    to: &mut W,
) -> ImageResult<()> {
    let (height, width, channels) = y.dim();
    let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let color = match (channels, size_of::<T>()) {
        (1, 1) => ExtendedColorType::L8,
        (2, 1) => ExtendedColorType::La8,
        (3, 1) => ExtendedColorType::Rgb8,
        (_, 1) => ExtendedColorType::Rgba8,
        (3, 4) => ExtendedColorType::Rgb32F,
        (_, 4) => ExtendedColorType::Rgba32F,
        (1, _) => ExtendedColorType::L16,
        (2, _) => ExtendedColorType::La16,
        (3, _) => ExtendedColorType::Rgb16,
        (_, _) => ExtendedColorType::Rgba16,
    };
    let y = y.as_standard_layout();
    let (width, height) = (side(width), side(height));
    let pixels: &[u8] = bytemuck::cast_slice(y.as_slice().unwrap_or_default());
    let size = (width, height, color);
    match format.format {
        ImageFormat::Jpeg => {
            let mut encoder = jpeg::JpegEncoder::new_with_quality(to, JPEG_QUALITY);
            if let Some(density) = meta.resolution.and_then(density) {
                encoder.set_pixel_density(density);
            }
            encode(encoder, pixels, size, meta)
        }
        ImageFormat::WebP => encode(webp::WebPEncoder::new_lossless(to), pixels, size, meta),
        ImageFormat::Bmp => encode(bmp::BmpEncoder::new(to), pixels, size, meta),
        ImageFormat::OpenExr => encode(openexr::OpenExrEncoder::new(to), pixels, size, meta),
        ImageFormat::Png => png(pixels, size, (channels, size_of::<T>()), meta, to)
            .map_err(|error| ImageError::IoError(error.into())),
        other => Err(ImageError::Unsupported(ImageFormatHint::Exact(other).into())),
    }
}

/// By the crate that `image` asks too, which has a place for resolution.
fn png(
    pixels: &[u8],
    (width, height, _): (u32, u32, ExtendedColorType),
    (channels, bytes): (usize, usize),
    meta: &Meta,
    to: impl Write,
) -> Result<(), png::EncodingError> {
    let mut info = png::Info::with_size(width, height);
    info.color_type = match channels {
        1 => png::ColorType::Grayscale,
        2 => png::ColorType::GrayscaleAlpha,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    };
    info.bit_depth = if bytes == 1 { png::BitDepth::Eight } else { png::BitDepth::Sixteen };
    info.icc_profile = meta.icc.as_deref().map(Cow::Borrowed);
    info.exif_metadata = meta.exif.as_deref().map(Cow::Borrowed);
    info.pixel_dims = meta
        .resolution
        .and_then(per_metre)
        .map(|[xppu, yppu]| png::PixelDimensions { xppu, yppu, unit: png::Unit::Meter });
    let mut encoder = png::Encoder::with_info(to, info)?;
    // As `image` does it.
    encoder.set_compression(png::Compression::Fast);
    encoder.set_filter(png::Filter::Adaptive);
    let mut writer = encoder.write_header()?;
    if bytes == 1 {
        return writer.write_image_data(pixels);
    }
    let words = bytemuck::pod_collect_to_vec::<u8, u16>(pixels);
    let words: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    writer.write_image_data(&words)
}

fn encode(
    mut encoder: impl ImageEncoder,
    pixels: &[u8],
    (width, height, color): (u32, u32, ExtendedColorType),
    meta: &Meta,
) -> ImageResult<()> {
    // A format that has no place for one says so.
    if let Some(icc) = &meta.icc {
        let _ = encoder.set_icc_profile(icc.clone());
    }
    if let Some(exif) = &meta.exif {
        let _ = encoder.set_exif_metadata(exif.clone());
    }
    encoder.write_image(pixels, width, height, color)
}

/// What an image library's error says, for people.
pub(crate) fn describe(error: &ImageError) -> String {
    match error {
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "the file is truncated".into()
        }
        ImageError::IoError(error) => error.to_string(),
        ImageError::Limits(_) => "it needs more memory than its size explains".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use channelwise::ndarray::Ix3;

    #[test]
    fn every_format_comes_back() {
        for format in FORMATS.iter().filter(|format| !format.floats) {
            for &channels in format.channels.unwrap_or_default() {
                let y = Array3::from_shape_fn((5, 7, channels), |(r, q, c)| {
                    (r * 30 + q * 5 + c * 20) as u8
                });
                let mut file = Cursor::new(Vec::new());
                write(format, &y, &Meta::default(), &mut file).unwrap();
                let Tensor::U8(back) = read(Path::new("x"), file.get_ref()).unwrap().0 else {
                    panic!("{} of 8 bits", format.name);
                };
                let back = back.into_dimensionality::<Ix3>().unwrap();
                if format.name == "jpeg" {
                    assert_eq!(back.dim(), y.dim());
                    continue;
                }
                // webp keeps grey as RGB and bmp as a palette, which read as RGB.
                let as_written = |c: usize| match (channels, back.dim().2) {
                    (1, 3) => 0,
                    (2, 4) => usize::from(c == 3),
                    _ => c,
                };
                for ((r, q, c), value) in back.indexed_iter() {
                    let c = as_written(c);
                    assert_eq!(*value, y[[r, q, c]], "{} {channels}", format.name);
                }
            }
        }
    }

    #[test]
    fn deep_formats_come_back() {
        for format in FORMATS.iter().filter(|format| format.integers == Some(16)) {
            for &channels in format.channels.unwrap_or_default() {
                let y = Array3::from_shape_fn((5, 7, channels), |(r, q, c)| {
                    (r * 9001 + q * 517 + c * 2049) as u16
                });
                let mut file = Cursor::new(Vec::new());
                write(format, &y, &Meta::default(), &mut file).unwrap();
                let back = read(Path::new("x"), file.get_ref()).unwrap().0;
                assert_eq!(back, Tensor::U16(y.into_dyn()), "{} {channels}", format.name);
            }
        }
    }

    #[test]
    fn truncated_images_are_refused() {
        let y =
            Array3::from_shape_fn((40, 40, 3), |(r, q, c)| ((r * 91) ^ (q * 57) ^ (c * 133)) as u8);
        for format in FORMATS.iter().filter(|format| !format.floats) {
            let mut file = Cursor::new(Vec::new());
            write(format, &y, &Meta::default(), &mut file).unwrap();
            let whole = file.into_inner();
            for part in [2, 3, 10] {
                let result = read(Path::new("x"), &whole[..whole.len() * (part - 1) / part]);
                assert!(matches!(result, Err(Failure::Work(_))), "{} {part}", format.name);
            }
        }
    }
}
