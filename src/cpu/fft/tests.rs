//! What would spread over a tile is left to `direct`, and neither threads nor neighbours change a bit.

use rand_pcg::Pcg32;
use rand_pcg::rand_core::{Rng, SeedableRng};

use crate::cpu::{CpuReady, Input};
use crate::plan::{self, CpuScheme, Cuts, Launch, Machine};
use crate::{Algorithm, Border, Conv2d, Cpu, ElementType, Kernel, Layout, Padding, Problem};

const F32: ElementType = ElementType::F32;

/// The outputs, and how many rows and columns of them a tile makes.
fn run(
    cpu: &Cpu,
    problem: &Problem,
    algorithm: Algorithm,
    src: &[u8],
) -> (Vec<f32>, (usize, usize)) {
    let plan = plan::choose(problem, &Machine::Cpu(cpu.limits()), algorithm).unwrap();
    let Launch::Cpu(launch) = plan.launch() else { panic!("{plan}") };
    let outputs = match launch.scheme {
        CpuScheme::Fft { outputs, .. } => outputs,
        CpuScheme::Direct
        | CpuScheme::Double
        | CpuScheme::DoubleSeparable(_)
        | CpuScheme::Separable(_)
        | CpuScheme::BoxFilter => (0, 0),
    };
    let element = problem.output_type();
    let len = problem.output_len();
    let mut bytes = vec![0xA5u8; len * element.bytes()];
    let mut floats = vec![f32::NAN; len];
    let ready = CpuReady::new(problem, launch).unwrap();
    if element == F32 {
        cpu.run(problem, launch, &ready, Input::Whole(src), bytemuck::cast_slice_mut(&mut floats))
            .unwrap();
    } else {
        cpu.run(problem, launch, &ready, Input::Whole(src), &mut bytes).unwrap();
        floats.iter_mut().zip(&bytes).for_each(|(float, byte)| *float = f32::from(*byte));
    }
    (floats, outputs)
}

fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

/// For each output, in memory order, its image (or plane), row and column, and whether tiles of so many rows
/// and columns of outputs meet one of `bad` (the same of the input) where that output lies.
fn meets(problem: &Problem, tile: (usize, usize), bad: &[[usize; 3]]) -> Vec<bool> {
    let g = problem.geometry();
    let border = problem.border();
    let axis =
        |start: usize, end: usize, stride: usize, extent: usize, before: usize, len: usize| {
            let from = (start * stride) as isize - before as isize;
            let to = ((end - 1) * stride + extent) as isize - before as isize;
            (from..to).filter_map(|at| border.rows().index(at, len)).collect::<Vec<_>>()
        };
    let mut all = Vec::new();
    for image in 0..g.images {
        // A plane of each output, or all outputs of a place.
        for place in 0..g.out_planes() * g.out_height * g.out_width {
            let (row, column) = (place / g.out_width % g.out_height, place % g.out_width);
            let (r, c) = (row / tile.0 * tile.0, column / tile.1 * tile.1);
            let extent = g.extent();
            let rows =
                axis(r, (r + tile.0).min(g.out_height), g.stride.0, extent.0, g.top, g.height);
            let columns =
                axis(c, (c + tile.1).min(g.out_width), g.stride.1, extent.1, g.left, g.width);
            let met = bad.iter().any(|[n, row, column]| {
                *n == image && rows.contains(row) && columns.contains(column)
            });
            let scalars = g.out_row() / g.out_width;
            all.extend(std::iter::repeat_n(met, scalars));
        }
    }
    all
}

