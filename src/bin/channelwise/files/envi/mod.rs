//! ENVI cubes: a file of raw samples, and beside it a header of text that says what they are.
//!
//! ```text
//! pair ── which header is whose
//!   │
//! header ── what it says ── interleave, and keys: what of it stays true
//!   │
//! cube ── samples in their places
//! ```

mod cube;
mod header;
mod interleave;
mod keys;
mod pair;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use channelwise::Layout;

use super::{Alpha, Channels, Colours, Input, Meta, Source, Tensor, memory};
use crate::failure::{Failure, Result};
use header::Header;
pub(super) use header::code;
pub(super) use interleave::Interleave;
pub(super) use keys::Keys;
pub(super) use pair::{Output, header_of, is_header};

/// Bytes of the longest header that is read: tens of thousands of bands, each with a name.
const MAX_HEADER: u64 = 16 << 20;

/// Bands of no colour, and none of them alpha.
const BANDS: Channels = Channels { colours: Colours::Unsaid, alpha: Alpha::None };

/// What `path` names, which is this header or data beside it.
pub(super) fn read(path: &Path, header: &Path, layout: Layout) -> Result<Input> {
    let failed = |why: String| Failure::reading(header, why);
    let long = length(header)?;
    if long > MAX_HEADER {
        return Err(failed(format!(
            "its header has {long} bytes, and at most {MAX_HEADER} are read"
        )));
    }
    let text = super::bytes(header)?;
    let said = Header::parse(&String::from_utf8_lossy(&text)).map_err(failed)?;
    let data = if path == header { data_of(header, &said)? } else { path.into() };
    let failed = |why: String| Failure::reading(&data, why);
    // Before anything is read, and after that, as it may have changed.
    let range = said.range(length(&data)?).map_err(failed)?;
    memory::check(2 * range.len() as u64).map_err(failed)?;
    let all = super::bytes(&data)?;
    said.range(all.len() as u64).map_err(failed)?;
    let (tensor, note) = cube::read(&said, &all[range], layout).map_err(failed)?;
    let meta = Meta { envi: said.keys, ..Meta::default() };
    let notes = note.into_iter().collect();
    Ok(Input { tensor, source: Source::Cube, channels: BANDS, meta, notes })
}

/// The data beside a header; of several those that are as long as it says.
fn data_of(header: &Path, said: &Header) -> Result<PathBuf> {
    let failed = |why: String| Failure::reading(header, why);
    let there = pair::data_of(header);
    let fits = |data: &&PathBuf| length(data).is_ok_and(|n| said.range(n).is_ok());
    let fit: Vec<_> = there.iter().filter(fits).collect();
    match (&fit[..], &there[..]) {
        ([data], _) => Ok((*data).clone()),
        (_, [data]) => Ok(data.clone()),
        (_, []) => {
            let names = pair::looked_for(header);
            Err(failed(format!("its data are not beside it: none of {names} is there")))
        }
        (_, several) => {
            let names: Vec<_> = several.iter().map(|data| data.display().to_string()).collect();
            Err(failed(format!("its data may be any of {}: name one of these", names.join(", "))))
        }
    }
}

fn length(path: &Path) -> Result<u64> {
    fs::metadata(path).map(|there| there.len()).map_err(|error| Failure::reading(path, error))
}

/// Writes a tensor of three axes of this layout into two files, `data` and `header`.
pub(super) fn write(
    tensor: Tensor,
    layout: Layout,
    interleave: Interleave,
    keys: &Keys,
    (data, header): (&mut impl Write, &mut impl Write),
) -> std::io::Result<()> {
    let kind = tensor.kind();
    let (Some(sizes), Some(code)) = (cube::sizes(&tensor, layout), code(kind)) else {
        return Err(std::io::Error::other(format!("it cannot hold {kind}")));
    };
    header.write_all(header::text(sizes, code, interleave, keys).as_bytes())?;
    cube::write(tensor, layout, interleave, data)
}
