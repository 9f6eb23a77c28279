//! Copies of as many bytes as a row moves, half of them read and half written: the ceiling of what is
//! bound by memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hint::black_box;

use channelwise::wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, CommandEncoder, ComputePassDescriptor,
    ComputePipeline, ComputePipelineDescriptor, ShaderModuleDescriptor, ShaderSource,
};
use channelwise::{Gpu, Shape};
use rayon::ThreadPoolBuilder;

use crate::Failure;
use crate::cases::Noise;
use crate::ring::Ring;
use crate::row::{Absent, Figures, How, Printer, Row, What, Wrong};
use crate::stream;
use crate::times::{Times, repeat};
use crate::watch::{Watch, Work};

/// Seconds a copy beside a row is repeated for.
const SECONDS: f64 = 0.2;

/// A part of a copy that is worth a thread.
const PART: usize = 256 << 10;

/// Sizes that are copied beside those of the cases.
pub(crate) const SIZES: [u64; 3] = [1 << 20, 16 << 20, 256 << 20];

/// A row's name, and its times or why it has none.
type Named = (&'static str, Result<Times, Failure>);

/// Milliseconds of memcpy, and of a streamed copy where the processor has one.
type HostMs = (f64, Option<f64>);

/// Copies of this run, each made once. Nothing of it counts for a row.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// By bytes and threads.
    on_host: RefCell<HashMap<(u64, usize), HostMs>>,
    /// Of the fastest, by bytes and whether the ring is of one pair.
    on_device: RefCell<HashMap<(u64, bool), f64>>,
}

impl Copies {
    /// On so many threads.
    pub(crate) fn on_host(&self, bytes: u64, threads: usize) -> Result<HostMs, Failure> {
        if let Some(known) = self.on_host.borrow().get(&(bytes, threads)) {
            return Ok(*known);
        }
        let [(_, plain), (_, streamed)] = on_host(bytes, threads, SECONDS);
        let made = (plain?.median(), streamed.ok().map(|times| times.median()));
        self.on_host.borrow_mut().insert((bytes, threads), made);
        Ok(made)
    }

    /// Milliseconds of the faster of the device's copies.
    pub(crate) fn on_device(&self, watch: &Watch, bytes: u64, how: How) -> Result<f64, Failure> {
        let key = (bytes, how == How::Cached);
        if let Some(known) = self.on_device.borrow().get(&key) {
            return Ok(*known);
        }
        let mut best = f64::INFINITY;
        let all = DeviceCopy::new(watch.gpu(), bytes)?;
        for (_, times) in all.times(watch, key.1, SECONDS) {
            best = times.map_or(best, |times| best.min(times.median()));
        }
        if !best.is_finite() {
            return Err(format!("no copy of {bytes} bytes on this device").into());
        }
        self.on_device.borrow_mut().insert(key, best);
        Ok(best)
    }
}

/// Rows of all copies on so many threads.
pub(crate) fn host_rows(
    bytes: u64,
    threads: usize,
    seconds: f64,
    printer: &mut Printer,
) -> Result<(), Failure> {
    for (name, times) in on_host(bytes, threads, seconds) {
        say(row(bytes, name, "cpu", How::RunInto, threads), times, None, printer)?;
    }
    Ok(())
}

/// Rows of all copies on the device.
pub(crate) fn device_rows(
    watch: &Watch,
    bytes: u64,
    seconds: f64,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let copies = DeviceCopy::new(watch.gpu(), bytes)?;
    for how in [How::Resident, How::Cached] {
        for (name, times) in copies.times(watch, how == How::Cached, seconds) {
            say(row(bytes, name, "gpu", how, 0), times, Some(watch.clock()), printer)?;
        }
    }
    Ok(())
}

fn row(bytes: u64, name: &str, engine: &'static str, how: How, threads: usize) -> Row {
    Row {
        case: bytes.to_string(),
        row: name.into(),
        what: What::Forward,
        engine,
        how,
        algorithm: None,
        forced: false,
        threads,
        figures: None,
        missing: None,
        wrong: None,
    }
}

fn say(
    row: Row,
    times: Result<Times, Failure>,
    clock: Option<&'static str>,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let bytes = row.case.parse()?;
    match times {
        Ok(times) => printer.say(row, Figures { clock, ..Figures::new(&times, bytes) }),
        Err(reason) => printer.told(row, &reason),
    }
}

