//! What a seed makes: a damaged file, and what is asked of the program.

use std::fs;
use std::io::Cursor;
use std::panic;
use std::path::Path;

use channelwise::ElementType;
use image::{ImageDecoder, ImageReader};
use serde_json::Value;

use super::chance::Chance;
use super::corpus::{self, Kind, Whole};
use super::formats;

/// Bytes that arrays in folders may take at a time.
const BUDGETS: [(&str, u64); 3] = [("1M", 1 << 20), ("16M", 16 << 20), ("64M", 64 << 20)];

/// What is asked to do with a file that is right beside a damaged one, and with one that is damaged.
const GOOD: &str = "good.npy";

/// In memory a sample may be there as it was, as a float before and after, and as it is written.
const COPIES: u64 = 10;

/// More than this may take longer than there is time, where nothing is optimised.
const LARGE: u64 = 8 << 20;

/// A damaged file, and what is asked of it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) damaged: Whole,
    /// What was done to it.
    told: Vec<String>,
    pub(crate) args: Vec<String>,
    /// Where the result goes.
    pub(crate) output: Option<String>,
    /// The file that comes in through standard input.
    pub(crate) stdin: Option<String>,
    budget: u64,
}

/// What a damaged file is to the program.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    Input,
    Mask,
    Weights(&'static str),
}

const WEIGHTS: [(&str, &[&[usize]]); 4] = [
    ("--kernel-file", &[&[3, 3], &[3, 3, 2], &[5, 3, 1, 2], &[1, 1]]),
    ("--kernels", &[&[1, 3, 3], &[1, 3, 3, 2]]),
    ("--bias", &[&[1], &[2]]),
    ("--pointwise", &[&[1, 2], &[1, 1, 1, 3]]),
];

impl Case {
    /// The same for a seed every time.
    pub(crate) fn drawn(corpus: &[Whole], seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let chance = &mut chance;
        let role = match chance.below(10) {
            0 => Role::Weights(WEIGHTS[chance.below(WEIGHTS.len())].0),
            1 => Role::Mask,
            _ => Role::Input,
        };
        let mut damaged = match role {
            Role::Weights(option) => weights(chance, option),
            Role::Mask => mask(chance, corpus),
            Role::Input => {
                let kind = Kind::ALL[chance.below(Kind::ALL.len())];
                let of: Vec<_> = corpus.iter().filter(|whole| whole.kind == kind).collect();
                of[chance.below(of.len())].clone()
            }
        };
        let told = damage(chance, &mut damaged);
        let mut case =
            Self { damaged, told, args: Vec::new(), output: None, stdin: None, budget: 0 };
        case.ask(chance, role);
        case
    }

    /// One that is damaged already.
    pub(crate) fn of(damaged: Whole, args: &str) -> Self {
        let words: Vec<String> = args.split_whitespace().map(String::from).collect();
        let output = words.iter().position(|word| word == "-o").map(|at| words[at + 1].clone());
        let told = vec!["by hand".into()];
        let memory = words.iter().position(|word| word == "--memory").map(|at| &words[at + 1][..]);
        let budget = BUDGETS.iter().find(|(name, _)| Some(*name) == memory);
        let budget = budget.map_or(0, |(_, bytes)| *bytes);
        Self { damaged, told, args: words, output, stdin: None, budget }
    }

    fn ask(&mut self, chance: &mut Chance, role: Role) {
        let name = self.damaged.name.clone();
        self.say("run");
        match role {
            Role::Input if self.damaged.files.len() == 1 && chance.one_in(15) => {
                self.say("-");
                self.stdin = Some(name.clone());
            }
            Role::Input => self.say(&name),
            Role::Mask | Role::Weights(_) => self.say(GOOD),
        }
        match role {
            Role::Mask => self.option("--mask", &name),
            Role::Weights(option) => self.option(option, &name),
            Role::Input => {}
        }
        if !matches!(role, Role::Weights("--kernel-file" | "--kernels")) {
            let kernels = ["box:3", "gaussian:5,1.2", "identity", "sobel-x", "laplacian", "box:9"];
            self.option("--kernel", chance.pick(&kernels));
        }
        self.option("--engine", "cpu");
        let zarr = self.damaged.kind == Kind::Zarr;
        let parts = matches!(self.damaged.kind, Kind::Envi | Kind::Npy | Kind::Tiff);
        let may = parts && role == Role::Input && self.stdin.is_none();
        let streams = zarr || may && chance.one_in(3);
        if streams {
            let (name, bytes) = BUDGETS[chance.below(BUDGETS.len())];
            self.budget = bytes;
            self.option("--memory", name);
        }
        let whole = ["npy", "png", "tif", "jpg", "webp", "bmp", "exr", "hdr", "bsq"];
        let parts = ["npy", "tif", "zarr", "hdr", "bil"];
        if !chance.one_in(6) {
            let extension = chance.pick(if streams { &parts } else { &whole });
            self.output = Some(format!("y.{extension}"));
            self.option("-o", &format!("y.{extension}"));
        }
        if matches!(self.damaged.kind, Kind::Tiff) && chance.one_in(3) {
            self.option("--pages", "all");
        }
        if chance.one_in(4) {
            let types = ["u8", "u16", "f32", "f64", "i8", "i32", "f16"];
            self.option("--out-type", chance.pick(&types));
        }
        if chance.one_in(8) {
            self.option("--alpha", chance.pick(&["filter", "premultiply", "keep"]));
        }
        for (option, value, times) in [
            ("--linear-light", "", 12),
            ("--region", "0:5,1:4", 10),
            ("--layout", "nchw", 12),
            ("--padding", "valid", 10),
            ("--stride", "2", 10),
            ("--skip-nan", "", 12),
            ("--activation", "sigmoid", 12),
            ("--chunks", "16,16", 25),
            ("--shard", "1/2", 40),
            ("--verify", "", 25),
            ("--json", "", 20),
        ] {
            // Of a whole tensor alone.
            let whole = matches!(option, "--region" | "--verify");
            if chance.one_in(times) && !(streams && whole) {
                self.option(option, value);
            }
        }
    }

