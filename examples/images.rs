//! Image files: alpha and light taken for what they are.
//!
//! ```text
//! cargo run --release --example images --features image              a picture drawn by formula
//! cargo run --release --example images --features image -- cat.png   an image of yours, 8 or 16 bits
//! ```
//!
//! `images.png` shows, on a chequered ground: the input; blurred number by number, which draws the
//! colour of transparent pixels into its neighbours and darkens where colours meet; with colours
//! weighed by their alpha; and so with light in place of stored values.

use std::error::Error;

use channelwise::color::AlphaMode;
use channelwise::image::ImageOptions;
use channelwise::{Border, Conv2d, Engine, Kernel};
use image::{DynamicImage, Rgba, RgbaImage};

const PICTURE: &str = "images.png";
const SIDE: u32 = 240;
const GAP: u32 = 6;

fn main() -> Result<(), Box<dyn Error>> {
    let picture = match std::env::args().nth(1) {
        Some(path) => image::open(path)?,
        None => DynamicImage::from(badge()),
    };
    let engine = Engine::auto();
    println!("{engine}\n{}x{} {:?}", picture.width(), picture.height(), picture.color());

    let blur = Conv2d::new(Kernel::gaussian(25, 5.0)?).border(Border::Replicate);
    let plain = ImageOptions::new();
    let weighed = plain.alpha(AlphaMode::Premultiply);
    let light = weighed.linear_light(true);
    let mut panels = vec![picture.clone()];
    for options in [plain, weighed, light] {
        panels.push(engine.run_image(&blur, &picture, &options)?);
    }

    let shown = |panel: DynamicImage| {
        let large = panel.width().max(panel.height()) > 2 * SIDE;
        if large { panel.thumbnail(2 * SIDE, 2 * SIDE) } else { panel }.into_rgba8()
    };
    let panels: Vec<RgbaImage> = panels.into_iter().map(shown).collect();
    let (width, height) = panels[0].dimensions();
    let mut out = RgbaImage::from_pixel(4 * width + 3 * GAP, height, Rgba([32, 36, 44, 255]));
    for (n, panel) in panels.iter().enumerate() {
        let left = n as u32 * (width + GAP);
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let shade = if (x / 12 + y / 12) % 2 == 0 { 205 } else { 240 };
            out.put_pixel(left + x, y, Rgba([shade, shade, shade, 255]));
        }
        image::imageops::overlay(&mut out, panel, left.into(), 0);
    }
    DynamicImage::from(out).into_rgb8().save(PICTURE)?;
    println!("wrote {PICTURE}: the input; number by number; weighed by alpha; and as light");
    Ok(())
}

/// Red and green fields in a disc on a ground that is transparent, and blue where nobody sees it.
fn badge() -> RgbaImage {
    RgbaImage::from_fn(SIDE, SIDE, |x, y| {
        let (dx, dy) = (x as f32 - 119.5, y as f32 - 119.5);
        if dx.hypot(dy) > 95.0 {
            return Rgba([0, 0, 255, 0]);
        }
        if (x / 48 + y / 48) % 2 == 0 { Rgba([235, 20, 20, 255]) } else { Rgba([20, 200, 20, 255]) }
    })
}
