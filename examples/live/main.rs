//! A window with a moving picture, filtered on its way to the screen.
//!
//! ```text
//! cargo run --release -p live --example live
//! ```
//!
//! Keys 1 to 6 take a kernel, space the next one, L filters light instead of sRGB values, Escape ends.
//! The title tells the kernel and the time of a frame.
//!
//! Everything stays on the GPU: a render pass draws the frame into a texture, `encode_texture` filters
//! that into another one, and a render pass shows it, all in one encoder of the app.
//!
//! `--frames N` stops the picture after N frames, counted instead of timed. Then `--source FILE` and
//! `--screenshot FILE` write what went into the filter and what came out, and the program ends, or with
//! `--stay` waits for keys.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use channelwise::wgpu::{self, TextureFormat, TextureUsages};
use channelwise::{Border, Conv2d, Gpu, GpuTexturePrepared, Kernel, TextureOptions};
use clap::Parser;
use winit::application::ApplicationHandler;
use winit::dpi::PhysicalSize;
use winit::event::{ElementState, KeyEvent, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop};
use winit::keyboard::{Key, NamedKey};
use winit::window::{Window, WindowId};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Width and height of the picture.
const SIZE: (u32, u32) = (640, 360);
const FORMAT: TextureFormat = TextureFormat::Rgba8Unorm;

#[derive(Parser)]
struct Options {
    /// Stops the picture after so many frames.
    #[arg(long)]
    frames: Option<u32>,
    /// Writes the last frame as it was before the filter.
    #[arg(long, requires = "frames")]
    source: Option<PathBuf>,
    /// Writes the last frame as it is shown.
    #[arg(long, requires = "frames")]
    screenshot: Option<PathBuf>,
    /// Goes on after the last frame.
    #[arg(long)]
    stay: bool,
    /// The kernel to start with, 1 to 6.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=6))]
    kernel: u8,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let events = EventLoop::new()?;
    events.set_control_flow(ControlFlow::Poll);
    let mut app = App {
        kernel: usize::from(options.kernel) - 1,
        options,
        view: None,
        saved: false,
        failed: None,
    };
    events.run_app(&mut app)?;
    app.failed.map_or(Ok(()), Err)
}

/// What the keys choose from.
fn kernels() -> channelwise::Result<[(&'static str, Conv2d); 6]> {
    let add = |kernel: Kernel| Conv2d::new(kernel).border(Border::Reflect101);
    Ok([
        ("identity", add(Kernel::identity())),
        ("gaussian 15x15", add(Kernel::gaussian(15, 3.0)?)),
        ("sharpen", add(Kernel::sharpen())),
        ("sobel x", add(Kernel::sobel_x()).bias([0.5])),
        ("disk 21x21", add(Kernel::disk(10.0)?).assume_finite()),
        ("emboss", add(Kernel::emboss()).bias([0.25])),
    ])
}

struct App {
    options: Options,
    kernel: usize,
    view: Option<View>,
    saved: bool,
    failed: Option<Box<dyn Error>>,
}

impl App {
    /// Ends the program with an error, if there is one.
    fn or_end(&mut self, events: &ActiveEventLoop, result: Result<()>) {
        if let Err(error) = result {
            self.failed.get_or_insert(error);
            events.exit();
        }
    }

    fn draw(&mut self, events: &ActiveEventLoop) -> Result<()> {
        let Some(view) = &mut self.view else { return Ok(()) };
        let drawn = view.draw(self.options.frames, self.kernel)?;
        if drawn && self.options.frames == Some(view.frame) && !self.saved {
            self.saved = true;
            for (path, texture) in
                [(&self.options.source, &view.source), (&self.options.screenshot, &view.filtered)]
            {
                if let Some(path) = path {
                    save(&view.gpu, texture, path)?;
                }
            }
            if !self.options.stay {
                events.exit();
            }
        }
        Ok(())
    }
}

impl ApplicationHandler for App {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        let made = pollster::block_on(View::new(events)).map(|view| self.view = Some(view));
        self.or_end(events, made);
    }

    fn window_event(&mut self, events: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        match event {
            WindowEvent::CloseRequested => events.exit(),
            WindowEvent::Resized(size) => {
                if let Some(view) = &mut self.view {
                    view.resize(size);
                }
            }
            WindowEvent::KeyboardInput {
                event: KeyEvent { logical_key, state: ElementState::Pressed, .. },
                ..
            } => match logical_key.as_ref() {
                Key::Named(NamedKey::Escape) => events.exit(),
                Key::Named(NamedKey::Space) => self.kernel = (self.kernel + 1) % 6,
                Key::Character("l" | "L") => {
                    if let Some(view) = &mut self.view {
                        view.linear = !view.linear;
                    }
                }
                Key::Character(key) => {
                    if let Ok(n @ 1..=6) = key.parse() {
                        self.kernel = n - 1;
                    }
                }
                _ => {}
            },
            WindowEvent::RedrawRequested => {
                let drawn = self.draw(events);
                self.or_end(events, drawn);
                if let Some(view) = &self.view {
                    view.window.request_redraw();
                }
            }
            _ => {}
        }
    }
}

