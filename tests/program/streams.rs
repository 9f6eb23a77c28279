//! Arrays that go through part by part: the same answers in little memory, by several processes some of which are
//! killed, and past disks that are full.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use channelwise::ndarray::{Array2, Array3, Array4, ArrayD, s};
use serde_json::Value;

use super::room::{Room, bytes, floats};

/// Elements of whatever type as they are written, and their shape.
fn array(room: &Room, name: &str) -> (Vec<usize>, String, Vec<u8>) {
    if !name.ends_with(".zarr") {
        return room.npy(name);
    }
    room.run(&format!("run {name} -o of-zarr.npy --kernel identity --engine cpu")).ok();
    room.npy("of-zarr.npy")
}

#[test]
fn the_same_answers_part_by_part() {
    let room = Room::new();
    room.save("x.npy", &bytes([2, 700, 500, 3]));
    room.save("m.npy", &floats([1, 900, 800, 1]).into_shape_with_order((900, 800)).unwrap());
    for options in [
        "--kernel gaussian:9,2 --border reflect",
        "--kernel sobel-x --border wrap --out-type f32",
        "--kernel box:5 --stride 2,3 --border replicate --out-type i16",
        "--kernel gaussian:31,5 --dilation 1,2 --padding full --flip",
        "--kernel sharpen --padding valid --layout nchw --activation relu --bias 3",
        "--kernel laplacian4 --skip-nan --border reflect101 --out-type f32",
    ] {
        for input in ["x.npy", "m.npy"] {
            room.run(&format!("run {input} -o whole.npy --engine cpu {options}")).ok();
            let want = room.npy("whole.npy");
            let run = |io: &str| {
                let ran = room.run(&format!("run {io} --engine cpu {options} --json")).ok();
                let told: Value = serde_json::from_str(&ran.out).unwrap();
                assert!(told["stream"]["steps"].as_u64().unwrap() > 0, "{}", ran.out);
                let shape: Vec<usize> =
                    serde_json::from_value(told["shapes"]["output"].clone()).unwrap();
                assert_eq!(shape, want.0, "{io} {options}");
            };
            run(&format!("{input} -o part.npy --memory 150M"));
            assert!(room.npy("part.npy") == want, "{input} {options}");
            run(&format!("{input} -o part.zarr --chunks 100,130"));
            assert!(array(&room, "part.zarr") == want, "{input} to zarr, {options}");
            room.run(&format!("run {input} -o x.zarr --kernel identity --chunks 64,90")).ok();
            run("x.zarr -o other.zarr");
            assert!(array(&room, "other.zarr") == want, "{input} from zarr, {options}");
        }
    }
    let text = room.run("run x.npy -o y.npy --kernel sharpen --memory 100M --engine cpu").ok().out;
    assert!(text.contains("within 100 MiB") && text.contains("wrote      y.npy"), "{text}");
    // Nothing is left beside.
    assert!(!room.names().iter().any(|name| name.contains("partial") || name.starts_with('.')));
}

