//! The job of gradients.
//!
//! ```text
//!   x ─ forward ─> sums ──────────────┐                        (where an activation or pointwise step follows)
//!   dy ─ Follow ─> outputs ─ Slope ─> delta ─┬─ Correlate ─ Reduce ─> kernel, bias   (or by transforms: `products`)
//!                     └ Mix ─ Reduce ─> pointwise step       └─ adjoint ─> dx
//! ```
//!
//! `delta`, the gradient of the sums, takes the place of the sums; without an activation or pointwise step
//! it is dy.

use super::codes::{activation_code, border_codes, reaches_far};
use super::forward::{Copied, Maker, programs, tensors};
use super::params::{Own, Params, SumsOwn, on_grid, params};
use super::pixels::{Chunk, Pixels};
use super::placement::{Piece, own_placement};
use super::shader::{Data, Entry, Shader};
use super::weights::{mixing, of_launch as weights};
use super::{Binding, Dispatch, Job, Program, Resource, products};
use crate::plan::Plan;
use crate::plan::gradient::{Correlation, GradientPlan, KernelGradient};
use crate::plan::launch::{GpuLaunch, Launch};
use crate::plan::limits::GpuLimits;
use crate::plan::pass::Pass;
use crate::plan::products::{Products, RUN};
use crate::{Activation, Borders, ElementType, Error, Problem, Result};

const F32: usize = ElementType::F32.bytes();

/// Runs of a workgroup of `Mix`.
const MIX_RUNS: u32 = 4;

/// Gradients of `problem`, and what of them is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GradientJob<'a> {
    pub problem: &'a Problem,
    /// The sums before any activation or pointwise step, and the way back from them.
    pub sums: &'a Problem,
    pub back: &'a Problem,
    pub plan: &'a GradientPlan,
    pub weights: bool,
    pub input: bool,
}

impl<'a> GradientJob<'a> {
    fn correlation(&self) -> Option<By<'a>> {
        match self.plan.kernel() {
            KernelGradient::Gpu(correlation) => Some(By::Sums(correlation)),
            KernelGradient::GpuFft(products) => Some(By::Transforms(products)),
            KernelGradient::Cpu { .. } | KernelGradient::CpuFft { .. } => None,
        }
    }

    /// Where sums have to be made, how; and how they go back.
    fn launches(&self) -> [Option<&'a GpuLaunch>; 2] {
        let of = |plan: &'a Plan| match plan.launch() {
            Launch::Gpu(launch) => Some(launch),
            Launch::Cpu(_) => None,
        };
        [self.plan.sums().and_then(of), of(self.plan.input())]
    }

    /// The steps between the sums and the way back that the problem has, whatever is wanted of them.
    fn steps(&self) -> Vec<Entry> {
        let pointwise = self.problem.conv().pointwise.as_ref();
        let transforms = matches!(self.correlation(), Some(By::Transforms(_)));
        let steps = [
            (Entry::Follow, pointwise.is_some_and(|p| p.get_activation() != Activation::None)),
            (Entry::Mix, pointwise.is_some()),
            (Entry::Slope, self.plan.sums().is_some()),
            (Entry::Correlate, !transforms),
            (Entry::Reduce, !transforms || pointwise.is_some()),
        ];
        let steps = steps.into_iter().filter(|(_, runs)| *runs).map(|(entry, _)| entry);
        steps.chain(transforms.then_some(products::STEPS).into_iter().flatten()).collect()
    }
}

/// How sums over the tensor are made.
#[derive(Clone, Copy, Debug)]
enum By<'a> {
    Sums(&'a Correlation),
    Transforms(&'a Products),
}

impl By<'_> {
    /// Invocations of a workgroup of what sums over pixels.
    fn workgroup(self) -> u32 {
        match self {
            Self::Sums(correlation) => correlation.workgroup,
            Self::Transforms(products) => products.workgroup,
        }
    }
}