/// The window and all that lies on its device.
struct View {
    window: Arc<Window>,
    surface: wgpu::Surface<'static>,
    config: wgpu::SurfaceConfiguration,
    gpu: Gpu,
    scene: wgpu::RenderPipeline,
    time: (wgpu::Buffer, wgpu::BindGroup),
    show: (wgpu::RenderPipeline, wgpu::BindGroup),
    source: wgpu::Texture,
    filtered: wgpu::Texture,
    /// Of the source, to draw into.
    target: wgpu::TextureView,
    /// The filter, and the kernel and light it was prepared for.
    ready: Option<(usize, bool, GpuTexturePrepared)>,
    linear: bool,
    frame: u32,
    started: Instant,
    /// Frames since the title was written, and when that was.
    told: (u32, Instant),
}

impl View {
    async fn new(events: &ActiveEventLoop) -> Result<Self> {
        let attributes = Window::default_attributes()
            .with_title("channelwise")
            .with_inner_size(PhysicalSize::new(SIZE.0, SIZE.1));
        let window = Arc::new(events.create_window(attributes)?);
        let instance =
            wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        let surface = instance.create_surface(window.clone())?;
        let adapter = instance
            .request_adapter(&wgpu::RequestAdapterOptions {
                compatible_surface: Some(&surface),
                ..Default::default()
            })
            .await?;
        let (device, queue) = adapter.request_device(&Default::default()).await?;
        let gpu = Gpu::from_device(device, queue)?;
        let device = gpu.device();

        // Values go to the screen as they are.
        let size = window.inner_size();
        let mut config = surface
            .get_default_config(&adapter, size.width.max(1), size.height.max(1))
            .ok_or("the adapter cannot show anything in this window")?;
        config.format = config.format.remove_srgb_suffix();
        surface.configure(device, &config);

        let texture = |usage| {
            device.create_texture(&wgpu::TextureDescriptor {
                label: None,
                size: wgpu::Extent3d { width: SIZE.0, height: SIZE.1, depth_or_array_layers: 1 },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: FORMAT,
                usage: usage | TextureUsages::TEXTURE_BINDING | TextureUsages::COPY_SRC,
                view_formats: &[],
            })
        };
        let source = texture(TextureUsages::RENDER_ATTACHMENT);
        let filtered = texture(TextureUsages::STORAGE_BINDING);
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(SHADER.into()),
        });
        let pipeline = |entry, format| {
            device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
                label: Some(entry),
                layout: None,
                vertex: wgpu::VertexState {
                    module: &module,
                    entry_point: Some("corner"),
                    compilation_options: Default::default(),
                    buffers: &[],
                },
                primitive: Default::default(),
                depth_stencil: None,
                multisample: Default::default(),
                fragment: Some(wgpu::FragmentState {
                    module: &module,
                    entry_point: Some(entry),
                    compilation_options: Default::default(),
                    targets: &[Some(wgpu::ColorTargetState::from(format))],
                }),
                multiview_mask: None,
                cache: None,
            })
        };
        let scene = pipeline("scene", FORMAT);
        let show = pipeline("show", config.format);
        let group = |pipeline: &wgpu::RenderPipeline, resource| {
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &pipeline.get_bind_group_layout(0),
                entries: &[resource],
            })
        };
        let time = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("time"),
            size: 4,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let times =
            group(&scene, wgpu::BindGroupEntry { binding: 0, resource: time.as_entire_binding() });
        let [target, shown] = [&source, &filtered].map(|t| t.create_view(&Default::default()));
        let shown = wgpu::BindingResource::TextureView(&shown);
        let shown = group(&show, wgpu::BindGroupEntry { binding: 1, resource: shown });
        Ok(Self {
            window,
            surface,
            config,
            scene,
            time: (time, times),
            show: (show, shown),
            source,
            filtered,
            target,
            gpu,
            ready: None,
            linear: false,
            frame: 0,
            started: Instant::now(),
            told: (0, Instant::now()),
        })
    }

    fn resize(&mut self, size: PhysicalSize<u32>) {
        if size.width > 0 && size.height > 0 {
            (self.config.width, self.config.height) = (size.width, size.height);
            self.surface.configure(self.gpu.device(), &self.config);
        }
    }

    /// The next frame, or the last of `frames` again; whether it could be shown.
    fn draw(&mut self, frames: Option<u32>, kernel: usize) -> Result<bool> {
        let (name, conv) = &kernels()?[kernel];
        let filter = match &self.ready {
            Some((k, linear, filter)) if (*k, *linear) == (kernel, self.linear) => filter,
            _ => {
                let options = TextureOptions::new(FORMAT).linear_light(self.linear);
                let filter = self.gpu.prepare_texture(conv, self.source.size(), &options)?;
                &self.ready.insert((kernel, self.linear, filter)).2
            }
        };
        use wgpu::CurrentSurfaceTexture as Current;
        let screen = match self.surface.get_current_texture() {
            Current::Success(screen) | Current::Suboptimal(screen) => screen,
            Current::Outdated | Current::Lost => {
                self.surface.configure(self.gpu.device(), &self.config);
                return Ok(false);
            }
            Current::Timeout | Current::Occluded => return Ok(false),
            Current::Validation => return Err("the surface is not valid".into()),
        };
        if frames.is_none_or(|frames| self.frame < frames) {
            self.frame += 1;
        }
        let seconds = match frames {
            Some(_) => self.frame as f32 / 60.0,
            None => self.started.elapsed().as_secs_f32(),
        };
        self.gpu.queue().write_buffer(&self.time.0, 0, &seconds.to_le_bytes());

        let shown = screen.texture.create_view(&Default::default());
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        pass(&mut encoder, &self.target, &self.scene, &self.time.1);
        filter.encode_texture(&mut encoder, &self.source, &self.filtered)?;
        pass(&mut encoder, &shown, &self.show.0, &self.show.1);
        self.gpu.queue().submit([encoder.finish()]);
        self.window.pre_present_notify();
        self.gpu.queue().present(screen);

        self.told.0 += 1;
        let since = self.told.1.elapsed();
        if since.as_millis() >= 500 {
            let frame = since.as_secs_f64() * 1e3 / f64::from(self.told.0);
            let light = if self.linear { ", light" } else { "" };
            self.window.set_title(&format!("channelwise: {name}{light}, {frame:.1} ms a frame"));
            self.told = (0, Instant::now());
        }
        Ok(true)
    }
}

