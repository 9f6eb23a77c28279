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

use super::bytes::{Of, Reads, Writes};
use super::reader::{Block, Pool, Reader, rows};
use super::{Progress, Sink, Source, Stream, Streamed};
use crate::engine::{Part, Parts, Room};
use crate::memory;
use crate::plan::{Cutter, Units, gcd};
use crate::{Element, Error, Problem, Result, Window};

/// A step that is to be computed, with all rows that it needs.
struct Work {
    window: Window,
    part: Part,
    blocks: Vec<Arc<Block>>,
}

/// What is to be written.
type Made = (Window, Room);

/// How many elements were written, or what failed.
type Told = Result<u64>;

pub(super) fn run<T: Element, U: Element>(
    stream: Stream<'_, T, U>,
    source: &mut impl Source<T>,
    sink: &mut impl Sink<U>,
) -> Result<Streamed> {
    let Stream { prepared, budget, share, resume, mut progress } = stream;
    let mut parts = prepared.parts();
    let problem = prepared.problem();
    if problem.conv().is_adjoint() {
        return Err(Error::argument("stream", "of an adjoint", "it is computed as a whole"));
    }
    let begun = |begun: std::io::Result<()>| {
        begun.map_err(|error| Error::stream("beginning", "the output", error))
    };
    let finished = |done: std::io::Result<()>| {
        done.map_err(|error| Error::stream("finishing", "the output", error))
    };
    if problem.output_len() == 0 {
        begun(sink.begin())?;
        finished(sink.finish())?;
        return Ok(Streamed { steps: 0, elements: 0, skipped: 0, chunks: 0 });
    }
    let planes = problem.geometry().out_planes();
    let chunks = sink.chunks().map(|chunks| of_images(chunks, planes));
    let (units, step) = {
        let grain = prepared.plan().grain(problem);
        let units = Units::new(problem, chunks);
        let mut held = parts.held();
        held.fixed += source.held() + sink.held();
        let (rows, columns) = source.chunk();
        let read_at_once = (rows.max(1), columns.max(1));
        let step = Cutter { problem, units: &units, grain, read_at_once, held }.step(budget)?;
        (units, step)
    };
    begun(sink.begin())?;

    let mut wanted = memory::zeroed("the list of parts of the output", units.len())?;
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
    let chunk = source.chunk().0.max(1);
    let (mut from, mut to) = (Of::new(source), Of::new(sink));
    let elements = threads(&mut parts, &steps, (&mut from, chunk), &mut to, &mut progress)?;
    source.finish().map_err(|error| Error::stream("reading", "the input", error))?;
    finished(sink.finish())?;
    Ok(Streamed { steps: steps.len(), elements, skipped, chunks: share.len() })
}

/// Elements that were written, all of them.
fn threads(
    parts: &mut Parts,
    steps: &[Window],
    (source, chunk): (&mut dyn Reads, usize),
    sink: &mut dyn Writes,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<u64> {
    let problem = &parts.problem().clone();
    let at_once = parts.held().at_once;
    let (stop, count) = (&AtomicBool::new(false), steps.len());
    let (mut done, mut elements) = (0, 0);
    let mut failed = None;
    let (to_workers, work) = sync_channel(0);
    let (to_writer, made) = sync_channel(0);
    let (tell, told) = channel();
    let free = &Pool::default();
    thread::scope(|scope| {
        let telling = tell.clone();
        scope.spawn(move || {
            let g = problem.geometry();
            let pixel = g.pixel() * problem.input_type().bytes();
            let reader = Reader::new(source, chunk, (g.height, pixel));
            read(steps, parts, reader, &to_workers, stop).unwrap_or_else(|error| {
                // Whoever is told may be gone after another failure.
                let _ = telling.send(Err(error));
            });
        });
        // Owned by them alone, so that the reader learns that all are gone.
        let work = Arc::new(Mutex::new(work));
        for _ in 0..at_once {
            let (work, to_writer, telling) = (work.clone(), to_writer.clone(), tell.clone());
            scope.spawn(move || {
                compute(problem, &work, free, &to_writer, stop).unwrap_or_else(|error| {
                    let _ = telling.send(Err(error));
                });
            });
        }
        drop((work, to_writer));
        scope.spawn(move || write(problem, sink, &made, free, &tell));
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
    match failed {
        Some(error) => Err(error),
        None if done < count => Err(Error::Cancelled { done, parts: count }),
        None => Ok(elements),
    }
}

/// Chunks of the output's images in images of the input, of which each gives `planes`: whole ones of both.
fn of_images([images, rows, columns]: [usize; 3], planes: usize) -> [usize; 3] {
    let images = images.max(1);
    [images / gcd(images, planes.max(1)), rows, columns]
}

/// The same window with images counted as the output has them.
fn of_output(window: &Window, planes: usize) -> Window {
    let images = window.images.start * planes..window.images.end * planes;
    Window { images, ..window.clone() }
}

fn read(
    steps: &[Window],
    parts: &mut Parts,
    mut reader: Reader<'_>,
    to: &SyncSender<Work>,
    stop: &AtomicBool,
) -> Result<()> {
    for window in steps {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let part = parts.get(window)?;
        let blocks = reader.blocks(part.region())?;
        if to.send(Work { window: window.clone(), part, blocks }).is_err() {
            break;
        }
    }
    Ok(())
}

fn compute(
    problem: &Problem,
    work: &Mutex<Receiver<Work>>,
    free: &Pool,
    to: &SyncSender<Made>,
    stop: &AtomicBool,
) -> Result<()> {
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Work { window, part, blocks }) = next else { return Ok(()) };
        if stop.load(Ordering::Relaxed) {
            continue;
        }
        let len = problem.window_shape(&window).elements().unwrap_or(usize::MAX);
        let bytes = len.saturating_mul(problem.output_type().bytes());
        let mut made = free.take("a part of the output", bytes)?;
        part.run(&rows(&blocks, part.region())?, &mut made)?;
        // Back to the reader before anything waits.
        drop(blocks);
        if to.send((window, made)).is_err() {
            return Ok(());
        }
    }
}

fn write(
    problem: &Problem,
    sink: &mut dyn Writes,
    made: &Receiver<Made>,
    free: &Pool,
    tell: &Sender<Told>,
) {
    let (planes, size) = (problem.geometry().out_planes(), problem.output_type().bytes());
    let mut failed = false;
    for (window, data) in made {
        if !failed {
            let window = of_output(&window, planes);
            let written = sink.write(&window, &data);
            failed = written.is_err();
            let written = written.map(|()| (data.len() / size) as u64);
            let _ = tell.send(written.map_err(|error| Error::stream("writing", &window, error)));
        }
        free.give(data);
    }
}
