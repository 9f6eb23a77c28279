//! Our engines on the cases of `benches/cases.json`.
//!
//! ```text
//! cargo bench --bench engines                                   everything, as a table
//! cargo bench --bench engines -- --case rgb3 --engine cpu --threads 1
//! cargo bench --bench engines -- --engine gpu --resident --json a line of JSON for each row
//! cargo bench --bench engines -- --gradient                     and the gradients of input and kernel
//! cargo bench --bench engines -- --shaders DIR                  what benches/isa compiles
//! cargo bench --bench engines -- --roofline                     least times of GPUs that are not here
//! cargo bench --bench engines -- --record STEM --peers FILE     STEM.json, STEM.md and STEM.svg
//! ```
//!
//! Inputs and kernels are random, never zeros, and a sample of each answer is held against the
//! reference before anything is timed. Ratios within one run are what counts.

mod cases;
mod copy;
mod gradient;
mod plot;
mod record;
mod roofline;
mod run;
mod shaders;

use std::path::PathBuf;

use cases::Case;
use channelwise::{Algorithm, Cpu, Engine};
use clap::Parser;
use run::{How, Row};

type Failure = Box<dyn std::error::Error>;

/// Times our engines.
#[derive(Debug, Parser)]
struct Args {
    /// Cases, by name [default: all].
    #[arg(long)]
    case: Vec<String>,
    /// Engines: cpu, gpu [default: both].
    #[arg(long)]
    engine: Vec<String>,
    /// Threads of the CPU [default: 1 and all].
    #[arg(long)]
    threads: Vec<usize>,
    /// Algorithms to force, and `auto` [default: auto].
    #[arg(long)]
    algorithm: Vec<String>,
    /// Beside each f32 row those of the gradients of input and kernel, and their ratios to it.
    #[arg(long, conflicts_with = "algorithm")]
    gradient: bool,
    /// Data lies in buffers of the GPU; otherwise up- and download count.
    #[arg(long)]
    resident: bool,
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
    /// Prints what three GPUs would take at least, by the plans' model, and times nothing.
    #[arg(long)]
    roofline: bool,
    /// Writes all rows, and a roofline, to this path with the endings json, md and svg; beside `r` rows
    /// of the GPU there are `e` rows then.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Lines that benches/peers/run-gpu.sh left (gpu.jsonl), for the record.
    #[arg(long, requires = "record")]
    peers: Option<PathBuf>,
    /// What cargo hands to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let mut cases = cases::all()?;
    if let Some(unknown) = args.case.iter().find(|name| cases.iter().all(|c| c.name != **name)) {
        return Err(format!("no case {unknown}").into());
    }
    cases.retain(|case| args.case.is_empty() || args.case.contains(&case.name));
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
    let engines = engines(&args)?;
    let mut failed = 0;
    let mut rows = Vec::new();
    for case in &cases {
        for (threads, resident, engine) in &engines {
            for algorithm in &algorithms {
                let engine = engine.with_algorithm(*algorithm);
                let how = How {
                    threads: *threads,
                    resident: *resident,
                    seconds: args.seconds,
                    explain: args.explain,
                };
                if let Err(reason) = measured(case, &engine, how, &args, &mut rows) {
                    eprintln!("{} {algorithm}: {reason}", case.name);
                    // What was forced need not apply; all else has to work.
                    let applies = !matches!(
                        reason.downcast_ref(),
                        Some(channelwise::Error::NotApplicable { .. })
                    );
                    failed += usize::from(applies);
                }
            }
        }
        if !args.json {
            let of_case = rows.iter().filter(|row| row.case == case.name);
            for (row, ratio) in of_case.filter_map(|row| Some((row, row.of_forward?))) {
                println!("{:<8} {:42} {ratio:.2} of forward", row.case, row.name());
            }
        }
    }
    if let Some(stem) = &args.record {
        let mut machine: Vec<String> = engines.iter().map(|(_, _, e)| e.to_string()).collect();
        machine.dedup();
        let peers = args.peers.as_deref().map_or_else(|| Ok(Vec::new()), record::peers)?;
        record::write(stem, &machine, &rows, &peers, &roofline::rows(&cases, &algorithms)?)?;
    }
    if failed > 0 { Err(format!("{failed} rows failed").into()) } else { Ok(()) }
}

/// Prints and adds the row of a case, and those of its gradients.
fn measured(
    case: &Case,
    engine: &Engine,
    how: How,
    args: &Args,
    rows: &mut Vec<Row>,
) -> Result<(), Failure> {
    let print = |row: &Row| -> Result<(), Failure> {
        if args.json {
            println!("{}", serde_json::to_string(row)?);
        } else if args.gradient {
            println!("{row:42}");
        } else {
            println!("{row}");
        }
        Ok(())
    };
    let forward = run::row(case, engine, how)?;
    print(&forward)?;
    let gradients = args.gradient && !case.bytes();
    let made = if gradients { gradient::rows(case, engine, how, &forward) } else { Ok(Vec::new()) };
    rows.push(forward);
    for row in made? {
        print(&row)?;
        rows.push(row);
    }
    Ok(())
}

fn algorithms(names: &[String]) -> Result<Vec<Algorithm>, Failure> {
    if names.is_empty() {
        return Ok(vec![Algorithm::Auto]);
    }
    let known = || Algorithm::ALL.into_iter().chain([Algorithm::Auto]);
    let find = |name: &String| {
        let found = known().find(|a| a.to_string() == *name);
        found.ok_or_else(|| format!("no algorithm {name}").into())
    };
    names.iter().map(find).collect()
}

/// Engines with the threads they use (a GPU's count as none), and whether data lies there.
fn engines(args: &Args) -> Result<Vec<(usize, bool, Engine)>, Failure> {
    let wanted = |name: &str| args.engine.is_empty() || args.engine.iter().any(|e| e == name);
    let mut all: Vec<(usize, bool, Engine)> = Vec::new();
    if wanted("cpu") {
        let most = Cpu::new().limits().threads;
        let counts = if args.threads.is_empty() { vec![1, most] } else { args.threads.clone() };
        for threads in counts {
            all.push((threads, false, Cpu::with_threads(threads)?.into()));
        }
    }
    if wanted("gpu") {
        match Engine::gpu() {
            Ok(gpu) => {
                if args.record.is_some() {
                    all.push((0, !args.resident, gpu.clone()));
                }
                all.push((0, args.resident, gpu));
            }
            // Asked for by name it has to be there.
            Err(reason) if !args.engine.is_empty() => return Err(reason.into()),
            Err(reason) => eprintln!("no GPU here: {reason}"),
        }
    }
    for (_, _, engine) in &all {
        eprintln!("{engine}");
    }
    Ok(all)
}
