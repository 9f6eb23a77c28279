//! Streams of frames: in order, right, and gone when they are dropped. Their memory has a program of its
//! own, `memory.rs`.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::common::{BORDERS, Rng, compare, gpu};
use channelwise::plan::Cuts;
use channelwise::{
    Border, Conv2d, Element, Engine, Error, FrameStream, Gpu, Kernel, Layout, Padding, Problem,
    Shape, reference, wgpu,
};
use pollster::block_on;

/// Frames that differ from each other.
fn frames<T: Element>(count: usize, shape: Shape) -> Vec<Vec<T>> {
    let len = shape.elements().unwrap();
    (0..count).map(|n| Rng::new(n as u64).elements(len, -40.0, 300.0)).collect()
}

/// All results, pushed and then popped.
fn through<T: Element, U: Element>(
    stream: &mut FrameStream<T, U>,
    frames: &[Vec<T>],
    most: usize,
) -> Vec<Vec<U>> {
    let mut results = Vec::new();
    for (n, frame) in frames.iter().enumerate() {
        let result = stream.push(frame).unwrap();
        assert_eq!(result.is_some(), n >= most, "{n}");
        assert_eq!(stream.under_way(), (n + 1).min(most));
        results.extend(result);
    }
    while let Some(result) = stream.pop().unwrap() {
        results.push(result);
    }
    assert_eq!((stream.under_way(), stream.pop().unwrap()), (0, None));
    results
}

fn agrees<T: Element, U: Element>(gpu: &Gpu, conv: &Conv2d, shape: Shape) {
    let problem = Problem::new(conv, shape, T::TYPE, U::TYPE).unwrap();
    let frames = frames::<T>(7, shape);
    let stream = gpu.frames::<T, U>(std::slice::from_ref(conv), shape).unwrap();
    assert_eq!(stream.output_shape(), problem.output_shape());
    let spread = stream.plan().stages()[0].plan.accuracy().spread;
    for most in [1, 3, 5] {
        let mut stream = gpu.frames::<T, U>(std::slice::from_ref(conv), shape).unwrap();
        if most != 3 {
            stream = stream.in_flight(most).unwrap();
        }
        let results = through(&mut stream, &frames, most);
        assert_eq!(results.len(), frames.len());
        for (frame, result) in frames.iter().zip(&results) {
            let want = reference::run_within(&problem, frame, spread);
            if let Err(text) = compare(result, &want, problem.output_shape()) {
                panic!("{problem}, {most} in flight: {text}");
            }
        }
    }
}

#[test]
fn results_come_in_order_and_right() {
    let Some(gpu) = gpu() else { return };
    for (n, border) in BORDERS.into_iter().enumerate() {
        let layout = [Layout::Nhwc, Layout::Nchw][n % 2];
        let conv = Conv2d::new(Rng::new(n as u64).kernel(3, 4, 1)).border(border).layout(layout);
        agrees::<u8, u8>(&gpu, &conv, [11, 7, 3].into());
        agrees::<f32, f32>(&gpu, &conv.clone().stride(2, 1), [2, 9, 5, 3].into());
        agrees::<u8, f32>(&gpu, &conv.padding(Padding::Full), [5, 13].into());
    }
}

#[test]
fn a_stream_takes_a_chain_and_slices_and_waits_for_nobody() {
    let Some(gpu) = gpu() else { return };
    let shape = Shape::from([17, 13, 3]);
    let two = [
        Conv2d::new(Rng::new(1).kernel(3, 3, 1)),
        Conv2d::new(Rng::new(2).kernel(5, 3, 1)).stride(2, 2).border(Border::Wrap),
    ];
    let engine = Engine::from(gpu.clone());
    let chain = engine.chain::<u8, f32>(&two, shape).unwrap();
    let all = frames::<u8>(9, shape);
    let want: Vec<Vec<f32>> = all
        .iter()
        .map(|frame| {
            let frame = ndarray::ArrayView::from_shape((17, 13, 3), frame).unwrap();
            chain.run(&frame).unwrap().into_raw_vec_and_offset().0
        })
        .collect();
    let mut stream = gpu.frames::<u8, f32>(&two, shape).unwrap();
    assert_eq!(through(&mut stream, &all, 3), want);

    // Without blocking, and into slices; dirty ones.
    let len = want[0].len();
    let got = block_on(async {
        let mut stream = gpu.frames_async::<u8, f32>(&two, shape).await.unwrap();
        let mut got = Vec::new();
        for (n, frame) in all.iter().enumerate() {
            if n % 2 == 0 {
                got.extend(stream.push_async(frame).await.unwrap());
                continue;
            }
            let mut result = vec![f32::NAN; len];
            if stream.push_into_async(frame, &mut result).await.unwrap() {
                got.push(result);
            }
        }
        let mut result = vec![f32::NAN; len];
        assert!(stream.pop_into_async(&mut result).await.unwrap());
        got.push(result);
        while let Some(result) = stream.pop_async().await.unwrap() {
            got.push(result);
        }
        got
    });
    assert_eq!(got, want);
    let mut result = vec![f32::NAN; len];
    assert!(!stream.push_into(&all[0], &mut result).unwrap() && result.iter().all(|v| v.is_nan()));
    assert!(stream.pop_into(&mut result).unwrap());
    assert_eq!(result, want[0]);
    assert!(!stream.pop_into(&mut result).unwrap());
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let Some(gpu) = gpu() else { return };
    let conv = [Conv2d::new(Kernel::box_blur(3, 3).unwrap())];
    let mut stream = gpu.frames::<u8, u8>(&conv, [5, 7]).unwrap();
    for _ in 0..3 {
        assert_eq!(stream.push(&[9; 35]), Ok(None));
    }
    let error = stream.push(&[9; 34]).unwrap_err();
    assert!(matches!(error, Error::ShapeMismatch { what: "frame", .. }), "{error}");
    for error in [
        stream.push_into(&[9; 35], &mut [0; 36]).unwrap_err(),
        stream.pop_into(&mut [0; 3]).unwrap_err(),
    ] {
        assert!(matches!(error, Error::ShapeMismatch { what: "result", .. }), "{error}");
    }
    assert_eq!(stream.under_way(), 3);
    let error = stream.in_flight(1).unwrap_err();
    assert!(error.to_string().contains("3 are under way"), "{error}");
    for frames in [0, 17] {
        let stream = gpu.frames::<u8, u8>(&conv, [5, 7]).unwrap();
        let error = stream.in_flight(frames).unwrap_err();
        assert!(matches!(error, Error::Argument { argument: "frames in flight", .. }), "{error}");
    }
    let error = gpu.frames::<u8, u8>(&[], [5, 7]).unwrap_err();
    assert!(matches!(error, Error::Argument { .. }), "{error}");
    // No elements at all.
    let mut none = gpu.frames::<u8, u8>(&conv, [0, 5, 7, 3]).unwrap();
    assert_eq!((none.push(&[]), none.pop()), (Ok(None), Ok(Some(vec![]))));
}

