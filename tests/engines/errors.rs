//! Every error a caller can cause: its variant, and that its text names the argument, the value
//! found and the limit. Nothing here allocates what it asks for, and nothing panics.

use std::fmt::Debug;

use crate::common::{F32, Kind, U8, engines, main_engines};
use channelwise::ndarray::{Array2, Array3, Array4};
use channelwise::{
    Activation, Algorithm, Border, Conv2d, Cpu, ElementType, Engine, Error, Kernel, Layout,
    Padding, Pointwise, Problem, Result, Shape,
};

/// Variants by name, for `refused`.
fn variant(error: &Error) -> &'static str {
    match error {
        Error::Argument { .. } => "Argument",
        Error::ShapeMismatch { .. } => "ShapeMismatch",
        Error::EmptyOutput { .. } => "EmptyOutput",
        Error::TooLarge { .. } => "TooLarge",
        Error::NotApplicable { .. } => "NotApplicable",
        Error::NoAdapter { .. } => "NoAdapter",
        Error::Device { .. } => "Device",
        Error::DeviceLost { .. } => "DeviceLost",
        Error::Timeout { .. } => "Timeout",
        Error::OutOfMemory { .. } => "OutOfMemory",
        Error::Gpu { .. } => "Gpu",
        Error::Buffer { .. } => "Buffer",
        Error::Threads { .. } => "Threads",
        other => panic!("a new variant, to be tested here: {other}"),
    }
}

