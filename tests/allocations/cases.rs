//! Calls with large outputs and large scratch.

use channelwise::plan::Cuts;
use channelwise::{
    Activation, Algorithm, Border, Conv2d, Cpu, Element, Engine, Error, Kernel, Layout, Padding,
    Pitched, Pointwise, f16,
};
use ndarray::{Array2, Array4};

use crate::allocator::aside;
use crate::outside;

/// What a call gives, as bytes.
type Made = Result<Vec<u8>, Error>;

pub struct Case {
    pub name: String,
    pub run: Box<dyn Fn() -> Made>,
}

/// A pixel here is an allocation that is just not large: tiles of a pixel, lines of a few of them, are.
const CHANNELS: usize = 70_000;
/// Whose tensors of f32 are large, and so wide that lines of a few rows are where a tile has whole ones.
const WIDE: [usize; 4] = [1, 6, 30_000, 2];

/// The same values each time, none of them the same as its neighbours.
pub fn values<T: Element>(len: usize) -> Vec<T> {
    (0..len).map(|i| T::from_f64((i * 37 % 101) as f64)).collect()
}

pub fn tensor<T: Element>([n, h, w, c]: [usize; 4]) -> Array4<T> {
    Array4::from_shape_vec((n, h, w, c), values(n * h * w * c)).unwrap()
}

/// Bytes of what was made, which are no allocation of the call: copied before it is dropped, in pieces.
pub fn bytes<T: Element>(made: &[T]) -> Vec<u8> {
    let sums = bytemuck::cast_slice::<T, u8>(made).chunks(64);
    let hash =
        |piece: &[u8]| piece.iter().fold(0u8, |all, x| all.wrapping_mul(31).wrapping_add(*x));
    sums.map(hash).collect()
}

pub fn engine(algorithm: Algorithm, tile: Option<usize>, threads: usize) -> Engine {
    let (task_rows, part_rows, transform) = (Some(3), Some(3), Some((256, 640)));
    let cuts = Cuts { tile, task_rows, part_rows, transform, ..Cuts::NONE };
    let cpu = Cpu::with_threads(threads).unwrap().with_cuts(cuts);
    Engine::from(cpu).with_algorithm(algorithm)
}

pub fn kernel(height: usize, width: usize, filters: usize) -> Kernel {
    Kernel::with_filters(height, width, filters, values(height * width * filters)).unwrap()
}

pub fn case(name: impl Into<String>, run: impl Fn() -> Made + 'static) -> Case {
    Case { name: name.into(), run: Box::new(run) }
}

/// A convolution from one type to another, in a new engine each time.
fn forward<T: Element, U: Element>(
    name: &str,
    (algorithm, tile): (Algorithm, Option<usize>),
    conv: Conv2d,
    shape: [usize; 4],
) -> Case {
    let x = tensor::<T>(shape);
    case(format!("{name}, {} to {}", T::TYPE, U::TYPE), move || {
        let y: Array4<U> = engine(algorithm, tile, 1).run_as(&conv, &x)?;
        Ok(bytes(y.as_slice().unwrap()))
    })
}

