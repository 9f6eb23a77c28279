//! Choosing how to compute a problem: a pure function from problem and machine to plain data.
//!
//! Each algorithm's file says whether it applies, with which launch numbers and at what predicted
//! cost, or why not; [`choose`] takes the cheapest that applies, or the one that was asked for, and
//! [`choose_engine`] the cheaper of two engines.
//! No device, thread, clock or environment is touched here.

mod algorithm;
mod bands;
mod box_filter;
mod chain;
mod cost;
mod cuts;
mod direct;
mod edges;
mod engines;
mod explain;
mod fft;
mod flat;
mod fold;
mod gather;
mod gradient;
pub(crate) mod job;
mod launch;
mod limits;
pub(crate) mod march;
mod offer;
mod part;
mod pass;
mod phases;
mod products;
#[cfg(not(target_arch = "wasm32"))]
mod regions;
mod reweigh;
mod separable;
mod split;
mod strip;
mod tile;
mod transfer;

pub use algorithm::Algorithm;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use bands::gcd;
pub use bands::{Band, Span};
pub use chain::{ChainPlan, ChainStage, chain};
pub(crate) use chain::{problems, reweighed};
pub(crate) use cost::CACHE_LINE;
pub use cost::Traffic;
pub use cuts::Cuts;
pub use engines::choose_engine;
pub(crate) use engines::{EngineTimes, chain_times, gradient_times};
pub(crate) use fft::{PAIRS, outputs as tile_outputs};
pub use flat::Block;
pub(crate) use gather::{Rectangle, edges};
pub(crate) use gradient::DEPTH;
pub use gradient::{Correlation, GradientPlan, KernelGradient, gradient};
pub use launch::{CpuLaunch, CpuScheme, GpuLaunch, Launch, Scheme};
pub use limits::{AdapterClass, CpuLimits, DeviceCosts, GpuLimits, Machine, Residence};
pub(crate) use march::Halves;
pub use march::March;
pub use offer::Accuracy;
use offer::Offer;
pub(crate) use part::widened;
pub(crate) use pass::Pass;
pub use phases::Phases;
pub use products::Products;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use regions::{Cutter, Held, Units};
pub(crate) use separable::terms as separable_terms;
pub(crate) use split::smaller;
pub use strip::Strip;
pub use tile::{Lines, Tile};

use crate::problem::DoubleWeights;
use crate::{Error, Problem, Result};

