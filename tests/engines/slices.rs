//! Tensors in slices, with and without gaps, held against the same in arrays, which others hold against the
//! reference.

use channelwise::ndarray::{Array4, ArrayD, Axis, IxDyn};
use channelwise::{
    Algorithm, Border, Conv2d, Element, Engine, Error, Kernel, Layout, Padding, Pitched, Prepared,
    Result, f16,
};
use pollster::block_on;

use crate::common::gpu;

fn engines() -> Vec<Engine> {
    [Some(Engine::cpu()), gpu().map(Engine::from)].into_iter().flatten().collect()
}

fn conv(layout: Layout) -> Conv2d {
    let kernel = Kernel::stack(&[Kernel::sobel_x(), Kernel::laplacian4()]).unwrap();
    let conv = Conv2d::new(kernel).padding(Padding::Valid).stride(2, 1);
    conv.border(Border::Reflect101).layout(layout)
}

fn numbers<T: Element>(len: usize) -> Vec<T> {
    (0..len).map(|i| T::from_f32((i * 31 % 17) as f32)).collect()
}

/// The planes, rows, and elements of a row of these `dims`.
fn grid(dims: &[usize], layout: Layout) -> [usize; 3] {
    match (layout, dims) {
        (Layout::Nhwc, &[n, h, w, c]) => [n, h, w * c],
        (Layout::Nchw, &[n, c, h, w]) => [n * c, h, w],
        other => panic!("{other:?}"),
    }
}

/// `values` with `gap` behind each row and `space` behind each plane but the last, in a sea of `fill`.
fn spread<T: Element>(values: &[T], grid: [usize; 3], [gap, space]: [usize; 2], fill: T) -> Vec<T> {
    let [planes, rows, row] = grid;
    let plane = rows * (row + gap) + space;
    let mut out = vec![fill; (planes - 1) * plane + (rows - 1) * (row + gap) + row];
    for (i, values) in values.chunks(row).enumerate() {
        let at = i / rows * plane + i % rows * (row + gap);
        out[at..at + row].copy_from_slice(values);
    }
    out
}

fn check<T: Element, U: Element>(engine: &Engine, layout: Layout, dims: [usize; 4]) {
    let prepared: Prepared<T, U> = engine.prepare(&conv(layout), dims).unwrap();
    let src = numbers::<T>(dims.iter().product());
    let array = Array4::from_shape_vec(dims, src.clone()).unwrap();
    let want = prepared.run(&array).unwrap();
    let (shape, want) = (want.shape().to_vec(), want.iter().copied().collect::<Vec<U>>());
    assert!(want.iter().any(|y| y.to_f32() != 0.0));
    let fill = U::from_f32(99.0);

    let mut dst = vec![fill; want.len()];
    prepared.run_slices(&src, &mut dst).unwrap();
    assert_eq!(dst, want);
    dst.fill(fill);
    block_on(prepared.run_slices_async(&src, &mut dst)).unwrap();
    assert_eq!(dst, want);

    let (from, to) = (grid(&dims, layout), grid(&shape, layout));
    for gaps in [[0, 0], [1, 0], [0, 3], [5, 2]] {
        for (inward, outward) in [(gaps, [0, 0]), ([0, 0], gaps), (gaps, [2, 7])] {
            // What lies between is never right.
            let source = spread(&src, from, inward, T::from_f32(77.0));
            let wanted = spread(&want, to, outward, fill);
            let pitches = |[_, rows, row]: [usize; 3], [gap, space]: [usize; 2]| {
                (row + gap, rows * (row + gap) + space)
            };
            let ((row, plane), (out_row, out_plane)) =
                (pitches(from, inward), pitches(to, outward));
            for apart in [false, true] {
                let mut found = vec![fill; wanted.len()];
                let src = Pitched::new(&source[..], row).plane_pitch(plane);
                let dst = Pitched::new(&mut found[..], out_row).plane_pitch(out_plane);
                if apart {
                    block_on(prepared.run_pitched_async(src, dst)).unwrap();
                } else {
                    prepared.run_pitched(src, dst).unwrap();
                }
                assert_eq!(found, wanted, "{engine} {layout} {dims:?} {inward:?} {outward:?}");
            }
            if inward[1] == 0 && outward[1] == 0 {
                // Planes follow one another unasked.
                let mut found = vec![fill; wanted.len() + 3];
                let dst = Pitched::new(&mut found[..], out_row);
                prepared.run_pitched(Pitched::new(&source, row), dst).unwrap();
                assert_eq!(found[..wanted.len()], wanted);
                assert!(found[wanted.len()..].iter().all(|y| *y == fill), "beyond its end");
            }
        }
    }
}

