//! Files larger than memory, and parts of them for many processes: from an array that can be read part by part to one
//! that can be written so.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use channelwise::store::memory::available;
use channelwise::store::{Create, Created, Stored};
use channelwise::stream::{Sink, Source, Stream, Streamed};
use channelwise::{
    Border, Borders, Conv2d, ElementType, Engine, Error, Plan, Pointwise, Problem, Window,
};

use crate::args::{AlphaName, EngineName, RunArgs};
use crate::compute::{Computer, Computers};
use crate::failure::{Failure, Result, say};
use crate::files::{Alpha, Pages, Sample, Type, is_zarr, left_out, with_type};
use crate::outputs::Pair;
use crate::pixels::{self, Pixels};
use crate::progress::Progress;
use crate::report::{self, Milliseconds, Report, Shapes, Told};
use crate::request::Request;
use crate::streamed_pixels::{Decoded, Encoded};

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
    // Of a kernel from a file that is not known yet.
    let keeps = args.kernel.as_ref().is_none_or(pixels::sums_to_nothing);
    if becomes_8_bits(&stored, types) || stored.has_alpha() && args.alpha.is_none() && keeps {
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
    let input =
        Type::of(element).ok_or_else(|| Failure::work(format!("{name} holds {element}")))?;
    let fractions = args.activation.needs_float() && args.pointwise.is_none();
    let unasked = if fractions { input.as_float() } else { input };
    Ok((input, args.out_type.unwrap_or(unasked)))
}

/// Whether a file can be read. Nothing is taken out of pipes.
fn begins(path: &Path) -> io::Result<()> {
    if path.is_file() {
        let _ = File::open(path)?.read(&mut [0])?;
    }
    Ok(())
}

