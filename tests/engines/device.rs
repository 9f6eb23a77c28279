//! Devices: low limits, bands, the caller's buffers, loss. On whatever adapter the environment
//! names, software included.

use channelwise::plan::AdapterClass;
use channelwise::wgpu::{self, BufferUsages};
use channelwise::{
    Activation, Algorithm, Border, BufferRange, Conv2d, Element, ElementType, Engine, Error, Gpu,
    GpuOptions, GpuPrepared, GpuTensor, Kernel, Layout, Padding, Pointwise, Problem, Shape, Tuning,
    adapters, reference,
};
use ndarray::{Array3, Array4};

use crate::common::Rng;

/// A device with these limits, or `None` where there is no adapter.
fn gpu_with(limits: Option<wgpu::Limits>) -> Option<Gpu> {
    gpu_available().then(|| {
        let mut options = GpuOptions::new();
        if let Some(limits) = limits {
            options = options.limits(limits);
        }
        Gpu::request(&options).unwrap()
    })
}

/// Whether there is an adapter; `common` says so, and refuses where one is required.
fn gpu_available() -> bool {
    crate::common::engines().iter().any(|backend| backend.kind.is_gpu())
}

/// Pseudo-random elements, never all alike.
fn noise<T: Element>(len: usize, seed: u64) -> Vec<T> {
    let mut rng = crate::common::Rng::new(seed);
    let (lo, hi) = if T::TYPE == ElementType::U8 { (0.0, 256.0) } else { (-1.0, 1.0) };
    (0..len).map(|_| T::from_f32(rng.uniform(lo, hi))).collect()
}

fn kernel(h: usize, w: usize, f: usize) -> Kernel {
    Kernel::with_filters(h, w, f, noise(h * w * f, 77)).unwrap()
}

fn run<T: Element, U: Element>(engine: &Engine, conv: &Conv2d, shape: [usize; 4]) -> Vec<U> {
    let x = Array4::from_shape_vec(shape, noise::<T>(shape.iter().product(), 5)).unwrap();
    let y: Array4<U> = engine.run_as(conv, &x).unwrap();
    y.into_raw_vec_and_offset().0
}

/// Equal to the bit; NaN counts as itself.
fn assert_same<U: Element>(got: &[U], want: &[U], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let bytes = |x: &U| bytemuck::bytes_of(x).to_vec();
    let differ = (0..got.len()).filter(|i| bytes(&got[*i]) != bytes(&want[*i])).count();
    let first = (0..got.len()).find(|i| bytes(&got[*i]) != bytes(&want[*i]));
    assert!(differ == 0, "{what}: {differ} of {} differ, first at {first:?}", got.len());
}

fn bands_of(
    engine: &Engine,
    conv: &Conv2d,
    shape: [usize; 4],
    from: ElementType,
    to: ElementType,
) -> usize {
    let plan = match (from, to) {
        (ElementType::F32, ElementType::F32) => {
            engine.prepare::<f32, f32>(conv, shape).unwrap().plan().clone()
        }
        (ElementType::U8, ElementType::U8) => {
            engine.prepare::<u8, u8>(conv, shape).unwrap().plan().clone()
        }
        other => panic!("{other:?}"),
    };
    match plan.launch() {
        channelwise::plan::Launch::Gpu(launch) => launch.bands.len(),
        other => panic!("{other:?}"),
    }
}

/// WebGPU's default limits, with bindings of 1 MiB.
fn one_mebibyte() -> wgpu::Limits {
    wgpu::Limits {
        max_storage_buffer_binding_size: 1 << 20,
        max_buffer_size: 1 << 21,
        ..wgpu::Limits::downlevel_defaults()
    }
}

