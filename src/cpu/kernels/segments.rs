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
    /// Where the first begins in lines. In outputs it is the first place.
    pub from: usize,
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
        Self { from: 0, len, step: 0, apart: 0, count: 1 }
    }

    /// Of output columns in the flat row of the input: all in one, or with a stride one by one.
    pub fn of(g: &Geometry, columns: usize) -> Self {
        match g.stride.1 {
            1 => Self::one(columns * g.channels),
            stride => {
                let step = stride * g.channels;
                Self { from: 0, len: g.channels, step, apart: g.channels, count: columns }
            }
        }
    }

    /// Scalars from the first output to the last.
    pub fn span(self) -> usize {
        (self.count - 1) * self.apart + self.len
    }

    #[inline(always)]
    pub(super) fn each(self) -> impl Iterator<Item = Segment> {
        let Self { from, len, step, apart, count } = self;
        (0..count).map(move |n| Segment { from: from + n * step, to: n * apart, len })
    }

    /// The same in pieces of `most` places, of some whole segments each or of parts of the only one, and where
    /// the outputs of each begin: the first is longer by `lead` places, and the last takes along what is less
    /// than a piece.
    pub fn pieces(self, lead: usize, most: usize) -> impl Iterator<Item = (usize, Self)> {
        // Units that are not cut, and how far apart they are in lines and in outputs.
        let (units, each, (step, apart)) = match self.count {
            1 => (self.len, most, (1, 1)),
            count => (count, (most / self.len).max(1), (self.step, self.apart)),
        };
        let mut at = 0;
        std::iter::from_fn(move || {
            let begin = at;
            let first = if begin == 0 && self.count == 1 { lead } else { 0 };
            let left = units - begin;
            at = if left < 2 * each + first { units } else { begin + each + first };
            let from = self.from + begin * step;
            let piece = match self.count {
                1 => Self { from, len: at - begin, ..self },
                _ => Self { from, count: at - begin, ..self },
            };
            (begin < units).then_some((begin * apart, piece))
        })
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

    /// Pieces are all places once and in order, none of them twice as large as is said.
    #[test]
    fn pieces_are_all_segments() {
        let one = Segments { from: 3, ..Segments::one(1000) };
        let many = Segments { from: 5, len: 6, step: 12, apart: 6, count: 41 };
        for segments in [one, many, Segments::one(1), Segments { len: 1, apart: 1, ..many }] {
            for (lead, most) in [(0, 8), (5, 8), (15, 64), (0, 1), (3, 2000)] {
                let mut places = Vec::new();
                let mut pieces = 0;
                for (to, piece) in segments.pieces(lead, most) {
                    assert!(piece.span() < 2 * most.max(piece.len) + lead, "{segments:?} {most}");
                    for part in piece.each() {
                        places.extend((0..part.len).map(|n| (part.from + n, to + part.to + n)));
                    }
                    pieces += 1;
                }
                let all = segments
                    .each()
                    .flat_map(|part| (0..part.len).map(move |n| (part.from + n, part.to + n)));
                assert_eq!(places, all.collect::<Vec<_>>(), "{lead} {most}");
                assert!(pieces > 1 || segments.span() < 2 * most + lead, "{segments:?} {most}");
            }
        }
    }

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
