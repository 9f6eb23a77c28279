//! Columns of a task whose rows are made together: a tile of the interior, and the edges beside it.
//!
//! ```text
//!  | edge |    tile    |    tile    |    tile    | edge |
//!  '------ strip ------'-- strip ---'------ strip ------'
//! ```
//!
//! An edge is a vector or two, whose rows lie in cache lines that the tile beside it reads and stores as well:
//! of its own it would wait for memory twice.

use std::ops::Range;

use crate::cpu::task::tiles;
use crate::problem::Geometry;

/// One of them. Where there is no interior, its columns are those of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Strip {
    pub before: Option<Range<usize>>,
    pub inside: Option<Range<usize>>,
    pub behind: Option<Range<usize>>,
}

/// The strips of some columns: those left of the interior, its own and those right of it. `most` are the
/// scalars of a tile of an edge, and of the interior.
pub(super) fn strips(
    g: &Geometry,
    [left, inside, right]: [Range<usize>; 3],
    most: (usize, usize),
) -> Vec<Strip> {
    let edges = |part: Range<usize>| tiles(g, [part], most.0);
    let mut strips: Vec<Strip> =
        edges(left).map(|tile| Strip { before: Some(tile), ..Strip::default() }).collect();
    for (n, tile) in tiles(g, [inside], most.1).enumerate() {
        match strips.last_mut() {
            Some(strip) if n == 0 => strip.inside = Some(tile),
            _ => strips.push(Strip { inside: Some(tile), ..Strip::default() }),
        }
    }
    for (n, tile) in edges(right).enumerate() {
        match strips.last_mut() {
            Some(strip) if n == 0 && strip.inside.is_some() => strip.behind = Some(tile),
            _ => strips.push(Strip { before: Some(tile), ..Strip::default() }),
        }
    }
    strips
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Conv2d, ElementType, Kernel, Problem};

    /// Every column once and in order; tiles are no larger than is said; edges stand beside the interior.
    #[test]
    fn strips_are_all_columns() {
        let conv = Conv2d::new(Kernel::box_blur(1, 1).unwrap());
        let problem = Problem::new(&conv, [9, 90, 2], ElementType::F32, ElementType::F32).unwrap();
        for (left, right) in [(0, 90), (0, 0), (3, 80), (40, 90), (40, 41), (90, 90), (7, 7)] {
            for most in [(2, 2), (8, 100), (100, 30), (1000, 1000)] {
                let all = strips(problem.geometry(), [0..left, left..right, right..90], most);
                let mut at = 0;
                for strip in &all {
                    for (tile, most) in
                        [(&strip.before, most.0), (&strip.inside, most.1), (&strip.behind, most.0)]
                    {
                        let Some(tile) = tile else { continue };
                        assert!(tile.start == at && !tile.is_empty(), "{all:?}");
                        assert!(2 * tile.len() <= most, "{all:?}");
                        at = tile.end;
                    }
                }
                assert_eq!(at, 90, "{all:?}");
                if most.0 == 1000 && left < right {
                    assert!(all.iter().all(|strip| strip.inside.is_some()), "{all:?}");
                }
            }
        }
    }
}
