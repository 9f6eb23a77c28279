//! Tensors that come and go part by part: the bits of the whole, whatever the cut, on every engine.

use std::io;
use std::ops::ControlFlow;

use channelwise::ndarray::{Array4, ArrayView4, s};
use channelwise::plan::Cuts;
use channelwise::stream::{Sink, Source};
use channelwise::{
    Algorithm, Border, Borders, Conv2d, Element, Engine, Error, Kernel, Layout, Padding, Prepared,
    Window,
};

use crate::agreement::{random, random_separable};
use crate::common::{
    Case, F16, F32, F64, I16, I32, Kind, Outcome, Rng, Tally, U8, agree, dims, gpu, of_types, times,
};

/// An array as planes of rows of `row` elements a column.
struct Grid {
    rows: usize,
    columns: usize,
    pixel: usize,
}

impl Grid {
    fn of([_, h, w, c]: [usize; 4], layout: Layout) -> Self {
        Self { rows: h, columns: w, pixel: if layout == Layout::Nchw { 1 } else { c } }
    }

    /// Where the rows of a window lie in the whole.
    fn rows<'a>(&'a self, window: &'a Window) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
        let len = window.columns.len() * self.pixel;
        window.images.clone().flat_map(move |image| {
            window.rows.clone().map(move |row| {
                let at =
                    ((image * self.rows + row) * self.columns + window.columns.start) * self.pixel;
                at..at + len
            })
        })
    }
}

/// An array in memory, and how much of it was read.
struct From<'a, T> {
    all: &'a [T],
    grid: Grid,
    chunk: usize,
    read: usize,
    /// Rows of chunks that it took, each as often as a part of it was read.
    unpacked: usize,
}

impl<T: Element> Source<T> for From<'_, T> {
    fn read(&mut self, window: &Window, to: &mut [T]) -> io::Result<()> {
        let places: usize = window.size().iter().product();
        assert!(places > 0 && places * self.grid.pixel == to.len(), "{window}");
        let row = window.columns.len() * self.grid.pixel;
        for (from, to) in self.grid.rows(window).zip(to.chunks_exact_mut(row)) {
            to.copy_from_slice(&self.all[from]);
        }
        self.read += to.len();
        self.unpacked += window.rows.end.div_ceil(self.chunk) - window.rows.start / self.chunk;
        Ok(())
    }

    fn chunk(&self) -> (usize, usize) {
        (self.chunk, self.chunk)
    }
}

/// An array in memory, and how often each element was written.
struct To<T> {
    all: Vec<T>,
    times: Vec<u8>,
    grid: Grid,
    chunks: Option<[usize; 3]>,
    finished: usize,
}

impl<T: Element> To<T> {
    fn new(shape: [usize; 4], layout: Layout, chunks: Option<[usize; 3]>) -> Self {
        let len = shape.iter().product();
        let all = vec![T::from_f32(113.0); len];
        Self { all, times: vec![0; len], grid: Grid::of(shape, layout), chunks, finished: 0 }
    }
}

impl<T: Element> Sink<T> for To<T> {
    fn write(&mut self, window: &Window, from: &[T]) -> io::Result<()> {
        let row = window.columns.len() * self.grid.pixel;
        assert_eq!(window.images.len() * window.rows.len() * row, from.len(), "{window}");
        for (to, from) in self.grid.rows(window).zip(from.chunks_exact(row)) {
            self.all[to.clone()].copy_from_slice(from);
            self.times[to].iter_mut().for_each(|n| *n += 1);
        }
        Ok(())
    }

    fn chunks(&self) -> Option<[usize; 3]> {
        self.chunks
    }

    fn has(&mut self, window: &Window) -> io::Result<bool> {
        Ok(self.grid.rows(window).all(|row| self.times[row].iter().all(|n| *n > 0)))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.finished += 1;
        Ok(())
    }
}

