//! The reference's gradients against finite differences of its own forward values, its adjoint against
//! `<A x, y> = <x, A* y>`, and its allowances against plain loops in f32.

use std::cell::Cell;
use std::ops::Range;

use crate::common::{F32, Rng, dims, say};
use channelwise::reference::{self};
use channelwise::{Activation, Border, Conv2d, Element, Kernel, Layout, Problem, f16};
use proptest::prelude::*;

use super::*;

#[test]
fn gradients_are_what_differences_tend_to() {
    let (tried, skipped, numbers) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let worst = Cell::new(0.0);
    law(&PADS, |setup| {
        let model = setup.model();
        if model.kink_in_reach() {
            skipped.set(skipped.get() + 1);
            return Ok(());
        }
        tried.set(tried.get() + 1);
        for (part, got) in model.gradients(8).iter().enumerate() {
            prop_assert_eq!(got.len(), model.parts[part].len(), "{}", PARTS[part]);
            for (i, got) in got.iter().enumerate() {
                let want = model.difference(part, i);
                let off = (got.value - want).abs() / model.size();
                worst.set(off.max(worst.get()));
                let what = PARTS[part];
                prop_assert!(off <= 1e-9, "{} {}: {} for {}", what, i, got.value, want);
                numbers.set(numbers.get() + 1);
            }
        }
        Ok(())
    });
    let (tried, skipped) = (tried.get(), skipped.get());
    let (numbers, worst) = (numbers.get(), worst.get());
    say(&format!(
        "gradients: {tried} cases, {skipped} skipped, {numbers} numbers, worst off by {worst:e}"
    ));
    assert!(tried + skipped == CASES * 36 && skipped * 20 <= tried, "{skipped} of {tried} skipped");
}

#[test]
fn inputs_of_every_type_are_numbers_alike() {
    fn check<T: Element>(model: &Model) {
        let mut model = model.clone();
        let x: Vec<T> = Rng::new(model.setup.seed).elements(model.parts[0].len(), -2.0, 2.0);
        model.parts[0] = x.iter().map(|x| x.to_f32()).collect();
        let shape = dims(model.setup.input, model.setup.layout);
        let problem = Problem::new(&model.conv(), shape, T::TYPE, F32).unwrap();
        let got = parts(reference::backward(&problem, &x, &model.dy, 8));
        assert_eq!(got, model.gradients(8), "{}", T::TYPE);
    }
    law(&[Pad::Same], |setup| {
        let model = setup.model();
        check::<u8>(&model);
        check::<u16>(&model);
        check::<f16>(&model);
        Ok(())
    });
}

#[test]
fn adjoint_is_the_other_side_of_the_product() {
    law(&PADS, |setup| {
        let model = setup.model();
        // The setups of laws have one border on all sides.
        let border = match setup.border.single().unwrap() {
            Border::Constant(_) => Border::ZERO,
            other => other,
        };
        let mut bare = model.clone();
        bare.parts[2].fill(0.0);
        bare.parts[4].fill(0.0);
        let linear = bare.with_follow(bare.filters().border(border), |_| Activation::None);
        // Biases, activations and the constant outside are no part of it.
        let got = reference::adjoint(&model.problem(&model.conv()), &model.dy);
        let same = reference::adjoint(&model.problem(&linear), &model.dy);
        prop_assert_eq!(&got, &same);
        prop_assert_eq!(got.len(), model.parts[0].len());
        let dot = |a: &[f32], b: &mut dyn Iterator<Item = f64>| {
            let all: Vec<f64> = a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).collect();
            (all.iter().sum::<f64>(), all.iter().map(|p| p.abs()).sum::<f64>())
        };
        let (left, size) = dot(&model.dy, &mut bare.values(&linear).into_iter());
        let (right, other) = dot(&model.parts[0], &mut got.iter().map(|e| e.value));
        let off = (left - right).abs();
        prop_assert!(off <= 1e-13 * (1.0 + size + other), "{left} is not {right}");
        // Of a linear convolution it is the gradient for the input.
        let problem = model.problem(&linear);
        let gradient = reference::backward(&problem, &model.parts[0], &model.dy, 8).input;
        for (got, want) in got.iter().zip(&gradient) {
            prop_assert_eq!(got.value, want.value);
            prop_assert!(got.allowance <= want.allowance);
        }
        Ok(())
    });
}

