//! Pictures of the crate `image`, filtered as what they are: colours, alpha, bits of their own.

use ::image::{DynamicImage, ImageBuffer, Luma, LumaA, Pixel, Rgb, Rgba};
use ndarray::{Array3, ArrayView3};

use crate::color::{AlphaMode, decode, encode};
use crate::memory;
use crate::{Activation, Conv2d, Element, ElementType, Engine, Error, Layout, Problem, Result};

/// How the pixels of an image go through a filter.
///
/// ```
/// use channelwise::color::AlphaMode;
/// use channelwise::image::ImageOptions;
/// let options = ImageOptions::new().alpha(AlphaMode::Premultiply).linear_light(true);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageOptions {
    alpha: AlphaMode,
    linear: bool,
}

impl ImageOptions {
    /// Alpha filtered like a colour, and colours as they are stored.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What happens to alpha, where there is one.
    #[must_use]
    pub fn alpha(mut self, alpha: AlphaMode) -> Self {
        self.alpha = alpha;
        self
    }

    /// Whether colours are taken for values of sRGB and filtered as light.
    #[must_use]
    pub fn linear_light(mut self, linear: bool) -> Self {
        self.linear = linear;
        self
    }
}

impl Engine {
    /// Applies `conv` to an image of 8 or 16 bits or of floats; the result has the same kind of pixels.
    ///
    /// The numbers of `conv` (a bias, a constant border, the limits of an activation) are on the scale
    /// where 1 is the whole: 255 of 8 bits, 65535 of 16. Results are rounded half to even and saturated.
    ///
    /// ```
    /// use channelwise::color::AlphaMode;
    /// use channelwise::image::ImageOptions;
    /// use channelwise::{Border, Conv2d, Engine, Kernel};
    /// use image::{DynamicImage, Rgba, RgbaImage};
    /// # fn main() -> channelwise::Result<()> {
    /// // Red on a transparent ground, which is green where nobody sees it.
    /// let mut picture = RgbaImage::from_pixel(9, 9, Rgba([0, 255, 0, 0]));
    /// picture.put_pixel(4, 4, Rgba([255, 0, 0, 255]));
    /// let blur = Conv2d::new(Kernel::gaussian(5, 1.0)?).border(Border::Replicate);
    /// let options = ImageOptions::new().alpha(AlphaMode::Premultiply);
    /// let soft = Engine::cpu().run_image(&blur, &DynamicImage::from(picture), &options)?;
    /// let soft = soft.to_rgba8();
    /// assert_eq!(soft.get_pixel(4, 3).0[..3], [255, 0, 0]);
    /// assert!(soft.get_pixel(4, 3).0[3] < 255);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Engine::run`], and [`Error::Argument`] where `conv` makes several outputs of a channel
    /// or has planes as its layout, or where the pixels are of another kind.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_image(
        &self,
        conv: &Conv2d,
        image: &DynamicImage,
        options: &ImageOptions,
    ) -> Result<DynamicImage> {
        crate::wait::block_on(self.run_image_async(conv, image, options))
    }

    /// [`Engine::run_image`] without blocking.
    ///
    /// # Errors
    /// The same.
    pub async fn run_image_async(
        &self,
        conv: &Conv2d,
        image: &DynamicImage,
        options: &ImageOptions,
    ) -> Result<DynamicImage> {
        use DynamicImage as Of;
        let job = Job { engine: self, conv, options };
        Ok(match image {
            Of::ImageLuma8(x) => Of::ImageLuma8(job.run::<Luma<u8>>(x).await?),
            Of::ImageLumaA8(x) => Of::ImageLumaA8(job.run::<LumaA<u8>>(x).await?),
            Of::ImageRgb8(x) => Of::ImageRgb8(job.run::<Rgb<u8>>(x).await?),
            Of::ImageRgba8(x) => Of::ImageRgba8(job.run::<Rgba<u8>>(x).await?),
            Of::ImageLuma16(x) => Of::ImageLuma16(job.run::<Luma<u16>>(x).await?),
            Of::ImageLumaA16(x) => Of::ImageLumaA16(job.run::<LumaA<u16>>(x).await?),
            Of::ImageRgb16(x) => Of::ImageRgb16(job.run::<Rgb<u16>>(x).await?),
            Of::ImageRgba16(x) => Of::ImageRgba16(job.run::<Rgba<u16>>(x).await?),
            Of::ImageRgb32F(x) => Of::ImageRgb32F(job.run::<Rgb<f32>>(x).await?),
            Of::ImageRgba32F(x) => Of::ImageRgba32F(job.run::<Rgba<f32>>(x).await?),
            other => {
                let limit = "pixels of 8 or 16 bits or of floats are needed";
                return Err(Error::argument("image", format!("{:?}", other.color()), limit));
            }
        })
    }
}

