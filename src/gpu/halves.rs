//! What a device does with half floats, which WGSL leaves open: seen once, when a shader could make use of it.

use wgpu::{BufferUsages, MapMode};

use super::device::{Context, Moment, Wait};
use super::program;
use crate::plan::Halves;
use crate::{Error, Result};

/// Tries every half. A device that cannot compile the shader (some of OpenGL lack the functions) has none of it.
pub(super) async fn seen(context: &Context) -> Result<Halves> {
    let device = &context.device;
    let compiled = context.checked("looking at half floats", || {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("channelwise.halves"),
            source: wgpu::ShaderSource::Wgsl(program::halves().into()),
        });
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("channelwise.halves"),
            layout: None,
            module: &module,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        })
    });
    let pipeline = match compiled.done().await {
        Ok(pipeline) => pipeline,
        Err(Error::Gpu { .. }) => return Ok(Halves::default()),
        Err(error) => return Err(error),
    };
    let size = 8;
    let wrong = [0_u32; 2];
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
    let submitted = context.checked("looking at half floats", || {
        let counts = context.constant("channelwise.halves", bytemuck::cast_slice(&wrong), usage);
        let told = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("channelwise.halves"),
            size,
            usage: BufferUsages::COPY_DST | BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("channelwise.halves"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: counts.as_entire_binding() }],
        });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.dispatch_workgroups((1 << 16) / 64, 1, 1);
        drop(pass);
        encoder.copy_buffer_to_buffer(&counts, 0, &told, 0, size);
        context.submit([encoder.finish()]);
        let ticket = context.maps(&[(&told, MapMode::Read, size)]);
        (told, ticket)
    });
    let (told, ticket) = submitted.done().await?;
    context.wait(&ticket, Wait::HERE).await?;
    context.meet(Moment::Access);
    let view = told.get_mapped_range(..).map_err(|error| context.lost(&error.to_string()))?;
    let wrong: Vec<u32> = bytemuck::pod_collect_to_vec(&view);
    Ok(Halves { unpacks: wrong[0] == 0, packs: wrong[1] == 0 })
}
