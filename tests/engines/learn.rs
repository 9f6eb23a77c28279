//! Training: starts, steps, and files of weights.

use std::path::Path;

use channelwise::learn::{Adam, Optimizer, Sgd, SharedLayer};
use channelwise::ndarray::{Array2, Array3, Array4, ArrayD, Axis, IxDyn};
use channelwise::{
    Activation, Border, Conv2d, Engine, Error, Kernel, Padding, Pointwise, WeightGradients, f16,
};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// Numbers from 0 to 1 that look random.
fn numbers(n: usize, mut state: u32) -> Vec<f32> {
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    std::iter::repeat_with(next).take(n).collect()
}

fn image(height: usize, width: usize, channels: usize) -> Array3<f32> {
    let values = numbers(height * width * channels, 5);
    Array3::from_shape_vec((height, width, channels), values).unwrap()
}

/// Two filters, a pointwise step to one, and biases, all different.
fn full() -> SharedLayer {
    let kernel = Kernel::with_filters(3, 2, 2, numbers(12, 1)).unwrap();
    let mix = Pointwise::new(2, 1, vec![0.5, -0.25]).unwrap().bias([0.125]);
    SharedLayer::new(Conv2d::new(kernel).bias([1.0, -2.0]).pointwise(mix)).unwrap()
}

/// The same sizes, other values.
fn empty() -> SharedLayer {
    let mix = Pointwise::new(2, 1, vec![0.0; 2]).unwrap();
    let kernel = Kernel::with_filters(3, 2, 2, vec![0.0; 12]).unwrap();
    SharedLayer::new(Conv2d::new(kernel).pointwise(mix)).unwrap()
}

fn gradients(layer: &SharedLayer) -> WeightGradients {
    let engine = Engine::cpu();
    let x = image(6, 7, 2);
    let y = layer.forward(&engine, &x).unwrap();
    layer.weight_gradients(&engine, &x, &y).unwrap()
}

#[test]
fn glorot_is_tensorflows() {
    let layer = SharedLayer::glorot_uniform(11, 13, 7, 3).unwrap();
    let limit = f64::sqrt(6.0 / (11.0 * 13.0 + 11.0 * 13.0 * 7.0));
    let weights: Vec<f64> = layer.kernel().weights().iter().map(|w| f64::from(*w)).collect();
    let n = weights.len() as f64;
    assert_eq!(n, 1001.0);
    let largest = weights.iter().fold(0.0f64, |a, b| a.max(b.abs()));
    assert!(largest <= limit * (1.0 + 1e-7) && largest > 0.99 * limit, "{largest} of {limit}");
    // Mean and variance of so many draws, within four standard deviations.
    let mean = weights.iter().sum::<f64>() / n;
    let variance = weights.iter().map(|w| w * w).sum::<f64>() / n;
    let sigma = limit / 3f64.sqrt();
    assert!(mean.abs() < 4.0 * sigma / n.sqrt(), "mean {mean}");
    assert!((variance / (sigma * sigma) - 1.0).abs() < 4.0 * (0.8 / n).sqrt(), "{variance}");
    assert_eq!(layer.bias(), [0.0; 7]);
    // TensorFlow's layer: no padding.
    let y = layer.forward(&Engine::cpu(), &image(20, 20, 1)).unwrap();
    assert_eq!(y.dim(), (10, 8, 7));
}

#[test]
fn a_seed_is_the_same_everywhere() {
    let of = |seed| SharedLayer::glorot_uniform(1, 2, 2, seed).unwrap();
    assert_eq!(of(42), of(42));
    assert_ne!(of(42), of(43));
    // As drawn when this was written; other machines and later versions must draw the same.
    assert_eq!(of(42).kernel().weights(), GOLDEN);
}

const GOLDEN: [f32; 4] = [0.583_265_54, 0.559_856_1, -0.760_107, 0.967_282_95];

