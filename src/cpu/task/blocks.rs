//! The blocks of output rows of a task, and tiles of its columns.

use std::ops::Range;

use crate::cpu::kernels::{self, Pattern};
use crate::problem::Geometry;

/// Output rows of a block, by their place in a task.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Rows {
    pub first: usize,
    /// From row to row.
    pub spacing: usize,
    /// At most `MAX_ROWS`.
    pub count: usize,
}

/// Blocks of some task's rows.
pub(in crate::cpu) struct Blocks<'a> {
    g: &'a Geometry,
    kernel: (usize, usize),
    terms: usize,
    /// Of whole blocks.
    pub pattern: Pattern,
    spacing: usize,
    /// Whether the last block may begin early and make rows once more, so that it is a whole one.
    twice: bool,
}

impl<'a> Blocks<'a> {
    /// Blocks of `at_once` rows where there are so many, for the sum over `terms` of kernels with
    /// `kernel` rows and columns.
    pub fn new(
        g: &'a Geometry,
        rows: usize,
        at_once: usize,
        kernel: (usize, usize),
        terms: usize,
    ) -> Self {
        let spacing = kernels::spacing(g).0;
        let at_once = at_once.min(rows.div_ceil(spacing));
        let pattern = Pattern::new(g, at_once, kernel, terms);
        Self { g, kernel, terms, pattern, spacing, twice: false }
    }

    /// The same where a row that is made once more comes out the same.
    pub fn overlapping(self) -> Self {
        Self { twice: self.spacing == 1, ..self }
    }

    /// Calls `work` with the rows of every block of a task, counted from its first one, their pattern, and
    /// the input rows (of the continued input) that it needs, which rise.
    #[inline(always)]
    pub fn each(&self, rows: &Range<usize>, mut work: impl FnMut(Rows, &Pattern, &[isize])) {
        let (at_once, spacing) = (self.pattern.rows, self.spacing);
        let mut needed = Vec::with_capacity(self.pattern.needed.len());
        let mut rest: Option<Pattern> = None;
        for start in (0..rows.len()).step_by(spacing * at_once) {
            let start = if self.twice { start.min(rows.len() - at_once) } else { start };
            for first in (start..rows.len()).take(spacing) {
                let count = (rows.len() - first).div_ceil(spacing).min(at_once);
                let pattern = if count == at_once {
                    &self.pattern
                } else {
                    match &mut rest {
                        Some(rest) if rest.rows == count => &*rest,
                        rest => rest.insert(Pattern::new(self.g, count, self.kernel, self.terms)),
                    }
                };
                let top = self.g.first_row(rows.start + first);
                needed.clear();
                needed.extend(pattern.needed.iter().map(|row| top + row));
                work(Rows { first, spacing, count }, pattern, &needed);
            }
        }
    }
}

/// Columns of each part, cut into tiles of nearly the same size and at most so many scalars.
pub(in crate::cpu) fn tiles(
    g: &Geometry,
    parts: impl IntoIterator<Item = Range<usize>>,
    most: usize,
) -> impl Iterator<Item = Range<usize>> {
    let most = (most / g.channels).max(1);
    parts.into_iter().flat_map(move |part| {
        let count = part.len().div_ceil(most);
        let at = move |n: usize| part.start + part.len() * n / count;
        (0..count).map(move |n| at(n)..at(n + 1))
    })
}
