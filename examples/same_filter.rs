//! The TensorFlow question: "how do I apply the same filter to every channel?"
//!
//! ```text
//! cargo run --release --example same_filter              the question's own input, 1x10x10x3
//! cargo run --release --example same_filter -- cat.jpg   an image of yours
//! ```
//!
//! The question's way splits the tensor along its channels, runs one convolution after the other
//! and concatenates the results. Here that is done, and then the same in one call, on the CPU and
//! on a GPU; the largest difference is printed. Then once more with two filters per channel, bias
//! and relu inside and outside of the loop, and the 1x1 step that brings two outputs back to one.
//! `same_filter.png` shows the channels of input and outputs side by side.

#[path = "scene/labels.rs"]
mod labels;

use std::error::Error;
use std::path::Path;

use channelwise::{Activation, Conv2d, Engine, Kernel, Pointwise};
use image::RgbImage;
use labels::Label;
use ndarray::{Array4, ArrayView2, Axis, Zip, concatenate, s};

const PICTURE: &str = "same_filter.png";
/// Pixels of a small tile's side, and between tiles.
const TILE: usize = 120;
const GAP: usize = 6;
/// Room for two lines of words above the tiles, and for the name of a channel before them.
const HEAD: usize = 46;
const SIDE: usize = 112;
const WHITE: [u8; 3] = [245, 245, 245];
const BLUE: [u8; 3] = [150, 190, 230];

/// A tensor in the picture: what is above all of its columns, and above each.
struct Shown {
    group: &'static str,
    titles: Vec<String>,
    tensor: Array4<f32>,
}

impl Shown {
    fn one(group: &'static str, title: &str, tensor: &Array4<f32>) -> Self {
        Self { group, titles: vec![title.into()], tensor: tensor.clone() }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1);
    let x = match &path {
        Some(path) => read_image(Path::new(path))?,
        None => question_input(),
    };
    let (_, height, width, channels) = x.dim();
    println!(
        "input    1x{height}x{width}x{channels}, {}",
        path.as_deref().unwrap_or("the question's own")
    );

    let cpu = Engine::cpu();
    println!("cpu      {cpu}");
    // This example also takes a GPU played by the CPU; `Engine::auto()` would not.
    let gpu = Engine::gpu();
    match &gpu {
        Ok(gpu) => println!("gpu      {gpu}"),
        Err(reason) => println!("gpu      not shown: {reason}"),
    }
    let engines: Vec<(&str, &Engine)> = [("cpu", Some(&cpu)), ("gpu", gpu.as_ref().ok())]
        .into_iter()
        .filter_map(|(n, e)| Some((n, e?)))
        .collect();

    println!("\none filter for all channels (Sobel, valid padding)");
    let edges = Conv2d::like_tensorflow(Kernel::sobel_x());
    let looped = channel_by_channel(&cpu, &edges, &x)?;
    let group = "one filter";
    let mut shown = vec![Shown::one("", "input", &x), Shown::one(group, "loop", &looped)];
    for (name, engine) in &engines {
        let y = engine.run(&edges, &x)?;
        report(name, &y, &looped);
        shown.push(Shown::one(group, &called(name), &y));
    }

    println!("\ntwo filters per channel, bias and relu, and a shared 1x1 back to one");
    let two = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()])?;
    let bias = [0.1f32, -0.1];
    let mix = [0.5f32, 0.5];
    let plain = Conv2d::like_tensorflow(two);
    let inside = plain.clone().bias(bias).activation(Activation::Relu);
    let all = inside.clone().pointwise(Pointwise::new(2, 1, mix.to_vec())?);

    // Bias and relu inside of the loop: part of each channel's layer.
    let looped_inside = channel_by_channel(&cpu, &inside, &x)?;
    // Outside: after the concatenation. Output channel c*2 + f belongs to filter f.
    let mut looped_outside = channel_by_channel(&cpu, &plain, &x)?;
    for (output, mut plane) in looped_outside.axis_iter_mut(Axis(3)).enumerate() {
        plane.mapv_inplace(|v| (v + bias[output % 2]).max(0.0));
    }
    // The 1x1 step, shared by all channels.
    let mixed = Array4::from_shape_fn(with_channels(&looped_inside, channels), |(n, r, q, c)| {
        mix[0] * looped_inside[[n, r, q, c * 2]] + mix[1] * looped_inside[[n, r, q, c * 2 + 1]]
    });
    report("loop", &looped_outside, &looped_inside);
    shown.push(Shown {
        group: "two filters, relu",
        titles: vec!["filter 0".into(), "filter 1".into()],
        tensor: looped_inside.clone(),
    });
    let group = "these by a shared 1x1";
    shown.push(Shown::one(group, "loop", &mixed));
    for (name, engine) in &engines {
        report(name, &engine.run(&inside, &x)?, &looped_inside);
        let y = engine.run(&all, &x)?;
        report(&format!("{name} 1x1"), &y, &mixed);
        shown.push(Shown::one(group, &called(name), &y));
    }

    picture(&shown, path.is_some()).save(PICTURE)?;
    println!("\nwrote {PICTURE}, a row for each channel");
    Ok(())
}

fn called(engine: &str) -> String {
    format!("call, {}", engine.to_uppercase())
}

