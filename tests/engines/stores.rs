//! Arrays in files and folders: what other tools wrote is read, what is written is like it, and whoever is stopped goes
//! on.

use std::fs;
use std::path::{Path, PathBuf};

use channelwise::store::{Create, Created, Stored};
use channelwise::stream::{Sink, Source};
use channelwise::{
    Border, Conv2d, Element, ElementType, Engine, Error, Kernel, Layout, Prepared, Window, f16,
};

use crate::common::Rng;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/zarr")
}

/// Element number `i` of the arrays there.
fn value(i: usize, signed: bool) -> f64 {
    let n = (i * 37 % 101) as f64;
    if signed { n - 50.0 } else { n }
}

fn read<T: Element>(stored: &Stored, window: &Window, len: usize) -> Vec<T> {
    let mut values = vec![T::default(); len];
    stored.source::<T>().unwrap().read(window, &mut values).unwrap();
    values
}

fn all(stored: &Stored, layout: Layout) -> (Window, usize) {
    let shape = stored.shape();
    let [n, h, w, c] = shape.to_nhwc(layout);
    let images = if layout == Layout::Nchw { n * c } else { n };
    (Window::new(0..images, 0..h, 0..w), shape.elements().unwrap())
}

fn whole<T: Element>(stored: &Stored, layout: Layout) -> Vec<T> {
    let (window, len) = all(stored, layout);
    read(stored, &window, len)
}

/// The elements of any type.
fn numbers(stored: &Stored, layout: Layout) -> Vec<f64> {
    let (window, len) = all(stored, layout);
    numbers_of(stored, &window, len)
}

fn numbers_of(stored: &Stored, window: &Window, len: usize) -> Vec<f64> {
    fn of<T: Element>(stored: &Stored, window: &Window, len: usize) -> Vec<f64> {
        read::<T>(stored, window, len).into_iter().map(Element::to_f64).collect()
    }
    match stored.element_type() {
        ElementType::U8 => of::<u8>(stored, window, len),
        ElementType::I8 => of::<i8>(stored, window, len),
        ElementType::U16 => of::<u16>(stored, window, len),
        ElementType::I16 => of::<i16>(stored, window, len),
        ElementType::U32 => of::<u32>(stored, window, len),
        ElementType::I32 => of::<i32>(stored, window, len),
        ElementType::F16 => of::<f16>(stored, window, len),
        ElementType::F32 => of::<f32>(stored, window, len),
        _ => of::<f64>(stored, window, len),
    }
}

/// Files below a folder by their names there.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn is_of_metadata(name: &str) -> bool {
    name.starts_with('.') || name == "zarr.json"
}

/// The same array again, with all that can stay.
fn copied<T: Element>(stored: &Stored, to: &Path) -> Result<(), Error> {
    let same = Conv2d::new(Kernel::identity());
    let prepared = Engine::cpu().prepare::<T, T>(&same, stored.shape())?;
    let mut created = Create::new(to).like(stored).open::<T>(stored.shape())?;
    prepared.stream(64 << 20).run(&mut stored.source::<T>()?, &mut created)?;
    Ok(())
}

