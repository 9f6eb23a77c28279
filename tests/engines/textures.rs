//! From texture to texture, held to the CPU engine on the same pixels: every border, every treatment of
//! alpha and colours, every format.

mod srgb;
mod subresources;

use crate::common::{BORDERS, gpu, pairwise};

use channelwise::color::{self, AlphaMode};
use channelwise::wgpu::{self, TextureFormat, TextureUsages, TextureView};
use channelwise::{
    Activation, Algorithm, Border, Conv2d, Engine, Error, Gpu, GpuOptions, GpuTexturePrepared,
    Kernel, Layout, Padding, Pointwise, TextureOptions,
    plan::{Cuts, Launch},
};
use ndarray::Array3;
use pollster::block_on;
use wgpu::TextureFormat::{Bgra8Unorm, R32Float, Rgba8Unorm, Rgba16Float, Rgba32Float};

const READ: TextureUsages = TextureUsages::TEXTURE_BINDING.union(TextureUsages::COPY_DST);
const WRITE: TextureUsages = TextureUsages::STORAGE_BINDING.union(TextureUsages::COPY_SRC);

const ALPHAS: [AlphaMode; 3] = [AlphaMode::Filter, AlphaMode::Keep, AlphaMode::Premultiply];

/// How far curves of sRGB on a device may be off, relative to the value.
const CURVE: f32 = 1e-5;

/// How far light that a texture unit decodes may be off: half a level of eight bits where the curve is
/// steepest, which is what D3D allows and others keep.
const UNIT: f32 = 2.275 * 0.5 / 255.0;

fn channels(format: TextureFormat) -> usize {
    if format == R32Float { 1 } else { 4 }
}

fn extent([h, w]: [usize; 2]) -> wgpu::Extent3d {
    wgpu::Extent3d { width: w as u32, height: h as u32, depth_or_array_layers: 1 }
}

fn texture(
    gpu: &Gpu,
    size: wgpu::Extent3d,
    format: TextureFormat,
    usage: TextureUsages,
) -> wgpu::Texture {
    gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: None,
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage,
        view_formats: &[],
    })
}

fn view(texture: &wgpu::Texture) -> TextureView {
    texture.create_view(&wgpu::TextureViewDescriptor::default())
}

/// Bits of the half float that `value` is; values of few digits only.
fn to_half(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = ((bits >> 23) & 255) as i32 - 127 + 15;
    assert!(value == 0.0 || ((1..31).contains(&exponent) && bits & 0x1fff == 0), "{value}");
    let sign = (bits >> 16) as u16 & 0x8000;
    if value == 0.0 { sign } else { sign | (exponent as u16) << 10 | (bits >> 13) as u16 & 0x3ff }
}

fn from_half(half: u16) -> f32 {
    let (exponent, fraction) = (i32::from(half >> 10 & 31), f32::from(half & 0x3ff) / 1024.0);
    let size = match exponent {
        0 => fraction * 2f32.powi(-14),
        31 => f32::INFINITY,
        _ => (1.0 + fraction) * 2f32.powi(exponent - 15),
    };
    if half & 0x8000 == 0 { size } else { -size }
}

/// Values that `format` holds exactly: 0 to 1 for unorm, beyond for floats, and alpha of every kind.
fn pixels(format: TextureFormat, [h, w]: [usize; 2], seed: u64) -> Vec<f32> {
    let mut rng = crate::common::Rng::new(seed);
    let mut value = |alpha: bool| match format.remove_srgb_suffix() {
        Rgba8Unorm | Bgra8Unorm => rng.below(256) as f32 / 255.0,
        Rgba16Float if alpha => rng.below(1025) as f32 / 1024.0,
        Rgba16Float => (rng.below(1537) as f32 - 512.0) / 1024.0,
        _ if alpha => rng.uniform(0.0, 1.0),
        _ => rng.uniform(-0.5, 1.5),
    };
    let c = channels(format);
    let mut all: Vec<f32> = (0..h * w * c).map(|at| value(at % 4 == 3 && c == 4)).collect();
    if c == 4 {
        // Where nothing is seen, and where all is.
        for pixel in all.chunks_mut(4).step_by(5) {
            pixel[3] = 0.0;
        }
        for pixel in all.chunks_mut(4).skip(2).step_by(3) {
            pixel[3] = 1.0;
        }
    }
    all
}

