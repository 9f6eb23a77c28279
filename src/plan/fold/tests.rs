//! Folded against one after the other, with whole numbers, where both are exact: equal, or wrong.

use std::collections::BTreeMap;

use rand_pcg::Pcg32;
use rand_pcg::rand_core::{Rng, SeedableRng};

use super::Linear;
use crate::plan::chain::problems;
use crate::{
    Activation, Border, Borders, Conv2d, ElementType, Kernel, Layout, Padding, Pointwise, Problem,
    Shape, reference,
};

/// Draws stages, the same ones in every run.
struct Draw(Pcg32);

impl Draw {
    /// In `0..n`.
    fn below(&mut self, n: u32) -> usize {
        (self.0.next_u32() % n) as usize
    }

    fn flip(&mut self) -> bool {
        self.below(2) == 1
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32)]
    }

    /// A whole number in `-most..=most`.
    fn whole(&mut self, most: i16) -> f32 {
        f32::from(self.below(2 * most as u32 + 1) as i16 - most)
    }

    /// A kernel of small whole numbers, half of them mirrored along both axes.
    fn kernel(&mut self) -> Kernel {
        let sizes = [3, 3, 3, 1, 2, 5];
        let (h, w, filters) = (self.pick(&sizes), self.pick(&sizes), 1 + self.below(2));
        let weights: Vec<f32> = (0..h * w * filters).map(|_| self.whole(3)).collect();
        let mirrored = self.flip();
        let at = |i: usize, j: usize, f: usize| {
            let (i, j) = if mirrored { (i.min(h - 1 - i), j.min(w - 1 - j)) } else { (i, j) };
            weights[(i * w + j) * filters + f]
        };
        let all =
            (0..h).flat_map(|i| (0..w).flat_map(move |j| (0..filters).map(move |f| (i, j, f))));
        Kernel::with_filters(h, w, filters, all.map(|(i, j, f)| at(i, j, f)).collect()).unwrap()
    }

    /// Mostly one for both axes.
    fn borders(&mut self) -> Borders {
        let rows = self.border();
        let other =
            self.pick(&[Border::Replicate, Border::Reflect, Border::Reflect101, Border::Wrap]);
        let columns = self.pick(&[rows, rows, rows, rows, rows, other]);
        let mut borders = Borders::from((rows, columns));
        if self.below(9) == 0 {
            borders = Borders::sides(rows, columns, rows, columns);
        }
        borders
    }

    fn border(&mut self) -> Border {
        self.pick(&[
            Border::ZERO,
            Border::Constant(2.0),
            Border::Replicate,
            Border::Reflect,
            Border::Reflect101,
            Border::Wrap,
        ])
    }

    fn padding(&mut self) -> Padding {
        match self.below(8) {
            0..3 => Padding::Same,
            3..6 => Padding::Valid,
            6 => Padding::Full,
            _ => {
                let [top, bottom, left, right] = [0; 4].map(|_| self.below(4));
                Padding::Explicit { top, bottom, left, right }
            }
        }
    }

    /// Mostly 1.
    fn step(&mut self) -> usize {
        self.pick(&[1, 1, 1, 1, 2, 3])
    }

    fn stage(&mut self) -> Conv2d {
        let (kernel, padding) = (self.kernel(), self.padding());
        let (anchor, filters) = ((kernel.height() / 2, kernel.width() / 2), kernel.filters());
        let mut conv = Conv2d::new(kernel).padding(padding).border(self.borders());
        conv = conv.stride(self.step(), self.step()).dilation(self.step(), self.step());
        if self.flip() && padding == Padding::Same {
            conv = conv.anchor(anchor.0, anchor.1);
        }
        if self.flip() {
            conv = conv.bias((0..filters).map(|_| self.whole(4)).collect::<Vec<_>>());
        }
        if self.flip() { conv.flip() } else { conv }
    }
}

fn input(problem: &Problem) -> Vec<f32> {
    (0..problem.input_len()).map(|i| ((i * i * 31 + i * 17) % 15) as f32 - 7.0).collect()
}

/// All values of a problem, which are whole and small enough for f32.
fn exact(problem: &Problem, input: &[f32]) -> Vec<f32> {
    let all = reference::run(problem, input).into_iter();
    all.map(|expected| {
        assert!(expected.value.abs() < f64::from(1 << 24), "{problem}: {}", expected.value);
        expected.value as f32
    })
    .collect()
}

