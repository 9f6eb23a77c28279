//! Weights in the format safetensors.

#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;

use ::safetensors::{Dtype, SafeTensors, tensor::TensorView};
use half::f16;

use super::SharedLayer;
use crate::{Error, Result};

impl SharedLayer {
    /// The weights as the bytes of a safetensors file.
    ///
    /// Tensors of f32: `kernel` `[height, width, 1, filters]`, as TensorFlow lays out the weights of a
    /// `Conv2D`; `bias` `[filters]`; of a pointwise step `pointwise.kernel` `[1, 1, filters, outputs]` and
    /// `pointwise.bias` `[outputs]`. Biases are left out where the layer has none. Options are not kept.
    ///
    /// ```
    /// use channelwise::Conv2d;
    /// use channelwise::Kernel;
    /// use channelwise::learn::SharedLayer;
    /// # fn main() -> channelwise::Result<()> {
    /// let trained = SharedLayer::new(Conv2d::new(Kernel::sobel_x()))?;
    /// let bytes = trained.to_safetensors()?;
    /// let mut layer = SharedLayer::new(Conv2d::new(Kernel::new(3, 3, vec![0.0; 9])?))?;
    /// layer.read_safetensors(&bytes)?;
    /// assert_eq!(layer, trained);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where there is no room for them.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let tensors = self.tensors();
        let total = tensors.iter().map(|tensor| size_of_val(tensor.values)).sum::<usize>();
        let what = "the bytes of a safetensors file";
        let no_room = || Error::out_of_host_memory(what, total as u64);
        let data: Vec<Vec<u8>> = tensors
            .iter()
            .map(|tensor| tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect())
            .collect();
        let mut views = Vec::new();
        for (tensor, data) in tensors.iter().zip(&data) {
            let view = TensorView::new(Dtype::F32, tensor.shape.clone(), data);
            views.push((tensor.part.name(), view.map_err(|_| no_room())?));
        }
        // Lengths are those of the shapes, and four names are no large header.
        ::safetensors::serialize(views, None).map_err(|_| no_room())
    }

    /// Takes over the weights from the bytes of a safetensors file.
    ///
    /// The file must hold the tensors of [`SharedLayer::to_safetensors`] for this layer and no others, as
    /// PyTorch's `load_state_dict(strict=True)` wants it, of f32 or f16.
    ///
    /// # Errors
    /// [`Error::Weights`] where a tensor is missing, is one too many, or has another shape or type;
    /// [`Error::Argument`] where the bytes are no safetensors file. The layer is then unchanged.
    pub fn read_safetensors(&mut self, bytes: &[u8]) -> Result<()> {
        let file = SafeTensors::deserialize(bytes).map_err(|reason| {
            let limit = format!("a safetensors file is needed: {reason}");
            Error::argument("bytes", format!("{} bytes", bytes.len()), limit)
        })?;
        self.take(&file)
    }

    /// Writes the file of [`SharedLayer::to_safetensors`].
    ///
    /// # Errors
    /// [`Error::File`] where the system refuses.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save_safetensors(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        std::fs::write(path, self.to_safetensors()?).map_err(|reason| Error::file(path, reason))
    }

    /// Takes over the weights from a file, as [`SharedLayer::read_safetensors`] does.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read or is no safetensors file, and [`Error::Weights`] as there.
    /// The layer is then unchanged.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn load_safetensors(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|reason| Error::file(path, reason))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|reason| Error::file(path, reason))?;
        self.take(&file)
    }

    fn take(&mut self, file: &SafeTensors<'_>) -> Result<()> {
        let mut known: Vec<&str> = self.tensors().iter().map(|t| t.part.name()).collect();
        let mut names = file.names();
        names.sort_unstable();
        // What is missing is told below, with what is there instead.
        if let Some(other) = names.iter().find(|name| !known.contains(name)) {
            known.retain(|name| !names.contains(name));
            let expected = match known.as_slice() {
                [] => "no tensor of this name".to_string(),
                missing => format!("{} instead", missing.join(", ")),
            };
            return Err(Error::weights(other, "a tensor", expected));
        }
        let taken = self.replaced(|tensor| {
            let name = tensor.part.name();
            let expected = format!("f32 or f16 of shape {:?}", tensor.shape);
            let Ok(view) = file.tensor(name) else {
                return Err(Error::weights(name, "no such tensor", expected));
            };
            let (kind, shape, data) = (view.dtype(), view.shape(), view.data());
            match kind {
                _ if shape != tensor.shape => {}
                Dtype::F32 => return Ok(values(data, f32::from_le_bytes)),
                Dtype::F16 => return Ok(values(data, |b| f16::from_le_bytes(b).to_f32())),
                _ => {}
            }
            let kind = kind.to_string().to_lowercase();
            Err(Error::weights(name, format!("{kind} of shape {shape:?}"), expected))
        })?;
        *self = taken;
        Ok(())
    }
}

fn values<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (all, _) = data.as_chunks::<N>();
    all.iter().map(|bytes| value(*bytes)).collect()
}