fn to_bytes(format: TextureFormat, pixels: &[f32]) -> Vec<u8> {
    let byte = |v: f32| (v * 255.0).round() as u8;
    match format.remove_srgb_suffix() {
        Rgba8Unorm => pixels.iter().map(|v| byte(*v)).collect(),
        Bgra8Unorm => pixels.chunks(4).flat_map(|p| [p[2], p[1], p[0], p[3]].map(byte)).collect(),
        Rgba16Float => pixels.iter().flat_map(|v| to_half(*v).to_le_bytes()).collect(),
        _ => bytemuck::cast_slice(pixels).to_vec(),
    }
}

fn from_bytes(format: TextureFormat, bytes: &[u8]) -> Vec<f32> {
    let value = |v: u8| f32::from(v) / 255.0;
    match format {
        Rgba8Unorm => bytes.iter().map(|v| value(*v)).collect(),
        Bgra8Unorm => bytes.chunks(4).flat_map(|p| [p[2], p[1], p[0], p[3]].map(value)).collect(),
        Rgba16Float => {
            bytes.chunks(2).map(|b| from_half(u16::from_le_bytes([b[0], b[1]]))).collect()
        }
        _ => bytemuck::pod_collect_to_vec(bytes),
    }
}

fn upload(gpu: &Gpu, texture: &wgpu::Texture, pixels: &[f32]) {
    upload_part(gpu, texture, [0, 0], pixels);
}

/// Of a mip level and a layer: what copies it, and its size.
fn part(
    texture: &wgpu::Texture,
    [mip_level, layer]: [u32; 2],
) -> (wgpu::TexelCopyTextureInfo<'_>, wgpu::Extent3d) {
    let origin = wgpu::Origin3d { z: layer, ..Default::default() };
    let size = wgpu::Extent3d { depth_or_array_layers: 1, ..texture.size() };
    let size = size.mip_level_size(mip_level, wgpu::TextureDimension::D2);
    (wgpu::TexelCopyTextureInfo { mip_level, origin, ..texture.as_image_copy() }, size)
}

fn upload_part(gpu: &Gpu, texture: &wgpu::Texture, at: [u32; 2], pixels: &[f32]) {
    let bytes = to_bytes(texture.format(), pixels);
    let (part, size) = part(texture, at);
    let row = bytes.len() as u32 / size.height;
    let layout =
        wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None };
    gpu.queue().write_texture(part, &bytes, layout, size);
}

fn download(gpu: &Gpu, texture: &wgpu::Texture) -> Vec<f32> {
    download_part(gpu, texture, [0, 0])
}

fn download_part(gpu: &Gpu, texture: &wgpu::Texture, at: [u32; 2]) -> Vec<f32> {
    let (part, size) = part(texture, at);
    let bytes = texture.format().block_copy_size(None).unwrap();
    let row = bytes * size.width;
    let pitch = row.next_multiple_of(256);
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(pitch) * u64::from(size.height),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let layout =
        wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(pitch), rows_per_image: None };
    encoder.copy_texture_to_buffer(
        part,
        wgpu::TexelCopyBufferInfo { buffer: &buffer, layout },
        size,
    );
    gpu.queue().submit([encoder.finish()]);
    buffer.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let all = buffer.get_mapped_range(..).unwrap();
    let rows = all.chunks(pitch as usize).flat_map(|r| r[..row as usize].to_vec());
    from_bytes(texture.format(), &rows.collect::<Vec<u8>>())
}

/// What a filter of textures is asked for.
#[derive(Clone, Debug)]
struct Case {
    conv: Conv2d,
    /// The same with a kernel whose one tap is the place alpha is kept from.
    keeps: Conv2d,
    constant: f32,
    size: [usize; 2],
    formats: [TextureFormat; 2],
    alpha: AlphaMode,
    linear: bool,
}

impl Case {
    /// `like` makes the filter of a kernel.
    fn new(
        kernel: Kernel,
        tap: (usize, usize),
        like: impl Fn(Kernel) -> Conv2d,
        border: Border,
        size: [usize; 2],
    ) -> Self {
        let (h, w) = (kernel.height(), kernel.width());
        let mut taps = vec![0.0; h * w];
        taps[tap.0 * w + tap.1] = 1.0;
        Self {
            conv: like(kernel).border(border),
            keeps: like(Kernel::new(h, w, taps).unwrap()).border(border),
            constant: border.constant().unwrap_or(0.0) as f32,
            size,
            formats: [Rgba8Unorm; 2],
            alpha: AlphaMode::Filter,
            linear: false,
        }
    }