/// The error, of this variant and with all these words in its text.
#[track_caller]
fn refused<T: Debug>(result: Result<T>, wanted: &str, words: &[&str]) -> Error {
    let error = result.expect_err("it was not refused");
    let text = error.to_string();
    assert_eq!(variant(&error), wanted, "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
    assert!(text.starts_with(|c: char| c.is_lowercase()) && !text.ends_with('.'), "{text}");
    error
}

/// Refused as a usage error.
#[track_caller]
fn usage<T: Debug>(result: Result<T>, wanted: &str, words: &[&str]) {
    assert!(refused(result, wanted, words).is_usage());
}

fn box3() -> Conv2d {
    Conv2d::new(Kernel::box_blur(3, 3).unwrap())
}

fn two_filters() -> Kernel {
    Kernel::with_filters(2, 2, 2, vec![1.0; 8]).unwrap()
}

fn problem(conv: &Conv2d, shape: impl Into<Shape>) -> Result<Problem> {
    Problem::new(conv, shape, F32, F32)
}

fn padded(top: usize, bottom: usize, left: usize, right: usize) -> Conv2d {
    box3().padding(Padding::Explicit { top, bottom, left, right })
}

// Kernels.

#[test]
fn kernel_of_size_0() {
    usage(Kernel::new(0, 3, vec![]), "Argument", &["kernel height", "0", "at least 1"]);
    usage(Kernel::new(3, 0, vec![]), "Argument", &["kernel width", "0", "at least 1"]);
    usage(
        Kernel::with_filters(3, 3, 0, vec![]),
        "Argument",
        &["kernel filters", "0", "at least 1"],
    );
    usage(Kernel::from_array2(&Array2::zeros((0, 4))), "Argument", &["kernel height", "0"]);
    usage(Kernel::from_array3(&Array3::zeros((2, 4, 0))), "Argument", &["kernel filters", "0"]);
}

#[test]
fn kernel_with_too_few_or_too_many_weights() {
    for n in [8, 10] {
        usage(
            Kernel::new(3, 3, vec![1.0; n]),
            "ShapeMismatch",
            &["kernel weights", "[3, 3, 1]", &n.to_string()],
        );
    }
    usage(
        Kernel::with_filters(3, 3, 2, vec![1.0; 9]),
        "ShapeMismatch",
        &["kernel weights", "[3, 3, 2]", "9"],
    );
    usage(
        Kernel::with_filters(usize::MAX, 2, 2, vec![1.0; 4]),
        "ShapeMismatch",
        &["kernel weights", &usize::MAX.to_string(), "4"],
    );
}

#[test]
fn kernel_with_weights_of_its_own_for_each_channel() {
    usage(
        Kernel::from_array4(&Array4::zeros((3, 3, 2, 1))),
        "Argument",
        &["kernel input channels", "2", "[height, width, 1, filters]"],
    );
}

#[test]
fn kernels_that_do_not_stack() {
    let (a, b) = (Kernel::box_blur(3, 3).unwrap(), Kernel::box_blur(3, 5).unwrap());
    usage(Kernel::stack(&[a, b]), "ShapeMismatch", &["stacked kernel", "[3, 3]", "[3, 5]"]);
    usage(Kernel::stack(&[]), "Argument", &["kernels", "[]", "at least 1"]);
}

#[test]
fn kernel_whose_sum_cannot_be_1() {
    usage(Kernel::sobel_x().normalized(), "Argument", &["kernel sum", "0", "filter 0"]);
    let infinite = Kernel::new(1, 2, vec![1.0, f32::INFINITY]).unwrap();
    usage(infinite.normalized(), "Argument", &["kernel sum", "inf", "finite"]);
    let second = Kernel::with_filters(1, 2, 2, vec![1.0, 1.0, 1.0, -1.0]).unwrap();
    usage(second.normalized(), "Argument", &["kernel sum", "filter 1"]);
}

#[test]
fn pointwise_of_size_0_or_wrong_length() {
    usage(Pointwise::new(0, 1, vec![]), "Argument", &["pointwise filters", "0", "at least 1"]);
    usage(Pointwise::new(1, 0, vec![]), "Argument", &["pointwise outputs", "0", "at least 1"]);
    usage(
        Pointwise::new(2, 3, vec![1.0; 5]),
        "ShapeMismatch",
        &["pointwise weights", "[2, 3]", "5"],
    );
}

// Options.

#[test]
fn bias_of_another_length_than_filters() {
    let conv = Conv2d::new(two_filters()).bias([1.0, 2.0, 3.0]);
    usage(problem(&conv, [8, 8, 3]), "ShapeMismatch", &["bias", "[2]", "[3]"]);
}

#[test]
fn pointwise_for_another_number_of_filters() {
    let conv = Conv2d::new(two_filters()).pointwise(Pointwise::new(3, 1, vec![1.0; 3]).unwrap());
    usage(problem(&conv, [8, 8, 3]), "ShapeMismatch", &["pointwise weights", "[2, 1]", "[3, 1]"]);
}

#[test]
fn pointwise_bias_of_another_length_than_outputs() {
    let pointwise = Pointwise::new(2, 1, vec![1.0; 2]).unwrap().bias([1.0, 2.0]);
    let conv = Conv2d::new(two_filters()).pointwise(pointwise);
    usage(problem(&conv, [8, 8, 3]), "ShapeMismatch", &["pointwise bias", "[1]", "[2]"]);
}

#[test]
fn stride_and_dilation_of_0() {
    for (conv, name) in [
        (box3().stride(0, 1), "stride of rows"),
        (box3().stride(1, 0), "stride of columns"),
        (box3().dilation(0, 1), "dilation of rows"),
        (box3().dilation(1, 0), "dilation of columns"),
    ] {
        usage(problem(&conv, [8, 8, 3]), "Argument", &[name, "0", "at least 1"]);
    }
}

#[test]
fn anchor_outside_the_kernel() {
    usage(problem(&box3().anchor(3, 0), [8, 8, 3]), "Argument", &["anchor row", "3", "3 of them"]);
    usage(
        problem(&box3().anchor(0, 4), [8, 8, 3]),
        "Argument",
        &["anchor column", "4", "3 of them"],
    );
    usage(problem(&box3().anchor(usize::MAX, 0), [8, 8, 3]), "Argument", &["anchor row"]);
}

#[test]
fn anchor_with_a_padding_that_places_the_kernel() {
    for padding in [Padding::Valid, Padding::Full, Padding::all(1)] {
        usage(
            problem(&box3().anchor(1, 2).padding(padding), [8, 8, 3]),
            "Argument",
            &["anchor", "1,2", "padding Same"],
        );
    }
}

#[test]
fn activation_whose_results_are_fractions_for_bytes() {
    for activation in [Activation::Sigmoid, Activation::Tanh, Activation::Gelu] {
        let name = activation.to_string();
        let conv = box3().activation(activation);
        for integer in [U8, ElementType::U16] {
            let words = ["activation", &name, "float", &integer.to_string()];
            usage(Problem::new(&conv, [8, 8, 3], U8, integer), "Argument", &words);
            usage(Problem::new(&conv, [8, 8, 3], F32, integer), "Argument", &words);
        }
        for float in [F32, ElementType::F16] {
            assert!(Problem::new(&conv, [8, 8, 3], U8, float).is_ok());
        }
        // What is not stored may be fractions.
        let pointwise = Pointwise::new(1, 1, vec![100.0]).unwrap();
        let followed = conv.pointwise(pointwise.clone());
        assert!(Problem::new(&followed, [8, 8, 3], U8, U8).is_ok());
        let conv = box3().pointwise(pointwise.activation(activation));
        let words = ["pointwise activation", &name, "float", "u8"];
        usage(Problem::new(&conv, [8, 8, 3], U8, U8), "Argument", &words);
    }
}

#[test]
fn activation_parameters_that_make_no_sense() {
    for (activation, words) in [
        (Activation::Clamp(2.0, 1.0), ["clamp:2,1", "2, 1", "in order"]),
        (Activation::Clamp(f32::NAN, 1.0), ["clamp:NaN,1", "NaN, 1", "in order"]),
        (Activation::Clamp(0.0, f32::NAN), ["clamp:0,NaN", "0, NaN", "in order"]),
        (Activation::Leaky(f32::NAN), ["leaky:NaN", "slope NaN", "finite"]),
        (Activation::Leaky(f32::INFINITY), ["leaky:inf", "slope inf", "finite"]),
    ] {
        usage(problem(&box3().activation(activation), [8, 8, 3]), "Argument", &words);
        let pointwise = Pointwise::new(1, 1, vec![1.0]).unwrap().activation(activation);
        let error = problem(&box3().pointwise(pointwise), [8, 8, 3]);
        usage(error, "Argument", &["pointwise activation", words[0]]);
    }
    let same = Activation::Clamp(1.0, 1.0);
    assert!(problem(&box3().activation(same), [8, 8, 3]).is_ok());
}

// Shapes.

#[test]
fn output_without_rows_or_columns() {
    let conv = Conv2d::new(Kernel::box_blur(5, 3).unwrap()).padding(Padding::Valid);
    usage(problem(&conv, [4, 8, 3]), "EmptyOutput", &["height", "4", "padding 0", "5"]);
    usage(problem(&conv, [8, 2, 3]), "EmptyOutput", &["width", "2", "padding 0", "3"]);
    let conv =
        conv.dilation(1, 4).padding(Padding::Explicit { top: 0, bottom: 0, left: 2, right: 1 });
    usage(problem(&conv, [8, 5, 3]), "EmptyOutput", &["width", "5", "padding 3", "9"]);
    assert!(problem(&conv, [8, 6, 3]).is_ok());
}

#[test]
fn input_without_rows_or_columns() {
    for (shape, name) in [
        ([1, 0, 8, 3], "input height"),
        ([1, 8, 0, 3], "input width"),
        ([0, 0, 8, 3], "input height"),
    ] {
        for padding in [Padding::Same, Padding::Full, Padding::all(9)] {
            let conv = box3().padding(padding);
            usage(problem(&conv, shape), "Argument", &[name, "0", "at least 1"]);
        }
    }
    let empty = Array4::<f32>::zeros((1, 0, 8, 3));
    usage(Engine::cpu().run(&box3(), &empty), "Argument", &["input height", "0"]);
}

/// No images or no channels is an empty output, not an error.
#[test]
fn empty_batches_and_channels_are_fine() {
    for backend in engines() {
        for shape in [(0, 8, 8, 3), (2, 8, 8, 0), (0, 8, 8, 0)] {
            for stride in [1, 2] {
                let conv = box3().stride(stride, stride);
                let made = (shape.0, 8 / stride, 8 / stride, shape.3);
                let out = backend.engine.run(&conv, &Array4::<f32>::zeros(shape));
                assert_eq!(out.unwrap().dim(), made, "{}", backend.name);
                let out = backend.engine.run(&conv, &Array4::<u8>::zeros(shape));
                assert_eq!(out.unwrap().dim(), made, "{}", backend.name);
            }
        }
    }
}

#[test]
fn more_outputs_than_the_axes_can_hold() {
    let conv = Conv2d::new(two_filters());
    usage(problem(&conv, [8, 8]), "Argument", &["filters", "2", "8x8", "no channel axis"]);
    let image = Array2::<f32>::ones((8, 8));
    usage(Engine::cpu().run(&conv, &image), "Argument", &["filters", "2", "8x8"]);
    // With a channel axis it has room.
    assert_eq!(problem(&conv, [8, 8, 1]).unwrap().output_shape().dims(), [8, 8, 2]);
}

#[test]
fn sizes_that_cannot_be_counted() {
    const HUGE: usize = usize::MAX;
    let (limit, row) = (((1usize << 30) - 1).to_string(), i32::MAX.to_string());
    for shape in [[HUGE; 4], [1, HUGE, 8, 3], [1, 8, HUGE, 3], [1, 8, 8, HUGE], [HUGE, 8, 8, 3]] {
        for layout in [Layout::Nhwc, Layout::Nchw] {
            for padding in [Padding::Same, Padding::Valid, Padding::Full, Padding::all(3)] {
                let conv = box3().layout(layout).padding(padding);
                usage(problem(&conv, shape), "TooLarge", &["above the limit of"]);
            }
        }
    }
    // One below and one above.
    let most = (1 << 30) - 3;
    assert!(problem(&box3(), [most, 1]).is_ok());
    usage(problem(&box3(), [most + 1, 1]), "TooLarge", &["padded height", &limit]);
    usage(problem(&box3(), [1, most + 1]), "TooLarge", &["padded width", &limit]);
    usage(problem(&box3(), [1, 1 << 20, 1 << 20]), "TooLarge", &["input row", &row]);
    let conv = Conv2d::new(two_filters());
    usage(problem(&conv, [1, 1, 1 << 30]), "TooLarge", &["channels", &row]);
}

#[test]
fn paddings_dilations_and_strides_that_cannot_be_counted() {
    const HUGE: usize = usize::MAX;
    let limit = ((1usize << 30) - 1).to_string();
    let shape = [1, 8, 8, 3];
    for conv in [padded(HUGE, 0, 0, 0), padded(0, HUGE, 0, 0), padded(HUGE, HUGE, HUGE, HUGE)] {
        usage(problem(&conv, shape), "TooLarge", &["padded height", &HUGE.to_string(), &limit]);
    }
    for conv in [padded(0, 0, HUGE, 1), padded(0, 0, 0, HUGE), padded(0, 0, HUGE, HUGE)] {
        usage(problem(&conv, shape), "TooLarge", &["padded width", &HUGE.to_string(), &limit]);
    }
    for padding in [Padding::Same, Padding::Valid, Padding::Full, Padding::all(9)] {
        for n in [HUGE, HUGE / 2, HUGE / 2 + 1, i32::MAX as usize] {
            let conv = box3().padding(padding);
            let rows = problem(&conv.clone().dilation(n, 1), shape);
            usage(rows, "TooLarge", &["padded height", &n.to_string(), &limit]);
            let columns = problem(&conv.dilation(1, n), shape);
            usage(columns, "TooLarge", &["padded width", &n.to_string(), &limit]);
        }
    }
    usage(problem(&box3().anchor(2, 2).dilation(HUGE, 1), shape), "TooLarge", &["padded height"]);
    usage(problem(&box3().stride(HUGE, 1), shape), "TooLarge", &["stride", &HUGE.to_string()]);
    usage(problem(&box3().stride(1, HUGE), shape), "TooLarge", &["stride", &HUGE.to_string()]);
}

/// With no channels nothing is too much, but nothing may overflow on the way either.
#[test]
fn huge_shapes_without_elements_do_not_panic() {
    for layout in [Layout::Nhwc, Layout::Nchw] {
        for batch in [usize::MAX, usize::MAX / 2, 1 << 62] {
            let conv = box3().layout(layout);
            let shape = crate::common::dims([batch, 8, 8, 0], layout);
            // An answer or an error, on every engine.
            for backend in main_engines() {
                let _ = backend.engine.prepare::<f32, f32>(&conv, shape).map(|prepared| {
                    let _ = prepared.plan().to_string();
                    assert_eq!(prepared.problem().output_len(), 0);
                    assert_eq!(prepared.problem().multiply_adds(), 0);
                    assert_eq!(prepared.problem().bytes(), 0);
                });
            }
        }
    }
}

/// Shapes at the limit are planned, which is arithmetic only, by every engine.
#[test]
fn the_largest_problems_are_planned_without_overflow() {
    use channelwise::plan::{self, CpuLimits, GpuLimits, Machine, Residence};
    // 2^59 output elements: as many images and channels as bytes allow, and taps on top.
    let conv = Conv2d::new(Kernel::new(31, 31, vec![1.0; 961]).unwrap());
    for shape in [[1 << 50, 1, 1, 256], [1, 1 << 29, 1 << 5, 1 << 25]] {
        let problem = problem(&conv, shape).unwrap();
        let machine = Machine::Cpu(CpuLimits::new(8, 8));
        plan::choose(&problem, &machine, Algorithm::Auto).unwrap();
    }
    // One pixel that does not fit a device.
    let problem = problem(&box3(), [1, 1, 1 << 28]).unwrap();
    let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Host);
    usage(
        plan::choose(&problem, &machine, Algorithm::Direct),
        "TooLarge",
        &["output pixel", &(1u64 << 30).to_string(), &(128 << 20).to_string()],
    );
}

