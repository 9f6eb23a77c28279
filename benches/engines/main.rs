//! Our engines on the cases of `benches/cases.json`.
//!
//! ```text
//! cargo bench --bench engines                                   the standard cases, as a table
//! cargo bench --bench engines -- --case rgb3 --engine cpu --threads 1 --how run
//! cargo bench --bench engines -- --engine gpu --device --json   the GPU's own time, JSON lines
//! cargo bench --bench engines -- --copies                       what memory gives at most
//! cargo bench --bench engines -- --gradient                     and the gradients of input and kernel
//! cargo bench --bench engines -- --shaders DIR                  what benches/isa compiles
//! cargo bench --bench engines -- --roofline                     least times of GPUs that are not here
//! ```
//!
//! Inputs and kernels are random, never zeros, and a sample of each answer is held against the
//! reference before anything is timed. Ratios within one run are what counts. `benches/table` makes
//! records of the JSON lines.

mod cases;
mod copy;
mod forward;
mod gradient;
mod plain;
mod ring;
mod roofline;
mod row;
mod shaders;
mod stream;
mod times;
mod trial;
mod watch;

use std::path::PathBuf;

use channelwise::{Algorithm, Cpu, Engine};
use clap::Parser;

use cases::Case;
use copy::Copies;
use row::{How, Printer, What};
use trial::Trial;
use watch::Watch;

type Failure = Box<dyn std::error::Error>;

