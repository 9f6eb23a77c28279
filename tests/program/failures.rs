//! Every kind of failure: its exit code, its one line, and nothing left behind.

use std::fs;

use channelwise::ndarray::{Array1, Array2, Array3, Array4, ArrayD};

use super::room::{RemoveAxis, Room, bytes, floats, picture};

#[test]
fn bad_requests() {
    let room = Room::new();
    let x = floats([2, 6, 5, 3]);
    room.save("x.npy", &x);
    room.save("one.npy", &x.slice_move(channelwise::ndarray::s![..1, .., .., ..]));
    room.save("four.npy", &floats([1, 6, 5, 4]));
    room.save("line.npy", &Array1::<f32>::zeros(4));
    room.save("deep.npy", &ArrayD::<f32>::zeros(vec![1, 1, 1, 1, 1]));
    room.save("two.npy", &Array2::<f32>::zeros((2, 2)));
    room.save("bank5.npy", &Array3::<f32>::zeros((3, 3, 5)));
    room.save("inputs.npy", &Array4::<f32>::zeros((3, 3, 2, 1)));
    room.save("empty.npy", &Array2::<f32>::zeros((0, 3)));
    room.save("nothing.npy", &Array1::<f32>::zeros(0));
    picture(&bytes([1, 6, 5, 3]).remove_axis_owned()).save(room.at("x.png")).unwrap();
    picture(&bytes([1, 6, 5, 4]).remove_axis_owned()).save(room.at("alpha.png")).unwrap();
    let before = room.names();
    for (args, part) in [
        // The command line itself.
        ("", "requires a subcommand"),
        ("blur x.npy", "unrecognized subcommand 'blur'"),
        ("run", "required arguments"),
        ("run x.npy", "--kernel"),
        ("run --kernel sharpen", "<INPUT>"),
        ("run x.npy --kernel sharpen --kernel-file two.npy", "cannot be used with"),
        ("run x.npy --kernel sharpen --kernel emboss", "multiple times"),
        ("run x.npy --kernel sharpen --strides 2", "'--strides'"),
        ("run x.npy --kernel sharpen --engine tpu", "'tpu'"),
        ("run x.npy --kernel sharpen --algorithm winograd", "there are auto, "),
        ("run x.npy --kernel sharpen --out-type i64", "'i64'"),
        ("run x.npy --kernel sharpen --border mirror", "there are zero, constant:V"),
        ("run x.npy --kernel sharpen --border constant", "constant:0.5"),
        ("run x.npy --kernel sharpen --activation swish", "there are none, relu"),
        ("run x.npy --kernel sharpen --activation clamp:1", "two numbers"),
        ("run x.npy --kernel sharpen --padding some", "same, valid, full"),
        ("run x.npy --kernel sharpen --padding 1,2", "four"),
        ("run x.npy --kernel sharpen --padding -1", "-1"),
        ("run x.npy --kernel sharpen --stride x", "whole number"),
        ("run x.npy --kernel sharpen --layout chwn", "nhwc and nchw"),
        ("run x.npy --kernel gausian:5", "did you mean gaussian?"),
        ("run x.npy --kernel gaussian", "a size, a sigma or both"),
        ("run x.npy --kernel gaussian:0", "size: 0 is not allowed"),
        // What the library refuses.
        ("run x.npy --kernel sharpen --stride 0", "stride of rows: 0"),
        ("run x.npy --kernel sharpen --dilation 1,0", "dilation of columns: 0"),
        ("run x.npy --kernel sharpen --anchor 3,0", "anchor row: 3"),
        ("run x.npy --kernel sharpen --anchor 1 --padding valid", "anchor"),
        ("run x.npy --kernel box:9 --padding valid", "output height would be 0"),
        ("run x.npy --kernel sobel-x --normalize", "kernel sum"),
        ("run x.npy --kernel sharpen --activation clamp:2,1", "clamp"),
        ("run x.npy --kernel sharpen --engine cpu --algorithm flat", "does not apply"),
        ("run x.npy --kernel sharpen --engine reference --algorithm direct", "reference"),
        // Numbers from files.
        ("run line.npy --kernel sharpen", "1 axes [4]"),
        ("run deep.npy --kernel sharpen", "5 axes"),
        ("run x.npy --kernel-file line.npy", "--kernel-file line.npy: its shape is [4]"),
        ("run x.npy --kernel-file inputs.npy", "[3, 3, 2, 1]"),
        ("run x.npy --kernel-file empty.npy", "kernel height: 0"),
        ("run x.npy --kernel sharpen --bias two.npy", "--bias two.npy: its shape is [2, 2]"),
        ("run x.npy --kernel sharpen --bias nothing.npy", "its shape is [0]"),
        ("run x.npy --kernel sharpen --bias line.npy", "bias: expected shape [1], found [4]"),
        ("run x.npy --kernel sharpen --pointwise line.npy", "[F,G]"),
        ("run x.npy --kernel sharpen --pointwise two.npy", "pointwise weights: expected"),
        // Outputs.
        ("run x.npy one.npy -o y.npy --kernel sharpen", "2 inputs and the one output y.npy"),
        ("run x.npy x.npy -o {stem}-y.npy --kernel sharpen", "both x.npy and x.npy would go to"),
        ("run x.npy -o - --kernel sharpen", "--format says what goes there, one of npy, png"),
        ("run x.npy -o y --kernel sharpen --format gif", "no such format; there are npy, png"),
        ("run - - --kernel sharpen", "standard input, -, is named twice"),
        ("run x.npy -o y.gif --kernel sharpen", "its extension is none of npy, png"),
        ("run x.npy -o y --kernel sharpen", "its extension is none of npy, png"),
        ("run missing.npy -o y.gif --kernel sharpen", "its extension is none of npy"),
        ("run x.npy -o y.png --kernel sharpen", "has 2 images"),
        ("run one.npy -o y.png --kernel-file bank5.npy", "has 15 channels"),
        ("run alpha.png -o y.jpg --kernel sharpen", "4 channels and jpeg files hold 1, 3"),
        ("run x.png -o y.png --kernel sharpen --activation sigmoid", "must be a float"),
        ("run x.png -o y.npy --kernel sharpen --layout nchw", "images are always HWC"),
        ("run one.npy -o y.png --kernel sharpen --layout nchw", "images are always HWC"),
        ("run x.npy --kernel sharpen --pages all", "--pages is for images"),
        ("run alpha.png --kernel-file bank5.npy --alpha keep", "--alpha: each channel needs one"),
        ("run x.png --kernel-file bank5.npy --linear-light", "--linear-light: each channel needs"),
        ("run x.npy --kernel sharpen --alpha premultiply", "of 2 or 4 channels the last is alpha"),
        ("run x.npy --kernel sharpen --linear-light --layout nchw", "--layout is nchw"),
        ("run four.npy --kernel sharpen --linear-light", "4 channels without alpha are no colours"),
        ("run x.png --kernel sharpen --alpha some", "'some'"),
    ] {
        println!("{args}");
        room.run(args).failed(2, part);
    }
    assert_eq!(room.names(), before);
}

