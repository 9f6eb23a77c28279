//! Cutting an output that is larger than memory: into units, which are its chunks or bands, and these into steps, of
//! which a few have room at a time.
//!
//! ```text
//! +-----+-----+-----+    units: what is written, skipped or left to another process as a whole. They depend on
//! |     |     |     |    the problem and on the chunks of where the output goes, on nothing else
//! +=====+=====+-----+
//! #     |     #     |    a step: as many of them as the budget has room for, wide before tall, so that rows that
//! +-----+-----+-----+    the next one below needs too are there already
//! #     |     #     |
//! +=====+=====+-----+
//! ```

use std::ops::Range;

use super::bands::largest;
use crate::{Error, Problem, Result, Window};

/// Bytes of the outputs of a band, where nothing says how large one should be: few enough to be done again
/// without regret, and for any number of processes to have some.
const BAND: usize = 4 << 20;

/// Bytes that a step reads and writes, if there is room: beside them a call, a seek and a wait are nothing.
const STEP: u64 = 16 << 20;

/// A step is so many times as long as what its neighbours compute twice, if there is room.
const BESIDE_HALO: usize = 16;

/// The output as a grid of pieces that are written whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Units {
    /// Images, rows and columns of the output.
    whole: [usize; 3],
    /// And of a unit; the last along each axis may have fewer.
    size: [usize; 3],
}

impl Units {
    /// Chunks of so many images, rows and columns, or else bands of rows. Not those that an engine would like: parts of
    /// an output have to fit together whoever makes them.
    pub(crate) fn new(problem: &Problem, chunks: Option<[usize; 3]>) -> Self {
        let g = problem.geometry();
        let whole = [g.images, g.out_height, g.out_width];
        let size = chunks.unwrap_or_else(|| {
            let bytes = problem.output_type().bytes();
            let pixel = (g.out_image() / (g.out_height * g.out_width).max(1)).max(1) * bytes;
            let row = pixel * g.out_width;
            let several = |bytes: usize| (BAND / bytes.max(1)).max(1);
            let (rows, columns) = (several(row), several(pixel));
            match () {
                () if rows < g.out_height && row > BAND => [1, 1, columns],
                () if rows < g.out_height => [1, rows, g.out_width],
                () => [several(g.out_height * row), g.out_height, g.out_width],
            }
        });
        let within = |(size, whole): (usize, usize)| size.clamp(1, whole.max(1));
        let mut sizes = size.into_iter().zip(whole).map(within);
        let size = std::array::from_fn(|_| sizes.next().unwrap_or(1));
        Self { whole, size }
    }

    /// How many there are, of images, down and across.
    pub(crate) fn counts(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.whole[axis].div_ceil(self.size[axis]))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.counts().iter().product()
    }

    /// The part of the output that is unit number `index`: they are counted across, then down, then by images.
    pub(crate) fn window(&self, index: usize) -> Window {
        let [_, down, across] = self.counts();
        let at = [index / (down * across), index / across % down, index % across];
        self.span(at.map(|at| at..at + 1))
    }

    /// What some of them are together.
    fn span(&self, units: [Range<usize>; 3]) -> Window {
        let [images, rows, columns] = std::array::from_fn(|axis| {
            let Range { start, end } = units[axis].clone();
            start * self.size[axis]..(end * self.size[axis]).min(self.whole[axis])
        });
        Window { images, rows, columns }
    }

    /// Those of part `number` of `of`, counted from 0: all units but a rest are shared out evenly, in order.
    pub(crate) fn share(&self, number: usize, of: usize) -> Range<usize> {
        let len = self.len() as u128;
        let end = |n: usize| (len * n as u128 / of.max(1) as u128) as usize;
        end(number)..end(number + 1)
    }

    /// The steps that make all units for which `wanted` says so, in an order in which rows are met again soon.
    pub(crate) fn steps(&self, step: Step, wanted: &[bool]) -> Vec<Window> {
        let [images, down, across] = self.counts();
        let is_wanted = |at: [usize; 3]| {
            wanted.get((at[0] * down + at[1]) * across + at[2]).copied().unwrap_or(false)
        };
        let mut steps = Vec::new();
        // Whole images, several at once.
        if step.down >= down && step.across >= across && step.images > 1 {
            let all =
                |image: usize| (0..down).all(|r| (0..across).all(|c| is_wanted([image, r, c])));
            let mut image = 0;
            while image < images {
                let some = (image..images.min(image + step.images)).take_while(|i| all(*i)).count();
                if some > 0 {
                    steps.push(self.span([image..image + some, 0..down, 0..across]));
                } else {
                    self.image(image, step, &is_wanted, &mut steps);
                }
                image += some.max(1);
            }
            return steps;
        }
        for image in 0..images {
            self.image(image, step, &is_wanted, &mut steps);
        }
        steps
    }

    /// Those of one row of images: stripe by stripe, each from top to bottom.
    fn image(
        &self,
        image: usize,
        step: Step,
        is_wanted: &impl Fn([usize; 3]) -> bool,
        steps: &mut Vec<Window>,
    ) {
        let [_, down, across] = self.counts();
        for left in (0..across).step_by(step.across) {
            let stripe = left..across.min(left + step.across);
            // What is wanted of a row of units, and since which row the same was.
            let mut open: Option<(usize, Range<usize>)> = None;
            let mut close = |open: &mut Option<(usize, Range<usize>)>, end: usize| {
                if let Some((first, columns)) = open.take() {
                    steps.push(self.span([image..image + 1, first..end, columns]));
                }
            };
            for row in 0..down {
                let mut runs = runs(stripe.clone(), |column| is_wanted([image, row, column]));
                let only = runs.pop();
                let goes_on = runs.is_empty()
                    && open.as_ref().is_some_and(|(first, columns)| {
                        Some(columns) == only.as_ref() && row - first < step.down
                    });
                if goes_on {
                    continue;
                }
                close(&mut open, row);
                for run in runs {
                    close(&mut Some((row, run)), row + 1);
                }
                open = only.map(|columns| (row, columns));
            }
            close(&mut open, down);
        }
    }
}

