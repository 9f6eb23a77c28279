//! One 2-D kernel applied to **every** channel of an NHWC tensor, channels never mixed: on any GPU
//! through [wgpu](https://docs.rs/wgpu), and on the CPU.
//!
//! ```
//! use channelwise::{Conv2d, Engine, Kernel};
//! use ndarray::Array4;
//!
//! # fn main() -> channelwise::Result<()> {
//! let engine = Engine::auto();
//! let x = Array4::<f32>::ones((1, 10, 10, 3));
//! // One filter: what split, conv2d per channel and concat give in TensorFlow.
//! let y = engine.run(&Conv2d::like_tensorflow(Kernel::sobel_x()), &x)?;
//! assert_eq!(y.dim(), (1, 8, 8, 3));
//! // Two filters per channel: output channel `c * 2 + f`.
//! let both = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()])?;
//! let y = engine.run(&Conv2d::like_tensorflow(both), &x)?;
//! assert_eq!(y.dim(), (1, 8, 8, 6));
//! # Ok(()) }
//! ```
//!
//! - What to compute: [`Kernel`], [`Conv2d`] with its [`Border`] (or [`Borders`]), [`Padding`], [`Activation`],
//!   [`Pointwise`] and [`Layout`]; over values some of which are missing, [`Conv2d::normalized`].
//! - What computes it: [`Engine`], for one call, or [`Prepared`] for many of one shape, on arrays of
//!   [`ndarray`] or on plain slices ([`Prepared::run_slices`], [`Pitched`]); [`Region`] for a part of the
//!   output, [`Each`] for a convolution of its own for each image. Data that
//!   stays on the GPU: [`GpuTensor`] and [`Gpu::run`], [`GpuPrepared::encode`] into your encoder,
//!   [`GpuTexturePrepared::encode_texture`] for textures, [`GpuChain`] for several in a row,
//!   [`FrameStream`] for frame after frame.
//! - Larger than memory, and on many machines: the module [`mod@stream`]; in files, the module
//!   `store` (feature `store`).
//! - Gradients: [`Engine::backward`], or [`Backward`] for many of one shape; [`Gpu::backward`] for tensors
//!   on the GPU. The operator backwards: [`Conv2d::adjoint`]. Training: the module `learn` (feature
//!   `learn`).
//! - How, and why so: [`Plan`], from [`Prepared::plan`].
//! - Whether it is right: [`mod@reference`].
//!
//! The [`guide`] has a chapter for each use.
//!
//! # When not to use it
//!
//! A kernel *per channel* (a trained depthwise layer) and kernels that mix channels are not this
//! operation. On arrays of the host a GPU loses to the CPU by the time a transfer takes, unless the kernel is
//! large; [`Engine::auto`] counts that.
//!
//! # Map of the code
//!
//! Imports go downwards only; `tests/layering` holds them to it.
//!
//! ```text
//! image   learn        pictures, and training (features of the same names)
//! store/               arrays in files and folders, of any size (feature `store`)
//!   stream/            tensors larger than memory
//! engine               the front door; ndarray stops here
//!   cpu/   gpu/        what runs plans; they do not know each other. wgpu only in gpu/ (feature `gpu`;
//!                      no_gpu stands there without it)
//!     plan/            choosing, explaining, bands; plan/job: what a GPU has to do, as data. Pure
//!       problem        every check a caller can fail, all arithmetic of shapes
//!         conv kernel/ what the user asks for
//!           border color element activation shape window error memory lru wait
//! reference            the definition in f64; used by tests and the program only
//! guide/               words
//! shaders/*.wgsl       listed in gpu/program/files
//! ```
//!
//! # Features
//!
//! - `gpu` (on): the GPU engine, through wgpu. Without it the crate is a library for the CPU, wgpu is not
//!   compiled, and [`Engine::auto`] is the CPU. Methods that are `async` stay: on the CPU they are done at
//!   the first poll, in the thread that polls.
//! - `wgpu-default` (on, with `gpu`): wgpu's own default back ends. Without it an app picks them on its own
//!   wgpu dependency.
//! - `image`: pictures of the crate `image`, with alpha and linear light.
//! - `learn`: layers of one shared kernel, optimisers, and files of weights (safetensors, npy).
//! - `store`: arrays in files, larger than memory: `.npy`, ENVI, TIFF and Zarr. It needs Rust 1.91.
//! - `cli`: the program `channelwise` (with `gpu` and `image`).

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod activation;
mod border;
pub mod color;
mod conv;
mod cpu;
mod element;
mod engine;
mod error;
#[cfg_attr(not(feature = "gpu"), path = "no_gpu.rs")]
mod gpu;
pub mod guide;
#[cfg(feature = "image")]
pub mod image;
mod kernel;
#[cfg(feature = "learn")]
pub mod learn;
mod lru;
mod memory;
// A GPU's part of it is data, and tested as such; only what would run it is left out.
#[cfg_attr(
    not(feature = "gpu"),
    allow(dead_code, unused_imports, reason = "the GPU engine takes it from there")
)]
pub mod plan;
mod problem;
pub mod reference;
mod shape;
#[cfg(all(feature = "store", not(target_arch = "wasm32")))]
pub mod store;
#[cfg(not(target_arch = "wasm32"))]
pub mod stream;
mod wait;
mod window;

pub use activation::Activation;
pub use border::{Border, Borders, Sides};
pub use color::AlphaMode;
pub use conv::{Conv2d, Missing, Padding, Pointwise};
pub use cpu::Cpu;
pub use element::{Element, ElementType};
pub use engine::{
    Axes, Backward, Chain, Each, Engine, Gradients, Pitched, PointwiseGradients, Prepared, Region,
    Timings, WeightGradients,
};
pub use error::{Error, ErrorSource, Result};
#[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
pub use gpu::adapters;
#[cfg(feature = "gpu")]
pub use gpu::{
    BufferRange, FrameStream, Gpu, GpuBackward, GpuChain, GpuGradients, GpuOptions,
    GpuPointwiseGradients, GpuPrepared, GpuTensor, GpuTexturePrepared, PlannedShader, Polling,
    PoolStats, TextureOptions, TextureOrView, TextureSubresource, Ticket, Tuning, adapters_async,
    recommended_features, recommended_limits, required_features,
};
#[cfg(feature = "gpu")]
#[doc(hidden)]
pub use gpu::{Fault, Moment};
pub use kernel::{Factors, Kernel};
pub use plan::{Accuracy, Algorithm, GradientPlan, Plan};
pub use problem::Problem;
pub use shape::{Layout, Shape};
pub use window::Window;

pub use half::f16;
pub use ndarray;
#[cfg(feature = "gpu")]
pub use wgpu;

/// The README's code, compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
