//! Tables of options in which every two values meet.

use super::full;

/// Rows that take one of `counts[i]` values of each option `i`, such that any value of one option and any of
/// another stand together in some row (a covering array of strength two, made greedily); every combination
/// where [`full`] asks for it. Most faults of options need no more than two of them (Kuhn, Wallace and Gallo
/// 2004, "Software fault interactions and implications for software testing").
pub(crate) fn pairwise<const N: usize>(counts: [usize; N]) -> Vec<[usize; N]> {
    if full() {
        return product(counts);
    }
    // Whether values u of option i and v of option j, i < j, have met: open[i][j][u][v].
    let mut open = vec![vec![Vec::new(); N]; N];
    for i in 0..N {
        for j in i + 1..N {
            open[i][j] = vec![vec![true; counts[j]]; counts[i]];
        }
    }
    let mut rows = Vec::new();
    loop {
        let pairs = (0..N).flat_map(|i| (i + 1..N).map(move |j| (i, j)));
        let first = pairs
            .flat_map(|(i, j)| (0..counts[i]).map(move |u| (i, j, u)))
            .find_map(|(i, j, u)| Some((i, j, u, open[i][j][u].iter().position(|open| *open)?)));
        let Some((i, j, u, v)) = first else { return rows };
        let mut row: [Option<usize>; N] = [None; N];
        (row[i], row[j]) = (Some(u), Some(v));
        for k in 0..N {
            // The value that meets most of the others anew; equal ones take turns.
            let gain = |value: usize| {
                let with = |other: usize| {
                    let Some(w) = row[other].filter(|_| other != k) else { return false };
                    if k < other { open[k][other][value][w] } else { open[other][k][w][value] }
                };
                (0..N).filter(|other| with(*other)).count()
            };
            let turn = |n: usize| (n + rows.len()) % counts[k];
            let best = (0..counts[k]).map(turn).max_by_key(|value| gain(*value));
            row[k] = row[k].or(best);
        }
        let row = row.map(|value| value.unwrap_or(0));
        for i in 0..N {
            for j in i + 1..N {
                open[i][j][row[i]][row[j]] = false;
            }
        }
        rows.push(row);
    }
}

/// Every combination.
fn product<const N: usize>(counts: [usize; N]) -> Vec<[usize; N]> {
    let all: usize = counts.iter().product();
    (0..all)
        .map(|mut n| {
            counts.map(|count| {
                let value = n % count;
                n /= count;
                value
            })
        })
        .collect()
}

#[test]
fn every_two_values_meet() {
    let counts = [6, 16, 2, 5, 4];
    let rows = pairwise(counts);
    assert!(full() || rows.len() <= 110, "{} rows", rows.len());
    for i in 0..counts.len() {
        for j in i + 1..counts.len() {
            for u in 0..counts[i] {
                for v in 0..counts[j] {
                    assert!(rows.iter().any(|row| (row[i], row[j]) == (u, v)), "{i} {j} {u} {v}");
                }
            }
        }
    }
    assert_eq!(product([2, 3]), [[0, 0], [1, 0], [0, 1], [1, 1], [0, 2], [1, 2]]);
}
