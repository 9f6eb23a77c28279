//! Gradients, training, and other weights for what is prepared.

use std::cell::RefCell;

use channelwise::{Algorithm, Conv2d, Element as _, Gpu, GpuTensor, Kernel, Problem, Result};
use ndarray::Array3;

use super::{Act, LEN, SHAPE, Scenario, again, bytes, conv, engine, numbers, other, reweighed, x};

fn both() -> [Conv2d; 2] {
    [conv(), other()]
}

/// A kernel of another sum of separable ones each time, for several passes with weights of their own.
fn sharper(which: usize) -> Conv2d {
    let sigma = [1.0, 2.5][which];
    Conv2d::new(Kernel::gaussian(7, sigma).unwrap()).bias(vec![sigma as f32])
}

fn by(algorithm: Algorithm, gpu: &Gpu) -> Result<Act> {
    let prepared = engine(gpu).with_algorithm(algorithm).prepare::<f32, f32>(&sharper(0), SHAPE)?;
    Ok(reweighed(
        prepared,
        |prepared, which| prepared.set_weights(&sharper(which)),
        |prepared| prepared.run(&x()).map(|y| numbers(&y)),
    ))
}

/// Kernels that lie on the device, for a problem of bytes with this kernel.
fn kernels(gpu: &Gpu, before: Kernel) -> Result<Act> {
    let (side, from) = (before.height(), GpuTensor::from_array(gpu, &bytes())?);
    let problem = Problem::new(&Conv2d::new(before), SHAPE, u8::TYPE, f32::TYPE)?;
    let mut prepared = gpu.prepare(&problem, Algorithm::Direct)?;
    let kernel = |n: usize| {
        let values = Array3::from_shape_fn((side, side, 1), |(i, j, _)| (n + i * side + j) as f32);
        GpuTensor::from_array(gpu, &values)
    };
    let kernels = [kernel(1)?, kernel(2)?];
    prepared.set_kernel_from(&kernels[0])?;
    Ok(reweighed(
        prepared,
        move |prepared, which| prepared.set_kernel_from(&kernels[which]),
        move |prepared| {
            let y = prepared.apply::<u8, f32>(&from);
            prepared.forget_buffers();
            y?.download()
        },
    ))
}

/// A mean that takes a kernel from the device, and is a mean again.
fn mean(gpu: &Gpu) -> Result<Act> {
    let from = GpuTensor::from_array(gpu, &bytes())?;
    let mean = Conv2d::new(Kernel::box_blur(3, 3)?);
    let problem = Problem::new(&mean, SHAPE, u8::TYPE, f32::TYPE)?;
    let prepared = gpu.prepare(&problem, Algorithm::Direct)?;
    let values = Array3::from_shape_fn((3, 3, 1), |(i, j, _)| (i * 3 + j) as f32);
    let kernel = GpuTensor::from_array(gpu, &values)?;
    Ok(reweighed(
        prepared,
        move |prepared, which| match which {
            0 => prepared.set_weights(&mean),
            _ => prepared.set_kernel_from(&kernel),
        },
        move |prepared| {
            let y = prepared.apply::<u8, f32>(&from);
            prepared.forget_buffers();
            y?.download()
        },
    ))
}

#[cfg(feature = "learn")]
fn training(gpu: &Gpu) -> Result<Act> {
    use channelwise::learn::{Adam, SharedLayer};
    let engine = engine(gpu);
    let first = SharedLayer::glorot_uniform(3, 3, 2, 42)?;
    Ok(Box::new(move |right| {
        let (mut layer, mut adam) = (first.clone(), Adam::new(0.01));
        let mut all = Vec::new();
        let weights = |layer: &SharedLayer| [layer.kernel().weights(), layer.bias()].concat();
        for _ in 0..2 {
            let mut step = || {
                let dy = layer.forward(&engine, &x())? - 0.5;
                let gradients = layer.weight_gradients(&engine, &x(), &dy)?;
                layer.step(&mut adam, &gradients)
            };
            let stepped = step();
            if let (Err(_), Some(right)) = (&stepped, right) {
                let kept = weights(&layer);
                let before = match all.len() {
                    0 => weights(&first),
                    len => right[len - kept.len()..len].to_vec(),
                };
                assert_eq!(kept, before, "half a step");
            }
            stepped?;
            all.extend(weights(&layer));
        }
        Ok(all)
    }))
}