/// A plan holds its bands, so there must be an end to them: here 2^37 bytes in bands of 2^16.
#[test]
fn plans_of_endless_bands_are_refused() {
    use channelwise::plan::{self, GpuLimits, Launch, Machine, Residence};
    let problem = problem(&padded(1 << 20, 1 << 20, 1 << 13, 1 << 13), [1, 1]).unwrap();
    let limits = GpuLimits::webgpu_defaults().with_max_binding(1 << 16);
    match plan::choose(&problem, &Machine::Gpu(limits, Residence::Host), Algorithm::Direct) {
        Err(error) => assert_eq!(variant(&error), "TooLarge", "{error}"),
        Ok(plan) => {
            let Launch::Gpu(launch) = plan.launch() else { unreachable!() };
            let bands = launch.bands.len();
            assert!(bands <= 1 << 20, "a plan of {bands} bands; 1e8 x 1e8 outputs fill the memory");
        }
    }
}

// Runs.

#[test]
fn arrays_of_another_shape_than_prepared_for() {
    for backend in main_engines() {
        let prepared = backend.engine.prepare::<f32, f32>(&box3(), [1, 8, 8, 4]).unwrap();
        let right = Array4::<f32>::ones((1, 8, 8, 4));
        usage(
            prepared.run(&Array4::ones((1, 8, 9, 4))),
            "ShapeMismatch",
            &["input", "[1, 8, 8, 4]", "[1, 8, 9, 4]"],
        );
        let mut out = Array4::from_elem((1, 8, 8, 4), 7.0f32);
        let wrong = prepared.run_into(&Array4::ones((2, 8, 8, 4)), &mut out);
        usage(wrong, "ShapeMismatch", &["input", "[1, 8, 8, 4]", "[2, 8, 8, 4]"]);
        let mut short = Array4::from_elem((1, 7, 8, 4), 7.0f32);
        let wrong = prepared.run_into(&right, &mut short);
        usage(wrong, "ShapeMismatch", &["output", "[1, 8, 8, 4]", "[1, 7, 8, 4]"]);
        assert!(out.iter().chain(&short).all(|x| *x == 7.0), "nothing was written");
        // Another number of axes.
        let wrong = prepared.run(&Array3::ones((8, 8, 4)));
        usage(wrong, "ShapeMismatch", &["input", "[1, 8, 8, 4]", "[8, 8, 4]"]);
        let mut flat = Array3::zeros((8, 8, 4));
        let wrong = prepared.run_into(&Array3::ones((8, 8, 4)), &mut flat);
        usage(wrong, "ShapeMismatch", &["input", "[1, 8, 8, 4]", "[8, 8, 4]"]);
        // And through the engine.
        let wrong = backend.engine.run_into(&box3(), &right, &mut short);
        usage(wrong, "ShapeMismatch", &["output", "[1, 8, 8, 4]", "[1, 7, 8, 4]"]);
        assert!(prepared.run(&right).is_ok(), "it still serves");
    }
}

