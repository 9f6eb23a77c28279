//! How to use it, chapter by chapter. Nothing here is code: every type's own page has its details.
//!
//! | chapter | |
//! | --- | --- |
//! | [`start`] | the first call, one plan for many calls, features and versions |
//! | [`options`] | kernel, padding, border, stride, activation and all others, by their formula |
//! | [`engines`] | the CPU, a GPU or the faster one; which algorithm, and why |
//! | [`images`] | pictures: alpha and light |
//! | [`files`] | arrays larger than memory: `.npy`, ENVI, TIFF and Zarr |
//! | [`scale`] | from a batch to many machines, with the same bits |
//! | [`gradients`] | gradients of every option, and layers that learn |
//! | [`tensors`] | data that stays on the GPU; chains |
//! | [`frames`] | frame after frame through a GPU |
//! | [`device`] | your own wgpu device, queue and encoder |
//! | [`textures`] | textures, in your encoder |
//! | [`browser`] | WebGPU, and wasm on the CPU |
//! | [`accuracy`] | bounds, limits, errors, and where it was tested |
//! | [`bits`] | what is equal to what, to the last bit |
//! | [`performance`] | figures, and how to measure yours |
//! | [`program`] | the command `channelwise` |
//! | [`python`] | NumPy and Dask |
//!
//! The chapters are the files of `src/guide`, which refer to each other by file. `links.md` stands before
//! each and makes pages of this documentation of those references: of two definitions the first counts.

#[doc = include_str!("links.md")]
#[doc = include_str!("start.md")]
pub mod start {}

#[doc = include_str!("links.md")]
#[doc = include_str!("options.md")]
pub mod options {}

#[doc = include_str!("links.md")]
#[doc = include_str!("engines.md")]
pub mod engines {}

#[cfg(feature = "image")]
#[doc = include_str!("links.md")]
#[doc = include_str!("images.md")]
pub mod images {}

#[cfg(all(feature = "store", not(target_arch = "wasm32")))]
#[doc = include_str!("links.md")]
#[doc = include_str!("files.md")]
pub mod files {}

#[doc = include_str!("links.md")]
#[doc = include_str!("scale.md")]
pub mod scale {}

#[cfg(feature = "learn")]
#[doc = include_str!("links.md")]
#[doc = include_str!("gradients.md")]
pub mod gradients {}

#[cfg(feature = "gpu")]
#[doc = include_str!("links.md")]
#[doc = include_str!("tensors.md")]
pub mod tensors {}

#[cfg(feature = "gpu")]
#[doc = include_str!("links.md")]
#[doc = include_str!("frames.md")]
pub mod frames {}

#[cfg(feature = "gpu")]
#[doc = include_str!("links.md")]
#[doc = include_str!("device.md")]
pub mod device {}

#[cfg(feature = "gpu")]
#[doc = include_str!("links.md")]
#[doc = include_str!("textures.md")]
pub mod textures {}

#[doc = include_str!("links.md")]
#[doc = include_str!("browser.md")]
pub mod browser {}

#[doc = include_str!("links.md")]
#[doc = include_str!("accuracy.md")]
pub mod accuracy {}

#[doc = include_str!("links.md")]
#[doc = include_str!("bits.md")]
pub mod bits {}

#[doc = include_str!("links.md")]
#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("links.md")]
#[doc = include_str!("program.md")]
pub mod program {}

#[doc = include_str!("links.md")]
#[doc = include_str!("python.md")]
pub mod python {}
