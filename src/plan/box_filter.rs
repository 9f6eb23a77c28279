//! Box filters by running sums on the CPU: a way of `separable` where sums are exact in any order.

use crate::Problem;

/// Whether running sums are those of the kernel, and taps are neighbours.
///
/// A running sum keeps what ever entered it: of floats each rounding, and an infinity for good. Of whole numbers
/// nothing is lost, and a sum that f32 holds times the tap is rounded once.
pub(super) fn applies(problem: &Problem) -> bool {
    let dense = problem.geometry().dilation == (1, 1);
    dense && problem.weights().filters == 1 && problem.box_tap().is_some()
}
