//! From texture to texture, in the caller's encoder.

use std::sync::Arc;

use wgpu::{CommandEncoder, Extent3d, TextureFormat, TextureUsages};

use super::Gpu;
use super::bound::{Bound, Compiled, Given};
use super::prepared::aside;
use super::program;
use super::reweigh::rewrite;
use super::subresource::{Bindable, End, TextureOrView};
use crate::lru::Lru;
use crate::plan::job::{self, Job, Resource, Texel, Texels};
use crate::plan::{self, Launch, Machine, Plan, Residence};
use crate::{Algorithm, AlphaMode, Conv2d, Error, Problem, Result};

/// Formats and colours for [`Gpu::prepare_texture`].
///
/// The formats are `Rgba8Unorm`, `Bgra8Unorm`, `Rgba16Float`, `Rgba32Float` and `R32Float`. Devices
/// write `Bgra8Unorm` where they have the feature `BGRA8UNORM_STORAGE`, and read it always.
///
/// Sources are `Rgba8UnormSrgb` and `Bgra8UnormSrgb` too. Their colours are light when they are read,
/// since the texture unit decodes them, as exactly as the device does that. The filter works on this
/// light, and what the destination holds is
///
/// | source | without [`linear_light`](Self::linear_light) | with it |
/// | --- | --- | --- |
/// | of sRGB | light | values of sRGB |
/// | other | what the source holds, light or sRGB | values of sRGB |
///
/// Light in eight bits shows steps where it is dark: without `linear_light` a float format is the
/// better destination of an sRGB source.
///
/// No sRGB format is written, because WebGPU has no storage textures of them. The destination of an
/// engine's sRGB texture is one of `Rgba8Unorm` whose `view_formats` contain `Rgba8UnormSrgb`, written
/// with `linear_light` and later read through a view of that format:
///
/// ```
/// use channelwise::TextureOptions;
/// use channelwise::wgpu::TextureFormat::{Rgba8Unorm, Rgba8UnormSrgb};
/// let options = TextureOptions::new(Rgba8UnormSrgb).destination(Rgba8Unorm).linear_light(true);
/// ```
///
/// That is the faster way for a source of `Rgba8Unorm` too whose `view_formats` contain `Rgba8UnormSrgb`: prepared for
/// the latter, the same texture is given, the texture unit decodes it for nothing, and no shader has the curve of sRGB
/// on that side. It is not found out here, because wgpu does not tell the view formats of a texture, and a browser refuses
/// a view only later. What is written is encoded in the shader, once for each texel.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TextureOptions {
    source: TextureFormat,
    destination: TextureFormat,
    alpha: AlphaMode,
    linear: bool,
    algorithm: Algorithm,
}

impl TextureOptions {
    /// From and to textures of `format`, filtering what is read from them: no conversions, and alpha
    /// like a colour. If it is an sRGB format, the destination needs another; see
    /// [`destination`](Self::destination).
    #[must_use]
    pub fn new(format: TextureFormat) -> Self {
        Self {
            source: format,
            destination: format,
            alpha: AlphaMode::default(),
            linear: false,
            algorithm: Algorithm::Auto,
        }
    }

    /// The format of the destination, where it is another than the source's. Both have four channels, or
    /// both have one.
    #[must_use]
    pub fn destination(mut self, format: TextureFormat) -> Self {
        self.destination = format;
        self
    }

    /// What becomes of alpha. Textures of one channel have none, and all modes are the same.
    #[must_use]
    pub fn alpha(mut self, alpha: AlphaMode) -> Self {
        self.alpha = alpha;
        self
    }

    /// Whether the source's colours are taken for values of sRGB and their light is filtered; the
    /// destination's are values of sRGB again. Sources of an sRGB format are not decoded twice.
    #[must_use]
    pub fn linear_light(mut self, linear: bool) -> Self {
        self.linear = linear;
        self
    }

    /// Forces an algorithm.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }
}

