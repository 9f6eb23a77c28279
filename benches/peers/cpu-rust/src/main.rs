//! Times a Rust peer on the CPU on the benchmark's cases and prints one JSON line.
//!
//! ```text
//! channelwise-cpu-peers PEER CASE [--threads N]
//! ```
//!
//! PEER is a name in `main`. Inputs and kernels are the numbers that ours gets, in the same
//! `[N, H, W, C]` order. A sample of the answer is checked against plain sums in f64 first.

use std::borrow::Cow;
use std::fmt::Debug;
use std::num::NonZeroUsize;

use common::Problem;
use image::{ImageBuffer, Luma, Pixel, Rgb, Rgba};
use imageproc::definitions::{Clamp, Image};
use libblur::{
    BlurImage, BlurImageMut, BufferStore, EdgeMode, FastBlurChannels, GaussianBlurParams,
    IeeeBinaryConvolutionMode, KernelShape, Scalar, ThreadingPolicy,
};
use ndarray::{Array2, Array4, s};
use ndarray_conv::{ConvExt, ConvFFTExt, ConvMode, PaddingMode, ReverseKernel};

mod common;

/// Median, least and 90th of 100 in ms, or why there are none.
type Times = Result<[f64; 3], String>;
type Peer = fn(&Problem, NonZeroUsize) -> Times;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, case, threads) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [name, case] => (name, case, std::thread::available_parallelism().ok()),
        [name, case, "--threads", n] => (name, case, n.parse().ok()),
        _ => ("", "", None),
    };
    // The row, whether it has threads, and what times it.
    let peer: Option<(&str, bool, Peer)> = match name {
        "libblur" => Some(("libblur filter_2d", true, libblur)),
        "libblur-fft" => Some(("libblur filter_2d_fft", true, libblur_fft)),
        "libblur-gauss" => Some(("libblur gaussian_blur", true, libblur_gauss)),
        "imageproc" => Some(("imageproc filter", true, imageproc_filter)),
        "imageproc-sep" => Some(("imageproc sep. 1 thread", false, imageproc_separable)),
        "ndarray-conv" => Some(("ndarray-conv 1 thread", false, ndarray_conv)),
        "ndarray-conv-fft" => Some(("ndarray-conv fft", true, ndarray_conv_fft)),
        _ => None,
    };
    let (Some((row, threaded, peer)), Some(threads)) = (peer, threads) else {
        eprintln!(
            "usage: channelwise-cpu-peers libblur[-fft|-gauss]|imageproc[-sep]|ndarray-conv[-fft] CASE [--threads N]"
        );
        std::process::exit(2)
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global().expect("threads");
    let p = Problem::load(case);
    // libblur writes over an answer that is there, the others allocate theirs.
    let how = if name.starts_with("libblur") { "run_into" } else { "run" };
    let line = match peer(&p, threads) {
        Ok([median, min, p90]) => serde_json::json!({
            "case": case, "row": row, "engine": "cpu", "how": how, "algorithm": null,
            "threads": if threaded { threads.get() } else { 1 },
            "median_ms": median, "min_ms": min, "p90_ms": p90,
            "gb_per_s": p.moved() as f64 / median / 1e6,
        }),
        Err(reason) => {
            serde_json::json!({"case": case, "row": row, "engine": "cpu", "how": how, "missing": reason})
        }
    };
    println!("{line}");
}

fn bytes(x: &[f32]) -> Vec<u8> {
    x.iter().map(|v| *v as u8).collect()
}

fn large_only(p: &Problem) -> Result<(), String> {
    let large = p.case.kernel.height.max(p.case.kernel.width) >= 31;
    if large { Ok(()) } else { Err("for large kernels".into()) }
}

/// The factors of a Gaussian: of the columns (along y), of the rows.
fn factors(p: &Problem) -> Result<[Vec<f32>; 2], String> {
    let kernel = &p.case.kernel;
    kernel.sigma.ok_or("the kernel has no factors")?;
    let factor = |n| kernel.bell(n).iter().map(|v| *v as f32).collect();
    Ok([factor(kernel.height), factor(kernel.width)])
}

