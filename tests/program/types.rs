//! Every element type through files, and what is said where one cannot stay what it is.

use std::fs;

use channelwise::ndarray::{Array2, Array3, Array4, s};
use channelwise::{Activation, Conv2d, Element, ElementType, Kernel, f16};
use ndarray_npy::{ReadNpyExt, WritableElement};
use serde_json::Value;

use super::room::{RemoveAxis, Room, bytes, floats, picture};
use super::same;

const SAME: &str = "--kernel identity --engine cpu";

/// float16 and uint16 of NumPy, there and back; a half float's bits say what they are.
#[test]
fn sixteen_bits_of_numpy() {
    let room = Room::new();
    let x = Array3::from_shape_fn((5, 7, 2), |(r, q, c)| (r * 9001 + q * 517 + c * 40_000) as u16);
    room.save("x.npy", &x);
    room.run("run x.npy -o y.npy --kernel identity").ok();
    assert_eq!(room.load::<Array3<u16>>("y.npy"), x);

    room.run("run x.npy -o h.npy --kernel identity --out-type f16").ok();
    let halves = fs::read(room.at("h.npy")).unwrap();
    let header = String::from_utf8_lossy(&halves[..60]).into_owned();
    assert!(header.contains("'<f2'"), "{header}");
    let data = &halves[halves.len() - 2 * x.len()..];
    for (x, half) in x.iter().zip(data.chunks(2)) {
        assert_eq!(f16::from_le_bytes([half[0], half[1]]), f16::from_f32(f32::from(*x)));
    }
    let ran = room.run("run h.npy -o z.npy --kernel identity --out-type f32 --json --verify").ok();
    assert!(ran.out.contains("\"input_type\":\"f16\""), "{}", ran.out);
    let z: Array3<f32> = room.load("z.npy");
    assert_eq!(z, x.mapv(|x| f16::from_f32(f32::from(x)).to_f32()));
    // The same type again, unless told otherwise.
    room.run("run h.npy -o again.npy --kernel identity").ok();
    assert_eq!(fs::read(room.at("again.npy")).unwrap(), halves);
}

/// A pointwise step with more outputs than filters, folded into sums in f64 and a step of its own behind others.
#[test]
fn pointwise_steps_in_either_sum() {
    let room = Room::new();
    room.save("x.npy", &floats([1, 13, 11, 3]));
    room.save("p.npy", &Array2::from_shape_fn((1, 3), |(_, g)| g as f32 - 0.75));
    room.save("q.npy", &Array2::from_shape_fn((2, 9), |(f, g)| (f * 9 + g) as f32 / 4.0 - 2.0));
    let two = [Kernel::gaussian(5, 1.1).unwrap(), Kernel::log(5, 0.9).unwrap()];
    let bank = Kernel::stack(&two).unwrap();
    let bank = Array3::from_shape_vec((5, 5, 2), bank.weights().to_vec()).unwrap();
    room.save("two.npy", &bank);
    for (kernel, algorithms) in [
        ("--kernel box:9 --pointwise p.npy", &["auto", "direct", "separable"][..]),
        ("--kernel-file two.npy --pointwise q.npy", &["auto", "direct"]),
    ] {
        for algorithm in algorithms {
            for kind in ["f32", "f64", "i32"] {
                let how = format!("--out-type {kind} --algorithm {algorithm}");
                room.run(&format!("run x.npy -o y.npy {kernel} {how} --engine cpu --verify")).ok();
            }
        }
    }
}

/// `count` numbers from the least to the most of a type.
fn from_end_to_end<T: Element>(count: usize) -> impl Fn(usize) -> T {
    let (least, most) = match T::TYPE.integers() {
        Some(whole) => (*whole.start() as f64, *whole.end() as f64),
        None => (-1e30, 1e30),
    };
    move |k| T::from_f64(least + (most - least) * k as f64 / (count - 1) as f64)
}