/// Refuses what is asked of whole tensors alone.
fn check(args: &RunArgs, pair: &Pair) -> Result<()> {
    let whole = [
        ("--adjoint", args.adjoint.is_some()),
        ("--kernels", args.kernels.is_some()),
        ("--mask", args.mask.is_some()),
        ("--region", args.region.is_some()),
        ("--alpha keep", args.alpha == Some(AlphaName::Keep)),
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
        // What cannot be read is of no kind either.
        begins(&pair.input).map_err(|error| Failure::reading(&pair.input, error))?;
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

/// Whether pictures of 16 bits become 8, which is no rounding.
fn becomes_8_bits(stored: &Stored, types: (Type, Type)) -> bool {
    stored.is_image() && types == (Type::U16, Type::U8)
}

/// Whether what its channels mean is left to who asks: pictures say it, and bands are no colours.
fn may_have_alpha(stored: &Stored) -> bool {
    !stored.is_image() && stored.format() != "ENVI"
}

/// What is done with pixels around the filter.
fn pixels_of(
    args: &RunArgs,
    stored: &Stored,
    conv: &Conv2d,
    (input, output): (Type, Type),
) -> Result<Option<Pixels>> {
    let name = stored.path().display();
    if becomes_8_bits(stored, (input, output)) {
        return Err(Failure::usage(format!(
            "{name} has 16 bits, which become 8 as a whole alone, and it is taken part by part: \
             --out-type u16 or a float keeps them"
        )));
    }
    let alpha = if stored.has_alpha() {
        Alpha::Last
    } else if may_have_alpha(stored) {
        Alpha::Unsaid
    } else {
        Alpha::None
    };
    let filters = conv.kernel().filters();
    let outputs = conv.get_pointwise().map_or(filters, Pointwise::outputs);
    let [.., channels] = stored.shape().to_nhwc(args.layout);
    let pixels = Pixels::new(args, conv.kernel(), input, (alpha, channels, outputs))?;
    if pixels.is_some_and(|pixels| pixels.keeps()) {
        return Err(Failure::usage(format!(
            "{name} has alpha, which is kept as a whole alone where a kernel sums to 0, and it is taken \
             part by part: --alpha filter takes it as a channel like others, and --alpha premultiply \
             weighs colours by it"
        )));
    }
    Ok(pixels)
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
    for note in left_out(args.pages, stored.page_count()).into_iter().chain(stored.notes()) {
        say(&format!("note: {name}: {note}"));
    }
    let (input, output) = types(args, &stored)?;
    if ![input, output].iter().any(|kind| ElementType::from(*kind).sums_in_f64()) {
        request.tell_of_f32();
    }
    let of_image = if stored.is_image() { Border::Reflect101 } else { Border::ZERO };
    let border = args.border.unwrap_or(Borders::from(of_image));
    let conv = request.conv.clone().border(border);
    let pixels = pixels_of(args, &stored, &conv, (input, output))?;
    let computer = computers.get()?;
    let Computer::Engine(engine) = computer else {
        return Err(Failure::usage("--engine reference is of a whole tensor in memory"));
    };
    let memory = args.memory.unwrap_or_else(|| available().map_or(USUAL, |free| free / 2));
    let job = Job { args, pair, conv: &conv, stored: &stored, pixels, memory, progress };
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
        pixels: pixels.map(|pixels| pixels.to_string()),
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
    pixels: Option<Pixels>,
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
        let mut from = self.stored.source::<T>()?;
        let Some(pixels) = self.pixels else {
            return self.between(engine, &mut from, self.memory, |to| to, |to: &mut Created<U>| to);
        };
        let [.., channels] = self.stored.shape().to_nhwc(self.args.layout);
        let mut from = Decoded { from, pixels, channels };
        // Beside the floats of a part, of which two are held at least, lie its pixels, which are no wider.
        let memory = self.memory / 4 * 3;
        let sink = |to| Encoded { to, pixels, channels };
        self.between(engine, &mut from, memory, sink, |sink: &mut Encoded<U>| &mut sink.to)
    }

    /// From `A` to `B`, which is written as `U`.
    fn between<A: Sample, B: Sample, U: Sample, S: Sink<B>>(
        &self,
        engine: &Engine,
        source: &mut impl Source<A>,
        memory: u64,
        sink: impl FnOnce(Created<U>) -> S,
        created: impl Fn(&mut S) -> &mut Created<U>,
    ) -> Result<Done> {
        let start = Instant::now();
        let prepared = engine.prepare::<A, B>(self.conv, self.stored.shape())?;
        let planned = start.elapsed();
        report::explain(self.args, &prepared.plan().explain(), false)?;
        let start = Instant::now();
        let stream = self.stream(prepared.stream(memory), prepared.problem())?;
        let shape = prepared.problem().output_shape();
        let (streamed, dims, wrote) = match &self.pair.output {
            None => {
                let mut nowhere = |_: &Window, _: &[B]| Ok(());
                let streamed = stream.run(source, &mut nowhere);
                let streamed = streamed.map_err(|error| self.failed(error, memory, false));
                (streamed?, shape.dims().to_vec(), None)
            }
            Some(path) => {
                let to = self.create(path, prepared.problem(), U::TYPE).open::<U>(shape)?;
                let mut sink = sink(to);
                let streamed = stream.run(source, &mut sink);
                let created = created(&mut sink);
                let streamed = streamed.map_err(|error| {
                    let left = !created.discard();
                    self.failed(error, memory, left)
                })?;
                let wrote = self.wrote(path, created.partial());
                (streamed, created.dims().to_vec(), Some(wrote))
            }
        };
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

    fn create<'a>(&'a self, path: &Path, problem: &Problem, kind: ElementType) -> Create<'a> {
        let Self { args, stored, .. } = self;
        let (number, of) = args.shard.unwrap_or((1, 1));
        let pixels = self.pixels.map_or(String::new(), |pixels| format!("{kind}, {pixels}"));
        let job = format!("{} {} {pixels}", stored.fingerprint(), problem.fingerprint());
        let same = args.stride == (1, 1) && problem.anchor_at(0, 0) == (0, 0);
        let create = Create::new(path).like(stored).share(number, of).job(job);
        let create = create.same_places(same).same_scale(args.stride == (1, 1));
        let [before, after] = [problem.input_shape(), problem.output_shape()]
            .map(|shape| shape.to_nhwc(args.layout)[3]);
        let create =
            create.alpha(args.alpha.is_some() && before == after && matches!(after, 2 | 4));
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

    /// What failed, told of the file; and whether something is left to go on with.
    fn failed(&self, error: Error, taken: u64, left: bool) -> Failure {
        if let Error::Argument { argument: "memory budget", limit, .. } = &error
            && taken < self.memory
        {
            let memory = self.memory;
            return Failure::usage(format!(
                "memory budget: of {memory} bytes {taken} are for floats, to which pixels are turned, and \
                 {limit}"
            ));
        }
        let Error::Stream { doing, part, reason, .. } = &error else { return error.into() };
        let (input, output) = (&self.pair.input, self.pair.output.as_deref());
        let goes_on = if left { "; --resume goes on with what is written" } else { "" };
        match (*doing, output) {
            ("reading", _) => Failure::reading(input, format!("{part}: {reason}{goes_on}")),
            ("beginning", Some(output)) => Failure::writing(output, reason),
            (_, Some(output)) => Failure::writing(output, format!("{part}: {reason}{goes_on}")),
            (_, None) => error.into(),
        }
    }
}
