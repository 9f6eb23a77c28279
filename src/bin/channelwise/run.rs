//! `channelwise run`: read, compute, verify, write, report; what can be refused is refused first.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use channelwise::ndarray::{Array2, Array4, ArrayD, Ix1, Ix2, Ix3, Ix4};
use channelwise::{
    Border, Conv2d, ElementType, Kernel, Layout, Pointwise, Problem, Timings, f16, reference,
};

use crate::args::{OutType, RunArgs};
use crate::clipped::{self, Clipped};
use crate::compute::{self, Computer, Made, four};
use crate::failure::{Failure, Result, say};
use crate::files::{self, Alpha, Channels, Input, Sample, Target, Tensor};
use crate::pixels::Pixels;
use crate::progress::Progress;
use crate::report::{self, Milliseconds, Report, Shapes};
use crate::verify::{self, Verdict};

pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let target = args.output.as_deref().map(Target::new).transpose()?;
    if args.layout == Layout::Nchw && target.as_ref().is_some_and(Target::is_image) {
        return Err(Failure::usage("images are always HWC: --layout nchw is for .npy files"));
    }
    let conv = conv(args)?;
    let progress = Progress::new(args.json);
    let reading = progress.spinner("reading");
    let input = files::read(&args.input, args.pages)?;
    drop(reading);
    for note in &input.notes {
        say(&format!("note: {}: {note}", args.input.display()));
    }
    if args.layout == Layout::Nchw && input.is_image {
        return Err(Failure::usage("images are always HWC: --layout nchw is for .npy files"));
    }
    let out_type = out_type(args, &input, target.as_ref())?;
    let deep = input.is_image && input.tensor.kind() == ElementType::U16;
    let input = if deep && out_type == OutType::U8 {
        let path = args.input.display();
        say(&format!("note: {path} has 16 bits, which are taken as round(v / 257)"));
        input.in_bytes()
    } else {
        input
    };
    let of_image = if input.is_image { Border::Reflect101 } else { Border::ZERO };
    let border = args.border.unwrap_or(of_image);
    let conv = conv.border(border);
    let channels = input.channels;
    let job = Job { args, conv, border, is_image: input.is_image, target, channels, progress };
    match input.tensor {
        Tensor::F32(x) => job.run_from(x, out_type),
        Tensor::U8(x) => job.run_from(x, out_type),
        Tensor::U16(x) => job.run_from(x, out_type),
        Tensor::F16(x) => job.run_from(x, out_type),
    }
}

/// The options as the library's request.
fn conv(args: &RunArgs) -> Result<Conv2d> {
    let kernel = match (&args.kernel, &args.kernel_file) {
        (Some(kernel), _) => kernel.clone(),
        (None, Some(path)) => kernel_from(path)?,
        // Clap asks for one of the two.
        (None, None) => return Err(Failure::usage("--kernel or --kernel-file is needed")),
    };
    let kernel = if args.normalize { kernel.normalized()? } else { kernel };
    let mut conv = Conv2d::new(kernel)
        .stride(args.stride.0, args.stride.1)
        .dilation(args.dilation.0, args.dilation.1)
        .padding(args.padding)
        .layout(args.layout)
        .activation(args.activation);
    if let Some((row, column)) = args.anchor {
        conv = conv.anchor(row, column);
    }
    if args.flip {
        conv = conv.flip();
    }
    if let Some(path) = &args.bias {
        let bias = files::read_numbers(path)?;
        let shape = bias.shape().to_vec();
        let bias = bias
            .into_dimensionality::<Ix1>()
            .map_err(|_| wrong_shape("--bias", path, &shape, "[F]"))?;
        if bias.is_empty() {
            return Err(wrong_shape("--bias", path, &shape, "[F]"));
        }
        conv = conv.bias(bias.to_vec());
    }
    if let Some(path) = &args.pointwise {
        conv = conv.pointwise(pointwise_from(path)?);
    }
    Ok(conv)
}

