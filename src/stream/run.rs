//! The threads of a stream: one reads, one or two compute, one writes, and the caller's is told how far they are.
//!
//! ```text
//! reader ──(0)──> workers ──(0)──> writer ──> caller: progress
//! ```
//!
//! Nothing waits in the channels between them, so that as much is held as the planner counted: a step that is computed,
//! the one that is read meanwhile and the one that is written.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::reader::{Block, Pool, Reader, rows};
use super::{Progress, Sink, Source, Stream, Streamed};
use crate::engine::{Parts, Region};
use crate::plan::{Cutter, Units};
use crate::{Element, Error, Problem, Result, Window};

/// A step that is to be computed, with all rows that it needs.
struct Work<T: Element, U> {
    window: Window,
    region: Region<T, U>,
    blocks: Vec<Arc<Block<T>>>,
}

/// Elements of the output that are to be written.
type Made<U> = (Window, Vec<U>);

/// How many elements were written, or what failed.
type Told = Result<u64>;

pub(super) fn run<T: Element, U: Element>(
    stream: Stream<'_, T, U>,
    source: &mut impl Source<T>,
    sink: &mut impl Sink<U>,
) -> Result<Streamed> {
    let Stream { prepared, budget, share, resume, mut progress } = stream;
    let problem = prepared.problem();
    if problem.conv().is_adjoint() {
        return Err(Error::argument("stream", "of an adjoint", "it is computed as a whole"));
    }
    let nothing = Streamed { steps: 0, elements: 0, skipped: 0, chunks: 0 };
    let begin = |sink: &mut dyn Sink<U>| {
        sink.begin().map_err(|error| Error::stream("beginning", "the output", error))
    };
    if problem.output_len() == 0 {
        begin(sink)?;
        sink.finish().map_err(|error| Error::stream("finishing", "the output", error))?;
        return Ok(nothing);
    }
    let mut parts = Parts::new(prepared);
    let grain = prepared.plan().grain(problem);
    let planes = problem.geometry().out_planes();
    let units = Units::new(problem, sink.chunks().map(|of| of_images(of, planes)), grain);
    let mut held = parts.held();
    held.fixed += source.held() + sink.held();
    let (rows, columns) = source.chunk();
    let read_at_once = (rows.max(1), columns.max(1));
    let step = Cutter { problem, units: &units, grain, read_at_once, held }.step(budget)?;

    begin(sink)?;
    let mut wanted = vec![false; units.len()];
    let (share, mut skipped) = (units.share(share.0, share.1), 0);
    for index in share.clone() {
        let window = of_output(&units.window(index), planes);
        let there = |error| Error::stream("looking for", &window, error);
        let has = resume && sink.has(&window).map_err(there)?;
        skipped += usize::from(has);
        wanted[index] = !has;
    }
    let steps = units.steps(step, &wanted);
    drop(wanted);

    let (stop, count) = (AtomicBool::new(false), steps.len());
    let (mut done, mut elements) = (0, 0);
    let mut failed = None;
    let (to_workers, work) = sync_channel(0);
    let (to_writer, made) = sync_channel(0);
    let (tell, told) = channel();
    let free = Pool::new();
    thread::scope(|scope| {
        let telling = tell.clone();
        let (stop, free, source) = (&stop, &*free, &mut *source);
        scope.spawn(move || {
            let g = problem.geometry();
            let reader = Reader::new(source, g.height, g.pixel());
            read(&steps, &mut parts, reader, &to_workers, stop).unwrap_or_else(|error| {
                // Whoever is told may be gone after another failure.
                let _ = telling.send(Err(error));
            });
        });
        // Owned by them alone, so that the reader learns that all are gone.
        let work = Arc::new(Mutex::new(work));
        for _ in 0..held.at_once {
            let (work, to_writer, telling) = (work.clone(), to_writer.clone(), tell.clone());
            scope.spawn(move || {
                compute(problem, &work, free, &to_writer, stop).unwrap_or_else(|error| {
                    let _ = telling.send(Err(error));
                });
            });
        }
        drop((work, to_writer));
        let sink = &mut *sink;
        scope.spawn(move || write(sink, planes, &made, free, &tell));
        for told in told {
            match told {
                Ok(more) => {
                    done += 1;
                    elements += more;
                }
                Err(error) => {
                    failed.get_or_insert(error);
                    stop.store(true, Ordering::Relaxed);
                    continue;
                }
            }
            if failed.is_none()
                && progress(Progress { done, steps: count, elements }) == ControlFlow::Break(())
            {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    if done < count {
        return Err(Error::Cancelled { done, parts: count });
    }
    source.finish().map_err(|error| Error::stream("reading", "the input", error))?;
    sink.finish().map_err(|error| Error::stream("finishing", "the output", error))?;
    Ok(Streamed { steps: count, elements, skipped, chunks: share.len() })
}

/// Chunks of the output's images in images of the input, of which each gives `planes`: whole ones of both.
fn of_images([images, rows, columns]: [usize; 3], planes: usize) -> [usize; 3] {
    let images = images.max(1);
    let (mut divisor, mut rest) = (images, planes.max(1));
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    [images / divisor, rows, columns]
}

/// The same window with images counted as the output has them.
fn of_output(window: &Window, planes: usize) -> Window {
    let images = window.images.start * planes..window.images.end * planes;
    Window { images, ..window.clone() }
}

fn read<T: Element, U: Element>(
    steps: &[Window],
    parts: &mut Parts<T, U>,
    mut reader: Reader<'_, T, impl Source<T>>,
    to: &SyncSender<Work<T, U>>,
    stop: &AtomicBool,
) -> Result<()> {
    for window in steps {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let region = parts.get(window)?;
        let blocks = reader.blocks(region.reads())?;
        if to.send(Work { window: window.clone(), region, blocks }).is_err() {
            break;
        }
    }
    Ok(())
}

fn compute<T: Element, U: Element>(
    problem: &Problem,
    work: &Mutex<Receiver<Work<T, U>>>,
    free: &Pool<U>,
    to: &SyncSender<Made<U>>,
    stop: &AtomicBool,
) -> Result<()> {
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Work { window, region, blocks }) = next else { return Ok(()) };
        if stop.load(Ordering::Relaxed) {
            continue;
        }
        let len = problem.window_shape(&window).elements().unwrap_or(usize::MAX);
        let mut made = free.take("a part of the output", len)?;
        region.run_rows(&rows(&blocks, region.reads()), &mut made)?;
        // Back to the reader before anything waits.
        drop(blocks);
        if to.send((window, made)).is_err() {
            return Ok(());
        }
    }
}

fn write<U: Element>(
    sink: &mut impl Sink<U>,
    planes: usize,
    made: &Receiver<Made<U>>,
    free: &Pool<U>,
    tell: &Sender<Told>,
) {
    let mut failed = false;
    for (window, data) in made {
        if !failed {
            let window = of_output(&window, planes);
            let written = sink.write(&window, &data);
            failed = written.is_err();
            let written = written.map(|()| data.len() as u64);
            let _ = tell.send(written.map_err(|error| Error::stream("writing", &window, error)));
        }
        free.give(data);
    }
}
