//! Tensors in device memory: in, out, filtered there, at any place of the caller's buffers; and devices
//! of the caller's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{BORDERS, F32, Rng, U8, compare, gpu, same_bits};
use channelwise::wgpu::{self, BufferUsages};
use channelwise::{
    Algorithm, BufferRange, Conv2d, Element, ElementType, Engine, Error, Gpu, GpuOptions,
    GpuTensor, Kernel, Layout, Padding, Problem, Shape, reference,
};
use ndarray::{Array2, Array3, Array4, s};
use pollster::block_on;

fn noise<T: Element>(len: usize, seed: u64) -> Vec<T> {
    Rng::new(seed).elements(len, -40.0, 300.0)
}

/// What the plan for tensors may differ by.
fn expected<T: Element>(gpu: &Gpu, problem: &Problem, x: &[T]) -> Vec<reference::Expected> {
    let spread = gpu.prepare(problem, Algorithm::Auto).unwrap().plan().accuracy().spread;
    reference::run_within(problem, x, spread)
}

fn agrees<T: Element, U: Element>(gpu: &Gpu, conv: &Conv2d, shape: Shape, seed: u64) {
    let problem = Problem::new(conv, shape, T::TYPE, U::TYPE).unwrap();
    let x = noise::<T>(problem.input_len(), seed);
    let tensor = GpuTensor::upload(gpu, &x, shape).unwrap().with_layout(problem_layout(conv));
    let y: GpuTensor<U> = gpu.run_as(conv, &tensor).unwrap();
    assert_eq!((y.shape(), y.layout()), (problem.output_shape(), tensor.layout()));
    let got = y.download().unwrap();
    if let Err(text) = compare(&got, &expected(gpu, &problem, &x), y.shape()) {
        panic!("{problem}: {text}");
    }
    // The input was not touched.
    assert_eq!(tensor.download().unwrap(), x, "{problem}");
}

/// `Conv2d` does not tell its layout, and a layout is a part of how it prints.
fn problem_layout(conv: &Conv2d) -> Layout {
    if format!("{conv:?}").contains("Nchw") { Layout::Nchw } else { Layout::Nhwc }
}

#[test]
fn tensors_are_filtered_as_arrays_are() {
    let Some(gpu) = gpu() else { return };
    let mut seed = 0;
    for border in BORDERS {
        for layout in [Layout::Nhwc, Layout::Nchw] {
            for (dims, kernel, padding) in [
                ([1, 7, 5, 3], (3, 3), Padding::Same),
                ([2, 5, 9, 1], (1, 5), Padding::Full),
                ([1, 13, 11, 5], (4, 2), Padding::all(3)),
            ] {
                seed += 1;
                let kernel = Rng::new(seed).kernel(kernel.0, kernel.1, 1);
                let conv = Conv2d::new(kernel).border(border).padding(padding).layout(layout);
                let shape = Shape::from(dims);
                agrees::<f32, f32>(&gpu, &conv, shape, seed);
                agrees::<u8, u8>(&gpu, &conv, shape, seed);
                agrees::<u8, f32>(&gpu, &conv, shape, seed);
                agrees::<f32, u8>(&gpu, &conv, shape, seed);
            }
        }
    }
    // Larger than a block, and without channels or batch.
    let blur = Conv2d::like_opencv(Kernel::gaussian(7, 2.0).unwrap());
    agrees::<u8, u8>(&gpu, &blur, Shape::from([131, 201, 3]), 1);
    agrees::<f32, f32>(&gpu, &blur, Shape::from([131, 201]), 1);
    let planes = blur.layout(Layout::Nchw);
    agrees::<u8, u8>(&gpu, &planes, Shape::from([3, 131, 201]), 1);
}