/// The programs of the steps between the sums and the way back.
pub(crate) fn gradient_steps(
    problem: &Problem,
    sums: &Problem,
    plan: &GradientPlan,
) -> Vec<Program> {
    let of = GradientJob { problem, sums, back: sums, plan, weights: true, input: true };
    let Some(by) = of.correlation() else { return Vec::new() };
    of.steps().into_iter().map(|entry| program(problem, sums, by, entry)).collect()
}

/// What the programs of the job read as their weights, in their order.
pub(crate) fn gradient_weights(of: GradientJob<'_>) -> Result<Vec<Vec<f32>>> {
    let [forward, back] = of.launches();
    let mixing = of.problem.conv().pointwise.as_ref().map(mixing).unwrap_or_default();
    let of_step = |entry| match (entry, of.correlation()) {
        (Entry::Follow | Entry::Slope, _) => mixing.clone(),
        (entry, Some(By::Transforms(products))) => products::table(products, entry),
        _ => Vec::new(),
    };
    let mut all = forward.map(|launch| weights(of.sums, launch)).transpose()?.unwrap_or_default();
    all.extend(of.steps().into_iter().map(of_step));
    all.extend(back.map(|launch| weights(of.back, launch)).transpose()?.unwrap_or_default());
    Ok(all)
}

fn program(problem: &Problem, sums: &Problem, by: By<'_>, entry: Entry) -> Program {
    if let By::Transforms(products) = by
        && products::STEPS.contains(&entry)
    {
        return products::program(sums, products, entry);
    }
    let source = match entry {
        Entry::Correlate => problem.input_type().into(),
        _ => Data::F32,
    };
    let shader = Shader::new(entry, source, Data::F32);
    Program { shader, constants: constants(problem, sums, by, entry) }
}

/// The override constants of a step. What depends on the sizes of tensors is none: training on many sizes
/// compiles once.
fn constants(
    problem: &Problem,
    sums: &Problem,
    by: By<'_>,
    entry: Entry,
) -> Vec<(&'static str, u32)> {
    let workgroup = by.workgroup();
    let conv = problem.conv();
    let follow = conv.pointwise.as_ref().map_or(Activation::None, |p| p.get_activation());
    let plain = activation_code(conv.activation).0;
    // What a step does not read is the same for all problems, so that they share its pipeline.
    let (mut border, mut far) = (None, 0);
    let mut activation = 0;
    let (mut follows, mut follow_activation) = (0, 0);
    let mut own = Vec::new();
    match entry {
        Entry::Correlate => {
            let By::Sums(correlation) = by else { return own };
            let (rows, columns) = correlation.taps;
            (border, far) = (Some(sums.border()), reaches_far(sums).into());
            own.extend([
                ("TAP_ROWS", rows),
                ("TAP_COLUMNS", columns),
                ("MARCH", correlation.march.into()),
                ("FLIP", conv.flip.into()),
                ("AT_ONCE", correlation.at_once()),
                ("EXCHANGED", correlation.at_once() * workgroup),
            ]);
        }
        Entry::Reduce => own.extend([("RUN", RUN), ("EXCHANGED", workgroup)]),
        Entry::Mix => {
            activation = plain;
            own.extend([("RUN", RUN), ("RUNS", MIX_RUNS), ("EXCHANGED", workgroup)]);
        }
        Entry::Slope => {
            (activation, follows) = (slope_code(conv.activation), conv.pointwise.is_some().into());
        }
        Entry::Follow => (activation, follow_activation) = (plain, slope_code(follow)),
        Entry::Direct | Entry::Gather | Entry::Edges => {}
        Entry::Flat | Entry::March(_) | Entry::Phases | Entry::Strip => {}
        Entry::Forward | Entry::Multiply | Entry::Back | Entry::Whole => {}
        Entry::Delta | Entry::Products | Entry::Taps => {}
    }
    own.extend([
        ("WORKGROUP_X", workgroup),
        ("WORKGROUP_Y", 1),
        ("FAR", far),
        ("ACTIVATION", activation),
        ("FOLLOW", follows),
        ("FOLLOW_ACTIVATION", follow_activation),
    ]);
    let none = border_codes(Borders::default()).map(|(name, _)| (name, 0));
    own.extend(border.map_or(none, border_codes));
    own
}