/// Every image of the batch, each of this size, through one of libblur's filters.
fn blur<T: Copy + Default + Debug + Into<f32>>(
    p: &Problem,
    x: &[T],
    size: [usize; 2],
    filter: impl Fn(&BlurImage<T>, &mut BlurImageMut<T>) -> Result<(), libblur::BlurError>,
) -> Times {
    let [height, width] = size.map(|n| n as u32);
    let c = p.case.shape[3];
    let stride = width * c as u32;
    // More channels than these are told by type alone.
    let channels = match c {
        3 => FastBlurChannels::Channels3,
        4 => FastBlurChannels::Channels4,
        _ => FastBlurChannels::Plane,
    };
    let image = size[0] * size[1] * c;
    p.time(
        vec![T::default(); x.len()],
        |y| p.crop(y, size),
        |y| {
            for (x, y) in x.chunks_exact(image).zip(y.chunks_exact_mut(image)) {
                let data = Cow::Borrowed(x);
                let from = BlurImage { data, width, height, stride, channels };
                let data = BufferStore::Borrowed(y);
                let mut to = BlurImageMut { data, width, height, stride, channels };
                filter(&from, &mut to).map_err(|e| e.to_string())?;
            }
            Ok(())
        },
    )
}

/// Floats lie in a frame, beforehand: libblur 0.24 leaves the last values of a row unwritten
/// (`filter_2d`), repeats rows instead of the constant (`gaussian_blur`), or knows a constant for
/// four channels only.
const FRAME: usize = 4;

fn libblur(p: &Problem, threads: NonZeroUsize) -> Times {
    let shape = KernelShape::new(p.case.kernel.width, p.case.kernel.height);
    let threads = ThreadingPolicy::Fixed(threads);
    let (x, size) = p.framed(FRAME);
    macro_rules! filter {
        ($x:expr, $size:expr, $edge:ident, $c:literal) => {
            blur(p, $x, $size, |x, y| {
                let (edge, zero) = (EdgeMode::$edge.as_2d(), Scalar::default());
                libblur::filter_2d_arbitrary::<_, f32, $c>(
                    x, y, &p.weights, shape, edge, zero, threads,
                )
            })
        };
    }
    match (p.case.shape[3], p.bytes && p.reflect) {
        (3, true) => filter!(&bytes(&p.x), [p.case.shape[1], p.case.shape[2]], Reflect101, 3),
        (3, false) => filter!(&x, size, Clamp, 3),
        (4, false) => filter!(&x, size, Clamp, 4),
        (64, false) => filter!(&x, size, Clamp, 64),
        (224, false) => filter!(&x, size, Clamp, 224),
        (c, _) => Err(format!("not built for {c} channels")),
    }
}

fn libblur_fft(p: &Problem, threads: NonZeroUsize) -> Times {
    large_only(p)?;
    let shape = KernelShape::new(p.case.kernel.width, p.case.kernel.height);
    let (edge, threads) = (EdgeMode::Constant.as_2d(), ThreadingPolicy::Fixed(threads));
    // A convolution, unlike its filter_2d.
    let kernel: Vec<f32> = p.weights.iter().rev().copied().collect();
    blur(p, &p.x, [p.case.shape[1], p.case.shape[2]], |x, y| {
        libblur::filter_2d_rgb_fft(x, y, &kernel, shape, edge, Scalar::default(), threads)
    })
}

fn libblur_gauss(p: &Problem, threads: NonZeroUsize) -> Times {
    factors(p)?;
    let (kernel, sigma) = (&p.case.kernel, p.case.kernel.sigma.unwrap_or_default());
    let (x, y) = (kernel.width as u32, kernel.height as u32);
    let params = GaussianBlurParams::new_asymmetric(x, sigma, y, sigma);
    let (edge, threads) = (EdgeMode::Clamp.as_2d(), ThreadingPolicy::Fixed(threads));
    let exact = IeeeBinaryConvolutionMode::Normal;
    let (x, size) = p.framed(FRAME);
    blur(p, &x, size, |x, y| libblur::gaussian_blur_f32(x, y, params, edge, threads, exact))
}

/// The image in a frame, beforehand, because imageproc repeats its edges otherwise.
fn imageproc<P>(
    p: &Problem,
    x: Vec<P::Subpixel>,
    size: [usize; 2],
    filter: impl Fn(&Image<P>) -> Image<P>,
) -> Times
where
    P: Pixel,
    P::Subpixel: Into<f32>,
{
    let [h, w] = size.map(|n| n as u32);
    let image = ImageBuffer::from_raw(w, h, x).expect("an image");
    p.time(
        Image::<P>::new(1, 1),
        |y| p.crop(y.as_raw(), size),
        |y| {
            *y = filter(&image);
            Ok(())
        },
    )
}