/// The stages as one, where every step of it can be folded; with what it gives and what they give.
fn folded(convs: &[Conv2d], shape: Shape) -> Result<(Problem, Vec<f32>, Vec<f32>), String> {
    let f32 = ElementType::F32;
    let stages = problems(convs, shape, f32, f32).map_err(|error| error.to_string())?;
    let mut linear = Linear::of(&stages[0]);
    for stage in &stages[1..] {
        linear = linear.then(&Linear::of(stage))?;
    }
    let one = linear.problem()?;
    let x = input(&one);
    let want = stages.iter().fold(x.clone(), |x, stage| exact(stage, &x));
    let got = exact(&one, &x);
    Ok((one, got, want))
}

/// Random pairs and triples; that enough are folded for every border is counted.
#[test]
fn what_is_folded_is_the_same() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut draw = Draw(Pcg32::seed_from_u64(1));
    for _ in 0..20_000 {
        let layout = draw.pick(&[Layout::Nhwc, Layout::Nchw]);
        let mut convs: Vec<_> =
            (0..2 + draw.below(2)).map(|_| draw.stage().layout(layout)).collect();
        let [n, h, w, c] = [2, 9, 9, 2].map(|most| 1 + draw.below(most));
        // Half of the chains have one border all over, as people's do.
        let (same, border) = (draw.flip(), draw.border());
        if same {
            convs = convs.into_iter().map(|conv| conv.border(border)).collect();
        }
        let shape = match layout {
            Layout::Nhwc => [n, h, w, c],
            Layout::Nchw => [n, c, h, w],
        };
        let Ok((one, got, want)) = folded(&convs, shape.into()) else { continue };
        assert_eq!(got, want, "{convs:#?}\n  as {one}");
        let last = convs[convs.len() - 1].padding;
        let kind = if last == Padding::Valid { "valid" } else { "padded" };
        let border = one.border().to_string();
        *counts.entry(format!("{} {kind} {border}", convs.len())).or_default() += 1;
        if convs.len() == 2 && one.geometry().stride != (1, 1) {
            *counts.entry("strides".into()).or_default() += 1;
        }
    }
    for border in ["zero", "constant 2", "replicate", "reflect", "reflect101", "wrap"] {
        let valid = counts.get(&format!("2 valid {border}")).copied().unwrap_or(0);
        assert!(valid > 40, "{border}: {counts:?}");
    }
    for border in ["reflect", "reflect101", "wrap"] {
        let padded = counts.get(&format!("2 padded {border}")).copied().unwrap_or(0);
        assert!(padded > 40, "{border}: {counts:?}");
    }
    assert!(counts["strides"] > 40, "{counts:?}");
}

fn numbered(height: usize, width: usize) -> Kernel {
    let weights = (0..height * width).map(|i| i as f32 + 1.0).collect();
    Kernel::new(height, width, weights).unwrap()
}

fn refusal(first: &Conv2d, second: &Conv2d) -> String {
    let convs = [first.clone(), second.clone()];
    match folded(&convs, [1, 9, 12, 2].into()) {
        Ok((one, ..)) => panic!("{convs:?} were folded into {one}"),
        Err(reason) => reason,
    }
}

