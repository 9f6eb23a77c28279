//! Mip levels and layers of textures, views of them, and what is kept of all these.

use super::*;
use channelwise::{TextureOrView, TextureSubresource};
use wgpu::TextureFormat::{Bgra8UnormSrgb, Rgba8UnormSrgb};

const BOTH: TextureUsages = READ.union(WRITE);

fn descriptor(size: [usize; 2], format: TextureFormat) -> wgpu::TextureDescriptor<'static> {
    wgpu::TextureDescriptor {
        label: None,
        size: extent(size),
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: BOTH,
        view_formats: &[],
    }
}

fn layered(size: [usize; 2], layers: u32) -> wgpu::TextureDescriptor<'static> {
    let size_of_all = wgpu::Extent3d { depth_or_array_layers: layers, ..extent(size) };
    wgpu::TextureDescriptor { size: size_of_all, ..descriptor(size, Rgba8Unorm) }
}

fn layer_view(texture: &wgpu::Texture, layer: u32) -> TextureView {
    texture.create_view(&wgpu::TextureViewDescriptor {
        dimension: Some(wgpu::TextureViewDimension::D2),
        base_array_layer: layer,
        array_layer_count: Some(1),
        ..Default::default()
    })
}

fn blur(size: [usize; 2]) -> Case {
    let kernel = Kernel::gaussian(5, 1.1).unwrap();
    Case::new(kernel, (2, 2), Conv2d::new, Border::Reflect101, size)
}

fn prepare(gpu: &Gpu, case: &Case) -> GpuTexturePrepared {
    gpu.prepare_texture(&case.conv, extent(case.size), &case.options(Algorithm::Auto)).unwrap()
}

fn encode<'a>(
    gpu: &Gpu,
    prepared: &GpuTexturePrepared,
    source: impl Into<TextureOrView<'a>>,
    destination: impl Into<TextureOrView<'a>>,
) -> Result<(), Error> {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let encoded = prepared.encode_texture(&mut encoder, source, destination);
    gpu.queue().submit([encoder.finish()]);
    encoded
}

/// What a case makes of these pixels, between textures of their own.
fn alone(gpu: &Gpu, case: &Case, pixels: &[f32]) -> Vec<f32> {
    case.on_gpu(gpu, &prepare(gpu, case), pixels)
}

fn holds(case: &Case, prepared: &GpuTexturePrepared, from: &[f32], got: &[f32]) {
    let spread = prepared.plan().accuracy().spread;
    let judged = judge(case, from, spread, true, got);
    assert!(judged.wrong.is_none(), "{case:?}: {judged:?}");
}

/// All levels in one submission, each read by the next: by a box of 2x2, which strides by 2.
#[test]
fn a_mip_chain_lies_in_one_texture() {
    let Some(gpu) = gpu() else { return };
    let like = |kernel| Conv2d::new(kernel).stride(2, 2).padding(Padding::Valid);
    for format in [Rgba8Unorm, Rgba16Float, Rgba32Float] {
        let sizes = [[16, 24], [8, 12], [4, 6], [2, 3], [1, 1]];
        let count = sizes.len() as u32;
        let chain = gpu.device().create_texture(&wgpu::TextureDescriptor {
            mip_level_count: count,
            ..descriptor(sizes[0], format)
        });
        let cases = sizes.map(|size| {
            let kernel = Kernel::box_blur(2, 2).unwrap();
            let case = Case::new(kernel, (0, 0), like, Border::Replicate, size);
            Case { formats: [format; 2], ..case }
        });
        let halve: Vec<_> = cases[..4].iter().map(|case| prepare(&gpu, case)).collect();
        let pixels = pixels(format, sizes[0], 21);
        upload(&gpu, &chain, &pixels);
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let level = |n| TextureSubresource::new(&chain).mip_level(n);
        for (n, halve) in (0..).zip(&halve) {
            halve.encode_texture(&mut encoder, level(n), level(n + 1)).unwrap();
        }
        gpu.queue().submit([encoder.finish()]);
        let levels: Vec<_> = (0..count).map(|n| download_part(&gpu, &chain, [n, 0])).collect();
        // What is read stays as it is.
        assert_eq!(levels[0], pixels, "{format:?}");
        for (n, (case, halve)) in cases.iter().zip(&halve).enumerate() {
            let [h, w] = sizes[n + 1];
            assert_eq!(levels[n + 1].len(), h * w * 4);
            holds(case, halve, &levels[n], &levels[n + 1]);
        }
    }
}

