//! Jobs on their buffers: what was compiled for them, and what is recorded.

use std::sync::{Arc, Mutex, PoisonError};

use wgpu::{
    BindGroup, BindingResource, Buffer, BufferUsages, CommandEncoder, ComputePipeline, QuerySet,
    TextureView,
};

use super::device::{Context, Moment, Room};
use super::program::Ready;
use super::range::BufferRange;
use crate::lru::Lru;
use crate::plan::job::{BASES, Binding, Command, Dispatch, Entry, Job, Params, Resource};
use crate::plan::march::VECTOR;
use crate::{Error, Result};

/// Parameter buffers that are kept with what was compiled: jobs on tensors that begin at aligned bytes
/// have equal ones.
const KEPT_PARAMS: usize = 4;

/// What runs the programs of a job, and what they read as weights.
#[derive(Debug)]
pub(super) struct Compiled {
    ready: Vec<Ready>,
    weights: Vec<Option<Buffer>>,
    params: Lru<Vec<u8>, Buffer>,
    /// Room that was shared last, so that it does not go from call to call.
    rooms: Mutex<Vec<Arc<Room>>>,
}

/// What a resource is, of those that a job does not bring along.
#[derive(Clone, Copy, Debug)]
pub(super) enum Given<'a> {
    Range(BufferRange<'a>),
    View(&'a TextureView),
}

/// Which resource is what.
pub(super) type Table<'a> = [(Resource, Given<'a>)];

/// A job on its buffers: what is to be recorded.
#[derive(Debug)]
pub(super) struct Bound {
    steps: Vec<Step>,
    /// Others must not take what is bound here.
    rooms: Vec<Arc<Room>>,
    /// Held while it is submitted in several parts, which must not mix with those of another thread.
    pub turn: Mutex<()>,
}

/// A command on its buffers.
#[derive(Debug)]
pub(super) enum Step {
    Copies {
        from: Buffer,
        to: Buffer,
        pieces: Vec<Bytes>,
    },
    Dispatch {
        pipeline: ComputePipeline,
        bindings: BindGroup,
        params: u32,
        grid: [u32; 3],
        work: u64,
    },
}

/// Bytes from one buffer to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes {
    from: u64,
    to: u64,
    len: u64,
}

impl Compiled {
    /// What several jobs need that are made into one.
    pub fn joined<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        let (mut ready, mut weights) = (Vec::new(), Vec::new());
        for one in all {
            ready.extend(one.ready.iter().cloned());
            weights.extend(one.weights.iter().cloned());
        }
        Self::new(ready, weights)
    }

    pub fn new(ready: Vec<Ready>, weights: Vec<Option<Buffer>>) -> Self {
        Self { ready, weights, params: Lru::new(KEPT_PARAMS), rooms: Mutex::default() }
    }
}

impl Compiled {
    /// Other weights of the same sizes, for all that is bound already too: they are there before anything
    /// that is submitted later. Where this fails, none is there.
    pub fn rewrite(&self, context: &Context, weights: &[Vec<f32>]) -> Result<()> {
        let both = self.weights.iter().zip(weights);
        let both = both.filter_map(|(buffer, contents)| Some((buffer.as_ref()?, contents)));
        let all: Vec<(&Buffer, &[u8])> =
            both.map(|(buffer, contents)| (buffer, bytemuck::cast_slice(contents))).collect();
        match all[..] {
            [] => Ok(()),
            [(buffer, contents)] => {
                let write = || context.write(buffer, 0, contents);
                context.checked("uploading the kernel", write).now()
            }
            // Memory may be short for the second write when the first is made, and copies of one submission are
            // made together.
            _ => Self::rewrite_together(context, &all),
        }
    }

    fn rewrite_together(context: &Context, all: &[(&Buffer, &[u8])]) -> Result<()> {
        let contents: Vec<u8> = all.iter().flat_map(|(_, contents)| *contents).copied().collect();
        let doing = "uploading the kernel";
        let upload = context.mapped(doing, contents.len() as u64)?;
        context.meet(Moment::Access);
        let view = upload.get_mapped_range_mut(..contents.len() as u64);
        let mut view = view.map_err(|error| context.lost(&error.to_string()))?;
        view.slice(..).copy_from_slice(&contents);
        drop(view);
        context.unmap(&upload)?;
        let submitted = context.checked(doing, || {
            let descriptor = wgpu::CommandEncoderDescriptor { label: Some("channelwise.weights") };
            let mut encoder = context.device.create_command_encoder(&descriptor);
            let mut from = 0;
            for (buffer, contents) in all {
                let len = contents.len() as u64;
                encoder.copy_buffer_to_buffer(&upload, from, buffer, 0, len);
                from += len;
            }
            context.submit([encoder.finish()]);
            context.give_when_done(upload.clone());
        });
        submitted.now()
    }

