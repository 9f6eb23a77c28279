//! Blocks of rows, read once and held as long as a step needs one of them.
//!
//! ```text
//!        step n        n + 1
//!  |---+---+---+-|-+---+---+---+-|
//!    0   1   2  (3)  4   5   6  (7)     blocks: the halo of step n lies in block 3, which stays for step n + 1
//! ```

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::bytes::Reads;
use crate::engine::{PartRows, Room};
use crate::memory;
use crate::problem::{Region, Source as Places};
use crate::{Error, Result, Window};

/// What lists of rows are called where there is no memory for them.
const ROWS: &str = "the list of rows";

/// Buffers that were used and are free again.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Vec<Room>>);

/// More of them than a step has blocks are not kept.
const KEPT: usize = 16;

impl Pool {
    /// One of so many bytes, with any values.
    pub(super) fn take(&self, what: &'static str, bytes: usize) -> Result<Room> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |buffer: &Room| (bytes..=2 * bytes + 8).contains(&buffer.capacity());
        if let Some(at) = free.iter().position(fits)
            && let Ok(buffer) = free.swap_remove(at).of(bytes)
        {
            return Ok(buffer);
        }
        // They are of steps that are done.
        free.clear();
        drop(free);
        Room::new(what, bytes)
    }

    pub(super) fn give(&self, buffer: Room) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(buffer);
        }
    }
}

/// Rows of some images, of the columns that a step takes.
#[derive(Debug)]
pub(super) struct Block {
    rows: Range<usize>,
    /// Bytes of a row.
    row: usize,
    data: Room,
    pool: Arc<Pool>,
}

impl Drop for Block {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.data));
    }
}

impl Block {
    /// Row `row` of the input, of image `image` of those that it has.
    fn row(&self, image: usize, row: usize) -> &[u8] {
        let at = image * self.rows.len() + (row - self.rows.start);
        &self.data[at * self.row..(at + 1) * self.row]
    }
}

/// The rows of a step, in the order in which it takes them.
pub(super) fn rows<'a>(blocks: &'a [Arc<Block>], region: &Region) -> Result<PartRows<'a>> {
    if let ([block], Places::Run(run)) = (blocks, &region.rows)
        && block.rows == *run
    {
        return Ok(PartRows::Whole(&block.data));
    }
    let of = |row: usize| blocks.iter().find(|block| block.rows.contains(&row));
    let holders = region.rows.each().map(|row| (row, of(row)));
    let holders = memory::collected(ROWS, region.rows.len(), holders)?;
    let images = 0..region.images.len();
    let rows = images.flat_map(|image| {
        // All were read.
        holders.iter().filter_map(move |(row, block)| Some(block.as_ref()?.row(image, *row)))
    });
    let count = region.images.len() * holders.len();
    Ok(PartRows::Apart(memory::collected(ROWS, count, rows)?))
}

/// Brings blocks together for step after step.
pub(super) struct Reader<'a> {
    source: &'a mut dyn Reads,
    pool: Arc<Pool>,
    /// Rows that are read at once.
    chunk: usize,
    /// Rows of the input, and bytes of a pixel that lie together.
    height: usize,
    pixel: usize,
    /// Those of the step before that may be needed again, and of which images and columns they are.
    live: Vec<Arc<Block>>,
    images: Range<usize>,
    columns: Places,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        source: &'a mut dyn Reads,
        chunk: usize,
        (height, pixel): (usize, usize),
    ) -> Self {
        Self {
            source,
            pool: Arc::default(),
            chunk,
            height,
            pixel,
            live: Vec::new(),
            images: 0..0,
            columns: Places::Run(0..0),
        }
    }

    /// The blocks that have all rows of a step.
    pub(super) fn blocks(&mut self, region: &Region) -> Result<Vec<Arc<Block>>> {
        if (&self.images, &self.columns) != (&region.images, &region.columns) {
            self.live.clear();
            (self.images, self.columns) = (region.images.clone(), region.columns.clone());
        }
        let needed = runs(&region.rows);
        for block in std::mem::take(&mut self.live) {
            let within = |run: &Range<usize>| {
                let first = run.start.max(block.rows.start);
                (first < run.end.min(block.rows.end)).then_some(first)
            };
            let Some(first) = needed.iter().filter_map(within).min() else { continue };
            // Steps go down: what lies above is not needed any more, and a few rows need not hold many.
            let rows = first..block.rows.end;
            let kept = match 2 * rows.len() <= block.rows.len() {
                true => Arc::new(self.cut(&block, rows)?),
                false => block,
            };
            self.live.push(kept);
        }
        let chunk = self.chunk;
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
    fn cut(&self, block: &Block, rows: Range<usize>) -> Result<Block> {
        let images = self.images.len();
        let mut data = Room::new("rows of the input", images * rows.len() * block.row)?;
        let lines = (0..images).flat_map(|image| rows.clone().map(move |row| (image, row)));
        for (to, (image, row)) in data.chunks_exact_mut(block.row.max(1)).zip(lines) {
            to.copy_from_slice(block.row(image, row));
        }
        Ok(Block { rows, row: block.row, data, pool: Arc::default() })
    }

    fn read(&mut self, rows: Range<usize>) -> Result<Block> {
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
                    let mut part = Room::new("columns of the input", lines * width)?;
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

fn read(source: &mut dyn Reads, window: &Window, to: &mut [u8]) -> Result<()> {
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