/// From layer to layer on one mip level, with the layers and the level beside them untouched.
#[test]
fn layers_lie_in_one_texture() {
    let Some(gpu) = gpu() else { return };
    // That of level 1, and not of the texture.
    let size = [9, 13];
    let case = blur(size);
    let prepared = prepare(&gpu, &case);
    let array = gpu
        .device()
        .create_texture(&wgpu::TextureDescriptor { mip_level_count: 2, ..layered([18, 26], 4) });
    let all: Vec<_> = (0..4).map(|layer| pixels(Rgba8Unorm, size, layer)).collect();
    for (layer, pixels) in (0..).zip(&all) {
        upload_part(&gpu, &array, [1, layer], pixels);
    }
    let at = |layer| TextureSubresource::new(&array).mip_level(1).array_layer(layer);
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    prepared.encode_texture(&mut encoder, at(3), at(0)).unwrap();
    prepared.encode_texture(&mut encoder, at(0), at(2)).unwrap();
    gpu.queue().submit([encoder.finish()]);
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|n| download_part(&gpu, &array, [1, n]));
    assert_eq!([&second, &fourth], [&all[1], &all[3]]);
    holds(&case, &prepared, &fourth, &first);
    holds(&case, &prepared, &first, &third);
    // Nobody wrote to the larger level.
    assert!((0..4).all(|n| download_part(&gpu, &array, [0, n]).iter().all(|v| *v == 0.0)));
}

/// Whatever names a texture, texels are the same.
#[test]
fn textures_and_views_are_one() {
    let Some(gpu) = gpu() else { return };
    let case = blur([12, 17]);
    let prepared = prepare(&gpu, &case);
    let pixels = pixels(Rgba8Unorm, case.size, 31);
    let want = alone(&gpu, &case, &pixels);
    let make = |descriptor: &wgpu::TextureDescriptor<'_>| gpu.device().create_texture(descriptor);
    let single = make(&descriptor(case.size, Rgba8Unorm));
    let array = make(&layered(case.size, 3));
    upload(&gpu, &single, &pixels);
    upload_part(&gpu, &array, [0, 1], &pixels);
    let (whole, layer) = (view(&single), layer_view(&array, 1));
    let sources = [
        TextureOrView::from(&single),
        TextureSubresource::new(&single).into(),
        TextureOrView::from(&whole),
        TextureSubresource::new(&array).array_layer(1).into(),
        TextureOrView::from(&layer),
    ];
    for (n, source) in sources.into_iter().enumerate() {
        let destination = make(&descriptor(case.size, Rgba8Unorm));
        encode(&gpu, &prepared, source, &destination).unwrap();
        assert_eq!(download(&gpu, &destination), want, "source {n}");
        let destination = make(&layered(case.size, 2));
        encode(&gpu, &prepared, source, &layer_view(&destination, 1)).unwrap();
        assert_eq!(download_part(&gpu, &destination, [0, 1]), want, "source {n}, a view");
        assert!(download_part(&gpu, &destination, [0, 0]).iter().all(|v| *v == 0.0));
    }
}

