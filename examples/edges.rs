//! Edges and their directions: Sobel's two filters in one pass.
//!
//! ```text
//! cargo run --release --example edges              a picture drawn by formula
//! cargo run --release --example edges -- cat.jpg   an image of yours
//! ```
//!
//! Both filters read each pixel once: output channel `c * 2` is the slope of channel `c` along
//! columns, `c * 2 + 1` that along rows. `edges.png` shows the input, and beside it for each pixel the
//! steepest channel: how bright is how steep, and the colour is where it rises to, as on the wheel.

mod scene;

use std::error::Error;
use std::f32::consts::TAU;

use channelwise::{Border, Conv2d, Engine, Kernel};
use image::{Rgb, RgbImage};
use ndarray::{Array3, ArrayView3, Axis};

const PICTURE: &str = "edges.png";
const GAP: u32 = 6;

fn main() -> Result<(), Box<dyn Error>> {
    let picture = match std::env::args().nth(1) {
        Some(path) => image::open(path)?.into_rgb8(),
        None => scene::scene(480, 320),
    };
    let (width, height) = picture.dimensions();
    let shape = (height as usize, width as usize, 3);
    let pixels = ArrayView3::from_shape(shape, picture.as_raw())?;

    let engine = Engine::auto();
    let both = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()])?;
    let edges = Conv2d::new(both).border(Border::Replicate);
    // Bytes in, floats out: slopes have signs.
    let slopes: Array3<f32> = engine.run_as(&edges, &pixels)?;
    println!("{engine}\n{height}x{width}x3 -> {:?}", slopes.dim());

    let steepest = slopes.map_axis(Axis(2), |pixel| {
        let channels = pixel.as_slice().unwrap_or_default().chunks(2);
        let slope = |pair: &[f32]| (pair[0].hypot(pair[1]), pair[1].atan2(pair[0]));
        channels.map(slope).fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a })
    });
    // The brightest one in a hundred is white, so that one speck does not darken all others.
    let mut sizes: Vec<f32> = steepest.iter().map(|(size, _)| *size).collect();
    sizes.sort_by(f32::total_cmp);
    let full = sizes[sizes.len() * 99 / 100].max(1.0);

    let mut out = RgbImage::from_pixel(2 * width + GAP, height, Rgb([32, 36, 44]));
    image::imageops::replace(&mut out, &picture, 0, 0);
    for ((row, column), (size, direction)) in steepest.indexed_iter() {
        let place = (width + GAP + column as u32, row as u32);
        out.put_pixel(place.0, place.1, hue(*direction, (size / full).min(1.0)));
    }
    wheel(&mut out, height.min(width) / 7);
    out.save(PICTURE)?;
    println!("wrote {PICTURE}: the input, and its edges by direction");
    Ok(())
}

/// The colour of a direction, by brightness.
fn hue(direction: f32, brightness: f32) -> Rgb<u8> {
    let turn = direction.rem_euclid(TAU) / TAU * 6.0;
    // Red at 0, green a third of a turn on, then blue.
    let channel = |at: f32| {
        let distance = (turn - at).rem_euclid(6.0);
        let distance = distance.min(6.0 - distance);
        (((2.0 - distance).clamp(0.0, 1.0)) * brightness * 255.0).round() as u8
    };
    Rgb([channel(0.0), channel(2.0), channel(4.0)])
}

/// The wheel of all directions, in the lower right corner.
fn wheel(out: &mut RgbImage, size: u32) {
    let radius = size as f32 / 2.0;
    for (x, y) in (0..size).flat_map(|y| (0..size).map(move |x| (x, y))) {
        let (dx, dy) = (x as f32 + 0.5 - radius, y as f32 + 0.5 - radius);
        let distance = dx.hypot(dy) / radius;
        if distance < 1.0 {
            let place = (out.width() - size - GAP + x, out.height() - size - GAP + y);
            out.put_pixel(place.0, place.1, hue(dy.atan2(dx), distance));
        }
    }
}