    fn options(&self, algorithm: Algorithm) -> TextureOptions {
        TextureOptions::new(self.formats[0])
            .destination(self.formats[1])
            .alpha(self.alpha)
            .algorithm(algorithm)
            .linear_light(self.linear)
    }

    fn on_gpu(&self, gpu: &Gpu, prepared: &GpuTexturePrepared, pixels: &[f32]) -> Vec<f32> {
        let source = texture(gpu, extent(self.size), self.formats[0], READ);
        let destination = texture(gpu, prepared.output_size(), self.formats[1], WRITE);
        upload(gpu, &source, pixels);
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        prepared.encode_texture(&mut encoder, &view(&source), &view(&destination)).unwrap();
        gpu.queue().submit([encoder.finish()]);
        download(gpu, &destination)
    }

    /// Working values and texels that the CPU engine makes.
    fn on_cpu(&self, pixels: &[f32]) -> [Vec<f32>; 2] {
        let c = channels(self.formats[0]);
        let shape = (self.size[0], self.size[1], c);
        let engine = Engine::cpu().with_algorithm(Algorithm::Direct);
        let mut working = pixels.to_vec();
        color::decode(&mut working, c, self.alpha, self.linear || self.formats[0].is_srgb());
        let run = |conv: &Conv2d, x: &[f32]| {
            let x = Array3::from_shape_vec(shape, x.to_vec()).unwrap();
            let conv = conv.clone().layout(Layout::Nhwc);
            engine.run(&conv, &x).unwrap().into_raw_vec_and_offset().0
        };
        let working = run(&self.conv, &working);
        let mut texels = working.clone();
        color::encode(&mut texels, c, self.alpha, self.linear);
        if self.alpha == AlphaMode::Keep && c == 4 {
            let kept = run(&self.keeps, pixels);
            for (texel, kept) in texels.chunks_mut(4).zip(kept.chunks(4)) {
                texel[3] = kept[3];
            }
        }
        [working, texels]
    }
}

/// Where a texel is further off than it may be, and how many could not be judged.
#[derive(Debug, Default)]
struct Judged {
    texels: usize,
    open: usize,
    /// The largest part of what is allowed.
    worst: f32,
    wrong: Option<String>,
}

/// Twice the bound of a sum, the errors of curves through it, and what a change of a working value is in
/// a texel.
fn judge(case: &Case, pixels: &[f32], spread: f64, exact: bool, got: &[f32]) -> Judged {
    let c = channels(case.formats[0]);
    let kernel = case.conv.kernel();
    let sum: f32 = kernel.weights().iter().map(|w| w.abs()).sum();
    let largest = pixels.iter().fold(case.constant.abs(), |most, v| most.max(v.abs())).max(1.0);
    let unit = 2f32.powi(-24);
    let rounding = 4.0 * (kernel.weights().len() + 1) as f32 * unit * sum + spread as f32 * unit;
    let curve = match (case.formats[0].is_srgb(), case.linear) {
        (true, _) => UNIT,
        (false, true) => CURVE,
        (false, false) => 0.0,
    };
    let alpha_error = rounding * largest;
    let error = (rounding + curve * sum) * largest;
    let [working, want] = case.on_cpu(pixels);
    assert_eq!(got.len(), want.len(), "{case:?}");

    let mut judged = Judged::default();
    for (at, (got, want)) in got.iter().zip(&want).enumerate() {
        judged.texels += 1;
        let color = c == 1 || at % 4 < 3;
        let mut allowed = if color { error } else { alpha_error };
        if color && c == 4 && case.alpha == AlphaMode::Premultiply {
            let alpha = working[at / 4 * 4 + 3];
            if alpha == 0.0 && exact {
                allowed = 0.0;
            } else if alpha.abs() < 64.0 * alpha_error {
                judged.open += 1;
                continue;
            } else if alpha > 0.0 {
                allowed = (error + (working[at] / alpha).abs() * alpha_error) / alpha;
            }
        }
        if !color && case.alpha == AlphaMode::Keep {
            allowed = 0.0;
        }
        if color && case.linear {
            let light = color::srgb_to_linear(*want);
            let off = |by: f32| (color::linear_to_srgb(light + by) - want).abs();
            allowed = off(allowed).max(off(-allowed)) + CURVE * want.abs();
        }
        let (want, step) = match case.formats[1] {
            Rgba8Unorm | Bgra8Unorm => (want.clamp(0.0, 1.0), 1.0 / 255.0),
            Rgba16Float => (*want, want.abs() * 2f32.powi(-10) + 2f32.powi(-24)),
            _ => (*want, 2.0 * unit * want.abs()),
        };
        let part = (got - want).abs() / (allowed + step).max(f32::MIN_POSITIVE);
        judged.worst = judged.worst.max(part);
        if part.is_nan() || part > 1.0 {
            judged.wrong.get_or_insert_with(|| {
                format!("texel {} channel {}: {got}, not {want}", at / c, at % c)
            });
        }
    }
    judged
}

