//! How far a long test got. Seeds are tried one after the other for so many minutes; what was counted and what
//! failed is kept in a file, and the next run goes on behind the last seed of it.
//!
//! ```text
//! PROGRAM [--minutes N] [--progress FILE] [--seed S]...
//! ```
//!
//! `--seed` tries these seeds alone and keeps nothing: what a failure is looked at with.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Between two times that the file is written.
const KEPT: Duration = Duration::from_secs(20);
/// Failures that are told in full; the rest is counted.
const TOLD: usize = 100;

/// What is known of all runs together.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    /// The first seed that was not tried.
    next_seed: u64,
    seconds: f64,
    counts: BTreeMap<String, u64>,
    failed: u64,
    failures: Vec<Failure>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Failure {
    seed: u64,
    what: String,
}

/// Seeds to try, and what became of them.
#[derive(Debug)]
pub(crate) struct Progress {
    name: &'static str,
    file: Option<PathBuf>,
    /// Asked for one by one, backwards.
    only: Vec<u64>,
    alone: bool,
    state: State,
    started: Instant,
    minutes: f64,
    kept: Instant,
    seconds_before: f64,
    failed_before: u64,
}

impl Progress {
    /// From the arguments of the program; `minutes` where none are given.
    pub(crate) fn of_arguments(name: &'static str, minutes: f64) -> Result<Self, String> {
        let mut arguments = std::env::args().skip(1);
        let (mut minutes, mut file, mut only) = (minutes, None, Vec::new());
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--minutes" => {
                    minutes = value()?.parse().map_err(|e| format!("--minutes: {e}"))?;
                }
                "--progress" => file = Some(PathBuf::from(value()?)),
                "--seed" => only.push(value()?.parse().map_err(|e| format!("--seed: {e}"))?),
                // What cargo hands to programs of tests.
                "--nocapture" | "--bench" | "--test" => {}
                other => return Err(format!("{other}: not known")),
            }
        }
        only.reverse();
        let state: State = match &file {
            Some(path) if path.exists() => {
                let text = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
                serde_json::from_slice(&text).map_err(|e| format!("{}: {e}", path.display()))?
            }
            _ => State::default(),
        };
        let now = Instant::now();
        Ok(Self {
            name,
            file,
            alone: !only.is_empty(),
            only,
            started: now,
            minutes,
            kept: now,
            seconds_before: state.seconds,
            failed_before: state.failed,
            state,
        })
    }

    /// Whether seeds were asked for by name.
    pub(crate) fn alone(&self) -> bool {
        self.alone
    }

    /// The next seed to try, until time is up. What was tried before is kept by then.
    pub(crate) fn next_seed(&mut self) -> Option<u64> {
        if self.alone {
            return self.only.pop();
        }
        if self.kept.elapsed() > KEPT {
            self.keep();
        }
        if self.started.elapsed().as_secs_f64() >= self.minutes * 60.0 {
            return None;
        }
        self.state.next_seed += 1;
        Some(self.state.next_seed - 1)
    }

    /// `n` more of `what`.
    pub(crate) fn count(&mut self, what: &str, n: u64) {
        match self.state.counts.get_mut(what) {
            Some(count) => *count += n,
            None => drop(self.state.counts.insert(what.into(), n)),
        }
    }

    /// What a seed was found to do wrong; told at once.
    pub(crate) fn fail(&mut self, seed: u64, what: String) {
        eprintln!("{}: seed {seed}: {what}", self.name);
        self.state.failed += 1;
        if self.state.failures.len() < TOLD {
            self.state.failures.push(Failure { seed, what });
        }
        self.keep();
    }

    /// Writes the file, whole or not at all.
    fn keep(&mut self) {
        self.kept = Instant::now();
        self.state.seconds = self.seconds_before + self.started.elapsed().as_secs_f64();
        let (Some(path), false) = (&self.file, self.alone) else { return };
        let text = serde_json::to_vec_pretty(&self.state).unwrap();
        let folder = path.parent().unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let mut whole = tempfile::NamedTempFile::new_in(folder).unwrap();
        whole.write_all(&text).unwrap();
        whole.persist(path).unwrap();
    }

    /// Tells what was counted, in this run and those before; fails if anything failed in this one.
    pub(crate) fn finish(mut self) -> ExitCode {
        self.keep();
        let State { next_seed, seconds, counts, failed, .. } = &self.state;
        let counts: Vec<_> = counts.iter().map(|(what, n)| format!("{what} {n}")).collect();
        println!(
            "{}: {next_seed} seeds in {seconds:.0} s, {failed} failed: {}",
            self.name,
            counts.join(", ")
        );
        if *failed > self.failed_before { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
