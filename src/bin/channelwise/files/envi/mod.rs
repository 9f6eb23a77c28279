//! ENVI cubes as whole tensors; what headers say, and whose they are, the library knows.

mod cube;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};

use channelwise::Layout;
use channelwise::store::cubes::{self, Found};
pub(super) use channelwise::store::cubes::{Interleave, Keys, Output, code, header_of, is_header};
use channelwise::store::memory;

use super::{Alpha, Channels, Colours, Input, Meta, Source, Tensor};
use crate::failure::{Failure, Result};

/// Bands of no colour, and none of them alpha.
const BANDS: Channels = Channels { colours: Colours::Unsaid, alpha: Alpha::None };

fn unread((path, why): (PathBuf, String)) -> Failure {
    Failure::reading(&path, why)
}

/// What `path` names, which is this header or data beside it.
pub(super) fn read(path: &Path, header: &Path, layout: Layout) -> Result<Input> {
    let Found { data, header: said } = cubes::find(path, header).map_err(unread)?;
    let failed = |why: String| Failure::reading(&data, why);
    // Before anything is read, and after that, as it may have changed.
    let range = said.range(cubes::length(&data).map_err(unread)?).map_err(failed)?;
    memory::check(2 * range.len() as u64).map_err(failed)?;
    let all = super::bytes(&data)?;
    said.range(all.len() as u64).map_err(failed)?;
    let (tensor, note) = cube::read(&said, &all[range], layout).map_err(failed)?;
    let meta = Meta { envi: said.keys, ..Meta::default() };
    let notes = note.into_iter().collect();
    Ok(Input { tensor, source: Source::Cube, channels: BANDS, meta, notes })
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
    let (Some(sizes), Some(code)) = (cube::sizes(&tensor, layout), code(kind.into())) else {
        return Err(std::io::Error::other(format!("it cannot hold {kind}")));
    };
    header.write_all(cubes::text(sizes, code, interleave, keys).as_bytes())?;
    cube::write(tensor, layout, interleave, data)
}
