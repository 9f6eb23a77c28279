//! An app that has a device, an encoder, a texture and a buffer of its own, and filters both on their way
//! to its own render pass. Nothing leaves the GPU but the finished picture.
//!
//! ```text
//! cargo run --release --example existing_device
//! ```
//!
//! writes `existing_device.png`. Above, sprites with transparent surroundings: as they are, blurred with
//! alpha like a colour, which draws the black of what is transparent into their edges, and blurred
//! with premultiplied alpha in linear light. Below, a field of f32 in a storage buffer: as it is,
//! smoothed, and its slope from left to right.

use std::error::Error;

use channelwise::wgpu::{self, BufferUsages, TextureFormat, TextureUsages};
use channelwise::{
    Algorithm, AlphaMode, Border, BufferRange, Conv2d, ElementType, Gpu, Kernel, Problem,
    TextureOptions,
};
use pollster::block_on;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PICTURE: &str = "existing_device.png";
/// Width and height of the sprites, and of the field.
const SIDE: u32 = 256;
const FORMAT: TextureFormat = TextureFormat::Rgba8Unorm;

fn main() -> Result<()> {
    // The app's own, made as it needs them.
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = block_on(instance.request_adapter(&Default::default()))?;
    let (device, queue) = block_on(adapter.request_device(&Default::default()))?;
    let app = App::new(device, queue);
    let sprites = app.texture(SIDE, SIDE, TextureUsages::RENDER_ATTACHMENT);
    let field = app.buffer(BufferUsages::COPY_DST);
    app.queue.write_buffer(&field, 0, bytemuck::cast_slice(&hills()));

    // Handles are shared: the library works on the same device.
    let gpu = Gpu::from_device(app.device.clone(), app.queue.clone())?;
    println!("{gpu}");
    let blur = Conv2d::new(Kernel::gaussian(31, 5.0)?).border(Border::Replicate);
    let plain = TextureOptions::new(FORMAT);
    let right = TextureOptions::new(FORMAT).alpha(AlphaMode::Premultiply).linear_light(true);
    let plain = gpu.prepare_texture(&blur, sprites.size(), &plain)?;
    let right = gpu.prepare_texture(&blur, sprites.size(), &right)?;
    println!("\n{}", right.plan());

    let shape = [SIDE as usize, SIDE as usize, 1];
    let on_field = |conv: &Conv2d| {
        let problem = Problem::new(conv, shape, ElementType::F32, ElementType::F32)?;
        gpu.prepare(&problem, Algorithm::Auto)
    };
    let smooth = on_field(&blur)?;
    let slope = on_field(&Conv2d::new(Kernel::sobel_x()).border(Border::Replicate))?;

    let outputs = [(); 2].map(|()| app.texture(SIDE, SIDE, TextureUsages::STORAGE_BINDING));
    let fields = [(); 2].map(|()| app.buffer(BufferUsages::empty()));
    let picture = app.texture(3 * SIDE, 2 * SIDE, TextureUsages::RENDER_ATTACHMENT);

    // One encoder: the app draws, we filter, the app shows.
    let mut encoder = app.device.create_command_encoder(&Default::default());
    let source = view(&sprites);
    app.draw(&mut encoder, &source, "sprites", &[]);
    plain.encode_texture(&mut encoder, &sprites, &outputs[0])?;
    right.encode_texture(&mut encoder, &sprites, &outputs[1])?;
    let [smoothed, sloped] = &fields;
    let whole = BufferRange::whole;
    smooth.encode(&mut encoder, &whole(&field), &whole(smoothed))?;
    slope.encode(&mut encoder, &whole(smoothed), &whole(sloped))?;
    let [blurred, premultiplied] = [&outputs[0], &outputs[1]].map(view);
    let resource = wgpu::BindingResource::TextureView;
    app.draw(
        &mut encoder,
        &view(&picture),
        "show",
        &[
            resource(&source),
            resource(&blurred),
            resource(&premultiplied),
            field.as_entire_binding(),
            smoothed.as_entire_binding(),
            sloped.as_entire_binding(),
        ],
    );
    app.queue.submit([encoder.finish()]);
    app.save(&picture)?;
    println!("wrote {PICTURE}");
    Ok(())
}

/// A few points in a flat field, and a ridge.
fn hills() -> Vec<f32> {
    let side = SIDE as usize;
    let mut field = vec![0.0f32; side * side];
    for (row, column, height) in [(60, 70, 220.0), (100, 180, 400.0), (190, 90, 300.0)] {
        field[row * side + column] = height;
    }
    for column in 130..230 {
        field[200 * side + column] = 12.0;
    }
    field
}

fn view(texture: &wgpu::Texture) -> wgpu::TextureView {
    texture.create_view(&Default::default())
}

struct App {
    device: wgpu::Device,
    queue: wgpu::Queue,
    shader: wgpu::ShaderModule,
}

