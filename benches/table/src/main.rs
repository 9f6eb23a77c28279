//! Makes a record of what benches and other libraries printed: STEM.json, STEM.md and STEM.svg.
//!
//! ```text
//! cargo run --release -p table -- --lines FILE... [--facts FILE] --stem benches/record/NAME
//! ```
//!
//! A file of lines is one run, as `benches/engines --json`, `benches/hardware/run.sh` or the scripts of
//! `benches/peers` leave it; a ratio is never made of two of them.

mod line;
mod markdown;
mod plot;
mod record;

use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::json;

use record::Record;

type Failure = Box<dyn std::error::Error>;

/// Makes a record: JSON, Markdown and a picture.
#[derive(Debug, Parser)]
struct Args {
    /// Files of lines, a run each.
    #[arg(long, required = true, num_args = 1..)]
    lines: Vec<PathBuf>,
    /// A text about the machine.
    #[arg(long)]
    facts: Option<PathBuf>,
    /// The path of what is made, without its endings.
    #[arg(long)]
    stem: PathBuf,
}

fn main() -> Result<(), Failure> {
    let Args { lines, facts, stem } = Args::parse();
    let read = |file: &Path| {
        std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
    };
    let mut runs = Vec::new();
    for file in &lines {
        let of_file = |error: String| format!("{}: {error}", file.display());
        runs.push(line::run(&read(file)?).map_err(of_file)?);
    }
    let facts = facts.as_deref().map(read).transpose()?.unwrap_or_default();
    let record = Record::of(&runs);
    if let Some(folder) = stem.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let name = stem.file_name().unwrap_or_default().to_string_lossy();
    let all: Vec<_> = runs.iter().flatten().map(|line| &line.raw).collect();
    let facts_lines: Vec<_> = facts.lines().collect();
    let json = json!({ "name": name, "facts": facts_lines, "record": record, "lines": all });
    std::fs::write(named(&stem, "json"), serde_json::to_string_pretty(&json)? + "\n")?;
    std::fs::write(named(&stem, "md"), markdown::text(&name, facts.trim_end(), &record))?;
    plot::draw(&named(&stem, "svg"), &record)
}

/// `stem` with an ending; a dot in it is no ending of its own.
fn named(stem: &Path, ending: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