#[test]
fn what_goes_in_comes_out() {
    let Some(gpu) = gpu() else { return };
    // Tails of words.
    for len in [1, 2, 3, 4, 5, 7, 64, 1021] {
        let bytes = noise::<u8>(len, 3);
        let tensor = GpuTensor::upload(&gpu, &bytes, [1, len]).unwrap();
        assert_eq!(tensor.download().unwrap(), bytes);
        assert_eq!((tensor.len(), tensor.is_empty(), tensor.offset()), (len, false, 0));
        let other = noise::<u8>(len, 4);
        tensor.write(&other).unwrap();
        assert_eq!(block_on(tensor.download_async()).unwrap(), other);
        let floats = noise::<f32>(len, 5);
        let tensor = GpuTensor::upload(&gpu, &floats, [len, 1]).unwrap();
        assert_eq!(tensor.download().unwrap(), floats);
    }
    assert!(GpuTensor::<f32>::zeros(&gpu, [3, 5]).unwrap().download().unwrap() == [0.0; 15]);

    // Arrays and views of any order.
    let x = Array4::from_shape_vec((2, 6, 8, 3), noise::<u8>(288, 7)).unwrap();
    let tensor = GpuTensor::from_array(&gpu, &x).unwrap();
    assert_eq!(tensor.to_array(), Ok(x.clone()));
    let view = x.slice(s![1, 1..5;2, ..;-1, ..]);
    let tensor = GpuTensor::from_array(&gpu, &view).unwrap();
    let back: Array3<u8> = block_on(tensor.to_array_async()).unwrap();
    assert_eq!(back, view);
    let error = tensor.to_array::<ndarray::Ix2>().unwrap_err();
    assert!(matches!(&error, Error::Argument { argument: "number of axes of the array", .. }));
    let flat: Array2<u8> = GpuTensor::upload(&gpu, &[1, 2, 3], [1, 3]).unwrap().to_array().unwrap();
    assert_eq!(flat, ndarray::array![[1, 2, 3]]);

    // No elements at all.
    let none = GpuTensor::<u8>::upload(&gpu, &[], [0, 4, 4, 3]).unwrap();
    let conv = Conv2d::new(Kernel::box_blur(3, 3).unwrap());
    let out = gpu.run(&conv, &none).unwrap();
    assert!(out.is_empty() && out.download().unwrap().is_empty());
}

const FENCE: u8 = 0xA5;

fn fenced(gpu: &Gpu, size: u64, usage: BufferUsages) -> wgpu::Buffer {
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size,
        usage: usage | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue().write_buffer(&buffer, 0, &vec![FENCE; size as usize]);
    buffer
}

/// Two tensors in one buffer of the caller's, at offsets that are not aligned to anything but words.
#[test]
fn tensors_lie_in_the_callers_buffer() {
    let Some(gpu) = gpu() else { return };
    in_one_buffer::<f32, f32>(&gpu);
    in_one_buffer::<u8, u8>(&gpu);
    in_one_buffer::<u8, f32>(&gpu);
}

fn in_one_buffer<T: Element, U: Element>(gpu: &Gpu) {
    for (border, shape) in
        BORDERS.iter().zip([[5, 7, 3], [9, 3, 1], [4, 4, 4], [11, 5, 5], [3, 13, 2], [7, 7, 7]])
    {
        let conv = Conv2d::new(Rng::new(9).kernel(3, 3, 1)).border(*border);
        let problem = Problem::new(&conv, shape, T::TYPE, U::TYPE).unwrap();
        let prepared = gpu.prepare(&problem, Algorithm::Auto).unwrap();
        let words =
            |len: usize, element: ElementType| ((len * element.bytes()) as u64).next_multiple_of(4);
        let from = 20;
        let to = from + words(problem.input_len(), T::TYPE) + 12;
        let end = to + words(problem.output_len(), U::TYPE);
        let buffer = fenced(gpu, end + 16, BufferUsages::STORAGE | BufferUsages::COPY_SRC);
        let x = noise::<T>(problem.input_len(), 11);
        let input = GpuTensor::<T>::from_buffer(gpu, buffer.clone(), from, shape).unwrap();
        let output = GpuTensor::<U>::from_buffer(gpu, buffer.clone(), to, shape).unwrap();
        input.write(&x).unwrap();
        for _ in 0..2 {
            prepared.apply_into(&input, &output).unwrap();
        }
        let want = expected(gpu, &problem, &x);
        compare(&output.download().unwrap(), &want, problem.output_shape()).unwrap();
        assert_eq!(input.download().unwrap(), x);
        let all = GpuTensor::<u8>::from_buffer(gpu, buffer, 0, [1, end as usize + 16]).unwrap();
        let all = all.download().unwrap();
        let fences = [0..from, to - 12..to, end..end + 16];
        for fence in fences {
            let part = &all[fence.start as usize..fence.end as usize];
            assert!(part.iter().all(|byte| *byte == FENCE), "{border}: {part:?}");
        }
    }
}

