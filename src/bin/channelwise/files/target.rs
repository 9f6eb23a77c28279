//! Where the result goes: which kind of file, what it can hold, and writing it whole or not at all.

use std::fs;
use std::io::{BufWriter, Cursor, IsTerminal, Seek, Write};
use std::path::{Path, PathBuf};

use bytemuck::Pod;
use channelwise::color;
use channelwise::ndarray::{ArrayD, Ix3};
use tempfile::{Builder, NamedTempFile};

use super::{Alpha, Channels, Meta, STANDARD, Sample, Tensor, extension, npy, picture, tiff};
use crate::failure::{Failure, Result};

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kind {
    /// `None`: `.npy`.
    image: Option<&'static picture::Format>,
}

impl Kind {
    /// That of an extension in lower case.
    fn of(extension: &str) -> Option<Self> {
        let image = picture::FORMATS.iter().find(|f| f.extensions.contains(&extension));
        (image.is_some() || extension == "npy").then_some(Self { image })
    }

    fn known() -> String {
        let images = picture::FORMATS.iter().flat_map(|format| format.extensions);
        ["npy"].iter().chain(images).copied().collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn extension(self) -> &'static str {
        self.image.and_then(|format| format.extensions.first()).unwrap_or(&"npy")
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::of(&text.to_ascii_lowercase())
            .ok_or_else(|| format!("no such format; there are {}", Self::known()))
    }
}

/// A file to be written.
#[derive(Debug)]
pub(crate) struct Target {
    /// `None`: standard output.
    path: Option<PathBuf>,
    /// `None`: `.npy`.
    image: Option<&'static picture::Format>,
}

impl Target {
    /// Checks all that can be known before the work: the extension, the directory, leave to write.
    pub(crate) fn new(path: &Path, format: Option<Kind>) -> Result<Self> {
        let stdout = path.as_os_str() == STANDARD;
        let Some(Kind { image }) = format.or_else(|| Kind::of(&extension(path))) else {
            let known = Kind::known();
            if stdout {
                let text = format!("output -: --format says what goes there, one of {known}");
                return Err(Failure::usage(text));
            }
            let path = path.display();
            let text = format!("output {path}: its extension is none of {known}; see --format");
            return Err(Failure::usage(text));
        };
        if stdout {
            if std::io::stdout().is_terminal() {
                return Err(Failure::usage("output -: a terminal cannot show it"));
            }
            return Ok(Self { path: None, image });
        }
        // A link stays one, and what it points to is replaced.
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
        Ok(Self { path: Some(path), image })
    }

    pub(crate) fn is_stdout(&self) -> bool {
        self.path.is_none()
    }

    /// For people.
    pub(crate) fn name(&self) -> String {
        self.shown().display().to_string()
    }

    fn shown(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new("standard output"))
    }

    /// Whether it is an image that can hold 16 bits.
    pub(crate) fn is_deep(&self) -> bool {
        self.image.is_some_and(|format| format.integers == Some(16))
    }

    /// Whether it is a file that holds floats, and whether integers.
    pub(crate) fn holds(&self) -> (bool, bool) {
        self.image.map_or((true, true), |format| (format.floats, format.integers.is_some()))
    }

    /// Whether it holds pixels rather than a tensor.
    pub(crate) fn is_image(&self) -> bool {
        self.image.is_some()
    }

    /// Whether an output of this shape (batch and channels of it) fits the kind of file.
    pub(crate) fn check(&self, batch: usize, count: usize, channels: Channels) -> Result<()> {
        let Some(format) = self.image else { return Ok(()) };
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
        let failed = |why: String| Failure::writing(self.shown(), why);
        let Some(path) = &self.path else {
            // Whole before the first byte goes out, as a pipe takes none back.
            let mut whole = Cursor::new(Vec::new());
            self.encode(tensor, channels, meta, &mut whole)?;
            let mut out = std::io::stdout().lock();
            let written = out.write_all(whole.get_ref()).and_then(|()| out.flush());
            return written.map_err(|error| failed(error.to_string()));
        };
        let mut file = temporary(path)?;
        let mut to = BufWriter::new(file.as_file_mut());
        self.encode(tensor, channels, meta, &mut to)?;
        to.flush().map_err(|error| failed(error.to_string()))?;
        drop(to);
        if let Ok(there) = fs::metadata(path) {
            file.as_file()
                .set_permissions(there.permissions())
                .map_err(|error| failed(error.to_string()))?;
        }
        file.persist(path).map_err(|error| failed(error.error.to_string()))?;
        Ok(())
    }

    fn encode(
        &self,
        tensor: Tensor,
        channels: Channels,
        meta: &Meta,
        to: &mut (impl Write + Seek),
    ) -> Result<()> {
        let failed = |why: String| Failure::writing(self.shown(), why);
        match (self.image, tensor) {
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
