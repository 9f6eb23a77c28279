//! The compiled part of the Python package `channelwise`.
//!
//! ```text
//! lib ─ engine ─ prepared ─ call      the classes, and one call
//!          │        │         │
//!      backward   filter ─────┘       the crate's generic types behind one trait
//!          │        │
//!   presets, kernel, options          what is to be computed
//!          │
//!     given, memory, elements         arrays: memory.rs alone touches memory of others
//!          │
//!     fork, failure
//! ```
//!
//! What callers see, with all its words, is in `python/channelwise`.

mod backward;
mod call;
mod elements;
mod engine;
mod failure;
mod filter;
mod fork;
mod given;
mod kernel;
mod memory;
mod options;
mod prepared;
mod presets;

use pyo3::prelude::*;

/// Called in a child after a fork, while no other thread is there.
#[pyfunction]
fn _forked() {
    fork::forked();
}

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::_forked;
    #[pymodule_export]
    use super::engine::PyEngine;
    #[pymodule_export]
    use super::kernel::{PyKernel, flipped, normalized};
    #[pymodule_export]
    use super::prepared::{Prepared, Region};
    #[pymodule_export]
    use super::presets::{
        binomial, box_blur, disk, emboss, gabor, gaussian, gaussian_axes, gaussian_sigma,
        gaussian_sized, identity, laplacian4, laplacian8, log, motion, prewitt_x, prewitt_y,
        scharr_x, scharr_y, separable, sharpen, sobel_x, sobel_y, stack, unsharp, weighted_sum,
    };
}