#[test]
fn what_cannot_serve_is_refused() {
    let Some(gpu) = gpu() else { return };
    let buffer = fenced(&gpu, 256, BufferUsages::STORAGE);
    for (offset, shape, words) in [
        (2, [4, 4], "offset 2 is not a multiple of 4"),
        (200, [4, 4], "reach beyond the buffer's 256 bytes"),
        (u64::MAX - 3, [4, 4], "reach beyond the buffer's 256 bytes"),
        (0, [8, 9], "reach beyond the buffer's 256 bytes"),
    ] {
        let error = GpuTensor::<f32>::from_buffer(&gpu, buffer.clone(), offset, shape).unwrap_err();
        assert!(
            matches!(&error, Error::Buffer { which: "tensor", reason, .. } if reason.contains(words))
        );
    }
    // 253 bytes take up all 256.
    assert!(GpuTensor::<u8>::from_buffer(&gpu, buffer.clone(), 0, [1, 253]).is_ok());
    assert!(GpuTensor::<u8>::from_buffer(&gpu, buffer.clone(), 4, [1, 253]).is_err());
    let plain = fenced(&gpu, 256, BufferUsages::COPY_SRC);
    let error = GpuTensor::<f32>::from_buffer(&gpu, plain, 0, [4, 4]).unwrap_err();
    assert!(error.to_string().contains("lacks"), "{error}");
    let tensor = GpuTensor::<f32>::from_buffer(&gpu, buffer, 0, [4, 4]).unwrap();
    let error = tensor.download().unwrap_err();
    assert!(
        matches!(&error, Error::Buffer { reason, .. } if reason.contains("COPY_SRC")),
        "{error}"
    );

    let error = GpuTensor::upload(&gpu, &[1.0f32; 5], [2, 3]).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { what: "data", .. }), "{error}");
    for shape in [[usize::MAX, 2, 2], [1 << 30, 1 << 30, 1], [1 << 20, 1 << 20, 1]] {
        let error = GpuTensor::<f32>::zeros(&gpu, shape).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    }

    let tensor = GpuTensor::upload(&gpu, &[1.0f32; 48], [4, 4, 3]).unwrap();
    let conv = Conv2d::new(Kernel::box_blur(3, 3).unwrap());
    let error = gpu.run(&conv.clone().layout(Layout::Nchw), &tensor).unwrap_err();
    assert!(matches!(error, Error::Argument { argument: "layout of a tensor", .. }), "{error}");
    let problem = Problem::new(&conv, [4, 4, 3], F32, F32).unwrap();
    let prepared = gpu.prepare(&problem, Algorithm::Auto).unwrap();
    let bytes = GpuTensor::<u8>::zeros(&gpu, [4, 4, 3]).unwrap();
    let other = GpuTensor::<f32>::zeros(&gpu, [4, 3, 4]).unwrap();
    let type_of =
        |error| matches!(error, Error::Argument { argument: "element type of a tensor", .. });
    assert!(type_of(prepared.apply::<u8, f32>(&bytes).unwrap_err()));
    assert!(type_of(prepared.apply::<f32, u8>(&tensor).unwrap_err()));
    assert!(type_of(prepared.apply_into(&tensor, &bytes).unwrap_err()));
    let error = prepared.apply_into(&tensor, &other).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { what: "output", .. }), "{error}");
    let error = prepared.apply_into(&tensor, &tensor).unwrap_err();
    assert!(matches!(error, Error::Buffer { which: "destination", .. }), "{error}");
    let elsewhere = self::gpu().unwrap();
    let error = elsewhere.run(&conv, &tensor).unwrap_err();
    assert!(matches!(&error, Error::Buffer { reason, .. } if reason.contains("another `Gpu`")));
    let wide = Conv2d::new(Kernel::box_blur(9, 9).unwrap()).padding(Padding::Valid);
    assert!(matches!(gpu.run(&wide, &tensor).unwrap_err(), Error::EmptyOutput { .. }));
    // After all that it serves.
    assert!(gpu.run(&conv, &tensor).unwrap().download().is_ok());
}

