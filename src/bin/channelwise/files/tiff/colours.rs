//! What samples mean: inverted greys, palettes, CMYK, YCbCr, premultiplied alpha, and which side is up.

use channelwise::f16;
use channelwise::ndarray::{ArrayD, Axis};

use super::page::{Page, Photometric};
use super::{Result, Tensor, samples};
use crate::files::CMYK;

/// The channels as they are to be filtered: grey bands, or red, green and blue, each with what was beside
/// them; upright.
pub(super) fn apply(page: &Page, x: Tensor, notes: &mut Vec<String>) -> Result<Tensor> {
    let mut note = |text: String| {
        if !notes.contains(&text) {
            notes.push(text);
        }
    };
    if let Some(text) = samples::note(page) {
        note(text);
    }
    let x = match (page.photometric, x) {
        (Photometric::WhiteIsZero, Tensor::U8(x)) => {
            Tensor::U8(colour(x, 1, |[v]: [u8; 1]| [u8::MAX - v])?)
        }
        (Photometric::WhiteIsZero, Tensor::U16(x)) => {
            Tensor::U16(colour(x, 1, |[v]: [u16; 1]| [u16::MAX - v])?)
        }
        (Photometric::Palette, x) => looked_up(page, x)?,
        (Photometric::Cmyk, x) => {
            note(CMYK.into());
            match x {
                Tensor::U8(x) => Tensor::U8(colour(x, 4, |[c, m, y, k]: [u8; 4]| {
                    [c, m, y].map(|ink| both(255 - u32::from(ink), 255 - u32::from(k), 255) as u8)
                })?),
                Tensor::U16(x) => Tensor::U16(colour(x, 4, |[c, m, y, k]: [u16; 4]| {
                    let part = |v| 65_535 - u64::from(v);
                    [c, m, y].map(|ink| ((part(ink) * part(k) + 32_767) / 65_535) as u16)
                })?),
                other => other,
            }
        }
        (Photometric::YCbCr, Tensor::U8(x)) => {
            let luma = page.luma;
            Tensor::U8(colour(x, 3, |ycc| rgb(ycc, luma))?)
        }
        (_, x) => x,
    };
    let x = match page.premultiplied() {
        None => x,
        Some(alpha) => {
            note("its colours are divided by alpha, which they were multiplied with".into());
            divided(x, page.photometric, alpha)
        }
    };
    Ok(match x {
        Tensor::F32(x) => Tensor::F32(upright(x, page.orientation)),
        Tensor::U8(x) => Tensor::U8(upright(x, page.orientation)),
        Tensor::U16(x) => Tensor::U16(upright(x, page.orientation)),
        Tensor::F16(x) => Tensor::F16(upright(x, page.orientation)),
    })
}

/// The colour of each pixel, its first `N` samples, turned into `M`; what follows stays.
fn colour<T: Copy, const N: usize, const M: usize>(
    x: ArrayD<T>,
    colours: usize,
    turn: impl Fn([T; N]) -> [T; M],
) -> Result<ArrayD<T>> {
    let (height, width, samples) = (x.shape()[0], x.shape()[1], x.shape()[2]);
    let data = x.into_raw_vec_and_offset().0;
    let mut out = Vec::with_capacity(data.len() / samples * (samples - colours + M));
    for pixel in data.chunks_exact(samples) {
        if let Some((colour, beside)) = pixel.split_first_chunk::<N>() {
            out.extend(turn(*colour));
            out.extend(beside);
        }
    }
    ArrayD::from_shape_vec(vec![height, width, samples - colours + M], out)
        .map_err(|error| error.to_string())
}

/// `a * b / full`, rounded.
fn both(a: u32, b: u32, full: u32) -> u32 {
    (a * b + full / 2) / full
}

fn looked_up(page: &Page, x: Tensor) -> Result<Tensor> {
    let (red, rest) = page.palette.split_at(page.palette.len() / 3);
    let (green, blue) = rest.split_at(rest.len() / 2);
    let at = |n: usize| [red[n], green[n], blue[n]];
    let indices = match x {
        Tensor::U8(x) => x.mapv(u16::from),
        Tensor::U16(x) => x,
        Tensor::F32(_) | Tensor::F16(_) => return Err("its palette is of floats".into()),
    };
    let largest = red.len() - 1;
    let samples = indices.shape()[2];
    let last = indices.iter().step_by(samples).max().copied().unwrap_or(0);
    if usize::from(last) > largest {
        return Err(format!("its number {last} is beyond its palette, which ends with {largest}"));
    }
    let colours = colour(indices, 1, |[n]: [u16; 1]| at(n.into()))?;
    if page.has_deep_palette() {
        return Ok(Tensor::U16(colours));
    }
    // What is beside the colour was never a number of the palette.
    let mut bytes = colours.mapv(|v| (v >> 8) as u8);
    for (c, (byte, value)) in bytes.iter_mut().zip(&colours).enumerate() {
        if c % (samples + 2) > 2 {
            *byte = *value as u8;
        }
    }
    Ok(Tensor::U8(bytes))
}

/// Full-range colours of JPEG and TIFF, of whatever luma.
fn rgb([y, cb, cr]: [u8; 3], [red, green, blue]: [f32; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    let r = y + (2.0 - 2.0 * red) * cr;
    let b = y + (2.0 - 2.0 * blue) * cb;
    let g = (y - red * r - blue * b) / green;
    // Saturates.
    [r, g, b].map(|v| v.round() as u8)
}

/// Colours that were multiplied with alpha, sample `alpha` of each pixel.
fn divided(x: Tensor, photometric: Photometric, alpha: usize) -> Tensor {
    fn of<T: Copy>(
        mut x: ArrayD<T>,
        colours: usize,
        alpha: usize,
        by: impl Fn(T, T) -> T,
    ) -> ArrayD<T> {
        for mut pixel in x.lanes_mut(Axis(2)) {
            let alpha = pixel[alpha];
            for value in pixel.iter_mut().take(colours) {
                *value = by(*value, alpha);
            }
        }
        x
    }
    let colours =
        if photometric.samples() == 1 && photometric != Photometric::Palette { 1 } else { 3 };
    let float = |v: f32, a: f32| if a == 0.0 { 0.0 } else { v / a };
    let whole =
        |v: u64, a: u64, full: u64| (v * full + a / 2).checked_div(a).map_or(0, |v| v.min(full));
    match x {
        Tensor::F32(x) => Tensor::F32(of(x, colours, alpha, float)),
        Tensor::F16(x) => {
            Tensor::F16(of(x, colours, alpha, |v, a| f16::from_f32(float(v.to_f32(), a.to_f32()))))
        }
        Tensor::U8(x) => {
            Tensor::U8(of(x, colours, alpha, |v, a| whole(v.into(), a.into(), 255) as u8))
        }
        Tensor::U16(x) => {
            Tensor::U16(of(x, colours, alpha, |v, a| whole(v.into(), a.into(), 65_535) as u16))
        }
    }
}

/// As it is to be seen; `orientation` as Exif counts.
fn upright<T: Clone>(mut x: ArrayD<T>, orientation: u8) -> ArrayD<T> {
    let (rows, columns) = (Axis(0), Axis(1));
    if matches!(orientation, 5..=8) {
        x.swap_axes(0, 1);
    }
    if matches!(orientation, 3 | 4 | 7 | 8) {
        x.invert_axis(rows);
    }
    if matches!(orientation, 2 | 3 | 6 | 7) {
        x.invert_axis(columns);
    }
    if x.is_standard_layout() { x } else { x.as_standard_layout().into_owned() }
}
