//! Tensors larger than memory: from a [`Source`] through a convolution into a [`Sink`], part by part.
//!
//! ```text
//!            reads ahead          computes              writes behind
//! Source ──> blocks of rows ──> step after step ──> parts of the output ──> Sink
//!               └ the halo stays for the next step
//! ```
//!
//! Reading, computing and writing overlap, and what is held of all three stays below a budget. The output has the bits
//! that the whole would have, whatever the budget, on the CPU and on a GPU.
//!
//! A tensor that a machine cannot hold is often work for several: [`Stream::share`] makes one part of many, which need
//! not know of each other, and [`Stream::resume`] what is not there yet.
//!
//! ```
//! use channelwise::{Border, Conv2d, Engine, Kernel, Window};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // 200 million pixels that nobody ever holds: a closure is a source, and one is a sink.
//! let shape = [20_000, 10_000];
//! # let shape = [600, 500];
//! let mut slope = |window: &Window, to: &mut [f32]| {
//!     let places = window.rows.clone().flat_map(|r| window.columns.clone().map(move |c| (r, c)));
//!     to.iter_mut().zip(places).for_each(|(to, (r, c))| *to = (3 * r + c) as f32);
//!     Ok(())
//! };
//! let mut steepest = f32::NEG_INFINITY;
//! let mut found = |_: &Window, slopes: &[f32]| {
//!     steepest = slopes.iter().copied().fold(steepest, f32::max);
//!     Ok(())
//! };
//! let down = Conv2d::new(Kernel::new(3, 1, vec![-0.5, 0.0, 0.5])?).border(Border::Replicate);
//! Engine::cpu().stream::<f32, f32>(&down, shape, &mut slope, &mut found, 64 << 20)?;
//! assert_eq!(steepest, 3.0);
//! # Ok(()) }
//! ```

mod bytes;
mod ends;
mod reader;
mod run;

use std::fmt;
use std::ops::ControlFlow;

pub use ends::{Sink, Source};

use crate::engine::{Engine, Prepared};
use crate::{Conv2d, Element, Error, Result, Shape};

impl Engine {
    /// Applies `conv` to a tensor of any size, which comes from `source` part by part and goes to `sink` so.
    ///
    /// `budget`: bytes that may be held at a time, of the input, of the output and beside them; at least what the
    /// smallest step needs, which an error tells. A hundred megabytes are plenty for most; the size of what is written at
    /// a time grows with the kernel, so that little is computed twice.
    ///
    /// # Errors
    /// Those of [`Engine::prepare`] and of [`Stream::run`].
    pub fn stream<T: Element, U: Element>(
        &self,
        conv: &Conv2d,
        shape: impl Into<Shape>,
        source: &mut impl Source<T>,
        sink: &mut impl Sink<U>,
        budget: u64,
    ) -> Result<Streamed> {
        self.prepare::<T, U>(conv, shape)?.stream(budget).run(source, sink)
    }
}

impl<T: Element, U: Element> Prepared<T, U> {
    /// The same convolution from a [`Source`] into a [`Sink`], with so many bytes held at a time.
    pub fn stream(&self, budget: u64) -> Stream<'_, T, U> {
        Stream {
            prepared: self,
            budget,
            share: (0, 1),
            resume: false,
            progress: Box::new(|_| ControlFlow::Continue(())),
        }
    }
}

/// What is told of how far a stream is.
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel, Window};
/// use std::ops::ControlFlow;
/// # fn main() -> channelwise::Result<()> {
///
/// let blur = Engine::cpu().prepare::<u8, u8>(&Conv2d::new(Kernel::binomial(3)?), [500, 600])?;
/// let (mut source, mut sink) = (|_: &Window, to: &mut [u8]| Ok(to.fill(7)), |_: &Window, _: &[u8]| Ok(()));
/// let mut last = None;
/// let stream = blur.stream(16 << 20).progress(|so_far| {
///     last = Some(so_far);
///     ControlFlow::Continue(())
/// });
/// stream.run(&mut source, &mut sink)?;
/// assert_eq!(last.map(|last| last.elements), Some(300_000));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Steps whose output is written.
    pub done: usize,
    /// Of so many.
    pub steps: usize,
    /// Elements that are written.
    pub elements: u64,
}