fn imageproc_filter(p: &Problem, _: NonZeroUsize) -> Times {
    let (x, size) = p.framed(0);
    let (h, w) = (p.case.kernel.height as u32, p.case.kernel.width as u32);
    let kernel = imageproc::kernel::Kernel::new(&p.weights, w, h);
    macro_rules! filter {
        ($x:expr, $pixel:ty, $round:expr) => {
            imageproc::<$pixel>(p, $x, size, |x| {
                imageproc::filter::filter_parallel(x, kernel, $round)
            })
        };
    }
    match (p.case.shape[0], p.case.shape[3], p.bytes) {
        // Its filter_clamped does not round.
        (1, 3, true) => filter!(bytes(&x), Rgb<u8>, |v: f32| <u8 as Clamp<f32>>::clamp(v.round())),
        (1, 1, false) => filter!(x, Luma<f32>, |v: f32| v),
        (1, 3, false) => filter!(x, Rgb<f32>, |v: f32| v),
        (1, 4, false) => filter!(x, Rgba<f32>, |v: f32| v),
        (_, c, _) => Err(format!("no image has {c} channels")),
    }
}

fn imageproc_separable(p: &Problem, _: NonZeroUsize) -> Times {
    let [columns, rows] = factors(p)?;
    let (x, size) = p.framed(0);
    imageproc::<Rgb<f32>>(p, x, size, |x| imageproc::filter::separable_filter(x, &rows, &columns))
}

fn border<const N: usize>(p: &Problem) -> PaddingMode<N, f32> {
    if p.reflect { PaddingMode::Reflect } else { PaddingMode::Zeros }
}

/// The tensor as a whole, with a kernel of `[1, KH, KW, 1]`.
fn ndarray_conv(p: &Problem, _: NonZeroUsize) -> Times {
    let kernel = [1, p.case.kernel.height, p.case.kernel.width, 1];
    let kernel = Array4::from_shape_vec(kernel, p.weights.clone()).expect("a kernel");
    let x = Array4::from_shape_vec(p.case.shape, p.x.clone()).expect("a tensor");
    let [(top, bottom), (left, right)] = p.pad;
    let padding = [[0, 0], [top, bottom], [left, right], [0, 0]];
    let mode = ConvMode::Explicit { padding, strides: [1, p.case.stride, p.case.stride, 1] };
    let conv =
        |x: &Array4<f32>| x.conv(kernel.no_reverse(), mode, border(p)).map_err(|e| e.to_string());
    if p.bytes {
        let x = x.mapv(|v| v as u8);
        let answer = |y: &Array4<u8>| y.iter().map(|v| f32::from(*v)).collect();
        return p.time(Array4::default([0; 4]), answer, |y| {
            *y = conv(&x.mapv(f32::from))?.mapv(|v| v.round() as u8);
            Ok(())
        });
    }
    p.time(
        Array4::default([0; 4]),
        |y| y.iter().copied().collect(),
        |y| {
            *y = conv(&x)?;
            Ok(())
        },
    )
}

/// Channel by channel: over the tensor it would transform along the channels too.
fn ndarray_conv_fft(p: &Problem, _: NonZeroUsize) -> Times {
    large_only(p)?;
    let kernel = [p.case.kernel.height, p.case.kernel.width];
    let kernel = Array2::from_shape_vec(kernel, p.weights.clone()).expect("a kernel");
    let x = Array4::from_shape_vec(p.case.shape, p.x.clone()).expect("a tensor");
    let [n, _, _, c] = p.case.shape;
    let padding = p.pad.map(|(before, after)| [before, after]);
    let mode = ConvMode::Explicit { padding, strides: [p.case.stride; 2] };
    let y = Array4::zeros([n, p.out[0], p.out[1], c]);
    p.time(
        y,
        |y| y.iter().copied().collect(),
        |y| {
            for b in 0..n {
                for channel in 0..c {
                    let plane = x.slice(s![b, .., .., channel]);
                    let plane = plane.conv_fft_par(kernel.no_reverse(), mode, border(p));
                    y.slice_mut(s![b, .., .., channel]).assign(&plane.map_err(|e| e.to_string())?);
                }
            }
            Ok(())
        },
    )
}
