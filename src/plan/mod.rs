//! Choosing how to compute a problem: a pure function from problem and machine to plain data.
//!
//! Each algorithm's file says whether it applies, with which launch numbers and at what predicted
//! cost, or why not; [`choose`] takes the cheapest that applies, or the one that was asked for.
//! No device, thread, clock or environment is touched here.

mod bands;
mod chain;
mod cost;
mod cuts;
mod direct;
mod fft;
mod flat;
mod fold;
mod gather;
mod gradient;
pub(crate) mod job;
mod launch;
mod limits;
mod offer;
mod pass;
mod separable;

use std::fmt;

pub use bands::{Band, Span};
pub(crate) use chain::problems;
pub use chain::{ChainPlan, ChainStage, chain};
pub use cost::Traffic;
pub use cuts::Cuts;
pub use fft::{Lines, Tile};
pub(crate) use fft::{PAIRS, outputs as tile_outputs};
pub use flat::Block;
pub(crate) use gather::{Rectangle, edges};
pub(crate) use gradient::DEPTH;
pub use gradient::{Correlation, GradientPlan, KernelGradient, gradient};
pub use launch::{CpuLaunch, CpuScheme, GpuLaunch, Launch, Scheme};
pub use limits::{AdapterClass, CpuLimits, GpuLimits, Machine, Residence};
pub use offer::Accuracy;
use offer::Offer;
pub(crate) use pass::Pass;

use crate::{Error, Problem, Result};

/// How outputs are computed. Results never differ by more than the stated bound.
///
/// `Direct` and `Flat` give the formula's IEEE results for non-finite input too (a tap of 0 on an
/// infinity is a NaN), as far as the device's arithmetic does; `Separable` does with one term, where
/// no sum along a row overflows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// The cheapest that applies, by the plan's cost model.
    #[default]
    Auto,
    /// Tap by tap. On the CPU over flat rows in vectors; on the GPU one 2-D grid of workgroups per
    /// channel slice. Takes every option.
    Direct,
    /// GPU: each invocation makes a block of outputs of some flat rows.
    Flat,
    /// A pass along rows and one along columns (on the CPU both at once), for kernels that are a sum of
    /// few columns times rows (their rank: 1 for Gaussian, box and Sobel kernels). Taken unasked where
    /// there is one term, or where the input is known to be finite: it holds bytes, or
    /// [`Conv2d::assume_finite`](crate::Conv2d::assume_finite) says so. Several terms may make NaNs
    /// of infinities, and their rounding errors are relative to the largest input
    /// ([`Plan::accuracy`]).
    Separable,
    /// Transforms of tiles times the kernel's spectrum, for large kernels. Taken unasked where the
    /// input is known to be finite, as with several terms of `Separable`: a value that is not may
    /// spread over its tile, and rounding errors are relative to the largest input
    /// ([`Plan::accuracy`]).
    Fft,
}

impl Algorithm {
    /// All that can be taken, `Auto` left out.
    pub const ALL: [Self; 4] = [Self::Flat, Self::Separable, Self::Fft, Self::Direct];
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Direct => "direct",
            Self::Flat => "flat",
            Self::Separable => "separable",
            Self::Fft => "fft",
        })
    }
}

/// An algorithm that was looked at: its predicted time in microseconds, or why it does not apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Which.
    pub algorithm: Algorithm,
    /// Predicted time in microseconds, or the reason against it.
    pub verdict: std::result::Result<f64, String>,
    /// Microseconds it took on the device, where that decided ([`Tuning`](crate::Tuning)).
    pub measured: Option<f64>,
}

/// How a problem will be computed, and why so.
///
/// `Display` prints it for people: [`Plan::explain`].
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    title: String,
    machine: Machine,
    algorithm: Algorithm,
    candidates: Vec<Candidate>,
    launch: Launch,
    accuracy: Accuracy,
}

impl Plan {
    /// The algorithm taken.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Microseconds it takes by the model.
    #[must_use]
    pub fn predicted(&self) -> f64 {
        let taken = self.candidates.iter().find(|c| c.algorithm == self.algorithm);
        // One against which there is a reason is not taken.
        taken.and_then(|c| c.verdict.as_ref().ok()).copied().unwrap_or(f64::INFINITY)
    }

