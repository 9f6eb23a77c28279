//! `channelwise run`: read, compute, verify, write, report; what can be refused is refused first.

use std::cell::OnceCell;
use std::io::{IsTerminal, Write};
use std::time::Instant;

use channelwise::ndarray::{Array2, Array4, ArrayD};
use channelwise::{Border, Conv2d, ElementType, Layout, Problem, Timings, f16, reference};

use crate::args::{OutType, RunArgs};
use crate::clipped::{self, Clipped};
use crate::compute::{self, Computer, Made, four};
use crate::failure::{Failure, Result, say};
use crate::files::{self, Alpha, Channels, Input, Meta, Sample, Target, Tensor};
use crate::outputs::{self, Pair};
use crate::pixels::Pixels;
use crate::progress::Progress;
use crate::report::{self, Milliseconds, Report, Shapes};
use crate::request;
use crate::verify::{self, Verdict};

pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let pairs = outputs::pairs(&args.inputs, args.output.as_deref(), args.format)?;
    let progress = Progress::new(args.json);
    if let [pair] = &pairs[..] {
        let target = target(args, pair)?;
        let conv = request::conv(args)?;
        return file(args, pair, target, conv, &Computers::new(args), progress);
    }
    let conv = request::conv(args)?;
    let computers = Computers::new(args);
    // What all need is no failure of one of them.
    computers.get()?;
    // On a terminal the lines that are printed tell how far it is.
    let lines = std::io::stdout().is_terminal();
    let bar = if lines { Progress::hidden() } else { progress }.bar(pairs.len(), "files");
    let mut failed = 0;
    for pair in &pairs {
        // One bar at a time.
        let done = target(args, pair).and_then(|target| {
            file(args, pair, target, conv.clone(), &computers, Progress::hidden())
        });
        if let Err(failure) = done {
            failed += 1;
            bar.suspend(|| say(&format!("{}: {}", pair.input.display(), failure.text())));
        }
        bar.inc(1);
    }
    if failed == 0 {
        return Ok(());
    }
    Err(Failure::work(format!("{failed} of {} files failed", pairs.len())))
}

/// The engine, made when it is first needed.
struct Computers<'a> {
    args: &'a RunArgs,
    made: OnceCell<Computer>,
}

impl<'a> Computers<'a> {
    fn new(args: &'a RunArgs) -> Self {
        Self { args, made: OnceCell::new() }
    }

    fn get(&self) -> Result<&Computer> {
        if let Some(made) = self.made.get() {
            return Ok(made);
        }
        let made = Computer::new(self.args.engine, self.args.algorithm)?;
        Ok(self.made.get_or_init(|| made))
    }
}

fn target(args: &RunArgs, pair: &Pair) -> Result<Option<Target>> {
    let target = pair.output.as_deref().map(|path| Target::new(path, args.format)).transpose()?;
    if args.layout == Layout::Nchw && target.as_ref().is_some_and(Target::is_image) {
        return Err(Failure::usage("images are always HWC: --layout nchw is for .npy files"));
    }
    Ok(target)
}

/// One file.
fn file(
    args: &RunArgs,
    pair: &Pair,
    target: Option<Target>,
    conv: Conv2d,
    computers: &Computers<'_>,
    progress: Progress,
) -> Result<()> {
    let reading = progress.spinner("reading");
    let input = files::read(&pair.input, args.pages)?;
    drop(reading);
    let name = pair.input.display();
    for note in &input.notes {
        say(&format!("note: {name}: {note}"));
    }
    if args.layout == Layout::Nchw && input.is_image {
        return Err(Failure::usage("images are always HWC: --layout nchw is for .npy files"));
    }
    let out_type = out_type(args, pair, &input, target.as_ref())?;
    let deep = input.is_image && input.tensor.kind() == ElementType::U16;
    let input = if deep && out_type == OutType::U8 {
        say(&format!("note: {name} has 16 bits, which are taken as round(v / 257)"));
        input.in_bytes()
    } else {
        input
    };
    let of_image = if input.is_image { Border::Reflect101 } else { Border::ZERO };
    let border = args.border.unwrap_or(of_image);
    let conv = conv.border(border);
    let channels = input.channels;
    let is_image = input.is_image;
    let mut meta = input.meta;
    if args.stride != (1, 1) {
        // Fewer pixels an inch.
        meta.resolution = None;
    }
    let job =
        Job { args, pair, conv, border, is_image, target, channels, meta, computers, progress };
    match input.tensor {
        Tensor::F32(x) => job.run_from(x, out_type),
        Tensor::U8(x) => job.run_from(x, out_type),
        Tensor::U16(x) => job.run_from(x, out_type),
        Tensor::F16(x) => job.run_from(x, out_type),
    }
}

