//! Alpha and sRGB around a filter: what pixels are before it, and what becomes of its results.
//!
//! Filters are linear, and two things about pixels are not. Colours of images are stored by the curve
//! of sRGB, so that sums of them are too dark; and the colour of a transparent pixel counts for
//! nothing, so that a plain filter draws it into its neighbours. [`decode`] before a filter and
//! [`encode`] after it undo both; `shaders/texel.wgsl` is their twin.
//!
//! Pixels are rows of f32, `channels` to a pixel; with two or four of them the last is alpha. Values
//! are those of textures and float images, 1 for the whole; what a filter takes beyond 0 and 1
//! stays there.

/// What a filter does with alpha.
///
/// ```
/// use channelwise::color::{AlphaMode, decode};
///
/// // Half covered by red, then not at all by blue, which nobody sees.
/// let pixels = [1.0, 0.0, 0.0, 0.5, 0.0, 0.0, 1.0, 0.0];
/// let (mut plain, mut weighed) = (pixels, pixels);
/// decode(&mut plain, 4, AlphaMode::Filter, false);
/// decode(&mut weighed, 4, AlphaMode::Premultiply, false);
/// assert_eq!(plain, pixels);
/// assert_eq!(weighed, [0.5, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AlphaMode {
    /// It is filtered like a colour, and colours are filtered as if all were opaque.
    #[default]
    Filter,
    /// It stays what it is at the place in the middle of the kernel, and colours are filtered as if all
    /// were opaque.
    Keep,
    /// Colours weigh as much as they cover: they are multiplied by alpha before the filter and divided
    /// by the filtered alpha after it. Where that is 0 or less, they are 0.
    Premultiply,
}

/// The light of a value stored by the curve of sRGB (IEC 61966-2-1); negative values by the same
/// curve, mirrored.
///
/// ```
/// use channelwise::color::{linear_to_srgb, srgb_to_linear};
/// assert!((srgb_to_linear(0.5) - 0.214_041).abs() < 1e-6);
/// assert!((linear_to_srgb(0.214_041) - 0.5).abs() < 1e-6);
/// assert_eq!([0.0, 1.0].map(srgb_to_linear), [0.0, 1.0]);
/// ```
#[must_use]
pub fn srgb_to_linear(value: f32) -> f32 {
    let size = value.abs();
    let light = if size <= 0.04045 { size / 12.92 } else { ((size + 0.055) / 1.055).powf(2.4) };
    light.copysign(value)
}

/// The value by which sRGB stores that much light, the inverse of [`srgb_to_linear`].
///
/// ```
/// use channelwise::color::linear_to_srgb;
///
/// // Half of the light is stored as 188 of 255.
/// assert_eq!((linear_to_srgb(0.5) * 255.0).round(), 188.0);
/// ```
#[must_use]
pub fn linear_to_srgb(light: f32) -> f32 {
    let size = light.abs();
    let value =
        if size <= 0.003_130_8 { 12.92 * size } else { 1.055 * size.powf(1.0 / 2.4) - 0.055 };
    value.copysign(light)
}

/// Multiplies the colours of pixels by their alpha.
///
/// ```
/// use channelwise::color::premultiply;
///
/// let mut pixel = [1.0, 0.5, 0.0, 0.5];
/// premultiply(&mut pixel, 4);
/// assert_eq!(pixel, [0.5, 0.25, 0.0, 0.5]);
/// ```
pub fn premultiply(pixels: &mut [f32], channels: usize) {
    with_alpha(pixels, channels, |color, alpha| color * alpha);
}

/// Divides the colours of pixels by their alpha; where that is not above 0, they become 0.
///
/// ```
/// use channelwise::color::{premultiply, unpremultiply};
/// let mut pixels = [0.5, 1.0, 0.25, 0.5, 0.9, 0.9, 0.9, 0.0];
/// premultiply(&mut pixels, 4);
/// assert_eq!(pixels, [0.25, 0.5, 0.125, 0.5, 0.0, 0.0, 0.0, 0.0]);
/// unpremultiply(&mut pixels, 4);
/// assert_eq!(pixels, [0.5, 1.0, 0.25, 0.5, 0.0, 0.0, 0.0, 0.0]);
/// ```
pub fn unpremultiply(pixels: &mut [f32], channels: usize) {
    with_alpha(pixels, channels, |color, alpha| if alpha > 0.0 { color / alpha } else { 0.0 });
}

