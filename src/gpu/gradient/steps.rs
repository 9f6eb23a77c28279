//! What each step of gradients binds and dispatches.

use wgpu::{BindingResource, Buffer, BufferUsages};

use super::compile::{MIX_RUNS, correlation};
use super::pixels::{Chunk, Pixels};
use super::{GpuBackward, GpuPointwiseGradients};
use crate::gpu::device::checked;
use crate::gpu::params::{self, Params};
use crate::gpu::pipelines::Ready;
use crate::gpu::recording::{Bands, Dispatch, Recording, Scratch, Step as Recorded, Way};
use crate::gpu::{GpuTensor, buffers, transfer};
use crate::plan::{self, Pass, RUN, Step};
use crate::{Activation, Element, ElementType, Error, Result};

const F32: usize = ElementType::F32.bytes();

impl GpuBackward {
    /// The gradients of kernel and bias, from that of the sums.
    pub(super) fn kernel<T: Element>(
        &self,
        recording: &mut Recording,
        input: &GpuTensor<T>,
        delta: &GpuTensor<f32>,
    ) -> Result<(GpuTensor<f32>, GpuTensor<f32>)> {
        let Self { gpu, sums, .. } = self;
        let correlation = correlation(&self.plan)?;
        let launch = &correlation.launch;
        let (kh, kw) = sums.geometry().kernel;
        let filters = sums.weights().filters;
        let values = (kh * kw + 1) * filters;
        let partials = self.partials(values, correlation.parts)?;
        let mut scratch = Scratch::default();
        let mut part = 0;
        for band in &launch.bands {
            let bands = Bands { gpu, problem: sums, launch };
            let mut place = transfer::own_placement(sums, launch, band);
            let (src, gathered) =
                bands.source(&mut scratch, band, &input.range(), false, &mut place)?;
            let (read, copied) =
                bands.destination(&mut scratch, band, &delta.range(), Way::Read, &mut place)?;
            gathered.into_iter().chain(copied).for_each(|step| recording.push(step));
            let [across, down] = correlation.grid(sums, band);
            let [groups_down, groups_across] = correlation.tap_groups(sums);
            let grid = [across, down, filters * groups_down * groups_across];
            let most = gpu.limits().max_workgroups;
            let (of_band, _) = params::params(sums, Pass::Direct, launch, band, place, most);
            let (parts, first) = (correlation.parts as u32, part as u32);
            let of_band = Params { part: first, parts, ..of_band };
            let partials = partials.as_entire_binding();
            let buffers = [src.resource(), partials, read.resource()];
            recording.push(self.dispatch(&self.correlate, of_band, grid, buffers)?);
            part += across * down;
        }
        let made = self.reduced(recording, &partials, values, correlation.parts)?;
        let bias = (kh * kw * filters * F32) as u64;
        let kernel = GpuTensor::from_buffer(gpu, made.clone(), 0, [kh, kw, filters])?;
        Ok((kernel, GpuTensor::from_buffer(gpu, made, bias, [1, filters])?))
    }

    /// The gradients of the pointwise step, from the sums and the gradient of its own.
    pub(super) fn mix(
        &self,
        recording: &mut Recording,
        mix: &Ready,
        sums: &GpuTensor<f32>,
        outputs: &GpuTensor<f32>,
    ) -> Result<GpuPointwiseGradients> {
        let pixels = self.pixels()?;
        let workgroup = correlation(&self.plan)?.workgroup;
        let each = (workgroup * RUN * MIX_RUNS) as usize;
        let of_chunk = |chunk: &Chunk| (chunk.images * chunk.columns).div_ceil(each);
        let chunks = pixels.chunks(&self.gpu)?;
        let parts = chunks.iter().map(of_chunk).sum();
        let values = (pixels.filters + 1) * pixels.outputs;
        let partials = self.partials(values, parts)?;
        let mut part = 0;
        for chunk in &chunks {
            let src = chunk.bind(&self.gpu, sums, pixels.filters);
            let read = chunk.bind(&self.gpu, outputs, pixels.outputs);
            let params = Params {
                src_base: src.base as u32,
                dst_base: read.base as u32,
                part: part as u32,
                parts: parts as u32,
                ..self.params(&pixels, chunk)
            };
            let buffers = [src.resource(), partials.as_entire_binding(), read.resource()];
            let grid = [of_chunk(chunk), 1, values];
            recording.push(self.dispatch(mix, params, grid, buffers)?);
            part += of_chunk(chunk);
        }
        let made = self.reduced(recording, &partials, values, parts)?;
        let shape = [pixels.filters, pixels.outputs];
        let bias = (pixels.filters * pixels.outputs * F32) as u64;
        let weights = GpuTensor::from_buffer(&self.gpu, made.clone(), 0, shape)?;
        let bias = GpuTensor::from_buffer(&self.gpu, made, bias, [1, pixels.outputs])?;
        Ok(GpuPointwiseGradients { weights, bias })
    }

