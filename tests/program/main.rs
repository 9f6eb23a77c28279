//! The `channelwise` program from outside: files, options, reports and failures.

mod batches;
mod damaged;
mod envi;
mod failures;
#[cfg(target_os = "linux")]
mod faults;
mod meta;
mod more;
mod options;
mod pixels;
mod random;
mod room;
mod streams;
mod tiff;
mod types;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use channelwise::ndarray::{Array, Array1, Array2, Array3, Array4, Ix2, Ix3, Ix4};
use channelwise::{
    Activation, Border, Conv2d, Element, Engine, Kernel, Layout, Padding, Pointwise,
};
use image::{ImageFormat, RgbImage};
use ndarray_npy::{ReadNpyExt, WritableElement};
use serde_json::Value;

use room::{RemoveAxis, Room, bytes, floats, picture};

fn blur() -> Conv2d {
    Conv2d::new(Kernel::gaussian(5, 1.2).unwrap()).border(Border::Reflect101)
}

const BLUR: &str = "--kernel gaussian:5,1.2 --border reflect101 --alpha filter --engine cpu";

/// As the library does it on a picture.
fn filtered(conv: &Conv2d, x: Array3<u8>) -> Array3<u8> {
    Engine::cpu().run(conv, &x).unwrap()
}

fn pixels(path: &Path) -> Array3<u8> {
    let image = image::open(path).unwrap();
    let shape =
        (image.height() as usize, image.width() as usize, image.color().channel_count() as usize);
    Array3::from_shape_vec(shape, image.into_bytes()).unwrap()
}

#[test]
fn images_in_and_out() {
    let room = Room::new();
    for (extension, format, channels) in [
        ("png", ImageFormat::Png, &[1, 2, 3, 4][..]),
        ("PNG", ImageFormat::Png, &[3]),
        ("webp", ImageFormat::WebP, &[3, 4]),
        ("bmp", ImageFormat::Bmp, &[3, 4]),
        ("jpg", ImageFormat::Jpeg, &[1, 3]),
        ("jpeg", ImageFormat::Jpeg, &[3]),
    ] {
        for &c in channels {
            let x = bytes([1, 11, 14, c]).remove_axis_owned();
            let (input, output) = (format!("in.{extension}"), format!("out.{extension}"));
            picture(&x).save_with_format(room.at(&input), format).unwrap();
            let decoded = pixels(&room.at(&input));
            let expected = filtered(&blur(), decoded);
            room.run(&format!("run {input} -o {output} {BLUR}")).ok();
            let got = pixels(&room.at(&output));
            assert_eq!(got.dim(), expected.dim(), "{extension} {c}");
            if format == ImageFormat::Jpeg {
                let off = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b));
                let mean = got.iter().zip(&expected).map(off).sum::<f64>() / got.len() as f64;
                assert!(mean < 6.0, "{extension} {c}: {mean}");
                room.run(&format!("run {input} -o out.npy {BLUR}")).ok();
                assert_eq!(room.load::<Array3<u8>>("out.npy"), expected);
            } else {
                assert_eq!(got, expected, "{extension} {c}");
            }
        }
    }
}

