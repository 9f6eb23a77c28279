//! Values and views that are rare: infinities, ties, every half float, arrays in any order.

use channelwise::ndarray::{Array, Array2, Array3, Array4, ArrayView4, s};
use channelwise::reference::{self, Expected};
use channelwise::{Border, Conv2d, Element, Engine, Kernel, Problem, Shape, f16};

use super::*;
use crate::common::{
    BORDERS, Case, F16, F32, Outcome, Rng, Tally, U8, U16, compare, dims, pairwise, run_dirty,
    same_bits,
};

/// Infinities and NaNs: `0 * inf` is a NaN on every engine, for no tap is skipped.
#[test]
fn non_finite_input() {
    let mut tally = Tally::new("non-finite input");
    let mut rng = Rng::new(11);
    let zeros_among =
        Kernel::new(3, 3, vec![0.0, 1.0, 0.0, -0.5, 0.0, 2.0, 0.0, 0.25, 0.0]).unwrap();
    for [border, kernel, kind] in pairwise([BORDERS.len(), 2, 5]) {
        let layout = LAYOUTS[border % 2];
        let kernel = if kernel == 0 { zeros_among.clone() } else { rng.kernel(3, 3, 1) };
        let conv = Conv2d::new(kernel).border(BORDERS[border]);
        let case = Case::new(conv.clone().layout(layout), dims([2, 5, 7, 3], layout));
        let case = match kind {
            0 => Case::new(conv, [1, 9, 13, 4]),
            1 => case,
            2 => case.types((F32, U8)),
            3 => case.types((F16, F16)),
            _ => case.types((F32, U16)),
        };
        tally.case(&case.non_finite());
    }
    let infinite = Kernel::new(1, 3, vec![f32::INFINITY, 1.0, f32::NAN]).unwrap();
    tally.case(&Case::new(Conv2d::new(infinite), [1, 5, 6, 4]));
    for border in [f32::INFINITY, f32::NAN] {
        let conv = Conv2d::new(zeros_among.clone()).border(Border::Constant(border.into()));
        tally.case(&Case::new(conv.clone(), [1, 5, 6, 4]));
        tally.case(&Case::new(conv, [1, 5, 6, 3]).types((U8, U8)));
    }
    for activation in ACTIVATIONS.into_iter().chain(FLOAT_ACTIVATIONS) {
        let conv = Conv2d::new(zeros_among.clone()).activation(activation);
        tally.case(&Case::new(conv, [1, 9, 13, 4]).non_finite());
    }
    tally.finish(25);
}

/// Ties: with weights of a half every sum is exact, so there is one right answer.
#[test]
fn ties_round_to_even() {
    ties::<u8>();
    ties::<u16>();
    ties::<f16>();
}

fn ties<T: Element>() {
    let mut tally = Tally::new("ties").exact();
    let mut seen = false;
    for weights in [vec![0.5], vec![0.5, 0.5], vec![1.5, -0.5]] {
        for channels in [1, 3, 4] {
            let conv = Conv2d::new(Kernel::new(1, weights.len(), weights.clone()).unwrap());
            let case = Case::new(conv.clone(), [1, 9, 11, channels]).types((T::TYPE, T::TYPE));
            let problem = case.problem().unwrap();
            let mut input: Vec<T> = case.input(&problem);
            if T::TYPE == F16 {
                // Of one exponent, so that sums need one bit more.
                input.iter_mut().for_each(|x| *x = T::from_f32(1.0 + 0.999 * x.to_f32().abs()));
            }
            let want = reference::run(&problem, &input);
            seen |= want.iter().any(|e| {
                let near = |part: f64| Expected { value: e.value * part, ..*e }.nearest::<T>();
                near(1.0 - 1e-9) != near(1.0 + 1e-9)
            });
            tally.each(&case, |engine| {
                match run_dirty::<T, T>(engine, &conv, case.shape, &input) {
                    Outcome::Done(got) => {
                        let exact: Vec<T> = want.iter().map(Expected::nearest).collect();
                        match same_bits(&got, &exact) {
                            Ok(()) => Outcome::Done(got),
                            Err(text) => Outcome::Failed(text),
                        }
                    }
                    other => other,
                }
            });
        }
    }
    assert!(seen, "no tie to be seen");
    tally.finish(9);
}

