//! Shaders as devices run them: their files, modules and pipelines.

mod files;
mod module;
mod pipelines;
mod planned;
mod texel;

#[cfg(test)]
mod tests;

pub(super) use pipelines::{Pipelines, Ready};
pub use planned::PlannedShader;
pub(super) use texel::{read, readable, writable, written};
