//! Textures as sources and destinations: which part of one is bound, and in which format.

use wgpu::{
    Extent3d, Texture, TextureDimension, TextureFormat, TextureUsages, TextureView,
    TextureViewDescriptor, TextureViewDimension,
};

use super::device::Context;
use crate::{Error, Result};

/// One mip level of one layer of a two-dimensional texture; of the texture alone, the first of both.
///
/// Its texels are read and written in the formats that were prepared for, whatever views the app has.
///
/// ```no_run
/// use channelwise::wgpu::{CommandEncoder, Texture};
/// use channelwise::{GpuTexturePrepared, TextureSubresource};
/// /// From each mip level to the next, all within one texture: `halve[n]` was prepared for the size of
/// /// level `n`, and strides by 2. Sides of levels are halves rounded down, at least 1: with a kernel of 2x2
/// /// and `Padding::Valid` it does so down to sides of 2, and where only one side is 1 a kernel and a
/// /// stride of 1 along that side go on.
/// fn mip_chain(
///     encoder: &mut CommandEncoder,
///     texture: &Texture,
///     halve: &[GpuTexturePrepared],
/// ) -> channelwise::Result<()> {
///     let level = |n| TextureSubresource::new(texture).mip_level(n);
///     for (n, halve) in (0..).zip(halve) {
///         halve.encode_texture(encoder, level(n), level(n + 1))?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TextureSubresource<'a> {
    texture: &'a Texture,
    mip_level: u32,
    array_layer: u32,
}

impl<'a> TextureSubresource<'a> {
    /// Mip level 0 of layer 0.
    #[must_use]
    pub fn new(texture: &'a Texture) -> Self {
        Self { texture, mip_level: 0, array_layer: 0 }
    }

    /// Another mip level, 0 the largest.
    #[must_use]
    pub fn mip_level(mut self, mip_level: u32) -> Self {
        self.mip_level = mip_level;
        self
    }

    /// Another layer of an array, or face of a cube.
    #[must_use]
    pub fn array_layer(mut self, array_layer: u32) -> Self {
        self.array_layer = array_layer;
        self
    }
}

/// What [`GpuTexturePrepared::encode_texture`](super::GpuTexturePrepared::encode_texture) reads and
/// writes.
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel, TextureOptions, TextureSubresource, wgpu};
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
/// // A texture, a part of one, or a view.
/// filter.encode_texture(&mut encoder, &frame, TextureSubresource::new(&blurred).mip_level(0))?;
/// let view = frame.create_view(&Default::default());
/// filter.encode_texture(&mut encoder, &view, &blurred)?;
/// gpu.queue().submit([encoder.finish()]);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TextureOrView<'a> {
    /// A part of a texture, of which the view is made here, once.
    Subresource(TextureSubresource<'a>),
    /// What a view shows, which wgpu does not tell. Where a texture has one mip level and one layer, its
    /// views stand for it, whatever their format. One of several layers is bound as it is, and must show
    /// one layer in the format of the texture. Where there are several mip levels no view goes.
    View(&'a TextureView),
}

impl<'a> From<&'a Texture> for TextureOrView<'a> {
    fn from(texture: &'a Texture) -> Self {
        Self::Subresource(TextureSubresource::new(texture))
    }
}

impl<'a> From<TextureSubresource<'a>> for TextureOrView<'a> {
    fn from(subresource: TextureSubresource<'a>) -> Self {
        Self::Subresource(subresource)
    }
}

impl<'a> From<&'a TextureView> for TextureOrView<'a> {
    fn from(view: &'a TextureView) -> Self {
        Self::View(view)
    }
}

/// What was prepared for at one end.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// `source` or `destination`.
    pub which: &'static str,
    pub format: TextureFormat,
    pub size: Extent3d,
    pub usage: TextureUsages,
}

/// What is bound at one end. Those that are equal are bound alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bindable {
    Subresource {
        texture: Texture,
        mip_level: u32,
        array_layer: u32,
    },
    /// Of a texture with several layers.
    View(TextureView),
}

impl Bindable {
    fn texture(&self) -> &Texture {
        match self {
            Self::Subresource { texture, .. } => texture,
            Self::View(view) => view.texture(),
        }
    }

    /// Refuses two that may be one.
    pub fn apart(source: &Self, destination: &Self) -> Result<()> {
        let reason = match (source, destination) {
            (source, destination) if source.texture() != destination.texture() => return Ok(()),
            (
                Self::Subresource { mip_level, array_layer, .. },
                Self::Subresource { mip_level: level, array_layer: layer, .. },
            ) => {
                if (mip_level, array_layer) != (level, layer) {
                    return Ok(());
                }
                format!(
                    "mip level {level} of layer {layer} is the source too; a pass cannot work in place"
                )
            }
            _ => {
                "the source is of the same texture, and a view does not tell its layer, so that it \
                  may be the same; needed is a TextureSubresource for both"
                    .into()
            }
        };
        Err(Error::Texture { which: "destination", reason })
    }
}