#[test]
fn bands_do_not_show() {
    let Some(whole) = gpu_with(None) else { return };
    let small = gpu_with(Some(one_mebibyte())).unwrap();
    let two = kernel(4, 3, 2);
    let mix = Pointwise::new(2, 3, vec![0.5, -1.0, 2.0, 1.0, 0.25, -0.5]).unwrap();
    const KINDS: usize = 6;
    let mut cases: Vec<(String, Conv2d, [usize; 4])> = Vec::new();
    for border in [
        Border::ZERO,
        Border::Constant(0.3),
        Border::Replicate,
        Border::Reflect,
        Border::Reflect101,
        Border::Wrap,
    ] {
        let same = Conv2d::new(kernel(5, 5, 1)).border(border);
        cases.push((format!("{border}, rows"), same.clone(), [2, 300, 400, 3]));
        cases.push((format!("{border}, images"), same.clone(), [40, 50, 60, 4]));
        // Rows of 600 kB: five of them do not fit, so columns are cut.
        cases.push((format!("{border}, columns"), same.clone(), [1, 4, 2000, 75]));
        cases.push((
            format!("{border}, far"),
            same.clone().padding(Padding::all(150)),
            [1, 60, 70, 8],
        ));
        cases.push((
            format!("{border}, stride"),
            same.clone().stride(2, 3).dilation(3, 2),
            [1, 300, 400, 4],
        ));
        let planes = Conv2d::new(two.clone()).border(border).layout(Layout::Nchw);
        let planes = planes.activation(Activation::Relu).pointwise(mix.clone());
        cases.push((format!("{border}, planes"), planes, [2, 3, 301, 303]));
    }
    assert_eq!(cases.len(), 6 * KINDS);
    for algorithm in [Algorithm::Auto, Algorithm::Direct] {
        let (whole, small) = (Engine::from(whole.clone()), Engine::from(small.clone()));
        let (whole, small) = (whole.with_algorithm(algorithm), small.with_algorithm(algorithm));
        for (number, (name, conv, shape)) in cases.iter().enumerate() {
            // The plain path is slow on software adapters; one border shows as much as six.
            if algorithm == Algorithm::Direct && !name.starts_with("wrap") {
                continue;
            }
            // Of each border every other kind of cut, and of each kind every other border.
            let every_other = (number / KINDS + number % KINDS).is_multiple_of(2);
            if algorithm == Algorithm::Auto && !every_other && !crate::common::full() {
                continue;
            }
            let bands = bands_of(&small, conv, *shape, ElementType::F32, ElementType::F32);
            assert!(bands > 1, "{name}: {bands} band");
            let what = format!("{name}, {algorithm}, {bands} bands");
            assert_same(
                &run::<f32, f32>(&small, conv, *shape),
                &run::<f32, f32>(&whole, conv, *shape),
                &what,
            );
        }
    }
}

#[test]
fn bands_of_bytes_do_not_show() {
    let Some(whole) = gpu_with(None) else { return };
    let small = Engine::from(gpu_with(Some(one_mebibyte())).unwrap());
    let whole = Engine::from(whole);
    for border in [Border::Constant(99.5), Border::Reflect101, Border::Wrap] {
        let conv = Conv2d::new(Kernel::gaussian(7, 2.0).unwrap()).border(border);
        for (name, shape) in [
            ("rows", [1, 901, 1203, 3]),
            ("images", [9, 401, 333, 3]),
            ("columns", [1, 3, 9003, 61]),
        ] {
            let bands = bands_of(&small, &conv, shape, ElementType::U8, ElementType::U8);
            assert!(bands > 1, "{name}: {bands} band");
            let what = format!("{border}, {name}, {bands} bands");
            assert_same(
                &run::<u8, u8>(&small, &conv, shape),
                &run::<u8, u8>(&whole, &conv, shape),
                &what,
            );
        }
    }
}

#[test]
fn default_limits_hold_a_hyperspectral_cube() {
    let Some(gpu) = gpu_with(Some(wgpu::Limits::defaults())) else { return };
    let engine = Engine::from(gpu);
    let shape = [1, 512, 512, 224];
    let conv = Conv2d::new(kernel(3, 3, 1)).border(Border::Wrap);
    let bands = bands_of(&engine, &conv, shape, ElementType::F32, ElementType::F32);
    assert!(bands > 1, "{bands}");
    let x = noise::<f32>(shape.iter().product(), 5);
    let got = run::<f32, f32>(&engine, &conv, shape);
    let problem = Problem::new(&conv, shape, ElementType::F32, ElementType::F32).unwrap();
    // Evenly spread, and every channel of the corners.
    let len = got.len();
    let corners = (0..224).chain(len - 224..len);
    for index in (0..len).step_by(9973).chain(corners) {
        let want = reference::at(&problem, &x, index);
        assert!(want.accepts(got[index]), "{index}: {} for {want:?}", got[index]);
    }
}

