//! TIFF files of other writers, each beside what must be read from it (`files/make.py` made both), and ours.

use std::collections::HashSet;
use std::fs;

use channelwise::f16;
use channelwise::ndarray::{Array3, Array4, s};
use ndarray_npy::WritableElement;

use super::room::{Room, floats, folder};

/// The names of all whose name begins so.
fn files(keep: impl Fn(&str) -> bool) -> Vec<String> {
    let names = fs::read_dir(folder()).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<_> = names
        .filter_map(|name| Some(name.to_str()?.strip_suffix(".tif")?.to_string()))
        .filter(|name| keep(name))
        .collect();
    names.sort();
    names
}

/// A room with this file as `x.tif` and what is expected as `want.npy`.
fn room_with(name: &str) -> Room {
    let room = Room::new();
    fs::copy(folder().join(format!("{name}.tif")), room.at("x.tif")).unwrap();
    let want = folder().join(format!("{name}.npy"));
    if want.exists() {
        fs::copy(want, room.at("want.npy")).unwrap();
    }
    room
}

const READ: &str = "run x.tif -o y.npy --kernel identity --alpha filter --engine cpu";

#[test]
fn every_kind_is_read() {
    let names = files(|name| !name.starts_with("no-"));
    assert!(names.len() > 90, "{names:?}");
    for name in names {
        let room = room_with(&name);
        let ran = room.run(READ).ok();
        let (got, want) =
            (fs::read(room.at("y.npy")).unwrap(), fs::read(room.at("want.npy")).unwrap());
        if !name.starts_with("jpeg") {
            // Types, shapes and elements: both files have the shortest headers there are.
            let same = room.npy("y.npy") == room.npy("want.npy");
            assert!(same, "{name}: {} bytes for {}", got.len(), want.len());
        } else {
            // Decoders round in their own ways.
            let [got, want] = ["y.npy", "want.npy"].map(|name| room.load::<Array3<u8>>(name));
            assert_eq!(got.dim(), want.dim(), "{name}");
            assert!(got.iter().zip(&want).all(|(a, b)| a.abs_diff(*b) <= 2), "{name}");
        }
        // Notes are for what is no longer as it was.
        let odd = ["i8", "u8", "cmyk", "packed-1", "page-before", "pages", "premultiplied"];
        let told = odd.iter().any(|odd| name.starts_with(odd));
        assert_eq!(ran.err.contains("note: x.tif: "), told, "{name}: {}", ran.err);
    }
}

/// Part by part the same, into any kind of file; but for what is stored turned.
#[test]
fn every_kind_goes_part_by_part() {
    let (mut turned, mut tiled) = (0, 0);
    for name in files(|name| !name.starts_with("no-")) {
        let room = room_with(&name);
        let options = "--kernel gaussian:5,1 --alpha filter --engine cpu";
        for pages in ["first", "all"] {
            let whole = room.run(&format!("run x.tif -o want.npy {options} --pages {pages}"));
            if whole.code == 1 && pages == "all" {
                whole.failed(1, "cannot read x.tif");
                continue;
            }
            let whole = whole.ok();
            let part = format!("run x.tif {options} --pages {pages} --memory 90M -o");
            let ran = room.run(&format!("{part} y.npy"));
            if ran.code == 1 {
                ran.failed(1, "it is stored turned");
                turned += 1;
                continue;
            }
            let ran = ran.ok();
            assert!(ran.out.contains("within 90 MiB"), "{name}: {}", ran.out);
            assert_eq!(ran.err.contains("note: x.tif: "), whole.err.contains("note: x.tif: "));
            assert!(room.npy("y.npy") == room.npy("want.npy"), "{name}, {pages}");
            let as_image = format!("--pages {pages} --alpha filter");
            for (to, how) in [("y.tif", &as_image[..]), ("y.zarr", "")] {
                room.run(&format!("{part} {to}")).ok();
                room.run(&format!("run {to} {how} --kernel identity --engine cpu -o z.npy")).ok();
                assert!(room.npy("z.npy") == room.npy("want.npy"), "{name}, {pages}: {to}");
            }
            tiled += usize::from(name.contains("tiles"));
        }
    }
    assert!(turned > 3 && tiled > 3, "{turned} {tiled}");
}