#[test]
fn a_lost_device_is_an_error() {
    for borrowed in [false, true] {
        let Some(own) = gpu() else { return };
        let gpu = match borrowed {
            true => borrow(&own, &GpuOptions::new()),
            false => own,
        };
        let conv = Conv2d::new(Kernel::box_blur(3, 3).unwrap());
        let tensor = GpuTensor::upload(&gpu, &[1.0f32; 48], [4, 4, 3]).unwrap();
        gpu.run(&conv, &tensor).unwrap().download().unwrap();
        gpu.device().destroy();
        for error in [
            tensor.download().unwrap_err(),
            block_on(tensor.download_async()).unwrap_err(),
            gpu.run(&conv, &tensor).unwrap_err(),
            gpu.run_as::<f32, u8>(&conv, &tensor).unwrap_err(),
        ] {
            assert!(matches!(error, Error::DeviceLost { .. }), "borrowed {borrowed}: {error:?}");
        }
    }
}

fn borrow(own: &Gpu, options: &GpuOptions) -> Gpu {
    Gpu::from_device_with(own.device().clone(), own.queue().clone(), options).unwrap()
}

/// The adapter, as an app finds it.
fn app_adapter() -> Option<wgpu::Adapter> {
    let own = gpu()?;
    let backend = own.adapter_info().backend.into();
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    descriptor.backends = backend;
    let all = block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backend));
    all.into_iter().find(|a| a.get_info().name == own.adapter_info().name)
}

/// A device as an app makes it, with what we recommend.
fn app_device(adapter: &wgpu::Adapter, features: wgpu::Features) -> (wgpu::Device, wgpu::Queue) {
    let limits = channelwise::recommended_limits(adapter);
    assert!(limits.check_limits(&adapter.limits()), "{limits:?}");
    let recommended = channelwise::recommended_features(adapter);
    assert!(adapter.features().contains(recommended));
    let descriptor = wgpu::DeviceDescriptor {
        required_features: channelwise::required_features() | (features & recommended),
        required_limits: limits,
        ..Default::default()
    };
    block_on(adapter.request_device(&descriptor)).unwrap()
}

/// An app's own handlers still are those that are called, for errors and for loss.
#[test]
fn a_borrowed_device_keeps_its_callbacks() {
    let Some(adapter) = app_adapter() else { return };
    let (device, queue) = app_device(&adapter, wgpu::Features::empty());
    let (errors, losses) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let told = errors.clone();
    device.on_uncaptured_error(Arc::new(move |_| {
        told.fetch_add(1, Ordering::SeqCst);
    }));
    let told = losses.clone();
    device.set_device_lost_callback(move |_, _| {
        told.fetch_add(1, Ordering::SeqCst);
    });
    let gpu = Gpu::from_device(device.clone(), queue).unwrap();
    let conv = Conv2d::new(Kernel::gaussian(5, 1.0).unwrap());
    let x = Array3::from_elem((20, 30, 3), 0.5f32);
    let tensor = GpuTensor::from_array(&gpu, &x).unwrap();
    gpu.run(&conv, &tensor).unwrap().download().unwrap();
    Engine::from(gpu.clone()).run(&conv, &x).unwrap();
    let mut frames = gpu.frames::<f32, f32>(std::slice::from_ref(&conv), [20, 30, 3]).unwrap();
    frames.push(x.as_slice().unwrap()).unwrap();
    frames.pop().unwrap().unwrap();
    // Errors of ours are ours, and not the app's.
    assert!(
        GpuTensor::<f32>::from_buffer(&gpu, fenced(&gpu, 4, BufferUsages::COPY_SRC), 0, [1, 1])
            .is_err()
    );
    assert_eq!((errors.load(Ordering::SeqCst), losses.load(Ordering::SeqCst)), (0, 0));
    // An error of the app's own is the app's.
    drop(device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("twice mapped"),
        size: 4,
        usage: BufferUsages::MAP_READ | BufferUsages::STORAGE | BufferUsages::MAP_WRITE,
        mapped_at_creation: false,
    }));
    assert_eq!((errors.load(Ordering::SeqCst), losses.load(Ordering::SeqCst)), (1, 0));
    device.destroy();
    let _ = device.poll(wgpu::PollType::Poll);
    assert_eq!(losses.load(Ordering::SeqCst), 1);
    assert!(matches!(gpu.run(&conv, &tensor), Err(Error::DeviceLost { .. })));
}

