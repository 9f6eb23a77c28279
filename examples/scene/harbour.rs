//! A photograph that never was, drawn by formula: mountains at dusk, a town with lights, and a boat.

use image::{Rgb, RgbImage};

/// Where the water begins, from 0 at the top to 1 at the bottom.
const SHORE: f32 = 0.6;
/// Along the shore.
const LAMPS: u32 = 11;

/// The picture in any size.
pub fn harbour(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |column, row| {
        // Three by three places of a pixel, so that edges are soft.
        let mut sum = [0.0f32; 3];
        for part in 0..9 {
            let x = column as f32 + (part % 3) as f32 / 3.0 + 0.167;
            let y = row as f32 + (part / 3) as f32 / 3.0 + 0.167;
            let color = color(x / height as f32, y / height as f32);
            for (sum, color) in sum.iter_mut().zip(color) {
                *sum += color.min(1.0) / 9.0;
            }
        }
        Rgb(sum.map(|v| (v * 255.0).round() as u8))
    })
}

/// At `x` (from 0 to width over height) and `y` (0 at the top, 1 at the bottom).
fn color(x: f32, y: f32) -> [f32; 3] {
    let seen = if y < SHORE { land(x, y) } else { water(x, y) };
    boat(x, y).unwrap_or(seen)
}

fn land(x: f32, y: f32) -> [f32; 3] {
    let mut color = sky(x, y);
    // Far mountains with snow, then nearer and darker ones with woods.
    let far = 0.40 - 0.26 * ridged(x * 1.7 + 3.1) + 0.10 * (x - 0.75).powi(2);
    if y > far {
        let rock = noise(x * 14.0 + y * 9.0, y * 30.0, 4);
        let snow = step(0.10, 0.0, y - far + 0.12 * (rock - 0.5));
        color = mix([0.30, 0.30, 0.44], [0.93, 0.80, 0.80], snow);
        color = mix(color, [0.20, 0.20, 0.34], 1.3 * (rock - 0.35));
    }
    for (level, size, waves, hill) in
        [(0.50, 0.12, 2.3, [0.21, 0.25, 0.36]), (0.575, 0.09, 4.1, [0.09, 0.13, 0.17])]
    {
        let top = level - size * (noise(x * waves + level * 40.0, 0.5, 5) - 0.35);
        if y > top {
            color = mix(hill, [0.0; 3], 0.5 * noise(x * 40.0, y * 40.0, 1));
        }
    }
    // Houses along the shore; some of their windows are lit.
    let (house, inside) = ((x * 24.0).floor(), (x * 24.0).fract());
    let height = 0.02 + 0.05 * random(house, 1.0);
    if y > SHORE - height && (0.08..0.92).contains(&inside) && random(house, 2.0) < 0.75 {
        color = mix([0.10, 0.09, 0.12], [0.42, 0.28, 0.24], random(house, 3.0));
        let (row, column) = ((y - SHORE) / 0.018, (inside - 0.08) / 0.28);
        let lit = random(house * 7.0 + column.floor(), row.floor()) < 0.45;
        let pane =
            (0.2..0.8).contains(&column.fract()) && (0.3..0.8).contains(&(row - row.floor()));
        if lit && pane && y > SHORE - height + 0.006 {
            color = [1.0, 0.88, 0.55];
        }
    }
    for n in 0..LAMPS {
        let (dx, dy) = (x - lamp(n), y - SHORE + 0.016);
        let distance = dx.hypot(dy);
        color = mix(color, [1.0, 0.97, 0.86], step(0.018, 0.013, distance));
        color = mix(color, [1.0, 0.72, 0.35], 0.5 * (-distance * 60.0).exp());
    }
    color
}

fn sky(x: f32, y: f32) -> [f32; 3] {
    let low = mix([0.66, 0.44, 0.52], [1.0, 0.72, 0.42], (y - 0.30) * 4.5);
    let mut color = mix([0.13, 0.20, 0.42], low, y * 2.6);
    let sun = (x - 1.12).hypot(y - 0.37);
    color = mix(color, [1.0, 0.80, 0.50], 0.8 * (-sun * 6.0).exp());
    let cloud = noise(x * 2.2 + 5.0, y * 7.0, 4);
    let lit = mix([0.48, 0.36, 0.46], [1.0, 0.66, 0.50], (y * 3.0 + cloud - 0.7).clamp(0.0, 1.0));
    color = mix(color, lit, 0.85 * step(0.48, 0.72, cloud));
    mix(color, [1.0, 0.95, 0.80], step(0.052, 0.046, sun))
}

