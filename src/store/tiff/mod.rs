//! TIFF files: any number of bands of every sample type, in strips and tiles, one page or all.
//!
//! The crate `tiff` reads and writes directories and decompresses. What the samples mean, which of them there are and
//! where chunks lie is read here: it would drop bands, and refuse or misplace planes and palettes.
//!
//! ```text
//! read: windows of pages as pixels                            write: places of samples that are to be
//!   │
//!   ├── pages ── which directories are pages
//!   │     │
//!   │   page ── what one says ── tags: its values
//!   │     │
//!   ├── chunk ── one strip or tile, decompressed ── single: as a file of its own
//!   ├── samples ── as elements
//!   └── colours ── palettes, CMYK, YCbCr, inverted greys, premultiplied alpha
//! ```

mod chunk;
mod colours;
mod page;
mod pages;
mod read;
mod samples;
mod single;
mod tags;
mod write;

pub use read::Tiff;
pub(super) use write::SIDE;
pub use write::{Picture, Places};

/// What went wrong, for people.
type Result<T> = std::result::Result<T, String>;

/// What is said of pictures in inks.
#[doc(hidden)]
pub const INKS: &str = "its CMYK colours are turned to RGB, without a profile";

/// Whether a file that begins so is one.
#[doc(hidden)]
#[must_use]
pub fn is_tiff(bytes: &[u8]) -> bool {
    matches!(bytes, [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..])
}

/// Pixels across and down a unit of length, as TIFF writes them: numerators and denominators.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// 2 is an inch, 3 a centimetre.
    pub unit: u16,
    /// Along rows.
    pub across: (u32, u32),
    /// Along columns.
    pub down: (u32, u32),
}

impl Resolution {
    /// Itself, if it says anything.
    #[must_use]
    pub fn known(self) -> Option<Self> {
        let some = |(n, d)| n > 0 && d > 0;
        (some(self.across) && some(self.down)).then_some(self)
    }

    /// That of a picture turned by a quarter.
    #[must_use]
    pub fn turned(self) -> Self {
        Self { across: self.down, down: self.across, ..self }
    }
}
