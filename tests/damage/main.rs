//! Damaged files without end: what the program does with each is an exit code and a line, never a panic, a signal,
//! a long wait, much memory, or a file that stays behind.
//!
//! ```text
//! cargo test --all-features --test damage -- [--minutes N | --count N] [--progress FILE] [--seed S]...
//! ```
//!
//! `--seed` tries these alone, and keeps the damaged files to look at. `sh tests/long.sh files` runs it, and the
//! next time it goes on behind the last seed. A few hundred are tried with all other tests.

mod cases;
#[path = "../long/progress.rs"]
mod progress;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;

use cases::case::Case;
use cases::child::{Base, judge};
use cases::corpus;
use progress::{Progress, Until};

/// Children at a time.
const TOGETHER: usize = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let only: HashSet<u64> = arguments
        .windows(2)
        .filter(|two| two[0] == "--seed")
        .filter_map(|two| two[1].parse().ok())
        .collect();
    let counted = arguments.into_iter().map(|argument| match &argument[..] {
        "--count" => "--seeds".into(),
        _ => argument,
    });
    let progress = match Progress::of("damaged files", Until::Seeds(1000), counted) {
        Ok(progress) => Mutex::new(progress),
        Err(why) => {
            eprintln!("damaged files: {why}");
            return ExitCode::from(2);
        }
    };
    let corpus = corpus::all();
    let base = Base::measured(&corpus);
    eprintln!("damaged files: {} to damage; {} MiB are enough for one", corpus.len(), base.mib());
    thread::scope(|scope| {
        for _ in 0..TOGETHER {
            scope.spawn(|| {
                loop {
                    let Some(seed) = progress.lock().unwrap().next_seed() else { return };
                    let case = Case::drawn(&corpus, seed);
                    let ended = judge(&case, base);
                    if ended.is_err() || only.contains(&seed) {
                        keep(&case, seed);
                    }
                    let mut progress = progress.lock().unwrap();
                    match ended {
                        Ok(how) => {
                            progress.count(&how, 1);
                            progress.count(&format!("{:?}", case.damaged.kind), 1);
                            // Caught, and worth a look: as released it may be something else.
                            if only.contains(&seed) || how.contains("panic") {
                                eprintln!("damaged files: seed {seed}: {how}: {}", case.told());
                            }
                        }
                        Err(wrong) => progress.fail(seed, format!("{wrong}\n  {}", case.told())),
                    }
                }
            });
        }
    });
    let fine = progress.into_inner().unwrap().finish();
    ExitCode::from(u8::from(!fine))
}

/// Leaves what was damaged where it can be looked at.
fn keep(case: &Case, seed: u64) {
    let folder: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("damaged-{seed}"));
    fs::create_dir_all(&folder).unwrap();
    case.put(&folder);
    eprintln!("damaged files: seed {seed}: kept in {}", folder.display());
}