/// Number of an activation in `shaders/derivative.wgsl`: two that are one function have other slopes at
/// their ends.
fn slope_code(activation: Activation) -> u32 {
    match activation {
        Activation::Relu6 => 7,
        other => activation_code(other).0,
    }
}

/// The job. Its programs are those of all steps, whatever is wanted: of the sums, of the steps between, and
/// of the way back.
pub(crate) fn gradient(of: GradientJob<'_>, limits: &GpuLimits) -> Result<Job> {
    let Some(by) = of.correlation() else { return Ok(Job::default()) };
    let pixels = Pixels::of(of.sums.geometry(), of.problem.conv().pointwise.as_ref());
    let [forward, back] = of.launches();
    let mut job = Job::default();
    job.programs.extend(forward.iter().flat_map(|launch| programs(of.sums, launch, None)));
    let first_step = job.programs.len();
    job.programs.extend(gradient_steps(of.problem, of.sums, of.plan));
    job.programs.extend(back.iter().flat_map(|launch| programs(of.back, launch, None)));
    let mut steps = Steps { of, workgroup: by.workgroup(), limits, pixels, first_step, job };
    let delta = steps.delta()?;
    match by {
        _ if !of.weights => {}
        By::Sums(correlation) => steps.kernel(correlation, delta)?,
        By::Transforms(products) => steps.products(products, delta)?,
    }
    if of.input {
        steps.input(delta)?;
    }
    Ok(steps.job)
}

struct Steps<'a> {
    of: GradientJob<'a>,
    workgroup: u32,
    limits: &'a GpuLimits,
    pixels: Pixels,
    first_step: usize,
    job: Job,
}

