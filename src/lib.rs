//! One 2-D kernel applied to every channel of an NHWC tensor, channels never mixed.

mod activation;
mod border;
mod conv;
mod cpu;
mod element;
mod engine;
mod error;
mod gpu;
mod kernel;
pub mod plan;
mod problem;
pub mod reference;
mod shape;

pub use activation::Activation;
pub use border::Border;
pub use conv::{Conv2d, Padding, Pointwise};
pub use cpu::Cpu;
pub use element::{Element, ElementType};
pub use engine::{Engine, Prepared, Timings};
pub use error::{Error, Result};
pub use gpu::{BufferRange, Gpu, GpuOptions, GpuPrepared, adapters};
pub use kernel::Kernel;
pub use plan::{Algorithm, Plan};
pub use problem::Problem;
pub use shape::{Layout, Shape};

pub use ndarray;
pub use wgpu;
