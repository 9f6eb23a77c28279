//! Shader modules, without the counters that wgpu puts into loops.

#![expect(unsafe_code, reason = "wgpu offers this only as an unsafe function")]

use super::files;
use crate::plan::job::Shader;

/// The module of `shader`.
///
/// By default wgpu counts the turns of every loop and leaves it after 2^64 of them, because
/// compilers may do anything with a loop that never ends. Those counters keep compilers from unrolling:
/// without them a 15x15 `flat` took 0.77 of the time on llvmpipe. Bounds checks stay: without them no
/// difference was seen there.
pub(super) fn create(device: &wgpu::Device, shader: Shader) -> wgpu::ShaderModule {
    let mut checks = wgpu::ShaderRuntimeChecks::checked();
    checks.force_loop_bounding = false;
    let label = shader.label();
    let descriptor = wgpu::ShaderModuleDescriptor {
        label: Some(&label),
        source: wgpu::ShaderSource::Wgsl(files::wgsl(shader).into()),
    };
    // SAFETY: every loop in `shaders/` ends: each is a `for` whose bound is a constant or a
    // parameter and does not change in the loop, and whose counter grows by at least 1 from below
    // it (or halves down to 0) and does not wrap: axes are shorter than 2^30, and no step is larger
    // than two of them. All other checks stay on.
    unsafe { device.create_shader_module_trusted(descriptor, checks) }
}