/// Pipelines are made when they are needed, ahead by `warm_up`, and once.
#[test]
fn pipelines_are_made_lazily_or_ahead() {
    let Some(gpu) = gpu() else { return };
    // wgpu makes some for itself.
    let first = gpu.device().get_internal_counters().hal.compute_pipelines.read();
    let made = || gpu.device().get_internal_counters().hal.compute_pipelines.read() - first;
    let zeros = GpuTensor::<f32>::zeros(&gpu, [4, 4, 1]).unwrap();
    assert_eq!((zeros.download().unwrap().len(), made()), (16, 0));
    let conv = Conv2d::new(Rng::new(1).kernel(5, 5, 1));
    let problem = Problem::new(&conv, [40, 50, 3], F32, U8).unwrap();
    gpu.warm_up(&problem).unwrap();
    let after = made();
    assert!(after > 0);
    let tensor = GpuTensor::upload(&gpu, &[1.0f32; 6000], [40, 50, 3]).unwrap();
    assert_eq!(made(), after);
    gpu.run_as::<f32, u8>(&conv, &tensor).unwrap().download().unwrap();
    block_on(gpu.warm_up_async(&problem)).unwrap();
    assert_eq!(made(), after);
    gpu.run(&conv, &tensor).unwrap();
    assert!(made() > after);
}

/// What a device remembers goes with it: nothing holds itself.
#[test]
fn nothing_is_left_of_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let device = gpu.device().clone();
    let conv = Conv2d::new(Kernel::gaussian(9, 2.0).unwrap()).border(channelwise::Border::Wrap);
    let tensor = GpuTensor::upload(&gpu, &[1.0f32; 6000], [40, 50, 3]).unwrap();
    let out = gpu.run(&conv, &gpu.run(&conv, &tensor).unwrap()).unwrap();
    out.download().unwrap();
    let chain =
        gpu.chain(&[conv.clone(), conv.clone().stride(2, 2)], [40, 50, 3], F32, F32).unwrap();
    chain.apply::<f32, f32>(&tensor).unwrap().download().unwrap();
    let mut frames = gpu.frames::<f32, f32>(&[conv], [40, 50, 3]).unwrap();
    frames.push(&[1.0; 6000]).unwrap();
    let there = || {
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let hal = device.get_internal_counters().hal;
        [hal.buffers.read(), hal.bind_groups.read(), hal.compute_pipelines.read()]
    };
    assert!(there().iter().all(|n| *n > 0));
    drop((gpu, tensor, out, chain, frames));
    // wgpu keeps a buffer of zeros and the like for itself.
    let fresh = {
        let other = self::gpu().unwrap();
        let hal = other.device().get_internal_counters().hal;
        [hal.buffers.read(), hal.bind_groups.read(), hal.compute_pipelines.read()]
    };
    let left = there();
    assert!(left.iter().zip(fresh).all(|(left, fresh)| *left <= fresh), "{left:?}, {fresh:?}");
}

/// A cache of the app's is used, and results are the same with one, with none, and without the feature.
#[test]
fn a_pipeline_cache_is_used_where_there_can_be_one() {
    let conv = Conv2d::new(Rng::new(2).kernel(5, 5, 1));
    let x = noise::<f32>(6000, 3);
    let run = |gpu: &Gpu| {
        let tensor = GpuTensor::upload(gpu, &x, [40, 50, 3]).unwrap();
        gpu.run(&conv, &tensor).map(|out| out.download().unwrap())
    };
    let Some(adapter) = app_adapter() else { return };
    let on = |(device, queue): (wgpu::Device, wgpu::Queue), cache| {
        let options = GpuOptions::new().pipeline_cache(cache);
        Gpu::from_device_with(device, queue, &options).unwrap()
    };
    let without = || app_device(&adapter, wgpu::Features::empty());
    let want = run(&on(without(), None));
    assert!(want.is_ok());
    let with = app_device(&adapter, wgpu::Features::all());
    if !with.0.features().contains(wgpu::Features::PIPELINE_CACHE) {
        crate::common::say("pipeline caches not covered: the adapter has none");
        return;
    }
    let empty = cache(&with.0, None);
    assert_eq!(run(&on(with.clone(), Some(empty.clone()))), want);
    let data = empty.get_data().unwrap();
    let filled = cache(&with.0, Some(&data));
    assert_eq!(run(&on(with.clone(), Some(filled.clone()))), want);
    assert_eq!(run(&on(with, None)), want);
    // Only one that is used can be found to be another device's.
    let other = app_device(&adapter, wgpu::Features::all());
    let error = run(&on(other, Some(filled.clone()))).unwrap_err();
    assert!(matches!(error, Error::Gpu { doing: "compiling a shader", .. }), "{error}");
    // Without the feature it is left out.
    assert_eq!(run(&on(without(), Some(filled.clone()))), want);
    let options = GpuOptions::new().pipeline_cache(Some(filled));
    let error = Gpu::request(&options).unwrap_err();
    assert!(matches!(error, Error::Argument { argument: "pipeline cache", .. }), "{error}");
}

