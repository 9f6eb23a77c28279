//! Options that are numbers: bias, scale, the adjoint, axes of a Gaussian.

use channelwise::ndarray::{Array2, Array3, Array4, arr1};
use channelwise::{Border, Conv2d, Kernel, Padding};
use serde_json::Value;

use super::room::{Room, bytes, floats};
use super::same;

#[test]
fn bias_in_numbers() {
    let room = Room::new();
    let x = floats([2, 6, 5, 3]);
    let new = || Conv2d::new(Kernel::sharpen());
    same::<f32, f32>(&room, "--kernel sharpen --bias 0.25", &new().bias([0.25]), &x);
    same::<f32, f32>(&room, "--kernel sharpen --bias -1e-1", &new().bias([-0.1]), &x);
    same::<f32, f32>(&room, "--bias=-2 --kernel sharpen", &new().bias([-2.0]), &x);
    // All digits, where they count.
    let wide = x.mapv(f64::from);
    same::<f64, f64>(&room, "--kernel sharpen --bias 0.1", &new().bias_f64([0.1]), &wide);
    // One for each filter, or one for all.
    let bank = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()]).unwrap();
    room.save("k.npy", &Array3::from_shape_vec((3, 3, 2), bank.weights().to_vec()).unwrap());
    let new = || Conv2d::new(bank.clone());
    let with = |bias: &str| format!("--kernel-file k.npy --bias {bias}");
    same::<f32, f32>(&room, &with("-0.5,2"), &new().bias([-0.5, 2.0]), &x);
    same::<f32, f32>(&room, &with("3"), &new().bias([3.0, 3.0]), &x);
    // What looks like numbers and is a file.
    room.save("7", &arr1(&[0.5, 1.5]));
    same::<f32, f32>(&room, &with("./7"), &new().bias([0.5, 1.5]), &x);
    for (bias, code, part) in [
        ("1,2,3", 2, "bias: expected shape [2], found [3]"),
        ("--flip", 2, "numbers, as in 0.5 and 1,-2, or a .npy file"),
        ("-1,x", 2, "numbers, as in 0.5"),
        ("1,x", 1, "cannot read 1,x"),
    ] {
        room.run(&format!("run x.npy {}", with(bias))).failed(code, part);
    }
}

#[test]
fn weights_times_a_number() {
    let room = Room::new();
    let x = floats([1, 12, 11, 2]);
    let scaled =
        |by: f64, kernel: Kernel| Conv2d::new(Kernel::weighted_sum(&[(by, kernel)]).unwrap());
    let conv = scaled(-0.5, Kernel::gaussian(5, 1.2).unwrap());
    same::<f32, f32>(&room, "--kernel gaussian:5,1.2 --scale -0.5", &conv, &x);
    let conv = scaled(-1e-3, Kernel::sharpen());
    same::<f32, f32>(&room, "--scale -1e-3 --kernel sharpen", &conv, &x);
    let conv = scaled(8.0, Kernel::box_blur(3, 3).unwrap().normalized().unwrap());
    same::<f32, f32>(&room, "--scale 8 --normalize --kernel box:3", &conv, &x);
    // Of 0.1 f64 keeps the digits.
    let conv = scaled(0.1, Kernel::identity());
    let wide = x.mapv(f64::from);
    same::<f64, f64>(&room, "--kernel identity --scale 0.1", &conv, &wide);
    assert_eq!(room.load::<Array4<f64>>("y.npy"), wide.mapv(|v| 0.1 * v));
    // Column and row are still known.
    room.save("x.npy", &x);
    let args = "run x.npy --kernel gaussian:31,5 --engine cpu --algorithm separable --scale 3";
    room.run(args).ok();
    for (scale, part) in [("nan", "factor of a kernel: NaN"), ("x", "'x'"), ("", "'--scale")] {
        room.run(&format!("run x.npy --kernel box:3 --scale {scale}")).failed(2, part);
    }
}

