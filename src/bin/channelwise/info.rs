//! `channelwise info`: what this machine offers.

use std::fmt::Write;

use channelwise::{Cpu, Engine, Gpu, wgpu};

use crate::failure::Result;
use crate::report;

pub(crate) fn info() -> Result<()> {
    report::print(&text())
}

fn text() -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
    };

    line(format!("channelwise {}", env!("CARGO_PKG_VERSION")));
    line(format!("engine auto holds {}", Engine::auto()));

    line("\nCPU".into());
    let (cpu, levels) = (Cpu::new(), Cpu::simd_levels());
    line(format!("  SIMD level  {} (of {})", cpu.simd(), levels.join(", ")));
    line(format!("  threads     {}", cpu.limits().threads));

    line("\nAdapters".into());
    let adapters = channelwise::adapters();
    if adapters.is_empty() {
        line("  none".into());
    }
    for adapter in &adapters {
        line(format!("  {}", adapter.name));
        line(format!("    back end  {}", adapter.backend));
        line(format!("    type      {:?}", adapter.device_type));
        let driver = format!("{} {}", adapter.driver, adapter.driver_info);
        line(format!("    driver    {}", driver.trim()));
    }

    line("\nGPU that --engine gpu takes".into());
    match Engine::gpu() {
        Ok(engine) => {
            if let Some(gpu) = engine.as_gpu() {
                device(gpu).into_iter().for_each(line);
            }
        }
        Err(error) => line(format!("  none: {error}")),
    }
    text
}

fn device(gpu: &Gpu) -> Vec<String> {
    let limits = gpu.device().limits();
    let mut lines = vec![
        format!("  {}", gpu.adapter_info().name),
        format!("    class     {}", gpu.limits().class),
        "    limits".into(),
    ];
    for (name, value) in [
        ("max_storage_buffer_binding_size", limits.max_storage_buffer_binding_size),
        ("max_buffer_size", limits.max_buffer_size),
        ("min_storage_buffer_offset_alignment", limits.min_storage_buffer_offset_alignment.into()),
        (
            "max_storage_buffers_per_shader_stage",
            limits.max_storage_buffers_per_shader_stage.into(),
        ),
        ("max_compute_workgroup_storage_size", limits.max_compute_workgroup_storage_size.into()),
        (
            "max_compute_invocations_per_workgroup",
            limits.max_compute_invocations_per_workgroup.into(),
        ),
        ("max_compute_workgroup_size_x", limits.max_compute_workgroup_size_x.into()),
        ("max_compute_workgroup_size_y", limits.max_compute_workgroup_size_y.into()),
        ("max_compute_workgroup_size_z", limits.max_compute_workgroup_size_z.into()),
        (
            "max_compute_workgroups_per_dimension",
            limits.max_compute_workgroups_per_dimension.into(),
        ),
    ] {
        lines.push(format!("      {name:<38} {value}"));
    }
    lines.push("    features in use".into());
    lines.extend(features(gpu.device().features()));
    if let Some(offered) = pollster::block_on(offered(gpu)) {
        lines.push("    features offered".into());
        lines.extend(features(offered));
    }
    lines
}

/// The features of the adapter, which a device does not tell.
async fn offered(gpu: &Gpu) -> Option<wgpu::Features> {
    let backend = wgpu::Backends::from(gpu.adapter_info().backend);
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.backends = backend;
    let all = wgpu::Instance::new(descriptor).enumerate_adapters(backend).await;
    let same = all.into_iter().find(|adapter| adapter.get_info() == *gpu.adapter_info())?;
    Some(same.features())
}

/// Their names, in lines of readable length.
fn features(features: wgpu::Features) -> Vec<String> {
    let mut lines = vec![String::from("     ")];
    for (name, _) in features.iter_names() {
        let name = name.to_lowercase();
        match lines.last_mut() {
            Some(line) if line.len() + name.len() < 90 => *line += &format!(" {name}"),
            _ => lines.push(format!("      {name}")),
        }
    }
    if features.is_empty() {
        lines = vec!["      none".into()];
    }
    lines
}