#[test]
fn starts_are_refused() {
    let refused = |layer: channelwise::Result<SharedLayer>, words: &[&str]| {
        let error = layer.unwrap_err();
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    refused(SharedLayer::glorot_uniform(0, 3, 1, 0), &["kernel height", "0"]);
    refused(SharedLayer::glorot_uniform(3, 3, 0, 0), &["kernel filters", "0"]);
    refused(SharedLayer::glorot_uniform(usize::MAX, 3, 1, 0), &["kernel weights", "* 3 * 1"]);
    refused(SharedLayer::glorot_uniform(1 << 30, 1 << 30, 2, 0), &["kernel weights", "host"]);
    let conv = Conv2d::new(Kernel::sobel_x());
    refused(SharedLayer::new(conv.clone().bias([1.0, 2.0])), &["bias", "[1]", "[2]"]);
    let mix = |bias: Vec<f32>| Pointwise::new(2, 1, vec![1.0; 2]).unwrap().bias(bias);
    refused(SharedLayer::new(conv.clone().pointwise(mix(vec![]))), &["pointwise", "[1]", "[2]"]);
    let two = Kernel::stack(&[Kernel::sobel_x(), Kernel::sobel_y()]).unwrap();
    let conv = Conv2d::new(two).pointwise(mix(vec![0.0; 3]));
    refused(SharedLayer::new(conv), &["pointwise bias", "[1]", "[3]"]);
}

#[test]
fn biases_are_kept_or_left_out() {
    assert_eq!(empty().bias(), [0.0, 0.0]);
    let without = full().without_bias();
    assert!(without.bias().is_empty());
    let same = without.clone().with(|conv| conv.bias([3.0, 4.0])).unwrap();
    assert_eq!(same, without);
    let (mut stepped, all) = (without.clone(), gradients(&without));
    stepped.step(&mut Sgd::new(0.1, 0.0), &all).unwrap();
    assert!(stepped.bias().is_empty());
    assert_ne!(stepped.kernel(), without.kernel());
    let stepped = stepped.pointwise().unwrap();
    let expected = Pointwise::new(2, 1, vec![0.0; 2]).unwrap();
    assert_eq!((stepped.filters(), stepped.outputs()), (expected.filters(), expected.outputs()));
}

#[test]
fn sgd_is_keras() {
    let mut sgd = Sgd::new(0.1, 0.9);
    let mut found = [1.0f32, -2.0, 3.0];
    let (mut weights, mut velocities) = (found.map(f64::from), [0.0f64; 3]);
    for t in 0..50 {
        // The rate changes half way, where Keras and PyTorch part.
        sgd.learning_rate = if t < 25 { 0.1 } else { 0.01 };
        let gradients = found.map(|w| 2.0 * w + 0.25);
        for i in 0..3 {
            velocities[i] = 0.9 * velocities[i] - sgd.learning_rate * f64::from(gradients[i]);
            weights[i] += velocities[i];
        }
        sgd.step(0, &mut found, &gradients).unwrap();
        for (found, expected) in found.iter().zip(weights) {
            assert!((f64::from(*found) - expected).abs() < 1e-6, "{t}: {found} for {expected}");
        }
        weights = found.map(f64::from);
    }
    // PyTorch: b = 0.9 b + g; w -= 0.1 b. By hand for g = 1, 1, 1: w = -0.1, -0.29, -0.561.
    let (mut sgd, mut weight) = (Sgd::new(0.1, 0.9), [0.0]);
    for expected in [-0.1f32, -0.29, -0.561] {
        sgd.step(7, &mut weight, &[1.0]).unwrap();
        assert!((weight[0] - expected).abs() < 1e-7, "{}", weight[0]);
    }
}

#[test]
fn adam_is_the_papers() {
    let mut adam = Adam::new(0.02);
    let mut found = [1.0f32, -2.0, 1e-3];
    let (mut m, mut v) = ([0.0f64; 3], [0.0f64; 3]);
    for t in 1..=200 {
        let before = found.map(f64::from);
        let gradients = [found[0], 100.0 * found[1], 1e-7 * (t as f32)];
        adam.step(0, &mut found, &gradients).unwrap();
        for i in 0..3 {
            let g = f64::from(gradients[i]);
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            let mean = m[i] / (1.0 - 0.9f64.powi(t));
            let square = v[i] / (1.0 - 0.999f64.powi(t));
            let expected = before[i] - 0.02 * mean / (square.sqrt() + 1e-7);
            let error = (f64::from(found[i]) - expected).abs();
            assert!(error <= 1e-7 * expected.abs().max(1e-2), "{t}, {i}: {error}");
        }
    }
    // By hand: the first step is the learning rate times the sign, whatever the gradient.
    let (mut adam, mut weights) = (Adam::default(), [0.5f32, 0.5]);
    adam.step(0, &mut weights, &[1e-2, -50.0]).unwrap();
    assert!((weights[0] - 0.499).abs() < 1e-6 && (weights[1] - 0.501).abs() < 1e-6, "{weights:?}");
}

#[test]
fn slots_are_apart() {
    let run = |slots: [usize; 2]| {
        let mut adam = Adam::new(0.1);
        let mut weights = [[1.0f32], [1.0]];
        for _ in 0..5 {
            for i in 0..2 {
                adam.step(slots[i], &mut weights[i], &[(1 + i) as f32]).unwrap();
            }
        }
        weights
    };
    assert_ne!(run([0, 0]), run([0, 1]));
    assert_eq!(run([4, 2]), run([0, 1]));
    // A slot keeps its length.
    for optimizer in [&mut Adam::new(0.1) as &mut dyn Optimizer, &mut Sgd::new(0.1, 0.0)] {
        optimizer.step(0, &mut [0.0, 0.0], &[1.0, 1.0]).unwrap();
        let error = optimizer.step(0, &mut [0.0], &[1.0]).unwrap_err();
        assert!(matches!(error, Error::ShapeMismatch { .. }), "{error}");
        assert!(optimizer.step(1, &mut [0.0], &[1.0, 2.0]).is_err());
    }
}

#[test]
fn options_of_optimizers_are_checked() {
    let adam = |change: fn(&mut Adam)| {
        let mut adam = Adam::default();
        change(&mut adam);
        adam.step(0, &mut [1.0], &[1.0]).unwrap_err().to_string()
    };
    let sgd = |rate, momentum| {
        Sgd::new(rate, momentum).step(0, &mut [1.0], &[1.0]).unwrap_err().to_string()
    };
    for (text, words) in [
        (adam(|a| a.learning_rate = f64::NAN), ["learning_rate", "NaN"]),
        (adam(|a| a.beta_1 = 1.0), ["beta_1", "1"]),
        (adam(|a| a.beta_2 = -0.5), ["beta_2", "-0.5"]),
        (adam(|a| a.epsilon = 0.0), ["epsilon", "0"]),
        (sgd(-1.0, 0.0), ["learning_rate", "-1"]),
        (sgd(f64::INFINITY, 0.0), ["learning_rate", "inf"]),
        (sgd(0.1, 1.5), ["momentum", "1.5"]),
    ] {
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
}

/// Trains on one image for so many steps; the layer then, and the mean of squared errors.
fn train(
    mut layer: SharedLayer,
    hidden: &Conv2d,
    optimizer: &mut dyn Optimizer,
    steps: usize,
) -> (SharedLayer, f32) {
    let engine = Engine::cpu();
    let x = image(12, 13, 3);
    let target = engine.run(hidden, &x).unwrap();
    for _ in 0..steps {
        let y = layer.forward(&engine, &x).unwrap();
        let dy = (&y - &target) * (2.0 / y.len() as f32);
        let gradients = layer.weight_gradients(&engine, &x, &dy).unwrap();
        layer.step(optimizer, &gradients).unwrap();
    }
    let y = layer.forward(&engine, &x).unwrap();
    let loss = (&y - &target).mapv(|v| v * v).mean().unwrap();
    (layer, loss)
}

#[test]
fn a_linear_layer_finds_the_kernel() {
    let two = Kernel::stack(&[Kernel::sobel_x(), Kernel::laplacian4()]).unwrap();
    let hidden = Conv2d::like_tensorflow(two).bias([0.5, -1.0]);
    let start = || SharedLayer::glorot_uniform(3, 3, 2, 1).unwrap();
    for optimizer in [&mut Sgd::new(0.2, 0.9) as &mut dyn Optimizer, &mut Adam::new(0.05)] {
        let (layer, loss) = train(start(), &hidden, optimizer, 600);
        assert!(loss < 1e-5, "{loss}");
        for (found, hidden) in layer.kernel().weights().iter().zip(hidden.kernel().weights()) {
            assert!((found - hidden).abs() < 0.03, "{found} for {hidden}");
        }
        assert!((layer.bias()[0] - 0.5).abs() < 0.05 && (layer.bias()[1] + 1.0).abs() < 0.05);
    }
}

#[test]
fn other_options_learn_too() {
    let hidden = Kernel::with_filters(2, 3, 2, numbers(12, 9)).unwrap();
    let options = |conv: Conv2d| {
        conv.stride(1, 2)
            .dilation(2, 1)
            .padding(Padding::Same)
            .border(Border::Reflect)
            .flip()
            .activation(Activation::Tanh)
    };
    let mix = Pointwise::new(2, 1, vec![1.0, -0.5]).unwrap().bias([0.25]);
    let hidden = options(Conv2d::new(hidden)).pointwise(mix);
    let first = Pointwise::new(2, 1, vec![0.5, 0.1]).unwrap();
    let start = SharedLayer::glorot_uniform(2, 3, 2, 8).unwrap();
    let start = start.with(|conv| options(conv).pointwise(first)).unwrap();
    let (_, before) = train(start.clone(), &hidden, &mut Adam::new(0.02), 0);
    let (layer, after) = train(start.clone(), &hidden, &mut Adam::new(0.02), 400);
    assert!(after < before / 100.0, "{before} to {after}");
    assert_ne!(layer.pointwise(), start.pointwise());
}

#[test]
fn bytes_and_batches_learn_too() {
    let engine = Engine::cpu();
    let layer = SharedLayer::glorot_uniform(3, 3, 1, 2).unwrap();
    let x = image(9, 8, 2).mapv(|v| (v * 255.0) as u8).insert_axis(Axis(0));
    let y: Array4<f32> = layer.forward(&engine, &x).unwrap();
    let all = layer.backward(&engine, &x, &y).unwrap();
    let wide = layer.backward(&engine, &x.mapv(f32::from), &y).unwrap();
    assert_eq!((all.input.dim(), &all.weights), (x.dim(), &wide.weights));
    assert_eq!(layer.weight_gradients(&engine, &x, &y).unwrap(), wide.weights);
}

#[test]
fn steps_are_refused_and_change_nothing() {
    let layer = full();
    let good = gradients(&layer);
    let mut adam = Adam::new(0.1);
    let refused = |adam: &mut Adam, bad: &WeightGradients, words: &[&str]| {
        let (mut stepped, before) = (layer.clone(), adam.clone());
        let error = stepped.step(adam, bad).unwrap_err();
        let text = error.to_string();
        assert!(error.is_usage() && words.iter().all(|word| text.contains(word)), "{text}");
        assert_eq!(stepped, layer);
        assert_eq!(*adam, before);
    };
    let mut bad = good.clone();
    bad.kernel[[1, 0, 1]] = f32::NAN;
    refused(&mut adam, &bad, &["gradient of the kernel", "NaN at 5", "finite"]);
    let mut bad = good.clone();
    bad.bias[1] = f32::NEG_INFINITY;
    refused(&mut adam, &bad, &["gradient of the bias", "-inf at 1"]);
    let mut bad = good.clone();
    bad.pointwise.as_mut().unwrap().bias[0] = f32::NAN;
    refused(&mut adam, &bad, &["gradient of the pointwise bias", "NaN at 0"]);
    let mut bad = good.clone();
    bad.pointwise = None;
    refused(&mut adam, &bad, &["pointwise weights", "[2, 1]", "[]"]);
    bad.kernel = Array3::zeros((2, 3, 2));
    refused(&mut adam, &bad, &["kernel", "[3, 2, 2]", "[2, 3, 2]"]);
    // Gradients in another order in memory are the same gradients.
    let (mut a, mut b) = (layer.clone(), layer.clone());
    let mut turned = good.clone();
    let (kernel, of) = (&good.kernel, |i: [usize; 3]| good.kernel[[i[2], i[1], i[0]]]);
    let (h, w, f) = kernel.dim();
    turned.kernel = Array3::from_shape_fn((f, w, h), |(a, b, c)| of([a, b, c])).reversed_axes();
    a.step(&mut Sgd::new(0.1, 0.0), &good).unwrap();
    b.step(&mut Sgd::new(0.1, 0.0), &turned).unwrap();
    assert_eq!(a, b);
    // A weight that would be infinite.
    let mut bad = good.clone();
    bad.kernel[[0, 0, 0]] = -f32::MAX;
    let mut stepped = layer.clone();
    let text = stepped.step(&mut Sgd::new(10.0, 0.0), &bad).unwrap_err().to_string();
    assert!(text.contains("kernel") && text.contains("learning rate"), "{text}");
    assert_eq!(stepped, layer);
}

#[test]
fn safetensors_go_round() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.safetensors");
    let layer = full();
    layer.save_safetensors(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes, layer.to_safetensors().unwrap());
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for (name, shape) in [
        ("kernel", &[3, 2, 1, 2][..]),
        ("bias", &[2]),
        ("pointwise.kernel", &[1, 1, 2, 1]),
        ("pointwise.bias", &[1]),
    ] {
        let tensor = file.tensor(name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, shape));
    }
    let data = file.tensor("kernel").unwrap().data();
    let kernel: Vec<f32> =
        data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(kernel, layer.kernel().weights());

    let mut loaded = empty();
    loaded.load_safetensors(&path).unwrap();
    assert_eq!(loaded, layer);
    let mut loaded = empty();
    loaded.read_safetensors(&bytes).unwrap();
    assert_eq!(loaded, layer);
    let (without, mut loaded) = (full().without_bias(), empty().without_bias());
    loaded.read_safetensors(&without.to_safetensors().unwrap()).unwrap();
    assert_eq!(loaded, without);
}