/// There and back, and into the floats that hold it.
fn stays<T: Element + WritableElement>(room: &Room) {
    let value = from_end_to_end::<T>(5 * 7 * 2);
    let x = Array3::from_shape_fn((5, 7, 2), |(r, q, c)| value((r * 7 + q) * 2 + c));
    room.save("x.npy", &x);
    let ran = room.run(&format!("run x.npy -o y.npy {SAME} --verify --json")).ok();
    assert_eq!((room.npy("y.npy"), ran.err.as_str()), (room.npy("x.npy"), ""), "{}", T::TYPE);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    let name = T::TYPE.to_string();
    assert_eq!((&json["input_type"], &json["output_type"]), (&name[..].into(), &name[..].into()));
    room.run(&format!("run x.npy -o y.npy {SAME} --out-type f64 --verify")).ok();
    assert_eq!(room.load::<Array3<f64>>("y.npy"), x.mapv(T::to_f64), "{name}");
    room.run(&format!("run y.npy -o z.npy {SAME} --out-type {name} --verify")).ok();
    assert_eq!(room.npy("z.npy"), room.npy("x.npy"), "{name}");
    // By the reference too, which rounds once.
    room.run("run x.npy -o z.npy --kernel identity --engine reference --verify").ok();
    assert_eq!(room.npy("z.npy"), room.npy("x.npy"), "{name}");
}

#[test]
fn every_type_stays_what_it_is() {
    let room = Room::new();
    stays::<u8>(&room);
    stays::<i8>(&room);
    stays::<u16>(&room);
    stays::<i16>(&room);
    stays::<u32>(&room);
    stays::<i32>(&room);
    stays::<f32>(&room);
    stays::<f64>(&room);
    // Half floats, which `ndarray-npy` does not know, have a test of their own: all but they are here.
    assert_eq!(ElementType::ALL.len(), 8 + 1);
}

/// As the library does it, from each type into some other.
#[test]
fn from_type_to_type() {
    fn from<T: Element + WritableElement>(room: &Room)
    where
        Array4<T>: ReadNpyExt,
    {
        let value = from_end_to_end::<T>(256);
        let x = bytes([2, 9, 7, 3]).mapv(|v| value(v.into()));
        let conv = Conv2d::new(Kernel::gaussian(5, 1.2).unwrap()).bias_f64([0.3]);
        let args = "--kernel gaussian:5,1.2 --bias b.npy";
        room.save(
            "b.npy",
            &Array2::from_elem((1, 1), 0.3).remove_axis(channelwise::ndarray::Axis(0)),
        );
        same::<T, T>(room, args, &conv, &x);
        same::<T, i16>(room, &format!("{args} --out-type i16"), &conv, &x);
        same::<T, u32>(room, &format!("{args} --out-type u32"), &conv, &x);
        same::<T, f32>(room, &format!("{args} --out-type f32"), &conv, &x);
        same::<T, f64>(room, &format!("{args} --out-type f64"), &conv, &x);
    }
    let room = Room::new();
    from::<u8>(&room);
    from::<i8>(&room);
    from::<i16>(&room);
    from::<u32>(&room);
    from::<i32>(&room);
    from::<f64>(&room);
}

#[test]
fn fractions_make_floats() {
    let room = Room::new();
    let conv = || Conv2d::new(Kernel::identity()).activation(Activation::Tanh);
    let (x, args) = (bytes([1, 5, 6, 2]), "--kernel identity --activation tanh");
    same::<u8, f32>(&room, args, &conv(), &x);
    same::<i16, f32>(&room, args, &conv(), &x.mapv(i16::from));
    same::<u32, f64>(&room, args, &conv(), &x.mapv(u32::from));
    same::<f64, f64>(&room, args, &conv(), &x.mapv(f64::from));
    // Of pictures tiff holds them, and png does not.
    picture(&x.remove_axis_owned()).save(room.at("x.png")).unwrap();
    let ran =
        room.run(&format!("run x.png -o y.tif {args} --engine cpu --alpha filter --json")).ok();
    assert!(ran.out.contains("\"output_type\":\"f32\""), "{}", ran.out);
    room.run(&format!("run x.png -o y.png {args} --alpha filter")).failed(2, "must be a float");
}

