//! Kernels learnt from data: a layer of one shared kernel, optimisers, and files of its weights.
//!
//! A step of training is: apply the layer, say how the loss changes with its output, and let an
//! optimiser move the weights against their gradients ([`Engine::backward`](crate::Engine::backward)).
//! The loss is yours; the gradient of `mean((y - target)²)` with respect to `y` is
//! `2 * (y - target) / n`.
//!
//! ```
//! use channelwise::learn::{Adam, SharedLayer};
//! use channelwise::{Conv2d, Engine, Kernel};
//! use ndarray::Array3;
//!
//! # fn main() -> channelwise::Result<()> {
//! let engine = Engine::cpu();
//! // What the layer shall find out: a Sobel filter, from an image and what that made of it.
//! let image = Array3::from_shape_fn((12, 12, 3), |(r, q, c)| ((7 * r * r + 5 * q + 3 * c) % 11) as f32 / 11.0);
//! let target = engine.run(&Conv2d::like_tensorflow(Kernel::sobel_x()), &image)?;
//!
//! let mut layer = SharedLayer::glorot_uniform(3, 3, 1, 42)?;
//! let mut adam = Adam::new(0.05);
//! for _ in 0..400 {
//!     let y = layer.forward(&engine, &image)?;
//!     let dy = (&y - &target) * (2.0 / y.len() as f32);
//!     let gradients = layer.weight_gradients(&engine, &image, &dy)?;
//!     layer.step(&mut adam, &gradients)?;
//! }
//! for (found, hidden) in layer.kernel().weights().iter().zip(Kernel::sobel_x().weights()) {
//!     assert!((found - hidden).abs() < 0.01, "{found} for {hidden}");
//! }
//! # Ok(()) }
//! ```
//!
//! Each step's weights are planned anew, which takes some 20 µs and is seen where tensors are small. There,
//! prepare once and let every step [set the weights](crate::Prepared::set_weights) of the
//! [`Prepared`](crate::Prepared) and the [`Backward`](crate::Backward) to
//! [`layer.conv()`](SharedLayer::conv), on an engine with [`Algorithm::Direct`](crate::Algorithm::Direct),
//! which takes any.

mod layer;
#[cfg(not(target_arch = "wasm32"))]
mod npy;
mod optimizer;
mod safetensors;
mod start;

pub use layer::SharedLayer;
pub use optimizer::{Adam, Optimizer, Sgd};
