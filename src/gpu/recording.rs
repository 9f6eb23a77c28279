//! What a call puts into an encoder, made once for the buffers it works on.

use wgpu::{
    BindGroup, BindingResource, Buffer, BufferUsages, CommandEncoder, ComputePipeline, QuerySet,
    TextureView,
};

use super::device::checked;
use super::params::{self, Params, Placement};
use super::prepared::Compiled;
use super::transfer::{self, Piece};
use super::{BufferRange, Gpu, GpuPrepared, buffers, texel};
use crate::plan::{Band, GpuLaunch, Place};
use crate::{Error, Problem, Result};

/// Copies and passes, in order.
#[derive(Debug, Default)]
pub(super) struct Recording {
    steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) enum Step {
    Copies { from: Buffer, to: Buffer, copies: Vec<Bytes> },
    Pass(Vec<Dispatch>),
}

/// Bytes from one buffer to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes {
    from: u64,
    to: u64,
    len: u64,
}

impl Step {
    /// One tensor over another.
    pub fn copy(from: &BufferRange<'_>, to: &BufferRange<'_>) -> Result<Self> {
        let piece = Piece { from: 0, to: 0, len: from.size.min(to.size) as usize };
        copies("gradient of the output", &[piece], from, to, BufferUsages::COPY_SRC)
    }
}

#[derive(Debug)]
pub(super) struct Dispatch {
    pub pipeline: ComputePipeline,
    pub bindings: BindGroup,
    pub grid: [u32; 3],
}

impl Recording {
    pub fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    pub fn extend(&mut self, other: Self) {
        self.steps.extend(other.steps);
    }

    /// Records it. The first pass writes its start as query 0 of `stamps`, and every pass its end as
    /// query 1.
    pub fn replay(&self, encoder: &mut CommandEncoder, stamps: Option<&QuerySet>) {
        let mut first = Some(0);
        for step in &self.steps {
            match step {
                Step::Copies { from, to, copies } => {
                    for copy in copies {
                        encoder.copy_buffer_to_buffer(from, copy.from, to, copy.to, copy.len);
                    }
                }
                Step::Pass(dispatches) => {
                    let timestamp_writes =
                        stamps.map(|query_set| wgpu::ComputePassTimestampWrites {
                            query_set,
                            beginning_of_pass_write_index: first.take(),
                            end_of_pass_write_index: Some(1),
                        });
                    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                        label: Some("channelwise.pass"),
                        timestamp_writes,
                    });
                    for Dispatch { pipeline, bindings, grid } in dispatches {
                        pass.set_pipeline(pipeline);
                        pass.set_bind_group(0, bindings, &[]);
                        pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
                    }
                }
            }
        }
    }
}

/// A range as it is bound: its start aligned, and the scalars before the tensor's first.
pub(super) struct Bound {
    buffer: Buffer,
    offset: u64,
    size: u64,
    pub base: usize,
}

impl Bound {
    pub fn resource(&self) -> BindingResource<'_> {
        BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &self.buffer,
            offset: self.offset,
            size: wgpu::BufferSize::new(self.size),
        })
    }

    /// A buffer of our own, bound whole.
    fn own(buffer: &Buffer) -> Self {
        Self { buffer: buffer.clone(), offset: 0, size: buffer.size(), base: 0 }
    }

    /// `len` bytes of `range` from byte `first` of the tensor, bound at an aligned offset.
    pub fn part(
        gpu: &Gpu,
        range: &BufferRange<'_>,
        first: usize,
        len: usize,
        element: usize,
    ) -> Self {
        let alignment = u64::from(gpu.limits().offset_alignment);
        let start = range.offset + first as u64;
        let offset = start / alignment * alignment;
        let size = (start - offset + len as u64).next_multiple_of(4);
        let base = (start - offset) as usize / element;
        Self { buffer: range.buffer.clone(), offset, size, base }
    }
}

/// Buffers of our own for bands that do not lie in one piece: one for every band's source and one for
/// every band's output, as bands run in order.
#[derive(Default)]
pub(super) struct Scratch {
    source: Option<Buffer>,
    output: Option<Buffer>,
}

impl GpuPrepared {
    /// All bands, on the caller's ranges. `shared`: both lie in one buffer.
    pub(super) fn record_for(
        &self,
        source: &BufferRange<'_>,
        destination: &BufferRange<'_>,
        shared: bool,
    ) -> Result<Recording> {
        let mut recording = Recording::default();
        let mut scratch = Scratch::default();
        for band in &self.launch()?.bands {
            self.record_band(&mut recording, &mut scratch, band, source, destination, shared)?;
        }
        Ok(recording)
    }

    /// All bands, from a texture to another.
    pub(super) fn record_textures(
        &self,
        source: &TextureView,
        destination: &TextureView,
    ) -> Result<Recording> {
        let launch = self.launch()?;
        let mut recording = Recording::default();
        for band in &launch.bands {
            let place = texel::placement(self.problem(), launch, band);
            let ends = [source, destination].map(BindingResource::TextureView);
            recording.steps.push(self.dispatches(band, ends, Some(source), place)?);
        }
        Ok(recording)
    }

