//! Calls that reach beyond the engine of the CPU: files, and a GPU.

use channelwise::{Algorithm, Border, Conv2d, Engine, Gpu, GpuOptions, GpuTensor};
use ndarray::Array4;

use crate::cases::{Case, bytes, case, gaussian, kernel, of, tensor};

/// Streams from files to files, whose blocks of rows are large each. Chunks of Zarr are small: what packs them would
/// not say that memory is exhausted.
#[cfg(feature = "store")]
pub fn stores() -> Vec<Case> {
    use std::path::Path;

    use channelwise::store::{Create, Created, Stored};
    use channelwise::stream::{Sink, Source};
    use channelwise::{Error, Kernel, Layout, Shape, Window};

    use crate::allocator::aside;
    use crate::cases::{engine, values};

    const SHAPE: [usize; 2] = [64, 33_000];

    fn create(place: &Path) -> Result<Created<f32>, Error> {
        let create = Create::new(place);
        let has_chunks = place.extension().is_some_and(|extension| extension == "zarr");
        let create = if has_chunks { create.chunks(64, 1000) } else { create };
        create.open(Shape::from(SHAPE))
    }

    fn write(place: &Path) -> Result<(), Error> {
        let mut sink = create(place)?;
        let window = Window::new(0..1, 0..SHAPE[0], 0..SHAPE[1]);
        sink.begin().unwrap();
        sink.write(&window, &values::<f32>(SHAPE[0] * SHAPE[1])).unwrap();
        sink.finish().unwrap();
        Ok(())
    }

    fn read(place: &Path) -> Result<Vec<u8>, Error> {
        let stored = Stored::open(place, Layout::Nhwc)?;
        let mut all = values::<f32>(SHAPE[0] * SHAPE[1]);
        let window = Window::new(0..1, 0..SHAPE[0], 0..SHAPE[1]);
        stored.source::<f32>()?.read(&window, &mut all).unwrap();
        Ok(bytes(&all))
    }

    let one = [
        ("x.npy", "y.npy"),
        ("x.bsq.hdr", "y.bil.hdr"),
        ("x.tif", "y.tif"),
        ("x.npy", "y.tif"),
        ("x.zarr", "y.zarr"),
    ];
    one.into_iter()
        .map(|(from, to)| {
            let folder = tempfile::tempdir().unwrap();
            let (input, place) = (folder.path().join(from), folder.path().join(to));
            write(&input).unwrap();
            case(format!("a stream from {from} to {to}"), move || {
                let _kept = &folder;
                let stored = Stored::open(&input, Layout::Nhwc)?;
                let engine = engine(Algorithm::Direct, None, 1);
                let conv = Conv2d::new(Kernel::new(1, 1, vec![2.0])?);
                let mut sink = create(&place)?;
                let mut source = stored.source::<f32>()?;
                engine.stream(&conv, stored.shape(), &mut source, &mut sink, 64 << 20)?;
                aside(|| read(&place))
            })
        })
        .collect()
}

/// Calls on a GPU, of which only what we take of the host's memory ourselves may fail.
pub fn on_a_gpu() -> Vec<Case> {
    let gpu = match Gpu::request(&GpuOptions::new()) {
        Ok(gpu) => gpu,
        Err(error) => {
            let required = std::env::var("CHANNELWISE_REQUIRE_GPU").is_ok_and(|v| v == "1");
            assert!(!required, "CHANNELWISE_REQUIRE_GPU=1, and there is no GPU: {error}");
            eprintln!("GPU not covered: {error}");
            return Vec::new();
        }
    };
    let shape = [1, 100, 300, 9];
    let conv = || Conv2d::new(gaussian()).border(Border::Replicate);
    let of_algorithm = |algorithm, conv: Conv2d| {
        let (x, engine) = (tensor::<f32>(shape), Engine::from(gpu.clone()));
        let engine = engine.with_algorithm(algorithm);
        case(format!("gpu, {algorithm}"), move || Ok(bytes(of(&engine.run::<f32, _>(&conv, &x)?))))
    };
    let large = Conv2d::new(kernel(20, 20, 3)).assume_finite();
    let mut all = vec![
        of_algorithm(Algorithm::Direct, conv()),
        of_algorithm(Algorithm::Separable, conv()),
        of_algorithm(Algorithm::Fft, large),
    ];
    let (x, on_gpu) = (tensor::<f32>(shape), gpu.clone());
    all.push(case("gpu, a view up and down", move || {
        let turned = x.view().permuted_axes([0, 2, 1, 3]);
        let there = GpuTensor::from_array(&on_gpu, &turned)?;
        Ok(bytes(of(&there.to_array::<ndarray::Ix4>()?)))
    }));
    let (x, engine) = (tensor::<f32>(shape), Engine::from(gpu.clone()));
    let chain = engine.chain::<f32, f32>(&[conv(), conv()], shape).unwrap();
    all.push(case("gpu, chain", move || Ok(bytes(of(&chain.run(&x)?)))));
    let (x, engine) = (tensor::<f32>(shape), Engine::from(gpu));
    let y: Array4<f32> = engine.run(&conv(), &x).unwrap();
    all.push(case("gpu, gradients", move || {
        let made = engine.backward(&conv(), &x, &y)?;
        Ok([bytes(of(&made.input)), bytes(of(&made.weights.kernel))].concat())
    }));
    all
}