#[test]
fn grids_beyond_the_limit_are_folded() {
    let Some(gpu) = gpu_with(None) else { return };
    let engine = Engine::from(gpu);
    let conv = Conv2d::new(kernel(3, 3, 1)).border(Border::Reflect);
    // More than 65 535 workgroups along x, y and z.
    for (algorithm, shape) in [
        (Algorithm::Direct, [1, 2, 3, 70_001]),
        (Algorithm::Direct, [1, 70_001, 2, 3]),
        (Algorithm::Direct, [2, 66_002, 70, 1]),
        (Algorithm::Flat, [1, 300_001, 2, 1]),
        (Algorithm::Flat, [70_001, 2, 3, 4]),
        (Algorithm::Flat, [1, 1, 1_500_001, 3]),
    ] {
        let engine = engine.with_algorithm(algorithm);
        let got = run::<f32, f32>(&engine, &conv, shape);
        let want = run::<f32, f32>(&Engine::cpu(), &conv, shape);
        let far = got.iter().zip(&want).filter(|(a, b)| (**a - **b).abs() > 1e-5).count();
        assert_eq!(far, 0, "{algorithm} {shape:?}");
    }
}

/// Uploads `x` at `offset` of a buffer, filters it into another at an offset, and reads all of
/// that back.
struct OnDevice {
    gpu: Gpu,
    prepared: GpuPrepared,
}

const FENCE: u8 = 0xA5;

impl OnDevice {
    fn new(
        gpu: &Gpu,
        conv: &Conv2d,
        shape: impl Into<Shape>,
        from: ElementType,
        to: ElementType,
        algorithm: Algorithm,
    ) -> Self {
        let problem = Problem::new(conv, shape, from, to).unwrap();
        Self { gpu: gpu.clone(), prepared: gpu.prepare(&problem, algorithm).unwrap() }
    }

    fn buffer(&self, size: u64, usage: BufferUsages) -> wgpu::Buffer {
        let buffer = self.gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: usage | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.gpu.queue().write_buffer(&buffer, 0, &vec![FENCE; size as usize]);
        buffer
    }

    /// The destination's bytes, fences at both sides cut off after a look at them.
    fn run<T: Element, U: Element>(&self, x: &[T], offsets: (u64, u64)) -> Vec<U> {
        let problem = self.prepared.problem();
        let words =
            |len: usize, element: ElementType| ((len * element.bytes()) as u64).next_multiple_of(4);
        let (src_size, dst_size) = (
            words(problem.input_len(), problem.input_type()),
            words(problem.output_len(), problem.output_type()),
        );
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
        let src = self.buffer(offsets.0 + src_size + 64, usage);
        let dst = self.buffer(offsets.1 + dst_size + 64, usage);
        let mut bytes = bytemuck::cast_slice::<T, u8>(x).to_vec();
        bytes.resize(src_size as usize, 0);
        self.gpu.queue().write_buffer(&src, offsets.0, &bytes);
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        let source = BufferRange { buffer: &src, offset: offsets.0, size: src_size };
        let destination = BufferRange { buffer: &dst, offset: offsets.1, size: dst_size };
        self.prepared.encode(&mut encoder, &source, &destination).unwrap();
        self.gpu.queue().submit([encoder.finish()]);
        let all = self.read(&dst);
        let end = (offsets.1 + dst_size) as usize;
        assert!(
            all[..offsets.1 as usize].iter().chain(&all[end..]).all(|b| *b == FENCE),
            "wrote outside of its range"
        );
        let len = problem.output_len() * U::TYPE.bytes();
        bytemuck::pod_collect_to_vec(&all[offsets.1 as usize..offsets.1 as usize + len])
    }

    fn read(&self, buffer: &wgpu::Buffer) -> Vec<u8> {
        let staging = self.gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: buffer.size(),
            usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.gpu.device().create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
        self.gpu.queue().submit([encoder.finish()]);
        staging.map_async(wgpu::MapMode::Read, .., |_| {});
        self.gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let view = staging.get_mapped_range(..).unwrap();
        view.to_vec()
    }
}