#[test]
fn algorithm_that_does_not_apply() {
    let cpu = Engine::cpu().with_algorithm(Algorithm::Flat);
    let image = Array3::<f32>::ones((8, 8, 3));
    usage(cpu.run(&box3(), &image), "NotApplicable", &["flat", "cpu"]);
    for backend in engines().iter().filter(|b| b.kind == Kind::GpuFlat) {
        let many = Conv2d::new(Kernel::with_filters(3, 3, 17, vec![1.0; 9 * 17]).unwrap());
        let error = backend.engine.run(&many, &image);
        usage(error, "NotApplicable", &["flat", "gpu", "17 filters", "16"]);
        // `Auto` takes another.
        let auto = backend.engine.with_algorithm(Algorithm::Auto);
        assert!(auto.run(&many, &image).is_ok());
    }
    for backend in engines().iter().filter(|b| b.kind == Kind::GpuSeparable) {
        let noise = Kernel::new(3, 3, vec![1.0, 2.0, 4.0, 3.0, 1.0, 5.0, 9.0, 2.0, 6.0]).unwrap();
        let error = backend.engine.run(&Conv2d::new(noise), &image);
        usage(error, "NotApplicable", &["separable", "gpu", "no sum of 1 separable"]);
    }
    let noise = Kernel::new(3, 3, vec![1.0, 2.0, 4.0, 3.0, 1.0, 5.0, 9.0, 2.0, 6.0]).unwrap();
    let cpu = Engine::cpu().with_algorithm(Algorithm::Separable);
    let error = cpu.run(&Conv2d::new(noise), &image);
    usage(error, "NotApplicable", &["separable", "cpu", "no sum of 1 separable"]);
    let cpu = Engine::cpu().with_algorithm(Algorithm::Fft);
    let endless = Kernel::new(1, 1, vec![f32::INFINITY]).unwrap();
    usage(cpu.run(&Conv2d::new(endless), &image), "NotApplicable", &["fft", "cpu", "finite"]);
}