/// Runs a case with an algorithm; `None` where that does not apply.
fn check(gpu: &Gpu, case: &Case, algorithm: Algorithm, seed: u64) -> Option<Judged> {
    let pixels = pixels(case.formats[0], case.size, seed);
    let options = case.options(algorithm);
    let prepared = match gpu.prepare_texture(&case.conv, extent(case.size), &options) {
        Ok(prepared) => prepared,
        Err(Error::NotApplicable { .. }) if algorithm != Algorithm::Direct => return None,
        Err(error) => panic!("{algorithm} {case:?}: {error}"),
    };
    let got = case.on_gpu(gpu, &prepared, &pixels);
    let exact = matches!(prepared.plan().algorithm(), Algorithm::Direct | Algorithm::Flat);
    let spread = prepared.plan().accuracy().spread;
    Some(judge(case, &pixels, spread, exact, &got))
}

/// SwiftShader takes minutes to compile the shaders of `fft`.
fn transforms(gpu: &Gpu) -> bool {
    !gpu.adapter_info().name.to_lowercase().contains("swiftshader")
}

/// Every two of borders, formats, alphas and light, with both strides.
fn agree(test: &str, formats: &[[TextureFormat; 2]]) {
    let Some(gpu) = gpu() else { return };
    let twice = gpu.with_cuts(Cuts { one_pass: Some(false), ..Cuts::NONE });
    let mut rng = crate::common::Rng::new(1);
    let sizes = [[1, 1], [7, 13], [2, 5], [33, 18], [1, 9], [21, 66]];
    let writes_bgra = gpu.device().features().contains(wgpu::Features::BGRA8UNORM_STORAGE);
    let (mut cases, mut texels, mut open) = (0, 0, 0);
    let mut covered = Algorithm::ALL.iter().map(|&algorithm| (algorithm, 0)).collect::<Vec<_>>();
    let mut worst = 0f32;
    let mut failures = Vec::new();
    let counts = [BORDERS.len(), formats.len(), ALPHAS.len(), 2];
    for [border, format, alpha, linear] in pairwise(counts) {
        let (border, formats) = (BORDERS[border], formats[format]);
        let (alpha, linear) = (ALPHAS[alpha], linear == 1);
        if formats[1] == Bgra8Unorm && !writes_bgra {
            continue;
        }
        // One algorithm takes one stride.
        let mut main = [Algorithm::Direct, Algorithm::Flat];
        main.rotate_left(rng.below(2));
        for (stride, main) in [1, 2].into_iter().zip(main) {
            cases += 1;
            // A smoothing kernel, separable or not, or one with negative weights.
            let kernel = match rng.below(3) {
                0 => Kernel::gaussian(5, 1.1).unwrap(),
                1 => Kernel::new(3, 5, rng.f32s(15, 0.0, 0.133)).unwrap(),
                _ => rng.kernel(3, 3, 1),
            };
            let tap = ((kernel.height() - 1) / 2, (kernel.width() - 1) / 2);
            let like = |kernel| Conv2d::new(kernel).stride(stride, stride);
            let case = Case::new(kernel, tap, like, border, *rng.pick(&sizes));
            let case = Case { formats, alpha, linear, ..case };
            for (algorithm, covered) in &mut covered {
                let taken = match algorithm {
                    Algorithm::Fft => transforms(&gpu) && rng.chance(8),
                    Algorithm::Separable => rng.chance(2),
                    _ => *algorithm == main,
                };
                if !taken {
                    continue;
                }
                // In one pass and in two.
                let gpu = if cases % 4 < 2 { &gpu } else { &twice };
                let Some(judged) = check(gpu, &case, *algorithm, cases as u64) else { continue };
                *covered += 1;
                (texels, open) = (texels + judged.texels, open + judged.open);
                worst = worst.max(judged.worst);
                if let Some(wrong) = judged.wrong {
                    failures.push(format!("{algorithm}, {case:?}\n    {wrong}"));
                }
            }
        }
    }
    let by: Vec<String> = covered.iter().map(|(a, n)| format!("{a} {n}")).collect();
    crate::common::say(&format!(
        "{test}: {cases} cases by {}; {open} of {texels} values open, at worst {worst:.2} of what is allowed",
        by.join(", ")
    ));
    crate::common::refuse(test, &failures);
    let by = |algorithm| covered.iter().find(|(a, _)| *a == algorithm).unwrap().1;
    let (flat, direct) = (by(Algorithm::Flat), by(Algorithm::Direct));
    assert_eq!(by(Algorithm::March), 0);
    assert_eq!(flat + direct, cases);
    assert!(by(Algorithm::Separable) * 9 >= cases && flat * 3 >= cases && direct * 3 >= cases);
    assert!(by(Algorithm::Fft) * 40 >= cases || !transforms(&gpu));
    assert!(open * 20 < texels, "{open} of {texels} values could not be judged");
}

