//! Where the result goes: which kind of file, what it can hold, and writing it whole or not at all.

use std::fs;
use std::io::{BufWriter, Cursor, IsTerminal, Seek, Write};
use std::path::{Path, PathBuf};

use bytemuck::Pod;
use channelwise::ndarray::{ArrayD, Ix3};
use channelwise::{Layout, color};
use clap::ValueEnum;
use tempfile::{Builder, NamedTempFile};

use channelwise::store::cubes::Refused;

use super::envi::{self, Interleave};
use super::{Alpha, Channels, Meta, STANDARD, Sample, Tensor, Type, extension, npy, picture, tiff};
use crate::failure::{Failure, Result};

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Npy,
    Image(&'static picture::Format),
    /// With an order of samples, if that is said.
    Cube(Option<Interleave>),
}

/// Extensions of cubes, of which three name an order, and what `--format` calls them.
const CUBES: [&str; 6] = ["hdr", "img", "dat", "bsq", "bil", "bip"];
const ENVI: &str = "envi";

impl Kind {
    /// That of an extension in lower case.
    pub(super) fn of(extension: &str) -> Option<Self> {
        if extension == "npy" {
            return Some(Self::Npy);
        }
        if CUBES.contains(&extension) {
            return Some(Self::Cube(Interleave::named(extension)));
        }
        let image = picture::FORMATS.iter().find(|f| f.extensions.contains(&extension));
        image.map(Self::Image)
    }

    fn known() -> String {
        let images = picture::FORMATS.iter().flat_map(|format| format.extensions);
        ["npy"].iter().chain(images).chain(&CUBES).copied().collect::<Vec<_>>().join(", ")
    }

    pub(super) fn is_cube(self) -> bool {
        matches!(self, Self::Cube(_))
    }

    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Npy => "npy",
            Self::Image(format) => format.extensions.first().unwrap_or(&"npy"),
            Self::Cube(interleave) => interleave.map_or("img", Interleave::name),
        }
    }

    /// The file that stands for all that writing to `path` replaces.
    pub(crate) fn place(path: &Path, format: Option<Self>) -> PathBuf {
        match format.or_else(|| Self::of(&extension(path))) {
            Some(Self::Cube(_)) => path.with_extension("hdr"),
            Some(Self::Npy | Self::Image(_)) | None => path.into(),
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        if name == ENVI {
            return Ok(Self::Cube(None));
        }
        Self::of(&name)
            .ok_or_else(|| format!("no such format; there are {}, {ENVI}", Self::known()))
    }
}

/// A file to be written.
#[derive(Debug)]
pub(crate) struct Target {
    place: Place,
    kind: Kind,
    /// Of tensors that are written.
    layout: Layout,
}

/// Where it lies.
#[derive(Debug)]
enum Place {
    Stdout,
    File(PathBuf),
    /// A header and data, and what was named of them.
    Pair(PathBuf, envi::Output),
}