/// The gradients as plain loops in f32, each sum in the order of its terms; and how many places
/// there are. NHWC, with padding that is said.
fn in_f32(model: &Model) -> Option<([Vec<f32>; 5], usize)> {
    let setup = &model.setup;
    let [_, h, w, channels] = setup.input;
    let (kh, kw) = setup.kernel;
    let (top, left) = match setup.pad {
        Pad::Valid => (0, 0),
        Pad::Full => ((kh - 1) * setup.dilation.0, (kw - 1) * setup.dilation.1),
        Pad::Uneven => (1, 4),
        Pad::Beyond => (h + 4, w + 3),
        Pad::Same | Pad::Anchored => return None,
    };
    let [x, k, b, weights, pb] = &model.parts;
    let mut out = model.parts.clone().map(|part| vec![0.0f32; part.len()]);
    let filters = setup.filters;
    let outputs = setup.follow.map_or(filters, |(outputs, ..)| outputs);
    let shape = model.problem(&model.conv()).output_shape();
    let (oh, ow) = (shape.dims()[1], shape.dims()[2]);
    let places: Range<usize> = 0..model.dy.len() / outputs;
    for place in places.clone() {
        let (c, q) = (place % channels, place / channels % ow);
        let (r, n) = (place / channels / ow % oh, place / channels / ow / oh);
        let taps: Vec<(usize, Option<usize>)> = (0..kh * kw)
            .map(|tap| {
                let at = |out: usize, stride: usize, i: usize, dilation: usize, before: usize| {
                    (out * stride + i * dilation) as isize - before as isize
                };
                let row = at(r, setup.stride.0, tap / kw, setup.dilation.0, top);
                let column = at(q, setup.stride.1, tap % kw, setup.dilation.1, left);
                let met =
                    setup.border.rows().index(row, h).zip(setup.border.columns().index(column, w));
                let from = if setup.flip { kh * kw - 1 - tap } else { tap };
                (from, met.map(|(row, column)| ((n * h + row) * w + column) * channels + c))
            })
            .collect();
        let seen =
            |at: Option<usize>| at.map_or(setup.border.constant().unwrap_or(0.0) as f32, |i| x[i]);
        let s: Vec<f32> = (0..filters)
            .map(|f| taps.iter().fold(b[f], |s, (tap, at)| s + k[tap * filters + f] * seen(*at)))
            .collect();
        let mut da = model.dy[place * outputs..][..outputs].to_vec();
        if let Some((_, last, _)) = setup.follow {
            let a: Vec<f32> = s.iter().map(|s| setup.activation.apply(*s)).collect();
            for g in 0..outputs {
                let t = (0..filters).fold(pb[g], |t, f| t + weights[f * outputs + g] * a[f]);
                da[g] *= last.derivative(t);
                out[4][g] += da[g];
                for f in 0..filters {
                    out[3][f * outputs + g] += da[g] * a[f];
                }
            }
            let row = |f: usize| (0..outputs).map(|g| weights[f * outputs + g] * da[g]).sum();
            da = (0..filters).map(row).collect();
        }
        for f in 0..filters {
            let ds = da[f] * setup.activation.derivative(s[f]);
            out[2][f] += ds;
            for (tap, at) in &taps {
                out[1][tap * filters + f] += ds * seen(*at);
                if let Some(at) = at {
                    out[0][*at] += ds * k[tap * filters + f];
                }
            }
        }
    }
    Some((out, places.len()))
}

/// What f32 loops give is accepted, and a part of each kind of allowance is needed: they are for
/// roundings that all go one way, and most cancel.
#[test]
fn allowances_hold_for_f32() {
    let most = Cell::new([0.0f64; 5]);
    law(&[Pad::Valid, Pad::Full, Pad::Uneven, Pad::Beyond], |setup| {
        let mut model = Setup { layout: Layout::Nhwc, ..setup }.model();
        // With all bits of an f32 in use, so that sums are rounded.
        let mut rng = Rng::new(setup.seed + 1);
        for part in &mut model.parts {
            part.iter_mut().for_each(|v| *v *= rng.uniform(0.5, 1.0));
        }
        let (got, depth) = in_f32(&model).unwrap();
        for (part, (got, want)) in got.iter().zip(model.gradients(depth)).enumerate() {
            for (i, (got, want)) in got.iter().zip(want).enumerate() {
                let what = PARTS[part];
                prop_assert!(want.accepts(*got), "{} {}: {} for {:?}", what, i, got, want);
                let mut all = most.get();
                all[part] = all[part].max(want.usage(*got));
                most.set(all);
            }
        }
        Ok(())
    });
    say(&format!("allowances used by f32 loops: {:.2?} of {PARTS:?}", most.get()));
    assert!(most.get().iter().all(|used| *used > 0.005), "{:?}", most.get());
}

/// Elements of a wrong number are told, not read past.
#[test]
fn lengths_are_checked() {
    let conv = Conv2d::new(Kernel::sobel_x());
    let problem = Problem::new(&conv, [4, 5], F32, F32).unwrap();
    let (x, long) = ([1.0f32; 20], [1.0f32; 21]);
    let panics = |f: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
    assert!(!panics(&|| drop(reference::backward(&problem, &x, &x, 20))));
    assert!(panics(&|| drop(reference::backward(&problem, &long, &x, 20))));
    assert!(panics(&|| drop(reference::backward(&problem, &x, &long, 20))));
    assert!(panics(&|| drop(reference::adjoint(&problem, &long))));
}