/// A triangle over all of `target`.
fn pass(
    encoder: &mut wgpu::CommandEncoder,
    target: &wgpu::TextureView,
    pipeline: &wgpu::RenderPipeline,
    bindings: &wgpu::BindGroup,
) {
    let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        color_attachments: &[Some(wgpu::RenderPassColorAttachment {
            view: target,
            depth_slice: None,
            resolve_target: None,
            ops: Default::default(),
        })],
        ..Default::default()
    });
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, bindings, &[]);
    pass.draw(0..3, 0..1);
}

/// Writes a texture as a PNG, whole or not at all.
fn save(gpu: &Gpu, texture: &wgpu::Texture, path: &Path) -> Result<()> {
    // A row of the picture is a multiple of the 256 bytes that copies want.
    let row = 4 * texture.width();
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(row) * u64::from(texture.height()),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let layout =
        wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None };
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let to = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout };
    encoder.copy_texture_to_buffer(texture.as_image_copy(), to, texture.size());
    gpu.queue().submit([encoder.finish()]);
    let (tell, told) = std::sync::mpsc::channel();
    buffer.map_async(wgpu::MapMode::Read, .., move |mapped| drop(tell.send(mapped)));
    gpu.device().poll(wgpu::PollType::wait_indefinitely())?;
    told.recv()??;
    let pixels = buffer.get_mapped_range(..)?.to_vec();
    let image = image::RgbaImage::from_raw(texture.width(), texture.height(), pixels)
        .ok_or("the texture has too few pixels")?;
    let part = path.with_extension("part");
    image.save_with_format(&part, image::ImageFormat::Png)?;
    std::fs::rename(part, path)?;
    Ok(())
}

const SHADER: &str = "
@vertex
fn corner(@builtin(vertex_index) n: u32) -> @builtin(position) vec4<f32> {
    return vec4(f32(n & 1u) * 4.0 - 1.0, f32(n >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}

@group(0) @binding(0) var<uniform> time: f32;

// Rings that move over a chequered floor, and bars of fine lines.
@fragment
fn scene(@builtin(position) place: vec4<f32>) -> @location(0) vec4<f32> {
    let at = place.xy;
    let cell = vec2<i32>(floor((at + vec2(40.0 * time, 0.0)) / 40.0));
    var color = mix(vec3(0.10, 0.13, 0.20), vec3(0.22, 0.26, 0.36), f32((cell.x + cell.y) & 1));
    if at.y > 290.0 && at.y < 340.0 {
        color = vec3(f32((i32(at.x) / (1 + i32(at.x) / 80)) & 1));
    }
    for (var n = 0; n < 3; n++) {
        let turn = time * (0.7 + 0.3 * f32(n)) + 2.1 * f32(n);
        let centre = vec2(320.0 + 200.0 * sin(turn), 150.0 + 90.0 * cos(1.3 * turn));
        let ring = abs(distance(at, centre) - 55.0);
        let hue = vec3(f32(n == 0), f32(n == 1), f32(n == 2)) * 0.7 + 0.3;
        color = select(color, hue, ring < 16.0);
    }
    return vec4(color, 1.0);
}

@group(0) @binding(1) var picture: texture_2d<f32>;

@fragment
fn show(@builtin(position) place: vec4<f32>) -> @location(0) vec4<f32> {
    return textureLoad(picture, min(vec2<u32>(place.xy), textureDimensions(picture) - 1u), 0);
}
";