/// Every algorithm and element type, with outputs and inner rooms that are large.
fn algorithms() -> Vec<Case> {
    use Algorithm::{Auto, Direct, Fft, Separable};
    let conv = |kernel| Conv2d::new(kernel).border(Border::Reflect101);
    let whole = Some(1 << 20);
    let many = [1, 3, 3, CHANNELS];
    let mixed = Pointwise::new(2, 2, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
    let two = || conv(kernel(3, 3, 2)).activation(Activation::Relu).pointwise(mixed.clone());
    let planes = |conv: Conv2d| conv.layout(Layout::Nchw);
    let back = || {
        let forward = conv(kernel(3, 3, 1)).stride(2, 2).padding(Padding::Same);
        forward.adjoint().adjoint_size(12, 44_000)
    };
    vec![
        forward::<f32, f32>("direct", (Direct, None), conv(kernel(3, 3, 1)), [1, 100, 300, 9]),
        forward::<f32, f32>("direct, wide tiles", (Direct, whole), conv(kernel(3, 3, 1)), WIDE),
        forward::<f16, f16>("direct, wide tiles", (Direct, whole), conv(kernel(3, 3, 1)), WIDE),
        forward::<i8, i8>("direct, wide tiles", (Direct, whole), conv(kernel(3, 3, 1)), WIDE),
        forward::<f32, u16>("direct, two mixed", (Direct, whole), two(), WIDE),
        forward::<f32, f32>("direct, many channels", (Direct, None), two(), many),
        forward::<f32, f32>(
            "direct, strides",
            (Direct, whole),
            conv(kernel(3, 3, 1)).stride(2, 2).dilation(2, 3),
            [1, 12, 60_000, 2],
        ),
        forward::<f32, f32>(
            "direct, planes of small images",
            (Direct, None),
            planes(conv(kernel(3, 3, 1))),
            [2, 70_000, 3, 3],
        ),
        forward::<f32, f32>("separable", (Separable, whole), conv(gaussian()), WIDE),
        forward::<u8, f32>("separable", (Separable, whole), conv(gaussian()), WIDE),
        forward::<u8, u8>("box filter", (Separable, None), conv(mean()), many),
        forward::<f64, f64>("sums in f64", (Direct, whole), conv(kernel(3, 3, 1)), WIDE),
        forward::<f64, f64>("two passes in f64", (Separable, whole), conv(gaussian()), WIDE),
        forward::<f64, f64>("sums in f64, mixed", (Direct, whole), two(), WIDE),
        forward::<i32, f64>("sums in f64, many channels", (Auto, None), two(), many),
        forward::<f32, f32>(
            "transforms",
            (Fft, None),
            conv(kernel(40, 40, 1)).assume_finite(),
            [1, 80, 700, 5],
        ),
        forward::<u8, u8>(
            "transforms of two filters",
            (Fft, None),
            conv(kernel(40, 40, 2)).assume_finite(),
            [1, 80, 700, 5],
        ),
        forward::<f32, f32>("adjoint", (Direct, whole), back(), [1, 6, 22_000, 2]),
        forward::<f64, f64>("adjoint in f64", (Direct, whole), back(), [1, 6, 22_000, 1]),
    ]
}

pub fn gaussian() -> Kernel {
    Kernel::gaussian(5, 1.2).unwrap()
}

fn mean() -> Kernel {
    Kernel::box_blur(3, 3).unwrap()
}

/// The other calls of an engine.
fn calls() -> Vec<Case> {
    let conv = || Conv2d::new(gaussian()).border(Border::Replicate);
    let shape = [1, 100, 300, 9];
    let plain = |threads| engine(Algorithm::Auto, None, threads);
    let x = || tensor::<f32>(shape);
    let (a, b, d, e, f, h) = (x(), x(), x(), x(), x(), x());
    let c = tensor::<f16>(WIDE);
    let g = tensor::<f32>([2, 100, 300, 9]);
    vec![
        case("run, on two threads", move || Ok(bytes(of(&plain(2).run(&conv(), &a)?)))),
        case("run_into, of views that are turned", move || {
            // Not in place, so that both are copied.
            let mut room = aside(|| vec![0f32; b.len()]);
            let (h, w) = (900, 300);
            let x = ndarray::ArrayView2::from_shape((w, h), b.as_slice().unwrap()).unwrap();
            let mut y = ndarray::ArrayViewMut2::from_shape((w, h), &mut room).unwrap();
            plain(1).run_into(&conv(), &x.t(), &mut y.view_mut().reversed_axes())?;
            Ok(bytes(&room))
        }),
        case("run_slices", move || {
            // Their lines are large, and outputs are the caller's.
            let engine = engine(Algorithm::Direct, Some(1 << 20), 1);
            let prepared = engine.prepare::<f16, f32>(&conv(), WIDE)?;
            let mut out = aside(|| vec![0f32; c.len()]);
            prepared.run_slices(c.as_slice().unwrap(), &mut out)?;
            Ok(bytes(&out))
        }),
        case("run_pitched", move || {
            let prepared = plain(1).prepare::<f32, f32>(&conv(), [100, 2699])?;
            let mut out = aside(|| vec![0f32; d.len()]);
            let src = Pitched::new(d.as_slice().unwrap(), 2700);
            prepared.run_pitched(src, Pitched::new(&mut out, 2700))?;
            Ok(bytes(&out))
        }),
        case("a region", move || {
            let prepared = plain(1).prepare::<f32, f32>(&conv().border(Border::Wrap), shape)?;
            Ok(bytes(of(&prepared.region(0..99, 0..299)?.run(&e)?)))
        }),
        case("a region of a normalised one", move || {
            let prepared = plain(1).prepare::<f32, f32>(&conv().normalized(), shape)?;
            let mask = Array2::from_shape_fn((100, 300), |(r, c)| u8::from((r + c) % 7 != 0));
            Ok(bytes(of(&prepared.region(0..99, 0..299)?.run_masked(&f, &mask)?)))
        }),
        case("each", move || {
            let convs = [conv(), Conv2d::new(mean()).border(Border::Replicate)];
            Ok(bytes(of(&plain(1).run_each(&convs, &g)?)))
        }),
        case("chain", move || {
            let chain = plain(1).chain::<f32, u8>(&[conv(), conv(), conv()], shape)?;
            Ok(bytes(of(&chain.run(&h)?)))
        }),
    ]
}

pub fn of<T: Element, D: ndarray::Dimension>(array: &ndarray::Array<T, D>) -> &[T] {
    array.as_slice().unwrap()
}

/// Normalised ones, by masks and by NaNs.
fn masked() -> Vec<Case> {
    let conv = || Conv2d::new(gaussian()).border(Border::Replicate).normalized();
    let x = tensor::<f32>([1, 100, 300, 9]);
    let (y, mask) = (x.clone(), x.mapv(|x| f32::from(u8::from(x % 3.0 != 0.0))));
    let z = x.mapv(|x| if x == 3.0 { f32::NAN } else { x });
    let wide = tensor::<f64>([1, 2, 140_000, 1]);
    let known = wide.mapv(|x| u8::from(x % 3.0 != 0.0));
    let plain = || engine(Algorithm::Auto, None, 1);
    vec![
        case("masked by place", move || {
            let mask = Array2::from_shape_fn((100, 300), |(r, c)| u8::from((r + c) % 7 != 0));
            Ok(bytes(of(&plain().run_masked(&conv(), &x, &mask)?)))
        }),
        case("masked by value", move || Ok(bytes(of(&plain().run_masked(&conv(), &y, &mask)?)))),
        case("masked by NaN", move || Ok(bytes(of(&plain().run(&conv().skip_nan(), &z)?)))),
        case("masked, wide rows in f64", move || {
            Ok(bytes(of(&plain().run_masked(&conv(), &wide, &known)?)))
        }),
    ]
}

/// Gradients, tap by tap and by transforms, and through activations.
fn gradients() -> Vec<Case> {
    use Algorithm::{Auto, Direct};
    let mixed = Pointwise::new(2, 2, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
    let two = Conv2d::new(kernel(3, 3, 2)).activation(Activation::Tanh).pointwise(mixed.clone());
    let planes = two.clone().layout(Layout::Nchw);
    let large = Conv2d::new(kernel(60, 60, 1)).assume_finite();
    let backward = |name: &str, conv: Conv2d, shape: [usize; 4], algorithm, tile| {
        let x = tensor::<f32>(shape);
        let y: Array4<f32> = Engine::cpu().run_as(&conv, &x).unwrap();
        case(format!("gradients, {name}"), move || {
            let made = engine(algorithm, tile, 1).backward(&conv, &x, &y)?;
            let all = [of(&made.input), of(&made.weights.kernel), of(&made.weights.bias)];
            Ok(all.into_iter().flat_map(bytes).collect())
        })
    };
    vec![
        backward("direct", Conv2d::new(kernel(3, 3, 1)), [1, 100, 300, 9], Direct, None),
        backward("wide tiles", two, WIDE, Direct, Some(1 << 20)),
        backward("planes", planes, [1, 2, 12, 22_000], Direct, Some(1 << 20)),
        backward("many channels", Conv2d::new(kernel(2, 2, 1)), [1, 3, 3, CHANNELS], Auto, None),
        backward("transforms", large, [1, 120, 300, 8], Auto, None),
    ]
}

/// Pictures, with and without what makes them floats.
#[cfg(feature = "image")]
fn pictures() -> Vec<Case> {
    use channelwise::color::AlphaMode;
    use channelwise::image::ImageOptions;
    use image::{DynamicImage, RgbaImage};
    let picture =
        || DynamicImage::from(RgbaImage::from_raw(600, 500, values::<u8>(600 * 500 * 4)).unwrap());
    let conv = || Conv2d::new(gaussian()).border(Border::Replicate);
    [("as stored", AlphaMode::Keep, false), ("in linear light", AlphaMode::Premultiply, true)]
        .into_iter()
        .map(|(name, alpha, linear)| {
            let picture = picture();
            case(format!("run_image, {name}"), move || {
                let options = ImageOptions::new().alpha(alpha).linear_light(linear);
                let made =
                    engine(Algorithm::Auto, None, 1).run_image(&conv(), &picture, &options)?;
                Ok(bytes(made.as_bytes()))
            })
        })
        .collect()
}

pub fn all() -> Vec<Case> {
    let mut all = algorithms();
    all.extend(calls());
    all.extend(masked());
    all.extend(gradients());
    #[cfg(feature = "image")]
    all.extend(pictures());
    #[cfg(feature = "store")]
    all.extend(outside::stores());
    all.extend(outside::on_a_gpu());
    all
}
