//! Two linear stages as one kernel, where that is exact.
//!
//! Along one axis, with `x̂` the input continued by its border, the first stage is
//!
//! ```text
//! y[p] = b1 + Σ_i k1[i] x̂[p s1 + i d1 - t1]      for p in 0..m
//! ```
//!
//! and the second reads `ŷ`, which is `y` continued by the second border:
//!
//! ```text
//! z[q] = b2 + Σ_j k2[j] ŷ[q s2 + j d2 - t2]
//! ```
//!
//! The right side of the first line, call it `Y[p]`, makes sense for every `p`. Wherever the second stage
//! reads `ŷ[p] = Y[p]`, putting one into the other gives
//!
//! ```text
//! z[q] = b2 + b1 Σ_j k2[j] + Σ_j Σ_i k2[j] k1[i] x̂[q s1 s2 + (j d2 s1 + i d1) - (t1 + t2 s1)]
//! ```
//!
//! which is one stage with the first border, stride `s1 s2`, padding `t1 + t2 s1`, and the products of
//! the weights as taps. So all that is to be shown is `ŷ = Y` where it is read ([`Axis::commutes`]).
//! Each axis is looked at alone: borders continue rows and columns one by one, except constants, which
//! are taken only where the second stage reads nothing beyond `y`. Both axes together are these sums
//! one in the other.
//!
//! Biases and filters: output channel `c F1 F2 + f1 F2 + f2` of two stages is filter `f1 F2 + f2` of one.

use super::bands::gcd;
use crate::{
    Activation, Border, Borders, Conv2d, ElementType, Kernel, Layout, Padding, Pointwise, Problem,
    Shape, Sides,
};

/// One stage, or several as one, before the weights are rounded.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    /// Products are exact in f64, and sums as good as exact: `[filters, rows, columns]`.
    taps: Vec<f64>,
    bias: Vec<f64>,
    axes: [Axis; 2],
    border: Borders,
    /// What stands behind the sums; only the last stage may have any.
    activation: Activation,
    follow: Option<Pointwise>,
    finite: bool,
    /// Whether it gathers, as an adjoint does, and no border or stride of it is one of a convolution.
    gathers: bool,
    /// How the stages say what is to be made.
    input: (Shape, ElementType),
    output: (Shape, ElementType),
    layout: Layout,
}

/// Rows or columns of a stage.
#[derive(Clone, Copy, Debug)]
struct Axis {
    input: usize,
    output: usize,
    taps: usize,
    stride: usize,
    dilation: usize,
    before: usize,
    /// Whether every filter is its own mirror image along this axis.
    symmetric: bool,
}

impl Axis {
    fn extent(&self) -> usize {
        (self.taps - 1) * self.dilation + 1
    }

    /// Whether all that is read lies inside the input.
    fn stays_inside(&self) -> bool {
        self.before == 0 && (self.output - 1) * self.stride + self.extent() <= self.input
    }

    /// Whether each output is made of the one input at its place.
    fn is_in_place(&self) -> bool {
        self.taps == 1 && self.stride == 1 && self.before == 0 && self.output == self.input
    }

    /// Whether `ŷ = Y` wherever `second` reads, with `border` on both stages.
    fn commutes(&self, border: Sides, second: &Self) -> bool {
        // It reads no `ŷ` but `y`, and `y = Y` is the definition.
        if second.stays_inside() {
            return true;
        }
        let both = [border.before, border.after];
        let Some(border) = border.single().filter(|border| border.constant().is_none()) else {
            // `Y[p] = b1 + k1 x̂[p]` for every p, and the index map of the border is the same for both.
            return self.is_in_place() && both.iter().all(|border| border.constant().is_none());
        };
        match border {
            // Beyond its end `ŷ` is a constant, and `Y` goes on with what the kernel still meets.
            Border::Constant(_) => false,
            _ if self.is_in_place() => true,
            // `Y` goes on while `ŷ` stands still.
            Border::Replicate => false,
            // `x̂` repeats after n, so `Y` repeats after n / s1: `Y[p + n / s1]` reads `x̂[.. + n]`. That
            // is how `ŷ` goes on where y has this length.
            Border::Wrap => self.output * self.stride == self.input,
            // x̂[c - u] = x̂[c' + u] with mirrors at -1/2 and n - 1/2 (Reflect), or at 0 and n - 1
            // (Reflect101). With s1 = 1, m = n, k1 symmetric and its centre on the output's place, the
            // mirror image of what `Y[p]` reads is what `Y[mirror of p]` reads, with the same taps; so
            // `Y` has the mirrors of `ŷ`.
            Border::Reflect | Border::Reflect101 => {
                let centred = 2 * self.before == self.extent() - 1;
                self.stride == 1 && self.output == self.input && centred && self.symmetric
            }
        }
    }

