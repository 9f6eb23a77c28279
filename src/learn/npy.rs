//! Weights in a folder of NumPy's `.npy` files.

use std::io::ErrorKind;
use std::path::Path;

use ndarray::{ArrayD, ArrayViewD};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};

use super::SharedLayer;
use super::layer::{Part, Tensor};
use crate::{Error, Result};

/// Longest header that is read: NumPy's own limit.
const MAX_HEADER: usize = 10_000;
/// Opening brackets that a header may have: a dictionary and a shape have two.
const MAX_BRACKETS: usize = 8;

impl SharedLayer {
    /// Writes the weights into `folder`, which is made where it does not exist: `kernel.npy`, `bias.npy`,
    /// and of a pointwise step `pointwise.kernel.npy` and `pointwise.bias.npy`, of the shapes that
    /// [`SharedLayer::to_safetensors`] tells. Other files there stay.
    ///
    /// ```
    /// use channelwise::learn::SharedLayer;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = &std::env::temp_dir().join(format!("channelwise-{}", std::process::id()));
    /// let trained = SharedLayer::glorot_uniform(5, 5, 2, 42)?;
    /// trained.save_npy(folder)?; // np.load("kernel.npy").shape == (5, 5, 1, 2)
    /// let mut layer = SharedLayer::glorot_uniform(5, 5, 2, 0)?;
    /// layer.load_npy(folder)?;
    /// assert_eq!(layer, trained);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::File`] where the system refuses.
    pub fn save_npy(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|reason| Error::file(folder, reason))?;
        for tensor in self.tensors() {
            let path = path_of(folder, tensor.part);
            let mut bytes = Vec::new();
            ArrayViewD::from_shape(tensor.shape, tensor.values)
                .map_err(|reason| Error::file(&path, reason))?
                .write_npy(&mut bytes)
                .map_err(|reason| Error::file(&path, reason))?;
            std::fs::write(&path, bytes).map_err(|reason| Error::file(&path, reason))?;
        }
        Ok(())
    }

    /// Takes over the weights from the files of [`SharedLayer::save_npy`], of float32 in either byte order,
    /// in C or Fortran order.
    ///
    /// All files must be there, and none of those names that the layer has no tensor for; other files are
    /// not looked at.
    ///
    /// # Errors
    /// [`Error::File`] where one cannot be read or is no such file; [`Error::Weights`] where one is missing,
    /// is one too many, or has another shape or type. The layer is then unchanged.
    pub fn load_npy(&mut self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        let known = self.tensors();
        for part in Part::ALL {
            if known.iter().all(|t| t.part != part) && path_of(folder, part).exists() {
                let expected = "no file of this name";
                return Err(Error::weights(part.name(), "a file", expected));
            }
        }
        *self = self.replaced(|tensor| read(folder, tensor))?;
        Ok(())
    }
}

fn path_of(folder: &Path, part: Part) -> std::path::PathBuf {
    folder.join(format!("{}.npy", part.name()))
}

fn read(folder: &Path, tensor: &Tensor<'_>) -> Result<Vec<f32>> {
    let path = path_of(folder, tensor.part);
    let name = tensor.part.name();
    let expected = || format!("float32 of shape {:?}", tensor.shape);
    let bytes = match std::fs::read(&path) {
        Err(missing) if missing.kind() == ErrorKind::NotFound => {
            return Err(Error::weights(name, "no such file", expected()));
        }
        read => read.map_err(|reason| Error::file(&path, reason))?,
    };
    // Held against what is expected before `ndarray-npy` makes room for what the header tells.
    let header = header(&bytes).ok_or_else(|| Error::file(&path, "it is not a .npy file"))?;
    let (kind, shape) = kind_and_shape(&header)
        .ok_or_else(|| Error::file(&path, "its header tells no type and shape"))?;
    if !matches!(kind, "<f4" | ">f4") || shape != tensor.shape {
        return Err(Error::weights(name, format!("{kind} of shape {shape:?}"), expected()));
    }
    let array = ArrayD::<f32>::read_npy(&bytes[..]).map_err(|reason| Error::file(&path, reason))?;
    Ok(array.iter().copied().collect())
}

/// The text that tells type and shape, short and shallow enough for a parser that recurses.
fn header(bytes: &[u8]) -> Option<String> {
    let (start, length) = match *bytes.strip_prefix(b"\x93NUMPY")? {
        [1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([a, b]))),
        [2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        _ => return None,
    };
    if length > MAX_HEADER {
        return None;
    }
    let text = std::str::from_utf8(bytes.get(start..start + length)?).ok()?;
    (text.matches(['(', '[', '{']).count() <= MAX_BRACKETS).then(|| text.to_string())
}

fn kind_and_shape(header: &str) -> Option<(&str, Vec<usize>)> {
    let kind = entry(header, "'descr'")?.strip_prefix('\'')?.split_once('\'')?.0;
    let (inside, _) = entry(header, "'shape'")?.strip_prefix('(')?.split_once(')')?;
    let sizes = inside.split(',').map(str::trim).filter(|n| !n.is_empty());
    Some((kind, sizes.map(|n| n.parse().ok()).collect::<Option<_>>()?))
}

/// What follows a key. One that is there twice is none: two parsers might take different ones.
fn entry<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, after) = header.split_once(key)?;
    let once = !after.contains(key);
    once.then(|| after.trim_start().strip_prefix(':').map(str::trim_start)).flatten()
}