    /// One band on buffers of our own.
    pub(super) fn record_own(
        &self,
        band: &Band,
        src: &Buffer,
        dst: &Buffer,
        place: Placement,
    ) -> Result<Recording> {
        let ends = [Bound::own(src), Bound::own(dst)];
        let ends = [ends[0].resource(), ends[1].resource()];
        let pass = self.dispatches(band, ends, None, place)?;
        Ok(Recording { steps: vec![pass] })
    }

    fn record_band(
        &self,
        recording: &mut Recording,
        scratch: &mut Scratch,
        band: &Band,
        source: &BufferRange<'_>,
        destination: &BufferRange<'_>,
        shared: bool,
    ) -> Result<()> {
        let bands = Bands { gpu: self.gpu(), problem: self.problem(), launch: self.launch()? };
        let mut place = transfer::own_placement(bands.problem, bands.launch, band);
        let (src, gathered) = bands.source(scratch, band, source, shared, &mut place)?;
        recording.steps.extend(gathered);
        let (dst, back) =
            bands.destination(scratch, band, destination, Way::Written, &mut place)?;
        recording.steps.push(self.dispatches(
            band,
            [src.resource(), dst.resource()],
            None,
            place,
        )?);
        recording.steps.extend(back);
        Ok(())
    }

    /// The passes of a band, from and to these `ends`. Textures are written with the `original` beside.
    fn dispatches(
        &self,
        band: &Band,
        ends: [BindingResource<'_>; 2],
        original: Option<&TextureView>,
        place: Placement,
    ) -> Result<Step> {
        let gpu = self.gpu();
        let (problem, launch) = (self.problem(), self.launch()?);
        let made = checked(gpu.device(), gpu.loss(), "binding buffers", || {
            let mut dispatches = Vec::with_capacity(self.passes().len());
            let most = gpu.limits().max_workgroups;
            let mut dispatch = |compiled: &Compiled, params: Params, grid: [u32; 3]| {
                if grid.contains(&0) {
                    return;
                }
                let bound = |place| match place {
                    Place::Source => Some(ends[0].clone()),
                    Place::Destination => Some(ends[1].clone()),
                    Place::Between(n) => self.between().get(n).map(|b| b.as_entire_binding()),
                };
                let [from, to] = compiled.pass.way(&launch.scheme);
                let (Some(reads), Some(writes)) = (bound(from), bound(to)) else { return };
                let params = bytemuck::bytes_of(&params);
                let params =
                    gpu.constant_buffer("channelwise.params", params, BufferUsages::UNIFORM);
                let entry = |(binding, resource)| wgpu::BindGroupEntry { binding, resource };
                let weights = compiled.weights.as_entire_binding();
                let mut entries =
                    [(0, params.as_entire_binding()), (1, reads), (2, writes), (3, weights)]
                        .map(entry)
                        .to_vec();
                if let (Some(original), Place::Destination) = (original, to) {
                    entries.push(entry((4, BindingResource::TextureView(original))));
                }
                let bindings = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some("channelwise.bindings"),
                    layout: &compiled.ready.bindings,
                    entries: &entries,
                });
                let pipeline = compiled.ready.pipeline.clone();
                dispatches.push(Dispatch { pipeline, bindings, grid });
            };
            let made = problem.made_by(launch.scheme.gathers());
            for compiled in self.passes() {
                let (params, grid) = params::params(made, compiled.pass, launch, band, place, most);
                dispatch(compiled, params, grid);
            }
            if let Some(compiled) = self.edges() {
                for (band, place) in transfer::edges(problem, band, place) {
                    let (params, grid) =
                        params::params(problem, compiled.pass, launch, &band, place, most);
                    dispatch(compiled, params, grid);
                }
            }
            Step::Pass(dispatches)
        });
        made.now()
    }
}

/// Which way a tensor in the shape of the output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Read,
    Written,
}

/// Bands on the caller's ranges.
#[derive(Clone, Copy)]
pub(super) struct Bands<'a> {
    pub gpu: &'a Gpu,
    pub problem: &'a Problem,
    pub launch: &'a GpuLaunch,
}

