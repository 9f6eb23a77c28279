//! A kernel found from data: what blurred this picture?
//!
//! ```text
//! cargo run --release -p inverse --example fit_kernel                        a picture drawn by formula
//! cargo run --release -p inverse --example fit_kernel -- --image cat.jpg     an image of yours
//! cargo run --release -p inverse --example fit_kernel -- --engine gpu
//! ```
//!
//! A hidden kernel of 9x9 blurs a picture on all its channels, and noise is added. From the picture and
//! what became of it Adam finds the kernel: it starts with the same weight everywhere, and each step follows
//! the gradient of the mean squared difference between what the kernel of now makes of the picture and what
//! was seen.
//!
//! Compared are the slopes along rows and columns, six channels of them: a blur does to slopes what it does
//! to the picture, and large even areas, which tell little about a kernel, have none. With the pictures
//! themselves it takes many times the steps.
//!
//! `fit_kernel.png` shows the picture and what was seen of it, the hidden kernel and the one that was found,
//! and how the loss fell to that of the noise.

#[path = "../scene/mod.rs"]
mod scene;
mod shake;
mod which;

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use channelwise::learn::{Adam, SharedLayer};
use channelwise::{Conv2d, Kernel};
use clap::{Parser, value_parser};
use image::{Rgb, RgbImage, imageops};
use ndarray::{Array3, s};
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use which::Which;

const PICTURE: &str = "fit_kernel.png";
const SIZE: usize = 9;
const NOISE: f64 = 0.01;
/// Adam's learning rates: the first step's, and the last one's part of it.
const RATE: f64 = 0.016;
const LAST: f64 = 0.05;

const GROUND: [u8; 3] = [32, 36, 44];
const GAP: u32 = 6;
/// Pixels of the side of a kernel's tap.
const TAP: u32 = 25;
const CAPTION: u32 = 26;

/// Finds the kernel that blurred a picture.
#[derive(Parser)]
struct Args {
    /// The picture that is blurred
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// What computes
    #[arg(long, value_enum, default_value_t = Which::Auto)]
    engine: Which,
    /// Steps of Adam
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = value_parser!(u32).range(1..))]
    steps: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let engine = args.engine.engine()?;
    let picture = match &args.image {
        Some(path) => image::open(path)?.thumbnail(240, 240).into_rgb8(),
        None => scene::scene(240, 180),
    };
    let shape = (picture.height() as usize, picture.width() as usize, 3);
    let sharp = Array3::from_shape_vec(shape, picture.into_raw())?.mapv(|v| f32::from(v) / 255.0);

    // No padding: at the edges a photograph shows what lies beyond the picture, and nobody knows that.
    let hidden = shake::shake(SIZE)?;
    let mut seen = engine.run(&Conv2d::like_tensorflow(hidden.clone()), &sharp)?;
    shake::add_noise(&mut seen, NOISE, 7);
    println!("{engine}\n{:?} -> {:?}, noise {NOISE}", sharp.dim(), seen.dim());

    // Differences of neighbours in a row, and in a column.
    let slopes = Kernel::with_filters(2, 2, 2, vec![-1.0, -1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0])?;
    let slopes = Conv2d::like_tensorflow(slopes);
    let (x, target) = (engine.run(&slopes, &sharp)?, engine.run(&slopes, &seen)?);
    // Each is of two values with noise.
    let noise = 2.0 * NOISE * NOISE;

    let flat = Kernel::box_blur(SIZE, SIZE)?;
    let mut layer = SharedLayer::new(Conv2d::like_tensorflow(flat))?.without_bias();
    let mut adam = Adam::new(RATE);
    let mut losses = Vec::new();
    let start = Instant::now();
    for step in 0..=args.steps {
        let difference = layer.forward(&engine, &x)? - &target;
        let squares = difference.iter().map(|d| f64::from(*d) * f64::from(*d));
        let loss = squares.sum::<f64>() / difference.len() as f64;
        losses.push(loss);
        if step % (args.steps / 10).max(1) == 0 || step == args.steps {
            println!("step {step:>4}: loss {loss:.3e}, kernel off by {:.5}", off(&layer, &hidden));
        }
        if step < args.steps {
            // Small steps at the end, so that the noise of the steps dies down.
            let done = f64::from(step) / f64::from(args.steps);
            adam.learning_rate = RATE * LAST.powf(done);
            let dy = &difference * (2.0 / difference.len() as f32);
            layer.step(&mut adam, &layer.weight_gradients(&engine, &x, &dy)?)?;
        }
    }
    println!("{} steps in {:.1} s", args.steps, start.elapsed().as_secs_f64());
    let largest = hidden.weights().iter().fold(0.0f32, |a, b| a.max(*b));
    let error = off(&layer, &hidden);
    println!("loss {:.3e}, that of the noise alone {:.3e}", losses[losses.len() - 1], noise);
    println!(
        "largest error of a weight {error:.5}, {:.1} % of the largest weight; all together {:.1} %",
        100.0 * error / largest,
        100.0 * relative(layer.kernel(), &hidden)
    );

    draw(&sharp, &seen, [&hidden, layer.kernel()], (&losses, noise))?.save(PICTURE)?;
    println!(
        "wrote {PICTURE}: picture and what was seen, hidden kernel and found one, and the loss"
    );
    Ok(())
}

