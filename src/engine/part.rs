//! A part of an output, made ready: from rows of the input to outputs, all of them as bytes.

use std::borrow::Cow;
use std::sync::Arc;

use super::arrays::{LONG_ROW, Room, room_for_rows};
use super::ready::Ready;
use super::slices::{Grid, Pitched};
use crate::cpu::Input;
use crate::memory;
use crate::plan::{Plan, widened};
use crate::problem;
use crate::wait::Wait;
use crate::{Problem, Result, Shape, Window};

/// A part that was made ready. What is compiled of it does not depend on element types.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    region: Arc<problem::Region>,
    ready: Arc<Ready>,
    output: Shape,
}

/// Rows of the input in the order in which a part takes them.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
pub(crate) enum PartRows<'a> {
    /// One behind the other.
    Whole(&'a [u8]),
    Apart(Vec<&'a [u8]>),
}

impl Ready {
    /// What a part of the output is made from, such that its bits are those of the whole.
    ///
    /// # Errors
    /// As [`Prepared::region`](super::Prepared::region).
    pub(super) fn widened(&self, window: &Window) -> Result<problem::Region> {
        let whole = self.problem();
        // What is wrong with it is told of what was asked for.
        whole.region(window, (1, 1))?;
        let g = whole.geometry();
        let (down, across) = self.plan().grain(whole);
        let wide = Window {
            images: window.images.clone(),
            rows: widened(&window.rows, down, g.out_height),
            columns: widened(&window.columns, across, g.out_width),
        };
        let mut region = whole.region(&wide, (down, across))?;
        let inside =
            |taken: &mut std::ops::Range<usize>, wide: usize, wanted: &std::ops::Range<usize>| {
                let start = taken.start + (wanted.start - wide);
                *taken = start..start + wanted.len();
            };
        inside(&mut region.taken.0, wide.rows.start, &window.rows);
        inside(&mut region.taken.1, wide.columns.start, &window.columns);
        Ok(region)
    }
}

impl Part {
    /// Of a whole, by what was made ready for [`Ready::widened`].
    pub(super) fn new(
        whole: &Problem,
        window: &Window,
        region: problem::Region,
        ready: Arc<Ready>,
    ) -> Self {
        Self { region: Arc::new(region), ready, output: whole.window_shape(window) }
    }

    /// Which rows and columns of the input it reads, and what of its own output it is.
    pub(crate) fn region(&self) -> &problem::Region {
        &self.region
    }

    pub(super) fn ready(&self) -> &Ready {
        &self.ready
    }

    pub(super) fn problem(&self) -> &Problem {
        self.ready.problem()
    }

    pub(super) fn plan(&self) -> &Plan {
        self.ready.plan()
    }

    pub(super) fn output_shape(&self) -> Shape {
        self.output
    }

    /// A tensor of its output's type as planes of rows of bytes.
    fn grid(&self, shape: Shape) -> Grid {
        let problem = self.problem();
        Grid::of(shape, problem.conv().layout).in_bytes(problem.output_type())
    }

    /// Computes it from its rows, of each image in the order of [`problem::Region::rows`] and each of the columns of
    /// [`problem::Region::columns`], without gaps.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn run(&self, rows: &PartRows<'_>, dst: &mut [u8]) -> Result<()> {
        let dst = Pitched::new(dst, self.grid(self.output).row);
        crate::wait::block_on(async {
            match rows {
                PartRows::Whole(all) => self.of_input(Input::Whole(all), dst, Wait::Here).await,
                PartRows::Apart(rows) => {
                    let all = rows.iter().map(|row| Cow::Borrowed(*row));
                    let rows = memory::collected("the list of rows", rows.len(), all)?;
                    self.of_rows(&rows, dst, Wait::Here).await
                }
            }
        })
    }

    /// The same into a slice that was checked, whose distances are in bytes.
    pub(super) async fn of_rows(
        &self,
        from: &[Cow<'_, [u8]>],
        dst: Pitched<&mut [u8]>,
        wait: Wait,
    ) -> Result<()> {
        let apart =
            self.ready.reads_rows() && from.first().is_some_and(|row| row.len() >= LONG_ROW);
        let (whole, list);
        let src = if let Some(mut rows) = apart.then(|| room_for_rows(from.len())).flatten() {
            rows.extend(from.iter().map(|row| &**row));
            list = rows;
            Input::Rows(&list)
        } else {
            whole = joined(from)?;
            Input::Whole(&whole)
        };
        self.of_input(src, dst, wait).await
    }

    /// From whole rows, without gaps or one by one, in the order of [`Part::run`].
    pub(super) async fn of_input(
        &self,
        src: Input<'_>,
        dst: Pitched<&mut [u8]>,
        wait: Wait,
    ) -> Result<()> {
        let (to, made) = (self.grid(self.output), self.problem().output_shape());
        if made == self.output && dst.is_whole(&to) {
            let dst = &mut dst.into_data()[..to.len()];
            return self.ready.run(src, dst, wait, false).await.map(drop);
        }
        let mut room = Room::new("the outputs beside a region", self.grid(made).len())?;
        self.ready.run(src, &mut room, wait, false).await?;
        self.take(&room, dst)
    }

    /// The part out of what was made with it.
    pub(super) fn take(&self, room: &[u8], dst: Pitched<&mut [u8]>) -> Result<()> {
        let (to, all) = (self.grid(self.output), self.grid(self.problem().output_shape()));
        let (down, across) = &self.region.taken;
        let pixel = to.row / across.len();
        let places = dst.rows(&to);
        let places = memory::collected("the list of rows", to.planes * to.rows, places)?;
        let data = dst.into_data();
        for (n, at) in places.into_iter().enumerate() {
            let (plane, row) = (n / to.rows, n % to.rows);
            let from = ((plane * all.rows) + down.start + row) * all.row + across.start * pixel;
            data[at..at + to.row].copy_from_slice(&room[from..from + to.row]);
        }
        Ok(())
    }
}

/// Rows one behind the other.
pub(super) fn joined(rows: &[Cow<'_, [u8]>]) -> Result<Room> {
    let len = rows.iter().map(|row| row.len()).sum();
    let mut all = Room::new("a copy of the input", len)?;
    let mut at = 0;
    for row in rows {
        all[at..at + row.len()].copy_from_slice(row);
        at += row.len();
    }
    Ok(all)
}