impl Bands<'_> {
    /// The source of a band, and the copies that gather it where it does not lie in one piece.
    pub fn source(
        self,
        scratch: &mut Scratch,
        band: &Band,
        source: &BufferRange<'_>,
        shared: bool,
        place: &mut Placement,
    ) -> Result<(Bound, Option<Step>)> {
        let Self { gpu, problem, launch } = self;
        let g = problem.geometry();
        // A band with whole rows lies in one piece, or image by image at the distance of images.
        let whole_rows = !band.source_rows.continued
            && !band.source_columns.continued
            && band.source_columns.len == g.width;
        if whole_rows && !shared {
            let bytes = problem.input_type().bytes();
            let first = band.images.start * g.image() + band.source_rows.first as usize * g.row();
            let plane = g.image() / g.planes();
            let len = band.images.len() * g.image() - plane + band.source_rows.len * g.row();
            let bound = Bound::part(gpu, source, first * bytes, len * bytes, bytes);
            place.src_base = bound.base;
            place.src_image = g.image();
            return Ok((bound, None));
        }
        let own = transfer::own_placement(problem, launch, band);
        let (what, usage) = ("making room for a gathered band", BufferUsages::COPY_DST);
        let gathered = self.scratch(&mut scratch.source, what, usage, |(source, _)| source)?;
        let pieces = transfer::source_pieces(problem, band, &own);
        let to = BufferRange::whole(&gathered);
        let step = copies("source", &pieces, source, &to, BufferUsages::COPY_SRC)?;
        Ok((Bound::own(&gathered), Some(step)))
    }

    /// A band of what has the shape of the output, and the copies to where it lies, or from there, where
    /// it does not lie in one piece.
    pub fn destination(
        self,
        scratch: &mut Scratch,
        band: &Band,
        destination: &BufferRange<'_>,
        way: Way,
        place: &mut Placement,
    ) -> Result<(Bound, Option<Step>)> {
        let Self { gpu, problem, launch } = self;
        let own = transfer::own_placement(problem, launch, band);
        let mut pieces = transfer::destination_pieces(problem, band, &own);
        let bytes = problem.output_type().bytes();
        if let [piece] = pieces[..]
            && piece.to.is_multiple_of(4)
        {
            let bound = Bound::part(gpu, destination, piece.to, piece.len, bytes);
            place.dst_base = bound.base;
            return Ok((bound, None));
        }
        let (what, usage) = match way {
            Way::Written => ("making room for a band's output", BufferUsages::COPY_SRC),
            Way::Read => ("making room for a gathered band", BufferUsages::COPY_DST),
        };
        let output = self.scratch(&mut scratch.output, what, usage, |(_, output)| output)?;
        let own = BufferRange::whole(&output);
        let step = match way {
            Way::Written => {
                copies("destination", &pieces, &own, destination, BufferUsages::COPY_DST)?
            }
            Way::Read => {
                for piece in &mut pieces {
                    std::mem::swap(&mut piece.from, &mut piece.to);
                }
                copies(
                    "gradient of the output",
                    &pieces,
                    destination,
                    &own,
                    BufferUsages::COPY_SRC,
                )?
            }
        };
        Ok((Bound::own(&output), Some(step)))
    }

    /// The buffer for every band's own source or output, as large as `which` of the largest, made if it
    /// is not there.
    fn scratch(
        self,
        there: &mut Option<Buffer>,
        what: &'static str,
        usage: BufferUsages,
        which: impl Fn((u64, u64)) -> u64,
    ) -> Result<Buffer> {
        if let Some(buffer) = there {
            return Ok(buffer.clone());
        }
        let Self { gpu, problem, launch } = self;
        let size = |band| {
            let place = transfer::own_placement(problem, launch, band);
            which(transfer::own_sizes(problem, band, &place))
        };
        let size = launch.bands.iter().map(size).max().unwrap_or(0);
        let size = size.next_multiple_of(16).max(16);
        let usage = usage | BufferUsages::STORAGE;
        let made = buffers::create(gpu.device(), gpu.loss(), what, size, usage).now();
        let made = made.map_err(|error| buffers::with_size(error, size))?;
        Ok(there.insert(made).clone())
    }
}

/// Copies between a caller's range and a buffer of our own.
fn copies(
    which: &'static str,
    pieces: &[Piece],
    from: &BufferRange<'_>,
    to: &BufferRange<'_>,
    needed: BufferUsages,
) -> Result<Step> {
    let theirs = if needed == BufferUsages::COPY_SRC { from } else { to };
    if !theirs.buffer.usage().contains(needed) {
        return Err(Error::Buffer {
            which,
            reason: format!(
                "usage {:?} lacks {needed:?}, which is needed where a band does not lie in one piece",
                theirs.buffer.usage()
            ),
        });
    }
    let mut copies = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let (start, end) = (from.offset + piece.from as u64, to.offset + piece.to as u64);
        // The tail of a byte tensor may use up its last word.
        let len = (piece.len as u64).next_multiple_of(4);
        let last = piece.from as u64 + len > from.size || piece.to as u64 + len > to.size;
        let tail = !piece.len.is_multiple_of(4) && pieces.len() > 1;
        if !start.is_multiple_of(4) || !end.is_multiple_of(4) || last || tail {
            return Err(Error::Buffer {
                which,
                reason: format!(
                    "a band of it is gathered by copies, which move whole words, but a row of it is {} bytes at byte {}",
                    piece.len,
                    piece.from.max(piece.to)
                ),
            });
        }
        copies.push(Bytes { from: start, to: end, len });
    }
    Ok(Step::Copies { from: from.buffer.clone(), to: to.buffer.clone(), copies })
}
