//! The passes of a scheme: what each computes, from where to where, and on which grid.

use super::bands::Band;
use super::edges::Edges;
use super::fft;
use super::flat::{Block, Work};
use super::launch::{GpuLaunch, Scheme};
use super::phases::Phases;
use super::strip::Strip;
use super::tile::{Lines, Tiles};
use super::{direct, separable};
use crate::Problem;

/// One shader's work on a band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Pass {
    /// Everything, one word an invocation.
    Direct,
    /// The edges of a problem that is else made by other passes: what gathers, one word an invocation.
    Edges,
    /// A block of outputs an invocation.
    Flat,
    /// Vectors of flat rows, down the image.
    March,
    /// A block of outputs of what gathers, phase by phase.
    Phases,
    /// The shader of `Flat` along rows, into a buffer between the passes.
    Across,
    /// The same shader along columns, from there.
    Down,
    /// Rows and columns of a strip, through workgroup memory.
    Strip,
    /// Transforms of the rows of tiles.
    Forward,
    /// Transforms of their columns, times the spectrum of every filter, and back.
    Multiply,
    /// The rows back, and outputs.
    Back,
    /// All three of a tile that a workgroup has whole.
    Whole,
    /// The shader of `Flat` from the filters' sums to outputs, where `Back` cannot make them.
    Finish,
}

/// What a pass reads and writes: a buffer between passes, by its number in [`Scheme::between`], or the
/// source and the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub reads: Option<usize>,
    pub writes: Option<usize>,
}

impl Ends {
    pub fn reads_source(self) -> bool {
        self.reads.is_none()
    }

    pub fn writes_destination(self) -> bool {
        self.writes.is_none()
    }
}

