//! Parts of outputs: the bits of the whole, from true neighbours, on every engine.

use std::ops::Range;

use channelwise::ndarray::{Array4, ArrayView4, Axis, s};
use channelwise::{Algorithm, Border, Conv2d, Element, Engine, Error, Layout, Pitched};

use crate::agreement::{random, random_separable};
use crate::common::{
    Case, F16, F32, F64, I16, I32, Kind, Outcome, Rng, Tally, U8, agree, dims, of_types, times,
};

/// A region of the output, which is not empty.
fn region(rng: &mut Rng, n: usize) -> Range<usize> {
    let from = rng.below(n);
    from..from + 1 + rng.below(n - from)
}

/// Some rows and columns of all images and channels, brought together.
pub fn gathered<T: Element>(
    x: &ArrayView4<'_, T>,
    layout: Layout,
    (rows, columns): (Vec<Range<usize>>, Vec<Range<usize>>),
) -> Array4<T> {
    let axis = |spatial: usize| Axis(spatial + if layout == Layout::Nchw { 2 } else { 1 });
    let all = |runs: Vec<Range<usize>>| runs.into_iter().flatten().collect::<Vec<_>>();
    x.select(axis(0), &all(rows)).select(axis(1), &all(columns))
}

/// The region against the same part of the whole: bit by bit where `exact`, else within what two results may be apart.
fn check<T: Element, U: Element>(engine: &Engine, case: &Case, rng: &mut Rng) -> Outcome<U> {
    let mut run = || -> Result<Result<(), String>, Error> {
        let problem = case.problem()?;
        let layout = case.conv.get_layout();
        let shape = problem.input_shape().to_nhwc(layout);
        let x: Vec<T> = case.input(&problem);
        let x = ArrayView4::from_shape(dims(shape, layout), &x).unwrap();
        let prepared = engine.prepare::<T, U>(&case.conv, dims(shape, layout))?;
        let whole = prepared.run(&x)?;
        let [_, h, w, _] = problem.output_shape().to_nhwc(layout);
        for _ in 0..3 {
            let (rows, columns) = (region(rng, h), region(rng, w));
            let part = prepared.region(rows.clone(), columns.clone())?;
            let got = part.run(&x)?;
            let from_source = part.run_source(&gathered(&x, layout, part.source()))?;
            if !from_source.iter().zip(&got).all(|(a, b)| agree(engine, a, b)) {
                return Ok(Err(format!("another from its source in {rows:?}, {columns:?}")));
            }
            let want = match layout {
                Layout::Nchw => whole.slice(s![.., .., rows.clone(), columns.clone()]),
                _ => whole.slice(s![.., rows.clone(), columns.clone(), ..]),
            };
            let (a, b) = (got.shape(), want.shape());
            if a != b {
                return Ok(Err(format!("shape {a:?} for {b:?}")));
            }
            let wrong = got.iter().zip(want).filter(|(a, b)| !agree(engine, *a, *b)).count();
            if wrong > 0 {
                return Ok(Err(format!("{wrong} of {} in {rows:?}, {columns:?}", got.len())));
            }
        }
        Ok(Ok(()))
    };
    match run() {
        Ok(Ok(())) => Outcome::Done(Vec::new()),
        Ok(Err(text)) => Outcome::Failed(text),
        Err(Error::NotApplicable { reason, .. }) => Outcome::NotApplicable(reason),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// With four axes, and one of some types.
pub(crate) fn four(case: Case, rng: &mut Rng) -> Case {
    let layout = case.conv.get_layout();
    let shape = dims(case.shape.to_nhwc(layout), layout);
    let types = *rng.pick(&[(F32, F32), (U8, U8), (I16, F32), (F16, F16)]);
    let fractions = case.conv.get_activation().needs_float()
        || case.conv.get_pointwise().is_some_and(|p| p.get_activation().needs_float());
    Case { shape: shape.into(), ..case.types(if fractions { (F32, F32) } else { types }) }
}

pub(crate) fn typed(engine: &Engine, case: &Case, rng: &mut Rng) -> Outcome<()> {
    of_types!(case, check(engine, case, rng))
}

#[test]
fn regions_are_parts_of_the_whole() {
    let mut rng = Rng::new(401);
    let mut tally = Tally::new("regions");
    for seed in 0..times(30) as u64 {
        let case = four(random(seed), &mut rng);
        let mut own = Rng::new(seed);
        tally.each(&case, |engine| typed(engine, &case, &mut own));
    }
    tally.finish(0);
    let mut tally = Tally::cpu_only("regions on the CPU");
    for seed in 0..times(500) as u64 {
        let case = four(random(seed), &mut rng);
        let mut own = Rng::new(seed);
        tally.each(&case, |engine| typed(engine, &case, &mut own));
    }
    tally.finish(0);
    for (kind, name, cases) in [
        (Kind::CpuSeparable, "regions of separable kernels on the CPU", 100),
        (Kind::GpuSeparable, "regions of separable kernels", 12),
    ] {
        let mut tally = Tally::new(name).only(kind);
        for seed in 0..times(cases) as u64 {
            let case = four(random_separable(seed), &mut rng);
            let mut own = Rng::new(seed);
            tally.each(&case, |engine| typed(engine, &case, &mut own));
        }
        tally.finish(0);
    }
    let mut tally = Tally::cpu_only("regions of two passes in f64").only(Kind::CpuSeparable);
    for seed in 0..times(60) as u64 {
        let case = random_separable(700 + seed).types((F64, F64));
        let mut own = Rng::new(seed);
        tally.each(&case, |engine| typed(engine, &case, &mut own));
    }
    tally.finish(0);
    let mut tally = Tally::cpu_only("regions of sums in f64").only(Kind::Cpu);
    for seed in 0..times(60) as u64 {
        let case = four(random(seed), &mut rng);
        let float = case.conv.get_activation().needs_float()
            || case.conv.get_pointwise().is_some_and(|p| p.get_activation().needs_float());
        let case = if float { case } else { case.types((F64, I32)) };
        let mut own = Rng::new(seed);
        tally.each(&case, |engine| typed(engine, &case, &mut own));
    }
    tally.finish(0);
}

/// Tiles of transforms that a region cuts are made whole, and parts of views are read where they lie.
#[test]
fn large_kernels_and_views() -> Result<(), Error> {
    let mut rng = Rng::new(402);
    let x = Array4::from_shape_fn((1, 300, 420, 3), |_| rng.uniform(-1.0, 1.0));
    for border in [Border::Reflect, Border::Wrap, Border::Constant(0.3)] {
        let conv = Conv2d::new(rng.kernel(31, 29, 1)).border(border).assume_finite();
        let engine = Engine::cpu().with_algorithm(Algorithm::Fft);
        let prepared = engine.prepare::<f32, f32>(&conv, [1, 300, 420, 3])?;
        let whole = prepared.run(&x)?;
        for (rows, columns) in
            [(0..1, 0..1), (17..250, 33..401), (299..300, 0..420), (5..9, 419..420)]
        {
            let region = prepared.region(rows.clone(), columns.clone())?;
            assert_eq!(region.plan().algorithm(), Algorithm::Fft);
            assert_eq!(region.run(&x)?, whole.slice(s![.., rows, columns, ..]), "{border}");
        }
        // A crop of something larger, and a view whose rows run backwards.
        let inner = x.slice(s![.., 20..220;-1, 30..380, ..]);
        let prepared = Engine::cpu().prepare::<f32, f32>(&conv, [1, 200, 350, 3])?;
        let (whole, part) = (prepared.run(&inner)?, prepared.run_region(&inner, 3..77, 1..349)?);
        assert_eq!(part, whole.slice(s![.., 3..77, 1..349, ..]));
    }
    Ok(())
}

/// From rows that lie apart into the same place of a larger output, and nothing beside it.
#[test]
fn pitched_on_both_sides() -> Result<(), Error> {
    let (h, w, c, pitch) = (24, 50, 3, 200);
    let mut rng = Rng::new(403);
    let x: Vec<u8> = rng.elements(h * pitch, 0.0, 0.0);
    let conv = Conv2d::new(rng.kernel(5, 3, 1)).border((Border::Wrap, Border::Replicate));
    for (rows, columns) in [(0..24, 0..50), (3..20, 7..49), (22..24, 0..4), (0..1, 49..50)] {
        let prepared = Engine::cpu().prepare::<u8, u8>(&conv, [h, w, c])?;
        let mut whole = vec![0; h * pitch];
        prepared.run_pitched(Pitched::new(&x, pitch), Pitched::new(&mut whole, pitch))?;
        let region = prepared.region(rows.clone(), columns.clone())?;
        let mut got = vec![201; h * pitch];
        let start = rows.start * pitch + columns.start * c;
        region.run_pitched(Pitched::new(&x, pitch), Pitched::new(&mut got[start..], pitch))?;
        for (at, (got, whole)) in got.iter().zip(&whole).enumerate() {
            let inside = rows.contains(&(at / pitch))
                && (columns.start * c..columns.end * c).contains(&(at % pitch));
            assert_eq!(*got, if inside { *whole } else { 201 }, "{at} of {rows:?}, {columns:?}");
        }
        let (down, across) = region.source();
        assert_eq!(prepared.region_source(rows, columns)?, (down.clone(), across.clone()));
        let [down, across] = [(down, h), (across, w)].map(|(runs, all)| {
            assert!(runs.iter().all(|run| !run.is_empty() && run.end <= all));
            runs.len()
        });
        assert!(down * across > 0);
    }
    let prepared = Engine::cpu().prepare::<u8, u8>(&conv, [h, w, c])?;
    let (rows, columns) = prepared.region(10..12, 20..30)?.source();
    assert!(rows.iter().eq([&(8..14)]) && columns.iter().eq([&(19..31)]), "{rows:?}, {columns:?}");
    let error = prepared.region(10..25, 0..1).unwrap_err().to_string();
    assert!(error.contains("rows of the region") && error.contains("10..25"), "{error}");
    let region = prepared.region(10..12, 20..30)?;
    let short = region.run_pitched(Pitched::new(&x[..90], pitch), Pitched::new(&mut [0; 99], 30));
    assert!(matches!(short, Err(Error::ShapeMismatch { what: "input", .. })), "{short:?}");
    Ok(())
}