/// Every type, codec and version of `tests/golden/arrays.py`, in either layout; written again, chunks that are not packed
/// have the same bytes.
#[test]
fn arrays_of_zarr_python() {
    let room = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        for layout in [Layout::Nhwc, Layout::Nchw] {
            let stored = Stored::open(&path, layout).unwrap();
            let found = numbers(&stored, layout);
            let signed = !["uint", "bool", "u1", "b1"].iter().any(|kind| name.contains(kind));
            let unsigned = ["v3-sharded", "v3-five", "v3-channels", "v2-slashes"];
            let signed = signed && !unsigned.iter().any(|kind| name.starts_with(kind));
            for (i, found) in found.into_iter().enumerate() {
                let (row, column) = (i / 18, i / 2 % 9);
                let want = match &name[..] {
                    "v3-holes" if row >= 4 || column >= 5 => -7.0,
                    name if name.ends_with("bool") => f64::from(i * 37 % 101 % 3 == 0),
                    _ => value(i, signed),
                };
                assert_eq!(found, want, "{i} of {name}, {layout}");
            }
        }
        let stored = Stored::open(&path, Layout::Nhwc).unwrap();
        assert_eq!(stored.format(), if name.starts_with("v2") { "Zarr 2" } else { "Zarr 3" });
        let wide = name.ends_with("int64") || name.ends_with("bool");
        assert_eq!(!stored.notes().is_empty(), wide, "{name}");
        let to = room.path().join(format!("{name}.zarr"));
        match stored.element_type() {
            ElementType::U8 => copied::<u8>(&stored, &to),
            ElementType::I16 => copied::<i16>(&stored, &to),
            ElementType::U16 => copied::<u16>(&stored, &to),
            ElementType::I32 => copied::<i32>(&stored, &to),
            ElementType::F32 => copied::<f32>(&stored, &to),
            _ => continue,
        }
        .unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = Stored::open(&to, Layout::Nhwc).unwrap();
        assert_eq!(numbers(&again, Layout::Nhwc), numbers(&stored, Layout::Nhwc), "{name}");
        assert_eq!(again.chunks(), stored.chunks(), "{name}");
        // Chunks lie in shards in any order.
        let shards = name.contains("sharded");
        let packed = ["zstd", "gzip", "blosc"].iter().any(|kind| name.contains(kind));
        if !packed && !wide && name != "v3-holes" && name != "v2-fortran" && !shards {
            let of_data = |folder: &Path| {
                let mut files = files(folder);
                files.retain(|(name, _)| !is_of_metadata(name));
                files
            };
            assert_eq!(of_data(&to), of_data(&path), "{name}");
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

/// A random array as both kinds of files.
struct Case {
    room: tempfile::TempDir,
    prepared: Prepared<i16, f32>,
    want: Vec<f32>,
}

/// Of four bands, as `.npy`.
const SHAPE: [usize; 4] = [2, 600, 400, 3];

impl Case {
    fn new() -> Self {
        let room = tempfile::tempdir().unwrap();
        let mut rng = Rng::new(601);
        let x: Vec<i16> = rng.elements(SHAPE.iter().product(), 0.0, 0.0);
        let conv = Conv2d::new(rng.kernel(5, 7, 2)).border((Border::Wrap, Border::Reflect));
        let prepared = Engine::cpu().prepare::<i16, f32>(&conv, SHAPE).unwrap();
        let mut want = vec![0.0; prepared.problem().output_len()];
        prepared.run_slices(&x, &mut want).unwrap();
        let same =
            Engine::cpu().prepare::<i16, i16>(&Conv2d::new(Kernel::identity()), SHAPE).unwrap();
        for name in ["x.npy", "x.zarr", "strips.tif", "tiles.tif"] {
            let create = Create::new(room.path().join(name));
            let create = match name {
                "x.zarr" => create.chunks(40, 64),
                "tiles.tif" => create.chunks(48, 64),
                _ => create,
            };
            let mut created = create.open::<i16>(SHAPE.into()).unwrap();
            let mut from = |window: &Window, to: &mut [i16]| {
                let row = window.columns.len() * 3;
                let rows =
                    window.images.clone().flat_map(|n| window.rows.clone().map(move |r| (n, r)));
                for ((n, r), to) in rows.zip(to.chunks_exact_mut(row)) {
                    let at = ((n * SHAPE[1] + r) * SHAPE[2] + window.columns.start) * 3;
                    to.copy_from_slice(&x[at..at + row]);
                }
                Ok(())
            };
            same.stream(64 << 20).run(&mut from, &mut created).unwrap();
            let stored = Stored::open_all(room.path().join(name), Layout::Nhwc).unwrap();
            assert_eq!(whole::<i16>(&stored, Layout::Nhwc), x, "{name}");
        }
        Self { room, prepared, want }
    }

    fn open(&self, name: &str) -> Stored {
        Stored::open_all(self.room.path().join(name), Layout::Nhwc).unwrap()
    }

    fn create<'a>(&self, name: &str, like: &'a Stored) -> Create<'a> {
        Create::new(self.room.path().join(name)).like(like).job("a job")
    }

    fn holds(&self, name: &str) {
        assert!(whole::<f32>(&self.open(name), Layout::Nhwc) == self.want, "{name}");
    }
}

/// Whoever ends early: after so many writes all of them fail.
struct Ends<'a> {
    to: &'a mut Created<f32>,
    left: usize,
}