#[expect(unsafe_code, reason = "the data is of such a cache")]
fn cache(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor = wgpu::PipelineCacheDescriptor { label: None, data, fallback: true };
    // SAFETY: `data` is what `get_data` gave.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

/// A tensor goes where a range does.
#[test]
fn a_tensor_is_a_range_for_encode() {
    let Some(gpu) = gpu() else { return };
    let conv = Conv2d::new(Rng::new(3).kernel(3, 3, 1));
    let problem = Problem::new(&conv, [9, 11, 3], U8, F32).unwrap();
    let prepared = gpu.prepare(&problem, Algorithm::Auto).unwrap();
    let x = noise::<u8>(297, 5);
    let input = GpuTensor::upload(&gpu, &x, [9, 11, 3]).unwrap();
    let output = GpuTensor::<f32>::zeros(&gpu, [9, 11, 3]).unwrap();
    let BufferRange { offset, size, .. } = input.range();
    assert_eq!((offset, size), (0, 300));
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    prepared.encode(&mut encoder, &input.range(), &output.range()).unwrap();
    gpu.queue().submit([encoder.finish()]);
    let want = expected(&gpu, &problem, &x);
    compare(&output.download().unwrap(), &want, output.shape()).unwrap();
}

/// A ticket is done when what was submitted before it is, and not before.
#[test]
fn tickets_are_of_what_was_submitted() {
    let Some(gpu) = gpu() else { return };
    let conv = Conv2d::new(Rng::new(2).kernel(15, 15, 1));
    let x = GpuTensor::upload(&gpu, &noise::<f32>(300 * 300 * 3, 1), [300, 300, 3]).unwrap();
    for awaited in [false, true] {
        let y = gpu.run(&conv, &x).unwrap();
        let ticket = gpu.ticket().unwrap();
        if awaited {
            block_on(ticket.into_future()).unwrap();
        } else {
            ticket.wait().unwrap();
        }
        let ticket = gpu.ticket().unwrap();
        gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
        assert!(ticket.is_done());
        drop(y);
    }
}

/// Into a pass of the app's, where no copies are needed; and refused where they are.
#[test]
fn work_goes_into_an_open_pass() {
    let Some(gpu) = gpu() else { return };
    let x = noise::<f32>(20 * 32 * 3, 4);
    let from = GpuTensor::upload(&gpu, &x, [20, 32, 3]).unwrap();
    let convs = [Conv2d::new(Kernel::gaussian(5, 1.0).unwrap()), Conv2d::new(Kernel::sobel_x())];
    let problem = Problem::new(&convs[0], [20, 32, 3], F32, F32).unwrap();
    for &algorithm in Algorithm::ALL {
        let prepared = gpu.prepare(&problem, algorithm).unwrap();
        let to = GpuTensor::<f32>::zeros(&gpu, [20, 32, 3]).unwrap();
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            prepared.encode_into(&mut pass, &from.range(), &to.range()).unwrap();
        }
        gpu.queue().submit([encoder.finish()]);
        let want = prepared.apply::<f32, f32>(&from).unwrap().download().unwrap();
        assert_eq!(to.download().unwrap(), want, "{algorithm}");
    }
    let chain = gpu.chain(&convs, [20, 32, 3], F32, F32).unwrap();
    let to = GpuTensor::<f32>::zeros(&gpu, [20, 32, 3]).unwrap();
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        chain.encode_into(&mut pass, &from.range(), &to.range()).unwrap();
    }
    gpu.queue().submit([encoder.finish()]);
    assert_eq!(to.download().unwrap(), chain.apply::<f32, f32>(&from).unwrap().download().unwrap());

    // Both in one buffer: the source is gathered, which is a copy.
    let prepared = gpu.prepare(&problem, Algorithm::Flat).unwrap();
    let both = GpuTensor::<f32>::zeros(&gpu, [2, 20, 32, 3]).unwrap();
    let (buffer, size) = (both.buffer(), 7680);
    let halves = [0, size].map(|offset| BufferRange { buffer, offset, size });
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    let error = prepared.encode_into(&mut pass, &halves[0], &halves[1]).unwrap_err();
    assert!(matches!(error, Error::Buffer { .. }), "{error}");
    assert!(error.to_string().contains("copies"), "{error}");
}

