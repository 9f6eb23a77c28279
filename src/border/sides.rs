//! Borders of the axes and sides of an input.

use std::fmt;

use super::Border;

/// How an axis is continued before its first place and after its last.
///
/// ```
/// use channelwise::{Border, Sides};
///
/// // A signal that begins with nothing and stays at its last value.
/// let causal = Sides { before: Border::ZERO, after: Border::Replicate };
/// assert_eq!((causal.index(-1, 8), causal.index(8, 8)), (None, Some(7)));
/// assert_eq!(causal.single(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sides {
    /// Above rows, left of columns.
    pub before: Border,
    /// Below rows, right of columns.
    pub after: Border,
}

/// How an input is continued: its rows and its columns, as a rule by the same border.
///
/// Made of one [`Border`], of a pair for rows and columns, or of one for each side. Constants among them are one
/// number. In the corners, where both axes are continued, a constant of the rows comes first.
///
/// ```
/// use channelwise::{Border, Borders, Conv2d, Kernel};
/// # fn main() -> channelwise::Result<()> {
/// // A map of the world: longitudes go round, latitudes end.
/// let blur = Conv2d::new(Kernel::gaussian(5, 1.0)?).border((Border::Replicate, Border::Wrap));
/// assert_eq!(blur.get_border().columns(), Border::Wrap.into());
/// // A sequence that begins with nothing and goes on with its last.
/// let causal = Borders::sides(Border::ZERO, Border::Replicate, Border::ZERO, Border::ZERO);
/// assert_eq!(causal.rows().after, Border::Replicate);
/// assert_eq!(Borders::from(Border::Wrap), Border::Wrap);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Borders {
    rows: Sides,
    columns: Sides,
}

impl Sides {
    /// Where in `0..len` position `at` of the continued axis is read; `None` for a constant.
    #[must_use]
    #[inline]
    pub fn index(self, at: isize, len: usize) -> Option<usize> {
        if at < 0 { self.before.index(at, len) } else { self.after.index(at, len) }
    }

    /// The border of both sides, where it is one.
    #[must_use]
    pub fn single(self) -> Option<Border> {
        (self.before == self.after).then_some(self.before)
    }

    fn both(self) -> [Border; 2] {
        [self.before, self.after]
    }
}

impl Borders {
    /// A border for each side.
    #[must_use]
    pub fn sides(top: Border, bottom: Border, left: Border, right: Border) -> Self {
        Self {
            rows: Sides { before: top, after: bottom },
            columns: Sides { before: left, after: right },
        }
    }

    /// Those of rows for columns as well.
    pub(crate) fn from_rows(borders: Self) -> Self {
        Self { columns: borders.rows, ..borders }
    }

    /// How rows are continued, above and below.
    #[must_use]
    pub fn rows(self) -> Sides {
        self.rows
    }

    /// How columns are continued, left and right.
    #[must_use]
    pub fn columns(self) -> Sides {
        self.columns
    }

    /// The border of all sides, where it is one.
    #[must_use]
    pub fn single(self) -> Option<Border> {
        self.rows.single().filter(|_| self.rows == self.columns)
    }

    /// The value of a constant among them.
    #[must_use]
    pub fn constant(self) -> Option<f64> {
        self.all().into_iter().find_map(Border::constant)
    }

    /// The same as f32; 0 where there is none.
    pub(crate) fn fill(self) -> f32 {
        self.constant().unwrap_or(0.0) as f32
    }

    /// Whether all of them are constants, which continue nothing.
    pub(crate) fn is_constant(self) -> bool {
        self.all().into_iter().all(|border| border.constant().is_some())
    }

    /// Whether constants among them are one number, to the bit.
    pub(crate) fn has_one_constant(self) -> bool {
        let mut constants = self.all().into_iter().filter_map(Border::constant).map(f64::to_bits);
        let first = constants.next();
        constants.all(|other| Some(other) == first)
    }

    /// Whether both are the same to the bit.
    pub(crate) fn same_bits(self, other: Self) -> bool {
        self.all().into_iter().zip(other.all()).all(|(one, other)| one.same_bits(other))
    }

    fn all(self) -> [Border; 4] {
        let ([top, bottom], [left, right]) = (self.rows.both(), self.columns.both());
        [top, bottom, left, right]
    }
}

impl From<Border> for Sides {
    fn from(border: Border) -> Self {
        Self { before: border, after: border }
    }
}

impl Default for Sides {
    fn default() -> Self {
        Border::default().into()
    }
}

impl From<Border> for Borders {
    fn from(border: Border) -> Self {
        Self { rows: border.into(), columns: border.into() }
    }
}

/// Of rows and of columns.
impl From<(Border, Border)> for Borders {
    fn from((rows, columns): (Border, Border)) -> Self {
        Self { rows: rows.into(), columns: columns.into() }
    }
}

impl PartialEq<Border> for Borders {
    fn eq(&self, other: &Border) -> bool {
        self.single() == Some(*other)
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(border) => border.fmt(f),
            None => write!(f, "{} and {}", self.before, self.after),
        }
    }
}

impl fmt::Display for Borders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(border) => border.fmt(f),
            None if self.rows == self.columns => self.rows.fmt(f),
            None => write!(f, "{} for rows, {} for columns", self.rows, self.columns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_its_own() {
        let sides = Sides { before: Border::Wrap, after: Border::Replicate };
        let seen: Vec<_> = (-2..6).map(|at| sides.index(at, 4).unwrap()).collect();
        assert_eq!(seen, [2, 3, 0, 1, 2, 3, 3, 3]);
        let sides = Sides { before: Border::ZERO, after: Border::Reflect };
        assert_eq!([-1, 0, 3, 4].map(|at| sides.index(at, 4)), [None, Some(0), Some(3), Some(3)]);
    }

    #[test]
    fn constants_are_one_number() {
        let of = |a: f64, b: f64| {
            Borders::from((Border::Constant(a), Border::Constant(b))).has_one_constant()
        };
        assert!(of(1.0, 1.0) && of(f64::NAN, f64::NAN) && !of(1.0, 2.0) && !of(0.0, -0.0));
        let mixed = Borders::from((Border::Constant(7.0), Border::Wrap));
        assert!(mixed.has_one_constant() && !mixed.is_constant());
        assert_eq!((mixed.constant(), mixed.fill()), (Some(7.0), 7.0));
        assert_eq!(Borders::from(Border::Wrap).constant(), None);
    }

    #[test]
    fn they_are_told_in_words() {
        assert_eq!(Borders::from(Border::Wrap).to_string(), "wrap");
        let mixed = Borders::from((Border::Replicate, Border::Wrap));
        assert_eq!(mixed.to_string(), "replicate for rows, wrap for columns");
        let sides = Borders::sides(Border::ZERO, Border::Wrap, Border::ZERO, Border::Wrap);
        assert_eq!(sides.to_string(), "zero and wrap");
    }
}