impl Sink<f32> for Ends<'_> {
    fn begin(&mut self) -> std::io::Result<()> {
        self.to.begin()
    }

    fn write(&mut self, window: &Window, from: &[f32]) -> std::io::Result<()> {
        if self.left == 0 {
            return Err(std::io::Error::other("stopped"));
        }
        self.left -= 1;
        self.to.write(window, from)
    }

    fn chunks(&self) -> Option<[usize; 3]> {
        self.to.chunks()
    }

    fn has(&mut self, window: &Window) -> std::io::Result<bool> {
        self.to.has(window)
    }

    fn held(&self) -> u64 {
        self.to.held()
    }
}

#[test]
fn from_any_to_any() -> Result<(), Error> {
    let case = Case::new();
    for from in ["x.npy", "x.zarr", "strips.tif", "tiles.tif"] {
        for to in ["y.npy", "y.zarr", "y.tif"] {
            let stored = case.open(from);
            // Over what is there, too.
            for _ in 0..2 {
                let shape = case.prepared.problem().output_shape();
                let mut created = case.create(to, &stored).open::<f32>(shape)?;
                case.prepared.stream(100 << 20).run(&mut stored.source()?, &mut created)?;
                assert_eq!(created.partial(), None);
                drop(created);
                case.holds(to);
            }
            let chunks = match (from, to) {
                // Sides of 40 are none of tiles.
                (_, "y.npy") | ("x.npy" | "x.zarr" | "strips.tif", "y.tif") => None,
                ("x.zarr", _) => Some([1, 40, 64]),
                ("tiles.tif", _) => Some([1, 48, 64]),
                _ => Some([1, 600, 400]),
            };
            assert_eq!(case.open(to).chunks(), chunks, "{from} {to}");
        }
    }
    Ok(())
}

/// Windows of files of other writers, packed in every way, as cuts of the whole.
#[test]
fn windows_of_pictures() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("program/files");
    let (mut rng, mut seen) = (Rng::new(603), 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(stored) = Stored::open_all(&path, Layout::Nhwc) else { continue };
        if !stored.is_image() {
            continue;
        }
        let [pages, height, width, channels] = stored.shape().to_nhwc(Layout::Nhwc);
        let all = numbers(&stored, Layout::Nhwc);
        for _ in 0..6 {
            let mut run = |n: usize| {
                let from = rng.below(n);
                from..from + 1 + rng.below(n - from)
            };
            let window = Window::new(run(pages), run(height), run(width));
            let mut want: Vec<f64> = Vec::new();
            for (n, r) in
                window.images.clone().flat_map(|n| window.rows.clone().map(move |r| (n, r)))
            {
                let row = (n * height + r) * width;
                let columns = row + window.columns.start..row + window.columns.end;
                want.extend(&all[columns.start * channels..columns.end * channels]);
            }
            let got = numbers_of(&stored, &window, want.len());
            assert!(got == want, "{window} of {}", path.display());
        }
        seen += 1;
    }
    assert!(seen > 60, "{seen}");
}