/// One image on its way.
struct Job<'a> {
    engine: &'a Engine,
    conv: &'a Conv2d,
    options: &'a ImageOptions,
}

impl Job<'_> {
    async fn run<P>(
        &self,
        image: &ImageBuffer<P, Vec<P::Subpixel>>,
    ) -> Result<ImageBuffer<P, Vec<P::Subpixel>>>
    where
        P: Pixel<Subpixel: Element>,
    {
        let Self { engine, conv, options } = *self;
        let channels = usize::from(P::CHANNEL_COUNT);
        let shape = [image.height() as usize, image.width() as usize, channels];
        let mismatch = |found: &[usize]| Error::ShapeMismatch {
            what: "image",
            expected: shape.to_vec(),
            found: found.to_vec(),
        };
        let element = <P::Subpixel as Element>::TYPE;
        let problem = Problem::new(conv, shape, ElementType::F32, ElementType::F32)?;
        check(&problem)?;
        let source = ArrayView3::from_shape(shape, image.as_raw().as_slice())
            .map_err(|_| mismatch(&[image.as_raw().len()]))?;
        let whole = element.integers().map_or(1.0, |whole| *whole.end() as f32);
        let mut output: Array3<P::Subpixel> = if self.as_stored(channels) {
            engine.run_async(conv, &source).await?
        } else {
            let values = source.iter().map(|v| v.to_f32() / whole);
            let values = memory::collected("pixels as floats", source.len(), values)?;
            let mut values = Array3::from_shape_vec(shape, values).map_err(|_| mismatch(&shape))?;
            if let Some(pixels) = values.as_slice_mut() {
                decode(pixels, channels, options.alpha, options.linear);
            }
            let mut filtered: Array3<f32> = engine.run_async(conv, &values).await?;
            if let Some(pixels) = filtered.as_slice_mut() {
                encode(pixels, channels, options.alpha, options.linear);
            }
            let pixels = filtered.iter().map(|v| Element::from_f32(v * whole));
            let pixels = memory::collected("pixels of the result", filtered.len(), pixels)?;
            Array3::from_shape_vec(filtered.raw_dim(), pixels)
                .map_err(|_| mismatch(filtered.shape()))?
        };
        if options.alpha == AlphaMode::Keep && P::HAS_ALPHA {
            keep_alpha(&problem, &source, &mut output, whole);
        }
        let (height, width, _) = output.dim();
        let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (pixels, _) = output.into_raw_vec_and_offset();
        let len = pixels.len();
        ImageBuffer::from_raw(side(width), side(height), pixels).ok_or_else(|| mismatch(&[len]))
    }

    /// Whether sums of pixels as they are stored are what is asked for: no number of the convolution is on
    /// another scale than they.
    fn as_stored(&self, channels: usize) -> bool {
        let Self { conv, options, .. } = self;
        let plain = |activation: Activation| {
            matches!(
                activation,
                Activation::None | Activation::Relu | Activation::Leaky(_) | Activation::Abs
            )
        };
        let alpha = options.alpha == AlphaMode::Premultiply && matches!(channels, 2 | 4);
        let border = conv.border.constant().is_none_or(|value| value == 0.0);
        let follow = conv.pointwise.is_none();
        let bias = conv.bias.iter().all(|bias| *bias == 0.0);
        !options.linear && !alpha && border && follow && bias && plain(conv.activation)
    }
}

/// Refuses what makes no image.
fn check(problem: &Problem) -> Result<()> {
    let conv = problem.conv();
    if conv.layout != Layout::Nhwc {
        return Err(Error::argument("layout", conv.layout, "the channels of images lie together"));
    }
    let outputs = problem.geometry().outputs;
    if outputs != 1 {
        let limit = "an image holds one output of each channel";
        return Err(Error::argument("outputs of a channel", outputs, limit));
    }
    Ok(())
}

/// Puts the alpha of the source where the kernel's middle lies into the output.
fn keep_alpha<T: Element>(
    problem: &Problem,
    source: &ArrayView3<'_, T>,
    output: &mut Array3<T>,
    whole: f32,
) {
    let g = problem.geometry();
    let border = problem.border();
    let fill = T::from_f32(border.fill() * whole);
    let alpha = g.channels - 1;
    for ((r, q), value) in output.slice_mut(ndarray::s![.., .., alpha]).indexed_iter_mut() {
        let (row, column) = problem.anchor_at(r, q);
        *value = match (border.rows().index(row, g.height), border.columns().index(column, g.width))
        {
            (Some(row), Some(column)) => source[[row, column, alpha]],
            _ => fill,
        };
    }
}