#[test]
fn sixteen_bits_and_orientation() {
    let room = Room::new();
    let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_fn(6, 4, |x, y| {
        image::Luma([(x * 9000 + y * 777) as u16])
    });
    deep.save(room.at("deep.png")).unwrap();
    let pixel = 5 * 9000 + 3 * 777;
    let ran = room.run("run deep.png -o y.npy --kernel identity --engine cpu --out-type u8").ok();
    assert!(ran.err.contains("note: deep.png has 16 bits"), "{}", ran.err);
    let y: Array3<u8> = room.load("y.npy");
    assert_eq!(y[[3, 5, 0]], (f64::from(pixel) / 257.0).round() as u8);
    // They stay 16 bits where they can.
    room.run("run deep.png -o y.npy --kernel identity --engine cpu").ok();
    let y: Array3<u16> = room.load("y.npy");
    assert_eq!(y[[3, 5, 0]], pixel as u16);
    for input in ["deep.png", "same.tif"] {
        let ran = room.run(&format!("run {input} -o same.png --kernel identity")).ok();
        assert!(!ran.err.contains("note"), "{}", ran.err);
        let back = image::open(room.at("same.png")).unwrap();
        assert_eq!(back, image::DynamicImage::ImageLuma16(deep.clone()), "{input}");
        room.run(&format!("run {input} -o same.tif --kernel identity")).ok();
    }
    let ran = room.run("run deep.png -o same.jpg --kernel identity").ok();
    assert!(ran.err.contains("note: deep.png has 16 bits"), "{}", ran.err);

    // A jpeg that says it was taken with the camera turned (6: a quarter to the right).
    RgbImage::from_fn(16, 8, |x, _| image::Rgb([x as u8 * 16; 3])).save(room.at("a.jpg")).unwrap();
    let plain = fs::read(room.at("a.jpg")).unwrap();
    let mut exif = b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([6, 0, 0, 0, 0, 0, 0, 0]);
    fs::write(room.at("turned.jpg"), [&plain[..2], &exif, &plain[2..]].concat()).unwrap();
    room.run("run turned.jpg -o t.npy --kernel identity --engine cpu").ok();
    let t: Array3<u8> = room.load("t.npy");
    assert_eq!(t.dim(), (16, 8, 3));
    assert!(t[[15, 4, 0]] > t[[0, 4, 0]] + 100);
}

/// Runs `args` on `x` and holds the result against the library's, element by element.
#[track_caller]
pub(crate) fn same<T: Element + WritableElement, U: Element>(
    room: &Room,
    args: &str,
    conv: &Conv2d,
    x: &Array4<T>,
) where
    Array4<U>: ReadNpyExt,
{
    room.save("x.npy", x);
    let engine = if args.contains("--engine") { "" } else { "--engine cpu" };
    room.run(&format!("run x.npy -o y.npy {args} {engine} --verify")).ok();
    let expected: Array4<U> = Engine::cpu().run_as(conv, x).unwrap();
    assert_eq!(room.load::<Array4<U>>("y.npy"), expected, "{args}");
}

#[test]
fn npy_axes_and_types() {
    let room = Room::new();
    let (x, b) = (floats([2, 9, 7, 3]), bytes([2, 9, 7, 3]));
    same::<f32, f32>(&room, BLUR, &blur(), &x);
    same::<u8, u8>(&room, BLUR, &blur(), &b);
    same::<u8, f32>(&room, &format!("{BLUR} --out-type f32"), &blur(), &b);
    same::<f32, u8>(&room, &format!("{BLUR} --out-type u8"), &blur(), &x.mapv(|v| v * 300.0));

    let hw: Array2<f32> = x.slice(channelwise::ndarray::s![0, .., .., 0]).to_owned();
    room.save("hw.npy", &hw);
    room.run(&format!("run hw.npy -o y.npy {BLUR}")).ok();
    let expected = Engine::cpu().run(&blur(), &hw).unwrap();
    assert_eq!(room.load::<Array<f32, Ix2>>("y.npy"), expected);
    // Fortran order holds the same elements.
    let mut turned = Array::zeros(channelwise::ndarray::ShapeBuilder::f((9, 7)));
    turned.assign(&hw);
    room.save("f.npy", &turned);
    assert!(fs::read(room.at("f.npy")).unwrap().windows(4).any(|w| w == b"True"));
    room.run(&format!("run f.npy -o y.npy {BLUR}")).ok();
    assert_eq!(room.load::<Array<f32, Ix2>>("y.npy"), expected);
    // Big-endian too.
    let little = fs::read(room.at("hw.npy")).unwrap();
    let (header, data) = little.split_at(little.len() - 9 * 7 * 4);
    let header = String::from_utf8_lossy(&header[10..]).replace("<f4", ">f4");
    let data: Vec<u8> = data.chunks(4).flat_map(|v| [v[3], v[2], v[1], v[0]]).collect();
    fs::write(room.at("big.npy"), [&little[..10], header.as_bytes(), &data].concat()).unwrap();
    room.run(&format!("run big.npy -o y.npy {BLUR}")).ok();
    assert_eq!(room.load::<Array<f32, Ix2>>("y.npy"), expected);

    // Several filters need an axis for their outputs.
    let bank = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()]).unwrap();
    let weights = Array3::from_shape_vec((3, 3, 2), bank.weights().to_vec()).unwrap();
    room.save("bank.npy", &weights);
    room.run("run hw.npy -o y.npy --kernel-file bank.npy --engine cpu").ok();
    let hw1 = hw.clone().into_shape_with_order((9, 7, 1)).unwrap();
    let expected = Engine::cpu().run(&Conv2d::new(bank.clone()), &hw1).unwrap();
    assert_eq!(room.load::<Array<f32, Ix3>>("y.npy"), expected);
    room.run("run hw.npy -o y.npy --kernel-file bank.npy --engine cpu --layout nchw").ok();
    assert_eq!(room.load::<Array<f32, Ix3>>("y.npy"), expected.permuted_axes([2, 0, 1]));
    same::<f32, f32>(&room, "--kernel-file bank.npy", &Conv2d::new(bank.clone()), &x);
    room.save("bank.npy", &weights.into_shape_with_order((3, 3, 1, 2)).unwrap());
    same::<f32, f32>(&room, "--kernel-file bank.npy", &Conv2d::new(bank), &x);

    // No images, no pixels to write.
    room.save("none.npy", &Array4::<f32>::zeros((0, 4, 5, 3)));
    room.run(&format!("run none.npy -o y.npy {BLUR} --verify")).ok();
    assert_eq!(room.load::<Array<f32, Ix4>>("y.npy").dim(), (0, 4, 5, 3));
}