/// Cubes in each order of samples: the same files, header and data, as the whole gives; killed ones go on.
#[test]
fn cubes_part_by_part() {
    let room = Room::new();
    let x = floats([1, 300, 200, 7]).into_shape_with_order((300, 200, 7)).unwrap();
    room.save("x.npy", &x.mapv(|v| (v * 3000.0) as i16));
    let options = "--kernel gaussian:7,1.5 --border reflect --engine cpu";
    for from in ["bip", "bil", "bsq"] {
        let input = format!("x-{from}.{from}");
        room.run(&format!("run x.npy -o {input} --kernel identity")).ok();
        let header = room.at(&format!("x-{from}.hdr"));
        let said = fs::read_to_string(&header).unwrap();
        let more = "wavelength = {1, 2, 3, 4, 5, 6, 7}\nmap info = {UTM, 1, 1}\n";
        fs::write(&header, said + more).unwrap();
        for (layout, shape) in [("nhwc", "300x200x7"), ("nchw", "7x300x200")] {
            for to in ["bip", "bil", "bsq"] {
                let run = |name: &str, more: &str| {
                    let files = format!("{input} -o {name}.{to} --layout {layout}");
                    room.run(&format!("run {files} {options} {more}")).ok()
                };
                run("whole", "");
                let told = run("part", "--memory 60M").out;
                assert!(told.contains("within 60 MiB") && told.contains(shape));
                for extension in ["hdr", to] {
                    let file =
                        |name: &str| fs::read(room.at(&format!("{name}.{extension}"))).unwrap();
                    assert!(file("part") == file("whole"), "{input} to {to}: {extension}");
                }
                let text = fs::read_to_string(room.at("part.hdr")).unwrap();
                assert!(text.contains("wavelength = {1") && text.contains("map info"), "{text}");
                for name in ["part", "whole"] {
                    fs::remove_file(room.at(&format!("{name}.hdr"))).unwrap();
                    fs::remove_file(room.at(&format!("{name}.{to}"))).unwrap();
                }
            }
        }
    }
    // Into others and back; places that move are not told.
    room.run("run x.npy -o c.bil --kernel identity --memory 60M").ok();
    room.run(&format!("run c.hdr -o c.zarr {options} --stride 2")).ok();
    room.run("run c.zarr -o d.bsq --kernel identity").ok();
    room.run(&format!("run x.npy -o want.npy {options} --stride 2")).ok();
    room.run("run d.bsq -o got.npy --kernel identity --engine cpu").ok();
    assert!(room.npy("got.npy") == room.npy("want.npy"));
    for (args, part) in [
        ("x.npy -o e.bip --out-type f16 --memory 60M", "no number for this type"),
        ("b.npy -o e.bip --memory 60M", "one image"),
        ("c.bil -o d.hdr --memory 1K", "memory budget"),
    ] {
        room.save("b.npy", &bytes([2, 9, 9, 3]));
        let ran = room.run(&format!("run {args} --kernel sharpen"));
        assert!(ran.code == 2 && ran.err.contains(part), "{args}: {}", ran.err);
    }
    assert!(!room.names().iter().any(|name| name.starts_with('e') || name.contains("partial")));
}

/// Alpha and light as the whole has them.
#[test]
fn pixels_part_by_part() {
    let room = Room::new();
    let x = floats([2, 150, 170, 4]).mapv(|v| v.abs() % 1.0);
    room.save("u8.npy", &x.mapv(|v| (v * 255.0) as u8));
    room.save("u16.npy", &x.mapv(|v| (v * 65_535.0) as u16));
    room.save("f32.npy", &x);
    room.run("run f32.npy -o f16.npy --kernel identity --engine cpu --out-type f16").ok();
    room.save("grey.npy", &x.mapv(|v| (v * 255.0) as u8).slice(s![.., .., .., ..2]).to_owned());
    for name in ["u8", "u16", "f32", "f16", "grey"] {
        room.run(&format!(
            "run {name}.npy -o {name}.tif --kernel identity --engine cpu --alpha filter"
        ))
        .ok();
        for options in [
            "--kernel gaussian:5,1.5",
            "--kernel box:3 --linear-light --border replicate --stride 2",
            "--kernel gaussian:5,1 --alpha premultiply --linear-light --out-type f32",
            "--kernel sobel-x --alpha premultiply --out-type i16",
        ] {
            let files =
                [format!("{name}.tif --pages all"), format!("{name}.npy --alpha premultiply")];
            for input in &files[..1 + usize::from(!options.contains("--alpha"))] {
                let run = |to: &str, more: &str| {
                    let line = format!("run {input} -o {to} {options} --engine cpu {more}");
                    room.run(&line).ok()
                };
                let whole = run("whole.npy", "");
                let want = room.npy("whole.npy");
                assert!(whole.out.contains("colours "), "{}", whole.out);
                let part = run("part.npy", "--memory 40M");
                assert!(part.out.contains("colours ") && part.out.contains("within 40 MiB"));
                assert!(room.npy("part.npy") == want, "{input} {options}");
                run("part.tif", "--memory 40M");
                run("whole.tif", "");
                let back = |from: &str| {
                    let line =
                        format!("run {from}.tif -o {from}.npy --kernel identity --engine cpu");
                    let ran = room.run(&format!("{line} --pages all")).ok();
                    (room.npy(&format!("{from}.npy")), ran.out.contains("weighed by alpha"))
                };
                // Alpha is said to be alpha by both.
                assert!(back("part") == back("whole"), "{input} {options}");
            }
        }
    }
    let edges = "run u8.tif -o y.tif --pages all --kernel sobel-x --memory 1G";
    room.run(edges).failed(2, "alpha, which is kept as a whole alone");
    room.run(&format!("{edges} --alpha filter")).ok();
}

