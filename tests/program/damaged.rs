//! Damaged files: some hundred by chance, as `tests/damage` tries without end, and one of each kind that the program
//! did not bear once.

#[path = "../damage/cases/mod.rs"]
mod cases;

use std::sync::OnceLock;

use channelwise::ElementType;
use serde_json::{Value, json};

use super::room::Room;
use cases::case::Case;
use cases::chance::Chance;
use cases::child::{Base, judge};
use cases::corpus::{self, Kind, Whole};
use cases::{change, formats};

/// Seeds of every run.
const SEEDS: u64 = 400;

fn all() -> &'static [Whole] {
    static ALL: OnceLock<Vec<Whole>> = OnceLock::new();
    ALL.get_or_init(corpus::all)
}

fn base() -> Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    *BASE.get_or_init(|| Base::measured(all()))
}

fn named(name: &str) -> Whole {
    let found = all().iter().find(|whole| whole.name == name);
    found.unwrap_or_else(|| panic!("there is no {name}")).clone()
}

/// Refused with a line that has `part`, within the limits of time and memory, and nothing left behind.
#[track_caller]
fn refused(whole: Whole, args: &str, part: &str) {
    let case = Case::of(whole, &format!("run {args}"));
    assert_eq!(judge(&case, base()), Ok("exit 1".into()), "{}", case.told());
    let room = Room::new();
    case.put(&room.at(""));
    room.run(&format!("run {args}")).failed(1, part);
}

/// The first of these bytes as others.
#[track_caller]
fn replaced(whole: &mut Whole, from: &[u8], to: &[u8]) {
    for (_, bytes) in &mut whole.files {
        if let Some(at) = bytes.windows(from.len()).position(|part| part == from) {
            bytes.splice(at..at + from.len(), to.iter().copied());
            return;
        }
    }
    panic!("{}: not in it", whole.name);
}

