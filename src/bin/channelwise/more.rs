//! What is asked beyond one kernel on all of a tensor: a part of the output, weights of the values, a kernel for
//! each image.

use channelwise::ndarray::{Array4, ArrayView4};
use channelwise::reference::{self, Expected};
use channelwise::{Conv2d, Element, ElementType, Engine, Layout, Plan, Problem};

use crate::args::RunArgs;
use crate::failure::{Failure, Result};
use crate::files::{self, Pages, Type, four, with_array};
use crate::values::Region;

#[derive(Debug, Default)]
pub(crate) struct More {
    region: Option<Region>,
    /// Of each value of the input.
    weights: Option<Array4<f64>>,
    /// Of one image each; empty without.
    images: Vec<Problem>,
}

impl More {
    /// Of a problem of four axes; `convs` are those of each image, where they have their own.
    pub(crate) fn new(args: &RunArgs, problem: &Problem, convs: &[Conv2d]) -> Result<Self> {
        let region = args.region.clone();
        let [_, height, width, _] = problem.output_shape().to_nhwc(args.layout);
        if let Some((rows, columns)) = &region {
            for (name, range, there) in [("rows", rows, height), ("columns", columns, width)] {
                if range.is_empty() || range.end > there {
                    let (start, end) = (range.start, range.end);
                    return Err(Failure::usage(format!(
                        "--region: {name} {start}:{end} are none of the output's {there}"
                    )));
                }
            }
        }
        let weights = args.mask.as_ref().map(|path| {
            let mask = files::read(path, Pages::First, args.layout)?;
            weights(problem, args.layout, mask)
                .map_err(|why| Failure::usage(format!("--mask {}: {why}", path.display())))
        });
        let weights = weights.transpose()?;
        let mut images = Vec::new();
        if !convs.is_empty() {
            let [count, h, w, c] = problem.input_shape().to_nhwc(args.layout);
            if convs.len() != count {
                let there = convs.len();
                return Err(Failure::usage(format!(
                    "--kernels: {there} kernels are there, and one for each of {count} images is needed"
                )));
            }
            let one = match args.layout {
                Layout::Nchw => [1, c, h, w],
                _ => [1, h, w, c],
            };
            for conv in convs {
                images.push(Problem::new(conv, one, problem.input_type(), problem.output_type())?);
            }
        }
        Ok(Self { region, weights, images })
    }

    pub(crate) fn is_none(&self) -> bool {
        self.region.is_none() && self.weights.is_none() && self.images.is_empty()
    }

    /// Axes of what is computed.
    pub(crate) fn output_shape(&self, problem: &Problem) -> [usize; 4] {
        let whole = four(problem.output_shape().dims());
        match (&self.region, problem.conv().get_layout(), whole) {
            (None, ..) => whole,
            (Some((rows, columns)), Layout::Nchw, [n, c, ..]) => [n, c, rows.len(), columns.len()],
            (Some((rows, columns)), _, [n, .., c]) => [n, rows.len(), columns.len(), c],
        }
    }

    /// Where output number `at` lies in the whole output.
    fn place(&self, problem: &Problem, at: usize) -> usize {
        let Some((rows, columns)) = &self.region else { return at };
        let (layout, [_, h, w, c]) = (problem.conv().get_layout(), self.nhwc(problem));
        let [_, rows_of, columns_of, _] = problem.output_shape().to_nhwc(layout);
        match layout {
            Layout::Nchw => {
                let (plane, row, column) = (at / w / h, at / w % h, at % w);
                (plane * rows_of + rows.start + row) * columns_of + columns.start + column
            }
            _ => {
                let (image, row, column) = (at / c / w / h, at / c / w % h, at / c % w);
                let row = image * rows_of + rows.start + row;
                (row * columns_of + columns.start + column) * c + at % c
            }
        }
    }

    /// Images, rows, columns and channels of what is computed.
    fn nhwc(&self, problem: &Problem) -> [usize; 4] {
        match (problem.conv().get_layout(), self.output_shape(problem)) {
            (Layout::Nchw, [n, c, h, w]) => [n, h, w, c],
            (_, shape) => shape,
        }
    }

