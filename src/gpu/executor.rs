//! Runs jobs: binds them to buffers, records and submits them.
//!
//! ```text
//!   Job + Compiled + table of resources ── bind ──> Bound ── replay ──> the caller's encoder
//!                                                     └───── submit ──> the queue, cut by work
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, PoisonError};

use wgpu::{BufferUsages, CommandEncoder, QuerySet};

use super::bound::{Bound, Compiled, Step, Table, record};
use super::device::{Context, EndStamps};
use super::halves;
use super::program::{Caches, Pipelines};
use crate::plan::Halves;
use crate::plan::job::{Job, Program};
use crate::{Error, Result};

/// A device that runs jobs.
#[derive(Debug)]
pub(super) struct Executor {
    pub context: Context,
    pub end: EndStamps,
    pipelines: Pipelines,
    /// What the device does with half floats, once it was looked at.
    halves: OnceLock<Halves>,
    /// How many there were: for tests.
    pub submissions: AtomicU64,
}

impl Executor {
    pub fn new(context: Context, caches: Caches) -> Result<Self> {
        let end = context.checked("making marks", || EndStamps::new(&context)).now()?;
        let (pipelines, submissions) = (Pipelines::new(caches), AtomicU64::new(0));
        Ok(Self { end, pipelines, halves: OnceLock::new(), submissions, context })
    }

    /// Writes what was compiled to its folder.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save(&self) -> Result<()> {
        self.pipelines.caches().save()
    }

    /// Compiles programs, and uploads their weights; none where those of a program are empty.
    pub async fn compile(
        &self,
        programs: &[Program],
        weights: &[Vec<f32>],
        limit: u64,
    ) -> Result<Compiled> {
        let mut ready = Vec::with_capacity(programs.len());
        for program in programs {
            let program = &self.fitted(program).await?;
            ready.push(self.pipelines.get(&self.context, program).await?);
        }
        let mut buffers = Vec::with_capacity(weights.len());
        for contents in weights {
            let bytes: &[u8] = bytemuck::cast_slice(contents);
            if bytes.len() as u64 > limit {
                let (what, value) = ("bytes of the kernel", bytes.len().to_string());
                return Err(Error::TooLarge { what, value, limit });
            }
            buffers.push(if bytes.is_empty() {
                None
            } else {
                let made = self.context.checked("uploading the kernel", || {
                    // As a uniform buffer where a shader has few.
                    let usage = BufferUsages::STORAGE | BufferUsages::UNIFORM;
                    self.context.constant("channelwise.weights", bytes, usage)
                });
                Some(made.done().await?)
            });
        }
        Ok(Compiled::new(ready, buffers))
    }

    /// The program for this device, which may convert half floats by itself.
    async fn fitted(&self, program: &Program) -> Result<Program> {
        if !program.shader.has_halves() {
            return Ok(program.clone());
        }
        let halves = match self.halves.get() {
            Some(halves) => *halves,
            None => {
                let seen = halves::seen(&self.context).await?;
                *self.halves.get_or_init(|| seen)
            }
        };
        Ok(Program { shader: program.shader.with_halves(halves), ..program.clone() })
    }

    /// The job on these resources; see [`Bound::new`].
    pub fn bind(
        &self,
        job: &Job,
        compiled: &Compiled,
        table: &Table<'_>,
        alone: bool,
    ) -> Result<Bound> {
        Bound::new(&self.context, job, compiled, table, alone)
    }

    pub fn encoder(&self, label: &str) -> CommandEncoder {
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some(label) };
        self.context.device.create_command_encoder(&descriptor)
    }

    pub fn submit(&self, encoder: CommandEncoder) {
        self.submissions.fetch_add(1, Ordering::Relaxed);
        self.context.submit([encoder.finish()]);
    }

    /// Runs a job on these resources: in one submission, or where it is more than `most` work in several.
    pub fn run(
        &self,
        doing: &'static str,
        job: &Job,
        compiled: &Compiled,
        table: &Table<'_>,
        most: u64,
    ) -> Result<()> {
        let bound = self.bind(job, compiled, table, job.work() > most)?;
        self.run_bound(doing, &bound, most)
    }

    /// The same of one that is bound, alone if it is too much for one submission.
    pub fn run_bound(&self, doing: &'static str, bound: &Bound, most: u64) -> Result<()> {
        let turn = bound.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let submitted = self.context.checked(doing, || {
            let mut encoder = self.encoder("channelwise.job");
            self.replay(bound, &mut encoder, None, most);
            self.submit(encoder)
        });
        drop(turn);
        submitted.now()?;
        self.context.alive(doing)
    }

    /// Records a job that is bound so many times.
    pub fn repeat(
        &self,
        bound: &Bound,
        encoder: &mut CommandEncoder,
        stamps: Option<&QuerySet>,
        times: u32,
    ) {
        let mut first = true;
        for _ in 0..times {
            record(bound.steps(), encoder, stamps, &mut first);
        }
    }

    /// Records a job that is bound, and submits the encoder whenever it has `most` work in it.
    pub fn replay(
        &self,
        bound: &Bound,
        encoder: &mut CommandEncoder,
        stamps: Option<&QuerySet>,
        most: u64,
    ) {
        let (mut rest, mut first) = (bound.steps(), true);
        while !rest.is_empty() {
            let mut work = 0u64;
            let fits = |step: &Step| {
                let before = work;
                work = work.saturating_add(step.work());
                before == 0 || work <= most
            };
            let (now, later) = rest.split_at(count_while(rest, fits));
            record(now, encoder, stamps, &mut first);
            rest = later;
            if !rest.is_empty() {
                let full = std::mem::replace(encoder, self.encoder("channelwise.job"));
                self.submit(full);
            }
        }
    }
}

fn count_while<T>(all: &[T], mut fits: impl FnMut(&T) -> bool) -> usize {
    all.iter().position(|one| !fits(one)).unwrap_or(all.len())
}
