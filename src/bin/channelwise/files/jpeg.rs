//! Pixels of JPEG files, where the decoder that `image` asks fills what is damaged or missing with grey and says
//! nothing: it is asked here to be strict.

use channelwise::store::pictures::Jpeg;
use image::DynamicImage;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// What it says of bytes that others pass over, as some cameras leave them.
const BETWEEN: &str = "Extra bytes between headers";

/// And where there are too few.
const MISSING: &str = "Premature end";

/// The pixels, in the channels that `image` gives them; `None` where that has to read them, since they have what this
/// takes for damage and is none.
pub(super) fn pixels(bytes: &[u8], jpeg: Jpeg) -> Result<Option<DynamicImage>, String> {
    let damaged = |error: DecodeErrors| match error {
        DecodeErrors::FormatStatic(text) if text.contains(BETWEEN) => None,
        DecodeErrors::ExhaustedData => Some("the file is truncated".to_string()),
        DecodeErrors::FormatStatic(text) if text.contains(MISSING) => {
            Some("the file is truncated".to_string())
        }
        error => Some(format!("its pixels are damaged: {error}")),
    };
    // Behind the end marker it reads zeros, and only without it says that something is missing.
    let bytes = if jpeg.is_plain { &bytes[..jpeg.end] } else { bytes };
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let decoded = decoder.decode_headers().and_then(|()| {
        let space = match decoder.input_colorspace() {
            Some(
                space @ (ColorSpace::RGB | ColorSpace::RGBA | ColorSpace::Luma | ColorSpace::LumaA),
            ) => space,
            _ => ColorSpace::RGB,
        };
        decoder.set_options(options.jpeg_set_out_colorspace(space));
        Ok((space, decoder.decode()?))
    });
    let (space, pixels) = match decoded {
        Ok(decoded) => decoded,
        Err(error) => return damaged(error).map_or(Ok(None), Err),
    };
    let Some((width, height)) = decoder.dimensions() else { return Ok(None) };
    let (width, height) = (width as u32, height as u32);
    Ok(match space {
        ColorSpace::Luma => image::GrayImage::from_raw(width, height, pixels).map(Into::into),
        ColorSpace::LumaA => image::GrayAlphaImage::from_raw(width, height, pixels).map(Into::into),
        ColorSpace::RGBA => image::RgbaImage::from_raw(width, height, pixels).map(Into::into),
        _ => image::RgbImage::from_raw(width, height, pixels).map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_and_without_the_end() {
        let picture = image::RgbImage::from_fn(60, 50, |x, y| image::Rgb([(x * y) as u8; 3]));
        let mut whole = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut whole, image::ImageFormat::Jpeg).unwrap();
        let whole = whole.into_inner();
        let read = |bytes: &[u8]| pixels(bytes, Jpeg::find(bytes).ok_or("no end")?);
        let decoded = read(&whole).unwrap().unwrap().into_rgb8();
        assert_eq!(decoded, image::load_from_memory(&whole).unwrap().into_rgb8());
        let end = whole.len() - 2;
        for cut in [whole.len() / 2, end - 200, end - 20] {
            let ended = [&whole[..cut], &[0xff, 0xd9]].concat();
            let error = read(&ended).unwrap_err();
            assert!(error.contains("truncated"), "{cut}: {error}");
            assert_eq!(read(&whole[..cut]).unwrap_err(), "no end");
        }
    }
}
