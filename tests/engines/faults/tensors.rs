//! Calls on what lies on the device.

use channelwise::wgpu::{self, TextureFormat, TextureUsages};
use channelwise::{
    Algorithm, Element as _, Gpu, GpuPrepared, GpuTensor, GpuTexturePrepared, Problem, Result,
    TextureOptions,
};
use ndarray::Array3;
use pollster::block_on;

use super::{Act, LEN, SHAPE, Scenario, again, bytes, conv, numbers, other, x};

fn prepared(gpu: &Gpu) -> Result<GpuPrepared> {
    let problem = Problem::new(&conv(), SHAPE, f32::TYPE, f32::TYPE)?;
    gpu.prepare(&problem, Algorithm::Auto)
}

/// Written, read and filtered by what wgpu itself uploads, or by a buffer of ours where it is `large`.
fn tensor(gpu: &Gpu, large: bool) -> Act {
    let gpu = gpu.clone();
    let [h, w] = if large { [150, 120] } else { [5, 3] };
    // Bytes that are no whole words.
    let data: Vec<u8> = (0..h * w * 3).map(|n| (n * 7 % 251) as u8).collect();
    Box::new(move |_| {
        let tensor = GpuTensor::upload(&gpu, &data, [h, w, 3])?;
        let mut all: Vec<f32> = tensor.download()?.into_iter().map(f32::from).collect();
        let turned: Vec<u8> = data.iter().rev().copied().collect();
        tensor.write(&turned)?;
        let y = gpu.run_as::<u8, f32>(&conv(), &tensor)?;
        all.extend(block_on(y.download_async())?);
        Ok(all)
    })
}

/// In the encoder of an app, which submits it.
fn encoded(gpu: &Gpu) -> Result<Act> {
    let (gpu, prepared) = (gpu.clone(), prepared(gpu)?);
    Ok(Box::new(move |_| {
        let from = GpuTensor::from_array(&gpu, &x())?;
        let to = GpuTensor::<f32>::zeros(&gpu, SHAPE)?;
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        prepared.encode(&mut encoder, &from.range(), &to.range())?;
        prepared.forget_buffers();
        gpu.queue().submit([encoder.finish()]);
        to.download()
    }))
}

fn texture(gpu: &Gpu, usage: TextureUsages) -> wgpu::Texture {
    gpu.device().create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d { width: 64, height: 4, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: TextureFormat::Rgba8Unorm,
        usage,
        view_formats: &[],
    })
}

/// From texture to texture, and read through a buffer of the app's.
fn textures(gpu: &Gpu) -> Result<Act> {
    let size = wgpu::Extent3d { width: 64, height: 4, depth_or_array_layers: 1 };
    let options = TextureOptions::new(TextureFormat::Rgba8Unorm);
    let mut filters: Vec<GpuTexturePrepared> = Vec::new();
    for conv in [conv(), other()] {
        filters.push(gpu.prepare_texture(&conv, size, &options)?);
    }
    let gpu = gpu.clone();
    Ok(Box::new(move |_| {
        let from = texture(&gpu, TextureUsages::TEXTURE_BINDING | TextureUsages::COPY_DST);
        let to = texture(&gpu, TextureUsages::STORAGE_BINDING | TextureUsages::COPY_SRC);
        let data: Vec<u8> = (0..1024).map(|n| (n * 7 % 251) as u8).collect();
        // A row is 256 bytes, as copies between textures and buffers need.
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(256),
            rows_per_image: None,
        };
        gpu.queue().write_texture(from.as_image_copy(), &data, layout, size);
        let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 1024,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_DST
                | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let mut all = Vec::new();
        for filter in &filters {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            let encoded = filter.encode_texture(&mut encoder, &from, &to);
            filter.forget_textures();
            encoded?;
            encoder.copy_texture_to_buffer(
                to.as_image_copy(),
                wgpu::TexelCopyBufferInfo { buffer: &buffer, layout },
                size,
            );
            gpu.queue().submit([encoder.finish()]);
            let tensor = GpuTensor::<u8>::from_buffer(&gpu, buffer.clone(), 0, [4, 256])?;
            all.extend(tensor.download()?.into_iter().map(f32::from));
        }
        Ok(all)
    }))
}

pub(super) const SCENARIOS: &[Scenario] = &[
    again("a small tensor", |gpu| Ok(tensor(gpu, false))),
    again("a large tensor", |gpu| Ok(tensor(gpu, true))),
    again("apply", |gpu| {
        let (gpu, prepared) = (gpu.clone(), prepared(gpu)?);
        Ok(Box::new(move |_| {
            let x = GpuTensor::from_array(&gpu, &x())?;
            let y = prepared.apply::<f32, f32>(&x)?;
            prepared.apply_into(&y, &x)?;
            prepared.forget_buffers();
            let mut all = numbers(&y.to_array::<ndarray::Ix3>()?);
            all.extend(x.download()?);
            Ok(all)
        }))
    }),
    again("a chain of tensors", |gpu| {
        let chain = gpu.chain(&[conv(), other()], SHAPE, u8::TYPE, f32::TYPE)?;
        let gpu = gpu.clone();
        Ok(Box::new(move |_| {
            let x = GpuTensor::from_array(&gpu, &bytes())?;
            let y = chain.apply::<u8, f32>(&x);
            chain.forget_buffers();
            y?.download()
        }))
    }),
    again("encode", encoded),
    again("textures", textures),
    again("gradients of tensors", |gpu| {
        let gpu = gpu.clone();
        Ok(Box::new(move |_| {
            let x = GpuTensor::from_array(&gpu, &x())?;
            let dy = GpuTensor::from_array(&gpu, &Array3::from_elem(SHAPE, 0.25f32))?;
            let all = gpu.backward(&conv(), &x, &dy)?;
            let mut numbers = all.kernel.download()?;
            numbers.extend(all.bias.download()?);
            numbers.extend(all.input.expect("it was asked for").download()?);
            Ok(numbers)
        }))
    }),
    again("a ticket", |gpu| {
        let (gpu, prepared) = (gpu.clone(), prepared(gpu)?);
        let tensors = [(); 2].map(|()| GpuTensor::<f32>::zeros(&gpu, SHAPE));
        let [x, y] = tensors;
        let (x, y) = (x?, y?);
        Ok(Box::new(move |_| {
            prepared.apply_into(&x, &y)?;
            gpu.ticket()?.wait()?;
            block_on(std::future::IntoFuture::into_future(gpu.ticket()?))?;
            Ok(vec![0.0; LEN])
        }))
    }),
];
