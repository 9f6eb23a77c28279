//! Laws that hold for any problem, whatever the numbers: on the CPU and on every GPU algorithm,
//! over shapes, kernels and options drawn by proptest from a fixed seed.

use std::cell::Cell;
use std::fmt::Debug;

use crate::common::{Kind, Rng, dims, full, main_engines, run_filled, same_bits, say, to_nchw};
use channelwise::{
    Algorithm, Border, Conv2d, Element, Engine, Error, Kernel, Layout, Padding, Problem, Shape,
    f16, reference,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Cases of each law on the CPU, and on each GPU algorithm: there every other one compiles. `flat` must
/// have taken half of them.
const CPU_CASES: u32 = 64;
const GPU_CASES: u32 = 14;

/// What a law is tried on.
#[derive(Clone, Copy, Debug)]
struct Setup {
    /// Batch, height, width, channels.
    input: [usize; 4],
    kernel: (usize, usize),
    filters: usize,
    border: Border,
    stride: (usize, usize),
    dilation: (usize, usize),
    seed: u64,
}

fn setups() -> impl Strategy<Value = Setup> {
    let input = (1..3usize, 1..20usize, 1..28usize, 1..6usize);
    let borders = crate::common::BORDERS.to_vec();
    (
        input,
        select(vec![(1, 1), (3, 3), (2, 4), (5, 3)]),
        1..4usize,
        select(borders),
        select(vec![(1, 1), (2, 1), (1, 2), (2, 3)]),
        select(vec![(1, 1), (1, 1), (2, 1), (1, 2)]),
        any::<u64>(),
    )
        .prop_map(|((n, h, w, c), kernel, filters, border, stride, dilation, seed)| Setup {
            input: [n, h, w, c],
            kernel,
            filters,
            border,
            stride,
            dilation,
            seed: seed / 2,
        })
}

impl Setup {
    fn rng(&self) -> Rng {
        Rng::new(self.seed)
    }

    fn data<T: Element>(&self) -> Vec<T> {
        self.rng().elements(self.input.iter().product(), -1.0, 1.0)
    }

    fn weights(&self) -> Kernel {
        Rng::new(self.seed + 1).kernel(self.kernel.0, self.kernel.1, self.filters)
    }

    /// With stride 1.
    fn conv(&self) -> Conv2d {
        Conv2d::new(self.weights()).border(self.border).dilation(self.dilation.0, self.dilation.1)
    }

    fn extent(&self) -> (usize, usize) {
        let extent = |k: usize, d: usize| (k - 1) * d + 1;
        (extent(self.kernel.0, self.dilation.0), extent(self.kernel.1, self.dilation.1))
    }

    /// The same with an input at least as large as the kernel's extent and some.
    fn roomy(mut self) -> Self {
        let (h, w) = self.extent();
        self.input[1] += h;
        self.input[2] += w;
        self
    }

    fn single_filter(mut self) -> Self {
        self.filters = 1;
        self
    }
}

/// Why a law could not be shown to hold.
enum Stop {
    NotApplicable,
    Broken(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::NotApplicable { .. } => Self::NotApplicable,
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<String> for Stop {
    fn from(text: String) -> Self {
        Self::Broken(text)
    }
}

fn run<T: Element, U: Element>(
    engine: &Engine,
    conv: &Conv2d,
    input: [usize; 4],
    data: &[T],
) -> Result<Vec<U>, Stop> {
    let never = if U::TYPE.is_integer() { U::from_f32(170.0) } else { U::from_f32(f32::NAN) };
    Ok(run_filled(engine, conv, Shape::from(input), data, never)?)
}

/// The law on every engine; proptest shrinks what breaks it.
fn law<S: Strategy<Value: Clone + Debug>>(
    name: &str,
    strategy: S,
    holds: impl Fn(&Engine, S::Value) -> Result<(), Stop>,
) {
    law_on(GPU_CASES, name, strategy, holds);
}

/// The same with so many cases on each GPU algorithm.
fn law_on<S: Strategy<Value: Clone + Debug>>(
    on_gpu: u32,
    name: &str,
    strategy: S,
    holds: impl Fn(&Engine, S::Value) -> Result<(), Stop>,
) {
    let mut text = format!("{name}:");
    // The others are held against the reference, in `agreement`: laws are about exact sums.
    // The shaders of `march` would be compiled for each of them.
    let exact = |kind: Kind| kind.is_exact() && kind != Kind::GpuMarch;
    for backend in main_engines().filter(|b| exact(b.kind)) {
        let cases = if backend.kind == Kind::Cpu { CPU_CASES } else { on_gpu };
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let (held, out) = (Cell::new(0), Cell::new(0));
        let done = TestRunner::new_with_rng(config, rng).run(&strategy, |value| {
            match holds(&backend.engine, value) {
                Ok(()) => held.set(held.get() + 1),
                Err(Stop::NotApplicable) if backend.kind == Kind::GpuFlat => {
                    out.set(out.get() + 1);
                }
                Err(Stop::NotApplicable) => prop_assert!(false, "only flat may not apply"),
                Err(Stop::Broken(text)) => prop_assert!(false, "{text}"),
            }
            Ok(())
        });
        if let Err(error) = done {
            panic!("{name} on {}: {error}", backend.name);
        }
        text += &format!(" {} {}", backend.name, held.get());
        if out.get() > 0 {
            text += &format!(" (not applicable {})", out.get());
        }
        let least = if backend.kind == Kind::GpuFlat { on_gpu / 2 } else { cases };
        assert!(held.get() >= least, "{name} on {}: only {} cases", backend.name, held.get());
    }
    say(&text);
}

#[test]
fn a_single_one_gives_the_input() {
    law("identity", setups(), |engine, setup| {
        let (kh, kw) = setup.kernel;
        let mut rng = setup.rng();
        let at = (rng.below(kh), rng.below(kw));
        let mut weights = vec![0.0; kh * kw];
        weights[at.0 * kw + at.1] = 1.0;
        let conv = Conv2d::new(Kernel::new(kh, kw, weights).unwrap())
            .anchor(at.0, at.1)
            .border(setup.border)
            .dilation(setup.dilation.0, setup.dilation.1);
        let x: Vec<f32> = setup.data();
        same_bits(&run::<f32, f32>(engine, &conv, setup.input, &x)?, &x)?;
        let x: Vec<u8> = setup.data();
        Ok(same_bits(&run::<u8, u8>(engine, &conv, setup.input, &x)?, &x)?)
    });
}

/// On a torus every place is alike.
#[test]
fn rolling_the_input_rolls_the_output() {
    law("shift, wrapped", setups().prop_map(Setup::single_filter), |engine, setup| {
        let conv = setup.conv().border(Border::Wrap);
        let mut rng = setup.rng();
        let by = (rng.below(setup.input[1]), rng.below(setup.input[2]));
        let x: Vec<f32> = setup.data();
        let y = run::<f32, f32>(engine, &conv, setup.input, &x)?;
        let rolled = run::<f32, f32>(engine, &conv, setup.input, &roll(&x, setup.input, by))?;
        Ok(same_bits(&rolled, &roll(&y, setup.input, by))?)
    });
}

fn roll(data: &[f32], [n, h, w, c]: [usize; 4], by: (usize, usize)) -> Vec<f32> {
    let at = |n: usize, r: usize, q: usize| (((n * h + r % h) * w + q % w) * c)..;
    (0..n)
        .flat_map(|n| (0..h).flat_map(move |r| (0..w).map(move |q| (n, r, q))))
        .flat_map(|(n, r, q)| data[at(n, r + by.0, q + by.1)][..c].to_vec())
        .collect()
}

/// The rows and columns of `data` from `from`, `size` of them.
fn crop<T: Copy>(
    data: &[T],
    [n, h, w, c]: [usize; 4],
    from: (usize, usize),
    size: (usize, usize),
) -> Vec<T> {
    (0..n)
        .flat_map(|n| (from.0..from.0 + size.0).map(move |r| (n * h + r) * w))
        .flat_map(|row| data[(row + from.1) * c..(row + from.1 + size.1) * c].to_vec())
        .collect()
}

/// Away from the edges the place does not matter either.
#[test]
fn shifting_the_input_shifts_the_output() {
    law("shift, inside", setups().prop_map(Setup::roomy), |engine, setup| {
        let conv = setup.conv().padding(Padding::Valid);
        let [n, h, w, c] = setup.input;
        let (eh, ew) = setup.extent();
        let mut rng = setup.rng();
        let from = (rng.below(h - eh), rng.below(w - ew));
        let x: Vec<f32> = setup.data();
        let y = run::<f32, f32>(engine, &conv, setup.input, &x)?;
        let part = [n, h - from.0, w - from.1, c];
        let moved = crop(&x, setup.input, from, (part[1], part[2]));
        let got = run::<f32, f32>(engine, &conv, part, &moved)?;
        let out = [n, h - eh + 1, w - ew + 1, c * setup.filters];
        Ok(same_bits(&got, &crop(&y, out, from, (part[1] - eh + 1, part[2] - ew + 1)))?)
    });
}

/// `K(a x + b z) = a K(x) + b K(z)`, within what each of the three may be off.
#[test]
fn sums_of_inputs_give_sums_of_outputs() {
    law("linearity", setups(), |engine, setup| {
        // A constant outside is not multiplied with the input.
        let outside = match setup.border {
            Border::Constant(_) => Border::ZERO,
            other => other,
        };
        let conv = setup.conv().border(outside).stride(setup.stride.0, setup.stride.1);
        // Few bits, so that the sums of inputs are exact.
        let coarse = |seed: u64| -> Vec<f32> {
            let n = setup.input.iter().product();
            Rng::new(seed).f32s(n, -512.0, 512.0).iter().map(|x| x.round() / 512.0).collect()
        };
        let (x, z) = (coarse(setup.seed), coarse(setup.seed + 7));
        let (a, b) = (2.0f32, -0.5f32);
        let mixed: Vec<f32> = x.iter().zip(&z).map(|(x, z)| a * x + b * z).collect();
        let problem = Problem::new(&conv, setup.input, crate::common::F32, crate::common::F32)?;
        let one = |data: &[f32]| -> Result<(Vec<f32>, Vec<f64>), Stop> {
            let allowed = reference::run(&problem, data).iter().map(|e| e.allowance).collect();
            Ok((run::<f32, f32>(engine, &conv, setup.input, data)?, allowed))
        };
        let ((x, dx), (z, dz), (mixed, dm)) = (one(&x)?, one(&z)?, one(&mixed)?);
        for i in 0..mixed.len() {
            let want = f64::from(a) * f64::from(x[i]) + f64::from(b) * f64::from(z[i]);
            let allowed = dm[i] + f64::from(a.abs()) * dx[i] + f64::from(b.abs()) * dz[i];
            let off = (f64::from(mixed[i]) - want).abs();
            if off.is_nan() || off > allowed {
                return Err(format!("element {i}: off by {off:e}, allowed {allowed:e}").into());
            }
        }
        Ok(())
    });
}

#[test]
fn permuting_channels_permutes_the_output() {
    law("channel permutation", setups(), |engine, setup| {
        let conv = setup.conv().stride(setup.stride.0, setup.stride.1);
        let c = setup.input[3];
        let mut order: Vec<usize> = (0..c).collect();
        let mut rng = setup.rng();
        for i in (1..c).rev() {
            order.swap(i, rng.below(i + 1));
        }
        let permuted = |data: &[f32], group: usize| -> Vec<f32> {
            data.chunks(c * group)
                .flat_map(|pixel| {
                    order.iter().flat_map(|from| pixel[from * group..(from + 1) * group].to_vec())
                })
                .collect()
        };
        let x: Vec<f32> = setup.data();
        let y = run::<f32, f32>(engine, &conv, setup.input, &x)?;
        let got = run::<f32, f32>(engine, &conv, setup.input, &permuted(&x, 1))?;
        Ok(same_bits(&got, &permuted(&y, setup.filters))?)
    });
}

#[test]
fn filters_at_once_are_filters_one_by_one() {
    law("filters at once", setups(), |engine, setup| {
        let filters = setup.filters + 1;
        let kernel = Setup { filters, ..setup }.weights();
        let with = |kernel: Kernel| {
            Conv2d::new(kernel)
                .border(setup.border)
                .stride(setup.stride.0, setup.stride.1)
                .dilation(setup.dilation.0, setup.dilation.1)
        };
        let x: Vec<f32> = setup.data();
        let all = run::<f32, f32>(engine, &with(kernel.clone()), setup.input, &x)?;
        for f in 0..filters {
            let weights = kernel.weights().iter().skip(f).step_by(filters).copied().collect();
            let one = Kernel::new(kernel.height(), kernel.width(), weights).unwrap();
            let got = run::<f32, f32>(engine, &with(one), setup.input, &x)?;
            let want: Vec<f32> = all.iter().skip(f).step_by(filters).copied().collect();
            same_bits(&got, &want)?;
        }
        Ok(())
    });
}

#[test]
fn a_batch_is_its_images() {
    law("batch", setups(), |engine, setup| {
        let conv = setup.conv().stride(setup.stride.0, setup.stride.1);
        let [_, h, w, c] = setup.input;
        let batch = [3, h, w, c];
        let x: Vec<f32> = Setup { input: batch, ..setup }.data();
        let all = run::<f32, f32>(engine, &conv, batch, &x)?;
        let mut one_by_one = Vec::new();
        for image in x.chunks(h * w * c) {
            one_by_one.extend(run::<f32, f32>(engine, &conv, [1, h, w, c], image)?);
        }
        Ok(same_bits(&all, &one_by_one)?)
    });
}

#[test]
fn planes_are_channels() {
    law("nchw", setups(), |engine, setup| {
        let conv = setup.conv().stride(setup.stride.0, setup.stride.1);
        let x: Vec<f32> = setup.data();
        let y = run::<f32, f32>(engine, &conv, setup.input, &x)?;
        let problem = Problem::new(&conv, setup.input, crate::common::F32, crate::common::F32)?;
        let &[n, h, w, c] = problem.output_shape().dims() else { unreachable!() };
        let planar = conv.layout(Layout::Nchw);
        let planes = to_nchw(&x, setup.input);
        let got = run::<f32, f32>(engine, &planar, dims(setup.input, Layout::Nchw), &planes)?;
        Ok(same_bits(&got, &to_nchw(&y, [n, h, w, c]))?)
    });
}

#[test]
fn flipping_twice_is_not_flipping() {
    law("flip twice", setups(), |engine, setup| {
        let conv = setup.conv();
        if conv.clone().flip().flip() != conv
            || setup.weights().flipped().flipped() != setup.weights()
        {
            return Err(String::from("the second flip does not undo the first").into());
        }
        let turned = Conv2d::new(setup.weights().flipped())
            .flip()
            .border(setup.border)
            .dilation(setup.dilation.0, setup.dilation.1);
        let x: Vec<f32> = setup.data();
        let y = run::<f32, f32>(engine, &conv, setup.input, &x)?;
        Ok(same_bits(&run::<f32, f32>(engine, &turned, setup.input, &x)?, &y)?)
    });
}

#[test]
fn a_stride_takes_every_so_manieth() {
    law("stride", setups().prop_map(Setup::roomy), |engine, setup| {
        let conv = setup.conv().padding(Padding::Valid);
        let x: Vec<f32> = setup.data();
        let [n, h, w, c] = setup.input;
        let (eh, ew) = setup.extent();
        let y = run::<f32, f32>(engine, &conv, setup.input, &x)?;
        let (sh, sw) = setup.stride;
        let conv = conv.stride(sh, sw);
        let got = run::<f32, f32>(engine, &conv, setup.input, &x)?;
        let (oh, ow, oc) = (h - eh + 1, w - ew + 1, c * setup.filters);
        let want: Vec<f32> = (0..n)
            .flat_map(|n| (0..oh).step_by(sh).map(move |r| n * oh + r))
            .flat_map(|row| (0..ow).step_by(sw).map(move |q| (row * ow + q) * oc))
            .flat_map(|at| y[at..at + oc].to_vec())
            .collect();
        // The order in which `flat` sums depends on the stride.
        if engine.prepare::<f32, f32>(&conv, setup.input)?.plan().algorithm() != Algorithm::Flat {
            return Ok(same_bits(&got, &want)?);
        }
        let problem = Problem::new(&conv, setup.input, crate::common::F32, crate::common::F32)?;
        for (i, exact) in reference::run(&problem, &x).iter().enumerate() {
            let off = (f64::from(got[i]) - f64::from(want[i])).abs();
            if off.is_nan() || off > 2.0 * exact.allowance {
                return Err(format!("element {i}: {} for {}", got[i], want[i]).into());
            }
        }
        Ok(())
    });
}

#[test]
fn bands_with_their_halo_are_the_whole() {
    law("bands by hand", setups().prop_map(Setup::roomy), |engine, setup| {
        let (sh, sw) = setup.stride;
        let conv = setup.conv().padding(Padding::Valid).stride(sh, sw);
        let [_, h, w, c] = setup.input;
        let input = [1, h, w, c];
        let x: Vec<f32> = Setup { input, ..setup }.data();
        let whole = run::<f32, f32>(engine, &conv, input, &x)?;
        let extent = setup.extent().0;
        let out = (h - extent) / sh + 1;
        let mut rng = setup.rng();
        let (mut row, mut bands) = (0, Vec::new());
        while row < out {
            let rows = 1 + rng.below(out - row);
            let (first, last) = (row * sh, (row + rows - 1) * sh + extent);
            let band = &x[first * w * c..last * w * c];
            bands.extend(run::<f32, f32>(engine, &conv, [1, last - first, w, c], band)?);
            row += rows;
        }
        Ok(same_bits(&bands, &whole)?)
    });
}

#[test]
fn padding_is_what_the_border_says() {
    law("padding by hand", setups().prop_map(Setup::single_filter), |engine, setup| {
        let mut rng = setup.rng();
        let [top, bottom, left, right] = [0; 4].map(|_| rng.below(9));
        let (eh, ew) = setup.extent();
        // Enough for one output.
        let (bottom, right) = (bottom + eh, right + ew);
        let [_, h, w, c] = setup.input;
        let x: Vec<f32> = Setup { input: [1, h, w, c], ..setup }.data();
        let conv = setup.conv().padding(Padding::Explicit { top, bottom, left, right });
        let got = run::<f32, f32>(engine, &conv, [1, h, w, c], &x)?;
        let mut padded = Vec::new();
        for row in 0..top + h + bottom {
            for column in 0..left + w + right {
                let row = setup.border.index(row as isize - top as isize, h);
                let column = setup.border.index(column as isize - left as isize, w);
                match (row, column) {
                    (Some(r), Some(q)) => padded.extend(&x[(r * w + q) * c..(r * w + q + 1) * c]),
                    _ => padded.extend(vec![setup.border.constant().unwrap() as f32; c]),
                }
            }
        }
        let by_hand = [1, top + h + bottom, left + w + right, c];
        let conv = setup.conv().padding(Padding::Valid);
        Ok(same_bits(&run::<f32, f32>(engine, &conv, by_hand, &padded)?, &got)?)
    });
}

/// Scalars are widened exactly, and narrowed once at the end.
#[test]
fn types_are_floats_rounded_once() {
    fn of<T: Element>(engine: &Engine, setup: Setup) -> Result<(), Stop> {
        let conv = setup.conv().stride(setup.stride.0, setup.stride.1);
        let scalars: Vec<T> = setup.data();
        let floats: Vec<f32> = scalars.iter().map(|x| x.to_f32()).collect();
        let wide = run::<f32, f32>(engine, &conv, setup.input, &floats)?;
        same_bits(&run::<T, f32>(engine, &conv, setup.input, &scalars)?, &wide)?;
        // Words of several scalars are made by other blocks on a GPU, whose sums may have other last bits:
        // far below the step of an integer, but some lie between two.
        let largest = floats.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let off = if engine.as_gpu().is_some() { largest * 2f32.powi(-21) } else { 0.0 };
        for got in [
            run::<T, T>(engine, &conv, setup.input, &scalars)?,
            run::<f32, T>(engine, &conv, setup.input, &floats)?,
        ] {
            for (got, wide) in got.iter().zip(&wide) {
                let [lo, hi] = [wide - off, wide + off].map(|x| T::from_f32(x).to_f32());
                if !(lo..=hi).contains(&got.to_f32()) {
                    return Err(format!("{got:?} for {wide} in f32").into());
                }
            }
        }
        Ok(())
    }
    // Each compiles four pipelines.
    let on_gpu = if full() { GPU_CASES } else { 5 };
    law_on(on_gpu, "bytes", setups(), of::<u8>);
    law_on(on_gpu, "16-bit integers", setups(), of::<u16>);
    law_on(on_gpu, "half floats", setups(), of::<f16>);
}

/// A law that does not hold is refused.
#[test]
#[should_panic(expected = "doubling on cpu")]
fn a_broken_law_is_seen() {
    law("doubling", setups(), |engine, setup| {
        let conv = setup.conv();
        let x: Vec<f32> = setup.data();
        let y = run::<f32, f32>(engine, &conv, setup.input, &x)?;
        let doubled: Vec<f32> = y.iter().map(|y| y * 2.0).collect();
        Ok(same_bits(&y, &doubled)?)
    });
}
