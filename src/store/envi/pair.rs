//! Which header belongs to which data: `x.img` has `x.hdr` or `x.img.hdr`.

use std::fs::{File, canonicalize};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::interleave::Interleave;

/// What went wrong with which file.
type Result<T> = std::result::Result<T, Refused>;

/// A file that cannot be written, and why not.
#[derive(Debug)]
pub struct Refused {
    /// Which.
    pub path: PathBuf,
    /// For people.
    pub why: String,
}

impl Refused {
    fn writing(path: &Path, why: String) -> Self {
        Self { path: path.into(), why }
    }
}

/// Lower-case, without the dot; empty if there is none.
fn extension(path: &Path) -> String {
    path.extension().map_or(String::new(), |e| e.to_string_lossy().to_ascii_lowercase())
}

/// Those of data beside `x.hdr`, whose own name may also be `x`.
const EXTENSIONS: [&str; 6] = ["img", "dat", "bsq", "bil", "bip", "raw"];

/// Where data of `y.hdr` go.
const DATA: &str = "img";

/// The first line of a header.
const MAGIC: &[u8] = b"ENVI";

/// Whether a header begins so.
#[must_use]
pub fn is_header(bytes: &[u8]) -> bool {
    bytes.strip_prefix(MAGIC).is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

/// The header of what `path` names: itself, or that beside it.
#[must_use]
pub fn header_of(path: &Path) -> Option<PathBuf> {
    if has_header(path) {
        return Some(path.into());
    }
    // Nothing is taken out of pipes.
    if !path.is_file() {
        return None;
    }
    headers(path).find(|header| has_header(header))
}

/// Where a header of these data may be, that for them alone first.
fn headers(data: &Path) -> impl Iterator<Item = PathBuf> {
    let hdr = ["hdr", "HDR"];
    let own = hdr.map(|extension| appended(data, extension));
    own.into_iter().chain(hdr.map(|extension| data.with_extension(extension)))
}

fn has_header(path: &Path) -> bool {
    let mut start = Vec::new();
    path.is_file()
        && File::open(path)
            .and_then(|file| file.take(MAGIC.len() as u64 + 1).read_to_end(&mut start))
            .is_ok()
        && is_header(&start)
}

/// The files beside a header that may be its data.
#[must_use]
pub fn data_of(header: &Path) -> Vec<PathBuf> {
    let stem = header.with_extension("");
    let both = |extension: &&str| [extension.to_string(), extension.to_uppercase()];
    let named = EXTENSIONS.iter().flat_map(both).map(|extension| appended(&stem, &extension));
    let mut found: Vec<PathBuf> = Vec::new();
    for data in std::iter::once(stem.clone()).chain(named).filter(|data| data.is_file()) {
        let has_another = header_of(&data).is_none_or(|other| !is_same(&other, header));
        if !has_another && !found.iter().any(|known| is_same(known, &data)) {
            found.push(data);
        }
    }
    found
}

/// Whether both name one file, as names of other letters do in some file systems.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((canonicalize(one), canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// What is looked for beside a header.
#[must_use]
pub fn looked_for(header: &Path) -> String {
    let stem = header.file_stem().unwrap_or_default().to_string_lossy();
    let named = EXTENSIONS.iter().map(|extension| format!("{stem}.{extension}"));
    std::iter::once(stem.to_string()).chain(named).collect::<Vec<_>>().join(", ")
}

fn appended(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// The two files that are written.
#[derive(Debug, PartialEq)]
pub struct Output {
    /// Samples.
    pub data: PathBuf,
    /// What they are.
    pub header: PathBuf,
    /// In what order.
    pub interleave: Interleave,
}

impl Output {
    /// Of a header or data; nothing is replaced that was not named, unless it belongs to what was.
    ///
    /// # Errors
    /// Where something would be.
    pub fn new(path: &Path, asked: Option<Interleave>) -> Result<Self> {
        let (data, header) = if extension(path) == "hdr" {
            (data_to(path)?, path.into())
        } else {
            (path.into(), header_to(path)?)
        };
        let interleave = asked.or_else(|| Interleave::named(&extension(&data)));
        Ok(Self { data, header, interleave: interleave.unwrap_or(Interleave::Bip) })
    }
}

/// Where the data of this header go: where they are, or to a new file.
fn data_to(header: &Path) -> Result<PathBuf> {
    if has_header(header)
        && let [data] = &data_of(header)[..]
    {
        return Ok(data.clone());
    }
    let stem = header.with_extension("");
    let is_named = EXTENSIONS.contains(&&extension(&stem)[..]);
    let data = if is_named { stem } else { appended(&stem, DATA) };
    if data.exists() && header_of(&data).is_none_or(|other| !is_same(&other, header)) {
        let other = data.display();
        let why = format!("its data would replace {other}, which it does not describe");
        return Err(Refused::writing(header, why));
    }
    Ok(data)
}

/// Where the header of these data goes.
fn header_to(data: &Path) -> Result<PathBuf> {
    let known = EXTENSIONS.contains(&&extension(data)[..]);
    let own = headers(data).next().filter(|own| !known || own.exists());
    let header = own.unwrap_or_else(|| data.with_extension("hdr"));
    if !header.exists() {
        return Ok(header);
    }
    let shown = header.display();
    if !has_header(&header) {
        let why = format!("its header would replace {shown}, which is none of ENVI");
        return Err(Refused::writing(data, why));
    }
    match data_of(&header).iter().find(|other| !is_same(other, data)) {
        None => Ok(header),
        Some(other) => {
            let other = other.display();
            let why = format!("its header would replace {shown}, which describes {other}");
            Err(Refused::writing(data, why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn headers_and_data() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let put = |names: &[&str]| {
            for name in names {
                let text = if name.to_lowercase().ends_with("hdr") { "ENVI\n" } else { "data" };
                fs::write(at(name), text).unwrap();
            }
        };
        put(&[
            "a.hdr",
            "a.img",
            "b.dat.hdr",
            "b.dat",
            "b.hdr",
            "b.img",
            "c.HDR",
            "c",
            "d.v2.hdr",
            "d.v2",
            "e.bil",
        ]);
        for (data, header) in [
            ("a.img", Some("a.hdr")),
            ("b.dat", Some("b.dat.hdr")),
            ("b.img", Some("b.hdr")),
            ("c", Some("c.HDR")),
            ("d.v2", Some("d.v2.hdr")),
            ("e.bil", None),
            ("none.img", None),
            ("a.hdr", Some("a.hdr")),
        ] {
            assert_eq!(header_of(&at(data)), header.map(at), "{data}");
        }
        for (header, data) in [
            ("a.hdr", &["a.img"][..]),
            ("b.hdr", &["b.img"]),
            ("b.dat.hdr", &["b.dat"]),
            ("c.HDR", &["c"]),
            ("d.v2.hdr", &["d.v2"]),
        ] {
            assert_eq!(data_of(&at(header)), data.iter().map(|name| at(name)).collect::<Vec<_>>());
        }
        assert_eq!(
            looked_for(Path::new("in/a.hdr")),
            "a, a.img, a.dat, a.bsq, a.bil, a.bip, a.raw"
        );
        assert!(
            is_header(b"ENVI\r\nx")
                && is_header(b"ENVI")
                && !is_header(b"ENVIRON")
                && !is_header(b"EN")
        );
    }

    #[test]
    fn outputs() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let put = |name: &str, text: &str| fs::write(at(name), text).unwrap();
        let new = |name: &str, asked| Output::new(&at(name), asked);
        let is = |name: &str, data: &str, header: &str, interleave| {
            let want = Output { data: at(data), header: at(header), interleave };
            assert_eq!(new(name, None).unwrap(), want, "{name}");
        };
        is("y.hdr", "y.img", "y.hdr", Interleave::Bip);
        is("y.bil", "y.bil", "y.hdr", Interleave::Bil);
        is("y.BSQ", "y.BSQ", "y.hdr", Interleave::Bsq);
        is("y.bsq.hdr", "y.bsq", "y.bsq.hdr", Interleave::Bsq);
        is("y.v2", "y.v2", "y.v2.hdr", Interleave::Bip);
        is("y", "y", "y.hdr", Interleave::Bip);
        assert_eq!(new("y.hdr", Some(Interleave::Bsq)).unwrap().interleave, Interleave::Bsq);
        // In place.
        put("x.hdr", "ENVI\n");
        put("x.bsq", "data");
        is("x.hdr", "x.bsq", "x.hdr", Interleave::Bsq);
        is("x.bsq", "x.bsq", "x.hdr", Interleave::Bsq);
        // What else is there is not replaced unasked.
        put("z.img", "of another kind");
        put("w.hdr", "of another kind");
        for (name, part) in [
            ("x.img", "x.hdr, which describes "),
            ("z.hdr", "z.img, which it does not describe"),
            ("w.img", "w.hdr, which is none of ENVI"),
        ] {
            let refused = new(name, None);
            assert!(matches!(&refused, Err(refused) if refused.why.contains(part)), "{refused:?}");
        }
        // By its own name it is.
        is("w.hdr", "w.img", "w.hdr", Interleave::Bip);
    }
}
