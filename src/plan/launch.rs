//! What an engine needs to know to run a plan, as plain data.

use super::bands::Band;
use super::cost::Traffic;
use super::fft;
use super::flat::{Block, Work};
use super::limits::GpuLimits;
use super::march::March;
use super::offer::Accuracy;
use super::phases::Phases;
use super::strip::Strip;
use super::tile::Tile;
use super::{direct, gather, march, separable, strip};
use crate::{Factors, Problem};

/// The numbers an engine needs to run a plan.
///
/// ```
/// use channelwise::plan::Launch;
/// use channelwise::{Conv2d, Engine, Kernel};
/// # fn main() -> channelwise::Result<()> {
///
/// let blur = Conv2d::new(Kernel::binomial(5)?);
/// let prepared = Engine::cpu().prepare::<u8, u8>(&blur, [480, 640, 3])?;
/// assert!(matches!(prepared.plan().launch(), Launch::Cpu(_)));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Launch {
    /// On the CPU.
    Cpu(CpuLaunch),
    /// On the GPU.
    Gpu(GpuLaunch),
}

/// Launch numbers of the CPU engine.
///
/// ```
/// use channelwise::plan::Launch;
/// use channelwise::{Conv2d, Engine, Kernel};
/// # fn main() -> channelwise::Result<()> {
///
/// let blur = Conv2d::new(Kernel::binomial(5)?);
/// let prepared = Engine::cpu().prepare::<u8, u8>(&blur, [480, 640, 3])?;
/// let Launch::Cpu(launch) = prepared.plan().launch() else { panic!("it is for a CPU") };
/// assert!((1..=480).contains(&launch.rows_per_task));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CpuLaunch {
    /// How a task is computed.
    pub scheme: CpuScheme,
    /// Output rows of one task; all rows where no thread is worth waking. With
    /// [`CpuScheme::Fft`] those of what tiles leave to `direct`, and of edges.
    pub rows_per_task: usize,
    /// Output columns of one task, where rows are too few for all threads; otherwise it has all.
    pub columns_per_task: Option<usize>,
    /// Images of one task, where they are so small that whole ones are made side by side: planes of 7x7
    /// pixels, say.
    pub images_per_task: Option<usize>,
    /// Whether outputs are stored past the caches: those of tensors that the caches do not hold. A cache
    /// line that is stored whole is not read before then.
    pub streamed: bool,
}

/// How the CPU computes some output rows.
///
/// ```
/// use channelwise::plan::{CpuScheme, Launch};
/// use channelwise::{Algorithm, Conv2d, Engine, Kernel};
/// # fn main() -> channelwise::Result<()> {
///
/// let blur = Conv2d::new(Kernel::disk(15.0)?);
/// let engine = Engine::cpu().with_algorithm(Algorithm::Fft);
/// let prepared = engine.prepare::<f32, f32>(&blur, [480, 640, 3])?;
/// let Launch::Cpu(launch) = prepared.plan().launch() else { panic!("it is for a CPU") };
/// let CpuScheme::Fft { tile, outputs, .. } = launch.scheme else { panic!("it was asked for") };
/// assert!(tile.0 >= outputs.0 + 30 && tile.1 >= outputs.1 + 30);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CpuScheme {
    /// Tap by tap.
    Direct,
    /// Columns, then rows of the column sums. The factors are those of the kernel with rows and columns
    /// exchanged, as what the filters share is made first: [`Factors::rows`] run down the image.
    Separable(Factors),
    /// Tap by tap, with sums in f64.
    Double,
    /// Columns, then rows, with sums in f64.
    DoubleSeparable(Factors<f64>),
    /// Running sums down columns and along rows, of whole numbers by taps that are all one number.
    BoxFilter,
    /// Transforms of tiles, which are chosen by the problem alone: threads change no bit.
    #[non_exhaustive]
    Fft {
        /// Rows and columns that a tile holds.
        tile: (usize, usize),
        /// Output rows and columns that it makes: tiles begin at multiples of these.
        outputs: (usize, usize),
    },
}