/// 4e16 bytes are more than any address space holds, so this is the same wherever it runs.
#[test]
fn output_that_does_not_fit_memory() {
    let n = 50_000_000;
    let pixel = Array2::<f32>::ones((1, 1));
    let error = refused(
        Engine::cpu().run(&padded(n, n, n, n), &pixel),
        "OutOfMemory",
        &["host", "output", "39999999"],
    );
    assert!(!error.is_usage());
    let error = refused(
        Engine::cpu().run_as::<f32, u8, _>(&padded(4 * n, 4 * n, 4 * n, 4 * n), &pixel),
        "OutOfMemory",
        &["host", "output", "15999999"],
    );
    assert!(!error.is_usage());
}

/// The GPU's plan cuts it into bands; 2^48 bytes must not become millions of them one by one.
#[test]
fn output_that_does_not_fit_memory_on_the_gpu() {
    for backend in main_engines().filter(|b| b.kind.is_gpu()) {
        let started = std::time::Instant::now();
        let pixel = Array2::<f32>::ones((1, 1));
        let conv = padded(1 << 21, 1 << 21, 1 << 23, 1 << 23);
        let error = backend.engine.run(&conv, &pixel).unwrap_err();
        assert!(matches!(variant(&error), "OutOfMemory" | "TooLarge"), "{error}");
        let seconds = started.elapsed().as_secs_f32();
        assert!(seconds < 5.0, "{} took {seconds:.1} s to say: {error}", backend.name);
    }
}