/// Any number of axes in front, and integers of 64 bits.
#[test]
fn more_axes_and_types() {
    let room = Room::new();
    let x =
        ArrayD::from_shape_fn(vec![2, 3, 4, 20, 30], |i| (i[0] + 2 * i[1] + i[3] * i[4]) as i64);
    room.save("x.npy", &x);
    // By one algorithm: which is planned for many planes and for one of them depends on the machine.
    let how = "--kernel box:3 --engine cpu --algorithm direct";
    let ran = room.run(&format!("run x.npy -o y.zarr --layout nchw {how}")).ok();
    assert!(ran.err.contains("int64"), "{}", ran.err);
    room.run("run y.zarr -o y.npy --kernel identity --layout nchw --engine cpu").ok();
    let y: ArrayD<f64> = room.load("y.npy");
    assert_eq!(y.shape(), x.shape());
    let plane = Array2::from_shape_fn((20, 30), |(h, w)| (1 + 4 + h * w) as f64);
    room.save("plane.npy", &plane);
    room.run(&format!("run plane.npy -o want.npy {how}")).ok();
    let want: Array2<f64> = room.load("want.npy");
    let got = y.index_axis_move(channelwise::ndarray::Axis(0), 1);
    let got = got.index_axis_move(channelwise::ndarray::Axis(0), 2);
    assert_eq!(got.index_axis_move(channelwise::ndarray::Axis(0), 3), want.into_dyn());
}