/// What a stream did.
///
/// ```
/// use channelwise::{Conv2d, Engine, Kernel, Window};
/// # fn main() -> channelwise::Result<()> {
///
/// let blur = Conv2d::new(Kernel::binomial(3)?);
/// let (mut source, mut sink) = (|_: &Window, to: &mut [u8]| Ok(to.fill(7)), |_: &Window, _: &[u8]| Ok(()));
/// let streamed = Engine::cpu().stream::<u8, u8>(&blur, [500, 600], &mut source, &mut sink, 16 << 20)?;
/// assert_eq!((streamed.elements, streamed.skipped), (300_000, 0));
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Streamed {
    /// Steps that it took.
    pub steps: usize,
    /// Elements that it wrote.
    pub elements: u64,
    /// Chunks, or bands where the sink has none, that were there already.
    pub skipped: usize,
    /// Those of its share, which is all unless [`Stream::share`] was asked for.
    pub chunks: usize,
}

/// A convolution from a [`Source`] into a [`Sink`]: [`Prepared::stream`].
#[must_use = "`run` runs it"]
pub struct Stream<'a, T, U> {
    prepared: &'a Prepared<T, U>,
    budget: u64,
    share: (usize, usize),
    resume: bool,
    progress: Box<dyn FnMut(Progress) -> ControlFlow<()> + 'a>,
}

impl<T, U> fmt::Debug for Stream<'_, T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { budget, share, resume, .. } = self;
        f.debug_struct("Stream")
            .field("budget", budget)
            .field("share", share)
            .field("resume", resume)
            .finish_non_exhaustive()
    }
}

impl<'a, T: Element, U: Element> Stream<'a, T, U> {
    /// Part `number` of `of` alone, counted from 1. The parts are whole chunks of the sink, or bands where it has
    /// none, as many for each as can be; they do not depend on budgets, engines or threads. So any number of processes or
    /// machines write one output together.
    ///
    /// ```
    /// use channelwise::{Conv2d, Engine, Kernel, Window};
    /// # fn main() -> channelwise::Result<()> {
    /// let blur = Conv2d::new(Kernel::binomial(5)?);
    /// let blur = Engine::cpu().prepare::<u8, u8>(&blur, [4000, 5000])?;
    /// let mut rows = Vec::new();
    /// for number in 1..=3 {
    ///     let mut source = |_: &Window, to: &mut [u8]| Ok(to.fill(7));
    ///     let mut sink = |window: &Window, _: &[u8]| Ok(rows.push(window.rows.clone()));
    ///     blur.stream(64 << 20).share(number, 3)?.run(&mut source, &mut sink)?;
    /// }
    /// assert_eq!((rows[0].start, rows[rows.len() - 1].end), (0, 4000));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] where `number` is not from 1 to `of`.
    pub fn share(self, number: usize, of: usize) -> Result<Self> {
        if number == 0 || number > of {
            let limit = "the first part is 1, and the last is that of all";
            return Err(Error::argument("share", format!("{number} of {of}"), limit));
        }
        Ok(Self { share: (number - 1, of), ..self })
    }

    /// Only what [`Sink::has`] says is not there yet.
    pub fn resume(self) -> Self {
        Self { resume: true, ..self }
    }

    /// Calls `progress` now and then, in the thread that called [`Stream::run`], where `Break` ends the work.
    ///
    /// ```
    /// use channelwise::{Conv2d, Engine, Error, Kernel, Window};
    /// use std::ops::ControlFlow;
    /// # fn main() -> channelwise::Result<()> {
    /// let blur = Engine::cpu().prepare::<u8, u8>(&Conv2d::new(Kernel::binomial(5)?), [9000, 9000])?;
    /// let mut source = |_: &Window, to: &mut [u8]| Ok(to.fill(7));
    /// let mut sink = |_: &Window, _: &[u8]| Ok(());
    /// let stopped = blur
    ///     .stream(40 << 20)
    ///     .progress(|so_far| match so_far.done {
    ///         0 | 1 => ControlFlow::Continue(()),
    ///         _ => ControlFlow::Break(()),
    ///     })
    ///     .run(&mut source, &mut sink);
    /// assert!(matches!(stopped, Err(Error::Cancelled { .. })));
    /// # Ok(()) }
    /// ```
    pub fn progress(self, progress: impl FnMut(Progress) -> ControlFlow<()> + 'a) -> Self {
        Self { progress: Box::new(progress), ..self }
    }

    /// Reads, computes and writes all that was asked for.
    ///
    /// # Errors
    /// [`Error::Argument`] where the budget is too small, or the convolution an adjoint; [`Error::Stream`] with what the
    /// source or the sink said; [`Error::Cancelled`]; those of [`Prepared::run`](crate::Prepared::run). What was written
    /// until then is right, and nothing of a part is written twice.
    pub fn run(self, source: &mut impl Source<T>, sink: &mut impl Sink<U>) -> Result<Streamed> {
        run::run(self, source, sink)
    }
}