/// An algorithm that was looked at: its predicted time in microseconds, or why it does not apply.
///
/// ```
/// use channelwise::{Algorithm, Conv2d, Engine, Kernel};
/// # fn main() -> channelwise::Result<()> {
///
/// let blur = Conv2d::new(Kernel::gaussian(5, 1.2)?);
/// let prepared = Engine::cpu().prepare::<f32, f32>(&blur, [1080, 1920, 3])?;
/// for candidate in prepared.plan().candidates() {
///     match &candidate.verdict {
///         Ok(us) => println!("{}: {us} us", candidate.algorithm),
///         Err(reason) => println!("{}: {reason}", candidate.algorithm),
///     }
/// }
/// assert!(prepared.plan().candidates().iter().any(|c| c.algorithm == Algorithm::Direct));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// On which engine, `cpu` or `gpu`.
    pub engine: &'static str,
    /// Which.
    pub algorithm: Algorithm,
    /// Predicted time in microseconds, or the reason against it.
    pub verdict: std::result::Result<f64, String>,
    /// Microseconds of it that are not the device's work: copies between host and device as far as they
    /// do not overlap with it, and waiting. 0 where nothing is copied.
    pub transfers: f64,
    /// Microseconds of the device's work, where running it decided ([`Tuning`](crate::Tuning)).
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

    /// The engine it is for, `cpu` or `gpu`.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        self.machine.engine()
    }

    /// Microseconds it takes by the model. Of tensors on the host, copies to a GPU and back are in it.
    #[must_use]
    pub fn predicted(&self) -> f64 {
        let taken = self.candidates.iter().find(|candidate| self.takes(candidate));
        // One against which there is a reason is not taken.
        taken.and_then(|c| c.verdict.as_ref().ok()).copied().unwrap_or(f64::INFINITY)
    }

    fn takes(&self, candidate: &Candidate) -> bool {
        (candidate.engine, candidate.algorithm) == (self.engine(), self.algorithm)
    }

    /// Everything that was looked at, cheapest first, then what does not apply: of both engines, where
    /// they were chosen between ([`choose_engine`]).
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The launch numbers.
    #[must_use]
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// How far results may be from the exact value, and whether that is proven.
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
        for candidate in candidates.iter_mut().filter(|c| c.engine == plan.engine()) {
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

/// The plan for `problem` on `machine`; `wanted` forces an algorithm.
///
/// ```
/// use channelwise::plan::{GpuLimits, Machine, Residence, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::gaussian(31, 5.0)?);
/// let f32 = ElementType::F32;
/// let problem = Problem::new(&conv, [1080, 1920, 3], f32, f32)?;
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// // For a device that need not be there.
/// assert_eq!(choose(&problem, &machine, Algorithm::Auto)?.algorithm(), Algorithm::Separable);
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::Argument`] for a normalised convolution; [`Error::NotApplicable`] where the wanted algorithm cannot do it; [`Error::TooLarge`] where not
/// even one output fits the device's limits.
pub fn choose(problem: &Problem, machine: &Machine, wanted: Algorithm) -> Result<Plan> {
    Looked::at(problem, machine, wanted).take(problem, wanted)
}

/// What every algorithm answered, the cheapest first.
struct Looked {
    machine: Machine,
    offers: Vec<(Algorithm, Answer)>,
}

/// What an algorithm offers, or the reason against it.
type Answer = std::result::Result<Offered, String>;

/// A launch, and what it takes from start to end.
struct Offered {
    launch: Launch,
    /// Microseconds, and those of them that are not the work's own.
    us: f64,
    transfers: f64,
    /// Of a GPU with data on the host, whose time they decide; others are cut once they are taken.
    bands: Option<Result<Vec<Band>>>,
}

impl Looked {
    fn at(problem: &Problem, machine: &Machine, wanted: Algorithm) -> Self {
        let look = |algorithm| {
            let (launch, us) = offer(algorithm, problem, machine)?;
            // What keeps less than the others is left to those who ask for it.
            let caveat = launch.caveat(launch.part_of(problem));
            if let (Algorithm::Auto, Some(reason)) = (wanted, caveat) {
                return Err(reason);
            }
            let (Launch::Gpu(gpu), Machine::Gpu(limits, Residence::Host)) = (&launch, machine)
            else {
                return Ok(Offered { launch, us, transfers: 0.0, bands: None });
            };
            let bands = split::bands_of(problem, limits, Residence::Host, gpu);
            let all = match &bands {
                Ok(bands) => transfer::bands(problem, limits, bands, us),
                // Which is an error once it is taken.
                Err(_) => transfer::whole(limits, transfer::Load::of(problem, us)),
            };
            Ok(Offered { launch, us: all, transfers: all - us, bands: Some(bands) })
        };
        let mut offers: Vec<_> =
            Algorithm::ALL.iter().map(|&algorithm| (algorithm, look(algorithm))).collect();
        let cost = |o: &(Algorithm, Answer)| o.1.as_ref().map_or(f64::INFINITY, |o| o.us);
        // Stable: among equals the order of `ALL` holds. Refusals come last, whatever the others cost.
        offers.sort_by(|a, b| a.1.is_err().cmp(&b.1.is_err()).then(cost(a).total_cmp(&cost(b))));
        Self { machine: *machine, offers }
    }

    fn candidates(&self) -> Vec<Candidate> {
        let candidate = |(algorithm, answer): &(Algorithm, Answer)| Candidate {
            engine: self.machine.engine(),
            algorithm: *algorithm,
            verdict: answer.as_ref().map(|offered| offered.us).map_err(Clone::clone),
            transfers: answer.as_ref().map_or(0.0, |offered| offered.transfers),
            measured: None,
        };
        self.offers.iter().map(candidate).collect()
    }

    fn take(self, problem: &Problem, wanted: Algorithm) -> Result<Plan> {
        if problem.conv().missing.is_some() {
            let limit = "it is two sums, which an `Engine` prepares; there is no plan of one";
            return Err(Error::argument("convolution", "normalised", limit));
        }
        let candidates = self.candidates();
        let Self { machine, offers } = self;
        let refused = |algorithm, reason: String| {
            Err(Error::NotApplicable { algorithm, engine: machine.engine(), reason })
        };
        let taken = match wanted {
            // Where nothing applies, the reason against the last resort is the one to tell.
            Algorithm::Auto if offers.iter().all(|(_, offer)| offer.is_err()) => Algorithm::Direct,
            Algorithm::Auto => cheapest(problem, &machine, &offers),
            named => named,
        };
        let (mut launch, bands) = match offers.into_iter().find(|(a, _)| *a == taken) {
            Some((_, Ok(offered))) => (offered.launch, offered.bands),
            Some((algorithm, Err(reason))) => return refused(algorithm, reason),
            None => return refused(taken, "it is not known".into()),
        };
        if let (Launch::Gpu(launch), Machine::Gpu(limits, residence)) = (&mut launch, &machine) {
            let cut = || split::bands_of(problem, limits, *residence, launch);
            launch.bands = bands.unwrap_or_else(cut)?;
        }
        let accuracy = launch.accuracy(launch.part_of(problem));
        let title = problem.to_string();
        Ok(Plan { title, machine, algorithm: taken, candidates, launch, accuracy })
    }
}

/// The cheapest of some offers, of which the cheapest comes first. On the CPU algorithms are held beside each
/// other as for [`cost::USUAL_THREADS`]: which is taken changes bits, and threads must not.
fn cheapest(problem: &Problem, machine: &Machine, offers: &[(Algorithm, Answer)]) -> Algorithm {
    let applies = offers.iter().filter(|(_, answer)| answer.is_ok()).map(|(a, _)| *a);
    let Machine::Cpu(limits) = machine else { return offers[0].0 };
    let usual = Machine::Cpu(CpuLimits { threads: cost::USUAL_THREADS, ..*limits });
    let cost = |a: Algorithm| offer(a, problem, &usual).map_or(f64::INFINITY, |(_, us)| us);
    let timed = applies.map(|algorithm| (cost(algorithm), algorithm));
    timed.min_by(|(a, _), (b, _)| a.total_cmp(b)).map_or(offers[0].0, |(_, algorithm)| algorithm)
}

fn offer(algorithm: Algorithm, problem: &Problem, machine: &Machine) -> Offer<Launch> {
    let whole = match algorithm {
        Algorithm::Direct => true,
        Algorithm::Flat => phases::make(problem, machine),
        Algorithm::Auto | Algorithm::March | Algorithm::Separable | Algorithm::Fft => false,
    };
    if problem.gathers() && !whole {
        let edges = gather::beside(problem, machine)?;
        let (launch, us) = offer(algorithm, problem.but_for_edges(), machine)?;
        return Ok((launch, us + edges));
    }
    match machine {
        Machine::Cpu(limits) => {
            let ((scheme, (rows_per_task, columns_per_task)), us) =
                on_cpu(algorithm, problem, limits)?;
            let streamed = cost::streamed(problem, limits);
            let (images_per_task, streamed) = match scheme {
                CpuScheme::Direct => {
                    let as_row = problem.as_row();
                    match direct::images(as_row.as_ref().unwrap_or(problem), limits, us) {
                        Some(images) => (Some(images), false),
                        None => (None, streamed),
                    }
                }
                CpuScheme::Separable(_) | CpuScheme::BoxFilter => (None, streamed),
                CpuScheme::Double | CpuScheme::DoubleSeparable(_) => {
                    (None, streamed && !problem.gathers())
                }
                CpuScheme::Fft { .. } => (None, false),
            };
            let launch =
                CpuLaunch { scheme, rows_per_task, columns_per_task, images_per_task, streamed };
            Ok((Launch::Cpu(launch), us))
        }
        Machine::Gpu(limits, residence) => {
            let (scheme, us) = on_gpu(algorithm, problem, limits, *residence)?;
            let (pitch, bands) = (pitch(*residence, problem, &scheme), Vec::new());
            Ok((Launch::Gpu(GpuLaunch { scheme, pitch, bands }), us))
        }
    }
}

/// What a task computes, of how many output rows and columns, and microseconds.
fn on_cpu(
    algorithm: Algorithm,
    problem: &Problem,
    limits: &CpuLimits,
) -> Offer<(CpuScheme, (usize, Option<usize>))> {
    if let Some(double) = problem.double() {
        return on_cpu_in_f64(algorithm, problem, double, limits);
    }
    Ok(match algorithm {
        Algorithm::Auto => return Err(NO_ALGORITHM.into()),
        Algorithm::Direct => {
            let as_row = problem.as_row();
            let (task, us) = direct::cpu(as_row.as_ref().unwrap_or(problem), limits)?;
            ((CpuScheme::Direct, task), us)
        }
        Algorithm::Flat | Algorithm::March => return Err(flat::NOT_ON_CPU.into()),
        Algorithm::Separable => {
            let ((way, rows), us) = separable::cpu(problem, limits)?;
            let scheme = match way {
                separable::OnCpu::Factors(factors) => CpuScheme::Separable(factors),
                separable::OnCpu::BoxFilter => CpuScheme::BoxFilter,
            };
            ((scheme, (rows, None)), us)
        }
        Algorithm::Fft => {
            let ((tile, outputs), us) = fft::cpu(problem, limits)?;
            let (rows, _) = cost::tasks(problem, limits, cost::cpu_direct(problem, limits));
            ((CpuScheme::Fft { tile, outputs }, (rows, None)), us)
        }
    })
}

/// The same with sums in f64.
fn on_cpu_in_f64(
    algorithm: Algorithm,
    problem: &Problem,
    double: &DoubleWeights,
    limits: &CpuLimits,
) -> Offer<(CpuScheme, (usize, Option<usize>))> {
    Ok(match algorithm {
        Algorithm::Auto => return Err(NO_ALGORITHM.into()),
        Algorithm::Direct => {
            let (rows, us) = direct::cpu_double(problem, limits);
            ((CpuScheme::Double, (rows, None)), us)
        }
        Algorithm::Separable => {
            let ((factors, rows), us) = separable::cpu_double(problem, double, limits)?;
            ((CpuScheme::DoubleSeparable(factors), (rows, None)), us)
        }
        Algorithm::Flat | Algorithm::March => return Err(flat::NOT_ON_CPU.into()),
        Algorithm::Fft => return Err("its transforms are of f32, and sums are made in f64".into()),
    })
}

fn on_gpu(
    algorithm: Algorithm,
    problem: &Problem,
    limits: &GpuLimits,
    residence: Residence,
) -> Offer<Scheme> {
    if problem.double().is_some() {
        let asks = [problem.input_type(), problem.output_type()].into_iter();
        let element = asks.filter(|element| element.sums_in_f64()).map(|e| e.to_string()).next();
        let element = element.unwrap_or_default();
        return Err(format!(
            "of {element} sums are made in f64, which shaders lack: the CPU does it"
        ));
    }
    Ok(match algorithm {
        Algorithm::Direct => {
            let ((workgroup, sliced), us) = direct::gpu(problem, limits)?;
            (Scheme::Direct { workgroup, sliced }, us)
        }
        Algorithm::Flat if problem.gathers() => {
            let (phases, us) = phases::gpu(problem, limits, residence)?;
            (Scheme::Phases(phases), us)
        }
        Algorithm::Flat => {
            let (block, us) = flat::gpu(problem, limits, residence)?;
            (Scheme::Flat(block), us)
        }
        Algorithm::March => {
            let (march, us) = march::gpu(problem, limits, residence)?;
            (Scheme::March(march), us)
        }
        Algorithm::Separable => match separable::gpu(problem, limits, residence)? {
            (separable::OnGpu::One(strip, factors), us) => (Scheme::Strips { strip, factors }, us),
            (separable::OnGpu::Two(separable::Passes { across, down, factors }), us) => {
                (Scheme::Separable { across, down, factors }, us)
            }
        },
        Algorithm::Fft => {
            let (tile, us) = fft::gpu(problem, limits, residence)?;
            (Scheme::Fft(tile), us)
        }
        Algorithm::Auto => return Err(NO_ALGORITHM.into()),
    })
}

const NO_ALGORITHM: &str = "it is not an algorithm of its own";

/// Scalars that rows of device buffers of our own are rounded up to, whole vectors; and those of textures.
fn pitch(residence: Residence, problem: &Problem, scheme: &Scheme) -> usize {
    match (residence, scheme) {
        (_, Scheme::March(_)) => march::pitch(problem),
        (Residence::Host | Residence::Texture, _) => 4,
        (Residence::Device, _) => 1,
    }
}

#[cfg(test)]
mod tests;
