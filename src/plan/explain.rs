//! Plans as text.

use std::fmt;

use super::{Candidate, CpuScheme, Launch, Machine, Plan, Scheme};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} on the {}: {}", self.algorithm, self.machine, self.title)?;
        match &self.launch {
            Launch::Cpu(launch) => {
                match &launch.scheme {
                    CpuScheme::Direct => write!(f, "  ")?,
                    CpuScheme::Double => write!(f, "  sums in f64, ")?,
                    CpuScheme::Separable(factors) => {
                        let terms = factors.terms();
                        write!(f, "  {terms} term{}, ", if terms == 1 { "" } else { "s" })?
                    }
                    CpuScheme::DoubleSeparable(factors) => {
                        let terms = factors.terms();
                        let plural = if terms == 1 { "" } else { "s" };
                        write!(f, "  {terms} term{plural}, sums in f64, ")?
                    }
                    CpuScheme::BoxFilter => write!(f, "  a box filter by running sums, ")?,
                    CpuScheme::Fft { tile, outputs } => {
                        let ((rows, columns), (high, wide)) = (tile, outputs);
                        write!(f, "  tiles of {rows}x{columns} for {high}x{wide} outputs, ")?
                    }
                }
                match launch.images_per_task {
                    Some(images) => write!(f, "{images} images in a task, side by side")?,
                    None => {
                        write!(f, "{} output rows", launch.rows_per_task)?;
                        if let Some(columns) = launch.columns_per_task {
                            write!(f, " of {columns} columns")?;
                        }
                        write!(f, " in a task")?;
                    }
                }
                let past = if launch.streamed { ", stored past the caches" } else { "" };
                writeln!(f, "{past}")?;
            }
            Launch::Gpu(launch) => {
                match &launch.scheme {
                    Scheme::Direct { workgroup: [x, y], .. } => {
                        write!(f, "  workgroups of {x}x{y}, a word of output an invocation")?
                    }
                    Scheme::Flat(block) => write!(f, "  {block}")?,
                    Scheme::March(march) => write!(f, "  {march}")?,
                    Scheme::Phases(phases) => write!(f, "  {phases}")?,
                    Scheme::Separable { across, down, factors } => {
                        let terms = factors.terms();
                        let plural = if terms == 1 { "" } else { "s" };
                        write!(f, "  {terms} term{plural}; rows: {across}; columns: {down}")?
                    }
                    Scheme::Strips { strip, factors } => {
                        let terms = factors.terms();
                        let plural = if terms == 1 { "" } else { "s" };
                        write!(f, "  {terms} term{plural}; {strip}")?
                    }
                    Scheme::Fft(tile) => write!(f, "  {tile}")?,
                }
                let plural = if launch.bands.len() == 1 { "" } else { "s" };
                writeln!(f, ", {} band{plural}", launch.bands.len())?;
            }
        }
        writeln!(f, "  {}", self.accuracy)?;
        // Which engine is told where there was a choice.
        let engines = self.candidates.iter().any(|candidate| candidate.engine != self.engine());
        for candidate in &self.candidates {
            let Candidate { engine, algorithm, verdict, transfers, measured } = candidate;
            write!(f, "  {algorithm:<9} ")?;
            if engines {
                write!(f, "{engine} ")?;
            }
            match verdict {
                Ok(us) => {
                    write!(f, "{} predicted", Time(*us))?;
                    if *transfers > 0.0 {
                        write!(f, ", {} of it transfers", Time(*transfers))?;
                    }
                    if let Some(us) = measured {
                        let part = if *transfers > 0.0 { "the rest " } else { "" };
                        write!(f, ", {part}{} measured", Time(*us))?;
                    }
                    writeln!(f, "{}", if self.takes(candidate) { "  <- taken" } else { "" })?;
                }
                Err(reason) => writeln!(f, "not taken: {reason}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu(cpu) => write!(f, "cpu ({} threads, {} lanes)", cpu.threads, cpu.lanes),
            Self::Gpu(gpu, _) => write!(f, "gpu ({})", gpu.class),
        }
    }
}

/// Microseconds, for people.
pub(super) struct Time(pub f64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1000.0 {
            write!(f, "{:.1} us", self.0)
        } else {
            write!(f, "{:.2} ms", self.0 / 1000.0)
        }
    }
}
