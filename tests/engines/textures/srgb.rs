//! Sources of sRGB formats, which the texture unit decodes.

use super::*;
use wgpu::TextureFormat::{Bgra8UnormSrgb, Rg32Float, Rgba8UnormSrgb};

#[test]
fn textures_of_srgb_agree() {
    agree(
        "textures of sRGB",
        &[
            [Rgba8UnormSrgb, Rgba8Unorm],
            [Bgra8UnormSrgb, Rgba8Unorm],
            [Rgba8UnormSrgb, Bgra8Unorm],
            [Rgba8UnormSrgb, Rgba32Float],
            [Bgra8UnormSrgb, Rgba16Float],
        ],
    );
}

/// A texture of all levels, alpha like the colours.
fn levels() -> Vec<f32> {
    (0..256).flat_map(|level| [level as f32 / 255.0; 4]).collect()
}

/// What the identity makes of all levels.
fn through(gpu: &Gpu, formats: [TextureFormat; 2], linear: bool) -> Vec<f32> {
    let conv = Conv2d::new;
    let case = Case::new(Kernel::identity(), (0, 0), conv, Border::Replicate, [16, 16]);
    let case = Case { formats, linear, ..case };
    let options = case.options(Algorithm::Auto);
    let prepared = gpu.prepare_texture(&case.conv, extent(case.size), &options).unwrap();
    case.on_gpu(gpu, &prepared, &levels())
}

/// Level by level: the light of each, and each level back.
#[test]
fn every_level_of_srgb_is_decoded_once() {
    let Some(gpu) = gpu() else { return };
    for source in [Rgba8UnormSrgb, Bgra8UnormSrgb] {
        let light = through(&gpu, [source, Rgba32Float], false);
        let values = through(&gpu, [source, Rgba32Float], true);
        let bytes = through(&gpu, [source, Rgba8Unorm], true);
        let mut worst = 0f32;
        for (at, level) in levels().into_iter().enumerate() {
            if at % 4 == 3 {
                // Alpha has no curve, and devices divide by 255 within an ulp.
                for alpha in [light[at], values[at], bytes[at]] {
                    assert!((alpha - level).abs() <= f32::EPSILON * level, "{alpha}, not {level}");
                }
                continue;
            }
            // In levels, where what devices may be off is one number.
            let off = (color::linear_to_srgb(light[at]) - level).abs() * 255.0;
            worst = worst.max(off);
            assert!(off <= 0.5, "{source:?}: {level} is the light {}", light[at]);
            let off = (values[at] - level).abs() * 255.0;
            assert!(off <= 0.51, "{source:?}: {level} came back as {}", values[at]);
            let off = (bytes[at] - level).abs() * 255.0;
            assert!(off <= 1.01, "{source:?}: {level} came back as {}", bytes[at]);
        }
        crate::common::say(&format!("{source:?}: light at worst {worst:.4} levels off"));
    }
}

/// An sRGB source gives what `linear_light` makes of the same bytes, where both are given back as
/// bytes of sRGB.
#[test]
fn texture_units_decode_as_shaders_do() {
    let Some(gpu) = gpu() else { return };
    let blur = Kernel::gaussian(7, 1.5).unwrap();
    for alpha in ALPHAS {
        let case = Case::new(blur.clone(), (3, 3), Conv2d::new, Border::Reflect, [31, 40]);
        let pixels = pixels(Rgba8Unorm, case.size, 11);
        let [shader, unit] = [Rgba8Unorm, Rgba8UnormSrgb].map(|source| {
            let case = Case { formats: [source, Rgba8Unorm], alpha, linear: true, ..case.clone() };
            let options = case.options(Algorithm::Auto);
            let prepared = gpu.prepare_texture(&case.conv, extent(case.size), &options).unwrap();
            case.on_gpu(&gpu, &prepared, &pixels)
        });
        let off = shader.iter().zip(&unit).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off <= 1.01 / 255.0, "{alpha:?}: {off}");
    }
}

#[test]
fn destinations_of_srgb_are_refused() {
    let Some(gpu) = gpu() else { return };
    let conv = Conv2d::new(Kernel::gaussian(3, 1.0).unwrap());
    let refused = |options: TextureOptions| {
        gpu.prepare_texture(&conv, extent([8, 12]), &options).map(drop).unwrap_err()
    };
    let plain = TextureOptions::new;
    for (options, which, parts) in [
        (
            plain(Rgba8UnormSrgb),
            "destination",
            [
                "format Rgba8UnormSrgb cannot be written",
                "needed is Rgba8Unorm, in a texture whose view_formats contain Rgba8UnormSrgb, with TextureOptions::linear_light",
            ],
        ),
        (
            plain(Rgba8Unorm).destination(Bgra8UnormSrgb),
            "destination",
            ["format Bgra8UnormSrgb cannot be written", "needed is Bgra8Unorm,"],
        ),
        (
            plain(Rg32Float).destination(Rgba8Unorm),
            "source",
            ["format Rg32Float is none of", "Rgba8UnormSrgb, Bgra8UnormSrgb]"],
        ),
        (
            plain(Rgba8Unorm).destination(Rg32Float),
            "destination",
            ["format Rg32Float is none of", "Rgba32Float, R32Float]"],
        ),
    ] {
        let error = refused(options);
        assert!(error.is_usage());
        assert!(matches!(error, Error::Texture { which: w, .. } if w == which), "{error}");
        assert!(parts.iter().all(|part| error.to_string().contains(part)), "{error}");
    }
}
