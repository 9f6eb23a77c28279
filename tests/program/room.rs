//! A folder to run the program in, and data for it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use channelwise::ndarray::{Array, Array3, Array4, Dimension};
use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};
use ndarray_npy::{ReadNpyExt, WritableElement, read_npy, write_npy};
use tempfile::TempDir;

/// Where files of other writers lie.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/files")
}

/// What a run of the program left.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.err);
        self
    }

    /// It must have failed with `code`, one line that has `part`, and nothing on stdout.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, part: &str) {
        let Self { code: got, out, err } = self;
        // Graphics drivers may add lines of their own.
        let lines: Vec<_> = err.lines().filter(|l| l.starts_with("channelwise: ")).collect();
        assert!(lines.len() == 1 && lines[0].contains(part), "`{part}` is not in: {err}");
        assert!(!err.contains("panicked") && !err.contains("internal error"), "{err}");
        assert_eq!((*got, out.as_str()), (code, ""), "{err}");
    }
}

/// A folder to work in; arguments name files in it.
pub(crate) struct Room(TempDir);

impl Room {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs with arguments split at white space.
    pub(crate) fn run(&self, args: &str) -> Ran {
        self.run_with(args, &[])
    }

    /// Runs with this as standard input; what it writes to standard output are bytes.
    pub(crate) fn pipe(&self, args: &str, input: &[u8]) -> (i32, Vec<u8>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_channelwise"));
        command.current_dir(self.0.path()).args(args.split_whitespace());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // It may end before it has read all.
            scope.spawn(move || drop(stdin.write_all(input)));
            let output = child.wait_with_output().unwrap();
            let code = output.status.code().expect("no signal");
            (code, output.stdout, String::from_utf8(output.stderr).unwrap())
        })
    }

    pub(crate) fn run_with(&self, args: &str, env: &[(&str, &str)]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_channelwise"));
        command.current_dir(self.0.path()).args(args.split_whitespace()).envs(env.iter().copied());
        let output = command.output().unwrap();
        Ran {
            code: output.status.code().expect("no signal"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn save<T: WritableElement, D: Dimension>(&self, name: &str, x: &Array<T, D>) {
        write_npy(self.at(name), x).unwrap();
    }

    pub(crate) fn load<A: ReadNpyExt>(&self, name: &str) -> A {
        read_npy(self.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Shape, type and bytes of a file whose elements lie in C order.
    pub(crate) fn npy(&self, name: &str) -> (Vec<usize>, String, Vec<u8>) {
        let bytes = fs::read(self.at(name)).unwrap();
        let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let (header, data) = bytes[10..].split_at(length);
        let header = String::from_utf8_lossy(header);
        assert!(header.contains("'fortran_order': False"), "{name}: {header}");
        let between =
            |from: &str, to: char| header.split_once(from).unwrap().1.split_once(to).unwrap().0;
        let shape = between("'shape': (", ')').split(',').map(str::trim);
        let shape = shape.filter(|n| !n.is_empty()).map(|n| n.parse().unwrap()).collect();
        (shape, between("'descr': '", '\'').to_string(), data.to_vec())
    }

    /// All files, hidden ones too.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub(crate) fn floats(shape: [usize; 4]) -> Array4<f32> {
    let mut seed = 7u32;
    Array4::from_shape_simple_fn(shape, || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}

pub(crate) fn bytes(shape: [usize; 4]) -> Array4<u8> {
    floats(shape).mapv(|v| (v * 127.0 + 128.0) as u8)
}

pub(crate) fn picture(x: &Array3<u8>) -> DynamicImage {
    let (h, w, c) = x.dim();
    let (w, h, raw) = (w as u32, h as u32, x.as_slice().unwrap().to_vec());
    match c {
        1 => GrayImage::from_raw(w, h, raw).unwrap().into(),
        2 => GrayAlphaImage::from_raw(w, h, raw).unwrap().into(),
        3 => RgbImage::from_raw(w, h, raw).unwrap().into(),
        _ => RgbaImage::from_raw(w, h, raw).unwrap().into(),
    }
}

/// `[1, h, w, c]` as `[h, w, c]`.
pub(crate) trait RemoveAxis<T> {
    fn remove_axis_owned(self) -> Array3<T>;
}

impl<T: Clone> RemoveAxis<T> for Array4<T> {
    fn remove_axis_owned(self) -> Array3<T> {
        self.index_axis_move(channelwise::ndarray::Axis(0), 0)
    }
}