/// A file of these tensors, each of zeros.
fn file(tensors: &[(&str, Dtype, &[usize])]) -> Vec<u8> {
    let data = vec![0u8; 1000];
    let views = tensors.iter().map(|(name, kind, shape)| {
        let len = shape.iter().product::<usize>() * kind.bitsize() / 8;
        (*name, TensorView::new(*kind, shape.to_vec(), &data[..len]).unwrap())
    });
    safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap()
}

#[test]
fn halves_are_read() {
    let mut layer = SharedLayer::new(Conv2d::new(Kernel::sobel_x())).unwrap().without_bias();
    let data: Vec<u8> = (0..9).flat_map(|i| f16::from_f32(i as f32 / 2.0).to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F16, vec![3, 3, 1, 1], &data).unwrap();
    layer.read_safetensors(&safetensors::serialize([("kernel", view)], None).unwrap()).unwrap();
    let halves: Vec<f32> = (0..9).map(|i| i as f32 / 2.0).collect();
    assert_eq!(layer.kernel().weights(), halves);
}

#[test]
fn wrong_safetensors_are_refused() {
    let kernel = ("kernel", Dtype::F32, &[3, 3, 1, 1][..]);
    let bias = ("bias", Dtype::F32, &[1][..]);
    let layer = SharedLayer::new(Conv2d::new(Kernel::sobel_x())).unwrap();
    for (bytes, words) in [
        (file(&[kernel]), ["`bias`", "f32 or f16 of shape [1]", "no such tensor"]),
        (
            file(&[("kernel", Dtype::F32, &[5, 3, 1, 1]), bias]),
            ["`kernel`", "[3, 3, 1, 1]", "f32 of shape [5, 3, 1, 1]"],
        ),
        (file(&[("kernel", Dtype::F32, &[3, 3]), bias]), ["`kernel`", "[3, 3, 1, 1]", "[3, 3]"]),
        (
            file(&[("kernel", Dtype::F64, &[3, 3, 1, 1]), bias]),
            ["`kernel`", "f32 or f16", "f64 of shape"],
        ),
        (
            file(&[kernel, bias, ("pointwise.kernel", Dtype::F32, &[1, 1, 1, 1])]),
            ["`pointwise.kernel`", "no tensor", "a tensor"],
        ),
        (
            file(&[("weight", Dtype::F32, &[3, 3, 1, 1]), bias]),
            ["`weight`", "kernel instead", "a tensor"],
        ),
    ] {
        let mut loaded = layer.clone();
        let error = loaded.read_safetensors(&bytes).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Weights { .. }) && error.is_usage(), "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        assert_eq!(loaded, layer);
    }
    let whole = layer.to_safetensors().unwrap();
    let mut loaded = layer.clone();
    for length in 0..whole.len() {
        let error = loaded.read_safetensors(&whole[..length]).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.safetensors");
    std::fs::write(&path, &whole[..20]).unwrap();
    is_file(loaded.load_safetensors(&path), &path);
    let missing = folder.path().join("missing.safetensors");
    is_file(loaded.load_safetensors(&missing), &missing);
    is_file(loaded.save_safetensors(folder.path()), folder.path());
    assert_eq!(loaded, layer);
}

