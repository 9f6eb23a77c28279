//! Every micro-kernel against plain loops that check each index: the same bits, and nothing written beside
//! them.

use rand_pcg::Pcg32;
use rand_pcg::rand_core::{Rng, SeedableRng};

use super::{Block, MAX_ROWS, Pattern, Segments, spacing};
use crate::cpu::raw::Scalar;
use crate::cpu::simd::Simd;
use crate::problem::{Geometry, Integers};
use crate::{Conv2d, ElementType, Kernel, Problem};

const UNTOUCHED: f32 = -1234.5;

/// What is summed, and how it lies.
struct Case {
    g: Geometry,
    kernel: (usize, usize),
    terms: usize,
    rows: usize,
    segments: Segments,
    offsets: Vec<usize>,
    taps: Vec<f32>,
    lines: Vec<Vec<f32>>,
}

/// A sum in the order that all of them keep: bias, lines, columns.
fn plain<T: Scalar>(
    case: &Case,
    lines: &[&[T]],
    pattern: &Pattern,
    row: usize,
    place: usize,
    fused: bool,
) -> f32 {
    let (kh, kw) = case.kernel;
    let (apart, _) = spacing(&case.g);
    let mut sum = 0.25f32;
    for term in 0..case.terms {
        for i in 0..kh {
            let at = (row * apart * case.g.stride.0 + i * case.g.dilation.0) as isize;
            let line = pattern.needed.iter().position(|needed| *needed == at).unwrap();
            for j in 0..kw {
                let tap = case.taps[(term * kh + i) * kw + j];
                let line = lines[term * pattern.needed.len() + line];
                let value = line[case.offsets[j] + place].to_f32();
                sum = if fused { value.mul_add(tap, sum) } else { value * tap + sum };
            }
        }
    }
    sum
}

/// Of lines of `T`, whose values are those of the case times `scale`, into outputs of `U`.
fn check<T: Scalar, U: Scalar>(level: Simd, case: &Case, pattern: &Pattern, scale: f32) {
    let lines: Vec<Vec<T>> = (case.lines.iter())
        .map(|line| line.iter().map(|x| T::from_f32(x * scale)).collect())
        .collect();
    let lines: Vec<&[T]> = lines.iter().map(Vec::as_slice).collect();
    let span = case.segments.span();
    let untouched = U::from_f32(UNTOUCHED);
    let mut made = vec![vec![untouched; span + 40]; case.rows];
    let mut out = Vec::new();
    out.extend(made.iter_mut().map(|row| &mut row[20..20 + span]));
    let integers = Integers::of(&case.taps, 0.25);
    let block = Block {
        pattern,
        lines: &lines,
        offsets: &case.offsets,
        taps: &case.taps,
        bias: 0.25,
        integers: integers.as_ref(),
        ahead: &lines[..1],
    };
    level.sum(block, case.segments, &mut out);

    let Segments { from, len, step, apart, count } = case.segments;
    for (r, row) in made.iter().enumerate() {
        let mut want = vec![untouched; row.len()];
        for n in 0..count {
            for place in 0..len {
                let sum =
                    plain(case, &lines, pattern, r, from + n * step + place, level.is_fused());
                want[20 + n * apart + place] = U::from_f32(sum);
            }
        }
        assert!(
            bytemuck::cast_slice::<U, u8>(row) == bytemuck::cast_slice::<U, u8>(&want),
            "{} from {} on {}, row {r} of {}, {:?}, {} terms, {:?}, stride and dilation {:?} {:?}",
            U::TYPE,
            T::TYPE,
            level.name(),
            case.rows,
            case.kernel,
            case.terms,
            case.segments,
            case.g.stride,
            case.g.dilation,
        );
    }
}

