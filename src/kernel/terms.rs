//! What kernels were made from: for each filter a sum of columns times rows, kept beside its weights.
//!
//! Terms are a hint. Who uses them measures how far they are from the weights, which alone say what a kernel
//! is; so whoever makes one kernel of others may pass terms on, or drop them.

/// Most terms of a filter that are kept; the planner takes fewer.
const MOST: usize = 32;

/// A column times a row, in f64: `column[i] * row[j]` is its part of the weight `[i, j]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Term {
    pub column: Vec<f64>,
    pub row: Vec<f64>,
}

/// The terms of each filter, whose sum differs from its weights by roundings; none of a filter that was given
/// by its weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Terms {
    /// As long as there are filters, or empty where all lists would be.
    filters: Vec<Vec<Term>>,
}

impl Term {
    pub fn new(column: impl Into<Vec<f64>>, row: impl Into<Vec<f64>>) -> Self {
        Self { column: column.into(), row: row.into() }
    }

    /// With its column times `by`.
    fn scaled(&self, by: f64) -> Self {
        Self::new(self.column.iter().map(|c| c * by).collect::<Vec<_>>(), self.row.as_slice())
    }

    /// Turned by 180 degrees.
    fn turned(&self) -> Self {
        let turned = |line: &[f64]| line.iter().rev().copied().collect::<Vec<_>>();
        Self::new(turned(&self.column), turned(&self.row))
    }

    fn same_bits(&self, other: &Self) -> bool {
        let bits = bytemuck::cast_slice::<f64, u64>;
        bits(&self.column) == bits(&other.column) && bits(&self.row) == bits(&other.row)
    }
}

impl Terms {
    /// A list for each filter, empty for those that were given by their weights.
    pub fn new(filters: Vec<Vec<Term>>) -> Self {
        let known = filters.iter().any(|terms| !terms.is_empty());
        Self { filters: if known { filters } else { Vec::new() } }
    }

    /// Those of filter `f`; empty where they are not known.
    pub fn of(&self, f: usize) -> &[Term] {
        self.filters.get(f).map_or(&[], Vec::as_slice)
    }

    /// How many of each filter; empty where none are known.
    pub fn counts(&self) -> Vec<usize> {
        self.filters.iter().map(Vec::len).collect()
    }

    /// Of the filters turned by 180 degrees.
    pub fn turned(&self) -> Self {
        let turned = |terms: &Vec<Term>| terms.iter().map(Term::turned).collect();
        Self { filters: self.filters.iter().map(turned).collect() }
    }

    /// Of the filters with rows and columns exchanged.
    pub fn transposed(&self) -> Self {
        let exchanged = |term: &Term| Term::new(&term.row[..], &term.column[..]);
        let transposed = |terms: &Vec<Term>| terms.iter().map(exchanged).collect();
        Self { filters: self.filters.iter().map(transposed).collect() }
    }

    pub fn same_bits(&self, other: &Self) -> bool {
        let same = |(a, b): (&Vec<Term>, &Vec<Term>)| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_bits(b))
        };
        self.filters.len() == other.filters.len()
            && self.filters.iter().zip(&other.filters).all(same)
    }
}

/// What `terms` say the weight `[i, j]` is; from 0, so that none is -0.
pub(crate) fn weight(terms: &[Term], i: usize, j: usize) -> f64 {
    terms.iter().fold(0.0, |sum, Term { column, row }| sum + column[i] * row[j])
}

/// The terms of a sum of filters, each times a number. None where those of one are not known, or there would
/// be too many.
pub(crate) fn sum<'a>(parts: impl IntoIterator<Item = (f64, &'a [Term])>) -> Vec<Term> {
    let mut all = Vec::new();
    for (by, terms) in parts.into_iter().filter(|(by, _)| *by != 0.0) {
        if terms.is_empty() || all.len() + terms.len() > MOST {
            return Vec::new();
        }
        all.extend(terms.iter().map(|term| term.scaled(by)));
    }
    all
}
