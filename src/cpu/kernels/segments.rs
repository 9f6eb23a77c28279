//! How the places of an output row lie in it and in lines, and the steps by which they are gone through.

use crate::problem::Geometry;

/// Some places of a flat row that follow one another, in lines and in output rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub from: usize,
    pub to: usize,
    pub len: usize,
}

/// Segments at equal distances.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Segments {
    pub len: usize,
    /// From one to the next in lines.
    pub step: usize,
    /// The same in outputs.
    pub apart: usize,
    pub count: usize,
}

impl Segments {
    /// One.
    pub fn one(len: usize) -> Self {
        Self { len, step: 0, apart: 0, count: 1 }
    }

    /// Of output columns in the flat row of the input: all in one, or with a stride one by one.
    pub fn of(g: &Geometry, columns: usize) -> Self {
        match g.stride.1 {
            1 => Self::one(columns * g.channels),
            stride => {
                let step = stride * g.channels;
                Self { len: g.channels, step, apart: g.channels, count: columns }
            }
        }
    }

    /// Scalars from the first output to the last.
    pub fn span(self) -> usize {
        (self.count - 1) * self.apart + self.len
    }

    #[inline(always)]
    pub(super) fn each(self) -> impl Iterator<Item = Segment> {
        let Self { len, step, apart, count } = self;
        (0..count).map(move |n| Segment { from: n * step, to: n * apart, len })
    }
}

/// Where the steps of one `width` over `len` places begin; the last may overlap the one before it, and then
/// makes the same once more.
#[inline(always)]
pub(super) fn steps(len: usize, width: usize, mut step: impl FnMut(usize)) {
    // One call, for it is inlined: a micro-kernel is large.
    let last = len - width;
    let mut x = 0;
    loop {
        step(x);
        if x == last {
            return;
        }
        x = (x + width).min(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_meet_every_place() {
        for width in 1..9 {
            for len in width..40 {
                let mut met = vec![0; len];
                steps(len, width, |x| met[x..x + width].iter_mut().for_each(|n| *n += 1));
                assert!(met.iter().all(|n| (1..=2).contains(n)), "{len} {width}: {met:?}");
                if len.is_multiple_of(width) {
                    assert!(met.iter().all(|n| *n == 1), "{len} {width}");
                }
            }
        }
    }
}