/// The first of these bytes as others.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|part| part == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn failed_work() {
    let room = Room::new();
    let x = floats([1, 6, 5, 3]);
    room.save("x.npy", &x);
    room.save("complex.npy", &x.mapv(f64::from));
    let complex = fs::read(room.at("complex.npy")).unwrap();
    fs::write(room.at("complex.npy"), replaced(&complex, b"<f8", b"<c8")).unwrap();
    let whole = fs::read(room.at("x.npy")).unwrap();
    fs::write(room.at("half.npy"), &whole[..whole.len() / 2]).unwrap();
    fs::write(room.at("head.npy"), &whole[..40]).unwrap();
    fs::write(room.at("long.npy"), [&whole[..], b"more"].concat()).unwrap();
    fs::write(room.at("text.npy"), "no numbers").unwrap();
    fs::write(room.at("text.png"), "no picture").unwrap();
    fs::write(room.at("void.png"), "").unwrap();
    let large = picture(&bytes([1, 60, 50, 3]).remove_axis_owned());
    for name in ["half.png", "half.jpg", "half.webp", "half.bmp"] {
        large.save(room.at(name)).unwrap();
        let whole = fs::read(room.at(name)).unwrap();
        fs::write(room.at(name), &whole[..whole.len() / 2]).unwrap();
    }
    fs::create_dir(room.at("folder.npy")).unwrap();
    fs::write(room.at("kept.npy"), "mine").unwrap();
    let mut locked = fs::metadata(room.at("kept.npy")).unwrap().permissions();
    locked.set_readonly(true);
    fs::set_permissions(room.at("kept.npy"), locked).unwrap();
    let before = room.names();
    for (input, part) in [
        ("missing.npy", "cannot read missing.npy"),
        ("missing.png", "cannot read missing.png"),
        ("folder.npy", "cannot read folder.npy"),
        ("half.npy", "truncated"),
        ("head.npy", "ends within its header"),
        ("long.npy", "bytes follow the data"),
        ("text.npy", "not a .npy file"),
        ("text.png", "known kind of image"),
        ("void.png", "known kind of image"),
        ("complex.npy", "complex64 (<c8); floats of 16 to 64 bits, integers and bool are"),
        ("half.png", "cannot read half.png"),
        ("half.jpg", "truncated"),
        ("half.webp", "cannot read half.webp"),
        ("half.bmp", "cannot read half.bmp"),
    ] {
        println!("{input}");
        room.run(&format!("run {input} -o y.npy --kernel sharpen --engine cpu")).failed(1, part);
        if input.ends_with(".npy") {
            for option in
                ["--kernel-file", "--kernel sharpen --bias", "--kernel sharpen --pointwise"]
            {
                room.run(&format!("run x.npy -o y.npy {option} {input}")).failed(1, part);
            }
        }
    }
    for (output, part) in [
        ("missing/y.npy", "cannot write missing/y.npy"),
        ("x.npy/y.npy", "cannot write x.npy/y.npy"),
        ("kept.npy", "read-only"),
        #[cfg(target_os = "linux")]
        ("/proc/y.npy", "cannot write /proc/y.npy"),
    ] {
        println!("{output}");
        room.run(&format!("run x.npy -o {output} --kernel sharpen --engine cpu")).failed(1, part);
    }
    assert_eq!(room.names(), before);
    assert_eq!(fs::read(room.at("kept.npy")).unwrap(), b"mine");
}
