//! The example `live`, seen from outside: its window on a virtual X server, whose screen is read and held
//! to the CPU engine. `run.sh` installs and builds what this needs; `cargo test` alone leaves it out.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use channelwise::color::{self, AlphaMode};
use channelwise::{Border, Conv2d, Engine, Kernel};
use image::RgbaImage;
use ndarray::Array3;

/// Ends the program when the test does, also where it fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tries until there is something, for a minute.
fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        sleep(Duration::from_millis(100));
    }
}

/// Red, green and blue of the screen, from the server's own memory (an XWD file): width and bytes.
fn screen(file: &Path) -> (usize, Vec<[u8; 3]>) {
    let bytes = fs::read(file).unwrap();
    let number = |at: usize| u32::from_be_bytes(bytes[4 * at..][..4].try_into().unwrap()) as usize;
    let [header, width, height] = [0, 4, 5].map(number);
    let [order, bits, pitch, colors] = [7, 11, 12, 19].map(number);
    assert_eq!((order, bits), (0, 32), "a screen of another kind than was asked for");
    let rows = bytes[header + 12 * colors..].chunks(pitch).take(height);
    let pixels = rows.flat_map(|row| row.chunks(4).take(width).map(|p| [p[2], p[1], p[0]]));
    (width, pixels.collect())
}

/// What the CPU makes of the frame, opaque as it is.
fn filtered(source: &RgbaImage, conv: &Conv2d, linear: bool) -> Vec<[u8; 3]> {
    let shape = (source.height() as usize, source.width() as usize, 4);
    let mut x: Vec<f32> = source.iter().map(|v| f32::from(*v) / 255.0).collect();
    color::decode(&mut x, 4, AlphaMode::Filter, linear);
    let x = Array3::from_shape_vec(shape, x).unwrap();
    let mut y = Engine::cpu().run(conv, &x).unwrap().into_raw_vec_and_offset().0;
    color::encode(&mut y, 4, AlphaMode::Filter, linear);
    let byte = |v: f32| (v.clamp(0.0, 1.0) * 255.0).round() as u8;
    y.chunks(4).map(|p| [p[0], p[1], p[2]].map(byte)).collect()
}

/// The largest difference from the top left of the screen, which is where the window is.
fn off(shown: &(usize, Vec<[u8; 3]>), want: &[[u8; 3]], width: usize) -> u8 {
    let rows = shown.1.chunks(shown.0).zip(want.chunks(width));
    let pairs = rows.flat_map(|(shown, want)| shown.iter().zip(want));
    pairs.flat_map(|(a, b)| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b))).max().unwrap()
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp", "-fbdir"])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Xvfb, which run.sh installs");
    let told = server.stdout.take().unwrap();
    let _server = Running(server);
    let mut number = String::new();
    BufReader::new(told).read_line(&mut number).unwrap();
    let display = format!(":{}", number.trim());

    // Beside this program: target/release/deps.
    let here = std::env::current_exe().unwrap();
    let example: PathBuf = here.parent().and_then(Path::parent).unwrap().join("examples/live");
    let (source, screenshot) = (folder.path().join("source.png"), folder.path().join("shown.png"));
    let mut live = Running(
        Command::new(example)
            .args(["--frames", "12", "--stay", "--kernel", "2", "--source"])
            .arg(&source)
            .arg("--screenshot")
            .arg(&screenshot)
            .env("DISPLAY", &display)
            .env_remove("WAYLAND_DISPLAY")
            .spawn()
            .expect("the example, which run.sh builds"),
    );
    wait_for("the screenshot", || {
        assert_eq!(live.0.try_wait().unwrap(), None, "the example ended");
        screenshot.exists().then_some(())
    });
    let frame = image::open(&source).unwrap().into_rgba8();
    let width = frame.width() as usize;
    assert!(frame.pixels().any(|p| p != frame.get_pixel(0, 0)), "a picture of one colour");
    assert!(frame.pixels().all(|p| p[3] == 255));

    let memory = folder.path().join("Xvfb_screen0");
    let press = |key: &str| {
        let typed = Command::new("xdotool")
            .args([
                "search",
                "--sync",
                "--name",
                "channelwise",
                "windowfocus",
                "--sync",
                "key",
                key,
            ])
            .env("DISPLAY", &display)
            .status()
            .expect("xdotool, which run.sh installs");
        assert!(typed.success(), "{typed}");
    };
    let with = |kernel: Kernel| Conv2d::new(kernel).border(Border::Reflect101);
    let blur = with(Kernel::gaussian(15, 3.0).unwrap());
    let edges = with(Kernel::sobel_x()).bias([0.5]);
    let disk = with(Kernel::disk(10.0).unwrap());
    for (key, conv, linear) in [
        (None, blur, false),
        (Some("4"), edges, false),
        (Some("5"), disk.clone(), false),
        (Some("l"), disk, true),
    ] {
        key.into_iter().for_each(press);
        let want = filtered(&frame, &conv, linear);
        let mut least = u8::MAX;
        let started = Instant::now();
        while least > 1 && started.elapsed() < Duration::from_secs(60) {
            least = off(&screen(&memory), &want, width);
            sleep(Duration::from_millis(100));
        }
        assert!(least <= 1, "after key {key:?} the screen is {least} levels from the CPU");
        println!("live: after key {key:?} the screen is within {least} level of the CPU");
        if key.is_none() {
            let shown = image::open(&screenshot).unwrap().into_rgba8();
            let shown: Vec<[u8; 3]> = shown.pixels().map(|p| [p[0], p[1], p[2]]).collect();
            assert!(off(&(width, shown), &want, width) <= 1, "the screenshot is another picture");
        }
    }
    wait_for("the title", || {
        let found = Command::new("xdotool")
            .args(["search", "--name", "channelwise: disk 21x21, light, .* ms a frame"])
            .env("DISPLAY", &display)
            .output()
            .expect("xdotool, which run.sh installs");
        found.status.success().then_some(())
    });
    press("Escape");
    let ended = wait_for("the end", || live.0.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
}