#[test]
fn tiles_with_what_would_spread_are_left_to_direct() {
    let mut random = Pcg32::seed_from_u64(7);
    let mut below = |n: usize| (random.next_u32() as usize) % n;
    let (mut left, mut made) = (0, 0);
    for number in 0..120 {
        let filters = 1 + below(2);
        let (kh, kw) = (1 + below(7), 1 + below(7));
        let mut unit = || below(1 << 20) as f32 / (1 << 19) as f32 - 1.0;
        let taps: Vec<f32> = (0..kh * kw * filters).map(|_| unit()).collect();
        let borders = [Border::Constant(0.5), Border::Replicate, Border::Reflect101, Border::Wrap];
        let layout = [Layout::Nhwc, Layout::Nchw][below(2)];
        let conv = Conv2d::new(Kernel::with_filters(kh, kw, filters, taps).unwrap())
            .border(borders[below(4)])
            .padding([Padding::Same, Padding::Full, Padding::Valid][below(3)])
            .stride(1 + below(2), 1 + below(2))
            .dilation(1 + below(2), 1 + below(2))
            .bias((0..filters).map(|_| 0.25).collect::<Vec<_>>())
            .layout(layout);
        let (n, h, w, c) = (1 + below(2), 40 + below(30), 40 + below(60), 1 + below(5));
        let shape = if layout == Layout::Nchw { [n, c, h, w] } else { [n, h, w, c] };
        let to = if number % 3 == 0 { ElementType::U8 } else { F32 };
        let problem = Problem::new(&conv, shape, F32, to).unwrap();
        let scale = if to == F32 { 1.0 } else { 100.0 };
        let mut x: Vec<f32> = (0..problem.input_len())
            .map(|_| scale * (below(1 << 20) as f32 / (1 << 20) as f32))
            .collect();
        // None, one or two numbers that would spread.
        let g = problem.geometry();
        let bad: Vec<[usize; 3]> = (0..below(3))
            .map(|_| {
                let at = below(x.len());
                x[at] = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -3e38, 1e36][below(5)];
                let pixel = at / g.channels;
                [pixel / g.width / g.height, pixel / g.width % g.height, pixel % g.width]
            })
            .collect();
        let cuts = Cuts {
            transform: Some(([24, 32, 36][below(3)], [24, 32, 40][below(3)])),
            ..Cuts::NONE
        };
        let src = bytemuck::cast_slice(&x);
        let of = |threads| Cpu::with_threads(threads).unwrap().with_cuts(cuts);
        let (got, tile) = run(&of(2), &problem, Algorithm::Fft, src);
        let (want, _) = run(&of(1), &problem, Algorithm::Direct, src);
        let (others, _) = run(&of(5), &problem, Algorithm::Fft, src);
        let met = meets(&problem, tile, &bad);
        assert_eq!([got.len(), want.len()], [met.len(); 2], "{problem}");
        for (i, met) in met.into_iter().enumerate() {
            assert!(same(got[i], others[i]), "{i}: {} and {}, {problem}", got[i], others[i]);
            let off = (got[i] - want[i]).abs();
            // As bytes two that round to neighbours are one apart.
            let fine =
                if met { same(got[i], want[i]) } else { off <= 1e-4 || scale > 1.0 && off <= 1.0 };
            assert!(fine, "{i}: {} for {}, {met}, {bad:?}, {problem}", got[i], want[i]);
            left += usize::from(met);
            made += usize::from(!met);
        }
    }
    assert!(left > 100_000 && made > 100_000, "{left} left, {made} made");
}

/// The largest number that a tile takes makes no infinity in it, and the next one is left.
#[test]
fn the_largest_numbers_overflow_nowhere() {
    for tap in [1e-3, 1.0, 30.0, 1e10] {
        let conv = Conv2d::new(Kernel::new(5, 5, vec![tap; 25]).unwrap());
        let problem = Problem::new(&conv, [1, 60, 60, 2], F32, F32).unwrap();
        let cpu = Cpu::with_threads(1).unwrap();
        let plan = plan::choose(&problem, &Machine::Cpu(cpu.limits()), Algorithm::Fft).unwrap();
        let Launch::Cpu(launch) = plan.launch() else { panic!("{plan}") };
        let Ok(CpuReady::Fft(transforms)) = CpuReady::new(&problem, launch) else {
            panic!("{plan}")
        };
        let most = transforms.limit;
        assert!(most > 1e20, "{most}");
        for (largest, leaves) in [(most, false), (most.next_up(), true)] {
            let x = vec![largest; problem.input_len()];
            let mut y = vec![f32::NAN; problem.output_len()];
            let dst = bytemuck::cast_slice_mut(&mut y);
            let left =
                cpu.transform(&problem, &transforms, Input::Whole(bytemuck::cast_slice(&x)), dst);
            assert_eq!(left.unwrap().is_empty(), !leaves, "{largest}, {tap}");
            if !leaves {
                let spread = plan.accuracy().spread * f64::from(largest) * 2f64.powi(-24);
                let want = 25.0 * f64::from(tap) * f64::from(largest);
                let off = (f64::from(y[(30 * 60 + 30) * 2]) - want).abs();
                assert!(off <= spread + 1e-5 * want, "{off} of {want}, {tap}");
            }
        }
    }
}
