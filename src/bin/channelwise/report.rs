//! What was done: a few lines for people, or one line of JSON.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use channelwise::Timings;
use serde::Serialize;

use crate::args::RunArgs;
use crate::clipped::Clipped;
use crate::failure::{Failure, Result};
use crate::verify::Verdict;

/// All there is to tell of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Which of several inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// What computed it: `cpu`, `gpu` or `reference`.
    pub(crate) engine: &'static str,
    /// Name of the GPU that did.
    pub(crate) adapter: Option<String>,
    /// What was there to compute, and why.
    pub(crate) engine_info: String,
    pub(crate) algorithm: String,
    pub(crate) shapes: Shapes,
    /// What lay beyond the edges.
    pub(crate) border: String,
    /// What was done with colours and alpha, if anything.
    pub(crate) pixels: Option<String>,
    pub(crate) input_type: String,
    pub(crate) output_type: String,
    pub(crate) milliseconds: Milliseconds,
    /// Results that the output's type could not hold.
    pub(crate) clipped: Option<Clipped>,
    pub(crate) verify: Option<Verdict>,
    /// How it went part by part, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream: Option<Told>,
    /// Where the result was written.
    pub(crate) output: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Shapes {
    pub(crate) input: Vec<usize>,
    /// Height, width, filters.
    pub(crate) kernel: [usize; 3],
    pub(crate) output: Vec<usize>,
}

/// What there is to tell of a stream.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Told {
    /// Bytes that it was held to.
    pub(crate) memory: u64,
    pub(crate) steps: usize,
    /// Outputs that were written.
    pub(crate) outputs: u64,
    /// Chunks that were there already, of those that were asked for.
    pub(crate) skipped: usize,
    pub(crate) chunks: usize,
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { memory, steps, outputs, skipped, chunks } = self;
        let mib = *memory as f64 / f64::from(1 << 20);
        let plural = if *steps == 1 { "" } else { "s" };
        write!(f, "{steps} step{plural} within {mib:.0} MiB, {outputs} outputs written")?;
        if *skipped > 0 {
            write!(f, ", {skipped} of {chunks} chunks were there already")?;
        }
        Ok(())
    }
}

/// Files are not in them, nor finding the engine.
#[derive(Debug, Serialize)]
pub(crate) struct Milliseconds {
    plan: f64,
    upload: f64,
    compute: f64,
    download: f64,
    total: f64,
    /// By the GPU's own clock, where it has one.
    gpu: Option<f64>,
}

impl Milliseconds {
    /// Of what overlaps: reading and writing are in it.
    pub(crate) fn streamed(plan: Duration, all: Duration) -> Self {
        let mut timings = Timings::default();
        (timings.compute, timings.total) = (all, all);
        Self::new(plan, timings)
    }

    pub(crate) fn new(plan: Duration, run: Timings) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        Self {
            plan: ms(plan),
            upload: ms(run.upload),
            compute: ms(run.compute),
            download: ms(run.download),
            total: ms(plan + run.total),
            gpu: run.gpu.map(ms),
        }
    }
}

impl Report {
    /// On stdout, or on stderr where that holds the result.
    pub(crate) fn print(&self, json: bool, aside: bool) -> Result<()> {
        let text = if json {
            let line = serde_json::to_string(self);
            line.map_err(|error| Failure::work(error.to_string()))? + "\n"
        } else if self.file.is_some() {
            self.line()
        } else {
            self.text()
        };
        if aside {
            // As with notes, whether anybody reads it is no matter.
            let _ = io::stderr().lock().write_all(text.as_bytes());
            return Ok(());
        }
        print(&text)
    }

    /// What there is to tell of one of many.
    fn line(&self) -> String {
        let Shapes { input, output, .. } = &self.shapes;
        let mut line = format!(
            "{}: {} {}, {} on {}, {:.3} ms",
            self.file.as_deref().unwrap_or_default(),
            times(input),
            self.input_type,
            self.algorithm,
            self.engine,
            self.milliseconds.total
        );
        // Writing to a string does not fail.
        if let Some(clipped) = &self.clipped {
            let _ = write!(line, "; clipped {clipped}");
        }
        if let Some(verdict) = &self.verify {
            let _ = write!(line, "; {verdict}");
        }
        if let Some(told) = &self.stream {
            let _ = write!(line, "; {told}");
        }
        if let Some(path) = &self.output {
            let _ = write!(line, "; wrote {path}, {} {}", times(output), self.output_type);
        }
        line + "\n"
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<10} {value}");
        };
        let Shapes { input, kernel: [h, w, filters], output } = &self.shapes;
        line("engine", self.engine_info.clone());
        let Self { algorithm, engine, .. } = self;
        line(
            "algorithm",
            match *engine {
                "reference" => algorithm.clone(),
                engine => format!("{algorithm} on the {engine}"),
            },
        );
        line("input", format!("{} {}", times(input), self.input_type));
        let plural = if *filters == 1 { "" } else { "s" };
        line("kernel", format!("{h}x{w}, {filters} filter{plural}"));
        line("border", self.border.clone());
        if let Some(pixels) = &self.pixels {
            line("pixels", pixels.clone());
        }
        line("output", format!("{} {}", times(output), self.output_type));
        if let Some(clipped) = &self.clipped {
            line("clipped", clipped.to_string());
        }
        let Milliseconds { plan, upload, compute, download, total, gpu } = self.milliseconds;
        let mut time = format!(
            "plan {plan:.3} ms, upload {upload:.3} ms, compute {compute:.3} ms, \
             download {download:.3} ms, total {total:.3} ms"
        );
        if let Some(gpu) = gpu {
            let _ = write!(time, "; by the GPU's clock {gpu:.3} ms");
        }
        line("time", time);
        if let Some(told) = &self.stream {
            line("stream", told.to_string());
        }
        if let Some(verdict) = &self.verify {
            line("verify", verdict.to_string());
        }
        if let Some(path) = &self.output {
            line("wrote", path.clone());
        }
        text
    }
}

fn times(dims: &[usize]) -> String {
    dims.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.passed {
            write!(f, "passed: {} of {} outputs checked", self.checked, self.outputs)?;
        } else {
            write!(
                f,
                "FAILED: {} of {} checked outputs are beyond their allowance",
                self.failed, self.checked
            )?;
        }
        let Some(worst) = &self.worst else { return Ok(()) };
        if worst.error == 0.0 {
            return write!(f, ", none off by more than rounding");
        }
        write!(
            f,
            ", worst error {:.2e} with {:.2e} allowed (output {}: {} for {})",
            worst.error, worst.allowance, worst.index, worst.found, worst.expected
        )
    }
}

/// `--explain`; beside JSON, or a result on stdout, it goes to stderr, so that stdout stays what it is.
pub(crate) fn explain(args: &RunArgs, text: &str, aside: bool) -> Result<()> {
    if !args.explain {
        return Ok(());
    }
    if args.json || aside {
        let _ = io::stderr().lock().write_all(text.as_bytes());
        return Ok(());
    }
    print(text)
}

/// Text on stdout. Where nobody reads it any more, as in `channelwise kernels | head -1`, that is
/// no failure.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::writing(Path::new("stdout"), error))
        }
        _ => Ok(()),
    }
}