/// The type asked for, or that of the input, or a float where the last step makes fractions. Images but TIFF
/// and OpenEXR hold integers: of 16 bits where the input has them and the format can, or where that is asked for.
fn out_type(
    args: &RunArgs,
    pair: &Pair,
    input: &Input,
    target: Option<&Target>,
) -> Result<OutType> {
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
    match (target.holds(), args.out_type.unwrap_or(of_input)) {
        ((true, true), kind) => return Ok(kind),
        ((true, false), OutType::F32 | OutType::F16) => return Ok(OutType::F32),
        ((true, false), OutType::U8 | OutType::U16) => {
            return Err(Failure::usage(format!(
                "an exr file holds floats: --out-type f32 writes the numbers of {} as they are",
                pair.input.display()
            )));
        }
        ((false, _), _) => {}
    }
    if input.is_image && floats {
        return Err(Failure::usage(format!(
            "{} holds floats, which of the images written here only .tiff and .exr do; write one \
             of these or .npy",
            pair.input.display()
        )));
    }
    let wanted = args.out_type.unwrap_or(of_input);
    if matches!(args.out_type, Some(OutType::F32 | OutType::F16)) {
        say("note: of images only .tiff and .exr hold floats, so the results are rounded to u8");
    }
    Ok(if wanted == OutType::U16 && target.is_deep() { OutType::U16 } else { OutType::U8 })
}

/// A run whose files are read.
struct Job<'a> {
    args: &'a RunArgs,
    pair: &'a Pair,
    conv: Conv2d,
    border: Border,
    is_image: bool,
    target: Option<Target>,
    /// What those of the input mean.
    channels: Channels,
    meta: Meta,
    computers: &'a Computers<'a>,
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
        let computer = self.computers.get()?;
        let start = Instant::now();
        let (engine, algorithm, plan, spread, made) = match computer {
            Computer::Engine(engine) => {
                let prepared = engine.prepare::<T, U>(conv, four(x.shape()))?;
                let plan = start.elapsed();
                working.set_message("computing");
                let made = compute::run(&prepared, &x)?;
                drop(working);
                self.explain(&prepared.plan().explain())?;
                let taken = prepared.plan();
                let algorithm = taken.algorithm().to_string();
                (taken.engine(), algorithm, plan, taken.accuracy().spread, made)
            }
            Computer::Reference => {
                drop(working);
                let plan = start.elapsed();
                let (output, compute) = compute::run_reference(&problem, &x, *progress)?;
                self.explain(&format!("reference: {problem}\n  plain loops in f64, no plan\n"))?;
                let mut timings = Timings::default();
                (timings.compute, timings.total) = (compute, compute);
                ("reference", "reference".into(), plan, 0.0, Made { output, timings })
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
            // A profile is for colours as they were.
            let icc = self.meta.icc.clone().filter(|_| count == count_before);
            target.write(tensor.with_axes(&y)?, channels, &Meta { icc, ..self.meta.clone() })?;
            drop(writing);
            wrote = Some(target.name());
        }

        let kernel = conv.kernel();
        Report {
            file: (args.inputs.len() > 1).then(|| self.pair.input.display().to_string()),
            engine,
            adapter: computer.adapter().filter(|_| engine == "gpu"),
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
        .print(args.json, self.aside())?;
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

    /// Whether the result takes stdout, and what is told goes to stderr.
    fn aside(&self) -> bool {
        self.target.as_ref().is_some_and(Target::is_stdout)
    }

    /// `--explain`; beside JSON it goes to stderr, so that stdout stays one line.
    fn explain(&self, text: &str) -> Result<()> {
        if !self.args.explain {
            return Ok(());
        }
        if self.args.json || self.aside() {
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