/// Texels are read in the format that was prepared for, if a texture can be seen so: not in its own,
/// and not in that of a view.
#[test]
fn the_format_that_was_prepared_for_is_read() {
    let Some(gpu) = gpu() else { return };
    let pixels = pixels(Rgba8Unorm, [8, 11], 41);
    for (plain, srgb) in [(Rgba8Unorm, Rgba8UnormSrgb), (Bgra8Unorm, Bgra8UnormSrgb)] {
        let mut results = Vec::new();
        for (needed, other) in [(plain, srgb), (srgb, plain)] {
            let case = Case { formats: [needed, Rgba16Float], ..blur([8, 11]) };
            let prepared = prepare(&gpu, &case);
            let want = alone(&gpu, &case, &pixels);
            results.push(want.clone());
            let texture = gpu.device().create_texture(&wgpu::TextureDescriptor {
                // With storage, which no view of sRGB has, where there is some.
                usage: if other == Rgba8Unorm { BOTH } else { READ },
                view_formats: &[needed],
                ..descriptor(case.size, other)
            });
            upload(&gpu, &texture, &pixels);
            let seen = |format| {
                texture.create_view(&wgpu::TextureViewDescriptor {
                    format: Some(format),
                    usage: Some(TextureUsages::TEXTURE_BINDING),
                    ..Default::default()
                })
            };
            let views = [seen(needed), seen(other)];
            let sources = [TextureOrView::from(&texture), (&views[0]).into(), (&views[1]).into()];
            for source in sources {
                let size = [case.size[0], case.size[1]];
                let destination = gpu.device().create_texture(&descriptor(size, Rgba16Float));
                encode(&gpu, &prepared, source, &destination).unwrap();
                assert_eq!(download(&gpu, &destination), want, "{other:?} as {needed:?}");
            }

            // One that cannot be seen so.
            let closed = gpu.device().create_texture(&wgpu::TextureDescriptor {
                usage: READ,
                ..descriptor(case.size, other)
            });
            let destination = gpu.device().create_texture(&descriptor(case.size, Rgba16Float));
            let error = encode(&gpu, &prepared, &closed, &destination).unwrap_err();
            assert!(error.is_usage(), "{error}");
            for part in [
                format!("source texture: format {other:?} is not {needed:?}"),
                format!("needed is {needed:?} among its view_formats"),
            ] {
                assert!(error.to_string().contains(&part), "{error}");
            }
            // What failed is not kept.
            assert!(encode(&gpu, &prepared, &closed, &destination).is_err());
        }
        // Light is not what stores it.
        assert_ne!(results[0], results[1]);
    }
}

/// A device of its own, whose counts no other test changes.
#[test]
fn bindings_are_kept_by_texture() {
    if gpu().is_none() {
        return;
    }
    let gpu = Gpu::request(&GpuOptions::new()).unwrap();
    let case = blur([10, 10]);
    let prepared = prepare(&gpu, &case);
    let bound = |what: &str, times: u64, work: &dyn Fn()| {
        let before = gpu.pool_stats().bound;
        work();
        assert_eq!(gpu.pool_stats().bound - before, times, "{what}");
    };
    let make = |layers| gpu.device().create_texture(&layered(case.size, layers));
    let [from, to] = [make(1), make(1)];
    bound("one pair, however it is named", 1, &|| {
        for _ in 0..3 {
            encode(&gpu, &prepared, &from, &to).unwrap();
            encode(&gpu, &prepared, &view(&from), &to).unwrap();
            encode(&gpu, &prepared, TextureSubresource::new(&from), &view(&to)).unwrap();
            // A handle is not a texture of its own.
            encode(&gpu, &prepared, &from.clone(), &to).unwrap();
        }
    });
    bound("the other way round", 1, &|| encode(&gpu, &prepared, &to, &from).unwrap());
    let cube = make(12);
    let layer = |n| TextureSubresource::new(&cube).array_layer(n);
    let faces = |n| (0..n).for_each(|k| encode(&gpu, &prepared, layer(k), &to).unwrap());
    bound("each face", 6, &|| (0..3).for_each(|_| faces(6)));
    bound("those before them", 0, &|| encode(&gpu, &prepared, &to, &from).unwrap());
    // The six, three more, and then nine of which eight are kept.
    bound("more than are kept", 12, &|| (0..2).for_each(|_| faces(9)));
    bound("within one texture", 1, &|| {
        (0..2).for_each(|_| encode(&gpu, &prepared, layer(1), layer(0)).unwrap());
    });
    // Of a layer's view it is not known what it shows.
    let same = layer_view(&cube, 3);
    bound("views of layers", 2, &|| {
        (0..2).for_each(|_| encode(&gpu, &prepared, &same, &to).unwrap());
        encode(&gpu, &prepared, &layer_view(&cube, 3), &to).unwrap();
    });
    prepared.forget_textures();
    bound("after forgetting", 1, &|| encode(&gpu, &prepared, &from, &to).unwrap());
}