    /// `Slope` or `Follow`: every pixel of `to` from those of `source`.
    pub(super) fn each(
        &self,
        recording: &mut Recording,
        step: Step,
        ready: &Ready,
        source: &GpuTensor<f32>,
        to: &GpuTensor<f32>,
    ) -> Result<()> {
        let pixels = self.pixels()?;
        let (of_source, of_each) = match step {
            Step::Follow => (pixels.filters, pixels.outputs),
            _ => (pixels.outputs, pixels.filters),
        };
        let workgroup = correlation(&self.plan)?.workgroup as usize;
        for chunk in pixels.chunks(&self.gpu)? {
            let src = chunk.bind(&self.gpu, source, of_source);
            let dst = chunk.bind(&self.gpu, to, of_each);
            let (src_base, dst_base) = (src.base as u32, dst.base as u32);
            let params = Params { src_base, dst_base, ..self.params(&pixels, &chunk) };
            let grid = [chunk.columns.div_ceil(workgroup), of_each, chunk.images];
            let weights = match &self.through {
                Some(through) => through.weights.as_entire_binding(),
                // Not read.
                None => src.resource(),
            };
            let buffers = [src.resource(), dst.resource(), weights];
            recording.push(self.dispatch(ready, params, grid, buffers)?);
        }
        Ok(())
    }

    fn params(&self, pixels: &Pixels, chunk: &Chunk) -> Params {
        let conv = self.problem.conv();
        let (_, activation_a, activation_b) = params::activation_code(conv.activation);
        let follow = conv.pointwise.as_ref().map_or(Activation::None, |p| p.activation_kind());
        let (_, follow_a, follow_b) = params::activation_code(follow);
        Params {
            images: chunk.images as u32,
            columns: chunk.columns as u32,
            filters: pixels.filters as u32,
            outputs: pixels.outputs as u32,
            planar: pixels.planar.into(),
            activation_a,
            activation_b,
            follow_a,
            follow_b,
            ..Params::default()
        }
    }

    fn pixels(&self) -> Result<Pixels> {
        let g = self.sums.geometry();
        Ok(Pixels::of(g, self.problem.conv().pointwise.as_ref()))
    }

    /// Room for sums of parts.
    fn partials(&self, values: usize, parts: usize) -> Result<Buffer> {
        let bytes = (values as u64).saturating_mul(parts.max(1) as u64).saturating_mul(F32 as u64);
        self.room("sums of parts", bytes)
    }

    fn room(&self, what: &'static str, bytes: u64) -> Result<Buffer> {
        let limit = self.gpu.limits().max_range();
        if bytes > limit {
            return Err(Error::TooLarge { what, value: bytes.to_string(), limit });
        }
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let size = bytes.next_multiple_of(16).max(16);
        let (device, loss) = (self.gpu.device(), self.gpu.loss());
        let made = buffers::create(device, loss, "making room for sums", size, usage);
        made.now().map_err(|error| buffers::with_size(error, size))
    }

    /// The second stage.
    fn reduced(
        &self,
        recording: &mut Recording,
        partials: &Buffer,
        values: usize,
        parts: usize,
    ) -> Result<Buffer> {
        let made = self.room("bytes of the gradient of the weights", (values * F32) as u64)?;
        let params = Params { parts: parts as u32, ..Params::default() };
        let buffers = [partials, &made, partials].map(Buffer::as_entire_binding);
        recording.push(self.dispatch(&self.reduce, params, [values, 1, 1], buffers)?);
        Ok(made)
    }

    /// A pass of one dispatch on bindings 1, 2 and 3.
    fn dispatch(
        &self,
        ready: &Ready,
        params: Params,
        grid: [usize; 3],
        buffers: [BindingResource<'_>; 3],
    ) -> Result<Recorded> {
        let gpu = &self.gpu;
        let wanted = grid.map(|n| n as u64);
        let (grid, folded) = plan::fold(wanted, gpu.limits().max_workgroups);
        let [groups_x, groups_y, groups_z] = wanted.map(|n| n as u32);
        let params = Params { groups_x, groups_y, groups_z, folded: folded.into(), ..params };
        let made = checked(gpu.device(), gpu.loss(), "binding buffers", || {
            if grid.contains(&0) {
                return Recorded::Pass(Vec::new());
            }
            let params = bytemuck::bytes_of(&params);
            let params = gpu.constant_buffer("channelwise.params", params, BufferUsages::UNIFORM);
            let [src, dst, read] = buffers;
            let entries = [(0, params.as_entire_binding()), (1, src), (2, dst), (3, read)];
            let entries =
                entries.map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource });
            let bindings = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("channelwise.bindings"),
                layout: &ready.bindings,
                entries: &entries,
            });
            Recorded::Pass(vec![Dispatch { pipeline: ready.pipeline.clone(), bindings, grid }])
        });
        made.now()
    }
}
