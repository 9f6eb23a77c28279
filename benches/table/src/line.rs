//! A line of a run: a row of ours or of another library, or why there is none.

use serde::Deserialize;
use serde_json::Value;

/// As `benches/hardware/README.md` describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Line {
    pub(crate) case: Option<String>,
    pub(crate) row: String,
    what: Option<String>,
    pub(crate) engine: String,
    how: Option<String>,
    pub(crate) algorithm: Option<String>,
    /// The algorithm was asked for, not chosen.
    pub(crate) forced: bool,
    pub(crate) threads: Option<usize>,
    pub(crate) median_ms: Option<f64>,
    pub(crate) min_ms: Option<f64>,
    pub(crate) gb_per_s: Option<f64>,
    pub(crate) copy_ms: Option<f64>,
    pub(crate) streamed_copy_ms: Option<f64>,
    pub(crate) of_forward: Option<f64>,
    pub(crate) clock: Option<String>,
    pub(crate) huge_pages: Option<String>,
    pub(crate) version: Option<String>,
    missing: Option<String>,
    pub(crate) wrong: Option<String>,
    pub(crate) rehearsal: bool,
    #[serde(skip)]
    pub(crate) raw: Value,
}

/// The lines of a file: JSON, perhaps with a round and a name before it and tabs between. A stopped run
/// may have left half a line at its end, and no more.
pub(crate) fn run(text: &str) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    let count = text.lines().count();
    for (n, text) in text.lines().enumerate() {
        let text = text.rsplit('\t').next().unwrap_or(text).trim();
        if text.is_empty() {
            continue;
        }
        let read = serde_json::from_str::<Value>(text).and_then(|raw| {
            let line: Line = serde_json::from_value(raw.clone())?;
            Ok(Line { raw, ..line })
        });
        match read {
            Ok(line) => lines.push(line),
            Err(_) if n + 1 == count => {}
            Err(error) => return Err(format!("line {}: {error}", n + 1)),
        }
    }
    Ok(lines)
}

impl Line {
    pub(crate) fn is_ours(&self) -> bool {
        self.row.starts_with("channelwise")
    }

    /// Of memory, no case.
    pub(crate) fn is_copy(&self) -> bool {
        self.row.contains("copy")
    }

    pub(crate) fn what(&self) -> &str {
        self.what.as_deref().unwrap_or("forward")
    }

    /// How it was timed. Those who do not tell end in `r` where data stays on the GPU and each call is
    /// waited for, in `e` where it goes up and down; on the CPU they allocate their answer.
    pub(crate) fn how(&self) -> &str {
        let ends = |letter| self.row.split(' ').any(|word| word == letter);
        match &self.how {
            Some(how) => how,
            None if self.engine == "cpu" => "run",
            None if ends("r") => "call",
            None if ends("e") => "host",
            None => "",
        }
    }

    /// Why it has no time that counts.
    pub(crate) fn reason(&self) -> Option<String> {
        match (&self.wrong, &self.missing, self.median_ms) {
            (Some(wrong), ..) => Some(format!("WRONG: {wrong}")),
            (_, Some(missing), _) => Some(missing.clone()),
            (.., None) => Some("no time".into()),
            _ => None,
        }
    }
}