#[test]
fn subresources_that_cannot_serve_are_refused() {
    let Some(gpu) = gpu() else { return };
    let case = blur([8, 12]);
    let prepared = prepare(&gpu, &case);
    let good = gpu.device().create_texture(&descriptor(case.size, Rgba8Unorm));
    // Level 1 is of the size, and level 0 is not.
    let levels = gpu.device().create_texture(&wgpu::TextureDescriptor {
        mip_level_count: 3,
        ..descriptor([16, 24], Rgba8Unorm)
    });
    let array = gpu.device().create_texture(&layered(case.size, 3));
    let plain = |format, usage| {
        gpu.device()
            .create_texture(&wgpu::TextureDescriptor { usage, ..descriptor(case.size, format) })
    };
    let unread = plain(Rgba8Unorm, TextureUsages::COPY_SRC);
    let srgb = plain(Rgba8UnormSrgb, READ);
    let float = plain(Rgba16Float, BOTH);
    let at = |texture| TextureSubresource::new(texture);
    // What is refused as both.
    let bad: [(TextureOrView<'_>, &str); 7] = [
        (at(&levels).mip_level(3).into(), "mip level 3 is not there; the last of its 3 is 2"),
        (at(&array).array_layer(3).into(), "layer 3 is not there; the last of its 3 is 2"),
        (at(&array).mip_level(1).into(), "mip level 1 is not there; the last of its 1 is 0"),
        (at(&levels).into(), "size 24x16 is not 12x8 (width x height), which was prepared for"),
        (at(&levels).mip_level(2).into(), "size 6x4 of mip level 2 is not 12x8"),
        (at(&unread).into(), "lacks TextureUsages("),
        (at(&float).into(), "format Rgba16Float is not Rgba8Unorm"),
    ];
    for (given, part) in bad {
        for (which, [from, to]) in
            [("source", [given, (&good).into()]), ("destination", [(&good).into(), given])]
        {
            let error = encode(&gpu, &prepared, from, to).unwrap_err();
            assert!(error.is_usage(), "{error}");
            assert!(matches!(error, Error::Texture { which: w, .. } if w == which), "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    let [first, second] = [0, 1].map(|layer| layer_view(&array, layer));
    let of_levels = view(&levels);
    let of_layers = array.create_view(&wgpu::TextureViewDescriptor::default());
    let srgb_array = gpu.device().create_texture(&wgpu::TextureDescriptor {
        format: Rgba8UnormSrgb,
        usage: READ,
        view_formats: &[Rgba8Unorm],
        ..layered(case.size, 2)
    });
    let srgb_layer = layer_view(&srgb_array, 0);
    type Pair<'a> = [TextureOrView<'a>; 2];
    let pairs: [(Pair<'_>, &str); 10] = [
        ([(&good).into(), (&good).into()], "mip level 0 of layer 0 is the source too"),
        (
            [at(&array).array_layer(2).into(), at(&array).array_layer(2).into()],
            "mip level 0 of layer 2 is the source too; a pass cannot work in place",
        ),
        (
            [at(&levels).mip_level(1).into(), at(&levels).mip_level(1).into()],
            "mip level 1 of layer 0 is the source too",
        ),
        ([(&first).into(), (&second).into()], "a view does not tell its layer"),
        (
            [(&first).into(), at(&array).array_layer(1).into()],
            "needed is a TextureSubresource for both",
        ),
        ([(&of_layers).into(), (&good).into()], "source texture: the view cannot be bound"),
        ([(&good).into(), (&of_layers).into()], "destination texture: the view cannot be bound"),
        ([(&good).into(), (&of_levels).into()], "3 mip levels, and a view does not tell"),
        (
            [(&good).into(), (&srgb).into()],
            "no storage texture has it; needed is one of Rgba8Unorm, whose view_formats may contain Rgba8UnormSrgb",
        ),
        (
            [(&srgb_layer).into(), (&good).into()],
            "source texture: format Rgba8UnormSrgb is not Rgba8Unorm, which was prepared for, and a view of a layer",
        ),
    ];
    for ([from, to], part) in pairs {
        let error = encode(&gpu, &prepared, from, to).unwrap_err();
        assert!(matches!(error, Error::Texture { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    // Those beside them serve.
    encode(&gpu, &prepared, at(&levels).mip_level(1), at(&array).array_layer(2)).unwrap();
    encode(&gpu, &prepared, at(&srgb_array), &good).unwrap();
}