impl Steps<'_> {
    /// The gradient of the sums before activation and pointwise step, and those of the latter's weights.
    fn delta(&mut self) -> Result<Resource> {
        let GradientJob { problem, sums, weights, .. } = self.of;
        let [Some(launch), _] = self.of.launches() else { return Ok(Resource::OutputGradient) };
        let held = self.job.room(bytes(sums.output_len()));
        let mut outputs = Resource::OutputGradient;
        let pointwise = problem.conv().pointwise.as_ref();
        let follows = pointwise.is_some_and(|p| p.get_activation() != Activation::None);
        if follows {
            outputs = self.job.room(bytes(problem.output_len()));
        }
        let first_room = self.job.rooms.len();
        let forward = tensors(sums, launch, self.limits, Copied::default())?;
        self.job.append(forward, 0, first_room, |resource| match resource {
            Resource::Destination => held,
            other => other,
        });
        if follows {
            let len = problem.output_len() * F32;
            let all = Piece { from: 0, to: 0, len };
            self.job.copy(Resource::OutputGradient, outputs, vec![all]);
            self.each(Entry::Follow, held, outputs)?;
        }
        if pointwise.is_some() && weights {
            self.mix(held, outputs)?;
        }
        self.each(Entry::Slope, outputs, held)?;
        Ok(held)
    }

    /// The gradients of kernel and bias, from that of the sums.
    fn kernel(&mut self, correlation: &Correlation, delta: Resource) -> Result<()> {
        let sums = self.of.sums;
        let launch = &correlation.launch;
        let (kh, kw) = sums.geometry().kernel;
        let filters = sums.weights().filters;
        let values = (kh * kw + 1) * filters;
        let partials = self.partials(values, correlation.parts)?;
        let program = self.program(Entry::Correlate);
        let mut bands = Maker::empty(sums, launch, self.limits);
        bands.job = std::mem::take(&mut self.job);
        let mut part = 0;
        for band in &launch.bands {
            let mut place = own_placement(sums, launch, band);
            let source = bands.source(band, &mut place)?;
            let (read, _) = bands.destination(band, delta, &mut place, false)?;
            let [across, down] = correlation.grid(sums, band);
            let [groups_down, groups_across] = correlation.tap_groups(sums);
            let wanted = [across, down, filters * groups_down * groups_across];
            let most = self.limits.max_workgroups;
            let (of_band, _) = params(sums, Pass::Direct, launch, band, place, most);
            let own = Own::Sums(SumsOwn {
                part: part as u32,
                parts: correlation.parts as u32,
                run: correlation.run,
                runs: correlation.runs,
                across: correlation.across,
                ..SumsOwn::default()
            });
            let of_band = Params { own: own.words(), ..of_band };
            let (params, grid) = on_grid(of_band, wanted.map(|n| n as u64), most);
            let positions = band.images.len() * band.rows.len() * band.columns.len();
            bands.job.dispatch(Dispatch {
                program,
                params,
                grid,
                bindings: [source, Binding::whole(partials), read],
                original: false,
                work: work([positions, sums.geometry().channels, values]),
            });
            part += across * down;
        }
        self.job = bands.job;
        self.reduce(partials, Resource::KernelGradient, values, correlation.parts)
    }

    /// The same by transforms.
    fn products(&mut self, products: &Products, delta: Resource) -> Result<()> {
        let (sums, limits) = (self.of.sums, self.limits);
        let (kh, kw) = sums.geometry().kernel;
        let values = (kh * kw + 1) * sums.weights().filters;
        self.fits("bytes of the gradient of the weights", bytes(values))?;
        let programs = products::STEPS.map(|entry| self.program(entry));
        let made = products::Made { sums, products, limits, programs };
        self.job = made.behind(std::mem::take(&mut self.job), delta)?;
        Ok(())
    }

    /// The gradients of the pointwise step, from the sums and the gradient of its own.
    fn mix(&mut self, sums: Resource, outputs: Resource) -> Result<()> {
        let pixels = self.pixels;
        let each = (self.workgroup * RUN * MIX_RUNS) as usize;
        let of_chunk = |chunk: &Chunk| (chunk.images * chunk.columns).div_ceil(each);
        let chunks = pixels.chunks(self.limits)?;
        let parts = chunks.iter().map(of_chunk).sum();
        let values = (pixels.filters + 1) * pixels.outputs;
        let partials = self.partials(values, parts)?;
        let program = self.program(Entry::Mix);
        let mut part = 0;
        for chunk in &chunks {
            let own =
                Own::Sums(SumsOwn { part: part as u32, parts: parts as u32, ..SumsOwn::default() });
            let params = Params { own: own.words(), ..self.params(chunk) };
            let bindings = [
                chunk.of(sums, pixels.filters),
                Binding::whole(partials),
                chunk.of(outputs, pixels.outputs),
            ];
            let work = work([chunk.images, chunk.columns, values]);
            self.dispatch(program, params, [of_chunk(chunk), 1, values], bindings, work);
            part += of_chunk(chunk);
        }
        self.reduce(partials, Resource::PointwiseGradient, values, parts)
    }

    /// `Slope` or `Follow`: every pixel of `to` from those of `source`.
    fn each(&mut self, entry: Entry, source: Resource, to: Resource) -> Result<()> {
        let pixels = self.pixels;
        let (of_source, of_each) = match entry {
            Entry::Follow => (pixels.filters, pixels.outputs),
            _ => (pixels.outputs, pixels.filters),
        };
        let workgroup = self.workgroup as usize;
        let program = self.program(entry);
        for chunk in pixels.chunks(self.limits)? {
            let reads = chunk.of(source, of_source);
            let beside = match self.of.problem.conv().pointwise {
                Some(_) => Binding::whole(Resource::Weights(program)),
                // Not read.
                None => reads,
            };
            let grid = [chunk.columns.div_ceil(workgroup), of_each, chunk.images];
            let bindings = [reads, chunk.of(to, of_each), beside];
            let work = work([chunk.images, chunk.columns, of_each * of_source]);
            self.dispatch(program, self.params(&chunk), grid, bindings, work);
        }
        Ok(())
    }

    /// The gradient of the input, from that of the sums.
    fn input(&mut self, delta: Resource) -> Result<()> {
        let [_, Some(launch)] = self.of.launches() else { return Ok(()) };
        let job = tensors(self.of.back, launch, self.limits, Copied::default())?;
        let (first, first_room) = (self.first_step + self.of.steps().len(), self.job.rooms.len());
        self.job.append(job, first, first_room, |resource| match resource {
            Resource::Source => delta,
            other => other,
        });
        Ok(())
    }

    /// The second stage: sums of parts.
    fn reduce(
        &mut self,
        partials: Resource,
        to: Resource,
        values: usize,
        parts: usize,
    ) -> Result<()> {
        self.fits("bytes of the gradient of the weights", bytes(values))?;
        let own = Own::Sums(SumsOwn { parts: parts as u32, ..SumsOwn::default() });
        let params = Params { own: own.words(), ..Params::default() };
        let bindings = [partials, to, partials].map(Binding::whole);
        let program = self.program(Entry::Reduce);
        self.dispatch(program, params, [values, 1, 1], bindings, work([values, parts, 1]));
        Ok(())
    }

    /// The number of a step's program.
    fn program(&self, entry: Entry) -> usize {
        let steps = self.of.steps();
        self.first_step + steps.iter().position(|step| *step == entry).unwrap_or(0)
    }

    fn dispatch(
        &mut self,
        program: usize,
        params: Params,
        wanted: [usize; 3],
        bindings: [Binding; 3],
        work: u64,
    ) {
        let wanted = wanted.map(|n| n as u64);
        let (params, grid) = on_grid(params, wanted, self.limits.max_workgroups);
        let original = false;
        self.job.dispatch(Dispatch { program, params, grid, bindings, original, work });
    }

    fn params(&self, chunk: &Chunk) -> Params {
        let conv = self.of.problem.conv();
        let (_, activation_a, activation_b) = activation_code(conv.activation);
        let follow = conv.pointwise.as_ref().map_or(Activation::None, |p| p.get_activation());
        let (_, follow_a, follow_b) = activation_code(follow);
        Params {
            images: chunk.images as u32,
            columns: chunk.columns as u32,
            filters: self.pixels.filters as u32,
            outputs: self.pixels.outputs as u32,
            planar: self.pixels.planar.into(),
            activation_a,
            activation_b,
            follow_a,
            follow_b,
            ..Params::default()
        }
    }

    /// Room for sums of parts.
    fn partials(&mut self, values: usize, parts: usize) -> Result<Resource> {
        let bytes = (values as u64).saturating_mul(parts.max(1) as u64).saturating_mul(F32 as u64);
        self.fits("sums of parts", bytes)?;
        Ok(self.job.room(bytes))
    }

    /// Refuses what is bound whole and too large for that.
    fn fits(&self, what: &'static str, bytes: u64) -> Result<()> {
        let limit = self.limits.max_range();
        if bytes > limit {
            return Err(Error::TooLarge { what, value: bytes.to_string(), limit });
        }
        Ok(())
    }
}

fn bytes(scalars: usize) -> u64 {
    scalars as u64 * F32 as u64
}

/// Multiply-adds: more than 32 bits can hold, where that is what a number has.
fn work(sizes: [usize; 3]) -> u64 {
    sizes.iter().fold(1, |all: u64, n| all.saturating_mul(*n as u64))
}
