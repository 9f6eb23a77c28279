//! Files larger than memory, and parts of them for many processes: from an array that can be read part by part to one
//! that can be written so.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use channelwise::store::memory::available;
use channelwise::store::{Create, Stored};
use channelwise::stream::{Stream, Streamed};
use channelwise::{
    Border, Borders, Conv2d, ElementType, Engine, Error, Plan, Pointwise, Problem, Window,
};
use clap::ValueEnum;

use crate::args::{AlphaName, EngineName, RunArgs};
use crate::compute::{Computer, Computers};
use crate::failure::{Failure, Result, say};
use crate::files::{Pages, Sample, Type, is_zarr, with_type};
use crate::outputs::Pair;
use crate::progress::Progress;
use crate::report::{self, Milliseconds, Report, Shapes, Told};
use crate::request::Request;

/// What is taken of memory where nothing says what is free.
const USUAL: u64 = 1 << 30;

/// Whether a file is taken part by part: where that is asked for, where no other way knows its kind, and where the
/// whole would take more than half of the memory that is free.
pub(crate) fn is_wanted(args: &RunArgs, pair: &Pair) -> Result<bool> {
    if args.streams() || pair.input.is_dir() || pair.output.as_deref().is_some_and(is_zarr) {
        return Ok(true);
    }
    let can_be = |path: &Path| args.format.is_none() && Create::is_known(path);
    if !Stored::is_known(&pair.input)
        || args.is_whole()
        || !pair.output.as_deref().is_none_or(can_be)
    {
        return Ok(false);
    }
    // What is wrong with it is told by whoever reads it.
    let Ok(stored) = open(args, &pair.input) else { return Ok(false) };
    let types = types(args, &stored)?;
    if check_image(args, &stored, types, args.kernels_outputs()).is_err() {
        return Ok(false);
    }
    let elements = stored.dims().iter().fold(1u64, |n, m| n.saturating_mul(*m as u64));
    let size = |kind| ElementType::from(kind).bytes();
    let each = size(types.0) + args.kernels_outputs() * size(types.1);
    let bytes = elements.saturating_mul(each as u64);
    Ok(available().is_some_and(|free| bytes > free / 2))
}

fn open(args: &RunArgs, path: &Path) -> channelwise::Result<Stored> {
    match args.pages {
        Pages::First => Stored::open(path, args.layout),
        Pages::All => Stored::open_all(path, args.layout),
    }
}

/// Types of the input and of the results.
fn types(args: &RunArgs, stored: &Stored) -> Result<(Type, Type)> {
    let (name, element) = (stored.path().display(), stored.element_type());
    let all = Type::value_variants().iter().copied();
    let input = all.into_iter().find(|kind| ElementType::from(*kind) == element);
    let input = input.ok_or_else(|| Failure::work(format!("{name} holds {element}")))?;
    let fractions = args.activation.needs_float() && args.pointwise.is_none();
    let unasked = if fractions { input.as_float() } else { input };
    Ok((input, args.out_type.unwrap_or(unasked)))
}

/// Refuses what is asked of whole tensors alone.
fn check(args: &RunArgs, pair: &Pair) -> Result<()> {
    let whole = [
        ("--adjoint", args.adjoint.is_some()),
        ("--kernels", args.kernels.is_some()),
        ("--mask", args.mask.is_some()),
        ("--region", args.region.is_some()),
        ("--alpha but filter", args.alpha.is_some_and(|alpha| alpha != AlphaName::Filter)),
        ("--linear-light", args.linear_light),
        ("--verify", args.verify),
        ("--engine reference", args.engine == EngineName::Reference),
    ];
    if let Some((name, _)) = whole.iter().find(|(_, asked)| *asked) {
        let input = pair.input.display();
        return Err(Failure::usage(format!(
            "{name} is of a whole tensor in memory, and {input} is taken part by part"
        )));
    }
    if !Stored::is_known(&pair.input) {
        let input = pair.input.display();
        if pair.input.is_dir() {
            return Err(Failure::reading(&pair.input, "it is a folder without a Zarr array"));
        }
        if pair.input.exists() {
            return Err(Failure::usage(format!(
                "{input} cannot be taken part by part: .npy and TIFF files, ENVI cubes and Zarr arrays \
                 can; an image of another kind has to be turned into one of these first"
            )));
        }
        return Err(Failure::reading(&pair.input, "no such file or folder"));
    }
    if let Some(output) = &pair.output
        && (args.format.is_some() || !Create::is_known(output))
    {
        let output = output.display();
        return Err(Failure::usage(format!(
            "output {output}: what is taken part by part goes to .npy, .tif, .zarr or an ENVI file, by its \
             name"
        )));
    }
    Ok(())
}

