//! The one place where a SIMD level is chosen.

use fearless_simd::Level;
#[cfg(not(target_arch = "x86_64"))]
use fearless_simd::dispatch;

use super::fft::{Left, Transform, Transforms, Unit};
use super::gradient::{self, Part, PointwisePart};
#[cfg(test)]
use super::kernels::{self, Block, Segments};
#[cfg(test)]
use super::raw;
use super::scratch::Scratch;
use super::source::Input;
use super::task::Task;
use super::{CpuReady, adjoint, box_filter, direct, double, fft, separable, sink};
use crate::memory::NoRoom;
use crate::plan::Rectangle;
#[cfg(test)]
use crate::problem::Geometry;
use crate::{Activation, Pointwise, Problem};

/// `fearless_simd::dispatch` without SSE4.2: loops over bytes were a twentieth faster by it and those over
/// floats not at all, and all of them would be compiled once more for it.
#[cfg(target_arch = "x86_64")]
macro_rules! dispatch {
    ($level:expr, $simd:ident => $work:expr) => {
        match $level {
            Level::Avx512(token) => on(
                token,
                #[inline(always)]
                |$simd| $work,
            ),
            Level::Avx2(token) => on(
                token,
                #[inline(always)]
                |$simd| $work,
            ),
            Level::Sse2(token) => on(
                token,
                #[inline(always)]
                |$simd| $work,
            ),
            _ => unreachable!("a level that `Simd::all` does not list"),
        }
    };
}

/// Calls `work` with the instructions of a level.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn on<S: fearless_simd::Simd, R>(simd: S, work: impl FnOnce(S) -> R) -> R {
    simd.vectorize(
        #[inline(always)]
        || work(simd),
    )
}

/// A SIMD level this machine has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Simd(Level);

impl Simd {
    /// The best there is.
    pub fn detect() -> Self {
        // Every machine has one.
        Self::all().into_iter().next().unwrap_or(Self(Level::new()))
    }

    /// All there are, the best first.
    pub fn all() -> Vec<Self> {
        let best = Level::new();
        #[cfg(target_arch = "x86_64")]
        let levels = [
            best.as_avx512().map(Level::Avx512),
            best.as_avx2().map(Level::Avx2),
            best.as_sse2().map(Level::Sse2),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let levels = [Some(best)];
        levels.into_iter().flatten().map(Self).collect()
    }

    pub fn name(self) -> &'static str {
        #[cfg(target_arch = "x86_64")]
        match self.0 {
            Level::Avx512(_) => return "avx512",
            Level::Avx2(_) => return "avx2",
            Level::Sse2(_) => return "sse2",
            // `Level` may grow; an unknown one still runs.
            _ => {}
        }
        #[cfg(target_arch = "aarch64")]
        if self.0.as_neon().is_some() {
            return "neon";
        }
        if self.0.is_fallback() { "scalar" } else { "simd" }
    }

    /// f32 lanes of a vector.
    pub fn lanes(self) -> usize {
        #[inline(always)]
        fn lanes<S: fearless_simd::Simd>(_: S) -> usize {
            use fearless_simd::SimdBase;
            S::f32s::LEN
        }
        dispatch!(self.0, simd => lanes(simd))
    }

    /// Rectangles of an adjoint: what a border continued, over what is there, or all.
    pub fn edges(
        self,
        problem: &Problem,
        edges: &[Rectangle],
        src: Input<'_>,
        task: Task<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), NoRoom> {
        dispatch!(self.0, simd => adjoint::run(simd, problem, edges, src, task, scratch))
    }

    pub fn kernel_gradient(
        self,
        part: &Part<'_>,
        transform: Option<&Transform>,
        scratch: &mut Scratch,
    ) -> Result<Vec<f64>, NoRoom> {
        match transform {
            None => dispatch!(self.0, simd => gradient::run(simd, part, scratch)),
            Some(transform) => {
                dispatch!(self.0, simd => gradient::fft::run(simd, part, transform, scratch))
            }
        }
    }

    /// Small images.
    pub fn small(
        self,
        problem: &Problem,
        src: &[u8],
        images: direct::Images<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), NoRoom> {
        dispatch!(self.0, simd => direct::small(simd, problem, src, images, scratch))
    }