#[test]
fn adjoints() {
    let room = Room::new();
    let x = floats([2, 9, 8, 4]);
    let blur = || Conv2d::new(Kernel::gaussian(5, 1.2).unwrap()).border(Border::Reflect101);
    let blurs = "--kernel gaussian:5,1.2 --border reflect101";
    let bank = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()]).unwrap();
    room.save("k.npy", &Array3::from_shape_vec((3, 3, 2), bank.weights().to_vec()).unwrap());
    let up = || blur().stride(2, 2).adjoint();
    for (args, conv) in [
        (blurs.to_string(), blur().adjoint()),
        (format!("{blurs} --stride 2"), up()),
        (format!("{blurs} --stride 2 --padding valid"), up().padding(Padding::Valid)),
        ("--kernel-file k.npy".into(), Conv2d::new(bank).adjoint()),
    ] {
        same::<f32, f32>(&room, &format!("{args} --adjoint"), &conv, &x);
        same::<f64, f64>(&room, &format!("--adjoint {args}"), &conv, &x.mapv(f64::from));
    }
    // Of a size, with and without a file behind it.
    let conv = up().adjoint_size(17, 16);
    same::<f32, f32>(&room, &format!("{blurs} --stride 2 --adjoint=17,16"), &conv, &x);
    room.run(&format!("run --adjoint x.npy -o z.npy {blurs} --engine reference")).ok();
    let (exact, shape) = (room.load::<Array4<f32>>("z.npy"), x.dim());
    assert_eq!(exact.dim(), shape);

    // Integers, by kernels whose sums are exact.
    let conv = Conv2d::new(Kernel::binomial(3).unwrap()).stride(2, 1).adjoint();
    let args = "--kernel binomial:3 --stride 2,1 --adjoint";
    let b = bytes([1, 6, 5, 3]);
    same::<u8, u8>(&room, args, &conv, &b);
    same::<i32, i16>(&room, &format!("{args} --out-type i16"), &conv, &b.mapv(i32::from));

    // What did not fit is counted, as ever.
    room.save("x.npy", &b);
    let count = |extra: &str| -> Value {
        let ran = room.run(&format!("run x.npy --kernel sobel-x {extra} --engine cpu --json")).ok();
        serde_json::from_str(&ran.out).unwrap()
    };
    let (there, back) = (count("--flip"), count("--adjoint"));
    assert_eq!(there["clipped"], back["clipped"]);
    assert!(back["clipped"]["below"].as_u64() > Some(10), "{back}");
    assert_eq!(back["output_type"], "u8");
}

#[test]
fn adjoints_that_are_none() {
    let room = Room::new();
    room.save("x.npy", &floats([1, 9, 8, 3]));
    room.save("k.npy", &Array3::<f32>::ones((3, 3, 2)));
    for (args, part) in [
        ("--kernel box:3 --adjoint=17,16", "input of the adjoint: expected shape"),
        ("--kernel box:3 --adjoint --activation relu", "only what is linear has an adjoint"),
        ("--kernel box:3 --adjoint --bias 1", "cannot be used with"),
        ("--kernel box:3 --adjoint=x", "'x'"),
        ("--kernel box:3 --adjoint=1,2,3", "one number for both axes or two"),
        ("--kernel-file k.npy --adjoint", "channels of the adjoint's input: 3"),
    ] {
        room.run(&format!("run x.npy {args}")).failed(2, part);
    }
    // Alpha of which pixel?
    room.save("x.npy", &bytes([1, 9, 8, 4]));
    room.run("run x.npy -o y.tif --kernel identity --alpha filter").ok();
    room.run("run y.tif --kernel box:3 --adjoint --alpha keep").failed(2, "--alpha: pixels of the");
    room.run("run y.tif --kernel box:3 --adjoint --verify").ok();
    room.run("run y.tif --kernel laplacian --adjoint --verify").ok();
}

#[test]
fn gaussians_of_two_axes() {
    let room = Room::new();
    let mut x = Array2::<f64>::zeros((21, 33));
    x[[10, 16]] = 1.0;
    room.save("x.npy", &x);
    let run = |kernel: &str| {
        room.run(&format!("run x.npy -o y.npy --kernel {kernel} --verify")).ok();
        room.load::<Array2<f64>>("y.npy")
    };
    let y = run("gaussian:sigma=1x2.5");
    assert!((y.sum() - 1.0).abs() < 1e-12);
    let spread = |of: &dyn Fn((usize, usize)) -> f64| -> f64 {
        y.indexed_iter().map(|(at, v)| v * of(at) * of(at)).sum()
    };
    let rows = spread(&|(row, _)| row as f64 - 10.0).sqrt();
    let columns = spread(&|(_, column)| column as f64 - 16.0).sqrt();
    assert!((rows - 1.0).abs() < 0.01 && (columns - 2.5).abs() < 0.02, "{rows} {columns}");
    let kernel = run("gaussian:5x9,1x2.5");
    assert_eq!(kernel.iter().filter(|v| **v > 0.0).count(), 45);
    room.run("run x.npy --kernel gaussian:5x9").failed(2, "needs a sigma, as in gaussian:5x9,1.2");
}
