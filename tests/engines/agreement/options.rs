//! Options, one or two at a time, by tables.

use channelwise::{Activation, Border, Conv2d, Kernel, Padding, Pointwise};

use super::*;
use crate::common::{BORDERS, Case, F16, F32, I8, I16, Rng, Tally, U8, U16, dims, pairwise};

#[test]
fn borders_and_element_types() {
    let mut tally = Tally::new("borders and element types");
    let mut rng = Rng::new(1);
    let types = [F32, U8, U16, F16, I8, I16];
    for [border, from, to, layout] in
        pairwise([BORDERS.len(), types.len(), types.len(), LAYOUTS.len()])
    {
        let layout = LAYOUTS[layout];
        let conv = Conv2d::new(rng.kernel(5, 3, 1)).border(BORDERS[border]).layout(layout);
        tally.case(&Case::new(conv, dims([2, 7, 9, 3], layout)).types((types[from], types[to])));
    }
    tally.finish(12);
}

#[test]
fn heights_and_widths() {
    let mut tally = Tally::new("heights and widths");
    let kernel = Rng::new(2).kernel(3, 3, 1);
    let types = [(F32, F32), (U8, U8), (U16, U16), (F32, F16), (I8, I8), (I16, I16)];
    for [size, kind, shape] in pairwise([SIZES.len(), types.len(), 6]) {
        let n = SIZES[size];
        let conv = Conv2d::new(kernel.clone()).border(Border::Reflect101);
        // The other numbers of axes in both orders.
        let turned = conv.clone().layout(LAYOUTS[size % 2]);
        let case = match shape {
            0 => Case::new(conv, [1, n, 5, 3]),
            1 => Case::new(conv, [1, 5, n, 3]),
            2 => Case::new(conv, [1, 3, n, 4]),
            3 => Case::new(conv, [1, n, n, 1]),
            4 => Case::new(turned, if size % 2 == 0 { [4, n, 2] } else { [2, 4, n] }),
            _ => Case::new(turned, [6, n]),
        };
        tally.case(&case.types(types[kind]));
    }
    tally.finish(40);
}

#[test]
fn channels_and_batches() {
    let mut tally = Tally::new("channels and batches");
    let kernel = Rng::new(3).kernel(3, 3, 1);
    let channels = [0, 1, 2, 3, 4, 5, 8, 17, 64, 300];
    for [c, batch, layout, types] in pairwise([channels.len(), 3, 2, 4]) {
        let layout = LAYOUTS[layout];
        let shape = dims([[0, 1, 3][batch], 5, 7, channels[c]], layout);
        let conv = Conv2d::new(kernel.clone()).layout(layout);
        tally.case(&Case::new(conv, shape).types(TYPES[types]));
    }
    for channels in [7, 9, 16, 33] {
        for types in [(U8, U8), (U16, U16), (U8, F16)] {
            tally.case(&Case::new(Conv2d::new(kernel.clone()), [2, 4, channels]).types(types));
        }
    }
    tally.finish(40);
}

#[test]
fn kernels_up_to_larger_than_the_input() {
    let mut tally = Tally::new("kernels");
    let mut rng = Rng::new(4);
    let mut borders = BORDERS.into_iter().cycle();
    for (kh, kw) in KERNELS.into_iter().chain([(12, 2), (2, 12), (21, 23)]) {
        for padding in [Padding::Same, Padding::Full, Padding::Valid] {
            // At least as large as the kernel where nothing is added.
            let (h, w) = if padding == Padding::Valid { (kh + 2, kw + 4) } else { (6, 9) };
            for border in borders.by_ref().take(2) {
                let conv = Conv2d::new(rng.kernel(kh, kw, 1)).padding(padding).border(border);
                tally.case(&Case::new(conv, [1, h, w, 3]));
            }
        }
    }
    tally.finish(66);
}

#[test]
fn paddings_longer_than_the_input() {
    let mut tally = Tally::new("long paddings");
    let mut rng = Rng::new(5);
    let kernel = rng.kernel(3, 2, 1);
    let paddings = [(0, 0, 0, 0), (1, 2, 0, 3), (7, 0, 0, 9), (13, 16, 11, 17)];
    let sizes = [(1, 1), (1, 4), (3, 2), (5, 7)];
    for [border, size, padding, types] in pairwise([BORDERS.len(), sizes.len(), paddings.len(), 4])
    {
        let ((h, w), (top, bottom, left, right)) = (sizes[size], paddings[padding]);
        if h + top + bottom < 3 || w + left + right < 2 {
            continue;
        }
        let padding = Padding::Explicit { top, bottom, left, right };
        let conv = Conv2d::new(kernel.clone()).padding(padding).border(BORDERS[border]);
        tally.case(&Case::new(conv, [1, h, w, 2]).types(TYPES[types]));
    }
    tally.finish(15);
}