    /// Everything that was looked at, cheapest first, then what does not apply.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The launch numbers.
    #[must_use]
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// How far results may be from the exact value.
    #[must_use]
    pub fn accuracy(&self) -> Accuracy {
        self.accuracy
    }

    /// The plan for the same problem with `algorithm`, which measurements favour.
    pub(crate) fn retaken(
        self,
        problem: &Problem,
        machine: &Machine,
        algorithm: Algorithm,
        measured: &[(Algorithm, f64)],
    ) -> Result<Self> {
        let plan = if algorithm == self.algorithm {
            self.clone()
        } else {
            choose(problem, machine, algorithm)?
        };
        let mut candidates = self.candidates;
        for candidate in &mut candidates {
            let time = measured.iter().find(|(a, _)| *a == candidate.algorithm);
            candidate.measured = time.map(|(_, us)| *us);
        }
        Ok(Self { candidates, ..plan })
    }

    /// What was taken and why, with every candidate's predicted cost or the reason against it.
    ///
    /// ```
    /// use channelwise::{Conv2d, Engine, Kernel};
    /// # fn main() -> channelwise::Result<()> {
    /// let blur = Conv2d::new(Kernel::gaussian(5, 1.2)?);
    /// let prepared = Engine::cpu().prepare::<f32, f32>(&blur, [1, 1080, 1920, 3])?;
    /// println!("{}", prepared.plan().explain());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn explain(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = match &self.machine {
            Machine::Cpu(cpu) => format!("cpu ({} threads, {} lanes)", cpu.threads, cpu.lanes),
            Machine::Gpu(gpu, _) => format!("gpu ({})", gpu.class),
        };
        writeln!(f, "{} on the {engine}: {}", self.algorithm, self.title)?;
        match &self.launch {
            Launch::Cpu(launch) => {
                match &launch.scheme {
                    CpuScheme::Direct => write!(f, "  ")?,
                    CpuScheme::Separable(factors) => {
                        let terms = factors.terms();
                        write!(f, "  {terms} term{}, ", if terms == 1 { "" } else { "s" })?
                    }
                    CpuScheme::Fft { tile: (rows, columns) } => {
                        write!(f, "  tiles of {rows}x{columns}, ")?
                    }
                }
                writeln!(f, "  {} output rows in a task", launch.rows_per_task)?
            }
            Launch::Gpu(launch) => {
                match &launch.scheme {
                    Scheme::Direct { workgroup: [x, y], .. } => {
                        write!(f, "  workgroups of {x}x{y}, a word of output an invocation")?
                    }
                    Scheme::Flat(block) => write!(f, "  {block}")?,
                    Scheme::Separable { across, down, factors } => {
                        let terms = factors.terms();
                        let plural = if terms == 1 { "" } else { "s" };
                        write!(f, "  {terms} term{plural}; rows: {across}; columns: {down}")?
                    }
                    Scheme::Fft(tile) => write!(f, "  {tile}")?,
                }
                let plural = if launch.bands.len() == 1 { "" } else { "s" };
                writeln!(f, ", {} band{plural}", launch.bands.len())?;
            }
        }
        for candidate in &self.candidates {
            let taken = if candidate.algorithm == self.algorithm { "  <- taken" } else { "" };
            match &candidate.verdict {
                Ok(us) => {
                    write!(f, "  {:<9} {} predicted", candidate.algorithm, Time(*us))?;
                    if let Some(us) = candidate.measured {
                        write!(f, ", {} measured", Time(us))?;
                    }
                    writeln!(f, "{taken}")?;
                }
                Err(reason) => writeln!(f, "  {:<9} not taken: {reason}", candidate.algorithm)?,
            }
        }
        Ok(())
    }
}

/// Microseconds, for people.
struct Time(f64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1000.0 {
            write!(f, "{:.1} us", self.0)
        } else {
            write!(f, "{:.2} ms", self.0 / 1000.0)
        }
    }
}

