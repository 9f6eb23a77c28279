//! What is asked beyond one kernel on all of a tensor: borders by axis, regions, missing values, kernels by image.

use channelwise::ndarray::{Array2, Array3, Array4, Axis, concatenate, s};
use channelwise::{Border, Conv2d, Engine, Kernel};

use super::room::{Room, floats};
use super::same;

#[test]
fn borders_by_axis() {
    let room = Room::new();
    let x = floats([2, 9, 8, 3]);
    let new = || Conv2d::new(Kernel::gaussian(5, 1.2).unwrap());
    let conv = new().border((Border::Replicate, Border::Wrap));
    same::<f32, f32>(&room, "--kernel gaussian:5,1.2 --border replicate,wrap", &conv, &x);
    let conv = new().border((Border::Constant(0.5), Border::Reflect101));
    same::<f32, f32>(&room, "--kernel gaussian:5,1.2 --border constant:0.5,reflect101", &conv, &x);
    let args = "run x.npy --kernel box:3 --border constant:1,constant:2";
    room.run(args).failed(2, "one number");
    room.run("run x.npy --kernel box:3 --border wrap,").failed(2, "no such border");
}

#[test]
fn regions() {
    let room = Room::new();
    let x = floats([2, 20, 30, 3]);
    room.save("x.npy", &x);
    let conv = Conv2d::new(Kernel::gaussian(7, 1.5).unwrap()).border(Border::Wrap).stride(1, 2);
    let whole = Engine::cpu().run(&conv, &x).unwrap();
    for (rows, columns) in [(0..20, 0..15), (3..4, 2..9), (17..20, 0..1)] {
        for engine in ["cpu", "reference"] {
            let args = format!(
                "run x.npy --kernel gaussian:7,1.5 --border wrap --stride 1,2 -o y.npy --verify \
                 --engine {engine} --region {}:{},{}:{}",
                rows.start, rows.end, columns.start, columns.end
            );
            room.run(&args).ok();
            let y: Array4<f32> = room.load("y.npy");
            let want = whole.slice(s![.., rows.clone(), columns.clone(), ..]);
            assert_eq!(y.shape(), want.shape());
            let off = (&y - &want).mapv(f32::abs).fold(0.0f32, |a, b| a.max(*b));
            assert!(off < 1e-5 && (engine != "cpu" || off == 0.0), "{engine}: {off}");
        }
    }
    for (region, code, part) in [
        ("0:21,0:1", 2, "rows 0:21 are none of the output's 20"),
        ("5:5,0:1", 2, "rows 5:5"),
        ("0:1", 2, "R0:R1,C0:C1"),
    ] {
        room.run(&format!("run x.npy --kernel box:3 --region {region}")).failed(code, part);
    }
}

#[test]
fn missing_values() {
    let room = Room::new();
    let mut x = floats([1, 12, 10, 2]);
    x.iter_mut().step_by(7).for_each(|x| *x = f32::NAN);
    room.save("x.npy", &x);
    let conv = || Conv2d::new(Kernel::box_blur(3, 3).unwrap());
    let near = |want: &Array4<f32>| {
        let y: Array4<f32> = room.load("y.npy");
        let same = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5 || a.is_nan() && b.is_nan();
        assert!(y.dim() == want.dim() && y.iter().zip(want).all(same));
    };
    for engine in ["cpu", "reference"] {
        let run = |more: &str| {
            let args =
                format!("run x.npy --kernel box:3 -o y.npy --verify --engine {engine} {more}");
            room.run(&args).ok();
        };
        run("--skip-nan");
        near(&Engine::cpu().run(&conv().skip_nan(), &x).unwrap());
        let mut mask = Array2::<u8>::ones((12, 10));
        mask.slice_mut(s![3..9, 2..8]).fill(0);
        room.save("m.npy", &mask);
        run("--mask m.npy --skip-nan --no-data -7");
        let lacking = conv().skip_nan().no_data(-7.0);
        near(&Engine::cpu().run_masked(&lacking, &x, &mask).unwrap());
        let own = x.mapv(|x| if x.is_nan() { 0.0 } else { 0.5f32 });
        room.save("own.npy", &own);
        run("--mask own.npy");
        near(&Engine::cpu().run_masked(&conv().normalized(), &x, &own).unwrap());
        run("--skip-nan --region 2:6,1:9");
        let whole = Engine::cpu().run(&conv().skip_nan(), &x).unwrap();
        near(&whole.slice(s![.., 2..6, 1..9, ..]).to_owned());
    }
    room.save("bad.npy", &Array2::<u8>::ones((10, 12)));
    room.save("nan.npy", &Array2::from_elem((12, 10), f32::NAN));
    for (more, code, part) in [
        ("--mask bad.npy", 2, "its shape is [10, 12]"),
        ("--mask nan.npy", 2, "a weight is NaN"),
        ("--mask none.npy", 1, "none.npy"),
        ("--no-data 3", 2, "--no-data goes with"),
        ("--skip-nan --adjoint", 2, "cannot be used with"),
    ] {
        room.run(&format!("run x.npy --kernel box:3 {more}")).failed(code, part);
    }
}

#[test]
fn kernels_by_image() {
    let room = Room::new();
    let x = floats([3, 9, 11, 2]);
    room.save("x.npy", &x);
    let weights = Array3::from_shape_fn((3, 5, 3), |(n, i, j)| (n + 2 * i) as f64 / 7.0 - j as f64);
    room.save("k.npy", &weights);
    let kernels = Kernel::each(&weights.mapv(|w| w as f32).insert_axis(Axis(3))).unwrap();
    let convs: Vec<Conv2d> = kernels.into_iter().map(Conv2d::new).collect();
    let want = Engine::cpu().run_each(&convs, &x).unwrap();
    for engine in ["cpu", "reference"] {
        let args = format!("run x.npy --kernels k.npy -o y.npy --verify --engine {engine}");
        room.run(&args).ok();
        let y: Array4<f32> = room.load("y.npy");
        let size = want.mapv(f32::abs).fold(0.0f32, |a, b| a.max(*b));
        assert!(y.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5 * size), "{engine}");
    }
    let two = concatenate(Axis(0), &[x.view(), x.view()]).unwrap();
    room.save("two.npy", &two);
    room.run("run two.npy --kernels k.npy").failed(2, "one for each of 6 images");
    room.save("flat.npy", &Array2::<f32>::ones((3, 3)));
    room.run("run x.npy --kernels flat.npy").failed(2, "[N,kh,kw]");
    room.run("run x.npy --kernels k.npy --kernel box:3").failed(2, "cannot be used with");
}