/// A filter made ready for textures of one size. Made by [`Gpu::prepare_texture`].
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel, TextureOptions, wgpu};
/// # fn main() -> channelwise::Result<()> {
///
/// let Ok(engine) = Engine::gpu() else { return Ok(()) }; // there is none
/// let Some(gpu) = engine.as_gpu() else { return Ok(()) };
/// # let usage = wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::STORAGE_BINDING;
/// # let size = wgpu::Extent3d { width: 32, height: 32, depth_or_array_layers: 1 };
/// # let made = || {
/// #     gpu.device().create_texture(&wgpu::TextureDescriptor {
/// #         label: None,
/// #         size,
/// #         mip_level_count: 1,
/// #         sample_count: 1,
/// #         dimension: wgpu::TextureDimension::D2,
/// #         format: wgpu::TextureFormat::Rgba8Unorm,
/// #         usage,
/// #         view_formats: &[],
/// #     })
/// # };
/// let (frame, blurred) = (made(), made());
/// let filter = Conv2d::new(Kernel::gaussian(9, 2.0)?);
/// let filter = gpu.prepare_texture(&filter, size, &TextureOptions::new(frame.format()))?;
/// let mut encoder = gpu.device().create_command_encoder(&Default::default());
/// filter.encode_texture(&mut encoder, &frame, &blurred)?;
/// gpu.queue().submit([encoder.finish()]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct GpuTexturePrepared {
    gpu: Gpu,
    problem: Arc<Problem>,
    plan: Arc<Plan>,
    compiled: Arc<Compiled>,
    job: Arc<Job>,
    formats: [TextureFormat; 2],
    kept: Arc<Lru<[Bindable; 2], Arc<Bound>>>,
}

/// Pairs of textures whose bindings are kept: the six faces of a cube, and two that take turns.
const KEPT: usize = 8;