#[test]
fn every_option() {
    let room = Room::new();
    let x = floats([2, 13, 11, 3]);
    let kernel = || Kernel::log(5, 0.9).unwrap();
    let new = || Conv2d::new(kernel());
    let explicit = Padding::Explicit { top: 1, bottom: 2, left: 3, right: 4 };
    for (args, conv) in [
        ("--stride 2", new().stride(2, 2)),
        ("--stride 2,3", new().stride(2, 3)),
        ("--dilation 2", new().dilation(2, 2)),
        ("--dilation 1,2", new().dilation(1, 2)),
        ("--padding same", new()),
        ("--padding valid", new().padding(Padding::Valid)),
        ("--padding full", new().padding(Padding::Full)),
        ("--padding 3", new().padding(Padding::all(3))),
        ("--padding 1,2,3,4", new().padding(explicit)),
        ("--anchor 0,4", new().anchor(0, 4)),
        ("--anchor 1", new().anchor(1, 1)),
        ("--flip", new().flip()),
        ("--border zero", new().border(Border::ZERO)),
        ("--border constant:-2.5", new().border(Border::Constant(-2.5))),
        ("--border replicate", new().border(Border::Replicate)),
        ("--border reflect", new().border(Border::Reflect)),
        ("--border reflect101", new().border(Border::Reflect101)),
        ("--border wrap", new().border(Border::Wrap)),
        ("--activation none", new()),
        ("--activation relu", new().activation(Activation::Relu)),
        ("--activation relu6", new().activation(Activation::Relu6)),
        ("--activation leaky", new().activation(Activation::Leaky(0.01))),
        ("--activation leaky:0.3", new().activation(Activation::Leaky(0.3))),
        ("--activation sigmoid", new().activation(Activation::Sigmoid)),
        ("--activation tanh", new().activation(Activation::Tanh)),
        ("--activation gelu", new().activation(Activation::Gelu)),
        ("--activation clamp:-0.5,0.25", new().activation(Activation::Clamp(-0.5, 0.25))),
        ("--layout nchw", new().layout(Layout::Nchw)),
        ("--algorithm direct", new()),
    ] {
        same::<f32, f32>(&room, &format!("--kernel log:5,0.9 {args}"), &conv, &x);
    }
    let twice = Kernel::new(1, 2, vec![3.0, 1.0]).unwrap();
    let bank = Kernel::stack(&[twice.clone(), twice.flipped()]).unwrap();
    room.save("k.npy", &Array3::from_shape_vec((1, 2, 2), bank.weights().to_vec()).unwrap());
    room.save("b.npy", &Array1::from(vec![0.5f32, -0.5]));
    room.save(
        "p.npy",
        &Array2::from_shape_vec((2, 3), vec![1.0f32, 0.0, 2.0, 0.0, 1.0, -1.0]).unwrap(),
    );
    let pointwise = Pointwise::new(2, 3, vec![1.0, 0.0, 2.0, 0.0, 1.0, -1.0]).unwrap();
    let new = || Conv2d::new(bank.clone());
    for (args, conv) in [
        ("--normalize", Conv2d::new(bank.normalized().unwrap())),
        ("--bias b.npy", new().bias([0.5, -0.5])),
        ("--pointwise p.npy", new().pointwise(pointwise.clone())),
        (
            "--bias b.npy --activation relu --pointwise p.npy",
            new().bias([0.5, -0.5]).activation(Activation::Relu).pointwise(pointwise),
        ),
    ] {
        same::<f32, f32>(&room, &format!("--kernel-file k.npy {args}"), &conv, &x);
    }
    // What makes fractions makes floats, unless a step follows.
    let b = bytes([1, 5, 6, 2]);
    let conv = Conv2d::new(Kernel::identity()).activation(Activation::Tanh);
    same::<u8, f32>(&room, "--kernel identity --activation tanh", &conv, &b);
}