fn spawn(room: &Room, args: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_channelwise"));
    command.current_dir(room.at("")).args(args.split_whitespace());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// How much a process has told to be written: lines of its journal, or chunks.
fn written(room: &Room, output: &str, share: &str) -> usize {
    if output.ends_with(".npy") {
        let journal = room.at(&format!("{output}.partial.{share}"));
        return fs::read_to_string(journal)
            .map_or(0, |text| text.lines().count().saturating_sub(2));
    }
    fn count(folder: &Path) -> usize {
        let Ok(entries) = fs::read_dir(folder) else { return 0 };
        let entries = entries.map(|entry| entry.unwrap());
        entries
            .map(|entry| match entry.file_type().unwrap().is_dir() {
                true => count(&entry.path()),
                false => usize::from(!entry.file_name().to_string_lossy().contains("unfinished")),
            })
            .sum()
    }
    count(&room.at(output).join("c"))
}

/// Seven processes, three of them killed in the middle and run again, give what one does, bit by bit.
#[test]
fn shards_that_are_killed() {
    let room = Room::new();
    room.save("x.npy", &bytes([1, 1500, 1400, 3]).into_shape_with_order((1500, 1400, 3)).unwrap());
    let kernel = floats([1, 21, 21, 1]).into_shape_with_order((21, 21)).unwrap();
    room.save("k.npy", &kernel);
    let options = "--kernel-file k.npy --border wrap --out-type f64 --engine cpu";
    room.run(&format!("run x.npy -o want.npy {options}")).ok();
    let want = room.npy("want.npy");
    for (output, chunks) in [("y.npy", ""), ("y.zarr", "--chunks 40,50")] {
        let shard = |n: usize, more: &str| {
            format!("run x.npy -o {output} {options} {chunks} --memory 90M --shard {n}/7 {more}")
        };
        let (mut killed, mut again) = (0, 0);
        for n in [3, 1, 7, 2, 5, 4, 6] {
            if n % 2 == 0 {
                let before = written(&room, output, &format!("{n}-of-7"));
                let mut child = spawn(&room, &shard(n, ""));
                let start = Instant::now();
                // As soon as something of it is there.
                while written(&room, output, &format!("{n}-of-7")) <= before
                    && child.try_wait().unwrap().is_none()
                {
                    assert!(start.elapsed() < Duration::from_secs(60), "{n}");
                    std::thread::sleep(Duration::from_millis(1));
                }
                child.kill().unwrap();
                // A signal, unless it was done already.
                killed += usize::from(child.wait().unwrap().code().is_none());
            } else {
                room.run(&shard(n, "")).ok();
            }
        }
        for n in [6, 2, 4] {
            let ran = room.run(&shard(n, "--resume --json")).ok();
            let told: Value = serde_json::from_str(&ran.out).unwrap();
            again += usize::from(told["stream"]["skipped"].as_u64().unwrap() > 0);
        }
        assert!(killed > 0 && again > 0, "{output}: {killed} killed, {again} went on");
        assert!(array(&room, output) == want, "{output}");
        let text = room.run(&shard(7, "--resume")).ok().out;
        assert!(text.contains("part 7 of 7"), "{text}");
        let _ = fs::remove_file(room.at("y.npy.partial"));
    }
}

/// One process that is killed, and the same command again, with `--resume` and without.
#[test]
fn killed_and_run_again() {
    let room = Room::new();
    room.save("x.npy", &bytes([1, 1500, 1400, 3]).into_shape_with_order((1500, 1400, 3)).unwrap());
    room.save("k.npy", &floats([1, 21, 21, 1]).into_shape_with_order((21, 21)).unwrap());
    let options = "--kernel-file k.npy --border reflect --out-type f64 --engine cpu --memory 90M";
    room.run(&format!("run x.npy -o want.npy {options}")).ok();
    let want = room.npy("want.npy");
    for output in ["y.npy", "y.zarr"] {
        for more in ["--resume", ""] {
            let command = format!("run x.npy -o {output} {options}");
            let mut child = spawn(&room, &command);
            while written(&room, output, "1-of-1") == 0 && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(output == "y.zarr" || !room.at(output).exists());
            room.run(&format!("{command} {more}")).ok();
            assert!(array(&room, output) == want, "{output} {more}");
            let _ = fs::remove_file(room.at("y.npy"));
        }
    }
    // Another job does not go on with it.
    let mut child = spawn(&room, &format!("run x.npy -o y.npy {options}"));
    while written(&room, "y.npy", "1-of-1") == 0 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    if child.wait().unwrap().code().is_none() {
        let other = options.replace("reflect", "wrap");
        room.run(&format!("run x.npy -o y.npy {other} --resume")).failed(1, "of another job");
    }
}

/// What is written before the disk is full stays valid, and the rest follows when there is room.
#[cfg(unix)]
#[test]
fn a_disk_that_is_full() {
    let room = Room::new();
    // One of the last chunks does not pack.
    let mut x = Array3::<u8>::zeros((600, 500, 3));
    let noise = bytes([1, 100, 500, 3]);
    x.slice_mut(channelwise::ndarray::s![400..500, .., ..])
        .assign(&noise.index_axis_move(channelwise::ndarray::Axis(0), 0));
    room.save("x.npy", &x);
    // A row of chunks at a time.
    let command = |memory: &str| {
        let options = "--kernel sharpen --engine cpu --chunks 100,500";
        format!("run x.npy -o y.zarr {options} --memory {memory}")
    };
    let told = room.run(&command("1K")).err;
    let least = told.split_whitespace().filter_map(|word| word.parse::<u64>().ok()).next_back();
    let command = command(&least.unwrap().to_string());
    let program = env!("CARGO_BIN_EXE_channelwise");
    // No file may have more than 32 KiB.
    let limited = format!("trap '' XFSZ; ulimit -f 64; exec {program} {command}");
    let output =
        Command::new("sh").args(["-c", &limited]).current_dir(room.at("")).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("channelwise: ")).collect();
    assert!(lines.len() == 1 && lines[0].contains("cannot write y.zarr"), "{text}");
    assert!(lines[0].contains("c/4/0/0") && lines[0].contains("--resume"), "{text}");
    assert!(written(&room, "y.zarr", "") >= 1);
    let names = |folder: &Path| fs::read_dir(folder).unwrap().count();
    assert_eq!(names(&room.at("y.zarr/c/4/0")), 0, "nothing is left of the chunk that failed");
    let told = room.run(&format!("{command} --resume --json")).ok();
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert!(told["stream"]["skipped"].as_u64().unwrap() > 0);
    room.run("run x.npy -o want.npy --kernel sharpen --engine cpu").ok();
    assert!(array(&room, "y.zarr") == room.npy("want.npy"));
}

