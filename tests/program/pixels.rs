//! What becomes of colours, alpha and edges of pictures, and what is said of results that did not fit.

use channelwise::color::AlphaMode;
use channelwise::image::ImageOptions;
use channelwise::ndarray::{Array3, Array4, s};
use channelwise::{Border, Conv2d, Engine, Kernel};
use image::DynamicImage;
use serde_json::Value;

use super::room::{RemoveAxis, Room, bytes, floats, folder, picture};

/// A room with pictures of 1 to 4 channels, `x1.png` to `x4.png`.
fn pictures() -> (Room, Vec<DynamicImage>) {
    let room = Room::new();
    let pictures: Vec<DynamicImage> = (1..5)
        .map(|channels| {
            let mut x = bytes([1, 17, 14, channels]).remove_axis_owned();
            if channels % 2 == 0 {
                // Opaque and clear parts, and some between.
                x.slice_mut(s![..6, .., channels - 1]).fill(255);
                x.slice_mut(s![6..12, .., channels - 1]).fill(0);
            }
            picture(&x)
        })
        .collect();
    for (channels, picture) in (1..).zip(&pictures) {
        picture.save(room.at(&format!("x{channels}.png"))).unwrap();
    }
    (room, pictures)
}

/// The same picture, up to the one rounding on the way to light and back.
#[track_caller]
fn same(got: &DynamicImage, want: &DynamicImage, what: &str) {
    assert_eq!(got.color(), want.color(), "{what}");
    let off = got.as_bytes().iter().zip(want.as_bytes()).map(|(a, b)| a.abs_diff(*b));
    let off: Vec<u8> = off.collect();
    let (worst, count) = (off.iter().max().unwrap(), off.iter().filter(|off| **off > 0).count());
    assert!(
        *worst <= 1 && count <= off.len() / 50,
        "{what}: {count} of {} off by {worst}",
        off.len()
    );
}

/// As `Engine::run_image` does it, with every option of pixels.
#[test]
fn alpha_and_light() {
    let (room, pictures) = pictures();
    let conv = |kernel: Kernel| Conv2d::new(kernel).border(Border::Reflect101);
    let blur = || conv(Kernel::gaussian(5, 1.2).unwrap());
    for (kernel, conv) in [
        ("gaussian:5,1.2", blur()),
        ("gaussian:5,1.2 --stride 2,3", blur().stride(2, 3)),
        ("gaussian:5,1.2 --border constant:0", blur().border(Border::ZERO)),
        ("gaussian:4,1 --dilation 3,2", conv(Kernel::gaussian(4, 1.0).unwrap()).dilation(3, 2)),
        ("laplacian8", conv(Kernel::laplacian8())),
    ] {
        for (alpha, mode) in [
            ("--alpha filter", AlphaMode::Filter),
            ("--alpha keep", AlphaMode::Keep),
            ("--alpha premultiply", AlphaMode::Premultiply),
            // A sum of 0 would leave nothing of alpha.
            ("", if kernel == "laplacian8" { AlphaMode::Keep } else { AlphaMode::Premultiply }),
        ] {
            for (light, linear) in [("", false), ("--linear-light", true)] {
                for (channels, picture) in (1..).zip(&pictures) {
                    let what = format!("x{channels}.png --kernel {kernel} {alpha} {light}");
                    room.run(&format!("run {what} -o y.png --engine cpu --verify")).ok();
                    let options = ImageOptions::new().alpha(mode).linear_light(linear);
                    let want = Engine::cpu().run_image(&conv, picture, &options).unwrap();
                    same(&image::open(room.at("y.png")).unwrap(), &want, &what);
                }
            }
        }
    }
}

/// Colours that nobody sees do not bleed, in arrays either where that is asked for; nor are they lost.
#[test]
fn alpha_of_arrays() {
    let room = Room::new();
    let mut x = Array3::from_elem((5, 5, 4), 0.0f32);
    x.slice_mut(s![.., .., 1]).fill(1.0);
    x[[2, 2, 0]] = 1.0;
    x[[2, 2, 1]] = 0.0;
    x[[2, 2, 3]] = 1.0;
    room.save("x.npy", &x);
    let blur = "run x.npy -o y.npy --kernel box:3 --engine cpu";
    room.run(&format!("{blur} --alpha premultiply")).ok();
    let y: Array3<f32> = room.load("y.npy");
    assert_eq!(y.slice(s![1, 1, ..3]).to_vec(), [1.0, 0.0, 0.0]);
    assert!((y[[1, 1, 3]] - 1.0 / 9.0).abs() < 1e-6);
    room.run(blur).ok();
    let y: Array3<f32> = room.load("y.npy");
    assert!(y[[1, 1, 1]] > 0.8, "as any other channel");
}

#[test]
fn edges_of_pictures_are_mirrored() {
    let (room, pictures) = pictures();
    let ran = room.run("run x3.png -o y.png --kernel gaussian:5,1.2 --engine cpu").ok();
    assert!(ran.out.contains("\nborder     reflect101\n"), "{}", ran.out);
    let conv = Conv2d::new(Kernel::gaussian(5, 1.2).unwrap());
    let mirrored = conv.clone().border(Border::Reflect101);
    let want = Engine::cpu().run_image(&mirrored, &pictures[2], &ImageOptions::new()).unwrap();
    assert_eq!(image::open(room.at("y.png")).unwrap(), want);
    room.run("run x3.png -o y.png --kernel gaussian:5,1.2 --engine cpu --border zero").ok();
    let want = Engine::cpu().run_image(&conv, &pictures[2], &ImageOptions::new()).unwrap();
    assert_eq!(image::open(room.at("y.png")).unwrap(), want);

    let x = floats([1, 9, 8, 3]);
    room.save("x.npy", &x);
    let ran = room.run("run x.npy -o y.npy --kernel gaussian:5,1.2 --engine cpu --json").ok();
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["border"], "zero", "{json}");
    assert_eq!(room.load::<Array4<f32>>("y.npy"), Engine::cpu().run(&conv, &x).unwrap());
}