fn backward(gpu: &Gpu) -> Result<Act> {
    const BEFORE: f32 = 77.0;
    let backward = engine(gpu).prepare_backward::<f32>(&conv(), SHAPE)?;
    let mut dx = x();
    Ok(Box::new(move |right| {
        dx.fill(BEFORE);
        let weights = backward.run_into(&x(), &x(), &mut dx).inspect_err(|_| {
            let right = right.map(|right| &right[..LEN]);
            super::whole_or_absent(dx.as_slice().unwrap(), BEFORE, right);
        })?;
        let mut all = numbers(&dx);
        all.extend(numbers(&weights.kernel));
        all.extend(numbers(&backward.weights(&x(), &x())?.kernel));
        all.extend(numbers(&backward.input(&x(), &x())?));
        Ok(all)
    }))
}

pub(super) const SCENARIOS: &[Scenario] = &[
    again("backward", |gpu| {
        let engine = engine(gpu);
        Ok(Box::new(move |_| {
            let all = engine.backward(&conv(), &x(), &x())?;
            let mut numbers = numbers(&all.input);
            numbers.extend(all.weights.kernel.iter());
            Ok(numbers)
        }))
    }),
    again("backward, prepared", backward),
    #[cfg(feature = "learn")]
    again("training", training),
    again("weights of direct", |gpu| by(Algorithm::Direct, gpu)),
    again("weights of march", |gpu| by(Algorithm::March, gpu)),
    again("weights of separable", |gpu| by(Algorithm::Separable, gpu)),
    again("weights of fft", |gpu| by(Algorithm::Fft, gpu)),
    again("weights beside a clone", |gpu| {
        let prepared = engine(gpu).prepare::<f32, f32>(&conv(), SHAPE)?;
        let clone = prepared.clone();
        Ok(reweighed(
            prepared,
            move |prepared, which| {
                // Shared again each time.
                let kept = prepared.clone();
                prepared.set_weights(&both()[which])?;
                assert_eq!(clone.problem().conv(), &conv());
                drop(kept);
                Ok(())
            },
            |prepared| prepared.run(&x()).map(|y| numbers(&y)),
        ))
    }),
    again("weights of a chain", |gpu| {
        let two = |which: usize| {
            let [first, second] = [which, 1 - which].map(|n| both()[n].clone());
            [first.activation(channelwise::Activation::Relu), second]
        };
        let chain = engine(gpu).chain::<f32, f32>(&two(0), SHAPE)?;
        Ok(reweighed(
            chain,
            move |chain, which| chain.set_weights(&two(which)),
            |chain| chain.run(&x()).map(|y| numbers(&y)),
        ))
    }),
    again("weights of gradients", |gpu| {
        let backward = engine(gpu).prepare_backward::<f32>(&conv(), SHAPE)?;
        Ok(reweighed(
            backward,
            |backward, which| backward.set_weights(&both()[which]),
            |backward| backward.input(&x(), &x()).map(|dx| numbers(&dx)),
        ))
    }),
    again("weights of frames", |gpu| {
        let stream = gpu.frames::<f32, f32>(&[conv()], SHAPE)?;
        Ok(reweighed(
            RefCell::new(stream),
            |stream, which| stream.get_mut().set_weights(&[both()[which].clone()]),
            |stream| {
                let mut stream = stream.borrow_mut();
                while stream.pop()?.is_some() {}
                stream.push(x().as_slice().unwrap())?;
                Ok(stream.pop()?.expect("a frame is under way"))
            },
        ))
    }),
    again("weights of what is masked", |gpu| {
        let prepared = engine(gpu).prepare::<f32, f32>(&conv().normalized(), SHAPE)?;
        let mask = Array3::from_shape_fn(SHAPE, |(r, q, c)| ((r + q + c) % 3) as f32);
        Ok(reweighed(
            prepared,
            |prepared, which| prepared.set_weights(&both()[which].clone().normalized()),
            move |prepared| prepared.run_masked(&x(), &mask).map(|y| numbers(&y)),
        ))
    }),
    again("kernels from the device", |gpu| kernels(gpu, Kernel::gaussian(3, 1.0)?)),
    again("a mean that takes a kernel from the device", mean),
];