/// The plan for `problem` on `machine`; `wanted` forces an algorithm.
///
/// # Errors
/// [`Error::NotApplicable`] where the wanted algorithm cannot do it; [`Error::TooLarge`] where not
/// even one output fits the device's limits.
pub fn choose(problem: &Problem, machine: &Machine, wanted: Algorithm) -> Result<Plan> {
    let mut offers: Vec<(Algorithm, Offer<Launch>)> = Algorithm::ALL
        .into_iter()
        .map(|algorithm| (algorithm, offer(algorithm, problem, machine)))
        .collect();
    // What keeps less than the others is left to those who ask for it.
    if wanted == Algorithm::Auto {
        for (_, offer) in &mut offers {
            if let Ok((launch, _)) = offer
                && let Some(reason) = launch.caveat(launch.part_of(problem))
            {
                *offer = Err(reason);
            }
        }
    }
    let cost = |o: &(Algorithm, Offer<Launch>)| o.1.as_ref().map_or(f64::INFINITY, |(_, us)| *us);
    // Stable: among equals the order of `ALL` holds.
    offers.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
    let candidates = offers
        .iter()
        .map(|(algorithm, offer)| Candidate {
            algorithm: *algorithm,
            verdict: offer.as_ref().map(|(_, us)| *us).map_err(Clone::clone),
            measured: None,
        })
        .collect();

    let engine = match machine {
        Machine::Cpu(_) => "cpu",
        Machine::Gpu(..) => "gpu",
    };
    let not_applicable =
        |algorithm, reason: String| Error::NotApplicable { algorithm, engine, reason };
    let taken = match wanted {
        // Where nothing applies, the reason against the last resort is the one to tell.
        Algorithm::Auto if offers.iter().all(|(_, offer)| offer.is_err()) => Algorithm::Direct,
        Algorithm::Auto => offers[0].0,
        named => named,
    };
    let (algorithm, mut launch) = match offers.into_iter().find(|(a, _)| *a == taken) {
        Some((algorithm, Ok((launch, _)))) => (algorithm, launch),
        Some((algorithm, Err(reason))) => return Err(not_applicable(algorithm, reason)),
        None => return Err(not_applicable(taken, "it is not known".into())),
    };
    if let (Launch::Gpu(launch), Machine::Gpu(limits, residence)) = (&mut launch, machine) {
        let scheme = launch.scheme.clone();
        let g = problem.geometry();
        let places = g.images * g.out_height * g.out_width * g.channels;
        let made = scheme.part_of(problem);
        let between = |band: &Band| scheme.between(made, band).into_iter().fold(0, u64::max);
        let sums: f64 = scheme.traffic(made).iter().map(|pass| pass.sums).sum();
        let sums = scheme.weight(limits) as f64 * sums;
        let per_place = (sums / places.max(1) as f64).ceil() as u64;
        let budget = |bytes| bands::Budget {
            bytes,
            textures: *residence == Residence::Texture,
            work: limits.max_work(),
            per_place,
            pitch: launch.pitch,
            granule: granule(problem, *residence),
            between: &between,
        };
        let usual = match (residence, &scheme) {
            (Residence::Device | Residence::Texture, _) => None,
            // A band cuts tiles off.
            (Residence::Host, Scheme::Fft(_)) => None,
            (
                Residence::Host,
                Scheme::Direct { .. } | Scheme::Flat(_) | Scheme::Separable { .. },
            ) => {
                let usual = bands::cut(problem, budget(limits.usual_host_range())).ok();
                usual.filter(|bands| {
                    let whole = bands.iter().all(|band| band.columns.len() == g.out_width);
                    // What neighbours both need is copied twice, and filtered twice by a first pass.
                    let rows = bands.iter().map(|band| band.images.len() * band.source_rows.len);
                    whole && 4 * rows.sum::<usize>() <= 5 * g.images * g.height
                })
            }
        };
        launch.bands = match usual {
            Some(bands) => bands,
            None => bands::cut(problem, budget(limits.band_bytes(*residence)))?,
        };
    }
    let accuracy = launch.accuracy(launch.part_of(problem));
    let title = problem.to_string();
    Ok(Plan { title, machine: *machine, algorithm, candidates, launch, accuracy })
}