#[test]
fn by_chance() {
    println!("{} MiB are enough for a small file", base().mib());
    let wrong: Vec<String> = (0..SEEDS)
        .filter_map(|seed| {
            let case = Case::drawn(all(), seed);
            let wrong = judge(&case, base()).err()?;
            Some(format!("seed {seed}: {wrong}\n  {}", case.told()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is right goes through, so that refusing is no way to pass.
#[test]
fn whole_files_go_through() {
    let arrays = |whole: &&Whole| whole.kind != Kind::Zarr || whole.name != "v3-five-axes.zarr";
    for whole in all().iter().filter(arrays) {
        // Some are there since they are refused.
        if whole.name.starts_with("no-")
            || ["huge.png", "depth.exr", "none.npy"].contains(&&whole.name[..])
        {
            continue;
        }
        let memory = if whole.kind == Kind::Zarr { "--memory 64M" } else { "" };
        let args = format!("run {} -o y.npy --kernel box:3 --engine cpu {memory}", whole.name);
        let case = Case::of(whole.clone(), &args);
        assert_eq!(judge(&case, base()), Ok("exit 0".into()), "{}", case.told());
    }
}

/// A judge that lets everything pass would find nothing.
#[test]
fn what_is_wrong_is_found() {
    let case = |args: &str| Case::of(named("f32.npy"), args);
    let run = "run f32.npy --kernel box:3 --engine cpu";
    assert_eq!(judge(&case(&format!("{run} -o y.npy")), base()), Ok("exit 0".into()));
    // An output that does not come, lines that are no failure's, less memory than it takes.
    let mut other = case(&format!("{run} -o y.npy"));
    other.output = Some("z.npy".into());
    assert!(judge(&other, base()).unwrap_err().contains("there is no output"));
    let help = judge(&case("run --nothing"), base());
    assert_eq!(help, Ok("exit 2".into()));
    let starved = judge(&case(&format!("{run} -o y.npy")), Base(1 << 20));
    assert!(!cfg!(target_os = "linux") || starved.is_err(), "{starved:?}");
}

#[test]
fn sums_are_those_of_the_formats() {
    assert_eq!(formats::crc(formats::PNG, b"123456789"), 0xcbf4_3926);
    assert_eq!(formats::crc(formats::CASTAGNOLI, b"123456789"), 0xe306_9283);
}

#[test]
fn seeds_say_everything() {
    let told = |seed| Case::drawn(all(), seed).told();
    assert_eq!((told(5), told(70)), (told(5), told(70)));
    let mut bytes = vec![7; 100];
    let done = change::bytes(&mut Chance::new(3), &mut bytes);
    assert!(bytes != [7; 100], "{done}");
}

/// A few bytes that claim more pixels than they hold.
#[test]
fn claims_that_bytes_do_not_explain() {
    let do_not = "bytes do not explain";
    let kernel = "-o y.npy --kernel box:3 --engine cpu";
    // Height of PNG's header, whose sum is right.
    let mut png = named("grey.png");
    let bytes = &mut png.files[0].1;
    change::put(bytes, 20, 4, 3_456_789, false);
    let sum = formats::crc(formats::PNG, &bytes[12..29]);
    change::put(bytes, 29, 4, sum.into(), false);
    refused(png, &format!("grey.png {kernel}"), do_not);
    let mut bmp = named("rgb.bmp");
    change::put(&mut bmp.files[0].1, 18, 4, 65_535, true);
    change::put(&mut bmp.files[0].1, 22, 4, 65_535, true);
    refused(bmp, &format!("rgb.bmp {kernel}"), do_not);
    // Windows of OpenEXR: four numbers, of which the last two are where they end.
    for window in ["displayWindow\0box2i\0", "dataWindow\0box2i\0"] {
        let mut exr = named("b44-lines.exr");
        let bytes = &mut exr.files[0].1;
        let at = bytes.windows(window.len()).position(|part| part == window.as_bytes()).unwrap();
        change::put(bytes, at + window.len() + 4 + 12, 4, 100_000_000, true);
        refused(exr, &format!("b44-lines.exr {kernel}"), do_not);
    }
    // Lines of what is hardly shown, longer than deflate can have them.
    let mut exr = named("depth.exr");
    let (bytes, window) = (&mut exr.files[0].1, b"dataWindow\0box2i\0");
    let at = bytes.windows(window.len()).position(|part| part == window).unwrap();
    change::put(bytes, at + window.len() + 4 + 8, 4, 100_000, true);
    refused(exr, &format!("depth.exr {kernel}"), do_not);
    let mut jpeg = named("rgb.jpg");
    let frame = jpeg.files[0].1.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    change::put(&mut jpeg.files[0].1, frame + 5, 4, u64::from(u32::MAX), false);
    refused(jpeg, &format!("rgb.jpg {kernel}"), do_not);
}

/// Changes an entry of the first directory: its type, how many values, or the value or where they are.
fn entry(whole: &mut Whole, tag: u64, (at, size): (usize, usize), change: impl FnOnce(u64) -> u64) {
    let bytes = &mut whole.files[0].1;
    let little = bytes[0] == b'I';
    let number = |bytes: &[u8], at: usize, size: usize| {
        let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        let bytes = &bytes[at..at + size];
        if little { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) }
    };
    assert_eq!(number(bytes, 2, 2), 42, "no BigTIFF");
    let directory = number(bytes, 4, 4) as usize;
    let mut places = (0..number(bytes, directory, 2) as usize).map(|n| directory + 2 + 12 * n);
    let found = places.find(|at| number(bytes, *at, 2) == tag).unwrap();
    let value = change(number(bytes, found + at, size));
    change::put(bytes, found + at, size, value, little);
}

const TYPE: (usize, usize) = (2, 2);
const COUNT: (usize, usize) = (4, 4);
const VALUE: (usize, usize) = (8, 4);

#[test]
fn directories_of_tiff() {
    let kernel = "-o y.npy --kernel box:3 --engine cpu";
    // Text that is longer than the file: the decoder printed a line of its own.
    let mut long = named("deflate-strips-contig.tif");
    entry(&mut long, 262, TYPE, |_| 2);
    entry(&mut long, 262, COUNT, |_| 0x7fff_ffff);
    refused(long, &format!("deflate-strips-contig.tif {kernel}"), "2147483647 values");
    // One tile that is larger than what it is packed in.
    let mut large = named("deflate-tiles-contig.tif");
    for tag in [322, 323] {
        entry(&mut large, tag, TYPE, |_| 4);
        entry(&mut large, tag, VALUE, |_| 60_000);
    }
    entry(&mut large, 325, TYPE, |_| 4);
    for tag in [324, 325] {
        entry(&mut large, tag, COUNT, |_| 1);
        entry(&mut large, tag, VALUE, |_| 100);
    }
    refused(large, &format!("deflate-tiles-contig.tif {kernel}"), "100 bytes do not explain");
    // A directory in each eight bytes, of a thousand entries: where the next one is stands behind them.
    let (many, between) = (50_000u32, 12 * 1000 / 8);
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    for cell in 0..many + between {
        let of = cell.checked_sub(between).filter(|of| of + 1 < many);
        let next = of.map_or(0, |of| 8 + 8 * (of + 1));
        bytes.extend(1000u16.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        bytes.extend([0; 2]);
    }
    let files = vec![("x.tif".to_string(), bytes)];
    let whole = Whole { kind: Kind::Tiff, name: "x.tif".into(), files };
    refused(whole, &format!("x.tif {kernel} --pages all"), "lie over one another");
}

/// A strip of JPEG that is cut was filled with grey.
#[test]
fn strips_of_jpeg_are_whole() {
    let mut cut = named("jpeg-rgb.tif");
    entry(&mut cut, 279, COUNT, |count| {
        assert_eq!(count, 1, "one strip");
        count
    });
    entry(&mut cut, 279, VALUE, |length| length / 2);
    let args = "jpeg-rgb.tif -o y.npy --kernel box:3 --engine cpu";
    refused(cut, args, "ends before its last row");
}

/// The metadata of an array of version 3.
fn array(name: &str, change: impl FnOnce(&mut Value)) -> Whole {
    let mut whole = named(name);
    let key = format!("{name}/zarr.json");
    let (_, bytes) = whole.files.iter_mut().find(|(name, _)| *name == key).unwrap();
    let mut json: Value = serde_json::from_slice(bytes).unwrap();
    change(&mut json);
    *bytes = json.to_string().into_bytes();
    whole
}

#[test]
fn arrays_that_cannot_be_counted() {
    let run = |name: &str| format!("{name} -o y.npy --kernel box:3 --engine cpu --memory 16M");
    let large = 1u64 << 40;
    for (axis, size) in [(0, u64::MAX), (1, 1 << 62), (2, 1 << 61)] {
        let whole = array("v3-uint16.zarr", |json| json["shape"][axis] = json!(size));
        refused(whole, &run("v3-uint16.zarr"), "shape");
    }
    let sizes = |json: &mut Value, n: u64| {
        json["chunk_grid"]["configuration"]["chunk_shape"] = json!([n, n, 3]);
    };
    let whole = array("v3-uint16.zarr", |json| sizes(json, large));
    refused(whole, &run("v3-uint16.zarr"), "cannot be counted");
}

/// Places of strips and tiles are made before the first sample.
#[test]
fn directories_beyond_measure() {
    let options = "--kernel box:3 --engine cpu --memory 64M";
    let pages = array("v3-five-axes.zarr", |json| json["shape"][0] = json!(59_665_754));
    refused(pages, &format!("v3-five-axes.zarr -o y.tif {options}"), "bytes of directories");
    let tiles = array("v3-uint16.zarr", |json| json["shape"] = json!([200_000, 200_000, 3]));
    let args = format!("v3-uint16.zarr -o y.tif --chunks 16,16 {options}");
    refused(tiles, &args, "bytes of directories");
}

/// Where the first chunk of a shard lies, in an index whose sum is right: numbers that cannot be added, and others that
/// are beyond its end.
#[test]
fn indices_of_shards() {
    // Where nothing is packed a length is not asked for.
    let (plain, packed) = ("v3-sharded-plain.zarr", "v3-sharded.zarr");
    for (number, (name, offset, length)) in [
        (plain, u64::MAX - 7, 64),
        (plain, 1 << 63, 1 << 63),
        (plain, 1 << 40, 24),
        (packed, 8, u64::MAX - 3),
        (packed, 0, 1 << 40),
        (packed, u64::MAX, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let args = format!("{name} -o y.npy --kernel box:3 --engine cpu --memory 16M");
        let mut whole = named(name);
        let mut shards = whole.files.iter_mut().filter(|(name, _)| !name.ends_with(".json"));
        let (_, bytes) = shards.nth(number).unwrap();
        // Four entries of two numbers, and their sum.
        let index = bytes.len() - 4 - 64;
        change::put(bytes, index, 8, offset, true);
        change::put(bytes, index + 8, 8, length, true);
        let sum = formats::crc(formats::CASTAGNOLI, &bytes[index..index + 64]);
        change::put(bytes, index + 64, 4, sum.into(), true);
        refused(whole, &args, "its chunk c/");
    }
}

/// A gibibyte, where a chunk has some hundred bytes: blosc's codec would ask for it and end the process.
#[test]
fn sizes_that_blosc_packed() {
    for name in ["v3-blosc.zarr", "v2-blosc.zarr"] {
        let mut whole = named(name);
        let chunk =
            |(name, _): &&mut (String, Vec<u8>)| !name.contains("json") && !name.contains("/.z");
        let (_, bytes) = whole.files.iter_mut().find(chunk).unwrap();
        change::put(bytes, 4, 4, 1 << 30, true);
        let args = format!("{name} -o y.npy --kernel box:3 --engine cpu --memory 16M");
        refused(whole, &args, "1073741824 bytes, where a chunk has");
    }
}

/// Nothing is begun of what cannot be.
#[test]
fn arrays_without_channels() {
    let npy = corpus::npy(ElementType::F32, &[5, 6, 0]);
    let whole = Whole { kind: Kind::Npy, name: "x.npy".into(), files: vec![("x.npy".into(), npy)] };
    for output in ["y.npy", "y.zarr", "y.tif", "y.hdr"] {
        let args = format!("run x.npy -o {output} --kernel box:3 --engine cpu --memory 16M");
        let case = Case::of(whole.clone(), &args);
        let ended = judge(&case, base());
        assert!(ended.is_ok(), "{ended:?}: {args}");
    }
}

/// What fails before anything is written leaves nothing to go on with, and does not say so.
#[test]
fn streams_that_fail_at_once() {
    let name = "deflate-strips-contig.tif";
    let mut whole = named(name);
    whole.files[0].1[1000..2800].fill(0x55);
    for output in ["y.npy", "y.zarr", "y.tif", "y.hdr"] {
        let args = format!("run {name} -o {output} --kernel box:3 --engine cpu --memory 16M");
        let case = Case::of(whole.clone(), &args);
        let room = Room::new();
        case.put(&room.at(""));
        let before = room.names();
        let ran = room.run(&args);
        ran.failed(1, "cannot read");
        assert!(!ran.err.contains("--resume"), "{}", ran.err);
        assert_eq!(room.names(), before, "{output}");
    }
}

#[test]
fn headers_that_are_damaged() {
    let mut cube = named("bip4.hdr");
    replaced(&mut cube, b"samples = 9", b"samples = 18446744073709551615");
    refused(cube, "bip4.hdr -o y.npy --kernel box:3 --engine cpu", "cannot be counted");
    let mut npy = named("f32.npy");
    replaced(&mut npy, b"(13, 11, 3)", b"(13,2**60)");
    refused(npy, "f32.npy -o y.npy --kernel box:3 --engine cpu", "its header tells no");
}