/// Every half float through a kernel that changes nothing, subnormal and infinite ones too; and what lies
/// in the middle between two, or just beside it, out of f32.
#[test]
fn every_half_float() {
    let mut tally = Tally::new("half floats").exact();
    let same = Conv2d::new(Kernel::identity());
    let halves: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|x| !x.is_nan()).collect();
    let wide: Vec<f32> = halves.iter().map(|x| x.to_f32()).collect();
    let between: Vec<f32> = halves
        .windows(2)
        .filter(|pair| pair[1].is_finite())
        .flat_map(|pair| {
            let middle = (pair[0].to_f32() + pair[1].to_f32()) / 2.0;
            [middle.next_down(), middle, middle.next_up()]
        })
        .chain([65_519.996, 65_520.0, -65_520.0, f32::MAX, f32::MIN])
        .collect();
    let narrow: Vec<f16> = between.iter().map(|x| f16::from_f32(*x)).collect();
    let shape = |n: usize| Shape::from([1, 1, n, 1]);
    let case = Case::new(same.clone(), [1, 1, halves.len(), 1]).types((F16, F16));
    tally.each(&case, |engine| {
        let there = run_dirty::<f16, f32>(engine, &same, shape(halves.len()), &halves);
        let back = run_dirty::<f32, f16>(engine, &same, shape(between.len()), &between);
        match (there, back) {
            (Outcome::Done(there), _) if there != wide => {
                Outcome::Failed("f16 became other numbers in f32".into())
            }
            (Outcome::Done(_), Outcome::Done(back)) => {
                match back.iter().zip(&narrow).position(|(got, want)| got != want) {
                    None => Outcome::Done(back),
                    Some(at) => Outcome::Failed(format!(
                        "{} became {} for {}",
                        between[at], back[at], narrow[at]
                    )),
                }
            }
            (Outcome::Done(_), other) => other,
            (Outcome::Failed(why) | Outcome::NotApplicable(why), _) => Outcome::Failed(why),
        }
    });
    tally.finish(1);
}

