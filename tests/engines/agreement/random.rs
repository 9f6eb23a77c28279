//! Whatever chance puts together; the seed makes it the same every time.

use std::time::Instant;

use channelwise::{Border, Conv2d, Kernel, Layout, Padding, Pointwise, Shape};

use super::*;
use crate::common::{BORDERS, Case, F32, Rng, Tally, dims, times};

/// Whatever chance puts together; the seed makes it the same every time.
#[test]
fn random_combinations() {
    let mut tally = Tally::new("random combinations");
    for seed in 0..times(40) as u64 {
        tally.case(&random(seed));
    }
    tally.finish(36);
}

/// Many more where no pipeline has to be compiled.
#[test]
fn random_combinations_on_the_cpu() {
    let mut tally = Tally::cpu_only("random combinations on the CPU");
    for seed in 0..times(1900) as u64 {
        tally.case(&random(seed));
    }
    tally.finish(0);
}

/// Cases of a seed on the GPU for a while, both told by the environment: for machines that have little time.
/// Without them a few.
#[test]
fn slice() {
    let told = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = told("CHANNELWISE_SEED").unwrap_or(1) * 1_000_000;
    let seconds = told("CHANNELWISE_SECONDS");
    let mut tally = Tally::gpu_only("a slice");
    let started = Instant::now();
    for seed in first..first + 1_000_000 {
        let over = match seconds {
            Some(seconds) => started.elapsed().as_secs() >= seconds,
            None => seed == first + 4,
        };
        if over {
            break;
        }
        tally.case(&random(seed));
    }
    tally.finish(1);
}

/// Options that leave no output, or a case too slow for the plain loops, are drawn again.
pub(crate) fn random(seed: u64) -> Case {
    let mut rng = Rng::new(1000 + seed);
    (0..100)
        .map(|_| random_case(&mut rng).seed(seed))
        .find(|case| case.problem().is_ok_and(|p| p.multiply_adds() < 60_000))
        .unwrap()
}

/// Of any number of rows, columns and channels, beyond what blocks and workgroups have at once.
pub(crate) fn wide(seed: u64) -> Case {
    let mut rng = Rng::new(seed);
    (0..1000)
        .map(|_| {
            let case = random_case(&mut rng).seed(seed);
            let layout = case.conv.get_layout();
            let mut any = |most: usize| {
                let most = 1 + rng.below(most);
                1 + rng.below(most)
            };
            let shape = dims([any(3), any(300), any(700), any(300)], layout);
            Case { shape: shape.into(), ..case }
        })
        .find(|case| case.problem().is_ok_and(|p| p.multiply_adds() < 1_000_000))
        .unwrap()
}

/// Of positive weights, which take one pass down and one across, or two of each.
pub(crate) fn random_separable(seed: u64) -> Case {
    let mut rng = Rng::new(seed);
    let kernel = match rng.below(4) {
        0 => Kernel::gaussian(7, 1.5),
        1 => Kernel::box_blur(3, 8),
        2 => Kernel::separable(&rng.f32s(5, 0.2, 1.0), &rng.f32s(9, 0.2, 1.0)),
        _ => Kernel::stack(&[Kernel::gaussian(7, 1.0).unwrap(), Kernel::box_blur(7, 7).unwrap()]),
    };
    let layout = *rng.pick(&LAYOUTS);
    let (step, apart) =
        (*rng.pick(&[(1, 1), (2, 1), (3, 2)]), *rng.pick(&[(1, 1), (1, 3), (2, 1)]));
    let columns = *rng.pick(&BORDERS);
    // There is one constant for both.
    let rows = match columns {
        Border::Constant(_) => *rng.pick(&[columns, Border::Reflect101, Border::Wrap]),
        _ => *rng.pick(&BORDERS),
    };
    let conv = Conv2d::new(kernel.unwrap())
        .layout(layout)
        .border((rows, columns))
        .stride(step.0, step.1)
        .dilation(apart.0, apart.1)
        .padding(*rng.pick(&[Padding::Same, Padding::Valid, Padding::Full]));
    let shape = [1 + rng.below(2), 21 + rng.below(9), 27 + rng.below(60), 1 + rng.below(5)];
    Case::new(conv, dims(shape, layout)).seed(seed)
}

fn random_case(rng: &mut Rng) -> Case {
    let types = *rng.pick(&TYPES);
    let layout = *rng.pick(&LAYOUTS);
    let filters = *rng.pick(&[1, 1, 1, 2, 3, 4, 5]);
    let &(kh, kw) = rng.pick(&KERNELS);
    let &(sh, sw) = rng.pick(&STRIDES);
    let &(dh, dw) = rng.pick(&DILATIONS);
    let mut conv = Conv2d::new(rng.kernel(kh, kw, filters))
        .layout(layout)
        .border(rng.borders())
        .stride(sh, sw)
        .dilation(dh, dw);
    match rng.below(5) {
        0 => conv = conv.padding(Padding::Valid),
        1 => conv = conv.padding(Padding::Full),
        2 => {
            let [top, bottom, left, right] = [0; 4].map(|_| rng.below(12));
            conv = conv.padding(Padding::Explicit { top, bottom, left, right });
        }
        3 => conv = conv.anchor(rng.below(kh), rng.below(kw)),
        _ => {}
    }
    if rng.chance(3) {
        conv = conv.flip();
    }
    if rng.chance(2) {
        conv = conv.bias(rng.f32s(filters, -0.5, 0.5));
    }
    let last = |rng: &mut Rng| {
        if types.1 == F32 && rng.chance(3) {
            *rng.pick(&FLOAT_ACTIVATIONS)
        } else {
            *rng.pick(&ACTIVATIONS)
        }
    };
    if rng.chance(2) {
        conv = conv.activation(last(rng));
    }
    let mut outputs = filters;
    if rng.chance(4) {
        outputs = *rng.pick(&[1, 2, 4]);
        let weights = rng.f32s(filters * outputs, -1.0, 1.0);
        let mut pointwise = Pointwise::new(filters, outputs, weights).unwrap();
        if rng.chance(2) {
            pointwise = pointwise.bias(rng.f32s(outputs, -0.5, 0.5));
        }
        if rng.chance(2) {
            pointwise = pointwise.activation(last(rng));
        }
        conv = conv.pointwise(pointwise);
    }
    let (h, w) = (*rng.pick(&SIZES), *rng.pick(&SIZES));
    let c = *rng.pick(&[1, 2, 3, 4, 5, 8, 17]);
    let shape: Shape = match rng.below(4) {
        0 if outputs == 1 => [h, w].into(),
        1 if layout == Layout::Nhwc => [h, w, c].into(),
        1 => [c, h, w].into(),
        _ => dims([1 + rng.below(2), h, w, c], layout).into(),
    };
    Case::new(conv, shape).types(types)
}
