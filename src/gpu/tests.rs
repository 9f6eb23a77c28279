//! Shaders against naga, without a GPU.
