//! What engines do, held against the reference, other tools, and each other: on the CPU at every SIMD
//! level, and on the GPU that `WGPU_ADAPTER_NAME` and `WGPU_BACKEND` choose.
//!
//! One program, since each that is linked with wgpu costs seconds: `cargo test --test engines golden::`
//! runs one theme of it.

mod adjoint;
mod adversarial;
mod agreement;
mod auto;
mod bits;
mod chains;
mod common;
mod device;
mod errors;
mod faults;
mod frames;
mod golden;
mod gradients;
#[cfg(feature = "image")]
mod images;
#[cfg(feature = "learn")]
mod learn;
mod long;
mod losses;
mod masked;
mod properties;
mod regions;
mod seams;
mod slices;
#[cfg(feature = "store")]
mod stores;
mod streams;
mod tensors;
mod textures;
mod threads;
mod weights;
mod wider;
