//! A picture drawn by formula, so that examples need no file: hills under a sun, rings, and a fence.

use image::{Rgb, RgbImage};

/// The picture in any size.
pub fn scene(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |column, row| {
        // Four by four places of a pixel, so that edges are soft.
        let mut sum = [0.0f32; 3];
        for part in 0..16 {
            let x = (column as f32 + (part % 4) as f32 / 4.0 + 0.125) / width as f32;
            let y = (row as f32 + (part / 4) as f32 / 4.0 + 0.125) / height as f32;
            let color = color(x * width as f32 / height as f32, y);
            for (sum, color) in sum.iter_mut().zip(color) {
                *sum += color / 16.0;
            }
        }
        Rgb(sum.map(|v| (v * 255.0).round() as u8))
    })
}

/// At `x` (from 0 to width over height) and `y` (0 at the top, 1 at the bottom).
fn color(x: f32, y: f32) -> [f32; 3] {
    let mix = |a: [f32; 3], b: [f32; 3], t: f32| {
        let t = t.clamp(0.0, 1.0);
        [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * t)
    };
    let mut color = mix([0.16, 0.33, 0.62], [0.98, 0.80, 0.62], y * 1.5);
    // Rings in the sky, finer and finer outwards.
    let (dx, dy) = (x - 0.42, y - 0.3);
    let distance = (dx * dx + dy * dy).sqrt();
    if distance < 0.24 {
        let ring = 0.5 + 0.5 * (500.0 * distance * distance).cos();
        color = mix([0.13, 0.16, 0.30], [0.97, 0.92, 0.70], ring);
    }
    // The sun.
    let (dx, dy) = (x - 1.28, y - 0.27);
    if dx * dx + dy * dy < 0.012 {
        color = [1.0, 0.86, 0.35];
    }
    let hills = [
        (0.62, 0.06, 3.1, 0.4, [0.36, 0.47, 0.60]),
        (0.70, 0.07, 4.7, 2.0, [0.24, 0.42, 0.38]),
        (0.82, 0.05, 7.3, 4.1, [0.16, 0.30, 0.20]),
    ];
    for (level, size, waves, phase, hill) in hills {
        if y > level + size * (waves * x + phase).sin() {
            color = hill;
        }
    }
    // The fence.
    let rail = (y - 0.86).abs() < 0.012 || (y - 0.94).abs() < 0.012;
    if (x * 11.0).fract() < 0.28 && y > 0.8 || rail {
        color = [0.93, 0.89, 0.82];
    }
    color
}
