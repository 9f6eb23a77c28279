//! A blurred picture made sharp again, where the kernel is known: Richardson and Lucy's iteration.
//!
//! ```text
//! cargo run --release -p inverse --example deconvolve                        a picture drawn by formula
//! cargo run --release -p inverse --example deconvolve -- --image cat.jpg     an image of yours
//! cargo run --release -p inverse --example deconvolve -- --engine gpu
//! ```
//!
//! A hand shook while the picture was taken, and the sensor added noise: `d = A u + noise`, with `A` the
//! convolution. From `d` and `A` the picture is found again by
//!
//! ```text
//! u <- u * A*(d / A u) / A*1
//! ```
//!
//! where `A*` is the adjoint, `conv.adjoint()`: it takes back to every pixel what `A` spread from it, at
//! the border too. Both are prepared once and run for all three channels at a time. `deconvolve.png` shows
//! the picture, what was taken of it, and what was restored.

#[path = "../scene/mod.rs"]
mod scene;
mod shake;
mod which;

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use channelwise::{Border, Conv2d};
use clap::Parser;
use image::{Rgb, RgbImage, imageops};
use ndarray::{Array3, Zip};
use which::Which;

const PICTURE: &str = "deconvolve.png";
const GAP: u32 = 6;
const SIZE: usize = 11;
const NOISE: f64 = 0.004;

/// Makes a blurred picture sharp again.
#[derive(Parser)]
struct Args {
    /// The picture that is blurred and restored
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// What computes
    #[arg(long, value_enum, default_value_t = Which::Auto)]
    engine: Which,
    /// How often all pixels are corrected
    #[arg(long, value_name = "N", default_value_t = 60)]
    iterations: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let engine = args.engine.engine()?;
    let picture = match &args.image {
        Some(path) => image::open(path)?.into_rgb8(),
        None => scene::scene(320, 230),
    };
    let shape = [picture.height() as usize, picture.width() as usize, 3];
    let bytes = Array3::from_shape_vec(shape, picture.into_raw())?;
    let truth = bytes.mapv(|v| f32::from(v) / 255.0);
    println!("{engine}\n{}x{}x3, kernel {SIZE}x{SIZE}", shape[0], shape[1]);

    let conv = Conv2d::new(shake::shake(SIZE)?).border(Border::Reflect);
    let blur = engine.prepare::<f32, f32>(&conv, shape)?;
    let back = engine.prepare::<f32, f32>(&conv.adjoint(), shape)?;
    let mut taken = blur.run(&truth)?;
    shake::add_noise(&mut taken, NOISE, 7);
    // Light is never less than none, and a file holds no more than white.
    taken.mapv_inplace(|v| v.clamp(0.0, 1.0));

    let start = Instant::now();
    let ones = back.run(&Array3::ones(shape))?;
    let mut restored = taken.clone();
    let mut seen = Array3::zeros(shape);
    let mut correction = Array3::zeros(shape);
    for iteration in 1..=args.iterations {
        blur.run_into(&restored, &mut seen)?;
        Zip::from(&mut seen).and(&taken).for_each(|seen, taken| *seen = taken / seen.max(1e-6));
        back.run_into(&seen, &mut correction)?;
        Zip::from(&mut restored)
            .and(&correction)
            .and(&ones)
            .for_each(|value, correction, one| *value *= correction / one);
        if iteration.is_power_of_two() || iteration == args.iterations {
            println!("after {iteration:>3}: {:.2} dB", psnr(&restored, &truth));
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let (before, after) = (psnr(&taken, &truth), psnr(&restored, &truth));
    println!("{} iterations in {seconds:.2} s", args.iterations);
    println!("PSNR {before:.2} dB as taken, {after:.2} dB restored");

    let panels = [truth, taken, restored].map(|panel| shown(&panel));
    let (width, height) = panels[0].dimensions();
    let mut out = RgbImage::from_pixel(3 * width + 2 * GAP, height, Rgb([32, 36, 44]));
    for (n, panel) in (0..).zip(&panels) {
        imageops::replace(&mut out, panel, n * i64::from(width + GAP), 0);
    }
    out.save(PICTURE)?;
    println!("wrote {PICTURE}: the picture, as taken, and restored");
    Ok(())
}

/// Peak signal to noise ratio in decibels, of values from 0 to 1.
fn psnr(found: &Array3<f32>, truth: &Array3<f32>) -> f64 {
    let sum = Zip::from(found).and(truth).fold(0.0, |sum, found, truth| {
        let difference = f64::from(found.clamp(0.0, 1.0) - truth);
        sum + difference * difference
    });
    -10.0 * (sum / truth.len() as f64).log10()
}

fn shown(panel: &Array3<f32>) -> RgbImage {
    let (height, width, _) = panel.dim();
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let value = |c| (panel[[y as usize, x as usize, c]].clamp(0.0, 1.0) * 255.0).round() as u8;
        Rgb([value(0), value(1), value(2)])
    })
}
