//! What samples mean: inverted greys, palettes, CMYK, YCbCr, premultiplied alpha, and which side is up.

use channelwise::ElementType;
use channelwise::ndarray::{ArrayD, Axis};

use super::page::{Page, Photometric};
use super::{Result, Tensor};
use crate::files::{CMYK, Sample, with_array};

/// The channels as they are to be filtered: grey bands, or red, green and blue, each with what was beside
/// them; upright.
pub(super) fn apply(page: &Page, x: Tensor, notes: &mut Vec<String>) -> Result<Tensor> {
    let mut note = |text: String| {
        if !notes.contains(&text) {
            notes.push(text);
        }
    };
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
    Ok(with_array!(x, x => Sample::tensor(upright(x, page.orientation))))
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
        other => return Err(format!("its numbers of a palette are {}", other.kind())),
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
    fn of<T: Sample>(mut x: ArrayD<T>, colours: usize, alpha: usize) -> Tensor {
        for mut pixel in x.lanes_mut(Axis(2)) {
            let alpha = pixel[alpha].to_f64();
            for value in pixel.iter_mut().take(colours) {
                *value = T::from_f64(quotient(value.to_f64(), alpha, T::TYPE));
            }
        }
        T::tensor(x)
    }
    let colours =
        if photometric.samples() == 1 && photometric != Photometric::Palette { 1 } else { 3 };
    with_array!(x, x => of(x, colours, alpha))
}

/// A colour that was multiplied with alpha, on the scale of its type; 0 where nothing was left.
fn quotient(value: f64, alpha: f64, kind: ElementType) -> f64 {
    let Some(whole) = kind.integers() else {
        return if alpha == 0.0 { 0.0 } else { value / alpha };
    };
    if alpha <= 0.0 {
        return 0.0;
    }
    // Exact, as all that 32 bits hold is, and halves go up.
    let (value, alpha, full) = (value as i128, alpha as i128, i128::from(*whole.end()));
    let rounded = (2 * value * full + alpha).div_euclid(2 * alpha);
    rounded.clamp(i128::from(*whole.start()), full) as f64
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_have_the_scale_of_their_type() {
        for (value, alpha, kind, want) in [
            (64.0, 128.0, ElementType::U8, 128.0),
            (200.0, 128.0, ElementType::U8, 255.0),
            (5.0, 0.0, ElementType::U8, 0.0),
            (-50.0, 100.0, ElementType::I8, -63.0),
            (-50.0, -100.0, ElementType::I8, 0.0),
            (1e9, 2e9, ElementType::U32, 2_147_483_648.0),
            (-2e9, 1e9, ElementType::I32, i32::MIN.into()),
            (0.25, 0.5, ElementType::F64, 0.5),
            (0.25, 0.0, ElementType::F16, 0.0),
        ] {
            assert_eq!(quotient(value, alpha, kind), want, "{value} of {alpha}, {kind}");
        }
    }
}