#[test]
fn encode_works_at_any_word_of_the_callers_buffers() {
    let Some(gpu) = gpu_with(None) else { return };
    let engine = Engine::from(gpu.clone());
    for (shape, border) in [
        ([2, 13, 17, 3], Border::Reflect),
        ([1, 12, 16, 4], Border::Wrap),
        ([3, 9, 11, 5], Border::ZERO),
    ] {
        let conv = Conv2d::new(kernel(3, 5, 1)).border(border);
        let len = shape.iter().product();
        for algorithm in [Algorithm::Direct, Algorithm::Flat, Algorithm::March] {
            // Its vectors begin with rows, and go through copies where the tensor begins elsewhere.
            let row: usize = shape[2] * shape[3];
            if algorithm == Algorithm::March && !row.is_multiple_of(4) {
                continue;
            }
            let forced = engine.with_algorithm(algorithm);
            let floats =
                OnDevice::new(&gpu, &conv, shape, ElementType::F32, ElementType::F32, algorithm);
            for offsets in [(0, 0), (4, 8), (260, 512), (1024, 300)] {
                let got: Vec<f32> = floats.run(&noise::<f32>(len, 5), offsets);
                assert_same(
                    &got,
                    &run::<f32, f32>(&forced, &conv, shape),
                    &format!("{shape:?} {algorithm} {offsets:?}"),
                );
            }
        }
        let bytes =
            OnDevice::new(&gpu, &conv, shape, ElementType::U8, ElementType::U8, Algorithm::Auto);
        for offsets in [(0, 0), (4, 8), (1028, 260)] {
            let got: Vec<u8> = bytes.run(&noise::<u8>(len, 5), offsets);
            assert_same(
                &got,
                &run::<u8, u8>(&engine, &conv, shape),
                &format!("{shape:?} bytes {offsets:?}"),
            );
        }
    }
}

#[test]
fn encode_splits_what_cannot_be_bound() {
    let Some(whole) = gpu_with(None) else { return };
    let whole = Engine::from(whole);
    // Buffers may be larger than what can be bound of them.
    let limits = wgpu::Limits {
        max_storage_buffer_binding_size: 1 << 20,
        max_buffer_size: 1 << 28,
        ..wgpu::Limits::downlevel_defaults()
    };
    let gpu = gpu_with(Some(limits)).unwrap();
    for border in [Border::ZERO, Border::Reflect101, Border::Wrap] {
        let conv = Conv2d::new(kernel(5, 5, 1)).border(border);
        for shape in [[2, 300, 400, 3], [1, 4, 2000, 76], [40, 50, 60, 4]] {
            let there = OnDevice::new(
                &gpu,
                &conv,
                shape,
                ElementType::F32,
                ElementType::F32,
                Algorithm::Auto,
            );
            let got: Vec<f32> = there.run(&noise::<f32>(shape.iter().product(), 5), (8, 256));
            assert_same(
                &got,
                &run::<f32, f32>(&whole, &conv, shape),
                &format!("{border} {shape:?}"),
            );
        }
        let planes = Conv2d::new(kernel(3, 3, 2)).border(border).layout(Layout::Nchw);
        let shape = [2, 3, 301, 304];
        let there = OnDevice::new(
            &gpu,
            &planes,
            shape,
            ElementType::F32,
            ElementType::F32,
            Algorithm::Auto,
        );
        let got: Vec<f32> = there.run(&noise::<f32>(shape.iter().product(), 5), (0, 0));
        assert_same(&got, &run::<f32, f32>(&whole, &planes, shape), &format!("{border} planes"));
    }
}