#[test]
fn strides_and_dilations() {
    let mut tally = Tally::new("strides and dilations");
    let mut rng = Rng::new(6);
    let kernel = rng.kernel(3, 4, 1);
    let paddings = [
        Padding::Same,
        Padding::Valid,
        Padding::Full,
        Padding::Explicit { top: 0, bottom: 2, left: 3, right: 1 },
    ];
    let counts = [STRIDES.len(), DILATIONS.len(), 2, BORDERS.len(), paddings.len(), 4];
    for [stride, dilation, channels, border, padding, types] in pairwise(counts) {
        let (stride, dilation) = (STRIDES[stride], DILATIONS[dilation]);
        let conv = Conv2d::new(kernel.clone())
            .stride(stride.0, stride.1)
            .dilation(dilation.0, dilation.1)
            .border(BORDERS[border])
            .padding(paddings[padding]);
        tally.case(&Case::new(conv, [1, 11, 17, 3 + channels]).types(TYPES[types]));
    }
    tally.finish(15);
}

#[test]
fn anchors_and_flips() {
    let mut tally = Tally::new("anchors and flips");
    let mut rng = Rng::new(7);
    for (kh, kw, border) in
        [(3, 3, Border::Reflect101), (4, 2, Border::Wrap), (2, 5, Border::Constant(0.7))]
    {
        let kernel = rng.kernel(kh, kw, 1);
        for (row, column) in [(0, 0), (kh - 1, kw - 1), (kh / 2, kw / 2), (0, kw - 1)] {
            for (stride, dilation) in [(1, 1), (2, 1), (1, 2)] {
                let conv = Conv2d::new(kernel.clone())
                    .anchor(row, column)
                    .stride(stride, stride)
                    .dilation(dilation, dilation)
                    .border(border);
                let conv = if rng.chance(2) { conv.flip() } else { conv };
                tally.case(&Case::new(conv, [1, 7, 8, 4]));
            }
        }
        let flipped = Conv2d::new(kernel).flip();
        tally.case(&Case::new(flipped.clone(), [1, 7, 8, 3]));
        tally.case(&Case::new(flipped.padding(Padding::Full), [1, 7, 8, 3]));
    }
    tally.finish(40);
}

#[test]
fn filters_and_bias() {
    let mut tally = Tally::new("filters and bias");
    let mut rng = Rng::new(8);
    let filters = [1, 2, 3, 4, 5, 8];
    for [count, layout, channels, types, bias] in pairwise([filters.len(), 2, 2, 4, 2]) {
        let (filters, layout) = (filters[count], LAYOUTS[layout]);
        let bias = if bias == 0 { vec![] } else { rng.f32s(filters, -0.5, 0.5) };
        let conv = Conv2d::new(rng.kernel(3, 3, filters)).bias(bias).layout(layout);
        let shape = dims([2, 6, 7, 3 + channels], layout);
        tally.case(&Case::new(conv, shape).types(TYPES[types]));
    }
    tally.finish(15);
}

#[test]
fn activations() {
    let mut tally = Tally::new("activations");
    let mut rng = Rng::new(9);
    for (i, activation) in ACTIVATIONS.into_iter().chain(FLOAT_ACTIVATIONS).enumerate() {
        // Sums from far below to far above where the functions bend.
        let weights = rng.f32s(9 * 2, -6.0, 6.0);
        let kernel = Kernel::with_filters(3, 3, 2, weights).unwrap();
        let layout = LAYOUTS[i % 2];
        let conv = Conv2d::new(kernel).bias([0.5, -2.0]).activation(activation).layout(layout);
        let case = Case::new(conv, dims([1, 8, 9, 4], layout));
        tally.case(&case);
        tally.case(&case.clone().types((U8, F32)));
        if !activation.needs_float() {
            let conv = Conv2d::new(rng.kernel(3, 3, 1)).activation(match activation {
                Activation::Clamp(..) => Activation::Clamp(20.0, 180.5),
                other => other,
            });
            tally.case(&Case::new(conv.clone(), [1, 8, 9, 3]).types((U8, U8)));
            tally.case(&Case::new(conv, [1, 8, 9, 4]).types((F32, U8)));
        }
    }
    tally.finish(26);
}

#[test]
fn pointwise_steps() {
    let mut tally = Tally::new("pointwise");
    let mut rng = Rng::new(10);
    // With 9 taps [2, 8] does not fold, nor does anything with an activation between.
    for (i, (filters, outputs)) in
        [(1, 1), (2, 1), (3, 2), (2, 3), (4, 4), (1, 4), (2, 8), (5, 2)].into_iter().enumerate()
    {
        let between = [Activation::Relu, Activation::Gelu, Activation::Leaky(0.1)][i % 3];
        for between in [Activation::None, between] {
            let weights = rng.f32s(filters * outputs, -1.0, 1.0);
            let mut pointwise = Pointwise::new(filters, outputs, weights).unwrap();
            if i % 2 == 0 {
                pointwise = pointwise.bias(rng.f32s(outputs, -0.5, 0.5));
            }
            if i % 3 == 2 {
                pointwise = pointwise.activation(Activation::Clamp(-0.25, 0.5));
            }
            let layout = LAYOUTS[i % 2];
            let bias = if rng.chance(2) { rng.f32s(filters, -1.0, 1.0) } else { vec![] };
            let conv = Conv2d::new(rng.kernel(3, 3, filters))
                .bias(bias)
                .activation(between)
                .layout(layout)
                .pointwise(pointwise);
            let case = Case::new(conv, dims([1, 6, 7, 4], layout));
            tally.case(&case);
            if i < 4 {
                tally.case(&case.types((U8, U8)));
            }
        }
    }
    tally.finish(18);
}