    /// The axis of both, or why there is none.
    fn then(&self, second: &Self) -> Result<Self, String> {
        let counted = || {
            // Where each product of taps falls.
            let (wide, narrow) = (second.dilation.checked_mul(self.stride)?, self.dilation);
            let far = (second.taps - 1).checked_mul(wide)?;
            let reach = far.checked_add((self.taps - 1).checked_mul(narrow)?)?;
            let stride = self.stride.checked_mul(second.stride)?;
            let before = second.before.checked_mul(self.stride)?.checked_add(self.before)?;
            let all = (second.output - 1).checked_mul(stride)?.checked_add(reach)?;
            all.checked_add(1).map(|_| (wide, narrow, reach, stride, before))
        };
        let (wide, narrow, reach, stride, before) = counted().ok_or("its sizes are too large")?;
        let dilation = match (self.taps, second.taps) {
            (1, _) => wide,
            (_, 1) => narrow,
            _ => gcd(wide, narrow),
        };
        let taps = reach / dilation + 1;
        if taps > MOST_TAPS {
            return Err(format!("its kernel would be {taps} long, more than {MOST_TAPS}"));
        }
        let mut met = vec![false; taps];
        for (_, _, place) in self.places(second, dilation) {
            met[place] = true;
        }
        // A tap of 0 where there was none would make NaNs of infinities that were never read.
        if met.contains(&false) {
            return Err(format!("taps {narrow} and {wide} apart would leave holes"));
        }
        let symmetric = self.symmetric && second.symmetric;
        let (input, output) = (self.input, second.output);
        Ok(Self { input, output, taps, stride, dilation, before, symmetric })
    }

    /// Taps of the first and the second, and where their products go.
    fn places(&self, second: &Self, dilation: usize) -> Vec<(usize, usize, usize)> {
        let (wide, narrow) = (second.dilation * self.stride, self.dilation);
        let both = (0..second.taps).flat_map(|j| (0..self.taps).map(move |i| (i, j)));
        both.map(|(i, j)| (i, j, (j * wide + i * narrow) / dilation)).collect()
    }

    /// Padding before and after that gives the output its length.
    fn padding(&self) -> (usize, usize) {
        let reaches = (self.output - 1) * self.stride + self.extent();
        (self.before, reaches.saturating_sub(self.input + self.before))
    }
}

/// Most taps of a folded filter along an axis; beyond it nothing gets cheaper, and the search slow.
const MOST_TAPS: usize = 127;

impl Linear {
    /// A single stage.
    pub fn of(problem: &Problem) -> Self {
        let (g, w) = (problem.geometry(), problem.weights());
        let (rows, columns) = g.kernel;
        let turned = |same: &dyn Fn(usize, usize) -> usize| {
            let alike = |(at, tap): (usize, &f32)| {
                let (i, j) = (at / columns % rows, at % columns);
                let filter = at / (rows * columns) * rows * columns;
                // A NaN is not like itself.
                *tap == w.taps[filter + same(i, j)]
            };
            w.taps.iter().enumerate().all(alike)
        };
        let axis = |input, output, taps, stride, dilation, before, symmetric| Axis {
            input,
            output,
            taps,
            stride,
            dilation,
            before,
            symmetric,
        };
        let conv = problem.conv();
        Self {
            taps: w.taps.iter().map(|tap| f64::from(*tap)).collect(),
            bias: w.bias.iter().map(|bias| f64::from(*bias)).collect(),
            axes: [
                axis(
                    g.height,
                    g.out_height,
                    rows,
                    g.stride.0,
                    g.dilation.0,
                    g.top,
                    turned(&|i, j| (rows - 1 - i) * columns + j),
                ),
                axis(
                    g.width,
                    g.out_width,
                    columns,
                    g.stride.1,
                    g.dilation.1,
                    g.left,
                    turned(&|i, j| i * columns + columns - 1 - j),
                ),
            ],
            border: problem.border(),
            activation: w.activation,
            follow: w.follow.as_ref().and(conv.pointwise.clone()),
            finite: conv.finite,
            gathers: problem.gathers(),
            input: (problem.input_shape(), problem.input_type()),
            output: (problem.output_shape(), problem.output_type()),
            layout: conv.layout,
        }
    }