    fn say(&mut self, word: &str) {
        self.args.push(word.into());
    }

    fn option(&mut self, name: &str, value: &str) {
        self.say(name);
        if !value.is_empty() {
            self.say(value);
        }
    }

    /// For people.
    pub(crate) fn told(&self) -> String {
        format!(
            "{} ({}): channelwise {}",
            self.damaged.name,
            self.told.join("; "),
            self.args.join(" ")
        )
    }

    /// Puts all that the program reads into a folder.
    pub(crate) fn put(&self, folder: &Path) {
        let good = corpus::npy(ElementType::F32, &[1, 13, 11, 3]);
        fs::write(folder.join(GOOD), good).unwrap();
        for (name, bytes) in &self.damaged.files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    /// Bytes that the program needs for this beside what it needs for any file: what the file can hold at most, as
    /// often as it may have to be there.
    pub(crate) fn need(&self) -> u64 {
        let len: u64 = self.damaged.files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let most = match self.damaged.kind.unpacked() {
            Some(times) => self.claimed().min(times * len),
            None if self.damaged.kind == Kind::Webp => self.claimed(),
            // Chunks are held within the budget.
            None => 0,
        };
        self.budget + COPIES.saturating_mul(most)
    }

    /// Whether what the file claims in earnest is too much for a test: of chunks that are not there, and pictures of few
    /// colours, any number.
    pub(crate) fn is_large(&self) -> bool {
        match self.damaged.kind {
            Kind::Npy | Kind::Envi | Kind::Tiff => false,
            Kind::Bmp | Kind::Exr | Kind::Jpeg | Kind::Png | Kind::Webp | Kind::Zarr => {
                self.claimed() > LARGE
            }
        }
    }

    /// How many bytes the file says that it holds.
    fn claimed(&self) -> u64 {
        match self.damaged.kind {
            Kind::Zarr => {
                let metadata =
                    self.damaged.files.iter().filter(|(name, _)| {
                        name.ends_with("/zarr.json") || name.ends_with("/.zarray")
                    });
                let shapes = metadata.filter_map(|(_, bytes)| {
                    let json: Value = serde_json::from_slice(bytes).ok()?;
                    let sizes = json["shape"].as_array()?.iter().filter_map(Value::as_u64);
                    Some(sizes.fold(8, u64::saturating_mul))
                });
                shapes.max().unwrap_or(0)
            }
            Kind::Envi | Kind::Npy | Kind::Tiff => u64::MAX,
            Kind::Bmp | Kind::Exr | Kind::Jpeg | Kind::Png | Kind::Webp => {
                let bytes = &self.damaged.files[0].1;
                let read = || {
                    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
                    Some(reader.into_decoder().ok()?.total_bytes())
                };
                panic::catch_unwind(read).ok().flatten().unwrap_or(0)
            }
        }
    }
}

fn weights(chance: &mut Chance, option: &str) -> Whole {
    let shapes = WEIGHTS.iter().find(|(known, _)| *known == option).map_or(&[][..], |(_, s)| s);
    let shape = shapes[chance.below(shapes.len())];
    let element = [ElementType::F32, ElementType::F64, ElementType::U8][chance.below(3)];
    let name = "weights.npy".to_string();
    let files = vec![(name.clone(), corpus::npy(element, shape))];
    Whole { kind: Kind::Npy, name, files }
}

fn mask(chance: &mut Chance, corpus: &[Whole]) -> Whole {
    if chance.one_in(2) {
        let grey = corpus.iter().filter(|whole| whole.name.starts_with("grey."));
        let grey: Vec<_> = grey.collect();
        return grey[chance.below(grey.len())].clone();
    }
    let shape: &[usize] = if chance.one_in(2) { &[13, 11] } else { &[1, 13, 11, 3] };
    let name = "mask.npy".to_string();
    let files = vec![(name.clone(), corpus::npy(ElementType::U8, shape))];
    Whole { kind: Kind::Npy, name, files }
}

/// Damages one of the files or some, and tells which and how.
fn damage(chance: &mut Chance, whole: &mut Whole) -> Vec<String> {
    let kind = whole.kind;
    let mut told = Vec::new();
    let rounds = if whole.files.len() > 1 { 1 + chance.below(2) } else { 1 };
    for _ in 0..rounds {
        // What tells of all is damaged as often as what there is of it.
        let heads =
            |name: &str| name.ends_with(".json") || name.contains("/.z") || name.ends_with(".hdr");
        let head = chance.one_in(2);
        let of: Vec<usize> =
            (0..whole.files.len()).filter(|at| heads(&whole.files[*at].0) == head).collect();
        let at = match of.is_empty() {
            true => chance.below(whole.files.len()),
            false => of[chance.below(of.len())],
        };
        if kind == Kind::Zarr && chance.one_in(15) && whole.files.len() > 1 {
            let (name, _) = whole.files.remove(at);
            told.push(format!("{name} removed"));
            continue;
        }
        let several = whole.files.len() > 1;
        let (name, bytes) = &mut whole.files[at];
        let done = formats::damage(chance, kind, name, bytes).join(", ");
        told.push(if several { format!("{name}: {done}") } else { done });
    }
    told
}