/// What NumPy has and no engine.
#[test]
fn other_types_of_numpy() {
    let room = Room::new();
    let x = Array3::from_shape_fn((5, 7, 2), |(r, q, c)| (r * 90 + q * 10 + c * 2) as i64 - 101);
    let read = |note: &str| {
        let ran = room.run(&format!("run x.npy -o y.npy {SAME}")).ok();
        assert!(ran.err.contains(note), "{}", ran.err);
        room.load::<Array3<f64>>("y.npy")
    };
    room.save("x.npy", &x);
    let numbers = read("note: x.npy: its int64 (<i8) elements are taken as float64");
    assert_eq!(numbers, x.mapv(|v| v as f64));
    let wide = x.mapv(|v| v * 10_000_000_000_000_001);
    room.save("x.npy", &wide);
    let numbers = read("note: x.npy: its int64 (<i8) elements are rounded to float64");
    assert_eq!(numbers, wide.mapv(|v| v as f64));
    room.save("x.npy", &x.mapv(|v| (v + 101) as u64));
    read("uint64 (<u8) elements are taken as float64");

    let truth = x.mapv(|v| v > 0);
    room.save("x.npy", &truth);
    let ran = room.run(&format!("run x.npy -o y.npy {SAME}")).ok();
    assert!(ran.err.contains("its bool (|b1) elements are taken as bytes 0 and 1"), "{}", ran.err);
    assert_eq!(room.load::<Array3<u8>>("y.npy"), truth.mapv(u8::from));
    // And nothing but these.
    let mut broken = fs::read(room.at("x.npy")).unwrap();
    *broken.last_mut().unwrap() = 7;
    fs::write(room.at("x.npy"), broken).unwrap();
    room.run(&format!("run x.npy -o y.npy {SAME}")).failed(1, "cannot read x.npy");
}

/// Weights and biases are rounded only where sums are.
#[test]
fn digits_are_kept() {
    let room = Room::new();
    let x = floats([1, 6, 5, 2]).remove_axis_owned().mapv(f64::from);
    room.save("k.npy", &Array2::from_elem((1, 1), 0.1));
    room.save("b.npy", &channelwise::ndarray::arr1(&[0.2]));
    let run = |args: &str| room.run(&format!("run x.npy -o y.npy --kernel-file k.npy {args}")).ok();
    room.save("x.npy", &x);
    let ran = run("--engine cpu");
    assert_eq!((room.load::<Array3<f64>>("y.npy"), ran.err.as_str()), (x.mapv(|v| 0.1 * v), ""));
    run("--bias b.npy --engine reference");
    assert_eq!(room.load::<Array3<f64>>("y.npy"), x.mapv(|v| 0.1 * v + 0.2));
    let whole = x.mapv(|v| (v * 2e9) as i32);
    room.save("x.npy", &whole);
    run("--out-type f64");
    assert_eq!(room.load::<Array3<f64>>("y.npy"), whole.mapv(|v| 0.1 * f64::from(v)));
    let ran = run("--out-type f32");
    assert_eq!(ran.err, "");
    // Weights are told of only where that changes them.
    room.save("x.npy", &x.mapv(|v| v as f32));
    let ran = run("--engine cpu");
    let note = "note: k.npy: its float64 (<f8) elements are rounded to float32";
    assert!(ran.err.contains(note), "{}", ran.err);
    fs::copy(room.at("x.npy"), room.at("z.npy")).unwrap();
    let ran = room.run("run x.npy z.npy -o out/ --kernel-file k.npy --engine cpu").ok();
    assert_eq!(ran.err.matches("k.npy").count(), 1, "once for all: {}", ran.err);
    room.save("k.npy", &Array2::from_elem((1, 1), 0.5));
    assert_eq!(run("--engine cpu").err, "");
    // The numbers of this step are f32 everywhere.
    room.save("x.npy", &x);
    room.save("p.npy", &Array2::from_elem((1, 1), 0.1));
    let ran = run("--pointwise p.npy");
    assert!(ran.err.contains("note: p.npy: its float64 (<f8) elements are rounded"), "{}", ran.err);
}

