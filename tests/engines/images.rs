//! Images against the definition: pixels decoded, filtered in f64, encoded and rounded.

use crate::common::{BORDERS, Rng};
use channelwise::color::{AlphaMode, decode, encode};
use channelwise::image::ImageOptions;
use channelwise::{
    Activation, Border, Conv2d, Element, ElementType, Engine, Error, Kernel, Layout, Padding,
    Problem, reference,
};
use image::{
    DynamicImage, GenericImageView, ImageBuffer, Luma, LumaA, Pixel, Rgb, Rgba, Rgba32FImage,
};

const ALPHAS: [AlphaMode; 3] = [AlphaMode::Filter, AlphaMode::Keep, AlphaMode::Premultiply];

fn engines() -> Vec<Engine> {
    [Some(Engine::cpu()), crate::common::gpu().map(Engine::from)].into_iter().flatten().collect()
}

fn picture<P: Pixel<Subpixel: Element>>(
    rng: &mut Rng,
    width: u32,
    height: u32,
) -> ImageBuffer<P, Vec<P::Subpixel>> {
    let n = (width * height) as usize * usize::from(P::CHANNEL_COUNT);
    let mut pixels: Vec<P::Subpixel> = rng.elements(n, 0.0, 1.0);
    // Some alphas are 0, and some 1.
    if P::HAS_ALPHA {
        let alphas = pixels.iter_mut().skip(usize::from(P::CHANNEL_COUNT) - 1);
        for (i, alpha) in alphas.step_by(P::CHANNEL_COUNT.into()).enumerate() {
            match i % 5 {
                0 => *alpha = P::Subpixel::default(),
                1 => *alpha = Element::from_f32(whole::<P::Subpixel>()),
                _ => {}
            }
        }
    }
    ImageBuffer::from_raw(width, height, pixels).unwrap()
}

fn whole<T: Element>() -> f32 {
    T::TYPE.integers().map_or(1.0, |whole| *whole.end() as f32)
}

/// What the image should become, as f32 where 1 is the whole, and the source's alpha where it is kept.
fn expected(conv: &Conv2d, image: &DynamicImage, options: (AlphaMode, bool)) -> Vec<f32> {
    let (alpha, linear) = options;
    let channels = usize::from(image.color().channel_count());
    let shape = [image.height() as usize, image.width() as usize, channels];
    let problem = Problem::new(conv, shape, ElementType::F32, ElementType::F32).unwrap();
    let mut x = values(image);
    let source = x.clone();
    decode(&mut x, channels, alpha, linear);
    let y = reference::run(&problem, &x);
    let mut y: Vec<f32> = y.iter().map(|e| e.value as f32).collect();
    encode(&mut y, channels, alpha, linear);
    if alpha == AlphaMode::Keep && matches!(channels, 2 | 4) {
        // A kernel of one tap, in the middle, moves alpha as the other kernels do.
        let kernel = conv.kernel();
        let (h, w) = (kernel.height(), kernel.width());
        let mut taps = vec![0.0; h * w];
        taps[(h - 1) / 2 * w + (w - 1) / 2] = 1.0;
        let moved = same_place(conv, Kernel::new(h, w, taps).unwrap());
        let problem = Problem::new(&moved, shape, ElementType::F32, ElementType::F32).unwrap();
        let alphas = reference::run(&problem, &source);
        for (y, alpha) in y.iter_mut().zip(alphas).skip(channels - 1).step_by(channels) {
            *y = alpha.value as f32;
        }
    }
    y
}

/// That of [`convs`] with another kernel.
fn same_place(conv: &Conv2d, kernel: Kernel) -> Conv2d {
    let at = convs(conv.kernel().clone()).iter().position(|other| other == conv).unwrap();
    convs(kernel).swap_remove(at)
}

/// Every border, and sizes that change.
fn convs(kernel: Kernel) -> Vec<Conv2d> {
    let mut all: Vec<Conv2d> =
        BORDERS.iter().map(|border| Conv2d::new(kernel.clone()).border(*border)).collect();
    all.push(Conv2d::new(kernel.clone()).stride(2, 2).border(Border::Reflect));
    all.push(Conv2d::new(kernel).padding(Padding::Valid));
    all
}

fn values(image: &DynamicImage) -> Vec<f32> {
    let bits = image.as_bytes();
    let samples = |n: usize| bits.chunks_exact(n);
    match image {
        DynamicImage::ImageRgb32F(x) => x.as_raw().clone(),
        DynamicImage::ImageRgba32F(x) => x.as_raw().clone(),
        _ if image.color().bytes_per_pixel() == image.color().channel_count() => {
            bits.iter().map(|v| f32::from(*v) / 255.0).collect()
        }
        _ => samples(2).map(|v| f32::from(u16::from_ne_bytes([v[0], v[1]])) / 65_535.0).collect(),
    }
}

