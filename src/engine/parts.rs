//! Parts of an output one after the other, from rows of the input that whoever asks brings together.

use std::sync::Arc;

use super::arrays::LONG_ROW;
use super::part::Part;
use super::prepared::Prepared;
use super::ready::Ready;
use crate::plan::Held;
use crate::wait::{Wait, block_on};
use crate::{Algorithm, Problem, Result, Window};

/// Of how many shapes a part is kept ready: the middle ones, and those at edges and corners.
const KEPT: usize = 12;

/// Bytes that a thread of the CPU keeps for itself, about.
const SCRATCH: u64 = 4 << 20;
/// And with transforms.
const TILES: u64 = 12 << 20;
/// Bytes that a GPU's bands in flight take, on the host.
const BANDS: u64 = 48 << 20;

/// Parts of a prepared problem.
#[derive(Debug)]
pub(crate) struct Parts {
    whole: Arc<Ready>,
    /// Parts of one shape at one kind of edge are one problem.
    ready: Vec<(Problem, Arc<Ready>)>,
}

impl<T, U> Prepared<T, U> {
    /// Its parts, one after the other.
    pub(crate) fn parts(&self) -> Parts {
        Parts { whole: self.ready.clone(), ready: Vec::new() }
    }
}

impl Parts {
    pub(crate) fn problem(&self) -> &Problem {
        self.whole.problem()
    }

    /// A part of the output, made ready.
    pub(crate) fn get(&mut self, window: &Window) -> Result<Part> {
        let region = self.whole.widened(window)?;
        let known = self.ready.iter().position(|(problem, _)| *problem == region.problem);
        let ready = match known {
            // The one that was asked for last is the last to go.
            Some(at) => self.ready.remove(at).1,
            None => {
                let part = self.whole.part(region.problem.clone(), Wait::HERE);
                if self.ready.len() == KEPT {
                    self.ready.remove(0);
                }
                Arc::new(block_on(part)?)
            }
        };
        self.ready.push((region.problem.clone(), ready.clone()));
        Ok(Part::new(self.whole.problem(), window, region, ready))
    }

    /// What is held while parts are computed, beside their inputs and outputs.
    pub(crate) fn held(&self) -> Held {
        let problem = self.whole.problem();
        let g = problem.geometry();
        let (element, result) =
            (problem.input_type().bytes() as u64, problem.output_type().bytes() as u64);
        let joined = g.row() * problem.input_type().bytes() < LONG_ROW;
        let fft = self.whole.plan().algorithm() == Algorithm::Fft;
        let threads = |on_cpu: u64| if fft { on_cpu * TILES } else { on_cpu * SCRATCH };
        match &*self.whole {
            Ready::Cpu(on_cpu) => Held {
                at_once: 1,
                of_input: if joined || !self.whole.reads_rows() { element } else { 0 },
                // What is computed beside a part, for its bits or at an edge, lies elsewhere.
                of_output: result,
                fixed: threads(on_cpu.threads()),
            },
            Ready::Gpu(_) => {
                Held { at_once: 2, of_input: element, of_output: result, fixed: 2 * BANDS }
            }
            // Values, then weights, and the sums of both.
            Ready::Masked(masked) => {
                let float = if problem.double().is_some() { 8 } else { 4 };
                Held {
                    at_once: 1,
                    of_input: element + float,
                    of_output: result + 2 * float,
                    fixed: masked.threads().map_or(2 * BANDS, threads),
                }
            }
        }
    }
}