impl Target {
    /// Checks all that can be known before the work: the extension, the directory, leave to write.
    pub(crate) fn new(path: &Path, format: Option<Kind>, layout: Layout) -> Result<Self> {
        let stdout = path.as_os_str() == STANDARD;
        let Some(kind) = format.or_else(|| Kind::of(&extension(path))) else {
            let known = Kind::known();
            if stdout {
                let text = format!("output -: --format says what goes there, one of {known}");
                return Err(Failure::usage(text));
            }
            let path = path.display();
            let text = format!("output {path}: its extension is none of {known}; see --format");
            return Err(Failure::usage(text));
        };
        let place = match kind {
            Kind::Cube(_) if stdout => {
                return Err(Failure::usage("output -: an ENVI cube is two files"));
            }
            _ if stdout && std::io::stdout().is_terminal() => {
                return Err(Failure::usage("output -: a terminal cannot show it"));
            }
            _ if stdout => Place::Stdout,
            Kind::Cube(interleave) => {
                let path = writable(path)?;
                let refused = |refused: Refused| Failure::writing(&refused.path, refused.why);
                let pair = envi::Output::new(&path, interleave).map_err(refused)?;
                let (data, header) = (writable(&pair.data)?, writable(&pair.header)?);
                Place::Pair(path, envi::Output { data, header, ..pair })
            }
            Kind::Npy | Kind::Image(_) => Place::File(writable(path)?),
        };
        Ok(Self { place, kind, layout })
    }

    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.place, Place::Stdout)
    }

    /// For people.
    pub(crate) fn name(&self) -> String {
        self.shown().display().to_string()
    }

    fn shown(&self) -> &Path {
        match &self.place {
            Place::Stdout => Path::new("standard output"),
            Place::File(path) | Place::Pair(path, _) => path,
        }
    }

    /// The format of images that it has, if it is one.
    fn image(&self) -> Option<&'static picture::Format> {
        match self.kind {
            Kind::Image(format) => Some(format),
            Kind::Npy | Kind::Cube(_) => None,
        }
    }

    /// Whether it is an image that can hold 16 bits.
    pub(crate) fn is_deep(&self) -> bool {
        self.image().is_some_and(|format| format.integers == Some(16))
    }

    /// Whether it is a file that holds floats, and whether integers.
    pub(crate) fn holds(&self) -> (bool, bool) {
        self.image().map_or((true, true), |format| (format.floats, format.integers.is_some()))
    }

    /// Whether it holds pixels rather than a tensor.
    pub(crate) fn is_image(&self) -> bool {
        self.image().is_some()
    }

    pub(crate) fn is_cube(&self) -> bool {
        self.kind.is_cube()
    }

    /// Refuses types that a cube has no number for; images get others, or say so themselves.
    pub(crate) fn check_type(&self, kind: Type) -> Result<()> {
        if !self.is_cube() || envi::code(kind.into()).is_some() {
            return Ok(());
        }
        let held =
            Type::value_variants().iter().filter(|kind| envi::code((**kind).into()).is_some());
        let held: Vec<_> = held.map(ToString::to_string).collect();
        let held = held.join(", ");
        Err(Failure::usage(format!("ENVI files hold no {kind}: --out-type says which of {held}")))
    }

    /// Whether an output of this shape (batch and channels of it) fits the kind of file.
    pub(crate) fn check(&self, batch: usize, count: usize, channels: Channels) -> Result<()> {
        let format = match self.kind {
            Kind::Npy => return Ok(()),
            Kind::Cube(_) if batch == 1 && count > 0 => return Ok(()),
            Kind::Cube(_) => {
                return Err(Failure::usage(format!(
                    "the output has {batch} images of {count} channels and ENVI files hold one, of 1 \
                     at least; write .tiff or .npy"
                )));
            }
            Kind::Image(format) => format,
        };
        let Some(held) = format.channels else {
            return match (batch, u16::try_from(count)) {
                (1.., Ok(1..)) => Ok(()),
                _ => Err(Failure::usage(format!(
                    "the output has {batch} images of {count} channels, and {} files hold one at \
                     least, of 1 to 65535",
                    format.name
                ))),
            };
        };
        if batch != 1 {
            return Err(Failure::usage(format!(
                "the output has {batch} images and {} files hold one; write .tiff or .npy",
                format.name
            )));
        }
        if !held.contains(&count) {
            let held: Vec<_> = held.iter().map(ToString::to_string).collect();
            let hint = match (count, channels.alpha) {
                (2 | 4, Alpha::Last | Alpha::Unsaid) => {
                    ", as alpha counts as one; write .png, .tiff or .npy"
                }
                _ => "; write .tiff or .npy",
            };
            return Err(Failure::usage(format!(
                "the output has {count} channels and {} files hold {}{hint}",
                format.name,
                held.join(", ")
            )));
        }
        if matches!(count, 2 | 4) && channels.alpha == Alpha::None {
            return Err(Failure::usage(format!(
                "the last of {count} channels is no alpha, and in {} files it would be; \
                 write .tiff or .npy",
                format.name
            )));
        }
        Ok(())
    }

    /// Writes beside the target first and renames at the end. A failure, or a panic, removes what
    /// was begun; only a kill during the write itself (Ctrl-C too) can leave `.channelwise-*.tmp`.
    pub(crate) fn write(&self, tensor: Tensor, channels: Channels, meta: &Meta) -> Result<()> {
        let failed = |error: std::io::Error| Failure::writing(self.shown(), error);
        match &self.place {
            Place::Stdout => {
                // Whole before the first byte goes out, as a pipe takes none back.
                let mut whole = Cursor::new(Vec::new());
                self.encode(tensor, channels, meta, &mut whole)?;
                let mut out = std::io::stdout().lock();
                out.write_all(whole.get_ref()).and_then(|()| out.flush()).map_err(failed)
            }
            Place::File(path) => {
                let mut file = temporary(path)?;
                let mut to = BufWriter::new(file.as_file_mut());
                self.encode(tensor, channels, meta, &mut to)?;
                to.flush().map_err(failed)?;
                drop(to);
                replace(path, file)
            }
            Place::Pair(_, pair) => {
                let (mut data, mut header) = (temporary(&pair.data)?, temporary(&pair.header)?);
                let files = (data.as_file_mut(), header.as_file_mut());
                envi::write(tensor, self.layout, pair.interleave, &meta.envi, files)
                    .map_err(failed)?;
                // Both are whole. Should it end between the two, an old header of another size is told by the
                // length of the data.
                replace(&pair.data, data)?;
                replace(&pair.header, header)
            }
        }
    }

    fn encode(
        &self,
        tensor: Tensor,
        channels: Channels,
        meta: &Meta,
        to: &mut (impl Write + Seek),
    ) -> Result<()> {
        let failed = |why: String| Failure::writing(self.shown(), why);
        match (self.image(), tensor) {
            (Some(format), tensor) if format.is_tiff() => {
                tiff::write(&tensor, channels, meta, to).map_err(|error| failed(error.to_string()))
            }
            (Some(format), Tensor::U8(y)) if format.integers.is_some() => {
                self.pixels(format, y, meta, to)
            }
            (Some(format), Tensor::U16(y)) if format.integers == Some(16) => {
                self.pixels(format, y, meta, to)
            }
            (Some(format), Tensor::F32(mut y)) if format.floats => {
                let count = y.shape().last().copied().unwrap_or(0);
                if let Some(pixels) = y.as_slice_mut() {
                    // As OpenEXR has it.
                    color::premultiply(pixels, count);
                }
                self.pixels(format, y, meta, to)
            }
            (Some(_), tensor) => Err(failed(format!("it cannot hold {}", tensor.kind()))),
            (None, tensor) => npy::write(&tensor, to).map_err(|error| failed(error.to_string())),
        }
    }

    fn pixels<T: Sample + Pod>(
        &self,
        format: &picture::Format,
        y: ArrayD<T>,
        meta: &Meta,
        to: &mut (impl Write + Seek),
    ) -> Result<()> {
        let failed = |why: String| Failure::writing(self.shown(), why);
        let y = y.into_dimensionality::<Ix3>().map_err(|error| failed(error.to_string()))?;
        picture::write(format, &y, meta, to).map_err(|error| failed(picture::describe(&error)))
    }
}

