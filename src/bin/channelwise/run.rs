//! `channelwise run`: which files, one after the other; what can be refused is refused first.

use std::io::IsTerminal;

use channelwise::{Border, Borders, Layout};

use crate::args::RunArgs;
use crate::compute::Computers;
use crate::failure::{Failure, Result, say};
use crate::files::{self, Target, Type};
use crate::job::Job;
use crate::out_type::out_type;
use crate::outputs::{self, Pair};
use crate::progress::Progress;
use crate::request::Request;
use crate::streamed;

const ALWAYS_HWC: &str = "images are always HWC: --layout nchw is for .npy and ENVI files";

pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let pairs = outputs::pairs(&args.inputs, args.output.as_deref(), args.format)?;
    let progress = Progress::new(args.json);
    if let [pair] = &pairs[..] {
        return one(args, pair, || Request::new(args), &Computers::new(args), progress);
    }
    let request = Request::new(args)?;
    let computers = Computers::new(args);
    // What all need is no failure of one of them.
    computers.get()?;
    // On a terminal the lines that are printed tell how far it is.
    let lines = std::io::stdout().is_terminal();
    let bar = if lines { Progress::hidden() } else { progress }.bar(pairs.len(), "files");
    let mut failed = 0;
    for pair in &pairs {
        // One bar at a time.
        let done = one(args, pair, || Ok(&request), &computers, Progress::hidden());
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

/// One file, in memory or part by part. What the output's name is worth is known before kernels are read.
fn one<R: std::borrow::Borrow<Request>>(
    args: &RunArgs,
    pair: &Pair,
    request: impl FnOnce() -> Result<R>,
    computers: &Computers<'_>,
    progress: Progress,
) -> Result<()> {
    if streamed::is_wanted(args, pair)? {
        return streamed::run(args, pair, request()?.borrow(), computers, progress);
    }
    let target = target(args, pair)?;
    file(args, pair, target, request()?.borrow(), computers, progress)
}

fn target(args: &RunArgs, pair: &Pair) -> Result<Option<Target>> {
    let new = |path| Target::new(path, args.format, args.layout);
    let target = pair.output.as_deref().map(new).transpose()?;
    if args.layout == Layout::Nchw && target.as_ref().is_some_and(Target::is_image) {
        return Err(Failure::usage(ALWAYS_HWC));
    }
    Ok(target)
}

/// One file.
fn file(
    args: &RunArgs,
    pair: &Pair,
    target: Option<Target>,
    request: &Request,
    computers: &Computers<'_>,
    progress: Progress,
) -> Result<()> {
    let reading = progress.spinner("reading");
    let input = files::read(&pair.input, args.pages, args.layout)?;
    drop(reading);
    let name = pair.input.display();
    for note in &input.notes {
        say(&format!("note: {name}: {note}"));
    }
    if args.layout == Layout::Nchw && input.is_image() {
        return Err(Failure::usage(ALWAYS_HWC));
    }
    let out_type = out_type(args, pair, &input, target.as_ref())?;
    let deep = input.is_image() && input.tensor.kind() == Type::U16;
    let input = if deep && out_type == Type::U8 {
        say(&format!("note: {name} has 16 bits, which are taken as round(v / 257)"));
        input.in_bytes()?
    } else {
        input
    };
    let of_image = if input.is_image() { Border::Reflect101 } else { Border::ZERO };
    let border = args.border.unwrap_or(Borders::from(of_image));
    let mut meta = input.meta;
    if args.stride != (1, 1) {
        // Fewer pixels an inch.
        meta.resolution = None;
    }
    let job = Job {
        args,
        pair,
        request,
        conv: request.conv.clone().border(border),
        border,
        source: input.source,
        target,
        channels: input.channels,
        meta,
        computers,
        progress,
        output_type: out_type,
    };
    job.run(input.tensor)
}
