//! Shaders as devices run them: their files, modules and pipelines.

mod files;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
mod march;
mod module;
mod pipelines;
mod planned;
mod texel;

#[cfg(test)]
mod tests;

pub(super) use files::halves;
#[cfg(not(target_arch = "wasm32"))]
pub(super) use folder::Folder;
pub(super) use pipelines::{Caches, Pipelines, Ready};
pub use planned::PlannedShader;
pub(super) use texel::{read, readable, writable, written};
