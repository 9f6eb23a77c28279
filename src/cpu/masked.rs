//! What lies before and behind a normalised convolution: its two sums are convolutions of the values times their
//! weights and of the weights, and a result is the quotient.
//!
//! ```text
//! x, m ─ values ──▶ x·m ─ convolution ─▶ Σ k·x·m ─┐
//!    m ─ weights ─▶ m ─── convolution ─▶ Σ k·m ───┴─ quotients ─▶ y
//! ```
//!
//! Weights that all images and channels share are one plane `[height, width]`, for whose sums one of as many filters is
//! enough; others are as many as there are values. Either way rows are rows: what all channels share is repeated for
//! the channels of a pixel only within a row, so that loops go along it in vectors.

use std::ops::Mul;

use super::Cpu;
use super::source::Scalars;
use super::threads::Threads;
use crate::element::with_type;
use crate::memory::{self, NoRoom};
use crate::{Activation, Element, ElementType, Layout, Problem};

/// Elements of a type that is known when it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements<'a> {
    pub element: ElementType,
    pub bytes: &'a [u8],
}

/// The weights of an input's values.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mask<'a> {
    /// All are 1, but for what is beyond the edges or NaN.
    Ones,
    /// `[height, width]`, for all images and channels.
    Shared(Elements<'a>),
    /// One for each value.
    Own(Elements<'a>),
}

/// The first that is not finite.
pub(crate) fn not_finite<T: Element>(all: &[T]) -> Option<f64> {
    if T::TYPE.is_integer() {
        return None;
    }
    // Whole pieces without a branch, in vectors.
    let finite = |piece: &&[T]| piece.iter().fold(true, |all, x| all & x.to_f64().is_finite());
    let piece = all.chunks(PIECE).find(|piece| !finite(piece))?;
    piece.iter().map(|x| x.to_f64()).find(|x| !x.is_finite())
}

/// What sums of a normalised convolution are made in.
pub(crate) trait Float: Element + Scalars + Mul<Output = Self> {
    fn is_missing(self) -> bool;
}

impl Float for f32 {
    #[inline(always)]
    fn is_missing(self) -> bool {
        self.is_nan()
    }
}

impl Float for f64 {
    #[inline(always)]
    fn is_missing(self) -> bool {
        self.is_nan()
    }
}

/// Rows to work on in one go, of so many scalars at least.
const PIECE: usize = 1 << 14;

impl<'a> Elements<'a> {
    pub fn of<T: Element>(all: &'a [T]) -> Self {
        Self { element: T::TYPE, bytes: bytemuck::cast_slice(all) }
    }

    /// Those from the one numbered `first` on.
    fn widen<S: Float>(self, first: usize, to: &mut [S]) {
        with_type!(self.element, T => {
            <S as Scalars>::widen(&bytemuck::cast_slice::<u8, T>(self.bytes)[first..][..to.len()], to);
        });
    }
}

/// The rows of a normalised convolution: how they lie, and which values are missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    layout: Layout,
    /// Of the input and of the output.
    height: [usize; 2],
    width: [usize; 2],
    channels: usize,
    filters: usize,
    nan: bool,
}

impl Rows {
    pub fn of(problem: &Problem) -> Self {
        let conv = problem.conv();
        let [_, height, width, channels] = problem.input_shape().to_nhwc(conv.layout);
        let [_, out_height, out_width, _] = problem.output_shape().to_nhwc(conv.layout);
        Self {
            layout: conv.layout,
            height: [height, out_height],
            width: [width, out_width],
            channels,
            filters: conv.kernel.filters(),
            // Integers have none.
            nan: conv.missing.is_some_and(|missing| missing.nan)
                && !problem.input_type().is_integer(),
        }
    }

    /// Whether each value has its own weight, with such a mask.
    pub fn own(&self, mask: Mask<'_>) -> bool {
        self.nan || matches!(mask, Mask::Own(_))
    }

    /// Whether values are what they are, with such a mask.
    pub fn are_values(&self, mask: Mask<'_>) -> bool {
        !self.nan && matches!(mask, Mask::Ones)
    }

    /// Pixels side by side in a row: channels of one pixel lie together, or are planes.
    fn together(&self) -> usize {
        if self.layout == Layout::Nchw { 1 } else { self.channels }
    }

