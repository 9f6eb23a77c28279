//! Calls from host memory to host memory.

use std::io;

use channelwise::plan::{Cuts, Launch};
use channelwise::stream::Sink;
use channelwise::{
    Algorithm, Border, Conv2d, Element as _, Engine, Error, Gpu, GpuOptions, Kernel, Prepared,
    Problem, Result, Tuning, Window, f16,
};
use ndarray::{Array2, Array4, ArrayRef, Ix3};
use pollster::block_on;

use super::{
    Act, SHAPE, Scenario, again, bytes, cold, conv, engine, numbers, other, same, whole_or_absent,
    x,
};

/// What lies where nothing is written.
const BEFORE: f32 = 77.0;

/// Into an array that is there, which has the last result in it, or nothing of it.
fn into(
    prepared: Prepared<f32, f32>,
    run: impl Fn(&Prepared<f32, f32>, &mut ArrayRef<f32, Ix3>) -> Result<()> + 'static,
) -> Act {
    let mut y = x();
    Box::new(move |right| {
        y.fill(BEFORE);
        run(&prepared, &mut y).inspect_err(|_| {
            whole_or_absent(y.as_slice().unwrap(), BEFORE, right);
        })?;
        Ok(numbers(&y))
    })
}

/// The same of several bands, each of which is there or not.
fn into_bands(cuts: Cuts, gpu: &Gpu) -> Result<Act> {
    let gpu = gpu.with_cuts(Cuts { band_bytes: Some(1200), ..cuts });
    let prepared = Engine::from(gpu).prepare::<f32, f32>(&conv(), SHAPE)?;
    let Launch::Gpu(launch) = prepared.plan().launch() else { panic!() };
    let rows: Vec<_> = launch.bands.iter().map(|band| band.rows.clone()).collect();
    assert!(rows.len() > 3, "{}", prepared.plan());
    let row = SHAPE[1] * SHAPE[2];
    let mut y = x();
    Ok(Box::new(move |right| {
        y.fill(BEFORE);
        prepared.run_into(&x(), &mut y).inspect_err(|_| {
            for rows in &rows {
                let band = rows.start * row..rows.end * row;
                let right = right.map(|right| &right[band.clone()]);
                whole_or_absent(&y.as_slice().unwrap()[band.clone()], BEFORE, right);
            }
        })?;
        Ok(numbers(&y))
    }))
}

fn by(algorithm: Algorithm, gpu: &Gpu) -> Result<Act> {
    let conv = Conv2d::new(Kernel::gaussian(7, 1.5)?).border(Border::Reflect101);
    let engine = engine(gpu).with_algorithm(algorithm);
    let x = Array4::from_shape_fn((1, 40, 36, 4), |(_, r, q, c)| ((r * 7 + q * 3 + c) % 23) as f32);
    Ok(Box::new(move |_| engine.run(&conv, &x).map(|y| numbers(&y))))
}

/// Parts, two of which are under way.
fn parts(gpu: &Gpu) -> Result<Act> {
    let prepared = engine(gpu).prepare::<f32, f32>(&conv(), [64, 10, 3])?;
    let input = Array4::from_shape_fn((1, 64, 10, 3), |(_, r, q, c)| (r * 30 + q * 3 + c) as f32);
    let budget = least(&prepared);
    Ok(Box::new(move |right| {
        let mut source = |window: &Window, to: &mut [f32]| {
            let rows = &input.as_slice().unwrap()[window.rows.start * 30..window.rows.end * 30];
            to.copy_from_slice(rows);
            Ok(())
        };
        let mut sink = Rows(vec![BEFORE; 64 * 30]);
        let done = prepared.stream(budget).run(&mut source, &mut sink);
        done.inspect(|done| assert!(done.steps > 2, "{done:?}")).inspect_err(|_| {
            let pairs = sink.0.iter().zip(right.unwrap_or(&sink.0));
            assert!(pairs.into_iter().all(|(got, right)| *got == BEFORE || got == right));
        })?;
        Ok(sink.0)
    }))
}

