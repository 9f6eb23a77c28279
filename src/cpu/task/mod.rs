//! Rectangles of output: what threads share out, and the blocks of rows and tiles of columns into which each
//! is cut.

mod blocks;

use std::ops::Range;

pub(super) use blocks::{Blocks, Rows, tiles};

use crate::Problem;
use crate::memory::{self, NoRoom};
use crate::plan::{CpuLaunch, Rectangle};

/// Some output rows of one image.
pub(super) struct Task<'a> {
    pub image: usize,
    pub rows: Range<usize>,
    /// Of which `direct` makes these columns: all, but where others were made by other means.
    pub columns: Range<usize>,
    /// The rows' memory: one slice, or one for each output plane. Where a task has not all columns, each row is a
    /// slice of its own.
    pub planes: Vec<&'a mut [u8]>,
    /// The column that these begin with.
    pub origin: usize,
    /// Scalars of a tile of columns, where that is not the algorithm's own choice.
    pub tile: Option<usize>,
    /// Whether outputs are stored past the caches.
    pub streamed: bool,
}

impl Task<'_> {
    /// The same rows.
    pub fn again(&mut self) -> Result<Task<'_>, NoRoom> {
        let planes = self.planes.iter_mut().map(|plane| &mut **plane);
        let planes = memory::collected(PLANES, planes.len(), planes)?;
        let (rows, columns) = (self.rows.clone(), self.columns.clone());
        let Self { image, origin, tile, streamed, .. } = *self;
        Ok(Task { image, rows, columns, planes, origin, tile, streamed })
    }

    /// Those of its rows that a rectangle has, and the rectangle's columns.
    pub fn part(
        &mut self,
        problem: &Problem,
        rectangle: &Rectangle,
    ) -> Result<Option<Task<'_>>, NoRoom> {
        let row = problem.geometry().out_row() * problem.output_type().bytes();
        let Rectangle { rows, columns } = rectangle;
        let rows = rows.start.max(self.rows.start)..rows.end.min(self.rows.end);
        let Some(from) = rows.start.checked_sub(self.rows.start).filter(|_| !rows.is_empty())
        else {
            return Ok(None);
        };
        let (bytes, count) = (from * row..(from + rows.len()) * row, self.planes.len());
        let planes = self.planes.iter_mut().filter_map(|plane| plane.get_mut(bytes.clone()));
        let planes = memory::collected(PLANES, count, planes)?;
        let (image, columns) = (self.image, columns.clone());
        let Self { origin, tile, streamed, .. } = *self;
        let all = planes.len() == count;
        Ok(all.then_some(Task { image, rows, columns, planes, origin, tile, streamed }))
    }
}

/// What lists of planes are called where there is no memory for them.
const PLANES: &str = "the list of a task's planes";

/// Cuts the output into tasks that own their rows, or pieces of them.
pub(super) fn tasks<'a>(
    problem: &Problem,
    launch: &CpuLaunch,
    tile: Option<usize>,
    dst: &'a mut [u8],
) -> Result<Vec<Task<'a>>, NoRoom> {
    let g = problem.geometry();
    let row = g.out_row() * problem.output_type().bytes();
    if let Some(wide) = launch.columns_per_task {
        return pieces(problem, (launch, wide), tile, dst);
    }
    let count = g.images * g.out_height.div_ceil(launch.rows_per_task);
    let mut tasks = memory::with_capacity("the list of tasks", count)?;
    for (image, out) in dst.chunks_mut(g.out_planes() * g.out_height * row).enumerate() {
        let first = tasks.len();
        for plane in out.chunks_mut(g.out_height * row) {
            for (i, rows) in plane.chunks_mut(launch.rows_per_task * row).enumerate() {
                if tasks.len() == first + i {
                    let start = i * launch.rows_per_task;
                    tasks.push(Task {
                        image,
                        rows: start..start + rows.len() / row,
                        columns: 0..g.out_width,
                        planes: memory::with_capacity(PLANES, g.out_planes())?,
                        origin: 0,
                        tile,
                        streamed: launch.streamed,
                    });
                }
                tasks[first + i].planes.push(rows);
            }
        }
    }
    Ok(tasks)
}

/// The same of tasks that have some columns each.
fn pieces<'a>(
    problem: &Problem,
    (launch, wide): (&CpuLaunch, usize),
    tile: Option<usize>,
    dst: &'a mut [u8],
) -> Result<Vec<Task<'a>>, NoRoom> {
    let g = problem.geometry();
    let row = g.out_row() * problem.output_type().bytes();
    let high = launch.rows_per_task;
    let count = g.images * g.out_height.div_ceil(high) * g.out_width.div_ceil(wide);
    let mut tasks: Vec<Task<'a>> = memory::with_capacity("the list of tasks", count)?;
    for (image, out) in dst.chunks_mut(g.out_planes() * g.out_height * row).enumerate() {
        let first = tasks.len();
        for start in (0..g.out_height).step_by(high) {
            for origin in (0..g.out_width).step_by(wide) {
                tasks.push(Task {
                    image,
                    rows: start..(start + high).min(g.out_height),
                    columns: origin..(origin + wide).min(g.out_width),
                    planes: memory::with_capacity(PLANES, g.out_planes() * high)?,
                    origin,
                    tile,
                    streamed: launch.streamed,
                });
            }
        }
        let across = g.out_width.div_ceil(wide);
        for plane in out.chunks_mut(g.out_height * row) {
            for (n, row_of) in plane.chunks_mut(row).enumerate() {
                let tasks = &mut tasks[first + n / high * across..];
                for (task, piece) in
                    tasks.iter_mut().zip(row_of.chunks_mut(row / g.out_width * wide))
                {
                    task.planes.push(piece);
                }
            }
        }
    }
    Ok(tasks)
}