#[track_caller]
fn is_file(result: channelwise::Result<()>, path: &Path) {
    let error = result.unwrap_err();
    assert!(matches!(&error, Error::File { path: at, .. } if Path::new(at) == path), "{error}");
    assert!(!error.is_usage());
}

#[test]
fn npy_files_go_round() {
    let folder = tempfile::tempdir().unwrap();
    // It is made.
    let folder = folder.path().join("weights").join("last");
    let layer = full();
    layer.save_npy(&folder).unwrap();
    let kernel = std::fs::File::open(folder.join("kernel.npy")).unwrap();
    let kernel = Array4::<f32>::read_npy(kernel).unwrap();
    assert_eq!(Kernel::from_array4(&kernel).unwrap(), *layer.kernel());
    let mut loaded = empty();
    loaded.load_npy(&folder).unwrap();
    assert_eq!(loaded, layer);
    // Fortran order, and a file that is not ours.
    let mut turned = Vec::new();
    let reversed = Array4::from_shape_fn((2, 1, 2, 3), |(f, o, w, h)| kernel[[h, w, o, f]]);
    reversed.reversed_axes().write_npy(&mut turned).unwrap();
    assert!(String::from_utf8_lossy(&turned).contains("'fortran_order': True"));
    std::fs::write(folder.join("kernel.npy"), turned).unwrap();
    std::fs::write(folder.join("notes.npy"), "none").unwrap();
    let mut loaded = empty();
    loaded.load_npy(&folder).unwrap();
    assert_eq!(loaded, layer);
}