/// Launch numbers of the GPU engine.
///
/// ```
/// use channelwise::plan::{GpuLimits, Launch, Machine, Residence, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::laplacian4());
/// let f32 = ElementType::F32;
/// let problem = Problem::new(&conv, [1080, 1920, 3], f32, f32)?;
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// let plan = choose(&problem, &machine, Algorithm::Direct)?;
/// let Launch::Gpu(launch) = plan.launch() else { panic!("it is for a GPU") };
/// // It fits at once.
/// assert_eq!(launch.bands.len(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GpuLaunch {
    /// How a band is computed.
    pub scheme: Scheme,
    /// Scalars that rows are rounded up to in device buffers of our own.
    pub pitch: usize,
    /// Parts that are uploaded, computed and downloaded one by one.
    pub bands: Vec<Band>,
}

/// How the GPU computes a band.
///
/// ```
/// use channelwise::plan::{GpuLimits, Launch, Machine, Residence, Scheme, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let conv = Conv2d::new(Kernel::laplacian4());
/// let f32 = ElementType::F32;
/// let problem = Problem::new(&conv, [1080, 1920, 3], f32, f32)?;
/// let machine = Machine::Gpu(GpuLimits::webgpu_defaults(), Residence::Device);
/// let plan = choose(&problem, &machine, Algorithm::Direct)?;
/// let Launch::Gpu(launch) = plan.launch() else { panic!("it is for a GPU") };
/// let Scheme::Direct { workgroup: [x, y], .. } = launch.scheme else { panic!("it was asked for") };
/// assert!(x * y <= 256);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Scheme {
    /// One invocation for each word of output.
    #[non_exhaustive]
    Direct {
        /// Invocations of a workgroup along x and y.
        workgroup: [u32; 2],
        /// Whether one grid works on one channel slice.
        sliced: bool,
    },
    /// One invocation for a block of outputs of some flat rows.
    Flat(Block),
    /// One invocation for a vector of some rows.
    March(March),
    /// The same for adjoints with a stride or several filters.
    Phases(Phases),
    /// Two passes.
    #[non_exhaustive]
    Separable {
        /// Along rows, every row factor a filter.
        across: Block,
        /// Along columns, adding up the terms.
        down: Block,
        /// What the kernel is a sum of.
        factors: Factors,
    },
    /// The same in one pass, through workgroup memory.
    #[non_exhaustive]
    Strips {
        /// What a workgroup makes.
        strip: Strip,
        /// What the kernel is a sum of.
        factors: Factors,
    },
    /// Transforms of tiles, in one pass or three, and one more where outputs need it.
    Fft(Tile),
}

impl Scheme {
    /// What its passes make of the problem: all, or all but the edges.
    pub(crate) fn part_of<'a>(&self, problem: &'a Problem) -> &'a Problem {
        match self {
            Self::Direct { .. } | Self::Phases(_) => problem,
            Self::Flat(_)
            | Self::March(_)
            | Self::Separable { .. }
            | Self::Strips { .. }
            | Self::Fft(_) => problem.but_for_edges(),
        }
    }

    /// Whether its passes leave edges that have to be gathered.
    pub(crate) fn leaves_edges(&self, problem: &Problem) -> bool {
        match self {
            Self::Direct { .. } => false,
            Self::Phases(_) => !gather::edges(problem).is_empty(),
            Self::Flat(_) | Self::March(_) => problem.has_edges(),
            Self::Separable { .. } | Self::Strips { .. } | Self::Fft(_) => problem.has_edges(),
        }
    }

    /// As how many each of its multiply-adds counts towards [`GpuLimits::max_work`].
    pub(crate) fn weight(&self, limits: &GpuLimits) -> u64 {
        match self {
            Self::Direct { .. } => limits.slow_access(),
            Self::Flat(_) | Self::March(_) | Self::Phases(_) => 1,
            Self::Separable { .. } | Self::Strips { .. } | Self::Fft(_) => 1,
        }
    }

    /// Bytes that tensors begin at multiples of.
    pub(crate) fn alignment(&self) -> usize {
        match self {
            Self::March(_) => march::VECTOR,
            Self::Direct { .. } | Self::Flat(_) | Self::Phases(_) => 4,
            Self::Separable { .. } | Self::Strips { .. } | Self::Fft(_) => 4,
        }
    }

    /// Bytes of each buffer between the passes of `band`.
    pub(crate) fn between(&self, problem: &Problem, band: &Band) -> Vec<u64> {
        match self {
            Self::Direct { .. } | Self::Flat(_) | Self::March(_) => Vec::new(),
            Self::Phases(_) | Self::Strips { .. } => Vec::new(),
            Self::Separable { factors, .. } => {
                vec![separable::between(problem, band, factors.terms())]
            }
            Self::Fft(tile) => tile.between(problem, band),
        }
    }

    /// Why it is not taken unasked, where it keeps less than the others.
    pub(super) fn caveat(&self, problem: &Problem) -> Option<String> {
        match self {
            Self::Direct { .. } | Self::Flat(_) | Self::Phases(_) => None,
            Self::March(march) => march::caveat(march),
            Self::Separable { factors, .. } | Self::Strips { factors, .. } => {
                separable::caveat(problem, factors.terms())
            }
            Self::Fft(_) => fft::caveat(problem),
        }
    }

    /// What each pass does in all.
    pub(crate) fn traffic(&self, problem: &Problem) -> Vec<Traffic> {
        let g = problem.geometry();
        match self {
            Self::Direct { .. } => vec![direct::traffic(problem)],
            Self::Flat(block) => {
                let size = [g.out_height, g.out_width, g.images];
                vec![Work::of(problem).traffic(block, size, problem.bytes() as f64)]
            }
            Self::March(march) => vec![march::traffic(problem, march)],
            Self::Phases(phases) => vec![phases.traffic(problem)],
            Self::Separable { across, down, factors } => {
                separable::traffic(problem, factors.terms(), [across, down]).into()
            }
            Self::Strips { strip, factors } => {
                vec![strip::traffic(strip, problem, factors.terms())]
            }
            Self::Fft(tile) => fft::traffic(problem, tile),
        }
    }

    pub(super) fn accuracy(&self, problem: &Problem) -> Accuracy {
        match self {
            Self::Direct { .. } | Self::Flat(_) | Self::March(_) | Self::Phases(_) => {
                Accuracy::default()
            }
            Self::Separable { factors, .. } | Self::Strips { factors, .. } => {
                separable::accuracy(problem, factors)
            }
            Self::Fft(tile) => fft::accuracy(problem, tile.size),
        }
    }
}