/// The largest error of a weight.
fn off(layer: &SharedLayer, hidden: &Kernel) -> f32 {
    let pairs = layer.kernel().weights().iter().zip(hidden.weights());
    pairs.fold(0.0, |worst, (found, hidden)| worst.max((found - hidden).abs()))
}

/// The length of the error as a vector by that of the kernel.
fn relative(found: &Kernel, hidden: &Kernel) -> f64 {
    let length = |all: &mut dyn Iterator<Item = f32>| {
        all.map(|v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt()
    };
    let pairs = found.weights().iter().zip(hidden.weights());
    length(&mut pairs.map(|(a, b)| a - b)) / length(&mut hidden.weights().iter().copied())
}

/// Above, the picture and what was seen; below, both kernels; on the right the loss.
fn draw(
    sharp: &Array3<f32>,
    seen: &Array3<f32>,
    kernels: [&Kernel; 2],
    (losses, noise): (&[f64], f64),
) -> Result<RgbImage, Box<dyn Error>> {
    register_font("sans-serif", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
        .map_err(|_| "the font of the plot cannot be read")?;
    let inset = SIZE / 2;
    let (height, width, _) = seen.dim();
    // Where both are known.
    let sharp = sharp.slice(s![inset..inset + height, inset..inset + width, ..]).to_owned();
    let (width, height) = (width as u32, height as u32);
    let side = SIZE as u32 * TAP;
    let column = width.max(side);
    let (plot, tall) = (420, height + side + 2 * CAPTION + 2 * GAP);
    let mut out = RgbImage::from_pixel(2 * column + plot + 4 * GAP, tall, Rgb(GROUND));

    let full = kernels[0].weights().iter().fold(0.0f32, |a, b| a.max(*b));
    let pictures = [shown(&sharp), shown(seen)];
    for (n, (picture, kernel)) in (0..).zip(pictures.iter().zip(kernels)) {
        let left = i64::from(GAP + n * (column + GAP));
        imageops::replace(&mut out, picture, left, i64::from(CAPTION));
        imageops::replace(
            &mut out,
            &taps(kernel, full),
            left,
            i64::from(height + 2 * CAPTION + GAP),
        );
    }
    let size = out.dimensions();
    let root = BitMapBackend::with_buffer(&mut out, size).into_drawing_area();
    let white = RGBColor(225, 228, 234);
    for (n, (above, below)) in
        (0..).zip([("sharp", "the hidden kernel"), ("blurred, with noise", "the kernel found")])
    {
        let left = (GAP + n * (column + GAP)) as i32;
        let style = ("sans-serif", 17).into_font().color(&white);
        root.draw(&Text::new(above, (left, 5), style.clone()))?;
        root.draw(&Text::new(below, (left, (height + CAPTION + GAP + 5) as i32), style))?;
    }

    let (_, right) = root.split_horizontally(2 * column + 3 * GAP);
    let most = losses.iter().fold(0.0f64, |a, b| a.max(*b));
    let mut chart = ChartBuilder::on(&right)
        .margin(10)
        .margin_right(24)
        .caption("mean squared difference, by step", ("sans-serif", 17).into_font().color(&white))
        .x_label_area_size(28)
        .y_label_area_size(56)
        .build_cartesian_2d(0..losses.len() - 1, (0.7 * noise..1.5 * most).log_scale())?;
    chart
        .configure_mesh()
        .label_style(("sans-serif", 14).into_font().color(&white))
        .axis_style(white.mix(0.5))
        .bold_line_style(white.mix(0.15))
        .light_line_style(TRANSPARENT)
        .y_label_formatter(&|loss| format!("{loss:.0e}"))
        .draw()?;
    let dashes = RGBColor(240, 196, 90);
    let ends = [(0, noise), (losses.len() - 1, noise)];
    chart.draw_series(DashedLineSeries::new(ends, 6, 4, dashes.stroke_width(1)))?;
    let style = ("sans-serif", 14).into_font().color(&dashes);
    chart.draw_series([Text::new("the noise alone", (losses.len() / 20, 0.94 * noise), style)])?;
    let curve = RGBColor(90, 170, 240).stroke_width(2);
    chart.draw_series(LineSeries::new(losses.iter().copied().enumerate(), curve))?;
    root.present()?;
    drop((chart, right, root));
    Ok(out)
}

fn shown(panel: &Array3<f32>) -> RgbImage {
    let (height, width, _) = panel.dim();
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let value = |c| (panel[[y as usize, x as usize, c]].clamp(0.0, 1.0) * 255.0).round() as u8;
        Rgb([value(0), value(1), value(2)])
    })
}

/// A kernel as squares: black is 0, white is `full`, and red is below 0.
fn taps(kernel: &Kernel, full: f32) -> RgbImage {
    let side = SIZE as u32 * TAP;
    RgbImage::from_fn(side, side, |x, y| {
        let weight = kernel.get((y / TAP) as usize, (x / TAP) as usize, 0).unwrap_or(0.0) / full;
        let level = |part: f32| (part.clamp(0.0, 1.0) * 255.0).round() as u8;
        if weight < 0.0 { Rgb([level(-weight), 0, 0]) } else { Rgb([level(weight); 3]) }
    })
}