impl End {
    /// What is bound, where it can serve.
    pub fn bindable(&self, given: TextureOrView<'_>) -> Result<Bindable> {
        let bindable = match given {
            TextureOrView::Subresource(TextureSubresource { texture, mip_level, array_layer }) => {
                Bindable::Subresource { texture: texture.clone(), mip_level, array_layer }
            }
            TextureOrView::View(view) => self.shown(view)?,
        };
        let texture = bindable.texture();
        if texture.dimension() != TextureDimension::D2 {
            return self.refuse(format!("dimension {:?} is not D2", texture.dimension()));
        }
        if texture.sample_count() != 1 {
            return self.refuse(format!("{} samples, only 1 is possible", texture.sample_count()));
        }
        self.check_format(&bindable)?;
        if !texture.usage().contains(self.usage) {
            return self.refuse(format!("usage {:?} lacks {:?}", texture.usage(), self.usage));
        }
        self.check_size(&bindable)?;
        Ok(bindable)
    }

    /// Says what binding a view may have failed for, which nobody could see before.
    pub fn explain(&self, error: Error, bound: &Bindable) -> Error {
        match (error, bound) {
            (Error::Gpu { message, .. }, Bindable::View(_)) => Error::Texture {
                which: self.which,
                reason: format!(
                    "the view cannot be bound, which has to be one of a single layer; a TextureSubresource is: {message}"
                ),
            },
            (error, _) => error,
        }
    }

    /// What a view shows: where a texture has but one subresource that is known, and the view need not
    /// be looked at. So its format does not count, and views made anew are the same.
    fn shown(&self, view: &TextureView) -> Result<Bindable> {
        let texture = view.texture();
        let levels = texture.mip_level_count();
        if levels != 1 {
            return self.refuse(format!(
                "{levels} mip levels, and a view does not tell which it shows; needed is a TextureSubresource"
            ));
        }
        if texture.depth_or_array_layers() == 1 {
            return Ok(Bindable::Subresource {
                texture: texture.clone(),
                mip_level: 0,
                array_layer: 0,
            });
        }
        Ok(Bindable::View(view.clone()))
    }

    fn check_format(&self, bindable: &Bindable) -> Result<()> {
        let (found, needed) = (bindable.texture().format(), self.format);
        if found == needed {
            return Ok(());
        }
        let mut reason = format!("format {found:?} is not {needed:?}, which was prepared for");
        // With and without sRGB they are of one kind, and views change between them.
        if found.remove_srgb_suffix() == needed.remove_srgb_suffix() {
            if self.usage.contains(TextureUsages::STORAGE_BINDING) {
                // Destinations are prepared for formats without sRGB only, so that this one is of it.
                reason += &format!(
                    ", and no storage texture has it; needed is one of {needed:?}, whose view_formats may \
                     contain {found:?}"
                );
            } else if matches!(bindable, Bindable::Subresource { .. }) {
                return Ok(());
            } else {
                reason +=
                    ", and a view of a layer does not tell its own; needed is a TextureSubresource";
            }
        }
        self.refuse(reason)
    }

    fn check_size(&self, bindable: &Bindable) -> Result<()> {
        let (size, needed) = (bindable.texture().size(), self.size);
        let mut found = size;
        let mut of = String::new();
        if let Bindable::Subresource { texture, mip_level, array_layer } = bindable {
            for (what, index, count) in [
                ("mip level", *mip_level, texture.mip_level_count()),
                ("layer", *array_layer, size.depth_or_array_layers),
            ] {
                if index >= count {
                    let last = count.saturating_sub(1);
                    return self.refuse(format!(
                        "{what} {index} is not there; the last of its {count} is {last}"
                    ));
                }
            }
            found = size.mip_level_size(*mip_level, TextureDimension::D2);
            if *mip_level > 0 {
                of = format!(" of mip level {mip_level}");
            }
        }
        if (found.width, found.height) == (needed.width, needed.height) {
            return Ok(());
        }
        self.refuse(format!(
            "size {}x{}{of} is not {}x{} (width x height), which was prepared for",
            found.width, found.height, needed.width, needed.height
        ))
    }

    /// The view to bind.
    pub fn view(&self, context: &Context, bindable: &Bindable) -> Result<TextureView> {
        let (texture, mip_level, array_layer) = match bindable {
            Bindable::View(view) => return Ok(view.clone()),
            Bindable::Subresource { texture, mip_level, array_layer } => {
                (texture, *mip_level, *array_layer)
            }
        };
        let made = context.checked("making a view of a texture", || {
            texture.create_view(&TextureViewDescriptor {
                label: Some("channelwise.view"),
                format: Some(self.format),
                dimension: Some(TextureViewDimension::D2),
                // Not all of the texture's: a view of sRGB has no storage.
                usage: Some(self.usage),
                base_mip_level: mip_level,
                mip_level_count: Some(1),
                base_array_layer: array_layer,
                array_layer_count: Some(1),
                ..Default::default()
            })
        });
        made.now().map_err(|error| match error {
            // wgpu does not tell a texture's view formats before.
            Error::Gpu { message, .. } if texture.format() != self.format => Error::Texture {
                which: self.which,
                reason: format!(
                    "format {:?} is not {needed:?}, which was prepared for, and cannot be seen as such; needed \
                     is {needed:?} among its view_formats ({message})",
                    texture.format(),
                    needed = self.format
                ),
            },
            other => other,
        })
    }

    fn refuse<T>(&self, reason: String) -> Result<T> {
        Err(Error::Texture { which: self.which, reason })
    }
}