#[test]
fn what_is_refused_in_one_line() {
    let room = Room::new();
    room.save("x.npy", &bytes([1, 60, 50, 3]).into_shape_with_order((60, 50, 3)).unwrap());
    super::picture(&Array3::zeros((8, 8, 3))).save(room.at("p.png")).unwrap();
    room.run("run x.npy -o x.zarr --kernel identity --engine cpu").ok();
    room.save("four.npy", &bytes([1, 60, 50, 4]));
    room.run("run four.npy -o a.tif --kernel identity --engine cpu --alpha filter").ok();
    room.save("p2.npy", &Array2::<f32>::ones((1, 2)));
    room.save("deep.npy", &bytes([1, 60, 50, 3]).mapv(|v| u16::from(v) << 8));
    room.run("run deep.npy -o w.tif --kernel identity --engine cpu").ok();
    fs::create_dir(room.at("empty")).unwrap();
    for (args, code, part) in [
        ("x.npy -o y.npy --memory 1K", 2, "memory budget: 1024 is not allowed"),
        ("x.npy -o y.npy --memory lots", 2, "bytes are needed"),
        ("x.npy -o y.npy --shard 8/7", 2, "a part and their number"),
        ("x.npy --resume", 2, "--output"),
        ("x.npy -o y.png --memory 1G", 2, "goes to .npy, .tif, .zarr or an ENVI file"),
        ("x.npy -o y.npy --chunks 8,8", 2, "only Zarr arrays and TIFF files have chunks"),
        ("x.npy -o y.zarr --chunks 0,8", 2, "one row and one column"),
        ("p.png -o y.zarr", 2, "cannot be taken part by part"),
        ("- -o y.zarr", 1, "no such file"),
        ("x.zarr -o y.png", 2, "goes to .npy, .tif, .zarr or an ENVI file"),
        ("x.zarr -o x.zarr", 1, "it is the input"),
        ("x.npy -o y.tif --chunks 8,8", 2, "multiples of 16"),
        ("x.npy -o y.tif --memory 1G --layout nchw", 2, "[height, width, channels]"),
        ("a.tif -o y.tif --memory 1G --alpha keep", 2, "--alpha keep is of a whole tensor"),
        (
            "a.tif -o y.tif --memory 1G --linear-light --out-type f64 --pointwise p2.npy",
            2,
            "one output",
        ),
        ("a.tif -o y.tif --memory 1K", 2, "of 1024 bytes 768 are for floats"),
        ("w.tif -o y.tif --memory 1G --out-type u8", 2, "w.tif has 16 bits"),
        ("x.npy -o y.npy --memory 1G --pages all", 2, "--pages is for images"),
        ("x.zarr -o y.npy --verify", 2, "--verify is of a whole tensor"),
        ("x.zarr -o y.npy --region 0:4,0:4", 2, "--region is of a whole tensor"),
        ("x.zarr -o y.npy --engine reference", 2, "--engine reference is of a whole tensor"),
        ("x.zarr -o y.npy --adjoint", 2, "--adjoint is of a whole tensor"),
        ("empty -o y.npy", 1, "a folder without a Zarr array"),
        ("none.zarr -o y.npy --memory 1G", 1, "no such file"),
    ] {
        room.run(&format!("run {args} --kernel sharpen")).failed(code, part);
    }
    assert!(!room.names().iter().any(|name| name.starts_with("y.")), "{:?}", room.names());
    fs::write(room.at("kept.npy"), "mine").unwrap();
    let mut locked = fs::metadata(room.at("kept.npy")).unwrap().permissions();
    locked.set_readonly(true);
    fs::set_permissions(room.at("kept.npy"), locked).unwrap();
    room.run("run x.npy -o kept.npy --kernel sharpen --memory 1G").failed(1, "read-only");
    // An array of another kind lies there.
    fs::write(room.at("x.zarr/zarr.json"), "{").unwrap();
    room.run("run x.zarr -o y.npy --kernel sharpen").failed(1, "x.zarr");
    room.run("run x.npy -o x.zarr --kernel sharpen").failed(1, "it is not replaced");
}

/// Kernels, biases and pointwise steps are read as ever, and the first note is said once.
#[test]
fn several_files_at_once() {
    let room = Room::new();
    for name in ["a.npy", "b.npy"] {
        room.save(name, &floats([1, 70, 80, 2]));
    }
    let x: Array4<f32> = room.load("a.npy");
    assert_eq!(x.dim(), (1, 70, 80, 2));
    let ran = room.run("run a.npy b.npy -o {stem}-y.zarr --kernel gaussian:5 --engine cpu").ok();
    assert_eq!(ran.out.lines().count(), 2, "{}", ran.out);
    assert!(ran.out.lines().all(|line| line.contains("within") && line.contains("-y.zarr")));
    room.run("run a.npy b.npy -o {stem}-z.npy --kernel gaussian:5 --engine cpu").ok();
    assert!(array(&room, "b-y.zarr") == room.npy("b-z.npy"));
}
