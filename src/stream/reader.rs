//! Blocks of rows, read once and held as long as a step needs one of them.
//!
//! ```text
//!        step n        n + 1
//!  |---+---+---+-|-+---+---+---+-|
//!    0   1   2  (3)  4   5   6  (7)     blocks: the halo of step n lies in block 3, which stays for step n + 1
//! ```

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::Source;
use crate::engine::{PartRows, room};
use crate::problem::{Region, Source as Places};
use crate::{Element, Error, Result, Window};

/// Buffers that were used and are free again.
#[derive(Debug)]
pub(super) struct Pool<T>(Mutex<Vec<Vec<T>>>);

/// More of them than a step has blocks are not kept.
const KEPT: usize = 16;

impl<T: Element> Pool<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Vec::new())))
    }

    /// One of this length, with any values.
    pub(super) fn take(&self, what: &'static str, len: usize) -> Result<Vec<T>> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |buffer: &Vec<T>| (len..=2 * len).contains(&buffer.capacity());
        if let Some(at) = free.iter().position(fits) {
            let mut buffer = free.swap_remove(at);
            // What is new of it is zeros; what was there stays.
            buffer.resize(len, T::default());
            return Ok(buffer);
        }
        // They are of steps that are done.
        free.clear();
        drop(free);
        room(what, len)
    }

    pub(super) fn give(&self, buffer: Vec<T>) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(buffer);
        }
    }
}

/// Rows of some images, of the columns that a step takes.
#[derive(Debug)]
pub(super) struct Block<T: Element> {
    rows: Range<usize>,
    /// Elements of a row.
    row: usize,
    data: Vec<T>,
    pool: Arc<Pool<T>>,
}

impl<T: Element> Drop for Block<T> {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.data));
    }
}

impl<T: Element> Block<T> {
    /// Row `row` of the input, of image `image` of those that it has.
    fn row(&self, image: usize, row: usize) -> &[T] {
        let at = image * self.rows.len() + (row - self.rows.start);
        &self.data[at * self.row..(at + 1) * self.row]
    }
}

/// The rows of a step, in the order in which it takes them.
pub(super) fn rows<'a, T: Element>(
    blocks: &'a [Arc<Block<T>>],
    region: &Region,
) -> PartRows<'a, T> {
    if let ([block], Places::Run(run)) = (blocks, &region.rows)
        && block.rows == *run
    {
        return PartRows::Whole(&block.data);
    }
    let of = |row: usize| blocks.iter().find(|block| block.rows.contains(&row));
    let holders: Vec<_> = region.rows.each().map(|row| (row, of(row))).collect();
    let images = 0..region.images.len();
    let rows = images.flat_map(|image| {
        // All were read.
        holders.iter().filter_map(move |(row, block)| Some(block.as_ref()?.row(image, *row)))
    });
    PartRows::Apart(rows.collect())
}

/// Brings blocks together for step after step.
pub(super) struct Reader<'a, T: Element, S> {
    source: &'a mut S,
    pool: Arc<Pool<T>>,
    /// Rows of the input, and elements of a pixel that lie together.
    height: usize,
    pixel: usize,
    /// Those of the step before that may be needed again, and of which images and columns they are.
    live: Vec<Arc<Block<T>>>,
    images: Range<usize>,
    columns: Places,
}

impl<'a, T: Element, S: Source<T>> Reader<'a, T, S> {
    pub(super) fn new(source: &'a mut S, height: usize, pixel: usize) -> Self {
        Self {
            source,
            pool: Pool::new(),
            height,
            pixel,
            live: Vec::new(),
            images: 0..0,
            columns: Places::Run(0..0),
        }
    }

