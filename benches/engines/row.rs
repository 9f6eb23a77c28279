//! A row of the table, a JSON object a line; peers print the same (`benches/hardware/README.md` has the
//! fields). What has no time says why.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

use crate::Failure;
use crate::times::Times;

/// What a row computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum What {
    #[serde(rename = "forward")]
    Forward,
    #[serde(rename = "input gradient")]
    InputGradient,
    #[serde(rename = "kernel gradient")]
    KernelGradient,
}

/// How a call is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum How {
    /// On the CPU; the answer is allocated.
    Run,
    /// On the CPU; written over an answer that is there.
    RunInto,
    /// On a GPU with up- and download, over an answer that is there.
    Host,
    /// The GPU's own time, over buffers that exceed its last cache twice.
    Resident,
    /// The same over one pair of buffers.
    Cached,
    /// A single call on the GPU's buffers: encode, submit, wait.
    Call,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Run => "run",
            Self::RunInto => "run_into",
            Self::Host => "host",
            Self::Resident => "resident",
            Self::Cached => "cached",
            Self::Call => "call",
        })
    }
}

/// Why a row has no time where that is no failure: it does not apply.
#[derive(Debug)]
pub(crate) struct Absent(pub(crate) String);

/// An answer that is not the reference's.
#[derive(Debug)]
pub(crate) struct Wrong(pub(crate) String);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Absent {}
impl std::error::Error for Wrong {}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) row: String,
    pub(crate) what: What,
    pub(crate) engine: &'static str,
    pub(crate) how: How,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) algorithm: Option<String>,
    /// The algorithm was asked for, not chosen.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) forced: bool,
    /// Of the CPU's engine; 0 for a GPU.
    pub(crate) threads: usize,
    #[serde(flatten)]
    pub(crate) figures: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wrong: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) median_ms: f64,
    pub(crate) min_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) samples: usize,
    /// Input read and output written, once.
    pub(crate) gb_per_s: f64,
    /// What the direct sum would do in that time; fft and separable do less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) direct_gflop_per_s: Option<f64>,
    /// A copy of as many bytes in the same run, on as many threads; on a GPU the faster of its own copy and
    /// a shader's, timed in the same way. With up- and download it is the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) copy_ms: Option<f64>,
    /// The same past the caches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) streamed_copy_ms: Option<f64>,
    /// Whose clock a GPU's row is by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clock: Option<&'static str>,
    /// Pairs of input and output that take turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) buffers: Option<usize>,
    /// Of host memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) huge_pages: Option<String>,
    /// A gradient's median over that of the forward row of the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) of_forward: Option<f64>,
}

impl Figures {
    pub(crate) fn new(times: &Times, bytes: u64) -> Self {
        Self {
            median_ms: times.median(),
            min_ms: times.at(0.0),
            p90_ms: times.at(0.9),
            samples: times.len(),
            gb_per_s: bytes as f64 / times.median() / 1e6,
            ..Self::default()
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = self.row.clone();
        match self.what {
            What::Forward => {}
            What::InputGradient => name += " input gradient",
            What::KernelGradient => name += " kernel gradient",
        }
        if self.threads > 0 {
            name += &format!(", threads: {}", self.threads);
        }
        let algorithm = self.algorithm.as_deref().unwrap_or("");
        write!(f, "{:<10} {name:<42} {:<8} {algorithm:<9}", self.case, self.how)?;
        if let Some(reason) = &self.wrong {
            return write!(f, " WRONG: {reason}");
        }
        let Some(figures) = &self.figures else {
            return write!(f, " missing: {}", self.missing.as_deref().unwrap_or("no time"));
        };
        let Figures { median_ms, min_ms, p90_ms, gb_per_s, .. } = figures;
        write!(f, " {median_ms:>10.4} ms ({min_ms:.4} to {p90_ms:.4}) {gb_per_s:>8.2} GB/s")?;
        if let Some(copy) = figures.copy_ms {
            let best = figures.streamed_copy_ms.map_or(copy, |streamed| streamed.min(copy));
            write!(f, " {:>6.2} of copy", median_ms / best)?;
        }
        figures.of_forward.map_or(Ok(()), |ratio| write!(f, " {ratio:>6.2} of forward"))
    }
}

/// Prints rows as they come and remembers them.
#[derive(Debug, Default)]
pub(crate) struct Printer {
    pub(crate) json: bool,
    pub(crate) rows: Vec<Row>,
    /// Rows that had to have a time.
    pub(crate) failed: usize,
}

impl Printer {
    pub(crate) fn say(&mut self, mut row: Row, figures: Figures) -> Result<(), Failure> {
        let of_forward = if row.what == What::Forward {
            None
        } else {
            let forward = self.rows.iter().rev().find(|other| {
                other.what == What::Forward
                    && (&other.case, other.engine, other.threads, other.how)
                        == (&row.case, row.engine, row.threads, row.how)
            });
            let forward = forward.and_then(|forward| forward.figures.as_ref());
            forward.map(|forward| figures.median_ms / forward.median_ms)
        };
        row.figures = Some(Figures { of_forward, ..figures });
        self.print(row)
    }

    /// Says why there is no time.
    pub(crate) fn told(&mut self, mut row: Row, reason: &Failure) -> Result<(), Failure> {
        let text = Some(reason.to_string());
        if reason.is::<Wrong>() {
            row.wrong = text;
        } else {
            row.missing = text;
        }
        // What was forced need not apply; all else has to work.
        let applies =
            !matches!(reason.downcast_ref(), Some(channelwise::Error::NotApplicable { .. }));
        self.failed += usize::from(applies && !reason.is::<Absent>());
        self.print(row)
    }

    fn print(&mut self, row: Row) -> Result<(), Failure> {
        if self.json {
            println!("{}", serde_json::to_string(&row)?);
        } else {
            println!("{row}");
        }
        self.rows.push(row);
        Ok(())
    }
}
