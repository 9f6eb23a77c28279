//! Rectangles of output: what threads share out, and the blocks of rows and tiles of columns into which each
//! is cut.

mod blocks;

use std::ops::Range;

pub(super) use blocks::{Blocks, Rows, tiles};

use crate::Problem;
use crate::plan::{CpuLaunch, Rectangle};

/// Some output rows of one image.
pub(super) struct Task<'a> {
    pub image: usize,
    pub rows: Range<usize>,
    /// Of which `direct` makes these columns: all, but where others were made by other means.
    pub columns: Range<usize>,
    /// The rows' memory: one slice, or one for each output plane.
    pub planes: Vec<&'a mut [u8]>,
    /// Scalars of a tile of columns, where that is not the algorithm's own choice.
    pub tile: Option<usize>,
    /// Whether outputs are stored past the caches.
    pub streamed: bool,
}

impl Task<'_> {
    /// The same rows.
    pub fn again(&mut self) -> Task<'_> {
        let planes = self.planes.iter_mut().map(|plane| &mut **plane).collect();
        let (rows, columns) = (self.rows.clone(), self.columns.clone());
        Task { image: self.image, rows, columns, planes, tile: self.tile, streamed: self.streamed }
    }

    /// Those of its rows that a rectangle has, and the rectangle's columns.
    pub fn part(&mut self, problem: &Problem, rectangle: &Rectangle) -> Option<Task<'_>> {
        let row = problem.geometry().out_row() * problem.output_type().bytes();
        let Rectangle { rows, columns } = rectangle;
        let rows = rows.start.max(self.rows.start)..rows.end.min(self.rows.end);
        let from = rows.start.checked_sub(self.rows.start)? * row;
        let planes: Option<Vec<&mut [u8]>> = (self.planes.iter_mut())
            .map(|plane| plane.get_mut(from..from + rows.len() * row))
            .collect();
        let planes = planes.filter(|_| !rows.is_empty())?;
        Some(Task {
            image: self.image,
            rows,
            columns: columns.clone(),
            planes,
            tile: self.tile,
            streamed: self.streamed,
        })
    }
}

/// Cuts the output into tasks that own their rows.
pub(super) fn tasks<'a>(
    problem: &Problem,
    launch: &CpuLaunch,
    tile: Option<usize>,
    dst: &'a mut [u8],
) -> Vec<Task<'a>> {
    let g = problem.geometry();
    let row = g.out_row() * problem.output_type().bytes();
    let mut tasks = Vec::new();
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
                        planes: Vec::with_capacity(g.out_planes()),
                        tile,
                        streamed: launch.streamed,
                    });
                }
                tasks[first + i].planes.push(rows);
            }
        }
    }
    tasks
}
