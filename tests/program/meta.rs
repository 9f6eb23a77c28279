//! What files say beside their pixels: profiles, Exif, resolution. `files/make.py` made the inputs with Pillow
//! and tifffile.

use std::fs;
use std::io::BufReader;

use channelwise::ndarray::Array3;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageReader};

use super::room::{Room, folder};

/// A room with this file.
fn room_with(name: &str) -> Room {
    let room = Room::new();
    fs::copy(folder().join(name), room.at(name)).unwrap();
    room
}

/// Profile and Exif.
fn said(room: &Room, name: &str) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let file = BufReader::new(fs::File::open(room.at(name)).unwrap());
    let reader = ImageReader::new(file).with_guessed_format().unwrap();
    let mut decoder = reader.into_decoder().unwrap();
    (decoder.icc_profile().unwrap(), decoder.exif_metadata().unwrap())
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn profiles_and_exif_are_kept() {
    let profile = fs::read(folder().join("srgb.icc")).unwrap();
    for input in ["meta.jpg", "meta.png", "meta.webp", "meta.tiff"] {
        let room = room_with(input);
        for output in ["y.png", "y.jpg", "y.webp"] {
            room.run(&format!("run {input} -o {output} --kernel box:3 --engine cpu")).ok();
            let (icc, exif) = said(&room, output);
            assert_eq!(icc.as_ref(), Some(&profile), "{input}, {output}");
            if input == "meta.tiff" {
                assert_eq!(exif, None);
                continue;
            }
            // The camera is named, and the pixels are upright.
            let exif = exif.unwrap();
            assert!(has(&exif, b"a camera"), "{input}, {output}");
            assert_eq!(Orientation::from_exif_chunk(&exif), Some(Orientation::NoTransforms));
            assert_eq!(image::image_dimensions(room.at(output)).unwrap(), (32, 48));
        }
        room.run(&format!("run {input} -o y.tif --kernel box:3 --engine cpu")).ok();
        assert!(has(&fs::read(room.at("y.tif")).unwrap(), &profile), "{input}");
        room.run(&format!("run {input} -o y.bmp --kernel box:3 --engine cpu")).ok();
        assert!(!has(&fs::read(room.at("y.bmp")).unwrap(), &profile), "{input}");
        // And back from what is ours.
        room.run("run y.tif -o z.png --kernel box:3 --engine cpu").ok();
        assert_eq!(said(&room, "z.png").0.as_ref(), Some(&profile), "{input}");
        // Two outputs of each channel are no colours of that profile.
        let bank = Array3::<f32>::ones((1, 1, 2));
        room.save("k.npy", &bank);
        room.run(&format!("run {input} -o y.tif --kernel-file k.npy --engine cpu")).ok();
        assert!(!has(&fs::read(room.at("y.tif")).unwrap(), &profile), "{input}");
    }
}

/// 254 and 127 pixels an inch are 10000 and 5000 a metre; turned upright they have changed places.
#[test]
fn resolution_goes_between_formats() {
    let per_metre = |across: u32, down: u32| {
        [&b"pHYs"[..], &across.to_be_bytes(), &down.to_be_bytes(), &[1]].concat()
    };
    let per_inch = |across: u16, down: u16| {
        [&b"JFIF\0\x01\x02\x01"[..], &across.to_be_bytes(), &down.to_be_bytes()].concat()
    };
    for input in ["meta.jpg", "meta.png"] {
        let room = room_with(input);
        let run = |from: &str, to: &str| {
            room.run(&format!("run {from} -o {to} --kernel box:3 --engine cpu")).ok();
            fs::read(room.at(to)).unwrap()
        };
        assert!(has(&run(input, "y.png"), &per_metre(5000, 10_000)), "{input}");
        assert!(!run(input, "y.tif").is_empty());
        assert!(has(&run("y.tif", "z.png"), &per_metre(5000, 10_000)), "{input}");
        let jpeg = run(input, "y.jpg");
        if input == "meta.jpg" {
            assert!(has(&jpeg, &per_inch(127, 254)), "{:?}", &jpeg[..30]);
        } else {
            // In its own unit, centimetres.
            assert!(has(&jpeg, &[&b"JFIF\0\x01\x02\x02"[..], &[0, 50, 0, 100]].concat()));
        }
    }
}

#[test]
fn resolution_is_kept_while_pixels_are() {
    let room = room_with("meta.tiff");
    let rational = |n: u32, d: u32| [n.to_ne_bytes(), d.to_ne_bytes()].concat();
    let profile = fs::read(folder().join("srgb.icc")).unwrap();
    let run = |more: &str| {
        room.run(&format!("run meta.tiff -o y.tif --kernel box:3 --engine cpu {more}")).ok();
        fs::read(room.at("y.tif")).unwrap()
    };
    // As a whole and part by part.
    for how in ["", "--memory 80M --alpha filter"] {
        for padding in ["same", "valid"] {
            let file = run(&format!("{how} --padding {padding}"));
            assert!(has(&file, &rational(301, 2)) && has(&file, &rational(603, 4)), "{how}");
            assert!(has(&file, &profile), "{how}");
        }
        assert!(!has(&run(&format!("{how} --stride 2")), &rational(301, 2)));
    }
}

#[test]
fn inks_are_told_of() {
    let room = room_with("cmyk.jpg");
    fs::copy(folder().join("cmyk-jpg.npy"), room.at("want.npy")).unwrap();
    let ran = room.run("run cmyk.jpg -o y.npy --kernel identity --engine cpu").ok();
    assert!(ran.err.contains("note: cmyk.jpg: its CMYK colours are turned to RGB"), "{}", ran.err);
    let [got, want] = ["y.npy", "want.npy"].map(|name| room.load::<Array3<u8>>(name));
    assert_eq!(got.dim(), want.dim());
    assert!(got.iter().zip(&want).all(|(a, b)| a.abs_diff(*b) <= 3));
    // A profile of inks says nothing of what they became.
    room.run("run cmyk.jpg -o y.png --kernel identity --engine cpu").ok();
    assert_eq!(said(&room, "y.png").0, None);
}

/// A header says how large a picture is; that there is no room for it is known before it is decoded.
#[cfg(target_os = "linux")]
#[test]
fn what_does_not_fit_memory_says_how_much() {
    let room = room_with("huge.png");
    let run = "run huge.png -o y.npy --kernel identity --engine cpu";
    room.run(run).failed(1, "bytes of pixels, which its ");
    // As long as such a file is at least, whatever its pixels.
    let mut bytes = fs::read(room.at("huge.png")).unwrap();
    bytes.resize(4 << 20, 0);
    fs::write(room.at("huge.png"), bytes).unwrap();
    let ran = room.run(run);
    ran.failed(1, "it needs 149.0 GiB of memory, and ");
    assert!(ran.err.contains("part by part"), "{}", ran.err);
}
