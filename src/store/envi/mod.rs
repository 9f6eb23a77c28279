//! ENVI cubes: a file of raw samples, and beside it a header of text that says what they are.
//!
//! ```text
//! pair ── which header is whose
//!   │
//! header ── what it says ── interleave, and keys: what of it stays true
//! ```

mod header;
mod interleave;
mod keys;
mod pair;

pub use header::{Header, code, text};
pub use interleave::Interleave;
pub use keys::Keys;
pub use pair::{Output, Refused, data_of, header_of, is_header, looked_for};

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::axes::Axes;
use super::raw::Raw;
use crate::Layout;

/// Bytes of the longest header that is read: tens of thousands of bands, each with a name.
const MAX_HEADER: u64 = 16 << 20;

/// What a cube is, as `path` names its header or its data.
#[derive(Debug)]
pub struct Found {
    /// Where its samples are.
    pub data: PathBuf,
    /// What they are.
    pub header: Header,
}

/// A file that cannot be read, and why not.
type Result<T> = std::result::Result<T, (PathBuf, String)>;

/// Reads the header of what `path` names, which is this one or data beside it.
///
/// # Errors
/// Which file cannot be read, and why not.
pub fn find(path: &Path, header: &Path) -> Result<Found> {
    let failed = |why: String| (header.to_path_buf(), why);
    let long = length(header)?;
    if long > MAX_HEADER {
        return Err(failed(format!(
            "its header has {long} bytes, and at most {MAX_HEADER} are read"
        )));
    }
    let text = fs::read(header).map_err(|error| failed(error.to_string()))?;
    let said = Header::parse(&String::from_utf8_lossy(&text)).map_err(failed)?;
    let data = if path == header { data(header, &said)? } else { path.into() };
    Ok(Found { data, header: said })
}

/// The data beside a header; of several those that are as long as it says.
fn data(header: &Path, said: &Header) -> Result<PathBuf> {
    let failed = |why: String| (header.to_path_buf(), why);
    let there = data_of(header);
    let fits = |data: &&PathBuf| length(data).is_ok_and(|n| said.range(n).is_ok());
    let fit: Vec<_> = there.iter().filter(fits).collect();
    match (&fit[..], &there[..]) {
        ([data], _) => Ok((*data).clone()),
        (_, [data]) => Ok(data.clone()),
        (_, []) => {
            let names = looked_for(header);
            Err(failed(format!("its data are not beside it: none of {names} is there")))
        }
        (_, several) => {
            let names: Vec<_> = several.iter().map(|data| data.display().to_string()).collect();
            Err(failed(format!("its data may be any of {}: name one of these", names.join(", "))))
        }
    }
}

/// How many bytes a file has.
///
/// # Errors
/// What the system says of it.
pub fn length(path: &Path) -> Result<u64> {
    let there = fs::metadata(path).map(|there| there.len());
    there.map_err(|error| (path.to_path_buf(), error.to_string()))
}

/// Sizes of the axes of a cube as a tensor of this layout.
pub(super) fn dims([lines, samples, bands]: [usize; 3], layout: Layout) -> [usize; 3] {
    if layout == Layout::Nchw { [bands, lines, samples] } else { [lines, samples, bands] }
}

/// Lines, samples and bands of a tensor of one image.
pub(super) fn sizes(axes: &Axes, layout: Layout) -> Option<[usize; 3]> {
    let [n, lines, samples, bands] = axes.shape().to_nhwc(layout);
    // Of more than four axes planes are images.
    (n == 1 && bands > 0).then_some([lines, samples, bands])
}

/// The samples of a cube in a file, as a tensor of this layout, in this order.
pub(super) fn raw(
    file: File,
    offset: u64,
    kind: (super::sample::Sample, bool),
    sizes: [usize; 3],
    (layout, interleave): (Layout, Interleave),
) -> Option<Raw> {
    // From the axis whose samples are neighbours.
    let order: &[usize] = match (layout, interleave) {
        (Layout::Nhwc, Interleave::Bip) => &[2, 1, 0],
        (Layout::Nhwc, Interleave::Bil) => &[1, 2, 0],
        (Layout::Nhwc, Interleave::Bsq) => &[1, 0, 2],
        (Layout::Nchw, Interleave::Bip) => &[0, 2, 1],
        (Layout::Nchw, Interleave::Bil) => &[2, 0, 1],
        (Layout::Nchw, Interleave::Bsq) => &[2, 1, 0],
    };
    let axes = Axes::new(&dims(sizes, layout), layout)?;
    Some(Raw::ordered(file, offset, kind, axes, order))
}
