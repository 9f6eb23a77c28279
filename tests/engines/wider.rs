//! Element types, masks, borders by axis and side and kernels by image, held to what NumPy, SciPy, astropy, OpenCV and
//! Kornia make of them: `tests/golden/wider.py` wrote their answers.

use std::path::Path;

use channelwise::ndarray::{Array2, Array3, Array4, ArrayD, Axis, Dimension, Ix3, Ix4};
use channelwise::plan::Cuts;
use channelwise::{Border, Borders, Conv2d, Element, Engine, Error, Kernel, Padding};
use ndarray_npy::{ReadableElement, read_npy};

use crate::common::main_engines;

fn read<T: ReadableElement, D: Dimension>(name: &str) -> channelwise::ndarray::Array<T, D> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/golden/wider"));
    let all: ArrayD<T> = read_npy(folder.join(format!("{name}.npy"))).unwrap();
    all.into_dimensionality().unwrap()
}

/// With all its digits.
fn kernel(name: &str) -> Kernel {
    let weights: Array2<f64> = read(&format!("{name}_kernel"));
    let (h, w) = weights.dim();
    Kernel::from_f64(h, w, 1, weights.into_raw_vec_and_offset().0).unwrap()
}

/// Floats may be off by so much of what is there, and of their largest.
fn near<'a>(
    what: &str,
    got: impl ExactSizeIterator<Item = &'a (impl Element + 'a)>,
    want: impl ExactSizeIterator<Item = &'a f64>,
    tolerance: f64,
) {
    assert_eq!(got.len(), want.len(), "{what}");
    let mut largest = 0.0f64;
    let pairs: Vec<(f64, f64)> = got.map(|y| y.to_f64()).zip(want.copied()).collect();
    pairs.iter().filter(|(_, y)| y.is_finite()).for_each(|(_, y)| largest = largest.max(y.abs()));
    for (at, (got, want)) in pairs.into_iter().enumerate() {
        let both = got.is_nan() && want.is_nan();
        assert!(
            both || (got - want).abs() <= tolerance * largest,
            "{what} at {at}: {got} for {want}"
        );
    }
}

/// Integers may be off by one where sums of their tool and ours lie on either side of a half.
fn integers<T: Element + ReadableElement>(
    name: &str,
    engine: &Engine,
    most: f64,
) -> Result<(), Error> {
    let (x, want): (Array3<T>, Array3<T>) =
        (read(&format!("{name}_input")), read(&format!("{name}_output")));
    let y = engine.run(&Conv2d::like_scipy_correlate(kernel(name)), &x)?;
    let off = y.iter().zip(&want).map(|(a, b)| (a.to_f64() - b.to_f64()).abs());
    let (worst, others) =
        off.fold((0.0f64, 0), |(w, n), off| (w.max(off), n + usize::from(off > 0.0)));
    assert!(worst <= most && others * 100 <= y.len(), "{name}: {worst}, {others} of {}", y.len());
    Ok(())
}

#[test]
fn every_type_as_scipy() -> Result<(), Error> {
    for backend in main_engines() {
        let engine = &backend.engine;
        // Another algorithm may not be for these kernels.
        let applies = |made: Result<(), Error>| match made {
            Err(Error::NotApplicable { .. }) => Ok(()),
            made => made,
        };
        applies(integers::<i8>("i8", engine, 1.0))?;
        applies(integers::<i16>("i16", engine, 1.0))?;
    }
    let engine = Engine::auto();
    integers::<i32>("i32", &engine, 1.0)?;
    integers::<u32>("u32", &engine, 1.0)?;
    let (x, want): (Array3<f64>, Array3<f64>) = (read("f64_input"), read("f64_output"));
    let conv = Conv2d::like_scipy_correlate(kernel("f64")).border(Border::Reflect101);
    near("f64", engine.run(&conv, &x)?.iter(), want.iter(), 1e-14);
    let (x, want): (Array2<bool>, Array2<u8>) = (read("bool_input"), read("bool_output"));
    let counts = Conv2d::new(Kernel::new(3, 3, vec![1.0; 9])?);
    assert_eq!(engine.run(&counts, &x.mapv(u8::from))?, want);
    Ok(())
}

#[test]
fn shorts_as_opencv() -> Result<(), Error> {
    let (x, want): (Array3<i16>, Array3<i16>) = (read("cv_i16_input"), read("cv_i16_output"));
    let weights: Array2<f32> = read("cv_i16_kernel");
    let conv = Conv2d::like_opencv(Kernel::from_array2(&weights)?);
    let y = Engine::cpu().run(&conv, &x)?;
    let others = y.iter().zip(&want).filter(|(a, b)| a != b).count();
    let near = y.iter().zip(&want).all(|(a, b)| (i32::from(*a) - i32::from(*b)).abs() <= 1);
    assert!(near && others * 100 <= y.len(), "{others} of {}", y.len());
    Ok(())
}

#[test]
fn a_border_for_each_axis_as_scipy() -> Result<(), Error> {
    let (x, want): (Array2<f64>, Array2<f64>) = (read("globe_input"), read("globe_output"));
    let blur = Kernel::gaussian_sigmas(1.0, 2.0)?;
    let conv = Conv2d::like_scipy_correlate(blur).border((Border::Replicate, Border::Wrap));
    near("globe", Engine::auto().run(&conv, &x)?.iter(), want.iter(), 1e-14);
    for backend in main_engines() {
        match backend.engine.run(&conv, &x.mapv(|x| x as f32)) {
            Err(Error::NotApplicable { .. }) => {}
            y => near(&backend.name, y?.iter(), want.iter(), 1e-6),
        }
    }
    Ok(())
}