    /// Output number `at` by the definition.
    pub(crate) fn expected<T: Element>(
        &self,
        problem: &Problem,
        input: &[T],
        at: usize,
        extra: f64,
    ) -> Expected {
        let at = self.place(problem, at);
        if let Some(weights) = self.weights.as_ref().and_then(|weights| weights.as_slice()) {
            return reference::at_masked(problem, input, weights, at);
        }
        match self.images.first() {
            None => reference::at_within(problem, input, at, extra),
            Some(first) => {
                let (from, to) = (first.input_len(), first.output_len());
                let image = at / to;
                let input = &input[image * from..(image + 1) * from];
                reference::at_within(&self.images[image], input, at % to, extra)
            }
        }
    }

    /// The output by an engine, with the plan of it, or of the first image.
    pub(crate) fn run<T: Element, U: Element>(
        &self,
        engine: &Engine,
        problem: &Problem,
        x: &ArrayView4<'_, T>,
    ) -> Result<(Array4<U>, Option<Plan>)> {
        let shape = four(x.shape());
        if !self.images.is_empty() {
            let convs: Vec<Conv2d> = self.images.iter().map(|p| p.conv().clone()).collect();
            let each = engine.prepare_each::<T, U>(&convs, shape)?;
            let plan = each.plans().next().cloned();
            return Ok((each.run(x)?, plan));
        }
        let prepared = engine.prepare::<T, U>(problem.conv(), shape)?;
        let plan = Some(prepared.plan().clone());
        let made = match (&self.weights, self.region.clone()) {
            (None, None) => prepared.run(x)?,
            (Some(weights), None) => prepared.run_masked(x, weights)?,
            (None, Some((rows, columns))) => prepared.run_region(x, rows, columns)?,
            (Some(weights), Some((rows, columns))) => {
                prepared.region(rows, columns)?.run_masked(x, weights)?
            }
        };
        Ok((made, plan))
    }
}

/// The float that sums between these types are made in.
pub(crate) fn sums(input: Type, output: Type) -> Type {
    let in_f64 = |kind| ElementType::from(kind).sums_in_f64();
    if in_f64(input) || in_f64(output) { Type::F64 } else { Type::F32 }
}

/// A weight of each value: those of pictures go to 1.
fn weights(
    problem: &Problem,
    layout: Layout,
    mask: files::Input,
) -> std::result::Result<Array4<f64>, String> {
    let most = match ElementType::from(mask.tensor.kind()).integers() {
        Some(whole) if mask.is_image() => *whole.end() as f64,
        _ => 1.0,
    };
    let shape = mask.tensor.shape().to_vec();
    let all: Vec<f64> =
        with_array!(mask.tensor, m => m.iter().map(|m| m.to_f64() / most).collect());
    if let Some(weight) = all.iter().find(|m| !m.is_finite()) {
        return Err(format!("a weight is {weight}, and finite numbers are needed"));
    }
    let whole = four(problem.input_shape().dims());
    let [_, height, width, channels] = problem.input_shape().to_nhwc(layout);
    let flat: Vec<usize> = shape.iter().copied().filter(|n| *n != 1).collect();
    let plane: Vec<usize> = [height, width].into_iter().filter(|n| *n != 1).collect();
    let failed = |error: channelwise::ndarray::ShapeError| error.to_string();
    if all.len() == problem.input_len()
        && (shape.len() == 4 || shape[..] == whole[4 - shape.len()..])
    {
        return Array4::from_shape_vec(whole, all).map_err(failed);
    }
    if flat != plane {
        return Err(format!(
            "its shape is {shape:?}, and [{height}, {width}] or the input's {whole:?} is needed"
        ));
    }
    let of = |at: usize| match layout {
        Layout::Nchw => at % (height * width),
        _ => at / channels % (height * width),
    };
    let weights = (0..problem.input_len()).map(|at| all[of(at)]).collect();
    Array4::from_shape_vec(whole, weights).map_err(failed)
}