/// Times our engines.
#[derive(Debug, Parser)]
struct Args {
    /// Cases, by name [default: the nine standard ones].
    #[arg(long)]
    case: Vec<String>,
    /// All cases.
    #[arg(long)]
    all: bool,
    /// A file of cases [default: benches/cases.json as it was when this was built].
    #[arg(long)]
    cases: Option<PathBuf>,
    /// Engines: cpu, gpu [default: both].
    #[arg(long)]
    engine: Vec<String>,
    /// Threads of the CPU [default: 1 and all].
    #[arg(long)]
    threads: Vec<usize>,
    /// Algorithms to force, and `auto` [default: auto].
    #[arg(long)]
    algorithm: Vec<String>,
    /// Beside each forward row those of the gradients of input and kernel, and their ratios to it.
    #[arg(long, conflicts_with = "algorithm")]
    gradient: bool,
    /// The GPU's own time on data in its buffers; otherwise up- and download count.
    #[arg(long)]
    device: bool,
    /// Rows to make [default: of the CPU run and run_into; of a GPU host, or with --device resident, cached and call].
    #[arg(long)]
    how: Vec<How>,
    /// Copies of as many bytes as the cases move, and of a few sizes more; times nothing else.
    #[arg(long)]
    copies: bool,
    /// Prints each row's plan on stderr.
    #[arg(long)]
    explain: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Seconds a row is repeated for.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Writes the shaders planned for every case and kind of adapter here, and times nothing.
    #[arg(long)]
    shaders: Option<PathBuf>,
    /// Prints what some GPUs would take at least, by the plans' model, and times nothing.
    #[arg(long)]
    roofline: bool,
    /// What cargo hands to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// An engine with the threads it uses, none of a GPU, and the rows it makes.
struct Subject {
    threads: usize,
    engine: Engine,
    watch: Option<Watch>,
    hows: Vec<How>,
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let cases = cases::chosen(args.cases.as_deref(), &args.case, args.all)?;
    if let Some(folder) = &args.shaders {
        return shaders::write(&cases, folder);
    }
    let algorithms = algorithms(&args.algorithm)?;
    if args.roofline {
        let rows = roofline::rows(&cases, &algorithms)?;
        if args.json {
            for row in &rows {
                println!("{}", serde_json::to_string(row)?);
            }
        } else {
            print!("{}", roofline::table(&rows));
        }
        return Ok(());
    }
    let subjects = subjects(&args)?;
    let mut printer = Printer { json: args.json, ..Printer::default() };
    if args.copies {
        copies(&cases, &subjects, args.seconds, &mut printer)?;
    } else {
        trials(&args, &cases, &subjects, &algorithms, &mut printer)?;
    }
    match printer.failed {
        0 => Ok(()),
        failed => Err(format!("{failed} rows failed").into()),
    }
}

fn trials(
    args: &Args,
    cases: &[Case],
    subjects: &[Subject],
    algorithms: &[Algorithm],
    printer: &mut Printer,
) -> Result<(), Failure> {
    let copies = Copies::default();
    for case in cases {
        for Subject { threads, engine, watch, hows } in subjects {
            for algorithm in algorithms {
                let trial = Trial {
                    case,
                    engine,
                    algorithm: *algorithm,
                    threads: *threads,
                    watch: watch.as_ref(),
                    hows,
                    seconds: args.seconds,
                    explain: args.explain,
                    copies: &copies,
                };
                let from = printer.rows.len();
                if let Err(reason) = forward::rows(&trial, printer) {
                    trial.told(printer, What::Forward, from, &reason)?;
                }
                if !args.gradient {
                    continue;
                }
                if let Err(reason) = gradient::rows(&trial, printer) {
                    for what in [What::InputGradient, What::KernelGradient] {
                        trial.told(printer, what, from, &reason)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn copies(
    cases: &[Case],
    subjects: &[Subject],
    seconds: f64,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let mut sizes = copy::SIZES.to_vec();
    for case in cases {
        sizes.push(case.problem()?.bytes());
    }
    sizes.sort_unstable();
    sizes.dedup();
    for bytes in sizes {
        for Subject { threads, engine, .. } in subjects {
            match engine.as_gpu() {
                Some(gpu) => copy::device_rows(&Watch::new(gpu), bytes, seconds, printer)?,
                None => copy::host_rows(bytes, *threads, seconds, printer)?,
            }
        }
    }
    Ok(())
}

fn algorithms(names: &[String]) -> Result<Vec<Algorithm>, Failure> {
    if names.is_empty() {
        return Ok(vec![Algorithm::Auto]);
    }
    let known = || Algorithm::ALL.iter().copied().chain([Algorithm::Auto]);
    let find = |name: &String| {
        let found = known().find(|a| a.to_string() == *name);
        found.ok_or_else(|| format!("no algorithm {name}").into())
    };
    names.iter().map(find).collect()
}

fn subjects(args: &Args) -> Result<Vec<Subject>, Failure> {
    let wanted = |name: &str| args.engine.is_empty() || args.engine.iter().any(|e| e == name);
    // Those of these that are wanted.
    let hows = |all: &[How]| -> Vec<How> {
        all.iter().copied().filter(|how| args.how.is_empty() || args.how.contains(how)).collect()
    };
    let mut all = Vec::new();
    if wanted("cpu") {
        let most = Cpu::new().limits().threads;
        let mut counts = args.threads.clone();
        if counts.is_empty() {
            counts = vec![1, most];
            counts.dedup();
        }
        for threads in counts {
            let engine = Cpu::with_threads(threads)?.into();
            let hows = hows(&[How::Run, How::RunInto]);
            all.push(Subject { threads, engine, watch: None, hows });
        }
    }
    if wanted("gpu") {
        match Engine::gpu() {
            Ok(engine) => {
                let watch = engine.as_gpu().filter(|_| args.device).map(Watch::new);
                let hows = match args.device {
                    true => hows(&[How::Resident, How::Cached, How::Call]),
                    false => hows(&[How::Host]),
                };
                all.push(Subject { threads: 0, engine, watch, hows });
            }
            // Asked for by name it has to be there.
            Err(reason) if !args.engine.is_empty() => return Err(reason.into()),
            Err(reason) => eprintln!("no GPU here: {reason}"),
        }
    }
    if let Some(subject) = all.iter().find(|subject| subject.hows.is_empty()) {
        let asked = "none of its rows are made as --how asks (a GPU's own need --device)";
        return Err(format!("{}: {asked}", subject.engine).into());
    }
    for subject in &all {
        eprintln!("{}", subject.engine);
    }
    Ok(all)
}