#[test]
fn micro_kernels_are_plain_loops() {
    let mut random = Pcg32::seed_from_u64(17);
    let mut below = |n: usize| random.next_u32() as usize % n;
    for level in Simd::all() {
        // Miri takes some thousand times as long for each.
        for number in 0..if cfg!(miri) { 60 } else { 2400 } {
            let kernel = match number % 4 {
                0 => (3, 3),
                1 => (5, 5),
                2 => (1 + below(15), 1),
                _ => (1 + below(8), 1 + below(8)),
            };
            let (stride, dilation) = match number % 3 {
                0 => (1, 1),
                1 => (1, 1 + below(3)),
                _ => (1 + below(4), 1 + below(4)),
            };
            let conv = Conv2d::new(Kernel::new(1, 1, vec![1.0]).unwrap());
            let conv = conv.stride(stride, 1).dilation(dilation, 1);
            let problem = Problem::new(&conv, [9, 9, 1], ElementType::F32, ElementType::F32);
            let g = *problem.unwrap().geometry();
            let terms = if kernel.1 == 1 { 1 + below(3) } else { 1 };
            let most = match number % 5 {
                0..3 => level.rows_at_once::<u8>(&g, kernel),
                _ => level.rows_at_once::<f32>(&g, kernel),
            };
            assert!(most <= MAX_ROWS);
            let rows = if below(2) == 0 { most } else { 1 + below(most) };
            let segments = match below(4) {
                0 => Segments {
                    from: below(9),
                    len: 1 + below(70),
                    step: 80,
                    apart: 75,
                    count: 1 + below(4),
                },
                1 => Segments::one(1 + below(20)),
                _ => Segments { from: below(9), ..Segments::one(1 + below(300)) },
            };
            let offsets: Vec<usize> =
                (0..kernel.1).map(|j| j * (1 + below(5)) + below(3)).collect();
            let far = offsets.iter().max().unwrap() + (segments.count - 1) * segments.step;
            let far = far + segments.from;
            let pattern = Pattern::new(&g, rows, kernel, terms);
            // Lines end where they must, or go on.
            let len = far + segments.len + if below(2) == 0 { 0 } else { 16 };
            let mut unit = || below(1 << 20) as f32 / (1 << 19) as f32 - 1.0;
            let lines = pattern.needed.len() * terms;
            let lines = (0..lines).map(|_| (0..len).map(|_| unit()).collect()).collect();
            let taps: Vec<f32> = (0..terms * kernel.0 * kernel.1).map(|_| unit()).collect();
            // Sixteenths, which are integers of bytes; with a bias of a quarter.
            let taps = match number % 40 {
                0 | 5 => taps.into_iter().map(|tap| (tap * 5.0).trunc() / 16.0).collect(),
                _ => taps,
            };
            let case = Case { g, kernel, terms, rows, segments, offsets, taps, lines };
            match number % 5 {
                0 => check::<u8, u8>(level, &case, &pattern, 255.0),
                1 => check::<u16, u16>(level, &case, &pattern, 65_535.0),
                2 => check::<u8, f32>(level, &case, &pattern, 255.0),
                _ => check::<f32, f32>(level, &case, &pattern, 1.0),
            }
        }
    }
}

/// A line that is too short for what is asked of it is refused before anything is read.
#[test]
#[should_panic(expected = "a line ends before")]
fn short_lines_are_refused() {
    let problem = Problem::new(
        &Conv2d::new(Kernel::new(1, 1, vec![1.0]).unwrap()),
        [9, 9, 1],
        ElementType::F32,
        ElementType::F32,
    );
    let g = *problem.unwrap().geometry();
    let pattern = Pattern::new(&g, 1, (1, 2), 1);
    let line = vec![1.0; 100];
    let (lines, offsets, taps) = ([&line[..]], [0, 5], [1.0, 2.0]);
    let block = Block {
        pattern: &pattern,
        lines: &lines,
        offsets: &offsets,
        taps: &taps,
        bias: 0.0,
        integers: None,
        ahead: &[],
    };
    let mut out = vec![0.0; 96];
    Simd::detect().sum::<f32, f32>(block, Segments::one(96), &mut [&mut out]);
}