/// A view repeats its elements for free; the copy that the engines need does not.
#[test]
fn input_whose_copy_does_not_fit_memory() {
    let pixel = Array4::<f32>::ones((1, 1, 1, 1));
    let wide = pixel.broadcast((1 << 14, 1 << 14, 1 << 14, 1 << 14)).unwrap();
    let conv = box3().stride(1 << 14, 1 << 14).pointwise(Pointwise::new(1, 1, vec![1.0]).unwrap());
    for layout in [Layout::Nhwc, Layout::Nchw] {
        // The output would fit, were it alone.
        let error = Engine::cpu().run(&conv.clone().layout(layout), &wide);
        let error = refused(error, "OutOfMemory", &["host", "input", &(1u64 << 58).to_string()]);
        assert!(!error.is_usage());
    }
}

#[test]
fn no_worker_threads() {
    usage(Cpu::with_threads(0), "Argument", &["threads", "0", "at least 1"]);
}

// The type itself.

#[test]
fn errors_travel_between_threads() {
    fn travels<E: std::error::Error + Send + Sync + Clone + 'static>() {}
    travels::<Error>();
}

/// The same errors come from the engines as from `Problem::new`, before any work.
#[test]
fn engines_refuse_what_problems_refuse() {
    let conv = box3().border(Border::Wrap).stride(0, 1);
    for backend in engines() {
        let told = backend.engine.run(&conv, &Array3::<u8>::ones((8, 8, 3))).unwrap_err();
        let want = Problem::new(&conv, [8, 8, 3], ElementType::U8, U8).unwrap_err();
        assert_eq!(told, want, "{}", backend.name);
    }
}