fn wrong_shape(option: &str, path: &Path, found: &[usize], needed: &str) -> Failure {
    Failure::usage(format!(
        "{option} {}: its shape is {found:?}, and {needed} is needed",
        path.display()
    ))
}

fn kernel_from(path: &Path) -> Result<Kernel> {
    const NEEDED: &str = "[kh,kw], [kh,kw,F] or [kh,kw,1,F]";
    let weights = files::read_numbers(path)?;
    let shape = weights.shape().to_vec();
    let wrong = |_| wrong_shape("--kernel-file", path, &shape, NEEDED);
    Ok(match shape[..] {
        [_, _] => Kernel::from_array2(&weights.into_dimensionality::<Ix2>().map_err(wrong)?)?,
        [_, _, _] => Kernel::from_array3(&weights.into_dimensionality::<Ix3>().map_err(wrong)?)?,
        [_, _, 1, _] => Kernel::from_array4(&weights.into_dimensionality::<Ix4>().map_err(wrong)?)?,
        _ => return Err(wrong_shape("--kernel-file", path, &shape, NEEDED)),
    })
}

fn pointwise_from(path: &Path) -> Result<Pointwise> {
    let weights = files::read_numbers(path)?;
    match *weights.shape() {
        [filters, outputs] | [1, 1, filters, outputs] => {
            // Logical order, whatever the file's.
            Ok(Pointwise::new(filters, outputs, weights.iter().copied().collect())?)
        }
        _ => Err(wrong_shape("--pointwise", path, weights.shape(), "[F,G] or [1,1,F,G]")),
    }
}

/// The type asked for, or that of the input, or a float where the last step makes fractions. Images but TIFF
/// hold integers: of 16 bits where the input has them and the format can, or where that is asked for.
fn out_type(args: &RunArgs, input: &Input, target: Option<&Target>) -> Result<OutType> {
    let of_input = match input.tensor.kind() {
        ElementType::U8 => OutType::U8,
        ElementType::U16 => OutType::U16,
        ElementType::F16 => OutType::F16,
        _ => OutType::F32,
    };
    let floats = matches!(of_input, OutType::F32 | OutType::F16);
    let Some(target) = target.filter(|target| target.is_image()) else {
        let fractions = args.activation.needs_float() && args.pointwise.is_none();
        let float = |kind| if kind == OutType::F16 { OutType::F16 } else { OutType::F32 };
        return Ok(args.out_type.unwrap_or(if fractions { float(of_input) } else { of_input }));
    };
    if target.is_tiff() {
        return Ok(args.out_type.unwrap_or(of_input));
    }
    if input.is_image && floats {
        return Err(Failure::usage(format!(
            "{} holds floats, which of the images written here only .tiff does; write that or .npy",
            args.input.display()
        )));
    }
    let wanted = args.out_type.unwrap_or(of_input);
    if matches!(args.out_type, Some(OutType::F32 | OutType::F16)) {
        say("note: of images only .tiff holds floats, so the results are rounded to u8");
    }
    Ok(if wanted == OutType::U16 && target.is_deep() { OutType::U16 } else { OutType::U8 })
}

/// A run whose files are read.
struct Job<'a> {
    args: &'a RunArgs,
    conv: Conv2d,
    border: Border,
    is_image: bool,
    target: Option<Target>,
    /// What those of the input mean.
    channels: Channels,
    progress: Progress,
}

/// What surrounds a filter: the file's side of it.
struct Frame {
    /// Those of the file.
    axes: Vec<usize>,
    input_type: ElementType,
    output_type: OutType,
    pixels: Option<Pixels>,
    /// Of each picture, where it is kept.
    alpha: Vec<Array2<f32>>,
}

