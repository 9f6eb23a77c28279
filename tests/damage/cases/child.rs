//! The program, in a process of its own with limits of memory and time, and what is wrong with how it ended.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::case::Case;

/// Longest that it may take.
const TIME: Duration = Duration::from_secs(10);

const PROGRAM: &str = env!("CARGO_BIN_EXE_channelwise");

const MIB: u64 = 1 << 20;

/// A limit beyond this is none.
const MOST: u64 = 4096 * MIB;

/// What the program takes for the smallest file, in memory and in part by part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base(pub(crate) u64);

/// How a run ended.
struct Ended {
    /// `None` where it was stopped.
    status: Option<ExitStatus>,
    out: Vec<u8>,
    err: String,
}

/// Where limits of memory are kept.
const LIMITED: bool = cfg!(target_os = "linux");

/// Runs it in a folder with so many bytes of memory that is written to.
fn run(folder: &Path, args: &[String], stdin: Option<&str>, bytes: Option<u64>) -> Ended {
    let told = TempDir::new().unwrap();
    let at = |name: &str| told.path().join(name);
    let mut command = match bytes.filter(|_| LIMITED) {
        None => Command::new(PROGRAM),
        Some(bytes) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", "ulimit -d $0 && exec \"$@\""]);
            shell.args([(bytes / 1024).to_string(), PROGRAM.into()]);
            shell
        }
    };
    // As many stacks on every machine.
    command.args(args).current_dir(folder).env("RAYON_NUM_THREADS", "2");
    command.stdin(match stdin {
        Some(name) => File::open(folder.join(name)).unwrap().into(),
        None => Stdio::null(),
    });
    command.stdout(File::create(at("out")).unwrap()).stderr(File::create(at("err")).unwrap());
    let status = wait(command.spawn().unwrap());
    let read = |name: &str| fs::read(at(name)).unwrap();
    Ended { status, out: read("out"), err: String::from_utf8_lossy(&read("err")).into_owned() }
}

fn wait(mut child: Child) -> Option<ExitStatus> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if start.elapsed() > TIME {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

impl Base {
    /// Finds the least, to a MiB, with which two files go through that are right.
    pub(crate) fn measured(wholes: &[super::corpus::Whole]) -> Self {
        let of = |name: &str, options: &str| {
            let whole = wholes.iter().find(|whole| whole.name == name).unwrap();
            let args = format!("run {name} --kernel box:3 --engine cpu {options}");
            let case = Case::of(whole.clone(), &args);
            let room = TempDir::new().unwrap();
            case.put(room.path());
            let works = |mib: u64| {
                let ended = run(room.path(), &case.args, None, Some(mib * MIB));
                ended.status.is_some_and(|status| status.success())
            };
            let enough = (0..12).map(|power| 1 << power).find(|mib| works(*mib));
            let mut enough = enough.expect("a small file needs less than 4 GiB");
            let mut less = enough / 2;
            while LIMITED && enough - less > 1 {
                let middle = less.midpoint(enough);
                if works(middle) { enough = middle } else { less = middle }
            }
            enough * MIB
        };
        Self(of("rgb.png", "-o y.png").max(of("f32.npy", "-o y.npy --memory 16M")))
    }

    /// For people.
    pub(crate) fn mib(self) -> u64 {
        self.0 / MIB
    }
}

/// How the program ended with a damaged file: its exit code, or what is wrong.
pub(crate) fn judge(case: &Case, base: Base) -> Result<String, String> {
    let room = TempDir::new().unwrap();
    case.put(room.path());
    let before = names(room.path());
    let limit = 2 * base.0.saturating_add(case.need());
    // What is not limited is not asked for either.
    let ended =
        run(room.path(), &case.args, case.stdin.as_deref(), (limit < MOST).then_some(limit));
    let Ended { status, out, err } = ended;
    let wrong = |what: String| Err(format!("{what}; {}", err.trim()));
    let Some(status) = status else {
        if case.is_large() {
            return Ok("large, stopped".into());
        }
        return wrong(format!("it takes longer than {} s", TIME.as_secs()));
    };
    let Some(code @ 0..=2) = status.code() else {
        return wrong(format!("it ended by {status}, with {} MiB at most", limit / MIB));
    };
    for sign in ["panicked", "internal error", "RUST_BACKTRACE", "memory allocation"] {
        if err.contains(sign) {
            return wrong(format!("it says `{sign}`"));
        }
    }
    if let Some(line) = err.lines().find(|line| !line.starts_with("channelwise: ")) {
        return wrong(format!("a line is not the program's: {line}"));
    }
    let fresh: Vec<String> = names(room.path()).difference(&before).cloned().collect();
    if before.difference(&names(room.path())).next().is_some() {
        return wrong("a file is gone".into());
    }
    if code == 0 {
        let shard = case.args.iter().any(|arg| arg == "--shard");
        let unfinished = |name: &&String| {
            [".partial", ".tmp", ".new", "unfinished"].iter().any(|part| name.contains(part))
        };
        if let Some(name) = fresh.iter().find(unfinished).filter(|_| !shard) {
            return wrong(format!("{name} stays"));
        }
        let is_there = |name: &String| room.path().join(name).exists();
        if case.output.as_ref().is_some_and(|name| !shard && !is_there(name)) {
            return wrong("there is no output".into());
        }
        return Ok("exit 0".into());
    }
    let told = err.lines().filter(|line| !line.starts_with("channelwise: note: ")).count();
    if told != 1 || !out.is_empty() {
        return wrong(format!("{told} lines tell why, and {} bytes are written", out.len()));
    }
    // What is written is kept for another try where that is said.
    let kept = err.contains("--resume goes on with what is written");
    if let Some(name) = fresh.iter().find(|name| !kept || !name.starts_with("y.")) {
        return wrong(format!("{name} stays"));
    }
    if err.contains("a defect of its own") {
        return Ok(format!("exit {code}, a decoder's panic"));
    }
    Ok(format!("exit {code}"))
}

/// All files below a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            all.insert(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    all
}
