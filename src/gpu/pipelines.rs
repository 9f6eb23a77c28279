//! Compiled pipelines, kept by shader and constants.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::device::{Loss, checked};
use super::module;
use super::shaders::{Data, ENTRY, Shader};
use crate::Result;

/// What makes a pipeline: its shader's label and its constants.
type Key = (&'static str, Vec<(&'static str, u32)>);

/// The pipelines of one device, and the layouts they share.
#[derive(Debug)]
pub(super) struct Pipelines {
    cache: Option<wgpu::PipelineCache>,
    buffers: Layout,
    /// Those with textures, by source and output; made when they are first needed.
    textures: Mutex<HashMap<(Data, Data), Layout>>,
    modules: Mutex<HashMap<&'static str, wgpu::ShaderModule>>,
    pipelines: Mutex<HashMap<Key, Ready>>,
}

/// A compiled pipeline and the layout of its bind group 0.
#[derive(Clone, Debug)]
pub(super) struct Ready {
    pub pipeline: wgpu::ComputePipeline,
    pub bindings: wgpu::BindGroupLayout,
}

#[derive(Clone, Debug)]
struct Layout {
    pipeline: wgpu::PipelineLayout,
    bindings: wgpu::BindGroupLayout,
}

impl Layout {
    fn new(device: &wgpu::Device, source: Data, output: Data) -> Self {
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        };
        let buffer = |ty| wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        let storage = |read_only| buffer(wgpu::BufferBindingType::Storage { read_only });
        let texture = wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: false },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        };
        let src = if source == Data::Texture { texture } else { storage(true) };
        let mut entries = vec![
            entry(0, buffer(wgpu::BufferBindingType::Uniform)),
            entry(1, src),
            entry(2, storage(false)),
            entry(3, storage(true)),
        ];
        if let Data::Stored(texel) = output {
            entries[2].ty = wgpu::BindingType::StorageTexture {
                access: wgpu::StorageTextureAccess::WriteOnly,
                format: texel.format(),
                view_dimension: wgpu::TextureViewDimension::D2,
            };
            entries.push(entry(4, texture));
        }
        let bindings = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("channelwise.bindings"),
            entries: &entries,
        });
        let pipeline = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("channelwise.layout"),
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: 0,
        });
        Self { pipeline, bindings }
    }
}

impl Pipelines {
    pub fn new(device: &wgpu::Device, cache: Option<wgpu::PipelineCache>) -> Self {
        Self {
            cache,
            buffers: Layout::new(device, Data::F32, Data::F32),
            textures: Mutex::default(),
            modules: Mutex::default(),
            pipelines: Mutex::default(),
        }
    }

    /// The layout for such data.
    async fn layout(&self, device: &wgpu::Device, loss: &Loss, shader: &Shader) -> Result<Layout> {
        let key = (shader.source, shader.output);
        if key.0 != Data::Texture && !matches!(key.1, Data::Stored(_)) {
            return Ok(self.buffers.clone());
        }
        let there = lock(&self.textures).get(&key).cloned();
        if let Some(layout) = there {
            return Ok(layout);
        }
        let made = checked(device, loss, "making layouts", || Layout::new(device, key.0, key.1));
        let layout = made.done().await?;
        lock(&self.textures).insert(key, layout.clone());
        Ok(layout)
    }

    /// The pipeline, compiled if it is not there yet.
    pub async fn get(
        &self,
        device: &wgpu::Device,
        loss: &Loss,
        shader: &'static Shader,
        constants: &[(&'static str, u32)],
    ) -> Result<Ready> {
        let key: Key = (shader.label, constants.to_vec());
        let there = lock(&self.pipelines).get(&key).cloned();
        if let Some(ready) = there {
            return Ok(ready);
        }
        let layout = self.layout(device, loss, shader).await?;
        let compiled = checked(device, loss, "compiling a shader", || {
            let module = lock(&self.modules)
                .entry(shader.label)
                .or_insert_with(|| module::create(device, shader))
                .clone();
            let constants: Vec<(&str, f64)> =
                constants.iter().map(|(name, value)| (*name, f64::from(*value))).collect();
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(shader.label),
                layout: Some(&layout.pipeline),
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
        let ready = Ready { pipeline: compiled.done().await?, bindings: layout.bindings };
        lock(&self.pipelines).insert(key, ready.clone());
        Ok(ready)
    }
}

/// A map that a panicking thread left is whole: entries are inserted in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