/// Outputs come from the pool, and never from a buffer that somebody else may hold.
#[test]
fn outputs_are_used_again_unless_they_were_shown() {
    let gpu = Gpu::request(&GpuOptions::new());
    let Ok(gpu) = gpu else {
        assert!(self::gpu().is_none());
        return;
    };
    let conv = Conv2d::new(Kernel::gaussian(5, 1.0).unwrap());
    let x = GpuTensor::upload(&gpu, &noise::<f32>(7200, 1), [40, 60, 3]).unwrap();
    let want = gpu.run(&conv, &x).unwrap().download().unwrap();
    let before = gpu.pool_stats().reused;
    for _ in 0..3 {
        let y = gpu.run(&conv, &x).unwrap();
        assert_eq!(gpu.run(&conv, &y).unwrap().len(), 7200);
    }
    assert!(gpu.pool_stats().reused >= before + 5, "{:?}", gpu.pool_stats());
    // The buffer of a tensor that is gone, and in use all the same.
    let y = gpu.run(&conv, &x).unwrap();
    let held = y.buffer().clone();
    drop(y);
    let others: Vec<_> = (0..8).map(|_| gpu.run(&conv, &x).unwrap()).collect();
    assert!(others.iter().all(|other| *other.buffer() != held));
    let y = GpuTensor::<f32>::from_buffer(&gpu, held, 0, [40, 60, 3]).unwrap();
    assert_eq!(y.download().unwrap(), want);
    // Clones and parts hold it as well.
    let gradients = gpu.backward(&conv, &x, &x).unwrap();
    let bias = gradients.bias.clone();
    let kernel = gradients.kernel.download().unwrap();
    drop(gradients);
    let again = gpu.backward(&conv, &x, &x).unwrap();
    assert_eq!(again.kernel.download().unwrap(), kernel);
    assert_eq!(bias.download().unwrap(), again.bias.download().unwrap());
}

/// What was compiled lies in a folder, whole or not at all, and what is not whole is left aside.
#[test]
fn compiled_pipelines_are_kept_in_a_folder() {
    if gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let request = || Gpu::request(&GpuOptions::new().cache_dir(folder.path())).unwrap();
    let conv = Conv2d::new(Rng::new(2).kernel(5, 5, 1));
    let x = noise::<f32>(6000, 3);
    let run = |gpu: &Gpu| {
        let tensor = GpuTensor::upload(gpu, &x, [40, 50, 3]).unwrap();
        gpu.run(&conv, &tensor).unwrap().download().unwrap()
    };
    let files = || {
        let all = std::fs::read_dir(folder.path()).unwrap();
        all.map(|file| file.unwrap().path()).collect::<Vec<_>>()
    };
    let first = request();
    let want = run(&first);
    first.save_pipelines().unwrap();
    if !first.device().features().contains(wgpu::Features::PIPELINE_CACHE) {
        assert!(files().is_empty());
        crate::common::say("folders of pipelines not covered: the adapter has no such caches");
        return;
    }
    let [file] = &files()[..] else { panic!("{:?}", files()) };
    let written = std::fs::read(file).unwrap();
    assert!(written.starts_with(b"cwpipe01") && written.len() > 64, "{} bytes", written.len());
    // It is read, and nothing new is written.
    let second = request();
    assert_eq!(run(&second), want);
    drop((first, second));
    assert_eq!(files(), std::slice::from_ref(file));
    // A file that is cut, or of something else.
    for broken in [&written[..written.len() / 2], b"cwpipe01", b"", b"something else"] {
        std::fs::write(file, broken).unwrap();
        let gpu = request();
        assert_eq!(run(&gpu), want);
        gpu.save_pipelines().unwrap();
        let again = std::fs::read(file).unwrap();
        assert!(again.len() > 64 && again.starts_with(b"cwpipe01"), "{} bytes", again.len());
    }
    let error = Gpu::request(&GpuOptions::new().cache_dir(file.join("no folder"))).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
}

