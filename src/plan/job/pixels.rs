//! Tensors pixel by pixel, cut to what a device binds.

use super::{Binding, Resource};
use crate::plan::limits::GpuLimits;
use crate::problem::Geometry;
use crate::{ElementType, Error, Pointwise, Result};

const F32: usize = ElementType::F32.bytes();

/// The sums and the outputs, pixel by pixel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixels {
    pub images: usize,
    pub columns: usize,
    pub filters: usize,
    pub outputs: usize,
    pub planar: bool,
}

/// Pixels that are bound at once: of one image after the other, from `first` of its columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub images: usize,
    pub columns: usize,
    /// Pixels before it.
    first: usize,
}

impl Pixels {
    pub fn of(g: &Geometry, pointwise: Option<&Pointwise>) -> Self {
        let columns = g.out_height * g.out_width * g.channels;
        match pointwise {
            // Scalar by scalar.
            None => {
                let columns = g.images * columns * g.outputs;
                Self { images: 1, columns, filters: 1, outputs: 1, planar: false }
            }
            Some(pointwise) => {
                let (filters, outputs) = (pointwise.filters(), pointwise.outputs());
                let (images, columns) =
                    if g.planar { (g.images, columns) } else { (1, g.images * columns) };
                Self { images, columns, filters, outputs, planar: g.planar }
            }
        }
    }

    /// Cut to what a device binds.
    pub fn chunks(&self, limits: &GpuLimits) -> Result<Vec<Chunk>> {
        let limit = limits.max_range();
        let alignment = u64::from(limits.offset_alignment);
        let each = (self.filters.max(self.outputs) * F32) as u64;
        let most = limit.saturating_sub(alignment + 4) / each;
        let whole = |images, first| Chunk { images, columns: self.columns, first };
        if self.columns == 0 || self.images == 0 {
            return Ok(Vec::new());
        }
        if self.planar {
            let images = most / self.columns as u64;
            if images == 0 {
                return Err(Error::TooLarge {
                    what: "bytes of a channel's planes before a pointwise step",
                    value: (self.columns as u64 * each).to_string(),
                    limit,
                });
            }
            let step = usize::try_from(images).unwrap_or(usize::MAX);
            let starts = (0..self.images).step_by(step);
            return Ok(starts
                .map(|first| whole(step.min(self.images - first), first * self.columns))
                .collect());
        }
        let step = usize::try_from(most).unwrap_or(usize::MAX).max(1);
        let starts = (0..self.columns).step_by(step);
        let part =
            |first: usize| Chunk { images: 1, columns: step.min(self.columns - first), first };
        Ok(starts.map(part).collect())
    }
}

impl Chunk {
    /// Its scalars in a tensor that has `each` of every pixel.
    pub fn of(&self, tensor: Resource, each: usize) -> Binding {
        Binding::scalars(tensor, self.first * each, self.images * self.columns * each, F32)
    }
}
