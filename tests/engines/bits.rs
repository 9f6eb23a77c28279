//! The promise of equal bits, row by row as `src/guide/bits.md` has it.

use channelwise::ndarray::{Array4, ArrayView4};
use channelwise::plan::{Cuts, Launch};
use channelwise::{
    Algorithm, Border, Conv2d, Cpu, Element, Engine, Error, Kernel, Layout, Padding, Pitched,
    Problem, reference,
};
use pollster::block_on;

use crate::agreement::random;
use crate::common::{
    Backend, Case, Kind, Outcome, Rng, U8, agree, dims, engines, gpu, main_engines, same_bits,
};
use crate::{regions, streams};

/// Cases with four axes; a row is about any of them.
fn cases(seeds: std::ops::Range<u64>) -> impl Iterator<Item = Case> {
    seeds.map(|seed| {
        let case = random(7000 + seed);
        let layout = case.conv.get_layout();
        let shape = dims(case.shape.to_nhwc(layout), layout);
        Case { shape: shape.into(), ..case }
    })
}

/// Whether the engine's algorithm takes it.
fn applies(engine: &Engine, case: &Case) -> bool {
    match engine.prepare::<f32, f32>(&case.conv, case.shape) {
        Ok(_) => true,
        Err(Error::NotApplicable { .. }) => false,
        Err(error) => panic!("{case}: {error}"),
    }
}

/// Each way to ask for the same, with what it is called.
fn ways(engine: &Engine, case: &Case) -> Vec<(&'static str, Vec<f32>)> {
    let problem = case.problem().unwrap();
    let layout = case.conv.get_layout();
    let shape = dims(problem.input_shape().to_nhwc(layout), layout);
    let x: Vec<f32> = case.input(&problem);
    let view = ArrayView4::from_shape(shape, &x).unwrap();
    let plain = |y: Array4<f32>| y.into_raw_vec_and_offset().0;
    let prepared = engine.prepare::<f32, f32>(&case.conv, case.shape).unwrap();
    let again = engine.clone().prepare::<f32, f32>(&case.conv, case.shape).unwrap();
    let output = dims(problem.output_shape().to_nhwc(layout), layout);
    let mut into = Array4::from_elem(output, 9.0);
    prepared.run_into(&view, &mut into).unwrap();
    let mut slices = vec![9.0; problem.output_len()];
    prepared.run_slices(&x, &mut slices).unwrap();
    let rows = |[n, h, w, c]: [usize; 4], layout| match layout {
        Layout::Nchw => (n * c * h, w),
        _ => (n * h, w * c),
    };
    let ((count, row), (out_count, out_row)) = (
        rows(problem.input_shape().to_nhwc(layout), layout),
        rows(problem.output_shape().to_nhwc(layout), layout),
    );
    let mut apart = vec![77.0; count * (row + 3)];
    for (to, from) in apart.chunks_mut(row + 3).zip(x.chunks(row.max(1))) {
        to[..row].copy_from_slice(from);
    }
    let mut pitched = vec![9.0; out_count * (out_row + 5)];
    let to = Pitched::new(&mut pitched[..], out_row + 5);
    prepared.run_pitched(Pitched::new(&apart[..], row + 3), to).unwrap();
    let pitched = pitched.chunks(out_row + 5).flat_map(|row| &row[..out_row]).copied().collect();
    vec![
        ("run", plain(engine.run(&case.conv, &view).unwrap())),
        ("prepared", plain(prepared.run(&view).unwrap())),
        ("prepared again", plain(again.run(&view).unwrap())),
        ("run_into", plain(into)),
        ("run_slices", slices),
        ("run_pitched", pitched),
        ("run_async", plain(block_on(engine.run_async(&case.conv, &view)).unwrap())),
    ]
}

