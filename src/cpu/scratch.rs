//! Memory that workers keep from task to task.

use std::sync::Mutex;

use rustfft::num_complex::Complex;

use super::source::Window;

/// Those that no worker uses: there are no more than threads.
#[derive(Debug, Default)]
pub(super) struct Scratches(Mutex<Vec<Scratch>>);

impl Scratches {
    /// Calls `run` with one of them, or a new one.
    pub fn with<R>(&self, run: impl FnOnce(&mut Scratch) -> R) -> R {
        let taken = self.0.lock().ok().and_then(|mut idle| idle.pop());
        let mut scratch = taken.unwrap_or_default();
        let made = run(&mut scratch);
        if let Ok(mut idle) = self.0.lock() {
            idle.push(scratch);
        }
        made
    }
}

/// Buffers of one worker, kept from task to task.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The lines, back to back.
    pub lines: Vec<f32>,
    /// Which rows they hold.
    pub window: Window,
    /// Sums of columns or rows that others are made of.
    pub sums: Vec<f32>,
    /// Sums of whole numbers.
    pub whole: [Vec<u32>; 4],
    /// Columns left and right of others.
    pub edges: [Edge; 2],
    /// Sums that are not made where outputs lie.
    pub staged: Vec<f32>,
    /// Tiles of transforms and sums of such, some of their rows, and what transforms ask for.
    pub tiles: [Vec<Complex<f32>>; 5],
    /// Those of sums in f64.
    pub double: DoubleScratch,
    /// A row of the border's constant.
    pub constant: Vec<f32>,
}

/// What sums in f64 take.
#[derive(Debug, Default)]
pub(super) struct DoubleScratch {
    pub lines: Vec<f64>,
    /// Which rows they hold.
    pub window: Window,
    /// Sums down columns, of each term.
    pub columns: Vec<f64>,
    /// Of each filter.
    pub sums: Vec<f64>,
    /// What a pointwise step makes of them.
    pub mixed: Vec<f64>,
}

/// Columns beside others that are made at the same time.
#[derive(Debug, Default)]
pub(super) struct Edge {
    /// Their lines, and which rows these hold.
    pub lines: Vec<f32>,
    pub window: Window,
    /// Sums that are not made where outputs lie.
    pub staged: Vec<f32>,
}