/// Windows that are no whole tiles, and overlap.
#[test]
fn parts_of_tiles() -> Result<(), Error> {
    let room = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(602);
    let [pages, height, width, channels] = [2, 70, 90, 3];
    for tiles in [None, Some((16, 32)), Some((96, 16)), Some((80, 96))] {
        let path = room.path().join("y.tif");
        let create = Create::new(&path);
        let create = tiles.map_or(create.clone(), |(rows, columns)| create.chunks(rows, columns));
        let mut created = create.open::<u16>([pages, height, width, channels].into())?;
        created.begin().unwrap();
        let pixel = |n: usize, r: usize, c: usize, k: usize| {
            (((n * height + r) * width + c) * channels + k) as u16
        };
        let mut windows: Vec<Window> = (0..40)
            .map(|_| {
                let mut run = |n: usize| {
                    let from = rng.below(n);
                    from..from + 1 + rng.below(n - from)
                };
                Window::new(run(pages), run(height), run(width))
            })
            .collect();
        // Together all.
        windows.push(Window::new(0..pages, 0..height, 0..40));
        windows.push(Window::new(0..pages, 0..33, 40..width));
        windows.push(Window::new(0..pages, 33..height, 40..width));
        for window in windows {
            let mut values = Vec::new();
            for n in window.images.clone() {
                for r in window.rows.clone() {
                    let columns = window.columns.clone();
                    values.extend(
                        columns.flat_map(|c| (0..channels).map(move |k| pixel(n, r, c, k))),
                    );
                }
            }
            created.write(&window, &values).unwrap();
        }
        created.finish().unwrap();
        let stored = Stored::open_all(&path, Layout::Nhwc)?;
        let all = whole::<u16>(&stored, Layout::Nhwc);
        assert!(all.iter().enumerate().all(|(n, value)| *value == n as u16), "{tiles:?}");
        let window = Window::new(1..2, 13..50, 7..80);
        let mut some = vec![0; 37 * 73 * 3];
        stored.source::<u16>()?.read(&window, &mut some).unwrap();
        for (row, some) in some.chunks(73 * 3).enumerate() {
            let at = ((height + 13 + row) * width + 7) * 3;
            assert_eq!(some, &all[at..at + 73 * 3], "{tiles:?}");
        }
    }
    Ok(())
}

/// Parts of an output by several, one of whom is stopped and goes on, whatever is written so far being right.
#[test]
fn shares_and_those_who_are_stopped() -> Result<(), Error> {
    let case = Case::new();
    let shape = case.prepared.problem().output_shape();
    for (from, to) in [
        ("x.npy", "y.npy"),
        ("x.zarr", "y.zarr"),
        ("x.npy", "z.zarr"),
        ("tiles.tif", "y.tif"),
        ("strips.tif", "z.tif"),
    ] {
        let is_file = !to.ends_with("zarr");
        let stored = case.open(from);
        let create = || {
            let create = case.create(to, &stored);
            if to == "z.zarr" { create.chunks(60, 90) } else { create }
        };
        let of = 3;
        for number in [2, 1, 3] {
            let mut created = create().share(number, of).open::<f32>(shape)?;
            let stream = case.prepared.stream(100 << 20).share(number, of)?;
            if number != 1 {
                let done = stream.run(&mut stored.source()?, &mut created)?;
                assert_eq!(done.skipped, 0);
                assert!(!is_file || created.partial().is_some());
                continue;
            }
            // In small steps, so that some are written.
            let left = usize::from(to.ends_with("zarr"));
            let mut ends = Ends { to: &mut created, left };
            let error = case.prepared.stream(0).share(number, of)?;
            let error = error.run(&mut stored.source()?, &mut ends).unwrap_err().to_string();
            let numbers = error.split_whitespace().filter_map(|word| word.parse().ok());
            let least: u64 = numbers.max().unwrap();
            let stream = case.prepared.stream(least).share(number, of)?;
            let stopped = stream.run(&mut stored.source()?, &mut ends);
            assert!(matches!(stopped, Err(Error::Stream { .. })), "{stopped:?}");
        }
        let mut created = create().share(1, of).resume().open::<f32>(shape)?;
        let stream = case.prepared.stream(100 << 20).share(1, of)?.resume();
        let done = stream.run(&mut stored.source()?, &mut created)?;
        assert!(done.skipped > 0 || is_file, "{to}: {done:?}");
        assert_eq!(created.partial(), None, "{to}");
        case.holds(to);
    }
    let left: Vec<_> = files(case.room.path()).into_iter().map(|(name, _)| name).collect();
    assert!(!left.iter().any(|name| name.contains("partial") || name.contains("unfinished")));
    Ok(())
}

