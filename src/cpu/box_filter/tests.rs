//! Running sums against sums that are made anew for each output: the same bits, however the work is cut.

use crate::cpu::{CpuReady, Input};
use crate::plan::{self, CpuScheme, Cuts, Launch, Machine};
use crate::{Algorithm, Border, Conv2d, Cpu, ElementType, Kernel, Padding, Problem};

const BORDERS: [Border; 6] = [
    Border::ZERO,
    Border::Constant(100.0),
    Border::Replicate,
    Border::Reflect,
    Border::Reflect101,
    Border::Wrap,
];

fn run(cpu: &Cpu, problem: &Problem, src: &[u8]) -> Vec<f32> {
    let plan = plan::choose(problem, &Machine::Cpu(cpu.limits()), Algorithm::Separable).unwrap();
    let Launch::Cpu(launch) = plan.launch() else { panic!("{plan}") };
    assert_eq!(launch.scheme, CpuScheme::BoxFilter, "{plan}");
    assert!(plan.explain().contains("running sums"), "{plan}");
    let mut out = vec![f32::NAN; problem.output_len()];
    let ready = CpuReady::new(problem, launch).unwrap();
    cpu.run(problem, launch, &ready, Input::Whole(src), bytemuck::cast_slice_mut(&mut out))
        .unwrap();
    out
}

/// Window sums times the tap, rounded once.
fn plain(problem: &Problem, input: &[i64]) -> Vec<f32> {
    let g = problem.geometry();
    let (border, tap) = (problem.border(), problem.weights().taps[0]);
    let mut out = Vec::new();
    for place in 0..g.images * g.out_height * g.out_row() {
        let (row, x) = (place / g.out_row(), place % g.out_row());
        let (image, row) = (row / g.out_height, row % g.out_height);
        let (column, channel) = (x / g.channels, x % g.channels);
        let mut sum = 0;
        for i in 0..g.kernel.0 {
            for j in 0..g.kernel.1 {
                let at = (
                    border.rows().index(g.first_row(row) + i as isize, g.height),
                    border.columns().index(g.first_column(column) + j as isize, g.width),
                );
                sum += match at {
                    (Some(r), Some(c)) => {
                        input[image * g.image() + r * g.row() + c * g.channels + channel]
                    }
                    _ => border.constant().unwrap() as i64,
                };
            }
        }
        out.push((sum as f64 * f64::from(tap)) as f32);
    }
    out
}

#[test]
fn running_sums_are_sums() {
    let mut number = 0u32;
    for (side, stride, shape) in [
        ((9, 11), (1, 1), [2, 23, 90, 1]),
        ((16, 16), (1, 1), [1, 40, 37, 3]),
        ((7, 30), (1, 2), [1, 9, 61, 4]),
        ((31, 5), (3, 1), [1, 50, 20, 37]),
        ((30, 30), (2, 3), [2, 40, 63, 2]),
        ((40, 40), (1, 1), [1, 5, 6, 5]),
        ((1, 60), (1, 1), [1, 2, 3, 1]),
    ] {
        for border in BORDERS {
            for element in [ElementType::U8, ElementType::U16, ElementType::I8, ElementType::I16] {
                let whole = element.integers().unwrap();
                let (least, count) = (*whole.start(), (whole.end() - whole.start() + 1) as u32);
                if side.0 * side.1 * whole.end().max(&-least).unsigned_abs() as usize > 1 << 24 {
                    continue;
                }
                let conv = Conv2d::new(Kernel::box_blur(side.0, side.1).unwrap());
                let conv = conv.border(border).padding(Padding::Same).stride(stride.0, stride.1);
                let problem = Problem::new(&conv, shape, element, ElementType::F32).unwrap();
                let mut one = || {
                    number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    least + i64::from((number >> 8) % count)
                };
                let input: Vec<i64> = (0..problem.input_len()).map(|_| one()).collect();
                let bytes: Vec<u8> = match element {
                    ElementType::U8 | ElementType::I8 => input.iter().map(|x| *x as u8).collect(),
                    _ => input.iter().flat_map(|x| (*x as u16).to_ne_bytes()).collect(),
                };
                // As tensors lie: where u16 may.
                let mut aligned = vec![0u16; bytes.len().div_ceil(2)];
                let src = &mut bytemuck::cast_slice_mut::<u16, u8>(&mut aligned)[..bytes.len()];
                src.copy_from_slice(&bytes);
                let want = plain(&problem, &input);
                for (task_rows, tile) in [(None, None), (Some(1), Some(40)), (Some(4), Some(7))] {
                    let cuts = Cuts { task_rows, tile, ..Cuts::NONE };
                    for level in Cpu::simd_levels() {
                        let cpu = Cpu::new().with_simd(level).unwrap().with_cuts(cuts);
                        let got = run(&cpu, &problem, src);
                        assert!(got == want, "{problem}, {level}, {cuts:?}");
                    }
                }
            }
        }
    }
}

/// What is not exact, or no box, is left to others.
#[test]
fn running_sums_are_not_taken_for_others() {
    let scheme = |conv: &Conv2d, from| {
        let problem = Problem::new(conv, [1, 100, 100, 3], from, ElementType::F32).unwrap();
        let cpu = Machine::Cpu(Cpu::new().limits());
        let plan = plan::choose(&problem, &cpu, Algorithm::Separable).unwrap();
        let Launch::Cpu(launch) = plan.launch() else { panic!("{plan}") };
        launch.scheme == CpuScheme::BoxFilter
    };
    let sized = |n| Conv2d::new(Kernel::box_blur(n, n).unwrap());
    assert!(scheme(&sized(15), ElementType::U8) && scheme(&sized(15), ElementType::U16));
    assert!(!scheme(&sized(15), ElementType::F32) && !scheme(&sized(15), ElementType::F16));
    // 65535 * 17 * 17 > 2^24
    assert!(scheme(&sized(17), ElementType::U8) && !scheme(&sized(17), ElementType::U16));
    assert!(!scheme(&sized(15).dilation(2, 1), ElementType::U8));
    for constant in [0.5, -1.0, 256.0, f64::INFINITY, f64::NAN] {
        assert!(!scheme(&sized(15).border(Border::Constant(constant)), ElementType::U8));
    }
    let gaussian = Conv2d::new(Kernel::gaussian(15, 3.0).unwrap());
    assert!(!scheme(&gaussian, ElementType::U8));
}