/// What is above, mirrored and broken by waves that are longer nearby.
fn water(x: f32, y: f32) -> [f32; 3] {
    let depth = (y - SHORE) / (1.0 - SHORE);
    let wave = noise(x * 9.0 / (0.25 + depth), 14.0 * (depth + 0.06).ln(), 3) - 0.5;
    let mirrored = (SHORE - 0.004 - (y - SHORE) * 1.2 - wave * (0.015 + 0.16 * depth)).max(0.0);
    let mut color = land(x + 0.03 * wave, mirrored.min(SHORE - 0.001));
    color = mix(color, [0.05, 0.11, 0.20], 0.32 + 0.25 * depth + 0.5 * wave);
    // Lamps draw streaks, and the sun a path.
    for n in 0..LAMPS {
        let near = (-((x - lamp(n) + 0.05 * wave) / 0.008).powi(2)).exp();
        color = mix(color, [1.0, 0.80, 0.50], 0.8 * near * (1.0 - 1.5 * depth).max(0.0));
    }
    let path = (-((x - 1.12 + 0.3 * wave) / (0.05 + 0.06 * depth)).powi(2)).exp();
    mix(color, [1.0, 0.86, 0.60], path * step(0.0, 0.16, wave))
}

/// A sailing boat: hull, mast and two sails with seams.
fn boat(x: f32, y: f32) -> Option<[f32; 3]> {
    let (x, y) = ((x - 0.50) / 0.36, (y - 0.84) / 0.36);
    let hull = y > 0.0 && y < 0.16 && x.abs() < 0.46 - 1.2 * y * y - 0.6 * y * f32::from(x < 0.0);
    if hull {
        return Some(if y < 0.035 { [0.95, 0.93, 0.88] } else { [0.62, 0.12, 0.11] });
    }
    if (x + 0.02).abs() < 0.012 && (-1.12..0.0).contains(&y) {
        return Some([0.30, 0.19, 0.12]);
    }
    let up = -y / 1.05;
    let main = x > 0.005 && x < 0.44 * (1.0 - up).max(0.0).powf(0.8) && (0.05..1.0).contains(&up);
    let jib = x < -0.045 && x > -0.40 * (1.0 - up / 0.86) && (0.03..0.86).contains(&up);
    if main || jib {
        let seam = (up * 9.0).fract() < 0.09;
        let shade = 0.30 * (x.abs() / 0.44) + 0.25 * f32::from(jib) + 0.12 * f32::from(seam);
        return Some(mix([1.0, 0.95, 0.86], [0.45, 0.40, 0.50], shade));
    }
    None
}

fn lamp(n: u32) -> f32 {
    0.06 + n as f32 * 0.135 + 0.05 * random(n as f32, 9.0)
}

fn mix(a: [f32; 3], b: [f32; 3], t: f32) -> [f32; 3] {
    let t = t.clamp(0.0, 1.0);
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * t)
}

/// 0 at `from` and 1 at `to`, smooth between them.
fn step(from: f32, to: f32, x: f32) -> f32 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// From 0 to 1, without any pattern.
fn random(a: f32, b: f32) -> f32 {
    let mut bits =
        (a as i32 as u32).wrapping_mul(0x9E37_79B1) ^ (b as i32 as u32).wrapping_mul(0x85EB_CA77);
    for shift in [15, 13, 16] {
        bits = (bits ^ (bits >> shift)).wrapping_mul(0x2C1B_3C6D);
    }
    (bits >> 8) as f32 / 16_777_216.0
}

/// Random values between whole places, made smooth; `octaves` of them, each finer and fainter.
fn noise(x: f32, y: f32, octaves: u32) -> f32 {
    let (mut sum, mut size, mut total, mut scale) = (0.0, 1.0, 0.0, 1.0);
    for _ in 0..octaves {
        let (x, y) = (x * scale, y * scale);
        let (column, row) = (x.floor(), y.floor());
        let (s, t) = (step(0.0, 1.0, x - column), step(0.0, 1.0, y - row));
        let line = |row: f32| random(column, row) * (1.0 - s) + random(column + 1.0, row) * s;
        sum += size * (line(row) * (1.0 - t) + line(row + 1.0) * t);
        total += size;
        (size, scale) = (size * 0.5, scale * 2.03);
    }
    sum / total
}

/// Noise along a line with crests in place of hills.
fn ridged(x: f32) -> f32 {
    let (mut sum, mut size, mut scale) = (0.0, 0.55, 1.0);
    for _ in 0..5 {
        sum += size * (1.0 - (2.0 * noise(x * scale, 7.5, 1) - 1.0).abs());
        (size, scale) = (size * 0.45, scale * 2.1);
    }
    sum
}