    /// Makes of each sum the gradient with respect to it, of that of its output.
    pub fn activation_gradient(self, activation: Activation, sums: &mut [f32], outputs: &[f32]) {
        dispatch!(self.0, simd => sink::activation_gradient(simd, activation, sums, outputs));
    }

    /// Of a part of what a pointwise step follows, from outputs back to sums.
    pub fn pointwise_gradient(
        self,
        planar: bool,
        activation: Activation,
        pointwise: &Pointwise,
        part: PointwisePart<'_>,
    ) -> Result<gradient::Sums, NoRoom> {
        dispatch!(self.0, simd => gradient::through(simd, planar, activation, pointwise, part))
    }

    /// Tap by tap.
    pub fn direct(
        self,
        problem: &Problem,
        src: Input<'_>,
        task: Task<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), NoRoom> {
        dispatch!(self.0, simd => direct::run(simd, problem, src, task, scratch))
    }

    /// Tiles of a unit, and which of them it left.
    pub fn transform(
        self,
        problem: &Problem,
        transforms: &Transforms,
        src: Input<'_>,
        unit: &mut Unit<'_>,
        scratch: &mut Scratch,
    ) -> Result<Vec<Left>, NoRoom> {
        dispatch!(self.0, simd => fft::run(simd, problem, transforms, src, unit, scratch))
    }

    pub fn run(
        self,
        problem: &Problem,
        ready: &CpuReady,
        src: Input<'_>,
        task: Task<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), NoRoom> {
        match ready {
            CpuReady::Direct if problem.gathers() => {
                self.edges(problem, &adjoint::whole(problem, &task), src, task, scratch)
            }
            CpuReady::Direct | CpuReady::AsRow(_) => self.direct(problem, src, task, scratch),
            CpuReady::Separable(factors) => {
                dispatch!(self.0, simd => {
                    separable::run(simd, problem, factors, src, task, scratch)
                })
            }
            CpuReady::BoxFilter => {
                dispatch!(self.0, simd => box_filter::run(simd, problem, src, task, scratch))
            }
            CpuReady::Double(weights, factors) => {
                let taps = (weights, factors.as_ref());
                dispatch!(self.0, simd => double::run(simd, problem, taps, src, task, scratch))
            }
            // Its units are no tasks: `Cpu::transform`.
            CpuReady::Fft(_) => Ok(()),
        }
    }
}

/// What tests of micro-kernels call by level.
#[cfg(test)]
impl Simd {
    /// Applies an activation to each value of a row.
    pub fn activate(self, activation: Activation, row: &mut [f32]) {
        dispatch!(self.0, simd => sink::activate(simd, activation, row));
    }

    pub fn sum<T: raw::Scalar, U: raw::Scalar>(
        self,
        block: Block<'_, T>,
        segments: Segments,
        out: &mut [&mut [U]],
    ) {
        dispatch!(self.0, simd => block.sum(simd, segments, out));
    }

    pub fn rows_at_once<T: raw::Scalar>(self, g: &Geometry, kernel: (usize, usize)) -> usize {
        #[inline(always)]
        fn rows<S: fearless_simd::Simd, T: raw::Scalar>(
            _: S,
            g: &Geometry,
            kernel: (usize, usize),
        ) -> usize {
            kernels::rows_at_once::<S, T>(g, kernel)
        }
        dispatch!(self.0, simd => rows::<_, T>(simd, g, kernel))
    }

    pub fn stream(self, from: &[f32], to: &mut [f32]) {
        dispatch!(self.0, simd => raw::stream(simd, from, to));
        raw::fence();
    }

    /// Stores as many sums as four vectors have lanes, together or vector by vector.
    pub fn store<T: raw::Scalar>(self, sums: &[f32], together: bool, to: &mut [T]) {
        dispatch!(self.0, simd => raw::store(simd, sums, together, to));
    }

    /// Whether its multiply-adds round once.
    pub fn is_fused(self) -> bool {
        matches!(self.name(), "avx512" | "avx2" | "neon")
    }
}