#[test]
fn slices_hold_what_arrays_do() {
    for engine in engines() {
        for layout in [Layout::Nhwc, Layout::Nchw] {
            for dims in [[1, 9, 8, 3], [2, 5, 7, 6], [3, 4, 3, 5]] {
                check::<f32, f32>(&engine, layout, dims);
            }
            check::<u8, f32>(&engine, layout, [2, 6, 7, 5]);
            check::<u8, u8>(&engine, layout, [2, 6, 7, 5]);
        }
    }
}

/// A part of an image through an array's view and through a pitch.
#[test]
fn a_part_of_an_image() {
    use channelwise::ndarray::s;
    let photo = ArrayD::from_shape_vec(IxDyn(&[20, 30, 3]), numbers::<u8>(1800)).unwrap();
    let photo = photo.into_dimensionality::<channelwise::ndarray::Ix3>().unwrap();
    let part = photo.slice(s![4..13, 10..21, ..]);
    let blur = Conv2d::new(Kernel::box_blur(3, 3).unwrap());
    for engine in engines() {
        let prepared = engine.prepare::<u8, u8>(&blur, [9, 11, 3]).unwrap();
        let want = prepared.run(&part).unwrap();
        let mut found = vec![0; 9 * 11 * 3];
        let start = (4 * 30 + 10) * 3;
        let photo = &photo.as_slice().unwrap()[start..];
        prepared.run_pitched(Pitched::new(photo, 90), Pitched::new(&mut found, 33)).unwrap();
        assert_eq!(found, want.as_slice().unwrap());
    }
}

/// Rows that lie apart, which a CPU reads where they are, give the bits that a copy of them gives: by every
/// algorithm, of every type, and whatever lies between them, before and behind.
fn apart<T: Element, U: Element>(layout: Layout, spoilt: T) {
    use channelwise::ndarray::{Slice, s};
    let kernels = [
        (Algorithm::Direct, Kernel::sobel_x()),
        (Algorithm::Direct, Kernel::stack(&[Kernel::laplacian8(), Kernel::sobel_y()]).unwrap()),
        (Algorithm::Separable, Kernel::gaussian(9, 1.5).unwrap()),
        (Algorithm::Auto, Kernel::box_blur(11, 11).unwrap()),
        (Algorithm::Fft, Kernel::motion(15.0, 40.0).unwrap()),
    ];
    let borders = [Border::Constant(2.0), Border::Wrap, Border::Reflect, Border::Replicate];
    let dims = if layout == Layout::Nhwc { [2, 47, 150, 3] } else { [2, 3, 47, 450] };
    for (n, (algorithm, kernel)) in kernels.into_iter().enumerate() {
        let conv = Conv2d::new(kernel).border(borders[n % 4]).layout(layout).assume_finite();
        let engine = Engine::cpu().with_algorithm(algorithm);
        for (conv, padding) in [(conv.clone(), "same"), (conv.stride(2, 1), "stride")] {
            if algorithm == Algorithm::Fft && padding == "stride" {
                continue;
            }
            let prepared: Prepared<T, U> = engine.prepare(&conv, dims).unwrap();
            let src = numbers::<T>(dims.iter().product());
            let whole = Array4::from_shape_vec(dims, src.clone()).unwrap();
            let want = prepared.run(&whole).unwrap();
            // A larger tensor, of which every other image or row, or a part of the columns, is this one.
            let (rows, columns) = if layout == Layout::Nhwc { (1, 2) } else { (2, 3) };
            let mut larger = dims;
            larger[0] *= 2;
            larger[rows] = 2 * dims[rows] + 3;
            larger[columns] += 5;
            let mut larger = Array4::from_elem(larger, spoilt);
            for step in [1isize, 2, -1, -2] {
                let mut part = larger.slice_mut(s![..;2, .., .., ..]);
                part.slice_axis_inplace(Axis(rows), Slice::from(1..1 + 2 * dims[rows] as isize));
                let end = dims[rows] as isize * step.abs();
                part.slice_axis_inplace(Axis(rows), Slice::new(0, Some(end), step));
                part.slice_axis_inplace(Axis(columns), Slice::from(2..2 + dims[columns] as isize));
                part.assign(&whole);
                let what = format!("{algorithm} {layout:?} {padding} step {step}");
                assert!(prepared.run(&part).unwrap() == want, "{what}");
                part.fill(spoilt);
            }
            let [planes, rows, row] = grid(&dims, layout);
            let source = spread(&src, [planes, rows, row], [7, 19], spoilt);
            let mut found = vec![U::from_f32(0.0); want.len()];
            let from = Pitched::new(&source[..], row + 7).plane_pitch(rows * (row + 7) + 19);
            let [_, out_rows, out_row] = grid(want.shape(), layout);
            let into = Pitched::new(&mut found[..], out_row).plane_pitch(out_rows * out_row);
            prepared.run_pitched(from, into).unwrap();
            assert!(found == want.as_slice().unwrap(), "{algorithm} {layout:?} {padding} pitched");
        }
    }
}