/// The sum of what neighbours give is not what one kernel gives: none of these may be folded.
#[test]
fn what_would_differ_is_not_folded() {
    let plain = Conv2d::new(numbered(3, 3));
    let valid = plain.clone().padding(Padding::Valid);
    let smooth = Conv2d::new(Kernel::new(3, 3, vec![1.0; 9]).unwrap());
    let on = |conv: &Conv2d, border: Border| conv.clone().border(border);
    for (what, first, second) in [
        ("zeros", plain.clone(), plain.clone()),
        ("zeros, symmetric", smooth.clone(), smooth.clone()),
        ("constants", on(&plain, Border::Constant(2.0)), on(&plain, Border::Constant(2.0))),
        ("zeros on valid", valid.clone(), plain.clone()),
        ("replicate", on(&smooth, Border::Replicate), on(&smooth, Border::Replicate)),
        ("reflect, not symmetric", on(&plain, Border::Reflect), on(&plain, Border::Reflect)),
        ("other borders", on(&smooth, Border::Reflect), on(&smooth, Border::Reflect101)),
        (
            "reflect, stride",
            on(&smooth, Border::Reflect).stride(1, 2),
            on(&smooth, Border::Reflect),
        ),
        (
            "reflect, off its place",
            on(&smooth, Border::Reflect).anchor(0, 1),
            on(&smooth, Border::Reflect),
        ),
        (
            "reflect, another size",
            on(&smooth, Border::Reflect).padding(Padding::Full),
            on(&smooth, Border::Reflect),
        ),
        (
            "wrap, another size",
            on(&plain, Border::Wrap).padding(Padding::Full),
            on(&plain, Border::Wrap),
        ),
        (
            // 9 rows are not a multiple of 2.
            "wrap, stride",
            on(&plain, Border::Wrap).stride(2, 1),
            on(&plain, Border::Wrap),
        ),
        ("zeros on 1x1 with a bias", Conv2d::new(numbered(1, 1)).bias([1.0]), plain.clone()),
    ] {
        let reason = refusal(&first, &second);
        assert!(reason.contains("border"), "{what}: {reason}");
    }
    let relu = plain.clone().activation(Activation::Relu);
    assert!(refusal(&relu, &valid).contains("activation"));
    let holes = valid.clone().dilation(1, 3);
    assert!(refusal(&valid.clone().dilation(1, 2), &holes).contains("holes"));
    let mix = Pointwise::new(2, 1, vec![1.0, 2.0]).unwrap();
    let two = Kernel::stack(&[numbered(2, 2), numbered(2, 2)]).unwrap();
    let two = Conv2d::new(two).padding(Padding::Valid);
    let mixes = two.clone().activation(Activation::Relu).pointwise(mix);
    assert!(refusal(&two, &mixes).contains("mixes"));
    let long = Conv2d::new(Kernel::new(126, 1, vec![1.0; 126]).unwrap()).padding(Padding::all(126));
    assert!(refusal(&long, &valid).contains("more than 127"));
}

/// Weights that f32 has no place for are not folded; those of the chain might have been fine.
#[test]
fn weights_must_fit() {
    let conv = |weight: f32| {
        Conv2d::new(Kernel::new(1, 2, vec![weight, weight]).unwrap()).padding(Padding::Valid)
    };
    for weight in [1e-30, 1e30, f32::INFINITY, f32::NAN] {
        assert!(refusal(&conv(weight), &conv(weight)).contains("no place"), "{weight}");
    }
}

/// The second may have what stands behind the sums, and several filters are numbered as in a chain.
#[test]
fn activation_and_pointwise_of_the_last_stay() {
    let first = Conv2d::new(
        Kernel::stack(&[numbered(2, 3), Kernel::new(2, 3, vec![-1.0; 6]).unwrap()]).unwrap(),
    );
    let first = first.padding(Padding::Valid).bias([3.0, -5.0]);
    let second = Conv2d::new(
        Kernel::stack(&[numbered(3, 1), Kernel::new(3, 1, vec![-2.0; 3]).unwrap()]).unwrap(),
    );
    let second = second.padding(Padding::Valid).bias([1.0, 2.0]).activation(Activation::Relu);
    let (one, got, want) = folded(&[first.clone(), second.clone()], [1, 7, 6, 2].into()).unwrap();
    assert_eq!((one.weights().filters, got), (4, want));

    let mix = Pointwise::new(2, 1, vec![2.0, -3.0]).unwrap().bias([7.0]);
    let single = Conv2d::new(numbered(2, 3)).padding(Padding::Valid);
    let second = second.pointwise(mix.clone());
    let (one, got, want) = folded(&[single, second], [1, 7, 6, 2].into()).unwrap();
    assert!(one.weights().follow.is_some());
    assert_eq!(got, want);

    // A linear pointwise step of the first is part of its kernel.
    let second = Conv2d::new(numbered(2, 2)).padding(Padding::Valid);
    let (one, got, want) = folded(&[first.pointwise(mix), second], [1, 7, 6, 2].into()).unwrap();
    assert_eq!((one.weights().filters, got), (1, want));
}