impl Gpu {
    /// Plans `conv` for textures of this width and height and compiles what it needs, for
    /// [`GpuTexturePrepared::encode_texture`]. Not in browsers; see [`Gpu::prepare_texture_async`].
    ///
    /// The texture is an image `[height, width, 4]` (or 1 for `R32Float`), whatever the kernel's
    /// [`Layout`](crate::Layout); values of unorm formats are 0 to 1. The kernel, its bias and its
    /// activation work on texels as [`color::decode`](crate::color::decode) makes them, all channels
    /// alike, and so does the constant of a border. What they give goes through
    /// [`color::encode`](crate::color::encode), and unorm formats saturate it.
    ///
    /// With [`AlphaMode::Keep`], alpha is that of the source where the kernel's anchor lies, or else the
    /// middle of what it spans; beyond the edges, as the border says.
    ///
    /// ```no_run
    /// use channelwise::wgpu::{Extent3d, TextureFormat};
    /// use channelwise::{AlphaMode, Border, Conv2d, Gpu, Kernel, TextureOptions};
    /// # fn example(gpu: Gpu) -> channelwise::Result<()> {
    /// let blur = Conv2d::new(Kernel::gaussian(9, 2.0)?).border(Border::Replicate);
    /// let size = Extent3d { width: 1920, height: 1080, depth_or_array_layers: 1 };
    /// let options = TextureOptions::new(TextureFormat::Rgba8Unorm)
    ///     .alpha(AlphaMode::Premultiply)
    ///     .linear_light(true);
    /// let prepared = gpu.prepare_texture(&blur, size, &options)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Problem::new`]; [`Error::Argument`] for several outputs per channel;
    /// [`Error::Texture`] for formats the device does not read or write, or of different numbers of
    /// channels; [`Error::NotApplicable`], [`Error::TooLarge`], or what the device says.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn prepare_texture(
        &self,
        conv: &Conv2d,
        size: Extent3d,
        options: &TextureOptions,
    ) -> Result<GpuTexturePrepared> {
        pollster::block_on(self.between_textures(conv, size, options))
    }

    /// [`Gpu::prepare_texture`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn prepare_texture_async(
        &self,
        conv: &Conv2d,
        size: Extent3d,
        options: &TextureOptions,
    ) -> Result<GpuTexturePrepared> {
        let (gpu, conv, options) = (self.clone(), conv.clone(), options.clone());
        aside(async move || gpu.between_textures(&conv, size, &options).await).await
    }

    async fn between_textures(
        &self,
        conv: &Conv2d,
        size: Extent3d,
        options: &TextureOptions,
    ) -> Result<GpuTexturePrepared> {
        let source = self.read(options.source)?;
        let destination = self.written(options.destination)?;
        if source.channels() != destination.channels() {
            return Err(Error::Texture {
                which: "destination",
                reason: format!(
                    "format {:?} has {} channels, and the source's {:?} has {}",
                    options.destination,
                    destination.channels(),
                    options.source,
                    source.channels()
                ),
            });
        }
        let shape = [size.height as usize, size.width as usize, source.channels()];
        let problem = Problem::of_texels(conv, shape, source.is_finite())?;
        let g = problem.geometry();
        let most = self.device().limits().max_texture_dimension_2d;
        for (what, [height, width]) in [
            ("side of the source texture", [g.height, g.width]),
            ("side of the destination texture", [g.out_height, g.out_width]),
        ] {
            let side = height.max(width);
            if side as u64 > u64::from(most) {
                return Err(Error::TooLarge { what, value: side.to_string(), limit: most.into() });
            }
        }
        // Shaders count scalars in 32 bits.
        let counted = job::source_pitch(&problem) as u64 * u64::from(size.height);
        if counted > 1 << 32 {
            return Err(Error::TooLarge {
                what: "scalars of a texture",
                value: counted.to_string(),
                limit: 1 << 32,
            });
        }
        let machine = Machine::Gpu(*self.limits(), Residence::Texture);
        let plan = plan::choose(&problem, &machine, options.algorithm)?;
        let texels = Texels {
            destination,
            alpha: options.alpha,
            to_light: options.linear && !options.source.is_srgb(),
            from_light: options.linear,
        };
        let Launch::Gpu(launch) = plan.launch() else {
            let (algorithm, reason) = (plan.algorithm(), "its plan is one of the CPU".into());
            return Err(Error::NotApplicable { algorithm, engine: "gpu", reason });
        };
        let programs = job::programs(&problem, launch, Some(&texels));
        let weights = job::weights(&problem, launch)?;
        let compiled =
            self.executor.compile(&programs, &weights, self.limits().max_range()).await?;
        let job = job::textures(&problem, launch, self.limits(), &texels);
        Ok(GpuTexturePrepared {
            gpu: self.clone(),
            problem: problem.into(),
            plan: plan.into(),
            compiled: compiled.into(),
            job: job.into(),
            formats: [options.source, options.destination],
            kept: Arc::new(Lru::new(KEPT)),
        })
    }

    /// What is read from a source of `format`, where the device can.
    fn read(&self, format: TextureFormat) -> Result<Texel> {
        let which = "source";
        let Some(texel) = program::read(format) else {
            let known = program::readable();
            let reason = format!("format {format:?} is none of {known:?}");
            return Err(Error::Texture { which, reason });
        };
        self.usable(which, format, TextureUsages::TEXTURE_BINDING)?;
        Ok(texel)
    }

    /// What is written to a destination of `format`, where the device can.
    fn written(&self, format: TextureFormat) -> Result<Texel> {
        let which = "destination";
        let Some(texel) = program::written(format) else {
            let reason = match program::read(format) {
                Some(_) => not_stored(format),
                None => format!("format {format:?} is none of {:?}", program::writable()),
            };
            return Err(Error::Texture { which, reason });
        };
        self.usable(which, format, TextureUsages::STORAGE_BINDING)?;
        Ok(texel)
    }

    /// Refuses a format that the device cannot use so.
    fn usable(
        &self,
        which: &'static str,
        format: TextureFormat,
        usage: TextureUsages,
    ) -> Result<()> {
        let refuse = |reason| Err(Error::Texture { which, reason });
        let allowed = format.guaranteed_format_features(self.device().features()).allowed_usages;
        if !allowed.contains(usage) {
            return refuse(format!("the device has no usage {usage:?} for format {format:?}"));
        }
        let limits = self.device().limits();
        for (name, has, needs) in [
            (
                "max_sampled_textures_per_shader_stage",
                limits.max_sampled_textures_per_shader_stage,
                2,
            ),
            (
                "max_storage_textures_per_shader_stage",
                limits.max_storage_textures_per_shader_stage,
                1,
            ),
        ] {
            if has < needs {
                return refuse(format!("the device's {name} is {has}, at least {needs} is needed"));
            }
        }
        Ok(())
    }
}