/// The least budget, which the error of one too small tells.
fn least<T: Element, U: Element>(
    prepared: &Prepared<T, U>,
    source: &mut impl Source<T>,
    sink: &mut impl Sink<U>,
) -> u64 {
    match prepared.stream(0).run(source, sink) {
        Err(Error::Argument { argument: "memory budget", limit, .. }) => {
            limit.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

/// A stream in random chunks and budgets, some of it by several, against the whole.
fn check<T: Element, U: Element>(engine: &Engine, case: &Case, rng: &mut Rng) -> Outcome<U> {
    let mut run = || -> Result<Result<(), String>, Error> {
        let problem = case.problem()?;
        let layout = case.conv.get_layout();
        let shape = problem.input_shape().to_nhwc(layout);
        let x: Vec<T> = case.input(&problem);
        let prepared = engine.prepare::<T, U>(&case.conv, dims(shape, layout))?;
        let whole = prepared.run(&ArrayView4::from_shape(dims(shape, layout), &x).unwrap())?;
        let whole = whole.as_slice().unwrap();
        let [n, h, w, c] = problem.output_shape().to_nhwc(layout);
        let images = if layout == Layout::Nchw { n * c } else { n };
        let mut chunk = |most: usize| 1 + rng.below(most.max(1));
        let chunks = [chunk(images), chunk(h), chunk(w)];
        let chunks = (chunk(4) > 1).then_some(chunks);
        let chunk = [1, chunk(h)][chunk(2) - 1];
        let mut from = From { all: &x, grid: Grid::of(shape, layout), chunk, read: 0, unpacked: 0 };
        let mut to = To::<U>::new([n, h, w, c], layout, chunks);
        let least = least(&prepared, &mut from, &mut to);
        let budget = [least, least + rng.below(1 << 14) as u64, u64::MAX][rng.below(3)];
        let shares = 1 + rng.below(3);
        let mut chunks = 0;
        // In any order, some twice.
        for number in (1..=shares).rev().chain([1 + rng.below(shares)]) {
            let stream = prepared.stream(budget).share(number, shares)?.resume();
            let done = stream.run(&mut from, &mut to)?;
            chunks += done.chunks - done.skipped;
        }
        if to.finished != shares + 1 || (chunks == 0 && !whole.is_empty()) {
            return Ok(Err(format!("{} ends, {chunks} chunks", to.finished)));
        }
        if let Some(at) = to.times.iter().position(|n| *n != 1) {
            return Ok(Err(format!("{at} is written {} times", to.times[at])));
        }
        let pairs = to.all.iter().zip(whole);
        let wrong = pairs.filter(|(a, b)| !agree(engine, *a, *b)).count();
        Ok(if wrong > 0 { Err(format!("{wrong} of {} differ", whole.len())) } else { Ok(()) })
    };
    match run() {
        Ok(Ok(())) => Outcome::Done(Vec::new()),
        Ok(Err(text)) => Outcome::Failed(text),
        Err(Error::NotApplicable { reason, .. }) => Outcome::NotApplicable(reason),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// One of some types.
pub(crate) fn of_types(case: Case, gpu: bool, rng: &mut Rng) -> Case {
    let all = [(F32, F32), (U8, U8), (F16, F16), (I16, F32), (F64, F64), (F64, I32)];
    // Sums in f64 are the CPU's.
    let types = *rng.pick(if gpu { &all[..4] } else { &all });
    let fractions = case.conv.get_activation().needs_float()
        || case.conv.get_pointwise().is_some_and(|p| p.get_activation().needs_float());
    let layout = case.conv.get_layout();
    let shape = dims(case.shape.to_nhwc(layout), layout);
    Case { shape: shape.into(), ..case.types(if fractions { (F32, F32) } else { types }) }
}

pub(crate) fn typed(engine: &Engine, case: &Case, rng: &mut Rng) -> Outcome<()> {
    of_types!(case, check(engine, case, rng))
}

#[test]
fn streams_give_the_whole() {
    let mut rng = Rng::new(501);
    let mut tally = Tally::new("streams");
    for seed in 0..times(30) as u64 {
        let case = of_types(random(900 + seed), true, &mut rng);
        let mut own = Rng::new(seed);
        tally.each(&case, |engine| typed(engine, &case, &mut own));
    }
    tally.finish(0);
    let mut tally = Tally::cpu_only("streams on the CPU");
    for seed in 0..times(400) as u64 {
        let case = of_types(random(2000 + seed), false, &mut rng);
        let mut own = Rng::new(seed);
        tally.each(&case, |engine| typed(engine, &case, &mut own));
    }
    tally.finish(0);
    for (kind, name, cases) in [
        (Kind::CpuSeparable, "streams of separable kernels on the CPU", 80),
        (Kind::GpuSeparable, "streams of separable kernels", 10),
    ] {
        let mut tally = Tally::new(name).only(kind);
        for seed in 0..times(cases) as u64 {
            let gpu = kind == Kind::GpuSeparable;
            let case = of_types(random_separable(3000 + seed), gpu, &mut rng);
            let mut own = Rng::new(seed);
            tally.each(&case, |engine| typed(engine, &case, &mut own));
        }
        tally.finish(0);
    }
}

/// Every border, also where what it continues with lies far away, in steps that are small and narrow.
#[test]
fn every_border_by_narrow_steps() -> Result<(), Error> {
    let mut rng = Rng::new(502);
    let x = Array4::from_shape_fn((2, 90, 110, 3), |_| rng.uniform(-1.0, 1.0));
    let all = [
        Border::Constant(0.25),
        Border::Replicate,
        Border::Reflect,
        Border::Reflect101,
        Border::Wrap,
    ];
    for border in all.into_iter().flat_map(|a| all.map(|b| Borders::from((a, b)))) {
        let padding = Padding::Explicit { top: 9, bottom: 30, left: 25, right: 2 };
        let conv = Conv2d::new(rng.kernel(5, 7, 1)).border(border).padding(padding);
        let prepared = Engine::cpu().prepare::<f32, f32>(&conv, [2, 90, 110, 3])?;
        let whole = prepared.run(&x)?;
        let shape = [2, whole.dim().1, whole.dim().2, 3];
        let grid = || Grid::of([2, 90, 110, 3], Layout::Nhwc);
        let mut from =
            From { all: x.as_slice().unwrap(), grid: grid(), chunk: 1, read: 0, unpacked: 0 };
        let mut to = To::<f32>::new(shape, Layout::Nhwc, Some([1, 16, 16]));
        let budget = least(&prepared, &mut from, &mut to);
        let done = prepared.stream(budget).run(&mut from, &mut to)?;
        assert!(done.steps >= 2 * 50, "{done:?}");
        assert_eq!(to.all, whole.as_slice().unwrap(), "{border}");
    }
    Ok(())
}

/// Of transforms on a GPU too, whose tiles and pairs lie where those of the whole do, whatever is asked for.
#[test]
fn transforms_on_a_gpu() -> Result<(), Error> {
    let Some(gpu) = gpu() else { return Ok(()) };
    let gpu = gpu.with_cuts(Cuts { transform: Some((64, 32)), ..Cuts::NONE });
    let engine = Engine::from(gpu).with_algorithm(Algorithm::Fft);
    let mut rng = Rng::new(504);
    for (shape, stride, chunks) in [
        ([1, 190, 150, 3], (1, 1), [1, 50, 40]),
        ([2, 130, 190, 1], (1, 1), [1, 41, 64]),
        ([1, 200, 260, 5], (3, 2), [1, 19, 37]),
    ] {
        let x = Array4::from_shape_fn(shape, |_| rng.uniform(-1.0, 1.0));
        let conv =
            Conv2d::new(rng.kernel(15, 9, 1)).border(Border::Wrap).stride(stride.0, stride.1);
        let prepared = engine.prepare::<f32, f32>(&conv.assume_finite(), shape)?;
        let whole = prepared.run(&x)?;
        let output = [whole.dim().0, whole.dim().1, whole.dim().2, whole.dim().3];
        let grid = Grid::of(shape, Layout::Nhwc);
        let mut from = From { all: x.as_slice().unwrap(), grid, chunk: 1, read: 0, unpacked: 0 };
        let mut to = To::<f32>::new(output, Layout::Nhwc, Some(chunks));
        let budget = least(&prepared, &mut from, &mut to);
        let done = prepared.stream(budget).run(&mut from, &mut to)?;
        assert!(done.steps > 5, "{done:?}");
        assert_eq!(to.all, whole.as_slice().unwrap(), "{shape:?}");
        let (rows, columns) = (output[1] / 3..output[1] - 3, output[2] / 2..output[2]);
        let region = prepared.run_region(&x, rows.clone(), columns.clone())?;
        assert_eq!(region, whole.slice(s![.., rows, columns, ..]), "{shape:?}");
    }
    Ok(())
}

/// Of transforms too, whose tiles lie where those of the whole do; and of sums of what is known.
#[test]
fn transforms_and_missing_values() -> Result<(), Error> {
    let mut rng = Rng::new(503);
    let shape = [1, 400, 330, 3];
    let mut x = Array4::from_shape_fn(shape, |_| rng.uniform(-1.0, 1.0));
    let engine = Engine::cpu().with_algorithm(Algorithm::Fft);
    let conv = Conv2d::new(rng.kernel(31, 29, 1)).border(Border::Reflect).assume_finite();
    let stream = |engine: &Engine, conv: &Conv2d, x: &Array4<f32>| -> Result<_, Error> {
        let prepared = engine.prepare::<f32, f32>(conv, shape)?;
        let grid = Grid::of(shape, Layout::Nhwc);
        let mut from = From { all: x.as_slice().unwrap(), grid, chunk: 1, read: 0, unpacked: 0 };
        let mut to = To::<f32>::new(shape, Layout::Nhwc, Some([1, 70, 330]));
        let budget = least(&prepared, &mut from, &mut to);
        let done = prepared.stream(budget).run(&mut from, &mut to)?;
        assert!(done.steps > 3, "{done:?}");
        Ok((to.all, prepared.run(x)?))
    };
    let (got, whole) = stream(&engine, &conv, &x)?;
    assert_eq!(got, whole.as_slice().unwrap());
    x.iter_mut().step_by(7).for_each(|x| *x = f32::NAN);
    let mean = Conv2d::new(Kernel::gaussian(9, 2.0)?).border(Border::Wrap).skip_nan();
    let (got, whole) = stream(&Engine::cpu(), &mean, &x)?;
    assert_eq!(got, whole.as_slice().unwrap());
    Ok(())
}

/// What is read twice is what lies beside narrow steps, and nothing of wide ones.
#[test]
fn rows_are_read_once() -> Result<(), Error> {
    let shape = [1, 3000, 400, 3];
    let x = vec![1u8; shape.iter().product()];
    let conv = Conv2d::new(Kernel::gaussian(31, 5.0)?).border(Border::Reflect101);
    let prepared = Engine::cpu().prepare::<u8, u8>(&conv, shape)?;
    let all = Some([1, 64, 400]);
    for (chunk, chunks) in
        [(1, None), (64, Some([1, 64, 64])), (100, Some([1, 64, 64])), (500, all)]
    {
        let mut from =
            From { all: &x, grid: Grid::of(shape, Layout::Nhwc), chunk, read: 0, unpacked: 0 };
        let mut to = To::<u8>::new(shape, Layout::Nhwc, chunks);
        let budget = least(&prepared, &mut from, &mut to)
            + [600_000, 2_500_000][usize::from(chunk > 1 && chunk < 500)];
        let done = prepared.stream(budget).run(&mut from, &mut to)?;
        assert!(done.steps > 4 || chunks.is_none(), "{done:?}");
        assert_eq!(from.read, x.len(), "{chunk}, {chunks:?}");
        assert_eq!(from.unpacked, 3000usize.div_ceil(chunk), "{chunk}, {chunks:?}");
        assert!(to.all.iter().all(|y| *y == 1));
    }
    Ok(())
}

/// Whoever fails is told of, and what follows is not written.
#[test]
fn failures_and_ends() -> Result<(), Error> {
    let prepared =
        Engine::cpu().prepare::<u8, f32>(&Conv2d::new(Kernel::binomial(5)?), [2000, 70])?;
    let chunks = Some([1, 16, 70]);
    let to = || To::<f32>::new([1, 2000, 70, 1], Layout::Nhwc, chunks);
    let budget = {
        let mut source = |_: &Window, _: &mut [u8]| Ok(());
        least(&prepared, &mut source, &mut to())
    };
    let mut source = |window: &Window, to: &mut [u8]| match window.rows.contains(&900) {
        true => Err(io::Error::other("the disk is on fire")),
        false => {
            to.fill(3);
            Ok(())
        }
    };
    let mut sink = to();
    let failed = prepared.stream(budget).run(&mut source, &mut sink).unwrap_err();
    assert!(matches!(failed, Error::Stream { doing: "reading", .. }), "{failed:?}");
    assert!(failed.to_string().contains("on fire") && failed.to_string().contains("rows"));
    let source_of = std::error::Error::source(&failed);
    assert!(source_of.is_some_and(|source| source.downcast_ref::<io::Error>().is_some()));
    assert_eq!(sink.finished, 0);
    let written = sink.times.iter().filter(|n| **n > 0).count();
    assert!(written < 900 * 70 && written > 0, "{written}");
    // And the rest later on.
    let mut source = |_: &Window, to: &mut [u8]| {
        to.fill(3);
        Ok(())
    };
    let rest = prepared.stream(budget).resume().run(&mut source, &mut sink)?;
    assert!(rest.skipped > 0 && rest.elements as usize == 2000 * 70 - written, "{rest:?}");
    assert!(sink.times.iter().all(|n| *n == 1));

    let mut full = |window: &Window, _: &[f32]| match window.rows.start {
        0 => Ok(()),
        _ => Err(io::Error::other("no room")),
    };
    let failed = prepared.stream(u64::MAX).run(&mut source, &mut full);
    assert!(failed.is_ok(), "one step is enough: {failed:?}");
    let mut full = |_: &Window, _: &[f32]| Err(io::Error::other("no room"));
    let failed = prepared.stream(64 << 20).run(&mut source, &mut full).unwrap_err();
    assert!(matches!(failed, Error::Stream { doing: "writing", .. }), "{failed:?}");

    let mut calls = 0;
    let mut sink = to();
    let stop = |_| {
        calls += 1;
        if calls == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let stopped = prepared.stream(budget).progress(stop).run(&mut source, &mut sink);
    assert!(matches!(stopped, Err(Error::Cancelled { parts: 125, .. })), "{stopped:?}");
    for (number, of) in [(0, 3), (4, 3)] {
        assert!(prepared.stream(budget).share(number, of).is_err_and(|error| error.is_usage()));
    }
    let adjoint = Conv2d::new(Kernel::binomial(5)?).adjoint();
    let adjoint = Engine::cpu().prepare::<u8, f32>(&adjoint, [2000, 70])?;
    let refused = adjoint.stream(budget).run(&mut source, &mut sink);
    assert!(refused.is_err_and(|error| error.is_usage()));
    Ok(())
}