/// As PADS in wider.py.
const SIDES: [Border; 5] =
    [Border::Replicate, Border::Reflect, Border::Reflect101, Border::Wrap, Border::Constant(3.5)];

#[test]
fn a_border_for_each_side_as_numpy() -> Result<(), Error> {
    let x: Array3<f64> = read("sides_input");
    for (n, pads) in [[2, 2, 1, 1], [9, 16, 20, 11]].into_iter().enumerate() {
        let [top, bottom, left, right] = pads;
        let padding = Padding::Explicit { top, bottom, left, right };
        for turn in 0..SIDES.len() {
            let name = format!("sides_output_{}", n * SIDES.len() + turn);
            let want: Array3<f64> = read(&name);
            let [top, bottom, left, right] = [0, 1, 2, 3].map(|n| SIDES[(turn + n) % SIDES.len()]);
            let conv = Conv2d::new(kernel("sides"))
                .padding(padding)
                .border(Borders::sides(top, bottom, left, right));
            near(&name, Engine::auto().run(&conv, &x)?.iter(), want.iter(), 1e-14);
            for backend in main_engines() {
                let y = backend.engine.run(&conv, &x.mapv(|x| x as f32));
                near(&format!("{}: {name}", backend.name), y?.iter(), want.iter(), 1e-6);
                // In bands, for which rows and columns are continued on the host.
                let Some(gpu) = backend.engine.as_gpu() else { continue };
                let bands = gpu.with_cuts(Cuts { band_bytes: Some(768), ..Cuts::NONE });
                let y = Engine::from(bands).run(&conv, &x.mapv(|x| x as f32));
                near(&format!("bands: {name}"), y?.iter(), want.iter(), 1e-6);
            }
        }
    }
    Ok(())
}

#[test]
fn holes_as_astropy() -> Result<(), Error> {
    let (x, want): (Array2<f64>, Array2<f64>) = (read("holes_f64_input"), read("holes_f64_output"));
    assert!(want.iter().any(|y| y.is_nan()), "nothing is unknown");
    // It convolves, with the kernel turned.
    let conv = |name| Conv2d::new(kernel(name)).flip().skip_nan();
    near("f64", Engine::auto().run(&conv("holes_f64"), &x)?.iter(), want.iter(), 1e-14);
    let (x, want): (Array2<f32>, Array2<f32>) = (read("holes_f32_input"), read("holes_f32_output"));
    let want = want.mapv(f64::from);
    for backend in main_engines() {
        match backend.engine.run(&conv("holes_f32"), &x) {
            Err(Error::NotApplicable { .. }) => {}
            y => near(&backend.name, y?.iter(), want.iter(), 1e-6),
        }
    }
    Ok(())
}

#[test]
fn weights_as_two_correlations() -> Result<(), Error> {
    let (x, want): (Array3<f64>, Array3<f64>) = (read("weights_input"), read("weights_output"));
    let mask: Array2<f32> = read("weights_mask");
    let conv =
        Conv2d::like_scipy_correlate(kernel("weights")).border(Border::Replicate).normalized();
    near("weights", Engine::auto().run_masked(&conv, &x, &mask)?.iter(), want.iter(), 1e-13);
    Ok(())
}

#[test]
fn a_kernel_for_each_image_as_opencv() -> Result<(), Error> {
    let (x, want): (Array4<f32>, Array4<f32>) = (read("images_input"), read("images_output"));
    let weights: channelwise::ndarray::Array<f32, Ix3> = read("images_kernel");
    let kernels = Kernel::each(&weights.insert_axis(Axis(3)))?;
    let convs: Vec<Conv2d> = kernels
        .into_iter()
        .map(|kernel| Conv2d::like_opencv(kernel).border(Border::Replicate))
        .collect();
    let want: channelwise::ndarray::Array<f64, Ix4> = want.mapv(f64::from);
    for backend in main_engines() {
        match backend.engine.run_each(&convs, &x) {
            Err(Error::NotApplicable { .. }) => {}
            y => near(&backend.name, y?.iter(), want.iter(), 1e-6),
        }
    }
    Ok(())
}

#[test]
fn a_kernel_for_each_image_as_kornia() -> Result<(), Error> {
    let (x, want): (Array4<f64>, Array4<f64>) = (read("kornia_input"), read("kornia_output"));
    let weights: Array3<f64> = read("kornia_kernel");
    let convs: Vec<Conv2d> = weights
        .outer_iter()
        .map(|kernel| {
            let (h, w) = kernel.dim();
            let kernel = Kernel::from_f64(h, w, 1, kernel.iter().copied().collect())?;
            // Its even kernels stand where TensorFlow's do.
            Ok(Conv2d::new(kernel).padding(Padding::Same).border(Border::Reflect101))
        })
        .collect::<Result<_, Error>>()?;
    near("f64", Engine::auto().run_each(&convs, &x)?.iter(), want.iter(), 1e-14);
    for backend in main_engines() {
        match backend.engine.run_each(&convs, &x.mapv(|x| x as f32)) {
            Err(Error::NotApplicable { .. }) => {}
            y => near(&backend.name, y?.iter(), want.iter(), 1e-6),
        }
    }
    Ok(())
}