/// Views that are not in standard order, as input and as output; what surrounds an output view
/// stays as it was.
#[test]
fn views_that_are_not_contiguous() {
    let mut tally = Tally::new("views");
    let mut rng = Rng::new(13);
    let big = Array4::from_shape_vec((3, 12, 20, 6), rng.f32s(3 * 12 * 20 * 6, -1.0, 1.0)).unwrap();
    let views: [(&str, ArrayView4<'_, f32>); 6] = [
        ("reversed rows", big.slice(s![.., ..;-1, .., ..])),
        ("reversed everywhere", big.slice(s![..;-1, ..;-1, ..;-1, ..;-1])),
        ("every other", big.slice(s![..;2, 1..;2, ..;3, 1..6;2])),
        ("a part", big.slice(s![1..2, 2..10, 3..19, 2..5])),
        ("transposed", big.view().permuted_axes([0, 2, 1, 3])),
        ("channels first", big.view().permuted_axes([0, 3, 1, 2])),
    ];
    let conv = Conv2d::new(rng.kernel(3, 3, 2)).border(Border::Wrap).bias([0.1, 0.2]);
    for (name, view) in views {
        let shape = Shape::from_dims(view.shape()).unwrap();
        let problem = Problem::new(&conv, shape, F32, F32).unwrap();
        let standard: Vec<f32> = view.iter().copied().collect();
        let want = reference::run(&problem, &standard);
        let out = problem.output_shape();
        let &[n, h, w, c] = out.dims() else { panic!("{out}") };
        tally.each(&name, |engine| {
            // Into every other row and column, backwards, of something larger.
            let mut whole = Array4::from_elem((n, 2 * h, w + 3, c + 1), 77.0f32);
            let mut into = whole.slice_mut(s![..;-1, 1..;2, 1..w + 1;-1, ..c]);
            into.fill(f32::NAN);
            match engine.run_into(&conv, &view, &mut into) {
                Ok(()) => {}
                Err(channelwise::Error::NotApplicable { reason, .. }) => {
                    return Outcome::NotApplicable(reason);
                }
                Err(error) => return Outcome::Failed(error.to_string()),
            }
            let got: Vec<f32> = into.iter().copied().collect();
            into.fill(77.0);
            if whole.iter().any(|x| *x != 77.0) {
                return Outcome::Failed("something beside the view was written".into());
            }
            // And into a new array.
            let new = engine.run(&conv, &view).unwrap();
            let same = same_bits(&new.into_raw_vec_and_offset().0, &got);
            match same.and(compare(&got, &want, out)) {
                Ok(()) => Outcome::Done(got),
                Err(text) => Outcome::Failed(text),
            }
        });
    }
    // A view whose axes have stride 0, and the shorter kinds.
    let column = Array3::from_shape_vec((5, 1, 3), rng.elements(15, 0.0, 1.0)).unwrap();
    let wide = column.broadcast((5, 8, 3)).unwrap();
    let conv = Conv2d::like_opencv(rng.kernel(3, 3, 1));
    let plane: Array2<u8> = Array::from_shape_vec((9, 7), rng.elements(63, 0.0, 1.0)).unwrap();
    let turned = plane.t();
    let judged = |engine: &Engine| -> Outcome<u8> {
        let got = match engine.run::<u8, _>(&conv, &wide) {
            Err(channelwise::Error::NotApplicable { reason, .. }) => {
                return Outcome::NotApplicable(reason);
            }
            got => got.unwrap(),
        };
        let problem = Problem::new(&conv, [5, 8, 3], U8, U8).unwrap();
        let standard: Vec<u8> = wide.iter().copied().collect();
        let first = compare(
            got.as_slice().unwrap(),
            &reference::run(&problem, &standard),
            problem.output_shape(),
        );
        let got = engine.run(&conv, &turned).unwrap();
        let problem = Problem::new(&conv, [7, 9], U8, U8).unwrap();
        let standard: Vec<u8> = turned.iter().copied().collect();
        let second = compare(
            got.as_slice().unwrap(),
            &reference::run(&problem, &standard),
            problem.output_shape(),
        );
        match first.and(second) {
            Ok(()) => Outcome::Done(Vec::new()),
            Err(text) => Outcome::Failed(text),
        }
    };
    tally.each(&"broadcast and turned", judged);
    tally.finish(7);
}

/// The axes of a view count, not its memory: a turned copy of the input gives the turned output.
#[test]
fn a_turned_kernel_on_a_turned_input() {
    let mut tally = Tally::new("turned");
    let mut rng = Rng::new(16);
    let x = Array2::from_shape_vec((7, 10), rng.f32s(70, -1.0, 1.0)).unwrap();
    let k = Array2::from_shape_vec((3, 5), rng.f32s(15, -1.0, 1.0)).unwrap();
    let conv = Conv2d::new(Kernel::from_array2(&k).unwrap());
    let turned = Conv2d::new(Kernel::from_array2(&k.t()).unwrap());
    let problem = Problem::new(&turned, [10, 7], F32, F32).unwrap();
    let standard: Vec<f32> = x.t().iter().copied().collect();
    let want = reference::run(&problem, &standard);
    tally.each(&"5x3 on 10x7", |engine| {
        let mut out = Array2::from_elem((7, 10), f32::NAN);
        match engine.run_into(&conv, &x, &mut out) {
            Err(channelwise::Error::NotApplicable { reason, .. }) => {
                return Outcome::NotApplicable(reason);
            }
            done => done.unwrap(),
        }
        let got: Vec<f32> = out.t().iter().copied().collect();
        match compare(&got, &want, problem.output_shape()) {
            Ok(()) => Outcome::Done(got),
            Err(text) => Outcome::Failed(text),
        }
    });
    tally.finish(1);
}
