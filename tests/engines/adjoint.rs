//! The adjoint of every option on every engine.

use std::collections::BTreeMap;

use crate::common::{
    BORDERS, Case, F16, F32, I8, I16, Kind, Rng, Tally, U8, U16, dims, full, main_engines,
    pairwise, say, small_devices, times,
};
use channelwise::ndarray::{Array2, Array4, array};
use channelwise::{
    Activation, Border, Borders, Conv2d, ElementType, Engine, Error, Kernel, Layout, Padding,
    Pointwise, Problem, Shape, reference,
};

/// A random linear convolution and the shape of an input that it takes.
fn convolution(rng: &mut Rng) -> (Conv2d, Shape) {
    loop {
        let filters = *rng.pick(&[1, 1, 1, 2, 3]);
        let (kh, kw) = (1 + rng.below(6), 1 + rng.below(6));
        let border = rng.borders();
        let conv = Conv2d::new(rng.kernel(kh, kw, filters)).border(border);
        let mut conv = conv.padding(*rng.pick(&[
            Padding::Valid,
            Padding::Same,
            Padding::Same,
            Padding::Full,
            Padding::Explicit { top: 2, bottom: 0, left: 1, right: 5 },
            Padding::all(9),
        ]));
        if rng.chance(2) {
            conv = conv.stride(1 + rng.below(4), 1 + rng.below(4));
        }
        if rng.chance(3) {
            conv = conv.dilation(1 + rng.below(3), 1 + rng.below(3));
        }
        if rng.chance(3) {
            conv = conv.flip();
        }
        if rng.chance(3) {
            conv = conv.padding(Padding::Same).anchor(rng.below(kh), rng.below(kw));
        }
        if rng.chance(2) {
            conv = conv.assume_finite();
        }
        let layout = if rng.chance(3) { Layout::Nchw } else { Layout::Nhwc };
        conv = conv.layout(layout);
        if rng.chance(3) {
            let outputs = 1 + rng.below(3);
            let weights = rng.f32s(filters * outputs, -1.0, 1.0);
            conv = conv.pointwise(Pointwise::new(filters, outputs, weights).unwrap());
        }
        let (h, w) = (1 + rng.below(20), 1 + rng.below(40));
        let sizes = [1 + rng.below(2), h, w, *rng.pick(&[1, 2, 3, 4, 9])];
        let shape = Shape::from(dims(sizes, layout));
        if Problem::new(&conv, shape, F32, F32).is_ok() {
            return (conv.adjoint_size(h, w), shape);
        }
    }
}

/// The adjoint as a case of its own.
pub(crate) fn case(rng: &mut Rng, types: (ElementType, ElementType), seed: u64) -> Case {
    let (conv, shape) = convolution(rng);
    let given = Problem::new(&conv, shape, F32, F32).unwrap().output_shape();
    Case::new(conv.adjoint(), given).types(types).seed(seed)
}

#[test]
fn every_option_on_every_engine() {
    let mut tally = Tally::new("adjoints");
    let mut rng = Rng::new(71);
    for seed in 0..times(100) as u64 {
        tally.case(&case(&mut rng, (F32, F32), seed));
    }
    tally.finish(5);
}

#[test]
fn every_type() {
    let mut tally = Tally::new("adjoints of every type");
    let mut rng = Rng::new(72);
    let all = [F32, U8, U16, F16, I8, I16];
    for from in all {
        for to in all {
            for seed in 0..times(2) as u64 {
                tally.case(&case(&mut rng, (from, to), seed));
            }
        }
    }
    tally.finish(1);
}

#[test]
fn cut_into_bands() {
    let mut tally = Tally::small("adjoints in bands");
    let mut rng = Rng::new(73);
    for border in BORDERS {
        for (stride, filters) in [((1, 1), 1), ((2, 1), 1), ((1, 3), 2), ((2, 2), 1)] {
            for layout in [Layout::Nhwc, Layout::Nchw] {
                // Each border and each stride with one of the two.
                if !full() && (layout == Layout::Nchw) != rng.chance(2) {
                    continue;
                }
                let conv = Conv2d::new(rng.kernel(5, 3, filters)).stride(stride.0, stride.1);
                let conv = conv.border(border).layout(layout).padding(Padding::Same);
                // What wraps needs both ends at once.
                let (h, w) = if border == Border::Wrap { (30, 40) } else { (90, 70) };
                let shape = dims([2, h, w, 5], layout);
                let given = Problem::new(&conv, shape, F32, F32).unwrap().output_shape();
                tally.case(&Case::new(conv.adjoint().adjoint_size(h, w), given));
            }
        }
    }
    tally.finish(1);
}