    /// Values times their weights. What weighs nothing may be anything, NaN too.
    pub fn values<S: Float>(
        &self,
        cpu: Option<&Cpu>,
        x: Elements<'_>,
        mask: Mask<'_>,
        out: &mut [S],
    ) -> Result<(), NoRoom> {
        self.each(cpu, out, |row, room, out| {
            x.widen(row * out.len(), out);
            memory::resize("weights of a row", room, out.len(), S::default())?;
            self.row(row, out, mask, room);
            for (x, m) in out.iter_mut().zip(room.iter()) {
                *x = if *m == S::default() { S::default() } else { *x * *m };
            }
            Ok(())
        })
    }

    /// The weights of all values, one for each.
    pub fn weights<S: Float>(
        &self,
        cpu: Option<&Cpu>,
        x: Elements<'_>,
        mask: Mask<'_>,
        out: &mut [S],
    ) -> Result<(), NoRoom> {
        self.each(cpu, out, |row, room, out| {
            if self.nan {
                memory::resize("values of a row", room, out.len(), S::default())?;
                x.widen(row * out.len(), room);
            }
            self.row(row, room, mask, out);
            Ok(())
        })
    }

    /// Those that all images and channels share.
    pub fn shared<S: Float>(mask: Mask<'_>, out: &mut [S]) {
        match mask {
            Mask::Shared(mask) => mask.widen(0, out),
            Mask::Ones | Mask::Own(_) => out.fill(S::of(1u8)),
        }
    }

    /// The weights of row number `row`, of the values `x` where NaNs are looked for.
    fn row<S: Float>(&self, row: usize, x: &[S], mask: Mask<'_>, weights: &mut [S]) {
        match mask {
            Mask::Ones => weights.fill(S::of(1u8)),
            Mask::Own(mask) => mask.widen(row * weights.len(), weights),
            Mask::Shared(mask) => {
                let [width, _] = self.width;
                // At the end, from where they are repeated for the channels of each pixel, the first first.
                let (last, together) = (weights.len() - width, self.together());
                mask.widen(row % self.height[0] * width, &mut weights[last..]);
                for column in 0..width {
                    let m = weights[last + column];
                    weights[column * together..(column + 1) * together].fill(m);
                }
            }
        }
        if self.nan {
            for (m, x) in weights.iter_mut().zip(x) {
                *m = if x.is_missing() { S::default() } else { *m };
            }
        }
    }

    /// Calls `make` with each row of `out`, of inputs, and room for another.
    fn each<S: Float>(
        &self,
        cpu: Option<&Cpu>,
        out: &mut [S],
        make: impl Fn(usize, &mut Vec<S>, &mut [S]) -> Result<(), NoRoom> + Sync + Send,
    ) -> Result<(), NoRoom> {
        let row = self.width[0] * self.together();
        if out.is_empty() {
            return Ok(());
        }
        each_row(cpu, out, row, |n, room: &mut Vec<S>, out| make(n, room, out))
    }