#[test]
fn what_did_not_fit_is_told() {
    let (room, _) = pictures();
    let json = |args: &str| -> Value {
        let ran = room.run(&format!("run {args} --engine cpu --json")).ok();
        serde_json::from_str(&ran.out).unwrap()
    };
    room.run("run x3.png -o y.npy --kernel sobel-x --engine cpu --out-type f32").ok();
    let y: Array3<f32> = room.load("y.npy");
    let below = y.iter().filter(|v| **v < -0.5).count();
    let above = y.iter().filter(|v| **v > 255.5).count();
    for light in ["", "--alpha keep"] {
        let clipped = &json(&format!("x3.png -o y.png --kernel sobel-x {light}"))["clipped"];
        assert_eq!((&clipped["below"], &clipped["above"]), (&below.into(), &above.into()));
        assert_eq!((&clipped["outputs"], &clipped["exact"]), (&y.len().into(), &true.into()));
    }
    let clipped = &json("x4.png -o y.png --kernel sobel-x")["clipped"];
    assert!(clipped["below"].as_u64() > Some(50), "{clipped}");
    assert!(json("x3.png -o y.png --kernel box:3")["clipped"].is_null());
    assert!(json("x3.png -o y.npy --kernel sobel-x --out-type f32")["clipped"].is_null());
    let ran = room.run("run x3.png -o y.png --kernel sobel-x --engine cpu").ok();
    assert!(ran.out.contains(&format!("{below} below 0, {above} above 255")), "{}", ran.out);
    assert!(ran.out.contains("--out-type f32"), "{}", ran.out);

    // Floats of 0 to 1, as most of Python has them.
    room.save("f.npy", &floats([1, 9, 8, 3]).mapv(f32::abs));
    let ran = room.run("run f.npy -o y.png --kernel box:3 --engine cpu").ok();
    assert!(ran.err.contains("floats of 0 to 1 were rounded to 0 and 1"), "{}", ran.err);
    let ran = room.run("run f.npy -o y.tif --kernel box:3 --engine cpu").ok();
    assert_eq!(ran.err, "");
}

#[test]
fn planes_that_look_like_rows_are_told() {
    let room = Room::new();
    room.save("x.npy", &floats([2, 3, 40, 50]));
    let run = |args: &str| room.run(&format!("run x.npy --kernel box:3 --engine cpu {args}")).ok();
    assert!(run("").err.contains("[2, 3, 40, 50] look like channels first: see --layout nchw"));
    assert_eq!(run("--layout nchw").err, "");
    room.save("x.npy", &floats([2, 30, 40, 3]));
    assert_eq!(run("").err, "");
}

/// OpenEXR: floats as they are, and alpha as it has it, multiplied into colours.
#[test]
fn floats_in_pictures() {
    let room = Room::new();
    for channels in [3, 4] {
        let mut x = floats([1, 9, 8, channels]).remove_axis_owned().mapv(|v| v * 40.0);
        if channels == 4 {
            // Halves are exact.
            x.slice_mut(s![.., .., 3]).mapv_inplace(|v| if v > 0.0 { 0.5 } else { 1.0 });
        }
        room.save("x.npy", &x);
        room.run("run x.npy -o y.exr --kernel identity --engine cpu").ok();
        let stored = match image::open(room.at("y.exr")).unwrap() {
            DynamicImage::ImageRgb32F(y) => y.into_raw(),
            DynamicImage::ImageRgba32F(y) => y.into_raw(),
            other => panic!("{:?}", other.color()),
        };
        for (stored, pixel) in stored.chunks(channels).zip(x.rows()) {
            let alpha = if channels == 4 { pixel[3] } else { 1.0 };
            let want: Vec<f32> = pixel.iter().take(3).map(|v| v * alpha).collect();
            assert_eq!(stored[..3], want);
        }
        room.run("run y.exr -o z.npy --kernel identity --engine cpu --alpha filter").ok();
        assert_eq!(room.load::<Array3<f32>>("z.npy"), x);
    }
    // A file of OpenEXR's own library, of halves.
    for name in ["halves.exr", "halves-exr.npy", "depth.exr"] {
        std::fs::copy(folder().join(name), room.at(name)).unwrap();
    }
    room.run("run halves.exr -o z.npy --kernel identity --engine cpu --alpha filter").ok();
    assert_eq!(room.npy("z.npy"), room.npy("halves-exr.npy"));
    let ran = room.run("run depth.exr -o z.npy --kernel identity --engine cpu").ok();
    assert!(ran.err.contains("note: depth.exr: its channels Z are left out"), "{}", ran.err);

    room.save("x.npy", &floats([1, 9, 8, 1]));
    room.run("run x.npy -o y.exr --kernel box:3").failed(2, "1 channels and exr files hold 3, 4");
    room.save("x.npy", &bytes([1, 9, 8, 3]));
    room.run("run x.npy -o y.exr --kernel box:3").failed(2, "an exr file holds floats");
    room.run("run x.npy -o y.exr --kernel box:3 --out-type f32 --engine cpu").ok();
}