    /// The same programs with weights of their own.
    pub fn with_weights(&self, context: &Context, weights: &[Vec<f32>]) -> Result<Self> {
        let made = context.checked("uploading the kernel", || {
            let buffer = |(there, contents): (&Option<Buffer>, &Vec<f32>)| {
                let contents = bytemuck::cast_slice(contents);
                let label = "channelwise.weights";
                there.as_ref().map(|there| context.constant(label, contents, there.usage()))
            };
            self.weights.iter().zip(weights).map(buffer).collect()
        });
        Ok(Self::new(self.ready.clone(), made.now()?))
    }
}

impl Bound {
    /// The job on these resources. Its rooms are those that all jobs share, or are `alone` its own: then its
    /// commands may go into several submissions.
    pub fn new(
        context: &Context,
        job: &Job,
        compiled: &Compiled,
        table: &Table<'_>,
        alone: bool,
    ) -> Result<Self> {
        let limits = context.device.limits();
        let rooms = rooms(context, job, limits.max_buffer_size, alone)?;
        if !alone {
            *compiled.rooms.lock().unwrap_or_else(PoisonError::into_inner) = rooms.clone();
        }
        context.count_bound();
        let [storage_alignment, uniform_alignment] = [
            limits.min_storage_buffer_offset_alignment,
            limits.min_uniform_buffer_offset_alignment,
        ]
        .map(u64::from);
        let binder = Binder {
            context,
            job,
            compiled,
            table,
            rooms: &rooms,
            storage_alignment,
            uniform_alignment,
        };
        let bound = context.checked("binding buffers", || binder.steps()).now().flatten();
        let (steps, params) = bound?;
        // Kept from now on: what was made when memory was short is no buffer, and another thread must not meet it.
        if let Some((bytes, buffer)) = params {
            compiled.params.put(bytes, buffer);
        }
        Ok(Self { steps, rooms, turn: Mutex::default() })
    }

    /// Records all of it for an app.
    pub fn replay(&self, encoder: &mut CommandEncoder) {
        self.rooms.iter().for_each(|room| room.recorded());
        record(&self.steps, encoder, None, &mut true);
    }

    /// Records all of it for an app, into a pass that is open, which holds no copies.
    pub fn dispatch(&self, pass: &mut wgpu::ComputePass<'_>) -> Result<()> {
        if self.steps.iter().any(|step| matches!(step, Step::Copies { .. })) {
            return Err(Error::Buffer {
                which: "source or destination",
                reason: "a band of it does not lie in one piece, and copies go into no pass; see `encode`".into(),
            });
        }
        self.rooms.iter().for_each(|room| room.recorded());
        let mut rest = &self.steps[..];
        dispatch(&mut rest, pass);
        Ok(())
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

fn rooms(context: &Context, job: &Job, limit: u64, alone: bool) -> Result<Vec<Arc<Room>>> {
    let room = |(n, bytes): (usize, &u64)| {
        if *bytes > limit {
            let (what, value) = ("bytes between passes", bytes.to_string());
            return Err(Error::TooLarge { what, value, limit });
        }
        if alone { context.own_room(*bytes) } else { context.room(n, *bytes) }
    };
    job.rooms.iter().enumerate().map(room).collect()
}

impl Step {
    /// Multiply-adds.
    pub fn work(&self) -> u64 {
        match self {
            Self::Copies { .. } => 0,
            Self::Dispatch { work, .. } => *work,
        }
    }
}

/// Records steps: dispatches that no copies part in one pass. The `first` pass writes its start as query 0 of
/// `stamps`, and every pass its end as query 1.
pub(super) fn record(
    steps: &[Step],
    encoder: &mut CommandEncoder,
    stamps: Option<&QuerySet>,
    first: &mut bool,
) {
    let mut rest = steps;
    while let Some(step) = rest.first() {
        if let Step::Copies { from, to, pieces } = step {
            for piece in pieces {
                encoder.copy_buffer_to_buffer(from, piece.from, to, piece.to, piece.len);
            }
            rest = &rest[1..];
            continue;
        }
        let timestamp_writes = stamps.map(|query_set| wgpu::ComputePassTimestampWrites {
            query_set,
            beginning_of_pass_write_index: std::mem::take(first).then_some(0),
            end_of_pass_write_index: Some(1),
        });
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
            label: Some("channelwise.pass"),
            timestamp_writes,
        });
        dispatch(&mut rest, &mut pass);
    }
}