#[test]
fn every_kind_of_pixel() {
    let engines = engines();
    let mut rng = Rng::new(31);
    let pictures: Vec<DynamicImage> = vec![
        DynamicImage::ImageLuma8(picture::<Luma<u8>>(&mut rng, 13, 9)),
        DynamicImage::ImageLumaA8(picture::<LumaA<u8>>(&mut rng, 9, 8)),
        DynamicImage::ImageRgb8(picture::<Rgb<u8>>(&mut rng, 11, 7)),
        DynamicImage::ImageRgba8(picture::<Rgba<u8>>(&mut rng, 12, 9)),
        DynamicImage::ImageLuma16(picture::<Luma<u16>>(&mut rng, 13, 9)),
        DynamicImage::ImageLumaA16(picture::<LumaA<u16>>(&mut rng, 9, 8)),
        DynamicImage::ImageRgb16(picture::<Rgb<u16>>(&mut rng, 11, 7)),
        DynamicImage::ImageRgba16(picture::<Rgba<u16>>(&mut rng, 12, 9)),
        DynamicImage::ImageRgb32F(picture::<Rgb<f32>>(&mut rng, 11, 7)),
        DynamicImage::ImageRgba32F(picture::<Rgba<f32>>(&mut rng, 12, 9)),
    ];
    // Without weights below 0, so that no filtered alpha is near 0 beside a colour that is not.
    let kernel = Kernel::gaussian(3, 0.8).unwrap();
    let mut cases = 0;
    for image in &pictures {
        let most = match image {
            DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_) => None,
            _ => Some(if image.as_bytes().len() == values(image).len() { 255.0 } else { 65_535.0 }),
        };
        for conv in convs(kernel.clone()) {
            for (alpha, linear) in ALPHAS.into_iter().flat_map(|a| [(a, false), (a, true)]) {
                let want = expected(&conv, image, (alpha, linear));
                let options = ImageOptions::new().alpha(alpha).linear_light(linear);
                for engine in &engines {
                    let got = engine.run_image(&conv, image, &options).unwrap();
                    assert_eq!(got.color(), image.color());
                    let got = values(&got);
                    assert_eq!(got.len(), want.len());
                    cases += 1;
                    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                        let (want, bound) = match most {
                            // Half a level is rounding's; light near black is steep.
                            Some(most) => (want.clamp(0.0, 1.0), 0.52 / most + 3e-6),
                            None => (*want, 3e-6),
                        };
                        assert!(
                            (got - want).abs() <= bound,
                            "{engine}, {:?} {alpha:?} linear {linear}, {conv:?}: {i} is {got} for {want}",
                            image.color()
                        );
                    }
                }
            }
        }
    }
    assert!(cases >= 10 * 8 * 6, "{cases}");
}

#[test]
fn numbers_are_on_the_scale_of_the_whole() {
    let image = DynamicImage::ImageRgb8(picture::<Rgb<u8>>(&mut Rng::new(5), 8, 6));
    let deep = DynamicImage::ImageRgb16(image.to_rgb16());
    let identity = Kernel::new(1, 1, vec![1.0]).unwrap();
    for conv in [
        Conv2d::new(identity.clone()).bias([0.25]),
        Conv2d::new(identity.clone()).activation(Activation::Clamp(0.2, 0.6)),
        Conv2d::new(identity).padding(Padding::all(1)).border(Border::Constant(0.5)),
    ] {
        let shallow = Engine::cpu().run_image(&conv, &image, &ImageOptions::new()).unwrap();
        let fine = Engine::cpu().run_image(&conv, &deep, &ImageOptions::new()).unwrap();
        let want = expected(&conv, &image, (AlphaMode::Filter, false));
        for (got, levels) in [(values(&shallow), 255.0), (values(&fine), 65_535.0)] {
            for (got, want) in got.iter().zip(&want) {
                let want = want.clamp(0.0, 1.0);
                assert!((got - want).abs() <= 0.52 / levels + 3e-6, "{conv:?}: {got} for {want}");
            }
        }
        assert!(shallow.dimensions() == fine.dimensions());
    }
}

#[test]
fn what_makes_no_image_is_refused() {
    let image = DynamicImage::ImageRgb8(picture::<Rgb<u8>>(&mut Rng::new(5), 8, 6));
    let two = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()]).unwrap();
    let empty = DynamicImage::ImageRgba32F(Rgba32FImage::new(0, 4));
    let refused = |conv: &Conv2d, image: &DynamicImage| {
        Engine::cpu().run_image(conv, image, &ImageOptions::new()).unwrap_err()
    };
    let error = refused(&Conv2d::new(two), &image);
    assert!(matches!(&error, Error::Argument { value, .. } if value == "2"), "{error}");
    let planes = Conv2d::new(Kernel::sobel_x()).layout(Layout::Nchw);
    assert!(refused(&planes, &image).to_string().contains("nchw"));
    let none = Engine::cpu().run_image(
        &Conv2d::new(Kernel::sobel_x()),
        &empty,
        &ImageOptions::new().alpha(AlphaMode::Keep),
    );
    assert!(matches!(&none, Ok(image) if image.width() == 0) || none.is_err(), "{none:?}");
}