/// The least bytes that a stream may hold, which the error of none tells.
fn least(prepared: &Prepared<f32, f32>) -> u64 {
    let mut source = |_: &Window, _: &mut [f32]| Ok(());
    match prepared.stream(0).run(&mut source, &mut Rows(Vec::new())) {
        Err(Error::Argument { limit, .. }) => {
            limit.split(' ').find_map(|word| word.parse().ok()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// Rows of an image, each written as a whole.
struct Rows(Vec<f32>);

impl Sink<f32> for Rows {
    fn write(&mut self, window: &Window, from: &[f32]) -> io::Result<()> {
        self.0[window.rows.start * 30..window.rows.end * 30].copy_from_slice(from);
        Ok(())
    }

    /// So that there are four steps.
    fn chunks(&self) -> Option<[usize; 3]> {
        Some([1, 16, 10])
    }
}

/// Frames, two of them under way. Those of before it failed come first.
fn frames(gpu: &Gpu) -> Result<Act> {
    let mut stream = gpu.frames::<f32, f32>(&[conv(), other()], SHAPE)?.in_flight(2)?;
    let frames: Vec<Vec<f32>> =
        (0..5).map(|n| (x() + n as f32).into_raw_vec_and_offset().0).collect();
    Ok(Box::new(move |right| {
        while let Some(old) = stream.pop()? {
            let right = right.expect("it was done well before");
            let known = right.chunks(old.len()).any(|right| same(&old, right, 0.0));
            assert!(known, "a frame is wrong");
        }
        let mut all = Vec::new();
        for frame in &frames {
            all.extend(stream.push(frame)?.into_iter().flatten());
        }
        while let Some(result) = stream.pop()? {
            all.extend(result);
        }
        Ok(all)
    }))
}

/// A problem whose algorithm is chosen by trying some.
fn measured(gpu: &Gpu) -> Result<Act> {
    let gpu = gpu.clone();
    Ok(Box::new(move |_| {
        // What was measured is remembered; a problem of another size is not.
        let conv = Conv2d::new(Kernel::binomial(5)?);
        let problem = Problem::new(&conv, SHAPE, f32::TYPE, f32::TYPE)?;
        let prepared = gpu.prepare(&problem, Algorithm::Auto)?;
        Ok(vec![prepared.problem().output_len() as f32])
    }))
}

/// Compiles, looks at what the device does with half floats, uploads the kernel, and runs.
fn for_the_first_time(gpu: &Gpu) -> Result<Act> {
    let (engine, x) = (engine(gpu), x().mapv(f16::from_f32));
    Ok(Box::new(move |_| {
        let prepared = engine.prepare::<f16, f16>(&conv(), SHAPE)?;
        prepared.run(&x).map(|y| numbers(&y.mapv(f16::to_f32)))
    }))
}

pub(super) const SCENARIOS: &[Scenario] = &[
    again("run", |gpu| {
        let gpu = gpu.clone();
        Ok(Box::new(move |_| engine(&gpu).run(&conv(), &x()).map(|y| numbers(&y))))
    }),
    again("run bytes", |gpu| {
        let (engine, x) = (engine(gpu), bytes());
        Ok(Box::new(move |_| Ok(numbers(&engine.run(&conv(), &x)?.mapv(f32::from)))))
    }),
    again("run_async", |gpu| {
        let engine = engine(gpu);
        Ok(Box::new(move |_| {
            block_on(engine.run_async::<f32, f32, _>(&conv(), &x())).map(|y| numbers(&y))
        }))
    }),
    again("run_into, prepared, three times", |gpu| {
        let prepared = engine(gpu).prepare(&conv(), SHAPE)?;
        Ok(into(prepared, |prepared, y| (0..3).try_for_each(|_| prepared.run_into(&x(), y))))
    }),
    again("run_into_timed", |gpu| {
        let prepared = engine(gpu).prepare(&conv(), SHAPE)?;
        Ok(into(prepared, |prepared, y| prepared.run_into_timed(&x(), y).map(drop)))
    }),
    again("run in bands", |gpu| into_bands(Cuts::NONE, gpu)),
    again("run in bands by way of staging", |gpu| {
        into_bands(Cuts { staged: true, ..Cuts::NONE }, gpu)
    }),
    again("region", |gpu| {
        let prepared = engine(gpu).prepare::<f32, f32>(&conv(), SHAPE)?;
        Ok(Box::new(move |_| {
            let mut all = numbers(&prepared.region(2..7, 1..9)?.run(&x())?);
            all.extend(numbers(&prepared.run_region(&x(), 0..3, 4..10)?));
            Ok(all)
        }))
    }),
    again("chain", |gpu| {
        let engine = engine(gpu);
        Ok(Box::new(move |_| {
            let convs = [conv(), other().activation(channelwise::Activation::Relu), conv()];
            engine.chain::<f32, f32>(&convs, SHAPE)?.run(&x()).map(|y| numbers(&y))
        }))
    }),
    again("each", |gpu| {
        let engine = engine(gpu);
        let x = Array4::from_shape_fn((2, 9, 8, 3), |(n, r, q, c)| (n + r * 24 + q * 3 + c) as f32);
        Ok(Box::new(move |_| engine.run_each(&[conv(), other()], &x).map(|y| numbers(&y))))
    }),
    again("masked", |gpu| {
        let prepared = engine(gpu).prepare::<f32, f32>(&conv().normalized(), SHAPE)?;
        let mask = Array2::from_shape_fn((12, 10), |(r, q)| u8::from((r + q) % 4 > 0));
        Ok(Box::new(move |_| prepared.run_masked(&x(), &mask).map(|y| numbers(&y))))
    }),
    again("adjoint", |gpu| {
        let engine = engine(gpu);
        Ok(Box::new(move |_| {
            let conv = conv().stride(2, 2).adjoint();
            engine.run(&conv, &x()).map(|y| numbers(&y))
        }))
    }),
    again("flat", |gpu| by(Algorithm::Flat, gpu)),
    again("march", |gpu| by(Algorithm::March, gpu)),
    again("separable", |gpu| by(Algorithm::Separable, gpu)),
    Scenario { within: 1e-3, ..again("fft", |gpu| by(Algorithm::Fft, gpu)) },
    Scenario { ordered: false, ..again("stream", parts) },
    again("frames", frames),
    cold("for the first time", for_the_first_time),
    // How often it runs each depends on the time that takes; all runs are alike.
    Scenario {
        options: || GpuOptions::new().tuning(Tuning::Measured),
        ordered: false,
        every: 11,
        ..cold("measured", measured)
    },
];