#[test]
fn engines_and_reports() {
    let room = Room::new();
    let x = floats([1, 40, 60, 5]);
    room.save("x.npy", &x);
    for engine in ["auto", "cpu", "reference", "CPU"] {
        let ran = room.run(&format!(
            "run x.npy -o y.npy --kernel binomial:5 --engine {engine} --verify --json --explain"
        ));
        let ran = ran.ok();
        assert_eq!((ran.out.lines().count(), ran.out.ends_with('\n')), (1, true), "{}", ran.out);
        let json: Value = serde_json::from_str(&ran.out).unwrap();
        let name = json["engine"].as_str().unwrap();
        assert!(engine == "auto" || name == engine.to_lowercase(), "{json}");
        assert_eq!(json["adapter"].is_string(), name == "gpu", "{json}");
        assert!(json["algorithm"].is_string() && json["output"] == "y.npy", "{json}");
        assert_eq!(json["shapes"]["input"], serde_json::json!([1, 40, 60, 5]));
        assert_eq!(json["shapes"]["kernel"], serde_json::json!([5, 5, 1]));
        assert_eq!(json["shapes"]["output"], serde_json::json!([1, 40, 60, 5]));
        for part in ["plan", "upload", "compute", "download", "total"] {
            assert!(json["milliseconds"][part].as_f64().unwrap() >= 0.0, "{json}");
        }
        let verify = &json["verify"];
        assert_eq!(verify["passed"], true, "{json}");
        assert!(verify["checked"].as_u64().unwrap() >= 4096, "{json}");
        assert!(verify["worst"]["error"].as_f64() <= verify["worst"]["allowance"].as_f64());
        assert!(ran.err.contains("1x40x60x5"), "explained on stderr: {}", ran.err);
        let y: Array4<f32> = room.load("y.npy");
        let conv = Conv2d::new(Kernel::binomial(5).unwrap());
        let close = Engine::cpu().run(&conv, &x).unwrap();
        assert!(y.iter().zip(&close).all(|(a, b)| (a - b).abs() < 1e-5), "{engine}");
    }
    let ran = room.run("run x.npy --kernel sobel-x --engine cpu --json").ok();
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(json["verify"].is_null() && json["output"].is_null(), "{json}");
    assert_eq!(ran.err, "");

    let ran = room.run("run x.npy --kernel sobel-x --engine cpu --explain --verify").ok();
    let explained = ran.out.find("direct on the cpu").unwrap();
    assert!(explained < ran.out.find("\nengine     cpu:").unwrap(), "{}", ran.out);
    assert!(ran.out.contains("\nverify     passed:"), "{}", ran.out);
    assert_eq!(ran.err, "");
    assert_eq!(room.names(), ["x.npy", "y.npy"]);
}