    /// This and the stage behind it as one, or why that would not be the same.
    pub fn then(&self, second: &Self) -> Result<Self, String> {
        if self.gathers || second.gathers {
            return Err("an adjoint that is no convolution stays a stage of its own".into());
        }
        if self.activation != Activation::None || self.follow.is_some() {
            return Err("the first has an activation".into());
        }
        let filters = [self.bias.len(), second.bias.len()];
        if second.follow.is_some() && filters[0] > 1 {
            return Err("the second mixes the filters of each channel of the first".into());
        }
        let in_place = self.axes.iter().all(Axis::is_in_place);
        let inside = second.axes.iter().all(Axis::stays_inside);
        let border = match (self.border, second.border) {
            (first, _) if inside => first,
            (first, second) if first == second => first,
            // One that reads no border may be given any.
            (_, second) if in_place => second,
            (first, second) => {
                return Err(format!("border {second} does not go on as border {first} does"));
            }
        };
        let sides = [("rows", border.rows()), ("columns", border.columns())];
        for ((name, border), (one, two)) in sides.iter().zip(self.axes.iter().zip(&second.axes)) {
            if !one.commutes(*border, two) {
                return Err(format!("beyond the edges of {name} border {border} does not commute"));
            }
        }
        let axes = [self.axes[0].then(&second.axes[0])?, self.axes[1].then(&second.axes[1])?];

        let places = |axis: usize| self.axes[axis].places(&second.axes[axis], axes[axis].dilation);
        let (rows, columns) = (places(0), places(1));
        let own = |linear: &Self, f: usize, i: usize, j: usize| {
            let [down, across] = linear.axes.map(|axis| axis.taps);
            linear.taps[(f * down + i) * across + j]
        };
        let one = axes[0].taps * axes[1].taps;
        let mut taps = vec![0.0; filters[0] * filters[1] * one];
        let mut bias = Vec::with_capacity(filters[0] * filters[1]);
        for (f, filter) in taps.chunks_exact_mut(one).enumerate() {
            let (f1, f2) = (f / filters[1], f % filters[1]);
            for (i1, i2, row) in &rows {
                for (j1, j2, column) in &columns {
                    filter[row * axes[1].taps + column] +=
                        own(self, f1, *i1, *j1) * own(second, f2, *i2, *j2);
                }
            }
            let of_second = second.axes[0].taps * second.axes[1].taps;
            let sum: f64 = second.taps[f2 * of_second..][..of_second].iter().sum();
            // No bias stays none, whatever the sum.
            let carried = if self.bias[f1] == 0.0 { 0.0 } else { self.bias[f1] * sum };
            bias.push(second.bias[f2] + carried);
        }
        Ok(Self {
            taps,
            bias,
            axes,
            border,
            activation: second.activation,
            follow: second.follow.clone(),
            finite: self.finite && second.finite,
            gathers: false,
            input: self.input,
            output: second.output,
            layout: self.layout,
        })
    }

    /// As a problem, its weights rounded once; or why there is none.
    pub fn problem(&self) -> Result<Problem, String> {
        let filters = self.bias.len();
        let [rows, columns] = self.axes.map(|axis| axis.taps);
        let mut weights = Vec::with_capacity(self.taps.len());
        for tap in 0..rows * columns {
            for f in 0..filters {
                weights.push(rounded(self.taps[f * rows * columns + tap])?);
            }
        }
        let bias = self.bias.iter().map(|bias| rounded(*bias)).collect::<Result<Vec<_>, _>>()?;
        let text = |error: crate::Error| error.to_string();
        let kernel = Kernel::with_filters(rows, columns, filters, weights).map_err(text)?;
        let [(top, bottom), (left, right)] = [self.axes[0].padding(), self.axes[1].padding()];
        let [down, across] = self.axes;
        let mut conv = Conv2d::new(kernel)
            .stride(down.stride, across.stride)
            .dilation(down.dilation, across.dilation)
            .padding(Padding::Explicit { top, bottom, left, right })
            .border(self.border)
            .layout(self.layout)
            .bias(bias)
            .activation(self.activation);
        conv.pointwise = self.follow.clone();
        conv.finite = self.finite;
        let problem =
            Problem::new(&conv, self.input.0, self.input.1, self.output.1).map_err(text)?;
        // It is so by construction; a wrong shape would be a wrong answer.
        if problem.output_shape() != self.output.0 {
            return Err(format!("its output would be {}", problem.output_shape()));
        }
        Ok(problem)
    }
}

/// To f32, where that changes it by a rounding only.
fn rounded(value: f64) -> Result<f32, String> {
    let near = value as f32;
    let off = (f64::from(near) - value).abs();
    if near.is_finite() && off <= value.abs() * f64::from(f32::EPSILON) / 2.0 {
        return Ok(near);
    }
    Err(format!("a weight of {value:e} has no place in f32"))
}

#[cfg(test)]
mod tests;