/// Refuses what is made of pictures as a whole alone.
fn check_image(
    args: &RunArgs,
    stored: &Stored,
    (input, output): (Type, Type),
    outputs: usize,
) -> Result<()> {
    let name = stored.path().display();
    if !stored.is_image() && args.alpha.is_some() {
        return Err(Failure::usage(format!(
            "--alpha is of a whole tensor in memory, and {name} is taken part by part"
        )));
    }
    let weighed = matches!(input, Type::U8 | Type::U16 | Type::F16 | Type::F32);
    if stored.has_alpha() && args.alpha.is_none() && outputs == 1 && weighed {
        return Err(Failure::usage(format!(
            "{name} has alpha, by which colours are weighed as a whole alone, and it is taken part by \
             part: --alpha filter takes it as a channel like others"
        )));
    }
    if stored.is_image() && (input, output) == (Type::U16, Type::U8) {
        return Err(Failure::usage(format!(
            "{name} has 16 bits, which become 8 as a whole alone, and it is taken part by part: \
             --out-type u16 or a float keeps them"
        )));
    }
    Ok(())
}

/// One array, from file to file.
pub(crate) fn run(
    args: &RunArgs,
    pair: &Pair,
    request: &Request,
    computers: &Computers<'_>,
    progress: Progress,
) -> Result<()> {
    check(args, pair)?;
    let stored = open(args, &pair.input)?;
    let name = pair.input.display();
    if args.pages == Pages::All && !stored.is_image() {
        let format = stored.format();
        return Err(Failure::usage(format!("--pages is for images, and {name} is {format}")));
    }
    for note in stored.notes() {
        say(&format!("note: {name}: {note}"));
    }
    let (input, output) = types(args, &stored)?;
    if ![input, output].iter().any(|kind| ElementType::from(*kind).sums_in_f64()) {
        request.tell_of_f32();
    }
    let filters = request.conv.kernel().filters();
    let outputs = request.conv.get_pointwise().map_or(filters, Pointwise::outputs);
    check_image(args, &stored, (input, output), outputs)?;
    if stored.has_alpha() && args.alpha.is_none() && outputs == 1 {
        say(&format!("note: alpha of {input} is filtered like a colour"));
    }
    let of_image = if stored.is_image() { Border::Reflect101 } else { Border::ZERO };
    let border = args.border.unwrap_or(Borders::from(of_image));
    let conv = request.conv.clone().border(border);
    let computer = computers.get()?;
    let Computer::Engine(engine) = computer else {
        return Err(Failure::usage("--engine reference is of a whole tensor in memory"));
    };
    let memory = args.memory.unwrap_or_else(|| available().map_or(USUAL, |free| free / 2));
    let job = Job { args, pair, conv: &conv, stored: &stored, memory, progress };
    let done = with_type!(input, T => with_type!(output, U => job.run::<T, U>(engine)))?;
    let (kernel, plan) = (conv.kernel(), &done.plan);
    Report {
        file: (args.inputs.len() > 1).then(|| pair.input.display().to_string()),
        engine: plan.engine(),
        adapter: computer.adapter().filter(|_| plan.engine() == "gpu"),
        engine_info: computer.describe(),
        algorithm: plan.algorithm().to_string(),
        shapes: Shapes {
            input: stored.dims().to_vec(),
            kernel: [kernel.height(), kernel.width(), kernel.filters()],
            output: done.dims,
        },
        border: border.to_string(),
        pixels: None,
        input_type: input.to_string(),
        output_type: output.to_string(),
        milliseconds: Milliseconds::streamed(done.planned, done.took),
        clipped: None,
        verify: None,
        stream: Some(Told {
            memory,
            steps: done.streamed.steps,
            outputs: done.streamed.elements,
            skipped: done.streamed.skipped,
            chunks: done.streamed.chunks,
        }),
        output: done.wrote,
    }
    .print(args.json, false)
}

