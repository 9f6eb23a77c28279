//! Disks that are full or fail, calls that a signal interrupts, and signals that end the program at any time.
//!
//! What is written is whole or absent, and the next run is as if nothing had been.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use super::room::{Ran, RemoveAxis, Room, bytes, floats, picture};

const EINTR: u32 = 4;
const EIO: u32 = 5;
const ENOSPC: u32 = 28;

/// The library of `shim.rs`, compiled once.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libfaults.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/faults/shim.rs");
        let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
        let mut command = Command::new(rustc);
        command.args(["--edition", "2024", "--crate-type", "cdylib", "-C", "panic=abort", "-o"]);
        assert!(command.args([place.as_os_str(), source.as_ref()]).status().unwrap().success());
        place
    })
}

/// Which calls fail, and how.
#[derive(Clone, Copy, Debug)]
struct Fault {
    calls: &'static str,
    first: usize,
    errno: u32,
}

impl Fault {
    fn run(self, room: &Room, args: &str) -> Ran {
        let Self { calls, first, errno } = self;
        let folder = fs::canonicalize(room.at("")).unwrap();
        let env = [
            ("LD_PRELOAD", shim().to_str().unwrap()),
            ("FAULT_FOLDER", folder.to_str().unwrap()),
            ("FAULT_CALLS", calls),
            ("FAULT_FIRST", &first.to_string()),
            ("FAULT_ERRNO", &errno.to_string()),
        ];
        room.run_with(args, &env)
    }
}

/// Each call that reads or writes fails in turn, until there is none left to fail: only interrupted ones fail no run.
fn in_turn(
    room: &Room,
    command: &str,
    (calls, errno): (&'static str, u32),
    mut check: impl FnMut(Fault, Ran),
) {
    for first in 1.. {
        let fault = Fault { calls, first, errno };
        let ran = fault.run(room, command);
        let ended = ran.code == 0;
        check(fault, ran);
        if ended {
            assert_eq!(first == 1, errno == EINTR, "{command}: {fault:?}");
            return;
        }
    }
}

/// All files below a folder, by their names there.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().to_path_buf();
                    found.push((name, fs::read(&path).unwrap()));
                }
            }
        }
    }
    found.sort();
    found
}

/// What is at a place: a file and its header, or a folder; nothing where it is absent.
fn there(room: &Room, name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = tree(&room.at(""));
    let stem = name.split('.').next().unwrap();
    let mine = |path: &Path| {
        let first = path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        first.split('.').next() == Some(stem) && !first.contains(".partial")
    };
    all.retain(|(path, _)| mine(path));
    all
}