/// A filter of textures that chance puts together; what it was made by.
pub(crate) fn random_agrees(gpu: &Gpu, seed: u64) -> Result<Algorithm, String> {
    let mut rng = crate::common::Rng::new(seed);
    let writes_bgra = gpu.device().features().contains(wgpu::Features::BGRA8UNORM_STORAGE);
    let from = *rng.pick(&[Rgba8Unorm, Rgba8Unorm, Bgra8Unorm, Rgba16Float, Rgba32Float]);
    let to = *rng.pick(&[Rgba8Unorm, Rgba8Unorm, Bgra8Unorm, Rgba16Float, Rgba32Float]);
    let formats = match (rng.chance(6), to) {
        (true, _) => [R32Float; 2],
        (false, Bgra8Unorm) if !writes_bgra => [from, Rgba8Unorm],
        _ => [from, to],
    };
    let (h, w) = (1 + rng.below(7), 1 + rng.below(7));
    let kernel = match rng.below(3) {
        0 => Kernel::gaussian(2 * rng.below(4) + 1, 1.1),
        1 => Kernel::new(h, w, rng.f32s(h * w, 0.0, 2.0 / (h * w) as f32)),
        _ => Ok(rng.kernel(h, w, 1)),
    };
    let kernel = kernel.unwrap();
    let (stride, dilation) = (*rng.pick(&[(1, 1), (1, 1), (2, 2), (1, 3)]), *rng.pick(&[1, 1, 2]));
    let (high, wide) = (kernel.height(), kernel.width());
    // Alpha is kept from the middle, unless an anchor is said. Dilated by 2, an even kernel has no tap there.
    let between = dilation > 1 && (high * wide).is_multiple_of(2);
    let anchor = (between || rng.chance(4)).then(|| (rng.below(high), rng.below(wide)));
    let tap = anchor.unwrap_or(((high - 1) / 2, (wide - 1) / 2));
    let like = |kernel| {
        let conv = Conv2d::new(kernel).stride(stride.0, stride.1).dilation(dilation, dilation);
        anchor.map_or(conv.clone(), |(row, column)| conv.anchor(row, column))
    };
    let size = [1 + rng.below(40), 1 + rng.below(70)];
    let case = Case::new(kernel, tap, like, *rng.pick(&BORDERS), size);
    let case = Case { formats, alpha: *rng.pick(&ALPHAS), linear: rng.chance(2), ..case };
    let algorithm = *rng.pick(&[
        Algorithm::Direct,
        Algorithm::Flat,
        Algorithm::Separable,
        Algorithm::Separable,
        Algorithm::Fft,
    ]);
    let taken =
        if algorithm == Algorithm::Fft && !transforms(gpu) { Algorithm::Flat } else { algorithm };
    for algorithm in [taken, Algorithm::Direct] {
        let Some(judged) = check(gpu, &case, algorithm, seed) else { continue };
        return match judged.wrong {
            None => Ok(algorithm),
            Some(wrong) => Err(format!("{algorithm}, {case:?}: {wrong}")),
        };
    }
    Err(format!("direct does not apply: {case:?}"))
}

#[test]
fn textures_of_bytes_agree() {
    let bytes = [[Rgba8Unorm; 2], [Bgra8Unorm, Rgba8Unorm], [Rgba8Unorm, Bgra8Unorm]];
    agree("textures of bytes", &bytes);
}

#[test]
fn textures_of_floats_agree() {
    agree(
        "textures of floats",
        &[[Rgba8Unorm, Rgba16Float], [Rgba16Float; 2], [Rgba32Float; 2], [R32Float; 2]],
    );
}