fn on_host(bytes: u64, threads: usize, seconds: f64) -> [Named; 2] {
    let plain = |from: &[u8], to: &mut [u8]| {
        to.copy_from_slice(from);
        true
    };
    [
        ("copy memcpy", by_threads(bytes, threads, seconds, plain)),
        ("copy streamed", by_threads(bytes, threads, seconds, stream::copy)),
    ]
}

/// `copy` says whether it can.
fn by_threads(
    bytes: u64,
    threads: usize,
    seconds: f64,
    copy: impl Fn(&[u8], &mut [u8]) -> bool + Copy + Send + Sync,
) -> Result<Times, Failure> {
    let from = vec![1u8; (bytes as usize / 2).max(1)];
    let mut to = vec![2u8; from.len()];
    let part = from.len().div_ceil(threads.max(1)).max(PART);
    let pool = ThreadPoolBuilder::new().num_threads(threads.max(1)).build()?;
    if !copy(&from[..1], &mut to[..1]) {
        return Err(Absent("this processor has no streamed stores of AVX".into()).into());
    }
    let times = repeat(seconds, 5, || {
        if from.len() <= part {
            copy(black_box(&from), &mut to);
        } else {
            pool.scope(|scope| {
                for (to, from) in to.chunks_mut(part).zip(from.chunks(part)) {
                    scope.spawn(move |_| {
                        copy(black_box(from), to);
                    });
                }
            });
        }
        black_box(&to);
        Ok(())
    })?;
    if to != from {
        return Err(Wrong("a copy that differs".into()).into());
    }
    Ok(times)
}

/// Buffers that are copied, and the shader that does.
struct DeviceCopy {
    ring: Ring<f32>,
    data: Vec<f32>,
    pipeline: ComputePipeline,
    groups: Vec<BindGroup>,
    grid: [u32; 2],
}

impl DeviceCopy {
    fn new(gpu: &Gpu, bytes: u64) -> Result<Self, Failure> {
        let device = gpu.device();
        let words = (bytes / 2).next_multiple_of(16) as usize / 4;
        let mut noise = Noise(5);
        let data: Vec<f32> = (0..words).map(|_| noise.next()).collect();
        let shape = Shape::from([1, words]);
        let ring = Ring::new(gpu, &data, shape, shape)?;
        let module = device.create_shader_module(ShaderModuleDescriptor {
            label: Some("bench.copy"),
            source: ShaderSource::Wgsl(include_str!("copy.wgsl").into()),
        });
        let pipeline = device.create_compute_pipeline(&ComputePipelineDescriptor {
            label: Some("bench.copy"),
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: Default::default(),
            cache: None,
        });
        let mut groups = Vec::new();
        if words as u64 * 4 <= gpu.limits().max_binding {
            let layout = pipeline.get_bind_group_layout(0);
            for (from, to) in ring.from.iter().zip(&ring.to) {
                let [from, to] = [from, to].map(|tensor| tensor.buffer().as_entire_binding());
                groups.push(device.create_bind_group(&BindGroupDescriptor {
                    label: Some("bench.copy"),
                    layout: &layout,
                    entries: &[
                        BindGroupEntry { binding: 0, resource: from },
                        BindGroupEntry { binding: 1, resource: to },
                    ],
                }));
            }
        }
        let workgroups = (words as u32).div_ceil(4 * 256);
        let across = workgroups.min(65_535);
        Ok(Self { ring, data, pipeline, groups, grid: [across, workgroups.div_ceil(across)] })
    }

    /// Of both ways, over all pairs or one.
    fn times(&self, watch: &Watch, cached: bool, seconds: f64) -> [Named; 2] {
        let pairs = if cached { 1 } else { self.ring.len() };
        let command = |encoder: &mut CommandEncoder, pair: usize| {
            let (from, to) = (self.ring.from[pair].buffer(), self.ring.to[pair].buffer());
            encoder.copy_buffer_to_buffer(from, 0, to, 0, from.size());
            Ok(())
        };
        let shader = |encoder: &mut CommandEncoder, pair: usize| {
            let Some(group) = self.groups.get(pair) else {
                return Err(Absent("larger than a binding can be".into()).into());
            };
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(self.grid[0], self.grid[1], 1);
            Ok(())
        };
        let time = |work: &dyn Fn(&mut CommandEncoder, usize) -> Result<(), Failure>| {
            self.ring.to[0].write(&vec![f32::NAN; self.data.len()])?;
            let times = watch.times(&Work::Recorded(work), pairs, seconds)?;
            if self.ring.to[0].download()? != self.data {
                return Err(Wrong("a copy that differs".into()).into());
            }
            Ok(times)
        };
        [("copy command", time(&command)), ("copy vec4 shader", time(&shader))]
    }
}
