//! What kernels by name do to a picture.
//!
//! ```text
//! cargo run --release --example effects              a picture drawn by formula
//! cargo run --release --example effects -- cat.jpg   an image of yours
//! ```
//!
//! `effects.png` shows the input and seven kernels, with what makes each.

#[path = "scene/harbour.rs"]
mod harbour;
#[path = "scene/labels.rs"]
mod labels;

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;

use channelwise::color::{self, AlphaMode};
use channelwise::{Activation, Border, Conv2d, Engine, Kernel, Pointwise};
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use labels::Label;
use ndarray::{Array3, ArrayView3};

const PICTURE: &str = "effects.png";
const COLUMNS: u32 = 4;
/// Of a tile.
const WIDTH: u32 = 228;
const HEIGHT: u32 = 148;
const GAP: u32 = 8;
/// Two lines of words under a tile.
const WORDS: u32 = 40;

fn main() -> Result<(), Box<dyn Error>> {
    let picture = match std::env::args().nth(1) {
        Some(path) => fitted(&image::open(path)?.into_rgb8()),
        None => harbour::harbour(WIDTH, HEIGHT),
    };
    let engine = Engine::auto();
    println!("{engine}");

    // Bytes in, bytes out. Edges are grey where nothing is, or black where their size is shown.
    let conv = |kernel| Conv2d::new(kernel).border(Border::Replicate);
    let both = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()])?;
    let sizes =
        conv(both).activation(Activation::Abs).pointwise(Pointwise::new(2, 1, vec![0.5; 2])?);
    let spots = Kernel::weighted_sum(&[(-8.0, Kernel::log(9, 1.0)?)])?;
    let tiles = [
        ("Input", "u8, 3 channels", picture.clone()),
        (
            "Gaussian blur",
            "gaussian(15, 3.0)",
            run(&engine, &conv(Kernel::gaussian(15, 3.0)?), &picture)?,
        ),
        (
            "Motion blur",
            "motion(25.0, 20.0)",
            run(&engine, &conv(Kernel::motion(25.0, 20.0)?), &picture)?,
        ),
        (
            "Out of focus",
            "disk(6.0), as light",
            as_light(&engine, &conv(Kernel::disk(6.0)?), &picture)?,
        ),
        (
            "Unsharp mask",
            "unsharp(9, 2.0, 1.5)",
            run(&engine, &conv(Kernel::unsharp(9, 2.0, 1.5)?), &picture)?,
        ),
        ("Emboss", "emboss()", run(&engine, &conv(Kernel::emboss()), &picture)?),
        ("Sobel edges", "sobel_x(), sobel_y()", run(&engine, &sizes, &picture)?),
        (
            "Laplacian of Gaussian",
            "log(9, 1.0)",
            run(&engine, &conv(spots).bias([128.0]), &picture)?,
        ),
    ];
    let file = BufWriter::new(File::create(PICTURE)?);
    let small = PngEncoder::new_with_quality(file, CompressionType::Best, PngFilter::Adaptive);
    sheet(&tiles).write_with_encoder(small)?;
    println!("wrote {PICTURE}");
    Ok(())
}

/// One call: the same kernel for red, green and blue.
fn run(engine: &Engine, conv: &Conv2d, picture: &RgbImage) -> Result<RgbImage, Box<dyn Error>> {
    let (width, height) = picture.dimensions();
    let pixels = ArrayView3::from_shape((height as usize, width as usize, 3), picture.as_raw())?;
    let out: Array3<u8> = engine.run(conv, &pixels)?;
    Ok(RgbImage::from_raw(width, height, out.into_raw_vec_and_offset().0).ok_or("another size")?)
}

/// The same on light in place of stored values, so that lamps stay bright: what a lens does.
fn as_light(
    engine: &Engine,
    conv: &Conv2d,
    picture: &RgbImage,
) -> Result<RgbImage, Box<dyn Error>> {
    let (width, height) = picture.dimensions();
    let values = picture.as_raw().iter().map(|v| f32::from(*v) / 255.0).collect();
    let mut light = Array3::from_shape_vec((height as usize, width as usize, 3), values)?;
    color::decode(light.as_slice_mut().ok_or("no slice")?, 3, AlphaMode::Filter, true);
    let (mut values, _) = engine.run(conv, &light)?.into_raw_vec_and_offset();
    color::encode(&mut values, 3, AlphaMode::Filter, true);
    let bytes = values.iter().map(|v| (v * 255.0).round() as u8).collect();
    Ok(RgbImage::from_raw(width, height, bytes).ok_or("another size")?)
}

/// The middle of an image in the size of a tile.
fn fitted(image: &RgbImage) -> RgbImage {
    let scale = (WIDTH as f32 / image.width() as f32).max(HEIGHT as f32 / image.height() as f32);
    let size = |n: u32, tile: u32| ((n as f32 * scale).round() as u32).max(tile);
    let (width, height) = (size(image.width(), WIDTH), size(image.height(), HEIGHT));
    let small = imageops::resize(image, width, height, FilterType::CatmullRom);
    imageops::crop_imm(&small, (width - WIDTH) / 2, (height - HEIGHT) / 2, WIDTH, HEIGHT).to_image()
}

/// All of them with their words.
fn sheet(tiles: &[(&str, &str, RgbImage)]) -> RgbImage {
    let rows = (tiles.len() as u32).div_ceil(COLUMNS);
    let (width, height) = (COLUMNS * (WIDTH + GAP) + GAP, rows * (HEIGHT + WORDS + GAP) + GAP);
    let mut out = RgbImage::from_pixel(width, height, Rgb([32, 36, 44]));
    for (n, (title, made_by, tile)) in (0..).zip(tiles) {
        let left = GAP + n % COLUMNS * (WIDTH + GAP);
        let top = GAP + n / COLUMNS * (HEIGHT + WORDS + GAP);
        imageops::replace(&mut out, tile, left.into(), top.into());
        let line = |text, color| Label { text, scale: 2, color };
        line(title, [245, 245, 245]).draw(&mut out, left, top + HEIGHT + 4);
        line(made_by, [150, 190, 230]).draw(&mut out, left, top + HEIGHT + 22);
    }
    out
}