/// Everything else that a filter can be asked for.
#[test]
fn options_agree() {
    let Some(gpu) = gpu() else { return };
    let mut rng = crate::common::Rng::new(5);
    // A name, a kernel's size, the tap alpha is kept from, and what is asked for.
    type Asked = (&'static str, [usize; 2], (usize, usize), fn(Kernel) -> Conv2d);
    let same: [Asked; 7] = [
        ("even", [4, 6], (1, 2), Conv2d::new),
        ("dilated", [3, 3], (1, 1), |k| Conv2d::new(k).dilation(2, 3).stride(3, 1)),
        ("full", [3, 5], (1, 2), |k| Conv2d::new(k).padding(Padding::Full)),
        ("valid", [3, 3], (1, 1), |k| Conv2d::new(k).padding(Padding::Valid).stride(1, 2)),
        ("far", [3, 3], (1, 1), |k| Conv2d::new(k).padding(Padding::all(30))),
        ("anchor", [3, 4], (2, 0), |k| Conv2d::new(k).anchor(2, 0)),
        ("planes", [3, 3], (1, 1), |k| Conv2d::like_pytorch(k).padding(Padding::all(1))),
    ];
    for (name, [h, w], tap, like) in same {
        for (border, formats) in [
            (Border::Reflect101, [Rgba16Float, Rgba8Unorm]),
            (Border::Constant(0.5), [R32Float; 2]),
        ] {
            for alpha in ALPHAS {
                let kernel = Kernel::new(h, w, rng.f32s(h * w, 0.0, 2.0 / (h * w) as f32)).unwrap();
                let case = Case::new(kernel, tap, like, border, [11, 9]);
                let case = Case { formats, alpha, ..case };
                for algorithm in [Algorithm::Direct, Algorithm::Flat] {
                    let judged = check(&gpu, &case, algorithm, 3).expect("it applies");
                    assert!(judged.wrong.is_none(), "{name}, {algorithm}, {case:?}: {judged:?}");
                }
            }
        }
    }

    // What follows the sum, on working values; fractions are what texels are.
    for &algorithm in Algorithm::ALL {
        let two = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()]).unwrap();
        let step = Pointwise::new(2, 1, vec![0.5, 0.25]).unwrap();
        let case = Case::new(Kernel::identity(), (0, 0), Conv2d::new, Border::Replicate, [30, 31]);
        for conv in [
            Conv2d::new(Kernel::gaussian(5, 1.0).unwrap())
                .bias([-0.2])
                .activation(Activation::Sigmoid),
            Conv2d::new(two).bias([0.1, 0.0]).activation(Activation::Relu).pointwise(step),
        ] {
            let conv = conv.border(Border::Replicate);
            let case = Case { conv, formats: [Rgba8Unorm, Rgba32Float], ..case.clone() };
            let pixels = pixels(Rgba8Unorm, case.size, 9);
            let options = case.options(algorithm);
            let prepared = match gpu.prepare_texture(&case.conv, extent(case.size), &options) {
                // A sum of two filters is no product, and vectors are those of buffers.
                Err(Error::NotApplicable { .. })
                    if matches!(algorithm, Algorithm::Separable | Algorithm::March) =>
                {
                    continue;
                }
                Err(_) if algorithm == Algorithm::Fft && !transforms(&gpu) => continue,
                prepared => prepared.unwrap(),
            };
            let got = case.on_gpu(&gpu, &prepared, &pixels);
            let [_, want] = case.on_cpu(&pixels);
            let off = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= 2e-6, "{algorithm} is {off} off");
        }
    }
}

/// Where what lies between passes does not fit, bands see the whole texture.
#[test]
fn bands_of_textures_do_not_show() {
    let Some(small) = crate::common::small_gpu() else { return };
    for (formats, size) in [([Rgba16Float; 2], [70, 230]), ([R32Float; 2], [9, 2001])] {
        for border in [Border::Constant(0.7), Border::Wrap, Border::Reflect] {
            let blur = Kernel::gaussian(9, 2.0).unwrap();
            let case = Case::new(blur, (4, 4), Conv2d::new, border, size);
            let case = Case { formats, alpha: AlphaMode::Keep, ..case };
            let mut algorithms = vec![Algorithm::Separable];
            algorithms.extend(transforms(&small).then_some(Algorithm::Fft));
            for algorithm in algorithms {
                let options = case.options(algorithm);
                let plan = small.prepare_texture(&case.conv, extent(size), &options).unwrap();
                let Launch::Gpu(launch) = plan.plan().launch().clone() else { panic!() };
                assert!(launch.bands.len() > 1, "{}", plan.plan());
                let judged = check(&small, &case, algorithm, 8).unwrap();
                assert!(judged.wrong.is_none(), "{algorithm}, {case:?}: {judged:?}");
            }
        }
    }
}