/// Random values of one decimal.
fn question_input() -> Array4<f32> {
    let mut state = 7u32;
    Array4::from_shape_simple_fn((1, 10, 10, 3), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 16) % 10) as f32 / 10.0
    })
}

/// Grey, RGB or RGBA as it is in the file, 0 to 1.
fn read_image(path: &Path) -> Result<Array4<f32>, Box<dyn Error>> {
    let image = image::open(path)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let channels = usize::from(image.color().channel_count());
    let data = match channels {
        1 => image.to_luma32f().into_raw(),
        2 => image.to_luma_alpha32f().into_raw(),
        3 => image.into_rgb32f().into_raw(),
        _ => image.into_rgba32f().into_raw(),
    };
    Ok(Array4::from_shape_vec((1, height, width, channels), data)?)
}

/// The question's way: split, one convolution per channel, concatenate.
fn channel_by_channel(
    engine: &Engine,
    conv: &Conv2d,
    x: &Array4<f32>,
) -> channelwise::Result<Array4<f32>> {
    let outputs: Vec<Array4<f32>> = x
        .axis_chunks_iter(Axis(3), 1)
        .map(|channel| engine.run(conv, &channel))
        .collect::<channelwise::Result<_>>()?;
    let views: Vec<_> = outputs.iter().map(|y| y.view()).collect();
    // All have the same height and width, so they fit together.
    Ok(concatenate(Axis(3), &views).unwrap_or_default())
}

fn with_channels(y: &Array4<f32>, channels: usize) -> (usize, usize, usize, usize) {
    let (n, h, w, _) = y.dim();
    (n, h, w, channels)
}

fn report(name: &str, y: &Array4<f32>, looped: &Array4<f32>) {
    let (n, h, w, c) = y.dim();
    let largest = Zip::from(y).and(looped).fold(0.0f32, |worst, a, b| worst.max((a - b).abs()));
    println!("{name:<8} {n}x{h}x{w}x{c}, largest difference from the loop {largest:e}");
}

/// One row of tiles for each channel of the input; in it the input's plane, then each output's,
/// every one rescaled to its own range.
fn picture(shown: &[Shown], photo: bool) -> RgbImage {
    let (_, height, width, channels) = shown[0].tensor.dim();
    // Small inputs are enlarged and large ones thinned out, so that tiles are good to look at.
    let side = height.max(width);
    let (scale, step) = ((TILE / side).max(1), side.div_ceil(3 * TILE));
    let (tile_h, tile_w) = (height / step * scale, width / step * scale);
    let columns: usize = shown.iter().map(|shown| shown.titles.len()).sum();
    let size = |n: usize, tile: usize| n * (tile + GAP) + GAP;
    let mut out = RgbImage::from_pixel(
        (SIDE + size(columns, tile_w)) as u32,
        (HEAD + size(channels, tile_h)) as u32,
        image::Rgb([32, 36, 44]),
    );
    // Narrow tiles have small words.
    let words = if tile_w < TILE { 1 } else { 2 };
    let write = |out: &mut RgbImage, text: &str, color, (left, top): (usize, usize)| {
        Label { text, scale: words, color }.draw(out, left as u32, top as u32);
    };
    let name = |channel: usize| match ["red", "green", "blue", "alpha"].get(channel) {
        Some(name) if photo && channels > 2 => (*name).into(),
        _ => format!("channel {channel}"),
    };
    for channel in 0..channels {
        let middle = HEAD + size(channel, tile_h) + tile_h / 2 - 8;
        write(&mut out, &name(channel), WHITE, (GAP, middle));
    }
    let (mut column, mut group) = (0, "");
    for Shown { group: own, titles, tensor } in shown {
        let left = |column: usize| SIDE + size(column, tile_w);
        if *own != group {
            write(&mut out, own, WHITE, (left(column), 4));
            group = own;
        }
        for (n, title) in titles.iter().enumerate() {
            write(&mut out, title, BLUE, (left(column + n), 26));
        }
        let filters = tensor.dim().3 / channels;
        for (output, plane) in tensor.index_axis(Axis(0), 0).axis_iter(Axis(2)).enumerate() {
            let (row, column) = (output / filters, column + output % filters);
            let plane = plane.slice(s![..;step, ..;step]);
            // Valid padding makes outputs smaller: they stand in the middle of their tile.
            let inset = |tile: usize, n: usize| tile.saturating_sub(n * scale) / 2;
            let top = HEAD + size(row, tile_h) + inset(tile_h, plane.nrows());
            let left = left(column) + inset(tile_w, plane.ncols());
            draw(&mut out, &plane, (left, top), scale);
        }
        column += filters;
    }
    out
}

fn draw(
    out: &mut RgbImage,
    plane: &ArrayView2<'_, f32>,
    (left, top): (usize, usize),
    scale: usize,
) {
    let (lo, hi) = plane
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
    for ((r, q), value) in plane.indexed_iter() {
        let grey = ((value - lo) / (hi - lo).max(f32::MIN_POSITIVE) * 255.0).round() as u8;
        for (y, x) in (0..scale).flat_map(|y| (0..scale).map(move |x| (y, x))) {
            let (x, y) = ((left + q * scale + x) as u32, (top + r * scale + y) as u32);
            if x < out.width() && y < out.height() {
                out.put_pixel(x, y, image::Rgb([grey; 3]));
            }
        }
    }
}