impl CpuScheme {
    /// What tasks make of the problem: all, or all but the edges.
    pub(crate) fn part_of<'a>(&self, problem: &'a Problem) -> &'a Problem {
        match self {
            Self::Direct | Self::Double | Self::DoubleSeparable(_) => problem,
            Self::Separable(_) | Self::BoxFilter | Self::Fft { .. } => problem.but_for_edges(),
        }
    }

    /// Whether tasks leave edges that have to be gathered.
    pub(crate) fn leaves_edges(&self, problem: &Problem) -> bool {
        let whole = matches!(self, Self::Direct | Self::Double | Self::DoubleSeparable(_));
        problem.has_edges() && !whole
    }
}

impl Launch {
    /// What is made of the problem: all, or all but the edges.
    pub(super) fn part_of<'a>(&self, problem: &'a Problem) -> &'a Problem {
        match self {
            Self::Gpu(launch) => launch.scheme.part_of(problem),
            Self::Cpu(launch) => launch.scheme.part_of(problem),
        }
    }

    /// Why it is not taken unasked, where it keeps less than others do.
    pub(super) fn caveat(&self, problem: &Problem) -> Option<String> {
        match self {
            Self::Gpu(launch) => launch.scheme.caveat(problem),
            Self::Cpu(launch) => match &launch.scheme {
                CpuScheme::Direct | CpuScheme::Double | CpuScheme::BoxFilter => None,
                CpuScheme::Separable(factors) => separable::caveat(problem, factors.terms()),
                CpuScheme::DoubleSeparable(factors) => separable::caveat(problem, factors.terms()),
                CpuScheme::Fft { tile, .. } => fft::cpu_caveat(problem, *tile),
            },
        }
    }

    pub(super) fn accuracy(&self, problem: &Problem) -> Accuracy {
        match self {
            Self::Gpu(launch) => launch.scheme.accuracy(problem),
            Self::Cpu(launch) => match &launch.scheme {
                CpuScheme::Direct | CpuScheme::Double | CpuScheme::BoxFilter => Accuracy::default(),
                CpuScheme::Separable(factors) => separable::accuracy(problem, factors),
                CpuScheme::DoubleSeparable(factors) => separable::accuracy(problem, factors),
                CpuScheme::Fft { tile: (rows, columns), .. } => {
                    fft::accuracy(problem, (*rows as u32, *columns as u32))
                }
            },
        }
    }
}
