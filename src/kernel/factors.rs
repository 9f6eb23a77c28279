//! Kernels as sums of separable ones, a column times a row each, whose rows the filters share.

use super::cross::search;
use super::fit::{self, Digits, Fit, Pair};
use super::terms::{self, Term, Terms};

/// How much larger or smaller a row may be than the one that serves for it: by a million. What lies between the
/// passes is that much larger or smaller than results, and may overflow sooner than they do.
const APART: f64 = 1e6;

/// Filters as sums of terms, each a column times a row:
/// `k[f][i][j] = Σ_t columns[t][f][i] * rows[t][j]`; as floats that sums are made in.
///
/// ```
/// use channelwise::plan::{CpuLimits, CpuScheme, Launch, Machine, choose};
/// use channelwise::{Algorithm, Conv2d, ElementType, Kernel, Problem};
/// # fn main() -> channelwise::Result<()> {
///
/// let (blur, f32) = (Conv2d::new(Kernel::gaussian(31, 5.0)?), ElementType::F32);
/// let problem = Problem::new(&blur, [1080, 1920, 3], f32, f32)?;
/// let machine = Machine::Cpu(CpuLimits::new(2, 8));
/// let plan = choose(&problem, &machine, Algorithm::Separable)?;
/// let Launch::Cpu(launch) = plan.launch() else { panic!("it is for a CPU") };
/// let CpuScheme::Separable(factors) = &launch.scheme else { panic!("it was asked for") };
/// // A Gaussian is a column times a row.
/// assert_eq!((factors.terms(), factors.rows().len(), factors.columns().len()), (1, 31, 31));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Factors<T = f32> {
    rows: Vec<T>,
    columns: Vec<T>,
    terms: usize,
    excess: f64,
    missed: f64,
}

impl<T> Factors<T> {
    /// Number of terms, which all filters share.
    #[must_use]
    pub fn terms(&self) -> usize {
        self.terms
    }

    /// Rows, `[terms, kernel width]`.
    #[must_use]
    pub fn rows(&self) -> &[T] {
        &self.rows
    }

    /// Columns, `[terms, filters, kernel height]`; zeros where a filter does not use a term.
    #[must_use]
    pub fn columns(&self) -> &[T] {
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
    /// lost among the roundings of terms that cancel, at most `(taps + 1) * 2^-24` (of f64 `2^-53`) of
    /// [`Factors::excess`]. 0 where there are neither.
    #[must_use]
    pub fn missed(&self) -> f64 {
        self.missed
    }
}

impl<T: Copy + Default + PartialEq> Factors<T> {
    /// The terms that filter `f` of so many uses, and its columns of them, one after the other: one of zeros is another
    /// filter's.
    pub(crate) fn of_filter(&self, f: usize, filters: usize) -> (Vec<usize>, Vec<T>) {
        let height = self.columns.len() / (self.terms * filters).max(1);
        let column = |term: usize| &self.columns[(term * filters + f) * height..][..height];
        let own = |term: &usize| column(*term).iter().any(|tap| *tap != T::default());
        let terms: Vec<usize> = (0..self.terms).filter(own).collect();
        let taps = terms.iter().flat_map(|term| column(*term)).copied().collect();
        (terms, taps)
    }

    /// The same with terms of zeros up to so many, of a kernel `[filters, height, width]`.
    pub(crate) fn padded(
        mut self,
        (filters, height, width): (usize, usize, usize),
        terms: usize,
    ) -> Self {
        let terms = terms.max(self.terms);
        self.rows.resize(terms * width, T::default());
        self.columns.resize(terms * filters * height, T::default());
        Self { terms, ..self }
    }
}

/// By how many units of round-off of the largest input results of a kernel of so many taps may be off beyond the bound
/// of a plain sum.
pub(crate) fn spread<T: Digits>(factors: &Factors<T>, taps: usize) -> f64 {
    fit::spread::<T>(taps, factors.excess, factors.missed)
}

/// The factors of `taps` `[filters, height, width]`, which are the roundings of these `terms` where they are
/// known; or `None` where more than `most` terms are needed or a weight is not finite.
///
/// They give every weight to within `height * width / 2` units of round-off of its terms' magnitudes,
/// a quarter of what a sum of so many taps may be off, but for [`Factors::missed`].
pub(crate) fn factors<T: Digits>(
    taps: &[T],
    terms: &Terms,
    (filters, height, width): (usize, usize, usize),
    most: usize,
) -> Option<Factors<T>> {
    if taps.iter().any(|w| !(*w).into().is_finite()) {
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
fn fits<T: Digits>(
    weights: &[T],
    known: &[Term],
    (height, width): (usize, usize),
    most: usize,
) -> Vec<Fit<T>> {
    let mut fits = Vec::new();
    if !known.is_empty() {
        let pairs: Vec<Pair<T>> = known.iter().filter_map(Pair::of).collect();
        fits.extend(Some(pairs).filter(|p| p.len() <= most).and_then(|p| Fit::of(&p, weights)));
        if fits.iter().all(|fit| fit.pairs.len() > 1) {
            let weight = |at| terms::weight(known, at / width, at % width);
            let exact = (0..height * width).map(weight).collect();
            fits.extend(search(exact, weights, (height, width), most));
        }
    }
    if fits.is_empty() {
        let dense = weights.iter().map(|w| (*w).into()).collect();
        fits.extend(search(dense, weights, (height, width), most));
    }
    fits
}

/// The terms of all filters so far.
struct Shared<T> {
    rows: Vec<Vec<T>>,
    /// For each term the columns of all filters, zeros where it is not theirs.
    columns: Vec<Vec<Vec<T>>>,
}

impl<T: Digits> Shared<T> {
    /// `fit` over the rows there are, up to their scales, with the term that each pair then is; `None` for
    /// one that has a row of its own.
    fn place(&self, fit: Fit<T>, weights: &[T]) -> (Fit<T>, Vec<Option<usize>>) {
        let mut places: Vec<Option<usize>> = Vec::new();
        let mut pairs = fit.pairs.clone();
        for pair in &mut pairs {
            let known = self.rows.iter().enumerate().find_map(|(term, row)| {
                let by = scale(row, &pair.row)?;
                (!places.contains(&Some(term))).then_some((term, by))
            });
            if let Some((term, by)) = known {
                pair.column.iter_mut().for_each(|c| *c = T::nearest((*c).into() * by));
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
    fn take(&mut self, f: usize, filters: usize, pairs: Vec<Pair<T>>, places: &[Option<usize>]) {
        for (Pair { column, row }, place) in pairs.into_iter().zip(places) {
            let term = place.unwrap_or_else(|| {
                self.rows.push(row);
                self.columns.push(vec![vec![T::default(); column.len()]; filters]);
                self.rows.len() - 1
            });
            self.columns[term][f] = column;
        }
    }
}

/// `s` with `row = s * known` to within a few units of round-off, by their weights where `row` is largest.
fn scale<T: Digits>(known: &[T], row: &[T]) -> Option<f64> {
    let size = |at: usize| row[at].into().abs();
    let pivot = (0..row.len()).max_by(|a, b| size(*a).total_cmp(&size(*b)))?;
    let by = row[pivot].into() / known[pivot].into();
    let same = known.iter().zip(row).all(|(k, r)| {
        let (wanted, r) = ((*k).into() * by, (*r).into());
        (wanted - r).abs() <= 4.0 * T::UNIT * r.abs()
    });
    ((1.0 / APART..=APART).contains(&by.abs()) && same).then_some(by)
}

#[cfg(test)]
mod tests;
