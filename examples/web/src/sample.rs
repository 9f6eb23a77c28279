//! The picture that is there before one is chosen: an evening at a lake, drawn.

use wasm_bindgen::prelude::*;

type Colour = [f32; 3];

/// Rows of pixels, `width * height * 4` bytes.
#[wasm_bindgen]
#[must_use]
pub fn sample(width: usize, height: usize) -> Vec<u8> {
    // Four points in a pixel.
    const POINTS: [(f32, f32); 4] =
        [(0.125, 0.375), (0.375, 0.875), (0.625, 0.125), (0.875, 0.625)];
    let side = height.max(1) as f32;
    let mut rgba = Vec::with_capacity(width * height * 4);
    for row in 0..height {
        for column in 0..width {
            let mut sum = [0.0; 3];
            for (right, down) in POINTS {
                let colour = scene((column as f32 + right) / side, (row as f32 + down) / side);
                sum = mix(sum, colour, 0.25, |sum, colour, part| sum + colour * part);
            }
            rgba.extend(sum.map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8));
            rgba.push(255);
        }
    }
    rgba
}

const SHORE: f32 = 0.68;
const SUN: (f32, f32) = (1.04, 0.335);

/// The colour at a place; both coordinates in heights of the picture.
fn scene(x: f32, y: f32) -> Colour {
    if y < SHORE {
        return land(x, y);
    }
    // Water mirrors what is above it, shaken by waves that are longer near the eye.
    let depth = y - SHORE;
    let wave = noise(x * 9.0, y * 260.0 / (1.0 + 9.0 * depth)) - 0.5;
    let mirrored = land(x + 0.05 * wave * (0.3 + 4.0 * depth), SHORE - depth * (1.4 + 0.5 * wave));
    let glint =
        (1.0 - 7.0 * (x - SUN.0).abs() / (1.0 + 5.0 * depth)).max(0.0) * (wave - 0.1).max(0.0);
    let water = blend(mirrored, [0.06, 0.11, 0.2], 0.32 + 0.5 * depth);
    blend(water, [1.0, 0.86, 0.6], (2.2 * glint).min(0.9))
}

fn land(x: f32, y: f32) -> Colour {
    // Far ridges are pale, near ones dark.
    const RIDGES: [(f32, f32, f32, Colour); 3] = [
        (0.50, 0.13, 2.3, [0.50, 0.36, 0.47]),
        (0.57, 0.10, 3.9, [0.29, 0.24, 0.37]),
        (0.63, 0.07, 5.7, [0.13, 0.15, 0.23]),
    ];
    let mut colour = sky(x, y);
    for (i, (base, size, pace, tint)) in RIDGES.into_iter().enumerate() {
        let seed = 17.0 * i as f32;
        let rough = noise(x * pace * 7.0 + seed, seed) - 0.5;
        let crest = base - size * (noise(x * pace + seed, seed) + 0.25 * rough);
        if y > crest {
            colour = blend(tint, [0.93, 0.62, 0.45], ((y - crest) * 1.6).min(0.35));
        }
    }
    if fir(x, y) { [0.035, 0.05, 0.075] } else { colour }
}

fn sky(x: f32, y: f32) -> Colour {
    let low = blend([0.98, 0.68, 0.40], [0.86, 0.42, 0.42], ((0.62 - y) * 3.6).clamp(0.0, 1.0));
    let mut colour = blend(low, [0.13, 0.17, 0.38], ((0.42 - y) * 2.6).clamp(0.0, 1.0));
    // Streaks of cloud, lit from below.
    let cloud = noise(x * 2.6, y * 19.0) * 0.65 + noise(x * 9.0, y * 47.0) * 0.35;
    let lit = ((cloud - 0.52) * 3.2).clamp(0.0, 0.6) * (1.0 - ((y - 0.3) * 3.4).powi(2)).max(0.0);
    colour = blend(colour, [1.0, 0.77, 0.58], lit);
    let away = ((x - SUN.0).powi(2) + (y - SUN.1).powi(2)).sqrt();
    colour = blend(colour, [1.0, 0.84, 0.55], 0.75 * (-away * 5.5).exp());
    if away < 0.055 {
        return [1.0, 0.96, 0.82];
    }
    // Stars, where the sky is dark: one in some cells of a grid.
    let (cell_x, cell_y) = ((x * 26.0).floor(), (y * 26.0).floor());
    let place = |seed| 0.1 + 0.8 * hash(cell_x + seed, cell_y);
    let at = (x * 26.0 - cell_x - place(0.25), y * 26.0 - cell_y - place(0.5));
    let bright = hash(cell_x, cell_y) - 0.5 - 2.0 * y;
    if bright > 0.0 && at.0 * at.0 + at.1 * at.1 < 0.0015 + 0.003 * bright {
        colour = [1.0, 0.98, 0.92];
    }
    colour
}

/// Whether a tree is there: in a row along the shore, and some large ones in front on the left.
fn fir(x: f32, y: f32) -> bool {
    [(0.032, 0.10, SHORE, 9.0), (0.11, 0.46, SHORE + 0.01, 0.36)].into_iter().any(
        |(step, tallest, foot, until)| {
            let middle = (x / step).floor();
            [middle - 1.0, middle, middle + 1.0].into_iter().any(|tree| {
                let chance = hash(tree, tallest);
                let tall = tallest * (0.55 + 0.45 * hash(tree, 3.0));
                let centre = (tree + 0.5 + 0.5 * (hash(tree, 5.0) - 0.5)) * step;
                let down = (y - (foot - tall)) / tall;
                if chance < 0.25 || centre > until || !(0.0..1.0).contains(&down) {
                    return false;
                }
                // Branches: saw teeth that widen downwards.
                let tooth = (down * 11.0).fract();
                (x - centre).abs() < 0.19 * tall * down * (0.5 + 0.5 * tooth) + 0.003 * tall
            })
        },
    )
}

/// A smooth function with values from 0 to 1: corners of a grid by chance, and curves between.
fn noise(x: f32, y: f32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (ease(x - left), ease(y - top));
    let row = |y| hash(left, y) * (1.0 - u) + hash(left + 1.0, y) * u;
    row(top) * (1.0 - v) + row(top + 1.0) * v
}

/// A number from 0 to 1 that looks like chance.
fn hash(x: f32, y: f32) -> f32 {
    let mut bits = (x.to_bits() ^ y.to_bits().rotate_left(15)).wrapping_mul(0x9E37_79B1);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x85EB_CA77);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xC2B2_AE3D);
    ((bits ^ (bits >> 16)) >> 8) as f32 / 16_777_216.0
}

fn blend(a: Colour, b: Colour, part: f32) -> Colour {
    mix(a, b, part, |a, b, part| a + (b - a) * part)
}

fn mix(a: Colour, b: Colour, part: f32, with: fn(f32, f32, f32) -> f32) -> Colour {
    std::array::from_fn(|i| with(a[i], b[i], part))
}