#[test]
fn textures_that_cannot_serve_are_refused() {
    let Some(gpu) = gpu() else { return };
    let conv = Conv2d::new(Kernel::gaussian(3, 1.0).unwrap());
    let size = extent([8, 12]);
    let prepare = |conv: &Conv2d, size, options: TextureOptions| {
        gpu.prepare_texture(conv, size, &options).map(drop).unwrap_err()
    };
    let rgba = TextureOptions::new(Rgba8Unorm);
    let two = Conv2d::new(Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()]).unwrap());
    let huge = extent([8, 1 << 20]);
    let refused = [
        (prepare(&two, size, rgba.clone()), "filters: 2 is not allowed"),
        (prepare(&conv, size, rgba.clone().destination(TextureFormat::Rg32Float)), "destination"),
        (prepare(&conv, size, rgba.clone().destination(R32Float)), "has 1 channels"),
        (prepare(&conv, extent([0, 3]), rgba.clone()), "input height: 0"),
        (prepare(&conv, huge, rgba.clone()), "side of the source texture"),
        (
            prepare(&conv.clone().padding(Padding::all(1 << 20)), size, rgba.clone()),
            "side of the destination texture",
        ),
    ];
    for (error, part) in refused {
        assert!(error.is_usage() && error.to_string().contains(part), "{error}");
    }
    // A device without the feature, whose limits have no room.
    let limits = wgpu::Limits {
        max_storage_textures_per_shader_stage: 0,
        ..wgpu::Limits::downlevel_defaults()
    };
    let bare = Gpu::request(&GpuOptions::new().limits(limits)).unwrap();
    let error = bare.prepare_texture(&conv, size, &rgba).unwrap_err();
    assert!(error.to_string().contains("max_storage_textures_per_shader_stage is 0"), "{error}");
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let plain = Gpu::from_device(device, queue).unwrap();
    let bgra = rgba.clone().destination(Bgra8Unorm);
    let error = plain.prepare_texture(&conv, size, &bgra).unwrap_err();
    assert!(matches!(error, Error::Texture { which: "destination", .. }), "{error}");
    assert!(error.to_string().contains("no usage"), "{error}");

    let prepared = gpu.prepare_texture(&conv, size, &rgba).unwrap();
    let source = texture(&gpu, size, Rgba8Unorm, READ);
    let both = texture(&gpu, size, Rgba8Unorm, READ | WRITE);
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let custom = |descriptor: wgpu::TextureDescriptor<'_>| gpu.device().create_texture(&descriptor);
    let base = wgpu::TextureDescriptor {
        label: None,
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: Rgba8Unorm,
        usage: READ | WRITE,
        view_formats: &[],
    };
    let attached = READ | TextureUsages::RENDER_ATTACHMENT;
    let bad = [
        (texture(&gpu, extent([12, 8]), Rgba8Unorm, READ | WRITE), "size 8x12 is not 12x8"),
        (texture(&gpu, size, Rgba16Float, READ | WRITE), "format Rgba16Float is not Rgba8Unorm"),
        (custom(wgpu::TextureDescriptor { mip_level_count: 2, ..base.clone() }), "2 mip levels"),
        (
            custom(wgpu::TextureDescriptor { sample_count: 4, usage: attached, ..base.clone() }),
            "4 samples",
        ),
        (
            custom(wgpu::TextureDescriptor {
                dimension: wgpu::TextureDimension::D3,
                ..base.clone()
            }),
            "dimension D3",
        ),
        (
            texture(
                &gpu,
                size,
                Rgba8Unorm,
                TextureUsages::COPY_SRC | TextureUsages::RENDER_ATTACHMENT,
            ),
            "lacks",
        ),
    ];
    for (texture, part) in &bad {
        for [from, to] in [[texture, &both], [&source, texture]] {
            let error = prepared.encode_texture(&mut encoder, &view(from), &view(to)).unwrap_err();
            assert!(matches!(error, Error::Texture { .. }), "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    let error = prepared.encode_texture(&mut encoder, &view(&both), &view(&both)).unwrap_err();
    assert!(error.to_string().contains("in place"), "{error}");
    // One layer of several is no different; all of them are.
    let layers = wgpu::Extent3d { depth_or_array_layers: 3, ..size };
    let array = texture(&gpu, layers, Rgba8Unorm, READ);
    let layer = array.create_view(&wgpu::TextureViewDescriptor {
        dimension: Some(wgpu::TextureViewDimension::D2),
        base_array_layer: 1,
        array_layer_count: Some(1),
        ..Default::default()
    });
    prepared.encode_texture(&mut encoder, &layer, &view(&both)).unwrap();
    let error = prepared.encode_texture(&mut encoder, &view(&array), &view(&both)).unwrap_err();
    assert!(matches!(error, Error::Texture { .. }), "{error}");
    // The encoder has not suffered.
    gpu.queue().submit([encoder.finish()]);

    // Textures of another device of the instance; wgpu panics at those of another instance.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = block_on(instance.request_adapter(&Default::default())).unwrap();
    let [one, other] = [(); 2].map(|()| {
        let (device, queue) = block_on(adapter.request_device(&Default::default())).unwrap();
        Gpu::from_device(device, queue).unwrap()
    });
    let prepared = one.prepare_texture(&conv, size, &rgba).unwrap();
    let mut encoder = one.device().create_command_encoder(&Default::default());
    let [here, there] =
        [&one, &other].map(|gpu| view(&texture(gpu, size, Rgba8Unorm, READ | WRITE)));
    let error = prepared.encode_texture(&mut encoder, &there, &here).unwrap_err();
    assert!(matches!(error, Error::Gpu { .. }), "{error}");
    other.device().destroy();
    let error = other.prepare_texture(&conv, size, &rgba).unwrap_err();
    assert!(matches!(error, Error::DeviceLost { .. }), "{error}");
}

/// What is made for a pair of textures is made once, and can be let go.
#[test]
fn a_second_encode_makes_nothing() {
    let Some(gpu) = gpu() else { return };
    let conv = Conv2d::new(Kernel::gaussian(7, 2.0).unwrap()).layout(Layout::Nchw);
    let size = [20, 30];
    let options = TextureOptions::new(Rgba8Unorm);
    let prepared = block_on(gpu.prepare_texture_async(&conv, extent(size), &options)).unwrap();
    let (source, destination) = (
        view(&texture(&gpu, extent(size), Rgba8Unorm, READ)),
        view(&texture(&gpu, prepared.output_size(), Rgba8Unorm, WRITE)),
    );
    // Other tests share the device, so what is made is looked for in what is kept.
    let encode = || {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        prepared.encode_texture(&mut encoder, &source, &destination).unwrap();
        gpu.queue().submit([encoder.finish()]);
    };
    let mut last = Vec::new();
    for _ in 0..3 {
        encode();
        last.push(format!("{prepared:?}").matches("BindGroup").count());
    }
    assert!(last[0] > 0 && last.iter().all(|n| *n == last[0]), "{last:?}");
    prepared.forget_textures();
    assert_eq!(format!("{prepared:?}").matches("BindGroup {").count(), 0);
}

/// Other weights for the same textures: as if prepared with them, and nothing is bound anew.
#[test]
fn textures_take_other_weights() {
    let Some(gpu) = gpu() else { return };
    let conv =
        |seed| Conv2d::new(crate::common::Rng::new(seed).kernel(5, 5, 1)).border(Border::Reflect);
    let size = [20, 30];
    let source = texture(&gpu, extent(size), Rgba8Unorm, READ);
    let destination = texture(&gpu, extent(size), Rgba32Float, WRITE);
    upload(&gpu, &source, &pixels(Rgba8Unorm, size, 3));
    let options =
        TextureOptions::new(Rgba8Unorm).destination(Rgba32Float).alpha(AlphaMode::Premultiply);
    let filtered = |prepared: &GpuTexturePrepared| {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        prepared.encode_texture(&mut encoder, &source, &destination).unwrap();
        gpu.queue().submit([encoder.finish()]);
        download(&gpu, &destination)
    };
    let prepare = |seed| gpu.prepare_texture(&conv(seed), extent(size), &options).unwrap();
    let mut prepared = prepare(1);
    let clone = prepared.clone();
    let first = filtered(&prepared);
    for seed in [2, 3, 1] {
        prepared.set_weights(&conv(seed)).unwrap();
        assert_eq!(filtered(&prepared), filtered(&prepare(seed)), "seed {seed}");
    }
    prepared.set_weights(&conv(4)).unwrap();
    assert_eq!(filtered(&clone), first);
    let error = prepared.set_weights(&conv(1).stride(2, 2)).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
}
