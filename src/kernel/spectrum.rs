//! The spectrum of a filter over a tile, and turns of the unit circle, in f64.

use std::f64::consts::TAU;

use rustfft::FftPlannerScalar;
use rustfft::num_complex::Complex;

use crate::memory::{self, NoRoom};

/// What it is called where there is no memory for it.
const SPECTRUM: &str = "the spectrum of a kernel";

/// What the spectrum of a `rows` x `columns` tile is multiplied with, so that transforming it back
/// without any factor gives, at each place, the sum of `taps` (`[height, width]`) `dilation` apart times
/// what lies there: the conjugate of the taps' transform (correlation), divided by the tile's points.
/// Real and imaginary parts, rounded once.
pub(crate) fn spectrum(
    taps: &[f32],
    width: usize,
    dilation: (usize, usize),
    [rows, columns]: [usize; 2],
) -> Result<Vec<[f32; 2]>, NoRoom> {
    let mut all = Vec::new();
    memory::resize(SPECTRUM, &mut all, rows * columns, Complex::default())?;
    for (at, tap) in taps.iter().enumerate() {
        let (i, j) = (at / width * dilation.0, at % width * dilation.1);
        all[i * columns + j].re = f64::from(*tap);
    }
    // Once for each plan: not worth compiling all of it for every instruction set once more.
    let mut planner = FftPlannerScalar::<f64>::new();
    let mut room = Vec::new();
    let along_rows = planner.plan_fft_forward(columns);
    let len = along_rows.get_inplace_scratch_len();
    memory::resize(SPECTRUM, &mut room, len, Complex::default())?;
    along_rows.process_with_scratch(&mut all, &mut room);
    let along_columns = planner.plan_fft_forward(rows);
    let len = along_columns.get_inplace_scratch_len();
    memory::resize(SPECTRUM, &mut room, len, Complex::default())?;
    let mut column = Vec::new();
    memory::resize(SPECTRUM, &mut column, rows, Complex::default())?;
    let scale = 1.0 / (rows * columns) as f64;
    let mut out = memory::zeroed(SPECTRUM, rows * columns)?;
    for j in 0..columns {
        for (i, value) in column.iter_mut().enumerate() {
            *value = all[i * columns + j];
        }
        along_columns.process_with_scratch(&mut column, &mut room);
        for (i, value) in column.iter().enumerate() {
            out[i * columns + j] = [(value.re * scale) as f32, (-value.im * scale) as f32];
        }
    }
    Ok(out)
}

/// `exp(-2 pi i n / points)` for the first half of the circle.
pub(crate) fn turns(points: usize) -> Vec<[f32; 2]> {
    let turn = |n: usize| {
        let (sin, cos) = (-TAU * n as f64 / points as f64).sin_cos();
        [cos as f32, sin as f32]
    };
    (0..points / 2).map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_taps_by_hand() {
        // 1 at the origin and 10 one row down: 1 + 10 exp(-2 pi i r / 4), conjugate, over 8 points.
        let all = spectrum(&[1.0, 10.0], 1, (1, 1), [4, 2]).unwrap();
        let want = [[11.0, 0.0], [1.0, 10.0], [-9.0, 0.0], [1.0, -10.0]];
        for (row, [re, im]) in want.into_iter().enumerate() {
            for column in 0..2 {
                let [a, b] = all[row * 2 + column];
                assert!(
                    (a - re / 8.0).abs() < 1e-6 && (b - im / 8.0).abs() < 1e-6,
                    "{row}: {a} {b}"
                );
            }
        }
    }

    #[test]
    fn turns_go_clockwise() {
        let all = turns(8);
        assert_eq!(all.len(), 4);
        assert_eq!(all[0], [1.0, 0.0]);
        assert!((all[2][0]).abs() < 1e-7 && (all[2][1] + 1.0).abs() < 1e-7);
        assert!((all[1][0] + all[1][1]).abs() < 1e-7 && all[1][0] > 0.7);
    }
}