#[test]
fn rows_that_lie_apart() {
    for layout in [Layout::Nhwc, Layout::Nchw] {
        apart::<f32, f32>(layout, f32::NAN);
        apart::<u8, u8>(layout, 255);
        apart::<u16, f32>(layout, 65535);
        apart::<f16, f32>(layout, f16::NAN);
    }
}

#[test]
fn nothing_in_and_nothing_out() {
    let conv = Conv2d::new(Kernel::box_blur(3, 3).unwrap());
    for engine in engines() {
        let prepared = engine.prepare::<f32, f32>(&conv, [0, 5, 6, 2]).unwrap();
        prepared.run_slices(&[], &mut []).unwrap();
        let mut kept = [1.0, 2.0];
        prepared.run_pitched(Pitched::new(&[], 0), Pitched::new(&mut kept[..], 12)).unwrap();
        assert_eq!(kept, [1.0, 2.0]);
    }
}

#[test]
fn slices_and_pitches_that_do_not_fit_are_refused() {
    let conv = Conv2d::new(Kernel::box_blur(3, 3).unwrap());
    // Two planes of three rows of eight.
    let prepared = Engine::cpu().prepare::<f32, f32>(&conv, [2, 3, 4, 2]).unwrap();
    let shape = |error: Result<()>, what: &str, expected: &[usize], found: usize| {
        let Err(Error::ShapeMismatch { what: told, expected: needed, found: got, .. }) = error
        else {
            panic!("{error:?}");
        };
        assert_eq!((told, &needed[..], &got[..]), (what, expected, &[found][..]));
    };
    let src = [0.0; 100];
    for len in [0, 47, 49] {
        let mut dst = [0.0; 100];
        let found = prepared.run_slices(&src[..len], &mut dst[..48]);
        shape(found, "input", &[2, 3, 4, 2], len);
        shape(prepared.run_slices(&src[..48], &mut dst[..len]), "output", &[2, 3, 4, 2], len);
    }
    let mut dst = [5.0; 100];
    let (wide, whole) = (|len| Pitched::new(&src[..len], 10), Pitched::new(&src[..48], 8));
    // Five rows of ten and one of eight.
    prepared.run_pitched(wide(58), Pitched::new(&mut dst[..58], 10)).unwrap();
    shape(prepared.run_pitched(wide(57), Pitched::new(&mut dst, 8)), "input", &[58], 57);
    let short = Pitched::new(&mut dst[..57], 10);
    shape(prepared.run_pitched(whole, short), "output", &[58], 57);
    let far = whole.plane_pitch(usize::MAX / 2);
    shape(
        prepared.run_pitched(far, Pitched::new(&mut dst, 8)),
        "input",
        &[usize::MAX / 2 + 24],
        48,
    );
    let argument = |error: Result<()>, words: [&str; 3]| {
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Argument { .. }) && error.is_usage(), "{error}");
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    };
    let narrow = prepared.run_pitched(Pitched::new(&src, 7), Pitched::new(&mut dst, 8));
    argument(narrow, ["row pitch of the input", "7", "8 elements"]);
    let narrow = prepared.run_pitched(whole, Pitched::new(&mut dst, 0));
    argument(narrow, ["row pitch of the output", "0", "8 elements"]);
    let near = prepared.run_pitched(wide(100).plane_pitch(27), Pitched::new(&mut dst, 8));
    argument(near, ["plane pitch of the input", "27", "28 elements"]);
    let near = prepared.run_pitched(whole, Pitched::new(&mut dst[..], 10).plane_pitch(20));
    argument(near, ["plane pitch of the output", "20", "28 elements"]);
}