/// Pixels of a strided row that fill vectors are summed where they lie; others come together first.
#[test]
fn strided_pixels_of_many_channels() {
    let mut tally = Tally::new("strided adjoints of many channels");
    let mut rng = Rng::new(75);
    for (number, channels) in [3, 4, 8, 15, 16, 17, 40].into_iter().enumerate() {
        // Phases of 3x3, which come in blocks of their own, and others.
        for (side, stride) in [(6, (2, 2)), (5, (2, 3)), (3, (1, 2)), (3, (1, 1))] {
            let border = BORDERS[(number + side) % BORDERS.len()];
            let conv = Conv2d::new(rng.kernel(side, side, 1)).border(border);
            let conv = conv.stride(stride.0, stride.1).padding(Padding::Same);
            let given = Problem::new(&conv, [1, 21, 33, channels], F32, F32).unwrap();
            let given = given.output_shape();
            tally.case(&Case::new(conv.adjoint().adjoint_size(21, 33), given));
        }
    }
    tally.finish(1);
}

/// Strides that are longer than the kernel, share a divisor with the dilation or have more phases than registers
/// hold; several filters, interleaved or in planes; words that hold channels or pixels. Once with sizes as
/// constants.
#[test]
fn phases() {
    const STEPS: [((usize, usize), (usize, usize)); 12] = [
        ((1, 1), (1, 1)),
        ((2, 2), (1, 1)),
        ((3, 2), (1, 1)),
        ((1, 4), (1, 1)),
        ((5, 7), (1, 1)),
        ((20, 3), (1, 1)),
        ((2, 3), (3, 1)),
        ((4, 2), (2, 3)),
        ((6, 4), (4, 6)),
        ((1, 1), (2, 3)),
        ((3, 3), (3, 3)),
        ((2, 9), (1, 2)),
    ];
    let mut rng = Rng::new(76);
    let mut tallies =
        [Tally::new("adjoints by phases"), Tally::specialised("the same by constants")]
            .map(|tally| tally.only(Kind::GpuFlat));
    for seed in 0..times(3) {
        for (stride, dilation) in STEPS {
            let filters = 1 + rng.below(3);
            // One filter with a stride of 1 is a convolution.
            let filters = if stride == (1, 1) { filters.max(2) } else { filters };
            let (kh, kw) = (1 + rng.below(7), 1 + rng.below(7));
            let border = *rng.pick(&[Border::ZERO, Border::ZERO, Border::Replicate, Border::Wrap]);
            let layout = if rng.chance(3) { Layout::Nchw } else { Layout::Nhwc };
            let conv = Conv2d::new(rng.kernel(kh, kw, filters)).border(border).layout(layout);
            let conv = conv.stride(stride.0, stride.1).dilation(dilation.0, dilation.1);
            let conv = conv.padding(*rng.pick(&[Padding::Same, Padding::Same, Padding::Full]));
            let (h, w) = (30 + rng.below(20), 30 + rng.below(20));
            let sizes = [1 + rng.below(2), h, w, *rng.pick(&[1, 2, 3, 4, 8, 9])];
            let types = *rng.pick(&[(F32, F32), (F32, F32), (U8, F32), (F16, U8), (U8, F16)]);
            let problem = Problem::new(&conv, dims(sizes, layout), F32, F32).unwrap();
            let back = conv.adjoint().adjoint_size(h, w);
            let case = Case::new(back, problem.output_shape()).types(types).seed(seed as u64);
            tallies.iter_mut().for_each(|tally| tally.case(&case));
        }
    }
    for tally in tallies {
        tally.finish(15);
    }
}

/// All but the edges is a convolution there, by any algorithm.
#[test]
fn large_kernels() {
    let mut tally = Tally::new("adjoints of large kernels");
    let mut rng = Rng::new(74);
    for [border, kernel, types] in pairwise([BORDERS.len(), 2, 2]) {
        let kernel = match kernel {
            0 => rng.kernel(15, 13, 1),
            _ => Kernel::gaussian(15, 3.0).unwrap(),
        };
        let conv = Conv2d::new(kernel).border(BORDERS[border]).adjoint().assume_finite();
        tally.case(&match types {
            0 => Case::new(conv, [1, 70, 90, 3]),
            _ => Case::new(conv, [1, 70, 90, 4]).types((U8, U8)),
        });
    }
    tally.finish(1);
}

#[test]
fn dot_products_agree() {
    let mut rng = Rng::new(61);
    let mut ran = BTreeMap::<&str, usize>::new();
    for number in 0..300 {
        let (conv, shape) = convolution(&mut rng);
        // The linear part.
        let zero = |border: Border| border.constant().map_or(border, |_| Border::ZERO);
        let (rows, columns) = (conv.get_border().rows(), conv.get_border().columns());
        let [top, bottom] = [rows.before, rows.after].map(zero);
        let [left, right] = [columns.before, columns.after].map(zero);
        let linear = conv.clone().border(Borders::sides(top, bottom, left, right));
        let problem = Problem::new(&linear, shape, F32, F32).unwrap();
        let x = rng.f32s(problem.input_len(), -1.0, 1.0);
        let y = rng.f32s(problem.output_len(), -1.0, 1.0);
        let there = reference::run(&problem, &x);
        let dot: f64 = there.iter().zip(&y).map(|(a, y)| a.value * f64::from(*y)).sum();
        let off: f64 = there.iter().zip(&y).map(|(a, y)| a.allowance * f64::from(y.abs())).sum();
        let back = conv.clone().adjoint();
        let out: [usize; 4] = problem.output_shape().dims().try_into().unwrap();
        let y = Array4::from_shape_vec(out, y).unwrap();
        let small = if number % 4 == 0 { small_devices() } else { &[] };
        for backend in main_engines().chain(small) {
            let got = match backend.engine.run(&back, &y) {
                Err(Error::NotApplicable { .. }) if backend.kind.may_refuse() => continue,
                got => got.unwrap_or_else(|e| panic!("{number} {}: {e} {back:?}", backend.name)),
            };
            *ran.entry(&backend.name).or_default() += 1;
            assert_eq!(got.shape(), shape.dims(), "{number} {}", backend.name);
            let other: f64 = got.iter().zip(&x).map(|(a, x)| f64::from(*a) * f64::from(*x)).sum();
            assert!(
                (dot - other).abs() <= off + 1e-4,
                "{number} {}: {dot} and {other} for {shape:?} {conv:?}",
                backend.name
            );
        }
    }
    say(&format!("dot products: {ran:?}"));
}