#[test]
fn encode_works_within_one_buffer_but_not_in_place() {
    let Some(gpu) = gpu_with(None) else { return };
    let conv = Conv2d::new(kernel(3, 3, 1));
    let shape = [1, 8, 8, 4];
    let there =
        OnDevice::new(&gpu, &conv, shape, ElementType::F32, ElementType::F32, Algorithm::Auto);
    let buffer = there.buffer(4096, BufferUsages::STORAGE | BufferUsages::COPY_SRC);
    let x = noise::<f32>(256, 5);
    gpu.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(&x));
    let range = |offset| BufferRange { buffer: &buffer, offset, size: 1024 };
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    for offset in [0, 4, 1020] {
        let error = there.prepared.encode(&mut encoder, &range(0), &range(offset)).unwrap_err();
        assert!(matches!(error, Error::Buffer { which: "destination", .. }), "{error}");
        assert!(error.to_string().contains("overlap"), "{error}");
    }
    there.prepared.encode(&mut encoder, &range(0), &range(1024)).unwrap();
    gpu.queue().submit([encoder.finish()]);
    let got: Vec<f32> = bytemuck::pod_collect_to_vec(&there.read(&buffer)[1024..2048]);
    assert_same(&got, &run::<f32, f32>(&Engine::from(gpu), &conv, shape), "one buffer");
}