/// An array that is open.
struct Job<'a> {
    args: &'a RunArgs,
    pair: &'a Pair,
    conv: &'a Conv2d,
    stored: &'a Stored,
    memory: u64,
    progress: Progress,
}

/// What was done.
struct Done {
    plan: Plan,
    streamed: Streamed,
    /// Axes of the output.
    dims: Vec<usize>,
    /// Where it is written.
    wrote: Option<String>,
    planned: Duration,
    took: Duration,
}

impl Job<'_> {
    /// This is compiled for each pair of types, so little else is done here.
    fn run<T: Sample, U: Sample>(&self, engine: &Engine) -> Result<Done> {
        let start = Instant::now();
        let prepared = engine.prepare::<T, U>(self.conv, self.stored.shape())?;
        let planned = start.elapsed();
        report::explain(self.args, &prepared.plan().explain(), false)?;
        let start = Instant::now();
        let stream = self.stream(prepared.stream(self.memory), prepared.problem())?;
        let mut source = self.stored.source::<T>()?;
        let shape = prepared.problem().output_shape();
        let (streamed, dims, wrote) = match &self.pair.output {
            None => {
                let mut nowhere = |_: &Window, _: &[U]| Ok(());
                let streamed = stream.run(&mut source, &mut nowhere);
                (streamed, shape.dims().to_vec(), None)
            }
            Some(path) => {
                let mut created = self.create(path, prepared.problem()).open::<U>(shape)?;
                let streamed = stream.run(&mut source, &mut created);
                let wrote = self.wrote(path, created.partial());
                (streamed, created.dims().to_vec(), Some(wrote))
            }
        };
        let streamed = streamed.map_err(|error| self.failed(error))?;
        let (plan, took) = (prepared.plan().clone(), start.elapsed());
        Ok(Done { plan, streamed, dims, wrote, planned, took })
    }

    fn stream<'a, T: Sample, U: Sample>(
        &self,
        stream: Stream<'a, T, U>,
        problem: &Problem,
    ) -> Result<Stream<'a, T, U>> {
        let bar = self.progress.bar(problem.output_len(), "computing");
        let stream = stream.progress(move |so_far| {
            bar.set_position(so_far.elements);
            ControlFlow::Continue(())
        });
        let (number, of) = self.args.shard.unwrap_or((1, 1));
        let stream = stream.share(number, of)?;
        Ok(if self.args.resume { stream.resume() } else { stream })
    }

    fn create<'a>(&'a self, path: &Path, problem: &Problem) -> Create<'a> {
        let Self { args, stored, .. } = self;
        let (number, of) = args.shard.unwrap_or((1, 1));
        let job = format!("{} {}", stored.fingerprint(), problem.fingerprint());
        let same = args.stride == (1, 1) && problem.anchor_at(0, 0) == (0, 0);
        let create = Create::new(path).like(stored).share(number, of).job(job);
        let create = create.same_places(same).same_scale(args.stride == (1, 1));
        let create = if args.resume { create.resume() } else { create };
        match args.chunks {
            Some((rows, columns)) => create.chunks(rows, columns),
            None => create,
        }
    }

    /// Where the output lies, for people.
    fn wrote(&self, path: &Path, partial: Option<&Path>) -> String {
        let path = path.display();
        match (partial, self.args.shard) {
            (None, None) => path.to_string(),
            (None, Some((number, of))) => format!("part {number} of {of} of {path}"),
            (Some(partial), shard) => {
                let (number, of) = shard.unwrap_or((1, 1));
                format!("part {number} of {of} into {}", partial.display())
            }
        }
    }

    /// What failed, told of the file.
    fn failed(&self, error: Error) -> Failure {
        let Error::Stream { doing, part, reason, .. } = &error else { return error.into() };
        let (input, output) = (&self.pair.input, self.pair.output.as_deref());
        let goes_on = "; --resume goes on with what is written";
        match (*doing, output) {
            ("reading", Some(_)) => Failure::reading(input, format!("{part}: {reason}{goes_on}")),
            ("reading", None) => Failure::reading(input, format!("{part}: {reason}")),
            ("beginning", Some(output)) => Failure::writing(output, reason),
            (_, Some(output)) => Failure::writing(output, format!("{part}: {reason}{goes_on}")),
            (_, None) => error.into(),
        }
    }
}
