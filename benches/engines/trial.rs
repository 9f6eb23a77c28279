//! A case on an engine: what its rows have in common.

use channelwise::{Algorithm, Element, Engine, Problem, reference};
use ndarray::Array4;

use crate::Failure;
use crate::cases::{Case, Noise};
use crate::copy::Copies;
use crate::row::{Figures, How, Printer, Row, What, Wrong};
use crate::times::Times;
use crate::watch::Watch;

pub(crate) struct Trial<'a> {
    pub(crate) case: &'a Case,
    pub(crate) engine: &'a Engine,
    pub(crate) algorithm: Algorithm,
    /// Of the CPU's engine, 0 for a GPU.
    pub(crate) threads: usize,
    /// Of a GPU whose own time is taken; without, up- and download count.
    pub(crate) watch: Option<&'a Watch>,
    /// The rows to make.
    pub(crate) hows: &'a [How],
    pub(crate) seconds: f64,
    /// Whether plans go to stderr.
    pub(crate) explain: bool,
    pub(crate) copies: &'a Copies,
}

impl Trial<'_> {
    /// A row without figures.
    pub(crate) fn row(&self, what: What, how: How, algorithm: Option<String>) -> Row {
        let engine = if self.engine.as_gpu().is_some() { "gpu" } else { "cpu" };
        Row {
            case: self.case.name.clone(),
            row: format!("channelwise {engine}"),
            what,
            engine,
            how,
            algorithm,
            forced: self.algorithm != Algorithm::Auto,
            threads: self.threads,
            figures: None,
            missing: None,
            wrong: None,
        }
    }

    /// A row with its figures. A gradient moves as many bytes as the forward problem, and multiplies as
    /// often: that of the input reads an output and writes an input, that of the kernel reads both.
    pub(crate) fn say(
        &self,
        printer: &mut Printer,
        row: Row,
        times: &Times,
        buffers: Option<usize>,
    ) -> Result<(), Failure> {
        let problem = self.case.problem()?;
        let bytes = problem.bytes();
        let flops = 2.0 * problem.multiply_adds() as f64;
        let mut figures = Figures {
            direct_gflop_per_s: Some(flops / times.median() / 1e6),
            buffers,
            ..Figures::new(times, bytes)
        };
        match self.watch {
            Some(watch) => {
                figures.copy_ms = Some(self.copies.on_device(watch, bytes, row.how)?);
                let host = row.how == How::Call;
                figures.clock = Some(if host { "host" } else { watch.clock() });
            }
            None => {
                let (plain, streamed) = self.copies.on_host(bytes, self.threads.max(1))?;
                (figures.copy_ms, figures.streamed_copy_ms) = (Some(plain), streamed);
                figures.huge_pages = Some(huge_pages());
            }
        }
        printer.say(row, figures)
    }

    /// Rows of these that are not there yet are missing for a reason.
    pub(crate) fn told(
        &self,
        printer: &mut Printer,
        what: What,
        from: usize,
        reason: &Failure,
    ) -> Result<(), Failure> {
        for how in self.hows {
            let said = |row: &Row| row.what == what && row.how == *how;
            if !printer.rows[from..].iter().any(said) {
                let algorithm =
                    (self.algorithm != Algorithm::Auto).then(|| self.algorithm.to_string());
                printer.told(self.row(what, *how, algorithm), reason)?;
            }
        }
        Ok(())
    }
}

/// Nobody asks for them: not our vectors, and the peers' scripts forbid it to NumPy, which would.
fn huge_pages() -> String {
    let file = "/sys/kernel/mm/transparent_hugepage/enabled";
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let set = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    let system = set.map_or("unknown", |(set, _)| set);
    format!("not asked for by anyone; system setting {system}")
}

/// Random numbers, of integers over all their range.
pub(crate) fn input<T: Element>(case: &Case) -> Result<Array4<T>, Failure> {
    let (mut noise, scale) = (Noise(11), case.scale()?);
    Ok(Array4::from_shape_simple_fn(case.shape, || T::from_f32(noise.next() * scale)))
}

/// A sample from everywhere; corners and edges are among it.
pub(crate) fn verify<T: Element>(
    problem: &Problem,
    spread: f64,
    x: &[T],
    y: &[T],
) -> Result<(), Failure> {
    if y.len() != problem.output_len() {
        return Err(Wrong(format!("{} of {} outputs", y.len(), problem.output_len())).into());
    }
    let extra = reference::extra(problem, x, spread);
    for index in (0..y.len()).step_by(y.len() / 500 + 1).chain([y.len() - 1]) {
        let want = reference::at_within(problem, x, index, extra);
        if !want.accepts(y[index]) {
            return Err(Wrong(format!("{:?} at {index} for {want:?}", y[index])).into());
        }
    }
    Ok(())
}