#[test]
fn what_is_refused() {
    let case = Case::new();
    let shape = case.prepared.problem().output_shape();
    let (npy, zarr) = (case.open("x.npy"), case.open("x.zarr"));
    let at = |name: &str| case.room.path().join(name);
    let text = |error: Error| error.to_string();
    let refused = |create: Create<'_>| text(create.open::<f32>(shape).unwrap_err());
    assert!(text(npy.source::<u8>().unwrap_err()).contains("i16"));
    assert!(refused(case.create("y.npy", &npy).chunks(4, 4)).contains("only Zarr"));
    assert!(refused(case.create("y.zarr", &npy).chunks(0, 4)).contains("one row"));
    assert!(refused(case.create("y.tif", &npy).chunks(40, 64)).contains("multiples of 16"));
    let planes = Stored::open(at("x.npy"), Layout::Nchw).unwrap();
    assert!(refused(case.create("y.tif", &planes)).contains("[height, width, channels]"));
    let turned = Stored::open(at("tiles.tif"), Layout::Nchw).unwrap_err();
    assert!(text(turned).contains("[height, width, channels]"));
    for create in [case.create("x.zarr", &zarr), case.create("x.zarr", &zarr).share(1, 2).resume()]
    {
        assert!(refused(create).contains("it is the input"));
    }
    fs::create_dir(at("other.zarr")).unwrap();
    fs::write(at("other.zarr/of-mine.txt"), "not to be lost").unwrap();
    assert!(refused(case.create("other.zarr", &npy)).contains("something else"));
    assert!(at("other.zarr/of-mine.txt").exists());
    fs::create_dir(at("group.zarr")).unwrap();
    fs::write(at("group.zarr/zarr.json"), r#"{"node_type": "group", "zarr_format": 3}"#).unwrap();
    assert!(refused(case.create("group.zarr", &npy)).contains("group"));
    assert!(text(Stored::open(at("group.zarr"), Layout::Nhwc).unwrap_err()).contains("group"));
    assert!(text(Stored::open(at("none.npy"), Layout::Nhwc).unwrap_err()).contains("none.npy"));
    // Another job, and another shape.
    case.create("y.zarr", &npy).open::<f32>(shape).unwrap().begin().unwrap();
    let other = case.create("y.zarr", &npy).job("another").resume();
    assert!(refused(other).contains("another job"));
    let other = case.create("y.zarr", &npy).resume().open::<u8>(shape);
    assert!(text(other.unwrap_err()).contains("another shape"));
}

/// Files that change or are damaged while they are read.
#[test]
fn what_does_not_stay_is_told() -> Result<(), Error> {
    let case = Case::new();
    let at = |name: &str| case.room.path().join(name);
    let run = |stored: &Stored| {
        let mut nowhere = |_: &Window, _: &[f32]| Ok(());
        case.prepared.stream(64 << 20).run(&mut stored.source()?, &mut nowhere)
    };
    for name in ["x.npy", "x.zarr"] {
        let stored = case.open(name);
        run(&stored)?;
        let changed = if name == "x.npy" { at(name) } else { at(name).join("zarr.json") };
        let text = fs::read(&changed).unwrap();
        let mut other = text.clone();
        match name {
            "x.npy" => other.extend([0; 8]),
            _ => other = String::from_utf8(text.clone()).unwrap().replace("600", "500").into(),
        }
        fs::write(&changed, &other).unwrap();
        let told = run(&stored).unwrap_err();
        assert!(matches!(told, Error::Stream { doing: "reading", .. }), "{told:?}");
        assert!(told.to_string().contains("changed while"), "{told}");
        fs::write(&changed, &text).unwrap();
    }
    // A chunk that was cut off, and a file that was.
    let stored = case.open("x.zarr");
    let chunk = at("x.zarr").join("c/1/2/1/0");
    let bytes = fs::read(&chunk).unwrap();
    fs::write(&chunk, &bytes[..bytes.len() / 2]).unwrap();
    let told = run(&stored).unwrap_err();
    assert!(matches!(told, Error::Stream { doing: "reading", .. }), "{told:?}");
    let stored = case.open("x.npy");
    fs::OpenOptions::new().write(true).open(at("x.npy")).unwrap().set_len(900_000).unwrap();
    assert!(matches!(run(&stored), Err(Error::Stream { doing: "reading", .. })));
    let told = Stored::open(at("x.npy"), Layout::Nhwc).unwrap_err().to_string();
    assert!(told.contains("truncated"), "{told}");
    Ok(())
}

/// What is to be replaced is there until its successor is begun: taking that back takes nothing of it.
#[test]
fn what_was_not_begun_is_not_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Create::new(folder.path().join("y.zarr")).open::<u8>([4, 5, 3].into()).unwrap();
    open().begin().unwrap();
    assert!(open().discard());
    assert!(Stored::open(folder.path().join("y.zarr"), Layout::Nhwc).is_ok());
}