/// What an app recorded may be submitted after its problem is gone and its room would do for an output.
#[test]
fn recorded_work_keeps_its_room() {
    let Some(gpu) = gpu() else { return };
    let shape = [60, 64, 4];
    let blur = Conv2d::new(Kernel::gaussian(7, 1.5).unwrap());
    let problem = Problem::new(&blur, shape, F32, F32).unwrap();
    // In one pass, so that it neither takes nor holds any room.
    let conv = Conv2d::new(Rng::new(1).kernel(3, 3, 1));
    let x = GpuTensor::upload(&gpu, &Rng::new(5).f32s(60 * 64 * 4, -1.0, 1.0), shape).unwrap();
    let want = gpu.run(&conv, &x).unwrap().download().unwrap();
    gpu.trim();
    for shared in [false, true] {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let [from, to] = [(); 2].map(|()| GpuTensor::<f32>::zeros(&gpu, shape).unwrap());
        let prepared = gpu.prepare(&problem, Algorithm::Separable).unwrap();
        let (source, destination) = (from.range(), to.range());
        if shared {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            prepared.encode_into(&mut pass, &source, &destination).unwrap();
        } else {
            prepared.encode(&mut encoder, &source, &destination).unwrap();
        }
        drop(prepared);
        let y = gpu.run(&conv, &x).unwrap();
        gpu.queue().submit([encoder.finish()]);
        same_bits(&y.download().unwrap(), &want).unwrap();
        same_bits(&to.download().unwrap(), &vec![0.0; want.len()]).unwrap();
    }
}

/// Tensors that begin within a vector of `march`, whose shaders read and write whole ones: gradients and filters
/// have them copied, and give the same bits.
#[test]
fn tensors_begin_at_any_word() {
    let Some(_) = gpu() else { return };
    let gpu = Gpu::request(&GpuOptions::new().specialise_from(0)).unwrap();
    let shape = [2, 24, 20, 4];
    let conv = Conv2d::new(Rng::new(3).kernel(3, 3, 1));
    let problem = Problem::new(&conv, shape, F32, F32).unwrap();
    let prepared = gpu.prepare(&problem, Algorithm::Auto).unwrap();
    assert_eq!(prepared.plan().algorithm(), Algorithm::March, "{}", prepared.plan());
    let len: usize = shape.iter().product();
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    let at = |offset: u64, values: &[f32]| {
        let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: offset + 4 * len as u64,
            usage,
            mapped_at_creation: false,
        });
        let tensor = GpuTensor::<f32>::from_buffer(&gpu, buffer, offset, shape).unwrap();
        tensor.write(values).unwrap();
        tensor
    };
    let (x, dy) = (noise::<f32>(len, 1), noise::<f32>(len, 2));
    let gradients = |offsets: [u64; 2]| {
        let made = gpu.backward(&conv, &at(offsets[0], &x), &at(offsets[1], &dy)).unwrap();
        let all = [made.input.as_ref().unwrap(), &made.kernel].map(|t| t.download().unwrap());
        all.concat()
    };
    let want = (gpu.run(&conv, &at(0, &x)).unwrap().download().unwrap(), gradients([0, 0]));
    for offsets in [[4, 0], [0, 8], [12, 260], [16, 256]] {
        let from = at(offsets[0], &x);
        let to = at(offsets[1], &dy);
        prepared.apply_into(&from, &to).unwrap();
        same_bits(&to.download().unwrap(), &want.0).unwrap();
        same_bits(&gpu.run(&conv, &from).unwrap().download().unwrap(), &want.0).unwrap();
        same_bits(&gradients(offsets), &want.1).unwrap();
    }
}
