//! Kernels as sums of separable ones, a column times a row each, whose rows the filters share.

use super::cross::search;
use super::fit::{Fit, Pair, UNIT};
use super::terms::{self, Term, Terms};

/// How much larger or smaller a row may be than the one that serves for it: by a million. What lies between the
/// passes is that much larger or smaller than results, and may overflow sooner than they do.
const APART: f64 = 1e6;

/// Filters as sums of terms, each a column times a row:
/// `k[f][i][j] = Σ_t columns[t][f][i] * rows[t][j]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    rows: Vec<f32>,
    columns: Vec<f32>,
    terms: usize,
    excess: f64,
    missed: f64,
}

impl Factors {
    /// Number of terms, which all filters share.
    #[must_use]
    pub fn terms(&self) -> usize {
        self.terms
    }

    /// The same with terms of zeros up to so many, of a kernel `[filters, height, width]`.
    pub(crate) fn padded(
        mut self,
        (filters, height, width): (usize, usize, usize),
        terms: usize,
    ) -> Self {
        let terms = terms.max(self.terms);
        self.rows.resize(terms * width, 0.0);
        self.columns.resize(terms * filters * height, 0.0);
        Self { terms, ..self }
    }

    /// Rows, `[terms, kernel width]`.
    #[must_use]
    pub fn rows(&self) -> &[f32] {
        &self.rows
    }

    /// Columns, `[terms, filters, kernel height]`; zeros where a filter does not use a term.
    #[must_use]
    pub fn columns(&self) -> &[f32] {
        &self.columns
    }

    /// By how much `Σ_t |columns * rows|`, summed over a filter's weights, passes `Σ|k|`, the most
    /// of any filter: the size of terms that cancel. 0 for filters of one term each.
    #[must_use]
    pub fn excess(&self) -> f64 {
        self.excess
    }

    /// By how much all weights of a filter together, the most of any filter, are off beyond round-off of
    /// their terms: a few steps of subnormal numbers for each weight that is near one or is one, and what is
    /// lost among the roundings of terms that cancel, at most `(taps + 1) * 2^-24` of [`Factors::excess`].
    /// 0 where there are neither.
    #[must_use]
    pub fn missed(&self) -> f64 {
        self.missed
    }
}

/// The factors of `taps` `[filters, height, width]`, which are the roundings of these `terms` where they are
/// known; or `None` where more than `most` terms are needed or a weight is not finite.
///
/// They give every weight to within `height * width / 2` units of round-off of its terms' magnitudes,
/// a quarter of what a sum of so many taps may be off, but for [`Factors::missed`].
pub(crate) fn factors(
    taps: &[f32],
    terms: &Terms,
    (filters, height, width): (usize, usize, usize),
    most: usize,
) -> Option<Factors> {
    if taps.iter().any(|w| !w.is_finite()) {
        return None;
    }
    let mut all = Shared { rows: Vec::new(), columns: Vec::new() };
    let (mut excess, mut missed) = (0.0f64, 0.0f64);
    for (f, weights) in taps.chunks_exact(height * width).enumerate() {
        let fits = fits(weights, terms.of(f), (height, width), most);
        let places = fits.into_iter().map(|fit| all.place(fit, weights));
        let (fit, rows) = places.min_by(|(one, at), (other, there)| {
            let new = |rows: &[Option<usize>]| rows.iter().filter(|row| row.is_none()).count();
            new(at).cmp(&new(there)).then(one.spread().total_cmp(&other.spread()))
        })?;
        (excess, missed) = (excess.max(fit.excess), missed.max(fit.missed));
        all.take(f, filters, fit.pairs, &rows);
        if all.rows.len() > most {
            return None;
        }
    }
    Some(Factors {
        terms: all.rows.len(),
        rows: all.rows.concat(),
        columns: all.columns.into_iter().flatten().flatten().collect(),
        excess,
        missed,
    })
}

/// What gives the weights of a filter: the terms it was made from, where they are known, and what a search
/// finds; empty where neither does.
///
/// Known terms may be more than are needed, as the second derivatives of a Gaussian that is flat, or cancel
/// more than others would. So the search goes over their sum, which has no roundings that look like a further
/// term; but there is nothing better than a single term.
fn fits(weights: &[f32], known: &[Term], (height, width): (usize, usize), most: usize) -> Vec<Fit> {
    let mut fits = Vec::new();
    if !known.is_empty() {
        let pairs: Vec<Pair> = known.iter().filter_map(Pair::of).collect();
        fits.extend(Some(pairs).filter(|p| p.len() <= most).and_then(|p| Fit::of(&p, weights)));
        if fits.iter().all(|fit| fit.pairs.len() > 1) {
            let weight = |at| terms::weight(known, at / width, at % width);
            let exact = (0..height * width).map(weight).collect();
            fits.extend(search(exact, weights, (height, width), most));
        }
    }
    if fits.is_empty() {
        let dense = weights.iter().map(|w| f64::from(*w)).collect();
        fits.extend(search(dense, weights, (height, width), most));
    }
    fits
}

/// The terms of all filters so far.
struct Shared {
    rows: Vec<Vec<f32>>,
    /// For each term the columns of all filters, zeros where it is not theirs.
    columns: Vec<Vec<Vec<f32>>>,
}

impl Shared {
    /// `fit` over the rows there are, up to their scales, with the term that each pair then is; `None` for
    /// one that has a row of its own.
    fn place(&self, fit: Fit, weights: &[f32]) -> (Fit, Vec<Option<usize>>) {
        let mut places: Vec<Option<usize>> = Vec::new();
        let mut pairs = fit.pairs.clone();
        for pair in &mut pairs {
            let known = self.rows.iter().enumerate().find_map(|(term, row)| {
                let by = scale(row, &pair.row)?;
                (!places.contains(&Some(term))).then_some((term, by))
            });
            if let Some((term, by)) = known {
                pair.column.iter_mut().for_each(|c| *c = (f64::from(*c) * by) as f32);
                pair.row.clone_from(&self.rows[term]);
            }
            places.push(known.map(|(term, _)| term));
        }
        let shares = places.iter().any(Option::is_some);
        match shares.then(|| Fit::of(&pairs, weights)).flatten() {
            Some(shared) => (shared, places),
            None => {
                let own = vec![None; fit.pairs.len()];
                (fit, own)
            }
        }
    }

    /// Adds the pairs of filter `f` where [`Shared::place`] says.
    fn take(&mut self, f: usize, filters: usize, pairs: Vec<Pair>, places: &[Option<usize>]) {
        for (Pair { column, row }, place) in pairs.into_iter().zip(places) {
            let term = place.unwrap_or_else(|| {
                self.rows.push(row);
                self.columns.push(vec![vec![0.0; column.len()]; filters]);
                self.rows.len() - 1
            });
            self.columns[term][f] = column;
        }
    }
}

/// `s` with `row = s * known` to within a few units of round-off, by their weights where `row` is largest.
fn scale(known: &[f32], row: &[f32]) -> Option<f64> {
    let pivot = (0..row.len()).max_by(|a, b| row[*a].abs().total_cmp(&row[*b].abs()))?;
    let by = f64::from(row[pivot]) / f64::from(known[pivot]);
    let same = known.iter().zip(row).all(|(k, r)| {
        let wanted = f64::from(*k) * by;
        (wanted - f64::from(*r)).abs() <= 4.0 * UNIT * f64::from(r.abs())
    });
    ((1.0 / APART..=APART).contains(&by.abs()) && same).then_some(by)
}

#[cfg(test)]
mod tests;
