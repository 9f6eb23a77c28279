//! Arrays into device memory and back.

use ndarray::{Array, ArrayD, ArrayRef, IxDyn};

use super::arrays::{Axes, shape_of, standard};
use crate::{Element, Error, Gpu, GpuTensor, Result, Shape};

impl<T: Element> GpuTensor<T> {
    /// [`GpuTensor::upload`] of any ndarray array or view; one that is not contiguous in standard order is
    /// copied first. For `[batch, channels, height, width]` see [`GpuTensor::with_layout`].
    ///
    /// ```no_run
    /// use channelwise::ndarray::{Array3, s};
    /// use channelwise::{Gpu, GpuTensor};
    /// # fn example(gpu: &Gpu) -> channelwise::Result<()> {
    /// let photo = Array3::<u8>::zeros((1080, 1920, 3));
    /// let cropped = GpuTensor::from_array(gpu, &photo.slice(s![100..200, 300..500, ..]))?;
    /// assert_eq!(cropped.shape().dims(), [100, 200, 3]);
    /// let back: Array3<u8> = cropped.to_array()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`GpuTensor::upload`], and [`Error::OutOfMemory`] of the host.
    pub fn from_array<D: Axes>(gpu: &Gpu, array: &ArrayRef<T, D>) -> Result<Self> {
        let shape = shape_of(array)?;
        if let Some(data) = array.as_slice() {
            return Self::upload(gpu, data, shape);
        }
        let mut whole = standard("a copy of the tensor", array)?;
        whole.assign(array);
        // A standard layout is always a slice.
        Self::upload(gpu, whole.as_slice().unwrap_or_default(), shape)
    }

    /// [`GpuTensor::download`] into an array with the tensor's axes. Not in browsers; see
    /// [`GpuTensor::to_array_async`].
    ///
    /// # Errors
    /// Those of [`GpuTensor::download`], and [`Error::Argument`] for an array of another number of axes.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn to_array<D: Axes>(&self) -> Result<Array<T, D>> {
        array_of(self.shape(), self.download()?)
    }

    /// [`GpuTensor::to_array`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn to_array_async<D: Axes>(&self) -> Result<Array<T, D>> {
        array_of(self.shape(), self.download_async().await?)
    }
}

fn array_of<T, D: Axes>(shape: Shape, data: Vec<T>) -> Result<Array<T, D>> {
    let array = ArrayD::from_shape_vec(IxDyn(shape.dims()), data);
    array.and_then(ArrayD::into_dimensionality::<D>).map_err(|_| {
        let axes = D::NDIM.map_or_else(String::new, |n| n.to_string());
        Error::argument("number of axes of the array", axes, format!("the tensor is {shape}"))
    })
}