#[test]
fn wrong_npy_files_are_refused() {
    let layer = SharedLayer::new(Conv2d::new(Kernel::sobel_x())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let path = folder.join("kernel.npy");
    layer.save_npy(folder).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let load = || {
        let mut loaded = layer.clone();
        let result = loaded.load_npy(folder);
        assert_eq!(loaded, layer);
        result
    };
    load().unwrap();
    let refused = |words: &[&str]| {
        let error = load().unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Weights { .. }) && error.is_usage(), "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    let write = |array: ArrayD<f64>, wide: bool| {
        let mut bytes = Vec::new();
        match wide {
            true => array.write_npy(&mut bytes).unwrap(),
            false => array.mapv(|v| v as f32).write_npy(&mut bytes).unwrap(),
        }
        std::fs::write(&path, bytes).unwrap();
    };
    write(ArrayD::zeros(IxDyn(&[3, 3, 1, 1])), true);
    refused(&["`kernel`", "float32 of shape [3, 3, 1, 1]", "<f8 of shape [3, 3, 1, 1]"]);
    write(ArrayD::zeros(IxDyn(&[3, 5, 1, 1])), false);
    refused(&["`kernel`", "[3, 3, 1, 1]", "<f4 of shape [3, 5, 1, 1]"]);
    write(Array2::zeros((3, 3)).into_dyn(), false);
    refused(&["`kernel`", "[3, 3, 1, 1]", "[3, 3]"]);
    std::fs::remove_file(&path).unwrap();
    refused(&["`kernel`", "no such file"]);
    std::fs::write(&path, &whole).unwrap();
    std::fs::write(folder.join("pointwise.kernel.npy"), &whole).unwrap();
    refused(&["`pointwise.kernel`", "no file of this name"]);
    std::fs::remove_file(folder.join("pointwise.kernel.npy")).unwrap();

    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        is_file(load(), &path);
    }
    std::fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    is_file(load(), &path);
    // Headers that would cost memory or stack.
    let headers = [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3, 1, 1), 'shape': (1,), }".into(),
        format!("{{'descr': '<f4', 'shape': (3, 3, 1, 1), 'more': {}", "(".repeat(5000)),
        "x".repeat(20_000),
    ];
    for header in headers {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        std::fs::write(&path, bytes).unwrap();
        is_file(load(), &path);
    }
    let huge = b"\x93NUMPY\x02\x00\xff\xff\xff\xff{";
    std::fs::write(&path, huge).unwrap();
    is_file(load(), &path);
}
