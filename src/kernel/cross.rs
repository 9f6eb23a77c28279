//! A search for the terms of a filter, columns times rows, whose sum it is.
//!
//! By cross approximation with complete pivoting (Gaussian elimination that stops early: Townsend
//! and Trefethen, SIAM J. Sci. Comput. 35, 2013, C495) and not by the SVD. A term is a column and a
//! row of the filter itself, so that each weight of a separable filter comes out with a small
//! *relative* error, also those far out in the tail of a Gaussian, which singular vectors lose beside
//! the largest weight. The bound of a result is stated per weight.

use super::fit::{Digits, Fit, Measure, Pair};

/// The terms of `filter` (`[height, width]`, at most `most` of them) that fit `weights`, which are its
/// roundings; `None` where that takes more.
///
/// `filter` in more digits than its weights have needs no term for what rounding them left.
pub(super) fn search<T: Digits>(
    mut filter: Vec<f64>,
    weights: &[T],
    (height, width): (usize, usize),
    most: usize,
) -> Option<Fit<T>> {
    let exact: Vec<f64> = filter.clone();
    let rest = &mut filter;
    // What the terms so far have subtracted and added, in magnitudes.
    let mut size = vec![0.0f64; rest.len()];
    let mut pairs: Vec<Pair<T>> = Vec::new();
    loop {
        let mut measure = Measure::<T>::new(pairs.len(), weights.len());
        for ((off, size), weight) in rest.iter().zip(&size).zip(&exact) {
            measure.add(*weight, off.abs(), *size);
        }
        // Rounding the terms is not in it; that is measured once all else is right.
        let fit = measure.result().and_then(|_| Fit::of(&pairs, weights));
        if fit.is_some() || pairs.len() == most {
            return fit;
        }
        let at = (0..rest.len()).max_by(|a, b| rest[*a].abs().total_cmp(&rest[*b].abs()))?;
        let (i, j) = (at / width, at % width);
        let pivot = rest[at];
        if pivot == 0.0 {
            return None;
        }
        // The largest is 1: what lies between the passes is as large as the weights make it.
        let column: Vec<f64> = (0..height).map(|i| rest[i * width + j] / pivot).collect();
        let row = rest[i * width..][..width].to_vec();
        for (c, line) in column.iter().zip(0..) {
            for (j, r) in row.iter().enumerate() {
                let product = c * r;
                rest[line * width + j] -= product;
                size[line * width + j] += product.abs();
            }
        }
        let rounded = |line: Vec<f64>| line.into_iter().map(T::nearest).collect();
        pairs.push(Pair { column: rounded(column), row: rounded(row) });
    }
}
