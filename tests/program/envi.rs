//! ENVI cubes: in and out, what their headers keep, and those that lie.

use std::fs;

use channelwise::ndarray::{Array3, Array4, s};
use channelwise::{Conv2d, Engine, Kernel, Layout, Padding};
use image::ImageReader;
use ndarray_npy::WritableElement;

use super::room::{RemoveAxis, Room, floats};

const SAME: &str = "--kernel identity --engine cpu";

/// Lines, samples and bands of no equal size.
fn cube() -> Array3<f32> {
    floats([1, 7, 6, 5]).remove_axis_owned()
}

/// The entries of a header that the program wrote.
fn entry(room: &Room, header: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(room.at(header)).unwrap();
    let start = format!("{key} = ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.map(str::to_string)
}

/// Writes `x` as big-endian lines of bands, after three bytes of something else.
fn put(room: &Room, data: &str, header: &str, x: &Array3<f32>, more: &str) {
    let (lines, samples, bands) = x.dim();
    let mut bytes = b"abc".to_vec();
    for line in x.outer_iter() {
        line.t().iter().for_each(|v| bytes.extend(v.to_be_bytes()));
    }
    fs::write(room.at(data), bytes).unwrap();
    let text = format!(
        "ENVI\nsamples = {samples}\nlines = {lines}\nbands = {bands}\nheader offset = 3\n\
         data type = 4\ninterleave = bil\nbyte order = 1\n{more}"
    );
    fs::write(room.at(header), text).unwrap();
}

#[test]
fn whichever_file_is_named() {
    let room = Room::new();
    let x = cube();
    for (data, header) in [
        ("x.img", "x.hdr"),
        ("x.dat", "x.dat.hdr"),
        ("x.bsq", "x.hdr"),
        ("x.raw", "x.hdr"),
        ("x", "x.hdr"),
        ("x.bin", "x.bin.hdr"),
        ("x.IMG", "x.HDR"),
    ] {
        put(&room, data, header, &x, "");
        for input in [data, header] {
            let ran = room.run(&format!("run {input} -o y.npy {SAME}")).ok();
            assert_eq!(room.load::<Array3<f32>>("y.npy"), x, "{input}");
            assert_eq!(ran.err, "", "{input}");
            assert!(ran.out.contains("\nborder     zero\n"), "{}", ran.out);
        }
        fs::remove_file(room.at(data)).unwrap();
        room.run(&format!("run {header} {SAME}"))
            .failed(1, "its data are not beside it: none of x");
        fs::remove_file(room.at(header)).unwrap();
    }
    // Of several the one that fits.
    put(&room, "x.img", "x.hdr", &x, "");
    fs::write(room.at("x.dat"), "other").unwrap();
    room.run(&format!("run x.hdr -o y.npy {SAME}")).ok();
    fs::copy(room.at("x.img"), room.at("x.dat")).unwrap();
    room.run(&format!("run x.hdr {SAME}")).failed(1, "its data may be any of x.img, x.dat");
    room.run(&format!("run x.dat -o y.npy {SAME}")).ok();
}

/// There and back in every order, and what each looks like.
fn comes_back<T: WritableElement + Clone>(room: &Room, code: u8, convert: impl Fn(f32) -> T) {
    let x = cube().mapv(|v| convert(v * 100.0));
    room.save("x.npy", &x);
    let (_, _, bip) = room.npy("x.npy");
    for (output, data, name) in [
        ("y.hdr", "y.img", "bip"),
        ("y.dat", "y.dat", "bip"),
        ("y.bip", "y.bip", "bip"),
        ("y.bil", "y.bil", "bil"),
        ("y.bsq", "y.bsq", "bsq"),
    ] {
        room.run(&format!("run x.npy -o {output} {SAME}")).ok();
        let said =
            ["samples", "lines", "bands", "header offset", "data type", "interleave", "byte order"]
                .map(|key| entry(room, "y.hdr", key).unwrap());
        assert_eq!(said, ["6", "7", "5", "0", &code.to_string(), name, "0"], "{output}");
        let bytes = fs::read(room.at(data)).unwrap();
        assert_eq!(bytes.len(), bip.len());
        assert_eq!(bytes == bip, name == "bip", "{output}");
        for input in [data, "y.hdr"] {
            room.run(&format!("run {input} -o z.npy {SAME}")).ok();
            assert_eq!(room.npy("z.npy"), room.npy("x.npy"), "{input}, {code}");
        }
        fs::remove_file(room.at(data)).unwrap();
        fs::remove_file(room.at("y.hdr")).unwrap();
    }
}

#[test]
fn every_type_and_order_is_written() {
    let room = Room::new();
    comes_back(&room, 1, |v| v as u8);
    comes_back(&room, 2, |v| v as i16 * 300);
    comes_back(&room, 3, |v| v as i32 * 20_000_001);
    comes_back(&room, 4, |v| v);
    comes_back(&room, 5, |v| f64::from(v) / 3.0);
    comes_back(&room, 12, |v| v as u16 * 600);
    comes_back(&room, 13, |v| v as u32 * 40_000_001);
    assert_eq!(room.names(), ["x.npy", "z.npy"]);
    // Of one band too, and whatever the output is called.
    let x = cube().slice(s![.., .., 0]).to_owned();
    room.save("x.npy", &x);
    room.run(&format!("run x.npy -o y.cube --format envi {SAME}")).ok();
    assert_eq!(entry(&room, "y.cube.hdr", "bands"), Some("1".into()));
    room.run(&format!("run x.npy -o y.v2 --format bsq {SAME}")).ok();
    assert_eq!(entry(&room, "y.v2.hdr", "interleave"), Some("bsq".into()));
    room.run(&format!("run y.v2 -o z.npy {SAME}")).ok();
    assert_eq!(room.load::<Array3<f32>>("z.npy").remove_axis(channelwise::ndarray::Axis(2)), x);
}

/// Integers of 64 bits, which no engine has.
#[test]
fn wide_integers_are_told_of() {
    let room = Room::new();
    let header =
        "ENVI\nsamples = 2\nlines = 1\nbands = 1\ninterleave = bsq\nbyte order = 0\ndata type = ";
    fs::write(room.at("x.hdr"), format!("{header}14")).unwrap();
    let put = |values: [i64; 2]| {
        fs::write(room.at("x.img"), values.map(i64::to_le_bytes).concat()).unwrap();
        room.run(&format!("run x.img -o y.npy {SAME}")).ok().err
    };
    assert!(put([7, -7]).contains("note: x.img: its int64 samples are taken as float64"));
    assert!(put([i64::MAX, 0]).contains("its int64 samples are rounded to float64"));
    fs::write(room.at("x.hdr"), format!("{header}15")).unwrap();
    assert!(put([7, 9]).contains("its uint64 samples are taken as float64"));
    assert_eq!(room.load::<Array3<f64>>("y.npy").as_slice(), Some(&[7.0, 9.0][..]));
}

#[test]
fn filters_and_layouts() {
    let room = Room::new();
    let x = cube();
    put(&room, "x.img", "x.hdr", &x, "");
    let conv = Conv2d::new(Kernel::gaussian(5, 1.2).unwrap()).stride(2, 1);
    let want = Engine::cpu().run(&conv, &x).unwrap();
    let blur = "--kernel gaussian:5,1.2 --stride 2,1 --engine cpu --verify";
    room.run(&format!("run x.hdr -o y.bil {blur}")).ok();
    room.run(&format!("run y.hdr -o y.npy {SAME}")).ok();
    assert_eq!(room.load::<Array3<f32>>("y.npy"), want);
    // Planes are another order of the same.
    room.run(&format!("run x.hdr -o y.npy --layout nchw {blur}")).ok();
    let planes: Array3<f32> = room.load("y.npy");
    let turned = x.permuted_axes([2, 0, 1]).as_standard_layout().into_owned();
    let conv = conv.layout(Layout::Nchw);
    assert_eq!(planes, Engine::cpu().run(&conv, &turned).unwrap());
    room.run(&format!("run y.npy -o z.bsq --layout nchw {SAME}")).ok();
    room.run(&format!("run z.bsq -o z.npy {SAME}")).ok();
    assert_eq!(room.load::<Array3<f32>>("z.npy"), planes.permuted_axes([1, 2, 0]));
}

const KEYS: &str = "description = {of the\n  test}\nsensor type = none\nwavelength units = nm\n\
    wavelength = {400, 500, 600, 700, 800}\nfwhm = {1, 1, 1, 1, 1}\nbbl = {1, 1, 0, 1, 1}\n\
    band names = {a, b, c, d, e}\nmap info = {UTM, 1, 1, 500000, 4000000, 30, 30, 33, North, WGS-84}\n\
    coordinate system string = {PROJCS[\"x\"]}\ndata ignore value = -9999\ndefault bands = {1, 2, 3}\n";

#[test]
fn headers_keep_what_stays_true() {
    let room = Room::new();
    put(&room, "x.img", "x.hdr", &cube(), KEYS);
    let names = |args: &str| {
        room.run(&format!("run x.hdr -o y.img --engine cpu {args}")).ok();
        let text = fs::read_to_string(room.at("y.hdr")).unwrap();
        let keys = [
            "description",
            "sensor type",
            "wavelength units",
            "wavelength",
            "fwhm",
            "bbl",
            "band names",
            "map info",
            "coordinate system string",
            "data ignore value",
            "default bands",
        ];
        let all = keys.into_iter().filter(|key| text.contains(&format!("\n{key} = ")));
        all.collect::<Vec<_>>().join(" ")
    };
    let (whole, bands) =
        ("description sensor type", "wavelength units wavelength fwhm bbl band names");
    let (places, ignored) = ("map info coordinate system string", "data ignore value");
    let same = format!("{whole} {bands} {places} {ignored}");
    assert_eq!(names("--kernel gaussian:5,1.2"), same);
    assert_eq!(names("--kernel box:3 --adjoint"), same);
    let text = fs::read_to_string(room.at("y.hdr")).unwrap();
    assert!(
        text.contains("description = {of the\n  test}\n") && text.contains("= {1, 1, 0, 1, 1}\n")
    );
    // Other places, other bands, and a type that has no such value.
    let moved = format!("{whole} {bands} {ignored}");
    assert_eq!(names("--kernel box:3 --stride 2"), moved);
    assert_eq!(names("--kernel box:3 --padding valid"), moved);
    assert_eq!(names("--kernel box:3 --padding 2,0,2,0"), moved);
    assert_eq!(names("--kernel box:3 --padding 1"), same);
    assert_eq!(names("--kernel box:4 --anchor 0,0"), same);
    room.save("k.npy", &Array3::<f32>::ones((1, 1, 2)));
    assert_eq!(names("--kernel-file k.npy"), format!("{whole} {places} {ignored}"));
    assert_eq!(names("--kernel box:3 --out-type u16"), format!("{whole} {bands} {places}"));
    // They are ENVI's alone, and only an ENVI file has any.
    room.run("run x.hdr -o y.tif --kernel box:3 --engine cpu").ok();
    room.run("run y.tif -o z.img --kernel box:3 --engine cpu").ok();
    assert_eq!(entry(&room, "z.hdr", "description"), None);
}

#[test]
fn headers_that_lie() {
    let room = Room::new();
    put(&room, "x.img", "x.hdr", &cube(), "");
    let (whole, header) =
        (fs::read(room.at("x.img")).unwrap(), fs::read_to_string(room.at("x.hdr")).unwrap());
    fs::create_dir(room.at("out")).unwrap();
    let before = room.names();
    let fails = |part: &str| {
        for input in ["x.hdr", "x.img"] {
            room.run(&format!("run {input} -o out/y.hdr {SAME}")).failed(1, part);
        }
        assert_eq!(room.names(), before);
        assert_eq!(fs::read_dir(room.at("out")).unwrap().count(), 0);
    };
    for (from, to, part) in [
        ("samples = 6\n", "", "cannot read x.hdr: it says no `samples`"),
        ("samples = 6", "samples = 0", "its `samples` is 0"),
        ("lines = 7", "lines = -7", "its `lines` is `-7`"),
        ("bands = 5", "bands = 4294967296", "the file is truncated"),
        ("bands = 5", "bands = 9223372036854775807", "which cannot be counted"),
        ("bands = 5", "bands = 4", "cannot read x.img: bytes follow the samples"),
        ("offset = 3", "offset = 4", "844 bytes, and 843 are there"),
        ("offset = 3", "offset = 18446744073709551615", "which cannot be counted"),
        ("data type = 4", "data type = 6", "its samples are complex64 (data type 6)"),
        ("data type = 4", "data type = 9", "its samples are complex128 (data type 9)"),
        ("data type = 4", "data type = 1", "bytes follow the samples"),
        ("interleave = bil", "interleave = bal", "there are bsq, bil and bip"),
        ("byte order = 1", "byte order = {", "the braces of its `byte order` are not closed"),
    ] {
        assert!(header.contains(from));
        fs::write(room.at("x.hdr"), header.replace(from, to)).unwrap();
        fails(part);
    }
    fs::write(room.at("x.hdr"), &header).unwrap();
    for length in [0, 3, 100, whole.len() - 1] {
        fs::write(room.at("x.img"), &whole[..length]).unwrap();
        fails(
            "cannot read x.img: the file is truncated: its header asks for 3 bytes and 7 lines of 6",
        );
    }
    fs::write(room.at("x.img"), [&whole[..], b"more"].concat()).unwrap();
    fails("bytes follow the samples");
    // No header at all.
    fs::write(room.at("x.hdr"), "BYTEORDER I\nLAYOUT BIL\n").unwrap();
    for input in ["x.hdr", "x.img"] {
        room.run(&format!("run {input} {SAME}")).failed(1, "nor is an ENVI header beside it");
    }
    let (code, _, err) = room.pipe(&format!("run - {SAME}"), header.as_bytes());
    assert!(code == 1 && err.contains("an ENVI header, whose data are elsewhere"), "{err}");
}

#[test]
fn what_does_not_go_into_cubes() {
    let room = Room::new();
    let x: Array4<f32> = floats([2, 7, 6, 4]);
    room.save("x.npy", &x);
    room.save("i8.npy", &x.slice(s![..1, .., .., ..]).mapv(|v| (v * 100.0) as i8));
    put(&room, "c.img", "c.hdr", &x.slice(s![0, .., .., ..]).to_owned(), "");
    let before = room.names();
    for (args, part) in [
        ("x.npy -o y.hdr", "the output has 2 images of 4 channels and ENVI files hold one"),
        ("i8.npy -o y.hdr", "ENVI files hold no i8: --out-type says which of f32, f64, u8"),
        ("c.hdr -o y.hdr --out-type f16", "ENVI files hold no f16"),
        ("c.hdr -o - --format envi", "output -: an ENVI cube is two files"),
        ("c.hdr --pages all", "--pages is for images, and c.hdr is an ENVI cube"),
        // Bands are no alpha.
        ("c.hdr -o y.png", "the last of 4 channels is no alpha"),
    ] {
        room.run(&format!("run {args} {SAME}")).failed(2, part);
    }
    assert_eq!(room.names(), before);
    room.run(&format!("run i8.npy -o y.hdr --out-type i16 {SAME}")).ok();
    // But pictures go there, and cubes of three bands into pictures.
    room.run(&format!("run c.hdr -o y.tif {SAME}")).ok();
    room.run(&format!("run y.tif -o z.bsq {SAME}")).ok();
    assert_eq!(entry(&room, "z.hdr", "bands"), Some("4".into()));
    let three = x.slice(s![0, .., .., ..3]).mapv(|v| v.abs() * 200.0);
    put(&room, "three.img", "three.hdr", &three, "");
    room.run(&format!("run three.img -o y.png {SAME}")).ok();
    let picture = ImageReader::open(room.at("y.png")).unwrap().decode().unwrap();
    assert_eq!((picture.width(), picture.height()), (6, 7));
}

/// Both files are written, or neither; and nothing is replaced that belongs to something else.
#[test]
fn both_or_none() {
    let room = Room::new();
    let x = cube();
    room.save("x.npy", &x);
    put(&room, "c.img", "c.hdr", &x, "");
    fs::create_dir(room.at("d.hdr")).unwrap();
    fs::create_dir(room.at("e.img")).unwrap();
    fs::write(room.at("f.hdr"), "of something else").unwrap();
    fs::write(room.at("g.hdr"), "ENVI\n").unwrap();
    let mut locked = fs::metadata(room.at("g.hdr")).unwrap().permissions();
    locked.set_readonly(true);
    fs::set_permissions(room.at("g.hdr"), locked).unwrap();
    let before = room.names();
    for (output, part) in [
        ("c.bil", "cannot write c.bil: its header would replace c.hdr, which describes c.img"),
        ("d.img", "cannot write d.img: its header would replace d.hdr"),
        ("e.hdr", "cannot write e.hdr: its data would replace e.img"),
        ("f.img", "cannot write f.img: its header would replace f.hdr, which is none of ENVI"),
        ("g.img", "cannot write g.hdr: the file there is read-only"),
        ("none/y.img", "cannot write none/y.img"),
    ] {
        room.run(&format!("run x.npy -o {output} {SAME}")).failed(1, part);
        assert_eq!(room.names(), before, "{output}");
    }
    // In place, in the order it had or was named.
    let twice = Conv2d::new(Kernel::box_blur(3, 3).unwrap()).padding(Padding::Same);
    let want = Engine::cpu().run(&twice, &x).unwrap();
    room.run("run c.hdr -o c.hdr --kernel box:3 --engine cpu").ok();
    room.run(&format!("run c.img -o y.npy {SAME}")).ok();
    assert_eq!(room.load::<Array3<f32>>("y.npy"), want);
    assert_eq!(entry(&room, "c.hdr", "byte order"), Some("0".into()));
}

#[test]
fn many_at_once() {
    let room = Room::new();
    let x = cube();
    put(&room, "a.img", "a.hdr", &x, "");
    put(&room, "b.bsq", "b.hdr", &x, "");
    room.run(&format!("run a.hdr b.bsq -o out/ {SAME}")).ok();
    room.run(&format!("run a.img b.hdr -o {{stem}}-2.{{ext}} --format envi {SAME}")).ok();
    for name in
        ["out/a.hdr", "out/a.img", "out/b.bsq", "out/b.hdr", "a-2.img", "a-2.hdr", "b-2.hdr"]
    {
        room.run(&format!("run {name} -o y.npy {SAME}")).ok();
        assert_eq!(room.load::<Array3<f32>>("y.npy"), x, "{name}");
    }
    // Two would share a header.
    fs::copy(room.at("a.img"), room.at("b.dat")).unwrap();
    room.run(&format!("run b.bsq b.dat -o out/ {SAME}"))
        .failed(2, "both b.bsq and b.dat would go to");
}