#[test]
fn encode_refuses_ranges_that_cannot_serve() {
    let Some(gpu) = gpu_with(None) else { return };
    let conv = Conv2d::new(kernel(3, 3, 1));
    let there = OnDevice::new(
        &gpu,
        &conv,
        [1, 8, 8, 4],
        ElementType::F32,
        ElementType::F32,
        Algorithm::Auto,
    );
    let good = there.buffer(1024, BufferUsages::STORAGE);
    let uniform = there.buffer(1024, BufferUsages::UNIFORM);
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let whole = BufferRange::whole(&good);
    for (source, part) in [
        (BufferRange::whole(&uniform), "lacks STORAGE"),
        (BufferRange { offset: 2, size: 1020, ..whole }, "offset 2 is not a multiple of 4"),
        (BufferRange { offset: 4, size: 1024, ..whole }, "beyond the buffer's 1024 bytes"),
        (BufferRange { size: 1020, ..whole }, "size 1020 is below the 1024 bytes"),
        (BufferRange { offset: u64::MAX - 3, size: 1024, ..whole }, "beyond"),
    ] {
        let other = there.buffer(1024, BufferUsages::STORAGE);
        let error =
            there.prepared.encode(&mut encoder, &source, &BufferRange::whole(&other)).unwrap_err();
        assert!(matches!(error, Error::Buffer { which: "source", .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
        let error =
            there.prepared.encode(&mut encoder, &BufferRange::whole(&other), &source).unwrap_err();
        assert!(matches!(error, Error::Buffer { which: "destination", .. }), "{error}");
    }
}

#[test]
fn a_borrowed_device_serves() {
    let Some(own) = gpu_with(None) else { return };
    let gpu = Gpu::from_device(own.device().clone(), own.queue().clone()).unwrap();
    let conv = Conv2d::new(kernel(3, 3, 1));
    let shape = [1, 20, 30, 3];
    assert_same(
        &run::<f32, f32>(&Engine::from(gpu), &conv, shape),
        &run::<f32, f32>(&Engine::from(own), &conv, shape),
        "borrowed",
    );
}

/// More taps than old llvmpipe loops over: right, or refused with the reason, never wrong.
#[test]
fn a_driver_that_counts_iterations_is_not_believed() {
    let Some(gpu) = gpu_with(None) else { return };
    let counts = gpu.limits().max_iterations < u64::MAX;
    // All positive, so that taps that are left out show beside the allowance of so many.
    // Without order, so that no two passes of fewer do.
    let taps = (0..601 * 601).map(|i: u64| (i * i * 7919 + i * 104_729) % 10_007 + 1);
    let taps = taps.map(|w| w as f32 / (5e3 * 601.0 * 601.0)).collect();
    let kernel = Kernel::new(601, 601, taps).unwrap();
    let (conv, shape) = (Conv2d::new(kernel).border(Border::Reflect), [1, 2, 3, 1]);
    let x = Array4::from_shape_vec(shape, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0f32]).unwrap();
    match Engine::from(gpu).run(&conv, &x) {
        Err(error) => {
            assert!(counts && matches!(error, Error::NotApplicable { .. }), "{error}");
            assert!(error.to_string().contains("silently stops at 65535"), "{error}");
        }
        Ok(y) => {
            assert!(!counts);
            let problem = Problem::new(&conv, shape, ElementType::F32, ElementType::F32).unwrap();
            for (got, want) in y.iter().zip(reference::run(&problem, x.as_slice().unwrap())) {
                assert!(want.accepts(*got), "{got} for {want:?}");
            }
        }
    }
}

/// Plans for other kinds of adapters read and group differently. They run on this one when it
/// passes for one of those.
#[test]
fn plans_for_every_kind_of_adapter_give_the_same_bits() {
    let Some(own) = gpu_with(None) else { return };
    let as_is = Engine::from(own.clone());
    for kind in [AdapterClass::Discrete, AdapterClass::Integrated, AdapterClass::Unknown] {
        let gpu = own.with_class(kind);
        assert!(!gpu.is_software());
        let pretended = Engine::from(gpu);
        for channels in [1, 2, 3, 4, 5, 6, 7, 8] {
            for algorithm in [Algorithm::Direct, Algorithm::Flat] {
                let conv = Conv2d::new(kernel(3, 5, 1)).border(Border::Reflect);
                let shape = [2, 13, 23, channels];
                let got = run::<f32, f32>(&pretended.with_algorithm(algorithm), &conv, shape);
                let want = run::<f32, f32>(&as_is.with_algorithm(algorithm), &conv, shape);
                assert_same(&got, &want, &format!("{kind:?}, {algorithm}, {channels} channels"));
            }
        }
    }
}

#[test]
fn a_device_below_what_is_needed_is_refused() {
    if !gpu_available() {
        return;
    }
    let limits = wgpu::Limits {
        max_storage_buffers_per_shader_stage: 2,
        ..wgpu::Limits::downlevel_defaults()
    };
    let error = Gpu::request(&GpuOptions::new().limits(limits)).unwrap_err();
    assert!(matches!(error, Error::Device { .. }), "{error}");
    assert!(
        error.to_string().contains("max_storage_buffers_per_shader_stage is 2, at least 3"),
        "{error}"
    );
}

/// With what wgpu said behind it.
#[test]
fn a_device_that_an_adapter_does_not_give_is_an_error() {
    use std::error::Error as _;
    if !gpu_available() {
        return;
    }
    let limits = wgpu::Limits { max_bind_groups: 1 << 20, ..wgpu::Limits::downlevel_defaults() };
    let error = Gpu::request(&GpuOptions::new().limits(limits)).unwrap_err();
    assert!(matches!(error, Error::Device { .. }), "{error}");
    let source = error.source().expect("wgpu refused it");
    let source = source.downcast_ref::<wgpu::RequestDeviceError>().expect("a refused request");
    assert!(error.to_string().ends_with(&source.to_string()), "{error}: {source}");
    assert_eq!(error.clone(), error);
}

#[test]
fn a_lost_device_is_an_error_and_a_new_one_works() {
    let conv = Conv2d::new(kernel(3, 3, 1));
    let x = Array3::from_elem((20, 30, 3), 0.5f32);
    for borrowed in [false, true] {
        let Some(mut gpu) = gpu_with(None) else { return };
        if borrowed {
            gpu = Gpu::from_device(gpu.device().clone(), gpu.queue().clone()).unwrap();
        }
        let engine = Engine::from(gpu.clone());
        let before = engine.run(&conv, &x).unwrap();
        let prepared = engine.prepare::<f32, f32>(&conv, [20, 30, 3]).unwrap();
        gpu.device().destroy();
        for attempt in
            [prepared.run(&x), engine.run(&conv, &x), engine.run(&conv.clone().stride(2, 2), &x)]
        {
            let error = attempt.unwrap_err();
            assert!(matches!(error, Error::DeviceLost { .. }), "borrowed {borrowed}: {error:?}");
            assert!(!error.is_usage());
        }
        let after = Engine::from(gpu_with(None).unwrap()).run(&conv, &x).unwrap();
        assert_eq!(before, after);
    }
}

#[test]
fn no_adapter_is_an_error_that_says_what_is_there() {
    let error = Gpu::request(&GpuOptions::new().name("no such adapter")).unwrap_err();
    let Error::NoAdapter { wanted, found, .. } = &error else { panic!("{error:?}") };
    assert!(wanted.contains("no such adapter"), "{error}");
    for info in adapters() {
        assert!(found.contains(&info.name), "{error}");
    }
    let nowhere = GpuOptions::new().backends(wgpu::Backends::empty());
    assert!(matches!(Gpu::request(&nowhere), Err(Error::NoAdapter { .. })));
}

/// What is made for a pair of buffers is made once; other pairs push it out, and it can be let go.
#[test]
fn a_second_encode_makes_nothing() {
    let Some(gpu) = gpu_with(None) else { return };
    let shape = [2, 40, 50, 3];
    let conv = Conv2d::new(kernel(5, 5, 1)).border(Border::Wrap);
    let problem = Problem::new(&conv, shape, ElementType::F32, ElementType::F32).unwrap();
    let len = problem.input_len();
    let x = noise::<f32>(len, 5);
    let want = reference::run(&problem, &x);
    let made = || {
        let counters = gpu.device().get_internal_counters().hal;
        let pool = gpu.pool_stats();
        let kept = [counters.buffers.read(), counters.compute_pipelines.read()];
        (kept, pool.made, pool.reused, pool.bound)
    };
    let buffer = || {
        gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: len as u64 * 4,
            usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    };
    for algorithm in [Algorithm::Direct, Algorithm::Flat, Algorithm::Fft] {
        let ours =
            OnDevice { gpu: gpu.clone(), prepared: gpu.prepare(&problem, algorithm).unwrap() };
        let prepared = &ours.prepared;
        let pairs: Vec<_> = (0..5).map(|_| (buffer(), buffer())).collect();
        let encode = |pair: usize| {
            let (from, to) = &pairs[pair];
            gpu.queue().write_buffer(from, 0, bytemuck::cast_slice(&x));
            gpu.queue().submit([]);
            gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
            let before = made();
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            let (source, destination) = (BufferRange::whole(from), BufferRange::whole(to));
            prepared.encode(&mut encoder, &source, &destination).unwrap();
            let after = made();
            gpu.queue().submit([encoder.finish()]);
            let bytes = ours.read(to);
            let got: &[f32] = bytemuck::cast_slice(&bytes);
            assert!(got.iter().zip(&want).all(|(y, want)| want.accepts(*y)), "{algorithm}");
            after != before
        };
        assert!(encode(0), "{algorithm}: the first call makes bind groups");
        assert!(!encode(0), "{algorithm}: {:?}", made());
        assert!((1..4).all(&encode), "{algorithm}: other buffers are bound");
        assert!((0..4).all(|pair| !encode(pair)), "{algorithm}: four pairs are kept");
        assert!(encode(4) && encode(0), "{algorithm}: the oldest is gone");
        assert!(!encode(4), "{algorithm}");
        prepared.forget_buffers();
        assert!(encode(4), "{algorithm}: nothing is kept");
    }
}

#[test]
fn a_gpu_tells_its_own_time() {
    let Some(gpu) = gpu_with(None) else { return };
    let can = gpu.device().features().contains(wgpu::Features::TIMESTAMP_QUERY);
    let shape = [1, 200, 300, 3];
    let conv = Conv2d::new(kernel(7, 7, 1));
    let prepared = Engine::from(gpu).prepare::<f32, f32>(&conv, shape).unwrap();
    let x = Array4::from_shape_vec(shape, noise(200 * 300 * 3, 5)).unwrap();
    let mut y = x.clone();
    let timings = prepared.run_into_timed(&x, &mut y).unwrap();
    assert_eq!(timings.gpu.is_some(), can);
    if let Some(time) = timings.gpu {
        assert!(!time.is_zero() && time <= timings.total, "{timings:?}");
    }
}

/// The fastest by the device's own clock is taken, once per problem and device, and the file keeps it.
#[test]
fn measured_algorithms_are_remembered() {
    if !gpu_available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning");
    let engine = |tuning| {
        let options = GpuOptions::new().tuning(tuning);
        Engine::from(Gpu::request(&options).unwrap())
    };
    let shape = [1, 300, 400, 3];
    let conv = Conv2d::new(Kernel::gaussian(21, 4.0).unwrap());
    let x = Array4::from_shape_vec(shape, noise::<u8>(300 * 400 * 3, 5)).unwrap();
    let problem = Problem::new(&conv, shape, ElementType::U8, ElementType::U8).unwrap();
    let mut plans = Vec::new();
    for tuning in [Tuning::Measured, Tuning::MeasuredIn(path.clone())] {
        let engine = engine(tuning);
        let prepared = engine.prepare::<u8, u8>(&conv, shape).unwrap();
        let plan = prepared.plan().clone();
        let mut times: Vec<_> =
            plan.candidates().iter().filter_map(|c| Some((c.measured?, c.algorithm))).collect();
        times.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(times.len() >= 2, "{plan}");
        assert_eq!(times[0].1, plan.algorithm(), "{plan}");
        assert!(plan.to_string().contains("measured"), "{plan}");
        let extra = reference::extra(&problem, x.as_slice().unwrap(), plan.accuracy().spread);
        let y = prepared.run(&x).unwrap();
        for (at, got) in y.iter().enumerate().step_by(97) {
            let want = reference::at_within(&problem, x.as_slice().unwrap(), at, extra);
            assert!(want.accepts(*got), "{got} for {want:?}");
        }
        // Buffers of the caller are planned for apart.
        let resident = engine.as_gpu().unwrap().prepare(&problem, Algorithm::Auto).unwrap();
        assert!(resident.plan().candidates().iter().any(|c| c.measured.is_some()));
        plans.push(plan);
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    // Another device of the same adapter believes the file, whatever it says.
    let swapped = text.replace("separable=", "separable=999999");
    std::fs::write(&path, &swapped).unwrap();
    let believes = engine(Tuning::MeasuredIn(path.clone()));
    let plan = believes.prepare::<u8, u8>(&conv, shape).unwrap().plan().clone();
    assert_ne!(plan.algorithm(), Algorithm::Separable, "{plan}\n{swapped}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), swapped, "nothing was measured again");
    // What is asked for by name is not measured.
    let forced = believes.with_algorithm(Algorithm::Flat);
    let plan = forced.prepare::<u8, u8>(&conv, shape).unwrap().plan().clone();
    assert!(plan.candidates().iter().all(|c| c.measured.is_none()), "{plan}");
    // A folder is no file.
    let options = GpuOptions::new().tuning(Tuning::MeasuredIn(folder.path().into()));
    let refused = Gpu::request(&options).unwrap_err();
    assert!(matches!(refused, Error::TuningFile { .. }), "{refused}");
}

/// The mark behind a result has no room in a buffer that is as long as one can be.
#[test]
fn tensors_as_long_as_a_buffer_come_back() {
    let Some(gpu) = gpu_with(Some(one_mebibyte())) else { return };
    let shape = [512, 1024, 1];
    let x = Rng::new(3).f32s(512 * 1024, -1.0, 1.0);
    let tensor = GpuTensor::upload(&gpu, &x, shape).unwrap();
    assert_eq!(tensor.download().unwrap(), x);
    let longer = GpuTensor::<f32>::zeros(&gpu, [512, 1024, 1].map(|n| n + n / 512));
    assert!(matches!(longer, Err(Error::TooLarge { .. })), "{longer:?}");

    // Gradients of all that a call gives take more than one buffer together.
    let conv = Conv2d::new(kernel(3, 3, 1));
    let x = Array3::from_shape_vec(shape, x).unwrap();
    let want = Engine::cpu().backward(&conv, &x, &x).unwrap();
    let got = Engine::from(gpu.clone()).backward(&conv, &x, &x).unwrap();
    let near = |a: &f32, b: &f32| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
    assert!(got.input.iter().zip(&want.input).all(|(a, b)| near(a, b)));
    assert!(got.weights.kernel.iter().zip(&want.weights.kernel).all(|(a, b)| near(a, b)));

    let error = gpu.frames::<f32, f32>(std::slice::from_ref(&conv), shape).unwrap();
    let error = { error }.push(x.as_slice().unwrap()).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    // Told when it is planned, where no buffer holds it at all.
    let longer = [600, 1024, 1];
    let error = gpu.frames::<f32, f32>(std::slice::from_ref(&conv), longer).unwrap_err();
    assert!(error.to_string().contains("a chain's input"), "{error}");
    let problem = Problem::new(&conv, longer, ElementType::F32, ElementType::F32).unwrap();
    assert!(matches!(gpu.prepare_backward(&problem), Err(Error::TooLarge { .. })));
}