fn all_the_same(name: &str, case: &Case, made: &[(&'static str, Vec<f32>)]) {
    let (first, want) = &made[0];
    for (way, got) in &made[1..] {
        if let Err(text) = same_bits(got, want) {
            panic!("{name}: {way} and {first} of {case}: {text}");
        }
    }
}

#[test]
fn row_1_the_same_again() {
    let mut asked = 0;
    for case in cases(0..6) {
        for Backend { name, engine, .. } in main_engines() {
            if applies(engine, &case) {
                all_the_same(name, &case, &ways(engine, &case));
                asked += 1;
            }
        }
    }
    assert!(asked >= 24, "{asked}");
    // Engines that were made on their own.
    for case in cases(6..9) {
        let mut made = ways(&Engine::cpu(), &case);
        made.extend(ways(&Engine::from(Cpu::new()), &case));
        all_the_same("cpu", &case, &made);
    }
    if gpu().is_some() {
        let case = cases(9..10).next().unwrap();
        let mut made = ways(&Engine::gpu().unwrap(), &case);
        made.extend(ways(&Engine::gpu().unwrap(), &case));
        all_the_same("gpu", &case, &made);
    }
}

#[test]
fn row_2_any_number_of_threads() {
    let engines: Vec<Engine> =
        [1, 2, 3, 7].map(|n| Cpu::with_threads(n).unwrap().into()).into_iter().collect();
    for case in cases(20..60).chain(large()) {
        let problem = case.problem().unwrap();
        let x: Vec<f32> = case.input(&problem);
        let mut made = Vec::new();
        for engine in &engines {
            let prepared = engine.prepare::<f32, f32>(&case.conv, case.shape).unwrap();
            let mut y = vec![9.0; problem.output_len()];
            prepared.run_slices(&x, &mut y).unwrap();
            made.push((prepared.plan().algorithm(), y));
        }
        for (algorithm, y) in &made[1..] {
            assert_eq!(*algorithm, made[0].0, "{case}");
            same_bits(y, &made[0].1).unwrap_or_else(|text| panic!("{case}: {text}"));
        }
    }
    // Gradients, in three parts.
    let conv = Conv2d::new(Kernel::sobel_x()).border(Border::Reflect101).assume_finite();
    let mut rng = Rng::new(5);
    let x = Array4::from_shape_vec([1, 1100, 100, 3], rng.f32s(330_000, -1.0, 1.0)).unwrap();
    let all = engines.iter().map(|engine| engine.backward(&conv, &x, &x).unwrap());
    let all: Vec<_> = all.collect();
    for one in &all[1..] {
        assert_eq!(one.input, all[0].input);
        assert_eq!(one.weights, all[0].weights);
    }
}

/// What is cut into tasks, parts and tiles.
fn large() -> impl Iterator<Item = Case> {
    let kernels =
        [Kernel::sobel_x(), Kernel::gaussian(31, 5.0).unwrap(), Kernel::disk(15.0).unwrap()];
    kernels.into_iter().map(|kernel| {
        let conv = Conv2d::new(kernel).border(Border::Reflect101);
        Case::new(conv, [1, 211, 180, 3])
    })
}

/// How many engines kept a row on some cases.
fn kept(made: impl Iterator<Item = Case>, check: impl Fn(&Engine, &Case) -> Outcome<()>) -> usize {
    let mut asked = 0;
    for case in made {
        for Backend { name, engine, .. } in main_engines() {
            match check(engine, &case) {
                Outcome::Done(_) => asked += 1,
                Outcome::NotApplicable(_) => {}
                Outcome::Failed(text) => panic!("{name}: {case}: {text}"),
            }
        }
    }
    asked
}

#[test]
fn row_3_a_region_and_the_whole() {
    let asked = kept(cases(100..106).chain(large().take(2)), |engine, case| {
        regions::typed(engine, case, &mut Rng::new(3))
    });
    assert!(asked >= 24, "{asked}");
}

#[test]
fn row_4_a_stream_and_the_whole() {
    let asked = kept(cases(110..116).chain(large().take(2)), |engine, case| {
        streams::typed(engine, case, &mut Rng::new(4))
    });
    assert!(asked >= 24, "{asked}");
}

#[test]
fn row_5_bands_and_the_whole() {
    let Some(gpu) = gpu() else { return };
    let mut banded = 0;
    for case in cases(120..126).chain(large()) {
        let problem = case.problem().unwrap();
        let x: Vec<f32> = case.input(&problem);
        use Algorithm::{Direct, Fft, Flat, March, Separable};
        for algorithm in [Direct, Flat, March, Separable, Fft] {
            let made = [None, Some(problem.input_len() as u64)].map(|band_bytes| {
                let transform = Some((64, 64));
                let cut = gpu.with_cuts(Cuts { band_bytes, transform, ..Cuts::NONE });
                let engine = Engine::from(cut).with_algorithm(algorithm);
                let prepared = engine.prepare::<f32, f32>(&case.conv, case.shape).ok()?;
                let mut y = vec![9.0; problem.output_len()];
                prepared.run_slices(&x, &mut y).unwrap();
                let bands = match prepared.plan().launch() {
                    Launch::Gpu(launch) => launch.bands.len(),
                    _ => 0,
                };
                Some((y, bands))
            });
            if let [Some((whole, _)), Some((parts, bands))] = &made {
                banded += usize::from(*bands > 1);
                let engine = Engine::from(gpu.clone());
                let wrong = parts.iter().zip(whole).filter(|(a, b)| !agree(&engine, *a, *b));
                assert_eq!(wrong.count(), 0, "{algorithm}, {case}");
            }
        }
    }
    assert!(banded >= 8, "{banded}");
}

/// The sum of whole numbers, by loops over integers.
fn counted(kernel: &[i64], [kh, kw]: [usize; 2], x: &[i64], [h, w]: [usize; 2]) -> Vec<f64> {
    let (rows, columns) = (h - kh + 1, w - kw + 1);
    let at = |r: usize, q: usize| {
        let taps = (0..kh * kw).map(|tap| kernel[tap] * x[(r + tap / kw) * w + q + tap % kw]);
        taps.sum::<i64>() as f64
    };
    (0..rows * columns).map(|i| at(i / columns, i % columns)).collect()
}

fn is_counted<T: Element, U: Element>(
    most: i64,
    weight: i64,
    exact: impl Fn(&Backend) -> bool,
) -> usize {
    let mut rng = Rng::new(6);
    let mut whole = |n: usize, most: i64| -> Vec<i64> {
        (0..n).map(|_| rng.below(2 * most as usize + 1) as i64 - most).collect()
    };
    let (size, at) = ([5, 4], [23, 37]);
    let (kernel, x) = (whole(20, weight), whole(23 * 37, most));
    let want = counted(&kernel, size, &x, at);
    let kernel = Kernel::new(5, 4, kernel.iter().map(|k| *k as f32).collect::<Vec<_>>()).unwrap();
    let conv = Conv2d::new(kernel).padding(Padding::Valid);
    let x: Vec<T> = x.iter().map(|x| T::from_f64(*x as f64)).collect();
    let want: Vec<U> = want.into_iter().map(U::from_f64).collect();
    let mut asked = 0;
    for backend in engines().iter().filter(|b| exact(b)) {
        match backend.engine.prepare::<T, U>(&conv, [1, 23, 37, 1]) {
            Ok(prepared) => {
                let mut y = vec![U::from_f64(1.0); want.len()];
                prepared.run_slices(&x, &mut y).unwrap();
                let name = &backend.name;
                same_bits(&y, &want).unwrap_or_else(|text| panic!("{name}: {text}"));
                asked += 1;
            }
            Err(Error::NotApplicable { .. }) => {}
            Err(error) => panic!("{}: {error}", backend.name),
        }
    }
    asked
}

#[test]
fn row_6_exact_sums() {
    let plain = |b: &Backend| b.kind.is_exact();
    // 20 taps: up to 20 * 200 * 4000 = 16 000 000 of 16 777 216.
    let asked = is_counted::<f32, f32>(4000, 200, plain);
    assert!(asked >= 2 + usize::from(gpu().is_some()), "{asked}");
    is_counted::<i16, f32>(4000, 200, plain);
    is_counted::<i16, i16>(4000, 200, plain);
    is_counted::<i8, i8>(127, 3, plain);
    let cpu = |b: &Backend| b.kind == Kind::Cpu;
    // Up to 20 * 2^16 * 2^30, which is 1.4e15 of 9.0e15.
    assert!(is_counted::<i32, f64>(1 << 30, 1 << 16, cpu) > 0);
    assert!(is_counted::<f64, f64>(1 << 30, 1 << 16, cpu) > 0);
    assert!(is_counted::<i32, i32>(1 << 20, 1 << 4, cpu) > 0);
}

#[test]
fn row_7_means_of_boxes() {
    let mut rng = Rng::new(7);
    let x: Vec<u8> = rng.elements(40 * 30 * 3, 0.0, 255.0);
    let conv = Conv2d::new(Kernel::box_blur(4, 5).unwrap()).border(Border::Replicate);
    let problem = Problem::new(&conv, [1, 40, 30, 3], U8, U8).unwrap();
    let want = reference::run(&problem, &x);
    let mut asked = 0;
    for Backend { name, kind, engine } in engines() {
        if matches!(kind, Kind::CpuFft | Kind::GpuFft) {
            continue;
        }
        let Ok(prepared) = engine.prepare::<u8, u8>(&conv, [1, 40, 30, 3]) else { continue };
        let mut y = vec![0; x.len()];
        prepared.run_slices(&x, &mut y).unwrap();
        for (at, (y, want)) in y.iter().zip(&want).enumerate() {
            // A half is one again in f32, though 1/20 is not there.
            let mean = (want.value as f32).round_ties_even() as u8;
            assert_eq!(*y, mean, "{name} at {at}: {}", want.value);
        }
        asked += 1;
    }
    assert!(asked >= 3, "{asked}");
}

#[test]
fn row_8_what_is_not_finite() {
    let (h, w, c, reach) = (150, 140, 2, 10);
    let conv = Conv2d::new(Kernel::disk(10.0).unwrap()).border(Border::Reflect101);
    let mut x = Rng::new(8).f32s(h * w * c, -1.0, 1.0);
    let spoilt =
        [(40, 50, 0, f32::NAN), (100, 20, 1, f32::INFINITY), (101, 120, 0, f32::NEG_INFINITY)];
    for (row, column, channel, value) in spoilt {
        x[(row * w + column) * c + channel] = value;
    }
    let made = [Algorithm::Direct, Algorithm::Fft].map(|algorithm| {
        let prepared = Engine::cpu().with_algorithm(algorithm);
        let prepared = prepared.prepare::<f32, f32>(&conv, [1, h, w, c]).unwrap();
        let mut y = vec![9.0; x.len()];
        prepared.run_slices(&x, &mut y).unwrap();
        y
    });
    let (mut touched, mut others) = (0, 0);
    for (i, (direct, fft)) in made[0].iter().zip(&made[1]).enumerate() {
        let (row, column, channel) = (i / c / w, i / c % w, i % c);
        let near = spoilt.iter().any(|(r, q, k, _)| {
            *k == channel && row.abs_diff(*r) <= reach && column.abs_diff(*q) <= reach
        });
        if near {
            assert!(agree(&Engine::cpu(), direct, fft), "at {row}, {column}, {channel}");
            touched += usize::from(!direct.is_finite());
        } else {
            assert!(direct.is_finite() && (direct - fft).abs() < 1e-5);
            others += usize::from(direct != fft);
        }
    }
    // It is `fft` that made the others.
    assert!(touched > 300 && others > 100, "{touched}, {others}");
}

/// Every row of the page has a test here, and every test its row.
#[test]
fn rows_are_those_of_the_page() {
    let page = include_str!("../../src/guide/bits.md");
    let row = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse::<usize>().ok();
    let rows: Vec<usize> = page.lines().filter_map(row).collect();
    let tests: Vec<usize> = include_str!("bits.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("fn row_")?.split('_').next()?.parse().ok())
        .collect();
    assert!(!rows.is_empty() && rows == tests, "{rows:?}, {tests:?}");
}

/// One bit is seen; the sign of zero on the CPU.
#[test]
fn what_agrees() {
    let next = f32::from_bits(1f32.to_bits() + 1);
    let mut all = vec![Engine::cpu()];
    all.extend(gpu().map(Engine::from));
    for engine in &all {
        let agree = |a: f32, b: f32| agree(engine, &a, &b);
        assert!(agree(1.0, 1.0) && agree(f32::NAN, -f32::NAN) && !agree(next, 1.0));
        assert!(!agree(f32::NAN, 1.0) && !agree(0.0, f32::from_bits(1)));
        assert_eq!(agree(0.0, -0.0), engine.as_gpu().is_some());
    }
}