    /// The blocks that have all rows of a step.
    pub(super) fn blocks(&mut self, region: &Region) -> Result<Vec<Arc<Block<T>>>> {
        if (&self.images, &self.columns) != (&region.images, &region.columns) {
            self.live.clear();
            (self.images, self.columns) = (region.images.clone(), region.columns.clone());
        }
        let needed = runs(&region.rows);
        for block in std::mem::take(&mut self.live) {
            let within = |run: &Range<usize>| {
                let both = run.start.max(block.rows.start)..run.end.min(block.rows.end);
                (!both.is_empty()).then_some(both)
            };
            let hull = |a: Range<usize>, b: Range<usize>| a.start.min(b.start)..a.end.max(b.end);
            let Some(rows) = needed.iter().filter_map(within).reduce(hull) else { continue };
            // A few rows need not hold many.
            let kept = match 2 * rows.len() <= block.rows.len() {
                true => Arc::new(self.cut(&block, rows)?),
                false => block,
            };
            self.live.push(kept);
        }
        let chunk = self.source.chunk().0.max(1);
        // As the budget counts them.
        let piece = chunk.max(region.rows.len().div_ceil(8)).next_multiple_of(chunk);
        for run in needed {
            let mut at = run.start;
            while at < run.end {
                if let Some(there) = self.live.iter().find(|block| block.rows.contains(&at)) {
                    at = there.rows.end;
                    continue;
                }
                // To the end of a chunk, though it is not needed yet.
                let last = run.end.next_multiple_of(chunk);
                let end = ((at / chunk * chunk) + piece).min(last).min(self.height);
                let next = self.live.iter().map(|block| block.rows.start).filter(|next| *next > at);
                let end = next.fold(end, usize::min);
                let block = self.read(at..end)?;
                self.live.push(Arc::new(block));
                at = end;
            }
        }
        Ok(self.live.clone())
    }

    /// Some rows of a block, as one of their own.
    fn cut(&self, block: &Block<T>, rows: Range<usize>) -> Result<Block<T>> {
        let images = self.images.len();
        let mut data = room("rows of the input", images * rows.len() * block.row)?;
        let lines = (0..images).flat_map(|image| rows.clone().map(move |row| (image, row)));
        for (to, (image, row)) in data.chunks_exact_mut(block.row.max(1)).zip(lines) {
            to.copy_from_slice(block.row(image, row));
        }
        Ok(Block { rows, row: block.row, data, pool: Arc::new(Pool(Mutex::default())) })
    }

    fn read(&mut self, rows: Range<usize>) -> Result<Block<T>> {
        let row = self.columns.len() * self.pixel;
        let lines = self.images.len() * rows.len();
        let mut data = self.pool.take("rows of the input", lines * row)?;
        let window = Window { images: self.images.clone(), rows, columns: 0..0 };
        match &self.columns {
            Places::Run(columns) => {
                let window = Window { columns: columns.clone(), ..window.clone() };
                read(self.source, &window, &mut data)?;
            }
            // What lies apart is read apart, each once.
            picked @ Places::Picked(order) => {
                for columns in runs(picked) {
                    let width = columns.len() * self.pixel;
                    let mut part = room("columns of the input", lines * width)?;
                    let window = Window { columns: columns.clone(), ..window.clone() };
                    read(self.source, &window, &mut part)?;
                    for (line, to) in data.chunks_exact_mut(row.max(1)).enumerate() {
                        let from = &part[line * width..(line + 1) * width];
                        for (column, to) in order.iter().zip(to.chunks_exact_mut(self.pixel)) {
                            if columns.contains(column) {
                                let at = (column - columns.start) * self.pixel;
                                to.copy_from_slice(&from[at..at + self.pixel]);
                            }
                        }
                    }
                }
            }
        }
        Ok(Block { rows: window.rows, row, data, pool: self.pool.clone() })
    }
}

fn read<T>(source: &mut impl Source<T>, window: &Window, to: &mut [T]) -> Result<()> {
    source.read(window, to).map_err(|error| Error::stream("reading", window, error))
}

/// The runs of places that are among these, in order.
fn runs(places: &Places) -> Vec<Range<usize>> {
    let mut all = match places {
        Places::Run(run) => return vec![run.clone()],
        Places::Picked(all) => all.clone(),
    };
    all.sort_unstable();
    all.dedup();
    let mut runs: Vec<Range<usize>> = Vec::new();
    for at in all {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}
