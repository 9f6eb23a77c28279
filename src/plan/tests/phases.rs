//! Adjoints phase by phase: blocks that hold what the shader has room for, and edges in one frame.

use super::super::bands::{Band, Span};
use super::super::edges::Edges;
use super::super::gather;
use super::super::phases::Axis;
use super::*;
use crate::Borders;

fn phases_of(conv: &Conv2d, shape: [usize; 4], to: ElementType) -> Result<Phases> {
    let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Host);
    let plan =
        choose(&problem(&conv.clone().adjoint(), shape, F32, to), &machine, Algorithm::Flat)?;
    let Launch::Gpu(launch) = plan.launch() else { panic!("{plan}") };
    let Scheme::Phases(phases) = launch.scheme else { panic!("{plan}") };
    Ok(phases)
}

/// All phases of a cell at once where registers hold them, whole columns of them where words do.
#[test]
fn blocks() {
    let of = |stride: (usize, usize), dilation: (usize, usize), channels: usize, to| {
        let conv = Conv2d::new(kernel(3, 3, 2)).stride(stride.0, stride.1);
        phases_of(&conv.dilation(dilation.0, dilation.1), [1, 40, 40, 2 * channels], to)
            .map(|made| (made.cell, made.rows, made.units))
            .map_err(|e| e.to_string())
    };
    let one = (1, 1);
    for (stride, dilation, channels, to, want) in [
        (one, one, 3, F32, ((1, 1), 8, 1)),
        ((2, 2), one, 3, F32, ((2, 2), 2, 1)),
        ((3, 3), one, 3, F32, ((3, 3), 1, 1)),
        ((4, 4), one, 3, F32, ((4, 4), 1, 1)),
        ((5, 5), one, 3, F32, ((3, 5), 1, 1)),
        ((2, 40), one, 3, F32, ((1, 14), 1, 1)),
        // Rows of taps that meet nothing of each other.
        ((8, 1), one, 3, F32, ((8, 1), 1, 1)),
        ((2, 2), (3, 2), 3, F32, ((1, 1), 8, 1)),
        ((2, 2), (1, 3), 3, F32, ((2, 1), 4, 1)),
        ((2, 2), one, 8, U8, ((2, 2), 1, 4)),
        ((3, 3), one, 8, U8, ((1, 3), 1, 4)),
        ((3, 3), one, 1, U8, ((3, 3), 1, 1)),
        ((3, 3), one, 3, U8, ((1, 3), 1, 3)),
    ] {
        assert_eq!(of(stride, dilation, channels, to), Ok(want), "{stride:?} {dilation:?} {to}");
    }
    for (stride, dilation, channels, why) in [
        ((2, 2), one, 5, "words of the output"),
        ((2, 2), (1, 2), 3, "words of the output"),
        ((2, 6), one, 3, "6 columns of 3 channels share words"),
        ((2, 300), one, 4, "a stride of more than 256"),
    ] {
        let refused = of(stride, dilation, channels, U8).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}

/// What the shader goes through is no more than what the plan counts, and holds every tap of every place once.
#[test]
fn every_tap_is_met_by_one_step() {
    for (taps, stride, dilation) in [1, 2, 3, 5, 8].iter().flat_map(|taps| {
        let strides = (1..10).flat_map(|stride| (1..7).map(move |dilation| (stride, dilation)));
        strides.map(move |(stride, dilation)| (*taps, stride, dilation))
    }) {
        let axis = Axis { taps, stride, dilation };
        for before in 0..stride {
            for most in [1, 2, 4, 16] {
                let places = axis.phases(most);
                assert!(places <= most.max(1) && (dilation == 1 || places == 1));
                for first in (0..stride).step_by(places) {
                    let lo = before + first;
                    // (place, tap, input) of the formula.
                    let all = (lo..lo + places).flat_map(|p| (0..taps).map(move |i| (p, i)));
                    let mut want: Vec<(usize, usize, isize)> = all
                        .map(|(p, i)| (p, i, p as isize - (i * dilation) as isize))
                        .filter(|(.., at)| at.rem_euclid(stride as isize) == 0)
                        .map(|(p, i, at)| (p - lo, i, at / stride as isize))
                        .collect();
                    let (input, count, tap) = steps_of(lo, places, axis);
                    assert!(count <= axis.steps(places), "{axis:?} {places} from {lo}");
                    let steps = (0..count).flat_map(|n| (0..places).map(move |a| (n as isize, a)));
                    let mut got: Vec<(usize, usize, isize)> = steps
                        .map(|(n, a)| {
                            let tap = tap + a as isize - n * axis.apart() as isize;
                            (a, tap, input + n * axis.spacing() as isize)
                        })
                        .filter(|(_, tap, _)| (0..taps as isize).contains(tap))
                        .map(|(a, tap, at)| (a, tap as usize, at))
                        .collect();
                    want.sort_unstable();
                    got.sort_unstable();
                    assert_eq!(got, want, "{axis:?} {places} from {lo}");
                }
            }
        }
    }
}

/// Twin of the function of that name in `shaders/phases.wgsl`.
fn steps_of(lo: usize, places: usize, axis: Axis) -> (isize, usize, isize) {
    let [lo, places] = [lo, places].map(|n| n as isize);
    let Axis { taps, stride, dilation } = axis;
    let [taps, stride, dilation] = [taps, stride, dilation].map(|n| n as isize);
    let [spacing, apart, turn] = [axis.spacing(), axis.apart(), axis.turn()].map(|n| n as isize);
    if dilation == 1 {
        let short = lo - (taps - 1);
        let first = if short > 0 { (short + stride - 1) / stride } else { -(-short / stride) };
        let last = (lo + places - 1) / stride;
        return (first, (last - first + 1).max(0) as usize, lo - first * stride);
    }
    let divisor = dilation / spacing;
    let tap = lo / divisor % apart * turn % apart;
    if lo % divisor != 0 || tap >= taps {
        return (0, 0, 0);
    }
    let count = (taps - 1 - tap) / apart + 1;
    let last_tap = tap + (count - 1) * apart;
    let back = last_tap * dilation - lo;
    (if back > 0 { -(back / stride) } else { -back / stride }, count as usize, last_tap)
}

/// The frame of a band is what the rectangles of edges have in common with it.
#[test]
fn a_frame_holds_what_borders_continue() {
    let (zero, wrap, reflect) = (Border::ZERO, Border::Wrap, Border::Reflect);
    let borders = [
        Borders::from(zero),
        wrap.into(),
        reflect.into(),
        Border::Replicate.into(),
        Borders::sides(wrap, reflect, zero, Border::Reflect101),
    ];
    let mut frames = 0;
    for (border, padding, stride) in borders.iter().flat_map(|border| {
        let paddings = [Padding::Valid, Padding::Same, Padding::Full, Padding::all(30)];
        let each = paddings.into_iter().flat_map(|padding| [(padding, 1), (padding, 2)]);
        each.map(move |(padding, stride)| (*border, padding, stride))
    }) {
        let conv = Conv2d::new(kernel(5, 3, 1)).border(border).padding(padding);
        let conv = conv.stride(stride, stride);
        let there = problem(&conv, [2, 24, 17, 4], F32, F32);
        let shape: [usize; 4] = there.output_shape().dims().try_into().unwrap();
        let back = problem(&conv.adjoint().adjoint_size(24, 17), shape, F32, F32);
        if !back.gathers() {
            continue;
        }
        let edges = gather::edges(&back);
        for (rows, columns) in [(0..24, 0..17), (0..1, 0..17), (3..9, 2..4), (20..24, 11..17)] {
            let span = Span { first: 0, len: 1, continued: false };
            let band = Band {
                images: 0..2,
                rows: rows.clone(),
                columns: columns.clone(),
                source_rows: span.clone(),
                source_columns: span,
            };
            let frame = Edges::of(&back, &band);
            let mut pixels = 0;
            for row in rows.clone() {
                for column in columns.clone() {
                    let (r, c) = (row - rows.start, column - columns.start);
                    let (top, bottom) = frame.rows;
                    let (left, right) = frame.columns;
                    let within = r < top || r >= bottom || c < left || c >= right;
                    let of =
                        |at: &Rectangle| at.rows.contains(&row) && at.columns.contains(&column);
                    assert_eq!(within, edges.iter().any(of), "{back} {band:?} {row} {column}");
                    assert!(edges.iter().filter(|at| of(at)).count() <= 1, "{back} {row} {column}");
                    pixels += usize::from(within);
                }
            }
            assert_eq!(frame.scalars(&back, &band), 2 * 4 * pixels, "{back} {band:?}");
            frames += usize::from(pixels > 0);
        }
    }
    assert!(frames > 40, "{frames}");
}

/// They are taken where they apply, by every kind of device, and with edges too.
#[test]
fn phases_are_taken() {
    for (name, limits) in devices() {
        for border in [Border::ZERO, Border::Reflect] {
            let conv = Conv2d::new(kernel(3, 3, 2)).stride(2, 2).border(border);
            let back = problem(&conv.adjoint(), [1, 100, 100, 16], F32, F32);
            for residence in [Residence::Host, Residence::Device] {
                let plan =
                    choose(&back, &Machine::Gpu(limits, residence), Algorithm::Auto).unwrap();
                assert_eq!(plan.algorithm(), Algorithm::Flat, "{name}\n{plan}");
                assert!(plan.explain().contains("2x2 phases of"), "{plan}");
            }
        }
    }
}