#[test]
fn what_is_not_supported_is_named() {
    let reasons = [
        ("no-batch", "its pages differ: the first is 23x19x3 uint8, and page 2 is 23x19x1 uint8"),
        ("no-complex", "complex numbers"),
        ("no-jpegxl", "its compression, JPEG XL"),
        ("no-lab", "CIE Lab (8)"),
        ("no-lerc", "LERC (34887)"),
        ("no-lzma", "LZMA (34925)"),
        ("no-mosaic", "a mosaic of a camera's sensor"),
        ("no-reversed-bits", "FillOrder 2"),
        ("no-zstd", "Zstandard (50000)"),
    ];
    assert_eq!(files(|name| name.starts_with("no-")), reasons.map(|(name, _)| name));
    for (name, part) in reasons {
        let room = room_with(name);
        room.run(&format!("{READ} --pages all")).failed(1, part);
        assert_eq!(room.names(), ["x.tif"]);
    }
}

/// Every beginning of files of several kinds, and bytes changed at random: an error of one line, or an image.
#[test]
fn damage_is_an_error() {
    let room = Room::new();
    let mut told = HashSet::new();
    let mut seed = 1u64;
    let mut random = move |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % n
    };
    for name in
        ["lzw-tiles-separate", "bigtiff", "palette", "jpeg-ycbcr", "fax4", "none-strips-contig"]
    {
        let whole = fs::read(folder().join(format!("{name}.tif"))).unwrap();
        for cut in 0..12 {
            let mut damaged = whole.clone();
            if cut < 6 {
                damaged.truncate(whole.len() * (cut + 1) / 7);
            } else {
                for _ in 0..8 {
                    let at = random(whole.len());
                    damaged[at] = random(256) as u8;
                }
            }
            fs::write(room.at("x.tif"), damaged).unwrap();
            let part = room.run(&format!("{READ} --memory 100M"));
            assert!(part.code < 3 && part.err.lines().count() < 4, "{name}: {}", part.err);
            let ran = room.run(READ);
            assert!(part.code == 0 || ran.code == 1 || part.err.contains("memory budget"));
            if ran.code == 0 {
                assert!(cut >= 6, "{name}, {cut}: a part of it is not all of it");
                continue;
            }
            ran.failed(1, "cannot read x.tif");
            let (_, why) = ran.err.split_once("x.tif: ").unwrap();
            told.insert(why.split_whitespace().take(3).collect::<Vec<_>>().join(" "));
        }
    }
    assert!(told.contains("the file is") && told.len() > 3, "{told:?}");
}

/// One strip of a square with this side and compression, whose bytes, so many, follow.
fn square(side: u32, compression: u32, length: u32) -> Vec<u8> {
    let mut file = b"II*\0\x08\0\0\0\x09\0".to_vec();
    let tags =
        [(256, side), (257, side), (258, 8), (259, compression), (262, 1), (273, 122), (277, 1)];
    for (tag, value) in tags.into_iter().chain([(278, side), (279, length)]) {
        file.extend([(tag as u16).to_le_bytes(), 4u16.to_le_bytes()].concat());
        file.extend([1u32.to_le_bytes(), u32::to_le_bytes(value)].concat());
    }
    file.resize(file.len() + 4 + length as usize, 0);
    file
}

#[test]
fn more_than_memory_is_refused_by_its_size() {
    let room = Room::new();
    let put = |side, compression, length| {
        fs::write(room.at("x.tif"), square(side, compression, length)).unwrap();
    };
    put(3, 1, 9);
    room.run(READ).ok();
    for side in [4, 4_000_000] {
        put(side, 1, 9);
        room.run(READ).failed(1, "number 1 of its strips ends before its last row");
    }
    put(4_000_000, 5, 9);
    room.run(READ).failed(1, "which its 9 bytes do not explain");
    // Packed, and as long as such a file is at least.
    put(400_000, 5, 59_000_000);
    let keep = READ.replace("filter", "keep");
    if cfg!(target_os = "linux") {
        // Two bytes at work for each of these pixels; and a strip of all part by part.
        room.run(&keep).failed(1, "it needs 298.0 GiB of memory, and ");
        room.run(READ).failed(2, "memory budget: ");
    } else {
        room.run(&keep).failed(1, "cannot read x.tif");
    }
    assert_eq!(room.names(), ["x.tif", "y.npy"]);
}