/// What would be replaced: a link stays one, and what it points to is.
fn writable(path: &Path) -> Result<PathBuf> {
    let path = if path.is_symlink() {
        fs::canonicalize(path).unwrap_or_else(|_| path.into())
    } else {
        path.into()
    };
    if path.is_dir() {
        return Err(Failure::writing(&path, "it is a directory"));
    }
    // Renaming would pass over this.
    if fs::metadata(&path).is_ok_and(|there| there.permissions().readonly()) {
        return Err(Failure::writing(&path, "the file there is read-only"));
    }
    temporary(&path)?;
    Ok(path)
}

/// Puts a file that is whole where it belongs, with the permissions of what was there.
fn replace(path: &Path, file: NamedTempFile) -> Result<()> {
    let failed = |error: std::io::Error| Failure::writing(path, error);
    if let Ok(there) = fs::metadata(path) {
        file.as_file().set_permissions(there.permissions()).map_err(failed)?;
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn temporary(path: &Path) -> Result<NamedTempFile> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut builder = Builder::new();
    builder.prefix(".channelwise-").suffix(".tmp");
    // As files are made by default, the umask taken off, and not for the owner alone.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    // The error's text would name the temporary file.
    builder.tempfile_in(directory).map_err(|error| Failure::writing(path, error.kind()))
}
