//! Different problems for one engine and one device, and what each gives alone.

use std::io;

use channelwise::stream::Sink;
use channelwise::{
    Activation, Algorithm, Border, Conv2d, Engine, Gpu, GpuTensor, Kernel, Result, Window,
};
use ndarray::{Array2, Array4, ArrayRef, Dimension};

/// Sizes of each kind of problem: with those of the others more than an engine remembers.
const SIZES: usize = 4;

/// A call, and its result where nothing else runs.
struct Job {
    name: String,
    call: Box<dyn Fn() -> Result<Vec<f32>> + Send + Sync>,
    want: Vec<f32>,
}

/// Calls of all kinds. Each gives the same bits whatever runs beside it.
pub(crate) struct Work(Vec<Job>);

impl Work {
    /// Does each once, one after the other, to know what it gives.
    pub(crate) fn new(engine: &Engine, gpu: Option<&Gpu>) -> Result<Self> {
        let mut work = Self(Vec::new());
        for size in 0..SIZES {
            work.on_engine("engine", engine, size)?;
            if let Some(gpu) = gpu {
                work.on_engine("engine of a GPU", &gpu.clone().into(), size)?;
                work.on_gpu(gpu, size)?;
            }
        }
        Ok(work)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Does one of them, and says what is wrong with what it gives.
    pub(crate) fn call(&self, n: usize) -> std::result::Result<(), String> {
        let Job { name, call, want } = &self.0[n];
        let got = call().map_err(|error| format!("{name}: {error}"))?;
        if got.len() != want.len() {
            return Err(format!("{name}: {} results, not {}", got.len(), want.len()));
        }
        let wrong = (0..got.len()).filter(|i| got[*i].to_bits() != want[*i].to_bits());
        let wrong: Vec<usize> = wrong.collect();
        match wrong.first() {
            None => Ok(()),
            Some(at) => {
                let (count, len) = (wrong.len(), got.len());
                let (got, want) = (got[*at], want[*at]);
                Err(format!("{name}: {count} of {len} differ, first at {at}: {got} for {want}"))
            }
        }
    }

    fn add(
        &mut self,
        name: String,
        call: impl Fn() -> Result<Vec<f32>> + Send + Sync + 'static,
    ) -> Result<()> {
        let want = call()?;
        assert!(want.iter().any(|value| *value != want[0]), "{name}: nothing to tell apart");
        self.0.push(Job { name, call: Box::new(call), want });
        Ok(())
    }

    fn on_engine(&mut self, of: &str, engine: &Engine, size: usize) -> Result<()> {
        let shape = [1 + size % 2, 17 + 6 * size, 20 + 3 * size, 1 + size % 4];
        let border = [Border::Reflect101, Border::ZERO, Border::Wrap, Border::Replicate][size % 4];
        let conv = Conv2d::new(Kernel::gaussian(3 + 2 * size, 1.2)?).border(border);
        let x = data(shape, size);
        let mut add = |what: &str, call: Box<dyn Fn() -> Result<Vec<f32>> + Send + Sync>| {
            self.add(format!("{of}: {what}, {shape:?}"), call)
        };
        macro_rules! job {
            ($what:expr, |$engine:ident, $conv:ident, $x:ident| $call:expr) => {{
                let ($engine, $conv, $x) = (engine.clone(), conv.clone(), x.clone());
                add($what, Box::new(move || $call))?;
            }};
        }
        job!("run", |engine, conv, x| Ok(numbers(&engine.run(&conv, &x)?)));
        job!("run bytes", |engine, conv, x| {
            let bytes = x.mapv(|x| (x * 100.0) as u8);
            Ok(numbers(&engine.run(&conv, &bytes)?.mapv(f32::from)))
        });
        job!("run_async", |engine, conv, x| {
            Ok(numbers(&pollster::block_on(engine.run_async::<f32, f32, _>(&conv, &x))?))
        });
        for algorithm in [Algorithm::Separable, Algorithm::Fft] {
            job!(&algorithm.to_string(), |engine, conv, x| {
                Ok(numbers(
                    &engine.with_algorithm(algorithm).run(&conv.clone().assume_finite(), &x)?,
                ))
            });
        }
        let prepared = engine.prepare::<f32, f32>(&conv, shape)?;
        let shared = prepared.clone();
        job!("what all have prepared", |_engine, _conv, x| Ok(numbers(&shared.run(&x)?)));
        let shared = prepared.clone();
        job!("a region", |_engine, _conv, x| Ok(numbers(&shared.run_region(&x, 2..9, 3..11)?)));
        let shared = prepared.clone();
        job!("other weights", |_engine, conv, x| {
            let mut own = shared.clone();
            let kernel = Kernel::gaussian(conv.kernel().height(), 2.0)?;
            own.set_weights(&Conv2d::new(kernel).border(border))?;
            Ok(numbers(&own.run(&x)?))
        });
        let budget = least(&prepared);
        job!("a stream", |_engine, _conv, x| {
            let [_, height, width, channels] = shape;
            let row = width * channels;
            let all = x.as_slice().unwrap_or_default();
            let mut source = |window: &Window, to: &mut [f32]| {
                for (image, to) in window.images.clone().zip(to.chunks_mut(window.rows.len() * row))
                {
                    let first = (image * height + window.rows.start) * row;
                    to.copy_from_slice(&all[first..first + to.len()]);
                }
                Ok(())
            };
            let mut sink = Rows { all: vec![f32::NAN; x.len()], height, row };
            shared_stream(&prepared, budget, &mut source, &mut sink)?;
            Ok(sink.all)
        });
        job!("a chain", |engine, conv, x| {
            let convs = [conv.clone().activation(Activation::Relu), conv.clone()];
            Ok(numbers(&engine.chain::<f32, f32>(&convs, shape)?.run(&x)?))
        });
        job!("each", |engine, conv, x| {
            let convs: Vec<Conv2d> = (0..shape[0]).map(|n| conv.clone().bias([n as f32])).collect();
            Ok(numbers(&engine.run_each(&convs, &x)?))
        });
        job!("masked", |engine, conv, x| {
            let mask =
                Array2::from_shape_fn((shape[1], shape[2]), |(r, q)| u8::from((r + q) % 4 > 0));
            Ok(numbers(&engine.run_masked(&conv.clone().normalized(), &x, &mask)?))
        });
        job!("adjoint", |engine, conv, x| Ok(numbers(&engine.run(&conv.clone().adjoint(), &x)?)));
        job!("gradients", |engine, conv, x| {
            let all = engine.backward(&conv, &x, &x)?;
            let mut numbers = numbers(&all.input);
            numbers.extend(all.weights.kernel.iter());
            Ok(numbers)
        });
        Ok(())
    }

    fn on_gpu(&mut self, gpu: &Gpu, size: usize) -> Result<()> {
        let shape = [1, 15 + 4 * size, 18 + size, 3];
        let conv = Conv2d::new(Kernel::gaussian(3 + 2 * size, 1.0)?).border(Border::Replicate);
        let name = |what: &str| format!("gpu: {what}, {shape:?}");
        let (on, of, x) = (gpu.clone(), conv.clone(), data(shape, size + 10));
        self.add(name("tensors"), move || {
            let x = GpuTensor::from_array(&on, &x)?;
            let y = on.run(&of, &on.run(&of, &x)?)?;
            pollster::block_on(y.download_async())
        })?;
        let (on, of, x) = (gpu.clone(), conv.clone(), data(shape, size + 20));
        self.add(name("frames"), move || {
            let mut frames =
                on.frames::<f32, f32>(std::slice::from_ref(&of), shape)?.in_flight(2)?;
            let mut all = Vec::new();
            for n in 0..4 {
                let frame = numbers(&(&x + n as f32));
                all.extend(frames.push(&frame)?.into_iter().flatten());
            }
            while let Some(result) = frames.pop()? {
                all.extend(result);
            }
            Ok(all)
        })?;
        let (on, of, x) = (gpu.clone(), conv, data(shape, size + 30));
        self.add(name("gradients"), move || {
            let x = GpuTensor::from_array(&on, &x)?;
            let all = on.backward(&of, &x, &x)?;
            let mut numbers = all.kernel.download()?;
            if let Some(input) = &all.input {
                numbers.extend(input.download()?);
            }
            Ok(numbers)
        })
    }
}

/// Different numbers for each `seed`, all of them positive.
fn data(shape: [usize; 4], seed: usize) -> Array4<f32> {
    let [_, height, width, channels] = shape;
    Array4::from_shape_fn(shape, |(n, r, q, c)| {
        let at = ((n * height + r) * width + q) * channels + c;
        (at * 2_654_435 + seed * 40_503) as f32 % 8191.0 / 4096.0
    })
}

fn numbers<D: Dimension>(array: &ArrayRef<f32, D>) -> Vec<f32> {
    array.iter().copied().collect()
}

type Prepared = channelwise::Prepared<f32, f32>;

/// The least bytes that a stream may hold, which the error of none tells.
fn least(prepared: &Prepared) -> u64 {
    let mut source = |_: &Window, _: &mut [f32]| Ok(());
    let mut sink = Rows { all: Vec::new(), height: 1, row: 1 };
    let told = prepared.stream(0).run(&mut source, &mut sink);
    let limit = told.err().map(|error| error.to_string()).unwrap_or_default();
    // The last number: before it the budget that was given.
    limit.split(' ').filter_map(|word| word.parse().ok()).next_back().unwrap_or(u64::MAX)
}

fn shared_stream(
    prepared: &Prepared,
    budget: u64,
    source: &mut impl channelwise::stream::Source<f32>,
    sink: &mut Rows,
) -> Result<()> {
    prepared.stream(budget).run(source, sink).map(drop)
}

/// Whole rows of images.
struct Rows {
    all: Vec<f32>,
    height: usize,
    row: usize,
}

impl Sink<f32> for Rows {
    fn write(&mut self, window: &Window, from: &[f32]) -> io::Result<()> {
        let images = window.images.clone();
        for (image, from) in images.zip(from.chunks(window.rows.len() * self.row)) {
            let first = (image * self.height + window.rows.start) * self.row;
            self.all[first..first + from.len()].copy_from_slice(from);
        }
        Ok(())
    }

    /// So that there are several steps.
    fn chunks(&self) -> Option<[usize; 3]> {
        Some([1, 8, usize::MAX])
    }
}