fn offer(algorithm: Algorithm, problem: &Problem, machine: &Machine) -> Offer<Launch> {
    if problem.gathers() && algorithm != Algorithm::Direct {
        let edges = match machine {
            _ if !problem.has_edges() => {
                Err("the adjoint of a stride or of several filters is made by direct".into())
            }
            Machine::Cpu(limits) => gather::cpu(problem, limits),
            Machine::Gpu(limits, _) => gather::gpu(problem, limits),
        }?;
        let (launch, us) = offer(algorithm, problem.but_for_edges(), machine)?;
        return Ok((launch, us + edges));
    }
    match machine {
        Machine::Cpu(limits) => {
            let (scheme, rows_per_task, us) = on_cpu(algorithm, problem, limits)?;
            Ok((Launch::Cpu(CpuLaunch { scheme, rows_per_task }), us))
        }
        Machine::Gpu(limits, residence) => {
            let (scheme, us) = on_gpu(algorithm, problem, limits, *residence)?;
            let (pitch, bands) = (pitch(*residence), Vec::new());
            Ok((Launch::Gpu(GpuLaunch { scheme, pitch, bands }), us))
        }
    }
}

/// What a task computes, of how many output rows, and microseconds.
fn on_cpu(
    algorithm: Algorithm,
    problem: &Problem,
    limits: &CpuLimits,
) -> std::result::Result<(CpuScheme, usize, f64), String> {
    Ok(match algorithm {
        Algorithm::Direct => {
            let (rows, us) = direct::cpu(problem, limits)?;
            (CpuScheme::Direct, rows, us)
        }
        Algorithm::Flat => return Err(flat::NOT_ON_CPU.into()),
        Algorithm::Separable => {
            let ((factors, rows), us) = separable::cpu(problem, limits)?;
            (CpuScheme::Separable(factors), rows, us)
        }
        Algorithm::Fft => {
            let ((tile, rows), us) = fft::cpu(problem, limits)?;
            (CpuScheme::Fft { tile }, rows, us)
        }
        Algorithm::Auto => return Err(NO_ALGORITHM.into()),
    })
}

fn on_gpu(
    algorithm: Algorithm,
    problem: &Problem,
    limits: &GpuLimits,
    residence: Residence,
) -> Offer<Scheme> {
    Ok(match algorithm {
        Algorithm::Direct => {
            let ((workgroup, sliced), us) = direct::gpu(problem, limits)?;
            (Scheme::Direct { workgroup, sliced }, us)
        }
        Algorithm::Flat => {
            let (block, us) = flat::gpu(problem, limits, residence)?;
            (Scheme::Flat(block), us)
        }
        Algorithm::Separable => {
            let (passes, us) = separable::gpu(problem, limits, residence)?;
            let separable::Passes { across, down, factors } = passes;
            (Scheme::Separable { across, down, factors }, us)
        }
        Algorithm::Fft => {
            let (tile, us) = fft::gpu(problem, limits, residence)?;
            (Scheme::Fft(tile), us)
        }
        Algorithm::Auto => return Err(NO_ALGORITHM.into()),
    })
}

const NO_ALGORITHM: &str = "it is not an algorithm of its own";

/// Rows (or images) by which bands must start, so that no word of a packed byte output belongs to
/// two of them.
fn granule(problem: &Problem, residence: Residence) -> usize {
    let word = problem.store().lanes();
    match residence {
        Residence::Host | Residence::Texture => 1,
        Residence::Device if problem.geometry().out_row().is_multiple_of(word) => 1,
        Residence::Device => word,
    }
}

/// Scalars that rows of device buffers of our own, and of textures, are rounded up to: whole vectors.
fn pitch(residence: Residence) -> usize {
    match residence {
        Residence::Host | Residence::Texture => 4,
        Residence::Device => 1,
    }
}

#[cfg(test)]
mod tests;
