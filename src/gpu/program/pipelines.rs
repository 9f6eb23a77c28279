//! Compiled pipelines, kept by shader and constants.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::files::ENTRY;
#[cfg(not(target_arch = "wasm32"))]
use super::folder::Folder;
use super::{module, texel};
use crate::Result;
use crate::gpu::device::Context;
use crate::plan::job::{Data, Entry, Program, Shader};

/// The pipelines of one device, and the layouts they share.
#[derive(Debug)]
pub(in crate::gpu) struct Pipelines {
    caches: Caches,
    /// By what is bound as source, output and weights: buffers, whatever they hold, or textures.
    layouts: Mutex<HashMap<[Bound; 3], Layout>>,
    modules: Mutex<HashMap<Shader, wgpu::ShaderModule>>,
    pipelines: Mutex<HashMap<Program, Ready>>,
}

/// By way of what pipelines are compiled.
#[derive(Debug, Default)]
pub(in crate::gpu) struct Caches {
    /// The app's.
    pub given: Option<wgpu::PipelineCache>,
    #[cfg(not(target_arch = "wasm32"))]
    pub folder: Option<Folder>,
}

impl Caches {
    fn get(&self) -> Option<&wgpu::PipelineCache> {
        #[cfg(not(target_arch = "wasm32"))]
        if let (None, Some(folder)) = (&self.given, &self.folder) {
            return Some(folder.cache());
        }
        self.given.as_ref()
    }

    /// Writes the folder, if there is one.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save(&self) -> Result<()> {
        self.folder.as_ref().map_or(Ok(()), Folder::save)
    }
}

/// A compiled pipeline and the layout of its bind group 0.
#[derive(Clone, Debug)]
pub(in crate::gpu) struct Ready {
    pub pipeline: wgpu::ComputePipeline,
    pub bindings: wgpu::BindGroupLayout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Bound {
    Buffer,
    Uniform,
    Texture,
    Stored(wgpu::TextureFormat),
}

impl From<Data> for Bound {
    fn from(data: Data) -> Self {
        match data {
            Data::F32 | Data::U8 | Data::U16 | Data::F16 | Data::I8 | Data::I16 | Data::Complex => {
                Self::Buffer
            }
            Data::Texture => Self::Texture,
            Data::Stored(of) => Self::Stored(texel::format(of)),
        }
    }
}

#[derive(Clone, Debug)]
struct Layout {
    pipeline: wgpu::PipelineLayout,
    bindings: wgpu::BindGroupLayout,
}

impl Layout {
    fn new(device: &wgpu::Device, [source, output, weights]: [Bound; 3]) -> Self {
        let entry = |binding, ty| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        };
        let buffer = |ty, has_dynamic_offset| wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset,
            min_binding_size: None,
        };
        let storage = |read_only| buffer(wgpu::BufferBindingType::Storage { read_only }, false);
        let texture = wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Float { filterable: false },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        };
        let source = if source == Bound::Texture { texture } else { storage(true) };
        let weights = match weights {
            Bound::Uniform => buffer(wgpu::BufferBindingType::Uniform, false),
            _ => storage(true),
        };
        let mut entries = vec![
            // All parameters of a job lie in one buffer.
            entry(0, buffer(wgpu::BufferBindingType::Uniform, true)),
            entry(1, source),
            entry(2, storage(false)),
            entry(3, weights),
        ];
        if let Bound::Stored(format) = output {
            entries[2].ty = wgpu::BindingType::StorageTexture {
                access: wgpu::StorageTextureAccess::WriteOnly,
                format,
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
    pub fn new(caches: Caches) -> Self {
        Self {
            caches,
            layouts: Mutex::default(),
            modules: Mutex::default(),
            pipelines: Mutex::default(),
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub fn caches(&self) -> &Caches {
        &self.caches
    }

    /// The pipeline, compiled if it is not there yet.
    pub async fn get(&self, context: &Context, program: &Program) -> Result<Ready> {
        if let Some(ready) = known(&self.pipelines, program) {
            return Ok(ready);
        }
        let device = &context.device;
        let shader = program.shader;
        let weights = match shader.entry {
            Entry::March(_) => Bound::Uniform,
            _ => Bound::Buffer,
        };
        let key = [shader.source.into(), shader.output.into(), weights];
        let made = || context.checked("making layouts", || Layout::new(device, key)).done();
        let layout = kept(&self.layouts, key, made).await?;
        // Only what compiled is kept: memory may be short once.
        let made = || context.checked("reading a shader", || module::create(device, shader)).done();
        let module = kept(&self.modules, shader, made).await?;
        let constants: Vec<(&str, f64)> =
            program.constants.iter().map(|(name, value)| (*name, f64::from(*value))).collect();
        let made = || {
            let compiled = context.checked("compiling a shader", || {
                device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                    label: Some(&shader.label()),
                    layout: Some(&layout.pipeline),
                    module: &module,
                    entry_point: Some(ENTRY),
                    compilation_options: wgpu::PipelineCompilationOptions {
                        constants: &constants,
                        // Shaders that have workgroup memory write each word of it before any
                        // invocation reads it; src/gpu/tests.rs lists them.
                        zero_initialize_workgroup_memory: false,
                    },
                    cache: self.caches.get(),
                })
            });
            compiled.done()
        };
        let ready = Ready { pipeline: made().await?, bindings: layout.bindings };
        lock(&self.pipelines).insert(program.clone(), ready.clone());
        Ok(ready)
    }
}

fn known<K: Hash + Eq, V: Clone>(all: &Mutex<HashMap<K, V>>, key: &K) -> Option<V> {
    lock(all).get(key).cloned()
}

/// What is known, or else made: not under the lock, so that others need not wait.
async fn kept<K: Hash + Eq, V: Clone, F: Future<Output = Result<V>>>(
    all: &Mutex<HashMap<K, V>>,
    key: K,
    make: impl FnOnce() -> F,
) -> Result<V> {
    if let Some(value) = known(all, &key) {
        return Ok(value);
    }
    let made = make().await?;
    lock(all).insert(key, made.clone());
    Ok(made)
}

/// A map that a panicking thread left is whole: entries are inserted in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
