//! Compiled pipelines, kept by shader and constants.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::device::{Loss, checked};
use super::module;
use super::shaders::{ENTRY, Shader};
use crate::Result;

/// What makes a pipeline: its shader's label and its constants.
type Key = (&'static str, Vec<(&'static str, u32)>);

/// The pipelines of one device, and the one layout they share.
#[derive(Debug)]
pub(super) struct Pipelines {
    layout: wgpu::PipelineLayout,
    bind_group: wgpu::BindGroupLayout,
    cache: Option<wgpu::PipelineCache>,
    modules: Mutex<HashMap<&'static str, wgpu::ShaderModule>>,
    pipelines: Mutex<HashMap<Key, wgpu::ComputePipeline>>,
}

impl Pipelines {
    pub fn new(device: &wgpu::Device, cache: Option<wgpu::PipelineCache>) -> Self {
        let buffer = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
            count: None,
        };
        let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
        let bind_group = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("channelwise.bindings"),
            entries: &[
                buffer(0, wgpu::BufferBindingType::Uniform),
                buffer(1, storage(true)),
                buffer(2, storage(false)),
                buffer(3, storage(true)),
            ],
        });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("channelwise.layout"),
            bind_group_layouts: &[Some(&bind_group)],
            immediate_size: 0,
        });
        let (modules, pipelines) = (Mutex::default(), Mutex::default());
        Self { layout, bind_group, cache, modules, pipelines }
    }

    /// The layout of bind group 0.
    pub fn bind_group_layout(&self) -> &wgpu::BindGroupLayout {
        &self.bind_group
    }

    /// The pipeline, compiled if it is not there yet.
    pub async fn get(
        &self,
        device: &wgpu::Device,
        loss: &Loss,
        shader: &'static Shader,
        constants: &[(&'static str, u32)],
    ) -> Result<wgpu::ComputePipeline> {
        let key: Key = (shader.label, constants.to_vec());
        let there = lock(&self.pipelines).get(&key).cloned();
        if let Some(pipeline) = there {
            return Ok(pipeline);
        }
        let compiled = checked(device, loss, "compiling a shader", || {
            let module = lock(&self.modules)
                .entry(shader.label)
                .or_insert_with(|| module::create(device, shader))
                .clone();
            let constants: Vec<(&str, f64)> =
                constants.iter().map(|(name, value)| (*name, f64::from(*value))).collect();
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(shader.label),
                layout: Some(&self.layout),
                module: &module,
                entry_point: Some(ENTRY),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    // No shader here has workgroup memory.
                    zero_initialize_workgroup_memory: false,
                },
                cache: self.cache.as_ref(),
            })
        });
        let pipeline = compiled.done().await?;
        lock(&self.pipelines).insert(key, pipeline.clone());
        Ok(pipeline)
    }
}

/// A map that a panicking thread left is whole: entries are inserted in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
