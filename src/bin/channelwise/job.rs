//! One file that is read: computed, verified, written and told of.

use channelwise::ndarray::{Array2, Array4, ArrayD, Ix4};
use channelwise::{Borders, Conv2d, ElementType, Layout, Padding, Problem, Shape};

use crate::args::RunArgs;
use crate::clipped::{self, Clipped};
use crate::compute::{Computers, Made};
use crate::failure::{Failure, Result, say};
use crate::files::{
    self, Alpha, Channels, Meta, Sample, Source, Target, Tensor, Type, four, mapped, with_array,
    with_type,
};
use crate::more::{self, More};
use crate::outputs::Pair;
use crate::pixels::Pixels;
use crate::progress::Progress;
use crate::report::{self, Milliseconds, Report, Shapes};
use crate::request::Request;
use crate::verify::{self, Verdict};

/// A run whose file is read.
pub(crate) struct Job<'a> {
    pub(crate) args: &'a RunArgs,
    pub(crate) pair: &'a Pair,
    pub(crate) request: &'a Request,
    pub(crate) conv: Conv2d,
    pub(crate) border: Borders,
    pub(crate) source: Source,
    pub(crate) target: Option<Target>,
    /// What those of the input mean.
    pub(crate) channels: Channels,
    pub(crate) meta: Meta,
    pub(crate) computers: &'a Computers<'a>,
    pub(crate) progress: Progress,
    pub(crate) output_type: Type,
}

/// What surrounds a filter: the file's side of it.
struct Frame {
    /// Those of the file.
    axes: Vec<usize>,
    input_type: Type,
    pixels: Option<Pixels>,
    /// Of each picture, where it is kept.
    alpha: Vec<Array2<f32>>,
}