#[test]
fn pages_are_a_batch() {
    let room = room_with("pages");
    fs::copy(folder().join("pages-all.npy"), room.at("all.npy")).unwrap();
    let ran = room.run(READ).ok();
    assert!(ran.err.contains("the first of 2 pages is taken; --pages all"), "{}", ran.err);
    room.run(&format!("{READ} --pages all")).ok();
    assert_eq!(room.npy("y.npy"), room.npy("all.npy"));
    // And pages again.
    let ran = room.run("run x.tif -o y.tif --kernel identity --engine cpu --pages all").ok();
    assert!(!ran.err.contains("note"), "{}", ran.err);
    room.run("run y.tif -o z.npy --kernel identity --engine cpu --pages all").ok();
    assert_eq!(room.npy("z.npy"), room.npy("all.npy"));
    room.run("run x.tif -o y.png --kernel identity --pages all")
        .failed(2, "2 images and png files hold one");
}

/// What is written is read again as it was.
fn comes_back<T: WritableElement + Clone>(room: &Room, convert: impl Fn(f32) -> T) {
    for channels in [1, 2, 3, 4, 5, 9] {
        let x: Array4<T> = floats([2, 9, 7, channels]).mapv(|v| convert(v * 100.0 + 110.0));
        for (name, pages) in [("one", "first"), ("all", "all")] {
            if pages == "all" {
                room.save("x.npy", &x);
            } else {
                room.save("x.npy", &x.slice(s![0, .., .., ..]).to_owned());
            }
            room.run("run x.npy -o y.tif --kernel identity --engine cpu").ok();
            let back = "run y.tif -o y.npy --kernel identity --engine cpu --pages";
            room.run(&format!("{back} {pages}")).ok();
            assert_eq!(room.npy("y.npy"), room.npy("x.npy"), "{name}, {channels} channels");
        }
    }
}

#[test]
fn every_type_and_number_of_bands_is_written() {
    let room = Room::new();
    comes_back(&room, |v| v as u8);
    comes_back(&room, |v| (v - 110.0) as i8);
    comes_back(&room, |v| v as u16 * 300);
    comes_back(&room, |v| (v - 110.0) as i16 * 300);
    comes_back(&room, |v| v as u32 * 20_000_001);
    comes_back(&room, |v| (v - 110.0) as i32 * 20_000_001);
    comes_back(&room, |v| v);
    comes_back(&room, |v| f64::from(v) / 3.0);
    // Half floats, which `ndarray-npy` does not write.
    room.save("x.npy", &floats([1, 9, 7, 5]));
    room.run("run x.npy -o h.npy --kernel identity --out-type f16 --engine cpu").ok();
    room.run("run h.npy -o h.tif --kernel identity --engine cpu").ok();
    room.run("run h.tif -o y.npy --kernel identity --engine cpu").ok();
    let (shape, kind, data) = room.npy("y.npy");
    assert_eq!((&shape[..], &kind[..]), (&[9, 7, 5][..], "<f2"));
    assert_eq!(data, room.npy("h.npy").2);
    let first = f16::from_le_bytes([data[0], data[1]]);
    assert_eq!(first, f16::from_f32(floats([1, 9, 7, 5])[[0, 0, 0, 0]]));
}

/// A band that is no alpha must not become one, and alpha stays what it is.
#[test]
fn bands_beside_colours() {
    let room = room_with("rgb-and-infrared");
    room.run("run x.tif -o y.png --kernel identity")
        .failed(2, "the last of 4 channels is no alpha");
    room.run("run x.tif -o y.tif --kernel identity --engine cpu").ok();
    // Still none.
    room.run("run y.tif -o y.png --kernel identity")
        .failed(2, "the last of 4 channels is no alpha");

    let room = room_with("rgba");
    for (from, to) in [("x.tif", "y.tif"), ("y.tif", "y.png"), ("y.png", "y.npy")] {
        room.run(&format!("run {from} -o {to} --kernel identity --alpha filter")).ok();
    }
    assert_eq!(room.npy("y.npy"), room.npy("want.npy"));

    // Of arrays nobody knows, and then it is none.
    let room = Room::new();
    room.save("x.npy", &floats([1, 9, 7, 4]).mapv(|v| (v * 100.0 + 110.0) as u8));
    room.run("run x.npy -o y.tif --kernel box:3 --engine cpu").ok();
    room.run("run y.tif -o y.png --kernel identity")
        .failed(2, "the last of 4 channels is no alpha");
    room.run("run x.npy -o y.tif --kernel box:3 --engine cpu --alpha premultiply").ok();
    room.run("run y.tif -o y.png --kernel identity").ok();

    let room = room_with("f4-little");
    room.run("run x.tif -o y.png --kernel identity").failed(2, "only .tiff and .exr do");
    let bands: Array3<f32> = room.load("want.npy");
    assert_eq!(bands.dim(), (19, 23, 1));
}