impl App {
    fn new(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("app"),
            source: wgpu::ShaderSource::Wgsl(SHADER.into()),
        });
        Self { device, queue, shader }
    }

    fn texture(&self, width: u32, height: u32, usage: TextureUsages) -> wgpu::Texture {
        self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("app"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: FORMAT,
            usage: usage | TextureUsages::TEXTURE_BINDING | TextureUsages::COPY_SRC,
            view_formats: &[],
        })
    }

    /// A field of f32.
    fn buffer(&self, usage: BufferUsages) -> wgpu::Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("app"),
            size: u64::from(SIDE) * u64::from(SIDE) * 4,
            usage: usage | BufferUsages::STORAGE,
            mapped_at_creation: false,
        })
    }

    /// A render pass with fragment shader `entry` over all of `target`.
    fn draw(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        target: &wgpu::TextureView,
        entry: &str,
        resources: &[wgpu::BindingResource<'_>],
    ) {
        let pipeline = self.device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some(entry),
            layout: None,
            vertex: wgpu::VertexState {
                module: &self.shader,
                entry_point: Some("corner"),
                compilation_options: Default::default(),
                buffers: &[],
            },
            primitive: Default::default(),
            depth_stencil: None,
            multisample: Default::default(),
            fragment: Some(wgpu::FragmentState {
                module: &self.shader,
                entry_point: Some(entry),
                compilation_options: Default::default(),
                targets: &[Some(FORMAT.into())],
            }),
            multiview_mask: None,
            cache: None,
        });
        let entries: Vec<_> = (0..)
            .zip(resources)
            .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource: resource.clone() })
            .collect();
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some(entry),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: target,
                depth_slice: None,
                resolve_target: None,
                ops: Default::default(),
            })],
            ..Default::default()
        });
        pass.set_pipeline(&pipeline);
        if !entries.is_empty() {
            let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(entry),
                layout: &pipeline.get_bind_group_layout(0),
                entries: &entries,
            });
            pass.set_bind_group(0, &bindings, &[]);
        }
        pass.draw(0..3, 0..1);
    }

    /// Writes the picture, whose rows are a multiple of the 256 bytes that copies want.
    fn save(&self, texture: &wgpu::Texture) -> Result<()> {
        let row = 4 * texture.width();
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("picture"),
            size: u64::from(row) * u64::from(texture.height()),
            usage: BufferUsages::COPY_DST | BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(row),
            rows_per_image: None,
        };
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_texture_to_buffer(
            texture.as_image_copy(),
            wgpu::TexelCopyBufferInfo { buffer: &buffer, layout },
            texture.size(),
        );
        self.queue.submit([encoder.finish()]);
        let (tell, told) = std::sync::mpsc::channel();
        buffer.map_async(wgpu::MapMode::Read, .., move |mapped| drop(tell.send(mapped)));
        self.device.poll(wgpu::PollType::wait_indefinitely())?;
        told.recv()??;
        let pixels = buffer.get_mapped_range(..)?.to_vec();
        let image = image::RgbaImage::from_raw(texture.width(), texture.height(), pixels);
        image.ok_or("the texture has too few pixels")?.save(PICTURE)?;
        Ok(())
    }
}

const SHADER: &str = "
@vertex
fn corner(@builtin(vertex_index) n: u32) -> @builtin(position) vec4<f32> {
    return vec4(f32(n & 1u) * 4.0 - 1.0, f32(n >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}

// Discs of full colours; around them nothing, which is black.
@fragment
fn sprites(@builtin(position) place: vec4<f32>) -> @location(0) vec4<f32> {
    let at = place.xy;
    if distance(at, vec2(85.0, 85.0)) < 55.0 { return vec4(1.0, 0.8, 0.1, 1.0); }
    if distance(at, vec2(175.0, 120.0)) < 50.0 { return vec4(0.1, 0.7, 1.0, 1.0); }
    if distance(at, vec2(110.0, 190.0)) < 45.0 { return vec4(1.0, 0.2, 0.4, 1.0); }
    return vec4(0.0);
}

@group(0) @binding(0) var before: texture_2d<f32>;
@group(0) @binding(1) var blurred: texture_2d<f32>;
@group(0) @binding(2) var premultiplied: texture_2d<f32>;
@group(0) @binding(3) var<storage, read> field: array<f32>;
@group(0) @binding(4) var<storage, read> smoothed: array<f32>;
@group(0) @binding(5) var<storage, read> slope: array<f32>;

// From blue over white to red.
fn colored(value: f32) -> vec4<f32> {
    let size = clamp(abs(value), 0.0, 1.0);
    let full = select(vec3(0.1, 0.3, 0.8), vec3(0.85, 0.2, 0.1), value > 0.0);
    return vec4(mix(vec3(0.95), full, size), 1.0);
}

// Three panels of sprites over a light ground, and three of the field.
@fragment
fn show(@builtin(position) place: vec4<f32>) -> @location(0) vec4<f32> {
    let at = vec2<u32>(place.xy);
    let inside = at % 256u;
    let panel = at.x / 256u;
    if at.y < 256u {
        var sprite = textureLoad(before, inside, 0);
        if panel == 1u { sprite = textureLoad(blurred, inside, 0); }
        if panel == 2u { sprite = textureLoad(premultiplied, inside, 0); }
        let ground = vec3(select(0.92, 0.80, ((inside.x / 16u + inside.y / 16u) & 1u) == 0u));
        return vec4(mix(ground, sprite.rgb, sprite.a), 1.0);
    }
    let scalar = inside.y * 256u + inside.x;
    if panel == 0u { return colored(field[scalar] / 10.0); }
    if panel == 1u { return colored(smoothed[scalar]); }
    return colored(slope[scalar]);
}
";