impl Job<'_> {
    fn run_from<T: Sample>(self, x: ArrayD<T>, output_type: OutType) -> Result<()> {
        let Self { args, conv, channels, .. } = &self;
        let axes = x.shape().to_vec();
        // With all four axes, so that channels may become several whatever the file had.
        let x = files::four_axes(x, args.layout)?;
        if let Some(hint) = looks_like_planes(&axes, self.is_image, args.layout) {
            say(&hint);
        }
        let problem = Problem::new(conv, four(x.shape()), T::TYPE, output_type.into())?;
        let [.., before] = problem.input_shape().to_nhwc(args.layout);
        let [.., after] = problem.output_shape().to_nhwc(args.layout);
        let counts = (channels.alpha, before, after / before.max(1));
        let pixels = Pixels::new(args, conv.kernel(), T::TYPE, counts)?;
        let alpha = pixels.map_or(Vec::new(), |pixels| pixels.kept(&x));
        let frame = Frame { axes, input_type: T::TYPE, output_type, pixels, alpha };
        if let Some(pixels) = pixels {
            let x = pixels.before(&x);
            return self.run::<f32, f32>(x, &frame);
        }
        match output_type {
            OutType::F32 => self.run::<T, f32>(x, &frame),
            OutType::F16 => self.run::<T, f16>(x, &frame),
            OutType::U8 => self.run::<T, u8>(x, &frame),
            OutType::U16 => self.run::<T, u16>(x, &frame),
        }
    }

    fn run<T: Sample, U: Sample>(self, x: Array4<T>, frame: &Frame) -> Result<()> {
        let Self { args, conv, target, channels, progress, .. } = &self;
        let problem = Problem::new(conv, four(x.shape()), T::TYPE, U::TYPE)?;
        let shape = four(problem.output_shape().dims());
        let [batch, _, _, count] = problem.output_shape().to_nhwc(args.layout);
        let [.., count_before] = problem.input_shape().to_nhwc(args.layout);
        // What several filters or a pointwise step make of them means something else.
        let channels = match (count == count_before, args.alpha, count) {
            (true, Some(_), 2 | 4) if *channels == Channels::UNSAID => {
                Channels { alpha: Alpha::Last, ..*channels }
            }
            (true, ..) => *channels,
            (false, ..) => Channels::UNSAID,
        };
        if let Some(target) = target {
            target.check(batch, count, channels)?;
        }

        let working = progress.spinner("preparing");
        let computer = Computer::new(args.engine, args.algorithm)?;
        let start = Instant::now();
        let (algorithm, plan, spread, made) = match &computer {
            Computer::Engine(engine) => {
                let prepared = engine.prepare::<T, U>(conv, four(x.shape()))?;
                let plan = start.elapsed();
                working.set_message("computing");
                let made = compute::run(&prepared, &x)?;
                drop(working);
                self.explain(&prepared.plan().explain())?;
                let taken = prepared.plan();
                (taken.algorithm().to_string(), plan, taken.accuracy().spread, made)
            }
            Computer::Reference => {
                drop(working);
                let plan = start.elapsed();
                let (output, compute) = compute::run_reference(&problem, &x, *progress)?;
                self.explain(&format!("reference: {problem}\n  plain loops in f64, no plan\n"))?;
                let mut timings = Timings::default();
                (timings.compute, timings.total) = (compute, compute);
                ("reference".into(), plan, 0.0, Made { output, timings })
            }
        };

        let input = x.as_slice().unwrap_or_default();
        let output = made.output.as_slice().unwrap_or_default();
        let verify = args.verify.then(|| self.verify(&problem, input, output, spread));
        let broken = verify.as_ref().filter(|verdict| !verdict.passed).map(ToString::to_string);

        if clipped::are_fractions(input, output) && !args.json {
            say("note: floats of 0 to 1 were rounded to 0 and 1; --out-type f32 keeps them");
        }
        let clipped = Clipped::sampled(&problem, input, output);
        let (tensor, clipped) = match frame.pixels {
            None => (U::tensor(made.output.into_dyn()), clipped),
            Some(pixels) => {
                let values = made.output.mapv(|v| v.to_f32());
                let values = pixels.after(&problem, self.border, values, &frame.alpha);
                as_type(values, frame.output_type)
            }
        };
        let out_axes = files::axes_like(&frame.axes, shape, args.layout);
        let mut wrote = None;
        if let (Some(target), None) = (target, &broken) {
            let writing = progress.spinner("writing");
            let y = match batch {
                1 if target.is_image() => shape[1..].to_vec(),
                _ => out_axes.clone(),
            };
            target.write(tensor.with_axes(&y)?, channels)?;
            drop(writing);
            wrote = Some(target.path().display().to_string());
        }

        let kernel = conv.kernel();
        Report {
            engine: computer.name(),
            adapter: computer.adapter(),
            engine_info: computer.describe(),
            algorithm,
            shapes: Shapes {
                input: frame.axes.clone(),
                kernel: [kernel.height(), kernel.width(), kernel.filters()],
                output: out_axes,
            },
            border: self.border.to_string(),
            pixels: frame.pixels.map(|pixels| pixels.to_string()),
            input_type: frame.input_type.to_string(),
            output_type: ElementType::from(frame.output_type).to_string(),
            milliseconds: Milliseconds::new(plan, made.timings),
            clipped,
            verify,
            output: wrote,
        }
        .print(args.json)?;
        match broken {
            None => Ok(()),
            Some(why) => Err(Failure::work(format!("verify {why}; nothing is written"))),
        }
    }

    fn verify<T: Sample, U: Sample>(
        &self,
        problem: &Problem,
        x: &[T],
        y: &[U],
        spread: f64,
    ) -> Verdict {
        let (args, kernel) = (self.args, self.conv.kernel());
        let reach = |k: usize, dilation: usize, stride: usize| {
            ((k - 1).saturating_mul(dilation) + 1).div_ceil(stride)
        };
        let reach = (
            reach(kernel.height(), args.dilation.0, args.stride.0),
            reach(kernel.width(), args.dilation.1, args.stride.1),
        );
        let shape = problem.output_shape().to_nhwc(args.layout);
        let places = verify::places(shape, args.layout, reach);
        let bar = self.progress.bar(places.len(), "verifying");
        let extra = reference::extra(problem, x, spread);
        verify::check(problem, x, y, &places, extra, &bar)
    }

    /// `--explain`; beside JSON it goes to stderr, so that stdout stays one line.
    fn explain(&self, text: &str) -> Result<()> {
        if !self.args.explain {
            return Ok(());
        }
        if self.args.json {
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
            return Ok(());
        }
        report::print(text)
    }
}

/// Values of pixels as the type asked for, and how many it could not hold.
fn as_type(values: Array4<f32>, kind: OutType) -> (Tensor, Option<Clipped>) {
    fn of<U: Sample>(values: Array4<f32>) -> (Tensor, Option<Clipped>) {
        let exact = values.iter().map(|v| f64::from(*v));
        let clipped = U::TYPE.max_integer().and_then(|most| Clipped::counted(exact, most));
        (U::tensor(values.mapv(U::from_f32).into_dyn()), clipped)
    }
    match kind {
        OutType::F32 => of::<f32>(values),
        OutType::F16 => of::<f16>(values),
        OutType::U8 => of::<u8>(values),
        OutType::U16 => of::<u16>(values),
    }
}

/// A hint where the axes of a tensor are more likely those of planes.
fn looks_like_planes(axes: &[usize], is_image: bool, layout: Layout) -> Option<String> {
    let (&[channels, height, width] | &[_, channels, height, width]) = axes else { return None };
    let planes = matches!(channels, 1 | 3 | 4) && height.min(width) > 4 * channels.max(4);
    (planes && !is_image && layout == Layout::Nhwc)
        .then(|| format!("note: the axes {axes:?} look like channels first: see --layout nchw"))
}