impl Job<'_> {
    pub(crate) fn run(self, x: Tensor) -> Result<()> {
        let Self { args, conv, channels, .. } = &self;
        let axes = x.shape().to_vec();
        // With all four axes, so that channels may become several whatever the file had.
        let x = files::four_axes(x, args.layout)?;
        if let Some(hint) = looks_like_planes(&axes, self.source, args.layout) {
            say(&hint);
        }
        let input_type = x.kind();
        let problem =
            Problem::new(conv, four(x.shape()), input_type.into(), self.output_type.into())?;
        let [.., before] = problem.input_shape().to_nhwc(args.layout);
        let [.., after] = problem.output_shape().to_nhwc(args.layout);
        let counts = (channels.alpha, before, after / before.max(1));
        let pixels = Pixels::new(args, conv.kernel(), input_type, counts)?;
        let Some(pixels) = pixels else {
            let frame = Frame { axes, input_type, pixels, alpha: Vec::new() };
            return self.run_in(x, frame);
        };
        let (x, alpha) = with_array!(x, x => (pixels.before(&x)?, pixels.kept(&x)));
        self.run_in(Tensor::F32(x), Frame { axes, input_type, pixels: Some(pixels), alpha })
    }

    /// `x` has four axes.
    fn run_in(self, x: Tensor, frame: Frame) -> Result<()> {
        let Self { args, conv, target, channels, progress, .. } = &self;
        let summed = match self.output_type {
            _ if frame.pixels.is_some() => Type::F32,
            // How many an integer type cannot hold is counted in floats: one output of an adjoint takes the
            // reference as long as all.
            integer if conv.is_adjoint() && !integer.is_float() => more::sums(x.kind(), integer),
            kind if args.is_partial() => more::sums(x.kind(), kind),
            kind => kind,
        };
        let problem = Problem::new(conv, four(x.shape()), x.kind().into(), summed.into())?;
        let convs = self.request.images.iter().map(|conv| conv.clone().border(self.border));
        let more = More::new(args, &problem, &convs.collect::<Vec<_>>())?;
        let shape = more.output_shape(&problem);
        let [batch, _, _, count] = problem.output_shape().to_nhwc(args.layout);
        let [.., count_before] = problem.input_shape().to_nhwc(args.layout);
        // What several filters or a pointwise step make of them means something else.
        let channels = match (count == count_before, args.alpha, count) {
            (true, Some(_), 2 | 4) if *channels == Channels::UNSAID => {
                Channels { alpha: Alpha::Last, ..*channels }
            }
            (true, ..) => *channels,
            (false, ..) => Channels::UNSAID,
        };
        if let Some(target) = target {
            target.check(batch, count, channels)?;
        }
        if ![x.kind(), summed].iter().any(|kind| ElementType::from(*kind).sums_in_f64()) {
            self.request.tell_of_f32();
        }

        let computer = self.computers.get()?;
        let made = computer.run((&problem, &more), &x, summed, *progress)?;
        report::explain(args, &made.explained, self.aside())?;
        let verify = args.verify.then(|| self.verify((&problem, &more), &x, &made));
        let broken = verify.as_ref().filter(|verdict| !verdict.passed).map(ToString::to_string);
        if !args.json && clipped::are_fractions(&x, &made.output) {
            say(&format!(
                "note: floats of 0 to 1 were rounded to 0 and 1; --out-type {} keeps them",
                frame.input_type
            ));
        }
        let clipped = Clipped::sampled(&problem, &x, &made.output);
        drop(x);
        let (tensor, clipped) = match (frame.pixels, made.output) {
            (Some(pixels), Tensor::F32(values)) => {
                let values = in_four(values)?;
                let values = pixels.after(&problem, self.border, values, &frame.alpha);
                with_type!(self.output_type, U => rounded::<_, U>(&values.into_dyn())?)
            }
            (_, Tensor::F32(sums)) if self.output_type != summed => {
                with_type!(self.output_type, U => rounded::<_, U>(&sums)?)
            }
            (_, Tensor::F64(sums)) if self.output_type != summed => {
                with_type!(self.output_type, U => rounded::<_, U>(&sums)?)
            }
            (_, output) => (output, clipped),
        };
        let out_axes = files::axes_like(&frame.axes, shape, args.layout);
        let mut wrote = None;
        if let (Some(target), None) = (target, &broken) {
            let writing = progress.spinner("writing");
            let y = match batch {
                1 if target.is_image() || target.is_cube() => shape[1..].to_vec(),
                _ => out_axes.clone(),
            };
            // A profile is for colours as they were, and so are names of bands.
            let same = count == count_before;
            let icc = self.meta.icc.clone().filter(|_| same);
            let envi = self.meta.envi.still_true(
                same,
                self.keeps_places(&problem),
                self.output_type.into(),
            );
            let meta = Meta { icc, envi, ..self.meta.clone() };
            target.write(tensor.with_axes(&y)?, channels, &meta)?;
            drop(writing);
            wrote = Some(target.name());
        }

        let kernel = conv.kernel();
        Report {
            file: (args.inputs.len() > 1).then(|| self.pair.input.display().to_string()),
            engine: made.engine,
            adapter: computer.adapter().filter(|_| made.engine == "gpu"),
            engine_info: computer.describe(),
            algorithm: made.algorithm,
            shapes: Shapes {
                input: frame.axes.clone(),
                kernel: [kernel.height(), kernel.width(), kernel.filters()],
                output: out_axes,
            },
            border: self.border.to_string(),
            pixels: frame.pixels.map(|pixels| pixels.to_string()),
            input_type: frame.input_type.to_string(),
            output_type: self.output_type.to_string(),
            milliseconds: Milliseconds::new(made.plan, made.timings),
            clipped,
            verify,
            stream: None,
            output: wrote,
        }
        .print(args.json, self.aside())?;
        match broken {
            None => Ok(()),
            Some(why) => Err(Failure::work(format!("verify {why}; nothing is written"))),
        }
    }

    fn verify(&self, (problem, more): (&Problem, &More), x: &Tensor, made: &Made) -> Verdict {
        let (args, kernel) = (self.args, self.conv.kernel());
        let reach = |k: usize, dilation: usize, stride: usize| {
            ((k - 1).saturating_mul(dilation) + 1).div_ceil(stride)
        };
        let reach = (
            reach(kernel.height(), args.dilation.0, args.stride.0),
            reach(kernel.width(), args.dilation.1, args.stride.1),
        );
        let shape = match (args.layout, more.output_shape(problem)) {
            (Layout::Nchw, [n, c, h, w]) => [n, h, w, c],
            (_, shape) => shape,
        };
        let places = match self.conv.is_adjoint() {
            true => (0..problem.output_len()).collect(),
            false => verify::places(shape, args.layout, reach),
        };
        let bar = self.progress.bar(places.len(), "verifying");
        verify::check((problem, more), x, &made.output, &places, made.spread, &bar)
    }

    /// Whether each pixel of the output stands on that of the input with the same row and column, and there
    /// are no others.
    fn keeps_places(&self, problem: &Problem) -> bool {
        let sides = |shape: Shape| {
            let [_, height, width, _] = shape.to_nhwc(self.args.layout);
            (height, width)
        };
        let stays = match self.conv.is_adjoint() {
            true => self.args.padding == Padding::Same,
            false => problem.anchor_at(0, 0) == (0, 0),
        };
        stays
            && self.args.region.is_none()
            && self.args.stride == (1, 1)
            && sides(problem.input_shape()) == sides(problem.output_shape())
    }

    /// Whether the result takes stdout, and what is told goes to stderr.
    fn aside(&self) -> bool {
        self.target.as_ref().is_some_and(Target::is_stdout)
    }
}

/// Values as the type asked for, and how many it could not hold.
fn rounded<T: Sample, U: Sample>(values: &ArrayD<T>) -> Result<(Tensor, Option<Clipped>)> {
    let exact = values.iter().map(|v| v.to_f64());
    let clipped = U::TYPE.integers().and_then(|whole| Clipped::counted(exact, &whole));
    let made = mapped("the output", values, |v| U::from_f64(v.to_f64()))?;
    Ok((U::tensor(made), clipped))
}

fn in_four<T>(x: ArrayD<T>) -> Result<Array4<T>> {
    x.into_dimensionality::<Ix4>().map_err(|error| Failure::work(error.to_string()))
}

/// A hint where the axes of a tensor are more likely those of planes.
fn looks_like_planes(axes: &[usize], source: Source, layout: Layout) -> Option<String> {
    let (&[channels, height, width] | &[_, channels, height, width]) = axes else { return None };
    let planes = matches!(channels, 1 | 3 | 4) && height.min(width) > 4 * channels.max(4);
    (planes && source == Source::Array && layout == Layout::Nhwc)
        .then(|| format!("note: the axes {axes:?} look like channels first: see --layout nchw"))
}
