//! A column of pixels as a row.

use super::{Geometry, Problem};
use crate::Borders;

/// Channels from which on pixels fill vectors, of which a column's blocks then serve several rows.
const WIDE: usize = 32;

impl Problem {
    /// The same with rows for columns, where input and output are a column of pixels and the taps lie one below
    /// the other. Tensors lie in memory as they did and sums are added up in the order they were; but what
    /// was one pixel a row becomes vectors of them.
    pub(crate) fn as_row(&self) -> Option<Self> {
        let g = self.geometry;
        let column = (g.width, g.out_width, g.kernel.1, g.left) == (1, 1, 1, 0);
        if !column || g.channels >= WIDE || self.gathers() || self.texels {
            return None;
        }
        let geometry = Geometry {
            height: 1,
            width: g.height,
            out_height: 1,
            out_width: g.out_height,
            kernel: (1, g.kernel.0),
            stride: (1, g.stride.0),
            dilation: (1, g.dilation.0),
            top: 0,
            left: g.top,
            ..g
        };
        // No column lies beyond the others, so that of columns are not asked for.
        let border = Borders::from_rows(self.border);
        Some(Self { geometry, border, ..self.clone() })
    }
}