/// A future that is dropped leaves the stream as it was.
#[test]
fn a_future_that_is_dropped_loses_no_frame() {
    let Some(gpu) = gpu() else { return };
    let shape = [270, 480, 3];
    let conv = [Conv2d::new(Rng::new(3).kernel(5, 5, 1))];
    let mut stream = gpu.frames::<u8, u8>(&conv, shape).unwrap();
    let all = frames::<u8>(5, shape.into());
    let want = through(&mut stream, &all, 3);
    let mut got = Vec::new();
    for frame in &all {
        let full = stream.under_way() == 3;
        let poll = {
            let push = pin!(stream.push_async(frame));
            push.poll(&mut Context::from_waker(Waker::noop()))
        };
        match poll {
            Poll::Ready(result) => got.extend(result.unwrap()),
            Poll::Pending => {
                assert!(full && stream.under_way() == 3);
                got.extend(stream.push(frame).unwrap());
            }
        }
    }
    while let Some(result) = stream.pop().unwrap() {
        got.push(result);
    }
    assert!(got == want, "{} of {} results", got.len(), want.len());
}

#[test]
fn a_stream_with_frames_under_way_can_be_dropped() {
    let Some(gpu) = gpu() else { return };
    let staged = gpu.with_cuts(Cuts { staged: true, ..Cuts::NONE });
    // Upload, input, output and download of three frames.
    dropped(staged, 12);
    // Where the memory is one, input and output alone. Another device, whose pool is empty.
    let shares = gpu.device().features().contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS);
    drop(gpu);
    dropped(self::gpu().unwrap(), if shares { 6 } else { 12 });
}

fn dropped(gpu: Gpu, buffers: u64) {
    let shape = [270, 480, 3];
    let conv = [Conv2d::new(Rng::new(3).kernel(7, 7, 1))];
    let all = frames::<u8>(5, shape.into());
    let mut stream = gpu.frames::<u8, u8>(&conv, shape).unwrap();
    let want = through(&mut stream, &all, 3);
    drop(stream);
    // Its buffers serve the next.
    let pool = gpu.pool_stats();
    assert_eq!((pool.made, pool.free as u64), (buffers, buffers));
    for under_way in 1..4 {
        let mut stream = gpu.frames::<u8, u8>(&conv, shape).unwrap();
        for frame in &all[..under_way] {
            assert_eq!(stream.push(frame), Ok(None));
        }
        drop(stream);
        let mut stream = gpu.frames::<u8, u8>(&conv, shape).unwrap();
        assert!(through(&mut stream, &all, 3) == want, "after {under_way} were dropped");
    }
    assert!(gpu.pool_stats().reused >= buffers);
    // The device itself may go first.
    let mut stream = gpu.frames::<u8, u8>(&conv, shape).unwrap();
    stream.push(&all[0]).unwrap();
    drop(gpu);
    assert!(stream.pop().unwrap().unwrap() == want[0]);
}

#[test]
fn a_lost_device_is_an_error() {
    let Some(gpu) = gpu() else { return };
    let conv = [Conv2d::new(Kernel::box_blur(3, 3).unwrap())];
    let mut stream = gpu.frames::<f32, u8>(&conv, [5, 7]).unwrap().in_flight(2).unwrap();
    for _ in 0..2 {
        assert_eq!(stream.push(&[9.0; 35]), Ok(None));
    }
    gpu.device().destroy();
    let mut errors = vec![stream.push(&[9.0; 35]).err()];
    errors.push(block_on(stream.push_async(&[9.0; 35])).err());
    errors.push(stream.push(&[9.0; 35]).err());
    // What was done before may still be had; the loss is told sooner or later, and nothing panics.
    let lost: Vec<Error> = errors.into_iter().flatten().collect();
    assert!(!lost.is_empty());
    assert!(lost.iter().all(|error| matches!(error, Error::DeviceLost { .. })), "{lost:?}");
}
