//! Many files in one call, and pipes.

use std::fs;

use serde_json::Value;

use super::room::{RemoveAxis, Room, bytes, picture};

const BOX: &str = "--kernel box:3 --engine cpu";

/// A room with pictures of three sizes, `a.png` to `c.png`, and what becomes of each alone in `alone`.
fn pictures() -> Room {
    let room = Room::new();
    fs::create_dir(room.at("alone")).unwrap();
    for (name, side) in [("a", 8), ("b", 11), ("c", 14)] {
        let x = bytes([1, side, 9, 3]).remove_axis_owned();
        picture(&x).save(room.at(&format!("{name}.png"))).unwrap();
        room.run(&format!("run {name}.png -o alone/{name}.png {BOX}")).ok();
    }
    room
}

fn same(room: &Room, one: &str, other: &str) {
    let [one_is, other_is] = [one, other].map(|name| image::open(room.at(name)).unwrap());
    assert_eq!(one_is, other_is, "{one} and {other}");
}

#[test]
fn into_folders_and_patterns() {
    let room = pictures();
    let ran = room.run(&format!("run a.png b.png c.png -o new/soft/ {BOX} --verify")).ok();
    assert_eq!(ran.out.lines().count(), 3, "{}", ran.out);
    for (name, line) in ["a", "b", "c"].into_iter().zip(ran.out.lines()) {
        assert!(line.starts_with(&format!("{name}.png: ")), "{line}");
        assert!(line.contains("passed: ") && line.contains(&format!("soft/{name}.png")), "{line}");
        same(&room, &format!("new/soft/{name}.png"), &format!("alone/{name}.png"));
    }
    room.run(&format!("run a.png b.png -o {{stem}}-soft.{{ext}} --format tiff {BOX}")).ok();
    for name in ["a", "b"] {
        room.run(&format!("run {name}-soft.tif -o back.png --kernel identity")).ok();
        same(&room, "back.png", &format!("alone/{name}.png"));
    }
    // One into a folder that is there, and none written.
    room.run(&format!("run c.png -o new --format bmp {BOX}")).ok();
    same(&room, "new/c.bmp", "alone/c.png");
    let ran = room.run(&format!("run a.png b.png {BOX} --json")).ok();
    let lines = ran.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let files: Vec<_> = lines.map(|json| json["file"].clone()).collect();
    assert_eq!(files, ["a.png", "b.png"]);
    // In place.
    room.run(&format!("run a.png b.png -o {{stem}}.png {BOX}")).ok();
    same(&room, "a.png", "alone/a.png");
    same(&room, "b.png", "alone/b.png");
}

/// The others are done, and each that is not is named.
#[test]
fn one_that_fails() {
    let room = pictures();
    fs::write(room.at("text.png"), "no picture").unwrap();
    fs::write(room.at("odd.gif"), fs::read(room.at("a.png")).unwrap()).unwrap();
    let all = "a.png text.png missing.png b.png odd.gif c.png";
    let ran = room.run(&format!("run {all} -o out/ {BOX}"));
    assert_eq!(ran.code, 1, "{}", ran.err);
    let told: Vec<_> = ran.err.lines().collect();
    assert_eq!(told.len(), 4, "{}", ran.err);
    for (line, part) in
        told.iter().zip(["text.png: ", "missing.png: ", "odd.gif: ", "3 of 6 files"])
    {
        assert!(line.starts_with(&format!("channelwise: {part}")), "{line}");
    }
    for name in ["a", "b", "c"] {
        same(&room, &format!("out/{name}.png"), &format!("alone/{name}.png"));
    }
    assert_eq!(fs::read_dir(room.at("out")).unwrap().count(), 3);
    // What all of them lack is said once.
    let ran = room.run(&format!("run {all} -o out/ --kernel box:3 --kernel-file none.npy"));
    ran.failed(2, "cannot be used with");
    room.run("run a.png b.png -o out/ --kernel-file none.npy").failed(1, "cannot read none.npy");
    let none = [("WGPU_ADAPTER_NAME", "no such adapter")];
    let ran = room.run_with("run a.png b.png -o out/ --kernel box:3 --engine gpu", &none);
    ran.failed(1, "no GPU adapter");
}

#[test]
fn pipes() {
    let room = pictures();
    let whole = fs::read(room.at("a.png")).unwrap();
    for format in ["png", "bmp", "tiff", "npy", "PNG"] {
        let (code, out, err) = room.pipe(&format!("run - -o - --format {format} {BOX}"), &whole);
        assert_eq!(code, 0, "{err}");
        // The summary is out of its way.
        assert!(err.contains("wrote      standard output"), "{err}");
        let name = format!("y.{}", format.to_lowercase());
        fs::write(room.at(&name), out).unwrap();
        room.run(&format!("run {name} -o back.npy --kernel identity --engine cpu")).ok();
        room.run("run alone/a.png -o want.npy --kernel identity --engine cpu").ok();
        assert_eq!(room.npy("back.npy"), room.npy("want.npy"), "{format}");
    }
    let (code, out, _) = room.pipe(&format!("run - -o y.png --json {BOX}"), &whole);
    let json: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((code, &json["output"]), (0, &"y.png".into()));
    same(&room, "y.png", "alone/a.png");
    // One of many.
    let (code, ..) = room.pipe(&format!("run - b.png -o out/ --format png {BOX}"), &whole);
    assert_eq!(code, 0);
    same(&room, "out/stdin.png", "alone/a.png");
    same(&room, "out/b.png", "alone/b.png");
}

/// A pipe that ends early is an error, and nothing is written.
#[test]
fn pipes_that_end_early() {
    let room = pictures();
    let whole = fs::read(room.at("c.png")).unwrap();
    for length in [0, 3, whole.len() / 2] {
        let args = format!("run - -o - --format png {BOX}");
        let (code, out, err) = room.pipe(&args, &whole[..length]);
        assert_eq!((code, out.len()), (1, 0), "{err}");
        assert!(err.starts_with("channelwise: cannot read standard input: "), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}