fn remove(room: &Room, name: &str) {
    let stem = name.split('.').next().unwrap();
    for found in room.names() {
        if found.split('.').next() == Some(stem) || found.starts_with(".channelwise-") {
            let path = room.at(&found);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
    }
}

/// A folder with the same data in several formats.
fn room(shape: [usize; 4]) -> Room {
    let room = Room::new();
    let x = bytes(shape).remove_axis_owned();
    picture(&x).save(room.at("x.png")).unwrap();
    room.save("x.npy", &x);
    room.run("run x.npy -o x.tif --kernel identity --engine cpu").ok();
    room
}

const OPTIONS: &str = "--kernel gaussian:5,1.2 --border reflect101 --engine cpu";

/// Whole files: each read and each write fails in turn. What was there before stays, and nothing is added.
#[test]
fn whole_files() {
    let room = room([1, 90, 70, 3]);
    for (input, output) in
        [("x.npy", "y.npy"), ("x.png", "y.png"), ("x.tif", "y.tif"), ("x.npy", "y.hdr")]
    {
        let command = format!("run {input} -o {output} {OPTIONS}");
        room.run(&command).ok();
        let want = there(&room, output);
        remove(&room, output);
        let before = tree(&room.at(""));
        for (calls, errno, place) in
            [("w", ENOSPC, "y."), ("w", EIO, "y."), ("r", EIO, input), ("rw", EINTR, "")]
        {
            in_turn(&room, &command, (calls, errno), |fault, ran| {
                if ran.code == 0 {
                    assert!(there(&room, output) == want, "{output}, {fault:?}");
                    remove(&room, output);
                    return;
                }
                ran.failed(1, place);
                assert!(tree(&room.at("")) == before, "{output}, {fault:?}");
            });
        }
    }
}

/// The least memory for a stream.
fn least(room: &Room, command: &str) -> u64 {
    let told = room.run(&format!("{command} --memory 1K")).err;
    let mut numbers = told.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    numbers.next_back().unwrap_or_else(|| panic!("{told}"))
}

/// Streams: each read and each write fails in turn, in one piece and in a part of two. Another run goes on with what is
/// there, and makes what a run without a fault does.
#[test]
fn streams() {
    let room = room([1, 90, 70, 3]);
    for (input, output, more) in [
        ("x.npy", "y.npy", ""),
        ("x.tif", "y.tif", ""),
        ("x.npy", "y.hdr", ""),
        ("x.npy", "y.zarr", "--chunks 30,70"),
    ] {
        let command = format!("run {input} -o {output} {OPTIONS} {more}");
        let command = format!("{command} --memory {}", least(&room, &command));
        room.run(&command).ok();
        let want = there(&room, output);
        remove(&room, output);
        // What is read may be what an earlier run left, too.
        for (calls, errno, place) in [("w", ENOSPC, "y."), ("r", EIO, "."), ("rw", EINTR, "")] {
            in_turn(&room, &command, (calls, errno), |fault, ran| {
                if ran.code == 0 {
                    assert!(there(&room, output) == want, "{output}, {fault:?}");
                    remove(&room, output);
                    return;
                }
                ran.failed(1, place);
                let named = [input, output].iter().any(|name| ran.err.contains(name));
                assert!(named, "{}", ran.err);
                if output != "y.zarr" {
                    assert!(!room.at(output).exists(), "{output}, {fault:?}");
                }
                // Chunks are whole or absent.
                for (name, data) in there(&room, output) {
                    let whole = want.iter().any(|(other, want)| *other == name && *want == data);
                    assert!(whole, "{}, {fault:?}", name.display());
                }
                room.run(&format!("{command} --resume")).ok();
                assert!(there(&room, output) == want, "{output}, {fault:?}");
                assert!(!room.names().iter().any(|name| name.contains("partial")), "{fault:?}");
                remove(&room, output);
            });
        }
    }
}

/// Clocks that jump with every look at them, and a file from before 1970: nothing is another, and nothing waits.
#[test]
fn clocks_that_jump() {
    let room = room([1, 90, 70, 3]);
    let input = fs::File::options().write(true).open(room.at("x.npy")).unwrap();
    input.set_modified(SystemTime::UNIX_EPOCH - Duration::from_secs(600_000_000)).unwrap();
    for (output, more) in [("y.npy", ""), ("y.tif", "--memory 20M"), ("y.zarr", "--chunks 30,70")] {
        let command = format!("run x.npy -o {output} {OPTIONS} {more}");
        room.run(&command).ok();
        let want = there(&room, output);
        remove(&room, output);
        let env = [("LD_PRELOAD", shim().to_str().unwrap()), ("FAULT_CLOCK", "1")];
        let start = Instant::now();
        room.run_with(&command, &env).ok();
        assert!(start.elapsed() < Duration::from_secs(60), "{output}");
        assert!(there(&room, output) == want, "{output}");
        remove(&room, output);
    }
}

/// Ends the program at a time, counted from its start or from when it begins to write; whether it was ended so.
fn ended(room: &Room, args: &str, (after, writes): (Duration, bool), signal: &str) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_channelwise"));
    command.current_dir(room.at("")).args(args.split_whitespace());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = || {
        let new = |name: &String| name.starts_with(".channelwise-") || name.starts_with("y.");
        let len = |name: String| fs::metadata(room.at(&name)).map_or(0, |there| there.len());
        room.names().into_iter().filter(new).map(len).any(|len| len > 0)
    };
    while writes && !begun() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_micros(50));
    }
    std::thread::sleep(after);
    let pid = child.id().to_string();
    // It may be done already, and yet is somebody until it is waited for.
    assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    child.wait().unwrap().code().is_none()
}

/// SIGTERM and SIGKILL at forty times, whole and in parts: what is there is whole or absent, and the next run makes all.
#[test]
fn signals_at_any_time() {
    let room = Room::new();
    room.save("x.npy", &bytes([1, 350, 300, 3]).remove_axis_owned());
    room.save("k.npy", &floats([1, 7, 7, 1]).into_shape_with_order((7, 7)).unwrap());
    let options = "--kernel-file k.npy --border reflect --out-type f64 --engine cpu";
    let mut seed = 11u32;
    let mut ends = 0;
    let mut partly = 0;
    for (output, more, resumes) in
        [("y.npy", "", false), ("y.npy", "--memory 20M", true), ("y.zarr", "--chunks 35,300", true)]
    {
        let command = format!("run x.npy -o {output} {options} {more}");
        let start = Instant::now();
        room.run(&command).ok();
        let (time, want) = (start.elapsed(), there(&room, output));
        remove(&room, output);
        for n in 0..if resumes { 13 } else { 14 } {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Half of them as it writes, which it does for some milliseconds.
            let writes = n % 4 > 1;
            let longest = if writes { Duration::from_millis(2) } else { time };
            let after = longest.mul_f64(f64::from(seed >> 8) / f64::from(1 << 24));
            let signal = ["TERM", "KILL"][n % 2];
            ends += usize::from(ended(&room, &command, (after, writes), signal));
            let found = there(&room, output);
            partly += usize::from(!found.is_empty() && found.len() < want.len());
            for (name, data) in &found {
                // Of a chunk that is being written there is a file of another name.
                let unfinished = name.to_string_lossy().contains("unfinished");
                let whole = want.contains(&(name.clone(), data.clone()));
                assert!(unfinished || whole, "{}: {signal} after {after:?}", name.display());
            }
            let others = room.names().into_iter().filter(|name| {
                let known = ["x.npy", "k.npy", output].contains(&&**name);
                !known && !name.starts_with(".channelwise-") && !name.contains(".partial")
            });
            assert_eq!(others.count(), 0, "{:?}", room.names());
            let again = if resumes { "--resume" } else { "" };
            room.run(&format!("{command} {again}")).ok();
            let mut made = there(&room, output);
            made.retain(|(name, _)| !name.to_string_lossy().contains("unfinished"));
            assert!(made == want, "{output} {more}: {signal} after {after:?}");
            remove(&room, output);
        }
    }
    assert!(ends >= 20, "{ends} of 40 were ended");
    assert!(partly > 0, "no chunks were there when it was ended");
}
