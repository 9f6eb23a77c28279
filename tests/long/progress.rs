//! How far a long test got. Seeds are tried one after the other for so many minutes; what was counted and what
//! failed is kept in a file, and the next run goes on behind the last seed of it.
//!
//! ```text
//! [--minutes N | --seeds N] [--progress FILE] [--seed S]...
//! ```
//!
//! `--seed` tries these seeds alone and keeps nothing: what a failure is looked at with.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;
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

/// How many seeds are tried.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// For so long.
    Minutes(f64),
    /// So many of them in this run.
    Seeds(u64),
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
    until: Until,
    tried: u64,
    kept: Instant,
    seconds_before: f64,
    failed_before: u64,
}

impl Progress {
    /// As the arguments say; `until` where they do not.
    pub(crate) fn of(
        name: &'static str,
        until: Until,
        arguments: impl IntoIterator<Item = String>,
    ) -> Result<Self, String> {
        fn number<T: FromStr<Err: Display>>(name: &str, text: Option<String>) -> Result<T, String> {
            let text = text.ok_or(format!("{name} needs a number"))?;
            text.parse().map_err(|error| format!("{name} {text}: {error}"))
        }
        let mut arguments = arguments.into_iter();
        let (mut until, mut file, mut only) = (until, None, Vec::new());
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--minutes" => until = Until::Minutes(number(&argument, arguments.next())?),
                "--seeds" => until = Until::Seeds(number(&argument, arguments.next())?),
                "--seed" => only.push(number(&argument, arguments.next())?),
                "--progress" => {
                    let path = arguments.next().ok_or("--progress needs the name of a file")?;
                    file = Some(PathBuf::from(path));
                }
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
            until,
            tried: 0,
            kept: now,
            seconds_before: state.seconds,
            failed_before: state.failed,
            state,
        })
    }

    /// The next seed to try, until time is up. What was tried before is kept by then.
    pub(crate) fn next_seed(&mut self) -> Option<u64> {
        if self.alone {
            return self.only.pop();
        }
        if self.kept.elapsed() > KEPT {
            self.keep();
        }
        let over = match self.until {
            Until::Minutes(minutes) => self.started.elapsed().as_secs_f64() >= minutes * 60.0,
            Until::Seeds(seeds) => self.tried >= seeds,
        };
        if over {
            return None;
        }
        self.tried += 1;
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

    /// Tells what was counted, in this run and those before. Whether nothing failed in this one.
    pub(crate) fn finish(mut self) -> bool {
        self.keep();
        let State { next_seed, seconds, counts, failed, .. } = &self.state;
        let counts: Vec<_> = counts.iter().map(|(what, n)| format!("{what} {n}")).collect();
        eprintln!(
            "{}: {next_seed} seeds in {seconds:.0} s, {failed} failed: {}",
            self.name,
            counts.join(", ")
        );
        *failed == self.failed_before
    }
}