/// The runs of `within` in which all are wanted.
fn runs(within: Range<usize>, wanted: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for at in within.filter(|at| wanted(*at)) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// How many units a step takes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub images: usize,
    pub down: usize,
    pub across: usize,
}

/// What is held of a step beside what it reads and writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Steps that are computed at a time.
    pub at_once: u64,
    /// Bytes for each element that a step reads, and for each that it writes.
    pub of_input: u64,
    pub of_output: u64,
    /// Bytes whatever its size.
    pub fixed: u64,
}

/// What decides how large steps are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cutter<'a> {
    pub problem: &'a Problem,
    pub units: &'a Units,
    /// Of the plan: how far outputs are computed beyond the step, for equal bits.
    pub grain: (usize, usize),
    /// Rows and columns that are read at once, whether all are needed or not.
    pub read_at_once: (usize, usize),
    pub held: Held,
}

impl Cutter<'_> {
    /// How many units a step takes, so that all that is held is within `budget`.
    ///
    /// # Errors
    /// [`Error::Argument`] where one unit takes more.
    pub(crate) fn step(&self, budget: u64) -> Result<Step> {
        let [images, down, across] = self.units.counts();
        let fits = |step: &Step| self.bytes(step) <= budget;
        let one = Step { images: 1, down: 1, across: 1 };
        if !fits(&one) {
            let needed = self.bytes(&one);
            let limit = format!("a step of the smallest size needs {needed} bytes");
            return Err(Error::argument("memory budget", budget, limit));
        }
        // Halved widths, of which the one that computes the least twice is taken.
        let widths = std::iter::successors(Some(across), |n| (*n > 1).then(|| n.div_ceil(2)));
        let of_width = |across: usize| {
            let step = |down: usize| Step { images: 1, down, across };
            let most = largest(down, |n| fits(&step(n)));
            let enough = least(most, |n| self.is_enough(&step(n)));
            fits(&step(enough)).then_some(step(enough))
        };
        let steps = widths.filter_map(of_width);
        let twice = |step: &Step| self.work(step);
        let step = steps.min_by(|a, b| twice(a).total_cmp(&twice(b))).unwrap_or(one);
        if step.down < down || step.across < across {
            return Ok(step);
        }
        let several = |images: usize| Step { images, ..step };
        let most = largest(images, |n| fits(&several(n)));
        Ok(several(least(most, |n| self.moved(&several(n)) >= STEP)))
    }

    /// Whether it need not be longer.
    fn is_enough(&self, step: &Step) -> bool {
        let [_, rows, _] = self.made(step);
        let g = self.problem.geometry();
        let halo = (g.extent().0 - 1).max(self.grain.0 - 1);
        let far = rows * g.stride.0 >= BESIDE_HALO * halo || self.units.whole[1] == rows;
        far && self.moved(step) >= STEP
    }

    /// Images, rows and columns of its output.
    fn made(&self, step: &Step) -> [usize; 3] {
        let counts = [step.images, step.down, step.across];
        std::array::from_fn(|axis| {
            (counts[axis] * self.units.size[axis]).min(self.units.whole[axis])
        })
    }

    /// Those that are computed for it, at most, and those that are read.
    fn reached(&self, step: &Step) -> ([usize; 3], [usize; 3]) {
        let g = self.problem.geometry();
        let [images, rows, columns] = self.made(step);
        let wide = |made: usize, grain: usize, all: usize| (made + 2 * (grain - 1)).min(all);
        let rows = wide(rows, self.grain.0, g.out_height);
        let columns = wide(columns, self.grain.1, g.out_width);
        let along = |made: usize, stride: usize, extent: usize| {
            (made.max(1) - 1).saturating_mul(stride).saturating_add(extent)
        };
        let down = along(rows, g.stride.0, g.extent().0);
        // A border that continues with what lies elsewhere has it brought in beside.
        let across = along(columns, g.stride.1, g.extent().1);
        ([images, rows, columns], [images, down, across])
    }

    fn of_output(&self) -> u64 {
        let g = self.problem.geometry();
        (g.out_image() / (g.out_height * g.out_width).max(1)) as u64
    }

    fn of_input(&self) -> u64 {
        let g = self.problem.geometry();
        (g.pixel() * g.planes()) as u64
    }

    /// Bytes that it reads and writes.
    fn moved(&self, step: &Step) -> u64 {
        let (_, read) = self.reached(step);
        let elements =
            |size: [usize; 3]| size.iter().fold(1u64, |n, m| n.saturating_mul(*m as u64));
        let written = elements(self.made(step)).saturating_mul(self.of_output());
        let read = elements(read).saturating_mul(self.of_input());
        read.saturating_mul(self.problem.input_type().bytes() as u64)
            .saturating_add(written.saturating_mul(self.problem.output_type().bytes() as u64))
    }

    /// How much more is computed than is written, and is read than is there: each costs about as much.
    fn work(&self, step: &Step) -> f64 {
        let g = self.problem.geometry();
        let [_, rows, columns] = self.made(step).map(|n| n as f64);
        let halo = (g.extent().0 - 1) as f64 / g.stride.0 as f64;
        let beside = (g.extent().1 - 1) as f64 / g.stride.1 as f64;
        let (halo, beside) =
            (halo.max(self.grain.0 as f64 - 1.0), beside.max(self.grain.1 as f64 - 1.0));
        // What lies beyond the whole is not computed.
        let (beside, read) = if self.units.whole[2] as f64 <= columns {
            (0.0, 1.0)
        } else {
            // A chunk on each side, most of which is for nothing.
            let chunk = self.read_at_once.1 as f64;
            let read = (columns * g.stride.1 as f64 + 2.0 * (beside.max(chunk) - 1.0))
                / (columns * g.stride.1 as f64);
            (beside, read)
        };
        (1.0 + halo / rows) * (1.0 + beside / columns) * read
    }

    /// Bytes that are held while steps of this size follow one another:
    ///
    /// ```text
    /// input    this step, and the new rows of the next, which are read meanwhile
    /// output   this step, and the one before, which is written
    /// beside   what computing takes
    /// ```
    fn bytes(&self, step: &Step) -> u64 {
        let (made, read) = self.reached(step);
        let ([images, rows, columns], [_, down, across]) = (made, read);
        let g = self.problem.geometry();
        let product = |all: [usize; 3]| all.iter().fold(1u64, |n, m| n.saturating_mul(*m as u64));
        // Blocks begin and end where chunks do, or at an eighth of a step.
        let chunk = self.read_at_once.0;
        let block = chunk.max(down.div_ceil(8)).next_multiple_of(chunk);
        let most = |rows: usize| rows.min(g.height.next_multiple_of(block));
        // Of the first no more is kept than twice what is needed of it.
        let held = most(down.saturating_add(block / 2 + block - 1));
        let next = most(rows.saturating_mul(g.stride.0).next_multiple_of(block));
        let Held { at_once, of_input, of_output, fixed } = self.held;
        let (element, result) =
            (self.problem.input_type().bytes() as u64, self.problem.output_type().bytes() as u64);
        let of_input = of_input.saturating_mul(product([images, down, across]));
        let input = element.saturating_mul(product([images, held, across]));
        let ahead = element.saturating_mul(product([images, next, across]));
        let output =
            result.saturating_add(of_output).saturating_mul(product([images, rows, columns]));
        let waiting = result.saturating_mul(product(self.made(step)));
        let sums = [
            (self.of_input(), at_once, of_input.saturating_add(input)),
            (self.of_input(), 1, ahead),
            (self.of_output(), at_once, output),
            (self.of_output(), 1, waiting),
        ];
        sums.into_iter().fold(fixed, |sum, (scalars, times, places)| {
            sum.saturating_add(scalars.saturating_mul(times).saturating_mul(places))
        })
    }
}

/// The smallest from 1 to `most` that is enough, or `most`.
fn least(most: usize, enough: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, most.max(1));
    while low < high {
        let middle = low + (high - low) / 2;
        if enough(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

#[cfg(test)]
mod tests;