    /// The outputs of `problem`, of both sums; what nothing is known of, where the weights sum to nothing. `own`: these
    /// are as many as the values.
    pub fn quotients<S: Float>(
        &self,
        cpu: Option<&Cpu>,
        problem: &Problem,
        (sums, known, own): (&[S], &[S], bool),
        out: &mut [u8],
    ) -> Result<(), NoRoom> {
        let conv = problem.conv();
        let (filters, together) = (self.filters, self.together());
        let ([_, height], [_, width]) = (self.height, self.width);
        let row = width * if self.planar() { 1 } else { together * filters };
        let element = problem.output_type();
        if out.is_empty() {
            return Ok(());
        }
        let least = conv.kernel.nothing();
        let bias: Vec<f64> = (0..filters).map(|f| conv.exact_bias(f)).collect();
        let no_data = conv.missing.and_then(|missing| missing.no_data).unwrap_or(f64::NAN);
        // Of each place of a row, which of planes is a single filter's.
        let line = |first: usize, of: &[f64]| {
            let period = if self.planar() { 1 } else { filters };
            let values = of[first..first + period].iter().copied().cycle();
            memory::collected("limits of a row", row, values)
        };
        let kinds = if self.planar() { filters } else { 1 };
        let limit = |f| Ok(Limits { least: line(f, &least)?, bias: line(f, &bias)? });
        let limits = (0..kinds).map(limit).collect::<Result<Vec<Limits>, NoRoom>>()?;
        each_row(cpu, out, row * element.bytes(), |n, quotient: &mut Quotient, out| {
            let (plane, down) = (n / height, n % height);
            let filter = plane % filters;
            let planar = self.planar();
            // Of weights that all share a pixel's filters are there once.
            let (weights, times) = match (own, planar) {
                (true, _) => (&known[n * row..][..row], 1),
                (false, true) => (&known[(filter * height + down) * row..][..row], 1),
                (false, false) => {
                    (&known[down * width * filters..][..width * filters], self.channels)
                }
            };
            quotient.fill(&sums[n * row..][..row], weights, filters, times)?;
            let limits = &limits[if planar { filter } else { 0 }];
            quotient.divide(limits, conv.activation, no_data);
            with_type!(element, U => {
                let out = bytemuck::cast_slice_mut::<u8, U>(out);
                let made = out.iter_mut().zip(&quotient.sums);
                made.for_each(|(out, y)| *out = Element::from_f64(*y));
            });
            Ok(())
        })
    }

    fn planar(&self) -> bool {
        self.layout == Layout::Nchw
    }
}

/// A row of both sums, which become the quotients.
#[derive(Debug, Default)]
struct Quotient {
    sums: Vec<f64>,
    known: Vec<f64>,
}

impl Quotient {
    /// `known` has `filters` weights of a pixel, which are repeated so many times.
    fn fill<S: Float>(
        &mut self,
        sums: &[S],
        known: &[S],
        filters: usize,
        times: usize,
    ) -> Result<(), NoRoom> {
        for list in [&mut self.sums, &mut self.known] {
            list.clear();
            memory::reserve("sums of a row", list, sums.len())?;
        }
        self.sums.extend(sums.iter().map(|s| s.to_f64()));
        match times {
            1 => self.known.extend(known.iter().map(|k| k.to_f64())),
            _ => {
                for known in known.chunks_exact(filters) {
                    for _ in 0..times {
                        self.known.extend(known.iter().map(|k| k.to_f64()));
                    }
                }
            }
        }
        Ok(())
    }

    /// The results, before they are stored.
    fn divide(&mut self, limits: &Limits, activation: Activation, no_data: f64) {
        let Limits { least, bias } = limits;
        let places = self.sums.iter_mut().zip(&self.known).zip(least.iter().zip(bias));
        for ((sum, known), (least, bias)) in places {
            let y = *sum / *known + bias;
            *sum = if known.abs() < *least { no_data } else { y };
        }
        if activation == Activation::None {
            return;
        }
        for ((y, known), least) in self.sums.iter_mut().zip(&self.known).zip(least) {
            let unknown = known.abs() < *least;
            *y = if unknown { *y } else { activation.exact(*y) };
        }
    }
}

/// Of each place of a row, what the weights have to sum to at least, and what is added.
#[derive(Debug)]
struct Limits {
    least: Vec<f64>,
    bias: Vec<f64>,
}

/// Calls `work` with the number of each row of `out`, of this length, and what a piece of several rows keeps: on the
/// threads of an engine of the CPU, or on those that are current.
fn each_row<T: Send, R: Default>(
    cpu: Option<&Cpu>,
    out: &mut [T],
    row: usize,
    work: impl Fn(usize, &mut R, &mut [T]) -> Result<(), NoRoom> + Sync + Send,
) -> Result<(), NoRoom> {
    let rows = PIECE.div_ceil(row);
    let count = out.len().div_ceil(rows * row);
    let pieces = out.chunks_mut(rows * row).enumerate();
    let pieces = memory::collected("the list of pieces", count, pieces)?;
    cpu.map_or(&Threads::Current, |cpu| &cpu.threads).each(pieces, |(n, piece)| {
        let mut kept = R::default();
        for (at, out) in piece.chunks_mut(row).enumerate() {
            work(n * rows + at, &mut kept, out)?;
        }
        Ok(())
    })
}
