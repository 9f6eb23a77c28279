//! What ends the program early: one line on stderr and an exit code.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Why nothing came of it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The request is at fault; exit code 2.
    Usage(String),
    /// The request is fine and the work failed; exit code 1.
    Work(String),
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(crate) fn work(text: impl Into<String>) -> Self {
        Self::Work(text.into())
    }

    /// A file that cannot be read or is not what it should be.
    pub(crate) fn reading(path: &Path, why: impl Display) -> Self {
        Self::Work(format!("cannot read {}: {why}", path.display()))
    }

    /// A file that cannot be written.
    pub(crate) fn writing(path: &Path, why: impl Display) -> Self {
        Self::Work(format!("cannot write {}: {why}", path.display()))
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Usage(text) | Self::Work(text) => text,
        }
    }

    /// Prints the line and gives the exit code.
    pub(crate) fn tell(&self) -> ExitCode {
        say(self.text());
        ExitCode::from(match self {
            Self::Usage(_) => 2,
            Self::Work(_) => 1,
        })
    }
}

impl From<channelwise::Error> for Failure {
    fn from(error: channelwise::Error) -> Self {
        if error.is_usage() {
            Self::Usage(error.to_string())
        } else {
            Self::Work(error.to_string())
        }
    }
}

impl From<clap::Error> for Failure {
    /// Clap writes paragraphs; what is wrong and its tip are kept, usage and pointers left out.
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        let kept: Vec<String> = text
            .split("\n\n")
            .take_while(|p| !p.starts_with("Usage:") && !p.starts_with("For more information"))
            .map(one_line)
            .collect();
        Self::Usage(format!("{}; see --help", kept.join("; ")))
    }
}

/// A line on stderr, wherever stderr goes: unlike `eprintln!` it does not panic if that is closed.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "channelwise: {}", one_line(text));
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