#[test]
fn on_a_gpu() {
    let room = Room::new();
    room.save("x.npy", &bytes([2, 33, 47, 3]));
    let ran = room.run("run x.npy -o y.npy --kernel gaussian:7,2 --engine gpu --verify --json");
    if ran.code == 1 && ran.err.contains("no GPU adapter") {
        assert_ne!(
            std::env::var("CHANNELWISE_REQUIRE_GPU").as_deref(),
            Ok("1"),
            "a GPU is required: {}",
            ran.err
        );
        ran.failed(1, "no GPU adapter");
        println!("skipped: {}", ran.err);
        return;
    }
    let ran = ran.ok();
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&json["engine"], &json["verify"]["passed"]), (&"gpu".into(), &true.into()));
    assert!(json["adapter"].is_string(), "{json}");
    room.run("run x.npy --kernel gaussian:7,2 --engine gpu --algorithm direct --verify").ok();
    let ran = room.run("info").ok();
    for part in ["back end", "driver", "max_storage_buffer_binding_size", "features"] {
        assert!(ran.out.contains(part), "{part} is not in {}", ran.out);
    }
}

#[test]
fn without_an_adapter() {
    let room = Room::new();
    room.save("x.npy", &floats([1, 4, 4, 1]));
    // A name that no adapter has.
    let none = [("WGPU_ADAPTER_NAME", "no such adapter")];
    room.run_with("run x.npy --kernel sharpen --engine gpu", &none).failed(1, "no GPU adapter for");
    let ran = room.run_with("run x.npy --kernel sharpen", &none).ok();
    assert!(ran.out.contains("engine     cpu:"), "{}", ran.out);
    let ran = room.run_with("info", &none).ok();
    assert!(ran.out.contains("engine auto holds cpu:") && ran.out.contains("none: no GPU"));
}

#[test]
fn listings() {
    let room = Room::new();
    let ran = room.run("info").ok();
    for part in ["engine auto holds", "SIMD level", "threads", "Adapters", "--engine gpu"] {
        assert!(ran.out.contains(part), "{part} is not in {}", ran.out);
    }
    let ran = room.run("kernels").ok();
    for part in ["gaussian:[SIZE],[SIGMA]", "motion:LENGTH,[ANGLE=0]", "sobel-x: 3x3, rank 1", "+9"]
    {
        assert!(ran.out.contains(part), "{part} is not in {}", ran.out);
    }
    assert!(!ran.out.contains('\x1b') && ran.err.is_empty());
    for name in "gaussian box binomial sobel-x sobel-y scharr-x scharr-y prewitt-x prewitt-y \
                 laplacian laplacian8 log sharpen unsharp emboss motion disk gabor identity"
        .split_whitespace()
    {
        let listed = |l: &str| l == name || l.starts_with(&format!("{name}:"));
        assert!(ran.out.lines().any(listed), "{name} is not listed");
    }
    for args in ["--help", "run --help", "help run"] {
        let ran = room.run(args).ok();
        assert!(ran.out.matches("    channelwise run ").count() == 4 && ran.err.is_empty());
    }
    assert!(room.run("--version").ok().out.starts_with("channelwise "));
}

#[test]
fn nobody_reads_on() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_channelwise"))
        .arg("kernels")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[cfg(unix)]
#[test]
fn files_are_replaced_properly() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let room = Room::new();
    room.save("x.npy", &floats([1, 6, 5, 3]));
    let mode = |name: &str| fs::metadata(room.at(name)).unwrap().permissions().mode() & 0o777;
    let run = |output: &str| room.run(&format!("run x.npy -o {output} {BLUR}")).ok();
    // As any new file.
    fs::write(room.at("usual"), "").unwrap();
    run("new.npy");
    assert_eq!(mode("new.npy"), mode("usual"));
    // What was there keeps its mode, and a link stays a link.
    fs::write(room.at("old.npy"), "").unwrap();
    fs::set_permissions(room.at("old.npy"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("old.npy", room.at("link.npy")).unwrap();
    run("link.npy");
    assert_eq!(mode("old.npy"), 0o640);
    assert!(room.at("link.npy").is_symlink());
    assert_eq!(fs::read(room.at("old.npy")).unwrap(), fs::read(room.at("new.npy")).unwrap());
    // In place.
    run("x.npy");
    assert_eq!(fs::read(room.at("x.npy")).unwrap(), fs::read(room.at("new.npy")).unwrap());
    assert_eq!(room.names(), ["link.npy", "new.npy", "old.npy", "usual", "x.npy"]);
}
