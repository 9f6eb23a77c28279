//! What samples mean, pixel by pixel: inverted greys, palettes, CMYK, YCbCr, premultiplied alpha.

use bytemuck::{Pod, bytes_of, pod_read_unaligned};
use half::f16;

use super::page::{Page, Photometric};
use crate::ElementType;

/// How samples become channels: grey bands, or red, green and blue, each with what was beside them.
#[derive(Debug)]
pub(super) struct Colours {
    kind: Kind,
    /// Of a pixel.
    samples: usize,
    /// Of samples, and of channels.
    from: ElementType,
    pub(super) to: ElementType,
    /// How many channels of colour there are, and which one they were multiplied with.
    premultiplied: Option<(usize, usize)>,
}

#[derive(Debug)]
enum Kind {
    AsTheyAre,
    Inverted,
    /// Red, green and blue of each number.
    Palette(Vec<[u16; 3]>),
    Cmyk,
    /// Weights of red, green and blue in luma.
    YCbCr([f32; 3]),
}

impl Colours {
    pub(super) fn of(page: &Page, from: ElementType) -> Self {
        let kind = match page.photometric {
            Photometric::BlackIsZero | Photometric::Rgb => Kind::AsTheyAre,
            Photometric::WhiteIsZero => Kind::Inverted,
            Photometric::Palette => {
                let (red, rest) = page.palette.split_at(page.palette.len() / 3);
                let (green, blue) = rest.split_at(rest.len() / 2);
                let each = red.iter().zip(green).zip(blue);
                Kind::Palette(each.map(|((r, g), b)| [*r, *g, *b]).collect())
            }
            Photometric::Cmyk => Kind::Cmyk,
            Photometric::YCbCr => Kind::YCbCr(page.luma),
        };
        let to = match kind {
            Kind::Palette(_) if page.has_deep_palette() => ElementType::U16,
            Kind::Palette(_) => ElementType::U8,
            _ => from,
        };
        let premultiplied = page.premultiplied().map(|alpha| (page.photometric.channels(), alpha));
        Self { kind, samples: page.samples, from, to, premultiplied }
    }

    /// Whether samples are channels.
    pub(super) fn are_samples(&self) -> bool {
        matches!(self.kind, Kind::AsTheyAre) && self.premultiplied.is_none()
    }

    pub(super) fn are_inks(&self) -> bool {
        matches!(self.kind, Kind::Cmyk)
    }

    pub(super) fn are_divided(&self) -> bool {
        self.premultiplied.is_some()
    }

    /// Pixels as they are to be filtered.
    pub(super) fn pixels(&self, samples: &[u8], to: &mut [u8]) {
        let sizes = (self.samples, samples);
        match (&self.kind, self.from) {
            (Kind::Inverted, ElementType::U8) => {
                each(sizes, to, |[v]: [u8; 1]| [u8::MAX - v], |v| v);
            }
            (Kind::Inverted, ElementType::U16) => {
                each(sizes, to, |[v]: [u16; 1]| [u16::MAX - v], |v| v);
            }
            (Kind::Cmyk, ElementType::U8) => each(
                sizes,
                to,
                |[c, m, y, k]: [u8; 4]| {
                    let part = |v| 255 - u32::from(v);
                    [c, m, y].map(|ink| ((part(ink) * part(k) + 127) / 255) as u8)
                },
                |v| v,
            ),
            (Kind::Cmyk, ElementType::U16) => each(
                sizes,
                to,
                |[c, m, y, k]: [u16; 4]| {
                    let part = |v| 65_535 - u64::from(v);
                    [c, m, y].map(|ink| ((part(ink) * part(k) + 32_767) / 65_535) as u16)
                },
                |v| v,
            ),
            (Kind::YCbCr(luma), ElementType::U8) => each(sizes, to, |ycc| rgb(ycc, *luma), |v| v),
            (Kind::Palette(colours), ElementType::U8) => {
                looked_up::<u8>(colours, self.to, sizes, to);
            }
            (Kind::Palette(colours), _) => looked_up::<u16>(colours, self.to, sizes, to),
            _ => to.copy_from_slice(samples),
        }
        if let Some(premultiplied) = self.premultiplied {
            let pixels = samples.len() / (self.samples * self.from.bytes());
            let channels = to.len() / (pixels * self.to.bytes()).max(1);
            divide(self.to, to, channels, premultiplied);
        }
    }
}

/// The colour of each pixel, its first `N` samples, turned into `M`; what follows becomes what `beside` says.
fn each<T: Pod, U: Pod, const N: usize, const M: usize>(
    (samples, from): (usize, &[u8]),
    to: &mut [u8],
    turn: impl Fn([T; N]) -> [U; M],
    beside: impl Fn(T) -> U,
) {
    let (before, after) = (size_of::<T>(), size_of::<U>());
    let wide = (samples - N + M) * after;
    for (from, to) in from.chunks_exact(samples * before).zip(to.chunks_exact_mut(wide)) {
        let at = |n: usize| pod_read_unaligned::<T>(&from[n * before..][..before]);
        let colour = turn(std::array::from_fn(at)).into_iter();
        let all = colour.chain((N..samples).map(|n| beside(at(n))));
        for (place, value) in to.chunks_exact_mut(after).zip(all) {
            place.copy_from_slice(bytes_of(&value));
        }
    }
}

/// Numbers of a palette, which has one for all that so many bits hold.
fn looked_up<T: Pod + Into<u16>>(
    palette: &[[u16; 3]],
    kind: ElementType,
    sizes: (usize, &[u8]),
    to: &mut [u8],
) {
    let at = |n: T| palette[usize::from(n.into())];
    // What is beside the colour was never a number of the palette.
    if kind == ElementType::U16 {
        each(sizes, to, |[n]: [T; 1]| at(n), Into::into);
    } else {
        each(sizes, to, |[n]: [T; 1]| at(n).map(|v| (v >> 8) as u8), |v: T| v.into() as u8);
    }
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

/// Divides colours, which were multiplied with alpha.
fn divide(kind: ElementType, pixels: &mut [u8], channels: usize, of: (usize, usize)) {
    match kind {
        ElementType::U8 => divide_of::<u8>(pixels, channels, of),
        ElementType::I8 => divide_of::<i8>(pixels, channels, of),
        ElementType::U16 => divide_of::<u16>(pixels, channels, of),
        ElementType::I16 => divide_of::<i16>(pixels, channels, of),
        ElementType::U32 => divide_of::<u32>(pixels, channels, of),
        ElementType::I32 => divide_of::<i32>(pixels, channels, of),
        ElementType::F16 => divide_of::<f16>(pixels, channels, of),
        ElementType::F32 => divide_of::<f32>(pixels, channels, of),
        ElementType::F64 => divide_of::<f64>(pixels, channels, of),
    }
}

fn divide_of<T: crate::Element>(
    pixels: &mut [u8],
    channels: usize,
    (colours, alpha): (usize, usize),
) {
    let size = size_of::<T>();
    for pixel in pixels.chunks_exact_mut(channels * size) {
        let at = |pixel: &[u8], n: usize| pod_read_unaligned::<T>(&pixel[n * size..][..size]);
        let alpha = at(pixel, alpha).to_f64();
        for n in 0..colours {
            let value = T::from_f64(quotient(at(pixel, n).to_f64(), alpha, T::TYPE));
            pixel[n * size..][..size].copy_from_slice(bytes_of(&value));
        }
    }
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
