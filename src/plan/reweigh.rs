//! Plans for other weights: the same passes with other numbers.

use super::launch::{CpuLaunch, CpuScheme, GpuLaunch, Launch, Scheme};
use super::separable::First;
use super::{Plan, box_filter, fft, march, separable};
use crate::{Algorithm, Error, Problem, Result};

impl Plan {
    /// The same plan for `problem`, which is the one that was planned with other weights. Nothing is chosen
    /// anew, nor compiled: launch numbers stay as they are.
    ///
    /// # Errors
    /// [`Error::NotApplicable`] where the algorithm takes advantage of what the weights were, and these are
    /// not.
    pub(crate) fn reweighed(&self, problem: &Problem) -> Result<Self> {
        let refused = |algorithm: Algorithm, reason: String| Error::NotApplicable {
            algorithm,
            engine: self.engine(),
            reason: format!("{reason}; `direct` and `flat` take any weights"),
        };
        let separable = |terms, first| {
            separable::again(problem.but_for_edges(), terms, first)
                .map_err(|reason| refused(Algorithm::Separable, reason))
        };
        let fft = || {
            fft::finite(problem.but_for_edges()).map_err(|reason| refused(Algorithm::Fft, reason))
        };
        let launch = match &self.launch {
            Launch::Cpu(launch) => Launch::Cpu(CpuLaunch {
                scheme: match &launch.scheme {
                    CpuScheme::Direct => CpuScheme::Direct,
                    CpuScheme::Double => CpuScheme::Double,
                    CpuScheme::DoubleSeparable(factors) => CpuScheme::DoubleSeparable(
                        separable::again_double(problem, factors.terms())
                            .map_err(|reason| refused(Algorithm::Separable, reason))?,
                    ),
                    CpuScheme::Separable(factors) => {
                        CpuScheme::Separable(separable(factors.terms(), First::Columns)?)
                    }
                    CpuScheme::BoxFilter if box_filter::applies(problem.but_for_edges()) => {
                        CpuScheme::BoxFilter
                    }
                    CpuScheme::BoxFilter => CpuScheme::Separable(separable(1, First::Columns)?),
                    CpuScheme::Fft { tile, outputs } => {
                        fft()?;
                        CpuScheme::Fft { tile: *tile, outputs: *outputs }
                    }
                },
                ..launch.clone()
            }),
            Launch::Gpu(launch) => Launch::Gpu(GpuLaunch {
                scheme: match &launch.scheme {
                    Scheme::Separable { across, down, factors } => Scheme::Separable {
                        across: *across,
                        down: *down,
                        factors: separable(factors.terms(), First::Rows)?,
                    },
                    Scheme::Strips { strip, factors } => Scheme::Strips {
                        strip: *strip,
                        factors: separable(factors.terms(), First::Rows)?,
                    },
                    Scheme::Fft(tile) => {
                        fft()?;
                        Scheme::Fft(*tile)
                    }
                    same @ Scheme::March(march) => {
                        march::again(march, problem.but_for_edges())
                            .map_err(|reason| refused(Algorithm::March, reason))?;
                        same.clone()
                    }
                    same @ (Scheme::Direct { .. } | Scheme::Flat(_) | Scheme::Phases(_)) => {
                        same.clone()
                    }
                },
                ..launch.clone()
            }),
        };
        let accuracy = launch.accuracy(launch.part_of(problem));
        Ok(Self { title: problem.to_string(), launch, accuracy, ..self.clone() })
    }
}