#[test]
fn what_did_not_fit_is_counted_at_both_ends() {
    let room = Room::new();
    let x =
        Array3::from_shape_fn((1, 5, 1), |(_, q, _)| [-32_768i16, -20_000, 0, 20_000, 32_767][q]);
    room.save("x.npy", &x);
    room.save("k.npy", &Array2::from_elem((1, 1), 2.0f32));
    let run = |args: &str| room.run(&format!("run x.npy -o y.npy --kernel-file k.npy {args}")).ok();
    let ran = run("--json --engine cpu");
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    let want = serde_json::json!({
        "below": 2, "above": 2, "outputs": 5, "exact": true, "least": -32_768, "most": 32_767
    });
    assert_eq!(json["clipped"], want);
    assert_eq!(
        room.load::<Array3<i16>>("y.npy").as_slice(),
        Some(&[-32_768, -32_768, 0, 32_767, 32_767][..])
    );
    let ran = run("--engine cpu");
    assert!(ran.out.contains("2 below -32768, 2 above 32767); --out-type f32"), "{}", ran.out);
    let ran = run("--out-type u32");
    assert!(ran.out.contains("2 below 0, 0 above 4294967295); --out-type f64"), "{}", ran.out);
    let ran = run("--out-type i32");
    assert!(!ran.out.contains("clipped"), "{}", ran.out);
}

/// What pictures cannot hold is said, and what has no alpha and light.
#[test]
fn types_of_pictures() {
    let room = Room::new();
    let x = floats([1, 9, 7, 4]).mapv(|v| (v * 300.0) as i16);
    room.save("x.npy", &x);
    let ran = room.run("run x.npy -o y.png --kernel identity --engine cpu --json").ok();
    assert!(ran.err.contains("note: of images only .tiff holds i16"), "{}", ran.err);
    assert!(ran.out.contains("\"output_type\":\"u8\""), "{}", ran.out);
    let stored = image::open(room.at("y.png")).unwrap().into_rgba8().into_raw();
    assert_eq!(stored, x.iter().map(|v| (*v).clamp(0, 255) as u8).collect::<Vec<_>>());
    let ran = room.run("run x.npy -o y.png --kernel identity --out-type f64").ok();
    assert!(ran.err.contains("only .tiff and .exr hold floats"), "{}", ran.err);
    let ran = room.run("run x.npy -o y.exr --kernel identity --out-type f64").ok();
    assert!(ran.err.contains("an exr file holds f32 at most"), "{}", ran.err);
    for option in ["--alpha premultiply", "--alpha keep", "--linear-light --alpha filter"] {
        room.run(&format!("run x.npy -o y.npy --kernel identity {option}"))
            .failed(2, "these are i16");
    }
    // As alpha, by word.
    room.run("run x.npy -o y.tif --kernel identity --engine cpu --alpha filter").ok();
    let ran = room.run("run y.tif -o z.npy --kernel identity --engine cpu").ok();
    assert!(ran.err.contains("note: alpha of i16 is filtered like a colour"), "{}", ran.err);
    assert_eq!(room.load::<Array3<i16>>("z.npy"), x.slice(s![0, .., .., ..]));
    let ran = room.run("run y.tif -o z.npy --kernel identity --engine cpu --alpha filter").ok();
    assert_eq!(ran.err, "");
    room.run("run y.tif -o z.npy --kernel identity --alpha keep").failed(2, "these are i16");
}