/// Keras' `Conv2DTranspose` and TensorFlow's `conv2d_transpose` with its `output_shape`; PyTorch's
/// `conv_transpose2d` with and without `output_padding`.
#[test]
fn sizes_of_transposed_convolutions() {
    let kernel = |n: usize| Conv2d::new(Kernel::box_blur(n, n).unwrap()).adjoint();
    let made = |conv: &Conv2d, rows: usize| {
        let problem = Problem::new(conv, [rows, rows], F32, F32).map_err(|e| e.to_string())?;
        Ok::<usize, String>(problem.output_shape().dims()[0])
    };
    for stride in 1..4 {
        let same = kernel(3).stride(stride, stride).padding(Padding::Same);
        assert_eq!(made(&same, 5), Ok(5 * stride));
        for rows in 5 * stride - stride + 1..=5 * stride {
            assert_eq!(made(&same.clone().adjoint_size(rows, rows), 5), Ok(rows));
        }
        let most = 5 * stride;
        assert!(made(&same.clone().adjoint_size(most + 1, most + 1), 5).is_err());
        // (in - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
        let torch = kernel(4).stride(stride, stride).padding(Padding::all(1)).dilation(2, 2);
        assert_eq!(made(&torch, 5), Ok(4 * stride - 2 + 6 + 1));
        for output_padding in 0..stride {
            let rows = 4 * stride - 2 + 6 + 1 + output_padding;
            assert_eq!(made(&torch.clone().adjoint_size(rows, rows), 5), Ok(rows));
        }
    }
    assert_eq!(made(&kernel(3).padding(Padding::Valid), 5), Ok(7));
    assert_eq!(made(&kernel(3).padding(Padding::Full), 5), Ok(3));
    assert!(made(&kernel(9).padding(Padding::Full), 5).unwrap_err().contains("adjoint_size"));
}

/// By hand: every pixel of the input puts the kernel into the output.
#[test]
fn a_transposed_convolution_by_hand() {
    let kernel = Kernel::new(2, 2, vec![1.0, 2.0, 3.0, 4.0]).unwrap();
    let up = Conv2d::new(kernel).padding(Padding::Valid).stride(2, 2).adjoint();
    let y: Array2<f32> = Engine::cpu().run(&up, &array![[1.0, 10.0], [100.0, 0.0]]).unwrap();
    let want = array![
        [1.0, 2.0, 10.0, 20.0],
        [3.0, 4.0, 30.0, 40.0],
        [100.0, 200.0, 0.0, 0.0],
        [300.0, 400.0, 0.0, 0.0]
    ];
    assert_eq!(y, want);
    // Twice is not at all.
    let down = Engine::cpu().run(&up.adjoint(), &y).unwrap();
    assert_eq!(down, array![[30.0, 300.0], [3000.0, 0.0]]);
}

#[test]
fn what_has_no_adjoint_is_refused() {
    let two = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()]).unwrap();
    let refused = |conv: &Conv2d, shape: [usize; 3]| {
        Problem::new(conv, shape, F32, F32).unwrap_err().to_string()
    };
    let relu = Conv2d::new(two.clone()).activation(Activation::Relu).adjoint();
    assert!(refused(&relu, [5, 5, 2]).contains("activation"));
    let step = Pointwise::new(2, 1, vec![1.0; 2]).unwrap().activation(Activation::Tanh);
    let step = Conv2d::new(two.clone()).pointwise(step).adjoint();
    assert!(refused(&step, [5, 5, 1]).contains("pointwise activation"));
    let odd = Conv2d::new(two).adjoint();
    assert!(refused(&odd, [5, 5, 3]).contains("2 outputs per channel"));
    assert!(refused(&odd.clone().adjoint_size(6, 5), [5, 5, 2]).contains("input of the adjoint"));
    // A bias is left out, and a gradient of it is the convolution itself.
    let biased = odd.bias(vec![1.0, 2.0]);
    assert!(Problem::new(&biased, [5, 5, 2], F32, F32).is_ok());
    let x = Array4::<f32>::zeros((1, 5, 5, 2));
    let error = Engine::cpu().backward(&biased, &x, &x).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
}