/// Records the dispatches up to the next copies.
fn dispatch(rest: &mut &[Step], pass: &mut wgpu::ComputePass<'_>) {
    while let Some(Step::Dispatch { pipeline, bindings, params, grid, .. }) = rest.first() {
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, bindings, &[*params]);
        pass.dispatch_workgroups(grid[0], grid[1], grid[2]);
        *rest = &rest[1..];
    }
}

/// Makes a [`Bound`].
struct Binder<'a> {
    context: &'a Context,
    job: &'a Job,
    compiled: &'a Compiled,
    table: &'a Table<'a>,
    rooms: &'a [Arc<Room>],
    /// Bytes by which bindings start.
    storage_alignment: u64,
    uniform_alignment: u64,
}

/// A binding that was used before: of which program, and which resources.
type Known = ((usize, [Binding; 3]), BindGroup);

/// A buffer of parameters that was not there, and what it holds.
type NewParams = (Vec<u8>, Buffer);

impl Binder<'_> {
    /// The steps, and what is to be kept if all went well.
    fn steps(&self) -> Result<(Vec<Step>, Option<NewParams>)> {
        let stride = (size_of::<Params>() as u64).next_multiple_of(self.uniform_alignment);
        let (params, new) = self.params(stride)?;
        let mut known: Vec<Known> = Vec::new();
        let mut steps = Vec::with_capacity(self.job.commands.len());
        let mut dispatched = 0;
        for command in &self.job.commands {
            steps.push(match command {
                Command::Copies { from, to, pieces } => {
                    let from = self.copied(*from, BufferUsages::COPY_SRC)?;
                    let to = self.copied(*to, BufferUsages::COPY_DST)?;
                    let bytes = |n: usize, range: &BufferRange<'_>| range.offset + n as u64;
                    let pieces = pieces.iter().map(|piece| Bytes {
                        from: bytes(piece.from, &from),
                        to: bytes(piece.to, &to),
                        len: piece.len as u64,
                    });
                    let pieces = pieces.collect();
                    Step::Copies { from: from.buffer.clone(), to: to.buffer.clone(), pieces }
                }
                Command::Dispatch(dispatch) => {
                    let key = (dispatch.program, dispatch.bindings);
                    let there = known.iter().find(|(other, _)| *other == key);
                    let bindings = match there {
                        Some((_, bindings)) => bindings.clone(),
                        None => {
                            let made = self.bind_group(dispatch, &params)?;
                            known.push((key, made.clone()));
                            made
                        }
                    };
                    let at = stride * dispatched;
                    dispatched += 1;
                    Step::Dispatch {
                        pipeline: self.ready(dispatch)?.pipeline.clone(),
                        bindings,
                        // Their count is that of bands times passes, far below what this holds.
                        params: u32::try_from(at).map_err(|_| too_many(at))?,
                        grid: dispatch.grid,
                        work: dispatch.work,
                    }
                }
            });
        }
        Ok((steps, new.map(|bytes| (bytes, params))))
    }

    fn ready(&self, dispatch: &Dispatch) -> Result<&Ready> {
        self.compiled.ready.get(dispatch.program).ok_or_else(|| unknown("program"))
    }

    /// The parameters of all dispatches in one buffer; its bytes where it was not there.
    fn params(&self, stride: u64) -> Result<(Buffer, Option<Vec<u8>>)> {
        let mut bytes = Vec::with_capacity(stride as usize * self.job.commands.len().max(1));
        for dispatch in self.job.dispatches() {
            let mut params = dispatch.params;
            let words: &mut [u32] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut params));
            for (word, binding) in words.iter_mut().take(BASES).zip(&dispatch.bindings) {
                let base = self.base(binding)?;
                self.has_vectors(dispatch, binding, base)?;
                *word += base;
            }
            bytes.extend_from_slice(bytemuck::bytes_of(&params));
            bytes.resize(bytes.len().next_multiple_of(stride as usize), 0);
        }
        if bytes.is_empty() {
            bytes.resize(stride as usize, 0);
        }
        if let Some(buffer) = self.compiled.params.get(|known, _| *known == bytes) {
            return Ok((buffer, None));
        }
        let buffer = self.context.constant("channelwise.params", &bytes, BufferUsages::UNIFORM);
        Ok((buffer, Some(bytes)))
    }

    fn given(&self, resource: Resource) -> Result<Given<'_>> {
        match resource {
            Resource::Room(n) => {
                let room = self.rooms.get(n).ok_or_else(|| unknown("room"))?;
                let buffer = room.buffer();
                let size = self.job.rooms.get(n).copied().unwrap_or(0);
                Ok(Given::Range(BufferRange { buffer, offset: 0, size }))
            }
            Resource::Weights(n) => {
                let weights = self.compiled.weights.get(n).and_then(Option::as_ref);
                let buffer = weights.ok_or_else(|| unknown("weights"))?;
                Ok(Given::Range(BufferRange::whole(buffer)))
            }
            given => {
                let found = self.table.iter().find(|(other, _)| *other == given);
                found.map(|(_, given)| *given).ok_or_else(|| unknown("resource"))
            }
        }
    }

    /// Where a binding starts, at an aligned byte, and how long it is.
    fn span(&self, range: &BufferRange<'_>, binding: &Binding) -> (u64, u64) {
        match binding.part {
            None => (range.offset, range.size),
            Some(part) => {
                let start = range.offset + part.first;
                let offset = start / self.storage_alignment * self.storage_alignment;
                (offset, (start - offset + part.len).next_multiple_of(4))
            }
        }
    }

    /// Scalars of a binding before the first one that counts.
    fn base(&self, binding: &Binding) -> Result<u32> {
        let (Some(part), Given::Range(range)) = (binding.part, self.given(binding.resource)?)
        else {
            return Ok(0);
        };
        let (offset, _) = self.span(&range, binding);
        // An alignment is no more than some hundred bytes.
        Ok(((range.offset + part.first - offset) / part.scalar) as u32)
    }

    /// Refuses a tensor that begins within a vector of the shader: jobs have those copied, so it is a defect.
    fn has_vectors(&self, dispatch: &Dispatch, binding: &Binding, base: u32) -> Result<()> {
        let program = self.job.programs.get(dispatch.program);
        let vectors = program.is_some_and(|p| matches!(p.shader.entry, Entry::March(_)));
        let bytes = binding.part.map_or(0, |part| u64::from(base) * part.scalar);
        if vectors && !bytes.is_multiple_of(VECTOR as u64) {
            return Err(Error::Gpu {
                doing: "binding buffers",
                message: format!("{} begins {bytes} bytes from a vector", binding.resource),
                source: None,
            });
        }
        Ok(())
    }

    fn bind_group(&self, dispatch: &Dispatch, params: &Buffer) -> Result<BindGroup> {
        let resource = |binding: &Binding| -> Result<BindingResource<'_>> {
            Ok(match self.given(binding.resource)? {
                Given::View(view) => BindingResource::TextureView(view),
                Given::Range(range) => {
                    let (offset, size) = self.span(&range, binding);
                    let size = wgpu::BufferSize::new(size);
                    BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: range.buffer,
                        offset,
                        size,
                    })
                }
            })
        };
        let size = wgpu::BufferSize::new(size_of::<Params>() as u64);
        let params = wgpu::BufferBinding { buffer: params, offset: 0, size };
        let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        let [reads, writes, beside] = &dispatch.bindings;
        let mut entries = vec![
            entry(0, BindingResource::Buffer(params)),
            entry(1, resource(reads)?),
            entry(2, resource(writes)?),
            entry(3, resource(beside)?),
        ];
        if dispatch.original {
            entries.push(entry(4, resource(&Binding::whole(Resource::Source))?));
        }
        Ok(self.context.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("channelwise.bindings"),
            layout: &self.ready(dispatch)?.bindings,
            entries: &entries,
        }))
    }

    /// What copies read or write, where it can be.
    fn copied(&self, resource: Resource, needed: BufferUsages) -> Result<BufferRange<'_>> {
        let Given::Range(range) = self.given(resource)? else { return Err(unknown("buffer")) };
        let usage = range.buffer.usage();
        if usage.contains(needed) {
            return Ok(range);
        }
        Err(Error::Buffer {
            which: match resource {
                Resource::Source => "source",
                Resource::OutputGradient => "gradient of the output",
                _ => "destination",
            },
            reason: format!(
                "usage {usage:?} lacks {needed:?}, which is needed where a band does not lie in one piece"
            ),
        })
    }
}

fn too_many(bytes: u64) -> Error {
    let (what, value) = ("bytes of parameters", bytes.to_string());
    Error::TooLarge { what, value, limit: u32::MAX.into() }
}

/// A defect of ours: jobs name only what they are given.
fn unknown(what: &'static str) -> Error {
    Error::Gpu {
        doing: "binding buffers",
        message: format!("a job names a {what} it was not given"),
        source: None,
    }
}