impl GpuTexturePrepared {
    /// Takes the weights of `conv`, as [`GpuPrepared::set_weights`](crate::GpuPrepared::set_weights) does.
    ///
    /// # Errors
    /// The same.
    pub fn set_weights(&mut self, conv: &Conv2d) -> Result<()> {
        let problem = self.problem.reweighed(conv)?;
        let plan = self.plan.reweighed(&problem)?;
        if let Launch::Gpu(launch) = plan.launch() {
            let weights = job::weights(&problem, launch)?;
            if !rewrite(&mut self.compiled, self.gpu.context(), &weights)? {
                // What is kept is bound to the weights of others.
                self.kept = Arc::new(Lru::new(KEPT));
            }
        }
        (self.problem, self.plan) = (Arc::new(problem), Arc::new(plan));
        Ok(())
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Width and height of the destination.
    #[must_use]
    pub fn output_size(&self) -> Extent3d {
        let g = self.problem.geometry();
        extent(g.out_height, g.out_width)
    }

    /// Records the work into `encoder`, reading `source` and writing `destination`: textures, subresources
    /// of textures ([`TextureSubresource`](crate::TextureSubresource)) or views
    /// ([`TextureOrView`]). Nothing is submitted or waited for.
    ///
    /// Textures are of this device (wgpu panics at those of another instance), two-dimensional and not
    /// multisampled; their usages contain `TEXTURE_BINDING` and `STORAGE_BINDING`, and what is read and
    /// written of them has the sizes that were prepared for. Texels are read and written in the formats
    /// that were prepared for: those of the textures, or for a source the one that differs by sRGB, if its
    /// `view_formats` contain that. Source and destination may lie in one texture, as mip levels or layers
    /// of it; in place nothing is filtered.
    ///
    /// What is made for a pair of them is kept for the eight pairs last used, so that later calls make
    /// nothing, and keeps their textures: [`GpuTexturePrepared::forget_textures`] lets go of them. Views
    /// made anew are the same pair, if not of a texture with several layers.
    ///
    /// # Errors
    /// [`Error::Texture`] where one cannot serve, with what was found and what is needed; [`Error::Gpu`],
    /// [`Error::OutOfMemory`] or [`Error::DeviceLost`] where the device refuses. In browsers errors of
    /// the device come later and are not seen here.
    pub fn encode_texture<'a>(
        &self,
        encoder: &mut CommandEncoder,
        source: impl Into<TextureOrView<'a>>,
        destination: impl Into<TextureOrView<'a>>,
    ) -> Result<()> {
        let [from, to] = self.ends();
        let source = from.bindable(source.into())?;
        let destination = to.bindable(destination.into())?;
        Bindable::apart(&source, &destination)?;
        let pair = [source, destination];
        let bound = match self.kept.get(|known, _| *known == pair) {
            Some(bound) => bound,
            None => {
                let context = &self.gpu.executor.context;
                let views = [from.view(context, &pair[0])?, to.view(context, &pair[1])?];
                let table = [
                    (Resource::Source, Given::View(&views[0])),
                    (Resource::Destination, Given::View(&views[1])),
                ];
                let made = self.gpu.executor.bind(&self.job, &self.compiled, &table, false);
                let made = Arc::new(
                    made.map_err(|error| from.explain(to.explain(error, &pair[1]), &pair[0]))?,
                );
                self.kept.put(pair, made.clone());
                made
            }
        };
        bound.replay(encoder);
        Ok(())
    }

    /// Source and destination, as they were prepared for.
    fn ends(&self) -> [End; 2] {
        let g = self.problem.geometry();
        let [from, to] = self.formats;
        [
            End {
                which: "source",
                format: from,
                size: extent(g.height, g.width),
                usage: TextureUsages::TEXTURE_BINDING,
            },
            End {
                which: "destination",
                format: to,
                size: self.output_size(),
                usage: TextureUsages::STORAGE_BINDING,
            },
        ]
    }

    /// Lets go of the textures that were given to [`GpuTexturePrepared::encode_texture`]. Work that was
    /// recorded or submitted keeps those it needs until it is done.
    pub fn forget_textures(&self) {
        self.kept.clear();
    }
}

/// Why an sRGB format is not written, and what is instead.
fn not_stored(srgb: TextureFormat) -> String {
    let plain = srgb.remove_srgb_suffix();
    format!(
        "format {srgb:?} cannot be written, as no storage texture has it; needed is {plain:?}, in a texture \
         whose view_formats contain {srgb:?}, with TextureOptions::linear_light"
    )
}

fn extent(height: usize, width: usize) -> Extent3d {
    Extent3d { width: width as u32, height: height as u32, depth_or_array_layers: 1 }
}