/// Makes pixels ready for a filter: to light first, where `linear`, and then by `alpha`.
///
/// ```
/// use channelwise::color::{AlphaMode, decode, encode};
///
/// let mut pixel = [0.5, 0.5, 0.5];
/// decode(&mut pixel, 3, AlphaMode::Filter, true); // to light
/// assert!((pixel[0] - 0.214).abs() < 1e-3);
/// encode(&mut pixel, 3, AlphaMode::Filter, true);
/// assert!((pixel[0] - 0.5).abs() < 1e-6);
/// ```
pub fn decode(pixels: &mut [f32], channels: usize, alpha: AlphaMode, linear: bool) {
    if linear {
        each_color(pixels, channels, srgb_to_linear);
    }
    if alpha == AlphaMode::Premultiply {
        premultiply(pixels, channels);
    }
}

/// Makes pixels of what a filter gave, the inverse of [`decode`]. With [`AlphaMode::Keep`] it is for
/// the caller to put alpha back.
///
/// ```
/// use channelwise::color::{AlphaMode, decode, encode};
/// let mut pixels = [0.2, 0.4, 0.6, 0.5];
/// decode(&mut pixels, 4, AlphaMode::Premultiply, true);
/// assert_eq!(pixels[3], 0.5);
/// encode(&mut pixels, 4, AlphaMode::Premultiply, true);
/// assert!((pixels[0] - 0.2).abs() < 1e-6 && (pixels[2] - 0.6).abs() < 1e-6);
/// ```
pub fn encode(pixels: &mut [f32], channels: usize, alpha: AlphaMode, linear: bool) {
    if alpha == AlphaMode::Premultiply {
        unpremultiply(pixels, channels);
    }
    if linear {
        each_color(pixels, channels, linear_to_srgb);
    }
}

/// Whether pixels of so many channels have alpha.
fn has_alpha(channels: usize) -> bool {
    matches!(channels, 2 | 4)
}

fn with_alpha(pixels: &mut [f32], channels: usize, change: impl Fn(f32, f32) -> f32) {
    if !has_alpha(channels) {
        return;
    }
    for pixel in pixels.chunks_exact_mut(channels) {
        if let [colors @ .., alpha] = pixel {
            for color in colors {
                *color = change(*color, *alpha);
            }
        }
    }
}

fn each_color(pixels: &mut [f32], channels: usize, change: impl Fn(f32) -> f32) {
    let colors = channels - usize::from(has_alpha(channels));
    for pixel in pixels.chunks_mut(channels.max(1)) {
        for color in pixel.iter_mut().take(colors) {
            *color = change(*color);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_that_of_the_norm() {
        // 8-bit values and their light, from the formula in exact arithmetic.
        let known =
            [(0, 0.0), (10, 0.003_035_27), (11, 0.003_346_536), (128, 0.215_860_5), (255, 1.0)];
        for (value, light) in known {
            let got = srgb_to_linear(value as f32 / 255.0);
            assert!((got - light).abs() <= 1e-6 * light, "{value}: {got}");
        }
        for value in -300..=300 {
            let value = value as f32 / 100.0;
            let back = linear_to_srgb(srgb_to_linear(value));
            assert!((back - value).abs() <= 2e-6 * value.abs(), "{value} came back as {back}");
        }
    }

    #[test]
    fn alpha_is_the_last_of_two_or_four() {
        let all = [0.5, 0.25, 1.0, 0.5, 0.5, 0.25, 1.0, 0.5];
        for (channels, want) in [
            (0, all),
            (1, all),
            (2, [0.125, 0.25, 0.5, 0.5, 0.125, 0.25, 0.5, 0.5]),
            (3, all),
            (4, [0.25, 0.125, 0.5, 0.5, 0.25, 0.125, 0.5, 0.5]),
        ] {
            let mut pixels = all;
            decode(&mut pixels, channels, AlphaMode::Premultiply, false);
            assert_eq!(pixels, want, "{channels} channels");
            encode(&mut pixels, channels, AlphaMode::Premultiply, false);
            assert_eq!(pixels, all, "{channels} channels");
            let mut pixels = all;
            decode(&mut pixels, channels, AlphaMode::Keep, true);
            let kept = all.iter().zip(&pixels).filter(|(a, b)| a == b).count();
            // Those of value 1 are their own light.
            let alphas = if has_alpha(channels) { 8 / channels } else { 0 };
            let want = if channels == 0 { 8 } else { alphas + 2 };
            assert_eq!(kept, want, "{channels} channels");
        }
    }

    #[test]
    fn alpha_that_is_not_positive_leaves_no_color() {
        let mut pixels = [1.0, -1.0, 2.0, 0.0, 1.0, 1.0, 1.0, -0.5, 1.0, 1.0, 1.0, f32::NAN];
        unpremultiply(&mut pixels, 4);
        assert_eq!(pixels[..11], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.5, 0.0, 0.0, 0.0]);
    }
}