impl Pass {
    /// The passes of a scheme, in the order in which they run.
    pub fn of(scheme: &Scheme) -> &'static [Self] {
        match scheme {
            Scheme::Direct { .. } => &[Self::Direct],
            Scheme::Flat(_) => &[Self::Flat],
            Scheme::March(_) => &[Self::March],
            Scheme::Phases(_) => &[Self::Phases],
            Scheme::Separable { .. } => &[Self::Across, Self::Down],
            Scheme::Strips { .. } => &[Self::Strip],
            Scheme::Fft(tile) => match (tile.whole, tile.finish) {
                (true, None) => &[Self::Whole],
                (true, Some(_)) => &[Self::Whole, Self::Finish],
                (false, None) => &[Self::Forward, Self::Multiply, Self::Back],
                (false, Some(_)) => &[Self::Forward, Self::Multiply, Self::Back, Self::Finish],
            },
        }
    }

    /// What it reads and writes.
    pub fn ends(self, scheme: &Scheme) -> Ends {
        let last = *Self::of(scheme).last().unwrap_or(&self) == self;
        let (reads, writes) = match self {
            Self::Direct | Self::Edges => (None, None),
            Self::Flat | Self::March | Self::Phases | Self::Strip => (None, None),
            Self::Across | Self::Forward => (None, Some(0)),
            Self::Down | Self::Finish => (Some(0), None),
            Self::Multiply => (Some(0), Some(1)),
            Self::Whole if last => (None, None),
            Self::Whole => (None, Some(0)),
            Self::Back if last => (Some(1), None),
            Self::Back => (Some(1), Some(0)),
        };
        Ends { reads, writes }
    }

    /// The block of an invocation of `flat`'s shader.
    pub fn block(self, launch: &GpuLaunch) -> Option<&Block> {
        match (self, &launch.scheme) {
            (Self::Flat, Scheme::Flat(block)) => Some(block),
            (Self::Across, Scheme::Separable { across, .. }) => Some(across),
            (Self::Down, Scheme::Separable { down, .. }) => Some(down),
            (Self::Finish, Scheme::Fft(tile)) => tile.finish.as_ref(),
            _ => None,
        }
    }

    /// The outputs of an invocation of `phases`' shader.
    pub fn phases(self, launch: &GpuLaunch) -> Option<&Phases> {
        match (self, &launch.scheme) {
            (Self::Phases, Scheme::Phases(phases)) => Some(phases),
            _ => None,
        }
    }

    /// What a workgroup of `strip`'s shader makes.
    pub fn strip(self, launch: &GpuLaunch) -> Option<&Strip> {
        match (self, &launch.scheme) {
            (Self::Strip, Scheme::Strips { strip, .. }) => Some(strip),
            _ => None,
        }
    }

    /// How it transforms, where it does.
    pub fn lines(self, launch: &GpuLaunch) -> Option<&Lines> {
        match (self, &launch.scheme) {
            (Self::Forward | Self::Back | Self::Whole, Scheme::Fft(tile)) => Some(&tile.lines.0),
            (Self::Multiply, Scheme::Fft(tile)) => Some(&tile.lines.1),
            _ => None,
        }
    }

    /// What it computes.
    pub fn work(self, problem: &Problem, launch: &GpuLaunch) -> Work {
        let work = Work::of(problem);
        match (self, &launch.scheme) {
            (Self::Across, Scheme::Separable { factors, .. }) => {
                separable::across(work, factors.terms())
            }
            (Self::Down, Scheme::Separable { factors, .. }) => {
                separable::down(work, factors.terms())
            }
            (Self::Strip, Scheme::Strips { factors, .. }) => {
                Work { terms: factors.terms(), ..work }
            }
            (Self::Finish, _) => fft::finishing(work),
            _ => work,
        }
    }

    /// Rows it makes for `band`.
    pub fn rows(self, problem: &Problem, band: &Band) -> usize {
        match self {
            Self::Across => separable::rows(problem, band.rows.len()),
            Self::Direct | Self::Edges | Self::Flat | Self::March => band.rows.len(),
            Self::Phases | Self::Down | Self::Strip => band.rows.len(),
            Self::Forward | Self::Multiply | Self::Back => band.rows.len(),
            Self::Whole | Self::Finish => band.rows.len(),
        }
    }

    /// Values that one invocation makes.
    pub fn outputs(self, problem: &Problem, launch: &GpuLaunch) -> usize {
        match self {
            Self::Direct | Self::Edges => problem.store().lanes(),
            Self::Phases => self.phases(launch).map_or(0, Phases::places),
            Self::Strip => {
                let rows = self.strip(launch).map_or(0, |strip| strip.rows as usize);
                rows * self.work(problem, launch).outputs
            }
            // Real parts and imaginary parts.
            Self::Forward | Self::Multiply | Self::Back | Self::Whole => {
                self.lines(launch).map_or(0, |lines| 2 * lines.points as usize)
            }
            Self::March => match &launch.scheme {
                Scheme::March(march) => {
                    (march.rows * march.scalars) as usize * problem.geometry().outputs
                }
                _ => 0,
            },
            Self::Flat | Self::Across | Self::Down | Self::Finish => {
                let places = self.block(launch).map_or(0, Block::places);
                places * self.work(problem, launch).outputs
            }
        }
    }

    /// Invocations of a workgroup along x and y.
    pub fn workgroup(self, launch: &GpuLaunch) -> [u32; 2] {
        match (self, &launch.scheme) {
            (Self::Direct, Scheme::Direct { workgroup, .. }) => *workgroup,
            (Self::March, Scheme::March(march)) => march.workgroup,
            (Self::Edges, _) => [64, 1],
            (Self::Phases, Scheme::Phases(phases)) => phases.workgroup,
            (Self::Strip, Scheme::Strips { strip, .. }) => [strip.workgroup(), 1],
            _ => match (self.lines(launch), self.block(launch)) {
                (Some(lines), _) => [lines.workgroup(), 1],
                (None, Some(block)) => block.workgroup,
                (None, None) => [1, 1],
            },
        }
    }

    /// The grid for `band` in workgroups, before folding; empty where there is nothing to do.
    pub fn grid(self, problem: &Problem, launch: &GpuLaunch, band: &Band) -> [u64; 3] {
        let (wx, wy) = self.workgroup(launch).into();
        let groups = |n: usize, size: u32| (n as u64).div_ceil(u64::from(size));
        let [x, y, z] = match (self, &launch.scheme) {
            (Self::Direct, Scheme::Direct { sliced, .. }) => {
                direct::grid(problem, launch.pitch, *sliced, band)
            }
            (Self::Edges, _) => [Edges::of(problem, band).words(problem, band), 1, 1],
            (Self::Phases, Scheme::Phases(phases)) => {
                let size = [band.rows.len(), band.columns.len(), band.images.len()];
                phases.invocations(problem.geometry(), size)
            }
            (Self::March, Scheme::March(march)) => {
                let [x, y] = march.inside(problem, band).grid(march.workgroup);
                return [x, y, band.images.len() as u64];
            }
            (Self::Strip, Scheme::Strips { strip, .. }) => {
                let size = [band.rows.len(), band.columns.len(), band.images.len()];
                return strip.grid(problem.geometry().channels, size).map(|n| n as u64);
            }
            (Self::Whole, Scheme::Fft(tile)) => {
                return [1, 1, Tiles::of(problem, tile, band).pairs() as u64];
            }
            (Self::Forward | Self::Multiply | Self::Back, Scheme::Fft(tile)) => {
                let pairs = Tiles::of(problem, tile, band).pairs() as u64;
                let lines = [tile.lines.0.count, tile.lines.1.count];
                return match self {
                    Self::Forward => [u64::from(tile.size.0 / lines[0]), 1, pairs],
                    Self::Multiply => [u64::from(tile.size.1 / lines[1]), 1, pairs],
                    _ => {
                        let filters = problem.weights().filters as u64;
                        [groups(tile.kept_rows(problem), lines[0]), filters, pairs]
                    }
                };
            }
            _ => match self.block(launch) {
                Some(block) => {
                    let size = [self.rows(problem, band), band.columns.len(), band.images.len()];
                    self.work(problem, launch).invocations(block, size)
                }
                None => [0; 3],
            },
        };
        [groups(x, wx), groups(y, wy), z as u64]
    }
}

/// The grid as dispatched where an axis holds at most `most` workgroups, and whether it had to be
/// folded. A folded grid may hold a few workgroups too many; they find nothing to do.
pub(crate) fn fold(grid: [u64; 3], most: u32) -> ([u32; 3], bool) {
    let most = u64::from(most);
    if grid.contains(&0) {
        return ([0; 3], false);
    }
    if grid.iter().all(|n| *n <= most) {
        return (grid.map(|n| n as u32), false);
    }
    let total: u64 = grid.iter().product();
    let x = total.min(most);
    let rows = total.div_ceil(x);
    let z = rows.div_ceil(most);
    let y = rows.div_ceil(z);
    ([x as u32, y as u32, z as u32], true)
}
